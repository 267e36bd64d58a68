"""The page itself: figures in, HTML out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from nexuslims_store.enums import RecordStatus
from nexuslims_store.report.charts import Bar, columns, rows
from nexuslims_store.report.figures import SHOWN, Figures
from nexuslims_store.report.style import STYLE
from nexuslims_store.report.text import safe, when
from nexuslims_store.store import Store

__all__ = ["write"]

# In the order in which they are stacked, from below: what is done, what is not, what went wrong.
_COLOURS = {
    "COMPLETED": "#2e7d4f",
    "NO_FILES_FOUND": "#a1887f",
    "NO_CONSENT": "#78858f",
    "NO_RESERVATION": "#b4bec5",
    "WAITING_FOR_END": "#8fc3ee",
    "TO_BE_BUILT": "#1f6fb5",
    "BUILT_NOT_EXPORTED": "#e39a16",
    "ERROR": "#c0392b",
}
# At the head a CHECK keeps other values out; a page must not fail on one all the same.
_OTHER = "#333333"
_ARRIVED, _FAILED = "arrived", "failed"
_UPLOADS = {_ARRIVED: "#2e7d4f", _FAILED: "#c0392b"}
_HOURS = {"hours": "#1f6fb5"}
_LEASE = timedelta(hours=6)
_FEWEST_WEEKS = 4

Cells = Sequence[object]


def write(figures: Figures, store: Store) -> str:
    """Return the page."""
    name = safe(store.path.name)
    span = f"{figures.start:%d %b %Y} to {figures.now:%d %b %Y}"
    body = "\n".join(
        [
            f"<header><h1>Sessions and records</h1><p>{name}, {safe(store.revision)}; "
            f"{span}; made {figures.now:%Y-%m-%d %H:%M} UTC</p></header>",
            "<main>",
            _cards(figures),
            _section("weeks", "Sessions per week", _weeks(figures)),
            _section("use", "Use of the instruments", _use(figures)),
            _section("work", "Pending and failed work", _work(figures)),
            _section("uploads", "Uploads", _uploads(figures)),
            "</main>",
            "<footer><p>Made by nexuslims-store. Weeks begin on Monday, UTC; other times are "
            "those of the instrument.</p></footer>",
        ]
    )
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Should anything in it ask for something else after all, the browser refuses.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>NexusLIMS: {name}, {span}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )
    # Whatever the encoding of the file or the terminal that it is written to.
    return page.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _section(name: str, title: str, parts: Iterable[str]) -> str:
    content = "\n".join(parts)
    return (
        f'<section id="{name}" aria-labelledby="{name}-title">\n'
        f'<h2 id="{name}-title">{safe(title)}</h2>\n{content}\n</section>'
    )


def _cards(figures: Figures) -> str:
    to_build = figures.statuses[RecordStatus.TO_BE_BUILT.value]
    building = [claim for claim in figures.claims if not claim.is_stale(figures.now, _LEASE)]
    failed = sum(
        figures.statuses[status.value]
        for status in (RecordStatus.ERROR, RecordStatus.BUILT_NOT_EXPORTED)
    )
    cards = (
        (sum(map(sum, (week.values() for week in figures.weeks))), "sessions in these weeks", ""),
        (f"{sum(use.hours for use in figures.use.values()):,.0f}", "hours of use", ""),
        (to_build, "to be built", ""),
        (len(building), "being built now", ""),
        (failed, "builds failed", "bad" if failed else ""),
        (figures.failed.total(), "uploads failed", "bad" if figures.failed else ""),
    )
    items = "\n".join(
        f'<li class="{kind}"><b>{number if isinstance(number, str) else f"{number:,}"}</b> '
        f"{safe(words)}</li>"
        for number, words, kind in cards
    )
    return f'<ul class="cards">\n{items}\n</ul>'


# -- the sections ----------------------------------------------------------------------


def _weeks(figures: Figures) -> Iterator[str]:
    weeks = list(enumerate(figures.weeks))
    there = {status for _, week in weeks for status in week}
    statuses = [status for status in _COLOURS if status in there]
    statuses += sorted(there - _COLOURS.keys())
    if not statuses:
        yield _nothing("There were no sessions in these weeks.")
        return
    # The weeks before the facility's first say nothing.
    first = next(number for number, week in weeks if week)
    weeks = weeks[min(first, max(len(weeks) - _FEWEST_WEEKS, 0)) :]
    colours = {status: _COLOURS.get(status, _OTHER) for status in statuses}
    bars = [
        Bar(
            f"{figures.week(number):%d %b}",
            {status: week[status] for status in statuses if week[status]},
        )
        for number, week in weeks
    ]
    yield columns("Sessions that began in each week, by the status of their record", bars, colours)
    yield _legend(colours)
    yield _table(
        "Sessions that began in each week",
        ["week of", *statuses, "all"],
        (
            [
                f"{figures.week(number):%Y-%m-%d}",
                *(week[status] for status in statuses),
                week.total(),
            ]
            for number, week in weeks
        ),
    )


def _use(figures: Figures) -> Iterator[str]:
    used = sorted(figures.use.items(), key=lambda item: (-item[1].time, item[0]))
    if not used:
        yield _nothing("There are no instruments.")
        return
    bars = [
        Bar(
            pid,
            {"hours": use.hours},
            f"{use.hours:,.0f} h",
            f", {_number(use.sessions, 'session')}",
        )
        for pid, use in used
    ]
    yield rows("Hours of use of each instrument", bars, _HOURS)
    yield _table(
        "Use of each instrument in these weeks",
        ["instrument", "sessions", "hours", "hours per session"],
        (
            [
                pid,
                use.sessions,
                f"{use.hours:,.1f}",
                f"{use.hours / use.sessions:,.1f}" if use.sessions else "-",
            ]
            for pid, use in used
        ),
    )


def _work(figures: Figures) -> Iterator[str]:
    statuses = [status for status in _COLOURS if figures.statuses[status]]
    statuses += sorted(figures.statuses.keys() - _COLOURS.keys())
    yield _table(
        "All sessions by status, whenever they were",
        ["status", "sessions"],
        ([status, figures.statuses[status]] for status in statuses),
    )
    waiting = figures.statuses[RecordStatus.TO_BE_BUILT.value]
    yield _named(
        "To be built, the oldest first",
        waiting,
        ["session", "instrument", "user", "ended"],
        (
            [one.session_identifier, one.instrument, one.user, when(one.end)]
            for one in figures.to_build
        ),
    )
    yield _named(
        "Being built",
        len(figures.claims),
        ["session", "instrument", "since", ""],
        (
            [
                claim.session_identifier,
                claim.instrument,
                when(claim.since),
                "never ended" if claim.is_stale(figures.now, _LEASE) else "",
            ]
            for claim in figures.claims[:SHOWN]
        ),
    )
    yield _named(
        "Builds that failed, the latest first",
        sum(
            figures.statuses[status.value]
            for status in (RecordStatus.ERROR, RecordStatus.BUILT_NOT_EXPORTED)
        ),
        ["session", "instrument", "user", "began", "status"],
        (
            [one.session_identifier, one.instrument, one.user, when(one.start), one.status]
            for one in reversed(figures.mendable)
        ),
    )
    yield _named(
        "To be built, but START and END make no session",
        len(figures.unpaired),
        ["session", "instrument", "reason"],
        ([odd.session_identifier, odd.instrument, odd.reason] for odd in figures.unpaired[:SHOWN]),
    )


def _uploads(figures: Figures) -> Iterator[str]:
    destinations = sorted(figures.attempts.keys() | figures.failed.keys())
    if not destinations:
        yield _nothing("There were no uploads.")
        return
    attempts = {name: figures.attempts.get(name, (0, 0)) for name in destinations}
    bars = [
        Bar(
            name,
            {_ARRIVED: arrived, _FAILED: failed},
            f"{arrived:,} arrived",
            f", {failed:,} failed",
        )
        for name, (arrived, failed) in attempts.items()
    ]
    yield rows("Attempts to export a record, by destination", bars, _UPLOADS)
    yield _legend(_UPLOADS)
    yield _table(
        "Attempts in these weeks, and sessions whose latest attempt failed",
        ["destination", _ARRIVED, _FAILED, "sessions not there yet"],
        ([name, *attempts[name], figures.failed[name]] for name in destinations),
    )
    yield _named(
        "Uploads that failed, the latest first",
        figures.failed.total(),
        ["session", "destination", "tried", "why"],
        (
            [one.session_identifier, one.destination_name, one.timestamp, one.error_message]
            for one in reversed(figures.failed_uploads)
        ),
    )


# -- parts -----------------------------------------------------------------------------


def _legend(colours: dict[str, str]) -> str:
    entries = "".join(
        f'<li><svg width="12" height="12" aria-hidden="true"><rect width="12" height="12" '
        f'fill="{colour}"/></svg> {safe(name)}</li>'
        for name, colour in colours.items()
    )
    return f'<ul class="legend">{entries}</ul>'


def _named(caption: str, total: int, head: Sequence[str], named: Iterable[Cells]) -> str:
    """Return a table of the first few, and how many more there are, or nothing."""
    if not total:
        return ""
    more = f"<p>and {total - SHOWN:,} more</p>" if total > SHOWN else ""
    return _table(f"{caption} ({total:,})", head, named, kind="table wide") + more


def _table(
    caption: str, head: Sequence[str], lines: Iterable[Cells], *, kind: str = "table"
) -> str:
    # The names of statuses are long, and may be broken at their underscores.
    cells = (safe(cell).replace("_", "_<wbr>") for cell in head)
    heads = "".join(f'<th scope="col">{cell}</th>' for cell in cells)
    body = "\n".join(f"<tr>{''.join(_cells(line))}</tr>" for line in lines)
    # Where it is too wide for the screen, the table is moved and not the page; tabindex, so
    # that it can be moved with the keyboard.
    return (
        f'<div class="{kind}" role="region" tabindex="0" aria-label="{safe(caption)}">'
        f"<table><caption>{safe(caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _cells(line: Cells) -> Iterator[str]:
    for place, cell in enumerate(line):
        text = f"{cell:,}" if isinstance(cell, int) else safe(cell)
        number = isinstance(cell, int) or text.replace(",", "").replace(".", "").isdigit()
        kind = ' class="number"' if number and place else ""
        # Text of another direction must not turn that beside it.
        content = text if number else f"<bdi>{text}</bdi>"
        yield f'<th scope="row">{content}</th>' if not place else f"<td{kind}>{content}</td>"


def _nothing(words: str) -> str:
    return f"<p>{safe(words)}</p>"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
