"""The benchmarks give right results, and a table that a program can read; not that it is fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.support import ROOT

pytestmark = pytest.mark.workshop


def test_every_benchmark_gives_the_right_result(tmp_path: Path) -> None:
    table = tmp_path / "table.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--smoke", "--json", table],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(table.read_text(encoding="utf-8"))["rows"]
    assert len(rows) >= 20
    for row in rows:
        assert row["floor"] > 0
        assert row["ours"] > 0
        assert row["work"] in done.stdout
