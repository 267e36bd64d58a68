"""What is said of an argument of the wrong type, or of a value that there is not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from helpers.support import TABLES, instrument, log, memory_store, upload
from pydantic import ValidationError

from nexuslims_store import (
    EventType,
    ExternalUserIdentifier,
    InvalidValueError,
    RecordStatus,
    Store,
    StoreError,
)
from nexuslims_store.arguments import member, members, require_limit, require_type


def test_a_type_that_fits_is_passed_over() -> None:
    require_type("pid", "Titan", str)
    require_type("instrument", "Titan", (int, str))


@pytest.mark.parametrize(
    ("value", "kind", "says"),
    [
        (None, str, "pid must be a str, not None"),
        (5, str, r"pid must be a str, not 5 \(int\)"),
        ("x", int, r"pid must be an int, not 'x' \(str\)"),
        (b"x", (EventType, str), r"pid must be an EventType or a str, not b'x' \(bytes\)"),
        (["x"] * 1000, str, r"not \['x', .{93}… \(list\)$"),
        ("x" * 98, int, r"not 'x{98}' \(str\)$"),
        ("x" * 99, int, r"not 'x{98}… \(str\)$"),
        ("x", (int, type(None)), r"pid must be an int or None, not 'x' \(str\)"),
    ],
)
def test_a_type_that_does_not_fit_is_a_type_error_that_names_it(
    value: object, kind: type | tuple[type, ...], says: str
) -> None:
    with pytest.raises(TypeError, match=says) as caught:
        require_type("pid", value, kind)
    assert len(str(caught.value)) < 200


def test_a_member_is_found_by_its_value() -> None:
    assert member("status", "ERROR", RecordStatus) is RecordStatus.ERROR
    assert member("status", RecordStatus.ERROR, RecordStatus) is RecordStatus.ERROR
    found = members("statuses", iter(["ERROR", RecordStatus.COMPLETED]), RecordStatus)
    assert found == [RecordStatus.ERROR, RecordStatus.COMPLETED]
    assert members("statuses", (), RecordStatus) == []


@pytest.mark.parametrize("value", ["DONE", "error", "", EventType.START, "\ud800"])
def test_another_text_is_an_invalid_value(value: str) -> None:
    with pytest.raises(InvalidValueError, match=r"^status is .*no RecordStatus.*NO_CONSENT"):
        member("status", value, RecordStatus)
    with pytest.raises(ValueError, match=r"^item 2 of statuses is"):
        members("statuses", ["ERROR", value], RecordStatus)
    assert issubclass(InvalidValueError, StoreError)


@pytest.mark.parametrize("value", [None, 5, b"ERROR", ["ERROR"], {}])
def test_what_is_no_text_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match=r"^status must be a RecordStatus or a str, not"):
        member("status", value, RecordStatus)


@pytest.mark.parametrize("values", ["ERROR", RecordStatus.ERROR, None, 5])
def test_one_status_is_no_list_of_them(values: object) -> None:
    with pytest.raises(TypeError, match=r"^statuses must be a list of RecordStatus"):
        members("statuses", values, RecordStatus)


# What came past the model, by `model_copy(update=…)`, which Pydantic does not look at.
UNCHECKED: dict[str, Callable[[Store], object]] = {
    "timezone_str": lambda s: s.instruments.update(
        instrument().model_copy(update={"timezone_str": "Mars/X"})
    ),
    "api_url": lambda s: s.instruments.store_many(
        [instrument().model_copy(update={"api_url": "x"})]
    ),
    "location": lambda s: s.instruments.add(instrument("New").model_copy(update={"location": 5})),
    "error_message": lambda s: s.upload_logs.insert(
        upload().model_copy(update={"error_message": "a\0"})
    ),
    "success": lambda s: s.upload_logs.insert_many(
        [upload().model_copy(update={"success": "yes"})]
    ),
    "eror": lambda s: s.upload_logs.insert(upload().model_copy(update={"eror": "misspelt"})),
    "user": lambda s: s.session_logs.insert(log().model_copy(update={"user": "a\0"})),
    "session_identifier": lambda s: s.session_logs.insert_many(
        [log(), log().model_copy(update={"session_identifier": "a\0"})]
    ),
    "record_status": lambda s: s.session_logs.insert_many(
        [log(), log().model_copy(update={"record_status": "DONE"})]
    ),
    "event_type": lambda s: s.session_logs.insert(log().model_copy(update={"event_type": "GO"})),
    "external_id": lambda s: s.external_ids.store_many(
        [
            ExternalUserIdentifier(
                nexuslims_username="ned", external_system="nemo", external_id="1"
            ).model_copy(update={"external_id": ""})
        ]
    ),
}


@pytest.mark.parametrize("field", UNCHECKED)
def test_what_came_past_a_model_is_refused_by_its_field(field: str) -> None:
    with memory_store(instrument()) as store:
        before = [list(store.connection.execute(f"SELECT * FROM {table}")) for table in TABLES]
        with pytest.raises(ValidationError, match=field):
            UNCHECKED[field](store)
        after = [list(store.connection.execute(f"SELECT * FROM {table}")) for table in TABLES]
        assert after == before


@pytest.mark.parametrize("limit", [None, 0, 1, sys.maxsize])
def test_a_limit_that_can_be_counted_is_taken(limit: int | None) -> None:
    require_limit(limit)


@pytest.mark.parametrize("limit", [-1, sys.maxsize + 1])
def test_a_limit_beyond_is_refused(limit: int) -> None:
    with pytest.raises(InvalidValueError, match=f"limit is {limit}: give how many there may be"):
        require_limit(limit)


def test_a_limit_beyond_what_can_be_counted_is_refused_by_its_name() -> None:
    with memory_store() as store:
        for streamed in (store.sessions.iter_overview, store.upload_logs.iter_between):
            with pytest.raises(InvalidValueError, match="limit is 1180591620717411303424"):
                list(streamed(limit=2**70))


def test_a_backup_of_a_closed_store_says_that_it_is_closed() -> None:
    store = memory_store()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.backup("backup.db")


NOON = datetime(2025, 7, 1, 12)


def test_a_session_on_what_is_no_instrument_is_refused_by_the_arguments_name() -> None:
    with memory_store() as store, pytest.raises(TypeError, match=r"^instrument must be a str"):
        store.sessions.add("1", 7, NOON, NOON)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "odd",
    [
        (),
        ("2", "FEI-Titan", NOON),
        ("2", "FEI-Titan", NOON, NOON, None, "ERROR", "more"),
        {"session_identifier": "2", "instrument": "FEI-Titan", "start": NOON},
        {
            "session_identifier": "2",
            "instrument": "FEI-Titan",
            "start": NOON,
            "end": NOON,
            "colour": "",
        },
    ],
)
def test_a_session_of_a_batch_that_lacks_something_or_has_more_is_named(odd: Any) -> None:
    with memory_store() as store:
        store.instruments.add(instrument("FEI-Titan"))
        good = ("1", "FEI-Titan", NOON, NOON)
        with pytest.raises(TypeError, match="item 2 of sessions must have session_identifier, "):
            store.sessions.add_many([good, odd])
        assert store.session_logs.count() == 0
