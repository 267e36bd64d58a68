"""A report as text for the body of a mail, at most 100 columns wide.

Only an identifier that is longer stands alone on its line, since half of one is of no use.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from nexuslims_store.display import columns, cut, padded, printable
from nexuslims_store.report.blocks import (
    Bar,
    Bars,
    Block,
    Cards,
    Cell,
    Coded,
    Columns,
    Document,
    Identifier,
    Note,
    Points,
    Section,
    Table,
)

_WIDTH = 100
_GAP = "  "
_BAR = 24
_LABEL = 36


def write(document: Document) -> str:
    """Return the text."""
    lines = [
        *_wrapped(document.title),
        *_wrapped(document.subtitle),
        "",
        *_wrapped(document.verdict),
    ]
    for section in document.sections:
        lines += _section(section)
    lines += ["", *_wrapped(document.footer)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _section(section: Section) -> Iterator[str]:
    title = printable(section.title).upper()
    yield from ("", "", title, "-" * columns(title))
    for block in section.blocks:
        lines = list(_block(block))
        if lines:
            yield ""
            yield from lines


# -- blocks ----------------------------------------------------------------------------


def _block(block: Block) -> Iterable[str]:
    match block:
        case Note(text):
            return _wrapped(text)
        case Points(points):
            return chain.from_iterable(_wrapped(one, first="* ", others="  ") for one in points)
        case Cards(cards):
            widest = max(len(card.figure) for card in cards)
            return (f"{card.figure:>{widest}}  {card.words}" for card in cards)
        case Columns() | Bars():
            return _bars(block.title, block.bars)
        case Table():
            return () if block.of_chart else _table(block)


def _table(table: Table) -> Iterator[str]:
    yield from _wrapped(f"{table.caption}:")
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    heads = table.heads
    widths = [max(map(columns, cells)) for cells in zip(heads, *rows, strict=True)]
    if sum(widths) + len(_GAP) * (len(widths) - 1) <= _WIDTH:
        for texts in (heads, *rows):
            yield _GAP.join(
                padded(text, width, right=head in table.numbers)
                for text, width, head in zip(texts, widths, heads, strict=True)
            )
    else:
        for row, cells in zip(table.rows, rows, strict=True):
            yield from _record(heads, row, cells)
    if table.more:
        yield from _wrapped(table.more)


def _record(heads: Sequence[str], row: Sequence[Cell], texts: Sequence[str]) -> Iterator[str]:
    """Yield one row of a table as lines: what it is about, then what there is to say of it."""
    first, *others = texts
    yield from [first] if isinstance(row[0], Identifier) else _wrapped(first)
    said = [f"{head} {text}" for head, text in zip(heads[1:], others, strict=True) if text != "-"]
    yield from _wrapped("; ".join(said), first="  ", others="  ")


def _bars(title: str, bars: Sequence[Bar]) -> Iterator[str]:
    yield from _wrapped(f"{title}:")
    longest = max((bar.size for bar in bars), default=0) or 1
    labels = [cut(printable(cut(bar.label)), _LABEL) for bar in bars]
    widest = max(map(columns, labels), default=0)
    for bar, label in zip(bars, labels, strict=True):
        length = round(_BAR * bar.size / longest) or (1 if bar.size else 0)
        begin = f"{padded(label, widest)}{_GAP}{'#' * length:{_BAR}}{_GAP}"
        yield from _wrapped(bar.says, first=begin, others=" " * columns(begin))


# -- words and cells -------------------------------------------------------------------


def _cell(cell: Cell) -> str:
    match cell:
        case None:
            return "-"
        case int():
            return f"{cell:,}"
        case Coded(words, code):
            return printable(cut(words if words == code else f"{words} ({code})"))
        case Identifier(text):
            return printable(cut(text))
        case _:
            return printable(cut(cell))


def _wrapped(text: str, first: str = "", others: str = "") -> list[str]:
    """Return lines that are not too wide, broken between words where that can be."""
    room = _WIDTH - columns(others)
    lines: list[str] = []
    for line in textwrap.wrap(printable(text), room, break_on_hyphens=False) or [""]:
        lines += _halved(line, room)
    return [f"{others if place else first}{line}" for place, line in enumerate(lines)]


def _halved(line: str, room: int) -> Iterator[str]:
    """Yield a line as it is, or in parts where its letters are two columns wide."""
    while columns(line) > room:
        yield line[: room // 2]
        line = line[room // 2 :]
    yield line
