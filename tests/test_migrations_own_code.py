"""Views, triggers and names of a facility's own: none runs, and what a step breaks is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.migration_checks import MOVES, at, make_file, mend
from helpers.migration_files import HEAD, backups, execute, query

from nexuslims_store import (
    MigrationError,
    SchemaMismatchError,
    Store,
    StoreError,
    doctor,
    migrations,
)
from nexuslims_store.migrations import Direction
from nexuslims_store.revisions import known_tables, tables_at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nexuslims.db"


def test_a_view_that_breaks_is_named_and_found_dead(path: Path) -> None:
    at(
        "v1_4_3",
        path,
        "CREATE VIEW names AS SELECT schema_name FROM instruments;"
        'CREATE VIEW computers AS SELECT "computer_name" FROM instruments;'
        "CREATE VIEW all_of_them AS SELECT * FROM computers;"
        "CREATE VIEW places AS SELECT location FROM instruments;"
        'CREATE VIEW greetings AS SELECT "hello" AS greeting, "location" FROM "instruments";',
    )
    plan = str(migrations.plan(path))
    for name in ("names", "computers", "all_of_them"):
        assert f"break your view {name}" in plan
    assert not re.search("places|greetings|sqlite_", plan)
    report = migrations.upgrade(path)

    assert report.plan.views_broken == ("names", "computers", "all_of_them")
    assert "your view names does not work any more" in str(report)
    found = [finding for finding in doctor.examine(path) if finding.code == "dead-view"]
    dead = [(finding.table, finding.message) for finding in found]
    assert [name for name, _ in dead] == ["names", "computers", "all_of_them"]
    assert "schema_name" in dead[0][1]
    assert "computer_name" in dead[1][1]


def test_a_trigger_that_breaks_is_named(path: Path) -> None:
    at(
        "v1_4_3",
        path,
        "CREATE TABLE visits (pid, note);"
        "CREATE TRIGGER busy AFTER UPDATE OF note ON visits BEGIN "
        "UPDATE instruments SET computer_name = new.note WHERE instrument_pid = new.pid; END;"
        "CREATE TRIGGER fine AFTER UPDATE ON visits BEGIN DELETE FROM visits WHERE pid = 1; END;",
    )
    assert "break your trigger busy" in str(migrations.plan(path))
    assert migrations.upgrade(path).plan.triggers_broken == ("busy",)
    codes = [finding.code for finding in doctor.examine(path)]
    assert "dead-trigger" in codes


GONE = [
    (start, end, direction, table, column)
    for start, end, direction in MOVES
    for table in sorted(known_tables() & tables_at(start).keys())
    for column in tables_at(start)[table].columns
    # At base nothing of one's own may be left, which is refused.
    if end and column not in getattr(tables_at(end).get(table), "columns", {})
]


@pytest.mark.parametrize(("start", "end", "direction", "table", "column"), GONE)
def test_what_needs_a_column_that_goes_is_named_in_both_directions(
    path: Path, start: str, end: str, direction: Direction, table: str, column: str
) -> None:
    make_file(path, start)
    execute(
        path,
        f"CREATE VIEW mine AS SELECT {column} FROM {table};"
        "CREATE TABLE visits (note);"
        "CREATE TRIGGER busy AFTER INSERT ON visits BEGIN "
        f"DELETE FROM {table} WHERE {column} = new.note; END;",
    )
    plan = migrations.plan(path, end, direction=direction)
    assert (plan.views_broken, plan.triggers_broken) == (("mine",), ("busy",))
    report = getattr(migrations, direction)(path, end, backup=False)
    for kind, name in (("view", "mine"), ("trigger", "busy")):
        assert f"break your {kind} {name}" in str(plan)
        assert f"your {kind} {name} does not work any more" in str(report)
    dead = [finding.code for finding in doctor.examine(path) if finding.code.startswith("dead-")]
    assert dead == ["dead-view", "dead-trigger"]


def test_a_file_of_ones_own_tables_alone_is_not_left_behind(path: Path) -> None:
    at(HEAD, path, "CREATE TABLE visits (day); CREATE VIEW days AS SELECT day FROM visits;")
    assert "refused: without NexusLIMS's tables" in str(
        migrations.plan(path, "base", direction="downgrade")
    )
    with pytest.raises(MigrationError, match=r"days, visits of your own.*Nothing was changed"):
        migrations.downgrade(path, "base")
    assert migrations.current(path) == HEAD


AUDIT = "CREATE TRIGGER audit AFTER INSERT ON {} BEGIN INSERT INTO mine (what) VALUES ('x'); END"
TRIGGERS = "SELECT sql FROM sqlite_master WHERE type = 'trigger'"


@pytest.mark.parametrize(
    "table", ["session_log", "instruments", "alembic_version", "_yoyo_migration", "_yoyo_log"]
)
def test_a_trigger_shuts_no_reader_out_and_survives_every_step(path: Path, table: str) -> None:
    at("v1_4_3", path, f"CREATE TABLE mine (what); {AUDIT.format(table)};")
    plan = call("--db", path, "migrate", "--plan")
    assert plan.status == 0
    assert "make your trigger audit again, which goes with its table" in plan.lines
    script = migrations.plan(path).to_sql()
    for move, target in (("upgrade", "head"), ("downgrade", "v1_4_3"), ("upgrade", "head")):
        assert getattr(migrations, move)(path, target, backup=False).changed
        assert query(path, TRIGGERS) == [(AUDIT.format(table),)]
    execute(path, "UPDATE alembic_version SET version_num = 'v1_4_3'; DELETE FROM _yoyo_migration")
    assert migrations.stamp(path, HEAD).changed
    assert query(path, "SELECT what FROM mine") == []
    assert query(path, TRIGGERS) == [(AUDIT.format(table),)]

    for command in ("status", "migrate current", "migrate check", "migrate --plan", "report -"):
        done = call("--db", path, *command.replace("report -", "report --output -").split())
        assert done.status == 0, done.err
    if table.startswith(("_yoyo", "alembic")):  # which no store writes to
        Store(path).close()
        return
    assert call("--db", path, "doctor").status == 1
    with pytest.raises(SchemaMismatchError, match=f"trigger audit on {table}.*> triggers.sql"):
        Store(path)
    places = ("DROP TRIGGER", "CREATE TABLE", "CREATE TRIGGER audit")
    assert sorted(places, key=script.index) == list(places)


def test_a_trigger_whose_table_goes_is_named(path: Path) -> None:
    at(HEAD, path, f"CREATE TABLE mine (what); {AUDIT.format('upload_log')};")
    plan = migrations.plan(path, "v1_4_3", direction="downgrade")
    assert "drop your trigger audit, whose table goes" in str(plan)
    assert "dropped your trigger audit" in str(migrations.downgrade(path, "v1_4_3"))
    assert query(backups(path)[0], TRIGGERS) == [(AUDIT.format("upload_log"),)]


@pytest.mark.parametrize(
    ("head", "body"),
    [("UPDATE OF computer_name", "SELECT 1"), ("INSERT", "SELECT new.computer_name")],
)
def test_a_trigger_that_names_a_column_that_goes(path: Path, head: str, body: str) -> None:
    at("v1_4_3", path, f"CREATE TRIGGER old AFTER {head} ON instruments BEGIN {body}; END;")
    assert "break your trigger old" in str(migrations.plan(path))
    assert migrations.upgrade(path).plan.triggers_broken == ("old",)
    assert "dead-trigger" in {finding.code for finding in doctor.examine(path)}


@pytest.mark.parametrize(
    ("script", "what"),
    [
        (
            "CREATE INDEX idx_nexuslims_username ON session_log (user)",
            "the index idx_nexuslims_username on session_log",
        ),
        ("CREATE TABLE instruments_new (x)", "the table instruments_new"),
        ("CREATE VIEW Instruments_New AS SELECT 1", "the view Instruments_New"),
    ],
)
def test_an_own_name_that_a_step_needs_is_refused_by_name(
    path: Path, script: str, what: str
) -> None:
    at("v1_4_3", path, script)
    before = path.read_bytes()
    plan = migrations.plan(path)
    assert f"refused: {what} is your own" in str(plan)
    for move in (plan.to_sql, lambda: migrations.upgrade(path)):
        with pytest.raises(MigrationError, match=f"{what} is your own"):
            move()
    assert path.read_bytes() == before
    assert not backups(path)
    found = {finding.code: finding for finding in doctor.examine(path)}
    assert what in found["in-the-way"].message
    assert "put right" in found["older-revision"].remedy
    assert "harmless-drift" not in found


KNOWN = "ix_session_log_session_identifier"
FORMER = '"session_log.fk_instrument_idx"'


@pytest.mark.parametrize("on", ["instruments (location)", "session_log (user)", "mine (a)"])
def test_an_index_of_ones_own_by_a_name_of_nexuslimss(path: Path, on: str) -> None:
    at("v2_4_0a", path, "CREATE TABLE mine (a);")
    execute(path, f"DROP INDEX {KNOWN}; CREATE INDEX {KNOWN} ON {on}")
    plan = str(migrations.plan(path))
    assert f"refused: the index {KNOWN} on {on.split()[0]} is your own" in plan
    with pytest.raises(MigrationError, match=KNOWN):
        migrations.upgrade(path)
    execute(path, f"DROP INDEX {KNOWN}; CREATE INDEX place ON {on}; CREATE INDEX {FORMER} ON {on}")
    migrations.upgrade(path)
    there = query(path, f"SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE INDEX%{on}'")
    assert {("place",), (FORMER.strip('"'),)} <= set(there)


def test_what_a_constraint_makes_is_no_index_of_ones_own(path: Path) -> None:
    at("v2_4_0a", path)
    ((sql,),) = query(path, "SELECT sql FROM sqlite_master WHERE name = 'session_log'")
    execute(
        path,
        "PRAGMA legacy_alter_table = ON; ALTER TABLE session_log RENAME TO former;"
        + str(sql).replace("PRIMARY KEY", "UNIQUE (timestamp), UNIQUE (event_type), PRIMARY KEY")
        + "; INSERT INTO session_log SELECT * FROM former; DROP TABLE former;",
    )
    assert "your index" not in str(migrations.plan(path))


def test_a_unique_index_of_ones_own_is_kept(path: Path) -> None:
    at("v1_4_3", path, "CREATE UNIQUE INDEX mine ON session_log (session_identifier, event_type)")
    migrations.upgrade(path)
    assert query(path, "SELECT name FROM sqlite_master WHERE name = 'mine'")
    (drift,) = (finding for finding in doctor.examine(path) if finding.code == "drift")
    assert "session_identifier, event_type) is UNIQUE" in drift.message
    assert "mine is an index of your own" in drift.remedy
    assert "harmless-drift" not in {finding.code for finding in doctor.examine(path)}


def test_a_write_that_a_unique_index_of_ones_own_refuses_names_it(path: Path) -> None:
    at(HEAD, path, "CREATE UNIQUE INDEX mine ON session_log (session_identifier, event_type)")
    with Store(path) as store:
        (event,) = store.session_logs.list_for_session("s")
        store.instruments.add(store.instruments.list()[0].model_copy(update=OTHER))
        with pytest.raises(StoreError, match="index mine on session_log, which is your own"):
            store.session_logs.insert(event.model_copy(update={"instrument": "tem"}))


OTHER = {"instrument_pid": "tem", "api_url": "https://e.com/2"}


def test_a_name_of_nexuslimss_on_another_table_is_given_back(path: Path) -> None:
    at(HEAD, path, f"DROP INDEX {KNOWN}; CREATE INDEX {KNOWN} ON instruments (location)")
    (taken,) = (finding for finding in doctor.examine(path) if finding.code == "taken-name")
    mend(path, taken.remedy)
    migrations.upgrade(path)
    assert {f.code for f in doctor.examine(path)} == {"harmless-drift", "unpaired"}


def test_a_trigger_is_not_dead_by_the_fault_of_another(path: Path) -> None:
    bodies = {
        "fine": "SELECT 1",
        "old": 'UPDATE instruments SET location = "computer_name"',  # else SQLite takes it for text
        "good": "SELECT 2",
    }
    script = "".join(
        f"CREATE TRIGGER {name} AFTER UPDATE ON instruments BEGIN {body}; END;"
        for name, body in bodies.items()
    )
    at("v1_4_3", path, script)
    migrations.upgrade(path)
    (dead,) = (finding for finding in doctor.examine(path) if finding.code == "dead-trigger")
    assert "the trigger old does not work" in dead.message


def test_what_another_trigger_keeps_from_working_does_not_work_either(path: Path) -> None:
    bodies = {"fine": "SELECT 1", "gone": "SELECT x FROM nowhere", "good": "SELECT 2"}
    script = "".join(
        f"CREATE TRIGGER {name} AFTER INSERT ON visits BEGIN {body}; END;"
        for name, body in bodies.items()
    )
    at(HEAD, path, f"CREATE TABLE visits (day);{script}")
    found = [finding.message for finding in doctor.examine(path) if finding.code == "dead-trigger"]
    assert len(found) == 3
    for name, message in zip(bodies, found, strict=True):
        assert f"the trigger {name} does not work: no such table: main.nowhere" in message
