"""The warm process that the tests fork their victims from."""

from collections.abc import Iterator

import pytest

from .killing import Forks


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.close()
