"""`users`: list, show, set, remove: who NexusLIMS's users are in other systems."""

from __future__ import annotations

import argparse

from nexuslims_store.cli.changes import REFUSED, confirmed
from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.opening import open_store
from nexuslims_store.cli.options import DRY_RUN, FORMS, YES
from nexuslims_store.cli.output import Listing, Output
from nexuslims_store.display import number
from nexuslims_store.enums import ExternalSystem
from nexuslims_store.errors import StoreError
from nexuslims_store.models import ExternalUserIdentifier
from nexuslims_store.store import Store

__all__ = ["COMMAND"]

_IDENTIFIERS = Listing(
    tuple(ExternalUserIdentifier.model_fields),
    ("nexuslims_username", "external_system", "external_id", "email", "notes"),
    "no identifiers are stored; `nexuslims-store users set` stores one",
)
_SYSTEMS = [system.value for system in ExternalSystem]


def _list(arguments: argparse.Namespace, output: Output) -> int:
    with open_store(arguments, read_only=True) as store:
        found = store.external_ids.list()
    _print(
        [user for user in found if arguments.system in {None, user.external_system.value}], output
    )
    return 0


def _show(arguments: argparse.Namespace, output: Output) -> int:
    with open_store(arguments, read_only=True) as store:
        _print(_identifiers(store, arguments.username), output)
    return 0


def _set(arguments: argparse.Namespace, output: Output) -> int:
    with open_store(arguments, read_only=False) as store, store.transaction():
        before = store.external_ids.get(arguments.username, arguments.system)
        store.external_ids.store(
            arguments.username,
            arguments.system,
            arguments.external_id,
            email=arguments.email,
            notes=arguments.notes,
        )
    was = "" if before is None else f"; it was {before!r}"
    output.line(f"{arguments.username} is {arguments.external_id!r} in {arguments.system}{was}")
    return 0


def _remove(arguments: argparse.Namespace, output: Output) -> int:
    with open_store(arguments, read_only=arguments.dry_run) as store:
        found = _identifiers(store, arguments.username, arguments.system)
        _print(found, output)
        what = f"{number(len(found), 'identifier')} of {arguments.username}"
        if not arguments.dry_run:
            if not confirmed(f"remove {what}?", arguments, output):
                return REFUSED
            with store.transaction():
                for user in found:
                    store.external_ids.remove(user.nexuslims_username, user.external_system)
    output.line(f"would remove {what}" if arguments.dry_run else f"removed {what}")
    return 0


def _identifiers(
    store: Store, username: str, system: str | None = None
) -> list[ExternalUserIdentifier]:
    found = [
        user
        for user in store.external_ids.list()
        if user.nexuslims_username == username and system in {None, user.external_system.value}
    ]
    if not found:
        where = f" in {system}" if system else ""
        raise StoreError(
            f"no identifier of the user {username!r}{where} is stored; `nexuslims-store users "
            "list` shows all"
        )
    return found


def _print(users: list[ExternalUserIdentifier], output: Output) -> None:
    output.records(_IDENTIFIERS, (user.model_dump() for user in users))


_USERNAME = Option("username", metavar="USER", help="the username in NexusLIMS")
_SYSTEM = Option("system", metavar="SYSTEM", choices=_SYSTEMS, help=f"one of {', '.join(_SYSTEMS)}")

COMMAND = Command(
    commands={
        "list": Command(
            _list,
            "list the identifiers of all users",
            options=(
                Option("--system", choices=_SYSTEMS, help="only identifiers in this system"),
                FORMS,
            ),
        ),
        "show": Command(_show, "show the identifiers of one user", options=(_USERNAME, FORMS)),
        "set": Command(
            _set,
            "store a user's identifier in a system",
            description="Stores a user's identifier in a system, or replaces it. An email and "
            "notes that are not given stay as they are.",
            options=(
                _USERNAME,
                _SYSTEM,
                Option("external_id", metavar="ID", help="the user's identifier there"),
                Option("--email", help="address to verify the user by"),
                Option("--notes", help="remarks"),
            ),
            examples=("nexuslims-store users set alice nemo 42 --email alice@example.com",),
        ),
        "remove": Command(
            _remove,
            "remove a user's identifier in a system, or all of them",
            options=(
                _USERNAME,
                _SYSTEM.but(nargs="?", help=f"{_SYSTEM.settings['help']} (default: all)"),
                YES,
                DRY_RUN,
            ),
            examples=(
                "nexuslims-store users remove alice nemo",
                "nexuslims-store users remove alice --yes",
            ),
        ),
    }
)
