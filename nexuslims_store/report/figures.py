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
from itertools import starmap
from typing import Generic, NamedTuple, TypeVar

from nexuslims_store import overview, queries
from nexuslims_store.display import shown
from nexuslims_store.enums import RecordStatus
from nexuslims_store.report.blocks import Coded
from nexuslims_store.report.delays import Delays
from nexuslims_store.report.periods import Span
from nexuslims_store.report.values import cause_of
from nexuslims_store.repository.views import with_views
from nexuslims_store.store import Store

NAMED = 10
"""How many sessions are named; the others are counted."""

_SQL = queries.load("report.sql")
_PART = 10_000  # rows; some hundredths of a second
_MOST_CAUSES = 1000  # that are kept apart; nobody reads as many
_BEFORE_ALL = -(2**63)
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
class Group:
    """Failures that have one cause: how many, and the instant of the latest."""

    count: int = 0
    latest: int | None = None

    def add(self, moment: int | None) -> None:
        """Count one more."""
        self.count += 1
        if moment is not None:
            self.latest = moment if self.latest is None else max(moment, self.latest)


def sum_of(groups: Iterable[Group]) -> Group:
    """Return some groups as one."""
    groups = list(groups)
    latest = [group.latest for group in groups if group.latest is not None]
    return Group(sum(group.count for group in groups), max(latest, default=None))


@dataclass(slots=True)
class Week:
    """What happened in a week, or in a part of one."""

    sessions_begun: int = 0
    hours_of_use: timedelta = timedelta()
    records_built: int = 0
    builds_failed: int = 0
    uploads_arrived: int = 0
    uploads_failed: int = 0


class FoundSession(NamedTuple):
    """A session; all as stored but the instants of START, END and the newest build."""

    number: int
    session_identifier: object
    instrument: object
    user: object
    status: str
    timezone: str | None
    began: int | None
    ended: int | None
    built: int | None


@dataclass(frozen=True, slots=True)
class FailedUpload:
    """A session whose latest attempt at a destination failed."""

    session_identifier: object
    destination: str
    tried: int | None
    cause: str


@dataclass(slots=True)
class Figures:
    """All that a report says."""

    span: Span
    work: overview.Work  # what there is to do, as `status` says it
    instrument: Callable[[object], Coded]  # finds what people call one, and its PID
    # Of the span: the sessions of each part by status; the use of each instrument that had a
    # session, the number of all, how many had none, and some of these; how long it was from the
    # end of a session to its record; how many attempts at each destination arrived and failed.
    parts: list[Counter[str]]
    use: dict[object, Use] = field(default_factory=dict)
    instruments: int = 0
    unused: int = 0
    some_unused: list[object] = field(default_factory=list)
    delays: Delays = field(default_factory=Delays)
    attempts: dict[str, Counter[bool]] = field(default_factory=dict)
    # This week, the last up to the same moment, and all of the last.
    last_weeks: tuple[Week, Week, Week] = field(default_factory=lambda: (Week(), Week(), Week()))
    # All failures by cause, by status, then instrument, or by destination and error; the latest.
    builds: dict[str, dict[object, Group]] = field(default_factory=dict)
    uploads: dict[tuple[str, str], Group] = field(default_factory=dict)
    failed_builds: list[FoundSession] = field(default_factory=list)
    failed_uploads: list[FailedUpload] = field(default_factory=list)

    @property
    def sessions(self) -> Counter[str]:
        """The sessions of the span by status."""
        return sum(self.parts, Counter())

    def weeks_of(self, moment: int | None) -> Iterator[Week]:
        """Yield those of the last weeks that an instant lies in."""
        if moment is None:
            return
        for (first, last), week in zip(self.span.last_weeks, self.last_weeks, strict=True):
            if first <= moment <= last:
                yield week


def read(store: Store, now: datetime, weeks: int) -> Figures:
    """Read the figures of the week of `now` and of those before it, `weeks` in all."""
    database = store._database
    span = Span(now.astimezone(UTC), weeks)
    work = overview.read(database, span.now, store.revision, with_use=False)
    figures = Figures(span, work, _namer(store), [Counter() for _ in span.names])
    _read_sessions(figures, store)
    _read_attempts(figures, store)
    _read_failed_uploads(figures, store)
    pids = [pid for (pid,) in database.rows(_SQL.list_pids)]
    unused = [pid for pid in pids if pid not in figures.use]
    figures.instruments, figures.unused = len(pids), len(unused)
    figures.some_unused = unused[:NAMED]
    return figures


def _namer(store: Store) -> Callable[[object], Coded]:
    """Return what finds an instrument's name: of many instruments, few are named."""
    database = store._database

    @cache
    def name(pid: object) -> Coded:
        if isinstance(pid, str) and pid.isprintable():
            for (found,) in database.rows(_SQL.get_instrument_name, {"instrument_pid": pid}):
                return Coded(shown(found) if found else pid, pid)
        return Coded(shown(pid), shown(pid))

    return name


def _parts(store: Store, last_of_part: str) -> Iterator[dict[str, object]]:
    """Yield the bounds of the parts of a large table, as parameters of what reads one."""
    after = _BEFORE_ALL
    while True:
        bounds = {"after": after, "size": _PART}
        ((last,),) = store._database.rows(last_of_part, bounds)
        if last is None:
            return
        yield {"after": after, "last": last}
        after = last


def _read_sessions(figures: Figures, store: Store) -> None:
    database = with_views(store._database)
    first_day = {"first_day": figures.span.first_day}
    latest = _Latest[FoundSession]()
    for part in _parts(store, _SQL.get_last_session_log_of_part):
        for rows in database.stream(_SQL.list_sessions_of_part, part | first_day):
            for session in starmap(FoundSession, rows):
                _count(figures, session)
                if session.status in overview.FAILED:
                    latest.add(session.began, session.number, session)
        for status, built in database.rows(_SQL.list_builds_of_part, part | first_day):
            for week in figures.weeks_of(built):
                week.records_built += status in _WITH_RECORD
                week.builds_failed += status == RecordStatus.ERROR
    figures.failed_builds = latest.sorted()


def _count(figures: Figures, session: FoundSession) -> None:
    began, ended, built = session.began, session.ended, session.built
    if session.status in overview.FAILED:
        of_status = figures.builds.setdefault(session.status, {})
        of_status.setdefault(session.instrument, Group()).add(began)
    time = timedelta()
    if began is not None and ended is not None:
        time = max(ended - began, 0) * _MICROSECOND
    for week in figures.weeks_of(began):
        week.sessions_begun += 1
        week.hours_of_use += time
    part = figures.span.part(began)
    if part is None:
        return
    figures.parts[part][shown(session.status)] += 1
    figures.use.setdefault(session.instrument, Use()).add(time)
    if session.status in _WITH_RECORD and ended is not None and built is not None:
        figures.delays.add((built - ended) * _MICROSECOND)


def _read_attempts(figures: Figures, store: Store) -> None:
    first_day = {"first_day": figures.span.first_day}
    for part in _parts(store, _SQL.get_last_upload_of_part):
        attempts = store._database.rows(_SQL.list_attempts_of_part, part | first_day)
        for destination, success, tried in attempts:
            arrived = success == 1
            for week in figures.weeks_of(tried):
                week.uploads_arrived += arrived
                week.uploads_failed += not arrived
            if figures.span.part(tried) is not None:
                figures.attempts.setdefault(shown(destination), Counter())[arrived] += 1


def _read_failed_uploads(figures: Figures, store: Store) -> None:
    latest = _Latest[FailedUpload]()
    for rows in with_views(store._database).stream(_SQL.list_failures):
        for session, destination, tried, error, number in rows:
            where, why = shown(destination), cause_of(error)
            latest.add(tried, number, FailedUpload(session, where, tried, why))
            if (where, why) not in figures.uploads and len(figures.uploads) >= _MOST_CAUSES:
                why = "other causes"
            figures.uploads.setdefault((where, why), Group()).add(tried)
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
