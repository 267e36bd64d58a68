"""`instruments`, `backup` and `restore` on the command line."""

from __future__ import annotations

from pathlib import Path

from helpers.command_line import TOKYO, call, filled
from helpers.support import PID, contents, new_database, write

from nexuslims_store import Store

NEW = {
    "instrument_pid": "Zeiss-Leo",
    "api_url": "https://nemo.example.com/api/tools/?id=77",
    "calendar_url": "",
    "location": "Raum Ü",
    "display_name": "LEO",
    "property_tag": "77",
    "filestore_path": "./Leo",
}


def test_list_and_show(tmp_path: Path) -> None:
    path = filled(tmp_path)
    lines = call("--db", path, "instruments", "list").lines
    assert [line.split()[0] for line in lines] == ["INSTRUMENT", PID, TOKYO]
    assert call("--db", path, "instruments", "list", "--csv").lines[0] == (
        "instrument_pid,api_url,calendar_url,location,display_name,property_tag,filestore_path,"
        "harvester,timezone"
    )
    shown = call("--db", path, "instruments", "show", PID, "--json").json
    assert shown["sessions_total"] == 9
    assert shown["last_session"] == "2025-01-20T09:00:00-05:00"
    assert (
        "last session    2025-01-20 09:00 EST"
        in call("--db", path, "instruments", "show", PID).lines
    )
    assert call("--db", path, "instruments", "show", "x").status == 2
    empty = call("--db", new_database(tmp_path, "empty.db"), "instruments", "list")
    assert (empty.status, empty.out) == (0, "")
    assert "`nexuslims-store instruments add --db" in empty.err


def options(values: dict[str, str]) -> list[str]:
    return [
        part
        for name, value in values.items()
        if name != "instrument_pid"
        for part in (f"--{name.replace('_', '-')}", value)
    ]


def test_add_update_remove(tmp_path: Path) -> None:
    path = filled(tmp_path)
    added = call("--db", path, "instruments", "add", "Zeiss-Leo", *options(NEW))
    assert (added.status, added.out) == (0, "added Zeiss-Leo in Raum Ü\n")
    again = call("--db", path, "instruments", "add", "Zeiss-Leo", *options(NEW))
    assert again.status == 2
    short = call("--db", path, "instruments", "add", "other", "--location", "x")
    assert short.status == 2
    assert "--api-url" in short.err
    changed = call(
        "--db", path, "instruments", "update", "Zeiss-Leo", "--timezone", "Europe/Berlin"
    )
    assert (
        changed.out == "timezone of Zeiss-Leo is now 'Europe/Berlin'; it was 'America/New_York'\n"
    )
    for wrong in (
        ("update", "Zeiss-Leo", "--timezone", "Europe/Nowhere"),
        ("update", "Zeiss-Leo", "--api-url", f"https://nemo.example.com/api/tools/?id={PID}"),
        ("update", "Zeiss-Leo"),
        ("update", "other", "--location", "x"),
        ("remove", "other", "--yes"),
        ("remove", PID, "--yes"),
        ("remove", PID, "--dry-run"),
        ("remove", "Zeiss-Leo"),
    ):
        before = contents(path)
        refused = call("--db", path, "instruments", *wrong)
        assert refused.status == 2, wrong
        assert contents(path) == before
    assert "17 session logs" in call("--db", path, "instruments", "remove", PID, "--yes").err
    dry = call("--db", path, "instruments", "remove", "Zeiss-Leo", "--dry-run")
    assert dry.lines[-1] == "would remove Zeiss-Leo"
    done = call("--db", path, "instruments", "remove", "Zeiss-Leo", "--yes")
    assert done.lines[-1] == "removed Zeiss-Leo"
    assert call("--db", path, "instruments", "show", "Zeiss-Leo").status == 2


def test_update_mends_a_row_that_no_model_takes(tmp_path: Path) -> None:
    path = filled(tmp_path)
    write(
        path,
        (
            "UPDATE instruments SET timezone = 'US/Nowhere', api_url = 'nemo' "
            "WHERE instrument_pid = ?",
            (PID,),
        ),
    )
    assert "US/Nowhere" in call("--db", path, "instruments", "list").out
    assert call("--db", path, "instruments", "show", PID).status == 0
    halfway = call("--db", path, "instruments", "update", PID, "--timezone", "America/Denver")
    assert halfway.status == 2
    assert "api_url" in halfway.err
    mended = call(
        *("--db", path, "instruments", "update", PID, "--timezone", "America/Denver"),
        *("--api-url", "https://nemo.example.com/1"),
    )
    assert mended.status == 0
    with Store(path) as store:
        assert store.instruments.as_dict()[PID].timezone_str == "America/Denver"


# -- import and export -----------------------------------------------------------------------


def test_a_rename_to_the_same_pid_is_none(tmp_path: Path) -> None:
    refused = call("--db", filled(tmp_path), "instruments", "rename", PID, PID, "--yes")
    assert refused.status == 2
    assert f"{PID} is the PID it has" in refused.err
    assert refused.out == ""


def test_what_is_not_there_is_not_compared(tmp_path: Path) -> None:
    refused = call("--db", filled(tmp_path), "instruments", "rename", "NIX", "NIX", "--yes")
    assert refused.status == 2
    assert "no instrument has the PID 'NIX'" in refused.err


def test_rename_takes_the_sessions_along(tmp_path: Path) -> None:
    path = filled(tmp_path)
    rename = ("instruments", "rename", PID, "FEI-Titan-2")
    before = contents(path)
    assert "give --yes" in call("--db", path, *rename).err
    dry = call("--db", path, *rename, "--dry-run", "--json").json
    assert dry == {
        "dry_run": True,
        "instrument_pid": PID,
        "new_pid": "FEI-Titan-2",
        "session_logs": 17,
    }
    for wrong in (("x", "y"), (PID, TOKYO), (PID, "")):
        assert call("--db", path, "instruments", "rename", *wrong, "--yes").status == 2
    assert contents(path) == before
    done = call("--db", path, *rename, "--yes")
    assert done.out == f"renamed {PID} to FEI-Titan-2, with 17 session logs\n"
    assert (
        call("--db", path, "instruments", "show", "FEI-Titan-2", "--json").json["sessions_total"]
        == 9
    )


def test_dry_runs_say_what_would_be_and_change_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path)
    before = contents(path)
    for command in (
        ("add", "Zeiss-Leo", *options(NEW)),
        ("update", PID, "--location", "Room B"),
    ):
        dry = call("--db", path, "instruments", *command, "--dry-run")
        assert "would" in dry.out
        assert call("--db", path, "instruments", *command, "--dry-run", "--json").json["dry_run"]
        assert contents(path) == before
    done = call("--db", path, "instruments", "update", PID, "--location", "B", "--json").json
    assert done["changes"] == {"location": {"was": "Building 217, Room F101", "is": "B"}}
