"""What a migration would do to a file."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nexuslims_store.catalogue import Catalogue
from nexuslims_store.errors import MigrationError
from nexuslims_store.layouts import BASE
from nexuslims_store.migrations.script import reference, script
from nexuslims_store.migrations.targets import between, position, resolve
from nexuslims_store.queries import load
from nexuslims_store.recognition import recognise
from nexuslims_store.revisions import Migration, head, history

__all__ = ["Direction", "Plan", "make_plan", "marks_wrong", "missing_indexes", "plan_for_new_file"]

Direction = Literal["upgrade", "downgrade"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a migration would do to a file, in the order in which it would.

    Attributes
    ----------
    before, after
        The revisions it starts from and ends at; None is base.
    empty
        Whether there is nothing in the file, or no file: no backup is made of that.
    leftovers
        Tables of an unfinished upgrade by NexusLIMS, to be removed.
    adopt
        Whether the file has no version row, and gets one.
    marks_wrong
        Whether yoyo's marks do not fit the revision, and are put right.
    steps
        The migrations to run.
    indexes
        Indexes that the file lacks and that are made.
    """

    before: str | None
    after: str | None
    empty: bool
    leftovers: tuple[str, ...]
    adopt: bool
    marks_wrong: bool
    steps: tuple[Migration, ...]
    indexes: tuple[str, ...]

    @property
    def up(self) -> bool:
        """Whether it leads to a newer revision, or to the same."""
        return position(self.after) >= position(self.before)

    @property
    def nothing_to_do(self) -> bool:
        """Whether the file is as it should be."""
        return not (self.steps or self.adopt or self.leftovers or self.marks_wrong or self.indexes)

    @property
    def moves(self) -> tuple[tuple[str | None, str | None], ...]:
        """The revisions that each step leads from and to."""
        pairs = tuple((step.down_revision, step.revision) for step in self.steps)
        return pairs if self.up else tuple((end, start) for start, end in pairs)

    def to_sql(self) -> str:
        """Return a script for the sqlite3 shell that does the same, yoyo's marks aside."""
        return script(
            self.before,
            self.after,
            adopt=self.adopt,
            leftovers=self.leftovers,
            indexes=self.indexes,
        )

    def __str__(self) -> str:
        """Say in words, a line for each part, what would be done."""
        lines = [
            f"remove {table}, left behind by an unfinished upgrade" for table in self.leftovers
        ]
        if self.adopt:
            lines.append(f"add the version row {self.before}, whose tables these are")
        if self.marks_wrong:
            lines.append(f"put yoyo's marks right for {self.before or BASE}")
        verb = "apply" if self.up else "roll back"
        lines += [f"{verb} {step.revision}: {step.title}" for step in self.steps]
        lines += [f"make the index {name}" for name in self.indexes]
        return "\n".join(lines) or f"nothing to do: it is at {self.before or BASE}"


def make_plan(
    connection: sqlite3.Connection,
    path: Path,
    direction: Direction,
    target: str,
    *,
    timeout: float = 30.0,
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
    state = recognise(connection, path, timeout=timeout)
    after = resolve(target, state.revision)
    _refuse_other_direction(path, direction, state.revision, after)
    steps = between(state.revision, after)
    return Plan(
        before=state.revision,
        after=after,
        empty=state.empty,
        leftovers=state.leftovers,
        adopt=not state.stamped,
        marks_wrong=marks_wrong(connection, state.catalogue, state.revision),
        steps=steps,
        # With steps to run, only they can tell.
        indexes=() if steps else missing_indexes(state.catalogue.indexes, after),
    )


def plan_for_new_file(path: Path, target: str) -> Plan:
    """Say what it takes to bring a file that is not there to `target`."""
    after = resolve(target, None)
    _refuse_other_direction(path, "upgrade", None, after)
    return Plan(
        before=None,
        after=after,
        empty=True,
        leftovers=(),
        adopt=False,
        marks_wrong=False,
        steps=between(None, after),
        indexes=(),
    )


def missing_indexes(there: frozenset[str], revision: str | None) -> tuple[str, ...]:
    """Return the indexes of the head revision that are not there; none for an older one.

    Files from NexusLIMS's demo and from before 2.2 lack some. On the way to the head they are as
    NexusLIMS itself would have them.
    """
    if revision != head():
        return ()
    return tuple(name for name in reference(revision).indexes if name not in there)


def _refuse_other_direction(
    path: Path, direction: Direction, before: str | None, after: str | None
) -> None:
    way = position(after) - position(before)
    if (way < 0) if direction == "upgrade" else (way > 0):
        other = "downgrade" if direction == "upgrade" else "upgrade"
        raise MigrationError(
            f"{path} is at {before or BASE}, and {after or BASE} is "
            f"{'older' if way < 0 else 'newer'}: use {other}"
        )


def marks_wrong(connection: sqlite3.Connection, catalogue: Catalogue, revision: str | None) -> bool:
    """Whether yoyo has other steps of our history marked than lead to the revision."""
    marked: set[str] = set()
    # Without the second table the first is in the form that yoyo had long ago.
    if {"_yoyo_migration", "_yoyo_version"} <= catalogue.tables:
        marked = {name for (name,) in connection.execute(load("yoyo.sql")["list_marks"])}
    ours = {step.id for step in history()}
    return marked & ours != {step.id for step in between(None, revision)}
