"""A whole database from an SQLite file to a PostgreSQL server, or back into a new file.

What is moved are the rows of NexusLIMS's tables. It happens in one transaction of the destination,
and before the commit both sides are read again and compared, value by value. The source is only
read, and stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from nexuslims_store import display, migrations
from nexuslims_store.backup.files import publish, refuse_taken, temporary_file
from nexuslims_store.config import is_url, without_password
from nexuslims_store.connection import SQLiteDatabase
from nexuslims_store.database import Database, Row
from nexuslims_store.errors import InvalidRowError, StoreError
from nexuslims_store.migrations.run import Options
from nexuslims_store.migrations.server import change, make_plan
from nexuslims_store.opening import open_server
from nexuslims_store.recognition import check_head, look
from nexuslims_store.recognition.server import check_head_of_server, columns_on_server
from nexuslims_store.revisions import head, known_tables, tables_at
from nexuslims_store.tables import Column, Table, quoted

if TYPE_CHECKING:
    from nexuslims_store.postgresql import PostgreSQLDatabase

__all__ = ["Moved", "move"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved.

    Attributes
    ----------
    source, destination
        A file's path, or a URL without its password.
    rows
        How many rows of each table.
    """

    source: str
    destination: str
    rows: dict[str, int] = field(default_factory=dict)


def move(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    dry_run: bool = False,
    timeout: float = 30.0,
    say: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda _, __: None,
) -> Moved:
    """Copy all rows of NexusLIMS's tables, ids included, from one kind of database to the other.

    Parameters
    ----------
    source, destination
        One is the path of an SQLite file, the other the URL of a PostgreSQL database. The tables
        of the destination have no rows, or are not there yet; a file is not there yet.
    dry_run
        Whether to undo all in the end, having met whatever is in the way.
    timeout
        Seconds to wait for other programs' locks. Programs that use this package and write to a
        server wait meanwhile.
    say, progress
        Called with a line of text for each table; with how many rows are moved or compared, and
        how many there are.

    Raises
    ------
    InvalidRowError
        A row holds what the other cannot: a BLOB, text that is not UTF-8, a NUL, a value of
        another kind, an instrument that is not there. Nothing was written.
    StoreError
        A database is not as it must be, or what arrived is not what was sent. All was undone.
    """
    if is_url(source) == is_url(destination):
        raise StoreError(
            "one of the two is to be the path of an SQLite file, the other the URL of a PostgreSQL "
            "database; a file is copied by `nexuslims-store backup`, a server's database by pg_dump"
        )
    steps = _Steps(say, progress)
    if is_url(destination):
        rows = _to_server(Path(source), destination, steps, dry_run=dry_run, timeout=timeout)
    else:
        rows = _to_file(
            os.fspath(source), Path(destination), steps, dry_run=dry_run, timeout=timeout
        )
    return Moved(_name(source), _name(destination), rows)


def _name(place: str | os.PathLike[str]) -> str:
    return without_password(place) if is_url(place) else os.fspath(place)


class _Steps:
    """Tells how far the work is. Each row is sent, and later compared."""

    def __init__(self, say: Callable[[str], None], progress: Progress) -> None:
        self.say = say
        self._progress = progress
        self._done = self._total = 0

    def count(self, source: Database) -> None:
        rows = (source.rows(_select("count(*)", table)) for table in _tables())
        self._total = 2 * sum(found[0][0] for found in rows)

    def read(self, database: Database, table: Table) -> Iterator[Row]:
        """Yield all rows of a table in the order of its key."""
        for lot in _lots(database, table):
            yield from lot
            self._done += len(lot)
            self._progress(self._done, self._total)


def _to_server(
    path: Path, url: str, steps: _Steps, *, dry_run: bool, timeout: float
) -> dict[str, int]:
    rows: dict[str, int] = {}
    with (
        suppress(_UndoError),
        closing(SQLiteDatabase(path, read_only=True, timeout=timeout)) as file,
        closing(open_server(url, timeout=timeout)) as server,
        server.transaction(),
    ):
        version = _data_version(file)
        with file.snapshot():
            _check_file(file)
            change(server, make_plan(server, "upgrade", "head"), Options(say=steps.say))
            _refuse_rows(server)
            steps.count(file)
            for table in _tables():
                steps.say(f"moving {table.name}")
                _send(server, table, _sendable(table, steps.read(file, table)))
                rows[table.name] = _compare(
                    table, steps.read(file, table), chain.from_iterable(_lots(server, table))
                )
        if _data_version(file) != version:
            raise StoreError(
                f"{path} was written to meanwhile, which would be missing on the server, so "
                "nothing was moved; stop the programs that write to it"
            )
        if dry_run:
            raise _UndoError
        for table in _tables():
            if table.columns[table.key[0]].type == "INTEGER":
                # Ids that are given from now on follow those that were moved.
                key = table.key[0]
                sequence = f"pg_get_serial_sequence('{table.name}', '{key}')"
                server.rows(_select(f"setval({sequence}, max({key}))", table))
    return rows


class _UndoError(Exception):
    """Ends a dry run."""


def _to_file(
    url: str, path: Path, steps: _Steps, *, dry_run: bool, timeout: float
) -> dict[str, int]:
    rows: dict[str, int] = {}
    file = Path(os.path.realpath(path))
    refuse_taken(file)
    with (
        closing(open_server(url, read_only=True, timeout=timeout)) as server,
        temporary_file(file, mode=0o644) as temporary,
    ):
        migrations.upgrade(temporary, backup=False)
        with (
            server.snapshot(),
            closing(SQLiteDatabase(temporary)) as new,
            new.transaction(),
        ):
            check_head_of_server(server)
            _refuse_own_columns(server.name, columns_on_server(server))
            steps.count(server)
            for table in _tables():
                steps.say(f"moving {table.name}")
                marks = ", ".join("?" for _ in table.columns)
                new.connection.executemany(
                    f"INSERT INTO {table.name} ({_columns(table)}) VALUES ({marks})",  # noqa: S608
                    steps.read(server, table),
                )
                rows[table.name] = _compare(
                    table, steps.read(server, table), chain.from_iterable(_lots(new, table))
                )
        if not dry_run:
            publish(temporary, [file], temporary.stat())
    return rows


def _send(server: PostgreSQLDatabase, table: Table, rows: Iterable[Row]) -> None:
    try:
        with (
            server.translated(),
            server.connection.cursor() as cursor,
            cursor.copy(f"COPY {table.name} ({_columns(table)}) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)
    except InvalidRowError:
        raise
    except StoreError as error:
        diagnosis = getattr(error.__cause__, "diag", None)
        more = diagnosis and (diagnosis.message_detail or diagnosis.context)
        raise StoreError(
            f"the rows of {table.name} cannot be moved: {error}{f': {more}' if more else ''}. "
            "Nothing was moved"
        ) from error


def _compare(table: Table, sent: Iterator[Row], arrived: Iterator[Row]) -> int:
    """Raise unless the rows that arrived are those that were sent; return how many."""
    number = 0
    for row, other in zip_longest(sent, arrived):
        if row != other:
            raise StoreError(
                f"{_where(table, row or other)} did not arrive as it was sent, and all was "
                "undone; please report this to the authors"
            )
        number += 1
    return number


# -- what is in the way ----------------------------------------------------------------


def _check_file(file: SQLiteDatabase) -> None:
    check_head(file.connection, file.path, timeout=file.timeout, write=False)
    there = look(file.connection).tables
    _refuse_own_columns(file.name, {(name, c) for name, t in there.items() for c in t.columns})
    for table, rowid, parent, _ in file.rows("PRAGMA foreign_key_check"):
        keys = tables_at(head())[table].foreign_keys
        raise InvalidRowError(
            f"{table}, row {rowid}: it refers to a row of {parent} that is not there, which "
            "PostgreSQL does not take. Nothing was moved; `nexuslims-store doctor` lists all "
            "such rows, each with a command",
            table=table,
            row_id=rowid,
            column=next(column for to, column, *_ in keys if to == parent),
        )


def _refuse_own_columns(name: str, there: Iterable[tuple[str, str]]) -> None:
    known = {(table.name, column) for table in _tables() for column in table.columns}
    tables = {table.name for table in _tables()}
    if own := sorted(f"{t}.{c}" for t, c in set(there) - known if t in tables):
        raise StoreError(
            f"{name} has columns that are none of NexusLIMS's, and would be lost: "
            f"{', '.join(own)}. Nothing was moved; move them to a table of your own first"
        )


def _refuse_rows(server: PostgreSQLDatabase) -> None:
    for table in _tables():
        if server.rows(_select("TRUE", table, "LIMIT 1")):
            raise StoreError(
                f"{server.name} has rows in {table.name} already, and nothing was moved; make "
                "another database with `createdb`"
            )


def _sendable(table: Table, rows: Iterable[Row]) -> Iterator[Row]:
    """Yield rows as PostgreSQL takes them, or raise for the first that it cannot hold."""
    columns = list(table.columns.values())
    kinds = [_KINDS.get(column.type, str) for column in columns]
    booleans = [place for place, kind in enumerate(kinds) if kind is bool]
    good = set()  # the types of the values of rows
    for row in rows:
        types = tuple(map(type, row))
        texts = "".join([value for value in row if value.__class__ is str])
        if types not in good or not _is_holdable(texts):
            for column, kind, value in zip(columns, kinds, row, strict=True):
                if reason := _why_not(column, kind, value):
                    raise InvalidRowError(
                        f"{_where(table, row)}: {column.name} {reason}, which PostgreSQL cannot "
                        "hold here. Nothing was moved; `nexuslims-store doctor` lists what is odd, "
                        "each with a command that mends it",
                        table=table.name,
                        row_id=row[_key(table)],
                        column=column.name,
                    )
            good.add(types)
        if booleans:
            row = tuple(bool(v) if at in booleans else v for at, v in enumerate(row))  # noqa: PLW2901
        yield row


_KINDS: dict[str, type] = {"INTEGER": int, "BOOLEAN": bool}


def _is_holdable(text: str) -> bool:
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _why_not(column: Column, kind: type, value: object) -> str:
    if value is None:
        return "is NULL" if column.not_null else ""
    if isinstance(value, bytes):
        return f"is the BLOB {display.shown(value)}"
    if kind is bool:
        return (
            ""
            if type(value) is int and value in {0, 1}
            else f"is {display.quoted(value)}, not 0 or 1"
        )
    if type(value) is not kind:
        return f"is {display.quoted(value)}, no {'number' if kind is int else 'text'}"
    if isinstance(value, str) and not _is_holdable(value):
        what = "has a NUL in it" if "\0" in value else "is no valid UTF-8"
        return f"{what} ({display.shown(value)})"
    return ""


# -- the tables ------------------------------------------------------------------------


def _tables() -> list[Table]:
    """Return the tables to move: what others refer to comes first."""
    tables = tables_at(head())
    return sorted(
        (tables[name] for name in known_tables() & tables.keys()),
        key=lambda table: (len(table.foreign_keys), table.name),
    )


def _select(what: str, table: Table, then: str = "") -> str:
    return f"SELECT {what} FROM {table.name} {then}"  # noqa: S608 -- names of our own


def _lots(database: Database, table: Table) -> Iterator[list[Row]]:
    """Yield the rows of a table in the order of its key, some hundred at a time."""
    return database.stream(_select(_columns(table), table, f"ORDER BY {table.key[0]}"))


def _columns(table: Table) -> str:
    return ", ".join(quoted(column.name) for column in table.columns.values())


def _key(table: Table) -> int:
    return list(table.columns).index(table.key[0])


def _where(table: Table, row: Row) -> str:
    return f"{table.name}, row {display.shown(row[_key(table)])}"


def _data_version(file: SQLiteDatabase) -> int:
    """Return a number that another program's commit changes."""
    return int(file.rows("PRAGMA data_version")[0][0])
