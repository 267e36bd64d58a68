"""Whether views and triggers of a facility's own work: compiled in memory, and never run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import cache

from nexuslims_store import ddl
from nexuslims_store.recognition.layouts import known_columns
from nexuslims_store.revisions import known_tables
from nexuslims_store.tables import Contents, Named, in_order, quoted, why_dead


def make_empty(memory: sqlite3.Connection, named: Iterable[Named], *, plainly: bool = True) -> None:
    """Make all that a file has, without rows. What does not compile there either is left out.

    Parameters
    ----------
    plainly
        Whether what names a column of NexusLIMS's in double quotes names it without: SQLite takes
        one that is gone for a text, and is content.
    """
    for one, sql in in_order(named):
        code = plainly and one.kind in {"view", "trigger"}
        for statement in (ddl.unquoted(sql, _columns()) if code else sql, sql):
            with suppress(sqlite3.Error):
                memory.execute(statement)
                break


def why_dead_alone(memory: sqlite3.Connection, one: Named, code: Sequence[Named]) -> str | None:
    """Say why a view or trigger is dead, whatever other triggers its table has."""
    others = [o for o in code if o.kind == "trigger" and o is not one and o.table == one.table]
    if one.kind == "view" or not others:
        return why_dead(memory, one)
    memory.execute("SAVEPOINT alone")
    try:
        for other in others:
            memory.execute(f"DROP TRIGGER IF EXISTS {quoted(other.name)}")
        return why_dead(memory, one)
    finally:
        memory.execute("ROLLBACK TO alone")
        memory.execute("RELEASE alone")


def dead_code(connection: sqlite3.Connection, contents: Contents) -> Iterator[tuple[Named, str]]:
    """Yield the views and triggers of a file that do not work, each with the reason."""
    code = [*contents.of("view"), *contents.of("trigger")]
    if not code:
        return
    with (
        closing(sqlite3.connect(":memory:", isolation_level=None)) as plain,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as as_written,
    ):
        make_empty(plain, contents.named)
        make_empty(as_written, contents.named, plainly=False)
        for one in code:
            why = why_dead(connection, one)
            # What the file has and these have not, a virtual table for one, is no reason.
            if why is None and why_dead_alone(as_written, one, code) is None:
                why = why_dead_alone(plain, one, code)
            if why is not None:
                yield one, why


@cache
def _columns() -> frozenset[str]:
    return frozenset(column for table in known_tables() for column in known_columns(table))
