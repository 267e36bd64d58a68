"""`users` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command_line import call, filled, on_a_terminal, terminal
from helpers.support import contents, new_database, write

from nexuslims_store import Store


def test_users_go_out_and_come_in(tmp_path: Path) -> None:
    path, other = filled(tmp_path), new_database(tmp_path, "other.db")
    for name in ("users.json", "users.csv"):
        file = tmp_path / name
        assert call("--db", path, "users", "export", file).status == 0
        done = call("--db", other, "users", "import", file, "--json").json
        assert done["added"] + done["unchanged"] == 2
        assert not done["dry_run"]
    there = contents(other)["external_user_identifiers"]
    assert there == contents(path)["external_user_identifiers"]
    # After Excel, and two users exchanging their identifiers.
    with Store(path) as store:
        store.external_ids.store("bob", "nemo", "43")
    text = (
        "\ufeffnexuslims_username;external_system;external_id;email\r\n"
        "alice;nemo;43;\r\nbob;nemo;42;b@example.com\r\n\r\n"
    )
    file.write_text(text, encoding="utf-8", newline="")
    dry = call("--db", path, "users", "import", file, "--dry-run", "--json").json
    assert [dry.pop(verb) for verb in ("added", "updated", "unchanged")] == [0, 2, 0]
    assert dry["changes"][0] == {
        "nexuslims_username": "alice",
        "external_system": "nemo",
        "changes": {"external_id": {"was": "42", "is": "43"}},
    }
    named = call("--db", path, "users", "import", file, "--dry-run").lines
    assert named[2:5] == [
        "updated bob in nemo",
        "    external_id: '42'; it was '43'",
        "    email: 'b@example.com'; it was NULL",
    ]
    assert call("--db", path, "users", "import", file).status == 0
    with Store(path) as store:
        assert store.external_ids.find_username("42", "nemo") == "bob"
        assert store.external_ids.get("alice", "nemo") == "43"
    before = contents(path)
    for wrong, words in (
        ("nexuslims_username,external_system,external_id\ncarol,nemo,42\n", "'bob' already"),
        ("nexuslims_username,external_system,external_id\ncarol,space,1\n", "external_system"),
        (
            "nexuslims_username,external_system,external_id\nx,nemo,8\ny,nemo,8\ny,cdcs,8\n",
            "identifier 2 ('y'): identifier 1 has the same identifier in that system\nnothing was",
        ),
        ("who,where\na,b\n", "column 'who'"),
    ):
        file.write_text(wrong, encoding="utf-8")
        refused = call("--db", path, "users", "import", file)
        assert refused.status == 2
        assert words in refused.err
        assert contents(path) == before


def test_an_identifier_moves_from_one_user_to_another(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with Store(path) as store:
        store.external_ids.store("alice", "cdcs", "9")
    move = ("users", "set", "carol", "nemo", "42", "--move")
    taken = call("--db", path, *move[:-1])
    assert taken.status == 2
    assert "--move" in taken.err
    before = contents(path)
    assert call("--db", path, *move).status == 2  # no terminal, and no --yes
    dry = call("--db", path, *move, "--dry-run", "--json").json
    assert (dry["dry_run"], dry["moved_from"]) == (True, "alice")
    assert contents(path) == before
    done = call("--db", path, *move, "--yes")
    assert done.out == "carol is '42' in nemo, no longer that of 'alice'\n"
    with Store(path) as store:
        (carol,) = store.external_ids.list_for_user("carol")
        assert (carol.external_id, carol.email) == ("42", "alice@example.com")
        assert store.external_ids.get("alice", "cdcs") == "9"
        store.external_ids.store("dan", "nemo", "50", email="dan@example.com", notes="new here")
    # What is replaced is named before.
    dan = ("users", "set", "dan", "nemo", "42", "--move", "--notes", "both", "--dry-run")
    assert call("--db", path, *dan).out == (
        "dan would be '42' in nemo, no longer that of 'carol'; it was '50'; the notes before: "
        "'new here'; the email 'alice@example.com' of 'carol' goes\n"
    )


def test_a_move_of_what_is_nobody_elses_names_nobody(tmp_path: Path) -> None:
    path = filled(tmp_path)
    for user, name in (("carol", "4711"), ("alice", "42")):
        move = ("users", "set", user, "nemo", name, "--move", "--yes")
        assert call("--db", path, *move, "--dry-run", "--json").json["moved_from"] is None
        assert "None" not in call("--db", path, *move).out
        assert "no longer" not in call("--db", path, *move).out


@on_a_terminal
def test_a_move_asks_with_what_is_replaced(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with Store(path) as store:
        store.external_ids.store("dan", "nemo", "50", email="dan@example.com")
    move = ("users", "set", "dan", "nemo", "42", "--move")
    asked = terminal("--db", path, *move, answer="n\n", columns=300)
    assert (
        "make '42' in nemo, which is that of 'alice' now, that of 'dan'; it was '50'; "
        "the email 'alice@example.com' of 'alice' goes? [y/N]"
    ) in asked.out
    with Store(path) as store:
        assert store.external_ids.get("dan", "nemo") == "50"


@pytest.mark.parametrize("column", ["created_at", "last_verified_at"])
@pytest.mark.parametrize(
    ("stored", "printed"),
    [
        ("'2025-06-02T12:00:00+00:00'", "2025-06-02T12:00:00+00:00"),
        ("'2025-06-02 12:00:00Z'", "2025-06-02T12:00:00+00:00"),
        ("'2025-06-02 12:00'", "2025-06-02T12:00:00"),
        ("'2025-06-02'", "2025-06-02T00:00:00"),
        ("'once'", "once"),
        ("''", ""),
        ("x'00ff'", "x'00ff'"),
    ],
)
def test_a_time_is_printed_in_one_form_or_as_it_is_stored(
    tmp_path: Path, column: str, stored: str, printed: str
) -> None:
    path = new_database(tmp_path)
    with Store(path) as store:
        store.external_ids.store("alice", "nemo", "42")
    write(path, f"UPDATE external_user_identifiers SET {column} = {stored}")
    for command in (("list",), ("show", "alice")):
        (alice,) = call("--db", path, "users", *command, "--json").json
        assert alice[column] == printed


def test_users(tmp_path: Path) -> None:
    path = filled(tmp_path)
    assert len(call("--db", path, "users", "list").lines) == 3
    assert [
        user["external_id"]
        for user in call("--db", path, "users", "list", "--system", "cdcs", "--json").json
    ] == ["7"]
    replaced = call("--db", path, "users", "set", "alice", "nemo", "43", "--notes", "moved")
    assert replaced.out == "alice is '43' in nemo; it was '42'\n"
    assert call("--db", path, "users", "set", "carol", "nemo", "44").out == (
        "carol is '44' in nemo\n"
    )
    (alice,) = call("--db", path, "users", "show", "alice", "--json").json
    assert (alice["external_id"], alice["email"], alice["notes"]) == (
        *("43", "alice@example.com", "moved"),
    )
    taken = call("--db", path, "users", "set", "bob", "nemo", "43")
    assert taken.status == 2
    assert "'alice'" in taken.err
    assert call("--db", path, "users", "set", "bob", "myspace", "1").status == 2
    assert call("--db", path, "users", "remove", "alice", "cdcs", "--yes").status == 2
    assert call("--db", path, "users", "remove", "alice", "nemo", "--yes").status == 0
    assert call("--db", path, "users", "show", "alice").status == 2
    assert call("--db", path, "users", "remove", "bob", "--yes").out.endswith(
        "removed 1 identifier of bob\n"
    )
