"""The store: opening, what it refuses, transactions, and whose it is."""

# ruff: noqa: PT012, PT031 -- what goes wrong inside a transaction is the point

from __future__ import annotations

import copy
import gc
import os
import pickle
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.support import (
    HEAD,
    PID,
    SESSION,
    SQL,
    add_pair,
    contents,
    file_of,
    head_image,
    instrument,
    log,
    memory_store,
    new_database,
    new_store,
    place_of,
    upload,
    write,
)

from nexuslims_store import (
    CorruptDatabaseError,
    DatabaseLockedError,
    DatabaseNotFoundError,
    EventType,
    NotANexusLIMSDatabaseError,
    PendingMigrationsError,
    ReadOnlyError,
    SchemaMismatchError,
    StorageFullError,
    Store,
    StoreError,
    UnknownRevisionError,
    default_path,
)


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


# -- opening ---------------------------------------------------------------------------


def test_a_store_says_what_it_is(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    with Store(path) as store:
        assert (store.path, store.revision, store.read_only) == (path, HEAD, False)
        assert repr(path.name)[1:-1] in repr(store)
    with Store(str(path), read_only=True) as store:
        assert (store.path, store.revision, store.read_only) == (path, HEAD, True)
        assert "read-only" in repr(store)


def test_without_a_path_it_is_the_default_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = new_database(tmp_path)
    monkeypatch.setenv("NX_DB_PATH", str(path))
    with Store() as store:
        assert store.path == path == default_path()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NX_DB_PATH", "~/nexuslims.db")
    with Store() as store:
        assert store.path == path
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("NX_DB_PATH")
        else:
            monkeypatch.setenv("NX_DB_PATH", unset)
        assert Path(default_path()).name == "nexuslims.db"
        assert Path(default_path()).parent.name.lower() == "nexuslims"
        assert Path(default_path()).is_absolute()


@pytest.mark.parametrize("journal_mode", ["delete", "wal", "truncate"])
def test_every_connection_is_guarded_and_leaves_the_journal_mode(
    tmp_path: Path, journal_mode: str
) -> None:
    path = new_database(tmp_path)
    with plainly(path) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal_mode}")
    kept = journal_mode if journal_mode == "wal" else "delete"
    with Store(path) as store:
        store.instruments.add(instrument())
        settings = {
            pragma: store.connection.execute(f"PRAGMA {pragma}").fetchone()[0]
            for pragma in ("foreign_keys", "trusted_schema", "cell_size_check", "journal_mode")
        }
    assert settings == {
        "foreign_keys": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "journal_mode": kept,
    }
    with plainly(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == (kept,)


def test_a_database_in_memory_is_private_and_at_the_head() -> None:
    with Store(":memory:") as one, Store(":memory:") as two:
        assert one.revision == HEAD
        one.instruments.add(instrument())
        assert two.instruments.list() == []
    with Store(":memory:", migrate=True) as store:
        assert store.revision == HEAD
    with Store(":memory:", read_only=True) as store:
        assert store.sessions.list_to_build() == []
        assert list(store.sessions.iter_overview()) == []
    with Store(":memory:", read_only=True) as store, pytest.raises(ReadOnlyError):
        store.instruments.add(instrument())


def at_revision(last: int) -> Callable[[Path], None]:
    """Make a file at the revision of a migration number."""

    def make(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            for script in sorted((SQL / "migrations").glob("[0-9]*.sql"))[: 2 * last]:
                if not script.name.endswith(".rollback.sql"):
                    connection.executescript(script.read_text(encoding="utf-8"))

    return make


def head_with(*statements: str) -> Callable[[Path], None]:
    """Make a file at the head revision that another program has changed."""

    def make(path: Path) -> None:
        path.write_bytes(head_image())
        write(path, *statements)

    return make


def foreign(path: Path) -> None:
    """Make some other program's database."""
    write(path, "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)")


VERSION = "UPDATE alembic_version SET version_num ="
ODD_FILES: dict[str, tuple[Callable[[Path], object], type[StoreError], str]] = {
    "missing": (lambda path: None, DatabaseNotFoundError, "migrate"),
    "folder": (Path.mkdir, NotANexusLIMSDatabaseError, "folder"),
    "text": (
        lambda path: path.write_text("nexuslims\n" * 200),
        NotANexusLIMSDatabaseError,
        "not an SQLite database",
    ),
    "short text": (
        lambda path: path.write_text("hello"),
        NotANexusLIMSDatabaseError,
        "not an SQLite",
    ),
    "empty": (lambda path: path.write_bytes(b""), NotANexusLIMSDatabaseError, "empty"),
    "cut off": (
        lambda path: path.write_bytes(head_image()[:-3000]),
        CorruptDatabaseError,
        "doctor",
    ),
    "other program's": (foreign, NotANexusLIMSDatabaseError, "customers"),
    "v1_4_3": (at_revision(1), PendingMigrationsError, "v1_4_3"),
    "v2_5_0a": (
        at_revision(4),
        PendingMigrationsError,
        "v2_5_0a",
    ),
    "no version row": (
        head_with("DELETE FROM alembic_version"),
        PendingMigrationsError,
        "version row",
    ),
    "no version table": (
        head_with("DROP TABLE alembic_version"),
        PendingMigrationsError,
        "version row",
    ),
    "later": (head_with(f"{VERSION} 'v9_0_0'"), UnknownRevisionError, "v9_0_0"),
    "two version rows": (
        head_with("INSERT INTO alembic_version VALUES ('v1_4_3')"),
        UnknownRevisionError,
        "several",
    ),
    "stamped wrong": (head_with(f"{VERSION} 'v1_4_3'"), SchemaMismatchError, "stamp"),
    "table missing": (head_with("DROP TABLE upload_log"), SchemaMismatchError, "upload_log"),
    "column missing": (
        head_with("ALTER TABLE upload_log RENAME COLUMN success TO worked"),
        SchemaMismatchError,
        "worked",
    ),
    "leftover": (
        head_with("CREATE TABLE _alembic_tmp_instruments (instrument_pid)"),
        SchemaMismatchError,
        "_alembic_tmp_instruments",
    ),
}


@pytest.mark.parametrize("read_only", [False, True], ids=["to write", "read-only"])
@pytest.mark.parametrize(("make", "error", "says"), ODD_FILES.values(), ids=list(ODD_FILES))
def test_a_file_that_is_not_right_is_refused_and_left_alone(
    tmp_path: Path,
    make: Callable[[Path], object],
    error: type[StoreError],
    says: str,
    read_only: bool,
) -> None:
    path = tmp_path / "nexuslims.db"
    make(path)
    before = snapshot(tmp_path)
    with pytest.raises(error) as caught:
        Store(path, read_only=read_only)
    assert type(caught.value) is error
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert snapshot(tmp_path) == before
    # And nothing stays open that would keep others from it.
    if path.is_file():
        path.rename(tmp_path / "moved")


@pytest.mark.parametrize(
    "name",
    [
        "folder",
        "text",
        "short text",
        "other program's",
        "later",
        "two version rows",
        "stamped wrong",
    ],
)
def test_what_is_not_ours_is_not_migrated_either(tmp_path: Path, name: str) -> None:
    make, error, _ = ODD_FILES[name]
    path = tmp_path / "nexuslims.db"
    make(path)
    before = snapshot(tmp_path)
    with pytest.raises(error):
        Store(path, migrate=True)
    assert snapshot(tmp_path) == before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseNotFoundError, match="nor the folder"):
        Store(tmp_path / "not" / "there" / "nexuslims.db")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatabaseNotFoundError):
        Store(tmp_path / "file" / "nexuslims.db")


def test_a_store_that_migrates_cannot_be_read_only(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="read-only"):
        Store(tmp_path / "nexuslims.db", read_only=True, migrate=True)
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.skipif(os.name == "nt", reason="Windows does not allow most of these names")
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
    "name",
    [
        "nexuslims.db\0",
        "nexuslims.db\0.db",
        "x" * 300 + ".db",
        "/".join(["x" * 200] * 40),
        "\ud800",
    ],
)
@pytest.mark.parametrize("options", [{}, {"read_only": True}, {"migrate": True}], ids=str)
def test_a_name_that_no_file_can_have_is_refused(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    new_database(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(
        (DatabaseNotFoundError, ReadOnlyError), match=r"no file can be|cannot be made"
    ):
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


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
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
    with pytest.raises(StoreError):
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
        assert 0.15 < time.monotonic() - started < 5
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
        timer.start()
        started = time.monotonic()
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
    if sys.platform != "linux" or os.geteuid() != 0:
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


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
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


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
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


# -- transactions ----------------------------------------------------------------------


class MishapError(Exception):
    """Raised by a test inside a transaction."""


def pids(store: Store) -> list[str]:
    """What another program sees."""
    return [row[0] for row in contents(store)["instruments"]]


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    with Store(new_database(tmp_path)) as store:
        with store.transaction():
            store.instruments.add(instrument("A"))
            store.instruments.add(instrument("B"))
            assert pids(store) == []
        assert pids(store) == ["A", "B"]
        with pytest.raises(MishapError), store.transaction():
            store.instruments.remove("A")
            raise MishapError
        assert pids(store) == ["A", "B"]
        assert not store.connection.in_transaction


def test_transactions_nest(tmp_path: Path) -> None:
    with Store(new_database(tmp_path)) as store:
        with store.transaction():
            store.instruments.add(instrument("A"))
            with store.transaction():
                store.instruments.add(instrument("B"))
                with pytest.raises(MishapError), store.transaction():
                    store.instruments.add(instrument("C"))
                    with store.transaction():
                        store.instruments.add(instrument("D"))
                    raise MishapError
                store.instruments.add(instrument("E"))
            store.instruments.add(instrument("F"))
            assert pids(store) == []
        assert pids(store) == ["A", "B", "E", "F"]


def test_the_outermost_decides(tmp_path: Path) -> None:
    with Store(new_database(tmp_path)) as store:
        with pytest.raises(MishapError), store.transaction():
            with store.transaction():
                store.instruments.add(instrument("A"))
            raise MishapError
        assert pids(store) == []
        store.instruments.add(instrument("B"))
        assert pids(store) == ["B"]


def test_an_error_of_the_store_undoes_its_own_call_only(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        with store.transaction():
            store.session_logs.insert(log())
            with pytest.raises(StoreError):
                store.session_logs.insert_many([log(EventType.END), log(instrument="Nobody's")])
            store.upload_logs.insert(upload())
        found = contents(store)
        assert [len(found[table]) for table in ("session_log", "upload_log")] == [1, 1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_rolls_back_too(tmp_path: Path, error: type[BaseException]) -> None:
    with Store(new_database(tmp_path)) as store:
        with pytest.raises(error), store.transaction():
            store.instruments.add(instrument("A"))
            raise error
        assert pids(store) == []
        store.instruments.add(instrument("B"))


def test_a_transaction_of_the_users_own_is_joined(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.connection.execute("BEGIN")
        store.sessions.add(SESSION, PID, log().timestamp, log(EventType.END).timestamp)
        with pytest.raises(MishapError), store.transaction():
            store.instruments.add(instrument("A"))
            raise MishapError
        assert contents(store)["session_log"] == []
        store.connection.execute("COMMIT")
        assert len(contents(store)["session_log"]) == 2
        assert pids(store) == [PID]


@pytest.mark.parametrize("nested", [False, True])
def test_a_transaction_that_sqlite_rolled_back_is_noticed(tmp_path: Path, nested: bool) -> None:
    def lose(store: Store) -> None:
        store.instruments.add(instrument("A"))
        with pytest.raises(sqlite3.IntegrityError):
            store.connection.execute(
                "INSERT OR ROLLBACK INTO instruments SELECT * FROM instruments"
            )
        assert not store.connection.in_transaction
        for use in (
            store.instruments.list,
            store.session_logs.count,
            lambda: store.instruments.add(instrument("B")),
            lambda: list(store.session_logs.iter_all()),
        ):
            with pytest.raises(StoreError, match=r"rolled .* back"):
                use()

    with new_store(tmp_path) as store:
        with pytest.raises(StoreError, match=r"rolled .* back"), store.transaction():
            if nested:
                with store.transaction():
                    lose(store)
            else:
                lose(store)
        assert pids(store) == [PID]
        store.instruments.add(instrument("C"))
        assert pids(store) == [PID, "C"]


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
        store.connection.execute(f"PRAGMA max_page_count = {pages}")
        before = contents(store)
        large = upload(error_message="x" * 100_000)
        with pytest.raises(StorageFullError, match="free some space") as caught:
            store.upload_logs.insert(large)
        assert isinstance(caught.value.__cause__, sqlite3.Error)
        with pytest.raises(StorageFullError):
            store.upload_logs.insert_many([upload(), large])
        with pytest.raises(StorageFullError), store.transaction():
            add_pair(store)
            store.upload_logs.insert(large)
        assert contents(store) == before
        store.connection.execute("PRAGMA max_page_count = 100000")
        store.upload_logs.insert(large)


# -- whose it is -----------------------------------------------------------------------


def uses(store: Store) -> list[Callable[[], object]]:
    """Ways to use a store: reads, writes, iterators, transactions, the connection."""

    def transaction() -> None:
        with store.transaction():
            pytest.fail("a transaction was begun")

    return [
        store.instruments.list,
        lambda: store.instruments.add(instrument("Another")),
        lambda: store.instruments.find_by_path("/data/a.dm3", root="/data"),
        lambda: list(store.session_logs.iter_all()),
        lambda: store.session_logs.insert(log()),
        lambda: store.session_logs.insert_many([log()]),
        store.sessions.claim,
        lambda: list(store.sessions.iter_between(log().timestamp, log().timestamp)),
        lambda: store.upload_logs.insert(upload()),
        lambda: store.external_ids.get("ned", "nemo"),
        lambda: store.external_ids.remove("ned", "nemo"),
        lambda: store.connection,
        transaction,
        lambda: store.backup(file_of(store).with_name("copy.db")),
    ]


def refusals(store: Store) -> list[str]:
    """What each use is answered with."""
    answers = []
    for use in uses(store):
        with pytest.raises(StoreError) as caught:
            use()
        answers.append(str(caught.value))
    return answers


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    before = contents(store)
    store.close()
    store.close()
    assert all("closed" in answer for answer in refusals(store))
    assert contents(store) == before
    assert os.listdir(tmp_path) == [file_of(store).name]


def test_closing_rolls_an_open_transaction_back(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with pytest.raises(StoreError, match="closed"), store.transaction():
        store.instruments.add(instrument("A"))
        store.close()
    assert pids(store) == [PID]


def test_another_thread_is_refused_and_does_no_harm(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        answers: list[str] = []

        def work() -> None:
            answers.extend(refusals(store))
            with pytest.raises(StoreError, match="thread"):
                store.close()

        with store.transaction():
            store.session_logs.insert(log())
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert answers
        assert all("thread" in answer for answer in answers)
        assert [len(rows) for rows in contents(store).values()] == [1, 1, 0, 0]


def test_an_iterator_in_another_thread_is_refused(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.session_logs.insert(log())
        events = store.session_logs.iter_all()
        caught: list[BaseException] = []

        def work() -> None:
            try:
                next(events)
            except StoreError as error:
                caught.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert "thread" in str(caught[0])
        assert store.session_logs.count() == 1


CHILD = """
import gc, os, sys
from nexuslims_store import Instrument, Store, StoreError

store = Store(sys.argv[1])
first, second = (
    store.instruments.get("First").model_copy(update={"instrument_pid": pid, "api_url": url})
    for pid, url in (("second", "http://2"), ("third", "http://3"))
)
events = store.session_logs.iter_all()
next(events)
with store.transaction():
    store.instruments.add(first)
    child = os.fork()
    if child == 0:
        add = lambda: store.instruments.add(second)
        for use in (store.instruments.list, add, lambda: list(events)):
            try:
                use()
            except StoreError as error:
                print(error)
            else:
                os._exit(3)
        LEAVE
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.instruments.add(second)
assert len(list(events)) == 1
store.close()
"""
LEAVES = {
    "exit": "sys.exit()",
    "close": "store.close(); sys.exit()",
    "forget": "del store, events; gc.collect(); sys.exit()",
    "exit at once": "sys.stdout.flush(); os._exit(0)",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.usefixtures("each_store")
@pytest.mark.parametrize("leave", LEAVES.values(), ids=list(LEAVES))
def test_a_forked_child_is_refused_and_does_no_harm(tmp_path: Path, leave: str) -> None:
    with new_store(tmp_path) as store:
        store.instruments.rename(PID, "First")
        add_pair(store, instrument="First")
    place = place_of(store)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD.replace("LEAVE", leave), str(place)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 3
    assert all("process" in line for line in result.stdout.splitlines())
    # What the parent wrote before and after its child lived is all there.
    assert [row[0] for row in contents(place)["instruments"]] == ["First", "second", "third"]
    if isinstance(place, Path):
        with plainly(place) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.usefixtures("each_store")
def test_a_forked_child_opens_a_store_of_its_own(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import os, sys
        from nexuslims_store import Store

        with Store(sys.argv[1]) as store:
            child = os.fork()
            if child == 0:
                with Store(sys.argv[1]) as own:
                    own.instruments.remove("First")
                sys.exit()
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert store.instruments.list() == []
    """)
    with new_store(tmp_path) as store:
        store.instruments.rename(PID, "First")
    place = str(place_of(store))
    subprocess.run([sys.executable, "-W", "error", "-c", code, place], check=True)


def test_a_store_that_is_not_closed_warns_and_lets_the_file_go(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    path = file_of(store)
    store.connection.execute("BEGIN EXCLUSIVE")
    with pytest.warns(ResourceWarning, match="unclosed <Store .*nexuslims"):
        del store
        gc.collect()
    write(path, "DELETE FROM instruments")


def test_a_repository_keeps_its_store_open(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        add_pair(store)
    with pytest.warns(ResourceWarning, match="unclosed <Store .*nexuslims"):
        assert Store(store.path).sessions.get(SESSION) is not None
    with pytest.warns(ResourceWarning):
        assert len(list(Store(store.path).session_logs.iter_all())) == 2
    with pytest.warns(ResourceWarning), Store(store.path).transaction():
        pass
    write(file_of(store), "DELETE FROM session_log")


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_store_is_not_copied(tmp_path: Path, duplicate: Callable[[Store], object]) -> None:
    with new_store(tmp_path) as store:
        with pytest.raises(TypeError, match="open another Store"):
            duplicate(store)
        assert store.instruments.list() == [instrument()]


def test_sql_of_the_users_own(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.connection.execute("UPDATE instruments SET location = ?", ("elsewhere",))
        assert contents(store)["instruments"][0][3] == "elsewhere"
        with pytest.raises(sqlite3.OperationalError):
            store.connection.execute("SELECT * FROM no_such_table")
        with pytest.raises(sqlite3.IntegrityError):
            store.connection.execute(
                "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type, "
                "record_status) VALUES ('s', 'Nobody''s', '2025', 'START', 'ERROR')"
            )


def test_the_store_in_memory_is_one_of_its_own_kind() -> None:
    with memory_store() as store:
        assert store.path == Path(":memory:")
        with store.transaction():
            add_pair(store)
        assert store.session_logs.count() == 2
        with pytest.raises(MishapError), store.transaction():
            store.sessions.delete(SESSION)
            raise MishapError
        assert store.session_logs.count() == 2
