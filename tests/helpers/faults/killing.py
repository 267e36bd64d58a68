"""A warm process, and forked children of it that each do one thing and die where they are told to.

A fork of a process that has imported all costs a hundredth of a new interpreter, so that an
operation can be killed at each of its statements. The process is one of its own because pytest's
workers have threads, and a process with threads should not be forked.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

from . import tasks
from .operations import OPERATIONS

Fault = Literal["none", "statement", "writes", "size", "time", "disk full", "page count"]

_LONGEST = 150  # seconds; whatever takes longer hangs


@dataclass(frozen=True)
class Call:
    """What a child does, and what happens to it.

    Attributes
    ----------
    task
        The name of an operation, or of a function of `tasks`.
    path
        The database it works on.
    arguments
        More for the function, as JSON knows them.
    fault, at
        "statement": killed where SQLite begins the statement of that number, counted over all
        connections; each page that a backup call copies counts as one. "writes": it runs to its
        end, but at each of those that may change a file (each read between two writes finds one
        state) the folder above the database's is copied as a kill would leave it there, to
        `copies_of(path)` by the number. "size": killed in the write that would make any file
        longer than so many bytes, in the middle of a page if need be. "time": killed after so
        many seconds.
        "disk full": such a write fails. "page count": no database may get more pages.
    uid
        The user to become.
    """

    task: str
    path: str
    arguments: tuple[Any, ...] = ()
    fault: Fault = "none"
    at: float = 0
    uid: int | None = None


@dataclass(frozen=True)
class Outcome:
    """How a child ended: killed, or with a result, or with an error."""

    killed: bool
    result: Any = None
    error: str = ""
    message: str = ""
    trace: str = ""


def copies_of(path: Path) -> Path:
    """Where the copies are that "writes" makes."""
    return path.parents[2] / "copies"


class Forks:
    """The warm process. Close it in the end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", f"{__package__}.killing"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, *calls: Call) -> list[Outcome]:
        """Make the calls at the same time, each in a child, and wait for all of them."""
        if sys.platform == "win32":
            raise NotImplementedError
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([asdict(call) for call in calls]).encode() + b"\n")
        stdin.flush()
        if not select.select([stdout], [], [], _LONGEST)[0]:
            os.killpg(self._process.pid, signal.SIGKILL)
            raise AssertionError(f"still at work after {_LONGEST} s: {calls}")
        return [Outcome(**answer) for answer in json.loads(stdout.readline())]

    def one(self, task: str, path: Path, **more: Any) -> Outcome:
        """Make one call."""
        return self.run(Call(task, str(path), **more))[0]

    def close(self) -> None:
        self._process.communicate()


# -- in the warm process -----------------------------------------------------------------------


def _serve() -> None:
    _warm_up()
    # Else each child's garbage collector would touch, and so copy, all that the children share.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        answers = _fork([Call(**call) for call in json.loads(line)])
        print(json.dumps(answers), flush=True)


def _warm_up() -> None:
    """Do all once, so that the children find the files that are read once a process."""
    for operation in OPERATIONS.values():
        with TemporaryDirectory() as folder:
            operation.run(operation.prepare(Path(folder), "fresh", wal=False))
    with TemporaryDirectory() as folder:
        tasks.work_out(Path(folder) / "a.db")


def _fork(calls: list[Call]) -> list[dict[str, Any]]:
    if sys.platform == "win32":
        raise NotImplementedError
    start, gate = os.pipe()
    children = []
    for call in calls:
        answer, result = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(gate)
            os.read(start, 1)  # comes to an end when all are there
            _work(call, result)
        os.close(result)
        children.append((call, child, answer))
    os.close(start)
    os.close(gate)
    answers = []
    for call, child, answer in children:
        if call.fault == "time":
            time.sleep(call.at)
            os.kill(child, signal.SIGKILL)
        with os.fdopen(answer, "rb") as pipe:
            text = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        killed = -status in {signal.SIGKILL, signal.SIGXFSZ}
        assert killed or status == 0, status
        answers.append({"killed": killed} if killed else json.loads(text))
    return answers


# -- in a child --------------------------------------------------------------------------------


def _work(call: Call, result: int) -> None:
    try:
        _inject(call)
        operation = OPERATIONS.get(call.task)
        function = operation.run if operation else getattr(tasks, call.task)
        value = function(Path(call.path), *call.arguments)
        answer = {"killed": False, "result": value if operation is None else None}
    except BaseException as error:  # noqa: BLE001 -- whatever it is, the parent reports it
        answer = {
            "killed": False,
            "error": type(error).__name__,
            "message": str(error),
            "trace": traceback.format_exc(),
        }
    with os.fdopen(result, "wb") as pipe:
        pipe.write(json.dumps(answer).encode())
    os._exit(0)


def _inject(call: Call) -> None:
    if sys.platform == "win32":
        raise NotImplementedError
    import resource

    if call.uid is not None:
        os.setgroups([])
        os.setgid(call.uid)
        os.setuid(call.uid)
    match call.fault:
        case "statement":
            _Counted.left = int(call.at)
            _connect_by(_Counted)
        case "writes":
            _Copied.path = Path(call.path)
            copies_of(_Copied.path).mkdir()
            _connect_by(_Copied)
        case "size" | "disk full":
            # Python ignores the signal, and the write fails; else it kills in the write.
            if call.fault == "size":
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            sys.dont_write_bytecode = True  # the limit would cut it off, for all that follow
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(call.at), resource.RLIM_INFINITY))
        case "page count":
            _Limited.pages = int(call.at)
            _connect_by(_Limited)


def _connect_by(factory: type[sqlite3.Connection]) -> None:
    """Let every connection of this process be one of these."""
    setattr(sqlite3, "connect", partial(sqlite3.connect, factory=factory))  # noqa: B010


# What leaves each file as it is; "--" begins what SQLite runs for itself within a statement.
_READS = ("SELECT", "PRAGMA", "SAVEPOINT", "RELEASE", "--")


class _Counted(sqlite3.Connection):
    """Counts statements, and the pages that SQLite's backup call copies, down to a kill."""

    left: ClassVar[int] = 0

    def __init__(self, database: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(database, *arguments, **options)
        self.set_trace_callback(self._statement)

    def _statement(self, text: str) -> None:
        self._count()

    def _count(self) -> None:
        if sys.platform == "win32":
            raise NotImplementedError
        _Counted.left -= 1
        if _Counted.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def backup(self, target: sqlite3.Connection, **options: Any) -> None:
        progress = options.pop("progress")

        def step(*numbers: int) -> None:
            self._count()
            progress(*numbers)

        super().backup(target, **{**options, "pages": 1}, progress=step)


class _Copied(_Counted):
    """Copies all files at each write."""

    path: ClassVar[Path]

    def __init__(self, database: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(database, *arguments, **options)
        if database == ":memory:":
            self.set_trace_callback(None)

    def _statement(self, text: str) -> None:
        if not text.startswith(_READS):
            self._count()

    def _count(self) -> None:
        _Counted.left += 1
        copy = copies_of(self.path) / str(_Counted.left)
        # By another process: were a file closed in this one, SQLite's locks on it would be gone.
        if subprocess.call(["cp", "-a", self.path.parents[1], copy]):
            os._exit(1)  # SQLite has no use for an exception


class _Limited(sqlite3.Connection):
    pages: ClassVar[int]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.execute(f"PRAGMA max_page_count = {self.pages}")


if __name__ == "__main__":
    _serve()
