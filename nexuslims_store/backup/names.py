"""What backups are called: NAME_backup_YYYYmmdd_HHMMSS.db, or _2.db, _3.db and so on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path

from nexuslims_store.backup.files import is_free
from nexuslims_store.connection import MEMORY
from nexuslims_store.times import utc_now

__all__ = ["free_name", "names"]


def free_name(path: Path, folder: Path | None = None, *, now: datetime | None = None) -> Path:
    """Return the first free name for a backup of a database.

    Parameters
    ----------
    path
        The database.
    folder
        Where the backup is to be; by default in the folder of the path as it is given: a user
        looks beside the name that he knows, be it a symbolic link.
    now
        The time of the backup; by default the present time, as the clocks of this machine
        show it.
    """
    return next(filter(is_free, names(path, folder or path.parent, now)))


def names(path: Path, folder: Path, now: datetime | None = None) -> Iterator[Path]:
    """Yield the names for a backup made at one time, the best first; they never run out."""
    stem = "nexuslims" if path == MEMORY else path.stem
    first = f"{stem}_backup_{now or utc_now().astimezone():%Y%m%d_%H%M%S}"
    yield folder / f"{first}.db"
    for number in count(2):
        yield folder / f"{first}_{number}.db"
