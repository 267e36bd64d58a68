"""What importing, opening and a repository load: nothing that a first query does not use.

What importing does: nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import nexuslims_store

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
    "ctypes",
    "email",
    "importlib.metadata",
    "platformdirs",
    "psycopg",
    "shutil",
    "subprocess",
    "tempfile",
    "yoyo",
    *(
        f"nexuslims_store.{part}"
        for part in (
            *("backup", "cli", "compat", "ddl", "demo", "doctor", "migrations", "move"),
            *("overview", "postgresql", "report", "schema", "testing"),
        )
    ),
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
    return modules("from nexuslims_store import Store; Store(':memory:').sessions")


def test_importing_the_package_alone_loads_nothing_slow() -> None:
    loaded = modules("import nexuslims_store")
    assert {name for name in loaded if "nexuslims_store" in name} == {"nexuslims_store"}
    assert not loaded & {"pydantic", "sqlite3", "pathlib"}


def test_an_error_can_be_caught_without_pydantic() -> None:
    loaded = modules("from nexuslims_store import StoreError, RecordStatus, default_path")
    assert "nexuslims_store.errors" in loaded
    assert "pydantic" not in loaded


def test_a_store_loads_no_pydantic_before_a_repository_is_asked_for() -> None:
    loaded = modules("from nexuslims_store import Store; Store(':memory:').close()")
    assert "nexuslims_store.store" in loaded
    assert not loaded & {"pydantic", "nexuslims_store.models", "nexuslims_store.repository"}


def test_a_repository_loads_little_beyond_pydantic(loaded: set[str]) -> None:
    beyond = loaded - modules(MODEL + "import json, pathlib")
    tops = {name.partition(".")[0] for name in beyond} - LOADED_BY_LOGGING
    assert tops <= ALLOWED, sorted(beyond)


@pytest.mark.parametrize("name", NEVER)
def test_what_a_repository_never_loads(name: str, loaded: set[str]) -> None:
    assert not {one for one in loaded if one == name or one.startswith(f"{name}.")}


@pytest.mark.parametrize("name", [*nexuslims_store.__all__, "migrations"])
def test_a_name_is_imported_when_it_is_asked_for(name: str) -> None:
    if name != "__version__":  # which is there from the beginning
        assert nexuslims_store.__getattr__(name).__name__.endswith(name)
    assert name in dir(nexuslims_store)


def test_another_name_is_none_of_the_package() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Stores'"):
        nexuslims_store.Stores  # noqa: B018
    assert "logging" in dir(nexuslims_store)


def test_models_are_built_with_their_first_use() -> None:
    code = (
        "import nexuslims_store as n\n"
        "models = (n.Instrument, n.SessionLog, n.Session, n.UploadLog, n.ExternalUserIdentifier)\n"
        "assert not any(model.__pydantic_complete__ for model in models)"
    )
    modules(code)


# -- and does: nothing ---------------------------------------------------------------

IMPORT = """
import json, logging, sys, warnings

seen = {"connections": [], "written": []}
filters = list(warnings.filters)

def listen(event, arguments):
    if event.startswith("sqlite3.connect"):
        seen["connections"].append(str(arguments))
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        seen["written"].append(str(arguments))
    elif event in {"os.mkdir", "os.remove", "os.rename", "subprocess.Popen", "socket.connect"}:
        seen["written"].append(event)

sys.addaudithook(listen)
from nexuslims_store import Store

root, own = logging.getLogger(), logging.getLogger("nexuslims_store")
print(json.dumps(seen | {
    "root": [root.level, len(root.handlers)],
    "own": [own.level, own.propagate, [type(handler).__name__ for handler in own.handlers]],
    "filters": warnings.filters == filters,
}))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a program sees that has done nothing but import the package."""
    result = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", IMPORT],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_importing_opens_no_database_and_writes_nothing(
    imported: dict[str, object],
) -> None:
    assert imported["connections"] == []
    assert imported["written"] == []


def test_importing_leaves_logging_and_warnings_alone(imported: dict[str, object]) -> None:
    assert imported["root"] == [30, 0]
    assert imported["own"] == [0, True, ["NullHandler"]]
    assert imported["filters"] is True


def test_the_audit_of_the_import_hears_something(tmp_path: Path) -> None:
    code = IMPORT.replace(
        "from nexuslims_store import Store\n",
        "from nexuslims_store import Store\n"
        "Store(':memory:').close(); open('written', 'w').close()\n",
    )
    result = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    heard = json.loads(result.stdout)
    assert len(heard["connections"]) >= 1
    assert len(heard["written"]) == 1
