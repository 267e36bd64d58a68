"""Ctrl-C, also while SQLite waits for a lock."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from nexuslims_store.cli.output import Output

INTERRUPTED = 130

# Enough to roll a transaction back, and to remove a copy that is half made.
_GRACE_SECONDS = 1.0


def end_on_interrupt(output: Output) -> None:
    """Make sure that Ctrl-C ends this process, soon after Python's KeyboardInterrupt at the latest.

    Python raises it between two of its own instructions, and waiting for another program's lock
    is a single one, of up to `--timeout` seconds. Nothing is lost if the process then ends
    within it: a database is whole after a kill at any moment.
    """
    if sys.platform == "win32":  # where a wake-up needs a socket, for very little
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def watch() -> None:
        while signal.SIGINT not in os.read(reading, 64):
            pass
        time.sleep(_GRACE_SECONDS)
        output.error("interrupted")
        os._exit(INTERRUPTED)

    threading.Thread(target=watch, name="end on interrupt", daemon=True).start()
