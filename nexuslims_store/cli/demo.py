"""`demo`: a database to try everything on."""

from __future__ import annotations

import argparse
import shlex

from nexuslims_store import demo
from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.files import check_destination
from nexuslims_store.cli.options import CHANGES, file_or_url
from nexuslims_store.cli.output import Output
from nexuslims_store.config import is_url
from nexuslims_store.errors import StoreError


def _run(arguments: argparse.Namespace, output: Output) -> None:
    path = arguments.path
    if is_url(path):
        raise StoreError(
            "demo makes an SQLite file; make one, and `nexuslims-store move` it to the server"
        )
    if arguments.dry_run:
        check_destination(path, database=None, replace=False)
    else:
        path = demo.create(path, seed=arguments.seed)
    verb = "would make" if arguments.dry_run else "made"
    output.tell(f"{verb} {path}", {"path": path})
    if not arguments.dry_run:
        output.message(f"try: nexuslims-store --db {shlex.quote(str(path))} status")


COMMAND = Command(
    _run,
    Option("path", metavar="PATH", type=file_or_url, help="the new file"),
    Option(
        "--seed",
        metavar="N",
        type=int,
        default=0,
        help="another number gives other sessions; the same number, on the same day, the same "
        "(default: 0)",
    ),
    *CHANGES,
    description="Makes a new database with ten instruments and six weeks of sessions in every "
    "status, uploads and users. A file that is there is never overwritten.",
    examples=("nexuslims-store demo demo.db", "nexuslims-store --db demo.db status"),
)
