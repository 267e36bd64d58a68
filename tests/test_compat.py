"""NexusLIMS's names on our store. `tests/interop/test_compat.py` compares with the real ones."""

from __future__ import annotations

import copy
import logging
import pickle
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from nexuslims_store import Instrument, Store, UnknownInstrumentError, compat
from nexuslims_store.compat import (
    EventType,
    ExternalSystem,
    InstrumentTimezone,
    RecordStatus,
    SessionLog,
)

START = datetime(2025, 1, 15, 10, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(autouse=True)
def default_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "nexuslims.db"
    monkeypatch.setenv("NX_DB_PATH", str(path))
    monkeypatch.setenv("NX_INSTRUMENT_DATA_PATH", "/data")
    with Store(path, migrate=True) as store:
        store.instruments.add(
            Instrument(
                instrument_pid="Titan",
                api_url="https://nemo.example.com/api/tools/?id=1",
                calendar_url="https://nemo.example.com/calendars/Titan%20Events/?week=1",
                location="Room A",
                display_name="Titan TEM",
                property_tag="1",
                filestore_path="./Titan",
                timezone_str="Europe/Berlin",
            )
        )
    return path


def event(event_type: EventType, time: datetime, identifier: str = "abc") -> SessionLog:
    return SessionLog(
        session_identifier=identifier,
        instrument="Titan",
        timestamp=time,
        event_type=event_type,
        record_status=RecordStatus.TO_BE_BUILT,
        user="alice",
    )


def test_a_session_from_harvest_to_record() -> None:
    start, end = (
        event(EventType.START, START),
        event(EventType.END, START + timedelta(hours=1)),
    )
    assert start.insert_log() is True
    assert end.insert_log() is True
    assert start.id_session_log == 1

    (session,) = compat.get_sessions_to_build()
    assert session.user == "alice"
    assert (session.dt_from, session.dt_to) == (start.timestamp, end.timestamp)
    assert repr(session) == "2025-01-15T10:00:00+00:00 to 2025-01-15T11:00:00+00:00 on Titan"

    row = session.insert_record_generation_event()
    assert row["event_type"] == "RECORD_GENERATION"
    assert row["id_session_log"] == 3
    assert row["timestamp"].utcoffset() == row["timestamp"].astimezone(BERLIN).utcoffset()
    assert compat.get_all_session_logs()[-1].user == "nexuslims"
    assert session.update_session_status(RecordStatus.COMPLETED) is True
    assert compat.get_sessions_to_build() == []
    assert {log.record_status for log in compat.get_all_session_logs()} == {RecordStatus.COMPLETED}


def test_a_log_can_be_changed_and_is_still_checked() -> None:
    log = event(EventType.START, START)
    log.record_status = RecordStatus.ERROR
    assert log.record_status is RecordStatus.ERROR
    with pytest.raises(ValidationError, match="user"):
        log.user = 7  # type: ignore[assignment]


ATTEMPT = compat.UploadLog(
    session_identifier="abc", destination_name="cdcs", success=True, timestamp=START
)
KNOWN = compat.ExternalUserIdentifier(
    nexuslims_username="bob", external_system=ExternalSystem.NEMO, external_id="1"
)


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        (event(EventType.START, START), "user", "bob"),
        (ATTEMPT.model_copy(), "success", False),
        (KNOWN.model_copy(), "email", "bob@example.com"),
        ("Titan", "location", "Room B"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_model_can_be_changed_and_is_still_checked(
    model: Any, field: str, value: object
) -> None:
    model = compat.instrument_db[model] if isinstance(model, str) else model
    setattr(model, field, value)
    assert getattr(model, field) == value
    with pytest.raises(ValidationError, match=field):
        setattr(model, field, 7)
    assert getattr(model, field) == value


def test_models_are_shown_as_by_nexuslims() -> None:
    assert repr(event(EventType.START, START)) == (
        "SessionLog (id=abc, instrument=Titan, timestamp=2025-01-15 10:00:00+00:00, "
        "event_type=START, user=alice, record_status=TO_BE_BUILT)"
    )
    said = "UploadLog (session=abc, destination=cdcs, status={}, timestamp={})"
    assert repr(ATTEMPT) == said.format("SUCCESS", START)
    assert repr(ATTEMPT.model_copy(update={"success": False})) == said.format("FAILED", START)


def test_an_event_that_is_there_already_is_worth_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    event(EventType.START, START).insert_log()
    assert caplog.messages == []

    assert event(EventType.START, START).insert_log() is True
    (message,) = caplog.messages
    assert "SessionLog already exists: " in message
    assert "'abc'" in message

    caplog.clear()
    assert event(EventType.START, START + timedelta(hours=1)).insert_log() is True
    (message,) = caplog.messages
    assert "Updating existing SessionLog timestamp: " in message
    assert compat.get_all_session_logs()[0].timestamp == START + timedelta(hours=1)

    caplog.clear()
    titan = compat.instrument_db["Titan"]
    session = compat.Session("abc", titan, (START, START), "alice")
    session.update_session_status(RecordStatus.COMPLETED)
    assert event(EventType.START, START).insert_log() is True
    assert len(caplog.messages) == 1
    assert len(compat.get_all_session_logs()) == 1


def test_each_attempt_to_build_is_an_event_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert event(EventType.RECORD_GENERATION, START).insert_log() is True
    assert len(compat.get_all_session_logs()) == 2
    assert caplog.messages == []


def test_an_odd_row_of_the_same_session_is_not_in_the_way_of_an_event(
    default_database: Path,
) -> None:
    event(EventType.START, START).insert_log()
    with Store(default_database) as store, store.transaction():
        store.connection.execute("UPDATE session_log SET timestamp = 'yesterday'")
    assert event(EventType.END, START).insert_log() is True


def test_an_identifier_cannot_forge_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        event(EventType.START, START, identifier="a\nWARNING all is well").insert_log()
    (message,) = caplog.messages
    assert "\n" not in message


def test_the_instrument_of_a_log() -> None:
    instrument = event(EventType.START, START).instrument_obj
    assert instrument is not None
    assert str(instrument) == "Titan in Room A"
    assert repr(instrument).splitlines()[0] == "Nexus Instrument: Titan"
    assert str(instrument.model_copy(update={"location": ""})) == ""


def test_instruments_are_looked_up_anew_each_time(default_database: Path) -> None:
    assert list(compat.instrument_db) == ["Titan"]
    titan = compat.instrument_db["Titan"]
    with Store(default_database) as store:
        store.instruments.add(
            Instrument(**{**titan.model_dump(), "instrument_pid": "JEOL", "api_url": "http://j"})
        )
    assert sorted(compat.instrument_db) == ["JEOL", "Titan"]
    assert len(compat.instrument_db) == 2
    with pytest.raises(KeyError):
        compat.instrument_db["nothing"]
    assert compat.get_instr_from_filepath(Path("/data/Titan/a.dm3")) is not None
    assert compat.get_instr_from_filepath(Path("/data/other/a.dm3")) is None
    assert compat.get_instr_from_api_url("https://nemo.example.com/api/tools/?id=1") == titan
    assert compat.get_instr_from_api_url("https://nemo.example.com/api/tools/?id=10") is None


def test_the_methods_of_a_dict(default_database: Path) -> None:
    taken = compat.instrument_db.copy()
    assert isinstance(taken, dict)
    assert taken == compat.instrument_db
    assert list(compat.instrument_db.items()) == list(taken.items())
    assert list(compat.instrument_db.values()) == list(taken.values())
    assert list(compat.instrument_db.keys()) == list(reversed(compat.instrument_db)) == ["Titan"]
    assert compat.instrument_db | {"other": taken["Titan"]} == {**taken, "other": taken["Titan"]}
    assert compat.instrument_db.get("nothing") is None
    assert repr(compat.instrument_db) == repr(taken)

    with Store(default_database) as store:
        store.instruments.remove("Titan")
    assert taken != compat.instrument_db
    assert "Titan" in taken
    assert not compat.instrument_db


def test_loading_the_instruments_is_not_needed() -> None:
    before = compat.instrument_db.copy()
    compat._ensure_instrument_db_loaded()
    assert before == compat.instrument_db


def add_instrument(database: Path, pid: str, api_url: str, calendar_url: str) -> None:
    titan = compat.instrument_db["Titan"]
    with Store(database) as store:
        store.instruments.add(
            Instrument(
                **{
                    **titan.model_dump(),
                    "instrument_pid": pid,
                    "api_url": api_url,
                    "calendar_url": calendar_url,
                }
            )
        )


def found(name: str) -> str | None:
    instrument = compat.get_instr_from_calendar_name(name)
    return None if instrument is None else instrument.name


def test_an_instrument_by_its_calendar(default_database: Path) -> None:
    nemo = "https://nemo.example.com"
    assert found("Titan Events") == "Titan"
    assert found("id=1") == "Titan"
    assert found("") is None, "not even where there is only one"
    add_instrument(default_database, "JEOL", f"{nemo}/api/tools/?id=10", f"{nemo}/calendars/JEOL")
    add_instrument(default_database, "SEM", f"{nemo}/api/tools/?id=22", f"{nemo}/calendars/id=1")

    assert found("JEOL") == "JEOL"
    assert found("id=1") == "SEM", "a calendar of that name goes before parts of addresses"
    assert found("id=10") == "JEOL"
    assert found("tools") is None, "it is part of every address"
    assert found("calendars") is None
    assert found("titan events") is None


@pytest.mark.parametrize(
    ("missing", "value"),
    [
        ("NX_DB_PATH", "nothing.db"),
        ("NX_DB_PATH", "~nobody-here/nexuslims.db"),
        ("NX_INSTRUMENT_DATA_PATH", ""),
    ],
)
def test_no_instrument_is_found_for_a_file_where_there_is_no_database_or_data(
    missing: str,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(missing, value)

    assert compat.get_instr_from_filepath("/data/Titan/a.dm3") is None

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.name == "nexuslims_store"
    assert "nothing.db" in record.message or missing in record.message


def test_external_ids() -> None:
    record = compat.store_external_id("bob", ExternalSystem.NEMO, "1", email="bob@example.com")
    assert record.external_system == "nemo"
    compat.store_external_id("bob", ExternalSystem.NEMO, "1", notes="a guest")
    again = compat.store_external_id("bob", ExternalSystem.NEMO, "2", email="", notes="")
    assert (again.id, again.email, again.notes) == (record.id, "bob@example.com", "a guest")
    assert compat.get_external_id("bob", ExternalSystem.NEMO) == "2"
    assert compat.get_nexuslims_username("2", ExternalSystem.NEMO) == "bob"
    assert compat.get_all_external_ids("bob") == {"nemo": "2"}
    assert repr(again) == "ExternalUserIdentifier (username=bob, system=nemo, external_id=2)"


def test_a_session_of_an_unknown_tool() -> None:
    session = compat.Session("abc", None, (START, START + timedelta(hours=1)), "alice")
    assert session.instrument is None
    assert repr(session).startswith("2025-01-15T10:00:00+00:00 to 2025-01-15T11:00:00+00:00 on ")
    with pytest.raises(UnknownInstrumentError, match="'abc'"):
        session.insert_record_generation_event()

    event(EventType.START, START).insert_log()
    session.instrument = compat.instrument_db["Titan"]
    assert session.insert_record_generation_event()["id_session_log"] == 2
    assert session.update_session_status(RecordStatus.ERROR) is True
    assert {log.record_status for log in compat.get_all_session_logs()} == {RecordStatus.ERROR}


def test_the_attributes_of_a_session_can_be_set() -> None:
    titan = compat.instrument_db["Titan"]
    session = compat.Session(
        session_identifier="abc", instrument=titan, dt_range=(START, START), user=None
    )
    session.session_identifier = "def"
    session.dt_from, session.dt_to = START - timedelta(hours=2), START - timedelta(hours=1)
    session.user = "bob"
    assert (session.session_identifier, session.user) == ("def", "bob")
    assert pickle.loads(pickle.dumps(session)).dt_to == START - timedelta(hours=1)


def test_naive_times_of_a_session_are_the_instruments() -> None:
    titan = compat.instrument_db["Titan"]
    naive = datetime(2025, 10, 26, 2, 45), datetime(2025, 10, 26, 2, 15)
    session = compat.Session("abc", titan, naive, "alice")
    assert session.dt_from.isoformat() == "2025-10-26T02:45:00+02:00"
    assert session.dt_to.isoformat() == "2025-10-26T02:15:00+01:00", "the second of the two"
    unknown = compat.Session("abc", None, naive, "alice")
    assert (unknown.dt_from, unknown.dt_to) == naive


# -- the time zone ------------------------------------------------------------------------

NEW_YORK = InstrumentTimezone("America/New_York")
# The clocks show 01:30 twice, and 02:30 never.
REPEATED = datetime(2025, 11, 2, 1, 30)
SKIPPED = datetime(2025, 3, 9, 2, 30)


def test_the_time_zone_has_the_ways_of_pytz() -> None:
    zone = compat.instrument_db["Titan"].timezone
    assert isinstance(zone, ZoneInfo)
    assert zone.zone == zone.key == str(zone) == "Europe/Berlin"
    assert zone.localize(datetime(2025, 7, 1, 12)).isoformat() == "2025-07-01T12:00:00+02:00"


@pytest.mark.parametrize("fold", [0, 1])
def test_the_repeated_hour_is_the_second_unless_summer_time_is_asked_for(fold: int) -> None:
    time = REPEATED.replace(fold=fold)
    assert NEW_YORK.localize(time).isoformat() == "2025-11-02T01:30:00-05:00"
    assert NEW_YORK.localize(time, is_dst=False).isoformat() == "2025-11-02T01:30:00-05:00"
    assert NEW_YORK.localize(time, is_dst=True).isoformat() == "2025-11-02T01:30:00-04:00"


def test_a_time_that_the_clocks_skip() -> None:
    assert NEW_YORK.localize(SKIPPED).isoformat() == "2025-03-09T02:30:00-05:00"
    assert NEW_YORK.localize(SKIPPED, is_dst=True).isoformat() == "2025-03-09T02:30:00-04:00"
    shown = NEW_YORK.normalize(NEW_YORK.localize(SKIPPED))
    assert shown.isoformat() == "2025-03-09T03:30:00-04:00"


def test_times_in_doubt_can_be_refused() -> None:
    for time in (REPEATED, SKIPPED):
        with pytest.raises(ValueError, match="America/New_York show 2025-"):
            NEW_YORK.localize(time, is_dst=None)
    assert NEW_YORK.localize(datetime(2025, 7, 1), is_dst=None).utcoffset() == timedelta(hours=-4)


def test_adding_to_a_time_goes_by_the_clocks() -> None:
    before = NEW_YORK.localize(datetime(2025, 11, 1, 12))
    assert NEW_YORK.normalize(before + timedelta(hours=24)).isoformat() == (
        "2025-11-02T12:00:00-05:00"
    )
    later = NEW_YORK.normalize(before.astimezone(UTC) + timedelta(hours=24))
    assert later.isoformat() == "2025-11-02T11:00:00-05:00"


def test_naive_and_aware_are_not_mixed_up() -> None:
    with pytest.raises(ValueError, match="has a time zone already"):
        NEW_YORK.localize(START)
    with pytest.raises(ValueError, match="has no time zone"):
        NEW_YORK.normalize(REPEATED)
    assert NEW_YORK.normalize(START).isoformat() == "2025-01-15T05:00:00-05:00"


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda zone: pickle.loads(pickle.dumps(zone))]
)
def test_a_copy_of_a_zone_is_the_zone(duplicate: Callable[[Any], Any]) -> None:
    assert duplicate(NEW_YORK) == NEW_YORK
    assert {duplicate(NEW_YORK), NEW_YORK, InstrumentTimezone("America/New_York")} == {NEW_YORK}
    time = NEW_YORK.localize(REPEATED)
    assert duplicate(time).isoformat() == time.isoformat()


def test_a_zone_equals_the_zoneinfo_of_its_name() -> None:
    zone, plain = NEW_YORK, ZoneInfo("America/New_York")
    assert zone == plain
    assert plain == zone
    assert {zone, plain} == {plain}
    assert zone != ZoneInfo("Europe/Berlin")
    assert zone != InstrumentTimezone("US/Eastern")
    assert zone != "America/New_York"


def test_localizing_is_as_nexuslims_does_and_storing_is_not() -> None:
    titan = compat.instrument_db["Titan"]
    repeated = datetime(2025, 10, 26, 2, 30)
    assert titan.localize_datetime(repeated).isoformat() == "2025-10-26T02:30:00+01:00"
    assert titan.localize_datetime_str(repeated) == "2025-10-26 02:30:00 CET"
    summer = datetime(2025, 7, 1, 12, tzinfo=UTC)
    assert titan.localize_datetime(summer).isoformat() == "2025-07-01T14:00:00+02:00"

    for event_type in (EventType.START, EventType.END):
        event(event_type, repeated).insert_log()
    assert {log.timestamp.isoformat() for log in compat.get_all_session_logs()} == {
        "2025-10-26T02:30:00+02:00"
    }
    (session,) = compat.get_sessions_to_build()
    assert session.dt_from.isoformat() == "2025-10-26T02:30:00+02:00"
    assert session.instrument is not None
    assert isinstance(session.instrument.timezone, InstrumentTimezone)


# -- the rest -----------------------------------------------------------------------------


def test_any_thread_may_call() -> None:
    event(EventType.START, START).insert_log()
    found: list[SessionLog] = []
    thread = threading.Thread(target=lambda: found.extend(compat.get_all_session_logs()))
    thread.start()
    thread.join()
    assert [log.session_identifier for log in found] == ["abc"]


def test_every_name_of_the_contract_is_there() -> None:
    section_8 = {
        *("EventType", "ExternalSystem", "ExternalUserIdentifier", "Instrument", "RecordStatus"),
        *("Session", "SessionLog", "UploadLog"),
        *("get_all_external_ids", "get_external_id", "get_nexuslims_username"),
        *("get_all_session_logs", "get_sessions_to_build", "store_external_id"),
        *("get_instr_from_api_url", "get_instr_from_calendar_name", "get_instr_from_filepath"),
        *("instrument_db", "InstrumentTimezone"),
    }
    assert set(compat.__all__) == section_8
    assert all(hasattr(compat, name) for name in section_8)
