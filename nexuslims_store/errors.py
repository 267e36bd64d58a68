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
    """

    def __init__(self, message: str = "", *, call: str = "", command: str = "") -> None:
        super().__init__(f"{message}; {call}" if call else message)
        self.for_command = f"{message}; {command}" if command else str(self)

    def __reduce__(self) -> tuple[object, ...]:
        # Exception's own __reduce__ calls __init__ again, and has no keyword arguments for it.
        return _restored, (type(self), self.args), vars(self)


def _restored(error: type[StoreError], arguments: tuple[object, ...]) -> StoreError:
    return error.__new__(error, *arguments)


class DatabaseNotFoundError(StoreError):
    """There is no database file at the path."""


class NotANexusLIMSDatabaseError(StoreError):
    """The file is not SQLite, or belongs to another program. Nothing was written to it."""


class CorruptDatabaseError(StoreError):
    """SQLite reports that the file is damaged."""


class PendingMigrationsError(StoreError):
    """The database is at an older revision than this package works with."""


class UnknownRevisionError(StoreError):
    """The version row names a revision this package does not know, or there are several."""


class SchemaMismatchError(StoreError):
    """The tables contradict the version row, or an interrupted upgrade left parts behind."""


class DatabaseLockedError(StoreError):
    """Another program held the lock for longer than `timeout` seconds."""


class ReadOnlyError(StoreError):
    """A write was asked for, but the store, the file or its folder is read-only."""


class StorageFullError(StoreError):
    """The disk has no room. The database is as it was before the call."""


class UnknownInstrumentError(StoreError):
    """No instrument has the given PID."""


class DuplicateError(StoreError):
    """A value that must be unique is taken already."""


class InstrumentInUseError(StoreError):
    """Session logs refer to the instrument, so it cannot be removed."""


class InvalidRowError(StoreError):
    """A stored row that no model can hold.

    Attributes
    ----------
    table, row_id, column
        Where it is stored. `row_id` is the value of the table's primary key.
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
    """An argument that is none of the values it may have: a status, a system, a strategy."""


class ClaimLostError(StoreError):
    """The claim of the session is not the newest any more, or the session is finished."""


class ClaimedError(StoreError):
    """A builder works on the session, and its claim has not run out."""


class ConsentError(StoreError):
    """A row of the session is in NO_CONSENT or NO_RESERVATION, which the call did not name."""


class MigrationError(StoreError):
    """An upgrade or downgrade failed and was rolled back."""


class BackupError(StoreError):
    """A backup or a restore was not made."""
