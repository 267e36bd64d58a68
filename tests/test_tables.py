"""What a file's catalogue says of its tables, in one form for all who ask."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nexuslims_store.tables import (
    Column,
    Index,
    Named,
    Reference,
    dead_references,
    in_order,
    is_met,
    quoted,
    read,
    small,
    snapshot,
    why_dead,
)

SCHEMA = """
CREATE TABLE Parents (Id INTEGER PRIMARY KEY, Name TEXT UNIQUE, part TEXT, other);
CREATE UNIQUE INDEX Pair ON Parents (other, part);
CREATE UNIQUE INDEX some ON Parents (other) WHERE other > 0;
CREATE INDEX expr ON Parents (lower(name), part);
CREATE TABLE children (
  A INT NOT NULL DEFAULT 5, b TEXT DEFAULT (lower('x')), c AS (a + 1), d DEFAULT CURRENT_TIME,
  e DEFAULT 'it''s', f REFERENCES Parents, g DEFAULT -1.5, h,
  FOREIGN KEY (g, H) REFERENCES parents (Part, OTHER) ON UPDATE CASCADE ON DELETE SET NULL,
  CONSTRAINT one CHECK (a > 0), CHECK (b <> ''), PRIMARY KEY (b, a)
) WITHOUT ROWID;
CREATE VIEW seen AS SELECT id FROM parents;
CREATE TRIGGER told AFTER INSERT ON Parents BEGIN SELECT 1; END;
"""


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        yield connection


def test_columns_are_told_with_their_traits(connection: sqlite3.Connection) -> None:
    columns = read(connection).tables["children"].columns
    assert list(columns.values()) == [
        Column("A", "INT", True, "5", 2, False),
        Column("b", "TEXT", True, "lower('x')", 1, False),
        Column("c", "", False, None, 0, True),
        Column("d", "", False, "CURRENT_TIME", 0, False),
        Column("e", "", False, "'it''s'", 0, False),
        Column("f", "", False, None, 0, False),
        Column("g", "", False, "-1.5", 0, False),
        Column("h", "", False, None, 0, False),
    ]
    assert list(columns) == list("abcdefgh")
    assert [name for name, column in columns.items() if column.runs_code] == ["b", "c"]


def test_keys_indexes_and_references_are_told(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE keyed (k TEXT PRIMARY KEY)")
    tables = read(connection).tables
    parents, children = tables["parents"], tables["children"]
    assert list(tables) == ["parents", "children", "keyed"]
    assert [index._replace(sql=None) for index in parents.indexes] == [
        Index("Pair", ("other", "part"), True, False, False, None),
        Index("expr", ("(an expression)", "part"), False, False, False, None),
        Index("some", ("other",), True, True, False, None),
        Index("sqlite_autoindex_Parents_1", ("name",), True, False, False, None),
    ]
    assert [index.sql is None for index in parents.indexes] == [False, False, False, True]
    (of_key,) = tables["keyed"].indexes
    assert of_key == Index("sqlite_autoindex_keyed_1", ("k",), True, False, True, None)
    assert tables["keyed"].unique == frozenset()
    assert (parents.key, children.key) == (("id",), ("b", "a"))
    assert parents.unique == {("other", "part"), ("other",), ("name",)}
    assert children.unique == frozenset()
    assert set(children.references) == {
        Reference(("f",), "Parents", (), "NO ACTION", "NO ACTION"),
        Reference(("g", "h"), "parents", ("part", "other"), "CASCADE", "SET NULL"),
    }
    assert children.foreign_keys == {
        ("Parents", "f", "", "NO ACTION", "NO ACTION"),
        ("parents", "g", "part", "CASCADE", "SET NULL"),
        ("parents", "h", "other", "CASCADE", "SET NULL"),
    }
    assert children.checks == {"a > 0": "one", "b <> ''": None}
    assert children.check_names == ["one"]
    assert (parents.rowid, children.rowid) == ("rowid", None)
    assert (parents.is_numbered, children.is_numbered) == (True, False)


@pytest.mark.parametrize(
    ("columns", "rowid", "is_numbered"),
    [
        ("id INTEGER PRIMARY KEY", "rowid", True),
        ("id integer primary key, rowid, oid", "_rowid_", True),
        ("id INTEGER PRIMARY KEY, rowid, _ROWID_, OID", None, False),
        ("id INTEGER PRIMARY KEY DESC", "rowid", False),
        ("id INT PRIMARY KEY", "rowid", False),
        ("id INTEGER", "rowid", False),
        ("id INTEGER, other INTEGER, PRIMARY KEY (id, other)", "rowid", False),
    ],
)
def test_what_the_numbers_of_rows_are_called(
    columns: str, rowid: str | None, is_numbered: bool
) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE t ({columns})")
        table = read(connection).tables["t"]
    assert (table.rowid, table.is_numbered) == (rowid, is_numbered)


def test_only_what_is_asked_for_is_looked_at_closely(connection: sqlite3.Connection) -> None:
    contents = read(connection, ["parents", "seen", "none"])
    assert list(contents.tables) == ["parents"]
    assert contents.names("table", "view") == {"parents", "children", "seen"}
    assert [one.name for one in contents.of("index")] == ["Pair", "some", "expr"]
    assert contents.of("trigger")[0].table == "parents"


def test_what_can_be_run_again_comes_in_that_order(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE VIRTUAL TABLE words USING fts5 (word)")
    contents = read(connection)
    assert "words" not in contents.tables
    again = [one for one, _ in in_order(reversed(contents.named)) if "words" not in one.name]
    kinds = [one.kind for one in again]
    assert kinds == [*["table"] * 2, *["index"] * 3, "view", "trigger"]
    assert all(sql == one.sql for one, sql in in_order(contents.named))
    assert not [one for one, _ in in_order(contents.named) if one.name == "words"]


def test_a_name_is_quoted_and_made_small_as_sqlite_does_it() -> None:
    assert quoted('a "b"') == '"a ""b"""'
    assert (small("ABC"), small("ÄBC"), small(5)) == ("abc", "Äbc", "5")


def test_references_that_nothing_answers_are_dead(connection: sqlite3.Connection) -> None:
    connection.executescript(
        """
        CREATE INDEX plain ON parents (part);
        CREATE TABLE odd (
          a REFERENCES nowhere, b REFERENCES parents (part), c REFERENCES parents (Name),
          d REFERENCES parents (other), e REFERENCES children, f, g,
          FOREIGN KEY (f, g) REFERENCES children, FOREIGN KEY (g, f) REFERENCES parents (ID, part)
        );
        """
    )
    tables = read(connection).tables
    dead = {(table.name, one.columns) for table, one in dead_references(tables)}
    assert dead == {("odd", columns) for columns in (("a",), ("b",), ("d",), ("e",), ("g", "f"))}
    alive = [one for one in tables["odd"].references if is_met(one, tables)]
    assert {one.columns for one in alive} == {("c",), ("f", "g")}


TRIGGERS = {
    "AFTER INSERT ON parents": None,
    "BEFORE DELETE ON parents": None,
    "AFTER UPDATE ON parents": None,
    "AFTER UPDATE OF part, other ON parents": None,
    "INSTEAD OF INSERT ON seen": None,
    "INSTEAD OF DELETE ON seen": None,
    "INSTEAD OF UPDATE ON seen": None,
    "after update of part on parents": None,
}


@pytest.mark.parametrize("event", TRIGGERS)
@pytest.mark.parametrize("body", ["SELECT part FROM parents", "SELECT gone FROM parents"])
def test_a_trigger_is_compiled_and_not_run(
    connection: sqlite3.Connection, event: str, body: str
) -> None:
    connection.execute("INSERT INTO parents (id) VALUES (1)")
    connection.execute(f"CREATE TRIGGER judged {event} BEGIN {body}; END")
    (judged,) = (one for one in read(connection).of("trigger") if one.name == "judged")
    why = why_dead(connection, judged)
    assert why == (None if "part" in body.split() else "no such column: gone")
    assert connection.execute("SELECT count(*) FROM parents").fetchone() == (1,)


def test_a_trigger_of_a_column_that_is_gone_is_dead(connection: sqlite3.Connection) -> None:
    sql = "CREATE TRIGGER late AFTER UPDATE OF part, gone ON parents BEGIN SELECT 1; END"
    connection.execute(sql)
    assert why_dead(connection, Named("trigger", "late", "parents", sql)) == "no such column: gone"


def test_a_view_that_names_what_is_gone_is_dead(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE VIEW broken AS SELECT gone FROM parents")
    broken, seen = (Named("view", name, name, "") for name in ("broken", "seen"))
    assert why_dead(connection, seen) is None
    assert why_dead(connection, broken) == "no such column: gone"


def test_a_snapshot_is_of_one_moment_and_ends_what_it_began(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as one,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        one.execute("PRAGMA journal_mode = WAL")
        with snapshot(one):
            other.execute("CREATE TABLE t (a)")
            assert read(one).tables == {}
            assert [one.in_transaction] == [True]
        assert [one.in_transaction] == [False]
        assert list(read(one).tables) == ["t"]
        with snapshot(one):
            one.execute("ROLLBACK")  # by whoever uses the connection
        one.execute("BEGIN")
        with snapshot(one):
            one.execute("INSERT INTO t (a) VALUES (1)")
        assert [one.in_transaction] == [True]
        one.execute("ROLLBACK")
        assert one.execute("SELECT count(*) FROM t").fetchone() == (0,)
