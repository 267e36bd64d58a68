"""The status of sessions: set, counted, reset, deleted."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from helpers.support import (
    SESSION,
    add_pair,
    instrument,
    log,
    memory_store,
    new_store,
    run,
    upload,
    write_log,
)

from nexuslims_store import (
    ConsentError,
    EventType,
    InvalidValueError,
    RecordStatus,
    ResetSummary,
    Store,
)

pytestmark = pytest.mark.usefixtures("each_store")

START = datetime.fromisoformat("2025-06-02T09:00:00-04:00")
END = datetime.fromisoformat("2025-06-02T11:30:00-04:00")
CONSENT = (RecordStatus.NO_CONSENT, RecordStatus.NO_RESERVATION)
RETRIED = (RecordStatus.ERROR, RecordStatus.NO_FILES_FOUND, RecordStatus.BUILT_NOT_EXPORTED)


def statuses(store: Store, session_identifier: str = SESSION) -> list[RecordStatus]:
    """The status of each row of a session, in the order of their ids."""
    logs = store.session_logs.list_for_session(session_identifier)
    return [event.record_status for event in sorted(logs, key=lambda log: log.id_session_log or 0)]


# -- status ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", RecordStatus)
@pytest.mark.parametrize("as_text", [True, False])
def test_the_status_of_all_rows_is_set(status: RecordStatus, as_text: bool) -> None:
    with memory_store() as store:
        add_pair(store)
        store.session_logs.insert(log(EventType.RECORD_GENERATION))
        add_pair(store, "bystander")
        changed = store.sessions.set_status(SESSION, status.value if as_text else status)
        assert changed == (0 if status is RecordStatus.TO_BE_BUILT else 3)
        assert statuses(store) == [status] * 3
        assert statuses(store, "bystander") == [RecordStatus.TO_BE_BUILT] * 2


def test_of_two_that_expect_the_same_status_one_changes_it() -> None:
    with memory_store() as store:
        add_pair(store)
        assert store.sessions.set_status(SESSION, "COMPLETED", expected="TO_BE_BUILT") == 2
        assert store.sessions.set_status(SESSION, "ERROR", expected="TO_BE_BUILT") == 0
        assert statuses(store) == [RecordStatus.COMPLETED] * 2
        assert store.sessions.set_status("nobody's", "ERROR") == 0


def test_a_row_in_another_status_than_expected_stays() -> None:
    with memory_store() as store:
        store.session_logs.insert(log(record_status="ERROR"))
        store.session_logs.insert(log(EventType.END))
        assert store.sessions.set_status(SESSION, "COMPLETED", expected="ERROR") == 1
        assert statuses(store) == [RecordStatus.COMPLETED, RecordStatus.TO_BE_BUILT]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("DONE",), InvalidValueError),
        (("ERROR", "DONE"), InvalidValueError),
        ((None,), TypeError),
        ((5,), TypeError),
    ],
)
def test_a_status_that_is_none_is_refused(
    arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    with memory_store() as store:
        add_pair(store)
        with pytest.raises(error, match="RecordStatus"):
            store.sessions.set_status(SESSION, *arguments)
        assert statuses(store) == [RecordStatus.TO_BE_BUILT] * 2


def test_sessions_are_counted_by_the_status_of_their_start() -> None:
    with memory_store(instrument(), instrument("Other")) as store:
        add_pair(store, "1")
        add_pair(store, "1", instrument="Other")
        add_pair(store, "2", record_status="ERROR")
        store.session_logs.insert(log(session_identifier="3", record_status="WAITING_FOR_END"))
        store.session_logs.insert(log(EventType.END, session_identifier="no START"))
        store.session_logs.insert(log(EventType.RECORD_GENERATION, session_identifier="4"))
        counts = store.sessions.counts_by_status()
        assert counts == {
            RecordStatus.TO_BE_BUILT: 2,
            RecordStatus.ERROR: 1,
            RecordStatus.WAITING_FOR_END: 1,
        }
        assert counts[RecordStatus.COMPLETED] == 0
        assert all(isinstance(status, RecordStatus) for status in counts)


@pytest.mark.only_sqlite("PostgreSQL's CHECKs hold for everybody")
def test_sessions_of_a_status_that_is_none_are_in_no_count_but_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with new_store(tmp_path) as store:
        for name, status in enumerate(("DONE", "ERROR", "DONE", "", "TO_BE_BUILT")):
            write_log(store, session_identifier=str(name), record_status=status)
        assert store.sessions.counts_by_status() == {"ERROR": 1, "TO_BE_BUILT": 1}
    assert sorted((record.levelno, record.getMessage()) for record in caplog.records) == [
        (logging.WARNING, "1 session with a status that is none: ''"),
        (logging.WARNING, "2 sessions with a status that is none: 'DONE'"),
    ]


@pytest.mark.parametrize("status", RecordStatus)
def test_a_session_is_reset(status: RecordStatus) -> None:
    with memory_store() as store:
        add_pair(store, record_status=status)
        if status in CONSENT:
            with pytest.raises(ConsentError, match=status.value):
                store.sessions.reset(SESSION)
            assert statuses(store) == [status] * 2
        named = [status] if status in CONSENT else None
        changed = store.sessions.reset(SESSION, named)
        assert changed == (0 if status is RecordStatus.TO_BE_BUILT else 2)
        assert statuses(store) == [RecordStatus.TO_BE_BUILT] * 2


@pytest.mark.parametrize("failed", ["A", "B"])
def test_of_instruments_that_share_an_identifier_each_session_is_reset_by_its_own_status(
    failed: str,
) -> None:
    with memory_store(instrument("A"), instrument("B")) as store:
        for pid in ("A", "B"):
            status = RecordStatus.ERROR if pid == failed else RecordStatus.COMPLETED
            add_pair(store, instrument=pid, record_status=status)
        assert store.sessions.reset(SESSION, ["ERROR"]) == 2
        assert {
            (event.instrument, event.record_status)
            for event in store.session_logs.list_for_session(SESSION)
        } == {
            (failed, RecordStatus.TO_BE_BUILT),
            ("AB".replace(failed, ""), RecordStatus.COMPLETED),
        }


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (None, RETRIED),
        ((RecordStatus.NO_CONSENT,), (RecordStatus.NO_CONSENT,)),
        (("ERROR", "NO_RESERVATION"), (RecordStatus.ERROR, RecordStatus.NO_RESERVATION)),
        ((), ()),
    ],
)
def test_sessions_of_a_bad_week_are_reset_by_status(
    named: tuple[str, ...] | None, expected: tuple[RecordStatus, ...]
) -> None:
    arguments: dict[str, Any] = {} if named is None else {"statuses": named}
    with memory_store() as store:
        for status in RecordStatus:
            add_pair(store, status.value, record_status=status)
        week = (datetime(2025, 6, 1), datetime(2025, 6, 8))
        assert store.sessions.reset_between(*week, **arguments) == (len(expected), 0, 0)
        for status in RecordStatus:
            now = RecordStatus.TO_BE_BUILT if status in expected else status
            assert statuses(store, status.value) == [now] * 2


def test_consent_withheld_at_any_event_keeps_the_session() -> None:
    with memory_store() as store:
        for event in EventType:
            for status in CONSENT:
                name = f"{event.value} {status.value}"
                add_pair(store, name, record_status="ERROR")
                if event is EventType.RECORD_GENERATION:
                    store.session_logs.insert(
                        log(event, session_identifier=name, record_status="ERROR")
                    )
                write_status(store, name, event, status)
        week = (datetime(2025, 6, 1), datetime(2025, 6, 8))
        # Two are in a state without consent by their START, and were not asked for.
        assert store.sessions.reset_between(*week) == ResetSummary(0, 4, 0)
        assert store.sessions.reset_between(*week, [RecordStatus.ERROR, CONSENT[0]]) == (3, 2, 0)
        assert store.sessions.reset_between(*week, [RecordStatus.ERROR, CONSENT[1]]) == (3, 0, 0)


def write_status(store: Store, identifier: str, event: EventType, status: RecordStatus) -> None:
    """Set the status of one event alone, as only a program that was stopped half-way leaves it."""
    run(
        store,
        "UPDATE session_log SET record_status = ? WHERE session_identifier = ? AND event_type = ?",
        (status.value, identifier, event.value),
    )


def test_whole_sessions_are_reset() -> None:
    with memory_store() as store:
        # Ends after the span; its claim is reset with it.
        add_pair(store, "across", end="2025-06-20T00:00:00-04:00", record_status="ERROR")
        store.session_logs.insert(
            log(EventType.RECORD_GENERATION, session_identifier="across", record_status="ERROR")
        )
        # Has only its END in the span.
        add_pair(store, "early", start="2025-05-01T00:00:00-04:00", record_status="ERROR")
        # Has no END.
        store.session_logs.insert(log(session_identifier="open", record_status="ERROR"))
        # On the last moment of the last day, and on the first of the day after.
        add_pair(store, "last", "2025-06-07T23:59:59", "2025-06-08T01:00:00", record_status="ERROR")
        add_pair(
            store, "after", "2025-06-08T00:00:00", "2025-06-08T01:00:00", record_status="ERROR"
        )
        assert store.sessions.reset_between(datetime(2025, 6, 1), datetime(2025, 6, 8)) == (2, 0, 0)
        assert statuses(store, "across") == [RecordStatus.TO_BE_BUILT] * 3
        assert statuses(store, "last") == [RecordStatus.TO_BE_BUILT] * 2
        for untouched in ("early", "open", "after"):
            assert set(statuses(store, untouched)) == {RecordStatus.ERROR}


@pytest.mark.parametrize(
    ("end", "since", "is_reset"),
    [
        ("2025-06-02T11:30:00-04:00", "2025-06-02T11:29:59.999999-04:00", True),
        ("2025-06-02T11:30:00-04:00", "2025-06-02T17:30:00+02:00", True),
        ("2025-06-02T11:30:00-04:00", "2025-06-02T11:30:00.000001-04:00", False),
        ("2025-06-02T11:30:00-04:00", "2025-06-02T15:30:00", True),
        ("2025-06-02T11:30:00-04:00", "2025-06-02T15:30:00.000001", False),
        ("2025-06-02T11:30:00", "2025-06-02T15:30:00", True),
        ("2025-06-02T11:30:00", "2025-06-02T15:30:00.000001", False),
        ("noon", "2025-06-09T00:00:00", True),
    ],
)
def test_only_sessions_that_ended_since_are_reset(
    tmp_path: Path, end: str, since: str, is_reset: bool
) -> None:
    with new_store(tmp_path) as store:
        write_log(store, record_status="ERROR")
        write_log(store, event_type="END", record_status="ERROR", timestamp=end)
        week = (datetime(2025, 6, 1), datetime(2025, 6, 8))
        found = store.sessions.reset_between(*week, ended_since=datetime.fromisoformat(since))
        assert found == (int(is_reset), 0, 0)
        now = RecordStatus.TO_BE_BUILT if is_reset else RecordStatus.ERROR
        assert store.sessions.counts_by_status() == {now: 1}


def test_a_session_is_deleted_with_its_uploads() -> None:
    with memory_store() as store:
        for identifier in (SESSION, "bystander"):
            add_pair(store, identifier)
            store.upload_logs.insert(upload(session_identifier=identifier))
        store.session_logs.insert(log(EventType.RECORD_GENERATION))
        assert store.sessions.delete(SESSION) == 3
        assert store.sessions.delete(SESSION) == 0
        assert store.session_logs.list_for_session(SESSION) == []
        assert store.upload_logs.list_for_session(SESSION) == []
        assert len(store.session_logs.list_for_session("bystander")) == 2
        assert len(store.upload_logs.list_for_session("bystander")) == 1
