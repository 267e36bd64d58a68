"""Sessions: the pairs of START and END, what there is of them, their status, and harvesters."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from types import NoneType

from nexuslims_store import queries
from nexuslims_store.arguments import items, member, member_value, require_type
from nexuslims_store.display import number
from nexuslims_store.enums import EventType, RecordStatus, StatusName
from nexuslims_store.models import Instrument, Session, SessionLog
from nexuslims_store.repository.instruments import unknown_instrument
from nexuslims_store.repository.pairing import Pairing, warn
from nexuslims_store.repository.resets import SessionResets
from nexuslims_store.repository.views import with_views
from nexuslims_store.results import InsertSummary, NewSession, NewSessionTuple, UnpairedSession

_SQL = queries.load("session_log.sql")
_UPLOADS_SQL = queries.load("upload_log.sql")

# The arguments of `add`, in their order; a session needs the first four.
_ARGUMENTS = tuple(NewSession.__annotations__)
_NEEDED = frozenset(_ARGUMENTS[:4])

_logger = logging.getLogger("nexuslims_store")


class SessionRepository(SessionResets):
    """`store.sessions`: the sessions that the rows of `session_log` make.

    A START pairs with the END of the same `session_identifier` and instrument; of several
    STARTs or ENDs the newest row, that of the highest id, counts. The user is not compared.
    Events that make no session are never in the way of the others: a warning is logged, and
    `list_unpaired` returns them with the reason. A session's status is that of its START.

    Instruments may share an identifier: `get` then means the session that was stored last,
    `set_status`, `reset` and `delete` mean all of them, and what takes a `Session` means that one.

    Examples
    --------
    A harvester stores sessions:

    >>> store = make_store(make_instrument("Titan"))
    >>> nine, ten = datetime(2025, 7, 1, 9), datetime(2025, 7, 1, 10)
    >>> store.sessions.add("1", "Titan", nine, ten, user="alice").duration
    datetime.timedelta(seconds=3600)
    >>> store.sessions.add_many([("1", "Titan", nine, ten, "alice"), ("2", "Titan", ten, ten)])
    InsertSummary(inserted=2, updated=0, unchanged=2)

    Builders build their records:

    >>> [session.user for session in store.sessions.list_to_build()]
    ['alice', None]
    >>> store.sessions.oldest_to_build().session_identifier
    '1'
    >>> session = store.sessions.claim()
    >>> store.sessions.renew(session)
    >>> [claim.session_identifier for claim in store.sessions.list_claims()]
    ['1']
    >>> with store.sessions.building(session, {OSError: "NO_FILES_FOUND"}):
    ...     raise FileNotFoundError("no files between 9 and 10")
    >>> store.sessions.release(store.sessions.claim())
    True
    >>> store.sessions.finish(store.sessions.claim(), "COMPLETED")
    3

    And people look at them, and have them built again:

    >>> store.sessions.counts_by_status()
    {<RecordStatus.COMPLETED: 'COMPLETED'>: 1, <RecordStatus.NO_FILES_FOUND: 'NO_FILES_FOUND'>: 1}
    >>> store.sessions.get("2").dt_from.isoformat()
    '2025-07-01T10:00:00-04:00'
    >>> [found.session_identifier for found in store.sessions.iter_between(nine, ten)]
    ['1']
    >>> [found.status for found in store.sessions.iter_overview(user="alice")]
    ['NO_FILES_FOUND']
    >>> store.sessions.overview("2")[0].whole, store.sessions.list_unpaired()
    (True, [])
    >>> store.sessions.set_status("2", "ERROR", expected="COMPLETED")
    3
    >>> store.sessions.reset_between(ten, datetime(2025, 7, 2))
    ResetSummary(reset=1, without_consent=0, being_built=0)
    >>> store.sessions.reset("1", ["NO_FILES_FOUND"]), store.sessions.delete("2")
    (3, 3)
    >>> store.sessions.record_generation(session).user  # as NexusLIMS's own builder does
    'nexuslims'
    >>> store.close()
    """

    # -- what there is -----------------------------------------------------------------

    def get(self, session_identifier: str) -> Session | None:
        """Return the session of an identifier, whatever its status.

        Returns
        -------
        Session or None
            None where START or END is missing or END is before START. Where instruments share
            the identifier, the session whose START was stored last.

        Raises
        ------
        InvalidRowError
            A time cannot be read, or the instrument's row is not there or not valid.
        """
        require_type("session_identifier", session_identifier, str)
        rows = with_views(self._database).rows(
            _SQL.list_pairs_of_session, {"session_identifier": session_identifier}
        )
        pairing = Pairing(self._instruments)
        for row in rows:
            found = pairing.pair(row)
            if isinstance(found, Session):
                return found
            if pairing.invalid_row is not None:
                raise pairing.invalid_row
            warn(found)
        return None

    def list_to_build(self) -> list[Session]:
        """Return the sessions whose START and END are TO_BE_BUILT, in the order of time.

        Mirrors `nexusLIMS.db.session_handler.get_sessions_to_build`, which fails as a whole on
        one odd event, and wants START and END to have the same user.
        """
        sessions = []
        for found in self._pairs_to_build():
            if isinstance(found, Session):
                sessions.append(found)
            else:
                warn(found)
        return sessions

    def list_unpaired(self) -> list[UnpairedSession]:
        """Return the events TO_BE_BUILT that make no session, each with the reason."""
        return [found for found in self._pairs_to_build() if isinstance(found, UnpairedSession)]

    def iter_between(self, start: datetime, end: datetime) -> Iterator[Session]:
        """Yield the sessions that start in a span of time, in the order of time.

        Other programs cannot write to a database in rollback-journal mode (the default) before
        the iterator is used up or closed.

        Parameters
        ----------
        start, end
            The span: `start` belongs to it, `end` does not. A session that starts in it counts,
            even if it ends later. A naive time is taken in each instrument's own zone.
        """
        pairing = Pairing(self._instruments)
        for rows in self._rows_between(start, end):
            for found in pairing.pairs([row[:7] for row in rows]):
                if isinstance(found, Session):
                    yield found
                else:
                    warn(found)

    def counts_by_status(self) -> dict[RecordStatus, int]:
        """Return how many sessions are in each status.

        A session counts by its START, so events that lack one are not counted. A status that no
        session has is not in the dict, and 0 when asked for.
        """
        counts = _Counts()
        for status, sessions in with_views(self._database).rows(_SQL.count_sessions_by_status):
            try:
                counts[RecordStatus(status)] = sessions
            except ValueError:
                _logger.warning(
                    "%s with a status that is none: %r", number(sessions, "session"), status
                )
        return counts

    # -- harvesters --------------------------------------------------------------------

    def add(  # noqa: PLR0917 -- as NexusLIMS's users write it: who, where, from, to, by whom
        self,
        session_identifier: str,
        instrument: str | Instrument,
        start: datetime,
        end: datetime,
        user: str | None = None,
        status: RecordStatus | StatusName = RecordStatus.TO_BE_BUILT,
    ) -> Session:
        """Store a session's START and END, both or none, and return the session.

        Each event is stored as `session_logs.insert` does: a second call with a corrected time
        or user changes what is stored as long as no record was built.

        Parameters
        ----------
        instrument
            The instrument or its PID.
        start, end
            A naive time is taken in the instrument's zone.

        Raises
        ------
        UnknownInstrumentError
            No instrument has the PID.
        pydantic.ValidationError
            A value is not valid, or `end` is before `start`.
        """
        with self._database.transaction():
            known: dict[str, Instrument] = {}
            events = self._events(known, session_identifier, instrument, start, end, user, status)
            stored_start, stored_end = map(self._logs.insert, events)
            return Session(
                session_identifier=session_identifier,
                instrument=known[stored_start.instrument],
                dt_from=stored_start.timestamp,
                dt_to=stored_end.timestamp,
                user=stored_start.user,
            )

    def add_many(self, sessions: Iterable[NewSession | NewSessionTuple]) -> InsertSummary:
        """Store sessions as `add` does, all or none, in one transaction.

        Parameters
        ----------
        sessions
            For each session a tuple, or a dict (`NewSession`), of the arguments of `add`. Any
            iterable: it is read a few at a time, so that memory stays constant.

        Returns
        -------
        InsertSummary
            Numbers of events, two for each session.

        Raises
        ------
        As `add`; a note on the error says which session it was.
        """
        return self._logs._insert_valid(self._events_of_many(sessions))

    def delete(self, session_identifier: str) -> int:
        """Delete all events of a session and its upload logs; return the number of events.

        Where instruments share the identifier, those of all of them.
        """
        require_type("session_identifier", session_identifier, str)
        identifier = {"session_identifier": session_identifier}
        with self._database.transaction():
            self._database.change(_UPLOADS_SQL.delete_uploads_of_session, identifier)
            return self._database.change(_SQL.delete_session, identifier)

    # -- status ------------------------------------------------------------------------

    def set_status(
        self,
        session_identifier: str,
        status: RecordStatus | StatusName,
        expected: RecordStatus | StatusName | None = None,
    ) -> int:
        """Set the status of all rows of a session and return how many were changed.

        Whatever they are, and whoever builds the session: see `reset` and `finish`. Where
        instruments share the identifier, the rows of all of them.

        Parameters
        ----------
        expected
            If given, only rows of this status are changed, in one step: of two programs that
            try, one gets a number above 0.
        """
        require_type("session_identifier", session_identifier, str)
        values = {
            "session_identifier": session_identifier,
            "record_status": member_value("status", status, RecordStatus),
        }
        if expected is None:
            return self._database.change(_SQL.set_status, values)
        expected = member("expected", expected, RecordStatus)
        return self._database.change(_SQL.set_status_from, {**values, "expected": expected.value})

    # -- within ------------------------------------------------------------------------

    def _pairs_to_build(self) -> Iterator[Session | UnpairedSession]:
        rows = with_views(self._database).rows(_SQL.list_pairs_to_build)
        return Pairing(self._instruments).pairs(rows)

    def _events_of_many(
        self, sessions: Iterable[NewSession | NewSessionTuple]
    ) -> Iterator[SessionLog]:
        known: dict[str, Instrument] = {}
        for nth, one in enumerate(items("sessions", sessions, (tuple, Mapping)), start=1):
            try:
                given = (
                    one if isinstance(one, Mapping) else dict(zip(_ARGUMENTS, one, strict=False))
                )
                if len(given) < len(one) or not _NEEDED <= given.keys() <= set(_ARGUMENTS):
                    raise TypeError(
                        f"item {nth} of sessions must have {', '.join(_ARGUMENTS[:4])}, and may "
                        f"have user and status: not {one!r}"
                    )
                yield from self._events(known, **given)
            except Exception as error:
                error.add_note(f"in session {nth} of those given to add_many()")
                raise

    def _events(  # noqa: PLR0917 -- as add()
        self,
        known: dict[str, Instrument],
        session_identifier: str,
        instrument: str | Instrument,
        start: datetime,
        end: datetime,
        user: str | None = None,
        status: RecordStatus | StatusName = RecordStatus.TO_BE_BUILT,
    ) -> list[SessionLog]:
        """Return the START and END of a valid session; `known` keeps instruments between calls."""
        require_type("session_identifier", session_identifier, str)
        require_type("start", start, datetime)
        require_type("end", end, datetime)
        require_type("user", user, (str, NoneType))
        status = member("status", status, RecordStatus)
        pid = instrument.instrument_pid if isinstance(instrument, Instrument) else instrument
        require_type("instrument", pid, str)
        if pid not in known:
            found = self._instruments.get(pid)
            if found is None:
                raise unknown_instrument(pid)
            known[pid] = found
        session = Session(
            session_identifier=session_identifier,
            instrument=known[pid],
            dt_from=start,
            dt_to=end,
            user=user,
        )
        return [
            SessionLog(
                session_identifier=session_identifier,
                instrument=pid,
                timestamp=time,
                event_type=event_type,
                record_status=status,
                user=user,
            )
            for event_type, time in (
                (EventType.START, session.dt_from),
                (EventType.END, session.dt_to),
            )
        ]


class _Counts(dict[RecordStatus, int]):
    """Counts in which a status that is not there is 0."""

    def __missing__(self, status: RecordStatus) -> int:
        return 0
