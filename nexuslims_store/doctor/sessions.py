"""What the rows say together: events, sessions, uploads and claims that do not fit.

What needs more than one row is asked of a copy of the columns that count, made while the rows are
read lot by lot: the file itself is never kept from writers for a question about a whole table. The
copy is a temporary database of SQLite's own, in memory as far as its cache goes.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from nexuslims_store import queries
from nexuslims_store.database import Database
from nexuslims_store.display import quoted
from nexuslims_store.doctor.finding import Finding, in_command
from nexuslims_store.doctor.rows import Row
from nexuslims_store.enums import EventType, RecordStatus
from nexuslims_store.errors import StoreError
from nexuslims_store.models import Instrument
from nexuslims_store.refusals import is_utf_8
from nexuslims_store.repository import SessionRepository
from nexuslims_store.results import CLOCK_SKEW, LEASE
from nexuslims_store.times import instant, stored_instant
from nexuslims_store.translation import translated

_SQL = queries.load("doctor.sql")

_TEMPORARY_FILE = Path("SQLite's temporary file")  # what to call it in an error
_FAR_AHEAD = timedelta(days=365)
_EVENTS = frozenset(EventType)
# Asked of each event: to look up a member takes Python 3.11 five times as long as to compare it.
_GENERATION, _WAITING = EventType.RECORD_GENERATION, RecordStatus.WAITING_FOR_END
_NEEDED = " ".join(
    f"--{name.replace('_', '-')} '<{'https://…' if name.endswith('url') else name}>'"
    for name, field in Instrument.model_fields.items()
    if field.is_required() and name != "instrument_pid"
)
_HARVESTERS = {"nemo", "sharepoint"}  # those that NexusLIMS has had


class Together:
    """Looks at the rows of the tables as they are read, and then at all of them together.

    Parameters
    ----------
    now
        The present time, aware.
    keyless
        Whether the events have lost their key, so that they are named by their rowid.
    """

    def __init__(self, database: Database, now: datetime, *, keyless: bool) -> None:
        self._database = database
        self._id = 0 if keyless else 7
        self._year = str(now.year)
        self._far_ahead = instant(now + _FAR_AHEAD)
        self._ahead = instant(now + CLOCK_SKEW)
        self._lease_start = instant(now - LEASE)
        self._known: set[object] = set()
        self._as_blobs: set[object] = set()
        self._zone_of = lru_cache(maxsize=1024)(self._look_up_zone)
        self._copy = sqlite3.connect("", isolation_level=None)
        for statement in (_SQL.make_copy_of_events, _SQL.make_copy_of_uploads):
            self._copy.execute(statement)
        self._copy.execute("BEGIN")

    def close(self) -> None:
        """Throw the copy away."""
        self._copy.close()

    def _insert(self, statement: str, rows: list[dict[str, object]]) -> None:
        with translated(_TEMPORARY_FILE, timeout=0):
            self._copy.executemany(statement, rows)

    def _ask(self, statement: str) -> Iterator[Row]:
        with translated(_TEMPORARY_FILE, timeout=0):
            yield from self._copy.execute(statement)

    # -- while they are read -----------------------------------------------------------

    def look_at_instruments(self, rows: list[Row]) -> Iterator[Finding]:
        """Find what no harvester or record builder can use."""
        for _, pid, _, _, _, _, _, path, harvester, _ in rows:
            if isinstance(pid, bytes):
                self._as_blobs.add(pid.decode(errors="replace"))
            if isinstance(harvester, str) and harvester not in _HARVESTERS:
                yield self._of_instrument(
                    pid,
                    "unknown-harvester",
                    "harvester",
                    f"harvester is {quoted(harvester)}, which NexusLIMS does not have: the records "
                    "of its sessions end in ERROR, unless this facility has written it",
                    "if this facility has not written it, see what else it should be: "
                    f"nexuslims-store instruments show {in_command(pid, 'PID')}",
                )
            if isinstance(path, str) and _leaves_its_root(path):
                yield self._of_instrument(
                    pid,
                    "path-outside",
                    "filestore_path",
                    f"filestore_path is {quoted(path)}, which leads out of the folder of the "
                    "instruments' data",
                    f"nexuslims-store instruments update {in_command(pid, 'PID')} "
                    "--filestore-path '<path below NX_INSTRUMENT_DATA_PATH>'",
                )

    def look_at_uploads(self, rows: list[Row]) -> Iterator[Finding]:
        """Copy what counts of them."""
        self._insert(
            _SQL.copy_upload,
            [
                {"id": row[-1], "session_identifier": row[1], "destination_name": row[2]}
                for row in rows
                if _is_text(row[1]) and _is_text(row[2])
            ],
        )
        yield from ()

    def look_at_events(self, rows: list[Row]) -> Iterator[Finding]:
        """Copy what counts of them, and find what one event says by itself."""
        self._insert(
            _SQL.copy_event,
            [
                {
                    "id_session_log": row[self._id],
                    "session_identifier": row[1],
                    "instrument": row[2],
                    "event_type": row[4] if row[4] in _EVENTS else None,
                }
                for row in rows
                # Those whose keys are no text are findings of their own.
                if _is_text(row[1]) and (row[2] in self._known or _is_text(row[2]))
            ],
        )
        for row in rows:
            _, session, instrument, timestamp, event, status, *_ = row
            row_id = row[self._id]
            # What is no text is a finding of its own.
            if instrument not in self._known and _is_text(instrument):
                if self._zone_of(instrument) is None:
                    as_blob = instrument in self._as_blobs
                    yield _unknown_instrument(row_id, session, instrument, event, as_blob=as_blob)
                else:
                    self._known.add(instrument)
            if event == _GENERATION:
                if status == _WAITING:
                    yield from self._look_at_claim(row_id, session, instrument, timestamp)
            elif str(timestamp)[:4] > self._year:
                began = self._instant(timestamp, instrument)
                if began is not None and began > self._far_ahead:
                    yield _far_ahead(row_id, session, event, timestamp)

    def _look_at_claim(
        self, row_id: int, session: object, instrument: object, timestamp: object
    ) -> Iterator[Finding]:
        began = self._instant(timestamp, instrument)
        if began is None:
            return
        what = f"session_log, row {row_id}: a builder took session {quoted(session)} on "
        what += f"{quoted(instrument)} at {quoted(timestamp)}"
        if began > self._ahead:
            yield Finding(
                "future-claim",
                "note",
                f"{what}, which is yet to come: its clock was wrong. The claim counts as run out, "
                "and keeps no other builder away",
                "set the clock of the computer that builds records",
                table="session_log",
                row_id=row_id,
            )
        elif began <= self._lease_start:
            yield Finding(
                "stale-claim",
                "note",
                f"{what} and never said how it ended; its claim has run out, and keeps no other "
                "builder away",
                "run the record builder, or look into its log if that happens again",
                table="session_log",
                row_id=row_id,
            )

    def _instant(self, timestamp: object, instrument: object) -> int | None:
        try:
            return stored_instant(timestamp, self._zone_of(instrument))
        except StoreError:  # no time zone data, which is told once
            return None

    def _look_up_zone(self, instrument: object) -> object:
        """Return the time zone of an instrument, None where there is no such instrument."""
        if not isinstance(instrument, str):
            return None
        pid = instrument.encode(errors="surrogateescape")
        rows = self._database.rows(_SQL.get_zone_of_instrument, {"instrument_pid": pid})
        return (rows[0][0] or "") if rows else None

    @staticmethod
    def _of_instrument(pid: object, code: str, column: str, what: str, remedy: str) -> Finding:
        return Finding(
            code,
            "warning",
            f"instruments, row {quoted(pid)}: {what}",
            remedy,
            table="instruments",
            row_id=pid if isinstance(pid, int | str) else None,
            column=column,
        )

    # -- all of them -------------------------------------------------------------------

    def examine_events(self) -> Iterator[Finding]:
        """Find the events that are stored twice, and the sessions of two instruments."""
        for session, instrument, event, number, last_id, ids in self._ask(
            _SQL.list_repeated_events
        ):
            yield Finding(
                "repeated-event",
                "warning",
                f"session_log: the {event} of session {quoted(session)} on {quoted(instrument)} is "
                f"stored {number} times (rows {ids}), by harvesters that ran at the same time; "
                f"the newest row, {last_id}, counts",
                "nothing needs to be done here; NexusLIMS's own builder stops at such a session: "
                f"build it with this package. nexuslims-store sessions show "
                f"{in_command(session, 'SESSION')}  (shows all rows)",
                table="session_log",
                row_id=last_id,
            )
        for session, first, last, row_id in self._ask(_SQL.list_shared_identifiers):
            yield Finding(
                "shared-identifier",
                "warning",
                f"session_log, row {row_id}: session {quoted(session)} is on {quoted(first)} and "
                f"on {quoted(last)}; both are built, and what is set for one by the identifier "
                "alone is set for both",
                "let the harvester give each its own identifier. nexuslims-store sessions show "
                f"{in_command(session, 'SESSION')}  (shows both)",
                table="session_log",
                row_id=row_id,
                column="session_identifier",
            )

    def examine_uploads(self) -> Iterator[Finding]:
        """Find attempts to export the record of a session that is not there."""
        for row_id, session, destination in self._ask(_SQL.list_orphaned_uploads):
            yield Finding(
                "orphaned-upload",
                "warning",
                f"upload_log, row {row_id}: session {quoted(session)}, whose record went to "
                f"{quoted(destination)}, has no events in session_log",
                "if the events are missed, run the harvester again; else this does no harm. "
                f"nexuslims-store uploads list --session {in_command(session, 'SESSION')}",
                table="upload_log",
                row_id=row_id,
                column="session_identifier",
            )


def examine_unpaired(database: Database, invalid: Collection[object]) -> Iterator[Finding]:
    """Find the events to be built that make no session. At the head revision only.

    Parameters
    ----------
    invalid
        The instruments that no model takes, each a finding of its own.
    """
    for odd in SessionRepository(database, _no_clock).list_unpaired():
        rows = " and ".join(str(row) for row in (odd.start_id, odd.end_id) if row is not None)
        remedy = "correct it in the scheduler if it is wrong there, and run the harvester again"
        if odd.instrument in invalid:
            remedy = f"put the instrument right, as is said of {quoted(odd.instrument)} itself"
        yield Finding(
            "unpaired",
            "warning",
            f"session_log, row {rows}: session {quoted(odd.session_identifier)} on "
            f"{quoted(odd.instrument)} cannot be built: {odd.reason}",
            remedy,
            table="session_log",
            row_id=odd.start_id if odd.start_id is not None else odd.end_id,
        )


def _unknown_instrument(
    row_id: int, session: object, instrument: object, event: object, *, as_blob: bool
) -> Finding:
    remedy = f"nexuslims-store instruments add {in_command(instrument, 'PID')} {_NEEDED}"
    if as_blob:
        remedy = "put the PID of that instrument right, which is stored as a BLOB, as is said of it"
    return Finding(
        "unknown-instrument",
        "error",
        f"session_log, row {row_id}: the {event} of session {quoted(session)} is on the "
        f"instrument {quoted(instrument)}, which is not there: its record cannot be built",
        remedy,
        table="session_log",
        row_id=row_id,
        column="instrument",
    )


def _far_ahead(row_id: int, session: object, event: object, timestamp: object) -> Finding:
    return Finding(
        "far-ahead",
        "warning",
        f"session_log, row {row_id}: the {event} of session {quoted(session)} is dated "
        f"{quoted(timestamp)}, more than a year from now",
        "correct it in the scheduler if it is wrong there, and run the harvester again",
        table="session_log",
        row_id=row_id,
        column="timestamp",
    )


def _leaves_its_root(path: str) -> bool:
    """Whether a path that is relative to a folder leads out of it; a leading slash is none."""
    parts = os.path.normpath(path.replace("\\", "/").lstrip("/")).split(os.sep)
    return parts[0] == ".." or (len(parts[0]) == 2 and parts[0].endswith(":"))


def _is_text(value: object) -> bool:
    # Nearly all are ASCII, and this is asked three times of each event: a call is saved.
    return isinstance(value, str) and (value.isascii() or is_utf_8(value))


def _no_clock() -> datetime:
    raise AssertionError("nothing is written here")
