"""Whole sittings at a terminal, each command with all that it says.

A file of `transcripts/` begins with the name of the database that it is about. A line `$ …` is a
command, what follows is its output; what goes to standard error begins with `! `, and an exit
status that is not 0 stands at the end in brackets. `COLUMNS=N …` is a command on a screen of that
width, `ANSWER=TEXT …` one that is answered so where it asks; `sqlite3 FILE SQL` changes a database
as others do, and `echo FILE TEXT` writes a file. `python tests/test_transcripts.py` writes all
outputs anew, to be read before they are believed.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.command_line import call, filled
from helpers.findings import spoil

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))
# What differs from run to run, and what stands in its place.
DIFFERS = (
    (r"\d[\d,]* days (ago|ahead)", r"N days \1"),
    (r'("waiting_seconds": )\d+', r"\1N"),
    (r"\b\d+ s ago", "N s ago"),
    # Now; what is stored is of 2025.
    (r"20(2[6-9]|[3-9]\d)-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d)?", "MOMENT"),
    (r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d(?=  )", "MOMENT          "),
    (r"(steps?, )\d+\.\d s|(\"seconds\": )[\d.e-]+", r"\1\2SECONDS"),
    (r"_\d{8}_\d{6}(_\d+)?(_replaced)?\.db", r"_DATE_TIME\2.db"),
    (r"(?m)^(! )?usage: (.*\n)((! )? {3,}.*\n)*", ""),  # which each Python writes its own way
)


def empty(folder: Path) -> None:
    """No database at all."""


def facility(folder: Path) -> None:
    """Two instruments and a session of each status on each."""
    filled(folder)


DATABASES = {"empty": empty, "facility": facility}


def played(script: str, folder: Path) -> Iterator[str]:
    """Yield the lines of a transcript as they are now."""
    head, *rest = script.splitlines()
    yield head
    DATABASES[head.removeprefix("== ")](folder)
    for line in rest:
        if not line.startswith("$ "):
            continue
        yield f"\n{line}"
        program, *words = shlex.split(line.removeprefix("$ "))
        given = {}
        while "=" in program:
            name, _, value = program.partition("=")
            given[name] = value
            program, *words = words
        if program == "echo":
            text = words[1].replace(r"\n", "\n").replace(r"\t", "\t")
            Path(words[0]).write_text(text, encoding="utf-8")
        elif program == "sqlite3":
            spoil(Path(words[0]), words[1])
        else:
            assert program == "nexuslims-store"
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("COLUMNS", given.get("COLUMNS", "80"))
                answer = f"{given['ANSWER']}\n" if "ANSWER" in given else ""
                done = call(*words, screen="COLUMNS" in given, answer=answer)
            yield from done.out.splitlines()
            yield from (f"! {one}".rstrip() for one in done.err.splitlines())
            if done.status:
                yield f"[{done.status}]"


def transcript(text: str, folder: Path) -> str:
    said = "\n".join(played(text, folder)) + "\n"
    said = said.replace(str(folder) + os.sep, "").replace(str(folder), "FOLDER")
    for pattern, instead in DIFFERS:
        said = re.sub(pattern, instead, said)
    return said


@pytest.fixture
def in_a_zone_without_a_repeated_hour() -> Iterator[None]:
    """In which a backup, whose name has the time by the clock on the wall, seems an hour older."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        if sys.platform != "win32":
            time.tzset()
        yield
    if sys.platform != "win32":
        time.tzset()


@pytest.mark.usefixtures("in_a_zone_without_a_repeated_hour")
@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_every_command_says_what_it_said(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NX_DB_PATH", "nexuslims.db")
    text = path.read_text(encoding="utf-8")
    assert transcript(text, tmp_path) == text


def write_anew() -> None:
    os.environ["NX_DB_PATH"] = "nexuslims.db"
    for path in TRANSCRIPTS:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            text = transcript(path.read_text(encoding="utf-8"), Path(folder))
            path.write_text(text, encoding="utf-8")
            os.chdir(Path(__file__).parent)


if __name__ == "__main__":
    write_anew()
