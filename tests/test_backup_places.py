"""Backups and restores where they cannot be: read-only disks, devices, other people's folders.

And what a disk that lies would do: a copy that is not what was copied is never taken for one.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.database_files import KILL_AT_EVERY_LINE, build, content, names, query, restore, run
from helpers.platforms import as_root, is_root, needs_posix, no_root, posix

from nexuslims_store import Store
from nexuslims_store.backup import PARTIAL_FILES, copy, list_backups, name_for
from nexuslims_store.connection import MEMORY
from nexuslims_store.errors import (
    BackupError,
    CorruptDatabaseError,
    DatabaseNotFoundError,
    NotANexusLIMSDatabaseError,
    ReadOnlyError,
    StoreError,
)

# -- places ----------------------------------------------------------------------------------

ON_A_READ_ONLY_DISK = """
from nexuslims_store.backup import copy, restore
from nexuslims_store.errors import ReadOnlyError
top = Path(sys.argv[1])
disk, other = top / "disk", top / "other.db"
def refused(work):
    try:
        work()
    except ReadOnlyError as error:
        print(error)
    else:
        raise AssertionError("done")
    assert names(disk) == there, names(disk)
there = names(disk)
refused(lambda: copy(other, disk))
refused(lambda: copy(other, disk / "x.db"))
refused(lambda: copy(disk / "in.db", disk))
refused(lambda: restore(other, disk / "in.db"))
refused(lambda: restore(other, disk / "new.db"))
refused(lambda: name_for(other, disk))
refused(lambda: Store(disk / "half.db", read_only=True))
refused(lambda: copy(disk / "half.db", top / "x.db"))
refused(lambda: Store(disk / "lone.db", read_only=True))
refused(lambda: Store(disk / "wal.db", read_only=True))
refused(lambda: copy(disk / "wal.db", top / "x.db"))
refused(lambda: restore(disk / "wal.db", other))
refused(lambda: copy(disk / "wal.db", disk))
refused(lambda: name_for(disk / "wal.db", disk))
(found,) = doctor.examine(disk / "half.db")
assert found.remedy.startswith("copy both to a folder that may be written"), found
with Store(disk / "in.db", read_only=True) as store:
    assert store.session_logs.count() > 100
assert content(copy(disk / "in.db", top / "copy.db")) == content(other)
assert restore(disk / "in.db", other) is not None
"""


def left_behind(database: Path, folder: Path) -> None:
    """Make copies as a killed program leaves them: half written, and with a -wal file alone."""
    half, lone = folder / "half.db", folder / "lone.db"
    for path, mode, files in ((half, "DELETE", ("", "-journal")), (lone, "WAL", ("", "-wal"))):
        shutil.copy(database, folder / "work.db")
        with closing(sqlite3.connect(folder / "work.db", isolation_level=None)) as connection:
            connection.execute(f"PRAGMA journal_mode = {mode}")
            connection.execute("PRAGMA cache_size = 1")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE session_log SET user = 'somebody else'")
            if mode == "WAL":
                connection.execute("COMMIT")
            for suffix in files:
                shutil.copy(f"{folder}/work.db{suffix}", f"{path}{suffix}")


@posix
def test_a_disk_that_is_mounted_read_only(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    build(tmp_path / "other.db")
    code = Path(tmp_path / "work.py")
    header = (
        "import sys\nfrom pathlib import Path\nfrom helpers.database_files import *\n"
        "from nexuslims_store import Store, doctor\n"
        "from nexuslims_store.backup import name_for\n"
    )
    left_behind(tmp_path / "other.db", tmp_path)
    code.write_text(header + ON_A_READ_ONLY_DISK)
    shell = (
        f"mount -t tmpfs tmpfs '{disk}' && cp '{tmp_path}/other.db' '{disk}/in.db' && "
        f"cp '{tmp_path}/other.db' '{disk}/wal.db' && '{sys.executable}' -c \"import sqlite3; "
        f"sqlite3.connect('{disk}/wal.db').execute('PRAGMA journal_mode = WAL')\" && "
        f"cp '{tmp_path}'/half.db* '{tmp_path}'/lone.db* '{disk}/' && "
        f"mount -o remount,ro '{disk}' || exit 99; '{sys.executable}' '{code}' '{tmp_path}'"
    )
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare to mount a disk with")
    user = [] if is_root() else ["--map-root-user"]
    done = subprocess.run(
        [unshare, "--mount", *user, "sh", "-c", shell],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode in {1, 99} and "Traceback" not in done.stderr:
        pytest.skip(f"this system lets nobody mount a disk: {done.stderr}")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert [line for line in said if "mounted read-only" not in line] == []
    assert [("-journal" in line, "WAL mode" in line) for line in said[6:]] == [
        *[(True, False)] * 3,  # two half written, one with its -wal file alone
        *[(False, True)] * 5,  # whatever the place: another would not help
    ]


def test_what_is_no_file_is_never_waited_for(tmp_path: Path) -> None:
    if sys.platform == "win32":
        needs_posix()
    path = build(tmp_path / "a.db", sessions=5)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    there = names(tmp_path)
    for odd in (pipe, Path("/dev/null"), Path("/dev/zero")):
        with pytest.raises(BackupError, match="exists already"):
            copy(path, odd)
        with pytest.raises(NotANexusLIMSDatabaseError, match="no file"):
            copy(odd, tmp_path / "x.db")
        with pytest.raises(NotANexusLIMSDatabaseError, match="no file"):
            restore(odd, path)
        with pytest.raises(BackupError, match="not a file"):
            restore(path, odd)
    assert names(tmp_path) == there


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db", sessions=5)
    for name in ("n" * 300, "n" * 250 + ".db/x.db"):
        with pytest.raises(BackupError):
            copy(path, tmp_path / name)
        with pytest.raises(DatabaseNotFoundError):
            restore(tmp_path / name, path)
        with pytest.raises(BackupError):
            restore(path, tmp_path / name)
    assert names(tmp_path) == ["a.db"]


def test_memory_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build(tmp_path / "a.db", sessions=5)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BackupError, match="a database in memory can be backed up by the program"):
        copy(MEMORY, tmp_path / "x.db")
    with pytest.raises(BackupError, match="a database in memory is nobody else's"):
        restore(path, MEMORY)
    assert names(tmp_path) == ["a.db"]


@no_root
def test_a_folder_that_may_only_be_read_is_refused_in_a_trial_run_too(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db", sessions=5)
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o555)
    for trial in ([], ["--dry-run"]):
        refused = call("--db", path, "backup", folder, *trial)
        assert refused.status == 2
        assert "read-only for this user; choose another folder" in refused.err
    assert names(folder) == []


@no_root
@pytest.mark.parametrize("trial", [[], ["--dry-run"]])
def test_a_folder_that_may_be_written_but_not_entered_is_not_called_read_only(
    tmp_path: Path, trial: list[str]
) -> None:
    path = build(tmp_path / "a.db", sessions=5)
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o600)
    reported = () if trial else (("report", "--output", folder / "x.html"),)
    try:
        for command in (("backup", folder, *trial), ("backup", folder / "x.db", *trial), *reported):
            refused = call("--db", path, *command)
            assert refused.status == 2
            assert f"{folder} may not be entered by this user; choose another" in refused.err
    finally:
        folder.chmod(0o700)
    assert names(folder) == []


@no_root
def test_folders_that_may_not_be_entered(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db", sessions=5)
    closed = tmp_path / "closed"
    closed.mkdir()
    inside = build(closed / "b.db", sessions=5)
    closed.chmod(0)
    try:
        for work in (
            lambda: copy(path, closed),
            lambda: copy(path, closed / "x.db"),
            lambda: name_for(path, closed),
            lambda: copy(inside, tmp_path / "x.db"),
            lambda: restore(inside, path),
            lambda: restore(path, inside),
            lambda: restore(path, closed / "new.db"),
            lambda: list_backups(path, closed),
        ):
            with pytest.raises(ReadOnlyError):
                work()
        assert names(tmp_path) == ["a.db", "closed"]
    finally:
        closed.chmod(0o700)


AS_NOBODY = """
import os, sys
from nexuslims_store.cli import main
good, path, *commands = sys.argv[1:]
for command in commands:
    main(["--db", good, command])  # what Python itself imports, only root may read here
os.setuid(65534)
for command in commands:
    print("as nobody:", flush=True)
    main(["--db", path, command])
"""


@as_root
@pytest.mark.slow
@pytest.mark.parametrize("closed", ["a.db", "a.db-journal", "."])
def test_what_this_user_cannot_put_back_is_told_with_who_can(closed: str) -> None:
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are root's alone
    try:
        good, path = build(folder / "good.db"), build(folder / "a.db")
        child = (
            "import os, sqlite3, sys\n"
            "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "c.execute('PRAGMA cache_size = 1')\n"
            "c.execute('BEGIN')\n"
            'c.execute("UPDATE session_log SET user = hex(zeroblob(100000))")\n'
            "os._exit(0)\n"
        )
        subprocess.run([sys.executable, "-c", child, path], check=True)
        folder.chmod(0o777)
        for file in (path, Path(f"{path}-journal")):
            file.chmod(0o666)
        (folder / closed).chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, good, path, "status", "doctor"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    _, *told = done.stdout.split("as nobody:")
    assert len(told) == 2
    for by_one in told:
        place = folder / closed
        assert f"{place} is read-only for this user: run `nexuslims-store backup" in by_one
        assert "as root, who owns the database" in by_one


@as_root
@pytest.mark.slow
def test_a_wal_without_its_shm_where_nothing_may_be_written_names_wal_and_a_copy() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        good, path = build(folder / "good.db"), build(folder / "a.db", wal=True)
        Path(f"{path}-wal").touch()
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, good, path, "status"],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    assert f"{path} is in WAL mode: " in done.stderr
    assert "read a copy of it and its -wal file in a folder that may be written" in done.stderr


def test_a_database_restored_from_a_read_only_backup_may_be_written(tmp_path: Path) -> None:
    backup = copy(build(tmp_path / "a.db"), tmp_path / "backup.db")
    backup.chmod(0o440)
    created = tmp_path / "new.db"
    restore(backup, created)
    assert stat.S_IMODE(created.stat().st_mode) == 0o640 or os.name == "nt"
    assert stat.S_IMODE(copy(backup, tmp_path / "copy.db").stat().st_mode) == 0o440 or (
        os.name == "nt"
    )


def test_a_store_is_backed_up_after_the_current_folder_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        Store("a.db", migrate=True).close()
    monkeypatch.chdir(tmp_path / "one")
    with Store("a.db") as store:
        monkeypatch.chdir(tmp_path / "two")
        Path("a.db").write_text("of somebody else")
        copied = store.backup(tmp_path / "copy.db")
        beside = store.backup(".")
    assert content(copied) == content(tmp_path / "one" / "a.db")
    assert names(tmp_path / "two") == ["a.db", beside.name]


# -- owners ----------------------------------------------------------------------------------


@as_root
def test_roots_backups_belong_to_the_owner_of_the_database(tmp_path: Path) -> None:
    if sys.platform == "win32":
        needs_posix()
    path = build(tmp_path / "a.db")
    path.chmod(0o640)
    os.chown(path, 65534, 65533)
    assert call("--db", path, "backup", tmp_path / "copy.db").status == 0
    kept = restore(tmp_path / "copy.db", path)
    assert kept is not None
    created = tmp_path / "created.db"
    restore(tmp_path / "copy.db", created)
    for file in (path, tmp_path / "copy.db", kept, created):
        found = file.stat()
        assert (found.st_uid, found.st_gid) == (65534, 65533), file
        assert stat.S_IMODE(found.st_mode) == 0o640, file


@posix
def test_what_cannot_be_given_away_is_backed_up_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by root in a container without its powers."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "not in this container")

    monkeypatch.setattr(os, "fchown", refuse)
    path = build(tmp_path / "a.db")
    assert content(copy(path, tmp_path / "copy.db")) == content(path)


# -- disks that lie --------------------------------------------------------------------------


def test_a_copy_that_is_not_its_source_is_refused(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db")

    def spoil(done: int, total: int) -> None:
        # A name in the catalogue, so that SQLite finds all pages in order.
        if done == total:
            (partial,) = tmp_path.glob(PARTIAL_FILES)
            data = partial.read_bytes()
            assert b"idx_external_lookup" in data
            partial.write_bytes(data.replace(b"idx_external_lookup", b"idx_external_l00kup"))

    with pytest.raises(StoreError, match="not the same as its source"):
        copy(path, tmp_path / "copy.db", progress=spoil)
    assert names(tmp_path) == ["a.db"]


def test_a_copy_that_lacks_a_page_is_refused(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db")

    def cut(done: int, total: int) -> None:
        if done == total:
            (partial,) = tmp_path.glob(PARTIAL_FILES)
            os.truncate(partial, partial.stat().st_size - 512)

    with pytest.raises(CorruptDatabaseError):
        copy(path, tmp_path / "copy.db", progress=cut)
    assert names(tmp_path) == ["a.db"]


def test_what_was_restored_is_looked_at_once_more(tmp_path: Path) -> None:
    backup = build(tmp_path / "backup.db", mark="new")
    live = build(tmp_path / "live.db", sessions=50)
    before = content(live)
    size = backup.stat().st_size

    def spoil(done: int, total: int) -> None:
        if done == total:
            with live.open("r+b") as file:
                file.seek(size // 2 // 512 * 512)
                file.write(b"\xff" * 512 * 20)

    with pytest.raises(CorruptDatabaseError, match="What was there before is in") as caught:
        restore(backup, live, progress=spoil)
    (kept,) = tmp_path.glob("live_backup_*_replaced.db")
    assert str(kept) in str(caught.value)
    assert content(kept) == before


@posix
@pytest.mark.parametrize("kind", ["replaced", "new"])
def test_the_folder_is_on_the_disk_after_a_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    backup = build(tmp_path / "backup.db", sessions=5)
    home = tmp_path / "home"
    home.mkdir()
    live = home / "live.db"
    if kind == "replaced":
        live.write_text("ruined")
    synced: list[bool] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            synced.append(live.read_bytes()[:6] == b"SQLite")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    restore(backup, live)
    assert synced[-1] is True


# -- killed ----------------------------------------------------------------------------------


@pytest.mark.slow
@posix
def test_killed_at_any_line_on_a_disk_without_hard_links(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db", sessions=5)
    kills = run(
        """
import errno
from fnmatch import fnmatch
from nexuslims_store.backup import PARTIAL_FILES, copy
def refuse(*_):
    raise PermissionError(errno.EPERM, "no hard links here")
os.link = refuse
path = Path(sys.argv[1])
folder = path.parent
before = content(path)
copied = path.with_name("copy.db")
def prepare():
    copied.unlink(missing_ok=True)
    for file in path.parent.glob(PARTIAL_FILES):
        file.unlink()
def work():
    copy(path, copied)
def judge(survived):
    if copied.exists():
        assert content(copied) == before
    else:
        assert not survived
"""
        + KILL_AT_EVERY_LINE,
        path,
    )
    assert int(kills) >= 5


def test_an_index_is_mended_without_a_backup(tmp_path: Path) -> None:
    """The gentlest remedy that there is."""
    from nexuslims_store import doctor

    path = build(tmp_path / "a.db", sessions=5)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "PRAGMA writable_schema = ON; CREATE TABLE kept AS SELECT * FROM sqlite_master;"
            "DELETE FROM sqlite_master WHERE name = 'ix_upload_log_destination_name';"
        )
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "UPDATE upload_log SET destination_name = 'other' WHERE id = 1;"
            "PRAGMA writable_schema = ON; INSERT INTO sqlite_master SELECT * FROM kept "
            "WHERE name = 'ix_upload_log_destination_name'; DROP TABLE kept;"
        )
    remedies = {found.remedy for found in doctor.examine(path) if found.code == "damaged"}
    (remedy,) = remedies
    assert remedy.endswith('"REINDEX"')
    assert query(path, "REINDEX") == []
    assert "damaged" not in {found.code for found in doctor.examine(path)}
