"""The events of sessions."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import islice

from nexuslims_store import queries
from nexuslims_store.connection import ConstraintError, Database, Row
from nexuslims_store.enums import EventType, RecordStatus
from nexuslims_store.errors import InvalidRowError
from nexuslims_store.models import InsertSummary, SessionLog
from nexuslims_store.repository.instruments import unknown_instrument
from nexuslims_store.repository.rows import Dicts, RowMapper
from nexuslims_store.times import instant, zone

__all__ = ["SessionLogRepository"]

_SQL = queries.load("session_log.sql")
_INSERT_EVENT = _SQL["insert_event"]
_INSERT_EVENTS = _SQL["insert_events"]
_CORRECT = _SQL["correct_event"]
_GET_EVENT = _SQL["get_event"]
_GET = _SQL["get_session_log"]
_LIST_OF_SESSION = _SQL["list_logs_of_session"]
_LIST_TO_BE_BUILT = _SQL["list_logs_to_be_built"]
_LIST_BY_STATUS = _SQL["list_logs_by_status"]
_LIST_ALL = _SQL["list_all_logs"]
_COUNT = _SQL["count_session_logs"]
_REMOVE = _SQL["remove_session_log"]
_GET_TIMEZONE = queries.load("instruments.sql")["get_timezone"]


def _as_dicts(rows: list[Row]) -> Dicts:
    return [
        {
            "session_identifier": session_identifier,
            "instrument": instrument,
            "timestamp": timestamp,
            "event_type": event_type,
            "record_status": record_status,
            "user": user,
            "id_session_log": id_session_log,
        }
        for (
            session_identifier,
            instrument,
            timestamp,
            event_type,
            record_status,
            user,
            id_session_log,
        ) in rows
    ]


_MAPPER = RowMapper(SessionLog, table="session_log", key="id_session_log", as_dicts=_as_dicts)

_LOGS_AT_A_TIME = 256
_NOT_BUILT_YET = (RecordStatus.WAITING_FOR_END, RecordStatus.TO_BE_BUILT)

_logger = logging.getLogger("nexuslims_store")


class SessionLogRepository:
    """`store.session_logs`: the rows of `session_log`.

    What is stored comes back as stored: an old row without an offset is a naive `timestamp`,
    the local time of its instrument. "In the order of time" means by instant, then by id.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, log: SessionLog) -> SessionLog:
        """Store an event, unless it is there already, and return the stored row.

        An event is the same if `session_identifier`, `instrument` and `event_type` are. Then,
        while no record was built (WAITING_FOR_END, TO_BE_BUILT), a new time or user replaces
        the stored one, since schedulers correct bookings, and WAITING_FOR_END becomes
        TO_BE_BUILT if the new event says so. In any other status nothing changes, and a warning
        is logged. RECORD_GENERATION events are always stored anew.

        Any number of processes that insert the same event leave one row.

        Parameters
        ----------
        log
            The event; its `id_session_log` is not looked at. A naive `timestamp` is taken in
            the instrument's zone and stored with its offset.

        Raises
        ------
        UnknownInstrumentError
            No instrument has the PID.

        Notes
        -----
        Mirrors `SessionLog.insert_log` of `nexusLIMS.db.models`, which updates only when the
        time differs, and checks and inserts in two steps.
        """
        log = log.model_copy(update={"timestamp": self._stored_time(log)})
        while True:
            # Most harvests find what the last one stored; that takes no write lock.
            stored = self._stored(log)
            if stored is None:
                inserted = self._inserted(log)
                if inserted is not None:
                    return inserted
                continue  # another process was faster
            corrected = self._corrected(log, stored)
            if corrected is not None:
                return corrected
            return _MAPPER.models([stored])[0]

    def insert_many(self, logs: Iterable[SessionLog]) -> InsertSummary:
        """Store events as `insert` does, all or none, in one transaction.

        Parameters
        ----------
        logs
            Any iterable; it is read a few at a time, so that memory stays constant.
        """
        inserted = updated = 0
        zones: dict[str, tzinfo] = {}
        total = 0
        remaining = iter(logs)
        with self._database.transaction():
            while chunk := [self._aware(log, zones) for log in islice(remaining, _LOGS_AT_A_TIME)]:
                new = self._insert_events(chunk)
                inserted += new
                total += len(chunk)
                if new < len(chunk):
                    # Those that were there are corrected; for the new ones nothing differs.
                    updated += sum(
                        stored is not None and self._corrected(log, stored) is not None
                        for log in chunk
                        for stored in (self._stored(log),)
                    )
        return InsertSummary(inserted, updated, total - inserted - updated)

    def get(self, id_session_log: int) -> SessionLog | None:
        """Return the row of an id, or None.

        Raises
        ------
        InvalidRowError
            The stored row is not a valid event (as with every method that returns rows).
        """
        return _MAPPER.first(self._database.rows(_GET, {"id_session_log": id_session_log}))

    def list_for_session(self, session_identifier: str) -> list[SessionLog]:
        """Return all events of a session, in the order of time."""
        return _MAPPER.models(
            self._database.rows(_LIST_OF_SESSION, {"session_identifier": session_identifier})
        )

    def list_by_status(self, status: RecordStatus | str) -> list[SessionLog]:
        """Return all events of a status, in the order of time."""
        status = RecordStatus(status)
        if status is RecordStatus.TO_BE_BUILT:
            return _MAPPER.models(self._database.rows(_LIST_TO_BE_BUILT))
        return _MAPPER.models(self._database.rows(_LIST_BY_STATUS, {"record_status": status.value}))

    def iter_all(self) -> Iterator[SessionLog]:
        """Yield all events in the order of time, in constant memory.

        Other programs cannot write to a database in rollback-journal mode (the default) before
        the iterator is used up or closed.
        """
        return _MAPPER.stream(self._database.stream(_LIST_ALL))

    def count(self) -> int:
        """Return how many events are stored."""
        ((count,),) = self._database.rows(_COUNT)
        return int(count)

    def remove(self, id_session_log: int) -> bool:
        """Delete the row of an id; return whether there was one."""
        return self._database.change(_REMOVE, {"id_session_log": id_session_log}) > 0

    def _stored_time(self, log: SessionLog, zones: dict[str, tzinfo] | None = None) -> datetime:
        """Return the event's time as it will be read back: with an offset and no zone's name."""
        time = log.timestamp
        if time.utcoffset() is None:
            naive_zone = zones.get(log.instrument) if zones is not None else None
            if naive_zone is None:
                naive_zone = self._zone_of(log.instrument)
                if zones is not None:
                    zones[log.instrument] = naive_zone
            time = time.replace(tzinfo=naive_zone)
        return datetime.fromisoformat(time.isoformat())

    def _zone_of(self, pid: str) -> tzinfo:
        rows = self._database.rows(_GET_TIMEZONE, {"instrument_pid": pid})
        if not rows:
            raise unknown_instrument(pid)
        name = rows[0][0]
        try:
            return zone(name)
        except ValueError as error:
            raise InvalidRowError(
                f"instruments, row {pid!r}: timezone is {name!r}, which is no IANA time zone, so "
                "a time without an offset has no meaning there; mend it with "
                "`nexuslims-store instruments update`",
                table="instruments",
                row_id=pid,
                column="timezone",
            ) from error

    def _aware(self, log: SessionLog, zones: dict[str, tzinfo]) -> SessionLog:
        """Return the event with an offset in its time."""
        if log.timestamp.utcoffset() is not None:
            return log
        return log.model_copy(update={"timestamp": self._stored_time(log, zones)})

    def _inserted(self, log: SessionLog) -> SessionLog | None:
        """Insert an event and return it with its id, None where it was there already."""
        try:
            rows = self._database.rows(_INSERT_EVENT, _values(log))
        except ConstraintError as error:
            if error.foreign_key:
                raise unknown_instrument(log.instrument) from error
            raise
        return log.model_copy(update={"id_session_log": int(rows[0][0])}) if rows else None

    def _insert_events(self, logs: Sequence[SessionLog]) -> int:
        """Insert the events that are not there yet and return how many that were."""
        try:
            return self._database.change_many(_INSERT_EVENTS, map(_values, logs))
        except ConstraintError as error:
            for pid in dict.fromkeys(log.instrument for log in logs):
                if not self._database.rows(_GET_TIMEZONE, {"instrument_pid": pid}):
                    raise unknown_instrument(pid) from error
            raise

    def _stored(self, log: SessionLog) -> tuple[object, ...] | None:
        """Return the newest row of the same event; a RECORD_GENERATION is the same as no other."""
        if log.event_type is EventType.RECORD_GENERATION:
            return None
        rows = self._database.rows(
            _GET_EVENT,
            {
                "session_identifier": log.session_identifier,
                "instrument": log.instrument,
                "event_type": log.event_type.value,
            },
        )
        return rows[0] if rows else None

    def _corrected(self, log: SessionLog, stored: tuple[object, ...]) -> SessionLog | None:
        """Bring a stored event up to date; return the new row, None where nothing changed."""
        _, _, timestamp, _, status, user, row_id = stored
        if (
            timestamp == log.timestamp.isoformat()
            and user == log.user
            and (status == log.record_status.value or status != RecordStatus.WAITING_FOR_END)
        ):
            return None
        if status not in _NOT_BUILT_YET:
            _logger.warning(
                "%s of session %s on %s is %s already (row %s): time %s and user %r, as "
                "harvested now, are not stored",
                log.event_type.value,
                log.session_identifier,
                log.instrument,
                status,
                row_id,
                log.timestamp.isoformat(),
                log.user,
            )
            return None
        rows = self._database.rows(_CORRECT, {**_values(log), "instant": instant(log.timestamp)})
        if rows:
            _logger.info(
                "%s of session %s on %s was corrected: %s by %r (row %s)",
                log.event_type.value,
                log.session_identifier,
                log.instrument,
                log.timestamp.isoformat(),
                log.user,
                row_id,
            )
        return _MAPPER.first(rows)


def _values(log: SessionLog) -> dict[str, object]:
    """Return the columns of a row; `timestamp` must have an offset."""
    return {
        "session_identifier": log.session_identifier,
        "instrument": log.instrument,
        "timestamp": log.timestamp.isoformat(),
        "event_type": log.event_type.value,
        "record_status": log.record_status.value,
        "user": log.user,
    }
