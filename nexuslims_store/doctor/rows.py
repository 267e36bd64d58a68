"""The rows of every table, one by one against the fields of its model.

They are read some at a time, each lot in a read of its own, so that programs which want to write
never wait for the whole of a large table.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from nexuslims_store import queries
from nexuslims_store.connection import SQLiteDatabase, leniently
from nexuslims_store.database import Database
from nexuslims_store.display import quoted
from nexuslims_store.doctor.finding import Finding, in_command, in_shell
from nexuslims_store.enums import EventType, ExternalSystem, RecordStatus
from nexuslims_store.models import (
    ExternalUserIdentifier,
    Instrument,
    SessionLog,
    UploadLog,
    column_of,
)
from nexuslims_store.refusals import why_refused
from nexuslims_store.repository.rows import column_types, row_adapter
from nexuslims_store.revisions import head, tables_at
from nexuslims_store.translation import is_undecodable

Row = tuple[Any, ...]

MODELS: dict[str, type[BaseModel]] = {
    "instruments": Instrument,
    "upload_log": UploadLog,
    "session_log": SessionLog,
    "external_user_identifiers": ExternalUserIdentifier,
}
"""The model of each table, in the order in which they are read: what refers to an event before the
events, so that what is recorded meanwhile is no finding."""

# What is wrong with a row, by the column it is in, and what would be right there.
_KINDS = {
    "timestamp": ("unreadable-time", "<time, ISO 8601>"),
    "created_at": ("unreadable-time", "<time, ISO 8601>"),
    "last_verified_at": ("unreadable-time", "<time, ISO 8601>"),
    "event_type": ("unknown-value", f"<{'|'.join(EventType)}>"),
    "record_status": ("unknown-value", f"<{'|'.join(RecordStatus)}>"),
    "external_system": ("unknown-value", f"<{'|'.join(ExternalSystem)}>"),
    "metadata_json": ("bad-metadata", "<JSON>"),
    "api_url": ("bad-url", "<https://…>"),
    "timezone": ("bad-time-zone", "<IANA time zone>"),
    "success": ("unreadable-value", "<1 or 0>"),
}
_OTHER = ("unreadable-value", "<value>")

_SQL = queries.load("doctor.sql")

_LONGEST_REASON = 300  # it may quote the value
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
# A lot ends after so many rows or seconds, whichever comes first: rows can hold megabytes, and
# disks be slow. Time is looked at once for a few rows.
_ROWS_AT_A_TIME, _SECONDS_AT_A_TIME, _FEW = 2000, 0.02, 8


@cache
def _adapter(table: str) -> TypeAdapter[list[Row]]:
    """Return what validates the rows of a table, each with its rowid first."""
    return row_adapter([int, *column_types(MODELS[table]).values()])


class Rows:
    """The rows of one table.

    Parameters
    ----------
    columns
        Those that the table has.
    at_head
        Whether the commands that change rows work on the file.
    keyless
        Whether the table has lost its key, so that its rows are named by their rowid.
    """

    def __init__(
        self,
        database: Database,
        table: str,
        columns: frozenset[str],
        *,
        at_head: bool,
        keyless: bool,
    ) -> None:
        self._database = database
        self._place = database.path if isinstance(database, SQLiteDatabase) else database.name
        self._table = table
        self._at_head, self._keyless = at_head and not keyless, keyless
        self._rowid = "_rowid_" if "rowid" in columns else "rowid"
        self._older = older = table == "instruments" and "display_name" not in columns
        self._statement = _SQL.list_older_instruments_rows if older else _SQL[f"list_{table}_rows"]
        self._stored = [column_of(field) for field in MODELS[table].model_fields]
        if older:
            self._stored = [
                "schema_name" if name == "display_name" else name for name in self._stored
            ]
        self._adapter = _adapter(table)
        self._key_column = tables_at(head())[table].key[0]
        self._key = self._stored.index(self._key_column)
        self.readable = columns.issuperset(self._stored)
        """Whether the table has all columns of the model. Else nothing can be said of its rows."""

    def lots(self) -> Iterator[list[Row]]:
        """Yield all rows: the rowid, then the columns in the order of the model's fields."""
        first: int = _LOWEST
        while rows := self._lot(first):
            yield rows
            if rows[-1][0] == _HIGHEST:
                return
            first = rows[-1][0] + 1

    def examine(self, rows: list[Row]) -> Iterator[Finding]:
        """Find the values in a lot that the model refuses."""
        try:
            self._adapter.validate_python(rows)
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_context=False):
                place, field = int(problem["loc"][0]), int(problem["loc"][1])
                yield self._finding(
                    rows[place], field, why_refused(problem, self._stored[field - 1])
                )

    def _lot(self, first: int) -> list[Row]:
        if not isinstance(self._database, SQLiteDatabase):  # where readers are in nobody's way
            parameters = {"first_rowid": first, "number": _ROWS_AT_A_TIME}
            return self._database.rows(self._statement, parameters)
        connection = self._database.connection
        with self._database.translated():
            try:
                return self._read(first)
            except sqlite3.OperationalError as error:
                if not is_undecodable(error):
                    raise
            with leniently(connection):
                return self._read(first)

    def _read(self, first: int) -> list[Row]:
        cursor = self._database.connection.execute(
            self._statement, {"first_rowid": first, "number": _ROWS_AT_A_TIME}
        )
        try:
            rows: list[Row] = cursor.fetchmany(_FEW)
            until = time.monotonic() + _SECONDS_AT_A_TIME
            while time.monotonic() < until and (more := cursor.fetchmany(_FEW)):
                rows += more
        finally:
            cursor.close()  # and the read lock with it
        return rows

    def _finding(self, row: Row, field: int, why: str) -> Finding:
        table, column, value = self._table, self._stored[field - 1], row[field]
        key = row[self._key + 1]
        row_id = key if isinstance(key, int | str) and not self._keyless else row[0]
        code, right = _KINDS.get(column, _OTHER)
        if table == "instruments" and column == "harvester" and self._older and value is None:
            return Finding(
                "no-harvester",
                "note",
                f"instruments, row {quoted(row_id)}: harvester is NULL, as NexusLIMS from before "
                "2.2 left it; the upgrade to v2_5_0b makes it 'nemo'",
                "nexuslims-store migrate",
                table=table,
                row_id=row_id,
                column=column,
            )
        return Finding(
            code,
            "error",
            f"{table}, row {quoted(row_id)}: {column} is {quoted(value)}: {why[:_LONGEST_REASON]}",
            self._remedy(column, value, right, row[0], key),
            table=table,
            row_id=row_id,
            column=column,
        )

    def _remedy(self, column: str, value: object, right: str, rowid: int, key: object) -> str:
        where = f"{self._rowid} = {rowid}"
        if not isinstance(self._database, SQLiteDatabase):
            where = f"{self._key_column} = {rowid}"
        update = f"UPDATE {self._table} SET {column} = "  # noqa: S608 -- to show, not to run
        if isinstance(value, bytes) and _is_text(value) and column not in _KINDS:
            # Nothing is lost: it is the text that it should be, stored as a BLOB.
            return in_shell(self._place, f"{update}CAST({column} AS TEXT) WHERE {where}")
        pid = in_command(key, "") if self._table == "instruments" and self._at_head else ""
        if pid and column != self._key_column:
            option = column.replace("_", "-")
            return f"nexuslims-store instruments update {pid} --{option} '{right}'"
        return in_shell(self._place, f"{update}'{right}' WHERE {where}")


def last_rowid(database: Database, table: str) -> int:
    """Return the highest rowid of a table, 0 where there is none."""
    return int(database.rows(_SQL[f"get_last_rowid_of_{table}"])[0][0] or 0)


def _is_text(value: bytes) -> bool:
    try:
        return "\0" not in value.decode()
    except UnicodeDecodeError:
        return False
