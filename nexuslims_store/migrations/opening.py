"""A file for a migration: whether it is there, where a new one may be made, how it is opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from nexuslims_store.config import own_folder
from nexuslims_store.connection import connect, leniently
from nexuslims_store.errors import (
    DatabaseNotFoundError,
    ReadOnlyError,
    StoreError,
)
from nexuslims_store.translation import CHECK_PATH, translated


def is_there(path: Path) -> bool:
    """Whether there is a file, or something that only opening it can tell what is wrong with."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return True


@contextmanager
def opened(path: Path, *, timeout: float) -> Iterator[sqlite3.Connection]:
    """Open a file for a migration, and close it; every sqlite3 error is this package's own."""
    with (
        translated(path, timeout=timeout),
        closing(connect(path, mode="rw", timeout=timeout)) as connection,
    ):
        # Tables are dropped and made anew, and what refers to them is checked at the end.
        # Inside a transaction this pragma does nothing.
        connection.execute("PRAGMA foreign_keys = OFF")
        # A facility's own views stay out of it when a table is renamed.
        connection.execute("PRAGMA legacy_alter_table = ON")
        with leniently(connection):  # text that is not UTF-8 is no business of a migration
            yield connection


def refuse_missing_folder(folder: Path) -> None:
    """Raise unless a folder is there, or is this package's own default one, which it makes.

    Any other that is not there is more likely a mistake in the path.
    """
    if not folder.is_dir() and not _is_own(folder):
        raise no_folder(folder)


def make_folder(folder: Path) -> None:
    """Make the folder of a new file if it is this package's own default one and not there yet."""
    refuse_missing_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReadOnlyError(
            f"the folder {folder} cannot be made ({error.strerror})",
            call="make it, or choose another path",
            command="make it, or choose another path (--db)",
        ) from error


def _is_own(folder: Path) -> bool:
    try:
        return folder == Path(os.path.realpath(own_folder()))
    except StoreError:  # this user has no home
        return False


def no_folder(folder: Path) -> DatabaseNotFoundError:
    """Return the error for a folder that is not there."""
    return DatabaseNotFoundError(
        f"there is no folder {folder} to make a database in",
        call=f"make the folder, or {CHECK_PATH['call']}",
        command=f"make the folder, or {CHECK_PATH['command']}",
    )
