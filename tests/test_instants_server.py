"""Instants on a PostgreSQL server: those that this package finds itself, for every text."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from helpers.servers import Server
from helpers.support import PID, instrument, run

from nexuslims_store import Store, queries
from nexuslims_store.times import stored_instant

pytestmark = pytest.mark.slow

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


@pytest.mark.parametrize("text", ["2025-01-27T10:30:00-07:00", "2024-02-28T23:59:59.999999+14:00"])
def test_the_usual_form_with_each_place_changed(store: Store, text: str) -> None:
    changed = {
        f"{text[:place]}{other}{text[place + len(other) :]}"
        for place in range(len(text))
        for other in [*"0123456789T :.+-a\n", *(f"{number:02}" for number in range(100))]
    }
    check(store, "America/New_York", sorted(changed))


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


def test_an_unusual_form_costs_no_more_than_some_python_would(store: Store) -> None:
    """A regular expression that takes the text apart would take half a minute for these."""
    texts = [f"2025-06-{1 + number % 28:02}T10:30:00" for number in range(20_000)]
    store.connection.execute("SET statement_timeout = '10s'")
    check(store, "America/New_York", texts)
