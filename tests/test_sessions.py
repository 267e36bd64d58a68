"""Sessions: pairing, what is odd, status, and builders that share the work by claims."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers.support import (
    PID,
    SESSION,
    Clock,
    add_pair,
    contents,
    in_transaction,
    instrument,
    log,
    memory_store,
    new_store,
    write,
    write_log,
)
from pydantic import ValidationError

from nexuslims_store import (
    DatabaseLockedError,
    EventType,
    Instrument,
    InvalidRowError,
    InvalidValueError,
    RecordStatus,
    Session,
    Store,
    UnknownInstrumentError,
    UnpairedSession,
)

pytestmark = pytest.mark.usefixtures("each_store")
BLOB = pytest.mark.only_sqlite("PostgreSQL's columns hold but texts")

START = datetime.fromisoformat("2025-06-02T09:00:00-04:00")
END = datetime.fromisoformat("2025-06-02T11:30:00-04:00")


def identifiers(sessions: list[Session]) -> list[str]:
    """What the sessions are called."""
    return [session.session_identifier for session in sessions]


def statuses(store: Store, session_identifier: str = SESSION) -> list[RecordStatus]:
    """The status of each row of a session, in the order of their ids."""
    logs = store.session_logs.list_for_session(session_identifier)
    return [event.record_status for event in sorted(logs, key=lambda log: log.id_session_log or 0)]


# -- adding ----------------------------------------------------------------------------


@pytest.mark.parametrize("given", [PID, instrument()], ids=["pid", "instrument"])
def test_a_session_is_added_as_two_events(given: str | Instrument) -> None:
    with memory_store() as store:
        added = store.sessions.add(SESSION, given, START, END, "ned")
        assert added == Session(
            session_identifier=SESSION,
            instrument=instrument(),
            dt_from=START,
            dt_to=END,
            user="ned",
        )
        assert store.session_logs.list_for_session(SESSION) == [
            log(id_session_log=1),
            log(EventType.END, id_session_log=2),
        ]
        assert store.sessions.get(SESSION) == added
        assert store.sessions.list_to_build() == [added]


def test_a_session_added_twice_is_corrected() -> None:
    with memory_store() as store:
        store.sessions.add(SESSION, PID, START, END, "ned")
        later = timedelta(hours=3)
        corrected = store.sessions.add(SESSION, PID, START + later, END + later, "someone else")
        assert (corrected.dt_from, corrected.dt_to) == (START + later, END + later)
        assert corrected.user == "someone else"
        assert store.sessions.list_to_build() == [corrected]
        assert store.session_logs.count() == 2


def test_a_session_that_was_built_is_returned_as_it_is_stored() -> None:
    with memory_store() as store:
        built = store.sessions.add(SESSION, PID, START, END, "ned", RecordStatus.COMPLETED)
        assert store.sessions.add(SESSION, PID, END, END + timedelta(hours=1), "other") == built
        assert statuses(store) == [RecordStatus.COMPLETED] * 2


def test_naive_times_of_a_session_are_local() -> None:
    with memory_store() as store:
        added = store.sessions.add(SESSION, PID, START.replace(tzinfo=None), datetime(2025, 6, 3))
        assert added.dt_from == START
        assert added.dt_to.isoformat() == "2025-06-03T00:00:00-04:00"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"session_identifier": ""}, ValidationError),
        ({"user": 5}, TypeError),
        ({"session_identifier": 5}, TypeError),
        ({"end": START - timedelta(seconds=1)}, ValidationError),
        ({"status": "DONE"}, InvalidValueError),
        ({"start": "yesterday"}, TypeError),
        ({"instrument": "Nobody's"}, UnknownInstrumentError),
    ],
)
def test_a_session_is_added_whole_or_not_at_all(
    tmp_path: Path, wrong: dict[str, Any], error: type[Exception]
) -> None:
    arguments: dict[str, Any] = {
        "session_identifier": SESSION,
        "instrument": PID,
        "start": START,
        "end": END,
        "user": "ned",
    }
    with new_store(tmp_path) as store:
        with pytest.raises(error):
            store.sessions.add(**(arguments | wrong))
        assert contents(store)["session_log"] == []
        assert not in_transaction(store)


@pytest.mark.parametrize("wrong", ["user", "start", "end", "instrument"])
def test_what_is_no_part_of_a_session_is_named_alone_and_among_many(wrong: str) -> None:
    at = datetime(2025, 6, 2, 9)
    right = {"session_identifier": "1", "instrument": PID, "start": at, "end": at, "user": "ned"}
    given: Any = right | {wrong: b"x"}
    with memory_store() as store:
        for add in (lambda: store.sessions.add(**given), lambda: store.sessions.add_many([given])):
            with pytest.raises(TypeError, match=rf"^{wrong} must be a .*, not b'x' \(bytes\)"):
                add()
        assert store.session_logs.count() == 0


# -- pairing ---------------------------------------------------------------------------


def test_sessions_to_build_come_in_the_order_of_time() -> None:
    with memory_store(instrument(), instrument("Tokyo", timezone_str="Asia/Tokyo")) as store:
        add_pair(store, "3", "2025-06-02T09:00:00-04:00")
        add_pair(store, "2", "2025-06-02T20:00:00", "2025-06-02T23:30:00", instrument="Tokyo")
        add_pair(store, "4", "2025-06-02T13:00:00.000001+00:00", "2025-06-03T00:00:00+00:00")
        add_pair(store, "1", "2025-06-02T23:00:00+14:00", "2025-06-02T23:30:00+14:00")
        add_pair(store, "3b", "2025-06-02T13:00:00+00:00")
        expected = ["1", "2", "3", "3b", "4"]
        assert identifiers(store.sessions.list_to_build()) == expected
        claimed = [store.sessions.claim() for _ in expected]
        assert identifiers([session for session in claimed if session]) == expected


@pytest.mark.only_sqlite("it counts statements by a callback of sqlite3's")
def test_instruments_are_read_once_if_there_are_sessions(tmp_path: Path) -> None:
    def statements(store: Store) -> int:
        ran: list[str] = []
        store.connection.set_trace_callback(ran.append)
        list(store.sessions.iter_between(START, END))
        return len(ran)

    with new_store(tmp_path) as store:
        list(store.sessions.iter_between(START, END))  # the first time makes the views
        for_none = statements(store)
        store.sessions.add("first", PID, START, END)
        for_one = statements(store)
        # They come some hundred at a time.
        store.sessions.add_many((str(number), PID, START, END) for number in range(600))
        assert (for_none + 1, for_one) == (for_one, statements(store))


def test_users_need_not_agree() -> None:
    with memory_store() as store:
        store.session_logs.insert(log(user=None))
        store.session_logs.insert(log(EventType.END, user="someone else"))
        (session,) = store.sessions.list_to_build()
        assert session.user == "someone else"
        store.session_logs.insert(log(user="ned"))
        assert [session.user for session in store.sessions.list_to_build()] == ["ned"]
        assert store.sessions.list_unpaired() == []


def test_instruments_may_share_an_identifier() -> None:
    with memory_store(instrument(), instrument("Other")) as store:
        add_pair(store)
        add_pair(store, instrument="Other", start="2025-06-01T09:00:00-04:00")
        sessions = store.sessions.list_to_build()
        assert [session.instrument.instrument_pid for session in sessions] == ["Other", PID]
        found = store.sessions.get(SESSION)
        assert found is not None
        assert found.instrument.instrument_pid == "Other"


def test_a_zone_of_other_capitals_is_read_as_nexuslims_reads_it(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        # In the hour that the end of summer time repeats, so that the zone decides.
        for event_type, time in (("START", "2025-11-02T01:30:00"), ("END", "2025-11-02T01:10:00")):
            write_log(store, timestamp=time, event_type=event_type)
        (expected,) = store.sessions.list_to_build()
        write(store, "UPDATE instruments SET timezone = 'america/NEW_york'")
        (session,) = store.sessions.list_to_build()
        assert (session.dt_from, session.dt_to) == (expected.dt_from, expected.dt_to)
        assert session.instrument.timezone == expected.instrument.timezone
        assert session.instrument.timezone_str == "america/NEW_york"
        assert store.sessions.claim() == session


@pytest.mark.parametrize("status", RecordStatus)
def test_a_session_is_found_whatever_its_status(status: RecordStatus) -> None:
    with memory_store() as store:
        added = store.sessions.add(SESSION, PID, START, END, status=status)
        assert store.sessions.get(SESSION) == added
        assert store.sessions.list_to_build() == (
            [added] if status is RecordStatus.TO_BE_BUILT else []
        )


def test_the_newest_row_of_each_event_counts(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        for hour, event_type in itertools.product((5, 9, 8), ("START", "END")):
            time = f"2025-06-02T{hour + (event_type == 'END'):02}:30:00-04:00"
            write_log(store, timestamp=time, event_type=event_type)
        (session,) = store.sessions.list_to_build()
        assert session.dt_from.isoformat() == "2025-06-02T08:30:00-04:00"
        assert session.dt_to.isoformat() == "2025-06-02T09:30:00-04:00"
        assert store.sessions.get(SESSION) == session
        assert store.sessions.claim() == session
        between = list(store.sessions.iter_between(datetime(2025, 6, 2), datetime(2025, 6, 3)))
        assert between == [session]
        assert store.sessions.list_unpaired() == []


ODD = {
    "no END": ([{}], "START without an END", (1, None)),
    "no START": ([{"event_type": "END"}], "END without a START", (None, 1)),
    "END before START": (
        [{}, {"event_type": "END", "timestamp": "2025-06-02T08:00:00-04:00"}],
        "END before its START",
        (1, 2),
    ),
    "END before START, in another zone": (
        [
            {"timestamp": "2025-06-02T09:00:00"},
            {"event_type": "END", "timestamp": "2025-06-02 12:59Z"},
        ],
        "END before its START",
        (1, 2),
    ),
    "unknown instrument": (
        [{"instrument": "Nobody's"}, {"instrument": "Nobody's", "event_type": "END"}],
        "unknown instrument",
        (1, 2),
    ),
    "instrument that is a BLOB": (
        [{"instrument": b"\xff"}, {"instrument": b"\xff", "event_type": "END"}],
        "unknown instrument",
        (1, 2),
    ),
    "unreadable START": (
        [{"timestamp": "yesterday"}, {"event_type": "END"}],
        "unreadable time of the START: 'yesterday'",
        (1, 2),
    ),
    "unreadable END": (
        [{}, {"event_type": "END", "timestamp": ""}],
        "unreadable time of the END: ''",
        (1, 2),
    ),
    "time that is a BLOB": (
        [{"timestamp": b"2025-06-02T09:00:00Z"}, {"event_type": "END"}],
        "unreadable time of the START",
        (1, 2),
    ),
    "identifier that is a BLOB": (
        [{"session_identifier": b"1"}, {"session_identifier": b"1", "event_type": "END"}],
        "session_identifier that is not valid",
        (1, 2),
    ),
    "user that is a BLOB": ([{"user": b"ned"}, {"event_type": "END"}], "user that is", (1, 2)),
}


@pytest.mark.parametrize(
    ("rows", "reason", "ids"),
    [pytest.param(*odd, id=name, marks=[BLOB] * ("BLOB" in name)) for name, odd in ODD.items()],
)
def test_odd_events_are_reported_and_never_in_the_way(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    rows: list[dict[str, object]],
    reason: str,
    ids: tuple[int | None, int | None],
) -> None:
    with new_store(tmp_path, clock=Clock()) as store:
        for row in rows:
            write_log(store, **row)
        good = store.sessions.add("good", PID, START, END)
        assert store.sessions.list_to_build() == [good]
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert reason in record.getMessage()
        (odd,) = store.sessions.list_unpaired()
        assert isinstance(odd, UnpairedSession)
        assert reason in odd.reason
        assert (odd.start_id, odd.end_id) == ids
        assert odd.session_identifier == rows[0].get("session_identifier", SESSION)
        assert list(store.sessions.iter_between(START, END)) == [good]
        assert store.sessions.claim() == good
        assert store.sessions.claim() is None


@pytest.mark.parametrize(
    "read",
    [
        lambda sessions: sessions.list_to_build(),
        lambda sessions: sessions.get(SESSION) or [],
        lambda sessions: list(sessions.iter_between(START, END)),
    ],
    ids=["list_to_build", "get", "iter_between"],
)
def test_who_leaves_out_what_is_no_session_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, read: Callable[[Any], list[Session]]
) -> None:
    with new_store(tmp_path) as store:
        write_log(store)
        write_log(store, event_type="END", timestamp="2025-06-02T08:00:00-04:00")
        assert read(store.sessions) == []
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"session {SESSION!r} on {PID!r} cannot be built: an END before its START: "
        "'2025-06-02T09:00:00-04:00' to '2025-06-02T08:00:00-04:00' (rows 1 and 2)"
    )
    about = vars(record)
    assert (about["session_identifier"], about["instrument"]) == (SESSION, PID)


def test_only_events_to_be_built_are_looked_at(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        write_log(store, session_identifier="open", record_status="WAITING_FOR_END")
        write_log(store, session_identifier="done", event_type="END", record_status="ERROR")
        assert store.sessions.list_unpaired() == []
        write_log(store, record_status="TO_BE_BUILT")
        write_log(store, event_type="END", record_status="COMPLETED")
        (odd,) = store.sessions.list_unpaired()
        assert (odd.start_id, odd.end_id) == (3, None)
        assert store.sessions.list_to_build() == []


def test_an_instrument_that_is_not_valid_keeps_only_its_own_sessions(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.instruments.add(instrument("Mars"))
        add_pair(store, "lost", instrument="Mars")
        add_pair(store, "good")
        write(store, "UPDATE instruments SET timezone = 'Mars' WHERE instrument_pid = 'Mars'")
        assert identifiers(store.sessions.list_to_build()) == ["good"]
        (odd,) = store.sessions.list_unpaired()
        assert "Mars" in odd.reason
        assert store.sessions.claim() is not None
        assert store.sessions.claim() is None
        with pytest.raises(InvalidRowError) as caught:
            store.sessions.get("lost")
        error = caught.value
        assert (error.table, error.row_id, error.column) == ("instruments", "Mars", "timezone")


def test_an_instrument_that_cannot_be_read_just_now_is_no_unknown_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: str) -> None:
        raise DatabaseLockedError("still locked")

    with memory_store() as store:
        add_pair(store)
        monkeypatch.setattr(store.sessions._instruments, "get", fail)
        with pytest.raises(DatabaseLockedError, match="still locked"):
            store.sessions.get(SESSION)
        monkeypatch.undo()
        assert store.sessions.get(SESSION) is not None


@pytest.mark.parametrize(
    ("rows", "row_id", "column"),
    [
        ([{"timestamp": "yesterday"}, {"event_type": "END"}], 1, "timestamp"),
        ([{}, {"event_type": "END", "timestamp": "tomorrow"}], 2, "timestamp"),
        ([{"instrument": "X"}, {"instrument": "X", "event_type": "END"}], 1, "instrument"),
        pytest.param([{"user": b"\0"}, {"event_type": "END"}], 1, "user", marks=BLOB),
    ],
)
def test_a_session_asked_for_by_name_says_which_row_is_not_valid(
    tmp_path: Path, rows: list[dict[str, object]], row_id: int, column: str
) -> None:
    with new_store(tmp_path) as store:
        for row in rows:
            write_log(store, **row)
        with pytest.raises(InvalidRowError, match="doctor") as caught:
            store.sessions.get(SESSION)
    error = caught.value
    assert (error.table, error.row_id, error.column) == ("session_log", row_id, column)


def test_of_no_sessions_none_is_the_latest() -> None:
    with memory_store() as store:
        assert list(store.sessions.iter_overview(limit=1)) == []
        assert store.sessions.oldest_to_build() is None


def test_a_session_that_is_not_whole_is_none(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        assert store.sessions.get(SESSION) is None
        store.session_logs.insert(log())
        assert store.sessions.get(SESSION) is None
        store.session_logs.insert(log(EventType.END, timestamp="2025-06-02T08:00:00-04:00"))
        assert store.sessions.get(SESSION) is None


# -- a span of time --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("2025-06-02T09:00:00-04:00", "2025-06-02T09:00:00.000001-04:00", ["b"]),
        ("2025-06-02T09:00:00.000001-04:00", "2025-06-04T00:00:00-04:00", ["c"]),
        ("2025-06-01T00:00:00-04:00", "2025-06-02T13:00:00+00:00", ["a"]),
        ("2025-06-01T00:00:00", "2025-06-03T00:00:00", ["a", "b", "c"]),
        ("2025-06-02T00:00:00", "2025-06-03T00:00:00", ["b", "c"]),
        ("0001-01-01T00:00:00", "9999-12-31T23:59:59.999999", ["a", "b", "c"]),
        ("2025-06-02T09:00:00", "2025-06-02T09:00:00", []),
        ("2025-06-03T00:00:00", "2025-06-01T00:00:00", []),
    ],
)
def test_a_span_has_its_start_and_not_its_end(start: str, end: str, found: list[str]) -> None:
    berlin = instrument("Berlin", timezone_str="Europe/Berlin")
    with memory_store(instrument(), berlin) as store:
        # On midnight in Berlin, and still the day before in New York.
        add_pair(store, "c", "2025-06-02T23:00:00", "2025-06-05T00:00:00", record_status="ERROR")
        add_pair(store, "b", record_status="COMPLETED")
        add_pair(store, "a", "2025-06-01T23:30:00", "2025-06-02T03:00:00", instrument="Berlin")
        store.session_logs.insert(log(session_identifier="no end"))
        sessions = store.sessions.iter_between(
            datetime.fromisoformat(start), datetime.fromisoformat(end)
        )
        assert identifiers(list(sessions)) == found
