"""Scripts written against NexusLIMS, run twice: with its imports, and with this package's."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from helpers.interop.facts import rows
from helpers.interop.nexuslims import NexusLIMS, Result
from helpers.support import instrument

from nexuslims_store import Store

pytestmark = pytest.mark.interop

NEXUSLIMS_IMPORTS = """
import logging
logging.disable(logging.CRITICAL)  # NexusLIMS logs to the terminal by itself
from nexusLIMS.db.enums import EventType, ExternalSystem, RecordStatus
from nexusLIMS.db.models import (
    ExternalUserIdentifier, Instrument, SessionLog, UploadLog, get_all_external_ids,
    get_external_id, get_nexuslims_username, store_external_id,
)
from nexusLIMS.db.session_handler import Session, get_all_session_logs, get_sessions_to_build
from nexusLIMS.instruments import (
    _ensure_instrument_db_loaded, get_instr_from_api_url, get_instr_from_calendar_name,
    get_instr_from_filepath, instrument_db,
)
"""
OUR_IMPORTS = """
from nexuslims_store.compat import (
    EventType, ExternalSystem, ExternalUserIdentifier, Instrument, RecordStatus, Session,
    SessionLog, UploadLog, _ensure_instrument_db_loaded, get_all_external_ids,
    get_all_session_logs, get_external_id, get_instr_from_api_url, get_instr_from_calendar_name,
    get_instr_from_filepath, get_nexuslims_username, get_sessions_to_build, instrument_db,
    store_external_id,
)
"""

# The guide's examples: create a log, then ask for those of a status.
GUIDE = """
from datetime import datetime as dt

log = SessionLog(
    session_identifier="abc",
    instrument="FEI-Titan-TEM",
    timestamp=dt.fromisoformat("2025-01-15T10:00:00-05:00"),
    event_type=EventType.START,
    record_status=RecordStatus.TO_BE_BUILT,
    user="alice",
)
print(repr(log))
print(log.insert_log())
for log in get_all_session_logs():
    if log.record_status == RecordStatus.TO_BE_BUILT:
        print(log.session_identifier, log.instrument, log.timestamp, log.event_type, log.user)
        print(repr(log), log.event_type.value, log.record_status.value)
"""

# A harvester: usage events of a scheduler, each with START and END, harvested twice.
HARVESTER = """
from datetime import datetime, timedelta, timezone

EVENTS = [
    {"url": f"https://nemo.example.com/api/usage_events/?id={number}", "tool": 1 + number % 2,
     "start": datetime(2025, 3, 9, number, 59, 59, number, tzinfo=timezone(timedelta(hours=-5)))}
    for number in range(6)
]
for _ in range(2):
    for event in EVENTS:
        instrument = get_instr_from_api_url(
            f"https://nemo.example.com/api/tools/?id={event['tool']}"
        )
        for kind, time in (
            (EventType.START, event["start"]),
            (EventType.END, event["start"] + timedelta(hours=2)),
        ):
            log = SessionLog(
                session_identifier=event["url"],
                instrument=instrument.name,
                timestamp=time,
                event_type=kind,
                user="bob",
                record_status=RecordStatus.TO_BE_BUILT,
            )
            print(log.insert_log())
for session in sorted(get_sessions_to_build(), key=lambda s: s.session_identifier):
    print(session, session.user, session.instrument, session.dt_to - session.dt_from)
"""

# A record builder: the loop of NexusLIMS's own, with each of its outcomes.
BUILDER = (
    HARVESTER
    + """
class NoConsent(Exception): pass
class NoReservation(Exception): pass

def build(session):
    outcome = int(session.session_identifier[-1])
    if outcome == 1: raise FileNotFoundError
    if outcome == 2: raise NoConsent
    if outcome == 3: raise NoReservation
    if outcome == 4: raise RuntimeError("broken")

for session in sorted(get_sessions_to_build(), key=lambda s: s.session_identifier):
    row = session.insert_record_generation_event()
    print(sorted(row), row["event_type"], row["session_identifier"])
    print(row["timestamp"].utcoffset() is not None)
    try:
        build(session)
    except FileNotFoundError:
        print(session.update_session_status(RecordStatus.NO_FILES_FOUND))
    except NoConsent:
        session.update_session_status(RecordStatus.NO_CONSENT)
    except NoReservation:
        session.update_session_status(RecordStatus.NO_RESERVATION)
    except Exception as error:
        print("error:", error)
        session.update_session_status(RecordStatus.ERROR)
    else:
        session.update_session_status(RecordStatus.COMPLETED)
print(get_sessions_to_build())
for log in sorted(get_all_session_logs(), key=lambda log: log.id_session_log):
    print(log.id_session_log, log.session_identifier, log.event_type, log.record_status, log.user)
"""
)

INSTRUMENTS = """
import datetime, json
from pathlib import Path

for path in ("Titan_TEM/a/b.dm3", "JEOL/x.tif", "Titan_TEM2/c.dm3", "elsewhere/d.dm3"):
    print(path, get_instr_from_filepath(Path(os.environ["NX_INSTRUMENT_DATA_PATH"]) / path))
print(get_instr_from_filepath(Path("/somewhere/else.dm3")))
print(get_instr_from_api_url("https://nemo.example.com/api/tools/?id=9"))
titan = get_instr_from_api_url("https://nemo.example.com/api/tools/?id=1")
print(titan)
print(repr(titan))
print(titan.to_json(indent=1, sort_keys=True), titan.to_dict())
print(titan.name, titan.location, titan.harvester, str(titan.timezone), titan.filestore_path)
summer = datetime.datetime(2025, 7, 1, 12, 0, tzinfo=datetime.timezone.utc)
print(titan.localize_datetime(summer), titan.localize_datetime_str(summer))
naive = datetime.datetime(2025, 1, 1, 12, 0)
print(titan.localize_datetime(naive).isoformat(), titan.localize_datetime_str(naive, "%H:%M %z"))
print(sorted(instrument_db), instrument_db["FEI-Titan-TEM"], len(instrument_db))
for pid, instrument in sorted(instrument_db.items()):
    print(pid, instrument.display_name, instrument.calendar_url)
print(instrument_db.get("nothing"), "JEOL-3010" in instrument_db)
"""

# What NexusLIMS's extractors and preflight checks do with the zone of an instrument: around both
# changes of the clocks, hour by hour, with times that are there twice and times that are not.
ZONES = """
import datetime

_ensure_instrument_db_loaded()
for pid, instrument in sorted(instrument_db.copy().items()):
    zone = instrument.timezone
    print(pid, zone, zone.zone)
    for day in (datetime.datetime(2025, 3, 8, 23), datetime.datetime(2025, 11, 1, 23)):
        for half_hours in range(12):
            time = day + datetime.timedelta(minutes=30 * half_hours)
            for is_dst in (False, True):
                localized = zone.localize(time, is_dst=is_dst)
                print(localized.isoformat(), zone.normalize(localized).isoformat())
            aware = time.replace(tzinfo=datetime.timezone.utc)
            print(zone.localize(time).isoformat(), aware.astimezone(zone).isoformat())
            print(instrument.localize_datetime(time).isoformat())
            print(instrument.localize_datetime(aware).isoformat())
            print(instrument.localize_datetime_str(time))
            print(datetime.datetime.fromtimestamp(aware.timestamp(), tz=zone).isoformat())
print(get_instr_from_calendar_name("id=2"), get_instr_from_calendar_name("nothing"))
unknown = Session("s", None, (aware, aware), "ada")
unknown.user = "ben"
print(unknown.instrument, unknown.user, unknown.dt_to)
"""

USERS = """
record = store_external_id(
    nexuslims_username="jsmith", external_system=ExternalSystem.LABARCHIVES_ELN,
    external_id="285489257Ho", email="jsmith@example.com", notes="registered 2026-01-25",
)
print(repr(record), record.email, record.notes, record.last_verified_at)
store_external_id("jsmith", ExternalSystem.NEMO, "12345")
record = store_external_id("jsmith", ExternalSystem.LABARCHIVES_ELN, "other", email="")
print(record.id, record.external_id, record.external_system, record.email, record.notes)
print(record.last_verified_at is not None, record.created_at.utcoffset())
print(get_external_id("jsmith", ExternalSystem.NEMO), get_external_id("x", ExternalSystem.CDCS))
print(get_nexuslims_username("12345", ExternalSystem.NEMO))
print(get_nexuslims_username("12345", ExternalSystem.CDCS))
print(get_all_external_ids("jsmith"), get_all_external_ids("nobody"))
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "nexuslims.db"
    with Store(path, migrate=True) as store:
        for number, pid, location in ((1, "FEI-Titan-TEM", "Bldg 1, Room A"), (2, "JEOL-3010", "")):
            store.instruments.add(
                instrument(
                    pid,
                    api_url=f"https://nemo.example.com/api/tools/?id={number}",
                    location=location,
                    filestore_path="./Titan_TEM" if number == 1 else "./JEOL",
                )
            )
    return path


def run_both(nexuslims: NexusLIMS, script: str, database: Path) -> tuple[Result, Result, Path]:
    """Run a script with NexusLIMS's imports, and on a copy of the database with ours."""
    ours = database.with_name("ours.db")
    shutil.copy(database, ours)
    env = {"NX_INSTRUMENT_DATA_PATH": str(database.parent)}
    body = "import os\n" + script
    if "instrument_db" in script:
        # NexusLIMS fills it with the first search; a script has to make one.
        body = "import os\nget_instr_from_api_url('')\n" + script
    theirs = nexuslims.run(NEXUSLIMS_IMPORTS + body, database, env=env)
    return theirs, nexuslims.run(OUR_IMPORTS + body, ours, env=env), ours


def without_clock(path: Path) -> dict[str, list[dict[str, str]]]:
    """Return all rows, with a mark in place of what a clock said."""
    found = rows(path)
    for row in found["session_log"]:
        if row["event_type"] == "'RECORD_GENERATION'":
            row["timestamp"] = "now"
    for row in found["external_user_identifiers"]:
        row["created_at"] = "now"
        row["last_verified_at"] = "NULL" if row["last_verified_at"] == "NULL" else "now"
    return found


@pytest.mark.parametrize(
    "script",
    [GUIDE, HARVESTER, BUILDER, INSTRUMENTS, ZONES, USERS],
    ids=["guide", "harvester", "builder", "instruments", "zones", "users"],
)
def test_same_output_and_same_tables(nexuslims: NexusLIMS, script: str, database: Path) -> None:
    theirs, ours, our_database = run_both(nexuslims, script, database)

    assert ours.stdout == theirs.stdout
    assert len(ours.stdout) > 100
    assert without_clock(our_database) == without_clock(database)


def test_naive_times_are_stored_with_the_offset_of_the_instrument(
    nexuslims: NexusLIMS, database: Path
) -> None:
    script = GUIDE.replace("-05:00", "")

    _, _, our_database = run_both(nexuslims, script, database)

    assert rows(database)["session_log"][0]["timestamp"] == "'2025-01-15T10:00:00'"
    assert rows(our_database)["session_log"][0]["timestamp"] == "'2025-01-15T10:00:00-05:00'"


def test_one_odd_event_keeps_nexuslims_from_building_and_not_us(
    nexuslims: NexusLIMS, database: Path
) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type, "
            "record_status) VALUES ('odd', 'JEOL-3010', '2025-01-01T00:00:00Z', 'START', "
            "'TO_BE_BUILT')"
        )
    script = HARVESTER.replace(
        "for session in sorted(", "print('harvested')\nfor session in sorted("
    )
    ours = database.with_name("ours.db")
    shutil.copy(database, ours)

    theirs = nexuslims.run(NEXUSLIMS_IMPORTS + script, database, check=False)

    assert theirs.status != 0
    assert "harvested" in theirs.stdout
    assert "ValueError" in theirs.stderr
    assert len(nexuslims.run(OUR_IMPORTS + script, ours).stdout.splitlines()) == 24 + 1 + 6
