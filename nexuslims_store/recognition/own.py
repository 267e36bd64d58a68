"""What is a facility's own in NexusLIMS's tables, and how it is taken out and brought back.

Triggers and columns whose values SQLite computes: a write would run what their author wrote.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from nexuslims_store import ddl
from nexuslims_store.errors import SchemaMismatchError
from nexuslims_store.recognition.advice import everywhere, listed
from nexuslims_store.recognition.catalogue import Catalogue
from nexuslims_store.recognition.remaking import (
    around_views,
    free_name,
    in_shell,
    work,
)
from nexuslims_store.revisions import head, tables_at
from nexuslims_store.tables import Contents, Table, quoted

_LONGEST_DEFINITION = 200
_FOREIGN_CODE = (
    "can be read and migrated, but not written to: nothing that is stored in a file runs here, and "
    "a write would"
)


def own_triggers(catalogue: Catalogue, path: Path) -> SchemaMismatchError:
    """Return the error for a write that would run triggers, which NexusLIMS has none of.

    The command that takes them out is no part of it: their text must be safe before that.
    """
    named = listed(f"{one.name} on {one.table}" for one in catalogue.triggers_of_rows)
    file = shlex.quote(str(path))
    select = "SELECT sql || ';' FROM sqlite_master WHERE type = 'trigger'"
    return SchemaMismatchError(
        f"{path} {_FOREIGN_CODE} run its trigger {named}",
        **everywhere(
            "keep its text in a file (sqlite3 "
            f'{file} "{select}" > triggers.sql), '
            "drop the trigger, which touches no row, and make it again when all is "
            f"written (sqlite3 {file} < triggers.sql)"
        ),
    )


def own_computed(catalogue: Catalogue, path: Path) -> SchemaMismatchError:
    """Return the error for a write that would compute columns of the facility's own."""
    computed = catalogue.computed_columns
    named = listed(
        f"{column} of {table}" for table, columns in computed.items() for column in columns
    )
    return SchemaMismatchError(
        f"{path} {_FOREIGN_CODE} compute {named}",
        **everywhere(
            "; ".join(
                taking_out(path, catalogue.contents, catalogue.tables[table], columns)
                for table, columns in computed.items()
            )
        ),
    )


def taking_out(path: Path, contents: Contents, table: Table, columns: Iterable[str]) -> str:
    """Say by which commands columns of the facility's own are taken out, and nothing is lost.

    What SQLite computes can be brought back by its definition; a view computes it too. What is
    stored goes to a table of the facility's own. Only what was tried, on a file like that without
    rows, is advised, and it is done as a whole or not at all.
    """
    columns = [name for name in table.columns if name in set(columns)]
    generated = [name for name in columns if table.columns[name].generated]
    stored = [name for name in columns if name not in generated]
    indexes = [
        str(index.sql)
        for index in table.indexes
        if index.sql and ddl.mentions(ddl.tokens(index.sql), columns)
    ]
    names = [i.name for i in table.indexes if i.sql in indexes]
    out = [f"DROP INDEX {quoted(name)}" for name in names]
    if stored:
        key = tables_at(head())[table.name.lower()].key[0]
        kept = ", ".join(f"{quoted(table.name)}.{quoted(name)}" for name in [key, *stored])
        kept_in = quoted(free_name(contents, f"own_{table.name}"))
        out.append(f"CREATE TABLE {kept_in} AS SELECT {kept} FROM {table.name}")  # noqa: S608
    # One may be computed from another before it.
    drop = f"ALTER TABLE {table.name} DROP COLUMN"
    out += [f"{drop} {quoted(table.columns[name].name)}" for name in reversed(columns)]
    # Where a view or trigger of the facility's own needs them, its text stays as it is.
    legacy = "PRAGMA legacy_alter_table = ON"
    for statements in (out, around_views(contents, out)):
        command = [legacy, "BEGIN", *statements, "COMMIT"]
        if work(contents, command):
            break
    else:
        return (
            f"make a copy of the file and take {listed(columns)} out of {table.name} in it; "
            f"`nexuslims-store schema --format sql` prints the tables of {head()}"
        )
    advice = f"take {listed(columns)} out of {table.name}"
    advice += f" ({in_shell(path, command)})"
    if stored:
        advice += f", which keeps {listed(stored)} in a table of your own"
    if not generated:
        return advice
    advice += ", which touches no other value; a view of your own can compute it in its place"
    defined = ddl.definitions(table.sql)
    back = ["BEGIN", *(f"ALTER TABLE {table.name} ADD COLUMN {defined[n]}" for n in generated)]
    back = [*map(ddl.in_a_line, [*back, *indexes]), "COMMIT"]
    if max(map(len, back)) > _LONGEST_DEFINITION or not work(contents, [*command, *back]):
        return f"{advice}. Before that, keep what `sqlite3 {shlex.quote(str(path))} .schema` prints"
    return f"{advice}, or {in_shell(path, back)} brings it back"
