"""Which tests reach which line: one run of the tests, measured by coverage."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import accumulate
from pathlib import Path
from xml.etree import ElementTree as ET

import coverage

from .mutant import Mutant

STATEMENT = re.compile(r"^-- name: (\w+)\((.*?)(?=^-- name: |\Z)", re.M | re.S)
VIEW = re.compile(r"VIEW (?:IF NOT EXISTS )?(\w+)")
ORDINARY = "not soak and not interop and not workshop and not slow"
PUT_TOGETHER = re.compile(r"f\"(?:\w+\.)?(\w+_)\{\w+\}(\w*)\"")
CACHE = re.compile(r"(functools\.)?(lru_)?cache\b")
SERVER = "nexuslims_store/postgresql/"
# What runs the files whose statements have no names, by their folder.
RUNNERS = {
    "sql/migrations": "nexuslims_store/migrations/run.py",
    "sql/postgresql/migrations": "nexuslims_store/migrations/server.py",
    "sql/shapes": "nexuslims_store/migrations/shapes.py",
}
# Its parameters are the names of statements; whatever it says of one it says of all.
OF_EACH_STATEMENT = "tests/test_queries.py"

# Ask statements and views themselves what they answer; and migrations, what they make.
ASKS_STATEMENTS = ("tests/test_statements", "tests/test_instants")
ASKS_MIGRATIONS = ("tests/test_migrations_tables.py", "tests/test_migrations_server.py")


def measure(checkout: Path, folder: Path, tests: list[str]) -> None:
    """Run tests of a checkout, all where none are named; write which lines each reaches."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"),
            *("-m", ORDINARY, "--cov=nexuslims_store", "--cov-branch", "--cov-context=test"),
            *("--cov-report=", f"--junitxml={folder / 'results.xml'}", *tests),
        ],
        cwd=checkout,
        env=os.environ | {"COVERAGE_FILE": str(folder / "coverage"), "PYTHONPATH": str(checkout)},
        check=False,  # a test that fails here is left out
    )


class Reach:
    """The tests that can notice a change.

    Parameters
    ----------
    folder
        Where `measure` wrote.
    checkout
        Where it ran.
    there
        The tests that there are now, with whether each is on a server: one that is gone would
        seem to fail.
    """

    def __init__(self, folder: Path, checkout: Path, there: dict[str, bool]) -> None:
        measured = coverage.CoverageData(str(folder / "coverage"))
        measured.read()
        self._seconds, failed = _results(folder / "results.xml")
        self._checkout = checkout
        good = {test for test in there if function(test) not in failed}
        self._of_file: defaultdict[str, set[str]] = defaultdict(set)
        for test in good:
            self._of_file[_file(test)].add(test)
        self._texts: dict[str, str] = {}
        self._cached: dict[str, set[int]] = {}
        self._statements = {
            path.relative_to(checkout).as_posix(): dict(STATEMENT.findall(path.read_text("utf-8")))
            for path in (checkout / "sql").rglob("*.sql")
        }
        self._lines: dict[str, dict[int, set[str]]] = {}
        self._imported: dict[str, set[int]] = {}  # what runs outside of tests
        # What a fixture of a whole file reaches counts as reached by the first test alone.
        self._prepared: defaultdict[str, dict[int, set[str]]] = defaultdict(dict)
        self._reached: Counter[str] = Counter()
        self._inside: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for path in measured.measured_files():
            lines: dict[int, set[str]] = {}
            by_line = measured.contexts_by_lineno(path)
            self._imported[path] = {line for line, contexts in by_line.items() if "" in contexts}
            for line, contexts in by_line.items():
                reached = [context.partition("|") for context in contexts if context]
                lines[line] = {test for test, _, _ in reached if test in good}
                self._prepared[path][line] = {
                    _file(test) for test, _, phase in reached if phase == "setup"
                }
            self._lines[path] = lines
            for tests in lines.values():
                self._reached.update(tests)
                self._inside[path].update(tests)
        on_server = sum((self._inside[path] for path in self._lines if SERVER in path), Counter())
        print(f"{len(self._reached)} of {len(there)} tests reach a line of the package")
        self._on_server = {test for test, count in on_server.items() if count > 20}
        self._on_server |= {test for test, server in there.items() if server}

    def of_mutant(self, mutant: Mutant) -> list[str]:
        """Tests that can notice a mutant, the nearest first."""
        server = mutant.path.startswith("sql/postgresql/")
        if mutant.statement:
            counts = self._of_statement(mutant.statement, mutant.path)
        elif mutant.path.startswith("sql/"):
            folder = mutant.path.rpartition("/")[0]
            counts = self._of_line(RUNNERS[folder], 0)
            # Tests may run the files of a folder themselves, have their server made by them, or see
            # what a process prints of them.
            printed = r'|\bto_sql\b|"--sql"|"schema"' if folder == "sql/migrations" else ""
            itself = re.compile(r"\bserver\b" if server else f'"{Path(folder).name}"{printed}')
            for file, tests in self._of_file.items():
                if itself.search(self._text(file)):
                    counts.update(tests)
        else:
            counts = self._of_line(mutant.path, mutant.line)
        if server:
            counts = Counter({test: n for test, n in counts.items() if test in self._on_server})
        # Where both databases run a statement, SQLite is sooner ready.
        late = self._on_server if mutant.path.startswith("sql/") and not server else set[str]()

        asking = ASKS_MIGRATIONS if "/migrations/" in mutant.path else ASKS_STATEMENTS

        # Tests of the module itself import it by its name, or have it.
        name = mutant.path.removesuffix(".py").replace("/", ".")
        own = {file for file in self._of_file if name in self._text(file) or _of(file, mutant)}

        def distance(test: str) -> tuple[bool, bool, float, str]:
            asks = test.startswith(asking) or _file(test) in own
            return test in late, not asks, -counts[test] / self._cost(test), test

        return sorted(counts, key=distance)

    def of_module(self, mutant: Mutant, tests: list[str]) -> list[str]:
        """Those of some tests whose file is named after the module."""
        return [test for test in tests if _of(_file(test), mutant)]

    def is_imported(self, mutant: Mutant) -> bool:
        """Whether a mutant's line runs when its module is imported: too late to change it then."""
        return mutant.line in self._imported.get(mutant.path, ())

    def as_many(self, tests: list[str], seconds: float) -> list[str]:
        """The first of some tests that take so long together, of each function one at first."""
        firsts = {function(test): test for test in reversed(tests)}
        ordered = sorted(tests, key=lambda test: firsts[function(test)] != test)
        spent = accumulate(self._seconds.get(test, 1) for test in ordered)
        return [test for test, until in zip(ordered, spent, strict=True) if until < seconds]

    def _of_line(self, path: str, line: int) -> Counter[str]:
        """Tests that run a line; where none does, those of the module, or that name the module.

        Processes that the tests start are not measured. What is kept runs in the first test that
        asks for it, and all those of the module may use it.
        """
        inside = self._inside[path]
        tests = self._tests(path, line)
        if not tests or line in self._kept(path):
            tests |= set(inside)
        if tests:
            return Counter({test: inside[test] for test in tests})
        name = re.compile(rf"\b{Path(path).stem}\b")
        found = (tests for file, tests in self._of_file.items() if name.search(self._text(file)))
        return Counter(set().union(*found))

    def _kept(self, path: str) -> set[int]:
        """The lines of a module whose results are kept."""
        if path not in self._cached and path.endswith(".py"):
            self._cached[path] = {
                line
                for node in ast.walk(ast.parse((self._checkout / path).read_text("utf-8")))
                if isinstance(node, ast.FunctionDef)
                and any(CACHE.match(ast.unparse(one)) for one in node.decorator_list)
                for line in range(node.lineno, (node.end_lineno or 0) + 1)
            }
        return self._cached.get(path, set())

    def _tests(self, path: str, line: int) -> set[str]:
        """Tests that run a line, or use what was prepared by running it."""
        files = self._prepared[path].get(line, ())
        return (
            self._lines.get(path, {})
            .get(line, set())
            .union(*(self._of_file[file] for file in files))
        )

    def _cost(self, test: str) -> float:
        """How much else a test reaches, and how long it takes: the less, the nearer."""
        seconds = self._seconds.get(test, 1)
        return (1 + self._reached[test]) * (0.1 + seconds) * (3 if test in self._on_server else 1)

    def _of_statement(self, name: str, path: str) -> Counter[str]:
        """Tests that run a line which names a statement, or one that reads the view it makes.

        How many such lines counts. A test whose text names it may run it without any of our lines.
        """
        view = VIEW.search(self._statements[path][name])
        names, views = {name}, {view[1]} if view else set()
        grown = True
        while grown and views:
            wanted = re.compile(rf"\b({'|'.join(views)})\b")
            readers = {
                (other, made[1] if made else "")
                for statements in self._statements.values()
                for other, sql in statements.items()
                if other not in names and wanted.search(sql)
                for made in [VIEW.search(sql)]
            }
            names |= {other for other, _ in readers}
            views |= {made for _, made in readers if made}
            grown = bool(readers)
        called = re.compile(rf"\b({'|'.join(names)})\b")

        def puts(text: str) -> bool:
            """Whether a text puts the name of the statement together."""
            parts = PUT_TOGETHER.findall(text)
            return any(name.startswith(begin) and name.endswith(end) for begin, end in parts)

        counts: Counter[str] = Counter()
        for module, lines in self._lines.items():
            text = (self._checkout / module).read_text("utf-8").splitlines()
            for line in lines:
                if line <= len(text) and (called.search(text[line - 1]) or puts(text[line - 1])):
                    counts.update(self._tests(module, line))
        itself_alone = re.compile(rf"\b({name}|{view[1] if view else name})\b")
        for file, tests in self._of_file.items():
            itself = called if file.startswith(ASKS_STATEMENTS) else itself_alone
            if itself.search(self._text(file)) or puts(self._text(file)):
                each = file == OF_EACH_STATEMENT
                counts.update(test for test in tests if not each or itself.search(test))
        return counts

    def _text(self, path: str) -> str:
        if path not in self._texts:
            self._texts[path] = (self._checkout / path).read_text("utf-8")
        return self._texts[path]


def _of(file: str, mutant: Mutant) -> bool:
    path = Path(mutant.path)
    return f"/test_{path.stem}" in file or file.endswith(f"/test_{path.parent.name}.py")


def _file(test: str) -> str:
    return test.partition("::")[0]


def function(test: str) -> str:
    """`tests/test_x.py::test_y`, without parameters."""
    return test.partition("[")[0]


def _results(path: Path) -> tuple[dict[str, float], set[str]]:
    """How many seconds each test took, and the functions of those that failed."""
    seconds: dict[str, float] = {}
    failed: set[str] = set()
    for case in ET.parse(path).iter("testcase"):
        file = case.attrib["classname"].replace(".", "/")
        test = f"{file}.py::{case.attrib['name']}"
        seconds[test] = float(case.attrib["time"])
        if case.find("failure") is not None or case.find("error") is not None:
            failed.add(function(test))
    return seconds, failed
