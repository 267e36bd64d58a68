"""The real NexusLIMS, one after the other, as a fixture."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.interop.former import FILES, FormerNexusLIMS, Releases
from helpers.interop.nexuslims import NexusLIMS


@pytest.fixture(scope="session", params=["2.8.0", "2.5.1"])
def nexuslims(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NexusLIMS]:
    """A NexusLIMS to run programs of; the test is skipped where there is none."""
    option = f"--nexuslims-{request.param.replace('.', '-')}"
    python = request.config.getoption(option)
    if python is None:
        pytest.skip(f"needs NexusLIMS {request.param}: {option}=PYTHON names its interpreter")
    nexuslims = NexusLIMS(python, tmp_path_factory.mktemp("nexuslims"))
    assert nexuslims.version == request.param
    yield nexuslims
    nexuslims.close()


@pytest.fixture(scope="session")
def sources(request: pytest.FixtureRequest) -> Path:
    """The folder of NexusLIMS's unpacked source distributions; skips where there is none."""
    folder: Path | None = request.config.getoption("--nexuslims-sources")
    if folder is None:
        pytest.skip("needs NexusLIMS's sources: --nexuslims-sources=FOLDER")
    return folder.resolve()


@pytest.fixture(scope="session")
def former_releases(sources: Path, request: pytest.FixtureRequest) -> Releases:
    """NexusLIMS 2.3.0 and 2.4.1, run by the interpreter of the environment of 2.8.0."""
    python = request.config.getoption("--nexuslims-2-8-0")
    if python is None:
        pytest.skip("needs an environment for NexusLIMS: --nexuslims-2-8-0=PYTHON")
    return FormerNexusLIMS("2.3.0", sources, python), FormerNexusLIMS("2.4.1", sources, python)


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the files that former releases have made already."""
    return tmp_path_factory.mktemp("former")


@pytest.fixture
def make_former(
    former_releases: Releases, originals: Path, tmp_path: Path
) -> Callable[[str], Path]:
    """Return a function that makes a file of a kind (a key of `former.FILES`), with rows."""

    def make(kind: str) -> Path:
        original = originals / f"{list(FILES).index(kind)}.db"
        if not original.exists():
            FILES[kind].make(original, former_releases)
        return Path(shutil.copy(original, tmp_path / "nexuslims.db"))

    return make
