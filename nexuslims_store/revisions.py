"""The revisions this package knows, read off `sql/migrations/`, and the tables of each.

What the tables of a revision look like is said by its migrations alone: where it matters, they
are run in memory. Opening a store needs that, but not yoyo, which takes longer to import than a
store takes to open.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import NamedTuple

from nexuslims_store.config import sql_folder
from nexuslims_store.errors import MigrationError, StoreError
from nexuslims_store.tables import Table, read

__all__ = [
    "BASE",
    "FILE_NAME",
    "FORMER",
    "REVISION_NAME",
    "VERSION_TABLE",
    "Layout",
    "Migration",
    "between",
    "differences",
    "fits",
    "fresh_script",
    "head",
    "history",
    "is_head",
    "is_own_index",
    "known_columns",
    "known_tables",
    "layout_of",
    "layouts",
    "most_similar",
    "names",
    "own_columns",
    "position",
    "post_apply",
    "resolve",
    "revision_of",
    "tables_at",
    "without_key",
]

BASE = "base"
"""Alembic's name for a database without tables."""

VERSION_TABLE = "alembic_version"
"""The table in which NexusLIMS keeps the revision."""

FORMER = {
    "57f0798d0c6d": "v1_4_3",
    "0ea2bc3d2ebe": "v2_4_0a",
    "2e1408e573b1": "v2_4_0b",
}
"""The names that NexusLIMS 2.2.0 to 2.4.1 had for revisions."""

REVISION_NAME = re.compile(r"v(\d+)_(\d+)_(\d+)([a-z]?)")
"""The form of NexusLIMS's revision names: vMAJOR_MINOR_PATCH, then a letter or nothing."""

FILE_NAME = re.compile(r"(?P<number>\d{4})\.(?P<revision>v\d+_\d+_\d+[a-z]?)_(?P<slug>\w+)\.sql")
"""The form of a migration's file name, NNNN.REVISION_slug.sql."""

Layout = dict[str, frozenset[str]]
"""The few traits of tables that tell revisions apart: the names of each one's columns, and those
of CHECKs where they alone make a difference.

Order, types and most constraints are left out: they differ between files of one revision, because
NexusLIMS from before 2.5, its demo and its own downgrades each make them a little differently.
The names do not differ, and a column with another name would be lost with its table.
"""

_HEAD = "head"
_RELATIVE = re.compile(r"[+-]\d+")
_OWN_INDEX = "nxs_"
_COMPUTED = " (computed)"
_CREATED = re.compile(r"^CREATE TABLE (?:IF NOT EXISTS )?(\w+)", re.MULTILINE)
_RENAMED = re.compile(r"^ALTER TABLE (\w+) RENAME TO \w+;", re.MULTILINE)


class Migration(NamedTuple):
    """One step of the schema's history: a pair of files in `sql/migrations/`.

    Attributes
    ----------
    number
        The place in the history, from 1.
    revision
        NexusLIMS's name of the revision that the step leads to, for example "v2_4_0a".
    down_revision
        The revision it starts from; None for the first.
    title
        What the step does, in words.
    path, rollback_path
        The SQL files that go up to the revision and down from it again.
    """

    number: int
    revision: str
    down_revision: str | None
    title: str
    path: Path
    rollback_path: Path

    @property
    def id(self) -> str:
        """yoyo's name of the migration: the file's name without `.sql`."""
        return self.path.name.removesuffix(".sql")


# -- the history -----------------------------------------------------------------------


@cache
def history(*, server: bool = False) -> tuple[Migration, ...]:
    """Return the schema's history, oldest revision first.

    That of a PostgreSQL server begins with all tables of a later revision; each of its steps has
    the number and the revision of its twin in that of SQLite.

    Raises
    ------
    StoreError
        There are no migration files, or one has a name out of order or no rollback file.
    """
    folder = sql_folder() / ("postgresql/migrations" if server else "migrations")
    steps: list[Migration] = []
    for path in sorted(folder.glob("[0-9]*.sql")):
        if path.name.endswith(".rollback.sql"):
            continue
        name = FILE_NAME.fullmatch(path.name)
        begins = server and not steps
        number = int(path.name[:4]) if begins and name else steps[-1].number + 1 if steps else 1
        if name is None or int(name["number"]) != number:
            raise StoreError(
                f"{path} is not named like the migration number {number:04d}: "
                f"expected {number:04d}.REVISION_slug.sql"
            )
        rollback_path = path.with_name(path.name.removesuffix(".sql") + ".rollback.sql")
        if not (rollback_path.is_file() or begins):  # nothing goes below a baseline
            raise StoreError(f"{path} has no rollback file {rollback_path.name} beside it")
        steps.append(
            Migration(
                number=number,
                revision=name["revision"],
                down_revision=steps[-1].revision if steps else None,
                title=name["slug"].replace("_", " "),
                path=path,
                rollback_path=rollback_path,
            )
        )
    if not steps:
        raise StoreError(f"{folder} has no migration files; install the package again")
    return tuple(steps)


def names() -> list[str]:
    """Return the names of all revisions, the oldest first."""
    return [step.revision for step in history()]


def head() -> str:
    """Return the newest revision, the one a store works with."""
    return history()[-1].revision


def position(revision: str | None) -> int:
    """Return the place of a revision in the history: 0 for base, 1 for the first."""
    return 0 if revision is None else names().index(revision) + 1


def between(start: str | None, end: str | None) -> tuple[Migration, ...]:
    """Return the steps from one revision to another, in the order in which they run."""
    low, high = sorted((position(start), position(end)))
    steps = history()[low:high]
    return steps if position(start) <= position(end) else steps[::-1]


def resolve(target: str, current: str | None) -> str | None:
    """Return the revision that a user means by `target`, None for base.

    Parameters
    ----------
    target
        A revision or any unique start of one, "head", "base", "+N" or "-N".
    current
        The revision that +N and -N are counted from.

    Raises
    ------
    MigrationError
        No revision is meant, or several are.
    """
    known = names()
    if target in {BASE, _HEAD, *known}:
        return {BASE: None, _HEAD: known[-1]}.get(target, target)
    if _RELATIVE.fullmatch(target):
        place = position(current) + int(target)
        if not 0 <= place <= len(known):
            raise MigrationError(
                f"there is no revision {target} from {current or BASE}: the history is "
                + ", ".join([BASE, *known])
            )
        return known[place - 1] if place else None
    meant = [revision for revision in known if target and revision.startswith(target)]
    if len(meant) == 1:
        return meant[0]
    raise MigrationError(
        f"{target!r} may be any of {', '.join(meant)}: write more of it"
        if meant
        else f"there is no revision {target!r}: name one of {', '.join([BASE, *known])}, or head, "
        "+N, -N"
    )


# -- what the migrations make ----------------------------------------------------------


@cache
def tables_at(revision: str | None) -> dict[str, Table]:
    """Return the tables that the migrations make of an empty file up to a revision.

    Raises
    ------
    MigrationError
        One of them does not run.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for step in between(None, revision):
            try:
                connection.executescript(step.path.read_text(encoding="utf-8"))
            except sqlite3.Error as error:
                raise MigrationError(
                    f"{step.path} does not run, not even on an empty database: {error}"
                ) from error
        if revision == head():
            connection.executescript(post_apply())
        return read(connection).tables


def is_own_index(name: str) -> bool:
    """Whether an index is this package's own, no part of NexusLIMS's schema."""
    return name.startswith(_OWN_INDEX)


@cache
def post_apply(*, server: bool = False) -> str:
    """Return the SQL of this package's own indexes and, on a server, functions."""
    path = history(server=server)[-1].path.with_name("post-apply.sql")
    return path.read_text(encoding="utf-8")


@cache
def fresh_script() -> str:
    """Return the SQL that makes an empty database one at the head revision, in one transaction.

    It is the migrations one after the other, for databases that are never a file and so need
    neither yoyo's marks nor a backup.
    """
    files = [step.path.read_text(encoding="utf-8") for step in history()]
    return "\n".join(["BEGIN;", *files, post_apply(), "COMMIT;"])


# -- which revision has these tables? --------------------------------------------------


@cache
def known_tables() -> frozenset[str]:
    """Return the names of all tables that a revision has, `alembic_version` aside."""
    scripts = [step.path.read_text(encoding="utf-8") for step in history()]
    created = {name for script in scripts for name in _CREATED.findall(script)}
    passing = {name for script in scripts for name in _RENAMED.findall(script)}
    return frozenset(created - passing - {VERSION_TABLE})


def is_head(tables: Mapping[str, Table]) -> bool:
    """Whether tables have all traits of the head's. Quicker than to ask for the revision."""
    expected = {name: tables_at(head())[name] for name in known_tables() & tables_at(head()).keys()}
    there = {name: table for name, table in tables.items() if name in known_tables()}
    return there.keys() == expected.keys() and all(
        there[name].columns.keys() == table.columns.keys()
        and not any(column.generated for column in there[name].columns.values())
        and set(table.check_names) <= set(there[name].check_names)
        for name, table in expected.items()
    )


@cache
def layouts() -> dict[str | None, Layout]:
    """Return the layouts of base and of each revision, the oldest first."""
    return {revision: layout_of(tables_at(revision)) for revision in (None, *names())}


def layout_of(tables: Mapping[str, Table]) -> Layout:
    """Return those of NexusLIMS's tables that are there as their traits."""
    return {name: _traits(name, tables[name]) for name in sorted(known_tables() & tables.keys())}


def _traits(name: str, table: Table) -> frozenset[str]:
    known = known_columns(name)
    columns = {
        # A default of a known column may be computed, in files from before 2.2.
        key + _COMPUTED if column.generated or (key not in known and column.runs_code) else key
        for key, column in table.columns.items()
    }
    checks = _telling_checks().get(name, frozenset()) & set(table.check_names)
    return frozenset(columns | {f"CONSTRAINT {check}" for check in checks})


@cache
def known_columns(table: str) -> frozenset[str]:
    """Return the columns that a table has at any revision."""
    shapes = [tables_at(revision) for revision in names()]
    return frozenset(column for s in shapes if table in s for column in s[table].columns)


@cache
def _telling_checks() -> dict[str, frozenset[str]]:
    """Return, by table, a CHECK of each step that adds CHECKs and changes no column."""
    telling: dict[str, frozenset[str]] = {}
    for step in history():
        before, after = tables_at(step.down_revision), tables_at(step.revision)
        for name in known_tables() & before.keys() & after.keys():
            former = before[name].check_names
            added = [check for check in after[name].check_names if check not in former]
            if added and before[name].columns.keys() == after[name].columns.keys():
                telling[name] = telling.get(name, frozenset()) | {added[-1]}
    return telling


def revision_of(layout: Layout) -> str | None:
    """Return the oldest revision whose tables are exactly these, `BASE`, or None."""
    return next((name or BASE for name, tables in layouts().items() if tables == layout), None)


def without_key(
    tables: Mapping[str, Table], revision: str | None
) -> tuple[str, Table, Table] | None:
    """Return a table that has not the primary key of a revision: its name, it, and what it was."""
    for name, expected in tables_at(revision).items():
        if name in tables and sorted(tables[name].key) != sorted(expected.key):
            return name, tables[name], expected
    return None


def own_columns(layout: Layout) -> Layout:
    """Return the columns that no revision has, by table: a facility's own."""
    known = {
        table: frozenset[str]().union(*(other.get(table, ()) for other in layouts().values()))
        for table in layout
    }
    return {
        table: columns - known[table] for table, columns in layout.items() if columns - known[table]
    }


def fits(layout: Layout, revision: str | None) -> bool:
    """Whether tables are those of a revision but for columns of the facility's own.

    A computed column is nobody's own: SQL of its author's runs whenever a row is read or written.
    """
    own = own_columns(layout)
    if any(column.endswith(_COMPUTED) for columns in own.values() for column in columns):
        return False
    without = {table: columns - own.get(table, frozenset()) for table, columns in layout.items()}
    return without == layouts()[revision]


def differences(layout: Layout, revision: str | None) -> Iterator[str]:
    """Yield in words how tables differ from those of a revision."""
    expected = layouts()[revision]
    for table in sorted(expected.keys() | layout.keys()):
        if table not in layout:
            yield f"{table} is missing"
        elif table not in expected:
            yield f"{table} is too many"
        else:
            for column in sorted(layout[table] - expected[table]):
                yield f"{table} has {column}, which is not known"
            for column in sorted(expected[table] - layout[table]):
                yield f"{table} lacks {column}"


def most_similar(layout: Layout) -> str | None:
    """Return the revision that shares most traits with a layout, less those that one lacks."""

    def likeness(revision: str | None) -> int:
        here = {(table, trait) for table in layout for trait in layout[table]}
        other = layouts()[revision]
        there = {(table, trait) for table in other for trait in other[table]}
        return len(here & there) - len(here ^ there)

    return max(layouts(), key=likeness)
