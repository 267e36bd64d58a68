"""The file itself: its pages, and what lies beside it."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nexuslims_store.backup import PARTIAL_FILES
from nexuslims_store.backup.copying import missing_end
from nexuslims_store.connection import SQLiteDatabase
from nexuslims_store.display import shown
from nexuslims_store.doctor.finding import Finding, in_shell
from nexuslims_store.errors import ReadOnlyError
from nexuslims_store.translation import mounted_read_only, who_may_repair

_AT_MOST = 100  # of SQLite's own complaints
_MEGABYTE = 1024 * 1024
_LARGE_WAL = 64 * _MEGABYTE
# No backup takes as long, not even on a network disk.
_BACKUP_TAKES = timedelta(hours=6)


def is_hot_journal(error: ReadOnlyError) -> bool:
    """Whether a file could not be read because a killed program left it half written."""
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_READONLY_ROLLBACK


def left_half_written(path: Path) -> Finding:
    """Return the finding for such a file."""
    remedy = (
        "nexuslims-store backup  (puts it back, and makes a backup), then nexuslims-store doctor"
    )
    if mounted_read_only(path.parent):
        remedy = "copy both to a folder that may be written, then nexuslims-store doctor there"
    elif repairs := who_may_repair(path):
        remedy = repairs
    return Finding(
        "half-written",
        "error",
        f"{path} was left in the middle of a write by a program that was killed: its -journal "
        "file holds what must be put back, which only a program that may write can do. Nothing "
        "else was examined",
        remedy,
    )


def damaged(path: Path, what: object) -> Finding:
    """Return the finding for a file that SQLite says is damaged."""
    if _INDEX_ONLY.search(str(what)):
        # Every row is in its table; what finds it is made anew from the tables.
        remedy = in_shell(path, "REINDEX")
    else:
        remedy = (
            "nexuslims-store restore latest  (keeps this file as well; what was recorded since "
            "the backup may be rescued from it by `sqlite3 FILE .recover`)"
        )
    return Finding("damaged", "error", f"{path} is damaged: {what}", remedy)


_INDEX_ONLY = re.compile(
    r"^(row \d+ missing from index|wrong # of entries in index|non-unique entry in index)"
)


def examine_pages(database: SQLiteDatabase) -> Iterator[Finding]:
    """Ask SQLite to look at every page."""
    # The rows that break a CHECK are found one by one, with their ids, elsewhere.
    database.rows("PRAGMA ignore_check_constraints = ON")
    for (complaint,) in database.rows(f"PRAGMA integrity_check({_AT_MOST})"):
        if complaint != "ok":
            yield damaged(database.path, complaint)
    with database.translated():
        missing = missing_end(database.connection, database.path)
    if missing:
        yield damaged(database.path, missing)


def examine_neighbours(database: SQLiteDatabase, now: datetime) -> Iterator[Finding]:
    """Look at the files that SQLite and this package keep beside the database."""
    # SQLite follows a symbolic link, and keeps its files where the link leads.
    path = Path(os.path.realpath(database.path))
    journal_mode = str(database.rows("PRAGMA journal_mode")[0][0])
    for suffix in ("-wal", "-shm"):
        sidecar = Path(f"{path}{suffix}")
        if journal_mode != "wal" and sidecar.exists():
            yield Finding(
                "stray-file",
                "warning",
                f"{sidecar} lies beside a database that is not in WAL mode: another database "
                "of this name left it, and SQLite may take it for this one's",
                f"move {sidecar.name} away while no program has the database open",
            )
    wal, main = (_size_and_time(Path(f"{path}{suffix}")) for suffix in ("-wal", ""))
    if journal_mode == "wal" and wal is not None and main is not None:
        size, _ = wal
        if size > max(_LARGE_WAL, main[0]):
            yield Finding(
                "large-wal",
                "note",
                f"{path}-wal has grown to {size // _MEGABYTE:,} MB: a program keeps reading, so "
                "that SQLite never gets to put the changes into the database",
                "close the programs that have the database open, then nexuslims-store backup",
            )
    for partial in sorted(database.path.parent.glob(PARTIAL_FILES)):
        found = _size_and_time(partial)
        if found is not None and now - found[1] > _BACKUP_TAKES:
            yield Finding(
                "partial-backup",
                "note",
                f"{partial} was left by a backup that was killed at {shown(found[1])}",
                f"delete {partial.name}; it is no whole copy",
            )


def _size_and_time(file: Path) -> tuple[int, datetime] | None:
    """Return the size of a file and when it was last written; None if it is not there any more."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_size, datetime.fromtimestamp(found.st_mtime, UTC)
