"""`status`: one page that answers whether the record builders are healthy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers import older_lineage
from helpers.command_line import TOKYO, call, filled
from helpers.support import HEAD, NOW, PID, instrument, new_database, write, write_log
from prometheus_client.parser import text_string_to_metric_families

from nexuslims_store import RecordStatus, Store
from nexuslims_store.overview import LEASE, PATIENCE, Work
from nexuslims_store.testing import add_session


def healthy(folder: Path) -> Path:
    path = new_database(folder)
    now = datetime.now(UTC)
    with Store(path) as store:
        store.instruments.add(instrument())
        store.sessions.add("new", PID, now - timedelta(hours=5), now - timedelta(hours=3))
        store.sessions.add("done", PID, now, now, status=RecordStatus.COMPLETED)
    return path


def test_a_healthy_database(tmp_path: Path) -> None:
    path = healthy(tmp_path)
    shown = call("--db", path, "status", "--strict")
    assert shown.status == 0
    assert shown.err == ""
    assert f"revision         {HEAD}, up to date" in shown.lines
    assert f"oldest to build  new on {PID}, ended 3 h ago" in shown.lines
    assert "unpaired         none" in shown.lines
    assert shown.lines[0] == "OK: nothing needs a person"
    found = call("--db", path, "status", "--json").json
    assert found["needs_a_person"] == []
    assert found["sessions_by_status"] == {"COMPLETED": 1, "TO_BE_BUILT": 1}
    assert found["oldest_to_build"]["waiting_seconds"] // 3600 == 3
    assert found["size"] == path.stat().st_size
    assert found["journal_mode"] == "delete"


def test_all_that_may_need_a_person(tmp_path: Path) -> None:
    path = filled(tmp_path)
    write_log(path, session_identifier="endless too", timestamp="2025-02-01T00:00:00")
    with Store(path, clock=lambda: datetime.now(UTC) - timedelta(hours=7)) as store:
        stale = store.sessions.claim()
    with Store(path, clock=lambda: datetime.now(UTC) - timedelta(hours=1)) as store:
        building = store.sessions.claim(timedelta(days=1))
    assert stale is not None
    assert building is not None
    shown = call("--db", path, "status", "--strict")
    assert shown.status == 1
    assert call("--db", path, "status").status == 0
    text = shown.out
    assert f"stale builds     {stale.session_identifier} on {TOKYO} since 7 h" in text
    assert f"being built      {building.session_identifier} on {PID} since 1 h" in text
    assert "unpaired         endless too: a START without an END" in text
    assert "failed uploads   1 to cdcs" in text
    needs = text[text.index("needs a person:") :].splitlines()[1:]
    # A build began today, so nothing waits too long, however old it is.
    words = ["without a usable", "never ended", "ERROR", "BUILT_NOT", "upload"]
    assert len(needs) == len(words)
    for need, word in zip(needs, words, strict=True):
        assert word in need
    found = call("--db", path, "status", "--json", "--strict")
    assert found.status == 1
    json = found.json
    assert len(json["needs_a_person"]) == len(words)
    assert [claim["session_identifier"] for claim in json["stale_builds"]] == [
        stale.session_identifier
    ]
    assert len(json["builds_in_progress"]) == 1
    assert json["failed_uploads"] == {"cdcs": 1}
    assert json["unpaired"][0]["session_identifier"] == "endless too"
    assert json["instruments"][0] == {
        "instrument_pid": PID,
        "sessions_total": 10,
        "last_session": "2025-02-01T00:00:00-05:00",
    }
    longer = call("--db", path, "status", "--json", "--lease", "8", "--patience", "100000").json
    assert longer["stale_builds"] == []
    assert len(longer["needs_a_person"]) == len(words) - 1


def test_what_waits_too_long_waits_for_a_builder_that_does_not_run(tmp_path: Path) -> None:
    path = filled(tmp_path)
    first = call("--db", path, "status", "--quiet").lines[0]
    assert first.startswith("NEEDS A PERSON: no build began in 3 days although sessions wait; 2 ")
    with Store(path, clock=lambda: datetime.now(UTC) - timedelta(hours=1)) as store:
        session = store.sessions.claim()
        assert session is not None
        store.sessions.finish(session, "COMPLETED")
    assert "no build" not in call("--db", path, "status", "--quiet").out
    assert "last build       1 h ago" in call("--db", path, "status").lines


def test_what_waits_or_began_just_that_long_ago_is_not_late() -> None:
    edge, late = NOW - PATIENCE, NOW - PATIENCE - timedelta(microseconds=1)
    for since, began, expected in (
        (None, None, False),
        (edge, None, False),
        (late, None, True),
        (late, edge, False),
        (late, late, True),
        (late, "soon", True),
    ):
        work = Work(now=NOW, lease=LEASE, waiting_since=since, last_build=began)
        assert work.waits_too_long() is expected, (since, began)


def test_a_session_reset_today_does_not_wait_since_its_end(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    month = datetime.now(UTC) - timedelta(days=30)
    with Store(path, clock=lambda: month + timedelta(days=1)) as store:
        store.instruments.add(instrument())
        add_session(store, "failed", start=month, status=RecordStatus.ERROR)
    call("--db", path, "sessions", "reset", "failed", "--yes")
    assert call("--db", path, "status", "--quiet").lines == ["OK: nothing needs a person"]
    assert (
        f"oldest to build  failed on {PID}, ended 29 days ago" in call("--db", path, "status").lines
    )
    # One that no build of has begun does wait since its end.
    with Store(path) as store:
        add_session(store, "new", start=month + timedelta(days=25))
    assert "no build began" in call("--db", path, "status", "--quiet").out


def test_only_failures_from_some_time_on(tmp_path: Path) -> None:
    path = filled(tmp_path)
    now = datetime.now(UTC)
    with Store(path) as store:
        # It began long ago and ended today: its end counts.
        store.sessions.add("long", PID, now - timedelta(days=30), now, status=RecordStatus.ERROR)
    found = call("--db", path, "status", "--json", "--since", "7d").json
    assert found["failed_sessions"] == {"ERROR": 1}
    assert found["failed_uploads"] == {}
    assert found["sessions_by_status"]["ERROR"] == 3
    assert "1 session in ERROR" in call("--db", path, "status", "--quiet", "--since", "7d").out
    older = call("--db", path, "status", "--json", "--since", "2025-01-01").json
    assert older["failed_sessions"] == {"ERROR": 3, "BUILT_NOT_EXPORTED": 2}
    assert older["failed_uploads"] == {"cdcs": 1}
    # What cannot be dated is not hidden.
    write(path, "UPDATE session_log SET timestamp = 'soon' WHERE session_identifier = 'ny-5'")
    undated = call("--db", path, "status", "--json", "--since", "7d").json
    assert undated["failed_sessions"] == {"ERROR": 2}


def test_a_claim_that_is_dated_ahead_is_said_to_be(tmp_path: Path) -> None:
    path = healthy(tmp_path)
    with Store(path, clock=lambda: datetime.now(UTC) + timedelta(days=400)) as store:
        assert store.sessions.claim() is not None
    shown = call("--db", path, "status")
    assert shown.lines[0] == "NEEDS A PERSON: 1 build dated in the future"
    assert "which is 399 days ahead" in shown.out
    assert len(call("--db", path, "status", "--json").json["stale_builds"]) == 1


def test_a_claim_without_a_time_is_a_build_that_never_ended(tmp_path: Path) -> None:
    path = healthy(tmp_path)
    with Store(path) as store:
        assert store.sessions.claim() is not None
    write(path, "UPDATE session_log SET timestamp = 'soon' WHERE event_type = 'RECORD_GENERATION'")
    shown = call("--db", path, "status")
    assert shown.lines[0].startswith("NEEDS A PERSON: 1 build began and never ended")


def test_metrics_for_prometheus(tmp_path: Path) -> None:
    path = filled(tmp_path)
    made = call("--db", path, "backup")
    write(path, """UPDATE upload_log SET destination_name = 'a"b\\' || char(10) || 'c'""")
    metrics = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(
            call("--db", path, "status", "--prometheus").out
        )
        for sample in family.samples
    }
    assert metrics["nexuslims_sessions", "COMPLETED"] == 2
    assert metrics["nexuslims_sessions", "NO_CONSENT"] == 2
    assert metrics["nexuslims_failed_uploads", 'a"b\\\nc'] == 1
    end = datetime.fromisoformat("2025-01-02T23:30:00+09:00")
    assert metrics["nexuslims_oldest_pending_timestamp_seconds",] == end.timestamp()
    assert ("nexuslims_last_build_timestamp_seconds",) not in metrics
    # Its name has the time by the clock on the wall, which is put back once a year.
    backup = datetime.strptime(made.out.strip()[-18:-3], "%Y%m%d_%H%M%S")
    assert metrics["nexuslims_newest_backup_timestamp_seconds",] == backup.timestamp()
    assert metrics["nexuslims_needs_a_person",] == 4
    assert metrics["nexuslims_up_to_date",] == 1
    empty = new_database(tmp_path, "empty.db")
    assert "nexuslims_oldest" not in call("--db", empty, "status", "--prometheus").out


def test_a_claim_that_was_taken_over_is_no_longer_stale(tmp_path: Path) -> None:
    path = healthy(tmp_path)
    with Store(path, clock=lambda: datetime.now(UTC) - timedelta(hours=7)) as store:
        assert store.sessions.claim() is not None
    with Store(path) as store:
        assert store.sessions.claim() is not None
    found = call("--db", path, "status", "--json").json
    assert (len(found["builds_in_progress"]), found["stale_builds"]) == (1, [])


def dated(path: Path, ago: timedelta) -> Path:
    time = (datetime.now(UTC) - ago).astimezone()  # no hour more or less where the clocks change
    return path.with_name(f"{path.stem}_backup_{time:%Y%m%d_%H%M%S}.db")


def test_the_newest_backup(tmp_path: Path) -> None:
    path = healthy(tmp_path)
    assert (
        f"newest backup    none in {tmp_path}; `nexuslims-store backup --db {path}` makes one"
        in call("--db", path, "status").lines
    )
    old = Path(call("--db", path, "backup").out.strip())
    new = Path(call("--db", path, "backup").out.strip())
    (tmp_path / "another_backup_20990101_000000.db").touch()
    # The time in the name counts, not that of the file, which copying changes.
    old = old.rename(dated(path, timedelta(days=9)))
    new = new.rename(dated(path, timedelta(days=2)))
    assert f"newest backup    {new.name}, 2 days ago" in call("--db", path, "status").lines
    for limit, answer in (
        ("3d", "OK: nothing needs a person"),
        ("26h", "NEEDS A PERSON: the newest backup is 2 days old"),
    ):
        quiet = call("--db", path, "status", "--quiet", "--strict", "--max-backup-age", limit)
        assert (quiet.status, quiet.lines) == (int(limit == "26h"), [answer])
    (tmp_path / "elsewhere").mkdir()
    elsewhere = ("--backups", tmp_path / "elsewhere", "--max-backup-age", "3d", "--quiet")
    assert call("--db", path, "status", *elsewhere).lines == [
        f"NEEDS A PERSON: there is no backup of {path.name} in {tmp_path / 'elsewhere'}"
    ]


@pytest.mark.parametrize("revision", ["v1_4_3", "v2_4_0a", "v2_4_0b", "v2_5_0a"])
def test_an_older_revision_shows_what_it_can(tmp_path: Path, revision: str) -> None:
    path = filled(tmp_path)
    call("--db", path, "migrate", "downgrade", revision, "--no-backup", "--yes")
    before = path.read_bytes()
    shown = call("--db", path, "status", "--strict")
    assert shown.status == 1, shown.err
    count = 4 - ["v1_4_3", "v2_4_0a", "v2_4_0b", "v2_5_0a", HEAD].index(revision)
    noun = "migration" if count == 1 else "migrations"
    assert f"revision         {revision}, {count} {noun} pending" in shown.lines
    assert f"oldest to build  tokyo-2 on {TOKYO}, ended" in shown.out
    assert f"unpaired         not known before `nexuslims-store migrate --db {path}`" in shown.lines
    assert ("failed uploads" in shown.out) == (revision != "v1_4_3")
    assert (
        f"- the schema is not up to date: run `nexuslims-store migrate --db {path}`" in shown.lines
    )
    found = call("--db", path, "status", "--json").json
    assert found["sessions_by_status"]["TO_BE_BUILT"] == 2
    assert len(found["pending_migrations"]) == count
    assert path.read_bytes() == before


def test_the_older_lineage_and_odd_rows(tmp_path: Path) -> None:
    path = older_lineage.create(tmp_path / "old.db")
    shown = call("--db", path, "status")
    assert shown.status == 0, shown.err
    assert "revision         v1_4_3, 4 migrations pending" in shown.lines
    found = call("--db", path, "status", "--json").json
    assert found["oldest_to_build"]["start"].startswith("2019-03-10T")
    assert found["sessions_by_status"]["ERROR"] == 1


def test_a_database_without_tables(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    shown = call("--db", path, "status")
    assert shown.status == 0
    assert "revision       base, 5 migrations pending" in shown.lines


def test_odd_rows_keep_it_from_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path)
    write(
        path,
        "UPDATE instruments SET timezone = 'Nowhere/Land' WHERE instrument_pid LIKE 'JEOL%'",
        "UPDATE session_log SET timestamp = 'soon' WHERE session_identifier = 'ny-2'",
        "UPDATE upload_log SET timestamp = 'late', metadata_json = '{'",
        "UPDATE session_log SET instrument = 'nobody''s' WHERE session_identifier = 'ny-1'",
    )
    for form in ((), ("--json",)):
        shown = call("--db", path, "status", *form)
        assert shown.status == 0, shown.err


def test_it_writes_nothing_and_waits_for_no_writer(tmp_path: Path) -> None:
    path = filled(tmp_path)
    before = path.read_bytes()
    with Store(path) as store, store.transaction():
        assert call("--db", path, "--timeout", "0.1", "status").status == 0
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
