"""Values as people read them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum

from pydantic import ValidationError

__all__ = ["age", "invalid_values", "number", "shown", "size"]

_UNITS = (("day", 86400), ("h", 3600), ("min", 60), ("s", 1))


def shown(value: object) -> str:
    """Return a value as a cell of a table."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:,.2f}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M %Z}".rstrip()
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


def invalid_values(error: ValidationError) -> Iterator[str]:
    """Yield a line for each value that a model refuses."""
    for found in error.errors(include_url=False, include_context=False):
        field = ".".join(map(str, found["loc"])) or error.title
        reason = found["msg"].removeprefix("Value error, ")
        given = "" if found["type"] == "missing" else f" (not {found['input']!r})"
        yield f"{field}: {reason}{given}"
