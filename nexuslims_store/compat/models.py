"""What `nexusLIMS.db.models` has."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict

from nexuslims_store import models
from nexuslims_store.arguments import member, require_type
from nexuslims_store.compat.timezone import InstrumentTimezone
from nexuslims_store.enums import ExternalSystem, RecordStatus
from nexuslims_store.errors import InvalidRowError
from nexuslims_store.store import Store

_logger = logging.getLogger("nexuslims_store")

# Of an event in any other status the store itself warns.
_NOT_BUILT_YET = (RecordStatus.WAITING_FOR_END, RecordStatus.TO_BE_BUILT)


class _Compatible(BaseModel):
    """What NexusLIMS's models have: each can be made of what is stored, and be changed.

    That it can be changed each says itself, where type checkers look for it.
    """

    @classmethod
    def _of(cls, stored: BaseModel) -> Self:
        return cls.model_validate(stored.model_dump())


class Instrument(models.Instrument, _Compatible):
    """As `nexusLIMS.db.models.Instrument`."""

    model_config = ConfigDict(frozen=False, validate_assignment=True)

    @property
    def timezone(self) -> InstrumentTimezone:
        """The time zone: a `zoneinfo.ZoneInfo` with pytz's methods."""
        return InstrumentTimezone(self.timezone_str)

    def localize_datetime(self, dt: datetime) -> datetime:
        """Return a time in the instrument's zone.

        Parameters
        ----------
        dt
            A naive time is taken to be in the instrument's zone already; an aware one is
            converted. In the hour that the end of summer time repeats, a naive time is the
            second of the two, as with NexusLIMS. (The rest of this package, what is stored
            included, takes the first unless the `fold` is 1.)
        """
        require_type("dt", dt, datetime)
        if dt.tzinfo is None:
            return self.timezone.localize(dt)
        return dt.astimezone(self.timezone)

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

        An event that is there already is worth a warning, as with NexusLIMS.

        Returns
        -------
        bool
            True. What stands in the way is an error.
        """
        with Store() as store:
            known = _known(store, self.session_identifier)
            stored = store.session_logs.insert(self)
        before = known.get(stored.id_session_log)
        if before == stored and stored.record_status in _NOT_BUILT_YET:
            _logger.warning("SessionLog already exists: %r", stored)
        elif before is not None and before != stored:
            _logger.warning("Updating existing SessionLog timestamp: %r; now %r", before, stored)
        self.id_session_log = stored.id_session_log
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


def _known(store: Store, session_identifier: str) -> dict[int | None, models.SessionLog]:
    """Return the events of a session that are stored, by the ids of their rows."""
    try:
        logs = store.session_logs.list_for_session(session_identifier)
    except InvalidRowError:
        # Only warnings are at stake; whether an event can be stored is for `insert` to say.
        return {}
    return {log.id_session_log: log for log in logs}


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


def get_external_id(nexuslims_username: str, external_system: ExternalSystem) -> str | None:
    """Return a user's identifier in a system, or None."""
    require_type("nexuslims_username", nexuslims_username, str)
    external_system = member("external_system", external_system, ExternalSystem)
    with Store() as store:
        return store.external_ids.get(nexuslims_username, external_system)


def get_nexuslims_username(external_id: str, external_system: ExternalSystem) -> str | None:
    """Return the user behind a system's identifier, or None."""
    external_system = member("external_system", external_system, ExternalSystem)
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
    require_type("nexuslims_username", nexuslims_username, str)
    external_system = member("external_system", external_system, ExternalSystem)
    with Store() as store:
        stored = store.external_ids.store(
            nexuslims_username, external_system, external_id, email or None, notes or None
        )
    return ExternalUserIdentifier._of(stored)


def get_all_external_ids(nexuslims_username: str) -> dict[str, str]:
    """Return a user's identifiers by the name of the system ("nemo", …)."""
    require_type("nexuslims_username", nexuslims_username, str)
    with Store() as store:
        found = store.external_ids.all_for(nexuslims_username)
    return {system.value: external_id for system, external_id in found.items()}
