"""The statements of sql/: their loader; that they fit tables, models and code; their plans."""

from __future__ import annotations

import ast
import copy
import re
import sqlite3
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiosql
import pytest
from helpers.servers import Server
from helpers.support import PID, ROOT, SESSION, SQL, add_pair, instrument, upload
from pydantic import BaseModel

from nexuslims_store import (
    ExternalUserIdentifier,
    Instrument,
    RecordStatus,
    SessionLog,
    Store,
    StoreError,
    UploadLog,
)
from nexuslims_store.models import column_of
from nexuslims_store.queries import Queries, Query, load

FILES = sorted(path.name for path in SQL.glob("*.sql"))
QUERIES = [query for name in FILES for query in load(name)]

every_query = pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)


# -- the loader ------------------------------------------------------------------------

GOOD = "-- About this file.\n\n-- name: get_it(a, b)^\n-- What it gives.\nSELECT :a, :b;\n"


def parsed(text: str) -> dict[str, Query]:
    """The statements of a file with this text, by name."""
    return {query.name: query for query in Queries(Path("some.sql"), text)}


def test_a_statement_is_what_stands_below_its_header() -> None:
    found = parsed(GOOD + "\n-- name: remove_all()!\nDELETE FROM t;\n")
    assert list(found) == ["get_it", "remove_all"]
    first, second = found.values()
    assert (first.parameters, first.mark, first.line) == (("a", "b"), "^", 3)
    assert first.sql == "-- What it gives.\nSELECT :a, :b;"
    assert (second.parameters, second.mark, second.line) == ((), "!", 7)
    assert second.sql == "DELETE FROM t;"


def test_a_colon_in_a_text_or_comment_is_no_parameter() -> None:
    text = "-- name: f(a)\n-- Not :b.\nSELECT ':c', \"x:d\", 'it''s :e', :a -- :g\n"
    assert parsed(text)["f"].parameters == ("a",)


def test_a_statement_is_the_same_text_each_time() -> None:
    queries = Queries(Path("some.sql"), GOOD)
    assert queries.get_it is queries.get_it
    assert queries["get_it"] is queries.get_it


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (GOOD + GOOD, 8, "line 3"),
        ("-- name: get it()\nSELECT 1;", 1, "header"),
        ("-- name: GetIt()\nSELECT 1;", 1, "header"),
        ("-- name: get_it\nSELECT 1;", 1, "header"),
        ("-- name: get_it()?\nSELECT 1;", 1, "header"),
        ("-- name: get_it(a b)\nSELECT :a;", 1, "a b"),
        ("-- name get_it()\nSELECT 1;", 1, "header"),
        ("--name: get_it(\nSELECT 1;", 1, "header"),
        ("-- name: get_it(a)\nSELECT 1;", 1, r"\(a\)"),
        ("-- name: get_it()\nSELECT :a;", 1, r"\(a\)"),
        ("\n\n-- name: get_it(c)\nSELECT :f, :b, :e, :c, :a, :d;", 3, "a, b, c, d, e, f"),
        ("-- About.\n\nSELECT 1;\n", 3, "no `-- name"),
        ("-- name: first()\n\n-- name: second()\nSELECT 1;", 1, "no statement"),
        (GOOD + "-- name: last()\n", 6, "no statement"),
    ],
)
def test_a_mistake_is_reported_with_file_and_line(text: str, line: int, says: str) -> None:
    with pytest.raises(StoreError, match=says) as caught:
        Queries(Path("some.sql"), text)
    assert str(caught.value).startswith(f"some.sql:{line}: ")


def test_an_unknown_name_is_reported_with_those_there_are() -> None:
    queries = Queries(Path("some.sql"), GOOD + "-- name: find_it()\nSELECT 1;\n")
    with pytest.raises(StoreError, match=r"^some\.sql: .*get_them; there are: find_it, get_it$"):
        _ = queries.get_them


def test_what_python_asks_for_is_no_name_of_a_statement() -> None:
    queries = Queries(Path("some.sql"), GOOD)
    assert not hasattr(queries, "__array__")
    assert copy.deepcopy(queries).get_it == queries.get_it


def test_a_missing_file_is_reported() -> None:
    with pytest.raises(StoreError, match=r"no_such\.sql is missing"):
        load("no_such.sql")


# -- statements, tables and models -----------------------------------------------------

# A value for each parameter with which the statements run on `filled`.
VALUES: dict[str, object] = {
    **instrument("New").to_dict(),
    **upload().model_dump(mode="json"),
    "session_identifier": SESSION,
    "instrument": PID,
    "event_type": "START",
    "record_status": "COMPLETED",
    "expected": "ERROR",
    "user": "ned",
    "id_session_log": 1,
    "nexuslims_username": "ned",
    "external_system": "nemo",
    "external_id": "42",
    "new_pid": PID,
    "new_username": "ned",
    "set_aside": "aside:",
    "created_at": "2025-06-02T12:00:00+00:00",
    "last_verified_at": None,
    "email": None,
    "notes": None,
    "now": "2025-06-02T12:00:00+00:00",
    "instant": 0,
    "lease_start": 0,
    "range_start": "2025-06-01T00:00:00",
    "range_end": "2025-06-08T00:00:00",
    "revision": "v9_9_9",
    "number": 6,
    "earliest": 0,
    "day": "1969-12-25",
}


@pytest.fixture(scope="module")
def filled_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a row in each table, yoyo's own included."""
    path = tmp_path_factory.mktemp("queries") / "filled.db"
    with Store(path, migrate=True) as store:
        fill(store)
    return path


def fill(store: Store) -> None:
    store.instruments.add(instrument())
    add_pair(store)
    store.upload_logs.insert(upload())
    store.external_ids.store("ned", "nemo", "42")


@pytest.fixture(scope="module")
def shared(filled_file: Path) -> Iterator[Store]:
    """What statements run on, with all that they read."""
    with Store(filled_file) as store:
        doctor = load("doctor.sql")
        store.connection.execute(doctor.make_copy_of_events)
        store.connection.execute(doctor.make_copy_of_uploads)
        store.sessions.list_claims()  # makes the views that statements read
        yield store


@pytest.fixture
def filled(shared: Store, request: pytest.FixtureRequest) -> Iterator[Store]:
    """It, as it was before, since some statements write; some are for files from before v2_5_0b."""
    connection = shared.connection
    connection.execute("BEGIN")
    if "list_older_instruments_rows" in request.node.name:
        connection.execute("ALTER TABLE instruments RENAME COLUMN display_name TO schema_name")
    yield shared
    connection.execute("ROLLBACK")


# What is there already cannot be inserted.
NEW = {"insert_external_id": {"nexuslims_username": "new", "external_id": "new"}}


def values_of(query: Query) -> dict[str, object]:
    """The parameters of a statement; for those of filters and limits "1" does."""
    values = VALUES | NEW.get(query.name, {})
    return {name: values.get(name, "1") for name in query.parameters}


def columns_of(query: Query, store: Store) -> list[str]:
    """The names of the columns that a statement gives."""
    cursor = store.connection.execute(query.sql, values_of(query))
    return [column[0] for column in cursor.description or ()]


@every_query
def test_a_statement_can_be_prepared_on_the_migrated_tables(query: Query, filled: Store) -> None:
    filled.connection.execute(f"EXPLAIN {query.sql}", values_of(query)).fetchall()
    filled.connection.execute(query.sql, values_of(query)).fetchall()


@every_query
def test_the_declared_parameters_are_the_used_ones(query: Query, filled: Store) -> None:
    assert len(set(query.parameters)) == len(query.parameters)
    for name in query.parameters:
        fewer = values_of(query)
        del fewer[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(sqlite3.ProgrammingError, match=name):
                filled.connection.execute(query.sql, fewer)


FEEDS: dict[str, type[BaseModel]] = {
    "get_instrument": Instrument,
    "get_instrument_by_api_url": Instrument,
    "list_instruments": Instrument,
    "get_event": SessionLog,
    "get_session_log": SessionLog,
    "list_logs_of_session": SessionLog,
    "list_logs_to_be_built": SessionLog,
    "list_logs_by_status": SessionLog,
    "list_all_logs": SessionLog,
    "correct_event": SessionLog,
    "list_uploads_of_session": UploadLog,
    "list_all_uploads": UploadLog,
    "list_latest_uploads": UploadLog,
    "list_failed_uploads": UploadLog,
    "store_external_id": ExternalUserIdentifier,
    "list_external_ids_of_user": ExternalUserIdentifier,
    "list_external_ids": ExternalUserIdentifier,
}
MODELS = (Instrument, SessionLog, UploadLog, ExternalUserIdentifier)


@every_query
def test_the_columns_are_the_fields_of_the_model(query: Query, filled: Store) -> None:
    columns = columns_of(query, filled)
    assert len(set(columns)) == len(columns)
    for model in MODELS:
        fields = [column_of(field) for field in model.model_fields]
        if FEEDS.get(query.name) is model or set(columns) == set(fields):
            assert columns == fields


@every_query
def test_the_mark_says_what_comes_back(query: Query, filled: Store) -> None:
    columns = columns_of(query, filled)
    match query.mark:
        case "!":
            assert columns == []
        case "$":
            assert len(columns) == 1
        case _:
            assert columns


def test_the_statements_that_feed_a_model_are_all_there() -> None:
    assert FEEDS.keys() <= {query.name for query in QUERIES}


def used_names() -> list[re.Pattern[str]]:
    """The attributes, and what stands in square brackets, in the package: f-strings have gaps."""
    patterns = []
    for path in (ROOT / "nexuslims_store").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                patterns.append(re.compile(node.attr))
            if not isinstance(node, ast.Subscript):
                continue
            parts: list[Any] = getattr(node.slice, "values", [node.slice])
            if all(isinstance(part, ast.Constant | ast.FormattedValue) for part in parts):
                text = "".join(
                    re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"\w+"
                    for part in parts
                )
                patterns.append(re.compile(text))
    return patterns


def test_every_statement_is_used() -> None:
    patterns = used_names()
    unused = [
        query.name
        for query in QUERIES
        if query.path.name != "views.sql"  # all of which are run
        and not any(pattern.fullmatch(query.name) for pattern in patterns)
    ]
    assert unused == []


def test_names_are_taken_once_in_all_files() -> None:
    names = [query.name for query in QUERIES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("file", FILES)
def test_aiosql_loads_the_same_statements(file: str) -> None:
    loaded = aiosql.from_path(SQL / file, "sqlite3", kwargs_only=True)
    names = {name for name in loaded.available_queries if not name.endswith("_cursor")}
    assert names == {query.name for query in load(file)}
    for query in load(file):
        method = getattr(loaded, query.name)
        assert set(query.parameters) == set(method.parameters or ())


def test_aiosql_runs_the_same_statements(filled: Store) -> None:
    instruments = aiosql.from_path(SQL / "instruments.sql", "sqlite3", kwargs_only=True)
    row = instruments.get_instrument(filled.connection, instrument_pid=PID)
    assert row == tuple(instrument().model_dump().values())
    logs = aiosql.from_path(SQL / "session_log.sql", "sqlite3", kwargs_only=True)
    assert logs.count_session_logs(filled.connection) == 2
    changed = logs.set_status(
        filled.connection, session_identifier=SESSION, record_status="COMPLETED"
    )
    assert changed == 2


# -- plans -----------------------------------------------------------------------------

BY_PID = "sqlite_autoindex_instruments_1"
BY_SESSION = "ix_session_log_session_identifier"
TO_BUILD = "nxs_session_log_to_build"
BY_UPLOAD = "ix_upload_log_session_identifier"

HOT = {
    "get_instrument": BY_PID,
    "get_instrument_by_api_url": "sqlite_autoindex_instruments_2",
    "get_timezone": BY_PID,
    "update_instrument": BY_PID,
    "set_api_url_aside": BY_PID,
    "rename_instrument": BY_PID,
    "get_external_id": "sqlite_autoindex_external_user_identifiers_1",
    "find_username": "sqlite_autoindex_external_user_identifiers_2",
    "list_external_ids_of_user": "sqlite_autoindex_external_user_identifiers_1",
    "update_external_id": "sqlite_autoindex_external_user_identifiers_1",
    "set_external_id_aside": "sqlite_autoindex_external_user_identifiers_1",
    "move_external_id": "sqlite_autoindex_external_user_identifiers_1",
    "insert_event": BY_SESSION,
    "correct_event": BY_SESSION,
    "get_event": BY_SESSION,
    "get_session_log": "INTEGER PRIMARY KEY",
    "remove_session_log": "INTEGER PRIMARY KEY",
    "list_logs_of_session": BY_SESSION,
    "list_logs_to_be_built": TO_BUILD,
    "list_pairs_to_build": TO_BUILD,
    "list_oldest_starts": TO_BUILD,
    "list_claims": TO_BUILD,
    "get_pair_to_build": "INTEGER PRIMARY KEY",
    "is_claimed": BY_SESSION,
    "get_claim": "INTEGER PRIMARY KEY",
    "renew_claim": "INTEGER PRIMARY KEY",
    "list_statuses": BY_SESSION,
    "reset_session": BY_SESSION,
    "list_whole_sessions": BY_SESSION,
    "list_overviews_of_session": BY_SESSION,
    "list_pairs_of_session": BY_SESSION,
    "set_status": BY_SESSION,
    "set_status_from": BY_SESSION,
    "finish_session": BY_SESSION,
    "delete_session": BY_SESSION,
    "list_uploads_of_session": BY_UPLOAD,
    "delete_uploads_of_session": BY_UPLOAD,
}

# Statements, or files, that may look at every row of a table.
SCANS = {
    "doctor.sql": "examines every row on purpose",
    "report.sql": "sums up every row on purpose",
    "overview.sql": "people ask for what no index has",
    "recognition.sql": "stops at the first row, or the table has one",
    "backup.sql": "stops after some rows by the key",
    "yoyo.sql": "the tables have a row for each migration",
    "list_instruments": "gives every row",
    "list_external_ids": "gives every row",
    "list_all_logs": "gives every row",
    "count_session_logs": "counts every row",
    "list_activity": "looks at every session; no index by instrument or time",
    "remove_instrument": "the foreign key's own check; no index by instrument",
    "list_own_references_to_instruments": "the catalogue has a row for each table",
    "rename_instrument": "the foreign key's own check; no index by instrument",
    "rename_instrument_of_logs": "no index by instrument",
    "count_logs_of_instrument": "asked once, before a removal; no index by instrument",
    "list_logs_by_status": "most rows are of one status; no index by status",
    "list_pairs_between": "times of different offsets cannot be found by an index on their text",
    "count_sessions_by_status": "counts every session",
    "list_overviews": "lists every session",
    "list_overviews_since": "times of different offsets cannot be found by an index on their text",
    "get_began_of_recent": "stops after some rows by the key",
    "list_failed_uploads": "no index by success",
    "count_failed_uploads": "no index by success",
    "list_all_uploads": "gives every row",
    "list_latest_uploads": "no index is in the order of instants",
}


def plan(query: Query, store: Store) -> list[str]:
    """The steps of SQLite's plan."""
    rows = store.connection.execute(f"EXPLAIN QUERY PLAN {query.sql}", values_of(query))
    return [row[3] for row in rows]


def scanned(query: Query, steps: list[str]) -> list[str]:
    """The steps that look at every row of a table.

    Not those over what the statement itself has put together, nor over the partial index, which
    holds only what is waiting.
    """
    made = re.findall(r"^(?:CO-ROUTINE|MATERIALIZE) (\w+)", "\n".join(steps), re.MULTILINE)
    temporary = {"CONSTANT", *re.findall(r"\) AS (\w+)\n", query.sql), *made}
    return [
        step
        for step in steps
        if (match := re.match(r"SCAN (?:TABLE )?(\w+)", step))
        and match[1] not in temporary
        and "VIRTUAL TABLE" not in step
        and TO_BUILD not in step
    ]


@every_query
def test_a_statement_scans_a_table_only_for_a_reason(query: Query, filled: Store) -> None:
    found = scanned(query, plan(query, filled))
    if query.path.name not in SCANS:
        assert bool(found) == (query.name in SCANS), found


@pytest.mark.parametrize("name", HOT)
def test_a_hot_statement_uses_its_index(name: str, filled: Store) -> None:
    (query,) = (query for query in QUERIES if query.name == name)
    steps = plan(query, filled)
    assert any(HOT[name] in step for step in steps), steps


def test_what_waits_is_grouped_by_the_own_index_and_without_it_by_one_scan(filled: Store) -> None:
    (query,) = (query for query in QUERIES if query.name == "list_pairs_to_build")
    assert not any("FOR GROUP BY" in step for step in plan(query, filled))
    filled.connection.execute(f"DROP INDEX {TO_BUILD}")
    # Of a text that it knows, sqlite3 tells the old plan.
    anew = query._replace(sql=f"{query.sql} ")
    assert any(re.fullmatch("SCAN (TABLE )?session_log", step) for step in plan(anew, filled))


@pytest.mark.parametrize("status", RecordStatus)
def test_the_own_index_holds_what_waits_and_nothing_else(
    status: RecordStatus, filled: Store
) -> None:
    only_with_it = (
        f"SELECT * FROM session_log INDEXED BY {TO_BUILD} WHERE record_status = '{status.value}'"
    )
    if status is RecordStatus.TO_BE_BUILT:
        assert len(filled.connection.execute(only_with_it).fetchall()) == 2
    else:
        with pytest.raises(sqlite3.OperationalError, match="no query solution"):
            filled.connection.execute(only_with_it)


def test_the_reasons_are_for_statements_that_are_there() -> None:
    assert SCANS.keys() <= {query.name for query in QUERIES} | set(FILES)


# -- PostgreSQL ------------------------------------------------------------------------

VARIANTS = [
    query
    for path in sorted((SQL / "postgresql").glob("*.sql"))
    if path.name in FILES
    for query in load(f"postgresql/{path.name}")
]
# What is asked of SQLite's files alone.
SQLITE_ONLY = {
    "backup.sql": "a server's backups are its own program's",
    "yoyo.sql": "its tables are made by `migrate`, and read by it alone",
    "doctor.sql": "asks its copies of rows in an SQLite database of its own",
    "list_older_instruments_rows": "PostgreSQL's history begins at the head",
}


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda query: query.name)
def test_a_variant_has_the_header_of_the_statement_it_stands_for(variant: Query) -> None:
    (query,) = (query for query in load(variant.path.name) if query.name == variant.name)
    assert (variant.parameters, variant.mark) == (query.parameters, query.mark)
    assert " ".join(variant.sql.split()) != " ".join(query.sql.split())


def on_a_server(query: Query) -> bool:
    return not SQLITE_ONLY.keys() & {query.name, query.path.name} or query.name in {
        variant.name for variant in VARIANTS
    }


@pytest.fixture(scope="module")
def filled_server(server: Server) -> Iterator[Store]:
    with server.database() as url, Store(url) as store:
        fill(store)
        yield store


@pytest.mark.parametrize("query", [*filter(on_a_server, QUERIES)], ids=lambda query: query.name)
def test_a_statement_runs_on_a_server_and_gives_the_same_columns(
    query: Query, filled_server: Store, filled: Store
) -> None:
    from nexuslims_store.postgresql.statements import statements

    if query.sql not in statements():
        assert query.path.name == "views.sql"  # part of the statements that read them
        return
    text, writes = statements()[query.sql]
    connection = filled_server.connection
    connection.execute("BEGIN")
    try:
        cursor: Any = connection.execute(text, values_of(query))
        columns = [column[0] for column in cursor.description or ()]
    finally:
        connection.execute("ROLLBACK")
    expected = columns_of(query, filled)
    assert columns == expected or len(columns) == len(expected) == 1  # which has no name of its own
    assert writes == bool(re.search(r"^(INSERT|UPDATE|DELETE)", query.sql, re.M))


def test_the_reasons_for_sqlite_alone_are_for_statements_that_are_there() -> None:
    assert SQLITE_ONLY.keys() <= {query.name for query in QUERIES} | set(FILES)
