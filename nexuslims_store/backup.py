"""Backups of a database: under which name, and of what.

A backup is always one self-contained file in rollback-journal mode, whatever the mode of its
source, so that it can be read from a read-only disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from itertools import count
from pathlib import Path

from nexuslims_store.connection import MEMORY, connect
from nexuslims_store.copying import (
    PARTIAL_FILES,
    Progress,
    TakenError,
    fill,
    mode_bits,
    obstacle,
    publish,
    refuse_taken,
    temporary_file,
)
from nexuslims_store.errors import BackupError
from nexuslims_store.times import utc_now

__all__ = [
    "PARTIAL_FILES",
    "Progress",
    "beside",
    "copy_connection",
    "make_backup",
    "make_backup_beside",
]


def make_backup(
    path: Path, destination: Path, *, timeout: float = 30.0, progress: Progress | None = None
) -> Path:
    """Copy a database file to a new file.

    The copy is of one moment, also while other programs write.

    Parameters
    ----------
    path
        The database. Nothing is changed in it; what a killed program left half done is rolled
        back, as it is whenever SQLite opens such a file.
    destination
        The name of the copy, which must be free, or a folder: then the copy gets a name in it
        like those of `beside`.
    timeout
        Seconds to wait for another program's lock.
    progress
        Called from time to time.

    Returns
    -------
    pathlib.Path
        The copy: whole, checked with `integrity_check`, synced to the disk, and with the mode
        bits of the source.

    Raises
    ------
    BackupError
        The destination exists, or its folder does not.
    CorruptDatabaseError, NotANexusLIMSDatabaseError, DatabaseNotFoundError
        The source is damaged, is not SQLite, is not there.
    DatabaseLockedError
        Another program kept the source locked.
    StorageFullError, ReadOnlyError
        The copy cannot be written. Nothing is left of it.
    """
    # "rw" although nothing is written: SQLite must be allowed to roll back what a killed program
    # left half done. Where the file may not be written, SQLite itself opens it read-only.
    with closing(connect(path, mode="rw", timeout=timeout)) as source:
        return copy_connection(source, destination, path=path, timeout=timeout, progress=progress)


def make_backup_beside(
    path: Path,
    *,
    timeout: float = 30.0,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> Path:
    """Copy a database file to the first free name that `beside` gives, and return that name."""

    def make(name: Path) -> Path:
        return make_backup(path, name, timeout=timeout, progress=progress)

    return first_free(path, now, make)


def beside(path: Path, now: datetime) -> Path:
    """Return the first free name for a backup of `path` made at the time `now`.

    It is NAME_backup_YYYYmmdd_HHMMSS.db, or _2.db, _3.db and so on, in the folder of the path as
    it is given: a user looks beside the name that he knows, be it a symbolic link.
    """
    return next(name for name in _names(path, now) if obstacle(name) is None)


def copy_connection(
    connection: sqlite3.Connection,
    destination: Path,
    *,
    path: Path = MEMORY,
    timeout: float = 30.0,
    progress: Progress | None = None,
) -> Path:
    """Copy the database of an open connection, as `make_backup` does that of a file.

    A `:memory:` database can be copied in no other way. Its copy can be read and written by its
    owner only.

    Parameters
    ----------
    connection
        Outside a transaction. Its own timeout is the one that counts for the source.
    path
        The file it is connected to.
    destination, timeout, progress
        As for `make_backup`.
    """
    if connection.in_transaction:
        raise BackupError(
            f"{path} cannot be backed up inside a transaction on the same connection: leave the "
            "transaction first"
        )
    if destination.is_dir():
        folder, name = destination, "nexuslims.db" if path == MEMORY else path.name

        def make(free: Path) -> Path:
            return copy_connection(connection, free, path=path, timeout=timeout, progress=progress)

        return first_free(folder / name, None, make)
    refuse_taken(destination)
    with temporary_file(destination) as temporary:
        fill(temporary, connection, path, destination, timeout=timeout, progress=progress)
        mode = 0o600 if path == MEMORY else mode_bits(path)
        publish(temporary, destination, mode)
    return destination


def first_free(path: Path, now: datetime | None, make: Callable[[Path], Path]) -> Path:
    """Call `make` with a free name of a backup of `path`, until nobody is quicker to take it."""
    for name in _names(path, now or utc_now().astimezone()):
        if obstacle(name) is None:
            try:
                return make(name)
            except TakenError:
                continue
    raise AssertionError("the names do not run out")


def _names(path: Path, now: datetime) -> Iterator[Path]:
    first = f"{path.stem}_backup_{now:%Y%m%d_%H%M%S}"
    yield path.with_name(f"{first}.db")
    for number in count(2):
        yield path.with_name(f"{first}_{number}.db")
