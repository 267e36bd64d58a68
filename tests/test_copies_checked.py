"""The last looks at a copy and at a restored file: each notices what it is there for."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from helpers.database_files import build, content, files, restore
from helpers.platforms import posix

from nexuslims_store.backup import copy, copying
from nexuslims_store.errors import BackupError, CorruptDatabaseError

PAGE = 4096
LARGE = 12_000  # sessions: more than SQLite keeps of a file in memory


def overwrite_in_the_middle(path: Path) -> None:
    """What a bad disk does: pages of the middle come back as something else."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // PAGE * PAGE)
        file.write(b"\xa5" * PAGE * 8)


@pytest.mark.slow
def test_a_restored_file_that_the_disk_spoils_is_noticed(tmp_path: Path) -> None:
    backup = build(tmp_path / "backup.db", mark="backed up", page_size=PAGE, sessions=LARGE)
    live = build(tmp_path / "live.db", page_size=PAGE, sessions=LARGE)
    before = content(live)

    def spoil(done: int, total: int) -> None:
        if done == total:
            overwrite_in_the_middle(live)

    with pytest.raises(CorruptDatabaseError, match=r"live\.db"):
        restore(backup, live, progress=spoil)
    (kept,) = tmp_path.glob("live_backup_*.db")
    assert content(kept) == before


def test_a_copy_that_the_disk_spoils_is_noticed_and_removed(tmp_path: Path) -> None:
    source = build(tmp_path / "a.db", page_size=PAGE, sessions=LARGE)

    def spoil(done: int, total: int) -> None:
        if done == total:
            (growing,) = tmp_path.glob(".nexuslims-*.partial")
            overwrite_in_the_middle(growing)

    with pytest.raises(CorruptDatabaseError):
        copy(source, tmp_path / "copy.db", progress=spoil)
    assert set(files(tmp_path)) == {"a.db"}


def test_a_copy_that_is_not_its_source_is_refused_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = build(tmp_path / "a.db")
    other = build(tmp_path / "other.db", sessions=301)
    copy_pages = copying.copy_pages

    def copy_another(_: object, target: object, *more: object, **options: object) -> None:
        with closing(sqlite3.connect(other)) as connection:
            copy_pages(connection, target, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(copying, "copy_pages", copy_another)
    with pytest.raises(BackupError, match="not the same as its source"):
        copy(source, tmp_path / "copy.db")
    assert set(files(tmp_path)) == {"a.db", "other.db"}


@posix
@pytest.mark.parametrize("there", [False, True], ids=["missing", "unreadable"])
def test_a_restored_file_is_on_the_disk_and_so_is_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    (tmp_path / "backups").mkdir()
    backup = build(tmp_path / "backups" / "backup.db")
    home = tmp_path / "home"
    home.mkdir()
    live = home / "live.db"
    if there:
        live.write_text("ruined")
    synced: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        found = os.fstat(descriptor)
        restored = live.exists() and live.stat().st_size == backup.stat().st_size
        synced.append((stat.S_ISDIR(found.st_mode), restored))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    restore(backup, live)
    assert (False, False) in synced  # the file, before it has its name
    assert synced[-1] == (True, True)  # the folder, after
    shutil.rmtree(home)
