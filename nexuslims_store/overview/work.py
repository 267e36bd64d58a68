"""The work of the record builders, at any revision: what an older one does not have is None."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from nexuslims_store import queries
from nexuslims_store.database import Database
from nexuslims_store.display import age, number, shown
from nexuslims_store.enums import RecordStatus
from nexuslims_store.repository import (
    InstrumentRepository,
    SessionRepository,
    UploadLogRepository,
)
from nexuslims_store.repository.overviews import local_time
from nexuslims_store.repository.stored import iter_failed_uploads
from nexuslims_store.repository.views import with_views
from nexuslims_store.results import (
    LEASE,
    Claim,
    InstrumentActivity,
    SessionOverview,
    UnpairedSession,
)
from nexuslims_store.revisions import head, tables_at
from nexuslims_store.times import aware, from_instant, instant, utc_now

PATIENCE = timedelta(days=3)
"""How long a session may wait to be built; NexusLIMS itself waits two days for files."""

# Not counts_by_status(): at older revisions any text may be a status.
_SQL = queries.load("session_log.sql")
_OWN_SQL = queries.load("overview.sql")

FAILED = (RecordStatus.ERROR.value, RecordStatus.BUILT_NOT_EXPORTED.value)
"""The statuses of sessions that need a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the record builders have done and have to do."""

    now: datetime  # when this was read, aware
    lease: timedelta  # how old a claim must be to be stale
    sessions: dict[str, int] = field(default_factory=dict)  # how many there are in each status
    # How many of those in ERROR and BUILT_NOT_EXPORTED ended from `since` on, and how many of them
    # `sessions reset` has built again: whole ones, with consent.
    failed_sessions: dict[str, int] = field(default_factory=dict)
    retriable_sessions: dict[str, int] = field(default_factory=dict)
    since: datetime | None = None  # what is counted only from then on; None: all
    last_build: datetime | str | None = None  # when one last began; as `SessionOverview.start`
    # The session that waits for a builder and started first.
    oldest_to_build: SessionOverview | None = None
    # When the session ended that waits longest for its first build. One that was built before and
    # reset waits since the reset, and when that was is stored nowhere: it does not count.
    waiting_since: datetime | None = None
    claims: list[Claim] = field(default_factory=list)  # the newest of each session to be built
    # What makes no session; how many sessions have a latest upload that failed, by destination.
    # None at revisions where they cannot be told.
    unpaired: list[UnpairedSession] | None = None
    failed_uploads: dict[str, int] | None = None
    instruments: list[InstrumentActivity] = field(default_factory=list)  # how each was used

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

    @property
    def claims_ahead(self) -> list[Claim]:
        """Those of the stale builds that are dated in the future, by a clock that is wrong."""
        return [
            claim
            for claim in self.stale_builds
            if isinstance(claim.since, datetime) and claim.since > self.now
        ]

    def waits_too_long(self, patience: timedelta = PATIENCE) -> bool:
        """Whether a session waits longer than that for its first build, and none began either."""
        since, began = self.waiting_since, self.last_build
        return (
            since is not None
            and self.now - since > patience
            and not (isinstance(began, datetime) and self.now - began <= patience)
        )

    def needs(self, patience: timedelta = PATIENCE) -> Iterator[str]:
        """Yield what needs a person, each as "what: what to do".

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
        if self.waits_too_long(patience):
            yield (
                f"no build began in {age(patience)} although sessions wait: is the record builder "
                "running?"
            )
        ahead = len(self.claims_ahead)
        if len(self.stale_builds) > ahead:
            yield (
                f"{number(len(self.stale_builds) - ahead, 'build')} began and never ended: see "
                "the record builder's log; the next one takes over"
            )
        if ahead:
            yield (
                f"{number(ahead, 'build')} dated in the future: set the clock of the computer "
                "that builds; the next builder takes over"
            )
        # What is advised does to exactly those that were counted what it says.
        since = None if self.since is None else aware(self.since, UTC).isoformat()
        for status, count in self.failed_sessions.items():
            ended = "" if since is None else f" --ended-since {since}"
            retriable = self.retriable_sessions[status]
            if retriable:
                yield (
                    f"{number(retriable, 'session')} in {status}: when the cause is mended, "
                    f"`nexuslims-store sessions reset --status {status}{ended}` has them built "
                    "again"
                )
            if count > retriable:
                yield (
                    f"{number(count - retriable, 'session')} in {status}, without a usable START "
                    "and END or without consent: see "
                    f"`nexuslims-store sessions list --status {status}`"
                )
        if self.failed_uploads:
            from_then_on = "" if since is None else f" --since {since}"
            yield (
                f"{number(sum(self.failed_uploads.values()), 'failed upload')}: see "
                f"`nexuslims-store uploads failed --by-cause{from_then_on}`"
            )


def read(
    database: Database,
    now: datetime,
    revision: str | None,
    *,
    lease: timedelta = LEASE,
    since: datetime | None = None,
    with_use: bool,
) -> Work:
    """Look at the work of the record builders, a statement at a time: no writer waits for all.

    Parameters
    ----------
    now
        The present time, aware.
    revision
        That of the database; None is base.
    lease
        How old a claim must be to be stale.
    since
        Count only failures from then on: a session by its END, an upload by its time. What has no
        readable time counts. A naive time is UTC.
    with_use
        Whether to sum up the use of the instruments too, which takes the longest.
    """
    tables, at_head = tables_at(revision), revision == head()
    if "session_log" not in tables:
        return Work(now=now, lease=lease, since=since)
    with_views(database)
    sessions = SessionRepository(database, utc_now)
    counts: dict[str, int] = dict(database.rows(_SQL.count_sessions_by_status))
    failed = _failed_sessions(database, since) if any(map(counts.get, FAILED)) else []
    ((ended,),) = database.rows(_OWN_SQL.get_waiting_since)
    built = database.rows(_OWN_SQL.get_last_build)
    return Work(
        now=now,
        lease=lease,
        since=since,
        sessions=counts,
        failed_sessions={status: sessions for status, sessions, _ in failed},
        retriable_sessions={status: retriable for status, _, retriable in failed},
        waiting_since=from_instant(ended, "UTC"),
        oldest_to_build=sessions.oldest_to_build() if at_head else _oldest_before_head(sessions),
        last_build=local_time(*built[0]) if built else None,
        claims=sessions.list_claims(),
        # Older revisions have other columns of instruments, which no model takes.
        unpaired=sessions.list_unpaired() if at_head else None,
        failed_uploads=_failed_uploads(database, since) if "upload_log" in tables else None,
        instruments=InstrumentRepository(database).activity() if with_use else [],
    )


def _failed_sessions(database: Database, since: datetime | None) -> list[tuple[str, int, int]]:
    earliest = -(2**63) if since is None else instant(aware(since, UTC))
    found = database.rows(_OWN_SQL.count_failed_sessions, {"since": earliest})
    return sorted(found, key=lambda row: FAILED.index(row[0]))


def _failed_uploads(database: Database, since: datetime | None) -> dict[str, int]:
    if since is None:
        return UploadLogRepository(database).count_failed()
    failed = iter_failed_uploads(database, since)
    return dict(Counter(shown(upload["destination_name"]) for upload in failed))


def _oldest_before_head(sessions: SessionRepository) -> SessionOverview | None:
    found = sessions.iter_overview(statuses=[RecordStatus.TO_BE_BUILT])
    return next(
        (one for one in found if one.duration is not None and one.duration >= timedelta()), None
    )
