"""What tables a file has: one look at SQLite's catalogue, the same for all who ask.

Names are keys in small letters, since SQLite ignores their case; `name` is as somebody wrote it.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from typing import Literal, NamedTuple

from nexuslims_store.connection import leniently

Kind = Literal["table", "view", "index", "trigger"]

_NAMED_CHECK = r"""(?i)CONSTRAINT\s+["'`\[]?(\w+)["'`\]]?\s+CHECK\b"""
_LITERAL = r"(?i)NULL|TRUE|FALSE|CURRENT_(?:DATE|TIME|TIMESTAMP)|[+-]?[\d.]+|'(?:[^']|'')*'"


class Column(NamedTuple):
    """A column of a table.

    Attributes
    ----------
    type
        As declared; "" for none.
    default
        The text of its default, None for none.
    key
        Its place in the primary key, from 1; 0 for a column outside of it.
    generated
        Whether SQLite computes its values.
    """

    name: str
    type: str
    not_null: bool
    default: str | None
    key: int
    generated: bool

    @property
    def runs_code(self) -> bool:
        """Whether an expression of its author's runs when a row is read or written."""
        default = self.default
        return self.generated or (default is not None and re.fullmatch(_LITERAL, default) is None)


class Index(NamedTuple):
    """An index, made by a statement or, where `sql` is None, by a constraint of its table."""

    name: str
    columns: tuple[str, ...]
    unique: bool
    partial: bool
    of_key: bool
    sql: str | None


class Reference(NamedTuple):
    """A foreign key: its columns, in small letters, and the table that they refer to.

    Attributes
    ----------
    to
        The columns referred to; none where it is that table's key, whatever it is called.
    """

    columns: tuple[str, ...]
    table: str
    to: tuple[str, ...]
    on_update: str
    on_delete: str


class Table(NamedTuple):
    """A table, its columns in their order by their names in small letters."""

    name: str
    sql: str
    columns: dict[str, Column]
    indexes: tuple[Index, ...]
    references: tuple[Reference, ...]

    @property
    def foreign_keys(self) -> frozenset[tuple[str, ...]]:
        """Each as table, column, column referred to, what an update does, what a deletion does."""
        return frozenset(
            (one.table, column, to, one.on_update, one.on_delete)
            for one in self.references
            for column, to in zip(one.columns, one.to or ("",) * len(one.columns), strict=True)
        )

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the primary key; none where another program made the table anew."""
        placed = sorted((column.key, name) for name, column in self.columns.items() if column.key)
        return tuple(name for _, name in placed)

    @property
    def unique(self) -> frozenset[tuple[str, ...]]:
        """The columns of each UNIQUE, those of indexes included, but for the primary key."""
        return frozenset(i.columns for i in self.indexes if i.unique and not i.of_key)

    @property
    def rowid(self) -> str | None:
        """What SQLite calls the numbers of its rows; None where they have none, or a name hides it.

        A column of the facility's own may be called so too.
        """
        from nexuslims_store import ddl  # noqa: PLC0415 -- opening a store does not need it

        if "WITHOUT ROWID" in ddl.options(self.sql):
            return None
        return next((n for n in ("rowid", "_rowid_", "oid") if n not in self.columns), None)

    @property
    def is_numbered(self) -> bool:
        """Whether its key is the number of a row, which SQLite gives where none is given."""
        return (
            len(self.key) == 1
            and self.rowid is not None
            and self.columns[self.key[0]].type.upper() == "INTEGER"
            and not any(index.of_key for index in self.indexes)
        )

    @property
    def checks(self) -> dict[str, str | None]:
        """The CHECKs: rule to name."""
        from nexuslims_store import ddl  # noqa: PLC0415 -- opening a store does not need it

        return ddl.checks(self.sql)

    @property
    def check_names(self) -> list[str]:
        """The names of the CHECKs that have one, in their order."""
        return re.findall(_NAMED_CHECK, self.sql)


class Named(NamedTuple):
    """Anything with a name in a file's catalogue: kind, name, the table it is on, SQL."""

    kind: Kind
    name: str
    table: str
    sql: str | None


class Contents(NamedTuple):
    """What one look at a file found: the tables that were asked for, and the names of all else."""

    tables: dict[str, Table]
    named: tuple[Named, ...]

    def names(self, *kinds: Kind) -> frozenset[str]:
        """Return the names of all tables, views, indexes or triggers, in small letters."""
        return frozenset(small(one.name) for one in self.named if one.kind in kinds)

    def of(self, kind: Kind) -> list[Named]:
        """Return all of one kind that somebody's statement made."""
        return [one for one in self.named if one.kind == kind and one.sql is not None]


def in_order(named: Iterable[Named]) -> list[tuple[Named, str]]:
    """Return what statements have made, with each, in an order in which they can be run again.

    Virtual tables are left out, since a module would run, and what SQLite makes by itself.
    """
    order = ("table", "index", "view", "trigger")
    return [
        (one, one.sql)
        for one in sorted(named, key=lambda one: order.index(one.kind))
        if one.sql
        and not one.sql.upper().startswith("CREATE VIRTUAL")
        and not one.name.startswith("sqlite_")
    ]


def read(connection: sqlite3.Connection, names: Iterable[str] | None = None) -> Contents:
    """Look at a file, as it is at one moment. sqlite3's errors are raised as they are.

    Parameters
    ----------
    names
        The tables to look at closely, in small letters, if they are there and plain ones: a view
        in a table's place is not. None: all plain tables.
    """
    with snapshot(connection), leniently(connection):
        named = tuple(
            Named(kind, str(name), small(table), sql)
            for kind, name, table, sql in connection.execute(
                "SELECT type, name, tbl_name, sql FROM sqlite_master"
            )
        )
        wanted = None if names is None else frozenset(names)
        tables = {
            small(one.name): _table(connection, one)
            for one in named
            if one.kind == "table"
            and (wanted is None or small(one.name) in wanted)
            and not (one.sql or "").upper().startswith("CREATE VIRTUAL")
        }
    return Contents(tables, named)


def quoted(name: str) -> str:
    """Return a name so that it can stand in a statement, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """See the file at one moment, whatever another program commits in between."""
    inside = connection.in_transaction
    if not inside:
        connection.execute("BEGIN")
    try:
        # BEGIN locks nothing yet. This reads the file's header, and no table.
        connection.execute("PRAGMA schema_version").fetchone()
        yield
    finally:
        # Not ROLLBACK, which would stop the queries that the connection's user has under way.
        if connection.in_transaction and not inside:
            connection.execute("COMMIT")


def _table(connection: sqlite3.Connection, found: Named) -> Table:
    columns = {
        small(name): Column(name, declared, bool(required), default, key, bool(hidden))
        for name, declared, required, default, key, hidden in connection.execute(
            'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)',
            (found.name,),
        )
    }
    indexes = connection.execute(
        'SELECT l.name, l."unique", l.partial, l.origin, m.sql FROM pragma_index_list(?) AS l '
        "JOIN sqlite_master AS m ON m.type = 'index' AND m.name = l.name ORDER BY l.name",
        (found.name,),
    ).fetchall()
    return Table(
        found.name,
        found.sql or "",
        columns,
        tuple(
            Index(name, _index_columns(connection, name), bool(unique), bool(part), by == "pk", sql)
            for name, unique, part, by, sql in indexes
        ),
        tuple(_references(connection, found.name)),
    )


def _references(connection: sqlite3.Connection, table: str) -> Iterator[Reference]:
    rows = connection.execute(
        'SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?) '
        "ORDER BY id, seq",
        (table,),
    )
    for _, parts in groupby(rows, key=lambda row: row[0]):
        columns = list(parts)
        yield Reference(
            tuple(small(row[2]) for row in columns),
            columns[0][1],
            tuple(small(row[3]) for row in columns if row[3] is not None),
            *columns[0][4:],
        )


def _index_columns(connection: sqlite3.Connection, index: str) -> tuple[str, ...]:
    rows = connection.execute("SELECT name FROM pragma_index_info(?) ORDER BY seqno", (index,))
    return tuple("(an expression)" if name is None else small(name) for (name,) in rows)


def small(name: object) -> str:
    """Return a name in small letters as SQLite does it, to which only those of ASCII have case."""
    text = str(name)
    return text.lower() if text.isascii() else re.sub("[A-Z]", lambda m: m[0].lower(), text)


def dead_references(tables: Mapping[str, Table]) -> list[tuple[Table, Reference]]:
    """Return the foreign keys that refer to what is not there, or tells no row from another.

    SQLite refuses each write that has to look at one.

    Parameters
    ----------
    tables
        All of the file.
    """
    return [
        (table, reference)
        for table in tables.values()
        for reference in table.references
        if not is_met(reference, tables)
    ]


def is_met(reference: Reference, tables: Mapping[str, Table]) -> bool:
    """Whether what a foreign key refers to is in tables, and tells their rows apart."""
    parent = tables.get(small(reference.table))
    if parent is None:
        return False
    if not reference.to:
        return len(parent.key) == len(reference.columns)
    told_apart = [parent.key, *(i.columns for i in parent.indexes if i.unique and not i.partial)]
    return sorted(reference.to) in map(sorted, told_apart)


def why_dead(connection: sqlite3.Connection, one: Named) -> str | None:
    """Return why a view or trigger does not compile on the tables there are; None: it does.

    Nothing of it is run.
    """
    try:
        connection.execute(_use_of(connection, one))
    except sqlite3.Error as error:
        return str(error)
    return None


def _use_of(connection: sqlite3.Connection, one: Named) -> str:
    """Return a statement that SQLite cannot compile without compiling the view or trigger."""
    if one.kind == "view":
        return f"EXPLAIN SELECT * FROM {quoted(one.name)}"  # noqa: S608
    from nexuslims_store import ddl  # noqa: PLC0415 -- opening a store does not need it

    table = quoted(one.table)
    words = ddl.tokens(one.sql or "")
    events = (place for place, word in enumerate(words) if word.upper() in _EVENTS)
    event = next(events)
    if words[event].upper() == "INSERT":
        return f"EXPLAIN INSERT INTO {table} DEFAULT VALUES"
    if words[event].upper() == "DELETE":
        return f"EXPLAIN DELETE FROM {table}"  # noqa: S608
    if words[event + 1].upper() == "OF":  # one that is gone is no error, and the trigger never runs
        on = next(place for place, word in enumerate(words) if word.upper() == "ON")
        columns = [word for word in words[event + 2 : on] if word != ","]
    else:
        rows = connection.execute(
            "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", (one.table,)
        )
        columns = [quoted(name) for (name,) in rows]
    return f"EXPLAIN UPDATE {table} SET " + ", ".join(f"{name} = {name}" for name in columns)  # noqa: S608


_EVENTS = {"INSERT", "DELETE", "UPDATE"}
