"""Indexes of a facility's own, which go with a table that is made anew, and are made again."""

from __future__ import annotations

import sqlite3

from nexuslims_store.migrations.script import reference

__all__ = ["make_again", "own_indexes"]

# Of files from before 2.2; v2_4_0b drops it.
_FORMER = "session_log.fk_instrument_idx"
_THIS_PACKAGES = "nxs_"


def own_indexes(connection: sqlite3.Connection, *revisions: str | None) -> dict[str, str]:
    """Return the CREATE INDEX statement of each index that none of these revisions has."""
    known = {_FORMER}.union(*(reference(revision).indexes for revision in revisions))
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    )
    return {
        name: sql for name, sql in rows if name not in known and not name.startswith(_THIS_PACKAGES)
    }


def make_again(connection: sqlite3.Connection, indexes: dict[str, str]) -> tuple[str, ...]:
    """Make those that are gone, and return the names of those whose columns are gone too."""
    there = own_indexes(connection)
    lost = []
    for name, sql in indexes.items():
        if name not in there:
            try:
                connection.execute(sql)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                    raise
                lost.append(name)
    return tuple(lost)
