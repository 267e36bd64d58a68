"""`report`: what needs a person, and the facility's weeks, as a page to look at or a mail."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from nexuslims_store import report
from nexuslims_store.cli.declaration import Command, Option, flag
from nexuslims_store.cli.files import check_destination
from nexuslims_store.cli.opening import open_store
from nexuslims_store.cli.options import database_path, number_of, path_or_standard_output
from nexuslims_store.cli.output import Output
from nexuslims_store.times import utc_now


def _run(arguments: argparse.Namespace, output: Output) -> None:
    destination: Path | None = arguments.output
    if destination is not None:
        check_destination(destination, database=database_path(arguments), replace=True)
    with open_store(arguments, read_only=True) as store:
        output.text(
            report.render(
                store,
                utc_now(),
                weeks=arguments.weeks,
                title=arguments.title.strip() or report.TITLE,
                text=arguments.text,
                advice=output.advice,
            )
        )
    if destination is not None:
        output.save(destination, replace=True)
        output.message(f"wrote {destination}")


_weeks = partial(
    number_of, what=f"number of weeks from 1 to {report.MOST_WEEKS}", most=report.MOST_WEEKS
)

COMMAND = Command(
    _run,
    Option(
        "--output",
        metavar="FILE",
        type=path_or_standard_output,
        help="the file to write; one that is there is replaced and keeps its owner and mode, "
        "unless it is a database; - is standard output (the default)",
    ),
    Option(
        "--weeks",
        metavar="N",
        type=_weeks,
        default=report.WEEKS,
        help=f"how many weeks it covers, {report.MOST_WEEKS} at most (default: {report.WEEKS})",
    ),
    Option(
        "--title",
        metavar="TEXT",
        default=report.TITLE,
        help=f"its heading (default: {report.TITLE})",
    ),
    flag("--text", help="write plain text for the body of a mail, at most 100 columns wide"),
    description="Writes one HTML page that needs no network and no other file: what needs a "
    "person and why, this week against the last, sessions, use of the instruments, how long "
    "records take, uploads. The database is opened read-only.",
    examples=(
        "nexuslims-store report --output report.html",
        'nexuslims-store report --weeks 52 --title "Our year" > year.html',
        "nexuslims-store report --weeks 1 --text | mail -s 'This week' me@example.com",
    ),
)
