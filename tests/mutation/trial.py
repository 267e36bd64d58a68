"""One mutant put to the test: a checkout with the change in it, and the tests that reach it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from .mutant import Mutant
from .reach import ORDINARY, Reach, function

NEAR = 40  # tests that are tried first
FAR = 400  # test functions that are tried then, of those that reach it
FORMER = 8  # tests that are tried before all others, as they noticed what is nearby
LONGEST = 1200  # seconds for the tests of one mutant
TIME_LIMIT = 300  # seconds for one test
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.M)
TIMED_OUT = re.compile(r"^E +Failed: Timeout|^\++ Timeout \++$", re.M)

NOTICED, HANGS, SURVIVES = "noticed", "hangs", "SURVIVES"


class Trials:
    """What the trials of mutants have in common: which tests there are, and which noticed much."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._noticed: Counter[str] = Counter()

    def outcome(self, mutant: Mutant, checkout: Path) -> tuple[str, str]:
        """Run the tests that reach a mutant, the near ones first: what became of it, by which."""
        tests = self._reach.of_mutant(mutant)
        of_old = sorted((test for test in tests if test in self._noticed), key=self._rank)[:FORMER]
        near = list(dict.fromkeys([*of_old, *tests[:NEAR]]))
        far = list(dict.fromkeys(function(test) for test in tests))[:FAR]
        path = checkout / mutant.path
        text = path.read_text(encoding="utf-8")
        path.write_text(mutant.applied(text), encoding="utf-8")
        try:
            for batch in (near, far):
                outcome, test = run(checkout, batch)
                if outcome != SURVIVES:
                    break
        finally:
            path.write_text(text, encoding="utf-8")
        if outcome == NOTICED and test in tests:
            self._noticed[test] += 1
        return outcome, test

    def doubtful(self, checkout: Path) -> str:
        """Which of the tests that noticed something fails without a mutant too, if one does."""
        return run(checkout, sorted(self._noticed))[1]

    def _rank(self, test: str) -> tuple[int, str]:
        return -self._noticed[test], test


def run(checkout: Path, tests: list[str]) -> tuple[str, str]:
    """Run tests of a checkout until one fails or hangs, and name that one."""
    if not tests:
        return SURVIVES, ""
    with tempfile.TemporaryDirectory(prefix="nxs-mutant-") as folder:
        names, said = Path(folder) / "names", Path(folder) / "said"
        names.write_text("\n".join(tests), encoding="utf-8")
        with said.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "--tb=short"),
                    *("-p", "no:cacheprovider", "-p", "no:randomly", f"--timeout={TIME_LIMIT}"),
                    *("--basetemp", str(Path(folder) / "tests"), "-m", ORDINARY, f"@{names}"),
                ],
                cwd=checkout,
                env=os.environ | {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                code = process.wait(LONGEST)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return HANGS, f"after {LONGEST} s"
        text = said.read_text(encoding="utf-8", errors="replace")
    if code in {0, 5}:
        return SURVIVES, ""
    failed = FAILED.search(text)
    test = failed[1] if failed else f"pytest ends with {code}"
    return (HANGS if TIMED_OUT.search(text) else NOTICED), test


def collected(checkout: Path) -> set[str]:
    """The tests of a checkout."""
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", ORDINARY),
            *("-p", "no:cacheprovider", "-p", "no:randomly"),
        ],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {line for line in result.stdout.splitlines() if "::" in line}
