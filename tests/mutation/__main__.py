"""The command: takes a sample of the mutants, runs the tests on each, prints a table."""

from __future__ import annotations

import argparse
import math
import random
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

from . import python_code, sql_code
from .equivalent import reason
from .mutant import HANGS, NOTICED, SURVIVES, Mutant
from .reach import Reach, measure
from .trial import Ready, Trials

ROOT = Path(__file__).resolve().parents[2]
EQUAL, LATE = "change nothing", "too late"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="another seed, other mutants; 0")
    parser.add_argument("--each", type=int, default=5, help="how many of each area, 5; 0 for all")
    parser.add_argument("--jobs", type=int, default=1, help="how many at the same time, 1")
    parser.add_argument("--minutes", type=float, help="begin no other mutant after so many")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="TEXT", help="files whose path has one in it"
    )
    parser.add_argument(
        "--line", type=int, help="all mutants of this line, of the one file of --only"
    )
    parser.add_argument(
        "--reach",
        type=Path,
        metavar="FOLDER",
        help="keep there which tests reach what, found out in minutes, and use it again; "
        "lines that have moved since are taken for others",
    )
    parser.add_argument(
        "--tests", nargs="+", default=[], metavar="PATH", help="these only, in place of all"
    )
    parser.add_argument(
        "--listed",
        action="store_true",
        help="only those said to change nothing: does a test notice?",
    )
    parser.add_argument("--list", action="store_true", help="name the mutants, run nothing")
    return parser.parse_args()


def area(path: str) -> str:
    """The row of the table that a file counts in."""
    parts = Path(path).parts
    if parts[0] == "sql":
        return f"sql/{parts[1]}"
    return parts[1] + "/" if len(parts) > 2 else "nexuslims_store"


def every_mutant(only: list[str]) -> list[Mutant]:
    found: list[Mutant] = []
    for folder, pattern in (("nexuslims_store", "*.py"), ("sql", "*.sql")):
        for path in sorted((ROOT / folder).rglob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            if any(text in name for text in only):
                text = path.read_text(encoding="utf-8")
                make = sql_code.mutants if pattern == "*.sql" else python_code.mutants
                found += make(name, text)
    return found


def sample(options: argparse.Namespace) -> list[Mutant]:
    """So many of each area, of its own dice: the same whatever else is looked at, in turns."""
    found = every_mutant(options.only)
    if options.line:
        return [mutant for mutant in found if mutant.line == options.line]
    chosen: list[tuple[int, str, Mutant]] = []
    for name in sorted({area(mutant.path) for mutant in found}):
        there = [mutant for mutant in found if area(mutant.path) == name]
        wanted = min(options.each or len(there), len(there))
        dice = random.Random(f"{options.seed} {name}")
        chosen += ((turn, name, one) for turn, one in enumerate(dice.sample(there, wanted)))
    return [mutant for _, _, mutant in sorted(chosen, key=lambda one: one[:2])]


def main() -> None:
    options = arguments()
    mutants = sample(options)
    texts = {one.path: (ROOT / one.path).read_text(encoding="utf-8") for one in mutants}
    if options.listed:
        mutants = [one for one in mutants if reason(one, texts[one.path])]
    if options.list:
        for mutant in mutants:
            print(mutant.described(texts[mutant.path]))
        return
    tally: defaultdict[str, Counter[str]] = defaultdict(Counter)
    left: list[str] = []
    with tempfile.TemporaryDirectory(prefix="nxs-mutation-") as folder:
        # A place of its own for each mutant that is tried at the same time as others.
        checkouts: SimpleQueue[Path] = SimpleQueue()
        places = [copy(Path(folder) / str(number)) for number in range(options.jobs)]
        for place in places:
            checkouts.put(place)
        first = places[0]
        kept = (options.reach or Path(folder) / "reach").absolute()
        if not (kept / "coverage").exists():
            kept.mkdir(parents=True, exist_ok=True)
            print("First all these tests run once, to find which reach what; minutes", flush=True)
            measure(first, kept, options.tests)
        latest = time.monotonic() + 60 * (options.minutes or math.inf)
        print(f"{len(mutants)} mutants of seed {options.seed}, each with the tests that reach it")
        ready = {place: Ready(place, options.tests) for place in places}
        there = {one: server for one, (slow, server) in ready[first].there.items() if not slow}
        trials = Trials(Reach(kept, first, there), ready)

        def tried(mutant: Mutant) -> tuple[str, str, float]:
            why = reason(mutant, texts[mutant.path])
            if why and not options.listed:
                return EQUAL, why, 0.0
            if time.monotonic() > latest:
                return LATE, "", 0.0
            checkout = checkouts.get()
            begun = time.monotonic()
            try:
                outcome, *because = trials.outcome(mutant, checkout)
            finally:
                checkouts.put(checkout)
            return outcome, ": ".join(filter(None, because)), time.monotonic() - begun

        late = 0
        with ThreadPoolExecutor(options.jobs) as pool:
            trying = {pool.submit(tried, mutant): mutant for mutant in mutants}
            for number, done in enumerate(as_completed(trying), 1):
                mutant, (outcome, why, seconds) = trying[done], done.result()
                if outcome == LATE:
                    late += 1
                    continue
                tally[area(mutant.path)][outcome] += 1
                said = f"{mutant.described(texts[mutant.path])}: {outcome}"
                if outcome in ({NOTICED} if options.listed else {HANGS, SURVIVES}):
                    left.append(said)
                comment = f" ({why})" if why else ""
                print(f"[{number}/{len(mutants)}, {seconds:.0f} s] {said}{comment}", flush=True)
        doubtful = trials.doubtful(first)
        for process in ready.values():
            process.end()
    print_table(tally)
    if late:
        print(f"\n{late} of {len(mutants)} mutants were not tried in {options.minutes:g} minutes")
    if doubtful:
        print(f"\nDo not believe it: without a mutant there fails too {doubtful}")
    if left:
        print("\nLook at these:")
        print("\n".join(f"- {one}" for one in left))
    sys.exit(1 if left else 0)


def copy(checkout: Path) -> Path:
    names = (".git", "__pycache__", ".venv", "build", "dist", ".*_cache")
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(*names))
    return checkout


def print_table(tally: dict[str, Counter[str]]) -> None:
    """Say what became of the mutants of each area; a test that hangs has noticed nothing."""
    print(f"\n| area | mutants | {EQUAL} | noticed | hang | survive | of those that matter |")
    print("|---|---|---|---|---|---|---|")
    for name in [*sorted(tally), "all"]:
        counts = tally[name] if name in tally else sum(tally.values(), Counter())
        tried = counts.total()
        share = counts[NOTICED] / max(1, tried - counts[EQUAL])
        cells = (tried, *(counts[key] for key in (EQUAL, NOTICED, HANGS, SURVIVES)))
        print(f"| {name} | {' | '.join(map(str, cells))} | {share:.0%} |")


if __name__ == "__main__":
    main()
