"""Rows as they are stored, for looking at: whatever they hold, none is refused or left out.

A time that can be read is a datetime; everything else is as SQLite has it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime

from nexuslims_store import queries
from nexuslims_store.database import Database
from nexuslims_store.models import ExternalUserIdentifier, UploadLog
from nexuslims_store.repository.views import with_views
from nexuslims_store.times import aware, from_instant

_OVERVIEW = queries.load("overview.sql")
_UPLOADS = queries.load("upload_log.sql")
_USERS = queries.load("external_user_identifiers.sql")

_UPLOAD_COLUMNS = tuple(UploadLog.model_fields)
_EVENT_COLUMNS = ("instrument", "event_type", "record_status", "user", "id_session_log")
_USER_COLUMNS = tuple(ExternalUserIdentifier.model_fields)

Record = dict[str, object]


def identifiers_ending(database: Database, ending: str, number: int) -> list[str]:
    """Return the identifiers of sessions that end with a text, `number` of them at most."""
    rows = database.rows(_OVERVIEW.list_identifiers_ending, {"ending": ending, "number": number})
    return [str(identifier) for (identifier,) in rows]


def list_events(database: Database, session_identifier: str) -> list[Record]:
    """Return the events of a session in the order of time, each in its instrument's zone."""
    events = []
    for time, *values, zone_name, moment in with_views(database).rows(
        _OVERVIEW.list_events_of_session, {"session_identifier": session_identifier}
    ):
        local = from_instant(moment, zone_name)
        event = dict(zip(_EVENT_COLUMNS, values, strict=True))
        events.append({"time": time if local is None else local, **event})
    return events


def iter_uploads(
    database: Database,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    session_identifiers: Collection[str] | None = None,
    destinations: Collection[str] | None = None,
    limit: int | None = None,
) -> Iterator[Record]:
    """Yield attempts to export a record in the order of time.

    Parameters
    ----------
    start, end
        The span: `start` belongs to it, `end` does not; None leaves that side open, and a naive
        time is taken as UTC. An attempt whose time cannot be read is in no span.
    session_identifiers, destinations
        Only attempts of one of these.
    limit
        Only that many, the latest.
    """
    if limit is not None and (start, end, session_identifiers, destinations) == (None,) * 4:
        yield from _upload_records(database, _UPLOADS.list_latest_uploads, {"number": limit})
        return
    chosen = (
        record
        for record in _upload_records(database, _UPLOADS.list_all_uploads)
        if (session_identifiers is None or record["session_identifier"] in session_identifiers)
        and (destinations is None or record["destination_name"] in destinations)
        and _within(record["timestamp"], start, end)
    )
    yield from chosen if limit is None else deque(chosen, maxlen=limit)


def iter_uploads_of(database: Database, session_identifier: str) -> Iterator[Record]:
    """Yield the attempts of one session in the order of time."""
    values = {"session_identifier": session_identifier}
    return _upload_records(database, _UPLOADS.list_uploads_of_session, values)


def iter_failed_uploads(
    database: Database,
    start: datetime | None = None,
    *,
    destinations: Collection[str] | None = None,
) -> Iterator[Record]:
    """Yield the latest attempt of each session and destination where that one failed.

    Parameters
    ----------
    start
        Only attempts from then on, and those whose time cannot be read.
    destinations
        Only attempts at one of these.
    """
    for record in _upload_records(with_views(database), _UPLOADS.list_failed_uploads):
        time = record["timestamp"]
        if (destinations is None or record["destination_name"] in destinations) and (
            not isinstance(time, datetime) or _within(time, start, None)
        ):
            yield record


def iter_external_ids(database: Database) -> Iterator[Record]:
    """Yield users' identifiers in other systems by user and system."""
    for rows in database.stream(_USERS.list_external_ids):
        for row in rows:
            record = dict(zip(_USER_COLUMNS, row, strict=True))
            for column in ("created_at", "last_verified_at"):
                record[column] = _time(record[column])
            yield record


def _upload_records(
    database: Database, statement: str, values: Mapping[str, object] | None = None
) -> Iterator[Record]:
    for rows in database.stream(statement, values or {}):
        for row in rows:
            record = dict(zip(_UPLOAD_COLUMNS, row, strict=True))
            record["timestamp"] = _time(record["timestamp"])
            if record["success"] in (0, 1):
                record["success"] = bool(record["success"])
            yield record


def _time(stored: object) -> object:
    try:
        return datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    except ValueError:
        return stored


def _within(time: object, start: datetime | None, end: datetime | None) -> bool:
    if start is None and end is None:
        return True
    if not isinstance(time, datetime):
        return False
    time = aware(time, UTC)
    return (start is None or time >= aware(start, UTC)) and (end is None or time < aware(end, UTC))
