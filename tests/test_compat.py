"""NexusLIMS's names on our store. `tests/interop/test_compat.py` compares with the real ones."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from nexuslims_store import Instrument, Store, compat
from nexuslims_store.compat import EventType, ExternalSystem, RecordStatus, SessionLog

START = datetime(2025, 1, 15, 10, tzinfo=UTC)


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
                calendar_url="",
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
    assert session.update_session_status(RecordStatus.COMPLETED) is True
    assert compat.get_sessions_to_build() == []
    assert {log.record_status for log in compat.get_all_session_logs()} == {RecordStatus.COMPLETED}


def test_a_log_can_be_changed_and_is_still_checked() -> None:
    log = event(EventType.START, START)
    log.record_status = RecordStatus.ERROR
    assert log.record_status is RecordStatus.ERROR
    with pytest.raises(ValidationError, match="user"):
        log.user = 7  # type: ignore[assignment]


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


def test_external_ids() -> None:
    record = compat.store_external_id("bob", ExternalSystem.NEMO, "1", email="bob@example.com")
    assert record.external_system == "nemo"
    again = compat.store_external_id("bob", ExternalSystem.NEMO, "2", email="")
    assert (again.id, again.email) == (record.id, "bob@example.com")
    assert compat.get_external_id("bob", ExternalSystem.NEMO) == "2"
    assert compat.get_nexuslims_username("2", ExternalSystem.NEMO) == "bob"
    assert compat.get_all_external_ids("bob") == {"nemo": "2"}
    assert repr(again) == "ExternalUserIdentifier (username=bob, system=nemo, external_id=2)"


def test_any_thread_may_call() -> None:
    event(EventType.START, START).insert_log()
    found: list[SessionLog] = []
    thread = threading.Thread(target=lambda: found.extend(compat.get_all_session_logs()))
    thread.start()
    thread.join()
    assert [log.session_identifier for log in found] == ["abc"]


def test_every_name_of_the_contract_is_there() -> None:
    assert set(compat.__all__) == {
        "EventType",
        "ExternalSystem",
        "ExternalUserIdentifier",
        "Instrument",
        "RecordStatus",
        "Session",
        "SessionLog",
        "UploadLog",
        "get_all_external_ids",
        "get_all_session_logs",
        "get_external_id",
        "get_instr_from_api_url",
        "get_instr_from_filepath",
        "get_nexuslims_username",
        "get_sessions_to_build",
        "instrument_db",
        "store_external_id",
    }
