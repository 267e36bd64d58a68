"""Drives a real NexusLIMS that is installed in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path

COMMAND_LINE = "from nexusLIMS.cli.main import main; main()"

# NexusLIMS wants folders and addresses that have nothing to do with the database; with
# NX_TEST_MODE it is content without them. Its RECORD_GENERATION events carry the system's zone.
ENVIRONMENT = {"NX_TEST_MODE": "true", "TZ": "America/New_York", "PYTHONUTF8": "1"}


@dataclass(frozen=True)
class Result:
    """What a program left behind."""

    status: int
    stdout: str
    stderr: str


class NexusLIMS:
    """A NexusLIMS, run by the interpreter of the environment that it is installed in.

    Parameters
    ----------
    python
        The interpreter.
    folder
        An empty folder for scripts and outputs.
    """

    def __init__(self, python: str, folder: Path) -> None:
        self.python = python
        self._folder = folder
        self._scripts: dict[str, Path] = {}
        with (folder / "server-stderr").open("wb") as errors:
            self._server = subprocess.Popen(
                [python, Path(__file__).with_name("_server.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | ENVIRONMENT,
                cwd=folder,
                text=True,
            )
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._requests, self._answers = self._server.stdin, self._server.stdout
        if self._answers.readline() != "ready\n":
            raise RuntimeError((folder / "server-stderr").read_text())
        self.version = self.run("import nexusLIMS; print(nexusLIMS.__version__)").stdout.strip()

    def db(self, database: Path, *arguments: str, check: bool = True) -> Result:
        """Run `nexuslims db ARGUMENTS` on the database."""
        return self.run(COMMAND_LINE, database, "db", *arguments, check=check)

    def current(self, database: Path) -> str | None:
        """Return the revision that `nexuslims db current` prints, None where it prints none."""
        words = self.db(database, "current").stdout.split()
        return words[0] if words else None

    def run(
        self,
        code: str,
        database: Path | None = None,
        *arguments: object,
        check: bool = True,
        env: dict[str, str] | None = None,
    ) -> Result:
        """Run a program to its end, in a process of its own; `check` that it ends well.

        Parameters
        ----------
        code
            Its text; `sys.argv[1:]` are the arguments.
        database
            NX_DB_PATH.
        arguments
            Texts, or what becomes one.
        """
        outputs = (self._folder / "stdout", self._folder / "stderr")
        for output in outputs:
            output.write_bytes(b"")
        request = {
            "script": str(self._script(code)),
            "argv": [str(argument) for argument in arguments],
            "env": _environment(database) | (env or {}),
            "stdout": str(outputs[0]),
            "stderr": str(outputs[1]),
        }
        self._requests.write(json.dumps(request) + "\n")
        self._requests.flush()
        answer = self._answers.readline()
        if not answer:
            raise RuntimeError((self._folder / "server-stderr").read_text())
        result = Result(int(answer), *(output.read_text("utf-8") for output in outputs))
        if check:
            assert result.status == 0, f"NexusLIMS {arguments}: {result.stdout}{result.stderr}"
        return result

    def start(
        self, code: str, database: Path, *arguments: object, env: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a program and return at once, for what runs at the same time as something else."""
        return subprocess.Popen(
            [self.python, self._script(code), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | ENVIRONMENT | _environment(database) | (env or {}),
            cwd=self._folder,
            text=True,
        )

    def close(self) -> None:
        """End the server process."""
        self._requests.close()
        self._server.wait(timeout=30)
        self._answers.close()

    def _script(self, code: str) -> Path:
        if code not in self._scripts:
            script = self._folder / f"program{len(self._scripts)}.py"
            script.write_text(textwrap.dedent(code), "utf-8")
            self._scripts[code] = script
        return self._scripts[code]


def _environment(database: Path | None) -> dict[str, str]:
    return {} if database is None else {"NX_DB_PATH": str(database)}
