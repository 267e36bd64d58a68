"""What gets installed: the package, its SQL files, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from helpers.support import HEAD, ROOT

for name in ("build", "hatchling"):
    pytest.importorskip(name, reason=f"needs the package `{name}` (extra `test`)")
pytestmark = [pytest.mark.workshop, pytest.mark.timeout(600)]


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder of the checkout, without what Python leaves there."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command away from the checkout, and return what it prints."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NX_")}
    clean.pop("PYTHONPATH", None)
    result = subprocess.run(
        command,
        cwd=cwd,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_what_is_built_is_whole_and_works_where_no_checkout_is_near(tmp_path: Path) -> None:
    # One test, since building takes longer than all that is looked at.
    built = tmp_path / "dist"
    # Here, without environments made for it twice over: `.ci/run` builds in those.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", built, ROOT, cwd=tmp_path)
    (source,) = built.glob("*.tar.gz")
    (wheel,) = built.glob("*.whl")  # made of the source distribution
    assert_source_holds_what_the_tests_need(source)
    assert_wheel_holds_the_package_and_the_sql_files_and_nothing_else(wheel)
    assert_it_installs_and_makes_a_database(wheel, tmp_path)


def assert_wheel_holds_the_package_and_the_sql_files_and_nothing_else(path: Path) -> None:
    expected = files_of(ROOT / "nexuslims_store")
    expected |= {
        f"nexuslims_store/{name}": content for name, content in files_of(ROOT / "sql").items()
    }
    with zipfile.ZipFile(path) as wheel:
        found = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    assert sorted(found) == sorted(expected)
    assert found == expected
    assert "nexuslims_store/py.typed" in found
    assert any(name.startswith("nexuslims_store/sql/migrations/") for name in found)


def assert_source_holds_what_the_tests_need(path: Path) -> None:
    with tarfile.open(path) as source:
        found = {name.partition("/")[2] for name in source.getnames()}
    expected = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "PKG-INFO", ".justfile"}
    expected.add(".pre-commit-config.yaml")
    for folder in (".ci", ".github", "nexuslims_store", "sql", "tests"):
        expected |= files_of(ROOT / folder).keys()
    assert {name for name in found if name} == expected | {".gitignore"}


def assert_it_installs_and_makes_a_database(wheel: Path, folder: Path) -> None:
    environment = folder / "environment"
    venv.create(environment)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "-q", "--no-compile", wheel, cwd=folder)
    database = folder / "a database.db"
    run(python, "-m", "nexuslims_store", "migrate", cwd=folder, NX_DB_PATH=str(database))
    script = python.with_name("nexuslims-store")
    current = run(script, "--db", database, "migrate", "current", cwd=folder)
    assert HEAD in current
    where = run(python, "-c", "import nexuslims_store as n; print(n.__file__)", cwd=folder)
    assert Path(where.strip()).is_relative_to(environment)
