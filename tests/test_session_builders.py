"""What builders do with sessions: they claim, release and finish them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from helpers.support import (
    NOW,
    PID,
    SESSION,
    Clock,
    add_pair,
    contents,
    instrument,
    log,
    memory_store,
    new_store,
    place_of,
    write_log,
)

from nexuslims_store import (
    ClaimLostError,
    EventType,
    RecordStatus,
)

pytestmark = pytest.mark.usefixtures("each_store")

START = datetime.fromisoformat("2025-06-02T09:00:00-04:00")
END = datetime.fromisoformat("2025-06-02T11:30:00-04:00")


# -- builders --------------------------------------------------------------------------


def test_a_record_generation_says_who_and_when() -> None:
    with memory_store(clock=Clock()) as store:
        session = store.sessions.add(SESSION, PID, START, END, "ned")
        stored = store.sessions.record_generation(session)
        assert stored == log(
            EventType.RECORD_GENERATION,
            timestamp=NOW.astimezone(ZoneInfo("America/New_York")),
            record_status="WAITING_FOR_END",
            user="nexuslims",
            id_session_log=3,
        )
        assert stored.timestamp.isoformat() == "2025-06-02T08:00:00.250000-04:00"
        assert store.session_logs.get(3) == stored


def test_builders_share_the_work() -> None:
    with memory_store(clock=Clock()) as store:
        expected = [
            store.sessions.add(str(day), PID, datetime(2025, 6, day), datetime(2025, 6, day + 1))
            for day in (1, 2, 3)
        ]
        assert [store.sessions.claim() for _ in range(4)] == [*expected, None]
        # Claims take nothing from what is to be built.
        assert store.sessions.list_to_build() == expected


@pytest.mark.parametrize("lease", [timedelta(hours=6), timedelta(minutes=1), timedelta(days=400)])
def test_a_claim_ends_with_its_lease(lease: timedelta) -> None:
    clock = Clock()
    with memory_store(clock=clock) as store:
        add_pair(store)
        assert store.sessions.claim(lease) is not None
        clock.now += lease - timedelta(microseconds=1)
        assert store.sessions.claim(lease) is None
        clock.now += timedelta(microseconds=1)
        assert store.sessions.claim(lease) is not None
        # The new claim counts, not the old one.
        assert store.sessions.claim(lease) is None


def test_the_default_lease_is_six_hours() -> None:
    clock = Clock()
    with memory_store(clock=clock) as store:
        add_pair(store)
        assert store.sessions.claim() is not None
        clock.move(hours=5, minutes=59)
        assert store.sessions.claim() is None
        clock.move(minutes=1)
        assert store.sessions.claim() is not None


def test_a_lease_may_never_end() -> None:
    clock = Clock()
    with memory_store(clock=clock) as store:
        add_pair(store)
        assert store.sessions.claim(timedelta.max) is not None
        clock.move(days=10_000)
        assert store.sessions.claim(timedelta.max) is None


def test_a_build_by_nexuslims_itself_is_a_claim(tmp_path: Path) -> None:
    with new_store(tmp_path, clock=Clock()) as store:
        add_pair(store)
        write_log(
            place_of(store),
            event_type="RECORD_GENERATION",
            timestamp="2025-06-02T07:00:00",  # local time, one hour ago
            record_status="WAITING_FOR_END",
        )
        assert store.sessions.claim() is None
        assert store.sessions.claim(timedelta(minutes=59)) is not None


@pytest.mark.parametrize(
    "claim",
    [
        {"session_identifier": "another session"},
        {"instrument": "Other"},
        {"record_status": "COMPLETED"},
        {"record_status": "TO_BE_BUILT"},
        {"timestamp": "garbage"},
    ],
)
def test_what_is_no_claim_of_the_session(tmp_path: Path, claim: dict[str, object]) -> None:
    with new_store(tmp_path, clock=Clock()) as store:
        add_pair(store)
        row = {
            "event_type": "RECORD_GENERATION",
            "timestamp": NOW.isoformat(),
            "record_status": "WAITING_FOR_END",
        }
        write_log(store, **(row | claim))
        assert store.sessions.claim() is not None


def test_a_released_session_is_as_if_it_was_never_claimed(tmp_path: Path) -> None:
    with new_store(tmp_path, clock=Clock()) as store:
        add_pair(store)
        before = contents(store)
        claimed = store.sessions.claim()
        assert claimed is not None
        assert store.sessions.release(claimed) is True
        assert contents(store) == before
        with pytest.raises(ClaimLostError):
            store.sessions.release(claimed)
        assert store.sessions.claim() == claimed


def test_a_session_that_was_not_claimed_cannot_be_released_or_renewed() -> None:
    with memory_store(clock=Clock()) as store:
        add_pair(store)
        (session,) = store.sessions.list_to_build()
        store.sessions.record_generation(session)
        for method in (store.sessions.release, store.sessions.renew):
            with pytest.raises(ClaimLostError, match="not claimed"):
                method(session)
        assert store.session_logs.count() == 3


@pytest.mark.parametrize("status", [*RecordStatus, "COMPLETED"])
def test_a_build_is_finished_with_all_its_rows(status: RecordStatus) -> None:
    with memory_store(instrument(), instrument("Other"), clock=Clock()) as store:
        add_pair(store)
        add_pair(store, start="2025-06-02T10:00:00-04:00", instrument="Other")
        claimed = store.sessions.claim()
        assert claimed is not None
        changed = store.sessions.finish(claimed, status)
        logs = store.session_logs.list_for_session(SESSION)
        assert [log.record_status for log in logs if log.instrument == PID] == [status] * 3
        assert [log.record_status for log in logs if log.instrument == "Other"] == (
            [RecordStatus.TO_BE_BUILT] * 2
        )
        waiting = {RecordStatus.TO_BE_BUILT: 1, RecordStatus.WAITING_FOR_END: 2}
        assert changed == waiting.get(RecordStatus(status), 3)


def test_a_session_that_was_reset_can_be_claimed_at_once() -> None:
    with memory_store(clock=Clock()) as store:
        add_pair(store)
        claimed = store.sessions.claim()
        assert claimed is not None
        store.sessions.finish(claimed, RecordStatus.ERROR)
        assert store.sessions.claim() is None
        store.sessions.reset(SESSION)
        assert store.sessions.claim() == claimed


def test_the_clock_may_be_in_any_zone() -> None:
    clock = Clock(NOW.astimezone(ZoneInfo("Asia/Tokyo")))
    with memory_store(clock=clock) as store:
        add_pair(store)
        assert store.sessions.claim() is not None
        clock.now = (NOW + timedelta(hours=5)).astimezone(UTC)
        assert store.sessions.claim() is None
        clock.now = (NOW + timedelta(hours=6)).astimezone(ZoneInfo("America/Los_Angeles"))
        assert store.sessions.claim() is not None


def test_a_naive_end_in_the_repeated_hour_is_after_its_start() -> None:
    with memory_store() as store:
        add_pair(store)
        store.connection.execute(
            "UPDATE session_log SET timestamp = CASE event_type "
            "WHEN 'START' THEN '2024-11-03T01:50:00' ELSE '2024-11-03T01:10:00' END"
        )
        (session,) = store.sessions.list_to_build()
        assert session.duration == timedelta(minutes=20)
        assert session.dt_to.isoformat() == "2024-11-03T01:10:00-05:00"


def test_a_reset_of_a_session_whose_name_is_not_utf_8_is_counted() -> None:
    with memory_store() as store:
        add_pair(store, record_status=RecordStatus.ERROR)
        store.connection.execute("UPDATE session_log SET session_identifier = CAST(x'ff' AS TEXT)")
        start, end = datetime(2025, 6, 1), datetime(2025, 6, 3)
        assert store.sessions.reset_between(start, end) == (1, 0, 0)
        assert store.sessions.reset_between(start, end) == (0, 0, 0)
