"""The explicit way to say at what revision a file is."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from nexuslims_store.catalogue import Catalogue, read
from nexuslims_store.errors import MigrationError, SchemaMismatchError
from nexuslims_store.layouts import BASE, revision_of
from nexuslims_store.migrations.opening import opened
from nexuslims_store.migrations.plan import marks_wrong
from nexuslims_store.migrations.run import MigrationReport, write_version_row
from nexuslims_store.migrations.targets import between, resolve
from nexuslims_store.recognition import judge, refuse_foreign, refuse_other_files

__all__ = ["write_stamp"]


def write_stamp(path: Path, revision: str, *, timeout: float) -> MigrationReport:
    """Write the version row and yoyo's marks of a revision, in one transaction."""
    from nexuslims_store.migrations.backend import Backend  # noqa: PLC0415 -- imports yoyo

    started = time.monotonic()
    if revision.startswith(("+", "-")):
        raise MigrationError(f"a stamp needs the name of a revision, {revision} is none")
    wanted = resolve(revision, None)
    with opened(path, timeout=timeout) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            catalogue = read(connection)
            refuse_other_files(connection, catalogue, path)
            _refuse_other_tables(catalogue, path, wanted)
            versions = () if wanted is None else (wanted,)
            changed = catalogue.versions != versions or marks_wrong(connection, catalogue, wanted)
            if changed:
                write_version_row(connection, wanted)
                Backend(connection).put_marks_right(between(None, wanted))
                connection.execute("COMMIT")
        finally:
            connection.rollback()  # does nothing after the commit
    before = catalogue.versions[0] if len(catalogue.versions) == 1 else None
    return MigrationReport(
        path, before, wanted, changed=changed, seconds=time.monotonic() - started
    )


def _refuse_other_tables(catalogue: Catalogue, path: Path, wanted: str | None) -> None:
    """Raise unless the tables are such that a version row of this revision is true."""
    refuse_foreign(catalogue, path)
    found = revision_of(catalogue.layout)
    try:
        state = judge(replace(catalogue, versions=() if wanted is None else (wanted,)), path)
    except SchemaMismatchError as error:
        if found is None:
            raise
        raise _mismatch(path, wanted, found) from error
    if state.revision != wanted:
        raise _mismatch(path, wanted, found)


def _mismatch(path: Path, wanted: str | None, found: str | None) -> SchemaMismatchError:
    return SchemaMismatchError(
        f"{path} cannot be stamped {wanted or BASE}: its tables are those of {found}, and "
        f"`nexuslims-store migrate stamp {found}` says so. Nothing was changed"
    )
