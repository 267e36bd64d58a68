"""What a user names as the revision to go to: a revision, a start of one, head, base, +N, -N."""

from __future__ import annotations

import re

from nexuslims_store.errors import MigrationError
from nexuslims_store.layouts import BASE
from nexuslims_store.revisions import Migration, history

__all__ = ["between", "position", "resolve"]

HEAD = "head"
_RELATIVE = re.compile(r"[+-]\d+")


def resolve(target: str, current: str | None) -> str | None:
    """Return the revision that `target` names, None for base.

    Parameters
    ----------
    target
        A revision or any unique start of one, "head", "base", "+N" or "-N".
    current
        The revision that +N and -N are counted from.

    Raises
    ------
    MigrationError
        No revision is meant, or several are.
    """
    revisions = [step.revision for step in history()]
    if target == BASE:
        return None
    if target == HEAD:
        return revisions[-1]
    if _RELATIVE.fullmatch(target):
        place = position(current) + int(target)
        if not 0 <= place <= len(revisions):
            raise MigrationError(
                f"there is no revision {target} from {current or BASE}: the history is "
                + ", ".join([BASE, *revisions])
            )
        return revisions[place - 1] if place else None
    if target in revisions:
        return target
    meant = [revision for revision in revisions if target and revision.startswith(target)]
    if len(meant) == 1:
        return meant[0]
    known = ", ".join(meant or [BASE, *revisions])
    raise MigrationError(
        f"{target!r} may be any of {known}: write more of it"
        if meant
        else f"there is no revision {target!r}: name one of {known}, or head, +N, -N"
    )


def position(revision: str | None) -> int:
    """Return the place of a revision in the history: 0 for base, 1 for the first."""
    if revision is None:
        return 0
    return next(step.number for step in history() if step.revision == revision)


def between(start: str | None, end: str | None) -> tuple[Migration, ...]:
    """Return the steps from one revision to another, in the order in which they run."""
    low, high = sorted((position(start), position(end)))
    steps = history()[low:high]
    return steps if position(start) <= position(end) else steps[::-1]
