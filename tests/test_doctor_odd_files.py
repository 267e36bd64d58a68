"""What the doctor prints of odd tables, run in its order: it works, and nothing is left to do."""

from __future__ import annotations

import random
import re
import shlex
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import call
from helpers.findings import NOW, good
from helpers.migration_files import execute, query
from helpers.support import new_database

from nexuslims_store import DatabaseLockedError, SchemaMismatchError, StoreError, doctor
from nexuslims_store.doctor import Finding
from nexuslims_store.tables import quoted

# Names that must be quoted, are words of SQLite's, or look like something else.
NAMES = ["plain", "with space", 'q"uote', "o'clock", "order", "check", "key", "unique", "Stored",
         "references", "Ünïcode", "日本", "emoji😀", "rowid", "oid", "a;b", "a--b", "x/*y*/", "(p)",
         "a,b", "[br]", "tick`s", "1abc"]  # fmt: skip
# What a column of a facility's own may be: NAME is its own, OTHER one of NexusLIMS's.
KINDS = [
    "", "TEXT DEFAULT 'it''s -- x'", "TEXT NOT NULL DEFAULT x'00ff'", "DECIMAL(10,2) DEFAULT -1e-3",
    "TEXT UNIQUE", "TEXT COLLATE NOCASE", "INT CHECK (NAME <> 7)", "TEXT REFERENCES gone",
    "TEXT REFERENCES gone ON DELETE SET NULL REFERENCES instruments (instrument_pid)",
    "TEXT CONSTRAINT one REFERENCES instruments (nope) MATCH FULL DEFERRABLE COLLATE RTRIM",
    "INT CONSTRAINT c UNIQUE CONSTRAINT d CHECK (length(NAME) < 9)", "TEXT /* a, b */ -- end\n",
    "TEXT AS (OTHER || '$1')", "TEXT GENERATED ALWAYS AS (upper(OTHER)) STORED",
]  # fmt: skip
ALONE = [kind for kind in KINDS if "OTHER" not in kind]
TABLES = {  # with the key and another column of each
    "instruments": ("instrument_pid", "location"),
    "session_log": ("id_session_log", "session_identifier"),
    "upload_log": ("id", "destination_name"),
    "external_user_identifiers": ("id", "nexuslims_username"),
}
TROUBLE = ["= 9223372036854775807", "= NULL", "= KEY + 10"]


def columns(draw: random.Random, kinds: list[str], other: str = "") -> list[str]:
    return [
        f"{quoted(name)} {draw.choice(kinds)}".replace("NAME", quoted(name)).replace("OTHER", other)
        for name in draw.sample(NAMES, draw.randint(1, 3))
    ]


def make_odd(path: Path, draw: random.Random, table: str) -> None:
    key, other = TABLES[table]
    ((sql,),) = query(path, f"SELECT sql FROM sqlite_master WHERE name = '{table}'")
    rows = query(path, f"SELECT name FROM pragma_table_info('{table}')")
    listed = ", ".join(quoted(name) for (name,) in rows)
    own = f"{', '.join(columns(draw, KINDS, other))}, "
    there = f"CREATE TABLE {table} ("
    made = draw.choice(
        [
            sql,
            sql.replace("(", f"({own}", 1),
            sql.replace("(", f"({own}", 1).replace("NOT NULL", "", 1),
            f"{sql.replace('(', f'({own}', 1)} WITHOUT ROWID",
            f"{there}{own}{listed})",
            f"{there}number INTEGER PRIMARY KEY AUTOINCREMENT, {own}{listed})",
            f"{there}rowid DEFAULT 1, {listed})",
        ]
    )
    lost = "PRIMARY KEY (" not in made and key != "instrument_pid"
    spoiled = f"UPDATE {table} SET {key} {draw.choice(TROUBLE).replace('KEY', key)};"
    execute(
        path,
        f"PRAGMA legacy_alter_table = ON; ALTER TABLE {table} RENAME TO former; {made};"
        f"INSERT INTO {table} ({listed}) SELECT {listed} FROM former; DROP TABLE former;"
        f"{spoiled * lost} CREATE INDEX {quoted(f'on {draw.choice(NAMES)} of {table}')} ON {table} "
        f"({other}) WHERE {key} > '' -- end",
    )


def make_own(path: Path, draw: random.Random) -> None:
    name, made = quoted(draw.choice(NAMES)), columns(draw, ALONE)
    first = made[0][: made[0].index('" ') + 1]
    rules = ["UNIQUE ({})", "FOREIGN KEY ({}) REFERENCES [gone too]", "CHECK ({} <> 'a, (b')"]
    rules = [rule.format(first) for rule in draw.sample(rules, draw.randint(0, 3))]
    execute(
        path,
        f"CREATE TABLE {name} ({', '.join([*made, *rules])});"
        f"INSERT INTO {name} ({first}) VALUES ('v'), (2), (x'03');"
        f"DELETE FROM {name} WHERE {first} = 2;"
        f"CREATE TRIGGER own AFTER UPDATE OF {first} ON {name} BEGIN SELECT ';', old.{first}; END;"
        f"CREATE VIEW {quoted('of ' + draw.choice(NAMES))} AS SELECT {first} FROM {name} /* v",
    )


def commands(path: Path, remedy: str) -> Iterator[str]:
    """Yield the scripts for SQLite's shell; not one that brings back what another takes out."""
    file = re.escape(shlex.quote(str(path)))
    for match in re.finditer(rf"""sqlite3 {file} ("(?:[^"\\]|\\.)*"|'(?:[^']|'"'"')*')""", remedy):
        (script,) = shlex.split(match[1])
        if not script.startswith("SELECT") and remedy[match.end() :][:10] != " brings it":
            yield script


def all_of(path: Path) -> dict[str, Any]:
    """Return the rows of each table, by rowid or key, and each own column as it is declared."""
    found = {}
    with closing(sqlite3.connect(path)) as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'nxs%' "
            "AND name NOT LIKE '%yoyo%' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'own%'"
        ).fetchall():
            info = connection.execute("SELECT name FROM pragma_table_info(?)", (name,))
            kept = sorted(column for (column,) in info if column not in {"id", "id_session_log"})
            listed = ", ".join(f"{quoted(name)}.{quoted(column)}" for column in kept)
            rows = connection.execute(f"SELECT {listed} FROM {quoted(name)}").fetchall()
            found[name] = (kept, sorted(rows, key=repr))
    return found


@pytest.mark.parametrize(
    "seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(8, 40))]
)
def test_every_command_works_keeps_all_and_leaves_nothing_to_do(tmp_path: Path, seed: int) -> None:
    path, draw = good(tmp_path), random.Random(seed)
    make_own(path, draw)
    for table in TABLES:
        make_odd(path, draw, table)
    before = all_of(path)
    for finding in doctor.examine(path):
        assert "in a copy" not in finding.remedy or "UNIQUE" in finding.message
        for script in commands(path, finding.remedy):
            execute(path, script)
    after = all_of(path)
    for name, (kept, rows) in before.items():
        lost = set(kept) - set(after[name][0])
        if not lost:
            assert after[name] == (kept, rows), name
    left = {f.code for f in doctor.examine(path) if f.severity != "note"}
    assert left <= {"repeated-event", "stale-claim", "missing-index"}


@pytest.mark.parametrize("name", ["two words", "it's", "[br]", 'q"uote', "back\\slash"])
def test_the_text_of_what_is_dead_is_printed_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = good(tmp_path)
    made = f"CREATE VIEW {quoted(name)} AS SELECT x FROM nowhere"
    execute(path, made)
    (dead,) = (finding for finding in doctor.examine(path) if finding.code == "dead-view")
    found = re.search("`(.*)`", dead.remedy)
    assert found is not None
    *_, script = shlex.split(found[1])
    assert query(path, script) == [(made,)]


def test_a_dead_foreign_key_is_no_fault_of_a_trigger(tmp_path: Path) -> None:
    path = good(tmp_path)
    execute(
        path,
        "CREATE TABLE mine (a REFERENCES gone);"
        "CREATE TRIGGER own AFTER UPDATE ON mine BEGIN SELECT old.a; END",
    )
    found = {finding.code for finding in doctor.examine(path)}
    assert found & {"dead-trigger", "dead-foreign-key"} == {"dead-foreign-key"}


# -- what keeps it from looking --------------------------------------------------------


def failing(error: StoreError) -> Callable[..., Iterator[Finding]]:
    """What finds nothing, and then fails."""

    def found(*_: object, **__: object) -> Iterator[Finding]:
        yield from ()
        raise error

    return found


def test_what_cannot_be_examined_keeps_it_from_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = good(tmp_path)
    odd = StoreError("odd", call="call the doctor", command="see to it")
    mismatch = SchemaMismatchError("see the doctor")
    mismatch.__cause__ = ValueError("no such column")
    monkeypatch.setattr(doctor.drift, "examine_references", failing(odd))
    monkeypatch.setattr(doctor.drift, "examine_code", failing(mismatch))
    remedy = "nexuslims-store doctor --debug  (shows where that comes from)"
    assert doctor.examine(path, clock=lambda: NOW) == [
        Finding("not-examined", "error", f"{path}: {what} could not be examined: {why}", remedy)
        for what, why in (
            ("its views and triggers", "no such column"),
            ("its foreign keys", "odd; see to it"),
        )
    ]


def test_a_lock_is_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.drift, "examine_code", failing(DatabaseLockedError("locked")))
    with pytest.raises(DatabaseLockedError):
        doctor.examine(good(tmp_path), clock=lambda: NOW)


def test_tables_whose_rows_have_no_number(tmp_path: Path) -> None:
    path = good(tmp_path)
    execute(path, "ALTER TABLE upload_log ADD COLUMN _rowid_")
    what = "the rows of upload_log were not examined, since it has a column _rowid_"
    assert doctor.examine(path, clock=lambda: NOW) == [
        Finding("not-examined", "note", what, table="upload_log")
    ]


def test_without_zone_data_the_computer_is_to_blame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise StoreError("there are no time zones")

    path = new_database(tmp_path)
    monkeypatch.setattr(doctor, "require_zone_data", none)
    for form in ((), ("--json",)):
        done = call("--db", path, "doctor", *form)
        assert done.status == 1
        if form:
            assert [one["code"] for one in done.json] == ["no-zone-data"]
        else:
            assert done.lines == [
                "error: there are no time zones. The instruments and what makes no session were "
                "not examined",
                "    pip install tzdata",
                "this computer: 1 error",
                f"{path}: nothing is wrong",
            ]


@pytest.mark.parametrize(
    ("mounted", "repairs", "remedy"),
    [
        (True, "ask", "copy both to a folder that may be written, then nexuslims-store doctor the"),
        (False, "ask ada", "ask ada"),
        (
            False,
            "",
            "nexuslims-store backup  (puts it back, and makes a backup), then nexus",
        ),
    ],
)
def test_who_can_put_back_what_a_killed_program_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounted: bool, repairs: str, remedy: str
) -> None:
    monkeypatch.setattr(doctor.file, "mounted_read_only", lambda _: mounted)
    monkeypatch.setattr(doctor.file, "who_may_repair", lambda _: repairs)
    finding = doctor.file.left_half_written(tmp_path / "a.db")
    assert (finding.code, finding.severity) == ("half-written", "error")
    assert finding.remedy.startswith(remedy)
