"""What `nexusLIMS.db.session_handler` has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from nexuslims_store import models
from nexuslims_store.arguments import items
from nexuslims_store.compat.models import Instrument, SessionLog
from nexuslims_store.enums import EventType, RecordStatus
from nexuslims_store.errors import UnknownInstrumentError
from nexuslims_store.store import Store


class Session:
    """As `nexusLIMS.db.session_handler.Session`.

    Parameters
    ----------
    session_identifier, user
        As in `SessionLog`.
    instrument
        The instrument; None where it is not known.
    dt_range
        START and END. Naive ones are given the instrument's zone, as everywhere in this
        package.

    Attributes
    ----------
    dt_from, dt_to
        START and END. Like the other attributes they can be set.
    """

    def __init__(
        self,
        session_identifier: str,
        instrument: models.Instrument | None,
        dt_range: tuple[datetime, datetime],
        user: str | None,
    ) -> None:
        self.session_identifier = session_identifier
        self.instrument = instrument
        self.dt_from, self.dt_to = items("dt_range", dt_range, datetime)
        self.user = user
        if instrument is not None and None in (self.dt_from.tzinfo, self.dt_to.tzinfo):
            localized = models.Session(
                session_identifier=session_identifier,
                instrument=instrument,
                dt_from=self.dt_from,
                dt_to=self.dt_to,
                user=user,
            )
            self.dt_from, self.dt_to = localized.dt_from, localized.dt_to

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

        Raises
        ------
        UnknownInstrumentError
            The session's instrument is None, or not in the database.
        """
        if self.instrument is None:
            raise UnknownInstrumentError(
                f"the session {self.session_identifier!r} has no instrument, so no event of it can "
                "be stored; set its `instrument` first"
            )
        event = models.SessionLog(
            session_identifier=self.session_identifier,
            instrument=self.instrument.instrument_pid,
            timestamp=datetime.now(UTC).astimezone(self.instrument.timezone),
            event_type=EventType.RECORD_GENERATION,
            user="nexuslims",
        )
        with Store() as store:
            log = store.session_logs.insert(event)
        return {
            "id_session_log": log.id_session_log,
            "event_type": log.event_type.value,
            "session_identifier": log.session_identifier,
            "timestamp": log.timestamp,
        }

    def __repr__(self) -> str:
        where = "an unknown instrument" if self.instrument is None else self.instrument.name
        return f"{self.dt_from.isoformat()} to {self.dt_to.isoformat()} on {where}"


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
