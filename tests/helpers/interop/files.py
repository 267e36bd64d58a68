"""Database files to try both programs on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

# A file from before NexusLIMS 2.2, written after the description of those files: the columns of
# `instruments` in their old order, TEXT types, named UNIQUE constraints, an AUTOINCREMENT key,
# a CHECK of five statuses, cascades, the index on the instrument, and comments in the SQL.
BEFORE_2_2 = """
CREATE TABLE "session_log" (
  "id_session_log" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, -- number of the row
  "session_identifier" VARCHAR(36) NOT NULL, -- a UUID (the "session"), same in START and END
  "instrument" VARCHAR(100) NOT NULL, -- one of those in the 'instruments' table
  "timestamp" DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now', 'localtime')),
  "event_type" TEXT NOT NULL
    CHECK("event_type" IN('START', 'END', 'RECORD_GENERATION')), -- what happened
  "record_status" TEXT NOT NULL
    CHECK("record_status"
      IN('COMPLETED', 'WAITING_FOR_END', 'TO_BE_BUILT', 'ERROR', 'NO_FILES_FOUND'))
    DEFAULT 'WAITING_FOR_END', -- 'WAITING_FOR_END' (started, not ended), and so on
  "user" VARCHAR(50), -- short name, if known
  CONSTRAINT "id_session_log_UNIQUE"
    UNIQUE("id_session_log"),
  CONSTRAINT "fk_instrument"
    FOREIGN KEY("instrument")
    REFERENCES "instruments"("instrument_pid")
    ON DELETE CASCADE
    ON UPDATE CASCADE
);
CREATE INDEX "session_log.fk_instrument_idx" ON "session_log" ("instrument");
CREATE TABLE "instruments" (
  "instrument_pid" VARCHAR(100) NOT NULL,
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
  "harvester" TEXT, -- "nemo" or "sharepoint"
  "timezone" TEXT NOT NULL DEFAULT 'America/New_York',
  CONSTRAINT "instrument_pid_UNIQUE" UNIQUE("instrument_pid"),
  PRIMARY KEY("instrument_pid"),
  CONSTRAINT "computer_ip_UNIQUE" UNIQUE("computer_ip"),
  CONSTRAINT "api_url_UNIQUE" UNIQUE("api_url"),
  CONSTRAINT "computer_name_UNIQUE" UNIQUE("computer_name")
);
"""

LONG_IDENTIFIER = "https://nemo.example.com/api/usage_events/?id=101"

# Rows for every revision: a value is used where the table has its column. `schema_name` and
# `display_name` are one and the same.
ROWS: dict[str, list[dict[str, object]]] = {
    "instruments": [
        {
            "instrument_pid": f"FEI-Titan-TEM-{number}",
            "api_url": f"https://nemo.example.com/api/tools/?id={number}",
            "calendar_name": f"Titan «{number}»",
            "calendar_url": "https://nemo.example.com/calendar/?a=1&b=%20",
            "location": "Bldg 1/Room A's corner",
            "schema_name": "Titan Жž; DROP TABLE instruments; --",
            "display_name": "Titan Жž; DROP TABLE instruments; --",
            "property_tag": "0012345",
            "filestore_path": f"./Titan/{number}",
            "harvester": harvester,
            "timezone": timezone,
            "computer_name": f"titan{number}",
            "computer_ip": f"192.0.2.{number}",
            "computer_mount": "M:/",
        }
        # Not in the order of their keys, so that a table made anew by key would show.
        for number, harvester, timezone in (
            (3, "nemo", "America/New_York"),
            (1, "sharepoint", "Europe/Berlin"),
            (2, "nemo", "Pacific/Chatham"),
        )
    ],
    "session_log": [
        {
            "id_session_log": number,
            "session_identifier": identifier,
            "instrument": "FEI-Titan-TEM-1",
            "timestamp": timestamp,
            "event_type": event,
            "record_status": status,
            "user": user,
        }
        # Gaps in the numbers, and every shape of time stamp that is known to be around.
        for number, identifier, timestamp, event, status, user in (
            (7, "a-b-c", "2018-11-13T13:01:30.123", "START", "COMPLETED", "ada"),
            (8, "a-b-c", "2018-11-13 14:01:30.123", "END", "COMPLETED", "ada"),
            (9, "a-b-c", "2018-11-14T00:00:00", "RECORD_GENERATION", "COMPLETED", "nexuslims"),
            (20, LONG_IDENTIFIER, "2025-03-09T01:59:59.999999-05:00", "START", "TO_BE_BUILT", None),
            (21, LONG_IDENTIFIER, "2025-03-09T03:00:00-04:00", "END", "TO_BE_BUILT", None),
            (30, "ün¬'\"", "2025-11-02T06:30:00Z", "START", "ERROR", "o'brien"),
            (31, "ün¬'\"", "2025-11-02T01:30:00-05:00", "END", "ERROR", "o'brien"),
            (40, "", "no time at all", "START", "WAITING_FOR_END", ""),
            (50, "d", "2025-01-01T00:00:00+13:45", "START", "NO_FILES_FOUND", "x" * 80),
            (51, "e", "2025-01-02T00:00:00+13:45", "START", "BUILT_NOT_EXPORTED", None),
            (52, "f", "2025-01-03T00:00:00+13:45", "START", "NO_CONSENT", None),
            (53, "g", "2025-01-04T00:00:00+13:45", "START", "NO_RESERVATION", None),
        )
    ],
    "upload_log": [
        {
            "id": 5,
            "session_identifier": LONG_IDENTIFIER,
            "destination_name": "cdcs",
            "success": 1,
            "timestamp": "2025-03-10T00:00:00.000001+00:00",
            "record_id": "5f1b",
            "record_url": "https://cdcs.example.com/data?id=5f1b#top",
            "error_message": None,
            "metadata_json": '{"a": [1, 2.50, null], "ü": "\\u00fc"}',
        },
        {
            "id": 6,
            "session_identifier": "no such session",
            "destination_name": "labarchives",
            "success": 0,
            "timestamp": "2025-03-10T00:00:00+00:00",
            "record_id": None,
            "record_url": None,
            "error_message": "HTTP 500\n<html>",
            "metadata_json": None,
        },
    ],
    "external_user_identifiers": [
        {
            "id": number,
            "nexuslims_username": "ada",
            "external_system": system,
            "external_id": f"{system}-1",
            "email": email,
            "created_at": "2026-02-08T14:00:00.123456+00:00",
            "last_verified_at": None,
            "notes": "ünï",
        }
        for number, system, email in (
            (11, "nemo", "ada@example.com"),
            (12, "labarchives_eln", None),
            (14, "labarchives_scheduler", ""),
            (13, "cdcs", None),
        )
    ],
}


def make_before_2_2(path: Path, *, null_harvester: bool = False) -> None:
    """Make a file as NexusLIMS 1.x left it, with rows."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(BEFORE_2_2)
    fill(path)
    if null_harvester:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE instruments SET harvester = NULL WHERE harvester = 'nemo'")


def fill(path: Path, *only: str) -> None:
    """Put the rows into each table that is there and empty, or into those named only."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in only or ROWS:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            if columns and not connection.execute(f"SELECT 1 FROM {table}").fetchone():
                names = ", ".join(f'"{column}"' for column in columns)
                values = ", ".join(f":{column}" for column in columns)
                # The CHECK of a file from before 2.2 does not know the last three statuses.
                connection.executemany(
                    f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({values})", ROWS[table]
                )
