"""The options of the interoperation tests; `.ci/run` gives them."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("NexusLIMS")
    for version in ("2.8.0", "2.5.1"):
        group.addoption(
            f"--nexuslims-{version.replace('.', '-')}",
            metavar="PYTHON",
            help=f"interpreter of an environment with NexusLIMS {version} and this package in it "
            f"(.ci/nexuslims-environment makes one)",
        )
    group.addoption(
        "--nexuslims-sources",
        metavar="FOLDER",
        type=Path,
        help="folder with the unpacked source distributions of NexusLIMS 2.3.0 and 2.4.1 "
        "(.ci/nexuslims-sources makes it)",
    )
    group.addoption(
        "--interop-seconds",
        type=float,
        default=15,
        metavar="SECONDS",
        help="how long both programs work on one file at the same time",
    )
