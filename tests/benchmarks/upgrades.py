"""Upgrading a database of the first revision, with the backup and the checks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from . import data
from .measure import Row, compare_processes

# The heart of the upgrade: session_log made anew, in one transaction.
REBUILD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
columns = (
    'id_session_log, session_identifier, instrument, timestamp, event_type, record_status, "user"'
)
connection.execute("BEGIN EXCLUSIVE")
for sql in (
    '''CREATE TABLE session_log_new (
        id_session_log INTEGER NOT NULL PRIMARY KEY, session_identifier VARCHAR(36) NOT NULL,
        instrument VARCHAR(100) NOT NULL, timestamp VARCHAR NOT NULL,
        event_type VARCHAR(17) NOT NULL
            CHECK (event_type IN ('START', 'END', 'RECORD_GENERATION')),
        record_status VARCHAR(18) NOT NULL
            CHECK (record_status IN ('COMPLETED', 'WAITING_FOR_END', 'TO_BE_BUILT',
                'BUILT_NOT_EXPORTED', 'ERROR', 'NO_FILES_FOUND', 'NO_CONSENT', 'NO_RESERVATION')),
        "user" VARCHAR(50), FOREIGN KEY (instrument) REFERENCES instruments (instrument_pid))''',
    f"INSERT INTO session_log_new ({columns}) SELECT {columns} FROM session_log",
    "DROP TABLE session_log",
    "ALTER TABLE session_log_new RENAME TO session_log",
    "CREATE INDEX ix_session_log_session_identifier ON session_log (session_identifier)",
    '''CREATE INDEX nxs_session_log_to_build
    ON session_log (session_identifier, instrument, event_type)
    WHERE record_status = 'TO_BE_BUILT\\'''',
):
    connection.execute(sql)
connection.execute("COMMIT")
print(connection.execute("SELECT count(*) FROM session_log").fetchone()[0])
"""

UPGRADE = """
import sqlite3, sys
from nexuslims_store import migrations
migrations.upgrade(sys.argv[1], backup={backup})
assert migrations.pending(sys.argv[1]) == []
print(sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM session_log").fetchone()[0])
"""


def measure(folder: Path, rows: int, rounds: int) -> Iterator[Row]:
    original = data.make(folder / f"{rows}-v1_4_3.db", rows, 100, revision="v1_4_3")
    copy = folder / "upgraded.db"

    def before() -> None:
        for left in folder.glob("upgraded*"):
            left.unlink()
        shutil.copyfile(original, copy)

    for backup, target in ((False, 1.2), (True, 1.5)):
        yield compare_processes(
            f"upgrade of {rows} rows, {'with backup' if backup else 'without backup, with checks'}",
            REBUILD,
            UPGRADE.format(backup=backup),
            copy,
            rounds=rounds,
            target=target,
            most="40 MB",
            before=before,
        )
    for left in folder.glob("upgraded*"):
        left.unlink()
