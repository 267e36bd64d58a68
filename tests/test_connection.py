"""How an SQLite file is opened: what is refused, what every connection has, what interrupts it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from helpers.interruptions import interrupted
from helpers.platforms import posix
from helpers.support import new_database, plainly

from nexuslims_store import DatabaseNotFoundError, NotANexusLIMSDatabaseError
from nexuslims_store.connection import MEMORY, connect, leniently


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a\0b", r"'a\\x00b' \(a NUL is in it\); check "),
        ("a\ud800", r"\(it is not UTF-8\); check "),
    ],
)
def test_a_name_that_no_file_can_have_is_refused(name: str, says: str) -> None:
    with pytest.raises(DatabaseNotFoundError, match=f"^no file can be at .*{says}"):
        connect(Path(name), mode="rw", timeout=1)


@posix
def test_a_device_is_no_empty_file() -> None:
    with pytest.raises(NotANexusLIMSDatabaseError, match="/dev/null is no file but a pipe, a"):
        connect(Path("/dev/null"), mode="rw", timeout=1)


def test_a_file_is_made_only_where_that_is_asked_for(tmp_path: Path) -> None:
    for mode, made in (("ro", False), ("rw", False), ("rwc", True)):
        path = tmp_path / mode
        try:
            with closing(connect(path, mode=mode, timeout=1)) as connection:  # type: ignore[arg-type]
                connection.execute("CREATE TABLE t (x)")
        except DatabaseNotFoundError:
            assert not made
        assert path.exists() is made


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_connection_that_was_interrupted_is_none(tmp_path: Path, in_memory: bool) -> None:
    path = MEMORY if in_memory else new_database(tmp_path)
    for at in range(999):
        made: list[sqlite3.Connection] = []
        going_on = interrupted(lambda: made.append(connect(path, mode="rw", timeout=1)), at)  # noqa: B023
        assert bool(made) is not going_on
        if not going_on:
            break
    with closing(made[0]) as connection:
        for pragma, value in (("foreign_keys", 1), ("trusted_schema", 0), ("cell_size_check", 1)):
            assert connection.execute(f"PRAGMA {pragma}").fetchone() == (value,)
        noon = "'1970-01-01T00:00:01+00:00', 'UTC'"
        for arguments in (noon, f"{noon}, NULL"):
            assert connection.execute(f"SELECT nxs_instant({arguments})").fetchone() == (1_000_000,)
        assert connection.isolation_level is None


def test_texts_that_are_not_utf_8_are_read_inside_of_a_block_alone(tmp_path: Path) -> None:
    statement = "SELECT CAST(x'c3a9ff' AS TEXT)"
    with plainly(new_database(tmp_path)) as connection:
        with leniently(connection):
            assert connection.execute(statement).fetchone() == ("é\udcff",)
        with suppress(ZeroDivisionError), leniently(connection):
            raise ZeroDivisionError
        with pytest.raises(sqlite3.OperationalError, match="decode"):
            connection.execute(statement).fetchone()
