"""`backup` and `restore`."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from nexuslims_store.cli.changes import REFUSED, confirmed
from nexuslims_store.cli.options import (
    Subparsers,
    add_change_options,
    add_command,
    add_formats,
    database_path,
)
from nexuslims_store.cli.output import Output
from nexuslims_store.cli.words import size
from nexuslims_store.connection import connect
from nexuslims_store.errors import DatabaseNotFoundError
from nexuslims_store.recognition import recognise
from nexuslims_store.revisions import head
from nexuslims_store.translation import translated

__all__ = ["add_commands"]


def add_commands(commands: Subparsers) -> None:
    """Add `backup` and `restore`."""
    parser = add_command(
        commands,
        "backup",
        _backup,
        "copy the database, checked and synced to the disk",
        description="Copies the database by SQLite's own call, also while other programs write, "
        "and checks the copy. No file is ever written over. Prints the name of the copy.",
        examples=[
            "nexuslims-store backup",
            "nexuslims-store backup /mnt/backups/",
            "nexuslims-store backup before-the-move.db",
        ],
    )
    parser.add_argument(
        "destination",
        metavar="DEST",
        nargs="?",
        help="a new file, or a folder for a file named by the time (default: beside the database)",
    )
    add_formats(parser)

    parser = add_command(
        commands,
        "restore",
        _restore,
        "bring the database back from a backup",
        description="Makes the content of the database that of a backup. The backup is checked "
        "first, and what it replaces is kept beside the database.",
        examples=[
            "nexuslims-store restore nexuslims_backup_20250113_120000.db --dry-run",
            "nexuslims-store restore nexuslims_backup_20250113_120000.db",
        ],
    )
    parser.add_argument("source", metavar="SRC", type=Path, help="the backup")
    add_change_options(parser)
    add_formats(parser)


def _backup(arguments: argparse.Namespace, output: Output) -> int:
    from nexuslims_store import backup  # noqa: PLC0415 -- most commands do without

    path = database_path(arguments)
    copy = backup.copy(
        path,
        path.parent if arguments.destination is None else arguments.destination,
        timeout=arguments.timeout,
        progress=output.percent,
    )
    if arguments.format == "json":
        output.json({"path": copy, "size": copy.stat().st_size})
    else:
        output.line(str(copy))
    return 0


def _restore(arguments: argparse.Namespace, output: Output) -> int:
    from nexuslims_store.backup import restore  # noqa: PLC0415 -- most commands do without

    source, path = arguments.source, database_path(arguments)
    revision = _revision(source, arguments)
    what = f"{source} ({revision or 'base'}, {size(source.stat().st_size)})"
    if arguments.dry_run:
        output.line(f"{what} would replace {path}" if path.exists() else f"{what} would be {path}")
        return 0
    if path.exists():
        output.message(f"{what} is to replace the content of {path}, which is kept beside it")
        if not confirmed(f"restore {path}?", arguments, output):
            return REFUSED
    kept = restore(source, path, timeout=arguments.timeout, progress=output.percent)
    if arguments.format == "json":
        output.json({"path": path, "revision": revision, "kept": kept})
    else:
        output.line(f"restored {path} from {source}, at {revision or 'base'}")
        if kept is not None:
            output.line(f"what was there before: {kept}")
    if revision != head():
        output.message("it is at an older revision: run `nexuslims-store migrate`")
    return 0


def _revision(source: Path, arguments: argparse.Namespace) -> str | None:
    """Return the revision of the backup, or raise what `restore` would."""
    if not source.exists():
        raise DatabaseNotFoundError(f"there is no backup {source}; check the path")
    with (
        translated(source, timeout=arguments.timeout),
        closing(connect(source, mode="rw", timeout=arguments.timeout)) as connection,
    ):
        return recognise(connection, source).revision
