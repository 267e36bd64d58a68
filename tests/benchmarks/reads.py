"""Reading: rows to models, look-ups, sessions to build, overviews of a large table."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from nexuslims_store import Store

from . import data
from .measure import Row, compare, expect, run

IN_ORDER = f"SELECT {data.ALL_COLUMNS} FROM session_log ORDER BY timestamp, id_session_log"

# What a careful person writes by hand, with the partial index there.
PAIRS = """
SELECT began.session_identifier, began.instrument, began.timestamp, ended.timestamp, began."user"
FROM session_log AS began
INNER JOIN session_log AS ended
    ON ended.session_identifier = began.session_identifier
    AND ended.instrument = began.instrument
    AND ended.event_type = 'END' AND ended.record_status = 'TO_BE_BUILT'
WHERE began.event_type = 'START' AND began.record_status = 'TO_BE_BUILT'
"""

PENDING = """
SELECT session_identifier, instrument, timestamp, event_type, "user"
FROM session_log WHERE +record_status = 'TO_BE_BUILT' AND event_type IN ('START', 'END')
"""

LATEST_FAILED = """
SELECT * FROM (
    SELECT *, row_number() OVER (
        PARTITION BY session_identifier, destination_name ORDER BY timestamp DESC, id DESC
    ) AS recency
    FROM upload_log
) WHERE recency = 1 AND success = 0
"""

INSTRUMENT = """
SELECT instrument_pid, api_url, calendar_url, location, display_name, property_tag,
    filestore_path, harvester, timezone FROM instruments WHERE {} = ?
"""

STREAM = """
import sys
from nexuslims_store import Store
with Store(sys.argv[1], read_only=True) as store:
    print(sum(1 for log in store.session_logs.iter_all()))
"""

HOLD = STREAM.replace("sum(1 for log in store.session_logs.iter_all())",
                      "len(list(store.session_logs.iter_all()))")  # fmt: skip


def all_logs(folder: Path, rows: int, rounds: int) -> Iterator[Row]:
    path = data.make(folder / f"{rows}.db", rows, 100)
    with Store(path, read_only=True) as store:
        connection = store.connection
        count = store.session_logs.count()

        def same(by_hand: list[tuple[Any, ...]], logs: list[Any]) -> bool:
            return len(by_hand) == len(logs) == count and sorted(
                (*tuple(log.model_dump().values())[:2], log.timestamp.isoformat(),
                 log.event_type.value, log.record_status.value, log.user, log.id_session_log)
                for log in logs
            ) == sorted(by_hand)  # fmt: skip

        held = compare(
            f"all {count} logs in time order, as a list",
            lambda: list(connection.execute(IN_ORDER)),
            lambda: list(store.session_logs.iter_all()),
            same=same,
            rounds=rounds,
            target=3.0,
            most="300 MB for 300,000",
        )
        streamed = compare(
            "the same, streamed",
            lambda: sum(1 for _ in connection.execute(IN_ORDER)),
            lambda: sum(1 for _ in store.session_logs.iter_all()),
            same=lambda by_hand, by_us: by_hand == by_us == count,
            rounds=rounds,
            target=2.2,
        )
        logs = list(store.session_logs.iter_all())
        expect([log.timestamp for log in logs] == sorted(log.timestamp for log in logs), held.work)
    for measured, code in ((held, HOLD), (streamed, STREAM)):
        ended = run(code, path)
        expect(ended.output == f"{count}\n", measured.work, ended.output)
        measured.megabytes = ended.megabytes
        yield measured


def to_build_by_hand(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """The sessions to build as tuples: times parsed, instruments looked up, in time order."""
    instruments = {
        row[0]: row for row in connection.execute("SELECT * FROM instruments").fetchall()
    }
    read = datetime.fromisoformat
    found = [
        (identifier, instruments[instrument], read(start), read(end), user)
        for identifier, instrument, start, end, user in connection.execute(PAIRS)
    ]
    found.sort(key=lambda one: one[2])
    return found


def same_sessions(by_hand: list[tuple[Any, ...]], sessions: list[Any]) -> bool:
    return [(one[0], one[1][0], *one[2:]) for one in by_hand] == [
        (one.session_identifier, one.instrument.name, one.dt_from, one.dt_to, one.user)
        for one in sessions
    ]


def to_build(folder: Path, rows: int, rounds: int, sizes: list[int]) -> Iterator[Row]:
    targets = {100: 1.5, 2_000: 1.3, 20_000: 1.6}
    # Kept open one at a time, as a builder does.
    for pending in targets:
        if pending * 3 > rows:
            continue
        path = data.make(folder / f"{rows}-{pending}.db", rows, pending)
        with Store(path, read_only=True) as store:
            yield compare(
                f"sessions to build, {pending} pending",
                partial(to_build_by_hand, store.connection),
                store.sessions.list_to_build,
                same=same_sessions,
                rounds=rounds,
                repeat=max(1, 2_000 // pending),
                target=targets[pending],
            )
    small, *larger = sizes
    first = data.make(folder / f"{small}.db", small, 100)
    for size in larger:
        path = data.make(folder / f"{size}.db", size, 100)
        with Store(first, read_only=True) as few, Store(path, read_only=True) as many:
            yield compare(
                f"sessions to build, 100 pending, {size} rows beside {small}",
                few.sessions.list_to_build,
                many.sessions.list_to_build,
                same=lambda few, many: len(few) == len(many) == 100,
                rounds=rounds,
                repeat=20,
                target=1.3,
            )


def without_own_index(folder: Path, rounds: int, sizes: list[int]) -> Iterator[Row]:
    """A file of NexusLIMS's own, which `migrate` never saw: beside a scan of the whole table."""
    for size in sizes:
        path = folder / f"{size}-bare.db"
        shutil.copyfile(data.make(folder / f"{size}.db", size, 100), path)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP INDEX nxs_session_log_to_build")
        with Store(path) as store:
            work = f"sessions to build, no own index, 100 pending, {size} rows"
            yield compare(
                work,
                partial(to_build_by_scan, store.connection),
                store.sessions.list_to_build,
                same=same_sessions,
                rounds=rounds,
                target=1.3,
            )

            def claim_and_release(store: Store = store) -> object:
                session = store.sessions.claim()
                assert session is not None
                store.sessions.release(session)
                return session.session_identifier

            yield compare(
                work.replace("sessions to build", "claim"),
                partial(to_build_by_scan, store.connection),
                claim_and_release,
                same=lambda by_hand, claimed: by_hand[0][0] == claimed,
                rounds=rounds,
                # A small table costs less than the two writes that a claim is.
                target=1.3 if size >= 100_000 else None,
            )
        path.unlink()


def to_build_by_scan(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """The same as `to_build_by_hand`, where no index helps."""
    instruments = {row[0]: row for row in connection.execute("SELECT * FROM instruments")}
    ends = {}
    starts = []
    for identifier, instrument, time, event, user in connection.execute(PENDING):
        if event == "START":
            starts.append((identifier, instrument, datetime.fromisoformat(time), user))
        else:
            ends[identifier, instrument] = datetime.fromisoformat(time)
    starts.sort(key=lambda one: one[2])
    return [(one[0], instruments[one[1]], one[2], ends[one[:2]], one[3]) for one in starts]


def failed_uploads(folder: Path, rounds: int, attempts: int) -> Iterator[Row]:
    """`list_failed` where one session was tried again and again."""
    paths = [folder / f"attempts-{number}.db" for number in (attempts, 8 * attempts)]
    for path, number in zip(paths, (attempts, 8 * attempts), strict=True):
        path.unlink(missing_ok=True)
        data.make(path, 300, 10)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executemany(
                "INSERT INTO upload_log (session_identifier, destination_name, success, timestamp,"
                " error_message) VALUES ('again', 'cdcs', 0, ?, 'no route to host')",
                ((f"2025-06-02T12:{n // 60 % 60:02}:{n % 60:02}+00:00",) for n in range(number)),
            )
    with Store(paths[0], read_only=True) as few, Store(paths[1], read_only=True) as many:
        yield compare(
            f"list_failed, {8 * attempts} attempts of a session",
            lambda: many.connection.execute(LATEST_FAILED).fetchall(),
            many.upload_logs.list_failed,
            same=lambda by_hand, failed: len(by_hand) == len(failed),
            rounds=rounds,
            target=2.0,
        )
        yield compare(
            f"list_failed, {8 * attempts} attempts beside {attempts}",
            few.upload_logs.list_failed,
            many.upload_logs.list_failed,
            same=lambda few, many: len(few) == len(many),
            rounds=rounds,
            target=10.0,
        )


def lookups(folder: Path, rows: int, rounds: int, repeat: int) -> Iterator[Row]:
    path = data.make(folder / f"{rows}.db", rows, 100)
    with Store(path, read_only=True) as store, closing(sqlite3.connect(path)) as connection:
        connection.isolation_level = None

        def one(sql: str, *parameters: object) -> Callable[[], Any]:
            return lambda: connection.execute(sql, parameters).fetchone()

        def is_instrument(by_hand: tuple[Any, ...], instrument: Any) -> bool:
            return by_hand == tuple(instrument.to_dict().values())

        def is_value(by_hand: tuple[Any, ...], value: str) -> bool:
            return by_hand == (value,)

        # External ids: both are bare texts.
        user_of = "SELECT nexuslims_username FROM external_user_identifiers"
        id_of = "SELECT external_id FROM external_user_identifiers"
        for work, floor, ours, same, target in (
            (
                "instrument by pid",
                one(INSTRUMENT.format("instrument_pid"), data.pid(3)),
                lambda: store.instruments.get(data.pid(3)),
                is_instrument,
                1.5,
            ),
            (
                "instrument by api_url",
                one(INSTRUMENT.format("api_url"), data.api_url(3)),
                lambda: store.instruments.get_by_api_url(data.api_url(3)),
                is_instrument,
                1.5,
            ),
            (
                "external id",
                one(f"{id_of} WHERE nexuslims_username = ? AND external_system = ?",
                    "user7", "nemo"),
                lambda: store.external_ids.get("user7", "nemo"),
                is_value,
                1.2,
            ),
            (
                "external id, reverse",
                one(f"{user_of} WHERE external_system = ? AND external_id = ?", "nemo", "7"),
                lambda: store.external_ids.find_username("7", "nemo"),
                is_value,
                1.2,
            ),
        ):  # fmt: skip
            yield compare(work, floor, ours, same=same, rounds=rounds, repeat=repeat, target=target)


def overviews(folder: Path, rows: int, rounds: int) -> Iterator[Row]:
    """What looks at all sessions; the floor is the same statement as short as can be."""
    path = data.make(folder / f"{rows}.db", rows, 100)
    with Store(path, read_only=True) as store:

        def all_of(sql: str) -> Callable[[], Any]:
            return lambda: store.connection.execute(sql).fetchall()

        uploads = store.connection.execute("SELECT max(session_identifier) FROM upload_log")
        (session,) = uploads.fetchone()
        yield compare(
            f"counts_by_status, {rows} rows",
            all_of(
                "SELECT record_status, count(*) FROM session_log WHERE event_type = 'START'"
                " GROUP BY record_status"
            ),
            store.sessions.counts_by_status,
            same=lambda by_hand, counts: dict(by_hand) == {k.value: n for k, n in counts.items()},
            rounds=rounds,
        )
        yield compare(
            f"instruments.activity, {rows} rows",
            all_of(
                "SELECT instrument, count(*), max(timestamp) FROM session_log"
                " WHERE event_type = 'START' GROUP BY instrument"
            ),
            store.instruments.activity,
            same=lambda by_hand, activity: (
                [one[:2] for one in by_hand]
                == [(one.instrument_pid, one.sessions_total) for one in activity]
            ),
            rounds=rounds,
        )
        yield compare(
            f"upload_logs.list_failed, {rows} rows",
            all_of(
                "SELECT * FROM upload_log WHERE success = 0"
                " ORDER BY session_identifier, destination_name"
            ),
            store.upload_logs.list_failed,
            same=lambda by_hand, failed: len(by_hand) == len(failed),
            rounds=rounds,
        )
        yield compare(
            f"upload_logs.latest, {rows} rows",
            lambda: store.connection.execute(
                "SELECT * FROM upload_log WHERE session_identifier = ?", (session,)
            ).fetchall(),
            lambda: store.upload_logs.latest(session),
            same=lambda by_hand, latest: len(by_hand) == len(latest) == 2,
            rounds=rounds,
            repeat=200,
        )
