"""`instruments`: list, show, add, update, remove, import, export."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nexuslims_store.cli.changes import REFUSED, changed, confirmed
from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.files import check_destination
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
from nexuslims_store.errors import StoreError
from nexuslims_store.models import Instrument
from nexuslims_store.repository.instruments import unknown_instrument
from nexuslims_store.store import Store

__all__ = ["COMMAND"]

_INSTRUMENTS = Listing(
    # The names of the columns, which are those of `Instrument.to_dict()` too.
    tuple("timezone" if name == "timezone_str" else name for name in Instrument.model_fields),
    ("instrument_pid", "display_name", "location", "harvester", "timezone"),
    "there are no instruments; `nexuslims-store instruments add` adds one",
)


# -- looking ---------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace, output: Output) -> int:
    with open_store(arguments, read_only=True) as store:
        instruments = store.instruments.stored()
    output.records(_INSTRUMENTS, instruments)
    return 0


def _show(arguments: argparse.Namespace, output: Output) -> int:
    with open_store(arguments, read_only=True) as store:
        stored = _stored(store, arguments.pid)
        used = next(
            used for used in store.instruments.activity() if used.instrument_pid == arguments.pid
        )
    record = {
        **stored,
        "sessions_total": used.sessions_total,
        "last_session": used.last_session,
    }
    if output.form == "json":
        output.json(record)
    else:
        output.pairs(record.items())
    return 0


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


def _add(arguments: argparse.Namespace, output: Output) -> int:
    instrument = Instrument(instrument_pid=arguments.pid, **_given(arguments))
    with open_store(arguments, read_only=False) as store:
        store.instruments.add(instrument)
    output.line(f"added {instrument}")
    return 0


def _update(arguments: argparse.Namespace, output: Output) -> int:
    given = _given(arguments)
    if not given:
        raise StoreError("say what to change, for example --location; see --help for all")
    with open_store(arguments, read_only=False) as store, store.transaction():
        # Not get(), which refuses the very row that is to be mended.
        stored = _stored(store, arguments.pid)
        instrument = Instrument.model_validate({**_named_as_fields(stored), **given})
        store.instruments.update(instrument)
    for name, value in given.items():
        column = "timezone" if name == "timezone_str" else name
        output.line(f"{column} of {arguments.pid} is now {value!r}; it was {stored[column]!r}")
    return 0


def _remove(arguments: argparse.Namespace, output: Output) -> int:
    with open_store(arguments, read_only=False) as store:
        stored = _stored(store, arguments.pid)
        with changed(store, dry_run=True):
            store.instruments.remove(arguments.pid)  # refused now rather than after the answer
        output.records(_INSTRUMENTS, [stored])
        if not arguments.dry_run:
            if not confirmed(f"remove the instrument {arguments.pid}?", arguments, output):
                return REFUSED
            store.instruments.remove(arguments.pid)
    output.line(f"{'would remove' if arguments.dry_run else 'removed'} {arguments.pid}")
    return 0


# -- import and export -----------------------------------------------------------------------


def _import(arguments: argparse.Namespace, output: Output) -> int:
    instruments = _read(arguments.file)
    done: dict[str, list[str]] = {"added": [], "updated": [], "unchanged": []}
    with open_store(arguments, read_only=False) as store, changed(store, dry_run=arguments.dry_run):
        there = {stored["instrument_pid"]: stored for stored in store.instruments.stored()}
        for instrument in instruments:
            pid = instrument.instrument_pid
            if pid not in there:
                store.instruments.add(instrument)
                done["added"].append(pid)
            elif there[pid] != instrument.to_dict():
                store.instruments.update(instrument)
                done["updated"].append(pid)
            else:
                done["unchanged"].append(pid)
    if output.form == "json":
        output.json({"dry_run": arguments.dry_run, **done})
        return 0
    for verb in ("added", "updated"):
        for pid in done[verb]:
            output.line(f"{verb} {pid}")
    counts = ", ".join(f"{len(pids)} {verb}" for verb, pids in done.items())
    end = "; nothing was changed, this was a dry run" if arguments.dry_run else ""
    output.line(f"{number(len(instruments), 'instrument')}: {counts}{end}")
    return 0


def _read(name: str) -> list[Instrument]:
    """Return the instruments of a file, or raise an error that names all that is wrong in it."""
    try:
        # json finds out by itself whether it is UTF-8, or UTF-16 as PowerShell's > writes it.
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        entries = json.loads(content)
    except OSError as error:
        raise StoreError(f"{name} cannot be read: {error.strerror}; check the path") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(
            f"{name} is not JSON: {error}; `nexuslims-store instruments export` shows the form"
        ) from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise StoreError(
            f"{name} must be a JSON array of objects; `nexuslims-store instruments export` "
            "writes one"
        )
    instruments: list[Instrument] = []
    wrong: list[str] = []
    places: dict[str, int] = {}
    for place, entry in enumerate(entries, start=1):
        label = f"{name}, instrument {place} ({entry.get('instrument_pid')!r})"
        try:
            instrument = Instrument.model_validate(_named_as_fields(entry))
        except ValidationError as error:
            wrong += [f"{label}: {line}" for line in invalid_values(error)]
            continue
        first = places.setdefault(instrument.instrument_pid, place)
        if first != place:
            wrong.append(f"{label}: instrument {first} has the same PID")
        instruments.append(instrument)
    if wrong:
        raise StoreError("\n".join([*wrong, "nothing was imported"]))
    return instruments


def _named_as_fields(columns: dict[str, Any]) -> dict[str, Any]:
    return {
        "timezone_str" if name == "timezone" else name: value for name, value in columns.items()
    }


def _export(arguments: argparse.Namespace, output: Output) -> int:
    file: Path | None = arguments.file
    if file is not None:
        check_destination(file, database=database_path(arguments), replace=False)
    with open_store(arguments, read_only=True) as store:
        instruments = store.instruments.stored()
    output.json(instruments)
    if file is not None:
        output.save(file, replace=False)
        output.message(f"wrote {number(len(instruments), 'instrument')} to {file}")
    return 0


# -- the commands ----------------------------------------------------------------------------


def _values(*, new: bool) -> list[Option]:
    """Return an option for each value of an instrument."""
    options = []
    for name, field in Instrument.model_fields.items():
        if name == "instrument_pid":
            continue
        column = "timezone" if name == "timezone_str" else name
        default = "" if field.is_required() or not new else f" (default: {field.default})"
        options.append(
            Option(
                f"--{column.replace('_', '-')}",
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
        "list": Command(_list, "list the instruments", options=(FORMS,)),
        "show": Command(
            _show, "show one instrument and how much it was used", options=(_PID, JSON)
        ),
        "add": Command(
            _add,
            "add an instrument",
            options=(_PID, *_values(new=True)),
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
            "change some values of an instrument",
            options=(_PID, *_values(new=False)),
            examples=(
                "nexuslims-store instruments update FEI-Titan-TEM-012345 --location 'Room B'",
            ),
        ),
        "remove": Command(
            _remove,
            "remove an instrument that no session log refers to",
            options=(_PID, YES, DRY_RUN),
            examples=("nexuslims-store instruments remove FEI-Titan-TEM-012345",),
        ),
        "import": Command(
            _import,
            "add and update instruments from a JSON file, all or none",
            description="Reads what `instruments export` writes: a JSON array of objects. All are "
            "checked before any is stored. Instruments that are not in the file stay as they are.",
            options=(
                Option("file", metavar="FILE", help="the JSON file, - for standard input"),
                DRY_RUN,
                JSON,
            ),
            examples=(
                "nexuslims-store instruments import instruments.json --dry-run",
                "nexuslims-store instruments import instruments.json",
            ),
        ),
        "export": Command(
            _export,
            "write all instruments as JSON",
            options=(
                Option(
                    "file",
                    metavar="FILE",
                    nargs="?",
                    type=path_or_standard_output,
                    help="a new file; - is standard output (the default)",
                ),
            ),
            examples=(
                "nexuslims-store instruments export instruments.json",
                "nexuslims-store instruments export | ssh other nexuslims-store instruments "
                "import -",
            ),
        ),
    }
)
