"""What `status` finds: how the database is, and whether the record builders do their work.

The file is opened read-only, at any revision: what an older one does not have is None.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nexuslims_store import queries
from nexuslims_store.backup import journal_mode
from nexuslims_store.cli.words import number
from nexuslims_store.connection import Database
from nexuslims_store.enums import RecordStatus
from nexuslims_store.layouts import BASE, LAYOUTS
from nexuslims_store.migrations.plan import Plan, make_plan
from nexuslims_store.models import InstrumentActivity, UnpairedSession
from nexuslims_store.repository import (
    InstrumentRepository,
    SessionRepository,
    UploadLogRepository,
)
from nexuslims_store.repository.overviews import Claim, SessionOverview
from nexuslims_store.times import utc_now

__all__ = ["Health", "examine"]

# Not counts_by_status(): at older revisions any text may be a status.
_COUNTS = queries.load("session_log.sql")["count_sessions_by_status"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What there is to know of one database at one moment.

    Attributes
    ----------
    plan
        What `migrate` would do.
    lease
        How old a claim must be to be stale.
    oldest_to_build
        The oldest session that waits for a builder.
    unpaired, failed_uploads
        None at revisions where they cannot be told.
    newest_backup
        The newest backup beside the file, and when it was written.
    """

    path: Path
    now: datetime
    size: int
    journal_mode: str
    plan: Plan
    lease: timedelta
    sessions: dict[str, int] = field(default_factory=dict)
    oldest_to_build: SessionOverview | None = None
    unpaired: list[UnpairedSession] | None = None
    claims: list[Claim] = field(default_factory=list)
    failed_uploads: dict[str, int] | None = None
    instruments: list[InstrumentActivity] = field(default_factory=list)
    newest_backup: tuple[Path, datetime] | None = None

    @property
    def pending(self) -> bool:
        """Whether `migrate` must run before a store opens the file."""
        return bool(self.plan.steps or self.plan.adopt or self.plan.leftovers)

    @property
    def builds(self) -> list[Claim]:
        """The builds that are going on."""
        return [claim for claim in self.claims if not claim.is_stale(self.now, self.lease)]

    @property
    def stale_builds(self) -> list[Claim]:
        """The builds whose builder has probably died."""
        return [claim for claim in self.claims if claim.is_stale(self.now, self.lease)]

    @property
    def waiting(self) -> timedelta | None:
        """For how long the oldest session to build has waited since its end."""
        if self.oldest_to_build is None or not isinstance(self.oldest_to_build.end, datetime):
            return None
        return self.now - self.oldest_to_build.end

    def needs(self, patience: timedelta) -> Iterator[str]:
        """Yield what needs a person, each with what to do.

        Parameters
        ----------
        patience
            For how long a session may wait before something must be wrong with the builders.
        """
        if self.pending:
            yield "the schema is not up to date: run `nexuslims-store migrate`"
        if self.unpaired:
            yield (
                f"{number(len(self.unpaired), 'session')} to be built without a usable START and "
                "END: see `nexuslims-store doctor`"
            )
        if self.waiting is not None and self.waiting > patience:
            yield "the oldest session to build waits too long: is the record builder running?"
        if self.stale_builds:
            yield (
                f"{number(len(self.stale_builds), 'build')} began and never ended: see the "
                "record builder's log; the next `claim` takes over"
            )
        for status in (RecordStatus.ERROR.value, RecordStatus.BUILT_NOT_EXPORTED.value):
            if self.sessions.get(status):
                yield (
                    f"{number(self.sessions[status], 'session')} in {status}: when the cause is "
                    f"mended, `nexuslims-store sessions reset --status {status}` has them built "
                    "again"
                )
        if self.failed_uploads:
            yield (
                f"{number(sum(self.failed_uploads.values()), 'failed upload')}: see "
                "`nexuslims-store uploads failed`"
            )


def examine(path: Path, *, timeout: float, lease: timedelta) -> Health:
    """Look at a database file, as it is at one moment."""
    database = Database(path, read_only=True, timeout=timeout)
    try:
        with database.transaction(), database.translated():
            mode = journal_mode(database.connection)  # first, as it waits for the lock
            plan = make_plan(database.connection, path, "upgrade", "head")
            health = Health(
                path=path,
                now=utc_now(),
                size=_size(path),
                journal_mode=mode,
                plan=plan,
                lease=lease,
                newest_backup=_newest_backup(path),
            )
            return _with_sessions(health, database)
    finally:
        database.close()


def _with_sessions(health: Health, database: Database) -> Health:
    tables = LAYOUTS[health.plan.before or BASE]
    if "session_log" not in tables:
        return health
    sessions = SessionRepository(database, utc_now)
    at_head = not health.plan.steps
    return replace(
        health,
        sessions=dict(database.rows(_COUNTS)),
        oldest_to_build=sessions.oldest_to_build(),
        # Older revisions have other columns of instruments, which no model takes.
        unpaired=sessions.list_unpaired() if at_head else None,
        claims=sessions.list_claims(),
        failed_uploads=(
            UploadLogRepository(database).count_failed() if "upload_log" in tables else None
        ),
        instruments=InstrumentRepository(database).activity(),
    )


def _size(path: Path) -> int:
    # What was written last may still be in the -wal file alone.
    files = (path, Path(f"{path}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _newest_backup(path: Path) -> tuple[Path, datetime] | None:
    try:
        found = [
            (file.stat().st_mtime, file)
            for file in path.parent.glob(f"{glob.escape(path.stem)}_backup_*.db")
        ]
    except OSError:  # removed meanwhile, or the folder cannot be listed
        return None
    if not found:
        return None
    time, newest = max(found)
    return newest, datetime.fromtimestamp(time, UTC)
