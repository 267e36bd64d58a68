"""What is stored, as text that may stand in a page."""

from __future__ import annotations

import re
from html import escape

from nexuslims_store.display import cut, printable, shown

# What differs from one failure to the next although the cause is one: addresses, hashes, numbers of
# records. A short number, or one that is called a code, says what the cause is.
_CODE = r"^\d{3}\b|\b(?:HTTP(?:/[\d.]+)?|status|code|error|errno)\W{0,3}\d+\b"
_OWN = re.compile(
    rf"(?P<code>{_CODE})|https?://\S+|\b(?=[a-f-]*\d)[\da-f]{{8,}}(?:-[\da-f]+)*\b|\b\d{{3,}}\b",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"https?://[^\s<>\"\\^`{|}]{1,2000}", re.IGNORECASE)


def cause_of(error: object) -> str:
    """Return what the stored errors of one cause have in common.

    That is the first line, without what is its own.
    """
    if not isinstance(error, str):
        return "no reason given" if error is None else cut(shown(error))
    lines = shown(error)[:2000].strip().splitlines() or ["no reason given"]
    return cut(_OWN.sub(lambda found: found["code"] or "…", " ".join(lines[0].split())))


def html(text: str) -> str:
    """Return a text as HTML: no markup, nothing invisible, not without end."""
    # Among what cannot be printed are NUL, which no page may hold, and marks that turn the
    # direction of all text after them.
    return escape(printable(cut(text)))


def address(text: str) -> str | None:
    """Return what a link to a web page points at, None where a text is no address of one."""
    return escape(text) if _ADDRESS.fullmatch(text) and text.isprintable() else None
