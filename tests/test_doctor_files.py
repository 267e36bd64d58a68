"""The doctor: the file itself, its pages, and what lies beside it."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from helpers import migration_files
from helpers.findings import NOW, codes, examine, good, spoil, the

from nexuslims_store import (
    DatabaseLockedError,
    DatabaseNotFoundError,
    NotANexusLIMSDatabaseError,
    doctor,
)
from nexuslims_store.doctor import Finding


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return good(tmp_path)


def test_another_programs_database(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    spoil(path, "CREATE TABLE albums (title)")
    assert codes(examine(path)) == {"not-nexuslims"}


def test_what_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all" * 100)
    with pytest.raises(NotANexusLIMSDatabaseError):
        doctor.examine(tmp_path / "text")
    with pytest.raises(NotANexusLIMSDatabaseError, match="is a folder"):
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
    # In SQLite's own words: what an error makes of them sends to the doctor.
    assert found[-1].message == f"{path} is damaged: its tables: database disk image is malformed"
    for finding in found:
        assert (finding.code, finding.severity) == ("damaged", "error")
        assert "nexuslims-store" not in finding.message


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
    finding = the("damaged", examine(path))
    assert finding.message.startswith(f"{path} is damaged: malformed database schema (upload_log)")
    assert finding.remedy.startswith("nexuslims-store restore latest  (")


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
    for hours in (0, 6):  # it may still be growing
        moment = (NOW - timedelta(hours=hours)).timestamp()
        os.utime(partial, (moment, moment))
        assert examine(path) == []
    old = (NOW - timedelta(hours=6, seconds=1)).timestamp()
    os.utime(partial, (old, old))
    shm = Path(f"{path}-shm")
    shm.touch()
    assert examine(path) == [
        Finding(
            "stray-file",
            "warning",
            f"{shm} lies beside a database that is not in WAL mode: another database of this name "
            "left it, and SQLite may take it for this one's",
            f"move {shm.name} away while no program has the database open",
        ),
        Finding(
            "partial-backup",
            "note",
            f"{partial} was left by a backup that was killed at 2025-06-02 05:59 UTC",
            f"delete {partial.name}; it is no whole copy",
        ),
    ]


def test_a_wal_that_nobody_checkpoints(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(path, "PRAGMA journal_mode = WAL;")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE session_log SET user = hex(zeroblob(1000000))")
        grown = Path(f"{path}-wal").stat().st_size
        assert grown > 8 * 2**20
        for large, found in ((grown - 1, True), (grown, False)):
            monkeypatch.setattr("nexuslims_store.doctor.file._LARGE_WAL", large)
            findings = doctor.examine(path, clock=lambda: NOW)
            assert [finding.code for finding in findings] == ["large-wal"] * found
            for finding in findings:
                assert finding.severity == "note"
                assert f"{path}-wal has grown to {grown >> 20} MB: a program" in finding.message
                assert "then nexuslims-store backup" in finding.remedy
        monkeypatch.setattr("nexuslims_store.doctor.file._LARGE_WAL", 1)
        # One that is smaller than the database is not large.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("UPDATE session_log SET user = 'u'")
        assert 0 < Path(f"{path}-wal").stat().st_size < path.stat().st_size
        assert doctor.examine(path, clock=lambda: NOW) == []


def test_a_wal_is_large_beyond_64_megabytes(path: Path) -> None:
    spoil(path, "PRAGMA journal_mode = WAL;")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE session_log SET user = 'u'")
        for more in (0, 1):
            os.truncate(f"{path}-wal", 64 * 2**20 + more)
            found = [finding.message for finding in doctor.examine(path, clock=lambda: NOW)]
            assert ["has grown to 64 MB" in message for message in found] == [True] * more


def test_a_hundred_complaints_about_the_pages_are_enough(path: Path) -> None:
    spoil(
        path,
        "CREATE TABLE own (number); WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL "
        "SELECT i + 1 FROM n WHERE i < 200) INSERT INTO own (number) SELECT i FROM n;"
        "CREATE INDEX numbers ON own (number) WHERE number < 0; PRAGMA writable_schema = ON;"
        "UPDATE sqlite_master SET sql = 'CREATE INDEX numbers ON own (number)' "
        "WHERE name = 'numbers'",
    )
    assert [finding.code for finding in examine(path)] == ["damaged"] * 100


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
