"""What backups are called: NAME_backup_YYYYmmdd_HHMMSS.db, or _2.db, _3.db and so on.

What a restore replaces is NAME_backup_YYYYmmdd_HHMMSS_replaced.db, or _replaced_2.db and so on.

The time in the name, as the clocks of the machine showed it, is the backup's age.
"""

import os
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import NamedTuple

from nexuslims_store.arguments import require_name
from nexuslims_store.backup.files import is_free
from nexuslims_store.connection import MEMORY
from nexuslims_store.errors import BackupError, ReadOnlyError
from nexuslims_store.times import utc_now

_TIME = "%Y%m%d_%H%M%S"


class Backup(NamedTuple):
    """A file that is called as a backup is. They sort by age.

    Attributes
    ----------
    time
        The time in its name, naive: as the clocks of the machine showed it.
    number
        Of those made in the same second; 1 for the first.
    path
        The file.
    """

    time: datetime
    number: int
    path: Path


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


def names(
    path: Path, folder: Path, now: datetime | None = None, *, mark: str = ""
) -> Iterator[Path]:
    """Yield the names for a backup made at one time, the best first; they never run out.

    One with a mark is none by its name, neither for `latest` nor for the keep options.
    """
    first = f"{_stem(path)}_backup_{(now or utc_now().astimezone()).strftime(_TIME)}{mark}"
    yield folder / f"{first}.db"
    for number in count(2):
        yield folder / f"{first}_{number}.db"


def list_backups(path: Path, folder: Path | None = None) -> list[Backup]:
    """Return the backups of a database in a folder by their names, the newest first.

    Parameters
    ----------
    path
        The database, which need not be there.
    folder
        By default that of the path as it is given.

    Raises
    ------
    BackupError, ReadOnlyError
        There is no such folder, or this user may not read it.
    """
    where = path.parent
    if folder is not None:
        require_name(folder)
        where = folder
    found = (as_backup(path, where / name) for name in _files(where))
    return sorted((backup for backup in found if backup is not None), reverse=True)


def as_backup(path: Path, file: Path) -> Backup | None:
    """Return what the name of a file says, None if it is not called as a backup of `path` is."""
    match = re.fullmatch(
        rf"{re.escape(_stem(path))}_backup_([0-9]{{8}}_[0-9]{{6}})(?:_([1-9][0-9]*))?\.db",
        file.name,
    )
    if match is None or match[2] == "1":
        return None
    try:
        time = datetime.strptime(match[1], _TIME)  # noqa: DTZ007 -- naive, as it was written
    except ValueError:
        return None
    return Backup(time, int(match[2] or 1), file)


def _files(folder: Path) -> list[str]:
    """Return the names of the files in a folder; links are left out, they are somebody's own."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    except PermissionError as error:
        raise ReadOnlyError(
            f"the folder {folder} may not be read by this user; change its permissions"
        ) from error
    except OSError as error:
        raise BackupError(
            f"the folder {folder} cannot be read ({error.strerror}); check its name, and whether "
            "its disk is mounted"
        ) from error


def _stem(path: Path) -> str:
    return "nexuslims" if path == MEMORY else path.stem
