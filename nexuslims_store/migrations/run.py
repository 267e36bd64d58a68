"""One run: a look, a backup, and one transaction in which all is done, checked and committed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from nexuslims_store.backup import copy
from nexuslims_store.backup.files import TakenError, publish, refuse_taken, temporary_file
from nexuslims_store.catalogue import read
from nexuslims_store.errors import (
    CorruptDatabaseError,
    DatabaseLockedError,
    MigrationError,
    ReadOnlyError,
    StorageFullError,
    StoreError,
)
from nexuslims_store.migrations.opening import is_there, make_folder, no_folder, opened
from nexuslims_store.migrations.own_indexes import make_again, own_indexes
from nexuslims_store.migrations.plan import (
    Direction,
    Plan,
    make_plan,
    missing_indexes,
    plan_for_new_file,
)
from nexuslims_store.migrations.script import drop_table, reference
from nexuslims_store.migrations.targets import between
from nexuslims_store.migrations.verification import (
    count_rows,
    refuse_unfit_rows,
    unfilled_harvesters,
    verify,
)
from nexuslims_store.queries import Queries, load
from nexuslims_store.revisions import head
from nexuslims_store.translation import require_writable, translate

__all__ = ["MigrationReport", "Run", "write_version_row"]

# How often another program may change the file between our backup of it and our lock on it.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What a migration did.

    Attributes
    ----------
    path
        The file.
    before, after
        The revisions before and after; None is base.
    applied
        The revisions of the steps that ran, in order; going down, those that were left.
    backup
        The copy of the file as it was before; None for a new file, if nothing was to do, and if
        no backup was wanted.
    adopted
        Whether the file had no version row, and was recognised by its tables.
    leftovers_removed
        Tables of an unfinished upgrade by NexusLIMS that were removed. They are in the backup.
    harvesters_filled
        How many instruments of a file from before 2.2 had no harvester and got "nemo".
    indexes_lost
        Indexes of the facility's own that are gone, because their columns are. Others of its own
        are kept.
    created
        Whether the file was made.
    changed
        Whether anything in the file was changed, or the file was made.
    seconds
        How long it took.
    """

    path: Path
    before: str | None
    after: str | None
    applied: tuple[str, ...] = ()
    backup: Path | None = None
    adopted: bool = False
    leftovers_removed: tuple[str, ...] = ()
    harvesters_filled: int = 0
    indexes_lost: tuple[str, ...] = ()
    created: bool = False
    changed: bool = False
    seconds: float = 0.0


class Run:
    """One upgrade or downgrade of one file.

    Parameters
    ----------
    path, target, backup, timeout, progress
        As for `upgrade`.
    """

    def __init__(
        self,
        path: Path,
        direction: Direction,
        target: str,
        *,
        backup: bool,
        timeout: float,
        progress: Callable[[str], None] | None,
    ) -> None:
        self._path = path
        self._direction = direction
        self._target = target
        self._wants_backup = backup
        self._timeout = timeout
        self._say = progress or (lambda _: None)
        self._step = "migration"  # what is being done, for the message if it fails

    def __call__(self) -> MigrationReport:
        """Run it."""
        started = time.monotonic()
        report = None
        if self._direction == "upgrade" and not is_there(self._path):
            report = self._create(plan_for_new_file(self._path, self._target))
        return replace(report or self._move(), seconds=time.monotonic() - started)

    def _create(self, plan: Plan) -> MigrationReport | None:
        """Make the file whole under a name of this run's own, and only then give it its name.

        So no other run ever has it open while this one may still give it up and remove it.

        Returns None if another run was quicker to make a file of that name.
        """
        if plan.nothing_to_do:
            return self._report(plan)
        try:
            file = Path(os.path.realpath(self._path))  # a symbolic link itself stays
        except OSError as error:  # the current folder is gone
            raise no_folder(self._path.parent) from error
        make_folder(file.parent)
        try:
            refuse_taken(file)
            with temporary_file(file, mode=0o644) as temporary:
                with opened(temporary, timeout=self._timeout) as connection:
                    connection.execute("PRAGMA synchronous = OFF")  # `publish` syncs it
                    connection.execute("BEGIN EXCLUSIVE")
                    with self._rolled_back_on_error(connection, None):
                        self._change(connection, plan)
                        connection.execute("COMMIT")
                publish(temporary, [file], temporary.stat())
        except TakenError:
            if not is_there(file):  # but what an earlier database left beside its own
                raise
            return None
        return self._report(plan, created=True, changed=True)

    def _move(self) -> MigrationReport:
        """Bring a file that is there up or down."""
        with opened(self._path, timeout=self._timeout) as connection:
            plan = self._look(connection)
            backup = None
            if not plan.nothing_to_do:
                plan, backup = self._lock(connection)
            if plan.nothing_to_do:
                return self._report(plan)
            with self._rolled_back_on_error(connection, backup):
                harvesters = unfilled_harvesters(connection, plan.moves)
                lost = self._change(connection, plan)
                self._step = "commit"
                connection.execute("COMMIT")
        return self._report(
            plan, backup=backup, harvesters_filled=harvesters, indexes_lost=lost, changed=True
        )

    def _report(self, plan: Plan, **what: Any) -> MigrationReport:
        return MigrationReport(
            path=self._path,
            before=plan.before,
            after=plan.after,
            applied=tuple(step.revision for step in plan.steps),
            adopted=plan.adopt,
            leftovers_removed=plan.leftovers,
            **what,
        )

    def _look(self, connection: sqlite3.Connection) -> Plan:
        return make_plan(
            connection, self._path, self._direction, self._target, timeout=self._timeout
        )

    # -- backup and lock ---------------------------------------------------------------

    def _lock(self, connection: sqlite3.Connection) -> tuple[Plan, Path | None]:
        """Take the exclusive lock on a file that is backed up as it is now.

        The backup needs a connection of its own to read with, which an exclusive lock would
        keep out. So it is made under the lock that only keeps other writers out, and what is
        written in the moment between that lock and the exclusive one makes it worthless.

        Returns
        -------
        The plan, made under the lock, and the backup, None if none was needed. Without anything
        to do there is no lock.
        """
        require_writable(self._path)  # before it is backed up for nothing
        for _ in range(_ATTEMPTS):
            connection.execute("BEGIN IMMEDIATE")
            plan = self._look(connection)
            if plan.nothing_to_do:  # another run was quicker
                connection.execute("ROLLBACK")
                return plan, None
            refuse_unfit_rows(connection, self._path, plan.moves)
            wanted = self._wants_backup and not plan.empty
            self._require_room(connection, plan, backup=wanted)
            version = _data_version(connection)
            backup = self._back_up() if wanted else None
            try:
                connection.execute("ROLLBACK")
                connection.execute("BEGIN EXCLUSIVE")
                if _data_version(connection) == version:
                    return plan, backup
                connection.execute("ROLLBACK")
            except BaseException:
                _remove(backup)
                raise
            _remove(backup)
        raise DatabaseLockedError(
            f"{self._path} was changed by other programs each time it was backed up; stop them "
            "and try again"
        )

    def _back_up(self) -> Path:
        self._say(f"backing up {self._path}")
        backup = copy(self._path, self._path.parent, timeout=self._timeout)
        self._say(f"made the backup {backup}")
        return backup

    def _require_room(self, connection: sqlite3.Connection, plan: Plan, *, backup: bool) -> None:
        """Raise if the disk cannot hold the backup and the tables that are made anew."""
        size = _number(connection, "page_count") * _number(connection, "page_size")
        needed = size * (backup + any(_makes_anew(*move) for move in plan.moves))
        free = shutil.disk_usage(Path(os.path.realpath(self._path)).parent).free
        if free < needed:
            raise StorageFullError(
                f"{self._path} cannot be migrated: its backup and the new tables need "
                f"{needed:,} bytes, and its disk has {free:,} free; free some space and try "
                "again. Nothing was changed"
            )

    # -- the change --------------------------------------------------------------------

    def _change(self, connection: sqlite3.Connection, plan: Plan) -> tuple[str, ...]:
        """Do all that is planned, and check it. The caller commits or rolls back.

        Returns the indexes of the facility's own that could not be kept.
        """
        from nexuslims_store.migrations.backend import Backend  # noqa: PLC0415 -- imports yoyo

        rows = count_rows(connection, plan.before, plan.after)
        indexes = {} if plan.empty else own_indexes(connection, plan.before, plan.after)
        for table in plan.leftovers:
            self._step = f"removal of {table}"
            self._say(f"removing {table}, left behind by an unfinished upgrade")
            connection.execute(drop_table(table))
        if plan.adopt:
            write_version_row(connection, plan.before)
        self._step = "yoyo's marks"
        backend = Backend(connection)
        backend.put_marks_right(between(None, plan.before))
        for step in plan.steps:
            self._step = f"{step.revision} {step.title}"
            self._say(f"{'applying' if plan.up else 'rolling back'} {self._step}")
            (backend.apply if plan.up else backend.roll_back)(step)
        self._step = "making of the indexes"
        if plan.after == head():
            backend.post_apply()
        _make_missing_indexes(connection, plan.after)
        lost = make_again(connection, indexes)
        self._step = "verification"
        self._say("verifying")
        verify(connection, self._path, rows, plan.before, plan.after)
        return lost

    @contextmanager
    def _rolled_back_on_error(
        self, connection: sqlite3.Connection, backup: Path | None
    ) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            # After a full disk SQLite has rolled back already. Whatever this rollback meets,
            # the first error is the one to tell.
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise self._meaning(error, backup) from error
            raise

    def _meaning(self, error: sqlite3.Error, backup: Path | None) -> StoreError:
        meaning = translate(error, self._path, timeout=self._timeout)
        if isinstance(meaning, StorageFullError):
            _remove(backup)  # the file is as it was, and each further attempt would leave one
        if isinstance(meaning, _NOT_THE_MIGRATIONS_FAULT):
            return meaning
        kept = f" (the backup {backup} is kept)" if backup else ""
        return MigrationError(
            f"{self._path}: {self._step} failed: {error}. All was rolled back, the file is as it "
            f"was before{kept}"
        )


_NOT_THE_MIGRATIONS_FAULT = (
    CorruptDatabaseError,
    DatabaseLockedError,
    ReadOnlyError,
    StorageFullError,
)


def _remove(backup: Path | None) -> None:
    if backup is not None:
        backup.unlink()


def write_version_row(connection: sqlite3.Connection, revision: str | None) -> None:
    """Make a revision's row the only one, None: leave no row."""
    if "alembic_version" not in read(connection).tables:
        connection.execute(reference(head()).tables["alembic_version"])
    statements = _statements()
    connection.execute(statements["remove_revisions"])
    if revision is not None:
        connection.execute(statements["add_revision"], {"revision": revision})


@cache
def _statements() -> Queries:
    return load("alembic_version.sql")


def _make_missing_indexes(connection: sqlite3.Connection, revision: str | None) -> None:
    for name in missing_indexes(read(connection).indexes, revision):
        connection.execute(reference(revision).indexes[name])


def _makes_anew(start: str | None, end: str | None) -> bool:
    """Whether a table that both revisions have is made anew between them."""
    here, there = reference(start).tables, reference(end).tables
    return any(here[table] != there[table] for table in here.keys() & there.keys())


def _data_version(connection: sqlite3.Connection) -> int:
    """Return a number that changes when another connection commits a change."""
    return _number(connection, "data_version")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
