"""`report`: the facility's weeks as a page to read."""

from __future__ import annotations

import argparse
from pathlib import Path

from nexuslims_store import report
from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.files import check_destination
from nexuslims_store.cli.opening import open_store
from nexuslims_store.cli.options import database_path, number_of, path_or_standard_output
from nexuslims_store.cli.output import Output
from nexuslims_store.times import utc_now

__all__ = ["COMMAND"]


def _run(arguments: argparse.Namespace, output: Output) -> int:
    destination: Path | None = arguments.output
    if destination is not None:
        check_destination(destination, database=database_path(arguments), replace=True)
    with open_store(arguments, read_only=True) as store:
        output.text(report.render(store, utc_now(), weeks=arguments.weeks))
    if destination is not None:
        output.save(destination, replace=True)
        output.message(f"wrote {destination}")
    return 0


COMMAND = Command(
    _run,
    description="Writes one HTML page that needs no network and no other file: sessions per week, "
    "use of each instrument, pending and failed work, uploads. The database is opened read-only.",
    options=(
        Option(
            "--output",
            metavar="FILE",
            type=path_or_standard_output,
            help="the file to write; one that is there is replaced, unless it is a database; - is "
            "standard output (the default)",
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
