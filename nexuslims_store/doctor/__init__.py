"""Looks a database over and says what is not as it should be. Nothing is changed.

::

    from nexuslims_store import doctor

    for finding in doctor.examine(path):
        print(finding.severity, finding.message, finding.remedy)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING

from nexuslims_store.arguments import as_path
from nexuslims_store.config import is_url, require_file
from nexuslims_store.connection import SQLiteDatabase
from nexuslims_store.database import Database
from nexuslims_store.doctor import drift, file, mending, rows, sessions
from nexuslims_store.doctor.finding import Finding, Severity
from nexuslims_store.errors import (
    CorruptDatabaseError,
    DatabaseLockedError,
    NotANexusLIMSDatabaseError,
    ReadOnlyError,
    SchemaMismatchError,
    StoreError,
)
from nexuslims_store.migrations.plan import make_plan, marks_wrong
from nexuslims_store.migrations.server import make_plan as plan_on_server
from nexuslims_store.opening import open_server
from nexuslims_store.recognition import Catalogue, State, judge, look
from nexuslims_store.recognition.layouts import most_similar, revision_of, without_key
from nexuslims_store.recognition.own import own_computed, own_triggers
from nexuslims_store.recognition.server import columns_on_server
from nexuslims_store.revisions import BASE, head, names
from nexuslims_store.tables import read
from nexuslims_store.times import require_zone_data, utc_now

if TYPE_CHECKING:
    from nexuslims_store.postgresql import PostgreSQLDatabase

Progress = Callable[[int, int], None]

_AFTER_THE_ROWS = {"lost-key", "own-trigger", "computed-column", "in-the-way"}

__all__ = ["Finding", "Severity", "examine", "iter_findings"]


def examine(
    path: str | os.PathLike[str],
    *,
    timeout: float = 30.0,
    clock: Callable[[], datetime] = utc_now,
    progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """Look a database over, at whatever revision it is.

    Parameters
    ----------
    path
        The file, or the URL of a database on PostgreSQL. It is opened for reading only.
    timeout
        Seconds to wait while another program holds the lock.
    clock
        Returns the present time, aware; for tests.
    progress
        Called from time to time with how many rows are examined, and how many there are about.

    Returns
    -------
    list of Finding
        Nothing where all is well. What is found in the file comes first, what is found in its
        rows last.

    Raises
    ------
    DatabaseNotFoundError, NotANexusLIMSDatabaseError
        There is no such file, or it is not SQLite's.
    DatabaseLockedError, ReadOnlyError
        It cannot be read now, or not by this user.
    """
    return list(iter_findings(path, timeout=timeout, clock=clock, progress=progress))


def iter_findings(
    path: str | os.PathLike[str],
    *,
    timeout: float = 30.0,
    clock: Callable[[], datetime] = utc_now,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Finding]:
    """Yield what `examine` returns one by one, in constant memory.

    SQLite's look at all pages is one read, as it must be. The rows are read some at a time, each
    lot in a read of its own, so that no writer waits for longer than that.
    """
    if is_url(path):
        with closing(open_server(path, read_only=True, timeout=timeout)) as server:
            yield from _examine_server(server, clock(), progress or _nobody)
        return
    require_file(path, "the path")
    database = SQLiteDatabase(as_path("path", path), read_only=True, timeout=timeout)
    with closing(database):
        try:
            # The first statement to read the file at all, and SQLite's to read its catalogue.
            database.rows("SELECT count(*) FROM sqlite_master")
        except ReadOnlyError as error:
            if not file.is_hot_journal(error):
                raise
            yield file.left_half_written(database.path)
            return
        except CorruptDatabaseError as error:
            yield file.damaged(database.path, error.__cause__ or error)
            return
        yield from _as_far_as_it_goes(database, "its pages", file.examine_pages(database))
        yield from _as_far_as_it_goes(
            database, "its neighbours", file.examine_neighbours(database, clock())
        )
        yield from _as_far_as_it_goes(
            database, "its tables", _examine_content(database, clock(), progress or _nobody)
        )


def _nobody(done: int, total: int) -> None:
    pass


def _examine_content(
    database: SQLiteDatabase, now: datetime, progress: Progress
) -> Iterator[Finding]:
    with database.translated():
        catalogue = look(database.connection)
    try:
        state = judge(catalogue, database.path)
    except StoreError as error:
        found = list(_unrecognised(database, catalogue, error))
        # The tables may be in order all the same, and only the version row wrong.
        revision = revision_of(catalogue.layout)
        revision = None if revision == BASE else revision
    else:
        found, revision = list(_examine_state(database, state)), state.revision
    # Commands that make a table anew, or change it, stand after those that name one of its rows,
    # and those that take something out of it after both: they can be run in their order.
    yield from (finding for finding in found if finding.code not in _AFTER_THE_ROWS)
    if [finding.code for finding in found] == ["not-nexuslims"]:
        return
    tables: list[Finding] = []
    if revision is not None:
        tables += _as_far_as_it_goes(
            database,
            "its tables",
            drift.examine_tables(database, revision, alembics=not catalogue.unlike_alembic),
        )
        made_anew = {f.table for f in tables if "RENAME TO" in f.remedy}
        tables += _as_far_as_it_goes(
            database, "its foreign keys", drift.examine_references(database, revision, made_anew)
        )
        yield from _as_far_as_it_goes(
            database, "its views and triggers", drift.examine_code(database)
        )
    columns = {}
    for name, table in catalogue.tables.items():
        if table.rowid and "_rowid_" not in table.columns:
            columns[name] = frozenset(table.columns)
        else:
            what = f"the rows of {name} were not examined, since it is WITHOUT ROWID"
            if table.rowid:
                what = f"the rows of {name} were not examined, since it has a column _rowid_"
            yield Finding("not-examined", "note", what, table=name)
    keyless = {finding.table for finding in (*found, *tables) if finding.code == "lost-key"}
    yield from _examine_rows(database, columns, revision, now, progress, keyless=keyless)
    yield from sorted(tables, key=lambda finding: finding.code == "taken-name")
    yield from (finding for finding in found if finding.code in _AFTER_THE_ROWS)


def _examine_server(
    database: PostgreSQLDatabase, now: datetime, progress: Progress
) -> Iterator[Finding]:
    """Examine the rows. The server looks after the rest, and no other program makes tables."""
    try:
        plan = plan_on_server(database, "upgrade", "head")
    except StoreError as error:
        yield Finding("unknown-tables", "error", error.for_command, "see the message")
        return
    if not plan.nothing_to_do:
        code: tuple[str, Severity] = ("older-revision", "note")
        if plan.empty:
            code = ("no-tables", "warning")
        what = str(plan).replace("\n", "; ")
        yield Finding(*code, f"{database.name}: {what}", "nexuslims-store migrate")
    columns: dict[str, frozenset[str]] = {}
    for table, column in columns_on_server(database):
        columns[table] = columns.get(table, frozenset()) | {column}
    yield from _examine_rows(database, columns, plan.before, now, progress)


def _examine_rows(
    database: Database,
    columns: Mapping[str, frozenset[str]],
    revision: str | None,
    now: datetime,
    progress: Progress,
    *,
    keyless: Collection[str | None] = (),
) -> Iterator[Finding]:
    """Examine the rows of all tables that can be read, then what they say together."""
    at_head = revision == head()
    tables = {
        table: rows.Rows(database, table, columns[table], at_head=at_head, keyless=table in keyless)
        for table in rows.MODELS
        if table in columns
    }
    tables = {table: there for table, there in tables.items() if there.readable}
    try:
        require_zone_data()
    except StoreError as error:
        # Neither can the times of sessions be told.
        tables.pop("instruments", None)
        at_head = False
        yield Finding(
            "no-zone-data",
            "error",
            f"{error}. The instruments and what makes no session were not examined",
            "pip install tzdata",
        )
    done_with: set[str] = set()
    invalid: set[object] = set()
    with closing(sessions.Together(database, now, keyless="session_log" in keyless)) as together:
        looks = {
            "instruments": together.look_at_instruments,
            "upload_log": together.look_at_uploads,
        }
        if columns.get("instruments", frozenset()).issuperset(("instrument_pid", "timezone")):
            looks["session_log"] = together.look_at_events
        # By the highest rowid of each, which is a measure of its length.
        ends = {table: max(rows.last_rowid(database, table), 0) for table in tables}

        def examine(table: str, done: int) -> Iterator[Finding]:
            for lot in tables[table].lots():
                for finding in tables[table].examine(lot):
                    if table == "instruments":
                        invalid.add(finding.row_id)
                    yield finding
                if table in looks:
                    yield from looks[table](lot)
                here = min(max(lot[-1][0], 0), ends[table])
                progress(done + here, sum(ends.values()))
            done_with.add(table)

        done = 0
        for table in tables:
            findings = examine(table, done)
            yield from _as_far_as_it_goes(database, f"the rows of {table}", findings)
            done += ends[table]
        done_with &= looks.keys()
        if "session_log" in done_with:
            yield from _as_far_as_it_goes(database, "its events", together.examine_events())
        if done_with.issuperset(("session_log", "upload_log")):
            yield from _as_far_as_it_goes(database, "its uploads", together.examine_uploads())
    if at_head:
        yield from _as_far_as_it_goes(
            database, "its sessions", sessions.examine_unpaired(database, invalid)
        )


def _as_far_as_it_goes(
    database: Database, what: str, findings: Iterator[Finding]
) -> Iterator[Finding]:
    """Yield findings; what stops the examination of one thing does not stop that of the others."""
    try:
        yield from findings
    except DatabaseLockedError:
        raise
    except CorruptDatabaseError as error:
        if not isinstance(database, SQLiteDatabase):
            raise
        yield file.damaged(database.path, f"{what}: {error.__cause__ or error}")
    except StoreError as error:
        # What an error of the tables says of SQLite's sends to the doctor.
        why = error.__cause__ if isinstance(error, SchemaMismatchError) else error.for_command
        yield Finding(
            "not-examined",
            "error",
            f"{database.name}: {what} could not be examined: {why}",
            "nexuslims-store doctor --debug  (shows where that comes from)",
        )


# -- the revision ----------------------------------------------------------------------


def _examine_state(database: SQLiteDatabase, state: State) -> Iterator[Finding]:
    path, revision = database.path, state.revision
    if revision is None:
        yield Finding(
            "no-tables", "warning", f"{path} has no tables yet", "nexuslims-store migrate"
        )
        return
    for table in state.leftovers:
        yield Finding(
            "leftover",
            "error",
            f"{path}: an upgrade by NexusLIMS was interrupted and left {table} behind; no "
            "program can go on from there",
            "nexuslims-store migrate upgrade  (removes it, after a backup, and goes on)",
            table=table,
        )
    if state.catalogue.triggers_of_rows:
        refused = own_triggers(state.catalogue, path)
        yield Finding("own-trigger", "warning", refused.problem, refused.remedy)
    if state.catalogue.computed_columns:
        refused = own_computed(state.catalogue, path)
        yield Finding("computed-column", "warning", refused.problem, refused.remedy)
    obstacles: tuple[str, ...] = ()
    if not state.keyless and not (state.stamped and revision == head()):
        with database.translated():
            plan = make_plan(database.connection, path, "upgrade", "head", timeout=database.timeout)
            obstacles = plan.obstacles
    for obstacle in obstacles:
        what, _, remedy = obstacle.partition("; ")
        yield Finding("in-the-way", "warning", f"{path} cannot be migrated: {what}", remedy)
    migrate = "nexuslims-store migrate"
    if obstacles:
        migrate += "  (when what keeps it from being migrated is put right)"
    if state.former is not None:
        yield Finding(
            "former-revision",
            "warning",
            f"{path} has the version row {state.former!r}, as NexusLIMS 2.2 to 2.4 named "
            f"{revision}; NexusLIMS from 2.5 on cannot open it",
            migrate,
            table="alembic_version",
        )
    elif not state.stamped:
        yield Finding(
            "no-version-row",
            "warning",
            f"{path} has the tables of {revision}, but no version row that says so",
            migrate,
            table="alembic_version",
        )
    elif revision != head():
        yield Finding(
            "older-revision",
            "note",
            f"{path} is at {revision}; this package works with {head()}",
            migrate,
        )
    # A file that only NexusLIMS has migrated has no marks, and needs none yet.
    if "_yoyo_migration" in state.catalogue.names:
        with database.translated():
            wrong = marks_wrong(database.connection, state.catalogue, revision)
        if wrong:
            yield Finding(
                "marks",
                "note",
                f"{path}: yoyo has other migrations marked as applied than lead to {revision}, "
                "because NexusLIMS migrated the file meanwhile; the next run puts that right",
                "nexuslims-store migrate",
                table="_yoyo_migration",
            )


def _unrecognised(
    database: SQLiteDatabase, catalogue: Catalogue, error: StoreError
) -> Iterator[Finding]:
    if isinstance(error, SchemaMismatchError) and not (catalogue.odd or catalogue.unlike_alembic):
        stamped = [version for version in catalogue.versions if version in names()]
        nearest = next(iter(stamped), None) or most_similar(catalogue.layout)
        keyless = without_key(catalogue.tables, nearest)
        if keyless:
            yield from mending.lost_key(database, read(database.connection), nearest, keyless[0])
            return
    if isinstance(error, NotANexusLIMSDatabaseError):
        code = "not-nexuslims"
    elif catalogue.odd:
        code = "foreign-code"
    elif revision_of(catalogue.layout) is not None:
        code = "wrong-revision"
    else:
        code = "unknown" + ("-tables" if isinstance(error, SchemaMismatchError) else "-revision")
    yield Finding(
        code,
        "error",
        error.problem,
        error.remedy or "see the message",
        table="alembic_version" if code == "wrong-revision" else None,
    )
