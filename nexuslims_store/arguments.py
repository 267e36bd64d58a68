"""What the arguments of a call must be: of the right type, and one of the values there are.

SQLite compares what it is given with what is stored, whatever the types: a number for a PID
finds nothing, without a word. So every method asks first, which takes 0.1 microseconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args

from nexuslims_store.errors import InvalidValueError, StoreError

Member = TypeVar("Member", bound=Enum)


def require_type(name: str, value: object, kind: type | tuple[type, ...]) -> None:
    """Raise the TypeError that names an argument, unless its value is of the type or types."""
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise TypeError(f"{name} must be {' or '.join(map(_article, kinds))}, not {_shown(value)}")


def require_flags(**values: object) -> None:
    """Raise the TypeError that names an argument, unless each is True or False."""
    for name, value in values.items():
        require_type(name, value, bool)


def require_function(name: str, value: object) -> None:
    """Raise the TypeError that names an argument, unless it can be called."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, not {_shown(value)}")


def require_limit(limit: int | None) -> None:
    """Raise unless `limit` is None or how many there may be.

    Raises
    ------
    TypeError
        It is no int.
    InvalidValueError
        It is negative, or more than a computer counts.
    """
    require_type("limit", limit, (int, NoneType))
    if limit is not None and not 0 <= limit <= sys.maxsize:
        raise InvalidValueError(
            f"limit is {limit}: give how many there may be, 0 to {sys.maxsize}, or None for all"
        )


def as_path(name: str, value: str | os.PathLike[str]) -> Path:
    """Return an argument that is a path as one; another is a TypeError that names it.

    A Path drops the `./` by which a file is named that `require_name` would refuse.
    """
    require_type(name, value, (str, os.PathLike))
    path = Path(value)
    if str(path) in _NO_NAMES and os.fspath(value) not in _NO_NAMES:
        return path.absolute()
    return path


def require_name(path: str | os.PathLike[str]) -> None:
    """Raise a StoreError for what means something else than a file or folder of that name."""
    given = os.fspath(path)
    if given in _NO_NAMES:
        instead = f"; one that is called so is ./{given}" if given else ""
        raise StoreError(f"{given!r} is no file or folder{instead}")


_NO_NAMES = {"", "-", ":memory:"}  # as given: no name, standard output, none but in memory


def why_no_path(error: OSError | ValueError) -> str:
    """Say why a name, with the current folder before it, is no path."""
    if isinstance(error, FileNotFoundError):  # nothing else was looked for
        return "the current folder was removed: go to another"
    return getattr(error, "strerror", None) or str(error)


def require_valid(name: str, value: Any, kind: Any) -> Any:
    """Return an argument that is a model of this kind, made anew of its values, all of them valid.

    Pydantic's own `model_copy(update=…)` and `model_construct` do not look at values. What is
    returned is nobody else's, and has all fields set.

    Raises
    ------
    TypeError
        It is no such model.
    pydantic.ValidationError
        A value is not valid; it names the field.
    """
    require_type(name, value, kind)
    return kind.model_validate(value.__dict__)


def require_choice(name: str, value: Any, choices: Any) -> None:
    """Raise unless an argument is one of the texts of a Literal type.

    Raises
    ------
    InvalidValueError
        It is another text.
    TypeError
        It is no text.
    """
    require_type(name, value, str)
    if value not in get_args(choices):
        raise InvalidValueError(f"{name} is {value!r}; there are: {', '.join(get_args(choices))}")


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


def member_value(name: str, value: Any, kind: type[Enum]) -> str:
    """Return the value of the member that an argument is, or has the value of (see `member`)."""
    if type(value) is str and value in _by_value(kind):
        return value
    # A third of the time of `.value`, which is a function of Python's.
    found: str = member(name, value, kind)._value_
    return found


@cache
def _by_value(kind: type[Member]) -> dict[str, Member]:
    # Calling the enum takes four times as long.
    return {one.value: one for one in kind}


def members(name: str, values: Any, kind: type[Member]) -> list[Member]:
    """Return the members of an enum that an iterable of them, or of their values, holds."""
    found = enumerate(items(name, values, (kind, str)), start=1)
    return [member(f"item {number} of {name}", value, kind) for number, value in found]


def valid_items(name: str, values: Any, kind: Any) -> Iterator[Any]:
    """Yield the models that an iterable holds, each made anew as `require_valid` does.

    The fields that are set are those that were.
    """
    for number, value in enumerate(items(name, values, kind), start=1):
        try:
            valid = kind.model_validate(value.__dict__)
        except ValueError as error:
            error.add_note(f"in item {number} of {name}")
            raise
        valid.model_fields_set.intersection_update(value.model_fields_set)
        yield valid


def texts(name: str, values: Any) -> list[str]:
    """Return the texts that an iterable holds."""
    return list(items(name, values, str))


def items(name: str, values: Any, kind: type | tuple[type, ...]) -> Iterator[Any]:
    """Yield what an iterable holds, one by one.

    Raises
    ------
    TypeError
        It is no iterable, or one of its items is not of the type or types; it says which.
    """
    # A text is an iterable too, of its characters.
    if isinstance(values, str) or not isinstance(values, Iterable):
        first = kind[0] if isinstance(kind, tuple) else kind
        raise TypeError(
            f"{name} must be a list of {first.__name__}, or another iterable, not {_shown(values)}"
        )
    for number, value in enumerate(values, start=1):
        if not isinstance(value, kind):
            require_type(f"item {number} of {name}", value, kind)
        yield value


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
