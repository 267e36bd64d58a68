"""All rows of a database as each program's own interface reads them, to compare the two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nexuslims_store import Store

from .nexuslims import NexusLIMS

_BY_NEXUSLIMS = """
import json
from sqlmodel import Session as DBSession, select
from nexusLIMS.db.engine import get_engine
from nexusLIMS.db.models import ExternalUserIdentifier, Instrument, SessionLog, UploadLog

def text(time):
    return time and time.isoformat()

with DBSession(get_engine()) as session:
    found = {
        "instruments": [row.to_dict() for row in session.exec(select(Instrument))],
        "session_logs": [
            [row.id_session_log, row.session_identifier, row.instrument, text(row.timestamp),
             row.event_type.value, row.record_status.value, row.user]
            for row in session.exec(select(SessionLog))
        ],
        "upload_logs": [
            [row.id, row.session_identifier, row.destination_name, row.success,
             text(row.timestamp), row.record_id, row.record_url, row.error_message,
             json.loads(row.metadata_json) if row.metadata_json else None]
            for row in session.exec(select(UploadLog))
        ],
        "external_ids": [
            [row.id, row.nexuslims_username, row.external_system, row.external_id, row.email,
             text(row.created_at), text(row.last_verified_at), row.notes]
            for row in session.exec(select(ExternalUserIdentifier))
        ],
    }
print(json.dumps(found))
"""


def by_nexuslims(nexuslims: NexusLIMS, path: Path) -> dict[str, list[Any]]:
    """Return all rows as NexusLIMS's models."""
    found = json.loads(nexuslims.run(_BY_NEXUSLIMS, path).stdout)
    return {name: _sorted(rows) for name, rows in found.items()}


def by_us(path: Path) -> dict[str, list[Any]]:
    """Return all rows as this package's models."""
    with Store(path, read_only=True) as store:
        logs = list(store.session_logs.iter_all())
        uploads = [
            upload
            for identifier in sorted(
                row[0]
                for row in store.connection.execute(
                    "SELECT DISTINCT session_identifier FROM upload_log"
                )
            )
            for upload in store.upload_logs.list_for_session(identifier)
        ]
        found: dict[str, list[Any]] = {
            "instruments": [instrument.to_dict() for instrument in store.instruments.list()],
            "session_logs": [
                [log.id_session_log, log.session_identifier, log.instrument,
                 log.timestamp.isoformat(), log.event_type.value, log.record_status.value, log.user]
                for log in logs
            ],
            "upload_logs": [
                [log.id, log.session_identifier, log.destination_name, log.success,
                 log.timestamp.isoformat(), log.record_id, log.record_url, log.error_message,
                 log.metadata]
                for log in uploads
            ],
            "external_ids": [
                [row.id, row.nexuslims_username, row.external_system.value, row.external_id,
                 row.email, row.created_at.isoformat(),
                 row.last_verified_at and row.last_verified_at.isoformat(), row.notes]
                for row in store.external_ids.list()
            ],
        }  # fmt: skip
    return {name: _sorted(rows) for name, rows in found.items()}


def _sorted(rows: list[Any]) -> list[Any]:
    """Sort by the first column, the key: how the two order their lists is not the question."""
    return sorted(rows, key=lambda row: row["instrument_pid"] if isinstance(row, dict) else row[0])
