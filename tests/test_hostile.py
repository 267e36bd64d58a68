"""Hostile input: in models, in arguments, in stored rows, in the schema of a file.

A round trip, a ValidationError (a ValueError) or a StoreError: never an error of sqlite3 or of
Python's codecs, and never SQL.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from helpers.support import (
    PID,
    SESSION,
    Clock,
    add_pair,
    contents,
    file_of,
    head_image,
    instrument,
    log,
    memory_store,
    new_store,
    session_of,
    upload,
    write,
    write_log,
)
from pydantic import BaseModel, ValidationError

from nexuslims_store import (
    EventType,
    ExternalSystem,
    ExternalUserIdentifier,
    Instrument,
    InvalidRowError,
    RecordStatus,
    SchemaMismatchError,
    SessionLog,
    Store,
    StoreError,
    UploadLog,
    migrations,
)

# Texts that a column can hold, and that must come back as they are.
TEXTS = {
    "injection": "'; DROP TABLE session_log; --",
    "union": '" UNION SELECT * FROM instruments --',
    "comment": "/* -- */ ; %s %d ? :name @x $1 {0} \\",
    "like": "%_[a-z]*?",
    "right to left": "\u202e\u05de\u05db\u05e9\u202c \u0627\u0644\u0645\u062c\u0647\u0631",
    "line ends": "a\r\nb\nc\rd\te\u2028f\x1b[31m",
    "number": "0042",
    "float": "1e400",
    "BLOB": "x'00'",
    "null": "NULL",
    "space": " \t padded \n",
    "combining": "e\u0301 \u00e9 \ufeff \U0001f52c",
    "control": "".join(map(chr, range(1, 32))) + "\x7f\x80\uffff",
    "long": "ä" * 500_000,  # 1 MB, beyond what an index of PostgreSQL or a buffer may hold
}
# Values that no text column can hold.
NO_TEXTS = {
    "NUL": "a\0b",
    "surrogate": "\ud83d",
    "undecodable": "\udcff",
    "bytes": b"bytes",
    "beyond 64 bits": 2**63,
    "list": ["a"],
    "object": object(),
    "NaN": float("nan"),
}
every_text = pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=name, marks=[pytest.mark.slow] if name == "long" else [])
        for name, text in TEXTS.items()
    ],
)


# -- models ----------------------------------------------------------------------------


def text_fields(model: type[BaseModel]) -> set[str]:
    """The fields of a model that hold free text."""
    other = {
        *("event_type", "record_status", "external_system", "success", "timezone_str", "api_url"),
        *("timestamp", "created_at", "last_verified_at", "id", "id_session_log", "metadata_json"),
    }
    return set(model.model_fields) - other


@every_text
def test_a_text_in_every_field_comes_back(text: str) -> None:
    there = instrument(
        **dict.fromkeys(text_fields(Instrument) - {"instrument_pid"}, text),
        pid=text,
        api_url="https://nemo.example.com/" + quote(text[:100], safe=""),
    )
    with memory_store(there, clock=Clock()) as store:
        assert store.instruments.get(text) == there
        assert store.instruments.get_by_api_url(there.api_url) == there
        start = store.session_logs.insert(
            log(EventType.START, **dict.fromkeys(text_fields(SessionLog), text))
        )
        store.session_logs.insert(
            log(EventType.END, **dict.fromkeys(text_fields(SessionLog), text))
        )
        assert store.session_logs.list_for_session(text)[0] == start
        session = store.sessions.claim()
        assert session is not None
        assert (session.session_identifier, session.user) == (text, text)
        assert store.sessions.release(session) is True
        stored = store.upload_logs.insert(
            upload(
                success=True,
                **dict[str, Any].fromkeys(text_fields(UploadLog), text),
                metadata_json=json.dumps({text[:100]: text[:100]}),
            )
        )
        assert store.upload_logs.latest(text) == {text: stored}
        row = store.external_ids.store(text, ExternalSystem.NEMO, text, email=text, notes=text)
        assert {getattr(row, name) for name in text_fields(ExternalUserIdentifier)} == {text}
        assert store.external_ids.list() == [row]
        assert store.external_ids.get(text, "nemo") == text
        assert store.external_ids.find_username(text, "nemo") == text
        assert store.sessions.set_status(text, RecordStatus.ERROR) == 2
        assert store.sessions.delete(text) == 2
        store.instruments.remove(text)
        assert store.instruments.list() == []


# -- arguments -------------------------------------------------------------------------


NOON = log(EventType.RECORD_GENERATION).timestamp

# Every method that takes a text, with a hole for it.
CALLS: dict[str, Callable[[Store, Any], object]] = {
    "instruments.get": lambda s, x: s.instruments.get(x),
    "instruments.get_by_api_url": lambda s, x: s.instruments.get_by_api_url(x),
    "instruments.remove": lambda s, x: s.instruments.remove(x),
    "session_logs.list_for_session": lambda s, x: s.session_logs.list_for_session(x),
    "session_logs.list_by_status": lambda s, x: s.session_logs.list_by_status(x),
    "sessions.get": lambda s, x: s.sessions.get(x),
    "sessions.add, identifier": lambda s, x: s.sessions.add(x, PID, NOON, NOON),
    "sessions.add, instrument": lambda s, x: s.sessions.add("new", x, NOON, NOON),
    "sessions.add, user": lambda s, x: s.sessions.add("new", PID, NOON, NOON, x),
    "sessions.add, status": lambda s, x: s.sessions.add("new", PID, NOON, NOON, status=x),
    "sessions.add, start": lambda s, x: s.sessions.add("new", PID, x, NOON),
    "sessions.set_status, identifier": lambda s, x: s.sessions.set_status(x, "ERROR"),
    "sessions.set_status, status": lambda s, x: s.sessions.set_status(SESSION, x),
    "sessions.set_status, expected": lambda s, x: s.sessions.set_status(SESSION, "ERROR", x),
    "sessions.reset": lambda s, x: s.sessions.reset(x),
    "sessions.reset_between": lambda s, x: s.sessions.reset_between(NOON, NOON, [x]),
    "sessions.delete": lambda s, x: s.sessions.delete(x),
    "sessions.finish": lambda s, x: s.sessions.finish(session_of(s), x),
    "upload_logs.list_for_session": lambda s, x: s.upload_logs.list_for_session(x),
    "upload_logs.latest": lambda s, x: s.upload_logs.latest(x),
    "upload_logs.was_exported": lambda s, x: s.upload_logs.was_exported(x),
    "upload_logs.was_exported, strategy": lambda s, x: s.upload_logs.was_exported(SESSION, x),
    "external_ids.get": lambda s, x: s.external_ids.get(x, "nemo"),
    "external_ids.get, system": lambda s, x: s.external_ids.get("ned", x),
    "external_ids.find_username": lambda s, x: s.external_ids.find_username(x, "nemo"),
    "external_ids.find_username, system": lambda s, x: s.external_ids.find_username("42", x),
    "external_ids.store, username": lambda s, x: s.external_ids.store(x, "nemo", "43"),
    "external_ids.store, system": lambda s, x: s.external_ids.store("ned", x, "43"),
    "external_ids.store, id": lambda s, x: s.external_ids.store("ned", "nemo", x),
    "external_ids.store, email": lambda s, x: s.external_ids.store("ned", "cdcs", "4", x),
    "external_ids.store, notes": lambda s, x: s.external_ids.store("ned", "cdcs", "4", notes=x),
    "external_ids.all_for": lambda s, x: s.external_ids.all_for(x),
    "external_ids.remove": lambda s, x: s.external_ids.remove(x, "nemo"),
    "external_ids.remove, system": lambda s, x: s.external_ids.remove("ned", x),
}

every_call = pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with a row of each kind."""
    with new_store(tmp_path, clock=Clock()) as store:
        add_pair(store)
        store.upload_logs.insert(upload())
        store.external_ids.store("ned", "nemo", "42")
        yield store


def refusal(call: Callable[[Store, Any], object], store: Store, value: object) -> str | None:
    """Make a call; return the reason if it is refused as it should be, None if it is answered."""
    try:
        call(store, value)
    except UnicodeError:
        raise  # a ValueError too, but none that users should see
    except (StoreError, ValueError) as error:  # ValidationError is a ValueError
        return str(error)
    except TypeError as error:
        if " must be " not in str(error):
            raise  # an error of the sqlite3 module
        return str(error)
    return None


@every_call
def test_a_text_is_never_sql(store: Store, call: Callable[[Store, Any], object]) -> None:
    for text in (text for name, text in TEXTS.items() if name != "long"):
        before = {table: len(rows) for table, rows in contents(store).items()}
        assert refusal(call, store, text) != ""
        assert not store.connection.in_transaction
        found = contents(store)
        # What is there stays there; a new row holds the text.
        for table, count in before.items():
            assert len(found[table]) >= count
            assert all(text in row for row in found[table][count:])
        assert found["instruments"][0][0] == PID
        assert found["session_log"][0][1] == SESSION


@every_call
def test_what_is_no_text_is_found_nowhere_or_refused(
    store: Store, call: Callable[[Store, Any], object]
) -> None:
    before = contents(store)
    for value in NO_TEXTS.values():
        assert refusal(call, store, value) != ""
        assert not store.connection.in_transaction
        assert contents(store) == before


@pytest.mark.parametrize("call", ["sessions.get", "sessions.add, user", "external_ids.store, id"])
def test_a_long_text_is_found_nowhere_or_stored(store: Store, call: str) -> None:
    assert refusal(CALLS[call], store, TEXTS["long"]) is None


@pytest.mark.parametrize(
    "number", [2**63, -(2**63) - 1, 10**400, float("inf"), 1.5, "one", None, b"1", object()]
)
def test_a_number_that_is_no_id(store: Store, number: object) -> None:
    before = contents(store)
    for call in (
        lambda store, number: store.session_logs.get(number),
        lambda store, number: store.session_logs.remove(number),
    ):
        assert refusal(call, store, number) != ""
    assert contents(store) == before


@pytest.mark.parametrize("lease", [timedelta.max, timedelta(), -timedelta.resolution])
def test_any_lease(store: Store, lease: timedelta) -> None:
    assert store.sessions.claim(lease) is not None


@pytest.mark.parametrize(
    "file", ["", ".", "/", "a\0b", "\udcff", "x" * 10_000, "../" * 99, "C:\\", "//server/share"]
)
def test_any_path(store: Store, file: str) -> None:
    for root in ("/data", ".", file):
        assert store.instruments.find_by_path(file, root=root) is None


@pytest.mark.parametrize(
    ("metadata", "taken"),
    [
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", False),
        ('{"a": ' + "9" * 5_000 + "}", False),  # more digits than Python reads
        ('{"a": "\\ud800"}', True),
        ('{"a": [1e999, -0]}', False),
        ('{"a": [1e99, -0]}', True),
        ('{"a": [NaN, Infinity]}', False),
    ],
    ids=["deep", "large number", "surrogate", "too large", "odd numbers", "no numbers"],
)
def test_metadata_is_read_or_refused(metadata: str, taken: bool) -> None:
    if not taken:
        with pytest.raises(ValidationError, match="metadata_json"):
            upload(metadata_json=metadata)
        return
    attempt = upload(metadata_json=metadata)
    assert attempt.metadata
    with Store(":memory:") as store:
        assert store.upload_logs.insert(attempt).metadata_json == metadata


# -- stored rows -----------------------------------------------------------------------

INVALID_UTF_8 = "CAST(x'61ff62' AS TEXT)"
BLOB = "x'616200'"

# Table, column, what is stored there as SQL, and how the row is read.
READ_INSTRUMENTS: Callable[[Store], object] = lambda s: s.instruments.list()  # noqa: E731
READ_LOGS: Callable[[Store], object] = lambda s: s.session_logs.list_for_session(SESSION)  # noqa: E731
READ_UPLOADS: Callable[[Store], object] = lambda s: s.upload_logs.list_for_session(SESSION)  # noqa: E731
READ_IDS: Callable[[Store], object] = lambda s: s.external_ids.list()  # noqa: E731
ODD_VALUES = [
    *(
        ("instruments", column, value, READ_INSTRUMENTS)
        for column in ("location", "harvester", "timezone_str", "api_url")
        for value in (INVALID_UTF_8, BLOB, "char(0)")
    ),
    ("instruments", "api_url", "'nemo'", READ_INSTRUMENTS),
    ("instruments", "timezone_str", "'Mars/Olympus'", READ_INSTRUMENTS),
    ("instruments", "timezone_str", "''", READ_INSTRUMENTS),
    *(
        ("session_log", column, value, READ_LOGS)
        for column in ("timestamp", "event_type", "record_status", "user", "instrument")
        for value in (INVALID_UTF_8, BLOB, "char(0)")
    ),
    ("session_log", "timestamp", "'garbage'", READ_LOGS),
    ("session_log", "timestamp", "'2025'", READ_LOGS),
    ("session_log", "timestamp", "1748865600", READ_LOGS),
    ("session_log", "event_type", "'STOP'", READ_LOGS),
    ("session_log", "record_status", "'DONE'", READ_LOGS),
    ("session_log", "record_status", "''", READ_LOGS),
    *(
        ("upload_log", column, value, READ_UPLOADS)
        for column in ("destination_name", "success", "timestamp", "metadata_json")
        for value in (INVALID_UTF_8, BLOB)
    ),
    ("upload_log", "success", "2", READ_UPLOADS),
    ("upload_log", "success", "'yes'", READ_UPLOADS),
    ("upload_log", "metadata_json", "'{'", READ_UPLOADS),
    *(
        ("external_user_identifiers", column, value, READ_IDS)
        for column in ("external_id", "external_system", "created_at", "notes")
        for value in (INVALID_UTF_8, BLOB)
    ),
    ("external_user_identifiers", "external_system", "'facebook'", READ_IDS),
    ("external_user_identifiers", "created_at", "'once'", READ_IDS),
]
KEYS: dict[str, object] = {"instruments": PID}


@pytest.mark.parametrize(("table", "column", "value", "read"), ODD_VALUES)
def test_a_stored_value_that_no_model_takes_is_named(
    store: Store, table: str, column: str, value: str, read: Callable[[Store], object]
) -> None:
    stored = "timezone" if column == "timezone_str" else column
    write(store, f'UPDATE {table} SET "{stored}" = {value} WHERE rowid = 1')
    with pytest.raises(InvalidRowError, match="doctor") as caught:
        read(store)
    error = caught.value
    assert (error.table, error.row_id, error.column) == (table, KEYS.get(table, 1), stored)
    message = str(error)
    message.encode()  # can be shown
    assert table in message
    assert stored in message


@pytest.mark.parametrize("value", [INVALID_UTF_8, BLOB, "char(0)", "'garbage'", "''", "1e99"])
@pytest.mark.parametrize(
    "column",
    ["session_identifier", "instrument", "timestamp", "event_type", "record_status", "user"],
)
@pytest.mark.parametrize("events", ["(1)", "(1, 2)"], ids=["START", "both"])
def test_an_odd_session_is_not_in_the_way_of_others(
    tmp_path: Path, column: str, value: str, events: str
) -> None:
    with new_store(tmp_path, clock=Clock()) as store:
        write_log(store)
        write_log(store, event_type="END")
        good = store.sessions.add("good", PID, NOON, NOON)
        write(
            file_of(store),
            f'UPDATE session_log SET "{column}" = {value} WHERE id_session_log IN {events}',
        )
        assert good in store.sessions.list_to_build()
        assert good in store.sessions.iter_between(NOON - timedelta(days=1), NOON + timedelta(1))
        assert store.sessions.counts_by_status()[RecordStatus.TO_BE_BUILT] >= 1
        assert len(store.session_logs.list_for_session("good")) == 2
        assert all(one.session_identifier != "good" for one in store.sessions.list_unpaired())
        assert store.instruments.activity()[0].sessions_total >= 1
        store.session_logs.insert(log(session_identifier="new"))
        claimed = {store.sessions.claim(), store.sessions.claim()}
        assert good in claimed
        assert store.sessions.finish(good, "ERROR") == 3
        assert store.sessions.reset_between(NOON, NOON + timedelta(hours=1)) == (1, 0, 0)
        assert store.sessions.delete("good") == 3


def test_external_ids_of_the_wrong_type_are_not_handed_out(store: Store) -> None:
    for value in (INVALID_UTF_8, BLOB):
        write(store, f"UPDATE external_user_identifiers SET external_id = {value}")
        for read in (
            lambda: store.external_ids.get("ned", "nemo"),
            lambda: store.external_ids.all_for("ned"),
        ):
            with pytest.raises(InvalidRowError) as caught:
                read()
            assert (caught.value.row_id, caught.value.column) == (1, "external_id")
    write(store, f"UPDATE external_user_identifiers SET external_id = '42', {USERNAME_ODD}")
    with pytest.raises(InvalidRowError, match="nexuslims_username"):
        store.external_ids.find_username("42", "nemo")


USERNAME_ODD = f"nexuslims_username = {BLOB}"


# -- crafted files ---------------------------------------------------------------------

CANARY = "CREATE TABLE canary (touched)"
TOUCH = "INSERT INTO canary (touched) VALUES (1)"


def replaced(table: str, *statements: str) -> list[str]:
    """Statements that put something else in a table's place."""
    return [f"ALTER TABLE {table} RENAME TO hidden_{table}", *statements]


TRIGGERS = {
    "trigger on insert": [
        CANARY,
        f"CREATE TRIGGER evil AFTER INSERT ON session_log BEGIN {TOUCH}; END",
    ],
    "trigger on update": [
        CANARY,
        f"CREATE TRIGGER evil BEFORE UPDATE OF record_status ON session_log BEGIN {TOUCH}; END",
    ],
    "trigger on the version": [
        CANARY,
        f"CREATE TRIGGER evil AFTER UPDATE ON alembic_version BEGIN {TOUCH}; END",
    ],
    "trigger with another case": [
        CANARY,
        f"CREATE TRIGGER Evil AFTER DELETE ON SESSION_LOG BEGIN {TOUCH}; END",
    ],
}
CRAFTED = {
    "view in a table's place": replaced(
        "session_log", "CREATE VIEW session_log AS SELECT * FROM hidden_session_log"
    ),
    "view that writes": replaced(
        "upload_log",
        CANARY,
        "CREATE VIEW upload_log AS SELECT * FROM hidden_upload_log",
        f"CREATE TRIGGER evil INSTEAD OF INSERT ON upload_log BEGIN {TOUCH}; END",
    ),
    "view that never ends": replaced(
        "instruments",
        "CREATE VIEW instruments AS WITH RECURSIVE n(instrument_pid) AS "
        "(SELECT 1 UNION ALL SELECT instrument_pid + 1 FROM n) SELECT * FROM n",
    ),
    "version that is a view": replaced(
        "alembic_version",
        "CREATE VIEW alembic_version AS SELECT version_num FROM hidden_alembic_version",
    ),
    "generated column in place of one": replaced(
        "external_user_identifiers",
        "CREATE TABLE external_user_identifiers (id INTEGER PRIMARY KEY, nexuslims_username, "
        "external_system, external_id AS (upper(email)), email, created_at, "
        "last_verified_at, notes)",
    ),
    "virtual table": replaced(
        "upload_log",
        "CREATE VIRTUAL TABLE upload_log USING fts5(session_identifier, destination_name, "
        "success, timestamp, record_id, record_url, error_message, metadata_json)",
    ),
}


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("statements", CRAFTED.values(), ids=list(CRAFTED))
def test_a_crafted_schema_is_refused_and_nothing_of_it_runs(
    tmp_path: Path, statements: list[str], read_only: bool
) -> None:
    path = tmp_path / "crafted.db"
    path.write_bytes(head_image())
    write(path, *statements)
    before = path.read_bytes()
    with pytest.raises(SchemaMismatchError) as caught:
        Store(path, read_only=read_only)
    assert str(path) in str(caught.value)
    with pytest.raises(SchemaMismatchError):
        Store(path, migrate=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("statements", TRIGGERS.values(), ids=list(TRIGGERS))
def test_triggers_do_not_run(tmp_path: Path, statements: list[str]) -> None:
    """A file with triggers is read and migrated, and nothing of theirs runs; writes are refused."""
    path = tmp_path / "crafted.db"
    path.write_bytes(head_image())
    write(path, *statements)
    before = path.read_bytes()
    if "alembic_version" not in statements[1]:  # which no store writes to
        with pytest.raises(SchemaMismatchError, match=r"(?i)evil on .*> triggers.sql"):
            Store(path)
    with Store(path, read_only=True) as store:
        assert store.session_logs.count() == 0
    assert path.read_bytes() == before

    migrations.downgrade(path, "v1_4_3", backup=False)
    migrations.upgrade(path, backup=False)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM canary").fetchone() == (0,)


@pytest.mark.parametrize("expression", ["load_extension('evil')", "nxs_instant('x', 'UTC')"])
def test_functions_in_the_schema_do_not_run(tmp_path: Path, expression: str) -> None:
    """SQLite itself refuses what is not safe to call from a schema (trusted_schema is off)."""
    path = tmp_path / "crafted.db"
    path.write_bytes(head_image())
    write(path, *instrument_row())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'event_type IN (', ?) "
            "WHERE name = 'session_log'",
            (f"{expression} IS NULL AND event_type IN (",),
        )
        connection.commit()
    before = path.read_bytes()

    def insert() -> None:
        with Store(path) as store:
            store.session_logs.insert(log())

    with pytest.raises(StoreError, match=r"not authorized|unsafe use"):
        insert()
    assert path.read_bytes() == before


def instrument_row() -> list[tuple[str, tuple[str, ...]]]:
    """The statement that stores `instrument()`."""
    row = instrument().to_dict()
    marks = ", ".join("?" * len(row))
    return [(f"INSERT INTO instruments ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))]
