"""A restore: what is there afterwards, also of a damaged database."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path

import pytest
from helpers.database_files import (
    both_modes,
    build,
    content,
    damage,
    end,
    insert_pair,
    journal_mode,
    names,
    query,
    restore,
    start,
    unchanged,
)
from helpers.platforms import is_root, posix

from nexuslims_store.errors import BackupError

KEPT = "live_backup_*.db"


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


@pytest.mark.parametrize(
    "kind",
    [
        *("text", "short text", "header", "cut by half", "tables", "zeroed pages"),
        *("flipped byte", "cut by 100 bytes"),
    ],
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
    if kind in {"zeroed pages", "flipped byte", "cut by 100 bytes"}:
        # SQLite can open it, so that programs which have it open go on with the same file.
        assert live.stat().st_ino == inode
        assert kept.read_bytes()[512:] == damaged[512:] + bytes(-len(damaged) % 512)
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


def test_the_owner_of_a_replaced_file_can_still_write_it(home: Path, backup: Path) -> None:
    if sys.platform == "win32" or not is_root():
        pytest.skip("only root can give files away")
    live = home / "live.db"
    live.write_text("ruined")
    os.chown(live, 65534, 65534)
    restore(backup, live)
    assert (live.stat().st_uid, live.stat().st_gid) == (65534, 65534)
