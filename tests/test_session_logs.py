"""Session logs: inserted once, corrected while nothing was built, read in the order of time."""

from __future__ import annotations

import itertools
import logging
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from helpers.support import (
    PID,
    SESSION,
    contents,
    instrument,
    log,
    memory_store,
    new_store,
    place_of,
    write,
    write_log,
)

from nexuslims_store import (
    EventType,
    InsertSummary,
    InvalidRowError,
    RecordStatus,
    SessionLog,
    Store,
    StoreError,
    UnknownInstrumentError,
)

pytestmark = pytest.mark.usefixtures("each_store")

EVENTS = (EventType.START, EventType.END)
NOT_BUILT_YET = (RecordStatus.WAITING_FOR_END, RecordStatus.TO_BE_BUILT)
BUILT = tuple(status for status in RecordStatus if status not in NOT_BUILT_YET)
LATER = "2025-06-02T10:15:00-04:00"


def test_a_new_event_is_stored_and_returned_with_its_id() -> None:
    with memory_store() as store:
        start = store.session_logs.insert(log(id_session_log=77))
        end = store.session_logs.insert(log(EventType.END))
        assert (start.id_session_log, end.id_session_log) == (1, 2)
        assert start == log(id_session_log=1)
        assert store.session_logs.get(1) == start
        assert store.session_logs.list_for_session(SESSION) == [start, end]
        assert store.session_logs.count() == 2


@pytest.mark.parametrize("event_type", EVENTS)
@pytest.mark.parametrize("times", [1, 3])
def test_the_same_event_is_stored_once(event_type: EventType, times: int) -> None:
    with memory_store() as store:
        first = store.session_logs.insert(log(event_type))
        for _ in range(times):
            assert store.session_logs.insert(log(event_type)) == first
        assert store.session_logs.count() == 1


@pytest.mark.parametrize(
    "other",
    [
        {"session_identifier": "another session"},
        {"instrument": "Another instrument"},
        {"event_type": EventType.END},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_session_instrument_or_type_is_another_event(other: dict[str, Any]) -> None:
    with memory_store(instrument(), instrument("Another instrument")) as store:
        store.session_logs.insert(log())
        store.session_logs.insert(log(**other))
        assert store.session_logs.count() == 2


def test_every_attempt_to_build_is_an_event_of_its_own() -> None:
    with memory_store() as store:
        ids = {
            store.session_logs.insert(log(EventType.RECORD_GENERATION)).id_session_log
            for _ in range(3)
        }
        assert ids == {1, 2, 3}


@pytest.mark.parametrize("event_type", EVENTS)
@pytest.mark.parametrize("status", NOT_BUILT_YET)
@pytest.mark.parametrize(
    "correction",
    [
        {"timestamp": LATER},
        {"user": "someone else"},
        {"user": None},
        {"timestamp": LATER, "user": "someone else"},
        {"timestamp": datetime(2025, 6, 2, 10, 15)},
    ],
    ids=["time", "user", "no user", "both", "naive time"],
)
def test_a_scheduler_may_correct_what_was_not_built(
    event_type: EventType, status: RecordStatus, correction: dict[str, Any]
) -> None:
    with memory_store() as store:
        old = store.session_logs.insert(log(event_type, record_status=status))
        new = store.session_logs.insert(log(event_type, record_status=status, **correction))
        expected: dict[str, Any] = (
            {"timestamp": datetime.fromisoformat(LATER)} if "timestamp" in correction else {}
        )
        if "user" in correction:
            expected["user"] = correction["user"]
        assert new == old.model_copy(update=expected)
        assert store.session_logs.list_for_session(SESSION) == [new]


@pytest.mark.parametrize("status", BUILT)
def test_what_was_built_is_not_corrected(
    status: RecordStatus, caplog: pytest.LogCaptureFixture
) -> None:
    with memory_store() as store, caplog.at_level(logging.WARNING, "nexuslims_store"):
        old = store.session_logs.insert(log(record_status=status))
        assert not caplog.records
        assert store.session_logs.insert(log(record_status=status)) == old
        assert store.session_logs.insert(log(timestamp=LATER, user="someone else")) == old
        assert store.session_logs.list_for_session(SESSION) == [old]
    _, record = caplog.records
    about = vars(record)
    assert (about["session_identifier"], about["instrument"]) == (SESSION, PID)
    assert {each.levelno for each in caplog.records} == {logging.WARNING}
    for part in (SESSION, PID, status.value, LATER, "someone else"):
        assert part in record.getMessage()


def insert_alone(store: Store, event: SessionLog) -> SessionLog:
    return store.session_logs.insert(event)


def insert_among_many(store: Store, event: SessionLog) -> SessionLog:
    store.session_logs.insert_many([event])
    (stored,) = store.session_logs.list_for_session(event.session_identifier)
    return stored


@pytest.mark.parametrize("insert", [insert_alone, insert_among_many])
@pytest.mark.parametrize("time", [log().timestamp.isoformat(), LATER], ids=["same", "later"])
@pytest.mark.parametrize("stored", RecordStatus)
def test_a_status_moves_on_from_waiting_to_be_built_only(
    stored: RecordStatus, time: str, insert: Callable[[Store, SessionLog], SessionLog]
) -> None:
    with memory_store() as store:
        for new in RecordStatus:
            name = f"{SESSION}&to={new}"
            old = store.session_logs.insert(log(session_identifier=name, record_status=stored))
            found = insert(store, log(session_identifier=name, record_status=new, timestamp=time))
            moves_on = (stored, new) == NOT_BUILT_YET
            assert found.record_status is (new if moves_on else stored)
            assert store.session_logs.list_for_session(name) == [found]
            corrected = time == LATER and stored in NOT_BUILT_YET
            assert found.timestamp == (
                datetime.fromisoformat(LATER) if corrected else old.timestamp
            )


@pytest.mark.parametrize("same", ["2025-06-02T13:00:00Z", "2025-06-02 09:00:00"])
def test_a_time_that_only_looks_different_is_left_as_it_is_stored(
    tmp_path: Path, same: str
) -> None:
    with new_store(tmp_path) as store:
        write_log(store, timestamp=same)
        found = store.session_logs.insert(log())
        assert [row[3] for row in contents(store)["session_log"]] == [same]
        assert found.timestamp == datetime.fromisoformat(same)
        # The user alone is corrected.
        assert store.session_logs.insert(log(user="someone else")).user == "someone else"
        assert [row[3] for row in contents(store)["session_log"]] == [same]


@pytest.mark.parametrize("insert", [insert_alone, insert_among_many])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, None),
        ({"timestamp": "2025-06-02T13:00:00+00:00"}, None),
        ({"timestamp": LATER}, f"{LATER} by 'ned'"),
        ({"user": "someone else"}, "2025-06-02T09:00:00-04:00 by 'someone else'"),
        ({"user": None}, "2025-06-02T09:00:00-04:00 by None"),
        ({"record_status": "TO_BE_BUILT"}, "2025-06-02T09:00:00-04:00 by 'ned'"),
    ],
)
def test_what_is_corrected_is_logged_and_what_stays_is_not(
    caplog: pytest.LogCaptureFixture,
    given: dict[str, Any],
    said: str | None,
    insert: Callable[[Store, SessionLog], SessionLog],
) -> None:
    with memory_store() as store, caplog.at_level(logging.INFO, "nexuslims_store"):
        store.session_logs.insert(log(record_status="WAITING_FOR_END"))
        insert(store, log(**({"record_status": "WAITING_FOR_END"} | given)))
    about = f"START of session {SESSION!r} on {PID!r} was corrected"
    logged = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert logged == ([] if said is None else [(logging.INFO, f"{about}: {said} (row 1)")])
    for record in caplog.records:
        values = vars(record)
        assert (values["session_identifier"], values["instrument"]) == (SESSION, PID)


def test_of_several_rows_of_an_event_the_newest_is_corrected(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        write_log(store, timestamp="2025-06-02T08:00:00-04:00")
        write_log(store, timestamp="2025-06-02T07:00:00-04:00")
        assert store.session_logs.insert(log()).id_session_log == 2
        times = [str(row[3])[11:13] for row in contents(store)["session_log"]]
        assert times == ["08", "09"]


def test_an_unreadable_time_is_mended_by_the_next_harvest(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        write_log(store, timestamp="garbage")
        assert store.session_logs.insert(log()) == log(id_session_log=1)


@pytest.mark.parametrize("naive", [True, False])
def test_an_unknown_instrument_is_refused(tmp_path: Path, naive: bool) -> None:
    timestamp = datetime(2025, 6, 2, 9, tzinfo=None if naive else UTC)
    with new_store(tmp_path) as store:
        odd = log(instrument="Nobody's", timestamp=timestamp)
        for insert in (
            store.session_logs.insert,
            lambda event: store.session_logs.insert_many([event]),
        ):
            with pytest.raises(UnknownInstrumentError, match="Nobody's"):
                insert(odd)
        assert contents(store)["session_log"] == []


def test_a_naive_time_is_the_local_time_of_its_instrument(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.instruments.add(instrument("Berlin", timezone_str="Europe/Berlin"))
        naive = datetime(2025, 6, 2, 9, 0, 0, 5)
        stored = store.session_logs.insert(log(timestamp=naive))
        assert stored.timestamp == naive.replace(tzinfo=ZoneInfo("America/New_York"))
        store.session_logs.insert_many(
            [
                log(session_identifier="2", timestamp=naive, instrument="Berlin"),
                log(session_identifier="3", timestamp=naive),
            ]
        )
        assert [row[3] for row in contents(store)["session_log"]] == [
            "2025-06-02T09:00:00.000005-04:00",
            "2025-06-02T09:00:00.000005+02:00",
            "2025-06-02T09:00:00.000005-04:00",
        ]


def test_an_old_naive_row_comes_back_naive(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        write_log(store, timestamp="2018-11-13 13:01:30.123")
        (stored,) = store.session_logs.list_for_session(SESSION)
        assert stored.timestamp == datetime(2018, 11, 13, 13, 1, 30, 123_000)


@pytest.mark.only_sqlite("it steps in by a callback of sqlite3's")
def test_what_is_built_meanwhile_is_not_corrected(tmp_path: Path) -> None:
    """Another process finishes the session between the look at the row and the correction."""

    def finish_first(statement: str) -> None:
        if "UPDATE session_log" in statement:
            store.connection.set_trace_callback(None)
            write(store, "UPDATE session_log SET record_status = 'COMPLETED'")

    with new_store(tmp_path) as store:
        store.session_logs.insert(log())
        store.connection.set_trace_callback(finish_first)
        found = store.session_logs.insert(log(user="someone else"))
        assert contents(store)["session_log"][0][5:] == ("COMPLETED", "ned")
        assert found.user == "ned"


# -- many at once ----------------------------------------------------------------------


def test_many_are_summed_up_in_numbers() -> None:
    with memory_store() as store:
        store.session_logs.insert(log())
        store.session_logs.insert(log(session_identifier="built", record_status="COMPLETED"))
        summary = store.session_logs.insert_many(
            iter(
                [
                    log(),
                    log(timestamp=LATER),
                    log(EventType.END),
                    log(EventType.END),
                    log(EventType.END, user="someone else"),
                    log(session_identifier="built", timestamp=LATER),
                    log(EventType.RECORD_GENERATION),
                    log(EventType.RECORD_GENERATION),
                ]
            )
        )
        assert summary == InsertSummary(inserted=3, updated=2, unchanged=3)
        assert store.session_logs.count() == 5
        assert store.session_logs.insert_many([]) == InsertSummary(0, 0, 0)


@pytest.mark.parametrize(
    "before",
    [
        log(EventType.RECORD_GENERATION),
        log(session_identifier="new", record_status="COMPLETED"),
        log(session_identifier="new"),
        log(session_identifier="there"),
        log(session_identifier="built", timestamp=LATER),
    ],
    ids=["attempt to build", "new and built", "new", "there already", "built"],
)
def test_what_comes_first_keeps_nothing_from_being_corrected(before: SessionLog) -> None:
    with memory_store() as store:
        store.session_logs.insert_many(
            [log(), log(session_identifier="there"), log(session_identifier="built")]
        )
        store.sessions.set_status("built", "COMPLETED")
        summary = store.session_logs.insert_many([before, log(timestamp=LATER)])
        new = before.session_identifier in {"new", SESSION}
        assert summary == (int(new), 1, int(not new))
        corrected = store.session_logs.get(1)
        assert corrected is not None
        assert corrected.timestamp == datetime.fromisoformat(LATER)


def test_who_gives_what_is_built_is_warned_but_not_of_what_came_with_the_same_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    built = [log(session_identifier=str(number), record_status="COMPLETED") for number in range(2)]
    with memory_store() as store:
        store.session_logs.insert(built[0])
        assert store.session_logs.insert_many([*built, built[1]]) == (1, 0, 2)
    (message,) = caplog.messages
    assert "'0'" in message


@pytest.mark.parametrize(
    ("status", "given"),
    [
        ("WAITING_FOR_END", "WAITING_FOR_END"),
        ("TO_BE_BUILT", "TO_BE_BUILT"),
        ("TO_BE_BUILT", "WAITING_FOR_END"),
        *(("ERROR", given) for given in RecordStatus),
    ],
)
def test_what_is_there_already_waits_for_no_lock(tmp_path: Path, status: str, given: str) -> None:
    with new_store(tmp_path) as store, Store(place_of(store), timeout=0) as other:
        stored = other.session_logs.insert(log(record_status=status))
        with store.transaction():
            assert other.session_logs.insert(log(record_status=given)) == stored


@pytest.mark.only_sqlite("it lists statements by a callback of sqlite3's")
@pytest.mark.parametrize(
    ("stored", "given", "corrects"),
    [
        ("WAITING_FOR_END", "WAITING_FOR_END", False),
        ("TO_BE_BUILT", "TO_BE_BUILT", False),
        ("TO_BE_BUILT", "WAITING_FOR_END", False),
        ("WAITING_FOR_END", "TO_BE_BUILT", True),
    ],
)
def test_of_many_that_are_there_already_nothing_is_written(
    tmp_path: Path, stored: str, given: str, corrects: bool
) -> None:
    with new_store(tmp_path) as store:
        store.session_logs.insert(log(record_status=stored))
        ran: list[str] = []
        store.connection.set_trace_callback(ran.append)
        store.session_logs.insert_many([log(record_status=given)])
    assert any("UPDATE session_log" in statement for statement in ran) is corrects


def test_many_do_what_one_by_one_does() -> None:
    events = [
        log(event_type, session_identifier=identifier, timestamp=time, user=user, record_status=to)
        for to, user, time, identifier, event_type in itertools.product(
            NOT_BUILT_YET, ("ned", None), (LATER, "2025-06-02 09:00:00"), "12", EVENTS
        )
    ]
    with memory_store() as one_by_one, memory_store() as at_once:
        for event in events:
            one_by_one.session_logs.insert(event)
        at_once.session_logs.insert_many(events)
        assert list(at_once.session_logs.iter_all()) == list(one_by_one.session_logs.iter_all())


def test_many_are_all_or_none(tmp_path: Path) -> None:
    def events() -> Iterator[SessionLog]:
        yield log()
        yield log(EventType.END)
        raise LookupError("the scheduler went away")

    with new_store(tmp_path) as store:
        with pytest.raises(LookupError, match="went away"):
            store.session_logs.insert_many(events())
        with pytest.raises(UnknownInstrumentError):
            store.session_logs.insert_many([log(), log(instrument="Nobody's")])
        assert contents(store)["session_log"] == []


# -- reading ---------------------------------------------------------------------------


def test_order_is_by_instant_then_by_id(tmp_path: Path) -> None:
    # New York is at -04:00 then. In the order of their instants:
    times = [
        "2025-06-02T10:00:00+14:00",
        "2025-06-02 05:00:00",
        "2025-06-02T05:00:00.000001",
        "2025-06-02T09:30:00Z",
        "2025-06-02T06:00:00-04:00",
        "2025-06-02T10:00:00+00:00",
        "2025-06-02T09:00:00-08:00",
    ]
    scrambled = [times[position] for position in (4, 6, 2, 0, 5, 1, 3)]
    with new_store(tmp_path) as store:
        for number, time in enumerate(scrambled):
            # Of two at one instant the row that was stored first comes first.
            write_log(store, timestamp=time, event_type="RECORD_GENERATION", user=str(number))
        for found in (
            list(store.session_logs.iter_all()),
            store.session_logs.list_for_session(SESSION),
            store.session_logs.list_by_status(RecordStatus.TO_BE_BUILT),
        ):
            assert [scrambled[int(str(event.user))] for event in found] == times


@pytest.mark.parametrize("status", RecordStatus)
def test_events_are_listed_by_status(status: RecordStatus) -> None:
    with memory_store() as store:
        for other in RecordStatus:
            store.session_logs.insert(log(session_identifier=other.value, record_status=other))
        for asked in (status, status.value):
            (found,) = store.session_logs.list_by_status(asked)
            assert found.session_identifier == status.value


def test_no_such_row() -> None:
    with memory_store() as store:
        assert store.session_logs.get(1) is None
        assert store.session_logs.list_for_session("nobody's") == []
        assert store.session_logs.list_by_status(RecordStatus.ERROR) == []
        assert list(store.session_logs.iter_all()) == []
        assert store.session_logs.remove(1) is False
        with pytest.raises(ValueError, match="DONE"):
            store.session_logs.list_by_status("DONE")  # type: ignore[arg-type]


def test_a_row_is_removed_by_its_id() -> None:
    with memory_store() as store:
        store.session_logs.insert(log())
        end = store.session_logs.insert(log(EventType.END))
        assert store.session_logs.remove(1) is True
        assert store.session_logs.list_for_session(SESSION) == [end]


@pytest.mark.slow
def test_streaming_takes_constant_memory() -> None:
    def peak(events: int) -> int:
        tracemalloc.start()
        for _ in store.session_logs.iter_all():
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert store.session_logs.count() == events
        return peak

    with memory_store() as store:
        peaks = []
        for size in (3_000, 9_000):
            numbers = range(store.session_logs.count(), size)
            store.session_logs.insert_many(log(session_identifier=str(n)) for n in numbers)
            peaks.append(peak(size))
    small, large = peaks
    assert large < 1.3 * small


@pytest.mark.only_sqlite("PostgreSQL has but texts, and these are valid")
@pytest.mark.parametrize("user", ["x'ff'", "CAST(x'ff' AS TEXT)"], ids=["BLOB", "not UTF-8"])
def test_streaming_ends_at_a_row_that_cannot_be_read_after_those_before_it(
    tmp_path: Path, user: str
) -> None:
    with new_store(tmp_path) as store:
        store.session_logs.insert_many(log(session_identifier=str(n)) for n in range(300))
        write_log(store, session_identifier="odd", timestamp="2026-01-01T00:00:00Z")
        write(store, f"UPDATE session_log SET user = {user} WHERE session_identifier = 'odd'")
        events = store.session_logs.iter_all()
        read = [event.session_identifier for event in itertools.islice(events, 300)]
        assert read == [str(number) for number in range(300)]
        with pytest.raises(InvalidRowError) as caught:
            next(events)
        error = caught.value
        assert (error.table, error.row_id, error.column) == ("session_log", 301, "user")


def test_an_iterator_ends_with_its_store(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.session_logs.insert_many(log(session_identifier=str(n)) for n in range(600))
    events = store.session_logs.iter_all()
    next(events)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        list(events)


def test_an_iterator_that_is_left_does_not_lock_the_file(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.session_logs.insert_many(log(session_identifier=str(n)) for n in range(600))
        events = store.session_logs.iter_all()
        next(events)
        events.close()  # type: ignore[attr-defined]
        write_log(store, session_identifier="another program's")
        assert store.session_logs.count() == 601
