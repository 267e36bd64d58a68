"""What many tests need: databases, ordinary models, a clock, a second look at a file."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings

from nexuslims_store import (
    EventType,
    RecordStatus,
    Session,
    SessionLog,
    Store,
    UploadLog,
    testing,
)
from nexuslims_store.revisions import head
from nexuslims_store.testing import make_instrument, make_store

ROOT = Path(__file__).resolve().parents[2]
SQL = ROOT / "sql"
HEAD = head()
TABLES = ("instruments", "session_log", "upload_log", "external_user_identifiers")

PID = "FEI-Titan-TEM-012345"
SESSION = "https://nemo.example.com/api/usage_events/?id=101"
NOW = datetime(2025, 6, 2, 12, 0, 0, 250_000, tzinfo=UTC)

# A slow machine is no failure; a function-scoped tmp_path that examples share is meant so.
settings.register_profile(
    "nexuslims",
    deadline=None,
    max_examples=40,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("nexuslims")


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
    """Open a new database that holds one instrument, `instrument()`."""
    store = Store(new_database(folder), **options)
    store.instruments.add(instrument())
    return store


memory_store = make_store
instrument = make_instrument


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


def contents(place: Store | Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the four tables, as another program sees them on a connection of its own."""
    connection = sqlite3.connect(file_of(place) if isinstance(place, Store) else place)
    try:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
            for table in TABLES
        }
    finally:
        connection.close()


def write(place: Store | Path, *statements: str | tuple[str, tuple[Any, ...]]) -> None:
    """Change a database as another program may: no foreign keys, no CHECKs, no validation."""
    connection = sqlite3.connect(file_of(place) if isinstance(place, Store) else place)
    try:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            sql, parameters = (statement, ()) if isinstance(statement, str) else statement
            connection.execute(sql, parameters)
        connection.commit()
    finally:
        connection.close()


def write_log(place: Store | Path, **values: Any) -> None:
    """Store a row of `session_log` past every check; a value is stored as it is given."""
    row = log().model_dump(mode="json") | values
    row.pop("id_session_log")
    columns = ", ".join(f'"{column}"' for column in row)
    marks = ", ".join("?" * len(row))
    write(place, (f"INSERT INTO session_log ({columns}) VALUES ({marks})", tuple(row.values())))
