"""The recipes for backups in the README, run as cron, systemd and a person would run them."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.database_files import content, names
from helpers.platforms import posix

from nexuslims_store.backup import list_backups

pytestmark = pytest.mark.slow

README = Path(__file__).parent.parent / "README.md"
EXECUTABLE = "/srv/nexuslims/.venv/bin/nexuslims-store"


def blocks(language: str) -> list[str]:
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder that stands for the root of the machine in the recipes."""
    (tmp_path / "srv/nexuslims").mkdir(parents=True)
    assert call("demo", tmp_path / "srv/nexuslims/nexuslims.db").status == 0
    return tmp_path


def on(machine: Path, command: str) -> str:
    """A command of a recipe as it is on the machine."""
    command = command.replace(EXECUTABLE, f"{shlex.quote(sys.executable)} -m nexuslims_store")
    return command.replace("/srv/", f"{machine}/srv/").replace("/mnt/", f"{machine}/mnt/")


def in_shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as cron does: with hardly an environment, and no terminal."""
    return subprocess.run(
        ["/bin/sh", "-c", command],
        env={"PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@posix
def test_the_line_for_cron(machine: Path) -> None:
    (line,) = blocks("cron")
    assert re.match(r"[0-9]+ [0-9]+ \* \* \*  ", line)
    command = on(machine, line.split(maxsplit=5)[5])
    failed = in_shell(command)
    assert failed.returncode == 2
    assert f"there is no folder {machine}/mnt/backups/" in failed.stderr
    (machine / "mnt/backups").mkdir(parents=True)
    for night in range(2):
        done = in_shell(command)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), night
    path = machine / "srv/nexuslims/nexuslims.db"
    # Two in one night: the last of the day stays, and the oldest, since there are fewer than 7.
    assert 1 <= len(list_backups(path, machine / "mnt/backups")) <= 2


@posix
def test_the_units_for_systemd(machine: Path) -> None:
    units = {}
    for text in blocks("ini"):
        name = text.splitlines()[0].rpartition("/")[2]
        units[name] = configparser.ConfigParser(interpolation=None)
        units[name].optionxform = str  # type: ignore[assignment, method-assign]
        units[name].read_string(text)
        (machine / name).write_text(text.replace(EXECUTABLE, "/bin/true"))
    service = units["nexuslims-backup.service"]["Service"]
    assert units["nexuslims-backup.timer"]["Timer"]["Persistent"] == "true"
    (machine / "mnt/backups").mkdir(parents=True)
    command = f"export {service['Environment']}; {service['ExecStart']}"
    done = in_shell(on(machine, command))
    assert done.returncode == 0, done.stderr
    (copy,) = names(machine / "mnt/backups")
    assert content(machine / "mnt/backups" / copy) == content(
        machine / "srv/nexuslims/nexuslims.db"
    )
    if shutil.which("systemd-analyze"):
        files = [str(machine / name) for name in units]
        judged = subprocess.run(
            ["systemd-analyze", "verify", *files],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if "bus" not in judged.stderr:  # where there is no systemd to talk to
            assert not re.search(r"nexuslims-backup.*(Unknown|Failed|not)", judged.stderr)


def test_cron_and_systemd_do_the_same() -> None:
    (line,) = blocks("cron")
    (start,) = (row for row in blocks("ini")[0].splitlines() if row.startswith("ExecStart="))
    assert start.removeprefix("ExecStart=") in line


@posix
def test_the_commands_of_the_standby_that_are_ours(machine: Path) -> None:
    (standby,) = (block for block in blocks("console") if "litestream restore" in block)
    lines = standby.splitlines()
    ours = [line for line in lines if line.startswith("$ nexuslims-store ")]
    assert ours
    for line in ours:
        command = line.replace("$ nexuslims-store", EXECUTABLE)
        assert in_shell(on(machine, command)).returncode == 0
