"""At what revision a database of a server is: its version row says so."""

from __future__ import annotations

from nexuslims_store import queries
from nexuslims_store.database import Database
from nexuslims_store.errors import (
    NotANexusLIMSDatabaseError,
    PendingMigrationsError,
    SchemaMismatchError,
    UnknownRevisionError,
)
from nexuslims_store.revisions import BASE, head, names

__all__ = ["check_head_of_server"]

_SQL = queries.load("recognition.sql")
_MIGRATES = {
    "call": "Store(url, migrate=True) or `nexuslims-store migrate` {}",
    "command": "run `nexuslims-store migrate`, which {}",
}


def check_head_of_server(database: Database) -> str:
    """Return the head revision if a database of a server is at it, ready for a store.

    Raises
    ------
    NotANexusLIMSDatabaseError
        It has no tables of NexusLIMS.
    PendingMigrationsError
        It is at an older revision.
    UnknownRevisionError
        It is at a revision that this package does not know, or has several version rows.
    """
    try:
        versions = [version for (version,) in database.rows(_SQL.list_revisions)]
    except SchemaMismatchError as error:
        raise NotANexusLIMSDatabaseError(
            f"{database.name} has no tables of NexusLIMS (there is no alembic_version)",
            **{name: text.format("creates them") for name, text in _MIGRATES.items()},
        ) from error
    if len(versions) > 1 or not set(versions) <= set(names()):
        raise UnknownRevisionError(
            f"{database.name} is at the revision {' and '.join(map(repr, versions))}, which this "
            f"package does not know (its newest is {head()}): upgrade nexuslims_store, or have the "
            "one right row put into alembic_version"
        )
    if versions != [head()]:
        raise PendingMigrationsError(
            f"{database.name} is at {versions[0] if versions else BASE}, this package works with "
            f"{head()}",
            **{name: text.format("brings it there") for name, text in _MIGRATES.items()},
        )
    return head()
