"""Instants on a PostgreSQL server: those that this package finds itself, for every text."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from itertools import product

import pytest
from helpers.servers import Server
from helpers.support import PID, instrument, run

from nexuslims_store import Store, queries
from nexuslims_store.times import stored_instant

_SQL = queries.load("overview.sql")

# What Python's fromisoformat() documents. It reads some more, which no program writes: a colon for
# the point before a fraction, say. For those a server says NULL.
CLOCK = r"\d\d(?:(?::[0-5]\d){0,2}|(?:[0-5]\d){0,2}|:[0-5]\d:[0-5]\d[.,]\d+|[0-5]\d[0-5]\d[.,]\d+)"
DOCUMENTED = re.compile(
    r"(?:\d{4}-\d\d-\d\d|\d{8}|\d{4}-W\d\d(?:-\d)?(?!\d)|\d{4}W\d\d\d?(?!\d))"
    rf"(?:.{CLOCK}(?:Z|[+-]{CLOCK})?)?",
    re.DOTALL | re.ASCII,
)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def store(server: Server) -> Iterator[Store]:
    with server.database() as url, Store(url) as store:
        store.instruments.add(instrument())
        yield store


def check(store: Store, zone: str, texts: list[str], event: str = "START") -> None:
    run(store, "DELETE FROM session_log")
    run(store, "UPDATE instruments SET timezone = ?", (zone,))
    run(
        store,
        "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type,"
        " record_status) VALUES ('s', ?, ?, ?, 'COMPLETED')",
        *((PID, text, event) for text in texts),
    )
    rows = store._database.rows(_SQL.list_events_of_session, {"session_identifier": "s"})
    assert len(rows) == len(texts)
    wrong = {
        text: (expected, found)
        for text, *_, found in rows
        if (expected := stored_instant(text, zone)) != found
        and (found is not None or DOCUMENTED.fullmatch(text))
    }
    assert wrong == {}


DATES = (
    *(
        "2025-01-27",
        "2025-12-31",
        "2024-02-29",
        "2025-02-29",
        "2025-04-31",
        "2025-04-00",
        "0001-01-01",
    ),
    *("0000-01-01", "2025-00-10", "2025-13-10", "20250127", "20251331", "2025-1-27", "202501"),
    *(
        "2020-W53",
        "2020-W53-7",
        "2021-W01-1",
        "2021-W53-1",
        "2020-W00-3",
        "2020-W54-1",
        "2020-W05-0",
        "2026-W10-3",  # the fourth of January is a Sunday
        "2025W01112",  # no day of the week, but a separator that is a digit
    ),
    *("2020-W05-8", "2021W537", "2020W537", "2020W53", "2020W050", "2020W058", "9999-W52-5"),
    *("9999-W52-6", "9999W526", "9999W525", "0000-W10-1", "2020-W", "2020W5", ""),
)
CLOCKS = (
    *(
        "T10",
        "T10:30",
        " 10:30:05",
        "T1030",
        "T103005",
        "T10:30:05.5",
        "T10:30:05,123456",
        "T103005.25",
    ),
    *("T10:30:05.1234567", "T103005,1234567", "T10:30:05.", "T10:30.5", "T1030.5", "T10:30:05.5.5"),
    *(
        "T10:30:05.5:5",
        "T10:60",
        "T10:30:60",
        "T1060",
        "T103060",
        "T23:59:59.999999",
        "T24:00:00",
        "T24",
    ),
    *(
        "T",
        "T1",
        "T10:3",
        "T10:30:0",
        "T10:3005",
        "T1030:05",
        "_00:00",
        "T10.5",
        "-12",
        "-12:30",
        "T:",
        "",
    ),
)
OFFSETS = (
    *("Z", "+00:00", "+05:45", "-07:00", "+14", "-0330", "+01:02:03", "-010203", "+01:00:00.5"),
    *(
        "-23:59:59.999999",
        "+24:00",
        "-24",
        "+23:60",
        " 01:00",
        "z",
        "ZZ",
        "+",
        "+1",
        "Z+01:00",
        "+01:00Z",
    ),
)


def test_each_form_of_a_date_of_a_clock_and_of_an_offset(store: Store) -> None:
    texts = {f"{day}{clock}" for day in DATES for clock in ("", "T10:30", "T10:30:00Z", "-12:30")}
    texts |= {f"{day}{clock}" for day in ("2025-01-27", "2020-W53") for clock in CLOCKS}
    texts |= {f"20250127{clock}+01:00" for clock in CLOCKS}
    texts |= {f"2025-01-27T10:30:05.25{offset}" for offset in OFFSETS}
    check(store, "America/New_York", sorted(texts))


def test_the_usual_form_needs_no_function(store: Store) -> None:
    texts = [
        f"{time}{fraction}{offset}"
        for time in (
            *(f"2025-{month:02}-{day}T10:30:00" for month in range(1, 13) for day in ("01", "28")),
            *(f"2025-{month:02}-{day}T00:00:59" for month in (1, 3, 4, 12) for day in (29, 30)),
            *(f"2025-{month:02}-31T19:59:00" for month in (1, 3, 5, 7, 8, 10, 12)),
            *("2000-01-01T00:00:00", "2099-12-31T23:59:59"),
        )
        for fraction in ("", ".000000", ".123456")
        for offset in ("+00:00", "-07:00", "+05:45", "-00:59", "+14:59")
    ]
    with suppress(UndoError), store.transaction():
        run(store, NO_FUNCTION)
        check(store, "America/New_York", texts)
        raise UndoError


class UndoError(Exception):
    """Raised at the end of a transaction that was only to be looked at."""


NO_FUNCTION = """
    CREATE OR REPLACE FUNCTION nxs_instant(stored text, zone text, start text DEFAULT NULL)
    RETURNS bigint LANGUAGE sql STABLE AS 'SELECT NULL::bigint'
"""


def test_an_end_of_a_repeated_hour_is_the_first_that_is_not_before_its_start(store: Store) -> None:
    starts = [
        *(None, "soon", "2025-11-02T00:59:00", "2025-11-02T01:30:00", "2025-11-02T01:30:00.000001"),
        *("2025-11-02T05:30:00+00:00", "2025-11-02T05:30:00.000001Z", "2025-11-02T02:00:00"),
    ]
    ends = ["2025-11-02T01:00:00", "2025-11-02T01:30:00.123456", "2025-11-02T01:30:00"]
    ends += ["2025-11-02T12:00:00", "2025-11-02T06:00:00Z"]
    zone, cursor = "America/New_York", store.connection.cursor()
    for end, start in product(ends, starts):
        cursor.execute("SELECT nxs_instant(%s, %s, %s)", (end, zone, start))
        assert cursor.fetchone() == (stored_instant(end, zone, start),), (end, start)


@pytest.mark.slow
def test_the_instant_of_any_text_is_that_of_the_models(store: Store) -> None:
    some = random.Random(15)
    good = ["2025-01-27T10:30:00-07:00", "2024-02-29T23:59:59.999999+14:00", "2025-W05-3T10:30",
            "20250127T103000Z", "2025-11-02T01:30:00", "2025-03-09 02:30:00.5"]  # fmt: skip
    texts = ["", "yesterday", "2025-01-27", "2025-01-27T", "2020W53", "2021W537", "9999-W52-6"]
    for _ in range(2000):
        time = datetime(
            *(some.choice([1, 2, 1883, 1918, 1970, 2024, 2025, 2100, 9999]), some.randint(1, 12)),
            *(some.randint(1, 28), some.randint(0, 23), some.randint(0, 59), some.randint(0, 59)),
            some.choice([0, some.randint(0, 999_999)]),
            some.choice([None, timezone(some.randint(-1439, 1439) * MINUTE)]),
        )
        text = time.isoformat(some.choice("T t_"))
        year, week, day = time.isocalendar()
        texts += [
            some.choice([text, text.replace("-", ""), text.replace(".", ","), text[:10]]),
            time.isoformat(timespec=some.choice(["hours", "minutes", "milliseconds"])),
            f"{year:04}-W{week:02}-{day}{text[10:]}",
            f"{year:04}W{week:02}{day}{text[10:]}",
            # Almost a time: each part may be far too large.
            f"{some.choice([0, 1, 2024, 9999]):04}-{some.randint(0, 13):02}-"
            f"{some.randint(0, 32):02}T{some.randint(0, 25):02}:{some.randint(0, 61):02}:"
            f"{some.randint(0, 61):02}{some.choice(['', '.000000', '.12345'])}"
            f"{some.choice('+- Z.')}{some.randint(0, 25):02}:{some.randint(0, 61):02}",
        ]
        changed = [*some.choice(good)]
        for _ in range(some.randint(1, 3)):
            changed[some.randrange(len(changed))] = some.choice(
                "0123456789T tZ:.,+-W\n\u00e9\u0660"
            )
        texts.append("".join(changed))
    check(store, "America/New_York", texts)


FEW = ["0", "2", "6", *"T :.+-a", *("00", "13", "15", "24", "29", "30", "31", "60")]
MANY = [*"0123456789T :.+-a\n", *(f"{number:02}" for number in range(100))]


@pytest.mark.parametrize(
    "others", [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.slow)]
)
def test_the_usual_form_with_each_place_changed(store: Store, others: list[str]) -> None:
    texts = ("2025-01-27T10:30:00-07:00", "2024-02-28T23:59:59.999999+14:00")
    changed = {
        f"{text[:place]}{other}{text[place + len(other) :]}"
        for text in texts
        for place in range(len(text))
        for other in others
    }
    check(store, "America/New_York", sorted(changed))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("zone", "changes"),
    [
        ("America/New_York", ["2025-03-09", "2025-11-02", "1883-11-18"]),
        ("Australia/Lord_Howe", ["2025-04-06", "2025-10-05"]),  # half an hour
        ("Europe/Dublin", ["2025-03-30", "2025-10-26"]),  # winter is the time that is saved
        ("Pacific/Apia", ["2011-12-29", "2011-12-30", "2011-12-31"]),  # a day that never was
        ("US/Eastern", ["2025-11-02"]),
        ("Nowhere/Atall", ["2025-11-02"]),
    ],
)
def test_local_times_where_the_clocks_change(store: Store, zone: str, changes: list[str]) -> None:
    for event in ("START", "END"):
        times = [datetime.fromisoformat(day) + number * 5 * MINUTE
                 for day in changes for number in range(288)]  # fmt: skip
        check(store, zone, [time.isoformat() for time in times], event)


@pytest.mark.slow
def test_an_unusual_form_costs_no_more_than_some_python_would(store: Store) -> None:
    """A regular expression that takes the text apart would take half a minute for these."""
    texts = [f"2025-06-{1 + number % 28:02}T10:30:00" for number in range(20_000)]
    store.connection.execute("SET statement_timeout = '10s'")
    check(store, "America/New_York", texts)
    store.connection.execute("SET statement_timeout = 0")
