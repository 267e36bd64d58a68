"""yoyo on a connection and inside a transaction of ours.

yoyo's own backends open a second connection for the steps, commit the tables before they mark
them, write a lock row that a killed run leaves behind, ask the system who the user is, and that
of SQLite registers converters for the whole process. Here all that yoyo does happens in one
transaction that belongs to the caller: the tables and the marks become visible together or not
at all.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import cache
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from yoyo import internalmigrations
from yoyo.backends.base import DatabaseBackend, SavepointTransactionManager
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.backends.core.sqlite3 import SQLiteBackend
from yoyo.migrations import Migration as YoyoMigration
from yoyo.migrations import StepCollector, default_migration_table

from nexuslims_store.errors import MigrationError
from nexuslims_store.migrations.server import hash_of
from nexuslims_store.queries import load
from nexuslims_store.revisions import Migration, history, post_apply

_logger = logging.getLogger("nexuslims_store")


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep what yoyo says of each statement out of an application's log, unless it is wanted."""
    logger = logging.getLogger("yoyo")
    level = logger.level
    if level == logging.NOTSET:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class _OnOurConnection(DatabaseBackend):  # type: ignore[misc]  # yoyo has no types
    """Applies and rolls back migrations on one connection, inside its open transaction.

    Parameters
    ----------
    connection
        In a transaction that will be committed or rolled back by the caller.
    """

    def __init__(self, connection: Any) -> None:
        self._given = connection
        super().__init__("", default_migration_table)
        self._ensure_tables()

    # -- what the runs use -------------------------------------------------------------

    def apply(self, step: Migration) -> None:
        """Go up one step, and mark it."""
        with _quietly():
            self.apply_one(self.files()[step.id])
        _logger.info("migration %s was applied", step.id)

    def roll_back(self, step: Migration) -> None:
        """Go down one step, and take its mark away."""
        with _quietly():
            self.rollback_one(self.files()[step.id])
        _logger.info("migration %s was rolled back", step.id)

    def post_apply(self) -> None:
        """Run what runs after every upgrade to the head: what is this package's own."""
        with _quietly():
            self.apply_one(self.files()["post-apply"], mark=False)

    def put_marks_right(self, applied: Iterable[Migration]) -> None:
        """Mark exactly these steps of the history as applied.

        Marks of other programs' migrations in the same file are left alone.
        """
        marked = set(self.get_applied_migration_hashes())
        wanted = {step.id for step in applied}
        for name, migration in self.files().items():
            if name in wanted and migration.hash not in marked:
                self.mark_one(migration)
            elif name not in wanted and migration.hash in marked:
                self.unmark_one(migration)

    on_server: bool
    """Whose history it is."""

    def files(self) -> dict[str, _File]:
        """Return the files of the history by their id, and `post-apply`."""
        return _files(self.on_server)

    # -- what yoyo calls ---------------------------------------------------------------

    def connect(self, dburi: object) -> Any:  # noqa: ARG002 -- the name is yoyo's
        return self._given

    def copy(self) -> Self:
        return self  # yoyo runs the steps on a copy, with another connection, else

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the connection open: it is the caller's."""

    def transaction(self, rollback_on_exit: bool = False) -> AbstractContextManager[Any]:  # noqa: FBT001, FBT002
        # Never a transaction of yoyo's own: it would commit what the caller may roll back.
        return _Savepoint(self, rollback_on_exit=rollback_on_exit)

    def disable_transactions(self) -> NoReturn:
        raise MigrationError(
            "a migration marked `-- transactional: false` cannot be undone when it fails, and "
            "is not run; take the mark out of its file"
        )

    def ensure_internal_schema_updated(self) -> None:
        """Do nothing: `_ensure_tables` did, where yoyo would commit in between."""

    def get_log_data(
        self, migration: Any = None, operation: str = "apply"
    ) -> dict[str, str | datetime | None]:
        # yoyo fills in the user and the host, whom a container may not know, and a uuid1, for
        # which Python may start programs to find the network card.
        return {
            "id": str(uuid.uuid4()),
            "migration_id": migration.id if migration else None,
            "migration_hash": migration.hash if migration else None,
            "username": "nexuslims_store",
            "hostname": None,
            "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
            "operation": operation,
        }

    def _ensure_tables(self) -> None:
        if self.version_table in self.list_tables():
            newest = max(internalmigrations.schema_versions)
            (version,) = self._given.execute(load("yoyo.sql")["get_table_version"]).fetchone()
            if not isinstance(version, int):
                return  # nothing that yoyo writes; the table for it came with the newest version
            if version > newest:
                raise MigrationError(
                    f"yoyo's own tables are of version {version}, this yoyo knows {newest}: a "
                    "newer yoyo was there; upgrade yoyo-migrations"
                )
        internalmigrations.upgrade(self)


class Backend(_OnOurConnection, SQLiteBackend):  # type: ignore[misc]  # yoyo has no types
    """yoyo on a connection of sqlite3."""

    on_server = False

    def has_transaction(self) -> bool:
        """Whether the connection is in a transaction still."""
        return bool(self._given.in_transaction)

    def list_tables(self, **_: object) -> list[str]:
        return [row[0] for row in self._given.execute(self.list_tables_sql)]

    def execute(self, sql: str, params: Mapping[str, Any] | None = None) -> Any:
        """Run a statement, with its parameters by name."""
        # yoyo would put question marks for the names, which SQLite knows as they are. Times as
        # text, because sqlite3's own way with them is deprecated from Python 3.12 on.
        texts = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in (params or {}).items()
        }
        return self._given.execute(sql, texts)


class ServerBackend(_OnOurConnection, PostgresqlPsycopgBackend):  # type: ignore[misc]
    """yoyo on a connection of psycopg. A file is sent as a whole: its functions hold semicolons."""

    on_server = True

    def has_transaction(self) -> bool:
        """Whether the connection is in a transaction still."""
        return not self._given.closed

    def list_tables(self, **_: object) -> list[str]:
        """Return the tables and views of the schema."""
        columns = self._given.execute(load("postgresql/catalogue.sql").list_columns)
        return list({table for table, _ in columns})

    def execute(self, sql: str, params: Mapping[str, Any] | None = None) -> Any:
        """Run a statement, as yoyo does where it has parameters."""
        if not params:
            return self._given.execute(sql)  # a % in it stands for itself
        return super().execute(sql, params)


class _Savepoint(SavepointTransactionManager):  # type: ignore[misc]  # yoyo has no types
    """yoyo's savepoint, released when done: each open one costs SQLite copies of pages."""

    def _do_commit(self) -> None:
        self.backend.savepoint_release(self.id)

    def _do_rollback(self) -> None:
        # After a full disk SQLite has rolled back all by itself; the first error is the one to
        # tell. What is left open ends with the transaction, which the caller rolls back whole.
        if self.backend.has_transaction():
            super()._do_rollback()


class _File(YoyoMigration):  # type: ignore[misc]  # yoyo has no types
    """A migration of ours as yoyo has it, with its statements told apart by `split`.

    yoyo's own way, with sqlparse, takes as long as everything else that a new database needs.
    """

    def __init__(self, path: Path, split: Callable[[str], list[str]]) -> None:
        super().__init__(path.name.removesuffix(".sql"), str(path), str(path.parent))
        up = path.read_text(encoding="utf-8")
        rollback = path.with_name(f"{self.id}.rollback.sql")
        down = split(rollback.read_text(encoding="utf-8")) if rollback.exists() else []
        collector = StepCollector(migration=self)
        # Rolled back from the last to the first.
        for pair in zip_longest(split(up), reversed(down)):
            collector.add_step(*pair)
        self.use_transactions = _NOT_TRANSACTIONAL.search(up) is None
        self.steps = collector.create_steps(self.use_transactions)


_NOT_TRANSACTIONAL = re.compile(r"^\s*--\s*transactional\s*:\s*false", re.MULTILINE | re.IGNORECASE)


def _statements(script: str) -> list[str]:
    """Return the statements of a script as SQLite itself tells them apart."""
    statements, lines = [], ""
    for line in script.splitlines(keepends=True):
        lines += line
        if sqlite3.complete_statement(lines):
            statements.append(lines)
            lines = ""
    return statements


@cache
def _files(on_server: bool) -> dict[str, _File]:  # noqa: FBT001 -- one key for each in the cache
    steps = history(server=on_server)
    paths = [*(step.path for step in steps), steps[-1].path.with_name("post-apply.sql")]
    files = [_File(path, (lambda script: [script]) if on_server else _statements) for path in paths]
    if on_server:
        # By the log, the next run knows which file's index, function and views are there.
        files[-1].hash = hash_of(post_apply(server=True))
    return {file.id: file for file in files}
