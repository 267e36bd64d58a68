"""What the doctor says of one thing that it found."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning", "note"]

_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes
    ----------
    code
        The kind of finding, for example "unknown-instrument"; for scripts.
    severity
        "error": something does not work, or was lost. "warning": it should be put right.
        "note": it does no harm.
    message
        What is wrong, and where.
    remedy
        The command that mends it, or what to do where no command can; "" where nothing is to do.
        None deletes what was recorded, nor changes what is right.
    table, row_id, column
        Where it is stored, as far as it is in one place. `row_id` is the value of the table's
        primary key (its rowid, where that value itself is unreadable).
    """

    code: str
    severity: Severity
    message: str
    remedy: str = ""
    table: str | None = None
    row_id: int | str | None = None
    column: str | None = None


def in_shell(database: Path | str, sql: str) -> str:
    """Return the command that runs a statement of ours in SQLite's own shell, or a server's."""
    # The statements hold no value from the file, and nothing else that a shell acts upon in quotes.
    escaped = sql.replace('"', '\\"')
    place = shlex.quote(str(database))
    if isinstance(database, str):
        return f'psql {place} --command="{escaped}"'
    return f'sqlite3 {place} "{escaped}"'


def in_command(value: object, name: str) -> str:
    """Return a stored value as an argument of a command; its name where it cannot be typed."""
    typed = isinstance(value, str) and value.isprintable() and 0 < len(value) <= _LONGEST
    return shlex.quote(str(value)) if typed else name
