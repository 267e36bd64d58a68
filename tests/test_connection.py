"""How an SQLite file is opened: what is refused, what every connection has, what interrupts it."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast

import pytest
from helpers.interruptions import interrupted
from helpers.platforms import posix
from helpers.support import new_database, plainly

from nexuslims_store import DatabaseNotFoundError, NotANexusLIMSDatabaseError, StoreError
from nexuslims_store.connection import MEMORY, SQLiteDatabase, connect, leniently
from nexuslims_store.translation import ConstraintError


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a\0b", r"'a\\x00b' \(a NUL is in it\); check "),
        ("a\ud800", r"\(it is not UTF-8\); check "),
    ],
)
def test_a_name_that_no_file_can_have_is_refused(name: str, says: str) -> None:
    with pytest.raises(DatabaseNotFoundError, match=f"^no file can be at .*{says}"):
        connect(Path(name), mode="rw", timeout=1)


@posix
def test_a_device_is_no_empty_file() -> None:
    with pytest.raises(NotANexusLIMSDatabaseError, match="/dev/null is no file but a pipe, a"):
        connect(Path("/dev/null"), mode="rw", timeout=1)


def test_a_file_is_made_only_where_that_is_asked_for(tmp_path: Path) -> None:
    for mode, made in (("ro", False), ("rw", False), ("rwc", True)):
        path = tmp_path / mode
        try:
            with closing(connect(path, mode=mode, timeout=1)) as connection:  # type: ignore[arg-type]
                connection.execute("CREATE TABLE t (x)")
        except DatabaseNotFoundError:
            assert not made
        assert path.exists() is made


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_connection_that_was_interrupted_is_none(tmp_path: Path, in_memory: bool) -> None:
    path = MEMORY if in_memory else new_database(tmp_path)
    for at in range(999):
        made: list[sqlite3.Connection] = []
        going_on = interrupted(lambda: made.append(connect(path, mode="rw", timeout=1)), at)  # noqa: B023
        assert bool(made) is not going_on
        if not going_on:
            break
    with closing(made[0]) as connection:
        for pragma, value in (("foreign_keys", 1), ("trusted_schema", 0), ("cell_size_check", 1)):
            assert connection.execute(f"PRAGMA {pragma}").fetchone() == (value,)
        noon = "'1970-01-01T00:00:01+00:00', 'UTC'"
        for arguments in (noon, f"{noon}, NULL"):
            assert connection.execute(f"SELECT nxs_instant({arguments})").fetchone() == (1_000_000,)
        assert connection.isolation_level is None


def test_what_an_earlier_test_left_behind_is_not_interrupted_in_place_of_the_work() -> None:
    for _ in range(3):
        circle: list[object] = [SQLiteDatabase(MEMORY, timeout=0)]
        circle.append(circle)
        cast("SQLiteDatabase", circle[0]).close()
    del circle
    assert not interrupted(lambda: [[] for _ in range(100_000)], 0)  # enough to look for garbage
    gc.collect()


def test_texts_that_are_not_utf_8_are_read_inside_of_a_block_alone(tmp_path: Path) -> None:
    statement = "SELECT CAST(x'c3a9ff' AS TEXT)"
    with plainly(new_database(tmp_path)) as connection:
        with leniently(connection):
            assert connection.execute(statement).fetchone() == ("é\udcff",)
        with suppress(ZeroDivisionError), leniently(connection):
            raise ZeroDivisionError
        with pytest.raises(sqlite3.OperationalError, match="decode"):
            connection.execute(statement).fetchone()


# -- statements ------------------------------------------------------------------------


@pytest.fixture
def database() -> Iterator[SQLiteDatabase]:
    with closing(SQLiteDatabase(MEMORY, timeout=0)) as database:
        database.run_script(
            "CREATE TABLE t (x PRIMARY KEY);"
            "CREATE TABLE refers (x REFERENCES t (x));"
            "INSERT INTO t (x) VALUES (1), (2);"
        )
        yield database


NUMBERED = """
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :rows)
    SELECT CASE WHEN i IN (:one, :two) THEN CAST(x'61ff' AS TEXT) ELSE i END FROM n
"""


@pytest.mark.parametrize(
    ("rows", "one", "two"),
    [
        *((600, one, two) for one, two in ((0, 0), (599, 0), (255, 256), (1, 599), (9, 10))),
        *((rows, rows - 1, 5) for rows in (1, 255, 256, 257, 512)),
        *((rows, -1, -1) for rows in (0, 256, 257)),
    ],
)
def test_a_text_that_is_not_utf_8_loses_no_row_and_comes_in_its_place(
    database: SQLiteDatabase, rows: int, one: int, two: int
) -> None:
    parameters = {"rows": rows, "one": one, "two": two}
    expected = [("a\udcff" if i in (one, two) else i,) for i in range(rows)] or [(0,)]
    assert database.rows(NUMBERED, parameters) == expected
    chunks = list(database.stream(NUMBERED, parameters))
    assert [row for chunk in chunks for row in chunk] == expected
    assert [len(chunk) for chunk in chunks[:-1]] == [256] * (len(chunks) - 1)
    assert 0 < len(chunks[-1]) <= 256


USES: dict[str, Callable[[SQLiteDatabase, Any], object]] = {
    "rows": lambda database, x: database.rows("SELECT :x", {"x": x}),
    "change": lambda database, x: database.change("INSERT INTO t (x) VALUES (:x)", {"x": x}),
    "change_many": lambda d, x: d.change_many(
        "INSERT INTO t (x) VALUES (:x)", [{"x": 5}, {"x": x}]
    ),
    "stream": lambda database, x: list(database.stream("SELECT :x", {"x": x})),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (2**63, r"^a number beyond 64 bits cannot be stored or looked up \("),
        ("ab\ud800", r"^text that is not UTF-8 \(a lone surrogate, after 'ab'\) cannot be stored"),
        ([], r"^:memory:: .*type 'list' is not supported|^:memory:: .*unsupported type"),
    ],
)
def test_what_has_no_form_in_sqlite_is_refused(
    database: SQLiteDatabase, use: str, value: object, says: str
) -> None:
    with pytest.raises(StoreError, match=says), database.transaction():
        USES[use](database, value)
    assert database.rows("SELECT * FROM t") == [(1,), (2,)]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("end", "says"),
    [
        (SQLiteDatabase.close, "is closed; open it again"),
        (SQLiteDatabase.abandon, "belongs to the process that opened it; open another Store in"),
    ],
)
def test_what_is_closed_or_another_processs_says_so(
    database: SQLiteDatabase, use: str, end: Callable[[SQLiteDatabase], None], says: str
) -> None:
    stream = database.stream(NUMBERED, {"rows": 600, "one": -1, "two": -1})
    next(stream)
    end(database)
    with pytest.raises(StoreError, match=f"^the store of :memory: {says}"):
        USES[use](database, 1)
    with pytest.raises(StoreError, match=f"^the store of :memory: {says}"):
        next(stream)
    database.close()


# -- transactions ----------------------------------------------------------------------


def test_what_cannot_be_undone_hides_no_error(database: SQLiteDatabase) -> None:
    with database.transaction():
        with suppress(ZeroDivisionError), database.transaction():
            database.connection.execute("RELEASE nxs_1")
            raise ZeroDivisionError
        database.change("INSERT INTO t (x) VALUES (:x)", {"x": 3})
    with suppress(ZeroDivisionError), database.transaction():
        database.connection.execute("ROLLBACK")
        raise ZeroDivisionError
    assert database.rows("SELECT * FROM t") == [(1,), (2,), (3,)]
    with suppress(ZeroDivisionError), database.transaction():
        database.close()
        raise ZeroDivisionError


def test_foreign_keys_are_looked_at_in_the_end_of_one_block_alone(
    database: SQLiteDatabase,
) -> None:
    refer = "INSERT INTO refers (x) VALUES (:x)"
    with database.transaction(), database.deferred_foreign_keys():
        database.change(refer, {"x": 3})
        database.change("INSERT INTO t (x) VALUES (:x)", {"x": 3})
    with database.transaction():
        with suppress(ZeroDivisionError), database.deferred_foreign_keys():
            raise ZeroDivisionError
        with pytest.raises(ConstraintError, match="FOREIGN KEY"):
            database.change(refer, {"x": 4})
    with (
        pytest.raises(ConstraintError, match="UNIQUE"),  # and not that it was rolled back
        database.transaction(),
        database.deferred_foreign_keys(),
    ):
        database.change("INSERT OR ROLLBACK INTO t (x) VALUES (:x)", {"x": 1})
    with pytest.raises(ConstraintError, match="FOREIGN KEY"):
        database.change(refer, {"x": 4})
    assert database.rows("SELECT x FROM refers") == [(3,)]
