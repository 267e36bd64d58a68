"""NexusLIMS beside it: the same work by its own functions, in its own environment."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from . import data
from .measure import run

# Its name for each row of the table that it has a function for, and the database it runs on.
WORK = {
    "import nexuslims_store (process)": ("import nexusLIMS.db.session_handler", 0),
    "import, open, one query (process)": (
        "from nexusLIMS.db.session_handler import get_sessions_to_build as f; f()",
        0,
    ),
    "instrument by pid": ("instrument", 100),
    "external id": ("external id", 100),
    "external id, reverse": ("external id, reverse", 100),
    "sessions to build, 100 pending": ("to build", 100),
    "sessions to build, 2000 pending": ("to build", 2_000),
    "insert one session log, on disk": ("insert", 100),
    "insert that finds the row, on disk": ("insert again", 100),
    "set_status, on disk": ("set status", 100),
}

SCRIPT = """
import logging
logging.disable()
import json, statistics, sys, time
from datetime import UTC, datetime
from sqlmodel import Session as Connection, select
from nexusLIMS.db.engine import get_engine
from nexusLIMS.db.enums import EventType, ExternalSystem, RecordStatus
from nexusLIMS.db.models import (
    Instrument, SessionLog, get_external_id, get_nexuslims_username)
from nexusLIMS.db.session_handler import Session, get_all_session_logs, get_sessions_to_build

number = 40_000_000

def log(identifier):
    return SessionLog(session_identifier=identifier, instrument=sys.argv[2],
        timestamp=datetime(2025, 6, 2, 12, tzinfo=UTC), event_type=EventType.START,
        record_status=RecordStatus.TO_BE_BUILT, user="user1")

def insert():
    global number
    number += 1
    log(f"https://nemo.example.com/api/usage_events/?id={number}").insert_log()

def instrument():
    with Connection(get_engine()) as connection:
        return connection.exec(
            select(Instrument).where(Instrument.instrument_pid == sys.argv[2])).one()

def set_status():
    global status
    status = RecordStatus.ERROR if status is RecordStatus.COMPLETED else RecordStatus.COMPLETED
    session.update_session_status(status)

status = RecordStatus.ERROR
work = sys.argv[1]
if work == "set status":
    now = datetime(2025, 6, 2, 12, tzinfo=UTC)
    session = Session("https://nemo.example.com/api/usage_events/?id=5", instrument(), (now, now),
        "user5")
function = {
    "all": get_all_session_logs,
    "to build": get_sessions_to_build,
    "instrument": instrument,
    "external id": lambda: get_external_id("user7", ExternalSystem.NEMO),
    "external id, reverse": lambda: get_nexuslims_username("7", ExternalSystem.NEMO),
    "insert": insert,
    "insert again": lambda: log("https://nemo.example.com/api/usage_events/?id=5").insert_log(),
    "set status": set_status,
}[work]
function()
times = []
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    function()
    times.append(time.perf_counter() - start)
print(json.dumps(statistics.median(times)))
"""


class Peer:
    """An environment with NexusLIMS in it."""

    def __init__(self, python: str, folder: Path) -> None:
        self._python = python
        self._folder = folder

    def seconds(self, work: str, rows: int) -> float | None:
        """The seconds it takes for one row of the table, None where it has no such thing."""
        if work.startswith("all ") and work.endswith("as a list"):
            name, pending = "all", 100
        elif work in WORK:
            name, pending = WORK[work]
        else:
            return None
        original = data.make(self._folder / f"{rows}-{pending}.db", rows, pending)
        copy = self._folder / "nexuslims.db"
        shutil.copyfile(original, copy)
        environment = {"NX_DB_PATH": str(copy), "NX_TEST_MODE": "true"}
        try:
            if pending == 0:
                return min(run(name, python=self._python, **environment).seconds for _ in range(3))
            times = 3 if name in {"all", "to build"} else 100
            ended = run(SCRIPT, name, data.pid(5), times, python=self._python, **environment)
            return float(json.loads(ended.output.splitlines()[-1]))
        finally:
            copy.unlink()
