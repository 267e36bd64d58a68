"""What is checked of the rows: before a migration, that it can take them; after, that it did.

The statements are about tables of any revision; their names come from the migrations.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nexuslims_store import ddl, display
from nexuslims_store.connection import leniently
from nexuslims_store.errors import MigrationError, StoreError
from nexuslims_store.migrations.script import filled_by, made_anew_by
from nexuslims_store.recognition import recognise
from nexuslims_store.recognition.remaking import as_stored, gets_numbers
from nexuslims_store.revisions import BASE, Migration, known_tables, tables_at
from nexuslims_store.tables import Table, quoted

_ONE_OF = re.compile(r"(\w+) IN \((.*)\)")


# -- before ----------------------------------------------------------------------------


def unfit_rows(
    connection: sqlite3.Connection,
    there: Mapping[str, Table],
    steps: Sequence[Migration],
    *,
    up: bool,
    after: str | None,
    made_anew: Iterable[str],
) -> list[str]:
    """Say which rows of a table that is made anew do not fit, and how they are mended.

    SQLite would refuse them too, but without saying which.

    Parameters
    ----------
    there
        The tables that the file has.
    made_anew
        Those that are made anew as the revision `after` has them, after the steps.
    """
    moves = [
        (name, becomes, filled_by(step, up=up), step.revision if up else step.down_revision)
        for step in steps
        for name, becomes in made_anew_by(step, up=up).items()
    ]
    moves += [(name, tables_at(after)[name], frozenset(), after) for name in made_anew]
    unfit: dict[str, list[str]] = {}  # of each table for the first step that is in trouble
    for name, becomes, filled, end in moves:
        if name in there and not unfit.get(name):
            found = misfits(connection, there[name], becomes, end or BASE, filled=filled)
            unfit[name] = [
                f"{what}; correct them first: `nexuslims-store doctor` lists them all, each with "
                "a command"
                for what in found
            ]
    return [sentence for sentences in unfit.values() for sentence in sentences]


def misfits(
    connection: sqlite3.Connection,
    there: Table,
    becomes: Table,
    end: str,
    *,
    filled: frozenset[str] = frozenset(),
) -> Iterator[str]:
    """Say for each rule that a table gets which of its rows break it.

    Parameters
    ----------
    end
        The revision that it becomes one of.
    filled
        Columns in which a NULL gets a value on the way.
    """
    # What has no number gets one.
    number = becomes.key[0] if gets_numbers(there, becomes) else None
    faults = [
        (f"{quoted(name)} IS NULL", name, f"{name} must not be NULL")
        for name, column in becomes.columns.items()
        if column.not_null
        and name in there.columns
        and not there.columns[name].not_null
        and name not in {number, *filled}
    ]
    if number is not None:
        rule = f"CAST({quoted(number)} AS INTEGER) <> {quoted(number)}"
        faults.append((rule, number, f"{number} must be a whole number"))
    faults += [
        (f"NOT ({rule})", _about(rule, becomes) or becomes.key[0], _in_words(rule))
        for rule in becomes.checks
        if rule not in there.checks
    ]
    faults += [
        (
            repeated(there, becomes, unique),
            unique[0],
            f"({', '.join(unique)}) must be unlike that of any other row",
        )
        for unique in new_uniques(there, becomes)
    ]
    key = becomes.key[0]
    for condition, column, rule in faults:
        with leniently(connection):
            rows = connection.execute(
                f"SELECT {quoted(key)}, {quoted(column)}, count(*) OVER () FROM {becomes.name} "  # noqa: S608
                f"WHERE {condition} ORDER BY {quoted(key)} LIMIT 5"
            ).fetchall()
        if rows:
            count = rows[0][2]
            shown = ", ".join(
                f"{display.quoted(row_id)} ({column} {display.quoted(value)})"
                for row_id, value, _ in rows
            )
            more = f" and {count - len(rows)} more" if count > len(rows) else ""
            yield f"{count} row(s) of {becomes.name} do not fit {end}: {key} {shown}{more}; {rule}"


def new_uniques(there: Table, becomes: Table) -> list[tuple[str, ...]]:
    """Return the columns that are to tell rows apart, and do not yet.

    Not a key of numbers: a row that has that of another gets its own.
    """
    told = {tuple(sorted(unique)) for unique in (there.key, *there.unique)}
    key = [] if becomes.is_numbered else [becomes.key]
    return [
        unique
        for unique in (*key, *sorted(becomes.unique))
        if tuple(sorted(unique)) not in told and there.columns.keys() >= set(unique)
    ]


def repeated(there: Table, becomes: Table, columns: Sequence[str]) -> str:
    """Return the condition of rows that are like an earlier one in some columns.

    Rows without numbers are told apart by their key.
    """
    number = there.rowid or quoted(there.key[0])
    listed = ", ".join(as_stored(column, becomes.columns[column].type) for column in columns)
    known = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in columns)
    return (
        f"{number} IN (SELECT id FROM (SELECT {number} AS id, row_number() OVER "  # noqa: S608
        f"(PARTITION BY {listed} ORDER BY {number}) AS place FROM {quoted(there.name)} "
        f"WHERE {known}) WHERE place > 1)"
    )


def _about(rule: str, table: Table) -> str | None:
    """Return the column that a CHECK is about."""
    return next((word for word in ddl.tokens(rule) if word in table.columns), None)


def _in_words(rule: str) -> str:
    listed = _ONE_OF.fullmatch(rule)
    return f"{listed[1]} may be {listed[2]}" if listed else f"it must fulfil {rule}"


def count_filled(connection: sqlite3.Connection, steps: Sequence[Migration], *, up: bool) -> int:
    """Return in how many rows the steps will put a value where there is none."""
    number = 0
    for step in steps if steps and steps[0].down_revision is not None else ():
        for name in made_anew_by(step, up=up):
            for column in filled_by(step, up=up):
                query = f"SELECT count(*) FROM {name} WHERE {column} IS NULL"  # noqa: S608
                number += connection.execute(query).fetchone()[0]
    return number


def rows_dropped(
    connection: sqlite3.Connection, there: Mapping[str, Table], after: str | None
) -> dict[str, int]:
    """Return how many rows go with the tables that an older revision does not have."""
    gone = sorted(there.keys() - tables_at(after).keys())
    counted = {
        name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608
        for name in gone
    }
    return {name: number for name, number in counted.items() if number}


# -- before and after ------------------------------------------------------------------


Rows = dict[str, tuple[list[tuple[object, ...]], int]]
"""What must be the same after a migration as before: of each table, its rows by status, and how
many refer to nothing. There may be some of those: NexusLIMS does not enforce foreign keys.
"""


def count_rows(connection: sqlite3.Connection, before: str | None, after: str | None) -> Rows:
    """Count the rows of the tables that two revisions both have."""
    dangling = "SELECT count(*) FROM pragma_foreign_key_check(?)"
    return {
        name: (
            by_status(connection, name, before, after),
            connection.execute(dangling, (name,)).fetchone()[0],
        )
        for name in in_both(before, after)
    }


def in_both(before: str | None, after: str | None) -> list[str]:
    """Return the names of NexusLIMS's tables that two revisions both have."""
    return sorted(known_tables() & tables_at(before).keys() & tables_at(after).keys())


def by_status(
    connection: Any, name: str, before: str | None, after: str | None
) -> list[tuple[object, ...]]:
    """Count the rows of a table by status, with their lowest and highest key. On a server too."""
    there, becomes = tables_at(before)[name], tables_at(after)[name]
    key = there.key[0]
    checked = (
        _about(rule, shape) for shape in (there, becomes) for rule in reversed(list(shape.checks))
    )
    status = next((column for column in checked if column), None)
    counted = f"count(*), min({key}), max({key}) FROM {name}"
    statement = f"SELECT {counted}"
    if status is not None:
        statement = f"SELECT {status}, {counted} GROUP BY {status} ORDER BY {status}"
    rows: list[tuple[object, ...]] = connection.execute(statement).fetchall()
    return rows


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
    fault = _fault(connection, path, rows, before, after)
    if fault is not None:
        raise MigrationError(
            f"{path}: the migration to {after or BASE} {fault}. All was rolled back"
        )


def _fault(
    connection: sqlite3.Connection, path: Path, rows: Rows, before: str | None, after: str | None
) -> str | None:
    found = count_rows(connection, before, after)
    for table, (expected, dangling) in rows.items():
        there, now_dangling = found[table]
        if there != expected:
            return (
                f"did not keep the rows of {table}: (status, rows, lowest key, highest key) were "
                f"{expected}, became {there}"
            )
        if now_dangling > dangling:
            return (
                f"left {now_dangling} rows of {table} that refer to nothing, {dangling} before it"
            )
    try:
        state = recognise(connection, path)
    except StoreError as error:
        return f"left tables that are not those of {after or BASE} ({error})"
    if state.revision != after or not state.stamped or state.leftovers:
        return f"led to {state.revision or BASE}, not to {after or BASE}"
    return None
