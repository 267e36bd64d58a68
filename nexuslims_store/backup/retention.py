"""Which old backups are kept, as restic's `forget` does it, and the removal of the others."""

import sqlite3
from collections.abc import Callable, Hashable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from nexuslims_store import queries
from nexuslims_store.backup.files import SIDECARS
from nexuslims_store.backup.names import Backup, as_backup, list_backups
from nexuslims_store.backup.restoring import refuse_empty, what_is_wrong
from nexuslims_store.connection import connect
from nexuslims_store.errors import BackupError, StoreError
from nexuslims_store.recognition import recognise
from nexuslims_store.translation import translated

_SQL = queries.load("backup.sql")


class Keep(NamedTuple):
    """How many backups to keep; what no rule keeps is removed, unless there is no rule at all.

    Attributes
    ----------
    last
        The newest ones.
    daily, weekly, monthly
        The newest one of each of the last days, weeks (Monday to Sunday), months that have any.
        Where there are fewer than that, the oldest backup is kept too, so that the past that
        they reach back to grows.
    """

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0

    def __bool__(self) -> bool:
        return any(self)


class OldBackups(NamedTuple):
    """Which backups no rule keeps, and which files only look like backups, with the reason."""

    to_remove: list[Path]
    left_alone: dict[Path, str]


_PERIODS: dict[str, Callable[[Backup], Hashable]] = {
    "last": lambda backup: backup,
    "daily": lambda backup: backup.time.date(),
    "weekly": lambda backup: backup.time.isocalendar()[:2],
    "monthly": lambda backup: (backup.time.year, backup.time.month),
}


def not_kept(backups: Sequence[Backup], keep: Keep) -> list[Backup]:
    """Return the backups that no rule keeps.

    Parameters
    ----------
    backups
        The newest first.
    """
    if not keep:
        return []
    kept: set[Backup] = set()
    for name, period in _PERIODS.items():
        left, last = getattr(keep, name), None
        for backup in backups:
            if left and (period(backup) != last or backup == backups[-1]):
                kept.add(backup)
                left, last = left - 1, period(backup)
    return [backup for backup in backups if backup not in kept]


def old_backups(path: Path, keep: Keep, *, new: Path, timeout: float = 30.0) -> OldBackups:
    """Return the older backups of a database that no rule keeps. Nothing is removed.

    Parameters
    ----------
    path
        The database. A file is its backup if it is called so, and holds at least one of its
        events (or instruments, where there are no events; or nothing, where both hold nothing).
    keep
        The rules.
    new
        The backup that was just made, or the name that it is going to have. Its folder is the one
        to look at. It is kept. What is newer by its name (the clock was wrong) is not looked at.
    timeout
        Seconds to wait for another program's lock.
    """
    newest = as_backup(path, new)
    if newest is None:
        raise BackupError(
            f"{new} is not called as a backup of {path.name} is, so that no rule can keep it: give "
            "a folder for the backups"
        )
    mine, left_alone = [newest], {}
    with closing(connect(path, mode="rw", timeout=timeout)) as database:
        for backup in list_backups(path, new.parent):
            if backup >= newest:
                continue
            why_not = _why_not_of(backup.path, database, timeout)
            if why_not:
                left_alone[backup.path] = why_not
            else:
                mine.append(backup)
    return OldBackups([backup.path for backup in not_kept(mine, keep)], left_alone)


def _why_not_of(backup: Path, database: sqlite3.Connection, timeout: float) -> str:
    """Return why a file is to be left alone, "" if it is a backup of the database."""
    if any(Path(f"{backup}{suffix}").exists() for suffix in SIDECARS):
        return "a program has it open, or left a file beside it"
    try:
        with (
            closing(connect(backup, mode="ro", timeout=timeout)) as copy,
            translated(backup, timeout=timeout),
        ):
            refuse_empty(recognise(copy, backup, timeout=timeout), backup)
            copy.row_factory = sqlite3.Row
            rows, question = copy.execute(_SQL.list_some_events).fetchall(), _SQL.has_event
            if not rows:
                rows = copy.execute(_SQL.list_some_instruments).fetchall()
                question = _SQL.has_instrument_of_backup
            if not rows:
                # As this database was, or another is: both are the same only if both are empty.
                return "it holds nothing, and the database does" if _has_rows(database) else ""
            shared = (database.execute(question, dict(row)).fetchone()[0] for row in rows)
            return "" if any(shared) else "it is another database's"
    except StoreError as error:
        return what_is_wrong(error, backup)


def _has_rows(database: sqlite3.Connection) -> bool:
    statements = (_SQL.list_some_events, _SQL.list_some_instruments)
    return any(database.execute(statement).fetchone() for statement in statements)


def remove_backups(files: list[Path], *, new: Path) -> None:
    """Remove old backups, once the new one is there and verified."""
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise BackupError(
                f"the old backup {file} could not be removed ({error.strerror}); the new one, "
                f"{new}, is whole. Look who owns the old one and its folder"
            ) from error
