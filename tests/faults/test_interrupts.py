"""An exception at any moment of any method: nothing stays open, held or half done.

The exception is raised by a trace function at the nth event of the package's own frames and of
contextlib's (every line, and where that is quick every instruction), for every n; and by real
signals at real moments. It is kept while the store is looked at, as a notebook keeps the last one:
what only the end of its traceback would let go of is found.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from helpers.interruptions import alarm, traced
from helpers.platforms import posix
from helpers.support import PID, SESSION, TABLES, Clock, contents, instrument, write
from test_transactions import MUTATORS, claimed
from test_transactions import filled as fill

import nexuslims_store
from nexuslims_store import Store
from nexuslims_store.backup import PARTIAL_FILES

PACKAGE = str(Path(nexuslims_store.__file__).parent)
FRAMES = (PACKAGE, contextlib.__file__)


def first(models: Any) -> None:
    """Stop after one."""
    with closing(models):
        next(models)


@pytest.fixture
def connections_are_found_here() -> Iterator[None]:
    """Have Python find what an interruption kept a connection by: from 3.13 on it warns of that,
    and would in any later test."""
    yield
    gc.collect()


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    place = fill(tmp_path)
    assert isinstance(place, Path)
    return place


READERS: dict[str, Callable[[Store], object]] = {
    "instruments.get": lambda s: s.instruments.get(PID),
    "instruments.list": lambda s: s.instruments.list(),
    "instruments.find_by_path": lambda s: s.instruments.find_by_path("/data/a", root="/data"),
    "instruments.activity": lambda s: s.instruments.activity(),
    "session_logs.list_for_session": lambda s: s.session_logs.list_for_session(SESSION),
    "session_logs.iter_all": lambda s: list(s.session_logs.iter_all()),
    "session_logs.iter_all, one": lambda s: first(s.session_logs.iter_all()),
    "sessions.get": lambda s: s.sessions.get(SESSION),
    "sessions.list_to_build": lambda s: s.sessions.list_to_build(),
    "sessions.iter_between": lambda s: list(
        s.sessions.iter_between(datetime(2025, 1, 1), datetime(2026, 1, 1))
    ),
    "sessions.iter_overview": lambda s: list(s.sessions.iter_overview()),
    "sessions.counts_by_status": lambda s: s.sessions.counts_by_status(),
    "upload_logs.list_failed": lambda s: s.upload_logs.list_failed(),
    "external_ids.get": lambda s: s.external_ids.get("ned", "nemo"),
}


def nested(store: Store) -> None:
    """A transaction, one inside it that fails, and one that does not."""
    with store.transaction():
        store.instruments.add(instrument("A"))
        with contextlib.suppress(ZeroDivisionError), store.transaction():
            store.instruments.add(instrument("B"))
            raise ZeroDivisionError
        with store.transaction():
            store.instruments.add(instrument("C"))


def failing(store: Store) -> None:
    """A transaction that fails."""
    with contextlib.suppress(ZeroDivisionError), store.transaction():
        store.instruments.add(instrument("A"))
        raise ZeroDivisionError


def stacked(store: Store) -> None:
    """A transaction in an ExitStack."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(store.transaction())
        store.instruments.add(instrument("A"))


TRANSACTIONS = {"nested": nested, "failing": failing, "stacked": stacked}
ALL = MUTATORS | READERS | TRANSACTIONS


class Interruption:
    """Raises KeyboardInterrupt at one event of the frames that are looked at.

    Attributes
    ----------
    seen
        How many events there were.
    first
        The numbers of those that are the first at their line, for the line that calls it.
    raised
        Whether it came to that.
    """

    def __init__(self, at: int = 0, *, instructions: bool = False) -> None:
        self.seen = 0
        self.first: list[int] = []
        self.raised = False
        self._places: set[object] = set()
        self._at = at
        self._instructions = instructions

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(FRAMES):
            return None
        frame.f_trace_opcodes = self._instructions
        self.seen += 1
        if self.seen == self._at:
            self.raised = True
            sys.settrace(None)
            raise KeyboardInterrupt(f"{frame.f_code.co_qualname}:{frame.f_lineno}, {event}")
        if not self._at:
            caller = frame.f_back
            place = (frame.f_code, frame.f_lineno, event, caller and caller.f_lineno)
            if place not in self._places:
                self._places.add(place)
                self.first.append(self.seen)
        return self


def interrupted(
    work: Callable[[], object], at: int, *, instructions: bool = False
) -> tuple[Interruption, BaseException | None]:
    """Do it, interrupted at an event if that comes; return what was raised."""
    trace = Interruption(at, instructions=instructions)
    try:
        traced(work, trace)
    except KeyboardInterrupt as interrupt:
        return trace, interrupt
    return trace, None


def moments(work: Callable[[], object], *, every: bool = False) -> list[int]:
    """Do it once, and return the events of it at which to interrupt it.

    Each line, once for each line that calls it, or every event.
    """
    seen = interrupted(work, 0)[0]
    return list(range(1, seen.seen + 1)) if every else seen.first


class Bystander:
    """Another program, which looks and puts everything back as it was."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=0)
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("PRAGMA journal_mode = MEMORY")
        self._version = -1
        self.before = self.rows()

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """What it sees; read again only where others have written since."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._rows = {
                table: self._connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
                for table in TABLES
            }
            self._version = version
        return self._rows

    def restore(self) -> None:
        """Also finds a lock that is held, were it one to read only."""
        self._connection.execute("BEGIN EXCLUSIVE")
        rows = self.rows()
        changed = [table for table in TABLES if rows[table] != self.before[table]]
        for table in reversed(changed):
            self._connection.execute(f"DELETE FROM {table}")
        for table in changed:
            named = self._connection.execute(f"SELECT * FROM {table}").description
            columns = ", ".join(f'"{column}"' for column, *_ in named)
            marks = ", ".join("?" * len(named))
            self._connection.executemany(
                f"INSERT INTO {table} ({columns}) VALUES ({marks})", self.before[table]
            )
        self._connection.execute("COMMIT")
        self._rows = self.before

    def close(self) -> None:
        self._connection.close()


def sweep(path: Path, work: Callable[[Store], object], *, instructions: bool) -> int:
    """Interrupt work at each of its moments; return how many there were."""
    with closing(Bystander(path)) as bystander, Store(path, clock=Clock(), timeout=0.2) as store:
        store.connection.execute("PRAGMA synchronous = OFF")
        work(store)
        after = bystander.rows()
        bystander.restore()
        between = []
        if work is MUTATORS["sessions.building"]:
            store.sessions.release(claimed(store))  # as a KeyboardInterrupt does
            between.append(bystander.rows())
            bystander.restore()
        points = count(1) if instructions else iter(moments(lambda: work(store)))
        bystander.restore()
        for moment in points:
            trace, kept = interrupted(lambda: work(store), moment, instructions=instructions)
            where = f"moment {moment}: {kept}"
            if work is stacked:
                # contextlib's frames keep the block, and are in a circle.
                kept = kept and KeyboardInterrupt()
                gc.collect(1)
            try:
                assert bystander.rows() in (bystander.before, after, *between), where
                bystander.restore()
                assert not store.connection.in_transaction, where
                store.instruments.add(instrument("Next"))
                assert any(row[0] == "Next" for row in bystander.rows()["instruments"]), where
                bystander.restore()
            except sqlite3.OperationalError as error:
                raise AssertionError(f"{where}: {error}") from None
            if not trace.raised:
                break
        return moment


# A generator that is not used up, and is interrupted when it is let go of, cannot tell anybody.
pytestmark = [
    pytest.mark.usefixtures("connections_are_found_here"),
    pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning"),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

every_method = pytest.mark.parametrize("work", ALL.values(), ids=list(ALL))


@pytest.mark.parametrize(
    "work",
    [
        # What reads has nothing to undo; one is interrupted at every instruction below.
        pytest.param(work, id=name, marks=[pytest.mark.soak] if name in READERS else [])
        for name, work in ALL.items()
    ],
)
def test_interrupted_at_every_line(filled: Path, work: Callable[[Store], object]) -> None:
    assert sweep(filled, work, instructions=False) > 10


@pytest.mark.parametrize("work", [failing, READERS["external_ids.get"]])
def test_interrupted_at_every_instruction(filled: Path, work: Callable[[Store], object]) -> None:
    assert sweep(filled, work, instructions=True) > 100


@pytest.mark.soak
@every_method
def test_every_method_interrupted_at_every_instruction(
    filled: Path,
    work: Callable[[Store], object],
) -> None:
    assert sweep(filled, work, instructions=True) > 100


@pytest.mark.parametrize("work", [nested, failing, MUTATORS["sessions.add"]])
def test_interrupted_in_a_store_for_any_thread(
    filled: Path,
    work: Callable[[Store], object],
) -> None:
    """Other threads have their turn at once."""
    with closing(Bystander(filled)) as bystander, ThreadPoolExecutor(1) as other:
        store = Store(filled, clock=Clock(), timeout=0.2, any_thread=True)
        with store:
            store.connection.execute("PRAGMA synchronous = OFF")
            points = moments(lambda: work(store))
            assert len(points) > 50
            bystander.restore()
            for moment in points:
                _, kept = interrupted(lambda: work(store), moment)
                bystander.restore()
                assert not other.submit(store.instruments.get, "A").result(60), kept


# What a loop does again, too.
every_time = pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["first", "every"]
)


@every_time
def test_opening_and_closing_are_interrupted(filled: Path, every: bool) -> None:
    """Nothing is locked after: there is no store yet, and what there was is gone."""

    def work() -> None:
        with Store(filled):
            pass

    work()
    points = moments(work, every=every)
    assert len(points) > 100
    with closing(Bystander(filled)) as bystander:
        for moment in points:
            _, kept = interrupted(work, moment)
            said, kept = str(kept), None  # what is kept may keep a connection, which is no fault
            try:
                bystander.restore()
            except sqlite3.OperationalError as error:
                raise AssertionError(f"moment {moment}: {said}: {error}") from None


@every_time
def test_a_backup_is_interrupted(filled: Path, tmp_path: Path, every: bool) -> None:
    """No half copy has the name of one, and the store goes on to write."""
    copies = tmp_path / "copies"
    copies.mkdir()
    with closing(Bystander(filled)) as bystander, Store(filled, timeout=0.2) as store:

        def work() -> None:
            store.backup(copies / "copy.db")

        points = moments(work, every=every)
        assert len(points) > 100
        (copies / "copy.db").unlink()
        for moment in points:
            _, kept = interrupted(work, moment)
            try:
                bystander.restore()
            except sqlite3.OperationalError as error:
                raise AssertionError(f"moment {moment}: {kept}: {error}") from None
            store.instruments.add(instrument("Next"))
            assert any(row[0] == "Next" for row in bystander.rows()["instruments"]), kept
            bystander.restore()
            for partial in copies.glob(PARTIAL_FILES):  # the clean-up itself was interrupted
                partial.unlink()
            left = os.listdir(copies)
            assert left in ([], ["copy.db"]), f"{kept}: {left}"
            if left:
                assert contents(copies / "copy.db") == bystander.before
                (copies / "copy.db").unlink()


# -- real signals ----------------------------------------------------------------------

HOLDER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
print("let go", flush=True)
sys.stdin.readline()
"""


class AlarmError(Exception):
    """Raised by a signal handler."""


def raise_it() -> None:
    raise AlarmError


@posix
@pytest.mark.parametrize("name", ["session_logs.insert", "sessions.add", "external_ids.store"])
def test_a_signal_while_a_lock_is_waited_for(filled: Path, name: str) -> None:
    """The lock is free again some time after the signal, when nobody waits for it any more."""
    work = MUTATORS[name]
    with (
        closing(Bystander(filled)) as bystander,
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(filled)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as holder,
        Store(filled, clock=Clock(), timeout=20) as store,
    ):
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        stdin = holder.stdin
        letting_go = threading.Timer(0.5, lambda: (stdin.write("\n"), stdin.flush()))
        with alarm(raise_it) as set_alarm:
            letting_go.start()
            with pytest.raises(AlarmError) as caught:  # noqa: PT012
                set_alarm(0.2)
                work(store)
        assert holder.stdout.readline() == "let go\n"
        letting_go.join()
        bystander.restore()
        assert not store.connection.in_transaction
        work(store)
        assert bystander.rows() != bystander.before
        holder.communicate("\n", timeout=20)
        assert caught.value is not None  # kept until here


@posix
@pytest.mark.parametrize(
    "name", ["sessions.add", "nested", "sessions.list_to_build", "sessions.claim"]
)
def test_a_signal_at_any_time(filled: Path, name: str) -> None:
    """Real ones, at moments that are spread over the time which the method takes."""
    work = ALL[name]
    rung = 0
    with closing(Bystander(filled)) as bystander, Store(filled, clock=Clock()) as store:
        store.connection.execute("PRAGMA synchronous = OFF")
        times = []
        for _ in range(5):  # the first is slower than all that follow
            started = time.perf_counter()
            work(store)
            times.append(time.perf_counter() - started)
            after = bystander.rows()
            bystander.restore()
        takes = min(times)
        for step in range(300):
            caught: BaseException | None = None
            with alarm(raise_it) as set_alarm:
                try:
                    set_alarm(max(takes * step / 200, 1e-6))
                    work(store)
                    set_alarm(0)
                except (AlarmError, KeyboardInterrupt) as error:
                    caught = error
            rung += caught is not None
            assert bystander.rows() in (bystander.before, after)
            bystander.restore()
            assert not store.connection.in_transaction
    assert rung > 20


@posix
@pytest.mark.parametrize(
    ("number", "says"), [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "SystemExit")]
)
def test_a_process_that_is_told_to_end_while_it_waits(
    filled: Path,
    number: signal.Signals,
    says: str,
) -> None:
    code = textwrap.dedent("""
        import signal, sys, threading
        from nexuslims_store import Store

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with Store(sys.argv[1], timeout=1) as store:
            print("ready", flush=True)
            try:
                store.instruments.remove("Unused")
                print("removed")
            except BaseException as error:
                print(type(error).__name__, flush=True)
            print(store.connection.in_transaction, flush=True)
            sys.stdin.readline()
            store.instruments.remove("Unused")
    """)
    with (
        closing(sqlite3.connect(filled, isolation_level=None, timeout=20)) as other,
        subprocess.Popen(
            [sys.executable, "-c", code, str(filled)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        other.execute("BEGIN IMMEDIATE")
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        process.send_signal(number)
        # SQLite's wait is one step for Python: the signal is seen when it has ended.
        assert process.stdout.readline() == f"{says}\n"
        assert process.stdout.readline() == "False\n"
        other.execute("COMMIT")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("COMMIT")
        process.communicate("\n", timeout=30)
        assert process.returncode == 0
    assert "Unused" not in [row[0] for row in contents(filled)["instruments"]]


def test_what_is_raised_inside_sqls_function_is_not_lost(filled: Path) -> None:
    """`sqlite3` drops what a function of SQL raises: Ctrl-C would be an error of the tables."""

    def interruption(at: str) -> Callable[[FrameType, str, object], Any]:
        def trace(frame: FrameType, event: str, argument: object) -> Any:
            # Its first line is `try`, before which Python has nothing to catch with.
            inside = at == "call" or "time" in frame.f_locals
            if frame.f_code.co_name == "stored_instant" and event == at and inside:
                raise SystemExit
            return trace

        return trace

    write(filled, "UPDATE session_log SET timestamp = substr(timestamp, 1, 19)")  # naive
    before = sys.gettrace()
    with Store(filled) as store:
        for at, error in (("line", SystemExit), ("call", KeyboardInterrupt)):
            sys.settrace(interruption(at))
            try:
                with pytest.raises(error):
                    store.session_logs.list_for_session(SESSION)
            finally:
                sys.settrace(before)
            assert len(store.session_logs.list_for_session(SESSION)) == 2
