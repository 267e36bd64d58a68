"""The parser of the whole command line, put together from the groups of commands."""

from __future__ import annotations

import argparse

from nexuslims_store import __version__
from nexuslims_store.cli import (
    copies,
    demo,
    doctor,
    instruments,
    migrate,
    report,
    schema,
    sessions,
    status,
    uploads,
    users,
)
from nexuslims_store.cli.options import add_common_options, describe

__all__ = ["GROUPS", "build_parser"]

GROUPS = (
    migrate,
    status,
    sessions,
    instruments,
    uploads,
    users,
    copies,
    doctor,
    schema,
    report,
    demo,
)
"""The modules that add commands, in the order of the help text."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; what it returns has the command's function as `run`."""
    parser = argparse.ArgumentParser(
        prog="nexuslims-store",
        allow_abbrev=False,
        **describe(
            "Looks after a NexusLIMS database: its schema, its sessions, instruments, uploads and "
            "users. The database is the file that --db names, else the environment variable "
            "NX_DB_PATH, else nexuslims.db in the user's data folder.",
            examples=[
                "nexuslims-store migrate",
                "nexuslims-store status",
                "nexuslims-store --db copy.db sessions list --status ERROR --since 2025-01-13",
                "nexuslims-store COMMAND --help",
            ],
            notes="Results go to standard output, messages to standard error. Exit status: 0 "
            "done, 1 a check found something, 2 an error.",
        ),
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    add_common_options(parser, defaults=True)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in GROUPS:
        group.add_commands(commands)
    return parser
