"""What CONTRIBUTING.md names is there: files, functions, statements, recipes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from helpers.support import ROOT

TEXT = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
PROSE = re.sub(r"^```.*?^```", "", TEXT, flags=re.M | re.S)

# `path`, or `path` (`name`, `name`): what stands in brackets is in that file.
NAMED = re.compile(r"`([\w./-]+)`(?:\s+\(((?:`\w+`(?:,\s+)?)+)\))?")
FOLDERS = ("nexuslims_store", "sql", "tests", ".github", ".ci", ".justfile", "CHANGELOG.md")


def named() -> dict[str, set[str]]:
    """Every path that the page names, with the names in brackets behind it."""
    found: dict[str, set[str]] = {}
    for path, names in NAMED.findall(PROSE):
        if path.startswith(FOLDERS):
            found.setdefault(path, set()).update(re.findall(r"\w+", names))
    return found


def names_in(path: Path) -> set[str]:
    """What a module defines or imports by name at its top; of SQL, the statements' names."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".sql":
        return set(re.findall(r"^-- name: (\w+)\(", text, re.M))
    found: set[str] = set()
    for node in ast.parse(text).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign(targets=targets):
                found.update(one.id for one in targets if isinstance(one, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.ImportFrom(names=imported):
                found.update(one.asname or one.name for one in imported)
    return found


def test_the_page_names_enough() -> None:
    assert len(named()) > 40
    assert sum(map(len, named().values())) > 40


@pytest.mark.parametrize("path", sorted(named()))
def test_what_is_named_is_there(path: str) -> None:
    assert (ROOT / path).exists()
    missing = named()[path] - names_in(ROOT / path) if named()[path] else set()
    assert missing == set(), f"{path} has no such names"


def test_every_part_of_the_package_stands_on_the_map() -> None:
    the_map = TEXT.partition("## The map")[2].partition("\n## ")[0]
    parts = {
        path.name + "/" * path.is_dir()
        for path in (ROOT / "nexuslims_store").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert {part for part in parts if f"nexuslims_store/{part}`" not in the_map} == set()


def test_every_recipe_that_is_named_is_there() -> None:
    recipes = set(re.findall(r"^([a-z]+)[\w *]*:", (ROOT / ".justfile").read_text("utf-8"), re.M))
    wanted = set(re.findall(r"(?:`|^)just ([a-z]+)", TEXT, re.M))
    assert len(wanted) > 8
    assert wanted <= recipes
