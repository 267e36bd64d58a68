"""START and END make a session: the rows of the pairs statements, and what is odd about some."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nexuslims_store.display import quoted
from nexuslims_store.errors import InvalidRowError, StoreError
from nexuslims_store.models import Instrument, Session, SessionLog
from nexuslims_store.refusals import why_refused
from nexuslims_store.repository.instruments import InstrumentRepository
from nexuslims_store.repository.rows import SharedFieldsSet, assemble, column_types, row_adapter
from nexuslims_store.results import UnpairedSession

PairRow = tuple[Any, ...]

_AT_A_TIME = 256
_FIELDS_SET = SharedFieldsSet(Session.model_fields)

_logger = logging.getLogger("nexuslims_store")


class Pairing:
    """Makes sessions of pairs of rows; reads each instrument once.

    Attributes
    ----------
    invalid_row
        The error of the last pair, where a stored row was at fault.
    """

    def __init__(self, instruments: InstrumentRepository) -> None:
        self._instruments = instruments
        self._known: dict[str, Instrument | InvalidRowError | None] = {}
        self.invalid_row: InvalidRowError | None = None

    def pairs(self, rows: list[PairRow]) -> Iterator[Session | UnpairedSession]:
        """Yield what `pair` returns for each row, in a third of the time where nothing is odd."""
        if not self._known and rows:
            # All in one statement; where one is not valid, each one when it is needed.
            with suppress(InvalidRowError):
                self._known.update(self._instruments.as_dict())
        for first in range(0, len(rows), _AT_A_TIME):
            some = rows[first : first + _AT_A_TIME]
            # One odd row sends its neighbours the slow way too, and only those.
            yield from self._ordinary(some) or map(self.pair, some)

    def _ordinary(self, rows: list[PairRow]) -> list[Session] | None:
        """Return the sessions of rows, or None where one is not ordinary: whole and aware."""
        try:
            validated = _pair_adapter().validate_python(rows)
        except ValidationError:
            return None
        dicts = []
        for identifier, pid, _, _, dt_from, dt_to, user in validated:
            instrument = self._instrument(pid)
            if (
                not isinstance(instrument, Instrument)
                or dt_from.tzinfo is None
                or dt_to.tzinfo is None
                or dt_to < dt_from
            ):
                return None
            dicts.append(
                {
                    "session_identifier": identifier,
                    "instrument": instrument,
                    "dt_from": dt_from,
                    "dt_to": dt_to,
                    "user": user,
                }
            )
        return assemble(Session, dicts, _FIELDS_SET)

    def pair(self, row: PairRow) -> Session | UnpairedSession:
        """Return the session of one row of a pairs statement, or what keeps it from being one."""
        identifier, pid, start_id, end_id, start_timestamp, end_timestamp, user = row
        self.invalid_row = None
        if start_id is None or end_id is None:
            missing = "an END without a START" if start_id is None else "a START without an END"
            return UnpairedSession(identifier, pid, start_id, end_id, missing)
        instrument = self._instrument(pid)
        if not isinstance(instrument, Instrument):
            odd = UnpairedSession(identifier, pid, start_id, end_id, "an unknown instrument")
            if instrument is None:
                return self._invalid(odd, start_id, "instrument")
            self.invalid_row = instrument
            return replace(odd, reason=f"an instrument that is not valid: {instrument.problem}")
        try:
            return Session(
                session_identifier=identifier,
                instrument=instrument,
                dt_from=start_timestamp,
                dt_to=end_timestamp,
                user=user,
            )
        except ValidationError as error:
            return self._refused(row, error)

    def _refused(self, row: PairRow, error: ValidationError) -> UnpairedSession:
        """Say why `Session` refused a pair."""
        identifier, pid, start_id, end_id, start_timestamp, end_timestamp, _ = row
        first = error.errors(include_url=False, include_context=False)[0]
        before = f"an END before its START: {quoted(start_timestamp)} to {quoted(end_timestamp)}"
        odd = UnpairedSession(identifier, pid, start_id, end_id, before)
        match first["loc"]:
            case ("dt_from",):
                reason = f"an unreadable time of the START: {quoted(start_timestamp)}"
                return self._invalid(replace(odd, reason=reason), start_id, "timestamp")
            case ("dt_to",):
                reason = f"an unreadable time of the END: {quoted(end_timestamp)}"
                return self._invalid(replace(odd, reason=reason), end_id, "timestamp")
            case (str(column),):
                reason = f"a {column} that is not valid: {why_refused(first, column)}"
                return self._invalid(replace(odd, reason=reason), start_id, column)
            case _:  # no single field: the order of the two
                return odd

    def _instrument(self, pid: str) -> Instrument | InvalidRowError | None:
        if pid not in self._known:
            try:
                # A stored BLOB is no PID.
                self._known[pid] = self._instruments.get(pid) if isinstance(pid, str) else None
            except InvalidRowError as error:
                self._known[pid] = error
            except StoreError as error:
                # A PID that is not even UTF-8 cannot be looked up.
                if not isinstance(error.__cause__, UnicodeEncodeError):
                    raise
                self._known[pid] = None
        return self._known[pid]

    def _invalid(self, odd: UnpairedSession, row_id: int, column: str) -> UnpairedSession:
        self.invalid_row = InvalidRowError(
            f"session_log, row {row_id}: {odd.reason}; see `nexuslims-store doctor`",
            table="session_log",
            row_id=row_id,
            column=column,
        )
        return odd


@cache
def _pair_adapter() -> TypeAdapter[list[PairRow]]:
    """Return what validates the rows of ordinary pairs; built when the first is read."""
    columns = column_types(SessionLog)
    time = columns["timestamp"]
    return row_adapter(
        (
            columns["session_identifier"],
            columns["instrument"],
            int,  # None where START or END is missing
            int,
            time,
            time,
            columns["user"],
        )
    )


def warn(odd: UnpairedSession) -> None:
    """Say in the log which events make no session, and why."""
    # %r, because what is stored may be no text that a log file can hold.
    _logger.warning(
        "session %r on %r cannot be built: %s (rows %s and %s)",
        odd.session_identifier,
        odd.instrument,
        odd.reason,
        odd.start_id,
        odd.end_id,
        extra={"session_identifier": odd.session_identifier, "instrument": odd.instrument},
    )
