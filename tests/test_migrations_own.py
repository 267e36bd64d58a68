"""A facility's own columns and indexes on NexusLIMS's tables: kept, or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.migration_checks import at, refused
from helpers.migration_files import HEAD, backups, execute, query

from nexuslims_store import MigrationError, SchemaMismatchError, Store, migrations


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nexuslims.db"


def test_a_column_of_ones_own_is_no_reason_to_refuse_a_stamped_file(path: Path) -> None:
    at(HEAD, path, "ALTER TABLE instruments ADD COLUMN room_key VARCHAR DEFAULT 'none';")
    execute(path, "UPDATE instruments SET room_key = 'k7'")

    with Store(path) as store:
        store.instruments.update(store.instruments.list()[0])
    assert migrations.current(path) == HEAD
    assert not migrations.upgrade(path).changed
    assert query(path, "SELECT room_key FROM instruments") == [("k7",)]


def test_stamp_is_the_way_for_such_a_file_without_a_version_row(path: Path) -> None:
    at(HEAD, path, "ALTER TABLE upload_log ADD COLUMN own; DROP TABLE alembic_version;")
    refused(path, SchemaMismatchError, "upload_log has own, which is not known", "stamp v2_5_0b")
    with pytest.raises(SchemaMismatchError):
        migrations.stamp(path, "v1_4_3")

    migrations.stamp(path, "head")
    with Store(path) as store:
        assert store.revision == HEAD


def test_a_step_that_would_lose_the_column_is_refused(path: Path) -> None:
    at("v2_4_0b", path, "ALTER TABLE instruments ADD COLUMN room_key;")
    assert migrations.upgrade(path, "v2_5_0a").applied == ("v2_5_0a",)
    made = len(backups(path))
    before = path.read_bytes()

    with pytest.raises(MigrationError, match="room_key") as caught:
        migrations.upgrade(path)
    assert "makes instruments anew" in str(caught.value)
    assert path.read_bytes() == before
    assert len(backups(path)) == made


def test_a_generated_column_is_refused(path: Path) -> None:
    at(HEAD, path, "ALTER TABLE instruments ADD COLUMN twice AS (location || location);")
    refused(path, SchemaMismatchError, "twice (computed)")


def test_an_index_of_ones_own_survives_a_table_that_is_made_anew(path: Path) -> None:
    at(
        "v2_4_0a",
        path,
        "CREATE INDEX mine ON session_log (user, timestamp);"
        "CREATE INDEX lost ON instruments (computer_name);"
        "CREATE INDEX place ON instruments (location);",
    )
    report = migrations.upgrade(path)

    names = {name for (name,) in query(path, "SELECT name FROM sqlite_master WHERE type='index'")}
    assert {"mine", "place"} <= names
    assert "lost" not in names
    assert report.indexes_lost == ("lost",)
