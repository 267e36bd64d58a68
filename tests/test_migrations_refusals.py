"""What is no database of NexusLIMS, or not as it should be, is refused untouched."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from helpers import older_lineage
from helpers.migration_checks import at, make_file, refused
from helpers.migration_files import (
    HEAD,
    backups,
    base,
    contents,
    demo,
    execute,
    expected,
    facts,
    query,
)

from nexuslims_store import default_path, migrations
from nexuslims_store.errors import (
    DatabaseNotFoundError,
    MigrationError,
    NotANexusLIMSDatabaseError,
    SchemaMismatchError,
    UnknownRevisionError,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nexuslims.db"


# -- refused ---------------------------------------------------------------------------


def test_no_file(path: Path) -> None:
    for attempt in (migrations.current, migrations.pending, migrations.downgrade):
        with pytest.raises(DatabaseNotFoundError):
            attempt(path)
    with pytest.raises(DatabaseNotFoundError):
        migrations.stamp(path, HEAD)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"x"])
def test_a_stamp_with_nothing_to_say_writes_nothing(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    if content:  # SQLite would take it for an empty file
        with pytest.raises(NotANexusLIMSDatabaseError):
            migrations.stamp(path, "base")
    else:
        assert not migrations.stamp(path, "base").changed
    assert path.read_bytes() == content


def test_a_stamp_on_other_texts_than_utf_8(path: Path) -> None:
    execute(path, "PRAGMA encoding = 'UTF-16'; CREATE TABLE t (x); DROP TABLE t")
    before = path.read_bytes()
    with pytest.raises(SchemaMismatchError, match="UTF-16"):
        migrations.stamp(path, "base")
    assert path.read_bytes() == before


def test_wrong_stamp(path: Path) -> None:
    at("v1_4_3", path, f"UPDATE alembic_version SET version_num = '{HEAD}'")
    refused(path, SchemaMismatchError, HEAD, "migrate stamp v1_4_3")
    report = migrations.stamp(path, "v1")

    assert (report.before, report.after, report.changed) == (HEAD, "v1_4_3", True)
    assert (report.created, report.adopted, report.harvesters_filled) == (False, False, 0)
    assert (report.plan.empty, report.plan.created, report.plan.marks_wrong) == (False,) * 3
    assert 0 < report.seconds < 60
    assert migrations.current(path) == "v1_4_3"
    migrations.upgrade(path)
    assert facts(path) == expected(HEAD)


def test_version_row_without_tables(path: Path) -> None:
    base(path)
    execute(path, "INSERT INTO alembic_version (version_num) VALUES ('v2_4_0a')")
    refused(path, SchemaMismatchError, "migrate stamp base")
    migrations.stamp(path, "base")
    assert migrations.current(path) is None


def test_several_version_rows(path: Path) -> None:
    at("v2_4_0b", path, "INSERT INTO alembic_version (version_num) VALUES ('v2_5_0a'), ('zz')")
    refused(path, UnknownRevisionError, "v2_4_0b, v2_5_0a, 'zz'", "migrate stamp v2_4_0b")
    migrations.stamp(path, "v2_4_0b")
    assert facts(path) == expected("v2_4_0b")


def test_tables_of_a_newer_yoyo_beside_those_of_this_one(path: Path) -> None:
    make_file(path, "v2_4_0b")
    execute(path, "INSERT INTO _yoyo_version (version, installed_at_utc) VALUES (99, '2030-01-01')")
    before = path.read_bytes()
    with pytest.raises(MigrationError, match="upgrade yoyo-migrations"):
        migrations.upgrade(path)
    assert path.read_bytes() == before


def test_a_few_version_rows_are_enough_to_report(path: Path) -> None:
    at(
        "v2_4_0b",
        path,
        "INSERT INTO alembic_version (version_num) VALUES ('a'), ('f'), ('b'), ('e'), ('c'), ('d')",
    )
    refused(path, UnknownRevisionError, "'a', 'b', 'c', 'd', 'e'", "migrate stamp")
    with pytest.raises(UnknownRevisionError) as caught:
        migrations.current(path)
    assert "'f'" not in str(caught.value), str(caught.value)


@pytest.mark.parametrize("revision", ["v90_6_0a", "base", "head", "", "v2_5_0B"])
def test_later_nexuslims(path: Path, revision: str) -> None:
    at(HEAD, path, f"UPDATE alembic_version SET version_num = '{revision}'")
    refused(path, UnknownRevisionError, revision, "upgrade nexuslims_store")


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE songs (title);",
        "CREATE TABLE instruments (name, tuning);",
        "CREATE TABLE alembic_version (version_num); CREATE TABLE songs (title);",
        "CREATE TABLE alembic_version (version_num);"
        "INSERT INTO alembic_version (version_num) VALUES ('ab12');"
        "CREATE TABLE songs (title);",
        "CREATE TABLE alembic_version (version_num);"
        "INSERT INTO alembic_version (version_num) VALUES ('base');"
        "CREATE TABLE songs (title);",
        "CREATE TABLE alembic_version (other); CREATE TABLE songs (title);",
        "CREATE VIEW session_log AS SELECT 1 AS id_session_log;",
        "CREATE VIEW alembic_version AS SELECT 'v2_5_0b' AS version_num;",
    ],
)
def test_another_programs_database(path: Path, script: str) -> None:
    execute(path, script)
    refused(path, NotANexusLIMSDatabaseError, "another program's")
    with pytest.raises(NotANexusLIMSDatabaseError):
        migrations.stamp(path, HEAD)


def test_not_sqlite(path: Path) -> None:
    path.write_text("no database, but long enough to look like one. " * 30)
    refused(path, NotANexusLIMSDatabaseError)
    with pytest.raises(NotANexusLIMSDatabaseError):
        migrations.stamp(path, HEAD)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "ALTER TABLE session_log DROP COLUMN user; ALTER TABLE session_log ADD user AS (1)",
            "user (computed)",
        ),
        ("ALTER TABLE session_log RENAME COLUMN user TO person", "session_log lacks user"),
        ("DROP TABLE upload_log", "upload_log is missing"),
        (
            "ALTER TABLE upload_log RENAME TO u; CREATE VIEW upload_log AS SELECT * FROM u",
            "upload_log should be a plain table",
        ),
    ],
)
@pytest.mark.parametrize("stamped", [True, False])
def test_tables_of_no_revision(path: Path, script: str, words: str, stamped: bool) -> None:
    at(HEAD, path, script)
    if not stamped:
        execute(path, "DELETE FROM alembic_version")
    refused(path, SchemaMismatchError, words)
    with pytest.raises(SchemaMismatchError):
        migrations.stamp(path, HEAD)


# -- rows in the way -------------------------------------------------------------------


def test_rows_that_the_new_table_refuses_are_named(path: Path) -> None:
    at(
        "v2_4_0a",
        path,
        "INSERT INTO session_log (id_session_log, session_identifier, instrument, timestamp, "
        "event_type, record_status, user) "
        "SELECT 100 + value, 's', 'sem', 't', 'START', 'ODD', NULL "
        "FROM json_each('[1, 2, 3, 4, 5, 6, 7]');",
    )
    before = path.read_bytes()
    with pytest.raises(MigrationError) as caught:
        migrations.upgrade(path)
    message = str(caught.value)

    assert "cannot go to v2_5_0b: 7 row(s) of session_log do not fit v2_4_0b" in message
    assert "101 (record_status 'ODD'), 102 (record_status 'ODD')" in message
    assert "and 2 more" in message
    assert "record_status may be " in message
    assert "NO_CONSENT" in message
    assert path.read_bytes() == before
    assert not backups(path)
    execute(path, "UPDATE session_log SET record_status = 'ERROR' WHERE record_status = 'ODD'")
    assert migrations.upgrade(path).after == HEAD


def test_nulls_that_the_older_table_refuses_are_named(path: Path) -> None:
    demo(path)
    execute(path, "UPDATE session_log SET timestamp = NULL")
    with pytest.raises(MigrationError, match=r"id_session_log 1 .*timestamp must not be NULL"):
        migrations.downgrade(path, "v2_4_0a")


def test_a_null_key_is_named_too(path: Path) -> None:
    at("v2_5_0a", path)
    # As programs that make tables of their own have it: a key that may be NULL.
    execute(
        path,
        "PRAGMA writable_schema = ON;"
        "UPDATE sqlite_schema SET sql = replace(sql, 'instrument_pid VARCHAR(100) NOT NULL',"
        " 'instrument_pid VARCHAR(100)') WHERE name = 'instruments';"
        "PRAGMA writable_schema = RESET;"
        "INSERT INTO instruments (instrument_pid, api_url, calendar_name, calendar_url, location,"
        " schema_name, property_tag, filestore_path, harvester, timezone)"
        " SELECT NULL, 'https://e.com/2', calendar_name, calendar_url, location, schema_name,"
        " property_tag, filestore_path, harvester, timezone FROM instruments;",
    )
    before = path.read_bytes()
    with pytest.raises(MigrationError, match="instrument_pid must not be NULL"):
        migrations.upgrade(path)
    assert path.read_bytes() == before
    assert not backups(path)


def test_a_wrong_target_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for target in ("v7", "+9", "nonsense"):
        with pytest.raises(MigrationError):
            migrations.upgrade(default_path(), target)
        assert list(tmp_path.iterdir()) == [], target


@pytest.mark.parametrize("revision", ["v1_4_3", "v2_5_0a"], ids=["last step", "first step"])
def test_sqlites_own_refusal_is_a_migration_error(path: Path, revision: str) -> None:
    """Of what no look beforehand finds: here a column that one name of both is in."""
    at(revision, path)
    execute(
        path,
        "ALTER TABLE instruments RENAME TO former;"
        "CREATE TABLE instruments (instrument_pid VARCHAR(100) PRIMARY KEY, api_url, "
        "calendar_name, calendar_url, location, schema_name, property_tag, filestore_path, "
        "harvester, timezone, computer_name, computer_ip, computer_mount);"
        "INSERT INTO instruments SELECT * FROM former; DROP TABLE former;"
        "UPDATE instruments SET schema_name = NULL",
    )
    before = contents(path)
    with pytest.raises(MigrationError, match="v2_5_0b remove computer fields failed") as caught:
        migrations.upgrade(path)
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert contents(path) == before
    assert str(backups(path)[0]) in str(caught.value)


# -- stamp -----------------------------------------------------------------------------


def test_stamp_is_the_guides_recipe_for_an_older_file(path: Path) -> None:
    older_lineage.create(path)
    with pytest.raises(SchemaMismatchError, match="those of v1_4_3"):
        migrations.stamp(path, "head")
    with pytest.raises(SchemaMismatchError, match="those of v1_4_3"):
        migrations.stamp(path, "base")
    rows = query(path, "SELECT * FROM session_log")
    migrations.stamp(path, "v1_4_3")

    assert query(path, "SELECT * FROM session_log") == rows
    assert facts_of_version(path) == ["v1_4_3"]
    assert not migrations.stamp(path, "v1_4_3").changed
    assert migrations.upgrade(path).adopted is False


def test_stamp_wants_a_revision(path: Path) -> None:
    at(HEAD, path)
    for wrong in ("v90_6_0a", "v2_5", "-1", "+0", ""):
        with pytest.raises(MigrationError):
            migrations.stamp(path, wrong)


def facts_of_version(path: Path) -> list[str]:
    return [version for (version,) in query(path, "SELECT version_num FROM alembic_version")]
