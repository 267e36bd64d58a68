"""The front door: opens a database, checks that it is the right one, hands out repositories."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, overload

from nexuslims_store.arguments import as_path, require_flags, require_type
from nexuslims_store.config import default_path, dump_line, is_url, require_file, without_password
from nexuslims_store.connection import MEMORY, SharedSQLiteDatabase, SQLiteDatabase, absolute
from nexuslims_store.database import Database
from nexuslims_store.errors import BackupError, DatabaseNotFoundError, StoreError
from nexuslims_store.opening import open_server
from nexuslims_store.recognition import check_head, check_head_of_server
from nexuslims_store.revisions import fresh_script, head
from nexuslims_store.times import checked_clock, checked_timeout, utc_now
from nexuslims_store.translation import CHECK_PATH

if TYPE_CHECKING:
    from nexuslims_store.repository import (
        ExternalIdRepository,
        InstrumentRepository,
        SessionLogRepository,
        SessionRepository,
        UploadLogRepository,
    )

__all__ = ["Store"]

Made = TypeVar("Made")


class FirstUse(Generic[Made]):
    """An attribute that is made when it is first asked for.

    `functools.cached_property` without the lock that it has in Python 3.11: a process forked while
    another thread is in it could never make one.
    """

    def __init__(self, make: Callable[[Any], Made]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, store: None, owner: type) -> Self: ...

    @overload
    def __get__(self, store: object, owner: type) -> Made: ...

    def __get__(self, store: object | None, owner: type) -> Self | Made:
        if store is None:
            return self
        # Found there from now on. Of two threads that come at once, both get the same.
        return vars(store).setdefault(self._make.__name__, self._make(store))  # type: ignore[no-any-return]


class Store:
    """An open NexusLIMS database at the head revision.

    It belongs to the thread and the process that opened it: another thread opens a store of its
    own, or this one is opened with `any_thread=True`. Use it as a context manager, or call
    `close()`.

    Parameters
    ----------
    path
        The database file; by default `default_path()`. ":memory:" is a private database that
        is gone when the store is closed. "postgresql://USER@HOST/DATABASE" is a database of a
        PostgreSQL server; `pip install nexuslims-store[postgresql]` brings what that needs. The
        password comes from the environment (PGPASSWORD), a password file or a service file.
    read_only
        Open the file for reading only; nothing is ever written to it, nor beside it, but for the
        `-shm` and `-wal` files that SQLite keeps beside a file in WAL mode.
    migrate
        Create the file, or bring it to the head revision, with a backup before the first
        change (see `nexuslims_store.migrations.upgrade`).
    timeout
        Seconds to wait while another program holds the lock, or another thread is at work.
    any_thread
        Let any thread use the store, one at a time, as web frameworks do: a call waits, up to
        `timeout`, while another thread is inside a call or a transaction. A transaction ends in
        the thread that began it.
    clock
        Returns the present time, aware; for tests.

    Raises
    ------
    DatabaseNotFoundError
        There is no such file.
    NotANexusLIMSDatabaseError
        It is not SQLite, or another program's. Nothing was written to it.
    PendingMigrationsError
        It is at an older revision.
    UnknownRevisionError, SchemaMismatchError
        It is at a revision this package does not know, or its tables contradict its revision.
    CorruptDatabaseError, DatabaseLockedError, ReadOnlyError
        It is damaged, or cannot be read now, or not by this user.
    TypeError, InvalidValueError
        An argument is not of its type, or a timeout is negative; the message names it.

    Notes
    -----
    A transaction belongs to the thread and the asyncio task that began it; a call of another
    task, which would become part of it, is a StoreError. Where a suspended generator has one
    open, its thread's calls are part of it. Whatever is raised, by a signal handler for example
    while a lock is waited for, leaves no transaction open and no lock held.

    A store that is not closed is closed with a ResourceWarning when nothing refers to it, or to one
    of its repositories, any more.

    Examples
    --------
    >>> with Store("nexuslims.db", migrate=True) as store:
    ...     with store.transaction():  # both or none
    ...         titan = store.instruments.add(make_instrument("Titan"))
    ...         session = store.sessions.add("1", titan, datetime(2025, 7, 1), datetime(2025, 7, 2))
    ...     store.connection.execute("SELECT count(*) FROM session_log").fetchone()
    ...     store.backup("copy.db").name
    (2,)
    'copy.db'
    >>> reader = Store("copy.db", read_only=True)
    >>> reader.instruments.list() == [titan]
    True
    >>> reader.close()
    """

    path: Path | None
    """The file, absolute: a later change of the current folder does not move it. None for a
    database of a server."""
    url: str | None
    """The URL of a database of a server, without its password; None for a file."""
    revision: str
    """The revision of the schema, for example "v2_5_0b"."""
    read_only: bool
    """Whether nothing is ever written."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        read_only: bool = False,
        migrate: bool = False,
        timeout: float = 30.0,
        any_thread: bool = False,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        require_flags(read_only=read_only, migrate=migrate, any_thread=any_thread)
        clock, timeout = checked_clock(clock), checked_timeout(timeout)
        place = _place(path)
        self.path = place if isinstance(place, Path) else None
        self.url = None if isinstance(place, Path) else without_password(place)
        self.read_only = read_only
        if read_only and migrate:
            raise StoreError("a read-only store cannot migrate; leave out one of the two")
        if migrate and place != MEMORY:
            from nexuslims_store.migrations import upgrade  # noqa: PLC0415 -- imports yoyo

            upgrade(place, timeout=timeout)
        database = _opened(place, read_only=read_only, timeout=timeout, any_thread=any_thread)
        try:
            self.revision = _checked(database, read_only=read_only)
        except BaseException:
            database.close()
            raise
        self._database = database
        self._clock = clock

    # The repositories come with Pydantic, two thirds of what importing this class and opening a
    # store took: not before one is asked for.

    @FirstUse
    def instruments(self) -> InstrumentRepository:
        """The instruments of the facility."""
        from nexuslims_store.repository import InstrumentRepository  # noqa: PLC0415

        return InstrumentRepository(self._database)

    @FirstUse
    def session_logs(self) -> SessionLogRepository:
        """The events of sessions, as they are stored."""
        from nexuslims_store.repository import SessionLogRepository  # noqa: PLC0415

        return SessionLogRepository(self._database)

    @FirstUse
    def sessions(self) -> SessionRepository:
        """The sessions that the events make, their status, and who builds their records."""
        from nexuslims_store.repository import SessionRepository  # noqa: PLC0415

        return SessionRepository(self._database, self._clock)

    @FirstUse
    def upload_logs(self) -> UploadLogRepository:
        """The attempts to upload records."""
        from nexuslims_store.repository import UploadLogRepository  # noqa: PLC0415

        return UploadLogRepository(self._database, self._clock)

    @FirstUse
    def external_ids(self) -> ExternalIdRepository:
        """Who the users are in other systems."""
        from nexuslims_store.repository import ExternalIdRepository  # noqa: PLC0415

        return ExternalIdRepository(self._database, self._clock)

    @property
    def connection(self) -> Connection:
        """The sqlite3 connection, for SQL of your own and `pandas.read_sql`.

        It is in autocommit mode; errors are sqlite3's own. A BEGIN of yours is a transaction
        that every method joins until your COMMIT or ROLLBACK. That of a server is psycopg's
        (`psycopg.Connection`, in autocommit mode too).
        """
        connection: Connection = self._database.connection
        return connection

    def transaction(self) -> AbstractContextManager[None]:
        """Make what runs inside all or nothing, as a context manager.

        It takes the write lock at its start. Inside another transaction it is a savepoint: an
        exception undoes the inner part, and the outer goes on if it is caught there. In a
        read-only store it is a snapshot to read from.
        """
        return self._database.transaction()

    def backup(self, destination: str | os.PathLike[str]) -> Path:
        """Write a verified copy of the database and return its path.

        Parameters
        ----------
        destination
            The new file, or a folder to put a file named by the time into. A file that is
            there is never overwritten.

        Raises
        ------
        BackupError, StorageFullError, DatabaseLockedError
            The copy was not made; nothing half-made is left.
        """
        # A Path would drop the slash by which a folder is meant.
        require_type("destination", destination, (str, os.PathLike))
        database = self._database
        if not isinstance(database, SQLiteDatabase):
            raise BackupError(
                f"{self.url} is a database of a server, whose own program makes backups of it: "
                f"`{dump_line(database.name)}`"
            )
        database.rows("PRAGMA user_version")  # a closed store says that it is closed
        if database.in_transaction:
            raise BackupError(
                f"a backup of {self.path} cannot be made inside a transaction, half of which it "
                "would hold; call it outside of `with store.transaction()`"
            )
        from nexuslims_store.backup import copy  # noqa: PLC0415 -- most programs never need it

        # On the store's own connection: another one could write, and in memory there is no other.
        with database.snapshot():
            return copy(
                database.path, destination, connection=database.connection, timeout=database.timeout
            )

    def close(self) -> None:
        """Close the store. An open transaction is rolled back. Twice does no harm."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.url or str(self.path)!r}{' read-only' if self.read_only else ''}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} cannot be pickled or copied: it holds an open connection; pass its path "
            "and open another Store there"
        )


def _place(path: str | os.PathLike[str] | None) -> Path | str:
    """Return the file, or the URL of the server, that is meant."""
    if path is None:
        default = default_path()
        if default == MEMORY:
            raise StoreError(
                "NX_DB_PATH is ':memory:', which is no file: it would be gone with this program. "
                'Set it to a path, or call Store(":memory:")'
            )
        path = default
    given = as_path("path", path)
    if os.fspath(path) == "":
        raise DatabaseNotFoundError("the path is empty", **CHECK_PATH)
    if is_url(path):
        return path
    if given != MEMORY:
        require_file(path, "the path")
    return absolute(given)


def _opened(place: Path | str, *, read_only: bool, timeout: float, any_thread: bool) -> Database:
    if isinstance(place, Path):
        kind = SharedSQLiteDatabase if any_thread else SQLiteDatabase
        return kind(place, read_only=read_only, timeout=timeout)
    return open_server(place, read_only=read_only, timeout=timeout, any_thread=any_thread)


def _checked(database: Database, *, read_only: bool) -> str:
    """Return the revision of a database that was opened: the head, or it is no store."""
    if not isinstance(database, SQLiteDatabase):
        return check_head_of_server(database)
    if database.path == MEMORY:
        database.run_script(fresh_script())
        if read_only:
            from nexuslims_store.repository.views import with_views  # noqa: PLC0415

            with_views(database)  # which are written too, though in no file
            database.rows("PRAGMA query_only = ON")
        return head()
    with database.translated():
        return check_head(
            database.connection, database.path, write=not read_only, timeout=database.timeout
        )
