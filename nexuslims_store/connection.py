"""One SQLite connection: how it is opened and used.

Pragmas and SQLite's own ways are here, and no table is named.
"""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import Any, Literal

from nexuslims_store.arguments import why_no_path
from nexuslims_store.database import Database, Parameters, Row
from nexuslims_store.errors import DatabaseNotFoundError, StoreError
from nexuslims_store.forks import guard, keep_for_ever
from nexuslims_store.refusals import NOT_UTF_8
from nexuslims_store.times import checked_timeout, stored_instant
from nexuslims_store.translation import (
    CHECK_PATH,
    SQLITE_ERRORS,
    beyond_64_bits,
    interruption,
    is_undecodable,
    lone_surrogate,
    translate,
    translated,
    why_not_opened,
)
from nexuslims_store.turns import AnyThread

MEMORY = Path(":memory:")
"""The path of a private database that is never a file."""

Mode = Literal["ro", "rw", "rwc"]

# Enough for every statement of sql/, so that each is prepared once a connection.
_CACHED_STATEMENTS = 256
_ROWS_AT_A_TIME = 256
_MINIMUM_SQLITE = (3, 35, 0)  # RETURNING


def absolute(path: Path) -> Path:
    """Return where a path is now, so that it stays there when the current folder changes."""
    if path == MEMORY:
        return path
    try:
        return path.absolute()
    except OSError as error:  # the current folder is gone
        raise _nowhere(path, why_no_path(error)) from error


def connect(
    path: Path, *, mode: Mode, timeout: float, any_thread: bool = False
) -> sqlite3.Connection:
    """Open a database file under exactly this name.

    Parameters
    ----------
    path
        The file, or `MEMORY`.
    mode
        "ro" reads only, "rw" reads and writes an existing file, "rwc" creates it if need be.
    timeout
        Seconds to wait for another connection's lock.
    any_thread
        Whether other threads may use the connection; they must not at the same time.

    Returns
    -------
    sqlite3.Connection
        In autocommit mode (`isolation_level=None`), foreign keys enforced, `trusted_schema`
        off, `cell_size_check` on, with the SQL function `nxs_instant`. The journal mode is
        what it is in the file. SQLite reads the file only with the first statement.
    """
    if sqlite3.sqlite_version_info < _MINIMUM_SQLITE:
        needed = ".".join(map(str, _MINIMUM_SQLITE))
        raise StoreError(
            f"this Python has SQLite {sqlite3.sqlite_version}, nexuslims_store needs {needed}: "
            "use a newer Python"
        )
    timeout = checked_timeout(timeout)
    uri = f"{_uri(path)}?mode={mode}"
    if path == MEMORY:
        uri = ":memory:"
    else:
        _look_before_opening(path)
    with translated(path, timeout=timeout):
        connection = sqlite3.connect(
            uri,
            uri=path != MEMORY,
            timeout=timeout,
            isolation_level=None,
            check_same_thread=not any_thread,
            cached_statements=_CACHED_STATEMENTS,
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            for arguments in (2, 3):
                connection.create_function(
                    "nxs_instant", arguments, stored_instant, deterministic=True
                )
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def leniently(connection: sqlite3.Connection) -> Iterator[None]:
    """Read texts that are not UTF-8 with lone surrogates, which no model takes."""
    former = connection.text_factory
    connection.text_factory = lambda stored: stored.decode(errors="surrogateescape")
    try:
        yield
    finally:
        connection.text_factory = former


def pragma(connection: sqlite3.Connection, name: str) -> Any:
    """Return the value of a pragma, for example the "journal_mode"."""
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _uri(path: Path) -> str:
    """Return a file: URI that SQLite opens as this very path, whatever characters it has."""
    try:
        if "\0" in str(path):  # where SQLite would take the name to end
            raise ValueError("a NUL is in it")
        uri = path.absolute().as_uri()
    except UnicodeEncodeError as error:
        raise _nowhere(path, NOT_UTF_8) from error
    except (OSError, ValueError) as error:
        raise _nowhere(path, why_no_path(error)) from error
    # A Windows share is file://server/share to others; SQLite wants the server in the path.
    return uri if uri.startswith("file:///") else uri.replace("file://", "file:////", 1)


def _nowhere(path: Path, why: str) -> DatabaseNotFoundError:
    return DatabaseNotFoundError(f"no file can be at {str(path)!r} ({why})", **CHECK_PATH)


def _look_before_opening(path: Path) -> None:
    """Refuse what SQLite would wait for, or take for an empty file: a pipe, a device."""
    try:
        ordinary = S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return  # to be created, or for SQLite to miss
    except OSError:
        ordinary = False
    if not ordinary:
        raise why_not_opened(path)


# What a statement can raise: UnicodeEncodeError and OverflowError come from parameters that
# SQLite has no form for.
_ERRORS = (*SQLITE_ERRORS, UnicodeEncodeError, OverflowError)


class _Unusable:
    """Stands where the connection was, and says why there is none to use."""

    in_transaction = True  # let the statement itself be refused, with the reason

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def execute(self, *_: object) -> sqlite3.Cursor:
        raise StoreError(self.reason)


class SQLiteDatabase(Database):
    """An SQLite database that is there already, opened.

    Parameters
    ----------
    path, read_only, timeout
        As for `nexuslims_store.Store`.
    """

    _errors = _ERRORS
    _connection: sqlite3.Connection | _Unusable = _Unusable("it was never opened")

    def __init__(self, path: Path, *, read_only: bool = False, timeout: float = 30.0) -> None:
        super().__init__()
        self.path = absolute(path)
        self.name = str(self.path)
        self.read_only = read_only
        self.timeout = checked_timeout(timeout)
        self._begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
        self._connection = connect(
            self.path,
            mode="ro" if read_only else "rw",
            timeout=timeout,
            any_thread=isinstance(self, AnyThread),
        )
        self._streams: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()
        guard(self)

    @property
    def connection(self) -> sqlite3.Connection:
        """The sqlite3 connection itself, for SQL of the user's own."""
        if isinstance(self._connection, _Unusable):
            raise StoreError(self._connection.reason)
        if not self.is_own_thread:
            raise StoreError(self._wrong_thread())
        self._undo_what_was_left()
        return self._connection

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, or another process's."""
        return isinstance(self._connection, _Unusable)

    def close(self) -> None:
        """Close the connection. An open transaction is rolled back. Twice does no harm."""
        if isinstance(self._connection, _Unusable):
            return
        connection = self.connection
        try:
            self._close(connection)
        finally:
            self._close(connection)  # an interrupt may have come before the first time
            self._connection = _Unusable(f"the store of {self.name} is closed; open it again")

    def _close(self, connection: sqlite3.Connection) -> None:
        with self.translated():
            for cursor in list(self._streams):
                with suppress(sqlite3.ProgrammingError):  # its connection was closed already
                    cursor.close()  # half read, it would keep its lock after the connection's end
            connection.close()

    # -- statements --------------------------------------------------------------------

    def run_script(self, script: str) -> None:
        """Run statements that make up a transaction of their own."""
        with self.translated():
            self.connection.executescript(script)

    def rows(self, sql: str, parameters: Parameters | tuple[()] = ()) -> list[Row]:
        """Run one statement and return all its rows."""
        if self._open:
            self._check()
        rows: list[Row] = []
        cursor = None
        try:
            cursor = self._connection.execute(sql, parameters)
            rows.extend(cursor)
        except _ERRORS as error:
            if cursor is None or not is_undecodable(error):
                raise self._meaning(error) from error
            self._read_leniently(rows, cursor)
        finally:
            # Half read, a statement that writes keeps its lock, and a traceback this frame.
            cursor = None
        return rows

    def change(self, sql: str, parameters: Parameters | tuple[()] = ()) -> int:
        """Run one INSERT, UPDATE or DELETE and return how many rows it changed."""
        if self._open:
            self._check()
        try:
            return self._connection.execute(sql, parameters).rowcount
        except _ERRORS as error:
            raise self._meaning(error) from error

    def change_many(self, sql: str, parameters: Iterable[Parameters]) -> int:
        """Run one INSERT, UPDATE or DELETE for each set of parameters, all inside a transaction."""
        if self._open:
            self._check()
        try:
            return self.connection.executemany(sql, parameters).rowcount
        except _ERRORS as error:
            raise self._meaning(error) from error

    def stream(self, sql: str, parameters: Parameters | tuple[()] = ()) -> Generator[list[Row]]:
        """Run one query and yield its rows, some hundred at a time, in constant memory.

        SQLite keeps its read lock until the last row is read or the iterator is closed: in
        rollback-journal mode other programs cannot write so long.
        """
        cursor = None
        try:
            if self._open:
                self._check()
            try:
                cursor = self._connection.execute(sql, parameters)
                self._streams.add(cursor)
            except _ERRORS as error:
                raise self._meaning(error) from error
            while chunk := self._next_rows(cursor):
                yield chunk
        finally:
            if cursor is not None:
                # A store that is closed, or another thread, has nothing to close here.
                with suppress(sqlite3.Error):
                    cursor.close()

    def _next_rows(self, cursor: sqlite3.Cursor) -> list[Row]:
        if isinstance(self._connection, _Unusable):
            raise StoreError(self._connection.reason)
        rows: list[Row] = []
        try:
            rows.extend(islice(cursor, _ROWS_AT_A_TIME))
        except _ERRORS as error:
            if not is_undecodable(error):
                raise self._meaning(error) from error
            self._read_leniently(rows, islice(cursor, _ROWS_AT_A_TIME - len(rows)))
        return rows

    def _read_leniently(self, rows: list[Row], remaining: Iterable[Row]) -> None:
        """Go on where a text was met that is not UTF-8: it comes with lone surrogates.

        No model takes those, so the row is reported as the invalid one it is, and the others are
        not lost. The cursor still stands there; to run the statement again could write again, or
        meet other rows.
        """
        try:
            with leniently(self.connection):
                rows.extend(remaining)
        except _ERRORS as error:
            raise self._meaning(error) from error

    # -- transactions ------------------------------------------------------------------

    def _has_transaction(self) -> bool:
        return self._connection.in_transaction

    def _run(self, statement: str) -> None:
        try:
            self._connection.execute(statement)
        except _ERRORS as error:
            raise self._meaning(error) from error

    def _attempt(self, statement: str) -> None:
        with suppress(sqlite3.Error, StoreError):
            self._connection.execute(statement)

    @contextmanager
    def deferred_foreign_keys(self) -> Iterator[None]:
        """Let foreign keys be checked at the end of the open transaction, not of each statement."""
        self.rows("PRAGMA defer_foreign_keys = ON")
        try:
            yield
        finally:
            with suppress(StoreError):  # SQLite has rolled back, which ends it too
                self.rows("PRAGMA defer_foreign_keys = OFF")

    # -- errors ------------------------------------------------------------------------

    def _meaning(
        self, error: sqlite3.Error | UnicodeDecodeError | UnicodeEncodeError | OverflowError
    ) -> BaseException:
        if isinstance(error, OverflowError):
            return beyond_64_bits(error)
        if isinstance(error, UnicodeEncodeError):
            return lone_surrogate(error)
        if isinstance(self._connection, _Unusable):
            return StoreError(self._connection.reason)
        if not self.is_own_thread:
            return StoreError(self._wrong_thread())
        return interruption(error) or translate(error, self.path, timeout=self.timeout)

    # -- other processes ---------------------------------------------------------------

    def abandon(self) -> None:
        """In a forked child: leave the parent's connection alone, for good.

        Closing it here, even when the child exits, would roll back the parent's transaction
        on the parent's files.
        """
        if isinstance(self._connection, sqlite3.Connection):
            keep_for_ever(self._connection)
            self._connection = _Unusable(
                f"the store of {self.name} belongs to the process that opened it; open another "
                "Store in this forked process"
            )


class SharedSQLiteDatabase(AnyThread, SQLiteDatabase):
    """An SQLite database that any thread may use, one at a time."""
