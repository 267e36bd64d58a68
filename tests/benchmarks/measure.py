"""Measuring two ways of doing one thing, in turn."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Row:
    """One row of the table: what the floor and this package took, in seconds each."""

    work: str
    floor: float
    ours: float
    ratio: float
    target: float | None = None
    """The ratio to reach; None where the row only informs."""
    most: str = ""
    """What else was asked for, in words, for example "150 ms"."""
    megabytes: float | None = None
    """Peak memory of a process that does our part of the work."""
    nexuslims: float | None = None
    """Seconds that NexusLIMS took for the same."""


class WrongResultError(AssertionError):
    """The two ways did not give the same."""


def expect(condition: object, work: str, *seen: object) -> None:
    """Refuse to measure what gives a wrong result."""
    if not condition:
        raise WrongResultError(f"{work}: {seen!r:.500}")


def compare(
    work: str,
    floor: Callable[[], Any],
    ours: Callable[[], Any],
    *,
    same: Callable[[Any, Any], object],
    rounds: int,
    repeat: int = 1,
    before: Callable[[], object] = lambda: None,
    target: float | None = None,
    most: str = "",
) -> Row:
    """Time both in turn, `repeat` calls a round, after checking that they give the same.

    The ratio is the median of the rounds' own ratios: what slows the machine down slows both.
    `before` runs before each of the two, untimed.
    """
    before()
    by_hand = floor()
    before()
    by_us = ours()
    expect(same(by_hand, by_us), work, by_hand, by_us)
    del by_hand, by_us
    times: dict[Callable[[], Any], list[float]] = {floor: [], ours: []}
    for number in range(rounds):
        for function in (floor, ours) if number % 2 else (ours, floor):
            before()
            start = time.perf_counter()
            for _ in range(repeat):
                result = function()
            times[function].append((time.perf_counter() - start) / repeat)
            del result  # outside of the time, for both alike
    return row(work, times[floor], times[ours], target=target, most=most)


def row(work: str, floor: list[float], ours: list[float], **more: Any) -> Row:
    """Sum up rounds that were timed one way or another."""
    ratios = [own / bare for bare, own in zip(floor, ours, strict=True)]
    return Row(
        work,
        statistics.median(floor),
        statistics.median(ours),
        statistics.median(ratios),
        **more,
    )


@dataclass
class Ended:
    """What a process of its own took."""

    seconds: float
    megabytes: float | None
    """Peak memory, where the system tells."""
    output: str


# getrusage would tell of this process instead, where it is the larger: a child inherits the peak.
PEAK = """
with open("/proc/self/status", encoding="ascii") as status:
    print(*(line.split()[1] for line in status if line.startswith("VmHWM")))
"""
CAN_TELL_PEAK = Path("/proc/self/status").exists()


def run(code: str, *arguments: object, python: str = sys.executable, **environment: str) -> Ended:
    """Run Python code in a fresh process."""
    start = time.perf_counter()
    done = subprocess.run(
        [python, "-c", code + PEAK if CAN_TELL_PEAK else code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
        # With byte code, as what is installed has it: without, each start would compile anew.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},
    )
    seconds = time.perf_counter() - start
    if not CAN_TELL_PEAK:
        return Ended(seconds, None, done.stdout)
    *output, peak = done.stdout.splitlines(keepends=True)
    return Ended(seconds, int(peak) / 1024, "".join(output))


def compare_processes(
    work: str,
    floor: str,
    ours: str,
    *arguments: object,
    rounds: int,
    target: float | None = None,
    most: str = "",
    before: Callable[[], object] = lambda: None,
    same: Callable[[str, str], object] = str.__eq__,
) -> Row:
    """Time fresh processes in turn. What both print must be the same, or `same` in some way."""
    before()
    by_hand = run(floor, *arguments)
    before()
    by_us = run(ours, *arguments)
    expect(same(by_hand.output, by_us.output), work, by_hand.output, by_us.output)
    times: dict[str, list[float]] = {floor: [], ours: []}
    if rounds == 1:  # a smoke run, which only wants to see that they work
        times = {floor: [by_hand.seconds], ours: [by_us.seconds]}
        rounds = 0
    for number in range(rounds):
        for code in (floor, ours) if number % 2 else (ours, floor):
            before()
            times[code].append(run(code, *arguments).seconds)
    measured = row(work, times[floor], times[ours], target=target, most=most)
    measured.megabytes = by_us.megabytes
    return measured
