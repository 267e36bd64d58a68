"""What a report says: figures in, a document out. How it looks is not known here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import timedelta

from nexuslims_store.display import cut, number, shown
from nexuslims_store.report import needs
from nexuslims_store.report.blocks import (
    Bar,
    Bars,
    Block,
    Columns,
    Document,
    Note,
    Section,
    Table,
)
from nexuslims_store.report.figures import NAMED, Figures, Week
from nexuslims_store.report.words import (
    ARRIVED,
    FAILED,
    KINDS,
    RECORDS,
    USE,
    hours,
    kind,
    lasting,
    share,
    status,
)

_BARS = 15  # instruments in the chart
_ROWS = 200  # instruments in the table behind it
_FEWEST_PARTS = 4


def compose(
    figures: Figures, *, title: str, database: str, advice: Callable[[str], str]
) -> Document:
    """Return the report of the database that has this name; `advice` as for `render`."""
    span = figures.span
    needed = [advice(need) for need in figures.work.needs()]
    return Document(
        title=cut(title),
        subtitle=f"{database}; {span.start.date()} to {span.now.date()}; made {shown(span.now)}",
        verdict=_verdict(len(needed)),
        calm=not needed,
        sections=[
            Section("needs", "What needs a person", list(needs.blocks(figures, needed))),
            Section("week", "This week against the last", list(_week(figures))),
            Section("sessions", f"Sessions per {span.noun}", list(_sessions(figures))),
            Section("use", "Use of the instruments", list(_use(figures))),
            Section("delays", "From the end of a session to its record", list(_delays(figures))),
            Section("uploads", "Uploads", list(_uploads(figures))),
        ],
        footer="Made by nexuslims-store. Weeks begin on Monday, UTC; a session belongs to the "
        "week it began in. Each time names its zone, that of the instrument or UTC.",
    )


def _verdict(needs: int) -> str:
    if not needs:
        return "Nothing needs a person."
    return "1 thing needs a person." if needs == 1 else f"{needs} things need a person."


# -- what happened ---------------------------------------------------------------------


def _week(figures: Figures) -> Iterator[Block]:
    weeks = figures.last_weeks
    heads = ("this week", f"last week until {figures.span.now:%A %H:%M}", "all of last week")
    yield Table(
        f"Since Monday {figures.span.monday.date()}, UTC",
        ["", *heads],
        [
            [one.name.replace("_", " "), *(_amount(getattr(week, one.name)) for week in weeks)]
            for one in fields(Week)
        ],
        numbers=heads,
    )


def _amount(amount: int | timedelta) -> int | str:
    return hours(amount) if isinstance(amount, timedelta) else amount


def _sessions(figures: Figures) -> Iterator[Block]:
    span, total = figures.span, figures.sessions
    kinds = [kind(code) for code in _in_order(total)]
    if not total:
        yield Note("There were no sessions.")
    else:
        yield Note(f"{number(total.total(), 'session')} began in this time.")
        parts = list(zip(span.names, span.marks, figures.parts, strict=True))
        # Without the empty ones at the beginning, as in a new database.
        while not parts[0][2] and len(parts) > _FEWEST_PARTS:
            del parts[0]
        yield Columns(
            f"Sessions that began in each {span.noun}, by what became of them",
            [
                Bar(
                    name if span.noun != "week" else f"week of {name}",
                    {one: part[one.code] for one in kinds if part[one.code]},
                    _said(part),
                    mark=mark,
                )
                for name, mark, part in parts
            ],
        )
        heads = ["all", *(one.words for one in kinds)]
        yield Table(
            f"Sessions that began in each {span.noun}",
            [f"{span.noun} of" if span.noun == "week" else span.noun, *heads],
            [[name, part.total(), *(part[one.code] for one in kinds)] for name, _, part in parts],
            numbers=heads,
            of_chart=True,
        )
    ever = Counter({shown(code): count for code, count in figures.work.sessions.items()})
    codes = _in_order(ever.keys() | total.keys())
    if codes:
        yield Table(
            "Sessions by status",
            ["status", "in this time", "ever"],
            [[status(code), total[code], ever[code]] for code in codes],
            numbers=("in this time", "ever"),
            kinds=[kind(code) for code in codes],
        )


def _in_order(codes: Counter[str] | set[str]) -> list[str]:
    return [*(code for code in KINDS if code in codes), *sorted(set(codes) - KINDS.keys())]


def _said(part: Counter[str]) -> str:
    if not part:
        return "none"
    what = ", ".join(f"{part[code]:,} {kind(code).words}" for code in _in_order(part))
    return f"{part.total():,}: {what}" if len(part) > 1 else what


def _use(figures: Figures) -> Iterator[Block]:
    if not figures.instruments:
        yield Note("There are no instruments.")
    used = sorted(figures.use.items(), key=lambda item: (-item[1].time, -item[1].sessions))
    named = [(figures.instrument(pid), use) for pid, use in used[:_ROWS]]
    names = Counter(instrument.words for instrument, _ in named)
    if used:
        yield Bars(
            "Hours of use of each instrument",
            [
                Bar(
                    # Two that are called alike are told apart by their PIDs.
                    instrument.words
                    if names[instrument.words] == 1
                    else f"{instrument.words} ({instrument.code})",
                    {USE: use.time.total_seconds()},
                    f"{hours(use.time)} h in {number(use.sessions, 'session')}",
                )
                for instrument, use in named[:_BARS]
            ],
        )
        if len(used) > _BARS:
            yield Note(f"{number(len(used) - _BARS, 'more instrument')} were used less.")
    if figures.unused:
        some = ", ".join(cut(figures.instrument(pid).words) for pid in figures.some_unused)
        more = f" and {figures.unused - NAMED:,} more" if figures.unused > NAMED else ""
        yield Note(f"Not used in this time: {some}{more}.")
    if used:
        yield Table(
            "Use of each instrument in this time",
            ["instrument", "sessions", "hours", "hours per session"],
            [
                [instrument, use.sessions, hours(use.time), hours(use.time / use.sessions)]
                for instrument, use in named
            ],
            numbers=("sessions", "hours", "hours per session"),
            more=f"and {len(used) - _ROWS:,} more" if len(used) > _ROWS else "",
            of_chart=True,
        )


def _delays(figures: Figures) -> Iterator[Block]:
    delays = figures.delays
    if not delays.count:
        yield Note("No record was built of a session that began in this time.")
    else:
        yield Note(
            f"Of {number(delays.count, 'record')}, the build of half began within "
            f"{lasting(delays.within(0.5))} of the end of the session, of nine in ten within "
            f"{lasting(delays.within(0.9))}, of the last after {lasting(delays.longest())}."
        )
        groups = delays.groups()
        yield Bars(
            "Records by the time from the end of the session to the build of its record",
            [
                Bar(words, {RECORDS: count}, f"{count:,} ({share(count, delays.count)})")
                for words, count in groups.items()
            ],
        )
        yield Table(
            "Records by the time they took",
            ["time", "records", "share"],
            [[words, count, share(count, delays.count)] for words, count in groups.items()],
            numbers=("records", "share"),
            of_chart=True,
        )
    if delays.below_zero:
        yield Note(
            f"{number(delays.below_zero, 'record')} more "
            f"{'is' if delays.below_zero == 1 else 'are'} dated before the end of the session: "
            "are the clocks of the computers right?"
        )


def _uploads(figures: Figures) -> Iterator[Block]:
    waiting = figures.work.failed_uploads or {}
    destinations = sorted(figures.attempts.keys() | {shown(name) for name in waiting})
    if not destinations:
        yield Note("There were no uploads.")
        return
    attempts = {name: figures.attempts.get(name, Counter()) for name in destinations}
    yield Bars(
        "Attempts to export a record, by destination",
        [
            Bar(
                name,
                {ARRIVED: found[True], FAILED: found[False]},
                f"{found[True]:,} arrived, {found[False]:,} failed",
            )
            for name, found in attempts.items()
        ],
        kinds=[ARRIVED, FAILED],
    )
    yield Table(
        "Attempts in this time, and sessions whose latest attempt failed",
        ["destination", "arrived", "failed", "sessions not there yet"],
        [
            [name, found[True], found[False], waiting.get(name, 0)]
            for name, found in attempts.items()
        ],
        numbers=("arrived", "failed", "sessions not there yet"),
        folded=True,
    )
