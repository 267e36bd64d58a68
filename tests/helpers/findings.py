"""A good database to be made bad, and what the doctor finds in it."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from test_remedies import DESTROYS

from nexuslims_store import Instrument, RecordStatus, Store, UploadLog, doctor
from nexuslims_store.doctor import Finding

NOW = datetime(2025, 6, 2, 12, 0, tzinfo=UTC)
START, END = datetime(2025, 6, 1, 9), datetime(2025, 6, 1, 10)
TITAN = Instrument(
    instrument_pid="Titan",
    api_url="https://nemo.example.com/api/tools/?id=1",
    calendar_url="https://nemo.example.com/calendar/titan",
    location="Bldg 1",
    display_name="Titan",
    property_tag="1",
    filestore_path="./Titan",
)

# As NexusLIMS writes: nothing enforced, nothing checked. Row 1 is Titan, events 1 and 2 are
# session "built", 3 and 4 session "waiting"; upload 1 is that of "built".
AS_NEXUSLIMS = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;"
EVENT = (
    "INSERT INTO session_log (id_session_log, session_identifier, instrument, timestamp, "
    "event_type, record_status) VALUES "
)


def good(folder: Path) -> Path:
    """Make a good database at the head revision, with a little of everything."""
    path = folder / "a facility's.db"
    path.write_bytes(_good_image())
    return path


@cache
def _good_image() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "good.db"
        with Store(path, migrate=True, clock=lambda: NOW) as store:
            store.instruments.add(TITAN)
            store.sessions.add("built", "Titan", START, END, "ada", RecordStatus.COMPLETED)
            store.sessions.add("waiting", "Titan", START, END, "ada")
            store.upload_logs.insert(
                UploadLog(
                    session_identifier="built",
                    destination_name="cdcs",
                    success=True,
                    timestamp=NOW,
                    metadata_json='{"a": 1}',
                )
            )
            store.external_ids.store("ada", "nemo", "17")
            assert store.sessions.claim() is not None
        return path.read_bytes()


def spoil(path: Path, script: str) -> None:
    """Run SQL on a file as NexusLIMS would, which enforces nothing."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(AS_NEXUSLIMS + script)


def examine(path: Path, now: datetime = NOW) -> list[Finding]:
    """Examine a file, which must be the same byte for byte afterwards."""
    before = path.read_bytes()
    found = doctor.examine(path, timeout=0.2, clock=lambda: now)
    assert path.read_bytes() == before
    for finding in found:
        assert finding.message
        assert finding.severity in {"error", "warning", "note"}
        assert finding.remedy or finding.severity == "note", finding
        assert not DESTROYS.search(without_remade(finding.remedy)), finding
    return found


def without_remade(remedy: str) -> str:
    """Leave out the dropping of what the same command makes again, or has copied."""

    def left(match: re.Match[str]) -> str:
        again = rf'CREATE (UNIQUE )?{match[1]} "?(own_)?{re.escape(match[2])}\b'
        return "" if re.search(again, remedy[match.end() :]) else match[0]

    remedy = re.sub(r'(AS SELECT [^;]* FROM ("nxs_\w+_passing")); DROP TABLE \2;', r"\1;", remedy)
    return re.sub(r'DROP (INDEX|TRIGGER|VIEW) "([^"]+)"', left, remedy)


def codes(found: list[Finding]) -> set[str]:
    return {finding.code for finding in found}


def the(code: str, found: list[Finding]) -> Finding:
    (finding,) = (finding for finding in found if finding.code == code)
    return finding
