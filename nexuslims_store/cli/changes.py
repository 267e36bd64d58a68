"""How a command that destroys something makes sure."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from nexuslims_store.cli.output import Listing, Output, Record
from nexuslims_store.errors import StoreError

if TYPE_CHECKING:
    from nexuslims_store.store import Store

__all__ = ["REFUSED", "agreed", "changed", "confirmed", "differences", "tell"]

REFUSED = 1
"""The exit status after a no."""


def confirmed(
    question: str, arguments: argparse.Namespace, output: Output, *, preview: str = "--dry-run"
) -> bool:
    """Return whether the user wants it, by --yes or by an answer on the terminal.

    `preview` is the option that shows what would be done.

    Raises
    ------
    StoreError
        There is no terminal to ask on, and no --yes.
    """
    if arguments.yes:
        return True
    if not output.can_ask:
        raise StoreError(
            f"{question} There is no terminal to ask on, and nothing was changed: give --yes to do "
            f"it, or {preview} to see what would be done"
        )
    if output.ask(f"{question} [y/N] ").strip().lower() in {"y", "yes"}:
        return True
    output.message("nothing was changed")
    return False


def agreed(
    listing: Listing,
    records: Sequence[Record],
    question: str,
    arguments: argparse.Namespace,
    output: Output,
) -> bool:
    """Show what a command will touch, and ask unless it is a dry run; return False after a no."""
    if output.form is None and records:
        output.records(listing, records)
    return arguments.dry_run or confirmed(question, arguments, output)


def differences(
    before: Record, after: Record, columns: Iterable[str]
) -> dict[str, dict[str, object]]:
    """Return what a record was and is, for those of its columns that changed."""
    return {
        column: {"was": before.get(column), "is": after[column]}
        for column in columns
        if before.get(column) != after[column]
    }


@contextmanager
def changed(store: Store, *, dry_run: bool) -> Iterator[None]:
    """Make what runs inside all or nothing, and in a dry run nothing.

    A dry run so meets every error that the change would.
    """
    with suppress(_UndoError), store.transaction():
        yield
        if dry_run:
            raise _UndoError


def tell(
    sentence: str, details: Mapping[str, object], arguments: argparse.Namespace, output: Output
) -> None:
    """Say what was done, or would be: in a sentence, or in JSON with the details."""
    if output.form == "json":
        output.json({"dry_run": arguments.dry_run, **details})
    else:
        output.line(sentence)


class _UndoError(Exception):
    pass
