"""What the system may answer while a copy is made, each in words of its own."""

from __future__ import annotations

import errno
import inspect
import os
import sqlite3
import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import call, filled
from helpers.database_files import build
from helpers.platforms import posix

from nexuslims_store import connection
from nexuslims_store.backup import (
    Backup,
    copying,
    files,
    list_backups,
    name_for,
    restore,
    revision_of,
)
from nexuslims_store.backup import retention as retaining
from nexuslims_store.errors import (
    BackupError,
    DatabaseLockedError,
    NotANexusLIMSDatabaseError,
    ReadOnlyError,
    StorageFullError,
    StoreError,
)

OPEN_FILES = Path("/proc/self/fd")
NO_ROOM = (
    "no room to write {file} ({error}): free some space on its disk and try again; nothing was"
)
MAY_NOT = "{file} cannot be written: the folder {folder} is read-only for this user; choose another"
ANSWERS = [
    *((code, StorageFullError, NO_ROOM) for code in (errno.ENOSPC, errno.EFBIG)),
    *((code, ReadOnlyError, MAY_NOT) for code in (errno.EACCES, errno.EPERM)),
    (errno.EROFS, ReadOnlyError, "{file} cannot be written: its disk is mounted read-only; choose"),
    (
        errno.EEXIST,
        files.TakenError,
        "{file} exists already, and no backup ever overwrites a file:",
    ),
    (errno.EIO, BackupError, "{file} cannot be written ({error}): choose another name or another"),
]


@pytest.mark.parametrize(("code", "kind", "says"), ANSWERS)
def test_what_the_system_answers(
    tmp_path: Path, code: int, kind: type[StoreError], says: str
) -> None:
    file, error = tmp_path / "copy.db", os.strerror(code)
    with pytest.raises(kind) as caught, files.file_errors(file):
        raise OSError(code, error)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(says.format(file=file, folder=tmp_path, error=error))


@pytest.mark.parametrize(
    ("code", "about"),
    [
        (sqlite3.SQLITE_FULL, "copy.db"),
        (sqlite3.SQLITE_IOERR_WRITE, "copy.db"),
        (sqlite3.SQLITE_IOERR_FSYNC, "copy.db"),
        (sqlite3.SQLITE_IOERR_READ, "a.db"),
        (sqlite3.SQLITE_IOERR_SHORT_READ, "a.db"),
        (sqlite3.SQLITE_CORRUPT, "a.db"),
        (sqlite3.SQLITE_BUSY, "a.db"),
    ],
)
def test_an_error_of_sqlite_names_the_file_it_is_about(
    tmp_path: Path, code: int, about: str
) -> None:
    error = sqlite3.OperationalError("odd")
    error.sqlite_errorcode = code
    source, target = tmp_path / "a.db", tmp_path / "copy.db"
    with pytest.raises(StoreError) as caught, copying._blaming(source, target, 3):
        raise error
    assert {name for name in ("a.db", "copy.db") if f"/{name}" in str(caught.value)} == {about}


def test_an_error_without_a_number_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"\(odd\)"), files.file_errors(tmp_path / "copy.db"):
        raise OSError("odd")


@pytest.mark.parametrize(
    ("status", "locked"),
    [
        (sqlite3.SQLITE_OK, False),
        (sqlite3.SQLITE_DONE, False),
        (sqlite3.SQLITE_BUSY, True),
        (sqlite3.SQLITE_LOCKED, True),
        (sqlite3.SQLITE_BUSY_RECOVERY, True),
        (sqlite3.SQLITE_LOCKED_SHAREDCACHE, True),
        (sqlite3.SQLITE_IOERR_READ, None),  # which the call itself raises
    ],
)
def test_what_a_step_of_a_copy_comes_to(tmp_path: Path, status: int, locked: bool | None) -> None:
    told: list[tuple[int, int]] = []
    step = copying.after_each_step(tmp_path, 3, lambda *call: told.append(call))
    with pytest.raises(DatabaseLockedError, match="after 3 s") if locked else nullcontext():
        step(status, 3, 10)
    assert told == ([(7, 10)] if locked is False else [])
    copying.after_each_step(tmp_path, 3, None)(sqlite3.SQLITE_OK, 3, 10)


@pytest.mark.parametrize("work", [copying.copy, restore, revision_of, retaining.old_backups])
def test_for_half_a_minute_a_lock_is_waited_for(work: Callable[..., object]) -> None:
    assert inspect.signature(work).parameters["timeout"].default == 30


def test_a_folder_that_may_not_be_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.X_OK)
    error = pytest.raises(ReadOnlyError, match="may not be entered by this user")
    with error, files.file_errors(tmp_path / "copy.db"):
        raise PermissionError(errno.EACCES, "no")


@pytest.mark.parametrize(
    ("mounted", "says"),
    [(False, "is read-only for this user"), (True, "its disk is mounted read-only")],
)
def test_a_trial_run_tells_of_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounted: bool, says: str
) -> None:
    path = build(tmp_path / "a.db")
    assert name_for(path, tmp_path / "copy.db") == tmp_path / "copy.db"
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.W_OK)
    monkeypatch.setattr(copying, "mounted_read_only", lambda _: mounted)
    with pytest.raises(ReadOnlyError, match=says):
        name_for(path, tmp_path / "copy.db")


@pytest.mark.parametrize(
    ("mounted", "kind"), [(False, ReadOnlyError), (True, NotANexusLIMSDatabaseError)]
)
def test_on_a_read_only_disk_a_source_that_cannot_be_read_is_told_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounted: bool, kind: type[StoreError]
) -> None:
    path = tmp_path / "a.db"
    path.write_text("no database")
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.W_OK)
    monkeypatch.setattr(copying, "mounted_read_only", lambda _: mounted)
    with pytest.raises(kind) as caught:
        name_for(path, tmp_path / "copy.db")
    assert type(caught.value) is kind


def test_a_trial_run_does_not_wait_for_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build(tmp_path / "a.db", sessions=1)
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.W_OK)
    monkeypatch.setattr(copying, "mounted_read_only", lambda _: True)
    waits: list[float] = []

    def connect(*arguments: Any, timeout: float, **options: Any) -> sqlite3.Connection:
        waits.append(timeout)
        return connection.connect(*arguments, timeout=timeout, **options)

    monkeypatch.setattr(copying, "connect", connect)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseLockedError, match="still after 0 s"):
            name_for(path, tmp_path / "copy.db")
    assert waits == [0]


@posix
@pytest.mark.parametrize(("user", "owner"), [(0, 7), (1, -1), (1000, -1)])
def test_only_root_gives_files_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, owner: int
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "fchown", lambda _, *owners: given.append(owners))
    file = tmp_path / "copy.db"
    file.touch(0o600)
    mode = 0o100640 | stat.S_ISUID  # a copy is no program
    files.sync(file, os.stat_result((mode, 1, 2, 3, 7, 8, 0, 0, 0, 0)))
    assert given == [(owner, 8)]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    files.sync(file, None)
    assert len(given) == 1


def test_where_names_run_out_of_links_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links")

    monkeypatch.setattr(os, "link", none)
    new, taken, free = (tmp_path / name for name in ("new", "taken", "free"))
    new.write_text("new")
    taken.write_text("taken")
    with pytest.raises(files.TakenError, match="taken exists already"):
        files.give_name(new, taken, None)
    assert (new.read_text(), taken.read_text()) == ("new", "taken")
    files.give_name(new, free, None)
    assert (free.read_text(), new.exists()) == ("new", False)


@posix
def test_without_links_one_after_the_other_takes_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows needs no links")
    import fcntl

    def none(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links")

    monkeypatch.setattr(os, "link", none)
    new, free = tmp_path / "new", tmp_path / "free"
    new.write_text("new")
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with ThreadPoolExecutor() as pool:
        giving = pool.submit(files.give_name, new, free, None)
        with pytest.raises(TimeoutError):
            giving.result(0.3)
        os.close(folder)  # and the lock with it
    giving.result()
    assert free.read_text() == "new"


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="the system does not say what is open")
@pytest.mark.parametrize("links", [True, False])
def test_no_file_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links")

    if not links:
        monkeypatch.setattr(os, "link", none)
    copying.copy(build(tmp_path / "a.db"), tmp_path / "b.db")
    found = []
    for number in OPEN_FILES.iterdir():
        with suppress(FileNotFoundError):  # of the folder that is listed here
            found.append(number.readlink())
    assert len(found) > 2
    assert [file for file in found if file.is_relative_to(tmp_path)] == []


@posix
def test_another_error_of_a_link_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "link", fail)
    (tmp_path / "new").write_text("new")
    with pytest.raises(BackupError, match="broken"):
        files.give_name(tmp_path / "new", tmp_path / "free", None)
    assert not (tmp_path / "free").exists()


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (PermissionError(errno.EACCES, "no"), ReadOnlyError, "may not be read by this user"),
        (OSError(errno.EIO, "broken"), BackupError, r"cannot be read \(broken\)"),
    ],
)
def test_a_folder_that_cannot_be_listed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    kind: type[StoreError],
    says: str,
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(kind, match=says):
        list_backups(tmp_path / "a.db")


def test_an_old_backup_that_cannot_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(BackupError, match=r"old could not be removed \(no\); the new one, .*new,"):
        retaining.remove_backups([tmp_path / "old"], new=tmp_path / "new")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a_backup_20250113_120000.db", (datetime(2025, 1, 13, 12), 1)),
        ("a_backup_20250113_120000_2.db", (datetime(2025, 1, 13, 12), 2)),
        ("a_backup_20250113_120000_10.db", (datetime(2025, 1, 13, 12), 10)),
        *(
            (name, None)
            for name in (
                *("a_backup_20250113_120000_1.db", "a_backup_20250113_120000_02.db"),
                *("a_backup_20251313_120000.db", "a_backup_20250113_120000_replaced.db"),
                *("b_backup_20250113_120000.db", "a_backup_20250113_12000.db", "a.db"),
            )
        ),
    ],
)
def test_what_is_called_as_a_backup(
    tmp_path: Path, name: str, found: tuple[datetime, int] | None
) -> None:
    (tmp_path / name).touch()
    expected = [Backup(*found, tmp_path / name)] if found else []
    assert list_backups(tmp_path / "a.db") == expected


def test_room_is_enough_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1_000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    files.require_room(tmp_path / "copy.db", 1_000)
    with pytest.raises(StorageFullError, match="1,001 bytes are needed, 1,000 are free"):
        files.require_room(tmp_path / "copy.db", 1_001)


def test_what_only_looks_like_a_backup_is_named_and_left(tmp_path: Path) -> None:
    path = filled(tmp_path)
    looks = tmp_path / "nexuslims_backup_20200101_000000.db"
    looks.write_text("no database")
    done = call("--db", path, "backup", "--keep-last", "1", "--yes")
    assert done.status == 0
    assert (
        done.err
        == f"left alone {looks}: is not an SQLite database, and nothing was written to it\n"
    )
    assert looks.exists()
