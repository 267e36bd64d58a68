"""This package on files that NexusLIMS 2.3.0 and 2.4.1 made and stamped: up, down, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.interop.former import CHECKS, FILES
from helpers.migration_files import HEAD, expected, facts, query

from nexuslims_store import SchemaMismatchError, Store, migrations
from nexuslims_store.revisions import FORMER

pytestmark = pytest.mark.interop

MakeFormer = Callable[[str], Path]
WRONGLY_STAMPED = "existing, stamped by 2.4.1"
GOOD = [kind for kind in FILES if kind != WRONGLY_STAMPED]


@pytest.mark.parametrize("kind", GOOD)
def test_up_to_the_head_and_down_again(make_former: MakeFormer, kind: str) -> None:
    path = make_former(kind)
    before = FORMER[FILES[kind].revision]
    assert migrations.current(path) == before
    events = query(path, "SELECT * FROM session_log ORDER BY id_session_log")
    report = migrations.upgrade(path)

    assert (report.before, report.adopted) == (before, True)
    assert repr(FILES[kind].revision) in str(report)
    assert facts(path) == expected(HEAD)
    assert query(path, "SELECT * FROM session_log ORDER BY id_session_log") == events
    with Store(path) as store:
        assert store.session_logs.count() == len(events)
    migrations.downgrade(path, before)
    assert facts(path) == expected(before)


@pytest.mark.parametrize("kind", GOOD)
def test_straight_down(make_former: MakeFormer, kind: str) -> None:
    path = make_former(kind)
    migrations.downgrade(path, "base")
    assert facts(path) == expected(None)


def test_tables_and_id_that_disagree(make_former: MakeFormer) -> None:
    path = make_former(WRONGLY_STAMPED)
    before = path.read_bytes()
    with pytest.raises(SchemaMismatchError, match=f"{CHECKS}.*migrate stamp v1_4_3"):
        migrations.upgrade(path)
    assert path.read_bytes() == before
    migrations.stamp(path, "v1_4_3")
    migrations.upgrade(path)
    assert facts(path) == expected(HEAD)
