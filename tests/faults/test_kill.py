"""Killed at any moment, a file is as before or as after, and the next run converges.

The operations, by their names, are in operations.py; how a child is killed is in killing.py.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterable
from itertools import count
from pathlib import Path

import pytest

from nexuslims_store.backup import PARTIAL_FILES

from .files import Lineage, State, enlarge, state
from .killing import Fault, Forks
from .operations import OPERATIONS

MIGRATIONS = ["upgrade", "downgrade", "stamp"]
# These do not depend on where the file comes from, or make it themselves.
ANY_LINEAGE = sorted(OPERATIONS.keys() - set(MIGRATIONS))
CASES: list[tuple[str, Lineage]] = [
    *((name, lineage) for name in MIGRATIONS for lineage in ("fresh", "older")),
    *((name, "older") for name in ANY_LINEAGE),
]

cases = pytest.mark.parametrize(("name", "lineage"), CASES)
both_modes = pytest.mark.parametrize("wal", [False, True], ids=["delete", "wal"])


class Victim:
    """One operation on one file, killed again and again, and what is seen of it.

    Parameters
    ----------
    folder
        An empty one. The file is made in it, and copied for each kill.
    rows
        How many sessions to add to the small file.
    """

    def __init__(
        self, forks: Forks, folder: Path, name: str, lineage: Lineage, *, wal: bool, rows: int = 0
    ) -> None:
        self._forks = forks
        self._name = name
        self._operation = OPERATIONS[name]
        self._original = folder / "original"
        self._original.mkdir()
        path = self._operation.prepare(self._original, lineage, wal=wal)
        if rows and path.exists():
            enlarge(path, rows)
        self._path = folder / "killed" / path.relative_to(self._original)
        # The state before, after one run, and after two.
        self._renew()
        self.states = [state(self._path)]
        for _ in range(2):
            began = time.monotonic()
            self._run_to_the_end()
            self.seconds = time.monotonic() - began
            self.states.append(state(self._path))

    def survives(self, fault: Fault, points: Iterable[float], *, rerun_each: int) -> list[int]:
        """Kill it at each point until it reaches its end; return the states it was left in.

        Parameters
        ----------
        rerun_each
            After each kill the file must be as before or as after. After so many, and whenever
            other files are beside it than after the one before, it is also run to its end.
        """
        found: list[int] = []
        last: object = None
        for number, point in enumerate(points):
            self._renew()
            outcome = self._forks.one(self._name, self._path, fault=fault, at=point)
            assert not outcome.error, outcome.trace
            if not outcome.killed and fault != "time":
                assert state(self._path) == self.states[1]
                break
            found.append(self._looked_at())
            traces = found[-1], [file.suffixes[-1:] for file in self._files()]
            if traces != last or number % rerun_each == 0:
                self._run_to_the_end()
                assert state(self._path) == self.states[found[-1] + 1], (fault, point)
                if self._operation.keeps:
                    assert self.states[0] in map(state, self._backups())
            last = traces
        return found

    def _renew(self) -> None:
        shutil.rmtree(self._path.parent.parent, ignore_errors=True)
        shutil.copytree(self._original, self._path.parent.parent)

    def _run_to_the_end(self) -> None:
        outcome = self._forks.one(self._name, self._path)
        assert not outcome.killed
        assert not outcome.error, outcome.trace

    def _looked_at(self) -> int:
        """Return which state the file is in, and leave it to the next run to mend it."""
        # SQLite would roll back what is half done, here and not in the next run.
        copy = self._path.parent.with_name("copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self._path.parent, copy)
        found: State = state(copy / self._path.name)
        assert found in self.states[:2]
        assert all(state(backup) in self.states[:2] for backup in self._backups())
        expected = {
            *(f"{self._path}{suffix}" for suffix in ("", "-journal", "-wal", "-shm")),
            *map(str, self._backups()),
            *map(str, self._path.parent.glob(PARTIAL_FILES)),
        }
        assert {str(file) for file in self._files()} <= expected
        return self.states.index(found)

    def _files(self) -> list[Path]:
        return sorted(self._path.parent.iterdir())

    def _backups(self) -> list[Path]:
        return [file for file in self._files() if file.match("nexuslims_backup_*.db")]


@pytest.fixture
def folder(tmp_path: Path) -> Iterable[Path]:
    """A folder in memory where there is such a thing: a kill does not ask for a disk's syncs."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    folder = memory / f"{tmp_path.name}-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@cases
@both_modes
def test_killed_at_each_statement(
    forks: Forks, folder: Path, name: str, lineage: Lineage, wal: bool
) -> None:
    victim = Victim(forks, folder, name, lineage, wal=wal)
    found = victim.survives("statement", count(1), rerun_each=16)
    assert len(found) > 20
    assert victim.states[found[0]] == victim.states[0]


@cases
@both_modes
def test_killed_in_the_middle_of_a_write(
    forks: Forks, folder: Path, name: str, lineage: Lineage, wal: bool
) -> None:
    """The journal, the database itself, its -wal, a backup: each cut where the kill falls."""
    victim = Victim(forks, folder, name, lineage, wal=wal)
    # No multiple of the page size, so that pages are torn.
    assert victim.survives("size", count(0, 10_000), rerun_each=4)


@pytest.mark.soak
@cases
@both_modes
def test_killed_at_random_times(
    forks: Forks, tmp_path: Path, name: str, lineage: Lineage, wal: bool
) -> None:
    victim = Victim(forks, tmp_path, name, lineage, wal=wal, rows=5_000)
    times = random.Random(name)
    points = [times.uniform(0, victim.seconds) for _ in range(100)]
    assert len(victim.survives("time", points, rerun_each=1)) == 100


@pytest.mark.soak
@pytest.mark.parametrize("name", ["upgrade", "downgrade", "restore", "transaction"])
@both_modes
def test_killed_at_each_statement_and_page_with_a_rerun_each_time(
    forks: Forks, folder: Path, name: str, wal: bool
) -> None:
    victim = Victim(forks, folder, name, "older", wal=wal, rows=300)
    assert victim.survives("statement", count(1), rerun_each=1)
    assert victim.survives("size", count(0, 2_000), rerun_each=1)
