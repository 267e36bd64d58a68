"""What a report is made of, whatever it is written as: sections of notes, tables and charts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple


class Identifier(NamedTuple):
    """What names a session; a link where it is a URL."""

    text: str


class Coded(NamedTuple):
    """Words in place of a code, which stays at hand."""

    words: str
    code: str


Cell = str | int | Identifier | Coded | None


class Kind(NamedTuple):
    """What a part of a bar stands for."""

    words: str
    code: str  # as it is stored; may be empty
    colour: str  # its name in the style sheet


class Note(NamedTuple):
    """A paragraph; what stands in backticks is a command."""

    text: str


class Points(NamedTuple):
    """A list of short paragraphs."""

    points: Sequence[str]


class Card(NamedTuple):
    """One figure to see from afar."""

    figure: str
    words: str
    alarming: bool = False  # somebody must do something about it


class Cards(NamedTuple):
    """Figures side by side."""

    cards: Sequence[Card]


class Table(NamedTuple):
    """Rows below a head."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]  # with a cell for each head
    numbers: Collection[str] = ()  # the heads of numbers, which stand at the right
    more: str = ""  # what is not in it, in words
    kinds: Sequence[Kind] = ()  # what the rows stand for in a chart, if the table is its legend
    folded: bool = False  # out of sight until somebody asks for it
    of_chart: bool = False  # says once more what the chart before it says; folded too


class Bar(NamedTuple):
    """One bar or column."""

    label: str
    parts: Mapping[Kind, float]  # in order
    says: str  # its size in words
    mark: str = ""  # what stands at the axis below it, if there is room

    @property
    def size(self) -> float:
        """The sum of its parts."""
        return sum(self.parts.values())


class Columns(NamedTuple):
    """Stacked columns side by side, in the order of time."""

    title: str
    bars: Sequence[Bar]


class Bars(NamedTuple):
    """Stacked bars one below the other."""

    title: str
    bars: Sequence[Bar]
    kinds: Sequence[Kind] = ()


Block = Note | Points | Cards | Table | Columns | Bars


class Section(NamedTuple):
    """A part of a report; `name` is its anchor in a page."""

    name: str
    title: str
    blocks: Sequence[Block]


class Document(NamedTuple):
    """A whole report."""

    title: str
    subtitle: str  # of which database and time it is
    verdict: str  # the answer to "what needs a person?" in one sentence
    calm: bool  # whether the answer is "nothing"
    sections: Sequence[Section]
    footer: str
