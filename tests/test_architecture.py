"""The house: which module may import which, where SQL may stand, what importing does."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.support import ROOT

import nexuslims_store

PACKAGE = ROOT / "nexuslims_store"
MODULES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}

# From the floor to the roof. A part imports from the layers below its own only; a folder is one
# part. "__init__" is the package itself, as others import it.
LAYERS = (
    {"enums", "errors"},
    {"times", "config", "translation"},
    {"models", "queries", "revisions", "layouts", "ddl", "connection"},
    {"catalogue", "repository", "copying"},
    {"recognition"},
    {"backup"},
    {"migrations", "restore"},
    {"store"},
    {"__init__"},
    {"compat", "demo", "doctor", "report", "schema"},
    {"cli"},
    {"__main__"},
)
LAYER = {part: height for height, parts in enumerate(LAYERS) for part in parts}

# Which parts may import what is not everybody's business.
ONLY = {
    "yoyo": {"migrations"},
    "argparse": {"cli"},
    "platformdirs": {"config"},
    "ctypes": {"connection"},
}
NO_STORAGE = {"enums", "errors", "times", "config", "models", "queries", "revisions", "layouts"}


def part_of(module: str) -> str:
    """The part of the house that a file belongs to."""
    return module.partition("/")[0].removesuffix(".py")


def imports(module: str) -> Iterator[str]:
    """Every module that a file imports, at its top or later, by its full name."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(module: str) -> Iterator[str]:
    """The parts of the house that a file imports, its own aside."""
    for name in imports(module):
        top, *rest = name.split(".")
        if top == "nexuslims_store":
            part = rest[0] if rest and rest[0] in LAYER else "__init__"
            if part != part_of(module):
                yield part


def test_every_part_has_its_layer() -> None:
    assert {part_of(module) for module in MODULES} == set(LAYER)


def test_imports_point_down() -> None:
    upwards = [
        f"{module} imports {part}"
        for module in MODULES
        for part in own_imports(module)
        if LAYER[part] >= LAYER[part_of(module)]
    ]
    assert upwards == []


def test_a_library_is_the_business_of_one_part() -> None:
    users: dict[str, set[str]] = {}
    for module in MODULES:
        for name in imports(module):
            users.setdefault(name.partition(".")[0], set()).add(part_of(module))
    assert {library: users[library] for library in ONLY} == ONLY
    assert not users["sqlite3"] & NO_STORAGE


# -- SQL -------------------------------------------------------------------------------

STATEMENT = re.compile(
    r"\bSELECT\b.*\bFROM\b|\bINSERT\s+(OR\s+\w+\s+)?INTO\b|\bREPLACE\s+INTO\b"
    r"|\bUPDATE\b.*\bSET\b|\bDELETE\s+FROM\b",
    re.DOTALL,
)
# What a file says of itself, which no named statement can be asked for a table of any name.
CATALOGUE = re.compile(r"\bFROM\s+(sqlite_master|sqlite_schema|pragma_)")
SQL_IN_CODE = {
    "recognition.py": "whether a table that may not be there has rows",
    "migrations/template.py": "what a new migration begins with",
    "migrations/verification.py": "counts of tables of every revision",
    "doctor/rows.py": "remedies to show, which are not run",
    "doctor/sessions.py": "remedies to show, which are not run",
}


def strings(module: str) -> Iterator[tuple[int, str]]:
    """The texts of a file with their lines; the gaps of f-strings are `{}`. No docstrings."""
    inside = set()
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inside.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            inside.update(node.values)
            yield (
                node.lineno,
                "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "{}"
                    for part in node.values
                ),
            )
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inside:
            yield node.lineno, node.value


def test_sql_stands_in_sql_files() -> None:
    found = [
        f"{module}:{line}: {text}"
        for module in MODULES
        if module not in SQL_IN_CODE
        for line, text in strings(module)
        if STATEMENT.search(text)
        and len(CATALOGUE.findall(text)) != len(re.findall(r"\b(?:FROM|JOIN|INTO|UPDATE)\s", text))
    ]
    assert found == []
    assert SQL_IN_CODE.keys() <= MODULES.keys()


def test_the_search_for_sql_finds_it() -> None:
    for text in (
        "SELECT 1\nFROM session_log",
        "INSERT OR IGNORE INTO t VALUES (1)",
        "UPDATE {} SET a = 1",
        "DELETE FROM t",
    ):
        assert STATEMENT.search(text)
        assert not CATALOGUE.search(text)
    assert CATALOGUE.search("SELECT name FROM pragma_table_info('t')")


# -- names and words -------------------------------------------------------------------


def test_all_names_what_the_contract_names() -> None:
    errors = {
        *("StoreError", "DatabaseNotFoundError", "NotANexusLIMSDatabaseError"),
        *("CorruptDatabaseError", "PendingMigrationsError", "UnknownRevisionError"),
        *("SchemaMismatchError", "DatabaseLockedError", "ReadOnlyError", "StorageFullError"),
        *("UnknownInstrumentError", "DuplicateError", "InstrumentInUseError", "InvalidRowError"),
        *("MigrationError", "BackupError"),
    }
    models = {
        *("Instrument", "SessionLog", "Session", "UploadLog", "ExternalUserIdentifier"),
        *("InsertSummary", "InstrumentActivity", "UnpairedSession"),
    }
    enums = {"EventType", "RecordStatus", "ExternalSystem"}
    assert set(nexuslims_store.__all__) == (
        errors | models | enums | {"Store", "default_path", "__version__"}
    )
    assert sorted(nexuslims_store.__all__) == nexuslims_store.__all__
    for name in nexuslims_store.__all__:
        assert hasattr(nexuslims_store, name)
    for name in errors:
        assert issubclass(getattr(nexuslims_store, name), nexuslims_store.StoreError)


def undocumented(node: ast.AST, name: str) -> Iterator[str]:
    """The public parts of a module or class that say nothing of themselves."""
    assert isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    if ast.get_docstring(node) is None:
        yield name
    if not isinstance(node, ast.FunctionDef):
        for part in node.body:
            if isinstance(part, ast.ClassDef | ast.FunctionDef) and not part.name.startswith("_"):
                yield from undocumented(part, f"{name}, {part.name}")


def test_everything_public_has_a_docstring() -> None:
    silent = [name for module, tree in MODULES.items() for name in undocumented(tree, module)]
    # What it overrides of yoyo's is documented there.
    assert [name for name in silent if not name.startswith("migrations/backend.py, Backend,")] == []


# -- importing -------------------------------------------------------------------------

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
    "modules": sorted(sys.modules),
    "root": [root.level, len(root.handlers)],
    "own": [own.level, own.propagate, [type(handler).__name__ for handler in own.handlers]],
    "filters": warnings.filters == filters,
}))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """What a program sees that has done nothing but import the package."""
    result = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", IMPORT],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""
    found: dict[str, list[object]] = json.loads(result.stdout)
    return found


def test_importing_loads_only_what_a_store_needs(imported: dict[str, list[object]]) -> None:
    modules = set(imported["modules"])
    assert "nexuslims_store.store" in modules
    unwanted = {
        *("yoyo", "argparse", "platformdirs", "ctypes", "subprocess", "asyncio"),
        *("nexuslims_store.migrations", "nexuslims_store.backup", "nexuslims_store.cli"),
        *("nexuslims_store.compat", "nexuslims_store.doctor", "nexuslims_store.report"),
    }
    assert modules & unwanted == set()


def test_importing_opens_no_database_and_writes_nothing(
    imported: dict[str, list[object]],
) -> None:
    assert imported["connections"] == []
    assert imported["written"] == []


def test_importing_leaves_logging_and_warnings_alone(imported: dict[str, list[object]]) -> None:
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
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    heard = json.loads(result.stdout)
    assert len(heard["connections"]) >= 1
    assert len(heard["written"]) == 1
