"""`users`: list, show, set, remove, import, export: who users are in other systems."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nexuslims_store.arguments import member
from nexuslims_store.cli.declaration import Command, Option, flag
from nexuslims_store.cli.exchange import Exchange, differences
from nexuslims_store.cli.opening import changed, open_store
from nexuslims_store.cli.options import CHANGES, DESTROYS, FORMS, YES
from nexuslims_store.cli.output import Listing, Output
from nexuslims_store.display import number, quoted
from nexuslims_store.enums import ExternalSystem
from nexuslims_store.errors import StoreError
from nexuslims_store.models import ExternalUserIdentifier
from nexuslims_store.repository.stored import iter_external_ids
from nexuslims_store.store import Store

_IDENTIFIERS = Listing(
    tuple(ExternalUserIdentifier.model_fields),
    ("nexuslims_username", "external_system", "external_id", "email", "notes"),
    "no identifiers are stored; `nexuslims-store users set` stores one",
)
_COMPARED = ("external_id", "email", "notes")
_SYSTEMS = [system.value for system in ExternalSystem]

Record = dict[str, object]


# -- looking ---------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace, output: Output) -> None:
    with open_store(arguments, read_only=True) as store:
        output.records(_IDENTIFIERS, _stored(store, system=arguments.system))


def _show(arguments: argparse.Namespace, output: Output) -> None:
    with open_store(arguments, read_only=True) as store:
        output.records(_IDENTIFIERS, _identifiers(store, arguments.username))


def _stored(
    store: Store, username: str | None = None, system: str | None = None
) -> Iterable[Record]:
    for user in iter_external_ids(store._database):
        if username in {None, user["nexuslims_username"]} and (
            system in {None, user["external_system"]}
        ):
            yield user


def _identifiers(store: Store, username: str, system: str | None = None) -> list[Record]:
    found = list(_stored(store, username, system))
    if not found:
        where = f" in {system}" if system else ""
        raise StoreError(
            f"no identifier of the user {username!r}{where} is stored; `nexuslims-store users "
            "list` shows all"
        )
    return found


# -- changing --------------------------------------------------------------------------------


def _set(arguments: argparse.Namespace, output: Output) -> None:
    username, system, external_id = arguments.username, arguments.system, arguments.external_id
    with open_store(arguments, read_only=False) as store:
        owner = store.external_ids.find_username(external_id, system)
        moved = arguments.move and owner not in {None, username}
        store_it = store.external_ids.take_over if arguments.move else store.external_ids.store
        values = (username, system, external_id, arguments.email, arguments.notes)
        before: Record = next(iter(_stored(store, username, system)), {})
        theirs: Record = next(iter(_stored(store, owner, system)), {}) if moved else {}
        with changed(store, dry_run=True):
            store_it(*values)
            after = next(iter(_stored(store, username, system)))
        replaced = "".join(_replaced(before, theirs, after))
        if arguments.move and not arguments.dry_run:
            whose = f", which is that of {quoted(owner)} now" if moved else ""
            question = f"make {external_id!r} in {system}{whose}, that of {username!r}{replaced}?"
            output.confirm(question)
        with changed(store, dry_run=arguments.dry_run):
            stored = store_it(*values)
    whose = f", no longer that of {quoted(owner)}" if moved else ""
    verb = "would be" if arguments.dry_run else "is"
    details = {
        "identifier": stored.model_dump(),
        "was": before.get("external_id"),
        "moved_from": owner if moved else None,
    }
    sentence = f"{username} {verb} {external_id!r} in {system}{whose}{replaced}"
    output.tell(sentence, details)


def _replaced(before: Record, theirs: Record, after: Record) -> Iterator[str]:
    """Yield what there is no longer after an identifier was set."""
    for column, change in differences(before, after, _COMPARED).items():
        if change["was"] is not None:
            what = "it was" if column == "external_id" else f"the {column} before:"
            yield f"; {what} {quoted(change['was'])}"
    for column in ("email", "notes"):
        if theirs.get(column) not in {None, after[column]}:
            whose = quoted(theirs["nexuslims_username"])
            yield f"; the {column} {quoted(theirs[column])} of {whose} goes"


def _remove(arguments: argparse.Namespace, output: Output) -> None:
    with open_store(arguments, read_only=arguments.dry_run) as store:
        found = _identifiers(store, arguments.username, arguments.system)
        what = f"{number(len(found), 'identifier')} of {arguments.username}"
        output.agree(_IDENTIFIERS, found, f"remove {what}?")
        if not arguments.dry_run:
            with store.transaction():
                for user in found:
                    system = member("system", user["external_system"], ExternalSystem)
                    store.external_ids.remove(arguments.username, system)
    verb = "would remove" if arguments.dry_run else "removed"
    output.tell(f"{verb} {what}", {"count": len(found), "identifiers": found})


def _model(columns: Mapping[str, Any]) -> ExternalUserIdentifier:
    # The row's number in another database says nothing here.
    return ExternalUserIdentifier.model_validate(
        {column: value for column, value in columns.items() if column != "id"}
    )


_EXCHANGE = Exchange(
    group="users",
    noun="identifier",
    listing=_IDENTIFIERS,
    key=("nexuslims_username", "external_system"),
    key_words="user and system",
    unique=("external_system", "external_id"),
    unique_words="identifier in that system",
    compared=_COMPARED,
    optional=("email", "created_at", "last_verified_at", "notes", "id"),
    stored=lambda store: iter_external_ids(store._database),
    model=_model,
    store_many=lambda store, models: store.external_ids.store_many(models),
    counted=True,
)


# -- the commands ----------------------------------------------------------------------------

_USERNAME = Option("username", metavar="USER", help="the username in NexusLIMS")
_SYSTEM = Option("system", metavar="SYSTEM", choices=_SYSTEMS, help=f"one of {', '.join(_SYSTEMS)}")

COMMAND = Command(
    commands={
        "list": Command(
            _list,
            Option("--system", choices=_SYSTEMS, help="only identifiers in this system"),
            FORMS,
            summary="list the identifiers of all users",
            examples=("nexuslims-store users list --system nemo",),
        ),
        "show": Command(
            _show,
            _USERNAME,
            FORMS,
            summary="show the identifiers of one user",
            examples=("nexuslims-store users show alice",),
        ),
        "set": Command(
            _set,
            _USERNAME,
            _SYSTEM,
            Option("external_id", metavar="ID", help="the user's identifier there"),
            Option("--email", help="address to verify the user by"),
            Option("--notes", help="remarks"),
            flag("--move", help="take the identifier over from the user who has it"),
            YES.but(help="with --move: do it without asking; needed off a terminal"),
            *CHANGES,
            summary="store a user's identifier in a system",
            description="Stores a user's identifier in a system, or replaces it. An email and "
            "notes that are not given stay as they are. An identifier that another user has is "
            "refused; --move takes it over from that user, who loses nothing else; its email and "
            "notes come along where the new user has none. What is replaced is named before.",
            examples=(
                "nexuslims-store users set alice nemo 42 --email alice@example.com",
                "nexuslims-store users set alice.smith nemo 42 --move",
            ),
        ),
        "remove": Command(
            _remove,
            _USERNAME,
            _SYSTEM.but(nargs="?", help=f"{_SYSTEM.settings['help']} (default: all)"),
            *DESTROYS,
            summary="remove a user's identifier in a system, or all of them",
            examples=(
                "nexuslims-store users remove alice nemo",
                "nexuslims-store users remove alice --yes",
            ),
        ),
        **_EXCHANGE.commands(": users may exchange their identifiers"),
    }
)
