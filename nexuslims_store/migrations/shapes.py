"""The tables as releases of NexusLIMS made them where they are not quite those of its revisions.

Each file of `sql/shapes/` is one such shape; its first line says whose.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache

from nexuslims_store import ddl
from nexuslims_store.config import sql_folder
from nexuslims_store.revisions import names, tables_at
from nexuslims_store.tables import Table, read


@cache
def shapes() -> dict[str, dict[str, Table]]:
    """Return the tables of each shape by the words that say whose they are."""
    found = {}
    for path in sorted((sql_folder() / "shapes").glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            connection.executescript(text)
            found[text.partition("\n")[0].removeprefix("-- ")] = read(connection).tables
    return found


@cache
def known_indexes() -> frozenset[tuple[str, tuple[str, ...]]]:
    """Return the indexes that a revision or a release of NexusLIMS makes: the table, the tokens."""
    made = [*(tables_at(revision) for revision in names()), *shapes().values()]
    return frozenset(
        (name, folded(index.sql))
        for tables in made
        for name, table in tables.items()
        for index in table.indexes
        if index.sql is not None
    )


def folded(sql: str) -> tuple[str, ...]:
    """Return the tokens of SQL, in small letters but for its texts: so far SQLite ignores case."""
    return tuple(w if w.startswith("'") else w.lower() for w in ddl.tokens(sql) if w != ";")
