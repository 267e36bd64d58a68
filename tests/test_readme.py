"""Every command and every Python block of the README, run on the demo database."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.readme import TEXT, block_below, blocks
from helpers.support import ROOT

from nexuslims_store import Store
from nexuslims_store.demo import create as make_demo

# The set-up of a fresh machine, and what takes longer than a test may: `.ci/run` runs the first
# two, the others are tests and benchmarks themselves.
NOT_RUN_HERE = ("python3 -m venv", ".venv/bin/python -m")


def commands() -> list[str]:
    return [
        line
        for block in blocks("sh")
        for line in block.splitlines()
        if line and not line.startswith(NOT_RUN_HERE)
    ]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo database."""
    return make_demo(tmp_path_factory.mktemp("demo") / "demo.db")


@pytest.fixture
def folder(tmp_path: Path, demo: Path) -> Path:
    """A folder with a demo database of its own."""
    shutil.copy(demo, tmp_path)
    return tmp_path


def output_of(words: list[str], folder: Path, **environment: str) -> str:
    result = subprocess.run(
        words,
        cwd=folder,
        env={
            **os.environ,
            **environment,
            "NX_DB_PATH": str(folder / "demo.db"),
            "PYTHONUTF8": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, f"{words}: {result.stdout}{result.stderr}"
    return result.stdout + result.stderr


def test_the_commands_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = []
    for command in commands():
        program, *words = shlex.split(command)
        if program == "export":
            monkeypatch.setenv(*words[0].split("=", 1))
        else:
            assert program == "nexuslims-store"
            done = call(*words)
            assert done.status == 0, f"{command}: {done.out}{done.err}"
            ran.append(command)
    assert len(ran) > 5
    assert (tmp_path / "demo.db").is_file()


# The web service is run by test_web.py.
PYTHON = [block for block in blocks("python") if block != block_below("web service")]
# Those with these words are run by the test of what the examples say.
TOLD = ("add_many", "list_failed", "ProcessPool")
ALONE = [block for block in PYTHON if not any(word in block for word in TOLD)]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(ALONE)))
def test_a_python_block_runs(number: int, folder: Path) -> None:
    block = ALONE[number]
    script = folder / "test_block.py"
    script.write_text(block, encoding="utf-8")
    words = [sys.executable, "-W", "error", str(script)]
    if "def test_" in block:
        plugins = ["-p", "nexuslims_store.testing", "-p", "no:cacheprovider"]
        words[3:3] = ["-m", "pytest", "-q", *plugins]
    assert output_of(words, folder, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")


@pytest.mark.slow
def test_what_the_examples_say_comes_true(folder: Path) -> None:
    def of(word: str) -> str:
        (block,) = (block for block in PYTHON if word in block)
        script = folder / "block.py"
        script.write_text(block, encoding="utf-8")
        return output_of([sys.executable, "-W", "error", str(script)], folder)

    assert len(ALONE) + len(TOLD) == len(PYTHON)
    assert sum(eval(of("ProcessPool").split("process: ")[1].split("\n")[0])) > 0
    with Store(folder / "demo.db", read_only=True) as store:
        # At some hours of the day, builders of the demo are at work still.
        others = {claim.session_identifier for claim in store.sessions.list_claims()}
        assert {one.session_identifier for one in store.sessions.list_to_build()} <= others
    assert "InsertSummary(inserted=1000, updated=0, unchanged=0)" in of("add_many")
    assert "InsertSummary(inserted=0, updated=0, unchanged=1000)" in of("add_many")
    failed = of("list_failed")
    assert failed == of("list_failed")
    assert "'cdcs': " in failed


def test_the_two_commands_are_each_one_line() -> None:
    for name in ("main command", "test command"):
        assert block_below(name).count("\n") == 1


def test_every_group_of_commands_is_named() -> None:
    help_text = output_of([sys.executable, "-m", "nexuslims_store", "--help"], ROOT)
    listed = re.findall(r"^    ([a-z]+) ", help_text, re.MULTILINE)
    assert {"migrate", "demo"} <= set(listed)
    assert [name for name in listed if f"`{name}" not in TEXT] == []
