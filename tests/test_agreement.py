"""What a session is: every method that looks at sessions agrees with one plain model, on odd rows.

The rows are of the kinds that programs, harvesters at the same time and people leave behind: events
twice, alone, on instruments that are not there, in any status, with times of every shape, the hour
that the end of summer time repeats above all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import wraps
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

import pytest
from helpers.odd_sessions import NOW, ZONES, Known, Model, Row
from helpers.support import HEAD, Clock, instrument, memory_store, run
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nexuslims_store import EventType, RecordStatus, Session, Store
from nexuslims_store.overview import work
from nexuslims_store.repository import stored as stored_rows

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("each_store")]

WITHOUT_CONSENT = {"NO_CONSENT", "NO_RESERVATION"}
BEFORE_ALL = datetime(1, 1, 2, tzinfo=UTC)


def row(session: str, instrument: str, time: str, event: str, status: str = "TO_BE_BUILT") -> Row:
    return Row(session, instrument, time, event, status)


minutes = st.integers(0, 59).map("{:02}".format)
times = st.one_of(
    # Around both repeated hours, of New York and of Berlin, with and without an offset.
    st.builds("2025-11-02T0{}:{}:00{}".format, st.integers(0, 2), minutes, st.sampled_from(
        ["", "", "", "-04:00", "-05:00", "Z"])),
    st.builds("2025-10-26 0{}:{}:00{}".format, st.integers(1, 3), minutes, st.sampled_from(
        ["", "", "+01:00", "+02:00"])),
    st.sampled_from(["2025-01-15T12:00:00-05:00", "2025-11-02T08:00:00.5+00:00", "soon", ""]),
)  # fmt: skip
sessions, instruments = st.sampled_from(["s", "t", "u"]), st.sampled_from(["A", "A", "B", "no"])
statuses = st.sampled_from(["TO_BE_BUILT"] * 6 + [status.value for status in RecordStatus])
events = st.sampled_from(["START", "START", "END", "END", "RECORD_GENERATION"])
alone = st.tuples(st.builds(Row, sessions, instruments, times, events, statuses))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Row, ...]:
    """A START and an END of one session, of one status more often than not."""
    session, where, status = draw(sessions), draw(instruments), draw(statuses)
    other = draw(st.just(status) | statuses)
    made = (
        Row(session, where, draw(times), "START", status),
        Row(session, where, draw(times), "END", other),
    )
    # Often with a build, or one of a session that shares its name or its instrument.
    build = (
        draw(st.just(session) | sessions),
        draw(st.just(where) | instruments),
        draw(times),
        "RECORD_GENERATION",
        draw(st.sampled_from(RecordStatus)).value,
    )
    return (*made, Row(*build)) if draw(st.booleans()) else made


rows = st.lists(alone | pairs(), max_size=8).map(lambda found: [*chain(*found)])


# -- the model ------------------------------------------------------------------------


def key(session: Session) -> tuple[str, str]:
    return session.session_identifier, session.instrument.instrument_pid


def keys(found: list[Known]) -> list[tuple[str, str]]:
    return [(known.session, known.instrument) for known in found]


@pytest.fixture
def store() -> Iterator[Store]:
    """A store for all examples of a test: to open one takes longer than an example does."""
    instruments = [instrument(pid, timezone_str=zone) for pid, zone in ZONES.items()]
    with memory_store(*instruments, clock=Clock(NOW)) as store:
        unchecked = "PRAGMA foreign_keys = OFF"
        run(store, unchecked if store.url is None else "SET session_replication_role = replica")
        yield store


def stored(store: Store, found: list[Row]) -> Model:
    """Have the store hold these rows, and return the model of them."""
    run(store, "DELETE FROM session_log")
    if store.url is not None:
        run(store, "ALTER TABLE session_log ALTER COLUMN id_session_log RESTART")
    run(
        store,
        "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type,"
        " record_status) VALUES (?, ?, ?, ?, ?)",
        *((one.session, one.instrument, one.time, one.event, one.status) for one in found),
    )
    return Model(found)


ordinary = [row("s", "A", "2025-11-01T10:00:00", "START"), row("s", "A", "2025-11-01T11:00", "END")]
repeated_hour = [
    row("s", "A", "2025-11-02T01:55:00", "START"), row("s", "A", "2025-11-02T01:05:00", "END"),
]  # fmt: skip
moved = [
    row("s", "A", "2025-01-01T00:00:00-05:00", "START"),
    row("t", "A", "2025-01-15T00:00:00-05:00", "START"),
    row("t", "A", "2025-01-16T00:00:00-05:00", "END"),
    row("s", "A", "2025-02-01T00:00:00-05:00", "START"),
    row("s", "A", "2025-02-02T00:00:00-05:00", "END"),
]
# What is no row of the session may not tell which of the two hours its END is in.
beside_others = [
    row("s", "A", "2025-11-02T08:00:00Z", "START", "ERROR"),
    row("s", "A", "2025-11-02T00:30:00", "START"), row("s", "A", "2025-11-02T01:05:00", "END"),
    row("s", "A", "2025-11-02T05:30:00Z", "RECORD_GENERATION", "ERROR"),
    row("s", "B", "2025-11-02T08:00:00Z", "START"), row("t", "A", "2025-11-02T08:00:00Z", "START"),
]  # fmt: skip
claim_only = [row("s", "B", "2025-11-02T22:00:00", "RECORD_GENERATION", "WAITING_FOR_END")]
built_again = [
    row("s", "A", "2025-11-01T10:00:00", "START"), row("s", "A", "2025-11-01T11:00:00", "END"),
    row("s", "A", "2025-11-01T10:30:00", "START", "COMPLETED"),
]  # fmt: skip


# -- the agreement ---------------------------------------------------------------------


def first_on_server(agree: Callable[..., None]) -> Callable[..., None]:
    """Try the first thirty examples on a server: most of what it runs is the same SQL."""
    tried: WeakKeyDictionary[Store, int] = WeakKeyDictionary()

    @wraps(agree)
    def try_one(store: Store, **drawn: Any) -> None:
        tried[store] = tried.get(store, 0) + 1
        if store.url is None or tried[store] <= 30:
            agree(store, **drawn)

    return try_one


@given(rows)
@example(ordinary)
@example(repeated_hour)
@example(moved)
@example(claim_only)
@example(built_again)
@settings(max_examples=60)
@first_on_server
def test_what_is_to_be_built(store: Store, found: list[Row]) -> None:
    model = stored(store, found)
    expected = model.to_build()
    listed = store.sessions.list_to_build()
    assert [key(session) for session in listed] == keys(expected)
    for session, known in zip(listed, expected, strict=True):
        assert session.dt_from.astimezone(UTC) == model.instant(known.start)
        assert session.dt_to.astimezone(UTC) == model.instant(known.end)
    oldest = store.sessions.oldest_to_build()
    shown = [] if oldest is None else [(oldest.session_identifier, oldest.instrument)]
    assert shown == keys(expected[:1])
    odd = store.sessions.list_unpaired()
    assert all(one.start_id or one.end_id for one in odd)
    in_pairs = {number for known in expected for number in (known.start, known.end)}
    waiting = {
        number
        for known in model.sessions.values()
        for number in (known.start, known.end)
        if number is not None and model.status(number) == "TO_BE_BUILT"
    }
    assert {number for one in odd for number in (one.start_id, one.end_id) if number} == (
        waiting - in_pairs
    )
    free = [known for known in expected if not model.claimed(known)]
    taken = []
    while (taking := store.sessions.claim()) is not None:
        taken.append(key(taking))
    assert taken == keys(free)


@given(rows)
@example(repeated_hour)
@example(moved)
@example(claim_only)
@settings(max_examples=60)
@first_on_server
def test_all_sessions_whole_or_not(store: Store, found: list[Row]) -> None:
    model = stored(store, found)
    overviews = list(store.sessions.iter_overview())
    assert len(overviews) == len(model.sessions)
    order = []
    for overview in overviews:
        known = model.sessions[overview.session_identifier, overview.instrument]
        leader = known.start or known.end or known.other
        assert overview.status == model.status(leader)
        assert overview.whole is (known.start is not None and known.end is not None)
        for shown, number in ((overview.start, known.start), (overview.end, known.end)):
            assert (shown is None) is (number is None)
            if isinstance(shown, datetime) and shown.utcoffset() is not None:
                # Times of the repeated hour equal none of another zone, for Python.
                assert shown.astimezone(UTC) == model.instant(number)
            else:
                assert number is None or model.instant(number) is None
        order.append((model.instant(known.start or known.end) or BEFORE_ALL, leader))
    assert order == sorted(order)
    for session in {one.session for one in found}:
        assert sorted(store.sessions.overview(session), key=str) == sorted(
            (one for one in overviews if one.session_identifier == session), key=str
        )
    starts = [known for known in model.sessions.values() if known.start is not None]
    assert store.sessions.counts_by_status() == Counter(
        RecordStatus(model.status(known.start) or "") for known in starts
    )
    for activity in store.instruments.activity():
        used = [known for known in starts if known.instrument == activity.instrument_pid]
        assert activity.sessions_total == len(used)
        instants = [time for known in used if (time := model.instant(known.start))]
        last = activity.last_session
        assert (last and last.astimezone(UTC)) == max(instants, default=None)
    for limit in (1, 3):
        assert list(store.sessions.iter_overview(limit=limit)) == overviews[-limit:]


def test_the_latest_sessions_are_found_in_whatever_order_all_were_stored(
    store: Store,
) -> None:
    old = [
        row(f"{number:04}", "A", f"2021-01-03T{number // 60:02}:{number % 60:02}:00+00:00", "START")
        for number in range(1100)
    ]
    early = [row("unreadable", "A", "soon", "START"), row("early", "B", "2020-01-01", "START")]
    # Stored first too, and the latest: the last day of the year 2020 of ISO's weeks, in the zone
    # that is the farthest behind; a session without a START; one without an END, of an odd form.
    latest = [
        row("weeks", "A", "2020-W53-7T23:59:00-23:59", "START"),
        row("no START", "A", "2021-01-04T23:58:30Z", "END"),
        row("no END", "nobody's", "20210104T235900Z", "START"),
    ]
    stored(store, [*early, *latest, *old])
    overviews = list(store.sessions.iter_overview())
    for limit in (1, 3, 1104, 1105):
        assert list(store.sessions.iter_overview(limit=limit)) == overviews[-limit:]
    assert [one.session_identifier for one in store.sessions.iter_overview(limit=3)] == [
        "weeks",
        "no START",
        "no END",
    ]
    found = store.sessions.iter_overview(datetime(2021, 1, 4, tzinfo=UTC), limit=9)
    assert list(found) == overviews[-3:]
    found = store.sessions.iter_overview(end=datetime(2021, 1, 4, tzinfo=UTC), limit=9)
    assert list(found) == overviews[1093:1102]
    found = store.sessions.iter_overview(instruments=["B"], limit=9)
    assert list(found) == overviews[1:2]


bounds = st.builds(
    datetime, st.just(2025), st.sampled_from([10, 11]), st.sampled_from([2, 26]),
    st.integers(0, 3), st.integers(0, 59), fold=st.integers(0, 1),
    tzinfo=st.sampled_from([None, None, UTC, ZoneInfo("America/New_York")]),
)  # fmt: skip


@given(rows, bounds, bounds)
@example(
    [row("s", "A", "2025-11-02T01:10:00-04:00", "START"), row("s", "A", "2025-11-03", "END")],
    datetime(2025, 11, 2, 1, 0, fold=1),
    datetime(2025, 11, 4),
)
@settings(max_examples=60)
@first_on_server
def test_spans_of_time(store: Store, found: list[Row], first: datetime, last: datetime) -> None:
    def in_span(known: Known, number: int | None) -> bool:
        time, zone = model.instant(number), ZONES.get(known.instrument)
        if time is None or (zone is None and None in (first.tzinfo, last.tzinfo)):
            return False
        edges = [
            bound if bound.tzinfo else bound.replace(tzinfo=ZoneInfo(zone or ""))
            for bound in (first, last)
        ]
        return edges[0].astimezone(UTC) <= time < edges[1].astimezone(UTC)

    model = stored(store, found)
    inside = sorted(
        (
            known
            for known in model.sessions.values()
            if model.good(known) and in_span(known, known.start)
        ),
        key=lambda known: (model.instant(known.start), known.start),
    )
    assert [key(one) for one in store.sessions.iter_between(first, last)] == keys(inside)
    shown = list(store.sessions.iter_overview(first, last))
    assert {(one.session_identifier, one.instrument) for one in shown} == {
        (known.session, known.instrument)
        for known in model.sessions.values()
        if in_span(known, known.start or known.end)
    }
    whole = [
        known
        for known in model.sessions.values()
        if None not in (known.start, known.end) and in_span(known, known.start)
    ]
    withheld = {(one.session, one.instrument) for one in found if one.status in WITHOUT_CONSENT}
    chosen = [known for known in whole if model.status(known.start) in {"ERROR", "COMPLETED"}]
    kept = [known for known in chosen if (known.session, known.instrument) in withheld]
    built = [known for known in chosen if known not in kept and model.claimed(known)]
    assert store.sessions.reset_between(first, last, ["ERROR", "COMPLETED"]) == (
        len(chosen) - len(kept) - len(built),
        len(kept),
        len(built),
    )


@given(rows)
@example(repeated_hour)
@example(beside_others)
@settings(max_examples=50)
@first_on_server
def test_events_come_in_the_order_of_their_instants(store: Store, found: list[Row]) -> None:
    def ordered(chosen: list[int]) -> list[int]:
        return sorted(chosen, key=lambda number: (model.instant(number) or BEFORE_ALL, number))

    model = stored(store, [one for one in found if one.time not in {"soon", ""}])
    numbers = list(model.rows)
    assert [log.id_session_log for log in store.session_logs.iter_all()] == ordered(numbers)
    for status in RecordStatus:
        assert [log.id_session_log for log in store.session_logs.list_by_status(status)] == ordered(
            [number for number in numbers if model.status(number) == status]
        )
    for session in ("s", "t"):
        assert [
            log.id_session_log for log in store.session_logs.list_for_session(session)
        ] == ordered([number for number in numbers if model.rows[number].session == session])
        shown = stored_rows.list_events(store._database, session)
        assert [event["id_session_log"] for event in shown] == ordered(
            [number for number in numbers if model.rows[number].session == session]
        )
    assert set(stored_rows.identifiers_ending(store._database, "s", 9)) == {
        one.session for one in model.rows.values() if one.session == "s"
    }


@given(rows)
@example([*ordinary, row("s", "A", "2025-11-02T22:00:00", "RECORD_GENERATION", "WAITING_FOR_END")])
@settings(max_examples=50)
@first_on_server
def test_the_claims_of_what_is_to_be_built(store: Store, found: list[Row]) -> None:
    model = stored(store, found)
    waiting = {
        (known.session, known.instrument)
        for known in model.sessions.values()
        if model.status(known.start) == model.status(known.end) == "TO_BE_BUILT"
    }
    newest = {
        (one.session, one.instrument): number
        for number, one in model.rows.items()
        if (one.event, one.status) == (EventType.RECORD_GENERATION.value, "WAITING_FOR_END")
        and (one.session, one.instrument) in waiting
    }
    claims = store.sessions.list_claims()
    assert [claim.id_session_log for claim in claims] == sorted(newest.values())


@given(rows, st.none() | bounds)
@example([*ordinary, row("t", "A", "2025-11-01T10:00:00", "START", "ERROR")], None)
@example([*ordinary[:1], row("s", "A", "2025-11-01T11:00", "END", "ERROR")], None)
@example([row("s", "A", "2025-11-01T10:00", "START", "COMPLETED"), *ordinary[1:]], None)
@example([*ordinary, row("t", "A", "2025-11-02T10:00:00", "START"),
          row("t", "A", "2025-11-02T11:00:00", "END")], None)  # fmt: skip
@settings(max_examples=50)
@first_on_server
def test_the_work_of_the_builders(store: Store, found: list[Row], since: datetime | None) -> None:
    model = stored(store, found)
    shown = work.read(store._database, NOW, HEAD, since=since, with_use=False)
    withheld, over = (
        {
            (one.session, one.instrument)
            for one in found
            if one.status in statuses and one.event in events
        }
        for statuses, events in (
            (WITHOUT_CONSENT, set(EventType)),
            (set(RecordStatus) - {"WAITING_FOR_END"}, {"RECORD_GENERATION"}),
        )
    )
    waiting: list[datetime] = []
    failed: Counter[str] = Counter()
    retriable: Counter[str] = Counter()
    for key, known in model.sessions.items():
        begun, ended = model.instant(known.start), model.instant(known.end)
        status = model.status(known.start)
        if status == model.status(known.end) == "TO_BE_BUILT" and key not in over:
            waiting += [ended] if begun and ended and begun <= ended else []
        earliest = since and (since if since.tzinfo else since.replace(tzinfo=UTC))
        late = ended is None or earliest is None or ended >= earliest.astimezone(UTC)
        if status in {"ERROR", "BUILT_NOT_EXPORTED"} and late:
            failed[status] += 1
            good = begun is not None and known.end is not None and key not in withheld
            retriable[status] += good
    assert shown.waiting_since == min(waiting, default=None)
    assert shown.failed_sessions == failed
    assert shown.retriable_sessions == retriable
    builds = [number for number, one in model.rows.items() if one.event == "RECORD_GENERATION"]
    if isinstance(shown.last_build, datetime) and shown.last_build.tzinfo:
        assert shown.last_build.astimezone(UTC) == model.instant(max(builds))
    else:
        assert not builds or model.instant(max(builds)) is None
        assert (shown.last_build is None) is (not builds)
