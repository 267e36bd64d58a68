"""`restore`: the database as it was in a backup."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from nexuslims_store import backup
from nexuslims_store.arguments import as_path, require_name
from nexuslims_store.cli.declaration import Command, Option, UsageError
from nexuslims_store.cli.options import DESTROYS, database_file, path_of_folder
from nexuslims_store.cli.output import Output
from nexuslims_store.config import restore_line
from nexuslims_store.display import size
from nexuslims_store.errors import BackupError
from nexuslims_store.revisions import head


def _restore(arguments: argparse.Namespace, output: Output) -> None:
    path = database_file(arguments, "restore", restore_line)
    source = _source(arguments, path)
    revision = backup.revision_of(source, timeout=arguments.timeout)
    what = f"{source} ({revision or 'base'}, {size(source.stat().st_size)})"
    there = os.path.lexists(path)
    if there:
        backup.check_target(source, path)
    if there and not arguments.dry_run:
        output.message(f"{what} is to replace the content of {path}, which is kept beside it")
        output.confirm(f"restore {path}?")
    kept = None
    if not arguments.dry_run:
        kept = backup.restore(source, path, timeout=arguments.timeout, progress=output.percent)
    if arguments.dry_run:
        sentence = f"{what} would {'replace' if there else 'be'} {path}"
    else:
        sentence = f"restored {path} from {source}, at {revision or 'base'}"
        if kept is not None:
            sentence += f"\nwhat was there before: {kept}"
    details = {"path": path, "source": source, "revision": revision, "kept": kept}
    output.tell(sentence, details)
    if revision != head():
        output.message(
            "the backup is at an older revision: once restored, run `nexuslims-store migrate`"
        )


def _source(arguments: argparse.Namespace, path: Path) -> Path:
    """Return the backup that is meant."""
    if arguments.source != "latest":
        if arguments.folder is not None:
            raise UsageError("--from says where the latest backup is: `restore latest --from DIR`")
        require_name(arguments.source)
        return as_path("SRC", arguments.source)
    folder = arguments.folder or path.parent
    found = backup.list_backups(path, folder)
    if not found:
        raise BackupError(
            f"there is no backup of {path.name} in {folder}: name another folder (--from DIR), or "
            "the backup itself"
        )
    return found[0].path


COMMAND = Command(
    _restore,
    Option(
        "source",
        metavar="SRC",
        offered=lambda: ["latest"],
        files=True,
        help="the backup, or `latest`",
    ),
    Option(
        "--from",
        dest="folder",
        metavar="DIR",
        type=path_of_folder,
        help="where to look for the latest backup (default: beside the database)",
    ),
    *DESTROYS,
    description="Makes the content of the database that of a backup. The backup is checked first, "
    "and what it replaces is kept beside the database, as NAME_backup_TIME_replaced.db, which is "
    "no backup to `latest`, to `backup list` and to the keep options. `latest` is the "
    "newest backup of this database by the time in its name (a file that is called latest is "
    "./latest).",
    examples=(
        "nexuslims-store restore nexuslims_backup_20250113_120000.db --dry-run",
        "nexuslims-store restore nexuslims_backup_20250113_120000.db",
        "nexuslims-store restore latest --from /mnt/backups/",
    ),
)
