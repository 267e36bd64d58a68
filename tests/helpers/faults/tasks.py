"""What children and threads do that is no operation to interrupt.

Each is a function of a database's path, and opens a store of its own.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from nexuslims_store import (
    DuplicateError,
    EventType,
    RecordStatus,
    SessionLog,
    Store,
    StoreError,
    migrations,
)

from . import workout
from .files import INSTRUMENT, state
from .operations import NOW, OPERATIONS

# -- many at once ------------------------------------------------------------------------------


def insert(path: Path, names: list[str]) -> None:
    """Insert the START and the END of each session, one by one."""
    with Store(path) as store:
        for log in _events(names):
            store.session_logs.insert(log)


def insert_many(path: Path, names: list[str]) -> None:
    """Insert them all at once."""
    with Store(path) as store:
        store.session_logs.insert_many(_events(names))


def add(path: Path, names: list[str]) -> None:
    """Add each session, as one."""
    with Store(path) as store:
        for name in names:
            store.sessions.add(name, INSTRUMENT, NOW, NOW)


def migrate_and_add(path: Path, names: list[str]) -> None:
    """Make the file, or bring it up, then add to it."""
    with Store(path, migrate=True) as store:
        for name in names:
            store.external_ids.store(name, "nemo", f"id of {name}")


def migrate(path: Path) -> bool:
    """Return whether this was the one that did it."""
    return migrations.upgrade(path).changed


def write_as_nexuslims_does(path: Path, names: list[str]) -> None:
    """Look whether each event is there, then insert it; again, should the file be locked."""
    with closing(sqlite3.connect(path, timeout=5)) as connection:
        for log in _events(names):
            key = (log.session_identifier, log.event_type.value)
            row = (*key, INSTRUMENT, log.timestamp.isoformat(), "COMPLETED")
            while True:
                try:
                    with connection:
                        if not connection.execute(_IS_THERE, key).fetchone():
                            connection.execute(_INSERT, row)
                    break
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                        raise


_IS_THERE = "SELECT 1 FROM session_log WHERE session_identifier = ? AND event_type = ?"
_INSERT = (
    "INSERT INTO session_log (session_identifier, event_type, instrument, timestamp, "
    "record_status) VALUES (?, ?, ?, ?, ?)"
)


def _events(names: Iterable[str]) -> list[SessionLog]:
    return [
        SessionLog(
            session_identifier=name,
            instrument=INSTRUMENT,
            timestamp=NOW,
            event_type=event_type,
            record_status=RecordStatus.TO_BE_BUILT,
        )
        for name in names
        for event_type in (EventType.START, EventType.END)
    ]


def store_ids(path: Path, user: str, ids: list[str]) -> int:
    """Store the identifiers for one user after the other; return how many were another's."""
    refused = 0
    with Store(path) as store:
        for external_id in ids:
            try:
                store.external_ids.store(f"{user} {external_id}", "nemo", external_id)
            except DuplicateError:
                refused += 1
    return refused


def build(path: Path, hours_later: float, deadly: list[str]) -> None:
    """Build what there is to build, and write it down.

    Parameters
    ----------
    hours_later
        What the builder's clock says, with leases of an hour.
    deadly
        Sessions whose builder is killed while it holds them.
    """
    with (
        Store(path, clock=lambda: NOW + timedelta(hours=hours_later)) as store,
        built_file(path).open("a", buffering=1, encoding="utf-8") as built,
    ):
        while (session := store.sessions.claim(timedelta(hours=1))) is not None:
            if session.session_identifier in deadly:
                _die()
            print(session.session_identifier, file=built)
            store.sessions.finish(session, RecordStatus.COMPLETED)


def built_file(path: Path) -> Path:
    """Return the file that has a line for each record that was built."""
    return path.with_name("built.txt")


def _die() -> None:
    if sys.platform == "win32":
        raise NotImplementedError
    os.kill(os.getpid(), signal.SIGKILL)


def claim_and_die(path: Path) -> None:
    with Store(path) as store:
        assert store.sessions.claim() is not None
        _die()


# -- damage and odd places -------------------------------------------------------------------------


def leave_a_hot_journal(path: Path) -> None:
    """Be killed with half a transaction in the file, and its other half in the journal."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN")
    connection.execute("UPDATE session_log SET user = hex(randomblob(5000))")
    _die()


def work_out(path: Path) -> dict[str, object]:
    """Do a little of everything; the result is the same everywhere."""
    return workout.work(path)


# -- a small disk ------------------------------------------------------------------------------

_NEW_MOUNTS = 0x00020000  # CLONE_NEWNS; os.unshare() is there from Python 3.12 on


def on_a_small_disk(path: Path, name: str, room: int) -> dict[str, object] | None:
    """Do an operation on a copy of a file, on a disk with so many bytes to spare.

    Returns
    -------
    None where this process may not mount one. It sees the disk alone, and takes it along.
    """
    if ctypes.CDLL(None).unshare(_NEW_MOUNTS) != 0:
        return None
    disk = path.with_name("disk")
    disk.mkdir(exist_ok=True)
    blocks = -(-path.stat().st_size // 4096) + room // 4096
    options = f"size={blocks * 4096}"
    for command in (
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "tmpfs", "-o", options, "none", str(disk)],
    ):
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            return None
    copy = Path(shutil.copy(path, disk))
    error = ""
    try:
        OPERATIONS[name].run(copy)
    except StoreError as failure:
        error = type(failure).__name__
    return {
        "error": error,
        "unchanged": state(copy) == state(path),
        "files": sorted(os.listdir(disk)),
    }
