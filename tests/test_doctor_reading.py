"""The doctor: what is odd rather than unreadable, and how rows are read."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tracemalloc
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from helpers.command_line import process
from helpers.findings import END, EVENT, NOW, START, TITAN, codes, examine, good, spoil, the

from nexuslims_store import Store, doctor, queries
from nexuslims_store.doctor import Finding

INSTRUMENT = (
    "instrument_pid, api_url, calendar_url, location, property_tag, filestore_path, harvester, "
    "timezone"
)
MICROSECOND = timedelta(microseconds=1)
TAKEN = (
    "session_log, row 5: a builder took session 'waiting' on 'Titan' at '2025-06-02T08:00:00-04:00'"
)
ROWS_OF = {
    "session_log": "session_identifier, instrument, timestamp, event_type, record_status, user, "
    "id_session_log",
    "upload_log": "session_identifier, destination_name, success, timestamp, record_id, "
    "record_url, error_message, metadata_json, id",
    "external_user_identifiers": "nexuslims_username, external_system, external_id, email, "
    "created_at, last_verified_at, notes, id",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return good(tmp_path)


def test_sessions_dated_far_ahead(path: Path) -> None:
    at = "2030-06-01T09:00:00"
    spoil(
        path,
        EVENT + f"(9, 's', 'Titan', '{at}', 'START', 'ERROR'), (10, 's', 'Titan', '{at}', 'END', "
        "'ERROR'), (11, 't', 'Titan', '2026-06-01T00:00:00', 'START', 'ERROR')",
    )
    found = [(f.code, f.severity, f.row_id) for f in examine(path)]
    assert found == [("far-ahead", "warning", 9), ("far-ahead", "warning", 10)]


@pytest.mark.parametrize(
    ("at", "event", "far"),
    [
        ("2026-06-02T12:00:00Z", "START", False),
        ("2026-06-02T12:00:00.000001Z", "START", True),
        ("2026-06-02T12:00:00.000001Z", "END", True),
        ("2026-06-02T12:00:00.000001Z", "RECORD_GENERATION", False),
        # In the zone of the instrument, four hours behind.
        ("2026-06-02T08:00:00", "END", False),
        ("2026-06-02T08:00:01", "END", True),
    ],
)
def test_far_ahead_is_more_than_a_year(path: Path, at: str, event: str, far: bool) -> None:
    spoil(path, EVENT + f"(9, 's', 'Titan', '{at}', '{event}', 'ERROR')")
    assert codes(examine(path)) == ({"far-ahead"} if far else set())


def test_one_identifier_on_two_instruments(path: Path) -> None:
    with Store(path) as store:
        store.instruments.add(
            TITAN.model_copy(update={"instrument_pid": "B", "api_url": "https://b.example.com"})
        )
        store.sessions.add("built", "B", START, END)
    finding = the("shared-identifier", examine(path))
    assert (finding.severity, finding.column) == ("warning", "session_identifier")
    assert "'B'" in finding.message
    assert "'Titan'" in finding.message


@pytest.mark.parametrize(
    ("filestore_path", "leaves"),
    [
        ("..", True),
        ("../x", True),
        ("a/../../x", True),
        ("/../x", True),
        ("..\\x", True),
        ("C:\\data", True),
        ("", False),
        ("/", False),
        ("./Titan", False),
        ("/Titan", False),
        ("a/../b", False),
        ("..a/b..", False),
        ("C:", True),
        ("ab", False),
        (":", False),
        ("abc:/d", False),
    ],
)
def test_paths_that_leave_their_root(path: Path, filestore_path: str, leaves: bool) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE instruments SET filestore_path = ?", (filestore_path,))
    assert codes(examine(path)) == ({"path-outside"} if leaves else set())


@pytest.mark.parametrize("harvester", ["nemo", "sharepoint"])
def test_harvesters_that_there_are(path: Path, harvester: str) -> None:
    spoil(path, f"UPDATE instruments SET harvester = '{harvester}'")
    assert examine(path) == []


def test_a_claim_dated_in_the_future(path: Path) -> None:
    clocks_may_differ_by = timedelta(minutes=5)
    assert examine(path, NOW - clocks_may_differ_by) == []
    finding = the("future-claim", examine(path, NOW - clocks_may_differ_by - MICROSECOND))
    assert (finding.severity, finding.row_id) == ("note", 5)
    assert finding.message.startswith(f"{TAKEN}, which is yet to come: ")


def test_a_computer_without_zone_data_is_not_the_rows_fault(path: Path) -> None:
    if os.name == "nt":
        pytest.skip("tzdata is always there on Windows")
    spoil(path, EVENT + "(9, 's', 'gone', '2031-01-01T00:00:00', 'START', 'ERROR')")
    folder = str(_without_tzdata(path.parent))
    done = process("--db", path, "doctor", "--json", PYTHONTZPATH="", PYTHONPATH=folder)
    assert done.status == 1
    found = json.loads(done.out)
    assert [finding["code"] for finding in found] == [
        *("no-zone-data", "stale-claim", "unknown-instrument")
    ]
    assert "this computer has no time zone data" in found[0]["message"]
    assert "UPDATE" not in done.out
    said = process("--db", path, "doctor", PYTHONTZPATH="", PYTHONPATH=folder)
    assert said.status == 1
    assert said.lines[-2:] == ["this computer: 1 error", f"{path}: 1 error, 1 note"]


def _without_tzdata(folder: Path) -> Path:
    """A folder that hides tzdata from the processes that have it on their path."""
    (folder / "hidden").mkdir()
    (folder / "hidden" / "tzdata.py").write_text("raise ModuleNotFoundError(name='tzdata')")
    return folder / "hidden"


def test_no_writer_waits_for_the_rows(path: Path) -> None:
    """While the rows are read, the file is free again and again."""
    spoil(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
        "INSERT INTO session_log (id_session_log, session_identifier, instrument, timestamp, "
        "event_type, record_status, user) "
        "SELECT i, 's' || (i / 2), 'Titan', '2025-06-01T09:00:00Z', "
        "iif(i % 2, 'END', 'START'), 'COMPLETED', 'ada' FROM n;",
    )
    written: list[int] = []
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as writer:

        def write(done: int, total: int) -> None:
            writer.execute("UPDATE session_log SET user = 'bob' WHERE id_session_log = 1")
            written.append(done)
            assert done <= total

        assert doctor.examine(path, clock=lambda: NOW, progress=write) == []
    assert len(written) > 10
    assert written == sorted(written)


@pytest.mark.slow
def test_rows_of_many_megabytes_are_read_a_few_at_a_time(path: Path) -> None:
    spoil(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
        "INSERT INTO upload_log (id, session_identifier, destination_name, success, timestamp, "
        "error_message) SELECT i, 'built', 'cdcs', 0, '2025-06-01T09:00:00Z', "
        "hex(zeroblob(1000000)) FROM n",
    )
    tracemalloc.start()
    try:
        assert examine_only(path) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # 400 MB of texts. How many of them are held varies with the garbage collector and the tracer.
    assert peak < 200_000_000


def test_a_megabyte_of_a_name_is_not_repeated(path: Path) -> None:
    spoil(path, "UPDATE instruments SET timezone = hex(zeroblob(500000))")
    assert len(the("bad-time-zone", examine(path)).message) < 1000


@pytest.mark.parametrize(
    ("script", "calls"),
    [
        ("", [(1, 8), (2, 8), (7, 8), (8, 8)]),
        ("UPDATE upload_log SET id = -9", [(1, 7), (1, 7), (6, 7), (7, 7)]),
        ("DELETE FROM upload_log", [(1, 7), (6, 7), (7, 7)]),
    ],
)
def test_progress_is_told_by_the_highest_numbers(
    path: Path, script: str, calls: list[tuple[int, int]]
) -> None:
    spoil(path, script)
    told: list[tuple[int, int]] = []
    doctor.examine(path, clock=lambda: NOW, progress=lambda *call: told.append(call))
    assert told == calls


def test_progress_is_at_most_all_of_it(path: Path) -> None:
    told: list[tuple[int, int]] = []

    def add(done: int, total: int) -> None:
        if not told:
            spoil(path, EVENT + "(99, 's', 'Titan', '2025-06-01T09:00:00Z', 'START', 'ERROR')")
        told.append((done, total))

    doctor.examine(path, clock=lambda: NOW, progress=add)
    assert told == [(1, 8), (2, 8), (7, 8), (8, 8)]


@pytest.mark.slow
def test_a_full_disk_of_the_temporary_files_is_told(path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("limits of POSIX")
    spoil(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) "
        "INSERT INTO session_log (id_session_log, session_identifier, instrument, timestamp, "
        "event_type, record_status, user) "
        "SELECT i, 's' || hex(zeroblob(40)) || i, 'Titan', "
        "'2025-06-01T09:00:00Z', 'START', 'COMPLETED', 'ada' FROM n",
    )
    child = (
        "import resource, sys\n"
        "from nexuslims_store import doctor\n"
        "sys.dont_write_bytecode = True\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, resource.RLIM_INFINITY))\n"
        "print(*(f.code + ': ' + f.message for f in doctor.examine(sys.argv[1])), sep='\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", child, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "not-examined" in done.stdout
    assert "SQLite's temporary file" in done.stdout


def examine_only(path: Path) -> list[Finding]:
    return doctor.examine(path, clock=lambda: NOW)


def test_a_claim_is_stale_after_its_lease(path: Path) -> None:
    assert examine(path, NOW + timedelta(hours=6) - MICROSECOND) == []
    finding = the("stale-claim", examine(path, NOW + timedelta(hours=6)))
    assert (finding.severity, finding.row_id) == ("note", 5)
    assert finding.message.startswith(f"{TAKEN} and never said how it ended; ")


@pytest.mark.slow
def test_a_large_file_is_read_in_constant_memory(path: Path) -> None:
    spoil(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) "
        "INSERT INTO session_log (id_session_log, session_identifier, instrument, timestamp, "
        "event_type, record_status, user) "
        "SELECT i, 's' || (i / 2), 'Titan', '2025-06-01T09:00:00Z', "
        "iif(i % 2, 'END', 'START'), 'COMPLETED', 'ada' FROM n;"
        "UPDATE session_log SET timestamp = 'bad' WHERE id_session_log = 39999;",
    )
    tracemalloc.start()
    try:
        found = doctor.iter_findings(path, clock=lambda: NOW)
        assert [finding.row_id for finding in found] == [39999]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000


def test_every_row_is_looked_at_once_whatever_its_number(path: Path) -> None:
    spoil(
        path,
        "DELETE FROM session_log; DELETE FROM upload_log;"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6001) "
        "INSERT INTO session_log (id_session_log, session_identifier, instrument, timestamp, "
        "event_type, record_status, user) "
        "SELECT i, i, 'Titan', 'bad', 'START', 'ERROR', NULL FROM n;"
        "UPDATE session_log SET id_session_log = -9223372036854775808 WHERE id_session_log = 1;"
        "UPDATE session_log SET id_session_log = 9223372036854775807 WHERE id_session_log = 2;",
    )
    found = [finding.row_id for finding in examine(path)]
    assert found == [-(2**63), *range(3, 6002), 2**63 - 1]


@pytest.mark.parametrize("table", ["instruments", "older_instruments", *ROWS_OF])
def test_a_lot_begins_where_the_last_ended(table: str) -> None:
    # Asked of the statements: a lot that began anywhere else would have the doctor read for ever.
    statements = queries.load("doctor.sql")
    name = table.removeprefix("older_")
    with closing(sqlite3.connect(":memory:")) as connection:
        label = "display_name" if name == table else "schema_name"
        connection.execute(f"CREATE TABLE {name} ({ROWS_OF.get(name, INSTRUMENT)}, {label})")
        for rowid in (-5, 3, 8):
            connection.execute(f"INSERT INTO {name} (rowid) VALUES (?)", (rowid,))
        for first, number, expected in ((-(2**63), 2, [-5, 3]), (3, 9, [3, 8]), (9, 9, [])):
            asked = {"first_rowid": first, "number": number}
            rows = connection.execute(statements[f"list_{table}_rows"], asked)
            assert [row[0] for row in rows] == expected
        assert connection.execute(statements[f"get_last_rowid_of_{name}"]).fetchone() == (8,)
