"""`sessions`, `uploads` and `users` on the command line."""

from __future__ import annotations

import csv
import io
import itertools
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from helpers.command_line import TOKYO, call, filled, on_a_terminal, terminal
from helpers.support import PID, contents, upload, write, write_log

from nexuslims_store import RecordStatus, Store
from nexuslims_store.cli.parser import build_parser


def listed(path: Path, *arguments: str) -> list[str]:
    found = call("--db", path, "sessions", "list", "--json", *arguments).json
    return [session["session_identifier"] for session in found]


# -- list ------------------------------------------------------------------------------------


def test_sessions_are_listed_in_the_order_of_time_in_their_instruments_zone(
    tmp_path: Path,
) -> None:
    path = filled(tmp_path)
    lines = call("--db", path, "sessions", "list").lines
    assert lines[0].split() == [
        *("START", "HOURS", "INSTRUMENT", "USER", "STATUS", "SESSION", "IDENTIFIER")
    ]
    # 22:00 in Tokyo is before 22:00 in New York.
    assert lines[1].split() == [
        *("2025-01-01", "22:00", "JST", "1.50", TOKYO, "-", "WAITING_FOR_END", "tokyo-1")
    ]
    assert lines[2].split()[:4] == ["2025-01-01", "22:00", "EST", "1.50"]
    assert lines[-1].split()[3:] == ["-", PID, "-", "WAITING_FOR_END", "endless"]
    assert len(lines) == 18


def test_filters(tmp_path: Path) -> None:
    path = filled(tmp_path)
    assert listed(path, "--status", "ERROR") == ["tokyo-5", "ny-5"]
    assert listed(path, "--status", "error", "--status", "NO_CONSENT", "--user", "alice") == [
        "ny-5",
        "ny-7",
    ]
    assert listed(path, "--instrument", TOKYO, "--limit", "2") == ["tokyo-7", "tokyo-8"]
    assert len(listed(path, "--instrument", TOKYO, "--instrument", PID)) == 17
    assert listed(path, "--limit", "1") == listed(path, "--limit", "00000000001") == ["endless"]
    assert listed(path, "--user", "nobody") == []


@pytest.mark.parametrize("command", ["sessions list", "sessions reset", "uploads list"])
def test_a_span_that_ends_before_it_begins_is_refused(tmp_path: Path, command: str) -> None:
    path = filled(tmp_path)
    for since, until in (
        ("2025-02-01", "2025-01-01"),
        ("2025-01-02", "2025-01-01"),  # a day is a whole day, so that both are its midnight
        ("today", "yesterday"),
        ("2025-02-01T08:00+01:00", "2025-02-01T06:59+00:00"),
        ("2025-02-01T08:00+01:00", "2025-02-01T07:00Z"),
        ("2025-02-01T08:00+01:00", "2025-01-30"),  # in no zone is that later
        ("9999-12-31T23:59:59+00:00", "0001-01-01"),
    ):
        refused = call("--db", path, *command.split(), "--since", since, "--until", until)
        assert refused.status == 2
        assert f"--since {since} is not before --until {until}: nothing" in refused.err
    dry_run = ["--dry-run"] if "reset" in command else []
    for since, until in (
        ("2025-01-02T00:00", "2025-01-02T00:00"),  # nothing has happened since a script looked
        ("2025-01-03", "2025-01-03"),
        ("2025-01-03T08:00+01:00", "2025-01-02"),  # which is later in a zone far to the west
        ("0001-01-01T00:00+14:00", "9999-12-31"),
    ):
        taken = call("--db", path, *command.split(), "--since", since, "--until", until, *dry_run)
        assert taken.status == 0, taken.err


def test_the_same_words_are_a_span_also_when_the_clock_ticks_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=next(seconds))

    monkeypatch.setattr("nexuslims_store.cli.options.datetime", Clock)
    assert listed(filled(tmp_path), "--until", "12h", "--since", "12h") == []


def test_a_span_back_from_now_is_to_the_second() -> None:
    given = build_parser().parse_args(["sessions", "list", "--since", "12h", "--until", "2w"])
    assert given.since.microsecond == given.until.microsecond == 0


def test_a_span_of_time(tmp_path: Path) -> None:
    path = filled(tmp_path)
    # Each in the instrument's own zone; a day is a whole day.
    assert listed(path, "--since", "2025-01-03", "--until", "2025-01-03") == ["tokyo-3", "ny-3"]
    assert listed(path, "--since", "2025-01-08T22:00") == ["tokyo-8", "ny-8", "endless"]
    assert listed(path, "--since", "2025-01-08T22:00:01") == ["endless"]
    assert listed(path, "--until", "2025-01-01") == ["tokyo-1", "ny-1"]
    assert listed(path, "--until", "2025-01-01T22:00") == []
    assert listed(path, "--until", "2025-01-01T22:00:00+00:00") == ["tokyo-1"]
    assert len(listed(path, "--since", "0001-01-01", "--until", "9999-12-31")) == 17


def test_times_in_words(tmp_path: Path) -> None:
    path = filled(tmp_path)
    now = datetime.now(UTC)
    with Store(path) as store:
        for name, ago in (("now", 0), ("hours", 5), ("days", 6 * 24), ("weeks", 13 * 24)):
            time = now - timedelta(hours=ago)
            store.sessions.add(name, PID, time, time)
    assert listed(path, "--since", "4h") == ["now"]
    assert listed(path, "--since", "6h") == ["hours", "now"]
    assert listed(path, "--since", "7d") == ["days", "hours", "now"]
    assert listed(path, "--since", "2w", "--until", "7d") == ["weeks"]
    assert "now" in listed(path, "--since", "yesterday", "--until", "today")
    assert "days" not in listed(path, "--since", "yesterday")
    for wrong in ("h", "7", "7m", "-7d", "99999999999w", "٣d", "tomorrow"):
        refused = call("--db", path, "sessions", "list", f"--since={wrong}")
        assert refused.status == 2
        assert "is no time like 2025-01-13" in refused.err


def test_yesterday_is_the_day_before_today(monkeypatch: pytest.MonkeyPatch) -> None:
    class Day(date):
        @classmethod
        def today(cls) -> date:  # type: ignore[override]
            return date(2025, 3, 1)

    monkeypatch.setattr("nexuslims_store.cli.options.date", Day)
    for word, day in (("today", "2025-03-01"), ("yesterday", "2025-02-28")):
        in_word, in_digits = (
            build_parser().parse_args(["sessions", "list", "--since", one]).since
            for one in (word, day)
        )
        assert in_word == in_digits


def test_several_statuses_at_once(tmp_path: Path) -> None:
    path = filled(tmp_path)
    both = listed(path, "--status", "ERROR,no_consent")
    assert both == listed(path, "--status", "ERROR", "--status", "NO_CONSENT")
    assert both == ["tokyo-5", "ny-5", "tokyo-7", "ny-7"]


def test_a_session_by_the_end_of_its_identifier(tmp_path: Path) -> None:
    path = filled(tmp_path)
    time = datetime(2025, 3, 1, 9, 0)
    with Store(path) as store:
        for number in (7, 17, 27):
            store.sessions.add(f"https://nemo.example.com/?id={number}", PID, time, time)
        store.upload_logs.insert(upload(session_identifier="https://nemo.example.com/?id=27"))
    found = call("--db", path, "sessions", "show", "=7", "--json").json
    assert found["sessions"][0]["session_identifier"] == "https://nemo.example.com/?id=7"
    several = call("--db", path, "sessions", "show", "7")
    assert several.status == 2
    assert "several sessions end with '7'" in several.err
    assert several.err.count("?id=") == 3
    # One that is called so is meant before those that end so.
    with Store(path) as store:
        store.sessions.add("7", PID, time, time)
    (exactly,) = call("--db", path, "sessions", "show", "7", "--json").json["sessions"]
    assert exactly["session_identifier"] == "7"
    assert call("--db", path, "sessions", "show", "").status == 2
    assert len(call("--db", path, "uploads", "list", "--session", "27", "--json").json) == 1
    reset = call("--db", path, "sessions", "reset", "=17", "--yes", "--json").json
    assert reset["sessions"][0]["session_identifier"] == "https://nemo.example.com/?id=17"
    # Where something is changed, a name is whole words, and it is said whose it is.
    with Store(path) as store:
        store.sessions.add("https://nemo.example.com/?id=311", PID, time, time)
    for command in (("reset", "11"), ("delete", "7", "11"), ("delete", "d=27")):
        refused = call("--db", path, "sessions", *command, "--yes")
        assert refused.status == 2
        assert "is but a part of the last word of 'https://nemo" in refused.err
    deleted = call("--db", path, "sessions", "delete", "id=27", "--yes")
    assert "id=27 is https://nemo.example.com/?id=27" in deleted.err
    assert "https://nemo.example.com/?id=27" not in listed(path)


def test_an_instrument_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    wrong = call("--db", filled(tmp_path), "sessions", "list", "--instrument", "FEI-Titan")
    assert wrong.status == 2
    assert "`nexuslims-store instruments list --db" in wrong.err


def test_csv_and_json_hold_all_fields(tmp_path: Path) -> None:
    path = filled(tmp_path)
    rows = list(csv.DictReader(io.StringIO(call("--db", path, "sessions", "list", "--csv").out)))
    found = call("--db", path, "sessions", "list", "--json").json
    assert len(rows) == len(found) == 17
    assert rows[0] == {
        "session_identifier": "tokyo-1",
        "instrument": TOKYO,
        "start": "2025-01-01T22:00:00+09:00",
        "end": "2025-01-01T23:30:00+09:00",
        "hours": "1.5",
        "user": "",
        "status": "WAITING_FOR_END",
    }
    assert found[0] == {**rows[0], "hours": 1.5, "user": None}
    assert found[-1]["end"] is None
    assert call("--db", path, "sessions", "list", "--csv", "--user", "x").lines == [
        "session_identifier,instrument,start,end,hours,user,status"
    ]
    nothing = call("--db", path, "sessions", "list", "--user", "x")
    assert (nothing.status, nothing.out, nothing.err) == (
        *(0, "", "no such sessions\nno session, of any time, is of a user 'x'\n"),
    )


def test_odd_rows_are_listed_too(tmp_path: Path) -> None:
    path = filled(tmp_path)
    write(
        path,
        "UPDATE session_log SET timestamp = 'soon' WHERE session_identifier = 'ny-2'",
        "UPDATE session_log SET timestamp = '2025-01-03T09:00' WHERE session_identifier = 'ny-3'",
        "UPDATE instruments SET timezone = 'No/Where' WHERE instrument_pid LIKE 'FEI%'",
    )
    write_log(path, session_identifier="orphan", instrument="gone", event_type="END")
    found = {
        session["session_identifier"]: session
        for session in call("--db", path, "sessions", "list", "--json").json
    }
    assert len(found) == 18
    assert found["ny-2"]["start"] == "soon"
    assert found["ny-3"]["start"] == "2025-01-03T09:00"
    assert found["ny-4"]["start"] == "2025-01-04T22:00:00-05:00"
    assert found["orphan"]["start"] is None
    assert call("--db", path, "sessions", "list").status == 0


# -- show ------------------------------------------------------------------------------------


def test_show(tmp_path: Path) -> None:
    path = filled(tmp_path)
    shown = call("--db", path, "sessions", "show", "ny-3").out
    assert "status              COMPLETED" in shown
    assert "start               2025-01-03 22:00 EST" in shown
    assert shown.count("COMPLETED") == 3
    assert "2025-06-02 14:00 UTC  cdcs              yes" in shown
    found = call("--db", path, "sessions", "show", "ny-3", "--json").json
    assert [event["event_type"] for event in found["events"]] == ["START", "END"]
    assert [one["destination_name"] for one in found["uploads"]] == ["cdcs", "elabftw", "cdcs"]
    assert call("--db", path, "sessions", "show", "endless").status == 0
    assert call("--db", path, "sessions", "show", "no such").status == 2


# -- reset -----------------------------------------------------------------------------------


def statuses(path: Path) -> dict[str, str]:
    with Store(path, read_only=True) as store:
        return {
            log.session_identifier: log.record_status.value for log in store.session_logs.iter_all()
        }


def test_reset_after_a_bad_week(tmp_path: Path) -> None:
    path = filled(tmp_path)
    before = statuses(path)
    week = ("sessions", "reset", "--since", "2025-01-01", "--until", "2025-01-08")
    dry = call("--db", path, *week, "--dry-run")
    assert dry.lines[-1] == "would reset 6 sessions to TO_BE_BUILT"
    assert "ny-5" in dry.out
    assert statuses(path) == before
    done = call("--db", path, *week, "--yes")
    assert done.lines[-1] == "reset 6 sessions to TO_BE_BUILT"
    after = statuses(path)
    changed = {name for name in before if before[name] != after[name]}
    # BUILT_NOT_EXPORTED, ERROR, NO_FILES_FOUND; never the sessions without consent.
    assert changed == {f"{name}-{day}" for name in ("ny", "tokyo") for day in (4, 5, 6)}
    assert {after[name] for name in changed} == {"TO_BE_BUILT"}
    assert call("--db", path, *week, "--yes").out == "reset 0 sessions to TO_BE_BUILT\n"


@pytest.mark.parametrize(
    ("span", "days"),
    [
        (("--since", "2025-01-03", "--until", "2025-01-04"), {3, 4}),
        (("--since", "2025-01-03"), {3, 4, 5, 6, 7, 8}),
        (("--until", "2025-01-02"), {1, 2}),
    ],
)
def test_the_sessions_of_a_span_are_reset_and_no_others(
    tmp_path: Path, span: tuple[str, ...], days: set[int]
) -> None:
    path = filled(tmp_path)
    write(path, "UPDATE session_log SET record_status = 'ERROR'")
    assert call("--db", path, "sessions", "reset", *span, "--yes").status == 0
    with Store(path) as store:
        reset = {session.session_identifier for session in store.sessions.list_to_build()}
    assert reset == {f"{name}-{day}" for name in ("ny", "tokyo") for day in days}


def test_reset_by_status_names_what_is_reset(tmp_path: Path) -> None:
    path = filled(tmp_path)
    done = call("--db", path, "sessions", "reset", "--status", "NO_CONSENT", "--yes", "--json")
    assert done.json["count"] == 2
    assert [one["session_identifier"] for one in done.json["sessions"]] == ["tokyo-7", "ny-7"]
    assert statuses(path)["ny-7"] == "TO_BE_BUILT"
    # A session that has no END is no whole session.
    running = call("--db", path, "sessions", "reset", "--status", "WAITING_FOR_END", "--yes")
    assert running.lines[-1] == "reset 2 sessions to TO_BE_BUILT"
    assert statuses(path)["endless"] == "WAITING_FOR_END"


def test_reset_by_name(tmp_path: Path) -> None:
    path = filled(tmp_path)
    done = call("--db", path, "sessions", "reset", "ny-3", "ny-5", "ny-3", "--yes")
    assert done.lines[-1] == "reset 2 sessions to TO_BE_BUILT"
    assert statuses(path)["ny-3"] == "TO_BE_BUILT"
    for name, word in (
        ("ny-7", "--status NO_CONSENT"),
        ("endless", "has no END"),
        ("unheard-of", "there is no session"),
    ):
        before = statuses(path)
        refused = call("--db", path, "sessions", "reset", "tokyo-5", name, "--yes")
        assert refused.status == 2
        assert word in refused.err
        assert statuses(path) == before
    named = call("--db", path, "sessions", "reset", "ny-7", "--status", "NO_CONSENT", "--yes")
    assert named.status == 0
    other = call("--db", path, "sessions", "reset", "tokyo-5", "--status", "COMPLETED", "--yes")
    assert other.status == 2


def test_consent_on_any_row_keeps_a_session_from_being_reset(tmp_path: Path) -> None:
    path = filled(tmp_path)
    write(
        path,
        "UPDATE session_log SET record_status = 'NO_CONSENT' "
        "WHERE session_identifier = 'ny-5' AND event_type = 'END'",
    )
    before = contents(path)
    refused = call("--db", path, "sessions", "reset", "tokyo-5", "ny-5", "--yes")
    assert refused.status == 2
    assert "NO_CONSENT" in refused.err
    assert contents(path) == before
    dry = call("--db", path, "sessions", "reset", "--status", "ERROR", "--dry-run", "--json").json
    assert (dry["count"], dry["without_consent"], dry["being_built"]) == (1, 1, 0)
    assert contents(path) == before
    done = call("--db", path, "sessions", "reset", "--status", "ERROR", "--yes")
    assert done.lines[-1] == "reset 1 session to TO_BE_BUILT"
    assert done.err == "left alone: 1 session without consent\n"


def test_a_session_that_is_being_built_is_not_reset(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with Store(path) as store:
        building = store.sessions.claim()
    assert building is not None
    name = building.session_identifier
    assert "is being built" in call("--db", path, "sessions", "reset", name, "--yes").err
    span = call("--db", path, "sessions", "reset", "--status", "TO_BE_BUILT", "--yes", "--json")
    assert span.json["being_built"] == 1


def test_no_more_is_reset_than_was_shown(tmp_path: Path) -> None:
    path = filled(tmp_path)

    def fail_another() -> str:
        with Store(path) as store:
            store.sessions.set_status("ny-3", "ERROR")
        return "y\n"

    done = call("--db", path, "sessions", "reset", "--status", "ERROR", answer=fail_another)
    assert done.status == 2
    assert "more would be reset now; nothing was changed" in done.err
    assert statuses(path)["ny-3"] == "ERROR"


def test_fewer_are_reset_than_were_shown(tmp_path: Path) -> None:
    path = filled(tmp_path)

    def complete_one() -> str:
        with Store(path) as store:
            store.sessions.set_status("ny-5", "COMPLETED")
        return "y\n"

    done = call("--db", path, "sessions", "reset", "--status", "ERROR", answer=complete_one)
    assert done.status == 0
    assert done.lines[-1] == "reset 1 session to TO_BE_BUILT"
    assert done.err.endswith("not as many as were shown: other programs changed some in between\n")
    assert statuses(path)["ny-5"] == "COMPLETED"


def test_what_waits_already_is_not_said_to_be_reset(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with Store(path) as store:
        assert store.sessions.claim() is not None
    found = call(
        "--db", path, "sessions", "reset", "--status", "TO_BE_BUILT", "--dry-run", "--json"
    )
    assert (found.json["count"], found.json["being_built"]) == (0, 1)


def test_a_consent_that_is_given_up_while_the_question_waits_counts(tmp_path: Path) -> None:
    path = filled(tmp_path)

    def give_up() -> str:
        with Store(path) as store:
            store.sessions.set_status("ny-5", RecordStatus.NO_CONSENT)
        return "y\n"

    done = call("--db", path, "sessions", "reset", "ny-5", answer=give_up)
    assert done.status == 2
    assert "NO_CONSENT" in done.err
    assert statuses(path)["ny-5"] == "NO_CONSENT"


@pytest.mark.parametrize("arguments", [(), ("ny-3", "--since", "2025-01-01")])
def test_reset_must_know_which(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert call("--db", filled(tmp_path), "sessions", "reset", *arguments, "--yes").status == 2


def test_sessions_of_some_instruments_are_reset(tmp_path: Path) -> None:
    path = filled(tmp_path)
    for trial in ("--dry-run", "--yes"):
        done = call("--db", path, "sessions", "reset", "--instrument", TOKYO, trial, "--json").json
        assert done["count"] > 0
        assert {session["instrument"] for session in done["sessions"]} == {TOKYO}
        assert listed(path, "--status", "ERROR") == ["tokyo-5", "ny-5"][trial == "--yes" :]
    assert call("--db", path, "sessions", "reset", "--instrument", "x", "--yes").status == 2
    assert call("--db", path, "sessions", "reset", "ny-5", "--instrument", PID).status == 2


# -- delete, and how every such command asks ---------------------------------------------------


@on_a_terminal
@pytest.mark.parametrize("command", ["delete", "reset"])
def test_sessions_that_share_an_identifier_are_counted_before_the_question(
    tmp_path: Path, command: str
) -> None:
    path = filled(tmp_path)
    with Store(path) as store:
        for pid in (PID, TOKYO):
            start = datetime(2025, 2, 1, 8, tzinfo=UTC)
            store.sessions.add("shared", pid, start, start + timedelta(hours=1), status="ERROR")
    said = f"2 instruments have a session 'shared', and those of all are meant: '{PID}', '{TOKYO}'"
    asked = terminal("--db", path, "sessions", command, "shared", answer="n\n")
    assert asked.out.index(said) < asked.out.index("[y/N]")
    assert call("--db", path, "sessions", command, "ny-5", "--dry-run").err == ""
    done = call("--db", path, "sessions", command, "shared", "--yes")
    assert said in done.err
    assert " 2 sessions " in done.lines[-1]


def test_delete(tmp_path: Path) -> None:
    path = filled(tmp_path)
    dry = call("--db", path, "sessions", "delete", "ny-3", "endless", "--dry-run")
    assert dry.lines[-1] == "would delete 2 sessions with all events and upload logs"
    done = call("--db", path, "sessions", "delete", "ny-3", "endless", "--yes")
    assert done.lines[-1] == "deleted 2 sessions with all events and upload logs"
    left = contents(path)
    assert len(left["session_log"]) == 30
    assert len(left["upload_log"]) == 1
    assert call("--db", path, "sessions", "delete", "ny-4", "ny-3", "--yes").status == 2
    assert contents(path) == left


@pytest.mark.parametrize(
    ("event", "time"),
    [("END", "9999-12-31T23:59:59"), ("START", "0001-01-01T00:00:00+23:59")],
)
def test_a_time_at_the_end_of_all_times_ends_no_listing(
    tmp_path: Path, event: str, time: str
) -> None:
    path = filled(tmp_path)
    write(
        path,
        (
            "UPDATE session_log SET timestamp = ? WHERE session_identifier = 'ny-1' "
            f"AND event_type = '{event}'",
            (time,),
        ),
    )
    for command in ("list", "list --json", "list --csv", "show ny-1", "delete ny-1 --dry-run"):
        shown = call("--db", path, "sessions", *command.split())
        assert (shown.status, shown.err) == (0, "")
        assert "ny-1" in shown.out
