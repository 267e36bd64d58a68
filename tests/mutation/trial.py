"""One mutant put to the test: a checkout with the change in it, and the tests that reach it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from itertools import count
from pathlib import Path

from .mutant import ELSEWHERE, HANGS, NOTICED, SURVIVES, Mutant
from .reach import ASKS_STATEMENTS, Reach, function

NEAR = 40  # tests that are tried first, beside those of the module itself
FAR = 20  # seconds that the tests take which are tried then, of those that reach it
FORMER = 8  # tests that are tried before all others, as they noticed what is nearby
LONGEST = 600  # seconds for the tests of one mutant
TIME_LIMIT = 60  # seconds for one test
MOST_HUNG = 3  # tests of a mutant that hang, before no other is tried
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.M)
TIMED_OUT = re.compile(r"^E +Failed: Timeout|^\++ Timeout \++$", re.M)
# What sessions, uploads and instants are, in models of their own: slow, and tried on what no other
# notices.
MODELS = (
    *("tests/test_agreement.py", "tests/test_instants_s", "tests/test_meaning_of_uploads.py"),
    "tests/test_upload_logs.py::test_what_failed_is_the_latest_of_each_session_and_destination",
)

# No two states of a file are of the same second, which is how Python knows what it compiled.
_seconds = count(1_000_000_000)


class Ready:
    """A process of `ready.py`, in a checkout, with some tests or with all of them."""

    def __init__(self, checkout: Path, tests: list[str]) -> None:
        self._checkout = checkout
        self._tests = tests
        self.start()

    def start(self) -> None:
        requests, self._requests = os.pipe()
        answers, writing = os.pipe()
        self._folder = tempfile.TemporaryDirectory(prefix="nxs-mutant-")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.mutation.ready", str(requests), str(writing), "-q"),
                *("-p", "no:cacheprovider", "-p", "no:randomly", f"--timeout={TIME_LIMIT}"),
                *("--basetemp", f"{self._folder.name}/tests", *self._tests),
            ],
            cwd=self._checkout,
            env=_environment(self._checkout),
            stdin=subprocess.DEVNULL,
            stdout=(Path(self._folder.name) / "said").open("w"),
            stderr=subprocess.STDOUT,
            pass_fds=(requests, writing),
        )
        os.close(requests)
        os.close(writing)
        self._answers = os.fdopen(answers)
        # Each test, with whether it is slow, and whether it is on a server.
        self.there: dict[str, tuple[bool, bool]] = json.loads(self._answers.readline())

    def run(self, tests: list[str], mutant: Mutant | None = None, text: str = "") -> list[str]:
        """Run tests until one fails or hangs: what became of the mutant, by which."""
        asked = {
            "tests": tests,
            "path": str(self._checkout / mutant.path) if mutant else "",
            "line": mutant.line if mutant else 0,
            "old": text,
            "new": mutant.applied(text) if mutant else "",
            "own_server": mutant is not None
            and mutant.path.startswith("sql/postgresql/migrations"),
            "longest": LONGEST,
        }
        os.write(self._requests, json.dumps(asked).encode() + b"\n")
        answer: list[str] = json.loads(self._answers.readline())
        return answer

    def end(self) -> None:
        os.close(self._requests)
        self._process.wait()
        self._folder.cleanup()


class Trials:
    """What the trials of mutants have in common: which tests there are, and which noticed much."""

    def __init__(self, reach: Reach, ready: dict[Path, Ready]) -> None:
        self._reach = reach
        self._ready = ready
        self._noticed: Counter[str] = Counter()
        self._files = {place: _files(place) for place in ready}
        there = next(iter(ready.values())).there
        self._models = {
            test: server for test, (_, server) in there.items() if test.startswith(MODELS)
        }

    def outcome(self, mutant: Mutant, checkout: Path) -> list[str]:
        """Run the tests that reach a mutant, the near ones first: what became of it, by which."""
        tests = self._reach.of_mutant(mutant)
        of_old = sorted((test for test in tests if test in self._noticed), key=self._rank)[:FORMER]
        # Of statements too that both databases run, as only a server has rows in no order.
        asking = [test for test in tests if test.startswith(ASKS_STATEMENTS)]
        own = self._reach.of_module(mutant, tests)
        near = dict.fromkeys([*of_old, *tests[:NEAR], *own, *asking])
        far = self._reach.as_many([test for test in tests if test not in near], FAR)
        if mutant.path.startswith(("sql/", "nexuslims_store/repository/")):
            of_server = mutant.path.startswith("sql/postgresql/")
            far += (test for test, server in self._models.items() if server == of_server)
        path = checkout / mutant.path
        text = path.read_text(encoding="utf-8")
        _write(path, mutant.applied(text))
        try:
            found = self._tried(checkout, [*near, *far], mutant, text)
            late = found[0] == SURVIVES and self._reach.is_imported(mutant)
            if found[0] == ELSEWHERE or late:
                found = run(checkout, [*near])
                found = run(checkout, far) if found[0] == SURVIVES else found
        finally:
            _write(path, text)
            # A mutant may write where nothing else does: a migration, which all would find.
            for left in _files(checkout) - self._files[checkout]:
                left.unlink()
        outcome, test, _ = found
        if outcome == HANGS:  # what was killed may have left things behind
            self._ready[checkout].end()
            self._ready[checkout].start()
        if outcome == NOTICED and test in tests:
            self._noticed[test] += 1
        return found

    def _tried(self, checkout: Path, tests: list[str], mutant: Mutant, text: str) -> list[str]:
        """Run tests on a mutant; where one hangs, those after it, which may notice."""
        hung: list[str] = []
        for _ in range(MOST_HUNG):
            found = self._ready[checkout].run(tests, mutant, text)
            outcome, test, _ = found
            if outcome != HANGS:
                return hung if hung and outcome == SURVIVES else found
            hung = hung or found
            if test not in tests:
                break
            # What hangs with some parameters does with others.
            later = tests[tests.index(test) + 1 :]
            tests = [one for one in later if function(one) != function(test)]
        return hung

    def doubtful(self, checkout: Path) -> str:
        """Which of the tests that noticed something fails without a mutant too, if one does."""
        return self._ready[checkout].run(sorted(self._noticed))[1]

    def _rank(self, test: str) -> tuple[int, str]:
        return -self._noticed[test], test


def _files(checkout: Path) -> set[Path]:
    return {
        path for folder in ("nexuslims_store", "sql") for path in (checkout / folder).rglob("*.*")
    }


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    moment = next(_seconds)
    os.utime(path, (moment, moment))


def _environment(checkout: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}


def run(checkout: Path, tests: list[str]) -> list[str]:
    """The same by a new pytest."""
    if not tests:
        return [SURVIVES, "", ""]
    with tempfile.TemporaryDirectory(prefix="nxs-mutant-") as folder:
        names, said = Path(folder) / "names", Path(folder) / "said"
        names.write_text("\n".join(tests), encoding="utf-8")
        with said.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "--tb=short"),
                    *("-p", "no:cacheprovider", "-p", "no:randomly", f"--timeout={TIME_LIMIT}"),
                    *("--basetemp", str(Path(folder) / "tests"), f"@{names}"),
                ],
                cwd=checkout,
                env=_environment(checkout),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                code = process.wait(LONGEST)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return [HANGS, "", "too long"]
        text = said.read_text(encoding="utf-8", errors="replace")
    if code in {0, 5}:
        return [SURVIVES, "", ""]
    failed = FAILED.search(text)
    test = failed[1] if failed else f"pytest ends with {code}"
    return [HANGS if TIMED_OUT.search(text) else NOTICED, test, ""]
