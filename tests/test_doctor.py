"""The doctor: each thing it can find, in a file made bad for it, and nothing in a good one."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tracemalloc
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers import migration_files, older_lineage
from helpers.command_line import call, process
from test_remedies import DESTROYS

from nexuslims_store import (
    DatabaseLockedError,
    DatabaseNotFoundError,
    Instrument,
    NotANexusLIMSDatabaseError,
    RecordStatus,
    Store,
    StoreError,
    UploadLog,
    doctor,
    migrations,
)
from nexuslims_store.doctor import Finding

NOW = datetime(2025, 6, 2, 12, 0, tzinfo=UTC)
START, END = datetime(2025, 6, 1, 9), datetime(2025, 6, 1, 10)
TITAN = Instrument(
    instrument_pid="Titan",
    api_url="https://nemo.example.com/api/tools/?id=1",
    calendar_url="https://nemo.example.com/calendar/titan",
    location="Bldg 1",
    display_name="Titan",
    property_tag="1",
    filestore_path="./Titan",
)

# As NexusLIMS writes: nothing enforced, nothing checked. Row 1 is Titan, events 1 and 2 are
# session "built", 3 and 4 session "waiting"; upload 1 is that of "built".
AS_NEXUSLIMS = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;"
EVENT = (
    "INSERT INTO session_log (id_session_log, session_identifier, instrument, timestamp, "
    "event_type, record_status) VALUES "
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good database at the head revision, with a little of everything."""
    path = tmp_path / "a facility's.db"
    with Store(path, migrate=True, clock=lambda: NOW) as store:
        store.instruments.add(TITAN)
        store.sessions.add("built", "Titan", START, END, "ada", RecordStatus.COMPLETED)
        store.sessions.add("waiting", "Titan", START, END, "ada")
        store.upload_logs.insert(
            UploadLog(
                session_identifier="built",
                destination_name="cdcs",
                success=True,
                timestamp=NOW,
                metadata_json='{"a": 1}',
            )
        )
        store.external_ids.store("ada", "nemo", "17")
        assert store.sessions.claim() is not None
    return path


def spoil(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(AS_NEXUSLIMS + script)


def examine(path: Path, now: datetime = NOW) -> list[Finding]:
    """Examine a file, which must be the same byte for byte afterwards."""
    before = path.read_bytes()
    found = doctor.examine(path, timeout=0.2, clock=lambda: now)
    assert path.read_bytes() == before
    for finding in found:
        assert finding.message
        assert finding.severity in {"error", "warning", "note"}
        assert finding.remedy or finding.severity == "note", finding
        assert not DESTROYS.search(finding.remedy), finding
    return found


def codes(found: list[Finding]) -> set[str]:
    return {finding.code for finding in found}


def the(code: str, found: list[Finding]) -> Finding:
    (finding,) = (finding for finding in found if finding.code == code)
    return finding


# -- good files ------------------------------------------------------------------------


def test_a_good_database_gives_nothing(path: Path) -> None:
    assert examine(path) == []


def test_a_new_database_gives_nothing(tmp_path: Path) -> None:
    Store(tmp_path / "new.db", migrate=True).close()
    assert examine(tmp_path / "new.db") == []


def test_in_wal_mode_too(path: Path) -> None:
    spoil(path, "PRAGMA journal_mode = WAL;")
    assert examine(path) == []


@pytest.mark.parametrize("revision", migration_files.REVISIONS[:-1])
def test_an_older_revision_is_noted_and_examined(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "old.db"
    migrations.upgrade(path, revision)
    finding = the("older-revision", examine(path))
    assert finding.severity == "note"
    assert revision in finding.message
    spoil(path, EVENT + "(7, 's', 'gone', 'never', 'START', 'WAITING_FOR_END')")
    assert codes(examine(path)) == {"older-revision", "unreadable-time", "unknown-instrument"}


@pytest.mark.parametrize("revision", migration_files.REVISIONS[1:4])
def test_a_file_from_before_2_2_has_harmless_differences(tmp_path: Path, revision: str) -> None:
    path = older_lineage.create(tmp_path / "old.db", rows=False)
    migrations.upgrade(path, revision, backup=False)
    found = examine(path)
    assert codes(found) == {"older-revision", "harmless-drift"}
    assert all(finding.severity == "note" for finding in found)
    assert any("from before 2.2" in finding.message for finding in found)
    migrations.upgrade(path, backup=False)
    assert examine(path) == []


def test_rows_of_a_file_from_before_2_2(tmp_path: Path) -> None:
    path = older_lineage.create(tmp_path / "old.db")
    found = examine(path)
    assert codes(found) == {
        "no-version-row",
        "harmless-drift",
        "no-harvester",
        "unreadable-time",
        "unknown-instrument",
        "stale-claim",
    }
    nobodys = [finding for finding in found if finding.code == "no-harvester"]
    assert len(nobodys) == older_lineage.NULL_HARVESTERS
    assert {finding.severity for finding in nobodys} == {"note"}
    assert (the("unreadable-time", found).row_id, the("unknown-instrument", found).row_id) == (
        12,
        12,
    )


def test_a_downgrade_by_nexuslims_is_harmless(tmp_path: Path) -> None:
    path = migration_files.downgraded_by_alembic(tmp_path / "down.db")
    found = examine(path)
    assert codes(found) == {"older-revision", "harmless-drift"}
    (instruments,) = (f for f in found if f.table == "instruments")
    assert "calendar_name may be NULL" in instruments.message
    assert "(computer_ip) is not UNIQUE" in instruments.message


def test_nexuslims_demo(tmp_path: Path) -> None:
    found = examine(migration_files.demo(tmp_path / "demo.db"))
    assert {"no-version-row", "harmless-drift"} <= codes(found)
    assert codes(found) <= {"no-version-row", "harmless-drift", "missing-index", "unpaired"}
    assert "nexuslims-store migrate" in the("no-version-row", found).remedy


# -- rows ------------------------------------------------------------------------------

BAD_ROWS = [
    # what NexusLIMS did, code, table, row, column, part of the message
    (
        EVENT + "(9, 's', 'gone', '2025-01-01T00:00:00', 'START', 'ERROR')",
        ("unknown-instrument", "session_log", 9, "instrument", "'gone'"),
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
        "DELETE FROM session_log WHERE id_session_log = 4",
        ("unpaired", "session_log", 3, None, "a START without an END"),
    ),
    (
        "UPDATE session_log SET timestamp = '2020-01-01T00:00:00Z' WHERE id_session_log = 4",
        ("unpaired", "session_log", 3, None, "an END before its START"),
    ),
    (
        "DELETE FROM session_log WHERE session_identifier = 'built'",
        ("orphaned-upload", "upload_log", 1, "session_identifier", "'built'"),
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
    migrations.upgrade(path, "v2_4_0a")
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
        ("harvester", "unknown-harvester", "nemo"),
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


# -- what is odd rather than unreadable ------------------------------------------------


def test_sessions_dated_far_ahead(path: Path) -> None:
    at = "2030-06-01T09:00:00"
    spoil(
        path,
        EVENT + f"(9, 's', 'Titan', '{at}', 'START', 'ERROR'), (10, 's', 'Titan', '{at}', 'END', "
        "'ERROR'), (11, 't', 'Titan', '2026-06-01T00:00:00', 'START', 'ERROR')",
    )
    found = [(f.code, f.severity, f.row_id) for f in examine(path)]
    assert found == [("far-ahead", "warning", 9), ("far-ahead", "warning", 10)]


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
    assert examine(path, NOW - timedelta(minutes=4)) == []
    finding = the("future-claim", examine(path, NOW - timedelta(minutes=6)))
    assert (finding.severity, finding.row_id) == ("note", 5)


def test_a_computer_without_zone_data_is_not_the_rows_fault(path: Path) -> None:
    if os.name == "nt":
        pytest.skip("tzdata is always there on Windows")
    spoil(path, EVENT + "(9, 's', 'gone', '2031-01-01T00:00:00', 'START', 'ERROR')")
    folder = str(_without_tzdata(path.parent))
    done = process("--db", path, "doctor", "--json", PYTHONTZPATH="", PYTHONPATH=folder)
    assert done.status == 1
    found = json.loads(done.out)
    assert [finding["code"] for finding in found] == [
        *("no-zone-data", "stale-claim", "unknown-instrument"),
    ]
    assert "this computer has no time zone data" in found[0]["message"]
    assert "UPDATE" not in done.out


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
        "INSERT INTO session_log SELECT i, 's' || (i / 2), 'Titan', '2025-06-01T09:00:00Z', "
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


@pytest.mark.slow
def test_a_full_disk_of_the_temporary_files_is_told(path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("limits of POSIX")
    spoil(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) "
        "INSERT INTO session_log SELECT i, 's' || hex(zeroblob(40)) || i, 'Titan', "
        "'2025-06-01T09:00:00Z', 'START', 'COMPLETED', 'ada' FROM n",
    )
    child = (
        "import resource, sys\n"
        "from nexuslims_store import doctor\n"
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
    assert examine(path, NOW + timedelta(hours=5, minutes=59)) == []
    finding = the("stale-claim", examine(path, NOW + timedelta(hours=6)))
    assert (finding.severity, finding.row_id) == ("note", 5)


@pytest.mark.slow
def test_a_large_file_is_read_in_constant_memory(path: Path) -> None:
    spoil(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
        "INSERT INTO session_log SELECT i, 's' || (i / 2), 'Titan', '2025-06-01T09:00:00Z', "
        "iif(i % 2, 'END', 'START'), 'COMPLETED', 'ada' FROM n;"
        "UPDATE session_log SET timestamp = 'bad' WHERE id_session_log = 99999;",
    )
    assert [f.row_id for f in examine(path)] == [99999]
    tracemalloc.start()
    try:
        assert len(list(doctor.iter_findings(path, clock=lambda: NOW))) == 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000


def test_every_row_is_looked_at_once_whatever_its_number(path: Path) -> None:
    spoil(
        path,
        "DELETE FROM session_log; DELETE FROM upload_log;"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6001) "
        "INSERT INTO session_log SELECT i, i, 'Titan', 'bad', 'START', 'ERROR', NULL FROM n;"
        "UPDATE session_log SET id_session_log = -9223372036854775808 WHERE id_session_log = 1;"
        "UPDATE session_log SET id_session_log = 9223372036854775807 WHERE id_session_log = 2;",
    )
    found = [finding.row_id for finding in examine(path)]
    assert found == [-(2**63), *range(3, 6002), 2**63 - 1]


# -- tables ----------------------------------------------------------------------------


def remake(path: Path, table: str, change: tuple[str, str]) -> None:
    """Make a table anew with other words in its CREATE statement."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (sql,) = connection.execute(
            "SELECT sql FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
        indexes = connection.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type = 'index' "
            "AND sql IS NOT NULL",
            (table,),
        ).fetchall()
        assert change[0] in sql
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA legacy_alter_table = ON")
        connection.execute(f"ALTER TABLE {table} RENAME TO former")
        for (index,) in indexes:
            connection.execute(f"DROP INDEX {index.split()[2]}")
        connection.execute(sql.replace(*change))
        connection.execute(f"INSERT INTO {table} SELECT * FROM former")
        connection.execute("DROP TABLE former")
        for (index,) in indexes:
            connection.execute(index)


@pytest.mark.parametrize(
    ("table", "change", "severity", "part"),
    [
        ("instruments", ("api_url VARCHAR NOT NULL", "api_url VARCHAR"), "warning", "may be NULL"),
        ("instruments", (",\n    UNIQUE (api_url)", ""), "warning", "(api_url) is not UNIQUE"),
        ("instruments", ("UNIQUE (api_url)", "UNIQUE (location)"), "warning", "(location) is UN"),
        ("instruments", ("location VARCHAR(100)", "location BLOB"), "warning", "BLOB instead of"),
        ("instruments", ("location VARCHAR(100)", "location TEXT"), "note", "TEXT instead of"),
        ("instruments", ("harvester VARCHAR", "harvester VARCHAR DEFAULT 'x'"), "note", "default"),
        ("session_log", (", 'NO_RESERVATION'", ""), "warning", "lacks CHECK (record_status IN"),
        ("session_log", ("'START', 'END'", "'START', 'STOP', 'END'"), "warning", "checks of its"),
        (
            "session_log",
            ("CONSTRAINT check_event_type", ""),
            "note",
            "check_event_type has another",
        ),
        (
            "session_log",
            ("(instrument_pid)", "(instrument_pid) ON DELETE CASCADE"),
            "warning",
            "CASC",
        ),
        (
            "session_log",
            ('"user" VARCHAR(50)', '"user" VARCHAR(50) NOT NULL'),
            "warning",
            "user may",
        ),
        (
            "upload_log",
            ("    PRIMARY KEY (id)", "    PRIMARY KEY (success)"),
            "warning",
            "of the key",
        ),
        (
            "external_user_identifiers",
            ('CONSTRAINT "system_external_id_UNIQUE"', ""),
            "note",
            "named",
        ),
    ],
)
def test_drift_of_a_table(
    path: Path, table: str, change: tuple[str, str], severity: str, part: str
) -> None:
    remake(path, table, change)
    found = [finding for finding in examine(path) if "drift" in finding.code]
    assert part in " ".join(finding.message for finding in found)
    assert {finding.severity for finding in found} == {severity}
    assert {finding.table for finding in found} == {table}
    assert {finding.code for finding in found} == {
        "harmless-drift" if severity == "note" else "drift"
    }


def test_an_alembic_version_that_differs(path: Path) -> None:
    remake(path, "alembic_version", ("CONSTRAINT alembic_version_pkc", ""))
    assert the("harmless-drift", examine(path)).table == "alembic_version"


def test_the_packages_own_index_below_the_head_is_no_drift(path: Path) -> None:
    migrations.downgrade(path, backup=False)
    before = examine(path)
    # As a downgrade by NexusLIMS, which does not know it, leaves it.
    spoil(path, "CREATE INDEX nxs_session_log_to_build ON session_log (session_identifier)")
    assert examine(path) == before


def test_the_packages_own_index_is_missed_and_comes_back(path: Path) -> None:
    spoil(path, "DROP INDEX nxs_session_log_to_build")
    finding = the("missing-index", examine(path))
    assert "nxs_session_log_to_build" in finding.message
    assert finding.remedy == "nexuslims-store migrate"
    migrations.upgrade(path, backup=False)
    assert examine(path) == []


def test_missing_and_foreign_indexes(path: Path) -> None:
    spoil(
        path,
        "DROP INDEX idx_external_lookup; CREATE INDEX mine ON session_log (user);"
        "DROP INDEX ix_upload_log_destination_name;"
        "CREATE INDEX ix_upload_log_destination_name ON upload_log (record_id);",
    )
    found = examine(path)
    assert "idx_external_lookup" in the("missing-index", found).message
    assert "mine" in the("harmless-drift", found).message
    assert "record_id" in the("drift", found).message


# -- revisions -------------------------------------------------------------------------


def test_leftovers_of_an_interrupted_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "left.db"
    migrations.upgrade(path, "v2_4_0a")
    spoil(
        path,
        "CREATE TABLE session_log_new (id_session_log, session_identifier, instrument, "
        "timestamp, event_type, record_status, user);",
    )
    finding = the("leftover", examine(path))
    assert (finding.severity, finding.table) == ("error", "session_log_new")
    migrations.upgrade(path, backup=False)
    assert examine(path) == []


def test_a_wrong_stamp(tmp_path: Path) -> None:
    path = tmp_path / "wrong.db"
    migrations.upgrade(path, "v1_4_3")
    spoil(path, "UPDATE alembic_version SET version_num = 'v2_5_0b'")
    spoil(path, EVENT + "(3, 's', 'gone', '2025-01-01', 'START', 'ERROR')")
    found = examine(path)
    assert codes(found) == {"wrong-revision", "unknown-instrument"}
    assert "migrate stamp v1_4_3" in the("wrong-revision", found).remedy


def test_several_version_rows(path: Path) -> None:
    spoil(path, "INSERT INTO alembic_version VALUES ('v1_4_3')")
    assert f"migrate stamp {migration_files.HEAD}" in the("wrong-revision", examine(path)).remedy


def test_an_unknown_revision_with_known_tables_is_mended_by_its_remedy(path: Path) -> None:
    spoil(path, "UPDATE alembic_version SET version_num = 'deadbeef'")
    remedy = the("wrong-revision", examine(path)).remedy
    command = re.search("`nexuslims-store (migrate stamp [^`]*)`", remedy)
    assert command is not None
    assert call("--db", path, *command[1].split()).status == 0
    assert examine(path) == []


def test_sessions_of_an_instrument_that_is_not_valid_wait_for_it(path: Path) -> None:
    spoil(path, "UPDATE instruments SET api_url = 'https://a/b' || char(8203)")
    found = examine(path)
    unpaired = [finding for finding in found if finding.code == "unpaired"]
    assert unpaired
    for finding in unpaired:
        assert finding.remedy == "put the instrument right, as is said of 'Titan' itself"
        assert "doctor" not in finding.message
    assert "--api-url" in the("bad-url", found).remedy


def test_a_later_nexuslims(path: Path) -> None:
    spoil(path, "UPDATE alembic_version SET version_num = 'v9_0_0'; DROP TABLE upload_log;")
    found = examine(path)
    assert codes(found) == {"unknown-revision"}
    assert "upgrade nexuslims_store" in the("unknown-revision", found).remedy
    assert "v9_0_0" in found[0].message


def test_tables_of_no_revision_are_examined_as_far_as_can_be(path: Path) -> None:
    spoil(
        path,
        "ALTER TABLE upload_log DROP COLUMN success;"
        "UPDATE session_log SET timestamp = 'x' WHERE id_session_log = 1",
    )
    found = examine(path)
    assert codes(found) == {"unknown-tables", "unreadable-time"}
    assert "upload_log lacks success" in the("unknown-tables", found).message


def test_marks_out_of_step(path: Path) -> None:
    spoil(path, "DELETE FROM _yoyo_migration WHERE migration_id LIKE '0003%'")
    finding = the("marks", examine(path))
    assert finding.severity == "note"
    migrations.upgrade(path, backup=False)
    assert examine(path) == []


def test_a_trigger(path: Path) -> None:
    make = "CREATE TRIGGER t AFTER INSERT ON session_log BEGIN DELETE FROM instruments; END"
    spoil(path, make)
    finding = the("own-trigger", examine(path))
    assert finding.severity == "warning"
    assert "t on session_log" in finding.message
    keep = finding.remedy.partition("(")[2].partition(")")[0]
    subprocess.run(keep, shell=True, check=True, cwd=path.parent)
    assert (path.parent / "triggers.sql").read_text() == f"{make};\n"


def test_a_file_without_tables(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    assert codes(examine(tmp_path / "empty.db")) == {"no-tables"}
    assert codes(examine(migration_files.base(tmp_path / "base.db"))) == {"no-tables"}


# -- files -----------------------------------------------------------------------------


def test_another_programs_database(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    spoil(path, "CREATE TABLE albums (title)")
    assert codes(examine(path)) == {"not-nexuslims"}


def test_what_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all" * 100)
    with pytest.raises(NotANexusLIMSDatabaseError):
        doctor.examine(tmp_path / "text")
    with pytest.raises(StoreError):
        doctor.examine(tmp_path)
    with pytest.raises(DatabaseNotFoundError):
        doctor.examine(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


def test_a_locked_file_is_an_error(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseLockedError):
            doctor.examine(path, timeout=0)


def test_a_trashed_page(path: Path) -> None:
    (root,) = migration_files.query(
        path, "SELECT rootpage FROM sqlite_master WHERE name = 'session_log'"
    )
    (size,) = migration_files.query(path, "PRAGMA page_size")
    with path.open("r+b") as file:
        file.seek((root[0] - 1) * size[0])
        file.write(b"\xff" * size[0])
    found = examine(path)
    assert "damaged" in codes(found)
    assert all(f.severity == "error" for f in found if f.code == "damaged")


def test_an_index_that_lacks_a_row(path: Path) -> None:
    spoil(
        path,
        "PRAGMA writable_schema = ON; CREATE TABLE kept AS SELECT * FROM sqlite_master;"
        "DELETE FROM sqlite_master WHERE name = 'ix_upload_log_destination_name';",
    )
    spoil(
        path,
        "INSERT INTO upload_log (id, session_identifier, destination_name, success, timestamp) "
        "SELECT 9, session_identifier, 'other', 1, timestamp FROM upload_log;"
        "PRAGMA writable_schema = ON;"
        "INSERT INTO sqlite_master SELECT * FROM kept "
        "WHERE name = 'ix_upload_log_destination_name'; DROP TABLE kept;",
    )
    found = examine(path)
    assert codes(found) == {"damaged"}
    assert all("ix_upload_log_destination_name" in finding.message for finding in found)


def test_a_catalogue_that_cannot_be_read(path: Path) -> None:
    spoil(
        path,
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE TABLE (' "
        "WHERE name = 'upload_log'",
    )
    assert codes(examine(path)) == {"damaged"}


def test_a_cut_off_end(path: Path) -> None:
    # Pages that are not in use, which no other check looks into.
    spoil(path, "CREATE TABLE large AS SELECT zeroblob(100000) AS x; DROP TABLE large;")
    assert examine(path) == []
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)
    assert "its end is missing" in the("damaged", examine(path)).message


def test_a_journal_of_a_killed_program(path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("needs a process that can kill itself")
    child = (
        "import os, signal, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1')\n"
        "c.execute('BEGIN')\n"
        'c.execute("UPDATE session_log SET user = hex(zeroblob(100000))")\n'
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", child, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    finding = the("half-written", examine(path))
    assert finding.severity == "error"
    spoil(path, "SELECT * FROM session_log")  # whoever may write puts it back
    assert examine(path) == []


def test_what_lies_beside_it(path: Path, tmp_path: Path) -> None:
    partial = tmp_path / ".nexuslims-0123456789abcdef.partial"
    partial.touch()
    os.utime(partial, (NOW.timestamp(), NOW.timestamp()))
    assert examine(path) == []  # it may still be growing
    old = (NOW - timedelta(days=1)).timestamp()
    os.utime(partial, (old, old))
    assert the("partial-backup", examine(path)).severity == "note"
    partial.unlink()
    shm = Path(f"{path}-shm")
    shm.touch()
    assert the("stray-file", examine(path)).severity == "warning"


def test_a_wal_that_nobody_checkpoints(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexuslims_store.doctor.file._LARGE_WAL", 1)
    spoil(path, "PRAGMA journal_mode = WAL;")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE session_log SET user = hex(zeroblob(100000))")
        found = doctor.examine(path, clock=lambda: NOW)
    assert [finding.code for finding in found] == ["large-wal"]


def test_views_are_never_read(path: Path) -> None:
    spoil(
        path,
        "DROP TABLE upload_log; CREATE VIEW upload_log AS "
        "SELECT 1 AS id, load_extension('x') AS session_identifier;",
    )
    assert codes(examine(path)) == {"foreign-code"}


def test_a_copy_is_examined_under_any_name(path: Path, tmp_path: Path) -> None:
    name = tmp_path / "a#b?c%41 ü.db"
    shutil.copy(path, name)
    assert examine(name) == []


# -- the command -----------------------------------------------------------------------


def test_the_command_finds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    Store(path, migrate=True).close()
    done = call("--db", path, "doctor")
    assert (done.status, done.err) == (0, "")
    assert done.out == f"{path}: nothing is wrong\n"
    done = call("--db", path, "doctor", "--json")
    assert (done.status, json.loads(done.out)) == (0, [])


def test_the_command_notes_what_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    migrations.upgrade(path, "v1_4_3")
    done = call("doctor", "--db", path)
    assert done.status == 0
    assert "note: " in done.out
    assert f"    nexuslims-store --db {path} migrate\n" in done.out


def test_the_command_lists_some_of_a_kind_and_counts_the_rest(path: Path) -> None:
    spoil(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 59) "
        "INSERT INTO session_log SELECT i, i, 'Titan', 'bad\x1b[31m', 'END', 'ERROR', NULL FROM n;",
    )
    done = call("doctor", "--db", path)
    assert done.status == 1
    assert done.out.count("error: session_log, row") == 20
    assert "and 30 more findings unreadable-time in session_log" in done.out
    assert "\x1b" not in done.out
    assert "50 errors" in done.out.splitlines()[-1]
    listed = json.loads(call("doctor", "--json", "--db", path).out)
    times = [finding for finding in listed if finding["code"] == "unreadable-time"]
    assert [finding["row_id"] for finding in times] == list(range(10, 60))
    assert times[0].keys() == {
        "code",
        "severity",
        "message",
        "remedy",
        "table",
        "row_id",
        "column",
    }


def test_the_command_on_what_is_no_database(tmp_path: Path) -> None:
    done = call("doctor", "--db", tmp_path / "none.db")
    assert (done.status, done.out) == (2, "")
    assert "there is no database" in done.err
