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
    """What a part of a bar stands for.

    Attributes
    ----------
    words, code
        Its name for people, and the one that is stored; the latter may be empty.
    colour
        Its name in the style sheet.
    """

    words: str
    code: str
    colour: str


class Note(NamedTuple):
    """A paragraph; what stands in backticks is a command."""

    text: str


class Points(NamedTuple):
    """A list of short paragraphs."""

    points: Sequence[str]


class Card(NamedTuple):
    """One figure to see from afar; `alarming` when somebody must do something about it."""

    figure: str
    words: str
    alarming: bool = False


class Cards(NamedTuple):
    """Figures side by side."""

    cards: Sequence[Card]


class Table(NamedTuple):
    """Rows below a head.

    Attributes
    ----------
    caption, heads, rows
        The rows have a cell for each head.
    numbers
        The heads of numbers, which stand at the right.
    more
        What is not in it, in words.
    kinds
        What the rows stand for in a chart, if the table is its legend.
    folded
        Whether it is out of sight until somebody asks for it.
    of_chart
        Whether it says once more what the chart before it says; folded too.
    """

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numbers: Collection[str] = ()
    more: str = ""
    kinds: Sequence[Kind] = ()
    folded: bool = False
    of_chart: bool = False


class Bar(NamedTuple):
    """One bar or column.

    Attributes
    ----------
    label
        What it stands for.
    parts
        What it is made of, in order.
    says
        Its size in words.
    mark
        What stands at the axis below it, if there is room.
    """

    label: str
    parts: Mapping[Kind, float]
    says: str
    mark: str = ""

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
    """A whole report.

    Attributes
    ----------
    title, subtitle
        What it is, and of which database and time.
    verdict
        The answer to "what needs a person?" in one sentence.
    calm
        Whether the answer is "nothing".
    sections, footer
        The rest.
    """

    title: str
    subtitle: str
    verdict: str
    calm: bool
    sections: Sequence[Section]
    footer: str
