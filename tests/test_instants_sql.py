"""Instants in SQL: the view of events computes most of them without `nxs_instant`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest
from helpers.support import PID, memory_store
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nexuslims_store import Store, queries
from nexuslims_store.times import stored_instant

ZONE = "America/New_York"
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module", autouse=True)
def opened() -> Iterator[None]:
    """One store for all examples of all tests: making thousands would take most of the time."""
    with memory_store() as store:
        STORES.append(store)
        yield
        STORES.clear()


STORES: list[Store] = []


def key_in_view() -> str:
    """What the view of events says an instant is."""
    view = queries.load("views.sql").make_event_view
    found = re.search(r"(?P<key>coalesce\(.*\)) AS instant\s+FROM", view, re.DOTALL)
    assert found is not None
    return found["key"]


def keys(key: str, stored: Sequence[object]) -> list[object]:
    """The sort keys that SQL finds for stored time stamps, whatever their type."""
    (store,) = STORES
    store.connection.execute("DELETE FROM session_log")
    store.connection.executemany(
        "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type,"
        " record_status) VALUES ('s', ?, ?, 'START', 'COMPLETED')",
        [(PID, one) for one in stored],
    )
    return [
        found
        for (found,) in store.connection.execute(
            f"SELECT {key} FROM session_log AS log ORDER BY id_session_log"
        )
    ]


def check(*stored: object) -> None:
    # The column's affinity makes texts of numbers; they are compared as they are stored.
    as_stored = [str(one) if isinstance(one, int) else one for one in stored]
    assert keys(key_in_view(), list(stored)) == [
        None if isinstance(one, bytes) else stored_instant(one, ZONE) for one in as_stored
    ]


whole_minutes = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
any_offset = st.integers(-86399, 86399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
times = st.one_of(
    st.datetimes(timezones=st.one_of(whole_minutes, any_offset, st.none())),
    st.datetimes(timezones=whole_minutes).map(lambda time: time.replace(microsecond=0)),
)
# Fractions that SQLite rounds up, to the next second at worst.
late_fractions = st.builds(
    lambda time, microsecond: time.replace(microsecond=microsecond),
    times,
    st.integers(999_000, 999_999),
)


@given(st.lists(st.one_of(times, late_fractions), min_size=1, max_size=20), st.sampled_from("T tx"))
@settings(max_examples=150)
def test_times_that_isoformat_writes(some: list[datetime], separator: str) -> None:
    check(*(time.isoformat(separator) for time in some))


@given(st.lists(times, min_size=1, max_size=20))
def test_forms_that_others_write(some: list[datetime]) -> None:
    texts = [time.isoformat() for time in some]
    check(
        *(text.replace("-", "") for text in texts),
        *(text.replace("+00:00", "Z") for text in texts),
        *(text.replace(".", ",") for text in texts),
        *(time.isoformat(timespec="milliseconds") for time in some),
        *(time.isoformat(timespec="minutes") for time in some),
        *(
            "{}-W{:02}-{}".format(*time.isocalendar()) + text[10:]
            for time, text in zip(some, texts, strict=True)
        ),
    )


# Every way to be almost a time: each part from far too small to far too large.
almost = st.builds(
    "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}{}{}{:02}:{:02}".format,
    st.sampled_from([0, 1, 999, 1900, 1970, 2023, 2024, 2025, 2038, 9999]),
    st.integers(0, 13),
    st.integers(0, 32),
    st.sampled_from("T t_"),
    st.integers(0, 25),
    st.integers(0, 61),
    st.integers(0, 61),
    st.sampled_from(
        ["", ".000000", ".123456", ".999499", ".999500", ".999999", ".12345", ",999999"]
    ),
    st.sampled_from("+- Z."),
    st.integers(0, 25),
    st.integers(0, 61),
)


@given(st.lists(almost, min_size=1, max_size=50))
@settings(max_examples=200)
def test_texts_that_are_almost_times(texts: list[str]) -> None:
    check(*texts)


@given(
    st.sampled_from(
        [
            "2025-01-27T10:30:00-07:00",
            "2024-02-29T23:59:59+14:00",
            "2025-01-27T10:30:00.999999-07:00",
            "0001-01-01T00:00:00.000001+00:00",
        ]
    ),
    st.lists(
        st.tuples(st.integers(0, 31), st.sampled_from("0123456789T tZ:.,+-W\0 \n\u00e9\u0660")),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(["", " ", "\0", "\0x", "Z", "0"]),
)
@settings(max_examples=200)
@example("2025-01-27T10:30:00-07:00", [(10, "T")], "\0x")
@example("2025-01-27T10:30:00-07:00", [(0, "-")], "")
def test_texts_with_a_character_changed(
    text: str, changes: list[tuple[int, str]], end: str
) -> None:
    characters = list(text)
    for place, character in changes:
        characters[place % len(characters)] = character
    check("".join(characters) + end)


@pytest.mark.slow
@given(
    st.lists(
        st.one_of(st.text(max_size=40), st.binary(max_size=40), st.integers(-(2**63), 2**63 - 1))
    )
)
def test_anything_else_that_a_column_can_hold(stored: list[object]) -> None:
    check(*stored)


@pytest.mark.parametrize(
    "blob", [b"2025-01-27T10:30:00-07:00", b"2025-01-27T10:30:00.123456-07:00", b"\xff" * 25]
)
def test_blobs(blob: bytes) -> None:
    check(blob)


def test_what_sqlite_takes_for_a_time_of_that_length() -> None:
    ends = ["Z     ", "      ", ".12345", "+01:00"]
    check(
        *(f"2025-01-27T10:30:00.123456{end}" for end in ends),
        *(f"2025-01-27T10:30:00.123{end}+01:00" for end in ("   ", "4  ", "45 ", "456")),
        *(f"2025-01-27T10:30:00{end}" for end in ends),
        "2025-01-27T10:30:00.1234Z",
    )


@pytest.mark.parametrize("year", [1, 2, 1000, 1582, 1899, 1969, 1970, 1999, 2000, 2038, 9998, 9999])
def test_every_day_of_a_year(year: int) -> None:
    start = datetime(year, 1, 1, 11, 59, 59)
    days = [start + timedelta(days=day) for day in range(365)]
    check(*(day.replace(tzinfo=timezone(-5 * HOUR)).isoformat() for day in days))
    check(*(day.replace(tzinfo=UTC, microsecond=999_999).isoformat() for day in days))
    check(
        *(
            f"{year:04}-{month:02}-{day:02}T12:00:00+01:00"
            for month in range(14)
            for day in range(33)
        )
    )


def test_the_usual_form_needs_no_python() -> None:
    without = re.sub(r"nxs_instant\(.*\)(?=\s*\)$)", "NULL", key_in_view(), flags=re.DOTALL)
    assert "nxs_instant" not in without
    usual = [
        f"{time}{fraction}{offset}"
        for time in (
            *("0001-01-31T00:00:00", "1969-12-31T23:59:59", "2023-02-28T09:59:59"),
            *("2024-02-29T10:30:00", "2025-06-30T19:00:59", "9999-12-30T23:59:59"),
        )
        for fraction in ("", ".000000", ".000001", ".123456", ".999999")
        for offset in ("+00:00", "-07:00", "+05:45", "-00:00", "+14:00")
    ]
    assert keys(without, usual) == [stored_instant(one, None) for one in usual]
