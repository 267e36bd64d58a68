"""The revisions this package knows, read off `sql/migrations/`, and the tables of each.

What the tables of a revision look like is said by its migrations alone: where it matters, they
are run in memory. Opening a store needs that, but not yoyo, which takes longer to import than a
store takes to open.
"""

import re
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import NamedTuple

from nexuslims_store.config import sql_folder
from nexuslims_store.errors import MigrationError, StoreError
from nexuslims_store.tables import Table, read

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

REVISION_NAME = r"v(\d+)_(\d+)_(\d+)([a-z]?)"
"""The form of NexusLIMS's revision names: vMAJOR_MINOR_PATCH, then a letter or nothing."""

FILE_NAME = re.compile(r"(?P<number>\d{4})\.(?P<revision>v\d+_\d+_\d+[a-z]?)_(?P<slug>\w+)\.sql")
"""The form of a migration's file name, NNNN.REVISION_slug.sql."""

_HEAD = "head"
_RELATIVE = r"[+-]\d+"
_OWN_INDEX = "nxs_"
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


def history(*, server: bool = False) -> tuple[Migration, ...]:
    """Return the schema's history, oldest revision first.

    That of a PostgreSQL server begins with all tables of a later revision; each of its steps has
    the number and the revision of its twin in that of SQLite.

    Raises
    ------
    StoreError
        There are no migration files, or one has a name out of order or no rollback file.
    """
    return _history(server)


@cache
def _history(server: bool) -> tuple[Migration, ...]:  # noqa: FBT001 -- one key for each in the cache
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


def between(start: str | None, end: str | None, *, server: bool = False) -> tuple[Migration, ...]:
    """Return the steps from one revision to another, in the order in which they run."""
    low, high = sorted((position(start), position(end)))
    steps = tuple(step for step in history(server=server) if low < step.number <= high)
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
    if re.fullmatch(_RELATIVE, target):
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


@cache
def known_tables() -> frozenset[str]:
    """Return the names of all tables that a revision has, `alembic_version` aside."""
    script = fresh_script()
    passing = {*_RENAMED.findall(script), VERSION_TABLE}
    return frozenset(_CREATED.findall(script)) - passing
