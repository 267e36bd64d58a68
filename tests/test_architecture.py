"""The house: which module may import which, where SQL may stand, that all public is explained."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator

import pytest
from helpers.support import ROOT, SQL

import nexuslims_store

PACKAGE = ROOT / "nexuslims_store"
MODULES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}

# From the floor to the roof. A part imports from the layers below its own only; a folder is one
# part. "__init__" is the package itself, as others import it.
LAYERS = (
    {"display", "enums", "errors", "forks", "refusals", "strict_json"},
    {"arguments", "dotenv"},
    {"times", "config", "database"},
    {"ddl", "models", "queries", "translation", "turns"},
    {"connection", "postgresql", "results"},
    {"opening"},
    {"repository", "tables"},
    {"revisions"},
    {"recognition"},
    {"backup"},
    {"migrations"},
    {"moving", "store"},
    {"__init__"},
    {"overview", "schema"},
    {"compat", "demo", "doctor", "report", "testing"},
    {"cli"},
    {"__main__"},
)
LAYER = {part: height for height, parts in enumerate(LAYERS) for part in parts}

# Which parts may import what is not everybody's business.
ONLY = {
    "yoyo": {"migrations"},
    "argparse": {"cli"},
    "platformdirs": {"config"},
    "psycopg": {"postgresql"},
    "ctypes": {"forks"},
}
NO_STORAGE = {
    *LAYERS[0] | LAYERS[1],
    *("config", "models", "queries", "results", "times"),
}
LONGEST = 400  # lines; a longer file has two jobs


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
    assert {part_of(module) for module in MODULES} == set(LAYER), "give each its place in LAYERS"


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
    assert {library: users.get(library, set()) for library in ONLY} == ONLY
    assert not users["sqlite3"] & NO_STORAGE


def test_no_file_is_long() -> None:
    files = [*PACKAGE.rglob("*.py"), *SQL.rglob("*.sql")]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    long = {path.name for path, length in lengths.items() if length > LONGEST}
    assert long == set()


# -- SQL -------------------------------------------------------------------------------

STATEMENT = re.compile(
    r"\bSELECT\b.*\bFROM\b|\bINSERT\s+(OR\s+\w+\s+)?INTO\b|\bREPLACE\s+INTO\b"
    r"|\bUPDATE\b.*\bSET\b|\bDELETE\s+FROM\b",
    re.DOTALL,
)
# What a file says of itself, which no named statement can be asked for a table of any name.
CATALOGUE = re.compile(r"\bFROM\s+(sqlite_master|sqlite_schema|pragma_)")
SQL_IN_CODE = {
    "tables.py": "whether what is in a file compiles, whatever its name",
    "recognition/own.py": "remedies to show, tried on tables without rows",
    "recognition/remaking.py": "remedies to show, tried on tables without rows",
    "recognition/catalogue.py": "whether a table that may not be there has rows",
    "migrations/script.py": "how any table is filled from its former self",
    "migrations/verification.py": "counts of tables of every revision",
    "migrations/server.py": "counts of tables of every revision",
    "moving.py": "whole tables, whichever there are",
    "migrations/template.py": "what a new migration begins with",
    "doctor/mending.py": "remedies to show, which are not run",
    "doctor/drift.py": "whether a column of any table has a NULL",
    "doctor/rows.py": "remedies to show, which are not run",
}


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The texts of a file with their lines; the gaps of f-strings are `{}`. No docstrings."""
    inside: set[ast.expr] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inside.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            inside.update(set(node.values))
            yield (
                node.lineno,
                "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "{}"
                    for part in node.values
                ),
            )
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inside:
            yield node.lineno, node.value


def sql_in(module: str) -> list[str]:
    """The statements in a file's texts, but for those about the catalogue alone."""
    return [
        f"{module}:{line}: {text}"
        for line, text in strings(MODULES[module])
        if STATEMENT.search(text)
        and len(CATALOGUE.findall(text)) != len(re.findall(r"\b(?:FROM|JOIN|INTO|UPDATE)\s", text))
    ]


def test_sql_stands_in_sql_files() -> None:
    found = {module: sql for module in MODULES if (sql := sql_in(module))}
    assert {module: sql for module, sql in found.items() if module not in SQL_IN_CODE} == {}
    assert SQL_IN_CODE.keys() - found.keys() == set(), "exempt, but with no need of it"


def test_the_search_for_sql_finds_it() -> None:
    for text in (
        "SELECT 1\nFROM session_log",
        "INSERT OR IGNORE INTO t (a) VALUES (1)",
        "UPDATE {} SET a = 1",
        "DELETE FROM t",
    ):
        assert STATEMENT.search(text)
        assert not CATALOGUE.search(text)
    assert CATALOGUE.search("SELECT name FROM pragma_table_info('t')")


# A copy of a whole table aside, from one that is made like it.
NO_COLUMNS = re.compile(r"\bINTO\s+(\w+|\{\}|\"(?:[^\"]|\"\")+\")\s+(VALUES\b|SELECT\s+(?!\*))")


def test_what_the_tests_insert_names_its_columns() -> None:
    """Or the next revision breaks tests of other things."""
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for text_of_file in [path.read_text(encoding="utf-8")]
        if "INTO" in text_of_file
        for line, text in strings(ast.parse(text_of_file))
        if NO_COLUMNS.search(text)
    ]
    columns, none = "INSERT INTO {} (a) ", "INSERT INTO {} "  # as one text each would be found
    for table in ("t", '"user"', '"my ""own"', "{}"):
        for what in ("VALUES (1)", "SELECT a FROM t"):
            assert NO_COLUMNS.search(none.format(table) + what)
            assert not NO_COLUMNS.search(columns.format(table) + what)
        assert not NO_COLUMNS.search(none.format(table) + "SELECT * FROM former")
    assert found == []


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
        *("Claim", "SessionOverview"),
    }
    enums = {"EventType", "RecordStatus", "ExternalSystem"}
    assert errors | models | enums | {"Store", "default_path", "__version__"} <= set(
        nexuslims_store.__all__
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


# What it overrides of yoyo's is documented there.
UNDOCUMENTED = "migrations/backend.py, Backend,"


def test_everything_public_has_a_docstring() -> None:
    silent = [name for module, tree in MODULES.items() for name in undocumented(tree, module)]
    assert [name for name in silent if not name.startswith(UNDOCUMENTED)] == []
    assert silent, "exempt, but with no need of it"


# -- the top level ---------------------------------------------------------------------

TOP = {"CHANGELOG.md", "LICENSE", "README.md", "nexuslims_store", "pyproject.toml", "sql", "tests"}


def test_the_top_level_holds_nothing_else() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    if listed.returncode != 0:
        pytest.skip("no git checkout")
    names = {name.partition("/")[0] for name in listed.stdout.split("\0") if name}
    assert {name for name in names if not name.startswith(".")} == TOP
