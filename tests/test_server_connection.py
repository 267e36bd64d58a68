"""What the one connection to a server does, in whatever state something has left it."""

# ruff: noqa: PT012, SIM117 -- what goes wrong inside a block is the point

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, suppress
from typing import Any

import pytest

from nexuslims_store import DatabaseLockedError, StoreError
from nexuslims_store.opening import open_server
from nexuslims_store.queries import load

REMOVE = load("external_user_identifiers.sql").remove_external_id
A = {"nexuslims_username": "a", "external_system": "nemo"}
LIST = "SELECT nexuslims_username FROM external_user_identifiers ORDER BY 1"
SLOWLY = b"INSERT INTO external_user_identifiers (nexuslims_username, external_system, external_id,"
SLOWLY += b" created_at) SELECT 'slow', 'nemo', '9', 't' FROM pg_sleep(60)"
Database = Any  # psycopg is not installed everywhere


@pytest.fixture
def database(server_url: str) -> Iterator[Database]:
    with closing(open_server(server_url, timeout=30)) as database:
        yield database


def add(database: Database, name: str) -> None:
    database.connection.execute(
        "INSERT INTO external_user_identifiers (nexuslims_username, external_system, external_id,"
        " created_at) VALUES (%s, 'nemo', %s, 't')",
        (name, name),
    )


def users(database: Database) -> list[str]:
    return [name for (name,) in database.rows(LIST)]


def other(database: Database, **options: Any) -> Any:
    return closing(open_server(database.url, **options))


# -- closing ---------------------------------------------------------------------------


def test_only_its_own_thread_uses_and_closes_it(database: Database) -> None:
    connection = database.connection
    told: list[str] = []

    def try_all() -> None:
        for call in (database.close, lambda: database.rows(LIST), lambda: database.connection):
            try:
                call()
            except StoreError as error:
                told.append(str(error))

    thread = threading.Thread(target=try_all)
    thread.start()
    thread.join()
    assert [" belongs to the thread that opened it" in said for said in told] == [True] * 3
    assert (database.closed, connection.closed) == (False, False)
    for _ in range(2):
        database.close()
        assert (database.closed, connection.closed) == (True, True)
    for use in (database.rows, lambda _: database.connection):
        with pytest.raises(StoreError, match="is closed; open it again"):
            use(LIST)


def test_what_is_tried_on_a_closed_connection_is_told_why(database: Database) -> None:
    connection = database.connection
    database.close()
    with pytest.raises(StoreError, match="is closed; open it again"), database.translated():
        connection.execute("SELECT 1")


@pytest.mark.parametrize(("version", "will_do"), [(149999, False), (150000, True)])
def test_the_oldest_server_that_will_do(
    database: Database, monkeypatch: pytest.MonkeyPatch, version: int, will_do: bool
) -> None:
    monkeypatch.setattr("psycopg.ConnectionInfo.server_version", version)
    if will_do:
        open_server(database.url, timeout=30).close()
        return
    with pytest.raises(StoreError, match="nexuslims_store needs 15 or newer"):
        open_server(database.url)


def test_it_is_closed_whatever_interrupts_that(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = database.connection
    close = connection.close

    def interrupted() -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(connection, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        database.close()
    assert connection.close == close
    assert (connection.closed, database.closed) == (True, True)


def test_it_may_be_closed_inside_of_its_transactions(database: Database) -> None:
    with pytest.raises(StoreError, match="is closed; open it again"), database.transaction():
        add(database, "a")
        with database.transaction():
            database.close()
    with other(database, timeout=30) as again:
        assert users(again) == []


def test_who_forks_keeps_the_connection_and_the_child_has_none(database: Database) -> None:
    pid = database.connection.info.backend_pid
    database.abandon()
    gc.collect()
    with other(database, timeout=30) as another:
        there = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        assert another.connection.execute(there, (pid,)).fetchone() == (1,)
        another.connection.execute("SELECT pg_terminate_backend(%s::int)", (pid,))
    assert database.closed
    database.abandon()
    with pytest.raises(StoreError, match="belongs to the process that opened it"):
        database.rows(LIST)


# -- what an exception has left --------------------------------------------------------


def test_a_statement_that_was_interrupted_is_broken_off(database: Database) -> None:
    connection = database.connection
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE pid = %(pid)s AND wait_event = 'PgSleep'"

    def interrupt() -> None:
        connection.pgconn.send_query(SLOWLY)
        while another.rows(asleep, {"pid": connection.info.backend_pid}) == [(0,)]:
            pass

    with other(database, timeout=30) as another:
        interrupt()
        assert not database.in_transaction
        with database.transaction():
            add(database, "after")
        interrupt()
        assert users(database) == ["after"]


def test_many_that_were_interrupted_end_the_connection(database: Database) -> None:
    connection = database.connection
    connection.pgconn.enter_pipeline_mode()
    connection.pgconn.send_query_params(b"SELECT 1", None)
    for _ in range(2):
        with pytest.raises(StoreError, match=f"^{database.name.partition('?')[0]}.*is undone; op"):
            database.rows(LIST)
    assert (connection.closed, database.closed) == (True, True)


class Taken(AbstractContextManager[None]):
    """A lock that another statement has, and that lets who waits for it go on."""

    def locked(self) -> bool:
        return True

    def __exit__(self, *details: object) -> None:
        pass


def test_what_runs_is_left_to_who_runs_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = database.connection
    connection.pgconn.send_query(b"SELECT 1")
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(database._has_transaction()))
    thread.start()
    thread.join()
    with monkeypatch.context() as patch:
        patch.setattr(connection, "lock", Taken())
        found.append(database._has_transaction())
        with pytest.raises(StoreError, match="a statement runs, in whose midst another was to run"):
            database.rows(LIST)
    assert found == [True, True]
    assert database._has_transaction() is False


def test_what_ended_in_another_thread_is_undone_before_anything_else(database: Database) -> None:
    block = [database.transaction()]
    block[0].__enter__()
    add(database, "a")
    thread = threading.Thread(target=block.clear)
    thread.start()
    thread.join()
    assert database._open
    assert database.connection.info.transaction_status.name == "IDLE"
    assert not database._open


def test_what_could_not_be_undone_at_once_is_before_the_next_statement(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = database.connection
    connection.execute("BEGIN")
    add(database, "undone")
    with monkeypatch.context() as patch:
        patch.setattr(connection, "lock", Taken())
        database._attempt("ROLLBACK")
    assert users(database) == []
    connection.execute("BEGIN")
    add(database, "kept")
    assert users(database) == ["kept"]
    connection.execute("COMMIT")
    assert users(database) == ["kept"]


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("failed", [True, False])
def test_what_came_after_a_savepoint_is_undone_and_no_more(
    database: Database, is_there: bool, failed: bool
) -> None:
    connection = database.connection
    connection.execute("BEGIN")
    add(database, "before")
    if is_there:
        connection.execute("SAVEPOINT nxs_1")
        add(database, "after")
    if failed:
        with pytest.raises(StoreError):
            database.rows("SELECT 1 / 0")
    database._undo_to("nxs_1")
    lost = failed and not is_there
    assert connection.info.transaction_status.name == ("INERROR" if lost else "INTRANS")
    connection.execute("SAVEPOINT here") if not lost else None
    for name in () if lost else ("nxs_1", "nxs_undo"):
        with pytest.raises(StoreError, match="savepoint"):
            database.rows(f"RELEASE {name}")
        connection.execute("ROLLBACK TO here")
    connection.execute("COMMIT")
    assert users(database) == ([] if lost else ["before"])


def test_a_transaction_that_an_error_has_ended_is_not_said_to_be_committed(
    database: Database,
) -> None:
    with (
        pytest.raises(StoreError, match="an earlier error has rolled the open transaction back"),
        database.transaction(),
        suppress(StoreError),
    ):
        database.rows("SELECT 1 / 0")
    assert not database.in_transaction


# -- statements ------------------------------------------------------------------------


def test_what_is_only_read_waits_for_no_writer(database: Database) -> None:
    with other(database, timeout=0.05) as reader, database.transaction():
        assert users(reader) == []
        assert list(reader.stream(LIST)) == []
        with reader.snapshot():
            assert users(reader) == []
        with pytest.raises(DatabaseLockedError):
            reader.change(REMOVE, A)


CALLS: list[Callable[[Database], object]] = [
    lambda database: database.rows(LIST),
    lambda database: next(database.stream(LIST)),
    lambda database: database.change(REMOVE, A),
    lambda database: database.change_many(REMOVE, []),
]


@pytest.mark.parametrize("as_one", [True, False])
def test_no_statement_joins_the_transaction_of_another_task(
    database: Database, as_one: bool
) -> None:
    async def use() -> None:
        for call in CALLS:
            with pytest.raises(StoreError, match="another asyncio task has a transaction open"):
                call(database)

    async def main() -> None:
        with database.transaction(as_one=as_one):
            await asyncio.create_task(use())

    asyncio.run(main())


def test_how_many_rows_were_changed(database: Database) -> None:
    for name in ("a", "b"):
        add(database, name)
    others = [A | {"nexuslims_username": name} for name in ("b", "c")]
    with database.transaction(as_one=True):
        assert [database.change(REMOVE, A) for _ in range(2)] == [1, 0]
    assert [database.change_many(REMOVE, each) for each in (others, others, [])] == [1, 0, 0]


def test_the_rows_of_a_stream_are_let_go_when_its_transaction_is_over(database: Database) -> None:
    for name in ("a", "b"):
        add(database, name)
    held = "SELECT count(*) FROM pg_cursors WHERE starts_with(name, 'nxs')"
    assert list(database.stream(LIST)) == [[("a",), ("b",)]]
    assert database.rows(held) == [(0,)]
    with database.transaction():
        for _ in range(2):
            stream = database.stream(LIST)
            next(stream)
            stream.close()
        assert database.rows(held) == [(2,)]
    assert database.rows(held) == [(0,)]
    with suppress(KeyError), database.transaction():
        next(database.stream(LIST))
        raise KeyError
    assert users(database) == ["a", "b"]


PREPARED = "SELECT statement FROM pg_prepared_statements"


def test_nothing_that_begins_or_ends_something_is_prepared(database: Database) -> None:
    connection = database.connection
    for _ in range(3):
        list(database.stream(LIST))
        with database.transaction(), database.deferred_foreign_keys(), database.transaction():
            users(database)
    assert connection.execute(PREPARED, prepare=False).fetchall() == [(LIST,)]
    for _ in range(3):
        with suppress(KeyError), database.transaction():
            with suppress(KeyError), database.transaction():
                raise KeyError
            raise KeyError
        database._must_roll_back = True
        database._settle(connection)
    assert connection.execute(PREPARED, prepare=False).fetchall() == []


def test_foreign_keys_are_checked_at_the_end_of_the_block(database: Database) -> None:
    insert = (
        "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type,"
        " record_status) VALUES ('s', 'nowhere', 't', 'START', 'TO_BE_BUILT')"
    )
    rows = []
    with suppress(StoreError), database.transaction():
        with pytest.raises(StoreError, match="foreign key"), database.deferred_foreign_keys():
            database.rows(insert)
            rows = database.rows("SELECT count(*) FROM session_log")
    assert rows == [(1,)]
    with pytest.raises(StoreError, match="foreign key"):
        database.rows(insert)
    assert database.rows("SELECT count(*) FROM session_log") == [(0,)]


def test_only_the_first_line_of_what_the_server_says_is_told(database: Database) -> None:
    add(database, "a")
    with pytest.raises(StoreError) as caught:
        database.rows(
            "INSERT INTO external_user_identifiers (nexuslims_username, external_system,"
            " external_id, created_at) VALUES ('a', 'nemo', 'a', 't')"
        )
    assert "DETAIL" in str(caught.value.__cause__)
    assert "DETAIL" not in str(caught.value)
    assert "duplicate key value" in str(caught.value)


@pytest.mark.parametrize("text", ["\ud800", "a\x00b"])
def test_a_text_that_cannot_be_sent_ends_nothing(database: Database, text: str) -> None:
    with database.transaction():
        add(database, "a")
        with pytest.raises(StoreError, match="cannot be "):
            database.rows("SELECT %(text)s", {"text": text})
        assert users(database) == ["a"]


@pytest.mark.parametrize(
    ("said", "is_told"),
    [("error ignored terminating %r: %s", False), ("error ignored", True), (KeyError(), True)],
)
def test_what_follows_from_one_error_of_many_is_not_logged(
    database: Database, said: object, is_told: bool
) -> None:
    record = logging.makeLogRecord({"name": "psycopg", "msg": said})
    assert bool(logging.getLogger("psycopg").filter(record)) is is_told
