"""The store: opening, what it refuses, transactions, and whose it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path, PureWindowsPath

import pytest
from helpers.support import (
    HEAD,
    SQL,
    head_image,
    instrument,
    new_database,
    plainly,
    snapshot,
    write,
)

from nexuslims_store import (
    CorruptDatabaseError,
    DatabaseNotFoundError,
    NotANexusLIMSDatabaseError,
    PendingMigrationsError,
    ReadOnlyError,
    SchemaMismatchError,
    Store,
    StoreError,
    UnknownRevisionError,
    default_path,
)
from nexuslims_store.connection import _uri

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


def test_a_python_with_too_old_an_sqlite_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 35, 0))
    Store(":memory:").close()
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 99))
    with pytest.raises(
        StoreError, match=r"has SQLite 3\..*, nexuslims_store needs 3\.35\.0: use a ne"
    ):
        Store(":memory:")


def test_a_share_of_windows_is_in_the_path_that_sqlite_opens() -> None:
    class Share(PureWindowsPath):
        def absolute(self) -> Share:
            return self

    for path, uri in (
        (r"\\server\share\a b.db", "file:////server/share/a%20b.db"),
        (r"C:\data\file.db", "file:///C:/data/file.db"),
        (r"\\server\share\file.db", "file:////server/share/file.db"),
    ):
        assert _uri(Share(path)) == uri  # type: ignore[arg-type]


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
        head_with("INSERT INTO alembic_version (version_num) VALUES ('v1_4_3')"),
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
        head_with("CREATE TABLE _alembic_tmp_instruments AS SELECT * FROM instruments"),
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
