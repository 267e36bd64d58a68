"""The decision at what revision a file is, from one look at its catalogue."""

import sqlite3
from functools import partial
from pathlib import Path
from typing import NamedTuple

from nexuslims_store.connection import MEMORY, pragma
from nexuslims_store.errors import (
    NotANexusLIMSDatabaseError,
    PendingMigrationsError,
    SchemaMismatchError,
)
from nexuslims_store.recognition.advice import (
    everywhere,
    is_foreign,
    listed,
    lost_key,
    mismatch,
    several,
    unknown,
    unlike_alembic,
)
from nexuslims_store.recognition.catalogue import Catalogue, look, rebuilds
from nexuslims_store.recognition.layouts import (
    fits,
    is_head,
    known_columns,
    layouts,
    revision_of,
    tables_in,
    without_key,
)
from nexuslims_store.revisions import BASE, FORMER, VERSION_TABLE, head, names, position
from nexuslims_store.translation import CHECK_PATH, refuse_writes, translated


class State(NamedTuple):
    """At what revision a file is.

    Attributes
    ----------
    revision
        The revision, None at base and for an empty file.
    stamped
        Whether the version row says so by the name of today; else the tables tell.
    leftovers
        Tables that an unfinished upgrade by NexusLIMS left behind, the originals being whole.
    keyless
        Tables that have lost their key, to which nothing is written.
    catalogue
        What the file holds.
    """

    revision: str | None
    stamped: bool
    leftovers: tuple[str, ...]
    keyless: tuple[str, ...]
    catalogue: Catalogue

    @property
    def empty(self) -> bool:
        """Whether there is nothing at all in the file."""
        return not self.catalogue.names

    @property
    def former(self) -> str | None:
        """The name that NexusLIMS 2.2.0 to 2.4.1 gave the revision, where the row has that."""
        return next((name for name in FORMER if name in self.catalogue.versions), None)


def recognise(connection: sqlite3.Connection, path: Path, *, timeout: float = 30.0) -> State:
    """Say at what revision a file is.

    Raises
    ------
    NotANexusLIMSDatabaseError
        The file is not SQLite, or has another program's tables only.
    UnknownRevisionError
        The version row names a revision this package does not know, or there are several.
    SchemaMismatchError
        The tables contradict the version row or are of no revision.
    """
    with translated(path, timeout=timeout):
        catalogue = look(connection)
        refuse_other_files(connection, catalogue, path)
    return judge(catalogue, path)


def refuse_other_files(connection: sqlite3.Connection, catalogue: Catalogue, path: Path) -> None:
    """Raise for a file that SQLite opens and this package must not write to, whatever is in it."""
    encoding = pragma(connection, "encoding")
    if encoding != "UTF-8":
        raise SchemaMismatchError(
            f"{path} keeps its texts as {encoding}, NexusLIMS's databases as UTF-8; make it anew: "
            "`sqlite3 OLD .dump | sqlite3 NEW`"
        )
    # SQLite takes a file of a single byte for an empty one, and would write over it.
    if not catalogue.names and path != MEMORY and path.stat().st_size == 1:
        raise NotANexusLIMSDatabaseError(
            f"{path} is not an SQLite database, and nothing was written to it", **CHECK_PATH
        )


def check_head(connection: sqlite3.Connection, path: Path, *, write: bool, timeout: float) -> str:
    """Return the head revision if the file is at it, ready for a store that reads, or writes.

    The connection refuses what is written to a table that has lost its key.

    Raises
    ------
    PendingMigrationsError
        It is at an older revision, or has no version row.
    SchemaMismatchError
        An unfinished upgrade left tables behind, or a write would run a trigger or compute a
        column.
    NotANexusLIMSDatabaseError, UnknownRevisionError
        As for `recognise`, and for an empty file.
    """
    state = recognise(connection, path, timeout=timeout)
    if state.leftovers:
        raise SchemaMismatchError(
            f"{path}: an upgrade by NexusLIMS was interrupted and left "
            f"{listed(state.leftovers)} behind; `nexuslims-store migrate upgrade` removes it and "
            "finishes the upgrade"
        )
    if state.empty:
        raise NotANexusLIMSDatabaseError(
            f"{path} is empty",
            call="Store(path, migrate=True) or `nexuslims-store migrate` creates the tables in it",
            command="`nexuslims-store migrate` creates the tables in it",
        )
    if state.revision != head():
        raise PendingMigrationsError(
            f"{path} is at {state.revision or BASE}, this package works with {head()}",
            call="Store(path, migrate=True) or `nexuslims-store migrate` brings it there",
            command="run `nexuslims-store migrate`",
        )
    if not state.stamped:
        raise PendingMigrationsError(
            f"{path} has the tables of {head()}, but no version row",
            call="Store(path, migrate=True) or `nexuslims-store migrate` adds it",
            command="run `nexuslims-store migrate`, which adds it",
        )
    if write and (state.catalogue.triggers_of_rows or state.catalogue.computed_columns):
        from nexuslims_store.recognition import own  # noqa: PLC0415 -- most files have none

        triggers = state.catalogue.triggers_of_rows
        raise (own.own_triggers if triggers else own.own_computed)(state.catalogue, path)
    if write and state.keyless:
        errors = {name: partial(lost_key, path, name) for name in state.keyless}
        refuse_writes(connection, path, errors)
    return head()


# -- judging ---------------------------------------------------------------------------


def judge(catalogue: Catalogue, path: Path) -> State:
    """Say at what revision a file with this catalogue is. Raises as `recognise` does."""
    versions = catalogue.versions
    if not any(version in {*names(), *FORMER} for version in versions):
        refuse_foreign(catalogue, path)
    if catalogue.odd:  # a view, for one, would run what its author wrote whenever it is read
        raise SchemaMismatchError(
            f"{path}: {listed(catalogue.odd)} should be a plain table, and is a view or the like",
            **everywhere("give it another name: its statement is in `sqlite3 FILE .schema`"),
        )
    if catalogue.unlike_alembic:
        raise unlike_alembic(catalogue, path)
    if len(versions) > 1:
        raise several(catalogue, path)
    if versions and versions[0] not in {*names(), *FORMER}:
        raise unknown(catalogue, path)
    row = next((name for name in (*names(), *FORMER) if name in versions), None)
    said = FORMER.get(row, row) if row else None
    leftovers = _leftovers(catalogue, path)
    # The ordinary case first: it is not worth working out all revisions' layouts.
    found = head() if is_head(catalogue.tables) else revision_of(catalogue.layout)
    revision = said if found is None else None if found == BASE else found
    if found is not None and said in {found, None}:
        stamped = row == revision
    elif unfinished := _unfinished(catalogue, said):
        leftovers, revision, stamped = (*leftovers, *unfinished), said, row == said
    elif fits(catalogue.layout, said, keyless=without_key(catalogue.tables, said)):
        revision, stamped = said, row == said
    else:
        raise mismatch(catalogue, path, row, said, found)
    return State(revision, stamped, leftovers, without_key(catalogue.tables, revision), catalogue)


def refuse_foreign(catalogue: Catalogue, path: Path) -> None:
    """Raise NotANexusLIMSDatabaseError for a file whose tables are all another program's."""
    theirs = catalogue.others or catalogue.odd
    if theirs and all(is_foreign(name, table) for name, table in catalogue.tables.items()):
        raise NotANexusLIMSDatabaseError(
            f"{path} is another program's database: it has no NexusLIMS tables, but "
            f"{listed(theirs)}. Nothing was written to it",
            **CHECK_PATH,
        )


def _leftovers(catalogue: Catalogue, path: Path) -> tuple[str, ...]:
    tables = catalogue.contents.tables
    leftovers = [
        (table, original)
        for table, original in sorted(rebuilds().items())
        # A table of the facility's own may be called so too.
        if table in tables
        and known_columns(original).issuperset(tables[table].columns)
        and not is_foreign(original, tables[table])
    ]
    for table, original in leftovers:
        if original not in catalogue.names:
            raise SchemaMismatchError(
                f"{path}: an interrupted upgrade left {table} behind, and {original} is gone; "
                "bring back the backup that was made before it with `nexuslims-store restore`"
            )
    return tuple(table for table, _ in leftovers)


def _unfinished(catalogue: Catalogue, said: str | None) -> tuple[str, ...]:
    """Return tables of the next revision, made by an upgrade that never moved the version row.

    They must be empty: NexusLIMS did not know them yet.
    """
    if (said is None and VERSION_TABLE not in catalogue.names) or said == head():
        return ()
    here, following = layouts()[said], layouts()[names()[position(said)]]
    there = catalogue.layout
    new = tables_in(there) - tables_in(here)
    of_new = {(table, trait) for table, trait in following if table in new}
    unfinished = here | of_new == there and not new & catalogue.filled
    return tuple(sorted(new)) if unfinished else ()
