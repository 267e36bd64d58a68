"""The command: takes a sample of the mutants, runs the tests on each, prints a table."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from . import python_code, sql_code
from .equivalent import reason
from .mutant import Mutant
from .reach import Reach, measure

ROOT = Path(__file__).resolve().parents[2]
NEAR = 40  # test functions that are tried first
LONGEST = 900  # seconds for the tests of one mutant


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="another seed, other mutants")
    parser.add_argument("--sample", type=int, default=100, help="how many; 0 for all")
    parser.add_argument("--only", default="", help="files whose path has this in it")
    parser.add_argument("--line", type=int, help="mutants of this line alone, of all of them")
    parser.add_argument(
        "--reach", type=Path, metavar="FOLDER", help="keep there which tests reach what; used again"
    )
    parser.add_argument(
        "--tests", nargs="+", default=[], metavar="PATH", help="these only, in place of all"
    )
    parser.add_argument("--list", action="store_true", help="name the mutants, run nothing")
    return parser.parse_args()


def area(path: str) -> str:
    """The row of the table that a file counts in."""
    parts = Path(path).parts
    if parts[0] == "sql":
        return "sql/migrations" if parts[1] == "migrations" else f"sql/{parts[-1]}"
    return parts[1] + "/" if len(parts) > 2 else "nexuslims_store"


def every_mutant(only: str) -> list[Mutant]:
    found: list[Mutant] = []
    for folder, pattern in (("nexuslims_store", "*.py"), ("sql", "*.sql")):
        for path in sorted((ROOT / folder).rglob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            if only in name:
                text = path.read_text(encoding="utf-8")
                make = sql_code.mutants if pattern == "*.sql" else python_code.mutants
                found += make(name, text)
    return found


def sample(options: argparse.Namespace) -> list[Mutant]:
    """As many of each area as it has of all, at least five where it has so many."""
    found = every_mutant(options.only)
    if options.line:
        return [mutant for mutant in found if mutant.line == options.line]
    if not options.sample:
        return found
    chance = random.Random(options.seed)
    sizes = Counter(area(mutant.path) for mutant in found)
    chosen: list[Mutant] = []
    for name, size in sorted(sizes.items()):
        there = [mutant for mutant in found if area(mutant.path) == name]
        wanted = max(5, round(options.sample * size / len(found)))
        chosen += chance.sample(there, min(wanted, size))
    return chosen


def fails(checkout: Path, tests: list[str]) -> bool:
    """Run tests of a checkout; whether one fails, or they hang."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as names:
        names.write("\n".join(tests))
        names.flush()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
                *("-p", "no:randomly", "--timeout=60", "-m", "not soak and not interop"),
                f"@{names.name}",
            ],
            cwd=checkout,
            env=os.environ | {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return process.wait(LONGEST) not in {0, 5}
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return True


def noticed(mutant: Mutant, checkout: Path, reach: Reach) -> bool:
    """Whether a test fails on the mutant: the near ones first, then all that reach it."""
    path = checkout / mutant.path
    text = path.read_text(encoding="utf-8")
    if mutant.statement:
        tests = reach.of_statement(mutant.statement)
    elif mutant.path.startswith("sql/"):
        tests = reach.of_line("nexuslims_store/migrations/run.py", 0)
    else:
        tests = reach.of_line(mutant.path, mutant.line)
    path.write_text(mutant.applied(text), encoding="utf-8")
    try:
        near, far = tests[:NEAR], tests[NEAR:]
        return bool(near) and (fails(checkout, near) or (bool(far) and fails(checkout, far)))
    finally:
        path.write_text(text, encoding="utf-8")


def main() -> None:
    options = arguments()
    mutants = sample(options)
    texts = {one.path: (ROOT / one.path).read_text(encoding="utf-8") for one in mutants}
    if options.list:
        for mutant in mutants:
            print(mutant.described(texts[mutant.path]))
        return
    killed: Counter[str] = Counter()
    equal: Counter[str] = Counter()
    survivors: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        ignored = shutil.ignore_patterns(
            ".git", "__pycache__", ".venv", "build", "dist", ".*_cache"
        )
        shutil.copytree(ROOT, checkout, ignore=ignored)
        # A folder of its own: coverage removes whatever has a longer name of the same beginning.
        data = (options.reach or Path(folder) / "reach").absolute() / "coverage"
        data.parent.mkdir(parents=True, exist_ok=True)
        if not data.exists():
            measure(checkout, data, options.tests)
        reach = Reach(data, checkout)
        for number, mutant in enumerate(mutants, 1):
            begun = time.monotonic()
            said = mutant.described(texts[mutant.path])
            if why := reason(mutant, texts[mutant.path]):
                equal[area(mutant.path)] += 1
                outcome = f"changes nothing: {why}"
            elif noticed(mutant, checkout, reach):
                killed[area(mutant.path)] += 1
                outcome = "noticed"
            else:
                survivors.append(said)
                outcome = "SURVIVES"
            seconds = time.monotonic() - begun
            print(f"[{number}/{len(mutants)}, {seconds:.0f} s] {said}: {outcome}", flush=True)
    print_table(mutants, killed, equal, survivors)
    sys.exit(1 if survivors else 0)


def print_table(
    mutants: list[Mutant], killed: Counter[str], equal: Counter[str], survivors: list[str]
) -> None:
    print("\n| area | mutants | change nothing | noticed | of those that matter |")
    print("|---|---|---|---|---|")
    tried = Counter(area(mutant.path) for mutant in mutants)
    for name in [*sorted(tried), "all"]:
        parts = sorted(tried) if name == "all" else [name]
        of, same, dead = (sum(part[p] for p in parts) for part in (tried, equal, killed))
        share = f"{dead / (of - same):.0%}" if of > same else ""
        print(f"| {name} | {of} | {same} | {dead} | {share} |")
    if survivors:
        print("\nNo test notices:")
        print("\n".join(f"- {one}" for one in survivors))


if __name__ == "__main__":
    main()
