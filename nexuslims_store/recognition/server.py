"""At what revision a database on PostgreSQL is.

No other program ever kept one there, so its version row is believed, and the tables must be there.
"""

from __future__ import annotations

from nexuslims_store.database import Database
from nexuslims_store.errors import (
    NotANexusLIMSDatabaseError,
    PendingMigrationsError,
    SchemaMismatchError,
    UnknownRevisionError,
)
from nexuslims_store.queries import load
from nexuslims_store.recognition.advice import listed
from nexuslims_store.recognition.catalogue import YOYO_TABLES
from nexuslims_store.revisions import BASE, VERSION_TABLE, head, known_tables, names, tables_at


def columns_on_server(database: Database) -> set[tuple[str, str]]:
    """Return the columns of all tables and views in the schema, each after its table."""
    return {
        (row[0], row[1]) for row in database.rows(load("postgresql/catalogue.sql").list_columns)
    }


def revision_on_server(
    database: Database, columns: set[tuple[str, str]] | None = None
) -> str | None:
    """Return the revision of a database on PostgreSQL, None for one without tables.

    Parameters
    ----------
    columns
        Those it has, where they were asked for already.

    Raises
    ------
    NotANexusLIMSDatabaseError
        It has the tables of another program only.
    UnknownRevisionError
        The version row names a revision this package does not know, or there are several.
    SchemaMismatchError
        The tables contradict the version row.
    """
    columns = columns_on_server(database) if columns is None else columns
    versions = []
    there = {table for table, _ in columns}
    if VERSION_TABLE in there:
        versions = [str(row[0]) for row in database.rows(load("recognition.sql").list_revisions)]
    unknown = set(versions) - set(names())
    others = there - known_tables() - YOYO_TABLES - {VERSION_TABLE}
    if not there & known_tables() and (others or unknown):
        raise NotANexusLIMSDatabaseError(
            f"{database.name} is another program's database: it has no NexusLIMS tables, but "
            f"{listed(sorted(others) or versions)}. Nothing was written to it; make another one "
            "with `createdb`"
        )
    if len(versions) > 1 or unknown:
        raise UnknownRevisionError(
            f"{database.name} is at the revision {listed(versions)}, which this package does not "
            f"know (its newest is {head()}): upgrade nexuslims_store"
        )
    revision = versions[0] if versions else None
    expected = tables_at(revision) if revision else {}
    wrong = there & known_tables() - expected.keys()
    wrong |= {t.name for t in expected.values() for c in t.columns if (t.name, c) not in columns}
    if wrong:
        mend = "bring a dump back with `pg_restore`"
        if not versions:
            mend = f"if only that row is lost, put {head()!r} into {VERSION_TABLE}; else {mend}"
        raise SchemaMismatchError(
            f"{database.name}: the version row says {revision or BASE}, and "
            f"{listed(sorted(wrong))} should be otherwise; {mend}"
        )
    return revision


def check_head_of_server(database: Database) -> str:
    """Return the head revision if the database is at it. Raises as `revision_on_server`.

    Raises
    ------
    NotANexusLIMSDatabaseError
        It has no tables, or as above.
    PendingMigrationsError
        It is at an older revision.
    """
    revision = revision_on_server(database)
    if revision is None:
        raise NotANexusLIMSDatabaseError(
            f"{database.name} has no tables yet",
            call="Store(url, migrate=True) or `nexuslims-store migrate` creates them",
            command="`nexuslims-store migrate` creates them",
        )
    if revision != head():
        raise PendingMigrationsError(
            f"{database.name} is at {revision}, this package works with {head()}",
            call="Store(url, migrate=True) or `nexuslims-store migrate` brings it there",
            command="run `nexuslims-store migrate`",
        )
    return head()
