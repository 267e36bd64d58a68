"""The same work done by both programs on copies of one database gives the same tables.

Where NexusLIMS is wrong, a test says so by name: it shows the wrong behaviour with the real
NexusLIMS, so that it fails when NexusLIMS mends it, and the right behaviour here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers.interop.facts import rows
from helpers.interop.nexuslims import NexusLIMS
from pydantic import ValidationError

from nexuslims_store import (
    EventType,
    ExternalSystem,
    Instrument,
    RecordStatus,
    Session,
    SessionLog,
    Store,
    UnknownInstrumentError,
    UploadLog,
)

pytestmark = pytest.mark.interop

TITAN = Instrument(
    instrument_pid="FEI-Titan-TEM-1",
    api_url="https://nemo.example.com/api/tools/?id=1",
    calendar_url="https://nemo.example.com/calendar/",
    location="Bldg 1/Room A",
    display_name="Titan TEM",
    property_tag="1",
    filestore_path="Titan",
)
SEM = TITAN.model_copy(
    update={
        "instrument_pid": "Zeiss-SEM-2",
        "api_url": "https://nemo.example.com/api/tools/?id=10",
        "filestore_path": "Zeiss/SEM",
        "timezone_str": "Europe/Berlin",
    }
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with two instruments."""
    path = tmp_path / "nexuslims.db"
    with Store(path, migrate=True) as store:
        store.instruments.add(TITAN)
        store.instruments.add(SEM)
    return path


def usage_event(
    number: int, instrument: Instrument = TITAN, *, start: str, end: str, user: str | None = "ada"
) -> list[Any]:
    """Return a session as a harvester reads it off NEMO."""
    return [
        f"https://nemo.example.com/api/usage_events/?id={number}",
        instrument.instrument_pid,
        start,
        end,
        user,
    ]


# -- the same work, done by each ----------------------------------------------------------

# As nexusLIMS.harvesters.nemo.connector does with each usage event that has ended.
HARVEST_BY_NEXUSLIMS = """
import datetime, json, sys
from nexusLIMS.db.enums import EventType, RecordStatus
from nexusLIMS.db.models import SessionLog

for identifier, pid, start, end, user in json.loads(sys.argv[1]):
    for time, event in ((start, EventType.START), (end, EventType.END)):
        SessionLog(
            session_identifier=identifier,
            instrument=pid,
            timestamp=datetime.datetime.fromisoformat(time),
            event_type=event,
            user=user,
            record_status=RecordStatus.TO_BE_BUILT,
        ).insert_log()
"""

# As nexusLIMS.builder.record_builder does, with the outcome of each session given: first all
# records are built, then all that were built are exported.
BUILD_BY_NEXUSLIMS = """
import datetime, json, sys
from sqlmodel import Session as DBSession, select
from nexusLIMS.db.engine import get_engine
from nexusLIMS.db.enums import RecordStatus
from nexusLIMS.db.models import SessionLog, UploadLog
from nexusLIMS.db.session_handler import get_sessions_to_build

outcomes = json.loads(sys.argv[1])
built = []
for session in get_sessions_to_build():
    event = session.insert_record_generation_event()
    outcome = outcomes[session.session_identifier]
    if outcome == "NO_FILES_YET":
        with DBSession(get_engine()) as db:
            log = db.exec(
                select(SessionLog).where(SessionLog.id_session_log == event["id_session_log"])
            ).first()
            db.delete(log)
            db.commit()
    elif outcome in ("COMPLETED", "BUILT_NOT_EXPORTED"):
        built.append(session)
    else:
        session.update_session_status(RecordStatus(outcome))
for session in built:
    outcome = outcomes[session.session_identifier]
    exported = outcome == "COMPLETED"
    with DBSession(get_engine()) as db:
        for destination in ("cdcs", "labarchives"):
            db.add(UploadLog(
                session_identifier=session.session_identifier,
                destination_name=destination,
                success=exported,
                record_id="5f1b" if exported else None,
                record_url="https://cdcs.example.com/data?id=5f1b" if exported else None,
                error_message=None if exported else "HTTP 500",
                timestamp=datetime.datetime(2025, 3, 1, tzinfo=datetime.timezone.utc),
                metadata_json=json.dumps({"n": 1}) if exported else None,
            ))
        db.commit()
    session.update_session_status(RecordStatus(outcome))
"""

USERS_BY_NEXUSLIMS = """
from nexusLIMS.db.enums import ExternalSystem
from nexusLIMS.db.models import store_external_id
for system in ExternalSystem:
    store_external_id("ada", system, system.value + "-1", email="ada@example.com", notes="first")
store_external_id("ada", ExternalSystem.NEMO, "7")
store_external_id("ada", ExternalSystem.CDCS, "ada", email="new@example.com")
store_external_id("ben", ExternalSystem.CDCS, "ben", notes="second")
"""


def harvest(store: Store, events: list[list[Any]]) -> None:
    for identifier, pid, start, end, user in events:
        store.sessions.add(
            identifier, pid, datetime.fromisoformat(start), datetime.fromisoformat(end), user
        )


def harvest_event_by_event(store: Store, events: list[list[Any]]) -> None:
    for identifier, pid, start, end, user in events:
        for time, event in ((start, EventType.START), (end, EventType.END)):
            store.session_logs.insert(
                SessionLog(
                    session_identifier=identifier,
                    instrument=pid,
                    timestamp=datetime.fromisoformat(time),
                    event_type=event,
                    user=user,
                    record_status=RecordStatus.TO_BE_BUILT,
                )
            )


def export(store: Store, session: Session, outcome: str) -> None:
    exported = outcome == "COMPLETED"
    store.upload_logs.insert_many(
        UploadLog(
            session_identifier=session.session_identifier,
            destination_name=destination,
            success=exported,
            record_id="5f1b" if exported else None,
            record_url="https://cdcs.example.com/data?id=5f1b" if exported else None,
            error_message=None if exported else "HTTP 500",
            timestamp=datetime(2025, 3, 1, tzinfo=UTC),
            metadata_json=json.dumps({"n": 1}) if exported else None,
        )
        for destination in ("cdcs", "labarchives")
    )


def build_by_claims(store: Store, outcomes: dict[str, str]) -> None:
    """Build as one of several builders."""
    too_early = []
    while session := store.sessions.claim():
        outcome = outcomes[session.session_identifier]
        if outcome == "NO_FILES_YET":
            too_early.append(session)  # released at the end, or claim() would return it again
            continue
        if outcome in ("COMPLETED", "BUILT_NOT_EXPORTED"):
            export(store, session, outcome)
        store.sessions.finish(session, RecordStatus(outcome))
    for session in too_early:
        store.sessions.release(session)


class NoConsentError(Exception): ...


class NoReservationError(Exception): ...


OUTCOME_OF: dict[type[BaseException], RecordStatus] = {
    FileNotFoundError: RecordStatus.NO_FILES_FOUND,
    NoConsentError: RecordStatus.NO_CONSENT,
    NoReservationError: RecordStatus.NO_RESERVATION,
}
RAISED_FOR = {status.value: error for error, status in OUTCOME_OF.items()}


def build_in_blocks(store: Store, outcomes: dict[str, str]) -> None:
    """Build as the README's loop does."""
    too_early: list[Session] = []
    while session := store.sessions.claim(skip=too_early):
        outcome = outcomes[session.session_identifier]
        with suppress(ZeroDivisionError), store.sessions.building(session, OUTCOME_OF):
            if outcome == "NO_FILES_YET":
                store.sessions.release(session)
                too_early.append(session)
            elif outcome == "ERROR":
                raise ZeroDivisionError("a fault of the builder's")
            elif outcome in RAISED_FOR:
                raise RAISED_FOR[outcome]
            else:
                export(store, session, outcome)
                if outcome == "BUILT_NOT_EXPORTED":
                    store.sessions.finish(session, RecordStatus.BUILT_NOT_EXPORTED)


def build_by_list(store: Store, outcomes: dict[str, str]) -> None:
    """Build as NexusLIMS's record builder does, call by call."""
    built = []
    for session in store.sessions.list_to_build():
        event = store.sessions.record_generation(session)
        outcome = outcomes[session.session_identifier]
        if outcome == "NO_FILES_YET":
            assert event.id_session_log is not None
            store.session_logs.remove(event.id_session_log)
        elif outcome in ("COMPLETED", "BUILT_NOT_EXPORTED"):
            built.append(session)
        else:
            store.sessions.set_status(session.session_identifier, RecordStatus(outcome))
    for session in built:
        outcome = outcomes[session.session_identifier]
        export(store, session, outcome)
        store.sessions.set_status(session.session_identifier, RecordStatus(outcome))


def store_users(store: Store) -> None:
    ids = store.external_ids
    for system in ExternalSystem:
        ids.store("ada", system, f"{system.value}-1", email="ada@example.com", notes="first")
    ids.store("ada", ExternalSystem.NEMO, "7")
    ids.store("ada", ExternalSystem.CDCS, "ada", email="new@example.com")
    ids.store("ben", ExternalSystem.CDCS, "ben", notes="second")


def comparable(path: Path) -> dict[str, list[dict[str, str]]]:
    """Return all rows; where a program stored the present time, just that it did."""
    found = rows(path)
    now = datetime.now(UTC)
    clocks = [
        (row, "timestamp") for row in found["session_log"] if "GENERATION" in row["event_type"]
    ]
    for row in found["external_user_identifiers"]:
        clocks += [(row, "created_at"), (row, "last_verified_at")]
    for row, column in clocks:
        if row[column] != "NULL":
            time = datetime.fromisoformat(row[column].strip("'"))
            assert abs(now - time) < timedelta(minutes=5)  # and so it is aware
            row[column] = "now"
    return found


OUTCOMES = [
    "COMPLETED",
    "NO_FILES_FOUND",
    "NO_CONSENT",
    "NO_RESERVATION",
    "ERROR",
    "BUILT_NOT_EXPORTED",
    "COMPLETED",
    "NO_FILES_YET",
]


@pytest.mark.parametrize("build", [build_by_claims, build_in_blocks, build_by_list])
@pytest.mark.parametrize("harvester", [harvest, harvest_event_by_event])
def test_a_week_of_work(
    nexuslims: NexusLIMS,
    database: Path,
    tmp_path: Path,
    harvester: Callable[[Store, list[list[str | None]]], None],
    build: Callable[[Store, dict[str, str]], None],
) -> None:
    theirs = tmp_path / "theirs.db"
    shutil.copy(database, theirs)
    events = [
        usage_event(
            number,
            (TITAN, SEM)[number % 2],
            start=f"2025-03-0{number + 1}T09:00:00.5-05:00",
            end=f"2025-03-0{number + 1}T17:00:00-05:00",
            user=None if number == 3 else "ada",
        )
        for number in range(len(OUTCOMES))
    ]
    corrected = [
        # The START only; the END only; both; neither. The user stays the same.
        [*events[0][:2], "2025-03-01T08:30:00-05:00", *events[0][3:]],
        [*events[1][:3], "2025-03-02T18:00:00-05:00", events[1][4]],
        [*events[2][:2], "2025-03-03T06:00:00-05:00", "2025-03-03T07:00:00-05:00", events[2][4]],
        *events[3:],
    ]
    outcomes = {event[0]: outcome for event, outcome in zip(events, OUTCOMES, strict=True)}
    rest = {events[-1][0]: "COMPLETED"}

    phases: list[tuple[str, Any, Callable[[Store, Any], None]]] = [
        (HARVEST_BY_NEXUSLIMS, events, harvester),
        (HARVEST_BY_NEXUSLIMS, events, harvester),  # the next run finds the same
        (HARVEST_BY_NEXUSLIMS, corrected, harvester),
        (BUILD_BY_NEXUSLIMS, outcomes, build),
        (HARVEST_BY_NEXUSLIMS, events, harvester),  # too late for what is built
        (USERS_BY_NEXUSLIMS, None, lambda store, _: store_users(store)),
        (BUILD_BY_NEXUSLIMS, rest, build),  # the files have come
    ]
    if nexuslims.version == "2.5.1":
        # Up to 2.5.1, a corrected booking became a second row; see the test of that name.
        phases = [phase for phase in phases if phase[1] is not corrected]
    for number, (by_nexuslims, argument, here) in enumerate(phases):
        nexuslims.run(by_nexuslims, theirs, json.dumps(argument))
        with Store(database) as store:
            here(store, argument)
        assert comparable(database) == comparable(theirs), f"phase {number}"

    with Store(database) as store:
        counts = store.sessions.counts_by_status()
        assert counts == {
            RecordStatus.COMPLETED: 3,
            RecordStatus.NO_FILES_FOUND: 1,
            RecordStatus.NO_CONSENT: 1,
            RecordStatus.NO_RESERVATION: 1,
            RecordStatus.ERROR: 1,
            RecordStatus.BUILT_NOT_EXPORTED: 1,
        }
        failed = {(upload.session_identifier, upload.destination_name)
                  for upload in store.upload_logs.list_failed()}  # fmt: skip
        assert failed == {(events[5][0], "cdcs"), (events[5][0], "labarchives")}
        assert store.sessions.claim() is None


def test_one_program_goes_on_where_the_other_stopped(nexuslims: NexusLIMS, database: Path) -> None:
    events = [
        usage_event(
            number,
            start=f"2025-03-0{number + 1}T09:00:00-05:00",
            end=f"2025-03-0{number + 1}T17:00:00-05:00",
        )
        for number in range(4)
    ]
    identifiers = [event[0] for event in events]
    with Store(database) as store:
        harvest(store, events[:2])
    nexuslims.run(HARVEST_BY_NEXUSLIMS, database, json.dumps(events))  # two are there already

    with Store(database) as store:
        # A builder of NexusLIMS at work on a session: its event counts as a claim here.
        nexuslims.run(START_BUILDING, database)
        claimed = list(iter(store.sessions.claim, None))
        assert [session.session_identifier for session in claimed] == identifiers[1:]
        store.sessions.finish(claimed[0], RecordStatus.COMPLETED)
        store.sessions.release(claimed[1])
        store.sessions.finish(claimed[2], RecordStatus.ERROR)
    outcomes = dict.fromkeys(identifiers, "COMPLETED")
    nexuslims.run(BUILD_BY_NEXUSLIMS, database, json.dumps(outcomes))

    with Store(database) as store:
        assert store.sessions.counts_by_status() == {
            RecordStatus.COMPLETED: 3,
            RecordStatus.ERROR: 1,
        }
        assert len(store.session_logs.list_for_session(identifiers[2])) == 3


START_BUILDING = """
from nexusLIMS.db.session_handler import get_sessions_to_build
get_sessions_to_build()[0].insert_record_generation_event()
"""


# -- where NexusLIMS is wrong -------------------------------------------------------------

GET_SESSIONS = """
import json
from nexusLIMS.db.session_handler import get_sessions_to_build
print(json.dumps([session.session_identifier for session in get_sessions_to_build()]))
"""

GOOD = usage_event(1, start="2025-03-01T09:00:00-05:00", end="2025-03-01T17:00:00-05:00")


def add_events(path: Path, *events: tuple[str, str, str, str, str | None]) -> None:
    """Store events as NexusLIMS would let anybody: identifier, PID, time, event, user."""
    with Store(path) as store:
        harvest(store, [GOOD])
        store.connection.execute("PRAGMA foreign_keys = OFF")
        store.connection.executemany(
            "INSERT INTO session_log "
            "(session_identifier, instrument, timestamp, event_type, user, record_status) "
            "VALUES (?, ?, ?, ?, ?, 'TO_BE_BUILT')",
            events,
        )


ODD_EVENTS = {
    "one START without END": [
        ("odd", TITAN.name, "2025-03-02T09:00:00-05:00", "START", "ada"),
    ],
    "one garbage timestamp": [
        ("odd", TITAN.name, "yesterday", "START", "ada"),
        ("odd", TITAN.name, "2025-03-02T17:00:00-05:00", "END", "ada"),
    ],
}


@pytest.mark.parametrize("odd", ODD_EVENTS)
def test_one_odd_event_stops_the_builder_there_and_is_reported_here(
    nexuslims: NexusLIMS, database: Path, odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_events(database, *ODD_EVENTS[odd])

    theirs = nexuslims.run(GET_SESSIONS, database, check=False)
    assert theirs.status != 0
    assert "ValueError" in theirs.stderr

    with Store(database) as store:
        assert [session.session_identifier for session in store.sessions.list_to_build()] == [
            GOOD[0]
        ]
        assert "odd" in caplog.text
        (unpaired,) = store.sessions.list_unpaired()
        assert unpaired.session_identifier == "odd"
        claimed = store.sessions.claim()
        assert claimed is not None
        assert claimed.session_identifier == GOOD[0]
        assert store.sessions.claim() is None


def test_a_changed_user_name_stops_the_builder_there_and_pairs_here(
    nexuslims: NexusLIMS, database: Path
) -> None:
    add_events(
        database,
        ("renamed", TITAN.name, "2025-03-02T09:00:00-05:00", "START", "ada"),
        ("renamed", TITAN.name, "2025-03-02T17:00:00-05:00", "END", "ada.l"),
    )

    theirs = nexuslims.run(GET_SESSIONS, database, check=False)
    if nexuslims.version == "2.5.1":  # which did not compare users
        assert json.loads(theirs.stdout) == [GOOD[0], "renamed"]
    else:
        assert "ValueError" in theirs.stderr

    with Store(database) as store:
        assert [s.session_identifier for s in store.sessions.list_to_build()] == [
            GOOD[0],
            "renamed",
        ]


def test_a_correction_of_start_and_user_splits_the_session_there_and_not_here(
    nexuslims: NexusLIMS, database: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs.db"
    shutil.copy(database, theirs)
    corrected = [*GOOD[:2], "2025-03-01T08:00:00-05:00", GOOD[3], "grace"]

    for events in ([GOOD], [corrected]):
        nexuslims.run(HARVEST_BY_NEXUSLIMS, theirs, json.dumps(events))
        with Store(database) as store:
            harvest(store, events)

    users = [row["user"] for row in rows(theirs)["session_log"]]
    building = nexuslims.run(GET_SESSIONS, theirs, check=False)
    if nexuslims.version == "2.5.1":  # the START is stored twice, and the session built twice
        assert users == ["'ada'", "'ada'", "'grace'"]
        assert json.loads(building.stdout) == [GOOD[0]] * 2
    else:  # the END keeps its user, and no session is built
        assert users == ["'grace'", "'ada'"]
        assert "ValueError" in building.stderr

    assert [row["user"] for row in rows(database)["session_log"]] == ["'grace'", "'grace'"]
    assert json.loads(nexuslims.run(GET_SESSIONS, database).stdout) == [GOOD[0]]
    with Store(database) as store:
        (session,) = store.sessions.list_to_build()
        assert session.user == "grace"
        assert session.dt_from == datetime.fromisoformat(corrected[2])
        # What NexusLIMS made of it is one session here too.
    with Store(theirs) as store:
        (session,) = store.sessions.list_to_build()
        assert session.dt_from == datetime.fromisoformat(corrected[2])


def test_a_corrected_booking_is_stored_twice_by_2_5_1_and_once_here(
    nexuslims: NexusLIMS, database: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs.db"
    shutil.copy(database, theirs)
    corrected = [*GOOD[:2], "2025-03-01T08:00:00-05:00", "2025-03-01T18:00:00-05:00", GOOD[4]]
    for events in ([GOOD], [corrected]):
        nexuslims.run(HARVEST_BY_NEXUSLIMS, theirs, json.dumps(events))
        with Store(database) as store:
            harvest(store, events)

    assert len(rows(theirs)["session_log"]) == (4 if nexuslims.version == "2.5.1" else 2)
    assert len(rows(database)["session_log"]) == 2
    for path in (theirs, database):  # the newest row of each counts
        with Store(path) as store:
            (session,) = store.sessions.list_to_build()
            assert session.dt_from == datetime.fromisoformat(corrected[2])
            assert session.dt_to == datetime.fromisoformat(corrected[3])


def test_a_session_on_an_unknown_instrument_is_stored_there_and_refused_here(
    nexuslims: NexusLIMS, database: Path
) -> None:
    event = usage_event(2, start="2025-03-02T09:00:00-05:00", end="2025-03-02T17:00:00-05:00")
    event[1] = "no such instrument"
    with Store(database) as store, pytest.raises(UnknownInstrumentError, match="no such instr"):
        harvest(store, [event])
    assert rows(database)["session_log"] == []

    nexuslims.run(HARVEST_BY_NEXUSLIMS, database, json.dumps([GOOD, event]))
    building = nexuslims.run(
        GET_SESSIONS.replace("session.session_identifier", "session.instrument.name"),
        database,
        check=False,
    )
    assert "AttributeError" in building.stderr

    with Store(database) as store:
        assert [s.session_identifier for s in store.sessions.list_to_build()] == [GOOD[0]]
        (unpaired,) = store.sessions.list_unpaired()
        assert unpaired.instrument == "no such instrument"


def test_what_no_record_can_be_built_from_is_stored_there_and_refused_here(
    nexuslims: NexusLIMS, database: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs.db"
    shutil.copy(database, theirs)
    nexuslims.run(STORE_GARBAGE, theirs, TITAN.name)
    assert len(rows(theirs)["session_log"]) == 2
    for values in ({"timestamp": "yesterday"}, {"session_identifier": ""}):
        with pytest.raises(ValidationError) as refused:
            SessionLog(
                **{
                    "session_identifier": "s",
                    "instrument": TITAN.name,
                    "timestamp": "2025-03-01T09:00:00-05:00",
                    "event_type": "START",
                }
                | values
            )
        assert refused.value.errors()[0]["loc"] == tuple(values)


STORE_GARBAGE = """
import datetime, sys
from nexusLIMS.db.enums import EventType
from nexusLIMS.db.models import SessionLog
SessionLog(session_identifier="s", instrument=sys.argv[1], timestamp="yesterday",
           event_type=EventType.START).insert_log()
SessionLog(session_identifier="", instrument=sys.argv[1], event_type=EventType.END,
           timestamp=datetime.datetime(2025, 3, 1)).insert_log()
"""


def test_events_are_ordered_by_text_there_and_by_instant_here(
    nexuslims: NexusLIMS, database: Path
) -> None:
    with Store(database) as store:
        store.connection.executemany(
            "INSERT INTO session_log "
            "(session_identifier, instrument, timestamp, event_type, record_status) "
            f"VALUES (?, '{TITAN.name}', ?, 'START', 'COMPLETED')",
            [
                ("third", "2025-03-01T09:00:00-05:00"),
                ("first", "2025-03-01T10:00:00+01:00"),
                ("fourth", "2025-03-01 23:00:00"),  # naive: in America/New_York
                ("second", "2025-03-01T13:00:00Z"),
            ],
        )
    listed = nexuslims.run(
        "from nexusLIMS.db.session_handler import get_all_session_logs\n"
        "print(*[log.session_identifier for log in get_all_session_logs()])",
        database,
    )
    assert listed.stdout.split() == ["fourth", "third", "first", "second"]
    with Store(database) as store:
        assert [log.session_identifier for log in store.session_logs.iter_all()] == [
            "first",
            "second",
            "third",
            "fourth",
        ]


def test_naive_and_aware_times_cannot_be_subtracted_there_and_are_always_aware_here(
    nexuslims: NexusLIMS, database: Path
) -> None:
    add_events(
        database,
        ("mixed", TITAN.name, "2025-03-02T09:00:00", "START", "ada"),
        ("mixed", TITAN.name, "2025-03-02T17:00:00-05:00", "END", "ada"),
    )
    program = GET_SESSIONS.replace(
        "session.session_identifier", "str(session.dt_to - session.dt_from)"
    )
    assert "TypeError" in nexuslims.run(program, database, check=False).stderr
    with Store(database) as store:
        assert [session.duration for session in store.sessions.list_to_build()] == [
            timedelta(hours=8)
        ] * 2


def test_a_file_is_the_first_instruments_there_and_the_most_specific_ones_here(
    nexuslims: NexusLIMS, database: Path, tmp_path: Path
) -> None:
    with Store(database) as store:
        for number, folder in enumerate(("Zeiss", "/slash", ""), start=3):
            store.instruments.add(
                SEM.model_copy(
                    update={
                        "instrument_pid": f"extra-{folder or 'empty'}",
                        "api_url": f"https://nemo.example.com/api/tools/?id={number}",
                        "filestore_path": folder,
                    }
                )
            )
    files = ["Zeiss/SEM/a.dm3", "Zeiss/b.dm3", "slash/c.dm3", "Zeiss-old/d.dm3"]
    program = """
import json, sys
from pathlib import Path
from nexusLIMS.instruments import get_instr_from_filepath
found = [get_instr_from_filepath(Path(file)) for file in sys.argv[1:]]
print(json.dumps([instrument and instrument.name for instrument in found]))
"""
    paths = [str(tmp_path / file) for file in files]
    root = {"NX_INSTRUMENT_DATA_PATH": str(tmp_path)}
    theirs = json.loads(nexuslims.run(program, database, *paths, env=root).stdout)
    with Store(database) as store:
        found = [store.instruments.find_by_path(path, root=tmp_path) for path in paths]
    ours = [instrument and instrument.name for instrument in found]

    assert ours[:3] == [SEM.name, "extra-Zeiss", "extra-/slash"]
    assert theirs[2] != "extra-/slash", "a leading slash leads out of the data folder"
    assert theirs[3] == "extra-empty", "an empty filestore_path is every file's"
    assert ours[3] in (None, "extra-empty")
