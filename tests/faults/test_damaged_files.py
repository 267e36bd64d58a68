"""Files that are none, or are damaged: the right error, and not a byte of them changed.

What `Store` says of a file that is not right is in test_store.py, what `backup` and `restore` say
of theirs in test_backup.py and test_restore.py.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from helpers.faults.files import make, overwrite
from helpers.faults.operations import NOW

from nexuslims_store import (
    CorruptDatabaseError,
    DatabaseNotFoundError,
    InvalidRowError,
    NotANexusLIMSDatabaseError,
    SchemaMismatchError,
    Store,
    StoreError,
    UnknownRevisionError,
    migrations,
)
from nexuslims_store.backup import copy

pytestmark = pytest.mark.slow

PAGE = 4096


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


# -- migrations ----------------------------------------------------------------------------------


def root_page(path: Path, table: str) -> int:
    """Return where in the file the first page of a table begins."""
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (number,) = connection.execute(sql, (table,)).fetchone()
        return int(number - 1) * PAGE


def cut(path: Path, length: int) -> None:
    with path.open("r+b") as file:
        file.truncate(length if length > 0 else path.stat().st_size + length)


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], object], type[StoreError]]] = {
    "folder": (become_a_folder, NotANexusLIMSDatabaseError),
    "text": (lambda path: path.write_text("text\n" * 2000), NotANexusLIMSDatabaseError),
    "short text": (lambda path: path.write_text("text"), NotANexusLIMSDatabaseError),
    "flipped byte of the header": (
        lambda path: overwrite(path, 2, b"\xff"),
        NotANexusLIMSDatabaseError,
    ),
    "cut in the header": (lambda path: cut(path, 60), CorruptDatabaseError),
    "cut by half": (lambda path: cut(path, 5 * PAGE), CorruptDatabaseError),
    "cut by a few bytes": (lambda path: cut(path, -100), CorruptDatabaseError),
    "trashed catalogue": (lambda path: overwrite(path, 100, b"\xff" * 3000), CorruptDatabaseError),
    "trashed page": (
        lambda path: overwrite(path, root_page(path, "session_log"), b"\xff" * PAGE),
        CorruptDatabaseError,
    ),
    "zeroed page": (
        lambda path: overwrite(path, root_page(path, "session_log"), bytes(PAGE)),
        CorruptDatabaseError,
    ),
    "flipped byte of a page": (
        lambda path: overwrite(path, root_page(path, "instruments"), b"\x55"),
        CorruptDatabaseError,
    ),
    # In order for quick_check, which does not compare an index with its table.
    "flipped byte of an index": (
        lambda path: overwrite(
            path, root_page(path, "ix_session_log_session_identifier") - 1 + PAGE, b"\x00"
        ),
        CorruptDatabaseError,
    ),
}


@pytest.mark.parametrize(
    "migrate",
    [migrations.upgrade, lambda path: migrations.downgrade(path, "base")],
    ids=["upgrade", "downgrade"],
)
@pytest.mark.parametrize(("damage", "expected"), DAMAGES.values(), ids=list(DAMAGES))
def test_no_damaged_file_is_migrated(
    tmp_path: Path,
    migrate: Callable[[Path], object],
    damage: Callable[[Path], object],
    expected: type[StoreError],
) -> None:
    path = make(tmp_path / "a.db", revision="v2_4_0a", wal=False)
    damage(path)
    before = contents(tmp_path)
    with pytest.raises(expected, match=r"a\.db"):
        migrate(path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "use",
    [
        migrations.current,
        migrations.pending,
        migrations.downgrade,
        lambda path: migrations.stamp(path, "v1_4_3"),
    ],
    ids=["current", "pending", "downgrade", "stamp"],
)
def test_no_missing_file_is_made(tmp_path: Path, use: Callable[[Path], object]) -> None:
    for path in (tmp_path / "a.db", tmp_path / "no folder" / "a.db"):
        with pytest.raises(DatabaseNotFoundError, match=r"a\.db"):
            use(path)
    assert not list(tmp_path.iterdir())


# -- any byte ------------------------------------------------------------------------------------


def _read_all(path: Path) -> None:
    with Store(path, read_only=True) as store:
        store.instruments.list()
        store.instruments.activity()
        list(store.session_logs.iter_all())
        store.sessions.list_to_build()
        store.sessions.list_unpaired()
        store.sessions.counts_by_status()
        list(store.sessions.iter_between(datetime(1900, 1, 1, tzinfo=UTC), NOW))
        store.upload_logs.list_failed()
        store.external_ids.list()


def _write(path: Path) -> None:
    with Store(path) as store:
        store.sessions.claim()
        store.external_ids.store("ada", "nemo", "1")


# Where the damage is only in what a row says, it is none that SQLite can see.
SAID = (CorruptDatabaseError, NotANexusLIMSDatabaseError, SchemaMismatchError, UnknownRevisionError)


@pytest.mark.parametrize(
    ("use", "said", "often"),
    [
        (_read_all, (*SAID, InvalidRowError), 3),
        (_write, StoreError, 2),
        (lambda path: copy(path, path.with_name("copy.db")), SAID, 2),
        (migrations.upgrade, StoreError, 2),
        (lambda path: migrations.downgrade(path, "v1_4_3"), StoreError, 1),
    ],
    ids=["read", "write", "backup", "upgrade", "downgrade"],
)
@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.soak)])
def test_no_flipped_byte_gives_an_error_of_another_kind(
    memory: Path,
    use: Callable[[Path], object],
    said: tuple[type[StoreError], ...],
    often: int,
    times: int,
) -> None:
    """Bytes of every page: its kind, its number of rows, and some of the rest."""
    original = make(memory / "original.db", wal=False).read_bytes()
    folder = memory / "damaged"
    folder.mkdir()
    path = folder / "a.db"
    chosen = random.Random(4)
    positions = {*range(16, 60, 3)}  # the file's header
    for page in range(0, len(original), PAGE):
        positions |= {page, page + 4, *chosen.sample(range(page, page + PAGE), often * times)}
    errors = 0
    for position in sorted(positions):
        path.write_bytes(original)
        overwrite(path, position, bytes([original[position] ^ chosen.randrange(1, 256)]))
        try:
            use(path)
        except said:
            errors += 1
        for file in folder.iterdir():
            file.unlink()
    assert errors > 20
