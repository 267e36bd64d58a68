"""The database that a command works on, and how a command changes it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nexuslims_store.cli.options import database_path
from nexuslims_store.store import Store


def open_store(arguments: argparse.Namespace, *, read_only: bool) -> Store:
    """Open the database that the user means."""
    return Store(database_path(arguments), read_only=read_only, timeout=arguments.timeout)


@contextmanager
def changed(store: Store, *, dry_run: bool) -> Iterator[None]:
    """Make what runs inside all or nothing, and in a dry run nothing.

    A dry run so meets every error that the change would.
    """
    with suppress(_UndoError), store.transaction():
        yield
        if dry_run:
            raise _UndoError


class _UndoError(Exception):
    pass
