"""The rows of every table, one by one through the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from nexuslims_store import queries
from nexuslims_store.connection import SQLiteDatabase
from nexuslims_store.doctor.finding import Finding, in_shell, shown
from nexuslims_store.enums import EventType, ExternalSystem, RecordStatus
from nexuslims_store.models import ExternalUserIdentifier, Instrument, SessionLog, UploadLog

__all__ = ["MODELS", "examine_rows"]

MODELS: dict[str, type[BaseModel]] = {
    "instruments": Instrument,
    "session_log": SessionLog,
    "upload_log": UploadLog,
    "external_user_identifiers": ExternalUserIdentifier,
}
"""The model of each table."""

_KEYS = {
    "instruments": "instrument_pid",
    "session_log": "id_session_log",
    "upload_log": "id",
    "external_user_identifiers": "id",
}
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
}
_OTHER = ("unreadable-value", "<value>")

_SQL = queries.load("doctor.sql")

_ROWS_AT_A_TIME = 2000
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


def examine_rows(
    database: SQLiteDatabase, table: str, columns: frozenset[str]
) -> Iterator[Finding]:
    """Find the rows of a table that its model refuses, and each column that it refuses them for.

    Parameters
    ----------
    columns
        Those that the table has. Without all that the model needs, nothing can be said of the
        rows.
    """
    model = MODELS[table]
    older = table == "instruments" and "display_name" not in columns
    stored = {field: field for field in model.model_fields}
    if table == "instruments":
        stored |= {"timezone_str": "timezone"} | ({"display_name": "schema_name"} if older else {})
    if not columns.issuperset(stored.values()):
        return
    statement = _SQL["list_older_instruments_rows"] if older else _SQL[f"list_{table}_rows"]
    adapter: TypeAdapter[list[Any]] = TypeAdapter(list[model])  # type: ignore[valid-type]
    for rows in _lots(database, statement):
        values = [dict(zip(stored, row[1:], strict=True)) for row in rows]
        try:
            adapter.validate_python(values)
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_context=False):
                place, field = int(problem["loc"][0]), str(problem["loc"][1])
                yield _finding(
                    database.path,
                    table,
                    stored[field],
                    value=values[place][field],
                    rowid=rows[place][0],
                    key=values[place][_KEYS[table]],
                    why=problem["msg"].removeprefix("Value error, "),
                )


def _lots(database: SQLiteDatabase, statement: str) -> Iterator[list[tuple[Any, ...]]]:
    """Yield all rows of a table, some thousand at a time, each lot in a read of its own."""
    first: int = _LOWEST
    while rows := database.rows(statement, {"first_rowid": first, "number": _ROWS_AT_A_TIME}):
        yield rows
        if rows[-1][0] == _HIGHEST:
            return
        first = rows[-1][0] + 1


def _finding(
    path: Path, table: str, column: str, *, value: object, rowid: int, key: object, why: str
) -> Finding:
    row_id = key if isinstance(key, int | str) else rowid
    code, right = _KINDS.get(column, _OTHER)
    if table == "instruments" and column == "harvester" and value is None:
        return Finding(
            "no-harvester",
            "note",
            f"instruments, row {row_id!r}: harvester is NULL, as NexusLIMS from before 2.2 "
            "left it; the upgrade to v2_5_0b makes it 'nemo'",
            "nexuslims-store migrate",
            table=table,
            row_id=row_id,
            column=column,
        )
    return Finding(
        code,
        "error",
        f"{table}, row {shown(row_id)}: {column} is {shown(value)}: {why}",
        in_shell(path, f"UPDATE {table} SET {column} = '{right}' WHERE rowid = {rowid}"),  # noqa: S608
        table=table,
        row_id=row_id,
        column=column,
    )
