"""The explicit way to say at what revision a file is."""

from __future__ import annotations

import time
from pathlib import Path

from nexuslims_store.display import as_stored, quoted
from nexuslims_store.errors import MigrationError, SchemaMismatchError, UnknownRevisionError
from nexuslims_store.migrations.opening import opened
from nexuslims_store.migrations.plan import Plan, marks_wrong
from nexuslims_store.migrations.run import MigrationReport
from nexuslims_store.migrations.script import version_row
from nexuslims_store.recognition import Catalogue, judge, look, refuse_foreign, refuse_other_files
from nexuslims_store.recognition.layouts import revision_of
from nexuslims_store.revisions import BASE, FORMER, between, names, resolve


def write_stamp(
    path: Path, revision: str, *, force: bool, timeout: float, dry_run: bool
) -> MigrationReport:
    """Write the version row and yoyo's marks of a revision, in one transaction."""
    from nexuslims_store.migrations.backend import Backend  # noqa: PLC0415 -- imports yoyo
    from nexuslims_store.migrations.rehearsal import make_again, set_aside  # noqa: PLC0415

    started = time.monotonic()
    if revision.startswith(("+", "-")):
        raise MigrationError(f"a stamp needs the name of a revision, {revision} is none")
    wanted = resolve(revision, None)
    with opened(path, timeout=timeout) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            catalogue = look(connection)
            refuse_other_files(connection, catalogue, path)
            _refuse_other_tables(catalogue, path, wanted)
            if not force:
                _refuse_unknown_revision(catalogue, path, wanted)
            versions = () if wanted is None else (wanted,)
            changed = catalogue.versions != versions or marks_wrong(connection, catalogue, wanted)
            if changed and not dry_run:
                set_aside(connection, catalogue.triggers)
                for statement in version_row(wanted):
                    connection.execute(statement)
                Backend(connection).put_marks_right(between(None, wanted))
                make_again(connection, catalogue.triggers)
                connection.execute("COMMIT")
        finally:
            # Closing would do it only once no cursor is left, and an error that is kept keeps some.
            connection.rollback()  # does nothing after the commit
    before = catalogue.versions[0] if len(catalogue.versions) == 1 else None
    plan = Plan(before=None if before is None else str(as_stored(before)), after=wanted)
    return MigrationReport(path, plan, changed=changed, seconds=time.monotonic() - started)


def _refuse_other_tables(catalogue: Catalogue, path: Path, wanted: str | None) -> None:
    """Raise unless the tables are such that a version row of this revision is true."""
    refuse_foreign(catalogue, path)
    found, said = revision_of(catalogue.layout), wanted or BASE
    try:
        state = judge(catalogue._replace(versions=() if wanted is None else (wanted,)), path)
        if state.revision == wanted:
            return
    except SchemaMismatchError:
        if found in {None, said}:
            raise
    raise SchemaMismatchError(
        f"{path} cannot be stamped {said}: its tables are those of {found}, and "
        f"`nexuslims-store migrate stamp {found}` says so. Nothing was changed"
    )


def _refuse_unknown_revision(catalogue: Catalogue, path: Path, wanted: str | None) -> None:
    """Raise where the one version row is of a revision that may well be a newer one.

    A stamp would hide from all others that the file has what this package does not know, and a
    later downgrade would drop it.
    """
    versions = catalogue.versions
    if len(versions) == 1 and versions[0] not in {*names(), *FORMER}:
        raise UnknownRevisionError(
            f"{path} is at revision {quoted(versions[0])}, which this package does not know: if a "
            "newer NexusLIMS was there, upgrade nexuslims_store; if you are certain that the row "
            f"is wrong, `nexuslims-store migrate stamp {wanted or BASE} --force` replaces it. "
            "Nothing was changed"
        )
