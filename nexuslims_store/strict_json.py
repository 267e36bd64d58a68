"""JSON as the standard has it, where Python's own reader takes more, or speaks of itself."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

_LONGEST_NUMBER = 4000  # digits; Python itself reads 4300, and then names a function of its own
# Far below what Python's reader can do: how deep that is depends on who calls it.
_DEEPEST = 100
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def parse(text: str) -> Any:
    """Return what a JSON text says.

    Raises
    ------
    ValueError
        It is no JSON, names a key twice in one object, holds NaN or a number that is too large
        for a computer, or is nested more than 100 deep.
    """
    _require_shallow(text)
    try:
        return json.loads(
            text,
            object_pairs_hook=_named_once,
            parse_constant=_no_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"it breaks the rules of JSON at {place}") from error


def _require_shallow(text: str) -> None:
    if text.count("[") + text.count("{") <= _DEEPEST:
        return
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > _DEEPEST:
            raise ValueError(f"JSON nested more than {_DEEPEST} deep")


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it names {twice!r} twice in one object")
    return found


def _no_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _float(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"{text[:80]} is too large for a number")
    return number


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text):,} digits is too large")
    return int(text)
