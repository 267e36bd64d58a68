"""What a backup is called, and that no file is ever overwritten."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path

import pytest
from helpers.database_files import build, content, names, unchanged

from nexuslims_store.backup import copy, free_name, list_backups, name_for
from nexuslims_store.errors import BackupError, StoreError

NOW = datetime(2025, 3, 4, 5, 6, 7)


def test_a_backup_gets_the_first_free_name(tmp_path: Path) -> None:
    path = tmp_path / "nexus.lims.sqlite"
    first = tmp_path / "nexus.lims_backup_20250304_050607.db"
    assert free_name(path, now=NOW) == first
    first.touch()
    assert free_name(path, now=NOW) == tmp_path / "nexus.lims_backup_20250304_050607_2.db"
    # SQLite would play the leftover of another database into a new one of that name.
    (tmp_path / "nexus.lims_backup_20250304_050607_2.db-wal").touch()
    assert free_name(path, now=NOW) == tmp_path / "nexus.lims_backup_20250304_050607_3.db"
    (tmp_path / "nexus.lims_backup_20250304_050607_3.db").symlink_to("nowhere")
    assert free_name(path, now=NOW) == tmp_path / "nexus.lims_backup_20250304_050607_4.db"


@pytest.mark.parametrize("suffix", ["", "-journal", "-wal", "-shm"])
def test_a_copy_in_a_folder_has_a_name_that_is_free(tmp_path: Path, suffix: str) -> None:
    path = build(tmp_path / "a.db", sessions=1)
    (tmp_path / f"a_backup_20250304_050607.db{suffix}").touch()
    assert copy(path, tmp_path, now=NOW) == tmp_path / "a_backup_20250304_050607_2.db"


def test_a_name_is_in_the_folder_that_is_asked_for(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db", sessions=1)
    folder = tmp_path / "b"
    folder.mkdir()
    assert free_name(path, folder, now=NOW) == folder / "a_backup_20250304_050607.db"
    assert name_for(path, folder).parent == folder
    assert name_for(path, tmp_path).parent == tmp_path
    with pytest.raises(BackupError, match=r"a\.db exists already"):
        name_for(path, path)


@pytest.mark.parametrize("folder", ["-", ":memory:"])
def test_what_is_no_name_is_no_folder(tmp_path: Path, folder: str) -> None:
    with pytest.raises(StoreError, match="is no file or folder"):
        list_backups(tmp_path / "a.db", Path(folder))


def test_backups_at_the_same_moment_all_get_a_name(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db", sessions=20)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: copy(path, path.parent, now=NOW), range(16)))
    assert len(set(made)) == 16
    assert set(names(tmp_path)) == {"a.db", *(copied.name for copied in made)}
    assert all(content(copied) == content(path) for copied in made)


def test_a_backup_is_beside_the_symbolic_link_that_was_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "home").mkdir()
    path = build(tmp_path / "data" / "real.db", wal=True)
    link = tmp_path / "home" / "link.db"
    link.symlink_to(path)
    copied = copy(link, link.parent, now=NOW)
    assert copied == tmp_path / "home" / "link_backup_20250304_050607.db"
    assert content(copied) == content(path)
    assert not copied.is_symlink()
    assert names(tmp_path / "data") == ["real.db"]


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build(tmp_path / "a.db")
    monkeypatch.chdir(tmp_path)
    assert copy(Path("a.db"), Path("b.db")) == Path("b.db")
    assert content(tmp_path / "b.db") == content(path)


def test_a_folder_as_destination(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db")
    folder = tmp_path / "backups"
    folder.mkdir()
    copied = copy(path, folder)
    assert copied.parent == folder
    assert fnmatch(copied.name, "a_backup_*.db")
    assert content(copied) == content(path)


@pytest.mark.parametrize("hard_links", [True, False])
def test_no_file_is_ever_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    if not hard_links:

        def refuse(*_: object) -> None:
            raise PermissionError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", refuse)
    path = build(tmp_path / "a.db")
    mine = tmp_path / "mine.db"
    mine.write_text("precious")
    (tmp_path / "dangling.db").symlink_to("nowhere")
    (tmp_path / "stale.db-journal").write_text("of another database")
    for name, reason in (
        ("mine.db", "exists already"),
        ("a.db", "exists already"),
        ("dangling.db", "exists already"),
        ("stale.db", "stale.db-journal is in the way"),
    ):
        with unchanged(tmp_path), pytest.raises(BackupError, match=reason):
            copy(path, tmp_path / name)

    def take(done: int, total: int) -> None:
        (tmp_path / "late.db").write_text("quicker")

    with pytest.raises(BackupError, match="exists already"):
        copy(path, tmp_path / "late.db", progress=take)
    assert (tmp_path / "late.db").read_text() == "quicker"
    with unchanged(tmp_path), pytest.raises(BackupError, match="there is no folder"):
        copy(path, tmp_path / "missing" / "b.db")
    assert content(copy(path, tmp_path / "good.db")) == content(path)
    assert sorted(
        set(names(tmp_path)) - {"a.db", "mine.db", "dangling.db", "stale.db-journal"}
    ) == ["good.db", "late.db"]
