"""Many rows at once, judged as a whole: what they hold together, not one after the other."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

from nexuslims_store.errors import DuplicateError

SET_ASIDE = "nxs_set_aside:"
"""Begins the value that a row has while another takes over the one it had."""

Owner = TypeVar("Owner", bound=Hashable)
Value = TypeVar("Value", bound=Hashable)


def find_clash(
    given: Mapping[Owner, Value], stored: Mapping[Value, Owner]
) -> tuple[Owner, Value, Owner] | None:
    """Return the first value that two owners would have, once all that is given is stored.

    Two that exchange their values do not clash.

    Parameters
    ----------
    given
        The value of each owner of the batch.
    stored
        Who has which value now.

    Returns
    -------
    tuple of owner, value, other owner, or None
    """
    owners = {value: owner for value, owner in stored.items() if owner not in given}
    for owner, value in given.items():
        other = owners.setdefault(value, owner)
        if other != owner:
            return owner, value, other
    return None


def given_to_both(one: str, value: str, other: str, what: str) -> DuplicateError:
    """Return the error for two owners of one batch that are given the same value."""
    return DuplicateError(
        f"{one!r} and {other!r} are given the same {what}, {value!r}; each needs its own"
    )
