"""Odd users, folders, interpreters and machines: it works, or says what to mend."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.faults import workout
from helpers.faults.files import State, make, state
from helpers.faults.killing import Forks
from helpers.faults.operations import OPERATIONS
from helpers.platforms import as_one_who_migrates, is_root
from helpers.support import HEAD

from nexuslims_store import ReadOnlyError, Store, migrations
from nexuslims_store.config import sql_folder

pytestmark = pytest.mark.slow

PACKAGE = Path(migrations.__file__).parent.parent
NOBODY = 54321  # has no entry in passwd

REVISIONS = [step.revision for step in migrations.history()]
EXPECTED = {
    "built": "ü0",
    "sessions": {"COMPLETED": 1, "TO_BE_BUILT": 2},
    "times": ["2025-06-04 12:00:00+00:00", "2025-06-04 13:00:00+00:00"],
    "uploads": 1,
    "user": "ada",
    "steps": [*REVISIONS[:0:-1], *REVISIONS[1:]],
    "revision": HEAD,
    "pending": 0,
    "kept": True,
    "files": 5,
}


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


# -- interpreters and machines -------------------------------------------------------------------

ENVIRONMENTS: dict[str, tuple[list[str], list[str], dict[str, str] | None]] = {
    # Before the interpreter, its options, the environment (None: as it is)
    "optimised": ([], ["-O"], None),
    "without docstrings": ([], ["-OO"], None),
    "warnings are errors": ([], ["-W", "error", "-X", "dev"], None),
    "env -i": ([], [], {}),
    "no home": ([], [], {"HOME": "/nonexistent", "PATH": "/nonexistent"}),
    "ASCII": ([], ["-X", "utf8=0"], {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}),
    "no network": (["unshare", "--net"], [], None),
}


@pytest.mark.parametrize(
    "name",
    [
        # Without docstrings it is optimised too, and each compiles all libraries anew.
        pytest.param(name, marks=[pytest.mark.soak] if name == "optimised" else [])
        for name in ENVIRONMENTS
    ],
)
def test_it_works(tmp_path: Path, name: str) -> None:
    before, options, environment = ENVIRONMENTS[name]
    if before and (shutil.which(before[0]) is None or subprocess.call([*before, "true"]) != 0):
        pytest.skip(f"this user may not {' '.join(before)}")

    def run(*arguments: str) -> Any:
        answer = subprocess.run(
            [*before, sys.executable, *options, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.stderr == ""
        return json.loads(answer.stdout)

    path = str(tmp_path / "a.db")
    assert run(workout.__file__, path) == EXPECTED
    assert run("-m", "nexuslims_store", "--db", path, "status", "--json")["revision"] == HEAD


READ_ONLY_MOUNT = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


def test_it_works_from_a_folder_that_is_read_only(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(PACKAGE, site / "nexuslims_store", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(sql_folder(), site / "nexuslims_store" / "sql", dirs_exist_ok=True)
    for path in [*site.rglob("*"), site]:
        path.chmod(path.stat().st_mode & ~0o222)
    command = [sys.executable, workout.__file__, str(tmp_path / "a.db")]
    if is_root():  # whom no permission binds
        command = ["unshare", "--mount", "sh", "-c", READ_ONLY_MOUNT, str(site), *command]
        if subprocess.call([*command[:6], "true"]) != 0:
            pytest.skip("root, who may not make a folder read-only here")
    before = sorted(site.rglob("*"))
    answer = subprocess.run(
        command,
        env={"PYTHONPATH": str(site), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stderr == ""
    assert json.loads(answer.stdout) == EXPECTED
    assert sorted(site.rglob("*")) == before
    for path in [site, *site.rglob("*")]:
        path.chmod(0o755)  # or pytest cannot remove them


# -- users and folders ---------------------------------------------------------------------------


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder
        folder.chmod(0o777)


@as_one_who_migrates
def test_a_user_without_a_name(forks: Forks, open_folder: Path) -> None:
    outcome = forks.one("work_out", open_folder / "a.db", uid=NOBODY)
    assert not outcome.error, outcome.trace
    assert outcome.result == EXPECTED
    assert {file.stat().st_uid for file in open_folder.iterdir()} == {NOBODY}


@as_one_who_migrates
@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - {"create", "restore to a new file"}))
@pytest.mark.parametrize(
    ("kind", "file_mode", "folder_mode", "says"),
    [
        ("file", 0o444, 0o777, "read-only for this user; change the file's permissions"),
        ("folder", 0o666, 0o555, "folder {folder} is read-only for this user"),
        ("both", 0o444, 0o555, "read-only for this user"),
        ("WAL file in a folder", 0o666, 0o555, "folder {folder}"),
    ],
)
def test_what_is_read_only_is_named(
    forks: Forks,
    open_folder: Path,
    name: str,
    kind: str,
    file_mode: int,
    folder_mode: int,
    says: str,
) -> None:
    path = OPERATIONS[name].prepare(open_folder, "older", wal="WAL" in kind)
    for file in open_folder.rglob("*.db"):
        file.chmod(file_mode)
    path.parent.chmod(folder_mode)
    before = contents(path.parent)
    outcome = forks.one(name, path, uid=NOBODY)
    if (name, kind) == ("backup", "file"):  # which is no obstacle
        assert not outcome.error, outcome.trace
        return
    assert outcome.error == "ReadOnlyError", outcome.trace
    assert says.format(folder=path.parent) in outcome.message
    assert contents(path.parent) == before


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - {"create", "restore to a new file"}))
@pytest.mark.parametrize("wal", [False, True], ids=["delete", "wal"])
def test_a_symbolic_link_stays_one_and_its_file_as_private_as_it_was(
    forks: Forks, tmp_path: Path, name: str, wal: bool
) -> None:
    link = OPERATIONS[name].prepare(tmp_path, "older", wal=wal)
    real = tmp_path / "elsewhere" / "real.db"
    real.parent.mkdir()
    link.rename(real)
    link.symlink_to(real)
    real.chmod(0o600)
    before = state(real)
    outcome = forks.one(name, link)
    assert not outcome.error, outcome.trace
    assert link.is_symlink()
    assert link.readlink() == real
    assert [file.name for file in real.parent.iterdir()] == ["real.db"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in link.parent.iterdir()} == {0o600}
    assert (state(real) == before) == (name == "backup")


# -- left in the middle of a write ---------------------------------------------------------------


@pytest.fixture
def hot(forks: Forks, tmp_path: Path) -> tuple[Path, State]:
    """A file that a killed program left in the middle of a write, and its state before that."""
    path = make(tmp_path / "a.db", wal=False)
    before = state(path)
    assert forks.one("leave_a_hot_journal", path).killed
    assert Path(f"{path}-journal").stat().st_size > 0
    return path, before


def test_a_hot_journal_is_not_ignored_by_who_may_not_play_it_back(hot: tuple[Path, State]) -> None:
    path, before = hot
    there = contents(path.parent)
    for look in (lambda: Store(path, read_only=True), lambda: migrations.current(path)):
        with pytest.raises(ReadOnlyError, match=r"-journal file.*open it once for writing"):
            look()
    assert contents(path.parent) == there
    with Store(path):
        assert state(path) == before
    with Store(path, read_only=True) as store:
        assert store.session_logs.count() > 0


@pytest.mark.parametrize("name", ["downgrade", "backup", "sessions.add"])
def test_a_hot_journal_is_played_back_first(
    forks: Forks, hot: tuple[Path, State], tmp_path: Path, name: str
) -> None:
    path, before = hot
    untouched = make(tmp_path / "untouched.db", wal=False)
    assert state(untouched) == before
    for file in (path, untouched):
        outcome = forks.one(name, file)
        assert not outcome.error, outcome.trace
    assert state(path) == state(untouched)
