"""How the parts of a report are written, to the letter: in a page, and in a mail."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nexuslims_store.report import page, plain
from nexuslims_store.report.blocks import (
    Bar,
    Bars,
    Block,
    Card,
    Cards,
    Cell,
    Coded,
    Columns,
    Document,
    Identifier,
    Kind,
    Note,
    Points,
    Section,
    Table,
)

DONE = Kind("done <1>", "DONE", "done")


def document(*blocks: Block, calm: bool = True) -> Document:
    section = Section("s", "What", blocks)
    return Document("Title", "of a.db", "Nothing.", calm, [section], "The end.")


def mail(*blocks: Block) -> list[str]:
    """The lines of what stands in a section of a mail."""
    text = plain.write(document(*blocks))
    begin, end = "Title\nof a.db\n\nNothing.\n\n\nWHAT\n----\n\n", "\n\nThe end.\n"
    assert text.startswith(begin)
    assert text.endswith(end)
    return text[len(begin) : -len(end)].split("\n")


def html(*blocks: Block) -> str:
    """What stands in a section of a page."""
    return page.write(document(*blocks)).partition("</h2>\n")[2].partition("\n</section>")[0]


# -- as a mail -------------------------------------------------------------------------


def test_a_table_has_columns_as_far_as_they_fit() -> None:
    word = "x" * 90
    table = Table("T", ["a", "n", "word"], [["b", 1, word], [None, 1000, "y"]], numbers=["n"])
    assert mail(table) == ["T:", "a      n  word", f"b      1  {word}", "-  1,000  y"]
    wider = table._replace(rows=[["b", 1, f"{word}x"], [None, 1000, "y"]])
    assert mail(wider) == ["T:", "b", "  n 1; word", f"  {word}x", "-", "  n 1,000; word y"]


@pytest.mark.parametrize("others", [1, 2, 3, 4])
def test_a_table_is_100_columns_wide_at_most(others: int) -> None:
    heads = [*"abcd"[:others], "word"]
    word = "x" * (100 - 3 * others)
    table = Table("T", heads, [[*"1234"[:others], word]])
    assert mail(table)[2] == "  ".join([*"1234"[:others], word])
    assert mail(table._replace(rows=[[*"1234"[:others], f"{word}x"]]))[1] == "1"


def test_of_a_record_what_is_not_known_is_left_out() -> None:
    table = Table("T", ["a", "b", "c"], [[Identifier("i" * 120), None, "z"]])
    assert mail(table) == ["T:", "i" * 120, "  c z"]


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        (None, "-"),
        (1234567, "1,234,567"),
        (Coded("words", "CODE"), "words (CODE)"),
        (Coded("same", "same"), "same"),
        (Identifier("a\tb"), "a\\tb"),
        ("a\x1bb", "a\\x1bb"),
    ],
)
def test_a_cell_of_a_mail(cell: Cell, written: str) -> None:
    assert mail(Table("T", ["h"], [[cell]])) == ["T:", "h", written]


def test_what_is_a_chart_in_a_page_is_not_said_twice() -> None:
    table = Table("T", ["h"], [["x"]], of_chart=True)
    assert mail(Note("one"), table, Note("two")) == ["one", "", "two"]
    assert mail(table._replace(of_chart=False, more="and 2 more")) == ["T:", "h", "x", "and 2 more"]


def test_figures_stand_below_each_other() -> None:
    cards = Cards([Card("7", "few"), Card("1,234", "many", alarming=True)])
    assert mail(cards) == ["    7  few", "1,234  many"]


@pytest.mark.parametrize("chart", [Columns, Bars])
def test_bars_of_a_mail_are_as_long_as_what_they_say(chart: type[Columns | Bars]) -> None:
    sizes = {48: 24, 24: 12, 4: 2, 1: 1, 0.1: 1, 0: 0}
    bars = [Bar("n" * place, {DONE: size}, f"{size} of it") for place, size in enumerate(sizes)]
    assert mail(chart("Use", bars)) == [
        "Use:",
        *(
            f"{'n' * place:5}  {'#' * length:24}  {size} of it"
            for place, (size, length) in enumerate(sizes.items())
        ),
    ]
    nothing = [Bar("a", {DONE: 0}, "none")]
    assert mail(chart("Use", nothing)) == ["Use:", f"a  {'':24}  none"]
    assert mail(chart("Use", [])) == ["Use:"]


def test_a_label_is_cut_and_what_a_bar_says_goes_on_below_itself() -> None:
    bar = Bar("顕" * 30 + "x" * 30, {DONE: 1}, "word " * 20)
    lines = mail(Bars("Use", [bar]))
    label = "顕" * 23 + "…" + "x" * 12
    begin = f"{label}  {'#' * 24}  "
    assert lines[1].startswith(f"{begin}word")
    below = f"{'':{len(begin) + 23}}"
    assert lines[2:] == [f"{below}{' '.join(['word'] * 2)}"] * (len(lines) - 2)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("x" * 100, ["x" * 100]),
        ("x" * 101, ["x" * 100, "x"]),
        ("y" * 60 + " " + "z" * 39, ["y" * 60 + " " + "z" * 39]),
        ("y" * 60 + " " + "z" * 40, ["y" * 60, "z" * 40]),
        ("y" * 60 + "-" + "z" * 40, ["y" * 60 + "-" + "z" * 39, "z"]),
        ("顕" * 50, ["顕" * 50]),
        ("顕" * 51, ["顕" * 50, "顕"]),
        ("顕" * 101, ["顕" * 50, "顕" * 50, "顕"]),
        ("顕" * 20 + "x" * 61, ["顕" * 20 + "x" * 30, "x" * 31]),
        ("", [""]),
    ],
)
def test_lines_are_100_columns_wide_at_most(text: str, lines: list[str]) -> None:
    assert mail(Note(text)) == lines


def test_a_point_goes_on_below_its_words() -> None:
    assert mail(Points(["x " * 60])) == ["* " + " ".join("x" * 49), "  " + " ".join("x" * 11)]


def test_a_title_is_underlined_as_wide_as_it_is() -> None:
    text = plain.write(document()._replace(sections=[Section("s", "顕a\t", [Note("x")])]))
    assert "\n\n\n顕A\\T\n-----\n\nx\n\nThe end.\n" in text


# -- as a page -------------------------------------------------------------------------


@pytest.mark.parametrize(("calm", "mood"), [(True, "calm"), (False, "alarming")])
def test_the_verdict_has_the_colour_of_what_it_says(calm: bool, mood: str) -> None:
    made = page.write(document(calm=calm))
    assert f'<p class="verdict {mood}" role="status">Nothing.</p>' in made
    assert made.isascii()


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        (None, '<td class="empty" data-head="h">-</td>'),
        (0, '<td class="empty" data-head="h">0</td>'),
        ("", '<td class="empty" data-head="h"><bdi></bdi></td>'),
        (1234, '<td data-head="h">1,234</td>'),
        (Coded("w", "C"), '<td data-head="h"><bdi>w</bdi> <code>C</code></td>'),
        (Coded("C", "C"), '<td data-head="h"><bdi>C</bdi></td>'),
        (Identifier("s-1"), '<td data-head="h"><bdi>s-1</bdi></td>'),
        (
            Identifier("https://a/?b&c"),
            '<td data-head="h"><a href="https://a/?b&amp;c" rel="noreferrer"><bdi>https://a/?b&amp;c'
            "</bdi></a></td>",
        ),
        *(
            (time, f'<td data-head="h"><time>{time}</time></td>')
            for time in ("2025-06", "2025-06-03", "2025-06-03 12:00 UTC", "12025-06-03")
        ),
        *(
            (text, f'<td data-head="h"><bdi>{text}</bdi></td>')
            for text in ("2025", "2025-06-03 12:00", "2025-06-03 x", "a 2025-06-03")
        ),
    ],
)
def test_a_cell_of_a_page(cell: Cell, written: str) -> None:
    assert written in html(Table("T", ["g", "h"], [["x", cell]]))


@pytest.mark.parametrize(
    ("heads", "numbers", "wide"),
    [
        (["a", "b"], [], False),
        (["a", "b", "c"], [], True),
        (["a", "b", "c"], ["c"], False),
        (["a", "b", "c", "d"], ["c", "d"], True),
        (["a", "b", "c", "d"], ["b", "c", "d"], False),
    ],
)
def test_a_wide_table_can_become_a_list(
    heads: Sequence[str], numbers: Sequence[str], wide: bool
) -> None:
    made = html(Table("T", heads, [], numbers=numbers))
    assert made.startswith(f"<table{' class=' + chr(34) + 'wide' + chr(34) if wide else ''}>")


@pytest.mark.parametrize(
    ("folded", "of_chart", "away"),
    [(False, False, False), (True, False, True), (False, True, True), (True, True, True)],
)
@pytest.mark.parametrize("more", ["", "and 2 more"])
def test_a_table_of_a_page(folded: bool, of_chart: bool, away: bool, more: str) -> None:
    table = Table("T & t", ["a", "n"], [["x", 1], ["y", 0]], ["n"], more, [DONE], folded, of_chart)
    swatch = (
        '<svg class="swatch" width="12" height="12" aria-hidden="true"><rect class="part done" '
        'width="12" height="12"/></svg>'
    )
    made = (
        "<table><caption>T &amp; t</caption>\n"
        '<thead><tr><th scope="col">a</th><th scope="col" class="number">n</th></tr></thead>\n'
        "<tbody>\n"
        f'<tr><th scope="row">{swatch}<bdi>x</bdi></th><td class="number" data-head="n">1</td>'
        '</tr>\n<tr><th scope="row"><bdi>y</bdi></th><td class="number empty" data-head="n">0</td>'
        "</tr>\n</tbody></table>"
    )
    if more:
        made += '\n<p class="more">and 2 more</p>'
    if away:
        made = f"<details><summary>T &amp; t</summary>\n{made}\n</details>"
    assert html(table) == made


def test_words_figures_and_legends_of_a_page() -> None:
    assert html(Note("run `a --b-c` <now>")) == (
        "<p>run <code>a <span>--b-c</span></code> &lt;now&gt;</p>"
    )
    assert html(Points(["a", "b"])) == '<ul class="points">\n<li>a</li>\n<li>b</li>\n</ul>'
    cards = Cards([Card("1", "one"), Card("2", "two", alarming=True)])
    assert html(cards) == (
        '<ul class="cards">\n<li><b>1</b> one</li>\n<li class="alarming"><b>2</b> two</li>\n</ul>'
    )
    bars = Bars("B", [Bar("x", {DONE: 1}, "1")])
    assert "legend" not in html(bars)
    legend = html(bars._replace(kinds=[DONE])).rpartition("\n")[2]
    assert legend.startswith('<ul class="legend"><li><svg class="swatch"')
    assert legend.endswith("</svg>done &lt;1&gt;</li></ul>")
