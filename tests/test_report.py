"""The report: what it counts, what it refuses, and how it looks in a real browser."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nexuslims_store import Instrument, RecordStatus, Store, UploadLog, demo, report

NOW = datetime(2025, 6, 3, 12, 0, tzinfo=UTC)  # a Tuesday
HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='parent.hacked = 1'>\"'&"


def instrument(pid: str, timezone: str = "UTC") -> Instrument:
    return Instrument(
        instrument_pid=pid,
        api_url=f"https://nemo.example.com/api/tools/?id={abs(hash(pid))}",
        calendar_url="",
        location="",
        display_name=pid,
        property_tag="",
        filestore_path=f"./{abs(hash(pid))}",
        timezone_str=timezone,
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty database on disk."""
    with Store(tmp_path / "facility.db", migrate=True, clock=lambda: NOW) as store:
        yield store


@pytest.fixture(scope="module")
def demo_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = demo.create(tmp_path_factory.mktemp("demo") / "demo.db", now=NOW)
    with Store(path, read_only=True) as store:
        return report.render(store, NOW)


class Page(HTMLParser):
    """The tables of a page by caption, as rows of texts, and its elements' names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.open: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag not in {"meta", "wbr"}:
            self.open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in {"th", "td"}:
            self._rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "table":
            self.tables[re.sub(r" \([\d,]+\)$", "", self._caption)] = self._rows

    def handle_data(self, data: str) -> None:
        if "caption" in self.open:
            self._caption += data
        elif self.open and {"th", "td"} & set(self.open):
            self._rows[-1][-1] += data


def tables(page: str) -> dict[str, list[list[str]]]:
    return Page(page).tables


# -- what it says ----------------------------------------------------------------------


def test_an_empty_database(store: Store) -> None:
    page = report.render(store, NOW)
    assert "There were no sessions" in page
    assert "There are no instruments" in page
    assert "There were no uploads" in page


def test_sessions_count_in_the_week_they_began_in(store: Store) -> None:
    store.instruments.add(instrument("A", "Pacific/Auckland"))
    for name, start, status in (
        ("sunday", datetime(2025, 6, 1, 23, 59, tzinfo=UTC), "COMPLETED"),
        ("monday", datetime(2025, 6, 2, tzinfo=UTC), "COMPLETED"),
        ("late", datetime(2025, 6, 3, 11, 59, tzinfo=UTC), "ERROR"),
        ("old", datetime(2024, 6, 3, tzinfo=UTC), "COMPLETED"),
        ("future", datetime(2025, 6, 3, 12, 1, tzinfo=UTC), "COMPLETED"),
    ):
        store.sessions.add(name, "A", start, start + timedelta(hours=1), "u", RecordStatus(status))
    page = report.render(store, NOW)
    head, *rows = tables(page)["Sessions that began in each week"]
    assert head == ["week of", "COMPLETED", "ERROR", "all"]
    assert rows[-2:] == [["2025-05-26", "1", "0", "1"], ["2025-06-02", "1", "1", "2"]]
    assert tables(page)["Use of each instrument in these weeks"][1] == ["A", "3", "3.0", "1.0"]
    assert dict(tables(page)["All sessions by status, whenever they were"][1:]) == {
        "COMPLETED": "4",
        "ERROR": "1",
    }


def test_the_figures_are_those_of_the_repositories(tmp_path: Path) -> None:
    path = demo.create(tmp_path / "demo.db", now=NOW)
    with Store(path, read_only=True, clock=lambda: NOW) as store:
        found = tables(report.render(store, NOW, weeks=60))
        counts = {status.value: n for status, n in store.sessions.counts_by_status().items()}
        assert {
            status: int(n) for status, n in found["All sessions by status, whenever they were"][1:]
        } == counts
        _, *weeks = found["Sessions that began in each week"]
        assert sum(int(week[-1]) for week in weeks) == sum(counts.values())
        use = {row[0]: row[1:3] for row in found["Use of each instrument in these weeks"][1:]}
        for activity in store.instruments.activity():
            sessions, hours = use[activity.instrument_pid]
            assert int(sessions) == activity.sessions_total
            total = sum(
                (
                    session.duration
                    for session in store.sessions.iter_between(NOW - timedelta(weeks=60), NOW)
                    if session.instrument.name == activity.instrument_pid
                ),
                timedelta(),
            )
            assert float(hours) == pytest.approx(total / timedelta(hours=1), abs=0.06)
        oldest = found["To be built, the oldest first"][1]
        assert oldest[0] == store.sessions.list_to_build()[0].session_identifier
        assert len(found["Being built"]) == 1 + 2
        (destinations,) = (t for name, t in found.items() if name.startswith("Attempts in"))
        failed = {row[0]: int(row[3]) for row in destinations[1:]}
        assert failed == store.upload_logs.count_failed()


def test_work_that_failed_is_named_the_latest_first_and_the_rest_counted(store: Store) -> None:
    store.instruments.add(instrument("A"))
    for number in range(25):
        start = NOW - timedelta(days=30 - number)
        store.sessions.add(
            f"s{number}", "A", start, start + timedelta(hours=1), None, RecordStatus.ERROR
        )
        store.upload_logs.insert(
            UploadLog(
                session_identifier=f"s{number}",
                destination_name="cdcs",
                success=False,
                timestamp=start,
                error_message="HTTP 500",
            )
        )
    page = report.render(store, NOW)
    found = tables(page)
    assert [row[0] for row in found["Builds that failed, the latest first"][1:]] == [
        f"s{number}" for number in range(24, 14, -1)
    ]
    assert found["Uploads that failed, the latest first"][1][0] == "s24"
    assert page.count("<p>and 15 more</p>") == 2


def test_rows_that_no_model_takes_keep_nobody_from_a_report(store: Store) -> None:
    store.instruments.add(instrument("A"))
    store.sessions.add("good", "A", NOW - timedelta(hours=3), NOW - timedelta(hours=2))
    store.sessions.add("bad", "A", NOW - timedelta(hours=3), NOW - timedelta(hours=2))
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.executescript(
            "PRAGMA ignore_check_constraints = ON;"
            "UPDATE session_log SET timestamp = 'never' WHERE session_identifier = 'bad';"
            "INSERT INTO session_log VALUES (90, CAST(x'41ff' AS TEXT), 'gone', x'00', 'START', "
            "'<b>ODD</b>', x'00');"
            "INSERT INTO upload_log VALUES (1, 's', CAST(x'ff' AS TEXT), 0, 'x', 1, 1, x'41', '{');"
            "UPDATE instruments SET timezone = 'nowhere'"
        )
    page = report.render(store, NOW)
    assert "&lt;b&gt;ODD&lt;/b&gt;" in page
    found = tables(page)
    assert found["To be built, but START and END make no session"][1][0] in {"bad", "good"}
    assert "\N{REPLACEMENT CHARACTER}" in found["Uploads that failed, the latest first"][1][1]


def test_a_store_in_memory_and_one_week() -> None:
    with Store(":memory:") as store:
        assert "There were no sessions" in report.render(store, NOW, weeks=1)
        with pytest.raises(ValueError, match="one week"):
            report.render(store, NOW, weeks=0)


# -- what it is made of ----------------------------------------------------------------


def test_it_needs_nothing_else(demo_page: str) -> None:
    page = Page(demo_page)
    assert not page.open
    assert not {"script", "link", "img", "iframe", "object", "a"} & set(page.elements)
    assert not re.search(r"\b(src|href|on\w+)\s*=|url\(|@import", demo_page)
    assert demo_page.isascii()


def test_every_chart_has_a_title_and_a_table(demo_page: str) -> None:
    sections = re.findall(r"<section.*?</section>", demo_page, re.S)
    assert len(sections) == 4
    for section in sections:
        assert "<table" in section
        for chart in re.findall(r'<svg role="img"[^>]*>\s*<\w+>', section):
            assert re.search(r'aria-label="[^"]{10,}"', chart)
            assert chart.endswith("<title>")
    assert '<html lang="en">' in demo_page


def fill_with_hostile(store: Store) -> None:
    for number in range(3):
        pid = f"{HOSTILE} {number} {'x' * 400}"
        store.instruments.add(instrument(pid))
        start = NOW - timedelta(hours=20 * number + 5)
        store.sessions.add(f"{HOSTILE}{number}", pid, start, start + timedelta(hours=3), HOSTILE)
        store.upload_logs.insert(
            UploadLog(
                session_identifier=f"{HOSTILE}{number}",
                destination_name=f"{HOSTILE}{number}",
                success=False,
                timestamp=NOW,
                error_message=f"{HOSTILE} \u202e\x1b[31m " + "y" * 10**6,
            )
        )


def test_every_value_is_escaped(store: Store) -> None:
    fill_with_hostile(store)
    page = report.render(store, NOW)
    elements = Page(page).elements
    assert not {"script", "img"} & set(elements)
    assert html.escape(HOSTILE) in page
    assert "&#8238;" not in page
    assert "\x1b" not in page
    assert len(page) < 100_000


# -- the command -----------------------------------------------------------------------


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "nexuslims_store", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | environment,
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.create(tmp_path_factory.mktemp("command") / "demo.db")


def test_the_command_prints_the_page(path: Path) -> None:
    done = command("--db", path, "report")
    assert (done.returncode, done.stderr) == (0, "")
    assert tables(done.stdout)["Use of each instrument in these weeks"]


def test_the_command_writes_a_file_and_replaces_it(path: Path, tmp_path: Path) -> None:
    output = tmp_path / "a report.html"
    for _ in range(2):
        done = command("--db", path, "report", "--output", output, "--weeks", 2)
        assert (done.returncode, done.stdout) == (0, "")
        assert str(output) in done.stderr
        assert output.read_text().endswith("</html>\n")
    assert [file.name for file in tmp_path.iterdir()] == [output.name]


def test_the_command_never_replaces_a_database(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (x)")
    (tmp_path / "link").symlink_to(path)
    before = path.read_bytes(), other.read_bytes()
    for output in (path, other, tmp_path / "link", f"{path}-wal", f"{path}-journal"):
        done = command("--db", path, "report", "--output", output)
        assert done.returncode == 2, output
        assert "takes its place" in done.stderr
    assert (path.read_bytes(), other.read_bytes()) == before
    assert not Path(f"{path}-wal").exists()


def test_the_command_on_a_folder_that_is_not_there(path: Path, tmp_path: Path) -> None:
    done = command("--db", path, "report", "--output", tmp_path / "none" / "report.html")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    done = command("--db", path, "report", "--output", tmp_path)
    assert done.returncode == 2
    assert not list(tmp_path.iterdir())


# -- in a browser ----------------------------------------------------------------------

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="needs chromium, chromium-browser or google-chrome in PATH"
)

# The page has no script of its own; this one stands around it and measures.
MEASURE = """<!DOCTYPE html><body>
<iframe id="frame" width="WIDTH" height="1200" style="border: 0" srcdoc="PAGE"></iframe>
<pre id="measured"></pre>
<script>
onload = () => {
  const page = frame.contentDocument, all = s => [...page.querySelectorAll(s)];
  const box = e => { const r = e.getBoundingClientRect();
    return {left: r.left, right: r.right, top: r.top, bottom: r.bottom,
            width: r.width, height: r.height}; };
  const seen = e => frame.contentWindow.getComputedStyle(e).display !== "none";
  measured.textContent = JSON.stringify({
    width: page.documentElement.scrollWidth,
    body: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
    colour: frame.contentWindow.getComputedStyle(page.body).color,
    text: page.body.innerText,
    hacked: [window.hacked, frame.contentWindow.hacked],
    elements: all("*").map(e => e.localName),
    charts: all("svg[role=img]").map(box),
    columns: all("#weeks svg[role=img] rect").map(e =>
      ({...box(e), says: e.querySelector("title").textContent})),
    labels: all("#weeks svg .label").filter(seen).map(box),
    bars: all("#use svg rect:not(.track)").map(e =>
      ({...box(e), says: e.querySelector("title").textContent})),
    names: all("#use svg text:not(.says)").map(box),
    says: all("#use svg text.says").map(box),
    letters: all("svg text, td, th, p").filter(seen).map(e =>
      parseFloat(frame.contentWindow.getComputedStyle(e).fontSize)),
    tables: all(".table").map(e => ({...box(e), inside: e.scrollWidth})),
  });
};
</script></body>"""


def browse(folder: Path, *arguments: str) -> str:
    """Run the browser with a profile of its own and return what it prints."""
    assert BROWSER is not None
    done = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={folder / 'profile'}", *arguments,
        ],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


Measure = Callable[[str, int], dict[str, Any]]


@pytest.fixture
def measure(tmp_path: Path) -> Measure:
    def in_browser(page: str, width: int) -> dict[str, Any]:
        file = tmp_path / "measure.html"
        text = MEASURE.replace("WIDTH", str(width)).replace("PAGE", html.escape(page))
        file.write_text(text, encoding="utf-8")
        dump = browse(tmp_path, "--window-size=1300,1300", "--dump-dom", file.as_uri())
        (found,) = re.findall(r'<pre id="measured">(.+?)</pre>', dump, re.S)
        measured: dict[str, Any] = json.loads(html.unescape(found))
        return measured

    return in_browser


@needs_browser
@pytest.mark.parametrize("width", [320, 375, 1200])
def test_it_fits_the_screen(demo_page: str, measure: Measure, width: int) -> None:
    found = measure(demo_page, width)
    assert found["width"] <= width
    assert min(found["letters"]) >= 11.5
    assert len(found["charts"]) == 3
    for chart in found["charts"]:
        assert chart["left"] >= 0
        assert chart["right"] <= width
        assert chart["width"] >= 0.8 * min(width, 960) - 40
    for one, other in pairwise(found["labels"]):
        assert one["right"] < other["left"]
    for name, says in zip(found["names"], found["says"], strict=True):
        assert name["right"] < says["left"]


@needs_browser
def test_bars_are_as_long_as_what_they_say(demo_page: str, measure: Measure) -> None:
    found = measure(demo_page, 1200)
    for measured, size in ((found["columns"], "height"), (found["bars"], "width")):
        sizes = [(int(re.findall(r": ([\d,]+) ", bar["says"])[0]), bar[size]) for bar in measured]
        assert len(sizes) >= 10
        number, length = max(sizes)
        assert length > 60
        for other, measured_length in sizes:
            # What is said is rounded to whole hours.
            assert measured_length == pytest.approx(length * other / number, rel=0.1, abs=4)
    assert max(bar["width"] for bar in found["bars"]) == pytest.approx(
        found["charts"][1]["width"], abs=1
    )
    names = found["text"]
    assert "Sessions per week" in names
    assert "FEI-Titan-STEM-635037" in names


@needs_browser
def test_columns_are_stacked_without_gap_or_overlap(demo_page: str, measure: Measure) -> None:
    weeks: dict[float, list[dict[str, Any]]] = {}
    for bar in measure(demo_page, 1200)["columns"]:
        weeks.setdefault(bar["left"], []).append(bar)
    assert len(weeks) >= 6
    for bars in weeks.values():
        for below, above in pairwise(bars):
            assert above["bottom"] == pytest.approx(below["top"], abs=0.05)


@needs_browser
def test_it_is_dark_on_light(demo_page: str, measure: Measure) -> None:
    found = measure(demo_page, 800)
    assert found["body"] == "rgb(255, 255, 255)"
    assert max(map(int, re.findall(r"\d+", found["colour"]))) < 80


@needs_browser
def test_hostile_values_are_shown_and_do_nothing(store: Store, measure: Measure) -> None:
    fill_with_hostile(store)
    found = measure(report.render(store, NOW), 375)
    assert found["hacked"] == [None, None]
    assert not {"script", "img"} & set(found["elements"])
    assert HOSTILE in found["text"]
    assert found["width"] <= 375


@needs_browser
def test_it_prints(demo_page: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(demo_page)
    browse(
        tmp_path,
        "--no-pdf-header-footer",
        f"--print-to-pdf={tmp_path / 'page.pdf'}",
        (tmp_path / "page.html").as_uri(),
    )
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
