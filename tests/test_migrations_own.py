"""Columns, indexes and tables of a facility's own: kept, or told by name, and never lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from helpers import older_lineage
from helpers.command_line import call
from helpers.migration_checks import MOVES, at, make_file, mend, refused
from helpers.migration_files import HEAD, backups, execute, expected, facts, query

from nexuslims_store import MigrationError, SchemaMismatchError, Store, doctor, migrations
from nexuslims_store.migrations import Direction
from nexuslims_store.revisions import between, known_tables, position, tables_at

INFO = "FROM pragma_table_info"


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
    refused(path, SchemaMismatchError, "upload_log has own, which is not known", f"stamp {HEAD}")
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


def test_columns_that_would_be_lost_are_named_in_their_order(path: Path) -> None:
    names = ("d", "b", "f", "a", "e", "c")
    at("v2_5_0a", path, "".join(f"ALTER TABLE instruments ADD COLUMN {one};" for one in names))
    with pytest.raises(MigrationError, match="with its columns a, b, c, d, e, f, which are your"):
        migrations.upgrade(path)


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


# -- columns: no step drops one ---------------------------------------------------------


TABLES = [
    (start, end, direction, table)
    for start, end, direction in MOVES
    for table in sorted(known_tables() & tables_at(start).keys())
]


def column_survives(start: str | None, end: str | None, table: str) -> bool:
    """Whether the SQL of a step alone keeps a column that it does not know."""
    up = position(end) > position(start)
    with closing(sqlite3.connect(":memory:")) as connection:
        for step in between(None, start):
            connection.executescript(step.path.read_text(encoding="utf-8"))
        connection.execute(f"ALTER TABLE {table} ADD COLUMN mine")
        for step in between(start, end):
            script = step.path if up else step.rollback_path
            connection.executescript(script.read_text(encoding="utf-8"))
        columns = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
        return "mine" in [name for (name,) in columns]


@pytest.mark.parametrize(("start", "end", "direction", "table"), TABLES)
def test_each_step_keeps_an_own_column_or_is_refused_by_its_name(
    path: Path, start: str, end: str | None, direction: Direction, table: str
) -> None:
    make_file(path, start)
    execute(path, f"ALTER TABLE {table} ADD COLUMN mine VARCHAR DEFAULT 'kept'")
    before = path.read_bytes()
    move = getattr(migrations, direction)
    if column_survives(start, end, table):
        move(path, end or "base", backup=False)
        assert "mine" in [name for (name,) in query(path, f"SELECT name {INFO}('{table}')")]
    else:
        plan = migrations.plan(path, end or "base", direction=direction)
        refused = f"refused: that makes {table} anew or drops it, with its columns mine"
        assert refused in str(plan)
        with pytest.raises(MigrationError, match=f"cannot go to {end or 'base'}: .*mine"):
            move(path, end or "base")
        with pytest.raises(MigrationError, match="mine"):
            plan.to_sql()
        assert path.read_bytes() == before
        assert not backups(path)


def test_there_are_such_steps_in_both_directions() -> None:
    lossy = [move for *move, table in TABLES if not column_survives(move[0], move[1], table)]
    assert {direction for *_, direction in lossy} == {"upgrade", "downgrade"}


# -- tables that are not quite NexusLIMS's ----------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("location VARCHAR(100) NOT NULL", "location VARCHAR(100) NOT NULL COLLATE NOCASE"),
         "location is compared by NOCASE"),
        (("    UNIQUE (api_url)\n)", "    UNIQUE (api_url)\n) WITHOUT ROWID"),
         "it is WITHOUT ROWID"),
        ((",\n    UNIQUE (api_url)", ""), "(api_url) is not UNIQUE"),
    ],
)  # fmt: skip
def test_drift_is_named_and_mended_by_its_remedy(
    path: Path, change: tuple[str, str], words: str
) -> None:
    at(HEAD, path)
    ((sql,),) = query(path, "SELECT sql FROM sqlite_master WHERE name = 'instruments'")
    assert change[0] in str(sql)
    execute(
        path,
        "PRAGMA legacy_alter_table = ON; ALTER TABLE instruments RENAME TO former;"
        f"{str(sql).replace(*change)}; INSERT INTO instruments SELECT * FROM former;"
        "DROP TABLE former;",
    )
    found = doctor.examine(path)
    drift = [finding for finding in found if finding.code == "drift"]
    assert any(words in finding.message for finding in drift)
    assert not [finding for finding in found if finding.severity == "error"]
    mend(path, drift[0].remedy)
    assert not [finding for finding in doctor.examine(path) if finding.code == "drift"]
    assert query(path, "SELECT instrument_pid FROM instruments") == [("sem",)]


def test_the_case_of_a_name_is_no_difference(path: Path) -> None:
    at(HEAD, path)
    execute(
        path,
        "PRAGMA legacy_alter_table = ON; ALTER TABLE upload_log RENAME TO passing;"
        "ALTER TABLE passing RENAME TO Upload_LOG;",
    )
    with Store(path) as store:
        assert store.upload_logs.list_failed() == []
    codes = {finding.code for finding in doctor.examine(path)}
    assert not codes & {"drift", "harmless-drift", "unknown-tables"}
    migrations.downgrade(path, "v1_4_3")
    assert facts(path) == expected("v1_4_3")


# -- foreign keys -----------------------------------------------------------------------

REFERRING = {
    # What refers, the revision it is good at, and the one that takes away what it refers to.
    "CREATE TABLE pcs (n INTEGER PRIMARY KEY, pc VARCHAR CONSTRAINT of_pc REFERENCES instruments "
    "(computer_name) ON DELETE SET NULL ON UPDATE CASCADE NOT NULL DEFAULT 'a;b')":
        ("v2_5_0a", "v2_5_0b"),
    "CREATE TABLE pcs (n INTEGER PRIMARY KEY, pc, -- of that one\n FOREIGN KEY (pc) REFERENCES "
    "instruments (computer_name) DEFERRABLE INITIALLY DEFERRED, CHECK (n < 9)) STRICT"
    .replace("pc,", "pc TEXT,"): ("v2_5_0a", "v2_5_0b"),
    "CREATE TABLE pcs (n INTEGER PRIMARY KEY, pc REFERENCES upload_log)": ("v2_5_0b", "v1_4_3"),
    "ALTER TABLE session_log ADD COLUMN pc REFERENCES instruments (computer_name)":
        ("v2_5_0a", "v2_5_0b"),
}  # fmt: skip


def test_a_table_that_numbers_its_rows_gives_no_number_again(path: Path) -> None:
    """SQLite keeps the highest in a table of its own, which was taken for one of the step's."""
    made = "CREATE TABLE pcs (n INTEGER PRIMARY KEY AUTOINCREMENT, pc REFERENCES instruments"
    at("v2_5_0a", path, f"{made} (computer_name));")
    execute(path, "INSERT INTO pcs (pc) VALUES (NULL), (NULL); DELETE FROM pcs WHERE n = 2;")
    assert "refused" in str(migrations.plan(path))
    assert {finding.code for finding in doctor.examine(path)} >= {"in-the-way"}
    with pytest.raises(MigrationError) as caught:
        migrations.upgrade(path)
    mend(path, str(caught.value))
    execute(path, "INSERT INTO pcs (pc) VALUES (NULL)")
    assert query(path, "SELECT n FROM pcs ORDER BY n") == [(1,), (3,)]
    assert migrations.upgrade(path).changed


@pytest.mark.parametrize("made", REFERRING)
def test_a_foreign_key_of_ones_own_that_a_step_would_break(path: Path, made: str) -> None:
    before, after = REFERRING[made]
    table = made.split()[2]
    direction: Direction = "upgrade" if position(after) > position(before) else "downgrade"
    at(before, path, f"{made}; CREATE INDEX mine ON {table} (pc);")
    if table == "pcs":
        execute(
            path,
            "INSERT INTO pcs (n, pc) VALUES (3, 'x'), (1, 'y'); CREATE TABLE log (n);"
            "CREATE TRIGGER noted AFTER INSERT ON pcs BEGIN "
            "INSERT INTO log (n) VALUES ('one; ' || new.pc); END;",
        )
    rows = query(path, f"SELECT * FROM {table}")
    content = path.read_bytes()
    plan = migrations.plan(path, after, direction=direction)
    to = "instruments (computer_name)" if "(computer_name)" in made else "upload_log"
    refused = f"that takes away what pc of your table {table} refers to, {to}; "
    assert f"refused: {refused}" in str(plan)
    with pytest.raises(MigrationError, match=f"pc of your table {table}") as caught:
        getattr(migrations, direction)(path, after)
    assert (path.read_bytes(), backups(path)) == (content, [])

    mend(path, str(caught.value))
    getattr(migrations, direction)(path, after)
    assert query(path, f"SELECT * FROM {table}") == rows
    kept = query(path, "SELECT name FROM sqlite_master WHERE name IN ('mine', 'noted')")
    assert len(kept) == 1 + (table == "pcs")
    assert not {finding.code for finding in doctor.examine(path)} & {"dead-foreign-key", "drift"}


@pytest.mark.parametrize(
    ("made", "column"),
    [
        ("CREATE TABLE pcs (pc REFERENCES instruments (computer_name))", "computer_name"),
        ("CREATE TABLE pcs (pc REFERENCES gone)", "gone"),
        ("CREATE TABLE pcs (a, pc, FOREIGN KEY (a, pc) REFERENCES instruments)", "a, pc"),
    ],
)
def test_the_doctor_finds_a_dead_foreign_key(path: Path, made: str, column: str) -> None:
    at(HEAD, path, f"{made}; INSERT INTO pcs (pc) VALUES ('x')")
    (dead,) = (found for found in doctor.examine(path) if found.code == "dead-foreign-key")
    assert column in dead.message
    mend(path, dead.remedy)
    assert "dead-foreign-key" not in {found.code for found in doctor.examine(path)}
    assert query(path, "SELECT pc FROM pcs") == [("x",)]
    with Store(path) as store:
        assert store.instruments.rename("sem", "tem") == 1


@pytest.mark.parametrize(
    "columns",
    [
        "a REFERENCES gone, b REFERENCES gone_too (x) ON DELETE SET NULL NOT NULL DEFAULT 'k'",
        "a CONSTRAINT one REFERENCES gone MATCH FULL REFERENCES instruments (instrument_pid), b",
        'a, b, "check" UNIQUE, FOREIGN KEY (a, b) REFERENCES "gone" DEFERRABLE,'
        " CONSTRAINT two FOREIGN KEY (b) REFERENCES [gone] (x), CHECK (a <> 'b, (c')",
    ],
)
def test_one_command_takes_out_all_that_is_dead_and_nothing_else(path: Path, columns: str) -> None:
    at(
        HEAD,
        path,
        f"CREATE TABLE mine ({columns}); INSERT INTO mine (a, b) VALUES ('sem', 2), ('sem', 1);",
    )
    execute(path, "DELETE FROM mine WHERE rowid = 1")
    facts = "SELECT name, type, \"notnull\", dflt_value FROM pragma_table_info('mine')"
    before = query(path, facts)
    (dead,) = (found for found in doctor.examine(path) if found.code == "dead-foreign-key")
    mend(path, dead.remedy)
    assert not {found.code for found in doctor.examine(path)} & {"dead-foreign-key"}
    assert query(path, facts) == before
    assert query(path, "SELECT rowid, a, b FROM mine") == [(2, "sem", 1)]
    left = query(path, "SELECT \"table\" FROM pragma_foreign_key_list('mine')")
    assert left == [("instruments",)] * columns.count("instruments")
    sql = query(path, "SELECT sql FROM sqlite_master WHERE name = 'mine'")[0][0]
    assert ("CHECK (a <> 'b, (c')" in sql) == ("CHECK" in columns)


def test_a_foreign_key_that_an_upgrade_brings_to_life(path: Path) -> None:
    at("v1_4_3", path, "CREATE TABLE pcs (pc REFERENCES upload_log (id))")
    (dead,) = (found for found in doctor.examine(path) if found.code == "dead-foreign-key")
    assert dead.remedy == "nexuslims-store migrate"
    migrations.upgrade(path)
    assert "dead-foreign-key" not in {found.code for found in doctor.examine(path)}


# -- advice -----------------------------------------------------------------------------


def test_a_foreign_table_of_a_later_name(path: Path) -> None:
    at("v1_4_3", path, "CREATE TABLE upload_log (day, who, megabytes)")
    refused(path, SchemaMismatchError, "upload_log is no table of NexusLIMS's", "RENAME TO")
    execute(path, "ALTER TABLE upload_log RENAME TO our_uploads")
    migrations.upgrade(path)
    assert facts(path)["tables"]["upload_log"] == expected(HEAD)["tables"]["upload_log"]


def test_a_file_from_before_1_4_is_told_what_it_lacks(path: Path) -> None:
    older_lineage.create(path)
    execute(
        path,
        "ALTER TABLE instruments DROP COLUMN harvester;"
        "ALTER TABLE instruments DROP COLUMN timezone;",
    )
    with pytest.raises(SchemaMismatchError) as caught:
        migrations.upgrade(path)
    assert "restore" not in str(caught.value)
    found, *others = doctor.examine(path)
    assert (found.code, found.severity) == ("unknown-tables", "error")
    assert not [other for other in others if "doctor" in other.message]
    assert found.remedy.startswith("add what it lacks: sqlite3 ")
    mend(path, str(caught.value).partition("add what it lacks: ")[2])
    migrations.upgrade(path)
    assert query(path, "SELECT DISTINCT harvester, timezone FROM instruments") == [
        ("nemo", "America/New_York")
    ]


# -- rows that a downgrade drops ---------------------------------------------------------


def test_a_downgrade_says_which_rows_it_drops(path: Path) -> None:
    at(
        HEAD,
        path,
        "INSERT INTO upload_log (session_identifier, destination_name, success, timestamp) "
        "VALUES ('s', 'cdcs', 1, 't'), ('s', 'cdcs', 0, 't');",
    )
    plan = call("--db", path, "migrate", "downgrade", "v1_4_3", "--plan")
    assert "drop upload_log with its 2 rows" in plan.lines
    alone = call("--db", path, "migrate", "downgrade", "v1_4_3", "--no-backup")
    assert (alone.status, alone.out) == (2, "")
    assert "drop upload_log with its 2 rows" in alone.err
    assert "--yes" in alone.err
    assert "--plan" in alone.err
    assert migrations.current(path) == HEAD
    done = call("--db", path, "migrate", "downgrade", "v1_4_3", "--no-backup", "--yes")
    assert done.status == 0
    assert "dropped upload_log with its 2 rows" in done.lines
    assert not backups(path)
    # Nothing goes: nothing to ask.
    migrations.upgrade(path)
    assert call("--db", path, "migrate", "downgrade", "v1_4_3", "--no-backup").status == 0
