"""`status`: is the record builder healthy?"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from nexuslims_store import overview
from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.options import JSON, database_path, number_of
from nexuslims_store.cli.output import Output
from nexuslims_store.display import age, number, shown, size
from nexuslims_store.layouts import BASE
from nexuslims_store.results import Claim
from nexuslims_store.revisions import head

__all__ = ["COMMAND"]

# So many are named, the rest are counted.
_NAMED = 5


def _run(arguments: argparse.Namespace, output: Output) -> int:
    found = overview.examine(
        database_path(arguments),
        timeout=arguments.timeout,
        lease=timedelta(hours=arguments.lease),
    )
    needs = list(found.needs(timedelta(days=arguments.patience)))
    if output.form == "json":
        output.json(_as_json(found, needs))
    else:
        _print(found, needs, output)
    return 1 if needs and arguments.strict else 0


def _as_json(found: overview.Overview, needs: list[str]) -> dict[str, object]:
    oldest = found.work.oldest_to_build
    return {
        "path": found.path,
        "size": found.size,
        "journal_mode": found.journal_mode,
        "revision": found.plan.before,
        "head": head(),
        "pending_migrations": [step.revision for step in found.plan.steps],
        "newest_backup": found.newest_backup
        and {"path": found.newest_backup[0], "time": found.newest_backup[1]},
        "sessions_by_status": found.work.sessions,
        "oldest_to_build": oldest
        and {
            **asdict(oldest),
            "waiting_seconds": found.work.waiting and int(found.work.waiting.total_seconds()),
        },
        "unpaired": found.work.unpaired and [asdict(odd) for odd in found.work.unpaired],
        "builds_in_progress": [asdict(claim) for claim in found.work.builds],
        "stale_builds": [asdict(claim) for claim in found.work.stale_builds],
        "failed_uploads": found.work.failed_uploads,
        "instruments": [asdict(activity) for activity in found.work.instruments],
        "needs_a_person": needs,
    }


def _print(found: overview.Overview, needs: list[str], output: Output) -> None:
    output.pairs([("database", str(found.path)), *_facts(found)])
    if found.work.sessions:
        output.line()
        output.table(
            ["SESSIONS BY STATUS", "SESSIONS"],
            [[status, f"{count:,}"] for status, count in found.work.sessions.items()],
        )
    if found.work.instruments:
        output.line()
        output.table(
            ["INSTRUMENT", "SESSIONS", "LAST SESSION"],
            [
                [used.instrument_pid, f"{used.sessions_total:,}", shown(used.last_session)]
                for used in found.work.instruments
            ],
        )
    output.line()
    output.line("needs a person:" if needs else "nothing needs a person")
    for need in needs:
        output.line(f"- {need}")


def _facts(found: overview.Overview) -> Iterator[tuple[str, str]]:
    yield "size", f"{size(found.size)}, journal mode {found.journal_mode}"
    yield "revision", _revision(found)
    if found.newest_backup is None:
        yield "newest backup", "none beside the file; `nexuslims-store backup` makes one"
    else:
        path, time = found.newest_backup
        yield "newest backup", f"{path.name}, {age(found.work.now - time)} ago"
    if not found.plan.before:
        return
    oldest = found.work.oldest_to_build
    if oldest is None:
        yield "oldest to build", "none waits"
    else:
        ended = "" if found.work.waiting is None else f", ended {age(found.work.waiting)} ago"
        yield "oldest to build", f"{oldest.session_identifier} on {oldest.instrument}{ended}"
    yield "being built", _claims(found.work.builds, found.work.now)
    yield "stale builds", _claims(found.work.stale_builds, found.work.now)
    if found.work.unpaired is None:
        yield "unpaired", "not known before `nexuslims-store migrate`"
    else:
        yield (
            "unpaired",
            _named([f"{odd.session_identifier}: {odd.reason}" for odd in found.work.unpaired]),
        )
    if found.work.failed_uploads is not None:
        yield (
            "failed uploads",
            _named([f"{count:,} to {name}" for name, count in found.work.failed_uploads.items()]),
        )


def _revision(found: overview.Overview) -> str:
    revision = found.plan.before or BASE
    if not found.pending:
        return f"{revision}, up to date"
    if not found.plan.steps:
        return f"{revision}, not up to date"
    return f"{revision}, {number(len(found.plan.steps), 'migration')} pending"


def _claims(claims: Sequence[Claim], now: datetime) -> str:
    return _named(
        [
            f"{claim.session_identifier} on {claim.instrument} since {_since(claim, now)}"
            for claim in claims
        ]
    )


def _since(claim: Claim, now: datetime) -> str:
    return age(now - claim.since) if isinstance(claim.since, datetime) else repr(claim.since)


def _named(things: Sequence[str]) -> str:
    if not things:
        return "none"
    more = [f"and {len(things) - _NAMED} more"] if len(things) > _NAMED else []
    lines = [*things[:_NAMED], *more]
    return lines[0] if len(lines) == 1 else "\n".join(["", *(f"  {line}" for line in lines)])


COMMAND = Command(
    _run,
    description="Shows the file, its revision and newest backup, sessions by status, the oldest "
    "session to build, builds in progress, failed uploads, the last session on each instrument, "
    "and what needs a person. The file is opened read-only.",
    options=(
        Option("--strict", action="store_true", help="exit status 1 if something needs a person"),
        Option(
            "--lease",
            metavar="HOURS",
            type=number_of,
            default=6,
            help="after how long a build that has not ended is stale (default: 6)",
        ),
        Option(
            "--patience",
            metavar="DAYS",
            type=number_of,
            default=3,
            help="how long a session may wait to be built; NexusLIMS itself waits two days for "
            "files (default: 3)",
        ),
        JSON,
    ),
    examples=(
        "nexuslims-store status",
        "nexuslims-store status --strict > /dev/null || mail -s NexusLIMS me@example.com",
        "nexuslims-store status --json",
    ),
)
