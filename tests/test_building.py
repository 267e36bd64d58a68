"""Builds: how a block ends, wherever it is interrupted, and builders that are killed."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers.interruptions import interrupted
from helpers.platforms import needs_posix
from helpers.support import (
    PID,
    SESSION,
    Clock,
    add_pair,
    claimed,
    contents,
    new_store,
    place_of,
    status,
)

from nexuslims_store import (
    ClaimLostError,
    DatabaseLockedError,
    InvalidValueError,
    ReadOnlyError,
    RecordStatus,
    Session,
    Store,
)
from nexuslims_store.enums import StatusName

pytestmark = pytest.mark.usefixtures("each_store")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """A store with one session to build."""
    with new_store(tmp_path, clock=clock) as store:
        add_pair(store)
        yield store


# -- building --------------------------------------------------------------------------

OUTCOMES: dict[type[Exception], RecordStatus | StatusName] = {
    FileNotFoundError: RecordStatus.NO_FILES_FOUND,
    LookupError: "NO_CONSENT",
}


def test_a_block_that_goes_well_completes_the_session(store: Store) -> None:
    with store.sessions.building(claimed(store)) as session:
        assert session.session_identifier == SESSION
    assert status(store) == "COMPLETED"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (FileNotFoundError(), "NO_FILES_FOUND"),
        (KeyError(), "NO_CONSENT"),
        (IndexError(), "NO_CONSENT"),
    ],
)
def test_an_outcome_goes_no_further(store: Store, error: Exception, outcome: str) -> None:
    def fail() -> None:
        raise error

    with store.sessions.building(claimed(store), OUTCOMES):
        fail()
    assert status(store) == outcome


@pytest.mark.parametrize("error", [ValueError, OSError])
def test_another_exception_is_an_error_and_goes_on(store: Store, error: type[Exception]) -> None:
    with pytest.raises(error), store.sessions.building(claimed(store), OUTCOMES):
        raise error
    assert status(store) == "ERROR"


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_an_interrupt_releases_the_session(store: Store, interrupt: type[BaseException]) -> None:
    before = contents(store)
    with pytest.raises(interrupt), store.sessions.building(claimed(store), OUTCOMES):
        raise interrupt
    assert contents(store) == before


def test_what_the_block_has_settled_stays(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with store.sessions.building(claimed(store)) as session:
        store.sessions.release(session)
    assert status(store) == "TO_BE_BUILT"

    def finish_and_fail() -> None:
        with store.sessions.building(claimed(store)) as session:
            store.sessions.finish(session, "NO_FILES_FOUND")
            raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        finish_and_fail()
    assert status(store) == "NO_FILES_FOUND"
    assert caplog.records == []


def test_what_the_block_has_settled_stays_without_a_claim_too(store: Store) -> None:
    (session,) = store.sessions.list_to_build()
    with store.sessions.building(session):
        store.sessions.finish(session, "NO_FILES_FOUND")
    assert status(store) == "NO_FILES_FOUND"


def test_a_claim_that_was_lost_meanwhile(
    store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def lose() -> None:
        clock.move(hours=7)
        store.sessions.finish(claimed(store), "COMPLETED")

    with pytest.raises(ClaimLostError), store.sessions.building(claimed(store)):
        lose()
    assert store.sessions.reset(SESSION) == 4
    assert caplog.records == []

    def lose_and_fail() -> None:
        with store.sessions.building(claimed(store)):
            lose()
            raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        lose_and_fail()
    assert "does not hold" in caplog.text
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert vars(record).items() >= {"session_identifier": SESSION, "instrument": PID}.items()
    assert status(store) == "COMPLETED"


def test_an_outcome_of_a_claim_that_was_lost_goes_no_further(
    store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def lose_and_fail() -> None:
        clock.move(hours=7)
        store.sessions.finish(claimed(store), "COMPLETED")
        raise FileNotFoundError

    with store.sessions.building(claimed(store), OUTCOMES):
        lose_and_fail()
    assert "could not be set to NO_FILES_FOUND" in caplog.text
    assert status(store) == "COMPLETED"


def test_what_a_transaction_of_the_block_undid_was_not_done(store: Store) -> None:
    def finish_and_fail(session: Session) -> None:
        with store.transaction():
            store.sessions.renew(session)
            store.sessions.finish(session, "NO_FILES_FOUND")
            raise RuntimeError

    with store.sessions.building(claimed(store)) as session:
        with pytest.raises(RuntimeError):
            finish_and_fail(session)
        assert status(store) == "TO_BE_BUILT"
    assert status(store) == "COMPLETED"


# -- interrupts ------------------------------------------------------------------------


def places(store: Store) -> Iterator[int]:
    """Where to interrupt: on a server, where all takes longer, at every fourth place."""
    return itertools.count(step=1 if store.path else 4)


@pytest.mark.slow
def test_renewing_keeps_the_claim_wherever_it_is_interrupted(store: Store, clock: Clock) -> None:
    for at in places(store):
        session = claimed(store)
        clock.move(minutes=1)
        going_on = interrupted(lambda session=session: store.sessions.renew(session), at)  # type: ignore[misc]
        assert store.sessions.release(session) is True
        if not going_on:
            break
    assert at > 10


@pytest.mark.slow
def test_a_build_that_is_interrupted_at_its_end_is_given_back_or_finished(store: Store) -> None:
    def build() -> None:
        with store.sessions.building(session):
            pass

    outside: list[int] = []
    for at in places(store):
        session = claimed(store)
        going_on = interrupted(build, at)
        if status(store) == "COMPLETED":
            store.sessions.reset(SESSION)
        elif going_on and store.sessions.list_claims():
            # Before the block began, or after its end, nobody could know.
            assert store.sessions.release(session) is True
            outside.append(at)
        if not going_on:
            break


@pytest.mark.parametrize(
    ("error", "left"), [(KeyboardInterrupt, 0), (SystemExit, 0), (DatabaseLockedError, 1)]
)
def test_a_build_whose_end_fails_keeps_its_claim_and_one_that_is_interrupted_does_not(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], left: int
) -> None:
    def fail(_: Session) -> None:
        monkeypatch.undo()
        raise error("at the end")

    with pytest.raises(error), store.sessions.building(claimed(store)):
        monkeypatch.setattr(store.sessions, "_held", fail)
    assert status(store) == "TO_BE_BUILT"
    assert len(store.sessions.list_claims()) == left


@pytest.mark.parametrize(
    ("raised", "told"), [(FileNotFoundError, DatabaseLockedError), (ValueError, ValueError)]
)
def test_an_outcome_that_cannot_be_written_is_told_unless_the_blocks_own_error_is(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    raised: type[Exception],
    told: type[Exception],
) -> None:
    def fail(_: Session) -> None:
        monkeypatch.undo()
        raise DatabaseLockedError("at the end")

    def build() -> None:
        with store.sessions.building(claimed(store), OUTCOMES):
            monkeypatch.setattr(store.sessions, "_held", fail)
            raise raised

    with pytest.raises(told):
        build()
    assert ("could not be set to ERROR: at the end" in caplog.text) is (told is ValueError)
    assert len(store.sessions.list_claims()) == 1


def test_a_claim_that_nobody_was_told_of_is_given_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    # Which is called when all is committed.
    monkeypatch.setattr(store._database, "_give_turn_back", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.sessions.claim()
    assert store.sessions.list_claims() == []
    assert store.sessions.claim() is not None


@pytest.mark.slow
def test_an_interrupted_claim_is_none(store: Store) -> None:
    for at in places(store):
        taken: list[Session | None] = []
        going_on = interrupted(lambda taken=taken: taken.append(store.sessions.claim()), at)  # type: ignore[misc]
        if not going_on:
            break
        assert store.sessions.list_claims() == []
    assert taken[0] is not None


@pytest.mark.parametrize(
    ("outcomes", "error"),
    [
        ({OSError: "DONE"}, InvalidValueError),
        ({OSError: "TO_BE_BUILT"}, InvalidValueError),
        ({OSError: RecordStatus.WAITING_FOR_END}, InvalidValueError),
        ({OSError: None}, TypeError),
        ({"OSError": "ERROR"}, TypeError),
        ({OSError(): "ERROR"}, TypeError),
        ([OSError], TypeError),
    ],
)
def test_outcomes_that_are_none_are_refused_at_once(
    store: Store, outcomes: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="outcomes"):
        store.sessions.building(claimed(store), outcomes)


def test_a_read_only_store_claims_nothing(store: Store) -> None:
    with Store(place_of(store), read_only=True) as reader, pytest.raises(ReadOnlyError):
        reader.sessions.claim()


# -- processes -------------------------------------------------------------------------

BUILDER = """
import sys, time
from datetime import timedelta
from nexuslims_store import ClaimLostError, Store
with Store(sys.argv[1]) as store:
    session = store.sessions.claim(timedelta(seconds=float(sys.argv[2])))
    print("claimed" if session else "nothing", flush=True)
    if session is None:
        sys.exit()
    sys.stdin.readline()
    try:
        print(store.sessions.finish(session, sys.argv[3]), flush=True)
    except ClaimLostError:
        print("lost", flush=True)
"""


def builder(path: Path | str, lease: float, outcome: str) -> subprocess.Popen[str]:
    """A process that claims the session, and finishes it when it is told to."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", BUILDER, path, str(lease), outcome],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_builder_that_was_stopped_past_its_lease_has_lost_the_session(tmp_path: Path) -> None:
    if sys.platform == "win32":
        needs_posix()
    with new_store(tmp_path) as store:
        add_pair(store)
    with builder(place_of(store), 3600, "ERROR") as slow:
        assert slow.stdout is not None
        assert slow.stdout.readline() == "claimed\n"
        os.kill(slow.pid, signal.SIGSTOP)
        time.sleep(0.05)  # longer than the lease that the next builder believes in
        with builder(place_of(store), 0.01, "COMPLETED") as quick:
            assert quick.communicate("\n", timeout=60)[0] == "claimed\n4\n"
        os.kill(slow.pid, signal.SIGCONT)
        assert slow.communicate("\n", timeout=60)[0] == "lost\n"
    with Store(place_of(store)) as store:
        assert status(store) == "COMPLETED"


def test_a_builder_that_was_killed_keeps_the_session_for_its_lease(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        add_pair(store)
        with builder(place_of(store), 3600, "ERROR") as dead:
            assert dead.stdout is not None
            assert dead.stdout.readline() == "claimed\n"
            dead.kill()
        assert store.sessions.claim() is None
        time.sleep(0.05)
        assert store.sessions.claim(timedelta(seconds=0.01)) is not None
