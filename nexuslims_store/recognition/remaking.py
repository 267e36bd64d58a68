"""How a table is made anew from SQLite's own shell: all rows, columns, indexes and triggers kept.

Only what was tried, on tables without rows, is advised.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from nexuslims_store import ddl
from nexuslims_store.recognition.compiling import make_empty
from nexuslims_store.revisions import known_tables
from nexuslims_store.tables import Contents, Named, Reference, Table, quoted, read, small


def remake(
    contents: Contents, there: Table, sql: str, *, indexes: Sequence[str] = (), keep: bool
) -> list[str] | None:
    """Return the statements that make a table anew, with what it holds and what is on it.

    Its own indexes and triggers are made again. A row without a number for an INTEGER PRIMARY KEY,
    or with that of an earlier one, gets one that no other has. None where that does not work.

    Parameters
    ----------
    contents
        All names of the file.
    sql
        The CREATE TABLE statement of what it is to be, its own columns included.
    indexes
        The statements of the indexes that it is to have, beside its own.
    keep
        Whether the former table stays, under another name.
    """
    try:
        statements = list(_statements(contents, there, sql, indexes, keep=keep))
    except (sqlite3.Error, sqlite3.Warning):
        return None
    return statements if work(contents, statements) else None


def _statements(
    contents: Contents, there: Table, sql: str, indexes: Sequence[str], *, keep: bool
) -> Iterator[str]:
    # What stays refers to nothing, or its rows would hold back those of other tables.
    stays = keep and not there.references
    free = free_name(contents, f"nxs_{there.name}_{'former' if stays else 'passing'}")
    name, former = quoted(there.name), quoted(free)
    becomes = made_by(sql, *indexes)
    given = {small(index.name) for index in becomes.indexes}
    own = [i for i in there.indexes if i.sql and small(i.name) not in given]
    triggers = [one for one in contents.of("trigger") if one.table == small(there.name)]
    # With their table, since SQLite's shell takes the quoted name of no column for a text.
    values = {
        quoted(c.name): f"{former}.{quoted(c.name)}"
        for key, c in becomes.columns.items()
        if key in there.columns and not (c.generated or there.columns[key].generated)
    }
    order = ", ".join(map(quoted, becomes.key))
    if there.rowid:
        order = there.rowid
        if not becomes.is_numbered and becomes.rowid:
            values = {becomes.rowid: f"{former}.{there.rowid}", **values}
        elif gets_numbers(there, becomes):
            (key,) = becomes.key
            same = as_stored(key, "INTEGER")
            first = f"SELECT min({there.rowid}) FROM {former} GROUP BY {same}"  # noqa: S608
            column = quoted(becomes.columns[key].name)
            value = f"CASE WHEN {there.rowid} IN ({first}) THEN {values[column]} END AS nxs_number"
            values[column] = value
            order = f"nxs_number IS NULL, {there.rowid}"
    yield "PRAGMA foreign_keys = OFF"
    yield "PRAGMA legacy_alter_table = ON"
    yield "BEGIN"
    yield f"ALTER TABLE {name} RENAME TO {former}"
    # They keep their names with the table that they are on.
    yield from (f"DROP INDEX {quoted(i.name)}" for i in there.indexes if i.sql)
    yield from (f"DROP TRIGGER {quoted(one.name)}" for one in triggers)
    yield ddl.in_a_line(sql)
    yield (
        f"INSERT INTO {name} ({', '.join(values)}) SELECT {', '.join(values.values())} "  # noqa: S608
        f"FROM {former} ORDER BY {order}"
    )
    if all("AUTOINCREMENT" in map(str.upper, ddl.tokens(text)) for text in (there.sql, sql)):
        # No id that was used is given again, also where its row is gone.
        now, before = _text(there.name), _text(free)
        yield f"DELETE FROM sqlite_sequence WHERE name = {now}"  # noqa: S608
        yield f"UPDATE sqlite_sequence SET name = {now} WHERE name = {before}"  # noqa: S608
    if keep and not stays:
        kept = quoted(free_name(contents, f"nxs_{there.name}_former"))
        columns = (c for c in there.columns.values() if not c.generated)
        listed = ", ".join(f"{former}.{quoted(c.name)}" for c in columns)
        yield f"CREATE TABLE {kept} AS SELECT {listed} FROM {former}"  # noqa: S608
    if not stays:
        yield f"DROP TABLE {former}"
    yield from map(ddl.in_a_line, [*indexes, *(str(i.sql) for i in own)])
    yield from (ddl.in_a_line(str(one.sql)) for one in triggers)
    yield "COMMIT"


def gets_numbers(there: Table, becomes: Table) -> bool:
    """Whether a row without a number of its own gets one when its table is made anew."""
    return becomes.is_numbered and not (there.is_numbered and there.key == becomes.key)


def as_stored(column: str, kind: str) -> str:
    """Return the expression of what a value becomes where a column of a type stores it."""
    name = quoted(column)
    cast = f"CAST({name} AS {kind})"
    return f"CASE WHEN {cast} = {name} THEN {cast} ELSE {name} END"


def taking_references_out(
    path: Path, contents: Contents, table: Table, references: Collection[Reference]
) -> str:
    """Say by which command a table loses some foreign keys, and nothing else."""
    columns = "; ".join(", ".join(reference.columns) for reference in references)
    sql = without(table, references)
    statements = remake(contents, table, sql, keep=False)
    if statements is not None:
        becomes = made_by(sql, *(i.sql for i in table.indexes if i.sql))
        same = (becomes.columns, becomes.unique, becomes.checks, set(becomes.references))
        left = set(table.references) - set(references)
        if same == (table.columns, table.unique, table.checks, left):
            what = "reference" if len(references) == 1 else "references"
            return (
                f"take the {what} out of {table.name}, which keeps all its rows "
                f"({in_shell(path, statements)})"
            )
    return f"make {table.name} anew in a copy of the file, without the reference of {columns}"


def without(table: Table, references: Collection[Reference]) -> str:
    """Return the CREATE TABLE statement of a table without some of its foreign keys."""
    gone = {(r.columns, small(r.table), tuple(map(small, r.to))) for r in references}
    return ddl.without_references(table.sql, lambda *found: found in gone)


def giving_name_back(path: Path, contents: Contents, own: Named, sql: str) -> str:
    """Return the command that gives what has the name of an index of ours another, and makes that.

    An index on a table of ours is made anew without UNIQUE, which NexusLIMS's have not.
    """
    name = free_name(contents, f"own_{own.name}")
    if own.kind == "table":
        renaming = [f"ALTER TABLE {quoted(own.name)} RENAME TO {quoted(name)}"]
    else:
        plainly = own.table in known_tables()
        again = ddl.renamed(str(own.sql), quoted(name), plainly=plainly)
        renaming = [f"DROP {own.kind.upper()} {quoted(own.name)}", ddl.in_a_line(again)]
    return in_shell(path, ["BEGIN", *renaming, ddl.in_a_line(sql), "COMMIT"])


def work(contents: Contents, statements: Sequence[str]) -> bool:
    """Whether statements can stand in a command, and work on a file like this without rows."""
    if not all(map(str.isprintable, statements)):
        return False
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        memory.execute("PRAGMA trusted_schema = OFF")
        make_empty(memory, contents.named, plainly=False)
        try:
            for statement in statements:
                memory.execute(statement)
        except (sqlite3.Error, sqlite3.Warning):  # the latter for more than one statement in one
            return False
    return True


def in_shell(path: Path, statements: Iterable[str]) -> str:
    """Return the command that runs statements in SQLite's own shell, whatever is in them."""
    return f"sqlite3 {shlex.quote(str(path))} {shlex.quote('; '.join(statements))}"


def text_of(one: Named) -> str:
    """Return the query for the statement that made something, whatever its name is."""
    return f"SELECT sql FROM sqlite_master WHERE name = {_text(one.name)}"  # noqa: S608


def around_views(contents: Contents, statements: Iterable[str]) -> list[str]:
    """Return statements between those that take views and triggers out and make them again.

    SQLite changes no table while a view or a trigger does not work. Making one again runs nothing.
    """
    triggers, views = contents.of("trigger"), contents.of("view")
    return [
        *(f"DROP TRIGGER {quoted(one.name)}" for one in triggers),
        *(f"DROP VIEW {quoted(one.name)}" for one in views),
        *statements,
        *(ddl.in_a_line(str(one.sql)) for one in (*views, *triggers)),
    ]


def free_name(contents: Contents, wanted: str) -> str:
    """Return a name that nothing in the file has: this one, or with the first number that is."""
    taken = contents.names("table", "view", "index", "trigger")
    numbered = (f"{wanted}_{number}" for number, _ in enumerate(taken, 2))
    return next(name for name in (wanted, *numbered) if small(name) not in taken)


def made_by(sql: str, *indexes: str) -> Table:
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
