"""For the tests of programs that use a store: stores, instruments, sessions, a clock, a fixture.

::

    from nexuslims_store.testing import add_session, make_store

    def test_a_record_is_built():
        with make_store() as store:
            session = add_session(store, user="alice")
            my_builder.run(store)
            assert store.sessions.counts_by_status()["COMPLETED"] == 1

As a pytest plugin (`pytest_plugins = ["nexuslims_store.testing"]` in a conftest.py, or
`pytest -p nexuslims_store.testing`) it offers `make_store()` as the fixture `store`. Without pytest
nothing of pytest is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import NoneType
from typing import Any
from urllib.parse import quote

from nexuslims_store.arguments import as_path, require_type
from nexuslims_store.enums import RecordStatus
from nexuslims_store.models import Instrument, Session, UploadLog
from nexuslims_store.store import Store

__all__ = ["Clock", "add_session", "make_instrument", "make_store"]

_PID = "FEI-Titan-TEM-012345"
_WAITING = (RecordStatus.WAITING_FOR_END, RecordStatus.TO_BE_BUILT)


class Clock:
    """A clock that stands still until it is told to move, for `Store(…, clock=…)`.

    Examples
    --------
    >>> clock = Clock()
    >>> clock.move(hours=6)
    >>> clock()
    datetime.datetime(2025, 6, 2, 18, 0, tzinfo=datetime.timezone.utc)
    """

    def __init__(self, now: datetime = datetime(2025, 6, 2, 12, tzinfo=UTC)) -> None:
        require_type("now", now, datetime)
        self.now = now

    def __call__(self) -> datetime:
        """Return the time it shows."""
        return self.now

    def move(self, **time: float) -> None:
        """Let some time pass; arguments as for `datetime.timedelta`."""
        self.now += timedelta(**time)


def make_instrument(pid: str = _PID, **values: Any) -> Instrument:
    """Return an instrument, ordinary where nothing else is said.

    Parameters
    ----------
    pid
        Its PID; `api_url` and `filestore_path` follow from it, so that two differ in both.
    values
        Other fields of `Instrument`.

    Examples
    --------
    >>> make_instrument("Zeiss-Leo", timezone_str="Europe/Berlin").filestore_path
    './Zeiss-Leo'
    """
    require_type("pid", pid, str)
    return Instrument.model_validate(
        {
            "instrument_pid": pid,
            "api_url": f"https://nemo.example.com/api/tools/?id={quote(pid)}",
            "calendar_url": "https://nemo.example.com/calendar/titan",
            "location": "Building 217, Room F101",
            "display_name": "Titan TEM",
            "property_tag": "012345",
            "filestore_path": f"./{pid}",
            **values,
        }
    )


def make_store(
    *instruments: Instrument,
    path: str | os.PathLike[str] = ":memory:",
    **options: Any,
) -> Store:
    """Open a new database that holds some instruments.

    Parameters
    ----------
    instruments
        By default one, `make_instrument()`.
    path
        A file to create, for tests with several processes or stores; by default the database is
        in memory, and gone when the store is closed.
    options
        As for `Store`: `clock`, `timeout` and the others.

    Examples
    --------
    >>> with make_store(make_instrument("A"), make_instrument("B")) as store:
    ...     [instrument.name for instrument in store.instruments.list()]
    ['A', 'B']
    """
    in_memory = as_path("path", path) == Path(":memory:")
    store = Store(path, **{"migrate": not in_memory, **options})
    store.instruments.store_many(instruments or (make_instrument(),))
    return store


def add_session(
    store: Store,
    session_identifier: str | None = None,
    *,
    instrument: str | Instrument | None = None,
    start: datetime | None = None,
    duration: timedelta = timedelta(hours=2, minutes=30),
    user: str | None = "ned",
    status: RecordStatus = RecordStatus.TO_BE_BUILT,
    uploads: Mapping[str, bool] | None = None,
) -> Session:
    """Store a session as a harvester and, if its record is built, a builder leave it.

    Parameters
    ----------
    session_identifier
        By default one that is not there yet.
    instrument
        By default the first there is.
    start
        A naive time is taken in the instrument's zone. By default each session is a day after the
        one before it.
    status
        In a status that only a builder sets, the session has a RECORD_GENERATION event too.
    uploads
        The destinations that the record was sent to, and whether it arrived.

    Examples
    --------
    >>> with make_store() as store:
    ...     first, second = add_session(store), add_session(store, user="alice")
    ...     [session.user for session in store.sessions.list_to_build()]
    ['ned', 'alice']
    """
    require_type("store", store, Store)
    require_type("duration", duration, timedelta)
    require_type("start", start, (datetime, NoneType))
    require_type("uploads", uploads, (Mapping, NoneType))
    if instrument is None:
        instrument = store.instruments.list()[0]
    number = 1 + store.session_logs.count() // 2
    while session_identifier is None:
        identifier = f"https://nemo.example.com/api/usage_events/?id={number}"
        if store.session_logs.list_for_session(identifier):
            number += 1
        else:
            session_identifier = identifier
    if start is None:
        start = datetime(2025, 1, 1, 9) + timedelta(days=number)  # noqa: DTZ001 -- local time
    with store.transaction():
        session = store.sessions.add(session_identifier, instrument, start, start + duration, user)
        if status not in _WAITING:
            store.sessions.record_generation(session)
        store.sessions.set_status(session_identifier, status)
        for destination, success in (uploads or {}).items():
            store.upload_logs.insert(
                UploadLog(
                    session_identifier=session_identifier,
                    destination_name=destination,
                    success=success,
                    error_message=None if success else "the destination did not answer",
                )
            )
    return session


if "pytest" in sys.modules:  # which imports this module, as a plugin
    import pytest

    @pytest.fixture
    def store() -> Iterator[Store]:
        """A store in memory with one instrument, `make_instrument()`."""
        with make_store() as store:
            yield store
