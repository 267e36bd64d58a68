"""A small database to try everything on: ten instruments and some weeks of sessions.

Whatever a facility's database may hold is in it: every status, sessions that go on, wait and are
being built, uploads that failed at first or for good, users known to other systems.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

from nexuslims_store.arguments import as_path, require_name
from nexuslims_store.enums import EventType, ExternalSystem, RecordStatus
from nexuslims_store.errors import ReadOnlyError, StoreError
from nexuslims_store.models import Instrument, SessionLog, UploadLog
from nexuslims_store.store import Store
from nexuslims_store.times import utc_now

__all__ = ["create"]

_NEMO = "https://nemo.example.com/api"

# make and model, kind, location, time zone, sessions that begin on a working day
_INSTRUMENTS = (
    ("FEI-Titan", "STEM", "Bldg 223, Room A120", "America/New_York", 1.6),
    ("FEI-Helios", "FIB", "Bldg 223, Room A122", "America/New_York", 1.9),
    ("JEOL-JSM7100", "SEM", "Bldg 223, Room B105", "America/New_York", 2.4),
    ("Hitachi-S4700", "SEM", "Bldg 217, Room 214", "America/New_York", 1.2),
    ("JEOL-JEM3010", "TEM", "Bldg 223, Room A118", "America/New_York", 0.8),
    ("Zeiss-Gemini300", "SEM", "Boulder, Bldg 1, Room 3022", "America/Denver", 1.5),
    ("ThermoFisher-Talos", "TEM", "Boulder, Bldg 1, Room 3024", "America/Denver", 1.1),
    ("TESCAN-Mira3", "SEM", "Berlin, Haus 5, Raum 017", "Europe/Berlin", 1.4),
    ("Nion-UltraSTEM200", "STEM", "Tokyo, Bldg 9, Room 402", "Asia/Tokyo", 0.7),
    ("Quanta-200", "ESEM", "Auckland, Lab 3.11", "Pacific/Auckland", 0.4),
)
_USERS = (
    "aalvarez", "bchen", "cdubois", "dokafor", "efischer", "fnakamura", "gpatel", "hsilva",
    "ijohansson", "jkim", "kmoreau", "lwright",
)  # fmt: skip

# What becomes of the sessions that are old enough to be through, and how often.
_OUTCOMES = {
    RecordStatus.COMPLETED: 76,
    RecordStatus.NO_FILES_FOUND: 9,
    RecordStatus.NO_CONSENT: 5,
    RecordStatus.ERROR: 4,
    RecordStatus.NO_RESERVATION: 3,
    RecordStatus.BUILT_NOT_EXPORTED: 3,
}
_FAILURES = (
    "HTTP 503 Service Unavailable",
    "HTTP 401: the token has expired",
    "timed out after 30 s",
    "the record is not valid: element 'experiment' is missing",
)

_BUILT_AFTER = timedelta(days=2)  # NexusLIMS waits so long for files
_CLAIMED = 2
_LATEST = timedelta(hours=12)
_BUILDER = "nexuslims"

_Visit = tuple[Instrument, datetime, datetime]  # somebody at it, from an instant to another


def create(
    path: str | os.PathLike[str], *, seed: int = 0, weeks: int = 6, now: datetime | None = None
) -> Path:
    """Make a demo database and return its path.

    Parameters
    ----------
    path
        The file, which must not be there yet.
    seed, weeks, now
        The rows depend on these alone: which chance decides, how many weeks of sessions there
        are, and up to when. By default they end with the day before the present one, in UTC.

    Raises
    ------
    StoreError
        The file is there already, or its folder is not, or the path is none of a file.
    """
    require_name(path)
    if "://" in os.fspath(path):
        # An address may hold a password, so it is not repeated.
        raise StoreError(
            "the demo is made in a file, and what was given is no name of one: name a new file (to "
            "have it in PostgreSQL, `nexuslims-store move FILE URL` afterwards)"
        )
    path = as_path("path", path)
    if weeks < 1:
        raise ValueError("a demo database has one week of sessions or more")
    now = datetime.combine(utc_now().date(), time(), UTC) if now is None else now.astimezone(UTC)
    _take(path)
    try:
        with Store(path, migrate=True, clock=lambda: now) as store, store.transaction():
            _fill(store, Random(seed), weeks, now)  # noqa: S311 -- nothing secret
    except BaseException:
        path.unlink(missing_ok=True)  # nobody else's: the name was free a moment ago
        raise
    return path


def _take(path: Path) -> None:
    """Make an empty file, so that no other program takes the name meanwhile."""
    try:
        path.open("x").close()
    except FileExistsError as error:
        raise StoreError(
            f"{path} exists already, and the demo never overwrites a file: choose another name"
        ) from error
    except FileNotFoundError as error:
        raise StoreError(
            f"there is no folder {path.parent} for {path.name}: create it, or choose another"
        ) from error
    except OSError as error:
        raise ReadOnlyError(
            f"{path} cannot be made ({error.strerror}): choose another folder, or change its "
            "permissions"
        ) from error


def _fill(store: Store, random: Random, weeks: int, now: datetime) -> None:
    instruments = [_instrument(number, *row) for number, row in enumerate(_INSTRUMENTS, 1)]
    for instrument in instruments:
        store.instruments.add(instrument)
    visits = [
        visit
        for instrument, row in zip(instruments, _INSTRUMENTS, strict=True)
        for visit in _visits(random, instrument, row[-1], weeks, now)
    ]
    visits += _latest_visits(random, instruments, now)
    visits.sort(key=lambda visit: (visit[2], visit[0].instrument_pid))
    sessions = list(_sessions(random, visits, now))
    store.session_logs.insert_many(log for session in sessions for log in _logs(session, now))
    uploads = [log for session in sessions for log in _uploads(random, session, now)]
    store.upload_logs.insert_many(sorted(uploads, key=lambda log: log.timestamp))
    for number, user in enumerate(_USERS, 1):
        _identify(store, number, user)


def _instrument(
    number: int, model: str, kind: str, location: str, timezone: str, _busy: float
) -> Instrument:
    make, _, name = model.partition("-")
    tag = f"{635000 + 37 * number}"
    return Instrument(
        instrument_pid=f"{model}-{kind}-{tag}",
        api_url=f"{_NEMO}/tools/?id={number}",
        calendar_url=f"https://nemo.example.com/calendar/{model.lower()}/",
        location=location,
        display_name=f"{make} {name} {kind}",
        property_tag=tag,
        filestore_path=f"./{make}{name.replace('-', '')}_{kind}",
        harvester="nemo",
        timezone_str=timezone,
    )


# -- sessions --------------------------------------------------------------------------


class _Session(NamedTuple):
    """A visit with what became of it; no `end` while it goes on, `built` when it was."""

    identifier: str
    instrument: Instrument
    start: datetime
    end: datetime | None
    user: str | None
    status: RecordStatus
    built: datetime | None


def _visits(
    random: Random, instrument: Instrument, busy: float, weeks: int, now: datetime
) -> Iterator[_Visit]:
    """Yield the visits of the working days, one after the other, up to the last few hours."""
    today = now.astimezone(instrument.timezone).date()
    for days in range(7 * weeks, -1, -1):
        day = today - timedelta(days=days)
        # On weekends a quarter as many come.
        chance = busy / 4 if day.weekday() < 5 else busy / 16
        end = datetime.combine(day, time(8))
        for _ in range(4):
            start = end + timedelta(minutes=random.randrange(5, 90), seconds=random.randrange(60))
            end = start + timedelta(minutes=random.randrange(25, 200), seconds=random.randrange(60))
            if random.random() < chance:
                first, last = map(instrument.localize_datetime, (start, end))
                if last < now - _LATEST:
                    yield instrument, first, last


def _latest_visits(
    random: Random, instruments: list[Instrument], now: datetime
) -> Iterator[_Visit]:
    """Yield some that wait to be built and some that go on, be it a holiday or the night."""
    for instrument in instruments[:6]:
        end = now - timedelta(minutes=random.randrange(180, 360))
        start = end - timedelta(minutes=random.randrange(40, 240))
        yield instrument, start, end
    for instrument in instruments[1:8:3]:
        start = now - timedelta(minutes=random.randrange(10, 100))
        yield instrument, start, now + timedelta(hours=1)


def _sessions(random: Random, visits: list[_Visit], now: datetime) -> Iterator[_Session]:
    # Each outcome once to begin with, so that even a single week has them all.
    outcomes = list(_OUTCOMES)
    outcomes.reverse()
    claimed = 0
    for number, (instrument, start, end) in enumerate(visits, 1001):
        user: str | None = random.choice(_USERS)
        built = None
        if end > now:
            status = RecordStatus.WAITING_FOR_END
        elif end > now - _BUILT_AFTER:
            status = RecordStatus.TO_BE_BUILT
            if claimed < _CLAIMED:
                claimed += 1
                built = now - timedelta(minutes=20 * claimed)
        else:
            (status,) = random.choices(list(_OUTCOMES), list(_OUTCOMES.values()))
            status = outcomes.pop() if outcomes else status
            built = end + timedelta(hours=random.randrange(1, 47), minutes=random.randrange(60))
        if status is RecordStatus.NO_RESERVATION:
            user = None
        yield _Session(
            f"{_NEMO}/usage_events/?id={number}",
            instrument,
            start,
            None if end > now else end,
            user,
            status,
            built,
        )


def _logs(session: _Session, now: datetime) -> Iterator[SessionLog]:
    """Yield the events of a session as a harvester and a builder store them."""
    for event, when, user in (
        (EventType.START, session.start, session.user),
        (EventType.END, session.end, session.user),
        (EventType.RECORD_GENERATION, session.built, _BUILDER),
    ):
        if when is not None:
            is_claim = event is EventType.RECORD_GENERATION and (
                session.status is RecordStatus.TO_BE_BUILT
            )
            yield SessionLog(
                session_identifier=session.identifier,
                instrument=session.instrument.instrument_pid,
                timestamp=min(session.instrument.localize_datetime(when), now),
                event_type=event,
                record_status=RecordStatus.WAITING_FOR_END if is_claim else session.status,
                user=user,
            )


# -- uploads and users -----------------------------------------------------------------


def _uploads(random: Random, session: _Session, now: datetime) -> Iterator[UploadLog]:
    """Yield the attempts to export a record, the failed ones first."""
    if session.built is None or session.status not in {
        RecordStatus.COMPLETED,
        RecordStatus.BUILT_NOT_EXPORTED,
    }:
        return
    exported = session.status is RecordStatus.COMPLETED
    destinations = ["cdcs", "labarchives"] if random.random() < 0.6 else ["cdcs"]
    for destination in destinations:
        # A record that is completed arrived at the first of its destinations at least.
        arrived = exported and (destination == "cdcs" or random.random() < 0.9)
        failures = (random.random() < 0.12) if arrived else random.randrange(1, 4)
        when = session.built
        for success in [False] * int(failures) + [True] * arrived:
            when = min(when + timedelta(minutes=random.randrange(1, 30)), now)
            yield _upload(random, session, destination, when.astimezone(UTC), success=success)


def _upload(
    random: Random, session: _Session, destination: str, when: datetime, *, success: bool
) -> UploadLog:
    record = f"{random.getrandbits(48):012x}"
    metadata = {
        "instrument": session.instrument.instrument_pid,
        "files": random.randrange(1, 240),
        "size_mb": round(random.uniform(2, 4000), 1),
    }
    return UploadLog(
        session_identifier=session.identifier,
        destination_name=destination,
        success=success,
        timestamp=when,
        record_id=record if success else None,
        record_url=f"https://{destination}.example.com/data?id={record}" if success else None,
        error_message=None if success else random.choice(_FAILURES),
        metadata_json=json.dumps(metadata) if success else None,
    )


def _identify(store: Store, number: int, user: str) -> None:
    email = f"{user}@example.com"
    store.external_ids.store(user, ExternalSystem.NEMO, str(100 + number), email)
    if number % 3:
        store.external_ids.store(user, ExternalSystem.CDCS, user, email)
    if number % 2:
        store.external_ids.store(user, ExternalSystem.LABARCHIVES_ELN, f"eln-{7000 + number}")
    if number == 1:
        store.external_ids.store(
            user, ExternalSystem.LABARCHIVES_SCHEDULER, "s-1", notes="books for the whole group"
        )
