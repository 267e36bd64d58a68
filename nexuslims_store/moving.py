"""A whole database from an SQLite file to a PostgreSQL server, or back into a new file.

What is moved are the rows of NexusLIMS's tables. It happens in one transaction of the destination,
and before the commit both sides are read again and compared, value by value. The source is only
read, and stays as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from nexuslims_store import display, migrations
from nexuslims_store.arguments import as_path
from nexuslims_store.backup.files import publish, refuse_taken, temporary_file
from nexuslims_store.config import is_url, require_file
from nexuslims_store.connection import MEMORY, SQLiteDatabase
from nexuslims_store.database import Database, Row
from nexuslims_store.errors import InvalidRowError, StoreError
from nexuslims_store.migrations.run import Options
from nexuslims_store.migrations.server import change, make_plan
from nexuslims_store.opening import open_server
from nexuslims_store.recognition import check_head, check_head_of_server, look
from nexuslims_store.recognition.layouts import own_columns
from nexuslims_store.recognition.own import taking_out
from nexuslims_store.recognition.server import columns_on_server
from nexuslims_store.refusals import is_utf_8
from nexuslims_store.revisions import head, known_tables, tables_at
from nexuslims_store.tables import Column, Table, quoted

if TYPE_CHECKING:
    from nexuslims_store.postgresql import PostgreSQLDatabase


def move(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    dry_run: bool = False,
    timeout: float = 30.0,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> dict[str, int]:
    """Copy all rows of NexusLIMS's tables, ids included, from one kind of database to the other.

    Parameters
    ----------
    source, destination
        One is the path of an SQLite file, the other the URL of a PostgreSQL database. The tables
        of the destination have no rows, or are not there yet; a file is not there yet.
    dry_run
        Whether to undo all in the end, having met whatever is in the way.
    timeout
        Seconds to wait for other programs' locks. Who writes to the destination waits meanwhile.
    say, progress
        Called with a line of text for each table; with how many rows are moved or compared, and
        how many there are.

    Returns
    -------
    dict
        How many rows of each table were moved.

    Raises
    ------
    InvalidRowError
        A row holds what the other cannot: a BLOB, text that is not UTF-8, a NUL, a value of
        another kind, an instrument that is not there. Nothing was written.
    StoreError
        A database is not as it must be, or what arrived is not what was sent. All was undone.
    """
    to_server = is_url(destination)
    if is_url(source) == to_server:
        raise StoreError(
            "one of the two is to be the path of an SQLite file, the other the URL of a PostgreSQL "
            "database; a file is copied by `nexuslims-store backup`, a server's database by pg_dump"
        )
    given = source if to_server else destination
    file = as_path("source" if to_server else "destination", given)
    if file == MEMORY:
        raise StoreError("a database in memory is gone with its program; name a file to move")
    require_file(given, "the path")
    work = _Move(dry_run, timeout, say, progress)
    if to_server:
        return work.to_server(file, str(destination))
    return work.to_file(str(source), file)


class _Move:
    """One move, and how far it is: each row is sent, and later compared."""

    def __init__(
        self,
        dry_run: bool,  # noqa: FBT001
        timeout: float,
        say: Callable[[str], None],
        progress: Callable[[int, int], None],
    ) -> None:
        self._dry_run, self._timeout, self._say, self._progress = dry_run, timeout, say, progress
        self._done = self._total = 0

    def to_server(self, path: Path, url: str) -> dict[str, int]:
        rows: dict[str, int] = {}
        with (
            suppress(_UndoError),
            closing(SQLiteDatabase(path, read_only=True, timeout=self._timeout)) as file,
            closing(open_server(url, timeout=self._timeout)) as server,
            server.transaction(),
        ):
            options = Options(backup=False, timeout=self._timeout, say=self._say)
            version = file.rows("PRAGMA data_version")  # which another program's commit changes
            with file.snapshot():
                _check_file(file)
                change(server, make_plan(server, "upgrade", "head"), options)
                _refuse_rows(server)
                rows |= self._carry(file, server, lambda *sent: _copy(server, *sent))
            if file.rows("PRAGMA data_version") != version:
                raise StoreError(
                    f"{path} was written to meanwhile, which would be missing on the server, so "
                    "nothing was moved; stop the programs that write to it"
                )
            if self._dry_run:
                raise _UndoError
            for table in _tables():
                (key,) = table.key
                if table.columns[key].type == "INTEGER":
                    # Ids that are given from now on follow those that were moved.
                    sequence = f"pg_get_serial_sequence('{table.name}', '{key}')"
                    server.rows(_select(f"setval({sequence}, max({key}))", table))
        return rows

    def to_file(self, url: str, path: Path) -> dict[str, int]:
        file = Path(os.path.realpath(path))
        if os.path.lexists(file):
            raise StoreError(f"{path} exists already, and only a new file is made; name another")
        refuse_taken(file)
        with (
            closing(open_server(url, read_only=True, timeout=self._timeout)) as server,
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
                rows = self._carry(server, new, lambda *sent: _insert(new, *sent))
            if not self._dry_run:
                publish(temporary, [file], temporary.stat())
        return rows

    def _carry(
        self,
        source: Database,
        destination: Database,
        send: Callable[[Table, Callable[[], Iterator[Row]]], None],
    ) -> dict[str, int]:
        counts = {t.name: source.rows(_select("count(*)", t))[0][0] for t in _tables()}
        self._total = 2 * sum(counts.values())
        for table in _tables():
            self._say(f"moving {table.name}")
            send(table, partial(self._read, source, table))
            arrived = chain.from_iterable(_lots(destination, table))
            for row, other in zip_longest(self._read(source, table), arrived):
                if row != other:
                    raise StoreError(
                        f"{_where(table, row or other)} did not arrive as it was sent, and all "
                        "was undone; please report this to the authors"
                    )
        return counts

    def _read(self, source: Database, table: Table) -> Iterator[Row]:
        for lot in _lots(source, table):
            yield from lot
            self._done += len(lot)
            self._progress(self._done, self._total)


class _UndoError(Exception):
    """Ends a dry run."""


def _copy(server: PostgreSQLDatabase, table: Table, read: Callable[[], Iterator[Row]]) -> None:
    columns = list(table.columns.values())
    try:
        with (
            server.translated(),
            server.connection.cursor() as cursor,
            cursor.copy(f"COPY {table.name} ({_columns(table)}) FROM STDIN") as copy,
        ):
            for row in read():
                for column, value in zip(columns, row, strict=True):
                    if reason := _why_not(column, value):
                        raise InvalidRowError(
                            f"{_where(table, row)}: {column.name} {reason}, which PostgreSQL "
                            "cannot hold there. Nothing was moved; `nexuslims-store doctor` lists "
                            "what is odd, each with a command that mends it",
                            table=table.name,
                            row_id=row[_key(table)],
                            column=column.name,
                        )
                copy.write_row(row)
    except InvalidRowError:
        raise
    except StoreError as error:
        context = getattr(getattr(error.__cause__, "diag", None), "context", None)
        line = re.search(r"COPY \w+, line (\d+)", context or "")
        if line is None:  # the server was lost, say
            raise
        row = next(islice(read(), int(line[1]) - 1, None))
        raise StoreError(f"{_where(table, row)}: {error}. Nothing was moved") from error


def _insert(file: SQLiteDatabase, table: Table, read: Callable[[], Iterator[Row]]) -> None:
    marks = ", ".join("?" for _ in table.columns)
    insert = f"INSERT INTO {table.name} ({_columns(table)}) VALUES ({marks})"  # noqa: S608
    file.connection.executemany(insert, read())


# -- what is in the way ----------------------------------------------------------------


def _check_file(file: SQLiteDatabase) -> None:
    check_head(file.connection, file.path, timeout=file.timeout, write=False)
    catalogue = look(file.connection)
    own: dict[str, list[str]] = {}
    for table, column in sorted(own_columns(catalogue.layout)):
        own.setdefault(table, []).append(column)
    advice = (
        taking_out(file.path, catalogue.contents, catalogue.tables[table], columns)
        for table, columns in own.items()
    )
    _refuse_own_columns(file.name, [(t, c) for t in own for c in own[t]], "; ".join(advice))
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


def _refuse_own_columns(
    name: str,
    there: Iterable[tuple[str, str]],
    advice: str = "move them to a table of your own first",
) -> None:
    known = {table.name: table.columns for table in _tables()}
    own = [f"{t}.{column}" for t, column in there if t in known and column not in known[t]]
    if own:
        raise StoreError(
            f"{name} has columns that are none of NexusLIMS's, and would be lost: "
            f"{', '.join(sorted(own))}. Nothing was moved; {advice}"
        )


def _refuse_rows(server: PostgreSQLDatabase) -> None:
    for table in _tables():
        if server.rows(_select("TRUE", table, "LIMIT 1")):
            raise StoreError(
                f"{server.name} has rows in {table.name} already, and nothing was moved; make "
                "another database with `createdb`"
            )


def _why_not(column: Column, value: object) -> str:
    """Say why PostgreSQL does not hold a value there; empty where it does."""
    match column.type, value:
        case _, None:
            return "is NULL" if column.not_null else ""
        case _, bytes():
            return f"is the BLOB {display.shown(value)}"
        case "BOOLEAN", _:
            return "" if value in {0, 1} else f"is {display.quoted(value)}, not 0 or 1"
        case _, str():
            return _what_is_odd(value)
        case "INTEGER", int():
            return ""
    return f"is {display.quoted(value)}, which is no text"


def _what_is_odd(text: str) -> str:
    if "\0" in text:
        return f"has a NUL in it ({display.shown(text)})"
    return "" if is_utf_8(text) else "is not UTF-8"


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
