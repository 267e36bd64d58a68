"""The migrations as SQL text: a script for the sqlite3 shell, and the tables they lead to."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import cache

from nexuslims_store.errors import MigrationError
from nexuslims_store.layouts import BASE
from nexuslims_store.migrations.targets import between, position, resolve
from nexuslims_store.queries import load
from nexuslims_store.revisions import Migration, head, history

__all__ = ["Reference", "drop_table", "reference", "script", "to_sql"]

_DIRECTIVE = re.compile(r"^-- depends:.*\n\n?", re.MULTILINE)

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
    start = resolve(BASE if from_revision is None else from_revision, None)
    return script(start, resolve(BASE if to_revision is None else to_revision, start))


def script(
    start: str | None,
    end: str | None,
    *,
    adopt: bool = False,
    leftovers: Iterable[str] = (),
    indexes: Iterable[str] = (),
) -> str:
    """Return the script of a plan (see `Plan` for what is in one).

    yoyo's marks are no part of it; the next migration puts them right.
    """
    up = position(start) <= position(end)
    parts = [_HEADING.format(start=start or BASE, end=end or BASE)]
    parts += [f"{drop_table(table)};\n" for table in leftovers]
    if adopt:
        parts.append(_adoption(start))
    parts += [_text(step, up=up) for step in between(start, end)]
    parts += [f"{reference(end).indexes[name]};\n" for name in indexes]
    if up and end == head():
        parts.append(_post_apply())
    return "\n".join([*parts, "COMMIT;\n"])


def drop_table(name: str) -> str:
    """Return the statement that drops a table, whatever characters its name has."""
    quoted = name.replace('"', '""')
    return f'DROP TABLE "{quoted}"'


def _adoption(revision: str | None) -> str:
    """Return the SQL that gives a file its version row."""
    table = reference(head()).tables["alembic_version"]
    row = load("alembic_version.sql")["add_revision"].rstrip(";")
    return (
        f"{table.replace('CREATE TABLE', 'CREATE TABLE IF NOT EXISTS', 1)};\n\n"
        + row.replace(":revision", f"'{revision}'")
        + ";\n"
    )


def _text(step: Migration, *, up: bool) -> str:
    path = step.path if up else step.rollback_path
    return _DIRECTIVE.sub("\n", path.read_text(encoding="utf-8"))


def _post_apply() -> str:
    """Return the SQL of this package's own indexes."""
    return history()[-1].path.with_name("post-apply.sql").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Reference:
    """What the migrations make of an empty file up to one revision.

    Attributes
    ----------
    tables
        The CREATE TABLE statement of each table.
    indexes
        The CREATE INDEX statement of each index, with this package's own at the head.
    """

    tables: dict[str, str]
    indexes: dict[str, str]


@cache
def reference(revision: str | None) -> Reference:
    """Run the migrations in memory and return what they make."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for step in between(None, revision):
            try:
                connection.executescript(_text(step, up=True))
            except sqlite3.Error as error:
                raise MigrationError(
                    f"{step.path} does not run, not even on an empty database: {error}"
                ) from error
        if revision == head():
            connection.executescript(_post_apply())
        return Reference(
            tables=dict(
                connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
            ),
            indexes=dict(
                connection.execute(
                    "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
                )
            ),
        )
