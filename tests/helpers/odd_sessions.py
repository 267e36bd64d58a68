"""Rows of session_log as programs and people leave them, and a plain model of what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

NOW = datetime(2025, 11, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = {"A": "America/New_York", "B": "Europe/Berlin"}


@dataclass(frozen=True)
class Row:
    """A row of session_log; of a list, its place is its id, less one."""

    session: str
    instrument: str
    time: str
    event: str
    status: str
    user: str | None = None


@dataclass
class Known:
    """A session, whole or not, as the model sees it: the rows that count, by their ids."""

    session: str
    instrument: str
    start: int | None = None
    end: int | None = None
    other: int | None = None


class Model:
    """What the contract says of rows, in loops.

    Parameters
    ----------
    found
        The rows by their ids, from the lowest; a list is numbered from 1.
    """

    def __init__(self, found: list[Row] | dict[int, Row]) -> None:
        self.rows = found if isinstance(found, dict) else dict(enumerate(found, start=1))
        self.sessions: dict[tuple[str, str], Known] = {}
        for number, one in self.rows.items():
            known = self.sessions.setdefault(
                (one.session, one.instrument), Known(one.session, one.instrument)
            )
            # Of several the newest, which comes last.
            name = {"START": "start", "END": "end"}.get(one.event, "other")
            setattr(known, name, number)

    def instant(self, number: int | None) -> datetime | None:
        """When an event was."""
        if number is None:
            return None
        one = self.rows[number]
        try:
            time = datetime.fromisoformat(one.time)
        except ValueError:
            return None
        if time.utcoffset() is not None:
            return time.astimezone(UTC)
        if one.instrument not in ZONES:
            return None
        time = time.replace(tzinfo=ZoneInfo(ZONES[one.instrument]))
        if one.event == "END":
            start = self.instant(self.sessions[one.session, one.instrument].start)
            second = time.replace(fold=1)
            if start is not None and time.astimezone(UTC) < start:
                return max(time.astimezone(UTC), second.astimezone(UTC))
        return time.astimezone(UTC)

    def micros(self, number: int | None) -> int | None:
        """The same in microseconds, as SQL has it."""
        instant = self.instant(number)
        return None if instant is None else (instant - EPOCH) // timedelta(microseconds=1)

    def status(self, number: int | None) -> str | None:
        return None if number is None else self.rows[number].status

    def good(self, known: Known) -> bool:
        """Whether there is a START and an END that is not before it, on a known instrument."""
        start, end = self.instant(known.start), self.instant(known.end)
        return known.instrument in ZONES and None not in (start, end) and start <= end  # type: ignore[operator]

    def to_build(self) -> list[Known]:
        found = [
            known
            for known in self.sessions.values()
            if self.good(known)
            and self.status(known.start) == self.status(known.end) == "TO_BE_BUILT"
        ]
        return sorted(found, key=lambda known: (self.instant(known.start), known.start))

    def claimed(self, known: Known) -> bool:
        """Whether a claim of the last six hours is there, or one that is not far ahead."""
        return any(
            one.event == "RECORD_GENERATION"
            and one.status == "WAITING_FOR_END"
            and (one.session, one.instrument) == (known.session, known.instrument)
            and (instant := self.instant(number)) is not None
            and NOW - 6 * HOUR < instant <= NOW + timedelta(minutes=5)
            for number, one in self.rows.items()
        )
