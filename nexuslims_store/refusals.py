"""Why a value is refused: in the same words everywhere, and never in those of codecs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

NO_TIME = "a time in ISO 8601 is needed, such as 2025-07-01T08:00:00-04:00"
NOT_UTF_8 = "it is not UTF-8"

_TIMES = frozenset({"timestamp", "created_at", "last_verified_at"})
# By the type of Pydantic's error. What our own validators refuse is a value_error, in our words.
_WORDS = {
    "string_type": "text is needed",
    "string_too_short": "it is empty",
    "int_type": "a whole number is needed",
    "less_than": "it is beyond 64 bits",
    "greater_than_equal": "it is beyond 64 bits",
    "missing": "it is needed, and not given",
    "extra_forbidden": "there is no such field",
}


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
    kind, value = problem["type"], problem["input"]
    if kind in _WORDS:
        return _WORDS[kind]
    if isinstance(value, str) and not is_utf_8(value):
        return NOT_UTF_8
    if column in _TIMES and kind == "value_error":
        return NO_TIME
    said = str(problem["msg"])
    if kind == "enum":
        return f"{said.removeprefix('Input should be ')} is needed"
    return said.removeprefix("Value error, ")


def is_refusal(error: Exception) -> TypeGuard[Any]:
    """Whether an error is Pydantic's ValidationError, which is not imported for that."""
    return type(error).__module__.partition(".")[0] == "pydantic_core"


def invalid_values(error: Any) -> Iterator[str]:
    """Yield a line for each value that a model refuses, of a `pydantic.ValidationError`."""
    for found in error.errors(include_url=False, include_context=False):
        field = ".".join(map(str, found["loc"])) or error.title
        reason = why_refused(found, field)
        no_value = found["type"] in {"missing", "extra_forbidden"}
        given = "" if no_value else f" (not {found['input']!r})"
        yield f"{field}: {reason}{given}"
