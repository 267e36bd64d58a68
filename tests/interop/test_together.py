"""Both programs in one environment, on one file, at the same time."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.interop.files import ROWS, fill
from helpers.interop.nexuslims import NexusLIMS

from nexuslims_store import RecordStatus, Store, migrations

pytestmark = pytest.mark.interop

PIDS = [row["instrument_pid"] for row in ROWS["instruments"]]

# A harvester of NexusLIMS. It goes on while its file is there, which it has appended to once it
# was ready, and reports what it stored.
HARVESTER = """
import datetime, itertools, json, sys, time
from pathlib import Path
from nexusLIMS.db.enums import EventType, ExternalSystem, RecordStatus
from nexusLIMS.db.models import SessionLog, store_external_id

name, go_on, pids = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
start = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)
stored = []
with go_on.open("a") as ready:
    ready.write(".")
for number in itertools.count():
    if not go_on.exists():
        break
    identifier = f"https://nemo.example.com/api/usage_events/?id={name}{number}"
    for hour, event in enumerate((EventType.START, EventType.END)):
        SessionLog(
            session_identifier=identifier,
            instrument=pids[number % len(pids)],
            timestamp=start + datetime.timedelta(days=number, hours=hour),
            event_type=event,
            user=name,
            record_status=RecordStatus.TO_BE_BUILT,
        ).insert_log()
    store_external_id(f"{name}{number % 7}", ExternalSystem.NEMO, f"{name}{number}")
    stored.append(identifier)
    time.sleep(0.02)
print(json.dumps(stored))
"""

# A builder of ours, in the same environment, that also has NexusLIMS loaded and reading the
# file. It goes on until its file is gone and nothing is left.
BUILDER = """
import datetime, json, os, sys, time
from pathlib import Path
from nexusLIMS.db.session_handler import get_all_session_logs
from nexuslims_store import RecordStatus, Store, UploadLog

go_on = Path(sys.argv[1])
built = []
with Store() as store:  # NX_DB_PATH, as NexusLIMS
    with go_on.open("a") as ready:
        ready.write(".")
    while True:
        more_to_come = go_on.exists()
        session = store.sessions.claim()
        if session is None:
            if not more_to_come:
                break
            time.sleep(0.01)
            continue
        assert session.duration == datetime.timedelta(hours=1)
        store.upload_logs.insert(UploadLog(
            session_identifier=session.session_identifier, destination_name="cdcs", success=True,
            timestamp=datetime.datetime.now(datetime.timezone.utc),
        ))
        if len(built) % 50 == 0:
            # Both have the file open in one process; closing one's must not harm the other's.
            assert len(get_all_session_logs()) >= len(built)
        assert store.sessions.finish(session, RecordStatus.COMPLETED) == 3
        built.append(session.session_identifier)
print(json.dumps(built))
"""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def finished(process: subprocess.Popen[str]) -> list[str]:
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    identifiers: list[str] = json.loads(stdout)
    return identifiers


def test_nexuslims_harvests_while_builders_here_claim(
    nexuslims: NexusLIMS, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "nexuslims.db"
    nexuslims.db(path, "init")
    fill(path, "instruments")
    harvest, build = tmp_path / "harvest", tmp_path / "build"
    harvest.touch()
    build.touch()
    harvesters = [nexuslims.start(HARVESTER, path, name, harvest, *PIDS) for name in ("a", "b")]
    builders = [nexuslims.start(BUILDER, path, build) for _ in range(2)]
    try:
        wait_until(lambda: all(file.stat().st_size == 2 for file in (harvest, build)))
        time.sleep(request.config.getoption("--interop-seconds"))
        harvest.unlink()
        harvested = [identifier for process in harvesters for identifier in finished(process)]
        build.unlink()
        built = [identifier for process in builders for identifier in finished(process)]
    finally:
        for process in harvesters + builders:
            process.kill()

    assert len(harvested) > 20
    assert len(set(harvested)) == len(harvested)
    assert sorted(built) == sorted(harvested), "every session exactly once"
    with Store(path) as store:
        assert store.sessions.counts_by_status() == {RecordStatus.COMPLETED: len(harvested)}
        assert store.session_logs.count() == 3 * len(harvested)
        assert store.upload_logs.list_failed() == []
        query = store.connection.execute
        assert query("SELECT count(*) FROM upload_log").fetchone() == (len(harvested),)
        assert len(store.external_ids.list()) == 14
        assert query("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert query("PRAGMA foreign_key_check").fetchall() == []


ONE_PROGRAM = """
import datetime, json
from nexusLIMS.db.enums import EventType as TheirEvent, RecordStatus as TheirStatus
from nexusLIMS.db.models import SessionLog as TheirLog, store_external_id
from nexusLIMS.db.session_handler import get_sessions_to_build
import nexuslims_store
from nexuslims_store import ExternalSystem, RecordStatus, Store
from nexusLIMS.db.enums import ExternalSystem as TheirSystem

time = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)
with Store() as store:
    pid = store.instruments.list()[0].name
    for event in (TheirEvent.START, TheirEvent.END):
        TheirLog(session_identifier="theirs", instrument=pid, timestamp=time, event_type=event,
                 record_status=TheirStatus.TO_BE_BUILT).insert_log()
    store.sessions.add("ours", pid, time + datetime.timedelta(days=1),
                       time + datetime.timedelta(days=2))
    seen = [s.session_identifier for s in store.sessions.list_to_build()]
    # In no order of its own: that of the rows, or of whichever index SQLite takes.
    seen_by_nexuslims = {s.session_identifier: s for s in get_sessions_to_build()}
    seen_by_nexuslims["ours"].update_session_status(TheirStatus.ERROR)
    store.sessions.set_status("theirs", RecordStatus.COMPLETED)
    store_external_id("ada", TheirSystem.NEMO, "1", email="ada@example.com")
    store.external_ids.store("ada", ExternalSystem.NEMO, "2")
    store_external_id("ada", TheirSystem.NEMO, "3")
    (user,) = store.external_ids.list()
    print(json.dumps([
        seen, sorted(seen_by_nexuslims), [s.session_identifier for s in get_sessions_to_build()],
        {status.value: count for status, count in store.sessions.counts_by_status().items()},
        user.external_id, user.email,
    ]))
"""


def test_both_in_one_program(nexuslims: NexusLIMS, tmp_path: Path) -> None:
    path = tmp_path / "nexuslims.db"
    migrations.upgrade(path)
    fill(path, "instruments")
    assert json.loads(nexuslims.run(ONE_PROGRAM, path).stdout) == [
        ["theirs", "ours"],
        ["ours", "theirs"],
        [],
        {"COMPLETED": 1, "ERROR": 1},
        "3",
        "ada@example.com",
    ]


PURE_NEXUSLIMS_BUILDER = """
import json, sys
from nexusLIMS.db.enums import RecordStatus
from nexusLIMS.db.session_handler import get_sessions_to_build
built = []
for session in get_sessions_to_build()[: int(sys.argv[1])]:
    session.insert_record_generation_event()
    session.update_session_status(RecordStatus.COMPLETED)
    built.append(session.session_identifier)
print(json.dumps(built))
"""


def test_nexuslims_keeps_working_on_a_file_with_the_indexes_of_ours(
    nexuslims: NexusLIMS, tmp_path: Path
) -> None:
    path = tmp_path / "nexuslims.db"
    migrations.upgrade(path)
    fill(path, "instruments")
    with Store(path) as store:
        own = store.connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name LIKE 'nxs%'"
        ).fetchone()
        assert own > (0,), "the file has indexes that NexusLIMS does not know"
    harvest = tmp_path / "harvest"
    harvest.touch()
    harvester = nexuslims.start(HARVESTER, path, "a", harvest, *PIDS)
    wait_until(lambda: harvest.stat().st_size == 1)
    time.sleep(1)
    harvest.unlink()
    harvested = finished(harvester)
    built = json.loads(nexuslims.run(PURE_NEXUSLIMS_BUILDER, path, len(harvested) // 2).stdout)
    with Store(path) as store:
        left = [session.session_identifier for session in store.sessions.list_to_build()]
        assert sorted(built + left) == sorted(harvested)
        assert store.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
