"""One change of one file."""

from __future__ import annotations

from dataclasses import dataclass

# What becomes of one; the last is said of what cannot be changed in a process that runs.
NOTICED, HANGS, SURVIVES, ELSEWHERE = "noticed", "hangs", "SURVIVES", "not put in"


@dataclass(frozen=True)
class Mutant:
    """A change of a text: what stands from `begin` to `end` is replaced.

    Attributes
    ----------
    path
        The file, from the checkout's top.
    line
        Where it begins, from 1.
    begin, end
        Offsets in the text, in characters.
    statement
        For SQL, the name of the statement; else "".
    """

    path: str
    line: int
    begin: int
    end: int
    replacement: str
    statement: str = ""

    def applied(self, text: str) -> str:
        return text[: self.begin] + self.replacement + text[self.end :]

    def described(self, text: str) -> str:
        """Say what becomes of what, in one line."""
        old, new = (
            " ".join(part.split())[:60] for part in (text[self.begin : self.end], self.replacement)
        )
        where = f"{self.path}:{self.line}" + (f" ({self.statement})" if self.statement else "")
        return f"{where}: {old or 'nothing'} -> {new or 'nothing'}"
