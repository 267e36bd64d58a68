"""The numbers of a report, read in one pass over the sessions.

No row is made a model, so that one that cannot be read keeps nobody from a report.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from nexuslims_store import queries
from nexuslims_store.enums import RecordStatus
from nexuslims_store.models import UnpairedSession
from nexuslims_store.repository.overviews import Claim, SessionOverview
from nexuslims_store.store import Store
from nexuslims_store.times import instant

__all__ = ["SHOWN", "FailedUpload", "Figures", "Use", "read"]

SHOWN = 10
"""How many sessions are named; the others are counted."""

_WEEK = timedelta(weeks=1)
_FAILED = queries.load("upload_log.sql")["list_failed_uploads"]
_BY_DESTINATION = queries.load("report.sql")["list_attempts_by_destination"]
_MENDABLE = {RecordStatus.ERROR.value, RecordStatus.BUILT_NOT_EXPORTED.value}


@dataclass(slots=True)
class Use:
    """How much an instrument was used; the hours are those of whole sessions."""

    sessions: int = 0
    time: timedelta = timedelta()

    @property
    def hours(self) -> float:
        """The time in hours."""
        return self.time / timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class FailedUpload:
    """A session whose latest attempt at a destination failed; all as stored."""

    session_identifier: str
    destination_name: str
    timestamp: str
    error_message: str | None


@dataclass(slots=True)
class Figures:
    """All that a report says.

    Attributes
    ----------
    start, now
        The span of time that the weeks, the use and the attempts are of; whole weeks, from a
        Monday, UTC.
    weeks
        For each week its sessions by status.
    use
        By instrument, those without a session too.
    attempts
        By destination, how many uploads arrived and how many failed.
    statuses
        All sessions by status, whenever they were.
    to_build, mendable
        The oldest sessions to build; the latest that failed.
    failed
        At each destination, how many sessions have a latest attempt that failed.
    """

    start: datetime
    now: datetime
    weeks: list[Counter[str]]
    use: dict[str, Use] = field(default_factory=dict)
    attempts: dict[str, tuple[int, int]] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    to_build: list[SessionOverview] = field(default_factory=list)
    mendable: deque[SessionOverview] = field(default_factory=lambda: deque(maxlen=SHOWN))
    claims: list[Claim] = field(default_factory=list)
    unpaired: list[UnpairedSession] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    failed_uploads: deque[FailedUpload] = field(default_factory=lambda: deque(maxlen=SHOWN))

    def week(self, number: int) -> datetime:
        """Return when a week begins."""
        return self.start + number * _WEEK


def read(store: Store, now: datetime, weeks: int) -> Figures:
    """Read the figures of the week of `now` and of those before it, `weeks` in all."""
    now = now.astimezone(UTC)
    monday = (now - timedelta(days=now.weekday())).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    figures = Figures(monday - (weeks - 1) * _WEEK, now, [Counter() for _ in range(weeks)])
    for activity in store.instruments.activity():
        figures.use[activity.instrument_pid] = Use()
    for overview in store.sessions.iter_overview():
        _count(figures, overview)
    figures.claims = store.sessions.list_claims()
    figures.unpaired = store.sessions.list_unpaired()
    _read_uploads(figures, store)
    return figures


def _count(figures: Figures, overview: SessionOverview) -> None:
    figures.statuses[overview.status] += 1
    if overview.status == RecordStatus.TO_BE_BUILT and len(figures.to_build) < SHOWN:
        figures.to_build.append(overview)
    elif overview.status in _MENDABLE:
        figures.mendable.append(overview)
    began = overview.start if overview.start is not None else overview.end
    if not isinstance(began, datetime) or began.utcoffset() is None:
        return
    if not instant(figures.start) <= instant(began) <= instant(figures.now):
        return
    figures.weeks[(began - figures.start) // _WEEK][overview.status] += 1
    use = figures.use.setdefault(overview.instrument, Use())
    use.sessions += 1
    duration = overview.duration
    if duration is not None and duration > timedelta():
        use.time += duration


def _read_uploads(figures: Figures, store: Store) -> None:
    database = store._open_database()
    span = {"range_start": instant(figures.start), "range_end": instant(figures.now)}
    for destination, arrived, failed in database.rows(_BY_DESTINATION, span):
        figures.attempts[str(destination)] = (arrived, failed)
    # In the order of their ids, so that the newest stay.
    for session, destination, _, timestamp, _, _, error, _, _ in sorted(
        database.rows(_FAILED), key=lambda row: int(row[-1])
    ):
        figures.failed[str(destination)] += 1
        figures.failed_uploads.append(
            FailedUpload(
                str(session),
                str(destination),
                str(timestamp),
                None if error is None else str(error),
            )
        )
