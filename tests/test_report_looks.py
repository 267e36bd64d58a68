"""How the report looks in a real browser: on a screen, on a phone, in the dark, on paper."""

from __future__ import annotations

import json
import re
import zlib
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from helpers.pages import browse, measure, needs_browser
from helpers.reports import HOSTILE, NOW, fill_with_hostile, fill_years
from helpers.shared import once

from nexuslims_store import Store, demo, report

pytestmark = [needs_browser, pytest.mark.slow]

WEEKS = (1, 2, 4, 5, 12, 52, 60, 104, 260, 300, 600, 1040)
WIDTHS = (320, 390, 700, 1200)


@pytest.fixture(scope="module")
def demo_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = demo.create(tmp_path_factory.mktemp("demo") / "demo.db", now=NOW)
    with Store(path, read_only=True) as store:
        return report.render(store, NOW)


def all_pages(demo_page: str) -> dict[str, tuple[str, int]]:
    """Pages of all lengths in all widths, and that of hostile values."""
    pages = {f"demo {width}": (demo_page, width) for width in WIDTHS}
    with Store(":memory:", clock=lambda: NOW) as store:
        fill_years(store, 20)
        for weeks in WEEKS:
            page = report.render(store, NOW, weeks=weeks)
            pages |= {f"{weeks} weeks {width}": (page, width) for width in WIDTHS}
    with Store(":memory:", clock=lambda: NOW) as store:
        fill_with_hostile(store)
        page = report.render(store, NOW)
    return pages | {f"hostile {width}": (page, width) for width in (390, 1200)}


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory, demo_page: str) -> dict[str, Any]:
    """All pages, measured at once, and by one process for all those of the run."""

    def made(folder: Path) -> None:
        found = measure(folder, all_pages(demo_page), dark={"demo dark": (demo_page, 800)})
        (folder / "looks.json").write_text(json.dumps(found), encoding="utf-8")

    folder = once(tmp_path_factory, "looks", made)
    found: dict[str, Any] = json.loads((folder / "looks.json").read_text(encoding="utf-8"))
    return found


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    return (
        one["left"] < other["right"]
        and other["left"] < one["right"]
        and one["top"] < other["bottom"]
        and other["top"] < one["bottom"]
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["demo", *(f"{weeks} weeks" for weeks in WEEKS)])
def test_it_fits_the_screen(looks: dict[str, Any], name: str, width: int) -> None:
    found = looks[f"{name} {width}"]
    assert found["scroll"] <= width
    assert found["widest"] <= width
    assert min(found["letters"]) >= 11.5
    assert set(found["numbers"]) == {"right"} or width < 640
    assert found["verdict"]["bottom"] < 300  # at first glance


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("weeks", WEEKS)
def test_labels_never_overlap_and_columns_stay_inside(
    looks: dict[str, Any], weeks: int, width: int
) -> None:
    found = looks[f"{weeks} weeks {width}"]
    (chart,) = found["chart"]
    labels = found["labels"]
    assert not [
        (one["text"], other["text"])
        for one, other in combinations(labels, 2)
        if overlap(one, other)
    ]
    assert len(labels) >= 5  # the scale, and what the first column is
    for label in labels:
        assert label["left"] >= 0
        assert label["right"] <= min(chart["right"] + 1, width)
    for column in found["columns"]:
        for part in column["parts"]:
            assert part["left"] >= chart["left"] - 0.1
            assert part["right"] <= chart["right"] + 0.1
            assert part["top"] >= chart["top"] - 0.1
            assert part["bottom"] <= chart["bottom"]
            assert part["width"] >= 2  # to be seen
    lefts = [column["parts"][0]["left"] for column in found["columns"] if column["parts"]]
    assert lefts == sorted(lefts)
    for bars in found["bars"]:
        for bar in bars:
            assert not overlap(bar["name"], bar["says"])
            for part in bar["parts"]:
                assert part["left"] >= bar["track"]["left"] - 0.1
                assert part["right"] <= bar["track"]["right"] + 0.1


def test_bars_are_as_long_as_what_they_say(looks: dict[str, Any]) -> None:
    found = looks["demo 1200"]
    columns = [
        (
            int(re.findall(r": ([\d,]+)", column["says"])[0]),
            sum(p["height"] for p in column["parts"]),
        )
        for column in found["columns"]
        if column["parts"]
    ]
    use = [
        (float(bar["text"].partition(" ")[0]), bar["parts"][0]["width"]) for bar in found["bars"][0]
    ]
    for sizes in (columns, use):
        assert len(sizes) >= 6
        most, length = max(sizes)
        assert length > 60
        for number, measured in sizes:
            assert measured == pytest.approx(length * number / most, rel=0.02, abs=1)


def test_columns_are_stacked_without_gap_or_overlap(looks: dict[str, Any]) -> None:
    for column in looks["demo 1200"]["columns"]:
        for below, above in pairwise(column["parts"]):
            assert above["bottom"] == pytest.approx(below["top"], abs=0.05)


def brightness(colour: str) -> float:
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3


def test_it_is_light_or_dark_as_the_reader_wants(looks: dict[str, Any]) -> None:
    light, dark = looks["demo 1200"], looks["demo dark"]
    assert brightness(light["body"]) > 240
    assert brightness(light["colour"]) < 80
    assert brightness(dark["body"]) < 50
    assert brightness(dark["colour"]) > 200


def test_hostile_values_are_shown_and_do_nothing(looks: dict[str, Any]) -> None:
    for width in (390, 1200):
        found = looks[f"hostile {width}"]
        assert found["hacked"] == [None, None]
        assert not {"script", "img"} & set(found["elements"])
        assert HOSTILE in found["text"]
        assert found["scroll"] <= width
        assert found["widest"] <= width


def texts_of(pdf: bytes) -> bytes:
    """What a PDF's streams hold, unpacked."""
    return b"".join(
        zlib.decompressobj().decompress(stream)
        for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.S)
        if stream[:1] == b"x"
    )


def test_what_is_folded_away_is_printed(demo_page: str, tmp_path: Path) -> None:
    sizes = []
    for name, page in (
        ("whole", demo_page),
        ("without", re.sub(r"<details>.*?</details>", "", demo_page, flags=re.S)),
    ):
        (tmp_path / f"{name}.html").write_text(page)
        browse(
            tmp_path,
            "--no-pdf-header-footer",
            f"--print-to-pdf={tmp_path / 'page.pdf'}",
            (tmp_path / f"{name}.html").as_uri(),
        )
        pdf = (tmp_path / "page.pdf").read_bytes()
        assert pdf.startswith(b"%PDF")
        sizes.append(len(texts_of(pdf)))
    assert sizes[0] > 1.2 * sizes[1]
