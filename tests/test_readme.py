"""Every command and every Python block of the README, run on the demo database."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"

# The set-up of a fresh machine, and what takes longer than a test may: `.ci/run` runs the first
# two, the others are tests and benchmarks themselves.
NOT_RUN_HERE = ("python3 -m venv", ".venv/bin/python -m")

BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [
        match["text"]
        for match in BLOCK.finditer(README.read_text(encoding="utf-8"))
        if match["language"] == language
    ]


def commands() -> list[str]:
    return [
        line
        for block in blocks("sh")
        for line in block.splitlines()
        if line and not line.startswith(NOT_RUN_HERE)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the demo database, as the README tells to make it."""
    run("nexuslims-store demo demo.db", tmp_path)
    return tmp_path


def run(command: str, folder: Path) -> str:
    """Run a command as a shell in the folder would, with NX_DB_PATH at the demo database."""
    words = shlex.split(command)
    if words[0] == "nexuslims-store":
        words = [sys.executable, "-m", "nexuslims_store", *words[1:]]
    return output_of(words, folder)


def output_of(words: list[str], folder: Path) -> str:
    result = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "NX_DB_PATH": str(folder / "demo.db"), "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, f"{words}: {result.stdout}{result.stderr}"
    return result.stdout + result.stderr


@pytest.mark.slow
def test_the_commands_run_in_their_order(tmp_path: Path) -> None:
    ran = []
    for command in commands():
        if not command.startswith("export "):
            run(command, tmp_path)
            ran.append(command)
    assert len(ran) > 5
    assert (tmp_path / "demo.db").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_a_python_block_runs(number: int, folder: Path) -> None:
    script = folder / "block.py"
    script.write_text(blocks("python")[number], encoding="utf-8")
    assert output_of([sys.executable, "-W", "error", str(script)], folder)


def test_the_two_commands_are_each_one_line() -> None:
    text = README.read_text(encoding="utf-8")
    for name in ("main command", "test command"):
        block = text.split(f"<!-- {name} -->\n```sh\n")[1].split("```")[0]
        assert block.count("\n") == 1


def test_every_group_of_commands_is_named() -> None:
    text = README.read_text(encoding="utf-8")
    help_text = output_of([sys.executable, "-m", "nexuslims_store", "--help"], README.parent)
    listed = re.findall(r"^    ([a-z]+) ", help_text, re.MULTILINE)
    assert {"migrate", "demo"} <= set(listed)
    assert [name for name in listed if f"`{name}" not in text] == []
