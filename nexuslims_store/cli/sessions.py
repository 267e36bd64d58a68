"""`sessions`: list, show, reset, delete."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from datetime import datetime

from nexuslims_store.cli.declaration import Command, Option, UsageError
from nexuslims_store.cli.naming import session_called, sessions_to_change
from nexuslims_store.cli.opening import changed, open_store
from nexuslims_store.cli.options import (
    DESTROYS,
    ENDED_SINCE,
    FORMS,
    JSON,
    limit,
    require_span,
    statuses,
    time_span,
)
from nexuslims_store.cli.output import Listing, Output
from nexuslims_store.display import number
from nexuslims_store.enums import RecordStatus, StatusName
from nexuslims_store.errors import StoreError
from nexuslims_store.repository.instruments import unknown_instrument
from nexuslims_store.repository.resets import RETRIED
from nexuslims_store.repository.stored import iter_uploads_of, list_events
from nexuslims_store.results import ResetSummary, SessionOverview
from nexuslims_store.store import Store

_SESSIONS = Listing(
    ("session_identifier", "instrument", "start", "end", "hours", "user", "status"),
    ("start", "hours", "instrument", "user", "status", "session_identifier"),
    "no such sessions",
    decimals=("hours",),
)
_EVENTS = Listing(("time", "event_type", "record_status", "instrument", "user", "id_session_log"))
_UPLOADS = Listing(("time", "destination_name", "success", "record_id", "error_message"))


# -- looking ---------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace, output: Output) -> None:
    require_span(arguments)
    with open_store(arguments, read_only=True) as store:
        _require_known(store, arguments.instrument)
        found = store.sessions.iter_overview(
            arguments.since,
            arguments.until,
            statuses=arguments.status,
            instruments=arguments.instrument,
            user=arguments.user,
            limit=arguments.limit,
        )
        some, user = output.records(_SESSIONS, map(_record, found)), arguments.user
        if not (some or user is None or any(store.sessions.iter_overview(user=user, limit=1))):
            output.message(f"no session, of any time, is of a user {user!r}")


def _require_known(store: Store, pids: Iterable[str] | None) -> None:
    known = {stored["instrument_pid"] for stored in store.instruments.stored()}
    for pid in pids or ():
        if pid not in known:  # an empty list would hide a slip of the pen
            raise unknown_instrument(pid)


def _record(session: SessionOverview) -> dict[str, object]:
    duration = session.duration
    hours = None if duration is None else round(duration.total_seconds() / 3600, 2)
    return {name: hours if name == "hours" else getattr(session, name) for name in _SESSIONS.fields}


def _records(sessions: Iterable[SessionOverview]) -> list[dict[str, object]]:
    return list(map(_record, sessions))


def _show(arguments: argparse.Namespace, output: Output) -> None:
    with open_store(arguments, read_only=True) as store, store.transaction():
        database = store._database
        identifier = session_called(store, arguments.session_identifier)
        sessions = _records(store.sessions.overview(identifier))
        events = list_events(database, identifier)
        uploads = list(map(_attempt, iter_uploads_of(database, identifier)))
    if not all(isinstance(record["time"], datetime) for record in (*events, *uploads)):
        output.message("it has times that cannot be read: see `nexuslims-store doctor`")
    if output.form == "json":
        output.json({"sessions": sessions, "events": events, "uploads": uploads})
        return
    for session in sessions:
        output.pairs(session)
        output.line()
    output.records(_EVENTS, events)
    if uploads:
        output.line()
        output.records(_UPLOADS, uploads)


def _attempt(record: dict[str, object]) -> dict[str, object]:
    others = {
        name: value
        for name, value in record.items()
        if name not in {"timestamp", "session_identifier"}
    }
    return {"time": record["timestamp"], **others}


# -- reset -----------------------------------------------------------------------------------


def _reset(arguments: argparse.Namespace, output: Output) -> None:
    require_span(arguments)
    span = arguments.since or arguments.until or arguments.ended_since
    if arguments.sessions and (span or arguments.instrument):
        raise UsageError("name sessions, or give a span of time and instruments, not both")
    if not (arguments.sessions or span or arguments.status or arguments.instrument):
        raise UsageError(
            "say which: name sessions, or give --since, --until, --ended-since, --status or "
            "--instrument"
        )
    with open_store(arguments, read_only=False) as store:
        _require_known(store, arguments.instrument)
        named = sessions_to_change(store, arguments.sessions, output)
        shown: list[SessionOverview] | None = None
        if not arguments.yes and not arguments.dry_run:
            shown, _ = _try_reset(store, named, arguments, dry_run=True)
            question = f"have {number(len(shown), 'session')} built again?"
            if shown or not output.can_ask:
                output.agree(_SESSIONS, _records(shown), question)
        # Looked at and decided anew, in the transaction that writes: much may have happened
        # while the question waited for its answer.
        done, summary = _try_reset(store, named, arguments, dry_run=arguments.dry_run, shown=shown)
    if shown is None and output.form is None and done:
        output.records(_SESSIONS, _records(done))
    if shown is not None and len(shown) != len(done):
        output.message("not as many as were shown: other programs changed some in between")
    verb = "would reset" if arguments.dry_run else "reset"
    left_alone = {"without_consent": summary.without_consent, "being_built": summary.being_built}
    output.tell(
        f"{verb} {number(len(done), 'session')} to TO_BE_BUILT",
        {"count": len(done), "sessions": _records(done), **left_alone},
    )
    for reason, count in left_alone.items():
        if count:
            output.message(f"left alone: {number(count, 'session')} {reason.replace('_', ' ')}")


def _try_reset(
    store: Store,
    named: Sequence[str],
    arguments: argparse.Namespace,
    *,
    dry_run: bool,
    shown: Sequence[SessionOverview] | None = None,
) -> tuple[list[SessionOverview], ResetSummary]:
    """Reset in one transaction, all or none; a dry run meets every error and changes nothing.

    Where a person has agreed to what was `shown`, no other session is reset.
    """
    with changed(store, dry_run=dry_run):
        reset, summary = (
            _reset_named(store, named, arguments.status) if named else _reset_span(store, arguments)
        )
        if shown is not None and not set(map(_names, shown)).issuperset(map(_names, reset)):
            raise StoreError(
                "other programs have changed sessions since these were shown, and more would be "
                "reset now; nothing was changed. Look at them again, with the same command"
            )
    return reset, summary


def _names(session: SessionOverview) -> tuple[str, str]:
    return session.session_identifier, session.instrument


def _reset_named(
    store: Store, named: Sequence[str], wanted: Sequence[StatusName] | None
) -> tuple[list[SessionOverview], ResetSummary]:
    reset: list[SessionOverview] = []
    for identifier in named:
        before = store.sessions.overview(identifier)
        store.sessions.reset(identifier, wanted)
        chosen = [
            session
            for session in before
            if session.whole and (not wanted or session.status in wanted)
        ]
        if not chosen:
            raise _not_reset(before[0], wanted)
        reset += chosen
    return reset, ResetSummary(len(reset), 0, 0)


def _not_reset(session: SessionOverview, wanted: Sequence[str] | None) -> StoreError:
    if session.whole:
        why = f"is {session.status}, not {' or '.join(wanted or ())}"
    else:
        missing = "START" if session.start is None else "END"
        why = f"has no {missing} and cannot be built"
    return StoreError(f"session {session.session_identifier!r} {why}; nothing was changed")


def _reset_span(
    store: Store, arguments: argparse.Namespace
) -> tuple[list[SessionOverview], ResetSummary]:
    span, on = (arguments.since, arguments.until), arguments.instrument
    chosen = arguments.status or RETRIED
    waits = RecordStatus.TO_BE_BUILT
    before = [
        session
        for session in store.sessions.iter_overview(*span, statuses=chosen, instruments=on)
        if session.whole and session.status != waits
    ]
    summary = store.sessions.reset_between(
        span[0] or datetime.min,  # noqa: DTZ901 -- any time
        span[1] or datetime.max,  # noqa: DTZ901
        chosen,
        ended_since=arguments.ended_since,
        instruments=on,
    )
    waiting = set(map(_names, store.sessions.iter_overview(*span, statuses=[waits])))
    return [session for session in before if _names(session) in waiting], summary


# -- delete ----------------------------------------------------------------------------------


def _delete(arguments: argparse.Namespace, output: Output) -> None:
    with open_store(arguments, read_only=arguments.dry_run) as store:
        identifiers = sessions_to_change(store, arguments.sessions, output)
        found = _records(one for name in identifiers for one in store.sessions.overview(name))
        what = number(len(found), "session")
        output.agree(_SESSIONS, found, f"delete {what} with all events and uploads?")
        if not arguments.dry_run:
            with store.transaction():
                for name in identifiers:
                    store.sessions.delete(name)
    verb = "would delete" if arguments.dry_run else "deleted"
    sentence = f"{verb} {what} with all events and upload logs"
    output.tell(sentence, {"count": len(found), "sessions": found})


# -- the commands ----------------------------------------------------------------------------

_ANY_END = "its identifier, or any end of it that no other session has"
_ONE = Option("session_identifier", metavar="SESSION", help=_ANY_END)
_SPAN = time_span("sessions that started", "in the zone of each session's instrument")
_INSTRUMENT = Option(
    "--instrument",
    metavar="PID",
    action="append",
    help="only sessions on this instrument; may be given several times",
)
_STATUS = statuses("only sessions of this status")

COMMAND = Command(
    commands={
        "list": Command(
            _list,
            _STATUS,
            _INSTRUMENT,
            Option("--user", help="only sessions of this user"),
            *_SPAN,
            limit("sessions"),
            FORMS,
            summary="list sessions in the order of time",
            description="Lists sessions by their START in the order of time, whole or not: one "
            "that has no END yet has no hours. Times are in the zone of the instrument. A table "
            "is made to fit the terminal; elsewhere nothing is cut.",
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
            _ONE,
            JSON,
            summary="show one session with all its events and uploads",
            examples=(
                "nexuslims-store sessions show 'https://nemo.example.com/api/usage_events/?id=7'",
            ),
        ),
        "reset": Command(
            _reset,
            Option("sessions", metavar="SESSION", nargs="*", help=_ANY_END),
            *_SPAN,
            ENDED_SINCE,
            _STATUS,
            _INSTRUMENT,
            *DESTROYS,
            summary="have sessions built again",
            description="Sets whole sessions to TO_BE_BUILT, those named or those of a span of "
            f"time. Without --status, those of a span are the ones in {', '.join(RETRIED)}. "
            "Sessions without consent (NO_CONSENT, NO_RESERVATION) are left alone unless --status "
            "names it.",
            examples=(
                "nexuslims-store sessions reset --since 2025-01-13 --until 2025-01-19 --status "
                "ERROR",
                "nexuslims-store sessions reset --status ERROR --dry-run",
                "nexuslims-store sessions reset 'https://nemo.example.com/api/usage_events/?id=7'",
            ),
        ),
        "delete": Command(
            _delete,
            Option("sessions", metavar="SESSION", nargs="+", help=_ANY_END),
            *DESTROYS,
            summary="delete sessions with all their events and upload logs",
            examples=("nexuslims-store sessions delete test-session-1 --dry-run",),
        ),
    }
)
