"""The steps of a copy, for backups and for restoring them.

A copy is made under a hidden temporary name in the folder it is for, checked, synced, and only
then given its name, which is never another file's. A process killed on the way leaves at most
the temporary file (`PARTIAL_FILES`), never a half copy under a name that looks like a database.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from nexuslims_store.connection import MEMORY, connect
from nexuslims_store.errors import (
    BackupError,
    CorruptDatabaseError,
    DatabaseLockedError,
    ReadOnlyError,
    StorageFullError,
)
from nexuslims_store.translation import SQLITE_ERRORS, translate

__all__ = [
    "PARTIAL_FILES",
    "SIDECARS",
    "Progress",
    "TakenError",
    "check",
    "copy_pages",
    "file_errors",
    "fill",
    "journal_mode",
    "mode_bits",
    "obstacle",
    "page_size",
    "publish",
    "refuse_taken",
    "require_room",
    "sync",
    "sync_folder",
    "temporary_file",
]

Progress = Callable[[int, int], None]
"""Called with the number of pages that are copied, and of all pages."""

PARTIAL_FILES = ".nexuslims-*.partial*"
"""The temporary files, as a glob pattern. One that stays behind is a killed process's."""

SIDECARS = ("-journal", "-wal", "-shm")
"""What SQLite appends to a database's name for the files it keeps beside it."""

# 256 KiB at the usual page size: often enough for a progress bar, seldom enough to cost nothing.
PAGES_AT_A_TIME = 64


class TakenError(BackupError):
    """Another file has the name of the copy."""


def obstacle(name: Path) -> Path | None:
    """Return the file that is in the way of a new database called `name`, if there is one.

    SQLite would take a -journal or -wal that an earlier database left for the new one's own,
    and play it into it.
    """
    candidates = (name, *(Path(f"{name}{suffix}") for suffix in SIDECARS))
    return next((file for file in candidates if os.path.lexists(file)), None)


def refuse_taken(destination: Path) -> None:
    """Raise unless a new database can be called `destination`."""
    if not destination.parent.is_dir():
        raise BackupError(
            f"there is no folder {destination.parent} for {destination.name}: create it, or "
            "choose another"
        )
    in_the_way = obstacle(destination)
    if in_the_way is not None:
        raise _taken(destination, in_the_way)


def _taken(destination: Path, in_the_way: Path) -> TakenError:
    if in_the_way == destination:
        return TakenError(
            f"{destination} exists already, and no backup ever overwrites a file: choose another "
            "name, or move that file away"
        )
    return TakenError(
        f"{in_the_way} is in the way: it was left by another database called {destination.name}, "
        "and SQLite would play it into the new one. Choose another name, or move it away"
    )


@contextmanager
def temporary_file(destination: Path) -> Iterator[Path]:
    """Make an empty file in the folder of `destination`; whatever happens, it is gone after."""
    # The name does not contain that of the destination, which may be as long as names can be.
    temporary = destination.with_name(f".nexuslims-{secrets.token_hex(8)}.partial")
    try:
        with file_errors(destination):
            # Nobody else may read it while it grows, whatever the umask.
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        yield temporary
    finally:
        for suffix in ("", *SIDECARS):
            Path(f"{temporary}{suffix}").unlink(missing_ok=True)


def fill(
    temporary: Path,
    source: sqlite3.Connection,
    path: Path,
    destination: Path,
    *,
    timeout: float,
    progress: Progress | None,
    damaged_too: bool = False,
) -> None:
    """Copy a database into the empty temporary file and check the copy.

    With `damaged_too` it is not checked: a file that is being replaced is kept as it is.
    """
    with (
        closing(connect(temporary, mode="rw", timeout=timeout)) as copy,
        blamed(path, destination, timeout),
    ):
        # The file is nobody else's, and is thrown away unless all goes well: no lock file, no
        # journal, and one sync at the end.
        for setting in ("locking_mode = EXCLUSIVE", "journal_mode = OFF", "synchronous = OFF"):
            copy.execute(f"PRAGMA {setting}")
        with snapshot(source):
            pages = _page_count(source)
            size = pages * page_size(source)
            if not damaged_too:
                _refuse_truncated(source, path, size)
            require_room(destination, size)
            copy_pages(source, copy, path, timeout=timeout, progress=progress)
            # The copy of an empty file has a first page.
            same = _page_count(copy) == max(pages, 1) and _catalogue(copy) == _catalogue(source)
        # The copy of a database in WAL mode would be in WAL mode.
        copy.execute("PRAGMA journal_mode = DELETE")
        if not damaged_too:
            check(copy, path)
        if not same:
            raise BackupError(
                f"the copy of {path} is not the same as its source and was removed again: check "
                f"the disk of {destination.parent}, and try again"
            )


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Keep what the connection reads at one moment's state.

    Taken before SQLite's backup call, which would otherwise start again whenever somebody
    writes, and wait for ever, whatever the timeout, where somebody keeps the lock.
    """
    connection.execute("BEGIN")
    try:
        # BEGIN locks nothing yet. This reads the file's header, and no table.
        connection.execute("PRAGMA schema_version").fetchone()
        yield
    finally:
        # Not ROLLBACK, which would stop the queries that the connection's user has under way.
        if connection.in_transaction:
            connection.execute("COMMIT")


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

    def step(status: int, remaining: int, total: int) -> None:
        if status & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            # The connection has waited for its timeout; the call itself would go on for ever.
            raise DatabaseLockedError(
                f"{locked} is locked by another program, still after {timeout:g} s; try again "
                "when it has finished, or wait longer (timeout=…)"
            )
        if progress is not None and status in {sqlite3.SQLITE_OK, sqlite3.SQLITE_DONE}:
            progress(total - remaining, total)

    source.backup(target, pages=pages, progress=step)


def check(copy: sqlite3.Connection, path: Path) -> None:
    """Raise unless SQLite finds every page of the copy in order."""
    # A row that breaks a CHECK is no damage. There must be a backup of such a database too, or
    # it could never be mended.
    copy.execute("PRAGMA ignore_check_constraints = ON")
    findings = [str(row[0]) for row in copy.execute("PRAGMA integrity_check(5)")]
    copy.execute("PRAGMA ignore_check_constraints = OFF")
    if findings != ["ok"]:
        raise CorruptDatabaseError(
            f"{path} is damaged ({'; '.join(findings)}); bring back an earlier backup with "
            "`nexuslims-store restore`"
        )


def publish(temporary: Path, destination: Path, mode: int) -> None:
    """Give the finished file its name, if that is still free, once it is safe on the disk."""
    with file_errors(destination):
        sync(temporary, mode)
        if os.name == "nt":
            temporary.rename(destination)  # refuses where the name is taken
        else:
            _link(temporary, destination)
        sync_folder(destination.parent)


def _link(temporary: Path, destination: Path) -> None:
    # rename() would overwrite; link() refuses where the name is taken.
    try:
        os.link(temporary, destination)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # FAT, and some network disks. Take the name with an empty file, then replace that.
        os.close(os.open(destination, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            temporary.replace(destination)
        except OSError:
            destination.unlink()
            raise


_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def mode_bits(file: Path) -> int:
    """Return who may read, write and run a file."""
    return stat.S_IMODE(file.stat().st_mode) & 0o777


def sync(file: Path, mode: int) -> None:
    """Set a file's mode and wait until it is on the disk. No connection may have it open."""
    descriptor = os.open(file, os.O_RDWR)
    try:
        file.chmod(mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's names are on the disk, where the system has a way to."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some network disks
            raise
    finally:
        os.close(descriptor)


# -- what can go wrong -----------------------------------------------------------------------


def require_room(destination: Path, needed: int) -> None:
    """Raise unless the disk of `destination` has `needed` bytes free."""
    free = shutil.disk_usage(destination.parent).free
    if free < needed:
        raise StorageFullError(
            f"no room for {destination}: {needed:,} bytes are needed, {free:,} are free on the "
            "disk; free some space and try again. Nothing was changed"
        )


def _refuse_truncated(source: sqlite3.Connection, path: Path, size: int) -> None:
    # SQLite reads what is missing of the last page as zeros, and integrity_check may well find
    # them in order. In WAL mode the rest may be in the -wal file.
    if path == MEMORY or journal_mode(source) == "wal":
        return
    found = path.stat().st_size
    if found < size:
        raise CorruptDatabaseError(
            f"{path} is damaged: it has {found:,} bytes and should have {size:,}, its end is "
            "missing; bring back an earlier backup with `nexuslims-store restore`"
        )


@contextmanager
def blamed(source: Path, target: Path, timeout: float) -> Iterator[None]:
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


@contextmanager
def file_errors(destination: Path) -> Iterator[None]:
    """Turn the operating system's errors in writing `destination` into this package's."""
    try:
        yield
    except FileExistsError as error:
        raise _taken(destination, destination) from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise StorageFullError(
                f"no room to write {destination} ({error.strerror}): free some space on its disk "
                "and try again; nothing was changed"
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise ReadOnlyError(
                f"{destination} cannot be written: the folder {destination.parent} is read-only "
                "for this user; choose another folder, or change its permissions"
            ) from error
        raise BackupError(f"{destination} cannot be written: {error}") from error


def journal_mode(connection: sqlite3.Connection) -> str:
    """Return the journal mode, in small letters."""
    return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def page_size(connection: sqlite3.Connection) -> int:
    """Return the size of the file's pages in bytes."""
    # Until the file's header is read, SQLite answers with its default.
    connection.execute("PRAGMA schema_version").fetchone()
    return int(connection.execute("PRAGMA page_size").fetchone()[0])


def _page_count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA page_count").fetchone()[0])


def _catalogue(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    # As BLOBs, because names and SQL need not be valid UTF-8.
    rows = connection.execute(
        "SELECT type, CAST(name AS BLOB), CAST(sql AS BLOB), rootpage FROM sqlite_schema"
    )
    return [tuple(row) for row in rows]
