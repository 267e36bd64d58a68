"""Databases to measure on: some years of sessions, as a facility's harvester stores them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

COLUMNS = 'session_identifier, instrument, timestamp, event_type, record_status, "user"'
INSERT = f"INSERT INTO session_log ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"
ALL_COLUMNS = f"{COLUMNS}, id_session_log"
INSTRUMENTS = 10
ZONES = ("America/New_York", "America/Denver", "Europe/Berlin", "UTC")

Event = tuple[str, str, str, str, str, str | None]


def pid(number: int) -> str:
    return f"FEI-Titan-TEM-{number % INSTRUMENTS:06}"


def api_url(number: int) -> str:
    return f"https://nemo.example.com/api/tools/?id={number % INSTRUMENTS}"


def session(number: int) -> str:
    return f"https://nemo.example.com/api/usage_events/?id={number}"


def events(
    sessions: int,
    pending: int = 0,
    first: int = 0,
    began: datetime = datetime(2015, 1, 1, 8, tzinfo=UTC),
) -> Iterator[Event]:
    """The events of sessions one after the other, the last of them pending."""
    choose = random.Random(first)
    for number in range(first, first + sessions):
        zone = timezone(timedelta(hours=choose.choice((-7, -5, 0, 1))))
        start = (began + timedelta(minutes=30 * number + choose.randrange(120))).astimezone(zone)
        end = start + timedelta(minutes=90)
        built = end + timedelta(hours=1, microseconds=choose.randrange(1_000_000))
        waits = number >= first + sessions - pending
        status = "TO_BE_BUILT" if waits else choose.choice(("COMPLETED",) * 9 + ("ERROR",))
        identifier, instrument, user = session(number), pid(number), f"user{number % 50}"
        yield identifier, instrument, start.isoformat(), "START", status, user
        yield identifier, instrument, end.isoformat(), "END", status, user
        if not waits:
            yield (
                identifier, instrument, built.isoformat(), "RECORD_GENERATION", status, "nexuslims"
            )  # fmt: skip


def make(path: Path, rows: int, pending: int = 0, revision: str = "head") -> Path:
    """Make a database of about so many rows in session_log, unless it is there."""
    if path.exists():
        return path
    from nexuslims_store import migrations  # the floor's processes must not pay for it

    migrations.upgrade(path, target=revision)
    sessions = (rows + pending) // 3
    with closing(sqlite3.connect(path)) as connection, connection:
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(instruments)")]
        marks = ", ".join("?" * len(columns))
        for number in range(INSTRUMENTS):
            known = {
                "instrument_pid": pid(number),
                "api_url": api_url(number),
                "filestore_path": f"./Titan{number}",
                "harvester": "nemo",
                "timezone": ZONES[number % len(ZONES)],
                "computer_name": None,
                "computer_ip": None,
                "computer_mount": None,
            }
            connection.execute(
                f"INSERT INTO instruments ({', '.join(columns)}) VALUES ({marks})",
                [known.get(column, f"{column} of the instrument") for column in columns],
            )
        # The last of them yesterday: what a report shows are the weeks before today.
        began = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1, minutes=30 * sessions)
        connection.executemany(INSERT, events(max(sessions, pending), pending, began=began))
        if revision == "head":
            connection.executemany(
                "INSERT INTO upload_log (session_identifier, destination_name, success, timestamp)"
                " VALUES (?, ?, ?, ?)",
                (
                    (session(number), destination, number % 20 > 0, "2025-06-02T12:00:00+00:00")
                    for number in range(sessions)
                    for destination in ("cdcs", "labarchives")
                ),
            )
            connection.executemany(
                "INSERT INTO external_user_identifiers (nexuslims_username, external_system,"
                " external_id, created_at) VALUES (?, 'nemo', ?, '2025-06-02T12:00:00+00:00')",
                ((f"user{number}", str(number)) for number in range(50)),
            )
    return path
