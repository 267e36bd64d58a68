"""Where things are: the database, the instruments' data, and this package's own SQL files."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import TypeGuard

from nexuslims_store.arguments import as_path, require_name
from nexuslims_store.errors import StoreError

__all__ = [
    "data_root",
    "default_path",
    "dump_line",
    "hide_passwords",
    "is_url",
    "origin_of_default_path",
    "own_folder",
    "require_file",
    "restore_line",
    "sql_folder",
    "without_password",
]


def default_path() -> Path | str:
    """Return where the database is unless a path is given.

    Returns
    -------
    pathlib.Path or str
        The environment variable `NX_DB_PATH` (the name NexusLIMS uses) if it is set and not
        empty; else `NX_DB_PATH` in the file `.env` of the working directory, where NexusLIMS
        reads it too; both with `~` expanded; else `nexuslims.db` in the user's data folder, as
        platformdirs finds it on this system. The URL of a PostgreSQL server, which
        `NX_DB_PATH` may be, is a str.

    Raises
    ------
    StoreError
        The path begins with the home folder of a user who has none, or it is not set, and the
        present user has none; or `.env` cannot be read, or has a `$` in the path.

    Examples
    --------
    >>> os.environ["NX_DB_PATH"] = "nexuslims.db"
    >>> default_path().name
    'nexuslims.db'
    """
    found = _setting("NX_DB_PATH")
    if found is None:
        return own_folder() / "nexuslims.db"
    return found[0] if is_url(found[0]) else _expanded("NX_DB_PATH", *found)


def origin_of_default_path() -> str:
    """Return in words where `default_path` has its answer from."""
    found = _setting("NX_DB_PATH")
    if found is None:
        return "the user's data folder, as NX_DB_PATH is not set"
    return f"NX_DB_PATH in {found[1]}"


def own_folder() -> Path:
    """Return the folder in the user's data folder that is this package's own.

    Raises
    ------
    StoreError
        The present user has no home folder.
    """
    import platformdirs  # noqa: PLC0415 -- only this line needs it, and it takes milliseconds

    try:
        return platformdirs.user_data_path("nexuslims")
    except RuntimeError as error:
        raise StoreError(
            "this user has no home folder to keep the database in",
            call="set NX_DB_PATH, or give a path",
            command="set NX_DB_PATH, or give a path (--db)",
        ) from error


def data_root() -> Path:
    """Return the folder that instruments' `filestore_path`s are relative to.

    Returns
    -------
    pathlib.Path
        `NX_INSTRUMENT_DATA_PATH` (the name NexusLIMS uses), found as `default_path` finds
        `NX_DB_PATH`.

    Raises
    ------
    StoreError
        It is not set; or as for `default_path`.
    """
    found = _setting("NX_INSTRUMENT_DATA_PATH")
    if found is None:
        raise StoreError(
            "the folder of the instruments' data is not known: set the environment variable "
            "NX_INSTRUMENT_DATA_PATH, or give find_by_path() its root"
        )
    return _expanded("NX_INSTRUMENT_DATA_PATH", *found)


def is_url(path: object) -> TypeGuard[str]:
    """Whether a path is the URL of a PostgreSQL server."""
    return isinstance(path, str) and path.startswith(("postgresql://", "postgres://"))


def without_password(url: str) -> str:
    """Return the URL of a server without its password, for people to see.

    Raises
    ------
    StoreError
        It cannot be told where its password ends. The URL is not repeated.
    """
    host = r"(?:\[[^\[\]/@?]*\]|[^\[\]:/@?,]*)(?::\d*)?"
    parts = re.fullmatch(
        r"(?P<scheme>postgres(?:ql)?://)(?:(?P<user>[^:@/]*)(?::[^@/]*)?@)?"
        rf"(?P<place>{host}(?:,{host})*(?:/[^@?]*)?)(?:\?(?P<options>[^@]*))?",
        url,
    )
    if parts is None:
        raise StoreError(
            "the URL of the PostgreSQL server cannot be read; it is postgresql://USER@HOST/DATABASE"
            ", in which the characters @ : / ? of a name or password are written %40 %3A %2F %3F"
        )
    from urllib.parse import unquote  # noqa: PLC0415 -- for those who have a server

    kept = [
        option
        for option in (parts["options"] or "").split("&")
        if option and "password" not in unquote(option.partition("=")[0])
    ]
    at = "" if parts["user"] is None else f"{parts['user']}@"
    return f"{parts['scheme']}{at}{parts['place']}{'?' if kept else ''}{'&'.join(kept)}"


def require_file(path: str | os.PathLike[str], name: str) -> None:
    """Raise a StoreError if a path is none of a file, where only a file will do.

    The address of a server is a URL, another program's too, or libpq's `host=… password=…`. It is
    not repeated, as it may hold a password.
    """
    require_name(path)
    # A Path has made one slash of two. One letter is a drive of Windows.
    address = r"\s*([a-z][a-z0-9+.-]+:/|postgres(ql)?:|(host(addr)?|port|user|dbname|password)=)"
    given = os.fspath(path).lower()
    if (":" in given or "=" in given) and re.match(address, given):  # else it need not be compiled
        raise StoreError(
            f"{name} is no path of an SQLite file, but the address of a server; that of a "
            "PostgreSQL database is postgresql://USER@HOST/DATABASE, in a str and no Path, and may "
            "stand where the whole database is meant"
        )


def _setting(variable: str) -> tuple[str, str] | None:
    """Return what the environment or `.env` says, and where; None where neither does."""
    value, place = os.environ.get(variable), "the environment"
    if not value:
        if not os.path.isfile(".env"):  # nor opened: a pipe would be waited for
            return None
        from nexuslims_store.dotenv import value_of  # noqa: PLC0415 -- for those who have one

        found = value_of(variable)
        if found is None:
            return None
        value, place = found[0], str(found[1])
    return value, place


def _expanded(variable: str, value: str, place: str) -> Path:
    try:
        return as_path(variable, value).expanduser()
    except RuntimeError as error:
        raise StoreError(
            f"{variable} is {value!r} in {place}, and there is no such home folder ({error}); "
            "write the path out"
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


def hide_passwords(text: str) -> str:
    """Return a message without the passwords of URLs, whoever put them there."""
    text = re.sub(r"(postgres(?:ql)?:/+[^\s:@/]*):\S*@", r"\1@", text)
    return re.sub(r"(password=)[^\s&'\"]+", r"\1…", text)


def dump_line(url: str) -> str:
    """Return the command that writes a dump of a server's database, as `backup` does of a file."""
    return f"pg_dump --format=custom --file=nexuslims.dump --dbname={_in_shell(url)}"


def restore_line(url: str) -> str:
    """Return the command that brings such a dump back, as `restore` does a backup."""
    options = "--clean --if-exists --single-transaction"
    return f"pg_restore {options} --dbname={_in_shell(url)} nexuslims.dump"


def _in_shell(url: str) -> str:
    import shlex  # noqa: PLC0415 -- for those who have a server

    return shlex.quote(without_password(url))
