"""`uploads`: list, failed."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from nexuslims_store.cli.declaration import Command, Option, flag
from nexuslims_store.cli.naming import names_to_look_for
from nexuslims_store.cli.opening import open_store
from nexuslims_store.cli.options import FORMS, limit, require_span, time_span
from nexuslims_store.cli.output import Listing, Output
from nexuslims_store.display import cut, shown
from nexuslims_store.models import UploadLog
from nexuslims_store.report.values import cause_of
from nexuslims_store.repository.stored import iter_failed_uploads, iter_uploads
from nexuslims_store.store import Store
from nexuslims_store.times import aware

_FIELDS = tuple(UploadLog.model_fields)
_ATTEMPTS = Listing(
    _FIELDS,
    ("timestamp", "success", "destination_name", "session_identifier", "record_id"),
    "no such attempts",
)
_FAILURES = Listing(
    _FIELDS,
    ("timestamp", "destination_name", "session_identifier", "error_message"),
    "no failed uploads",
)
_CAUSES = Listing(("destination_name", "cause", "sessions", "latest"), none="no failed uploads")

Record = dict[str, object]


def _list(arguments: argparse.Namespace, output: Output) -> None:
    require_span(arguments)
    with open_store(arguments, read_only=True) as store:
        found = iter_uploads(
            store._database,
            arguments.since,
            arguments.until,
            session_identifiers=(
                None if arguments.session is None else names_to_look_for(store, arguments.session)
            ),
            destinations=arguments.destination,
            limit=arguments.limit,
        )
        if not output.records(_ATTEMPTS, found):
            _name_unknown(store, arguments, output)


def _failed(arguments: argparse.Namespace, output: Output) -> None:
    with open_store(arguments, read_only=True) as store:
        found = iter_failed_uploads(
            store._database, arguments.since, destinations=arguments.destination
        )
        if arguments.by_cause:
            some = output.records(_CAUSES, _by_cause(found))
        else:
            some = output.records(_FAILURES, found)
        if not some:
            _name_unknown(store, arguments, output)


def _name_unknown(store: Store, arguments: argparse.Namespace, output: Output) -> None:
    """Say of which names nothing is known at all: an empty list would be taken for good."""
    for name in getattr(arguments, "session", None) or ():
        (identifier,) = names_to_look_for(store, [name])
        if not store.sessions.overview(identifier):
            output.message(f"there is no session {name!r}")
    if arguments.destination:
        known = {shown(one["destination_name"]) for one in iter_uploads(store._database)}
        known_names = ", ".join(map(cut, sorted(known))) or "nowhere"
        for name in sorted(set(arguments.destination) - known):
            output.message(f"nothing was ever sent to {name!r}, only to {known_names}")


def _by_cause(failures: Iterable[Record]) -> list[Record]:
    """Count failures by their destination and cause, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    latest: dict[tuple[str, str], datetime] = {}
    for failure in failures:
        key = shown(failure["destination_name"]), cause_of(failure["error_message"])
        counts[key] += 1
        time = failure["timestamp"]
        if isinstance(time, datetime):
            time = aware(time, UTC)
            latest[key] = max(time, latest.get(key, time))
    return [
        dict(zip(_CAUSES.fields, (*key, count, latest.get(key)), strict=True))
        for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


_DESTINATION = Option(
    "--destination",
    metavar="NAME",
    action="append",
    help="only attempts at this destination; may be given several times",
)

COMMAND = Command(
    commands={
        "list": Command(
            _list,
            Option(
                "--session",
                metavar="SESSION",
                action="append",
                help="only attempts for this session, by its identifier or a unique end of "
                "it; may be given several times",
            ),
            _DESTINATION,
            *time_span("attempts made", "UTC"),
            limit("attempts"),
            FORMS,
            summary="list the attempts to export records, in the order of time",
            examples=(
                "nexuslims-store uploads list --limit 20",
                "nexuslims-store uploads list --destination cdcs --since 2025-01-13 --csv",
            ),
        ),
        "failed": Command(
            _failed,
            _DESTINATION,
            time_span("attempts made", "UTC")[0],
            flag(
                "--by-cause",
                help="group them by destination and cause, with counts and the last time",
            ),
            FORMS,
            summary="list sessions and destinations whose latest attempt failed",
            description="Lists sessions and destinations whose latest attempt failed, or, by "
            "cause, how many there are of each kind of error.",
            examples=(
                "nexuslims-store uploads failed --since 7d",
                "nexuslims-store uploads failed --by-cause",
                "nexuslims-store uploads failed --json",
            ),
        ),
    }
)
