"""Columns of a facility's own that SQLite computes: read, migrated, and never run."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.findings import good
from helpers.migration_checks import at, make_file, mend
from helpers.migration_files import HEAD, backups, execute, expected, facts, query

from nexuslims_store import MigrationError, SchemaMismatchError, Store, doctor, migrations

COLUMNS = {
    "instruments": "location",
    "session_log": "session_identifier",
    "upload_log": "destination_name",
    "external_user_identifiers": "nexuslims_username",
}
READERS = ["status", "status --quiet", "report --output -", "sessions list", "users list",
           "instruments list", "uploads list", "schema", "schema --format sql",
           "migrate", "migrate current", "migrate check", "migrate --plan"]  # fmt: skip


def add_stored(path: Path, table: str, definition: str) -> None:
    """Add a column as only the statement that makes a table can."""
    ((sql,),) = query(path, f"SELECT sql FROM sqlite_master WHERE name = '{table}'")
    indexes = query(
        path,
        f"SELECT sql FROM sqlite_master WHERE tbl_name = '{table}' AND type = 'index' AND sql > ''",
    )
    names = ", ".join(
        f'"{n}"' for (n,) in query(path, f"SELECT name FROM pragma_table_info('{table}')")
    )
    first = str(sql).index("(") + 1
    column = names.partition(",")[0].strip('"')
    place = str(sql).index(column, first)
    fill = f"INSERT INTO {table} ({names}) SELECT {names} FROM former;"
    if query(path, f"SELECT count(*) FROM {table}") == [(0,)]:
        fill = ""  # SQLite 3.51 computes a default that is the same for all rows even of none
    execute(
        path,
        f"PRAGMA legacy_alter_table = ON; ALTER TABLE {table} RENAME TO former;"
        f"{str(sql)[:place]}{definition}, {str(sql)[place:]}; {fill} DROP TABLE former;"
        + "".join(f"{index};" for (index,) in indexes),
    )


@pytest.mark.parametrize("kind", ["VIRTUAL", "STORED"])
@pytest.mark.parametrize("table", COLUMNS)
def test_it_shuts_no_reader_out_and_its_remedy_works(tmp_path: Path, table: str, kind: str) -> None:
    path = good(tmp_path)
    definition = f"g TEXT GENERATED ALWAYS AS ({COLUMNS[table]} || '$1') {kind}"
    if kind == "STORED":
        add_stored(path, table, definition)
    else:
        execute(path, f"ALTER TABLE {table} ADD COLUMN {definition}")
    execute(
        path,
        f"ALTER TABLE {table} ADD COLUMN note TEXT DEFAULT 'mine';"
        f"CREATE INDEX find_g ON {table} (g); CREATE VIEW mine AS SELECT g FROM {table};",
    )
    values = query(path, f"SELECT g, note FROM {table} ORDER BY g")
    before = path.read_bytes()
    for command in READERS:
        done = call("--db", path, *command.split())
        assert done.status == 0, (command, done.err)
        assert "not known" not in done.err
    with pytest.raises(SchemaMismatchError, match=f"can be read.*compute g of {table};") as caught:
        Store(path)
    assert migrations.stamp(path, HEAD).changed is False
    assert path.read_bytes() == before

    (found,) = (finding for finding in doctor.examine(path) if finding.code == "computed-column")
    assert found.remedy in str(caught.value)
    assert "stamp" not in found.remedy
    assert "which touches no other value; a view of your own can compute it in" in found.remedy
    back = mend(path, found.remedy)
    with Store(path) as store:
        store.sessions.reset("built")
    mend(path, back)
    assert query(path, f"SELECT g, note FROM {table} ORDER BY g") == values
    assert query(path, "SELECT sql FROM sqlite_master WHERE name = 'find_g'")
    assert query(path, "SELECT count(*) FROM mine") == [(len(values),)]


@pytest.mark.parametrize(
    "definition",
    ["g AS (abs(-9223372036854775807 - 1))", "g NOT NULL DEFAULT (abs(-9223372036854775807 - 1))"],
)
@pytest.mark.parametrize("table", COLUMNS)
def test_what_it_computes_is_never_run(tmp_path: Path, table: str, definition: str) -> None:
    path = tmp_path / "nexuslims.db"
    make_file(path)
    add_stored(path, table, definition)  # which has no rows yet, where it would fail
    if "DEFAULT" not in definition:
        path.unlink()
        good(tmp_path).rename(path)
        execute(path, f"ALTER TABLE {table} ADD COLUMN {definition}")
        with pytest.raises(sqlite3.DatabaseError, match="overflow"):
            query(path, f"SELECT g FROM {table}")
    for command in READERS:
        assert call("--db", path, *command.split()).status == 0, command
    assert "computed-column" in {finding.code for finding in doctor.examine(path)}
    with pytest.raises(SchemaMismatchError, match=f"compute g of {table}"):
        Store(path)


@pytest.mark.parametrize("other", ["", "ALTER TABLE instruments ADD COLUMN h AS (g || g);"])
def test_a_step_that_makes_its_table_anew_says_how_it_is_kept(tmp_path: Path, other: str) -> None:
    path = at("v2_4_0b", tmp_path / "nexuslims.db")
    execute(
        path,
        f"ALTER TABLE instruments ADD COLUMN g TEXT AS (upper(location)); {other}"
        "CREATE INDEX find_g ON instruments (g) WHERE g > '';",
    )
    assert migrations.upgrade(path, "v2_5_0a").applied == ("v2_5_0a",)
    before = path.read_bytes()
    made = len(backups(path))
    plan = call("--db", path, "migrate", "--plan")
    assert plan.status == 1
    with pytest.raises(MigrationError, match="with its columns g") as caught:
        migrations.upgrade(path)
    assert path.read_bytes() == before
    assert len(backups(path)) == made
    back = mend(path, str(caught.value))
    migrations.upgrade(path)
    assert facts(path) == expected(HEAD)
    mend(path, back)
    assert query(path, "SELECT g FROM instruments WHERE g > ''") == [("L",)]


def test_a_column_of_ones_own_goes_to_a_table_of_ones_own(tmp_path: Path) -> None:
    path = at("v2_5_0a", tmp_path / "nexuslims.db")
    execute(
        path,
        "ALTER TABLE instruments ADD COLUMN room_key TEXT DEFAULT 'k7';"
        "ALTER TABLE instruments ADD COLUMN door TEXT AS (room_key || '!');"
        "CREATE INDEX find ON instruments (room_key);"
        "CREATE INDEX place ON instruments (location);",
    )
    with pytest.raises(MigrationError, match="columns door, room_key,") as caught:
        migrations.upgrade(path)
    assert "which keeps room_key in a table of your own" in str(caught.value)
    assert ".schema` prints" in str(caught.value)  # door needs what is gone
    mend(path, str(caught.value))
    assert query(path, "SELECT tbl_name FROM sqlite_master WHERE name = 'place'")
    migrations.upgrade(path)
    assert query(path, "SELECT instrument_pid, room_key FROM own_instruments") == [("sem", "k7")]


def test_a_default_that_is_computed_is_kept_and_keeps_writers_out(tmp_path: Path) -> None:
    path = good(tmp_path)
    add_stored(path, "upload_log", "mine TEXT DEFAULT (hex(randomblob(4)))")
    add_stored(path, "instruments", "made TEXT DEFAULT CURRENT_TIMESTAMP")  # nobody's text runs
    kept = query(path, "SELECT id, mine FROM upload_log")
    assert call("--db", path, "status").status == 0
    with pytest.raises(SchemaMismatchError, match="compute mine of upload_log;") as caught:
        Store(path)
    mend(path, str(caught.value))
    Store(path).close()
    assert query(path, "SELECT id, mine FROM own_upload_log") == kept


def test_what_cannot_be_taken_out_by_a_statement_is_not_advised(tmp_path: Path) -> None:
    path = good(tmp_path)
    add_stored(path, "instruments", "g TEXT AS (location) UNIQUE")
    with pytest.raises(SchemaMismatchError, match="make a copy of the file and take g out"):
        Store(path)


@pytest.mark.parametrize("stamped", [True, False])
def test_a_file_without_a_version_row_is_stamped_as_it_is_told(
    tmp_path: Path, stamped: bool
) -> None:
    path = good(tmp_path)
    execute(path, "ALTER TABLE upload_log ADD COLUMN g AS (success); ALTER TABLE upload_log ADD x;")
    if not stamped:
        execute(path, "DROP TABLE alembic_version")
        done = call("--db", path, "status")
        assert done.status == 2
        assert f"migrate stamp {HEAD}" in done.err
        assert call("--db", path, "migrate", "stamp", HEAD).status == 0
    assert call("--db", path, "status").status == 0


def test_a_column_with_a_name_of_another_revision_is_to_be_renamed(tmp_path: Path) -> None:
    path = good(tmp_path)
    execute(path, "ALTER TABLE instruments ADD COLUMN calendar_name TEXT")
    execute(path, "UPDATE instruments SET calendar_name = 'c'")
    with pytest.raises(SchemaMismatchError, match="calendar_name") as caught:
        Store(path)
    assert "stamp" not in str(caught.value)
    mend(path, str(caught.value))
    Store(path).close()
    assert query(path, "SELECT own_calendar_name FROM instruments") == [("c",)]


@pytest.mark.parametrize(
    "also",
    [
        "CREATE VIEW odd AS SELECT a, b FROM session_log",  # of what is taken out
        "CREATE VIEW odd AS SELECT x FROM nowhere",  # works no more, and SQLite stops at it
        "CREATE VIEW odd AS SELECT a FROM session_log; "
        "CREATE TRIGGER odder INSTEAD OF INSERT ON odd BEGIN SELECT 1; END",
    ],
)
def test_the_command_takes_out_all_or_nothing_beside_any_view(tmp_path: Path, also: str) -> None:
    path = good(tmp_path)
    execute(
        path,
        "ALTER TABLE session_log ADD COLUMN a INT AS (length(instrument)) VIRTUAL;"
        'ALTER TABLE session_log ADD COLUMN b INT AS (length("user")) VIRTUAL;'
        f"CREATE INDEX find_b ON session_log (b); {also};",
    )
    own = "SELECT name, sql FROM sqlite_master WHERE name LIKE 'odd%' ORDER BY name"
    texts = query(path, own)
    (found,) = (finding for finding in doctor.examine(path) if finding.code == "computed-column")
    back = mend(path, found.remedy)
    with Store(path) as store:
        store.sessions.reset("built")
    assert query(path, own) == texts
    mend(path, back)
    assert query(path, "SELECT a FROM session_log WHERE id_session_log = 1") == [(5,)]


def test_values_go_to_a_table_that_is_not_there_yet(tmp_path: Path) -> None:
    path = at(
        "v2_4_0b",
        tmp_path / "nexuslims.db",
        "ALTER TABLE instruments ADD COLUMN own TEXT; UPDATE instruments SET own = 'kept';"
        "CREATE TABLE own_instruments (theirs TEXT); CREATE VIEW odd AS SELECT x FROM nowhere;",
    )
    with pytest.raises(MigrationError) as caught:
        migrations.upgrade(path)
    mend(path, str(caught.value))
    assert migrations.upgrade(path).changed
    assert query(path, "SELECT instrument_pid, own FROM own_instruments_2") == [("sem", "kept")]
    assert query(path, "SELECT theirs FROM own_instruments") == []


@pytest.mark.parametrize("length", [200, 201])
def test_a_short_definition_is_part_of_the_command_that_brings_a_column_back(
    tmp_path: Path, length: int
) -> None:
    path = at(HEAD, tmp_path / "nexus lims.db")
    begin, end = "ALTER TABLE instruments ADD COLUMN g TEXT AS ('", "')"
    execute(path, begin + "x" * (length - len(begin + end)) + end)
    with pytest.raises(SchemaMismatchError) as caught:
        Store(path)
    back = mend(path, str(caught.value))
    assert (f"keep what `sqlite3 '{path}' .schema` prints" in back) == (length > 200)
    if length == 200:
        mend(path, back)
        with pytest.raises(SchemaMismatchError, match="compute g of instruments"):
            Store(path)
