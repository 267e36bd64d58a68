"""Upload logs: stored, the latest of each destination, what failed, what is where it should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from helpers.support import (
    SESSION,
    Clock,
    contents,
    memory_store,
    new_store,
    run,
    upload,
    write,
)
from hypothesis import given
from hypothesis import strategies as st

from nexuslims_store import InvalidRowError, InvalidValueError, Store, UploadLog, queries
from nexuslims_store.repository.stored import iter_failed_uploads, iter_uploads
from nexuslims_store.repository.views import with_views

pytestmark = pytest.mark.usefixtures("each_store")

_SQL = queries.load("upload_log.sql")


@pytest.fixture
def store() -> Iterator[Store]:
    with Store(":memory:") as store:
        yield store


def test_an_attempt_is_returned_as_it_is_stored(store: Store) -> None:
    given = upload(
        success=False,
        timestamp=datetime(2025, 6, 2, 12, 0, 0, 1),
        record_id="r1",
        record_url="https://cdcs.example.com/r1",
        error_message="503",
        metadata_json='{"try": 1}',
        id=77,
    )
    stored = store.upload_logs.insert(given)
    assert stored.id == 1
    assert stored.timestamp == datetime(2025, 6, 2, 12, 0, 0, 1, tzinfo=UTC)
    assert store.upload_logs.list_for_session(SESSION) == [stored]
    put_aside = {"id", "timestamp"}
    assert stored.model_dump(exclude=put_aside) == given.model_dump(exclude=put_aside)
    assert store.upload_logs.insert(given).id == 2


def test_a_session_need_not_be_known(store: Store) -> None:
    assert store.upload_logs.insert(upload(session_identifier="unheard of")).id == 1


def test_many_are_all_or_none(tmp_path: Path) -> None:
    def attempts() -> Iterator[UploadLog]:
        yield upload()
        raise LookupError("the exporter went away")

    with new_store(tmp_path) as store:
        with pytest.raises(LookupError, match="went away"):
            store.upload_logs.insert_many(attempts())
        assert contents(store)["upload_log"] == []
        stored = store.upload_logs.insert_many(iter([upload(), upload("eln")]))
        assert stored == store.upload_logs.list_for_session(SESSION)
        assert [attempt.id for attempt in stored] == [
            row[0] for row in contents(store)["upload_log"]
        ]
        assert store.upload_logs.insert_many([]) == []


TIMES = [
    "2025-06-02T10:00:00+14:00",
    "2025-06-02T09:00:00",  # naive: UTC
    "2025-06-02T09:00:00+00:00",
    "2025-06-02T06:00:00-04:00",
    "2025-06-02 10:00:00.000001Z",
]


def write_upload(store: Store, **values: object) -> None:
    """Store an attempt as it is given."""
    row = {
        "session_identifier": SESSION,
        "destination_name": "cdcs",
        "success": True,
        "timestamp": TIMES[0],
        **values,
    }
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    write(store, (f"INSERT INTO upload_log ({columns}) VALUES ({marks})", tuple(row.values())))


def test_attempts_come_in_the_order_of_time(tmp_path: Path) -> None:
    scrambled = [TIMES[position] for position in (3, 1, 4, 0, 2)]
    with new_store(tmp_path) as store:
        for time in scrambled:
            write_upload(store, timestamp=time)
        for found, expected in (
            (store.upload_logs.list_for_session(SESSION), TIMES),
            (store.upload_logs.iter_between(), TIMES),
            (store.upload_logs.iter_between(limit=3), TIMES[2:]),
        ):
            assert [scrambled[(attempt.id or 0) - 1] for attempt in found] == expected
        assert store.upload_logs.list_for_session("another") == []


def test_the_latest_attempt_is_that_of_the_later_instant_then_of_the_higher_id(
    tmp_path: Path,
) -> None:
    with new_store(tmp_path) as store:
        for time in ("2025-06-02T09:00:00Z", "2025-06-02T10:00:00+14:00", "2025-06-02T08:00:00"):
            write_upload(store, timestamp=time)
        for time in ("2025-06-02T09:00:00", "2025-06-02T05:00:00-04:00"):
            write_upload(store, timestamp=time, destination_name="eln")
        write_upload(store, session_identifier="another", destination_name="third")
        latest = store.upload_logs.latest(SESSION)
        assert {name: attempt.id for name, attempt in latest.items()} == {"cdcs": 1, "eln": 5}
        assert store.upload_logs.latest("nobody's") == {}


def test_of_attempts_at_the_same_instant_the_latest_is_that_of_the_highest_id(
    tmp_path: Path,
) -> None:
    with new_store(tmp_path) as store:
        for record in ("first", "second", "third"):
            write_upload(store, timestamp="2025-06-02T09:00:00+00:00", record_id=record)
        # PostgreSQL moves a row that is changed behind the others.
        write(store, "UPDATE upload_log SET record_id = 'changed' WHERE id = 1")
        in_order = ["changed", "second", "third"]
        assert [log.record_id for log in store.upload_logs.list_for_session(SESSION)] == in_order
        assert [log.record_id for log in store.upload_logs.iter_between()] == in_order
        assert [log.record_id for log in store.upload_logs.iter_between(limit=2)] == in_order[1:]
        assert store.upload_logs.latest(SESSION)["cdcs"].record_id == "third"


def attempts(store: Store, *outcomes: tuple[str, bool]) -> None:
    """Store attempts one after the other."""
    store.upload_logs.insert_many(
        upload(destination, success=success, timestamp=datetime(2025, 6, 2, 12, minute))
        for minute, (destination, success) in enumerate(outcomes)
    )


@pytest.mark.parametrize(
    ("outcomes", "failed"),
    [
        ([], []),
        ([("cdcs", True)], []),
        ([("cdcs", False)], [1]),
        ([("cdcs", False), ("cdcs", True)], []),
        ([("cdcs", True), ("cdcs", False)], [2]),
        ([("cdcs", False), ("cdcs", False)], [2]),
        ([("eln", False), ("cdcs", False), ("cdcs", True)], [1]),
        ([("eln", False), ("cdcs", False)], [2, 1]),
    ],
)
def test_what_failed_is_what_failed_last(
    store: Store, outcomes: list[tuple[str, bool]], failed: list[int]
) -> None:
    attempts(store, *outcomes)
    assert [attempt.id for attempt in store.upload_logs.list_failed()] == failed


def test_what_failed_is_told_by_session_and_by_instant(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        # By id and by text the failure is the later one; by instant it is the earlier.
        write_upload(store, timestamp="2025-06-02T09:00:00+00:00")
        write_upload(store, timestamp="2025-06-02T10:00:00+14:00", success=False)
        # A time that cannot be read counts as the earliest.
        write_upload(store, session_identifier="odd", timestamp="garbage")
        write_upload(store, session_identifier="odd", success=False)
        write_upload(store, session_identifier="odder", success=True)
        write_upload(store, session_identifier="odder", timestamp="garbage", success=False)
        assert [attempt.id for attempt in store.upload_logs.list_failed()] == [4]


@pytest.mark.parametrize(
    ("outcomes", "everywhere", "anywhere"),
    [
        ([], False, False),
        ([("cdcs", True)], True, True),
        ([("cdcs", False)], False, False),
        ([("cdcs", True), ("eln", True)], True, True),
        ([("cdcs", True), ("eln", False)], False, True),
        ([("cdcs", False), ("eln", False)], False, False),
        ([("cdcs", False), ("cdcs", True)], True, True),
        ([("cdcs", True), ("cdcs", False)], False, False),
    ],
)
def test_a_record_was_exported(
    store: Store, outcomes: list[tuple[str, bool]], everywhere: bool, anywhere: bool
) -> None:
    attempts(store, *outcomes)
    store.upload_logs.insert(upload(session_identifier="another", success=not anywhere))
    assert store.upload_logs.was_exported(SESSION) is everywhere
    assert store.upload_logs.was_exported(SESSION, "all") is everywhere
    assert store.upload_logs.was_exported(SESSION, strategy="first_success") is anywhere
    assert store.upload_logs.was_exported(SESSION, strategy="best_effort") is anywhere


SPAN = [f"2025-06-0{day}T12:00:00+00:00" for day in (1, 2, 3)]
FILTERS: list[dict[str, Any]] = [
    {},
    *({side: SPAN[1]} for side in ("start", "end")),
    {"start": SPAN[0], "end": SPAN[2]},
    *({"session_identifiers": some} for some in ([], ["1"], ["2", "1", "none"])),
    *({"destinations": some} for some in ([], ["cdcs"], ["eln", "none"])),
    {"destinations": ["cdcs"], "session_identifiers": ["1"], "end": SPAN[2]},
]


def test_attempts_of_a_span_of_sessions_and_at_destinations() -> None:
    with memory_store() as store:
        stored = store.upload_logs.insert_many(
            upload(destination, session_identifier=session, timestamp=time)
            for time in reversed(SPAN)
            for session in "21"
            for destination in ("cdcs", "eln")
        )
        for chosen, limit in product(FILTERS, (None, 0, 1, 3)):
            bounds = {"start": SPAN[0], "end": "9", **chosen}
            wanted = [
                log.id
                for log in sorted(stored, key=lambda log: (log.timestamp, log.id))
                if bounds["start"] <= log.timestamp.isoformat() < bounds["end"]
                and log.session_identifier in chosen.get("session_identifiers", "12")
                and log.destination_name in chosen.get("destinations", ("cdcs", "eln"))
            ]
            wanted = wanted if limit is None else wanted[max(0, len(wanted) - limit) :]
            given: dict[str, Any] = {
                name: datetime.fromisoformat(value).replace(tzinfo=None)  # which is of UTC
                if isinstance(value, str)
                else value
                for name, value in chosen.items()
            }
            found = store.upload_logs.iter_between(**given, limit=limit)
            assert [log.id for log in found] == wanted, (chosen, limit)
            shown = iter_uploads(store._database, **given, limit=limit)
            assert [record["id"] for record in shown] == wanted, (chosen, limit)


@pytest.mark.only_sqlite("PostgreSQL's columns hold but times")
def test_attempts_of_no_time_are_shown_as_they_are_stored() -> None:
    with memory_store() as store:
        store.upload_logs.insert_many(
            upload(destination, success=False, timestamp=SPAN[1]) for destination in "abcd"
        )
        for destination, column, value in (
            ("b", "timestamp", "late"),
            ("c", "timestamp", 5),
            ("d", "success", 7),
        ):
            store.connection.execute(
                f"UPDATE upload_log SET {column} = ? WHERE destination_name = ?",
                (value, destination),
            )
        time = datetime.fromisoformat(SPAN[1])
        shown = {
            record["destination_name"]: (record["timestamp"], record["success"])
            for record in iter_uploads(store._database)
        }
        assert shown == {
            "a": (time, False),
            "b": ("late", False),
            "c": ("5", False),
            "d": (time, 7),
        }
        in_span = iter_uploads(store._database, time)
        assert [record["destination_name"] for record in in_span] == ["a", "d"]
        for start, destinations, names in (
            (None, None, "abc"),
            (time, None, "abc"),
            (time + timedelta(microseconds=1), None, "bc"),
            (time, ["a", "b"], "ab"),
        ):
            failed = iter_failed_uploads(store._database, start, destinations=destinations)
            assert sorted(str(record["destination_name"]) for record in failed) == list(names)


@pytest.mark.parametrize("strategy", ["any", "", "ALL"])
def test_a_strategy_that_is_none_is_refused(store: Store, strategy: Any) -> None:
    with pytest.raises(InvalidValueError, match=r"strategy is '.*best_effort"):
        store.upload_logs.was_exported(SESSION, strategy)


def test_a_stored_row_that_is_not_valid_is_named(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        write_upload(store)
        write_upload(store, metadata_json="{")
        with pytest.raises(InvalidRowError, match="doctor") as caught:
            store.upload_logs.list_for_session(SESSION)
    error = caught.value
    assert (error.table, error.row_id, error.column) == ("upload_log", 2, "metadata_json")


def test_how_deep_json_is_read_does_not_depend_on_who_reads(tmp_path: Path) -> None:
    def deeper(frames: int) -> list[UploadLog]:
        return deeper(frames - 1) if frames else opened.upload_logs.list_for_session(SESSION)

    with new_store(tmp_path) as opened:
        write_upload(opened, metadata_json='{"a":' + "[" * 99 + "]" * 99 + "}")
        assert deeper(0) == deeper(600)
        write_upload(opened, metadata_json='{"a":' + "[" * 700 + "]" * 700 + "}")
        for frames in (0, 600):
            with pytest.raises(InvalidRowError, match="JSON nested more than 100 deep"):
                deeper(frames)


def test_an_odd_row_does_not_hide_that_a_record_was_exported(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        write_upload(store, metadata_json="[NaN]", record_url=b"x")
        write_upload(store, destination_name="eln", success=False)
        assert store.upload_logs.was_exported(SESSION, "best_effort")
        assert not store.upload_logs.was_exported(SESSION)


def test_an_attempt_is_of_now_by_default() -> None:
    clock = Clock()
    made = UploadLog(session_identifier=SESSION, destination_name="cdcs", success=True)
    with memory_store() as store:
        assert store.upload_logs.insert(made).timestamp == made.timestamp
    with memory_store(clock=clock) as store:
        assert store.upload_logs.insert(made).timestamp == clock.now
        assert store.upload_logs.insert(upload()).timestamp == upload().timestamp
        assert [log.timestamp for log in store.upload_logs.list_for_session(SESSION)] == [
            clock.now,
            upload().timestamp,
        ]


rows = st.tuples(
    st.sampled_from("ab"),
    st.sampled_from(["cdcs", "eln"]),
    st.booleans(),
    st.sampled_from([*TIMES, "garbage", ""]),
)


@pytest.mark.slow
@given(st.lists(rows, max_size=12))
def test_what_failed_is_the_latest_of_each_session_and_destination(
    attempts: list[tuple[str, str, bool, str]],
) -> None:
    instants = dict(zip(TIMES, [1, 2, 2, 3, 4], strict=True))

    def key(place: int) -> tuple[int, int]:
        return instants.get(attempts[place][3], 0), place  # what cannot be read is the earliest

    latest: dict[tuple[str, str], int] = {}
    for place, attempt in enumerate(attempts):
        other = latest.setdefault(attempt[:2], place)
        latest[attempt[:2]] = max(other, place, key=key)
    failed = sorted(of for of, place in latest.items() if not attempts[place][2])
    with memory_store() as store:
        run(
            store,
            "INSERT INTO upload_log (session_identifier, destination_name, success, timestamp) "
            "VALUES (?, ?, ?, ?)",
            *attempts,
        )
        # Those whose time cannot be read are no models; the statement finds them all the same.
        found = with_views(store._database).rows(_SQL.list_failed_uploads)
        assert [(row[0], row[1]) for row in found] == failed
        assert [row[-1] for row in found] == [latest[of] + 1 for of in failed]
        counts = Counter(destination for _, destination in failed)
        assert store.upload_logs.count_failed() == counts
        for session in "ab":
            outcomes = [attempts[at][2] for of, at in latest.items() if of[0] == session]
            exported = store.upload_logs.was_exported(session)
            assert exported is (bool(outcomes) and all(outcomes))
