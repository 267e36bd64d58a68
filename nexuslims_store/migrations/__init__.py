"""The schema's history, and how a database goes up and down it.

The migrations are the SQL files in `sql/migrations/`, applied by yoyo. They mirror NexusLIMS's
own and move its version row, so that both programs always agree at what revision a file is. One
run is one transaction, and before the first change a verified backup is made.

Where a path is asked for, the URL of a database on PostgreSQL will do too; it has a history of its
own, which begins with all tables at once, and backups are its server's business.

yoyo takes longer to import than a store takes to open, and is imported when a migration runs.

Examples
--------
>>> [migration.revision for migration in history()][-1] == head()
True
>>> upgrade("new.db").created
True
>>> plan("new.db").nothing_to_do
True
>>> downgrade("new.db").after == current("new.db") == history()[-2].revision
True
>>> pending("new.db") == history()[-1:]
True
>>> stamp("new.db", current("new.db")).changed  # it is right already
False
>>> "COMMIT" in to_sql("base", "head")
True
>>> new("add a thing", "v99_0_0", folder="sql/migrations")[0].name.endswith("_add_a_thing.sql")
True
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from nexuslims_store import revisions
from nexuslims_store.arguments import (
    as_path,
    require_choice,
    require_flags,
    require_function,
    require_type,
)
from nexuslims_store.config import is_url, require_file
from nexuslims_store.connection import MEMORY, connect
from nexuslims_store.errors import MigrationError
from nexuslims_store.migrations.opening import is_there
from nexuslims_store.migrations.plan import Direction, Plan, make_plan, plan_for_new_file, to_sql
from nexuslims_store.migrations.run import MigrationReport, Options, run
from nexuslims_store.migrations.stamping import write_stamp
from nexuslims_store.migrations.template import CHECKLIST, new
from nexuslims_store.recognition import recognise
from nexuslims_store.revisions import Migration, between, head
from nexuslims_store.translation import translated

if TYPE_CHECKING:
    from nexuslims_store.backup import Progress

__all__ = [
    "CHECKLIST",
    "Direction",
    "Migration",
    "MigrationReport",
    "Plan",
    "current",
    "downgrade",
    "head",
    "history",
    "new",
    "pending",
    "plan",
    "stamp",
    "to_sql",
    "upgrade",
]

_TIMEOUT = 30.0

PathLike = str | os.PathLike[str]


def history(path: PathLike = "") -> list[Migration]:
    """Return the schema's history, oldest revision first: that of SQLite files, or of a URL."""
    require_type("path", path, (str, os.PathLike))
    return list(revisions.history(server=is_url(path)))


def current(path: PathLike, *, timeout: float = _TIMEOUT) -> str | None:
    """Return the revision a file is at, None at base and for an empty file.

    It is opened read-only. A file without a version row is recognised by its tables.

    Raises
    ------
    DatabaseNotFoundError, NotANexusLIMSDatabaseError
        There is no such file, or it is another program's.
    UnknownRevisionError
        A newer NexusLIMS was there, or there are several version rows.
    SchemaMismatchError
        The tables contradict the version row.
    """
    if is_url(path):
        from nexuslims_store.migrations import server  # noqa: PLC0415 -- for those who have one

        return server.current(path, timeout=timeout)
    path = _file(path)
    with closing(connect(path, mode="ro", timeout=timeout)) as connection:
        return recognise(connection, path, timeout=timeout).revision


def pending(path: PathLike, *, timeout: float = _TIMEOUT) -> list[Migration]:
    """Return the migrations that lead from a file's revision to the head. Raises as `current`."""
    if is_url(path):
        return list(plan(path, timeout=timeout).steps)
    return list(between(current(path, timeout=timeout), head()))


def plan(
    path: PathLike,
    target: str = "head",
    *,
    direction: Direction = "upgrade",
    timeout: float = _TIMEOUT,
) -> Plan:
    """Say what `upgrade` or `downgrade` would do to a file. It is opened read-only.

    Parameters
    ----------
    path, target
        As for `upgrade`.
    direction
        "upgrade" or "downgrade".

    Returns
    -------
    Plan
        `str()` of it says so in words; `nothing_to_do` is True for a file that is up to date.
    """
    require_type("target", target, str)
    require_choice("direction", direction, Direction)
    if is_url(path):
        from nexuslims_store.migrations import server  # noqa: PLC0415 -- for those who have one

        return server.look(path, direction, target, timeout=timeout)
    path = _file(path)
    if direction == "upgrade" and not is_there(path):
        return plan_for_new_file(path, target)
    with (
        translated(path, timeout=timeout),
        closing(connect(path, mode="ro", timeout=timeout)) as connection,
    ):
        return make_plan(connection, path, direction, target, timeout=timeout)


def upgrade(
    path: PathLike,
    target: str = "head",
    backup: bool = True,  # noqa: FBT001, FBT002 -- the contract's signature
    *,
    timeout: float = _TIMEOUT,
    progress: Callable[[str], None] | None = None,
    percent: Progress | None = None,
) -> MigrationReport:
    """Bring a file up to a revision, creating it if it is not there.

    A new file gets its name once it is whole. Its folder must be there, but for this package's
    own default one.

    A file without a version row is recognised by its tables; what an interrupted upgrade by
    NexusLIMS left behind is removed where the original table is whole.

    Parameters
    ----------
    path
        The database file.
    target
        A revision or any unique start of one, "head", or "+N".
    backup
        Whether a verified backup is made beside the file before the first change. None is made
        of a new file, nor if there is nothing to do.
    timeout
        Seconds to wait for other programs' locks.
    progress
        Called with a line of text for each thing that is done.
    percent
        Called from time to time with how many pages of the backup are copied, and with all.

    Returns
    -------
    MigrationReport
        What was done.

    Raises
    ------
    MigrationError
        It failed, and all was rolled back; or the target is wrong; or rows are in the way,
        which the message names.
    BackupError, StorageFullError
        The backup could not be made, so nothing else was.
    NotANexusLIMSDatabaseError, UnknownRevisionError, SchemaMismatchError
        The file is none that may be migrated. Nothing was written to it.
    DatabaseLockedError, ReadOnlyError, CorruptDatabaseError
        The file cannot be written now, or not by this user, or is damaged.
    """
    options = Options(backup, timeout, progress or _silent, percent)
    return _run(path, "upgrade", target, options)


def downgrade(
    path: PathLike,
    target: str = "-1",
    backup: bool = True,  # noqa: FBT001, FBT002 -- the contract's signature
    *,
    timeout: float = _TIMEOUT,
    progress: Callable[[str], None] | None = None,
    percent: Progress | None = None,
) -> MigrationReport:
    """Take a file down to an older revision. Tables it does not have are gone, with their rows.

    Parameters, result and errors are those of `upgrade`; `target` is a revision or any unique
    start of one, "base", or "-N". The plan in the report says how many rows are gone, by table.
    """
    options = Options(backup, timeout, progress or _silent, percent)
    return _run(path, "downgrade", target, options)


def stamp(
    path: PathLike,
    revision: str,
    *,
    force: bool = False,
    dry_run: bool = False,
    timeout: float = _TIMEOUT,
) -> MigrationReport:
    """Say at what revision a file is: write the version row and yoyo's marks, no more.

    It mends a wrong version row, several, or none. The tables must be those of the revision.

    Parameters
    ----------
    path, timeout
        As for `upgrade`.
    revision
        A revision or any unique start of one, "head" or "base".
    force
        Whether a version row that this package does not know may be replaced. A newer NexusLIMS
        may have written it, and what it added would be lost with a later downgrade.
    dry_run
        Whether to look only: `changed` of the report says whether a stamp would change the file.

    Raises
    ------
    MigrationError
        There is no such revision.
    UnknownRevisionError
        The version row is of a revision this package does not know, and `force` is not given.
    SchemaMismatchError
        The tables are not those of the revision; the message says whose they are.
    NotANexusLIMSDatabaseError
        The file is another program's. Nothing was written to it.
    """
    require_type("revision", revision, str)
    require_flags(force=force, dry_run=dry_run)
    if is_url(path):
        raise MigrationError(
            "stamp is for SQLite files that other programs migrate; no other program keeps "
            "NexusLIMS's tables on PostgreSQL. A dump of it is brought back by `pg_restore`"
        )
    return write_stamp(_file(path), revision, force=force, timeout=timeout, dry_run=dry_run)


def _file(path: PathLike) -> Path:
    """Return a path of which there may be a file: one called :memory: must never be made."""
    file = as_path("path", path)
    if file == MEMORY:
        raise MigrationError(
            "a database in memory has no file to migrate; Store(':memory:') is at the head"
        )
    require_file(path, "the path")
    return file


def _run(path: PathLike, direction: Direction, target: str, options: Options) -> MigrationReport:
    require_type("target", target, str)
    require_flags(backup=options.backup)
    require_function("progress", options.say)
    require_function("percent", options.percent or _silent)
    if is_url(path):
        from nexuslims_store.migrations import server  # noqa: PLC0415 -- for those who have one

        return server.run(path, direction, target, options)
    return run(_file(path), direction, target, options)


def _silent(_: str) -> None:
    pass
