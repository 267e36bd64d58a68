"""Enums: each mirrors a CHECK of the tables, member for member."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from enum import Enum
from typing import get_args

import pytest
from helpers.older_lineage import EVENT_COLUMNS
from helpers.support import add_pair, memory_store

from nexuslims_store import EventType, ExternalSystem, RecordStatus, Store
from nexuslims_store.enums import StatusName, SystemName

EVENT = f"INSERT INTO session_log {EVENT_COLUMNS} VALUES"
INSERTS: dict[type[Enum], str] = {
    EventType: f"{EVENT} (99, 's', 'i', '2025-01-01', ?, 'ERROR', NULL)",
    RecordStatus: f"{EVENT} (99, 's', 'i', '2025-01-01', 'START', ?, NULL)",
    ExternalSystem: (
        "INSERT INTO external_user_identifiers (nexuslims_username, external_system, external_id, "
        "created_at) VALUES ('ned', ?, '42', '2025-01-01')"
    ),
}
CHECKS = {
    EventType: ("session_log", "check_event_type"),
    RecordStatus: ("session_log", "check_record_status"),
    ExternalSystem: ("external_user_identifiers", "valid_external_system"),
}
MEMBERS = [member for enum in INSERTS for member in enum]

every_enum = pytest.mark.parametrize("enum", INSERTS)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A database at the head, without the keepers of references."""
    with Store(":memory:") as store:
        store.connection.execute("PRAGMA foreign_keys = OFF")
        yield store.connection


@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_a_member_passes_its_check(connection: sqlite3.Connection, member: Enum) -> None:
    connection.execute(INSERTS[type(member)], (member.value,))


@every_enum
@pytest.mark.parametrize("foreign", ["", "DONE", "start", "NEMO", "START ", 0, b"START"])
def test_a_foreign_value_fails_it(
    connection: sqlite3.Connection, enum: type[Enum], foreign: object
) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(INSERTS[enum], (foreign,))
    with pytest.raises(ValueError, match=enum.__name__):
        enum(foreign)


@every_enum
def test_the_check_has_no_other_values(connection: sqlite3.Connection, enum: type[Enum]) -> None:
    table, constraint = CHECKS[enum]
    (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    (values,) = re.findall(rf"CONSTRAINT {constraint}\s+CHECK\s*\(\s*\w+ IN \(([^)]*)\)", sql)
    assert set(re.findall(r"'([^']*)'", values)) == {member.value for member in enum}


@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_a_member_is_its_text(member: Enum) -> None:
    assert isinstance(member, str)
    assert member == member.value
    assert hash(member) == hash(member.value)
    assert type(member)(member.value) is member


def test_members_as_parameters_of_sql_are_their_texts() -> None:
    with memory_store() as store:
        add_pair(store)
        ((count,),) = store.connection.execute(
            "SELECT count(*) FROM session_log WHERE event_type = ? AND record_status = ?",
            (EventType.START, RecordStatus.TO_BE_BUILT),
        )
        assert count == 1


@pytest.mark.parametrize(
    ("names", "enum"), [(StatusName, RecordStatus), (SystemName, ExternalSystem)]
)
def test_the_names_for_type_checkers_are_those_of_the_members(
    names: object, enum: type[Enum]
) -> None:
    assert get_args(names) == tuple(member.value for member in enum)
