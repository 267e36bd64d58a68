"""NexusLIMS's databases at each revision, filled by NexusLIMS, upgraded here, read by NexusLIMS."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from helpers.interop.facts import HEAD, REVISIONS, Expected, describe, rows
from helpers.interop.files import ROWS
from helpers.interop.nexuslims import NexusLIMS

from nexuslims_store import Store, migrations

pytestmark = pytest.mark.interop

# NexusLIMS's models fit its head; the ones of a session fit every revision. Instruments go in by
# SQL where the table still has its former columns.
FILL = """
import datetime, json, os, sqlite3, sys
import pytz
from sqlmodel import Session as DBSession
from nexusLIMS.db.engine import get_engine
from nexusLIMS.db.enums import EventType, ExternalSystem, RecordStatus
from nexusLIMS.db.models import Instrument, SessionLog, UploadLog, store_external_id

revision, instruments = sys.argv[1], json.loads(sys.argv[2])
with sqlite3.connect(os.environ["NX_DB_PATH"]) as connection:
    columns = [row[1] for row in connection.execute("PRAGMA table_info(instruments)")]
    if "calendar_name" in columns:
        connection.executemany(
            f"INSERT INTO instruments ({', '.join(columns)}) "
            f"VALUES ({', '.join(':' + column for column in columns)})",
            instruments,
        )
        instruments = []

zone = pytz.timezone("Europe/Berlin")
with DBSession(get_engine()) as session:
    for values in instruments:
        values["timezone_str"] = values.pop("timezone")
        session.add(Instrument(**{n: v for n, v in values.items() if n in Instrument.model_fields}))
    session.commit()
    pid = "FEI-Titan-TEM-1"
    for number, status in enumerate(RecordStatus):
        for hour, event in enumerate(EventType):
            session.add(
                SessionLog(
                    session_identifier=f"https://nemo.example.com/api/usage_events/?id={number}",
                    instrument=pid,
                    timestamp=zone.localize(datetime.datetime(2025, 10, 26, hour, 30, 0, number)),
                    event_type=event,
                    record_status=status,
                    user=None if number == 0 else f"üser {number}",
                )
            )
    if revision >= "v2_4_0a":
        for number, success in enumerate((True, False)):
            session.add(
                UploadLog(
                    session_identifier="https://nemo.example.com/api/usage_events/?id=2",
                    destination_name="cdcs",
                    success=success,
                    timestamp=datetime.datetime(2025, 10, 27, number, tzinfo=datetime.timezone.utc),
                    metadata_json=json.dumps({"ü": [1, None]}) if success else None,
                    error_message=None if success else "HTTP 500",
                )
            )
    session.commit()
if revision >= "v2_5_0a":
    for number, system in enumerate(ExternalSystem):
        store_external_id("ada", system, str(number), email=None if number else "a@example.com")
"""

SESSIONS_TO_BUILD = """
import json
from nexusLIMS.db.session_handler import get_sessions_to_build
print(json.dumps([
    [s.session_identifier, s.instrument.instrument_pid, s.instrument.display_name,
     s.dt_from.isoformat(), s.dt_to.isoformat(), s.user]
    for s in get_sessions_to_build()
]))
"""


@pytest.mark.parametrize("revision", REVISIONS)
def test_filled_by_nexuslims_upgraded_here_read_by_nexuslims(
    nexuslims: NexusLIMS, tmp_path: Path, revision: str
) -> None:
    path = tmp_path / "nexuslims.db"
    path.touch()
    nexuslims.db(path, "upgrade", revision)
    nexuslims.run(FILL, path, revision, json.dumps(ROWS["instruments"]))
    before = rows(path)
    assert len(before["session_log"]) == 24

    report = migrations.upgrade(path)

    assert report is not None
    assert describe(path) == Expected.fresh(HEAD).tables()
    after = rows(path)
    assert after["session_log"] == before["session_log"]
    for table in ("upload_log", "external_user_identifiers"):
        assert after[table] == before.get(table, [])
    assert f"{HEAD} (head)" in nexuslims.db(path, "current").stdout
    assert "up-to-date" in nexuslims.db(path, "check").stdout

    theirs = json.loads(nexuslims.run(SESSIONS_TO_BUILD, path).stdout)
    with Store(path) as store:
        ours = [
            [
                session.session_identifier,
                session.instrument.instrument_pid,
                session.instrument.display_name,
                session.dt_from.isoformat(),
                session.dt_to.isoformat(),
                session.user,
            ]
            for session in store.sessions.list_to_build()
        ]
    assert ours == theirs
    assert len(theirs) == 1


def test_nexuslims_own_command_line_agrees(nexuslims: NexusLIMS, tmp_path: Path) -> None:
    # Everything else here calls NexusLIMS's command line inside a process that is forked from a
    # ready one; this is the program that a person starts.
    path = tmp_path / "nexuslims.db"
    migrations.upgrade(path)
    for arguments, expected in (
        (["current"], f"{HEAD} (head)"),
        (["check"], "up-to-date"),
        (["upgrade"], f"{HEAD} -> {HEAD}"),
    ):
        result = subprocess.run(
            [
                nexuslims.python,
                "-c",
                "from nexusLIMS.cli.main import main; main()",
                "db",
                *arguments,
            ],
            env=os.environ | {"NX_DB_PATH": str(path), "NX_TEST_MODE": "true"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert expected in result.stdout
    assert migrations.current(path) == HEAD
