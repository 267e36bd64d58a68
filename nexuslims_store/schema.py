"""The tables as documents: a diagram, a data dictionary, SQL.

All three come from the live tables; the words come from the models, so that neither can say
anything that is not so.
"""

from __future__ import annotations

import ast
import inspect
import re
import sqlite3
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from enum import Enum
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from nexuslims_store import ddl
from nexuslims_store.config import require_file
from nexuslims_store.connection import MEMORY, SQLiteDatabase
from nexuslims_store.enums import EventType, ExternalSystem, RecordStatus
from nexuslims_store.models import ExternalUserIdentifier, Instrument, SessionLog, UploadLog
from nexuslims_store.opening import open_server
from nexuslims_store.recognition import recognise
from nexuslims_store.recognition.server import columns_on_server, revision_on_server
from nexuslims_store.revisions import (
    VERSION_TABLE,
    between,
    fresh_script,
    is_own_index,
    names,
    position,
    tables_at,
)
from nexuslims_store.tables import Column, Index, Table, quoted, read

__all__ = ["FORMATS", "Format", "describe", "markdown", "mermaid", "sql"]

_MODELS: dict[str, type[BaseModel]] = {
    "instruments": Instrument,
    "session_log": SessionLog,
    "upload_log": UploadLog,
    "external_user_identifiers": ExternalUserIdentifier,
}

# The columns that have, or had before v2_5_0b, another name than the model's field.
_FIELDS = {"timezone": "timezone_str", "schema_name": "display_name"}

_ENUMS: dict[tuple[str, str], type[Enum]] = {
    ("session_log", "event_type"): EventType,
    ("session_log", "record_status"): RecordStatus,
    ("external_user_identifiers", "external_system"): ExternalSystem,
}

# What belongs together without a foreign key: table, column, table, column.
_LOOSE = (
    ("session_log", "session_identifier", "upload_log", "session_identifier"),
    ("session_log", "user", "external_user_identifiers", "nexuslims_username"),
)


# -- the diagram -----------------------------------------------------------------------


def mermaid(connection: sqlite3.Connection) -> str:
    """Return an entity-relationship diagram of NexusLIMS's tables for Mermaid.

    A dotted line joins what belongs together without a foreign key.
    """
    tables = dict(_tables(connection))
    lines = ["erDiagram"]
    for name, table in tables.items():
        for column in table.columns.values():
            parent = _refers_to(table, column)
            if parent is not None:
                lines.append(f'    {_word(parent)} ||--o{{ {name} : "{column.name}"')
    for one, column_one, other, column_other in _LOOSE:
        if {one, other} <= tables.keys():
            label = column_one if column_one == column_other else f"{column_one} = {column_other}"
            lines.append(f'    {one} }}o..o{{ {other} : "{label}"')
    for name, table in tables.items():
        lines.append(f"    {name} {{")
        lines += [f"        {_attribute(table, column)}" for column in table.columns.values()]
        lines.append("    }")
    return "\n".join(lines) + "\n"


def _attribute(table: Table, column: Column) -> str:
    keys = ["PK"] * bool(column.key) + ["FK"] * (_refers_to(table, column) is not None)
    keys += ["UK"] * _is_unique(table, column)
    parts = [_word(column.type or "ANY"), _word(column.name), ", ".join(keys)]
    if not column.not_null:
        parts.append('"may be NULL"')
    return " ".join(part for part in parts if part)


def _word(text: str) -> str:
    """Return a name of which Mermaid makes one word, whatever somebody called a column."""
    return re.sub(r"[^\w()]+", "_", text, flags=re.ASCII)


# -- the data dictionary ---------------------------------------------------------------


def markdown(connection: sqlite3.Connection) -> str:
    """Return a data dictionary of NexusLIMS's tables as Markdown."""
    return "\n\n".join(_dictionary(connection)) + "\n"


def _dictionary(connection: sqlite3.Connection) -> Iterator[str]:
    enums: list[type[Enum]] = []
    for name, table in _tables(connection):
        yield f"### `{name}`"
        yield _summary(_MODELS[name])
        rows = (_row(name, table, column) for column in table.columns.values())
        yield "\n".join(["| column | type | | what it holds |", "|---|---|---|---|", *rows])
        rules = list(_rules(table))
        if rules:
            yield "\n".join(rules)
        enums += [enum for (of, _), enum in _ENUMS.items() if of == name]
    for enum in enums:
        docs = _member_docs(enum)
        if not docs:  # its values are told with the column, and say all
            continue
        yield f"### {enum.__name__}"
        yield _summary(enum)
        rows = (f"| `{member.value}` | {docs.get(member.name, '')} |" for member in enum)
        yield "\n".join(["| value | meaning |", "|---|---|", *rows])


def _row(name: str, table: Table, column: Column) -> str:
    traits = ["key"] * bool(column.key) + ["unique"] * _is_unique(table, column)
    traits += ["may be NULL"] * (not column.not_null)
    parent = _refers_to(table, column)
    if parent is not None:
        traits.append(f"one of {_code(parent)}")
    lower = column.name.lower()
    field = _MODELS[name].model_fields.get(_FIELDS.get(lower, lower))
    words = field.description or "" if field else _without_a_field(name, column)
    enum = _ENUMS.get((name, lower))
    if enum is not None:
        words += f": {', '.join(_code(member.value) for member in enum)}"
    declared = column.type.replace("<", "&lt;")
    cells = (_code(column.name), declared, ", ".join(traits), words)
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _without_a_field(table: str, column: Column) -> str:
    """Say what a column is that no model has: a former one, or a facility's own."""
    having = [revision for revision in names() if _has(revision, table, column)]
    if not having:
        return "not NexusLIMS's: a column of your own"
    return f"no longer used; gone at {names()[position(having[-1])]}"


def _has(revision: str, table: str, column: Column) -> bool:
    shape = tables_at(revision).get(table)
    return shape is not None and column.name.lower() in shape.columns


def _rules(table: Table) -> Iterator[str]:
    for unique in sorted(table.unique):
        if len(unique) > 1:
            yield f"- unique together: {', '.join(map(_code, unique))}"
    for rule, name in table.checks.items():
        yield f"- check{f' {_code(name)}' if name else ''}: {_code(rule)}"
    for index in _indexes(table):
        own = " (this package's own)" if is_own_index(index.name) else ""
        yield f"- index {_code(index.name)}: {', '.join(map(_code, index.columns))}{own}"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def _code(text: str) -> str:
    line = re.sub(r"\s+", " ", text).replace("`", "'")
    return f"`{line}`"


def _summary(documented: type) -> str:
    return (inspect.getdoc(documented) or "").split("\n\n")[0].replace("\n", " ")


@cache
def _member_docs(enum: type[Enum]) -> dict[str, str]:
    """Return the texts that stand below an enum's members in its source, where that is there."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(enum))).body
    except (OSError, TypeError, SyntaxError):
        return {}
    statements = getattr(definition, "body", [])
    docs: dict[str, str] = {}
    for member, text in pairwise(statements):
        match member, text:
            case ast.Assign(targets=[ast.Name() as name]), ast.Expr(
                value=ast.Constant() as constant
            ):
                docs[name.id] = str(constant.value)
    return docs


# -- SQL -------------------------------------------------------------------------------


def sql(connection: sqlite3.Connection) -> str:
    """Return the CREATE statements of NexusLIMS's tables and of all their indexes.

    However they were once written, they come in one form. Run on an empty file, they give the
    same tables.
    """
    return "\n\n".join(_statements(connection)) + "\n"


def _statements(connection: sqlite3.Connection) -> Iterator[str]:
    order = (VERSION_TABLE, *_MODELS)
    tables = read(connection, order).tables
    for table in (tables[name] for name in order if name in tables):
        yield ddl.normalised(table.sql)
        for index in _indexes(table):
            own = "-- This package's own, no part of NexusLIMS's schema.\n"
            mark = own if is_own_index(index.name) else ""
            yield mark + ddl.normalised(str(index.sql))


# -- reading ---------------------------------------------------------------------------


def _tables(connection: sqlite3.Connection) -> Iterator[tuple[str, Table]]:
    """Yield those of NexusLIMS's tables that are there, in the order of their history."""
    tables = read(connection, _MODELS).tables
    yield from ((name, tables[name]) for name in _MODELS if name in tables)


def _indexes(table: Table) -> list[Index]:
    return [index for index in table.indexes if index.sql is not None]


def _refers_to(table: Table, column: Column) -> str | None:
    keys = ((parent, child) for parent, child, *_ in table.foreign_keys)
    return next((parent for parent, child in keys if child.lower() == column.name.lower()), None)


def _is_unique(table: Table, column: Column) -> bool:
    """Whether a constraint says of a column alone that its values are unique."""
    by_constraint = {i.columns for i in table.indexes if i.unique and i.sql is None}
    return not column.key and (column.name.lower(),) in by_constraint


Format = Literal["mermaid", "markdown", "sql"]

FORMATS: dict[Format, Callable[[sqlite3.Connection], str]] = {
    "mermaid": mermaid,
    "markdown": markdown,
    "sql": sql,
}
"""The forms that the command line offers."""


def describe(path: Path | str | None, form: Format, *, timeout: float = 30.0) -> str:
    """Return the tables of a database, at whatever revision it is, in one of the `FORMATS`.

    Parameters
    ----------
    path
        The file, which is opened read-only, or the URL of a database on PostgreSQL; None for the
        tables of the head revision.
    form
        "mermaid", "markdown" or "sql".
    timeout
        Seconds to wait for another program's lock.
    """
    if isinstance(path, str):
        return _describe_on_server(path, form, timeout)
    if path is not None:
        require_file(path, "the path")
    where = MEMORY if path is None else path
    with closing(SQLiteDatabase(where, read_only=path is not None, timeout=timeout)) as database:
        if path is None:
            database.run_script(fresh_script())
        with database.translated():
            recognise(database.connection, where, timeout=timeout)
            return FORMATS[form](database.connection)


_ONLY_ON_SERVER = re.compile(r' COLLATE "C"| GENERATED BY DEFAULT AS IDENTITY')


def _describe_on_server(url: str, form: Format, timeout: float) -> str:
    """Describe what the migrations of a server made, and columns of the facility's own."""
    with closing(open_server(url, read_only=True, timeout=timeout)) as database:
        revision = revision_on_server(database)
        there = columns_on_server(database)
    steps = between(None, revision, server=True)
    if form == "sql":
        return "\n".join(step.path.read_text(encoding="utf-8") for step in steps)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for step in steps:
            connection.executescript(_ONLY_ON_SERVER.sub("", step.path.read_text(encoding="utf-8")))
        made = {(name, c) for name, t in read(connection).tables.items() for c in t.columns}
        for table, column in sorted(there - made):
            if table in _MODELS:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(column)}")
        return FORMATS[form](connection)
