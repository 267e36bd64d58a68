"""What needs a person: the first section of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from nexuslims_store.display import age, number, shown
from nexuslims_store.enums import RecordStatus
from nexuslims_store.report.blocks import (
    Block,
    Card,
    Cards,
    Cell,
    Coded,
    Identifier,
    Points,
    Table,
)
from nexuslims_store.report.figures import NAMED, Figures, FoundSession, Group, sum_of
from nexuslims_store.report.words import KINDS, moment, status
from nexuslims_store.results import Claim, SessionOverview, UnpairedSession

_COUNTS = ("sessions",)


def blocks(figures: Figures, needs: Sequence[str]) -> Iterator[Block]:
    """Yield the answer, then what failed and why, then the sessions that it is about."""
    work = figures.work
    if needs:
        yield Points([_in_words(need) for need in needs])
    yield Cards(list(_cards(figures)))
    if work.oldest_to_build is not None:
        oldest = work.oldest_to_build
        yield Table(
            "The session that waits longest for its record",
            ["session", "instrument", "ended", "waits for"],
            [
                [
                    *_session(figures, oldest),
                    shown(oldest.end),
                    None if work.waiting is None else age(work.waiting),
                ]
            ],
        )
    yield from _causes(figures)
    yield from _failed_builds(figures)
    yield from _failed_uploads(figures)
    yield from _odd(figures)


def _session(
    figures: Figures, one: SessionOverview | UnpairedSession | Claim | FoundSession
) -> tuple[Identifier, Coded]:
    return Identifier(shown(one.session_identifier)), figures.instrument(one.instrument)


def _in_words(need: str) -> str:
    """Return what `status` says as a sentence with words for the codes, which stay at hand."""
    for kind in KINDS.values():
        need = need.replace(f" in {kind.code}", f", {kind.words} ({kind.code})")
    return f"{need[:1].upper()}{need[1:]}" + ("" if need.endswith("?") else ".")


def _cards(figures: Figures) -> Iterator[Card]:
    work = figures.work
    for words, count, alarming in (
        ("to be built", work.sessions.get(RecordStatus.TO_BE_BUILT.value, 0), False),
        ("being built now", len(work.builds), False),
        ("builds failed", work.sessions.get(RecordStatus.ERROR.value, 0), True),
        ("built, not exported", work.sessions.get(RecordStatus.BUILT_NOT_EXPORTED.value, 0), True),
        ("uploads failed", sum((work.failed_uploads or {}).values()), True),
        ("odd sessions", len(work.unpaired or ()), True),
        ("builds never ended", len(work.stale_builds), True),
    ):
        if count or words in {"to be built", "being built now"}:
            yield Card(f"{count:,}", words, alarming)


def _causes(figures: Figures) -> Iterator[Block]:
    """Yield all failures by cause, the most frequent first."""
    causes: list[tuple[Group, list[Cell]]] = [
        (group, [cause, f"upload to {destination}"])
        for (destination, cause), group in figures.uploads.items()
    ]
    # Why a build failed is known to the builder alone; on which instrument often says it too.
    for code, instruments in figures.builds.items():
        causes.append((sum_of(instruments.values()), [status(code), _where(figures, instruments)]))
    causes.sort(key=lambda cause: (cause[0].count, cause[0].latest or 0), reverse=True)
    rows: list[list[Cell]] = [
        [*cells, group.count, moment(group.latest)] for group, cells in causes[:NAMED]
    ]
    yield from _listed(
        "Failures by cause, the most frequent first",
        ["cause", "where", "sessions", "latest"],
        rows,
        len(causes),
        folded=False,
    )


def _where(figures: Figures, instruments: Mapping[object, Group]) -> str:
    most = sorted(instruments.items(), key=lambda item: -item[1].count)
    named = [f"{figures.instrument(pid).words} ({group.count:,})" for pid, group in most[:3]]
    if len(most) > len(named):
        named.append(f"{number(len(most) - len(named), 'more instrument')}")
    return ", ".join(named)


def _failed_builds(figures: Figures) -> Iterator[Block]:
    yield from _listed(
        "Builds that failed, the latest first",
        ["session", "instrument", "user", "began", "status"],
        [
            [
                *_session(figures, one),
                shown(one.user),
                moment(one.began, one.timezone),
                status(one.status),
            ]
            for one in figures.failed_builds
        ],
        sum(sum_of(found.values()).count for found in figures.builds.values()),
    )


def _failed_uploads(figures: Figures) -> Iterator[Block]:
    yield from _listed(
        "Uploads that failed, the latest first",
        ["session", "destination", "tried", "cause"],
        [
            [
                Identifier(shown(one.session_identifier)),
                one.destination,
                moment(one.tried),
                one.cause,
            ]
            for one in figures.failed_uploads
        ],
        sum_of(figures.uploads.values()).count,
    )


def _odd(figures: Figures) -> Iterator[Block]:
    work = figures.work
    unpaired = work.unpaired or []
    yield from _listed(
        "To be built, but START and END make no session",
        ["session", "instrument", "reason"],
        [[*_session(figures, odd), odd.reason] for odd in unpaired[:NAMED]],
        len(unpaired),
    )
    for caption, claims in (
        ("Builds that began and never ended", work.stale_builds),
        ("Being built now", work.builds),
    ):
        yield from _listed(
            caption,
            ["session", "instrument", "since", "for"],
            [
                [
                    *_session(figures, claim),
                    shown(claim.since),
                    age(work.now - claim.since) if isinstance(claim.since, datetime) else None,
                ]
                for claim in claims[:NAMED]
            ],
            len(claims),
        )


def _listed(
    caption: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    total: int,
    *,
    folded: bool = True,
) -> Iterator[Block]:
    """Yield a table of the first few and how many more there are, or nothing."""
    if total:
        more = f"and {total - len(rows):,} more" if total > len(rows) else ""
        yield Table(
            f"{caption} ({total:,})", heads, rows, numbers=_COUNTS, more=more, folded=folded
        )
