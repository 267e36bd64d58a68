"""A run is all or nothing, whoever stops it and whoever else runs."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from helpers import older_lineage
from helpers.migration_checks import TRY_TO_UPGRADE, python
from helpers.migration_files import (
    HEAD,
    REVISIONS,
    backups,
    contents,
    execute,
    expected,
    facts,
    query,
)

import nexuslims_store
from nexuslims_store import connection as connection_module
from nexuslims_store import migrations
from nexuslims_store.config import sql_folder
from nexuslims_store.errors import DatabaseLockedError
from nexuslims_store.migrations import opening

SOURCE = Path(nexuslims_store.__file__).parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nexuslims.db"


@pytest.fixture
def older(path: Path) -> Path:
    return older_lineage.create(path)


# -- all or nothing --------------------------------------------------------------------


def broken(tmp_path: Path, name: str, change: Callable[[str], str]) -> Path:
    """Copy the package with a change to one of its migrations; return what to import it from."""
    checkout = tmp_path / "checkout"
    shutil.copytree(SOURCE, checkout / "nexuslims_store", ignore=shutil.ignore_patterns("sql"))
    shutil.copytree(sql_folder(), checkout / "sql")
    file = checkout / "sql" / "migrations" / f"{name}.sql"
    text = file.read_text(encoding="utf-8")
    assert change(text) != text
    file.write_text(change(text), encoding="utf-8")
    return checkout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("0003.v2_4_0b_add_check_constraints",
         "FROM session_log\nORDER", "FROM session_log WHERE id_session_log <> 7\nORDER",
         "did not keep the rows of session_log"),
        ("0003.v2_4_0b_add_check_constraints",
         "event_type, record_status, \"user\"\nFROM", "event_type, 'ERROR', \"user\"\nFROM",
         "did not keep the rows of session_log"),
        ("0003.v2_4_0b_add_check_constraints",
         "    id_session_log, session_identifier, instrument, timestamp, event_type, "
         "record_status, \"user\"\nFROM",
         "    id_session_log + 1, session_identifier, instrument, timestamp, event_type, "
         "record_status, \"user\"\nFROM",
         "did not keep the rows of session_log"),
        ("0005.v2_5_0b_remove_computer_fields",
         "    instrument_pid, api_url, calendar_url, location, schema_name",
         "    'X' || instrument_pid, api_url, calendar_url, location, schema_name",
         "did not keep the rows of instruments"),
        ("0003.v2_4_0b_add_check_constraints",
         "    id_session_log, session_identifier, instrument, timestamp, event_type, "
         "record_status, \"user\"\nFROM",
         "    id_session_log, session_identifier, 'nobody', timestamp, event_type, "
         "record_status, \"user\"\nFROM",
         "refer to nothing"),
        ("0005.v2_5_0b_remove_computer_fields", "SET version_num = 'v2_5_0b'",
         "SET version_num = 'v2_5_0x'", f"not those of {HEAD}"),
        ("0005.v2_5_0b_remove_computer_fields", "UPDATE alembic_version", "UPDATE nowhere",
         "0005.v2_5_0b_remove_computer_fields.sql does not run"),
        ("0005.v2_5_0b_remove_computer_fields", "-- depends", "-- transactional: false\n-- depends",
         "transactional: false"),
    ],
)  # fmt: skip
def test_a_broken_migration_changes_nothing(
    older: Path, tmp_path: Path, name: str, old: str, new: str, words: str
) -> None:
    checkout = broken(tmp_path, name, lambda text: text.replace(old, new))
    before = contents(older)
    message = python(
        TRY_TO_UPGRADE,
        older,
        checkout,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(checkout)},
    )
    assert words in message
    assert contents(older) == before
    assert migrations.upgrade(older).applied == tuple(REVISIONS[1:])


def test_a_migration_that_does_nothing_is_noticed(older: Path, tmp_path: Path) -> None:
    checkout = broken(
        tmp_path, "0002.v2_4_0a_add_upload_log_table", lambda text: text[: text.index("CREATE")]
    )
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    before = contents(older)
    message = python(TRY_TO_UPGRADE, older, checkout, "v2_4_0a", cwd=tmp_path, env=environment)
    assert "led to v1_4_3, not to v2_4_0a" in message
    assert contents(older) == before


def test_a_new_file_that_fails_is_removed_again(path: Path, tmp_path: Path) -> None:
    checkout = broken(
        tmp_path,
        "0005.v2_5_0b_remove_computer_fields",
        lambda text: text.replace("UPDATE alembic_version", "UPDATE nowhere"),
    )
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    said = python(TRY_TO_UPGRADE, path, checkout, cwd=tmp_path, env=environment)
    assert "does not run" in said
    assert not path.exists()

    path.touch()  # not made by the call: it stays
    said = python(TRY_TO_UPGRADE, path, checkout, cwd=tmp_path, env=environment)
    assert "does not run" in said
    assert path.read_bytes() == b""


FULL = """
import resource, shutil, signal, sys
from nexuslims_store import migrations
from nexuslims_store.errors import StorageFullError
migrations.upgrade(sys.argv[1] + ".warm")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.dont_write_bytecode = True
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
try:
    migrations.upgrade(sys.argv[1])
except StorageFullError as error:
    print(error)
"""


@pytest.mark.slow
def test_full_disk(older: Path, tmp_path: Path) -> None:
    execute(
        older,
        "WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
        "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type) "
        "SELECT 's' || i, 'Zeiss-Leo-SEM', '2020-01-01T00:00:00', 'START' FROM n",
    )
    before, size = contents(older), older.stat().st_size
    for limit in (size // 2, size, size + 4096, size * 3 // 2):
        assert python(FULL, older, limit)
        assert contents(older) == before
        assert not backups(older)
    assert migrations.upgrade(older).changed


# -- together with others --------------------------------------------------------------

RACE = """
import json, sys, time
from nexuslims_store import migrations
time.sleep(max(0, float(sys.argv[2]) - time.time()))
report = migrations.upgrade(sys.argv[1])
print(json.dumps([report.changed, str(report.backup)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("new", [True, False], ids=["new file", "older file"])
def test_several_runs_at_once(path: Path, new: bool) -> None:
    import time

    if not new:
        older_lineage.create(path)
    start = time.time() + 1.0
    others = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(path), str(start)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    reports = [json.loads(other.communicate(timeout=60)[0]) for other in others]

    assert [other.returncode for other in others] == [0] * 4
    assert [changed for changed, _ in reports].count(True) == 1
    assert facts(path) == expected(HEAD)
    assert len(backups(path)) == (0 if new else 1)


FIRST_RUN = """
import sqlite3, sys
from nexuslims_store import migrations
from nexuslims_store.errors import DatabaseLockedError
from nexuslims_store.migrations import opening

path, pause, timeout = sys.argv[1], sys.argv[2], float(sys.argv[3])
connect = opening.connect

def wait():
    print("waiting", flush=True)
    sys.stdin.readline()

def connect_and_trace(*arguments, **options):
    if pause == "":
        wait()
    connection = connect(*arguments, **options)
    def trace(statement):
        if pause and pause in statement:
            wait()
    connection.set_trace_callback(trace)
    return connection

opening.connect = connect_and_trace
try:
    print(migrations.upgrade(path, timeout=timeout).changed)
except DatabaseLockedError:
    print("gave up")
"""


@pytest.mark.slow
@pytest.mark.parametrize("pause", ["CREATE TABLE session_log_new", "COMMIT"])
def test_a_run_that_gives_up_removes_no_file_that_another_makes(path: Path, pause: str) -> None:
    """Two first runs: the impatient finds no file, then the slow begins, then both go on."""

    def start(pause: str, timeout: float) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", FIRST_RUN, str(path), pause, str(timeout)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"
        return child

    impatient = start("", 0.05)  # has looked, and opens a file next
    slow = start(pause, 30)
    said = [child.communicate("\n" * 9, timeout=60)[0] for child in (impatient, slow)]

    assert [child.returncode for child in (impatient, slow)] == [0, 0]
    assert sum("True" in text for text in said) == 1  # one has made it
    assert facts(path) == expected(HEAD)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN; SELECT * FROM session_log"])
def test_another_programs_lock(older: Path, lock: str) -> None:
    with closing(sqlite3.connect(older, isolation_level=None)) as other:
        for statement in lock.split(";"):
            other.execute(statement).fetchone()
        with pytest.raises(DatabaseLockedError, match=r"0\.1 s"):
            migrations.upgrade(older, timeout=0.1)
        assert not backups(older)
        other.execute("ROLLBACK")
    assert migrations.upgrade(older, timeout=0.1).changed


def test_a_write_after_the_backup_is_in_the_next_backup(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the lock for the backup and the exclusive lock another program may write."""
    exclusive = iter(range(3))

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connection_module.connect(*arguments, **options)

        def before_each(statement: str) -> None:
            if statement == "BEGIN EXCLUSIVE" and next(exclusive) == 0:
                execute(older, "UPDATE session_log SET user = 'written in between'")

        connection.set_trace_callback(before_each)
        return connection

    monkeypatch.setattr(opening, "connect", connect)
    report = migrations.upgrade(older)

    assert next(exclusive) == 2
    assert backups(older) == [report.backup]
    for file in (backups(older)[0], older):
        assert query(file, "SELECT DISTINCT user FROM session_log") == [("written in between",)]
