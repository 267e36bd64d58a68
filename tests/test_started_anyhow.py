"""The tests themselves: none depends on how it was started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.platforms import needs_posix, posix
from helpers.support import ROOT

# Tests that a shell's `&`, a person's umask or environment made fail or hang.
SENSITIVE = (
    "test_cli.py::test_ctrl_c_ends_even_a_wait_for_a_lock_but_no_cleaning_up",
    "test_cli_questions.py::test_a_terminal_is_asked",
    "test_backup.py::test_a_copy_has_the_mode_of_its_source_and_nobody_reads_it_before",
    "test_config.py",
)


def in_a_poor_state() -> None:
    """What `nohup`, a supervisor or a strict login may leave a process with."""
    if sys.platform == "win32":
        needs_posix()
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
    os.umask(0o077)


@pytest.mark.workshop
@posix
def test_however_they_are_started_they_pass(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}"),
            *(f"{ROOT / 'tests' / name}" for name in SENSITIVE),
            # To start a server takes as long as all the rest.
            *("-m", "not server and not soak and not interop"),
        ],
        cwd=tmp_path,
        env=os.environ
        | {"NX_DB_PATH": "/nowhere/a.db", "NX_INSTRUMENT_DATA_PATH": "/nowhere"}
        | {"COLUMNS": "20", "NO_COLOR": "1", "PYTHONUTF8": "0", "LC_ALL": "C", "TZ": "Asia/Tokyo"},
        preexec_fn=in_a_poor_state,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr


@pytest.mark.parametrize(
    ("limit", "remedy"),
    [
        ("setrlimit(resource.RLIMIT_" + "FSIZE", "dont_write_bytecode = True"),
        ("ulimit " + "-f", '"PYTHONDONTWRITEBYTECODE": "1"'),
    ],
    ids=["Python", "shell"],
)
def test_what_may_write_little_writes_no_byte_code(limit: str, remedy: str) -> None:
    """Python puts the part that it could write in the place of the whole, for all that follow."""
    files = [(path, path.read_text(encoding="utf-8")) for path in (ROOT / "tests").rglob("*.py")]
    assert any(limit in text for _, text in files)
    assert [path for path, text in files if limit in text and remedy not in text] == []
