"""What a migration would do to a file."""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, Literal, NamedTuple

from nexuslims_store.arguments import require_type
from nexuslims_store.connection import absolute, leniently
from nexuslims_store.display import number
from nexuslims_store.errors import MigrationError
from nexuslims_store.migrations.opening import refuse_missing_folder
from nexuslims_store.migrations.script import leaving_head, made_again, text_of, version_row
from nexuslims_store.queries import load
from nexuslims_store.recognition import Catalogue, State, recognise
from nexuslims_store.recognition.advice import lost_key
from nexuslims_store.recognition.layouts import without_key
from nexuslims_store.revisions import (
    BASE,
    Migration,
    between,
    head,
    history,
    position,
    post_apply,
    resolve,
    tables_at,
)
from nexuslims_store.tables import Index, Named, quoted

Direction = Literal["upgrade", "downgrade"]

_HEADING = """\
-- NexusLIMS's database, from {start} to {end}.
-- Make a backup, then: sqlite3 -bail DATABASE < SCRIPT
-- With -bail the shell stops at the first error, and nothing of this is kept.

PRAGMA foreign_keys = OFF;
PRAGMA legacy_alter_table = ON;
BEGIN EXCLUSIVE;
"""


class Part(NamedTuple):
    """One part of what a run does.

    Attributes
    ----------
    name
        What to call it where it fails.
    told
        What is said when it begins, "" for nothing.
    statements
        Its SQL.
    step
        The step of the history that it is, for yoyo to run.
    """

    name: str
    told: str
    statements: list[str]
    step: Migration | None = None


class Plan(NamedTuple):
    """What a migration would do to a file, in the order in which it would.

    Attributes
    ----------
    before, after
        The revisions it starts from and ends at; None is base.
    empty
        Whether there is nothing in the file, or no file: no backup is made of that.
    created
        Whether there is no file, and it is made.
    leftovers
        Tables of an unfinished upgrade by NexusLIMS, to be removed.
    adopt
        Whether the file has no version row, or one of NexusLIMS 2.2.0 to 2.4.1, and gets one.
    former
        What the version row says, where it is one of NexusLIMS 2.2.0 to 2.4.1.
    marks_wrong
        Whether yoyo's marks do not fit the revision, and are put right.
    steps
        The migrations to run.
    made_anew
        Tables that take a NULL where those of `after` do not, and are made anew as those are.
    indexes
        Indexes that the file lacks and that are made.
    rows_dropped
        How many rows go with the tables that an older revision does not have, by table.
    obstacles
        Why the run would be refused, in words: what is the facility's own and would be lost, or
        bears a name that a step needs; rows that do not fit.
    kept
        Indexes and triggers of the facility's own that are made again, as they were, after what
        they are on was made anew. Triggers run at no time in between.
    indexes_lost, triggers_lost
        Those that go, because their columns do, or their tables.
    views_broken, triggers_broken
        Those of the facility's own that do not work any more, because something in them is gone.
    """

    before: str | None
    after: str | None
    empty: bool = False
    created: bool = False
    leftovers: tuple[str, ...] = ()
    adopt: bool = False
    former: str | None = None
    marks_wrong: bool = False
    steps: tuple[Migration, ...] = ()
    made_anew: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    rows_dropped: Mapping[str, int] = MappingProxyType({})
    obstacles: tuple[str, ...] = ()
    kept: tuple[Named, ...] = ()
    indexes_lost: tuple[str, ...] = ()
    triggers_lost: tuple[str, ...] = ()
    views_broken: tuple[str, ...] = ()
    triggers_broken: tuple[str, ...] = ()

    @property
    def up(self) -> bool:
        """Whether it leads to a newer revision, or to the same."""
        return position(self.after) >= position(self.before)

    @property
    def nothing_to_do(self) -> bool:
        """Whether the file is as it should be."""
        return not (self.steps or self.adopt or self.leftovers or self.marks_wrong or self.indexes)

    @property
    def losses(self) -> list[tuple[str, str]]:
        """What goes, or works no more, in words: as it will be said before, and as after."""
        rows = [f"{t} with its {number(n, 'row')}" for t, n in self.rows_dropped.items()]
        lost = [(f"your index {name}", "whose columns go") for name in self.indexes_lost]
        lost += [(f"your trigger {name}", "whose table goes") for name in self.triggers_lost]
        broken = [f"your view {name}" for name in self.views_broken]
        broken += [f"your trigger {name}" for name in self.triggers_broken]
        gone = "does not work any more: what it needs is gone"
        return [
            *((f"drop {what}", f"dropped {what}") for what in rows),
            *((f"drop {what}, {why}", f"dropped {what}") for what, why in lost),
            *((f"break {what}, which needs what goes", f"{what} {gone}") for what in broken),
        ]

    def refuse_obstacles(self, what: str) -> None:
        """Raise the MigrationError that names what is in the way, if anything is."""
        if self.obstacles:
            raise MigrationError(
                f"{what} cannot go to {self.after or BASE}: {'; '.join(self.obstacles)}. Nothing "
                "was changed"
            )

    def parts(self) -> Iterator[Part]:
        """Yield what is done to the tables, in its order; indexes and triggers come after it."""
        for table in self.leftovers:
            told = f"removing {table}, left behind by an unfinished upgrade"
            yield Part(f"removal of {table}", told, [f"DROP TABLE {quoted(table)}"])
        if self.adopt:
            yield Part("writing of the version row", "", version_row(self.before))
        if not self.up and self.before == head():
            yield Part("removal of the indexes", "", leaving_head())
        for step in self.steps:
            name = f"{step.revision} {step.title}"
            told = f"{'applying' if self.up else 'rolling back'} {name}"
            yield Part(name, told, [text_of(step, up=self.up)], step)
        for table in self.made_anew:
            yield Part(
                f"making anew of {table}",
                f"making {table} anew",
                made_again(table, tables_at(self.after)[table]),
            )

    def to_sql(self) -> str:
        """Return a script for the sqlite3 shell that does the same, yoyo's marks aside.

        The next migration puts those right.

        Raises
        ------
        MigrationError
            The run itself would be refused: a script would lose what the run keeps.
        """
        self.refuse_obstacles("a script")
        made = {i.name: i.sql for table in tables_at(self.after).values() for i in table.indexes}
        statements = [
            *(f"DROP TRIGGER {quoted(one.name)}" for one in self.kept if one.kind == "trigger"),
            *(statement for part in self.parts() for statement in part.statements),
            *(made[name] for name in self.indexes),
            *([post_apply()] if self.after == head() else []),
            *(one.sql for one in self.kept),
        ]
        texts = [str(statement).rstrip().removesuffix(";") + ";\n" for statement in statements]
        heading = _HEADING.format(start=self.before or BASE, end=self.after or BASE)
        return "\n".join([heading, *texts, "COMMIT;\n"])

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            **self._asdict(),
            "rows_dropped": dict(self.rows_dropped),
            "steps": [step.revision for step in self.steps],
            "kept": [one.name for one in self.kept],
        }

    def __str__(self) -> str:
        """Say in words, a line for each part, what would be done."""
        return "\n".join(self._lines()) or f"nothing to do: it is at {self.before or BASE}"

    def _lines(self) -> Iterator[str]:
        for obstacle in self.obstacles:
            yield f"refused: {obstacle}"
        for table in self.leftovers:
            yield f"remove {table}, left behind by an unfinished upgrade"
        if self.former is not None:
            yield f"write {self.before} in place of {self.former!r}, an earlier name of it"
        elif self.adopt:
            yield f"add the version row {self.before}, whose tables these are"
        if self.marks_wrong:
            yield f"put yoyo's marks right for {self.before or BASE}"
        for step in self.steps:
            yield f"{'apply' if self.up else 'roll back'} {step.revision}: {step.title}"
        for table in self.made_anew:
            yield f"make {table} anew, which took NULLs that {self.after} does not"
        for name in self.indexes:
            yield f"make the index {name}"
        for one in self.kept:
            yield f"make your {one.kind} {one.name} again, which goes with its table"
        for loss, _ in self.losses:
            yield loss


def make_plan(
    connection: sqlite3.Connection,
    path: Path,
    direction: Direction,
    target: str,
    *,
    timeout: float,
) -> Plan:
    """Look at a file and say what it takes to bring it to `target`.

    Parameters
    ----------
    timeout
        The connection's, for the message should the file stay locked.

    Raises
    ------
    MigrationError
        `target` is no revision, or lies in the other direction.
    StoreError
        The file is none this package may migrate, as `recognise` says.
    """
    plan, state = outline(connection, path, direction, target, timeout=timeout)
    before, after, steps, catalogue = plan.before, plan.after, plan.steps, state.catalogue
    if state.empty or not (steps or plan.adopt):
        return plan
    # Not needed where nothing is to do, as at each start of a container.
    from nexuslims_store.migrations.rehearsal import rehearse  # noqa: PLC0415
    from nexuslims_store.migrations.verification import rows_dropped, unfit_rows  # noqa: PLC0415

    there = {n: table for n, table in catalogue.tables.items() if n not in state.leftovers}
    effects = rehearse(catalogue, path, before, after, leftovers=state.leftovers)
    anew = effects["made_anew"]
    made = {index.name for name in anew for index in tables_at(after)[name].indexes}
    unfit = unfit_rows(connection, there, steps, up=plan.up, after=after, made_anew=anew)
    effects["obstacles"] = (*effects["obstacles"], *unfit)
    return plan._replace(
        indexes=tuple(name for name in plan.indexes if name not in made),
        rows_dropped=rows_dropped(connection, there, after),
        **effects,
    )


def outline(
    connection: sqlite3.Connection,
    path: Path,
    direction: Direction,
    target: str,
    *,
    timeout: float,
) -> tuple[Plan, State]:
    """Return what `make_plan` does, without what becomes of rows and of the facility's own.

    That is enough to know whether there is anything to do.
    """
    state = recognise(connection, path, timeout=timeout)
    before, catalogue = state.revision, state.catalogue
    after = resolve(target, before)
    refuse_other_direction(path, direction, before, after)
    steps = between(before, after)
    plan = Plan(
        before=before,
        after=after,
        empty=state.empty,
        leftovers=state.leftovers,
        adopt=not state.stamped,
        former=state.former,
        marks_wrong=marks_wrong(connection, catalogue, before),
        steps=steps,
        # With steps to run, only they can tell.
        indexes=() if steps else tuple(i.name for i in missing_indexes(catalogue, after)),
    )
    if state.keyless and not plan.nothing_to_do:
        raise lost_key(path, state.keyless[0])
    return plan, state


def to_sql(from_revision: str | None, to_revision: str | None) -> str:
    """Return a script for the sqlite3 shell that does what `upgrade` or `downgrade` would.

    Parameters
    ----------
    from_revision, to_revision
        As for `upgrade`; None is base. `to_revision` may be +N or -N from the other.
    """
    require_type("from_revision", from_revision, (str, NoneType))
    require_type("to_revision", to_revision, (str, NoneType))
    start = resolve(BASE if from_revision is None else from_revision, None)
    end = resolve(BASE if to_revision is None else to_revision, start)
    return Plan(start, end, steps=between(start, end)).to_sql()


def plan_for_new_file(path: Path, target: str) -> Plan:
    """Say what it takes to bring a file that is not there to `target`.

    Raises
    ------
    DatabaseNotFoundError
        Nor is its folder, and it is not this package's own one.
    """
    refuse_missing_folder(Path(os.path.realpath(absolute(path))).parent)
    after = resolve(target, None)
    return Plan(before=None, after=after, empty=True, created=True, steps=between(None, after))


def missing_indexes(catalogue: Catalogue, revision: str | None) -> list[Index]:
    """Return the indexes of the head revision that are not there; none for an older one.

    Files from NexusLIMS's demo and from before 2.2 lack some. On the way to the head they are as
    NexusLIMS itself would have them.
    """
    if revision != head():
        return []
    there = catalogue.contents.names("index", "table", "view")  # those whose name is taken too
    keyless = without_key(catalogue.tables, revision)
    return [
        index
        for table in tables_at(revision).values()
        if table.name not in keyless  # the command that mends one makes its indexes too
        for index in table.indexes
        if index.sql is not None and index.name.lower() not in there
    ]


def refuse_other_direction(
    path: Path | str, direction: Direction, before: str | None, after: str | None
) -> None:
    """Raise a MigrationError if `after` does not lie in the direction that was asked for."""
    way = position(after) - position(before)
    if (way < 0) if direction == "upgrade" else (way > 0):
        side, other = ("older", "downgrade") if direction == "upgrade" else ("newer", "upgrade")
        raise MigrationError(
            f"{path} is at {before or BASE}, and {after or BASE} is {side}: use {other}"
        )


def marks_wrong(connection: sqlite3.Connection, catalogue: Catalogue, revision: str | None) -> bool:
    """Whether yoyo has other steps of our history marked than lead to the revision."""
    marked: set[str] = set()
    # Without the second table the first is in the form that yoyo had long ago.
    if catalogue.names.issuperset(("_yoyo_migration", "_yoyo_version")):
        with leniently(connection):
            marked = {name for (name,) in connection.execute(load("yoyo.sql").list_marks)}
    return not marks_fit(marked, revision)


def marks_fit(marked: set[str], revision: str | None, *, server: bool = False) -> bool:
    """Whether those of our steps are marked that lead to the revision, whatever else is."""
    ours = {step.id for step in history(server=server)}
    return marked & ours == {step.id for step in between(None, revision, server=server)}
