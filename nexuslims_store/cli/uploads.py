"""`uploads`: list, failed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from nexuslims_store.cli.options import (
    Subparsers,
    add_command,
    add_formats,
    add_group,
    add_time_span,
    number_of,
    open_store,
)
from nexuslims_store.cli.output import Output
from nexuslims_store.models import UploadLog

__all__ = ["add_commands"]

_FIELDS = tuple(UploadLog.model_fields)
_COLUMNS = ("timestamp", "success", "destination_name", "session_identifier", "record_id")
_CUT_FIRST = ("session_identifier", "record_id", "error_message")
_FAILED_COLUMNS = ("timestamp", "destination_name", "session_identifier", "error_message")


def add_commands(commands: Subparsers) -> None:
    """Add `uploads` and its commands."""
    _, actions = add_group(commands, "uploads", "list attempts to export records, and failures")
    parser = add_command(
        actions,
        "list",
        _list,
        "list the attempts to export records, in the order of time",
        examples=[
            "nexuslims-store uploads list --limit 20",
            "nexuslims-store uploads list --destination cdcs --since 2025-01-13 --csv",
        ],
    )
    parser.add_argument(
        "--session",
        metavar="SESSION",
        action="append",
        help="only attempts for this session; may be given several times",
    )
    _add_destination(parser)
    add_time_span(parser, "attempts made", "UTC")
    parser.add_argument(
        "--limit", metavar="N", type=number_of, help="only so many attempts, the latest"
    )
    add_formats(parser, csv=True)

    parser = add_command(
        actions,
        "failed",
        _failed,
        "list sessions and destinations whose latest attempt failed",
        examples=["nexuslims-store uploads failed --json"],
    )
    _add_destination(parser)
    add_formats(parser, csv=True)


def _add_destination(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--destination",
        metavar="NAME",
        action="append",
        help="only attempts at this destination; may be given several times",
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
    _print(found, output, arguments.format, _COLUMNS, none="no such attempts")
    return 0


def _failed(arguments: argparse.Namespace, output: Output) -> int:
    wanted = arguments.destination
    with open_store(arguments, read_only=True) as store:
        failed = store.upload_logs.list_failed()
    found = [log for log in failed if not wanted or log.destination_name in wanted]
    _print(found, output, arguments.format, _FAILED_COLUMNS, none="no failed uploads")
    return 0


def _print(
    logs: Sequence[UploadLog], output: Output, form: str | None, columns: Sequence[str], none: str
) -> None:
    output.records(
        (log.model_dump() for log in logs),
        fields=_FIELDS,
        columns=columns,
        cut_first=_CUT_FIRST,
        form=form,
        none=none,
    )
