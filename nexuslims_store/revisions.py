"""The revisions this package knows, read off the names of the files in `sql/migrations/`.

Opening a store needs the name of the head revision, but not yoyo, which takes longer to
import than the store takes to open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nexuslims_store.config import sql_folder
from nexuslims_store.errors import StoreError

__all__ = ["FILE_NAME", "REVISION_NAME", "Migration", "fresh_script", "head", "history"]

REVISION_NAME = re.compile(r"v(\d+)_(\d+)_(\d+)([a-z]?)")
"""The form of NexusLIMS's revision names: vMAJOR_MINOR_PATCH, then a letter or nothing."""

FILE_NAME = re.compile(r"(?P<number>\d{4})\.(?P<revision>v\d+_\d+_\d+[a-z]?)_(?P<slug>\w+)\.sql")
"""The form of a migration's file name, NNNN.REVISION_slug.sql."""


@dataclass(frozen=True, slots=True)
class Migration:
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


@cache
def history() -> tuple[Migration, ...]:
    """Return the schema's history, oldest revision first.

    Raises
    ------
    StoreError
        There are no migration files, or one has a name out of order or no rollback file.
    """
    folder = sql_folder() / "migrations"
    steps: list[Migration] = []
    for path in sorted(folder.glob("[0-9]*.sql")):
        if path.name.endswith(".rollback.sql"):
            continue
        name = FILE_NAME.fullmatch(path.name)
        number = len(steps) + 1
        if name is None or int(name["number"]) != number:
            raise StoreError(
                f"{path} is not named like the migration number {number:04d}: "
                f"expected {number:04d}.REVISION_slug.sql"
            )
        rollback_path = path.with_name(path.name.removesuffix(".sql") + ".rollback.sql")
        if not rollback_path.is_file():
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


def head() -> str:
    """Return the newest revision, the one a store works with."""
    return history()[-1].revision


@cache
def fresh_script() -> str:
    """Return the SQL that makes an empty database one at the head revision, in one transaction.

    It is the migrations one after the other, for databases that are never a file and so need
    neither yoyo's marks nor a backup.
    """
    files = [step.path for step in history()]
    files.append(sql_folder() / "migrations" / "post-apply.sql")
    statements = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return f"BEGIN;\n{statements}\nCOMMIT;"
