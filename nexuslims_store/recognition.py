"""At what revision a file is: what its version row says, and whether its tables agree.

Opening a store and every migration begin here. All is decided from one look at the file's
catalogue; nothing is written, and no table of another program is read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nexuslims_store.catalogue import REBUILDS, TELLTALES, VERSION_TABLE, Catalogue, read
from nexuslims_store.connection import MEMORY
from nexuslims_store.errors import (
    NotANexusLIMSDatabaseError,
    PendingMigrationsError,
    SchemaMismatchError,
    UnknownRevisionError,
)
from nexuslims_store.layouts import (
    BASE,
    LAYOUTS,
    REVISIONS,
    SESSION_LOG,
    differences,
    fits,
    revision_of,
)
from nexuslims_store.revisions import head
from nexuslims_store.translation import translated

__all__ = [
    "State",
    "check_head",
    "judge",
    "recognise",
    "refuse_foreign",
    "refuse_other_files",
]

_ALEMBIC_REBUILD = "_alembic_tmp_"


@dataclass(frozen=True, slots=True)
class State:
    """At what revision a file is.

    Attributes
    ----------
    revision
        The revision, None at base and for an empty file.
    stamped
        Whether the version row says so; else the tables alone do.
    leftovers
        Tables that an unfinished upgrade by NexusLIMS left behind, the originals being whole.
    catalogue
        What the file holds.
    """

    revision: str | None
    stamped: bool
    leftovers: tuple[str, ...]
    catalogue: Catalogue

    @property
    def empty(self) -> bool:
        """Whether there is nothing at all in the file."""
        return not self.catalogue.tables


def recognise(connection: sqlite3.Connection, path: Path, *, timeout: float = 30.0) -> State:
    """Say at what revision a file is.

    Raises
    ------
    NotANexusLIMSDatabaseError
        The file is not SQLite, or has another program's tables only.
    UnknownRevisionError
        The version row names a revision this package does not know, or there are several.
    SchemaMismatchError
        The tables contradict the version row or are of no revision, or there is a trigger on
        one of them.
    """
    with translated(path, timeout=timeout):
        catalogue = read(connection)
        refuse_other_files(connection, catalogue, path)
    return judge(catalogue, path)


def refuse_other_files(connection: sqlite3.Connection, catalogue: Catalogue, path: Path) -> None:
    """Raise for a file that SQLite opens and this package must not write to, whatever is in it."""
    encoding = str(connection.execute("PRAGMA encoding").fetchone()[0])
    if encoding != "UTF-8":
        raise SchemaMismatchError(
            f"{path} keeps its texts as {encoding}, NexusLIMS's databases as UTF-8; make it anew: "
            "`sqlite3 OLD .dump | sqlite3 NEW`"
        )
    # SQLite takes a file of a single byte for an empty one, and would write over it.
    if not catalogue.tables and path != MEMORY and path.stat().st_size == 1:
        raise NotANexusLIMSDatabaseError(
            f"{path} is not an SQLite database; nothing was written to it. Check the path "
            "(NX_DB_PATH or --db)"
        )


def check_head(connection: sqlite3.Connection, path: Path, *, timeout: float = 30.0) -> str:
    """Return the head revision if the file is at it, ready for a store.

    Raises
    ------
    PendingMigrationsError
        It is at an older revision, or has no version row.
    SchemaMismatchError
        An unfinished upgrade left tables behind.
    NotANexusLIMSDatabaseError, UnknownRevisionError
        As for `recognise`, and for an empty file.
    """
    state = recognise(connection, path, timeout=timeout)
    if state.leftovers:
        raise SchemaMismatchError(
            f"{path}: an upgrade by NexusLIMS was interrupted and left "
            f"{_list(state.leftovers)} behind; `nexuslims-store migrate upgrade` removes it and "
            "finishes the upgrade"
        )
    if state.empty:
        raise NotANexusLIMSDatabaseError(
            f"{path} is empty; `nexuslims-store migrate` creates the tables in it"
        )
    if state.revision != head():
        raise PendingMigrationsError(
            f"{path} is at {state.revision or BASE}, this package works with {head()}: run "
            "`nexuslims-store migrate`"
        )
    if not state.stamped:
        raise PendingMigrationsError(
            f"{path} has the tables of {head()}, but no version row: run "
            "`nexuslims-store migrate`, which adds it"
        )
    return head()


# -- judging ---------------------------------------------------------------------------


def judge(catalogue: Catalogue, path: Path) -> State:
    """Say at what revision a file with this catalogue is. Raises as `recognise` does."""
    versions = catalogue.versions
    if not any(version in REVISIONS for version in versions):
        refuse_foreign(catalogue, path)
    _refuse_foreign_code(catalogue, path)
    if len(versions) > 1:
        raise UnknownRevisionError(
            f"{path} has several version rows ({', '.join(versions)}), so its revision is not "
            f"certain; {_tables_are_of(catalogue)}"
        )
    said = versions[0] if versions else None
    if said is not None and said not in REVISIONS:
        raise UnknownRevisionError(
            f"{path} is at revision {said}, which this package does not know (its newest is "
            f"{head()}): a newer NexusLIMS was there; upgrade nexuslims_store"
        )
    leftovers = _leftovers(catalogue, path)
    found = revision_of(catalogue.layout)
    if found is not None and said in {found, None}:
        revision = None if found == BASE else found
        return State(revision, stamped=said == revision, leftovers=leftovers, catalogue=catalogue)
    unfinished = _unfinished(catalogue, said)
    if unfinished:
        return State(said, stamped=True, leftovers=(*leftovers, *unfinished), catalogue=catalogue)
    if said is not None and fits(catalogue.layout, said):
        return State(said, stamped=True, leftovers=leftovers, catalogue=catalogue)
    if found is not None:
        raise SchemaMismatchError(
            f"{path}: the version row says {said}, but its tables are those of {found}; "
            f"`nexuslims-store migrate stamp {found}` puts the version row right, then run "
            "`nexuslims-store migrate`"
        )
    raise SchemaMismatchError(
        f"{path}: its tables are those of no revision this package knows: "
        f"{'; '.join(differences(catalogue.layout, said))}. Nothing was changed; if there are but "
        "columns of your own too many, `nexuslims-store migrate stamp REVISION` says so; else put "
        "the tables right, or bring back a backup with `nexuslims-store restore`"
    )


def refuse_foreign(catalogue: Catalogue, path: Path) -> None:
    """Raise NotANexusLIMSDatabaseError for a file whose tables are all another program's."""
    theirs = catalogue.others or catalogue.odd
    if theirs and not _has_nexuslims_tables(catalogue):
        raise NotANexusLIMSDatabaseError(
            f"{path} is another program's database: it has no NexusLIMS tables, but "
            f"{_list(theirs)}. Nothing was written to it; check the path (NX_DB_PATH or --db)"
        )


def _has_nexuslims_tables(catalogue: Catalogue) -> bool:
    return any(column in catalogue.columns.get(table, ()) for table, column in TELLTALES.items())


def _refuse_foreign_code(catalogue: Catalogue, path: Path) -> None:
    """A trigger, or a view in a table's place, would run its author's SQL on our writes."""
    if catalogue.odd:
        raise SchemaMismatchError(
            f"{path}: {_list(catalogue.odd)} should be a plain table, and is a view or the like; "
            "rename it, or bring back a backup with `nexuslims-store restore`"
        )
    if catalogue.triggers:
        named = _list(f"{trigger} on {table}" for trigger, table in catalogue.triggers)
        raise SchemaMismatchError(
            f"{path}: NexusLIMS has no triggers, and this file has {named}; look at what they "
            "do, then remove them (DROP TRIGGER …)"
        )


def _leftovers(catalogue: Catalogue, path: Path) -> tuple[str, ...]:
    leftovers = [
        (table, original)
        for table, original in REBUILDS.items()
        if catalogue.columns.get(table) == SESSION_LOG
    ]
    leftovers += [
        (table, table.removeprefix(_ALEMBIC_REBUILD))
        for table in sorted(catalogue.tables)
        if table.startswith(_ALEMBIC_REBUILD)
    ]
    for table, original in leftovers:
        if original not in catalogue.tables:
            raise SchemaMismatchError(
                f"{path}: an interrupted upgrade left {table} behind, and {original} is gone; "
                "bring back the backup that was made before it with `nexuslims-store restore`"
            )
    return tuple(table for table, _ in leftovers)


def _unfinished(catalogue: Catalogue, said: str | None) -> tuple[str, ...]:
    """Return tables of the next revision, made by an upgrade that never moved the version row.

    They must be empty: NexusLIMS did not know them yet.
    """
    if said is None and VERSION_TABLE not in catalogue.tables:
        return ()
    known = list(LAYOUTS)
    place = known.index(said or BASE) + 1
    if place == len(known):
        return ()
    here, following = LAYOUTS[said or BASE], LAYOUTS[known[place]]
    there = catalogue.layout
    new = there.keys() - here.keys()
    if (
        new & catalogue.filled
        or {**here, **{table: following.get(table) for table in new}} != there
    ):
        return ()
    return tuple(sorted(new))


# -- words -----------------------------------------------------------------------------


def _tables_are_of(catalogue: Catalogue) -> str:
    found = revision_of(catalogue.layout)
    if found is None:
        return "its tables are those of no revision; bring back a backup"
    return f"its tables are those of {found}: `nexuslims-store migrate stamp {found}` says so"


def _list(names: Iterable[str]) -> str:
    names = list(names)
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
