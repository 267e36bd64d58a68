"""Every error this package raises on purpose.

::

    StoreError
    ├── DatabaseNotFoundError          no file there
    ├── NotANexusLIMSDatabaseError     not SQLite, or another program's database
    ├── CorruptDatabaseError           SQLite says that the file is damaged
    ├── PendingMigrationsError         an older revision: `migrate` brings it up
    ├── UnknownRevisionError           a newer revision, or several version rows
    ├── SchemaMismatchError            the tables contradict the version row
    ├── DatabaseLockedError            another program held the lock past `timeout`
    ├── ReadOnlyError                  a write, and the store, file or folder is read-only
    ├── StorageFullError               no room on the disk
    ├── UnknownInstrumentError         no instrument of that PID
    ├── DuplicateError                 a value that must be unique is somebody else's
    ├── InstrumentInUseError           session logs refer to the instrument
    ├── InvalidRowError                a stored row that no model can hold
    ├── InvalidValueError              an argument that is no member of its enum (a ValueError too)
    ├── ClaimLostError                 another builder has taken the session over
    ├── ClaimedError                   a builder works on the session
    ├── ConsentError                   a reset would override a missing consent
    ├── MigrationError                 an upgrade or downgrade that was rolled back
    └── BackupError                    a backup or restore that was not made

Bad values given to a model are `pydantic.ValidationError`, raised before any SQL runs.
Each message says what went wrong, where, and what mends it: a call where Python was called, a
command where a command was run. Where the two differ, the error is raised with both::

    raise DatabaseLockedError(
        f"{path} is locked by another program, still after {timeout:g} s",
        call="wait longer with timeout=…",
        command="wait longer with --timeout",
    )

`str(error)` is the message and the call, `error.for_command` the message and the command, which
is what the command line prints. The SQLite error behind it, if any, is the `__cause__`.
"""

from __future__ import annotations

__all__ = [
    "BackupError",
    "ClaimLostError",
    "ClaimedError",
    "ConsentError",
    "CorruptDatabaseError",
    "DatabaseLockedError",
    "DatabaseNotFoundError",
    "DuplicateError",
    "InstrumentInUseError",
    "InvalidRowError",
    "InvalidValueError",
    "MigrationError",
    "NotANexusLIMSDatabaseError",
    "PendingMigrationsError",
    "ReadOnlyError",
    "SchemaMismatchError",
    "StorageFullError",
    "StoreError",
    "UnknownInstrumentError",
    "UnknownRevisionError",
]


class StoreError(Exception):
    """Base of every error this package raises on purpose.

    Parameters
    ----------
    message
        What went wrong, where, and the remedy if it is the same everywhere.
    call, command
        The remedy in Python, and on the command line, where they differ. They follow the
        message after a semicolon.

    Attributes
    ----------
    for_command
        The message for one who ran a command.
    problem, remedy
        Its two parts; the latter is empty where the message holds it.

    Examples
    --------
    >>> try:
    ...     Store("no/such/nexuslims.db")
    ... except StoreError as error:
    ...     print(type(error).__name__)
    DatabaseNotFoundError
    """

    def __init__(self, message: str = "", *, call: str = "", command: str = "") -> None:
        super().__init__(f"{message}; {call}" if call else message)
        self.for_command = f"{message}; {command}" if command else str(self)
        self.problem = message
        self.remedy = command or call

    def __reduce__(self) -> tuple[object, ...]:
        # Exception's own __reduce__ calls __init__ again, and has no keyword arguments for it.
        return _restored, (type(self), self.args), vars(self)


def _restored(error: type[StoreError], arguments: tuple[object, ...]) -> StoreError:
    return error.__new__(error, *arguments)


class DatabaseNotFoundError(StoreError):
    """There is no database file at the path.

    Examples
    --------
    >>> Store("no/such/nexuslims.db")
    Traceback (most recent call last):
    DatabaseNotFoundError: there is no database …
    """


class NotANexusLIMSDatabaseError(StoreError):
    """The file is not SQLite, or belongs to another program. Nothing was written to it.

    Examples
    --------
    >>> Store(__file__)
    Traceback (most recent call last):
    NotANexusLIMSDatabaseError: … is not an SQLite database …
    """


class CorruptDatabaseError(StoreError):
    """SQLite reports that the file is damaged.

    Examples
    --------
    >>> make_store(path="damaged.db").close()
    >>> with open("damaged.db", "r+b") as file:
    ...     _ = file.seek(100), file.write(b"trash" * 1000)
    >>> Store("damaged.db")
    Traceback (most recent call last):
    CorruptDatabaseError: damaged.db is damaged …
    """


class PendingMigrationsError(StoreError):
    """The database is at an older revision than this package works with.

    Examples
    --------
    >>> migrations.upgrade("old.db", "v2_4_0b")
    MigrationReport(...)
    >>> Store("old.db")
    Traceback (most recent call last):
    PendingMigrationsError: old.db is at the revision v2_4_0b …
    """


class UnknownRevisionError(StoreError):
    """The version row names a revision this package does not know, or there are several.

    Examples
    --------
    >>> with make_store(path="newer.db") as store:
    ...     _ = store.connection.execute("UPDATE alembic_version SET version_num = 'v9_9_9'")
    >>> Store("newer.db")
    Traceback (most recent call last):
    UnknownRevisionError: …
    """


class SchemaMismatchError(StoreError):
    """The tables contradict the version row, or an interrupted upgrade left parts behind.

    Examples
    --------
    >>> with make_store(path="odd.db") as store:
    ...     _ = store.connection.execute("DROP TABLE upload_log")
    >>> Store("odd.db")
    Traceback (most recent call last):
    SchemaMismatchError: …
    """


class DatabaseLockedError(StoreError):
    """Another program held the lock for longer than `timeout` seconds.

    Examples
    --------
    >>> with make_store(path="busy.db") as store, Store("busy.db", timeout=0) as other:
    ...     with store.transaction():
    ...         other.external_ids.store("alice", "nemo", "42")
    Traceback (most recent call last):
    DatabaseLockedError: busy.db is locked by another program …
    """


class ReadOnlyError(StoreError):
    """A write was asked for, but the store, the file or its folder is read-only.

    Examples
    --------
    >>> make_store(path="mine.db").close()
    >>> with Store("mine.db", read_only=True) as store:
    ...     store.external_ids.store("alice", "nemo", "42")
    Traceback (most recent call last):
    ReadOnlyError: mine.db was opened read-only …
    """


class StorageFullError(StoreError):
    """The disk has no room. The database is as it was before the call.

    Examples
    --------
    >>> with make_store() as store:
    ...     _ = store.connection.execute("PRAGMA max_page_count = 1").fetchall()
    ...     store.external_ids.store("alice", "nemo", "42", notes="long" * 100_000)
    Traceback (most recent call last):
    StorageFullError: no room to write …
    """


class UnknownInstrumentError(StoreError):
    """No instrument has the given PID.

    Examples
    --------
    >>> with make_store() as store:
    ...     store.instruments.rename("no such instrument", "Titan")
    Traceback (most recent call last):
    UnknownInstrumentError: no instrument has the PID 'no such instrument' …
    """


class DuplicateError(StoreError):
    """A value that must be unique is taken already.

    Examples
    --------
    >>> with make_store(make_instrument("Titan")) as store:
    ...     store.instruments.add(make_instrument("Titan"))
    Traceback (most recent call last):
    DuplicateError: there is an instrument 'Titan' already …
    """


class InstrumentInUseError(StoreError):
    """Session logs, or a facility's own rows, refer to the instrument: it cannot be removed.

    Examples
    --------
    >>> with make_store() as store:
    ...     session = add_session(store)
    ...     store.instruments.remove(session.instrument.instrument_pid)
    Traceback (most recent call last):
    InstrumentInUseError: 2 session logs refer to the instrument …
    """


class InvalidRowError(StoreError):
    """A stored row that no model can hold.

    Attributes
    ----------
    table, row_id, column
        Where it is stored. `row_id` is the value of the table's primary key.

    Examples
    --------
    >>> with make_store(make_instrument("Titan")) as store:
    ...     _ = store.connection.execute("UPDATE instruments SET timezone = 'Mars/Olympus'")
    ...     store.instruments.list()
    Traceback (most recent call last):
    InvalidRowError: instruments, row 'Titan': timezone is 'Mars/Olympus' …
    """

    def __init__(
        self,
        message: str,
        *,
        table: str,
        row_id: object,
        column: str,
        call: str = "",
        command: str = "",
    ) -> None:
        super().__init__(message, call=call, command=command)
        self.table = table
        self.row_id = row_id
        self.column = column


class InvalidValueError(StoreError, ValueError):
    """An argument that is none of the values it may have: a status, a system, a strategy.

    Examples
    --------
    >>> with make_store() as store:
    ...     store.sessions.set_status("1", "DONE")
    Traceback (most recent call last):
    InvalidValueError: status is 'DONE', which is no RecordStatus …
    """


class ClaimLostError(StoreError):
    """The claim of the session is not the newest any more, or the session is finished.

    Examples
    --------
    >>> with make_store() as store:
    ...     session = add_session(store)
    ...     store.sessions.release(session)
    Traceback (most recent call last):
    ClaimLostError: the session … was not claimed …
    """


class ClaimedError(StoreError):
    """A builder works on the session, and its claim has not run out.

    Examples
    --------
    >>> with make_store() as store:
    ...     session = add_session(store)
    ...     claimed = store.sessions.claim()
    ...     store.sessions.reset(session.session_identifier)
    Traceback (most recent call last):
    ClaimedError: the session … is being built now …
    """


class ConsentError(StoreError):
    """A row of the session is in NO_CONSENT or NO_RESERVATION, which the call did not name.

    Examples
    --------
    >>> with make_store() as store:
    ...     session = add_session(store, status=RecordStatus.NO_CONSENT)
    ...     store.sessions.reset(session.session_identifier)
    Traceback (most recent call last):
    ConsentError: the session … has a row in NO_CONSENT …
    """


class MigrationError(StoreError):
    """An upgrade or downgrade failed and was rolled back.

    Examples
    --------
    >>> with make_store(path="blocked.db") as store:
    ...     _ = store.connection.execute("ALTER TABLE instruments ADD COLUMN room TEXT")
    >>> migrations.downgrade("blocked.db", "v2_5_0a")
    Traceback (most recent call last):
    MigrationError: …
    """


class BackupError(StoreError):
    """A backup or a restore was not made.

    Examples
    --------
    >>> with make_store() as store, store.transaction():
    ...     store.backup("backup.db")
    Traceback (most recent call last):
    BackupError: a backup of :memory: cannot be made inside a transaction …
    """
