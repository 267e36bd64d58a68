"""The report: what it says and counts, what it refuses, how it is written."""

from __future__ import annotations

import html
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers.command_line import call, process
from helpers.pages import Page, tables
from helpers.reports import HOSTILE, NOW, fill_with_hostile, fill_years
from helpers.support import file_of, instrument, log, upload, write

from nexuslims_store import EventType, RecordStatus, Store, demo, report
from nexuslims_store.report.delays import Delays
from nexuslims_store.report.values import cause_of

WEEK_BY_STATUS = "Sessions that began in each week"
BY_STATUS = "Sessions by status"
USE = "Use of each instrument in this time"
THIS_WEEK = "Since Monday 2025-06-02, UTC"
CAUSES = "Failures by cause, the most frequent first"
FAILED_BUILDS = "Builds that failed, the latest first"
FAILED_UPLOADS = "Uploads that failed, the latest first"
ODD = "To be built, but START and END make no session"
ATTEMPTS = "Attempts in this time, and sessions whose latest attempt failed"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database on disk with one instrument, A, called "Scope A"."""
    with Store(tmp_path / "facility.db", migrate=True, clock=lambda: NOW) as store:
        store.instruments.add(instrument("A", display_name="Scope A", timezone_str="UTC"))
        yield store


@pytest.fixture(scope="module")
def demo_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = demo.create(tmp_path_factory.mktemp("demo") / "demo.db", now=NOW)
    with Store(path, read_only=True, clock=lambda: NOW) as store:
        yield store


@pytest.fixture(scope="module")
def demo_page(demo_store: Store) -> str:
    return report.render(demo_store, NOW)


def at(store: Store, name: str, start: datetime, status: str = "COMPLETED", hours: int = 1) -> None:
    store.sessions.add(name, "A", start, start + timedelta(hours=hours), "u", RecordStatus(status))


def built(store: Store, name: str, when: datetime, status: str = "COMPLETED") -> None:
    store.session_logs.insert(
        log(
            EventType.RECORD_GENERATION,
            session_identifier=name,
            instrument="A",
            timestamp=when,
            record_status=RecordStatus(status),
        )
    )


# -- what it says ----------------------------------------------------------------------


def test_an_empty_database() -> None:
    with Store(":memory:") as store:
        page = report.render(store, NOW)
        for weeks in (1, report.MOST_WEEKS):
            assert "There were no sessions" in report.render(store, NOW, weeks=weeks, text=True)
    for words in (
        "Nothing needs a person",
        "There were no sessions",
        "There are no instruments",
        "No record was built",
        "There were no uploads",
    ):
        assert words in page


def test_what_needs_a_person_comes_first_and_nothing_else_alarms(store: Store) -> None:
    at(store, "good", NOW - timedelta(days=3))
    page = report.render(store, NOW)
    assert "alarming" not in page.partition("<body>")[2]
    assert page.index("Nothing needs a person") < page.index("<section")
    at(store, "bad", NOW - timedelta(days=3), "ERROR")
    page = report.render(store, NOW)
    assert "1 thing needs a person." in page
    assert "1 session, build failed (ERROR): when the cause is mended" in page
    sections = re.findall(r'<section id="(\w+)"', page)
    assert sections == ["needs", "week", "sessions", "use", "delays", "uploads"]
    assert re.search(r'<li class="alarming"><b>1</b> builds failed', page)


def test_sessions_count_in_the_week_they_began_in(store: Store) -> None:
    for name, start, status in (
        ("sunday", datetime(2025, 6, 1, 23, 59, tzinfo=UTC), "COMPLETED"),
        ("monday", datetime(2025, 6, 2, tzinfo=UTC), "COMPLETED"),
        ("late", datetime(2025, 6, 3, 11, 59, tzinfo=UTC), "ERROR"),
        ("old", datetime(2024, 6, 3, tzinfo=UTC), "COMPLETED"),
        ("future", datetime(2025, 6, 3, 12, 1, tzinfo=UTC), "COMPLETED"),
    ):
        at(store, name, start, status)
    found = tables(report.render(store, NOW))
    head, *rows = found[WEEK_BY_STATUS]
    assert head == ["week of", "all", "record complete", "build failed"]
    assert rows[-2:] == [["2025-05-26", "1", "1", "0"], ["2025-06-02", "2", "1", "1"]]
    assert found[USE][1:] == [["Scope A A", "3", "3.0", "1.0"]]
    assert found[BY_STATUS][1:] == [
        ["record complete COMPLETED", "2", "4"],
        ["build failed ERROR", "1", "1"],
    ]


@pytest.mark.parametrize(
    ("weeks", "noun", "first", "last"),
    [
        (1, "week", "2025-06-02", "2025-06-02"),
        (60, "week", "2024-04-15", "2025-06-02"),
        (61, "month", "2024-04", "2025-06"),
        (260, "month", "2020-06", "2025-06"),
        (261, "quarter", "2020 Q2", "2025 Q2"),
        (780, "quarter", "2010 Q2", "2025 Q2"),
        (781, "year", "2010", "2025"),
    ],
)
def test_the_parts_grow_with_the_weeks(
    store: Store, weeks: int, noun: str, first: str, last: str
) -> None:
    start = datetime(2025, 6, 2, tzinfo=UTC) - timedelta(weeks=weeks - 1)
    for name, began in (
        ("before", start - timedelta(minutes=1)),
        ("first", start),
        ("middle", start + (NOW - start) / 2),
        ("last", NOW - timedelta(hours=2)),
    ):
        at(store, name, began)
    rows = tables(report.render(store, NOW, weeks=weeks))[f"Sessions that began in each {noun}"][1:]
    assert (rows[0][0], rows[-1][0]) == (first, last)
    assert sum(int(row[1]) for row in rows) == 3
    assert [rows[0][1], rows[-1][1]] == (["3", "3"] if weeks == 1 else ["1", "1"])
    assert len(rows) <= 62


def test_this_week_against_the_last(store: Store) -> None:
    monday = datetime(2025, 6, 2, tzinfo=UTC)
    week = timedelta(weeks=1)
    for name, start, status in (
        ("this", monday, "COMPLETED"),
        ("by now", NOW - week, "COMPLETED"),
        ("after now", NOW - week + timedelta(seconds=1), "ERROR"),
        ("before", monday - week - timedelta(seconds=1), "COMPLETED"),
    ):
        at(store, name, start, status, hours=2)
        built(store, name, start + timedelta(hours=1), status)
        store.upload_logs.insert(
            upload(session_identifier=name, success=status == "COMPLETED", timestamp=start)
        )
    head, *rows = tables(report.render(store, NOW))[THIS_WEEK]
    assert tables(report.render(store, NOW, weeks=1))[THIS_WEEK] == [head, *rows]
    assert head == ["", "this week", "last week until Tuesday 12:00", "all of last week"]
    assert rows == [
        ["sessions begun", "1", "1", "2"],
        ["hours of use", "2.0", "2.0", "4.0"],
        # That of the session before is built in the last week, that by now an hour after.
        ["records built", "1", "1", "2"],
        ["builds failed", "0", "0", "1"],
        ["uploads arrived", "1", "1", "1"],
        ["uploads failed", "0", "0", "1"],
    ]


def test_how_long_records_take(store: Store) -> None:
    start = NOW - timedelta(days=20)
    for number, minutes in enumerate((30, 59, 60, 361, 3 * 1440, 8 * 1440, -1)):
        at(store, f"s{number}", start)
        built(store, f"s{number}", start + timedelta(hours=1, minutes=minutes))
    at(store, "failed", start, "ERROR")
    built(store, "failed", start + timedelta(hours=2), "ERROR")
    page = report.render(store, NOW)
    assert {row[0]: row[1] for row in tables(page)["Records by the time they took"][1:]} == {
        "less than 1 h": "2",
        "1 h to 6 h": "1",
        "6 h to 12 h": "1",
        "12 h to 1 day": "0",
        "1 day to 2 days": "0",
        "2 days to 3 days": "0",
        "3 days to 1 week": "1",
        "longer than 1 week": "1",
    }
    assert (
        "Of 6 records, the build of half began within 1 h 1 min of the end of the session, of "
        "nine in ten within 8 days, of the last after 8 days." in page
    )
    assert "1 record more is dated before the end of the session" in page


def test_delays_are_counted_to_the_minute() -> None:
    delays = Delays()
    for minutes in range(100):
        delays.add(timedelta(minutes=minutes))
    assert delays.within(0.5) == timedelta(minutes=50)
    assert delays.within(0.9) == timedelta(minutes=90)
    assert delays.within(1) == delays.longest() == timedelta(minutes=99)
    delays.add(timedelta(days=10_000))
    assert delays.longest() == timedelta(days=10_000)


def test_each_figure_is_the_same_everywhere(demo_store: Store) -> None:
    page = report.render(demo_store, NOW, weeks=60)
    text = report.render(demo_store, NOW, weeks=60, text=True)
    found = tables(page)
    sessions, uploads = demo_store.sessions, demo_store.upload_logs
    counts = {status.value: count for status, count in sessions.counts_by_status().items()}
    ever = {row[0].split()[-1]: int(row[2]) for row in found[BY_STATUS][1:]}
    assert ever == counts == {row[0].split()[-1]: int(row[1]) for row in found[BY_STATUS][1:]}
    weeks = found[WEEK_BY_STATUS]
    assert sum(int(week[1]) for week in weeks[1:]) == sum(counts.values())
    assert [sum(int(week[place]) for week in weeks[1:]) for place in range(2, len(weeks[0]))] == [
        int(row[1]) for row in found[BY_STATUS][1:]
    ]
    cards = {
        words: int(figure) for figure, words in re.findall(r"<li[^>]*><b>(\d+)</b> ([^<]+)", page)
    }
    failed = uploads.count_failed()
    assert cards == {
        "to be built": counts["TO_BE_BUILT"],
        "being built now": len(sessions.list_claims()),
        "builds failed": counts["ERROR"],
        "built, not exported": counts["BUILT_NOT_EXPORTED"],
        "uploads failed": sum(failed.values()),
    }
    for words, count in cards.items():
        assert re.search(rf"^ *{count}  {words}$", text, re.M)
    causes = {tuple(row[:2]): int(row[2]) for row in found[CAUSES][1:]}
    for destination, count in failed.items():
        assert count == sum(
            number for (_, where), number in causes.items() if where == f"upload to {destination}"
        )
    assert [number for (what, _), number in causes.items() if what == "build failed ERROR"] == [
        counts["ERROR"]
    ]
    for caption, total in (
        (FAILED_BUILDS, counts["ERROR"] + counts["BUILT_NOT_EXPORTED"]),
        (FAILED_UPLOADS, sum(failed.values())),
        ("Being built now", len(sessions.list_claims())),
    ):
        assert f"<caption>{caption} ({total})</caption>" in page
        assert f"{caption} ({total}):" in text
    assert {row[0]: int(row[3]) for row in found[ATTEMPTS][1:]} == failed
    for row in found[USE][1:]:
        assert f"{row[2]} h in {row[1]} sessions" in text
        assert f"{row[2]} h in {row[1]} sessions" in page


def test_use_is_that_of_the_sessions(demo_store: Store) -> None:
    found = {row[0]: row[1:3] for row in tables(report.render(demo_store, NOW))[USE][1:]}
    for one in demo_store.instruments.list():
        number, hours = found[f"{one.display_name} {one.name}"]
        sessions = [
            session
            for session in demo_store.sessions.iter_overview()
            if session.instrument == one.name
        ]
        total = sum((s.duration for s in sessions if s.duration is not None), timedelta())
        assert int(number) == len(sessions)
        assert float(hours) == pytest.approx(total / timedelta(hours=1), abs=0.06)


def test_instruments_that_are_called_alike_and_that_nobody_used(store: Store) -> None:
    for pid in ("B", "C", "D"):
        store.instruments.add(instrument(pid, display_name="Scope A" if pid == "B" else pid))
    for pid in ("A", "B"):
        start = NOW - timedelta(hours=8)
        store.sessions.add(pid, pid, start, start + timedelta(hours=1))
    page = report.render(store, NOW)
    assert ">Scope A (A)<" in page
    assert ">Scope A (B)<" in page
    assert "Not used in this time: C, D." in page


# -- failures --------------------------------------------------------------------------


def test_failures_are_grouped_by_cause(store: Store) -> None:
    store.instruments.add(instrument("B", display_name="Scope B"))
    for number in range(25):
        start = NOW - timedelta(days=30 - number)
        store.sessions.add(
            f"s{number}",
            "B" if number % 5 == 0 else "A",
            start,
            start + timedelta(hours=1),
            status=RecordStatus.ERROR,
        )
        store.upload_logs.insert(
            upload(
                session_identifier=f"s{number}",
                success=False,
                timestamp=start,
                error_message=f"HTTP 50{number % 2} on record {number + 100}\nTraceback: {number}",
            )
        )
    page = report.render(store, NOW)
    found = tables(page)
    assert found[CAUSES][1:] == [
        ["build failed ERROR", "Scope A (20), Scope B (5)", "25", "2025-05-28 12:00 UTC"],
        ["HTTP 500 on record …", "upload to cdcs", "13", "2025-05-28 12:00 UTC"],
        ["HTTP 501 on record …", "upload to cdcs", "12", "2025-05-27 12:00 UTC"],
    ]
    newest_first = [f"s{number}" for number in range(24, 14, -1)]
    assert [row[0] for row in found[FAILED_BUILDS][1:]] == newest_first
    assert [row[0] for row in found[FAILED_UPLOADS][1:]] == newest_first
    assert page.count(">and 15 more<") == 2


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (None, "no reason given"),
        ("  \n ", "no reason given"),
        ("HTTP 503 Service Unavailable", "HTTP 503 Service Unavailable"),
        (
            "503 Server Error: busy for url: https://cdcs.example.com/rest/4711",
            "503 Server Error: busy for url: …",
        ),
        ("record 66b1f0c2-97aa-4e0c-9d0e-27ab95c1a7bd is not valid", "record … is not valid"),
        ("timed out after 30 s", "timed out after 30 s"),
        ("[Errno 110] no route to 4711\nmore", "[Errno 110] no route to …"),
        ("status code: 404, id 123456", "status code: 404, id …"),
        (b"\0a", "x'0061'"),
        ("x" * 10**6, "x" * 199 + "…" + "x" * 100),
    ],
)
def test_a_cause_is_what_errors_have_in_common(error: object, cause: str) -> None:
    assert cause_of(error) == cause


def test_identifiers_that_are_addresses_are_links(store: Store) -> None:
    for name in (
        "https://nemo.example.com/api/usage_events/?id=1&x=2",
        "HTTP://old.example.com",
        "javascript:alert(1)",
        "https://a b",
        'https://a"onclick="x',
        "ftp://x",
        "2025-x-17",
    ):
        at(store, name, NOW - timedelta(days=3), "ERROR")
    page = Page(report.render(store, NOW))
    assert sorted(page.links) == [
        "HTTP://old.example.com",
        "https://nemo.example.com/api/usage_events/?id=1&x=2",
    ]
    assert not page.open


def test_rows_that_no_model_takes_keep_nobody_from_a_report(store: Store) -> None:
    for name in ("good", "bad"):
        at(store, name, NOW - timedelta(hours=3), "TO_BE_BUILT")
    write(
        file_of(store),
        "UPDATE session_log SET timestamp = 'never' WHERE session_identifier = 'bad'",
        "INSERT INTO session_log VALUES (90, CAST(x'41ff' AS TEXT), 'gone', x'00', 'START', "
        "'<b>ODD</b>', x'00')",
        "INSERT INTO session_log VALUES (91, x'0aff', CAST(x'ff' AS TEXT), '2025-06-02T10:00', "
        "'START', 'ERROR', x'00')",
        "INSERT INTO session_log VALUES (92, CAST(x'fc' AS TEXT), x'41', '9999-12-31T23:59Z', "
        "'START', 'ERROR', NULL)",
        "INSERT INTO upload_log VALUES (1, 's', CAST(x'ff' AS TEXT), 0, 'x', 1, 1, x'41', '{')",
        "INSERT INTO upload_log VALUES (2, x'00', x'01', x'02', x'03', 1, 1, NULL, '{')",
        "UPDATE instruments SET timezone = 'nowhere'",
    )
    page = report.render(store, NOW)
    assert "&lt;b&gt;ODD&lt;/b&gt;" in page
    found = tables(page)
    assert {row[0] for row in found[ODD][1:]} >= {"bad"}
    assert {row[0] for row in found[FAILED_BUILDS][1:]} == {"x'0aff'", "\\xfc"}
    assert found[FAILED_UPLOADS][1][1:] == ["\\xff", "-", "x'41'"]
    text = report.render(store, NOW, text=True)
    assert "x'0aff'" in text
    assert "<b>ODD</b>" in text


# -- what it is made of ----------------------------------------------------------------


def test_it_needs_nothing_else(demo_page: str) -> None:
    page = Page(demo_page)
    assert not page.open
    assert not {"script", "link", "img", "iframe", "object"} & set(page.elements)
    assert not re.search(r"\b(src|on\w+)\s*=|url\(|@import", demo_page)
    assert page.links
    assert all(link.startswith("https://nemo.example.com/") for link in page.links)
    assert demo_page.isascii()


def test_every_chart_has_words_and_a_table_behind_it(demo_page: str) -> None:
    sections = re.findall(r"<section.*?</section>", demo_page, re.S)
    charts = 0
    for section in sections:
        assert "<table" in section
        for chart in re.finditer(r'<svg class="columns"[^>]*>|<ul class="bars"[^>]*>', section):
            charts += 1
            assert re.search(r'aria-label="[^"]{10,}"', chart[0])
            assert "<details><summary>" in section[chart.end() :]
    assert charts == 4
    assert '<html lang="en">' in demo_page


def test_every_status_is_said_in_words_with_its_code_at_hand(demo_page: str) -> None:
    rows = tables(demo_page)[BY_STATUS][1:]
    assert [row[0].split()[-1] for row in rows] != [row[0] for row in rows]
    assert {row[0].split()[-1] for row in rows} == {status.value for status in RecordStatus}


def test_every_value_is_escaped() -> None:
    with Store(":memory:", clock=lambda: NOW) as store:
        fill_with_hostile(store)
        page = report.render(store, NOW, title=f"{HOSTILE}\n\u202e")
        text = report.render(store, NOW, title=f"{HOSTILE}\n\u202e", text=True)
    assert not {"script", "img"} & set(Page(page).elements)
    assert html.escape(HOSTILE) in page
    for hidden in ("&#8238;", "\x1b"):
        assert hidden not in page
    assert text.replace("\n", "").isprintable()
    assert len(page) < 100_000
    assert len(text) < 20_000
    with Store(":memory:") as store:
        for as_text in (False, True):
            page = report.render(store, NOW, title="long " * 10**6, text=as_text)
            assert len(page) < 20_000


# -- as text ---------------------------------------------------------------------------


def test_a_mail_is_narrow_and_says_the_same(demo_store: Store, demo_page: str) -> None:
    text = report.render(demo_store, NOW, text=True)
    assert max(map(len, text.splitlines())) <= 100
    titles = [html.unescape(title) for title in re.findall(r"<h2[^>]*>([^<]*)", demo_page)]
    assert [title.upper() for title in titles] == re.findall(r"(.+)\n---+\n", text)
    verdict = re.findall(r'class="verdict[^>]*>([^<]*)', demo_page)[0]
    assert text.index(verdict) < 200
    for row in tables(demo_page)[CAUSES][1:]:
        assert row[3] in text


def test_only_a_longer_identifier_is_wider_and_stands_alone(store: Store) -> None:
    long = f"https://nemo.example.com/{'x' * 150}"
    at(store, long, NOW - timedelta(days=3), "ERROR")
    at(store, "顕微鏡" * 40, NOW - timedelta(days=3), "ERROR")
    text = report.render(store, NOW, title="顕微鏡 " * 60, text=True)
    assert {line for line in text.splitlines() if len(line) > 100} == {long, "顕微鏡" * 40}


@pytest.mark.parametrize("weeks", [1, 13, 52, 104, 600, 1040])
def test_a_mail_of_any_length(weeks: int) -> None:
    with Store(":memory:", clock=lambda: NOW) as store:
        fill_years(store, 3)
        text = report.render(store, NOW, weeks=weeks, text=True)
    assert max(map(len, text.splitlines())) <= 100
    assert len(text.splitlines()) < 250


# -- which rows count ------------------------------------------------------------------


def events(store: Store, *rows: tuple[str, str, str, str]) -> None:
    """Store events of instrument A as another program may: identifier, time, event, status."""
    write(
        file_of(store),
        *(
            (
                "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type, "
                "record_status) VALUES (?, 'A', ?, ?, ?)",
                row,
            )
            for row in rows
        ),
    )


def test_the_newest_row_of_each_event_counts(store: Store) -> None:
    events(
        store,
        ("s", "2025-06-02T01:00:00Z", "START", "ERROR"),
        ("s", "2025-06-02T03:00:00Z", "END", "ERROR"),
        ("s", "2025-06-02T04:00:00Z", "RECORD_GENERATION", "ERROR"),
        ("s", "2025-06-02T02:00:00Z", "START", "COMPLETED"),
        ("s", "2025-06-02T06:00:00Z", "END", "COMPLETED"),
        ("s", "2025-05-28T07:00:00Z", "RECORD_GENERATION", "COMPLETED"),
        ("of another", "2025-06-02T02:00:00Z", "END", "COMPLETED"),
    )
    found = tables(report.render(store, NOW))
    assert found[USE][1:] == [["Scope A A", "1", "4.0", "4.0"]]
    assert [row[0] for row in found[BY_STATUS][1:]] == ["record complete COMPLETED"]
    week = {row[0]: row[1:] for row in found[THIS_WEEK][1:]}
    assert week["records built"] == ["0", "0", "1"]
    assert week["builds failed"] == ["0", "0", "0"]
    assert CAUSES not in found
    # From an END on the second of June to a build on the twenty-eighth of May.
    assert "1 record more is dated before the end" in report.render(store, NOW)


def test_a_session_that_ends_before_it_starts_takes_no_time_off_the_others(store: Store) -> None:
    at(store, "good", NOW - timedelta(hours=9), hours=3)
    events(
        store,
        ("odd", "2025-06-02T05:00:00Z", "START", "COMPLETED"),
        ("odd", "2025-06-02T04:00:00Z", "END", "COMPLETED"),
    )
    assert tables(report.render(store, NOW))[USE][1:] == [["Scope A A", "2", "3.0", "1.5"]]


def test_a_time_counts_in_whatever_form_it_is_stored(store: Store) -> None:
    for number, time in enumerate(
        (
            *("20250311T000000Z", "2025-W11-2T00:00:00Z", "2025-03-10", "2025-03-10 00:00"),
            *("2025-03-09T17:00:00-07:00", "2025-03-10T13:59:59.5+14:00", "2025-06-03T02:00-10:00"),
        )
    ):
        events(store, (f"s{number}", time, "START", "COMPLETED"))
        write(
            file_of(store),
            (
                "INSERT INTO upload_log (session_identifier, destination_name, success, timestamp) "
                "VALUES ('s', 'cdcs', 1, ?)",
                (time,),
            ),
        )
    events(store, ("early", "2025-03-10T13:59:59+14:00", "START", "COMPLETED"))
    events(store, ("late", "2025-06-03T12:00:01Z", "START", "COMPLETED"))
    found = tables(report.render(store, NOW))
    assert found[BY_STATUS][1:] == [["record complete COMPLETED", "6", "9"]]
    assert found[ATTEMPTS][1:] == [["cdcs", "6", "0", "0"]]


def test_a_session_in_the_repeated_hour_lasts_as_long_as_it_did(store: Store) -> None:
    store.instruments.add(instrument("NY", timezone_str="America/New_York"))
    write(
        file_of(store),
        "INSERT INTO session_log VALUES (1, 's', 'NY', '2024-11-03T01:30:00-04:00', 'START', "
        "'COMPLETED', NULL)",
        "INSERT INTO session_log VALUES (2, 's', 'NY', '2024-11-03T01:15:00', 'END', "
        "'COMPLETED', NULL)",
    )
    page = report.render(store, datetime(2024, 11, 4, tzinfo=UTC))
    assert tables(page)[USE][1][1:3] == ["1", "0.8"]


def test_failures_of_whatever_time_are_grouped(store: Store) -> None:
    events(
        store,
        ("old", "1999-06-02T01:00:00Z", "START", "ERROR"),
        ("odd", "never", "START", "ERROR"),
        ("new", "2025-06-02T01:00:00Z", "START", "ERROR"),
    )
    found = tables(report.render(store, NOW))
    assert found[CAUSES][1] == ["build failed ERROR", "Scope A (3)", "3", "2025-06-02 01:00 UTC"]
    assert [row[0] for row in found[FAILED_BUILDS][1:]] == ["new", "old", "odd"]


def test_an_upload_that_arrived_at_last_is_no_failure(store: Store) -> None:
    for session, success, hour in (
        ("a", False, 1),
        ("a", True, 2),
        ("b", True, 2),
        ("b", False, 3),
    ):
        store.upload_logs.insert(
            upload(
                session_identifier=session,
                success=success,
                timestamp=NOW - timedelta(hours=9 - hour),
                error_message=None if success else "HTTP 500",
            )
        )
    found = tables(report.render(store, NOW))
    assert [row[0] for row in found[FAILED_UPLOADS][1:]] == ["b"]
    assert found[CAUSES][1:] == [["HTTP 500", "upload to cdcs", "1", "2025-06-03 06:00 UTC"]]
    assert found[ATTEMPTS][1:] == [["cdcs", "2", "2", "1"]]


# -- large databases -------------------------------------------------------------------


def test_of_many_instruments_the_most_used_are_named() -> None:
    with Store(":memory:", clock=lambda: NOW) as store:
        with store.transaction():
            for number in range(1000):
                store.instruments.add(instrument(f"P{number:04}", display_name=f"Scope {number}"))
                start = NOW - timedelta(days=1 + number % 30)
                store.sessions.add(
                    f"s{number}", f"P{number:04}", start, start + timedelta(minutes=1 + number)
                )
        page = report.render(store, NOW)
    assert "985 more instruments were used less" in page
    assert len(tables(page)[USE]) == 1 + 200
    assert "and 800 more" in page
    assert len(page) < 150_000


def test_causes_without_end_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report.figures, "_MOST_CAUSES", 3)
    with Store(":memory:", clock=lambda: NOW) as store:
        store.upload_logs.insert_many(
            upload(session_identifier=f"s{number}", success=False, error_message="x" * number)
            for number in range(1, 9)
        )
        causes = tables(report.render(store, NOW))[CAUSES][1:]
    assert causes[0][:3] == ["other causes", "upload to cdcs", "5"]
    assert len(causes) == 4


def test_no_writer_waits_for_the_whole_report(tmp_path: Path) -> None:
    """Between two parts, another connection may write."""
    path = tmp_path / "facility.db"
    with Store(path, migrate=True) as store:
        fill_years(store, 1)
    written = 0

    def write_meanwhile() -> None:
        nonlocal written
        with Store(path, timeout=0) as other:
            other.external_ids.store(f"user{written}", "nemo", str(written))
        written += 1

    with Store(path, read_only=True) as store:
        connection = store.connection
        connection.set_trace_callback(
            lambda sql: write_meanwhile() if "SELECT max(id" in sql else None
        )
        report.render(store, NOW)
    assert written >= 3  # two parts and an end of the one table, the end of the other


# -- its arguments ---------------------------------------------------------------------


@pytest.mark.parametrize("weeks", [0, -1, report.MOST_WEEKS + 1, 200_000])
def test_how_many_weeks_it_can_cover(weeks: int) -> None:
    with Store(":memory:") as store, pytest.raises(ValueError, match="1 to 5200 weeks"):
        report.render(store, NOW, weeks=weeks)


# -- the command -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.create(tmp_path_factory.mktemp("command") / "demo.db")


def test_the_command_prints_the_page(path: Path) -> None:
    for run, *output in ((call,), (call, "--output", "-"), (process, "--output", "/dev/stdout")):
        done = run("--db", path, "report", *output)
        assert (done.status, done.err) == (0, "")
        assert tables(done.out)[USE]
    assert not Path("-").exists()


def test_the_command_prints_a_mail(path: Path, tmp_path: Path) -> None:
    done = call("--db", path, "report", "--text", "--title", "Our <week>")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("Our <week>\n")
    output = tmp_path / "mail.txt"
    assert call("--db", path, "report", "--text", "--output", output).out == ""
    assert output.read_text().startswith(report.TITLE)


def test_the_command_has_a_title(path: Path) -> None:
    page = call("--db", path, "report", "--title", "Our <year>").out
    assert "<h1>Our &lt;year&gt;</h1>" in page
    assert re.search("<title>Our &lt;year&gt;: .* need a person.</title>", page)
    assert f"<h1>{report.TITLE}</h1>" in call("--db", path, "report", "--title", " ").out


@pytest.mark.parametrize("weeks", ["0", "-1", "1.5", "x", "5201", "200000", "9" * 5000])
def test_the_command_refuses_weeks_that_are_none(path: Path, weeks: str) -> None:
    done = call("--db", path, "report", f"--weeks={weeks}")
    assert (done.status, done.out) == (2, "")
    assert "no number of weeks from 1 to 5200" in done.err


def test_the_command_writes_a_file_and_replaces_it(path: Path, tmp_path: Path) -> None:
    output = tmp_path / "a report.html"
    for _ in range(2):
        done = call("--db", path, "report", "--output", output, "--weeks", 2)
        assert (done.status, done.out) == (0, "")
        assert str(output) in done.err
        assert output.read_text().endswith("</html>\n")
    assert [file.name for file in tmp_path.iterdir()] == [output.name]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_file_that_is_replaced_keeps_its_mode_and_owner(path: Path, tmp_path: Path) -> None:
    output, new, link = tmp_path / "page.html", tmp_path / "new.html", tmp_path / "link.html"
    output.write_text("old")
    output.chmod(0o640)
    link.symlink_to(output)
    if os.geteuid() == 0:
        os.chown(output, 12345, 12346)
    before = output.stat()
    assert call("--db", path, "report", "--output", link).status == 0
    assert call("--db", path, "report", "--output", new).status == 0
    after = output.stat()
    assert output.read_text().startswith("<!DOCTYPE html>")
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert link.is_symlink()
    (tmp_path / "ordinary").touch()
    assert stat.S_IMODE(new.stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_write_that_fails_leaves_the_old_page_whole(path: Path, tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    output.write_text("old")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
        "from nexuslims_store.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--db", path, "report", "--output", output],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "no room to write" in done.stderr
    assert output.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == [output.name]


@pytest.mark.slow
def test_the_command_never_replaces_a_database(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    write(other, "CREATE TABLE t (x)")
    (tmp_path / "link").symlink_to(path)
    before = path.read_bytes(), other.read_bytes()
    for output in (path, other, tmp_path / "link", f"{path}-wal", f"{path}-journal"):
        done = call("--db", path, "report", "--output", output)
        assert done.status == 2, output
        assert "takes its place" in done.err
    assert (path.read_bytes(), other.read_bytes()) == before
    assert not Path(f"{path}-wal").exists()


def test_the_command_where_nothing_can_be_written(path: Path, tmp_path: Path) -> None:
    for output in (tmp_path / "none" / "report.html", tmp_path, tmp_path / ("x" * 300)):
        done = call("--db", path, "report", "--output", output)
        assert done.status == 2
        assert re.search("cannot be|is a folder|choose another", done.err)
        assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir())
