"""Interrupting what the package does, at any of its lines."""

from __future__ import annotations

import gc
import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from helpers.platforms import needs_posix


class InterruptError(BaseException):
    """Raised where a signal handler might."""


@contextmanager
def garbage_is_left_alone() -> Iterator[None]:
    """Collect no garbage inside a `with` block.

    What an earlier test left behind, in a circle, would be let go of at any moment, and nobody
    hears of an interruption that comes inside of its `__del__`.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def traced(work: Callable[[], object], trace: Callable[[FrameType, str, Any], Any]) -> None:
    """Do something whose events are traced by what may interrupt it.

    In CPython 3.11 to 3.13 what is raised at the last line of an `except` block leaves the block's
    exception behind for good, and all later ones would have it as their context. A generator keeps
    such things to itself.
    """
    before = sys.gettrace()  # of whoever measures which lines the tests reach
    with garbage_is_left_alone():
        sys.settrace(trace)
        try:
            list(work() for _ in (1,))  # noqa: C400
        finally:
            sys.settrace(before)


def interrupted(work: Callable[[], object], at: int) -> bool:
    """Do something, interrupted at so many lines of the package; return whether it came to that."""
    lines = itertools.count()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if "nexuslims_store" not in frame.f_code.co_filename:
            return None
        if event == "line" and next(lines) == at:
            sys.settrace(None)
            raise InterruptError
        return trace

    try:
        traced(work, trace)
    except InterruptError:
        return True
    return False


@contextmanager
def alarm(ring: Callable[[], object]) -> Iterator[Callable[[float], None]]:
    """Give a `with` block what it sets an alarm by: in how many seconds it rings; 0 is never."""
    if sys.platform == "win32":
        needs_posix()
    former = signal.signal(signal.SIGALRM, lambda *_: ring())

    def set_alarm(seconds: float) -> None:
        if sys.platform == "win32":
            needs_posix()
        signal.setitimer(signal.ITIMER_REAL, seconds)

    try:
        with garbage_is_left_alone():
            yield set_alarm
    finally:
        set_alarm(0)
        signal.signal(signal.SIGALRM, former)
