"""Why a value is refused: in the same words everywhere, and never in those of codecs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["NOT_UTF_8", "NO_TIME", "is_utf_8", "why_refused"]

NO_TIME = "a time in ISO 8601 is needed, such as 2025-07-01T08:00:00-04:00"
NOT_UTF_8 = "it is not UTF-8"

_TIMES = frozenset({"timestamp", "created_at", "last_verified_at"})


def is_utf_8(text: str) -> bool:
    """Whether a text has no lone surrogates, which stand for bytes that are not UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def why_refused(problem: Mapping[str, Any], column: str) -> str:
    """Return in words why a model refuses the value of a column.

    Parameters
    ----------
    problem
        One of `ValidationError.errors()`. Pydantic has words of its own, and stored times are
        read by a function of Python's, which has others.
    """
    value = problem["input"]
    if isinstance(value, str) and not is_utf_8(value):
        return NOT_UTF_8
    if column in _TIMES and problem["type"] == "value_error":
        return NO_TIME
    return str(problem["msg"]).removeprefix("Value error, ")
