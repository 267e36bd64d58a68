"""The errors: what mends them, in the words of whoever reads, and that they travel whole."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.support import new_database

from nexuslims_store import DatabaseLockedError, InvalidRowError, Store, StoreError
from nexuslims_store.cli import main


def test_a_remedy_is_a_call_in_python_and_a_command_in_a_command() -> None:
    error = StoreError("it is locked", call="wait with timeout=…", command="wait with --timeout")
    assert str(error) == "it is locked; wait with timeout=…"
    assert error.for_command == "it is locked; wait with --timeout"
    assert StoreError("it is damaged").for_command == str(StoreError("it is damaged"))


@pytest.mark.parametrize(
    "travel",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
def test_an_error_travels_whole(travel: Callable[[Any], Any]) -> None:
    error = InvalidRowError(
        "row 7 is odd", table="instruments", row_id=7, column="location", call="a", command="b"
    )
    found = travel(error)
    assert type(found) is InvalidRowError
    assert str(found) == str(error) == "row 7 is odd; a"
    assert vars(found) == vars(error)
    assert (found.table, found.row_id, found.column) == ("instruments", 7, "location")
    assert found.for_command == "row 7 is odd; b"


def test_who_ran_a_command_is_told_of_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing.db"
    with pytest.raises(StoreError, match=r"migrate=True") as caught:
        Store(missing)
    assert "--db" not in str(caught.value)
    assert main(["--db", str(missing), "sessions", "list"]) == 2
    said = capsys.readouterr().err
    assert "--db" in said
    assert "nexuslims-store migrate" in said
    assert "migrate=True" not in said


def test_a_lock_names_the_timeout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = new_database(tmp_path)
    with Store(path) as store:
        store.connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseLockedError, match=r"timeout=") as caught:
            Store(path, timeout=0)
        assert "--timeout" in caught.value.for_command
        assert main(["--db", str(path), "--timeout", "0", "sessions", "list"]) == 2
    said = capsys.readouterr().err
    assert "--timeout" in said
    assert "timeout=" not in said
