"""The warm process that the tests fork their victims from, and the folder they fall in."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.faults.killing import Forks

if sys.platform == "win32":  # no processes to fork
    collect_ignore = [
        "test_environments.py",
        "test_full_disk.py",
        "test_kill.py",
        "test_many_at_once.py",
    ]


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.close()


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is such a thing: a kill does not wait for a disk's syncs."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    # An earlier run of the same number may have been killed here.
    folder = Path(tempfile.mkdtemp(dir=shared, prefix=f"{tmp_path.name}-"))
    yield folder
    shutil.rmtree(folder)
