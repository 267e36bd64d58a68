"""The change of a file: a backup, then one transaction in which all is done and checked."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

from nexuslims_store.backup import copy
from nexuslims_store.backup.files import TakenError, publish, temporary_file
from nexuslims_store.connection import pragma
from nexuslims_store.errors import (
    DatabaseLockedError,
    MigrationError,
    StorageFullError,
    StoreError,
)
from nexuslims_store.migrations.backend import Backend
from nexuslims_store.migrations.opening import is_there, make_folder, no_folder, opened
from nexuslims_store.migrations.plan import Direction, Plan, make_plan, missing_indexes
from nexuslims_store.migrations.rehearsal import make_again, own_indexes, set_aside
from nexuslims_store.migrations.run import NOT_ITS_FAULT, MigrationReport, Options
from nexuslims_store.migrations.script import made_anew_by
from nexuslims_store.migrations.verification import count_filled, count_rows, verify
from nexuslims_store.recognition import look
from nexuslims_store.revisions import between
from nexuslims_store.translation import require_writable, translate

# How often another program may change the file between our backup of it and our lock on it.
_ATTEMPTS = 5


# -- a new file ------------------------------------------------------------------------


def create(path: Path, plan: Plan, options: Options) -> MigrationReport | None:
    """Make the file whole under a name of this run's own, and only then give it its name.

    So no other run ever has it open while this one may still give it up and remove it.

    Returns None if another run was quicker to make a file of that name.
    """
    try:
        file = Path(os.path.realpath(path))  # a symbolic link itself stays
    except OSError as error:  # the current folder is gone
        raise no_folder(path.parent) from error
    make_folder(file.parent)
    try:
        with temporary_file(file, mode=0o644) as temporary:
            with opened(temporary, timeout=options.timeout) as connection:
                connection.execute("PRAGMA synchronous = OFF")  # `publish` syncs it
                connection.execute("BEGIN EXCLUSIVE")
                _change(connection, path, plan, options)
            publish(temporary, [file], temporary.stat())
    except TakenError:
        if not is_there(file):  # but what an earlier database left beside its own
            raise
        return None
    return MigrationReport(path, plan, created=True, changed=True)


# -- a file that is there --------------------------------------------------------------


def move(path: Path, direction: Direction, target: str, options: Options) -> MigrationReport:
    """Bring a file that is there up or down."""
    with opened(path, timeout=options.timeout) as connection:
        plan, backup = _lock(connection, path, direction, target, options)
        if plan.nothing_to_do:
            return MigrationReport(path, plan)
        filled = _change(connection, path, plan, options, backup)
    return MigrationReport(path, plan, backup, harvesters_filled=filled, changed=True)


def _lock(
    connection: sqlite3.Connection,
    path: Path,
    direction: Direction,
    target: str,
    options: Options,
) -> tuple[Plan, Path | None]:
    """Take the exclusive lock on a file that is backed up as it is now.

    The backup needs a connection of its own to read with, which an exclusive lock would keep out.
    So it is made under the lock that only keeps other writers out, and what is written in the
    moment between that lock and the exclusive one makes it worthless.

    Returns
    -------
    The plan, made under the lock, and the backup, None if none was needed. Without anything to do
    there is no lock.
    """
    require_writable(path)  # before it is backed up for nothing
    for _ in range(_ATTEMPTS):
        connection.execute("BEGIN IMMEDIATE")
        plan = make_plan(connection, path, direction, target, timeout=options.timeout)
        if plan.nothing_to_do:  # another run was quicker
            connection.execute("ROLLBACK")  # of nothing
            return plan, None
        plan.refuse_obstacles(str(path))
        wanted = options.backup and not plan.empty
        _require_room(connection, path, plan, backup=wanted)
        version = pragma(connection, "data_version")
        backup = _back_up(path, options) if wanted else None
        try:
            connection.execute("ROLLBACK")
            connection.execute("BEGIN EXCLUSIVE")
            # Another connection's commit changes it.
            if pragma(connection, "data_version") == version:
                return plan, backup
            connection.execute("ROLLBACK")
        except BaseException:
            _remove(backup)
            raise
        _remove(backup)
    raise DatabaseLockedError(
        f"{path} was changed by other programs each time it was backed up; stop them and try again"
    )


def _back_up(path: Path, options: Options) -> Path:
    options.say(f"backing up {path}")
    backup = copy(path, path.parent, timeout=options.timeout, progress=options.percent)
    options.say(f"made the backup {backup}")
    return backup


def _remove(backup: Path | None) -> None:
    if backup is not None:
        backup.unlink()


def _require_room(connection: sqlite3.Connection, path: Path, plan: Plan, *, backup: bool) -> None:
    """Raise if the disk cannot hold the backup and the tables that are made anew."""
    size = pragma(connection, "page_count") * pragma(connection, "page_size")
    anew = plan.made_anew or any(made_anew_by(step, up=plan.up) for step in plan.steps)
    needed = size * (backup + bool(anew))
    free = shutil.disk_usage(Path(os.path.realpath(path)).parent).free
    if free < needed:
        what = " and ".join(["its backup"] * backup + ["the new tables"] * bool(anew))
        raise StorageFullError(
            f"{path} cannot be migrated: {needed:,} bytes are needed for {what}, and "
            f"its disk has {free:,} free; free some space and try again. Nothing was changed"
        )


# -- the change ------------------------------------------------------------------------


def _change(
    connection: sqlite3.Connection,
    path: Path,
    plan: Plan,
    options: Options,
    backup: Path | None = None,
) -> int:
    """Do all that is planned, check it and commit it; return how many instruments got a harvester.

    What fails is rolled back, and the error says what it was.
    """
    doing = "counting of the rows"
    try:
        rows = count_rows(connection, plan.before, plan.after)
        there = look(connection)
        filled = count_filled(connection, plan.steps, up=plan.up)
        doing = "setting aside of the triggers"
        set_aside(connection, there.triggers)
        doing = "yoyo's marks"
        backend = Backend(connection)
        backend.put_marks_right(between(None, plan.before))
        for part in plan.parts():
            doing = part.name
            if part.told:
                options.say(part.told)
            if part.step is not None:
                (backend.apply if plan.up else backend.roll_back)(part.step)
            else:
                for statement in part.statements:
                    connection.execute(statement)
        doing = "making of the indexes and triggers"
        for index in missing_indexes(look(connection), plan.after):
            connection.execute(str(index.sql))
        make_again(connection, [*own_indexes(there.contents.of("index")), *there.triggers])
        doing = "verification"
        options.say("verifying")
        verify(connection, path, rows, plan.before, plan.after)
        doing = "commit"
        connection.execute("COMMIT")
    except BaseException as error:
        # Closing would do it only once no cursor is left, and errors that are kept keep cursors.
        # After a full disk SQLite has rolled back already. Whatever this rollback meets, the
        # first error is the one to tell.
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")  # of all
        if not isinstance(error, sqlite3.Error):
            raise
        raise _failure(error, doing, path, backup, options) from error
    return filled


def _failure(
    error: sqlite3.Error, doing: str, path: Path, backup: Path | None, options: Options
) -> StoreError:
    """Return what SQLite's error in a change, which was rolled back, means for the user."""
    meaning = translate(error, path, timeout=options.timeout)
    if isinstance(meaning, StorageFullError):
        # The file is as it was, and each further attempt would leave a backup.
        _remove(backup)
    if isinstance(meaning, NOT_ITS_FAULT):
        return meaning
    kept = f" (the backup {backup} is kept)" if backup else ""
    return MigrationError(
        f"{path}: {doing} failed: {error}. All was rolled back, the file is as it was before{kept}"
    )
