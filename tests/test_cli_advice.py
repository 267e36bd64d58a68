"""What `status` advises does what it says, to exactly those that it counted."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.support import PID, write

from nexuslims_store import RecordStatus, Store
from nexuslims_store.testing import add_session, make_instrument, make_store

NEED = re.compile(r"(?P<count>\d+) (?P<what>[^:]+): .*`nexuslims-store (?P<command>[^`]+)`")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Failures of all kinds, old ones and those of this week."""
    path = tmp_path / "a lab's.db"
    now = datetime.now(UTC)
    instruments = make_instrument(PID), make_instrument("Far", timezone_str="Pacific/Apia")
    with make_store(*instruments, path=path) as store:
        # The last an hour ago, which is since yesterday at any time of the day, in any zone.
        for place, days in enumerate((40, 20, 8, 7, 6, 1 / 24)):
            for pid in (PID, "Far"):
                for status in (RecordStatus.ERROR, RecordStatus.BUILT_NOT_EXPORTED):
                    for hours in (3, 200):  # some began long before they ended
                        ended = now - timedelta(days=days)
                        add_session(
                            store,
                            f"{place}-{pid}-{status.value}-{hours}",
                            instrument=pid,
                            start=ended - timedelta(hours=hours),
                            duration=timedelta(hours=hours),
                            status=status,
                            uploads={"cdcs": False, "eln": days > 7},
                        )
    write(
        path,
        # Without an END, without consent, at no time that can be read: no reset touches them.
        "DELETE FROM session_log "
        "WHERE session_identifier LIKE '0-Far-ERROR%' AND event_type = 'END'",
        "UPDATE session_log SET record_status = 'NO_CONSENT' "
        "WHERE session_identifier LIKE '5-Far-ERROR%' AND event_type = 'END'",
        "UPDATE session_log SET timestamp = 'soon' "
        "WHERE session_identifier LIKE '4-Far-ERROR-3' AND event_type = 'START'",
        "UPDATE session_log SET timestamp = 'late' "
        "WHERE session_identifier LIKE '1-Far-ERROR-3' AND event_type = 'END'",
    )
    return path


@pytest.mark.parametrize("since", [None, "7d", "30d", "yesterday", "2020-01-01", "2099-01-01"])
def test_what_status_advises_does_exactly_what_was_counted(path: Path, since: str | None) -> None:
    span = [] if since is None else ["--since", since]
    needs = call("--db", path, "status", "--json", *span).json["needs_a_person"]
    followed = 0
    for need in needs:
        found = NEED.fullmatch(need.removesuffix(" has them built again"))
        if found is None or found["command"].startswith("doctor"):
            continue
        followed += 1
        # It names the database too: not another one, of the environment, is changed.
        command = shlex.split(found["command"])
        if command[:2] == ["sessions", "reset"]:
            done = call(*command, "--json", "--yes").json
            assert done["count"] == int(found["count"]), need
        elif command[:2] == ["uploads", "failed"]:
            causes = call(*command, "--json").json
            assert sum(cause["sessions"] for cause in causes) == int(found["count"]), need
    assert followed == (4 if since != "2099-01-01" else 2), needs
    again = call("--db", path, "status", "--json", *span).json["needs_a_person"]
    assert not [need for need in again if "sessions reset" in need]


def test_what_nothing_resets_is_counted_apart(path: Path) -> None:
    said = call("--db", path, "status").lines
    assert any(
        line.startswith("- 5 sessions in ERROR, without a usable START and END or without consent")
        for line in said
    )
    with Store(path) as store:
        store.sessions.reset_between(datetime.min, datetime.max, ["ERROR"])
    left = call("--db", path, "sessions", "list", "--status", "ERROR", "--json").json
    assert len(left) == 5


def test_an_error_names_the_database_in_what_it_advises(tmp_path: Path) -> None:
    path = tmp_path / "old one.db"
    call("--db", path, "migrate", "upgrade", "v2_4_0a")
    refused = call("--db", path, "sessions", "list").err
    assert f"run `nexuslims-store migrate --db '{path}'`" in refused
    assert refused.count("--db") == 1
    doctor = call("--db", path, "doctor").out
    assert f"    nexuslims-store --db '{path}' migrate" in doctor


def test_a_backup_is_advised_where_backups_are_looked_for(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other place"
    folder.mkdir()
    asked = ("--db", path, "status", "--json", "--backups", folder, "--max-backup-age", "1d")
    (need,) = (one for one in call(*asked).json["needs_a_person"] if "make one" in one)
    assert need.startswith(f"there is no backup of {path.name} in {folder}: make one with ")
    command = re.findall(r"`nexuslims-store ([^`]+)`", need)[0]
    assert call(*shlex.split(command)).status == 0
    assert not [one for one in call(*asked).json["needs_a_person"] if "make one" in one]


def test_the_report_names_the_database_too(path: Path) -> None:
    call("--db", path, "migrate")
    text = " ".join(call("--db", path, "report", "--text").out.split())
    commands = re.findall(r"`nexuslims-store ([^`]+)`", text)
    assert commands
    assert all(str(path) in shlex.split(command) for command in commands)
    page = call("--db", path, "report").out
    assert page.count("<code>nexuslims-store ") == page.count("a lab") - 1 == len(commands)
