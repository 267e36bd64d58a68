"""Builders that share the work: who builds a session, and how it ended.

The claim of a session is its RECORD_GENERATION event in WAITING_FOR_END, so NexusLIMS's own
builder counts as one. The newest claim holds; what it is, is said in `sql/views.sql`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timedelta
from itertools import chain, islice
from types import NoneType
from typing import TypeVar

from nexuslims_store import queries
from nexuslims_store.arguments import items, member, member_value, require_type
from nexuslims_store.connection import MEMORY
from nexuslims_store.database import Database
from nexuslims_store.enums import EventType, RecordStatus, StatusName
from nexuslims_store.errors import ClaimLostError, InvalidValueError, StoreError
from nexuslims_store.models import Session, SessionLog
from nexuslims_store.repository.overviews import SessionOverviews
from nexuslims_store.repository.pairing import Pairing
from nexuslims_store.repository.session_logs import SessionLogRepository
from nexuslims_store.repository.views import with_views
from nexuslims_store.results import CLOCK_SKEW, LEASE
from nexuslims_store.times import instant

_SQL = queries.load("session_log.sql")

_BUILDER = "nexuslims"
_AT_ONCE = 16  # sessions that a claim looks at while it holds the write lock
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS_A_SECOND = 1_000_000

Raised = TypeVar("Raised", bound=BaseException)

# When a claim was last released in this process, by file: SQLite gives its id to the next one.
_RELEASED: dict[str, datetime] = {}

_logger = logging.getLogger("nexuslims_store")


class SessionClaims(SessionOverviews):
    """The part of `store.sessions` that record builders use."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        super().__init__(database)
        self._clock = clock
        self._logs = SessionLogRepository(database)
        self._released = {} if database.name == str(MEMORY) else _RELEASED

    def record_generation(self, session: Session) -> SessionLog:
        """Store that a record of the session is being built now, and return the stored row.

        Mirrors `insert_record_generation_event` of `nexusLIMS.db.session_handler.Session`.
        """
        require_type("session", session, Session)
        return self._logs.insert(
            SessionLog(
                session_identifier=session.session_identifier,
                instrument=session.instrument.instrument_pid,
                timestamp=session.instrument.localize_datetime(
                    self._now_unlike(self._released.get(self._database.name))
                ),
                event_type=EventType.RECORD_GENERATION,
                record_status=RecordStatus.WAITING_FOR_END,
                user=_BUILDER,
            )
        )

    def claim(
        self, lease: timedelta = LEASE, skip: Collection[str | Session] = ()
    ) -> Session | None:
        """Take the oldest session to build that no other builder works on.

        The claim is the session's RECORD_GENERATION event. It ends with `finish` or `release`,
        or, should the builder die, with the lease. What is returned knows its claim, also after
        it was pickled and sent to another process.

        Parameters
        ----------
        lease
            How old another builder's claim must be for the session to be taken over. A claim
            that is dated more than some minutes later than now is of a clock that is wrong, and
            counts as one that ran out.
        skip
            Sessions not to take, for example those that this run has released as too early:
            their identifiers, or the sessions.

        Returns
        -------
        Session or None
            None where there is nothing to build, or others are at work on all of it.
        """
        require_type("lease", lease, timedelta)
        skipped = _names_of(skip)
        pairing = Pairing(self._instruments)
        session: Session | None = None
        try:
            starts = (
                start_id
                for start_id, *names in self._starts_to_build()
                if skipped.isdisjoint((names[0], tuple(names)))
            )
            for start_id in starts:
                # Looked at before the write lock is taken, and once more under it.
                if self._claimable(start_id, lease, pairing) is None:
                    continue
                with self._database.transaction(as_one=True):
                    # Who waited for the lock may have been overtaken, by several: to wait once more
                    # for each next one would have many builders stand in line all the time.
                    for candidate in chain([start_id], islice(starts, _AT_ONCE)):
                        session = self._claimable(candidate, lease, pairing)
                        if session is not None:
                            self._hold(session, self.record_generation(session))
                            break
                if session is not None:
                    return session
        except BaseException:
            if session is not None:
                self._give_up(session)
            raise
        return None

    def renew(self, session: Session) -> None:
        """Date the claim of a session anew, so that its lease begins now.

        The session in hand stays good; copies that were made of it before do not.

        Raises
        ------
        ClaimLostError
            The claim is not the newest any more, or the session was finished or not claimed.
        """
        with self._database.transaction(as_one=True):
            row_id, timestamp = self._held(session)
            now = session.instrument.localize_datetime(
                self._now_unlike(datetime.fromisoformat(timestamp))
            ).isoformat()
            # Both hold, since nobody can tell in the moment of an interrupt which one is stored.
            session._claim = (row_id, (timestamp, now))
            self._database.change(_SQL.renew_claim, {"id_session_log": row_id, "timestamp": now})

    def release(self, session: Session) -> bool:
        """Give a claimed session back as if it had not been claimed.

        For a builder that finds it is too early, because files may still arrive.

        Returns
        -------
        bool
            True: whatever keeps the claim from being released is an error.

        Raises
        ------
        ClaimLostError
            As for `renew`; nothing is changed.
        """
        timestamp = self._take_back(session)
        self._released[self._database.name] = datetime.fromisoformat(timestamp)
        session._settled = True
        return True

    def finish(self, session: Session, status: RecordStatus | StatusName) -> int:
        """Set the outcome of a build: the status of all the session's rows, claims included.

        A session that was not claimed (from `get` or `list_to_build`) is finished whatever
        others do.

        Returns
        -------
        int
            How many rows were changed.

        Raises
        ------
        ClaimLostError
            The session was claimed, and its claim is not the newest any more, or the session was
            finished meanwhile; nothing is changed. A claim that ran out, but that nobody took
            over, still holds.
        """
        require_type("session", session, Session)
        values = {**_names(session), "record_status": member_value("status", status, RecordStatus)}
        if session._claim is None:
            changed = self._database.change(_SQL.finish_session, values)
        else:
            with self._database.transaction(as_one=True):
                self._held(session)
                changed = self._database.change(_SQL.finish_session, values)
        session._settled = True
        return changed

    def building(
        self,
        session: Session,
        outcomes: Mapping[type[Raised], RecordStatus | StatusName] | None = None,
    ) -> AbstractContextManager[Session]:
        """Finish a claimed session according to how the block ends, as a context manager.

        A block that goes well means COMPLETED. An exception that `outcomes` names means that
        outcome, and goes no further. Any other means ERROR and goes on, but one that is no
        `Exception` (KeyboardInterrupt, SystemExit, a cancelled task) releases the session. What
        the block itself has finished or released, through the same session, stays.

        Parameters
        ----------
        outcomes
            For example `{FileNotFoundError: RecordStatus.NO_FILES_FOUND}`. Of several that an
            exception is an instance of, the first holds, as with `except`. A status that only
            waits, TO_BE_BUILT or WAITING_FOR_END, is none.

        Raises
        ------
        ClaimLostError
            The claim was lost while the block went well. Where the block raises, that is only
            logged.
        InvalidValueError
            `outcomes` has a value that is no outcome.
        """
        require_type("session", session, Session)
        require_type("outcomes", outcomes, (Mapping, NoneType))
        statuses = {}
        for kind, status in (outcomes or {}).items():
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise TypeError(f"outcomes must have exception classes for keys, not {kind!r}")
            outcome = member("outcomes", status, RecordStatus)
            if outcome in {RecordStatus.TO_BE_BUILT, RecordStatus.WAITING_FOR_END}:
                raise InvalidValueError(
                    f"outcomes has {outcome.value} for {kind.__name__}, which is no outcome: the "
                    "session would be claimed again at once. For another try later, "
                    "release(session) inside the block, and claim(skip=…)"
                )
            statuses[kind] = outcome
        return self._building(session, statuses)

    @contextmanager
    def _building(
        self, session: Session, statuses: Mapping[type[Raised], RecordStatus]
    ) -> Iterator[Session]:
        try:
            yield session
        except BaseException as error:
            named = next((kind for kind in statuses if isinstance(error, kind)), None)
            if named is not None:
                outcome: RecordStatus | None = statuses[named]
            else:
                outcome = RecordStatus.ERROR if isinstance(error, Exception) else None
            try:
                self._settle(session, outcome)
            except StoreError as failure:
                if named is not None and not isinstance(failure, ClaimLostError):
                    raise
                _logger.warning(
                    "session %r could not be %s: %s",
                    session.session_identifier,
                    "released" if outcome is None else f"set to {outcome.value}",
                    failure,
                    extra=_names(session),
                )
            if named is None:
                raise
        else:
            self._settle(session, RecordStatus.COMPLETED)

    # -- within ------------------------------------------------------------------------

    def _settle(self, session: Session, status: RecordStatus | None) -> None:
        """Finish a session, or release it (None), unless that was done already."""
        if session._claim is None and session._settled:
            return
        try:
            if status is None:
                self.release(session)
            else:
                self.finish(session, status)
        except ClaimLostError:
            # Asked of the database: what was done in a transaction may have been undone with it.
            if not session._settled:
                raise
        except Exception:
            raise
        except BaseException:
            self._give_up(session)
            raise

    def _give_up(self, session: Session) -> None:
        """Release a session after an interrupt, if its claim is stored and holds."""
        with suppress(StoreError):
            self._take_back(session)

    def _take_back(self, session: Session) -> str:
        """Delete the claim of a session, which must hold, and return its time."""
        with self._database.transaction(as_one=True):
            row_id, timestamp = self._held(session)
            self._database.change(_SQL.remove_session_log, {"id_session_log": row_id})
        return timestamp

    def _claimable(self, start_id: int, lease: timedelta, pairing: Pairing) -> Session | None:
        """Return the session of a START if it is to be built and no builder has it."""
        return self._to_build(start_id, pairing, self._span_of(lease))

    def _is_claimed(self, start_id: int) -> bool:
        """Return whether a builder works on the session of a START, by its lease."""
        ((claimed,),) = with_views(self._database).rows(
            _SQL.is_claimed, {"start_id": start_id, **self._span_of(LEASE)}
        )
        return bool(claimed)

    def _span_of(self, lease: timedelta) -> dict[str, int]:
        """Return between which instants a claim is dated that holds now."""
        now = instant(self._clock())
        return {
            # A lease that never ends begins with the earliest of all instants.
            "lease_start": max(now - lease // _MICROSECOND, -(2**63)),
            "lease_end": now + CLOCK_SKEW // _MICROSECOND,
        }

    @staticmethod
    def _hold(session: Session, claim: SessionLog) -> None:
        assert claim.id_session_log is not None  # noqa: S101 -- it is stored
        session._claim = (claim.id_session_log, (claim.timestamp.isoformat(),))

    def _held(self, session: Session) -> tuple[int, str]:
        """Return the claim of a session, which must be the newest; asked under the write lock."""
        require_type("session", session, Session)
        if session._claim is None:
            raise ClaimLostError(
                f"the session {session.session_identifier!r} was not claimed; `sessions.claim()` "
                "returns one that is"
            )
        row_id, timestamps = session._claim
        rows = with_views(self._database).rows(
            _SQL.get_claim, {**_names(session), "claim_id": row_id}
        )
        if not rows or rows[0][0] not in timestamps:
            raise ClaimLostError(
                f"the claim of {timestamps[-1]} on the session {session.session_identifier!r} does "
                "not hold any more: it was released, another builder has taken the session over, "
                "or it was finished or reset; nothing was changed. Leave it, and claim() another"
            )
        return row_id, rows[0][0]

    def _now_unlike(self, other: datetime | None) -> datetime:
        """Return the present time, a little later where it would not differ from another claim's.

        A clock that stands still, or is set back a little, must not give two claims one time.
        """
        now = self._clock()
        if other is None:
            return now
        ahead = instant(other) - instant(now)
        return now + _MICROSECOND * (ahead + 1) if 0 <= ahead < _MICROSECONDS_A_SECOND else now


def _names_of(skip: Collection[str | Session]) -> set[object]:
    """Return what `skip` names: identifiers, and pairs of identifier and instrument."""
    return {
        tuple(_names(one).values()) if isinstance(one, Session) else one
        for one in items("skip", skip, (Session, str))
    }


def _names(session: Session) -> dict[str, object]:
    return {
        "session_identifier": session.session_identifier,
        "instrument": session.instrument.instrument_pid,
    }
