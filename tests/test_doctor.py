"""The doctor: nothing is found in a good file; what the command prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import migration_files, older_lineage
from helpers.command_line import call
from helpers.findings import EVENT, codes, examine, good, spoil, the
from helpers.migration_checks import make_file

from nexuslims_store import Store, migrations


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return good(tmp_path)


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
    make_file(path, revision)
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
    make_file(path, "v1_4_3")
    done = call("doctor", "--db", path)
    assert done.status == 0
    assert "note: " in done.out
    assert f"    nexuslims-store --db {path} migrate\n" in done.out


def test_the_command_lists_some_of_a_kind_and_counts_the_rest(path: Path) -> None:
    spoil(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 59) "
        "INSERT INTO session_log (id_session_log, session_identifier, instrument, timestamp, "
        "event_type, record_status, user) "
        "SELECT i, i, 'Titan', 'bad\x1b[31m', 'END', 'ERROR', NULL FROM n;",
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
    assert times[0].keys() == {"code", "severity", "message", "remedy", "table", "row_id", "column"}


def test_the_command_on_what_is_no_database(tmp_path: Path) -> None:
    done = call("doctor", "--db", tmp_path / "none.db")
    assert (done.status, done.out) == (2, "")
    assert "there is no database" in done.err
