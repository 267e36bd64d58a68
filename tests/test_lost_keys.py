"""Tables that another program made anew without their key: read, and never written to."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.findings import TITAN, good
from helpers.migration_checks import at, make_file, mend
from helpers.migration_files import HEAD, backups, execute, expected, facts, query

from nexuslims_store import (
    SchemaMismatchError,
    Store,
    StoreError,
    UploadLog,
    doctor,
    migrations,
)

TABLES = ["instruments", "session_log", "upload_log", "external_user_identifiers"]
REPLACED = {
    # As pandas' to_sql(if_exists="replace") makes a table: no key, no constraint, no NOT NULL.
    "without a key": "CREATE TABLE {table} AS SELECT * FROM former",
    "with an index column": "CREATE TABLE {table} AS SELECT rowid AS own_index, * FROM former",
}
WRITES: dict[str, Callable[[Store], object]] = {
    "instruments": lambda store: store.instruments.update(TITAN),
    "session_log": lambda store: store.sessions.reset("built"),
    "upload_log": lambda store: store.upload_logs.insert(
        UploadLog(session_identifier="built", destination_name="eln", success=True)
    ),
    "external_user_identifiers": lambda store: store.external_ids.store("bob", "nemo", "18"),
}
READERS = ["status", "status --quiet", "report --output -", "sessions list", "users list",
           "instruments list", "uploads list", "schema", "migrate current", "migrate check",
           "migrate --plan"]  # fmt: skip


def replace(path: Path, table: str, how: str = "without a key") -> None:
    execute(
        path,
        f"PRAGMA legacy_alter_table = ON; ALTER TABLE {table} RENAME TO former;"
        f"{REPLACED[how].format(table=table)}; DROP TABLE former;",
    )


@pytest.mark.parametrize("how", REPLACED)
@pytest.mark.parametrize("table", TABLES)
def test_nothing_is_written_to_a_table_whose_key_is_gone(
    tmp_path: Path, table: str, how: str
) -> None:
    path = good(tmp_path)
    rows = query(path, f"SELECT * FROM {table}")
    replace(path, table, how)
    before = path.read_bytes()
    for command in READERS:
        done = call("--db", path, *command.split())
        assert done.status == 0, (command, done.err)
        assert "PRIMARY KEY" not in done.err
    assert not migrations.upgrade(path).changed
    with Store(path) as store:
        with pytest.raises(SchemaMismatchError, match=f"{table} has lost its PRIMARY KEY.*doctor"):
            WRITES[table](store)
        with pytest.raises(SchemaMismatchError, match="lost its PRIMARY KEY"), store.transaction():
            WRITES[table](store)
    with pytest.raises(SchemaMismatchError, match=f"{table} has lost its PRIMARY KEY"):
        migrations.downgrade(path, "v1_4_3")
    assert path.read_bytes() == before
    assert not backups(path)

    (lost,) = (finding for finding in doctor.examine(path) if finding.code == "lost-key")
    assert lost.severity == "error"
    mend(path, lost.remedy)
    with Store(path) as store:
        WRITES[table](store)
        assert store.sessions.overview("built")
    assert len(query(path, f"SELECT * FROM {table}")) >= len(rows)
    if how == "with an index column":  # what it was is still there
        assert query(path, f"SELECT count(own_index) FROM nxs_{table}_former")
    migrations.upgrade(path)
    made = facts(path)["tables"][table]
    if how == "with an index column":
        assert made["columns"].pop() == "own_index INT"
        assert "keeps own_index" in lost.message
    assert made == expected(HEAD)["tables"][table]


@pytest.mark.parametrize("table", TABLES)
def test_the_other_tables_go_on(tmp_path: Path, table: str) -> None:
    path = good(tmp_path)
    replace(path, table)
    with Store(path) as store:
        for other, write in WRITES.items():
            if other != table:
                write(store)
        if table != "session_log":
            assert [event.timestamp for event in store.session_logs.list_for_session("built")][:1]


def test_two_are_both_told(tmp_path: Path) -> None:
    path = good(tmp_path)
    replace(path, "upload_log")
    replace(path, "external_user_identifiers")
    found = [finding for finding in doctor.examine(path) if finding.code == "lost-key"]
    assert {finding.table for finding in found} == {"upload_log", "external_user_identifiers"}
    for finding in found:
        mend(path, finding.remedy)
    assert {finding.severity for finding in doctor.examine(path)} <= {"note"}


@pytest.mark.parametrize("table", ["instruments", "session_log"])
def test_an_older_file_is_not_migrated_before_it_is_mended(tmp_path: Path, table: str) -> None:
    path = at("v2_4_0a", tmp_path / "nexuslims.db")
    rows = query(path, f"SELECT * FROM {table}")
    replace(path, table)
    before = path.read_bytes()
    for attempt in (migrations.plan, migrations.upgrade):
        with pytest.raises(SchemaMismatchError, match=f"{table} has lost its PRIMARY KEY"):
            attempt(path)
    assert (path.read_bytes(), backups(path)) == (before, [])
    (lost,) = (finding for finding in doctor.examine(path) if finding.code == "lost-key")
    mend(path, lost.remedy)
    assert query(path, f"SELECT * FROM {table}") == rows
    migrations.upgrade(path)
    assert facts(path)["tables"][table] == expected(HEAD)["tables"][table]


UNFIT = {
    "session_log": [
        "UPDATE session_log SET id_session_log = 1",
        "UPDATE session_log SET id_session_log = NULL WHERE id_session_log > 2",
        "UPDATE session_log SET record_status = 'WEIRD', event_type = NULL",
        "UPDATE session_log SET timestamp = NULL, instrument = NULL WHERE id_session_log = 2",
    ],
    "instruments": [
        "INSERT INTO instruments SELECT * FROM instruments",
        "UPDATE instruments SET harvester = NULL, location = NULL, own = 'y'",
    ],
    "upload_log": ["INSERT INTO upload_log SELECT * FROM upload_log"],
    "external_user_identifiers": [
        "INSERT INTO external_user_identifiers SELECT * FROM external_user_identifiers",
        "UPDATE external_user_identifiers SET external_system = 'orcid', created_at = NULL",
    ],
}
RIGHT = {
    "<START|END|RECORD_GENERATION>": "START",
    "record_status = '<": "COMPLETED",
    "external_system = '<": "cdcs",
    "<time, ISO 8601>": "2025-06-01T09:00:00-04:00",
    "api_url = '<": "https://nemo.example.com/2",
    "SET instrument = '<": "Titan",
}


@pytest.mark.parametrize(
    ("table", "spoiled"), [(table, each) for table, all_ in UNFIT.items() for each in all_]
)
def test_what_does_not_fit_is_named_first_and_every_remedy_works(
    tmp_path: Path, table: str, spoiled: str
) -> None:
    path = good(tmp_path)
    replace(path, table)
    own = f"CREATE TABLE seen (what); ALTER TABLE {table} ADD COLUMN own DEFAULT 'a;b';"
    own += f"{spoiled}; CREATE INDEX mine ON {table} (own);"
    own += f"CREATE TRIGGER noted AFTER INSERT ON {table} BEGIN INSERT INTO seen (what)"
    execute(path, f"{own} VALUES ('it''s; ' || new.own); END;")
    rows = query(path, f"SELECT own FROM {table}")
    for attempt in range(2):
        found = doctor.examine(path)
        (lost,) = (finding for finding in found if finding.code == "lost-key")
        assert sum("RENAME TO" in finding.remedy for finding in found) == 1
        for finding in found:
            if finding.severity == "error" and finding is not lost:
                assert finding.table == table, finding
                right = next((v for k, v in RIGHT.items() if k in finding.remedy), None)
                remedy = re.sub("<[^>]+>", right or f"another {finding.row_id}", finding.remedy)
                mend(path, remedy.replace("'<another>'", "'x' || rowid"))
        mend(path, lost.remedy)
        assert not [f for f in doctor.examine(path) if f.severity == "error"]
        assert query(path, f"SELECT own FROM {table}") == rows
        names = "('mine', 'noted')"
        on = query(path, f"SELECT tbl_name FROM sqlite_master WHERE name IN {names}")
        assert on == [(table,)] * 2
        assert query(path, "SELECT what FROM seen") == []
        if attempt == 0:  # once more: what the table was is still there, under its name
            execute(path, "DROP TRIGGER noted")
            replace(path, table)
            execute(
                path,
                f"CREATE INDEX mine ON {table} (own); CREATE TRIGGER noted AFTER INSERT ON {table} "
                "BEGIN INSERT INTO seen (what) VALUES (new.own); END;",
            )
    assert len(query(path, "SELECT 1 FROM sqlite_master WHERE name LIKE 'nxs%former%'")) == 2


def test_a_refusal_is_a_new_error_each_time(tmp_path: Path) -> None:
    path = good(tmp_path)
    replace(path, "session_log")
    errors = []
    with Store(path) as store:
        for _ in range(3):
            with pytest.raises(SchemaMismatchError) as caught:
                store.sessions.reset("built")
            errors.append(caught.value)
    assert len({id(error) for error in errors}) == 3


def test_a_column_that_is_gone_is_not_read_as_its_name(tmp_path: Path) -> None:
    path = good(tmp_path)
    execute(path, "ALTER TABLE session_log ADD COLUMN own TEXT; UPDATE session_log SET own = 'x';")
    replace(path, "session_log")
    (found,) = (finding for finding in doctor.examine(path) if finding.code == "lost-key")
    execute(path, "ALTER TABLE session_log DROP COLUMN own")
    before = query(path, "SELECT * FROM session_log")
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        mend(path, found.remedy)
    assert query(path, "SELECT * FROM session_log") == before


def test_the_error_of_one_file_is_never_that_of_another(tmp_path: Path) -> None:
    path, other = good(tmp_path), tmp_path / "other.db"
    make_file(other)
    replace(path, "upload_log")
    statement = "INSERT INTO upload_log (session_identifier) VALUES ('1')"
    with Store(path) as store, Store(other) as another:
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            store.connection.execute(statement)
        another.connection.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)  # a program's own
        with pytest.raises(StoreError) as caught:
            another.instruments.add(TITAN)
    assert "PRIMARY KEY" not in str(caught.value)


@pytest.mark.parametrize(
    "spoiled",
    [
        "UPDATE session_log SET id_session_log = NULL",
        "UPDATE session_log SET id_session_log = 7",
        "UPDATE session_log SET id_session_log = 9223372036854775807 WHERE rowid < 3",
    ],
)
def test_who_has_no_number_of_ones_own_gets_one(tmp_path: Path, spoiled: str) -> None:
    path = good(tmp_path)
    replace(path, "session_log")
    execute(path, spoiled)
    (lost,) = (finding for finding in doctor.examine(path) if finding.severity == "error")
    assert "have no id_session_log or that of another, and get new ones" in lost.message
    assert "correct first" not in lost.remedy
    mend(path, lost.remedy)
    ids = query(path, "SELECT id_session_log, typeof(id_session_log) FROM session_log")
    assert {kind for _, kind in ids} == {"integer"}
    assert len(set(ids)) == len(query(path, "SELECT 1 FROM nxs_session_log_former")) == len(ids)


@pytest.mark.parametrize("odd", ["'x'", "5.5", "1e300", "x'ff'"])
def test_an_id_that_is_no_whole_number_is_named_before(tmp_path: Path, odd: str) -> None:
    path = good(tmp_path)
    replace(path, "session_log")
    execute(path, f"UPDATE session_log SET id_session_log = {odd} WHERE rowid = 2")
    found = doctor.examine(path)
    (lost,) = (finding for finding in found if finding.code == "lost-key")
    assert re.search(
        "correct first.* 1 row.s. of session_log do not fit.*must be a whole", lost.remedy
    )
    before = query(path, "SELECT * FROM session_log")
    with pytest.raises(sqlite3.IntegrityError, match="datatype mismatch"):
        mend(path, lost.remedy)
    assert query(path, "SELECT * FROM session_log") == before
    (value,) = (finding for finding in found if finding.code == "unreadable-value")
    mend(path, re.sub("<[^>]+>", "70", value.remedy))
    mend(path, lost.remedy)
    assert query(path, "SELECT id_session_log FROM session_log ORDER BY 1")[-1] == (70,)
    assert not [finding for finding in doctor.examine(path) if finding.severity == "error"]


def test_the_rows_of_a_lost_key_are_named_by_their_rowid(tmp_path: Path) -> None:
    path = good(tmp_path)
    replace(path, "session_log")
    execute(path, "UPDATE session_log SET id_session_log = NULL;" + REPEATED)
    (twice,) = (finding for finding in doctor.examine(path) if finding.code == "repeated-event")
    assert "(rows 1, 6)" in twice.message


REPEATED = (
    "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type, record_status)"
    " SELECT session_identifier, instrument, timestamp, event_type, record_status FROM session_log"
    " WHERE rowid = 1"
)


def test_the_commands_can_be_run_in_their_order_whatever_the_rowids_become(tmp_path: Path) -> None:
    path = good(tmp_path)
    execute(path, "ALTER TABLE session_log ADD COLUMN g AS (id_session_log + 1)")
    execute(
        path,
        "PRAGMA legacy_alter_table = ON; ALTER TABLE session_log RENAME TO former;"
        "CREATE TABLE session_log AS SELECT 9 - rowid AS rowid, * FROM former;"
        "DROP TABLE former; UPDATE session_log SET id_session_log = id_session_log + 1;"
        "UPDATE session_log SET timestamp = 'x' WHERE id_session_log = 3",
    )
    for finding in doctor.examine(path):
        if finding.severity == "error":
            mend(path, finding.remedy.replace("<time, ISO 8601>", "2025-06-01T09:30:00-04:00"))
    assert query(
        path, "SELECT id_session_log FROM session_log WHERE timestamp = '2025-06-01T09:30:00-04:00'"
    ) == [(3,)]
    assert query(path, "SELECT min(_rowid_), max(_rowid_) FROM session_log") == [(2, 6)]


def test_what_stays_of_the_former_table_holds_no_row_of_another_back(tmp_path: Path) -> None:
    path = good(tmp_path)
    replace(path, "session_log", "with an index column")
    execute(path, "ALTER TABLE session_log ADD COLUMN own REFERENCES instruments")
    execute(path, "UPDATE session_log SET own = 'Titan'")
    (lost,) = (finding for finding in doctor.examine(path) if finding.code == "lost-key")
    mend(path, lost.remedy)
    execute(path, "UPDATE session_log SET own = NULL")
    assert query(path, "SELECT DISTINCT own FROM nxs_session_log_former") == [("Titan",)]
    with Store(path) as store:
        assert store.instruments.rename("Titan", "Themis") == 5


OWN = (
    "a TEXT UNIQUE, b TEXT NOT NULL DEFAULT 'it''s -- ;' COLLATE NOCASE CHECK (b <> 'no'), "
    '"check" DECIMAL(10,2) DEFAULT -1e-3, "order" TEXT AS (a || \'!\') STORED, '
    '"two words" REFERENCES instruments (instrument_pid) ON DELETE SET NULL'
)


def test_what_makes_it_anew_keeps_every_word_of_a_column_of_ones_own(tmp_path: Path) -> None:
    path = good(tmp_path)
    listed = "id_session_log, session_identifier, instrument, timestamp, event_type, record_status"
    execute(
        path,
        "PRAGMA legacy_alter_table = ON; ALTER TABLE session_log RENAME TO former;"
        f'CREATE TABLE session_log (number INTEGER PRIMARY KEY AUTOINCREMENT, {listed}, "user", '
        f"{OWN}, UNIQUE (b, number));"
        f"INSERT INTO session_log ({listed}) SELECT {listed} FROM former; DROP TABLE former;"
        "CREATE INDEX mine ON session_log (a) -- the end",
    )
    rows = query(path, "SELECT number, b, id_session_log FROM session_log")
    (lost,) = (finding for finding in doctor.examine(path) if finding.code == "lost-key")
    assert "number, the key that it has, is UNIQUE then" in lost.message
    assert "sqlite_sequence" not in lost.remedy  # which it is in no more
    mend(path, lost.remedy)
    ((sql,),) = query(path, "SELECT sql FROM sqlite_master WHERE name = 'session_log'")
    for words in (OWN, "number INTEGER UNIQUE", "UNIQUE (b, number)"):
        assert words in sql
    assert query(path, "SELECT number, b, id_session_log FROM session_log") == rows
    assert query(path, "SELECT tbl_name FROM sqlite_master WHERE name = 'mine'")
    left = {finding.code for finding in doctor.examine(path) if finding.severity != "note"}
    assert left == {"computed-column"}


def test_what_cannot_be_typed_into_a_shell_is_not_advised(tmp_path: Path) -> None:
    path = good(tmp_path)
    replace(path, "session_log")
    execute(path, "CREATE INDEX mine ON session_log (instrument) WHERE instrument > 'a\tb'")
    (lost,) = (finding for finding in doctor.examine(path) if finding.code == "lost-key")
    assert lost.remedy.startswith("put the table right in a copy of the file")


def test_a_number_that_is_there_is_not_given_to_another_row_before(tmp_path: Path) -> None:
    path = good(tmp_path)
    ((sql,),) = query(path, "SELECT sql FROM sqlite_master WHERE name = 'session_log'")
    made = sql.replace("id_session_log INTEGER NOT NULL", "id_session_log INT")
    listed = "session_identifier, instrument, timestamp, event_type, record_status"
    execute(
        path,
        f"PRAGMA legacy_alter_table = ON; ALTER TABLE session_log RENAME TO former; {made};"
        f"INSERT INTO session_log ({listed}) SELECT {listed} FROM former WHERE id_session_log = 1;"
        "INSERT INTO session_log SELECT * FROM former; DROP TABLE former;",
    )
    (drift,) = (finding for finding in doctor.examine(path) if finding.code == "drift")
    mend(path, drift.remedy)
    kept = query(path, "SELECT id_session_log FROM session_log ORDER BY id_session_log")
    assert kept == [(number,) for number in range(1, 7)]
    assert (
        query(path, "SELECT event_type FROM session_log WHERE id_session_log IN (1, 6)")
        == [("START",)] * 2
    )
