"""`users`: list, show, set, remove: who NexusLIMS's users are in other systems."""

from __future__ import annotations

import argparse

from nexuslims_store.cli.changes import REFUSED, confirmed
from nexuslims_store.cli.options import (
    Subparsers,
    add_change_options,
    add_command,
    add_formats,
    add_group,
    open_store,
)
from nexuslims_store.cli.output import Output
from nexuslims_store.cli.words import number
from nexuslims_store.enums import ExternalSystem
from nexuslims_store.errors import StoreError
from nexuslims_store.models import ExternalUserIdentifier
from nexuslims_store.store import Store

__all__ = ["add_commands"]

_FIELDS = tuple(ExternalUserIdentifier.model_fields)
_COLUMNS = ("nexuslims_username", "external_system", "external_id", "email", "notes")
_SYSTEMS = [system.value for system in ExternalSystem]


def add_commands(commands: Subparsers) -> None:
    """Add `users` and its commands."""
    _, actions = add_group(
        commands, "users", "list, show, set and remove users' identifiers in other systems"
    )
    parser = add_command(actions, "list", _list, "list the identifiers of all users")
    parser.add_argument("--system", choices=_SYSTEMS, help="only identifiers in this system")
    add_formats(parser, csv=True)

    parser = add_command(actions, "show", _show, "show the identifiers of one user")
    _add_username(parser)
    add_formats(parser, csv=True)

    parser = add_command(
        actions,
        "set",
        _set,
        "store a user's identifier in a system",
        description="Stores a user's identifier in a system, or replaces it. An email and notes "
        "that are not given stay as they are.",
        examples=["nexuslims-store users set alice nemo 42 --email alice@example.com"],
    )
    _add_username(parser)
    parser.add_argument("system", metavar="SYSTEM", choices=_SYSTEMS, help=_one_of_the_systems())
    parser.add_argument("external_id", metavar="ID", help="the user's identifier there")
    parser.add_argument("--email", help="address to verify the user by")
    parser.add_argument("--notes", help="remarks")

    parser = add_command(
        actions,
        "remove",
        _remove,
        "remove a user's identifier in a system, or all of them",
        examples=[
            "nexuslims-store users remove alice nemo",
            "nexuslims-store users remove alice --yes",
        ],
    )
    _add_username(parser)
    parser.add_argument(
        "system",
        metavar="SYSTEM",
        nargs="?",
        choices=_SYSTEMS,
        help=f"{_one_of_the_systems()} (default: all)",
    )
    add_change_options(parser)


def _add_username(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("username", metavar="USER", help="the username in NexusLIMS")


def _one_of_the_systems() -> str:
    return f"one of {', '.join(_SYSTEMS)}"


def _list(arguments: argparse.Namespace, output: Output) -> int:
    with open_store(arguments, read_only=True) as store:
        found = store.external_ids.list()
    _print(
        [user for user in found if arguments.system in {None, user.external_system.value}],
        output,
        arguments.format,
    )
    return 0


def _show(arguments: argparse.Namespace, output: Output) -> int:
    with open_store(arguments, read_only=True) as store:
        _print(_identifiers(store, arguments.username), output, arguments.format)
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
        _print(found, output, None)
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


def _print(users: list[ExternalUserIdentifier], output: Output, form: str | None) -> None:
    output.records(
        (user.model_dump() for user in users),
        fields=_FIELDS,
        columns=_COLUMNS,
        form=form,
        none="no identifiers are stored; `nexuslims-store users set` stores one",
    )
