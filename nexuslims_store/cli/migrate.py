"""`migrate`: the schema's history, up and down.

yoyo is imported only when something is migrated.
"""

from __future__ import annotations

import argparse
import os

from nexuslims_store import migrations
from nexuslims_store.cli.changes import REFUSED, confirmed
from nexuslims_store.cli.declaration import Command, OneOf, Option
from nexuslims_store.cli.options import (
    DRY_RUN,
    FORMS,
    JSON,
    database_file,
    database_name,
    database_path,
)
from nexuslims_store.cli.output import Listing, Output
from nexuslims_store.config import is_url, restore_line
from nexuslims_store.migrations.plan import Direction

__all__ = ["COMMAND"]

_UP_TO_DATE, _PENDING, _REFUSED_BY_PLAN = 0, 1, 1
_BASE = "base"
_HISTORY = Listing(("number", "revision", "from", "title", "applied"))


# -- up and down -----------------------------------------------------------------------------


def _migrate(arguments: argparse.Namespace, output: Output) -> int:
    arguments.target = "head"
    return _upgrade(arguments, output)


def _upgrade(arguments: argparse.Namespace, output: Output) -> int:
    return _move(arguments, output, "upgrade")


def _downgrade(arguments: argparse.Namespace, output: Output) -> int:
    return _move(arguments, output, "downgrade")


def _move(arguments: argparse.Namespace, output: Output, direction: Direction) -> int:
    path = database_path(arguments)
    loses_for_good = (arguments.no_backup or is_url(path)) and direction == "downgrade"
    if arguments.plan or arguments.sql or loses_for_good:
        plan = migrations.plan(
            path, arguments.target, direction=direction, timeout=arguments.timeout
        )
        if arguments.sql:
            output.text(plan.to_sql())
            return 0
        if arguments.plan:
            if output.form == "json":
                output.json({"dry_run": True, "path": database_name(path), **plan.to_dict()})
            else:
                output.line(str(plan))
            return _REFUSED_BY_PLAN if plan.obstacles else 0
        if plan.rows_dropped and not plan.obstacles:
            question = f"Without a backup, {', '.join(loss for loss, _ in plan.losses)}?"
            if not confirmed(question, arguments, output, preview="--plan"):
                return REFUSED
    report = (migrations.upgrade if direction == "upgrade" else migrations.downgrade)(
        path,
        arguments.target,
        backup=not arguments.no_backup,
        timeout=arguments.timeout,
        progress=output.message,
        percent=output.percent,
    )
    if output.form == "json":
        output.json({"dry_run": False, **report.to_dict()})
    else:
        output.line(str(report))
    return 0


# -- looking ---------------------------------------------------------------------------------


def _current(arguments: argparse.Namespace, output: Output) -> int:
    revision = migrations.current(database_path(arguments), timeout=arguments.timeout)
    if output.form == "json":
        output.json({"revision": revision, "head": migrations.head()})
    else:
        output.line(revision or _BASE)
    return 0


def _check(arguments: argparse.Namespace, output: Output) -> int:
    path = database_path(arguments)
    plan = migrations.plan(path, timeout=arguments.timeout)
    if plan.created:  # by `migrate`; here it is an error that there is no file
        migrations.current(path, timeout=arguments.timeout)
    name = database_name(path)
    # yoyo's marks and indexes are put right by the next migrate, and stop nobody until then.
    pending = bool(plan.steps or plan.adopt or plan.leftovers)
    if output.form == "json":
        output.json(
            {
                "up_to_date": not pending,
                "revision": plan.before,
                "head": plan.after,
                "to_do": [] if plan.nothing_to_do else str(plan).splitlines(),
            }
        )
    elif pending:
        output.line(f"{name} is not up to date; `nexuslims-store migrate` will")
        output.line(str(plan))
    else:
        output.line(f"{name} is up to date, at {plan.after}")
        if not plan.nothing_to_do:
            output.message(f"the next `nexuslims-store migrate` will also\n{plan}")
    return _PENDING if pending else _UP_TO_DATE


def _history(arguments: argparse.Namespace, output: Output) -> int:
    path = database_path(arguments)
    applied: set[str] | None = None
    known = migrations.history(path)
    if is_url(path) or os.path.exists(path):
        pending = migrations.pending(path, timeout=arguments.timeout)
        applied = {step.revision for step in known}
        applied -= {step.revision for step in pending}
    output.records(
        _HISTORY,
        (
            {
                "number": step.number,
                "revision": step.revision,
                "from": step.down_revision,
                "title": step.title,
                "applied": None if applied is None else step.revision in applied,
            }
            for step in known
        ),
    )
    return 0


# -- the rest --------------------------------------------------------------------------------


def _stamp(arguments: argparse.Namespace, output: Output) -> int:
    report = migrations.stamp(
        database_file(arguments, "stamp", restore_line),
        arguments.target,
        force=arguments.force,
        dry_run=arguments.plan,
        timeout=arguments.timeout,
    )
    if output.form == "json":
        output.json({**report.to_dict(), "dry_run": arguments.plan})
    elif report.changed:
        is_or_would = "would be" if arguments.plan else "is"
        output.line(
            f"{report.path} {is_or_would} stamped {report.after or _BASE}; its tables are as before"
        )
    else:
        output.line(f"{report.path} was stamped {report.after or _BASE} already")
    return 0


def _new(arguments: argparse.Namespace, output: Output) -> int:
    for path in migrations.new(arguments.description, arguments.revision):
        output.line(str(path))
    output.message(migrations.CHECKLIST.format(revision=arguments.revision))
    return 0


# -- the commands ----------------------------------------------------------------------------

_TARGET = Option(
    "target",
    metavar="REV",
    offered=lambda: ["head", "base", *(step.revision for step in migrations.history())],
    help="a revision or any unique start of one, head, base, +N or -N",
)
_RUN_OPTIONS = (
    OneOf(
        Option(
            "--plan",
            "--dry-run",
            action="store_true",
            help="print what would be done, and change nothing; exit status 1 if it would be "
            "refused",
        ),
        Option(
            "--sql",
            action="store_true",
            help="print a script for the sqlite3 shell, and change nothing",
        ),
    ),
    Option("--no-backup", action="store_true", help="make no backup before"),
    JSON.but(help="print what was done as JSON"),
)


def _target(default: str) -> Option:
    return _TARGET.but(
        nargs="?", default=default, help=f"{_TARGET.settings['help']} (default: {default})"
    )


COMMAND = Command(
    _migrate,
    options=_RUN_OPTIONS,
    commands={
        "upgrade": Command(
            _upgrade,
            "go up to a revision, by default the newest",
            description="Goes up to a revision in one transaction, after a verified backup beside "
            "the file. Killed at any moment, the file is as before or as after.",
            options=(_target("head"), *_RUN_OPTIONS),
            examples=(
                "nexuslims-store migrate upgrade --plan",
                "nexuslims-store migrate upgrade",
                "nexuslims-store migrate upgrade v2_4_0a",
                "nexuslims-store migrate upgrade --sql > upgrade.sql",
            ),
        ),
        "downgrade": Command(
            _downgrade,
            "go down to a revision, by default the one before",
            description="Goes down to an older revision, for an older NexusLIMS. Tables that it "
            "does not have are gone, with their rows; they are in the backup that is made first.",
            options=(
                _target("-1"),
                *_RUN_OPTIONS,
                Option(
                    "--yes",
                    action="store_true",
                    help="with --no-backup: do not ask before rows are dropped for good",
                ),
            ),
            examples=(
                "nexuslims-store migrate downgrade --plan",
                "nexuslims-store migrate downgrade v2_4_0b",
                "nexuslims-store migrate downgrade -1",
            ),
        ),
        "current": Command(_current, "print the revision of the database", options=(JSON,)),
        "check": Command(
            _check,
            "say whether the database is up to date",
            description="Says whether the database is at the newest revision. Exit status: 0 it "
            "is, 1 `migrate` has something to do, 2 an error.",
            options=(JSON,),
            examples=("nexuslims-store migrate check || nexuslims-store migrate",),
        ),
        "history": Command(
            _history, "list the revisions, and which the database has", options=(FORMS,)
        ),
        "stamp": Command(
            _stamp,
            "say at what revision the database is, without changing its tables",
            description="Writes the version row, for a file whose version row is wrong. The tables "
            "must be those of the revision.",
            options=(
                _TARGET,
                Option(
                    "--force",
                    action="store_true",
                    help="replace a version row that this package does not know; a newer "
                    "NexusLIMS may have written it, and need it",
                ),
                DRY_RUN.but(dest="plan"),
                JSON,
            ),
            examples=("nexuslims-store migrate stamp v1_4_3",),
        ),
        "new": Command(
            _new,
            "in a checkout, write the next migration's files",
            options=(
                Option("description", help="what the migration does, in a few words"),
                Option(
                    "--revision",
                    required=True,
                    help="its name, vMAJOR_MINOR_PATCH with a letter or none",
                ),
            ),
            examples=('nexuslims-store migrate new "add a thing" --revision v2_6_0a',),
        ),
    },
)
