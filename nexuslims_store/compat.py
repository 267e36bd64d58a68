"""NexusLIMS's own names, for scripts written against NexusLIMS.

Such a script changes its import lines only::

    from nexuslims_store.compat import EventType, RecordStatus, SessionLog, get_sessions_to_build

in place of the names' homes in NexusLIMS (`nexusLIMS.db.models`, `.db.enums`,
`.db.session_handler`, `nexusLIMS.instruments`). Everything works on the database of
`nexuslims_store.default_path()`, which is asked for with every call: nothing is cached, so a
lock or a change of `NX_DB_PATH` leaves nothing wrong behind, and any thread may call.

Where NexusLIMS is wrong the behaviour here is the right one: bad values are refused, events are
inserted exactly once, odd events are not in the way of other sessions, a lock is waited for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from nexuslims_store import models
from nexuslims_store.enums import EventType, ExternalSystem, RecordStatus
from nexuslims_store.store import Store

__all__ = [
    "EventType",
    "ExternalSystem",
    "ExternalUserIdentifier",
    "Instrument",
    "RecordStatus",
    "Session",
    "SessionLog",
    "UploadLog",
    "get_all_external_ids",
    "get_all_session_logs",
    "get_external_id",
    "get_instr_from_api_url",
    "get_instr_from_filepath",
    "get_nexuslims_username",
    "get_sessions_to_build",
    "instrument_db",
    "store_external_id",
]


class _Compatible(BaseModel):
    """What NexusLIMS's models have and the store's have not: they can be changed."""

    model_config = ConfigDict(frozen=False, validate_assignment=True)

    @classmethod
    def _of(cls, stored: BaseModel) -> Self:
        return cls.model_validate(stored.model_dump())


class Instrument(models.Instrument, _Compatible):
    """As `nexusLIMS.db.models.Instrument`; `timezone` is a `zoneinfo.ZoneInfo`."""

    model_config = ConfigDict(frozen=False, validate_assignment=True)

    def __repr__(self) -> str:
        return (
            f"Nexus Instrument: {self.name}\n"
            f"API url:          {self.api_url}\n"
            f"Calendar url:     {self.calendar_url}\n"
            f"Display name:     {self.display_name}\n"
            f"Location:         {self.location}\n"
            f"Property tag:     {self.property_tag}\n"
            f"Filestore path:   {self.filestore_path}\n"
            f"Harvester:        {self.harvester}\n"
            f"Timezone:         {self.timezone_str}"
        )

    def __str__(self) -> str:
        return super().__str__() if self.location else ""


class SessionLog(models.SessionLog, _Compatible):
    """As `nexusLIMS.db.models.SessionLog`."""

    model_config = ConfigDict(frozen=False, validate_assignment=True)

    @property
    def instrument_obj(self) -> Instrument | None:
        """The instrument of this event, None where it is not known."""
        with Store() as store:
            found = store.instruments.get(self.instrument)
        return None if found is None else Instrument._of(found)

    def insert_log(self) -> bool:
        """Store this event unless it is there already (see `session_logs.insert`).

        Returns
        -------
        bool
            True. What stands in the way is an error.
        """
        with Store() as store:
            self.id_session_log = store.session_logs.insert(self).id_session_log
        return True

    def __repr__(self) -> str:
        return (
            f"SessionLog (id={self.session_identifier}, "
            f"instrument={self.instrument}, "
            f"timestamp={self.timestamp}, "
            f"event_type={self.event_type.value}, "
            f"user={self.user}, "
            f"record_status={self.record_status.value})"
        )


class UploadLog(models.UploadLog, _Compatible):
    """As `nexusLIMS.db.models.UploadLog`."""

    model_config = ConfigDict(frozen=False, validate_assignment=True)

    def __repr__(self) -> str:
        return (
            f"UploadLog (session={self.session_identifier}, "
            f"destination={self.destination_name}, "
            f"status={'SUCCESS' if self.success else 'FAILED'}, "
            f"timestamp={self.timestamp})"
        )


class ExternalUserIdentifier(models.ExternalUserIdentifier, _Compatible):
    """As `nexusLIMS.db.models.ExternalUserIdentifier`; `external_system` is a plain text."""

    model_config = ConfigDict(frozen=False, validate_assignment=True, use_enum_values=True)

    def __repr__(self) -> str:
        return (
            f"ExternalUserIdentifier (username={self.nexuslims_username}, "
            f"system={self.external_system}, "
            f"external_id={self.external_id})"
        )


class Session(models.Session):
    """As `nexusLIMS.db.session_handler.Session`."""

    def __init__(
        self,
        session_identifier: str,
        instrument: models.Instrument,
        dt_range: tuple[datetime, datetime],
        user: str | None,
    ) -> None:
        dt_from, dt_to = dt_range
        super().__init__(
            session_identifier=session_identifier,
            instrument=instrument,
            dt_from=dt_from,
            dt_to=dt_to,
            user=user,
        )

    def update_session_status(self, status: RecordStatus) -> bool:
        """Set the status of all the session's rows; return True."""
        with Store() as store:
            store.sessions.set_status(self.session_identifier, status)
        return True

    def insert_record_generation_event(self) -> dict[str, Any]:
        """Store that a record is being built now.

        Returns
        -------
        dict
            `id_session_log`, `event_type` (a text), `session_identifier` and `timestamp` of
            the new row.
        """
        with Store() as store:
            log = store.sessions.record_generation(self)
        return {
            "id_session_log": log.id_session_log,
            "event_type": log.event_type.value,
            "session_identifier": log.session_identifier,
            "timestamp": log.timestamp,
        }

    def __repr__(self) -> str:
        return f"{self.dt_from.isoformat()} to {self.dt_to.isoformat()} on {self.instrument.name}"

    __str__ = __repr__


def get_sessions_to_build() -> list[Session]:
    """Return the sessions whose START and END are TO_BE_BUILT, in the order of time."""
    with Store() as store:
        return [
            Session(
                session_identifier=found.session_identifier,
                instrument=Instrument._of(found.instrument),
                dt_range=(found.dt_from, found.dt_to),
                user=found.user,
            )
            for found in store.sessions.list_to_build()
        ]


def get_all_session_logs() -> list[SessionLog]:
    """Return all events in the order of time."""
    with Store() as store:
        return [SessionLog._of(log) for log in store.session_logs.iter_all()]


def get_external_id(nexuslims_username: str, external_system: ExternalSystem) -> str | None:
    """Return a user's identifier in a system, or None."""
    with Store() as store:
        return store.external_ids.get(nexuslims_username, external_system)


def get_nexuslims_username(external_id: str, external_system: ExternalSystem) -> str | None:
    """Return the user behind a system's identifier, or None."""
    with Store() as store:
        return store.external_ids.find_username(external_id, external_system)


def store_external_id(
    nexuslims_username: str,
    external_system: ExternalSystem,
    external_id: str,
    email: str | None = None,
    notes: str | None = None,
) -> ExternalUserIdentifier:
    """Store or replace a user's identifier in a system and return the stored row.

    An `email` or `notes` that is None or empty leaves the stored one as it is.
    """
    with Store() as store:
        stored = store.external_ids.store(
            nexuslims_username, external_system, external_id, email or None, notes or None
        )
    return ExternalUserIdentifier._of(stored)


def get_all_external_ids(nexuslims_username: str) -> dict[str, str]:
    """Return a user's identifiers by the name of the system ("nemo", …)."""
    with Store() as store:
        found = store.external_ids.all_for(nexuslims_username)
    return {system.value: external_id for system, external_id in found.items()}


class _InstrumentDb(Mapping[str, Instrument]):
    """All instruments by PID, as they are in the database at the time of asking."""

    def __getitem__(self, pid: str) -> Instrument:
        with Store() as store:
            found = store.instruments.get(pid)
        if found is None:
            raise KeyError(pid)
        return Instrument._of(found)

    def __iter__(self) -> Iterator[str]:
        with Store() as store:
            return iter(store.instruments.as_dict())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


instrument_db: Mapping[str, Instrument] = _InstrumentDb()


def get_instr_from_filepath(path: str | os.PathLike[str]) -> Instrument | None:
    """Return the instrument whose data folder a file lies in, or None.

    The folders are relative to the environment variable `NX_INSTRUMENT_DATA_PATH`.
    """
    with Store() as store:
        found = store.instruments.find_by_path(path)
    return None if found is None else Instrument._of(found)


def get_instr_from_api_url(api_url: str) -> Instrument | None:
    """Return the instrument whose `api_url` is exactly this one, or None."""
    with Store() as store:
        found = store.instruments.get_by_api_url(api_url)
    return None if found is None else Instrument._of(found)
