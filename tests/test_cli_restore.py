"""`backup` and `restore` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command_line import call, filled
from helpers.support import contents, write


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
    advice = f"once restored, run `nexuslims-store migrate --db {new}`"
    assert advice in call("--db", new, "restore", source, "--dry-run").err
    done = call("--db", new, "restore", source)
    assert (done.status, done.out) == (0, f"restored {new} from {source}, at v2_5_0a\n")
    assert advice in done.err


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
        assert "--db," not in refused.err  # the path of the database is not at fault
    assert contents(path) == before
