"""Sessions that are to be built again, unless consent is missing or a builder is at work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from types import NoneType
from typing import Any

from nexuslims_store import queries
from nexuslims_store.arguments import members, require_type, texts
from nexuslims_store.enums import RecordStatus, StatusName
from nexuslims_store.errors import ClaimedError, ConsentError
from nexuslims_store.repository.claims import SessionClaims
from nexuslims_store.repository.overviews import Span, local_time
from nexuslims_store.repository.views import with_views
from nexuslims_store.results import ResetSummary
from nexuslims_store.times import aware

_SQL = queries.load("session_log.sql")

RETRIED = (RecordStatus.ERROR, RecordStatus.NO_FILES_FOUND, RecordStatus.BUILT_NOT_EXPORTED)
"""The statuses whose sessions may turn out better when they are built again."""

_WITHOUT_CONSENT = {RecordStatus.NO_CONSENT.value, RecordStatus.NO_RESERVATION.value}


class SessionResets(SessionClaims):
    """The part of `store.sessions` that has sessions built again."""

    def reset(
        self, session_identifier: str, statuses: Iterable[RecordStatus | StatusName] | None = None
    ) -> int:
        """Set a whole session, with START and END, to be built again: all its rows.

        Looked at, decided and written in one transaction. Where instruments share the identifier,
        the whole sessions of all of them, or none.

        Parameters
        ----------
        statuses
            Only from these statuses. A session without consent must be named so here:
            NO_CONSENT or NO_RESERVATION.

        Returns
        -------
        int
            How many rows were changed.

        Raises
        ------
        ConsentError
            A row of the session is in NO_CONSENT or NO_RESERVATION, and `statuses` does not name
            that one.
        ClaimedError
            The session is being built, and its claim has not run out.
        """
        require_type("session_identifier", session_identifier, str)
        chosen = None if statuses is None else _values(statuses)
        with self._database.transaction():
            changed = 0
            for start_id, status in with_views(self._database).rows(
                _SQL.list_whole_sessions, {"session_identifier": session_identifier}
            ):
                if chosen is not None and status not in chosen:
                    continue
                withheld = self._withheld(start_id, chosen or set())
                if withheld:
                    raise ConsentError(
                        f"the session {session_identifier!r} has a row in {withheld}, so it must "
                        "not be built without the user's consent; nothing was changed",
                        call=f"statuses=[…, {withheld!r}] resets it all the same",
                        command=f"give --status {withheld} to reset it all the same",
                    )
                if self._is_claimed(start_id):
                    raise ClaimedError(
                        f"the session {session_identifier!r} is being built now; nothing was "
                        "changed. Wait until its builder has finished, or for the claim to run out"
                    )
                changed += self._database.change(_SQL.reset_session, {"start_id": start_id})
        return changed

    def reset_between(
        self,
        start: datetime,
        end: datetime,
        statuses: Iterable[RecordStatus | StatusName] = RETRIED,
        *,
        ended_since: datetime | None = None,
        instruments: Iterable[str] | None = None,
    ) -> ResetSummary:
        """Set the sessions that start in a span of time to be built again.

        Only whole sessions, with START and END, all rows of each; looked at, decided and written
        in one transaction. A session of which any row is in NO_CONSENT or NO_RESERVATION is left
        alone unless `statuses` names that one, and one that is being built unless its claim has
        run out.

        Parameters
        ----------
        start, end
            As for `iter_between`.
        statuses
            The statuses to reset from; a session's is that of its newest START.
        ended_since
            Only sessions that ended from then on, or whose END cannot be read. A naive time is UTC.
        instruments
            Only sessions on instruments of these PIDs.

        Returns
        -------
        ResetSummary
            How many sessions were reset, and how many were left alone although `statuses` has
            theirs.
        """
        chosen = _values(statuses)
        require_type("ended_since", ended_since, (datetime, NoneType))
        ended = None if ended_since is None else aware(ended_since, UTC)
        on = None if instruments is None else set(texts("instruments", instruments))
        reset = without_consent = being_built = 0
        with self._database.transaction():
            # All are found before the first is changed.
            found = [
                row[2]
                for rows in self._rows_between(start, end)
                for row in rows
                if row[7] in chosen
                and (on is None or row[1] in on)
                and (ended is None or not _before(row, ended))
            ]
            for start_id in found:
                if self._withheld(start_id, chosen):
                    without_consent += 1
                elif self._is_claimed(start_id):
                    being_built += 1
                elif self._database.change(_SQL.reset_session, {"start_id": start_id}):
                    reset += 1
        return ResetSummary(reset, without_consent, being_built)

    def _rows_between(self, start: datetime, end: datetime) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of list_pairs_between that are of the span, some hundred at a time."""
        require_type("start", start, datetime)
        require_type("end", end, datetime)
        span = Span(start, end)
        bounds = {"earliest": span.earliest, "latest": span.latest}
        for rows in with_views(self._database).stream(_SQL.list_pairs_between, bounds):
            yield [row for row in rows if span.includes(*row[8:])]

    def _withheld(self, start_id: int, named: set[str]) -> str:
        """Return in which state without consent, but for those named, a row of a session is."""
        rows = self._database.rows(_SQL.list_statuses, {"start_id": start_id})
        return next(
            (status for (status,) in rows if status in _WITHOUT_CONSENT and status not in named), ""
        )


def _before(row: tuple[Any, ...], ended: datetime) -> bool:
    """Whether a row of list_pairs_between ended before a time."""
    end, timezone, began = row[5], *row[8:]
    time = local_time(end, timezone, began)
    return isinstance(time, datetime) and time < ended


def _values(statuses: Iterable[RecordStatus | StatusName]) -> set[str]:
    return {status.value for status in members("statuses", statuses, RecordStatus)}
