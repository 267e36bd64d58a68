"""Many at once: real processes and threads, a store each, and everything done exactly once."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import pytest
from helpers.support import PID, SESSION, add_pair, contents, file_of, log, new_store, upload

from nexuslims_store import DuplicateError, EventType, RecordStatus, Store

pytestmark = pytest.mark.slow

WORKERS = 8
EVENTS = 5
SESSIONS = 12


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with one instrument."""
    with new_store(tmp_path) as store:
        return file_of(store)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """As many new processes; they share nothing with this one but the files."""
    context: BaseContext = multiprocessing.get_context("spawn")
    if sys.platform != "win32":  # one new process imports all, and the others are its forks
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        yield pool


def in_processes(pool: ProcessPoolExecutor, work: Callable[..., Any], path: Path) -> list[Any]:
    """Run work in all processes at once; it is called with the path and a number."""
    return list(pool.map(work, [path] * WORKERS, range(WORKERS)))


def in_threads(_: ProcessPoolExecutor, work: Callable[..., Any], path: Path) -> list[Any]:
    """Run work in as many threads, which begin together."""
    barrier = threading.Barrier(WORKERS)

    def begin(number: int) -> Any:
        barrier.wait()
        return work(path, number)

    with ThreadPoolExecutor(WORKERS) as executor:
        return list(executor.map(begin, range(WORKERS)))


everywhere = pytest.mark.parametrize("run", [in_processes, in_threads])


# -- what the workers do ---------------------------------------------------------------


def insert_same_events(path: Path, number: int) -> None:
    """Harvest the same sessions, in an order of one's own."""
    with Store(path, timeout=60) as store:
        for step in range(EVENTS):
            identifier = str((step + number) % EVENTS)
            for event_type in (EventType.START, EventType.END):
                store.session_logs.insert(log(event_type, session_identifier=identifier))


def insert_same_events_in_bulk(path: Path, number: int) -> tuple[int, ...]:
    """Harvest the same sessions in one transaction."""
    with Store(path, timeout=60) as store:
        return tuple(
            store.session_logs.insert_many(
                log(event_type, session_identifier=str(step))
                for step in range(EVENTS)
                for event_type in (EventType.START, EventType.END)
            )
        )


def add_sessions_and_look(path: Path, number: int) -> int:
    """Add sessions of one's own; count those seen without START or END."""
    halves = 0
    with Store(path, timeout=60) as store:
        for step in range(EVENTS):
            start = datetime(2025, 6, 1, number, step, tzinfo=UTC)
            store.sessions.add(f"{number}-{step}", PID, start, start + timedelta(minutes=1))
            halves += len(store.sessions.list_unpaired())
    return halves


def build(path: Path, number: int) -> list[str]:
    """Build records until there is nothing left to claim."""
    built = []
    with Store(path, timeout=60) as store:
        while session := store.sessions.claim():
            built.append(session.session_identifier)
            store.upload_logs.insert(
                upload(f"builder {number}", session_identifier=session.session_identifier)
            )
            store.sessions.finish(session, RecordStatus.COMPLETED)
    return built


def claim_all(path: Path, number: int) -> list[str]:
    """Claim as many sessions as one can get, and finish none."""
    with Store(path, timeout=60) as store:
        return [session.session_identifier for session in iter(store.sessions.claim, None)]


def expect_to_be_built(path: Path, number: int) -> int:
    """Be the one that takes the session from its status."""
    with Store(path, timeout=60) as store:
        return store.sessions.set_status(SESSION, "ERROR", expected="TO_BE_BUILT")


def store_same_ids(path: Path, number: int) -> set[int | None]:
    """Store the same ids of the same users."""
    with Store(path, timeout=60) as store:
        return {
            store.external_ids.store(f"user {step}", "nemo", str(step)).id for step in range(EVENTS)
        }


def want_the_same_id(path: Path, number: int) -> bool:
    """Store an id that only one user can have; return whether it was this one."""
    with Store(path, timeout=60) as store:
        try:
            store.external_ids.store(f"user {number}", "nemo", "the same")
        except DuplicateError:
            return False
        return True


# -- exactly once ----------------------------------------------------------------------


@everywhere
def test_an_event_that_all_insert_is_there_once(
    path: Path, pool: ProcessPoolExecutor, run: Callable[..., list[Any]]
) -> None:
    run(pool, insert_same_events, path)
    rows = Counter((row[1], row[4]) for row in contents(path)["session_log"])
    assert len(rows) == 2 * EVENTS
    assert set(rows.values()) == {1}


@everywhere
def test_events_that_all_insert_in_bulk_are_there_once(
    path: Path, pool: ProcessPoolExecutor, run: Callable[..., list[Any]]
) -> None:
    summaries = run(pool, insert_same_events_in_bulk, path)
    nothing_new, all_new = (0, 0, 2 * EVENTS), (2 * EVENTS, 0, 0)
    assert sorted(summaries) == [nothing_new] * (WORKERS - 1) + [all_new]
    assert len(contents(path)["session_log"]) == 2 * EVENTS


@everywhere
def test_a_session_is_never_seen_by_halves(
    path: Path, pool: ProcessPoolExecutor, run: Callable[..., list[Any]]
) -> None:
    assert run(pool, add_sessions_and_look, path) == [0] * WORKERS
    with Store(path) as store:
        assert len(store.sessions.list_to_build()) == WORKERS * EVENTS


@everywhere
def test_every_session_is_built_by_one_builder(
    path: Path, pool: ProcessPoolExecutor, run: Callable[..., list[Any]]
) -> None:
    with Store(path) as store, store.transaction():
        for number in range(SESSIONS):
            add_pair(store, str(number))
    built = sorted(int(identifier) for part in run(pool, build, path) for identifier in part)
    assert built == list(range(SESSIONS))
    found = contents(path)
    assert len(found["upload_log"]) == SESSIONS
    assert {row[5] for row in found["session_log"]} == {"COMPLETED"}
    assert len(found["session_log"]) == 3 * SESSIONS


@everywhere
def test_every_session_is_claimed_once(
    path: Path, pool: ProcessPoolExecutor, run: Callable[..., list[Any]]
) -> None:
    with Store(path) as store, store.transaction():
        for number in range(SESSIONS):
            add_pair(store, str(number))
    claimed = sorted(int(identifier) for part in run(pool, claim_all, path) for identifier in part)
    assert claimed == list(range(SESSIONS))


@everywhere
def test_one_of_many_finds_the_status_it_expects(
    path: Path, pool: ProcessPoolExecutor, run: Callable[..., list[Any]]
) -> None:
    with Store(path) as store:
        add_pair(store)
    assert sorted(run(pool, expect_to_be_built, path)) == [0] * (WORKERS - 1) + [2]


@everywhere
def test_an_id_that_all_store_is_there_once(
    path: Path, pool: ProcessPoolExecutor, run: Callable[..., list[Any]]
) -> None:
    ids = run(pool, store_same_ids, path)
    assert all(one == ids[0] for one in ids)
    assert len(contents(path)["external_user_identifiers"]) == EVENTS == len(ids[0])


@everywhere
def test_an_id_that_many_want_is_that_of_one(
    path: Path, pool: ProcessPoolExecutor, run: Callable[..., list[Any]]
) -> None:
    assert sorted(run(pool, want_the_same_id, path)) == [False] * (WORKERS - 1) + [True]
    assert len(contents(path)["external_user_identifiers"]) == 1
