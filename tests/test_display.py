"""Values as people read them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexuslims_store import display

UNITS = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (412_000, "412 kB"),
        (41_200, "41.2 kB"),
        (1_056_768, "1.1 MB"),
        (2_100_000_000, "2.1 GB"),
        (5_000_000_000_000, "5.0 TB"),
    ],
)
def test_a_size_in_its_unit(count: int, shown: str) -> None:
    assert display.size(count) == shown


@given(st.integers(0, 10**15))
def test_a_size_says_how_much_it_is(count: int) -> None:
    found = re.fullmatch(r"(\d+(?:\.\d)?) (bytes|kB|MB|GB|TB)", display.size(count))
    assert found is not None
    shown = float(found[1]) * UNITS[found[2]]
    assert abs(shown - count) <= max(0.06 * UNITS[found[2]], 0.006 * count)
    assert found[2] == "bytes" or float(found[1]) >= 1
