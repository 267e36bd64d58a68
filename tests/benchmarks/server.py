"""A PostgreSQL server beside SQLite in rollback-journal mode, on the same disk.

The floor is this package on a file. The server's settings are those of its distribution. Where no
server can be started, there is nothing to measure.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from nexuslims_store import EventType, SessionLog, Store
from nexuslims_store.moving import move

from . import data
from .measure import ROOT, Row, compare, expect, row, run

PROCESSES = 8
AS_INSTALLED = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "128MB",
}

BUILD = f"""
import sys, time
from multiprocessing import get_context
from nexuslims_store import RecordStatus, Store

def build(place, number, gate, built):
    with Store(place, timeout=120) as store:
        gate.wait()
        for _ in range(number):
            session = store.sessions.claim()
            store.sessions.finish(session, RecordStatus.COMPLETED)
            built.put(session.session_identifier)

processes = get_context("fork")
place, number = sys.argv[1], int(sys.argv[2])
with Store(place, read_only=True) as store:  # imports what each builder would import for itself
    store.sessions.list_to_build()
gate, built = processes.Barrier({PROCESSES} + 1), processes.Queue()
builders = [
    processes.Process(target=build, args=(place, number, gate, built)) for _ in range({PROCESSES})
]
for builder in builders:
    builder.start()
gate.wait()
start = time.perf_counter()
sessions = {{built.get() for _ in range({PROCESSES} * number)}}
seconds = time.perf_counter() - start
for builder in builders:
    builder.join()
print(len(sessions), seconds)
"""


def measure(folder: Path, rows: int, rounds: int, claims: int, repeat: int) -> Iterator[Row]:
    """Measure with so many rows, claims of each process, and writes in a round."""
    sys.path.insert(0, str(ROOT / "tests"))
    from helpers.servers import Server, why_none

    if why_none():
        return
    server = Server(**AS_INSTALLED)
    try:
        server.execute("CREATE DATABASE measured")
        url = server.url("measured")
        pending = PROCESSES * claims * (rounds + 1)
        path = folder / "beside.db"
        shutil.copyfile(data.make(folder / f"{rows}-{pending}.db", rows, pending), path)
        move(path, url)
        server.execute("VACUUM ANALYZE", database="measured")
        yield _stream(path, url, rounds)
        yield _insert(path, url, rounds, repeat)
        yield _build(path, url, rounds, claims)
    finally:
        server.remove()
    path.unlink()


def _stream(path: Path, url: str, rounds: int) -> Row:
    with Store(path, read_only=True) as file, Store(url, read_only=True) as server:
        number = file.session_logs.count()
        return compare(
            f"all {number} logs streamed, from a server beside a file",
            lambda: sum(1 for _ in file.session_logs.iter_all()),
            lambda: sum(1 for _ in server.session_logs.iter_all()),
            same=lambda here, there: here == there == number,
            rounds=min(rounds, 5),
            target=2.0,
        )


def _insert(path: Path, url: str, rounds: int, repeat: int) -> Row:
    with Store(path) as file, Store(url) as server:

        def inserting(store: Store) -> Callable[[], object]:
            numbers = iter(range(40_000_000, 50_000_000))

            def insert() -> object:
                number = next(numbers)
                log = SessionLog(
                    session_identifier=data.session(number),
                    instrument=data.pid(number),
                    timestamp=datetime(2025, 6, 2, 12, tzinfo=UTC),
                    event_type=EventType.START,
                )
                return store.session_logs.insert(log).session_identifier

            return insert

        return compare(
            "insert one session log, on a server beside a file",
            inserting(file),
            inserting(server),
            same=lambda here, there: here == there,
            rounds=rounds,
            repeat=repeat,
        )


def _build(path: Path, url: str, rounds: int, claims: int) -> Row:
    pending = PROCESSES * claims * (rounds + 1)
    work = f"claim and finish, {PROCESSES} processes, {pending} pending, on a server"

    def build(place: object) -> float:
        sessions, seconds = run(BUILD, place, claims).output.split()
        expect(int(sessions) == PROCESSES * claims, work, sessions)
        return float(seconds) / (PROCESSES * claims)

    here, there = [], []
    for _ in range(rounds):
        here.append(build(path))
        there.append(build(url))
    return row(work, here, there, target=1.0)
