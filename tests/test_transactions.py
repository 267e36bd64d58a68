"""Every mutating method, alone, in a transaction, rolled back, and in a read-only store.

What was written is always looked at through a second, plain connection.
"""

# ruff: noqa: PT012 -- what goes wrong inside a transaction is the point

from __future__ import annotations

import inspect
import pickle
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from helpers.support import (
    PID,
    SESSION,
    Clock,
    add_pair,
    contents,
    in_transaction,
    instrument,
    log,
    new_store,
    place_of,
    session_of,
    upload,
)

from nexuslims_store import (
    DatabaseLockedError,
    EventType,
    ExternalUserIdentifier,
    ReadOnlyError,
    Session,
    Store,
)
from nexuslims_store.repository import (
    ExternalIdRepository,
    InstrumentRepository,
    SessionLogRepository,
    SessionRepository,
    UploadLogRepository,
)


def build(store: Store) -> None:
    with store.sessions.building(claimed(store)):
        pass


# What each method is called with, on a store that `filled` has filled. Each call changes a row.
MUTATORS: dict[str, Callable[[Store], object]] = {
    "instruments.add": lambda s: s.instruments.add(instrument("New")),
    "instruments.update": lambda s: s.instruments.update(instrument(location="elsewhere")),
    "instruments.remove": lambda s: s.instruments.remove("Unused"),
    "instruments.rename": lambda s: s.instruments.rename(PID, "Renamed"),
    "instruments.store_many": lambda s: s.instruments.store_many([instrument("New")]),
    "session_logs.insert": lambda s: s.session_logs.insert(log(session_identifier="new")),
    "session_logs.insert, correcting": lambda s: s.session_logs.insert(log(user="other")),
    "session_logs.insert_many": lambda s: s.session_logs.insert_many(
        [log(session_identifier="new"), log(EventType.END, user="other")]
    ),
    "session_logs.remove": lambda s: s.session_logs.remove(1),
    "sessions.add": lambda s: s.sessions.add(
        "new", PID, datetime(2025, 6, 3, 9), datetime(2025, 6, 3, 10)
    ),
    "sessions.add_many": lambda s: s.sessions.add_many(
        [("new", PID, datetime(2025, 6, 3, 9), datetime(2025, 6, 3, 10))]
    ),
    "sessions.delete": lambda s: s.sessions.delete(SESSION),
    "sessions.set_status": lambda s: s.sessions.set_status(SESSION, "COMPLETED"),
    "sessions.set_status, expecting": lambda s: s.sessions.set_status(
        SESSION, "COMPLETED", expected="TO_BE_BUILT"
    ),
    "sessions.reset": lambda s: s.sessions.reset("failed"),
    "sessions.reset_between": lambda s: s.sessions.reset_between(
        datetime(2025, 1, 1), datetime(2026, 1, 1)
    ),
    "sessions.record_generation": lambda s: s.sessions.record_generation(session_of(s)),
    "sessions.claim": lambda s: s.sessions.claim(),
    "sessions.release": lambda s: s.sessions.release(claimed(s)),
    "sessions.renew": lambda s: s.sessions.renew(claimed(s)),
    "sessions.finish": lambda s: s.sessions.finish(session_of(s, "claimed"), "ERROR"),
    "sessions.building": build,
    "sessions.finish, claimed": lambda s: s.sessions.finish(claimed(s), "ERROR"),
    "upload_logs.insert": lambda s: s.upload_logs.insert(upload()),
    "upload_logs.insert_many": lambda s: s.upload_logs.insert_many([upload(), upload("eln")]),
    "external_ids.store": lambda s: s.external_ids.store("new", "nemo", "43"),
    "external_ids.store, again": lambda s: s.external_ids.store("ned", "nemo", "43"),
    "external_ids.take_over": lambda s: s.external_ids.take_over("new", "nemo", "42"),
    "external_ids.store_many": lambda s: s.external_ids.store_many(
        [ExternalUserIdentifier(nexuslims_username="new", external_system="nemo", external_id="43")]
    ),
    "external_ids.remove": lambda s: s.external_ids.remove("ned", "nemo"),
}

# How methods are called that only read.
READS = re.compile(
    r"(get|find|list|iter|count|counts|oldest|overview|stored|latest|all_for|as_dict|activity"
    r"|was_exported)(_\w+)?"
)

every_mutator = pytest.mark.parametrize("mutate", MUTATORS.values(), ids=list(MUTATORS))


class MishapError(Exception):
    """Raised inside a transaction."""


def filled(folder: Path) -> Path | str:
    """A database with something for every method to change."""
    folder.mkdir(exist_ok=True)
    with new_store(folder, clock=Clock()) as store, store.transaction():
        store.instruments.add(instrument("Unused"))
        add_pair(store, "claimed", start="2025-06-01T09:00:00-04:00")
        _claim[:] = [pickle.dumps(store.sessions.claim())]
        add_pair(store)
        add_pair(store, "failed", record_status="ERROR")
        store.upload_logs.insert(upload(success=False))
        store.external_ids.store("ned", "nemo", "42")
        return place_of(store)


_claim: list[bytes] = []


def claimed(_: Store) -> Session:
    """The session that was claimed, sent by the process that did."""
    session: Session = pickle.loads(_claim[0])
    return session


@pytest.fixture
def place(tmp_path: Path, each_store: str) -> Path | str:
    return filled(tmp_path)


@pytest.fixture
def store(place: Path | str) -> Iterator[Store]:
    with Store(place, clock=Clock()) as store:
        yield store


def test_no_method_that_writes_is_missing_from_the_table() -> None:
    repositories = {
        "instruments": InstrumentRepository,
        "session_logs": SessionLogRepository,
        "sessions": SessionRepository,
        "upload_logs": UploadLogRepository,
        "external_ids": ExternalIdRepository,
    }
    with Store(":memory:") as store:
        handed_out = {
            name for name in dir(store) if type(getattr(store, name)) in repositories.values()
        }
        assert handed_out == set(repositories)
        for attribute, repository in repositories.items():
            assert type(getattr(store, attribute)) is repository
    writers = {
        f"{attribute}.{name}"
        for attribute, repository in repositories.items()
        for name, _ in inspect.getmembers(repository, callable)
        if not name.startswith("_") and not READS.fullmatch(name)
    }
    assert {name.partition(",")[0] for name in MUTATORS} == writers


@every_mutator
def test_in_a_transaction_it_is_part_of_it(
    store: Store, place: Path | str, mutate: Callable[[Store], object], tmp_path: Path
) -> None:
    before = contents(place)
    with store.transaction():
        mutate(store)
        assert in_transaction(store)
        assert contents(place) == before
    with Store(filled(tmp_path / "alone"), clock=Clock()) as alone:
        mutate(alone)
        assert contents(place) == contents(alone)


@every_mutator
def test_it_is_rolled_back_with_its_transaction(
    store: Store, mutate: Callable[[Store], object]
) -> None:
    before = contents(store)
    with pytest.raises(MishapError), store.transaction():
        mutate(store)
        raise MishapError
    assert contents(store) == before
    with store.transaction():
        with pytest.raises(MishapError), store.transaction():
            mutate(store)
            raise MishapError
        assert in_transaction(store)
    assert contents(store) == before
    # And it works as before, alone a transaction of its own.
    mutate(store)
    assert not in_transaction(store)
    assert contents(store) != before


def test_a_read_only_store_refuses_each(place: Path | str) -> None:
    before = contents(place)
    with Store(place, read_only=True, clock=Clock()) as store:

        def refuses(mutate: Callable[[Store], object]) -> bool:
            try:
                mutate(store)
            except ReadOnlyError:
                return not in_transaction(store)
            return False

        assert [name for name, mutate in MUTATORS.items() if not refuses(mutate)] == []
    assert contents(place) == before


@pytest.mark.only_sqlite("a COMMIT of PostgreSQL waits for no reader")
def test_a_transaction_that_is_kept_is_over_all_the_same(place: Path) -> None:
    """What could not begin, and what could not be committed, though something refers to it."""
    with Store(place, timeout=0) as store, closing(sqlite3.connect(place)) as other:
        never_begun, never_committed = store.transaction(), store.transaction()
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseLockedError):
            never_begun.__enter__()
        other.rollback()
        store.instruments.add(instrument("A"))

        never_committed.__enter__()
        store.instruments.add(instrument("B"))
        other.execute("BEGIN")
        other.execute("SELECT * FROM instruments").fetchone()
        with pytest.raises(DatabaseLockedError):
            never_committed.__exit__(None, None, None)
        other.rollback()
        store.instruments.add(instrument("C"))
        assert not store.connection.in_transaction
    pids = [row[0] for row in contents(place)["instruments"]]
    assert [pid for pid in pids if len(pid) == 1] == ["A", "C"]
