"""The command line as a whole: help, errors, exit statuses, and the habits of shells."""

from __future__ import annotations

import argparse
import logging
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from helpers.command_line import COMMAND, call, filled, process
from helpers.platforms import posix
from helpers.support import HEAD, new_database, write

from nexuslims_store import Store, StoreError, __version__
from nexuslims_store.cli import parser


def commands(of: argparse.ArgumentParser, *names: str) -> Iterator[tuple[str, ...]]:
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                yield (*names, name)
                yield from commands(sub, *names, name)


ALL = sorted(set(commands(parser.build_parser())))


def test_the_commands_are_those_of_the_contract() -> None:
    assert {" ".join(name) for name in ALL} >= {
        *("migrate", "migrate upgrade", "migrate downgrade", "migrate current", "migrate check"),
        *("migrate history", "migrate stamp", "migrate new", "status", "backup", "restore"),
        *(f"sessions {verb}" for verb in ("list", "show", "reset", "delete")),
        *(f"instruments {verb}" for verb in ("list", "show", "add", "update", "remove")),
        *("instruments import", "instruments export", "uploads list", "uploads failed"),
        *(f"users {verb}" for verb in ("list", "show", "set", "remove")),
    }


@pytest.mark.parametrize("name", [(), *ALL], ids=" ".join)
def test_every_command_has_a_help_text(name: tuple[str, ...]) -> None:
    shown = call(*name, "--help")
    assert shown.status == 0
    assert shown.err == ""
    assert shown.out.startswith(" ".join(("usage: nexuslims-store", *name)))
    assert "--db PATH" in shown.out


def test_the_help_ends_with_what_every_command_does() -> None:
    assert call("--help").out.endswith("0 done,\n1 a check found something, 2 an error.\n")


def test_the_version_is_the_packages() -> None:
    assert call("--version").out == f"nexuslims-store {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("sessions",),
        ("fly",),
        ("sessions", "list", "--since", "someday"),
        ("sessions", "list", "--limit", "0"),
        ("sessions", "list", "--limit", "٣x"),
        ("sessions", "list", "--limit", "000000000001"),  # nobody means so long a number
        ("sessions", "list", "--limit", "²"),
        ("sessions", "list", "--status", "HAPPY"),
        ("sessions", "list", "--json", "--csv"),
        ("sessions", "list", "--stat", "ERROR"),  # no abbreviations: they change their meaning
        ("--timeout", "soon", "status"),
        ("--timeout", "-1", "status"),
        ("--timeout", "nan", "status"),
    ],
)
def test_wrong_arguments_are_an_error_with_the_usage(arguments: tuple[str, ...]) -> None:
    wrong = call(*arguments)
    assert wrong.status == 2
    assert wrong.out == ""
    assert wrong.err.startswith("usage: nexuslims-store")
    assert "_" not in wrong.err.splitlines()[-1].replace("TO_BE", "").split("choose from")[0]


# -- where the database is -------------------------------------------------------------------


def test_the_path_stands_before_or_after_the_command_or_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = new_database(tmp_path, "of 100%.db")
    monkeypatch.setenv("NX_DB_PATH", str(tmp_path / "nowhere.db"))
    assert call("migrate", "current").status == 2
    assert call("--db", path, "migrate", "current").out == f"{HEAD}\n"
    assert call("migrate", "--db", path, "current").out == f"{HEAD}\n"
    assert call("migrate", "current", "--db", path).out == f"{HEAD}\n"
    monkeypatch.setenv("NX_DB_PATH", str(path))
    assert call("migrate", "current").out == f"{HEAD}\n"


def test_an_error_says_where_the_path_is_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NX_DB_PATH", "no.db")
    assert "(the path is from NX_DB_PATH in the environment)" in call("status").err
    assert "from" not in call("--db", "no.db", "status").err
    monkeypatch.delenv("NX_DB_PATH")
    Path(".env").write_text("NX_DB_PATH=there.db\n", encoding="utf-8")
    for command in (("status",), ("users", "list"), ("doctor",), ("migrate", "current")):
        missing = call(*command)
        assert missing.status == 2
        assert f"(the path is from NX_DB_PATH in {tmp_path / '.env'})" in missing.err
    # That of another file is not.
    assert "the path is from" not in call("restore", "backup.db").err


@posix
def test_a_current_folder_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = new_database(tmp_path)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for arguments in (
        ("--db", "x.db", "status"),
        ("--db", "x.db", "backup"),
        ("--db", "x.db", "migrate"),
        ("--db", path, "report", "--output", "x.html"),
        ("--db", path, "instruments", "export", "x.csv"),
        ("--db", "x.db", "restore", path, "--yes"),
    ):
        refused = call(*arguments)
        assert refused.status == 2
        assert "the current folder was removed" in refused.err
        assert "Errno" not in refused.err
    assert call("--db", path, "status", "--quiet").status == 0


def test_a_database_in_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NX_DB_PATH", ":memory:")
    for arguments in (
        ("status",),
        ("migrate",),
        ("doctor",),
        ("--db", ":memory:", "users", "list"),
    ):
        refused = call(*arguments)
        assert (refused.status, refused.out) == (2, "")
        assert "':memory:' is no file" in refused.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("sesions", "list"), "nexuslims-store: error: argument COMMAND: invalid choice: "
         "'sesions'; did you mean 'sessions'?"),
        (("sessions", "lst"), "nexuslims-store sessions: error: argument COMMAND: invalid "
         "choice: 'lst'; did you mean 'list'?"),
        (("status", "--stirct"), "nexuslims-store status: error: unrecognized arguments: --stirct; "
         "did you mean '--strict'?"),
        (("users", "set", "a", "nmo", "1"), "nexuslims-store users set: error: argument SYSTEM: "
         "invalid choice: 'nmo'; did you mean 'nemo'?"),
        (("sessions", "list", "--status", "completed,ERORR"), "nexuslims-store sessions list: "
         "error: argument --status: 'ERORR' is no status; did you mean 'ERROR'?"),
        (("sessions", "reset"), "nexuslims-store sessions reset: error: say which: name sessions"),
    ],
)  # fmt: skip
def test_a_slip_of_the_pen_gets_the_usage_of_its_command(
    tmp_path: Path, words: tuple[str, ...], meant: str
) -> None:
    wrong = call("--db", new_database(tmp_path), *words)
    assert wrong.status == 2
    assert meant in wrong.err
    command = meant.partition(": error")[0]
    assert wrong.err.startswith(f"usage: {command} [-h]")


LOOKING = [
    ("status",),
    ("migrate", "current"),
    ("migrate", "check"),
    ("sessions", "list"),
    ("sessions", "show", "x"),
    ("instruments", "list"),
    ("uploads", "failed"),
    ("users", "list"),
]
CHANGING = [
    ("sessions", "delete", "x", "--yes"),
    ("instruments", "remove", "x", "--yes"),
    ("users", "set", "alice", "nemo", "1"),
]


@pytest.mark.parametrize("kind", ["missing", "a folder", "text", "another program's", "damaged"])
@pytest.mark.parametrize("command", LOOKING + CHANGING, ids=" ".join)
def test_a_file_that_is_none_of_ours_is_an_error_and_stays_as_it_is(
    tmp_path: Path, kind: str, command: tuple[str, ...]
) -> None:
    path = tmp_path / "a file"
    if kind == "a folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("dear diary " * 100, encoding="utf-8")
    elif kind == "another program's":
        write(path, "CREATE TABLE bookmarks (url TEXT)")
    elif kind == "damaged":
        path.write_bytes(new_database(tmp_path).read_bytes()[:5000])
    before = path.read_bytes() if path.is_file() else None
    refused = call("--db", path, *command)
    assert refused.status == 2
    assert refused.out == ""
    assert str(path) in refused.err
    assert "Traceback" not in refused.err
    assert (path.read_bytes() if path.is_file() else None) == before
    assert path.exists() == (kind != "missing")


def test_a_lock_is_waited_for_as_long_as_the_user_says(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    for command in (("status",), ("users", "list"), ("users", "set", "alice", "nemo", "1")):
        locked = call("--db", path, "--timeout", "0.1", *command)
        assert locked.status == 2
        assert "still after 0.1 s" in locked.err
    assert time.monotonic() - started < 10
    other.close()
    assert call("--db", path, "users", "set", "alice", "nemo", "1").status == 0


# -- errors ----------------------------------------------------------------------------------


def test_an_error_has_no_traceback_unless_it_is_asked_for(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    plain = process("--db", path, "sessions", "show", "x")
    assert plain.status == 2
    assert plain.out == ""
    assert plain.err == (
        f"nexuslims-store: there is no session 'x'; `nexuslims-store sessions list --db {path}` "
        "shows those there are\n"
    )
    debugged = process("--db", path, "--debug", "sessions", "show", "x")
    assert debugged.status == 2
    assert "Traceback" in debugged.err
    assert debugged.err.endswith(plain.err)


def test_a_value_that_a_model_refuses_is_an_error_of_the_users(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    refused = call("--db", path, "users", "set", "", "nemo", "1")
    assert refused.status == 2
    assert refused.err.startswith("nexuslims-store: nexuslims_username: ")


def test_an_error_that_nobody_foresaw_is_no_check_that_found_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("nexuslims_store.overview.examine", fail)
    failed = call("--db", tmp_path / "any.db", "status")
    assert (failed.status, failed.out) == (2, "")
    assert "not foreseen (ZeroDivisionError: by zero)" in failed.err
    assert "Traceback" not in failed.err
    assert "Traceback" in call("--db", tmp_path / "any.db", "--debug", "status").err


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with Store(path) as store:
        store.sessions.set_status("ny-3", "COMPLETED")
    quiet = call("--db", path, "sessions", "list")
    assert quiet.err == ""
    write(path, "UPDATE session_log SET timestamp = '9' WHERE session_identifier = 'ny-3'")
    assert "see `nexuslims-store doctor --db" in call("--db", path, "sessions", "show", "ny-3").err


def test_what_is_logged_is_told_by_a_command_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("nexuslims_store")
    before = (logger.level, list(logger.handlers))

    def log(*_: object, **__: object) -> None:
        logger.debug("looked at %d", 7)
        logger.info("so it is")
        logger.warning("it is %s", "odd")
        raise StoreError("enough")

    monkeypatch.setattr("nexuslims_store.overview.examine", log)
    monkeypatch.setattr(logger, "propagate", False)
    for debug, told in (
        ((), ""),
        (("--debug",), "debug: looked at 7\ninfo: so it is\n"),
        ((), ""),
    ):
        done = call("--db", tmp_path / "any.db", *debug, "status")
        assert (done.status, done.out) == (2, "")
        assert done.err.partition("Traceback")[0].startswith(f"{told}warning: it is odd\n")
        assert done.err.endswith("nexuslims-store: enough\n")
        assert (logger.level, list(logger.handlers)) == before


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(13, "Permission denied", "a file"), "a file: Permission denied"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError("odd"), "an error that was not foreseen (OSError: odd); the same command with"),
    ],
)
def test_an_error_of_the_system_is_told_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, says: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("nexuslims_store.overview.examine", fail)
    failed = call("--db", tmp_path / "any.db", "status")
    assert (failed.status, failed.out) == (2, "")
    assert failed.err.startswith(f"nexuslims-store: {says}")


# -- shells ----------------------------------------------------------------------------------


INTERRUPTED = """
import os, signal, sqlite3, sys, time
from functools import partial
from threading import Timer
from nexuslims_store import overview
from nexuslims_store.cli import interrupts, main
interrupt = partial(os.kill, os.getpid(), signal.SIGINT)
def slowly(*_, **__):
    try:
        interrupt()
        time.sleep(30)
    finally:  # what a command does at its end
        time.sleep(0.3)
        os.write(1, b"cleaned up")
timers = []
def begun(statement):  # what comes after the last of them waits for the lock
    for timer in timers:
        timer.cancel()
    timers.append(Timer(0.3, interrupt))
    timers[-1].start()
class Traced(sqlite3.Connection):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.set_trace_callback(begun)
overview.examine = slowly
sqlite3.connect = partial(sqlite3.connect, factory=Traced)
interrupts._GRACE_SECONDS = float(sys.argv.pop(1))
sys.exit(main())
"""


@posix
@pytest.mark.parametrize(
    ("grace", "command", "out"), [("0.1", "users list", b""), ("8", "status", b"cleaned up")]
)
def test_ctrl_c_ends_even_a_wait_for_a_lock_but_no_cleaning_up(
    tmp_path: Path, grace: str, command: str, out: bytes
) -> None:
    path = new_database(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        done = subprocess.run(
            [COMMAND[0], "-c", INTERRUPTED, grace, "--db", path, "--timeout=30", *command.split()],
            capture_output=True,
            timeout=40,
            check=False,
        )
        assert time.monotonic() - started < 20
    assert done.returncode == 130
    assert done.stdout == out
    assert done.stderr == b"nexuslims-store: interrupted\n"


def test_status_and_help_do_without_yoyo(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    for arguments in (("--help",), ("status",), ("sessions", "list"), ("migrate", "check")):
        code = (
            "import sys\nfrom nexuslims_store.cli import main\n"
            f"try:\n    main({['--db', str(path), *arguments]!r})\nexcept SystemExit:\n    pass\n"
            "sys.exit('yoyo' in sys.modules)"
        )
        done = subprocess.run(
            [COMMAND[0], "-c", code], capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("report", "--output", "no/"),
        ("instruments", "export", "no/"),
        ("users", "export", "no/"),
        ("demo", "no/"),
        ("--db", "no/", "migrate"),
    ],
)
def test_a_slash_at_the_end_is_of_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = filled(tmp_path)
    before = sorted(tmp_path.iterdir())
    refused = call("--db", path, *command)
    assert refused.status == 2
    assert "is a folder's name" in refused.err
    assert sorted(tmp_path.iterdir()) == before


def test_a_status_that_is_no_text_is_reported(tmp_path: Path) -> None:
    path = filled(tmp_path)
    write(path, "UPDATE session_log SET record_status = x'ff' WHERE id_session_log % 5 = 0")
    for form in ((), ("--text",)):
        assert call("--db", path, "report", "--output", "-", *form).status == 0
