"""What type checkers find: nothing in the README's examples, and each mistake of a caller."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.readme import blocks

pytestmark = pytest.mark.workshop

# Each line that ends in "# wrong" has a mistake, and no other line has one.
MISTAKES = """
from datetime import datetime

from nexuslims_store import (
    EventType,
    Instrument,
    NewSession,
    RecordStatus,
    Session,
    SessionLog,
    Store,
    UploadLog,
)

NOON = datetime(2025, 1, 15, 12, 0)


def use(store: Store, session: Session, instrument: Instrument) -> None:
    store.sessions.set_status("1", "DONE")  # wrong
    store.sessions.set_status("1", RecordStatus.DONE)  # wrong
    store.sessions.set_status("1", "ERROR", expected="NO_RECORD")  # wrong
    store.sessions.set_status("1", EventType.END)  # wrong
    store.sessions.set_status("1", "ERROR")
    store.sessions.finish(session, "FINISHED")  # wrong
    store.sessions.reset("1", ["NO_CONCENT"])  # wrong
    store.sessions.reset("1", ["NO_CONSENT"])
    store.session_logs.list_by_status("TO_BUILD")  # wrong
    store.sessions.add("1", instrument, NOON)  # wrong
    store.sessions.add("1", instrument, NOON, "2025-01-15T14:00")  # wrong
    store.sessions.add("1", instrument, NOON, NOON, status="BUILT")  # wrong
    store.sessions.add("1", instrument, NOON, NOON, user="alice")
    store.sessions.add_many([("1", instrument, NOON, NOON), ("1", "A", NOON, NOON, None, "ERROR")])
    store.sessions.add_many([("1", instrument, NOON, "14:00")])  # wrong
    store.sessions.add_many([("1", instrument, NOON, NOON, "alice", "BUILT")])  # wrong
    store.sessions.add_many([("1", instrument, NOON)])  # wrong
    one: NewSession = {"session_identifier": "1", "instrument": "A", "start": NOON, "end": NOON}
    store.sessions.add_many([one])
    store.sessions.add_many({**one, "status": "COMPLETED"} for _ in range(2))
    one["status"] = "BUILT"  # wrong
    one["start"] = "2025-01-15T14:00"  # wrong
    one["begin"] = NOON  # wrong
    store.sessions.iter_between("2025-01-01", NOON)  # wrong
    store.sessions.claim(lease=6)  # wrong
    store.instruments.get(None)  # wrong
    store.instruments.add("Titan")  # wrong
    store.external_ids.get("alice", "orcid")  # wrong
    store.external_ids.get("alice", "nemo")
    store.upload_logs.was_exported("1", "any")  # wrong
    store.upload_logs.insert({"destination_name": "cdcs"})  # wrong
    UploadLog(session_identifier="1", destination_name="cdcs")  # wrong
    UploadLog(session_identifier="1", destination_name="cdcs", success=True)
    SessionLog(session_identifier="1", instrument="Titan", event_type=EventType.END)  # wrong
    SessionLog(session_identifier="1", instrument="A", event_type="END", timestamp="noon")  # wrong
    length: int = session.duration  # wrong
    found: Session = store.sessions.get("1")  # wrong
    key: str = instrument.timezone.key
    print(length, found, key)
"""


def run(*words: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.stdout + done.stderr


def by_mypy(files: list[str], folder: Path) -> str:
    pytest.importorskip("mypy", reason="needs mypy (extra `dev`)")
    return run("mypy", "--strict", "--no-error-summary", "--cache-dir=.mypy", *files, folder=folder)


def by_pyright(files: list[str], folder: Path) -> str:
    pytest.importorskip("pyright", reason="needs pyright (extra `dev`)")
    # It is a program of Node's, which it fetches when it is run for the first time.
    try:
        version = run("pyright", "--version", folder=folder)
    except subprocess.TimeoutExpired:
        version = ""
    if not version.startswith("pyright "):
        pytest.skip("pyright has no Node to run, and could not fetch it")
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    found = run("pyright", "--pythonpath", sys.executable, *files, folder=folder)
    return "\n".join(line for line in found.splitlines() if " - error" in line)


CHECKERS = pytest.mark.parametrize("found_by", [by_mypy, by_pyright])


@CHECKERS
def test_nothing_is_found_in_the_examples(found_by, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    files = []
    for number, block in enumerate(blocks("python")):
        if "fastapi" in block:
            pytest.importorskip("fastapi", reason="needs the extra `web`")
        files.append(f"example_{number}.py")
        (tmp_path / files[-1]).write_text(block, encoding="utf-8")
    assert len(files) > 6
    assert found_by(files, tmp_path) == ""


@CHECKERS
def test_each_mistake_is_found(found_by, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "mistakes.py").write_text(MISTAKES, encoding="utf-8")
    wrong = {
        number
        for number, line in enumerate(MISTAKES.splitlines(), start=1)
        if line.endswith("# wrong")
    }
    found = found_by(["mistakes.py"], tmp_path)
    assert {int(line) for line in re.findall(r"mistakes\.py:(\d+):", found)} == wrong, found
