"""The real NexusLIMS, one after the other, as a fixture."""

from collections.abc import Iterator

import pytest
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
