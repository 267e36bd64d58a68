"""Streams: every row once, whatever is written meanwhile and whatever a row holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from helpers.support import PID, SESSION, file_of, new_store, upload, write

from nexuslims_store import InvalidRowError, Store, StoreError

NUMBER = 700  # several chunks

STREAMS: dict[str, Callable[[Store], Iterator[Any]]] = {
    "session_logs.iter_all": lambda s: s.session_logs.iter_all(),
    "sessions.iter_between": lambda s: s.sessions.iter_between(
        datetime(2025, 1, 1), datetime(2026, 1, 1)
    ),
    "sessions.iter_overview": lambda s: s.sessions.iter_overview(),
    "upload_logs.iter_between": lambda s: s.upload_logs.iter_between(),
}
every_stream = pytest.mark.parametrize("stream", STREAMS.values(), ids=list(STREAMS))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store in WAL mode, so that others can write while it reads, with many rows."""
    with new_store(tmp_path) as store:
        store.connection.execute("PRAGMA journal_mode = WAL")
        store.connection.execute("PRAGMA synchronous = OFF")
        with store.transaction():
            for number in range(NUMBER):
                minute = f"2025-06-{1 + number // 60:02}T08:{number % 60:02}"
                store.sessions.add(
                    f"{number:03}",
                    PID,
                    datetime.fromisoformat(f"{minute}:00+00:00"),
                    datetime.fromisoformat(f"{minute}:30+00:00"),
                )
                store.upload_logs.insert(
                    upload(session_identifier=f"{number:03}", timestamp=f"{minute}:59+00:00")
                )
        yield store


EVERYTHING_MOVED = (
    "UPDATE session_log SET timestamp = '2025-12-' || substr(timestamp, 9)",
    "UPDATE session_log SET session_identifier = 'moved ' || session_identifier",
    "UPDATE session_log SET id_session_log = id_session_log + 100000",
    "DELETE FROM session_log WHERE id_session_log % 3 = 0",
    "UPDATE upload_log SET timestamp = '2025-12-' || substr(timestamp, 9)",
    "UPDATE upload_log SET id = id + 100000, session_identifier = 'moved'",
    "DELETE FROM upload_log WHERE id % 3 = 0",
)


@every_stream
def test_what_another_program_writes_meanwhile_changes_nothing(
    store: Store, stream: Callable[[Store], Iterator[Any]]
) -> None:
    expected = list(stream(store))
    found = stream(store)
    first = next(found)
    write(store, *EVERYTHING_MOVED)
    assert [first, *found] == expected


@every_stream
def test_what_the_store_itself_writes_meanwhile_changes_nothing(
    store: Store, stream: Callable[[Store], Iterator[Any]]
) -> None:
    expected = list(stream(store))
    found = stream(store)
    first = next(found)
    for statement in EVERYTHING_MOVED:
        store.connection.execute(statement)
    store.sessions.add("later", PID, datetime(2025, 7, 1), datetime(2025, 7, 2))
    with pytest.raises(ZeroDivisionError), store.transaction():  # noqa: PT012
        store.session_logs.remove(1)
        raise ZeroDivisionError
    assert [first, *found] == expected


def test_a_text_that_is_not_utf_8_in_a_later_chunk_skips_and_repeats_nothing(
    store: Store,
) -> None:
    """Whoever writes between the chunks, and where a row is met that no model holds."""
    bad = 600
    expected = [log.id_session_log for log in store.session_logs.iter_all()]
    write(
        file_of(store),
        f"UPDATE session_log SET user = CAST(x'ff' AS TEXT) WHERE id_session_log = {expected[bad]}",
    )
    events = store.session_logs.iter_all()
    found = [next(events).id_session_log]
    write(store, *EVERYTHING_MOVED)
    with pytest.raises(InvalidRowError) as caught:
        found.extend(event.id_session_log for event in events)
    assert (caught.value.row_id, caught.value.column) == (expected[bad], "user")
    assert found == expected[:bad]


def test_rows_after_a_text_that_is_not_utf_8_come_once(store: Store) -> None:
    write(
        file_of(store),
        "UPDATE session_log SET user = CAST(x'ff41' AS TEXT) WHERE id_session_log % 50 = 0",
    )
    users = {overview.user for overview in store.sessions.iter_overview()}
    assert None in users
    found = [overview.session_identifier for overview in store.sessions.iter_overview()]
    assert sorted(found) == [f"{number:03}" for number in range(NUMBER)]
    # Ad-hoc SQL is as strict as before.
    with pytest.raises(sqlite3.OperationalError, match="UTF-8"):
        store.connection.execute("SELECT user FROM session_log").fetchall()


def test_a_write_that_returns_such_a_text_is_not_run_twice(store: Store) -> None:
    store.external_ids.store("ned", "nemo", "42", notes="x")
    write(store, "UPDATE external_user_identifiers SET notes = CAST(x'ff' AS TEXT)")
    before = store.connection.total_changes
    with pytest.raises(InvalidRowError, match="notes"):
        store.external_ids.store("ned", "nemo", "43")
    assert store.connection.total_changes == before + 1


def test_a_stream_that_is_closed_lets_others_write(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.upload_logs.insert_many(
            upload(session_identifier=f"{SESSION}{number}") for number in range(NUMBER)
        )
        attempts = store.upload_logs.iter_between()
        next(attempts)
        with closing(sqlite3.connect(file_of(store), isolation_level=None, timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("DELETE FROM upload_log")
            attempts.close()  # type: ignore[attr-defined]
            other.execute("DELETE FROM upload_log")


def test_a_stream_of_a_store_that_is_closed_lets_others_write(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.upload_logs.insert_many(
            upload(session_identifier=f"{SESSION}{number}") for number in range(NUMBER)
        )
        attempts = store.upload_logs.iter_between()
        next(attempts)
    write(store, "DELETE FROM upload_log")
    with pytest.raises(StoreError, match="closed"):
        list(attempts)
