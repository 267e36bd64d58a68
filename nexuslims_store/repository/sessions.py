"""Sessions: the pairs of START and END, their status, and who builds their records."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from nexuslims_store import queries
from nexuslims_store.database import Database
from nexuslims_store.enums import EventType, RecordStatus
from nexuslims_store.models import Instrument, Session, SessionLog, UnpairedSession
from nexuslims_store.repository.instruments import InstrumentRepository, unknown_instrument
from nexuslims_store.repository.overviews import SessionOverviews
from nexuslims_store.repository.pairing import Pairing, warn
from nexuslims_store.repository.session_logs import SessionLogRepository
from nexuslims_store.times import instant

__all__ = ["SessionRepository"]

_SQL = queries.load("session_log.sql")
_UPLOADS_SQL = queries.load("upload_log.sql")

_RETRIED = (RecordStatus.ERROR, RecordStatus.NO_FILES_FOUND, RecordStatus.BUILT_NOT_EXPORTED)
_BUILDER = "nexuslims"
_MICROSECOND = timedelta(microseconds=1)

_logger = logging.getLogger("nexuslims_store")


class SessionRepository(SessionOverviews):
    """`store.sessions`: the sessions that the rows of `session_log` make.

    A START pairs with the END of the same `session_identifier` and instrument; of several
    STARTs or ENDs the newest row, that of the highest id, counts. The user is not compared.
    Events that make no session are never in the way of the others: a warning is logged, and
    `list_unpaired` returns them with the reason.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        super().__init__(database)
        self._clock = clock
        self._logs = SessionLogRepository(database)
        self._instruments = InstrumentRepository(database)

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
        rows = self._database.rows(
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
        sessions: list[tuple[int, int, Session]] = []
        rows = self._database.rows(_SQL.list_pairs_to_build)
        for row, found in zip(rows, Pairing(self._instruments).pairs(rows), strict=True):
            if isinstance(found, Session):
                sessions.append((instant(found.dt_from), row[2], found))
            else:
                warn(found)
        sessions.sort()  # never by the session itself: the ids of the STARTs differ
        return [session for _, _, session in sessions]

    def list_unpaired(self) -> list[UnpairedSession]:
        """Return the events TO_BE_BUILT that make no session, each with the reason."""
        found = Pairing(self._instruments).pairs(self._database.rows(_SQL.list_pairs_to_build))
        return [odd for odd in found if isinstance(odd, UnpairedSession)]

    def iter_between(self, start: datetime, end: datetime) -> Iterator[Session]:
        """Yield the sessions that start in a span of time, in the order of time.

        Parameters
        ----------
        start, end
            The span: `start` belongs to it, `end` does not. A session that starts in it counts,
            even if it ends later. A naive time is taken in each instrument's own zone.
        """
        pairing = Pairing(self._instruments)
        for rows in self._database.stream(_SQL.list_pairs_between, _range(start, end)):
            for found in pairing.pairs(rows):
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
        for status, sessions in self._database.rows(_SQL.count_sessions_by_status):
            try:
                counts[RecordStatus(status)] = sessions
            except ValueError:
                _logger.warning("%d sessions have a status that is none: %r", sessions, status)
        return counts

    # -- harvesters --------------------------------------------------------------------

    def add(  # noqa: PLR0917 -- as NexusLIMS's users write it: who, where, from, to, by whom
        self,
        session_identifier: str,
        instrument: str | Instrument,
        start: datetime,
        end: datetime,
        user: str | None = None,
        status: RecordStatus = RecordStatus.TO_BE_BUILT,
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
        pid = instrument.instrument_pid if isinstance(instrument, Instrument) else instrument
        with self._database.transaction():
            known = self._instruments.get(pid)
            if known is None:
                raise unknown_instrument(pid)
            session = Session(
                session_identifier=session_identifier,
                instrument=known,
                dt_from=start,
                dt_to=end,
                user=user,
            )
            stored = [
                self._logs.insert(
                    SessionLog(
                        session_identifier=session_identifier,
                        instrument=pid,
                        timestamp=time,
                        event_type=event_type,
                        record_status=status,
                        user=user,
                    )
                )
                for event_type, time in (
                    (EventType.START, session.dt_from),
                    (EventType.END, session.dt_to),
                )
            ]
            return Session(
                session_identifier=session_identifier,
                instrument=known,
                dt_from=stored[0].timestamp,
                dt_to=stored[1].timestamp,
                user=stored[0].user,
            )

    def delete(self, session_identifier: str) -> int:
        """Delete all events of a session and its upload logs; return the number of events."""
        identifier = {"session_identifier": session_identifier}
        with self._database.transaction():
            self._database.change(_UPLOADS_SQL.delete_uploads_of_session, identifier)
            return self._database.change(_SQL.delete_session, identifier)

    # -- status ------------------------------------------------------------------------

    def set_status(
        self,
        session_identifier: str,
        status: RecordStatus | str,
        expected: RecordStatus | str | None = None,
    ) -> int:
        """Set the status of all rows of a session and return how many were changed.

        Parameters
        ----------
        expected
            If given, only rows of this status are changed, in one step: of two programs that
            try, one gets a number above 0.
        """
        values = {
            "session_identifier": session_identifier,
            "record_status": RecordStatus(status).value,
        }
        if expected is None:
            return self._database.change(_SQL.set_status, values)
        return self._database.change(
            _SQL.set_status_from, {**values, "expected": RecordStatus(expected).value}
        )

    def reset(self, session_identifier: str) -> int:
        """Set a session to be built again; return how many rows were changed."""
        return self.set_status(session_identifier, RecordStatus.TO_BE_BUILT)

    def reset_between(
        self,
        start: datetime,
        end: datetime,
        statuses: Iterable[RecordStatus | str] = _RETRIED,
    ) -> int:
        """Set the sessions that start in a span of time to be built again.

        Only whole sessions, with START and END, all rows of each. Where the user or a missing
        reservation withholds consent (NO_CONSENT, NO_RESERVATION), nothing is reset unless
        `statuses` names it.

        Parameters
        ----------
        start, end
            As for `iter_between`.
        statuses
            The statuses to reset from; a session's is that of its newest START.

        Returns
        -------
        int
            The number of sessions.
        """
        names = json.dumps([RecordStatus(status).value for status in statuses])
        rows = self._database.rows(
            _SQL.reset_sessions_between, {**_range(start, end), "statuses": names}
        )
        return len(set(rows))

    # -- builders ----------------------------------------------------------------------

    def record_generation(self, session: Session) -> SessionLog:
        """Store that a record of the session is being built now, and return the stored row.

        Mirrors `insert_record_generation_event` of `nexusLIMS.db.session_handler.Session`.
        """
        return self._logs.insert(
            SessionLog(
                session_identifier=session.session_identifier,
                instrument=session.instrument.instrument_pid,
                timestamp=session.instrument.localize_datetime(self._clock()),
                event_type=EventType.RECORD_GENERATION,
                record_status=RecordStatus.WAITING_FOR_END,
                user=_BUILDER,
            )
        )

    def claim(self, lease: timedelta = timedelta(hours=6)) -> Session | None:
        """Take the oldest session to build that no other builder works on.

        The claim is the session's RECORD_GENERATION event, so NexusLIMS's own builder counts as
        one. It ends with `finish` or `release`, or, should the builder die, with the lease.

        Parameters
        ----------
        lease
            How old another builder's claim must be for the session to be taken over.

        Returns
        -------
        Session or None
            None where there is nothing to build, or others are at work on all of it.
        """
        with self._database.transaction():
            # A lease that never ends begins with the earliest of all instants.
            lease_start = max(instant(self._clock()) - lease // _MICROSECOND, -(2**63))
            pairing = Pairing(self._instruments)
            for row in self._database.rows(_SQL.list_claimable_pairs, {"lease_start": lease_start}):
                session = pairing.pair(row)
                if isinstance(session, Session):
                    session._claim_id = self.record_generation(session).id_session_log
                    return session
        return None

    def release(self, session: Session) -> bool:
        """Give a claimed session back as if it had not been claimed.

        For a builder that finds it is too early, because files may still arrive.

        Returns
        -------
        bool
            False where there was no claim any more.
        """
        values: dict[str, object] = {
            "session_identifier": session.session_identifier,
            "instrument": session.instrument.instrument_pid,
        }
        if session._claim_id is None:
            return self._database.change(_SQL.release_newest_claim, values) > 0
        return (
            self._database.change(
                _SQL.release_claim, {**values, "id_session_log": session._claim_id}
            )
            > 0
        )

    def finish(self, session: Session, status: RecordStatus | str) -> int:
        """Set the outcome of a build: the status of all the session's rows, claims included.

        Returns
        -------
        int
            How many rows were changed.
        """
        return self._database.change(
            _SQL.finish_session,
            {
                "session_identifier": session.session_identifier,
                "instrument": session.instrument.instrument_pid,
                "record_status": RecordStatus(status).value,
            },
        )


class _Counts(dict[RecordStatus, int]):
    """Counts in which a status that is not there is 0."""

    def __missing__(self, status: RecordStatus) -> int:
        return 0


def _range(start: datetime, end: datetime) -> dict[str, object]:
    return {"range_start": start.isoformat(), "range_end": end.isoformat()}
