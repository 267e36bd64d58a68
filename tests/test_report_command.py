"""`report`: its arguments, and the file it writes."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command_line import call, process
from helpers.pages import tables
from helpers.platforms import is_root, needs_posix, posix
from helpers.reports import NOW
from helpers.support import write

from nexuslims_store import Store, demo, report


@pytest.mark.parametrize("weeks", [0, -1, report.MOST_WEEKS + 1, 200_000])
def test_how_many_weeks_it_can_cover(weeks: int) -> None:
    with Store(":memory:") as store, pytest.raises(ValueError, match="1 to 5200 weeks"):
        report.render(store, NOW, weeks=weeks)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.create(tmp_path_factory.mktemp("command") / "demo.db")


def test_the_command_prints_the_page(path: Path) -> None:
    for run, *output in ((call,), (call, "--output", "-"), (process, "--output", "/dev/stdout")):
        done = run("--db", path, "report", *output)
        assert (done.status, done.err) == (0, "")
        assert tables(done.out)["Use of each instrument in this time"]
    assert not Path("-").exists()


def test_the_command_prints_a_mail(path: Path, tmp_path: Path) -> None:
    done = call("--db", path, "report", "--text", "--title", "Our <week>")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("Our <week>\n")
    output = tmp_path / "mail.txt"
    assert call("--db", path, "report", "--text", "--output", output).out == ""
    assert output.read_text().startswith(report.TITLE)


def test_the_command_has_a_title(path: Path) -> None:
    page = call("--db", path, "report", "--title", "Our <year>").out
    assert "<h1>Our &lt;year&gt;</h1>" in page
    assert re.search("<title>Our &lt;year&gt;: .* need a person.</title>", page)
    assert f"<h1>{report.TITLE}</h1>" in call("--db", path, "report", "--title", " ").out


@pytest.mark.parametrize("weeks", ["0", "-1", "1.5", "x", "5201", "200000", "9" * 5000])
def test_the_command_refuses_weeks_that_are_none(path: Path, weeks: str) -> None:
    done = call("--db", path, "report", f"--weeks={weeks}")
    assert (done.status, done.out) == (2, "")
    assert "no number of weeks from 1 to 5200" in done.err


def test_the_command_writes_a_file_and_replaces_it(path: Path, tmp_path: Path) -> None:
    output = tmp_path / "a report.html"
    for _ in range(2):
        done = call("--db", path, "report", "--output", output, "--weeks", 2)
        assert (done.status, done.out) == (0, "")
        assert str(output) in done.err
        assert output.read_text().endswith("</html>\n")
    assert [file.name for file in tmp_path.iterdir()] == [output.name]


def test_a_file_that_is_replaced_keeps_its_mode_and_owner(path: Path, tmp_path: Path) -> None:
    if sys.platform == "win32":
        needs_posix()
    output, new, link = tmp_path / "page.html", tmp_path / "new.html", tmp_path / "link.html"
    output.write_text("old")
    output.chmod(0o640)
    link.symlink_to(output)
    if is_root():
        os.chown(output, 12345, 12346)
    before = output.stat()
    assert call("--db", path, "report", "--output", link).status == 0
    assert call("--db", path, "report", "--output", new).status == 0
    after = output.stat()
    assert output.read_text().startswith("<!DOCTYPE html>")
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert link.is_symlink()
    (tmp_path / "ordinary").touch()
    assert stat.S_IMODE(new.stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


@pytest.mark.slow
@posix
def test_a_write_that_fails_leaves_the_old_page_whole(path: Path, tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    output.write_text("old")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "sys.dont_write_bytecode = True; "  # which the limit would cut off, for all that follow
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
        "from nexuslims_store.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--db", path, "report", "--output", output],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "no room to write" in done.stderr
    assert output.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == [output.name]


def test_the_command_never_replaces_a_database(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    write(other, "CREATE TABLE t (x)")
    (tmp_path / "link").symlink_to(path)
    before = path.read_bytes(), other.read_bytes()
    for output in (path, other, tmp_path / "link", f"{path}-wal", f"{path}-shm", f"{path}-journal"):
        done = call("--db", path, "report", "--output", output)
        assert done.status == 2, output
        assert "takes its place" in done.err
    assert (path.read_bytes(), other.read_bytes()) == before
    assert not Path(f"{path}-wal").exists()


def test_the_command_where_nothing_can_be_written(path: Path, tmp_path: Path) -> None:
    for output in (tmp_path / "none" / "report.html", tmp_path, tmp_path / ("x" * 300)):
        done = call("--db", path, "report", "--output", output)
        assert done.status == 2
        assert re.search("cannot be|is a folder|choose another", done.err)
        assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir())
