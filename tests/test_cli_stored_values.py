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
from helpers.support import PID, instrument, log, upload
from pydantic import ValidationError

from nexuslims_store import InvalidRowError, Store, UploadLog

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
ROWS = max(map(len, (VALUES, *COLUMNS.values())))
OF_A_SESSION: Commands = [("sessions", "show", "s-{}"), ("sessions", "reset", "s-{}", "--dry-run")]
OF_A_ROW: dict[str, Commands] = {
    "instruments": [("instruments", "show", "I-{}"), *OF_A_SESSION],
    "session_log": OF_A_SESSION,
    "upload_log": OF_A_SESSION[:1],
    "external_user_identifiers": [("users", "show", "u-{}")],
}
FORMS: dict[str, tuple[str, ...]] = {
    "status": ("", "--json", "--prometheus"),
    "show": ("", "--json"),
}


# Those of Python, its codecs and readers, and Pydantic.
WORDS_OF_OTHERS = re.compile(
    r"Traceback|codec|surrogate|isoformat|raw data|Expecting|char \d+\)"
    r"|(Input|String) should|Field required|Extra inputs|Value error"
)

# All kinds in one file, each in a row of its own; the soak run has a file for each.
KINDS = [
    pytest.param([*VALUES], id="all"),
    *(pytest.param([kind], id=kind, marks=pytest.mark.soak) for kind in VALUES),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with rows for each kind, and for each column, at the end of each table."""
    path = filled(tmp_path_factory.mktemp("stored"))
    with Store(path) as store, store.transaction():
        for number in range(ROWS):
            store.instruments.add(instrument(f"I-{number}"))
            store.session_logs.insert(
                log(
                    session_identifier=f"s-{number}",
                    instrument=f"I-{number}",
                    timestamp="2025-06-02T09:00:00",  # its meaning is that of the zone
                )
            )
            store.upload_logs.insert(upload(session_identifier=f"s-{number}", success=False))
            store.external_ids.store(f"u-{number}", "nemo", f"n-{number}")
    return path


def spoilt(database: Path, path: Path, table: str, cells: list[tuple[str, str]]) -> Path:
    """A copy of the database in which each of a table's last rows holds one of these values.

    Parameters
    ----------
    cells
        The column and the kind, for the last row first.
    """
    shutil.copy(database, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for number, (column, kind) in enumerate(cells):
            connection.execute(
                f'UPDATE {table} SET "{column}" = {VALUES[kind][0]} '
                f"WHERE rowid = (SELECT max(rowid) FROM {table}) - {number}"
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


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, names in COLUMNS.items() for column in names]
)
def test_every_command_shows_what_is_stored_as_what_it_is(
    database: Path, tmp_path: Path, table: str, column: str, kinds: list[str]
) -> None:
    path = spoilt(database, tmp_path / "spoilt.db", table, [(column, kind) for kind in kinds])
    csv.field_size_limit(2**30)
    for command in COMMANDS[table]:
        for form in FORMS.get(command[min(1, len(command) - 1)], ("", "--json", "--csv")):
            shown = call("--db", path, *command, *([form] if form else []))
            assert shown.status == 0, (command, form, shown.err)
            assert not WORDS_OF_OTHERS.search(shown.err)
            text = read_back(shown, form)
            assert not re.search(r"\bb'", text)
            text.encode()
            if form == "--csv" and command == COMMANDS[table][0] and column != "event_type":
                for kind in kinds:
                    expected = VALUES[kind][1]
                    assert expected in text.lower() or expected in text, kind
            if form in ("", "--prometheus"):
                assert "\x1b" not in text
                assert "\r" not in text
                assert len(text) < 100_000 or command[1] == "export"


@pytest.mark.parametrize("table", COLUMNS)
def test_no_value_is_shown_to_people_without_end(
    database: Path, tmp_path: Path, table: str
) -> None:
    cells = [(column, "a long text") for column in COLUMNS[table]]
    path = spoilt(database, tmp_path / "spoilt.db", table, cells)
    commands: Commands = [
        *(("status",), ("status", "--quiet"), ("status", "--prometheus"), ("doctor",)),
        *(("report", "--text"), ("uploads", "list", "--destination", "nowhere")),
        *(("uploads", "failed", "--by-cause"), ("sessions", "list")),
        ("sessions", "list", "--instrument", "nobody's"),
    ]
    for number in range(ROWS - len(cells), ROWS):
        commands += [tuple(word.format(number) for word in words) for words in OF_A_ROW[table]]
    for command in commands:
        shown = call("--db", path, *command)
        longest = max((shown.out + shown.err).splitlines(), key=len, default="")
        assert len(shown.out) + len(shown.err) < 100_000, (command, longest[:200])


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, names in COLUMNS.items() for column in names]
)
def test_the_doctor_says_what_is_wrong_in_words_of_its_own(
    database: Path, tmp_path: Path, table: str, column: str
) -> None:
    path = spoilt(database, tmp_path / "spoilt.db", table, [(column, kind) for kind in VALUES])
    found = call("--db", path, "doctor")
    assert found.status == 1
    assert not WORDS_OF_OTHERS.search(found.out + found.err)
    assert f"{column} is 'M\\xfcl': it is not UTF-8" in found.out


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("metadata_json", '{"a":', "it breaks the rules of JSON at line 1, column 6"),
        ("metadata_json", "", "it breaks the rules of JSON at line 1, column 1"),
        ("timestamp", "yesterday", "a time in ISO 8601 is needed"),
        ("timestamp", "2025-13-01", "a time in ISO 8601 is needed"),
    ],
)
def test_so_does_whoever_reads_the_row(
    database: Path, tmp_path: Path, column: str, value: str, words: str
) -> None:
    path = tmp_path / "spoilt.db"
    shutil.copy(database, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE upload_log SET {column} = ? WHERE id = 1", (value,))
        connection.commit()
        session = connection.execute("SELECT session_identifier FROM upload_log WHERE id = 1")
        ((identifier,),) = session.fetchall()
    assert f"{column} is '{value}': {words}" in call("--db", path, "doctor").out
    with Store(path) as store, pytest.raises(InvalidRowError, match=words) as caught:
        store.upload_logs.list_for_session(identifier)
    assert not WORDS_OF_OTHERS.search(str(caught.value))
    with pytest.raises(ValidationError, match=words):
        UploadLog.model_validate({**upload().model_dump(), column: value})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("instruments", "update", PID, "--location", "a\udcff"), "location: it is not UTF-8"),
        (("instruments", "update", PID, "--api-url", "http://[::1"), "URL is needed"),
        (("sessions", "show", "a\udcff"), "text that is not UTF-8"),
    ],
)
def test_so_does_what_is_passed(database: Path, arguments: tuple[str, ...], words: str) -> None:
    refused = call("--db", database, *arguments)
    assert refused.status == 2
    assert words in refused.err
    assert not WORDS_OF_OTHERS.search(refused.err.replace("a lone surrogate", ""))


def test_so_does_a_file_that_is_no_json(database: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('[{"a": ')
    refused = call("--db", database, "instruments", "import", broken)
    assert refused.status == 2
    assert "is not JSON: it breaks the rules of JSON at line 1, column 8" in refused.err


@pytest.mark.parametrize("group", ["instruments", "users"])
@pytest.mark.parametrize("value", [None, 7, 2**70, 1.5, "", "x", [], "a\0", "a\udcff"])
def test_so_does_a_file_of_wrong_values(
    database: Path, tmp_path: Path, group: str, value: object
) -> None:
    wrong = tmp_path / "wrong.json"
    table = {"instruments": "instruments", "users": "external_user_identifiers"}[group]
    entries = [{column: value} for column in (*COLUMNS[table], "colour")]
    wrong.write_text(json.dumps(entries), encoding="utf-8")
    refused = call("--db", database, group, "import", wrong)
    assert refused.status == 2
    assert "colour: there is no such field" in refused.err
    assert "it is needed, and not given" in refused.err
    assert not WORDS_OF_OTHERS.search(refused.err)
