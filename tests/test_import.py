"""What importing loads: nothing that the path to a first query does not use."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# Modules beyond those that `from pydantic import BaseModel` and models with fields load. Each name
# stands for its submodules too. A new one here is milliseconds in every script.
ALLOWED = {"logging", "nexuslims_store", "sqlite3", "_sqlite3", "urllib"}
LOADED_BY_LOGGING = {"_colorize", "_string", "atexit", "string", "threading", "traceback"}

MODEL = """
from typing import Annotated
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic import PrivateAttr, Strict, StringConstraints, TypeAdapter, model_validator
class Model(BaseModel):
    model_config = ConfigDict(defer_build=True)
    field: str = Field(description="any")
"""

NEVER = (
    "argparse",
    "asyncio",
    "email",
    "importlib.metadata",
    "platformdirs",
    "shutil",
    "tempfile",
    "yoyo",
    "nexuslims_store.backup",
    "nexuslims_store.cli",
    "nexuslims_store.compat",
    "nexuslims_store.doctor",
    "nexuslims_store.migrations",
)


def modules(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after running some code."""
    script = (
        f"{code}\nimport sys\nloaded = list(sys.modules)\nimport json\nprint(json.dumps(loaded))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    return modules("from nexuslims_store import Store")


def test_importing_the_package_alone_loads_nothing_slow() -> None:
    loaded = modules("import nexuslims_store")
    assert {name for name in loaded if "nexuslims_store" in name} == {"nexuslims_store"}
    assert not loaded & {"pydantic", "sqlite3", "pathlib"}


def test_an_error_can_be_caught_without_pydantic() -> None:
    loaded = modules("from nexuslims_store import StoreError, RecordStatus, default_path")
    assert "nexuslims_store.errors" in loaded
    assert "pydantic" not in loaded


def test_importing_the_store_loads_little_beyond_pydantic(loaded: set[str]) -> None:
    beyond = loaded - modules(MODEL + "import json, pathlib")
    tops = {name.partition(".")[0] for name in beyond} - LOADED_BY_LOGGING
    assert tops <= ALLOWED, sorted(beyond)


@pytest.mark.parametrize("name", NEVER)
def test_what_importing_the_store_never_loads(name: str, loaded: set[str]) -> None:
    assert not {one for one in loaded if one == name or one.startswith(f"{name}.")}


def test_every_module_of_the_package_that_is_loaded_is_on_the_way_to_a_query(
    loaded: set[str],
) -> None:
    own = {name.removeprefix("nexuslims_store.") for name in loaded if "nexuslims_store" in name}
    assert own == {
        "nexuslims_store",
        "catalogue",
        "config",
        "connection",
        "enums",
        "errors",
        "layouts",
        "models",
        "queries",
        "recognition",
        "repository",
        "repository.external_ids",
        "repository.instruments",
        "repository.overviews",
        "repository.pairing",
        "repository.rows",
        "repository.session_logs",
        "repository.sessions",
        "repository.upload_logs",
        "revisions",
        "store",
        "times",
        "translation",
    }


def test_models_are_built_with_their_first_use() -> None:
    code = (
        "import nexuslims_store as n\n"
        "models = (n.Instrument, n.SessionLog, n.Session, n.UploadLog, n.ExternalUserIdentifier)\n"
        "assert not any(model.__pydantic_complete__ for model in models)"
    )
    modules(code)
