"""What SQLite's errors mean: decided by their codes, and by what stands beside the file."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.platforms import as_root, posix
from helpers.support import new_database, plainly, write
from test_store_files import open_folder as open_folder  # a fixture
from test_store_files import unprivileged

from nexuslims_store import (
    CorruptDatabaseError,
    DatabaseLockedError,
    DatabaseNotFoundError,
    NotANexusLIMSDatabaseError,
    ReadOnlyError,
    SchemaMismatchError,
    StorageFullError,
    StoreError,
    translation,
)
from nexuslims_store.times import raised_in_sql
from nexuslims_store.translation import (
    ConstraintError,
    interruption,
    lone_surrogate,
    refuse_writes,
    require_writable,
    translate,
    who_may_repair,
    why_not_opened,
)


def meaning(path: Path, code: int, said: str = "said by SQLite") -> StoreError:
    error = sqlite3.OperationalError(said)
    error.sqlite_errorcode = code
    return translate(error, path, timeout=1.5)


FULL = "{path} could not be written (said by SQLite): the disk is full, or a limit on the size of "
ROLLED_BACK = "{path}: a transaction of this store was rolled back while these rows were read; "


@pytest.mark.parametrize(
    ("name", "kind", "begins"),
    [
        ("BUSY", DatabaseLockedError, "{path} is locked by another program, still after 1.5 s; "),
        ("BUSY_SNAPSHOT", DatabaseLockedError, "{path} is locked by another program, still "),
        ("LOCKED", DatabaseLockedError, "{path} is locked by another program, still after 1.5 s; "),
        ("READONLY", ReadOnlyError, "{path} was opened read-only; open it without read_only=True"),
        ("PERM", ReadOnlyError, "{path} was opened read-only; open it without read_only=True "),
        ("AUTH", ReadOnlyError, "{path} was opened read-only; open it without read_only=True "),
        ("READONLY_DIRECTORY", ReadOnlyError, "{path} was opened read-only; open it without "),
        ("READONLY_DBMOVED", ReadOnlyError, "{path} was moved or replaced while it was open; "),
        ("READONLY_RECOVERY", ReadOnlyError, "{path} is in WAL mode: whoever reads it needs its "),
        ("READONLY_CANTINIT", ReadOnlyError, "{path} is in WAL mode: whoever reads it needs its "),
        ("FULL", StorageFullError, "no room to write {path}: free some space on its disk and try "),
        ("IOERR", StorageFullError, FULL),
        ("IOERR_WRITE", StorageFullError, FULL),
        ("IOERR_FSYNC", StorageFullError, FULL),
        ("IOERR_DIR_FSYNC", StorageFullError, FULL),
        ("IOERR_TRUNCATE", StorageFullError, FULL),
        ("IOERR_SHMSIZE", StorageFullError, FULL),
        ("IOERR_SHMOPEN", StorageFullError, FULL),
        ("IOERR_SHORT_READ", CorruptDatabaseError, "{path} is damaged (said by SQLite); "),
        ("CORRUPT", CorruptDatabaseError, "{path} is damaged (said by SQLite); `nexuslims-store "),
        ("NOTADB", NotANexusLIMSDatabaseError, "{path} is not an SQLite database, and nothing "),
        ("ABORT", StoreError, ROLLED_BACK),
        ("ABORT_ROLLBACK", StoreError, ROLLED_BACK),
        ("CONSTRAINT_CHECK", ConstraintError, "{path}: the tables refuse the row (said by SQLite)"),
        ("CONSTRAINT_UNIQUE", ConstraintError, "{path}: the tables refuse the row (said by "),
        ("ERROR", SchemaMismatchError, "{path}: its tables are not those this package works with "),
        ("SCHEMA", SchemaMismatchError, "{path}: its tables are not those this package works with"),
        ("IOERR_READ", StoreError, "{path} could not be read (said by SQLite): check that it is a"),
        ("MISUSE", StoreError, "{path}: SQLite reports: said by SQLite"),
    ],
)
def test_a_code_says_what_it_means(
    tmp_path: Path, name: str, kind: type[StoreError], begins: str
) -> None:
    path = new_database(tmp_path)
    found = meaning(path, getattr(sqlite3, f"SQLITE_{name}"))
    assert type(found) is kind
    assert str(found).startswith(begins.format(path=path))
    assert found.for_command.startswith(begins.format(path=path))


def test_what_sqlite_does_not_say_is_said_by_the_module(tmp_path: Path) -> None:
    path = tmp_path / "nexuslims.db"
    found = translate(sqlite3.ProgrammingError("it is closed"), path, timeout=1.5)
    assert (type(found), str(found)) == (StoreError, f"{path}: it is closed")


def test_a_text_that_is_not_utf_8_is_the_files_or_a_rows(tmp_path: Path) -> None:
    path = tmp_path / "nexuslims.db"
    found: StoreError = translate(
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"), path, timeout=1
    )
    assert type(found) is CorruptDatabaseError
    assert str(found).startswith(f"{path} is damaged ('utf-8' codec can't decode")
    row = sqlite3.OperationalError("Could not decode to UTF-8 column 'user' with text 'f\ufffd'")
    found = translate(row, path, timeout=1)
    assert (type(found), str(found)) == (
        StoreError,
        f"{path} has a text that is not UTF-8 (Could not decode to UTF-8 column 'user'); "
        "`nexuslims-store doctor` names its row",
    )


@pytest.mark.parametrize(
    ("before", "told"), [("", "''"), ("a" * 80, f"'{'a' * 80}'"), ("b" + "a" * 80, f"'{'a' * 80}'")]
)
def test_where_a_text_is_none_in_utf_8_is_told_by_what_is_before_it(before: str, told: str) -> None:
    with pytest.raises(UnicodeEncodeError) as caught:
        f"{before}\ud800after".encode()
    assert str(lone_surrogate(caught.value)) == (
        f"text that is not UTF-8 (a lone surrogate, after {told}) cannot be stored or looked up"
    )


def test_writes_to_some_tables_are_refused_each_with_its_own_error(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    with plainly(path) as connection:
        errors = {"instruments": lambda: StoreError("one"), "upload_log": lambda: StoreError("two")}
        refuse_writes(connection, path, errors)
        for statement, says in (
            ("DELETE FROM instruments WHERE rowid < 0", "one"),
            ("UPDATE Upload_Log SET success = 1", "two"),
            ("INSERT INTO UPLOAD_LOG (id) VALUES (1)", "two"),
        ):
            with pytest.raises(sqlite3.DatabaseError, match="not authorized") as caught:
                connection.execute(statement)
            elsewhere = translate(caught.value, tmp_path / "another.db", timeout=1)
            assert type(elsewhere) is ReadOnlyError
            assert str(translate(caught.value, path, timeout=1)) == says
            assert type(translate(caught.value, path, timeout=1)) is ReadOnlyError  # told once
        connection.execute("SELECT * FROM instruments").fetchall()
        connection.execute("DELETE FROM session_log")


def test_a_foreign_key_is_told_from_other_constraints(tmp_path: Path) -> None:
    for code in (sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, sqlite3.SQLITE_CONSTRAINT_CHECK):
        found = meaning(new_database(tmp_path), code)
        assert isinstance(found, ConstraintError)
        assert found.foreign_key is (code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY)


@pytest.mark.parametrize(
    ("code", "said", "index"),
    [
        ("UNIQUE", "UNIQUE constraint failed: upload_log.record_id", "one on upload_log"),
        (
            *("UNIQUE", "UNIQUE constraint failed: upload_log.success, upload_log.record_url"),
            "two on upload_log",
        ),
        ("UNIQUE", "UNIQUE constraint failed: index 'expression'", "expression on session_log"),
        ("UNIQUE", "UNIQUE constraint failed: upload_log.record_url", None),
        ("UNIQUE", "UNIQUE constraint failed: upload_log.record_url, upload_log.success", None),
        ("UNIQUE", "UNIQUE constraint failed: upload_log.destination_name", None),
        ("UNIQUE", "UNIQUE constraint failed: own.record_id", None),
        ("UNIQUE", "UNIQUE constraint failed: index 'plain'", None),
        ("NOTNULL", "NOT NULL constraint failed: upload_log.record_id", None),
        ("PRIMARYKEY", "UNIQUE constraint failed: upload_log.record_id", None),
    ],
)
def test_an_index_of_the_facilitys_own_that_refuses_a_row_is_named(
    tmp_path: Path, code: str, said: str, index: str | None
) -> None:
    path = new_database(tmp_path)
    write(
        path,
        "CREATE UNIQUE INDEX one ON upload_log (record_id)",
        "CREATE UNIQUE INDEX two ON upload_log (success, record_url)",
        'CREATE UNIQUE INDEX expression ON session_log (lower("user"))',
        "CREATE INDEX plain ON upload_log (destination_name)",
        "CREATE TABLE own (record_id UNIQUE)",
    )
    found = meaning(path, getattr(sqlite3, f"SQLITE_CONSTRAINT_{code}"), said)
    what = (
        f"the index {index}, which is your own, takes no two rows that are alike in its columns; "
        "make it anew without UNIQUE, or do without it: `nexuslims-store doctor` names it"
        if index
        else "the tables refuse the row"
    )
    assert str(found) == f"{path}: {what} ({said})"


def test_a_file_that_is_locked_is_not_waited_for_to_find_an_index(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    said = "UNIQUE constraint failed: upload_log.record_id"
    write(path, "CREATE UNIQUE INDEX one ON upload_log (record_id)")
    with plainly(path) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        found = str(meaning(path, sqlite3.SQLITE_CONSTRAINT_UNIQUE, said))
    assert found == f"{path}: the tables refuse the row ({said})"
    assert time.monotonic() - begun < 3


def test_without_zone_data_an_error_of_sqls_function_is_the_computers_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise StoreError("none here")

    monkeypatch.setattr(translation, "require_zone_data", none)
    for code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA):
        with pytest.raises(StoreError, match="none here"):
            meaning(tmp_path / "nexuslims.db", code)
    assert type(meaning(tmp_path / "nexuslims.db", sqlite3.SQLITE_MISUSE)) is StoreError


def test_a_folder_may_be_opened_and_not_read(tmp_path: Path) -> None:
    for code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR_READ):
        found = meaning(tmp_path, code)
        assert type(found) is NotANexusLIMSDatabaseError
        assert str(found) == f"{tmp_path} is a folder; name the database file in it"


# -- what may not be written -----------------------------------------------------------


def mounted_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "win32":
        flags = SimpleNamespace(f_flag=os.ST_RDONLY)
        monkeypatch.setattr(os, "statvfs", lambda _: flags)


HALF = "{path} was left in the middle of a write (its -journal file is there), and "
IN_WAL = "{path} is in WAL mode: whoever reads it needs its -wal and -shm files beside it, and the "
COPY = "copy both to a folder that may be written, and work there"
CHANGE = "read a copy of it{wal} in a folder that may be written"


@posix
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("READONLY", "{path} was opened read-only; open it without read_only=True to write"),
        ("READONLY_ROLLBACK", f"{HALF}its disk is mounted read-only; {COPY}"),
        ("READONLY_RECOVERY", f"{IN_WAL[:-4]}its disk is mounted read-only; {CHANGE}"),
    ],
)
@pytest.mark.parametrize("wal", ["", " and its -wal file"])
def test_on_a_disk_that_is_mounted_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str, wal: str
) -> None:
    path = new_database(tmp_path)
    if wal:
        Path(f"{path}-wal").touch()
    mounted_read_only(monkeypatch)
    found = meaning(path, getattr(sqlite3, f"SQLITE_{name}"))
    assert str(found) == says.format(path=path, wal=wal)


@as_root
@pytest.mark.parametrize(
    ("name", "file_mode", "folder_mode", "says"),
    [
        (
            *("READONLY", 0o444, 0o777),
            "{path} is read-only for this user; change the file's permissions to write",
        ),
        (
            *("READONLY", 0o666, 0o555),
            "the folder {folder} is read-only for this user, so SQLite cannot write its journal "
            "beside nexuslims.db; change the folder's permissions",
        ),
        (
            *("READONLY_ROLLBACK", 0o666, 0o777),
            f"{HALF}a read-only store may not repair it; open it once for writing, as "
            "`nexuslims-store backup` does",
        ),
        *(
            (
                *("READONLY_ROLLBACK", *modes),
                f"{HALF}a read-only store may not repair it; {place} is read-only for this user: "
                "run `nexuslims-store backup` as root, who owns the database, or change the "
                "permissions",
            )
            for place, modes in (("{path}", (0o444, 0o777)), ("{folder}", (0o666, 0o555)))
        ),
        (
            *("READONLY_CANTINIT", 0o666, 0o555),
            f"{IN_WAL}folder {{folder}} is read-only for this user; {CHANGE}, or make this one "
            "writable",
        ),
    ],
)
def test_a_user_whom_permissions_bind(
    open_folder: Path, name: str, file_mode: int, folder_mode: int, says: str
) -> None:
    path = new_database(open_folder)
    Path(f"{path}-journal").touch(0o666)
    Path(f"{path}-journal").chmod(0o666)
    path.chmod(file_mode)
    open_folder.chmod(folder_mode)
    with unprivileged():
        found = meaning(path, getattr(sqlite3, f"SQLITE_{name}"))
    assert type(found) is ReadOnlyError
    assert str(found) == says.format(path=path, folder=open_folder, wal="")


@as_root
@pytest.mark.parametrize("unwritable", ["nexuslims.db", "nexuslims.db-journal", "."])
def test_who_may_repair_is_the_owner_where_one_of_the_places_may_not_be_written(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, unwritable: str
) -> None:
    if sys.platform == "win32":
        return
    path = new_database(open_folder)
    open_folder.chmod(0o777)
    for place in (path, Path(f"{path}-journal")):
        place.touch()
        place.chmod(0o666)
        os.chown(place, 54321, 54321)
    with unprivileged():
        assert who_may_repair(path) is None
    (open_folder / unwritable).chmod(0o555)
    with unprivileged():
        assert who_may_repair(path) == (
            f"{open_folder / unwritable} is read-only for this user: run `nexuslims-store backup` "
            "as user 54321, who owns the database, or change the permissions"
        )
        monkeypatch.setattr(sys, "platform", "win32")
        assert who_may_repair(path) is None


@as_root
def test_a_file_that_nobody_can_write_to_is_on_a_disk(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = new_database(open_folder)
    path.chmod(0o444)
    mounted_read_only(monkeypatch)
    with unprivileged():
        assert str(meaning(path, sqlite3.SQLITE_READONLY)) == (
            f"{path} is on a disk that is mounted read-only; work on a copy of it elsewhere"
        )


def test_a_folder_without_writing_is_at_fault_where_nothing_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "nexuslims.db"
    path.write_bytes(b"no database at all, but long enough to be looked at by its first bytes " * 9)
    found = meaning(path, sqlite3.SQLITE_READONLY_DIRECTORY)
    assert str(found).startswith(IN_WAL.format(path=path))
    for other in (path, tmp_path / "none.db"):
        found = meaning(other, sqlite3.SQLITE_READONLY)
        assert str(found).startswith(f"{other} was opened read-only; ")


@as_root
def test_a_file_to_write_is_one_that_the_user_may_write(open_folder: Path) -> None:
    path = new_database(open_folder)
    path.chmod(0o666)
    with unprivileged():
        require_writable(path)
    path.chmod(0o444)
    with (
        unprivileged(),
        pytest.raises(ReadOnlyError, match=r"db is read-only for this user; chang"),
    ):
        require_writable(path)


def test_a_disk_that_cannot_be_asked_is_not_mounted_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert translation.mounted_read_only(tmp_path / "none") is False
    mounted_read_only(monkeypatch)
    assert translation.mounted_read_only(tmp_path) is (sys.platform != "win32")
    monkeypatch.setattr(sys, "platform", "win32")
    assert translation.mounted_read_only(tmp_path) is False


# -- what cannot be opened -------------------------------------------------------------


def beside(suffix: str) -> Callable[[Path], None]:
    return lambda path: Path(f"{path}{suffix}").touch()


@posix
@pytest.mark.parametrize(
    ("prepare", "kind", "says"),
    [
        (Path.unlink, DatabaseNotFoundError, "there is no database {path}; check the path, or "),
        (lambda _: None, ReadOnlyError, f"{IN_WAL}folder "),
        (beside("-journal"), ReadOnlyError, "{path} cannot be opened with its -journal or -wal "),
        (beside("-wal"), ReadOnlyError, "{path} cannot be opened with its -journal or -wal file: "),
    ],
)
def test_why_a_file_is_not_opened(
    tmp_path: Path, prepare: Callable[[Path], None], kind: type[StoreError], says: str
) -> None:
    path = new_database(tmp_path)
    prepare(path)
    found = why_not_opened(path)
    assert type(found) is kind
    assert str(found).startswith(says.format(path=path))


@posix
def test_what_no_database_can_be_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
    for name, kind, says in (
        ("x" * 300, DatabaseNotFoundError, "no file can be at {path} (File name too long); check "),
        ("circle", DatabaseNotFoundError, "no file can be at {path} (Too many levels of symbolic "),
        ("pipe", NotANexusLIMSDatabaseError, "{path} is no file but a pipe, a socket or a device"),
    ):
        path = tmp_path / name
        found = why_not_opened(path)
        assert type(found) is kind
        assert str(found).startswith(says.format(path=path))


@as_root
@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "says"),
    [
        (0o666, 0o600, "{path} may not be reached by this user; change the permissions of its fol"),
        (0o222, 0o777, "{path} may not be read by this user; change its permissions"),
        (0o666, 0o555, "{path} cannot be opened with its -journal or -wal file: the folder "),
    ],
)
def test_what_a_user_may_not_open(
    open_folder: Path, file_mode: int, folder_mode: int, says: str
) -> None:
    path = new_database(open_folder)
    beside("-journal")(path)
    path.chmod(file_mode)
    open_folder.chmod(folder_mode)
    with unprivileged():
        found = why_not_opened(path)
    assert type(found) is ReadOnlyError
    assert str(found).startswith(says.format(path=path))


def test_a_folder_that_is_not_there_or_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in ("none", "file"):
        path = tmp_path / folder / "nexuslims.db"
        says = f"there is no database {path}, nor the folder {path.parent}; check "
        assert str(why_not_opened(path)).startswith(says)


@posix
def test_a_journal_on_a_disk_that_is_mounted_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = new_database(tmp_path)
    beside("-journal")(path)
    mounted_read_only(monkeypatch)
    assert str(why_not_opened(path)) == (
        f"{path} cannot be opened with its -journal or -wal file: its disk is mounted read-only; "
        f"{COPY}"
    )


@as_root
def test_a_wal_file_in_a_folder_that_may_not_be_written(open_folder: Path) -> None:
    path = new_database(open_folder)
    beside("-wal")(path)
    open_folder.chmod(0o555)
    with unprivileged():
        assert str(why_not_opened(path)).startswith(IN_WAL.format(path=path))


# -- what interrupts -------------------------------------------------------------------


def test_what_was_raised_inside_sqls_function_is_told_once_in_its_thread() -> None:
    raised = sqlite3.OperationalError("user-defined function raised exception")
    assert interruption(sqlite3.OperationalError("another")) is None
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(interruption, raised).result() is None
    assert type(interruption(raised)) is KeyboardInterrupt
    raised_in_sql[threading.get_ident()] = error = TimeoutError()
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(interruption, raised).result() is None
    assert interruption(sqlite3.OperationalError("another")) is None
    assert interruption(raised) is error
    assert type(interruption(raised)) is KeyboardInterrupt
