"""What is planned for each way from one revision to another, and what is refused beforehand."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path

import platformdirs
import pytest
from helpers.migration_checks import make_file
from helpers.migration_files import HEAD, REVISIONS, execute

from nexuslims_store import MigrationError, migrations
from nexuslims_store.errors import DatabaseNotFoundError
from nexuslims_store.migrations import Direction, change
from nexuslims_store.migrations.plan import plan_for_new_file, refuse_other_direction
from nexuslims_store.migrations.run import Options

# -- which way -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "before", "after", "words"),
    [
        ("upgrade", None, None, ""),
        ("upgrade", None, "v1_4_3", ""),
        ("upgrade", "v2_4_0a", "v2_4_0a", ""),
        ("upgrade", "v1_4_3", None, "at v1_4_3, and base is older: use downgrade"),
        ("upgrade", "v2_5_0a", "v2_4_0b", "at v2_5_0a, and v2_4_0b is older: use downgrade"),
        ("downgrade", None, None, ""),
        ("downgrade", "v1_4_3", None, ""),
        ("downgrade", "v2_4_0a", "v2_4_0a", ""),
        ("downgrade", None, "v1_4_3", "at base, and v1_4_3 is newer: use upgrade"),
        ("downgrade", "v2_4_0b", "v2_5_0a", "at v2_4_0b, and v2_5_0a is newer: use upgrade"),
    ],
)
def test_each_direction_is_for_its_own_targets(
    direction: Direction, before: str | None, after: str | None, words: str
) -> None:
    refusal = pytest.raises(MigrationError, match=re.escape(f"a.db is {words}"))
    with refusal if words else nullcontext():
        refuse_other_direction("a.db", direction, before, after)


# -- this package's own index ----------------------------------------------------------

OWN = "nxs_session_log_to_build"
DROPPED, MADE = f'DROP INDEX IF EXISTS "{OWN}"', f"CREATE INDEX IF NOT EXISTS {OWN}"


@pytest.mark.parametrize("start", ["base", *REVISIONS])
def test_the_own_index_goes_and_comes_with_the_head(start: str) -> None:
    for end in ("base", *REVISIONS):
        script = migrations.to_sql(start, end)
        assert (DROPPED in script, MADE in script) == (start == HEAD != end, end == HEAD), end


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_own_index_stays_where_only_the_version_row_is_written(
    tmp_path: Path, revision: str
) -> None:
    path = make_file(tmp_path / "a.db", revision)
    execute(path, "DROP TABLE alembic_version")
    script = migrations.plan(path, revision).to_sql()
    assert (DROPPED in script, MADE in script) == (False, revision == HEAD)


# -- a file that is not there ----------------------------------------------------------


def test_only_an_upgrade_makes_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    for target in ("head", "v1_4_3", "base"):
        plan = migrations.plan(path, target)
        assert (plan.created, plan.before, plan.steps == ()) == (True, None, target == "base")
        with pytest.raises(DatabaseNotFoundError, match=re.escape(str(path))):
            migrations.plan(path, target, direction="downgrade")
    assert not path.exists()


def test_a_folder_that_is_gone_meanwhile_is_not_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    plan = plan_for_new_file(folder / "new.db", "head")
    folder.rmdir()
    with pytest.raises(DatabaseNotFoundError, match=f"there is no folder {folder} to make"):
        change.create(folder / "new.db", plan, Options(True, 5))
    assert not folder.exists()


def test_who_has_no_home_has_no_folder_that_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platformdirs, "user_data_path", no_home)
    folder = tmp_path / "mistyped"
    with pytest.raises(DatabaseNotFoundError, match=f"there is no folder {folder} to make"):
        migrations.upgrade(folder / "new.db")
    assert not folder.exists()
    assert migrations.upgrade(tmp_path / "new.db").created


def no_home(_: str) -> Path:
    raise RuntimeError("Could not determine home directory.")
