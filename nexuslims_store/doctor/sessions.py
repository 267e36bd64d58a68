"""What the rows say together: events, sessions, uploads and claims that do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache

from nexuslims_store import queries
from nexuslims_store.connection import SQLiteDatabase
from nexuslims_store.doctor.finding import Finding, in_shell, shown
from nexuslims_store.repository import SessionRepository
from nexuslims_store.times import instant

__all__ = [
    "examine_claims",
    "examine_references",
    "examine_repeated",
    "examine_unpaired",
    "examine_uploads",
]

LEASE = timedelta(hours=6)
"""How long a claim is believed in: the default of `sessions.claim`."""


@cache
def _statements() -> queries.Queries:
    return queries.load("doctor.sql")


def examine_references(database: SQLiteDatabase) -> Iterator[Finding]:
    """Find the events on instruments that are not there."""
    for rows in database.stream(_statements()["list_unknown_instruments"]):
        for row_id, session, instrument, event in rows:
            yield Finding(
                "unknown-instrument",
                "error",
                f"session_log, row {row_id}: the {event} of session {shown(session)} is on the "
                f"instrument {shown(instrument)}, which is not there: its record cannot be built",
                "nexuslims-store instruments add  (with this PID), or nexuslims-store sessions "
                "delete",
                table="session_log",
                row_id=row_id,
                column="instrument",
            )


def examine_repeated(database: SQLiteDatabase) -> Iterator[Finding]:
    """Find events that are stored more than once."""
    for rows in database.stream(_statements()["list_repeated_events"]):
        for session, instrument, event, number, _, last_id, ids in rows:
            others = ", ".join(part for part in str(ids).split(", ") if part != str(last_id))
            yield Finding(
                "repeated-event",
                "warning",
                f"session_log: the {event} of session {shown(session)} on {shown(instrument)} is "
                f"stored {number} times (rows {ids}), by harvesters that ran at the same time; "
                f"the newest row, {last_id}, counts",
                in_shell(
                    database.path,
                    f"DELETE FROM session_log WHERE id_session_log IN ({others})",  # noqa: S608
                ),
                table="session_log",
                row_id=last_id,
            )


def examine_unpaired(database: SQLiteDatabase) -> Iterator[Finding]:
    """Find the events to be built that make no session. At the head revision only."""
    for odd in SessionRepository(database, _no_clock).list_unpaired():
        rows = " and ".join(str(row) for row in (odd.start_id, odd.end_id) if row is not None)
        yield Finding(
            "unpaired",
            "warning",
            f"session_log, row {rows}: session {shown(odd.session_identifier)} on "
            f"{shown(odd.instrument)} cannot be built: {odd.reason}",
            "run the harvester again, or nexuslims-store sessions delete",
            table="session_log",
            row_id=odd.start_id if odd.start_id is not None else odd.end_id,
        )


def examine_uploads(database: SQLiteDatabase) -> Iterator[Finding]:
    """Find attempts to export the record of a session that is not there."""
    for rows in database.stream(_statements()["list_orphaned_uploads"]):
        for row_id, session, destination in rows:
            yield Finding(
                "orphaned-upload",
                "warning",
                f"upload_log, row {row_id}: session {shown(session)}, whose record went to "
                f"{shown(destination)}, has no events in session_log",
                in_shell(database.path, f"DELETE FROM upload_log WHERE id = {row_id}"),  # noqa: S608
                table="upload_log",
                row_id=row_id,
                column="session_identifier",
            )


def examine_claims(database: SQLiteDatabase, now: datetime) -> Iterator[Finding]:
    """Find builders that began long ago and never said how it ended."""
    values = {"lease_start": instant(now - LEASE)}
    for rows in database.stream(_statements()["list_stale_claims"], values):
        for row_id, session, instrument, timestamp in rows:
            yield Finding(
                "stale-claim",
                "note",
                f"session_log, row {row_id}: a builder took session {shown(session)} on "
                f"{shown(instrument)} at {timestamp} and never said how it ended; its claim has "
                "run out, and keeps no other builder away",
                "run the record builder, or look into its log if that happens again",
                table="session_log",
                row_id=row_id,
            )


def _no_clock() -> datetime:
    raise AssertionError("nothing is written here")
