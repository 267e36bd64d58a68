"""The blocks of code in the README."""

from __future__ import annotations

import re

from .support import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")

_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The texts of the blocks in a language, in their order."""
    return [match["text"] for match in _BLOCK.finditer(TEXT) if match["language"] == language]


def block_below(mark: str) -> str:
    """The block right below a comment `<!-- mark -->`."""
    below = TEXT.split(f"<!-- {mark} -->\n", 1)[1]
    match = _BLOCK.match(below)
    assert match is not None, mark
    return match["text"]
