"""Whose a store is: the thread and the process that opened it, until it is closed."""

# ruff: noqa: PT012, PT031 -- what goes wrong inside a transaction is the point

from __future__ import annotations

import copy
import gc
import os
import pickle
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.interruptions import garbage_is_left_alone, interrupted
from helpers.platforms import posix
from helpers.support import (
    PID,
    SESSION,
    add_pair,
    contents,
    file_of,
    instrument,
    log,
    new_store,
    place_of,
    plainly,
    upload,
    write,
)

from nexuslims_store import Store, StoreError, forks

# -- whose it is -----------------------------------------------------------------------


def pids(store: Store) -> list[str]:
    """What another program sees."""
    return [row[0] for row in contents(store)["instruments"]]


def uses(store: Store) -> list[Callable[[], object]]:
    """Ways to use a store: reads, writes, iterators, transactions, the connection."""

    def transaction() -> None:
        with store.transaction():
            pytest.fail("a transaction was begun")

    return [
        store.instruments.list,
        lambda: store.instruments.add(instrument("Another")),
        lambda: store.instruments.find_by_path("/data/a.dm3", root="/data"),
        lambda: list(store.session_logs.iter_all()),
        lambda: store.session_logs.insert(log()),
        lambda: store.session_logs.insert_many([log()]),
        store.sessions.claim,
        lambda: list(store.sessions.iter_between(log().timestamp, log().timestamp)),
        lambda: store.upload_logs.insert(upload()),
        lambda: store.external_ids.get("ned", "nemo"),
        lambda: store.external_ids.remove("ned", "nemo"),
        lambda: store.connection,
        transaction,
        lambda: store.backup(file_of(store).with_name("copy.db")),
    ]


def refusals(store: Store) -> list[str]:
    """What each use is answered with."""
    answers = []
    for use in uses(store):
        with pytest.raises(StoreError) as caught:
            use()
        answers.append(str(caught.value))
    return answers


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    before = contents(store)
    store.close()
    store.close()
    assert all("closed" in answer for answer in refusals(store))
    assert contents(store) == before
    assert os.listdir(tmp_path) == [file_of(store).name]


def test_closing_rolls_an_open_transaction_back(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with pytest.raises(StoreError, match="closed"), store.transaction():
        store.instruments.add(instrument("A"))
        store.close()
    assert pids(store) == [PID]


def is_closed(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False


def test_closing_is_for_good_or_can_be_done_again_wherever_it_was_interrupted(
    tmp_path: Path,
) -> None:
    with new_store(tmp_path) as store:
        store.session_logs.insert_many(log(session_identifier=str(one)) for one in range(300))
        path = file_of(store)
    closed = []
    with plainly(path) as other:
        other.execute("PRAGMA busy_timeout = 0")
        for at in range(999):
            store = Store(path)
            connection = store.connection
            events = store.session_logs.iter_all()
            next(events)
            going_on = interrupted(store.close, at)
            closed.append(is_closed(connection))
            assert closed[-1] or not store._database.closed, at
            store.close()
            assert is_closed(connection), at
            other.execute("BEGIN EXCLUSIVE")  # no lock is left, of the half-read events either
            other.execute("ROLLBACK")
            if not going_on:
                break
    assert closed == sorted(closed)
    assert closed.count(True) > closed.count(False)  # once it has begun, it is done to the end
    assert len(closed) < 999


def test_another_thread_is_refused_and_does_no_harm(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        answers: list[str] = []

        def work() -> None:
            answers.extend(refusals(store))
            with pytest.raises(StoreError, match="thread"):
                store.close()

        with store.transaction():
            store.session_logs.insert(log())
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert answers
        assert all("thread" in answer for answer in answers)
        assert [len(rows) for rows in contents(store).values()] == [1, 1, 0, 0]


def test_an_iterator_in_another_thread_is_refused(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.session_logs.insert(log())
        events = store.session_logs.iter_all()
        caught: list[BaseException] = []

        def work() -> None:
            try:
                next(events)
            except StoreError as error:
                caught.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert "thread" in str(caught[0])
        assert store.session_logs.count() == 1


CHILD = """
import gc, os, sys
from nexuslims_store import Instrument, Store, StoreError

store = Store(sys.argv[1])
first, second = (
    store.instruments.get("First").model_copy(update={"instrument_pid": pid, "api_url": url})
    for pid, url in (("second", "http://2"), ("third", "http://3"))
)
events = store.session_logs.iter_all()
next(events)
with store.transaction():
    store.instruments.add(first)
    for leave in sys.argv[2:]:
        child = os.fork()
        if child == 0:
            add = lambda: store.instruments.add(second)
            for use in (store.instruments.list, add, lambda: list(events)):
                try:
                    use()
                except StoreError as error:
                    print(error)
                else:
                    os._exit(3)
            exec(leave)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, leave
        assert len(store.instruments.list()) == 2, leave
    store.instruments.add(second)
assert len(list(events)) == 1
store.close()
"""
LEAVES = (
    "sys.exit()",
    "store.close(); sys.exit()",
    "del store, events; gc.collect(); sys.exit()",
    "sys.stdout.flush(); os._exit(0)",
)


@pytest.mark.slow
@posix
@pytest.mark.usefixtures("each_store")
def test_a_forked_child_is_refused_and_does_no_harm(tmp_path: Path) -> None:
    """However it leaves: each way in a child of its own, in the middle of one transaction."""
    with new_store(tmp_path) as store:
        store.instruments.rename(PID, "First")
        add_pair(store, instrument="First")
    place = place_of(store)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, str(place), *LEAVES],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 3 * len(LEAVES)
    assert all("process" in line for line in result.stdout.splitlines())
    # What the parent wrote before and after its children lived is all there.
    assert [row[0] for row in contents(place)["instruments"]] == ["First", "second", "third"]
    if isinstance(place, Path):
        with plainly(place) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.usefixtures("each_store")
@pytest.mark.parametrize("any_thread", [True, False])
def test_what_a_child_begins_with_leaves_no_store_to_use(tmp_path: Path, any_thread: bool) -> None:
    closed = new_store(tmp_path, any_thread=any_thread)
    closed.close()
    (tmp_path / "open").mkdir()
    store = new_store(tmp_path / "open", any_thread=any_thread)
    for _ in range(2):  # once for a child of the child
        forks._abandon_all()
        for one, says in ((store, "belongs to the process that opened it"), (closed, "is closed")):
            for use in (one.instruments.list, one.instruments.activity, lambda: one.connection):  # noqa: B023
                with pytest.raises(StoreError, match=says):
                    use()
        store.close()


@pytest.mark.slow
@posix
@pytest.mark.usefixtures("each_store")
def test_a_forked_child_opens_a_store_of_its_own(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import os, sys
        from nexuslims_store import Store

        with Store(sys.argv[1]) as store:
            child = os.fork()
            if child == 0:
                with Store(sys.argv[1]) as own:
                    own.instruments.remove("First")
                sys.exit()
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert store.instruments.list() == []
    """)
    with new_store(tmp_path) as store:
        store.instruments.rename(PID, "First")
    place = str(place_of(store))
    subprocess.run([sys.executable, "-W", "error", "-c", code, place], check=True)


def test_a_store_that_is_not_closed_warns_and_lets_the_file_go(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    path = file_of(store)
    store.connection.execute("BEGIN EXCLUSIVE")
    with pytest.warns(ResourceWarning, match="unclosed <Store .*nexuslims"):
        del store
        gc.collect()
    write(path, "DELETE FROM instruments")


def test_a_store_that_another_thread_lets_go_of_is_none_of_its_to_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", odd.append)
    held = [new_store(tmp_path)]
    path = file_of(held[0])
    thread = threading.Thread(target=held.clear)
    with (
        garbage_is_left_alone(),  # what other tests left may tell of an error of its own
        pytest.warns(ResourceWarning, match="unclosed <Store .*nexuslims"),
    ):
        thread.start()
        thread.join()
    assert odd == []
    write(path, "DELETE FROM instruments")


def test_a_repository_keeps_its_store_open(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        add_pair(store)
    with pytest.warns(ResourceWarning, match="unclosed <Store .*nexuslims"):
        assert Store(store.path).sessions.get(SESSION) is not None
    with pytest.warns(ResourceWarning):
        assert len(list(Store(store.path).session_logs.iter_all())) == 2
    with pytest.warns(ResourceWarning), Store(store.path).transaction():
        pass
    write(file_of(store), "DELETE FROM session_log")


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_store_is_not_copied(tmp_path: Path, duplicate: Callable[[Store], object]) -> None:
    with new_store(tmp_path) as store:
        with pytest.raises(TypeError, match="open another Store"):
            duplicate(store)
        assert store.instruments.list() == [instrument()]


def test_sql_of_the_users_own(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.connection.execute("UPDATE instruments SET location = ?", ("elsewhere",))
        assert contents(store)["instruments"][0][3] == "elsewhere"
        with pytest.raises(sqlite3.OperationalError):
            store.connection.execute("SELECT * FROM no_such_table")
        with pytest.raises(sqlite3.IntegrityError):
            store.connection.execute(
                "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type, "
                "record_status) VALUES ('s', 'Nobody''s', '2025', 'START', 'ERROR')"
            )
