"""What the package advises: nothing that deletes what was recorded, or loses what is still good."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.support import ROOT

PACKAGE = ROOT / "nexuslims_store"

DESTROYS = re.compile(
    r"DELETE FROM|DROP (TABLE|COLUMN|INDEX|VIEW|TRIGGER)|\bDROP what\b|sessions delete|"
    r"instruments remove|users remove|bring back|restore (a|an|the|BACKUP)\b|"
    r"\brm |\b(delete|remove) (the |this |that |these |those )?"
    r"(file|database|row|session|event|log|upload|instrument)s?\b|--no-backup|"
    # What says so is whose tables the file has, beside a revision that nobody knows.
    r"--force(?!` says so)"
)

# Where such words stand and are no advice, or nothing gentler is left.
EXEMPT = {
    "cli/sessions.py": "the command that deletes sessions, asked for by its name",
    "cli/instruments.py": "the command that removes an instrument, asked for by its name",
    "cli/users.py": "the command that removes identifiers, asked for by its name",
    "cli/migrate.py": "options of the command",
    "migrations/": "statements that are run, in a transaction that is checked",
    "recognition/": "a trigger whose text is kept first, a table that only a backup has, and a "
    "stamp that overrides a revision nobody knows, whose tables are known",
    "tables.py": "statements that are compiled, and not run",
}


def texts(module: Path) -> Iterator[tuple[int, str]]:
    """The texts of a module with their lines, docstrings aside; gaps of f-strings are `{}`."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    aside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            aside.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            aside.update(id(part) for part in node.values)
            parts = (p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
            yield node.lineno, "".join(map(str, parts))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in aside:
            yield node.lineno, node.value


def test_no_message_advises_what_destroys() -> None:
    found: dict[str, list[str]] = {}
    for module in sorted(PACKAGE.rglob("*.py")):
        name = module.relative_to(PACKAGE).as_posix()
        part = next((part for part in EXEMPT if name.startswith(part)), name)
        for line, text in texts(module):
            if DESTROYS.search(text):
                found.setdefault(part, []).append(f"{name}:{line}: {text}")
    assert {part: lines for part, lines in found.items() if part not in EXEMPT} == {}
    assert EXEMPT.keys() - found.keys() == set(), "exempt, but with no need of it"


@pytest.mark.parametrize(
    "advice",
    [
        "nexuslims-store instruments add, or nexuslims-store sessions delete",
        'sqlite3 a.db "DELETE FROM session_log WHERE id_session_log IN (1, 2)"',
        "restore a backup, or put the table right",
        "nexuslims-store restore BACKUP",
        "DROP what the message names",
        "delete the session logs first",
        "nexuslims-store migrate stamp v2_5_0b --force",
        "rm nexuslims.db-wal",
    ],
)
def test_the_search_finds_such_advice(advice: str) -> None:
    assert DESTROYS.search(advice)


@pytest.mark.parametrize(
    "advice",
    [
        "nexuslims-store restore latest  (keeps this file as well)",
        "nexuslims-store instruments update Titan --timezone '<IANA time zone>'",
        "nexuslims-store migrate",
        "its tables are those of v2_5_0b: `nexuslims-store migrate stamp v2_5_0b --force` says so",
    ],
)
def test_the_search_leaves_good_advice(advice: str) -> None:
    assert not DESTROYS.search(advice)
