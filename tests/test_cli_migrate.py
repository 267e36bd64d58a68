"""`migrate` and its commands, as a person and as a script uses them."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from helpers import older_lineage
from helpers.command_line import call, process
from helpers.migration_checks import at
from helpers.migration_files import REVISIONS, demo, execute, facts
from helpers.support import HEAD, contents, new_database, write

from nexuslims_store import BackupError, MigrationError, Store, config, migrations
from nexuslims_store.config import sql_folder


def left_behind(path: Path) -> Path:
    """Make a file whose upgrade by NexusLIMS was interrupted."""
    older_lineage.create(path)
    call("--db", path, "migrate", "upgrade", "v2_4_0a", "--no-backup")
    write(path, "CREATE TABLE session_log_new AS SELECT * FROM session_log")
    return path


def test_the_first_command_makes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "nexuslims.db"
    made = process("migrate", NX_DB_PATH=str(path))
    assert made.status == 0, made.err
    assert made.lines[0].startswith(f"created {path}, at {HEAD} ({len(REVISIONS)} steps, ")
    assert made.err.splitlines()[0] == "applying v1_4_3 initial schema baseline"
    assert [file.name for file in path.parent.iterdir()] == ["nexuslims.db"]
    with Store(path, read_only=True) as store:
        assert store.revision == HEAD
    again = call("--db", path, "migrate")
    assert (again.status, again.err) == (0, "")
    assert again.out == f"{path} is at {HEAD}; there was nothing to do\n"


def test_no_folder_is_made_but_the_packages_own(tmp_path: Path) -> None:
    mistyped = tmp_path / "mistyped" / "nexuslims.db"
    refused = process("migrate", NX_DB_PATH=str(mistyped))
    assert refused.status == 2
    assert f"there is no folder {mistyped.parent}" in refused.err
    assert list(tmp_path.iterdir()) == []

    made = process("migrate", NX_DB_PATH="", HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path / "x"))
    assert made.status == 0, made.err
    assert made.out.startswith("created ")
    assert len(list(tmp_path.rglob("nexuslims.db"))) == 1


def test_up_and_down_and_the_reports(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    down = call("--db", path, "migrate", "downgrade", "v2_4_0b", "--json")
    assert down.json["applied"] == REVISIONS[:2:-1]
    assert Path(down.json["backup"]).is_file()
    assert call("--db", path, "migrate", "current").out == "v2_4_0b\n"
    assert call("--db", path, "migrate", "current", "--json").json == {
        "revision": "v2_4_0b",
        "head": HEAD,
    }
    up = call("--db", path, "migrate", "upgrade", "+1", "--no-backup", "--json")
    assert up.json["after"] == "v2_5_0a"
    assert up.json["backup"] is None
    assert call("--db", path, "migrate", "downgrade", "-1", "--no-backup").status == 0
    assert call("--db", path, "migrate", "current").out == "v2_4_0b\n"
    up = call("--db", path, "migrate", "upgrade")
    assert f"{path} is now at {HEAD}; it was at v2_4_0b ({len(REVISIONS) - 3} steps, " in up.out
    assert "the file as it was before: " in up.out
    assert call("--db", path, "migrate", "downgrade", "base", "--no-backup").status == 0
    assert call("--db", path, "migrate", "current").out == "base\n"


def test_an_older_database_says_what_was_done_to_it(tmp_path: Path) -> None:
    path = older_lineage.create(tmp_path / "old.db")
    write(path, "DELETE FROM session_log WHERE instrument = 'an instrument that is not there'")
    done = call("--db", path, "migrate")
    assert done.status == 0, done.err
    assert "it had no version row and was recognised by its tables" in done.lines
    assert "2 instruments without a harvester got 'nemo'" in done.lines


@pytest.mark.parametrize(
    "arguments",
    [
        ("migrate", "--plan"),
        ("migrate", "upgrade", "--plan"),
        ("migrate", "--plan", "upgrade"),  # the command's defaults must not undo the group's
        ("migrate", "upgrade", "--sql"),
        ("migrate", "--sql", "upgrade"),
        ("migrate", "downgrade", "base", "--plan"),
        ("migrate", "--plan", "downgrade"),
        ("migrate", "upgrade", "--plan", "--json"),
    ],
)
def test_a_plan_and_a_script_change_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    path = new_database(tmp_path)
    call("--db", path, "migrate", "downgrade", "v2_4_0a", "--no-backup")
    before = path.read_bytes()
    shown = call("--db", path, *arguments)
    assert shown.status == 0, shown.err
    assert "v2_4_0" in shown.out
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_plan_creates_nothing(tmp_path: Path) -> None:
    assert call("--db", tmp_path / "new.db", "migrate", "--plan").status == 0
    assert list(tmp_path.iterdir()) == []


def test_a_plan_in_json_says_of_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    for option, dry in (("--dry-run", True), ("--json", False)):
        said = call("--db", path, "migrate", option, "--json").json
        assert (said["dry_run"], said["path"], said["created"]) == (dry, str(path), True)
    assert call("--db", path, "migrate", "--plan", "--json").json["created"] is False


@pytest.mark.parametrize("option", ["--plan", "--sql", "--no-backup"])
def test_a_missing_folder_is_an_error_in_a_plan_too(tmp_path: Path, option: str) -> None:
    done = call("--db", tmp_path / "no" / "new.db", "migrate", option)
    assert (done.status, done.out) == (2, "")
    assert "there is no folder" in done.err


@pytest.mark.parametrize(
    ("start", "script"),
    [
        ("v1_4_3", "ALTER TABLE instruments ADD COLUMN mine"),
        ("v1_4_3", "CREATE TABLE instruments_new (x)"),
        # As NexusLIMS 2.2 made it, where a time may be NULL.
        ("v2_4_0a", "UPDATE session_log SET record_status = 'ODD'"),
    ],
)
def test_a_plan_that_would_be_refused_says_why(tmp_path: Path, start: str, script: str) -> None:
    path = at(start, tmp_path / "nexuslims.db", script)
    plan = call("--db", path, "migrate", "--plan")
    assert plan.status == 1
    run = call("--db", path, "migrate")
    assert run.status == 2
    (refused,) = (line for line in plan.lines if line.startswith("refused: "))
    assert refused.removeprefix("refused: ") in run.err
    script_said = call("--db", path, "migrate", "--sql")
    assert (script_said.status, script_said.out) == (2, "")


def test_a_null_time_is_in_the_plan(tmp_path: Path) -> None:
    path = tmp_path / "nexuslims.db"
    shape = (sql_folder() / "shapes" / "from_2_2_to_2_4.sql").read_text(encoding="utf-8")
    at("v1_4_3", path, "DROP TABLE session_log;" + shape.partition("CREATE TABLE upload_log")[0])
    execute(
        path,
        "INSERT INTO session_log (id_session_log, session_identifier, instrument, event_type, "
        "record_status) VALUES (7, 's', 'sem', 'START', 'ERROR');"
        "UPDATE alembic_version SET version_num = '57f0798d0c6d'",
    )
    plan = call("--db", path, "migrate", "--plan")
    assert plan.status == 1
    assert "refused: 1 row(s) of session_log do not fit v2_4_0b: id_session_log 7" in plan.out
    assert "timestamp must not be NULL" in call("--db", path, "migrate").err


def test_a_database_in_memory_makes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for refuse in (
        migrations.upgrade,
        migrations.downgrade,
        migrations.plan,
        migrations.current,
        migrations.pending,
        lambda path: migrations.stamp(path, "head"),
    ):
        with pytest.raises(MigrationError, match="in memory"):
            refuse(":memory:")
    with Store(":memory:") as store, pytest.raises(BackupError, match="is no file"):
        store.backup(":memory:")
    assert list(tmp_path.iterdir()) == []


def test_the_script_does_what_the_upgrade_does(tmp_path: Path) -> None:
    path, other = new_database(tmp_path), new_database(tmp_path, "other.db")
    for one in (path, other):
        call("--db", one, "migrate", "downgrade", "v1", "--no-backup")
    script = call("--db", path, "migrate", "upgrade", "--sql").out
    with closing(sqlite3.connect(other)) as connection:
        connection.executescript(script)
    call("--db", path, "migrate", "--no-backup")
    assert contents(other) == contents(path)
    assert call("--db", other, "migrate", "check").status == 0


@pytest.mark.parametrize("made", [older_lineage.create, demo, left_behind])
def test_the_script_does_what_the_upgrade_of_an_odd_file_does(
    tmp_path: Path, made: Callable[[Path], Path]
) -> None:
    path, other = made(tmp_path / "nexuslims.db"), made(tmp_path / "other.db")
    script = call("--db", other, "migrate", "--sql").out
    with closing(sqlite3.connect(other)) as connection:
        connection.executescript(script)
    call("--db", path, "migrate", "--no-backup")
    assert contents(other) == contents(path)
    assert facts(other) == facts(path)
    assert call("--db", other, "migrate", "check").status == 0


def test_only_what_is_lost_for_good_is_asked_about(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    with Store(path) as store:
        store.external_ids.store("alice", "nemo", "42")
    down = ("--db", path, "migrate", "downgrade", "v2_4_0b")
    asked = call(*down, "--no-backup")
    assert (asked.status, asked.out) == (2, "")
    assert "Without a backup, drop external_user_identifiers" in asked.err
    assert "--plan" in asked.err
    kept = call(*down)
    assert kept.status == 0
    assert "Without" not in kept.err
    assert call("--db", path, "migrate", "--no-backup").status == 0
    nothing_lost = call(*down, "--no-backup")
    assert nothing_lost.status == 0
    assert "Without" not in nothing_lost.err


def test_check_is_for_scripts(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    good = call("--db", path, "migrate", "check")
    assert (good.status, good.out) == (0, f"{path} is up to date, at {HEAD}\n")
    # NexusLIMS knows nothing of yoyo's marks: no reason to stop a builder.
    assert "put yoyo's marks right" in good.err
    assert call("--db", path, "migrate", "check", "--json").json["up_to_date"] is True
    call("--db", path, "migrate", "downgrade", "--no-backup")
    pending = call("--db", path, "migrate", "check")
    assert pending.status == 1
    newest = migrations.history()[-1]
    to_do = f"apply {HEAD}: {newest.title}"
    assert to_do in pending.lines
    assert call("--db", path, "migrate", "check", "--json").json == {
        "up_to_date": False,
        "revision": newest.down_revision,
        "head": HEAD,
        "to_do": [to_do],
    }
    missing = call("--db", tmp_path / "missing.db", "migrate", "check")
    assert missing.status == 2
    assert not (tmp_path / "missing.db").exists()


def test_history_with_and_without_a_database(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    call("--db", path, "migrate", "downgrade", "v2_4_0a", "--no-backup")
    listed = call("--db", path, "migrate", "history", "--json").json
    assert [step["revision"] for step in listed] == REVISIONS
    assert [step["applied"] for step in listed] == [True, True] + [False] * (len(REVISIONS) - 2)
    listed = call("--db", tmp_path / "none.db", "migrate", "history", "--json").json
    assert {step["applied"] for step in listed} == {None}
    table = call("--db", path, "migrate", "history").lines
    assert table[0].split() == ["NUMBER", "REVISION", "FROM", "TITLE", "APPLIED"]
    assert table[1].split() == ["1", "v1_4_3", "-", "initial", "schema", "baseline", "yes"]


def test_stamp(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    write(path, "UPDATE alembic_version SET version_num = 'v1_4_3'")
    refused = call("--db", path, "migrate")
    assert refused.status == 2
    assert f"`nexuslims-store migrate stamp {HEAD} --db {path}`" in refused.err
    assert call("--db", path, "migrate", "stamp", "v2_4_0a").status == 2
    stamped = call("--db", path, "migrate", "stamp", HEAD)
    assert stamped.out == f"{path} is stamped {HEAD}; its tables are as before\n"
    assert call("--db", path, "migrate", "stamp", "head").out.endswith("already\n")
    assert call("--db", path, "migrate", "stamp", "head", "--json").json["changed"] is False
    assert call("--db", path, "migrate", "check").status == 0


def test_targets_that_are_none(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    for arguments in (("upgrade", "v7"), ("downgrade", "v2_4"), ("upgrade", "v1_4_3")):
        wrong = call("--db", path, "migrate", *arguments)
        assert wrong.status == 2
        assert wrong.out == ""
        assert wrong.err.startswith("nexuslims-store: ")


def test_new_is_told_what_it_must_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checkout = tmp_path / "sql"
    for file in config.sql_folder().rglob("0005*"):
        copy = checkout / file.relative_to(config.sql_folder())
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    monkeypatch.setattr("nexuslims_store.migrations.template.sql_folder", lambda: tmp_path / "sql")
    old = call("migrate", "new", "a thing", "--revision", "v2_5_0a")
    assert old.status == 2
    assert "must be newer than the head" in old.err
    made = call("migrate", "new", "a thing", "--revision", "v2_6_0a")
    assert made.lines == [
        str(checkout / folder / f"0006.v2_6_0a_a_thing{end}")
        for folder in ("migrations", "postgresql/migrations")
        for end in (".sql", ".rollback.sql")
    ]
    on_server = Path(made.lines[2]).read_text(encoding="utf-8")
    assert "-- depends: 0005.v2_5_0b_baseline\n" in on_server


def test_a_user_without_a_name_or_a_home_can_migrate(tmp_path: Path) -> None:
    from helpers.command_line import COMMAND

    done = subprocess.run(
        [*COMMAND, "--db", str(tmp_path / "n.db"), "migrate"],
        env={"LC_ALL": "C"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    call("--db", path, "migrate")
    write(path, "DELETE FROM alembic_version")
    before = path.read_bytes()
    dry = call("--db", path, "migrate", "stamp", "head", "--dry-run")
    assert f"would be stamped {HEAD}" in dry.out
    stamped = call("--db", path, "migrate", "stamp", "head", "--dry-run", "--json").json
    assert (stamped["dry_run"], stamped["changed"]) == (True, True)
    assert call("--db", path, "migrate", "downgrade", "--dry-run").status == 0
    assert call("--db", path, "migrate", "--dry-run", "--json").json["adopt"] is True
    assert path.read_bytes() == before
    call("--db", path, "migrate", "stamp", "head")
    assert "would be" not in call("--db", path, "migrate", "stamp", "head", "--dry-run").out
