"""The attempts to export records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from types import NoneType
from typing import Literal

from nexuslims_store import queries
from nexuslims_store.arguments import (
    require_choice,
    require_limit,
    require_type,
    require_valid,
    texts,
    valid_items,
)
from nexuslims_store.database import Database, Row
from nexuslims_store.models import UploadLog
from nexuslims_store.repository.base import Repository
from nexuslims_store.repository.rows import RowMapper, completed
from nexuslims_store.repository.views import with_views
from nexuslims_store.times import aware, instant, utc_now

_SQL = queries.load("upload_log.sql")

_MAPPER = RowMapper(UploadLog, table="upload_log", key="id")

_DESTINATION, _SUCCESS = map(list(UploadLog.model_fields).index, ("destination_name", "success"))

Strategy = Literal["all", "first_success", "best_effort"]


class UploadLogRepository(Repository):
    """`store.upload_logs`: the rows of `upload_log`.

    Examples
    --------
    >>> def attempt(destination, **values):
    ...     return UploadLog(session_identifier="1", destination_name=destination, **values)
    >>> with make_store() as store:
    ...     store.upload_logs.insert(attempt("cdcs", success=True, record_id="42")).id
    ...     tried = [attempt("eln", success=True), attempt("eln", success=False)]
    ...     [log.id for log in store.upload_logs.insert_many(tried)]
    ...     len(store.upload_logs.list_for_session("1"))
    ...     {name: log.id for name, log in store.upload_logs.latest("1").items()}
    ...     [log.destination_name for log in store.upload_logs.list_failed()]
    ...     store.upload_logs.count_failed()
    ...     store.upload_logs.was_exported("1"), store.upload_logs.was_exported("1", "best_effort")
    ...     [log.record_id for log in store.upload_logs.iter_between(destinations=["cdcs"])]
    1
    [2, 3]
    3
    {'cdcs': 1, 'eln': 3}
    ['eln']
    {'eln': 1}
    (False, True)
    ['42']
    """

    _holds = "upload logs"

    def __init__(self, database: Database, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(database)
        self._clock = clock

    def insert(self, log: UploadLog) -> UploadLog:
        """Store one attempt and return it as stored, with its id.

        A naive `timestamp` is taken as UTC. One that was not given is that of the store's clock,
        if it has one of its own.
        """
        return self._insert(require_valid("log", log, UploadLog), log.model_fields_set)

    def insert_many(self, logs: Iterable[UploadLog]) -> list[UploadLog]:
        """Store attempts, all or none, in one transaction, and return them as stored."""
        with self._database.transaction():
            return [
                self._insert(log, log.model_fields_set)
                for log in valid_items("logs", logs, UploadLog)
            ]

    def _insert(self, log: UploadLog, given: set[str]) -> UploadLog:
        """Store a valid attempt that is nobody else's; `given` are the fields that were set."""
        time = log.timestamp
        if self._clock is not utc_now and "timestamp" not in given:
            time = self._clock()
        timestamp = aware(time, UTC).isoformat()
        values = {
            "session_identifier": log.session_identifier,
            "destination_name": log.destination_name,
            "success": log.success,
            "timestamp": timestamp,
            "record_id": log.record_id,
            "record_url": log.record_url,
            "error_message": log.error_message,
            "metadata_json": log.metadata_json,
        }
        ((row_id,),) = self._database.rows(_SQL.insert_upload_log, values)
        # As it will be read back: with an offset and no zone's name.
        return completed(log, timestamp=datetime.fromisoformat(timestamp), id=row_id)

    def list_for_session(self, session_identifier: str) -> list[UploadLog]:
        """Return all attempts for a session, in the order of time."""
        return _MAPPER.models(self._rows_of(session_identifier))

    def iter_between(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        session_identifiers: Iterable[str] | None = None,
        destinations: Iterable[str] | None = None,
        limit: int | None = None,
    ) -> Iterator[UploadLog]:
        """Yield attempts in the order of time.

        Parameters
        ----------
        start, end
            The span: `start` belongs to it, `end` does not; None leaves that side open, and a
            naive time is taken as UTC.
        session_identifiers, destinations
            Only attempts of one of these.
        limit
            Only that many, the latest.
        """
        require_type("start", start, (datetime, NoneType))
        require_type("end", end, (datetime, NoneType))
        require_limit(limit)
        if session_identifiers is not None:
            logs = self._stream_for_sessions(texts("session_identifiers", session_identifiers))
        elif limit is not None and (start, end, destinations) == (None,) * 3:
            latest_of_all = self._database.stream(_SQL.list_latest_uploads, {"number": limit})
            logs = _MAPPER.stream(latest_of_all)
        else:
            logs = _MAPPER.stream(self._database.stream(_SQL.list_all_uploads))
        wanted = None if destinations is None else set(texts("destinations", destinations))
        earliest = None if start is None else aware(start, UTC)
        latest = None if end is None else aware(end, UTC)
        with closing(logs):
            chosen = (
                log
                for log in logs
                if (wanted is None or log.destination_name in wanted)
                and (earliest is None or aware(log.timestamp, UTC) >= earliest)
                and (latest is None or aware(log.timestamp, UTC) < latest)
            )
            yield from chosen if limit is None else deque(chosen, maxlen=limit)

    def _stream_for_sessions(self, session_identifiers: Iterable[str]) -> Generator[UploadLog]:
        found = [
            log
            for identifier in set(session_identifiers)
            for log in self.list_for_session(identifier)
        ]
        yield from sorted(found, key=lambda log: (instant(aware(log.timestamp, UTC)), log.id))

    def latest(self, session_identifier: str) -> dict[str, UploadLog]:
        """Return the latest attempt for a session at each destination."""
        latest = _MAPPER.models(self._latest(session_identifier))
        return {log.destination_name: log for log in latest}

    def _rows_of(self, session_identifier: str) -> list[Row]:
        require_type("session_identifier", session_identifier, str)
        return self._database.rows(
            _SQL.list_uploads_of_session, {"session_identifier": session_identifier}
        )

    def _latest(self, session_identifier: str) -> list[Row]:
        """Return the latest attempt at each destination, in the order of their names."""
        # In the order of time, so that the last of each is what stays.
        latest = {row[_DESTINATION]: row for row in self._rows_of(session_identifier)}
        return [latest[destination] for destination in sorted(latest, key=str)]

    def list_failed(self) -> list[UploadLog]:
        """Return the latest attempt of each session and destination where that one failed."""
        return _MAPPER.models(with_views(self._database).rows(_SQL.list_failed_uploads))

    def count_failed(self) -> dict[str, int]:
        """Return, for each destination, how many sessions `list_failed` has there."""
        return dict(with_views(self._database).rows(_SQL.count_failed_uploads))

    def was_exported(self, session_identifier: str, strategy: Strategy = "all") -> bool:
        """Return whether a session's record is where it should be.

        Parameters
        ----------
        strategy
            NexusLIMS's export strategies: "all" wants success at every destination that was
            tried, "first_success" and "best_effort" at one of them. What counts for a
            destination is its latest attempt. Without any attempt it is False.

        Raises
        ------
        InvalidValueError
            There is no such strategy.
        """
        require_choice("strategy", strategy, Strategy)
        successes = [row[_SUCCESS] == 1 for row in self._latest(session_identifier)]
        return bool(successes) and (all if strategy == "all" else any)(successes)
