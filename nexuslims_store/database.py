"""What the repositories need of a database, whichever it is, and its transactions.

No exception may leave a transaction or a lock behind, and a signal handler may raise one between
any two instructions: after BEGIN has taken the lock and before that is noted, in the midst of
undoing something, between the end of a `with` block and the call that ends its transaction. No
order of `try` and `finally` closes all of these gaps. So what is about to be done is noted first,
and undone whatever is raised; and what `with` keeps for the length of a block, and no longer, is
watched (see `_Block`).
"""

from __future__ import annotations

import sys
import warnings
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from threading import local
from types import TracebackType
from typing import Any, cast

from nexuslims_store.errors import StoreError

Parameters = Mapping[str, object]
Row = tuple[Any, ...]

_here = local()


def this_thread() -> object:
    """Return what is this thread's alone: its ident is given again when it has ended."""
    try:
        return _here.token
    except AttributeError:
        _here.token = object()
        return _here.token


class Opened:
    """A transaction or savepoint that is open, or about to be.

    Attributes
    ----------
    begin
        The statement that begins it, should it be the outermost.
    as_one
        Whether any error in it leaves its block.
    thread, task
        Whose it is.
    savepoint
        The savepoint's name; None for the outermost, the transaction itself.
    used
        Whether it was entered: no second time, when nothing would tell the end of its block.
    block
        What its `with` block holds; None when all is over.
    """

    def __init__(self, begin: str = "", *, as_one: bool = False) -> None:
        self.begin = begin
        self.as_one = as_one
        self.thread = this_thread()
        self.task: object = None
        self.savepoint: str | None = None
        self.used = False
        self.block: weakref.ref[partial[None]] | None = None


class Database(ABC):
    """One connection, and all that runs on it, with this package's own errors.

    It belongs to the thread and the process that made it. A transaction belongs to the thread
    and the asyncio task that began it; while a suspended generator has one open, what its thread
    and task do meanwhile is part of it.

    Attributes
    ----------
    name
        What messages call the database.
    timeout
        Seconds to wait for another's lock.
    has_views
        Whether it has the views of `sql/views.sql`, for good.
    """

    name: str
    timeout: float
    has_views = False

    def __init__(self) -> None:
        self._thread = this_thread()
        # Outermost first. That it is empty is all a statement outside of transactions looks at.
        self._open: list[Opened] = []

    # -- statements --------------------------------------------------------------------

    @abstractmethod
    def rows(self, sql: str, parameters: Parameters | tuple[()] = ()) -> list[Row]:
        """Run one statement and return all its rows.

        A statement that writes takes the write lock at its start and is committed when its
        rows are read, unless a transaction is open.
        """

    @abstractmethod
    def change(self, sql: str, parameters: Parameters | tuple[()] = ()) -> int:
        """Run one INSERT, UPDATE or DELETE and return how many rows it changed."""

    @abstractmethod
    def change_many(self, sql: str, parameters: Iterable[Parameters]) -> int:
        """Run one INSERT, UPDATE or DELETE for each set of parameters, all inside a transaction.

        Returns how many rows were changed in all. The statement must not return rows.
        """

    @abstractmethod
    def stream(self, sql: str, parameters: Parameters | tuple[()] = ()) -> Generator[list[Row]]:
        """Run one query and yield its rows, some hundred at a time, in constant memory."""

    _errors: tuple[type[Exception], ...]
    """What a statement can raise."""

    @abstractmethod
    def _meaning(self, error: Any) -> BaseException:
        """Return what such an error means, as one of this package's own."""

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn every error of the connection inside a `with` block into this package's own."""
        try:
            yield
        except self._errors as error:
            raise self._meaning(error) from error

    @property
    @abstractmethod
    def connection(self) -> Any:
        """The connection itself, for SQL of the user's own."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection. An open transaction is rolled back. Twice does no harm."""

    @abstractmethod
    def abandon(self) -> None:
        """In a forked child: leave the parent's connection alone, for good."""

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether the connection is closed, or another process's."""

    def __del__(self) -> None:
        # Not when the store itself goes: `Store(path).sessions` may be all that is kept of it.
        if not self.closed:
            warnings.warn(
                f"unclosed <Store {self.name!r}>", ResourceWarning, stacklevel=2, source=self
            )
            if self.is_own_thread:
                self.close()

    @property
    def is_own_thread(self) -> bool:
        """Whether this thread may use the database."""
        return this_thread() is self._thread

    # -- transactions ------------------------------------------------------------------

    def transaction(self, *, as_one: bool = False) -> AbstractContextManager[None]:
        """Return a `with` block that is all or nothing. Inside another one: a savepoint.

        The outermost takes the write lock at its start, so that nothing in it can fail on a lock
        half-way. In a read-only database it is a snapshot to read from.

        Parameters
        ----------
        as_one
            Whether any error of a statement in it leaves the block, which undoes it all. Then no
            statement needs to be undone alone, which takes a server two round trips.
        """
        return cast("AbstractContextManager[None]", _Block(self, self._begin, as_one=as_one))

    def snapshot(self) -> AbstractContextManager[None]:
        """Return a `with` block that reads, all of it at one moment, and never waits to write."""
        return cast("AbstractContextManager[None]", _Block(self, self._begin_reading))

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, one of the user's own (BEGIN) included."""
        self._undo_what_was_left()
        return self._has_transaction()

    @abstractmethod
    def deferred_foreign_keys(self) -> AbstractContextManager[None]:
        """Let foreign keys be checked at the end of the open transaction, not of each statement."""

    _begin: str
    """The statement that begins a transaction."""

    _begin_reading = "BEGIN"
    """The statement that begins a snapshot."""

    @abstractmethod
    def _has_transaction(self) -> bool:
        """Whether the connection is in a transaction, whoever began it."""

    @abstractmethod
    def _run(self, statement: str) -> None:
        """Run a statement that begins or ends something."""

    @abstractmethod
    def _attempt(self, statement: str) -> None:
        """Run a statement that undoes something, whose own errors are not the ones to tell."""

    def _check(self) -> None:
        """Raise unless a statement may be part of the transaction that is open."""
        # The ordinary case first: every statement of a transaction asks.
        opened = self._open[-1]
        if (
            opened.thread is this_thread()
            and opened.task is _current_task()
            and opened.block is not None
            and opened.block() is not None
            and self._has_transaction()
        ):
            return
        if self.closed:
            return  # let the statement itself be refused, with the reason
        if not self.is_own_thread:
            raise StoreError(self._wrong_thread())
        self._undo_what_was_left()
        if not self._open:
            return
        opened = self._open[-1]
        if opened.thread is not this_thread():
            raise StoreError(
                f"{self.name}: a transaction ends in the thread that began it; this one was begun "
                "in another, and is rolled back. Keep each `with store.transaction()` in one thread"
            )
        if opened.task is not _current_task():
            raise StoreError(
                f"{self.name}: another asyncio task has a transaction open on this store, which a "
                "call of this task would join; do not await inside `with store.transaction()`, or "
                "open a store for each task"
            )
        if not self._has_transaction():
            raise StoreError(was_rolled_back(self.name))

    def _wrong_thread(self) -> str:
        return (
            f"the store of {self.name} belongs to the thread that opened it; open another Store in "
            "this thread, or this one with any_thread=True"
        )

    def _enter(self, opened: Opened) -> None:
        if opened.used:
            raise StoreError(
                f"{self.name}: a transaction is for one `with` block; call transaction() for each"
            )
        opened.used = True
        opened.thread = this_thread()
        try:
            self._take_turn(opened)
            if self._open:
                self._check()
            opened.task = _current_task()
            # A BEGIN of the user's own, by way of `store.connection`, is one to join too.
            if self._open or self._has_transaction():
                opened.savepoint = f"nxs_{len(self._open)}"
            self._open.append(opened)
            self._run(f"SAVEPOINT {opened.savepoint}" if opened.savepoint else opened.begin)
        except BaseException:
            self._undo(opened)
            raise

    def _exit(
        self,
        opened: Opened,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,  # noqa: ARG002 -- what `with` gives
        traceback: TracebackType | None,  # noqa: ARG002
    ) -> None:
        try:
            if exc_type is None:
                self._commit(opened)
        finally:
            self._undo(opened)

    def _commit(self, opened: Opened) -> None:
        if opened not in self._open:
            raise StoreError(f"{self.name}: this transaction ended before its `with` block")
        self._check()
        if self._open[-1] is not opened:
            raise StoreError(
                f"{self.name}: a transaction inside this one is still open, in a generator that "
                "was not used up; both are rolled back"
            )
        self._run(f"RELEASE {opened.savepoint}" if opened.savepoint else "COMMIT")
        self._open.remove(opened)

    def _undo(self, opened: Opened) -> None:
        """Undo what there is to be undone of a transaction; nothing if it is over."""
        if not self.is_own_thread:
            return  # its own thread will, before its next statement
        if opened in self._open:
            # After some errors, a full disk among them, SQLite has rolled back already.
            if self._has_transaction():
                if opened.savepoint:
                    self._undo_to(opened.savepoint)
                else:
                    self._attempt("ROLLBACK")
            del self._open[self._open.index(opened) :]
        self._give_turn_back(opened)
        opened.block = None

    def _undo_to(self, savepoint: str) -> None:
        """Undo what came after a savepoint, which need not be there."""
        self._attempt(f"ROLLBACK TO {savepoint}")
        self._attempt(f"RELEASE {savepoint}")

    def _undo_what_was_left(self) -> None:
        """Undo transactions whose block is over, should that not have been possible then."""
        while self._open and self.is_own_thread:
            innermost = self._open[-1]
            if innermost.block is not None and innermost.block() is not None:
                return
            self._undo(innermost)

    def _take_turn(self, whose: Opened) -> None:  # noqa: B027
        """Wait until no other thread is inside a call or a transaction (see `AnyThread`)."""

    def _give_turn_back(self, whose: Opened) -> None:  # noqa: B027
        """Let others have their turn."""


class _Given:
    """A method that each instance has as an object of its own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, block: _Block | None, _: type[_Block]) -> Callable[..., None]:
        name = self._name
        if block is None:  # contextlib.ExitStack asks the class
            return lambda block, *details: getattr(block, name)(*details)
        given: Callable[..., None] = getattr(block, name)
        return given


class _Block:
    """What `store.transaction()` returns: two objects for `with` to call.

    `with` keeps the second until the block is left, and nothing else does: not even the frame of
    its call, which a traceback may keep for long (a notebook keeps the last one). So the end of
    that object is the end of the block, whatever was interrupted, be it the call itself before
    its first instruction; a transaction that is open then is undone.
    """

    def __init__(self, database: Database, begin: str, *, as_one: bool = False) -> None:
        opened = Opened(begin, as_one=as_one)
        self.at_start = partial(database._enter, opened)
        self.at_end = partial(database._exit, opened)
        opened.block = weakref.ref(self.at_end, lambda _: database._undo(opened))

    __enter__ = _Given("at_start")
    __exit__ = _Given("at_end")


def was_rolled_back(name: str) -> str:
    """Say that the transaction which a statement was to be part of is over."""
    return (
        f"{name}: an earlier error has rolled the open transaction back; leave the "
        "`with store.transaction()` block and start again"
    )


def _current_task() -> object:
    """Return the asyncio task that runs in this thread, or None."""
    # Who has not imported it has no tasks.
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio and asyncio.current_task()
    except (RuntimeError, AttributeError):  # no loop runs; it is being imported just now
        return None
