"""What is checked of the rows: before a migration, that it can take them; after, that it did.

The queries here are the same for every table, made from the tables' names and columns as this
package has them, never from what a file says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nexuslims_store.errors import MigrationError, StoreError
from nexuslims_store.layouts import BASE, LAYOUTS
from nexuslims_store.migrations.script import reference
from nexuslims_store.recognition import recognise

__all__ = ["Rows", "count_rows", "refuse_unfit_rows", "unfilled_harvesters", "verify"]

_KEYS = {
    "instruments": "instrument_pid",
    "session_log": "id_session_log",
    "upload_log": "id",
    "external_user_identifiers": "id",
}
# The columns whose distribution must survive.
_GROUPS = {
    "instruments": "timezone",
    "session_log": "record_status, event_type",
    "upload_log": "success",
    "external_user_identifiers": "external_system",
}
# NULL in files from before 2.2; v2_5_0b fills it with the documented default.
_FILLED = ("instruments", "harvester")

_SHOWN = 5


# -- before ----------------------------------------------------------------------------


def refuse_unfit_rows(
    connection: sqlite3.Connection,
    path: Path,
    before: str | None,
    moves: Iterable[tuple[str | None, str | None]],
) -> None:
    """Raise if a table that is made anew would refuse rows of the present one.

    SQLite would refuse them too, but without saying which.

    Parameters
    ----------
    before
        The revision the file is at.
    moves
        The pairs of revisions, from and to, that the steps go through.

    Raises
    ------
    MigrationError
        Names the rows, their values, and how to mend them.
    """
    for start, end in moves:
        for table in LAYOUTS[before or BASE]:
            sql = reference(end).tables.get(table)
            if sql is None or sql == reference(start).tables.get(table):
                continue
            rules = list(_rules(table, before, end))
            anything = " OR ".join(rule.refuses for rule in rules)
            if not _count(connection, table, anything):
                continue
            for rule in rules:
                if number := _count(connection, table, rule.refuses):
                    raise MigrationError(
                        f"{path} cannot go to {end or BASE}: "
                        + _unfit_rows(connection, table, rule, number)
                    )


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a table allows in a column, in words, and the condition of the rows it refuses."""

    column: str
    allows: str
    refuses: str


def _rules(table: str, before: str | None, end: str | None) -> Iterator[_Rule]:
    """Yield what the table at `end` allows in the columns that it has at `before`."""
    present = LAYOUTS[before or BASE][table]
    for column in reference(end).required[table]:
        if column in present and (table, column) != _FILLED:
            yield _Rule(column, f"{column} must not be NULL", f"{column} IS NULL")
    for check in reference(end).checks[table]:
        if check.column in present:
            yield _Rule(check.column, check.rule, f"NOT ({check.rule})")


def _unfit_rows(connection: sqlite3.Connection, table: str, rule: _Rule, number: int) -> str:
    """Say which rows break a rule, and how to mend them."""
    key, column = _KEYS[table], rule.column
    rows = connection.execute(
        f"SELECT {key}, {column} FROM {table} WHERE {rule.refuses} ORDER BY {key} LIMIT {_SHOWN}"  # noqa: S608
    ).fetchall()
    shown = ", ".join(f"{row_id} ({value!r})" for row_id, value in rows)
    more = f" and {number - len(rows)} more" if number > len(rows) else ""
    keys = ", ".join(repr(row_id) for row_id, _ in rows)
    mend = f"UPDATE {table} SET {column} = … WHERE {key} IN ({keys});"  # noqa: S608 -- to read
    return (
        f"{table} then allows no other {column} than: {rule.allows}. {number} row(s) have another, "
        f"{key} {shown}{more}. Nothing was changed. Correct them first, for example in the "
        f"sqlite3 shell: {mend}"
    )


def unfilled_harvesters(
    connection: sqlite3.Connection,
    before: str | None,
    moves: Iterable[tuple[str | None, str | None]],
) -> int:
    """Return how many NULL harvesters these moves will fill with the default."""
    table, column = _FILLED
    made_anew = any(
        reference(start).tables.get(table) != reference(end).tables.get(table)
        for start, end in moves
    )
    return _count(connection, table, f"{column} IS NULL") if before and made_anew else 0


def _count(connection: sqlite3.Connection, table: str, condition: str) -> int:
    return int(
        connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()[0]  # noqa: S608
    )


# -- before and after ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rows:
    """What must be the same after a migration as before.

    Attributes
    ----------
    tables
        For each table its rows by status, and for each of those how many, and the lowest and
        the highest key.
    violations
        How many rows of each table break a foreign key. There may be some: NexusLIMS does not
        enforce them.
    """

    tables: dict[str, list[tuple[object, ...]]]
    violations: dict[str, int]


def count_rows(connection: sqlite3.Connection, before: str | None, after: str | None) -> Rows:
    """Count the rows of the tables that two revisions both have."""
    tables = [table for table in LAYOUTS[before or BASE] if table in LAYOUTS[after or BASE]]
    return Rows(
        {table: _by_status(connection, table) for table in tables},
        {table: _violations(connection, table) for table in tables},
    )


def _by_status(connection: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    key, groups = _KEYS[table], _GROUPS[table]
    return connection.execute(
        f"SELECT {groups}, count(*), min({key}), max({key}) FROM {table} "  # noqa: S608
        f"GROUP BY {groups} ORDER BY {groups}"
    ).fetchall()


def _violations(connection: sqlite3.Connection, table: str) -> int:
    return int(
        connection.execute("SELECT count(*) FROM pragma_foreign_key_check(?)", (table,)).fetchone()[
            0
        ]
    )


def verify(
    connection: sqlite3.Connection, path: Path, rows: Rows, before: str | None, after: str | None
) -> None:
    """Raise unless the migration left every row, and the tables of its revision.

    Parameters
    ----------
    rows
        What `count_rows` found before it.

    Raises
    ------
    MigrationError
        Says what is not as it was.
    """
    found = count_rows(connection, before, after)
    for table, expected in rows.tables.items():
        if found.tables[table] != expected:
            raise MigrationError(
                f"{path}: the migration to {after or BASE} did not keep the rows of {table}: "
                f"({_GROUPS[table]}, rows, lowest key, highest key) were {expected}, became "
                f"{found.tables[table]}. All was rolled back"
            )
        if found.violations[table] > rows.violations[table]:
            raise MigrationError(
                f"{path}: the migration to {after or BASE} left {found.violations[table]} rows "
                f"of {table} that refer to nothing, {rows.violations[table]} before it. All was "
                "rolled back"
            )
    try:
        state = recognise(connection, path)
    except StoreError as error:
        raise MigrationError(
            f"{path}: the tables after the migration are not those of {after or BASE} ({error}). "
            "All was rolled back"
        ) from error
    if state.revision != after or not state.stamped or state.leftovers:
        raise MigrationError(
            f"{path}: the migration led to {state.revision or BASE}, not to {after or BASE}. All "
            "was rolled back"
        )
