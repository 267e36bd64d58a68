"""The command line as a whole: help, errors, exit statuses, and the habits of shells."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sqlite3
import subprocess
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.command_line import COMMAND, call, filled, on_a_terminal, process, terminal
from helpers.support import HEAD, PID, new_database, write

from nexuslims_store import Store, __version__
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


# -- shells ----------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes of this kind")
@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",)])
def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path, form: tuple[str, ...]) -> None:
    path = filled(tmp_path)
    child = subprocess.Popen(
        [*COMMAND, "--db", str(path), "sessions", "list", *form],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait(timeout=60) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_output_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "--db", str(path), "status"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith(b"nexuslims-store: the output cannot be written: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_may_be_closed(tmp_path: Path, closed: str) -> None:
    path = new_database(tmp_path)
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *COMMAND, "--db", str(path), "status"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == b""
    assert done.stdout.startswith(b"OK: ") == (">&-" not in closed.replace("2>&-", ""))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_ctrl_c_ends_even_a_wait_for_a_lock(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    child = subprocess.Popen(
        [*COMMAND, "--db", str(path), "--timeout", "50", "users", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    time.sleep(1.5)  # until it waits; if it does not yet, Ctrl-C must work all the same
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=20)
    other.close()
    assert child.returncode == 130
    assert out == b""
    assert err == b"nexuslims-store: interrupted\n"


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_an_encoding_cannot_hold_is_escaped(tmp_path: Path, encoding: str) -> None:
    path = filled(tmp_path)
    call("--db", path, "instruments", "update", "JEOL-JEM-ARM-200", "--location", "Żółw Ä 東")
    for form in ((), ("--csv",), ("--json",)):
        done = subprocess.run(
            [*COMMAND, "--db", str(path), "instruments", "list", *form],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C"},
            timeout=60,
            check=False,
        )
        assert done.returncode == 0
        assert done.stderr == b""
        # CSV has no escapes, and is UTF-8 everywhere.
        out = done.stdout.decode("utf-8" if form == ("--csv",) else encoding)
        if form == ("--json",):
            assert "Żółw Ä 東" in {one["location"] for one in json.loads(out)}
        elif form == ("--csv",):
            assert "Żółw Ä 東" in out
        else:
            assert "\\u" in out or encoding == "utf-8"


def test_nothing_a_terminal_would_act_upon_comes_from_the_database(tmp_path: Path) -> None:
    path = filled(tmp_path)
    write(path, """UPDATE session_log SET "user" = 'a' || char(27) || '[2Jb' || char(10) || 'c'""")
    for arguments in (("sessions", "list"), ("sessions", "show", "ny-1")):
        out = call("--db", path, *arguments).out
        assert "\x1b" not in out
        assert "a\\x1b[2Jb\\nc" in out
    of_csv = call("--db", path, "sessions", "list", "--csv").out
    assert "a\x1b[2Jb\nc" in of_csv  # data, not for the eye


@on_a_terminal
def test_there_is_no_colour(tmp_path: Path) -> None:
    path = filled(tmp_path)
    assert "\x1b" not in terminal("--db", path, "status").out


IDENTIFIER = f"https://nemo.example.com/{'ö' * 80}/?id=4711"
NAME = "東京" * 20


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A database with an identifier and a user that are wider than most terminals."""
    path = filled(tmp_path)
    with Store(path) as store:
        time = store.sessions.list_to_build()[0].dt_from
        store.sessions.add(IDENTIFIER, "JEOL-JEM-ARM-200", time, time, user=NAME)
    return path


@on_a_terminal
@pytest.mark.parametrize("columns", [400, 120, 80, 60, 40])
def test_nothing_is_cut_on_a_terminal_of_any_width(wide: Path, columns: int) -> None:
    out = terminal("--db", wide, "sessions", "list", columns=columns).out
    for text in (IDENTIFIER, NAME, "BUILT_NOT_EXPORTED", "2025-01-04 22:00 EST", PID):
        assert text in out
    assert "…" not in out
    lines = out.splitlines()
    assert len(lines) == (19 if columns == 400 else 18 * 7 - 1)
    for line in lines:
        width = sum(1 + (unicodedata.east_asian_width(char) == "W") for char in line)
        assert width <= columns or IDENTIFIER in line or NAME in line


@on_a_terminal
def test_columns_that_are_all_alike_go_first(tmp_path: Path) -> None:
    path = filled(tmp_path)
    week = ("sessions", "list", "--status", "ERROR,NO_CONSENT", "--instrument", PID)
    lines = terminal("--db", path, *week, columns=70).out.splitlines()
    assert lines[0] == f"for all: instrument {PID}"
    assert lines[1].split() == ["START", "HOURS", "USER", "STATUS", "SESSION", "IDENTIFIER"]
    assert [line.split()[-1] for line in lines[2:]] == ["ny-5", "ny-7"]
    whole = terminal("--db", path, *week, columns=120).out.splitlines()
    assert "INSTRUMENT" in whole[0]


def test_a_very_long_cell_is_cut_in_tables_only(tmp_path: Path) -> None:
    path = filled(tmp_path)
    name = f"a{'b' * 1_000_000}c"
    write(path, ("UPDATE session_log SET user = ? WHERE session_identifier = 'ny-1'", (name,)))
    out = call("--db", path, "sessions", "list").out
    assert len(out) < 20_000
    assert "bbb…bbb" in out
    for form in ("--csv", "--json"):
        assert name in call("--db", path, "sessions", "list", form).out


@pytest.mark.slow
@on_a_terminal
def test_a_wait_is_told_to_those_who_watch_alone(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    waits = ("--db", path, "--timeout", "4", "users", "list")
    seen = terminal(*waits).out
    assert re.search(r"\r[23] s", seen)
    assert seen.splitlines()[-1].strip().startswith("nexuslims-store: ")
    assert "\r" not in process(*waits).err
    other.close()
    assert "\r" not in terminal("--db", path, "users", "list").out


def test_a_table_is_never_cut_elsewhere(tmp_path: Path) -> None:
    path = filled(tmp_path)
    done = process("--db", path, "sessions", "list", COLUMNS="20")
    assert "…" not in done.out
    assert len(done.lines) == 18


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
