"""Values as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexuslims_store import RecordStatus, display

UNITS = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (99_940, "99.9 kB"),
        (100_000, "100 kB"),
        (100_600, "101 kB"),
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


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=1), "1 h"),
        (timedelta(hours=23, minutes=59), "23 h"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=400), "400 days"),
    ],
)
def test_ages(time: timedelta, words: str) -> None:
    assert display.age(time) == words


@pytest.mark.parametrize(
    ("value", "words", "stored"),
    [
        (None, "-", None),
        (True, "yes", True),
        (False, "no", False),
        (1234, "1234", 1234),
        (1234.5, "1234.5", 1234.5),
        (float("-inf"), "-inf", "-inf"),
        (b"\n\x1b", "x'0a1b'", "x'0a1b'"),
        ("M\udcfcller", "M\\xfcller", "M\\xfcller"),
        ("Müller", "Müller", "Müller"),
        (RecordStatus.ERROR, "ERROR", "ERROR"),
        (
            datetime(2025, 6, 3, 14, 5, tzinfo=UTC),
            "2025-06-03 14:05 UTC",
            "2025-06-03T14:05:00+00:00",
        ),
        (datetime(2025, 6, 3, 14, 5), "2025-06-03 14:05", "2025-06-03T14:05:00"),
    ],
)
def test_a_value_is_shown_as_what_it_is(value: object, words: str, stored: object) -> None:
    assert display.shown(value) == words
    assert display.as_stored(value) == stored


def test_what_a_terminal_would_act_upon_is_escaped() -> None:
    assert display.printable("a\x1b[31m\u202eb\n\tc") == "a\\x1b[31m\\u202eb\\n\\tc"
    assert display.printable("a\n\tb", keep_lines=True) == "a\n\\tb"
    assert display.printable("Müller, 顕微鏡") == "Müller, 顕微鏡"
    assert display.printable("M\udcfcller") == "M\\xfcller"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "NULL"),
        ("NULL", "'NULL'"),
        (7, "7"),
        ("a\n", "'a\\n'"),
        (b"ab", "x'6162'"),
        ("x" * 300, f"'{'x' * 300}'"),
        ("a" * 200 + "b" * 101, f"'{'a' * 199}…{'b' * 100}' (301 characters)"),
        (b"a" * 300, "x'" + "61" * 98 + "6…" + "1" + "61" * 49 + "'"),
        (b"a" * 301, "x'" + "61" * 98 + "6…" + "1" + "61" * 49 + "' (301 bytes)"),
    ],
)
def test_a_value_in_a_sentence(value: object, words: str) -> None:
    assert display.quoted(value) == words


def test_what_is_cut_is_told_apart_by_its_end() -> None:
    assert display.cut("abcdefghi", 9) == "abcdefghi"
    assert display.cut("abcdefghij", 9) == "abcde…hij"
    assert display.cut("abcdefghij", 9, "...") == "abc...hij"


@pytest.mark.parametrize(
    ("text", "width"), [("", 0), ("abc", 3), ("Müller", 6), ("Mu\u0308ller", 6), ("顕微鏡a", 7)]
)
def test_how_many_columns_a_text_takes(text: str, width: int) -> None:
    assert display.columns(text) == width
    assert display.padded(text, 9) == text + (9 - width) * " "
    assert display.padded(text, 9, right=True) == (9 - width) * " " + text


def test_one_is_no_plural() -> None:
    assert [display.number(count, "session") for count in (0, 1, 2, 1234)] == [
        "0 sessions",
        "1 session",
        "2 sessions",
        "1,234 sessions",
    ]


def test_a_year_has_four_digits_wherever_it_is_shown() -> None:
    early = datetime(33, 4, 3, 15, 0, tzinfo=UTC)
    assert display.shown(early) == "0033-04-03 15:00 UTC"
    assert display.as_stored(early) == "0033-04-03T15:00:00+00:00"
    # What C makes of %Y has as many digits as the system likes.
    package = Path(display.__file__).parent
    made = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        if re.search(r"%[YcxGF+]", file.read_text(encoding="utf-8"))
    }
    # The name of a backup is of today, and that format is NexusLIMS's.
    assert made <= {"backup/names.py", "models.py"}
