"""Migrations of a database on a server: as before or as after, whoever else is at it."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import LiteralString

import pytest
from helpers.command_line import call
from helpers.migration_files import expected as facts_of
from helpers.servers import Server
from helpers.support import SQL

from nexuslims_store import MigrationError, Store, StoreError, migrations
from nexuslims_store.errors import (
    CorruptDatabaseError,
    DatabaseLockedError,
    NotANexusLIMSDatabaseError,
    ReadOnlyError,
    SchemaMismatchError,
    StorageFullError,
    UnknownRevisionError,
)
from nexuslims_store.migrations import server as server_module
from nexuslims_store.migrations.run import Options
from nexuslims_store.opening import open_server
from nexuslims_store.revisions import history

HEAD = migrations.head()
NAME = "migrated"


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """The URL of an empty database."""
    server.execute(f"CREATE DATABASE {NAME}")
    yield server.url(NAME)
    server.execute(f"DROP DATABASE {NAME} WITH (FORCE)")


def test_an_empty_database_gets_all_tables_in_one_run(url: str) -> None:
    assert migrations.current(url) is None
    assert migrations.pending(url) == list(history(server=True)) == migrations.history(url)
    with pytest.raises(NotANexusLIMSDatabaseError, match="migrate"):
        Store(url)
    told: list[str] = []
    report = migrations.upgrade(url, progress=told.append)
    assert told == [f"applying {step.revision} {step.title}" for step in history(server=True)]
    assert (report.before, report.after, report.changed) == (None, HEAD, True)
    assert 0 < report.seconds < 60
    assert migrations.current(url) == HEAD
    assert migrations.pending(url) == []
    again = migrations.upgrade(url)
    assert (again.changed, again.before) == (False, HEAD)
    with Store(url) as store:
        assert store.revision == HEAD


def test_what_does_not_keep_the_rows_is_rolled_back(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter(({}, {"instruments": [(1, "A", "A")]}))
    monkeypatch.setattr(server_module, "_rows", lambda *_: next(counts))
    with pytest.raises(MigrationError, match=f"verification failed: .* not those of {HEAD}"):
        migrations.upgrade(url)
    assert migrations.current(url) is None


def test_what_does_not_lead_to_the_revision_is_rolled_back(server_url: str) -> None:
    with closing(open_server(server_url)) as database:
        plan = server_module.make_plan(database, "upgrade", "head")
        elsewhere = plan._replace(after="v2_5_0a", marks_wrong=True)
        with (
            pytest.raises(MigrationError, match=r"verification failed: .* not those of v2_5_0a"),
            database.transaction(),
        ):
            server_module.change(database, elsewhere, Options(True, 5))


def test_rows_that_are_there_are_left_to_pg_dump(server_url: str) -> None:
    told: list[str] = []
    options = Options(True, 5, told.append)
    steps = history(server=True)
    with closing(open_server(server_url)) as database:
        plan = server_module.make_plan(database, "upgrade", "head")
        with database.transaction():
            server_module.change(database, plan._replace(marks_wrong=True), options)
        assert told == []
        with (
            pytest.raises(MigrationError, match=rf"{steps[0].title} failed: .* exists"),
            database.transaction(),
        ):
            server_module.change(database, plan._replace(steps=steps), options)
    assert re.fullmatch("a server's database is not backed up here: `pg_dump .*` does", told[0])
    assert told[1:] == [f"applying {steps[0].revision} {steps[0].title}"]


def test_what_a_run_cannot_help_comes_as_it_is(server_url: str) -> None:
    errors = (
        *(CorruptDatabaseError("x"), DatabaseLockedError("x"), ReadOnlyError("x")),
        *(StorageFullError("x"), KeyboardInterrupt("x"), StoreError("x")),
    )
    with closing(open_server(server_url)) as database:
        plan = server_module.make_plan(database, "upgrade", "head")
        for error in errors:

            def stop(line: str, error: BaseException = error) -> None:
                if line.startswith("applying"):
                    raise error

            with pytest.raises(BaseException, match="x") as caught, database.transaction():
                server_module.change(
                    database, plan._replace(steps=history(server=True)), Options(True, 5, stop)
                )
            if type(error) is StoreError:
                assert isinstance(caught.value, MigrationError)
                assert str(caught.value).endswith("baseline failed: x. All was rolled back")
            else:
                assert caught.value is error


def test_each_script_has_a_hash_of_its_own() -> None:
    """Which is kept in the database: any version must reckon the same."""
    assert server_module.hash_of("SELECT 1;\n") == hashlib.sha256(b"SELECT 1;\n").hexdigest()
    assert server_module.hash_of("é") != server_module.hash_of("è")


def test_a_store_that_migrates_makes_the_tables(url: str) -> None:
    with Store(url, migrate=True) as store:
        assert store.instruments.list() == []


def tables(server: Server, name: str) -> list[tuple[str, ...]]:
    """What PostgreSQL's own program says of the tables of a database, yoyo's aside."""
    return asked(
        server,
        "SELECT table_name, column_name, data_type, is_nullable, collation_name"
        " FROM information_schema.columns WHERE table_schema = 'public'"
        " AND table_name NOT LIKE '%yoyo%' ORDER BY 1, ordinal_position",
        name,
    )


def asked(server: Server, sql: LiteralString, name: str = NAME) -> list[tuple[str, ...]]:
    """What a query of PostgreSQL's own program gives."""
    import psycopg

    with psycopg.connect(server.url(name)) as connection:
        return connection.execute(sql).fetchall()


TYPES = {"INTEGER": "bigint", "BOOLEAN": "boolean", "VARCHAR": "text"}


def test_the_tables_are_those_of_a_file(server: Server, url: str) -> None:
    migrations.upgrade(url)
    expected = facts_of(HEAD)["tables"]
    columns = []
    for table, column, kind, nullable, _ in tables(server, NAME):
        if table in expected:
            columns.append((table, column, kind, "" if nullable == "YES" else "N"))
    declared = [
        (table, *re.fullmatch(r"(\w+) (\w+)(?:\(\d+\))? ?(N?)", column).groups())  # type: ignore[union-attr]
        for table in sorted(expected)
        for column in expected[table]["columns"]
    ]
    assert columns == [(*names, TYPES[kind], rest) for *names, kind, rest in declared]


def test_the_checks_and_indexes_are_those_of_a_file(server: Server, url: str) -> None:
    migrations.upgrade(url)
    checks = asked(
        server,
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'c' AND connamespace = 'public'::regnamespace",
    )
    expected = facts_of(HEAD)
    declared = {
        name.partition(" ")[0]: re.findall("'\\w+'", name)
        for table in expected["tables"].values()
        for name in table["constraints"]
        if " CHECK " in name
    }
    assert {name: re.findall("'\\w+'", text) for name, text in checks} == declared
    assert all(re.search(r"CHECK \(+\w+ = ANY ", text) for _, text in checks)

    indexes = asked(
        server, "SELECT indexname, tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    )
    found = {name: f"{table} {text.partition(' (')[2]}" for name, table, text in indexes}
    assert expected["indexes"].items() <= {
        (name, re.sub("[(),]", "", text)) for name, text in found.items()
    }
    assert found["nxs_session_log_to_build"] == (
        "session_log session_identifier, instrument, event_type)"
        " WHERE (record_status = 'TO_BE_BUILT'::text)"
    )


@pytest.mark.slow
def test_yoyos_own_command_line_makes_the_same(server: Server, url: str) -> None:
    migrations.upgrade(url)
    ours = tables(server, NAME)
    server.execute(f"DROP DATABASE {NAME}", f"CREATE DATABASE {NAME}")
    subprocess.run(
        [sys.executable, "-m", "yoyo", "apply", "--batch", "--no-config-file",
         "--database", url.replace("postgresql://", "postgresql+psycopg://"),
         str(SQL / "postgresql" / "migrations")],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert tables(server, NAME) == ours
    assert migrations.current(url) == HEAD
    with Store(url) as store:
        assert store.sessions.list_to_build() == []
    assert not migrations.upgrade(url).plan.steps


# One process, so that all is imported once; each attempt is a child of it.
KILLED_AT_EACH = """
import itertools, os, signal, sys
import psycopg
from nexuslims_store import Store, migrations
from nexuslims_store.errors import NotANexusLIMSDatabaseError

url, administrator, name = sys.argv[1:]
execute = psycopg.Cursor.execute

def upgrade(left):
    def counted(self, *arguments, **options):
        nonlocal left
        result = execute(self, *arguments, **options)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    psycopg.Cursor.execute = counted
    migrations.upgrade(url)
    os._exit(0)

for at in itertools.count(1):
    with psycopg.connect(administrator, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    child = os.fork()
    if child == 0:
        upgrade(at)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    revision = migrations.current(url)
    try:
        Store(url).close()
        opened = True
    except NotANexusLIMSDatabaseError:
        opened = False
    migrations.upgrade(url)
    print(status, revision, opened, migrations.plan(url).nothing_to_do)
    if status != -signal.SIGKILL:
        break
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_any_statement_it_is_as_before_or_as_after(server: Server, url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EACH, url, server.url(), NAME],
        capture_output=True,
        text=True,
        check=False,
    )
    *killed, last = done.stdout.splitlines()
    assert last == f"0 {HEAD} True True", done.stderr
    assert len(killed) > 20
    assert set(killed) == {"-9 None False True", f"-9 {HEAD} True True"}


def test_of_many_at_once_one_works_and_the_others_wait(url: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        reports = list(threads.map(lambda _: migrations.upgrade(url), range(6)))
    assert sorted(report.changed for report in reports) == [False] * 5 + [True]
    assert migrations.plan(url).nothing_to_do


def test_what_is_this_packages_own_is_brought_up_to_date(server: Server, server_url: str) -> None:
    name = server_url.partition("@/")[2].partition("?")[0]
    migrations.upgrade(server_url)
    server.execute("DROP INDEX nxs_session_log_to_build", database=name)
    assert "nxs_session_log_to_build" in str(migrations.plan(server_url))
    assert call("--db", server_url, "migrate", "check").status == 0
    server.execute("UPDATE _yoyo_migration SET migration_hash = 'of another'", database=name)
    report = migrations.upgrade(server_url)
    assert report.changed
    assert migrations.plan(server_url).nothing_to_do


# -- what is refused -------------------------------------------------------------------

OTHERS = {
    "another program's": ("CREATE TABLE projects (id int)", NotANexusLIMSDatabaseError, "projects"),
    "another program's version row": (
        "CREATE TABLE alembic_version (version_num text);"
        " INSERT INTO alembic_version (version_num) VALUES ('4f2c')",
        *(NotANexusLIMSDatabaseError, "4f2c"),
    ),
    "many tables of another program's": (
        "; ".join(f"CREATE TABLE {name} (id int)" for name in ("d", "b", "a", "c")),
        *(NotANexusLIMSDatabaseError, "it has no NexusLIMS tables, but a, b, c, d"),
    ),
    "two version rows": (
        "CREATE TABLE session_log (id int); CREATE TABLE alembic_version (version_num text);"
        f" INSERT INTO alembic_version (version_num) VALUES ('{HEAD}'), ('v2_5_0a')",
        *(UnknownRevisionError, "is at the revision"),
    ),
    "tables without a version row": (
        "CREATE TABLE session_log (id int)",
        *(SchemaMismatchError, f"session_log.*if only that row is lost, put '{HEAD}' into"),
    ),
    "a newer revision": (
        "CREATE TABLE session_log (id int); CREATE TABLE alembic_version (version_num text);"
        " INSERT INTO alembic_version (version_num) VALUES ('v9_9_9')",
        *(UnknownRevisionError, "v9_9_9"),
    ),
    "a version row that is wrong": (
        "CREATE TABLE session_log (id int); CREATE TABLE alembic_version (version_num text);"
        f" INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')",
        *(SchemaMismatchError, "instruments"),
    ),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_not_ours_is_refused_and_left_alone(other: str, server: Server, url: str) -> None:
    script, error, word = OTHERS[other]
    server.execute(script, database=NAME)
    before = tables(server, NAME)
    for call_it in (migrations.current, migrations.upgrade, migrations.plan, Store):
        with pytest.raises(error, match=word):
            call_it(url)
    assert tables(server, NAME) == before


def test_there_is_nothing_below_the_baseline(server_url: str) -> None:
    for target in ("base", "v1_4_3", "-1"):
        with pytest.raises(MigrationError, match=r"begins at v2_5_0b.*pg_dump.*pg_restore"):
            migrations.downgrade(server_url, target)
    with pytest.raises(MigrationError, match="SQLite files"):
        migrations.stamp(server_url, "head")
    assert migrations.current(server_url) == HEAD


def test_a_step_that_fails_leaves_nothing(server: Server, url: str) -> None:
    # A type of the name that the table's own row type would have.
    server.execute("CREATE TYPE upload_log AS ENUM ('a')", database=NAME)
    with pytest.raises(MigrationError, match=r"baseline failed.*upload_log.*rolled back"):
        migrations.upgrade(url)
    assert tables(server, NAME) == []


def test_the_script_does_the_same(server: Server, url: str) -> None:
    script = migrations.plan(url).to_sql()
    migrations.upgrade(url)
    ours = tables(server, NAME)
    server.execute(f"DROP DATABASE {NAME}", f"CREATE DATABASE {NAME}")
    server.execute(script, database=NAME)
    assert tables(server, NAME) == ours
    assert migrations.current(url) == HEAD
    server.execute("SELECT nxs_instant('2025-01-01', 'UTC')", database=NAME)


def test_a_schema_of_its_own_will_do(server: Server, url: str) -> None:
    server.execute("CREATE TABLE projects (id int)", "CREATE SCHEMA nexus", database=NAME)
    own = f"{url}&options=-csearch_path%3Dnexus"
    migrations.upgrade(own)
    with Store(own) as store:
        assert store.sessions.list_to_build() == []
    assert [name for name, *_ in tables(server, NAME)] == ["projects"]


def test_no_message_has_the_password(url: str, tmp_path: Path) -> None:
    with_password = url.replace("nexus@", "nexus:geheim@")
    said = str(migrations.plan(with_password)) + str(migrations.upgrade(with_password))
    for wrong in (
        with_password.replace(NAME, "missing"),
        with_password.replace("host=", "host=/nowhere"),
    ):
        with pytest.raises(StoreError) as refused:
            migrations.upgrade(wrong)
        said += repr(refused.value) + refused.value.for_command
    assert "geheim" not in said
