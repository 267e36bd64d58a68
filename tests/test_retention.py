"""Old backups: which the rules keep, whose they are, and that nothing else is ever removed."""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import call
from helpers.database_files import build, content, names
from helpers.platforms import no_root
from helpers.support import HEAD, instrument, log

from nexuslims_store import EventType, Store
from nexuslims_store.backup import (
    Backup,
    Keep,
    copy,
    list_backups,
    not_kept,
    old_backups,
    remove_backups,
    retention,
)
from nexuslims_store.connection import connect
from nexuslims_store.errors import BackupError, ReadOnlyError

NOON = datetime(2025, 1, 1, 12)


def backups(*times: str) -> list[Backup]:
    """Backups made at these times, the newest first."""
    made = [datetime.fromisoformat(time) for time in times]
    return [Backup(time, 1, Path(f"{time}.db")) for time in sorted(made, reverse=True)]


def kept(found: list[Backup], keep: Keep) -> list[str]:
    gone = not_kept(found, keep)
    assert [backup for backup in found if backup in gone] == gone
    return [backup.time.isoformat(timespec="minutes") for backup in found if backup not in gone]


# -- the rules -------------------------------------------------------------------------------

# The last days of a year: Monday, 30 December, is in the first week of 2025.
DAYS = backups(
    *("2024-11-29T12:00", "2024-12-27T08:00", "2024-12-27T20:00", "2024-12-28T12:00"),
    *("2024-12-29T12:00", "2024-12-30T12:00", "2024-12-31T23:59", "2025-01-01T00:00"),
)
DAYS_KEPT = [
    *("2025-01-01T00:00", "2024-12-31T23:59", "2024-12-30T12:00", "2024-12-29T12:00"),
    *("2024-12-28T12:00", "2024-12-27T20:00", "2024-11-29T12:00"),
]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (Keep(last=1), ["2025-01-01T00:00"]),
        (Keep(last=2), ["2025-01-01T00:00", "2024-12-31T23:59"]),
        # The last of each day; days without one do not count.
        (Keep(daily=2), ["2025-01-01T00:00", "2024-12-31T23:59"]),
        (Keep(daily=6), DAYS_KEPT[:6]),
        (Keep(daily=7), DAYS_KEPT),
        (Keep(weekly=1), ["2025-01-01T00:00"]),
        (Keep(weekly=2), ["2025-01-01T00:00", "2024-12-29T12:00"]),
        (Keep(monthly=2), ["2025-01-01T00:00", "2024-12-31T23:59"]),
        # A backup stays that any rule keeps.
        (Keep(last=1, monthly=2), ["2025-01-01T00:00", "2024-12-31T23:59"]),
        (Keep(last=2, weekly=2), ["2025-01-01T00:00", "2024-12-31T23:59", "2024-12-29T12:00"]),
        # As in restic: where a rule is not used up, it keeps the oldest too.
        (Keep(monthly=9), ["2025-01-01T00:00", "2024-12-31T23:59", "2024-11-29T12:00"]),
        (Keep(last=99), [backup.time.isoformat(timespec="minutes") for backup in DAYS]),
        (Keep(), [backup.time.isoformat(timespec="minutes") for backup in DAYS]),
    ],
    ids=str,
)
def test_what_the_rules_keep(keep: Keep, expected: list[str]) -> None:
    assert kept(DAYS, keep) == expected


def test_the_oldest_stays_while_a_rule_is_not_used_up() -> None:
    # Two backups a day, and only three days of them.
    found = backups(*(f"2025-03-0{day}T{hour}:00" for day in (1, 2, 3) for hour in ("01", "13")))
    assert kept(found, Keep(daily=7)) == [
        *("2025-03-03T13:00", "2025-03-02T13:00", "2025-03-01T13:00", "2025-03-01T01:00"),
    ]
    assert kept(found, Keep(daily=3)) == [
        "2025-03-03T13:00",
        "2025-03-02T13:00",
        "2025-03-01T13:00",
    ]


@pytest.mark.parametrize("keep", [Keep(daily=2), Keep(weekly=2), Keep(monthly=2)], ids=str)
def test_the_same_day_of_another_year_is_another(keep: Keep) -> None:
    found = backups("2022-03-01T12:00", "2023-03-01T12:00", "2024-02-28T12:00", "2025-02-28T12:00")
    assert kept(found, keep) == ["2025-02-28T12:00", "2024-02-28T12:00"]


def test_a_backup_a_night_under_the_same_rules_reaches_back() -> None:
    """As it goes on for two years, with a gap: never fewer than the rules say."""
    keep = Keep(daily=7, weekly=4, monthly=6)
    chance = random.Random(1)
    there: list[Backup] = []
    for night in range(700):
        if 300 < night < 320 or chance.random() < 0.05:
            continue
        new = Backup(
            NOON + timedelta(days=night, minutes=chance.randrange(600)), 1, Path(str(night))
        )
        there = [new, *there]
        gone = not_kept(there, keep)
        there = [backup for backup in there if backup not in gone]
        assert new in there
    months = {(backup.time.year, backup.time.month) for backup in there}
    weeks = {backup.time.isocalendar()[:2] for backup in there}
    days = {backup.time.date() for backup in there}
    assert (len(months), len(there) <= 18) == (6, True)
    assert len(weeks) >= 4
    assert len(days) >= 7


# -- whose they are --------------------------------------------------------------------------


def made_on(path: Path, folder: Path, *days: int) -> list[Path]:
    return [copy(path, folder, now=NOON + timedelta(days=day)) for day in days]


def thin_out(path: Path, new: Path, keep: Keep) -> tuple[list[Path], dict[Path, str]]:
    old = old_backups(path, keep, new=new)
    remove_backups(old.to_remove, new=new)
    return old.to_remove, old.left_alone


def test_only_older_backups_of_this_database_are_removed(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    path = build(tmp_path / "a.db")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    others = build(elsewhere / "a.db", mark="another facility")
    with closing(sqlite3.connect(others)) as connection:
        connection.execute("UPDATE session_log SET session_identifier = 'x' || session_identifier")
        connection.commit()
    folder = tmp_path / "b"
    *old, new, newer = made_on(path, folder, 0, 1, 2, 3, 4)
    foreign = made_on(others, folder, -1)
    (folder / "a_backup_20240101_000000.db").write_text("notes of somebody")
    (folder / "a_backup_20240102_000000.db").touch()
    (folder / "a_backup_20240103_000000.db").symlink_to(old[0])
    (folder / "a_backup_20240104_000000.db").mkdir()
    for name in (
        *("20240105_000000_1", "20240105_000000_0", "20240105_000000_02", "20240105_000000_"),
        *("20240105_999999", "20240105", "20240105_000000 copy"),
    ):
        (folder / f"a_backup_{name}.db").write_bytes(path.read_bytes())
    for name in ("A_backup_20240106_000000.db", "aa_backup_20240106_000000.db", "a.db"):
        (folder / name).write_bytes(path.read_bytes())
    in_use = folder / "a_backup_20240107_000000.db"
    in_use.write_bytes(path.read_bytes())
    (folder / f"{in_use.name}-wal").touch()
    before = set(names(folder))

    removed, left_alone = thin_out(path, new, Keep(last=1))

    assert sorted(removed) == old
    assert set(names(folder)) == before - {file.name for file in old}
    assert newer.exists()
    assert {file.name: why for file, why in left_alone.items()} == {
        foreign[0].name: "it is another database's",
        "a_backup_20240101_000000.db": "is not an SQLite database, and nothing was written to it",
        "a_backup_20240102_000000.db": "is empty: there is nothing to restore",
        in_use.name: "a program has it open, or left a file beside it",
    }


@pytest.mark.parametrize(
    "difference",
    ["id_session_log = id_session_log + 1000", "session_identifier = 'x'", "timestamp = '2026'"],
)
def test_an_event_in_common_is_one_with_its_id_session_and_time(
    tmp_path: Path, difference: str
) -> None:
    path = build(tmp_path / "a.db", sessions=5)
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "a.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE session_log SET timestamp = timestamp || id_session_log")
    copy(path, other)
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute(f"UPDATE session_log SET {difference}")
    (foreign,) = made_on(other, tmp_path, -1)
    old, new = made_on(path, tmp_path, 0, 1)
    assert thin_out(path, new, Keep(last=1)) == ([old], {foreign: "it is another database's"})


def test_a_lock_is_waited_for_as_long_as_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def recorded(path: Path, *, timeout: float, **options: Any) -> sqlite3.Connection:
        waits.append(timeout)
        return connect(path, timeout=timeout, **options)

    path = build(tmp_path / "a.db", sessions=1)
    old, new = made_on(path, tmp_path, 0, 1)
    monkeypatch.setattr(retention, "connect", recorded)
    with closing(sqlite3.connect(old, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        found = old_backups(path, Keep(last=1), new=new, timeout=0.01)
    assert found.to_remove == []
    assert "is locked by another program, still after 0.01 s" in found.left_alone[old]
    assert waits == [0.01, 0.01]


def test_backups_of_the_future_take_no_place(tmp_path: Path) -> None:
    """The clock was wrong for a week: that is no reason to lose all that is older."""
    path = build(tmp_path / "a.db", sessions=20)
    future = made_on(path, tmp_path, *range(4000, 4007))
    old = made_on(path, tmp_path, 1, 2, 3)
    assert thin_out(path, old[-1], Keep(daily=2)) == ([old[0]], {})
    assert all(file.exists() for file in [*future, *old[1:]])


def test_a_backup_from_before_the_first_session_is_known_by_its_instruments(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db", sessions=20)
    other = tmp_path / "c" / "a.db"
    other.parent.mkdir()
    copy(path, other)
    for file, sql in (
        (path, "DELETE FROM session_log"),
        (other, "DELETE FROM session_log"),
        (other, "UPDATE instruments SET instrument_pid = 'other'"),
    ):
        with closing(sqlite3.connect(file)) as connection:
            connection.execute(sql)
            connection.commit()
    (foreign,) = made_on(other, tmp_path, -1)
    old, new = made_on(path, tmp_path, 0, 1)
    assert thin_out(path, new, Keep(last=1)) == ([old], {foreign: "it is another database's"})


def test_an_empty_backup_is_that_of_an_empty_database_only(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Store(path, migrate=True) as store:
        *old, new = made_on(path, tmp_path, 0, 1, 2)
        assert thin_out(path, new, Keep(last=2)) == ([old[0]], {})
        store.instruments.add(instrument())
        assert thin_out(path, new, Keep(last=1)) == (
            [],
            {old[1]: "it holds nothing, and the database does"},
        )


def test_another_run_may_have_removed_it(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db", sessions=20)
    old, new = made_on(path, tmp_path, 0, 1)
    old.unlink()
    remove_backups([old], new=new)
    assert names(tmp_path) == ["a.db", new.name]


def test_the_new_backup_must_be_called_as_one(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db", sessions=20)
    with pytest.raises(BackupError, match="give a folder"):
        old_backups(path, Keep(last=1), new=tmp_path / "mine.db")


def test_backups_are_listed_by_the_time_in_their_names(tmp_path: Path) -> None:
    for name in (
        "a_backup_20250101_000000_2",
        "a_backup_20250101_000000_10",
        "a_backup_20240101_000000",
    ):
        (tmp_path / f"{name}.db").touch()
    os.utime(tmp_path / "a_backup_20240101_000000.db", (2e9, 2e9))
    assert [(backup.time.year, backup.number) for backup in list_backups(tmp_path / "a.db")] == [
        *((2025, 10), (2025, 2), (2024, 1)),
    ]
    with pytest.raises(BackupError, match="cannot be read"):
        list_backups(tmp_path / "a.db", tmp_path / "none")
    with pytest.raises(BackupError, match="cannot be read"):
        list_backups(tmp_path / "a.db", tmp_path / ("n" * 300))


@no_root
def test_what_may_not_be_read_or_removed(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db", sessions=20)
    folder = tmp_path / "b"
    folder.mkdir()
    old, new = made_on(path, folder, 0, 1)
    folder.chmod(0o500)
    try:
        with pytest.raises(BackupError, match="could not be removed"):
            remove_backups([old], new=new)
        folder.chmod(0)
        with pytest.raises(ReadOnlyError, match="may not be read"):
            list_backups(path, folder)
    finally:
        folder.chmod(0o700)


# -- the commands ----------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    with Store(path, migrate=True):
        pass
    return path


def test_the_keep_options(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    old = made_on(path, folder, 0, 1, 2)
    shown = call("--db", path, "backup", f"{folder}/", "--keep-last", "2", "--dry-run")
    assert shown.status == 0
    assert names(folder) == [file.name for file in old]
    refused = call("--db", path, "backup", f"{folder}/", "--keep-last", "2")
    assert (refused.status, "--yes" in refused.err) == (2, True)
    assert names(folder) == [file.name for file in old]
    done = call("--db", path, "backup", f"{folder}/", "--keep-last", "2", "--yes", "--json")
    assert done.status == 0
    result = done.json
    assert result["removed"] == [str(old[1]), str(old[0])]
    assert names(folder) == [old[2].name, Path(result["path"]).name]
    assert content(Path(result["path"])) == content(path)


def test_no_backup_no_removal(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    old = made_on(path, folder, 0, 1, 2)
    path.write_bytes(path.read_bytes()[:-100])
    result = call("--db", path, "backup", folder, "--keep-last", "1", "--yes")
    assert result.status == 2
    assert names(folder) == [file.name for file in old]


@pytest.mark.parametrize("count", ["0", "-1", "x", "1.5"])
def test_how_many_to_keep_is_a_number(path: Path, count: str) -> None:
    assert call("--db", path, "backup", "--yes", "--keep-last", count).status == 2
    assert names(path.parent) == ["a.db"]


def test_backup_list(path: Path, tmp_path: Path) -> None:
    (first,) = made_on(path, tmp_path, 0)
    (tmp_path / "a_backup_20240101_000000.db").write_text("hello")
    listed = call("--db", path, "backup", "list", "--json").json
    assert listed == [
        {
            "path": str(first),
            "time": "2025-01-01T12:00:00",
            "size": first.stat().st_size,
            "revision": HEAD,
            "problem": None,
        },
        {
            "path": str(tmp_path / "a_backup_20240101_000000.db"),
            "time": "2024-01-01T00:00:00",
            "size": 5,
            "revision": None,
            "problem": "is not an SQLite database, and nothing was written to it",
        },
    ]
    head, *rows = call("--db", path, "backup", "list").lines
    assert head.split() == ["TIME", "SIZE", "REVISION", "PATH", "PROBLEM"]
    assert rows[1].endswith("is not an SQLite database, and nothing was written to it")
    (tmp_path / "a_backup_20240101_000000.db").unlink()
    assert "PROBLEM" not in call("--db", path, "backup", "list").out
    (tmp_path / "empty").mkdir()
    empty = call("--db", path, "backup", "list", tmp_path / "empty", "--json")
    assert (empty.status, empty.json) == (0, [])
    assert call("--db", path, "backup", "list", tmp_path / "none").status == 2


def test_list_is_a_command_behind_options_too_and_misspelt_no_file(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made_on(path, tmp_path, 0)
    before = names(tmp_path)
    for arguments in (("--json", "list"), ("list", "--json"), ("--timeout", "3", "list", "--json")):
        assert len(call("--db", path, "backup", *arguments).json) == 1
    for misspelt in (("lsit",), ("--json", "lits"), ("--keep-last", "3", "List")):
        refused = call("--db", path, "backup", *misspelt)
        assert (refused.status, refused.out) == (2, "")
        assert "did you mean 'list'?" in refused.err
        assert f"./{misspelt[-1]}" in refused.err
    assert names(tmp_path) == before
    for name in ("./lsit", "lsit.db", "before"):
        assert call("--db", path, "backup", name).status == 0, name
    (tmp_path / "lisst").mkdir()
    assert call("--db", path, "backup", "lisst").status == 0


def test_what_a_restore_replaces_is_not_the_latest_backup(path: Path, tmp_path: Path) -> None:
    (backup,) = made_on(path, tmp_path, 0)
    for _ in range(2):
        done = call("--db", path, "restore", "latest", "--yes", "--json").json
        assert done["source"] == str(backup)
        assert done["kept"].endswith(".db")
    listed = call("--db", path, "backup", "list", "--json").json
    assert [record["path"] for record in listed] == [str(backup)]
    call("--db", path, "backup", "--keep-last", "1", "--yes")
    assert sum("_replaced" in name for name in names(tmp_path)) == 2


def test_a_file_that_is_called_list_or_latest(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("--db", path, "backup", "./list").status == 0
    assert content(tmp_path / "list") == content(path)
    (tmp_path / "list").rename("latest")
    assert call("--db", path, "restore", "./latest", "--yes").status == 0


def test_restore_latest(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    _, newest = made_on(path, folder, 0, 1)
    found = call("--db", path, "restore", "latest", "--from", folder, "--dry-run", "--json")
    assert found.json["source"] == str(newest)
    assert names(tmp_path) == ["a.db", "b"]
    path.write_text("ruined")
    done = call("--db", path, "restore", "latest", "--from", folder, "--yes", "--json")
    assert done.json["source"] == str(newest)
    assert Path(done.json["kept"]).read_text() == "ruined"
    assert content(path) == content(newest)
    nothing = call("--db", path, "restore", "latest", "--from", tmp_path / "none", "--yes")
    assert nothing.status == 2
    assert call("--db", path, "restore", newest, "--from", folder, "--yes").status == 2


def test_restore_latest_without_a_backup(path: Path) -> None:
    before = content(path)
    result = call("--db", path, "restore", "latest", "--yes")
    assert (result.status, "no backup of a.db" in result.err) == (2, True)
    assert content(path) == before


def test_a_slash_means_a_folder(path: Path, tmp_path: Path) -> None:
    for destination in (f"{tmp_path}/not-mounted/", f"{tmp_path}/not/there/x.db", "", "-"):
        result = call("--db", path, "backup", destination)
        assert (result.status, names(tmp_path)) == (2, ["a.db"])
    with Store(path) as store:
        for destination in (f"{tmp_path}/not-mounted/", ""):
            with pytest.raises(BackupError):
                store.backup(destination)
    assert names(tmp_path) == ["a.db"]


@pytest.mark.parametrize(
    ("events", "known", "others"), [(60, {1, 20, 41, 60}, {21, 40}), (0, {1, 20}, {21, 25})]
)
def test_twenty_at_each_end_are_looked_at(
    tmp_path: Path, events: int, known: set[int], others: set[int]
) -> None:
    """Of 60 events and, where there are none, of 25 instruments, all but one became others."""
    path = tmp_path / "a.db"
    with Store(path, migrate=True) as store:
        for number in range(1, 26):
            store.instruments.add(instrument(f"I-{number:02}"))
        for _ in range(events):
            store.session_logs.insert(log(EventType.RECORD_GENERATION, instrument="I-01"))
    old, new = made_on(path, tmp_path, 0, 1)
    other = (
        "UPDATE session_log SET timestamp = 'other' WHERE id_session_log <> ?"
        if events
        else "UPDATE instruments SET instrument_pid = 'other ' || rowid WHERE rowid <> ?"
    )
    for left in known | others:
        path.write_bytes(old.read_bytes())
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(other, (left,))
        found = old_backups(path, Keep(last=1), new=new)
        assert found == (([old], {}) if left in known else ([], {old: "it is another database's"}))
