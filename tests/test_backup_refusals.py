"""Sources that cannot be copied, and backups that are interrupted."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from helpers.database_files import (
    HOLD,
    KILL_AT_EVERY_LINE,
    both_modes,
    build,
    content,
    end,
    run,
    start,
    unchanged,
)
from helpers.platforms import posix

from nexuslims_store.backup import PARTIAL_FILES, copy
from nexuslims_store.errors import (
    CorruptDatabaseError,
    DatabaseLockedError,
    DatabaseNotFoundError,
    NotANexusLIMSDatabaseError,
    StoreError,
)

# -- sources that cannot be copied -----------------------------------------------------------


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x55
    path.write_bytes(data)


def damage(path: Path, kind: str) -> None:
    data = path.read_bytes()
    match kind:
        case "flipped byte":
            flip(path, 512 * 100)  # the kind of a page
        case "zeroed page":
            path.write_bytes(data[: 512 * 60] + bytes(512) + data[512 * 61 :])
        case "tables":
            path.write_bytes(data.replace(b"CREATE TABLE", b"CREATE STOOL"))
        case "cut by half":
            path.write_bytes(data[: len(data) // 2])
        case "cut by 100 bytes":
            path.write_bytes(data[:-100])
        case "header":
            flip(path, 3)
        case "text":
            path.write_text("not a database\n" * 1000)
        case "short text":
            path.write_text("hello")
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("flipped byte", CorruptDatabaseError),
        ("zeroed page", CorruptDatabaseError),
        ("tables", CorruptDatabaseError),
        ("cut by half", CorruptDatabaseError),
        ("cut by 100 bytes", CorruptDatabaseError),
        ("header", NotANexusLIMSDatabaseError),
        ("text", NotANexusLIMSDatabaseError),
        ("short text", NotANexusLIMSDatabaseError),
    ],
)
def test_a_damaged_source(tmp_path: Path, kind: str, expected: type[StoreError]) -> None:
    path = build(tmp_path / "a.db")
    damage(path, kind)
    with unchanged(tmp_path), pytest.raises(expected, match=r"a\.db"):
        copy(path, tmp_path / "copy.db")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
def test_a_source_that_cannot_be_read_is_told_before_a_folder_that_cannot_be_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "nexuslims.db"
    path.write_text("no database at all")
    with pytest.raises(StoreError, match=r"nexuslims\.db is not an SQLite database"):
        copy(path, "/proc/copy.db")


def test_a_source_that_is_no_file(tmp_path: Path) -> None:
    with unchanged(tmp_path), pytest.raises(DatabaseNotFoundError):
        copy(tmp_path / "none.db", tmp_path / "copy.db")
    with unchanged(tmp_path), pytest.raises(NotANexusLIMSDatabaseError, match="is a folder"):
        copy(tmp_path, tmp_path / "copy.db")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("-", "'-' is no file or folder"),
        ("postgresql://u:secret@h/d", "the source is no path of an SQLite file"),
    ],
)
def test_a_source_that_is_no_path(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(StoreError, match=says) as caught:
        copy(Path(name), tmp_path / "copy.db")
    assert "secret" not in str(caught.value)


@both_modes
def test_a_locked_source_is_waited_for_no_longer_than_the_timeout(
    tmp_path: Path, wal: bool
) -> None:
    path = build(tmp_path / "a.db", wal=wal)
    # In WAL mode only a connection in this locking mode keeps readers out.
    lock = "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE" if wal else "BEGIN EXCLUSIVE"
    holder = start(
        HOLD.replace("connection.execute(sys", "connection.executescript(sys"), path, lock
    )
    began = time.monotonic()
    with pytest.raises(DatabaseLockedError, match=r"a\.db is locked .* 0\.3 s"):
        copy(path, tmp_path / "copy.db", timeout=0.3)
    assert 0.2 < time.monotonic() - began < 20
    assert not list(tmp_path.glob("*copy*")) + list(tmp_path.glob(PARTIAL_FILES))
    end(holder)
    assert content(copy(path, tmp_path / "copy.db")) == content(path)


# -- interruptions ---------------------------------------------------------------------------


def test_an_exception_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db")

    def interrupt(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with unchanged(tmp_path), pytest.raises(KeyboardInterrupt):
        copy(path, tmp_path / "copy.db", progress=interrupt)
    # And no lock either.
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")


@pytest.mark.slow
@posix
@both_modes
def test_killed_at_any_line(tmp_path: Path, wal: bool) -> None:
    path = build(tmp_path / "a.db", wal=wal, sessions=100)
    kills = run(
        """
from fnmatch import fnmatch
from nexuslims_store.backup import PARTIAL_FILES, copy
from datetime import datetime
path = Path(sys.argv[1])
folder = path.parent
before = content(path)
copied = path.with_name("a_backup_20250304_050607.db")
def prepare():
    for file in path.parent.iterdir():
        if file != path:
            file.unlink()
def work():
    copy(path, path.parent, now=datetime(2025, 3, 4, 5, 6, 7))
def judge(survived):
    assert content(path) == before
    for name in names(path.parent):
        assert name in ("a.db", copied.name) or fnmatch(name, PARTIAL_FILES) and not survived, name
    if copied.exists():
        assert content(copied) == before
    # The next one works, whatever was left.
    work()
    assert content(copied) == before
"""
        + KILL_AT_EVERY_LINE,
        path,
    )
    assert int(kills) > 5
