"""Where things are: the database, the instruments' data, and this package's own SQL files."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from nexuslims_store.errors import StoreError

__all__ = ["data_root", "default_path", "sql_folder"]


def default_path() -> Path:
    """Return where the database is unless a path is given.

    Returns
    -------
    pathlib.Path
        The environment variable `NX_DB_PATH` (the name NexusLIMS uses) if it is set and not
        empty, with `~` expanded; else `nexuslims.db` in the user's data folder, as
        platformdirs finds it on this system.

    Raises
    ------
    StoreError
        `NX_DB_PATH` begins with the home folder of a user who has none, or it is not set, and
        the present user has none.
    """
    from_environment = os.environ.get("NX_DB_PATH")
    if from_environment:
        return _expanded(from_environment, "NX_DB_PATH")
    import platformdirs  # noqa: PLC0415 -- only this line needs it, and it takes milliseconds

    try:
        return platformdirs.user_data_path("nexuslims") / "nexuslims.db"
    except RuntimeError as error:
        raise StoreError(
            "this user has no home folder to keep the database in: set NX_DB_PATH, or give a path "
            "(--db)"
        ) from error


def data_root() -> Path:
    """Return the folder that instruments' `filestore_path`s are relative to.

    Returns
    -------
    pathlib.Path
        The environment variable `NX_INSTRUMENT_DATA_PATH` (the name NexusLIMS uses).

    Raises
    ------
    StoreError
        The variable is not set.
    """
    from_environment = os.environ.get("NX_INSTRUMENT_DATA_PATH")
    if not from_environment:
        raise StoreError(
            "the folder of the instruments' data is not known: set the environment variable "
            "NX_INSTRUMENT_DATA_PATH, or give find_by_path() its root"
        )
    return _expanded(from_environment, "NX_INSTRUMENT_DATA_PATH")


def _expanded(path: str, variable: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise StoreError(
            f"{variable} is {path!r}, and there is no such home folder ({error}); write the path "
            "out"
        ) from error


@cache
def sql_folder() -> Path:
    """Return the folder `sql/`: inside the installed package, or beside it in a checkout.

    Raises
    ------
    StoreError
        Neither place has `migrations/`: the installation is incomplete. (yoyo would take a
        missing folder for "no migrations".)
    """
    package = Path(__file__).resolve().parent
    candidates = (package / "sql", package.parent / "sql")
    for folder in candidates:
        if (folder / "migrations").is_dir():
            return folder
    raise StoreError(
        "the SQL files of nexuslims_store are missing: looked in "
        + " and ".join(str(folder) for folder in candidates)
        + "; install the package again"
    )
