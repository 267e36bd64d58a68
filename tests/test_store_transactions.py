"""Transactions of a store: all or nothing, nested, interrupted, on a full disk."""

# ruff: noqa: PT012 -- what goes wrong inside a transaction is the point

from __future__ import annotations

import sqlite3
import sys
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest
from helpers.support import (
    PID,
    SESSION,
    add_pair,
    contents,
    instrument,
    log,
    memory_store,
    new_database,
    new_store,
    upload,
)

from nexuslims_store import (
    EventType,
    StorageFullError,
    Store,
    StoreError,
    UnknownInstrumentError,
)

# -- transactions ----------------------------------------------------------------------


class MishapError(Exception):
    """Raised by a test inside a transaction."""


def pids(store: Store) -> list[str]:
    """What another program sees."""
    return [row[0] for row in contents(store)["instruments"]]


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    with Store(new_database(tmp_path)) as store:
        with store.transaction():
            store.instruments.add(instrument("A"))
            store.instruments.add(instrument("B"))
            assert pids(store) == []
        assert pids(store) == ["A", "B"]
        with pytest.raises(MishapError), store.transaction():
            store.instruments.remove("A")
            raise MishapError
        assert pids(store) == ["A", "B"]
        assert not store.connection.in_transaction


def test_transactions_nest(tmp_path: Path) -> None:
    with Store(new_database(tmp_path)) as store:
        with store.transaction():
            store.instruments.add(instrument("A"))
            with store.transaction():
                store.instruments.add(instrument("B"))
                with pytest.raises(MishapError), store.transaction():
                    store.instruments.add(instrument("C"))
                    with store.transaction():
                        store.instruments.add(instrument("D"))
                    raise MishapError
                store.instruments.add(instrument("E"))
            store.instruments.add(instrument("F"))
            assert pids(store) == []
        assert pids(store) == ["A", "B", "E", "F"]


def test_the_outermost_decides(tmp_path: Path) -> None:
    with Store(new_database(tmp_path)) as store:
        with pytest.raises(MishapError), store.transaction():
            with store.transaction():
                store.instruments.add(instrument("A"))
            raise MishapError
        assert pids(store) == []
        store.instruments.add(instrument("B"))
        assert pids(store) == ["B"]


def test_each_block_takes_a_statement_to_begin_and_one_to_end() -> None:
    with memory_store() as store:
        ran: list[str] = []
        store.connection.set_trace_callback(ran.append)
        with store.transaction():
            with store.transaction(), store.transaction():
                pass
            with pytest.raises(MishapError), store.transaction():
                raise MishapError
        with pytest.raises(MishapError), store.transaction():
            raise MishapError
    inner = ["SAVEPOINT nxs_1", "SAVEPOINT nxs_2", "RELEASE nxs_2", "RELEASE nxs_1"]
    undone = ["SAVEPOINT nxs_1", "ROLLBACK TO nxs_1", "RELEASE nxs_1"]
    whole = ["BEGIN IMMEDIATE", *inner, *undone, "COMMIT"]
    assert ran == [*whole, "BEGIN IMMEDIATE", "ROLLBACK"]


def test_a_stack_of_blocks_ends_them_in_turn(tmp_path: Path) -> None:
    with Store(new_database(tmp_path)) as store:
        with pytest.raises(MishapError), ExitStack() as stack:
            stack.enter_context(store.transaction())
            store.instruments.add(instrument("A"))
            raise MishapError
        with ExitStack() as stack:
            for pid in "BC":
                stack.enter_context(store.transaction())
                store.instruments.add(instrument(pid))
            assert pids(store) == []
        assert pids(store) == ["B", "C"]


def test_who_has_not_imported_asyncio_or_is_just_about_to_has_no_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for asyncio in (None, ModuleType("asyncio")):
        monkeypatch.setitem(sys.modules, "asyncio", asyncio)
        with memory_store() as store, store.transaction():
            add_pair(store)
            assert store.session_logs.count() == 2
        monkeypatch.delitem(sys.modules, "asyncio")
        with memory_store() as store, store.transaction():
            assert store.session_logs.count() == 0


def test_an_error_of_the_store_undoes_its_own_call_only(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        with store.transaction():
            store.session_logs.insert(log())
            with pytest.raises(UnknownInstrumentError):
                store.session_logs.insert_many([log(EventType.END), log(instrument="Nobody's")])
            store.upload_logs.insert(upload())
        found = contents(store)
        assert [len(found[table]) for table in ("session_log", "upload_log")] == [1, 1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_rolls_back_too(tmp_path: Path, error: type[BaseException]) -> None:
    with Store(new_database(tmp_path)) as store:
        with pytest.raises(error), store.transaction():
            store.instruments.add(instrument("A"))
            raise error
        assert pids(store) == []
        store.instruments.add(instrument("B"))


def test_a_transaction_of_the_users_own_is_joined(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.connection.execute("BEGIN")
        store.sessions.add(SESSION, PID, log().timestamp, log(EventType.END).timestamp)
        with pytest.raises(MishapError), store.transaction():
            store.instruments.add(instrument("A"))
            raise MishapError
        assert contents(store)["session_log"] == []
        store.connection.execute("COMMIT")
        assert len(contents(store)["session_log"]) == 2
        assert pids(store) == [PID]


@pytest.mark.parametrize("nested", [False, True])
def test_a_transaction_that_sqlite_rolled_back_is_noticed(tmp_path: Path, nested: bool) -> None:
    def lose(store: Store) -> None:
        store.instruments.add(instrument("A"))
        with pytest.raises(sqlite3.IntegrityError):
            store.connection.execute(
                "INSERT OR ROLLBACK INTO instruments SELECT * FROM instruments"
            )
        assert not store.connection.in_transaction
        for use in (
            store.instruments.list,
            store.session_logs.count,
            lambda: store.instruments.add(instrument("B")),
            lambda: list(store.session_logs.iter_all()),
        ):
            with pytest.raises(StoreError, match=r"rolled .* back"):
                use()

    with new_store(tmp_path) as store:
        with pytest.raises(StoreError, match=r"rolled .* back"), store.transaction():
            if nested:
                with store.transaction():
                    lose(store)
            else:
                lose(store)
        assert pids(store) == [PID]
        store.instruments.add(instrument("C"))
        assert pids(store) == [PID, "C"]


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
        store.connection.execute(f"PRAGMA max_page_count = {pages}")
        before = contents(store)
        large = upload(error_message="x" * 100_000)
        with pytest.raises(StorageFullError, match="free some space") as caught:
            store.upload_logs.insert(large)
        assert isinstance(caught.value.__cause__, sqlite3.Error)
        with pytest.raises(StorageFullError):
            store.upload_logs.insert_many([upload(), large])
        with pytest.raises(StorageFullError), store.transaction():
            add_pair(store)
            store.upload_logs.insert(large)
        assert contents(store) == before
        store.connection.execute("PRAGMA max_page_count = 100000")
        store.upload_logs.insert(large)


def test_the_store_in_memory_is_one_of_its_own_kind() -> None:
    with memory_store() as store:
        assert store.path == Path(":memory:")
        with store.transaction():
            add_pair(store)
        assert store.session_logs.count() == 2
        with pytest.raises(MishapError), store.transaction():
            store.sessions.delete(SESSION)
            raise MishapError
        assert store.session_logs.count() == 2
