"""A whole file into a database of a server, and back: every value, or nothing."""

from __future__ import annotations

import random
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import call
from helpers.platforms import needs_posix, posix
from helpers.servers import Server
from helpers.support import TABLES, contents, plainly, write

from nexuslims_store import InvalidRowError, Store, StoreError, demo, migrations
from nexuslims_store.moving import _why_not, move
from nexuslims_store.tables import Column
from nexuslims_store.testing import add_session, make_instrument, make_store


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with rows of all kinds."""
    # Of a day that stays: which row is whose upload, and whether it failed, goes by the date.
    now = datetime(2025, 6, 3, tzinfo=UTC)
    path = demo.create(tmp_path_factory.mktemp("demo") / "demo.db", seed=4, now=now)
    long, odd = "long " * 20_000, "\\N \t\r\n\\. \x01 'ẞ' \U0001f52c \u202e"
    write(
        path,
        ("UPDATE instruments SET location = ?, calendar_url = '' WHERE rowid = 1", (odd,)),
        "UPDATE session_log SET timestamp = 'no time' WHERE id_session_log = 5",
        "UPDATE session_log SET timestamp = '2018-11-13 13:01:30.123' WHERE id_session_log = 6",
        "DELETE FROM session_log WHERE id_session_log = 8",
        ("UPDATE upload_log SET error_message = ?, metadata_json = '{' WHERE id = 3", (long,)),
        ("UPDATE external_user_identifiers SET notes = ? WHERE id = 2", (odd,)),
        "UPDATE upload_log SET id = 9223372036854775807 WHERE id = 4",
        "UPDATE upload_log SET id = -5 WHERE id = 6",
    )
    return path


@pytest.fixture
def copy(sample: Path, tmp_path: Path) -> Path:
    """A file of the test's own."""
    path = tmp_path / "nexuslims.db"
    path.write_bytes(sample.read_bytes())
    return path


def by_key(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {table: sorted(rows) for table, rows in contents(path).items()}


def test_every_value_arrives_and_comes_back(sample: Path, server_url: str, tmp_path: Path) -> None:
    there = move(sample, server_url)
    back = move(server_url, tmp_path / "back.db")

    assert by_key(tmp_path / "back.db") == by_key(sample)
    assert there == back
    assert there == {table: len(rows) for table, rows in contents(sample).items()}
    with Store(sample) as file, Store(server_url) as server, Store(tmp_path / "back.db") as new:
        for store in (server, new):
            assert list(store.sessions.iter_overview()) == list(file.sessions.iter_overview())
            assert store.sessions.list_unpaired() == file.sessions.list_unpaired()
            assert store.upload_logs.list_failed() == file.upload_logs.list_failed()
    assert migrations.plan(tmp_path / "back.db").nothing_to_do


def test_ids_go_on_after_those_that_were_moved(server_url: str, tmp_path: Path) -> None:
    with make_store(path=tmp_path / "a.db") as store:
        add_session(store, uploads={"cdcs": True})
        store.external_ids.store("alice", "nemo", "1")
    move(tmp_path / "a.db", server_url)
    with Store(server_url) as store:
        last = max(log.id_session_log or 0 for log in store.session_logs.iter_all())
        add_session(store, uploads={"cdcs": True})
        store.external_ids.store("bob", "nemo", "2")
        assert max(log.id_session_log or 0 for log in store.session_logs.iter_all()) > last


def test_a_database_without_tables_gets_them(empty_url: str, sample: Path) -> None:
    dry = move(sample, empty_url, dry_run=True)
    assert migrations.current(empty_url) is None
    assert move(sample, empty_url) == dry
    assert migrations.plan(empty_url).nothing_to_do


@pytest.fixture
def empty_url(server: Server) -> Iterator[str]:
    server.execute("CREATE DATABASE moving_empty")
    yield server.url("moving_empty")
    server.execute("DROP DATABASE moving_empty WITH (FORCE)")


ODD = {
    "a BLOB": ("UPDATE session_log SET \"user\" = x'00ff'", "session_log", 1, "user", "BLOB"),
    "no UTF-8": (
        "UPDATE session_log SET \"user\" = CAST(x'ff41' AS TEXT)",
        *("session_log", 1, "user", "is not UTF-8"),
    ),
    "a NUL": (
        "UPDATE upload_log SET record_id = 'a' || char(0) || 'b'",
        *("upload_log", -5, "record_id", "NUL"),
    ),
    "no boolean": ("UPDATE upload_log SET success = 7", "upload_log", -5, "success", "not 0 or 1"),
    "a word for a boolean": (
        "UPDATE upload_log SET success = 'yes' WHERE id = 9",
        *("upload_log", 9, "success", "'yes', not 0 or 1"),
    ),
    "no such instrument": (
        "UPDATE session_log SET instrument = 'gone' WHERE id_session_log = 7",
        *("session_log", 7, "instrument", "not there"),
    ),
}


@pytest.mark.parametrize("odd", ODD)
def test_what_a_server_cannot_hold_is_named_and_nothing_is_moved(
    odd: str, copy: Path, server_url: str
) -> None:
    statement, table, row_id, column, words = ODD[odd]
    write(copy, statement)
    with pytest.raises(InvalidRowError, match=words) as refused:
        move(copy, server_url)
    assert (refused.value.table, refused.value.row_id) == (table, row_id)
    assert refused.value.column == column
    assert f"{table}, row {row_id}" in str(refused.value)
    with Store(server_url) as store:
        assert store.instruments.list() == []
        assert store.session_logs.count() == 0


INCOMPRESSIBLE = random.Random(6).randbytes(20_000).hex()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("record_status = 'DONE'", "check_record_status"),
        (f"session_identifier = '{INCOMPRESSIBLE}'", "index row"),
    ],
)
def test_what_the_tables_refuse_is_named_by_its_row(
    change: str, says: str, copy: Path, server_url: str
) -> None:
    write(copy, f"UPDATE session_log SET {change} WHERE id_session_log = 1234")
    with pytest.raises(StoreError, match=rf"^session_log, row 1234: .*{says}.*Nothing was moved"):
        move(copy, server_url)
    with Store(server_url) as store:
        assert store.instruments.list() == []


@pytest.mark.parametrize(
    ("kind", "not_null", "fits", "odd"),
    [
        ("VARCHAR", True, ["", "ẞ", "x" * 9], {None: "is NULL", "a\0": "has a NUL in it (a\0)"}),
        ("VARCHAR", False, [None, "0"], {5: "is 5, which is no text", b"a": "is the BLOB x'61'"}),
        ("VARCHAR", False, [], {"\ud800": "is not UTF-8", 1.5: "is 1.5, which is no text"}),
        ("INTEGER", True, [0, -5, 2**63 - 1], {None: "is NULL", 1.5: "is 1.5, which is no text"}),
        (
            "BOOLEAN",
            True,
            [0, 1],
            {2: "is 2, not 0 or 1", -1: "is -1, not 0 or 1", None: "is NULL"},
        ),
        ("BOOLEAN", False, [None], {"1": "is '1', not 0 or 1", b"\1": "is the BLOB x'01'"}),
    ],
)
def test_what_is_odd_about_a_value_is_said(
    kind: str, not_null: bool, fits: list[object], odd: dict[object, str]
) -> None:
    column = Column("c", kind, not_null, None, 0, generated=False)
    assert {value: _why_not(column, value) for value in fits} == dict.fromkeys(fits, "")
    assert {value: _why_not(column, value) for value in odd} == odd


def own_column(path: Path) -> None:
    write(path, "ALTER TABLE instruments ADD COLUMN room TEXT")


def own_columns(path: Path) -> None:
    write(path, *(f"ALTER TABLE {table} ADD COLUMN room TEXT" for table in reversed(TABLES)))
    write(path, "ALTER TABLE instruments ADD COLUMN bench TEXT")


def computed_column(path: Path) -> None:
    write(path, "ALTER TABLE instruments ADD COLUMN g AS (location || '!')")


def older(path: Path) -> None:
    migrations.downgrade(path, "v2_5_0a", backup=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (own_column, r"none of NexusLIMS's.*instruments\.room.*take room out.*own_instruments"),
        (
            own_columns,
            r"lost: external_user_identifiers\.room, instruments\.bench, instruments\.room, "
            r"session_log\.room, upload_log\.room\. Nothing was moved; take room out of external_.*"
            r"; take room, bench out of instr.*; take room out of sess.*; take room out of upload",
        ),
        (computed_column, r"instruments\.g.*take g out of instruments \(sqlite3 .*brings it back"),
        (older, "migrate"),
    ],
)
def test_a_file_that_would_lose_something_is_refused(
    change: Callable[[Path], None], words: str, copy: Path, server_url: str
) -> None:
    change(copy)
    with pytest.raises(StoreError, match=words):
        move(copy, server_url)


def test_a_server_that_would_lose_something_is_refused(
    server: Server, server_url: str, tmp_path: Path
) -> None:
    database = name_of(server_url)
    server.execute("CREATE TABLE visits (room TEXT)", database=database)
    move(server_url, tmp_path / "visits.db")
    for column in ("upload_log.room", "upload_log.bench", "session_log.room", "instruments.room"):
        table, _, name = column.partition(".")
        server.execute(f"ALTER TABLE {table} ADD COLUMN {name} TEXT", database=database)
    says = (
        r"lost: instruments\.room, session_log\.room, upload_log\.bench, upload_log\.room\. "
        "Nothing was moved; move them to a table of your own"
    )
    with pytest.raises(StoreError, match=says):
        move(server_url, tmp_path / "room.db")
    assert [file.name for file in tmp_path.iterdir()] == ["visits.db"]


def test_a_server_without_tables_or_of_another_revision_is_refused(
    server: Server, server_url: str, tmp_path: Path
) -> None:
    server.execute(
        "UPDATE alembic_version SET version_num = 'v9_9_9'", database=name_of(server_url)
    )
    for url, says in ((server.url(), "has no tables"), (server_url, "v9_9_9")):
        with pytest.raises(StoreError, match=says):
            move(url, tmp_path / "new.db")
    assert not list(tmp_path.iterdir())


def name_of(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


def test_rows_that_are_there_are_never_mixed_with_others(copy: Path, server_url: str) -> None:
    with Store(server_url) as store:
        store.instruments.add(make_instrument("Titan"))
    with pytest.raises(StoreError, match="rows in instruments already"):
        move(copy, server_url)
    with Store(server_url) as store:
        assert [one.name for one in store.instruments.list()] == ["Titan"]


def test_no_file_is_written_over(copy: Path, server_url: str) -> None:
    before = copy.read_bytes()
    with pytest.raises(StoreError, match="exists already"):
        move(server_url, copy)
    assert copy.read_bytes() == before
    with pytest.raises(StoreError, match="one of the two"):
        move(copy, copy.with_name("other.db"))
    assert [file.name for file in copy.parent.iterdir()] == ["nexuslims.db"]


NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.mark.parametrize(
    ("source", "destination", "error", "says"),
    [
        ("a.db", "b.db", StoreError, "^one of the two is to be"),
        (NOWHERE, NOWHERE, StoreError, "^one of the two is to be"),
        (5, NOWHERE, TypeError, "^source must be"),
        (NOWHERE, 5, TypeError, "^destination must be"),
        ("-", NOWHERE, StoreError, "'-' is no file"),
        (NOWHERE, "-", StoreError, "'-' is no file"),
        ("mysql://h/d", NOWHERE, StoreError, "^the path is no path of an SQLite file"),
        (NOWHERE, Path("postgres://h/d"), StoreError, "^the path is no path of an SQLite file"),
    ],
)
def test_what_is_neither_a_file_nor_a_server_is_refused_at_once(
    source: Any, destination: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        move(source, destination)


@pytest.mark.parametrize("left", ["-journal", "-wal"])
def test_what_another_database_left_is_not_played_into_a_new_file(
    left: str, tmp_path: Path
) -> None:
    (tmp_path / f"new.db{left}").touch()
    with pytest.raises(StoreError, match=f"new.db{left} is in the way"):
        move(NOWHERE, tmp_path / "new.db")
    assert [file.name for file in tmp_path.iterdir()] == [f"new.db{left}"]


@posix
def test_a_new_file_is_for_all_to_read_and_where_a_link_leads(
    server_url: str, tmp_path: Path
) -> None:
    link = tmp_path / "link.db"
    link.symlink_to("real.db")
    move(server_url, link)
    assert link.is_symlink()
    assert (tmp_path / "real.db").stat().st_mode & 0o777 == 0o644
    with pytest.raises(StoreError, match="exists already, and only a new"):
        move(server_url, link)


def test_a_file_that_is_none_is_refused(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for source, destination in ((server_url, ":memory:"), (":memory:", server_url)):
        with pytest.raises(StoreError, match="in memory"):
            move(source, destination)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_leaves_all_as_it_is(copy: Path, server_url: str, tmp_path: Path) -> None:
    dry = call("move", copy, server_url, "--dry-run", "--json")
    assert dry.json["dry_run"] is True
    assert dry.json["rows"]["instruments"] == 10
    with Store(server_url) as store:
        assert store.instruments.list() == []
    moved = call("move", copy, server_url)
    assert moved.status == 0
    assert moved.out.startswith("moved ")
    back = call("move", server_url, tmp_path / "back.db", "--dry-run")
    assert back.status == 0
    assert (back.out, back.err.count("from now on")) == (
        f"would {moved.out.replace('moved', 'move').partition(' from ')[0]} from {server_url} to "
        f"{tmp_path / 'back.db'}, each compared\n",
        0,
    )
    assert [file.name for file in tmp_path.iterdir()] == ["nexuslims.db"]


def test_the_file_is_read_with_its_log_and_both_stay_as_they_are(
    copy: Path, server_url: str, tmp_path: Path
) -> None:
    (tmp_path / "left").mkdir()
    left = [tmp_path / "left" / f"nexuslims.db{suffix}" for suffix in ("", "-wal")]
    with plainly(copy) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE session_log SET \"user\" = 'eve'")
        for file in left:  # as a program that is killed leaves them
            file.write_bytes((tmp_path / file.name).read_bytes())
    before = [file.read_bytes() for file in left]
    move(left[0], server_url)
    assert [file.read_bytes() for file in left] == before
    assert {row[-1] for row in contents(server_url)["session_log"]} == {"eve"}


def test_what_is_written_to_the_file_meanwhile_is_noticed(copy: Path, server_url: str) -> None:
    write(copy, "PRAGMA journal_mode = WAL")

    def write_meanwhile(line: str) -> None:
        if "session_log" in line:
            write(copy, "UPDATE session_log SET \"user\" = 'eve' WHERE id_session_log = 1")

    with pytest.raises(StoreError, match="written to meanwhile"):
        move(copy, server_url, say=write_meanwhile)
    with Store(server_url) as store:
        assert store.session_logs.count() == 0


def test_what_is_written_to_the_server_meanwhile_is_of_another_moment(
    copy: Path, server_url: str, tmp_path: Path
) -> None:
    write(copy, "DELETE FROM upload_log WHERE id = 9223372036854775807")  # after which comes none
    rows = move(copy, server_url)

    def write_meanwhile(line: str) -> None:
        if "instruments" in line:
            with Store(server_url) as store:
                add_session(store, uploads={"cdcs": True})

    assert move(server_url, tmp_path / "back.db", say=write_meanwhile) == rows
    assert by_key(tmp_path / "back.db") == by_key(copy)


@pytest.mark.parametrize(
    ("spoil", "row"),
    [
        ("NEW.notes := 'spoilt'; RETURN NEW;", 1),
        ("RETURN CASE WHEN NEW.id < 10 THEN NEW END;", 10),
        (
            "IF NEW.id = 1 THEN INSERT INTO external_user_identifiers"
            " (id, nexuslims_username, external_system, external_id, created_at)"
            " VALUES (999, 'x', 'nemo', 'x', 'x'); END IF; RETURN NEW;",
            999,
        ),
    ],
    ids=["changed", "left out", "added"],
)
def test_what_does_not_arrive_as_it_was_sent_undoes_all(
    spoil: str, row: int, tmp_path: Path, server: Server, server_url: str
) -> None:
    with make_store(*map(make_instrument, "abcdefghij"), path=tmp_path / "a.db") as store:
        for number in range(1, 11):
            store.external_ids.store(f"user {number}", "nemo", f"{number}")
    server.execute(
        f"CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {spoil} END $$",
        "CREATE TRIGGER spoil BEFORE INSERT ON external_user_identifiers"
        " FOR EACH ROW EXECUTE FUNCTION spoil()",
        database=name_of(server_url),
    )
    with pytest.raises(StoreError, match=f"^external_user_identifiers, row {row} did not arrive"):
        move(tmp_path / "a.db", server_url)
    with Store(server_url) as store:
        assert store.external_ids.list() == []


def test_a_server_that_is_lost_meanwhile_is_not_a_row_that_it_refuses(
    copy: Path, server: Server, server_url: str
) -> None:
    def lose(line: str) -> None:
        if "session_log" in line:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{name_of(server_url)}'"
            )

    with pytest.raises(StoreError, match=f"^{re.escape(server_url)}: the connection.* was lost"):
        move(copy, server_url, say=lose)
    with Store(server_url) as store:
        assert store.instruments.list() == []


VICTIM = """
import os, signal, sys
from nexuslims_store.moving import _why_not, move
from nexuslims_store.tables import Column

def die(line):
    if "session_log" in line:
        os.kill(os.getpid(), signal.SIGKILL)

move(sys.argv[1], sys.argv[2], say=die)
"""


@pytest.mark.slow
def test_killed_in_the_midst_nothing_is_moved(copy: Path, server_url: str, tmp_path: Path) -> None:
    if sys.platform == "win32":
        needs_posix()
    for source, destination in ((copy, server_url), (server_url, tmp_path / "back.db")):
        victim = [sys.executable, "-c", VICTIM, str(source), str(destination)]
        assert subprocess.run(victim, check=False, timeout=60).returncode == -signal.SIGKILL
        assert not (tmp_path / "back.db").exists()
        if destination == server_url:
            with Store(server_url) as store:
                assert store.instruments.list() == []
        move(source, destination)
    assert by_key(tmp_path / "back.db") == by_key(copy)


def test_of_two_moves_at_once_one_is_refused(copy: Path, server_url: str) -> None:
    def attempt(_: int) -> str:
        try:
            move(copy, server_url)
        except StoreError as error:
            return str(error)
        return "moved"

    with ThreadPoolExecutor(2) as threads:
        moved, refused = sorted(threads.map(attempt, range(2)))
    assert moved == "moved"
    assert "has rows in" in refused


def test_progress_is_told_to_the_end(sample: Path, server_url: str) -> None:
    steps: list[tuple[int, int]] = []
    lines: list[str] = []
    move(sample, server_url, say=lines.append, progress=lambda *step: steps.append(step))
    tables = ["external_user_identifiers", "instruments", "upload_log", "session_log"]
    assert lines[-4:] == [f"moving {table}" for table in tables]
    rows = sum(map(len, contents(sample).values()))
    assert steps == sorted(steps)
    assert steps[-1] == (2 * rows, 2 * rows)


def test_the_message_of_a_move_has_no_password(copy: Path, server_url: str) -> None:
    with_password = server_url.replace("nexus@", "nexus:geheim@")
    moved = call("move", copy, with_password)
    assert moved.status == 0
    assert "geheim" not in moved.out + moved.err
    assert f"NX_DB_PATH='{server_url}'" in moved.err
    again = call("move", copy, with_password, "--debug")
    assert again.status == 2
    assert "geheim" not in again.out + again.err


def test_a_sqlite_shell_reads_what_came_back(server_url: str, sample: Path, tmp_path: Path) -> None:
    move(sample, server_url)
    move(server_url, tmp_path / "back.db")
    connection = sqlite3.connect(tmp_path / "back.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT DISTINCT typeof(success) FROM upload_log").fetchall() == [
        ("integer",)
    ]
    connection.close()
