"""What makes a table anew: which rows, values, indexes and triggers it has then, and what stays."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nexuslims_store.recognition.remaking import (
    around_views,
    as_stored,
    free_name,
    gets_numbers,
    giving_name_back,
    made_by,
    remake,
    taking_references_out,
    text_of,
    work,
)
from nexuslims_store.tables import read

PATH = Path("two words.db")
PARENT = "CREATE TABLE parent (p INTEGER PRIMARY KEY); INSERT INTO parent (p) VALUES (1), (2), (3);"


@pytest.fixture
def file() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def anew(
    file: sqlite3.Connection, sql: str, *, indexes: tuple[str, ...] = (), keep: bool = False
) -> list[str]:
    """Make the table t of a file anew."""
    contents = read(file)
    statements = remake(contents, contents.tables["t"], sql, indexes=indexes, keep=keep)
    assert statements is not None
    for statement in statements:
        file.execute(statement)
    return statements


def rows(file: sqlite3.Connection, query: str) -> list[tuple[Any, ...]]:
    return file.execute(query).fetchall()


def named(file: sqlite3.Connection) -> list[tuple[str, str]]:
    return [(one.name, one.sql or "") for one in read(file).named]


def tables(file: sqlite3.Connection) -> set[str]:
    return set(read(file).tables)


@pytest.mark.parametrize("keep", [False, True])
def test_values_go_to_the_columns_that_hold_them_before_and_after(
    file: sqlite3.Connection, keep: bool
) -> None:
    file.executescript(
        PARENT + "CREATE TABLE T (a, Plain_Then, x, k, g AS (a + 1), computed AS (a + 2), "
        "still AS (a + 3), r REFERENCES parent);"
        "INSERT INTO t (a, plain_then, x, k, r) VALUES (10, 11, 12, 13, 1), (20, 21, 22, 23, 2);"
    )
    anew(
        file,
        "CREATE TABLE t (new DEFAULT 'd', K, a, computed, plain_then AS (a + 4), still AS (a + 5))",
        keep=keep,
    )
    assert rows(file, "SELECT new, k, a, computed, plain_then, still FROM t") == [
        ("d", 13, 10, None, 14, 15),
        ("d", 23, 20, None, 24, 25),
    ]
    assert tables(file) == {"parent", "t"} | ({"nxs_t_former"} if keep else set())
    if keep:
        kept = file.execute("SELECT * FROM nxs_t_former")
        assert [column[0] for column in kept.description] == ["a", "Plain_Then", "x", "k", "r"]
        assert kept.fetchall() == [(10, 11, 12, 13, 1), (20, 21, 22, 23, 2)]


@pytest.mark.parametrize(
    ("keep", "refers", "left"),
    [
        (False, "", {"t"}),
        (True, "", {"t", "nxs_t_former_2"}),
        (False, "REFERENCES t", {"t"}),
        (True, "REFERENCES t", {"t", "nxs_t_former_2"}),
    ],
)
def test_what_stays_of_the_former_table_refers_to_nothing(
    file: sqlite3.Connection, keep: bool, refers: str, left: set[str]
) -> None:
    file.executescript(
        f"CREATE TABLE t (a INTEGER PRIMARY KEY, b {refers}, c AS (b)); CREATE INDEX one ON t (b);"
        "INSERT INTO t (a, b) VALUES (2, NULL), (7, 2); CREATE VIEW NXS_T_Former AS SELECT 1;"
    )
    anew(file, "CREATE TABLE t (a INTEGER PRIMARY KEY, b)", keep=keep)
    found = read(file).tables
    assert found.keys() == left
    assert [(name, found[name].references) for name in left if name != "t"] == [
        (name, ()) for name in left if name != "t"
    ]
    for name in left:
        assert rows(file, f"SELECT a, b FROM {name}") == [(2, None), (7, 2)]
    assert rows(file, "SELECT tbl_name FROM sqlite_master WHERE name = 'one'") == [("t",)]


def test_what_refers_to_it_or_reads_it_is_left_alone(file: sqlite3.Connection) -> None:
    file.executescript(
        "PRAGMA foreign_keys = ON; CREATE TABLE t (a INTEGER PRIMARY KEY, b UNIQUE, c);"
        "CREATE TABLE child (x REFERENCES t ON DELETE CASCADE); CREATE VIEW v AS SELECT b FROM t;"
        "CREATE TRIGGER told INSTEAD OF INSERT ON v BEGIN INSERT INTO t (b) VALUES (1); END;"
        "INSERT INTO t (a, b, c) VALUES (1, 2, 3); INSERT INTO child (x) VALUES (1);"
    )
    before = named(file)
    anew(file, "CREATE TABLE t (a INTEGER PRIMARY KEY, b, c)")
    assert not file.in_transaction
    assert set(named(file)) - set(before) == {("t", "CREATE TABLE t (a INTEGER PRIMARY KEY, b, c)")}
    assert {name for name, _ in before} - dict(named(file)).keys() == {"sqlite_autoindex_t_1"}
    assert rows(file, "SELECT x, b FROM child, v") == [(1, 2)]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(
    ("before", "after", "sequence"),
    [
        ("autoincrement", "AutoIncrement", [("other", 5), ("t", 9)]),
        ("AUTOINCREMENT", "", [("other", 5)]),
        ("", "AUTOINCREMENT", [("other", 5), ("t", 4)]),
    ],
)
def test_no_id_that_was_used_is_given_again(
    file: sqlite3.Connection, keep: bool, before: str, after: str, sequence: list[tuple[str, int]]
) -> None:
    file.executescript(
        "CREATE TABLE other (x INTEGER PRIMARY KEY AUTOINCREMENT);"
        "INSERT INTO other (x) VALUES (5);"
        f"CREATE TABLE t (a INTEGER PRIMARY KEY {before}, b); INSERT INTO t (a) VALUES (4), (9);"
        "DELETE FROM t WHERE a = 9;"
    )
    anew(file, f"CREATE TABLE t (a INTEGER PRIMARY KEY {after}, b)", keep=keep)
    named = "name IN ('t', 'other')"
    assert rows(file, f"SELECT name, seq FROM sqlite_sequence WHERE {named} ORDER BY 1") == sequence
    assert rows(file, "SELECT a FROM t") == [(4,)]


def test_a_file_that_counts_no_ids_is_not_asked_for_them(file: sqlite3.Connection) -> None:
    file.executescript("CREATE TABLE t (a INTEGER PRIMARY KEY)")
    assert "sqlite_sequence" not in " ".join(anew(file, "CREATE TABLE t (a INTEGER PRIMARY KEY)"))


def test_its_indexes_and_triggers_are_made_again_and_no_others(file: sqlite3.Connection) -> None:
    file.executescript(
        "CREATE TABLE other (x); CREATE INDEX of_other ON other (x);"
        "CREATE TRIGGER on_other AFTER INSERT ON other BEGIN SELECT 1; END;"
        "CREATE TABLE t (a, b UNIQUE); CREATE INDEX Given ON t (b); CREATE INDEX mine ON t (a\n);"
        "CREATE TRIGGER told AFTER INSERT ON T BEGIN INSERT INTO other (x) VALUES (new.a); END;"
        "INSERT INTO t (a, b) VALUES (1, 2); DELETE FROM other;"
    )
    statements = anew(
        file, "CREATE TABLE t (a, b UNIQUE)", indexes=("CREATE INDEX given ON t (a, b)",)
    )
    assert not any("other" in one for one in statements if one.startswith("DROP"))
    assert rows(
        file, "SELECT name, sql FROM sqlite_master WHERE sql > '' AND lower(tbl_name) = 't'"
    ) == [
        ("t", "CREATE TABLE t (a, b UNIQUE)"),
        ("given", "CREATE INDEX given ON t (a, b)"),
        ("mine", "CREATE INDEX mine ON t (a )"),
        (
            "told",
            "CREATE TRIGGER told AFTER INSERT ON T BEGIN INSERT INTO other (x) VALUES (new.a); END",
        ),
    ]
    assert rows(file, "SELECT x FROM other") == []
    assert len(rows(file, "SELECT 1 FROM sqlite_master WHERE tbl_name = 'other'")) == 3


NUMBERED, OTHERLY = "(a INTEGER PRIMARY KEY, b)", "(a, b INTEGER PRIMARY KEY)"
NO_ROWIDS = "(a PRIMARY KEY, b) WITHOUT ROWID"


@pytest.mark.parametrize(
    ("before", "after", "numbers"),
    [
        ("(a INTEGER, b)", NUMBERED, {"4": 4, "4.0": 5, "'4'": 6, "NULL": 7}),
        ("(a, b)", "(a INT PRIMARY KEY, b)", {"4": 4, "'x'": "x", "NULL": None}),
        (NUMBERED, NUMBERED, {"9": 9, "4": 4}),
        (NUMBERED, "(a INT, b)", {"9": 9, "4": 4}),
        ("(a, b)", NO_ROWIDS, {"9": 9, "4": 4}),
        (NO_ROWIDS, NUMBERED, {"4": 4, "9": 9}),
        (NO_ROWIDS, "(a PRIMARY KEY, b)", {"4": 4, "9": 9}),
    ],
)
def test_who_had_a_number_keeps_it(
    file: sqlite3.Connection, before: str, after: str, numbers: dict[str, object]
) -> None:
    file.execute(f"CREATE TABLE t {before}")
    for value in numbers:
        file.execute(f"INSERT INTO t (a, b) VALUES ({value}, ?)", (value,))
    anew(file, f"CREATE TABLE t {after}")
    assert dict(rows(file, "SELECT b, a FROM t")) == numbers


def test_rows_stay_in_their_order_with_their_own_rowids(file: sqlite3.Connection) -> None:
    file.executescript(
        "CREATE TABLE t (rowid, b);"
        "INSERT INTO t (_rowid_, rowid, b) VALUES (9, 1, 'x'), (3, 2, 'y')"
    )
    anew(file, "CREATE TABLE t (rowid PRIMARY KEY, b)")
    assert rows(file, "SELECT _rowid_, rowid, b FROM t ORDER BY _rowid_") == [
        (3, 2, "y"),
        (9, 1, "x"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "do_they"),
    [
        (NUMBERED, NUMBERED, False),
        ("(a, b)", NUMBERED, True),
        (OTHERLY, NUMBERED, True),
        (NUMBERED, "(a, b)", False),
        ("(a, b)", "(a, b)", False),
        ("(a INT PRIMARY KEY, b)", NUMBERED, True),
        (NUMBERED, "(a INT PRIMARY KEY, b)", False),
    ],
)
def test_which_rows_get_numbers(before: str, after: str, do_they: bool) -> None:
    there, becomes = (made_by(f"CREATE TABLE t {columns}") for columns in (before, after))
    assert gets_numbers(there, becomes) is do_they


@pytest.mark.parametrize(
    "value", ["1", "1.0", "1.5", "'1'", "'1.0'", "'x'", "x'31'", "NULL", "1e300"]
)
def test_a_value_is_as_a_column_of_a_type_stores_it(file: sqlite3.Connection, value: str) -> None:
    file.executescript(f"CREATE TABLE t (a); INSERT INTO t (a) VALUES ({value});")
    ((kind,),) = rows(file, f"SELECT typeof({as_stored('a', 'INTEGER')}) FROM t")
    file.executescript("CREATE TABLE s (a INTEGER); INSERT INTO s (a) SELECT a FROM t;")
    whole = value in {"1", "1.0", "'1'", "'1.0'"}
    assert kind == ("integer" if whole else rows(file, "SELECT typeof(a) FROM s")[0][0])


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t (a, a)",
        "CREATE TABLE t (a); SELECT 1",
        "CREATE TABLE t (a CHECK (a <> '\t'))",
        "CREATE TABLE another (a)",
    ],
)
def test_what_would_not_work_is_none(file: sqlite3.Connection, sql: str) -> None:
    file.execute("CREATE TABLE t (a)")
    contents = read(file)
    assert remake(contents, contents.tables["t"], sql, keep=True) is None


@pytest.mark.parametrize(
    ("references", "said"),
    [
        (1, "take the reference out of t, which keeps all its rows (sqlite3 'two words.db' "),
        (2, "take the references out of t, which keeps all its rows (sqlite3 'two words.db' "),
    ],
)
def test_references_are_taken_out_and_nothing_else(
    file: sqlite3.Connection, references: int, said: str
) -> None:
    file.executescript(
        "CREATE TABLE t (a REFERENCES p CHECK (a > 0), b UNIQUE REFERENCES q, c REFERENCES parent);"
        + PARENT
    )
    contents = read(file)
    table = contents.tables["t"]
    gone = [one for one in table.references if one.table in ("p", "q")[:references]]
    advice = taking_references_out(PATH, contents, table, gone)
    assert advice.startswith(said)
    file.executescript(shlex.split(advice[:-1])[-1])
    assert tables(file) == {"t", "parent"}
    left = read(file).tables["t"]
    assert {one.table for one in left.references} == {"p", "q", "parent"} - {r.table for r in gone}
    assert (left.columns, left.unique, left.checks) == (table.columns, table.unique, table.checks)


def test_references_that_no_command_takes_out(file: sqlite3.Connection) -> None:
    file.executescript(
        "CREATE TABLE t (a REFERENCES p, b, c CHECK (c <> '\t'), FOREIGN KEY (b, a) REFERENCES q)"
    )
    contents = read(file)
    table = contents.tables["t"]
    there = sorted(table.references, key=lambda one: one.columns)
    assert taking_references_out(PATH, contents, table, there) == (
        "make t anew in a copy of the file, without the reference of a; b, a"
    )


def test_a_name_that_nothing_has(file: sqlite3.Connection) -> None:
    file.executescript(
        "CREATE TABLE A (x); CREATE VIEW a_2 AS SELECT 1; CREATE INDEX A_3 ON a (x);"
        "CREATE TRIGGER a_4 AFTER INSERT ON a BEGIN SELECT 1; END; CREATE TABLE a_6 (x);"
    )
    contents = read(file)
    assert [free_name(contents, name) for name in ("a", "a_2", "a_6", "B")] == [
        *("a_5", "a_2_2", "a_6_2", "B")
    ]


def test_the_text_of_what_has_a_quote_in_its_name(file: sqlite3.Connection) -> None:
    file.executescript('CREATE TABLE "it\'s" (x)')
    (one,) = read(file).named
    assert rows(file, text_of(one)) == [(one.sql,)]


@pytest.mark.parametrize(
    ("script", "kind", "sql", "made"),
    [
        (
            "CREATE TABLE taken (x); CREATE TABLE own_taken (y);",
            "table",
            "CREATE TABLE taken (a)",
            {"taken": "(a)", "own_taken_2": "(x)", "own_taken": "(y)"},
        ),
        (
            "CREATE TABLE mine (x); CREATE UNIQUE INDEX taken ON mine (x);",
            "index",
            "CREATE TABLE taken (a)",
            {"taken": "(a)", "own_taken": 'UNIQUE INDEX "own_taken" ON mine (x)'},
        ),
        (
            "CREATE TABLE session_log (x); CREATE UNIQUE INDEX taken ON session_log (x);",
            "index",
            "CREATE INDEX taken ON session_log (x, x)",
            {"taken": "(x, x)", "own_taken": 'CREATE INDEX "own_taken" ON session_log (x)'},
        ),
        (
            "CREATE VIEW taken AS SELECT 1;",
            "view",
            "CREATE TABLE taken (a)",
            {"taken": "(a)", "own_taken": "SELECT 1"},
        ),
    ],
)
def test_a_name_is_given_back_and_what_had_it_has_another(
    file: sqlite3.Connection, script: str, kind: Any, sql: str, made: dict[str, str]
) -> None:
    file.executescript(script)
    contents = read(file)
    (own,) = (one for one in contents.of(kind) if one.name == "taken")
    command = giving_name_back(PATH, contents, own, sql)
    assert command.startswith("sqlite3 'two words.db' ")
    file.executescript(shlex.split(command)[-1])
    assert not file.in_transaction
    found = {name: text for name, text in named(file) if "taken" in name}
    assert found.keys() == made.keys()
    assert all(found[name].endswith(text) for name, text in made.items())


def test_views_and_triggers_are_out_of_the_way_of_statements_and_back(
    file: sqlite3.Connection,
) -> None:
    file.executescript(
        "CREATE TABLE t (a, b); CREATE VIEW dead AS SELECT x FROM nowhere;"
        "CREATE VIEW seen AS SELECT b FROM t;"
        "CREATE TRIGGER told INSTEAD OF INSERT ON seen BEGIN SELECT 1; END;"
    )
    before = named(file)
    drop = "ALTER TABLE t DROP COLUMN b"
    assert not work(read(file), [drop])
    statements = around_views(read(file), [drop])
    assert work(read(file), statements)
    for statement in statements:
        file.execute(statement)
    assert named(file) == [("t", "CREATE TABLE t (a)"), *before[1:]]


def test_what_a_view_takes_for_a_text_is_no_obstacle(file: sqlite3.Connection) -> None:
    file.executescript('CREATE TABLE t (a, b); CREATE VIEW v AS SELECT "display_name" FROM t;')
    assert work(read(file), ["ALTER TABLE t DROP COLUMN b"])
