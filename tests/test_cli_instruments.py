"""`instruments`, `backup` and `restore` on the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import COMMAND, TOKYO, call, filled, process
from helpers.support import PID, contents, instrument, new_database, write

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


def test_export_and_import_round_trip(tmp_path: Path) -> None:
    path, other = filled(tmp_path), new_database(tmp_path, "other.db")
    file = tmp_path / "instruments.json"
    assert call("--db", path, "instruments", "export", file).status == 0
    imported = call("--db", other, "instruments", "import", file)
    assert imported.lines == [
        *(f"added {PID}", f"added {TOKYO}", "2 instruments: 2 added, 0 updated, 0 unchanged"),
    ]
    assert contents(other)["instruments"] == contents(path)["instruments"]
    again = call("--db", other, "instruments", "import", file, "--json")
    assert again.json["unchanged"] == [PID, TOKYO]
    assert again.json["added"] == again.json["updated"] == again.json["changes"] == []
    taken = call("--db", path, "instruments", "export", file)
    assert taken.status == 2
    assert "not overwritten" in taken.err
    printed = call("--db", path, "instruments", "export").json
    assert printed == json.loads(file.read_text(encoding="utf-8"))
    assert printed == call("--db", path, "instruments", "list", "--json").json
    nowhere = call("--db", path, "instruments", "export", tmp_path / "no" / "file.json")
    assert nowhere.status == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_import_from_standard_input_as_shells_write_it(tmp_path: Path, encoding: str) -> None:
    path = filled(tmp_path)
    text = json.dumps([NEW], ensure_ascii=False)
    done = process("--db", path, "instruments", "import", "-", stdin=text.encode(encoding))
    assert done.status == 0, done.err
    with Store(path) as store:
        assert store.instruments.as_dict()["Zeiss-Leo"].location == "Raum Ü"


CSV = (
    "instrument_pid,api_url,calendar_url,location,display_name,property_tag,filestore_path,"
    "harvester,timezone\n"
)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_is_listed_as_csv_is_imported_also_after_excel(
    tmp_path: Path, encoding: str, separator: str, ending: str
) -> None:
    path, other = filled(tmp_path), new_database(tmp_path, "other.db")
    call("--db", path, "instruments", "update", PID, "--location", 'Room "B", 2; Ü')
    rows = list(csv.reader(io.StringIO(call("--db", path, "instruments", "list", "--csv").out)))
    file = tmp_path / "instruments.csv"
    with file.open("w", encoding=encoding, newline="") as written:
        csv.writer(written, delimiter=separator, lineterminator=ending).writerows([*rows, []])
    done = call("--db", other, "instruments", "import", file)
    assert done.status == 0, done.err
    assert contents(other)["instruments"] == contents(path)["instruments"]


def test_an_export_is_csv_where_it_is_called_so(tmp_path: Path) -> None:
    path = filled(tmp_path)
    file = tmp_path / "instruments.csv"
    assert call("--db", path, "instruments", "export", file).status == 0
    listed = call("--db", path, "instruments", "list", "--csv").out
    assert file.read_text(encoding="utf-8") == listed
    assert call("--db", path, "instruments", "export", "--csv").out == listed
    assert call("--db", path, "instruments", "export", "-").json == (
        call("--db", path, "instruments", "list", "--json").json
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"{CSV}a,b\n", "line 2: 2 cells for 9 columns"),
        (f'{CSV}"a,b\n', "no CSV"),
        (CSV.replace("location", "place") + "a" * 9, "column 'place'"),
        (CSV.replace("location", "timezone") + "a" * 9, "column 'timezone' twice"),
        (f"{CSV}x,https://x.example/,,,,,./x,,\ny,nemo,,,,,./y,,\n", "instrument 2 ('y'): api_url"),
        ('[{"instrument_pid": "a", "instrument_pid": "b"}]', "names 'instrument_pid' twice"),
        (json.dumps([{**NEW, "timezone": "UTC", "timezone_str": "UTC"}]), "timezone_str are two"),
        (b"instrument_pid,location\na,\xfc\n", "neither UTF-8"),
    ],
)
def test_an_import_says_what_is_wrong_and_where(
    tmp_path: Path, content: str | bytes, words: str
) -> None:
    path = filled(tmp_path)
    file = tmp_path / "new"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = contents(path)
    refused = call("--db", path, "instruments", "import", file)
    assert refused.status == 2
    assert words in refused.err
    assert contents(path) == before


def test_empty_cells_are_defaults_where_there_are_some(tmp_path: Path) -> None:
    path, file = filled(tmp_path), tmp_path / "new.csv"
    file.write_text(f"{CSV}x,https://x.example/,,,,,./x,,\n", encoding="utf-8")
    assert call("--db", path, "instruments", "import", file).lines[0] == "added x"
    shown = call("--db", path, "instruments", "show", "x", "--json").json
    assert (shown["harvester"], shown["timezone"], shown["location"]) == (
        *("nemo", "America/New_York", ""),
    )


def test_two_instruments_exchange_their_addresses(tmp_path: Path) -> None:
    path = filled(tmp_path)
    entries = call("--db", path, "instruments", "export").json
    addresses = [entry["api_url"] for entry in entries]
    for entry, address in zip(entries, reversed(addresses), strict=True):
        entry["api_url"] = address
    file = tmp_path / "exchanged.json"
    file.write_text(json.dumps(entries), encoding="utf-8")
    done = call("--db", path, "instruments", "import", file, "--json").json
    assert done["updated"] == [PID, TOKYO]
    after = call("--db", path, "instruments", "export").json
    assert [entry["api_url"] for entry in after] == addresses[::-1]


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


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes, pipes and names of this kind")
def test_where_an_export_can_be_written(tmp_path: Path) -> None:
    path = filled(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    for file in (
        tmp_path / "pipe",
        Path("/dev/null"),
        tmp_path,
        path,
        tmp_path / ("x" * 256),
        *([locked / "file"] if os.geteuid() else []),
    ):
        refused = call("--db", path, "instruments", "export", file)
        assert refused.status == 2, file
        assert refused.err.startswith("nexuslims-store: ")
        assert "not foreseen" not in refused.err
    assert {file.name for file in tmp_path.iterdir()} == {"pipe", "locked", path.name}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a POSIX system")
def test_an_export_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    path, file = filled(tmp_path), tmp_path / "file.json"
    export = [*COMMAND, "--db", str(path), "instruments", "export", str(file), "--json"]
    limited = ["sh", "-c", 'ulimit -f 1; "$@"', "sh", *export]
    call("--db", path, "instruments", "update", PID, "--location", "x" * 2000)
    full = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert full.returncode == 2
    assert full.stderr.startswith(f"nexuslims-store: no room to write {file}")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_dry_run_of_an_import_changes_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path)
    file = tmp_path / "new.json"
    file.write_text(json.dumps([NEW, instrument(location="elsewhere").to_dict()]), encoding="utf-8")
    before = contents(path)
    dry = call("--db", path, "instruments", "import", file, "--dry-run", "--json")
    assert dry.json == {
        "dry_run": True,
        "added": ["Zeiss-Leo"],
        "updated": [PID],
        "unchanged": [],
        "changes": [
            {
                "instrument_pid": PID,
                "changes": {"location": {"was": "Building 217, Room F101", "is": "elsewhere"}},
            }
        ],
    }
    assert contents(path) == before
    expected = [
        "added Zeiss-Leo",
        f"updated {PID}",
        "    location: 'elsewhere'; it was 'Building 217, Room F101'",
        "2 instruments: 1 added, 1 updated, 0 unchanged",
    ]
    shown = call("--db", path, "instruments", "import", file, "--dry-run").lines
    assert shown == [*expected[:-1], f"{expected[-1]}; nothing was changed, this was a dry run"]
    assert call("--db", path, "instruments", "import", file).lines == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["not JSON"]),
        ("[" * 100_000, ["not JSON"]),
        ("{}", ["JSON array"]),
        ("[1]", ["JSON array"]),
        ([NEW, {**NEW, "instrument_pid": "b", "api_url": "nemo"}, {}],
         ["instrument 2 ('b'): api_url: ", "instrument 3 (None): instrument_pid: Field required"]),
        ([NEW, {**NEW, "api_url": "https://x.example/"}], ["instrument 1 has the same PID"]),
        ([NEW, {**NEW, "instrument_pid": "b"}], ["'Zeiss-Leo' already"]),
        ([{**NEW, "colour": "red"}], ["colour: "]),
        ([{**NEW, "timezone": "Mars/Base"}], ["no IANA time zone"]),
        ([{**NEW, "api_url": instrument().api_url}], [f"'{PID}' already"]),
    ],
)  # fmt: skip
def test_an_import_is_all_or_nothing(tmp_path: Path, content: Any, words: list[str]) -> None:
    path = filled(tmp_path)
    file = tmp_path / "new.json"
    text = content if isinstance(content, str) else json.dumps(content)
    file.write_text(text, encoding="utf-8")
    before = contents(path)
    for arguments in ((), ("--dry-run",)):
        refused = call("--db", path, "instruments", "import", file, *arguments)
        assert refused.status == 2
        assert refused.out == ""
        for word in words:
            assert word in refused.err
        assert contents(path) == before


def test_an_import_file_that_is_not_there(tmp_path: Path) -> None:
    refused = call("--db", filled(tmp_path), "instruments", "import", tmp_path / "no.json")
    assert refused.status == 2
    assert "cannot be read" in refused.err


# -- backup and restore ------------------------------------------------------------------------


def test_backup_and_restore(tmp_path: Path) -> None:
    path = filled(tmp_path)
    beside = Path(call("--db", path, "backup").out.strip())
    assert beside.parent == tmp_path
    assert beside.name.startswith("nexuslims_backup_2")
    named = tmp_path / "named.db"
    made = call("--db", path, "backup", named, "--json").json
    assert (made["path"], made["size"]) == (str(named), named.stat().st_size)
    taken = call("--db", path, "backup", named)
    assert taken.status == 2
    (tmp_path / "folder").mkdir()
    assert Path(call("--db", path, "backup", tmp_path / "folder").out.strip()).is_file()

    before = contents(path)
    call("--db", path, "sessions", "delete", "ny-3", "--yes")
    dry = call("--db", path, "restore", named, "--dry-run")
    assert dry.status == 0
    assert contents(path) != before
    done = call("--db", path, "restore", named, "--yes", "--json")
    assert done.json["revision"] == "v2_5_0b"
    assert Path(done.json["kept"]).is_file()
    assert contents(path) == before
    assert contents(Path(done.json["kept"])) != before


def test_restore_to_a_new_file_asks_nothing(tmp_path: Path) -> None:
    source = filled(tmp_path)
    call("--db", source, "migrate", "downgrade", "--no-backup")
    new = tmp_path / "new.db"
    done = call("--db", new, "restore", source)
    assert (done.status, done.out) == (0, f"restored {new} from {source}, at v2_5_0a\n")
    assert f"run `nexuslims-store migrate --db {new}`" in done.err


@pytest.mark.parametrize("kind", ["missing", "text", "another program's"])
def test_restore_refuses_what_is_no_backup_before_it_asks(tmp_path: Path, kind: str) -> None:
    path, source = filled(tmp_path), tmp_path / "source"
    if kind == "text":
        source.write_text("dear diary " * 100, encoding="utf-8")
    elif kind == "another program's":
        write(source, "CREATE TABLE bookmarks (url TEXT)")
    before = contents(path)
    for arguments in ((), ("--yes",), ("--dry-run",)):
        refused = call("--db", path, "restore", source, *arguments)
        assert refused.status == 2
        assert str(source) in refused.err
        assert "give --yes" not in refused.err
    assert contents(path) == before
