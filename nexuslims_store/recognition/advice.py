"""What is said of a file that is at no known revision: why, and what puts it right."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from nexuslims_store.display import quoted as shown
from nexuslims_store.errors import SchemaMismatchError, UnknownRevisionError
from nexuslims_store.recognition.catalogue import Catalogue
from nexuslims_store.recognition.layouts import (
    differences,
    known_columns,
    layouts,
    most_similar,
    own_columns,
    revision_of,
    tables_in,
    without_key,
)
from nexuslims_store.revisions import (
    BASE,
    FORMER,
    REVISION_NAME,
    VERSION_TABLE,
    head,
    names,
    tables_at,
)
from nexuslims_store.tables import Table, small

# The columns that files from before 1.4 lack, with what NexusLIMS takes where nothing is said.
_ADDED_BEFORE_1_4 = {"harvester": "nemo", "timezone": "America/New_York"}


def is_foreign(name: str, table: Table) -> bool:
    """Whether a table has but the name of NexusLIMS's: less than half of its columns."""
    for layout in layouts().values():
        shape = {trait for its_table, trait in layout if its_table == name and trait}
        if len(shape & table.columns.keys()) * 2 > len(shape):
            return False
    return True


def everywhere(remedy: str) -> dict[str, str]:
    """Return a remedy that is the same for a call and for a command."""
    return {"call": remedy, "command": remedy}


def lost_key(path: Path, name: str) -> SchemaMismatchError:
    """Return the error for a write to a table that has lost its key."""
    key = ", ".join(tables_at(head())[name].key)
    return SchemaMismatchError(
        f"{path}: {name} has lost its PRIMARY KEY ({key}); a program has made it anew without, as "
        "pandas' to_sql(if_exists='replace') does. Nothing is written to it; `nexuslims-store "
        "doctor` prints the command that makes it as it should be and keeps its rows"
    )


def several(catalogue: Catalogue, path: Path) -> UnknownRevisionError:
    """Return the error for several version rows."""
    versions = ", ".join(map(_named, catalogue.versions))
    return UnknownRevisionError(
        f"{path} has several version rows ({versions}), so its revision is not certain",
        **everywhere(_tables_are_of(catalogue)),
    )


def unlike_alembic(catalogue: Catalogue, path: Path) -> SchemaMismatchError:
    """Return the error for a version table without the column that says the revision."""
    from nexuslims_store.recognition import remaking  # noqa: PLC0415 -- opening has no need of it

    # A trigger, which has a name space of its own, may have the name too.
    (own,) = (one for one in catalogue.contents.of("table") if small(one.name) == VERSION_TABLE)
    sql = tables_at(head())[VERSION_TABLE].sql
    command = remaking.giving_name_back(path, catalogue.contents, own, sql)
    return SchemaMismatchError(
        f"{path}: {VERSION_TABLE} has no column version_num, so another program made it, and it "
        "says of no revision",
        **everywhere(f"give it another name ({command}), then run `nexuslims-store migrate`"),
    )


def unknown(catalogue: Catalogue, path: Path) -> UnknownRevisionError:
    """Return the error for a version row that this package does not know."""
    version = catalogue.versions[0]
    found = revision_of(catalogue.layout)
    means = "a newer NexusLIMS was there; upgrade nexuslims_store"
    if found is not None and re.fullmatch(REVISION_NAME, str(version)) is None:
        means = f"{_tables_are_of(catalogue)}; or else {means}"
    return UnknownRevisionError(
        f"{path} is at revision {shown(version)}, which this package does not know (its newest is "
        f"{head()})",
        **everywhere(means),
    )


def mismatch(
    catalogue: Catalogue, path: Path, row: str | None, said: str | None, found: str | None
) -> SchemaMismatchError:
    """Return the error for tables that contradict the version row or are of no revision."""
    if found is not None:
        former = f" (today {said})" if row in FORMER else ""
        return SchemaMismatchError(
            f"{path}: the version row says {row}{former}, but its tables are those of {found}",
            **everywhere(
                f"`nexuslims-store migrate stamp {found}` puts the version row right, then run "
                "`nexuslims-store migrate`"
            ),
        )
    nearest = said or most_similar(catalogue.layout)
    layout = catalogue.layout
    keyless = without_key(catalogue.tables, nearest)
    if keyless and tables_in(layout) == tables_in(layouts()[nearest]):
        return lost_key(path, keyless[0])
    unlike = "; ".join(differences(layout, nearest))
    return SchemaMismatchError(
        f"{path}: its tables are those of no revision this package knows: {unlike}. Nothing was "
        "changed",
        **everywhere(_what_helps(catalogue, path, nearest)),
    )


def _what_helps(catalogue: Catalogue, path: Path, nearest: str | None) -> str:
    """Say how tables that are almost those of a revision are put right."""
    expected, layout = layouts()[nearest], catalogue.layout - own_columns(catalogue.layout)
    for name, table in catalogue.tables.items():
        if is_foreign(name, table):
            return (
                f"{name} is no table of NexusLIMS's, but has the name of one: give it another "
                f"(ALTER TABLE {name} RENAME TO …)"
            )
    if tables_in(expected) == tables_in(layout):
        import shlex  # noqa: PLC0415 -- opening a store does not need it

        file = shlex.quote(str(path))
        lacking, others = sorted(expected - layout), sorted(layout - expected)
        if not lacking and not others:
            return (
                "if there are but columns of your own too many, `nexuslims-store migrate stamp "
                f"{nearest or BASE}` says so"
            )
        if not lacking and all(column in known_columns(table) for table, column in others):
            renamed = (f"ALTER TABLE {t} RENAME COLUMN {c} TO own_{c}" for t, c in others)
            return (
                "another revision has a column of that name; if it is your own here, give it "
                f'another: sqlite3 {file} "BEGIN; {"; ".join(renamed)}; COMMIT"'
            )
        additions = [_addition(table, tables_at(nearest)[table], c) for table, c in lacking]
        if all(additions) and not others:
            return (
                f'add what it lacks: sqlite3 {file} "BEGIN; {"; ".join(map(str, additions))}; '
                'COMMIT"'
            )
    return (
        "make a copy of the file and put its tables right in it; `nexuslims-store schema --format "
        f"sql` prints those of {head()}"
    )


def _addition(name: str, table: Table, wanted: str) -> str | None:
    """Return the statement that adds a column, None where it cannot be added like that."""
    column = table.columns.get(wanted)
    if column is None or (column.not_null and wanted not in _ADDED_BEFORE_1_4):
        return None
    rule = f" NOT NULL DEFAULT '{_ADDED_BEFORE_1_4[wanted]}'" if column.not_null else ""
    return f"ALTER TABLE {name} ADD COLUMN {wanted} {column.type}{rule}"


def _tables_are_of(catalogue: Catalogue) -> str:
    found = revision_of(catalogue.layout)
    if found is None:
        return "its tables are those of no revision either"
    # `stamp` overrides one unknown revision only where it is told to.
    force = " --force" if len(catalogue.versions) == 1 else ""
    command = f"nexuslims-store migrate stamp {found}{force}"
    return f"its tables are those of {found}: `{command}` says so"


def _named(version: object) -> str:
    """Return the name of a revision, that of one which is not known in quotes."""
    return str(version) if version in {*names(), *FORMER} else shown(version)


def listed(names: Iterable[str]) -> str:
    """Return names in a row, the first few if they are many."""
    names = list(names)
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
