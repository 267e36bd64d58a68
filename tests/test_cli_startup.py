"""What a command loads before it works, and what a shell is told that asks for completions."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command_line import call, process
from helpers.support import new_database

from nexuslims_store import cli

RUN = """
import json, sys
sys.argv = ["nexuslims-store", *json.loads(sys.argv[1])]
compiled = []
def listen(event, given):
    # Modules have the names of their files. The function is what a namedtuple is made with.
    if event == "compile" and given[1] == "<string>" and "lambda _cls" not in str(given[0]):
        compiled.append(str(given[0]))
sys.addaudithook(listen)
from nexuslims_store.cli import main
try:
    status = main()
except SystemExit as end:
    status = end.code
with open("modules.json", "w") as file:
    json.dump([status, sorted(sys.modules), compiled], file)
"""
SLOW = (
    *(
        "pydantic",
        "pydantic_core",
        "yoyo",
        "importlib.metadata",
        "argcomplete",
        "tempfile",
        "shutil",
    ),
    *("asyncio", "dataclasses", "email", "inspect", "secrets", "subprocess", "zoneinfo"),
    *("nexuslims_store.models", "nexuslims_store.store", "nexuslims_store.repository"),
    *("nexuslims_store.doctor", "nexuslims_store.report", "nexuslims_store.schema"),
)
COMMANDS = ("migrate", "status", "sessions", "instruments", "uploads", "users", "doctor", "report")


def loaded(folder: Path, *arguments: str) -> tuple[set[str], list[str]]:
    """The modules that a command loads, and the Python source that it compiles meanwhile."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    status, modules, compiled = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    assert status == 0, done.stderr
    return set(modules), compiled


@pytest.mark.parametrize(
    "arguments",
    [("--version",), ("--help",), ("migrate", "check"), ("migrate", "current"), ("migrate",)],
    ids=" ".join,
)
def test_what_runs_at_every_start_loads_nothing_slow(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    path = new_database(tmp_path)
    call("--db", path, "migrate")  # which has nothing to do after that
    database = ("--db", str(path)) if len(arguments[0]) < 8 else ()
    modules, compiled = loaded(tmp_path, *arguments, *database)
    assert {name for name in SLOW if name in modules} == set()
    commands = {name for name in COMMANDS if f"nexuslims_store.cli.{name}" in modules}
    assert commands == {arguments[0]} & set(COMMANDS)
    # A NamedTuple compiles each annotation that is a text, and all are where its module has
    # `from __future__ import annotations`: a tenth of what `migrate check` takes.
    assert compiled == []


def test_a_command_loads_no_other_commands_parser(tmp_path: Path) -> None:
    modules, _ = loaded(tmp_path, "--db", str(new_database(tmp_path)), "users", "list")
    commands = {name for name in COMMANDS if f"nexuslims_store.cli.{name}" in modules}
    assert commands == {"users"}


# -- completion --------------------------------------------------------------------------------


def offered(monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    """What a shell is offered at the end of a line, answered in this process."""
    argcomplete = pytest.importorskip("argcomplete")
    found: list[str] = []

    def answer(parser: argparse.ArgumentParser) -> None:
        quote, prefix, _, words, last = argcomplete.split_line(line, len(line))
        finder = argcomplete.CompletionFinder(parser)
        found.extend(finder._get_completions(words, prefix, quote, last))

    with monkeypatch.context() as patch:
        patch.setenv("_ARGCOMPLETE", "1")
        patch.setenv("COMP_LINE", line)
        patch.setattr(argcomplete, "autocomplete", answer)
        assert cli.main() == 1  # which is only come to where argcomplete has not ended the process
    return [one.strip() for one in found]


@pytest.mark.slow
def test_a_shell_is_answered_by_a_process(tmp_path: Path) -> None:
    pytest.importorskip("argcomplete")
    answer = tmp_path / "answer"
    process(
        _ARGCOMPLETE="1",
        _ARGCOMPLETE_IFS="\n",
        _ARGCOMPLETE_STDOUT_FILENAME=str(answer),
        COMP_LINE="nexuslims-store sta",
        COMP_POINT="19",
    )
    assert answer.read_text(encoding="utf-8").split() == ["status"]


def test_a_shell_is_told_what_may_follow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert offered(monkeypatch, "nexuslims-store sta") == ["status"]
    assert offered(monkeypatch, "nexuslims-store sessions re") == ["reset"]
    assert offered(monkeypatch, "nexuslims-store sessions list --lim") == ["--limit"]
    assert offered(monkeypatch, "nexuslims-store sessions list --status ER") == ["ERROR"]
    assert offered(monkeypatch, "nexuslims-store sessions list --status ERROR,NO_C") == [
        "ERROR,NO_CONSENT"
    ]
    assert offered(monkeypatch, "nexuslims-store backup li") == ["list"]
    assert offered(monkeypatch, "nexuslims-store backup list --js") == ["--json"]
    assert offered(monkeypatch, "nexuslims-store restore la") == ["latest"]
    assert offered(monkeypatch, "nexuslims-store migrate downgrade v2_4_0") == [
        "v2_4_0a",
        "v2_4_0b",
    ]
    assert offered(monkeypatch, "nexuslims-store users set alice labarchives_s") == [
        "labarchives_scheduler"
    ]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "late.db").touch()
    assert offered(monkeypatch, "nexuslims-store restore la") == ["latest", "late.db"]
    assert offered(monkeypatch, "nexuslims-store migrate upgrade la") == []


def test_only_the_process_of_a_shell_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    assert call("schema", "--format", "sql").status == 0


def test_without_argcomplete_a_shell_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    assert cli.main() == 1
