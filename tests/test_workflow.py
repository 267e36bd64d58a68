"""The workflow of sessions, in any order of its steps, against a plain Python model of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from helpers.support import NOW, Clock, instrument, memory_store, upload
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from nexuslims_store import (
    ClaimedError,
    ClaimLostError,
    ConsentError,
    EventType,
    RecordStatus,
    Session,
    SessionLog,
    StoreError,
)

LEASE = timedelta(hours=6)
RETRIED = (RecordStatus.ERROR, RecordStatus.NO_FILES_FOUND, RecordStatus.BUILT_NOT_EXPORTED)
WITHOUT_CONSENT = (RecordStatus.NO_CONSENT, RecordStatus.NO_RESERVATION)
NOT_BUILT_YET = (RecordStatus.WAITING_FOR_END, RecordStatus.TO_BE_BUILT)
PIDS = ("A", "B")

identifiers = st.sampled_from(["1", "2", "3"])
pids = st.sampled_from(PIDS)
hours = st.integers(0, 72)
users = st.sampled_from([None, "ned", "commander"])
statuses = st.sampled_from(RecordStatus)
destinations = st.sampled_from(["cdcs", "eln"])


def at(hour: int) -> datetime:
    """A time of the days before the machine starts."""
    return NOW - timedelta(days=4) + timedelta(hours=hour)


@dataclass
class Row:
    """What the model remembers of a row of session_log."""

    identifier: str
    pid: str
    event: EventType
    time: datetime
    status: RecordStatus
    user: str | None
    id: int


@dataclass
class Model:
    """The rules of the workflow, in lists and loops."""

    rows: list[Row] = field(default_factory=list)
    uploads: dict[str, dict[str, bool]] = field(default_factory=dict)

    def of(self, identifier: str, pid: str | None = None) -> list[Row]:
        """The rows of a session."""
        return [row for row in self.rows if row.identifier == identifier and pid in (None, row.pid)]

    def event(self, identifier: str, pid: str, event: EventType) -> Row | None:
        """The row of an event."""
        return next((row for row in self.of(identifier, pid) if row.event is event), None)

    def pairs(self, status: RecordStatus | None = None) -> list[tuple[Row, Row]]:
        """The STARTs with an END that is not before them, in the order of time."""
        found = []
        for start in self.rows:
            if start.event is EventType.START:
                end = self.event(start.identifier, start.pid, EventType.END)
                if (
                    end is not None
                    and start.time <= end.time
                    and (status is None or start.status is end.status is status)
                ):
                    found.append((start, end))
        return sorted(found, key=lambda pair: (pair[0].time, pair[0].id))

    def claims(self, start: Row, now: datetime) -> list[Row]:
        """The claims of a session whose lease has not run out."""
        return [
            row
            for row in self.of(start.identifier, start.pid)
            if row.event is EventType.RECORD_GENERATION
            and row.status is RecordStatus.WAITING_FOR_END
            and row.time > now - LEASE
        ]

    def whole(self) -> list[Row]:
        """The STARTs that have an END, wherever it lies."""
        return [
            row
            for row in self.rows
            if row.event is EventType.START
            and self.event(row.identifier, row.pid, EventType.END) is not None
        ]

    def keeps(
        self, start: Row, named: Sequence[RecordStatus], now: datetime
    ) -> type[StoreError] | None:
        """What keeps a session from being reset."""
        statuses = {row.status for row in self.of(start.identifier, start.pid)}
        if statuses & set(WITHOUT_CONSENT) - set(named):
            return ConsentError
        return ClaimedError if self.claims(start, now) else None

    def holds(self, claim: Row) -> bool:
        """Whether a claim is the newest of a session that is not finished."""
        there = [
            row
            for row in self.of(claim.identifier, claim.pid)
            if row.event is EventType.RECORD_GENERATION
            and row.status is RecordStatus.WAITING_FOR_END
        ]
        start = self.event(claim.identifier, claim.pid, EventType.START)
        finished = start is not None and start.status not in NOT_BUILT_YET
        return not finished and bool(there) and max(there, key=lambda row: row.id) is claim


class Workflow(RuleBasedStateMachine):
    """Runs each step on a store and on the model, and compares all there is to see."""

    claimed = Bundle("claimed")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = memory_store(*map(instrument, PIDS), clock=self.clock)
        self.model = Model()

    def teardown(self) -> None:
        self.store.close()

    # -- harvesters

    @rule(
        identifier=identifiers,
        pid=pids,
        event=st.sampled_from([EventType.START, EventType.END]),
        hour=hours,
        user=users,
        status=st.sampled_from(NOT_BUILT_YET),
    )
    def harvest(
        self,
        identifier: str,
        pid: str,
        event: EventType,
        hour: int,
        user: str | None,
        status: RecordStatus,
    ) -> None:
        """Insert an event, or harvest it again, perhaps corrected."""
        stored = self.store.session_logs.insert(
            SessionLog(
                session_identifier=identifier,
                instrument=pid,
                timestamp=at(hour),
                event_type=event,
                record_status=status,
                user=user,
            )
        )
        assert stored.id_session_log is not None
        row = self.model.event(identifier, pid, event)
        if row is None:
            row = Row(identifier, pid, event, at(hour), status, user, stored.id_session_log)
            self.model.rows.append(row)
        elif row.status in NOT_BUILT_YET:
            row.time, row.user = at(hour), user
            if status is RecordStatus.TO_BE_BUILT:
                row.status = status
        assert self.seen(stored) == row

    @rule(identifier=identifiers, pid=pids, hour=hours, length=st.integers(0, 5), user=users)
    def add(self, identifier: str, pid: str, hour: int, length: int, user: str | None) -> None:
        """Add both events at once."""
        before = [replace(row) for row in self.model.rows]
        for event, when in ((EventType.START, hour), (EventType.END, hour + length)):
            row = self.model.event(identifier, pid, event)
            if row is None:
                number = 1 + max((row.id for row in self.model.rows), default=0)
                status = RecordStatus.TO_BE_BUILT
                self.model.rows.append(Row(identifier, pid, event, at(when), status, user, number))
            elif row.status in NOT_BUILT_YET:
                row.time, row.user, row.status = at(when), user, RecordStatus.TO_BE_BUILT
        start = self.model.event(identifier, pid, EventType.START)
        end = self.model.event(identifier, pid, EventType.END)
        assert start is not None
        assert end is not None
        arguments = (identifier, pid, at(hour), at(hour + length), user)
        if start.time > end.time:  # one of the two was built, and stays as it is
            self.model.rows = before
            try:
                self.store.sessions.add(*arguments)
            except ValueError:
                return
            raise AssertionError("a session that ends before it starts was added")
        session = self.store.sessions.add(*arguments)
        assert (session.dt_from, session.dt_to) == (start.time, end.time)

    # -- builders

    @rule(target=claimed)
    def claim(self) -> object:
        """Take the oldest session that nobody has."""
        session = self.store.sessions.claim(LEASE)
        for start, _ in self.model.pairs(RecordStatus.TO_BE_BUILT):
            if not self.model.claims(start, self.clock.now):
                assert session is not None
                assert (session.session_identifier, session.instrument.instrument_pid) == (
                    start.identifier,
                    start.pid,
                )
                self.model.rows.append(
                    Row(
                        start.identifier,
                        start.pid,
                        EventType.RECORD_GENERATION,
                        self.clock.now,
                        RecordStatus.WAITING_FOR_END,
                        "nexuslims",
                        1 + max(row.id for row in self.model.rows),
                    )
                )
                return session, self.model.rows[-1]
        assert session is None
        return multiple()

    @rule(claim=consumes(claimed))
    def release(self, claim: tuple[Session, Row]) -> None:
        """Give a session back."""
        session, row = claim
        # A clock that stands still would give the next claim another time than the model's.
        self.clock.move(seconds=1)
        if not self.model.holds(row):
            with pytest.raises(ClaimLostError):
                self.store.sessions.release(session)
            return
        self.store.sessions.release(session)
        self.model.rows = [one for one in self.model.rows if one is not row]

    @rule(claim=claimed)
    def renew(self, claim: tuple[Session, Row]) -> None:
        """Begin a lease anew."""
        session, row = claim
        self.clock.move(seconds=1)
        if not self.model.holds(row):
            with pytest.raises(ClaimLostError):
                self.store.sessions.renew(session)
            return
        self.store.sessions.renew(session)
        row.time = self.clock.now

    @rule(claim=consumes(claimed), status=statuses)
    def finish(self, claim: tuple[Session, Row], status: RecordStatus) -> None:
        """Tell the outcome of a build."""
        session, row = claim
        if not self.model.holds(row):
            with pytest.raises(ClaimLostError):
                self.store.sessions.finish(session, status)
            return
        rows = [one for one in self.model.of(row.identifier, row.pid) if one.status is not status]
        assert self.store.sessions.finish(session, status) == len(rows)
        for one in rows:
            one.status = status

    @rule(time=st.sampled_from([timedelta(minutes=1), timedelta(hours=2), LEASE]))
    def wait(self, time: timedelta) -> None:
        """Let time pass."""
        self.clock.now += time

    # -- people

    @rule(identifier=identifiers, status=statuses, expected=st.none() | statuses)
    def set_status(
        self, identifier: str, status: RecordStatus, expected: RecordStatus | None
    ) -> None:
        """Set a status by hand."""
        rows = [
            row
            for row in self.model.of(identifier)
            if row.status is not status and expected in (None, row.status)
        ]
        assert self.store.sessions.set_status(identifier, status, expected) == len(rows)
        for row in rows:
            row.status = status

    @rule(identifier=identifiers, named=st.none() | st.lists(statuses))
    def reset(self, identifier: str, named: list[RecordStatus] | None) -> None:
        """Have a session built again."""
        chosen = [
            start
            for start in self.model.whole()
            if start.identifier == identifier and (named is None or start.status in named)
        ]
        reasons = {self.model.keeps(start, named or [], self.clock.now) for start in chosen} - {
            None
        }
        if reasons:
            with pytest.raises(tuple(error for error in reasons if error)):
                self.store.sessions.reset(identifier, named)
            return
        changed = self.set_status_of_all(chosen)
        assert self.store.sessions.reset(identifier, named) == changed

    @rule(first=hours, last=hours, named=st.none() | st.lists(statuses))
    def reset_between(self, first: int, last: int, named: list[RecordStatus] | None) -> None:
        """Have the sessions of some days built again."""
        wanted = list(RETRIED) if named is None else named
        counts: Counter[object] = Counter()
        for start in self.model.whole():
            if start.status in wanted and at(first) <= start.time < at(last):
                reason = self.model.keeps(start, wanted, self.clock.now)
                if reason is not None:
                    counts[reason] += 1
                elif self.set_status_of_all([start]):
                    counts["reset"] += 1
        arguments: dict[str, Any] = {} if named is None else {"statuses": named}
        assert self.store.sessions.reset_between(at(first), at(last), **arguments) == (
            counts["reset"],
            counts[ConsentError],
            counts[ClaimedError],
        )

    def set_status_of_all(self, starts: list[Row]) -> int:
        """Have whole sessions be built again, in the model; return how many rows that changes."""
        rows = [row for start in starts for row in self.model.of(start.identifier, start.pid)]
        changed = [row for row in rows if row.status is not RecordStatus.TO_BE_BUILT]
        for row in changed:
            row.status = RecordStatus.TO_BE_BUILT
        return len(changed)

    @precondition(lambda self: self.model.rows)
    @rule(identifier=identifiers)
    def delete(self, identifier: str) -> None:
        """Delete a session."""
        gone = self.model.of(identifier)
        assert self.store.sessions.delete(identifier) == len(gone)
        self.model.rows = [row for row in self.model.rows if row not in gone]
        self.model.uploads.pop(identifier, None)

    # -- exporters

    @rule(
        identifier=identifiers, destination=st.sampled_from(["cdcs", "eln"]), success=st.booleans()
    )
    def export(self, identifier: str, destination: str, success: bool) -> None:
        """Try to export a record."""
        self.clock.move(seconds=1)
        self.store.upload_logs.insert(
            upload(
                destination,
                success=success,
                session_identifier=identifier,
                timestamp=self.clock.now,
            )
        )
        self.model.uploads.setdefault(identifier, {})[destination] = success

    # -- what there is to see

    @staticmethod
    def seen(log: SessionLog) -> Row:
        """A stored event in the model's form."""
        assert log.id_session_log is not None
        return Row(
            log.session_identifier,
            log.instrument,
            log.event_type,
            log.timestamp,
            log.record_status,
            log.user,
            log.id_session_log,
        )

    @invariant()
    def the_same_rows(self) -> None:
        """All events, in the order of time."""
        expected = sorted(self.model.rows, key=lambda row: (row.time, row.id))
        assert [self.seen(log) for log in self.store.session_logs.iter_all()] == expected
        assert self.store.session_logs.count() == len(expected)

    @invariant()
    def the_same_sessions(self) -> None:
        """What is to be built, what is odd, and how many there are of each status."""
        to_build = self.model.pairs(RecordStatus.TO_BE_BUILT)
        assert [
            (session.session_identifier, session.instrument.instrument_pid, session.duration)
            for session in self.store.sessions.list_to_build()
        ] == [(start.identifier, start.pid, end.time - start.time) for start, end in to_build]
        paired = {row.id for pair in to_build for row in pair}
        waiting = {
            row.id
            for row in self.model.rows
            if row.status is RecordStatus.TO_BE_BUILT
            and row.event is not EventType.RECORD_GENERATION
        }
        odd = self.store.sessions.list_unpaired()
        assert {number for one in odd for number in (one.start_id, one.end_id) if number} == (
            waiting - paired
        )
        starts = [row.status for row in self.model.rows if row.event is EventType.START]
        assert self.store.sessions.counts_by_status() == {
            status: starts.count(status) for status in set(starts)
        }
        everything = self.store.sessions.iter_between(at(-1), at(1000))
        assert [session.dt_from for session in everything] == [
            start.time for start, _ in self.model.pairs()
        ]

    @invariant()
    def the_same_uploads(self) -> None:
        """What was exported, and what failed last."""
        failed = []
        for identifier in ("1", "2", "3"):
            outcomes = self.model.uploads.get(identifier, {})
            found = self.store.upload_logs.latest(identifier)
            assert {name: attempt.success for name, attempt in found.items()} == outcomes
            everywhere = bool(outcomes) and all(outcomes.values())
            assert self.store.upload_logs.was_exported(identifier) is everywhere
            failed += [
                (identifier, name) for name, success in sorted(outcomes.items()) if not success
            ]
        assert [
            (attempt.session_identifier, attempt.destination_name)
            for attempt in self.store.upload_logs.list_failed()
        ] == failed


TestWorkflow = Workflow.TestCase
TestWorkflow.settings = settings(max_examples=40, stateful_step_count=30)
