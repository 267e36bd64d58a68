"""Values as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

__all__ = ["age", "duration", "number", "shown", "size"]

_UNITS = (("day", 86400), ("h", 3600), ("min", 60), ("s", 1))


def shown(value: object) -> str:
    """Return a value as a cell of a table."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M %Z}".rstrip()
        case timedelta():
            return duration(value)
        case Enum():
            return str(value.value)
        case _:
            return str(value)


def number(count: int, noun: str) -> str:
    """Return a number of things: "1 session", "1,234 sessions"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def age(time: timedelta) -> str:
    """Return a span of time in its largest unit: "3 days", "5 h"."""
    seconds = max(int(time.total_seconds()), 0)
    for unit, length in _UNITS:
        if seconds >= length:
            count = seconds // length
            return number(count, unit) if unit == "day" else f"{count} {unit}"
    return "0 s"


def duration(time: timedelta) -> str:
    """Return a span of time as hours and minutes: "2:30"."""
    minutes = round(abs(time).total_seconds() / 60)
    return f"{'-' if time < timedelta() else ''}{minutes // 60}:{minutes % 60:02}"


def size(count: int) -> str:
    """Return a number of bytes as "412 kB"."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return (
                f"{amount:.0f} {unit}"
                if unit == "bytes" or amount >= 100
                else f"{amount:.1f} {unit}"
            )
        amount /= 1000
    return f"{amount:.1f} TB"
