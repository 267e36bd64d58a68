"""Migrations of a database on PostgreSQL: a baseline, then a step for each revision since.

A run is one transaction, under the lock that keeps all other writers out, other runs included. A
backup is the business of `pg_dump`, and none is made here.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from nexuslims_store.config import dump_line, restore_line, without_password
from nexuslims_store.errors import MigrationError, StoreError
from nexuslims_store.migrations.plan import Direction, Plan, marks_fit, refuse_other_direction
from nexuslims_store.migrations.run import NOT_ITS_FAULT, MigrationReport, Options
from nexuslims_store.migrations.script import text_of
from nexuslims_store.migrations.verification import by_status, in_both
from nexuslims_store.opening import open_server
from nexuslims_store.queries import load
from nexuslims_store.recognition.server import columns_on_server, revision_on_server
from nexuslims_store.revisions import (
    BASE,
    between,
    head,
    history,
    position,
    post_apply,
    resolve,
    tables_at,
)

if TYPE_CHECKING:
    from nexuslims_store.postgresql import PostgreSQLDatabase

_OWN = "nxs_session_log_to_build, with the function nxs_instant"


def current(url: str, *, timeout: float) -> str | None:
    """Return the revision of a database; see `migrations.current`."""
    with closing(open_server(url, read_only=True, timeout=timeout)) as database:
        return revision_on_server(database)


def look(url: str, direction: Direction, target: str, *, timeout: float) -> Plan:
    """Say what a run would do; see `migrations.plan`."""
    with closing(open_server(url, read_only=True, timeout=timeout)) as database:
        return make_plan(database, direction, target)


def make_plan(database: PostgreSQLDatabase, direction: Direction, target: str) -> Plan:
    """Look at a database and say what it takes to bring it to `target`.

    Raises
    ------
    MigrationError
        `target` is no revision, is older than the baseline, or lies in the other direction.
    StoreError
        The database is none that may be migrated, as `revision_on_server` says.
    """
    columns = columns_on_server(database)
    before = revision_on_server(database, columns)
    after, baseline = resolve(target, before), history(server=True)[0]
    if position(after) < baseline.number:
        raise MigrationError(
            f"{database.name} cannot go to {after or BASE}: the history on PostgreSQL begins at "
            f"{baseline.revision}, and older revisions are for SQLite files, one of which "
            f"`nexuslims-store move` makes of it; `{dump_line(database.url)}` keeps what there is, "
            f"and `{restore_line(database.url)}` brings it back"
        )
    refuse_other_direction(database.name, direction, before, after)
    marked: set[str] = set()
    own = []
    if any(table == "_yoyo_migration" for table, _ in columns):
        marked = {name for (name,) in database.rows(load("yoyo.sql").list_marks)}
        own = database.rows(load("postgresql/catalogue.sql").get_hash_of_own)
    return _Plan(
        before=before,
        after=after,
        empty=before is None,
        marks_wrong=not marks_fit(marked, before, server=True),
        steps=between(before, after, server=True),
        rows_dropped={
            name: database.rows(f"SELECT count(*) FROM {name}")[0][0]  # noqa: S608 -- ours
            for name in sorted(tables_at(before).keys() - tables_at(after).keys())
        },
        indexes=() if after != head() or own == [(hash_of(post_apply(server=True)),)] else (_OWN,),
    )


class _Plan(Plan):
    def to_sql(self) -> str:
        """Return a script for psql that does the same, yoyo's marks aside."""
        parts = [text_of(step, up=self.up) for step in self.steps]
        if self.after == head():
            parts.append(post_apply(server=True))
        return "\n".join(["BEGIN;", *parts, "COMMIT;\n"])


def hash_of(script: str) -> str:
    """Return what tells a script from any other."""
    from hashlib import sha256  # noqa: PLC0415 -- needed here only

    return sha256(script.encode()).hexdigest()


def run(url: str, direction: Direction, target: str, options: Options) -> MigrationReport:
    """Bring a database up or down; see `upgrade`."""
    started = time.monotonic()
    with closing(open_server(url, timeout=options.timeout)) as database:
        plan = make_plan(database, direction, target)
        if not plan.nothing_to_do:
            with database.transaction():
                # Another run may have been quicker, while this one waited.
                plan = make_plan(database, direction, target)
                change(database, plan, options)
    return MigrationReport(
        without_password(url),
        plan,
        changed=not plan.nothing_to_do,
        seconds=time.monotonic() - started,
    )


def change(database: PostgreSQLDatabase, plan: Plan, options: Options) -> None:
    """Do all that is planned, in the open transaction."""
    if plan.nothing_to_do:
        return
    from nexuslims_store.migrations.backend import ServerBackend  # noqa: PLC0415 -- imports yoyo

    if plan.before is not None and plan.steps:
        options.say(f"a server's database is not backed up here: `{dump_line(database.url)}` does")
    doing = "writing of yoyo's marks"
    try:
        with database.translated():
            rows = _rows(database, plan)
            backend = ServerBackend(database.connection)
            backend.put_marks_right(between(None, plan.before, server=True))
            for step in plan.steps:
                doing = f"{step.revision} {step.title}"
                options.say(f"{'applying' if plan.up else 'rolling back'} {doing}")
                (backend.apply if plan.up else backend.roll_back)(step)
            doing = "making of the index and the function"
            if plan.after == head():
                backend.post_apply()
            doing = "verification"
            if revision_on_server(database) != plan.after or _rows(database, plan) != rows:
                raise StoreError(f"the rows or the revision are not those of {plan.after}")
    except NOT_ITS_FAULT:
        raise
    except StoreError as error:
        raise MigrationError(
            f"{database.name}: {doing} failed: {error}. All was rolled back"
        ) from error


def _rows(database: PostgreSQLDatabase, plan: Plan) -> dict[str, list[tuple[object, ...]]]:
    """Count the rows of the tables that are there before and after."""
    before, after = plan.before, plan.after
    both = in_both(before, after)
    return {name: by_status(database.connection, name, before, after) for name in both}
