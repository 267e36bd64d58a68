"""What the errors of a PostgreSQL server mean for the user, as this package's own errors."""

from __future__ import annotations

import psycopg
from psycopg import errors

from nexuslims_store.database import was_rolled_back
from nexuslims_store.errors import (
    CorruptDatabaseError,
    ReadOnlyError,
    SchemaMismatchError,
    StorageFullError,
    StoreError,
)
from nexuslims_store.translation import ConstraintError, beyond_64_bits, still_locked


def translate(  # noqa: PLR0911, PLR0912 -- one line for each kind of error
    error: psycopg.Error, name: str, *, timeout: float, read_only: bool
) -> StoreError:
    """Return the error of this package that says what one of the server means for the user.

    Decides by the SQLSTATE, never by the message, which is in the server's language.
    """
    said = error.diag.message_primary or str(error)
    match error:
        case errors.LockNotAvailable() | errors.DeadlockDetected() | errors.SerializationFailure():
            return still_locked(name, timeout)
        case errors.QueryCanceled():
            return StoreError(
                f"{name}: the server broke the statement off ({said}); have its administrator "
                "raise statement_timeout, if that is it, or try again"
            )
        case errors.ReadOnlySqlTransaction():
            return ReadOnlyError(
                f"{name} was opened read-only; open it without read_only=True to write"
                if read_only
                else f"{name} only reads ({said}): it is a replica, or "
                "default_transaction_read_only is set; give the URL of the server that writes"
            )
        case errors.InsufficientPrivilege():
            return ReadOnlyError(
                f"{name}: this user lacks a right ({said}); have the owner of the database "
                "GRANT SELECT, INSERT, UPDATE and DELETE on its tables; to make them, as migrate "
                "and move do, be the owner yourself (ALTER DATABASE … OWNER TO …)"
            )
        case errors.DiskFull() | errors.ConfigurationLimitExceeded() | errors.OutOfMemory():
            return StorageFullError(
                f"no room to write {name} ({said}): have some space freed on the server and try "
                "again; the database is as it was before"
            )
        case errors.IntegrityError():
            return ConstraintError(
                f"{name}: the tables refuse the row ({said})",
                foreign_key=isinstance(error, errors.ForeignKeyViolation),
            )
        case errors.InFailedSqlTransaction():
            return StoreError(was_rolled_back(name))
        case errors.InvalidCursorName():
            return StoreError(
                f"{name}: a transaction of this store was rolled back while these rows were read; "
                "read them again"
            )
        case errors.DataCorrupted() | errors.IndexCorrupted():
            return CorruptDatabaseError(
                f"{name} is damaged ({said}); tell the server's administrator"
            )
        case errors.UndefinedTable() | errors.UndefinedColumn() | errors.UndefinedFunction():
            return SchemaMismatchError(
                f"{name}: its tables are not those this package works with ({said}); see "
                "`nexuslims-store doctor`"
            )
        case errors.NumericValueOutOfRange():
            return beyond_64_bits(said)
        case psycopg.DataError() if error.sqlstate is None:  # psycopg's own, before it sends
            return StoreError(f"text with a NUL cannot be looked up on a server ({said})")
        case _:
            return StoreError(f"{name}: PostgreSQL reports: {said}")
