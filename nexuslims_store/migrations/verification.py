"""What is checked of the rows: before a migration, that it can take them; after, that it did."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nexuslims_store import queries
from nexuslims_store.catalogue import read
from nexuslims_store.enums import EventType, RecordStatus
from nexuslims_store.errors import MigrationError, StoreError
from nexuslims_store.layouts import BASE, LAYOUTS, own_columns
from nexuslims_store.recognition import recognise

__all__ = ["Rows", "count_rows", "refuse_unfit_rows", "unfilled_harvesters", "verify"]

_SQL = queries.load("verification.sql")

Move = tuple[str | None, str | None]

_INSTRUMENTS_MADE_ANEW = ("v2_5_0a", "v2_5_0b")

# For each step that makes a table anew: the table, and the statement that finds the rows which
# the new table refuses. A new migration that does so adds a line here.
_UNFIT: dict[Move, tuple[str, str]] = {
    ("v2_4_0a", "v2_4_0b"): ("session_log", _SQL["list_unfit_events"]),
    ("v2_4_0b", "v2_4_0a"): ("session_log", _SQL["list_events_with_null"]),
    _INSTRUMENTS_MADE_ANEW: ("instruments", _SQL["list_unfit_instruments"]),
}
_KEYS = {"session_log": "id_session_log", "instruments": "instrument_pid"}
_ALLOWED: dict[str, tuple[str, ...]] = {
    "event_type": tuple(member.value for member in EventType),
    "record_status": tuple(member.value for member in RecordStatus),
}


# -- before ----------------------------------------------------------------------------


def refuse_unfit_rows(connection: sqlite3.Connection, path: Path, moves: Sequence[Move]) -> None:
    """Raise if a table that is made anew would refuse rows of the present one, or lose columns.

    SQLite would refuse them too, but without saying which.

    Parameters
    ----------
    moves
        The pairs of revisions, from and to, that the steps go through.

    Raises
    ------
    MigrationError
        Names the rows, their values, and how to mend them.
    """
    own = own_columns(read(connection).layout)
    for start, end in _on_present_rows(moves):
        if (start, end) in _UNFIT:
            table, statement = _UNFIT[start, end]
            if table in own:
                raise MigrationError(
                    f"{path} cannot go to {end}, which makes {table} anew and would not keep its "
                    f"columns {', '.join(sorted(own[table]))}, which are your own. Nothing was "
                    f"changed; move them to a table of your own first, with {_KEYS[table]} as key"
                )
            cursor = connection.execute(statement)
            columns = [column for column, *_ in cursor.description]
            rows = cursor.fetchall()
            if rows:
                raise MigrationError(
                    f"{path} cannot go to {end}: {_unfit_rows(table, columns, rows)}"
                )


def _unfit_rows(table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Say which rows are refused and why: in each, the first column that is at fault."""
    key = columns[0]
    number = rows[0][-1]
    shown, rules = [], set()
    for row in rows:
        column, value, rule = next(_faults(columns[:-1], row))
        rules.add(rule)
        shown.append(f"{row[0]} ({column} {value!r})")
    more = f" and {int(str(number)) - len(rows)} more" if number != len(rows) else ""
    return (
        f"{number} row(s) of {table} do not fit: {key} {', '.join(shown)}{more}; "
        f"{'; '.join(sorted(rules))}. Nothing was changed. Correct them first: `nexuslims-store "
        "doctor` lists them all, each with a command"
    )


def _faults(columns: Sequence[str], values: Sequence[object]) -> Iterator[tuple[str, object, str]]:
    """Yield what is wrong in a row: the column, its value, and the rule it breaks."""
    for column, value in zip(columns, values, strict=False):
        if value is None:
            yield column, value, f"{column} must not be NULL"
        elif column in _ALLOWED and value not in _ALLOWED[column]:
            yield column, value, f"{column} may be {', '.join(_ALLOWED[column])}"


def unfilled_harvesters(connection: sqlite3.Connection, moves: Sequence[Move]) -> int:
    """Return how many NULL harvesters these moves will fill with the default."""
    if _INSTRUMENTS_MADE_ANEW not in _on_present_rows(moves):
        return 0
    return int(connection.execute(_SQL["count_unfilled_harvesters"]).fetchone()[0])


def _on_present_rows(moves: Sequence[Move]) -> Sequence[Move]:
    """Return the moves, or none if they begin at base, where there are no tables yet."""
    return () if not moves or moves[0][0] is None else moves


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
    return connection.execute(_SQL[f"summarize_{table}"]).fetchall()


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
                f"(status, rows, lowest key, highest key) were {expected}, became "
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
