"""Restoring: the content comes back, the earlier one is kept, and a refusal changes nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest
from helpers.database_files import (
    HOLD,
    KILL_AT_EVERY_LINE,
    build,
    content,
    end,
    files,
    insert_pair,
    journal_mode,
    names,
    query,
    run,
    script,
    start,
)

from nexuslims_store.backup import copying, restore
from nexuslims_store.backup import restoring as module
from nexuslims_store.errors import (
    BackupError,
    CorruptDatabaseError,
    DatabaseLockedError,
    DatabaseNotFoundError,
    NotANexusLIMSDatabaseError,
    SchemaMismatchError,
    StorageFullError,
    StoreError,
    UnknownRevisionError,
)

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions, signals and limits")
both_modes = pytest.mark.parametrize("wal", [False, True], ids=["delete", "wal"])
KEPT = "live_backup_*.db"


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return build(tmp_path / "backups" / "backup.db", mark="backed up")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@contextmanager
def unchanged(*folders: Path) -> Iterator[None]:
    """Check that a block leaves folders as they are, byte for byte."""
    before = [(files(folder), names(folder)) for folder in folders]
    yield
    assert [(files(folder), names(folder)) for folder in folders] == before


# -- what is there afterwards ----------------------------------------------------------------


@both_modes
@pytest.mark.parametrize("backup_in_wal", [False, True])
@pytest.mark.parametrize("page_size", [512, 4096])
@pytest.mark.parametrize("sessions", [3, 900], ids=["smaller", "larger"])
def test_the_content_comes_back_and_the_earlier_one_is_kept(
    home: Path, tmp_path: Path, wal: bool, backup_in_wal: bool, page_size: int, sessions: int
) -> None:
    backup = build(tmp_path / "b.db", mark="backed up", wal=backup_in_wal)
    live = build(home / "live.db", wal=wal, page_size=page_size, sessions=sessions)
    live.chmod(0o640)
    before, inode = content(live), live.stat().st_ino
    calls: list[tuple[int, int]] = []
    with unchanged(tmp_path):
        kept = restore(backup, live, progress=lambda done, total: calls.append((done, total)))
    assert kept is not None
    assert kept.parent == home
    assert fnmatch(kept.name, KEPT)
    assert content(kept) == before
    assert content(live) == content(backup)
    assert names(home) == sorted(["live.db", kept.name])
    assert live.stat().st_ino == inode
    assert stat.S_IMODE(live.stat().st_mode) == stat.S_IMODE(kept.stat().st_mode)
    assert journal_mode(live) == ("wal" if wal else "delete")
    assert query(live, "PRAGMA page_size") == [(page_size,)]
    assert len(calls) > 1
    assert calls[-1][0] == calls[-1][1]
    # And back again.
    again = restore(kept, live)
    assert content(live) == before
    assert again is not None
    assert content(again) == content(backup)


@pytest.mark.parametrize("name", ["a#b?c%41.db", "Übung 1 (x).db"])
def test_a_missing_database_is_created(home: Path, backup: Path, name: str) -> None:
    backup.chmod(0o600)
    assert restore(backup, home / name) is None
    assert names(home) == [name]
    assert content(home / name) == content(backup)
    assert stat.S_IMODE((home / name).stat().st_mode) == 0o600 or os.name == "nt"


def test_what_a_deleted_database_left_beside_is_not_played_into_the_new_one(
    home: Path, backup: Path
) -> None:
    (home / "live.db-wal").write_bytes(b"of the deleted one")
    with unchanged(home), pytest.raises(BackupError, match="db-wal is in the way"):
        restore(backup, home / "live.db")


def test_an_empty_file_is_restored(home: Path, backup: Path) -> None:
    (home / "live.db").touch()
    restore(backup, home / "live.db")
    assert content(home / "live.db") == content(backup)


def test_a_symbolic_link_stays_one(home: Path, tmp_path: Path, backup: Path) -> None:
    (tmp_path / "data").mkdir()
    real = build(tmp_path / "data" / "real.db")
    before = content(real)
    live = home / "live.db"
    live.symlink_to(real)
    for kind in ("database", "text"):
        if kind == "text":
            real.write_text("ruined " * 1000)
        kept = restore(backup, live)
        assert live.is_symlink()
        assert content(real) == content(backup)
        assert kept is not None
        assert kept.parent == home
        assert content(kept) == before if kind == "database" else "ruined" in kept.read_text()
        assert names(tmp_path / "data") == ["real.db"]
    live.unlink()
    live.symlink_to(tmp_path / "data" / "new.db")
    assert restore(backup, live) is None
    assert live.is_symlink()
    assert content(tmp_path / "data" / "new.db") == content(backup)


READER = """
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
count = "SELECT count(*) FROM session_log WHERE session_identifier LIKE 'backed up%'"
assert connection.execute(count).fetchone() == (0,)
print("ready", flush=True)
sys.stdin.readline()
[(found,)] = connection.execute(count)
[(checked,)] = connection.execute("PRAGMA integrity_check")
print(found, checked)
insert_pair(connection, "after")
connection.close()
"""


@both_modes
def test_others_that_have_the_file_open_go_on(home: Path, backup: Path, wal: bool) -> None:
    live = build(home / "live.db", wal=wal)
    reader = start(READER, live)
    with closing(sqlite3.connect(live, isolation_level=None)) as connection:
        connection.execute("SELECT * FROM upload_log").fetchone()
        restore(backup, live)
        assert connection.execute("SELECT DISTINCT record_id FROM upload_log").fetchall() == [
            ("backed up",)
        ]
        insert_pair(connection, "mine")
    assert end(reader) == "600 ok\n"
    added = "SELECT count(*) FROM session_log WHERE session_identifier IN ('after', 'mine')"
    assert query(live, added) == [(4,)]
    assert content(live)


# -- damaged databases -----------------------------------------------------------------------


def damage(path: Path, kind: str) -> None:
    data = bytearray(path.read_bytes())
    match kind:
        case "text":
            data[:] = b"not a database\n" * 1000
        case "short text":
            data[:] = b"hello"
        case "header":
            data[3] ^= 0x55
        case "cut by half":
            del data[len(data) // 2 :]
        case "tables":
            data = data.replace(b"CREATE TABLE", b"CREATE STOOL")
        case "zeroed pages":
            data[512 * 40 : 512 * 200] = bytes(512 * 160)
        case "flipped byte":
            data[512 * 100] ^= 0x55
        case _:
            raise AssertionError(kind)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "kind",
    ["text", "short text", "header", "cut by half", "tables", "zeroed pages", "flipped byte"],
)
@both_modes
def test_a_damaged_database_is_kept_as_it_is_and_restored(
    home: Path, backup: Path, kind: str, wal: bool
) -> None:
    live = build(home / "live.db", wal=wal)
    live.chmod(0o640)
    damage(live, kind)
    damaged, inode = live.read_bytes(), live.stat().st_ino
    kept = restore(backup, live)
    assert content(live) == content(backup)
    assert stat.S_IMODE(live.stat().st_mode) == 0o640 or os.name == "nt"
    assert kept is not None
    assert names(home) == sorted(["live.db", kept.name])
    if kind in {"zeroed pages", "flipped byte"}:
        # SQLite can open it, so that programs which have it open go on with the same file.
        assert live.stat().st_ino == inode
        assert kept.read_bytes()[512:] == damaged[512:]
    else:
        assert kept.read_bytes() == damaged


@posix
def test_the_wal_file_of_a_database_that_cannot_be_opened_is_kept_with_it(
    home: Path, backup: Path
) -> None:
    live = build(home / "live.db", wal=True)
    # Another program has it open, so that SQLite leaves the -wal file where it is.
    holder = start(
        """
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA wal_autocheckpoint = 0")
connection.execute("UPDATE session_log SET user = 'v' WHERE id_session_log = 300")
print("ready", flush=True)
sys.stdin.readline()
os._exit(0)
""",
        live,
    )
    damage(live, "header")
    damaged, wal = live.read_bytes(), (home / "live.db-wal").read_bytes()
    kept = restore(backup, live)
    end(holder)
    assert kept is not None
    assert content(live) == content(backup)
    assert names(home) == sorted(["live.db", kept.name, f"{kept.name}-wal"])
    assert kept.read_bytes() == damaged
    assert (home / f"{kept.name}-wal").read_bytes() == wal


@posix
def test_the_owner_of_a_replaced_file_can_still_write_it(home: Path, backup: Path) -> None:
    if sys.platform == "win32" or os.geteuid() != 0:
        pytest.skip("only root can give files away")
    live = home / "live.db"
    live.write_text("ruined")
    os.chown(live, 65534, 65534)
    restore(backup, live)
    assert (live.stat().st_uid, live.stat().st_gid) == (65534, 65534)


# -- refusals --------------------------------------------------------------------------------


def other_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")


def unusable(path: Path, kind: str) -> None:
    match kind:
        case "text":
            path.write_text("not a database\n" * 1000)
        case "empty":
            path.write_bytes(b"")
        case "another program's":
            path.unlink()
            other_program(path)
        case "damaged":
            damage(path, "flipped byte")
        case "truncated":
            path.write_bytes(path.read_bytes()[:-100])
        case "missing":
            path.unlink()
        case "a folder":
            path.unlink()
            path.mkdir()
        case "newer" | "wrong stamp":
            revision = "v9_9_9" if kind == "newer" else "v1_4_3"
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
                connection.commit()
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text", NotANexusLIMSDatabaseError),
        ("empty", NotANexusLIMSDatabaseError),
        ("another program's", NotANexusLIMSDatabaseError),
        ("damaged", CorruptDatabaseError),
        ("truncated", CorruptDatabaseError),
        ("missing", DatabaseNotFoundError),
        ("a folder", NotANexusLIMSDatabaseError),
        ("newer", UnknownRevisionError),
        ("wrong stamp", SchemaMismatchError),
    ],
)
@pytest.mark.parametrize("there", [True, False], ids=["existing", "new"])
def test_a_backup_that_cannot_be_used(
    home: Path, backup: Path, kind: str, expected: type[StoreError], there: bool
) -> None:
    if there:
        build(home / "live.db")
    unusable(backup, kind)
    with unchanged(home, backup.parent), pytest.raises(expected, match="backup"):
        restore(backup, home / "live.db")


def test_another_programs_database_is_not_overwritten(home: Path, backup: Path) -> None:
    other_program(home / "live.db")
    with unchanged(home), pytest.raises(NotANexusLIMSDatabaseError, match="another program"):
        restore(backup, home / "live.db")


def test_a_database_that_needs_mending_is_restored(home: Path, backup: Path) -> None:
    live = build(home / "live.db")
    unusable(live, "newer")
    kept = restore(backup, live)
    assert content(live) == content(backup)
    assert kept is not None
    assert query(kept, "SELECT * FROM alembic_version") == [("v9_9_9",)]


def test_the_same_file(home: Path, tmp_path: Path) -> None:
    live = build(home / "live.db")
    (tmp_path / "symbolic.db").symlink_to(live)
    os.link(live, tmp_path / "hard.db")
    for other in (live, tmp_path / "symbolic.db", tmp_path / "hard.db"):
        with unchanged(home), pytest.raises(BackupError, match="the same file"):
            restore(other, live)
        with unchanged(home), pytest.raises(BackupError, match="the same file"):
            restore(live, other)
    with unchanged(home), pytest.raises(BackupError, match="not a file"):
        restore(live, home)


@both_modes
@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_database_that_is_being_written_is_waited_for_no_longer_than_the_timeout(
    home: Path, backup: Path, wal: bool, lock: str
) -> None:
    live = build(home / "live.db", wal=wal)
    before = content(live)
    holder = start(HOLD, live, lock)
    there = names(home)
    began = time.monotonic()
    with pytest.raises(DatabaseLockedError, match=r"live\.db is locked .* 0\.3 s"):
        restore(backup, live, timeout=0.3)
    assert 0.2 < time.monotonic() - began < 5
    assert names(home) == there
    end(holder)
    assert content(live) == before
    restore(backup, live)
    assert content(live) == content(backup)


def test_a_reader_of_a_database_with_a_rollback_journal_is_waited_for(
    home: Path, backup: Path
) -> None:
    live = build(home / "live.db")
    with closing(sqlite3.connect(live, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM session_log").fetchone()
        with pytest.raises(DatabaseLockedError):
            restore(backup, live, timeout=0.1)
        assert names(home) == ["live.db"]


@both_modes
def test_no_row_is_lost_between_keeping_and_replacing(
    home: Path, backup: Path, monkeypatch: pytest.MonkeyPatch, wal: bool
) -> None:
    live = build(home / "live.db", wal=wal)
    copy_pages = copying.copy_pages
    refused = []

    def write_first(*arguments: object, **options: object) -> None:
        # Another program, at the worst of moments.
        with closing(sqlite3.connect(live, timeout=0)) as writer:
            try:
                insert_pair(writer, "late")
                writer.commit()
            except sqlite3.OperationalError as error:
                refused.append(error)
        copy_pages(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "copy_pages", write_first)
    late = "SELECT count(*) FROM session_log WHERE session_identifier = 'late'"
    if wal:
        with pytest.raises(DatabaseLockedError, match="wrote to"):
            restore(backup, live)
        assert query(live, late) == [(2,)]
        assert not refused
    else:
        restore(backup, live)
        assert content(live) == content(backup)
        assert len(refused) == 1


def test_a_lock_between_keeping_and_replacing_is_waited_for_no_longer_than_the_timeout(
    home: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = build(home / "live.db", wal=True)
    before = content(live)
    copy_pages = copying.copy_pages
    with closing(sqlite3.connect(live, isolation_level=None)) as writer:

        def lock_first(*arguments: object, **options: object) -> None:
            writer.execute("BEGIN IMMEDIATE")
            copy_pages(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(module, "copy_pages", lock_first)
        with pytest.raises(DatabaseLockedError, match=r"live\.db is locked .* 0\.2 s"):
            restore(backup, live, timeout=0.2)
    assert content(live) == before


# -- room on the disk ------------------------------------------------------------------------


def test_no_room_is_said_before_anything_is_written(
    home: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = build(home / "live.db")
    new, old = backup.stat().st_size, live.stat().st_size
    needed = new + old + max(new, old)
    usage = shutil.disk_usage(home)._replace(free=needed - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with unchanged(home), pytest.raises(StorageFullError, match=f"{needed:,}.*{needed - 1:,}"):
        restore(backup, live)


@posix
@pytest.mark.parametrize("kind", ["delete", "wal", "text"])
def test_a_full_disk_leaves_the_database_as_it_was(home: Path, backup: Path, kind: str) -> None:
    live = home / "live.db"
    if kind == "text":
        live.write_text("ruined" * 50_000)
    else:
        build(live, wal=kind == "wal", sessions=450)
    full = run(
        """
from nexuslims_store.errors import StorageFullError
from nexuslims_store.backup import restore
backup, live, kind = *map(Path, sys.argv[1:3]), sys.argv[3]
look = Path.read_text if kind == "text" else content
before, after = look(live), content(backup)
full = 0
limit = 0
while True:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        restore(backup, live)
    except StorageFullError as error:
        full += 1
    else:
        break
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert look(live) == before, limit
    for name in names(live.parent):
        if name != "live.db":
            # Made before the disk was full, and whole.
            assert name.startswith("live_backup_") and name.endswith(".db"), name
            assert look(live.with_name(name)) == before
            live.with_name(name).unlink()
    limit += 9973
assert content(live) == after
print(full)
""",
        backup,
        live,
        kind,
    )
    assert int(full) > 15


# -- interruptions ---------------------------------------------------------------------------


@pytest.mark.slow
@posix
@pytest.mark.parametrize("kind", ["delete", "wal", "text", "missing"])
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.soak)])
def test_killed_at_any_line(home: Path, tmp_path: Path, kind: str, every: int) -> None:
    backup = build(tmp_path / "backup.db", mark="backed up", sessions=60)
    original = tmp_path / "original.db"
    if kind == "text":
        original.write_text("ruined")
    elif kind != "missing":
        build(original, wal=kind == "wal", sessions=80)
    kills = run(
        """
import shutil
from fnmatch import fnmatch
from nexuslims_store.backup import PARTIAL_FILES, restore
backup, original, live, kind = *map(Path, sys.argv[1:4]), sys.argv[4]
def look(path):
    if not path.exists():
        return None
    return path.read_text() if path.read_bytes() == b"ruined" else content(path)
before, after = look(original), look(backup)
def prepare():
    for file in live.parent.iterdir():
        file.unlink()
    if original.exists():
        shutil.copy(original, live)
def work():
    restore(backup, live)
def judge(survived):
    found = look(live)
    assert found == after or found == before and not survived
    kept = []
    for name in names(live.parent):
        if fnmatch(name, "live_backup_*.db"):
            kept.append(name)
            assert look(live.with_name(name)) == before, name
        else:
            # SQLite's journal may stay too, emptied; it is used again.
            left = fnmatch(name, PARTIAL_FILES) or name == "live.db-journal"
            assert name == "live.db" or left and not survived, name
    assert kept or found == before or before is None
    # The next one works, whatever was left.
    if kills % 2 == 0 or survived:
        work()
        assert look(live) == after
"""
        + KILL_AT_EVERY_LINE,
        backup,
        original,
        home / "live.db",
        kind,
        every,
    )
    assert int(kills) > 100 / every


@pytest.mark.slow
@posix
@both_modes
def test_killed_at_any_moment(home: Path, tmp_path: Path, wal: bool) -> None:
    one = build(tmp_path / "one.db", mark="one", sessions=1500)
    two = build(tmp_path / "two.db", mark="two", sessions=2000)
    live = build(home / "live.db", mark="one", sessions=1500, wal=wal)
    contents = [content(one), content(two)]
    for delay in (0, 11, 23, 37):
        child = subprocess.Popen(
            script(
                """
from nexuslims_store.backup import restore
one, two, live = map(Path, sys.argv[1:])
print("ready", flush=True)
while True:
    restore(two, live)
    restore(one, live)
""",
                one,
                two,
                live,
            ),
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.1 + delay / 1000)
        child.kill()
        child.wait()
        child.stdout.close()
        assert content(live) in contents
        for name in set(names(home)) - {"live.db"}:
            if fnmatch(name, KEPT):
                assert content(home / name) in contents
            (home / name).unlink()
