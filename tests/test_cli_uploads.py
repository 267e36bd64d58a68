"""`uploads` on the command line."""

from __future__ import annotations

from pathlib import Path

from helpers.command_line import call, filled
from helpers.support import upload

from nexuslims_store import Store


def test_uploads(tmp_path: Path) -> None:
    path = filled(tmp_path)

    def uploads(*arguments: str) -> list[int]:
        found = call("--db", path, "uploads", "list", "--json", *arguments).json
        return [upload["id"] for upload in found]

    assert uploads() == [1, 3, 4, 2]
    assert uploads("--limit", "2") == [4, 2]
    assert uploads("--destination", "elabftw") == [3]
    assert uploads("--session", "ny-4", "--session", "x") == [4]
    assert uploads("--since", "2025-06-02T13:30") == [2]
    assert uploads("--until", "2025-06-01") == []
    table = call("--db", path, "uploads", "list").lines
    assert table[1].split() == ["2025-06-02", "13:00", "UTC", "no", "cdcs", "ny-3", "-"]
    assert call("--db", path, "uploads", "list", "--csv").lines[0].startswith("session_identifier,")
    failed = call("--db", path, "uploads", "failed", "--json").json
    assert [(one["session_identifier"], one["error_message"]) for one in failed] == [
        ("ny-4", "no route")
    ]
    none = call("--db", path, "uploads", "failed", "--destination", "elabftw")
    assert (none.status, none.out, none.err) == (0, "", "no failed uploads\n")
    other = call("--db", path, "uploads", "list", "--session", "nobody's")
    assert other.err == 'no such attempts\nthere is no session "nobody\'s"\n'
    for command in ("list", "failed"):
        unknown = call("--db", path, "uploads", command, "--destination", "cdcss", "--json")
        assert (unknown.status, unknown.json) == (0, [])
        assert unknown.err == "nothing was ever sent to 'cdcss', only to cdcs, elabftw\n"


def test_failed_uploads_by_cause(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with Store(path) as store:
        for number, error in enumerate(("503 for /a/1111", "503 for /a/2222", None)):
            store.upload_logs.insert(
                upload(
                    session_identifier=f"other-{number}",
                    success=False,
                    error_message=error,
                    timestamp=f"2025-06-0{4 + number}T10:00:00+00:00",
                )
            )
    found = call("--db", path, "uploads", "failed", "--by-cause", "--json").json
    assert found[0] == {
        "destination_name": "cdcs",
        "cause": "503 for /a/…",
        "sessions": 2,
        "latest": "2025-06-05T10:00:00+00:00",
    }
    assert {cause["cause"] for cause in found[1:]} == {"no route", "no reason given"}
    since = call("--db", path, "uploads", "failed", "--since", "2025-06-05", "--json").json
    assert [one["session_identifier"] for one in since] == ["other-1", "other-2"]
    table = call("--db", path, "uploads", "failed", "--by-cause").lines
    assert table[1].split()[:2] == ["cdcs", "503"]
    assert call("--db", path, "uploads", "failed", "--by-cause", "--csv").lines[0] == (
        "destination_name,cause,sessions,latest"
    )
