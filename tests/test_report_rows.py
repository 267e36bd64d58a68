"""Which rows a report counts, whatever they hold and however many there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers.pages import tables
from helpers.reports import (
    ATTEMPTS,
    BY_STATUS,
    CAUSES,
    FAILED_BUILDS,
    FAILED_UPLOADS,
    NOW,
    ODD,
    THIS_WEEK,
    USE,
    at,
    built,
    fill_years,
)
from helpers.support import file_of, instrument, upload, write

from nexuslims_store import RecordStatus, Store, report
from nexuslims_store.report.values import cause_of

INSERT_LOG = """INSERT INTO session_log (
    id_session_log, session_identifier, instrument, timestamp, event_type, record_status, "user"
) VALUES """
INSERT_UPLOAD = """INSERT INTO upload_log (
    id, session_identifier, destination_name, success, timestamp, record_id, record_url,
    error_message, metadata_json
) VALUES """


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database on disk with one instrument, A, called "Scope A"."""
    with Store(tmp_path / "facility.db", migrate=True, clock=lambda: NOW) as store:
        store.instruments.add(instrument("A", display_name="Scope A", timezone_str="UTC"))
        yield store


def test_rows_that_no_model_takes_keep_nobody_from_a_report(store: Store) -> None:
    for name in ("good", "bad"):
        at(store, name, NOW - timedelta(hours=3), "TO_BE_BUILT")
    write(
        file_of(store),
        "UPDATE session_log SET timestamp = 'never' WHERE session_identifier = 'bad'",
        INSERT_LOG + "(90, CAST(x'41ff' AS TEXT), 'gone', x'00', 'START', '<b>ODD</b>', x'00')",
        INSERT_LOG + "(91, x'0aff', CAST(x'ff' AS TEXT), '2025-06-02T10:00', "
        "'START', 'ERROR', x'00')",
        INSERT_LOG + "(92, CAST(x'fc' AS TEXT), x'41', '9999-12-31T23:59Z', "
        "'START', 'ERROR', NULL)",
        INSERT_UPLOAD + "(1, 's', CAST(x'ff' AS TEXT), 0, 'x', 1, 1, x'41', '{')",
        INSERT_UPLOAD + "(2, x'00', x'01', x'02', x'03', 1, 1, NULL, '{')",
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


OK, LATER, BUILT = "2025-06-02T05:00:00Z", "2025-06-02T07:00:00Z", "2025-06-02T08:00:00Z"


@pytest.mark.parametrize("status", ["COMPLETED", "BUILT_NOT_EXPORTED", "ERROR", "NO_CONSENT"])
@pytest.mark.parametrize(
    ("start", "end", "build", "use", "delay"),
    [
        (OK, LATER, BUILT, ["1", "2.0", "2.0"], True),
        (OK, LATER, LATER, ["1", "2.0", "2.0"], True),
        (OK, LATER, None, ["1", "2.0", "2.0"], False),
        (OK, LATER, "never", ["1", "2.0", "2.0"], False),
        (OK, None, BUILT, ["1", "0.0", "0.0"], False),
        (OK, "never", BUILT, ["1", "0.0", "0.0"], False),
        (None, LATER, BUILT, None, False),
        ("never", LATER, BUILT, None, False),
    ],
)
def test_what_is_known_of_a_session_counts(
    store: Store,
    status: str,
    start: str | None,
    end: str | None,
    build: str | None,
    use: list[str] | None,
    delay: bool,
) -> None:
    times = {"START": start, "END": end, "RECORD_GENERATION": build}
    events(store, *(("s", time, kind, status) for kind, time in times.items() if time))
    page = report.render(store, NOW)
    assert tables(page).get(USE, [])[1:] == ([["Scope A A", *use]] if use else [])
    recorded = delay and status in {"COMPLETED", "BUILT_NOT_EXPORTED"}
    assert ("Of 1 record, the build" in page) == recorded
    assert ("No record was built" in page) != recorded


@pytest.mark.parametrize(
    ("pid", "name", "words", "code"),
    [
        ("'P'", "'Scope'", "Scope", "P"),
        ("'P'", "''", "P", "P"),
        ("'P'", "x'41'", "x'41'", "P"),
        ("'P' || char(9)", "'Scope'", "P\t", "P\t"),
        ("x'50'", "'Scope'", "x'50'", "x'50'"),
        ("7", "'Scope'", "Scope", "7"),
    ],
)
def test_what_an_instrument_is_called(
    store: Store, pid: str, name: str, words: str, code: str
) -> None:
    write(
        file_of(store),
        f"UPDATE instruments SET instrument_pid = {pid}, display_name = {name}",
        INSERT_LOG + f"(1, 's', {pid}, '{OK}', 'START', 'COMPLETED', NULL)",
        INSERT_LOG + f"(2, 's', {pid}, '{LATER}', 'END', 'COMPLETED', NULL)",
    )
    found = report.figures.read(store, NOW, 1)
    (used,) = found.use
    assert found.instrument(used) == (words, code)
    assert found.instrument("gone") == ("gone", "gone")
    assert (found.instruments, found.unused) == (1, 0)


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
        INSERT_LOG + "(1, 's', 'NY', '2024-11-03T01:30:00-04:00', 'START', 'COMPLETED', NULL)",
        INSERT_LOG + "(2, 's', 'NY', '2024-11-03T01:15:00', 'END', 'COMPLETED', NULL)",
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
        # One that is known is not among the others.
        store.upload_logs.insert(upload(session_identifier="s9", success=False, error_message="xx"))
        causes = tables(report.render(store, NOW))[CAUSES][1:]
    assert [row[:3] for row in causes[:2]] == [
        ["other causes", "upload to cdcs", "5"],
        ["xx", "upload to cdcs", "2"],
    ]
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


@pytest.mark.parametrize("weeks", [1, 13])
def test_a_report_is_the_same_in_whatever_parts_it_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch, weeks: int
) -> None:
    odd = ["COMPLETED", "ERROR", "NO_FILES_FOUND", "BUILT_NOT_EXPORTED", "TO_BE_BUILT"]
    for number in range(20):
        begun = NOW - timedelta(days=9 * (number % 7), hours=number)
        at(store, f"s{number}", begun, odd[number % 5])
        built(store, f"s{number}", begun + timedelta(hours=2 + number), odd[number % 4])
        store.upload_logs.insert(
            upload(
                f"place {number % 3}",
                session_identifier=f"s{number % 9}",
                success=number % 4 > 0,
                error_message=f"error {'x' * (number % 2)}",
                timestamp=begun + timedelta(hours=3),
            )
        )
    store.sessions.delete("s3")  # and ids have gaps
    whole = report.render(store, NOW, weeks=weeks)
    for size in (1, 2, 3, 7):
        monkeypatch.setattr(report.figures, "_PART", size)
        assert report.render(store, NOW, weeks=weeks) == whole


def test_numbers_stand_at_the_right_as_their_heads_do(store: Store) -> None:
    at(store, "s", NOW - timedelta(days=3), "ERROR")
    at(store, "t", NOW - timedelta(days=4))
    page = report.render(store, NOW)
    at_right = {True: 0, False: 0}
    for table in re.findall(r"<table.*?</table>", page, re.DOTALL):
        heads = {
            name: "number" in classes
            for classes, name in re.findall(r'<th scope="col"([^>]*)>([^<]*)</th>', table)
        }
        for classes, name in re.findall(r'<td([^>]*?) data-head="([^"]*)"', table):
            assert ("number" in classes) is heads[name], (name, table)
            at_right[heads[name]] += 1
        assert not any(heads[name] for name in heads if name in {"instrument", "cause", "session"})
    assert min(at_right.values()) > 0
    assert {"hours", "sessions"} <= set(re.findall(r'class="number">([^<]*)</th>', page))


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
