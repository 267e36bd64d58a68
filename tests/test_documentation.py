"""The pages of `just docs`: every public name and method is in an example, and examples run."""

from __future__ import annotations

import doctest
import inspect
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers.support import ROOT, SQL

import nexuslims_store
from nexuslims_store import compat, repository, testing

PUBLIC = [name for name in nexuslims_store.__all__ if name != "__version__"]
MODULES = sorted(
    {getattr(nexuslims_store, name).__module__ for name in PUBLIC}
    | {getattr(repository, name).__module__ for name in repository.__all__}
    | {f"nexuslims_store.{name}" for name in ("compat", "migrations", "testing")}
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
    monkeypatch.setenv("NX_DB_PATH", str(tmp_path / "default.db"))
    monkeypatch.setenv("NX_INSTRUMENT_DATA_PATH", "/data")
    testing.make_store(testing.make_instrument("Titan"), path=tmp_path / "default.db").close()
    shutil.copytree(SQL, "sql")
    tested = import_module(module)
    done = doctest.testmod(
        tested,
        extraglobs=NAMES | vars(tested),
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


def example_of(documented: Any) -> str:
    parser = doctest.DocTestParser()
    return "".join(one.source for one in parser.get_examples(inspect.getdoc(documented) or ""))


# Methods stand in the running example of their class, where one leads to the next.
CLASSES = [
    *(getattr(repository, name) for name in repository.__all__),
    *(
        getattr(nexuslims_store, name)
        for name in ("Store", "Instrument", "SessionOverview", "Claim")
    ),
    testing.Clock,
]


@pytest.mark.parametrize("module", [compat, nexuslims_store.migrations])
def test_the_example_of_a_module_uses_all_its_names(module: ModuleType) -> None:
    example = example_of(module)
    names = [
        name
        for name in module.__all__
        if module is compat or inspect.isfunction(vars(module)[name])
    ]
    assert [name for name in names if not re.search(rf"\b{name}\b", example)] == []


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_example_of_a_class_uses_all_its_methods(kind: type) -> None:
    own = [
        name
        for base in kind.__mro__
        if base.__module__.startswith("nexuslims_store.")
        for name, member in vars(base).items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property))
    ]
    assert own
    example = example_of(kind)
    assert [name for name in own if not re.search(rf"\.{name}\b", example)] == []


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
