"""`report`: the facility's weeks as a page to read."""

from __future__ import annotations

import argparse
import os
import secrets
from pathlib import Path

from nexuslims_store import report
from nexuslims_store.backup import SIDECARS, file_errors
from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.opening import open_store
from nexuslims_store.cli.options import database_path, number_of
from nexuslims_store.cli.output import Output
from nexuslims_store.errors import StoreError
from nexuslims_store.times import utc_now

__all__ = ["COMMAND"]

_MAGIC = b"SQLite format 3\0"


def _run(arguments: argparse.Namespace, output: Output) -> int:
    destination: Path | None = arguments.output
    if destination is not None:
        # Before the store is open: closing a file of our own would drop SQLite's locks on it.
        _refuse_database(destination, database_path(arguments))
    with open_store(arguments, read_only=True) as store:
        page = report.render(store, utc_now(), weeks=arguments.weeks)
    if destination is None:
        output.text(page)
    else:
        _write(destination, page)
        output.message(f"wrote {destination}")
    return 0


def _refuse_database(destination: Path, database: Path) -> None:
    """Raise where a report would take the place of a database or of what SQLite keeps beside it."""
    file = Path(os.path.realpath(destination))
    kept = [Path(f"{os.path.realpath(database)}{suffix}") for suffix in ("", *SIDECARS)]
    if file in kept or _is_database(file):
        raise StoreError(
            f"{destination} is a database or belongs to one, and a report never takes its place: "
            "choose another name (--output FILE)"
        )


def _is_database(file: Path) -> bool:
    if not file.is_file():
        return False
    try:
        with file.open("rb") as content:
            return content.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise StoreError(
            f"{file} is there and cannot be read ({error.strerror}), so it may be a database: "
            "choose another name (--output FILE)"
        ) from error


def _write(destination: Path, page: str) -> None:
    """Write a file so that nobody ever sees half of it."""
    file = Path(os.path.realpath(destination))  # a symbolic link stays one
    with file_errors(destination):
        if file.exists() and not file.is_file():  # a terminal, a pipe
            file.write_text(page, encoding="ascii")
            return
        temporary = file.with_name(f".nexuslims-{secrets.token_hex(8)}.html")
        try:
            temporary.write_text(page, encoding="ascii")
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)


COMMAND = Command(
    _run,
    description="Writes one HTML page that needs no network and no other file: sessions per week, "
    "use of each instrument, pending and failed work, uploads. The database is opened read-only.",
    options=(
        Option(
            "--output",
            metavar="FILE",
            type=Path,
            help="the file to write; one that is there is replaced, unless it is a database "
            "(default: standard output)",
        ),
        Option(
            "--weeks",
            metavar="N",
            type=number_of,
            default=report.WEEKS,
            help=f"how many weeks it covers (default: {report.WEEKS})",
        ),
    ),
    examples=(
        "nexuslims-store report --output report.html",
        "nexuslims-store report --weeks 52 > year.html",
    ),
)
