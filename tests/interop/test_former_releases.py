"""Files made and stamped by NexusLIMS 2.3.0 and 2.4.1, by their own code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.interop.facts import describe, rows, table_names, version_rows
from helpers.interop.former import FILES
from helpers.interop.nexuslims import NexusLIMS

pytestmark = pytest.mark.interop

MakeFormer = Callable[[str], Path]


@pytest.mark.parametrize("kind", FILES)
def test_what_the_releases_made(make_former: MakeFormer, kind: str) -> None:
    path, former = make_former(kind), FILES[kind]
    assert version_rows(path) == [former.revision]
    by_script = {"sqlite_sequence"} if former.by_script else set()
    assert {*table_names(path)} == {"alembic_version", *former.tables, *by_script}
    # What the models say, and no migration of NexusLIMS: a time may be NULL.
    assert ("  timestamp VARCHAR\n" in describe(path)) is not former.by_script
    assert all(rows(path)[table] for table in ("instruments", "session_log"))


@pytest.mark.parametrize("kind", FILES)
def test_nexuslims_itself_can_open_none_of_them(
    nexuslims: NexusLIMS, make_former: MakeFormer, kind: str
) -> None:
    upgrade = nexuslims.db(make_former(kind), "upgrade", check=False)
    assert upgrade.status != 0
    assert f"Can't locate revision identified by '{FILES[kind].revision}'" in upgrade.stderr
