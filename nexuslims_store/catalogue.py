"""What one look at a file finds: its tables, their columns, its version rows."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from nexuslims_store.layouts import CHECK, COMPUTED, LAYOUTS, Layout, is_check
from nexuslims_store.queries import Queries, load

__all__ = ["REBUILDS", "TELLTALES", "VERSION_TABLE", "Catalogue", "read"]

# A column that no other program's table of the same name is likely to have.
TELLTALES = {
    "instruments": "instrument_pid",
    "session_log": "id_session_log",
    "upload_log": "destination_name",
    "external_user_identifiers": "nexuslims_username",
}

# Tables that a rebuild of session_log by NexusLIMS leaves behind when it is killed.
REBUILDS = {"session_log_new": "session_log", "session_log_old": "session_log"}

VERSION_TABLE = "alembic_version"
_YOYO_TABLES = frozenset({"_yoyo_migration", "_yoyo_log", "_yoyo_version", "yoyo_lock"})
_OWN_TABLES = frozenset(TELLTALES) | frozenset(REBUILDS) | _YOYO_TABLES | {VERSION_TABLE}


# The columns of all revisions; a default of theirs may be computed, in files from before 2.2.
_KNOWN = frozenset(
    column for layout in LAYOUTS.values() for columns in layout.values() for column in columns
)
_LITERAL = re.compile(r"NULL|TRUE|FALSE|[+-]?[\d.]+|'(?:[^']|'')*'", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What one look at a file found. Names are in small letters; SQLite ignores case.

    Attributes
    ----------
    columns
        Of NexusLIMS's tables that are there, and of the leftovers of their rebuilds: the
        columns, in the form of `LAYOUTS`.
    filled
        Those of NexusLIMS's tables that have rows.
    versions
        What the version rows say.
    tables, indexes
        All that are in the file.
    odd
        What bears the name of a table this package writes to, but is a view or the like.
    triggers
        Each trigger on such a table: its name, and the table's.
    """

    columns: dict[str, frozenset[str]] = field(default_factory=dict)
    filled: frozenset[str] = frozenset()
    versions: tuple[str, ...] = ()
    tables: frozenset[str] = frozenset()
    indexes: frozenset[str] = frozenset()
    odd: tuple[str, ...] = ()
    triggers: tuple[tuple[str, str], ...] = ()

    @property
    def layout(self) -> Layout:
        """NexusLIMS's tables that are there, in the form of `LAYOUTS`."""
        return {table: self.columns[table] for table in TELLTALES if table in self.columns}

    @property
    def others(self) -> list[str]:
        """The tables that neither NexusLIMS nor a migration tool made."""
        return sorted(
            name
            for name in self.tables
            if name not in _YOYO_TABLES | {VERSION_TABLE} and not name.startswith("sqlite_")
        )


def read(connection: sqlite3.Connection) -> Catalogue:
    """Look at a file, as it is at one moment. sqlite3's errors are raised as they are."""
    with _snapshot(connection):
        objects = connection.execute(
            "SELECT type, lower(name), lower(tbl_name), sql FROM sqlite_master"
        ).fetchall()
        plain = {
            name: sql
            for kind, name, _, sql in objects
            if kind == "table" and not sql.upper().startswith("CREATE VIRTUAL")
        }
        columns = {}
        for table in (*TELLTALES, *REBUILDS, VERSION_TABLE):
            if table in plain:
                columns[table] = _columns(connection, table, plain[table])
        # Nothing but plain tables is read: a view would run what its author wrote.
        filled = frozenset(
            table for table in TELLTALES if table in columns and _has_rows(connection, table)
        )
        odd = {name for kind, name, _, _ in objects if kind != "index"} & _OWN_TABLES - set(plain)
        versions: tuple[str, ...] = ()
        version_columns = columns.pop(VERSION_TABLE, None)
        if version_columns is not None:
            if "version_num" in version_columns:
                versions = tuple(
                    str(version)
                    for (version,) in connection.execute(_statements()["list_revisions"])
                )
            else:
                odd.add(VERSION_TABLE)
    return Catalogue(
        columns=columns,
        filled=filled,
        versions=versions,
        tables=frozenset(name for kind, name, _, _ in objects if kind in {"table", "view"}),
        indexes=frozenset(name for kind, name, _, _ in objects if kind == "index"),
        odd=tuple(sorted(odd)),
        triggers=tuple(
            (name, table)
            for kind, name, table, _ in objects
            if kind == "trigger" and table in _OWN_TABLES
        ),
    )


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """See the file at one moment, whatever another program commits in between."""
    inside = connection.in_transaction
    if not inside:
        connection.execute("BEGIN")
    try:
        yield
    finally:
        if not inside:
            connection.rollback()


def _columns(connection: sqlite3.Connection, table: str, sql: str) -> frozenset[str]:
    columns = {
        name + COMPUTED if hidden or (name not in _KNOWN and not _is_literal(default)) else name
        for name, hidden, default in connection.execute(
            "SELECT lower(name), hidden, dflt_value FROM pragma_table_xinfo(?)", (table,)
        )
    }
    if table == "session_log" and is_check(sql):
        columns.add(CHECK)
    return frozenset(columns)


def _is_literal(default: str | None) -> bool:
    """Whether a column's default is none, or one that calls no function."""
    return default is None or _LITERAL.fullmatch(default) is not None


def _has_rows(connection: sqlite3.Connection, table: str) -> bool:
    return bool(connection.execute(_statements()[f"has_{table}"]).fetchone()[0])


@cache
def _statements() -> Queries:
    return load("recognition.sql")
