"""A restore that is killed: the content is the earlier or the new one."""

from __future__ import annotations

import subprocess
import time
from fnmatch import fnmatch
from pathlib import Path

import pytest
from helpers.database_files import (
    KILL_AT_EVERY_LINE,
    both_modes,
    build,
    content,
    names,
    run,
    script,
)
from helpers.platforms import posix

KEPT = "live_backup_*.db"


@pytest.mark.slow
@posix
@pytest.mark.parametrize("kind", ["delete", "wal", "text", "missing"])
def test_killed_at_any_line(home: Path, tmp_path: Path, kind: str) -> None:
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
folder = live.parent
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
    work()
    assert look(live) == after
"""
        + KILL_AT_EVERY_LINE,
        backup,
        original,
        home / "live.db",
        kind,
    )
    assert int(kills) > 5


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
