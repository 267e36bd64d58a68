"""Each revision's tables, whichever way one gets there, are those that NexusLIMS makes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from helpers.interop.facts import REMOVE_COMPUTER_FIELDS
from helpers.migration_checks import make_file
from helpers.migration_files import (
    HEAD,
    MIRRORED,
    REVISIONS,
    contents,
    execute,
    expected,
    facts,
    query,
)

from nexuslims_store import migrations
from nexuslims_store.config import sql_folder
from nexuslims_store.errors import MigrationError
from nexuslims_store.revisions import history

BASE_AND_REVISIONS = [None, *REVISIONS]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nexuslims.db"


def yoyo(path: Path, command: str, *options: str) -> None:
    """Run yoyo's own command line on the folder of migrations."""
    folder = sql_folder() / "migrations"
    result = subprocess.run(
        [sys.executable, "-m", "yoyo", command, "--batch", "--no-config-file",
         "-d", f"sqlite:///{path}", *options, str(folder)],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def marks(path: Path) -> set[str]:
    return {name for (name,) in query(path, "SELECT migration_id FROM _yoyo_migration")}


def ids_up_to(revision: str | None) -> set[str]:
    place = BASE_AND_REVISIONS.index(revision)
    return {step.id for step in migrations.history()[:place]}


def test_history_is_nexuslims_own() -> None:
    assert REVISIONS[: len(MIRRORED)] == MIRRORED
    assert [step.down_revision for step in migrations.history()] == [None, *REVISIONS[:-1]]
    assert [step.title for step in migrations.history()][: len(MIRRORED)] == [
        "initial schema baseline",
        "add upload log table",
        "add check constraints",
        "add external user identifiers",
        "remove computer fields",
    ]


@pytest.mark.parametrize("revision", REVISIONS)
def test_up_from_nothing(path: Path, revision: str) -> None:
    report = migrations.upgrade(path, revision)

    assert facts(path) == expected(revision)
    assert migrations.current(path) == revision
    assert report.applied == tuple(REVISIONS[: REVISIONS.index(revision) + 1])
    assert marks(path) == ids_up_to(revision)


@pytest.mark.parametrize("revision", BASE_AND_REVISIONS)
def test_down_from_the_head(path: Path, revision: str | None) -> None:
    make_file(path)
    report = migrations.downgrade(path, revision or "base", backup=False)

    assert facts(path) == expected(revision)
    assert migrations.current(path) == revision
    assert report.applied == tuple(reversed(REVISIONS[BASE_AND_REVISIONS.index(revision) :]))
    assert marks(path) == ids_up_to(revision)


def test_one_step_at_a_time_down_and_up_again(path: Path) -> None:
    make_file(path)
    for revision in reversed(BASE_AND_REVISIONS[:-1]):
        migrations.downgrade(path, backup=False)
        assert facts(path) == expected(revision)
    for revision in REVISIONS:
        migrations.upgrade(path, "+1", backup=False)
        assert facts(path) == expected(revision)


def test_what_instruments_have_after_the_last_step_down(path: Path) -> None:
    make_file(path, REMOVE_COMPUTER_FIELDS)
    columns = "instrument_pid, api_url, calendar_url, location, {name}, property_tag, "
    columns += "filestore_path, harvester, timezone"
    rows = [tuple(f"{pid} {number}" for number in range(9)) for pid in "ZAM"]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            f"INSERT INTO instruments ({columns.format(name='display_name')})"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
    migrations.downgrade(path, backup=False)
    as_before = f"SELECT {columns.format(name='schema_name')} FROM instruments ORDER BY rowid"
    assert query(path, as_before) == rows
    others = "SELECT DISTINCT calendar_name, computer_name, computer_ip, computer_mount"
    assert query(path, f"{others} FROM instruments") == [("", None, None, None)]


def test_a_file_of_sql_changes_no_version_row_but_its_own() -> None:
    """As Alembic itself, whose branches have a row each."""

    def run(script: Path, revision: str | None) -> None:
        connection.executescript(script.read_text(encoding="utf-8"))
        rows = connection.execute("SELECT version_num FROM alembic_version")
        assert {name for (name,) in rows} == {"another", revision} - {None}

    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version (version_num) VALUES ('another')")
        for step in history():
            run(step.path, step.revision)
        for step in reversed(history()):
            run(step.rollback_path, step.down_revision)


def test_the_index_of_the_sessions_to_build_comes_and_goes_with_the_head(path: Path) -> None:
    make_file(path, REVISIONS[-2])
    assert not query(path, "SELECT * FROM sqlite_master WHERE name LIKE 'nxs!_%' ESCAPE '!'")
    migrations.upgrade(path)
    made = "SELECT sql FROM sqlite_master WHERE name = 'nxs_session_log_to_build'"
    ((sql,),) = query(path, made)
    assert " ".join(sql.split()).endswith(
        " session_log (session_identifier, instrument, event_type)"
        " WHERE record_status = 'TO_BE_BUILT'"
    )

    execute(path, "DROP INDEX nxs_session_log_to_build")
    report = migrations.upgrade(path)
    assert report.changed
    assert not report.applied
    assert query(path, made) == [(sql,)]

    migrations.downgrade(path)
    assert not query(path, "SELECT * FROM sqlite_master WHERE name LIKE 'nxs!_%' ESCAPE '!'")


def test_yoyo_and_its_marks_agree_with_ours(path: Path) -> None:
    yoyo(path, "apply")
    assert facts(path) == expected(HEAD)
    before = contents(path)
    report = migrations.upgrade(path)

    assert not report.changed
    assert contents(path) == before
    yoyo(path, "apply")  # finds nothing to do
    yoyo(path, "rollback", "--revision", "0003.v2_4_0b_add_check_constraints")
    assert facts(path) == expected("v2_4_0a")
    assert migrations.upgrade(path).before == "v2_4_0a"
    assert facts(path) == expected(HEAD)


def test_yoyo_goes_on_from_where_we_stopped(path: Path) -> None:
    make_file(path, "v2_4_0a")
    yoyo(path, "apply")

    assert facts(path) == expected(HEAD)
    assert not migrations.upgrade(path).changed


def test_marks_follow_the_version_row(path: Path) -> None:
    """Whatever was done to the file in between, the next run puts the marks right."""
    migrations.upgrade(path, "v2_4_0b")
    execute(path, "DELETE FROM _yoyo_migration")
    migrations.upgrade(path, "v2_5_0a")
    assert marks(path) == ids_up_to("v2_5_0a")

    execute(
        path,
        # As NexusLIMS's own downgrade: tables and version row, no marks.
        "DROP TABLE external_user_identifiers; UPDATE alembic_version SET version_num = 'v2_4_0b'",
    )
    report = migrations.upgrade(path)
    assert report.applied == tuple(REVISIONS[3:])
    assert marks(path) == ids_up_to(HEAD)


def test_marks_of_other_migrations_are_left_alone(path: Path) -> None:
    make_file(path)
    execute(
        path,
        "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc) "
        "VALUES ('abc', '0001.a-facility-own', '2025-01-01')",
    )

    assert not migrations.upgrade(path).changed
    migrations.downgrade(path, "base", backup=False)
    assert marks(path) == {"0001.a-facility-own"}


@pytest.mark.parametrize("start", BASE_AND_REVISIONS)
@pytest.mark.parametrize("end", BASE_AND_REVISIONS)
def test_the_script_does_what_the_migrations_do(
    tmp_path: Path, start: str | None, end: str | None
) -> None:
    path = tmp_path / "from_script.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(migrations.to_sql(None, "head"))
        connection.executescript(migrations.to_sql("head", start))
        assert start is None or facts(path) == expected(start)
        connection.executescript(migrations.to_sql(start, end))
    assert facts(path) == expected(end)
    assert migrations.current(path) == end


def test_the_script_reads_as_one() -> None:
    script = migrations.to_sql("v2_4_0b", "head")
    lines = [line for line in script.splitlines() if line and not line.startswith("--")]

    assert lines[:3] == [
        "PRAGMA foreign_keys = OFF;",
        "PRAGMA legacy_alter_table = ON;",
        "BEGIN EXCLUSIVE;",
    ]
    assert lines[-1] == "COMMIT;"
    assert "depends:" not in script
    with pytest.raises(MigrationError, match="v2_4_0a, v2_4_0b"):
        migrations.to_sql("v2_4", "head")


def test_the_history_on_a_server_is_the_later_part_of_that_of_files() -> None:
    on_server = history(server=True)
    for step, twin in zip(on_server, history()[-len(on_server) :], strict=True):
        assert (step.number, step.revision) == (twin.number, twin.revision)


def test_a_new_pair_of_files_is_numbered_and_checked(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    on_server = tmp_path / "postgresql" / "migrations"
    for place, steps in ((folder, migrations.history()), (on_server, history(server=True))):
        place.mkdir(parents=True)
        for step in steps:
            (place / step.path.name).write_text("")
    newest = migrations.history()[-1]
    stem = f"{newest.number + 1:04d}.v90_6_0a_add_a_table_for_tests"
    up, down, *others = migrations.new("Add  a table, for 'tests'", "v90_6_0a", folder)

    assert (up.name, down.name) == (f"{stem}.sql", f"{stem}.rollback.sql")
    assert [file.relative_to(on_server).name for file in others] == [up.name, down.name]
    assert f"-- depends: {newest.id}\n" in up.read_text()
    assert f"-- depends: {history(server=True)[-1].id}\n" in others[0].read_text()
    assert f"SET version_num = 'v90_6_0a' WHERE version_num = '{HEAD}';" in up.read_text()
    assert f"SET version_num = '{HEAD}' WHERE version_num = 'v90_6_0a';" in down.read_text()
    for older in ("v90_6_0a", "v90_6_0", "v2_5_9"):
        with pytest.raises(MigrationError, match=f"^{older} must be newer than the head, v90_6_0a"):
            migrations.new("another", older, folder)
    for wrong in ("90_7_0", "v90_7", "v90_7_0ab", "v90_7_0A"):
        with pytest.raises(MigrationError, match=f"^'{wrong}' is not of the form"):
            migrations.new("another", wrong, folder)
    with pytest.raises(MigrationError, match="letters"):
        migrations.new("!?", "v90_7_0", folder)
    later = migrations.new("numbers compare as numbers", "v90_10_0", folder)[0]
    assert later.name.startswith(f"{newest.number + 2:04d}")
