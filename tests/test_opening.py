"""What may be given to a store: paths of all kinds, and arguments of the wrong type."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
import threading
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from helpers.platforms import needs_posix, posix
from helpers.support import add_pair, contents, instrument, memory_store, new_database, new_store
from test_store_files import open_folder, unprivileged  # noqa: F401 -- a fixture

from nexuslims_store import (
    DatabaseLockedError,
    DatabaseNotFoundError,
    InvalidValueError,
    NotANexusLIMSDatabaseError,
    ReadOnlyError,
    Store,
    StoreError,
)
from nexuslims_store.cli import main
from nexuslims_store.times import LONGEST_TIMEOUT

every_way = pytest.mark.parametrize(
    "options", [{}, {"read_only": True}, {"migrate": True}], ids=str
)


@contextmanager
def pipe(folder: Path) -> Any:
    if sys.platform == "win32":
        needs_posix()
    path = folder / "pipe.db"
    os.mkfifo(path)
    yield path


@contextmanager
def bound_socket(folder: Path) -> Any:
    if sys.platform == "win32":
        needs_posix()
    path = folder / "s.db"
    with closing(socket.socket(socket.AF_UNIX)) as bound:
        # The name of a socket has few characters.
        here = Path.cwd()
        os.chdir(folder)
        try:
            bound.bind("s.db")
        finally:
            os.chdir(here)
        yield path


@contextmanager
def device(folder: Path) -> Any:
    yield Path("/dev/null")


@contextmanager
def link_to_a_device(folder: Path) -> Any:
    path = folder / "link.db"
    path.symlink_to("/dev/zero")
    yield path


@posix
@every_way
@pytest.mark.parametrize("kind", [pipe, bound_socket, device, link_to_a_device])
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, kind: Any, options: dict[str, Any]
) -> None:
    with kind(tmp_path) as path:
        errors: list[BaseException] = []

        def work() -> None:
            try:
                Store(path, **options)
            except Exception as error:  # noqa: BLE001 -- looked at below
                errors.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive(), "it waits for the other end"
        assert isinstance(errors[0], NotANexusLIMSDatabaseError)
        assert "pipe, a socket or a device" in str(errors[0])
        assert str(path) in str(errors[0])


@every_way
@pytest.mark.parametrize("name", ["x" * 256, "x/" + "y" * 300, "\0", "a\0.db", "\ud800.db", ""])
def test_names_that_no_file_has(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    (tmp_path / "x").mkdir()
    path = f"{tmp_path}/{name}" if name else ""
    with pytest.raises(DatabaseNotFoundError):
        Store(path, **options)
    assert os.listdir(tmp_path) == ["x"]


@posix
@every_way
def test_a_folder_that_may_not_be_entered(open_folder: Path, options: dict[str, Any]) -> None:  # noqa: F811
    inner = open_folder / "inner"
    inner.mkdir()
    path = new_database(inner)
    inner.chmod(0)
    try:
        with unprivileged(), pytest.raises(ReadOnlyError, match="permissions"):
            Store(path, **options)
    finally:
        inner.chmod(0o755)


@posix
@pytest.mark.parametrize("read_only", [False, True])
def test_a_closed_wal_file_where_nothing_may_be_written(open_folder: Path, read_only: bool) -> None:  # noqa: F811
    path = new_database(open_folder)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    assert os.listdir(open_folder) == [path.name]
    open_folder.chmod(0o555)
    with unprivileged(), pytest.raises(ReadOnlyError, match=r"WAL mode.*copy") as caught:
        Store(path, read_only=read_only)
    assert "journal_mode" not in str(caught.value)


def test_the_current_folder_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        new_database(folder)
    monkeypatch.chdir(here)
    with Store("nexuslims.db") as store:
        assert store.path == here / "nexuslims.db"
        monkeypatch.chdir(there)
        store.instruments.add(instrument())
        assert store.path == here / "nexuslims.db"
        copy = store.backup(tmp_path)
        assert len(contents(copy)["instruments"]) == 1
        assert copy.name.startswith("nexuslims")
        # A destination is a path of the moment, as everywhere.
        assert store.backup("copy.db").resolve() == (there / "copy.db").resolve()
    assert len(contents(here / "nexuslims.db")["instruments"]) == 1
    assert contents(there / "nexuslims.db")["instruments"] == []


@posix
def test_a_current_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(DatabaseNotFoundError, match="no file can be at"):
        Store("nexuslims.db")


def test_memory_is_for_store_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NX_DB_PATH", ":memory:")
    with pytest.raises(StoreError, match="NX_DB_PATH"):
        Store()
    with Store(":memory:") as store:
        assert store.path == Path(":memory:")
    for arguments in (["status"], ["migrate"], ["--db", ":memory:", "sessions", "list"]):
        assert main(arguments) == 2
        assert "is no file" in capsys.readouterr().err


# -- arguments -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"path": 7}, "path"),
        ({"path": b"nexuslims.db"}, "path"),
        ({"timeout": "30"}, "timeout"),
        ({"timeout": None}, "timeout"),
        ({"read_only": 1}, "read_only"),
        ({"migrate": "yes"}, "migrate"),
        ({"any_thread": 0}, "any_thread"),
        ({"clock": datetime(2025, 1, 1, tzinfo=UTC)}, "clock"),
    ],
)
def test_an_argument_of_the_wrong_type_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(TypeError, match=rf"^{named}\b"):
        Store(**({"path": ":memory:"} | arguments))


@pytest.mark.parametrize("timeout", [-1, -0.5, float("nan"), float("-inf")])
def test_a_timeout_that_is_no_time(tmp_path: Path, timeout: float) -> None:
    with pytest.raises(InvalidValueError, match="timeout"):
        Store(":memory:", timeout=timeout)
    assert issubclass(InvalidValueError, ValueError)


def test_a_timeout_may_be_as_long_as_one_likes(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    for timeout in (0, 5, LONGEST_TIMEOUT, 10**30, float("inf")):
        with Store(path, timeout=timeout) as store:
            (milliseconds,) = store.connection.execute("PRAGMA busy_timeout").fetchone()
        assert milliseconds == min(timeout, LONGEST_TIMEOUT) * 1000


def test_the_longest_timeout_is_three_weeks(tmp_path: Path) -> None:
    for timeout in (float("inf"), 2_000_001):
        with Store(new_database(tmp_path), timeout=timeout) as store:
            assert store._database.timeout == 2_000_000


def test_no_timeout_is_no_wait(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    with Store(path, timeout=0) as store, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseLockedError, match="0 s"):
            store.instruments.add(instrument())


def test_a_clock_tells_of_its_zone() -> None:
    with memory_store(clock=lambda: datetime(2025, 1, 1)) as store:
        with pytest.raises(InvalidValueError, match=r"clock returned .*aware"):
            store.external_ids.store("ned", "nemo", "1")
        add_pair(store)
        with pytest.raises(InvalidValueError, match="clock"):
            store.sessions.claim()
    with memory_store(clock=lambda: "now") as store, pytest.raises(TypeError, match="clock"):
        store.external_ids.store("ned", "nemo", "1")


def test_the_class_says_what_a_store_has() -> None:
    with memory_store() as store:
        public = {name for name in vars(store) if name not in dir(Store) and name[0] != "_"}
    assert public == {name for name in Store.__annotations__ if not name.startswith("_")}


def test_a_repository_says_what_it_is(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        said = [
            repr(getattr(store, name))
            for name in ("instruments", "session_logs", "sessions", "upload_logs", "external_ids")
        ]
    assert said == [
        f"<the {what} of {str(store.path)!r}>"
        for what in (
            "instruments",
            "session logs",
            "sessions",
            "upload logs",
            "external user identifiers",
        )
    ]


@every_way
def test_what_cannot_be_read_comes_with_advice(options: dict[str, Any]) -> None:
    memory = Path("/proc/self/mem")  # a file by its mode, with nothing at its beginning
    if not memory.exists():
        pytest.skip("only Linux has it")
    with pytest.raises(StoreError, match=r"mem could not be read \(.*\): check that it is"):
        Store(memory, **options)
