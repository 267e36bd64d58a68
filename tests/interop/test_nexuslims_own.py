"""NexusLIMS's own tests, from its source distribution, with `compat` as its database layer.

`helpers/interop/on_compat.py` is the mapping.
"""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from helpers.interop.nexuslims import ENVIRONMENT
from helpers.support import ROOT

# What of NexusLIMS's tests/unit is about its database, or about what works with it.
ABOUT_THE_DATABASE = (
    *("test_sessions.py", "test_instruments.py", "test_instrument_factory.py", "test_db"),
    *("test_fixture_infrastructure.py", "test_cli/test_list_instruments.py"),
)
BUILT_ON_IT = (
    *("test_record_builder", "test_harvesters", "test_exporters"),
    # Of the extractors those that ask for an instrument and its time zone.
    "test_extractors/test_fei_emi.py",
    "test_extractors/test_basic_metadata.py",
    "test_extractors/test_standalone_usage.py",
)
CANNOT_PASS = {
    reason: entry["tests"]
    for reason, entry in tomllib.loads(
        Path(__file__).with_name("cannot_pass.toml").read_text("utf-8")
    ).items()
}


def test_each_reason_is_a_difference_that_the_readme_tells() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    table = readme.split("What differs, on purpose:", 1)[1].split("\n\n")[1]
    told = {row.split(" | ")[0].removeprefix("| ") for row in table.splitlines()}
    assert set(CANNOT_PASS) <= told


@pytest.fixture
def python(request: pytest.FixtureRequest) -> str:
    """The interpreter of an environment in which NexusLIMS is whole."""
    python: str | None = request.config.getoption("--nexuslims-2-8-0")
    if python is None:
        pytest.skip("needs NexusLIMS 2.8.0: --nexuslims-2-8-0=PYTHON names its interpreter")
    needed = "import importlib.util as u; print(all(map(u.find_spec, ('hyperspy', 'pytest'))))"
    if subprocess.check_output([python, "-c", needed], text=True).strip() != "True":
        pytest.skip("needs NexusLIMS with all it depends on: .ci/nexuslims-environment … whole")
    return python


@pytest.mark.interop
@pytest.mark.timeout(900)
def test_nexuslims_tests_pass_on_compat(python: str, sources: Path, tmp_path: Path) -> None:
    folder, results = sources / "nexuslims-2.8.0", tmp_path / "results.json"
    run = subprocess.run(
        [
            *(python, "-m", "pytest", "-q", "--tb=short", "--show-capture=no", "-W", "ignore"),
            *("-p", "helpers.interop.on_compat", "-p", "no:cacheprovider"),
            *(f"tests/unit/{path}" for path in (*ABOUT_THE_DATABASE, *BUILT_ON_IT)),
        ],
        cwd=folder,
        env=os.environ
        | ENVIRONMENT
        | {
            "PYTHONPATH": str(ROOT / "tests"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "ON_COMPAT_RESULTS": str(results),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert results.exists(), run.stdout
    outcomes = json.loads(results.read_text("utf-8"))
    listed = {f"tests/unit/{test}" for tests in CANNOT_PASS.values() for test in tests}

    assert {*outcomes["failed"]} - listed == set(), run.stdout
    assert listed - {*outcomes["failed"]} == set(), "these pass: they are on the list for nothing"
    assert len(outcomes["passed"]) > 550, "NexusLIMS's tests were not found"
    print(f"{len(outcomes['passed'])} of NexusLIMS's tests pass, {len(listed)} cannot")
