"""The doctor: tables that differ from those of their revision, and revisions."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from contextlib import closing
from itertools import cycle
from pathlib import Path

import pytest
from helpers import migration_files
from helpers.command_line import call
from helpers.findings import EVENT, codes, examine, good, spoil, the
from helpers.migration_checks import make_file, mend

from nexuslims_store import migrations
from nexuslims_store.doctor import Finding


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return good(tmp_path)


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


def test_a_key_of_another_column(path: Path) -> None:
    remake(path, "upload_log", ("    PRIMARY KEY (id)", "    PRIMARY KEY (success)"))
    found = examine(path)
    assert codes(found) == {"lost-key"}
    assert mend(path, the("lost-key", found).remedy) == ""
    assert examine(path) == []


def test_events_without_a_key_are_named_by_their_rowid(path: Path) -> None:
    remake(path, "session_log", ("PRIMARY KEY (id_session_log)", "UNIQUE (id_session_log)"))
    spoil(
        path,
        "UPDATE session_log SET id_session_log = id_session_log + 100, timestamp = '2031-01-01' "
        "WHERE event_type = 'START'; UPDATE session_log SET instrument = 'gone', user = x'ff' "
        "WHERE rowid = 2",
    )
    told = [("far-ahead", 1), ("far-ahead", 3), ("unknown-instrument", 2), ("unreadable-value", 2)]
    found = [(one.code, one.row_id) for one in examine(path) if one.code in dict(told)]
    assert sorted(found, key=str) == told


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
        "DROP INDEX idx_external_lookup; CREATE INDEX mine ON session_log (user);",
    )
    found = examine(path)
    assert "idx_external_lookup" in the("missing-index", found).message
    assert "mine" in the("harmless-drift", found).message


OWN = {
    "on a table of its own": "INDEX {name} ON other (a)",
    "UNIQUE on a table of its own": "UNIQUE INDEX {name} ON other (a, b)",
    "on another table of ours": "INDEX {name} ON session_log (user)",
    "UNIQUE on another table of ours": "UNIQUE INDEX {name} ON session_log (id_session_log, user)",
    "on other columns": "INDEX [{name}] ON {table} ({key}, {column} DESC) WHERE {key} > 0",
    "UNIQUE on other columns": "UNIQUE INDEX {name} ON {table} ({key}, {column})",
    "UNIQUE on the same column": "UNIQUE INDEX {name} ON {table} ({column})",
    "in capitals": "INDEX {capitals} ON other (a, b)",
    "a table": 'TABLE {name} (a, "b;c")',
    "a view": "VIEW {name} AS SELECT a FROM other",
}


INDEXES = [
    ("idx_nexuslims_username", "external_user_identifiers", "id", "nexuslims_username"),
    ("ix_upload_log_destination_name", "upload_log", "id", "destination_name"),
    ("nxs_session_log_to_build", "session_log", "id_session_log", "session_identifier"),
]


# Each thing with the name of one of the indexes; each of these is taken by three things or more.
@pytest.mark.parametrize(
    ("what", "name", "table", "key", "column"),
    [(what, *index) for what, index in zip(OWN.values(), cycle(INDEXES), strict=False)],
    ids=OWN,
)
def test_what_has_the_name_of_an_index_of_ours_is_one_finding_and_gives_it_back(
    path: Path, what: str, name: str, table: str, key: str, column: str
) -> None:
    spoil(path, "DELETE FROM session_log WHERE event_type <> 'START'")
    spoil(path, "CREATE TABLE other (a, b); INSERT INTO other (a, b) VALUES (1, 2)")
    others = {(finding.code, finding.message) for finding in examine(path)}
    made = what.format(name=name, table=table, key=key, column=column, capitals=name.upper())
    spoil(path, f"DROP INDEX {name}; CREATE {made}")
    found = [one for one in examine(path) if (one.code, one.message) not in others]
    (finding,) = found
    assert (finding.code, finding.table) == ("taken-name", table)
    assert name in finding.message
    assert not migrations.upgrade(path).changed  # it cannot mend that, and does not try
    mend(path, finding.remedy)
    assert codes(examine(path)) <= {code for code, _ in others} | {"harmless-drift"}
    assert not migrations.upgrade(path).changed
    with closing(sqlite3.connect(path)) as connection:
        own = connection.execute(
            "SELECT type, sql FROM sqlite_master WHERE lower(name) = ?", (f"own_{name}",)
        ).fetchone()
    assert own[0] == what.replace("UNIQUE ", "").partition(" ")[0].lower()
    assert ("UNIQUE" in own[1]) == ("UNIQUE" in what and "other" in what)


# -- revisions -------------------------------------------------------------------------


def test_leftovers_of_an_interrupted_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "left.db"
    make_file(path, "v2_4_0a")
    spoil(
        path,
        "CREATE TABLE session_log_new (id_session_log, session_identifier, instrument, "
        "timestamp, event_type, record_status, user);",
    )
    finding = the("leftover", examine(path))
    assert (finding.severity, finding.table) == ("error", "session_log_new")
    migrations.upgrade(path, backup=False)
    assert examine(path) == []


MIGRATE = "nexuslims-store migrate"
WHEN_RIGHT = f"{MIGRATE}  (when what keeps it from being migrated is put right)"
TAKEN = "CREATE TABLE idx_external_lookup (a);"
NO_ROW = "DELETE FROM alembic_version;"
FORMER = "UPDATE alembic_version SET version_num = '0ea2bc3d2ebe';"
KEYLESS = (
    "CREATE TABLE made AS SELECT * FROM upload_log; DROP TABLE upload_log; ALTER TABLE made RENAME "
    "TO upload_log;"
)
LOST = ("lost-key", "error", "upload_log", "sqlite3 {path} 'PRAGMA foreign_keys = OFF; PRAGMA ")
IN_THE_WAY = ("in-the-way", "warning", None, "give it another")
UPGRADE = "a newer NexusLIMS was there; upgrade nexuslims_store"
NEWER = ("wrong-revision", "error", "alembic_version", UPGRADE)
RENAME = "give it another name: its statement is in `sqlite3 FILE .schema`"


@pytest.mark.parametrize(
    ("revision", "script", "expected"),
    [
        ("v2_4_0a", "", [("older-revision", "note", None, MIGRATE)]),
        (
            "v2_4_0a",
            TAKEN,
            [("older-revision", "note", None, WHEN_RIGHT), IN_THE_WAY],
        ),
        ("v2_4_0a", FORMER, [("former-revision", "warning", "alembic_version", MIGRATE)]),
        (
            "v2_4_0a",
            FORMER + TAKEN,
            [
                ("former-revision", "warning", "alembic_version", WHEN_RIGHT),
                IN_THE_WAY,
            ],
        ),
        ("v2_4_0a", NO_ROW, [("no-version-row", "warning", "alembic_version", MIGRATE)]),
        (
            "v2_4_0a",
            NO_ROW + TAKEN,
            [
                ("no-version-row", "warning", "alembic_version", WHEN_RIGHT),
                IN_THE_WAY,
            ],
        ),
        (
            "v2_4_0a",
            KEYLESS,
            [("older-revision", "note", None, MIGRATE), LOST],
        ),
        *(
            ("head", KEYLESS + script, expected)
            for script, expected in (
                ("ALTER TABLE session_log RENAME COLUMN user TO other", [LOST]),
                ("UPDATE alembic_version SET version_num = 'v9_9_9'", [NEWER, LOST]),
                (
                    "UPDATE alembic_version SET version_num = 'v9_9_9'; DROP TABLE instruments",
                    [("unknown-revision", "error", None, UPGRADE)],
                ),
                (
                    "DROP TABLE instruments; CREATE VIEW instruments AS SELECT 1 AS a",
                    [("foreign-code", "error", None, RENAME)],
                ),
                (
                    "DROP TABLE alembic_version; CREATE TABLE alembic_version (number PRIMARY KEY)",
                    [
                        (
                            *("wrong-revision", "error", "alembic_version"),
                            "give it another name (sqlite3 {path} 'BEGIN; ALTER TABLE ",
                        ),
                        LOST,
                    ],
                ),
            )
        ),
        ("head", NO_ROW, [("no-version-row", "warning", "alembic_version", MIGRATE)]),
        ("head", "DELETE FROM _yoyo_migration", [("marks", "note", "_yoyo_migration", MIGRATE)]),
        ("head", "DROP TABLE _yoyo_migration", []),
        (
            "head",
            "UPDATE alembic_version SET version_num = 'v1_4_3'",
            [
                (
                    *("wrong-revision", "error", "alembic_version"),
                    f"`{MIGRATE} stamp {migration_files.HEAD}` puts the version row right, "
                    f"then run `{MIGRATE}`",
                )
            ],
        ),
        (
            "head",
            "UPDATE alembic_version SET version_num = 'v9_9_9'; DROP TABLE upload_log",
            [("unknown-revision", "error", None, UPGRADE)],
        ),
        (
            "head",
            "DROP TABLE upload_log",
            [
                (
                    *("unknown-tables", "error", None),
                    "make a copy of the file and put its tables right in it; "
                    f"`nexuslims-store schema --format sql` prints those of {migration_files.HEAD}",
                )
            ],
        ),
        (
            "head",
            "DROP TABLE upload_log; CREATE VIEW upload_log AS SELECT 1 AS id",
            [("foreign-code", "error", None, RENAME)],
        ),
    ],
)
def test_what_is_said_of_the_revision(
    tmp_path: Path,
    revision: str,
    script: str,
    expected: list[tuple[str, str, str | None, str]],
) -> None:
    path = make_file(tmp_path / "a.db", revision)
    spoil(path, script)
    found = examine(path)
    assert [(one.code, one.severity, one.table) for one in found] == [one[:3] for one in expected]
    for one, (*_, remedy) in zip(found, expected, strict=True):
        # Of a long command how it begins; it is carried out by tests of its own.
        begins = remedy.format(path=path)
        assert one.remedy == begins or (" '" in remedy and one.remedy.startswith(begins))


def test_a_wrong_stamp(tmp_path: Path) -> None:
    path = tmp_path / "wrong.db"
    make_file(path, "v1_4_3")
    spoil(path, "UPDATE alembic_version SET version_num = 'v2_5_0b'")
    spoil(path, EVENT + "(3, 's', 'gone', '2025-01-01', 'START', 'ERROR')")
    found = examine(path)
    assert codes(found) == {"wrong-revision", "unknown-instrument"}
    assert "migrate stamp v1_4_3" in the("wrong-revision", found).remedy


def test_several_version_rows(path: Path) -> None:
    spoil(path, "INSERT INTO alembic_version (version_num) VALUES ('v1_4_3')")
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


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("session_log", "user"),  # else the upload would be that of a session that is not there
        ("session_log", "event_type"),
        ("instruments", "timezone"),
        ("instruments", "location"),
        ("external_user_identifiers", "notes"),
    ],
)
def test_a_table_that_lacks_a_column_is_not_asked_for_it(
    path: Path, table: str, column: str
) -> None:
    spoil(path, f'ALTER TABLE {table} RENAME COLUMN "{column}" TO other')
    found = examine(path)
    assert codes(found) == {"unknown-tables"}
    assert f"{table} lacks {column}" in found[0].message


def test_the_rows_of_a_table_without_rowid_are_not_examined(path: Path) -> None:
    remake(path, "upload_log", ("PRIMARY KEY (id)\n)", "PRIMARY KEY (id)\n) WITHOUT ROWID"))
    spoil(path, "UPDATE upload_log SET timestamp = 'x', session_identifier = 'gone'")
    what = "the rows of upload_log were not examined, since it is WITHOUT ROWID"
    found = examine(path)
    assert [finding.code for finding in found] == ["not-examined", "drift"]
    assert found[0] == Finding("not-examined", "note", what, table="upload_log")


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
