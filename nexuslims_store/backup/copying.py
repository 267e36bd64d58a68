"""Copies of a database: of one moment, checked, and whole before they have their name.

A copy is always one self-contained file in rollback-journal mode, whatever the mode of its
source, so that it can be read from a read-only disk.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path

from nexuslims_store.arguments import as_path, require_name
from nexuslims_store.backup.files import (
    file_errors,
    publish,
    refuse_taken,
    require_room,
    temporary_file,
)
from nexuslims_store.backup.names import free_name, names
from nexuslims_store.config import require_file
from nexuslims_store.connection import MEMORY, connect, pragma
from nexuslims_store.errors import BackupError, CorruptDatabaseError, StoreError
from nexuslims_store.tables import snapshot
from nexuslims_store.times import utc_now
from nexuslims_store.translation import SQLITE_ERRORS, mounted_read_only, still_locked, translate

Progress = Callable[[int, int], None]
"""Called from time to time with how much is done, and how much there is to do."""

# 256 KiB at the usual page size: often enough for a progress bar, seldom enough to cost nothing.
PAGES_AT_A_TIME = 64


def copy(
    source: Path,
    destination: str | os.PathLike[str],
    *,
    connection: sqlite3.Connection | None = None,
    timeout: float = 30.0,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> Path:
    """Copy a database to a new file.

    The copy is of one moment, also while other programs write.

    Parameters
    ----------
    source
        The database. Nothing is changed in it; what a killed program left half done is rolled
        back, as it is whenever SQLite opens such a file.
    destination
        The name of the copy, which must be free, or a folder: then the copy gets a name in it
        as `free_name` gives.
    connection
        The open connection to read from, in no transaction or in one that only reads; its own
        timeout is the one that counts. A `:memory:` database can be copied in no other way; its
        copy can be read and written by its owner only. By default the source is opened.
    timeout
        Seconds to wait for another program's lock.
    progress
        Called from time to time with the pages that are copied, and with all pages.
    now
        The time that is part of the name in a folder; by default the present one.

    Returns
    -------
    pathlib.Path
        The copy: whole, checked with `integrity_check`, synced to the disk, with the mode bits
        and the owner of the source.

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
    if source == MEMORY and connection is None:
        raise BackupError(
            "a database in memory can be backed up by the program that has it only",
            call="call backup() of its store",
        )
    if connection is None:
        require_file(source, "the source")
    # "rw" although nothing is written: SQLite must be allowed to roll back what a killed program
    # left half done. Where the file may not be written, SQLite itself opens it read-only.
    opened = (
        closing(connect(source, mode="rw", timeout=timeout))
        if connection is None
        else nullcontext(connection)
    )
    with opened as reading:
        place, candidates = _names(source, destination, now)
        _require_readable(reading, source, place, timeout=timeout)
        with temporary_file(place) as temporary:
            copy_to_temporary(reading, source, temporary, place, timeout=timeout, progress=progress)
            return publish(temporary, candidates, None if source == MEMORY else source.stat())


def name_for(source: Path, destination: str | os.PathLike[str]) -> Path:
    """Return the name that `copy` would give, or raise what it would raise for its place."""
    place, _ = _names(source, destination, None)
    with file_errors(place):
        if os.access(place.parent, os.W_OK | os.X_OK):
            return place
        read_only = mounted_read_only(place.parent)
        if read_only:
            with closing(connect(source, mode="rw", timeout=0)) as reading:
                _require_readable(reading, source, place, timeout=0)
        code = errno.EROFS if read_only else errno.EACCES
        raise OSError(code, os.strerror(code))


def _require_readable(
    source: sqlite3.Connection, path: Path, place: Path, *, timeout: float
) -> None:
    """Raise what keeps a database from being read; another place for its copy would not help."""
    with _blaming(path, place, timeout):
        page_size(source)


def _names(
    source: Path, destination: str | os.PathLike[str], now: datetime | None
) -> tuple[Path, Iterable[Path]]:
    """Return one name to say in errors, and those that the copy may have."""
    place = as_path("destination", destination)
    try:
        require_name(destination)
    except StoreError as error:
        raise BackupError(str(error)) from None
    with file_errors(place):
        if place.is_dir():
            now = now or utc_now().astimezone()
            return free_name(source, place, now=now), names(source, place, now)
        if os.fspath(destination).endswith(_SEPARATORS):
            raise BackupError(
                f"there is no folder {destination}: create it, mount its disk, or leave out the "
                "slash for a file of that name"
            )
        refuse_taken(place)
    return place, [place]


_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))


def copy_to_temporary(
    source: sqlite3.Connection,
    path: Path,
    temporary: Path,
    destination: Path,
    *,
    timeout: float,
    progress: Progress | None = None,
    damaged_too: bool = False,
) -> None:
    """Copy a database into an empty file that has no name yet, and check the copy.

    Parameters
    ----------
    source, path
        The open database, and what it is called.
    temporary, destination
        The file, and what it is going to be called.
    damaged_too
        Whether to copy without a check: a file that is being replaced is kept as it is.
    """
    with (
        closing(connect(temporary, mode="rw", timeout=timeout)) as target,
        _blaming(path, destination, timeout),
    ):
        # The file is nobody else's, and is thrown away unless all goes well: no lock file, no
        # journal, and one sync at the end.
        for setting in ("locking_mode = EXCLUSIVE", "journal_mode = OFF", "synchronous = OFF"):
            target.execute(f"PRAGMA {setting}")
        # Before SQLite's backup call, which would otherwise start again whenever somebody writes,
        # and wait for ever, whatever the timeout, where somebody keeps the lock.
        with snapshot(source):
            pages = pragma(source, "page_count")
            if not damaged_too and (missing := missing_end(source, path)):
                raise _damaged(path, missing)
            require_room(destination, pages * page_size(source))
            copy_pages(source, target, path, timeout=timeout, progress=progress)
            catalogue = _catalogue(source)
        # The copy of a database in WAL mode would be in WAL mode.
        target.execute("PRAGMA journal_mode = DELETE")
        if not damaged_too:
            check(target, path)
        # The copy of an empty file has a first page.
        if pragma(target, "page_count") != max(pages, 1) or _catalogue(target) != catalogue:
            raise BackupError(
                f"the copy of {path} is not the same as its source and was removed again: check "
                f"the disk of {destination.parent}, and try again"
            )


def copy_pages(
    source: sqlite3.Connection,
    target: sqlite3.Connection,
    locked: Path,
    *,
    timeout: float,
    progress: Progress | None,
    pages: int = PAGES_AT_A_TIME,
) -> None:
    """Make the target's content the source's by SQLite's backup call, or raise and leave it."""
    source.backup(target, pages=pages, progress=after_each_step(locked, timeout, progress))


def after_each_step(
    locked: Path, timeout: float, progress: Progress | None
) -> Callable[[int, int, int], None]:
    """Return what SQLite's backup call is to call: with the outcome, how much is left and all."""

    def step(status: int, remaining: int, total: int) -> None:
        if status & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            # The connection has waited for its timeout; the call itself would go on for ever.
            raise still_locked(locked, timeout)
        if progress is not None and status in {sqlite3.SQLITE_OK, sqlite3.SQLITE_DONE}:
            progress(total - remaining, total)

    return step


def check(database: sqlite3.Connection, path: Path) -> None:
    """Raise unless SQLite finds every page in order. The connection is to write no more."""
    # Else pages would be looked at as they were written, and not as they are on the disk.
    database.execute("PRAGMA shrink_memory")
    # A row that breaks a CHECK is no damage. There must be a backup of such a database too, or
    # it could never be mended.
    database.execute("PRAGMA ignore_check_constraints = ON")
    findings = [str(row[0]) for row in database.execute("PRAGMA integrity_check(5)")]
    if findings != ["ok"]:
        raise _damaged(path, "; ".join(findings))


def missing_end(database: sqlite3.Connection, path: Path) -> str:
    """Say how much of the end of a file is missing, "" where all is there.

    SQLite reads what is missing of the last page as zeros, and integrity_check may well find them
    in order.
    """
    if path == MEMORY or pragma(database, "journal_mode") == "wal":  # the rest may be in the -wal
        return ""
    size, found = pragma(database, "page_count") * page_size(database), path.stat().st_size
    if found >= size:
        return ""
    return f"it has {found:,} bytes and should have {size:,}, its end is missing"


def _damaged(path: Path, what: str) -> CorruptDatabaseError:
    return CorruptDatabaseError(
        f"{path} is damaged ({what}); `nexuslims-store --db FILE doctor` says how it can be mended"
    )


@contextmanager
def _blaming(source: Path, target: Path, timeout: float) -> Iterator[None]:
    """Turn SQLite's errors into this package's, each naming the file it is about."""
    try:
        yield
    except SQLITE_ERRORS as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        about_target = code & 0xFF == sqlite3.SQLITE_FULL or (
            code & 0xFF == sqlite3.SQLITE_IOERR and code not in _READING_FAILED
        )
        raise translate(error, target if about_target else source, timeout=timeout) from error


_READING_FAILED = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ}


def page_size(connection: sqlite3.Connection) -> int:
    """Return the size of the file's pages in bytes."""
    # Until the file's header is read, SQLite answers with its default.
    connection.execute("PRAGMA schema_version").fetchone()
    return int(pragma(connection, "page_size"))


def _catalogue(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    # As BLOBs, because names and SQL need not be valid UTF-8.
    return connection.execute(
        "SELECT type, CAST(name AS BLOB), CAST(sql AS BLOB), rootpage FROM sqlite_schema"
    ).fetchall()
