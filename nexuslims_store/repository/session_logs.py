"""The events of sessions."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import islice
from typing import Any

from nexuslims_store import queries
from nexuslims_store.arguments import member, require_type, require_valid, valid_items
from nexuslims_store.database import Row
from nexuslims_store.display import quoted
from nexuslims_store.enums import RecordStatus, StatusName
from nexuslims_store.errors import InvalidRowError
from nexuslims_store.models import SessionLog
from nexuslims_store.repository.base import Repository
from nexuslims_store.repository.instruments import unknown_instrument
from nexuslims_store.repository.rows import Dicts, RowMapper, completed
from nexuslims_store.repository.views import with_views
from nexuslims_store.results import InsertSummary
from nexuslims_store.times import instant, zone
from nexuslims_store.translation import ConstraintError

_SQL = queries.load("session_log.sql")
_INSTRUMENTS_SQL = queries.load("instruments.sql")


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

_AT_A_TIME = 256
_NOT_BUILT_YET = ("WAITING_FOR_END", "TO_BE_BUILT")

# The columns of an event, by name, as the statements take them.
_Columns = dict[str, Any]

_logger = logging.getLogger("nexuslims_store")


class SessionLogRepository(Repository):
    """`store.session_logs`: the rows of `session_log`.

    What is stored comes back as stored: an old row without an offset is a naive `timestamp`,
    the local time of its instrument. "In the order of time" means by instant, then by id.

    Examples
    --------
    >>> start = SessionLog(
    ...     session_identifier="1", instrument="Titan", event_type="START",
    ...     timestamp=datetime(2025, 7, 1, 8), user="alice",
    ... )
    >>> end = start.model_copy(
    ...     update={"event_type": EventType.END, "timestamp": datetime(2025, 7, 1, 11)}
    ... )
    >>> with make_store(make_instrument("Titan")) as store:
    ...     store.session_logs.insert(start).timestamp.isoformat()
    ...     store.session_logs.insert_many([start, end])
    ...     store.session_logs.get(2).event_type
    ...     [log.event_type.value for log in store.session_logs.list_for_session("1")]
    ...     len(store.session_logs.list_by_status("WAITING_FOR_END"))
    ...     [log.id_session_log for log in store.session_logs.iter_all()]
    ...     store.session_logs.remove(2)
    ...     store.session_logs.count()
    '2025-07-01T08:00:00-04:00'
    InsertSummary(inserted=1, updated=0, unchanged=1)
    <EventType.END: 'END'>
    ['START', 'END']
    2
    [1, 2]
    True
    1
    """

    _holds = "session logs"

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
        log = require_valid("log", log, SessionLog)
        event = self._columns(log)
        while True:
            # Most harvests find what the last one stored; that takes no write lock.
            stored = self._stored(event)
            if stored is None:
                row_id = self._inserted(event)
            elif stored[:-1] == tuple(event.values()) and event["record_status"] in _NOT_BUILT_YET:
                row_id = stored[-1]
            else:
                return self._corrected(event, stored) or _MAPPER.models([stored])[0]
            if row_id is not None:
                time = datetime.fromisoformat(event["timestamp"])  # as it will be read back
                return completed(log, timestamp=time, id_session_log=row_id)
            # another process was faster: look again

    def insert_many(self, logs: Iterable[SessionLog]) -> InsertSummary:
        """Store events as `insert` does, all or none, in one transaction.

        Parameters
        ----------
        logs
            Any iterable; it is read a few at a time, so that memory stays constant.
        """
        return self._insert_valid(valid_items("logs", logs, SessionLog))

    def get(self, id_session_log: int) -> SessionLog | None:
        """Return the row of an id, or None.

        Raises
        ------
        InvalidRowError
            The stored row is not a valid event (as with every method that returns rows).
        """
        require_type("id_session_log", id_session_log, int)
        return _MAPPER.first(
            self._database.rows(_SQL.get_session_log, {"id_session_log": id_session_log})
        )

    def list_for_session(self, session_identifier: str) -> list[SessionLog]:
        """Return all events of a session, in the order of time."""
        require_type("session_identifier", session_identifier, str)
        return _MAPPER.models(
            with_views(self._database).rows(
                _SQL.list_logs_of_session, {"session_identifier": session_identifier}
            )
        )

    def list_by_status(self, status: RecordStatus | StatusName) -> list[SessionLog]:
        """Return all events of a status, in the order of time."""
        status = member("status", status, RecordStatus)
        if status is RecordStatus.TO_BE_BUILT:
            return _MAPPER.models(with_views(self._database).rows(_SQL.list_logs_to_be_built))
        return _MAPPER.models(
            with_views(self._database).rows(
                _SQL.list_logs_by_status, {"record_status": status.value}
            )
        )

    def iter_all(self) -> Iterator[SessionLog]:
        """Yield all events in the order of time, in constant memory.

        Other programs cannot write to a database in rollback-journal mode (the default) before
        the iterator is used up or closed.
        """
        return _MAPPER.stream(with_views(self._database).stream(_SQL.list_all_logs))

    def count(self) -> int:
        """Return how many events are stored."""
        ((count,),) = self._database.rows(_SQL.count_session_logs)
        return int(count)

    def remove(self, id_session_log: int) -> bool:
        """Delete the row of an id; return whether there was one."""
        require_type("id_session_log", id_session_log, int)
        return (
            self._database.change(_SQL.remove_session_log, {"id_session_log": id_session_log}) > 0
        )

    def _insert_valid(self, logs: Iterator[SessionLog]) -> InsertSummary:
        """Do what `insert_many` does with events that were made just now, and are valid."""
        inserted = updated = unchanged = 0
        zones: dict[str, tzinfo] = {}
        with self._database.transaction():
            ((last_id,),) = self._database.rows(_SQL.get_last_id)
            while events := [self._columns(log, zones) for log in islice(logs, _AT_A_TIME)]:
                new = self._insert_all(events)
                # Those that were there may differ; the new ones do not.
                corrected = self._correct_all(events, last_id) if new < len(events) else 0
                inserted += new
                updated += corrected
                unchanged += len(events) - new - corrected
        return InsertSummary(inserted, updated, unchanged)

    def _columns(self, log: SessionLog, zones: dict[str, tzinfo] | None = None) -> _Columns:
        """Return what is stored of an event, its time with an offset.

        `zones` keeps the time zones of instruments between calls.
        """
        time = log.timestamp
        if time.utcoffset() is None:
            zones = {} if zones is None else zones
            if log.instrument not in zones:
                zones[log.instrument] = self._zone_of(log.instrument)
            time = time.replace(tzinfo=zones[log.instrument])
        return {
            "session_identifier": log.session_identifier,
            "instrument": log.instrument,
            "timestamp": time.isoformat(),
            # Of each event twice, and a third of the time of `.value`.
            "event_type": log.event_type._value_,
            "record_status": log.record_status._value_,
            "user": log.user,
        }

    def _zone_of(self, pid: str) -> tzinfo:
        rows = self._database.rows(_INSTRUMENTS_SQL.get_timezone, {"instrument_pid": pid})
        if not rows:
            raise unknown_instrument(pid)
        name = rows[0][0]
        try:
            return zone(name)
        except ValueError as error:
            raise InvalidRowError(
                f"instruments, row {pid!r}: timezone is {quoted(name)}, which is no IANA time "
                "zone, so a time without an offset has no meaning there; mend it with "
                "`nexuslims-store instruments update`",
                table="instruments",
                row_id=pid,
                column="timezone",
            ) from error

    def _inserted(self, event: _Columns) -> int | None:
        """Insert an event and return its id, None where it is there already."""
        try:
            rows = self._database.rows(_SQL.insert_event, event)
        except ConstraintError as error:
            if error.foreign_key:
                raise unknown_instrument(event["instrument"]) from error
            raise
        return int(rows[0][0]) if rows else None

    def _insert_all(self, events: Sequence[_Columns]) -> int:
        """Insert the events that are not there yet and return how many that were."""
        try:
            return self._database.change_many(_SQL.insert_events, events)
        except ConstraintError as error:
            for pid in dict.fromkeys(event["instrument"] for event in events):
                if not self._database.rows(_INSTRUMENTS_SQL.get_timezone, {"instrument_pid": pid}):
                    raise unknown_instrument(pid) from error
            raise

    def _correct_all(self, events: Iterable[_Columns], last_id: int) -> int:
        """Bring stored events up to date and return how many were changed.

        Rows after `last_id` are of the same call: nobody is warned that they are built already.
        """
        changed = 0
        for event in events:
            stored = self._stored(event)
            if stored is None or (stored[-1] > last_id and stored[4] not in _NOT_BUILT_YET):
                continue
            changed += self._corrected(event, stored) is not None
        return changed

    def _stored(self, event: _Columns) -> Row | None:
        """Return the newest row of the same event; a RECORD_GENERATION is the same as no other."""
        if event["event_type"] == "RECORD_GENERATION":
            return None
        rows = self._database.rows(_SQL.get_event, event)
        return rows[0] if rows else None

    def _corrected(self, event: _Columns, stored: Row) -> SessionLog | None:
        """Bring a stored event up to date; return the new row, None where nothing changed."""
        _, _, timestamp, _, status, user, row_id = stored
        stays = status == "TO_BE_BUILT" or status == event["record_status"] == "WAITING_FOR_END"
        if stays and (timestamp, user) == (event["timestamp"], event["user"]):
            return None
        names = (event["event_type"], event["session_identifier"], event["instrument"])
        about = {name: event[name] for name in ("session_identifier", "instrument")}
        if status not in _NOT_BUILT_YET:
            _logger.warning(
                "%s of session %r on %r is %r already (row %s), and stays as it is stored: time %s "
                "and user %r, as harvested now, change nothing",
                *names,
                status,
                row_id,
                event["timestamp"],
                event["user"],
                extra=about,
            )
            return None
        time = datetime.fromisoformat(event["timestamp"])
        rows = with_views(self._database).rows(
            _SQL.correct_event, {**event, "instant": instant(time)}
        )
        if rows:
            _logger.info(
                "%s of session %r on %r was corrected: %s by %r (row %s)",
                *names,
                event["timestamp"],
                event["user"],
                row_id,
                extra=about,
            )
        return _MAPPER.first(rows)
