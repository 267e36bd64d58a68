"""What SQLite's errors mean for the user, as this package's own errors."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from threading import current_thread, get_ident, main_thread

from nexuslims_store.errors import (
    CorruptDatabaseError,
    DatabaseLockedError,
    DatabaseNotFoundError,
    NotANexusLIMSDatabaseError,
    ReadOnlyError,
    SchemaMismatchError,
    StorageFullError,
    StoreError,
)
from nexuslims_store.times import raised_in_sql, require_zone_data

SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite's errors come as: the second where the message quotes what is no text in the file."""


CHECK_PATH = {
    "call": "check the path, or the environment variable NX_DB_PATH",
    "command": "check the path (--db, or the environment variable NX_DB_PATH)",
}
"""The remedy for a path that is none of a database."""


def still_locked(name: str | Path, timeout: float) -> DatabaseLockedError:
    """Return the error for a lock that was waited for in vain."""
    return DatabaseLockedError(
        f"{name} is locked by another program, still after {timeout:g} s",
        call="try again when it has finished, or wait longer (timeout=…)",
        command="try again when it has finished, or wait longer (--timeout)",
    )


def beyond_64_bits(said: object) -> StoreError:
    """Return the error for a number that no column holds."""
    return StoreError(f"a number beyond 64 bits cannot be stored or looked up ({said})")


def lone_surrogate(error: UnicodeEncodeError) -> StoreError:
    """Return the error for a text that is none in UTF-8."""
    return StoreError(
        "text that is not UTF-8 (a lone surrogate, after "
        f"{error.object[: error.start][-80:]!r}) cannot be stored or looked up"
    )


class ConstraintError(StoreError):
    """A constraint of the tables refused a row. The repositories say which, and why.

    Attributes
    ----------
    foreign_key
        Whether it was the reference to another table; else a UNIQUE or a CHECK.
    """

    def __init__(self, message: str, *, foreign_key: bool) -> None:
        super().__init__(message)
        self.foreign_key = foreign_key


@contextmanager
def translated(path: Path, *, timeout: float) -> Iterator[None]:
    """Turn every sqlite3 error inside the block into this package's own."""
    try:
        yield
    except SQLITE_ERRORS as error:
        raise interruption(error) or translate(error, path, timeout=timeout) from error


def translate(  # noqa: PLR0911, PLR0912 -- one line for each kind of error
    error: sqlite3.Error | UnicodeDecodeError, path: Path, *, timeout: float
) -> StoreError:
    """Return the error of this package that says what an SQLite error means for the user.

    Decides by SQLite's result code, never by its message, which changes between versions.
    """
    if isinstance(error, UnicodeDecodeError):
        return _corrupt(path, error)
    if is_undecodable(error):
        found, _, _ = str(error).partition(" with text")
        return StoreError(
            f"{path} has a text that is not UTF-8 ({found}); `nexuslims-store doctor` names its row"
        )
    extended = getattr(error, "sqlite_errorcode", None)
    if extended is None:  # raised by the sqlite3 module, not by SQLite
        return StoreError(f"{path}: {error}")
    match extended & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return still_locked(path, timeout)
        case sqlite3.SQLITE_AUTH if (get_ident(), path) in _refused:
            return _refused.pop((get_ident(), path))
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return ReadOnlyError(_why_read_only(path, extended))
        case sqlite3.SQLITE_FULL:
            return StorageFullError(
                f"no room to write {path}: free some space on its disk and try again; the "
                "database is as it was before"
            )
        case sqlite3.SQLITE_IOERR if extended in _WRITING_FAILED:
            return StorageFullError(
                f"{path} could not be written ({error}): the disk is full, or a limit on the "
                "size of files or a quota is reached; the database is as it was before"
            )
        case sqlite3.SQLITE_CORRUPT:
            return _corrupt(path, error)
        case sqlite3.SQLITE_IOERR if extended == sqlite3.SQLITE_IOERR_SHORT_READ:
            return _corrupt(path, error)
        case sqlite3.SQLITE_NOTADB:
            return NotANexusLIMSDatabaseError(
                f"{path} is not an SQLite database, and nothing was written to it", **CHECK_PATH
            )
        case sqlite3.SQLITE_CANTOPEN:
            return why_not_opened(path)
        case sqlite3.SQLITE_IOERR if os.path.isdir(path):  # which can be opened for reading
            return why_not_opened(path)
        case sqlite3.SQLITE_ABORT:
            return StoreError(
                f"{path}: a transaction of this store was rolled back while these rows were read; "
                "read them again"
            )
        case sqlite3.SQLITE_CONSTRAINT:
            own = extended == sqlite3.SQLITE_CONSTRAINT_UNIQUE and _own_unique_index(path, error)
            return ConstraintError(
                f"{path}: {own or 'the tables refuse the row'} ({error})",
                foreign_key=extended == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY,
            )
        case sqlite3.SQLITE_ERROR | sqlite3.SQLITE_SCHEMA:
            require_zone_data()  # for want of which alone this package's SQL functions raise
            return SchemaMismatchError(
                f"{path}: its tables are not those this package works with ({error}); see "
                "`nexuslims-store doctor`"
            )
        case sqlite3.SQLITE_IOERR:
            return StoreError(
                f"{path} could not be read ({error}): check that it is a database's file, and its "
                "disk"
            )
        case _:
            return StoreError(f"{path}: SQLite reports: {error}")


def _own_unique_index(path: Path, error: Exception) -> str | None:
    """Say which UNIQUE index made by a statement refused a row: NexusLIMS has none of those.

    Which columns refused it is told by SQLite's message alone.
    """
    said = str(error)
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=0)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            indexes = connection.execute(
                "SELECT name FROM pragma_index_list(?) WHERE \"unique\" AND origin = 'c'", (table,)
            )
            for (index,) in indexes:
                rows = connection.execute("SELECT name FROM pragma_index_info(?)", (index,))
                columns = ", ".join(f"{table}.{column}" for (column,) in rows)
                if said.endswith((f": {columns}", f"'{index}'")):
                    return (
                        f"the index {index} on {table}, which is your own, takes no two rows that "
                        "are alike in its columns; make it anew without UNIQUE, or do without it: "
                        "`nexuslims-store doctor` names it"
                    )
    return None


_WRITING_FAILED = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMOPEN,  # the first bytes of a -shm file
    # Without a detail: a page that gave way to the schema which CREATE reads back could not be
    # written. SQLite passes on no more of that.
    sqlite3.SQLITE_IOERR,
}


def _corrupt(path: Path, error: Exception) -> CorruptDatabaseError:
    return CorruptDatabaseError(
        f"{path} is damaged ({error}); `nexuslims-store doctor` says how it can be mended"
    )


def refuse_writes(
    connection: sqlite3.Connection, path: Path, errors: Mapping[str, Callable[[], StoreError]]
) -> None:
    """Let SQLite refuse every write to some tables, with the error that is made for each one."""

    def judge(action: int, table: str | None, *_: object) -> int:
        error = errors.get((table or "").lower()) if action in _WRITES else None
        if error is None:
            return sqlite3.SQLITE_OK
        # A new one each time: one that is raised again keeps all its former tracebacks.
        _refused[get_ident(), path] = error()
        return sqlite3.SQLITE_DENY

    connection.set_authorizer(judge)


_WRITES = {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}
# Until SQLite's error is translated, which that of a statement on `store.connection` never is.
_refused: dict[tuple[int, Path], StoreError] = {}


def require_writable(path: Path) -> None:
    """Raise ReadOnlyError for a file that this user may not write.

    SQLite says so with the first write only: a BEGIN IMMEDIATE of such a file is none.
    """
    if not os.access(path, os.W_OK):
        raise ReadOnlyError(_why_read_only(path, sqlite3.SQLITE_READONLY))


def _why_read_only(path: Path, extended: int) -> str:  # noqa: PLR0911 -- one for each reason
    if extended == sqlite3.SQLITE_READONLY_ROLLBACK:
        half = f"{path} was left in the middle of a write (its -journal file is there), and "
        if mounted_read_only(path.parent):
            return f"{half}its disk is mounted read-only; {_COPY_BOTH}"
        repairs = (
            who_may_repair(path) or "open it once for writing, as `nexuslims-store backup` does"
        )
        return f"{half}a read-only store may not repair it; {repairs}"
    if extended in {sqlite3.SQLITE_READONLY_RECOVERY, sqlite3.SQLITE_READONLY_CANTINIT} or (
        extended == sqlite3.SQLITE_READONLY_DIRECTORY and not _can_be_read(path)
    ):
        return _wal_nowhere_to_write(path)
    if extended == sqlite3.SQLITE_READONLY_DBMOVED:
        return f"{path} was moved or replaced while it was open; open it again"
    if path.exists() and not os.access(path, os.W_OK):
        if mounted_read_only(path):
            return f"{path} is on a disk that is mounted read-only; work on a copy of it elsewhere"
        return f"{path} is read-only for this user; change the file's permissions to write"
    if not os.access(path.parent, os.W_OK):
        return (
            f"the folder {path.parent} is read-only for this user, so SQLite cannot write its "
            f"journal beside {path.name}; change the folder's permissions"
        )
    return f"{path} was opened read-only; open it without read_only=True to write"


def who_may_repair(path: Path) -> str | None:
    """Say who can put back what a -journal holds, None where this user can."""
    if sys.platform == "win32":
        return None
    for place in (path, Path(f"{path}-journal"), path.parent):
        if not os.access(place, os.W_OK):
            try:
                owner = path.owner()
            except KeyError:  # a user whom the system does not know
                owner = f"user {path.stat().st_uid}"
            return (
                f"{place} is read-only for this user: run `nexuslims-store backup` as {owner}, "
                "who owns the database, or change the permissions"
            )
    return None


def _wal_nowhere_to_write(path: Path) -> str:
    what = f"{path} is in WAL mode: whoever reads it needs its -wal and -shm files beside it, and "
    both = " and its -wal file" if Path(f"{path}-wal").exists() else ""
    copy = f"read a copy of it{both} in a folder that may be written"
    if mounted_read_only(path.parent):
        return f"{what}its disk is mounted read-only; {copy}"
    return (
        f"{what}the folder {path.parent} is read-only for this user; {copy}, or make this one "
        "writable"
    )


_COPY_BOTH = "copy both to a folder that may be written, and work there"


def mounted_read_only(place: Path) -> bool:
    """Whether nobody may write to the disk of a file or folder, whatever its mode."""
    if sys.platform == "win32":
        return False
    try:
        return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _can_be_read(path: Path) -> bool:
    """Whether reading works, so that it was a write that failed."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error:
        return False
    return True


def why_not_opened(path: Path) -> StoreError:  # noqa: PLR0911
    """Return the error that says why a path is not opened as a database."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if not path.parent.is_dir():
            return DatabaseNotFoundError(
                f"there is no database {path}, nor the folder {path.parent}", **CHECK_PATH
            )
        return DatabaseNotFoundError(
            f"there is no database {path}",
            call=f"{CHECK_PATH['call']}, or create it with Store(…, migrate=True)",
            command=f"{CHECK_PATH['command']}, or create it with `nexuslims-store migrate`",
        )
    except PermissionError:
        return ReadOnlyError(
            f"{path} may not be reached by this user; change the permissions of its folder"
        )
    except OSError as error:  # too long a name, links in a circle
        return DatabaseNotFoundError(f"no file can be at {path} ({error.strerror})", **CHECK_PATH)
    if S_ISDIR(mode):
        return NotANexusLIMSDatabaseError(f"{path} is a folder; name the database file in it")
    if not S_ISREG(mode):
        return NotANexusLIMSDatabaseError(
            f"{path} is no file but a pipe, a socket or a device, and was not opened", **CHECK_PATH
        )
    if not os.access(path, os.R_OK):
        return ReadOnlyError(f"{path} may not be read by this user; change its permissions")
    if not any(Path(f"{path}{suffix}").exists() for suffix in ("-journal", "-wal")):
        return ReadOnlyError(_wal_nowhere_to_write(path))
    if mounted_read_only(path.parent):
        return ReadOnlyError(
            f"{path} cannot be opened with its -journal or -wal file: its disk is mounted "
            f"read-only; {_COPY_BOTH}"
        )
    if Path(f"{path}-wal").exists() and not os.access(path.parent, os.W_OK):
        return ReadOnlyError(_wal_nowhere_to_write(path))
    return ReadOnlyError(
        f"{path} cannot be opened with its -journal or -wal file: the folder {path.parent} is "
        "read-only for this user, or such a file beside it belongs to another user; change the "
        "permissions"
    )


def interruption(error: Exception) -> BaseException | None:
    """Return what interrupted a statement inside the SQL function of this package, if that is it.

    The function returns None for whatever it cannot read, so that what it raises is a signal
    handler's exception. sqlite3 drops that. What was raised before the function's first
    instruction is lost; nearly always it was Ctrl-C.
    """
    if str(error) != "user-defined function raised exception":
        return None
    lost = KeyboardInterrupt() if current_thread() is main_thread() else None
    return raised_in_sql.pop(get_ident(), lost)


def is_undecodable(error: Exception) -> bool:
    """Whether the sqlite3 module could not decode a stored text (SQLite itself is content)."""
    return isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode")
