"""What one look at a file finds, and at what revision it is for that: every kind of file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nexuslims_store import (
    NotANexusLIMSDatabaseError,
    PendingMigrationsError,
    SchemaMismatchError,
    StoreError,
    UnknownRevisionError,
)
from nexuslims_store.connection import MEMORY
from nexuslims_store.recognition import check_head, judge, look, recognise
from nexuslims_store.revisions import FORMER, head, names, tables_at

HEAD = head()
USERS = "external_user_identifiers"
TABLES = (USERS, "instruments", "session_log", "upload_log")
PATH = MEMORY
VERSIONS = "CREATE TABLE alembic_version (version_num);"


def row(*versions: str) -> str:
    inserted = "".join(
        f"INSERT INTO alembic_version (version_num) VALUES ('{v}');" for v in versions
    )
    return f"DELETE FROM alembic_version; {inserted}"


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def at(connection: sqlite3.Connection, revision: str | None, script: str) -> sqlite3.Connection:
    """A file of a revision, with its version row, after a script."""
    for table in tables_at(revision).values():
        connection.execute(table.sql)
    if revision is not None:
        connection.execute("INSERT INTO alembic_version (version_num) VALUES (?)", (revision,))
    connection.executescript(script)
    return connection


# -- one look --------------------------------------------------------------------------

CREATED = f"""
CREATE TABLE Instruments (id, location TEXT AS (id), own AS (id), two DEFAULT (1 + 1), c DEFAULT 1);
CREATE TABLE session_log (id); INSERT INTO session_log (id) VALUES (1);
CREATE TABLE upload_log (id, z AS (id), a AS (id));
CREATE TABLE "zebras and more" (x); CREATE TABLE birds (x INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE TABLE lions (x); CREATE TABLE ants (x); CREATE VIEW cats AS SELECT 1;
CREATE VIEW yoyo_lock AS SELECT 1; CREATE VIEW {USERS} AS SELECT 1;
CREATE TABLE _yoyo_log (x); CREATE TABLE session_log_new (id); CREATE TABLE _alembic_tmp_x (id);
CREATE TABLE ALEMBIC_version (version_num);
INSERT INTO alembic_version (version_num) VALUES ('b'), (2), ('a'), (NULL);
CREATE TRIGGER t1 AFTER INSERT ON session_log BEGIN SELECT 1; END;
CREATE TRIGGER t2 AFTER INSERT ON alembic_version BEGIN SELECT 1; END;
CREATE TRIGGER t3 AFTER INSERT ON birds BEGIN SELECT 1; END;
CREATE TRIGGER t4 AFTER INSERT ON _YOYO_LOG BEGIN SELECT 1; END;
"""


def test_what_one_look_finds(connection: sqlite3.Connection) -> None:
    connection.executescript(CREATED)
    found = look(connection)
    assert found.tables.keys() == {"instruments", "session_log", "upload_log"}
    assert found.contents.tables.keys() - found.tables.keys() == {
        *("session_log_new", "alembic_version")
    }
    assert found.filled == {"session_log"}
    assert found.odd == (USERS, "yoyo_lock")
    assert found.versions == (None, 2, "a", "b")
    assert not found.unlike_alembic
    assert [one.name for one in found.triggers] == ["t1", "t2", "t4"]
    assert [one.name for one in found.triggers_of_rows] == ["t1"]
    assert found.computed_columns == {"instruments": ["own", "two"], "upload_log": ["z", "a"]}
    assert found.others == sorted(
        [
            *("_alembic_tmp_x", "ants", "birds", "cats", "lions", "session_log_new"),
            *("zebras and more", "instruments", "session_log", "upload_log", USERS),
        ]
    )
    assert ("instruments", "location (computed)") in found.layout
    assert {table for table, _ in found.layout} == found.tables.keys()


def test_all_that_is_odd_is_named_in_its_order(connection: sqlite3.Connection) -> None:
    odd = sorted({*TABLES, "alembic_version", "_yoyo_log", "_yoyo_migration", "yoyo_lock"})
    connection.executescript("".join(f"CREATE VIEW {name} AS SELECT 1;" for name in odd))
    found = look(connection)
    assert (found.odd, found.tables, found.versions) == (tuple(odd), {}, ())
    assert not found.unlike_alembic


@pytest.mark.parametrize(
    ("script", "is_it"),
    [
        ("", False),
        (VERSIONS, False),
        ("CREATE TABLE alembic_version (x);", True),
        ("CREATE TABLE alembic_version (x, Version_Num);", False),
        ("CREATE VIEW alembic_version AS SELECT 1 AS x;", False),
    ],
)
def test_whether_a_version_table_is_none_of_alembics(
    connection: sqlite3.Connection, script: str, is_it: bool
) -> None:
    connection.executescript(script)
    found = look(connection)
    assert (found.unlike_alembic, found.versions) == (is_it, ())


# -- what is judged of it --------------------------------------------------------------

OWN = "ALTER TABLE session_log ADD COLUMN own;"
NO_TABLE = "DROP TABLE alembic_version;"
KEYLESS = "DROP TABLE {0}; CREATE TABLE {0} ({1});"
LOG = 'id_session_log, session_identifier, instrument, timestamp, event_type, record_status, "user"'
NO_KEY = KEYLESS.format("session_log", LOG)
UPLOADS = tables_at("v2_4_0a")["upload_log"].sql + ";"
INSTRUMENTS = tables_at("v1_4_3")["instruments"].sql + ";"
EXTERNAL = tables_at("v2_5_0a")[USERS].sql + ";"
BOTH = "DROP TABLE session_log; CREATE TABLE session_log (" + LOG.replace(",", " PRIMARY KEY,", 1)
CHECK = "CONSTRAINT check_record_status"
BOTH += f", {CHECK} CHECK (1));"
FORMERLY = {revision: name for name, revision in FORMER.items()}
ALL_LEFT = ("session_log_old", "session_log_new", "_ALEMBIC_tmp_session_log")
LEFT = "CREATE TABLE {} (id_session_log, session_identifier, instrument, timestamp);"


@pytest.mark.parametrize(
    ("start", "script", "revision", "stamped", "leftovers", "keyless"),
    [
        (None, "", None, True, (), ()),
        (None, VERSIONS, None, True, (), ()),
        *((name, "", name, True, (), ()) for name in names()),
        *((name, row(), name, False, (), ()) for name in names()),
        *((name, NO_TABLE, name, False, (), ()) for name in names()),
        *((name, OWN, name, True, (), ()) for name in names()),
        *((name, row(former), name, False, (), ()) for name, former in FORMERLY.items()),
        *((name, OWN + row(former), name, False, (), ()) for name, former in FORMERLY.items()),
        *(("v1_4_3", f"{no}{UPLOADS}", "v2_4_0a", False, (), ()) for no in (row(), NO_TABLE)),
        # What an upgrade that was killed had made already.
        ("v1_4_3", UPLOADS, "v1_4_3", True, ("upload_log",), ()),
        ("v1_4_3", UPLOADS + row(FORMERLY["v1_4_3"]), "v1_4_3", False, ("upload_log",), ()),
        (None, VERSIONS + INSTRUMENTS, None, True, ("instruments",), ()),
        ("v2_4_0b", EXTERNAL, "v2_4_0b", True, (USERS,), ()),
        (
            "v2_4_0b",
            EXTERNAL + LEFT.format("session_log_old"),
            "v2_4_0b",
            True,
            ("session_log_old", USERS),
            (),
        ),
        (
            "v2_4_0a",
            "".join(map(LEFT.format, ALL_LEFT)),
            "v2_4_0a",
            True,
            ("_alembic_tmp_session_log", "session_log_new", "session_log_old"),
            (),
        ),
        ("v2_4_0b", NO_KEY, "v2_4_0b", True, (), ("session_log",)),
        ("v2_4_0a", NO_KEY, "v2_4_0a", True, (), ("session_log",)),
        ("v2_4_0a", NO_KEY + row(), "v2_4_0a", False, (), ("session_log",)),
        (HEAD, NO_KEY + OWN, HEAD, True, (), ("session_log",)),
        (HEAD, BOTH, HEAD, True, (), ()),
    ],
)
def test_at_what_revision_a_file_is(
    connection: sqlite3.Connection,
    start: str | None,
    script: str,
    revision: str | None,
    stamped: bool,
    leftovers: tuple[str, ...],
    keyless: tuple[str, ...],
) -> None:
    state = judge(look(at(connection, start, script)), PATH)
    assert state[:4] == (revision, stamped, leftovers, keyless)
    assert state.empty == (start is None and not script)
    assert state.former == next((name for name in FORMER if name in script), None)


def filled(table: str, sql: str) -> str:
    return f"{sql.replace(' NOT NULL', '')} INSERT INTO {table} (id) VALUES (1);"


BIRDS = "CREATE TABLE birds (x);"
SEEN = "DROP TABLE upload_log; CREATE VIEW upload_log AS SELECT 1"
REFUSED: dict[type[StoreError], dict[str, tuple[str | None, str]]] = {
    NotANexusLIMSDatabaseError: {
        "ants, birds": (None, f"{BIRDS} CREATE TABLE ants (x)"),
        "but instruments": (None, "CREATE TABLE instruments (name, tuning)"),
        "but birds": (None, VERSIONS + row("ab12") + BIRDS),
        "but upload_log": (None, VERSIONS + "CREATE VIEW upload_log AS SELECT 1"),
        "but alembic_version": (None, "CREATE VIEW alembic_version AS SELECT 1"),
    },
    UnknownRevisionError: {
        "'ab12', which": (HEAD, row("ab12")),
        "'a', which": (None, VERSIONS + row("a")),
        "'a', 'b'": (HEAD, row("b", "a")),
        "v1_4_3, v2_5_0b": (HEAD, row("v2_5_0b", "v1_4_3")),
    },
    SchemaMismatchError: {
        "upload_log should be a plain": (HEAD, SEEN),
        "alembic_version should be": (HEAD, f"{NO_TABLE} CREATE VIEW alembic_version AS SELECT 1"),
        "has no column version_num": (HEAD, f"{NO_TABLE} CREATE TABLE alembic_version (x)"),
        "says v2_4_0a, but its tables are those of base": (None, VERSIONS + row("v2_4_0a")),
        "v1_4_3, but its tables are those of base": (None, VERSIONS + row("v1_4_3") + BIRDS),
        "57f0798d0c6d (today v1_4_3), but": (HEAD, row("57f0798d0c6d")),
        "says v2_5_0b, but its tables are those of v2_5_0a": ("v2_5_0a", row(HEAD)),
        "says v2_5_0a, but its tables are those of v2_5_0b": (HEAD, row("v2_5_0a")),
        "says v2_4_0a, but its tables are those of v2_5_0a": ("v2_5_0a", row("v2_4_0a")),
        "says v2_4_0b, but its tables are those of v2_5_0a": ("v2_4_0b", filled(USERS, EXTERNAL)),
        "says v1_4_3, but its tables are those of v2_4_0a": (
            "v1_4_3",
            filled("upload_log", UPLOADS),
        ),
        "has own, which": (HEAD, OWN + row()),
        "session_log is missing": (None, INSTRUMENTS),
        "upload_log is missing": (HEAD, "DROP TABLE upload_log"),
        f"{USERS} is missing; session_log has own": (HEAD, f"{OWN} DROP TABLE {USERS}"),
        "session_log lacks CONSTRAINT": (HEAD, BOTH.replace(CHECK, "")),
        "and session_log is gone": ("v2_4_0a", "ALTER TABLE session_log RENAME TO session_log_old"),
        "is too many: ": ("v2_4_0b", f"CREATE TABLE {USERS} (mine)"),
    },
}


@pytest.mark.parametrize(
    ("error", "said", "start", "script"),
    [
        (error, said, start, script)
        for error, cases in REFUSED.items()
        for said, (start, script) in cases.items()
    ],
)
def test_which_files_are_refused(
    connection: sqlite3.Connection,
    error: type[StoreError],
    said: str,
    start: str | None,
    script: str,
) -> None:
    with pytest.raises(StoreError) as caught:
        judge(look(at(connection, start, script)), PATH)
    assert said.removesuffix(": ") in str(caught.value)
    assert type(caught.value) is error


def test_tables_of_the_next_revision_where_no_version_table_is(
    connection: sqlite3.Connection,
) -> None:
    found = look(at(connection, "v2_4_0b", NO_TABLE + EXTERNAL))
    assert judge(found, PATH)[:3] == ("v2_5_0a", False, ())
    # As it is before a stamp.
    assert judge(found._replace(versions=("v2_4_0b",)), PATH)[:3] == ("v2_4_0b", True, (USERS,))


# -- who may open a store on it --------------------------------------------------------

TRIGGER = "CREATE TRIGGER t AFTER INSERT ON {} BEGIN SELECT 1; END;"
COMPUTED = "ALTER TABLE upload_log ADD COLUMN own AS (success);"


@pytest.mark.parametrize(
    ("start", "script", "reads", "writes"),
    [
        (HEAD, "", "", ""),
        (HEAD, OWN, "", ""),
        (HEAD, TRIGGER.format("session_log"), "", "its trigger t on session_log"),
        (HEAD, COMPUTED, "", "compute own of upload_log"),
        (HEAD, COMPUTED + TRIGGER.format("upload_log"), "", "its trigger t on upload_log"),
        (HEAD, TRIGGER.format("alembic_version"), "", ""),
        (HEAD, f"{BIRDS} {TRIGGER.format('birds')}", "", ""),
        (HEAD, NO_KEY, "", ""),
        (None, "", "is empty", "is empty"),
        (None, VERSIONS, "is at base", "is at base"),
        *((name, "", f"is at {name},", f"is at {name},") for name in names()[:-1]),
        (HEAD, row(), "no version row", "no version row"),
        ("v2_4_0b", EXTERNAL, f"left {USERS} behind", f"left {USERS} behind"),
        (HEAD, LEFT.format("session_log_new"), "left session_log_new", "left session_log_new"),
    ],
)
def test_who_may_read_and_who_may_write(
    connection: sqlite3.Connection, start: str | None, script: str, reads: str, writes: str
) -> None:
    at(connection, start, script)
    for write, said in ((False, reads), (True, writes)):
        if not said:
            assert check_head(connection, PATH, write=write, timeout=30.0) == HEAD
            continue
        with pytest.raises(
            (PendingMigrationsError, SchemaMismatchError, NotANexusLIMSDatabaseError), match=said
        ):
            check_head(connection, PATH, write=write, timeout=30.0)


UPDATE = "UPDATE {} SET session_identifier = 'x'"


def test_only_what_is_opened_to_write_refuses_it_to_a_table_without_a_key(
    connection: sqlite3.Connection,
) -> None:
    at(connection, HEAD, NO_KEY)
    check_head(connection, PATH, write=False, timeout=30.0)
    connection.execute(UPDATE.format("session_log"))
    check_head(connection, PATH, write=True, timeout=30.0)
    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        connection.execute(UPDATE.format("session_log"))
    connection.execute(UPDATE.format("upload_log"))


# -- what is no file for it ------------------------------------------------------------


def test_other_texts_than_utf_8_are_refused_by_their_name(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA encoding = 'UTF-16le'")
    with pytest.raises(SchemaMismatchError, match="keeps its texts as UTF-16le"):
        recognise(connection, MEMORY)


@pytest.mark.parametrize(("content", "is_one"), [(b"", True), (b"x", False)])
def test_a_file_of_a_single_byte_is_no_empty_one(
    tmp_path: Path, content: bytes, is_one: bool
) -> None:
    path = tmp_path / "nexuslims.db"
    path.write_bytes(content)
    with closing(sqlite3.connect(path)) as connection:
        if is_one:
            assert recognise(connection, path).empty
            return
        with pytest.raises(NotANexusLIMSDatabaseError, match="is not an SQLite database"):
            recognise(connection, path)
