"""What the processes of one run of the tests make once for all of them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest


def once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None], patience: float = 240
) -> Path:
    """A folder that the first process to ask fills, while the others wait; none may change it."""
    of_the_run = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        of_the_run = of_the_run.parent  # each worker has a folder of its own there
    folder = of_the_run / name
    # A lock that is there on every system, and ends with the process.
    lock = sqlite3.connect(of_the_run / f"{name}.lock", timeout=patience, isolation_level=None)
    with closing(lock):
        lock.execute("BEGIN EXCLUSIVE")
        if not folder.exists():
            unfinished = factory.mktemp(name)
            make(unfinished)
            unfinished.rename(folder)
    return folder
