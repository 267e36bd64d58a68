"""By which traits of its tables a file's revision is told, and what they have in common."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import pairwise

import pytest

from nexuslims_store.recognition.layouts import (
    differences,
    fits,
    is_head,
    known_columns,
    layout_of,
    layouts,
    most_similar,
    own_columns,
    revision_of,
    without_key,
)
from nexuslims_store.revisions import BASE, head, names, tables_at
from nexuslims_store.tables import Table, read

HEAD = head()
USERS = "external_user_identifiers"
CHECK = "CONSTRAINT check_record_status"


def made(revision: str | None, script: str = "") -> dict[str, Table]:
    """The tables of a revision after a script."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for table in tables_at(revision).values():
            connection.execute(table.sql)
        connection.executescript(script)
        return read(connection).tables


def anew(table: str, columns: str) -> str:
    return f"DROP TABLE {table}; CREATE TABLE {table} ({columns});"


def test_what_each_revision_is_told_by() -> None:
    traits = {
        before: sorted(layouts()[after] ^ layouts()[before])
        for before, after in pairwise([None, *names()])
    }
    assert layouts()[None] == frozenset()
    assert {table for table, _ in traits[None]} == {"instruments", "session_log"}
    assert traits["v1_4_3"] == sorted(
        ("upload_log", trait) for trait in ["", *tables_at("v2_4_0a")["upload_log"].columns]
    )
    assert traits["v2_4_0a"] == [("session_log", CHECK)]
    assert traits["v2_4_0b"] == sorted((USERS, c) for c in ["", *tables_at(HEAD)[USERS].columns])
    assert traits["v2_5_0a"] == sorted(
        ("instruments", column)
        for column in (
            *("calendar_name", "computer_ip", "computer_mount", "computer_name", "display_name"),
            "schema_name",
        )
    )


def test_all_columns_that_a_table_ever_had_are_known() -> None:
    assert known_columns("instruments") == frozenset(
        (*tables_at("v1_4_3")["instruments"].columns, *tables_at(HEAD)["instruments"].columns)
    )
    assert {"display_name", "computer_ip"} < known_columns("instruments")
    assert known_columns(USERS) == frozenset(tables_at(HEAD)[USERS].columns)
    assert known_columns("another") == frozenset()


LOG = "id_session_log INTEGER PRIMARY KEY, session_identifier, instrument, timestamp, event_type"
BOTH = "CONSTRAINT check_event_type CHECK (1), CONSTRAINT check_record_status CHECK (1)"
EVENT, STATUS = BOTH.split(", ")


def log(columns: str) -> str:
    return anew("session_log", f"{LOG}, {columns}")


@pytest.mark.parametrize(
    ("start", "script", "revision"),
    [
        *((name, "", name or BASE) for name in (None, *names())),
        *((name, "CREATE TABLE mine (x);", name) for name in names()),
        (None, "CREATE TABLE mine (x)", BASE),
        (HEAD, "DROP TABLE upload_log", None),
        (HEAD, f"DROP TABLE {USERS}", None),
        ("v2_5_0a", "DROP TABLE upload_log", None),
        (HEAD, "ALTER TABLE upload_log ADD COLUMN own", None),
        (HEAD, "ALTER TABLE instruments ADD COLUMN computer_ip", None),
        (HEAD, "ALTER TABLE upload_log DROP COLUMN record_url", None),
        (HEAD, "ALTER TABLE upload_log RENAME COLUMN record_url TO url", None),
        (HEAD, "ALTER TABLE upload_log ADD COLUMN own AS (success)", None),
        (HEAD, log(f'record_status, "user", {BOTH}'), HEAD),
        (HEAD, anew("session_log", f'"user", {LOG}, Record_Status, {BOTH}, CHECK (2)'), HEAD),
        (HEAD, log(f'record_status, "user", {STATUS}'), HEAD),
        (HEAD, log(f'record_status, "user", {EVENT}'), None),
        (HEAD, log(f'record_status, "user" AS (event_type), {BOTH}'), None),
        ("v2_4_0b", log('record_status, "user"'), "v2_4_0a"),
        ("v2_4_0a", log(f'record_status, "user", {BOTH}'), "v2_4_0b"),
    ],
)
def test_which_revision_has_exactly_these_tables(
    start: str | None, script: str, revision: str | None
) -> None:
    tables = made(start, script)
    assert revision_of(layout_of(tables)) == revision
    if is_head(tables):
        assert revision == HEAD


@pytest.mark.parametrize("also", ["", "CREATE TABLE mine (x);"])
def test_the_head_is_seen_at_once(also: str) -> None:
    assert is_head(made(HEAD, also))
    assert not any(is_head(made(name, also)) for name in (None, *names()[:-1]))


def test_which_columns_are_a_facilitys_own() -> None:
    tables = made(
        HEAD,
        "ALTER TABLE upload_log ADD COLUMN own; ALTER TABLE upload_log ADD COLUMN two AS (own);"
        "ALTER TABLE instruments ADD COLUMN calendar_name; ALTER TABLE session_log ADD own;"
        + anew(USERS, "id, notes AS (id), mine AS (id)"),
    )
    assert own_columns(layout_of(tables)) == {
        ("upload_log", "own"),
        ("upload_log", "two"),
        ("session_log", "own"),
        (USERS, "mine"),
    }


@pytest.mark.parametrize(
    ("script", "revision", "keyless", "is_it"),
    [
        ("", "v2_4_0b", (), True),
        ("ALTER TABLE upload_log ADD COLUMN own", "v2_4_0b", (), True),
        ("ALTER TABLE upload_log ADD COLUMN computer_ip", "v2_4_0b", (), True),
        ("ALTER TABLE instruments ADD COLUMN display_name", "v2_4_0b", (), False),
        ("", "v2_4_0a", (), False),
        ("", "v2_5_0a", (), False),
        ("DROP TABLE upload_log", "v2_4_0b", ("upload_log",), False),
        (f"CREATE TABLE {USERS} (mine, yours)", "v2_4_0b", (), False),
        (f"CREATE TABLE {USERS} (mine, yours)", "v2_4_0b", (USERS,), False),
        (log('record_status, "user"'), "v2_4_0b", (), False),
        (log('record_status, "user"'), "v2_4_0b", ("upload_log",), False),
        (log('record_status, "user"'), "v2_4_0b", ("session_log",), True),
        (log("record_status"), "v2_4_0b", ("session_log",), False),
        (log('"user", record_status AS (1)'), "v2_4_0b", (), False),
    ],
)
def test_tables_are_those_of_a_revision_but_for_columns_of_ones_own(
    script: str, revision: str, keyless: tuple[str, ...], is_it: bool
) -> None:
    assert fits(layout_of(made("v2_4_0b", script)), revision, keyless=keyless) == is_it


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("", ()),
        ("DROP TABLE session_log", ()),
        ("CREATE TABLE mine (x)", ()),
        (anew("session_log", LOG.replace("PRIMARY KEY", "")), ("session_log",)),
        (
            anew("session_log", "x, id_session_log, PRIMARY KEY (id_session_log, x)"),
            ("session_log",),
        ),
        (anew("session_log", "id_session_log, x PRIMARY KEY"), ("session_log",)),
        (
            anew("upload_log", "Id PRIMARY KEY")
            + "".join(anew(n, "x") for n in (USERS, "instruments")),
            (USERS, "instruments"),
        ),
    ],
)
def test_who_has_not_the_key_of_a_revision(script: str, found: tuple[str, ...]) -> None:
    assert without_key(made(HEAD, script), HEAD) == found


def test_a_table_that_a_revision_has_not_needs_no_key() -> None:
    tables = made(HEAD, anew(USERS, "id") + anew("session_log", "x"))
    assert [without_key(tables, name) for name in (None, "v1_4_3", "v2_4_0b", "v2_5_0a")] == [
        (),
        ("session_log",),
        ("session_log",),
        ("session_log", USERS),
    ]


def test_how_tables_differ_is_said_in_an_order() -> None:
    tables = made(
        "v2_4_0a",
        f"DROP TABLE instruments; CREATE TABLE {USERS} (id, mine);"
        "ALTER TABLE session_log ADD z; ALTER TABLE session_log ADD y;"
        "ALTER TABLE upload_log ADD x;"
        "ALTER TABLE upload_log DROP record_url; ALTER TABLE session_log DROP user;"
        "ALTER TABLE session_log DROP timestamp; ALTER TABLE upload_log DROP success;",
    )
    many = [
        "session_log has y, which is not known",
        "session_log has z, which is not known",
        "upload_log has x, which is not known",
    ]
    lacks = ["session_log lacks timestamp", "session_log lacks user", "upload_log lacks record_url"]
    lacks += ["upload_log lacks success"]
    layout = layout_of(tables)
    assert differences(layout, "v2_4_0a") == [
        "instruments is missing",
        f"{USERS} is too many",
        *many,
        *lacks,
    ]
    assert differences(layout, "v1_4_3") == [
        "instruments is missing",
        f"{USERS} is too many",
        "upload_log is too many",
        *many[:2],
        *lacks[:2],
    ]
    every = (USERS, "instruments", "session_log", "upload_log")
    assert differences(layout_of({}), HEAD) == [f"{name} is missing" for name in every]
    assert differences(layout_of(made(HEAD)), None) == [f"{name} is too many" for name in every]
    assert differences(layout_of(made(HEAD)), HEAD) == []


@pytest.mark.parametrize(
    ("start", "script", "nearest"),
    [
        *((name, "", name) for name in (None, *names())),
        *((name, "ALTER TABLE session_log DROP COLUMN user", name) for name in names()),
        *((name, "DROP TABLE instruments", name) for name in names()[:-2]),
        ("v2_5_0a", "DROP TABLE instruments", "v2_5_0b"),
        ("v1_4_3", anew("session_log", "x"), "v1_4_3"),
        ("v2_4_0a", "DROP TABLE session_log", "v2_4_0a"),
    ],
)
def test_which_revision_is_the_nearest(start: str, script: str, nearest: str) -> None:
    assert most_similar(layout_of(made(start, script))) == nearest
