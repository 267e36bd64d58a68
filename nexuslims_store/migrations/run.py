"""One run: a look, and where there is something to do, the change."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nexuslims_store.display import number
from nexuslims_store.errors import (
    CorruptDatabaseError,
    DatabaseLockedError,
    ReadOnlyError,
    StorageFullError,
)
from nexuslims_store.migrations.opening import is_there, opened
from nexuslims_store.migrations.plan import Direction, Plan, outline, plan_for_new_file
from nexuslims_store.revisions import BASE

NOT_ITS_FAULT = (CorruptDatabaseError, DatabaseLockedError, ReadOnlyError, StorageFullError)
"""What can stop a migration and has nothing to do with it."""

_TOLD_OF_A_PLAN = (
    *("before", "after", "former", "made_anew", "rows_dropped", "indexes_lost", "triggers_lost"),
    *("views_broken", "triggers_broken"),
)


class MigrationReport(NamedTuple):
    """What a migration did.

    Attributes
    ----------
    path
        The file; of a database on PostgreSQL, the URL without its password.
    plan
        What was planned under the lock, all of which was done.
    backup
        The copy of the file as it was before; None for a new file, if nothing was to do, and if
        no backup was wanted.
    harvesters_filled
        How many instruments of a file from before 2.2 had no harvester and got "nemo".
    created
        Whether the file was made.
    changed
        Whether anything in the file was changed, or the file was made.
    seconds
        How long it took.
    """

    path: Path | str
    plan: Plan
    backup: Path | None = None
    harvesters_filled: int = 0
    created: bool = False
    changed: bool = False
    seconds: float = 0.0

    @property
    def before(self) -> str | None:
        """The revision before; None is base."""
        return self.plan.before

    @property
    def after(self) -> str | None:
        """The revision after; None is base."""
        return self.plan.after

    @property
    def applied(self) -> tuple[str, ...]:
        """The revisions of the steps that ran, in order; going down, those that were left."""
        return tuple(step.revision for step in self.plan.steps)

    @property
    def adopted(self) -> bool:
        """Whether the file had no version row of today, and was recognised by its tables."""
        return self.plan.adopt

    @property
    def leftovers_removed(self) -> tuple[str, ...]:
        """Tables of an unfinished upgrade that were removed. They are in the backup."""
        return self.plan.leftovers

    @property
    def indexes_lost(self) -> tuple[str, ...]:
        """Indexes of the facility's own that are gone, because their columns are."""
        return self.plan.indexes_lost

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        plan = self.plan
        return {
            **{name: value for name, value in self._asdict().items() if name != "plan"},
            "applied": self.applied,
            "adopted": plan.adopt,
            "leftovers_removed": plan.leftovers,
            **{name: getattr(plan, name) for name in _TOLD_OF_A_PLAN},
        }

    def __str__(self) -> str:
        """Say in words what was done."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        plan, path = self.plan, self.path
        before, after = plan.before or BASE, plan.after or BASE
        if not self.changed:
            yield f"{path} is at {after}; there was nothing to do"
            return
        done = f"created {path}, at {after}"
        if not self.created:
            done = f"{path} is now at {after}; it was at {before}"
        yield f"{done} ({number(len(plan.steps), 'step')}, {self.seconds:.1f} s)"
        if plan.former is not None:
            yield f"its version row was {plan.former!r}, an earlier name of {before}"
        elif plan.adopt:
            yield "it had no version row and was recognised by its tables"
        if plan.leftovers:
            yield f"removed what an unfinished upgrade had left behind: {', '.join(plan.leftovers)}"
        if self.harvesters_filled:
            filled = number(self.harvesters_filled, "instrument")
            yield f"{filled} without a harvester got 'nemo'"
        if plan.made_anew:
            yield f"made anew, since they took NULLs: {', '.join(plan.made_anew)}"
        for _, loss in plan.losses:
            yield loss
        if self.backup is not None:
            yield f"the file as it was before: {self.backup}"


class Options(NamedTuple):
    """How a run is to be done: the arguments of `upgrade` that are not about what is done."""

    backup: bool
    timeout: float
    say: Callable[[str], None] = lambda _: None
    percent: Callable[[int, int], None] | None = None


def run(path: Path, direction: Direction, target: str, options: Options) -> MigrationReport:
    """Bring a file up or down; see `upgrade`."""
    started = time.monotonic()
    new = direction == "upgrade" and not is_there(path)
    if new:
        plan = plan_for_new_file(path, target)
    else:
        with opened(path, timeout=options.timeout) as connection:
            plan, _ = outline(connection, path, direction, target, timeout=options.timeout)
    report = MigrationReport(path, plan)
    if not plan.nothing_to_do:
        # Imported now: `migrate` with nothing to do runs at each start of a container.
        from nexuslims_store.migrations import change  # noqa: PLC0415

        made = change.create(path, plan, options) if new else None
        report = made or change.move(path, direction, target, options)
    return report._replace(seconds=time.monotonic() - started)
