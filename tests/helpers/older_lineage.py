"""A database as NexusLIMS from before 2.2 made it, with rows, for the tests of this package."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

TABLES = """
CREATE TABLE "instruments" (
    "instrument_pid" VARCHAR(100) NOT NULL PRIMARY KEY,
    "api_url" TEXT NOT NULL,
    "calendar_name" TEXT NOT NULL,
    "calendar_url" TEXT NOT NULL,
    "location" VARCHAR(100) NOT NULL,
    "schema_name" TEXT NOT NULL,
    "property_tag" VARCHAR(20) NOT NULL,
    "filestore_path" TEXT NOT NULL,
    "computer_name" TEXT,
    "computer_ip" VARCHAR(15),
    "computer_mount" TEXT,
    "harvester" TEXT,
    "timezone" TEXT DEFAULT 'America/New_York' NOT NULL,
    CONSTRAINT "instrument_pid_UNIQUE" UNIQUE ("instrument_pid"),
    CONSTRAINT "computer_ip_UNIQUE" UNIQUE ("computer_ip"),
    CONSTRAINT "api_url_UNIQUE" UNIQUE ("api_url"),
    CONSTRAINT "computer_name_UNIQUE" UNIQUE ("computer_name")
);
CREATE TABLE "session_log" (
    "id_session_log" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "session_identifier" VARCHAR(36) NOT NULL,
    "instrument" VARCHAR(100) NOT NULL,
    "timestamp" DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now', 'localtime')),
    "event_type" TEXT NOT NULL CHECK ("event_type" IN ('START', 'END', 'RECORD_GENERATION')),
    "record_status" TEXT NOT NULL DEFAULT 'WAITING_FOR_END' CHECK (
        "record_status" IN
        ('COMPLETED', 'WAITING_FOR_END', 'TO_BE_BUILT', 'ERROR', 'NO_FILES_FOUND')
    ),
    "user" VARCHAR(50) DEFAULT NULL,
    CONSTRAINT "id_session_log_UNIQUE" UNIQUE ("id_session_log"),
    CONSTRAINT "fk_instrument" FOREIGN KEY ("instrument") REFERENCES "instruments"
        ("instrument_pid") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX "session_log.fk_instrument_idx" ON "session_log" ("instrument");
"""

# instrument_pid, api_url, calendar_name, calendar_url, location, schema_name, property_tag,
# filestore_path, computer_name, computer_ip, computer_mount, harvester, timezone
INSTRUMENTS = [
    (
        "FEI-Titan-TEM-635816", "https://nemo.example.com/api/tools/?id=1", "FEITitanTEM",
        "https://nemo.example.com/calendar/titan", "223 / Room 114", "FEI Titan TEM", "635816",
        "./Titan", "TITAN-PC", "192.0.2.10", "M:/", "nemo", "America/New_York",
    ),
    (
        "JEOL-JEM3010-TEM-565989", "https://nemo.example.com/api/tools/?id=10", "JEOLJEM3010",
        "https://nemo.example.com/calendar/jeol", "223 / Raum Ü", "JEOL JEM-3010", "565989",
        "./JEOL3010", None, None, None, None, "America/Denver",
    ),
    (
        "Zeiss-Leo-SEM", "https://sharepoint.example.com/leo", "ZeissLEO",
        "https://sharepoint.example.com/leo/calendar", "217", "LEO 1525 \"SEM\"", "x';--",
        "./Leo", "LEO-PC", "192.0.2.11", None, None, "Europe/Berlin",
    ),
]  # fmt: skip

# id_session_log, session_identifier, instrument, timestamp, event_type, record_status, user
SESSION_LOG = [
    (3, "b2d3", "FEI-Titan-TEM-635816", "2018-11-13T13:01:30.123", "START", "COMPLETED", "miclims"),
    (4, "b2d3", "FEI-Titan-TEM-635816", "2018-11-13T16:01:30.5", "END", "COMPLETED", "miclims"),
    (7, "a1", "JEOL-JEM3010-TEM-565989", "2019-03-10 02:30:00", "START", "TO_BE_BUILT", None),
    (8, "a1", "JEOL-JEM3010-TEM-565989", "2019-03-10 04:00:00.000001", "END", "TO_BE_BUILT", None),
    (9, "https://nemo.example.com/api/usage_events/?id=101", "Zeiss-Leo-SEM",
     "2021-08-02T10:00:00-06:00", "START", "ERROR", "a 'user' \u00fc; --"),
    (12, "gone", "an instrument that is not there", "not a time", "START", "NO_FILES_FOUND", ""),
    (4_000_000_000, "last", "Zeiss-Leo-SEM", "2021-12-31T23:59:59", "RECORD_GENERATION",
     "WAITING_FOR_END", "nexuslims"),
]  # fmt: skip

INSTRUMENT_COLUMNS = (
    "(instrument_pid, api_url, calendar_name, calendar_url, location, schema_name, property_tag, "
    "filestore_path, computer_name, computer_ip, computer_mount, harvester, timezone)"
)
EVENT_COLUMNS = (
    '(id_session_log, session_identifier, instrument, timestamp, event_type, record_status, "user")'
)

NULL_HARVESTERS = 2


def create(path: Path, *, rows: bool = True) -> Path:
    """Make such a database at `path`, which must be free, and return the path.

    One of its session logs names an instrument that is not there: NexusLIMS never enforced the
    foreign key.
    """
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(TABLES)
        if rows:
            connection.executemany(
                f"INSERT INTO instruments {INSTRUMENT_COLUMNS} VALUES ({', '.join('?' * 13)})",
                INSTRUMENTS,
            )
            connection.executemany(
                f"INSERT INTO session_log {EVENT_COLUMNS} VALUES ({', '.join('?' * 7)})",
                SESSION_LOG,
            )
    return path
