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

pytest.importorskip("build", reason="needs the package `build` (extra `test`)")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parent.parent
HEAD = "v2_5_0b"


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


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    (source,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return source, wheel


def test_the_wheel_holds_the_package_and_the_sql_files_and_nothing_else(
    distributions: tuple[Path, Path],
) -> None:
    _, path = distributions
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


def test_the_source_distribution_holds_what_the_tests_need(
    distributions: tuple[Path, Path],
) -> None:
    path, _ = distributions
    with tarfile.open(path) as source:
        found = {name.partition("/")[2] for name in source.getnames()}
    expected = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "PKG-INFO", ".justfile"}
    expected.add(".pre-commit-config.yaml")
    for folder in (".ci", ".github", "nexuslims_store", "sql", "tests"):
        expected |= files_of(ROOT / folder).keys()
    assert {name for name in found if name} == expected | {".gitignore"}


def test_it_installs_and_makes_a_database_with_no_checkout_near(
    distributions: tuple[Path, Path], tmp_path: Path
) -> None:
    _, wheel = distributions  # built from the source distribution, so both are seen to work
    environment = tmp_path / "environment"
    venv.create(environment)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "-q", "--no-compile", wheel, cwd=tmp_path)
    database = tmp_path / "a database.db"
    run(python, "-m", "nexuslims_store", "migrate", cwd=tmp_path, NX_DB_PATH=str(database))
    script = python.with_name("nexuslims-store")
    current = run(script, "--db", database, "migrate", "current", cwd=tmp_path)
    assert HEAD in current
    where = run(python, "-c", "import nexuslims_store as n; print(n.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(environment)
