"""A database that any thread may use, one at a time."""

# What super() calls is the database that this is mixed into, never the abstract method.
# mypy: disable-error-code="safe-super"

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from nexuslims_store.database import Database, Opened, Parameters, Row
from nexuslims_store.errors import DatabaseLockedError

P = ParamSpec("P")
R = TypeVar("R")

# So long a wait is when nobody says that it is over.
_LONGEST_NAP = 0.1


class AnyThread(Database):
    """Mixed into a database: each call is a turn, and so is each transaction.

    A call waits while another thread has its turn, `timeout` seconds at most. A stream has a turn
    for each of its chunks, and none in between.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        # Whose turn it is. `setdefault` takes it in one step, so that who was interrupted can
        # tell afterwards whether it was taken; a lock could not tell by whom.
        self._turn: dict[str, Opened] = {}
        self._turn_is_over = Lock()
        self._turn_is_over.acquire()
        super().__init__(*args, **options)

    @property
    def is_own_thread(self) -> bool:
        """Every thread is."""
        return True

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction of this thread is open."""
        return self._in_turn(self._has_transaction)

    def rows(self, sql: str, parameters: Parameters | tuple[()] = ()) -> list[Row]:
        """Run one statement and return all its rows."""
        return self._in_turn(super().rows, sql, parameters)

    def change(self, sql: str, parameters: Parameters | tuple[()] = ()) -> int:
        """Run one INSERT, UPDATE or DELETE and return how many rows it changed."""
        return self._in_turn(super().change, sql, parameters)

    def change_many(self, sql: str, parameters: Iterable[Parameters]) -> int:
        """Run one INSERT, UPDATE or DELETE for each set of parameters."""
        return self._in_turn(super().change_many, sql, parameters)

    def stream(self, sql: str, parameters: Parameters | tuple[()] = ()) -> Generator[list[Row]]:
        """Run one query and yield its rows, some hundred at a time."""
        with closing(super().stream(sql, parameters)) as chunks:
            while chunk := self._in_turn(next, chunks, []):
                yield chunk

    def close(self) -> None:
        """Close the connection, when no other thread is inside a call or a transaction."""
        self._in_turn(super().close)

    def abandon(self) -> None:
        """In a forked child: leave the parent's connection alone, for good."""
        super().abandon()
        self._turn.clear()  # whichever thread has it, it is none of this process

    def _in_turn(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        whose = Opened()
        try:
            try:
                self._take_turn(whose)
                return work(*args, **kwargs)
            finally:
                self._give_turn_back(whose)
        finally:
            self._give_turn_back(whose)  # an interrupt may have come before the first time

    def _take_turn(self, whose: Opened) -> None:
        waits_until: float | None = None
        while (other := self._turn.setdefault("whose", whose)) is not whose:
            if other.thread is whose.thread:
                return  # inside a transaction of this thread
            now = time.monotonic()
            waits_until = now + self.timeout if waits_until is None else waits_until
            if now >= waits_until:
                raise DatabaseLockedError(
                    f"{self.name} is in use by another thread of this program, still after "
                    f"{self.timeout:g} s; keep transactions short, open a store for each thread, "
                    "or wait longer (timeout=…)"
                )
            self._turn_is_over.acquire(timeout=min(waits_until - now, _LONGEST_NAP))

    def _give_turn_back(self, whose: Opened) -> None:
        if self._turn.get("whose") is whose:
            del self._turn["whose"]
            with suppress(RuntimeError):  # it was not taken since the last turn ended
                self._turn_is_over.release()
