"""Charts as inline SVG.

Widths are in percent and heights in pixels, and there is no viewBox: a chart fills the page from a
phone to a sheet of paper, and its letters stay as large as all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from nexuslims_store.report.text import cut_out, safe

__all__ = ["Bar", "columns", "rows"]

_GUTTER = 8.0  # percent, for the numbers of the scale
_HEIGHT = 220
_TOP, _BELOW = 12, 26
_ROW = 46


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes
    ----------
    label
        What it stands for.
    parts
        What it is made of, in order, name to size.
    says, more
        Its size in words; `more` where there is room.
    """

    label: str
    parts: Mapping[str, float]
    says: str = ""
    more: str = ""


def columns(title: str, bars: Sequence[Bar], colours: Mapping[str, str]) -> str:
    """Return stacked columns side by side."""
    step, top = _scale(max((sum(bar.parts.values()) for bar in bars), default=0))
    plot = _HEIGHT - _TOP - _BELOW
    lines = []
    for mark in range(0, top + 1, step):
        y = _TOP + plot - plot * mark / top
        lines.append(
            f'<line class="grid" x1="{_GUTTER}%" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="scale" x="{_GUTTER - 1}%" y="{y + 4:.1f}">{mark:,}</text>'
        )
    width = (100 - _GUTTER) / max(len(bars), 1)
    for place, bar in enumerate(bars):
        x = _GUTTER + place * width
        y = float(_TOP + plot)
        for name, size in bar.parts.items():
            height = plot * size / top
            y -= height
            lines.append(
                f'<rect x="{x + width * 0.14:.3f}%" width="{width * 0.72:.3f}%" y="{y:.2f}" '
                f'height="{height:.2f}" fill="{colours[name]}">'
                f"<title>{safe(bar.label)}: {size:,.0f} {safe(name)}</title></rect>"
            )
        # On a narrow screen there is room for every third label only, counted from the last.
        few = "" if (len(bars) - 1 - place) % 3 == 0 else " more"
        lines.append(
            f'<text class="label{few}" x="{x + width / 2:.3f}%" y="{_HEIGHT - 8}">'
            f"{safe(bar.label)}</text>"
        )
    return _svg(title, _HEIGHT, lines)


def rows(title: str, bars: Sequence[Bar], colours: Mapping[str, str]) -> str:
    """Return stacked bars one below the other, each under its label."""
    longest = max((sum(bar.parts.values()) for bar in bars), default=0) or 1
    lines = []
    for place, bar in enumerate(bars):
        y = place * _ROW
        lines.append(
            f'<text x="0" y="{y + 15}">{safe(cut_out(bar.label, 38))}</text>'
            f'<text class="says" x="100%" y="{y + 15}">{safe(bar.says)}'
            f'<tspan class="more">{safe(bar.more)}</tspan></text>'
            f'<rect class="track" x="0" width="100%" y="{y + 22}" height="14"/>'
        )
        x = 0.0
        for name, size in bar.parts.items():
            width = 100 * size / longest
            lines.append(
                f'<rect x="{x:.3f}%" width="{width:.3f}%" y="{y + 22}" height="14" '
                f'fill="{colours[name]}"><title>{safe(bar.label)}: {size:,.0f} {safe(name)}'
                "</title></rect>"
            )
            x += width
    return _svg(title, len(bars) * _ROW, lines)


def _svg(title: str, height: int, lines: Sequence[str]) -> str:
    content = "\n".join(lines)
    return (
        f'<svg role="img" aria-label="{safe(title)}" width="100%" height="{height}">\n'
        f"<title>{safe(title)}</title>\n{content}\n</svg>"
    )


def _scale(highest: float) -> tuple[int, int]:
    """Return the step between two lines of a scale, a round number, and its end: 3 to 5 steps."""
    for power in count():
        for factor in (1, 2, 5):
            step = factor * 10**power
            if highest <= 5 * step:
                return step, max(3 * step, -int(-highest // step) * step)
    raise AssertionError("the steps do not run out")
