"""The command line as tests use it: in this process, as a process of its own, on a terminal."""

from __future__ import annotations

import io
import json
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from helpers.support import PID, instrument, new_database, upload
from nexuslims_store import EventType, RecordStatus, SessionLog, Store
from nexuslims_store.cli import main

LONGEST = 100  # seconds; a command that takes more hangs
COMMAND = [sys.executable, "-m", "nexuslims_store"]
TOKYO = "JEOL-JEM-ARM-200"

on_a_terminal = pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")


@dataclass(frozen=True)
class Result:
    """What a command gave back."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status in {0, 1}, self.err
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


class Keyboard(Screen):
    """That of a terminal, with an answer, which may be a function that does something first."""

    def __init__(self, answer: str | Callable[[], str]) -> None:
        super().__init__()
        self._answer = answer

    def readline(self, _: int | None = -1) -> str:  # type: ignore[override]
        return self._answer if isinstance(self._answer, str) else self._answer()


def call(*arguments: object, screen: bool = False, answer: str | Callable[[], str] = "") -> Result:
    """Run a command in this process.

    Its results may go to a screen, `COLUMNS` wide; with an answer, it is asked there too.
    """
    out = Screen() if screen else io.StringIO()
    err = Screen() if answer else io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        if answer:
            patch.setattr(sys, "stdin", Keyboard(answer))
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = int(end.code or 0)
    return Result(status, out.getvalue(), err.getvalue())


def process(*arguments: object, stdin: bytes = b"", **environment: str) -> Result:
    """Run a command as a process of its own, with no terminal."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=LONGEST,
        check=False,
    )
    return Result(done.returncode, *(part.decode() for part in (done.stdout, done.stderr)))


def terminal(*arguments: object, answer: str | Callable[[], str] = "", columns: int = 80) -> Result:
    """Run a command on a terminal; both streams come as `out`. Answer its question, if any.

    An answer may be a function that does something first, while the question waits.
    """
    if sys.platform == "win32":
        pytest.skip("Windows has no pseudo-terminals")
    import fcntl
    import pty
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    child = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env=environment,
    )
    os.close(slave)
    seen = b""
    deadline = time.monotonic() + LONGEST
    try:
        while True:
            patience = max(0, deadline - time.monotonic())
            assert select.select([master], [], [], patience)[0], f"still waiting, after {seen!r}"
            try:
                part = os.read(master, 65536)
            except OSError:  # the child has closed its side
                break
            if not part:
                break
            seen += part
            if answer and b"[y/N] " in seen:
                os.write(master, (answer if isinstance(answer, str) else answer()).encode())
                answer = ""
        status = child.wait(timeout=LONGEST)
    finally:
        child.kill()
        child.wait()
        os.close(master)
    return Result(status, seen.decode().replace("\r\n", "\n"), "")


def filled(folder: Path) -> Path:
    """A database with two instruments, in two zones, and a session in each status on each."""
    path = new_database(folder)
    with Store(path) as store, store.transaction():
        store.instruments.add(instrument())
        store.instruments.add(instrument(TOKYO, timezone_str="Asia/Tokyo", display_name="ARM"))
        for day, status in enumerate(RecordStatus, start=1):
            for pid, name in ((PID, "ny"), (TOKYO, "tokyo")):
                store.sessions.add(
                    f"{name}-{day}",
                    pid,
                    datetime(2025, 1, day, 22, 0),
                    datetime(2025, 1, day, 23, 30),
                    user="alice" if name == "ny" else None,
                    status=status,
                )
        store.session_logs.insert(
            SessionLog(
                session_identifier="endless",
                instrument=PID,
                timestamp=datetime(2025, 1, 20, 9, 0),
                event_type=EventType.START,
            )
        )
        store.upload_logs.insert_many(
            [
                upload(session_identifier="ny-3", success=False, error_message="503"),
                upload(session_identifier="ny-3", timestamp="2025-06-02T14:00:00+00:00"),
                upload("elabftw", session_identifier="ny-3"),
                upload(session_identifier="ny-4", success=False, error_message="no route"),
            ]
        )
        store.external_ids.store("alice", "nemo", "42", email="alice@example.com")
        store.external_ids.store("bob", "cdcs", "7")
    return path
