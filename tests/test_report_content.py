"""What a report makes of its figures: what is told, in what order, and what is only counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from helpers.reports import NOW

from nexuslims_store import Store
from nexuslims_store.report import figures as module
from nexuslims_store.report.blocks import (
    Bars,
    Block,
    Card,
    Cards,
    Coded,
    Columns,
    Identifier,
    Note,
    Points,
    Table,
)
from nexuslims_store.report.content import compose
from nexuslims_store.report.delays import Delays
from nexuslims_store.report.figures import Figures, FoundSession, Group, Use, sum_of
from nexuslims_store.results import Claim, SessionOverview, UnpairedSession

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def figures() -> Figures:
    """Those of an empty database, of five weeks; an instrument is called as its PID in capitals."""
    with Store(":memory:") as store:
        found = module.read(store, NOW, 5)
    found.instrument = lambda pid: Coded(str(pid).upper(), str(pid))
    return found


def blocks(figures: Figures, section: str) -> list[Block]:
    made = compose(figures, title="t", database="d", advice=lambda need: need)
    return [block for one in made.sections if one.name == section for block in one.blocks]


def notes(figures: Figures, section: str) -> list[str]:
    return [block.text for block in blocks(figures, section) if isinstance(block, Note)]


def table(figures: Figures, section: str, caption: str) -> Table:
    (found,) = (
        block
        for block in blocks(figures, section)
        if isinstance(block, Table) and block.caption.startswith(caption)
    )
    return found


# -- the answer ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failed", "verdict"),
    [
        ({}, "Nothing needs a person."),
        ({"a": 1}, "1 thing needs a person."),
        ({"a": 1, "unpaired": 1}, "2 things need a person."),
    ],
)
def test_the_verdict_counts_what_needs_a_person(
    figures: Figures, failed: dict[str, int], verdict: str
) -> None:
    odd = [UnpairedSession("s", "i", 1, None, "why")] * failed.pop("unpaired", 0)
    figures.work = replace(figures.work, failed_uploads=failed, unpaired=odd)
    made = compose(figures, title="t", database="d", advice=str.upper)
    assert (made.verdict, made.calm) == (verdict, verdict.startswith("Nothing"))
    points = [block for block in made.sections[0].blocks if isinstance(block, Points)]
    assert len(points) == (not made.calm)
    if failed:
        assert (
            points[0].points[-1]
            == "1 FAILED UPLOAD: SEE `NEXUSLIMS-STORE UPLOADS FAILED --BY-CAUSE`."
        )


def claim(number: int, since: Any) -> Claim:
    return Claim(f"s{number}", "i", number, since)


def test_cards_are_of_what_there_is_and_of_what_is_being_done(figures: Figures) -> None:
    (cards,) = (block for block in blocks(figures, "needs") if isinstance(block, Cards))
    assert cards.cards == [Card("0", "to be built"), Card("0", "being built now")]
    figures.work = replace(
        figures.work,
        sessions={"TO_BE_BUILT": 1234, "ERROR": 2, "BUILT_NOT_EXPORTED": 3, "COMPLETED": 9},
        failed_sessions={},
        failed_uploads={"a": 4, "b": 1},
        unpaired=[UnpairedSession("s", "i", 1, None, "why")] * 6,
        claims=[claim(1, NOW), claim(2, NOW), claim(3, NOW - 6 * HOUR)],
    )
    (cards,) = (block for block in blocks(figures, "needs") if isinstance(block, Cards))
    assert cards.cards == [
        *(Card("1,234", "to be built", alarming=False), Card("2", "being built now")),
        *(Card("2", "builds failed", alarming=True), Card("3", "built, not exported", True)),
        *(Card("5", "uploads failed", alarming=True), Card("6", "odd sessions", alarming=True)),
        Card("1", "builds never ended", alarming=True),
    ]


@pytest.mark.parametrize(
    ("end", "ended", "waits"),
    [
        (NOW - 5 * HOUR, "2025-06-03 07:00 UTC", "5 h"),
        ("never", "never", None),
        (None, "-", None),
    ],
)
def test_what_waits_longest(figures: Figures, end: Any, ended: str, waits: str | None) -> None:
    oldest = SessionOverview("s", "i", None, end, None, "TO_BE_BUILT")
    figures.work = replace(figures.work, oldest_to_build=oldest)
    found = table(figures, "needs", "The session that waits longest")
    assert found.rows == [[Identifier("s"), Coded("I", "i"), ended, waits]]


@pytest.mark.parametrize(
    ("number", "more"), [(10, ""), (11, "and 1 more"), (1210, "and 1,200 more")]
)
def test_of_odd_sessions_and_claims_ten_are_named(figures: Figures, number: int, more: str) -> None:
    figures.work = replace(
        figures.work,
        unpaired=[UnpairedSession(f"s{n}", "i", n, None, "why") for n in range(number)],
        claims=[claim(n, NOW - HOUR) for n in range(number)]
        + [claim(n, "odd") for n in range(number)],
    )
    odd = table(figures, "needs", "To be built, but START and END make no session")
    assert odd.caption.endswith(f"({number:,})")
    assert [row[0] for row in odd.rows] == [Identifier(f"s{n}") for n in range(10)]
    assert (odd.more, odd.folded, odd.rows[3][1:]) == (more, True, [Coded("I", "i"), "why"])
    for caption, since, lasts in (
        ("Being built now", "2025-06-03 11:00 UTC", "1 h"),
        ("Builds that began and never ended", "odd", None),
    ):
        found = table(figures, "needs", caption)
        assert (len(found.rows), found.more) == (10, more)
        assert found.rows[9] == [Identifier("s9"), Coded("I", "i"), since, lasts]


def test_what_there_is_none_of_has_no_table(figures: Figures) -> None:
    assert [type(block) for block in blocks(figures, "needs")] == [Cards]


@pytest.mark.parametrize(
    ("instruments", "where"),
    [
        ({"a": 1}, "A (1)"),
        ({"a": 1, "b": 1200, "c": 2}, "B (1,200), C (2), A (1)"),
        ({"a": 1, "b": 4, "c": 2, "d": 3}, "B (4), D (3), C (2), 1 more instrument"),
        ({"a": 5, "b": 4, "c": 2, "d": 1, "e": 1}, "A (5), B (4), C (2), 2 more instruments"),
    ],
)
def test_failed_builds_have_their_instruments_for_a_cause(
    figures: Figures, instruments: dict[str, int], where: str
) -> None:
    figures.builds = {"ERROR": {pid: Group(count, None) for pid, count in instruments.items()}}
    (row,) = table(figures, "needs", "Failures by cause").rows
    total = sum(instruments.values())
    assert row == [Coded("build failed", "ERROR"), where, total, "-"]


def test_causes_stand_by_their_number_then_by_the_latest(figures: Figures) -> None:
    figures.uploads = {
        ("cdcs", "few"): Group(1, 5),
        ("cdcs", "never"): Group(3, None),
        ("cdcs", "old"): Group(3, 1),
        ("cdcs", "new"): Group(3, 61_000_000),
        **{("eln", str(number)): Group(9, None) for number in range(7)},
    }
    found = table(figures, "needs", "Failures by cause, the most frequent first (11)")
    assert (found.more, found.folded) == ("and 1 more", False)
    assert found.rows[7:] == [
        ["new", "upload to cdcs", 3, "1970-01-01 00:01 UTC"],
        ["old", "upload to cdcs", 3, "1970-01-01 00:00 UTC"],
        ["never", "upload to cdcs", 3, "-"],
    ]
    figures.uploads.popitem()
    assert table(figures, "needs", "Failures by cause").more == ""


def test_failed_builds_are_counted_in_all_statuses(figures: Figures) -> None:
    figures.builds = {
        "ERROR": {"a": Group(2, 1), "b": Group(3, 1)},
        "BUILT_NOT_EXPORTED": {"a": Group(7, 1)},
    }
    figures.failed_builds = [FoundSession(1, "s", "a", None, "ERROR", "Asia/Tokyo", 0, 1, 2)]
    found = table(figures, "needs", "Builds that failed, the latest first (12)")
    began, status = "1970-01-01 09:00 JST", Coded("build failed", "ERROR")
    assert found.rows == [[Identifier("s"), Coded("A", "a"), "-", began, status]]
    assert found.more == "and 11 more"


@pytest.mark.parametrize(
    ("groups", "latest"),
    [([], None), ([None], None), ([None, 3, 5, 4], 5), ([0], 0), ([-7, None], -7)],
)
def test_groups_as_one(groups: list[int | None], latest: int | None) -> None:
    assert sum_of(Group(2, one) for one in groups) == Group(2 * len(groups), latest)
    added = Group()
    for one in groups:
        added.add(one)
    assert added == Group(len(groups), latest)


# -- what happened ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ([0, 0, 0, 0, 1], [0, 0, 0, 1]),
        ([0, 1, 0, 0, 2], [1, 0, 0, 2]),
        ([3, 0, 0, 0, 0], [3, 0, 0, 0, 0]),
    ],
)
def test_weeks_before_the_first_session_are_left_out_as_far_as_four_stay(
    figures: Figures, sizes: list[int], shown: list[int]
) -> None:
    figures.parts = [Counter({"COMPLETED": size} if size else {}) for size in sizes]
    found = blocks(figures, "sessions")
    total = sum(sizes)
    assert found[0] == Note(f"{total} session{'s' * (total > 1)} began in this time.")
    assert isinstance(found[1], Columns)
    assert [bar.size for bar in found[1].bars] == shown
    assert found[1].bars[-1].label == "week of 2025-06-02"
    weeks = table(figures, "sessions", "Sessions that began in each week")
    assert weeks.rows[-1] == ["2025-06-02", shown[-1], shown[-1]]
    assert (weeks.heads, weeks.of_chart) == (["week of", "all", "record complete"], True)


def test_statuses_that_nobody_knows_come_last_by_their_names(figures: Figures) -> None:
    figures.parts[4] = Counter({"b": 1, "ERROR": 2, "COMPLETED": 1})
    figures.work = replace(figures.work, sessions={"a": 5, "c": 1, "ERROR": 3})
    rows = table(figures, "sessions", "Sessions by status").rows
    assert [(row[0].code, *row[1:]) for row in rows if isinstance(row[0], Coded)] == [
        *(("COMPLETED", 1, 0), ("ERROR", 2, 3), ("a", 0, 5), ("b", 1, 0), ("c", 0, 1)),
    ]
    columns = blocks(figures, "sessions")[1]
    assert isinstance(columns, Columns)
    assert columns.bars[-1].says == "4: 1 record complete, 2 build failed, 1 b"


@pytest.mark.parametrize(
    ("number", "bars", "less", "rows", "more"),
    [
        (1, 1, [], 1, ""),
        (15, 15, [], 15, ""),
        (16, 15, ["1 more instrument were used less."], 16, ""),
        (200, 15, ["185 more instruments were used less."], 200, ""),
        (201, 15, ["186 more instruments were used less."], 200, "and 1 more"),
    ],
)
def test_how_many_instruments_are_named(
    figures: Figures, number: int, bars: int, less: list[str], rows: int, more: str
) -> None:
    figures.instruments = number
    figures.use = {f"p{n:03}": Use(2, (n + 1) * HOUR) for n in range(number)}
    chart, *_ = (block for block in blocks(figures, "use") if isinstance(block, Bars))
    assert len(chart.bars) == bars
    assert notes(figures, "use") == less
    found = table(figures, "use", "Use of each instrument")
    assert (len(found.rows), found.more, found.of_chart) == (rows, more, True)
    most = f"p{number - 1:03}"
    assert found.rows[0] == [
        Coded(most.upper(), most),
        2,
        f"{number:.1f}",
        f"{number / 2:.1f}",
    ]
    assert chart.bars[0].label == most.upper()
    assert chart.bars[0].says == f"{number:.1f} h in 2 sessions"


def test_the_most_used_come_first_and_of_two_the_one_with_more_sessions(figures: Figures) -> None:
    figures.use = {"a": Use(1, HOUR), "b": Use(3, HOUR), "c": Use(2, HOUR), "d": Use(1, 2 * HOUR)}
    (chart,) = (block for block in blocks(figures, "use") if isinstance(block, Bars))
    assert [bar.label for bar in chart.bars] == ["D", "B", "C", "A"]
    assert [bar.size for bar in chart.bars] == [7200, 3600, 3600, 3600]


@pytest.mark.parametrize(
    ("unused", "words"),
    [
        (0, []),
        (1, ["Not used in this time: A."]),
        (10, ["Not used in this time: A, B, C, D, E, F, G, H, I, J."]),
        (11, ["Not used in this time: A, B, C, D, E, F, G, H, I, J and 1 more."]),
        (1210, ["Not used in this time: A, B, C, D, E, F, G, H, I, J and 1,200 more."]),
    ],
)
def test_of_those_that_nobody_used_ten_are_named(
    figures: Figures, unused: int, words: list[str]
) -> None:
    figures.instruments, figures.unused = unused + 1, unused
    figures.some_unused = list("abcdefghij"[:unused])
    assert notes(figures, "use") == words


def test_where_there_are_no_instruments_it_says_so(figures: Figures) -> None:
    assert blocks(figures, "use") == [Note("There are no instruments.")]


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        ([], "No record was built of a session that began in this time."),
        (
            [5] * 9 + [61],
            "Of 10 records, the build of half began within 6 min of the end of the session, of "
            "nine in ten within 6 min, of the last after 1 h 1 min.",
        ),
        ([-1], "1 record more is dated before the end of the session: are the clocks "),
        ([-1, -2], "2 records more are dated before the end of the session: are the clocks "),
        ([0], "Of 1 record, the build of half began within less than 1 min of the end of the "),
        (
            [5, 61],
            "Of 2 records, the build of half began within 6 min of the end of the session, of"
            " nine in ten within 1 h 1 min, of the last after 1 h 1 min.",
        ),
    ],
)
def test_delays_in_words(figures: Figures, minutes: list[int], words: str) -> None:
    for one in minutes:
        figures.delays.add(one * MINUTE)
    *_, said = notes(figures, "delays")
    assert said.startswith(words)
    tables = [block for block in blocks(figures, "delays") if isinstance(block, Table)]
    assert [table.of_chart for table in tables] == [True] * (min(minutes, default=-1) >= 0)


def test_delays_are_grouped_by_their_length() -> None:
    hours = (1, 6, 12, 24, 48, 72, 168)
    for place, bound in enumerate(hours):
        for delay, group in ((bound * HOUR - MINUTE, place), (bound * HOUR, place + 1)):
            delays = Delays()
            delays.add(delay)
            assert list(delays.groups().values()) == [int(n == group) for n in range(8)]
    assert list(delays.groups())[::7] == ["less than 1 h", "longer than 1 week"]


@pytest.mark.parametrize(
    ("minutes", "share", "within"),
    [
        ([1, 2, 3, 4], 0.5, 3),
        ([1, 2, 3], 0.5, 3),
        ([1, 2, 3], 1, 3),
        ([7], 0.5, 7),
        # Beyond a year, only the longest is known.
        ([366 * 1440 - 1, 366 * 1440 + 9], 0.5, 366 * 1440),
        ([366 * 1440, 366 * 1440 + 5, 366 * 1440 + 9], 0.3, 366 * 1440 + 9),
    ],
)
def test_what_a_share_of_delays_is_not_longer_than(
    minutes: list[int], share: float, within: int
) -> None:
    delays = Delays()
    for one in minutes:
        delays.add(one * MINUTE)
    assert delays.within(share) == within * MINUTE
    assert (delays.count, delays.longest()) == (len(minutes), max(minutes) * MINUTE)


def test_destinations_are_told_that_failed_once_or_were_tried_lately(figures: Figures) -> None:
    assert blocks(figures, "uploads") == [Note("There were no uploads.")]
    figures.attempts = {"cdcs": Counter({True: 1200, False: 1})}
    figures.work = replace(figures.work, failed_uploads={"b": 3} | dict.fromkeys("xyz", 1))
    chart, found = blocks(figures, "uploads")
    assert isinstance(chart, Bars)
    assert [(bar.label, bar.size, bar.says) for bar in chart.bars] == [
        ("b", 0, "0 arrived, 0 failed"),
        ("cdcs", 1201, "1,200 arrived, 1 failed"),
        *((name, 0, "0 arrived, 0 failed") for name in "xyz"),
    ]
    assert isinstance(found, Table)
    assert found.rows == [
        ["b", 0, 0, 3],
        ["cdcs", 1200, 1, 0],
        *([name, 0, 0, 1] for name in "xyz"),
    ]
    assert found.folded
