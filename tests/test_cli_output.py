"""What a command prints, on terminals of all widths, in all encodings, to readers that leave."""

from __future__ import annotations

import errno
import html
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.command_line import (
    COMMAND,
    Screen,
    call,
    filled,
    on_a_terminal,
    process,
    terminal,
)
from helpers.platforms import posix
from helpers.support import PID, new_database, write

from nexuslims_store import Store
from nexuslims_store.cli import held, main, progress
from nexuslims_store.cli.output import Output
from nexuslims_store.cli.tables import Table, terminal_width

IDENTIFIER = f"https://nemo.example.com/{'ö' * 80}/?id=4711"
NAME = "東京" * 20


@pytest.mark.slow
@posix
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


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("words", ["status", "--debug status", "statsu", "instruments import no"])
def test_an_error_that_cannot_be_told_is_one_by_its_status(
    tmp_path: Path, words: str, both: bool
) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "--db", str(tmp_path / "no.db"), *words.split()],
            stdout=full if both else subprocess.PIPE,
            stderr=full,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert not done.stdout


@pytest.mark.slow
@posix
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


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "utf-16", "cp037"])
def test_what_an_encoding_cannot_hold_is_escaped(tmp_path: Path, encoding: str) -> None:
    path = filled(tmp_path)
    call("--db", path, "instruments", "update", "JEOL-JEM-ARM-200", "--location", "Żółw Ä 東")
    # What programs read is UTF-8 everywhere: it is looked at where that is the least like it, and
    # in the others below.
    forms: tuple[tuple[str, ...], ...] = ((),)
    if encoding == "cp037":
        forms += (("--csv",), ("--json",))
    for form in forms:
        done = subprocess.run(
            [*COMMAND, "--db", str(path), "instruments", "list", *form],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C"},
            timeout=60,
            check=False,
        )
        assert done.returncode == 0
        assert done.stderr == b""
        out = done.stdout.decode("utf-8" if form else encoding)
        if form == ("--json",):
            assert "Żółw Ä 東" in {one["location"] for one in json.loads(out)}
        elif form == ("--csv",):
            assert "Żółw Ä 東" in out
        else:
            assert ("\\u" in out) == (encoding not in ("utf-8", "utf-16"))


@pytest.mark.slow
def test_pages_and_metrics_are_utf_8_in_every_encoding(tmp_path: Path) -> None:
    path = filled(tmp_path)
    call("--db", path, "instruments", "update", "JEOL-JEM-ARM-200", "--display-name", "Żółw → 東")
    page = tmp_path / "page.html"
    for command in (
        ("report",),
        ("report", "--text"),
        ("report", "--output", page),
        ("schema",),
        ("status", "--prometheus"),
    ):
        done = subprocess.run(
            [*COMMAND, "--db", path, *command],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": "cp037"},
            timeout=60,
            check=False,
        )
        assert done.returncode == 0
        written = page.read_bytes() if "--output" in command else done.stdout
        shown = html.unescape(written.decode("utf-8"))
        assert ("Żółw → 東" in shown) == ("report" in command)
        assert "\n" in shown


def test_nothing_a_terminal_would_act_upon_comes_from_the_database(tmp_path: Path) -> None:
    path = filled(tmp_path)
    write(path, """UPDATE session_log SET "user" = 'a' || char(27) || '[2Jb' || char(10) || 'c'""")
    for arguments in (("sessions", "list"), ("sessions", "show", "ny-1")):
        out = call("--db", path, *arguments).out
        assert "\x1b" not in out
        assert "a\\x1b[2Jb\\nc" in out
    of_csv = call("--db", path, "sessions", "list", "--csv").out
    assert "a\x1b[2Jb\nc" in of_csv  # data, not for the eye


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        *((f"a{char}b", f'"a{char}b"') for char in ",\r\n"),
        ('a"b', '"a""b"'),
        *((plain, plain) for plain in ("a;b", "a'b", " ", "a\tb", "a\x0bb")),
    ],
)
def test_a_cell_of_csv_is_quoted_where_it_has_to_be(tmp_path: Path, value: str, cell: str) -> None:
    path = new_database(tmp_path)
    assert call("--db", path, "users", "set", "bob", "cdcs", "7", "--notes", value).status == 0
    assert f",{cell}" in call("--db", path, "users", "list", "--csv").out


@on_a_terminal
def test_there_is_no_colour(tmp_path: Path) -> None:
    path = filled(tmp_path)
    assert "\x1b" not in terminal("--db", path, "status").out


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A database with an identifier and a user that are wider than most terminals."""
    path = filled(tmp_path)
    with Store(path) as store:
        time = store.sessions.list_to_build()[0].dt_from
        store.sessions.add(IDENTIFIER, "JEOL-JEM-ARM-200", time, time, user=NAME)
    return path


@pytest.mark.slow
@on_a_terminal
@pytest.mark.parametrize("columns", [400, 60])
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
    with ThreadPoolExecutor() as pool:  # both wait at once
        watched, unwatched = pool.submit(terminal, *waits), pool.submit(process, *waits)
    seen = watched.result().out
    assert re.search(r"\r[23] s", seen)
    assert seen.splitlines()[-1].strip().startswith("nexuslims-store: ")
    assert "\r" not in unwatched.result().err
    other.close()
    assert "\r" not in terminal("--db", path, "users", "list").out


def test_a_table_is_never_cut_elsewhere(tmp_path: Path) -> None:
    path = filled(tmp_path)
    done = process("--db", path, "sessions", "list", COLUMNS="20")
    assert "…" not in done.out
    assert len(done.lines) == 18


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252", "ascii"])
def test_results_are_whole_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    path = filled(tmp_path)
    # What programs read is UTF-8 everywhere: it is looked at where that is the least like it.
    for form in ("", "--json") if encoding == "utf-16" else ("",):
        done = subprocess.run(
            [*COMMAND, "--db", str(path), "sessions", "list", *([form] if form else [])],
            env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
            capture_output=True,
            check=True,
        )
        shown = done.stdout.decode("utf-8" if form else encoding)
        assert "\ufeff" not in shown  # the mark at the beginning, which is no character, aside
        assert not form or len(json.loads(shown)) > 1


@pytest.mark.parametrize(
    ("given", "width"),
    [("1", 1), ("80", 80), ("9999", 9999), *((odd, 70) for odd in ("", "0", "10000", "-5", "8x"))],
)
def test_the_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch, given: str, width: int) -> None:
    size = os.terminal_size((70, 24))
    monkeypatch.setattr(os, "get_terminal_size", lambda number: size if number == 7 else None)
    monkeypatch.setattr(sys, "__stdout__", SimpleNamespace(fileno=lambda: 7))
    monkeypatch.setenv("COLUMNS", given)
    assert terminal_width() == width


@pytest.mark.parametrize("out", [None, io.StringIO()])
def test_without_a_terminal_there_are_eighty_columns(
    monkeypatch: pytest.MonkeyPatch, out: object
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "__stdout__", out)
    assert terminal_width() == 80
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((0, 0)))
    monkeypatch.setattr(sys, "__stdout__", SimpleNamespace(fileno=lambda: 7))
    assert terminal_width() == 80


def test_an_error_is_told_in_every_encoding(tmp_path: Path) -> None:
    err = io.TextIOWrapper(io.BytesIO(), "ascii")
    with redirect_stderr(err):
        assert main(["--db", str(tmp_path / "顕.db"), "status"]) == 2
    err.flush()
    assert b"there is no database" in err.buffer.getvalue()
    assert rb"\u9855.db" in err.buffer.getvalue()


def test_long_cells_are_cut_in_an_encoding_without_an_ellipsis(tmp_path: Path) -> None:
    path = filled(tmp_path)
    write(path, "UPDATE session_log SET user = printf('%.400c', 'x')")
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    with redirect_stdout(out):
        assert main(["--db", str(path), "sessions", "list", "--limit", "1"]) == 0
    assert b"xxx...xxx" in out.buffer.getvalue()


def test_a_table_comes_in_parts_whose_columns_only_grow() -> None:
    table = Table(["name", "a_b", "size"], 24, "...")
    first = list(table.lines([("x", "yes", "1"), ("y", "yes", "1,000.5")]))
    assert first == ["NAME  A_B  SIZE", "x     yes        1", "y     yes  1,000.5"]
    assert list(table.lines([("z", "no", "-")])) == ["z     no   -"]
    wider = list(table.lines([("a longer name", "no", "2"), ("another", "no", "3")]))
    assert wider == [
        *("", "for all: a_b no", "NAME           SIZE"),
        *("a longer name        2", "another              3"),
    ]
    again = list(table.lines([("b", "-", "4"), ("c", "-", "5")]))
    assert again == ["b                    4", "c                    5"]
    assert list(table.lines([("b", "yes", "4"), ("c", "no", "5")])) == [
        *("", "name  b", "a_b   yes", "size  4"),
        *("", "name  c", "a_b   no", "size  5"),
    ]
    assert list(table.lines([("d", "yes", "6"), ("e", "no", "7")]))[:2] == ["", "name  d"]


# -- how long it takes ---------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(progress, "_BETWEEN_SECONDS", 0.01)


def until(screen: Screen, text: str) -> None:
    deadline = time.monotonic() + 20
    while text not in screen.getvalue():
        assert time.monotonic() < deadline, screen.getvalue()
        time.sleep(0.005)


@pytest.mark.usefixtures("impatient")
def test_a_line_says_how_long_and_how_far_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 7.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    screen = Screen()
    shown = progress.Progress(screen)
    shown.stop()  # not begun yet
    shown.start()
    shown.start()
    assert [one.name for one in threading.enumerate()].count("progress") == 1
    until(screen, "\r0 s\r")
    shown.far = "99 %"
    until(screen, "\r99 % 0 s\r")
    now += 60.6
    shown.far = ""
    until(screen, "\r61 s    \r")  # over all that stood there
    shown.stop()
    said = screen.getvalue()
    assert re.fullmatch(r"(\r(99 % )?(0|61) s *)+\r {4,9}\r", said)
    assert "progress" not in {one.name for one in threading.enumerate()}
    shown.hide()
    assert screen.getvalue() == said
    shown.start()
    until(screen, f"{said}\r0 s")
    shown.hide()
    shown.stop()


@pytest.mark.usefixtures("impatient")
def test_where_nobody_watches_there_is_no_line() -> None:
    progress.Progress(io.StringIO()).start()
    assert "progress" not in {one.name for one in threading.enumerate()}


def test_what_is_quick_has_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_SECONDS", 600.0)
    screen = Screen()
    shown = progress.Progress(screen)
    shown.start()
    shown.stop()
    assert screen.getvalue() == ""


def test_a_command_says_how_far_it_is(tmp_path: Path) -> None:
    output = Output(io.StringIO(), io.StringIO())
    for done, total, far in ((0, 0, "0 %"), (1, 3, "33 %"), (2, 3, "66 %"), (3, 3, "100 %")):
        output.percent(done, total)
        assert output.progress.far == far


# -- what is held back ---------------------------------------------------------------------


def test_more_than_fits_into_memory_is_held_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_IN_MEMORY", 10)
    monkeypatch.setattr(held, "_AT_A_TIME", 4)
    made: list[io.BytesIO] = []

    def make(**_: object) -> io.BytesIO:
        made.append(io.BytesIO())
        return made[-1]

    monkeypatch.setattr("tempfile.TemporaryFile", make)
    one = held.Held()
    for _ in range(2):
        one.write(b"0123456789")
        assert not made
        one.write(b"ab")
        one.write(b"c")
        assert made.pop().getvalue() == b"0123456789abc"
        assert list(one.take()) == [b"0123", b"4567", b"89ab", b"c"]
        assert list(one.take()) == []
    one.write(b"0123456789x")
    dropped = made.pop()
    before = dropped.closed
    one.clear()
    assert (before, dropped.closed) == (False, True)
    one.write(b"0123456789")
    assert not made
    one.write(b"x")
    assert made.pop().getvalue() == b"0123456789x"
    assert b"".join(one.take()) == b"0123456789x"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "ascii"])
def test_what_follows_a_result_that_is_dropped_is_whole(encoding: str) -> None:
    written = io.BytesIO()
    output = Output(io.TextIOWrapper(written, encoding), io.StringIO())
    output.line("dropped")
    output.drop()
    output.line("kept")
    output.flush()
    assert written.getvalue() == f"kept{os.linesep}".encode(encoding)


# -- readers that leave, and disks that are full --------------------------------------------


class Gone(io.RawIOBase):
    """A stream that nothing can be written to, for a reason."""

    def __init__(self, why: int) -> None:
        self._why = why

    def writable(self) -> bool:
        return True

    def write(self, _: object) -> int:
        raise OSError(self._why, os.strerror(self._why))


@pytest.mark.parametrize(
    ("why", "status", "says"),
    [
        (errno.EPIPE, 141, ""),
        (errno.ENOSPC, 2, f"nexuslims-store: the output cannot be written: {os.strerror(28)}\n"),
    ],
)
@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",)])
def test_a_result_that_cannot_be_written(
    tmp_path: Path, why: int, status: int, says: str, form: tuple[str, ...]
) -> None:
    path = filled(tmp_path)
    err = io.StringIO()
    out = io.TextIOWrapper(io.BufferedWriter(Gone(why)), encoding="utf-8")
    with redirect_stdout(out), redirect_stderr(err):
        assert main(["--db", str(path), "sessions", "list", *form]) == status
    assert err.getvalue() == says
    with suppress(OSError):
        out.close()


@pytest.mark.parametrize(("why", "status"), [(errno.EPIPE, 141), (errno.ENOSPC, 2)])
def test_a_message_that_cannot_be_written(tmp_path: Path, why: int, status: int) -> None:
    path = new_database(tmp_path)
    err = io.TextIOWrapper(io.BufferedWriter(Gone(why)), encoding="utf-8")
    with redirect_stdout(io.StringIO()), redirect_stderr(err):
        assert main(["--db", str(path), "users", "list"]) == status
    with suppress(OSError):
        err.close()
