"""How a table is made anew from SQLite's own shell: all rows, columns, indexes and triggers kept.

Only what was tried, on tables without rows, is advised.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from nexuslims_store import ddl
from nexuslims_store.revisions import known_tables
from nexuslims_store.tables import Contents, Named, Reference, Table, quoted, read


def remake(
    contents: Contents, there: Table, sql: str, *, indexes: Sequence[str] = (), keep: bool
) -> list[str] | None:
    """Return the statements that make a table anew, with what it holds and what is on it.

    Columns of its own that the statement lacks are added, and its own indexes and triggers made
    again. None where that does not work.

    Parameters
    ----------
    contents
        All names of the file.
    sql
        The CREATE TABLE statement of what it is to be.
    indexes
        The statements of the indexes that it is to have, beside its own.
    keep
        Whether the former table stays, under another name.
    """
    simple = [f"{quoted(c.name)} {c.type}".strip() for c in there.columns.values()]
    whole = [definition(there, name) for name in there.columns]
    for definitions in (whole, simple):
        added = dict(zip(there.columns, definitions, strict=True))
        statements = list(_statements(contents, there, sql, indexes, added, keep=keep))
        triggers = [one.sql or "" for one in contents.of("trigger") if _is_on(one.table, there)]
        made = [there.sql, *(i.sql for i in there.indexes if i.sql), *triggers]
        if work(made, statements) and can_be_printed(statements):
            return statements
    return None


def _statements(
    contents: Contents,
    there: Table,
    sql: str,
    indexes: Sequence[str],
    added: dict[str, str],
    *,
    keep: bool,
) -> Iterator[str]:
    free = free_name(contents, f"nxs_{there.name}_former")
    name, former = quoted(there.name), quoted(free)
    becomes = _made_by(sql, *indexes)
    given = {index.name.lower() for index in becomes.indexes}
    own = [i for i in there.indexes if i.sql and i.name.lower() not in given]
    triggers = [one for one in contents.of("trigger") if _is_on(one.table, there)]
    columns = {**there.columns, **becomes.columns}
    columns = {k: c for k, c in columns.items() if k in there.columns and not c.generated}
    listed = ", ".join(quoted(column.name) for column in columns.values())
    # With their table, since SQLite's shell takes the quoted name of no column for a text.
    read_from = ", ".join(f"{former}.{quoted(column.name)}" for column in columns.values())
    yield "PRAGMA foreign_keys = OFF"
    yield "PRAGMA legacy_alter_table = ON"
    yield "BEGIN"
    yield f"ALTER TABLE {name} RENAME TO {former}"
    # They keep their names with the table that they are on.
    yield from (f"DROP INDEX {quoted(i.name)}" for i in there.indexes if i.sql)
    yield from (f"DROP TRIGGER {quoted(one.name)}" for one in triggers)
    yield _in_a_line(sql)
    for key, text in added.items():
        if key not in becomes.columns:
            yield f"ALTER TABLE {name} ADD COLUMN {text}"
    order = "rowid" if there.has_rowid else ", ".join(map(quoted, becomes.key))
    if there.has_rowid and becomes.key:  # what has no number gets one, that no other has
        order = f"{quoted(becomes.key[0])} IS NULL, rowid"
    yield f"INSERT INTO {name} ({listed}) SELECT {read_from} FROM {former} ORDER BY {order}"  # noqa: S608
    if all("AUTOINCREMENT" in map(str.upper, ddl.tokens(text)) for text in (there.sql, sql)):
        # No id that was used is given again, also where its row is gone.
        now, before = _text(there.name), _text(free)
        yield f"DELETE FROM sqlite_sequence WHERE name = {now}"  # noqa: S608
        yield f"UPDATE sqlite_sequence SET name = {now} WHERE name = {before}"  # noqa: S608
    if not keep:
        yield f"DROP TABLE {former}"
    yield from map(_in_a_line, [*indexes, *(str(i.sql) for i in own)])
    yield from (_in_a_line(str(one.sql)) for one in triggers)
    yield "COMMIT"


def taking_reference_out(path: Path, contents: Contents, table: Table, reference: Reference) -> str:
    """Say by which command a table of the facility's own loses a foreign key, and nothing else."""
    columns = ", ".join(reference.columns)
    sql = ddl.without_reference(table.sql, reference.columns)
    statements = remake(contents, table, sql, keep=False)
    if statements is not None:
        becomes = _made_by(sql)
        same = (becomes.columns, becomes.unique, becomes.checks)
        if same == (table.columns, table.unique, table.checks):
            return (
                f"take the reference out of {table.name}, which keeps all its rows "
                f"({in_shell(path, statements)})"
            )
    return f"make {table.name} anew in a copy of the file, without the reference of {columns}"


def giving_name_back(path: Path, contents: Contents, own: Named, sql: str) -> str:
    """Return the command that gives what has the name of an index of ours another, and makes that.

    An index on a table of ours is made anew without UNIQUE, which NexusLIMS's have not.
    """
    name = free_name(contents, f"own_{own.name}")
    if own.kind == "table":
        renaming = [f"ALTER TABLE {quoted(own.name)} RENAME TO {quoted(name)}"]
    else:
        words = ddl.tokens(str(own.sql))
        words[next(i for i, w in enumerate(words) if w.strip("\"'`[]") == own.name)] = quoted(name)
        if own.table in known_tables() and words[1].upper() == "UNIQUE":
            del words[1]
        renaming = [f"DROP {own.kind.upper()} {quoted(own.name)}", ddl.join(words)]
    return in_shell(path, [*renaming, _in_a_line(sql)])


def definition(table: Table, column: str) -> str:
    """Return how a column is declared, one that is computed as computed when it is read.

    None other can be added to a table.
    """
    name = table.columns[column].name
    parts = (part for part in ddl.items(table.sql) if part[0] in {name, quoted(name)})
    words = next(parts, [])
    if words and words[-1].upper() == "STORED":
        words = [*words[:-1], "VIRTUAL"]
    return ddl.join(words, column=True)


def work(made: Iterable[str], statements: Iterable[str]) -> bool:
    """Whether statements work where some others have run, on a database without rows."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        memory.execute("PRAGMA trusted_schema = OFF")
        try:
            for statement in (*made, *statements):
                memory.execute(statement)
        except (sqlite3.Error, sqlite3.Warning):  # the latter for more than one statement in one
            return False
    return True


def in_shell(path: Path, statements: Iterable[str]) -> str:
    """Return the command that runs statements in SQLite's own shell, whatever is in them."""
    return f"sqlite3 {shlex.quote(str(path))} {shlex.quote('; '.join(statements))}"


def around_views(contents: Contents, statements: Iterable[str]) -> list[str]:
    """Return statements between those that take views and triggers out and make them again.

    SQLite changes no table while a view or a trigger does not work. Making one again runs nothing.
    """
    triggers, views = contents.of("trigger"), contents.of("view")
    return [
        *(f"DROP TRIGGER {quoted(one.name)}" for one in triggers),
        *(f"DROP VIEW {quoted(one.name)}" for one in views),
        *statements,
        *(_in_a_line(str(one.sql)) for one in (*views, *triggers)),
    ]


def can_be_printed(statements: Iterable[str]) -> bool:
    """Whether none of some statements has line ends, which no command shows."""
    return all(map(str.isprintable, statements))


def free_name(contents: Contents, wanted: str) -> str:
    """Return a name that nothing in the file has: this one, or with the first number that is."""
    taken = contents.names("table", "view", "index", "trigger")
    number, name = 1, wanted
    while name.lower() in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def _is_on(name: str, table: Table) -> bool:
    return name.lower() == table.name.lower()


def _in_a_line(sql: str) -> str:
    """Return a statement in one line, as a command is: without its comments, if it must be."""
    return sql if sql.isprintable() else ddl.in_a_line(sql)


def _made_by(sql: str, *indexes: str) -> Table:
    """Return the table that statements make."""
    with closing(sqlite3.connect(":memory:")) as memory:
        for statement in (sql, *indexes):
            memory.execute(statement)
        # Not the one that SQLite makes beside a table with AUTOINCREMENT.
        tables = read(memory).tables
        return next(table for name, table in tables.items() if not name.startswith("sqlite_"))


def _text(value: str) -> str:
    """Return a text as it stands in a statement."""
    return "'" + value.replace("'", "''") + "'"
