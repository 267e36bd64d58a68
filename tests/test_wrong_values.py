"""Values of the wrong kind in any column of any revision: no command takes them for damage."""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest
from helpers.command_line import Result, call
from helpers.migration_checks import make_file
from helpers.migration_files import REVISIONS, execute, query

from nexuslims_store.tables import quoted, read

KINDS = {
    "BLOB": "x'00ff0a'",
    "number": "7",
    "NULL": "NULL",
    "no UTF-8": "CAST(x'ff41' AS TEXT)",
    "long": "printf('%.*c', 30000, 'a') || 'c'",
    "NUL": "'a' || char(0) || 'b'",
    "escape": "char(27) || '[31m' || char(10) || 'forged: OK'",
}
RIGHT = {
    "instrument_pid": "I-{}", "api_url": "https://x.example.com/?id={}", "calendar_name": "c",
    "calendar_url": "https://x.example.com/c", "location": "here", "schema_name": "S",
    "display_name": "S", "property_tag": "1", "filestore_path": "./x", "harvester": "nemo",
    "timezone": "America/New_York", "computer_name": "pc-{}", "computer_ip": "{}",
    "computer_mount": "M:/", "session_identifier": "s-{}", "instrument": "I-0",
    "timestamp": "2025-01-01T10:00:00-05:00", "event_type": "START", "user": "ada",
    "record_status": "COMPLETED", "destination_name": "cdcs", "success": "1", "record_id": "r",
    "record_url": "https://x.example.com/r", "error_message": "e", "metadata_json": "{{}}",
    "nexuslims_username": "u-{}", "external_system": "nemo", "external_id": "n-{}",
    "email": "ada@example.com", "created_at": "2025-01-01T10:00:00Z",
    "last_verified_at": "2025-01-01T10:00:00Z", "notes": "n", "version_num": "v2_5_0b",
}  # fmt: skip
READING = [
    *(["status"], ["status", "--json"], ["doctor"], ["doctor", "--json"], ["migrate", "--plan"]),
    *(["migrate", "check"], ["migrate", "current"], ["migrate", "history"], ["schema"]),
    *(["migrate", "--sql"], ["migrate", "downgrade", "base", "--plan"], ["report", "--text"]),
    *(["sessions", "list"], ["instruments", "list"], ["uploads", "list"], ["users", "list"]),
    *(["backup", "FOLDER/copy.db"], ["restore", "FOLDER/copy.db", "--dry-run"]),
    ["migrate", "stamp", "v2_5_0b", "--plan"],
]
WRITING = [["migrate"], ["migrate", "downgrade", "v1_4_3"], ["migrate", "stamp", "v2_5_0b"]]
# Those are mended by hand: which instrument was meant, and when an END was.
WITHOUT_COMMAND = {"unknown-instrument"}
numbers = itertools.count(1000)


def made(path: Path, revision: str) -> Path:
    """A file at a revision, with a row in each of NexusLIMS's tables."""
    make_file(path, revision)
    with closing(sqlite3.connect(path)) as connection, connection:
        for table, columns in tables(path).items():
            if set(columns) & RIGHT.keys() - {"version_num"}:
                add_row(connection, table, columns, 0)
    return path


def tables(path: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(path)) as connection:
        found = read(connection).tables
    return {name: [one.name for one in table.columns.values()] for name, table in found.items()}


def add_row(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], number: int
) -> None:
    row = {column: RIGHT[column].format(number) for column in columns if column in RIGHT}
    connection.execute(
        f"INSERT INTO {table} ({', '.join(map(quoted, row))}) VALUES ({', '.join('?' * len(row))})",
        [*row.values()],
    )


def spoil(path: Path, wrong: Iterable[tuple[str, str, str]]) -> bool:
    """Put each table, column, kind into a row, of NexusLIMS's a new one; whether any could be."""
    some, names = False, tables(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for table, column, kind in wrong:
            if (column, kind) == ("version", "number"):  # of yoyo's tables: a newer yoyo
                continue
            if column in RIGHT and column != "version_num":
                add_row(connection, table, names[table], next(numbers))
            with suppress(sqlite3.IntegrityError):
                done = connection.execute(
                    f"UPDATE {quoted(table)} SET {quoted(column)} = {KINDS[kind]} "
                    f"WHERE rowid = (SELECT max(rowid) FROM {quoted(table)})"
                )
                some |= done.rowcount == 1
    return some


def judge(done: Result, command: Sequence[str]) -> None:
    said = done.out + done.err
    assert "damaged" not in said, command
    assert "Traceback" not in said, command
    assert not re.search(r"\bb'|\bb\\?\"|\budcff|\x1b|^forged", said), (command, said[:2000])
    assert "None" not in done.err, (command, done.err[:1000])
    assert done.status in {0, 1, 2}
    assert (done.status == 2) == bool(re.search("^nexuslims-store", done.err, re.M)), (
        command,
        done,
    )
    if "--json" not in command:
        assert not re.search("a{400}", said), (command, len(said))


def run_all(path: Path, folder: Path) -> None:
    (folder / "copy.db").unlink(missing_ok=True)
    for command in READING:
        done = call("--db", path, *(word.replace("FOLDER", str(folder)) for word in command))
        judge(done, command)
        assert command[0] not in {"doctor", "backup"} or done.status < 2, done.err
    for command in WRITING:
        copy = folder / "written.db"
        shutil.copy(path, copy)
        judge(call("--db", copy, *command), command)


def mend(path: Path) -> None:
    """Follow what the doctor says until it says of no error that has a command."""
    for _ in range(9):
        found = call("--db", path, "doctor", "--json").json
        remedies = [one["remedy"] for one in found if one["severity"] != "note"]
        steps = [step for remedy in remedies for step in commands(remedy)]
        if not steps:
            break
        execute(path, ";".join(in_sql(words[2]) for words in steps if words[0] == "sqlite3"))
        for words in steps:
            if words[0] != "sqlite3":
                follow(words, path)
    assert {one["code"] for one in found if one["severity"] == "error"} <= WITHOUT_COMMAND
    done = call("--db", path, "migrate")
    assert done.status == 0, done.err[:3000]


def commands(remedy: str) -> Iterator[list[str]]:
    """The commands of a remedy that change something."""
    for one in re.findall("`(nexuslims-store migrate[^`]*)`", remedy) or [remedy]:
        if one.startswith(("sqlite3", "nexuslims-store")):
            words = shlex.split(one.partition("  ")[0])
            if words[1:3] != ["sessions", "show"]:
                yield words


def in_sql(script: str) -> str:
    column = re.search(r"SET (\w+) =", script)
    return re.sub("<[^>]*>", right(column[1]) if column else "", script)


def follow(words: list[str], path: Path) -> None:
    words = [
        right(before.strip("-").replace("-", "_")) if word.startswith("<") else word
        for before, word in zip(["", *words], words, strict=False)
    ]
    judge(call("--db", path, *words[1:]), words)


def right(column: str) -> str:
    return RIGHT[column].format(next(numbers))


@pytest.mark.parametrize(
    "revision",
    [
        pytest.param(one, marks=[] if one in {"v1_4_3", "v2_5_0b"} else pytest.mark.soak)
        for one in REVISIONS
    ],
)
def test_all_columns_at_once(tmp_path: Path, revision: str) -> None:
    path = made(tmp_path / "n.db", revision)
    columns = [(t, c) for t, listed in tables(path).items() for c in listed if c != "version_num"]
    assert spoil(path, ((*place, kind) for place in columns for kind in KINDS))
    assert call("--db", path, "doctor").status == 1
    run_all(path, tmp_path)
    mend(path)


@pytest.mark.parametrize("kind", KINDS)
def test_the_version_row(tmp_path: Path, kind: str) -> None:
    path = made(tmp_path / "n.db", "v2_5_0b")
    execute(
        path,
        "DROP TABLE alembic_version; CREATE TABLE alembic_version (version_num);"
        f"INSERT INTO alembic_version (version_num) VALUES ({KINDS[kind]})",
    )
    for command in (["doctor"], ["status"], ["migrate", "check"], *WRITING):
        judge(call("--db", path, *command), command)
    mend(path)
    assert query(path, "SELECT version_num FROM alembic_version") == [("v2_5_0b",)]


def test_a_version_table_that_is_another_programs(tmp_path: Path) -> None:
    path = made(tmp_path / "n.db", "v2_5_0b")
    execute(
        path,
        "DROP TABLE alembic_version; CREATE TABLE alembic_version (rev TEXT);"
        "INSERT INTO alembic_version (rev) VALUES ('mine');"
        "CREATE TRIGGER alembic_version AFTER INSERT ON alembic_version BEGIN SELECT 1; END",
    )
    for command in (["status"], ["migrate", "check"], *WRITING):
        done = call("--db", path, *command)
        judge(done, command)
        assert "alembic_version has no column version_num" in done.err
    (found,) = call("--db", path, "doctor", "--json").json
    advised = re.search(r"\((sqlite3 .*)\), then run `nexuslims-store migrate`", found["remedy"])
    assert advised is not None
    execute(path, shlex.split(advised[1])[2])
    assert call("--db", path, "migrate").status == 0
    assert call("--db", path, "doctor").status == 0
    assert query(path, "SELECT rev FROM own_alembic_version") == [("mine",)]


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("revision", REVISIONS)
def test_each_column(tmp_path: Path, revision: str, kind: str) -> None:
    whole = made(tmp_path / "whole.db", revision)
    for table, columns in tables(whole).items():
        for column in columns:
            path = tmp_path / "one.db"
            shutil.copy(whole, path)
            if spoil(path, [(table, column, kind)]):
                run_all(path, tmp_path)
                mend(path)
