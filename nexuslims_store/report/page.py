"""A report as one HTML page that needs no network, no script and no other file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from nexuslims_store.report import charts
from nexuslims_store.report.blocks import (
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
from nexuslims_store.report.style import STYLE
from nexuslims_store.report.values import address, html

_TIME = re.compile(r"\d{4,}-\d\d(-\d\d( \d\d:\d\d \S+)?)?")
_WIDE = 6  # a column of text counts for two of numbers


def write(document: Document) -> str:
    """Return the page."""
    title = html(document.title)
    mood = "calm" if document.calm else "alarming"
    body = "\n".join(
        [
            f"<header><h1>{title}</h1><p>{html(document.subtitle)}</p></header>",
            "<main>",
            f'<p class="verdict {mood}" role="status">{html(document.verdict)}</p>',
            *map(_section, document.sections),
            "</main>",
            f"<footer><p>{html(document.footer)}</p></footer>",
        ]
    )
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        # Should anything in it ask for something else after all, the browser refuses.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}: {html(document.verdict)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )
    # Whatever the encoding of the file or the terminal that it is written to.
    return page.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _section(section: Section) -> str:
    content = "\n".join(map(_block, section.blocks))
    return (
        f'<section id="{section.name}" aria-labelledby="{section.name}-title">\n'
        f'<h2 id="{section.name}-title">{html(section.title)}</h2>\n{content}\n</section>'
    )


# -- blocks ----------------------------------------------------------------------------


def _block(block: Block) -> str:
    match block:
        case Note(text):
            return f"<p>{_words(text)}</p>"
        case Points(points):
            return _list("points", [f"<li>{_words(point)}</li>" for point in points])
        case Cards(cards):
            return _list("cards", map(_card, cards))
        case Columns():
            return charts.columns(block)
        case Bars():
            return charts.bars(block) + _legend(block.kinds)
        case Table():
            return _table(block)


def _list(name: str, items: Iterable[str]) -> str:
    content = "\n".join(items)
    return f'<ul class="{name}">\n{content}\n</ul>'


def _card(card: Card) -> str:
    alarming = _class("alarming" if card.alarming else "")
    return f"<li{alarming}><b>{html(card.figure)}</b> {html(card.words)}</li>"


def _table(table: Table) -> str:
    body = "\n".join(
        f"<tr>{''.join(_cells(table, row, kind))}</tr>"
        for row, kind in zip_longest(table.rows, table.kinds)
    )
    heads = "".join(
        f'<th scope="col"{_class("number" if head in table.numbers else "")}>{html(head)}</th>'
        for head in table.heads
    )
    # On a phone each row of a wide table becomes a list.
    size = sum(1 if head in table.numbers else 2 for head in table.heads)
    wide = "wide" if size >= _WIDE else ""
    content = (
        f"<table{_class(wide)}><caption>{html(table.caption)}</caption>\n"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    )
    if table.more:
        content += f'\n<p class="more">{html(table.more)}</p>'
    if not (table.folded or table.of_chart):
        return content
    return f"<details><summary>{html(table.caption)}</summary>\n{content}\n</details>"


def _legend(kinds: Sequence[Kind]) -> str:
    if not kinds:
        return ""
    entries = "".join(f"<li>{_swatch(kind)}{html(kind.words)}</li>" for kind in kinds)
    return f'\n<ul class="legend">{entries}</ul>'


# -- words and cells -------------------------------------------------------------------


def _words(text: str) -> str:
    """Return a text whose commands, in backticks, look like commands."""
    return re.sub(r"`([^`]+)`", _command, html(text))


def _command(found: re.Match[str]) -> str:
    # A line that ends in the midst of an option cannot be read.
    whole_options = re.sub(r"--[a-z-]+", r"<span>\g<0></span>", found[1])
    return f"<code>{whole_options}</code>"


def _cells(table: Table, row: Sequence[Cell], kind: Kind | None) -> Iterator[str]:
    for place, (head, cell) in enumerate(zip(table.heads, row, strict=True)):
        content = _cell(cell)
        empty = "empty" if cell in (0, None, "") else ""
        classes = _class(" ".join(filter(None, ["number" if head in table.numbers else "", empty])))
        if place:
            yield f'<td{classes} data-head="{html(head)}">{content}</td>'
        else:
            swatch = _swatch(kind) if kind else ""
            yield f'<th scope="row"{classes}>{swatch}{content}</th>'


def _cell(cell: Cell) -> str:
    match cell:
        case None:
            return "-"
        case int():
            return f"{cell:,}"
        case Coded(words, code):
            at_hand = "" if code == words else f" <code>{html(code)}</code>"
            return f"<bdi>{html(words)}</bdi>{at_hand}"
        case Identifier(text):
            target = address(text)
            shown = f"<bdi>{html(text)}</bdi>"
            return f'<a href="{target}" rel="noreferrer">{shown}</a>' if target else shown
        case _ if _TIME.fullmatch(cell):
            return f"<time>{html(cell)}</time>"
        case _:
            # Text of another direction must not turn that beside it.
            return f"<bdi>{html(cell)}</bdi>"


def _swatch(kind: Kind) -> str:
    return (
        f'<svg class="swatch" width="12" height="12" aria-hidden="true">'
        f'<rect class="part {kind.colour}" width="12" height="12"/></svg>'
    )


def _class(names: str) -> str:
    return f' class="{names}"' if names else ""
