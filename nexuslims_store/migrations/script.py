"""The migrations as SQL text: a script for the sqlite3 shell, and what steps do to tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from types import NoneType

from nexuslims_store.arguments import require_type
from nexuslims_store.queries import load
from nexuslims_store.revisions import (
    BASE,
    VERSION_TABLE,
    Migration,
    between,
    head,
    is_own_index,
    known_tables,
    position,
    post_apply,
    resolve,
    tables_at,
)
from nexuslims_store.tables import Named, Table, quoted

_DIRECTIVE = re.compile(r"^-- depends:.*\n\n?", re.MULTILINE)
_DROPPED = re.compile(r"^DROP TABLE (\w+);", re.MULTILINE)
_FILLED = re.compile(r"\bcoalesce\((\w+), ")

_HEADING = """\
-- NexusLIMS's database, from {start} to {end}.
-- Make a backup, then: sqlite3 -bail DATABASE < SCRIPT
-- With -bail the shell stops at the first error, and nothing of this is kept.

PRAGMA foreign_keys = OFF;
PRAGMA legacy_alter_table = ON;
BEGIN EXCLUSIVE;
"""


def to_sql(from_revision: str | None, to_revision: str | None) -> str:
    """Return a script for the sqlite3 shell that does what `upgrade` or `downgrade` would.

    Parameters
    ----------
    from_revision, to_revision
        As for `upgrade`; None is base. `to_revision` may be +N or -N from the other.
    """
    require_type("from_revision", from_revision, (str, NoneType))
    require_type("to_revision", to_revision, (str, NoneType))
    start = resolve(BASE if from_revision is None else from_revision, None)
    return script(start, resolve(BASE if to_revision is None else to_revision, start))


def script(
    start: str | None,
    end: str | None,
    *,
    adopt: bool = False,
    leftovers: Iterable[str] = (),
    made_anew: Iterable[str] = (),
    indexes: Iterable[str] = (),
    kept: Sequence[Named] = (),
) -> str:
    """Return the script of a plan (see `Plan` for what is in one).

    yoyo's marks are no part of it; the next migration puts them right.
    """
    up = position(start) <= position(end)
    parts = [_HEADING.format(start=start or BASE, end=end or BASE)]
    parts += [f"DROP TABLE {quoted(table)};\n" for table in leftovers]
    triggers = [one for one in kept if one.kind == "trigger"]
    parts += [f"DROP TRIGGER {quoted(one.name)};\n" for one in triggers]
    if adopt:
        parts.append(_adoption(start))
    if not up and start == head():
        parts += leaving_head()
    parts += [text_of(step, up=up) for step in between(start, end)]
    parts += [f"{statement};\n" for table in made_anew for statement in made_again(table)]
    made = {index.name: index.sql for table in tables_at(end).values() for index in table.indexes}
    parts += [f"{made[name]};\n" for name in indexes]
    if up and end == head():
        parts.append(post_apply())
    parts += [f"{one.sql};\n" for one in kept]
    return "\n".join([*parts, "COMMIT;\n"])


def text_of(step: Migration, *, up: bool) -> str:
    """Return the SQL of a step up or down, without what it says to yoyo."""
    path = step.path if up else step.rollback_path
    return _DIRECTIVE.sub("\n", path.read_text(encoding="utf-8"))


def leaving_head() -> list[str]:
    """Return the SQL that takes this package's own indexes away: they belong to the head."""
    own = [i.name for table in tables_at(head()).values() for i in table.indexes]
    return [f"DROP INDEX IF EXISTS {quoted(name)};\n" for name in own if is_own_index(name)]


def made_anew_by(step: Migration, *, up: bool) -> dict[str, Table]:
    """Return the tables that a step makes anew and fills from the former ones, as they become."""
    end = tables_at(step.revision if up else step.down_revision)
    dropped = _DROPPED.findall(text_of(step, up=up))
    return {name: end[name] for name in dropped if name in known_tables() & end.keys()}


def filled_by(step: Migration, *, up: bool) -> frozenset[str]:
    """Return the columns in which a step puts a value where there was none."""
    return frozenset(_FILLED.findall(text_of(step, up=up)))


def made_again(
    name: str, table: Table | None = None, *, drop: bool = True, order: str = "rowid"
) -> list[str]:
    """Return the statements that make a table as a revision has it, with the rows it holds.

    Parameters
    ----------
    table
        What it is to be, by default the head's.
    drop
        Whether the former table is dropped; else it stays under the name nxs_NAME_former.
    order
        The column by which the rows are put in again.
    """
    table = tables_at(head())[name] if table is None else table
    former = f"nxs_{name}_former"
    columns = ", ".join(quoted(column.name) for column in table.columns.values())
    return [
        f"ALTER TABLE {name} RENAME TO {former}",
        table.sql,
        f"INSERT INTO {name} ({columns})\nSELECT {columns}\nFROM {former}\nORDER BY {order}",
        *([f"DROP TABLE {former}"] if drop else []),
        *(index.sql for index in table.indexes if index.sql is not None),
    ]


def _adoption(revision: str | None) -> str:
    """Return the SQL that gives a file its version row."""
    table = tables_at(head())[VERSION_TABLE].sql.replace("TABLE", "TABLE IF NOT EXISTS", 1)
    statements = load("alembic_version.sql")
    row = statements.add_revision.replace(":revision", f"'{revision}'")
    return f"{table};\n\n{statements.remove_revisions}\n\n" + ("" if revision is None else row)
