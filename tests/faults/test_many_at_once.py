"""Many processes and threads at work on one file: everything once, and no error."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from helpers.database_files import both_modes
from helpers.faults import tasks
from helpers.faults.files import INSTRUMENT, make, state
from helpers.faults.killing import Call, Forks
from helpers.faults.operations import NOW, SESSION
from helpers.support import HEAD

from nexuslims_store import DatabaseLockedError, RecordStatus, Store, migrations
from nexuslims_store.backup import copy, restore

pytestmark = pytest.mark.slow


MANY = 8

Crowd = Callable[..., list[Any]]


@pytest.fixture(params=["processes", "threads"])
def crowd(request: pytest.FixtureRequest) -> Crowd:
    """Runs tasks at the same time, each (name, path, arguments…), and returns their results."""
    if request.param == "processes":
        forks: Forks = request.getfixturevalue("forks")

        def in_processes(*calls: tuple[Any, ...]) -> list[Any]:
            outcomes = forks.run(
                *(Call(name, str(path), tuple(arguments)) for name, path, *arguments in calls)
            )
            assert not [outcome.trace for outcome in outcomes if outcome.error]
            return [outcome.result for outcome in outcomes]

        return in_processes

    def in_threads(*calls: tuple[Any, ...]) -> list[Any]:
        together = Barrier(len(calls))

        def work(call: tuple[Any, ...]) -> Any:
            name, path, *arguments = call
            together.wait()
            return getattr(tasks, name)(path, *arguments)

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(work, calls))

    return in_threads


def events(path: Path, like: str) -> list[tuple[str, str, int]]:
    """Return session, event, and how often it is stored."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT session_identifier, event_type, count(*) FROM session_log "
            "WHERE session_identifier LIKE ? GROUP BY 1, 2 ORDER BY 1, 2",
            (like,),
        ).fetchall()


def once(names: list[str]) -> list[tuple[str, str, int]]:
    return [(name, event, 1) for name in sorted(names) for event in ("END", "START")]


@both_modes
def test_the_same_events_are_stored_once(crowd: Crowd, memory: Path, wal: bool) -> None:
    path = make(memory / "a.db", wal=wal)
    names = [f"same {number}" for number in range(40)]
    others = [f"theirs {number}" for number in range(40)]
    before = len(events(path, "%"))
    crowd(
        ("write_as_nexuslims_does", path, others),
        *(("insert", path, names) for _ in range(3)),
        *(("insert_many", path, names) for _ in range(2)),
        *(("add", path, names) for _ in range(3)),
    )
    assert events(path, "same%") == once(names)
    assert events(path, "theirs%") == once(others)
    assert len(events(path, "%")) == before + 4 * 40


@both_modes
def test_different_events_are_all_stored(crowd: Crowd, memory: Path, wal: bool) -> None:
    path = make(memory / "a.db", wal=wal)
    names = {
        (number, task): [f"{task} {number} {session}" for session in range(20)]
        for number, task in enumerate(
            ["insert", "insert_many", "add", "write_as_nexuslims_does"] * 2
        )
    }
    crowd(*((task, path, sessions) for (_, task), sessions in names.items()))
    assert events(path, "% % %") == once([name for sessions in names.values() for name in sessions])


@both_modes
def test_an_identifier_is_stored_for_one_user(crowd: Crowd, memory: Path, wal: bool) -> None:
    path = make(memory / "a.db", wal=wal)
    ids = [str(number) for number in range(30)]
    refused = crowd(*(("store_ids", path, f"user {number // 2}", ids) for number in range(MANY)))
    with Store(path) as store:
        stored = store.external_ids.list()
    assert sorted(one.external_id for one in stored) == sorted(ids)
    # Each user is there twice, and stores a second time what is his.
    assert sum(refused) == MANY * len(ids) - 2 * len(ids)


@pytest.mark.parametrize("kind", ["new", "old", "old in WAL mode"])
def test_all_migrate_and_one_does_it(crowd: Crowd, memory: Path, kind: str) -> None:
    path = memory / "a.db"
    if kind != "new":
        make(path, "older", "v1_4_3", wal="WAL" in kind)
    before = state(path)
    names = [f"user {number}" for number in range(MANY)]
    changed = crowd(
        *(("migrate", path) for _ in range(MANY // 2)),
        *(("migrate_and_add", path, [name]) for name in names),
    )[: MANY // 2]
    assert sum(changed) <= 1
    assert migrations.pending(path) == []
    with Store(path) as store:
        assert sorted(one.nexuslims_username for one in store.external_ids.list()) == names
    backups = [state(backup) for backup in memory.glob("a_backup_*")]
    assert backups == ([] if kind == "new" else [before])


# -- claims --------------------------------------------------------------------------------------


def add_sessions(path: Path, number: int) -> set[str]:
    with Store(path) as store:
        store.sessions.set_status(SESSION, RecordStatus.COMPLETED)
        with store.transaction():
            for session in range(number):
                start = NOW - timedelta(days=session)
                store.sessions.add(f"session {session}", INSTRUMENT, start, start)
        return {session.session_identifier for session in store.sessions.list_to_build()}


def built(path: Path) -> list[str]:
    return sorted(tasks.built_file(path).read_text().split("\n")[:-1])


@both_modes
def test_builders_share_the_work(crowd: Crowd, memory: Path, wal: bool) -> None:
    path = make(memory / "a.db", wal=wal)
    sessions = add_sessions(path, 80)
    crowd(*(("build", path, 0, []) for _ in range(MANY)))
    assert built(path) == sorted(sessions)


@both_modes
def test_a_session_is_built_once_a_lease_though_builders_are_killed(
    forks: Forks, memory: Path, wal: bool
) -> None:
    path = make(memory / "a.db", wal=wal)
    sessions = add_sessions(path, 200)

    def build(hours_later: float, *deadly: str) -> list[str]:
        """Let all build, and return what is left."""
        outcomes = forks.run(*[Call("build", str(path), (hours_later, deadly))] * MANY)
        assert not [outcome.trace for outcome in outcomes if outcome.error]
        assert sum(outcome.killed for outcome in outcomes) == len(deadly)
        with Store(path) as store:
            left = [session.session_identifier for session in store.sessions.list_to_build()]
        assert built(path) == sorted(sessions - set(left))
        return left

    deadly = ["session 9", "session 100", "session 150"]
    assert set(build(0, *deadly)) == set(deadly)
    # They are their dead builders' for as long as the lease lasts; then others take over.
    assert set(build(0.9)) == set(deadly)
    assert build(1.1, "session 9") == ["session 9"]
    assert build(2.0) == ["session 9"]
    assert build(2.2) == []


def test_a_short_lease_by_the_clock_on_the_wall(forks: Forks, tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", wal=False)
    began = time.time()
    assert forks.one("claim_and_die", path).killed
    died = time.time()
    with Store(path) as store:
        while (session := store.sessions.claim(timedelta(seconds=1))) is None:
            assert time.time() < died + 10
            time.sleep(0.02)
        assert time.time() > began + 1
        assert session.session_identifier == SESSION


# -- a lock that stays ---------------------------------------------------------------------------

TIMEOUT = 0.4


def _write(path: Path) -> None:
    with Store(path, timeout=TIMEOUT) as store:
        store.external_ids.store("ada", "nemo", "1")


def _claim(path: Path) -> None:
    with Store(path, timeout=TIMEOUT) as store:
        store.sessions.claim()


def _open_and_migrate(path: Path) -> None:
    Store(path, migrate=True, timeout=TIMEOUT).close()


LOCKED: dict[str, Callable[[Path], object]] = {
    "Store": lambda path: Store(path, timeout=TIMEOUT),
    "Store, read-only": lambda path: Store(path, read_only=True, timeout=TIMEOUT),
    "Store, migrate": _open_and_migrate,
    "write": _write,
    "claim": _claim,
    "current": lambda path: migrations.current(path, timeout=TIMEOUT),
    "pending": lambda path: migrations.pending(path, timeout=TIMEOUT),
    "upgrade": lambda path: migrations.upgrade(path, timeout=TIMEOUT),
    "downgrade": lambda path: migrations.downgrade(path, timeout=TIMEOUT),
    "stamp": lambda path: migrations.stamp(path, HEAD, timeout=TIMEOUT),
    "backup": lambda path: copy(path, path.with_name("backup.db"), timeout=TIMEOUT),
    "restore": lambda path: restore(path.with_name("other.db"), path, timeout=TIMEOUT),
}
# A writer that has not committed yet is in the way of these only.
WRITING = ["write", "claim", "downgrade", "stamp", "restore"]


@pytest.mark.parametrize(
    ("lock", "name"),
    [*(("EXCLUSIVE", name) for name in LOCKED), *(("IMMEDIATE", name) for name in WRITING)],
)
def test_a_lock_is_waited_for_no_longer_and_no_shorter_than_the_timeout(
    tmp_path: Path, lock: str, name: str
) -> None:
    path = make(tmp_path / "a.db", wal=False)
    make(tmp_path / "other.db", wal=False)
    before = state(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"BEGIN {lock}")
        began = time.monotonic()
        with pytest.raises(DatabaseLockedError, match=r"a\.db is locked .* 0\.4 s"):
            LOCKED[name](path)
        waited = time.monotonic() - began
        connection.execute("ROLLBACK")
    assert TIMEOUT <= waited < TIMEOUT + 20
    assert state(path) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.db", "other.db"]
