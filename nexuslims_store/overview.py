"""What `status`, the report, the doctor and monitors all say of a database, found once.

`read` looks at the work of the record builders on an open database, at any revision: what an
older one does not have is None. `examine` opens a file read-only and looks at the file too.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nexuslims_store import queries
from nexuslims_store.backup import journal_mode
from nexuslims_store.connection import SQLiteDatabase
from nexuslims_store.display import number
from nexuslims_store.enums import RecordStatus
from nexuslims_store.layouts import BASE, LAYOUTS
from nexuslims_store.migrations.plan import Plan, make_plan
from nexuslims_store.repository import (
    InstrumentRepository,
    SessionRepository,
    UploadLogRepository,
)
from nexuslims_store.repository.views import with_views
from nexuslims_store.results import (
    LEASE,
    Claim,
    InstrumentActivity,
    SessionOverview,
    UnpairedSession,
)
from nexuslims_store.times import utc_now

__all__ = ["LEASE", "PATIENCE", "Overview", "Work", "examine", "read"]

PATIENCE = timedelta(days=3)
"""How long a session may wait to be built; NexusLIMS itself waits two days for files."""

# Not counts_by_status(): at older revisions any text may be a status.
_SQL = queries.load("session_log.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the record builders have done and have to do.

    Attributes
    ----------
    now
        When this was read, aware.
    lease
        How old a claim must be to be stale.
    sessions
        How many sessions there are in each status.
    claims
        The newest claim of each session that waits to be built.
    oldest_to_build
        The session that waits for a builder and started first.
    unpaired, failed_uploads
        What makes no session; how many sessions have a latest upload that failed, by
        destination. None at revisions where they cannot be told.
    instruments
        How much each instrument was used.
    """

    now: datetime
    lease: timedelta
    sessions: dict[str, int] = field(default_factory=dict)
    oldest_to_build: SessionOverview | None = None
    claims: list[Claim] = field(default_factory=list)
    unpaired: list[UnpairedSession] | None = None
    failed_uploads: dict[str, int] | None = None
    instruments: list[InstrumentActivity] = field(default_factory=list)

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

    def needs(self, patience: timedelta = PATIENCE) -> Iterator[str]:
        """Yield what needs a person, each with what to do.

        Parameters
        ----------
        patience
            For how long a session may wait before something must be wrong with the builders.
        """
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What there is to know of a database file at one moment.

    Attributes
    ----------
    size
        In bytes, with what is in the -wal file only.
    plan
        What `migrate` would do.
    newest_backup
        The newest backup beside the file, and when it was written.
    work
        What the record builders have done and have to do.
    """

    path: Path
    size: int
    journal_mode: str
    plan: Plan
    newest_backup: tuple[Path, datetime] | None
    work: Work

    @property
    def pending(self) -> bool:
        """Whether `migrate` must run before a store opens the file."""
        return bool(self.plan.steps or self.plan.adopt or self.plan.leftovers)

    def needs(self, patience: timedelta = PATIENCE) -> Iterator[str]:
        """Yield what needs a person, as `Work.needs` does, the file's own needs first."""
        if self.pending:
            yield "the schema is not up to date: run `nexuslims-store migrate`"
        yield from self.work.needs(patience)


def examine(path: Path, *, timeout: float = 30.0, lease: timedelta = LEASE) -> Overview:
    """Look at a database file, as it is at one moment. It is opened read-only.

    Raises as `migrations.current`.
    """
    with (
        closing(SQLiteDatabase(path, read_only=True, timeout=timeout)) as database,
        database.transaction(),
        database.translated(),
    ):
        mode = journal_mode(database.connection)  # first, as it waits for the lock
        plan = make_plan(database.connection, path, "upgrade", "head", timeout=timeout)
        tables = LAYOUTS[plan.before or BASE].keys()
        return Overview(
            path=path,
            size=_size(path),
            journal_mode=mode,
            plan=plan,
            newest_backup=_newest_backup(path),
            work=_read(database, utc_now(), lease, set(tables), at_head=not plan.steps),
        )


def read(database: SQLiteDatabase, now: datetime, *, lease: timedelta = LEASE) -> Work:
    """Look at the work of the record builders, on an open database at the head revision.

    Parameters
    ----------
    now
        The present time, aware.
    lease
        How old a claim must be to be stale.
    """
    head = set(LAYOUTS[list(LAYOUTS)[-1]])
    with database.transaction():
        return _read(database, now, lease, head, at_head=True)


def _read(
    database: SQLiteDatabase, now: datetime, lease: timedelta, tables: set[str], *, at_head: bool
) -> Work:
    if "session_log" not in tables:
        return Work(now=now, lease=lease)
    sessions = SessionRepository(database, utc_now)
    return Work(
        now=now,
        lease=lease,
        sessions=dict(with_views(database).rows(_SQL.count_sessions_by_status)),
        claims=sessions.list_claims(),
        # Before the head instruments have other columns, which no model takes.
        oldest_to_build=(sessions.oldest_to_build() if at_head else _oldest_before_head(sessions)),
        unpaired=sessions.list_unpaired() if at_head else None,
        failed_uploads=(
            UploadLogRepository(database).count_failed() if "upload_log" in tables else None
        ),
        instruments=InstrumentRepository(database).activity(),
    )


def _oldest_before_head(sessions: SessionRepository) -> SessionOverview | None:
    found = sessions.iter_overview(statuses=[RecordStatus.TO_BE_BUILT])
    return next(
        (one for one in found if one.duration is not None and one.duration >= timedelta()), None
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
