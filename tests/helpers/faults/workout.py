"""A little of everything the package does, to be run in odd environments.

Run as a script it is given the path of a database to make, and prints what it found. Nothing here
relies on `assert`, which `python -O` leaves out.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nexuslims_store import Instrument, RecordStatus, Store, UploadLog, migrations
from nexuslims_store.backup import restore

_NOON = datetime(2025, 6, 2, 12, tzinfo=UTC)


def work(path: Path) -> dict[str, object]:
    """Make a database, use it, copy it, take it down and up again, bring the copy back."""
    with Store(path, migrate=True) as store:
        store.instruments.add(
            Instrument(
                instrument_pid="SEM",
                api_url="https://nemo.example.com/api/tools/?id=1",
                calendar_url="https://nemo.example.com/calendar",
                location="1",
                display_name="SEM",
                property_tag="1",
                filestore_path="./SEM",
                timezone_str="Europe/Berlin",
            )
        )
        for day in range(3):
            start = _NOON + timedelta(days=day)
            store.sessions.add(f"ü{day}", "SEM", start, start + timedelta(hours=1), "ada")
        claimed = store.sessions.claim()
        if claimed is not None:
            store.sessions.finish(claimed, RecordStatus.COMPLETED)
        store.upload_logs.insert(
            UploadLog(
                session_identifier="ü0", destination_name="cdcs", success=True, timestamp=_NOON
            )
        )
        store.external_ids.store("ada", "nemo", "1")
        copy = store.backup(path.with_name("copy of it.db"))
        store.sessions.delete("ü1")
    down = migrations.downgrade(path, "v1_4_3")
    up = migrations.upgrade(path)
    kept = restore(copy, path)
    with Store(path, read_only=True) as store:
        return {
            "built": claimed is not None and claimed.session_identifier,
            "sessions": {key.value: n for key, n in store.sessions.counts_by_status().items()},
            "times": [str(log.timestamp) for log in store.session_logs.list_for_session("ü2")],
            "uploads": len(store.upload_logs.list_for_session("ü0")),
            "user": store.external_ids.find_username("1", "nemo"),
            "steps": [*down.applied, *up.applied],
            "revision": store.revision,
            "pending": len(migrations.pending(path)),
            "kept": kept is not None and kept.exists(),
            "files": len(list(path.parent.glob("*.db"))),
        }


if __name__ == "__main__":
    print(json.dumps(work(Path(sys.argv[1]))))
