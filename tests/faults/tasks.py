"""What children do that is no operation of its own: each is a function of a database's path."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

from nexuslims_store import StoreError

from .files import state
from .operations import OPERATIONS

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
