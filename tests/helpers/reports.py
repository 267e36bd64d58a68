"""Databases to make reports of."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from helpers.support import instrument, log
from nexuslims_store import EventType, RecordStatus, Store, UploadLog

NOW = datetime(2025, 6, 3, 12, 0, tzinfo=UTC)  # a Tuesday
HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='parent.hacked = 1'>\"'&"

# Captions of tables.
WEEK_BY_STATUS = "Sessions that began in each week"
BY_STATUS = "Sessions by status"
USE = "Use of each instrument in this time"
THIS_WEEK = "Since Monday 2025-06-02, UTC"
CAUSES = "Failures by cause, the most frequent first"
FAILED_BUILDS = "Builds that failed, the latest first"
FAILED_UPLOADS = "Uploads that failed, the latest first"
ODD = "To be built, but START and END make no session"
ATTEMPTS = "Attempts in this time, and sessions whose latest attempt failed"


def at(store: Store, name: str, start: datetime, status: str = "COMPLETED", hours: int = 1) -> None:
    """Store a session on A."""
    store.sessions.add(name, "A", start, start + timedelta(hours=hours), "u", RecordStatus(status))


def built(store: Store, name: str, when: datetime, status: str = "COMPLETED") -> None:
    """Store that a build of a session began."""
    store.session_logs.insert(
        log(
            EventType.RECORD_GENERATION,
            session_identifier=name,
            instrument="A",
            timestamp=when,
            record_status=RecordStatus(status),
        )
    )


def fill_years(store: Store, years: int) -> None:
    """Fill a database with some sessions a week, on instruments with long names and short ones."""
    choose = random.Random(years)
    for number in range(12):
        name = "A scanning electron microscope with a long name" if number % 3 else "TEM"
        store.instruments.add(instrument(f"P-{number}", display_name=f"{name} {number}"))
    statuses = ["COMPLETED", "NO_FILES_FOUND", "NO_CONSENT", "ERROR", "BUILT_NOT_EXPORTED"]
    start = NOW - timedelta(days=365.25 * years)
    number = 0
    with store.transaction():
        while start < NOW - timedelta(hours=5):
            (status,) = choose.choices(statuses, [80, 8, 4, 4, 3])
            store.sessions.add(
                f"https://nemo.example.com/api/usage_events/?id={number}",
                f"P-{choose.randrange(12)}",
                start,
                start + timedelta(minutes=choose.randrange(10, 300)),
                f"user{choose.randrange(30)}",
                RecordStatus(status),
            )
            start += timedelta(hours=choose.randrange(8, 90))
            number += 1


def fill_with_hostile(store: Store) -> None:
    """Fill a database with markup, endless words and text that turns other text."""
    for number in range(3):
        pid = f"{HOSTILE} {number} {'x' * 400}"
        name = (HOSTILE, "\u202e\u05e9\u05dc\u05d5\u05dd \u2066" + "W" * 300, "y" * 10**6)[number]
        store.instruments.add(instrument(pid, api_url=f"https://h/{number}", display_name=name))
        start = NOW - timedelta(hours=20 * number + 5)
        for status in (RecordStatus.TO_BE_BUILT, RecordStatus.ERROR):
            store.sessions.add(
                f"{HOSTILE}{number}{status.value}",
                pid,
                start,
                start + timedelta(hours=3),
                HOSTILE,
                status,
            )
        store.upload_logs.insert(
            UploadLog(
                session_identifier=f"{HOSTILE}{number}",
                destination_name=f"{HOSTILE}{number}{'z' * 300 * number}",
                success=False,
                timestamp=NOW,
                error_message=f"{HOSTILE} \u202e\x1b[31m " + "y" * 10**6,
            )
        )
