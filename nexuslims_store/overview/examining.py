"""A database as a whole: what it is, and what its record builders do."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from nexuslims_store import queries
from nexuslims_store.backup import list_backups
from nexuslims_store.config import dump_line
from nexuslims_store.connection import SQLiteDatabase, pragma
from nexuslims_store.display import age
from nexuslims_store.errors import StoreError
from nexuslims_store.migrations.plan import Plan, make_plan
from nexuslims_store.migrations.server import make_plan as plan_on_server
from nexuslims_store.opening import open_server
from nexuslims_store.overview.work import PATIENCE, Work, read
from nexuslims_store.results import LEASE
from nexuslims_store.times import utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What there is to know of a database file at one moment."""

    path: Path | str  # of a database on a server, the URL without its password
    size: int  # in bytes, with what is in the -wal file only
    journal_mode: str | None  # None on a server
    plan: Plan  # what `migrate` would do
    backups: Path | None  # their folder; None on a server
    newest_backup: tuple[Path, datetime] | None  # and the time in its name
    work: Work  # what the record builders have done and have to do

    @property
    def pending(self) -> bool:
        """Whether `migrate` must run before a store opens the file."""
        return bool(self.plan.steps or self.plan.adopt or self.plan.leftovers)

    def needs(
        self, patience: timedelta = PATIENCE, max_backup_age: timedelta | None = None
    ) -> Iterator[str]:
        """Yield what needs a person, as `Work.needs` does, the file's own needs first.

        Parameters
        ----------
        max_backup_age
            How old the newest backup may be; None: it need not be there.
        """
        if self.pending:
            yield "the schema is not up to date: run `nexuslims-store migrate`"
        if max_backup_age is not None:
            yield from self._backup_needs(max_backup_age)
        yield from self.work.needs(patience)

    def _backup_needs(self, max_age: timedelta) -> Iterator[str]:
        remedy = f"make one with `{self.backup_command}`, and see why none was made"
        if self.newest_backup is None:
            yield f"there is no backup of {Path(self.path).name} in {self.backups}: {remedy}"
        elif (old := self.work.now - self.newest_backup[1]) > max_age:
            yield f"the newest backup is {age(old)} old: {remedy}"

    @property
    def backup_command(self) -> str:
        """The command that makes a backup where they were looked for."""
        if self.backups is None:
            return dump_line(str(self.path))
        if self.backups == Path(self.path).parent:
            return "nexuslims-store backup"
        return f"nexuslims-store backup {shlex.quote(str(self.backups / '_')[:-1])}"


def examine(
    path: Path | str,
    *,
    timeout: float,
    lease: timedelta = LEASE,
    since: datetime | None = None,
    backups: Path | None = None,
    with_use: bool = True,
) -> Overview:
    """Look at a database. It is opened read-only, and read in short transactions.

    Parameters
    ----------
    timeout, lease, since, with_use
        As for `read`, and for `migrations.current`, whose errors it raises.
    backups
        The folder of the backups; by default that of the file. A server has none.
    """
    if not isinstance(path, Path):
        return _examine_on_server(path, timeout, lease, since, with_use=with_use)
    with closing(SQLiteDatabase(path, read_only=True, timeout=timeout)) as database:
        with database.transaction(), database.translated():
            mode = pragma(database.connection, "journal_mode")  # first, as it waits for the lock
            plan = make_plan(database.connection, path, "upgrade", "head", timeout=timeout)
        work = read(database, utc_now(), plan.before, lease=lease, since=since, with_use=with_use)
        return Overview(
            path=path,
            size=_size(path),
            journal_mode=mode,
            plan=plan,
            backups=path.parent if backups is None else backups,
            newest_backup=_newest_backup(path, backups),
            work=work,
        )


def _examine_on_server(
    url: str, timeout: float, lease: timedelta, since: datetime | None, *, with_use: bool
) -> Overview:
    with closing(open_server(url, read_only=True, timeout=timeout)) as database:
        plan = plan_on_server(database, "upgrade", "head")
        size = database.rows(queries.load("postgresql/catalogue.sql").get_size)[0][0]
        work = read(database, utc_now(), plan.before, lease=lease, since=since, with_use=with_use)
        return Overview(
            path=database.name,
            size=size,
            journal_mode=None,
            plan=plan,
            backups=None,
            newest_backup=None,
            work=work,
        )


def _size(path: Path) -> int:
    # What was written last may still be in the -wal file alone.
    files = (path, Path(f"{path}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _newest_backup(path: Path, folder: Path | None) -> tuple[Path, datetime] | None:
    try:
        found = list_backups(path, folder)
    except StoreError:
        if folder is not None:
            raise
        return None  # a folder that may not be listed is no reason to say nothing of the file
    if not found:
        return None
    return found[0].path, found[0].time.astimezone()
