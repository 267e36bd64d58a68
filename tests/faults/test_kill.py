"""Killed at any moment, a file is as before or as after, and the next run converges.

The operations, by their names, are in operations.py; how a child is killed is in killing.py.
"""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path

import pytest
from helpers.faults.files import Lineage
from helpers.faults.killing import Forks
from helpers.faults.operations import OPERATIONS
from helpers.faults.victim import Victim

pytestmark = pytest.mark.slow

MIGRATIONS = ["upgrade", "downgrade", "stamp"]
NEW_FILES = [name for name, operation in OPERATIONS.items() if operation.revision is None]
WRITES = [name for name in OPERATIONS if name not in {*MIGRATIONS, *NEW_FILES}]
# Name, lineage, whether in WAL mode. The others begin at the head, where both lineages are alike.
CASES: list[tuple[str, Lineage, bool]] = [
    *((name, "older", False) for name in OPERATIONS),
    *((name, "fresh", True) for name in MIGRATIONS),
    *((name, "older", True) for name in WRITES),
]
# Which steps there are is the lineage's doing, how they are written the mode's: each is met above.
OTHER_CASES: list[tuple[str, Lineage, bool]] = [
    *((name, "older", True) for name in MIGRATIONS),
    *((name, "fresh", False) for name in MIGRATIONS),
]

cases = pytest.mark.parametrize(
    ("name", "lineage", "wal"),
    [
        pytest.param(
            *(name, lineage, wal),
            id=f"{name}-{lineage}-{'wal' if wal else 'delete'}",
            marks=[pytest.mark.soak] if (name, lineage, wal) in OTHER_CASES else [],
        )
        for name, lineage, wal in CASES + OTHER_CASES
    ],
)


@cases
def test_killed_at_each_write(
    forks: Forks, memory: Path, name: str, lineage: Lineage, wal: bool
) -> None:
    victim = Victim(forks, memory, name, lineage, wal=wal)
    found = victim.survives_each_write(rerun_each=6)
    assert found
    assert victim.states[found[0]] == victim.states[0]


@pytest.mark.soak
@cases
def test_killed_at_each_statement(
    forks: Forks, memory: Path, name: str, lineage: Lineage, wal: bool
) -> None:
    victim = Victim(forks, memory, name, lineage, wal=wal)
    found = victim.survives("statement", count(1), rerun_each=6 if name in MIGRATIONS else 24)
    assert len(found) > 20
    assert victim.states[found[0]] == victim.states[0]


@pytest.mark.parametrize("step", [40_000, pytest.param(10_000, marks=pytest.mark.soak)])
@cases
def test_killed_in_the_middle_of_a_write(
    forks: Forks, memory: Path, name: str, lineage: Lineage, wal: bool, step: int
) -> None:
    """The journal, the database itself, its -wal, a backup: each cut where the kill falls."""
    victim = Victim(forks, memory, name, lineage, wal=wal)
    # No multiple of the page size, so that pages are torn.
    assert victim.survives("size", count(0, step), rerun_each=4)


@pytest.mark.soak
@cases
def test_killed_at_random_times(
    forks: Forks, tmp_path: Path, name: str, lineage: Lineage, wal: bool
) -> None:
    victim = Victim(forks, tmp_path, name, lineage, wal=wal, rows=5_000)
    times = random.Random(name)
    points = [times.uniform(0, victim.seconds) for _ in range(100)]
    assert len(victim.survives("time", points, rerun_each=1)) == 100


@pytest.mark.soak
@pytest.mark.parametrize("name", ["upgrade", "downgrade", "restore", "transaction"])
@pytest.mark.parametrize("wal", [False, True], ids=["delete", "wal"])
def test_killed_at_each_statement_and_page_with_a_rerun_each_time(
    forks: Forks, memory: Path, name: str, wal: bool
) -> None:
    victim = Victim(forks, memory, name, "older", wal=wal, rows=300)
    assert victim.survives("statement", count(1), rerun_each=1)
    assert victim.survives("size", count(0, 2_000), rerun_each=1)
