"""Sessions as people look at them: all of them, whatever their rows hold.

Nothing here makes a model of a row, so that one odd row hides no other, and most of it works at
every revision of the schema.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from types import NoneType
from typing import Any

from nexuslims_store import queries
from nexuslims_store.arguments import members, require_limit, require_type, texts
from nexuslims_store.database import Database
from nexuslims_store.display import as_stored
from nexuslims_store.enums import RecordStatus, StatusName
from nexuslims_store.models import Session
from nexuslims_store.repository.base import Repository
from nexuslims_store.repository.instruments import InstrumentRepository
from nexuslims_store.repository.pairing import Pairing
from nexuslims_store.repository.views import with_views
from nexuslims_store.results import Claim, SessionOverview
from nexuslims_store.times import aware, aware_end, day_before, instant, zone

_SQL = queries.load("session_log.sql")

_FIRST_LOOK = 32
_RECENT = 1000
_EARLIEST, _LATEST = -(2**63), 2**63 - 1
_NO_LEASE = {"lease_start": _LATEST, "lease_end": _EARLIEST}
_A_DAY = 86_400_000_000  # in microseconds; no offset from UTC is as long


class SessionOverviews(Repository):
    """The part of `store.sessions` that looks at sessions without making models of them."""

    _holds = "sessions"

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._instruments = InstrumentRepository(database)

    def iter_overview(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        statuses: Iterable[RecordStatus | StatusName] | None = None,
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
        require_type("start", start, (datetime, NoneType))
        require_type("end", end, (datetime, NoneType))
        require_type("user", user, (str, NoneType))
        require_limit(limit)
        wanted = None
        if statuses is not None:
            wanted = {one.value for one in members("statuses", statuses, RecordStatus)}
        on = None if instruments is None else set(texts("instruments", instruments))
        span = Span(start, end)

        def chosen(row: tuple[Any, ...]) -> bool:
            return (
                (on is None or row[1] in on)
                and (user is None or row[4] == user)
                and (wanted is None or row[5] in wanted)
                and span.includes(row[6], row[7])
            )

        earliest = span.earliest
        if limit is not None:
            # What was stored last is mostly the latest too. Where enough is chosen of all that
            # began since the first of that, nothing earlier need be looked at: 0.1 s for 1 s, of
            # 100,000 sessions.
            recent = {"number": limit + _RECENT}
            ((began,),) = with_views(self._database).rows(_SQL.get_began_of_recent, recent)
            if began is not None and began > earliest:
                with closing(self._rows_since(began)) as rows:
                    latest = deque(filter(chosen, rows), maxlen=limit)
                if len(latest) == limit:
                    yield from map(_overview, latest)
                    return
        with closing(self._rows_since(earliest)) as rows:
            found = filter(chosen, rows)
            # Rows rather than overviews are dropped where only the latest are wanted.
            yield from map(_overview, found if limit is None else deque(found, maxlen=limit))

    def overview(self, session_identifier: str) -> list[SessionOverview]:
        """Return what there is of a session: one for each instrument that has rows of it."""
        require_type("session_identifier", session_identifier, str)
        rows = with_views(self._database).rows(
            _SQL.list_overviews_of_session, {"session_identifier": session_identifier}
        )
        return [_overview(row) for row in rows]

    def oldest_to_build(self) -> SessionOverview | None:
        """Return the session that waits for a builder and started first, claimed or not.

        It is what `list_to_build` has first. At the head revision only.
        """
        for start_id, *_ in self._starts_to_build():
            session = self._to_build(start_id, Pairing(self._instruments), _NO_LEASE)
            if session is not None:
                found = self.overview(session.session_identifier)
                pid = session.instrument.instrument_pid
                return next(overview for overview in found if overview.instrument == pid)
        return None

    def list_claims(self) -> list[Claim]:
        """Return the newest claim of each session that waits to be built, stale or not."""
        return [
            Claim(identifier, instrument, row_id, local_time(timestamp, timezone))
            for identifier, instrument, row_id, timestamp, timezone in with_views(
                self._database
            ).rows(_SQL.list_claims)
        ]

    # -- within ------------------------------------------------------------------------

    def _rows_since(self, earliest: int) -> Generator[tuple[Any, ...]]:
        """Yield the rows of sessions that began at an instant or later, in the order of time."""
        database = with_views(self._database)
        if earliest == _EARLIEST:  # those too of which nobody can tell when they began
            chunks = database.stream(_SQL.list_overviews)
        else:
            since = {"earliest": earliest, "day": day_before(earliest)}
            chunks = database.stream(_SQL.list_overviews_since, since)
        with closing(chunks):
            for rows in chunks:
                yield from rows

    def _starts_to_build(self) -> Iterator[tuple[int, str, str]]:
        """Yield id, session and instrument of the STARTs to be built, in the order of time.

        They are read anew, more of them each time, as far as they are asked for: nearly always the
        first will do, and finding a few takes much less than sorting them all.
        """
        after: tuple[Any, ...] = (_EARLIEST, 0)
        number = _FIRST_LOOK
        while True:
            found = with_views(self._database).rows(
                _SQL.list_oldest_starts,
                {"after_instant": after[0], "after_id": after[1], "number": number},
            )
            for _, start_id, identifier, pid in found:
                yield start_id, identifier, pid
            if len(found) < number:
                return
            after, number = found[-1], number * 4

    def _to_build(
        self, start_id: int, pairing: Pairing, lease: Mapping[str, int]
    ) -> Session | None:
        """Return the session of a START if it is to be built and nothing about it is odd.

        One whose claim is dated within the lease is none.
        """
        rows = with_views(self._database).rows(
            _SQL.get_pair_to_build, {"start_id": start_id, **lease}
        )
        found = pairing.pair(rows[0]) if rows else None
        return found if isinstance(found, Session) else None


class Span:
    """A span of time whose bounds, if naive, are in each instrument's own zone.

    Attributes
    ----------
    earliest, latest
        Instants that nothing in the span lies outside of, whatever the zone.
    """

    def __init__(self, start: datetime | None, end: datetime | None) -> None:
        self._bounds = (start, end)
        self._instants: dict[str | None, tuple[int | None, int | None]] = {}  # by time zone
        self.earliest = _EARLIEST if start is None else instant(aware(start, UTC)) - _A_DAY
        self.latest = _LATEST if end is None else instant(aware(end, UTC)) + _A_DAY

    def includes(self, timezone: str | None, began: int | None) -> bool:
        """Whether an instant, on an instrument of this zone, lies in the span."""
        if self._bounds == (None, None):
            return True
        if timezone not in self._instants:
            start, end = self._bounds
            self._instants[timezone] = (
                _EARLIEST if start is None else _bound(start, timezone),
                _LATEST if end is None else _bound(end, timezone),
            )
        first, last = self._instants[timezone]
        # A naive bound is no instant on an instrument of an unknown zone.
        if began is None or first is None or last is None:
            return False
        return first <= began < last


def _bound(time: datetime, timezone: str | None) -> int | None:
    if time.utcoffset() is None:
        try:
            time = time.replace(tzinfo=zone(timezone or ""))  # which keeps its fold
        except ValueError:
            return None
    return instant(time)


def _overview(row: tuple[Any, ...]) -> SessionOverview:
    identifier, instrument, start, end, user, status, timezone, began, _ = row
    return SessionOverview(
        identifier,
        instrument,
        None if start is None else local_time(start, timezone),
        None if end is None else local_time(end, timezone, None if start is None else began),
        user,
        status,
    )


def local_time(stored: Any, timezone: str | None, start: int | None = None) -> datetime | str:
    """Return a stored time in the instrument's zone, or as it is where it is no time.

    `start` is the instant of the START that an END belongs to.
    """
    try:
        time = datetime.fromisoformat(stored)
    except (ValueError, TypeError):
        return str(as_stored(stored))
    try:
        local = zone(timezone or "")
        return aware_end(time, start, local).astimezone(local)
    except (ValueError, OverflowError):
        return str(as_stored(stored)) if time.utcoffset() is None else time
