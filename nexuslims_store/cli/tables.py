"""Tables of text that fit the terminal, with nothing in them cut that somebody needs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterator, Sequence

from nexuslims_store.display import columns, cut, padded, printable

_GAP = "  "
_ABSENT = "-"
_NUMBER = rf"[\d,]+(\.\d+)?|{_ABSENT}"

Row = Sequence[str]


class Table:
    """Rows of cells below a head, in columns; where those are too wide, a block for each row.

    The rows come in parts, so that no more than a part is ever in memory. Columns only grow
    wider from part to part.
    The width is that of the terminal, None where the output is none, and is as wide as it is; the
    ellipsis stands for what is left out of a very long cell.
    """

    def __init__(self, names: Sequence[str], width: int | None, ellipsis: str) -> None:
        self._names = [printable(name) for name in names]
        self._width = width
        self._ellipsis = ellipsis
        self._widths = [columns(name) for name in names]
        self._before: list[int] | None = None

    def lines(self, rows: Sequence[Row]) -> Iterator[str]:
        """Yield the lines of some rows, the head before the first of them."""
        cells = [[self._cell(cell) for cell in row] for row in rows]
        in_columns = list(zip(*cells, strict=True))
        self._widths = [
            max(width, *map(columns, column))
            for width, column in zip(self._widths, in_columns, strict=True)
        ]
        alike = [place for place, column in enumerate(in_columns) if len(set(column)) == 1]
        places = self._fitting(alike if len(cells) > 1 else [])
        first, again = self._before is None, self._before != places
        self._before = places
        if again and not first:
            yield ""
        if not places:
            yield from self._blocks(cells, after_others=not again)
            return
        said = [
            f"{name} {cells[0][place]}"
            for place, name in enumerate(self._names)
            if place not in places and cells[0][place] != _ABSENT
        ]
        if said:
            yield f"for all: {', '.join(said)}"
        if again:
            yield self._line([name.upper() for name in self._names], places, ())
        numeric = {
            place
            for place in places
            if all(re.fullmatch(_NUMBER, cell) for cell in in_columns[place])
            and set(in_columns[place]) != {_ABSENT}
        }
        for row in cells:
            yield self._line(row, places, numeric)

    def _fitting(self, alike: Sequence[int]) -> list[int]:
        """Return the columns to show side by side, none where they are too wide for that."""
        places = list(range(len(self._widths)))
        if self._width is None:
            return places
        # What is alike in all rows is said once; the widest saves most.
        spare = sorted(alike, key=lambda place: self._widths[place])
        while sum(self._widths[place] + len(_GAP) for place in places) - len(_GAP) > self._width:
            if not spare or len(places) == 1:
                return []
            places.remove(spare.pop())
        return places

    def _line(self, row: Row, places: Sequence[int], numeric: Collection[int]) -> str:
        return _GAP.join(
            padded(row[place], self._widths[place], right=place in numeric) for place in places
        ).rstrip()

    def _blocks(self, rows: Sequence[Row], *, after_others: bool) -> Iterator[str]:
        for number, row in enumerate(rows):
            if number or after_others:
                yield ""
            yield from pairs(zip(self._names, row, strict=True))

    def _cell(self, text: str) -> str:
        return printable(cut(text, ellipsis=self._ellipsis))


def pairs(named: Sequence[tuple[str, str]] | zip[tuple[str, str]]) -> Iterator[str]:
    """Yield lines of names and values; a value may have several lines."""
    named = list(named)
    width = max(columns(name) for name, _ in named)
    for name, value in named:
        first, *rest = value.split("\n")
        yield f"{name:{width}}{_GAP}{first}".rstrip()
        yield from rest


def terminal_width() -> int:
    """Return how many columns the terminal has, 80 where there is none.

    As `shutil.get_terminal_size`, whose module takes longer to import than many a command runs.
    """
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and 0 < int(columns) < 10_000:
        return int(columns)
    try:
        # None where the shell has closed it.
        out = sys.__stdout__
        return (out and os.get_terminal_size(out.fileno()).columns) or 80
    except (ValueError, OSError):
        return 80
