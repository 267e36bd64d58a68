"""Files stamped by NexusLIMS 2.2.0 to 2.4.1, whose revisions had other names."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import older_lineage
from helpers.command_line import call
from helpers.interop import facts as interop
from helpers.interop.facts import describe
from helpers.migration_checks import at, refused, store_says
from helpers.migration_files import HEAD, backups, execute, expected, facts, query

from nexuslims_store import (
    MigrationError,
    PendingMigrationsError,
    SchemaMismatchError,
    UnknownRevisionError,
    doctor,
    migrations,
)
from nexuslims_store.config import sql_folder
from nexuslims_store.display import quoted
from nexuslims_store.migrations import shapes
from nexuslims_store.migrations.shapes import folded

BASELINE, UPLOAD_LOG, CHECKS = "57f0798d0c6d", "0ea2bc3d2ebe", "2e1408e573b1"
NAMES = {BASELINE: "v1_4_3", UPLOAD_LOG: "v2_4_0a", CHECKS: "v2_4_0b"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nexuslims.db"


def shape(name: str) -> str:
    return (sql_folder() / "shapes" / f"{name}.sql").read_text(encoding="utf-8")


def former(path: Path, name: str) -> Path:
    """Make a file as those releases did: times may be NULL, and the name is the former one."""
    at(NAMES[name], path)
    tables = ["session_log", "upload_log"] if name != BASELINE else ["session_log"]
    shapes = {"session_log": "demo" if name == CHECKS else "from_2_2_to_2_4"}
    made = "".join(
        part + ";"
        for table in tables
        for part in shape(shapes.get(table, "from_2_2_to_2_4")).split(";")
        if f" {table} (" in part or f"ON {table} " in part
    )
    execute(
        path,
        "PRAGMA legacy_alter_table = ON;"
        + "".join(f"ALTER TABLE {table} RENAME TO former_{table};" for table in tables)
        + "DROP INDEX ix_session_log_session_identifier;"
        + ("DROP INDEX ix_upload_log_session_identifier;" * (len(tables) > 1))
        + ("DROP INDEX ix_upload_log_destination_name;" * (len(tables) > 1))
        + made
        + "".join(
            f"INSERT INTO {table} SELECT * FROM former_{table}; DROP TABLE former_{table};"
            for table in tables
        )
        + f"UPDATE alembic_version SET version_num = '{name}'",
    )
    return path


@pytest.mark.parametrize("name", NAMES)
def test_up_and_down(path: Path, name: str) -> None:
    former(path, name)
    if name != BASELINE:
        execute(
            path,
            "INSERT INTO upload_log (id, session_identifier, destination_name, success, timestamp) "
            "VALUES (7, 's', 'cdcs', 1, '2025-01-01T00:00:00+00:00')",
        )
    assert migrations.current(path) == NAMES[name]
    with pytest.raises(PendingMigrationsError, match="nexuslims-store migrate"):
        store_says(path)
    rows = query(path, "SELECT * FROM session_log")
    plan = str(migrations.plan(path))
    assert f"write {NAMES[name]} in place of {name!r}" in plan
    report = migrations.upgrade(path)

    assert facts(path) == expected(HEAD)
    assert query(path, "SELECT * FROM session_log") == rows
    assert report.plan.former == name
    assert report.adopted
    if name != BASELINE:
        assert "make upload_log anew" in plan
        assert query(path, "SELECT id FROM upload_log") == [(7,)]
    migrations.downgrade(path, NAMES[name])
    assert facts(path) == expected(NAMES[name])


@pytest.mark.parametrize("name", NAMES)
def test_the_script_does_the_same(tmp_path: Path, name: str) -> None:
    path, other = former(tmp_path / "a.db", name), former(tmp_path / "b.db", name)
    execute(other, migrations.plan(other).to_sql())
    migrations.upgrade(path)
    assert facts(other) == facts(path) == expected(HEAD)


def test_the_older_lineage_behind_a_former_name(path: Path) -> None:
    older_lineage.create(path)
    execute(
        path,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);"
        f"INSERT INTO alembic_version (version_num) VALUES ('{BASELINE}')",
    )
    report = migrations.upgrade(path)
    assert facts(path)["tables"]["session_log"] == expected(HEAD)["tables"]["session_log"]
    assert report.harvesters_filled == older_lineage.NULL_HARVESTERS
    assert query(path, "SELECT count(*) FROM session_log") == [(len(older_lineage.SESSION_LOG),)]


@pytest.mark.parametrize(("name", "table"), [(BASELINE, "session_log"), (CHECKS, "upload_log")])
def test_a_time_that_is_null_is_refused_by_id(path: Path, name: str, table: str) -> None:
    former(path, name)
    execute(
        path,
        "UPDATE session_log SET timestamp = NULL"
        if table == "session_log"
        else "INSERT INTO upload_log (id, session_identifier, destination_name, success) "
        "VALUES (7, 's', 'cdcs', 1)",
    )
    before = path.read_bytes()
    key = "id_session_log 4" if table == "session_log" else "id 7"
    for target in ("head", "v2_5_0a"):
        with pytest.raises(MigrationError, match=rf"{key} \(timestamp NULL\).*must not be NULL"):
            migrations.upgrade(path, target)
    assert path.read_bytes() == before
    assert not backups(path)
    found = doctor.examine(path)
    assert key in next(finding.message for finding in found if finding.code == "in-the-way")
    said = next((f.message for f in found if (f.code, f.table) == ("harmless-drift", table)), "")
    assert "may be NULL" not in said
    execute(path, f"UPDATE {table} SET timestamp = '2025-01-01T00:00:00'")
    migrations.upgrade(path, "v2_5_0a")
    assert facts(path)["tables"][table] == expected("v2_5_0a")["tables"][table]


def test_id_and_tables_that_disagree(path: Path) -> None:
    at("v1_4_3", path, f"UPDATE alembic_version SET version_num = '{CHECKS}'")
    refused(path, SchemaMismatchError, CHECKS, "v2_4_0b", "migrate stamp v1_4_3")
    migrations.stamp(path, "v1_4_3")
    assert migrations.upgrade(path).after == HEAD


def test_the_doctor_knows_them(path: Path) -> None:
    found = doctor.examine(former(path, UPLOAD_LOG))
    (one,) = (finding for finding in found if finding.code == "former-revision")
    assert UPLOAD_LOG in one.message
    assert one.remedy == "nexuslims-store migrate"
    assert not [finding for finding in found if finding.code == "drift"]


# -- names that nobody knows -----------------------------------------------------------


@pytest.mark.parametrize("name", ["v2_4_0_1", "v2_4_0_2", "abc'def", "57F0798D0C6D"])
def test_another_name_for_known_tables(path: Path, name: str) -> None:
    at("v2_4_0a", path)
    with_quotes = name.replace("'", "''")
    execute(path, f"UPDATE alembic_version SET version_num = '{with_quotes}'")
    refused(path, UnknownRevisionError, quoted(name), "migrate stamp v2_4_0a --force")

    with pytest.raises(UnknownRevisionError, match="--force"):
        migrations.stamp(path, "v2_4_0a")
    assert call("--db", path, "migrate", "stamp", "v2_4_0a").status == 2
    assert call("--db", path, "migrate", "stamp", "v2_4_0a", "--force").status == 0
    assert migrations.upgrade(path).after == HEAD


def test_a_newer_revision_is_not_stamped_over(path: Path) -> None:
    at(HEAD, path, "ALTER TABLE upload_log ADD COLUMN later VARCHAR;")
    execute(path, "UPDATE alembic_version SET version_num = 'v9_0_0'")
    refused(path, UnknownRevisionError, "'v9_0_0'", "upgrade nexuslims_store")
    before = path.read_bytes()
    with pytest.raises(UnknownRevisionError, match="'v9_0_0'"):
        migrations.stamp(path, "head")
    assert path.read_bytes() == before
    migrations.stamp(path, "head", force=True)
    assert migrations.current(path) == HEAD


# -- the shapes ------------------------------------------------------------------------

NULL_TIME = ("timestamp VARCHAR NOT NULL", "timestamp VARCHAR")


def test_the_shapes_are_what_nexuslims_made(tmp_path: Path) -> None:
    users = interop.EXTERNAL_USER_IDENTIFIERS.replace(
        "created_at VARCHAR NOT NULL", "created_at VARCHAR"
    )
    lines = [line for line in users.splitlines(keepends=True) if " index c idx_" not in line]
    by_name = "ix_external_user_identifiers_nexuslims_username (nexuslims_username)"
    lines.insert(9, f"  index c {by_name}\n")
    plain = interop.SESSION_LOG_DOWN_BY_NEXUSLIMS
    made = {
        "downgraded": {"instruments": interop.INSTRUMENTS_DOWN_BY_NEXUSLIMS, "session_log": plain},
        "from_2_2_to_2_4": {
            "session_log": plain.replace(*NULL_TIME).replace("(18)", "(15)"),
            "upload_log": interop.UPLOAD_LOG.replace(*NULL_TIME),
        },
        "demo": {
            "session_log": interop.SESSION_LOG_WITH_CHECKS.replace(*NULL_TIME),
            "external_user_identifiers": "".join(lines),
        },
    }
    for name, tables in made.items():
        path = tmp_path / name
        execute(path, shape(name))
        assert describe(path) == "".join(f"{table}{tables[table]}" for table in sorted(tables))


def test_the_shape_from_before_2_2_is_its_own_script() -> None:
    ours, theirs = (
        folded(text[text.index("CREATE") :].replace('"', ""))
        for text in (shape("before_2_2"), older_lineage.TABLES)
    )
    assert ours == theirs


def test_the_shapes_come_in_the_order_of_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what two of them explain is always said to be the same one's."""
    (tmp_path / "shapes").mkdir()
    for name in "dafcheb":
        (tmp_path / "shapes" / f"{name}.sql").write_text(
            f"-- as {name} has it\nCREATE TABLE t (x);"
        )
    monkeypatch.setattr(shapes, "sql_folder", lambda: tmp_path)
    assert list(shapes.shapes.__wrapped__()) == [f"as {name} has it" for name in "abcdefh"]
