"""The rows of every table, one by one through the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from nexuslims_store import queries
from nexuslims_store.connection import Database
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
# The columns that have, or had before v2_5_0b, another name than the model's field.
_FIELDS = {"timezone": "timezone_str", "schema_name": "display_name"}

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

_ROWS_AT_A_TIME = 2000
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


def examine_rows(database: Database, table: str, columns: frozenset[str]) -> Iterator[Finding]:
    """Find the rows of a table that its model refuses, and each column that it refuses them for.

    Parameters
    ----------
    columns
        Those that the table has. Without all that the model needs, nothing can be said of the
        rows.
    """
    model = MODELS[table]
    fields = {_FIELDS.get(column, column): column for column in sorted(columns)}
    if not model.model_fields.keys() <= fields.keys():
        return
    wanted = {field: fields[field] for field in model.model_fields}
    adapter: TypeAdapter[list[Any]] = TypeAdapter(list[model])  # type: ignore[valid-type]
    for rows in _lots(database, table):
        try:
            adapter.validate_python([{f: row[c] for f, c in wanted.items()} for row in rows])
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_context=False):
                row, field = rows[int(problem["loc"][0])], str(problem["loc"][1])
                yield _finding(
                    database.path,
                    table,
                    wanted[field],
                    row,
                    problem["msg"].removeprefix("Value error, "),
                )


def _lots(database: Database, table: str) -> Iterator[list[dict[str, Any]]]:
    """Yield all rows of a table, some thousand at a time, each lot in a read of its own."""
    statement = queries.load("doctor.sql")[f"list_{table}_rows"]
    first: int = _LOWEST
    names = _names(database, table)
    while True:
        values = {"first_rowid": first, "number": _ROWS_AT_A_TIME}
        rows = database.rows(statement, values)
        if not rows:
            return
        yield [dict(zip(names, row, strict=True)) for row in rows]
        if rows[-1][0] == _HIGHEST:
            return
        first = rows[-1][0] + 1


def _names(database: Database, table: str) -> list[str]:
    columns = database.rows("SELECT lower(name) FROM pragma_table_info(?)", (table,))  # type: ignore[arg-type]
    return ["nxs_rowid", *(name for (name,) in columns)]


def _finding(path: Path, table: str, column: str, row: dict[str, Any], why: str) -> Finding:
    value, rowid, key = row[column], row["nxs_rowid"], row[_KEYS[table]]
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
