"""`sessions`: list, show, reset, delete."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime

from nexuslims_store.cli.changes import REFUSED, confirmed
from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.opening import open_store
from nexuslims_store.cli.options import DRY_RUN, FORMS, JSON, YES, limit, statuses, time_span
from nexuslims_store.cli.output import Listing, Output
from nexuslims_store.display import number
from nexuslims_store.enums import RecordStatus
from nexuslims_store.errors import StoreError
from nexuslims_store.models import SessionLog
from nexuslims_store.repository.instruments import unknown_instrument
from nexuslims_store.results import SessionOverview
from nexuslims_store.store import Store

__all__ = ["COMMAND"]

_SESSIONS = Listing(
    ("session_identifier", "instrument", "start", "end", "hours", "user", "status"),
    ("start", "hours", "instrument", "user", "status", "session_identifier"),
    "no such sessions",
    decimals=("hours",),
)
_EVENTS = Listing(("time", "event_type", "record_status", "instrument", "user", "id_session_log"))
_UPLOADS = Listing(("time", "destination_name", "success", "record_id", "error_message"))

_WITHOUT_CONSENT = (RecordStatus.NO_CONSENT.value, RecordStatus.NO_RESERVATION.value)
_RETRIED = ("ERROR", "NO_FILES_FOUND", "BUILT_NOT_EXPORTED")


# -- looking ---------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace, output: Output) -> int:
    with open_store(arguments, read_only=True) as store:
        known = {stored["instrument_pid"] for stored in store.instruments.stored()}
        for pid in arguments.instrument or ():
            if pid not in known:  # an empty list would hide a slip of the pen
                raise unknown_instrument(pid)
        # All of them before the first is printed: a reader who takes his time over the output
        # must not keep other programs from writing.
        found = list(
            store.sessions.iter_overview(
                arguments.since,
                arguments.until,
                statuses=arguments.status,
                instruments=arguments.instrument,
                user=arguments.user,
                limit=arguments.limit,
            )
        )
    output.records(_SESSIONS, map(_record, found))
    return 0


def _record(session: SessionOverview) -> dict[str, object]:
    duration = session.duration
    return {
        "session_identifier": session.session_identifier,
        "instrument": session.instrument,
        "start": session.start,
        "end": session.end,
        "hours": None if duration is None else round(duration.total_seconds() / 3600, 2),
        "user": session.user,
        "status": session.status,
    }


def _show(arguments: argparse.Namespace, output: Output) -> int:
    identifier: str = arguments.session_identifier
    with open_store(arguments, read_only=True) as store:
        sessions = [_record(session) for session in _known(store, identifier)]
        events = [_event(store, log) for log in store.session_logs.list_for_session(identifier)]
        uploads = [
            {"time": log.timestamp, **log.model_dump(exclude={"timestamp", "session_identifier"})}
            for log in store.upload_logs.list_for_session(identifier)
        ]
    if output.form == "json":
        output.json({"sessions": sessions, "events": events, "uploads": uploads})
        return 0
    for session in sessions:
        output.pairs(session.items())
        output.line()
    output.records(_EVENTS, events)
    if uploads:
        output.line()
        output.records(_UPLOADS, uploads)
    return 0


def _event(store: Store, log: SessionLog) -> dict[str, object]:
    instrument = store.instruments.get(log.instrument)
    time = log.timestamp if instrument is None else instrument.localize_datetime(log.timestamp)
    return {"time": time, **log.model_dump(exclude={"timestamp", "session_identifier"})}


def _known(store: Store, identifier: str) -> list[SessionOverview]:
    found = store.sessions.overview(identifier)
    if not found:
        raise StoreError(
            f"there is no session {identifier!r}; `nexuslims-store sessions list` shows those "
            "there are"
        )
    return found


# -- changing --------------------------------------------------------------------------------


def _reset(arguments: argparse.Namespace, output: Output) -> int:
    identifiers = list(dict.fromkeys(arguments.session_identifiers))
    span = arguments.since or arguments.until
    if identifiers and span:
        raise StoreError("name sessions, or give --since and --until, not both")
    if not (identifiers or span or arguments.status):
        raise StoreError("say which: name sessions, or give --since, --until or --status")
    with open_store(arguments, read_only=arguments.dry_run) as store:
        if identifiers:
            found = [session for name in identifiers for session in _known(store, name)]
            _refuse_reset(found, arguments.status)
        else:
            chosen = arguments.status or _RETRIED
            overviews = store.sessions.iter_overview(
                arguments.since, arguments.until, statuses=chosen
            )
            found = [session for session in overviews if session.whole]
        what = number(len(found), "session")
        if not _go_on(found, f"have {what} built again?", arguments, output):
            return REFUSED
        count = len(found)
        if found and not arguments.dry_run:
            with store.transaction():
                if identifiers:
                    for name in identifiers:
                        store.sessions.reset(name, arguments.status)
                else:
                    start = arguments.since or datetime.min  # noqa: DTZ901 -- any time
                    end = arguments.until or datetime.max  # noqa: DTZ901
                    count = store.sessions.reset_between(start, end, chosen).reset
    verb = "would reset" if arguments.dry_run else "reset"
    _done(found, count, f"{verb} {number(count, 'session')} to TO_BE_BUILT", arguments, output)
    if count != len(found):
        output.message("not as many as were shown: other programs changed some in between")
    return 0


def _refuse_reset(found: Sequence[SessionOverview], named: Sequence[str] | None) -> None:
    for session in found:
        identifier, status = session.session_identifier, session.status
        if not session.whole:
            missing = "START" if session.start is None else "END"
            raise StoreError(
                f"session {identifier!r} has no {missing} and cannot be built; nothing was changed"
            )
        if named and status not in named:
            raise StoreError(
                f"session {identifier!r} is {status}, not {' or '.join(named)}; nothing was changed"
            )
        if not named and status in _WITHOUT_CONSENT:
            raise StoreError(
                f"session {identifier!r} is {status}, so it must not be built without the user's "
                f"consent; give --status {status} to reset it all the same"
            )


def _delete(arguments: argparse.Namespace, output: Output) -> int:
    identifiers = list(dict.fromkeys(arguments.session_identifiers))
    with open_store(arguments, read_only=arguments.dry_run) as store:
        found = [session for name in identifiers for session in _known(store, name)]
        what = f"{number(len(found), 'session')} with all events and upload logs"
        if not _go_on(found, f"delete {what}?", arguments, output):
            return REFUSED
        if not arguments.dry_run:
            with store.transaction():
                for name in identifiers:
                    store.sessions.delete(name)
    verb = "would delete" if arguments.dry_run else "deleted"
    _done(found, len(found), f"{verb} {what}", arguments, output)
    return 0


def _go_on(
    found: Sequence[SessionOverview], question: str, arguments: argparse.Namespace, output: Output
) -> bool:
    """Show what will be touched; return False after a no."""
    if found and output.form is None:
        output.records(_SESSIONS, map(_record, found))
    return not found or arguments.dry_run or confirmed(question, arguments, output)


def _done(
    found: Sequence[SessionOverview],
    count: int,
    sentence: str,
    arguments: argparse.Namespace,
    output: Output,
) -> None:
    if output.form == "json":
        output.json(
            {"dry_run": arguments.dry_run, "count": count, "sessions": list(map(_record, found))}
        )
    else:
        output.line(sentence)


# -- the commands ----------------------------------------------------------------------------

_ONE = Option("session_identifier", metavar="SESSION")
_SPAN = time_span("sessions that started", "in the zone of each session's instrument")
_STATUS = statuses("only sessions of this status")

COMMAND = Command(
    commands={
        "list": Command(
            _list,
            "list sessions in the order of time",
            description="Lists sessions by their START in the order of time, whole or not: one "
            "that has no END yet has no hours. Times are in the zone of the instrument. A table "
            "is made to fit the terminal; elsewhere nothing is cut.",
            options=(
                _STATUS,
                Option(
                    "--instrument",
                    metavar="PID",
                    action="append",
                    help="only sessions on this instrument; may be given several times",
                ),
                Option("--user", help="only sessions of this user"),
                *_SPAN,
                limit("sessions"),
                FORMS,
            ),
            examples=(
                "nexuslims-store sessions list --limit 20",
                "nexuslims-store sessions list --status ERROR,NO_FILES_FOUND --since 7d",
                "nexuslims-store sessions list --since 2025-01-13 --until 2025-01-19 --csv > "
                "week.csv",
                "nexuslims-store sessions list --instrument FEI-Titan-TEM-012345 --user alice "
                "--json",
            ),
        ),
        "show": Command(
            _show,
            "show one session with all its events and uploads",
            options=(_ONE, JSON),
            examples=(
                "nexuslims-store sessions show 'https://nemo.example.com/api/usage_events/?id=7'",
            ),
        ),
        "reset": Command(
            _reset,
            "have sessions built again",
            description="Sets whole sessions to TO_BE_BUILT, those named or those of a span of "
            f"time. Without --status, those of a span are the ones in {', '.join(_RETRIED)}. "
            "Sessions without consent (NO_CONSENT, NO_RESERVATION) are left alone unless --status "
            "names it.",
            options=(
                Option("session_identifiers", metavar="SESSION", nargs="*"),
                *_SPAN,
                _STATUS,
                YES,
                DRY_RUN,
                JSON,
            ),
            examples=(
                "nexuslims-store sessions reset --since 2025-01-13 --until 2025-01-19 --status "
                "ERROR",
                "nexuslims-store sessions reset --status ERROR --dry-run",
                "nexuslims-store sessions reset 'https://nemo.example.com/api/usage_events/?id=7'",
            ),
        ),
        "delete": Command(
            _delete,
            "delete sessions with all their events and upload logs",
            options=(
                Option("session_identifiers", metavar="SESSION", nargs="+"),
                YES,
                DRY_RUN,
                JSON,
            ),
            examples=("nexuslims-store sessions delete test-session-1 --dry-run",),
        ),
    }
)
