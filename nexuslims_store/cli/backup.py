"""`backup`: a checked copy of the database, old copies removed by rule; `backup list`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from nexuslims_store import backup
from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.options import DESTROYS, FORMS, database_file, number_of, path_of_folder
from nexuslims_store.cli.output import Listing, Output
from nexuslims_store.config import dump_line
from nexuslims_store.display import number, size
from nexuslims_store.errors import StoreError


def _backup(arguments: argparse.Namespace, output: Output) -> None:
    path = database_file(arguments, "backup", dump_line)
    destination = str(path.parent) if arguments.destination is None else arguments.destination
    keep = backup.Keep(
        last=arguments.keep_last,
        daily=arguments.keep_daily,
        weekly=arguments.keep_weekly,
        monthly=arguments.keep_monthly,
    )
    copy = backup.name_for(path, destination)
    old = backup.OldBackups([], {})
    if keep:
        old = backup.old_backups(path, keep, new=copy, timeout=arguments.timeout)
        if not arguments.dry_run:
            _confirm(old.to_remove, output)
    length = None
    if not arguments.dry_run:
        copy = backup.copy(path, destination, timeout=arguments.timeout, progress=output.percent)
        length = copy.stat().st_size
        backup.remove_backups(old.to_remove, new=copy)
    for file, reason in old.left_alone.items():
        output.message(f"left alone {file}: {reason}")
    made, removed = ("would make ", "would remove") if arguments.dry_run else ("", "removed")
    output.tell(
        "\n".join([f"{made}{copy}", *(f"{removed} {file}" for file in old.to_remove)]),
        {
            "path": copy,
            "size": length,
            "removed": old.to_remove,
            "left_alone": [{"path": file, "reason": why} for file, why in old.left_alone.items()],
        },
    )


def _confirm(files: list[Path], output: Output) -> None:
    if output.can_ask and not output.yes:
        if not files:
            return
        for file in files:
            output.message(f"to be removed: {file}")
    output.confirm(f"back up, and then remove {number(len(files), 'older backup')}?")


def _list(arguments: argparse.Namespace, output: Output) -> None:
    path = database_file(arguments, "backup", dump_line)
    folder = arguments.folder or path.parent
    found = list(_described(backup.list_backups(path, folder), arguments.timeout))
    columns = ["time", "size", "revision", "path"]
    if any(record["problem"] for record in found):
        columns.append("problem")
    if output.form is None:
        found = [{**record, "size": size(int(str(record["size"])))} for record in found]
    fields = ("path", "time", "size", "revision", "problem")
    none = f"no backup of {path.name} in {folder}"
    output.records(Listing(fields, columns, none), found)


def _described(backups: list[backup.Backup], timeout: float) -> Iterator[dict[str, object]]:
    for found in backups:
        revision, problem = None, None
        try:
            revision = backup.revision_of(found.path, timeout=timeout)
        except StoreError as error:
            problem = backup.what_is_wrong(error, found.path)
        try:
            length = found.path.stat().st_size
        except OSError:  # somebody removes old ones
            continue
        yield {
            "path": found.path,
            "time": found.time,
            "size": length,
            "revision": revision,
            "problem": problem,
        }


def _keep(period: str, what: str) -> Option:
    return Option(f"--keep-{period}", metavar="N", type=number_of, default=0, help=what)


COMMAND = Command(
    _backup,
    Option(
        "destination",
        metavar="DEST",
        nargs="?",
        offered=lambda: ["list"],
        files=True,
        help="a new file, or a folder for a file named by the time (default: beside the database)",
    ),
    _keep("last", "keep the newest N backups"),
    _keep("daily", "keep the newest backup of each of the last N days that have one"),
    _keep("weekly", "the same for weeks, Monday to Sunday"),
    _keep("monthly", "the same for months"),
    *DESTROYS,
    description="Copies the database by SQLite's own call, also while other programs write, and "
    "checks the copy. No file is ever written over. Prints the name of the copy. The keep options "
    "then remove older backups of this database from the folder, with the meaning that they have "
    "in restic: a backup stays that any of them keeps; where there are too few, the oldest stays "
    "too. The time in its name is a backup's age.",
    examples=(
        "nexuslims-store backup",
        "nexuslims-store backup /mnt/backups/",
        "nexuslims-store backup before-the-move.db",
        "nexuslims-store backup /mnt/backups/ --keep-daily 7 --keep-weekly 4 --yes",
        "nexuslims-store backup list /mnt/backups/",
    ),
    commands={
        "list": Command(
            _list,
            Option(
                "folder",
                metavar="DIR",
                nargs="?",
                type=path_of_folder,
                help="the folder (default: beside the database)",
            ),
            FORMS,
            summary="list the backups of the database in a folder, the newest first",
            examples=("nexuslims-store backup list /mnt/backups/ --json",),
        )
    },
)
