"""What is said of a file whose tables and version row make no revision, and what is advised."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from helpers.migration_checks import at
from helpers.migration_files import HEAD, base, execute

from nexuslims_store import (
    NotANexusLIMSDatabaseError,
    PendingMigrationsError,
    SchemaMismatchError,
    Store,
    StoreError,
    UnknownRevisionError,
    migrations,
)

NO_REVISION = "{path}: its tables are those of no revision this package knows: {unlike}. Nothing "
NO_REVISION += "was changed; {remedy}"
ANEW = "make a copy of the file and put its tables right in it; `nexuslims-store schema --format "
ANEW += f"sql` prints those of {HEAD}"
STAMP = "if there are but columns of your own too many, `nexuslims-store migrate stamp {}` says so"
USER = "ALTER TABLE session_log ADD COLUMN user VARCHAR(50)"
RECORD_URL = "ALTER TABLE upload_log ADD COLUMN record_url VARCHAR(500)"
NO_ROW = "DELETE FROM alembic_version;"
USERS = "external_user_identifiers"
TABLES = (USERS, "instruments", "session_log", "upload_log")
OPTIONAL = ("email", "last_verified_at", "notes")
FORMER = ("calendar_name", "computer_ip", "computer_mount", "computer_name", "schema_name")
# The columns of a table that begins like NexusLIMS's.
SOME = "id INTEGER PRIMARY KEY, email, notes, created_at"
ANEW_WITH = "PRAGMA legacy_alter_table = ON; ALTER TABLE session_log RENAME TO former;"
ANEW_WITH += "CREATE TABLE session_log {}; DROP TABLE former;"
KEYED = "id_session_log INTEGER PRIMARY KEY, session_identifier, instrument, timestamp, "
KEYED += 'event_type, record_status, "user"'
RECORD_STATUS = f"({KEYED}, CONSTRAINT check_record_status CHECK (record_status > ''))"


def adding(*statements: str) -> str:
    script = "; ".join(["BEGIN", *statements, "COMMIT"])
    return f'add what it lacks: sqlite3 {{file}} "{script}"'


@pytest.mark.parametrize(
    ("revision", "script", "unlike", "remedy"),
    [
        (
            HEAD,
            "ALTER TABLE session_log RENAME COLUMN user TO person",
            "session_log has person, which is not known; session_log lacks user",
            adding(USER),
        ),
        (
            HEAD,
            "ALTER TABLE upload_log DROP COLUMN record_url; ALTER TABLE session_log DROP COLUMN "
            "user",
            "session_log lacks user; upload_log lacks record_url",
            adding(USER, RECORD_URL),
        ),
        (
            HEAD,
            "".join(f"ALTER TABLE {USERS} DROP COLUMN {column};" for column in OPTIONAL[::-1])
            + "ALTER TABLE upload_log DROP COLUMN record_url",
            "; ".join(f"{USERS} lacks {c}" for c in OPTIONAL) + "; upload_log lacks record_url",
            adding(
                f"ALTER TABLE {USERS} ADD COLUMN email VARCHAR",
                f"ALTER TABLE {USERS} ADD COLUMN last_verified_at VARCHAR",
                f"ALTER TABLE {USERS} ADD COLUMN notes VARCHAR",
                RECORD_URL,
            ),
        ),
        (
            "v1_4_3",
            f"{NO_ROW} ALTER TABLE session_log DROP COLUMN user",
            "session_log lacks user",
            adding(USER),
        ),
        (
            "v2_4_0a",
            f"{NO_ROW} ALTER TABLE upload_log DROP COLUMN record_url",
            "upload_log lacks record_url",
            adding(RECORD_URL),
        ),
        (
            "v2_5_0a",
            f"{NO_ROW} ALTER TABLE {USERS} DROP COLUMN notes",
            f"{USERS} lacks notes",
            adding(f"ALTER TABLE {USERS} ADD COLUMN notes VARCHAR"),
        ),
        # A column that must have a value is not added like that, and no other beside it.
        (
            HEAD,
            "ALTER TABLE upload_log DROP COLUMN success; "
            "ALTER TABLE upload_log DROP COLUMN record_url",
            "upload_log lacks record_url; upload_log lacks success",
            ANEW,
        ),
        (
            HEAD,
            "ALTER TABLE upload_log DROP COLUMN record_url; "
            "ALTER TABLE instruments ADD COLUMN computer_ip TEXT",
            "instruments has computer_ip, which is not known; upload_log lacks record_url",
            ANEW,
        ),
        (
            HEAD,
            f"DROP TABLE upload_log; DROP TABLE session_log; DROP TABLE {USERS}",
            f"{USERS} is missing; session_log is missing; upload_log is missing",
            ANEW,
        ),
        (
            "v1_4_3",
            f"CREATE TABLE upload_log (id PRIMARY KEY); CREATE TABLE {USERS} (id PRIMARY KEY)",
            f"{USERS} is too many; upload_log is too many",
            "upload_log is no table of NexusLIMS's, but has the name of one: give it another "
            "(ALTER TABLE upload_log RENAME TO …)",
        ),
        ("v2_4_0a", f"{NO_ROW} DROP TABLE instruments", "instruments is missing", ANEW),
        ("v2_4_0b", f"CREATE TABLE {USERS} ({SOME}, external_id)", f"{USERS} is too many", ANEW),
        # One is a column that could have another name, the other is none.
        (
            "v1_4_3",
            "ALTER TABLE instruments ADD COLUMN display_name;" + ANEW_WITH.format(RECORD_STATUS),
            "instruments has display_name, which is not known; "
            "session_log has CONSTRAINT check_record_status, which is not known",
            ANEW,
        ),
        # With half of its columns a table is another program's, with more it is NexusLIMS's.
        (
            "v2_4_0b",
            f"CREATE TABLE {USERS} ({SOME})",
            f"{USERS} is too many",
            f"{USERS} is no table of NexusLIMS's, but has the name of one: give it another "
            f"(ALTER TABLE {USERS} RENAME TO …)",
        ),
        (
            HEAD,
            "".join(f"ALTER TABLE instruments ADD COLUMN {c};" for c in (*FORMER[::-1], "own")),
            "; ".join(f"instruments has {c}, which is not known" for c in sorted([*FORMER, "own"])),
            "another revision has a column of that name; if it is your own here, give it another: "
            'sqlite3 {file} "BEGIN; '
            + "".join(f"ALTER TABLE instruments RENAME COLUMN {c} TO own_{c}; " for c in FORMER)
            + 'COMMIT"',
        ),
        (
            HEAD,
            f"{NO_ROW} {''.join(f'ALTER TABLE {table} ADD COLUMN own;' for table in TABLES)}",
            "; ".join(f"{table} has own, which is not known" for table in TABLES),
            STAMP.format(HEAD),
        ),
        (
            "v2_4_0a",
            f"{NO_ROW} ALTER TABLE session_log ADD COLUMN own",
            "session_log has own, which is not known",
            STAMP.format("v2_4_0a"),
        ),
    ],
)
def test_tables_of_no_revision_are_told_what_helps(
    tmp_path: Path, revision: str, script: str, unlike: str, remedy: str
) -> None:
    path = at(revision, tmp_path / "two words.db", script)
    with pytest.raises(SchemaMismatchError) as caught:
        Store(path)
    advice = remedy.format(file=shlex.quote(str(path)))
    assert str(caught.value) == NO_REVISION.format(path=path, unlike=unlike, remedy=advice)


SEVERAL = "{path} has several version rows ({rows}), so its revision is not certain; {tables}"
UNKNOWN = "{path} is at revision {row}, which this package does not know (its newest is {head}); "
NEWER = "a newer NexusLIMS was there; upgrade nexuslims_store"
THOSE = "its tables are those of {}: `nexuslims-store migrate stamp {}` says so"
SAYS = "{path}: the version row says {row}, but its tables are those of {tables}; "
SAYS += "`nexuslims-store migrate stamp {tables}` puts the version row right, then run "
SAYS += "`nexuslims-store migrate`"


def rows(*versions: str) -> str:
    listed = ", ".join(f"('{version}')" for version in versions)
    return f"{NO_ROW} INSERT INTO alembic_version (version_num) VALUES {listed};"


@pytest.mark.parametrize(
    ("revision", "script", "said"),
    [
        (HEAD, rows("v9_0_0"), UNKNOWN.format(path="{path}", row="'v9_0_0'", head=HEAD) + NEWER),
        (
            HEAD,
            rows("dead"),
            UNKNOWN.format(path="{path}", row="'dead'", head=HEAD)
            + THOSE.format(HEAD, f"{HEAD} --force")
            + f"; or else {NEWER}",
        ),
        (
            HEAD,
            f"{rows('dead')} DROP TABLE upload_log",
            UNKNOWN.format(path="{path}", row="'dead'", head=HEAD) + NEWER,
        ),
        (
            "v2_4_0b",
            rows("v2_5_0a", "57f0798d0c6d", "it s"),
            SEVERAL.format(
                path="{path}",
                rows="57f0798d0c6d, 'it s', v2_5_0a",
                tables=THOSE.format("v2_4_0b", "v2_4_0b"),
            ),
        ),
        (
            "v2_4_0b",
            f"{rows('v2_5_0a', 'v2_4_0b')} DROP TABLE upload_log",
            SEVERAL.format(
                path="{path}",
                rows="v2_4_0b, v2_5_0a",
                tables="its tables are those of no revision either",
            ),
        ),
    ],
)
def test_version_rows_that_make_no_known_revision(
    tmp_path: Path, revision: str, script: str, said: str
) -> None:
    path = at(revision, tmp_path / "nexuslims.db", script)
    with pytest.raises(UnknownRevisionError) as caught:
        Store(path)
    assert str(caught.value) == said.format(path=path)


@pytest.mark.parametrize(
    ("revision", "version", "row"),
    [("v1_4_3", HEAD, HEAD), ("v2_4_0b", "0ea2bc3d2ebe", "0ea2bc3d2ebe (today v2_4_0a)")],
)
def test_a_version_row_that_is_not_that_of_the_tables(
    tmp_path: Path, revision: str, version: str, row: str
) -> None:
    path = at(revision, tmp_path / "nexuslims.db", rows(version))
    with pytest.raises(SchemaMismatchError) as caught:
        Store(path)
    assert str(caught.value) == SAYS.format(path=path, row=row, tables=revision)


def test_a_version_table_of_another_program_beside_a_trigger_of_its_name(tmp_path: Path) -> None:
    path = at(
        HEAD,
        tmp_path / "nexuslims.db",
        "DROP TABLE alembic_version; CREATE TABLE alembic_version (x);"
        "CREATE VIEW own_alembic_version AS SELECT 1;"
        "CREATE TRIGGER alembic_version AFTER INSERT ON session_log BEGIN SELECT 1; END",
    )
    with pytest.raises(SchemaMismatchError, match="has no column version_num") as caught:
        Store(path)
    assert 'RENAME TO "own_alembic_version_2"; CREATE TABLE alembic_version' in str(caught.value)


LOG = "id_session_log, session_identifier, instrument"


@pytest.mark.parametrize(
    ("script", "left"),
    [
        (f"CREATE TABLE session_log_new ({LOG}, timestamp)", "session_log_new"),
        (f"CREATE TABLE session_log_old ({LOG}, timestamp)", "session_log_old"),
        (
            "CREATE TABLE _alembic_tmp_instruments (instrument_pid, api_url, calendar_name, "
            "calendar_url, location, schema_name, property_tag)",
            "_alembic_tmp_instruments",
        ),
        (
            f"CREATE TABLE session_log_old ({LOG}, timestamp);"
            f"CREATE TABLE session_log_new ({LOG}, timestamp);"
            f"CREATE TABLE _alembic_tmp_session_log ({LOG}, timestamp)",
            "_alembic_tmp_session_log, session_log_new, session_log_old",
        ),
        (f"CREATE TABLE session_log_new ({LOG})", ""),  # half of its columns and less
        (f"CREATE TABLE session_log_new ({LOG}, timestamp, mine)", ""),
        (f"CREATE TABLE _alembic_tmp_alembic_version ({LOG}, timestamp)", ""),
    ],
)
def test_what_an_interrupted_upgrade_left_is_told_from_a_table_of_ones_own(
    tmp_path: Path, script: str, left: str
) -> None:
    path = at("v2_4_0a", tmp_path / "nexuslims.db", script)
    kind, said = (
        (SchemaMismatchError, f"was interrupted and left {left} behind")
        if left
        else (PendingMigrationsError, "is at v2_4_0a, this package")
    )
    with pytest.raises(kind, match=said):
        Store(path)
    assert migrations.current(path) == "v2_4_0a"


MOST = "id, nexuslims_username, external_system, external_id, email, created_at, notes"
NEXT = f"CREATE TABLE {USERS} ({MOST}, last_verified_at);"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (NEXT, f"was interrupted and left {USERS} behind"),
        (f"{rows('2e1408e573b1')} {NEXT}", f"was interrupted and left {USERS} behind"),
        (f"{NEXT} INSERT INTO {USERS} (id) VALUES (1)", "its tables are those of v2_5_0a"),
        (f"CREATE TABLE {USERS} ({MOST}, another)", f"{USERS} is too many"),
    ],
)
def test_empty_tables_of_the_next_revision_are_of_an_upgrade_that_was_interrupted(
    tmp_path: Path, script: str, said: str
) -> None:
    path = at("v2_4_0b", tmp_path / "nexuslims.db", script)
    with pytest.raises(SchemaMismatchError, match=said):
        Store(path)
    if "interrupted" in said:  # the version row is right, unless its name is a former one
        assert migrations.plan(path).adopt == ("2e1408e573b1" in script)


@pytest.mark.parametrize("table", ["mine", "instruments"])
def test_tables_of_another_program_beside_an_empty_version_table(
    tmp_path: Path, table: str
) -> None:
    path = tmp_path / "nexuslims.db"
    execute(
        path, f"CREATE TABLE alembic_version (version_num); CREATE TABLE {table} (name, tuning)"
    )
    with pytest.raises(NotANexusLIMSDatabaseError, match=f"has no NexusLIMS tables, but {table}."):
        Store(path)


def test_no_more_than_five_are_named(tmp_path: Path) -> None:
    for count, said in ((5, r"t0, t1, t2, t3, t4\."), (6, r"t0, t1, t2, t3, t4 and 1 more\.")):
        path = tmp_path / f"{count}.db"
        execute(path, "".join(f"CREATE TABLE t{number} (x);" for number in range(count)))
        with pytest.raises(StoreError, match=said):
            Store(path)


INSTRUMENTS = "CREATE TABLE instruments (instrument_pid PRIMARY KEY, api_url, calendar_name, "
INSTRUMENTS += "calendar_url, location, schema_name, property_tag, filestore_path, harvester, "
INSTRUMENTS += "timezone, computer_name, computer_ip, computer_mount);"


@pytest.mark.parametrize(
    ("version_table", "also", "said"),
    [
        (True, "", "was interrupted and left instruments behind"),
        (True, "INSERT INTO instruments (instrument_pid) VALUES (1)", "session_log is missing"),
        (False, "", "session_log is missing"),
    ],
)
def test_the_first_table_of_all_may_be_of_an_upgrade_that_was_interrupted(
    tmp_path: Path, version_table: bool, also: str, said: str
) -> None:
    path = tmp_path / "nexuslims.db"
    if version_table:
        base(path)
    execute(path, INSTRUMENTS + also)
    with pytest.raises(SchemaMismatchError, match=said):
        Store(path)


def test_several_rows_of_which_one_is_known_are_of_nexuslims(tmp_path: Path) -> None:
    path = base(tmp_path / "nexuslims.db")
    execute(path, f"{rows('v2_4_0a', 'zz')} CREATE TABLE songs (n INTEGER PRIMARY KEY);")
    with pytest.raises(UnknownRevisionError, match="several version rows"):
        Store(path)


def test_what_sqlite_makes_by_itself_is_no_table_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "songs.db"
    execute(path, "CREATE TABLE songs (n INTEGER PRIMARY KEY AUTOINCREMENT)")
    with pytest.raises(NotANexusLIMSDatabaseError, match="tables, but songs"):
        Store(path)


KEYLESS_UPLOADS = "ALTER TABLE upload_log RENAME TO uploads;"
KEYLESS_UPLOADS += "CREATE TABLE upload_log AS SELECT * FROM uploads; DROP TABLE uploads;"


@pytest.mark.parametrize(
    ("made", "also", "said"),
    [
        # Who has lost the key has lost the CHECKs too, and nothing else.
        (f"AS SELECT {LOG}, timestamp, event_type, record_status FROM former", "", "PRIMARY KEY"),
        (f"({KEYED})", KEYLESS_UPLOADS, "upload_log has lost its PRIMARY KEY"),
        (f"({KEYED})", "", "session_log lacks CONSTRAINT check_record_status"),
        (
            f"({KEYED}, CONSTRAINT check_event_type CHECK (event_type > ''))",
            "",
            "session_log lacks CONSTRAINT check_record_status",
        ),
        (RECORD_STATUS, "", ""),
    ],
)
def test_which_check_tells_a_revision(tmp_path: Path, made: str, also: str, said: str) -> None:
    path = at(HEAD, tmp_path / "nexuslims.db", ANEW_WITH.format(made) + also)
    if not said:
        Store(path).close()
        return
    with pytest.raises(SchemaMismatchError, match=said):
        Store(path)


def test_all_that_should_be_plain_tables_are_named(tmp_path: Path) -> None:
    made = "ALTER TABLE {0} RENAME TO own_{0}; CREATE VIEW {0} AS SELECT * FROM own_{0};"
    path = at(HEAD, tmp_path / "nexuslims.db", "".join(made.format(table) for table in TABLES))
    with pytest.raises(SchemaMismatchError, match=f"{', '.join(TABLES)} should be a plain table"):
        Store(path)
