"""What authors of harvesters and builders have for their own tests."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from helpers.support import contents

from nexuslims_store import RecordStatus, Store
from nexuslims_store.testing import (
    Clock,
    add_session,
    make_instrument,
    make_store,
)


def test_a_store_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "nexuslims.db"
    with make_store(make_instrument("A"), path=path, clock=Clock()) as store:
        add_session(store, instrument="A")
        store.external_ids.store("ned", "nemo", "42")
        assert store.external_ids.list()[0].created_at == Clock().now
    assert [row[0] for row in contents(path)["instruments"]] == ["A"]
    with Store(path, read_only=True) as again:
        assert len(again.sessions.list_to_build()) == 1


def test_sessions_follow_each_other() -> None:
    with make_store(make_instrument("A"), make_instrument("B")) as store:
        made = [add_session(store) for _ in range(5)]
        store.sessions.delete(made[1].session_identifier)
        made[1] = add_session(store, instrument="B", duration=timedelta(minutes=5))
        assert len({session.session_identifier for session in made}) == 5
        made.sort(key=lambda session: session.dt_from)
        assert store.sessions.list_to_build() == made
        named = add_session(store, "mine", start=datetime(2024, 1, 1), user=None)
        assert store.sessions.get("mine") == named == store.sessions.list_to_build()[0]


def test_a_session_of_which_nothing_is_said_is_the_same_each_time() -> None:
    with make_store(make_instrument("B"), make_instrument("A")) as store:
        first = add_session(store, uploads={"cdcs": True, "eln": False})
        second = add_session(store)
        address = "https://nemo.example.com/api/usage_events/?id="
        assert [one.session_identifier for one in (first, second)] == [f"{address}1", f"{address}2"]
        assert (first.instrument.name, first.user) == ("A", "ned")
        assert first.dt_from.isoformat() == "2025-01-02T09:00:00-05:00"
        assert first.dt_to - first.dt_from == timedelta(hours=2, minutes=30)
        assert second.dt_from - first.dt_from == timedelta(days=1)
        latest = store.upload_logs.latest(first.session_identifier)
        messages = {name: log.error_message for name, log in latest.items()}
        assert messages == {"cdcs": None, "eln": "the destination did not answer"}


@pytest.mark.parametrize("status", RecordStatus)
def test_a_session_is_left_as_a_builder_leaves_it(status: RecordStatus) -> None:
    with make_store() as store:
        session = add_session(store, status=status, uploads={"cdcs": True, "eln": False})
        assert store.sessions.counts_by_status() == {status: 1}
        waits = status in {RecordStatus.TO_BE_BUILT, RecordStatus.WAITING_FOR_END}
        assert store.session_logs.count() == (2 if waits else 3)
        latest = store.upload_logs.latest(session.session_identifier)
        assert {name: log.success for name, log in latest.items()} == {"cdcs": True, "eln": False}


def run(*words: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_of_pytest_is_imported_without_it(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom nexuslims_store.testing import make_store\nmake_store().close()\n"
        "assert not {'pytest', '_pytest', 'hypothesis'} & sys.modules.keys()"
    )
    run("-W", "error", "-c", code, folder=tmp_path)


@pytest.mark.slow
def test_three_lines_are_a_test_of_a_harvester(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from nexuslims_store.testing import add_session\n"
        "def test_mine(store):\n"
        "    assert add_session(store, user='alice') == store.sessions.list_to_build()[0]\n"
    )
    options = ("-q", "-W", "error", "-p", "no:cacheprovider", "-p", "nexuslims_store.testing")
    assert "1 passed" in run("-m", "pytest", *options, folder=tmp_path)
