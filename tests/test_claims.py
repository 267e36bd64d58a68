"""Claims: fenced, renewed, released, given up; whatever clocks, ids and other builders do."""

from __future__ import annotations

import copy
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from helpers.support import (
    NOW,
    SESSION,
    Clock,
    add_pair,
    claimed,
    contents,
    new_store,
    place_of,
    session_of,
    status,
    write,
    write_log,
)

from nexuslims_store import (
    ClaimedError,
    ClaimLostError,
    InvalidValueError,
    ResetSummary,
    Session,
    Store,
)

pytestmark = pytest.mark.usefixtures("each_store")

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPAN = (datetime(2025, 1, 1), datetime(2026, 1, 1))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """A store with one session to build."""
    with new_store(tmp_path, clock=clock) as store:
        add_pair(store)
        yield store


# -- the fence -------------------------------------------------------------------------


@pytest.mark.parametrize("late", ["finish", "renew", "release"])
def test_a_builder_whose_session_was_taken_over_changes_nothing(
    store: Store, clock: Clock, late: str
) -> None:
    slow = claimed(store)
    clock.move(hours=7)
    quick = claimed(store)
    before = contents(store)
    arguments = ["ERROR"] if late == "finish" else []
    with pytest.raises(ClaimLostError, match="does not hold"):
        getattr(store.sessions, late)(slow, *arguments)
    assert contents(store) == before
    assert store.sessions.finish(quick, "COMPLETED") == 4
    # Finished now, so neither claim holds.
    for session in (slow, quick):
        with pytest.raises(ClaimLostError):
            getattr(store.sessions, late)(session, *arguments)
    assert status(store) == "COMPLETED"


def test_a_claim_that_ran_out_holds_until_somebody_takes_over(store: Store, clock: Clock) -> None:
    session = claimed(store)
    clock.move(days=30)
    assert store.sessions.finish(session, "COMPLETED") == 3


@pytest.mark.only_sqlite("PostgreSQL gives no id twice")
def test_a_row_that_was_given_the_same_id_is_another_claim(tmp_path: Path, clock: Clock) -> None:
    with new_store(tmp_path, clock=clock) as one, Store(place_of(one), clock=clock) as other:
        add_pair(one)
        first = claimed(one)
        (claim,) = one.sessions.list_claims()
        copied = pickle.loads(pickle.dumps(first))
        assert one.sessions.release(first) is True
        # The clock stands still, and SQLite gives the id again.
        second = claimed(other)
        (again,) = one.sessions.list_claims()
        assert again.id_session_log == claim.id_session_log
        for session in (first, copied):
            with pytest.raises(ClaimLostError):
                one.sessions.release(session)
            with pytest.raises(ClaimLostError):
                one.sessions.finish(session, "ERROR")
        assert one.sessions.claim() is None
        other.sessions.finish(second, "COMPLETED")


@pytest.mark.slow
def test_a_session_knows_its_claim_in_another_process_too(store: Store) -> None:
    session = claimed(store)
    sent = pickle.dumps(session)
    code = (
        "import pickle, sys; from nexuslims_store import Store\n"
        "with Store(sys.argv[1]) as store:\n"
        "    session = pickle.loads(bytes.fromhex(sys.argv[2]))\n"
        "    print(store.sessions.finish(session, 'COMPLETED'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, place_of(store), sent.hex()],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("3\n", "")
    with pytest.raises(ClaimLostError):
        store.sessions.finish(session, "ERROR")


def test_renewing_begins_the_lease_anew_and_outdates_copies(store: Store, clock: Clock) -> None:
    session = claimed(store)
    before = copy.copy(session)
    clock.move(hours=5)
    store.sessions.renew(session)
    after = pickle.loads(pickle.dumps(session))
    clock.move(hours=5, minutes=59)
    assert store.sessions.claim() is None
    with pytest.raises(ClaimLostError):
        store.sessions.finish(before, "ERROR")
    assert session == before == after
    assert store.sessions.finish(after, "COMPLETED") == 3


def test_renewing_at_the_same_moment_outdates_copies_too(store: Store) -> None:
    session = claimed(store)
    before = copy.copy(session)
    store.sessions.renew(session)
    with pytest.raises(ClaimLostError):
        store.sessions.release(before)
    store.sessions.release(session)


def test_a_session_that_others_finished_is_left_alone(store: Store) -> None:
    session = claimed(store)
    # As NexusLIMS does, which looks at no claims, and as somebody may who leaves the claim there.
    write(store, "UPDATE session_log SET record_status = 'COMPLETED' WHERE event_type <> 'X'")
    for _ in range(2):
        with pytest.raises(ClaimLostError):
            store.sessions.finish(session, "ERROR")
        write(
            place_of(store),
            "UPDATE session_log SET record_status = 'WAITING_FOR_END'"
            " WHERE event_type = 'RECORD_GENERATION'",
        )


def test_a_session_that_was_deleted_or_reset_is_no_longer_held(store: Store, clock: Clock) -> None:
    session = claimed(store)
    clock.move(hours=7)
    assert store.sessions.reset(SESSION) == 1
    with pytest.raises(ClaimLostError):
        store.sessions.finish(session, "ERROR")
    session = claimed(store)
    assert store.sessions.delete(SESSION) == 4
    with pytest.raises(ClaimLostError):
        store.sessions.renew(session)


def test_what_was_not_claimed_is_finished_whatever_others_do(store: Store) -> None:
    listed = session_of(store)
    claimed(store)
    assert store.sessions.finish(listed, "ERROR") == 3
    assert store.sessions.finish(listed, "COMPLETED") == 3


def test_a_claim_in_a_transaction_that_is_undone_was_none(store: Store) -> None:
    def claim_and_fail() -> None:
        with store.transaction():
            sessions.append(claimed(store))
            raise RuntimeError

    sessions: list[Session] = []
    with pytest.raises(RuntimeError):
        claim_and_fail()
    with pytest.raises(ClaimLostError):
        store.sessions.finish(sessions[0], "COMPLETED")
    assert store.sessions.claim() == sessions[0]


# -- clocks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "taken"),
    [
        (timedelta(minutes=5), False),
        (timedelta(minutes=5, microseconds=1), True),
        (timedelta(days=400), True),
    ],
)
def test_a_claim_of_a_clock_that_is_far_ahead_counts_as_run_out(
    store: Store, ahead: timedelta, taken: bool
) -> None:
    with Store(place_of(store), clock=Clock(NOW + ahead)) as other:
        assert other.sessions.claim() is not None
    (claim,) = store.sessions.list_claims()
    assert claim.is_stale(NOW, 6 * HOUR) is taken
    if not taken:
        with pytest.raises(ClaimedError):
            store.sessions.reset(SESSION)
    assert (store.sessions.claim() is not None) is taken


@pytest.mark.parametrize("again", ["renew", "release"])
@pytest.mark.parametrize(
    ("back", "dated"),
    [
        (0, 1),
        (1, 1),
        (999_999, 1),
        (1_000_000, -1_000_000),
        (3_000_000, -3_000_000),
        (-1, 1),
        (-9, 9),
    ],
)
def test_a_clock_that_stands_still_or_goes_back_a_little_dates_no_two_claims_alike(
    store: Store, clock: Clock, again: str, back: int, dated: int
) -> None:
    session = claimed(store)
    begun = clock()
    clock.move(microseconds=-back)
    getattr(store.sessions, again)(session)
    if again == "release":
        session = claimed(store)
    (claim,) = store.sessions.list_claims()
    assert claim.since == begun + timedelta(microseconds=dated)
    store.sessions.finish(session, "COMPLETED")


def test_a_clock_that_goes_back_makes_no_claim_of_another(store: Store, clock: Clock) -> None:
    first = claimed(store)
    clock.move(hours=7)
    second = claimed(store)
    clock.move(hours=-10)
    # Both claims lie ahead of what the clock shows now.
    third = claimed(store)
    for session in (first, second):
        with pytest.raises(ClaimLostError):
            store.sessions.finish(session, "ERROR")
    assert store.sessions.finish(third, "COMPLETED") == 5


# -- which session ---------------------------------------------------------------------


def test_the_claim_is_of_the_session_that_is_listed_and_shown_first(tmp_path: Path) -> None:
    with new_store(tmp_path, clock=Clock()) as store:
        for timestamp in ("2025-01-01T00:00:00-05:00", "2025-02-01T00:00:00-05:00"):
            write_log(store, session_identifier="moved", timestamp=timestamp)
        write_log(
            place_of(store),
            session_identifier="moved",
            event_type="END",
            timestamp="2025-02-02T00:00:00-05:00",
        )
        add_pair(store, "other", "2025-01-15T00:00:00-05:00", "2025-01-16T00:00:00-05:00")
        oldest = store.sessions.oldest_to_build()
        assert oldest is not None
        assert oldest.session_identifier == "other"
        assert store.sessions.list_to_build()[0].session_identifier == "other"
        assert claimed(store).session_identifier == "other"
        (activity,) = store.instruments.activity()
        assert activity.sessions_total == 2
        assert activity.last_session == datetime.fromisoformat("2025-02-01T00:00:00-05:00")


def test_many_are_claimed_in_the_order_of_time_whatever_the_form_of_their_times(
    tmp_path: Path,
) -> None:
    choose = random.Random(5)
    forms = ("%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M", "%G-W%V-%uT%H:%M%z", "%Y%m%dT%H%M%S")
    texts = []
    for number in range(80):
        # All of one day, by dates that are two days apart.
        east = number >= 48
        zone = timezone(timedelta(minutes=1439 if east else -1439))
        time = datetime(2024, 10, 3 if east else 1, tzinfo=zone) + choose.random() * DAY
        text = time.isoformat() if number % 4 else time.strftime(choose.choice(forms))
        texts.append((f"{text[:8]}32{text[10:]}" if number % 30 == 0 else text, str(number)))
    update = "UPDATE session_log SET timestamp = ? WHERE session_identifier = ?"
    with new_store(tmp_path, clock=Clock()) as store:
        with store.transaction():
            for _, name in texts:
                add_pair(store, name)
        write(store, *((f"{update} AND event_type = 'START'", text) for text in texts))
        waiting = [session.session_identifier for session in store.sessions.list_to_build()]
        first = [claimed(store).session_identifier for _ in waiting[:40]]
    assert first == waiting[:40]


@pytest.mark.only_sqlite("what is counted is told by SQLite's connection")
def test_who_was_overtaken_takes_the_next_without_waiting_again(
    tmp_path: Path, clock: Clock
) -> None:
    begun: list[str] = []
    quicker: list[str] = []
    with new_store(tmp_path, clock=clock) as slow, Store(place_of(slow), clock=clock) as other:
        for day in range(1, 6):
            add_pair(slow, str(day), f"2025-06-0{day}T09:00:00-04:00", "2025-06-20T00:00:00-04:00")

        def overtake(statement: str) -> None:
            if statement == "BEGIN IMMEDIATE":  # and has not the lock yet
                begun.append(statement)
                while len(quicker) < 3:
                    quicker.append(claimed(other).session_identifier)

        slow.connection.set_trace_callback(overtake)
        assert claimed(slow).session_identifier == "4"
    assert quicker == ["1", "2", "3"]
    assert len(begun) == 1


def test_sessions_that_were_given_back_are_skipped(tmp_path: Path) -> None:
    with new_store(tmp_path, clock=Clock()) as store:
        for day in range(1, 9):
            add_pair(store, str(day), f"2025-06-0{day}T09:00:00-04:00", "2025-06-20T00:00:00-04:00")
        first = claimed(store)
        store.sessions.release(first)
        assert claimed(store) == first
        early: set[str | Session] = {"2", "4"}
        third = store.sessions.claim(skip=early)
        assert third is not None
        assert third.session_identifier == "3"
        early.add(session_of(store, "5"))
        sixth = store.sessions.claim(skip=early)
        assert sixth is not None
        assert sixth.session_identifier == "6"
        assert store.sessions.claim(skip=[str(day) for day in range(1, 9)]) is None
        with pytest.raises(TypeError, match="skip"):
            store.sessions.claim(skip="2")


@pytest.mark.slow
def test_odd_and_claimed_sessions_are_passed_over_however_many_they_are(tmp_path: Path) -> None:
    with new_store(tmp_path, clock=Clock()) as store:
        with store.transaction():
            for number in range(20):
                add_pair(store, f"odd {number}", end="2025-06-02T08:00:00-04:00")
                add_pair(store, f"claimed {number:02}", "2025-06-02T09:30:00-04:00")
            add_pair(store, "free", "2025-06-02T10:00:00-04:00")
            for number in range(20):
                assert claimed(store).session_identifier == f"claimed {number:02}"
        assert claimed(store).session_identifier == "free"
        assert store.sessions.claim() is None


# -- resets ----------------------------------------------------------------------------


def test_a_session_that_is_being_built_is_not_reset(store: Store, clock: Clock) -> None:
    session = claimed(store)
    before = contents(store)
    with pytest.raises(ClaimedError, match="being built"):
        store.sessions.reset(SESSION)
    assert store.sessions.reset_between(*SPAN, ["TO_BE_BUILT"]) == ResetSummary(0, 0, 1)
    assert contents(store) == before
    store.sessions.finish(session, "ERROR")
    assert store.sessions.reset_between(*SPAN) == ResetSummary(1, 0, 0)
    # A builder that died keeps nobody from it once its lease has run out.
    claimed(store)
    store.sessions.set_status(SESSION, "ERROR", expected="TO_BE_BUILT")
    assert store.sessions.reset_between(*SPAN) == ResetSummary(0, 0, 1)
    clock.move(hours=6)
    assert store.sessions.reset_between(*SPAN) == ResetSummary(1, 0, 0)
    assert store.sessions.claim() is not None


def test_only_the_statuses_that_are_named_are_reset(store: Store) -> None:
    store.sessions.set_status(SESSION, "COMPLETED")
    assert store.sessions.reset(SESSION, ["ERROR"]) == 0
    assert store.sessions.reset(SESSION, ["ERROR", "COMPLETED"]) == 2
    assert store.sessions.reset("no such session") == 0
    with pytest.raises(InvalidValueError, match="DONE"):
        store.sessions.reset(SESSION, ["DONE"])  # type: ignore[list-item]
