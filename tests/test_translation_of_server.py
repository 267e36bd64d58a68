"""Each error of a PostgreSQL server becomes the error of this package that says what it means."""

from __future__ import annotations

import pytest
from helpers.support import SQL

from nexuslims_store import (
    CorruptDatabaseError,
    DatabaseLockedError,
    ReadOnlyError,
    SchemaMismatchError,
    StorageFullError,
    StoreError,
    queries,
)
from nexuslims_store.translation import ConstraintError

psycopg = pytest.importorskip("psycopg")
translation = pytest.importorskip("nexuslims_store.postgresql.translation")


LOCKED = "here is locked by another program"
BEYOND = "a number beyond 64 bits cannot be stored or looked up"


def translated(name: str, *, read_only: bool = False) -> StoreError:
    kind = getattr(psycopg.errors, name, None) or getattr(psycopg, name)
    error: StoreError = translation.translate(
        kind("said so"), "here", timeout=2.5, read_only=read_only
    )
    return error


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("LockNotAvailable", DatabaseLockedError, f"{LOCKED}, still after 2.5 s"),
        ("DeadlockDetected", DatabaseLockedError, LOCKED),
        ("SerializationFailure", DatabaseLockedError, LOCKED),
        ("QueryCanceled", StoreError, "here: the server broke the statement off (said so)"),
        ("ReadOnlySqlTransaction", ReadOnlyError, "here only reads (said so): it is a replica, or"),
        ("InsufficientPrivilege", ReadOnlyError, "here: this user lacks a right (said so)"),
        ("DiskFull", StorageFullError, "no room to write here (said so)"),
        ("ConfigurationLimitExceeded", StorageFullError, "no room to write here (said so)"),
        ("OutOfMemory", StorageFullError, "no room to write here (said so)"),
        ("UniqueViolation", ConstraintError, "here: the tables refuse the row (said so)"),
        ("CheckViolation", ConstraintError, "here: the tables refuse the row (said so)"),
        ("NotNullViolation", ConstraintError, "here: the tables refuse the row (said so)"),
        ("ForeignKeyViolation", ConstraintError, "here: the tables refuse the row (said so)"),
        ("InFailedSqlTransaction", StoreError, "here: an earlier error has rolled the open"),
        (
            "InvalidCursorName",
            StoreError,
            "here: a transaction of this store was rolled back while",
        ),
        ("DataCorrupted", CorruptDatabaseError, "here is damaged (said so)"),
        ("IndexCorrupted", CorruptDatabaseError, "here is damaged (said so)"),
        ("UndefinedTable", SchemaMismatchError, "here: its tables are not those this package"),
        ("UndefinedColumn", SchemaMismatchError, "here: its tables are not those this package"),
        ("UndefinedFunction", SchemaMismatchError, "here: its tables are not those this package"),
        ("NumericValueOutOfRange", StoreError, f"{BEYOND} (said so)"),
        ("DataError", StoreError, "text with a NUL cannot be looked up on a server (said so)"),
        ("InvalidTextRepresentation", StoreError, "here: PostgreSQL reports: said so"),
        ("SyntaxError", StoreError, "here: PostgreSQL reports: said so"),
        ("OperationalError", StoreError, "here: PostgreSQL reports: said so"),
    ],
)
def test_what_an_error_of_the_server_means(kind: str, error: type[StoreError], says: str) -> None:
    found = translated(kind)
    assert type(found) is error
    assert str(found).startswith(says)
    if isinstance(found, ConstraintError):
        assert found.foreign_key is (kind == "ForeignKeyViolation")


def test_who_opened_it_read_only_is_told_so() -> None:
    found = translated("ReadOnlySqlTransaction", read_only=True)
    assert str(found) == "here was opened read-only; open it without read_only=True to write"


# -- statements ------------------------------------------------------------------------

dialect = pytest.importorskip("nexuslims_store.postgresql.statements")


@pytest.mark.parametrize(
    ("sql", "becomes"),
    [
        ("SELECT a FROM t WHERE b = :one_2", "SELECT a FROM t WHERE b = %(one_2)s"),
        ("SELECT ':no', 'it''s :no', \":no\"", "SELECT ':no', 'it''s :no', \":no\""),
        ("SELECT 1 -- it's :no\nFROM t", "SELECT 1 FROM t"),
        ("SELECT '-- :no' -- :no", "SELECT '-- :no' "),
        ("SELECT a LIKE '%:x' || :y", "SELECT a LIKE '%%:x' || %(y)s"),
        ("SELECT CAST(log.user_2 AS BLOB), CAST(a AS TEXT)", "SELECT log.user_2, CAST(a AS TEXT)"),
    ],
)
def test_a_statement_has_the_placeholders_of_psycopg(sql: str, becomes: str) -> None:
    assert dialect.translated(sql) == becomes


def test_the_views_that_a_statement_reads_stand_before_it() -> None:
    views = {"base": "SELECT 1", "middle": "SELECT * FROM base", "top": "SELECT * FROM middle"}
    made = {name: f"{name} AS NOT MATERIALIZED (\n{body})" for name, body in views.items()}
    assert dialect._with(views, "SELECT x FROM another_base") == "SELECT x FROM another_base"
    for name, needed in {"base": ["base"], "top": [*views]}.items():
        text = f"SELECT * FROM {name}"
        parts = ",\n".join(made[one] for one in needed)
        assert dialect._with(views, text) == f"WITH {parts}\n{text}"


def test_each_statement_is_there_as_the_server_takes_it() -> None:
    found = dialect.statements()
    overview = queries.load("overview.sql")
    assert found.keys() == {
        query.sql
        for path in sorted(SQL.glob("*.sql"))
        for query in queries.load(path.name)
        if "CREATE TEMP VIEW" not in query.sql
    }
    text, writes = found[overview.list_identifiers_ending]
    assert ("right(session_identifier, length(%(ending)s))" in text, writes) == (True, False)
    text, writes = found[overview.get_last_build]
    assert text.startswith("WITH nxs_event AS NOT MATERIALIZED (\nSELECT")
    assert ";" not in text[: text.rindex("SELECT")]
    first = {text.split()[0]: writes for text, writes in found.values()}
    assert first == {
        **dict.fromkeys(("INSERT", "UPDATE", "DELETE"), True),
        **dict.fromkeys(first.keys() - {"INSERT", "UPDATE", "DELETE"}, False),
    }
    assert first.keys() >= {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE"}
