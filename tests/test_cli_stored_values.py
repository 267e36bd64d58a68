"""Values of the wrong kind, in every column: each command shows them, in every form."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from helpers.command_line import Result, call, filled

pytestmark = pytest.mark.slow

VALUES = {
    "a BLOB": ("x'00ff'", "x'00ff'"),
    "a number": ("1234567", "1234567"),
    "a fraction": ("0.5", "0.5"),
    "infinity": ("9e999", "inf"),
    "no UTF-8": ("CAST(x'4dfc6c' AS TEXT)", "M\\xfcl"),
    "a long text": ("printf('%.*c', 500000, 'a') || 'c'", "aac"),
    "an escape": ("char(27) || '[2J'", "\x1b[2J"),
    "a carriage return": ("'bo' || char(13) || 'b'", "bo\rb"),
}
Commands = list[tuple[str, ...]]
SESSIONS: Commands = [("sessions", "list"), ("sessions", "show", "ny-3"), ("status",)]
COMMANDS: dict[str, Commands] = {
    "instruments": [("instruments", "list"), ("instruments", "export"), *SESSIONS],
    "session_log": SESSIONS,
    "upload_log": [("uploads", "list"), ("uploads", "failed"), *SESSIONS[1:]],
    "external_user_identifiers": [("users", "list"), ("users", "export")],
}
COLUMNS = {
    "instruments": (
        *("instrument_pid", "api_url", "calendar_url", "location", "display_name"),
        *("property_tag", "filestore_path", "harvester", "timezone"),
    ),
    "session_log": (
        *("session_identifier", "instrument", "timestamp", "event_type", "record_status"),
        "user",
    ),
    "upload_log": (
        *("session_identifier", "destination_name", "success", "timestamp", "record_id"),
        *("record_url", "error_message", "metadata_json"),
    ),
    "external_user_identifiers": (
        *("nexuslims_username", "external_system", "external_id", "email", "created_at"),
        *("last_verified_at", "notes"),
    ),
}
FORMS: dict[str, tuple[str, ...]] = {
    "status": ("", "--json", "--prometheus"),
    "show": ("", "--json"),
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("stored"))


def spoilt(database: Path, path: Path, table: str, column: str, value: str) -> Path:
    """A copy of the database in which one row of a table holds a value."""
    shutil.copy(database, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(
            f'UPDATE {table} SET "{column}" = {value} '
            f"WHERE rowid = (SELECT max(rowid) FROM {table})"
        )
        connection.commit()
    return path


def read_back(shown: Result, form: str) -> str:
    """What a program that reads the form finds in it; all values, one after the other."""
    if form == "--json":
        return json.dumps(json.loads(shown.out, parse_constant=pytest.fail), ensure_ascii=False)
    if form == "--csv":
        rows = list(csv.reader(io.StringIO(shown.out, newline="")))
        assert len({len(row) for row in rows}) == 1
        return "\n".join(cell for row in rows for cell in row)
    return shown.out


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, names in COLUMNS.items() for column in names]
)
def test_every_command_shows_what_is_stored_as_what_it_is(
    database: Path, tmp_path: Path, table: str, column: str, kind: str
) -> None:
    value, expected = VALUES[kind]
    path = spoilt(database, tmp_path / "spoilt.db", table, column, value)
    csv.field_size_limit(2**30)
    for command in COMMANDS[table]:
        for form in FORMS.get(command[min(1, len(command) - 1)], ("", "--json", "--csv")):
            shown = call("--db", path, *command, *([form] if form else []))
            assert shown.status == 0, (command, form, shown.err)
            assert "Traceback" not in shown.err
            text = read_back(shown, form)
            assert not re.search(r"\bb'", text)
            text.encode()
            if form == "--csv" and command == COMMANDS[table][0] and column != "event_type":
                assert expected in text.lower() or expected in text
            if not form:
                assert "\x1b" not in text
                assert "\r" not in text
                assert len(text) < 100_000 or command[1] == "export"
