"""What many tests need: databases, ordinary models, a clock, a second look at a file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from nexuslims_store import (
    EventType,
    Instrument,
    RecordStatus,
    Session,
    SessionLog,
    Store,
    UploadLog,
    queries,
    testing,
)
from nexuslims_store.repository.views import with_views
from nexuslims_store.revisions import head
from nexuslims_store.testing import make_instrument, make_store

ROOT = Path(__file__).resolve().parents[2]
SQL = ROOT / "sql"
HEAD = head()
TABLES = ("instruments", "session_log", "upload_log", "external_user_identifiers")

PID = "FEI-Titan-TEM-012345"
SESSION = "https://nemo.example.com/api/usage_events/?id=101"
NOW = datetime(2025, 6, 2, 12, 0, 0, 250_000, tzinfo=UTC)


@cache
def head_image() -> bytes:
    """A file at the head revision, made by the migration files alone."""
    connection = sqlite3.connect(":memory:")
    for path in sorted((SQL / "migrations").glob("[0-9]*.sql")):
        if not path.name.endswith(".rollback.sql"):
            connection.executescript(path.read_text(encoding="utf-8"))
    connection.executescript((SQL / "migrations" / "post-apply.sql").read_text(encoding="utf-8"))
    image = connection.serialize()
    connection.close()
    return image


def new_database(folder: Path, name: str = "nexuslims.db") -> Path:
    """Write an empty database at the head revision and return its path."""
    path = folder / name
    path.write_bytes(head_image())
    return path


def new_store(folder: Path, **options: Any) -> Store:
    """Open a new database that holds one instrument, `instrument()`.

    A file; where a test is for PostgreSQL (see `each_store` in conftest.py) one of a server.
    """
    if _elsewhere:
        return memory_store(**options)
    store = Store(new_database(folder), **options)
    store.instruments.add(instrument())
    return store


def memory_store(*instruments: Instrument, **options: Any) -> Store:
    """Open a new database in memory, or of a server, that nobody else opens."""
    if _elsewhere:
        return _elsewhere[0](*instruments, **options)
    return make_store(*instruments, **options)


_elsewhere: list[Callable[..., Store]] = []
instrument = make_instrument


@contextmanager
def stores_on(server: Any) -> Iterator[None]:
    """Have the stores of a `with` block on a server, where one database may do for many."""
    taken: list[tuple[str, Store]] = []

    def make(*instruments: Instrument, **options: Any) -> Store:
        for url, former in taken:
            if former._database.closed:
                server.give_back(url)
                taken.remove((url, former))
                break
        url = server.take()
        store = make_store(*instruments, path=url, **{"migrate": False, **options})
        taken.append((url, store))
        return store

    _elsewhere.append(make)
    try:
        yield
    finally:
        _elsewhere.clear()
        for url, store in taken:
            store.close()
            server.give_back(url)


def log(event_type: EventType = EventType.START, **values: Any) -> SessionLog:
    """An event of `SESSION` on `instrument()`: the START at 9:00, the END at 11:30, New York."""
    hour = {EventType.START: "09:00:00", EventType.END: "11:30:00"}.get(event_type, "12:00:00")
    return SessionLog.model_validate(
        {
            "session_identifier": SESSION,
            "instrument": PID,
            "timestamp": f"2025-06-02T{hour}-04:00",
            "event_type": event_type,
            "record_status": RecordStatus.TO_BE_BUILT,
            "user": "ned",
            **values,
        }
    )


def upload(destination: str = "cdcs", *, success: bool = True, **values: Any) -> UploadLog:
    """An attempt to upload the record of `SESSION`."""
    return UploadLog.model_validate(
        {
            "session_identifier": SESSION,
            "destination_name": destination,
            "success": success,
            "timestamp": "2025-06-02T13:00:00+00:00",
            **values,
        }
    )


def add_pair(
    store: Store,
    session_identifier: str = SESSION,
    start: str = "2025-06-02T09:00:00-04:00",
    end: str = "2025-06-02T11:30:00-04:00",
    **values: Any,
) -> None:
    """Store a START and an END."""
    for event_type, time in ((EventType.START, start), (EventType.END, end)):
        store.session_logs.insert(
            log(event_type, session_identifier=session_identifier, timestamp=time, **values)
        )


def session_of(store: Store, session_identifier: str = SESSION) -> Session:
    """A session that is there, as `sessions.get` has it."""
    session = store.sessions.get(session_identifier)
    assert session is not None
    return session


class Clock(testing.Clock):
    """The clock of `nexuslims_store.testing`, which shows a time with microseconds."""

    def __init__(self, now: datetime = NOW) -> None:
        super().__init__(now)


def file_of(store: Store) -> Path:
    """The file of a store that has one."""
    assert store.path is not None
    return store.path


def place_of(store: Store) -> Path | str:
    """What opens the same database once more."""
    return file_of(store) if store.url is None else store.url


def _connect(place: Store | Path | str) -> Any:
    """A connection of another program's."""
    place = place_of(place) if isinstance(place, Store) else place
    if isinstance(place, Path):
        return sqlite3.connect(place)
    import psycopg

    return psycopg.connect(place)


def contents(place: Store | Path | str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the four tables, as another program sees them on a connection of its own."""
    connection = _connect(place)
    try:
        # In the order of their coming; an update moves a row of PostgreSQL to the end.
        written = "xmin::text::bigint, cmin::text::bigint"
        order = "rowid" if isinstance(connection, sqlite3.Connection) else written
        return {
            table: connection.execute(
                f"SELECT * FROM {table} ORDER BY {order if table == 'instruments' else 1}"
            ).fetchall()
            for table in TABLES
        }
    finally:
        connection.close()


def in_transaction(store: Store) -> bool:
    """Whether a transaction is open on the store's own connection, as its driver has it."""
    connection: Any = store.connection
    if store.url is None:
        return bool(connection.in_transaction)
    return bool(connection.info.transaction_status)


def run(store: Store, sql: str, *rows: tuple[Any, ...]) -> None:
    """Run a statement, once for each row of values, on the store's own connection."""
    if not rows and "?" in sql:
        return
    cursor: Any = store.connection.cursor()
    sql = sql if store.url is None else sql.replace("?", "%s")
    cursor.executemany(sql, rows) if rows else cursor.execute(sql)


def ask(store: Store, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
    """The rows that a statement gives, by its name with the file's before it."""
    file, name = statement.split(".")
    sql = queries.load(f"{file}.sql")[name]
    return [tuple(row) for row in with_views(store._database).rows(sql, parameters)]


def write(place: Store | Path | str, *statements: str | tuple[str, tuple[Any, ...]]) -> None:
    """Change a database as another program may: no foreign keys, no CHECKs, no validation.

    PostgreSQL's CHECKs hold for everybody.
    """
    connection = _connect(place)
    try:
        of_a_file = isinstance(connection, sqlite3.Connection)
        connection.execute(
            "PRAGMA ignore_check_constraints = ON"
            if of_a_file
            else "SET session_replication_role = replica"
        )
        for statement in statements:
            sql, parameters = (statement, ()) if isinstance(statement, str) else statement
            connection.execute(sql if of_a_file else sql.replace("?", "%s"), parameters)
        connection.commit()
    finally:
        connection.close()


def write_log(place: Store | Path | str, **values: Any) -> None:
    """Store a row of `session_log` past every check; a value is stored as it is given."""
    row = log().model_dump(mode="json") | values
    row.pop("id_session_log")
    columns = ", ".join(f'"{column}"' for column in row)
    marks = ", ".join("?" * len(row))
    write(place, (f"INSERT INTO session_log ({columns}) VALUES ({marks})", tuple(row.values())))


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder: its bytes, and when it was last written."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@contextmanager
def plainly(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program's connection, in autocommit mode."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def claimed(store: Store) -> Session:
    session = store.sessions.claim()
    assert session is not None
    return session


def status(store: Store, session_identifier: str = SESSION) -> str:
    (overview,) = store.sessions.overview(session_identifier)
    return overview.status


def session(**values: Any) -> Session:
    """A session of two and a half hours."""
    return Session.model_validate(
        {
            "session_identifier": SESSION,
            "instrument": instrument(),
            "dt_from": "2025-06-02T09:00:00-04:00",
            "dt_to": "2025-06-02T11:30:00-04:00",
            "user": "ned",
            **values,
        }
    )
