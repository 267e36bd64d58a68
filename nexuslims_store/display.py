"""How values are shown to people and to other programs, whatever is stored.

SQLite stores any value in any column, and NexusLIMS checks none: a name may be a BLOB, a number
or bytes that are no UTF-8. Every command, page and message shows such a value by the rules here::

    BLOB                x'0a1b', as SQLite writes it
    text, not UTF-8     the text, each odd byte as \\xfc
    NULL                -, in JSON null
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

LONGEST = 300
"""How many characters are shown of a value where it stands among others.

No identifier, time or error text of a facility is as long; JSON and CSV have all of it.
"""

_UNITS = (("day", 86400), ("h", 3600), ("min", 60), ("s", 1))


def as_stored(value: object) -> object:
    """Return a stored value so that it can stand in JSON or CSV: text where SQLite has a BLOB."""
    match value:
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case bytes():
            return f"x'{value.hex()}'"
        case float() if value - value != 0:  # infinite, for which JSON has no number
            return repr(value)
        case None | bool() | int() | float():
            return value
        case _:
            return _whole(str(value))


def shown(value: object) -> str:
    """Return a value as a cell of a table."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.date()} {value:%H:%M %Z}".rstrip()
        case _:
            return str(as_stored(value))


def quoted(value: object) -> str:
    """Return a stored value as it may stand in a sentence: in quotes, and not without end."""
    if value is None:
        return "NULL"
    text = isinstance(value, str)
    said = f"'{cut(printable(cut(str(value))))}'" if text else cut(str(as_stored(value)))
    if isinstance(value, str | bytes) and len(value) > LONGEST:
        return f"{said} ({len(value):,} {'characters' if text else 'bytes'})"
    return said


def cut(text: str, length: int = LONGEST, ellipsis: str = "…") -> str:
    """Return a text no longer than `length`; what begins alike is told apart by its end."""
    if len(text) <= length:
        return text
    end = length // 3
    return f"{text[: length - end - len(ellipsis)]}{ellipsis}{text[-end:]}"


def printable(text: str, *, keep_lines: bool = False) -> str:
    """Return a text with escapes for what a terminal would act upon, such as ESC or a tab."""
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or (keep_lines and char == "\n")
        else char.encode("unicode_escape").decode("ascii")
        for char in _whole(text)
    )


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata  # noqa: PLC0415 -- opening a store has no need of it

    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return a text with spaces behind it, or before it, so that it takes so many columns."""
    padding = " " * (width - columns(text))
    return padding + text if right else text + padding


def _whole(text: str) -> str:
    """Return a text without lone surrogates, which stand for bytes that are no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return text


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
