"""A backup: what is copied, and as what."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import time
from contextlib import AbstractContextManager, closing, nullcontext
from fnmatch import fnmatch
from pathlib import Path

import pytest
from helpers.database_files import (
    both_modes,
    build,
    content,
    end,
    insert_pair,
    journal_mode,
    names,
    query,
    run,
    start,
    unchanged,
)
from helpers.platforms import posix

from nexuslims_store.backup import PARTIAL_FILES, copy
from nexuslims_store.connection import MEMORY
from nexuslims_store.errors import BackupError, StorageFullError

# -- what is copied --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain.db", "a#b?c%41.db", "Übung 1 (x).db", "no-suffix"])
def test_a_copy_is_whole(tmp_path: Path, name: str) -> None:
    path = build(tmp_path / name)
    calls: list[tuple[int, int]] = []
    with unchanged(tmp_path):
        destination = tmp_path / "copies"
        destination.mkdir()
        copied = copy(
            path, destination / f"b{name}", progress=lambda done, total: calls.append((done, total))
        )
        assert copied == destination / f"b{name}"
        assert content(copied) == content(path)
        assert names(destination) == [f"b{name}"]
        shutil.rmtree(destination)
    total = calls[-1][1]
    assert len(calls) > 3
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1] == (total, total)


def test_rows_that_are_still_in_the_wal_file_are_copied(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db", wal=True)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        insert_pair(writer, "late")
        writer.commit()
        copied = copy(path, tmp_path / "copy.db")
        assert content(copied) == content(path)
        # One file, to be read also where nothing can be written.
        assert journal_mode(copied) == "delete"
        assert journal_mode(path) == "wal"


# Every transaction writes all over the file, so that a torn copy would show.
WRITER = """
import threading
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("PRAGMA synchronous = OFF")
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
number = 0
while not stop.is_set():
    connection.execute("BEGIN IMMEDIATE")
    insert_pair(connection, f"new-{number}")
    connection.execute("UPDATE upload_log SET record_id = ?", (number,))
    connection.execute("COMMIT")
    number += 1
    if number == 3:
        print("ready", flush=True)
print(number)
"""


@pytest.mark.slow
@both_modes
def test_a_copy_is_of_one_moment_while_another_process_writes(tmp_path: Path, wal: bool) -> None:
    path = build(tmp_path / "a.db", wal=wal)
    writer = start(WRITER, path)
    seen = []
    for number in range(6):
        began = time.monotonic()
        # Seldom called, but long enough that the writer gets a turn.
        copied = copy(
            path, tmp_path / f"{number}.db", timeout=20, progress=lambda *_: time.sleep(0.005)
        )
        assert time.monotonic() - began < 20
        assert query(copied, "PRAGMA integrity_check") == [("ok",)]
        [(moments, moment)] = query(
            copied,
            "SELECT count(DISTINCT record_id), max(CAST(record_id AS INTEGER)) FROM upload_log",
        )
        assert moments == 1
        assert isinstance(moment, int)
        new = "SELECT count(*) FROM session_log WHERE session_identifier LIKE 'new%'"
        assert query(copied, new) == [(2 * (moment + 1),)]
        seen.append(moment)
    assert seen == sorted(seen)
    assert int(end(writer)) > seen[0]


@both_modes
def test_a_copy_can_be_made_while_this_process_holds_the_write_lock(
    tmp_path: Path, wal: bool
) -> None:
    path = build(tmp_path / "a.db", wal=wal)
    before = content(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        insert_pair(holder, "not committed")
        assert content(copy(path, tmp_path / "copy.db", timeout=1)) == before
        # The lock is still held: nobody dropped it by closing the file.
        probe = "c = sqlite3.connect(sys.argv[1], timeout=0)\ntry: c.execute('BEGIN IMMEDIATE')\n"
        probe += "except sqlite3.OperationalError: print('locked')\nc.close()"
        assert run(probe, path) == "locked\n"
        holder.execute("COMMIT")
    assert content(path) != before


def test_what_a_killed_program_left_half_done_is_not_copied(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db")
    before = content(path)
    run(
        """
if os.fork() == 0:
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("PRAGMA cache_size = 5")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE upload_log SET record_id = 'half done'")
    os.kill(os.getpid(), signal.SIGKILL)
os.wait()
""",
        path,
    )
    assert (tmp_path / "a.db-journal").stat().st_size > 512
    assert content(copy(path, tmp_path / "copy.db")) == before


def test_a_database_in_memory_is_copied(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        with closing(sqlite3.connect(path)) as source:
            source.backup(connection)
        copied = copy(MEMORY, tmp_path / "copy.db", connection=connection)
        assert content(copied) == content(path)
        assert stat.S_IMODE(copied.stat().st_mode) == 0o600 or os.name == "nt"
        (tmp_path / "folder").mkdir()
        inside = copy(MEMORY, tmp_path / "folder", connection=connection)
        assert fnmatch(inside.name, "nexuslims_backup_*.db")


def test_queries_under_way_on_the_copied_connection_go_on(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rows = iter(connection.execute("SELECT * FROM session_log"))
        next(rows)
        copy(path, tmp_path / "copy.db", connection=connection)
        assert len(list(rows)) == 599


def test_an_empty_database_is_copied(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()
    assert query(copy(tmp_path / "a.db", tmp_path / "b.db"), "SELECT * FROM sqlite_master") == []


def test_a_row_that_breaks_a_check_can_be_backed_up(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE session_log SET event_type = 'ODD' WHERE id_session_log = 1")
        connection.commit()
    copied = copy(path, tmp_path / "b.db")
    assert query(copied, "SELECT event_type FROM session_log LIMIT 1") == [("ODD",)]


# -- permissions and the disk ----------------------------------------------------------------


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o400])
def test_a_copy_has_the_mode_of_its_source_and_nobody_reads_it_before(
    tmp_path: Path, mode: int
) -> None:
    path = build(tmp_path / "a.db")
    path.chmod(mode)
    seen: set[int] = set()

    def look(done: int, total: int) -> None:
        seen.update(stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob(PARTIAL_FILES))

    umask = os.umask(0)
    try:
        copied = copy(path, tmp_path / "copy.db", progress=look)
    finally:
        os.umask(umask)
    assert seen == {0o600}
    assert stat.S_IMODE(copied.stat().st_mode) == mode


def test_a_copy_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build(tmp_path / "a.db")
    synced: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        synced.append((folder, (tmp_path / "copy.db").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    copy(path, tmp_path / "copy.db")
    assert synced == [(False, False), (True, True)][: 1 if os.name == "nt" else 2]


@posix
@pytest.mark.parametrize(
    ("number", "raised"),
    [
        (errno.EINVAL, nullcontext()),  # a network disk that has no way to sync a folder
        (errno.ENOTSUP, nullcontext()),
        (errno.EIO, pytest.raises(BackupError, match=r"copy\.db cannot be written")),
    ],
)
def test_a_folder_that_cannot_be_synced(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    raised: AbstractContextManager[object],
) -> None:
    path = build(tmp_path / "a.db")
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with raised:
        copy(path, tmp_path / "copy.db")
    assert content(tmp_path / "copy.db") == content(path)


def test_no_room_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build(tmp_path / "a.db")
    size = path.stat().st_size
    usage = shutil.disk_usage(tmp_path)._replace(free=size - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with unchanged(tmp_path), pytest.raises(StorageFullError, match=f"{size:,}.*{size - 1:,}"):
        copy(path, tmp_path / "copy.db", progress=lambda *_: pytest.fail("has begun"))


@posix
def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db")
    # SQLite reports what exceeds this limit as it does a full disk.
    printed = run(
        """
from nexuslims_store.backup import copy
from nexuslims_store.errors import BackupError, StorageFullError
path = Path(sys.argv[1])
before = names(path.parent)
size = path.stat().st_size
full = 0
sys.dont_write_bytecode = True
for limit in [*range(0, size, 4999), size - 1]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        copy(path, path.with_name("copy.db"))
    except StorageFullError as error:
        assert "copy.db" in str(error), error
        full += 1
    assert names(path.parent) == before, limit
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
copy(path, path.with_name("copy.db"))
print(full)
""",
        path,
    )
    assert int(printed) > 20


@posix
def test_read_only_files_and_folders(tmp_path: Path) -> None:
    build(tmp_path / "a.db")
    build(tmp_path / "wal.db", wal=True)
    run(
        """
import tempfile, shutil, traceback, urllib.parse  # which the other user may not be able to read
from nexuslims_store.backup import copy
from nexuslims_store.errors import ReadOnlyError
top = Path(tempfile.mkdtemp())
def as_nobody():
    if os.geteuid() == 0:
        os.setuid(65534)
    copied = copy(top / "in/a.db", top / "out/copy.db")
    assert content(copied) == expected and copied.stat().st_mode & 0o777 == 0o444
    for source, destination, reason in (
        ("in/a.db", "in/copy.db", f"the folder {top / 'in'} is read-only"),
        ("in/wal.db", "out/wal.db", f"the folder {top / 'in'} is read-only"),
    ):
        try:
            copy(top / source, top / destination)
        except ReadOnlyError as error:
            assert reason in str(error), error
        else:
            raise AssertionError(source)
    assert names(top / "in") == ["a.db", "wal.db"], names(top / "in")
    assert names(top / "out") == ["copy.db"]
try:
    shutil.copytree(sys.argv[1], top / "in")
    (top / "out").mkdir()
    (top / "out").chmod(0o777)
    for file in (top / "in").iterdir():
        file.chmod(0o444)
    (top / "in/wal.db").chmod(0o666)
    (top / "in").chmod(0o555)
    top.chmod(0o755)
    expected = content(top / "in/a.db")
    child = os.fork()
    if child == 0:
        try:
            as_nobody()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    assert os.wait()[1] == 0
finally:
    (top / "in").chmod(0o755)
    shutil.rmtree(top)
""",
        tmp_path,
    )
