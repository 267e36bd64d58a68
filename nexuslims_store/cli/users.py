"""`users`: list, show, set, remove, import, export: who users are in other systems."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from nexuslims_store.arguments import member
from nexuslims_store.cli.changes import REFUSED, changed, confirmed, tell
from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.files import check_destination
from nexuslims_store.cli.imports import read_records
from nexuslims_store.cli.opening import open_store
from nexuslims_store.cli.options import (
    DRY_RUN,
    FORMS,
    JSON,
    YES,
    database_path,
    path_or_standard_output,
)
from nexuslims_store.cli.output import Listing, Output
from nexuslims_store.cli.refusals import invalid_values
from nexuslims_store.display import number
from nexuslims_store.enums import ExternalSystem
from nexuslims_store.errors import StoreError
from nexuslims_store.models import ExternalUserIdentifier
from nexuslims_store.repository.stored import iter_external_ids
from nexuslims_store.store import Store

__all__ = ["COMMAND"]

_IDENTIFIERS = Listing(
    tuple(ExternalUserIdentifier.model_fields),
    ("nexuslims_username", "external_system", "external_id", "email", "notes"),
    "no identifiers are stored; `nexuslims-store users set` stores one",
)
_SYSTEMS = [system.value for system in ExternalSystem]

Record = dict[str, object]


# -- looking ---------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace, output: Output) -> int:
    with open_store(arguments, read_only=True) as store:
        output.records(_IDENTIFIERS, _stored(store, system=arguments.system))
    return 0


def _show(arguments: argparse.Namespace, output: Output) -> int:
    with open_store(arguments, read_only=True) as store:
        output.records(_IDENTIFIERS, _identifiers(store, arguments.username))
    return 0


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


def _set(arguments: argparse.Namespace, output: Output) -> int:
    username, system, external_id = arguments.username, arguments.system, arguments.external_id
    with open_store(arguments, read_only=False) as store:
        owner = store.external_ids.find_username(external_id, system)
        moved = arguments.move and owner not in {None, username}
        if arguments.move and not arguments.dry_run:
            whose = f", which is that of {owner!r} now" if moved else ""
            question = f"make {external_id!r} in {system}{whose}, that of {username!r}?"
            if not confirmed(question, arguments, output):
                return REFUSED
        with changed(store, dry_run=arguments.dry_run):
            before = store.external_ids.get(username, system)
            store_it = store.external_ids.take_over if arguments.move else store.external_ids.store
            stored = store_it(
                username, system, external_id, email=arguments.email, notes=arguments.notes
            )
    was = "" if before in {None, external_id} else f"; it was {before!r}"
    whose = f", no longer that of {owner!r}" if moved else ""
    verb = "would be" if arguments.dry_run else "is"
    details = {
        "identifier": stored.model_dump(),
        "was": before,
        "moved_from": owner if moved else None,
    }
    sentence = f"{username} {verb} {external_id!r} in {system}{was}{whose}"
    tell(sentence, details, arguments, output)
    return 0


def _remove(arguments: argparse.Namespace, output: Output) -> int:
    with open_store(arguments, read_only=arguments.dry_run) as store:
        found = _identifiers(store, arguments.username, arguments.system)
        if output.form is None:
            output.records(_IDENTIFIERS, found)
        what = f"{number(len(found), 'identifier')} of {arguments.username}"
        if not arguments.dry_run:
            if not confirmed(f"remove {what}?", arguments, output):
                return REFUSED
            with store.transaction():
                for user in found:
                    system = member("system", user["external_system"], ExternalSystem)
                    store.external_ids.remove(arguments.username, system)
    verb = "would remove" if arguments.dry_run else "removed"
    tell(f"{verb} {what}", {"count": len(found), "identifiers": found}, arguments, output)
    return 0


# -- import and export -----------------------------------------------------------------------


def _import(arguments: argparse.Namespace, output: Output) -> int:
    identifiers = _read(arguments.file)
    with open_store(arguments, read_only=False) as store, changed(store, dry_run=arguments.dry_run):
        summary = store.external_ids.store_many(identifiers)
    counts = {
        "added": summary.inserted,
        "updated": summary.updated,
        "unchanged": summary.unchanged,
    }
    end = "; nothing was changed, this was a dry run" if arguments.dry_run else ""
    words = ", ".join(f"{count} {verb}" for verb, count in counts.items())
    tell(f"{number(len(identifiers), 'identifier')}: {words}{end}", counts, arguments, output)
    return 0


def _read(name: str) -> list[ExternalUserIdentifier]:
    """Return the identifiers of a file, or raise an error that names all that is wrong in it."""
    identifiers: list[ExternalUserIdentifier] = []
    wrong: list[str] = []
    entries = read_records(
        name,
        columns=_IDENTIFIERS.fields,
        optional=("email", "created_at", "last_verified_at", "notes", "id"),
        command="nexuslims-store users export",
    )
    for place, entry in enumerate(entries, start=1):
        label = f"{name}, identifier {place} ({entry.get('nexuslims_username')!r})"
        try:
            identifiers.append(
                ExternalUserIdentifier.model_validate(
                    # The row's number in another database says nothing here.
                    {column: value for column, value in entry.items() if column != "id"}
                )
            )
        except ValidationError as error:
            wrong += [f"{label}: {line}" for line in invalid_values(error)]
    if wrong:
        raise StoreError("\n".join([*wrong, "nothing was imported"]))
    return identifiers


def _export(arguments: argparse.Namespace, output: Output) -> int:
    file: Path | None = arguments.file
    if file is not None:
        check_destination(file, database=database_path(arguments), replace=False)
        if output.form is None and file.suffix.lower() == ".csv":
            output.form = "csv"
    output.form = output.form or "json"
    with open_store(arguments, read_only=True) as store:
        output.records(_IDENTIFIERS, _stored(store))
    if file is not None:
        output.save(file, replace=False)
        output.message(f"wrote {file}")
    return 0


# -- the commands ----------------------------------------------------------------------------

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
            examples=("nexuslims-store users list --system nemo",),
        ),
        "show": Command(
            _show,
            "show the identifiers of one user",
            options=(_USERNAME, FORMS),
            examples=("nexuslims-store users show alice",),
        ),
        "set": Command(
            _set,
            "store a user's identifier in a system",
            description="Stores a user's identifier in a system, or replaces it. An email and "
            "notes that are not given stay as they are. An identifier that another user has is "
            "refused; --move takes it over from that user, who loses nothing else.",
            options=(
                _USERNAME,
                _SYSTEM,
                Option("external_id", metavar="ID", help="the user's identifier there"),
                Option("--email", help="address to verify the user by"),
                Option("--notes", help="remarks"),
                Option(
                    "--move",
                    action="store_true",
                    help="take the identifier over from the user who has it",
                ),
                YES.but(help="with --move: do it without asking; needed off a terminal"),
                DRY_RUN,
                JSON,
            ),
            examples=(
                "nexuslims-store users set alice nemo 42 --email alice@example.com",
                "nexuslims-store users set alice.smith nemo 42 --move",
            ),
        ),
        "remove": Command(
            _remove,
            "remove a user's identifier in a system, or all of them",
            options=(
                _USERNAME,
                _SYSTEM.but(nargs="?", help=f"{_SYSTEM.settings['help']} (default: all)"),
                YES,
                DRY_RUN,
                JSON,
            ),
            examples=(
                "nexuslims-store users remove alice nemo",
                "nexuslims-store users remove alice --yes",
            ),
        ),
        "import": Command(
            _import,
            "add and update identifiers from a JSON or CSV file, all or none",
            description="Reads what `users export` and `users list --csv` write, also after "
            "Excel. All are checked, as a whole, before any is stored: users may exchange their "
            "identifiers. Those that are not in the file stay as they are.",
            options=(
                Option("file", metavar="FILE", help="the file, - for standard input"),
                DRY_RUN,
                JSON,
            ),
            examples=(
                "nexuslims-store users import users.csv --dry-run",
                "nexuslims-store users import users.csv",
            ),
        ),
        "export": Command(
            _export,
            "write the identifiers of all users as JSON or CSV",
            options=(
                Option(
                    "file",
                    metavar="FILE",
                    nargs="?",
                    type=path_or_standard_output,
                    help="a new file, CSV if its name ends in .csv; - is standard output (the "
                    "default)",
                ),
                FORMS,
            ),
            examples=("nexuslims-store users export users.csv",),
        ),
    }
)
