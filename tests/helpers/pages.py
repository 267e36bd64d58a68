"""A report's page as tests read it: parsed, and measured in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest


class Page(HTMLParser):
    """The tables of a page by caption, as rows of texts; its elements and links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]
        if tag != "meta":
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
    """The tables of a page by caption, without the count in it; each begins with its head."""
    return Page(page).tables


BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="needs chromium, chromium-browser or google-chrome in PATH"
)

# The page has no script of its own; this one stands around it and measures.
MEASURE = """<!DOCTYPE html><body>
FRAMES
<pre id="measured"></pre>
<script>
const measure = frame => {
  const page = frame.contentDocument, all = s => [...page.querySelectorAll(s)];
  const style = e => frame.contentWindow.getComputedStyle(e);
  const box = e => { const r = e.getBoundingClientRect();
    return {left: r.left, right: r.right, top: r.top, bottom: r.bottom,
            width: r.width, height: r.height}; };
  const seen = e => e.getBoundingClientRect().width > 0;
  return {
    scroll: page.documentElement.scrollWidth,
    widest: Math.max(...all("body *").filter(e => !e.closest("svg") || e.localName == "svg")
      .map(e => e.getBoundingClientRect().right)),
    body: style(page.body).backgroundColor,
    colour: style(page.body).color,
    text: page.body.innerText,
    hacked: [window.hacked, frame.contentWindow.hacked],
    elements: all("*").map(e => e.localName),
    verdict: box(page.querySelector(".verdict")),
    chart: all("svg.columns").map(e => { const r = box(e);
      const padding = parseFloat(style(e).paddingLeft);
      return {...r, left: r.left + padding, width: r.width - padding}; }),
    columns: all("svg.columns g:not(.mark)").map(g => ({
      says: g.querySelector("title").textContent,
      parts: [...g.querySelectorAll(".part")].map(box)})),
    labels: all("svg.columns text").filter(seen).map(e => ({...box(e), text: e.textContent})),
    bars: all("ul.bars").map(ul => [...ul.querySelectorAll("li")].map(li => ({
      name: box(li.querySelector(".name bdi")), says: box(li.querySelector(".says")),
      track: box(li.querySelector("svg")), text: li.querySelector(".says").textContent,
      parts: [...li.querySelectorAll(".part")].map(box)}))),
    letters: all("svg text, td, th, p, li").filter(seen).map(e =>
      parseFloat(style(e).fontSize)),
    numbers: all("td.number").filter(seen).map(e => style(e).textAlign),
  };
};
onload = () => {
  measured.textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(measure));
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


def measure(
    folder: Path,
    pages: dict[str, tuple[str, int]],
    dark: dict[str, tuple[str, int]] | None = None,
) -> dict[str, Any]:
    """Measure pages, each in a frame of its own width, by the names they are given.

    Those of `dark` are as for a reader who prefers that: a page in a frame is told to be as the
    frame is.
    """
    dark = dark or {}
    frames = "\n".join(
        f'<iframe width="{width}" height="1200" style="border: 0; color-scheme: {scheme}" '
        f'srcdoc="{html.escape(page)}"></iframe>'
        for scheme, framed in (("light", pages), ("dark", dark))
        for page, width in framed.values()
    )
    file = folder / "measure.html"
    file.write_text(MEASURE.replace("FRAMES", frames), encoding="utf-8")
    dump = browse(folder, "--window-size=1300,1300", "--dump-dom", file.as_uri())
    (found,) = re.findall(r'<pre id="measured">(.+?)</pre>', dump, re.S)
    return dict(zip(pages | dark, json.loads(html.unescape(found)), strict=True))
