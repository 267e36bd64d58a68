"""The database files that faults happen to, and what must be true of them afterwards."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from helpers import older_lineage
from nexuslims_store import migrations
from nexuslims_store.config import sql_folder

Lineage = Literal["fresh", "older"]

State = tuple[tuple[object, ...], ...] | None
"""All that is in a database; None where there is none, or an empty file."""

INSTRUMENT = "Zeiss-Leo-SEM"


def make(path: Path, lineage: Lineage = "fresh", revision: str = "head", *, wal: bool) -> Path:
    """Make a small database of either lineage, with one session to be built."""
    path.write_bytes(_image(lineage, revision, wal))
    return path


@cache
def _image(lineage: Lineage, revision: str, wal: bool) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        if lineage == "older":
            older_lineage.create(path)
        else:
            _make_fresh(path)
        if revision != "v1_4_3":
            migrations.upgrade(path, revision, backup=False)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            # Of every connection to this file: pages are written long before the commit, as in a
            # database of millions of rows.
            connection.execute("PRAGMA default_cache_size = 5")
            if wal:
                connection.execute("PRAGMA journal_mode = WAL")
        return path.read_bytes()


def _make_fresh(path: Path) -> None:
    """Make a file as NexusLIMS 2.2 does, at `v1_4_3`."""
    (script,) = (sql_folder() / "migrations").glob("0001.*[!k].sql")
    instruments = [
        (*row[:-2], row[-2] or "nemo", row[-1])  # NULL is of the older lineage only
        for row in older_lineage.INSTRUMENTS
    ]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(script.read_text(encoding="utf-8"))
        connection.executemany(
            "INSERT INTO instruments (instrument_pid, api_url, calendar_name, calendar_url, "
            "location, schema_name, property_tag, filestore_path, computer_name, computer_ip, "
            f"computer_mount, harvester, timezone) VALUES ({', '.join('?' * 13)})",
            instruments,
        )
        connection.executemany(
            f"INSERT INTO session_log {older_lineage.EVENT_COLUMNS} VALUES ({', '.join('?' * 7)})",
            older_lineage.SESSION_LOG,
        )


def enlarge(path: Path, sessions: int) -> Path:
    """Add sessions that are built already, some hundred bytes each."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type, "
            "record_status, user) VALUES (?, ?, ?, ?, 'COMPLETED', ?)",
            (
                (f"https://nemo.example.com/{number}", INSTRUMENT, time, event, "u" * 100)
                for number in range(sessions)
                for event, time in (
                    ("START", "2020-01-01T10:00:00-05:00"),
                    ("END", "2020-01-01T11:00:00-05:00"),
                )
            ),
        )
    return path


def state(path: Path) -> State:
    """Return all that is in a file, once SQLite finds it in order.

    Tables, indexes, rows, the version row, yoyo's marks, and which rows refer to nothing; not the
    random ids and times in yoyo's own tables.
    """
    if not path.exists() or (path.stat().st_size == 0 and not Path(f"{path}-wal").exists()):
        return None
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found: list[tuple[object, ...]] = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
        ).fetchall()
        for kind, name, *_ in tuple(found):
            if kind == "table":
                columns = _YOYO_COLUMNS.get(str(name), "rowid, *")
                rows = connection.execute(f'SELECT {columns} FROM "{name}" ORDER BY 1')
                found += [(name, *row) for row in rows]
        found += connection.execute("PRAGMA foreign_key_check").fetchall()
    return tuple(found) or None


_YOYO_COLUMNS = {
    "_yoyo_migration": "migration_id",
    "_yoyo_log": "migration_id, operation",
    "_yoyo_version": "version",
    "yoyo_lock": "*",
}


def overwrite(path: Path, position: int, content: bytes) -> None:
    """Overwrite a part of a file that nobody has open."""
    with path.open("r+b") as file:
        file.seek(position)
        file.write(content)
