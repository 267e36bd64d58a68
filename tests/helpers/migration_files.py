"""Files for the tests of the migrations, and what must be in them, from NexusLIMS's own facts.

Nothing here is read off this package's SQL: it is what NexusLIMS 2.8.0 makes.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nexuslims_store.migrations import history

REVISIONS = [step.revision for step in history()]
HEAD = REVISIONS[-1]
# Those of which the facts are written down here.
MIRRORED = ["v1_4_3", "v2_4_0a", "v2_4_0b", "v2_5_0a", "v2_5_0b"]

# -- the tables of each revision -------------------------------------------------------

_ALEMBIC_VERSION = {
    "columns": ["version_num VARCHAR(32) N"],
    "key": ["version_num"],
    "unique": [],
    "constraints": {"alembic_version_pkc"},
    "foreign_keys": [],
}
_COMPUTER_INSTRUMENTS = {
    "columns": [
        "instrument_pid VARCHAR(100) N", "api_url VARCHAR N", "calendar_name VARCHAR N",
        "calendar_url VARCHAR N", "location VARCHAR(100) N", "schema_name VARCHAR N",
        "property_tag VARCHAR(20) N", "filestore_path VARCHAR N", "harvester VARCHAR N",
        "timezone VARCHAR N", "computer_name VARCHAR", "computer_ip VARCHAR(15)",
        "computer_mount VARCHAR",
    ],
    "key": ["instrument_pid"],
    "unique": [["api_url"], ["computer_ip"], ["computer_name"]],
    "constraints": set(),
    "foreign_keys": [],
}  # fmt: skip
_INSTRUMENTS = {
    "columns": [
        "instrument_pid VARCHAR(100) N", "api_url VARCHAR N", "calendar_url VARCHAR N",
        "location VARCHAR(100) N", "display_name VARCHAR N", "property_tag VARCHAR(20) N",
        "filestore_path VARCHAR N", "harvester VARCHAR N", "timezone VARCHAR N",
    ],
    "key": ["instrument_pid"],
    "unique": [["api_url"]],
    "constraints": set(),
    "foreign_keys": [],
}  # fmt: skip
_SESSION_LOG = {
    "columns": [
        "id_session_log INTEGER N", "session_identifier VARCHAR(36) N",
        "instrument VARCHAR(100) N", "timestamp VARCHAR N", "event_type VARCHAR N",
        "record_status VARCHAR N", "user VARCHAR(50)",
    ],
    "key": ["id_session_log"],
    "unique": [],
    "constraints": set(),
    "foreign_keys": ["instrument -> instruments.instrument_pid NO ACTION NO ACTION"],
}  # fmt: skip
_CHECKED_SESSION_LOG = _SESSION_LOG | {
    "columns": [
        "id_session_log INTEGER N", "session_identifier VARCHAR(36) N",
        "instrument VARCHAR(100) N", "timestamp VARCHAR N", "event_type VARCHAR(17) N",
        "record_status VARCHAR(18) N", "user VARCHAR(50)",
    ],
    "constraints": {
        "check_event_type CHECK (event_type IN ('START', 'END', 'RECORD_GENERATION'))",
        "check_record_status CHECK (record_status IN ('COMPLETED', 'WAITING_FOR_END', "
        "'TO_BE_BUILT', 'BUILT_NOT_EXPORTED', 'ERROR', 'NO_FILES_FOUND', 'NO_CONSENT', "
        "'NO_RESERVATION'))",
    },
}  # fmt: skip
_UPLOAD_LOG = {
    "columns": [
        "id INTEGER N", "session_identifier VARCHAR(36) N", "destination_name VARCHAR(100) N",
        "success BOOLEAN N", "timestamp VARCHAR N", "record_id VARCHAR(255)",
        "record_url VARCHAR(500)", "error_message VARCHAR", "metadata_json VARCHAR",
    ],
    "key": ["id"],
    "unique": [],
    "constraints": set(),
    "foreign_keys": [],
}  # fmt: skip
_EXTERNAL_USER_IDENTIFIERS = {
    "columns": [
        "id INTEGER N", "nexuslims_username VARCHAR N", "external_system VARCHAR N",
        "external_id VARCHAR N", "email VARCHAR", "created_at VARCHAR N",
        "last_verified_at VARCHAR", "notes VARCHAR",
    ],
    "key": ["id"],
    "unique": [["external_system", "external_id"], ["nexuslims_username", "external_system"]],
    "constraints": {
        "valid_external_system CHECK (external_system IN ('nemo', 'labarchives_eln', "
        "'labarchives_scheduler', 'cdcs'))",
        "nexuslims_username_system_UNIQUE", "system_external_id_UNIQUE",
    },
    "foreign_keys": [],
}  # fmt: skip

_SESSION_INDEX = {"ix_session_log_session_identifier": "session_log session_identifier"}
_UPLOAD_INDEXES = {
    "ix_upload_log_session_identifier": "upload_log session_identifier",
    "ix_upload_log_destination_name": "upload_log destination_name",
}
_USER_INDEXES = {
    "idx_external_lookup": "external_user_identifiers external_system external_id",
    "idx_nexuslims_username": "external_user_identifiers nexuslims_username",
}


def expected(revision: str | None) -> dict[str, Any]:
    """Return what `facts` must find in a database of a revision, None for base."""
    if revision is not None and revision not in MIRRORED:
        return _as_the_files_say(revision)
    place = MIRRORED.index(revision) + 1 if revision else 0
    tables: dict[str, Any] = {"alembic_version": _ALEMBIC_VERSION}
    indexes: dict[str, str] = {}
    if place >= 1:
        tables["instruments"] = _INSTRUMENTS if place >= 5 else _COMPUTER_INSTRUMENTS
        tables["session_log"] = _CHECKED_SESSION_LOG if place >= 3 else _SESSION_LOG
        indexes |= _SESSION_INDEX
    if place >= 2:
        tables["upload_log"] = _UPLOAD_LOG
        indexes |= _UPLOAD_INDEXES
    if place >= 4:
        tables["external_user_identifiers"] = _EXTERNAL_USER_IDENTIFIERS
        indexes |= _USER_INDEXES
    return {
        "version": [revision] if revision else [],
        "tables": tables,
        "indexes": indexes,
    }


@cache
def _as_the_files_say(revision: str) -> dict[str, Any]:
    """Take the migrations at their word, of a revision that NexusLIMS has not released yet."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "nexuslims.db"
        for step in history()[: REVISIONS.index(revision) + 1]:
            execute(path, step.path.read_text(encoding="utf-8"))
        return facts(path)


def facts(path: Path) -> dict[str, Any]:
    """Return version rows, tables and indexes of a file, without those of yoyo and our own."""
    with closing(sqlite3.connect(path)) as connection:
        names = rows(
            connection,
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' "
            "AND name NOT LIKE '%yoyo%' AND name NOT LIKE 'sqlite%'",
        )
        return {
            "version": [row[0] for row in rows(connection, "SELECT * FROM alembic_version")],
            "tables": {name: _table(connection, name, sql) for name, sql in names},
            "indexes": {
                name: " ".join([table, *_index_columns(connection, name)])
                for name, table in rows(
                    connection,
                    "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' "
                    "AND sql IS NOT NULL AND name NOT LIKE 'nxs!_%' ESCAPE '!'",
                )
            },
        }


def _table(connection: sqlite3.Connection, name: str, sql: str) -> dict[str, Any]:
    columns = rows(connection, f"PRAGMA table_xinfo({name})")
    assert all(default is None and not hidden for *_, default, _, hidden in columns)
    unique = [
        _index_columns(connection, index)
        for _, index, _, origin, partial in rows(connection, f"PRAGMA index_list({name})")
        if origin == "u" and not partial
    ]
    flat = re.sub(r"\s+", " ", sql).replace('"', "")
    return {
        "columns": [
            f"{column} {kind}{' N' if required else ''}"
            for _, column, kind, required, *_ in columns
        ],
        "key": [row[1] for row in sorted(columns, key=lambda row: row[5]) if row[5]],
        "unique": sorted(unique),
        "constraints": {
            found[1] + (f" {found[2]}" if found[2] else "")
            for found in re.finditer(r"CONSTRAINT (\w+)(?: (CHECK \(.*?\)\)))?", flat)
        },
        "foreign_keys": [
            f"{child} -> {parent}.{key} {update} {delete}"
            for _, _, parent, child, key, update, delete, _ in rows(
                connection, f"PRAGMA foreign_key_list({name})"
            )
        ],
    }


def _index_columns(connection: sqlite3.Connection, index: str) -> list[str]:
    return [row[2] for row in rows(connection, f'PRAGMA index_info("{index}")')]


def rows(connection: sqlite3.Connection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Run one query on a file, on a connection of its own."""
    with closing(sqlite3.connect(path)) as connection:
        return rows(connection, sql)


def execute(path: Path, script: str) -> None:
    """Run a script on a file, on a connection of its own."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def contents(path: Path) -> list[str]:
    """Return all that is in a file as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def backups(path: Path) -> list[Path]:
    """Return the backups beside a file."""
    return sorted(path.parent.glob(f"{path.stem}_backup_*"))


# -- files that turn up ----------------------------------------------------------------


def demo(path: Path) -> Path:
    """Make a file as NexusLIMS's demo does: its models' tables, and no version row."""
    execute(
        path,
        """
        CREATE TABLE instruments (instrument_pid VARCHAR(100) NOT NULL, api_url VARCHAR NOT NULL,
            calendar_url VARCHAR NOT NULL, location VARCHAR(100) NOT NULL,
            display_name VARCHAR NOT NULL, property_tag VARCHAR(20) NOT NULL,
            filestore_path VARCHAR NOT NULL, harvester VARCHAR NOT NULL,
            timezone VARCHAR NOT NULL, PRIMARY KEY (instrument_pid), UNIQUE (api_url));
        CREATE TABLE session_log (id_session_log INTEGER NOT NULL,
            session_identifier VARCHAR(36) NOT NULL, instrument VARCHAR(100) NOT NULL,
            timestamp VARCHAR, event_type VARCHAR(17) NOT NULL,
            record_status VARCHAR(18) NOT NULL, user VARCHAR(50), PRIMARY KEY (id_session_log),
            CONSTRAINT check_event_type CHECK (event_type IN ('START', 'END',
            'RECORD_GENERATION')), CONSTRAINT check_record_status CHECK (record_status IN
            ('COMPLETED', 'WAITING_FOR_END', 'TO_BE_BUILT', 'BUILT_NOT_EXPORTED', 'ERROR',
            'NO_FILES_FOUND', 'NO_CONSENT', 'NO_RESERVATION')),
            FOREIGN KEY(instrument) REFERENCES instruments (instrument_pid));
        CREATE TABLE upload_log (id INTEGER NOT NULL, session_identifier VARCHAR(36) NOT NULL,
            destination_name VARCHAR(100) NOT NULL, success BOOLEAN NOT NULL, timestamp VARCHAR,
            record_id VARCHAR(255), record_url VARCHAR(500), error_message VARCHAR,
            metadata_json VARCHAR, PRIMARY KEY (id));
        CREATE TABLE external_user_identifiers (id INTEGER NOT NULL,
            nexuslims_username VARCHAR NOT NULL, external_system VARCHAR NOT NULL,
            external_id VARCHAR NOT NULL, email VARCHAR, created_at VARCHAR,
            last_verified_at VARCHAR, notes VARCHAR, PRIMARY KEY (id),
            CONSTRAINT valid_external_system CHECK (external_system IN ('nemo',
            'labarchives_eln', 'labarchives_scheduler', 'cdcs')),
            CONSTRAINT "nexuslims_username_system_UNIQUE" UNIQUE (nexuslims_username,
            external_system), CONSTRAINT "system_external_id_UNIQUE" UNIQUE (external_system,
            external_id));
        CREATE INDEX ix_session_log_session_identifier ON session_log (session_identifier);
        CREATE INDEX ix_upload_log_session_identifier ON upload_log (session_identifier);
        CREATE INDEX ix_upload_log_destination_name ON upload_log (destination_name);
        CREATE INDEX ix_external_user_identifiers_nexuslims_username
            ON external_user_identifiers (nexuslims_username);
        INSERT INTO instruments (instrument_pid, api_url, calendar_url, location, display_name,
            property_tag, filestore_path, harvester, timezone)
            VALUES ('demo-sem', 'https://example.com/?id=1', 'c', 'l', 'd', 'p', './demo', 'nemo',
            'America/Denver');
        INSERT INTO session_log (id_session_log, session_identifier, instrument, timestamp,
            event_type, record_status, user)
            VALUES (1, 's', 'demo-sem', '2025-01-01T00:00:00-07:00', 'START', 'TO_BE_BUILT', 'u');
        """,
    )
    return path


def downgraded_by_alembic(path: Path) -> Path:
    """Make a file as NexusLIMS leaves it after `db downgrade v2_4_0a`."""
    execute(
        path,
        """
        CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,
            CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
        INSERT INTO alembic_version (version_num) VALUES ('v2_4_0a');
        CREATE TABLE "instruments" (instrument_pid VARCHAR(100) NOT NULL,
            api_url VARCHAR NOT NULL, calendar_url VARCHAR NOT NULL,
            location VARCHAR(100) NOT NULL, schema_name VARCHAR NOT NULL,
            property_tag VARCHAR(20) NOT NULL, filestore_path VARCHAR NOT NULL,
            harvester VARCHAR NOT NULL, timezone VARCHAR NOT NULL, computer_name VARCHAR,
            computer_ip VARCHAR(15), computer_mount VARCHAR, calendar_name VARCHAR,
            PRIMARY KEY (instrument_pid), UNIQUE (api_url));
        CREATE TABLE "session_log" (id_session_log INTEGER NOT NULL,
            session_identifier VARCHAR(36) NOT NULL, instrument VARCHAR(100) NOT NULL,
            timestamp VARCHAR NOT NULL, event_type VARCHAR(17) NOT NULL,
            record_status VARCHAR(18) NOT NULL, user VARCHAR(50), PRIMARY KEY (id_session_log),
            FOREIGN KEY(instrument) REFERENCES instruments (instrument_pid));
        CREATE INDEX ix_session_log_session_identifier ON session_log (session_identifier);
        CREATE TABLE upload_log (id INTEGER NOT NULL, session_identifier VARCHAR(36) NOT NULL,
            destination_name VARCHAR(100) NOT NULL, success BOOLEAN NOT NULL,
            timestamp VARCHAR NOT NULL, record_id VARCHAR(255), record_url VARCHAR(500),
            error_message VARCHAR, metadata_json VARCHAR, PRIMARY KEY (id));
        CREATE INDEX ix_upload_log_session_identifier ON upload_log (session_identifier);
        CREATE INDEX ix_upload_log_destination_name ON upload_log (destination_name);
        INSERT INTO instruments (instrument_pid, api_url, calendar_url, location, schema_name,
            property_tag, filestore_path, harvester, timezone)
            VALUES ('sem', 'https://example.com/?id=1', 'c', 'l', 'd', 'p', './sem', 'nemo',
            'America/Denver');
        INSERT INTO session_log (id_session_log, session_identifier, instrument, timestamp,
            event_type, record_status, user)
            VALUES (5, 's', 'sem', '2025-01-01T00:00:00-07:00', 'START', 'NO_CONSENT', 'u');
        INSERT INTO upload_log (id, session_identifier, destination_name, success, timestamp)
            VALUES (2, 's', 'cdcs', 1, '2025-01-02T00:00:00+00:00');
        """,
    )
    return path


def base(path: Path) -> Path:
    """Make a file as NexusLIMS leaves it after a downgrade to base."""
    execute(
        path,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));",
    )
    return path
