"""A restore that is refused: other programs' files, locks, room on the disk."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.database_files import (
    HOLD,
    both_modes,
    build,
    content,
    damage,
    end,
    insert_pair,
    names,
    query,
    restore,
    run,
    start,
    unchanged,
)
from helpers.platforms import needs_posix, posix

from nexuslims_store.backup import copying, files
from nexuslims_store.backup import restoring as module
from nexuslims_store.errors import (
    BackupError,
    CorruptDatabaseError,
    DatabaseLockedError,
    DatabaseNotFoundError,
    NotANexusLIMSDatabaseError,
    ReadOnlyError,
    SchemaMismatchError,
    StorageFullError,
    StoreError,
    UnknownRevisionError,
)

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
    with unchanged(home, backup.parent), pytest.raises(expected, match="backup") as refused:
        restore(backup, home / "live.db")
    # The path of the database is not at fault.
    assert "NX_DB_PATH" not in str(refused.value)
    if kind not in {"damaged", "truncated"}:  # for which all of it must be read
        with pytest.raises(expected) as told:
            module.revision_of(backup)
        assert str(told.value) == str(refused.value)


def test_a_restore_without_a_name_is_refused(
    home: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    nameless = Path("-")
    for work in (
        lambda: module.revision_of(nameless),
        lambda: restore(nameless, backup),
        lambda: restore(backup, nameless),
    ):
        with pytest.raises(StoreError, match="'-' is no file or folder"):
            work()


@pytest.mark.parametrize(("name", "kind"), [("", "a folder"), ("pipe", "no file")])
def test_what_is_no_file_is_no_backup(tmp_path: Path, name: str, kind: str) -> None:
    if sys.platform == "win32":
        needs_posix()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotANexusLIMSDatabaseError) as caught:
        module.revision_of(tmp_path / name)
    assert str(caught.value) == f"the backup {tmp_path / name} is {kind}; name the file to restore"


def test_a_name_that_another_takes_meanwhile_stays_its(
    home: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []

    def late(temporary: Path, name: Path, like: os.stat_result | None) -> None:
        if not taken:
            taken.append(name)
            name.write_text("quicker")
        files.give_name(temporary, name, like)

    monkeypatch.setattr(module, "give_name", late)
    live = home / "live.db"
    live.write_text("ruined")
    kept = restore(backup, live)
    assert kept is not None
    assert [file.read_text() for file in (*taken, kept)] == ["quicker", "ruined"]
    assert content(live) == content(backup)


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (errno.ENOENT, DatabaseNotFoundError, "there is no backup {}; check the path"),
        (errno.ENOTDIR, DatabaseNotFoundError, "there is no backup {}; check the path"),
        (errno.EACCES, ReadOnlyError, "the backup {} may not be reached by this user; change the "),
        (errno.ELOOP, DatabaseNotFoundError, "no backup can be at {} (links); check the path"),
    ],
)
def test_what_the_system_says_of_a_backup(
    home: Path,
    backup: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    kind: type[StoreError],
    says: str,
) -> None:
    look = Path.stat

    def fail(self: Path, **options: bool) -> os.stat_result:
        if self == backup:
            raise OSError(code, "links")
        return look(self, **options)

    monkeypatch.setattr(Path, "stat", fail)
    for work in (lambda: module.revision_of(backup), lambda: restore(backup, home / "live.db")):
        with pytest.raises(kind) as caught:
            work()
        assert str(caught.value).startswith(says.format(backup))
        assert type(caught.value) is kind


def test_what_is_in_the_way_of_a_new_file_is_told_before_anything_is_written(
    home: Path, backup: Path
) -> None:
    (home / "live.db-wal").touch()

    def begun(done: int, total: int) -> None:
        raise AssertionError("has begun")

    for name, says in (("live.db", "live.db-wal is in the way"), ("no/live.db", "there is no fol")):
        with unchanged(home), pytest.raises(BackupError, match=says):
            restore(backup, home / name, progress=begun)


def test_another_programs_database_is_not_overwritten(home: Path, backup: Path) -> None:
    other_program(home / "live.db")
    with unchanged(home), pytest.raises(NotANexusLIMSDatabaseError, match="another program"):
        restore(backup, home / "live.db")


def test_a_file_that_may_not_be_written_is_refused_before_it_is_kept(
    home: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = build(home / "live.db", sessions=1)
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.W_OK)
    with unchanged(home), pytest.raises(ReadOnlyError, match=r"live\.db"):
        restore(backup, live)


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


@pytest.mark.slow
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
    assert 0.2 < time.monotonic() - began < 20
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


@pytest.mark.slow
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
backup, live, kind = *map(Path, sys.argv[1:3]), sys.argv[3]
look = Path.read_text if kind == "text" else content
before, after = look(live), content(backup)
full = 0
limit = 0
sys.dont_write_bytecode = True
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


def test_what_is_refused_is_not_announced(tmp_path: Path) -> None:
    path = build(tmp_path / "a.db", sessions=5)
    refused = call("--db", path, "restore", path, "--yes")
    assert refused.status == 2
    assert "are the same file" in refused.err
    assert "is to replace" not in refused.err
