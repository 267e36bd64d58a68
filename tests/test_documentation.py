"""The pages that `just docs` makes: every public name, each with an example that runs."""

from __future__ import annotations

import doctest
import inspect
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from helpers.support import ROOT

import nexuslims_store
from nexuslims_store import repository, testing

PUBLIC = [name for name in nexuslims_store.__all__ if name != "__version__"]
MODULES = sorted(
    {getattr(nexuslims_store, name).__module__ for name in PUBLIC}
    | {getattr(repository, name).__module__ for name in repository.__all__}
    | {"nexuslims_store.testing"}
)
# The examples assume `from nexuslims_store import *` and `from nexuslims_store.testing import *`.
NAMES: dict[str, Any] = {
    **{name: getattr(nexuslims_store, name) for name in PUBLIC},
    **{name: getattr(testing, name) for name in testing.__all__},
    "migrations": nexuslims_store.migrations,
    "datetime": datetime,
    "UTC": UTC,
}


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_run(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NX_DB_PATH", "unset by the test")
    tested = import_module(module)
    done = doctest.testmod(
        tested,
        extraglobs=NAMES | {"__file__": tested.__file__},
        optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL,
    )
    assert done.failed == 0


@pytest.mark.parametrize(
    "documented",
    [getattr(nexuslims_store, name) for name in PUBLIC]
    + [getattr(repository, name) for name in repository.__all__]
    + [getattr(testing, name) for name in testing.__all__],
    ids=lambda documented: documented.__name__,
)
def test_every_public_name_has_an_example(documented: Any) -> None:
    assert ">>> " in (inspect.getdoc(documented) or "")


@pytest.mark.slow
def test_the_pages_are_made(tmp_path: Path) -> None:
    pytest.importorskip("pdoc", reason="needs pdoc (extra `docs`)")
    (recipe,) = re.findall(
        r"-m pdoc (.*)", (ROOT / ".justfile").read_text(encoding="utf-8").replace("\\\n", " ")
    )
    words = recipe.replace("build/docs", str(tmp_path)).split()
    done = subprocess.run(
        [sys.executable, "-m", "pdoc", *words],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    pages = "".join(page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html"))
    missing = [
        name
        for name in [*PUBLIC, *repository.__all__, *testing.__all__, "upgrade", "stamp"]
        if f'<section id="{name}"' not in pages and f'id="{name}"' not in pages
    ]
    assert missing == []
