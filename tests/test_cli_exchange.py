"""`instruments import` and `export`: files out and in, also after other programs."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import COMMAND, TOKYO, call, filled, process
from helpers.platforms import is_root, needs_posix, posix
from helpers.support import PID, contents, instrument, new_database

from nexuslims_store import Store
from nexuslims_store.cli import exchange
from nexuslims_store.cli.opening import open_store

NEW = {
    "instrument_pid": "Zeiss-Leo",
    "api_url": "https://nemo.example.com/api/tools/?id=77",
    "calendar_url": "",
    "location": "Raum Ü",
    "display_name": "LEO",
    "property_tag": "77",
    "filestore_path": "./Leo",
}


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


@pytest.mark.slow
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


@pytest.mark.parametrize("line", ["sep=;", "SEP=;\r", "Sep=,"])
def test_the_line_that_excel_reads_alone_is_no_heading(tmp_path: Path, line: str) -> None:
    path, file = filled(tmp_path), tmp_path / "new.csv"
    row = "x,https://x.example/,,,,,./x,,\n"
    file.write_text(f"{line}\n{(CSV + row).replace(',', line[4])}", encoding="utf-8", newline="")
    assert call("--db", path, "instruments", "import", file).lines[0] == "added x"


def test_an_export_is_csv_where_it_is_called_so(tmp_path: Path) -> None:
    path = filled(tmp_path)
    file = tmp_path / "instruments.csv"
    assert call("--db", path, "instruments", "export", file).status == 0
    listed = call("--db", path, "instruments", "list", "--csv").out
    assert file.read_text(encoding="utf-8") == listed
    assert call("--db", path, "instruments", "export", "--csv").out == listed
    asked_for = tmp_path / "asked_for.csv"
    assert call("--db", path, "instruments", "export", "--json", asked_for).status == 0
    assert json.loads(asked_for.read_bytes())[0]["instrument_pid"] == PID
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
        ('[{"instrument_pid": ' + "9" * 5000 + "}]", "a number of 5,000 digits is too large"),
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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["instruments", "users"])
def test_an_import_of_what_may_have_no_end_is_refused(tmp_path: Path, kind: str) -> None:
    if sys.platform == "win32":
        needs_posix()
    path = filled(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for endless in (tmp_path / "pipe", "/dev/zero"):
        refused = process("--db", path, kind, "import", endless)
        assert refused.status == 2
        assert "pipe or a device" in refused.err


def test_what_a_shell_has_opened_is_imported(tmp_path: Path) -> None:
    path = filled(tmp_path)
    exported = call("--db", path, "instruments", "export", "-").out
    for name in ("-", "/dev/stdin"):
        done = process("--db", path, "instruments", "import", name, stdin=exported.encode())
        assert done.status == 0, done.err


def test_empty_cells_are_defaults_where_there_are_some(tmp_path: Path) -> None:
    path, file = filled(tmp_path), tmp_path / "new.csv"
    file.write_text(f"{CSV}x,https://x.example/,,,,,./x,,\n", encoding="utf-8")
    assert call("--db", path, "instruments", "import", file).lines[0] == "added x"
    shown = call("--db", path, "instruments", "show", "x", "--json").json
    assert (shown["harvester"], shown["timezone"], shown["location"]) == (
        *("nemo", "America/New_York", ""),
    )


@pytest.mark.parametrize("name", ["timezone", "timezone_str"])
def test_a_time_zone_has_two_names(tmp_path: Path, name: str) -> None:
    path, file = filled(tmp_path), tmp_path / "new.json"
    file.write_text(json.dumps([{**NEW, name: "Asia/Tokyo"}]), encoding="utf-8")
    assert call("--db", path, "instruments", "import", file).lines[0] == "added Zeiss-Leo"
    shown = call("--db", path, "instruments", "show", "Zeiss-Leo", "--json").json
    assert shown["timezone"] == "Asia/Tokyo"


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


def test_where_an_export_can_be_written(tmp_path: Path) -> None:
    if sys.platform == "win32":
        needs_posix()
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
        *([locked / "file"] if not is_root() else []),
    ):
        refused = call("--db", path, "instruments", "export", file)
        assert refused.status == 2, file
        assert refused.err.startswith("nexuslims-store: ")
        assert "not foreseen" not in refused.err
    assert {file.name for file in tmp_path.iterdir()} == {"pipe", "locked", path.name}


def test_a_file_that_appears_during_an_export_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, file = filled(tmp_path), tmp_path / "file.json"

    def open_late(*arguments: Any, **options: Any) -> AbstractContextManager[Store]:
        file.write_text("precious")
        return open_store(*arguments, **options)

    monkeypatch.setattr(exchange, "open_store", open_late)
    refused = call("--db", path, "instruments", "export", file)
    assert (refused.status, refused.out) == (2, "")
    assert "exists already" in refused.err
    assert file.read_text() == "precious"
    assert {one.name for one in tmp_path.iterdir()} == {path.name, file.name}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a POSIX system")
def test_an_export_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    path, file = filled(tmp_path), tmp_path / "file.json"
    export = [*COMMAND, "--db", str(path), "instruments", "export", str(file), "--json"]
    limited = ["sh", "-c", 'ulimit -f 1; "$@"', "sh", *export]
    call("--db", path, "instruments", "update", PID, "--location", "x" * 2000)
    whole = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    full = subprocess.run(limited, capture_output=True, text=True, env=whole, check=False)
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
         ["instrument 2 ('b'): api_url: ", "instrument 3 (None): instrument_pid: it is needed"]),
        ([NEW, {**NEW, "api_url": "https://x.example/"}], ["instrument 1 has the same PID"]),
        ([NEW, {**NEW, "instrument_pid": "b"}],
         ["new.json, instrument 2 ('b'): instrument 1 has the same api_url\nnothing was imported"]),
        ([{**NEW, "colour": "red"}], ["colour: there is no such field\n"]),
        # What `instruments show --json` writes.
        ([{**NEW, "sessions_total": 0, "last_session": None}],
         ["sessions_total and last_session of", "only counted", "instruments export"]),
        ([{**NEW, "timezone": "Mars/Base"}], ["no IANA time zone"]),
        ([{**NEW, "api_url": instrument().api_url}], [f"'{PID}' already", "rename OLD NEW"]),
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


@posix
def test_what_has_no_end_or_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path)
    refused = call("--db", path, "users", "import", "/dev/zero")
    assert refused.status == 2
    assert "is a pipe or a device, which may have no end, and was not opened" in refused.err
    if Path("/proc/self/mem").exists():
        refused = call("--db", path, "report", "--output", "/proc/self/mem")
        assert refused.status == 2
        assert "/mem is there and cannot be read (" in refused.err
