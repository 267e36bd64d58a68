"""What PostgreSQL's catalogue is asked, by the statements themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers.servers import Server
from helpers.support import run

from nexuslims_store import Store, migrations, queries

_SQL = queries.load("postgresql/catalogue.sql")
OF_EACH_KIND = """
    CREATE TABLE plain (a INTEGER GENERATED ALWAYS AS IDENTITY, gone INTEGER, b INTEGER UNIQUE);
    ALTER TABLE plain DROP COLUMN gone;
    CREATE TABLE bare ();
    CREATE TABLE parted (a INTEGER) PARTITION BY LIST (a);
    CREATE VIEW seen (c) AS SELECT a FROM plain;
    CREATE MATERIALIZED VIEW kept (d) AS SELECT a FROM plain;
    CREATE FOREIGN DATA WRAPPER other;
    CREATE SERVER other FOREIGN DATA WRAPPER other;
    CREATE FOREIGN TABLE elsewhere (e INTEGER) SERVER other;
    CREATE SCHEMA aside;
    CREATE TABLE aside.hidden (f INTEGER);
    CREATE TYPE pair AS (g INTEGER, h INTEGER)
"""


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The name of an empty database, which its administrator may do anything to."""
    server.execute("CREATE DATABASE asked")
    yield "asked"
    server.execute("DROP DATABASE asked WITH (FORCE)")


def test_the_columns_of_tables_and_views_alone(server: Server, database: str) -> None:
    import psycopg

    server.execute(*OF_EACH_KIND.split(";"), database=database)
    with psycopg.connect(server.url(database)) as connection:
        found = connection.execute(str(_SQL.list_columns).encode()).fetchall()
    assert sorted(found) == [
        *(("elsewhere", "e"), ("kept", "d"), ("parted", "a"), ("plain", "a"), ("plain", "b")),
        ("seen", "c"),
    ]


def test_the_latest_hash_of_what_is_this_packages_own(server: Server, database: str) -> None:
    migrations.upgrade(server.url(database))
    with Store(server.url(database)) as store:
        run(store, "DELETE FROM _yoyo_log")
        assert store._database.rows(_SQL.get_hash_of_own, {}) == []
        run(
            store,
            "INSERT INTO _yoyo_log (id, migration_id, migration_hash, created_at_utc)"
            " VALUES (?, ?, ?, ?)",
            *(
                (name, "post-apply" if name < "x" else "0005", name, f"2025-01-0{day} 00:00:00")
                for name, day in (("b", 2), ("c", 3), ("a", 1), ("x", 4))
            ),
        )
        assert [*map(tuple, store._database.rows(_SQL.get_hash_of_own, {}))] == [("c",)]
        run(store, "DROP INDEX nxs_session_log_to_build")
        assert store._database.rows(_SQL.get_hash_of_own, {}) == []
