"""`backup`: a checked copy of the database."""

from __future__ import annotations

import argparse

from nexuslims_store import backup
from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.options import JSON, database_path
from nexuslims_store.cli.output import Output

__all__ = ["COMMAND"]


def _backup(arguments: argparse.Namespace, output: Output) -> int:
    path = database_path(arguments)
    copy = backup.copy(
        path,
        path.parent if arguments.destination is None else arguments.destination,
        timeout=arguments.timeout,
        progress=output.percent,
    )
    if output.form == "json":
        output.json({"path": copy, "size": copy.stat().st_size})
    else:
        output.line(str(copy))
    return 0


COMMAND = Command(
    _backup,
    description="Copies the database by SQLite's own call, also while other programs write, and "
    "checks the copy. No file is ever written over. Prints the name of the copy.",
    options=(
        Option(
            "destination",
            metavar="DEST",
            nargs="?",
            help="a new file, or a folder for a file named by the time (default: beside the "
            "database)",
        ),
        JSON,
    ),
    examples=(
        "nexuslims-store backup",
        "nexuslims-store backup /mnt/backups/",
        "nexuslims-store backup before-the-move.db",
    ),
)
