"""A change of a file that others change too, and what stops one in its midst."""

from __future__ import annotations

import sqlite3
from itertools import count
from pathlib import Path

import pytest
from helpers.migration_checks import make_file
from helpers.migration_files import HEAD, backups, contents, execute, query
from helpers.platforms import posix

import nexuslims_store
from nexuslims_store import MigrationError, migrations
from nexuslims_store.connection import pragma
from nexuslims_store.errors import DatabaseLockedError, StorageFullError, StoreError
from nexuslims_store.migrations import change, template
from nexuslims_store.migrations.plan import plan_for_new_file
from nexuslims_store.migrations.run import Options

# upload_log as NexusLIMS's demo has it.
NULL_TIMES = """
DROP TABLE upload_log;
CREATE TABLE upload_log (
    id INTEGER NOT NULL, session_identifier VARCHAR(36) NOT NULL,
    destination_name VARCHAR(100) NOT NULL, success BOOLEAN NOT NULL, timestamp VARCHAR,
    record_id VARCHAR(255), record_url VARCHAR(500), error_message VARCHAR,
    metadata_json VARCHAR, PRIMARY KEY (id)
)"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_file(tmp_path / "nexuslims.db", "v2_4_0a")


def test_another_run_was_quicker_with_a_file_that_is_there(path: Path) -> None:
    migrations.upgrade(path, backup=False)
    report = change.move(path, "upgrade", "head", Options(True, 5))
    assert (report.changed, report.backup, report.after) == (False, None, HEAD)
    execute(path, "DELETE FROM upload_log")  # nothing is locked
    assert not backups(path)


def test_another_run_was_quicker_to_make_a_file(path: Path) -> None:
    plan = plan_for_new_file(path, "head")
    before = path.read_bytes()
    assert change.create(path, plan, Options(True, 5)) is None
    assert path.read_bytes() == before
    journal = path.with_name("new.db-journal")
    journal.touch()
    with pytest.raises(StoreError, match=r"new\.db-journal is in the way"):
        change.create(path.with_name("new.db"), plan, Options(True, 5))
    assert {one.name for one in path.parent.iterdir()} == {path.name, journal.name}


def test_a_file_that_is_changed_again_and_again_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    versions = count()

    def ever_another(connection: sqlite3.Connection, name: str) -> object:
        return next(versions) if name == "data_version" else pragma(connection, name)

    monkeypatch.setattr(change, "pragma", ever_another)
    with pytest.raises(DatabaseLockedError, match="changed by other programs each time"):
        migrations.upgrade(path, progress=told.append)
    assert [line.partition(" nex")[0] for line in told[::2]] == ["backing up " + str(path)] * 5
    assert not backups(path)
    execute(path, "DELETE FROM upload_log")


def test_a_lock_that_is_not_to_be_had_leaves_no_backup(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = count()

    def fails(connection: sqlite3.Connection, name: str) -> object:
        if name == "data_version" and next(asked):
            raise sqlite3.OperationalError("odd")
        return pragma(connection, name)

    monkeypatch.setattr(change, "pragma", fails)
    with pytest.raises(StoreError, match="odd"):
        migrations.upgrade(path)
    assert not backups(path)


@pytest.mark.parametrize(
    ("code", "kind", "kept"),
    [
        (sqlite3.SQLITE_FULL, StorageFullError, False),
        (sqlite3.SQLITE_BUSY, DatabaseLockedError, True),
        (sqlite3.SQLITE_ERROR, MigrationError, True),
    ],
)
def test_what_stops_a_change_leaves_the_file_as_it_was(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    kind: type[StoreError],
    kept: bool,
) -> None:
    def fail(*_: object) -> None:
        error = sqlite3.OperationalError("stopped")
        error.sqlite_errorcode = code
        raise error

    execute(path, "CREATE TRIGGER mine AFTER INSERT ON upload_log BEGIN SELECT 1; END")
    before = query(path, "SELECT * FROM sqlite_master")
    monkeypatch.setattr(change, "verify", fail)
    with pytest.raises(kind) as caught:
        migrations.upgrade(path)
    assert query(path, "SELECT * FROM sqlite_master") == before
    assert len(backups(path)) == kept
    if kind is MigrationError:
        (backup,) = backups(path)
        assert str(caught.value) == (
            f"{path}: verification failed: stopped. All was rolled back, the file is as it was "
            f"before (the backup {backup} is kept)"
        )


def test_indexes_that_a_file_lacks_are_made_on_the_way_to_the_head(path: Path) -> None:
    execute(path, "DROP INDEX ix_session_log_session_identifier")
    migrations.upgrade(path, backup=False)
    names = {name for (name,) in query(path, "SELECT name FROM sqlite_master")}
    assert {"ix_session_log_session_identifier", "nxs_session_log_to_build"} <= names


def test_an_installed_package_gets_no_new_migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    package = Path(nexuslims_store.__file__).parent
    monkeypatch.setattr(template, "sql_folder", lambda: package / "sql")
    with pytest.raises(MigrationError, match="installed package"):
        migrations.new("a thing", "v9_0_0")


UNSTAMPED = "DROP TABLE alembic_version"
BACKUP, TABLES = "its backup", "the new tables"


@pytest.mark.parametrize(
    ("start", "script", "target", "anew"),
    [
        ("v2_4_0a", "", "v2_4_0b", True),
        ("v2_4_0b", "", "v2_5_0a", False),
        ("v2_4_0b", UNSTAMPED, "v2_4_0b", False),
        ("v2_4_0b", f"{NULL_TIMES}; {UNSTAMPED}", "v2_4_0b", True),
        ("v2_4_0b", NULL_TIMES, "v2_5_0a", True),
    ],
)
@pytest.mark.parametrize("backup", [True, False])
def test_room_for_a_migration_is_enough_to_the_byte(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    start: str,
    script: str,
    target: str,
    anew: bool,
    backup: bool,
) -> None:
    class Usage:
        free = 0

    execute(make_file(path, start), script)
    needed = path.stat().st_size * (backup + anew)
    needs = " and ".join([BACKUP] * backup + [TABLES] * anew)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    if needed:
        Usage.free = needed - 1
        with pytest.raises(StorageFullError, match=f"{needed:,} bytes are needed for {needs}, and"):
            migrations.upgrade(path, target, backup=backup)
        assert not backups(path)
        Usage.free = needed
    assert migrations.upgrade(path, target, backup=backup).plan.made_anew == (
        ("upload_log",) if NULL_TIMES in script else ()
    )


@posix
def test_the_room_is_that_of_the_disk_to_which_a_link_leads(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 0

    asked: list[Path] = []

    def usage(folder: Path) -> type[Usage]:
        asked.append(folder)
        return Usage

    (path.parent / "links").mkdir()
    link = path.parent / "links" / path.name
    link.symlink_to(path)
    monkeypatch.setattr("shutil.disk_usage", usage)
    with pytest.raises(StorageFullError, match="its disk has 0 free"):
        migrations.upgrade(link)
    assert asked == [path.parent]


# -- what the application and the facility add ------------------------------------------


@pytest.mark.parametrize(
    "event", ["INSERT ON _yoyo_migration", "INSERT ON _yoyo_log", "UPDATE ON alembic_version"]
)
def test_no_trigger_runs_in_a_change(path: Path, event: str) -> None:
    body = "BEGIN INSERT INTO mine (what) VALUES (1); END"
    execute(path, f"CREATE TABLE mine (what); CREATE TRIGGER noted AFTER {event} {body};")
    migrations.upgrade(path, "v2_4_0b", backup=False)
    assert query(path, "SELECT what FROM mine") == []
    assert query(path, "SELECT name FROM sqlite_master WHERE type = 'trigger'") == [("noted",)]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("mine"), StoreError("mine")])
def test_an_error_that_is_not_sqlites_comes_as_it_is(path: Path, error: BaseException) -> None:
    def stop(line: str) -> None:
        if line == "verifying":
            raise error

    before = contents(path)
    with pytest.raises(type(error)) as caught:
        migrations.upgrade(path, progress=stop)
    assert caught.value is error
    assert contents(path) == before
    execute(path, "DELETE FROM upload_log")  # nothing is locked
