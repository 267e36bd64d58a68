"""What one look at a file finds: NexusLIMS's tables, the version rows, the names of all else."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import cache

from nexuslims_store.queries import Queries, load
from nexuslims_store.revisions import VERSION_TABLE, Layout, known_tables, layout_of
from nexuslims_store.tables import Contents, Table, quoted, read

__all__ = ["REBUILDS", "Catalogue", "look"]

REBUILDS = {"session_log_new": "session_log", "session_log_old": "session_log"}
"""Tables that a rebuild of session_log by NexusLIMS leaves behind when it is killed."""

_YOYO_TABLES = frozenset({"_yoyo_migration", "_yoyo_log", "_yoyo_version", "yoyo_lock"})


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What one look at a file found.

    Attributes
    ----------
    contents
        NexusLIMS's tables that are there and the leftovers of their rebuilds, and all names.
    versions
        What the version rows say.
    filled
        Those of NexusLIMS's tables that have rows.
    odd
        What bears the name of a table this package writes to, but is a view or the like.
    """

    contents: Contents
    versions: tuple[str, ...]
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
    def others(self) -> list[str]:
        """The tables that neither NexusLIMS nor a migration tool made."""
        tools = _YOYO_TABLES | {VERSION_TABLE}
        return sorted(n for n in self.names - tools if not n.startswith("sqlite_"))

    @property
    def triggers(self) -> list[str]:
        """Each trigger on a table that this package writes to, and the table."""
        return [
            f"{trigger.name} on {trigger.table}"
            for trigger in self.contents.of("trigger")
            if trigger.table in _written_tables()
        ]


def look(connection: sqlite3.Connection) -> Catalogue:
    """Look at a file, as it is at one moment. sqlite3's errors are raised as they are."""
    inside = connection.in_transaction
    if not inside:
        connection.execute("BEGIN")
    try:
        contents = read(connection, {*known_tables(), *REBUILDS, VERSION_TABLE})
        # Nothing but plain tables is read: a view would run what its author wrote.
        filled = frozenset(
            name
            for name in known_tables() & contents.tables.keys()
            if connection.execute(f"SELECT EXISTS (SELECT 1 FROM {quoted(name)})").fetchone()[0]  # noqa: S608
        )
        versions: tuple[str, ...] = ()
        table = contents.tables.get(VERSION_TABLE)
        readable = table is not None and "version_num" in table.columns
        if readable:
            rows = connection.execute(_statements().list_revisions)
            versions = tuple(str(version) for (version,) in rows)
    finally:
        if not inside:
            connection.rollback()
    odd = _written_tables() & contents.names("table", "view", "trigger") - contents.tables.keys()
    odd -= _YOYO_TABLES & contents.names("table")
    unreadable = {VERSION_TABLE} if table is not None and not readable else set()
    return Catalogue(contents, versions, filled, tuple(sorted(odd | unreadable)))


@cache
def _written_tables() -> frozenset[str]:
    return known_tables() | frozenset(REBUILDS) | _YOYO_TABLES | {VERSION_TABLE}


@cache
def _statements() -> Queries:
    return load("recognition.sql")
