"""Every revision, reached in every way, is taken up and down by both programs in turns."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.interop.facts import (
    REMOVE_COMPUTER_FIELDS,
    REVISIONS,
    Expected,
    describe,
    rows,
    version_rows,
)
from helpers.interop.files import fill, make_before_2_2
from helpers.interop.nexuslims import NexusLIMS

from nexuslims_store import migrations

pytestmark = pytest.mark.interop

FORMER_COLUMNS = ("calendar_name", "computer_name", "computer_ip", "computer_mount")


Origin = Callable[[NexusLIMS, Path, str], Expected]


def made_by_nexuslims(nexuslims: NexusLIMS, path: Path, revision: str) -> Expected:
    path.touch()  # as `nexuslims db init` does
    nexuslims.db(path, "upgrade", revision)
    return Expected.fresh(revision)


def from_before_2_2(nexuslims: NexusLIMS, path: Path, revision: str) -> Expected:
    make_before_2_2(path)
    nexuslims.db(path, "alembic", "stamp", "v1_4_3")
    nexuslims.db(path, "upgrade", revision)
    return Expected.before_2_2(revision)


def made_here(nexuslims: NexusLIMS, path: Path, revision: str) -> Expected:
    migrations.upgrade(path, target=revision)
    return Expected.fresh(revision)


def route(revision: str) -> list[str | None]:
    """Return the revisions to go through, one step each: to the head, to base, to the head."""
    history = [None, *REVISIONS]
    here = history.index(revision)
    return [*history[here + 1 :], *history[-2::-1], *history[1:]]


def rows_after(
    before: dict[str, list[dict[str, str]]], old: Expected, new: Expected, *, by_nexuslims: bool
) -> dict[str, list[dict[str, str]]]:
    """Return the rows that must be there after a step, to the byte."""
    after = {table: before.get(table, []) for table in new.names()}
    if new.revision == REMOVE_COMPUTER_FIELDS and "schema_name" in old.instruments:
        after["instruments"] = [
            {column: value for column, value in row.items() if column not in FORMER_COLUMNS}
            | {"display_name": row["schema_name"]}
            for row in before["instruments"]
        ]
        for row in after["instruments"]:
            del row["schema_name"]
    if old.revision == REMOVE_COMPUTER_FIELDS and "schema_name" in new.instruments:
        # What the column held is gone. It may not be NULL, except where NexusLIMS made it.
        filling = dict.fromkeys(FORMER_COLUMNS, "NULL")
        if not by_nexuslims:
            filling["calendar_name"] = "''"
        after["instruments"] = [
            {column: value for column, value in row.items() if column != "display_name"}
            | {"schema_name": row["display_name"]}
            | filling
            for row in before["instruments"]
        ]
    return after


@pytest.mark.parametrize("first", ["NexusLIMS", "here"])
@pytest.mark.parametrize("origin", [made_by_nexuslims, from_before_2_2, made_here])
@pytest.mark.parametrize("revision", REVISIONS)
def test_up_and_down_in_turns(
    nexuslims: NexusLIMS, tmp_path: Path, revision: str, origin: Origin, first: str
) -> None:
    path = tmp_path / "nexuslims.db"
    state = origin(nexuslims, path, revision)
    assert describe(path) == state.tables()

    by_nexuslims = first == "NexusLIMS"
    for target in route(revision):
        fill(path)
        before = rows(path)
        old = state
        up = old.revision is None or (
            target is not None and REVISIONS.index(target) > REVISIONS.index(old.revision)
        )
        if by_nexuslims:
            nexuslims.db(path, "upgrade" if up else "downgrade", target or "base")
        elif up:
            assert target is not None
            migrations.upgrade(path, target=target)
        else:
            migrations.downgrade(path, target=target or "base")
        down = {"by_nexuslims": by_nexuslims}
        if up and target is not None:
            state = old.after_upgrade(target)
        else:
            state = old.after_downgrade(**down)

        step = f"{old.revision} -> {target} by {'NexusLIMS' if by_nexuslims else 'us'}"
        assert describe(path) == state.tables(), step
        assert rows(path) == rows_after(before, old, state, by_nexuslims=by_nexuslims), step
        assert version_rows(path) == ([target] if target else []), step
        assert migrations.current(path) == target, step
        assert nexuslims.current(path) == target, step
        by_nexuslims = not by_nexuslims

    # Nothing else is left beside the file but backups.
    others = {other.name for other in tmp_path.iterdir()} - {path.name}
    assert all(re.fullmatch(r"nexuslims_backup_\d{8}_\d{6}(_\d+)?\.db", name) for name in others)
