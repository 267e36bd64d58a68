"""The charts of a report, measured as they are written: what is how long, and stands where."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from xml.etree import ElementTree as ET

import pytest

from nexuslims_store.report import charts
from nexuslims_store.report.blocks import Bar, Bars, Columns, Kind

GOOD, BAD = Kind("good", "GOOD", "done"), Kind("bad", "BAD", "failed")
HEIGHT, FLOOR, CEILING = 220, 194, 12  # of a chart, and of what its columns stand on and reach


def number(element: ET.Element, name: str) -> float:
    return float(element.attrib[name].removesuffix("%"))


def columns(*sizes: tuple[int, int], marks: Sequence[str] = ()) -> ET.Element:
    given = marks or [""] * len(sizes)
    made = [
        Bar(f"<{place}>", {GOOD: good, BAD: bad}, f"{good} & {bad}", mark)
        for place, ((good, bad), mark) in enumerate(zip(sizes, given, strict=True))
    ]
    return ET.fromstring(charts.columns(Columns("Sessions & more", made)))


@pytest.mark.parametrize(
    ("highest", "scale"),
    [
        *((highest, "0 1 2 3") for highest in (0, 1, 3)),
        (4, "0 1 2 3 4"),
        (5, "0 1 2 3 4 5"),
        (6, "0 2 4 6"),
        (9, "0 2 4 6 8 10"),
        (10, "0 2 4 6 8 10"),
        (11, "0 5 10 15"),
        (25, "0 5 10 15 20 25"),
        (26, "0 10 20 30"),
        (4501, "0 1,000 2,000 3,000 4,000 5,000"),
    ],
)
def test_a_scale_has_round_steps_up_to_what_is_highest(highest: int, scale: str) -> None:
    chart = columns((highest, 0), (0, 0))
    words = chart.findall("text[@class='scale']")
    assert " ".join(word.text or "" for word in words) == scale
    lines = chart.findall("line[@class='grid']")
    heights = [number(line, "y1") for line in lines]
    assert heights == [number(line, "y2") for line in lines]
    assert (heights[0], heights[-1]) == (FLOOR, CEILING)
    steps = [below - above for below, above in pairwise(heights)]
    assert max(steps) - min(steps) < 0.3  # they are rounded
    assert [number(word, "y") for word in words] == [pytest.approx(y + 4) for y in heights]
    assert {(line.get("x1"), line.get("x2")) for line in lines} == {("0", "100%")}


@pytest.mark.parametrize(
    ("sizes", "thickness"),
    [
        ([(3, 1)], 12),
        ([(3, 1), (0, 4), (7, 0)], 12),
        ([(place, 20 - place) for place in range(20)], 5 * 0.76),
        ([(1, 0)] * 60, 100 / 60 * 0.76),
    ],
)
def test_columns_stand_side_by_side_as_high_as_what_they_say(
    sizes: list[tuple[int, int]], thickness: float
) -> None:
    chart = columns(*sizes)
    assert chart.attrib["height"] == str(HEIGHT)
    most = int((chart.findall("text")[-1].text or "").replace(",", ""))
    room = 100 / len(sizes)
    for place, (column, parts) in enumerate(zip(chart.findall("g"), sizes, strict=True)):
        assert column.findtext("title") == f"<{place}>: {parts[0]} & {parts[1]}"
        touched = column.find("rect[@class='touch']")
        assert touched is not None
        assert number(touched, "x") == pytest.approx(room * place, abs=0.001)
        assert number(touched, "width") == pytest.approx(room, abs=0.001)
        assert (touched.get("y"), touched.get("height")) == ("12", "182")
        drawn = [one for one in column.findall("rect") if one is not touched]
        assert [one.attrib["class"] for one in drawn] == ["part done", "part failed"]
        heights = [(FLOOR - CEILING) * part / most for part in parts]
        for one, height, top in zip(drawn, heights, accumulate(heights), strict=True):
            assert number(one, "width") == pytest.approx(thickness, abs=0.001)
            middle = number(one, "x") + number(one, "width") / 2
            assert middle == pytest.approx(room * (place + 0.5), abs=0.002)
            assert number(one, "height") == pytest.approx(height, abs=0.01)
            assert number(one, "y") == pytest.approx(FLOOR - top, abs=0.01)


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        (1, {"wide": [0], "medium": [0], "narrow": [0]}),
        (3, {"wide": [0, 1, 2], "medium": [0, 1, 2], "narrow": [0, 1]}),
        (4, {"wide": [0, 1, 2, 3], "medium": [0, 1, 2, 3], "narrow": [0, 2]}),
        (10, {"wide": [*range(9)], "medium": [0, 2, 4, 6, 8], "narrow": [0, 4]}),
        (11, {"wide": [0, 2, 4, 6, 8], "medium": [0, 2, 4, 6, 8], "narrow": [0, 4]}),
        # The last mark has just room for its letters, and more would not fit.
        (19, {"wide": [*range(0, 18, 2)], "medium": [*range(0, 19, 4)], "narrow": [0, 7]}),
        (20, {"wide": [*range(0, 20, 2)], "medium": [*range(0, 20, 4)], "narrow": [0, 7, 14]}),
        (
            60,
            {"wide": [*range(0, 60, 6)], "medium": [*range(0, 60, 10)], "narrow": [0, 20, 40]},
        ),
    ],
)
def test_as_many_marks_stand_below_the_columns_as_there_is_room(
    parts: int, shown: dict[str, list[int]]
) -> None:
    chart = columns(*[(1, 2)] * parts, marks=[f"<{place}>" for place in range(parts)])
    marks = [one for one in chart.findall("g") if "mark" in one.attrib.get("class", "")]
    found: dict[str, list[int]] = {}
    for one in marks:
        place = int((one.findtext("text") or "").strip("<>"))
        line, text = one.find("line"), one.find("text")
        part = chart.findall("g")[place].find("rect")
        assert line is not None
        assert text is not None
        assert part is not None
        assert {line.attrib["x1"], line.attrib["x2"], text.attrib["x"]} == {part.attrib["x"]}
        assert (line.attrib["y1"], line.attrib["y2"]) == (str(FLOOR), str(FLOOR + 5))
        assert text.attrib["y"] == str(HEIGHT - 6)  # below the line, with all its letters
        for layout in one.attrib["class"].split()[1:]:
            found.setdefault(layout, []).append(place)
    assert found == shown


def test_a_column_without_a_mark_has_none() -> None:
    chart = columns((1, 0), (1, 0), (1, 0), marks=["", "2025-06", ""])
    (mark,) = [one for one in chart.findall("g") if "mark" in one.attrib.get("class", "")]
    assert mark.findtext("text") == "2025-06"
    assert not columns((1, 0)).findall("g/line")


@pytest.mark.parametrize("sizes", [[], [(0, 0)], [(3, 1), (0, 2), (1, 0)], [(0.25, 0.125)]])
def test_bars_are_as_long_as_what_they_say_and_lie_end_to_end(
    sizes: list[tuple[float, float]],
) -> None:
    made = [Bar(f"<{good}>", {GOOD: good, BAD: bad}, f"{good} & {bad}") for good, bad in sizes]
    chart = ET.fromstring(charts.bars(Bars("Use & more", made)))
    assert chart.attrib["aria-label"] == "Use & more"
    most = max(map(sum, sizes), default=0) or 1
    for bar, parts in zip(chart.findall("li"), sizes, strict=True):
        assert bar.findtext("span/bdi") == f"<{parts[0]}>"
        assert bar.findtext("span[@class='says']") == f"{parts[0]} & {parts[1]}"
        track, *drawn = bar.findall("svg/rect")
        assert track.attrib == {"class": "track", "width": "100%", "height": "12"}
        begin = 0.0
        for one, kind, part in zip(drawn, ("done", "failed"), parts, strict=True):
            assert one.attrib["class"] == f"part {kind}"
            assert one.attrib["height"] == track.attrib["height"]
            assert number(one, "x") == pytest.approx(begin, abs=0.001)
            assert number(one, "width") == pytest.approx(100 * part / most, abs=0.001)
            begin += 100 * part / most


def test_a_chart_of_nothing_has_a_scale() -> None:
    chart = columns()
    assert [one.text for one in chart.findall("text")] == ["0", "1", "2", "3"]
    assert not chart.findall("g")
    assert chart.findtext("title") == chart.attrib["aria-label"] == "Sessions & more"
