"""A forked child leaves the databases alone that its parent has open."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Guarded(Protocol):
    """What has a connection that is none of a child's."""

    def abandon(self) -> None:
        """In a forked child: leave the parent's connection alone, for good."""


_guarded: weakref.WeakSet[Guarded] = weakref.WeakSet()


def guard(database: Guarded) -> None:
    """Have a database abandoned, unless it is closed, in every child that this process forks."""
    _guarded.add(database)


def keep_for_ever(connection: object) -> None:
    """Take a reference that is never given back, not even when the interpreter ends.

    What closes a connection with its last reference would close the parent's, too.
    """
    import ctypes  # noqa: PLC0415 -- needed in a forked child only

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _abandon_all() -> None:
    for database in list(_guarded):
        database.abandon()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_abandon_all)
