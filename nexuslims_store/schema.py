"""The tables as documents: a diagram, a data dictionary, SQL.

All three come from the live tables; the words come from the models, so that neither can say
anything that is not so.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import pairwise
from sqlite3 import Connection
from typing import Literal

from pydantic import BaseModel

from nexuslims_store import ddl
from nexuslims_store.enums import EventType, ExternalSystem, RecordStatus
from nexuslims_store.models import ExternalUserIdentifier, Instrument, SessionLog, UploadLog

__all__ = ["FORMATS", "Format", "markdown", "mermaid", "sql"]

_MODELS: dict[str, type[BaseModel]] = {
    "instruments": Instrument,
    "session_log": SessionLog,
    "upload_log": UploadLog,
    "external_user_identifiers": ExternalUserIdentifier,
}
_VERSION_TABLE = "alembic_version"

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

_OWN_INDEX = "nxs_"


# -- the diagram -----------------------------------------------------------------------


def mermaid(connection: Connection) -> str:
    """Return an entity-relationship diagram of NexusLIMS's tables for Mermaid.

    A dotted line joins what belongs together without a foreign key.
    """
    tables = list(_tables(connection))
    lines = ["erDiagram"]
    for table in tables:
        for column in table.columns:
            if column.refers_to is not None:
                lines.append(f'    {column.refers_to} ||--o{{ {table.name} : "{column.name}"')
    names = {table.name for table in tables}
    for one, column_one, other, column_other in _LOOSE:
        if {one, other} <= names:
            label = column_one if column_one == column_other else f"{column_one} = {column_other}"
            lines.append(f'    {one} }}o..o{{ {other} : "{label}"')
    for table in tables:
        lines.append(f"    {table.name} {{")
        lines += [f"        {_attribute(column)}" for column in table.columns]
        lines.append("    }")
    return "\n".join(lines) + "\n"


def _attribute(column: _Column) -> str:
    keys = ["PK"] * column.is_key + ["FK"] * (column.refers_to is not None)
    keys += ["UK"] * column.is_unique
    parts = [_word(column.type or "ANY"), _word(column.name), ", ".join(keys)]
    if not column.not_null:
        parts.append('"may be NULL"')
    return " ".join(part for part in parts if part)


def _word(text: str) -> str:
    """Return a name of which Mermaid makes one word, whatever somebody called a column."""
    return re.sub(r"[^\w()]+", "_", text, flags=re.ASCII)


# -- the data dictionary ---------------------------------------------------------------


def markdown(connection: Connection) -> str:
    """Return a data dictionary of NexusLIMS's tables as Markdown."""
    return "\n\n".join(_dictionary(connection)) + "\n"


def _dictionary(connection: Connection) -> Iterator[str]:
    enums: list[type[Enum]] = []
    for table in _tables(connection):
        yield f"### `{table.name}`"
        yield _summary(_MODELS[table.name])
        yield "\n".join(
            [
                "| column | type | | what it holds |",
                "|---|---|---|---|",
                *(_row(table.name, column) for column in table.columns),
            ]
        )
        rules = list(_rules(table))
        if rules:
            yield "\n".join(rules)
        enums += [enum for (name, _), enum in _ENUMS.items() if name == table.name]
    for enum in enums:
        docs = _member_docs(enum)
        if not docs:  # its values are told with the column, and say all
            continue
        yield f"### {enum.__name__}"
        yield _summary(enum)
        yield "\n".join(
            [
                "| value | meaning |",
                "|---|---|",
                *(f"| `{member.value}` | {docs.get(member.name, '')} |" for member in enum),
            ]
        )


def _row(table: str, column: _Column) -> str:
    traits = ["key"] * column.is_key + ["unique"] * column.is_unique
    traits += ["may be NULL"] * (not column.not_null)
    if column.refers_to is not None:
        traits.append(f"one of {_code(column.refers_to)}")
    field = _MODELS[table].model_fields.get(_FIELDS.get(column.name, column.name))
    words = field.description or "" if field else "no longer used; gone at v2_5_0b"
    enum = _ENUMS.get((table, column.name))
    if enum is not None:
        words += f": {', '.join(_code(member.value) for member in enum)}"
    declared = column.type.replace("<", "&lt;")
    cells = (_code(column.name), declared, ", ".join(traits), words)
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _rules(table: _Table) -> Iterator[str]:
    for unique in table.unique:
        yield f"- unique together: {', '.join(map(_code, unique))}"
    for rule, name in ddl.checks(table.sql).items():
        yield f"- check{f' {_code(name)}' if name else ''}: {_code(rule)}"
    for index in table.indexes:
        own = " (this package's own)" if index.name.startswith(_OWN_INDEX) else ""
        yield f"- index {_code(index.name)}: {', '.join(map(_code, index.columns))}{own}"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{_cell(text).replace('`', chr(39))}`"


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


def sql(connection: Connection) -> str:
    """Return the CREATE statements of NexusLIMS's tables and of all their indexes.

    However they were once written, they come in one form. Run on an empty file, they give the
    same tables.
    """
    return "\n\n".join(_statements(connection)) + "\n"


def _statements(connection: Connection) -> Iterator[str]:
    for name in (_VERSION_TABLE, *_MODELS):
        for (statement,) in connection.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND lower(name) = ?", (name,)
        ).fetchall():
            yield ddl.normalised(statement)
            for index in _indexes(connection, name):
                own = "-- This package's own, no part of NexusLIMS's schema.\n"
                mark = own if index.name.startswith(_OWN_INDEX) else ""
                yield mark + ddl.normalised(index.sql)


# -- reading ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    type: str
    not_null: bool
    is_key: bool
    is_unique: bool
    refers_to: str | None


@dataclass(frozen=True, slots=True)
class _Index:
    name: str
    columns: tuple[str, ...]
    sql: str


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    columns: tuple[_Column, ...]
    unique: tuple[tuple[str, ...], ...]
    indexes: tuple[_Index, ...]
    sql: str


def _tables(connection: Connection) -> Iterator[_Table]:
    """Read those of NexusLIMS's tables that are there, in the order of their history."""
    for name in _MODELS:
        found = connection.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND lower(name) = ?", (name,)
        ).fetchone()
        if found is None:
            continue
        unique = sorted(_unique(connection, name))
        refers_to = {
            column: table
            for table, column in connection.execute(
                'SELECT "table", "from" FROM pragma_foreign_key_list(?)', (name,)
            )
        }
        columns = tuple(
            _Column(
                name=column,
                type=declared,
                not_null=bool(not_null),
                is_key=bool(key),
                is_unique=(column,) in unique and not key,
                refers_to=refers_to.get(column),
            )
            for column, declared, not_null, key in connection.execute(
                'SELECT name, type, "notnull", pk FROM pragma_table_info(?) ORDER BY cid', (name,)
            ).fetchall()
        )
        together = tuple(names for names in unique if len(names) > 1)
        yield _Table(name, columns, together, tuple(_indexes(connection, name)), found[0])


def _unique(connection: Connection, table: str) -> Iterator[tuple[str, ...]]:
    for (index,) in connection.execute(
        "SELECT name FROM pragma_index_list(?) WHERE \"unique\" AND origin = 'u'", (table,)
    ).fetchall():
        yield _index_columns(connection, index)


def _indexes(connection: Connection, table: str) -> Iterator[_Index]:
    for name, statement in connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "
        "AND lower(tbl_name) = ? ORDER BY name",
        (table,),
    ).fetchall():
        yield _Index(name, _index_columns(connection, name), statement)


def _index_columns(connection: Connection, index: str) -> tuple[str, ...]:
    rows = connection.execute("SELECT name FROM pragma_index_info(?) ORDER BY seqno", (index,))
    return tuple(name or "(an expression)" for (name,) in rows)


Format = Literal["mermaid", "markdown", "sql"]

FORMATS: dict[Format, Callable[[Connection], str]] = {
    "mermaid": mermaid,
    "markdown": markdown,
    "sql": sql,
}
"""The forms that the command line offers."""
