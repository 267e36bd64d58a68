"""What the arguments of a call must be: of the right type, and one of the values there are.

SQLite compares what it is given with what is stored, whatever the types: a number for a PID
finds nothing, without a word. So every method asks first, which takes 0.1 microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any, TypeVar

from nexuslims_store.errors import InvalidValueError

__all__ = ["member", "members", "require_type", "require_valid", "texts"]

Member = TypeVar("Member", bound=Enum)


def require_type(name: str, value: object, kind: type | tuple[type, ...]) -> None:
    """Raise the TypeError that names an argument, unless its value is of the type or types."""
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise TypeError(f"{name} must be {' or '.join(map(_article, kinds))}, not {_shown(value)}")


def require_valid(name: str, value: Any, kind: Any) -> None:
    """Raise unless an argument is a model of this kind, all of whose values are valid.

    Pydantic's own `model_copy(update=…)` and `model_construct` do not look at values.

    Raises
    ------
    TypeError
        It is no such model.
    pydantic.ValidationError
        A value is not valid; it names the field.
    """
    require_type(name, value, kind)
    kind.model_validate(value.__dict__)


def member(name: str, value: Any, kind: type[Member]) -> Member:
    """Return the member of a `str` enum that an argument is, or has the value of.

    Raises
    ------
    InvalidValueError
        It is a text that none of the members has.
    TypeError
        It is no text at all.
    """
    if type(value) is kind:
        return value
    if isinstance(value, str):
        found: Member | None = _by_value(kind).get(value)
        if found is not None:
            return found
    require_type(name, value, (kind, str))
    raise InvalidValueError(
        f"{name} is {str(value)!r}, which is no {kind.__name__}; there are: "
        + ", ".join(_by_value(kind))
    )


@cache
def _by_value(kind: type[Member]) -> dict[str, Member]:
    # Calling the enum takes four times as long.
    return {one.value: one for one in kind}


def members(name: str, values: Any, kind: type[Member]) -> list[Member]:
    """Return the members of an enum that an iterable of them, or of their values, holds."""
    return [member(f"an item of {name}", value, kind) for value in _several(name, values, kind)]


def texts(name: str, values: Any) -> list[str]:
    """Return the texts that an iterable holds."""
    found = list(_several(name, values, str))
    for value in found:
        require_type(f"an item of {name}", value, str)
    return found


def _several(name: str, values: Any, kind: type) -> Iterable[Any]:
    # A text is an iterable too, of its characters.
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(
            f"{name} must be a list of {kind.__name__}, or another iterable, not {_shown(values)}"
        )
    return values


def _article(kind: type) -> str:
    if kind is NoneType:
        return "None"
    name = kind.__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _shown(value: object) -> str:
    if value is None:
        return "None"
    text = repr(value)
    return f"{text if len(text) <= 100 else text[:99] + '…'} ({type(value).__name__})"
