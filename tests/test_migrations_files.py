"""Every odd file of schema-history is recognised, migrated without loss, or refused untouched."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import older_lineage
from helpers.migration_checks import at, refused, store_says
from helpers.migration_files import (
    HEAD,
    MIRRORED,
    REVISIONS,
    backups,
    base,
    demo,
    downgraded_by_alembic,
    execute,
    expected,
    facts,
    query,
)

from nexuslims_store import migrations
from nexuslims_store.errors import (
    NotANexusLIMSDatabaseError,
    PendingMigrationsError,
    SchemaMismatchError,
)

SESSION_LOG_COLUMNS = (
    "id_session_log INTEGER, session_identifier, instrument, timestamp, event_type, "
    "record_status, user"
)
INSTRUMENTS_COLUMNS = (
    "instrument_pid, api_url, calendar_url, location, schema_name, property_tag, filestore_path, "
    "harvester, timezone"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nexuslims.db"


# -- recognised and migrated -----------------------------------------------------------


@pytest.mark.parametrize("rows", [True, False], ids=["rows", "empty"])
def test_older_lineage(path: Path, rows: bool) -> None:
    older_lineage.create(path, rows=rows)
    assert migrations.current(path) == "v1_4_3"
    with pytest.raises(PendingMigrationsError, match="nexuslims-store migrate"):
        store_says(path)
    report = migrations.upgrade(path)

    assert facts(path) == expected(HEAD)
    assert report.before == "v1_4_3"
    assert report.after == HEAD
    assert report.adopted
    assert report.harvesters_filled == (older_lineage.NULL_HARVESTERS if rows else 0)
    assert query(path, "SELECT * FROM sqlite_sequence") == []
    assert store_says(path) == HEAD


def test_older_lineage_keeps_every_row_to_the_byte(path: Path) -> None:
    older_lineage.create(path)
    migrations.upgrade(path)

    assert query(path, "SELECT *, typeof(timestamp) FROM session_log ORDER BY 1") == [
        (*row, "text") for row in older_lineage.SESSION_LOG
    ]
    assert query(path, "SELECT * FROM instruments ORDER BY rowid") == [
        (pid, api_url, url, location, name, tag, folder, harvester or "nemo", zone)
        for pid, api_url, _, url, location, name, tag, folder, _, _, _, harvester, zone in (
            older_lineage.INSTRUMENTS
        )
    ]


def test_older_lineage_keeps_text_that_is_not_utf8(path: Path) -> None:
    older_lineage.create(path)
    execute(path, "UPDATE session_log SET user = CAST(x'66e9' AS TEXT)")
    execute(path, "UPDATE instruments SET timezone = CAST(x'e9' AS TEXT)")
    migrations.upgrade(path)
    assert query(path, "SELECT DISTINCT CAST(user AS BLOB) FROM session_log") == [(b"f\xe9",)]


@pytest.mark.parametrize("revision", REVISIONS)
def test_older_lineage_to_each_revision_and_down(path: Path, revision: str) -> None:
    older_lineage.create(path)
    migrations.upgrade(path, revision)
    assert migrations.current(path) == revision
    assert query(path, "SELECT count(*) FROM session_log") == [(len(older_lineage.SESSION_LOG),)]

    migrations.downgrade(path, "base")
    assert facts(path) == expected(None)


def test_older_lineage_straight_down(path: Path) -> None:
    """It lacks an index that the way down drops."""
    older_lineage.create(path)
    migrations.downgrade(path, "base")
    assert facts(path) == expected(None)


def test_demo(path: Path) -> None:
    demo(path)
    with pytest.raises(PendingMigrationsError, match="nexuslims-store migrate"):
        store_says(path)
    before = query(path, "SELECT * FROM session_log")
    report = migrations.upgrade(path)

    assert report.adopted
    assert report.applied == tuple(REVISIONS[len(MIRRORED) :])  # it is of v2_5_0b
    assert report.backup == backups(path)[0]
    assert facts(path)["version"] == [HEAD]
    assert expected(HEAD)["indexes"].items() <= facts(path)["indexes"].items()
    assert query(path, "SELECT * FROM session_log") == before
    assert not migrations.upgrade(path).changed
    migrations.downgrade(path, "v1_4_3")
    assert facts(path) == expected("v1_4_3")


def test_downgraded_part_of_the_way_by_nexuslims(path: Path) -> None:
    downgraded_by_alembic(path)
    statements = (
        "SELECT * FROM session_log",
        "SELECT id, session_identifier, destination_name, success, timestamp FROM upload_log",
    )
    rows = [query(path, statement) for statement in statements]
    migrations.upgrade(path)

    assert facts(path) == expected(HEAD)
    assert [query(path, statement) for statement in statements] == rows


def test_downgraded_to_base_by_nexuslims(path: Path) -> None:
    base(path)
    assert migrations.current(path) is None
    with pytest.raises(PendingMigrationsError, match="is at base"):
        store_says(path)
    migrations.upgrade(path)
    assert facts(path) == expected(HEAD)


def test_empty_file(path: Path) -> None:
    path.touch()
    assert migrations.current(path) is None
    with pytest.raises(NotANexusLIMSDatabaseError, match="empty"):
        store_says(path)
    assert migrations.upgrade(path).backup is None
    assert facts(path) == expected(HEAD)


def test_a_facilitys_own_tables_and_views_are_kept(path: Path) -> None:
    at(
        "v1_4_3",
        path,
        "CREATE TABLE visits (instrument REFERENCES instruments, note);"
        "INSERT INTO visits (instrument, note) VALUES ('sem', 'x'), ('gone', 'y');"
        "CREATE TABLE broken (a REFERENCES nowhere (b));"
        "CREATE VIEW waiting AS SELECT l.*, i.location FROM session_log l JOIN instruments i "
        "ON l.instrument = i.instrument_pid;"
        "CREATE VIEW names AS SELECT schema_name FROM instruments;",
    )
    migrations.upgrade(path)

    assert query(path, "SELECT count(*) FROM waiting") == [(1,)]
    assert query(path, "SELECT * FROM visits") == [("sem", "x"), ("gone", "y")]
    assert "instruments" in query(path, "SELECT sql FROM sqlite_master WHERE name = 'visits'")[0][0]


# -- leftovers of upgrades that NexusLIMS did not finish -------------------------------


@pytest.mark.parametrize(
    ("revision", "script", "table"),
    [
        (
            "v2_4_0a",
            f"CREATE TABLE session_log_new ({SESSION_LOG_COLUMNS}); "
            "INSERT INTO session_log_new SELECT * FROM session_log;",
            "session_log_new",
        ),
        ("v2_4_0b", f"CREATE TABLE session_log_old ({SESSION_LOG_COLUMNS});", "session_log_old"),
        (
            "v2_5_0a",
            f"CREATE TABLE _alembic_tmp_instruments ({INSTRUMENTS_COLUMNS});",
            "_alembic_tmp_instruments",
        ),
        (
            HEAD,
            f"CREATE TABLE _alembic_tmp_instruments ({INSTRUMENTS_COLUMNS});",
            "_alembic_tmp_instruments",
        ),
        (
            "v1_4_3",
            "CREATE TABLE upload_log (id INTEGER PRIMARY KEY, session_identifier, "
            "destination_name, success, timestamp, record_id, record_url, error_message, "
            "metadata_json); CREATE INDEX ix_upload_log_session_identifier "
            "ON upload_log (session_identifier);",
            "upload_log",
        ),
        (
            "v2_4_0b",
            "CREATE TABLE external_user_identifiers (id, nexuslims_username, external_system, "
            "external_id, email, created_at, last_verified_at, notes);",
            "external_user_identifiers",
        ),
    ],
    ids=lambda value: value if value in {*REVISIONS} else "",
)
def test_leftovers_are_removed(path: Path, revision: str, script: str, table: str) -> None:
    at(revision, path, script)
    with pytest.raises(SchemaMismatchError, match="migrate upgrade") as caught:
        store_says(path)
    assert table in str(caught.value)
    report = migrations.upgrade(path)

    assert report.leftovers_removed == (table,)
    assert report.before == revision
    assert facts(path) == expected(HEAD)
    assert query(path, "SELECT id_session_log FROM session_log") == [(4,)]
    assert query(backups(path)[0], f"SELECT count(*) FROM {table}")


def test_leftovers_go_on_the_way_down_to_base_too(path: Path) -> None:
    at("v2_4_0a", path, "CREATE TABLE session_log_new AS SELECT * FROM session_log LIMIT 0;")
    report = migrations.downgrade(path, "base")
    assert report.leftovers_removed == ("session_log_new",)
    assert report.after is None


@pytest.mark.parametrize(
    "name", ["_alembic_tmp_instruments", "_alembic_tmp_visits", "session_log_old"]
)
def test_an_own_table_that_is_called_like_a_leftover_stays(path: Path, name: str) -> None:
    at("v2_4_0a", path, f"CREATE TABLE {name} (instrument_pid, note); CREATE TABLE visits (x);")
    execute(path, f"INSERT INTO {name} (instrument_pid, note) VALUES ('sem', 'mine')")
    assert migrations.upgrade(path).leftovers_removed == ()
    assert query(path, f"SELECT instrument_pid, note FROM {name}") == [("sem", "mine")]
    assert store_says(path) == HEAD


def test_leftover_of_the_very_first_upgrade(path: Path) -> None:
    base(path)
    execute(
        path,
        "CREATE TABLE instruments (instrument_pid, api_url, calendar_name, calendar_url, location, "
        "schema_name, property_tag, filestore_path, harvester, timezone, computer_name, "
        "computer_ip, computer_mount)",
    )
    assert migrations.upgrade(path).leftovers_removed == ("instruments",)
    assert facts(path) == expected(HEAD)


def test_a_part_of_the_tables_without_alembics_is_no_leftover(path: Path) -> None:
    execute(
        path,
        "CREATE TABLE instruments (instrument_pid, api_url, calendar_name, calendar_url, location, "
        "schema_name, property_tag, filestore_path, harvester, timezone, computer_name, "
        "computer_ip, computer_mount)",
    )
    refused(path, SchemaMismatchError, "session_log is missing")


def test_leftover_whose_original_is_gone(path: Path) -> None:
    at("v2_4_0a", path, f"CREATE TABLE session_log_new ({SESSION_LOG_COLUMNS});")
    execute(path, "DROP TABLE session_log")
    path_backups = backups(path)
    for attempt in (migrations.upgrade, migrations.current, store_says):
        with pytest.raises(SchemaMismatchError, match=r"session_log is gone.*restore"):
            attempt(path)
    assert backups(path) == path_backups


def test_a_table_of_the_next_revision_with_rows_is_no_leftover(path: Path) -> None:
    at("v2_4_0a", path)
    execute(
        path,
        "INSERT INTO upload_log (id, session_identifier, destination_name, success, "
        "timestamp) "
        "VALUES (1, 's', 'cdcs', 1, 't')",
    )
    execute(path, "UPDATE alembic_version SET version_num = 'v1_4_3'")
    refused(path, SchemaMismatchError, "migrate stamp v2_4_0a")
    migrations.stamp(path, "v2_4_0a")
    migrations.upgrade(path)
    assert query(path, "SELECT count(*) FROM upload_log") == [(1,)]
