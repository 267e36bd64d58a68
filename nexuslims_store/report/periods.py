"""The weeks, months, quarters or years that the columns of a chart stand for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from nexuslims_store.times import day_before, instant

MOST_WEEKS = 5200
"""A hundred years: nothing is older, and a chart of more could not be read."""

WEEK = timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class Unit:
    """How time is divided: what a part is called, its name, its mark, the first day of the next."""

    noun: str
    name: Callable[[date], str]
    mark: Callable[[date], str]
    following: Callable[[date], date]


def _months_on(day: date, step: int) -> date:
    """Return the first day of the next month whose number from zero is a multiple of `step`."""
    month = (12 * day.year + day.month - 1) // step * step + step
    return date(month // 12, month % 12 + 1, 1)


def _month(day: date) -> str:
    return day.isoformat()[:7]


def _year(day: date) -> str:
    return day.isoformat()[:4]


# Up to how many weeks: as long as the columns of a chart can be told apart on a phone.
_WEEKS = Unit("week", str, str, lambda day: day + WEEK)
_MONTHS = Unit(
    "month",
    _month,
    lambda day: _month(day) if day.month % 3 == 1 else "",
    lambda day: _months_on(day, 1),
)
_QUARTERS = Unit(
    "quarter",
    lambda day: f"{_year(day)} Q{(day.month + 2) // 3}",
    lambda day: _year(day) if day.month <= 3 else "",
    lambda day: _months_on(day, 3),
)
_YEARS = Unit("year", _year, _year, lambda day: _months_on(day, 12))
_UNITS = ((60, _WEEKS), (260, _MONTHS), (780, _QUARTERS), (MOST_WEEKS, _YEARS))


class Span:
    """The time that a report is of: whole weeks from a Monday up to now, all in UTC.

    Attributes
    ----------
    start, monday, now
        Its bounds, and when this week began.
    last_weeks
        The first and the last instant of this week, of the last up to now, and of all of it.
    first_day
        A day that sorts before all times that matter, as text.
    noun
        What its parts are: "week", "month", "quarter" or "year".
    names, marks
        The name of each part, in their order, and what stands below some of them in a chart.
    """

    def __init__(self, now: datetime, weeks: int) -> None:
        monday = (now - timedelta(days=now.weekday())).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        self.now = now
        self.monday = monday
        self.start = monday - (weeks - 1) * WEEK
        # The last week is told of whatever the span is.
        self.first_day = day_before(instant(min(self.start, monday - WEEK)))
        unit = next(unit for most, unit in _UNITS if weeks <= most)
        days = list(_days(self.start.date(), now.date(), unit))
        self.noun = unit.noun
        self.names = [unit.name(day) for day in days]
        self.marks = [unit.mark(day) for day in days]
        self._starts = [
            instant(datetime(day.year, day.month, day.day, tzinfo=now.tzinfo)) for day in days
        ]
        self._last = instant(now)
        this, last = instant(monday), instant(monday - WEEK)
        self.last_weeks = (this, self._last), (last, instant(now - WEEK)), (last, this - 1)

    def part(self, moment: int | None) -> int | None:
        """Return the number of the part that an instant lies in, None if it is in none."""
        if moment is None or not self._starts[0] <= moment <= self._last:
            return None
        return bisect_right(self._starts, moment) - 1


def _days(first: date, last: date, unit: Unit) -> Iterator[date]:
    while first <= last:
        yield first
        first = unit.following(first)
