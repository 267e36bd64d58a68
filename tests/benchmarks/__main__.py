"""The command: builds the databases, runs all rows, prints the table."""

from __future__ import annotations

import argparse
import json
import platform
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pydantic

from . import commands, nexuslims, reads, server, startup, upgrades, writes
from .measure import Row


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000, help="rows of session_log")
    parser.add_argument(
        "--largest", type=int, default=1_000_000, help="rows of the largest table (try 3000000)"
    )
    parser.add_argument(
        "--upgrade", type=int, default=1_000_000, help="rows of the upgrade (try 10000000)"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: are the results right?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there as well")
    parser.add_argument(
        "--nexuslims", metavar="PYTHON", help="interpreter of an environment with NexusLIMS 2.8.0"
    )
    parser.add_argument(
        "--folder", type=Path, help="where the databases go; those that are there are used again"
    )
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    options = parser.parse_args()
    if options.smoke:
        options.rows = options.largest = options.upgrade = 900
        options.rounds = 1
    return options


def rows(options: argparse.Namespace, folder: Path, memory: Path | None) -> Iterator[Row]:
    rounds, size = options.rounds, options.rows
    sizes = [300, 900] if options.smoke else [10_000, 100_000, options.largest]
    repeat = 1 if options.smoke else 2_000
    groups: dict[str, Callable[[], Iterator[Row]]] = {
        "start": lambda: commands.starts(folder, rounds),
        "startup": lambda: startup.measure(folder, rounds),
        "lookups": lambda: reads.lookups(folder, size, rounds, repeat),
        "logs": lambda: reads.all_logs(folder, size, rounds),
        "build": lambda: reads.to_build(folder, size, rounds, sizes),
        "bare": lambda: reads.without_own_index(folder, min(rounds, 5), [*sizes, size]),
        "attempts": lambda: reads.failed_uploads(folder, rounds, 10 if options.smoke else 1_000),
        "disk": lambda: writes.one_by_one(folder, "on disk", size, rounds, [1.1, 1.1, 1.1]),
        "memory": lambda: (
            writes.one_by_one(memory, "on tmpfs", size, rounds, [1.4, 1.5, 1.25])
            if memory
            else iter(())
        ),
        "many": lambda: writes.many(folder, size, size // 3, min(rounds, 3)),
        "index": lambda: writes.index_cost(folder, size, rounds),
        "claim": lambda: writes.claim(memory or folder, size, rounds),
        # On a disk, as builders have it: their writes are a part of what a claim costs.
        "among": lambda: writes.claim_among_many(folder, rounds, 30 if options.smoke else 1_000),
        "commands": lambda: commands.on_large_files(
            folder, sorted({size, options.largest}), min(rounds, 3)
        ),
        "overviews": lambda: reads.overviews(folder, options.largest, min(rounds, 3)),
        "server": lambda: server.measure(
            folder, size, min(rounds, 5), *((1, 1) if options.smoke else (10, 20))
        ),
        "upgrade": lambda: upgrades.measure(folder, options.upgrade, min(rounds, 3)),
    }
    for name, group in groups.items():
        if options.only in name:
            yield from group()


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def line(row: Row) -> str:
    target = f"≤ {row.target:g}" if row.target else ""
    verdict = "" if not row.target else "yes" if row.ratio <= row.target else "no"
    size = "" if row.megabytes is None else f"{row.megabytes:.0f} MB"
    return (
        f"{row.work:58} {duration(row.floor):>9} {duration(row.ours):>9} {row.ratio:>6.2f} "
        f"{target:>7} {verdict:>4} {size:>7} {row.most:<19} {duration(row.nexuslims):>9}"
    )


def main() -> None:
    options = arguments()
    machine = (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"Pydantic {pydantic.VERSION}, {platform.system()} {platform.machine()}"
    )
    print(machine)
    print(
        f"{'work':58} {'floor':>9} {'ours':>9} {'ratio':>6} {'target':>7} {'met':>4} "
        f"{'memory':>7} {'and at most':<19} {'NexusLIMS' if options.nexuslims else '':>9}"
    )
    shared = Path("/dev/shm")
    measured: list[Row] = []
    with (
        tempfile.TemporaryDirectory() as on_disk,
        tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as in_memory,
    ):
        folder = options.folder or Path(on_disk)
        folder.mkdir(parents=True, exist_ok=True)
        peer = nexuslims.Peer(options.nexuslims, folder) if options.nexuslims else None
        for row in rows(options, folder, Path(in_memory) if shared.is_dir() else None):
            if peer is not None:
                row.nexuslims = peer.seconds(row.work, options.rows)
            print(line(row), flush=True)
            measured.append(row)
    if options.json:
        found = {"machine": machine, "rows": [asdict(row) for row in measured]}
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
