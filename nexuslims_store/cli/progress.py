"""How long a command takes, for those who watch: on a terminal, from two seconds on."""

from __future__ import annotations

import threading
import time
from typing import TextIO

_PATIENCE_SECONDS = 2.0
_BETWEEN_SECONDS = 0.5


class Progress:
    """A line on the terminal that says how long a command has been at it, and how far it is."""

    def __init__(self, err: TextIO) -> None:
        self._err = err
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._shown = 0
        self.far = ""

    def start(self) -> None:
        """Begin to watch the time, where there is a terminal to show it on."""
        if self._thread is None and self._err.isatty():
            self._stopped.clear()
            self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Take the line away, for good or until the next `start`."""
        if self._thread is not None:
            self._stopped.set()
            self._thread.join()
            self._thread = None
            self.hide()

    def hide(self) -> None:
        """Take the line away for what is to be written in its place."""
        with self._lock:
            if self._shown:
                self._err.write(f"\r{' ' * self._shown}\r")
                self._err.flush()
                self._shown = 0

    def _tick(self) -> None:
        started = time.monotonic()
        wait = _PATIENCE_SECONDS
        while not self._stopped.wait(wait):
            wait = _BETWEEN_SECONDS
            line = f"{self.far} {time.monotonic() - started:.0f} s".lstrip()
            with self._lock:
                self._err.write(f"\r{line:{self._shown}}")
                self._err.flush()
                self._shown = len(line)
