"""The next revision in ten minutes: made in a copy of the checkout by the walk alone.

The walk is what `migrate new` prints and CONTRIBUTING.md explains. What this test edits is what
it says, and nothing else; the tests of the copy then find nothing wrong.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.support import ROOT

from nexuslims_store import Store, UnknownRevisionError, demo, moving

pytestmark = [pytest.mark.workshop, pytest.mark.timeout(1200)]

REVISION = "v90_0_0a"
# Those that a revision may break; the others are about what no revision touches.
TESTS = [
    *("test_queries", "test_schema", "test_readme_schema", "test_upload_logs"),
    *("test_doctor_tables", "test_migrations_targets", "test_migrations_files"),
    *("test_doctor", "test_doctor_rows", "test_migrations_tables", "test_migrations_own"),
    *("test_migrations_former", "test_cli_migrate", "test_packaging"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the checkout's files."""
    folder = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", ".venv", "*.egg-info")
    shutil.copytree(ROOT, folder, ignore=ignored)
    return folder


def python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )


def edit(file: Path, pattern: str, by: str) -> None:
    text = file.read_text(encoding="utf-8")
    changed = re.sub(pattern, by, text)
    assert changed != text, (file, pattern)
    file.write_text(changed, encoding="utf-8")


def test_the_walk_is_all_that_a_revision_needs(copy: Path) -> None:
    new = python(
        copy, "-m", "nexuslims_store", "migrate", "new", "add a checksum", "--revision", REVISION
    )
    assert new.returncode == 0, new.stderr
    up, down, *on_server = map(Path, new.stdout.splitlines())
    assert up.parent == copy / "sql" / "migrations"
    assert {file.parent for file in on_server} == {copy / "sql" / "postgresql" / "migrations"}
    for step, part in enumerate(
        ("both files", "models.py", "sql/doctor.sql", "README.md", "migration_files.py", "tests"), 1
    ):
        assert re.search(rf"^  {step}\. (?:.|\n)*{re.escape(part)}", new.stderr, re.MULTILINE), part

    # 1. Both files, for both.
    for file in (up, on_server[0]):
        edit(file, r"\nUPDATE", "\nALTER TABLE upload_log ADD COLUMN checksum VARCHAR;\n\nUPDATE")
    for file in (down, on_server[1]):
        edit(file, r"\nUPDATE", "\nALTER TABLE upload_log DROP COLUMN checksum;\n\nUPDATE")
    # 2. The model.
    edit(
        copy / "nexuslims_store" / "models.py",
        r"(    metadata_json: (?:.|\n)*?\n    \)\n)",
        r'\1    checksum: Text | None = Field(default=None, description="The checksum of it")'
        "\n",
    )
    # 3. The statements, and the parameters of those that store.
    edit(copy / "sql" / "upload_log.sql", r"metadata_json, id\b", "metadata_json, checksum, id")
    edit(copy / "sql" / "upload_log.sql", r"metadata_json\)\n", "metadata_json, checksum)\n")
    edit(
        copy / "sql" / "upload_log.sql",
        r"message, metadata_json\n",
        "message, metadata_json, checksum\n",
    )
    edit(copy / "sql" / "upload_log.sql", r":metadata_json\n", ":metadata_json, :checksum\n")
    for file in (copy / "sql" / "doctor.sql", copy / "sql" / "postgresql" / "doctor.sql"):
        edit(file, r"metadata_json, id\b", "metadata_json, checksum, id")
    edit(
        copy / "nexuslims_store" / "repository" / "upload_logs.py",
        r'( *)"metadata_json": log.metadata_json,\n',
        r'\g<0>\1"checksum": log.checksum,' + "\n",
    )
    # 4. The diagram.
    drawn = python(copy, "tests/test_readme_schema.py")
    assert drawn.returncode == 0, drawn.stderr
    assert "checksum" in (copy / "README.md").read_text(encoding="utf-8")
    # 5. is for when NexusLIMS has released it. 6. The tests.
    files = [f"tests/{name}.py" for name in TESTS]
    options = ("-q", "-p", "no:cacheprovider", "--assert=plain", "-m", "not slow and not workshop")
    ran = python(copy, "-m", "pytest", *options, *files)
    assert ran.returncode == 0, ran.stdout[-4000:]


def test_a_revision_reaches_a_server_and_leaves_it(copy: Path, server_url: str) -> None:
    moving.move(demo.create(copy / "demo.db"), server_url)
    with Store(server_url) as store:
        before = list(store.upload_logs.iter_between())
    new = python(
        copy, "-m", "nexuslims_store", "migrate", "new", "add a checksum", "--revision", REVISION
    )
    for file, step in zip(new.stdout.splitlines(), ("ADD", "DROP") * 2, strict=True):
        column = "checksum" + " VARCHAR" * (step == "ADD")
        statement = f"\nALTER TABLE upload_log {step} COLUMN {column};\n\nUPDATE"
        edit(Path(file), r"\nUPDATE", statement)

    def migrate(*arguments: str) -> subprocess.CompletedProcess[str]:
        return python(copy, "-m", "nexuslims_store", "--db", server_url, "migrate", *arguments)

    assert migrate("check").returncode == 1
    up = migrate()
    assert up.returncode == 0, up.stderr
    assert "pg_dump" in up.stderr
    assert migrate("current").stdout == f"{REVISION}\n"
    with pytest.raises(UnknownRevisionError):
        Store(server_url)
    down = migrate("downgrade", "-1")
    assert down.returncode == 0, down.stderr
    with Store(server_url) as store:
        assert list(store.upload_logs.iter_between()) == before
