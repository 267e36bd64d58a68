"""Writing: one event, many events, a status, a claim; on disk and where syncing costs nothing."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nexuslims_store import EventType, RecordStatus, SessionLog, Store, UploadLog

from . import data
from .measure import Row, compare, compare_processes, expect

# The statement that a careful person writes: of two harvesters with the same event, one stores it.
INSERT_ONCE = f"""
INSERT INTO session_log ({data.COLUMNS})
SELECT ?1, ?2, ?3, ?4, ?5, ?6
WHERE NOT EXISTS (
    SELECT 1 FROM session_log
    WHERE session_identifier = ?1 AND instrument = ?2 AND event_type = ?4
)
RETURNING id_session_log
"""

FIND = f"""
SELECT {data.ALL_COLUMNS} FROM session_log
WHERE session_identifier = ? AND instrument = ? AND event_type = ?
"""

UPLOAD = """
INSERT INTO upload_log (session_identifier, destination_name, success, timestamp)
VALUES (?, ?, ?, ?) RETURNING id
"""

SET_STATUS = "UPDATE session_log SET record_status = ? WHERE session_identifier = ?"

INSERT_MANY_BY_HAND = f"""
import sqlite3, sys
from tests.benchmarks import data
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.executemany('''{INSERT_ONCE.partition("RETURNING")[0]}''',
                       data.events(int(sys.argv[2]), first=10_000_000))
connection.execute("COMMIT")
print(connection.execute("SELECT count(*) FROM session_log").fetchone()[0])
"""

INSERT_MANY = """
import sys
from nexuslims_store import SessionLog, Store
from tests.benchmarks import data
names = tuple(SessionLog.model_fields)
with Store(sys.argv[1]) as store:
    store.session_logs.insert_many(
        SessionLog(**dict(zip(names, event)))
        for event in data.events(int(sys.argv[2]), first=10_000_000)
    )
    print(store.session_logs.count())
"""

SEVERAL = 20
"""Writes in one measurement."""


def one_by_one(folder: Path, where: str, rows: int, rounds: int, targets: list[float | None]) \
        -> Iterator[Row]:  # fmt: skip
    original = data.make(folder / f"{rows}.db", rows, 100)
    paths = [folder / f"{where}-{name}.db" for name in ("floor", "ours")]
    for path in paths:
        shutil.copyfile(original, path)
    with Store(paths[1]) as store, closing(sqlite3.connect(paths[0])) as connection:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        new = {"floor": 20_000_000, "ours": 20_000_000}

        def event(number: int) -> dict[str, Any]:
            return {
                "session_identifier": data.session(number),
                "instrument": data.pid(number),
                "timestamp": datetime(2025, 6, 2, 12, tzinfo=UTC),
                "event_type": EventType.START,
                "record_status": RecordStatus.TO_BE_BUILT,
                "user": "user1",
            }

        def insert_by_hand() -> object:
            new["floor"] += 1
            one = event(new["floor"])
            values = (
                one["session_identifier"], one["instrument"], one["timestamp"].isoformat(),
                "START", "TO_BE_BUILT", "user1",
            )  # fmt: skip
            return connection.execute(INSERT_ONCE, values).fetchall()[0][0]

        def insert() -> object:
            new["ours"] += 1
            return store.session_logs.insert(SessionLog(**event(new["ours"]))).id_session_log

        yield compare(
            f"insert one session log, {where}",
            insert_by_hand,
            insert,
            same=lambda by_hand, by_us: by_hand == by_us,
            rounds=rounds,
            repeat=SEVERAL,
            target=targets[0],
        )

        known = event(20_000_001)
        found = SessionLog(**known)

        def find_by_hand() -> object:
            key = (known["session_identifier"], known["instrument"], "START")
            row = connection.execute(FIND, key).fetchone()
            return row if row[2:3] + row[5:6] == (known["timestamp"].isoformat(), "user1") else None

        yield compare(
            f"insert that finds the row, {where}",
            find_by_hand,
            lambda: store.session_logs.insert(found),
            same=lambda by_hand, by_us: by_hand[6] == by_us.id_session_log,
            rounds=rounds,
            repeat=10 * SEVERAL,
            target=1.6,
        )

        statuses = {"floor": 0, "ours": 0}
        names = (RecordStatus.COMPLETED, RecordStatus.ERROR)

        def set_by_hand() -> object:
            statuses["floor"] += 1
            values = (names[statuses["floor"] % 2], data.session(5))
            return connection.execute(SET_STATUS, values).rowcount

        def set_status() -> object:
            statuses["ours"] += 1
            return store.sessions.set_status(data.session(5), names[statuses["ours"] % 2])

        set_by_hand()
        set_status()
        yield compare(
            f"set_status, {where}",
            set_by_hand,
            set_status,
            same=lambda by_hand, by_us: by_hand == by_us == 3,
            rounds=rounds,
            repeat=SEVERAL,
            target=targets[1],
        )
        attempt: dict[str, Any] = {
            "session_identifier": data.session(5),
            "destination_name": "cdcs",
            "success": True,
            "timestamp": datetime(2025, 6, 2, 12, tzinfo=UTC),
        }

        def upload_by_hand() -> object:
            values = (*list(attempt.values())[:3], attempt["timestamp"].isoformat())
            return connection.execute(UPLOAD, values).fetchall()[0][0]

        yield compare(
            f"upload log, {where}",
            upload_by_hand,
            lambda: store.upload_logs.insert(UploadLog(**attempt)).id,
            same=lambda by_hand, by_us: by_hand == by_us,
            rounds=rounds,
            repeat=SEVERAL,
            target=targets[2],
        )
        expect(
            store.connection.execute("PRAGMA foreign_key_check").fetchall() == [], "foreign keys"
        )
    for path in paths:
        path.unlink()


def many(folder: Path, rows: int, events: int, rounds: int) -> Iterator[Row]:
    original = data.make(folder / f"{rows}.db", rows, 100)
    copy = folder / "many.db"
    yield compare_processes(
        f"insert_many of {events // 3 * 3} logs (process)",
        INSERT_MANY_BY_HAND,
        INSERT_MANY,
        copy,
        events // 3,
        rounds=rounds,
        target=1.6,
        before=lambda: shutil.copyfile(original, copy),
    )
    copy.unlink()


def index_cost(folder: Path, rows: int, rounds: int) -> Iterator[Row]:
    """What the package's own index costs: pending events inserted without it and with it."""
    original = data.make(folder / f"{rows}.db", rows, 100)
    paths = [folder / "without.db", folder / "with.db"]
    for path in paths:
        shutil.copyfile(original, path)
    with closing(sqlite3.connect(paths[0])) as bare, closing(sqlite3.connect(paths[1])) as indexed:
        bare.execute("DROP INDEX nxs_session_log_to_build")

        def insert(connection: sqlite3.Connection) -> int:
            connection.executemany(data.INSERT, data.events(500, 500, first=30_000_000))
            connection.rollback()
            return connection.total_changes

        yield compare(
            "1,000 pending events, with the index nxs_… and without",
            lambda: insert(bare),
            lambda: insert(indexed),
            same=lambda by_hand, by_us: by_hand == by_us,
            rounds=rounds,
        )
    for path in paths:
        path.unlink()


def claim_among_many(folder: Path, rounds: int, pending: int) -> Iterator[Row]:
    """Claim and finish, where the sessions to build are 16 times as many."""
    few, many = (
        data.make(folder / f"pending-{number}.db", 3 * number, number)
        for number in (pending, 16 * pending)
    )
    with Store(few) as short, Store(many) as long:

        def claim_and_finish(store: Store) -> object:
            session = store.sessions.claim()
            assert session is not None
            return store.sessions.finish(session, RecordStatus.COMPLETED)

        yield compare(
            f"claim and finish, {16 * pending} pending beside {pending}",
            lambda: claim_and_finish(short),
            lambda: claim_and_finish(long),
            same=lambda short, long: short == long == 3,
            rounds=rounds,
            repeat=10,
            target=8.0,
        )
    few.unlink()
    many.unlink()


def claim(folder: Path, rows: int, rounds: int) -> Iterator[Row]:
    """Claim and release; the floor reads the oldest pending START and writes the claim."""
    original = data.make(folder / f"{rows}.db", rows, 100)
    path = folder / "claim.db"
    shutil.copyfile(original, path)
    with Store(path) as store:
        connection = store.connection

        def by_hand() -> object:
            connection.execute("BEGIN IMMEDIATE")
            (oldest,) = connection.execute(
                "SELECT min(id_session_log) FROM session_log INDEXED BY nxs_session_log_to_build"
                " WHERE record_status = 'TO_BE_BUILT' AND event_type = 'START'"
            ).fetchone()
            row = connection.execute(
                f"SELECT {data.COLUMNS} FROM session_log WHERE id_session_log = ?", (oldest,)
            ).fetchone()
            now = datetime.now(UTC).isoformat()
            values = (*row[:2], now, "RECORD_GENERATION", "WAITING_FOR_END", "nexuslims")
            claimed = connection.execute(data.INSERT, values).lastrowid
            connection.execute("COMMIT")
            connection.execute("DELETE FROM session_log WHERE id_session_log = ?", (claimed,))
            return row[0]

        def by_us() -> object:
            session = store.sessions.claim()
            assert session is not None
            assert store.sessions.release(session)
            return session.session_identifier

        yield compare(
            f"claim and release, 100 pending, {rows} rows",
            by_hand,
            by_us,
            same=lambda by_hand, by_us: bool(by_hand) and bool(by_us),
            rounds=rounds,
            repeat=SEVERAL,
        )
    path.unlink()
