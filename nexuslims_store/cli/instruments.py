"""`instruments`: list, show, add, update, rename, remove, import, export."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from nexuslims_store.cli.declaration import Command, Option, UsageError
from nexuslims_store.cli.exchange import Exchange
from nexuslims_store.cli.opening import changed, open_store
from nexuslims_store.cli.options import CHANGES, DESTROYS, FORMS, JSON
from nexuslims_store.cli.output import Listing, Output
from nexuslims_store.display import number, quoted
from nexuslims_store.models import Instrument, column_of, field_of
from nexuslims_store.repository.instruments import unknown_instrument
from nexuslims_store.store import Store

_INSTRUMENTS = Listing(
    # The names of the columns, which are those of `Instrument.to_dict()` too.
    tuple(map(column_of, Instrument.model_fields)),
    ("instrument_pid", "display_name", "location", "harvester", "timezone"),
    "there are no instruments; `nexuslims-store instruments add` adds one",
)
# What `instruments show` says of an instrument beside what is stored.
_COUNTED = ("sessions_total", "last_session")


# -- looking ---------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace, output: Output) -> None:
    with open_store(arguments, read_only=True) as store:
        instruments = store.instruments.stored()
    output.records(_INSTRUMENTS, instruments)


def _show(arguments: argparse.Namespace, output: Output) -> None:
    with open_store(arguments, read_only=True) as store:
        stored = _stored(store, arguments.pid)
        used = next(
            used for used in store.instruments.activity() if used.instrument_pid == arguments.pid
        )
    record = {**stored, **{name: getattr(used, name) for name in _COUNTED}}
    if output.form == "json":
        output.json(record)
    else:
        output.pairs(record)


def _stored(store: Store, pid: str) -> dict[str, object]:
    for stored in store.instruments.stored():
        if stored["instrument_pid"] == pid:
            return stored
    raise unknown_instrument(pid)


# -- changing --------------------------------------------------------------------------------


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        name: value for name, value in vars(arguments).items() if name in Instrument.model_fields
    }


def _add(arguments: argparse.Namespace, output: Output) -> None:
    instrument = Instrument(instrument_pid=arguments.pid, **_given(arguments))
    with open_store(arguments, read_only=False) as store, changed(store, dry_run=arguments.dry_run):
        store.instruments.add(instrument)
    verb = "would add" if arguments.dry_run else "added"
    output.tell(f"{verb} {instrument}", {"instrument": instrument.to_dict()})


def _update(arguments: argparse.Namespace, output: Output) -> None:
    given = _given(arguments)
    if not given:
        raise UsageError("say what to change, for example --location; see --help for all")
    with open_store(arguments, read_only=False) as store, changed(store, dry_run=arguments.dry_run):
        # Not get(), which refuses the very row that is to be mended.
        stored = _stored(store, arguments.pid)
        new = Instrument.model_validate({**_named_as_fields(stored), **given})
        store.instruments.update(new)
    values = {column_of(name): value for name, value in given.items()}
    would = "would be" if arguments.dry_run else "is now"
    lines = [
        f"{column} of {arguments.pid} {would} {quoted(value)}; it was {quoted(stored[column])}"
        for column, value in values.items()
    ]
    changes = {name: {"was": stored[name], "is": value} for name, value in values.items()}
    details = {"instrument_pid": arguments.pid, "changes": changes}
    output.tell("\n".join(lines), details)


def _rename(arguments: argparse.Namespace, output: Output) -> None:
    pid, new_pid = arguments.pid, arguments.new_pid
    with open_store(arguments, read_only=False) as store:
        _stored(store, pid)
        if pid == new_pid:
            raise UsageError(f"{new_pid} is the PID it has; give another")
        with changed(store, dry_run=True):
            count = store.instruments.rename(pid, new_pid)  # refused now rather than later
        if not arguments.dry_run:
            what = f"rename {pid} to {new_pid}, with {number(count, 'session log')}?"
            output.confirm(what)
            count = store.instruments.rename(pid, new_pid)
    details = {"instrument_pid": pid, "new_pid": new_pid, "session_logs": count}
    verb = "would rename" if arguments.dry_run else "renamed"
    sentence = f"{verb} {pid} to {new_pid}, with {number(count, 'session log')}"
    output.tell(sentence, details)


def _remove(arguments: argparse.Namespace, output: Output) -> None:
    with open_store(arguments, read_only=False) as store:
        stored = _stored(store, arguments.pid)
        with changed(store, dry_run=True):
            store.instruments.remove(arguments.pid)  # refused now rather than after the answer
        question = f"remove the instrument {arguments.pid}?"
        output.agree(_INSTRUMENTS, [stored], question)
        if not arguments.dry_run:
            store.instruments.remove(arguments.pid)
    verb = "would remove" if arguments.dry_run else "removed"
    output.tell(f"{verb} {arguments.pid}", {"instrument": stored})


def _named_as_fields(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {field_of(name): value for name, value in columns.items()}


def _model(columns: Mapping[str, Any]) -> Instrument:
    if "timezone" in columns and "timezone_str" in columns:
        raise ValueError("timezone and timezone_str are two names of one value")
    counted = " and ".join(name for name in _COUNTED if name in columns)
    if counted:
        raise ValueError(
            f"{counted} of `instruments show` cannot be stored, only counted; "
            "`nexuslims-store instruments export` writes what can be imported"
        )
    return Instrument.model_validate(_named_as_fields(columns))


_EXCHANGE = Exchange(
    group="instruments",
    noun="instrument",
    listing=_INSTRUMENTS,
    key=("instrument_pid",),
    key_words="PID",
    unique=("api_url",),
    unique_words="api_url",
    compared=_INSTRUMENTS.fields,
    optional=("harvester", "timezone"),
    stored=lambda store: store.instruments.stored(),
    model=_model,
    store_many=lambda store, models: store.instruments.store_many(models),
)


# -- the commands ----------------------------------------------------------------------------


def _values(*, new: bool) -> list[Option]:
    """Return an option for each value of an instrument."""
    options = []
    for name, field in Instrument.model_fields.items():
        if name == "instrument_pid":
            continue
        default = "" if field.is_required() or not new else f" (default: {field.default})"
        options.append(
            Option(
                f"--{column_of(name).replace('_', '-')}",
                dest=name,
                metavar="TEXT",
                required=new and field.is_required(),
                default=argparse.SUPPRESS,
                help=f"{field.description}{default}".replace("%", "%%"),
            )
        )
    return options


_PID = Option("pid", metavar="PID", help="the instrument's PID")

COMMAND = Command(
    commands={
        "list": Command(_list, FORMS, summary="list the instruments"),
        "show": Command(_show, _PID, JSON, summary="show one instrument and how much it was used"),
        "add": Command(
            _add,
            _PID,
            *_values(new=True),
            *CHANGES,
            summary="add an instrument",
            examples=(
                "nexuslims-store instruments add FEI-Titan-TEM-012345 \\",
                "    --api-url 'https://nemo.example.com/api/tools/?id=1' \\",
                "    --calendar-url https://nemo.example.com/calendar/titan/ \\",
                "    --location 'Building 1, Room A' --display-name 'FEI Titan TEM' \\",
                "    --property-tag 012345 --filestore-path ./Titan_TEM --timezone Europe/Berlin",
            ),
        ),
        "update": Command(
            _update,
            _PID,
            *_values(new=False),
            *CHANGES,
            summary="change some values of an instrument",
            examples=(
                "nexuslims-store instruments update FEI-Titan-TEM-012345 --location 'Room B'",
            ),
        ),
        "rename": Command(
            _rename,
            _PID,
            Option("new_pid", metavar="NEW_PID", help="the PID that it is to have"),
            *DESTROYS,
            summary="give an instrument another PID, with all its sessions",
            examples=(
                "nexuslims-store instruments rename FEI-Titan-TEM-012345 FEI-Titan-TEM-635816",
            ),
        ),
        "remove": Command(
            _remove,
            _PID,
            *DESTROYS,
            summary="remove an instrument that no session log refers to",
            examples=("nexuslims-store instruments remove FEI-Titan-TEM-012345",),
        ),
        **_EXCHANGE.commands(": instruments may exchange their addresses"),
    }
)
