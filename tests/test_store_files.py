"""The file of a store: its name, its locks, and what may not be written."""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.platforms import is_root, posix
from helpers.support import (
    PID,
    add_pair,
    contents,
    instrument,
    memory_store,
    new_database,
    plainly,
    snapshot,
)

from nexuslims_store import (
    DatabaseLockedError,
    DatabaseNotFoundError,
    NotANexusLIMSDatabaseError,
    ReadOnlyError,
    SchemaMismatchError,
    Store,
    StoreError,
    default_path,
)

# -- names -----------------------------------------------------------------------------

NAMES = [
    "with space.db",
    "100%.db",
    "a%41b.db",
    "a#b.db",
    "a?b.db",
    "a?mode=ro&cache=shared",
    "a&b=c;d.db",
    "Gerät Ελλάδα 電子.db",
    'quote\'s "x".db',
    "[brackets]{braces}.db",
    "back\\slash.db",
    "new\nline.db",
    "-rf",
    "~",
    "file:nexuslims.db",
    ":memory:.db",
    "no_suffix",
]


@posix
@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_taken_as_it_is(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / f"in {name}"
    folder.mkdir()
    path = folder / name
    with Store(path, migrate=True) as store:
        store.instruments.add(instrument())
    assert os.listdir(tmp_path) == [folder.name]
    assert os.listdir(folder) == [name]
    monkeypatch.chdir(folder)
    for same in (path, name, f"./{name}", Path("..") / folder.name / name):
        with Store(same, read_only=True) as store:
            assert store.instruments.list() == [instrument()]
    assert os.listdir(folder) == [name]


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are not UTF-8")
def test_a_name_need_not_be_unicode(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.db"))
    with Store(path, migrate=True) as store:
        store.instruments.add(instrument())
    assert os.listdir(os.fsencode(tmp_path)) == [b"\xff\xfe.db"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nexuslims.db\0", "a NUL is in it"),
        ("nexuslims.db\0.db", "a NUL is in it"),
        ("x" * 300 + ".db", ".+"),  # in the system's own words
        ("/".join(["x" * 200] * 40), ".+"),
        ("\ud800", "it is not UTF-8"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"read_only": True}, {"migrate": True}], ids=str)
def test_a_name_that_no_file_can_have_is_refused(
    tmp_path: Path, name: str, why: str, options: dict[str, Any]
) -> None:
    new_database(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(DatabaseNotFoundError, match=rf"no file can be at .* \({why}\)"):
        Store(tmp_path / name, **options)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("options", [{}, {"migrate": True}], ids=str)
def test_a_single_byte_is_no_empty_database(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "one.db"
    path.write_bytes(b"x")
    with pytest.raises(NotANexusLIMSDatabaseError):
        Store(path, **options)
    assert path.read_bytes() == b"x"


def test_a_database_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "utf16.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA encoding = 'UTF-16'")
        for statement in iterdump_of_a_new_database():
            connection.execute(statement)
    before = path.read_bytes()
    for migrate in (False, True):
        with pytest.raises(SchemaMismatchError, match="UTF-16"):
            Store(path, migrate=migrate)
    assert path.read_bytes() == before


def iterdump_of_a_new_database() -> list[str]:
    with memory_store() as store:
        return list(store.connection.iterdump())[1:-1]


def test_the_home_folder_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NX_DB_PATH", "~no-such-user/nexuslims.db")
    with pytest.raises(StoreError, match="NX_DB_PATH is '~no-such-user"):
        default_path()


@posix
def test_a_symbolic_link_leads_to_its_file(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    path = new_database(there)
    link = here / "link.db"
    link.symlink_to(path)
    with Store(link) as store:
        store.instruments.add(instrument())
        assert store.path == link
    assert link.is_symlink()
    assert len(contents(path)["instruments"]) == 1
    assert os.listdir(here) == ["link.db"]

    link.unlink()
    link.symlink_to("link.db")
    with pytest.raises(DatabaseNotFoundError, match="no file can be at"):
        Store(link)
    link.unlink()
    link.symlink_to(tmp_path / "nowhere.db")
    with pytest.raises(DatabaseNotFoundError):
        Store(link)


# -- locks -----------------------------------------------------------------------------


def test_a_lock_is_waited_for_and_then_an_error(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    with Store(path, timeout=0.2) as store, plainly(path) as other:
        other.execute("BEGIN IMMEDIATE")
        assert store.instruments.list() == []
        started = time.monotonic()
        with pytest.raises(DatabaseLockedError, match=r"0\.2 s") as caught:
            store.instruments.add(instrument())
        assert 0.15 < time.monotonic() - started < 20
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        with pytest.raises(DatabaseLockedError), store.transaction():
            pytest.fail("the lock is taken before anything else")
        other.execute("COMMIT")
        store.instruments.add(instrument())

        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseLockedError):
            store.instruments.list()
        for read_only in (False, True):
            with pytest.raises(DatabaseLockedError, match=r"0\.1 s"):
                Store(path, timeout=0.1, read_only=read_only)


def test_a_reader_holds_up_a_commit_and_nothing_is_half_done(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    with Store(path, timeout=0.1) as store, plainly(path) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM instruments").fetchall()
        with pytest.raises(DatabaseLockedError):
            store.instruments.add(instrument())
        with pytest.raises(DatabaseLockedError), store.transaction():
            store.instruments.add(instrument())
        assert not store.connection.in_transaction
        other.execute("COMMIT")
        assert store.instruments.list() == []
        store.instruments.add(instrument())


@pytest.mark.parametrize("timeout", [20, 5_000_000, float("inf")])
def test_a_lock_that_ends_in_time_is_no_error(tmp_path: Path, timeout: float) -> None:
    path = new_database(tmp_path)
    with (
        Store(path, timeout=timeout) as store,
        closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other,
    ):
        other.execute("BEGIN EXCLUSIVE")
        timer = threading.Timer(0.3, lambda: other.execute("COMMIT"))
        started = time.monotonic()
        timer.start()
        store.instruments.add(instrument())
        assert time.monotonic() - started >= 0.25
        timer.join()


# -- read-only -------------------------------------------------------------------------


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_a_read_only_store_reads_and_never_writes(tmp_path: Path, journal_mode: str) -> None:
    path = new_database(tmp_path)
    with plainly(path) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal_mode}")
    with Store(path) as store:
        store.instruments.add(instrument())
        add_pair(store)
    before = snapshot(tmp_path)
    with Store(path, read_only=True) as store:
        assert store.instruments.list() == [instrument()]
        assert len(store.sessions.list_to_build()) == 1
        assert len(list(store.session_logs.iter_all())) == 2
        with store.transaction():
            assert store.session_logs.count() == 2
            with store.transaction():
                assert store.instruments.get(PID) is not None
        with pytest.raises(ReadOnlyError, match="read_only=True"):
            store.instruments.remove(PID)
        with pytest.raises(ReadOnlyError), store.transaction():
            store.session_logs.remove(1)
        with pytest.raises(sqlite3.OperationalError):
            store.connection.execute("DELETE FROM session_log")
        assert store.session_logs.count() == 2
        if journal_mode == "delete":
            assert snapshot(tmp_path) == before
    assert {name: content for name, content in snapshot(tmp_path).items() if "-" not in name} == (
        before
    )


def test_a_read_only_transaction_is_a_snapshot(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    with plainly(path) as other:
        other.execute("PRAGMA journal_mode = WAL")
        with Store(path, read_only=True) as store:
            with store.transaction():
                assert store.instruments.list() == []
                with Store(path) as writer:
                    writer.instruments.add(instrument())
                assert store.instruments.list() == []
            assert store.instruments.list() == [instrument()]


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be a user whom permissions bind; root is bound by none."""
    if sys.platform != "linux" or not is_root():
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@posix
@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "says"),
    [
        (0o444, 0o777, "the file's permissions"),
        (0o666, 0o555, "folder"),
        (0o444, 0o555, "the file's permissions"),
    ],
)
def test_a_write_without_permission_says_what_is_read_only(
    open_folder: Path, file_mode: int, folder_mode: int, says: str
) -> None:
    path = new_database(open_folder)
    path.chmod(file_mode)
    open_folder.chmod(folder_mode)
    before = snapshot(open_folder)
    with unprivileged(), Store(path) as store:
        assert store.instruments.list() == []
        with pytest.raises(ReadOnlyError, match=says):
            store.instruments.add(instrument())
        with pytest.raises(ReadOnlyError, match=says), store.transaction():
            store.instruments.add(instrument())
    assert snapshot(open_folder) == before


@posix
@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o000, 0o777), (0o666, 0o600)])
def test_a_file_that_may_not_be_read_or_reached(
    open_folder: Path, file_mode: int, folder_mode: int, read_only: bool
) -> None:
    path = new_database(open_folder)
    path.chmod(file_mode)
    open_folder.chmod(folder_mode)
    with unprivileged(), pytest.raises(ReadOnlyError, match="permissions"):
        Store(path, read_only=read_only)
