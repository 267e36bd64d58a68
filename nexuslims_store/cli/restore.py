"""`restore`: the database as it was in a backup."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from nexuslims_store.backup import restore
from nexuslims_store.cli.changes import REFUSED, confirmed
from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.options import DRY_RUN, JSON, YES, database_path
from nexuslims_store.cli.output import Output
from nexuslims_store.connection import connect
from nexuslims_store.display import size
from nexuslims_store.errors import DatabaseNotFoundError
from nexuslims_store.recognition import recognise
from nexuslims_store.revisions import head
from nexuslims_store.translation import translated

__all__ = ["COMMAND"]


def _restore(arguments: argparse.Namespace, output: Output) -> int:
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
    if output.form == "json":
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


COMMAND = Command(
    _restore,
    description="Makes the content of the database that of a backup. The backup is checked first, "
    "and what it replaces is kept beside the database.",
    options=(
        Option("source", metavar="SRC", type=Path, help="the backup"),
        YES,
        DRY_RUN,
        JSON,
    ),
    examples=(
        "nexuslims-store restore nexuslims_backup_20250113_120000.db --dry-run",
        "nexuslims-store restore nexuslims_backup_20250113_120000.db",
    ),
)
