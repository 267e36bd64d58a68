"""An operation that is killed or hindered again and again, and what is seen of its file."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from nexuslims_store.backup import PARTIAL_FILES

from .files import Lineage, State, enlarge, state
from .killing import Fault, Forks, copies_of
from .operations import OPERATIONS


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
        self.seconds = 0.0
        for _ in range(2):
            began = time.monotonic()
            self._run_to_the_end()
            # The first run of an upgrade takes longer, and the second has nothing to do.
            self.seconds = max(self.seconds, time.monotonic() - began)
            self.states.append(state(self._path))

    def survives(self, fault: Fault, points: Iterable[float], *, rerun_each: int) -> list[int]:
        """Kill it at each point until it reaches its end; return the states it was left in.

        Parameters
        ----------
        rerun_each
            After each kill the file must be as before or as after. After so many, and whenever
            other files are beside it than after the one before, it is also run to its end.
        """
        return self._judged(self._killed(fault, points), rerun_each)

    def survives_each_write(self, *, rerun_each: int) -> list[int]:
        """Kill it at each write, as `survives` does; what each kill leaves is found in one run.

        Where two in a row leave the same bytes, they are looked at once.
        """
        return self._judged(self._copied(), rerun_each)

    def _killed(self, fault: Fault, points: Iterable[float]) -> Iterator[float]:
        for point in points:
            self._renew()
            outcome = self._forks.one(self._name, self._path, fault=fault, at=point)
            assert not outcome.error, outcome.trace
            if not outcome.killed and fault != "time":
                assert state(self._path) == self.states[1]
                break
            yield point

    def _copied(self) -> Iterator[int]:
        self._renew()
        outcome = self._forks.one(self._name, self._path, fault="writes")
        assert not outcome.error, outcome.trace
        assert state(self._path) == self.states[1]
        last: dict[str, bytes | None] = {}
        for number in range(1, len(os.listdir(copies_of(self._path))) + 1):
            copy = copies_of(self._path) / str(number)
            found = {
                str(file.relative_to(copy)): file.read_bytes() if file.is_file() else None
                for file in copy.rglob("*")
            }
            if found == last:
                continue
            last = found
            shutil.rmtree(self._path.parents[1])
            copy.rename(self._path.parents[1])
            yield number

    def _judged(self, kills: Iterable[float], rerun_each: int) -> list[int]:
        found: list[int] = []
        last: object = None
        for number, point in enumerate(kills):
            found.append(self._looked_at())
            traces = found[-1], [file.suffixes[-1:] for file in self._files()]
            if traces != last or number % rerun_each == 0:
                self._run_to_the_end()
                assert state(self._path) == self.states[found[-1] + 1], point
                if self._operation.keeps:
                    assert self.states[0] in map(state, self._backups())
            last = traces
        return found

    def fails(self, fault: Fault, points: Iterable[float], *, rerun_each: int = 4) -> list[str]:
        """Hinder it at each point until it succeeds; return the errors.

        After each error the file must be as before, with nothing half done beside it.
        """
        errors: list[str] = []
        for number, point in enumerate(points):
            self._renew()
            outcome = self._forks.one(self._name, self._path, fault=fault, at=point)
            if not outcome.error:
                assert state(self._path) == self.states[1]
                return errors
            errors.append(outcome.error)
            assert outcome.error == "StorageFullError", (point, outcome.trace)
            assert not list(self._path.parent.glob(PARTIAL_FILES))
            assert self._looked_at() == 0, point
            if number % rerun_each == 0:
                self._run_to_the_end()
                assert state(self._path) == self.states[1]
        raise AssertionError("the points do not reach the end")

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
