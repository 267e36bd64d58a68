"""What an overview of a database says: what its builders do, and what needs a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from helpers.migration_checks import at
from helpers.migration_files import execute
from helpers.support import NOW, instrument, new_database, new_store, write

from nexuslims_store import Claim, RecordStatus, SessionOverview, Store, StoreError, UnpairedSession
from nexuslims_store.config import dump_line
from nexuslims_store.overview import LEASE, Work
from nexuslims_store.overview import examine as examine_within
from nexuslims_store.results import CLOCK_SKEW
from nexuslims_store.testing import add_session

MOMENT = timedelta(microseconds=1)
PART = "id_session_log, session_identifier, instrument, timestamp"
examine = partial(examine_within, timeout=30.0)


def claimed(since: datetime | str) -> Claim:
    return Claim("1", "Titan", 1, since)


@pytest.mark.parametrize(
    ("since", "stale"),
    [
        (NOW - LEASE, True),
        (NOW - LEASE + MOMENT, False),
        (NOW, False),
        (NOW + CLOCK_SKEW, False),
        (NOW + CLOCK_SKEW + MOMENT, True),
        ("yesterday", True),
    ],
)
def test_a_claim_is_stale_when_its_lease_has_run_out_or_its_clock_is_wrong(
    since: datetime | str, stale: bool
) -> None:
    claim = claimed(since)
    assert claim.is_stale(NOW, LEASE) is stale
    work = Work(now=NOW, lease=LEASE, claims=[claim])
    assert (work.builds, work.stale_builds) == (([], [claim]) if stale else ([claim], []))


def test_a_claim_of_this_moment_is_not_ahead() -> None:
    ahead = claimed(NOW + 2 * CLOCK_SKEW)
    work = Work(now=NOW, lease=timedelta(), claims=[claimed(NOW), ahead, claimed("soon")])
    assert work.stale_builds == work.claims
    assert work.claims_ahead == [ahead]


@pytest.mark.parametrize(
    ("start", "end", "whole"),
    [(NOW, NOW, True), ("odd", "odd", True), (NOW, None, False), (None, NOW, False)],
)
def test_a_session_is_whole_with_start_and_end(
    start: datetime | str | None, end: datetime | str | None, whole: bool
) -> None:
    session = SessionOverview("1", "Titan", start, end, None, "ERROR")
    assert session.whole is whole
    assert (session.duration is not None) is (start == end == NOW)
    work = Work(now=NOW + LEASE, lease=LEASE, oldest_to_build=session)
    assert work.waiting == (LEASE if end == NOW else None)
    assert Work(now=NOW, lease=LEASE).waiting is None


NEEDS = [
    "1 session to be built without a usable START and END: see `nexuslims-store doctor`",
    "no build began in 3 days although sessions wait: is the record builder running?",
    "2 builds began and never ended: see the record builder's log; the next one takes over",
    "1 build dated in the future: set the clock of the computer that builds; the next builder "
    "takes over",
    "2 sessions in ERROR: when the cause is mended, `nexuslims-store sessions reset --status "
    "ERROR{ended}` has them built again",
    "1 session in ERROR, without a usable START and END or without consent: see "
    "`nexuslims-store sessions list --status ERROR`",
    "1 session in BUILT_NOT_EXPORTED, without a usable START and END or without consent: see "
    "`nexuslims-store sessions list --status BUILT_NOT_EXPORTED`",
    "3 failed uploads: see `nexuslims-store uploads failed --by-cause{since}`",
]


@pytest.mark.parametrize("since", [None, datetime(2025, 6, 1)])
def test_what_needs_a_person_is_said_with_what_to_do(since: datetime | None) -> None:
    work = Work(
        now=NOW,
        lease=LEASE,
        claims=[claimed(NOW - LEASE), claimed("odd"), claimed(NOW + LEASE), claimed(NOW)],
        failed_sessions={"ERROR": 3, "BUILT_NOT_EXPORTED": 1},
        retriable_sessions={"ERROR": 2, "BUILT_NOT_EXPORTED": 0},
        since=since,
        waiting_since=NOW - timedelta(days=9),
        unpaired=[UnpairedSession("1", "Titan", 1, None, "odd")],
        failed_uploads={"cdcs": 2, "eln": 1},
    )
    time = "" if since is None else " 2025-06-01T00:00:00+00:00"
    told = {"ended": time and f" --ended-since{time}", "since": time and f" --since{time}"}
    assert list(work.needs()) == [need.format(**told) for need in NEEDS]
    only_ahead = replace(work, claims=[claimed(NOW + LEASE)])
    assert [need for need in only_ahead.needs() if need[1:].startswith(" build")] == [NEEDS[3]]
    assert list(Work(now=NOW, lease=LEASE, unpaired=[], failed_uploads={}).needs()) == []


@pytest.mark.parametrize("status", [RecordStatus.ERROR, RecordStatus.BUILT_NOT_EXPORTED])
def test_failures_of_one_kind_are_counted(tmp_path: Path, status: RecordStatus) -> None:
    with new_store(tmp_path) as store:
        add_session(store, status=status)
    work = examine(tmp_path / "nexuslims.db").work
    assert work.failed_sessions == work.retriable_sessions == {status.value: 1}


def test_what_is_not_asked_for_is_not_summed_up(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        add_session(store)
    path = tmp_path / "nexuslims.db"
    assert examine(path, with_use=False).work.instruments == []
    (used,) = examine(path).work.instruments
    assert used.sessions_total == 1


@pytest.mark.parametrize(
    ("revision", "script", "pending"),
    [
        ("v2_5_0b", "", False),
        ("v2_5_0a", "", True),
        ("v2_5_0b", "DELETE FROM alembic_version", True),
        ("v2_5_0b", f"CREATE TABLE session_log_new ({PART})", True),
    ],
)
def test_when_a_migration_is_pending(
    tmp_path: Path, revision: str, script: str, pending: bool
) -> None:
    overview = examine(at(revision, tmp_path / "nexuslims.db", script))
    assert overview.pending is pending
    told = "the schema is not up to date: run `nexuslims-store migrate`"
    assert (told in overview.needs()) is pending


def test_the_oldest_to_build_of_an_older_file_is_one_that_can_be(tmp_path: Path) -> None:
    path = at("v2_4_0b", tmp_path / "nexuslims.db", "DELETE FROM session_log")
    found = []
    for session, start, end in (
        ("no start", "odd", "2025-06-01T09:00:00"),
        ("backwards", "2025-06-01T10:00:00", "2025-06-01T09:00:00"),
        ("no end", "2025-06-01T10:30:00", "odd"),
        ("longer", "2025-06-01T13:00:00", "2025-06-01T14:00:00"),
        ("of a moment", "2025-06-01T12:00:00", "2025-06-01T12:00:00"),
    ):
        listed = f"('{session}', 'sem', '{start}', 'START'), ('{session}', 'sem', '{end}', 'END')"
        execute(
            path,
            "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type, "
            f"record_status) SELECT *, 'TO_BE_BUILT' FROM (VALUES {listed})",
        )
        oldest = examine(path).work.oldest_to_build
        found.append(oldest and oldest.session_identifier)
    assert found == [None, None, None, "longer", "of a moment"]


def test_a_look_at_a_server_waits_for_no_writer(server_url: str) -> None:
    with Store(server_url) as store, store.transaction():
        overview = examine_within(server_url, timeout=0.05)
    assert (overview.path, overview.backups, overview.journal_mode) == (server_url, None, None)
    assert overview.backup_command == dump_line(server_url)


def test_a_backup_is_old_after_and_not_at_its_age(tmp_path: Path) -> None:
    overview = examine(new_database(tmp_path))
    day = timedelta(days=1)
    newest = replace(overview, newest_backup=(tmp_path / "backup.db", overview.work.now - day))
    assert list(newest.needs(max_backup_age=day)) == []
    assert list(newest.needs()) == []
    remedy = "make one with `nexuslims-store backup`, and see why none was made"
    assert list(newest.needs(max_backup_age=day - MOMENT)) == [
        f"the newest backup is 1 day old: {remedy}"
    ]
    assert list(overview.needs(max_backup_age=day)) == [
        f"there is no backup of nexuslims.db in {tmp_path}: {remedy}"
    ]
    elsewhere = replace(overview, backups=tmp_path / "other backups")
    assert elsewhere.backup_command == f"nexuslims-store backup '{tmp_path}/other backups/'"


def test_a_size_holds_what_is_in_the_wal_file_only(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    write(path, "PRAGMA journal_mode = WAL")
    with Store(path) as store:
        store.instruments.add(instrument())
        wal = path.with_name(f"{path.name}-wal").stat().st_size
        assert wal > 0
        overview = examine(path)
        assert overview.size == path.stat().st_size + wal
        assert overview.journal_mode == "wal"


def test_a_folder_of_backups_that_is_named_must_be_there(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    with pytest.raises(StoreError, match="nowhere"):
        examine(path, backups=tmp_path / "nowhere")
