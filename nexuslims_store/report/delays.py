"""How long records let people wait."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

_MINUTE = timedelta(minutes=1)
# What lies below each of these, in minutes, is one bar of the chart.
_BOUNDS = (
    (60, "less than 1 h"),
    (6 * 60, "1 h to 6 h"),
    (12 * 60, "6 h to 12 h"),
    (24 * 60, "12 h to 1 day"),
    (2 * 1440, "1 day to 2 days"),
    (3 * 1440, "2 days to 3 days"),
    (7 * 1440, "3 days to 1 week"),
)
_LONGER = "longer than 1 week"
_YEAR = 366 * 1440


class Delays:
    """Spans of time, counted by the minute, so that any number of them takes little memory.

    Attributes
    ----------
    count
        How many there are, those below zero left out.
    below_zero
        How many are: records that are dated before the end of their session.
    """

    def __init__(self) -> None:
        self.count = 0
        self.below_zero = 0
        self._longest = timedelta()
        self._minutes: Counter[int] = Counter()

    def add(self, delay: timedelta) -> None:
        """Count one."""
        if delay < timedelta():
            self.below_zero += 1
            return
        self.count += 1
        self._longest = max(self._longest, delay)
        self._minutes[min(delay // _MINUTE, _YEAR)] += 1

    def longest(self) -> timedelta:
        """Return the longest."""
        return self._longest

    def within(self, share: float) -> timedelta:
        """Return what the given share of them is not longer than, to the minute."""
        left = share * self.count
        for minutes, number in sorted(self._minutes.items()):
            left -= number
            if left <= 0 and minutes < _YEAR:  # beyond, only the longest is known
                return min((minutes + 1) * _MINUTE, self._longest)
        return self._longest

    def groups(self) -> dict[str, int]:
        """Return how many there are of each length, the shortest first."""
        found = dict.fromkeys([*(words for _, words in _BOUNDS), _LONGER], 0)
        for minutes, number in self._minutes.items():
            words = next((words for bound, words in _BOUNDS if minutes < bound), _LONGER)
            found[words] += number
        return found
