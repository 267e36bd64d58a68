"""Records of one kind that go out to a file and come in again: `export` and `import`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from nexuslims_store.cli.declaration import Command, Option
from nexuslims_store.cli.files import check_destination
from nexuslims_store.cli.imports import read_records
from nexuslims_store.cli.opening import changed, open_store
from nexuslims_store.cli.options import (
    CHANGES,
    FORMS,
    database_path,
    name_or_standard_input,
    path_or_standard_output,
)
from nexuslims_store.cli.output import Listing, Output
from nexuslims_store.display import number, quoted
from nexuslims_store.errors import StoreError
from nexuslims_store.refusals import invalid_values
from nexuslims_store.store import Store

Record = Mapping[str, Any]


def differences(
    before: Record, after: Record, columns: Iterable[str]
) -> dict[str, dict[str, object]]:
    """Return what a record was and is, for those of its columns that changed."""
    return {
        column: {"was": before.get(column), "is": after[column]}
        for column in columns
        if before.get(column) != after[column]
    }


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """How records of one kind are exchanged."""

    group: str  # of commands
    noun: str  # what one record is called
    listing: Listing  # its fields are the columns of CSV
    key: Sequence[str]  # the columns that tell one record from all others
    key_words: str  # what they are called together
    unique: Sequence[str]  # the columns whose values together no other record has
    unique_words: str
    compared: Sequence[str]  # the columns that are told where they change
    optional: Collection[str]  # the columns whose empty cells are left out
    stored: Callable[[Store], Iterable[Record]]  # all records of a database
    model: Callable[[Record], BaseModel]  # of a record that was read, or a ValueError
    store_many: Callable[[Store, list[Any]], object]  # all or none
    counted: bool = False  # JSON says how many were added and so on, rather than which

    def run_import(self, arguments: argparse.Namespace, output: Output) -> None:
        """Add and update records from a file, and say which, and what changed in them."""
        models = self._read(arguments.file)
        dry_run = arguments.dry_run
        with open_store(arguments, read_only=False) as store, changed(store, dry_run=dry_run):
            before = self._by_key(store)
            self.store_many(store, models)
            after = self._by_key(store)
        done: dict[str, list[str]] = {"added": [], "updated": [], "unchanged": []}
        changes = []
        lines = []
        for key in dict.fromkeys(map(self._key, models)):
            name = " in ".join(map(str, key))
            found = differences(before.get(key, {}), after[key], self.compared)
            verb = "added" if key not in before else "updated" if found else "unchanged"
            done[verb].append(name)
            if verb != "unchanged":
                lines.append(f"{verb} {name}")
            if verb == "updated":
                changes.append({**dict(zip(self.key, key, strict=True)), "changes": found})
                lines += [
                    f"    {column}: {quoted(value['is'])}; it was {quoted(value['was'])}"
                    for column, value in found.items()
                ]
        told = {verb: len(names) if self.counted else names for verb, names in done.items()}
        counts = ", ".join(f"{len(names)} {verb}" for verb, names in done.items())
        end = "; nothing was changed, this was a dry run" if dry_run else ""
        lines.append(f"{number(len(models), self.noun)}: {counts}{end}")
        output.tell("\n".join(lines), {**told, "changes": changes})

    def run_export(self, arguments: argparse.Namespace, output: Output) -> None:
        """Write all records to a file or to standard output."""
        file: Path | None = arguments.file
        if file is not None:
            check_destination(file, database=database_path(arguments), replace=False)
            if output.form is None and file.suffix.lower() == ".csv":
                output.form = "csv"
        output.form = output.form or "json"
        with open_store(arguments, read_only=True) as store:
            count = output.records(self.listing, self.stored(store))
        if file is not None:
            output.save(file, replace=False)
            output.message(f"wrote {number(count, self.noun)} to {file}")

    def commands(self, description: str) -> dict[str, Command]:
        """Return the declarations of `import` and `export`.

        Parameters
        ----------
        description
            What is special about their import.
        """
        name = f"nexuslims-store {self.group}"
        return {
            "import": Command(
                self.run_import,
                Option(
                    "file",
                    metavar="FILE",
                    type=name_or_standard_input,
                    help="the file, - for standard input",
                ),
                *CHANGES,
                summary=f"add and update {self.noun}s from a JSON or CSV file, all or none",
                description=f"Reads what `{self.group} export` and `{self.group} list --csv` "
                f"write, also after Excel. All are checked, as a whole, before any is stored"
                f"{description}. Those that are not in the file stay as they are.",
                examples=(
                    f"{name} import {self.group}.csv --dry-run",
                    f"{name} import {self.group}.json",
                ),
            ),
            "export": Command(
                self.run_export,
                Option(
                    "file",
                    metavar="FILE",
                    nargs="?",
                    type=path_or_standard_output,
                    help="a new file, CSV if its name ends in .csv; - is standard output (the "
                    "default)",
                ),
                FORMS,
                summary=f"write all {self.noun}s as JSON or CSV",
                examples=(
                    f"{name} export {self.group}.csv",
                    f"{name} export | ssh other {name} import -",
                ),
            ),
        }

    def _by_key(self, store: Store) -> dict[tuple[Any, ...], Record]:
        return {
            tuple(record[column] for column in self.key): record for record in self.stored(store)
        }

    def _key(self, model: BaseModel) -> tuple[Any, ...]:
        return _values(model, self.key)

    def _read(self, name: str) -> list[BaseModel]:
        """Return the records of a file, or raise an error that names all that is wrong in it."""
        models: list[BaseModel] = []
        first: dict[tuple[Any, ...], int] = {}
        owners: dict[tuple[Any, ...], int] = {}
        wrong: list[str] = []
        entries = read_records(
            name,
            columns=self.listing.fields,
            optional=self.optional,
            command=f"nexuslims-store {self.group} export",
        )
        for place, entry in enumerate(entries, start=1):
            label = f"{name}, {self.noun} {place} ({entry.get(self.key[0])!r})"
            try:
                model = self.model(entry)
            except ValidationError as error:
                wrong += [f"{label}: {line}" for line in invalid_values(error)]
            except ValueError as error:
                wrong.append(f"{label}: {error}")
            else:
                same = first.setdefault(self._key(model), len(models))
                other = owners.setdefault(_values(model, self.unique), same)
                models.append(model)
                if models[same] != model:
                    wrong.append(f"{label}: {self.noun} {same + 1} has the same {self.key_words}")
                elif other != same:
                    wrong.append(
                        f"{label}: {self.noun} {other + 1} has the same {self.unique_words}"
                    )
        if wrong:
            raise StoreError("\n".join([*wrong, "nothing was imported"]))
        return models


def _values(model: BaseModel, columns: Sequence[str]) -> tuple[Any, ...]:
    values = model.model_dump(mode="json", include=set(columns))
    return tuple(values[column] for column in columns)
