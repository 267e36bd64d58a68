"""The numbers of a report, each found once.

No row is made a model, so that one that cannot be read keeps nobody from a report, and nothing is
kept but what is counted and the few sessions that are named.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Generic, NamedTuple, TypeVar

from nexuslims_store import overview, queries
from nexuslims_store.database import Row
from nexuslims_store.display import shown
from nexuslims_store.enums import RecordStatus
from nexuslims_store.report.blocks import Coded
from nexuslims_store.report.delays import Delays
from nexuslims_store.report.periods import WEEK, Span
from nexuslims_store.report.values import cause_of
from nexuslims_store.store import Store
from nexuslims_store.times import instant

__all__ = [
    "NAMED",
    "FailedBuild",
    "FailedUpload",
    "Figures",
    "Group",
    "Use",
    "Week",
    "read",
    "sum_of",
]

NAMED = 10
"""How many sessions are named; the others are counted."""

_SQL = queries.load("report.sql")
_PART = 10_000  # rows; some hundredths of a second
_BEFORE_ALL = -(2**63)
_FAILED = (RecordStatus.ERROR.value, RecordStatus.BUILT_NOT_EXPORTED.value)
_WITH_RECORD = (RecordStatus.COMPLETED.value, RecordStatus.BUILT_NOT_EXPORTED.value)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class Use:
    """How much something was used; the time is that of whole sessions."""

    sessions: int = 0
    time: timedelta = timedelta()

    def add(self, time: timedelta) -> None:
        """Count one more session."""
        self.sessions += 1
        self.time += time


@dataclass(slots=True)
class Week:
    """What happened in a span of time: sessions by their start, builds and uploads by their own."""

    use: Use = field(default_factory=Use)
    built: int = 0
    failed: int = 0
    arrived: int = 0
    lost: int = 0


@dataclass(slots=True)
class Group:
    """Failures that have one cause: how many, and the instant of the latest."""

    count: int = 0
    latest: int | None = None

    def add(self, moment: int | None) -> None:
        """Count one more."""
        self.count += 1
        if moment is not None and (self.latest is None or moment > self.latest):
            self.latest = moment


def sum_of(groups: Iterable[Group]) -> Group:
    """Return some groups as one."""
    groups = list(groups)
    latest = [group.latest for group in groups if group.latest is not None]
    return Group(sum(group.count for group in groups), max(latest, default=None))


@dataclass(frozen=True, slots=True)
class FailedBuild:
    """A session whose build failed; all as stored but the instant of its start."""

    session_identifier: object
    instrument: object
    user: object
    status: str
    began: int | None
    timezone: str | None


@dataclass(frozen=True, slots=True)
class FailedUpload:
    """A session whose latest attempt at a destination failed."""

    session_identifier: object
    destination: str
    tried: int | None
    cause: str


@dataclass(slots=True)
class Figures:
    """All that a report says.

    Attributes
    ----------
    span
        The time that the parts, the use, the delays and the attempts are of.
    work
        What there is to do, as `status` says it.
    instrument
        Returns what people call an instrument, and its PID.
    parts
        For each part of the span its sessions by status.
    use
        By instrument, those without a session left out.
    delays
        How long it was from the end of each session to its record.
    this_week, last_week_by_now, last_week
        This week, and the last up to the same moment and whole.
    attempts
        By destination, how many uploads arrived and how many failed.
    builds, uploads
        All failures by cause: by status, then instrument; by destination and error.
    failed_builds, failed_uploads
        The latest of them.
    """

    span: Span
    work: overview.Work
    instrument: Callable[[object], Coded]
    parts: list[Counter[str]]
    use: dict[object, Use] = field(default_factory=dict)
    delays: Delays = field(default_factory=Delays)
    this_week: Week = field(default_factory=Week)
    last_week_by_now: Week = field(default_factory=Week)
    last_week: Week = field(default_factory=Week)
    attempts: dict[str, Counter[bool]] = field(default_factory=dict)
    builds: dict[str, dict[object, Group]] = field(default_factory=dict)
    uploads: dict[tuple[str, str], Group] = field(default_factory=dict)
    failed_builds: list[FailedBuild] = field(default_factory=list)
    failed_uploads: list[FailedUpload] = field(default_factory=list)

    @property
    def sessions(self) -> Counter[str]:
        """The sessions of the span by status."""
        return sum(self.parts, Counter())

    def weeks_of(self, moment: int | None) -> Iterator[Week]:
        """Yield this week or the last, if an instant lies in one, the last by now too."""
        if moment is None:
            return
        now, monday = instant(self.span.now), instant(self.span.this_week)
        length = WEEK // _MICROSECOND
        if monday <= moment <= now:
            yield self.this_week
        elif monday - length <= moment < monday:
            yield self.last_week
            if moment <= now - length:
                yield self.last_week_by_now


def read(store: Store, now: datetime, weeks: int) -> Figures:
    """Read the figures of the week of `now` and of those before it, `weeks` in all."""
    database = store._open_database()
    span = Span(now.astimezone(UTC), weeks)
    work = overview.read(database, span.now)
    figures = Figures(span, work, _namer(store), [Counter() for _ in span.names])
    _read_sessions(figures, store)
    _read_attempts(figures, store)
    _read_failed_uploads(figures, store)
    return figures


def _namer(store: Store) -> Callable[[object], Coded]:
    """Return what finds an instrument's name: of many instruments, few are named."""
    database = store._open_database()

    @cache
    def name(pid: object) -> Coded:
        if isinstance(pid, str) and pid.isprintable():
            for (found,) in database.rows(_SQL.get_instrument_name, {"instrument_pid": pid}):
                return Coded(shown(found) if found else pid, pid)
        return Coded(shown(pid), shown(pid))

    return name


def _parts(
    store: Store, last_of_part: str, rows_of_part: str, **parameters: object
) -> Iterator[Row]:
    """Yield rows of a large table; SQLite's lock is let go after each part of it."""
    database = store._open_database()
    after = _BEFORE_ALL
    while True:
        ((last,),) = database.rows(last_of_part, {"after": after, "size": _PART})
        if last is None:
            return
        yield from database.rows(rows_of_part, {"after": after, "last": last, **parameters})
        after = last


def _read_sessions(figures: Figures, store: Store) -> None:
    latest = _Latest[FailedBuild]()
    for row in _parts(store, _SQL.get_last_session_log_of_part, _SQL.list_sessions_of_part):
        session = _Session(*row)
        _count(figures, session)
        if session.status in _FAILED:
            failed = FailedBuild(
                session.session_identifier,
                session.instrument,
                session.user,
                session.status,
                session.began,
                session.timezone,
            )
            latest.add(session.began, session.number, failed)
    figures.failed_builds = latest.sorted()


class _Session(NamedTuple):
    """A row of `list_sessions_of_part`; times as instants."""

    number: int
    session_identifier: object
    instrument: object
    user: object
    status: str
    timezone: str | None
    began: int | None
    ended: int | None
    built: int | None


def _count(figures: Figures, session: _Session) -> None:
    began, ended, built = session.began, session.ended, session.built
    if session.status in _FAILED:
        of_status = figures.builds.setdefault(session.status, {})
        of_status.setdefault(session.instrument, Group()).add(began)
    for week in figures.weeks_of(built):
        week.built += session.status in _WITH_RECORD
        week.failed += session.status == RecordStatus.ERROR
    time = timedelta()
    if began is not None and ended is not None:
        time = max(ended - began, 0) * _MICROSECOND
    for week in figures.weeks_of(began):
        week.use.add(time)
    part = None if began is None else figures.span.part(began)
    if part is None:
        return
    figures.parts[part][shown(session.status)] += 1
    figures.use.setdefault(session.instrument, Use()).add(time)
    if session.status in _WITH_RECORD and ended is not None and built is not None:
        figures.delays.add((built - ended) * _MICROSECOND)


def _read_attempts(figures: Figures, store: Store) -> None:
    first, last = instant(figures.span.start), instant(figures.span.now)
    for destination, success, tried in _parts(
        store,
        _SQL.get_last_upload_of_part,
        _SQL.list_attempts_of_part,
        first_day=figures.span.first_day,
    ):
        arrived = success == 1
        for week in figures.weeks_of(tried):
            week.arrived += arrived
            week.lost += not arrived
        if tried is not None and first <= tried <= last:
            figures.attempts.setdefault(shown(destination), Counter())[arrived] += 1


def _read_failed_uploads(figures: Figures, store: Store) -> None:
    latest = _Latest[FailedUpload]()
    for rows in store._open_database().stream(_SQL.list_failures):
        for session, destination, tried, error, number in rows:
            where, why = shown(destination), cause_of(error)
            figures.uploads.setdefault((where, why), Group()).add(tried)
            latest.add(tried, number, FailedUpload(session, where, tried, why))
    figures.failed_uploads = latest.sorted()


Thing = TypeVar("Thing")


class _Latest(Generic[Thing]):
    """The latest few of many things."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Thing]] = []

    def add(self, moment: int | None, number: int, thing: Thing) -> None:
        """Look at one more; no two have the same number."""
        entry = (_BEFORE_ALL if moment is None else moment, number, thing)
        if len(self._heap) < NAMED:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def sorted(self) -> list[Thing]:
        """Return them, the latest first."""
        return [thing for _, _, thing in sorted(self._heap, reverse=True)]
