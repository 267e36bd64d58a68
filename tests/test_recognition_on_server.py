"""At what revision the database of a server is: what its version rows say of the tables there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from helpers.migration_files import execute
from helpers.servers import Server

from nexuslims_store import PendingMigrationsError, Store, StoreError
from nexuslims_store.connection import SQLiteDatabase
from nexuslims_store.errors import (
    NotANexusLIMSDatabaseError,
    SchemaMismatchError,
    UnknownRevisionError,
)
from nexuslims_store.recognition.server import revision_on_server
from nexuslims_store.revisions import head, names, tables_at

HEAD = head()
TABLES = sorted(tables_at(HEAD).keys() - {"alembic_version"})
VERSIONS = {("alembic_version", "version_num")}
YOYO = {("_yoyo_log", "id"), ("_yoyo_migration", "id"), ("yoyo_lock", "locked")}
PUT = "if only that row is lost, put 'v2_5_0b' into alembic_version; else bring a dump back"
SHOULD = "{name}: the version row says {row}, and {tables} should be otherwise; {mend}"


def columns(revision: str | None, *less: str) -> set[tuple[str, str]]:
    return {(t.name, c) for t in tables_at(revision).values() for c in t.columns if c not in less}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SQLiteDatabase]:
    """Any, as only its version rows are asked for where the columns are given."""
    path = tmp_path / "versions.db"
    execute(path, "CREATE TABLE alembic_version (version_num)")
    with closing(SQLiteDatabase(path)) as database:
        yield database


def say(database: SQLiteDatabase, *versions: str) -> None:
    for version in versions:
        database.connection.execute(
            "INSERT INTO alembic_version (version_num) VALUES (?)", (version,)
        )


@pytest.mark.parametrize(
    ("there", "versions", "revision"),
    [
        (set(), (), None),
        (YOYO, (), None),
        (VERSIONS | YOYO, (), None),
        *((columns(name), (name,), name) for name in names()),
        (columns(HEAD) | YOYO | {("birds", "x"), ("instruments", "own")}, (HEAD,), HEAD),
        # What is no table of its own says nothing.
        (set(), (HEAD,), None),
    ],
)
def test_the_version_row_is_believed_where_the_tables_are_there(
    database: SQLiteDatabase,
    there: set[tuple[str, str]],
    versions: tuple[str, ...],
    revision: str | None,
) -> None:
    say(database, *versions)
    assert revision_on_server(database, there) == revision


OTHERS = {(f"t{number}", "x") for number in range(7)}


@pytest.mark.parametrize(
    ("there", "versions", "error", "said"),
    [
        (OTHERS, (), NotANexusLIMSDatabaseError, "tables, but t0, t1, t2, t3, t4 and 2 more."),
        (OTHERS | YOYO | VERSIONS, (), NotANexusLIMSDatabaseError, "but t0, t1, t2, t3, t4 and 2"),
        ({("t", "x")} | VERSIONS, (HEAD,), NotANexusLIMSDatabaseError, "tables, but t."),
        (VERSIONS, ("b", "a"), NotANexusLIMSDatabaseError, "tables, but a, b. Nothing"),
        (VERSIONS, ("b", HEAD), NotANexusLIMSDatabaseError, f"tables, but b, {HEAD}. Nothing"),
        (columns(HEAD), ("b",), UnknownRevisionError, "is at the revision b, which"),
        (columns(HEAD), (HEAD, "a"), UnknownRevisionError, f"is at the revision a, {HEAD}, which"),
        (VERSIONS, ("v2_5_0a", HEAD), UnknownRevisionError, f"revision v2_5_0a, {HEAD}, which"),
        (columns(HEAD), ("v2_5_0a", HEAD), UnknownRevisionError, f"revision v2_5_0a, {HEAD}, "),
    ],
)
def test_what_is_of_another_program_or_of_no_known_revision(
    database: SQLiteDatabase,
    there: set[tuple[str, str]],
    versions: tuple[str, ...],
    error: type[StoreError],
    said: str,
) -> None:
    say(database, *versions)
    with pytest.raises(StoreError) as caught:
        revision_on_server(database, there)
    assert said in str(caught.value)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("there", "versions", "tables", "mend"),
    [
        (VERSIONS, (HEAD,), TABLES, "bring a dump back"),
        (columns(HEAD), (), TABLES, PUT),
        (columns(HEAD) - VERSIONS, (), TABLES, PUT),
        (columns(HEAD, "record_url"), (HEAD,), ["upload_log"], "bring a dump back"),
        (columns(HEAD, "notes", "user"), (HEAD,), [TABLES[0], "session_log"], "bring a dump back"),
        (columns("v2_5_0a"), (HEAD,), ["instruments"], "bring a dump back"),
        (columns(HEAD), ("v2_5_0a",), ["instruments"], "bring a dump back"),
        (columns("v2_4_0b"), ("v1_4_3",), ["upload_log"], "bring a dump back"),
    ],
)
def test_all_tables_that_should_be_otherwise_are_named(
    database: SQLiteDatabase,
    there: set[tuple[str, str]],
    versions: tuple[str, ...],
    tables: list[str],
    mend: str,
) -> None:
    say(database, *versions)
    with pytest.raises(SchemaMismatchError) as caught:
        revision_on_server(database, there)
    row = versions[0] if versions else "base"
    expected = SHOULD.format(name=database.name, row=row, tables=", ".join(tables), mend=mend)
    assert str(caught.value) == f"{expected} with `pg_restore`"


def test_a_store_works_with_the_newest_alone(server: Server) -> None:
    name = "older"
    server.execute(f"CREATE DATABASE {name}")
    try:
        with pytest.raises(NotANexusLIMSDatabaseError, match=r"has no tables yet; Store\(url, mig"):
            Store(server.url(name))
        for table in tables_at("v2_5_0a").values():
            listed = ", ".join(f'"{column}" text' for column in table.columns)
            server.execute(f"CREATE TABLE {table.name} ({listed})", database=name)
        server.execute(
            "INSERT INTO alembic_version (version_num) VALUES ('v2_5_0a')", database=name
        )
        said = f"is at v2_5_0a, this package works with {HEAD}"
        with pytest.raises(PendingMigrationsError, match=said):
            Store(server.url(name))
    finally:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
