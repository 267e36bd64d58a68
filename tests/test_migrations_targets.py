"""Where a run leads, what it says, the backup it makes, under any name of the file."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import older_lineage
from helpers.migration_checks import make_file
from helpers.migration_files import (
    HEAD,
    REVISIONS,
    backups,
    contents,
    execute,
    expected,
    facts,
    query,
)

from nexuslims_store import default_path, migrations
from nexuslims_store.errors import (
    BackupError,
    DatabaseNotFoundError,
    MigrationError,
    ReadOnlyError,
    StorageFullError,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nexuslims.db"


@pytest.fixture
def older(path: Path) -> Path:
    return older_lineage.create(path)


# -- targets ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "target", "end"),
    [
        ("v1_4_3", "head", HEAD),
        ("v1_4_3", "v2_4_0b", "v2_4_0b"),
        ("v1_4_3", HEAD, HEAD),
        ("v1_4_3", "v1", "v1_4_3"),
        ("v1_4_3", "+1", "v2_4_0a"),
        ("v1_4_3", f"+{len(REVISIONS) - 1}", HEAD),
        (HEAD, "head", HEAD),
        (HEAD, "+0", HEAD),
    ],
)
def test_targets_up(path: Path, start: str, target: str, end: str) -> None:
    make_file(path, start)
    planned = migrations.plan(path, target)
    report = migrations.upgrade(path, target)

    assert migrations.current(path) == report.after == planned.after == end
    assert report.applied == tuple(step.revision for step in planned.steps)
    assert report.changed is (start != end) is not planned.nothing_to_do


@pytest.mark.parametrize(
    ("target", "end"),
    [
        ("-1", REVISIONS[-2]),
        (f"-{len(REVISIONS)}", None),
        ("base", None),
        ("v1", "v1_4_3"),
        ("head", HEAD),
    ],
)
def test_targets_down(path: Path, target: str, end: str | None) -> None:
    make_file(path)
    planned = migrations.plan(path, target, direction="downgrade")
    assert migrations.downgrade(path, target).after == planned.after == end
    assert migrations.current(path) == end


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("v2_5", "'v2_5' may be any of v2_5_0a, v2_5_0b"),
        ("", "no revision ''"),
        ("v9_9_9", "no revision 'v9_9_9': name one of base, v1_4_3,"),
        ("+99", "no revision +99 from v2_4_0b"),
        ("-4", "no revision -4 from v2_4_0b"),
        ("v1_4_3", "older: use downgrade"),
        ("base", "older: use downgrade"),
        ("-1", "older: use downgrade"),
    ],
)
def test_wrong_targets_up(path: Path, target: str, words: str) -> None:
    make_file(path, "v2_4_0b")
    before = path.read_bytes()
    for attempt in (migrations.upgrade, migrations.plan):
        with pytest.raises(MigrationError) as caught:
            attempt(path, target)
        assert words in str(caught.value)
    assert path.read_bytes() == before
    assert not backups(path)


def test_wrong_targets_down(path: Path) -> None:
    make_file(path, "v2_4_0b")
    for target in (HEAD, "+1", "head"):
        with pytest.raises(MigrationError, match="newer: use upgrade"):
            migrations.downgrade(path, target)
    migrations.downgrade(path, "base")
    with pytest.raises(MigrationError, match="no revision -1 from base"):
        migrations.downgrade(path)


def test_a_wrong_target_makes_no_file(path: Path) -> None:
    target = path.parent / "new.db"
    for wrong in ("v7", "-1"):
        with pytest.raises(MigrationError):
            migrations.upgrade(target, wrong)
    assert not migrations.upgrade(target, "base").changed
    assert not target.exists()
    assert migrations.plan(target).steps
    assert not target.exists()


def test_pending(path: Path) -> None:
    make_file(path, "v2_4_0b")
    assert [step.revision for step in migrations.pending(path)] == REVISIONS[3:]
    migrations.upgrade(path)
    assert migrations.pending(path) == []


def test_the_plan_in_words(older: Path) -> None:
    assert str(migrations.plan(older, "v2_4_0a")) == (
        "add the version row v1_4_3, whose tables these are\n"
        "put yoyo's marks right for v1_4_3\n"
        "apply v2_4_0a: add upload log table"
    )
    migrations.upgrade(older, "v2_4_0a")
    assert str(migrations.plan(older, "v2_4_0a")) == "nothing to do: it is at v2_4_0a"
    assert str(migrations.plan(older, "-1", direction="downgrade")) == (
        "roll back v2_4_0a: add upload log table"
    )


# -- backup and report -----------------------------------------------------------------


def test_the_backup_is_the_file_as_it_was(older: Path) -> None:
    older.chmod(0o640)
    before = contents(older)
    said: list[str] = []
    report = migrations.upgrade(older, progress=said.append)

    assert backups(older) == [report.backup]
    assert contents(backups(older)[0]) == before
    assert backups(older)[0].stat().st_mode & 0o777 == 0o640
    assert said == [
        f"backing up {older}",
        f"made the backup {report.backup}",
        *(f"applying {step.revision} {step.title}" for step in migrations.history()[1:]),
        "verifying",
    ]
    again = migrations.downgrade(older, "base")
    assert len(backups(older)) == 2
    assert again.backup in backups(older)


def test_no_backup_when_nothing_is_to_do(older: Path) -> None:
    migrations.upgrade(older, backup=False)
    assert not backups(older)
    stamp, before = older.stat().st_mtime_ns, older.read_bytes()
    report = migrations.upgrade(older)

    assert (report.changed, report.backup, report.applied) == (False, None, ())
    assert report.plan.up
    assert (older.stat().st_mtime_ns, older.read_bytes()) == (stamp, before)
    assert not backups(older)


def test_no_backup_of_a_new_file(path: Path) -> None:
    report = migrations.upgrade(path)
    assert (report.before, report.after, report.applied) == (None, HEAD, tuple(REVISIONS))
    assert report.backup is None
    assert 0 < report.seconds < 60
    assert sorted(path.parent.iterdir()) == [path]


def test_no_migration_without_its_backup(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = older.read_bytes()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=older.stat().st_size))
    for backup, words in ((True, "its backup and the new tables"), (False, "the new tables")):
        if not backup:
            monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
        match = rf"[\d,]+ bytes are needed for {words}, and its disk has [\d,]+ free"
        with pytest.raises(StorageFullError, match=match):
            migrations.upgrade(older, backup=backup)
    assert older.read_bytes() == before
    assert not backups(older)


def test_no_folder_is_made_for_a_mistyped_path(tmp_path: Path) -> None:
    with pytest.raises(DatabaseNotFoundError, match="there is no folder"):
        migrations.upgrade(tmp_path / "mistyped" / "nexuslims.db")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseNotFoundError):
        migrations.upgrade(tmp_path / "file" / "nexuslims.db")


def test_the_packages_own_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NX_DB_PATH", raising=False)
    for variable in ("XDG_DATA_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    migrations.upgrade(default_path())
    assert facts(Path(default_path())) == expected(HEAD)
    assert tmp_path in Path(default_path()).parents


@pytest.mark.skipif(sys.platform != "linux", reason="needs a place where not even root makes any")
def test_a_folder_of_the_packages_own_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NX_DB_PATH", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/proc/nobodys")
    with pytest.raises(ReadOnlyError, match=r"the folder /proc/nobodys/.* cannot be made"):
        migrations.upgrade(default_path())


@pytest.mark.parametrize("left", ["-journal", "-wal"])
def test_what_an_earlier_database_left_is_not_played_into_a_new_one(path: Path, left: str) -> None:
    beside = Path(f"{path}{left}")
    beside.write_bytes(b"of another database")
    with pytest.raises(BackupError, match=f"{left} is in the way"):
        migrations.upgrade(path)
    assert list(path.parent.iterdir()) == [beside]


def test_a_link_to_no_file_yet(tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "real.db")
    assert migrations.upgrade(link).created
    assert link.is_symlink()
    assert facts(tmp_path / "real.db") == expected(HEAD)


def test_a_file_in_wal_mode_stays_in_it(older: Path) -> None:
    execute(older, "PRAGMA journal_mode = WAL; UPDATE session_log SET user = 'in the log'")
    with closing(sqlite3.connect(older)) as other:  # keeps the -wal file
        other.execute("SELECT * FROM session_log").fetchone()
        execute(older, "UPDATE session_log SET user = 'later'")
        report = migrations.upgrade(older)
    assert facts(older) == expected(HEAD)
    assert query(older, "PRAGMA journal_mode") == [("wal",)]
    assert report.backup is not None
    assert query(report.backup, "SELECT DISTINCT user FROM session_log") == [("later",)]


# -- names of files --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["a b.db", "a#b?c%41.db", "a[1].db", "ünïcode \N{MICROSCOPE}.db", "a'b\";--.db", "noextension"],
)
def test_any_name(tmp_path: Path, name: str) -> None:
    path = older_lineage.create(tmp_path / name)
    migrations.upgrade(path)
    migrations.downgrade(path, "-1", backup=False)
    assert migrations.current(path) == REVISIONS[-2]
    assert {file.name for file in tmp_path.iterdir()} == {name, backups_of(path)}


def backups_of(path: Path) -> str:
    (backup,) = (file for file in path.parent.iterdir() if "_backup_" in file.name)
    return backup.name


def test_relative_path_and_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    migrations.upgrade("x.db", "v1_4_3")
    assert migrations.upgrade(Path("x.db")).path == Path("x.db")
    assert facts(tmp_path / "x.db") == expected(HEAD)


def test_symbolic_link(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    older_lineage.create(folder / "real.db")
    link = tmp_path / "link.db"
    link.symlink_to(folder / "real.db")
    migrations.upgrade(link)
    assert facts(folder / "real.db") == expected(HEAD)
    assert link.is_symlink()
