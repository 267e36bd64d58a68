"""What the repositories take and return that is no row: batches, sums, rows as people see them.

No models, but for one thing: what they hold may be what no model takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, NotRequired, TypeAlias, TypedDict

from nexuslims_store.arguments import require_type
from nexuslims_store.times import instant

if TYPE_CHECKING:
    from nexuslims_store.enums import RecordStatus, StatusName
    from nexuslims_store.models import Instrument

__all__ = [
    "CLOCK_SKEW",
    "LEASE",
    "Claim",
    "InsertSummary",
    "InstrumentActivity",
    "NewSession",
    "NewSessionTuple",
    "ResetSummary",
    "SessionOverview",
    "UnpairedSession",
]

LEASE = timedelta(hours=6)
"""How long a claim is believed in, unless `sessions.claim` is told otherwise."""

CLOCK_SKEW = timedelta(minutes=5)
"""How far the clocks of computers may differ: a claim that is dated later than that is of none."""


class NewSession(TypedDict):
    """What `sessions.add_many` takes for each session: the arguments of `add`, by name.

    Examples
    --------
    >>> new: NewSession = {
    ...     "session_identifier": "1", "instrument": "Titan",
    ...     "start": datetime(2025, 7, 1, 9), "end": datetime(2025, 7, 1, 10), "user": "alice",
    ... }
    >>> with make_store(make_instrument("Titan")) as store:
    ...     store.sessions.add_many([new])
    InsertSummary(inserted=2, updated=0, unchanged=0)
    """

    session_identifier: str
    instrument: str | Instrument
    start: datetime
    end: datetime
    user: NotRequired[str | None]
    status: NotRequired[RecordStatus | StatusName]


NewSessionTuple: TypeAlias = (
    tuple[str, "str | Instrument", datetime, datetime]
    | tuple[str, "str | Instrument", datetime, datetime, str | None]
    | tuple[str, "str | Instrument", datetime, datetime, str | None, "RecordStatus | StatusName"]
)
"""The same in the order of the arguments of `add`."""


class InsertSummary(NamedTuple):
    """What storing many rows at once did, as numbers of rows.

    Attributes
    ----------
    inserted
        Rows that were not there before.
    updated
        Rows that were there, and were changed.
    unchanged
        Rows that were there already as they were given.

    Examples
    --------
    >>> with make_store(make_instrument("Titan")) as store:
    ...     store.instruments.store_many([make_instrument("Titan"), make_instrument("Quanta")])
    InsertSummary(inserted=1, updated=0, unchanged=1)
    """

    inserted: int
    updated: int
    unchanged: int


class ResetSummary(NamedTuple):
    """What resetting many sessions did, as numbers of sessions.

    Attributes
    ----------
    reset
        Those that are to be built again.
    without_consent, being_built
        Those that were left alone, and why.

    Examples
    --------
    >>> with make_store() as store:
    ...     session = add_session(store, status=RecordStatus.ERROR)
    ...     store.sessions.reset_between(datetime(2025, 1, 1), datetime(2026, 1, 1))
    ResetSummary(reset=1, without_consent=0, being_built=0)
    """

    reset: int
    without_consent: int
    being_built: int


@dataclass(frozen=True, slots=True)
class InstrumentActivity:
    """How much an instrument was used.

    Attributes
    ----------
    instrument_pid
        The instrument.
    sessions_total
        How many sessions were started on it.
    last_session
        When the last of them started, in the instrument's zone; None where there is none.

    Examples
    --------
    >>> with make_store() as store:
    ...     session = add_session(store)
    ...     [used.sessions_total for used in store.instruments.activity()]
    [1]
    """

    instrument_pid: str
    sessions_total: int
    last_session: datetime | None


@dataclass(frozen=True, slots=True)
class UnpairedSession:
    """Events to be built that make no session, and why.

    Attributes
    ----------
    session_identifier, instrument
        As stored.
    start_id, end_id
        `id_session_log` of the START and of the END; None where there is none.
    reason
        What is wrong, in words.

    Examples
    --------
    >>> with make_store() as store:
    ...     session = add_session(store)
    ...     _ = store.session_logs.remove(2)  # the END
    ...     store.sessions.list_unpaired()[0].reason
    'a START without an END'
    """

    session_identifier: str
    instrument: str
    start_id: int | None
    end_id: int | None
    reason: str


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

    Examples
    --------
    >>> with make_store() as store:
    ...     session = add_session(store, user="alice")
    ...     (found,) = store.sessions.iter_overview()
    >>> found.user, found.status, found.whole, found.duration
    ('alice', 'TO_BE_BUILT', True, datetime.timedelta(seconds=9000))
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
            return timedelta(microseconds=instant(self.end) - instant(self.start))
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

    Examples
    --------
    >>> with make_store() as store:
    ...     session = add_session(store)
    ...     claimed = store.sessions.claim()
    ...     (claim,) = store.sessions.list_claims()
    >>> claim.session_identifier == session.session_identifier
    True
    >>> claim.is_stale(datetime.now(UTC), lease=timedelta(hours=6))
    False
    """

    session_identifier: str
    instrument: str
    id_session_log: int
    since: datetime | str

    def is_stale(self, now: datetime, lease: timedelta) -> bool:
        """Whether its lease has run out, so that `claim` gives the session to another builder."""
        require_type("now", now, datetime)
        require_type("lease", lease, timedelta)
        # One whose time cannot be read, or lies ahead, keeps nobody from the session either.
        return (
            not isinstance(self.since, datetime)
            or now - self.since >= lease
            or self.since - now > CLOCK_SKEW
        )
