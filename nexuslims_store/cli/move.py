"""`move`: everything from an SQLite file to a PostgreSQL server, or back."""

from __future__ import annotations

import argparse
import shlex

from nexuslims_store import moving
from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.options import CHANGES, database_name, file_or_url
from nexuslims_store.cli.output import Output
from nexuslims_store.display import number


def _run(arguments: argparse.Namespace, output: Output) -> None:
    rows = moving.move(
        arguments.source,
        arguments.destination,
        dry_run=arguments.dry_run,
        timeout=arguments.timeout,
        say=output.message,
        progress=output.percent,
    )
    source, destination = map(database_name, (arguments.source, arguments.destination))
    verb = "would move" if arguments.dry_run else "moved"
    sentence = f"{verb} {number(sum(rows.values()), 'row')} from {source} to {destination}"
    details = {"source": source, "destination": destination, "rows": rows}
    output.tell(f"{sentence}, each compared", details)
    if not arguments.dry_run:
        output.message(f"from now on: NX_DB_PATH={shlex.quote(str(destination))}")


COMMAND = Command(
    _run,
    Option("source", metavar="SRC", type=file_or_url, help="a file, or a postgresql:// URL"),
    Option("destination", metavar="DEST", type=file_or_url, help="the other of the two"),
    *CHANGES,
    description="Copies all rows of a whole SQLite file into a PostgreSQL database that has none, "
    "or back into a new file, in one transaction, and compares each value before the commit. The "
    "source stays as it is. Stop the programs that write to it first. What the other cannot hold "
    "is refused by its table and row, and nothing is moved then.",
    examples=(
        "nexuslims-store move nexuslims.db postgresql://nexuslims@db.example.com/nexuslims",
        "nexuslims-store move postgresql://nexuslims@db.example.com/nexuslims nexuslims.db",
    ),
)
