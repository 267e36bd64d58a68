"""A computer without time zone data: that is said of the computer, never of the data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.support import PID, add_pair, file_of, new_database, new_store

pytestmark = pytest.mark.slow

# A finder that knows of no tzdata, and no folder to look for zones in.
WITHOUT = """
import sys, zoneinfo

class NoTzdata:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tzdata":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTzdata())
assert zoneinfo.TZPATH == ()
from datetime import datetime
from nexuslims_store import *
store = Store()
"""

TITAN = """
Instrument(
    instrument_pid="Titan", api_url="https://nemo.example.com/1", calendar_url="", location="",
    display_name="", property_tag="", filestore_path="", timezone_str="UTC",
)
"""

CALLS = {
    "model": TITAN,
    "get": f"store.instruments.get({PID!r})",
    "list": "store.instruments.list()",
    "naive": f"store.sessions.add('1', {PID!r}, datetime(2025, 1, 1), datetime(2025, 1, 2))",
    "build": "store.sessions.list_to_build()",
    "naive_in_sql": "store.session_logs.iter_all().__next__()",
}


def run(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", WITHOUT + code],
        env={**os.environ, "PYTHONTZPATH": "", "NX_DB_PATH": str(path)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("call", CALLS)
def test_what_needs_a_zone_says_what_the_computer_lacks(call: str, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        add_pair(store)
        store.connection.execute("UPDATE session_log SET timestamp = substr(timestamp, 1, 19)")
        path = file_of(store)
    done = run(
        f"try:\n    {CALLS[call].strip()}\n"
        "except BaseException as error:\n    print(type(error).__name__, error)",
        path,
    )
    assert done.stdout.startswith("StoreError this computer has no time zone data"), done
    assert "pip install tzdata" in done.stdout


def test_what_needs_no_zone_works(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    code = "print(store.instruments.list(), store.external_ids.store('ned', 'nemo', '42').id)"
    done = run(code, path)
    assert done.stdout == "[] 1\n", done
