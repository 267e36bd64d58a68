"""Options that several commands have, and the types of their values."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path

from nexuslims_store.arguments import as_path, require_name
from nexuslims_store.cli.declaration import OneOf, Option, UsageError, flag, meant
from nexuslims_store.config import default_path, is_url, require_file, without_password
from nexuslims_store.enums import RecordStatus
from nexuslims_store.errors import StoreError
from nexuslims_store.times import LONGEST_TIMEOUT, aware

_DAY = timedelta(days=1)
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


# -- types of values -----------------------------------------------------------------------


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_TIMEOUT:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of seconds from 0 to {LONGEST_TIMEOUT:.0f}"
        )
    return seconds


def number_of(text: str, what: str = "number from 1 up", most: int = 999_999_999) -> int:
    """Return a number that is 1 or more."""
    number = int(text) if text.isdecimal() and len(text) < 12 else 0
    if not 1 <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no {what}")
    return number


def duration(text: str) -> timedelta:
    """Return a span of time such as 26h, 7d or 2w."""
    count, unit = text[:-1], _UNITS.get(text[-1:].lower())
    if unit and count.isascii() and count.isdecimal():
        try:
            return timedelta(**{unit: int(count)})
        except (OverflowError, ValueError):
            pass
    raise argparse.ArgumentTypeError(f"{text!r} is no span of time like 12h, 7d or 2w")


class _Said(datetime):
    """A time, and by which words the user gave it."""

    words: str

    @classmethod
    def of(cls, given: datetime, words: str) -> _Said:
        said = cls.combine(given, given.timetz())
        said.words = words
        return said


def _since(text: str) -> datetime:
    day = _day(text)
    return _Said.of(_time(text) if day is None else datetime.combine(day, time.min), text)


def _until(text: str) -> datetime:
    """Return the moment before which something must be."""
    day = _day(text)
    if day is None:
        end = _time(text)
    elif day == date.max:
        end = datetime.max  # noqa: DTZ901 -- naive, as every date given here
    else:
        end = datetime.combine(day + _DAY, time.min)
    return _Said.of(end, text)


def _day(text: str) -> date | None:
    """Return the date that a text is, None if it is none."""
    today = date.today()  # noqa: DTZ011 -- the user's own day, as one he writes out
    if text == "today":
        return today
    if text == "yesterday":
        return today - timedelta(days=1)
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        # To the second, so that it can be written out and still be the same.
        return datetime.now().astimezone().replace(microsecond=0) - duration(text)
    except (argparse.ArgumentTypeError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time like 2025-01-13, 2025-01-13T14:30, today, yesterday, 12h, 7d or "
            "2w"
        ) from error


def path_or_standard_output(text: str) -> Path | None:
    """Return the path of a file to write, None for standard output."""
    # The latter cannot be replaced by a file, whatever it is.
    return None if text in {"-", "/dev/stdout"} else path_of_file(text)


def name_or_standard_input(text: str) -> str:
    """Return the name of a file to read, for messages; `-` is standard input."""
    path_or_standard_output(text)
    return text


def path_of_file(text: str) -> Path:
    """Return the path of a file, which a folder's is not: a slash at its end means one."""
    path = _named(text, partial(require_file, name="this"))
    if text.endswith(tuple(filter(None, (os.sep, os.altsep)))):
        raise argparse.ArgumentTypeError(f"{text!r} is a folder's name; name the file in it")
    return path


def path_of_folder(text: str) -> Path:
    """Return the path of a folder."""
    return _named(text, require_name)


def _named(text: str, require: Callable[[str], None]) -> Path:
    try:
        require(text)
    except StoreError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return as_path("path", text)


def file_or_url(text: str) -> Path | str:
    """Return the path of a database file, or the URL of a PostgreSQL database as it is."""
    return text if is_url(text) else path_of_file(text)


def _database(text: str) -> Path | str:
    """Return what --db names; NX_DB_PATH may say the same, and is refused with the command."""
    return Path(text) if text == ":memory:" else file_or_url(text)


def _statuses(text: str) -> list[str]:
    known = [status.value for status in RecordStatus]
    names = [name.strip().upper() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(
                f"{name!r} is no status{meant(name, known)} (choose from {', '.join(known)})"
            )
    return names


# -- options -------------------------------------------------------------------------------

COMMON = (
    Option(
        "--db",
        metavar="PATH",
        type=_database,
        help="the database file, or postgresql://USER@HOST/DATABASE (default: NX_DB_PATH in the "
        "environment, else in the file .env here, else nexuslims.db in the user's data folder)",
    ),
    Option(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=30.0,
        help="how long to wait for another program's lock (default: 30)",
    ),
    flag("--debug", help="show where in the code an error comes from, and all that is logged"),
)
"""The options of every command, which may stand before or after it."""

JSON = Option("--json", dest="format", action="store_const", const="json", help="print JSON")
FORMS = OneOf(
    JSON, Option("--csv", dest="format", action="store_const", const="csv", help="print CSV")
)
YES = flag("--yes", help="do it without asking; needed off a terminal")
DRY_RUN = flag("--dry-run", help="show what would be done, and change nothing")
CHANGES = (DRY_RUN, JSON)
"""The options of what changes something."""
DESTROYS = (YES, *CHANGES)
"""The options of what cannot be undone."""

SINCE = Option("--since", metavar="TIME", type=_since)
ENDED_SINCE = Option(
    "--ended-since",
    metavar="TIME",
    type=_since,
    help="only sessions that ended from this time on, as `status --since` counts them; without an "
    "offset, a time is UTC",
)


def time_span(what: str, zone: str) -> tuple[Option, Option]:
    """Return --since and --until, whose values are datetimes or None."""
    return (
        SINCE.but(
            help=f"only {what} from this time on: 2025-01-13, 2025-01-13T14:30, with or without "
            f"an offset such as +01:00, today, yesterday, 12h, 7d, 2w; without an offset, a time "
            f"is {zone}",
        ),
        Option(
            "--until",
            metavar="TIME",
            type=_until,
            help=f"only {what} before this time; a date includes that whole day",
        ),
    )


def require_span(arguments: argparse.Namespace) -> None:
    """Raise UsageError for a --since that is not before the --until: nothing is between them."""
    since, until = arguments.since, arguments.until
    if since is None or until is None:
        return
    # With an offset in one of them alone, the zone of the other depends on the row.
    zones = _DAY if (since.tzinfo is None) != (until.tzinfo is None) else timedelta(0)
    after = aware(since, UTC) - aware(until, UTC)
    # The same words twice are a span too, of a script that has just looked.
    if after >= zones and since.words != until.words:
        raise UsageError(
            f"--since {since.words} is not before --until {until.words}: nothing can be between "
            "them"
        )


def statuses(help_text: str) -> Option:
    """Return --status, whose value is a list of names or None."""
    return Option(
        "--status",
        metavar="STATUS",
        action="extend",
        type=_statuses,
        offered=lambda: [status.value for status in RecordStatus],
        help=f"{help_text}; several with commas, or given several times. One of "
        + ", ".join(status.value for status in RecordStatus),
    )


def limit(what: str) -> Option:
    """Return --limit, a number or None."""
    return Option("--limit", metavar="N", type=number_of, help=f"only so many {what}, the latest")


# -- the database --------------------------------------------------------------------------


def database_path(arguments: argparse.Namespace) -> Path | str:
    """Return the path of the database that the user means, or its URL.

    Where none is given, it is kept as `default_path` of the arguments, for errors that name it.

    Raises
    ------
    StoreError
        It is none of a file.
    """
    path: Path | str | None = arguments.db
    if path is None:
        path = arguments.default_path = default_path()
    if is_url(path):
        return path
    require_file(path, "--db or NX_DB_PATH")
    return path


def database_name(path: Path | str) -> Path | str:
    """Return a database's path, or its URL without the password, for people to see."""
    return without_password(path) if is_url(path) else path


def database_file(arguments: argparse.Namespace, what: str, instead: Callable[[str], str]) -> Path:
    """Return the path of the file that the user means, where nothing else will do.

    For a URL, or as for `database_path`, a StoreError says that `what` is for files only, and
    which line does it on a server: `instead` returns that from the URL.
    """
    path = database_path(arguments)
    if is_url(path):
        raise StoreError(
            f"{what} is for SQLite files, and {database_name(path)} is a database of "
            f"PostgreSQL, whose own program is: `{instead(path)}`"
        )
    return Path(path)
