"""Files that a command writes: a page, an export. Whole under their name, or not there.

`-` is standard output, which is no business of this module.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from nexuslims_store.arguments import why_no_path
from nexuslims_store.backup.files import (
    SIDECARS,
    file_errors,
    give_name,
    sync,
    sync_folder,
    temporary_file,
)
from nexuslims_store.errors import StoreError

_MAGIC = b"SQLite format 3\0"


def check_destination(destination: Path, *, database: Path | str | None, replace: bool) -> None:
    """Raise unless a file can be written there. Call it before the database is opened.

    Parameters
    ----------
    database
        The database in use, or its URL; neither a file nor what SQLite keeps beside it is ever
        written over. (Had we opened it ourselves while SQLite has it open, closing it would drop
        SQLite's locks.)
    replace
        Whether a file that is there is replaced. A database never is.
    """
    file = _target(destination)
    with file_errors(destination):
        there = _stat(file)
        os.stat(file.parent)
    kept = set()
    if isinstance(database, Path):
        kept = {f"{os.path.realpath(database)}{suffix}" for suffix in ("", *SIDECARS)}
    if str(file) in kept or (there and stat.S_ISREG(there.st_mode) and _is_database(file)):
        raise StoreError(
            f"{destination} is a database or belongs to one, and no other file ever takes its "
            "place: choose another name"
        )
    if there and not stat.S_ISREG(there.st_mode):
        what = "a folder" if stat.S_ISDIR(there.st_mode) else "a device or a pipe"
        raise StoreError(
            f"{destination} is {what}, and only a file can be written: choose another name, or - "
            "for standard output"
        )
    if there and not replace:
        raise StoreError(
            f"{destination} exists already and is not overwritten; choose another name"
        )


def write_file(destination: Path, content: Iterable[bytes], *, replace: bool) -> None:
    """Write a file so that nobody ever sees half of it, and a failure leaves nothing.

    A file that it replaces hands on its mode, and as far as this user may its owner and group; a
    symbolic link stays one.
    """
    file = _target(destination)
    with temporary_file(file) as temporary, file_errors(destination):
        there = _stat(file)
        with temporary.open("wb") as out:
            for part in content:
                out.write(part)
        if there is None:
            temporary.chmod(_usual_mode())
        if replace:
            sync(temporary, there)
            temporary.replace(file)
            sync_folder(file.parent)
        else:
            give_name(temporary, file, None)


def _target(destination: Path) -> Path:
    try:
        return Path(os.path.realpath(destination))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"no file can be called {str(destination)!r} ({why_no_path(error)}); choose another "
            "name"
        ) from error


def _stat(file: Path) -> os.stat_result | None:
    try:
        return os.stat(file)
    except FileNotFoundError:
        return None


def _is_database(file: Path) -> bool:
    try:
        with file.open("rb") as content:
            return content.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise StoreError(
            f"{file} is there and cannot be read ({error.strerror}), so it may be a "
            "database: choose another name"
        ) from error


def _usual_mode() -> int:
    """Return the mode that a new file of this user gets."""
    mask = os.umask(0)  # there is no other way to read it
    os.umask(mask)
    return 0o666 & ~mask
