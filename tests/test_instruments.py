"""Instruments: stored, found by PID, address and path, changed, removed, counted."""

from __future__ import annotations

import itertools
import re
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from helpers.older_lineage import EVENT_COLUMNS
from helpers.support import (
    PID,
    SESSION,
    add_pair,
    contents,
    instrument,
    log,
    memory_store,
    new_store,
    place_of,
    write,
)
from pydantic import ValidationError

from nexuslims_store import (
    DuplicateError,
    EventType,
    InstrumentActivity,
    InstrumentInUseError,
    InvalidRowError,
    Store,
    StoreError,
    UnknownInstrumentError,
)

pytestmark = pytest.mark.usefixtures("each_store")


def test_an_instrument_is_found_by_pid_and_by_address() -> None:
    titan = instrument("Titan", api_url="https://nemo.example.com/api/tools/?id=1")
    quanta = instrument("Quanta", api_url="https://nemo.example.com/api/tools/?id=10")
    with memory_store(titan, quanta) as store:
        assert store.instruments.get("Titan") == titan
        assert store.instruments.get("titan") is None
        assert store.instruments.get_by_api_url(titan.api_url) == titan
        assert store.instruments.get_by_api_url(quanta.api_url) == quanta
        assert store.instruments.get_by_api_url(titan.api_url[:-1]) is None
        assert store.instruments.list() == [quanta, titan]
        assert store.instruments.as_dict() == {"Quanta": quanta, "Titan": titan}


def test_there_may_be_none() -> None:
    with Store(":memory:") as store:
        assert store.instruments.list() == []
        assert store.instruments.as_dict() == {}
        assert store.instruments.activity() == []
        assert store.instruments.get(PID) is None
        assert store.instruments.find_by_path("/data/a.dm3", root="/data") is None


def test_what_is_read_is_what_is_there_now(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        assert store.instruments.as_dict().keys() == {PID}
        write(store, "DELETE FROM instruments")
        assert store.instruments.as_dict() == {}
        assert store.instruments.get(PID) is None


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"pid": PID, "api_url": "https://elsewhere.example.com/"}, PID),
        ({"pid": "Other", "api_url": instrument().api_url}, PID),
        ({"pid": PID}, PID),
    ],
    ids=["pid", "api_url", "both"],
)
def test_a_pid_and_an_address_belong_to_one_instrument(
    tmp_path: Path, values: dict[str, str], named: str
) -> None:
    with new_store(tmp_path) as store:
        before = contents(store)
        with pytest.raises(DuplicateError, match=named) as caught:
            store.instruments.add(instrument(**values))
        assert isinstance(caught.value.__cause__, StoreError)
        assert contents(store) == before


def test_an_update_changes_every_value_but_the_pid() -> None:
    new = instrument(
        api_url="https://other.example.com/",
        calendar_url="other calendar",
        location="other room",
        display_name="other name",
        property_tag="other tag",
        filestore_path="other/path",
        harvester="sharepoint_calendar",
        timezone_str="Europe/Berlin",
    )
    old = instrument().model_dump(exclude={"instrument_pid"})
    assert all(new.model_dump()[name] != value for name, value in old.items())
    bystander = instrument("Bystander")
    with memory_store(instrument(), bystander) as store:
        assert store.instruments.update(new) == new
        assert store.instruments.as_dict() == {PID: new, "Bystander": bystander}


def test_an_update_of_nothing_or_to_a_taken_address_is_refused() -> None:
    with memory_store(instrument("A"), instrument("B")) as store:
        with pytest.raises(UnknownInstrumentError, match="'C'"):
            store.instruments.update(instrument("C"))
        with pytest.raises(DuplicateError, match="'A'"):
            store.instruments.update(instrument("B", api_url=instrument("A").api_url))
        assert store.instruments.list() == [instrument("A"), instrument("B")]


def test_two_that_are_given_one_address_are_named_and_nothing_that_is_not_there() -> None:
    with memory_store(instrument("A")) as store:
        one = instrument("A").model_copy(update={"api_url": "https://nemo.example.com/9"})
        with pytest.raises(
            DuplicateError, match="'B' and 'A' are given the same api_url"
        ) as caught:
            store.instruments.store_many([one, one.model_copy(update={"instrument_pid": "B"})])
        assert "already" not in caught.value.for_command
        assert store.instruments.list() == [instrument("A")]


def test_an_instrument_is_removed_unless_it_was_used() -> None:
    with memory_store(instrument(), instrument("Unused")) as store:
        add_pair(store)
        with pytest.raises(InstrumentInUseError, match="2 session logs"):
            store.instruments.remove(PID)
        store.instruments.remove("Unused")
        assert store.instruments.list() == [instrument()]
        store.sessions.delete(log().session_identifier)
        store.instruments.remove(PID)
        assert store.instruments.list() == []
        with pytest.raises(UnknownInstrumentError, match=PID):
            store.instruments.remove(PID)


def test_a_used_instrument_is_not_removed_and_nobody_is_told_to_delete_its_history() -> None:
    with memory_store() as store:
        add_pair(store)
        with pytest.raises(InstrumentInUseError) as caught:
            store.instruments.remove(PID)
        for message in (str(caught.value), caught.value.for_command):
            assert "rename" in message
            assert not re.search("delet|remove (the|those|its)", message)


# -- renamed ---------------------------------------------------------------------------


def test_an_instrument_is_renamed_with_its_sessions(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.instruments.add(instrument("Bystander"))
        write(store, "ALTER TABLE instruments ADD COLUMN room TEXT")
        write(store, "UPDATE instruments SET room = instrument_pid")
        add_pair(store)
        add_pair(store, "other", instrument="Bystander")
        before = store.session_logs.list_for_session(SESSION)
        assert store.instruments.rename(PID, "Titan") == 2
        renamed = instrument().model_copy(update={"instrument_pid": "Titan"})
        assert store.instruments.list() == [instrument("Bystander"), renamed]
        assert store.session_logs.list_for_session(SESSION) == [
            row.model_copy(update={"instrument": "Titan"}) for row in before
        ]
        assert store.session_logs.list_for_session("other")[0].instrument == "Bystander"
        rooms = store.connection.execute("SELECT room FROM instruments ORDER BY 1").fetchall()
        assert rooms == [("Bystander",), (PID,)]
        if store.path:
            assert store.connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert [session.instrument for session in store.sessions.list_to_build()] != []


def test_a_rename_that_cannot_be_changes_nothing(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.instruments.add(instrument("Other"))
        add_pair(store)
        before = contents(store)
        with pytest.raises(DuplicateError, match="'Other' already"):
            store.instruments.rename(PID, "Other")
        with pytest.raises(UnknownInstrumentError, match="'None'"):
            store.instruments.rename("None", "New")
        for bad in ("", "NUL\0"):
            with pytest.raises(ValidationError, match="instrument_pid"):
                store.instruments.rename(PID, bad)
        with suppress(ZeroDivisionError), store.transaction():
            store.instruments.rename(PID, "New")
            raise ZeroDivisionError
        assert contents(store) == before
        assert store.instruments.rename(PID, PID) == 2
        assert {table: sorted(rows) for table, rows in contents(store).items()} == {
            table: sorted(rows) for table, rows in before.items()
        }


def test_foreign_keys_are_enforced_again_after_a_rename() -> None:
    with memory_store() as store, store.transaction():
        store.instruments.rename(PID, "New")
        with pytest.raises(UnknownInstrumentError):
            store.session_logs.insert(log(instrument=PID))


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("follows", [True, False])
def test_a_table_of_the_facilitys_own_follows_or_is_in_the_way_of_a_rename(
    tmp_path: Path, nested: bool, follows: bool
) -> None:
    with new_store(tmp_path) as store:
        write(
            store,
            'CREATE TABLE "my ""own" (pid TEXT REFERENCES Instruments(instrument_pid)'
            + (" ON UPDATE CASCADE)" if follows else ")"),
            ('INSERT INTO "my ""own" (pid) VALUES (?)', (PID,)),
        )
        with store.transaction() if nested else nullcontext():
            if follows:
                assert store.instruments.rename(PID, "New") == 0
            else:
                with pytest.raises(InstrumentInUseError, match='my "own'):
                    store.instruments.rename(PID, "New")
        pid = "New" if follows else PID
        assert [one.name for one in store.instruments.list()] == [pid]
        assert store.connection.execute('SELECT pid FROM "my ""own"').fetchall() == [(pid,)]


@pytest.mark.parametrize("action", ["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"])
def test_rows_of_the_facilitys_own_are_named_and_do_not_vanish(tmp_path: Path, action: str) -> None:
    with new_store(tmp_path) as store:
        store.instruments.add(instrument("Free"))
        refers = "TEXT REFERENCES instruments"
        for table in (
            f"my_slots (pid {refers} (instrument_pid) ON DELETE {action} ON UPDATE {action})",
            f'"the ""own" (pid {refers} ON DELETE {action} ON UPDATE {action})',
            f"addresses (url {refers} (api_url) ON DELETE {action})",
        ):
            write(store, f"CREATE TABLE {table}")
        for table in ("my_slots", "my_slots", '"the ""own"'):
            write(store, (f"INSERT INTO {table} (pid) VALUES (?)", (PID,)))
        write(store, ("INSERT INTO addresses (url) VALUES (?)", (instrument().api_url,)))
        with pytest.raises(InstrumentInUseError) as caught:
            store.instruments.remove(PID)
        for said in ("2 rows of 'my_slots'", "1 row of 'the \"own'", "1 row of 'addresses'"):
            assert said in str(caught.value)
        if action != "CASCADE":
            with pytest.raises(
                InstrumentInUseError, match=r"2 rows of 'my_slots', 1 row of .* would"
            ) as caught:
                store.instruments.rename(PID, "New")
            assert "addresses" not in str(caught.value)
        assert store.connection.execute("SELECT pid FROM my_slots").fetchall() == [(PID,)] * 2
        add_pair(store)
        with pytest.raises(InstrumentInUseError, match="2 session logs, 1 row of 'addr"):
            store.instruments.remove(PID)
        store.instruments.remove("Free")


def test_a_table_that_refers_to_one_that_follows_is_in_the_way_of_a_rename(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        follows = "VARCHAR(100) PRIMARY KEY REFERENCES instruments ON UPDATE CASCADE"
        write(
            store,
            f"CREATE TABLE a (pid {follows})",
            *(f"CREATE TABLE {table} (pid VARCHAR(100) REFERENCES A (pid))" for table in "gfedcb"),
            *((f"INSERT INTO {table} (pid) VALUES (?)", (PID,)) for table in "abcdefg"),
        )
        before = contents(store)
        with pytest.raises(
            InstrumentInUseError, match=r"is not renamed: rows of .*(table 'b'|\"[b-g]\")"
        ):
            store.instruments.rename(PID, "New")
        assert contents(store) == before


def test_an_index_of_the_facilitys_own_that_refuses_a_new_pid_is_no_other_instrument(
    tmp_path: Path,
) -> None:
    with new_store(tmp_path) as store:
        store.instruments.add(instrument("Other"))
        write(store, "CREATE UNIQUE INDEX mine ON instruments (substr(instrument_pid, 1, 1))")
        with pytest.raises(StoreError, match="mine") as caught:
            store.instruments.rename(PID, "Own")
        assert not isinstance(caught.value, DuplicateError | InstrumentInUseError)
        assert store.instruments.rename(PID, "New") == 0


@pytest.mark.only_sqlite("PostgreSQL lets no row refer to what is not there")
def test_rows_that_referred_to_nothing_before_are_not_in_the_way_of_a_rename(
    tmp_path: Path,
) -> None:
    with new_store(tmp_path) as store:
        write(
            store,
            "CREATE TABLE own (pid PRIMARY KEY REFERENCES instruments ON UPDATE CASCADE)",
            "CREATE TABLE further (pid REFERENCES own (pid))",
            "INSERT INTO own (pid) VALUES ('nobody')",
            "INSERT INTO further (pid) VALUES ('nothing')",
            "ALTER TABLE instruments ADD COLUMN room REFERENCES own (pid)",
            "UPDATE instruments SET room = 'nowhere'",
        )
        assert store.instruments.rename(PID, "New") == 0


def test_an_instrument_that_refers_to_itself_is_removed_and_not_renamed(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        write(
            store,
            "ALTER TABLE instruments ADD COLUMN parent VARCHAR(100) "
            "REFERENCES instruments (instrument_pid)",
            "UPDATE instruments SET parent = instrument_pid",
        )
        with pytest.raises(InstrumentInUseError, match="1 row of 'instruments'"):
            store.instruments.rename(PID, "New")
        store.instruments.remove(PID)
        assert store.instruments.list() == []


def test_a_column_of_the_facilitys_own_in_the_log_is_in_the_way_too(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.instruments.add(instrument("Other"))
        write(
            store, "ALTER TABLE session_log ADD COLUMN helper VARCHAR(100) REFERENCES instruments"
        )
        add_pair(store, instrument="Other")
        write(store, ("UPDATE session_log SET helper = ?", (PID,)))
        with pytest.raises(InstrumentInUseError, match=r"^2 rows of 'session_log' refer"):
            store.instruments.remove(PID)


def test_a_zone_that_a_copy_has_got_is_spelt_as_any_other(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        odd = {"timezone_str": "europe/berlin"}
        for change, pid in ((store.instruments.update, PID), (store.instruments.add, "Other")):
            assert change(instrument(pid).model_copy(update=odd)).timezone_str == "Europe/Berlin"
        assert {one.timezone_str for one in store.instruments.list()} == {"Europe/Berlin"}


def test_an_odd_instrument_can_be_renamed() -> None:
    with memory_store() as store:
        store.connection.execute("UPDATE instruments SET instrument_pid = '', timezone = 5")
        assert store.instruments.rename("", "Titan") == 0
        assert store.instruments.stored()[0]["instrument_pid"] == "Titan"


# -- many at once ----------------------------------------------------------------------


@pytest.mark.parametrize("order", [*itertools.permutations(range(4))])
def test_instruments_exchange_their_addresses_in_any_order(order: tuple[int, ...]) -> None:
    old = [instrument(pid) for pid in "ABC"]
    turned = [
        instrument(pid, api_url=instrument(url).api_url)
        for pid, url in (("A", "B"), ("B", "C"), ("C", "D"), ("D", "A"))
    ]
    with memory_store(*old, instrument("Other")) as store:
        add_pair(store, instrument="A")
        assert store.instruments.store_many(turned[place] for place in order) == (1, 3, 0)
        assert store.instruments.list() == [*turned, instrument("Other")]
        assert store.instruments.store_many([*turned, turned[0]]) == (0, 0, 4)
        assert store.instruments.store_many([]) == (0, 0, 0)


def test_an_address_that_stays_is_left_alone_with_what_refers_to_it(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.instruments.add(instrument("Other"))
        url = instrument().api_url
        write(
            store,
            "CREATE TABLE own (url VARCHAR REFERENCES instruments (api_url))",
            ("INSERT INTO own (url) VALUES (?)", (url,)),
        )
        moved = [instrument(location="B 2"), instrument("Other", api_url="https://other")]
        assert store.instruments.store_many(moved) == (0, 2, 0)
        assert store.instruments.as_dict() == {one.instrument_pid: one for one in moved}
        with pytest.raises(StoreError, match=r"(?i)foreign key"):
            store.instruments.store_many([instrument(api_url="https://new")])
        assert store.connection.execute("SELECT url FROM own").fetchall() == [(url,)]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([("New", "Other")], "'New'.*'Other'"),
        ([("A", "B")], "'A'.*'B'"),
        ([("New", "x"), ("Newer", "x")], "'Newer'.*'New'"),
        ([("New", "x"), ("New", "y")], "'New' is given twice"),
        ([("A", "New"), ("B", "New")], "'B'.*'A'"),
    ],
)
def test_a_batch_with_a_clash_changes_nothing(
    tmp_path: Path, given: list[tuple[str, str]], says: str
) -> None:
    with new_store(tmp_path) as store:
        store.instruments.store_many([instrument("A"), instrument("B"), instrument("Other")])
        before = contents(store)
        with pytest.raises(DuplicateError, match=says):
            store.instruments.store_many(
                [instrument(pid, api_url=instrument(url).api_url) for pid, url in given]
            )
        assert contents(store) == before


# -- by path ---------------------------------------------------------------------------

FOLDERS = {
    "Titan": "./Titan",
    "Titan2": "Titan2/",
    "Deep": "./Titan/deep/er",
    "Slash": "/Slash",
    "Empty": "",
    "Dot": "./",
    "Outside": "../outside/deep",
    "Round": "a/../Round about",
    "Absolute": "/data/Absolute",
    "Unicode": "Gerät %20#?",
}


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("/data/Titan/a.dm3", "Titan"),
        ("/data/Titan/x/y/../z.dm3", "Titan"),
        ("/data/Titan", "Titan"),
        ("/data//Titan/./a.dm3", "Titan"),
        ("/data/Titan2/a.dm3", "Titan2"),
        ("/data/Titan22/a.dm3", None),
        ("/data/Titan/deep/er/a.dm3", "Deep"),
        ("/data/Titan/deep/erosion/a.dm3", "Titan"),
        ("/data/Titan/../Titan2/a.dm3", "Titan2"),
        ("/data/Slash/a.dm3", "Slash"),
        ("/data/Round about/a.dm3", "Round"),
        ("/data/Gerät %20#?/a.dm3", "Unicode"),
        ("/data/a.dm3", None),
        ("/data", None),
        ("/outside/deep/a.dm3", None),
        ("/datum/Titan/a.dm3", None),
        ("/elsewhere/data/Titan/a.dm3", None),
        ("/data/data/Absolute/a.dm3", "Absolute"),
    ],
)
@pytest.mark.parametrize("as_path", [str, Path])
def test_the_instrument_of_a_file(file: str, found: str | None, as_path: type) -> None:
    instruments = [instrument(pid, filestore_path=folder) for pid, folder in FOLDERS.items()]
    with memory_store(*instruments) as store:
        match = store.instruments.find_by_path(as_path(file), root=as_path("/data"))
    assert (match and match.instrument_pid) == found


def test_the_root_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with memory_store() as store:
        monkeypatch.setenv("NX_INSTRUMENT_DATA_PATH", str(tmp_path))
        assert store.instruments.find_by_path(tmp_path / PID / "a.dm3") == instrument()
        assert store.instruments.find_by_path(tmp_path / PID / "a.dm3", root="/data") is None
        monkeypatch.chdir(tmp_path)
        assert store.instruments.find_by_path(f"{PID}/a.dm3", root=".") == instrument()
        for unset in ("", None):
            if unset is None:
                monkeypatch.delenv("NX_INSTRUMENT_DATA_PATH")
            else:
                monkeypatch.setenv("NX_INSTRUMENT_DATA_PATH", unset)
            with pytest.raises(StoreError, match="NX_INSTRUMENT_DATA_PATH"):
                store.instruments.find_by_path(tmp_path / PID / "a.dm3")


# -- activity --------------------------------------------------------------------------


def test_activity_counts_sessions_and_finds_the_last_by_instant() -> None:
    berlin = instrument("Berlin", timezone_str="Europe/Berlin")
    with memory_store(berlin, instrument("Idle"), instrument()) as store:
        # By their texts the first would be the last.
        add_pair(store, "1", "2025-06-02T23:00:00+12:00", "2025-06-02T23:30:00+12:00")
        add_pair(store, "2", "2025-06-02T20:00:00-04:00", "2025-06-02T21:30:00-04:00")
        add_pair(store, "3", "2025-06-01T09:00:00-04:00", "2025-06-04T09:30:00-04:00")
        store.session_logs.insert(log(instrument="Berlin", timestamp="2025-01-05T09:00:00"))
        store.session_logs.insert(log(EventType.RECORD_GENERATION, session_identifier="9"))
        store.session_logs.insert(log(EventType.END, session_identifier="9"))
        found = store.instruments.activity()
    last = datetime(2025, 6, 2, 20, tzinfo=ZoneInfo("America/New_York"))
    assert found == [
        InstrumentActivity("Berlin", 1, datetime(2025, 1, 5, 9, tzinfo=ZoneInfo("Europe/Berlin"))),
        InstrumentActivity(PID, 3, last),
        InstrumentActivity("Idle", 0, None),
    ]
    assert found[0].last_session is not None
    assert found[0].last_session.utcoffset() == timedelta(hours=1)


def test_a_session_that_was_harvested_twice_counts_once(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        add_pair(store)
        write(
            place_of(store),
            f"INSERT INTO session_log {EVENT_COLUMNS} "
            "SELECT 99, session_identifier, instrument, timestamp, event_type, "
            "record_status, user FROM session_log WHERE event_type = 'START'",
        )
        assert [used.sessions_total for used in store.instruments.activity()] == [1]


def test_an_odd_instrument_is_not_in_the_way_of_finding_another() -> None:
    with memory_store(instrument("Titan"), instrument("Odd")) as store:
        store.connection.execute(
            "UPDATE instruments SET timezone = 'Mars/Olympus' WHERE instrument_pid = 'Odd'"
        )
        found = store.instruments.find_by_path("/data/Titan/a.dm3", "/data")
        assert found is not None
        assert found.instrument_pid == "Titan"
        with pytest.raises(InvalidRowError, match="Mars/Olympus"):
            store.instruments.find_by_path("/data/Odd/a.dm3", "/data")
