"""What attempts to export mean: every statement agrees with one plain model, on odd rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from helpers.support import memory_store
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nexuslims_store import Store
from nexuslims_store.repository.stored import iter_uploads

pytestmark = pytest.mark.slow

BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """A row of upload_log; its place in the list is its id, less one."""

    session: str
    destination: str
    success: int
    time: str


# The same instants in several ways, naive ones, some close together and some that order otherwise
# as text than in time.
times = st.sampled_from([
    "2025-06-02T12:00:00+00:00", "2025-06-02T14:00:00+02:00", "2025-06-02T12:00:00",
    "2025-06-02 12:00:00", "2025-06-02T12:00:00.000001+00:00", "2025-06-02T13:00:00+02:00",
    "2025-06-02T08:30:00-04:00", "2025-06-01T23:59:59Z", "2025-06-03T00:30:00+14:00",
])  # fmt: skip
rows = st.lists(
    st.builds(
        Row,
        st.sampled_from(["s", "t", "u"]),
        st.sampled_from(["cdcs", "eln", "nemo"]),
        st.sampled_from([0, 1]),
        times,
    ),
    max_size=12,
)
later_success = [
    Row("s", "cdcs", 1, "2025-06-02T13:00:00+02:00"), Row("s", "cdcs", 0, "2025-06-02T12:00:00"),
    Row("s", "eln", 0, "2025-06-02T13:00:00+02:00"), Row("s", "eln", 1, "2025-06-02T12:00:00"),
]  # fmt: skip
same_instant = [
    Row("s", "cdcs", 0, "2025-06-02T12:00:00"),
    Row("s", "cdcs", 1, "2025-06-02T12:00:00Z"),
]


def instant(row: Row) -> datetime:
    time = datetime.fromisoformat(row.time)
    return (time if time.utcoffset() is not None else time.replace(tzinfo=UTC)).astimezone(UTC)


class Model:
    """What the contract says of attempts, in loops."""

    def __init__(self, found: list[Row]) -> None:
        self.rows = dict(enumerate(found, start=1))
        self.in_order = sorted(self.rows, key=lambda number: (instant(self.rows[number]), number))
        # Of several the latest one, which comes last.
        self.latest = {
            (self.rows[number].session, self.rows[number].destination): number
            for number in self.in_order
        }
        self.failed = sorted(
            place for place, number in self.latest.items() if not self.rows[number].success
        )


@contextmanager
def stored(found: list[Row]) -> Iterator[tuple[Store, Model]]:
    with memory_store() as store:
        store.connection.executemany(
            "INSERT INTO upload_log (session_identifier, destination_name, success, timestamp)"
            " VALUES (?, ?, ?, ?)",
            [(one.session, one.destination, one.success, one.time) for one in found],
        )
        yield store, Model(found)


@given(rows)
@example(later_success)
@example(same_instant)
@settings(max_examples=100)
def test_attempts_in_the_order_of_time(found: list[Row]) -> None:
    with stored(found) as (store, model):
        assert [log.id for log in store.upload_logs.iter_between()] == model.in_order
        for limit in (1, 3):
            assert [log.id for log in store.upload_logs.iter_between(limit=limit)] == (
                model.in_order[-limit:]
            )
            shown = iter_uploads(store._database, limit=limit)
            assert [record["id"] for record in shown] == model.in_order[-limit:]
        for session in ("s", "t", "nobody's"):
            assert [log.id for log in store.upload_logs.list_for_session(session)] == [
                number for number in model.in_order if model.rows[number].session == session
            ]
        noon = datetime(2025, 6, 2, 12)
        for start, end in ((noon, None), (None, noon), (noon, noon + timedelta(seconds=1))):
            inside = [
                number
                for number in model.in_order
                if (start is None or instant(model.rows[number]) >= start.replace(tzinfo=UTC))
                and (end is None or instant(model.rows[number]) < end.replace(tzinfo=UTC))
            ]
            assert [log.id for log in store.upload_logs.iter_between(start, end)] == inside


@given(rows)
@example(later_success)
@example(same_instant)
@settings(max_examples=100)
def test_the_latest_attempts_and_the_failed_ones(found: list[Row]) -> None:
    with stored(found) as (store, model):
        for session in ("s", "t", "nobody's"):
            mine = {
                place[1]: number for place, number in model.latest.items() if place[0] == session
            }
            latest = store.upload_logs.latest(session)
            assert {name: log.id for name, log in latest.items()} == mine
            assert list(latest) == sorted(mine)
            outcomes = [model.rows[number].success == 1 for number in mine.values()]
            exported = store.upload_logs.was_exported
            assert exported(session) is (bool(outcomes) and all(outcomes))
            assert exported(session, "first_success") is any(outcomes)
            assert exported(session, "best_effort") is any(outcomes)
        failed = store.upload_logs.list_failed()
        assert [(log.session_identifier, log.destination_name) for log in failed] == model.failed
        assert [log.id for log in failed] == [model.latest[place] for place in model.failed]
        assert store.upload_logs.count_failed() == Counter(place[1] for place in model.failed)


@given(rows)
@example(later_success)
@settings(max_examples=30)
def test_a_session_is_deleted_with_its_own_attempts_only(found: list[Row]) -> None:
    with stored(found) as (store, model):
        assert store.sessions.delete("s") == 0  # it has no events
        left = [log.id for log in store.upload_logs.iter_between()]
        assert left == [number for number in model.in_order if model.rows[number].session != "s"]
