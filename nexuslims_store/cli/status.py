"""`status`: is the record builder healthy?"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from nexuslims_store import overview
from nexuslims_store.cli import prometheus
from nexuslims_store.cli.declaration import Command, OneOf, Option, flag
from nexuslims_store.cli.options import (
    JSON,
    SINCE,
    database_file,
    database_path,
    duration,
    number_of,
    path_of_folder,
)
from nexuslims_store.cli.output import Output
from nexuslims_store.config import dump_line
from nexuslims_store.display import age, cut, number, quoted, shown, size
from nexuslims_store.results import Claim
from nexuslims_store.revisions import BASE, head

# So many are named, the rest are counted.
_NAMED = 5


def _run(arguments: argparse.Namespace, output: Output) -> int | None:
    brief = arguments.quiet or arguments.prometheus
    path = database_path(arguments)
    if arguments.max_backup_age is not None or arguments.backups is not None:
        path = database_file(arguments, "a look at the backups", dump_line)
    found = overview.examine(
        path,
        timeout=arguments.timeout,
        lease=timedelta(hours=arguments.lease),
        since=arguments.since,
        backups=arguments.backups,
        with_use=not brief,
    )
    needs = list(found.needs(timedelta(days=arguments.patience), arguments.max_backup_age))
    if output.form == "json":
        output.json(_as_json(found, list(map(output.advice, needs))))
    elif arguments.prometheus:
        output.text(prometheus.text(found, len(needs)))
    else:
        output.line(_answer(needs))
        if not arguments.quiet:
            _print(found, needs, output)
    return 1 if needs and arguments.strict else None


def _answer(needs: Sequence[str]) -> str:
    if not needs:
        return "OK: nothing needs a person"
    return f"NEEDS A PERSON: {'; '.join(need.partition(': ')[0] for need in needs)}"


def _as_json(found: overview.Overview, needs: list[str]) -> dict[str, object]:
    work = found.work
    oldest = work.oldest_to_build
    return {
        "answer": _answer(needs),
        "path": found.path,
        "size": found.size,
        "journal_mode": found.journal_mode,
        "revision": found.plan.before,
        "head": head(),
        "pending_migrations": [step.revision for step in found.plan.steps],
        "newest_backup": found.newest_backup
        and {"path": found.newest_backup[0], "time": found.newest_backup[1]},
        "sessions_by_status": work.sessions,
        "failed_sessions": work.failed_sessions,
        "oldest_to_build": oldest
        and {
            **asdict(oldest),
            "waiting_seconds": work.waiting and int(work.waiting.total_seconds()),
        },
        "last_build": work.last_build,
        "unpaired": work.unpaired and [asdict(odd) for odd in work.unpaired],
        "builds_in_progress": [asdict(claim) for claim in work.builds],
        "stale_builds": [asdict(claim) for claim in work.stale_builds],
        "failed_uploads": work.failed_uploads,
        "instruments": [asdict(activity) for activity in work.instruments],
        "needs_a_person": needs,
    }


def _print(found: overview.Overview, needs: list[str], output: Output) -> None:
    output.line()
    output.pairs({"database": str(found.path), **dict(_facts(found))})
    if found.work.sessions:
        output.line()
        output.table(
            ["sessions by status", "sessions"],
            [[shown(status), f"{count:,}"] for status, count in found.work.sessions.items()],
        )
    if found.work.instruments:
        output.line()
        output.table(
            ["instrument", "sessions", "last session"],
            [
                [shown(used.instrument_pid), f"{used.sessions_total:,}", shown(used.last_session)]
                for used in found.work.instruments
            ],
        )
    # At the end, above the next prompt, what to do.
    if needs:
        output.line()
        output.line("needs a person:")
    for need in needs:
        output.line(f"- {need}")


def _facts(found: overview.Overview) -> Iterator[tuple[str, str]]:
    mode = found.journal_mode and f", journal mode {found.journal_mode}"
    yield "size", f"{size(found.size)}{mode or ''}"
    yield "revision", _revision(found)
    if found.plan.before:
        yield from _facts_of_work(found.work)
    if found.newest_backup is None:
        none = "not known here" if found.backups is None else f"none in {found.backups}"
        yield "newest backup", f"{none}; `{found.backup_command}` makes one"
    else:
        path, time = found.newest_backup
        yield "newest backup", f"{path.name}, {_ago(time, found.work.now)}"


def _facts_of_work(work: overview.Work) -> Iterator[tuple[str, str]]:
    oldest = work.oldest_to_build
    if oldest is None:
        yield "oldest to build", "none waits"
    else:
        ended = "" if work.waiting is None else f", ended {age(work.waiting)} ago"
        identifier, instrument = shown(oldest.session_identifier), shown(oldest.instrument)
        yield "oldest to build", f"{identifier} on {instrument}{ended}"
    yield "last build", "none yet" if work.last_build is None else _ago(work.last_build, work.now)
    yield "being built", _claims(work.builds, work.now)
    yield "stale builds", _claims(work.stale_builds, work.now)
    if work.unpaired is None:
        yield "unpaired", "not known before `nexuslims-store migrate`"
    else:
        yield (
            "unpaired",
            _named([f"{shown(odd.session_identifier)}: {odd.reason}" for odd in work.unpaired]),
        )
    if work.failed_uploads is not None:
        yield (
            "failed uploads",
            _named([f"{count:,} to {shown(name)}" for name, count in work.failed_uploads.items()]),
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
            f"{shown(claim.session_identifier)} on {shown(claim.instrument)} "
            + _since(claim.since, now)
            for claim in claims
        ]
    )


def _since(time: datetime | str, now: datetime) -> str:
    """Say since when a build goes on; one that is dated ahead is said to be."""
    if isinstance(time, datetime) and time <= now:
        return f"since {age(now - time)}"
    return f"dated {_ago(time, now)}"


def _ago(time: datetime | str, now: datetime) -> str:
    """Say when something was: what is ahead is said to be, and what is no time is shown."""
    if not isinstance(time, datetime):
        return quoted(time)
    if time > now:
        return f"{shown(time)}, which is {age(time - now)} ahead"
    return f"{age(now - time)} ago"


def _named(things: Sequence[str]) -> str:
    if not things:
        return "none"
    more = [f"and {len(things) - _NAMED} more"] if len(things) > _NAMED else []
    lines = [*map(cut, things[:_NAMED]), *more]
    return lines[0] if len(lines) == 1 else "\n".join(["", *(f"  {line}" for line in lines)])


COMMAND = Command(
    _run,
    SINCE.but(
        help="count only failures from this time on, a session by its END, an upload by its "
        "time: 7d, yesterday, 2025-01-13; without an offset, a time is UTC"
    ),
    Option(
        "--max-backup-age",
        metavar="DURATION",
        type=duration,
        help="say so if the newest backup, by the time in its name, is older: 26h, 2d; with "
        "--backups where they are not beside the database",
    ),
    Option(
        "--backups",
        metavar="DIR",
        type=path_of_folder,
        help="the folder of the backups (default: that of the database)",
    ),
    flag("--strict", help="exit status 1 if something needs a person"),
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
    OneOf(
        JSON,
        flag("--quiet", help="print the first line alone"),
        flag(
            "--prometheus",
            help="print metrics for the text file collector of a Prometheus node exporter",
        ),
    ),
    description="Says in its first line whether something needs a person; then what it is and what "
    "to do, the file, its revision and newest backup, sessions by status, the oldest session to "
    "build, builds, failed uploads, and the last session on each instrument. The file is opened "
    "read-only.",
    examples=(
        "nexuslims-store status",
        "nexuslims-store status --strict --since 7d --max-backup-age 26h --backups /mnt/backups "
        "--quiet",
        'found=$(nexuslims-store status --strict 2>&1) || echo "$found" | mail -s NexusLIMS '
        "me@example.com",
        "nexuslims-store status --prometheus > nexuslims.prom.tmp && mv nexuslims.prom.tmp "
        "nexuslims.prom",
    ),
)
