"""What is stored, as text that may stand in a page."""

from __future__ import annotations

import html
from datetime import datetime

__all__ = ["cut_out", "safe", "when"]

_LONGEST = 200


def safe(value: object) -> str:
    """Return a value as text for HTML: no markup, nothing invisible, not without end."""
    text = "-" if value is None else str(value)
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    # Among what cannot be printed are NUL and lone surrogates, which no page may hold, and marks
    # that turn the direction of all text after them.
    printable = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return html.escape(printable)


def cut_out(text: str, length: int) -> str:
    """Return a text no longer than `length`; instruments that begin alike end differently."""
    if len(text) <= length:
        return text
    end = length // 3
    return f"{text[: length - end - 1]}…{text[-end:]}"


def when(time: datetime | str | None) -> str:
    """Return a time as people read it; what is no time as it is stored."""
    return f"{time:%Y-%m-%d %H:%M %Z}".rstrip() if isinstance(time, datetime) else str(time or "-")
