"""Models that come from a store, and copies of them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from helpers import strategies
from helpers.support import SESSION, Clock, instrument, log, memory_store, upload
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from nexuslims_store import (
    EventType,
    ExternalUserIdentifier,
    Instrument,
    SessionLog,
    Store,
    UploadLog,
)

NEW_YORK = ZoneInfo("America/New_York")


# -- copies ----------------------------------------------------------------------------


def check_copies(model: BaseModel) -> None:
    """A model is the same after every way of copying it."""
    for other in (
        type(model).model_validate(dict(model)),
        model.model_copy(),
        model.model_copy(deep=True),
        copy.copy(model),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
    ):
        assert other == model
        assert hash(other) == hash(model)
        assert repr(other) == repr(model)
    # A zone is an offset in JSON, and datetimes of two zones are never equal inside a fold.
    again = type(model).model_validate_json(model.model_dump_json())
    assert again.model_dump(mode="json") == model.model_dump(mode="json")


@given(
    st.one_of(
        strategies.instruments,
        strategies.session_logs,
        strategies.upload_logs,
        strategies.external_user_identifiers,
        strategies.sessions(),
    )
)
def test_copies(model: BaseModel) -> None:
    check_copies(model)


def test_json_keeps_the_seconds_of_an_offset() -> None:
    old = log(timestamp=datetime(1870, 1, 1, tzinfo=NEW_YORK))
    assert '"1870-01-01T00:00:00-04:56:02"' in old.model_dump_json()
    assert SessionLog.model_validate_json(old.model_dump_json()) == old


# -- through a store -------------------------------------------------------------------


@given(strategies.instruments)
def test_an_instrument_comes_back_from_a_store(one: Instrument) -> None:
    with Store(":memory:") as store:
        assert store.instruments.add(one) == one
        assert store.instruments.get(one.instrument_pid) == one
        assert store.instruments.get_by_api_url(one.api_url) == one
        assert store.instruments.list() == [one]


@given(strategies.session_logs)
def test_a_session_log_comes_back_from_a_store(event: SessionLog) -> None:
    there = instrument(event.instrument, api_url="https://nemo.example.com/1")
    with memory_store(there) as store:
        stored = store.session_logs.insert(event)
        assert stored.id_session_log is not None
        assert store.session_logs.get(stored.id_session_log) == stored
        ((timestamp,),) = store.connection.execute("SELECT timestamp FROM session_log")
    expected = event.timestamp
    if expected.utcoffset() is None:
        expected = expected.replace(tzinfo=NEW_YORK)
    assert timestamp == expected.isoformat() == stored.timestamp.isoformat()
    put_aside = {"timestamp", "id_session_log"}
    assert stored.model_dump(exclude=put_aside) == event.model_dump(exclude=put_aside)


@given(strategies.upload_logs)
def test_an_upload_log_comes_back_from_a_store(attempt: UploadLog) -> None:
    with Store(":memory:") as store:
        stored = store.upload_logs.insert(attempt)
        assert store.upload_logs.list_for_session(attempt.session_identifier) == [stored]
        ((timestamp,),) = store.connection.execute("SELECT timestamp FROM upload_log")
    expected = attempt.timestamp
    if expected.utcoffset() is None:
        expected = expected.replace(tzinfo=UTC)
    assert timestamp == expected.isoformat() == stored.timestamp.isoformat()
    put_aside = {"timestamp", "id"}
    assert stored.model_dump(exclude=put_aside) == attempt.model_dump(exclude=put_aside)


@given(strategies.external_user_identifiers)
def test_an_external_id_comes_back_from_a_store(row: ExternalUserIdentifier) -> None:
    clock = Clock()
    with Store(":memory:", clock=clock) as store:
        arguments = (row.nexuslims_username, row.external_system, row.external_id)
        stored = store.external_ids.store(*arguments, email=row.email, notes=row.notes)
        assert stored.created_at == clock.now
        assert store.external_ids.list() == [stored]
        put_aside = {"created_at", "last_verified_at", "id"}
        assert stored.model_dump(exclude=put_aside) == row.model_dump(exclude=put_aside)
        assert store.external_ids.get(*arguments[:2]) == row.external_id
        assert store.external_ids.find_username(row.external_id, row.external_system) == (
            row.nexuslims_username
        )


def read_from_a_store(kind: str) -> BaseModel:
    """A model that a repository made of a stored row."""
    with memory_store(clock=Clock()) as store:
        match kind:
            case "instrument":
                return store.instruments.list()[0]
            case "session log":
                store.session_logs.insert(log())
                return store.session_logs.list_for_session(SESSION)[0]
            case "upload log":
                store.upload_logs.insert(upload(metadata_json='{"a": 1}'))
                return store.upload_logs.list_for_session(SESSION)[0]
            case _:
                store.external_ids.store("ned", "nemo", "42", notes="a note")
                return store.external_ids.list()[0]


@pytest.mark.parametrize("kind", ["instrument", "session log", "upload log", "external id"])
def test_a_model_from_a_row_is_like_one_that_was_validated(kind: str) -> None:
    """Repositories assemble instances without `__init__`; nothing may tell them apart."""
    found = read_from_a_store(kind)
    made = type(found).model_validate(dict(found))

    assert found == made
    assert hash(found) == hash(made)
    assert (repr(found), str(found)) == (repr(made), str(made))
    assert list(found.__dict__) == list(made.__dict__)
    assert [type(value) for value in found.__dict__.values()] == [
        type(value) for value in made.__dict__.values()
    ]
    assert found.model_fields_set == made.model_fields_set
    assert found.model_extra == made.model_extra
    assert found.__pydantic_private__ == made.__pydantic_private__
    assert found.__getstate__() == made.__getstate__()
    for arguments in ({}, {"exclude_unset": True}, {"exclude_defaults": True}, {"mode": "json"}):
        assert found.model_dump(**arguments) == made.model_dump(**arguments)
    assert found.model_dump_json() == made.model_dump_json()
    assert type(found).model_validate(found) is found
    check_copies(found)

    name = next(iter(type(found).model_fields))
    changed = found.model_copy(update={name: "another"})
    assert changed == made.model_copy(update={name: "another"})
    assert changed.model_fields_set == made.model_fields_set
    assert getattr(found, name) != "another"
    with pytest.raises(ValidationError, match="frozen"):
        setattr(found, name, "another")
    with pytest.raises(AttributeError):
        _ = found.no_such_field  # type: ignore[attr-defined]


def test_a_change_of_one_model_from_a_row_is_none_of_another() -> None:
    with memory_store(instrument("A"), instrument("B"), instrument()) as store:
        store.session_logs.insert_many([log(), log(EventType.END)])
        store.upload_logs.insert_many([upload(), upload()])
        store.external_ids.store("ned", "nemo", "1")
        store.external_ids.store("ned", "cdcs", "1")
        share_nothing: list[Sequence[BaseModel]] = [
            store.instruments.list(),
            store.upload_logs.list_for_session(SESSION),
            store.external_ids.list(),
        ]
        for first, second, *_ in share_nothing:
            name = next(iter(type(first).model_fields))
            first.model_fields_set.discard(name)
            assert name in second.model_fields_set
        for first, second, *_ in (
            *share_nothing,
            store.session_logs.list_for_session(SESSION),  # see below
        ):
            name = next(iter(type(first).model_fields))
            first.__dict__[name] = "another"
            assert getattr(second, name) != "another"
            changed = second.model_copy(update={name: "another"})
            changed.model_fields_set.discard(name)
            assert name in second.model_fields_set


@pytest.mark.parametrize("name", sorted(set(dir(set)) - set(dir(frozenset))))
def test_what_models_share_that_were_read_together_refuses_to_be_changed(name: str) -> None:
    with memory_store() as store:
        store.session_logs.insert(log())
        (found,) = store.session_logs.list_for_session(SESSION)
        before = set(found.model_fields_set)
        with pytest.raises(TypeError, match="share this set; change a model_copy"):
            getattr(found.model_fields_set, name)(*([] if name in {"clear", "pop"} else [before]))
        assert found.model_fields_set == before
