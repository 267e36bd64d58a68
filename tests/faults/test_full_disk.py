"""A full disk: StorageFullError, the file as before, and nothing half made beside it."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from helpers.database_files import both_modes
from helpers.faults.files import make
from helpers.faults.killing import Forks
from helpers.faults.operations import OPERATIONS
from helpers.faults.victim import Victim

pytestmark = pytest.mark.slow


PAGE = 4096


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - {"stamp", "sessions.finish"}))
@pytest.mark.parametrize("pages", [10, pytest.param(1, marks=pytest.mark.soak)])
@both_modes
def test_no_file_may_grow_beyond_a_size(
    forks: Forks, memory: Path, name: str, wal: bool, pages: int
) -> None:
    victim = Victim(forks, memory, name, "older", wal=wal)
    assert victim.fails("disk full", count(0, pages * PAGE))


@pytest.mark.parametrize("name", ["upgrade", "create"])
def test_the_database_may_have_no_more_pages(forks: Forks, memory: Path, name: str) -> None:
    victim = Victim(forks, memory, name, "older", wal=False, rows=200)
    assert victim.fails("page count", count(1, 2))


class TestOnASmallDisk:
    """A real disk, with a few pages to spare."""

    def outcomes(
        self, forks: Forks, path: Path, name: str, *, step: int
    ) -> list[tuple[int, str, set[str]]]:
        """Give more and more room until it suffices; return room, error and files of each."""
        found: list[tuple[int, str, set[str]]] = []
        for room in count(0, step * PAGE):
            outcome = forks.one("on_a_small_disk", path, arguments=(name, room))
            assert not outcome.error, outcome.trace
            if outcome.result is None:
                pytest.skip("this user may not mount a disk")
            error, files = outcome.result["error"], set(outcome.result["files"]) - {path.name}
            if not error:
                assert found
                return found
            assert error == "StorageFullError"
            assert outcome.result["unchanged"], room
            found.append((room, error, files))
        raise AssertionError("unreachable")

    @pytest.mark.parametrize(
        "name", ["downgrade", "backup", "session_logs.insert_many", "transaction"]
    )
    def test_nothing_half_made_is_left(self, forks: Forks, tmp_path: Path, name: str) -> None:
        path = make(tmp_path / "a.db", wal=False)
        for room, _, files in self.outcomes(forks, path, name, step=2):
            assert all(file.startswith("a_backup_") for file in files), room

    def test_an_upgrade_is_refused_where_its_backup_does_not_fit(
        self, forks: Forks, tmp_path: Path
    ) -> None:
        path = make(tmp_path / "a.db", revision="v1_4_3", wal=False)
        outcomes = self.outcomes(forks, path, "upgrade", step=1)
        refused = [files for room, _, files in outcomes if room < path.stat().st_size]
        assert len(refused) > 5
        assert not any(refused)
