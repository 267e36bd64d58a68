"""The commands on a database of a server: the same answers, and who does what they do not."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import call
from helpers.readme import block_below
from helpers.servers import Server

from nexuslims_store import Store, StoreError, demo, doctor, migrations, moving

PASSWORD = "geheim"


@pytest.fixture(scope="module")
def demo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.create(tmp_path_factory.mktemp("demo") / "demo.db", seed=2)


def filled(url: str, demo_file: Path) -> str:
    """Fill a database with the rows of a demo; its URL, with a password that nothing may show."""
    moving.move(demo_file, url)
    return url.replace("nexus@", f"nexus:{PASSWORD}@")


@pytest.fixture
def url(server_url: str, demo_file: Path) -> str:
    return filled(server_url, demo_file)


@pytest.fixture(scope="module")
def same_url(server: Server, demo_file: Path) -> Iterator[str]:
    """The same for all tests that change nothing there."""
    with server.database() as url:
        yield filled(url, demo_file)


@pytest.fixture
def at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two looks say the same of what is so long ago."""
    now = datetime.now(UTC)

    class Now(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return now.astimezone(tz)

    monkeypatch.setattr("nexuslims_store.cli.options.datetime", Now)
    for module in ("cli.report", "overview.examining"):
        monkeypatch.setattr(f"nexuslims_store.{module}.utc_now", lambda: now)


LOOKS = [
    "sessions list --json",
    "sessions list --status ERROR,COMPLETED --since 30d --csv",
    "sessions show =1001 --json",
    "instruments list --json",
    "instruments show FEI-Titan-STEM-635037",
    "instruments export",
    "uploads list --json",
    "uploads failed --by-cause",
    "users list --csv",
    "users export",
    "migrate current",
    "migrate check --json",
    "status --quiet",
    "status --prometheus",
]


@pytest.mark.usefixtures("at_one_moment")
@pytest.mark.parametrize("look", LOOKS)
def test_a_look_gives_the_same_as_at_the_file(look: str, same_url: str, demo_file: Path) -> None:
    on_file, on_server = (
        call("--db", place, *shlex.split(look)) for place in (demo_file, same_url)
    )
    without = [  # how large a database is differs
        [line for line in found.lines if "size_bytes" not in line] for found in (on_file, on_server)
    ]
    assert without[0] == without[1]
    assert on_file.status == on_server.status == 0, on_server.err
    assert PASSWORD not in on_server.out + on_server.err


@pytest.mark.usefixtures("at_one_moment")
def test_status_says_where_it_is_and_what_the_builders_do(same_url: str, demo_file: Path) -> None:
    shown = same_url.replace(f":{PASSWORD}", "")
    on_file, on_server = (
        json.loads(call("--db", path, "status", "--json").out.replace(name, "DB"))
        for path, name in ((demo_file, str(demo_file)), (same_url, shlex.quote(shown)))
    )
    its_own: dict[str, Any] = {"path": None, "size": None, "journal_mode": None}
    assert {**on_server, **its_own} == {**on_file, **its_own}
    assert on_server["path"] == shown
    assert on_server["journal_mode"] is None
    assert on_server["size"] > 1_000_000
    page = call("--db", same_url, "status")
    assert "pg_dump --format=custom" in page.out
    assert PASSWORD not in page.out


@pytest.mark.usefixtures("at_one_moment")
def test_the_report_is_of_the_same_figures(same_url: str, demo_file: Path) -> None:
    shown = same_url.replace(f":{PASSWORD}", "")
    on_file, on_server = (
        call("--db", place, "report", "--text") for place in (demo_file, same_url)
    )
    assert PASSWORD not in on_server.out
    # Lines are broken by the length of the name, and a long name itself.
    here, there = ("".join(found.out.split()) for found in (on_file, on_server))
    there = there.replace(shlex.quote(shown), "DB").replace(shown, "DB")
    assert here.replace(str(demo_file), "DB").replace("demo.db", "DB") == there


def test_the_doctor_finds_in_the_rows_what_it_finds_in_those_of_a_file(
    url: str, server: Server, demo_file: Path, tmp_path: Path
) -> None:
    spoil = [
        "UPDATE session_log SET timestamp = 'soon' WHERE id_session_log = 3",
        "UPDATE instruments SET timezone = 'Mars/Olympus' WHERE harvester = 'nemo'",
        "UPDATE upload_log SET metadata_json = '[]' WHERE id = 2",
        "UPDATE session_log SET session_identifier = 'other' WHERE id_session_log IN (7, 9)",
    ]
    copy = tmp_path / "demo.db"
    copy.write_bytes(demo_file.read_bytes())
    with Store(copy) as file:
        for statement in spoil:
            file.connection.execute(statement)
    server.execute(*spoil, database=url.partition("@/")[2].partition("?")[0])
    found = []
    for place in (copy, url):
        said = call("--db", place, "doctor", "--json")
        assert said.status == 1
        assert PASSWORD not in said.out
        found.append(
            sorted((f["code"], f["message"], str(f["row_id"])) for f in json.loads(said.out))
        )
    assert found[0] == found[1]
    told: list[tuple[int, int]] = []
    doctor.examine(url, progress=lambda *far: told.append(far))
    assert told
    (remedy,) = (
        finding["remedy"]
        for finding in json.loads(call("--db", url, "doctor", "--json").out)
        if finding["code"] == "unreadable-time" and finding["row_id"] == 3
    )
    assert remedy.startswith("psql 'postgresql://nexus@/")
    assert remedy.endswith('WHERE id_session_log = 3"')
    assert call("--db", url, "doctor").out.count("\n") > 4


def test_what_changes_something_changes_it_there(url: str) -> None:
    with Store(url) as store:
        session = next(store.sessions.iter_overview(statuses=["COMPLETED"])).session_identifier
    pid = "FEI-Titan-STEM-635037"
    for command in (
        f"sessions reset {session} --status COMPLETED --yes",
        f"sessions delete {session} --yes",
        "instruments update JEOL-JEM3010-TEM-635185 --location 'Room 7'",
        f"instruments rename {pid} Titan --yes",
        "users set alice nemo 4711",
        "users remove alice nemo --yes",
    ):
        dry = call("--db", url, *shlex.split(command), "--dry-run")
        assert dry.status == 0, (command, dry.err)
        done = call("--db", url, *shlex.split(command))
        assert done.status == 0, (command, done.err)
    with Store(url) as store:
        assert store.sessions.overview(session) == []
        assert store.instruments.get(pid) is None
        assert store.instruments.get("Titan") is not None
        changed = store.instruments.get("JEOL-JEM3010-TEM-635185")
        assert changed is not None
        assert changed.location == "Room 7"
        assert store.external_ids.get("alice", "nemo") is None


def test_schema_is_that_of_the_server(url: str, server: Server) -> None:
    database = url.partition("@/")[2].partition("?")[0]
    own = ["annex", "building", "floor", "key", "room", "wing"]
    added = ", ".join(f"ADD COLUMN {column} TEXT" for column in reversed(own))
    server.execute(f"ALTER TABLE instruments {added}", database=database)
    assert "    TEXT instrument_pid PK\n" in call("--db", url, "schema").out
    described = call("--db", url, "schema", "--format", "markdown").out
    assert re.findall(rf"`({'|'.join(own)})`", described) == own
    sql = call("--db", url, "schema", "--format", "sql").out
    server.execute("CREATE DATABASE from_schema")
    try:
        server.execute(sql, database="from_schema")
    finally:
        server.execute("DROP DATABASE from_schema WITH (FORCE)")


def test_an_empty_database_waits_for_migrate(server: Server) -> None:
    server.execute("CREATE DATABASE empty_one")
    url = server.url("empty_one")
    try:
        check = call("--db", url, "migrate", "check")
        assert (check.status, check.err) == (1, "")
        assert "apply v2_5_0b" in check.out
        assert call("--db", url, "status", "--quiet").out.startswith("NEEDS A PERSON: the schema")
        assert call("--db", url, "doctor").status == 1
        assert call("--db", url, "sessions", "list").status == 2
        assert [
            row["applied"] for row in call("--db", url, "migrate", "history", "--json").json
        ] == [False]
        made = call("--db", url, "migrate", "--json").json
        assert (made["before"], made["after"], made["backup"]) == (None, "v2_5_0b", None)
        assert call("--db", url, "migrate", "check").status == 0
    finally:
        server.execute("DROP DATABASE empty_one WITH (FORCE)")


# -- what is for files -----------------------------------------------------------------

# With other arguments that would be errors too.
FOR_FILES = {
    "backup /no/such/folder/ --keep-last 3": "pg_dump",
    "backup list /no/such/folder": "pg_dump",
    "restore /no/such/backup.db": "pg_restore",
    "restore latest --from /no/such/folder": "pg_restore",
    "migrate stamp no-revision": "pg_restore",
    "migrate downgrade base --no-backup": "pg_restore",
    "migrate downgrade": "pg_dump",
    "status --max-backup-age 26h --backups /no/such/folder": "pg_dump",
}


@pytest.mark.parametrize("command", FOR_FILES)
def test_what_is_for_files_says_so_first(command: str, same_url: str) -> None:
    refused = call("--db", same_url, *shlex.split(command))
    assert refused.status == 2
    assert refused.out == ""
    assert "SQLite files" in refused.err
    assert FOR_FILES[command] in refused.err
    assert "/no/such" not in refused.err
    assert PASSWORD not in refused.err


def test_a_demo_is_a_file(same_url: str) -> None:
    refused = call("demo", same_url, "--seed", "3")
    assert refused.status == 2
    assert "move" in refused.err
    assert PASSWORD not in refused.err


@pytest.mark.parametrize("option", ["restore", "sessions list --output", "report --output"])
def test_a_url_in_a_files_place_is_not_repeated(
    option: str, same_url: str, demo_file: Path
) -> None:
    refused = call("--db", demo_file, *option.split(), same_url)
    assert refused.status == 2
    assert PASSWORD not in refused.err


ADDRESSES = [
    f"postgresql+psycopg://nexus:{PASSWORD}@localhost/nexuslims",
    f"POSTGRESQL://nexus:{PASSWORD}@localhost/nexuslims",
    f"postgresql:nexus:{PASSWORD}@localhost/nexuslims",
    f" postgresql://nexus:{PASSWORD}@localhost/nexuslims",
    f"mysql://nexus:{PASSWORD}@localhost/nexuslims",
    f"host=localhost password={PASSWORD} dbname=nexuslims",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_another_form_of_address_is_no_file(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def refuse(*command: str) -> None:
        refused = call(*command)
        assert refused.status == 2
        assert "postgresql://USER@HOST/DATABASE" in refused.err
        assert PASSWORD not in refused.out + refused.err

    for command in ("status", "migrate", "migrate check", "backup", "report"):
        refuse("--db", address, "--debug", *command.split())
    refuse("move", address, "postgresql:///nexuslims")
    refuse("demo", address)
    monkeypatch.setenv("NX_DB_PATH", address)
    refuse("migrate", "--debug")
    for use in (Store, migrations.upgrade, lambda path: moving.move("postgresql:///x", path)):
        with pytest.raises(StoreError, match="address of a server") as refusal:
            use(address)
        assert PASSWORD not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_an_apostrophe_does_not_end_a_line_that_is_named() -> None:
    refused = call("--db", "postgresql:///it's", "backup")
    assert "--dbname=postgresql:///it's" in shlex.split(named_line(refused.err, "pg_dump"))


def named_line(said: str, tool: str) -> str:
    return next(part for part in said.split("`") if part.startswith(tool))


def test_the_lines_that_are_named_work(
    url: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool in ("pg_dump", "pg_restore"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not on the PATH")
    monkeypatch.chdir(tmp_path)
    dump = named_line(call("--db", url, "backup").err, "pg_dump")
    restore = named_line(call("--db", url, "restore", "x").err, "pg_restore")
    subprocess.run(dump, shell=True, check=True, timeout=60)
    with Store(url) as store:
        before = list(store.sessions.iter_overview())
        store.sessions.delete(before[0].session_identifier)
    subprocess.run(restore, shell=True, check=True, timeout=60)
    with Store(url) as store:
        assert list(store.sessions.iter_overview()) == before
    assert call("--db", url, "migrate", "check").status == 0


def test_the_readmes_commands_move_a_file(server_url: str, demo_file: Path, tmp_path: Path) -> None:
    (tmp_path / "nexuslims.db").write_bytes(demo_file.read_bytes())
    _, *commands = block_below("move commands").splitlines()
    for command in commands:
        line = command.removeprefix("$ ").replace(
            "postgresql://nexuslims@db.example.com/nexuslims", f"'{server_url}'"
        )
        program = f"{shlex.quote(sys.executable)} -m nexuslims_store"
        done = subprocess.run(
            line.replace("nexuslims-store", program),
            shell=True, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert "v2_5_0b, up to date" in done.stdout


# -- how it is named -------------------------------------------------------------------


def test_the_environment_names_it(same_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NX_DB_PATH", same_url)
    assert call("migrate", "current").out == "v2_5_0b\n"
    assert len(call("instruments", "list", "--json").json) == 10


def test_a_server_that_is_not_there_is_one_line(same_url: str) -> None:
    for wrong in (
        same_url.replace("host=", "host=/nowhere"),
        f"postgresql://nexus:{PASSWORD}@127.0.0.1:1/nexus",
        f"postgresql://nexus:{PASSWORD}@[::1/nexus",
    ):
        refused = call("--db", wrong, "--debug", "status")
        assert refused.status == 2
        assert PASSWORD not in refused.err
        plain = call("--db", wrong, "status").err
        assert plain.startswith("nexuslims-store: ")
        assert plain.count("\n") == 1
