"""Where a migration runs: what it imports, where it is installed, who runs it."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from helpers import older_lineage
from helpers.migration_checks import TRY_TO_UPGRADE, python
from helpers.migration_files import (
    HEAD,
    expected,
    facts,
)
from helpers.platforms import as_one_who_migrates

import nexuslims_store
from nexuslims_store import migrations
from nexuslims_store.config import sql_folder

SOURCE = Path(nexuslims_store.__file__).parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nexuslims.db"


@pytest.fixture
def older(path: Path) -> Path:
    return older_lineage.create(path)


def test_yoyo_is_imported_by_a_run_that_changes_something_only(path: Path) -> None:
    migrations.upgrade(path)
    code = (
        "import sys; from nexuslims_store import migrations; path = sys.argv[1];"
        "migrations.upgrade(path); migrations.current(path); migrations.to_sql('base', 'head');"
        "print('yoyo' in sys.modules); migrations.downgrade(path); print('yoyo' in sys.modules)"
    )
    assert python(code, path).split() == ["False", "True"]


def test_installed_in_a_folder_with_a_name_that_is_a_pattern(older: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "a[1] *b"
    shutil.copytree(SOURCE, checkout / "nexuslims_store", ignore=shutil.ignore_patterns("sql"))
    shutil.copytree(sql_folder(), checkout / "sql")
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    assert python(TRY_TO_UPGRADE, older, checkout, cwd=tmp_path, env=environment) == ""
    assert facts(older) == expected(HEAD)


def test_optimised_and_silent(older: Path) -> None:
    code = (
        "import logging, sys; from nexuslims_store import migrations;"
        "migrations.upgrade(sys.argv[1]); assert not logging.getLogger().handlers"
    )
    assert python(code, older, options=("-O",)) == ""
    assert facts(older) == expected(HEAD)


STRANGER = """
import getpass, os, sys
from nexuslims_store import migrations
from nexuslims_store.errors import ReadOnlyError
migrations.upgrade(sys.argv[1] + "/warm.db")  # what Python itself imports, only root may read here
os.environ.clear()
os.setgid(54321)
os.setuid(54321)
try:
    getpass.getuser()
except (KeyError, OSError):
    migrations.upgrade(sys.argv[1] + "/nexuslims.db")
    migrations.downgrade(sys.argv[1] + "/nexuslims.db")
for path in ("/read-only/new.db", "/read-only/older.db"):
    try:
        migrations.upgrade(sys.argv[1] + path)
    except ReadOnlyError as error:
        assert "/read-only" in str(error)
        print("refused")
"""


@as_one_who_migrates
def test_a_user_that_the_system_does_not_know() -> None:
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are root's alone
    try:
        folder.chmod(0o777)
        (folder / "read-only").mkdir()
        older = older_lineage.create(folder / "read-only" / "older.db")
        before = older.read_bytes()
        assert python(STRANGER, folder).split() == ["refused"] * 2
        assert older.read_bytes() == before
        assert list(older.parent.iterdir()) == [older]
        assert facts(folder / "nexuslims.db") == expected("v2_5_0a")
    finally:
        shutil.rmtree(folder)


def test_steps_are_logged_by_this_package_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "new.db"
    migrations.upgrade(path)
    migrations.downgrade(path, backup=False)
    assert {record.name for record in caplog.records} == {"nexuslims_store"}
    said = [record.getMessage() for record in caplog.records]
    steps = [step.id for step in migrations.history()]
    assert said == [
        *(f"migration {step} was applied" for step in steps),
        f"migration {steps[-1]} was rolled back",
    ]
