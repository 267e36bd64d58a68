"""External ids: one for each user and system, one user for each id."""

from __future__ import annotations

import itertools
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.support import NOW, Clock, contents, memory_store, new_store, write
from pydantic import ValidationError

from nexuslims_store import (
    DuplicateError,
    ExternalSystem,
    ExternalUserIdentifier,
    InvalidRowError,
    InvalidValueError,
    StoreError,
)

pytestmark = pytest.mark.usefixtures("each_store")


@pytest.mark.parametrize("system", ExternalSystem)
@pytest.mark.parametrize("as_text", [True, False])
def test_an_id_is_found_from_both_sides(system: ExternalSystem, as_text: bool) -> None:
    named: Any = system.value if as_text else system
    with memory_store() as store:
        store.external_ids.store("ned", named, "42")
        assert store.external_ids.get("ned", named) == "42"
        assert store.external_ids.find_username("42", named) == "ned"
        assert store.external_ids.all_for("ned") == {system: "42"}
        for other in set(ExternalSystem) - {system}:
            assert store.external_ids.get("ned", other) is None
            assert store.external_ids.find_username("42", other) is None
        assert store.external_ids.get("Ned", named) is None
        assert store.external_ids.all_for("nobody") == {}


def test_a_new_id_is_returned_as_it_is_stored() -> None:
    with memory_store(clock=Clock()) as store:
        stored = store.external_ids.store("ned", "nemo", "42", email="ned@example.com", notes="n")
        assert stored == ExternalUserIdentifier(
            id=1,
            nexuslims_username="ned",
            external_system=ExternalSystem.NEMO,
            external_id="42",
            email="ned@example.com",
            notes="n",
            created_at=NOW,
            last_verified_at=None,
        )
        assert store.external_ids.list() == [stored]


@pytest.mark.parametrize("email", [None, "", "new@example.com"])
@pytest.mark.parametrize("notes", [None, "", "new note"])
@pytest.mark.parametrize("external_id", ["42", "43"])
def test_storing_again_verifies_and_keeps_what_is_not_given(
    external_id: str, email: str | None, notes: str | None
) -> None:
    clock = Clock()
    with memory_store(clock=clock) as store:
        first = store.external_ids.store("ned", "nemo", "42", "old@example.com", "old note")
        store.external_ids.store("bystander", "nemo", "1")
        clock.move(days=1)
        again = store.external_ids.store("ned", "nemo", external_id, email=email, notes=notes)
        assert again == first.model_copy(
            update={
                "external_id": external_id,
                "last_verified_at": clock.now,
                "email": "old@example.com" if email is None else email,
                "notes": "old note" if notes is None else notes,
            }
        )
        assert store.external_ids.list()[1] == again
        assert store.external_ids.find_username(external_id, "nemo") == "ned"


def test_the_id_of_another_user_is_refused(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.external_ids.store("ned", "nemo", "42")
        store.external_ids.store("commander", "nemo", "43")
        before = contents(store)
        for username in ("newcomer", "commander"):
            with pytest.raises(DuplicateError, match=f"'42'.*'ned'.*'{username}'") as caught:
                store.external_ids.store(username, "nemo", "42")
            assert isinstance(caught.value.__cause__, StoreError)
        assert contents(store) == before
        store.external_ids.store("newcomer", "cdcs", "42")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("", "nemo", "42"), "nexuslims_username"),
        (("ned", "nemo", ""), "external_id"),
        (("n\0ed", "nemo", "42"), "nexuslims_username"),
        (("ned", "nemo", "\ud800"), "external_id"),
        (("ned", "nemo", "42", None, "\0"), "notes"),
    ],
)
def test_a_bad_value_is_refused_by_name(
    tmp_path: Path, arguments: tuple[Any, ...], field: str
) -> None:
    with new_store(tmp_path) as store:
        for method in (store.external_ids.store, store.external_ids.take_over):
            with pytest.raises(ValidationError) as caught:
                method(*arguments)
            assert [error["loc"] for error in caught.value.errors()] == [(field,)]
        assert contents(store)["external_user_identifiers"] == []


@pytest.mark.parametrize("argument", ["username", "external_id", "email", "notes"])
def test_a_value_that_is_no_text_is_refused_by_the_arguments_name(argument: str) -> None:
    arguments: dict[str, Any] = {"username": "ned", "system": "nemo", "external_id": "42"}
    with memory_store() as store:
        for method in (store.external_ids.store, store.external_ids.take_over):
            with pytest.raises(TypeError, match=f"^{argument} must be "):
                method(**arguments | {argument: 5})
        assert store.external_ids.list() == []


def test_an_index_of_the_facilitys_own_that_refuses_an_id_is_no_other_user(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        write(store, "CREATE UNIQUE INDEX mine ON external_user_identifiers (email)")
        stored = store.external_ids.store("ned", "nemo", "42", "ned@example.com")
        with pytest.raises(StoreError, match="mine") as caught:
            store.external_ids.store("eve", "nemo", "43", "ned@example.com")
        assert not isinstance(caught.value, DuplicateError)
        assert store.external_ids.list() == [stored]


@pytest.mark.parametrize("system", ["", "NEMO", "facebook"])
def test_a_system_that_is_none_is_refused(system: Any) -> None:
    with memory_store() as store:
        for call in (
            lambda: store.external_ids.get("ned", system),
            lambda: store.external_ids.find_username("42", system),
            lambda: store.external_ids.store("ned", system, "42"),
            lambda: store.external_ids.take_over("ned", system, "42"),
            lambda: store.external_ids.remove("ned", system),
        ):
            with pytest.raises(InvalidValueError, match="no ExternalSystem; there are: nemo"):
                call()


# -- from one user to another ----------------------------------------------------------


def test_an_identifier_is_taken_over_and_nothing_else_is_lost() -> None:
    clock = Clock()
    with memory_store(clock=clock) as store:
        theirs = store.external_ids.store("old", "nemo", "42", "a@example.com", "a note")
        other = store.external_ids.store("old", "cdcs", "7")
        mine = store.external_ids.store("new", "cdcs", "8")
        clock.move(days=1)
        taken = store.external_ids.take_over("new", "nemo", "42")
        assert taken == theirs.model_copy(
            update={"nexuslims_username": "new", "last_verified_at": clock.now}
        )
        assert store.external_ids.list() == [mine, taken, other]


def test_the_log_says_whose_an_identifier_was(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "nexuslims_store")
    with memory_store() as store:
        store.external_ids.store("old", "nemo", "42")
        for _ in range(2):  # the second of which moves nothing
            store.external_ids.take_over("new", "nemo", "42")
    assert caplog.messages == [
        "the nemo identifier '42' is that of the user 'new' now, no longer that of 'old'"
    ]


def test_an_identifier_that_is_taken_over_replaces_the_own_one() -> None:
    clock = Clock()
    with memory_store(clock=clock) as store:
        mine = store.external_ids.store("new", "nemo", "41", "mine@example.com")
        store.external_ids.store("old", "nemo", "42", "a@example.com", "a note")
        clock.move(days=1)
        taken = store.external_ids.take_over("new", "nemo", "42", notes="mine")
        assert taken == mine.model_copy(
            update={"external_id": "42", "notes": "mine", "last_verified_at": clock.now}
        )
        assert store.external_ids.list() == [taken]
        # Where the user has no notes, those that come with the identifier stay.
        store.external_ids.store("third", "nemo", "43", "their@example.com", "their note")
        store.external_ids.store("fourth", "nemo", "44", "own@example.com")
        both = store.external_ids.take_over("fourth", "nemo", "43")
        assert (both.email, both.notes) == ("own@example.com", "their note")
        # What is given with the call is of the last of all.
        store.external_ids.store("third", "nemo", "45", "their@example.com", "their note")
        given = store.external_ids.take_over("fourth", "nemo", "45", "new@example.com", "new")
        assert (given.email, given.notes) == ("new@example.com", "new")
        assert store.external_ids.remove("fourth", "nemo")
        # A second call, and one for what nobody has, are as `store`.
        assert store.external_ids.take_over("new", "nemo", "42") == taken
        assert store.external_ids.take_over("new", "nemo", "43").id == taken.id


def test_a_take_over_is_undone_with_its_transaction() -> None:
    with memory_store() as store:
        before = store.external_ids.store("old", "nemo", "42")
        with suppress(ZeroDivisionError), store.transaction():
            store.external_ids.take_over("new", "nemo", "42")
            raise ZeroDivisionError
        assert store.external_ids.list() == [before]


# -- many at once ----------------------------------------------------------------------


def identifiers(*rows: tuple[str, str, str]) -> list[ExternalUserIdentifier]:
    return [
        ExternalUserIdentifier(nexuslims_username=user, external_system=system, external_id=id_)
        for user, system, id_ in rows
    ]


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_users_exchange_their_identifiers_in_any_order(order: tuple[int, ...]) -> None:
    clock = Clock()
    with memory_store(clock=clock) as store:
        for user, number in (("a", "1"), ("b", "2"), ("c", "3")):
            store.external_ids.store(user, "nemo", number, f"{user}@example.com")
        rows = identifiers(("a", "nemo", "2"), ("b", "nemo", "1"), ("new", "nemo", "4"))
        before = store.external_ids.list()
        clock.move(days=1)
        assert store.external_ids.store_many(rows[place] for place in order) == (1, 2, 0)
        verified = {"last_verified_at": clock.now}
        assert store.external_ids.list()[:3] == [
            before[0].model_copy(update={"external_id": "2", **verified}),
            before[1].model_copy(update={"external_id": "1", **verified}),
            before[2],
        ]
        assert store.external_ids.store_many(rows) == (0, 0, 3)
        assert store.external_ids.store_many([]) == (0, 0, 0)


def test_what_users_exchange_in_one_system_changes_no_other() -> None:
    with memory_store() as store:
        for user, number in (("a", "1"), ("b", "2")):
            store.external_ids.store(user, "nemo", number)
            store.external_ids.store(user, "cdcs", number)
        store.external_ids.store_many(identifiers(("a", "nemo", "2"), ("b", "nemo", "1")))
        assert store.external_ids.all_for("a") == {"nemo": "2", "cdcs": "1"}
        assert store.external_ids.all_for("b") == {"nemo": "1", "cdcs": "2"}


def test_what_another_database_wrote_is_taken_as_it_is() -> None:
    with memory_store(clock=Clock()) as first, memory_store() as second:
        first.external_ids.store("ned", "nemo", "42", "ned@example.com", "note")
        first.external_ids.store("ned", "nemo", "42")
        first.external_ids.store("commander", "cdcs", "1")
        moved = first.external_ids.list()
        assert second.external_ids.store_many(moved) == (2, 0, 0)
        assert [row.model_copy(update={"id": None}) for row in second.external_ids.list()] == [
            row.model_copy(update={"id": None}) for row in moved
        ]


@pytest.mark.parametrize(
    ("values", "says_something_new"),
    [
        ({}, False),
        ({"email": "a@example.com", "notes": "note"}, False),
        ({"email": "new@example.com"}, True),
        ({"notes": "new"}, True),
        ({"email": "new@example.com", "notes": "note"}, True),
        ({"external_id": "2"}, True),
    ],
)
def test_a_row_of_a_batch_is_changed_only_by_what_is_new(
    values: dict[str, str], says_something_new: bool
) -> None:
    with memory_store() as store:
        stored = store.external_ids.store("a", "nemo", "1", "a@example.com", "note")
        (given,) = identifiers(("a", "nemo", "1"))
        summary = store.external_ids.store_many([given.model_copy(update=values)])
        assert summary == ((0, 1, 0) if says_something_new else (0, 0, 1))
        (found,) = store.external_ids.list()
        assert (found.last_verified_at is not None) is says_something_new
        assert found == stored.model_copy(
            update={**values, "last_verified_at": found.last_verified_at}
        )


def test_an_odd_row_is_not_in_the_way_of_another_users(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        store.external_ids.store("jürgen", "nemo", "№ 42")
        store.external_ids.store("odd", "nemo", "1")
        store.connection.execute(
            "UPDATE external_user_identifiers SET created_at = 'soon' WHERE external_id = '1'"
        )
        assert store.external_ids.get("jürgen", "nemo") == "№ 42"
        assert store.external_ids.find_username("№ 42", "nemo") == "jürgen"
        with pytest.raises(InvalidRowError, match="created_at is 'soon'"):
            store.external_ids.list()


@pytest.mark.only_sqlite("PostgreSQL holds no such values")
@pytest.mark.parametrize("value", ["x'3432'", "CAST(x'ff' AS TEXT)", "CAST(x'c3a9ff' AS TEXT)"])
def test_an_odd_value_is_an_error_that_names_its_column(tmp_path: Path, value: str) -> None:
    with new_store(tmp_path) as store:
        store.external_ids.store("ẞ", "nemo", "é")
        assert store.external_ids.get("ẞ", "nemo") == "é"
        assert store.external_ids.find_username("é", "nemo") == "ẞ"
        for column, ask in (
            ("external_id", partial(store.external_ids.get, "ẞ", "nemo")),
            ("nexuslims_username", partial(store.external_ids.find_username, "é", "nemo")),
        ):
            write(store, f"UPDATE external_user_identifiers SET {column} = {value}")
            with pytest.raises(InvalidRowError) as caught:
                ask()
            assert (caught.value.column, caught.value.row_id) == (column, 1)
            write(
                store,
                "UPDATE external_user_identifiers SET external_id = 'é', nexuslims_username = 'ẞ'",
            )


def test_a_new_row_without_a_date_is_of_now() -> None:
    clock = Clock()
    with memory_store(clock=clock) as store:
        store.external_ids.store_many(identifiers(("ned", "nemo", "42")))
        assert store.external_ids.list()[0].created_at == clock.now


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            [("a", "nemo", "9"), ("b", "nemo", "9")],
            "^'b' and 'a' are given the same nemo identifier, '9'; each needs its own$",
        ),
        (
            [("new", "nemo", "9"), ("other", "nemo", "1")],
            "^the nemo identifier '1' is that of the user 'a' already, so it .* that of 'other'; ",
        ),
        ([("a", "nemo", "9"), ("a", "nemo", "8")], "'a' is given twice in nemo"),
        ([("b", "nemo", "1")], "'1'.*'a'"),
    ],
)
def test_a_batch_with_a_clash_changes_nothing(
    tmp_path: Path, rows: list[tuple[str, str, str]], says: str
) -> None:
    with new_store(tmp_path) as store:
        store.external_ids.store("a", "nemo", "1")
        store.external_ids.store("b", "nemo", "2")
        before = contents(store)
        with pytest.raises(DuplicateError, match=says):
            store.external_ids.store_many(identifiers(*rows))
        assert contents(store) == before


def test_ids_are_listed_by_user_and_system() -> None:
    with memory_store() as store:
        pairs = list(itertools.product("cab", ExternalSystem))
        for username, system in pairs:
            store.external_ids.store(username, system, f"{username} in {system.value}")
        found = [(row.nexuslims_username, row.external_system) for row in store.external_ids.list()]
        assert found == sorted(pairs, key=lambda pair: (pair[0], pair[1].value))
        assert store.external_ids.all_for("a") == {
            system: f"a in {system.value}" for system in ExternalSystem
        }
        assert all(isinstance(system, ExternalSystem) for system in store.external_ids.all_for("a"))


def test_an_id_is_removed_in_one_system() -> None:
    with memory_store() as store:
        store.external_ids.store("ned", "nemo", "42")
        store.external_ids.store("ned", "cdcs", "42")
        assert store.external_ids.remove("ned", ExternalSystem.NEMO) is True
        assert store.external_ids.remove("ned", ExternalSystem.NEMO) is False
        assert store.external_ids.all_for("ned") == {ExternalSystem.CDCS: "42"}
        assert store.external_ids.store("commander", "nemo", "42").external_id == "42"
