"""Whose a store and a transaction are: threads, asyncio tasks, generators."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.interruptions import garbage_is_left_alone, interrupted
from helpers.platforms import posix
from helpers.support import (
    PID,
    add_pair,
    contents,
    file_of,
    in_transaction,
    instrument,
    log,
    memory_store,
    new_store,
    place_of,
    run,
)

from nexuslims_store import BackupError, DatabaseLockedError, SessionLog, Store, StoreError, turns

pytestmark = pytest.mark.usefixtures("each_store")


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path, any_thread=True, timeout=50) as store:
        yield store


def in_thread(work: Callable[[], Any]) -> Any:
    """Run work in a thread of its own, and raise or return what it does."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(work).result(timeout=60)


def pids(store: Store) -> list[str]:
    """What another program sees."""
    return [row[0] for row in contents(store)["instruments"]]


# -- any_thread=True -------------------------------------------------------------------


def test_it_goes_from_thread_to_thread_as_web_frameworks_hand_it(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        path = place_of(store)

    @contextmanager
    def dependency() -> Iterator[Store]:
        with Store(path, any_thread=True) as store:
            yield store

    def add(store: Store, request: int) -> None:
        add_pair(store, str(request))

    for request in range(5):
        given = dependency()
        store = in_thread(given.__enter__)
        in_thread(partial(add, store, request))
        assert in_thread(store.session_logs.count) == 2 * (request + 1)
        assert len(in_thread(partial(stream, store))) == 2 * (request + 1)
        in_thread(partial(given.__exit__, None, None, None))
        with pytest.raises(StoreError, match="closed"):
            store.session_logs.count()


def stream(store: Store) -> list[SessionLog]:
    """Read all events."""
    return list(store.session_logs.iter_all())


@pytest.mark.slow
def test_many_threads_use_one_store(shared: Store) -> None:
    def work(number: int) -> None:
        for step in range(20):
            with shared.transaction():
                add_pair(shared, f"{number}-{step}")
            assert len(shared.session_logs.list_for_session(f"{number}-{step}")) == 2
            sum(1 for _ in shared.session_logs.iter_all())

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(work, range(8)))
    assert len(contents(shared)["session_log"]) == 2 * 8 * 20
    assert not in_transaction(shared)


def test_a_call_waits_while_another_thread_is_in_a_transaction_and_no_longer(
    shared: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_LONGEST_NAP", shared._database.timeout)
    inside, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with shared.transaction():
            shared.instruments.add(instrument("A"))
            inside.set()
            assert may_end.wait(20)

    with ThreadPoolExecutor(2) as executor:
        holder = executor.submit(hold)
        assert inside.wait(20)
        waiter = executor.submit(shared.instruments.list)
        time.sleep(0.3)
        assert not waiter.done()
        may_end.set()
        assert [one.instrument_pid for one in waiter.result(20)] == ["A", PID]
        holder.result(20)


@pytest.mark.slow
def test_a_call_waits_no_longer_than_the_timeout(tmp_path: Path) -> None:
    with new_store(tmp_path, any_thread=True, timeout=0.2) as store, store.transaction():
        store.instruments.add(instrument("A"))
        uses: list[Callable[[], object]] = [
            store.instruments.list,
            lambda: store.instruments.add(instrument("B")),
            lambda: store.session_logs.insert_many([log()]),
            partial(stream, store),
            store.close,
        ]
        if store.path is not None:
            uses.append(lambda: store.backup(tmp_path / "copy.db"))
        for use in uses:
            with pytest.raises(DatabaseLockedError, match=r"another thread.*0\.2 s"):
                in_thread(use)
        assert not (tmp_path / "copy.db").exists()
        store.instruments.add(instrument("C"))
    assert pids(store) == [PID, "A", "C"]


def test_a_transaction_is_of_the_thread_that_begins_it_wherever_it_was_made(
    shared: Store,
) -> None:
    transaction = shared.transaction()

    def work() -> None:
        with transaction:
            shared.instruments.add(instrument("A"))

    in_thread(work)
    assert pids(shared) == [PID, "A"]


@pytest.mark.parametrize("error", [None, ZeroDivisionError()], ids=["commit", "error"])
def test_a_transaction_ends_in_its_own_thread(
    shared: Store, error: ZeroDivisionError | None
) -> None:
    transaction = shared.transaction()
    transaction.__enter__()
    shared.instruments.add(instrument("A"))
    end = partial(transaction.__exit__, type(error) if error else None, error, None)
    if error is None:
        with pytest.raises(StoreError, match="thread that began it"):
            in_thread(end)
    else:
        in_thread(end)
    # It is rolled back, and nobody waits for it.
    assert pids(shared) == [PID]
    assert in_thread(shared.session_logs.count) == 0
    shared.instruments.add(instrument("B"))
    assert pids(shared) == [PID, "B"]


def test_a_transaction_that_is_forgotten_blocks_nobody(shared: Store) -> None:
    def forget() -> None:
        transaction = shared.transaction()
        transaction.__enter__()
        shared.instruments.add(instrument("A"))

    in_thread(forget)
    assert in_thread(shared.session_logs.count) == 0
    assert pids(shared) == [PID]


def test_a_stream_holds_nothing_up_between_its_rows(shared: Store) -> None:
    run(
        shared,
        "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type, "
        "record_status) VALUES (?, ?, '2025-01-01T00:00:00+00:00', 'START', 'TO_BE_BUILT')",
        *((str(number), PID) for number in range(600)),
    )
    events = shared.session_logs.iter_all()
    next(events)
    in_thread(lambda: shared.instruments.add(instrument("A")))
    with pytest.raises(ZeroDivisionError):
        in_thread(lambda: fail_in_transaction(shared))
    assert sum(1 for _ in in_thread(partial(stream, shared))) == 600
    in_thread(events.close)  # type: ignore[attr-defined]


def fail_in_transaction(store: Store) -> None:
    with store.transaction():
        raise ZeroDivisionError


@pytest.mark.only_sqlite("backups of a server are made by its own program")
def test_a_backup_is_a_turn_and_never_of_half_a_transaction(shared: Store) -> None:
    copies = file_of(shared).parent
    with ThreadPoolExecutor(2) as executor:
        backups = executor.submit(
            lambda: [shared.backup(copies / f"copy {number}.db") for number in range(5)]
        )
        for number in range(30):
            with shared.transaction():
                add_pair(shared, str(number))
        for copy in backups.result(60):
            assert len(contents(copy)["session_log"]) % 2 == 0
    assert len(contents(shared)["session_log"]) == 60
    with shared.transaction(), pytest.raises(BackupError, match="inside a transaction"):
        shared.backup(copies / "half.db")


def test_without_any_thread_the_message_names_it(tmp_path: Path) -> None:
    with new_store(tmp_path) as store, pytest.raises(StoreError, match="any_thread=True"):
        in_thread(store.session_logs.count)


def test_another_thread_joins_no_transaction_of_a_store_that_is_not_its_own(
    tmp_path: Path,
) -> None:
    with new_store(tmp_path) as store:
        with store.transaction():
            store.instruments.add(instrument("A"))
            for use in (
                store.session_logs.count,
                lambda: store.instruments.add(instrument("B")),
                lambda: store.session_logs.insert_many([log()]),
                partial(stream, store),
                lambda: store.transaction().__enter__(),
            ):
                with pytest.raises(StoreError, match="belongs to the thread that opened it"):
                    in_thread(use)
        assert pids(store) == [PID, "A"]


def test_who_waits_for_a_turn_sleeps_meanwhile(tmp_path: Path) -> None:
    def wait() -> float:
        begun, at_work = time.monotonic(), time.thread_time()
        with pytest.raises(DatabaseLockedError, match=r"another thread .*, still after 0\.05 s; "):
            store.instruments.list()
        assert time.monotonic() - begun >= 0.05
        return time.thread_time() - at_work

    with (
        new_store(tmp_path, any_thread=True, timeout=0.05) as store,
        store.transaction(),
        garbage_is_left_alone(),  # to collect it is work too
    ):
        assert in_thread(wait) < 0.01


def test_a_transaction_that_is_forgotten_in_another_thread_is_not_joined(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        for add in (store.instruments.add, lambda one: store.instruments.store_many([one])):
            held = [store.transaction()]
            held[0].__enter__()
            store.instruments.add(instrument("A"))
            in_thread(held.clear)
            add(instrument(f"B{len(pids(store))}"))
        assert pids(store) == [PID, "B1", "B2"]


def test_a_call_that_was_interrupted_anywhere_keeps_nobody_waiting(tmp_path: Path) -> None:
    with new_store(tmp_path, any_thread=True, timeout=0) as store:
        for at in range(1000):
            going_on = interrupted(store.session_logs.count, at)
            assert in_thread(store.session_logs.count) == 0
            if not going_on:
                break
        assert at in range(15, 999)


FORKED = """
import os, sys, threading
from nexuslims_store import Store, StoreError

store = Store(sys.argv[1], any_thread=True, timeout=100)
inside, may_end = threading.Event(), threading.Event()

def hold():
    with store.transaction():
        inside.set()
        may_end.wait(60)

thread = threading.Thread(target=hold)
thread.start()
inside.wait(60)
child = os.fork()
if child == 0:
    try:
        store.session_logs.count()
    except StoreError as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
may_end.set()
thread.join()
print(store.session_logs.count())
store.close()
"""


@posix
def test_a_forked_child_does_not_wait_for_a_thread_it_has_not(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        path = place_of(store)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, str(path)],
        capture_output=True,
        text=True,
        timeout=60,  # less than the store's own
        check=True,
    )
    said, count = done.stdout.splitlines()
    assert "process" in said
    assert count == "0"


# -- asyncio ---------------------------------------------------------------------------


@pytest.mark.parametrize("any_thread", [False, True])
def test_a_task_does_not_join_the_transaction_of_another(tmp_path: Path, any_thread: bool) -> None:
    async def main(store: Store) -> None:
        inside, may_end = asyncio.Event(), asyncio.Event()

        async def holder() -> None:
            with store.transaction():
                store.instruments.add(instrument("A"))
                inside.set()
                await may_end.wait()
                store.instruments.add(instrument("B"))

        async def other() -> None:
            await inside.wait()
            for use in (
                store.instruments.list,
                lambda: store.instruments.add(instrument("C")),
                partial(stream, store),
                lambda: store.transaction().__enter__(),
            ):
                with pytest.raises(StoreError, match="asyncio task"):
                    use()
            may_end.set()

        await asyncio.gather(holder(), other())
        store.instruments.add(instrument("D"))

    with new_store(tmp_path, any_thread=any_thread) as store:
        asyncio.run(main(store))
        assert pids(store) == [PID, "A", "B", "D"]


def test_a_task_that_was_begun_inside_a_transaction_does_not_join_it_either(
    tmp_path: Path,
) -> None:
    async def main(store: Store) -> None:
        with store.transaction():
            store.instruments.add(instrument("A"))
            with pytest.raises(StoreError, match="asyncio task"):
                await asyncio.create_task(look(store))

    async def look(store: Store) -> None:
        store.instruments.list()

    with new_store(tmp_path) as store:
        asyncio.run(main(store))
        assert pids(store) == [PID, "A"]


def test_what_a_cancelled_task_had_open_is_rolled_back(tmp_path: Path) -> None:
    async def main(store: Store) -> None:
        async def holder() -> None:
            with store.transaction():
                store.instruments.add(instrument("A"))
                await asyncio.sleep(60)

        task = asyncio.create_task(holder())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        store.instruments.add(instrument("B"))

    with new_store(tmp_path) as store:
        asyncio.run(main(store))
        assert pids(store) == [PID, "B"]


# -- generators ------------------------------------------------------------------------


def test_a_suspended_generator_keeps_its_transaction(tmp_path: Path) -> None:
    def opened(store: Store) -> Iterator[None]:
        with store.transaction():
            yield

    with new_store(tmp_path) as store:
        transaction = opened(store)
        next(transaction)
        store.instruments.add(instrument("A"))
        assert pids(store) == [PID]
        next(transaction, None)
        assert pids(store) == [PID, "A"]

        transaction = opened(store)
        next(transaction)
        store.instruments.add(instrument("B"))
        del transaction
        assert pids(store) == [PID, "A"]
        assert not in_transaction(store)


def test_nothing_is_committed_around_a_transaction_that_is_still_open() -> None:
    def opened(store: Store) -> Iterator[None]:
        with store.transaction():
            store.instruments.add(instrument("A"))
            yield

    with memory_store() as store:
        with pytest.raises(StoreError, match="still open"), store.transaction():  # noqa: PT012
            inner = opened(store)
            next(inner)
        assert [one.instrument_pid for one in store.instruments.list()] == [PID]
        with pytest.raises(StoreError, match="ended before"):
            next(inner)
        store.instruments.add(instrument("B"))
        assert not in_transaction(store)


def test_a_thread_that_is_given_the_number_of_another_joins_nothing(tmp_path: Path) -> None:
    def held_open() -> Generator[None]:
        with store.transaction():
            yield

    def write() -> None:
        with pytest.raises(DatabaseLockedError, match="another thread of this program"):
            store.external_ids.store("ned", "nemo", "1")

    with new_store(tmp_path, any_thread=True, timeout=0.01) as store:
        holder = held_open()
        # The number of a thread that has ended is given to one of the next, mostly the first.
        for work in (lambda: next(holder), *[write] * 20):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join(60)
        holder.close()
        assert store.external_ids.list() == []


def test_a_transaction_is_for_one_block(tmp_path: Path) -> None:
    def add_and_fail() -> None:
        with transaction:
            store.external_ids.store("ned", "nemo", "1")
            raise KeyError

    with new_store(tmp_path) as store:
        transaction = store.transaction()
        with transaction:
            with pytest.raises(StoreError, match="one `with` block"), transaction:
                raise AssertionError("not reached")
            store.external_ids.store("ada", "nemo", "2")
        with pytest.raises(StoreError, match="one `with` block"):
            add_and_fail()
        assert store.external_ids.get("ned", "nemo") is None
        assert store.external_ids.get("ada", "nemo") == "2"
