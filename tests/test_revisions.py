"""The history as its files say it: their names and order, what is meant by a target, the tables."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from helpers.support import HEAD, TABLES

from nexuslims_store import MigrationError, StoreError, revisions

NAMES = ("0001.v1_0_0_begin", "0002.v1_1_0_add_two", "0003.v1_1_0a_add_a_third", "0004.v2_0_0_end")
MADE = ("v1_0_0", "v1_1_0", "v1_1_0a", "v2_0_0")


@pytest.fixture
def sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is read in place of the package's own."""
    monkeypatch.setattr(revisions, "sql_folder", lambda: tmp_path)
    for name in ("_history", "tables_at", "post_apply", "fresh_script", "known_tables"):
        monkeypatch.setattr(revisions, name, getattr(revisions, name).__wrapped__)
    for folder in ("migrations", "postgresql/migrations"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def write(folder: Path, *names: str, rollbacks: bool = True) -> None:
    for name in names:
        number = int(name[:4])
        text = f"CREATE TABLE {'IF NOT EXISTS ' * (number % 2)}t{number} (x);\n"
        (folder / f"{name}.sql").write_text(text, encoding="utf-8")
        if rollbacks:
            (folder / f"{name}.rollback.sql").touch()


@pytest.fixture
def made(sql: Path) -> Path:
    """One with four revisions, made in another order than theirs."""
    for place in (2, 0, 3, 1):
        write(sql / "migrations", NAMES[place])
    (sql / "migrations" / "post-apply.sql").write_text("CREATE INDEX nxs_t1 ON t1 (x);\n")
    return sql / "migrations"


# -- the files -------------------------------------------------------------------------


def test_the_history_is_what_the_names_of_the_files_say(made: Path) -> None:
    history = revisions.history()
    assert [step.number for step in history] == [1, 2, 3, 4]
    assert tuple(step.revision for step in history) == MADE
    assert [step.down_revision for step in history] == [None, *MADE[:-1]]
    assert [step.title for step in history] == ["begin", "add two", "add a third", "end"]
    assert tuple(step.id for step in history) == NAMES
    assert [step.path for step in history] == [made / f"{name}.sql" for name in NAMES]
    rollbacks = [step.rollback_path for step in history]
    assert rollbacks == [made / f"{name}.rollback.sql" for name in NAMES]
    assert (revisions.names(), revisions.head()) == ([*MADE], MADE[-1])


def test_the_history_of_a_server_begins_anywhere_and_goes_on_in_order(sql: Path) -> None:
    folder = sql / "postgresql" / "migrations"
    write(folder, NAMES[1], rollbacks=False)
    write(folder, *NAMES[2:])
    history = revisions.history(server=True)
    assert [(step.number, step.down_revision) for step in history] == [
        (2, None),
        (3, "v1_1_0"),
        (4, "v1_1_0a"),
    ]
    assert history[0].rollback_path == folder / "0002.v1_1_0_add_two.rollback.sql"


@pytest.mark.parametrize(
    ("server", "names", "wrong", "number"),
    [
        (False, ["0002.v1_0_0_begin"], 0, 1),
        (False, ["0000.v1_0_0_begin"], 0, 1),
        (False, ["0001.v1_begin"], 0, 1),
        (False, ["0001.v1_0_0"], 0, 1),
        (False, ["0001.v1_0_0_begin", "0001.v1_1_0_again"], 1, 2),
        (False, ["0001.v1_0_0_begin", "0003.v1_1_0_later"], 1, 2),
        (False, ["0001.v1_0_0_begin", "0002-v1_1_0_other"], 1, 2),
        (True, ["0005.begin"], 0, 1),
        (True, ["0005.v1_0_0_begin", "0005.v1_1_0_again"], 1, 6),
        (True, ["0005.v1_0_0_begin", "0007.v1_1_0_later"], 1, 6),
    ],
)
def test_a_file_whose_name_is_out_of_order_is_named(
    sql: Path, server: bool, names: list[str], wrong: int, number: int
) -> None:
    folder = sql / ("postgresql/migrations" if server else "migrations")
    write(folder, *names)
    with pytest.raises(StoreError) as caught:
        revisions.history(server=server)
    assert str(caught.value) == (
        f"{folder / names[wrong]}.sql is not named like the migration number {number:04d}: "
        f"expected {number:04d}.REVISION_slug.sql"
    )


@pytest.mark.parametrize("server", [False, True])
def test_a_step_without_its_way_back_is_refused(sql: Path, server: bool) -> None:
    folder = sql / ("postgresql/migrations" if server else "migrations")
    write(folder, *NAMES[:2], rollbacks=False)
    lacking = NAMES[1 if server else 0]  # nothing goes below a server's first
    with pytest.raises(StoreError) as caught:
        revisions.history(server=server)
    assert str(caught.value) == (
        f"{folder / lacking}.sql has no rollback file {lacking}.rollback.sql beside it"
    )


def test_a_folder_without_migrations_is_refused(sql: Path) -> None:
    (sql / "migrations" / "post-apply.sql").touch()
    with pytest.raises(StoreError, match=r"migrations has no migration files; install the package"):
        revisions.history()


def test_what_is_run_after_each_upgrade_stands_beside_the_migrations(made: Path) -> None:
    folder = made.parent / "postgresql" / "migrations"
    write(folder, NAMES[3])
    (folder / "post-apply.sql").write_text("SELECT 'ẞ';\n", encoding="utf-8")
    assert revisions.post_apply() == "CREATE INDEX nxs_t1 ON t1 (x);\n"
    assert revisions.post_apply(server=True) == "SELECT 'ẞ';\n"


# -- between revisions -----------------------------------------------------------------


@pytest.mark.usefixtures("made")
def test_the_steps_between_two_revisions_are_in_the_order_in_which_they_run() -> None:
    places = [None, *MADE]
    assert [revisions.position(revision) for revision in places] == [0, 1, 2, 3, 4]
    for place, start in enumerate(places):
        for other, end in enumerate(places):
            steps = [step.revision for step in revisions.between(start, end)]
            assert steps == [*MADE[place:other], *reversed(MADE[other:place])]


def test_the_steps_between_two_are_those_of_a_server_where_it_is_one(made: Path) -> None:
    folder = made.parent / "postgresql" / "migrations"
    write(folder, *NAMES[1:])
    for start, end, names in ((None, MADE[3], NAMES[1:]), (MADE[3], MADE[1], NAMES[:1:-1])):
        paths = [step.path for step in revisions.between(start, end, server=True)]
        assert paths == [folder / f"{name}.sql" for name in names]


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("target", "current", "meant"),
    [
        ("base", "v2_0_0", None),
        ("head", None, "v2_0_0"),
        ("v1_0_0", None, "v1_0_0"),
        ("v1_1_0", None, "v1_1_0"),  # which another begins with
        ("v1_0", None, "v1_0_0"),
        ("v2", None, "v2_0_0"),
        ("+0", None, None),
        ("-0", "v1_1_0", "v1_1_0"),
        ("+1", None, "v1_0_0"),
        ("+4", None, "v2_0_0"),
        ("+2", "v1_0_0", "v1_1_0a"),
        ("-1", "v1_1_0", "v1_0_0"),
        ("-1", "v1_0_0", None),
        ("-4", "v2_0_0", None),
    ],
)
def test_what_is_meant_by_a_target(target: str, current: str | None, meant: str | None) -> None:
    assert revisions.resolve(target, current) == meant


ALL = "base, v1_0_0, v1_1_0, v1_1_0a, v2_0_0"


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("target", "current", "says"),
    [
        ("+5", None, f"there is no revision +5 from base: the history is {ALL}"),
        ("+1", "v2_0_0", f"there is no revision +1 from v2_0_0: the history is {ALL}"),
        ("-1", None, f"there is no revision -1 from base: the history is {ALL}"),
        ("-3", "v1_1_0", f"there is no revision -3 from v1_1_0: the history is {ALL}"),
        ("v1_1", None, "'v1_1' may be any of v1_1_0, v1_1_0a: write more of it"),
        ("v", None, "'v' may be any of v1_0_0, v1_1_0, v1_1_0a, v2_0_0: write more of it"),
        *(
            (word, None, f"there is no revision {word!r}: name one of {ALL}, or head, +N, -N")
            for word in ("", "v3", "1_0_0", "+", "1", "+1x", "Head")
        ),
    ],
)
def test_a_target_that_is_none_is_refused(target: str, current: str | None, says: str) -> None:
    with pytest.raises(MigrationError) as caught:
        revisions.resolve(target, current)
    assert str(caught.value) == says


# -- the tables ------------------------------------------------------------------------


@pytest.mark.usefixtures("made")
def test_the_tables_of_a_revision_are_those_made_up_to_it() -> None:
    for number, revision in enumerate((None, *MADE)):
        tables = revisions.tables_at(revision)
        assert sorted(tables) == [f"t{made}" for made in range(1, number + 1)]
        own = [index.name for table in tables.values() for index in table.indexes]
        assert own == ["nxs_t1"] * (revision == MADE[-1])
    assert revisions.known_tables() == {"t1", "t2", "t3", "t4"}


def test_a_migration_that_does_not_run_is_named(made: Path) -> None:
    broken = made / f"{NAMES[2]}.sql"
    broken.write_text("CREATE TABLE t1 (x);")
    assert list(revisions.tables_at("v1_1_0")) == ["t1", "t2"]
    says = f"^{re.escape(str(broken))} does not run, not even on an empty database: .*t1"
    with pytest.raises(MigrationError, match=says):
        revisions.tables_at("v1_1_0a")


def test_a_table_that_is_only_passed_through_is_none_of_a_revision(made: Path) -> None:
    (made / f"{NAMES[3]}.sql").write_text(
        "CREATE TABLE IF NOT EXISTS alembic_version (x);\n"
        "CREATE TABLE t1_new (x);\nDROP TABLE t1;\nALTER TABLE t1_new RENAME TO t1;\n"
        "ALTER TABLE t2 RENAME COLUMN x TO y;\n"
    )
    assert revisions.known_tables() == {"t1", "t2", "t3"}


def test_a_fresh_database_is_made_in_one_transaction_of_all_that_there_is() -> None:
    script = revisions.fresh_script()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(script.removesuffix("COMMIT;"))
        assert connection.in_transaction
        connection.execute("COMMIT")
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [(HEAD,)]
        found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        assert {name for (name,) in found} == {*TABLES, revisions.VERSION_TABLE}
        (index,) = connection.execute(
            "SELECT name FROM sqlite_schema WHERE name LIKE 'nxs@_%' ESCAPE '@'"
        )
        assert revisions.is_own_index(*index)
    assert revisions.known_tables() == {*TABLES}
