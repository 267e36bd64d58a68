"""How a table that another program has made anew becomes as it should be, with all its rows."""

from __future__ import annotations

from collections.abc import Iterator

from nexuslims_store.connection import SQLiteDatabase, leniently
from nexuslims_store.doctor.finding import Finding, in_shell
from nexuslims_store.migrations.verification import misfits, new_uniques, repeated
from nexuslims_store.recognition.remaking import in_shell as in_one_line
from nexuslims_store.recognition.remaking import remake
from nexuslims_store.revisions import BASE, head, tables_at
from nexuslims_store.tables import Contents, Table


def lost_key(
    database: SQLiteDatabase, contents: Contents, revision: str | None, name: str
) -> Iterator[Finding]:
    """Yield what is to be said of a table that has not the primary key of its revision."""
    there, expected = contents.tables[name], tables_at(revision)[name]
    yield from repeated_values(database, there, expected)
    own = [column.name for key, column in there.columns.items() if key not in expected.columns]
    kept = f". What makes it anew keeps {', '.join(own)}, which NexusLIMS has not" if own else ""
    yield Finding(
        "lost-key",
        "error",
        f"{database.path}: {name} has lost its PRIMARY KEY ({', '.join(expected.key)}), which "
        f"keeps its rows apart; nothing is written to it{kept}",
        mending(database, contents, revision, name),
        table=name,
    )


def mending(database: SQLiteDatabase, contents: Contents, revision: str | None, name: str) -> str:
    """Say how a table becomes as it should be, once all its rows fit.

    What the table was stays in the file, under another name: nothing can be lost.
    """
    there, expected = contents.tables[name], tables_at(revision)[name]
    indexes = [index.sql for index in expected.indexes if index.sql]
    statements = remake(contents, there, expected.sql, indexes=indexes, keep=True)
    if statements is None:
        return (
            "put the table right in a copy of the file (nexuslims-store schema --format "
            f"sql shows that of {head()})"
        )
    command = in_one_line(database.path, statements)
    with database.translated(), leniently(database.connection):
        unfit = list(misfits(database.connection, there, expected, revision or BASE))
    if not unfit:
        return command
    return f"correct first, as is said of each, {'; '.join(unfit)}. Then: {command}"


def repeated_values(database: SQLiteDatabase, there: Table, expected: Table) -> Iterator[Finding]:
    """Find the rows that are like an earlier one where nothing keeps them from that any more."""
    name = there.name
    for columns in new_uniques(there, expected) if there.has_rowid else ():
        later = repeated(name, columns)
        with database.translated():
            rowids = [row[0] for row in database.connection.execute(later)]
        first = columns[0]
        update = f"UPDATE {name} SET {first} = "  # noqa: S608 -- to show, not to run
        if rowids and (columns, expected.columns[first].type) == (expected.key, "INTEGER"):
            highest = f"(SELECT max({first}) FROM {name})"  # noqa: S608 -- likewise
            update += f"rowid + {highest} WHERE rowid IN ({later})"
            what = f"{name}: {len(rowids)} row(s) have the {first} of another"
            remedies = {what: update}
        else:
            remedies = {
                f"{name}, rowid {rowid}: ({', '.join(columns)}) is that of another row": (
                    f"{update}'<another>' WHERE rowid = {rowid}"
                )
                for rowid in rowids
            }
        for what, statement in remedies.items():
            remedy = in_shell(database.path, statement)
            yield Finding("repeated-value", "error", what, remedy, table=name, column=first)
