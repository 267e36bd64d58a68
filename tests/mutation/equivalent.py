"""Mutants that change nothing a test could see, each with its reason."""

from __future__ import annotations

from .mutant import Mutant

# The file, what stands on the line, what it becomes (a part of either is enough), and why.
EQUIVALENT: tuple[tuple[str, str, str, str], ...] = ()


def reason(mutant: Mutant, text: str) -> str:
    """Why a mutant changes nothing; "" where it does."""
    line = text.splitlines()[mutant.line - 1]
    for path, stands, becomes, why in EQUIVALENT:
        if mutant.path == path and stands in line and becomes in mutant.replacement:
            return why
    return ""
