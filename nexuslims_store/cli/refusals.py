"""What a model says of values that it refuses, in lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

from nexuslims_store.refusals import why_refused


def is_refusal(error: Exception) -> TypeGuard[Any]:
    """Whether an error is Pydantic's ValidationError, which is not imported for that."""
    return type(error).__module__.partition(".")[0] == "pydantic_core"


def invalid_values(error: Any) -> Iterator[str]:
    """Yield a line for each value that a model refuses.

    Parameters
    ----------
    error
        A `pydantic.ValidationError`.
    """
    for found in error.errors(include_url=False, include_context=False):
        field = ".".join(map(str, found["loc"])) or error.title
        reason = why_refused(found, field)
        given = "" if found["type"] == "missing" else f" (not {found['input']!r})"
        yield f"{field}: {reason}{given}"
