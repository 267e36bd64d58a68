"""Rows written by one program are read by the other with the same values."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from helpers.interop.files import LONG_IDENTIFIER
from helpers.interop.nexuslims import NexusLIMS
from helpers.interop.reading import by_nexuslims, by_us

from nexuslims_store import (
    EventType,
    ExternalSystem,
    Instrument,
    RecordStatus,
    SessionLog,
    Store,
    UploadLog,
)

pytestmark = pytest.mark.interop

PID = "FEI-Titan-TEM-012345"
INSTRUMENT = Instrument(
    instrument_pid=PID,
    api_url="https://nemo.example.com/api/tools/?id=1",
    calendar_url="https://nemo.example.com/calendar/?tool=1&x=%20",
    location="Bldg 1/Room A's corner",
    display_name="Titan «Жž»",
    property_tag="012345",
    filestore_path="./Titan",
    timezone_str="Europe/Berlin",
)
TEXTS = ("plain", "", "o'brien; DROP TABLE session_log; --", "ünï 🔬 عربى", "a\nb\tc", "x" * 600)


def test_rows_of_nexuslims_are_read_here(nexuslims: NexusLIMS, tmp_path: Path) -> None:
    path = tmp_path / "nexuslims.db"
    nexuslims.db(path, "init")
    nexuslims.run(WRITE_BY_NEXUSLIMS, path, json.dumps(INSTRUMENT.to_dict()), json.dumps(TEXTS))

    ours = by_us(path)

    assert ours == by_nexuslims(nexuslims, path)
    assert len(ours["session_logs"]) == 3 * 8 + len(TEXTS)
    assert len(ours["upload_logs"]) == 2 * (2 + len(TEXTS))
    assert len(ours["external_ids"]) == 4
    with Store(path, read_only=True) as store:
        assert store.instruments.list() == [INSTRUMENT]
        (first, *_) = store.session_logs.list_for_session(LONG_IDENTIFIER)
        assert first.timestamp == datetime(
            2025, 10, 26, 2, 30, 0, 1, tzinfo=timezone(timedelta(hours=1))
        )
        assert first.event_type is EventType.START


# Every event with every status, in the hour that the end of summer time repeats; then texts.
WRITE_BY_NEXUSLIMS = """
import datetime, json, sys
import pytz
from sqlmodel import Session as DBSession
from nexusLIMS.db.engine import get_engine
from nexusLIMS.db.enums import EventType, ExternalSystem, RecordStatus
from nexusLIMS.db.models import Instrument, SessionLog, UploadLog, store_external_id

instrument, texts = (json.loads(argument) for argument in sys.argv[1:])
instrument["timezone_str"] = instrument.pop("timezone")
zone = pytz.timezone("Europe/Berlin")
time = zone.localize(datetime.datetime(2025, 10, 26, 2, 30), is_dst=False)
pid = instrument["instrument_pid"]
with DBSession(get_engine()) as session:
    session.add(Instrument(**instrument))
    session.commit()
    microsecond = 1
    for status in RecordStatus:
        for event in EventType:
            session.add(SessionLog(
                session_identifier="https://nemo.example.com/api/usage_events/?id=101",
                instrument=pid,
                timestamp=time + datetime.timedelta(microseconds=microsecond),
                event_type=event,
                record_status=status,
                user=None if microsecond % 2 else "ada",
            ))
            microsecond += 1
    for number, text in enumerate(texts):
        session.add(SessionLog(
            session_identifier=f"{number}{text}", instrument=pid, user=text, timestamp=time,
            event_type=EventType.START,
        ))
        for success in (True, False):
            session.add(UploadLog(
                session_identifier=f"{number}{text}", destination_name=f"{text}.", success=success,
                timestamp=time, record_id=text, record_url=text, error_message=text,
                metadata_json=json.dumps({"text": text, "number": [1, 2.5, None]}),
            ))
    for destination in ("cdcs", "labarchives"):
        for success in (True, False):
            session.add(UploadLog(
                session_identifier="nothing given", destination_name=destination, success=success,
                timestamp=datetime.datetime.now(datetime.timezone.utc),
            ))
    session.commit()
for number, system in enumerate(ExternalSystem):
    store_external_id("ada", system, texts[number + 2], email=texts[number], notes=texts[3])
store_external_id("ada", ExternalSystem.CDCS, "changed")
"""


def test_rows_of_ours_are_read_by_nexuslims(nexuslims: NexusLIMS, tmp_path: Path) -> None:
    path = tmp_path / "nexuslims.db"
    times = [
        datetime(2025, 10, 26, 2, 30, 0, 1, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        datetime(2025, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2024, 2, 29, 12, tzinfo=timezone(timedelta(hours=13, minutes=45))),
        datetime(2025, 7, 1, 12, 0, 0, 120000),  # naive: the instrument's zone
    ]
    given: list[list[Any]] = []
    with Store(path, migrate=True) as store:
        store.instruments.add(INSTRUMENT)
        for number, status in enumerate(RecordStatus):
            for event in EventType:
                log = SessionLog(
                    session_identifier=f"{LONG_IDENTIFIER}{number}",
                    instrument=PID,
                    timestamp=times[len(given) % len(times)],
                    event_type=event,
                    record_status=status,
                    user=None if len(given) % 2 else TEXTS[len(given) % len(TEXTS)],
                )
                stored = store.session_logs.insert(log)
                given.append(
                    [
                        stored.id_session_log,
                        log.session_identifier,
                        PID,
                        INSTRUMENT.localize_datetime(log.timestamp)
                        if log.timestamp.tzinfo is None
                        else log.timestamp,
                        event.value,
                        status.value,
                        log.user,
                    ]
                )
        for number, text in enumerate(TEXTS):
            for success in (True, False):
                store.upload_logs.insert(
                    UploadLog(
                        session_identifier=f"{number}{text}",
                        destination_name=f"{text}.",
                        success=success,
                        timestamp=times[1],
                        record_id=text,
                        record_url=text,
                        error_message=None if success else text,
                        metadata_json=json.dumps({"text": text, "number": [1, 2.5, None]}),
                    )
                )
        for number, system in enumerate(ExternalSystem):
            store.external_ids.store(
                "ada", system, TEXTS[number + 2], email=TEXTS[number], notes=TEXTS[3]
            )
        store.external_ids.store("ada", ExternalSystem.CDCS, "changed")

    theirs = by_nexuslims(nexuslims, path)

    assert theirs == by_us(path)
    assert theirs["instruments"] == [INSTRUMENT.to_dict()]
    assert theirs["session_logs"] == [[*row[:3], row[3].isoformat(), *row[4:]] for row in given]
    assert [row[3] for row in theirs["upload_logs"]] == [True, False] * len(TEXTS)
    assert [row[8]["text"] for row in theirs["upload_logs"]] == [
        text for text in TEXTS for _ in range(2)
    ]
    assert theirs["external_ids"][3][3] == "changed"
    # And NexusLIMS finds things by them.
    found = json.loads(nexuslims.run(LOOK_UP, path, PID).stdout)
    assert found == [PID, "changed", "ada", 4, "Europe/Berlin"]


LOOK_UP = """
import json, sys
from nexusLIMS.db.enums import ExternalSystem
from nexusLIMS.db.models import get_all_external_ids, get_external_id, get_nexuslims_username
from nexusLIMS.instruments import get_instr_from_api_url

instrument = get_instr_from_api_url("https://nemo.example.com/api/tools/?id=1")
print(json.dumps([
    instrument.name,
    get_external_id("ada", ExternalSystem.CDCS),
    get_nexuslims_username("changed", ExternalSystem.CDCS),
    len(get_all_external_ids("ada")),
    str(instrument.timezone),
]))
"""


@pytest.mark.parametrize(
    "stored",
    [
        "2018-11-13T13:01:30.123",  # naive, as before 2.2
        "2018-11-13 13:01:30.123",  # with a space, as sqlite3's own adapter wrote it
        "2025-03-09T07:00:00Z",
        "2025-03-09T01:59:59.999999-05:00",
        "2025-03-09 01:59:59-05:00",
        "2025-07-01T12:00:00.000001+05:45",
        "1969-12-31T23:59:59+00:00",
        "2039-01-01T00:00:00+00:00",
    ],
)
def test_a_stored_time_is_read_by_both_alike(
    nexuslims: NexusLIMS, tmp_path: Path, stored: str
) -> None:
    path = tmp_path / "nexuslims.db"
    make_sessions(path, ("s", stored, stored))

    assert by_us(path) == by_nexuslims(nexuslims, path)
    with Store(path) as store:
        assert [log.timestamp for log in store.session_logs.iter_all()] == [
            datetime.fromisoformat(stored)
        ] * 2
        (session,) = store.sessions.list_to_build()
        assert session.dt_from == INSTRUMENT.localize_datetime(datetime.fromisoformat(stored))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT timestamp FROM session_log").fetchall() == [(stored,)] * 2


def make_sessions(path: Path, *sessions: tuple[str, str, str]) -> None:
    """Make a database in which the given START and END texts are stored as they are."""
    with Store(path, migrate=True) as store:
        store.instruments.add(INSTRUMENT)
        store.connection.executemany(
            "INSERT INTO session_log "
            "(session_identifier, instrument, timestamp, event_type, record_status, user) "
            "VALUES (?, ?, ?, ?, 'TO_BE_BUILT', 'ada')",
            [
                (identifier, PID, timestamp, event)
                for identifier, start, end in sessions
                for timestamp, event in ((start, "START"), (end, "END"))
            ],
        )


def test_both_find_the_same_sessions_to_build(nexuslims: NexusLIMS, tmp_path: Path) -> None:
    path = tmp_path / "nexuslims.db"
    make_sessions(
        path,
        ("a", "2025-01-01T10:00:00+01:00", "2025-01-01T11:00:00+01:00"),
        (LONG_IDENTIFIER, "2025-01-02T10:00:00.5-05:00", "2025-01-02T20:00:00+00:00"),
        ("ünï", "2025-01-03T10:00:00Z", "2025-01-03T11:00:00Z"),
    )
    theirs = json.loads(
        nexuslims.run(
            "import json\n"
            "from nexusLIMS.db.session_handler import get_sessions_to_build\n"
            "print(json.dumps([[s.session_identifier, s.dt_from.isoformat(), s.dt_to.isoformat(),"
            " s.user] for s in get_sessions_to_build()]))",
            path,
        ).stdout
    )
    with Store(path) as store:
        ours = [
            [s.session_identifier, s.dt_from.isoformat(), s.dt_to.isoformat(), s.user]
            for s in store.sessions.list_to_build()
        ]
    assert ours == theirs
    assert len(ours) == 3
