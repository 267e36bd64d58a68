"""The odd files that turn up: adopted, mended or refused, and nothing of the user's is lost."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from helpers.interop.facts import (
    HEAD,
    REVISIONS,
    Expected,
    describe,
    reading,
    rows,
    table_names,
    version_rows,
)
from helpers.interop.files import fill, make_before_2_2
from helpers.interop.nexuslims import NexusLIMS

from nexuslims_store import (
    ExternalSystem,
    NotANexusLIMSDatabaseError,
    PendingMigrationsError,
    SchemaMismatchError,
    Store,
    StoreError,
    UnknownRevisionError,
    migrations,
)

pytestmark = pytest.mark.interop

# What `nexuslims db create-demo` runs. By its file, because the package around it draws terminal
# windows when it is imported.
CREATE_DEMO = """
import runpy, sys
from pathlib import Path
import nexusLIMS
helpers = Path(nexusLIMS.__file__).parent / "tui" / "demo_helpers.py"
runpy.run_path(str(helpers))["create_demo_database"](Path(sys.argv[1]))
"""

# NexusLIMS's own `upgrade`, which dies before its N-th statement or commit.
KILLED_UPGRADE = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
import alembic.command
from nexusLIMS.cli.migrate import _get_alembic_config

moment, seen = int(sys.argv[1]), 0

def count(*_):
    global seen
    seen += 1
    if seen == moment:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "before_cursor_execute", count)
event.listen(Engine, "commit", count)
alembic.command.upgrade(_get_alembic_config(), "head")
"""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def made_by_nexuslims(nexuslims: NexusLIMS, path: Path, revision: str = HEAD) -> None:
    path.touch()
    nexuslims.db(path, "upgrade", revision)
    fill(path)


def backups_of(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.stem}_backup_*.db"))


def assert_at_head(nexuslims: NexusLIMS, path: Path) -> None:
    """Both programs say that the file is at the head."""
    assert migrations.current(path) == HEAD
    assert version_rows(path) == [HEAD]
    assert nexuslims.current(path) == HEAD
    assert "up-to-date" in nexuslims.db(path, "check").stdout


# -- adopted ------------------------------------------------------------------------------


def test_the_demo_database_is_adopted(nexuslims: NexusLIMS, tmp_path: Path) -> None:
    path = tmp_path / "demo.db"
    nexuslims.run(CREATE_DEMO, None, path)
    before = rows(path)
    assert len(before["instruments"]) == 10
    assert "alembic_version" not in table_names(path)

    migrations.upgrade(path)

    assert rows(path) == before
    assert_at_head(nexuslims, path)
    with Store(path) as store:
        assert len(store.instruments.list()) == 10
    # It can be used by both, and taken down and up again as any other.
    nexuslims.run(INSERT_ONE_OF_EACH, path, before["instruments"][0]["instrument_pid"].strip("'"))
    with Store(path) as store:
        assert [session.session_identifier for session in store.sessions.list_to_build()] == ["s"]
        assert store.external_ids.get("ada", ExternalSystem.NEMO) == "1"
    migrations.downgrade(path, target="v1_4_3")
    assert describe(path) == Expected.fresh("v1_4_3").tables()
    nexuslims.db(path, "upgrade")
    assert describe(path) == Expected.fresh(HEAD).tables()


INSERT_ONE_OF_EACH = """
import datetime, sys
from nexusLIMS.db.enums import EventType, ExternalSystem, RecordStatus
from nexusLIMS.db.models import SessionLog, store_external_id
for hour, event in enumerate((EventType.START, EventType.END)):
    SessionLog(
        session_identifier="s",
        instrument=sys.argv[1],
        timestamp=datetime.datetime(2025, 1, 1, hour, tzinfo=datetime.timezone.utc),
        event_type=event,
        record_status=RecordStatus.TO_BE_BUILT,
    ).insert_log()
store_external_id("ada", ExternalSystem.NEMO, "1")
"""


def test_a_file_that_nexuslims_took_down_to_base_is_upgraded(
    nexuslims: NexusLIMS, tmp_path: Path
) -> None:
    path = tmp_path / "base.db"
    made_by_nexuslims(nexuslims, path)
    nexuslims.db(path, "downgrade", "base")
    assert table_names(path) == ["alembic_version"]
    assert version_rows(path) == []

    migrations.upgrade(path)

    assert describe(path) == Expected.fresh(HEAD).tables()
    assert_at_head(nexuslims, path)


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_file_that_lost_its_version_row_is_known_by_its_tables(
    nexuslims: NexusLIMS, tmp_path: Path, revision: str
) -> None:
    path = tmp_path / "unstamped.db"
    made_by_nexuslims(nexuslims, path, revision)
    sessions = rows(path)["session_log"]
    change(path, "DROP TABLE alembic_version")

    migrations.upgrade(path)

    assert describe(path) == Expected.fresh(HEAD).tables()
    assert rows(path)["session_log"] == sessions
    assert_at_head(nexuslims, path)


@pytest.mark.parametrize("stamped", [True, False])
def test_null_harvesters_from_before_2_2_become_nemo(
    nexuslims: NexusLIMS, tmp_path: Path, stamped: bool
) -> None:
    path = tmp_path / "old.db"
    make_before_2_2(path, null_harvester=True)
    before = rows(path)
    if stamped:
        nexuslims.db(path, "alembic", "stamp", "v1_4_3")
        # NexusLIMS itself gets no further than half-way with it (hazards: NULL harvester).
        copy = tmp_path / "copy.db"
        shutil.copy(path, copy)
        assert nexuslims.db(copy, "upgrade", check=False).status == 1

    report = migrations.upgrade(path)

    assert describe(path) == Expected.before_2_2(HEAD).tables()
    after = rows(path)
    assert after["session_log"] == before["session_log"]
    assert [row["harvester"] for row in after["instruments"]] == [
        "'nemo'" if row["harvester"] == "NULL" else row["harvester"]
        for row in before["instruments"]
    ]
    assert report.harvesters_filled == 2
    assert report.adopted is not stamped
    assert_at_head(nexuslims, path)


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_a_file_that_nexuslims_took_part_of_the_way_down(
    nexuslims: NexusLIMS, tmp_path: Path, revision: str
) -> None:
    path = tmp_path / "down.db"
    made_by_nexuslims(nexuslims, path)
    nexuslims.db(path, "downgrade", revision)
    before = rows(path)["session_log"]
    assert nexuslims.current(path) == revision

    with pytest.raises(PendingMigrationsError, match="migrate"):
        Store(path)
    migrations.upgrade(path)

    assert describe(path) == Expected.fresh(HEAD).tables()
    assert rows(path)["session_log"] == before
    assert_at_head(nexuslims, path)


# -- mended -------------------------------------------------------------------------------


@pytest.mark.parametrize("lineage", ["fresh", "before 2.2", "empty"])
def test_an_upgrade_of_nexuslims_killed_at_each_statement(
    nexuslims: NexusLIMS, tmp_path: Path, lineage: str
) -> None:
    source = tmp_path / "source.db"
    if lineage == "fresh":
        made_by_nexuslims(nexuslims, source, "v1_4_3")
    elif lineage == "before 2.2":
        make_before_2_2(source)
        nexuslims.db(source, "alembic", "stamp", "v1_4_3")
    else:
        source.touch()
    expected = (
        Expected.before_2_2(HEAD) if lineage == "before 2.2" else Expected.fresh(HEAD)
    ).tables()
    sessions = rows(source).get("session_log", [])
    instruments = [row["instrument_pid"] for row in rows(source).get("instruments", [])]

    stuck: list[str] = []
    removed: set[str] = set()
    seen: set[tuple[str, ...]] = set()
    for moment in range(1, 200):
        folder = tmp_path / f"moment-{moment}"
        folder.mkdir()
        path = folder / "nexuslims.db"
        shutil.copy(source, path)
        killed = nexuslims.run(KILLED_UPGRADE, path, moment, check=False)
        if killed.status == 0:
            break
        assert killed.status == -9, killed
        before = {backup: digest(backup) for backup in backups_of(path)}
        left = tuple(digest(file) for file in folder.glob("nexuslims.db*"))
        if left in seen:
            continue  # it was only reading: nothing differs from an earlier moment
        seen.add(left)

        try:
            removed.update(migrations.upgrade(path).leftovers_removed)
        except StoreError as error:
            stuck.append(f"{moment}: {type(error).__name__}: {error}")
            continue

        assert describe(path) == expected, moment
        after = rows(path)
        assert after["session_log"] == sessions, moment
        assert [row["instrument_pid"] for row in after["instruments"]] == instruments, moment
        assert_at_head(nexuslims, path)
        # NexusLIMS's own backup, made before it was killed, is still as it was.
        assert {backup: digest(backup) for backup in before} == before, moment
        if moment % 10:
            shutil.rmtree(folder)
    assert moment > 30, "the upgrade was not killed as often as it has statements"
    assert len(seen) > 10
    assert not stuck, "\n".join(stuck)
    assert removed >= {"session_log_new", "_alembic_tmp_instruments"}


@pytest.mark.parametrize("leftover", ["session_log_new", "_alembic_tmp_instruments"])
def test_a_leftover_that_holds_rows_is_in_the_backup(
    nexuslims: NexusLIMS, tmp_path: Path, leftover: str
) -> None:
    path = tmp_path / "leftover.db"
    made_by_nexuslims(nexuslims, path, "v2_4_0a" if leftover == "session_log_new" else "v2_5_0a")
    original = leftover.removesuffix("_new").removeprefix("_alembic_tmp_")
    change(path, f"CREATE TABLE {leftover} AS SELECT * FROM {original}")
    before = rows(path)["session_log"]

    with pytest.raises(SchemaMismatchError, match=f"{leftover}.*migrate upgrade"):
        Store(path)
    report = migrations.upgrade(path)

    assert report.leftovers_removed == (leftover,)
    assert describe(path) == Expected.fresh(HEAD).tables()
    assert rows(path)["session_log"] == before
    assert_at_head(nexuslims, path)
    (backup,) = backups_of(path)
    with reading(backup) as connection:
        assert connection.execute(f"SELECT count(*) FROM {leftover}").fetchone()[0] > 0


def test_rows_in_a_table_of_the_next_revision_are_kept(
    nexuslims: NexusLIMS, tmp_path: Path
) -> None:
    # NexusLIMS was killed between making the table and moving the version row; its own upgrade
    # now fails for good, but it goes on working, and writes into the table.
    source = tmp_path / "source.db"
    made_by_nexuslims(nexuslims, source, "v1_4_3")
    for moment in range(1, 40):
        path = tmp_path / f"{moment}.db"
        shutil.copy(source, path)
        nexuslims.run(KILLED_UPGRADE, path, moment, check=False)
        if version_rows(path) == ["v1_4_3"] and "upload_log" in table_names(path):
            break
    assert "already exists" in nexuslims.db(path, "upgrade", check=False).stderr
    fill(path)
    before = rows(path)
    assert before["upload_log"]

    # What to do about them is for a person to say.
    content = digest(path)
    with pytest.raises(SchemaMismatchError, match="stamp v2_4_0a"):
        migrations.upgrade(path)
    assert digest(path) == content
    migrations.stamp(path, "v2_4_0a")
    migrations.upgrade(path)

    after = rows(path)
    assert after["upload_log"] == before["upload_log"]
    assert after["session_log"] == before["session_log"]
    assert describe(path) == Expected.fresh(HEAD).tables()
    assert_at_head(nexuslims, path)


# -- refused ------------------------------------------------------------------------------


def assert_refused(
    path: Path, error: type[Exception] | tuple[type[Exception], ...], match: str
) -> None:
    """Every way in is refused with the error, and nothing is written, not even a backup."""
    before = digest(path)
    neighbours = sorted(path.parent.iterdir())
    ways_in: list[Callable[[], object]] = [
        lambda: Store(path),
        lambda: Store(path, read_only=True),
        lambda: Store(path, migrate=True),
        lambda: migrations.upgrade(path),
        lambda: migrations.downgrade(path),
        lambda: migrations.pending(path),
    ]
    for way_in in ways_in:
        with pytest.raises(error, match=match):
            way_in()
        assert digest(path) == before
        assert sorted(path.parent.iterdir()) == neighbours


def test_a_wrong_stamp_is_refused_and_stamp_mends_it(nexuslims: NexusLIMS, tmp_path: Path) -> None:
    path = tmp_path / "wrong.db"
    made_by_nexuslims(nexuslims, path, "v1_4_3")
    nexuslims.db(path, "alembic", "stamp", "head")
    before = rows(path)
    # NexusLIMS notices nothing (hazards: a file stamped `head` by mistake).
    assert "up-to-date" in nexuslims.db(path, "check").stdout

    assert_refused(path, SchemaMismatchError, "stamp")

    migrations.stamp(path, "v1_4_3")
    assert nexuslims.current(path) == "v1_4_3"
    assert rows(path) == before
    migrations.upgrade(path)
    assert describe(path) == Expected.fresh(HEAD).tables()
    assert rows(path)["session_log"] == before["session_log"]
    assert_at_head(nexuslims, path)


def test_two_version_rows_are_refused(nexuslims: NexusLIMS, tmp_path: Path) -> None:
    path = tmp_path / "two.db"
    made_by_nexuslims(nexuslims, path)
    change(path, "INSERT INTO alembic_version (version_num) VALUES ('v2_4_0a')")
    assert_refused(path, UnknownRevisionError, "v2_4_0a")
    # The way out that the message names.
    before = rows(path)
    migrations.stamp(path, HEAD)
    assert_at_head(nexuslims, path)
    assert rows(path) == before


def test_a_later_revision_is_refused(nexuslims: NexusLIMS, tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    made_by_nexuslims(nexuslims, path)
    change(path, "UPDATE alembic_version SET version_num = 'v9_0_0'")
    assert_refused(path, UnknownRevisionError, "v9_0_0")


def test_another_programs_database_is_refused(nexuslims: NexusLIMS, tmp_path: Path) -> None:
    path = tmp_path / "places.sqlite"
    change(
        path,
        "CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url TEXT)",
        "INSERT INTO moz_places (url) VALUES ('https://example.com')",
    )
    assert_refused(path, NotANexusLIMSDatabaseError, "places.sqlite")
    # Where NexusLIMS makes all its tables in it (hazards: some other program's database).
    copy = tmp_path / "copy.db"
    shutil.copy(path, copy)
    nexuslims.db(copy, "upgrade")
    assert "instruments" in table_names(copy)


def test_another_programs_database_with_alembic_in_it_is_refused(
    nexuslims: NexusLIMS, tmp_path: Path
) -> None:
    path = tmp_path / "other.db"
    made_by_nexuslims(nexuslims, path)
    nexuslims.db(path, "downgrade", "base")
    change(
        path,
        "CREATE TABLE users (id INTEGER PRIMARY KEY)",
        "INSERT INTO alembic_version (version_num) VALUES ('1975ea83b712')",
    )
    assert_refused(path, (NotANexusLIMSDatabaseError, UnknownRevisionError), "other.db")
