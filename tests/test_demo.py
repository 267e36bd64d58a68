"""The demo database: whole, the same for the same seed, and never over another file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from helpers.migration_files import query
from helpers.platforms import posix

from nexuslims_store import (
    EventType,
    ExternalSystem,
    ReadOnlyError,
    RecordStatus,
    Store,
    StoreError,
    demo,
    doctor,
    report,
)

NOW = datetime(2025, 6, 3, tzinfo=UTC)


def content(path: Path) -> list[str]:
    """Return all rows of NexusLIMS's tables as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return [line for line in connection.iterdump() if "yoyo" not in line]


def test_everything_is_in_it(tmp_path: Path) -> None:
    path = demo.create(tmp_path / "demo.db", now=NOW)
    with Store(path, read_only=True, clock=lambda: NOW) as store:
        instruments = store.instruments.list()
        assert len(instruments) == 10
        assert len({instrument.timezone_str for instrument in instruments}) >= 4
        assert {instrument.harvester for instrument in instruments} == {"nemo"}
        assert all(activity.sessions_total for activity in store.instruments.activity())
        assert store.sessions.counts_by_status().keys() == set(RecordStatus)
        assert len(store.sessions.list_to_build()) >= 4
        assert store.sessions.list_unpaired() == []
        logs = list(store.session_logs.iter_all())
        assert all(log.timestamp <= NOW for log in logs)
        assert logs[0].timestamp > NOW - timedelta(weeks=6, days=1)
        claims = [
            log
            for log in logs
            if log.event_type is EventType.RECORD_GENERATION
            and log.record_status is RecordStatus.WAITING_FOR_END
        ]
        assert len(claims) == 2
        assert store.upload_logs.list_failed()
        assert {known.external_system for known in store.external_ids.list()} == set(ExternalSystem)
    uploads = query(path, "SELECT destination_name, success, metadata_json FROM upload_log")
    assert {(destination, success) for destination, success, _ in uploads} == {
        ("cdcs", 0),
        ("cdcs", 1),
        ("labarchives", 0),
        ("labarchives", 1),
    }
    assert all(bool(metadata) == bool(success) for _, success, metadata in uploads)


def test_completed_records_were_exported_and_others_were_not(tmp_path: Path) -> None:
    path = demo.create(tmp_path / "demo.db", now=NOW)
    with Store(path, read_only=True) as store:
        for status, exported in (
            (RecordStatus.COMPLETED, True),
            (RecordStatus.BUILT_NOT_EXPORTED, False),
        ):
            sessions = {log.session_identifier for log in store.session_logs.list_by_status(status)}
            assert sessions
            assert {store.upload_logs.was_exported(s, "best_effort") for s in sessions} == {
                exported
            }


# The second of June is a Monday.
@pytest.mark.parametrize(("seed", "weeks", "day"), [(0, 1, 1), (1, 1, 2), (2, 6, 1), (3, 6, 2)])
def test_the_doctor_finds_nothing(tmp_path: Path, seed: int, weeks: int, day: int) -> None:
    now = NOW.replace(day=day)
    path = demo.create(tmp_path / "demo.db", seed=seed, weeks=weeks, now=now)
    assert doctor.examine(path, clock=lambda: now) == []
    counts = Counter(status for (status,) in query(path, "SELECT record_status FROM session_log"))
    assert counts.keys() == {status.value for status in RecordStatus}


def test_nobody_is_at_one_instrument_twice_at_once(tmp_path: Path) -> None:
    path = demo.create(tmp_path / "demo.db", now=NOW)
    with Store(path, read_only=True) as store:
        ends: dict[str, datetime] = {}
        for session in store.sessions.iter_between(NOW - timedelta(weeks=9), NOW):
            before = ends.get(session.instrument.name)
            assert before is None or before <= session.dt_from
            assert session.duration > timedelta(minutes=20)
            ends[session.instrument.name] = session.dt_to


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    one = demo.create(tmp_path / "one.db", seed=7, now=NOW)
    two = demo.create(tmp_path / "two.db", seed=7, now=NOW.astimezone())
    other = demo.create(tmp_path / "other.db", seed=8, now=NOW)
    assert content(one) == content(two)
    assert content(one) != content(other)


# Other rows than these are meant or a mistake: nobody sees from a few of them which.
ROWS = {
    (7, 1, "2025-06-03T00:00:00+00:00"): "43b94e8dcea0333e",
    (8, 2, "2025-11-02T18:30:00+00:00"): "4fb861d1a3433605",
    (9, 3, "2024-04-01T07:00:00+00:00"): "0c8ec8d9a8e5a8f1",
}
COLUMNS = {
    "instruments": "instrument_pid, api_url, calendar_url, location, display_name, property_tag, "
    "filestore_path, harvester, timezone",
    "session_log": "id_session_log, session_identifier, instrument, timestamp, event_type, "
    'record_status, "user"',
    "upload_log": "id, session_identifier, destination_name, success, timestamp, record_id, "
    "record_url, error_message, metadata_json",
    "external_user_identifiers": "id, nexuslims_username, external_system, external_id, email, "
    "created_at, last_verified_at, notes",
}


@pytest.mark.parametrize(("seed", "weeks", "now"), ROWS)
def test_the_rows_of_a_seed_stay_what_they_are(
    tmp_path: Path, seed: int, weeks: int, now: str
) -> None:
    path = demo.create(
        tmp_path / "demo.db", seed=seed, weeks=weeks, now=datetime.fromisoformat(now)
    )
    rows = [query(path, f"SELECT {names} FROM {table}") for table, names in COLUMNS.items()]
    found = sha256(repr([sorted(some) for some in rows]).encode()).hexdigest()
    assert found[:16] == ROWS[seed, weeks, now]


@pytest.mark.slow
def test_in_another_process_too(tmp_path: Path) -> None:
    rows = []
    for name in ("one.db", "two.db"):
        subprocess.run(
            [sys.executable, "-c", "from nexuslims_store import demo; import sys; "
             "from datetime import datetime, UTC; "
             "demo.create(sys.argv[1], now=datetime(2025, 6, 3, tzinfo=UTC))", tmp_path / name],
            check=True,
            timeout=60,
        )  # fmt: skip
        rows.append(content(tmp_path / name))
    assert rows[0] == rows[1]


def test_it_ends_with_yesterday_by_default(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    path = demo.create(tmp_path / "demo.db", weeks=1)
    before, today = (  # it may be midnight in between
        moment.replace(hour=0, minute=0, second=0, microsecond=0)
        for moment in (began, datetime.now(UTC))
    )
    with Store(path, read_only=True) as store:
        newest = list(store.session_logs.iter_all())[-1].timestamp
    assert before - timedelta(hours=12) < newest <= today


def test_it_is_quick(tmp_path: Path) -> None:
    start = time.process_time()  # whatever else this computer does
    demo.create(tmp_path / "demo.db", now=NOW)
    assert time.process_time() - start < 5  # it takes 0.2 s


def test_it_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    path.write_text("mine")
    with pytest.raises(StoreError, match="exists already"):
        demo.create(path)
    assert path.read_text() == "mine"
    (tmp_path / "link.db").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="exists already"):
        demo.create(tmp_path / "link.db")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.db", "mine.db"]


def test_what_stands_in_the_way_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no folder"):
        demo.create(tmp_path / "none" / "demo.db")
    with pytest.raises(ValueError, match="one week"):
        demo.create(tmp_path / "demo.db", weeks=0)
    assert not list(tmp_path.iterdir())


@posix
def test_neither_a_folder_nor_a_name_that_no_file_has_is_taken(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="exists already"):
        demo.create(tmp_path)
    with pytest.raises(ReadOnlyError, match=r"cannot be made .* choose another folder"):
        demo.create(tmp_path / ("x" * 300))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (":memory:", "':memory:' is no file"),
        ("postgresql://me:secret@host/db", "the demo is made in a file"),
    ],
)
def test_it_is_made_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=says) as refused:
        demo.create(name)
    assert "secret" not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_it_shows_every_part_of_the_report(tmp_path: Path) -> None:
    for day in range(1, 8):  # whatever day of the week it is
        now = NOW.replace(day=day)
        path = demo.create(tmp_path / f"{day}.db", now=now)
        with Store(path, read_only=True) as store:
            text = report.render(store, now, text=True)
        for part in (
            *("to be built", "being built now", "builds failed", "built, not exported"),
            *("waits longest", "Failures by cause", "Builds that failed", "Uploads that failed"),
            *("Sessions that began in each week", "Hours of use", "nine in ten", "Attempts to"),
        ):
            assert part in text
        for nothing in ("There were no", "There are no", "No record", "Nothing needs"):
            assert nothing not in text


def test_nothing_half_made_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_identify", fail)
    with pytest.raises(KeyboardInterrupt):
        demo.create(tmp_path / "demo.db")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "nexuslims_store", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    path = tmp_path / "a demo.db"
    done = command("demo", path, "--seed", 3)
    assert (done.returncode, done.stdout) == (0, f"made {path}\n")
    assert f"nexuslims-store --db '{path}' status" in done.stderr
    before = content(path)
    again = command("demo", path)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert content(path) == before
    assert command("--db", path, "doctor").returncode == 0
