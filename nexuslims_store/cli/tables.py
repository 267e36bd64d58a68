"""Tables of text that fit the terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence

from nexuslims_store.display import printable

__all__ = ["Table"]

_GAP = "  "
_NARROWEST = 4
_ABSENT = "-"
_NUMBER = re.compile(rf"[\d,]+(\.\d+)?|{_ABSENT}")


class Table:
    """Rows of cells below a head, in columns.

    Parameters
    ----------
    head, rows
        The cells. A character that a terminal would act upon is shown as an escape.
    """

    def __init__(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._rows = [[printable(cell) for cell in row] for row in (head, *rows)]
        self._numeric = [
            all(_NUMBER.fullmatch(row[place]) for row in rows)
            and any(row[place] != _ABSENT for row in rows)
            for place in range(len(head))
        ]

    def lines(self, width: int | None, ellipsis: str) -> Iterator[str]:
        """Yield the lines, none wider than `width` columns as far as that can be; None: as is."""
        widths = [max(map(_width, column)) for column in zip(*self._rows, strict=True)]
        if width is not None:
            available = width - len(_GAP) * (len(widths) - 1)
            widths = _narrowed(widths, available, range(len(widths)))
        for row in self._rows:
            cells = [
                _padded(_cut(cell, size, ellipsis), size, right=numeric)
                for cell, size, numeric in zip(row, widths, self._numeric, strict=True)
            ]
            yield _GAP.join(cells).rstrip()


def _narrowed(widths: Sequence[int], available: int, places: Collection[int]) -> list[int]:
    """Take what is too much off the widest of some columns, so that the narrow ones stay whole."""
    widths = list(widths)
    while places and sum(widths) > available:
        widest = max(places, key=lambda place: widths[place])
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
    return widths


def _cut(text: str, width: int, ellipsis: str) -> str:
    """Cut out of the middle: identifiers that begin alike are told apart by their ends."""
    if _width(text) <= width:
        return text
    room = width - len(ellipsis)
    if room < 2:
        return _first(text, width)
    tail = room // 2
    return _first(text, room - tail) + ellipsis + _first(text[::-1], tail)[::-1]


def _first(text: str, width: int) -> str:
    kept = 0
    for place, char in enumerate(text):
        kept += _width(char)
        if kept > width:
            return text[:place]
    return text


def _padded(text: str, width: int, *, right: bool) -> str:
    padding = " " * (width - _width(text))
    return padding + text if right else text + padding


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )
