"""The doctor: rows that are not what they should be, each with what mends it."""

from __future__ import annotations

import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from helpers import migration_files
from helpers.command_line import call
from helpers.findings import EVENT, codes, examine, good, spoil, the
from helpers.migration_checks import at, make_file
from helpers.migration_files import HEAD

from nexuslims_store.doctor import Finding


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return good(tmp_path)


BAD_ROWS = [
    # what NexusLIMS did, code, table, row, column, part of the message
    (
        EVENT + "(9, 's', 'gone', '2025-01-01T00:00:00', 'START', 'ERROR')",
        ("unknown-instrument", "session_log", 9, "instrument", "'gone'"),
    ),
    (
        EVENT + "(9, 's', 'Zürich', '2025-01-01T00:00:00', 'START', 'ERROR')",
        ("unknown-instrument", "session_log", 9, "instrument", "'Zürich'"),
    ),
    (
        "UPDATE session_log SET timestamp = 'yesterday' WHERE id_session_log = 1",
        ("unreadable-time", "session_log", 1, "timestamp", "'yesterday'"),
    ),
    (
        "UPDATE session_log SET timestamp = 17 WHERE id_session_log = 1",
        ("unreadable-time", "session_log", 1, "timestamp", "'17'"),
    ),
    (
        "UPDATE session_log SET record_status = 'DONE' WHERE id_session_log = 2",
        ("unknown-value", "session_log", 2, "record_status", "'DONE'"),
    ),
    (
        "UPDATE session_log SET event_type = 'PAUSE' WHERE id_session_log = 2",
        ("unknown-value", "session_log", 2, "event_type", "'PAUSE'"),
    ),
    (
        "UPDATE session_log SET user = x'00ff' WHERE id_session_log = 2",
        ("unreadable-value", "session_log", 2, "user", "x'00ff'"),
    ),
    (
        "UPDATE session_log SET user = CAST(x'41ff42' AS TEXT) WHERE id_session_log = 2",
        ("unreadable-value", "session_log", 2, "user", r"'A\xffB'"),
    ),
    (
        "UPDATE session_log SET user = 'a' || char(0) || 'b' WHERE id_session_log = 2",
        ("unreadable-value", "session_log", 2, "user", r"'a\x00b'"),
    ),
    (
        "UPDATE session_log SET session_identifier = '' WHERE id_session_log = 2",
        ("unreadable-value", "session_log", 2, "session_identifier", "''"),
    ),
    (
        "UPDATE upload_log SET metadata_json = '{''a'': 1}'",
        ("bad-metadata", "upload_log", 1, "metadata_json", "{'a': 1}"),
    ),
    (
        "UPDATE upload_log SET metadata_json = x'7b7d'",
        ("bad-metadata", "upload_log", 1, "metadata_json", "x'7b7d'"),
    ),
    (
        "UPDATE upload_log SET success = 'yes'",
        ("unreadable-value", "upload_log", 1, "success", "'yes'"),
    ),
    (
        "UPDATE upload_log SET timestamp = ''",
        ("unreadable-time", "upload_log", 1, "timestamp", "''"),
    ),
    (
        "UPDATE external_user_identifiers SET external_system = 'orcid'",
        ("unknown-value", "external_user_identifiers", 1, "external_system", "'orcid'"),
    ),
    (
        "UPDATE external_user_identifiers SET created_at = 'long ago'",
        ("unreadable-time", "external_user_identifiers", 1, "created_at", "'long ago'"),
    ),
    (
        "UPDATE instruments SET api_url = 'nemo/tools/1'",
        ("bad-url", "instruments", "Titan", "api_url", "'nemo/tools/1'"),
    ),
    (
        "UPDATE instruments SET timezone = 'EST5PM'",
        ("bad-time-zone", "instruments", "Titan", "timezone", "'EST5PM'"),
    ),
    (
        "UPDATE instruments SET location = x'ff' WHERE rowid = 1",
        ("unreadable-value", "instruments", "Titan", "location", "x'ff'"),
    ),
    (
        EVENT + "(9, 'built', 'Titan', '2025-06-01T09:00:00-04:00', 'START', 'COMPLETED')",
        ("repeated-event", "session_log", 9, None, "rows 1, 9"),
    ),
    (
        EVENT + "(9, 'built', 'Titan', '2025-06-01T11:00:00-04:00', 'END', 'COMPLETED')",
        ("repeated-event", "session_log", 9, None, "rows 2, 9"),
    ),
    (
        "DELETE FROM session_log WHERE id_session_log = 4",
        ("unpaired", "session_log", 3, None, "a START without an END"),
    ),
    (
        "UPDATE session_log SET timestamp = '2020-01-01T00:00:00Z' WHERE id_session_log = 4",
        ("unpaired", "session_log", 3, None, "an END before its START"),
    ),
    (
        "DELETE FROM session_log WHERE session_identifier = 'built'",
        (
            *("orphaned-upload", "upload_log", 1, "session_identifier"),
            "session 'built', whose record went to 'cdcs', has no events",
        ),
    ),
]


@pytest.mark.parametrize(("script", "expected"), BAD_ROWS, ids=[bad[0] for bad in BAD_ROWS])
def test_a_bad_row_is_found(
    path: Path, script: str, expected: tuple[str, str, object, str | None, str]
) -> None:
    code, table, row_id, column, part = expected
    spoil(path, script)
    found = examine(path)
    assert "damaged" not in codes(found)
    finding = the(code, found)
    assert (finding.table, finding.row_id, finding.column) == (table, row_id, column)
    assert part in finding.message
    assert table in finding.message
    assert str(row_id) in finding.message
    assert finding.severity == ("warning" if code in WARNINGS else "error")


WARNINGS = {"repeated-event", "unpaired", "orphaned-upload"}


@pytest.mark.parametrize(
    ("script", "column"),
    [
        *(
            (
                f"DELETE FROM session_log WHERE id_session_log > 2; UPDATE instruments SET {value}",
                value.partition(" ")[0],
            )
            for value in ("harvester = x'6e'", "filestore_path = x'2e2e'")
        ),
        ("UPDATE upload_log SET session_identifier = x'00'", "session_identifier"),
        (
            "UPDATE upload_log SET session_identifier = 'gone', destination_name = x'00'",
            "destination_name",
        ),
        (EVENT + "(9, 'built', x'00', '2025-06-01T09:00:00Z', 'START', 'ERROR')", "instrument"),
        (
            EVENT + "(9, x'00', 'Titan', '2025-06-01T09:00:00Z', 'START', 'ERROR'),"
            "(10, x'00', 'Titan', '2025-06-01T09:00:00Z', 'START', 'ERROR')",
            "session_identifier",
        ),
    ],
)
def test_of_what_is_no_text_nothing_else_is_told(path: Path, script: str, column: str) -> None:
    spoil(path, script)
    assert {(one.code, one.column) for one in examine(path)} == {("unreadable-value", column)}


def test_an_end_without_a_start_is_named_by_itself(path: Path) -> None:
    spoil(path, "DELETE FROM session_log WHERE id_session_log = 3")
    (finding,) = examine(path)
    assert (finding.code, finding.row_id) == ("unpaired", 4)
    assert finding.message.startswith("session_log, row 4: session 'waiting' on 'Titan' cannot be")
    assert finding.remedy.startswith("correct it in the scheduler if it is wrong there, and run")


def test_both_events_of_what_makes_no_session_are_named(path: Path) -> None:
    spoil(
        path, "UPDATE session_log SET timestamp = '2020-01-01T00:00:00Z' WHERE id_session_log = 4"
    )
    assert the("unpaired", examine(path)).message.startswith("session_log, row 3 and 4: session ")


@pytest.mark.parametrize(("pid", "row_id"), [("7", "7"), ("'x'", "x"), ("x'58'", None)])
def test_an_instrument_is_named_by_what_is_stored(path: Path, pid: str, row_id: str | None) -> None:
    spoil(
        path,
        f"DELETE FROM session_log; UPDATE instruments SET instrument_pid = {pid}, harvester = 'h',"
        "filestore_path = '..'; DELETE FROM upload_log",
    )
    found = [(one.code, one.row_id) for one in examine(path) if one.severity == "warning"]
    assert found == [("unknown-harvester", row_id), ("path-outside", row_id)]


def test_all_bad_rows_at_once_are_each_found(path: Path) -> None:
    spoil(
        path,
        EVENT
        + "(11, 'a', 'gone', 'x', 'START', 'NOT_A_STATUS'), "
        + "(12, 'a', 'Titan', NULL || 'y', 'END', 'ERROR'), " * 0
        + "(12, 'a', 'Titan', 'y', 'END', 'ERROR'), (13, x'00', 'Titan', 'z', 'PAUSE', 'ERROR');"
        "UPDATE upload_log SET metadata_json = '{', timestamp = '?';"
        "UPDATE instruments SET timezone = 'nowhere'",
    )
    found = {(f.code, f.row_id, f.column) for f in examine(path)}
    assert {
        ("unreadable-time", 11, "timestamp"),
        ("unknown-value", 11, "record_status"),
        ("unknown-instrument", 11, "instrument"),
        ("unreadable-time", 12, "timestamp"),
        ("unreadable-value", 13, "session_identifier"),
        ("unknown-value", 13, "event_type"),
        ("unreadable-time", 13, "timestamp"),
        ("bad-metadata", 1, "metadata_json"),
        ("unreadable-time", 1, "timestamp"),
        ("bad-time-zone", "Titan", "timezone"),
    } <= found


def test_garbage_status_in_an_unchecked_older_table(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    make_file(path, "v2_4_0a")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            EVENT + "(-5, 's', 'x', '2025-01-01', 'start', ?)", ("<script>" + "x" * 10**6,)
        )
    found = [finding for finding in examine(path) if finding.code == "unknown-value"]
    assert [(finding.row_id, finding.column) for finding in found] == [
        (-5, "event_type"),
        (-5, "record_status"),
    ]
    assert "1,000,008 characters" in found[1].message
    assert len(found[1].message) < 1000


def test_the_remedy_for_a_row_is_a_command_that_mends_it(path: Path) -> None:
    spoil(path, "UPDATE session_log SET timestamp = 'x' WHERE id_session_log = 1")
    finding = the("unreadable-time", examine(path))
    program, file, statement = shlex.split(finding.remedy)
    assert (program, file) == ("sqlite3", str(path))
    spoil(path, statement.replace("<time, ISO 8601>", "2025-06-01T09:00:00-04:00"))
    assert examine(path) == []


def test_text_that_is_stored_as_a_blob_is_not_lost(path: Path) -> None:
    spoil(path, "UPDATE session_log SET user = x'616c696365' WHERE id_session_log = 1")
    spoil(path, shlex.split(the("unreadable-value", examine(path)).remedy)[2])
    assert examine(path) == []
    assert migration_files.query(path, "SELECT user FROM session_log LIMIT 1") == [("alice",)]


@pytest.mark.parametrize(
    ("column", "code", "right"),
    [
        ("timezone", "bad-time-zone", "Europe/Berlin"),
        ("api_url", "bad-url", "https://nemo.example.com/"),
        ("location", "unreadable-value", "Room 1"),
        ("filestore_path", "path-outside", "./Titan"),
    ],
)
def test_the_remedy_for_an_instrument_is_a_command_of_ours(
    path: Path, column: str, code: str, right: str
) -> None:
    bad = "../../x" if column == "filestore_path" else "\tx"
    spoil(
        path,
        "UPDATE instruments SET instrument_pid = 'Ti tan'; UPDATE session_log SET "
        "instrument = 'Ti tan'",
    )
    if column == "location":
        spoil(path, "UPDATE instruments SET location = x'ff'")
    else:
        spoil(path, f"UPDATE instruments SET {column} = '{bad}'")
    finding = the(code, examine(path))
    program, *words = shlex.split(finding.remedy)
    assert program == "nexuslims-store"
    done = call("--db", path, *words[:-1], right)
    assert done.status == 0, done.err
    assert examine(path) == []


KEYLESS = (
    "CREATE TABLE made AS SELECT * FROM instruments; DROP TABLE instruments; ALTER TABLE made "
    "RENAME TO instruments;"
)


@pytest.mark.parametrize(
    ("revision", "script", "column", "command"),
    [
        (HEAD, "", "timezone", "nexuslims-store instruments update sem --timezone "),
        (HEAD, KEYLESS, "timezone", "sqlite3 "),
        ("v2_5_0a", "", "timezone", "sqlite3 "),
        ("v2_5_0a", "", "schema_name", "sqlite3 "),
        (HEAD, "", "display_name", "nexuslims-store instruments update sem --display-name "),
    ],
)
def test_an_instrument_is_mended_by_what_works_on_the_file(
    tmp_path: Path, revision: str, script: str, column: str, command: str
) -> None:
    path = at(revision, tmp_path / "a.db", f"{script} UPDATE instruments SET {column} = x'ff'")
    (finding,) = (one for one in examine(path) if one.table == "instruments" and one.column)
    assert finding.column == column
    assert finding.remedy.startswith(command)


@pytest.mark.parametrize(("own", "name"), [("mine", "rowid"), ("rowid", "_rowid_")])
def test_a_row_is_named_by_what_no_column_of_ones_own_is_called(
    path: Path, own: str, name: str
) -> None:
    spoil(
        path,
        f"ALTER TABLE session_log ADD COLUMN {own}; UPDATE session_log SET timestamp = 'x' "
        "WHERE id_session_log = 1",
    )
    remedy = the("unreadable-time", examine(path)).remedy
    assert shlex.split(remedy)[2].endswith(f" WHERE {name} = 1")


def test_a_harvester_that_may_be_the_facilitys_own_is_not_changed(path: Path) -> None:
    spoil(path, "UPDATE instruments SET harvester = 'ours'")
    shown = the("unknown-harvester", examine(path)).remedy.partition(": nexuslims-store ")[2]
    done = call("--db", path, *shlex.split(shown))
    assert (done.status, "ours" in done.out) == (0, True)


def test_an_unknown_instrument_is_added_by_its_remedy(path: Path) -> None:
    spoil(path, "UPDATE session_log SET instrument = 'Ze d' WHERE id_session_log < 3")
    remedy = the_first("unknown-instrument", path).remedy.replace("<https://…>", "https://e.com/1")
    assert call("--db", path, *shlex.split(remedy)[1:]).status == 0
    assert codes(examine(path)) == set()


def test_an_instrument_whose_pid_is_a_blob_is_not_added_again(path: Path) -> None:
    spoil(path, "UPDATE instruments SET instrument_pid = CAST(instrument_pid AS BLOB)")
    assert "stored as a BLOB" in the_first("unknown-instrument", path).remedy
    spoil(path, shlex.split(the_first("unreadable-value", path).remedy)[2])
    assert examine(path) == []


def test_a_row_whose_key_is_a_blob_is_named_by_its_rowid(path: Path) -> None:
    spoil(path, "UPDATE instruments SET instrument_pid = CAST(instrument_pid AS BLOB)")
    (rowid,) = migration_files.query(path, "SELECT rowid FROM instruments LIMIT 1")[0]
    assert the_first("unreadable-value", path).row_id == rowid


@pytest.mark.parametrize("stored", ["x'01'", "x'31'", "'yes'", "2"])
def test_whether_an_upload_succeeded_is_for_a_person_to_say(path: Path, stored: str) -> None:
    spoil(path, f"UPDATE upload_log SET success = {stored}")
    remedy = shlex.split(the_first("unreadable-value", path).remedy)[2]
    spoil(path, remedy.replace("<1 or 0>", "1"))
    assert examine(path) == []


def the_first(code: str, path: Path) -> Finding:
    return next(finding for finding in examine(path) if finding.code == code)


@pytest.mark.slow
def test_commands_in_remedies_run(path: Path) -> None:
    """Those that show something. What a file holds cannot make other commands of them."""
    name = "a'; touch pwned; '$(touch pwned)"
    spoil(path, "DELETE FROM session_log")
    for row, instrument in ((11, "Titan"), (12, "Titan"), (13, "Other")):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(
                EVENT + "(?, ?, ?, '2025-01-01T00:00:00', 'START', 'ERROR')",
                (row, name, instrument),
            )
    spoil(path, "UPDATE upload_log SET session_identifier = 'no such'")
    found = examine(path)
    for code in ("repeated-event", "shared-identifier", "orphaned-upload"):
        shell = the(code, found).remedy.split("nexuslims-store", 1)[1].partition("  (")[0]
        done = call("--db", path, *shlex.split(shell))
        assert done.status == 0, done.err
    assert "instruments add Other" in the("unknown-instrument", found).remedy


@pytest.mark.parametrize(
    ("pid", "typed"),
    [
        ("T", "T"),
        ("T" * 80, "T" * 80),
        ("T" * 81, "PID"),
        ("", "PID"),
        ("two\nlines", "PID"),
        ("two words", "'two words'"),
    ],
)
def test_a_name_that_can_be_typed_is_in_the_command(path: Path, pid: str, typed: str) -> None:
    spoil(path, EVENT + f"(9, 's', '{pid}', '2025-06-01T09:00:00', 'START', 'ERROR')")
    remedy = the("unknown-instrument", examine(path)).remedy
    assert remedy.startswith(f"nexuslims-store instruments add {typed} --")


def test_of_a_long_reason_the_first_300_characters_are_said(path: Path) -> None:
    spoil(path, f"UPDATE instruments SET timezone = '{'x' * 1000}'")
    _, _, reason = the("bad-time-zone", examine(path)).message.partition(" (1,000 characters): ")
    assert reason.startswith("'xxx")
    assert len(reason) == 300
