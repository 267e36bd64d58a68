"""Names that are none of a file: the same in every command and call, and no file of that name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import Result, call, process
from helpers.support import new_database

from nexuslims_store import Store, StoreError, backup, demo, doctor, migrations, schema
from nexuslims_store.moving import move

NO_NAMES = ["", "-", ":memory:"]
NAMED_SO = ["./-", "./:memory:"]
SERVER = "postgresql://nobody@localhost:1/none"

# Each with a place in it; the database is kept.db.
PLACES: dict[str, list[str]] = {
    "demo": ["demo", "{}"],
    "demo --dry-run": ["demo", "{}", "--dry-run"],
    "report": ["--db", "kept.db", "report", "--output", "{}"],
    "export": ["--db", "kept.db", "instruments", "export", "{}"],
    "import": ["--db", "kept.db", "instruments", "import", "{}"],
    "users import": ["--db", "kept.db", "users", "import", "{}"],
    "backup": ["--db", "kept.db", "backup", "{}"],
    "backup list": ["--db", "kept.db", "backup", "list", "{}"],
    "restore": ["--db", "kept.db", "restore", "{}", "--yes"],
    "restore latest": ["--db", "kept.db", "restore", "latest", "--yes", "--from", "{}"],
    "status --backups": ["--db", "kept.db", "status", "--max-backup-age", "1d", "--backups", "{}"],
    "move to": ["move", SERVER, "{}"],
    "move from": ["move", "{}", SERVER],
    **{
        f"--db, {command}": ["--db", "{}", *command.split()]
        for command in (
            *("status", "migrate", "migrate --plan", "migrate current", "migrate check", "doctor"),
            *("migrate downgrade", "migrate stamp head", "schema", "report", "backup"),
            *("backup list", "restore kept.db --yes", "sessions list", "instruments export"),
        )
    },
}  # fmt: skip
STREAMS = {"report", "export", "import", "users import"}  # for which - is one


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    new_database(tmp_path, "kept.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(done: Result, name: str) -> None:
    assert done.status == 2, done
    assert done.out == ""
    assert f"{name!r} is no file" in done.err
    if name:
        assert f"./{name}" in done.err
    assert os.listdir() == ["kept.db"]


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("place", PLACES)
def test_no_command_takes_it_for_a_file(place: str, name: str) -> None:
    if not (name == "-" and place in STREAMS):
        refused(call(*(part.format(name) for part in PLACES[place])), name)


@pytest.mark.parametrize("name", ["-", ":memory:"])
def test_nor_does_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("NX_DB_PATH", name)
    for command in ("status", "migrate", "doctor"):
        refused(call(command), name)
    monkeypatch.delenv("NX_DB_PATH")
    Path(".env").write_text(f"NX_DB_PATH={name}\n")
    done = call("status")
    assert done.status == 2
    assert f"{name!r} is no file" in done.err


def back_up(name: str) -> None:
    with Store("kept.db") as store:
        store.backup(name)


CALLS: dict[str, Callable[[str], object]] = {
    "Store": Store,
    "Store, migrate": lambda name: Store(name, migrate=True),
    "Store, a Path": lambda name: Store(Path(name)),
    "Store.backup": back_up,
    "upgrade": migrations.upgrade,
    "current": migrations.current,
    "stamp": lambda name: migrations.stamp(name, "head"),
    "demo.create": demo.create,
    "doctor.examine": doctor.examine,
    "schema.describe": lambda name: schema.describe(Path(name), "sql"),
    "backup.copy": lambda name: backup.copy(Path(name), "copy.db"),
    "backup.restore": lambda name: backup.restore(Path(name), Path("kept.db")),
    "backup.restore to": lambda name: backup.restore(Path("kept.db"), Path(name)),
    "list_backups": lambda name: backup.list_backups(Path("kept.db"), Path(name)),
    "move": lambda name: move(name, SERVER),
}
PRIVATE = {"Store", "Store, migrate", "Store, a Path"}  # for which :memory: is a database
NO_FILE = "{0!r} is no file or folder; one that is called so is ./{0}"
# What is said of :memory: by those that know what it is.
IN_MEMORY = {
    **dict.fromkeys(("upgrade", "current", "stamp"), "a database in memory has no file to migrate"),
    "backup.copy": "a database in memory can be backed up by the program that has it only",
    "backup.restore to": "a database in memory is nobody else's",
    "move": "a database in memory is gone with its program",
}


@pytest.mark.parametrize(
    ("place", "name", "says"),
    [
        *((place, "-", NO_FILE.format("-")) for place in CALLS),
        *(
            (place, ":memory:", IN_MEMORY.get(place, NO_FILE.format(":memory:")))
            for place in CALLS
            if place not in PRIVATE
        ),
    ],
)
def test_no_call_takes_it_for_a_file(place: str, name: str, says: str) -> None:
    with pytest.raises(StoreError, match=f"^{says}"):
        CALLS[place](name)
    assert os.listdir() == ["kept.db"]


@pytest.mark.parametrize("name", NAMED_SO)
def test_a_file_that_is_called_so_is_named_by_its_place(name: str) -> None:
    file = Path(name).absolute()
    assert call("demo", name).status == 0
    assert file.is_file()
    for command in ("status", "migrate", "doctor", "sessions list"):
        done = call("--db", name, *command.split())
        assert done.status == 0, done.err
    with Store(name) as store:
        assert store.path == file
        assert store.session_logs.count() > 100
    assert migrations.current(name) == store.revision
    # At some hours of the day a builder of the demo has been at work for long: a note.
    assert {finding.severity for finding in doctor.examine(name)} <= {"note"}
    assert call("--db", "kept.db", "restore", name, "--yes").status == 0
    file.unlink()
    assert call("--db", "kept.db", "report", "--output", name).status == 0
    assert file.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    file.unlink()
    assert call("--db", "kept.db", "backup", name).status == 0
    assert migrations.current(file) == store.revision


def test_the_hyphen_is_standard_output_where_there_is_one() -> None:
    for place in ("report", "export"):
        done = process(*(part.format("-") for part in PLACES[place]))
        assert done.status == 0, done.err
        assert done.out
    assert os.listdir() == ["kept.db"]
