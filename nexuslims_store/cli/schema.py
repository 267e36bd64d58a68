"""`schema`: the tables as a diagram, a data dictionary or SQL."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from nexuslims_store import schema
from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.options import database_path
from nexuslims_store.cli.output import Output
from nexuslims_store.revisions import head


def _run(arguments: argparse.Namespace, output: Output) -> None:
    path: Path | str | None = database_path(arguments)
    if arguments.db is None and isinstance(path, Path) and not os.path.lexists(path):
        output.message(f"there is no database {path}; these are the tables of {head()}")
        path = None
    output.text(schema.describe(path, arguments.notation, timeout=arguments.timeout))


COMMAND = Command(
    _run,
    Option(
        "--format",
        dest="notation",
        choices=list(schema.FORMATS),
        default="mermaid",
        help="mermaid, an entity-relationship diagram; markdown, a data dictionary with the "
        "meaning of each column; sql (default: mermaid)",
    ),
    description="Prints NexusLIMS's tables as they are in the database, at whatever revision it "
    "is. Where there is no database yet and none is named, it prints those of the newest "
    "revision.",
    examples=(
        "nexuslims-store schema > tables.mmd",
        "nexuslims-store schema --format markdown > tables.md",
        "nexuslims-store schema --format sql",
    ),
)
