"""`uploads`: list, failed."""

from __future__ import annotations

import argparse

from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.opening import open_store
from nexuslims_store.cli.options import FORMS, limit, time_span
from nexuslims_store.cli.output import Listing, Output
from nexuslims_store.models import UploadLog

__all__ = ["COMMAND"]

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


def _list(arguments: argparse.Namespace, output: Output) -> int:
    with open_store(arguments, read_only=True) as store:
        # All before the first is printed; see `sessions list`.
        found = list(
            store.upload_logs.iter_between(
                arguments.since,
                arguments.until,
                session_identifiers=arguments.session,
                destinations=arguments.destination,
                limit=arguments.limit,
            )
        )
    output.records(_ATTEMPTS, (log.model_dump() for log in found))
    return 0


def _failed(arguments: argparse.Namespace, output: Output) -> int:
    wanted = arguments.destination
    with open_store(arguments, read_only=True) as store:
        failed = store.upload_logs.list_failed()
    found = [log for log in failed if not wanted or log.destination_name in wanted]
    output.records(_FAILURES, (log.model_dump() for log in found))
    return 0


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
            "list the attempts to export records, in the order of time",
            options=(
                Option(
                    "--session",
                    metavar="SESSION",
                    action="append",
                    help="only attempts for this session; may be given several times",
                ),
                _DESTINATION,
                *time_span("attempts made", "UTC"),
                limit("attempts"),
                FORMS,
            ),
            examples=(
                "nexuslims-store uploads list --limit 20",
                "nexuslims-store uploads list --destination cdcs --since 2025-01-13 --csv",
            ),
        ),
        "failed": Command(
            _failed,
            "list sessions and destinations whose latest attempt failed",
            options=(_DESTINATION, FORMS),
            examples=("nexuslims-store uploads failed --json",),
        ),
    }
)
