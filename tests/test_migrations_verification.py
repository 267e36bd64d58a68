"""What is checked of the rows: before a migration, that it can take them; after, that it did."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from helpers.migration_checks import make_file
from helpers.migration_files import base, execute

from nexuslims_store.errors import MigrationError
from nexuslims_store.migrations import verification
from nexuslims_store.revisions import tables_at
from nexuslims_store.tables import Table, read

# -- what is compared before and after -------------------------------------------------


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[tuple[sqlite3.Connection, Path]]:
    """A file at v2_5_0a with rows of several statuses, one of an instrument that is not there."""
    path = make_file(tmp_path / "nexuslims.db", "v2_5_0a")
    execute(
        path,
        "PRAGMA foreign_keys = OFF;"
        "INSERT INTO instruments (instrument_pid, api_url, calendar_name, calendar_url, location, "
        "schema_name, property_tag, filestore_path, harvester, timezone) VALUES "
        "('A', 'https://h/1', 'a', 'https://h/c', 'Here', 'Scope', '1', './a', 'nemo', 'UTC');"
        "INSERT INTO session_log (id_session_log, session_identifier, instrument, timestamp, "
        "event_type, record_status) VALUES (3, 's', 'A', '2025', 'START', 'ERROR'), "
        "(5, 's', 'A', '2025', 'END', 'ERROR'), (9, 't', 'A', '2025', 'START', 'COMPLETED'), "
        "(10, 't', 'gone', '2025', 'END', 'COMPLETED');"
        "INSERT INTO upload_log (id, session_identifier, destination_name, success, timestamp) "
        "VALUES (2, 's', 'cdcs', 1, '2025'), (4, 's', 'cdcs', 0, '2025');"
        "INSERT INTO external_user_identifiers (id, nexuslims_username, external_system, "
        "external_id, created_at) VALUES (1, 'a', 'nemo', '1', '2025');",
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection, path


def test_rows_are_counted_by_status_with_their_keys(
    counted: tuple[sqlite3.Connection, Path],
) -> None:
    connection, _ = counted
    rows = {
        "instruments": ([(1, "A", "A")], 0),
        "session_log": ([("COMPLETED", 2, 9, 10), ("ERROR", 2, 3, 5)], 1),
        "upload_log": ([(2, 2, 4)], 0),
    }
    users = {"external_user_identifiers": ([("nemo", 1, 1, 1)], 0)}
    assert verification.count_rows(connection, "v2_5_0a", "v2_5_0b") == rows | users
    assert verification.count_rows(connection, "v2_5_0a", "v2_4_0b") == rows
    for one, other in (("v2_4_0a", "v2_5_0a"), ("v2_5_0a", "v2_4_0a")):  # one has the CHECKs
        assert verification.count_rows(connection, one, other) == rows
    unchecked = verification.count_rows(connection, "v1_4_3", "v2_4_0a")["session_log"]
    assert unchecked == ([(4, 3, 10)], 1)
    assert verification.rows_dropped(connection, tables_at("v2_5_0a"), "v2_5_0b") == {}
    assert verification.rows_dropped(connection, tables_at("v2_5_0a"), "v1_4_3") == {
        "external_user_identifiers": 1,
        "upload_log": 2,
    }


LEFTOVER = (
    "CREATE TABLE _alembic_tmp_instruments (instrument_pid, api_url, calendar_url, location, "
    "schema_name, property_tag, filestore_path, harvester, timezone)"
)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            "DELETE FROM upload_log WHERE id = 2",
            "did not keep the rows of upload_log: (status, rows, lowest key, highest key) were "
            "[(2, 2, 4)], became [(1, 4, 4)]",
        ),
        ("UPDATE session_log SET id_session_log = 11 WHERE id_session_log = 10", "9, 11)"),
        ("UPDATE session_log SET record_status = 'ERROR' WHERE id_session_log = 9", "('ERROR', 3"),
        (
            "UPDATE session_log SET instrument = 'other' WHERE id_session_log = 3",
            "left 2 rows of session_log that refer to nothing, 1 before it",
        ),
        (
            "UPDATE alembic_version SET version_num = 'v2_4_0b'",
            "nexuslims.db: the migration to v2_5_0a left tables that are not those of v2_5_0a (",
        ),
        ("DELETE FROM alembic_version", "led to v2_5_0a, not to v2_5_0a"),
        (LEFTOVER, "led to v2_5_0a, not to v2_5_0a"),
        ("DROP INDEX idx_external_lookup", ""),
        ("UPDATE session_log SET instrument = 'A' WHERE id_session_log = 10", ""),
        ("", ""),
    ],
)
def test_a_migration_that_loses_something_is_no_migration(
    counted: tuple[sqlite3.Connection, Path], change: str, says: str
) -> None:
    connection, path = counted
    rows = verification.count_rows(connection, "v2_5_0a", "v2_5_0a")
    connection.execute(change)
    with pytest.raises(MigrationError, match=re.escape(says)) if says else nullcontext():
        verification.verify(connection, path, rows, "v2_5_0a", "v2_5_0a")


def test_the_rows_of_a_table_that_a_migration_dropped_are_not_counted(
    counted: tuple[sqlite3.Connection, Path],
) -> None:
    connection, path = counted
    rows = verification.count_rows(connection, "v2_5_0a", "v2_5_0a")
    connection.execute("DROP TABLE external_user_identifiers")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        verification.verify(connection, path, rows, "v2_5_0a", "v2_5_0a")


@pytest.mark.parametrize(
    ("start", "script", "after", "says"),
    [
        ("v2_5_0a", "", None, "base led to v2_5_0a, not to base"),
        ("v2_5_0a", "", "v2_4_0b", "v2_4_0b led to v2_5_0a, not to v2_4_0b"),
        (None, "", "v2_5_0a", "v2_5_0a led to base, not to v2_5_0a"),
        (
            *(None, "CREATE TABLE session_log (x)", None),
            "base left tables that are not those of base (",
        ),
    ],
)
def test_a_migration_that_leads_elsewhere_is_no_migration(
    tmp_path: Path, start: str | None, script: str, after: str | None, says: str
) -> None:
    path = tmp_path / "nexuslims.db"
    make_file(path, start) if start else base(path)
    execute(path, script)
    words = f"^{re.escape(f'{path}: the migration to {says}')}.*\\. All was rolled back$"
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(MigrationError, match=words),
    ):
        verification.verify(connection, path, {}, None if after else start, after)


# -- what is to tell rows apart --------------------------------------------------------

NUMBERED = "n INTEGER PRIMARY KEY"


@pytest.mark.parametrize(
    ("there", "becomes", "new"),
    [
        ("a, b", f"{NUMBERED}, a, b", []),
        ("a, b", f"{NUMBERED}, a, b, UNIQUE (a, b)", [("a", "b")]),
        ("a, b, c", f"{NUMBERED}, a, b, UNIQUE (a, b)", [("a", "b")]),
        ("a", f"{NUMBERED}, a, b, UNIQUE (a, b)", []),
        ("a, b, UNIQUE (a, b)", f"{NUMBERED}, a, b, UNIQUE (a, b)", []),
        ("a, b, UNIQUE (b, a)", f"{NUMBERED}, a, b, UNIQUE (a, b)", []),
        ("a, b, UNIQUE (a, b)", f"{NUMBERED}, a, b, UNIQUE (b, a)", []),
        ("a, b, UNIQUE (a)", f"{NUMBERED}, a, b, UNIQUE (a, b)", [("a", "b")]),
        ("a, b, PRIMARY KEY (b, a)", f"{NUMBERED}, a, b, UNIQUE (a, b)", []),
        ("a, b, UNIQUE (b, a)", "a, b, PRIMARY KEY (a, b)", []),
        ("a, b", "a, b, PRIMARY KEY (a, b)", [("a", "b")]),
        ("n", NUMBERED, []),
        ("n", f"{NUMBERED} DESC", [("n",)]),
        (
            "a, b, c, d, e, f",
            "a, b, c, d, e, f, UNIQUE (d), UNIQUE (a), UNIQUE (e), UNIQUE (c), UNIQUE (b), "
            "PRIMARY KEY (f)",
            [("f",), ("a",), ("b",), ("c",), ("d",), ("e",)],
        ),
    ],
)
def test_what_is_to_tell_rows_apart_and_does_not_yet(
    there: str, becomes: str, new: list[tuple[str, ...]]
) -> None:
    assert verification.new_uniques(made(there), made(becomes)) == new


def made(columns: str) -> Table:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE t ({columns})")
        return read(connection).tables["t"]
