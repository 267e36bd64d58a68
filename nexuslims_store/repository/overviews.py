"""Sessions as people look at them: all of them, whatever their rows hold.

Nothing here makes a model of a row, so that one odd row hides no other, and most of it works at
every revision of the schema.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from nexuslims_store import queries
from nexuslims_store.database import Database
from nexuslims_store.enums import RecordStatus
from nexuslims_store.times import aware, stored_instant, zone

__all__ = ["Claim", "SessionOverview", "SessionOverviews"]

_SQL = queries.load("session_log.sql")


@dataclass(frozen=True, slots=True)
class SessionOverview:
    """A session as far as its rows tell, complete or not.

    Attributes
    ----------
    session_identifier, instrument, user, status
        As stored. The status is that of the newest START or, without one, of the newest END.
    start, end
        In the instrument's zone; None where there is no such event; as stored where it is no
        time, or has no offset and the instrument has no valid zone.
    """

    session_identifier: str
    instrument: str
    start: datetime | str | None
    end: datetime | str | None
    user: str | None
    status: str

    @property
    def whole(self) -> bool:
        """Whether START and END are there, be they readable or not."""
        return self.start is not None and self.end is not None

    @property
    def duration(self) -> timedelta | None:
        """The time between START and END, if both can be read."""
        if isinstance(self.start, datetime) and isinstance(self.end, datetime):
            return self.end.astimezone(UTC) - self.start.astimezone(UTC)
        return None


@dataclass(frozen=True, slots=True)
class Claim:
    """A build that began and has not ended.

    Attributes
    ----------
    session_identifier, instrument
        The session that is built.
    id_session_log
        The row that says so.
    since
        When it began, as for `SessionOverview.start`.
    """

    session_identifier: str
    instrument: str
    id_session_log: int
    since: datetime | str

    def is_stale(self, now: datetime, lease: timedelta) -> bool:
        """Whether its lease has run out, so that `claim` gives the session to another builder."""
        # One whose time cannot be read keeps nobody from the session either.
        return not isinstance(self.since, datetime) or now - self.since >= lease


class SessionOverviews:
    """The part of `store.sessions` that looks at sessions without making models of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def iter_overview(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        statuses: Iterable[RecordStatus | str] | None = None,
        instruments: Iterable[str] | None = None,
        user: str | None = None,
        limit: int | None = None,
    ) -> Iterator[SessionOverview]:
        """Yield sessions, whole or not, in the order of time.

        Parameters
        ----------
        start, end
            A span of time, as for `iter_between`; None leaves that side open. A session without
            a START counts by its END.
        statuses, instruments, user
            Only sessions with one of these.
        limit
            Only that many, the latest.
        """
        wanted = None if statuses is None else {RecordStatus(status).value for status in statuses}
        on = None if instruments is None else set(instruments)
        span = _Span(start, end)
        with closing(self._database.stream(_SQL.list_overviews)) as chunks:
            chosen = (
                row
                for rows in chunks
                for row in rows
                if (on is None or row[1] in on)
                and (user is None or row[4] == user)
                and (wanted is None or row[5] in wanted)
                and span.includes(*row[6:])
            )
            # Rows rather than overviews are dropped where only the latest are wanted.
            yield from map(_overview, chosen if limit is None else deque(chosen, maxlen=limit))

    def overview(self, session_identifier: str) -> list[SessionOverview]:
        """Return what there is of a session: one for each instrument that has rows of it."""
        rows = self._database.rows(
            _SQL.list_overviews_of_session, {"session_identifier": session_identifier}
        )
        return [_overview(row) for row in rows]

    def oldest_to_build(self) -> SessionOverview | None:
        """Return the session that waits for a builder and started first."""
        ((identifier, instrument, _),) = self._database.rows(_SQL.get_oldest_to_build)
        if identifier is None:
            return None
        found = self.overview(identifier)
        return next(overview for overview in found if overview.instrument == instrument)

    def list_claims(self) -> list[Claim]:
        """Return the newest claim of each session that waits to be built, stale or not."""
        return [
            Claim(identifier, instrument, row_id, _local_time(timestamp, timezone))
            for identifier, instrument, row_id, timestamp, timezone in self._database.rows(
                _SQL.list_claims
            )
        ]


class _Span:
    """A span of time whose bounds, if naive, are in each instrument's own zone."""

    def __init__(self, start: datetime | None, end: datetime | None) -> None:
        self._open = start is None and end is None
        self._start = (start or datetime.min.replace(tzinfo=UTC)).isoformat()
        self._end = (end or datetime.max.replace(tzinfo=UTC)).isoformat()
        self._instants: dict[str | None, tuple[int | None, int | None]] = {}  # by time zone

    def includes(self, timezone: str | None, began: int | None) -> bool:
        """Whether an instant, on an instrument of this zone, lies in the span."""
        if self._open:
            return True
        if timezone not in self._instants:
            self._instants[timezone] = (
                stored_instant(self._start, timezone),
                stored_instant(self._end, timezone),
            )
        start, end = self._instants[timezone]
        # A naive bound is no instant on an instrument of an unknown zone.
        if began is None or start is None or end is None:
            return False
        return start <= began < end


def _overview(row: tuple[Any, ...]) -> SessionOverview:
    identifier, instrument, start, end, user, status, timezone, _ = row
    return SessionOverview(
        identifier,
        instrument,
        None if start is None else _local_time(start, timezone),
        None if end is None else _local_time(end, timezone),
        user,
        status,
    )


def _local_time(stored: Any, timezone: str | None) -> datetime | str:
    try:
        time = datetime.fromisoformat(stored)
    except (ValueError, TypeError):
        return str(stored)
    try:
        local = zone(timezone or "")
        return aware(time, local).astimezone(local)
    except (ValueError, OverflowError):
        return str(stored) if time.utcoffset() is None else time
