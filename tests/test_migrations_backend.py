"""How the files of the history are run: each statement, in a transaction that is the caller's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from nexuslims_store import MigrationError
from nexuslims_store.migrations import backend
from nexuslims_store.revisions import Migration, history

Write = Callable[..., Migration]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Makes a history of one step, with this script to go up."""

    def written(up: str, down: str = "") -> Migration:
        files = [tmp_path / name for name in ("9.a.sql", "9.a.rollback.sql", "post-apply.sql")]
        for file, script in zip(files, (up, down, "SELECT 1;\n"), strict=True):
            file.write_text(script, encoding="utf-8")
        step = history()[-1]._replace(path=files[0], rollback_path=files[1])
        monkeypatch.setattr(backend, "history", lambda **_: [step])
        monkeypatch.setattr(backend, "_files", backend._files.__wrapped__)
        return step

    return written


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE a (b UNIQUE)")
        connection.execute("BEGIN")
        yield connection


def rows(connection: sqlite3.Connection) -> list[object]:
    return [row for (row,) in connection.execute("SELECT b FROM a ORDER BY b")]


@pytest.mark.parametrize(
    ("head", "runs"),
    [
        ("-- transactional: false\n", False),
        ("-- A thing.\n  --Transactional :FALSE\n-- depends:\n", False),
        ("-- transactional: true\n", True),
        ("-- not transactional: false\n", True),
        ("-- A thing.\n", True),
    ],
)
def test_a_step_that_could_not_be_undone_is_not_run(
    write: Write, connection: sqlite3.Connection, head: str, runs: bool
) -> None:
    step = write(f"{head}\nINSERT INTO a (b) VALUES (1);\n")
    refusal = pytest.raises(MigrationError, match="transactional: false` cannot be undone")
    with nullcontext() if runs else refusal:
        backend.Backend(connection).apply(step)
    assert rows(connection) == [1] * runs
    assert connection.in_transaction


STATEMENTS = """\
CREATE TRIGGER both AFTER INSERT ON a WHEN new.b < 3
BEGIN
    INSERT INTO a (b) VALUES (CASE WHEN new.b = 1 THEN new.b + 1 ELSE 3 END);
    -- Not the end; of it.
    UPDATE a SET b = b || ';' WHERE b = 3;
END;

INSERT INTO a (b) VALUES (1);
INSERT INTO a (b) VALUES ('x;
y');
"""


def test_statements_are_told_apart_as_sqlite_does(
    write: Write, connection: sqlite3.Connection
) -> None:
    connection.execute("PRAGMA recursive_triggers = ON")
    step = write(STATEMENTS)
    backend.Backend(connection).apply(step)
    assert rows(connection) == [1, 2, "3;", "x;\ny"]


def test_a_step_goes_down_as_it_is_written(write: Write, connection: sqlite3.Connection) -> None:
    up = ("INSERT INTO a (b) VALUES (1);", "INSERT INTO a (b) VALUES (2);")
    step = write(
        "\n".join(up),
        "UPDATE a SET b = b + 5 WHERE b = 1;\nDELETE FROM a WHERE b = 1;\n"
        "INSERT INTO a (b) VALUES (1);\n",
    )
    ours = backend.Backend(connection)
    ours.apply(step)
    ours.roll_back(step)
    assert rows(connection) == [1, 2, 6]


@pytest.mark.parametrize(
    ("conflict", "left"), [("", [0]), ("OR ABORT", [0]), ("OR ROLLBACK", []), ("OR FAIL", [0])]
)
def test_the_first_error_is_the_one_to_tell(
    write: Write, connection: sqlite3.Connection, conflict: str, left: list[object]
) -> None:
    """Also where SQLite has rolled back all by itself, savepoints included, as on a full disk."""
    ours = backend.Backend(connection)
    connection.execute("INSERT INTO a (b) VALUES (0)")
    step = write(f"INSERT INTO a (b) VALUES (1);\nINSERT {conflict} INTO a (b) VALUES (2), (1);\n")
    with pytest.raises(sqlite3.IntegrityError, match=r"UNIQUE constraint failed: a\.b"):
        ours.apply(step)
    assert rows(connection) == left
