"""What migrations do to tables, as SQL text."""

from __future__ import annotations

import re

from nexuslims_store.queries import load
from nexuslims_store.revisions import (
    VERSION_TABLE,
    Migration,
    head,
    is_own_index,
    known_tables,
    tables_at,
)
from nexuslims_store.tables import Table, quoted

_DIRECTIVE = r"(?m)^-- depends:.*\n\n?"
_DROPPED = r"(?m)^DROP TABLE (\w+);"
_FILLED = r"\bcoalesce\((\w+), "


def text_of(step: Migration, *, up: bool) -> str:
    """Return the SQL of a step up or down, without what it says to yoyo."""
    path = step.path if up else step.rollback_path
    return re.sub(_DIRECTIVE, "\n", path.read_text(encoding="utf-8"))


def leaving_head() -> list[str]:
    """Return the SQL that takes this package's own indexes away: they belong to the head."""
    own = [i.name for table in tables_at(head()).values() for i in table.indexes]
    return [f"DROP INDEX IF EXISTS {quoted(name)};\n" for name in own if is_own_index(name)]


def made_anew_by(step: Migration, *, up: bool) -> dict[str, Table]:
    """Return the tables that a step makes anew and fills from the former ones, as they become."""
    end = tables_at(step.revision if up else step.down_revision)
    dropped = re.findall(_DROPPED, text_of(step, up=up))
    return {name: end[name] for name in dropped if name in known_tables() & end.keys()}


def filled_by(step: Migration, *, up: bool) -> frozenset[str]:
    """Return the columns in which a step puts a value where there was none."""
    return frozenset(re.findall(_FILLED, text_of(step, up=up)))


def made_again(name: str, table: Table) -> list[str]:
    """Return the statements that make a table as a revision has it, with the rows it holds."""
    passing = f"nxs_{name}_passing"
    columns = ", ".join(quoted(column.name) for column in table.columns.values())
    return [
        f"ALTER TABLE {name} RENAME TO {passing}",
        table.sql,
        f"INSERT INTO {name} ({columns})\nSELECT {columns}\nFROM {passing}\nORDER BY rowid",
        f"DROP TABLE {passing}",
        *(index.sql for index in table.indexes if index.sql is not None),
    ]


def make_version_table() -> str:
    """Return the SQL that makes the table of the version row, where there is none."""
    return tables_at(head())[VERSION_TABLE].sql.replace("TABLE", "TABLE IF NOT EXISTS")


def version_row(revision: str | None) -> list[str]:
    """Return the SQL that makes a revision's row the only one, None: leaves no row."""
    statements = load("alembic_version.sql")
    row = statements.add_revision.replace(":revision", f"'{revision}'")
    return [
        make_version_table(),
        statements.remove_revisions,
        *([] if revision is None else [row]),
    ]
