"""External ids: one for each user and system, one user for each id."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from helpers.support import NOW, Clock, contents, memory_store, new_store
from pydantic import ValidationError

from nexuslims_store import DuplicateError, ExternalSystem, ExternalUserIdentifier, StoreError


@pytest.mark.parametrize("system", ExternalSystem)
@pytest.mark.parametrize("as_text", [True, False])
def test_an_id_is_found_from_both_sides(system: ExternalSystem, as_text: bool) -> None:
    named = system.value if as_text else system
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
        before = contents(store.path)
        for username in ("newcomer", "commander"):
            with pytest.raises(DuplicateError, match=f"'42'.*'ned'.*'{username}'") as caught:
                store.external_ids.store(username, "nemo", "42")
            assert isinstance(caught.value.__cause__, StoreError)
        assert contents(store.path) == before
        store.external_ids.store("newcomer", "cdcs", "42")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("", "nemo", "42"), "nexuslims_username"),
        (("ned", "", "42"), "external_system"),
        (("ned", "NEMO", "42"), "external_system"),
        (("ned", "nemo", ""), "external_id"),
        (("ned", "nemo", 42), "external_id"),
        (("ned", "nemo", "42", 5), "email"),
        (("ned", "nemo", "42", None, b"note"), "notes"),
    ],
)
def test_a_bad_value_is_refused_by_name(
    tmp_path: Path, arguments: tuple[Any, ...], field: str
) -> None:
    with new_store(tmp_path) as store:
        with pytest.raises(ValidationError) as caught:
            store.external_ids.store(*arguments)
        assert [error["loc"] for error in caught.value.errors()] == [(field,)]
        assert contents(store.path)["external_user_identifiers"] == []


def test_a_system_that_is_none_is_refused() -> None:
    with memory_store() as store:
        for call in (
            lambda: store.external_ids.get("ned", "NEMO"),
            lambda: store.external_ids.find_username("42", "facebook"),
            lambda: store.external_ids.remove("ned", "Nemo"),
        ):
            with pytest.raises(ValueError, match="ExternalSystem"):
                call()


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
