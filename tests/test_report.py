"""The report: what it says and counts, what it refuses, how it is written."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from helpers.pages import Page, tables
from helpers.reports import (
    ATTEMPTS,
    BY_STATUS,
    CAUSES,
    FAILED_BUILDS,
    FAILED_UPLOADS,
    HOSTILE,
    NOW,
    THIS_WEEK,
    USE,
    WEEK_BY_STATUS,
    at,
    built,
    fill_with_hostile,
    fill_years,
)
from helpers.support import instrument, upload

from nexuslims_store import RecordStatus, Store, demo, report
from nexuslims_store.report import periods
from nexuslims_store.report.delays import Delays
from nexuslims_store.report.words import lasting, share


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
    page = report.render(store, NOW, weeks=weeks)
    for chart in page.split('<svg class="columns"')[1:]:
        widths = re.findall(r'class="touch" x="[^"]*" width="([0-9.]+)%"', chart)
        assert sum(map(float, widths)) == pytest.approx(100, abs=0.1)  # no part is left empty
    rows = tables(page)[f"Sessions that began in each {noun}"][1:]
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
        ("sunday", monday - timedelta(microseconds=1), "ERROR"),
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
        ["sessions begun", "1", "1", "3"],
        ["hours of use", "2.0", "2.0", "6.0"],
        # That of the session before is built in the last week, that by now an hour after.
        ["records built", "1", "1", "2"],
        ["builds failed", "1", "0", "1"],
        ["uploads arrived", "1", "1", "1"],
        ["uploads failed", "0", "0", "2"],
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
    assert delays.longest() == delays.within(1) == timedelta(days=10_000)
    assert delays.within(0.99) == timedelta(minutes=100)


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


@pytest.mark.parametrize(
    ("unit", "day", "name", "mark", "following"),
    [
        (periods._WEEKS, "2024-12-30", "2024-12-30", "2024-12-30", "2025-01-06"),
        (periods._MONTHS, "2024-12-30", "2024-12", "", "2025-01-01"),
        (periods._MONTHS, "2025-01-01", "2025-01", "2025-01", "2025-02-01"),
        (periods._MONTHS, "2025-10-31", "2025-10", "2025-10", "2025-11-01"),
        (periods._QUARTERS, "2025-01-01", "2025 Q1", "2025", "2025-04-01"),
        (periods._QUARTERS, "2025-03-31", "2025 Q1", "2025", "2025-04-01"),
        (periods._QUARTERS, "2025-04-01", "2025 Q2", "", "2025-07-01"),
        (periods._QUARTERS, "2025-12-31", "2025 Q4", "", "2026-01-01"),
        (periods._YEARS, "2025-01-01", "2025", "2025", "2026-01-01"),
    ],
)
def test_a_part_has_a_name_and_an_end(
    unit: periods.Unit, day: str, name: str, mark: str, following: str
) -> None:
    first = date.fromisoformat(day)
    assert (unit.name(first), unit.mark(first)) == (name, mark)
    assert unit.following(first) == date.fromisoformat(following)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than 1 min"),
        (30, "less than 1 min"),
        (31, "1 min"),
        (3599, "1 h"),
        (3660, "1 h 1 min"),
        (86400 + 60, "1 day"),
        (2 * 86400 + 3600 + 60, "2 days 1 h"),
        (59 * 60, "59 min"),
    ],
)
def test_a_span_of_time_in_words(seconds: int, words: str) -> None:
    assert lasting(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("part", "whole", "words"), [(0, 0, "-"), (0, 3, "0 %"), (1, 3, "33 %"), (3, 3, "100 %")]
)
def test_a_share_in_words(part: int, whole: int, words: str) -> None:
    assert share(part, whole) == words


def test_a_column_of_one_kind_says_its_number_once(store: Store) -> None:
    at(store, "s", NOW - timedelta(days=8))
    at(store, "t", NOW - timedelta(hours=8))
    at(store, "u", NOW - timedelta(hours=9), "ERROR")
    text = report.render(store, NOW, weeks=6, text=True)
    assert [line.split("  ")[-1] for line in text.splitlines() if line.startswith("week of")] == [
        *("none", "none", "1 record complete", "2: 1 record complete, 1 build failed"),
    ]


def test_a_report_covers_a_quarter_of_a_year(store: Store) -> None:
    at(store, "s", NOW - timedelta(weeks=12))
    at(store, "before", NOW - timedelta(weeks=13))
    weeks = tables(report.render(store, NOW))[WEEK_BY_STATUS][1:]
    assert (len(weeks), weeks[0][:2]) == (13, ["2025-03-10", "1"])


# -- failures --------------------------------------------------------------------------


def test_identifiers_that_are_addresses_are_links(store: Store) -> None:
    for name in (
        "https://nemo.example.com/api/usage_events/?id=1&x=2",
        "HTTP://old.example.com",
        "javascript:alert(1)",
        "https://a b",
        "https://a/\x1b[2J",
        "https://a/\u202egnp.exe",
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


# -- as a whole ------------------------------------------------------------------------

WHOLE = Path(__file__).parent / "transcripts" / "report"


def five_weeks(store: Store, name: str) -> str:
    """The page or the mail, without how the page looks."""
    text = report.render(store, NOW, weeks=5, text=name == "mail.txt")
    return re.sub(r"<style>.*?</style>", "<style></style>", text, flags=re.DOTALL)


@pytest.mark.parametrize("name", ["page.html", "mail.txt"])
def test_a_report_is_to_the_letter_what_it_was(demo_store: Store, name: str) -> None:
    """`python tests/test_report.py` writes both anew, to be read before they are believed."""
    assert five_weeks(demo_store, name) == (WHOLE / name).read_text(encoding="utf-8")


def write_anew() -> None:
    with TemporaryDirectory() as folder:
        path = demo.create(Path(folder) / "demo.db", now=NOW)
        with Store(path, read_only=True, clock=lambda: NOW) as store:
            for file in WHOLE.iterdir():
                file.write_text(five_weeks(store, file.name), encoding="utf-8")


if __name__ == "__main__":
    write_anew()
