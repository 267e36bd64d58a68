"""Database files for the tests of backups: made with plain sqlite3, looked at from outside."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from nexuslims_store import backup
from nexuslims_store.config import sql_folder

both_modes = pytest.mark.parametrize("wal", [False, True], ids=["delete", "wal"])

# Where nobody else is, the lock that is waited for is one's own: that is soon told.
restore = partial(backup.restore, timeout=3)


def build(
    path: Path, *, mark: str = "old", wal: bool = False, page_size: int = 512, sessions: int = 300
) -> Path:
    """Make a database at the head revision, of a few hundred small pages."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        # Most of the tests' time would go into syncing files that are thrown away.
        connection.execute("PRAGMA synchronous = OFF")
        for script in sorted((sql_folder() / "migrations").glob("[0-9]*.sql")):
            if not script.name.endswith(".rollback.sql"):
                connection.executescript(script.read_text())
        connection.execute("BEGIN")
        connection.execute(
            "INSERT INTO instruments (instrument_pid, api_url, calendar_url, location, "
            "display_name, property_tag, filestore_path, harvester, timezone) VALUES "
            "('FEI-1', 'http://x/1', 'http://x', 'here', 'FEI', 'tag', 'FEI', 'nemo', 'UTC')"
        )
        for number in range(sessions):
            insert_pair(connection, f"{mark}-{number}")
            insert_upload(connection, mark)
        connection.execute("COMMIT")
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
    return path


def insert_pair(connection: sqlite3.Connection, session: str) -> None:
    for event in ("START", "END"):
        connection.execute(
            "INSERT INTO session_log "
            "(session_identifier, instrument, timestamp, event_type, record_status, user) "
            "VALUES (?, 'FEI-1', '2025-01-01T00:00:00+00:00', ?, 'TO_BE_BUILT', 'u')",
            (session, event),
        )


def insert_upload(connection: sqlite3.Connection, mark: str) -> None:
    connection.execute(
        "INSERT INTO upload_log (session_identifier, destination_name, success, timestamp, "
        "record_id, error_message) VALUES ('s', 'cdcs', 0, '2025-01-01T00:00:00+00:00', ?, ?)",
        (mark, "x" * 200),
    )


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as connection:
        return connection.execute(sql).fetchall()


def content(path: Path) -> list[str]:
    """Return all that is in a database, once SQLite finds it in order."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return list(connection.iterdump())


def journal_mode(path: Path) -> object:
    return query(path, "PRAGMA journal_mode")[0][0]


def files(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder, byte for byte. For folders with no open database in them."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def script(code: str, *arguments: object) -> list[str]:
    """Return the command line of a child that runs `code`, this module's names being there."""
    start = (
        "import os, resource, signal, sqlite3, sys\n"
        "from pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from helpers.database_files import *\n"
    )
    return [sys.executable, "-W", "error", "-c", start + code, *map(str, arguments)]


def run(code: str, *arguments: object) -> str:
    """Run code in a child process, which must end well, and return what it printed."""
    done = subprocess.run(
        script(code, *arguments), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a child process and wait until it has printed its first line."""
    child = subprocess.Popen(
        script(code, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def end(child: subprocess.Popen[str]) -> str:
    """End what `start` started, and return what it printed since."""
    printed, _ = child.communicate("\n", timeout=60)
    assert child.returncode == 0
    return printed


def damage(path: Path, kind: str) -> None:
    data = bytearray(path.read_bytes())
    match kind:
        case "text":
            data[:] = b"not a database\n" * 1000
        case "short text":
            data[:] = b"hello"
        case "header":
            data[3] ^= 0x55
        case "cut by half":
            del data[len(data) // 2 :]
        case "cut by 100 bytes":
            del data[-100:]
        case "tables":
            data = data.replace(b"CREATE TABLE", b"CREATE STOOL")
        case "zeroed pages":
            data[512 * 40 : 512 * 200] = bytes(512 * 160)
        case "flipped byte":
            data[512 * 100] ^= 0x55
        case _:
            raise AssertionError(kind)
    path.write_bytes(data)


# A child of this kind holds a lock until its stdin ends.
HOLD = """
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
connection.execute(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
connection.rollback()
connection.close()
"""

# A child of this kind kills a process of its own at each line of the package's code at which it
# finds other bytes in the folder than at the line before: a kill at the lines between would leave
# the same. It defines folder, prepare(), work() and judge(), and this follows.
KILL_AT_EVERY_LINE = """
import nexuslims_store.backup
MODULES = {str(f) for f in Path(nexuslims_store.backup.__file__).parent.glob("*.py")}
def traced(act):
    child = os.fork()
    if child == 0:
        number = 0
        def trace(frame, event, argument):
            nonlocal number
            if frame.f_code.co_filename not in MODULES:
                return None
            if event == "line":
                number += 1
                act(number)
            return trace
        sys.settrace(trace)
        work()
        sys.settrace(None)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    judge(status == 0)
kills = 0
last = None
moments, write = os.pipe()
def note(number):
    global last
    found = {f.name: (f.stat().st_mode, f.read_bytes()) for f in folder.iterdir()}
    if found != last:
        last = found
        os.write(write, b"%d\\n" % number)
prepare()
traced(note)
os.close(write)
with os.fdopen(moments) as file:
    found = file.read().split()
for moment in found:
    prepare()
    kills += 1
    traced(lambda number: number == int(moment) and os.kill(os.getpid(), signal.SIGKILL))
print(kills)
"""


@contextmanager
def unchanged(*folders: Path) -> Iterator[None]:
    """Check that a block leaves folders as they are, byte for byte."""
    before = [(files(folder), names(folder)) for folder in folders]
    yield
    assert [(files(folder), names(folder)) for folder in folders] == before
