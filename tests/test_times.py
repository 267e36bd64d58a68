"""Time: kept to the byte, ordered by instant, paired, measured, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from helpers.strategies import ZONES, aware_times
from helpers.support import PID, SESSION, add_pair, instrument, log, memory_store, upload
from hypothesis import example, given
from hypothesis import strategies as st

from nexuslims_store import InvalidValueError, RecordStatus, Session, Store
from nexuslims_store.times import (
    aware_end,
    checked_clock,
    checked_timeout,
    day_before,
    from_instant,
    instant,
    stored_instant,
    utc_now,
    zone,
)

NEW_YORK = ZoneInfo("America/New_York")
EPOCH = datetime(1970, 1, 1)


def reading(text: str, zone: str = "America/New_York") -> timedelta:
    """The instant of a stored text, as time since 1970: the plain rule, to compare with."""
    time = datetime.fromisoformat(text)
    offset = time.utcoffset()
    if offset is None:
        offset = time.replace(tzinfo=ZoneInfo(zone)).utcoffset()
    assert offset is not None
    # No datetime in between that may lie before year 1 or after 9999.
    return time.replace(tzinfo=None) - EPOCH - offset


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A time stamp in one of the forms that `datetime.fromisoformat` reads."""
    # Often near one another, so that offsets and fractions decide the order.
    days = st.dates(date(2025, 11, 1), date(2025, 11, 3)) | st.dates()
    time = datetime.combine(draw(days), draw(st.times()))
    timespec = draw(st.sampled_from(["auto", "minutes", "seconds", "milliseconds", "microseconds"]))
    day, week = f"{time:%Y-%m-%d}".zfill(10), "{:04}-W{:02}-{}".format(*time.isocalendar())
    text = draw(st.sampled_from([day, day, day, day.replace("-", ""), week]))
    text += draw(st.sampled_from("TT t_")) + time.time().isoformat(timespec=timespec)
    minutes = draw(st.integers(-23 * 60 - 59, 23 * 60 + 59))
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    offset = draw(
        st.sampled_from(
            [
                "",
                "Z",
                "+00:00",
                "-00:00",
                f"{sign}{hours:02}:{rest:02}",
                f"{sign}{hours:02}{rest:02}",
                f"{sign}{hours:02}",
                f"{sign}{hours:02}:{rest:02}:30",
                f"{sign}{hours:02}:{rest:02}:59.999999",
            ]
        )
    )
    return text + offset


def write_rows(store: Store, rows: list[tuple[str, str, str]]) -> None:
    """Store session_identifier, event type and time stamp of rows as another program may."""
    store.connection.executemany(
        "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type, "
        f"record_status) VALUES (?, '{PID}', ?, ?, 'TO_BE_BUILT')",
        [(identifier, timestamp, event_type) for identifier, event_type, timestamp in rows],
    )


# -- what is already there -------------------------------------------------------------


@given(st.lists(texts(), max_size=12))
@example(["2025-06-02T10:00:00+14:00", "2025-06-02 05:00:00Z", "2025-06-01T23:30:00-04:00"])
@example(["0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00", "0001-01-01T00:00:00-23:59"])
@example(["9999-12-31T23:59:59.999999-23:59", "9999-12-31 23:59:59.999999", "9999-12-31"])
@example(["1969-12-31T23:59:59.999999+00:00", "1970-01-01", "1969-12-31T19:00:00-05:00"])
@example(["2038-01-19T03:14:08+00:00", "2038-01-19T03:14:07Z", "1901-12-13T20:45:51Z"])
@example(["2024-12-31T23:59:59.999999-05:00", "2025-01-01T00:00:00-05:00", "2024-12-31T23:59:60"])
@example(["1870-01-01T00:00:00", "1870-01-01T04:56:02Z", "1870-01-01T00:00:00-04:56"])
def test_rows_come_in_the_order_of_their_instants(stored: list[str]) -> None:
    stored = [text for text in stored if readable(text)]
    in_order = [text for _, text in sorted(enumerate(stored), key=lambda e: (reading(e[1]), e[0]))]
    with memory_store() as store:
        write_rows(store, [(SESSION, "RECORD_GENERATION", text) for text in stored])
        for found in (
            list(store.session_logs.iter_all()),
            store.session_logs.list_for_session(SESSION),
            store.session_logs.list_by_status(RecordStatus.TO_BE_BUILT),
        ):
            # Not the texts in order: of two spellings of one instant the older row comes first.
            assert [stored[(event.id_session_log or 0) - 1] for event in found] == in_order
            for event, text in zip(found, in_order, strict=True):
                assert event.timestamp == datetime.fromisoformat(text)
                assert event.timestamp.utcoffset() == datetime.fromisoformat(text).utcoffset()
        kept = store.connection.execute("SELECT timestamp FROM session_log").fetchall()
        assert [text for (text,) in kept] == stored


def readable(text: str) -> bool:
    """Whether this Python reads a text as a time."""
    try:
        reading(text)
    except ValueError:
        return False
    return True


@given(st.lists(st.tuples(texts(), texts()), max_size=6))
def test_sessions_are_paired_ordered_and_measured(pairs: list[tuple[str, str]]) -> None:
    rows = []
    expected = []
    for number, (start, end) in enumerate(pairs):
        rows += [(str(number), "START", start), (str(number), "END", end)]
        length = reading(end) - reading(start)
        if length >= timedelta():
            expected.append((reading(start), number, length))
    expected.sort()
    with memory_store() as store:
        write_rows(store, rows)
        found = store.sessions.list_to_build()
        assert [(session.session_identifier, session.duration) for session in found] == [
            (str(number), length) for _, number, length in expected
        ]
        for session in found:
            start, end = pairs[int(session.session_identifier)]
            assert_same_time(session.dt_from, start)
            assert_same_time(session.dt_to, end)
        odd = {unpaired.session_identifier for unpaired in store.sessions.list_unpaired()}
        paired = {str(number) for _, number, _ in expected}
        assert odd == {str(number) for number in range(len(pairs))} - paired
        # A claim takes the oldest first.
        claimed = [store.sessions.claim() for _ in range(len(found) + 1)]
        assert claimed == [*found, None]


def assert_same_time(localized: datetime, stored: str) -> None:
    """A stored time, made aware: the same clock, in its own offset or in New York."""
    time = datetime.fromisoformat(stored)
    assert localized.replace(tzinfo=None) == time.replace(tzinfo=None)
    assert (
        localized.utcoffset()
        == (time.replace(tzinfo=NEW_YORK) if time.utcoffset() is None else time).utcoffset()
    )


@given(st.lists(texts(), max_size=8), texts(), texts())
@example(["2025-11-02T01:30:00-05:00"], "2025-11-02T01:30:00-05:00", "2025-11-02T06:30:00.000001Z")
@example(["2025-11-02T01:30:00"], "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59")
@example(["2020-W53-7T23:59-23:59"], "2021-01-04T23:58Z", "2021-01-05T00:00Z")
def test_a_span_holds_what_starts_in_it(starts: list[str], first: str, last: str) -> None:
    with memory_store() as store:
        for number, start in enumerate(starts):
            write_rows(
                store,
                [(str(number), "START", start), (str(number), "END", "9999-12-31T23:59:59-23:59")],
            )
        span = (datetime.fromisoformat(first), datetime.fromisoformat(last))
        inside = sorted(
            (reading(start), number)
            for number, start in enumerate(starts)
            if reading(first) <= reading(start) < reading(last)
        )
        found = [session.session_identifier for session in store.sessions.iter_between(*span)]
        assert found == [str(number) for _, number in inside]
        shown = [session.session_identifier for session in store.sessions.iter_overview(*span)]
        assert shown == found
        assert store.sessions.reset_between(*span, statuses=["TO_BE_BUILT"]) == (0, 0, 0)
        store.connection.execute("UPDATE session_log SET record_status = 'ERROR'")
        assert store.sessions.reset_between(*span) == (len(inside), 0, 0)


@given(st.lists(texts(), min_size=1, max_size=8))
def test_the_latest_upload_is_that_of_the_latest_instant(stored: list[str]) -> None:
    with Store(":memory:") as store:
        store.connection.executemany(
            "INSERT INTO upload_log (session_identifier, destination_name, success, timestamp) "
            "VALUES ('s', 'cdcs', 0, ?)",
            [(text,) for text in stored],
        )
        in_order = sorted(enumerate(stored, start=1), key=lambda e: (reading(e[1], "UTC"), e[0]))
        found = store.upload_logs.list_for_session("s")
        assert [attempt.id for attempt in found] == [number for number, _ in in_order]
        assert store.upload_logs.latest("s")["cdcs"] == found[-1]
        assert store.upload_logs.list_failed() == [found[-1]]


@given(st.lists(texts(), min_size=1, max_size=6))
def test_the_last_session_of_an_instrument_is_that_of_the_latest_instant(
    starts: list[str],
) -> None:
    with memory_store() as store:
        write_rows(store, [(str(n), "START", start) for n, start in enumerate(starts)])
        (activity,) = store.instruments.activity()
        assert activity.sessions_total == len(starts)
        last = max(map(reading, starts))
        assert activity.last_session is not None
        # Before year 1 and after 9999 in UTC, which no datetime is, the nearest stands for it.
        earliest, latest = datetime.min - EPOCH, datetime.max - EPOCH
        shown = activity.last_session.replace(tzinfo=None) - EPOCH
        shown -= activity.last_session.utcoffset() or timedelta()
        assert shown == min(max(last, earliest), latest)


# -- what is written here --------------------------------------------------------------


@given(aware_times)
def test_an_aware_time_is_kept_to_the_byte(time: datetime) -> None:
    with memory_store() as store:
        stored = store.session_logs.insert(log(timestamp=time))
        again = store.session_logs.insert(log(timestamp=time))
        assert again == stored
        ((text,),) = store.connection.execute("SELECT timestamp FROM session_log")
        assert text == time.isoformat() == stored.timestamp.isoformat()
        store.upload_logs.insert(upload(timestamp=time))
        ((text,),) = store.connection.execute("SELECT timestamp FROM upload_log")
        assert text == time.isoformat()


@given(st.datetimes(), st.sampled_from(ZONES), st.integers(0, 1))
def test_a_naive_time_is_given_the_offset_of_its_instrument(
    time: datetime, zone: str, fold: int
) -> None:
    time = time.replace(fold=fold)
    with memory_store(instrument(timezone_str=zone)) as store:
        stored = store.session_logs.insert(log(timestamp=time)).timestamp
    assert stored.replace(tzinfo=None) == time.replace(fold=0)
    assert stored.utcoffset() == time.replace(tzinfo=ZoneInfo(zone)).utcoffset()


@given(aware_times, st.timedeltas(timedelta(), timedelta(days=3650)), st.sampled_from(ZONES))
def test_a_session_is_as_long_as_the_time_that_passed(
    start: datetime, length: timedelta, zone: str
) -> None:
    start = start.replace(year=min(max(start.year, 2), 9900), day=min(start.day, 28))
    # The END in another offset than the START.
    end = (start.astimezone(UTC) + length).astimezone(timezone(timedelta(hours=9, minutes=30)))
    passed = (end - EPOCH.replace(tzinfo=UTC)) - (start - EPOCH.replace(tzinfo=UTC))
    with memory_store(instrument(timezone_str=zone)) as store:
        added = store.sessions.add(SESSION, PID, start, end)
        assert added.duration == passed
        assert store.sessions.get(SESSION) == added
        assert store.sessions.list_to_build() == [added]


# -- what the clocks do ----------------------------------------------------------------

# Zone, the local times around a change of its clocks, the hours that pass between them.
CHANGES = {
    "New York, back": (
        "America/New_York",
        ["2025-11-02T00:30", "2025-11-02T01:30", "2025-11-02T01:30 again", "2025-11-02T02:30"],
        [1, 1, 1],
    ),
    "New York, forward": (
        "America/New_York",
        ["2025-03-09T01:30", "2025-03-09T03:30", "2025-03-09T04:30"],
        [1, 1],
    ),
    "Berlin, back": (
        "Europe/Berlin",
        ["2025-10-26T01:30", "2025-10-26T02:30", "2025-10-26T02:30 again", "2025-10-26T03:30"],
        [1, 1, 1],
    ),
    "Berlin, forward": ("Europe/Berlin", ["2025-03-30T01:30", "2025-03-30T03:30"], [1]),
    "Lord Howe, half an hour back": (
        "Australia/Lord_Howe",
        ["2025-04-06T01:45", "2025-04-06T01:45 again", "2025-04-06T02:15"],
        [0.5, 0.5],
    ),
    "Lord Howe, half an hour forward": (
        "Australia/Lord_Howe",
        ["2025-10-05T01:45", "2025-10-05T02:45"],
        [0.5],
    ),
    "Apia, a day left out": ("Pacific/Apia", ["2011-12-29T23:00", "2011-12-31T01:00"], [2]),
    "Dublin, back": (
        "Europe/Dublin",
        ["2025-10-26T01:30", "2025-10-26T01:30 again"],
        [1],
    ),
    "Amsterdam, of old": ("Europe/Amsterdam", ["1930-01-01T00:00", "1930-01-01T06:00"], [6]),
}


@pytest.mark.parametrize(("zone", "local", "hours"), CHANGES.values(), ids=list(CHANGES))
def test_sessions_across_a_change_of_the_clocks(
    zone: str, local: list[str], hours: list[float]
) -> None:
    times = [
        datetime.fromisoformat(text.removesuffix(" again")).replace(fold=text.endswith(" again"))
        for text in local
    ]
    with memory_store(instrument(timezone_str=zone)) as store:
        # The later ones first.
        for number, (start, end) in reversed(list(enumerate(pairwise(times)))):
            store.sessions.add(str(number), PID, start, end)
        sessions = store.sessions.list_to_build()
        assert [session.session_identifier for session in sessions] == [
            str(number) for number in range(len(hours))
        ]
        assert [session.duration for session in sessions] == [
            timedelta(hours=number) for number in hours
        ]
        # Nothing of the local time is lost, and its offset is the one of then.
        assert [session.dt_from.replace(tzinfo=None) for session in sessions] == [
            time.replace(fold=0) for time in times[:-1]
        ]


def test_a_time_that_the_clocks_left_out_is_kept_as_it_is_given() -> None:
    with memory_store() as store:
        stored = store.session_logs.insert(log(timestamp=datetime(2025, 3, 9, 2, 30)))
        assert stored.timestamp.isoformat() == "2025-03-09T02:30:00-05:00"


def test_seconds_of_an_old_offset_are_kept() -> None:
    with memory_store() as store:
        stored = store.session_logs.insert(log(timestamp=datetime(1870, 1, 1)))
        assert stored.timestamp.isoformat() == "1870-01-01T00:00:00-04:56:02"
        assert store.session_logs.list_for_session(SESSION) == [stored]
        ((text,),) = store.connection.execute("SELECT timestamp FROM session_log")
        assert text == "1870-01-01T00:00:00-04:56:02"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00-14:00"),
        ("9999-12-31T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00"),
        ("2024-12-31T23:59:59.999999-05:00", "2025-01-01T00:00:00-05:00"),
        ("1969-12-31T23:59:59+00:00", "1970-01-01T00:00:01+00:00"),
        ("2038-01-19T03:14:07+00:00", "2038-01-19T03:14:08+00:00"),
        ("2024-02-29T12:00:00+00:00", "2024-03-01T12:00:00+00:00"),
    ],
)
def test_the_ends_of_the_calendar(start: str, end: str) -> None:
    with memory_store() as store:
        add_pair(store, start=start, end=end)
        (session,) = store.sessions.list_to_build()
        assert isinstance(session, Session)
        assert session.duration == reading(end) - reading(start)
        assert store.sessions.get(SESSION) == session
        assert list(store.sessions.iter_between(session.dt_from, session.dt_to)) == [session]
        assert store.instruments.activity()[0].sessions_total == 1
        assert store.sessions.claim() == session


# -- at the edges ----------------------------------------------------------------------

TWICE = datetime(2025, 11, 2, 1, 30)  # by New York's clocks


def test_an_end_in_the_hour_that_is_there_twice_is_not_before_its_start() -> None:
    first, second = (TWICE.replace(tzinfo=NEW_YORK, fold=fold) for fold in (0, 1))
    start = instant(first)
    for began, end in ((None, first), (start, first), (start + 1, second)):
        assert aware_end(TWICE, began, NEW_YORK).isoformat() == end.isoformat()
    assert aware_end(first, start + 1, NEW_YORK) is first, "it says itself which of the two it is"
    for never_or_once in (datetime(2025, 3, 9, 2, 30), datetime(2025, 7, 1)):
        assert aware_end(never_or_once, 2**62, NEW_YORK).utcoffset() == (
            never_or_once.replace(tzinfo=NEW_YORK).utcoffset()
        )


@pytest.mark.parametrize(
    ("microseconds", "timezone_name", "shown"),
    [
        (None, "UTC", None),
        (1_000_001, "UTC", "1970-01-01T00:00:01.000001+00:00"),
        (0, "Europe/Berlin", "1970-01-01T01:00:00+01:00"),
        (0, "Mars/Olympus", "1970-01-01T00:00:00+00:00"),
        (-62_135_596_800_000_000, "America/New_York", "0001-01-01T00:00:00+00:00"),
        (-62_135_596_800_000_001, "UTC", "0001-01-01T00:00:00+00:00"),
        (253_402_300_800_000_000, "UTC", "9999-12-31T23:59:59.999999+00:00"),
    ],
)
def test_an_instant_is_shown_in_every_year(
    microseconds: int | None, timezone_name: str, shown: str | None
) -> None:
    time = from_instant(microseconds, timezone_name)
    assert (time and time.isoformat()) == shown


def test_the_day_before_is_a_week_before() -> None:
    assert day_before(instant(datetime(2025, 1, 13, tzinfo=UTC))) == "2025-01-06"


@pytest.mark.parametrize(
    ("stored", "timezone_name", "start", "shown"),
    [
        (b"2025-07-01T12:00:00Z", None, None, "2025-07-01T12:00:00+00:00"),
        ("2025-07-01 12:00", b"Europe/Berlin", None, "2025-07-01T10:00:00+00:00"),
        ("2025-07-01 12:00", "Mars/Olympus", None, None),
        (f"{TWICE}", "America/New_York", f"{TWICE}", "2025-11-02T05:30:00+00:00"),
        (f"{TWICE}", "America/New_York", "2025-11-02T06:00Z", "2025-11-02T06:30:00+00:00"),
        *(("soon", "UTC", None, None), (b"\xff", "UTC", None, None), (5, "UTC", None, None)),
    ],
)
def test_what_sql_takes_a_stored_time_for(
    stored: object, timezone_name: object, start: object, shown: str | None
) -> None:
    found = stored_instant(stored, timezone_name, start)
    assert found == (None if shown is None else instant(datetime.fromisoformat(shown)))


def test_zones_are_those_of_places_in_any_capitals() -> None:
    assert zone("america/new_york") is zone("America/New_York")
    assert zone("utc").key == "UTC"
    for name in ("localtime", "LOCALTIME", "Factory", "posix/UTC", "right/UTC", "Nowhere", "", "é"):
        with pytest.raises(ValueError, match=f"{name!r} is no IANA time zone"):
            zone(name)


@pytest.mark.parametrize("timeout", [-0.001, float("nan"), float("-inf")])
def test_a_timeout_is_not_negative(timeout: float) -> None:
    with pytest.raises(InvalidValueError, match=r"timeout is .*: give the seconds to wait"):
        checked_timeout(timeout)
    assert (checked_timeout(0), checked_timeout(2_000_000), checked_timeout(2e6 + 1)) == (
        0,
        2e6,
        2e6,
    )


def test_a_clock_shows_aware_times_and_nothing_else() -> None:
    assert checked_clock(utc_now) is utc_now
    noon = datetime(2025, 6, 2, 12, tzinfo=UTC)
    assert checked_clock(lambda: noon)() == noon
    with pytest.raises(TypeError, match=r"^what clock returns must be a datetime"):
        checked_clock(lambda: "noon")()  # type: ignore[arg-type,return-value]
    naive = noon.replace(tzinfo=None)
    with pytest.raises(InvalidValueError, match=r"^clock returned datetime.* says of no zone"):
        checked_clock(lambda: naive)()
