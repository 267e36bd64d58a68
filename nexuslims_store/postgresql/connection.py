"""One PostgreSQL connection: how it is opened and used.

psycopg and the ways of the server are here, and no table is named. The statements are those of
`sql/`, in the server's dialect (`statements.py`).

What SQLite does by itself is done here by hand. One program writes at a time: each transaction
takes an advisory lock at its start, so what is read in it before a write still holds when it is
written. And an error undoes its own statement alone: each write is a transaction or a savepoint,
but in a block that no error stays in.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.types.numeric import Int8Dumper

from nexuslims_store.config import without_password
from nexuslims_store.database import Database, Parameters, Row, was_rolled_back
from nexuslims_store.errors import DatabaseNotFoundError, SchemaMismatchError, StoreError
from nexuslims_store.forks import guard, keep_for_ever
from nexuslims_store.postgresql.statements import statements
from nexuslims_store.postgresql.translation import translate
from nexuslims_store.times import checked_timeout
from nexuslims_store.translation import lone_surrogate
from nexuslims_store.turns import AnyThread

Connection = psycopg.Connection[Row]

_ERRORS = (psycopg.Error, UnicodeEncodeError)

_ROWS_AT_A_TIME = 1024
_MINIMUM_SERVER = 150000

# Of an error among many statements, which it raises, psycopg also warns that it has ignored those
# which follow from it; where nobody configures logging, that would stand on standard error.
logging.getLogger("psycopg").addFilter(
    lambda record: not str(record.msg).startswith("error ignored terminating")
)

# Every program that writes takes this lock, of the database, until its transaction ends.
_LOCK = f"SELECT pg_advisory_xact_lock({int.from_bytes(b'nexusLIM')})"
_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

# So that a computer which vanished is noticed within a minute, not after hours.
_DEFAULTS = {
    "fallback_application_name": "nexuslims-store",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


def connect(url: str, *, read_only: bool, timeout: float) -> Connection:
    """Connect to a database of a server.

    Parameters
    ----------
    url
        As libpq takes it; what it does not say comes from the environment, a password file or a
        service file.
    read_only
        Whether every transaction only reads.
    timeout
        Seconds to wait for the server, and later for another's lock.

    Returns
    -------
    psycopg.Connection
        In autocommit mode, with texts as UTF-8.
    """
    name, timeout = without_password(url), checked_timeout(timeout)
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        # Whose message, and traceback, has the URL in it.
        raise StoreError(
            f"the URL {name} cannot be read; see PostgreSQL's manual of them"
        ) from None
    options: dict[str, Any] = _DEFAULTS | given | {"client_encoding": "UTF8"}
    if "connect_timeout" not in given and "PGCONNECT_TIMEOUT" not in os.environ:
        options["connect_timeout"] = max(2, math.ceil(min(timeout, 3600)))  # 0 is for ever
    try:
        connection = psycopg.connect(autocommit=True, **options)
    except psycopg.Error as error:
        raise DatabaseNotFoundError(
            f"no connection to {name}: {' '.join(str(error).split())}; see that the server runs, "
            "that the database and the user are there, and that the password is in PGPASSWORD, a "
            "password file or a service file"
        ) from error
    try:
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise SchemaMismatchError(
                f"{name} keeps its texts as {encoding}; make another database, with "
                "`CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`"
            )
        if connection.info.server_version < _MINIMUM_SERVER:
            version = connection.info.parameter_status("server_version")
            raise StoreError(f"{name} is PostgreSQL {version}; nexuslims_store needs 15 or newer")
        # One type for all integers, so that a statement is prepared once.
        connection.adapters.register_dumper(int, Int8Dumper)
        # No statement's plan depends on its parameters, and to plan one takes up to a millisecond:
        # done once, with the second call, where psycopg and the server would do it ten times.
        connection.prepare_threshold = 1
        milliseconds = max(1, math.ceil(timeout * 1000))
        connection.execute(
            f"SET lock_timeout = {milliseconds}; SET TimeZone = 'UTC'; SET jit = off; "
            "SET plan_cache_mode = force_generic_plan"
            + ("; SET default_transaction_read_only = on" if read_only else "")
        )
    except BaseException:
        connection.close()
        raise
    return connection


class PostgreSQLDatabase(Database):
    """A PostgreSQL database, opened.

    Parameters
    ----------
    url, read_only, timeout
        As for `nexuslims_store.Store`.
    """

    has_views = True  # in the text of each statement that reads them

    _errors = _ERRORS
    _connection: Connection | None = None
    _no_use = "it was never opened"

    def __init__(self, url: str, *, read_only: bool, timeout: float) -> None:
        super().__init__()
        self.url = self.name = without_password(url)
        self.read_only = read_only
        self.timeout = checked_timeout(timeout)
        self._begin_reading = _READING
        self._begin = _READING if read_only else f"BEGIN ISOLATION LEVEL READ COMMITTED; {_LOCK}"
        self._numbers = count()
        self._left: list[str] = []  # cursors to be closed
        self._must_roll_back = False  # as soon as a statement can be sent
        self._connection = connect(url, read_only=read_only, timeout=timeout)
        guard(self)

    @property
    def connection(self) -> Connection:
        """The psycopg connection itself, for SQL of the user's own."""
        connection = self._ready()
        self._undo_what_was_left()
        return connection

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, or another process's."""
        return self._connection is None

    def close(self) -> None:
        """Close the connection. An open transaction is rolled back. Twice does no harm."""
        if self._connection is None:
            return
        if not self.is_own_thread:
            raise StoreError(self._wrong_thread())
        self._end(f"the store of {self.name} is closed; open it again")

    def _end(self, reason: str) -> None:
        connection = self._connection
        if connection is not None:
            self._no_use = reason
            try:
                connection.close()
            finally:
                connection.close()  # an interrupt may have come before the first time
                self._connection = None

    def _ready(self) -> Connection:
        """Return the connection, if a statement may be sent now."""
        connection = self._connection
        if connection is None:
            raise StoreError(self._no_use)
        if not self.is_own_thread:
            raise StoreError(self._wrong_thread())
        if connection.lock.locked():  # psycopg would wait for itself, for ever
            raise StoreError(
                f"{self.name}: a statement runs, in whose midst another was to run: by a signal "
                "handler, or by what the garbage collector ended; open another store there"
            )
        with self.translated():
            self._settle(connection)
        return connection

    def _settle(self, connection: Connection) -> None:
        """Bring to its end what an exception has interrupted, or could not be ended at once."""
        pgconn = connection.pgconn
        if pgconn.transaction_status == TransactionStatus.ACTIVE:
            if pgconn.pipeline_status != PipelineStatus.OFF:
                reason = "a transaction was interrupted and is undone; open the store again"
                self._end(f"{self.name}: {reason}")
                raise StoreError(self._no_use)  # as what follows would
            with suppress(psycopg.Error):
                pgconn.get_cancel().cancel()
            while pgconn.get_result() is not None:
                pass
        if self._must_roll_back:
            connection.execute("ROLLBACK", prepare=False)
            self._must_roll_back = False
        while self._left and pgconn.transaction_status == TransactionStatus.IDLE:
            name = self._left.pop()
            with suppress(errors.InvalidCursorName):  # its transaction was rolled back
                connection.execute(f"CLOSE {name}", prepare=False)

    # -- statements --------------------------------------------------------------------

    def rows(self, sql: str, parameters: Parameters | tuple[()] = ()) -> list[Row]:
        """Run one statement and return all its rows."""
        if self._open:
            self._check()
        text, writes = statements().get(sql, (sql, False))
        cursor = (self._write if writes else self._execute)(text, parameters)
        return cursor.fetchall() if cursor.description else []

    def change(self, sql: str, parameters: Parameters | tuple[()] = ()) -> int:
        """Run one INSERT, UPDATE or DELETE and return how many rows it changed."""
        if self._open:
            self._check()
        return self._write(statements()[sql][0], parameters).rowcount

    def change_many(self, sql: str, parameters: Iterable[Parameters]) -> int:
        """Run one INSERT, UPDATE or DELETE for each set of parameters, all inside a transaction."""
        with self.transaction(), self.translated():
            cursor = self._ready().cursor()
            cursor.executemany(statements()[sql][0], parameters)
            return max(cursor.rowcount, 0)

    def stream(self, sql: str, parameters: Parameters | tuple[()] = ()) -> Generator[list[Row]]:
        """Run one query and yield its rows, some hundred at a time, in constant memory.

        The server keeps the rows, which are those of this moment. Nobody waits for the reader.
        """
        if self._open:
            self._check()
        name = f"nxs_{next(self._numbers)}"
        text = statements().get(sql, (sql,))[0]
        try:
            self._execute(
                f"DECLARE {name} NO SCROLL CURSOR WITH HOLD FOR {text}", parameters, prepare=False
            )
            while chunk := self._execute(
                f"FETCH {_ROWS_AT_A_TIME} FROM {name}", prepare=False
            ).fetchall():
                yield chunk
        finally:
            # Not at once: another thread, or the garbage collector, may have ended the stream.
            self._left.append(name)

    def _write(self, text: str, parameters: Parameters | tuple[()]) -> psycopg.Cursor[Row]:
        if self._open and self._open[-1].as_one:
            return self._execute(text, parameters)
        with self.transaction():
            return self._execute(text, parameters)

    def _execute(
        self,
        text: str,
        parameters: Parameters | tuple[()] | None = None,
        *,
        prepare: bool | None = None,
    ) -> psycopg.Cursor[Row]:
        connection = self._ready()
        try:
            return connection.execute(text, parameters, prepare=prepare)
        except _ERRORS as error:
            raise self._meaning(error) from error

    # -- transactions ------------------------------------------------------------------

    def _has_transaction(self) -> bool:
        connection = self._connection
        if connection is None:
            return True  # let the statement itself be refused, with the reason
        if self.is_own_thread and not connection.lock.locked():
            with suppress(StoreError), self.translated():  # the statement itself will say it
                self._settle(connection)
        status = connection.pgconn.transaction_status
        return status not in {TransactionStatus.IDLE, TransactionStatus.UNKNOWN}

    def _run(self, statement: str) -> None:
        if statement.startswith("SAVEPOINT") and not self.read_only:
            statement = f"{statement}; {_LOCK}"  # the transaction may be one of the user's own
        done = self._execute(statement, prepare=False).statusmessage
        if done == "ROLLBACK":  # what COMMIT does where an error has ended the transaction
            raise StoreError(was_rolled_back(self.name))

    def _attempt(self, statement: str) -> None:
        if self._connection is not None and self._connection.lock.locked():
            self._must_roll_back = True  # the garbage collector ends a block in the midst of a call
            return
        with suppress(StoreError):
            self._execute(statement, prepare=False)

    def _undo_to(self, savepoint: str) -> None:
        # One that is not there, not yet or no more, would end the whole transaction: inside of
        # another savepoint it does not.
        undo = f"ROLLBACK TO {savepoint}; RELEASE {savepoint}"
        if self._is_failed():
            self._attempt(undo)
        else:
            self._attempt(f"SAVEPOINT nxs_undo; {undo}")
            if self._is_failed():
                self._attempt("ROLLBACK TO nxs_undo; RELEASE nxs_undo")

    def _is_failed(self) -> bool:
        connection = self._connection
        return connection is not None and (
            connection.pgconn.transaction_status == TransactionStatus.INERROR
        )

    @contextmanager
    def deferred_foreign_keys(self) -> Iterator[None]:
        """Let foreign keys be checked at the end of the block, not of each statement."""
        self._run("SET CONSTRAINTS ALL DEFERRED")
        yield
        self._run("SET CONSTRAINTS ALL IMMEDIATE")  # after an error, its rollback does it

    # -- errors ------------------------------------------------------------------------

    def _meaning(self, error: psycopg.Error | UnicodeEncodeError) -> StoreError:
        if isinstance(error, UnicodeEncodeError):
            return lone_surrogate(error)
        if self._connection is not None and self._connection.closed:
            said = " ".join(str(error).split())
            self._end(
                f"{self.name}: the connection to the server was lost ({said}). A transaction that "
                "was open is undone; whether one that was just being committed is stored is not "
                "known: look, before you do it again. Open the store again"
            )
        if self._connection is None:
            return StoreError(self._no_use)
        return translate(error, self.name, timeout=self.timeout, read_only=self.read_only)

    # -- other processes ---------------------------------------------------------------

    def abandon(self) -> None:
        """In a forked child: leave the parent's connection alone, for good.

        Whatever is sent here, were it a good-bye, the server would take as the parent's.
        """
        if self._connection is not None:
            keep_for_ever(self._connection)
            self._connection = None
            self._no_use = (
                f"the store of {self.name} belongs to the process that opened it; open another "
                "Store in this forked process"
            )


class SharedPostgreSQLDatabase(AnyThread, PostgreSQLDatabase):
    """A PostgreSQL database that any thread may use, one at a time."""
