"""What one look at a file finds: NexusLIMS's tables, the version rows, the names of all else."""

import sqlite3
from functools import cache
from typing import NamedTuple

from nexuslims_store.connection import leniently
from nexuslims_store.queries import Queries, load
from nexuslims_store.recognition.layouts import Layout, known_columns, layout_of
from nexuslims_store.revisions import VERSION_TABLE, known_tables
from nexuslims_store.tables import Contents, Named, Table, quoted, read, snapshot

_REBUILDS = {"session_log_new": "session_log", "session_log_old": "session_log"}
_ALEMBIC_REBUILD = "_alembic_tmp_"

YOYO_TABLES = frozenset({"_yoyo_migration", "_yoyo_log", "_yoyo_version", "yoyo_lock"})
"""What yoyo keeps its marks in."""


class Catalogue(NamedTuple):
    """What one look at a file found.

    Attributes
    ----------
    contents
        NexusLIMS's tables that are there and the leftovers of their rebuilds, and all names.
    versions
        What the version rows say, of whatever kind.
    filled
        Those of NexusLIMS's tables that have rows.
    odd
        What bears the name of a table this package writes to, but is a view or the like.
    """

    contents: Contents
    versions: tuple[object, ...]
    filled: frozenset[str]
    odd: tuple[str, ...]

    @property
    def tables(self) -> dict[str, Table]:
        """NexusLIMS's tables that are there."""
        return {n: table for n, table in self.contents.tables.items() if n in known_tables()}

    @property
    def names(self) -> frozenset[str]:
        """The names of all tables and views."""
        return self.contents.names("table", "view")

    @property
    def layout(self) -> Layout:
        """NexusLIMS's tables that are there, in the traits that tell revisions apart."""
        return layout_of(self.contents.tables)

    @property
    def unlike_alembic(self) -> bool:
        """Whether the version table is a table, but not one of Alembic's."""
        table = self.contents.tables.get(VERSION_TABLE)
        return table is not None and "version_num" not in table.columns

    @property
    def others(self) -> list[str]:
        """The tables that neither NexusLIMS nor a migration tool made."""
        tools = YOYO_TABLES | {VERSION_TABLE}
        return sorted(n for n in self.names - tools if not n.startswith("sqlite_"))

    @property
    def triggers(self) -> list[Named]:
        """The triggers on tables that a migration writes to."""
        return [one for one in self.contents.of("trigger") if one.table in _written_tables()]

    @property
    def triggers_of_rows(self) -> list[Named]:
        """Those of them on tables that a store writes to."""
        return [one for one in self.triggers if one.table in known_tables()]

    @property
    def computed_columns(self) -> dict[str, list[str]]:
        """The columns of the facility's own that a write would compute, by table."""
        found = {
            name: [k for k, c in t.columns.items() if c.runs_code and k not in known_columns(name)]
            for name, t in self.tables.items()
        }
        return {name: columns for name, columns in found.items() if columns}


def look(connection: sqlite3.Connection) -> Catalogue:
    """Look at a file, as it is at one moment. sqlite3's errors are raised as they are."""
    with snapshot(connection), leniently(connection):
        contents = read(connection, {*known_tables(), *rebuilds(), VERSION_TABLE})
        # Nothing but plain tables is read: a view would run what its author wrote.
        filled = frozenset(
            name
            for name in known_tables() & contents.tables.keys()
            if connection.execute(f"SELECT EXISTS (SELECT 1 FROM {quoted(name)})").fetchone()[0]  # noqa: S608
        )
        versions: tuple[object, ...] = ()
        table = contents.tables.get(VERSION_TABLE)
        if table is not None and "version_num" in table.columns:
            rows = connection.execute(_statements().list_revisions)
            versions = tuple(version for (version,) in rows)
    odd = _written_tables() & contents.names("table", "view") - contents.tables.keys()
    odd -= YOYO_TABLES & contents.names("table")
    return Catalogue(contents, versions, filled, tuple(sorted(odd)))


@cache
def rebuilds() -> dict[str, str]:
    """Return the tables that a rebuild of another by NexusLIMS leaves behind when it is killed."""
    return {**_REBUILDS, **{f"{_ALEMBIC_REBUILD}{table}": table for table in known_tables()}}


@cache
def _written_tables() -> frozenset[str]:
    return known_tables() | YOYO_TABLES | {VERSION_TABLE}


@cache
def _statements() -> Queries:
    return load("recognition.sql")
