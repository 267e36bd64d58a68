"""What the commands' parsers have in common: options, types of values, the form of help texts."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexuslims_store.cli.output import Output
from nexuslims_store.config import default_path
from nexuslims_store.enums import RecordStatus
from nexuslims_store.store import Store

__all__ = [
    "Run",
    "Subparsers",
    "add_change_options",
    "add_command",
    "add_common_options",
    "add_formats",
    "add_group",
    "add_time_span",
    "database_path",
    "describe",
    "number_of",
    "open_store",
    "statuses",
]

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Subparsers = argparse._SubParsersAction

Run = Callable[[argparse.Namespace, Output], int]

# More milliseconds than SQLite can count are no time-out at all.
_LONGEST_TIMEOUT = 1_000_000.0
_TOO_MANY = 1_000_000_000
_WIDTH = 80


# -- parsers -------------------------------------------------------------------------------


def describe(description: str, *, examples: Sequence[str] = (), notes: str = "") -> dict[str, Any]:
    """Return the arguments of a parser that make its help text."""
    epilog = ["examples:\n" + "\n".join(f"  {example}" for example in examples)] if examples else []
    if notes:
        epilog.append(textwrap.fill(notes, _WIDTH))
    return {
        "description": textwrap.fill(description, _WIDTH),
        "epilog": "\n\n".join(epilog),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def add_command(
    commands: Subparsers,
    name: str,
    run: Run,
    summary: str,
    *,
    description: str = "",
    examples: Sequence[str] = (),
) -> argparse.ArgumentParser:
    """Add one command and return its parser."""
    parser = commands.add_parser(
        name,
        help=summary,
        allow_abbrev=False,
        **describe(description or f"{summary[0].upper()}{summary[1:]}.", examples=examples),
    )
    parser.set_defaults(run=run)
    add_common_options(parser)
    return parser


def add_group(
    commands: Subparsers, name: str, summary: str, *, required: bool = True
) -> tuple[argparse.ArgumentParser, Subparsers]:
    """Add a command that has commands of its own; return its parser and the place for them."""
    parser = commands.add_parser(
        name, help=summary, allow_abbrev=False, **describe(f"{summary[0].upper()}{summary[1:]}.")
    )
    add_common_options(parser)
    return parser, parser.add_subparsers(
        title="commands", metavar="COMMAND" if required else "[COMMAND]", required=required
    )


def add_common_options(parser: argparse.ArgumentParser, *, defaults: bool = False) -> None:
    """Add the options that stand before the command or after it.

    Only the outermost parser has `defaults`: those of the others would undo what it was given.
    """
    absent = argparse.SUPPRESS
    options = parser.add_argument_group("options of all commands")
    options.add_argument(
        "--db",
        metavar="PATH",
        type=Path,
        default=None if defaults else absent,
        help="the database file",
    )
    options.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=30.0 if defaults else absent,
        help="how long to wait for another program's lock (default: 30)",
    )
    options.add_argument(
        "--debug",
        action="store_true",
        default=False if defaults else absent,
        help="show where in the code an error comes from, and all that is logged",
    )


# -- options -------------------------------------------------------------------------------


def add_formats(parser: argparse.ArgumentParser, *, csv: bool = False) -> None:
    """Add --json, and --csv where the result is a table; `format` is "json", "csv" or None."""
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument(
        "--json", dest="format", action="store_const", const="json", help="print JSON"
    )
    if csv:
        formats.add_argument(
            "--csv", dest="format", action="store_const", const="csv", help="print CSV"
        )


def add_change_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands that destroy something."""
    parser.add_argument(
        "--yes", action="store_true", help="do it without asking; needed off a terminal"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be done, and change nothing"
    )


def add_time_span(parser: argparse.ArgumentParser, what: str, zone: str) -> None:
    """Add --since and --until, whose values are datetimes or None."""
    parser.add_argument(
        "--since",
        metavar="TIME",
        type=_since,
        help=f"only {what} from this time on: 2025-01-13, 2025-01-13T14:30, with or without an "
        f"offset such as +01:00; without one, a time is {zone}",
    )
    parser.add_argument(
        "--until",
        metavar="TIME",
        type=_until,
        help=f"only {what} before this time; a date includes that whole day",
    )


def statuses(parser: argparse.ArgumentParser, help_text: str) -> None:
    """Add --status, a list of names or None."""
    parser.add_argument(
        "--status",
        metavar="STATUS",
        action="append",
        type=str.upper,
        choices=[status.value for status in RecordStatus],
        help=f"{help_text}; may be given several times. One of "
        + ", ".join(status.value for status in RecordStatus),
    )


# -- types of values -----------------------------------------------------------------------


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_TIMEOUT:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of seconds from 0 to {_LONGEST_TIMEOUT:.0f}"
        )
    return seconds


def number_of(text: str) -> int:
    """Return a number that is 1 or more."""
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number < _TOO_MANY:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 up")
    return number


def _since(text: str) -> datetime:
    return _time(text)


def _until(text: str) -> datetime:
    """Return the moment before which something must be."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return _time(text)
    if day == date.max:
        return datetime.max  # noqa: DTZ901 -- naive, as every date given here
    return datetime.combine(day + timedelta(days=1), datetime.min.time())


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no date or time like 2025-01-13 or 2025-01-13T14:30"
        ) from error


# -- the database --------------------------------------------------------------------------


def database_path(arguments: argparse.Namespace) -> Path:
    """Return the path of the database that the user means."""
    path: Path | None = arguments.db
    return default_path() if path is None else path


def open_store(arguments: argparse.Namespace, *, read_only: bool) -> Store:
    """Open the database that the user means."""
    return Store(database_path(arguments), read_only=read_only, timeout=arguments.timeout)
