"""How a table that another program has made anew becomes as it should be, with all its rows."""

from __future__ import annotations

from collections.abc import Iterator

from nexuslims_store import ddl
from nexuslims_store.connection import SQLiteDatabase
from nexuslims_store.doctor.finding import Finding, in_shell
from nexuslims_store.migrations.verification import misfits, new_uniques, repeated
from nexuslims_store.recognition.remaking import gets_numbers, remake, without
from nexuslims_store.recognition.remaking import in_shell as in_one_line
from nexuslims_store.revisions import BASE, head, tables_at
from nexuslims_store.tables import Contents, Reference, Table, is_met, quoted, small


def lost_key(
    database: SQLiteDatabase, contents: Contents, revision: str | None, name: str
) -> Iterator[Finding]:
    """Yield what is to be said of a table that has not the primary key of its revision."""
    there, expected = contents.tables[name], tables_at(revision)[name]
    yield from repeated_values(database, there, expected)
    what = ""
    if gets_numbers(there, expected):
        key = expected.key[0]
        query = f"SELECT count(*) - count(DISTINCT {quoted(key)}) FROM {quoted(name)}"  # noqa: S608
        if number := database.rows(query)[0][0]:
            what = f". {number} row(s) have no {key} or that of another, and get new ones"
    own = [column.name for key, column in there.columns.items() if key not in expected.columns]
    if own:
        what += f". What makes it anew keeps {', '.join(own)}, which NexusLIMS has not"
    if their := [name for name in there.key if name not in expected.columns]:
        what += f"; {', '.join(their)}, the key that it has, is UNIQUE then"
    yield Finding(
        "lost-key",
        "error",
        f"{database.path}: {name} has lost its PRIMARY KEY ({', '.join(expected.key)}), which "
        f"keeps its rows apart; nothing is written to it, and its rows are named by their "
        f"rowid{what}",
        mending(database, contents, revision, name),
        table=name,
    )


def mending(database: SQLiteDatabase, contents: Contents, revision: str | None, name: str) -> str:
    """Say how a table becomes as it should be, once all its rows fit.

    What the table was stays in the file, under another name: nothing can be lost.

    Parameters
    ----------
    contents
        All of the file. Foreign keys of the facility's own that refer to nothing go.
    """
    there, expected = contents.tables[name], tables_at(revision)[name]
    own = there.columns.keys() - expected.columns.keys()
    written = without(there, past_help(contents).get(name, []))
    sql = ddl.with_columns(expected.sql, written, own)
    # A name that another table's index has is a finding of its own.
    taken = {small(one.name) for one in contents.of("index") if one.table != name}
    indexes = [i.sql for i in expected.indexes if i.sql and small(i.name) not in taken]
    statements = remake(contents, there, sql, indexes=indexes, keep=True)
    if statements is None:
        return (
            "put the table right in a copy of the file (nexuslims-store schema --format "
            f"sql shows that of {head()})"
        )
    command = in_one_line(database.path, statements)
    with database.translated():
        unfit = list(misfits(database.connection, there, expected, revision or BASE))
    if not unfit:
        return command
    return f"correct first, as is said of each, {'; '.join(unfit)}. Then: {command}"


def past_help(contents: Contents) -> dict[str, list[Reference]]:
    """Return the foreign keys of each table that refer to nothing, and will not at the head."""
    later = {**contents.tables, **tables_at(head())}
    found = {
        name: [reference for reference in table.references if not is_met(reference, later)]
        for name, table in contents.tables.items()
    }
    return {name: references for name, references in found.items() if references}


def repeated_values(database: SQLiteDatabase, there: Table, expected: Table) -> Iterator[Finding]:
    """Find the rows that are like an earlier one where nothing keeps them from that any more."""
    for columns in new_uniques(there, expected) if there.rowid else ():
        ruled = [word for rule in expected.checks for word in ddl.tokens(rule)]
        free = next(column for column in columns if column not in ruled)
        query = f"SELECT {there.rowid} FROM {there.name} WHERE "  # noqa: S608
        with database.translated():
            found = database.connection.execute(query + repeated(there, expected, columns))
            rowids = [row[0] for row in found]
        for rowid in rowids:
            where = f"WHERE {there.rowid} = {rowid}"
            update = f"UPDATE {there.name} SET {free} = '<another>' {where}"  # noqa: S608 -- to show
            yield Finding(
                "repeated-value",
                "error",
                f"{there.name}, rowid {rowid}: ({', '.join(columns)}) is that of another row",
                in_shell(database.path, update),
                table=small(there.name),
                column=free,
            )
