"""The database that a command works on."""

from __future__ import annotations

import argparse

from nexuslims_store.cli.options import database_path
from nexuslims_store.store import Store

__all__ = ["open_store"]


def open_store(arguments: argparse.Namespace, *, read_only: bool) -> Store:
    """Open the database that the user means."""
    return Store(database_path(arguments), read_only=read_only, timeout=arguments.timeout)
