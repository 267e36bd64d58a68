"""Charts as inline SVG.

Widths are in percent and heights in pixels, and there is no viewBox: a chart fills the page from a
phone to a sheet of paper, and its letters stay as large as all others. What stands beside a bar is
HTML around it, which breaks lines where there is no room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from nexuslims_store.report.blocks import Bar, Bars, Columns
from nexuslims_store.report.values import html

_HEIGHT = 220
_TOP, _BELOW = 12, 26
_PLOT = _HEIGHT - _TOP - _BELOW
_BAR = 12

# How many marks fit below the columns on a screen, on paper or a small screen, and on a phone; and
# how much of the width the last of them takes, in percent. A mark is at most ten characters wide,
# and begins where its column does.
_LAYOUTS = (("wide", 10, 9.0), ("medium", 6, 15.0), ("narrow", 3, 29.0))


def columns(chart: Columns) -> str:
    """Return stacked columns side by side."""
    step, top = _scale(max((bar.size for bar in chart.bars), default=0))
    lines = []
    for mark in range(0, top + 1, step):
        y = _TOP + _PLOT - _PLOT * mark / top
        lines.append(
            f'<line class="grid" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="scale" x="-8" y="{y + 4:.1f}">{mark:,}</text>'
        )
    width = 100 / max(len(chart.bars), 1)
    # Wide columns with gaps where there are few; at most as wide as a finger is.
    thickness = min(width * 0.76, 12)
    for place, bar in enumerate(chart.bars):
        x = place * width
        lines.append(f"<g><title>{html(bar.label)}: {html(bar.says)}</title>")
        lines += _column(bar, x + (width - thickness) / 2, thickness, top)
        # What the pointer finds is the whole height.
        lines.append(
            f'<rect class="touch" x="{x:.3f}%" width="{width:.3f}%" y="{_TOP}" '
            f'height="{_PLOT}"/></g>'
        )
    lines += _marks([bar.mark for bar in chart.bars], width, (width - thickness) / 2)
    return (
        f'<svg class="columns" role="img" aria-label="{html(chart.title)}" width="100%" '
        f'height="{_HEIGHT}">\n<title>{html(chart.title)}</title>\n' + "\n".join(lines) + "\n</svg>"
    )


def _column(bar: Bar, x: float, width: float, top: int) -> Iterator[str]:
    y = float(_TOP + _PLOT)
    for kind, size in bar.parts.items():
        height = _PLOT * size / top
        y -= height
        yield (
            f'<rect class="part {kind.colour}" x="{x:.3f}%" width="{width:.3f}%" y="{y:.2f}" '
            f'height="{height:.2f}"/>'
        )


def _marks(marks: Sequence[str], width: float, indent: float) -> Iterator[str]:
    """Yield what stands below the columns, each in the layouts that have room for it."""
    shown: dict[int, list[str]] = {}
    for layout, most, room in _LAYOUTS:
        chosen = [place for place, mark in enumerate(marks) if mark]
        every = -(-len(chosen) // most)
        for place in chosen[::every] if every else ():
            if place * width + indent + room <= 100:
                shown.setdefault(place, []).append(layout)
    for place, layouts in sorted(shown.items()):
        x = place * width + indent
        yield (
            f'<g class="mark {" ".join(layouts)}"><line x1="{x:.3f}%" x2="{x:.3f}%" '
            f'y1="{_TOP + _PLOT}" y2="{_TOP + _PLOT + 5}"/>'
            f'<text class="label" x="{x:.3f}%" y="{_HEIGHT - 6}">{html(marks[place])}</text></g>'
        )


def bars(chart: Bars) -> str:
    """Return stacked bars one below the other, each under its label."""
    longest = max((bar.size for bar in chart.bars), default=0) or 1
    lines = []
    for bar in chart.bars:
        x, rects = 0.0, []
        for kind, size in bar.parts.items():
            width = 100 * size / longest
            rects.append(
                f'<rect class="part {kind.colour}" x="{x:.3f}%" width="{width:.3f}%" '
                f'height="{_BAR}"/>'
            )
            x += width
        lines.append(
            f'<li><span class="name"><bdi>{html(bar.label)}</bdi></span> '
            f'<span class="says">{html(bar.says)}</span>'
            f'<svg class="bar" width="100%" height="{_BAR}" aria-hidden="true">'
            f'<rect class="track" width="100%" height="{_BAR}"/>{"".join(rects)}</svg></li>'
        )
    return f'<ul class="bars" aria-label="{html(chart.title)}">\n' + "\n".join(lines) + "\n</ul>"


def _scale(highest: float) -> tuple[int, int]:
    """Return the step between two lines of a scale, a round number, and its end: 3 to 5 steps."""
    for power in count():
        for factor in (1, 2, 5):
            step = factor * 10**power
            if highest <= 5 * step:
                return step, max(3 * step, -int(-highest // step) * step)
    raise AssertionError("the steps do not run out")
