"""One SQLite connection: how it is opened, guarded and used.

Pragmas, locks and savepoints are here, and no table is named.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from nexuslims_store.errors import DatabaseNotFoundError, StoreError
from nexuslims_store.times import stored_instant
from nexuslims_store.translation import (
    CHECK_PATH,
    SQLITE_ERRORS,
    is_undecodable,
    translate,
    translated,
)

__all__ = ["MEMORY", "Database", "Row", "connect"]

MEMORY = Path(":memory:")
"""The path of a private database that is never a file."""

Parameters = Mapping[str, object]
Row = tuple[Any, ...]
Mode = Literal["ro", "rw", "rwc"]

# Enough for every statement of sql/, so that each is prepared once a connection.
_CACHED_STATEMENTS = 256
_ROWS_AT_A_TIME = 256
# In seconds. More milliseconds than SQLite can count would be no timeout at all.
_LONGEST_TIMEOUT = 2_000_000.0
_MINIMUM_SQLITE = (3, 35, 0)  # RETURNING


def connect(path: Path, *, mode: Mode, timeout: float) -> sqlite3.Connection:
    """Open a database file under exactly this name.

    Parameters
    ----------
    path
        The file, or `MEMORY`.
    mode
        "ro" reads only, "rw" reads and writes an existing file, "rwc" creates it if need be.
    timeout
        Seconds to wait for another connection's lock.

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
    with translated(path, timeout=timeout):
        connection = sqlite3.connect(
            ":memory:" if path == MEMORY else f"{_uri(path)}?mode={mode}",
            uri=path != MEMORY,
            timeout=min(timeout, _LONGEST_TIMEOUT),
            isolation_level=None,
            cached_statements=_CACHED_STATEMENTS,
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            connection.create_function("nxs_instant", 2, stored_instant, deterministic=True)
        except BaseException:
            connection.close()
            raise
    return connection


def _uri(path: Path) -> str:
    """Return a file: URI that SQLite opens as this very path, whatever characters it has."""
    try:
        if "\0" in str(path):  # where SQLite would take the name to end
            raise ValueError("a NUL is in it")
        uri = path.absolute().as_uri()
    except (OSError, ValueError) as error:
        # A lone surrogate, or a current folder that is gone.
        raise DatabaseNotFoundError(
            f"no file can be at {str(path)!r} ({error})", **CHECK_PATH
        ) from error
    # A Windows share is file://server/share for the URI's standard, and an error for SQLite,
    # which wants the server as part of the path.
    return uri if uri.startswith("file:///") else uri.replace("file://", "file:////", 1)


class Database:
    """One connection and all that runs on it, with this package's own errors.

    It belongs to the thread and the process that made it.

    Parameters
    ----------
    path, read_only, timeout
        As for `nexuslims_store.Store`.
    """

    def __init__(self, path: Path, *, read_only: bool = False, timeout: float = 30.0) -> None:
        self.path = path
        self.read_only = read_only
        self.timeout = timeout
        self._thread = threading.get_ident()
        self._depth = 0
        self._connection: sqlite3.Connection | _Unusable
        self._connection = connect(path, mode="ro" if read_only else "rw", timeout=timeout)
        _open_databases.add(self)

    @property
    def connection(self) -> sqlite3.Connection:
        """The sqlite3 connection itself, for SQL of the user's own."""
        if isinstance(self._connection, _Unusable):
            raise StoreError(self._connection.reason)
        if not self.is_own_thread:
            raise StoreError(self._wrong_thread())
        return self._connection

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, or another process's."""
        return isinstance(self._connection, _Unusable)

    @property
    def is_own_thread(self) -> bool:
        """Whether this is the thread the database belongs to."""
        return threading.get_ident() == self._thread

    def close(self) -> None:
        """Close the connection. An open transaction is rolled back. Twice does no harm."""
        if isinstance(self._connection, _Unusable):
            return
        with self.translated():
            self.connection.close()
        self._connection = _Unusable(f"the store of {self.path} is closed; open it again")
        _open_databases.discard(self)

    # -- statements --------------------------------------------------------------------

    def run_script(self, script: str) -> None:
        """Run statements that make up a transaction of their own."""
        with self.translated():
            self.connection.executescript(script)

    def rows(self, sql: str, parameters: Parameters | tuple[()] = ()) -> list[Row]:
        """Run one statement and return all its rows.

        A statement that writes takes the write lock at its start and is committed when its
        rows are read, unless a transaction is open.
        """
        self._not_rolled_back()
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except _ERRORS as error:
            if is_undecodable(error):
                return self._leniently(lambda: self._connection.execute(sql, parameters).fetchall())
            raise self._meaning(error) from error

    def change(self, sql: str, parameters: Parameters | tuple[()] = ()) -> int:
        """Run one INSERT, UPDATE or DELETE and return how many rows it changed."""
        self._not_rolled_back()
        try:
            return self._connection.execute(sql, parameters).rowcount
        except _ERRORS as error:
            raise self._meaning(error) from error

    def change_many(self, sql: str, parameters: Iterable[Parameters]) -> int:
        """Run one INSERT, UPDATE or DELETE for each set of parameters, all inside a transaction.

        Returns how many rows were changed in all. The statement must not return rows.
        """
        self._not_rolled_back()
        try:
            return self.connection.executemany(sql, parameters).rowcount
        except _ERRORS as error:
            raise self._meaning(error) from error

    def stream(self, sql: str, parameters: Parameters | tuple[()] = ()) -> Iterator[list[Row]]:
        """Run one query and yield its rows, some hundred at a time.

        SQLite keeps its read lock until the last row is read or the iterator is closed.
        """
        read = 0
        lenient = False
        cursor: sqlite3.Cursor | None = None
        try:
            while True:
                if isinstance(self._connection, _Unusable):
                    raise StoreError(self._connection.reason)
                try:
                    if cursor is None:
                        self._not_rolled_back()
                        cursor = self._connection.execute(sql, parameters)
                        for _ in range(read):
                            cursor.fetchone()
                    if lenient:
                        chunk = self._leniently(cursor.fetchmany, _ROWS_AT_A_TIME)
                    else:
                        chunk = cursor.fetchmany(_ROWS_AT_A_TIME)
                except _ERRORS as error:
                    if lenient or not is_undecodable(error):
                        raise self._meaning(error) from error
                    lenient, cursor = True, None
                    continue
                if not chunk:
                    return
                read += len(chunk)
                yield chunk
        finally:
            if cursor is not None:
                # A store that is closed, or another thread, has nothing to close here.
                with suppress(sqlite3.Error):
                    cursor.close()

    def _leniently(self, fetch: Callable[..., list[Row]], *arguments: int) -> list[Row]:
        """Fetch rows that hold text which is not UTF-8: it comes with lone surrogates.

        No model takes those, so the row is reported as the invalid one it is, and the other
        rows are not lost.
        """
        connection = self.connection
        connection.text_factory = _decode_leniently
        try:
            return fetch(*arguments)
        except _ERRORS as error:
            raise self._meaning(error) from error
        finally:
            connection.text_factory = str

    # -- transactions ------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what runs inside all or nothing. Inside another transaction: a savepoint.

        The outermost takes the write lock at its start (BEGIN IMMEDIATE), so that nothing in
        it can fail on a lock half-way. In a read-only database it is a snapshot to read from.
        """
        # A BEGIN of the user's own, by way of `store.connection`, is a transaction to join too.
        outermost = not self._connection.in_transaction and self._depth == 0
        name = f"nxs_{self._depth}"
        if outermost:
            self.rows("BEGIN" if self.read_only else "BEGIN IMMEDIATE")
        else:
            self.rows(f"SAVEPOINT {name}")
        self._depth += 1
        try:
            yield
            # Still counted as inside, so that a transaction which SQLite has rolled back, after
            # an error that the block kept to itself, is noticed.
            self.rows("COMMIT" if outermost else f"RELEASE {name}")
        except BaseException:
            # After some errors, a full disk among them, SQLite has rolled back already. Whatever
            # this rollback meets, the first error is the one to tell.
            connection = self._connection
            if isinstance(connection, sqlite3.Connection) and connection.in_transaction:
                with suppress(sqlite3.Error):
                    if outermost:
                        connection.execute("ROLLBACK")
                    else:
                        connection.execute(f"ROLLBACK TO {name}")
                        connection.execute(f"RELEASE {name}")
            raise
        finally:
            self._depth -= 1

    @contextmanager
    def deferred_foreign_keys(self) -> Iterator[None]:
        """Let foreign keys be checked at the end of the open transaction, not of each statement."""
        self.rows("PRAGMA defer_foreign_keys = ON")
        try:
            yield
        finally:
            with suppress(StoreError):  # SQLite has rolled back, which ends it too
                self.rows("PRAGMA defer_foreign_keys = OFF")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.connection.in_transaction

    def _not_rolled_back(self) -> None:
        if self._depth and not self._connection.in_transaction:
            raise StoreError(
                f"{self.path}: SQLite has rolled the open transaction back after an earlier "
                "error; leave the `with store.transaction()` block and start again"
            )

    # -- errors ------------------------------------------------------------------------

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn every error of the connection inside the block into this package's own."""
        try:
            yield
        except _ERRORS as error:
            raise self._meaning(error) from error

    def _meaning(
        self, error: sqlite3.Error | UnicodeDecodeError | UnicodeEncodeError | OverflowError
    ) -> StoreError:
        if isinstance(error, OverflowError):
            return StoreError(f"a number beyond 64 bits cannot be stored or looked up ({error})")
        if isinstance(error, UnicodeEncodeError):
            return StoreError(f"text with a lone surrogate cannot be stored or looked up ({error})")
        if not self.is_own_thread:
            return StoreError(self._wrong_thread())
        return translate(error, self.path, timeout=self.timeout)

    def _wrong_thread(self) -> str:
        return (
            f"the store of {self.path} belongs to the thread that opened it; open another "
            "Store in this thread"
        )

    # -- other processes ---------------------------------------------------------------

    def _abandon(self) -> None:
        """In a forked child: leave the parent's connection alone, for good.

        Closing it here, even when the child exits, would roll back the parent's transaction
        on the parent's files.
        """
        if isinstance(self._connection, sqlite3.Connection):
            _keep_for_ever(self._connection)
            self._connection = _Unusable(
                f"the store of {self.path} belongs to the process that opened it; open another "
                "Store in this forked process"
            )


class _Unusable:
    """Stands where the connection was, and says why there is none to use."""

    in_transaction = True  # let the statement itself be refused, with the reason

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def execute(self, *_: object) -> sqlite3.Cursor:
        raise StoreError(self.reason)


# What a statement can raise: UnicodeEncodeError and OverflowError come from parameters that
# SQLite has no form for.
_ERRORS = (*SQLITE_ERRORS, UnicodeEncodeError, OverflowError)


def _decode_leniently(stored: bytes) -> str:
    return stored.decode(errors="surrogateescape")


_open_databases: weakref.WeakSet[Database] = weakref.WeakSet()


def _abandon_all() -> None:
    for database in list(_open_databases):
        database._abandon()
    _open_databases.clear()


def _keep_for_ever(connection: sqlite3.Connection) -> None:
    """Take a reference that is never given back, not even when the interpreter ends."""
    import ctypes  # noqa: PLC0415 -- needed in a forked child only

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_abandon_all)
