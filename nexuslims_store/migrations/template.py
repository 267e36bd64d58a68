"""The empty files that a new migration begins as, a pair for each dialect."""

from __future__ import annotations

import re
from pathlib import Path

from nexuslims_store.arguments import as_path, require_type
from nexuslims_store.config import sql_folder
from nexuslims_store.errors import MigrationError
from nexuslims_store.revisions import FILE_NAME, REVISION_NAME

CHECKLIST = """\
What belongs to {revision}, in this order:
  1. Write both files: what NexusLIMS's own migration of {revision} does, and back again; and the
     same for PostgreSQL, in sql/postgresql/migrations/: its texts are TEXT COLLATE "C".
  2. nexuslims_store/models.py: a field with a description for each new column, in the order of
     the columns, and the values of each new CHECK in nexuslims_store/enums.py.
  3. sql/: each new column in every statement that stores or reads whole rows of its table, in
     sql/doctor.sql too, in their variants in sql/postgresql/, and among the parameters that its
     class in nexuslims_store/repository/ gives them; a new table gets a file of its own, and a
     class.
  4. README.md: `python tests/test_readme_schema.py` writes the tables anew.
  5. tests/helpers/migration_files.py: what NexusLIMS's own database has at {revision}, once it is
     released; until then the files are taken at their word.
  6. Run the tests. They prepare every statement on the new tables, compare them with the models,
     go up and down, and find a step that would lose a facility's own columns.
What recognises a file, refuses rows that do not fit, counts, compares and documents is derived
from the two files: there is nothing to add to it.\
"""
"""What belongs to a revision beside its two files, for `str.format` with its name."""

_UP = """\
-- {revision}: {description}.
-- depends: {depends}

-- The statements that lead from {before} to {revision}. Values of a CHECK are written out, so
-- that what this revision allows stays what it was. Where a table is made anew, coalesce(column,
-- value) fills in what the former one lacks.

UPDATE alembic_version SET version_num = '{revision}' WHERE version_num = '{before}';
"""

_DOWN = """\
-- From {revision} back to {before}.

-- The statements that undo those of the other file, in the order in which they run.

UPDATE alembic_version SET version_num = '{before}' WHERE version_num = '{revision}';
"""


def new(description: str, revision: str, folder: Path | None = None) -> tuple[Path, ...]:
    """Write the next numbered pair of migration files for SQLite and for PostgreSQL.

    Parameters
    ----------
    description
        What the migration does, in a few words.
    revision
        Its name, of the form vMAJOR_MINOR_PATCH with a letter or none, newer than the head.
    folder
        The migrations' folder; by default that of the checkout this package runs from.

    Returns
    -------
    tuple
        The files to be filled in: one that goes up and one that goes down again, for SQLite, then
        those for PostgreSQL.

    Raises
    ------
    MigrationError
        The revision is not of that form or not newer than the head, the description has no
        letters, or this package does not run from a checkout.
    """
    require_type("description", description, str)
    require_type("revision", revision, str)
    folder = _checkout_folder() if folder is None else as_path("folder", folder)
    number, before, _ = _newest(folder)
    if _order(revision) <= _order(before):
        raise MigrationError(f"{revision} must be newer than the head, {before}")
    slug = re.sub(r"[^a-z0-9]+", "_", description.lower()).strip("_")
    if not slug:
        raise MigrationError(f"the description {description!r} has no letters to name a file with")
    words = {
        "revision": revision,
        "description": " ".join(description.split()).rstrip("."),
        "before": before,
    }
    texts = {}
    for place in (folder, folder.parent / "postgresql" / "migrations"):
        words["depends"] = _newest(place)[2]
        for end, template in ((".sql", _UP), (".rollback.sql", _DOWN)):
            path = place / f"{number + 1:04d}.{revision}_{slug}{end}"
            texts[path] = template.format(**words)
    for path, text in texts.items():
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    return tuple(texts)


def _checkout_folder() -> Path:
    folder = sql_folder() / "migrations"
    package = Path(__file__).resolve().parent.parent
    if folder.is_relative_to(package):
        raise MigrationError(
            f"new migrations are written in a checkout of nexuslims_store, and this is an "
            f"installed package ({package}); run it in the checkout"
        )
    return folder


def _newest(folder: Path) -> tuple[int, str, str]:
    """Return number, revision and name of the newest migration in a folder."""
    names = [
        found
        for path in folder.glob("*.sql")
        if (found := FILE_NAME.fullmatch(path.name)) is not None
    ]
    if not names:
        raise MigrationError(f"{folder} has no migrations to add one to")
    newest = max(names, key=lambda name: int(name["number"]))
    return int(newest["number"]), newest["revision"], newest.string.removesuffix(".sql")


def _order(revision: str) -> tuple[int, int, int, str]:
    form = re.fullmatch(REVISION_NAME, revision)
    if form is None:
        raise MigrationError(
            f"{revision!r} is not of the form vMAJOR_MINOR_PATCH with a letter or none, such as "
            "v2_6_0a"
        )
    major, minor, patch, letter = form.groups()
    return int(major), int(minor), int(patch), letter
