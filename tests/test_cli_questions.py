"""What destroys something asks, and needs `--yes` where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command_line import call, filled, on_a_terminal, process, terminal
from helpers.support import contents

from nexuslims_store import RecordStatus, Store

# Of the others `transcripts/` tells, which are asked in the process of the tests.
DESTRUCTIVE = [("sessions", "reset", "ny-5"), ("restore", "backup.db")]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", DESTRUCTIVE, ids=" ".join)
def test_nothing_is_asked_and_nothing_done_off_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    path = filled(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert call("--db", path, "backup", "backup.db").status == 0
    with Store(path) as store:
        store.sessions.set_status("ny-8", RecordStatus.COMPLETED)
    before = contents(path)
    refused = process("--db", path, *arguments, stdin=b"y\n")
    assert refused.status == 2
    assert "[y/N]" not in refused.err
    assert "give --yes" in refused.err
    assert "--dry-run" in refused.err
    assert contents(path) == before
    assert call("--db", path, *arguments, "--dry-run").status == 0
    assert contents(path) == before
    assert call("--db", path, *arguments, "--yes").status == 0
    assert contents(path) != before


@pytest.mark.slow
@on_a_terminal
def test_a_terminal_is_asked(tmp_path: Path) -> None:
    path = filled(tmp_path)
    before = contents(path)
    for answer in ("n\n", "\n", "what?\n", "\x04"):
        said_no = terminal("--db", path, "sessions", "delete", "ny-5", answer=answer)
        assert said_no.status == 1
        assert "nothing was changed" in said_no.out
    stopped = terminal("--db", path, "sessions", "delete", "ny-5", answer="\x03")
    assert stopped.status == 130
    assert "interrupted" in stopped.out
    assert "Traceback" not in stopped.out
    assert contents(path) == before
    said_yes = terminal("--db", path, "sessions", "delete", "ny-5", answer="y\n")
    assert said_yes.status == 0
    assert said_yes.out.endswith("deleted 1 session with all events and upload logs\n")
    assert contents(path) != before
