"""The statements of `sql/` as PostgreSQL takes them.

Most are the one text of both. One that differs has a variant of the same name in
`sql/postgresql/`. Everything else is done here, once: `:name` is `%(name)s` to psycopg, and the
views, which SQLite's connections make for themselves, become part of the statements that read
them: a server may be a replica, where nothing can be made.
"""

from __future__ import annotations

import re
from functools import cache

from nexuslims_store.config import sql_folder
from nexuslims_store.queries import Query, load

_WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b")
# The former two hold what is none of the latter.
_PART = re.compile(r"('(?:[^']|'')*'|\"[^\"]*\")|(--[^\n]*\n?)|:([a-z][a-z0-9_]*)")
# PostgreSQL has but texts that are valid, and needs no such detour.
_AS_BLOB = re.compile(r"CAST\(([\w.]+) AS BLOB\)")
_VIEW = re.compile(r"CREATE TEMP VIEW IF NOT EXISTS (\w+) AS\s")


@cache
def statements() -> dict[str, tuple[str, bool]]:
    """Return, for the text of each statement of `sql/`, that for PostgreSQL, and if it writes."""
    folder = sql_folder()
    pairs: list[tuple[Query, str]] = []
    views: dict[str, str] = {}
    for path in folder.glob("*.sql"):
        variants: dict[str, str] = {}
        if (folder / "postgresql" / path.name).exists():
            variants = {query.name: query.sql for query in load(f"postgresql/{path.name}")}
        for query in load(path.name):
            text = translated(variants.get(query.name, query.sql))
            if match := _VIEW.match(text):
                views[match[1]] = text[match.end() :].rstrip(";")
            else:
                pairs.append((query, text))
    return {query.sql: (_with(views, text), bool(_WRITES.match(text))) for query, text in pairs}


def translated(sql: str) -> str:
    """Return a statement without its comments, with psycopg's placeholders."""

    def part(found: re.Match[str]) -> str:
        text, comment, parameter = found.groups()
        return text or ("" if comment else f"%({parameter})s")

    return _PART.sub(part, _AS_BLOB.sub(r"\1", sql.replace("%", "%%")))


def _with(views: dict[str, str], text: str) -> str:
    """Put the views that a statement reads before it. Later views read earlier ones."""
    needed = ""
    for name, body in reversed(views.items()):
        if re.search(rf"\b{name}\b", text + needed):
            needed = f"{name} AS NOT MATERIALIZED (\n{body})" + (needed and ",\n") + needed
    return f"WITH {needed}\n{text}" if needed else text
