"""Which tests reach which line: one run of the tests, measured by coverage."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import coverage

STATEMENT = re.compile(r"^-- name: (\w+)\((.*?)(?=^-- name: |\Z)", re.M | re.S)
NOT_HERE = "not soak and not interop"


def measure(checkout: Path, data: Path, tests: list[str]) -> None:
    """Run tests of a checkout, all where none are named; write which lines each reaches."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"),
            *("-m", f"{NOT_HERE} and not slow", "--cov=nexuslims_store", "--cov-branch"),
            *("--cov-context=test", "--cov-report=", *tests),
        ],
        cwd=checkout,
        env=os.environ | {"COVERAGE_FILE": str(data), "PYTHONPATH": str(checkout)},
        check=False,  # a test that fails here fails in the ordinary run too
    )


class Reach:
    """The tests that can notice a change.

    Parameters
    ----------
    data
        What `measure` wrote.
    checkout
        Where it ran.
    """

    def __init__(self, data: Path, checkout: Path) -> None:
        measured = coverage.CoverageData(str(data))
        measured.read()
        self._lines: dict[str, dict[int, set[str]]] = {}
        self._statements = {
            name: sql
            for path in (checkout / "sql").glob("*.sql")
            for name, sql in STATEMENT.findall(path.read_text(encoding="utf-8"))
        }
        self._checkout = checkout
        reached: Counter[str] = Counter()
        inside: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for path in measured.measured_files():
            lines = {
                line: {_function(context) for context in contexts if context}
                for line, contexts in measured.contexts_by_lineno(path).items()
            }
            self._lines[path] = lines
            for tests in lines.values():
                reached.update(tests)
                inside[path].update(tests)
        # How much of what a test reaches lies in a file: the more, the sooner it notices.
        self._nearness = {
            path: {test: count / reached[test] for test, count in tests.items()}
            for path, tests in inside.items()
        }

    def of_line(self, path: str, line: int) -> list[str]:
        """Tests that run a line of a module, the nearest first; of the module where none does."""
        lines = self._lines.get(path, {})
        tests = lines.get(line) or set().union(*lines.values())
        return self._sorted(path, tests)

    def of_statement(self, name: str) -> list[str]:
        """Tests that run a line which names a statement, or one that reads the view it makes.

        First those that name it themselves: they may run its text without any of our lines.
        """
        view = re.search(r"VIEW (?:IF NOT EXISTS )?(\w+)", self._statements[name])
        names = rf"\b({name}|{view[1]})\b" if view else rf"\b{name}\b"
        found = [
            path.relative_to(self._checkout).as_posix()
            for path in sorted((self._checkout / "tests").glob("test_*.py"))
            if re.search(names, path.read_text(encoding="utf-8"))
        ]
        for other, sql in self._statements.items():
            if view and other != name and re.search(rf"\b{view[1]}\b", sql):
                found += self.of_statement(other)
        for module, lines in self._lines.items():
            text = (self._checkout / module).read_text(encoding="utf-8").splitlines()
            for line, tests in lines.items():
                if line <= len(text) and re.search(rf"\b{name}\b", text[line - 1]):
                    found += self._sorted(module, tests)
        return list(dict.fromkeys(found))

    def _sorted(self, path: str, tests: set[str]) -> list[str]:
        nearness = self._nearness.get(path, {})
        return sorted(tests, key=lambda test: (-nearness.get(test, 0), test))


def _function(context: str) -> str:
    """`tests/test_x.py::test_y`, of a context that names a phase and parameters too."""
    return context.partition("|")[0].partition("[")[0]
