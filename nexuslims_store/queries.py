"""The named statements of `sql/*.sql`.

A file holds statements, each under a header in aiosql's form::

    -- name: get_instrument(instrument_pid)^
    -- What it answers, and why it is written so.
    SELECT …

The mark after the name says what comes back: `^` one row or none, `$` one value, `!` the number
of rows changed, nothing for any number of rows. The names in brackets are the statement's
parameters, `:name` in its text.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from nexuslims_store.config import sql_folder
from nexuslims_store.errors import StoreError

_HEADER = re.compile(
    r"--\s*name:\s*(?P<name>[a-z][a-z0-9_]*)\((?P<parameters>[a-z0-9_, ]*)\)(?P<mark>[\^$!]?)\s*"
)
_LOOKS_LIKE_HEADER = re.compile(r"--\s*name\b")
# What may hold a colon that is no parameter is matched first, and has no group.
_PARAMETER = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|:([a-z][a-z0-9_]*)")


class Query(NamedTuple):
    """One named statement."""

    name: str
    parameters: tuple[str, ...]
    mark: str
    sql: str
    path: Path
    line: int


class Queries:
    """The statements of one file, by name: `queries.get_instrument` is the SQL text.

    `queries[name]` is the same, for a name put together. The text is the same object each time,
    which lets sqlite3 find it in its cache of prepared statements.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._queries: dict[str, Query] = {}
        for query in _parse(path, text):
            if query.name in self._queries:
                first = self._queries[query.name].line
                raise StoreError(
                    f"{path}:{query.line}: the name {query.name} is taken already, by line {first}"
                )
            self._queries[query.name] = query
            setattr(self, query.name, query.sql)

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):  # asked for by copy and the like
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> str:
        if name not in self._queries:
            raise StoreError(
                f"{self.path}: no statement is named {name}; there are: "
                + ", ".join(sorted(self._queries))
            )
        return self._queries[name].sql

    def __iter__(self) -> Iterator[Query]:
        return iter(self._queries.values())


@cache
def load(file_name: str) -> Queries:
    """Read one file of `sql/`.

    Raises
    ------
    StoreError
        The file is not there, or a statement in it has no well-formed header, the name of
        another, or other parameters than its header says. The message begins with file and line.
    """
    path = sql_folder() / file_name
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing; install nexuslims_store again") from error
    return Queries(path, text)


def _parse(path: Path, text: str) -> Iterator[Query]:
    header: re.Match[str] | None = None
    header_line = 0
    body: list[str] = []
    # A last header that never comes closes the last statement.
    for number, line in enumerate([*text.splitlines(), None], start=1):
        if line is not None and not _LOOKS_LIKE_HEADER.match(line):
            if header is not None:
                body.append(line)
            elif line.strip() and not line.startswith("--"):
                raise StoreError(f"{path}:{number}: this statement has no `-- name: …()` above it")
            continue
        if header is not None:
            yield _query(path, header_line, header, "\n".join(body).strip())
        if line is None:
            return
        header, header_line, body = _HEADER.fullmatch(line), number, []
        if header is None:
            raise StoreError(
                f"{path}:{number}: not a header of the form `-- name: get_x(a, b)^`: {line}"
            )


def _query(path: Path, line: int, header: re.Match[str], sql: str) -> Query:
    name = header["name"]
    declared = tuple(part.strip() for part in header["parameters"].split(",") if part.strip())
    used = {match[1] for match in _PARAMETER.finditer(sql) if match[1]}
    if not sql:
        raise StoreError(f"{path}:{line}: {name} has no statement below it")
    if used != set(declared):
        raise StoreError(
            f"{path}:{line}: {name} declares the parameters ({', '.join(declared)}) and uses "
            f"({', '.join(sorted(used))})"
        )
    return Query(name, declared, header["mark"], sql, path, line)
