"""Bring a database back from a backup.

The backup is copied beside the database and checked there. Then its content goes into the
existing file, in one transaction of SQLite's own: other programs that have the file open go on
with the new content, and a process killed at any moment leaves the old content or the new. Only
a file that SQLite cannot open is replaced as a file. What was there before is kept in every case.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from nexuslims_store.arguments import require_name
from nexuslims_store.backup.copying import (
    PAGES_AT_A_TIME,
    Progress,
    check,
    copy_pages,
    copy_to_temporary,
    page_size,
)
from nexuslims_store.backup.files import (
    SIDECARS,
    TakenError,
    file_errors,
    give_name,
    is_free,
    publish,
    refuse_taken,
    require_room,
    sync,
    sync_folder,
    temporary_file,
)
from nexuslims_store.backup.names import names
from nexuslims_store.connection import MEMORY, absolute, connect, pragma
from nexuslims_store.errors import (
    BackupError,
    CorruptDatabaseError,
    DatabaseLockedError,
    DatabaseNotFoundError,
    NotANexusLIMSDatabaseError,
    ReadOnlyError,
    SchemaMismatchError,
    StoreError,
    UnknownRevisionError,
)
from nexuslims_store.recognition import State, recognise
from nexuslims_store.translation import require_writable, translated


def restore(
    source: Path, path: Path, *, timeout: float = 30.0, progress: Progress | None = None
) -> Path | None:
    """Make the content of a database that of a backup.

    Parameters
    ----------
    source
        The backup. It must be whole, and a NexusLIMS database of a revision this package knows.
    path
        The database. Its journal mode and page size stay as they are. It is created if it is not
        there. Where SQLite cannot open it, another file takes its name: whoever had it open must
        open it again.
    timeout
        Seconds to wait for another program's lock.
    progress
        Called from time to time while the content of the database is written.

    Returns
    -------
    pathlib.Path or None
        Where the earlier content is kept, page by page, be it damaged or not: beside the database,
        as NAME_backup_YYYYmmdd_HHMMSS_replaced.db, which is no backup to restore as the latest.
        None if there was no file.

    Raises
    ------
    NotANexusLIMSDatabaseError, CorruptDatabaseError, DatabaseNotFoundError
        The backup cannot be used, or the database is another program's.
    UnknownRevisionError, SchemaMismatchError
        The backup is at no revision this package knows.
    DatabaseLockedError
        Another program is at work on the database.
    BackupError
        Both are the same file, or something is in the way of the new one.
    StorageFullError, ReadOnlyError
        It cannot be written.

    After each of these the database is as it was before, unless the disk itself is damaged: then
    the message names the file with the earlier content.
    """
    if path == MEMORY:
        raise BackupError("a database in memory is nobody else's: there is nothing to restore")
    require_name(source)
    require_name(path)
    size = _require_file(source).st_size
    # The file itself in place of a symbolic link to it, so that the link stays one.
    real = Path(os.path.realpath(absolute(path)))
    if not os.path.lexists(real):
        with file_errors(real):
            refuse_taken(real)
        with temporary_file(real) as staged:
            _stage(source, staged, real, timeout=timeout, progress=progress)
            # Backups are often kept read-only; the database is to be written.
            mode, *others = _require_file(source)
            publish(staged, [real], os.stat_result((mode | stat.S_IWUSR, *others)))
        return None
    check_target(source, path)  # before its content is kept for nothing
    old = real.stat()
    # The copy of the backup, what it replaces, and SQLite's journal.
    require_room(real, size + old.st_size + max(size, old.st_size))
    with temporary_file(real) as staged:
        _stage(source, staged, real, timeout=timeout, progress=None)
        try:
            live = _open_alone(real, timeout)
        except (CorruptDatabaseError, NotANexusLIMSDatabaseError):
            return _replace(staged, path, real)
        with closing(live), translated(path, timeout=timeout):
            return _bring_in(staged, live, path, real, timeout=timeout, progress=progress)


def check_target(source: Path, path: Path) -> None:
    """Raise unless a backup can take the place of a database that is there, as `restore` does."""
    with file_errors(path):
        old = path.stat()
        same = source.samefile(path)
    if not stat.S_ISREG(old.st_mode):
        raise BackupError(f"{path} is not a file; name the database file to restore")
    if same:
        raise BackupError(f"{source} and {path} are the same file; name the backup to restore")
    require_writable(path)


def revision_of(source: Path, *, timeout: float = 30.0) -> str | None:
    """Return at what revision a backup is, None for base, or raise as `restore` does."""
    require_name(source)
    _require_file(source)
    with _as_backup(), closing(connect(source, mode="rw", timeout=timeout)) as connection:
        state = recognise(connection, source, timeout=timeout)
        refuse_empty(state, source)
    return state.revision


@contextmanager
def _as_backup() -> Iterator[None]:
    """Advise of a file that is no backup to name another: the database's path is not at fault."""
    try:
        yield
    except NotANexusLIMSDatabaseError as error:
        raise NotANexusLIMSDatabaseError(f"{error.problem}; name another backup") from error


def refuse_empty(state: State, backup: Path) -> None:
    """Raise for a file without any table."""
    if state.empty:
        raise NotANexusLIMSDatabaseError(f"{backup} is empty: there is nothing to restore")


def what_is_wrong(error: StoreError, backup: Path) -> str:
    """Return what an error says of a backup, without its name and without advice."""
    return str(error).partition("; ")[0].removeprefix(f"{backup} ")


def _require_file(source: Path) -> os.stat_result:
    """Return what the system knows of a backup, or raise where there is no file to restore."""
    try:
        found = source.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DatabaseNotFoundError(f"there is no backup {source}; check the path") from error
    except PermissionError as error:
        raise ReadOnlyError(
            f"the backup {source} may not be reached by this user; change the permissions of its "
            "folder"
        ) from error
    except OSError as error:  # too long a name, links in a circle
        raise DatabaseNotFoundError(
            f"no backup can be at {source} ({error.strerror}); check the path"
        ) from error
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no file"
        raise NotANexusLIMSDatabaseError(f"the backup {source} is {kind}; name the file to restore")
    return found


def _stage(
    source: Path, staged: Path, real: Path, *, timeout: float, progress: Progress | None
) -> None:
    """Copy the backup beside the database, and refuse it if it is none to restore."""
    with _as_backup():
        with closing(connect(source, mode="rw", timeout=timeout)) as backup:
            copy_to_temporary(backup, source, staged, real, timeout=timeout, progress=progress)
        with closing(connect(staged, mode="ro", timeout=timeout)) as copy:
            refuse_empty(recognise(copy, source, timeout=timeout), source)


def _open_alone(real: Path, timeout: float) -> sqlite3.Connection:
    """Open the database so that nobody writes between its being kept and its being changed.

    In WAL mode that lock would shut out even those who merely have the file open. There, this
    waits for whoever is writing at the moment, and `_bring_in` watches from then on.
    """
    connection = connect(real, mode="rw", timeout=timeout)
    try:
        with translated(real, timeout=timeout):
            if pragma(connection, "journal_mode") != "wal":
                # The first transaction takes the lock, and leaves it to the connection.
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _bring_in(
    staged: Path,
    live: sqlite3.Connection,
    path: Path,
    real: Path,
    *,
    timeout: float,
    progress: Progress | None,
) -> Path:
    """Keep the content of the open database, then make it that of the staged copy."""
    # Damaged, half migrated, of an unknown revision: good reasons to restore. That it is another
    # program's database is none.
    with suppress(CorruptDatabaseError, SchemaMismatchError, UnknownRevisionError):
        recognise(live, path, timeout=timeout)

    with (
        closing(connect(staged, mode="rw", timeout=timeout)) as copy,
        closing(connect(real, mode="ro", timeout=timeout)) as watch,
    ):
        if page_size(copy) != page_size(live):
            # SQLite cannot change the page size of a database in WAL mode.
            copy.execute(f"PRAGMA page_size = {page_size(live)}")
            copy.execute("VACUUM")
        in_wal_mode = pragma(live, "journal_mode") == "wal"
        version = pragma(watch, "data_version") if in_wal_mode else None
        place = next(_names_to_keep(path))
        with temporary_file(place) as earlier:
            copy_to_temporary(live, path, earlier, place, timeout=timeout, damaged_too=True)
            kept = publish(earlier, _names_to_keep(path), real.stat())

        def step(done: int, total: int) -> None:
            # From the first step on, the write lock is held: nobody writes after this look.
            if version is not None and done < total and pragma(watch, "data_version") != version:
                raise DatabaseLockedError(
                    f"another program wrote to {path} while it was being kept; its content is "
                    "as that program left it. Stop the program, and restore again"
                )
            if progress is not None:
                progress(done, total)

        # Two steps at least: the last one commits.
        pages = pragma(copy, "page_count")
        copy_pages(
            copy,
            live,
            path,
            timeout=timeout,
            progress=step,
            pages=min(PAGES_AT_A_TIME, (pages + 1) // 2),
        )
    try:
        check(live, path)
    except CorruptDatabaseError as error:
        raise CorruptDatabaseError(
            f"{path} was written and cannot be read back as it was written: check its disk. What "
            f"was there before is in {kept}, and {error}"
        ) from error
    return kept


def _names_to_keep(path: Path) -> Iterator[Path]:
    return names(path, path.parent, mark="_replaced")


def _replace(staged: Path, path: Path, real: Path) -> Path:
    """Keep a file that SQLite cannot open, then put the staged copy in its place."""
    replaced = real.stat()
    kept = _keep_as_it_is(path, real)
    with file_errors(real):
        sync(staged, replaced)
        # Before the new file is there, for SQLite would play them into it.
        for suffix in SIDECARS:
            Path(f"{real}{suffix}").unlink(missing_ok=True)
        staged.replace(real)
        sync_folder(real.parent)
    return kept


def _keep_as_it_is(path: Path, real: Path) -> Path:
    """Copy a file that SQLite cannot open, with what SQLite left beside it.

    That may be the way to rescue something. The file itself comes last: its name says that all
    is there.
    """
    for kept in filter(is_free, _names_to_keep(path)):
        try:
            for suffix in ("-journal", "-wal", ""):
                part = Path(f"{real}{suffix}")
                if part.exists():
                    with temporary_file(kept) as copied:
                        with file_errors(kept):
                            # A plain read drops the locks of this process on a database. This
                            # file could not be opened as one.
                            shutil.copyfile(part, copied)
                        give_name(copied, Path(f"{kept}{suffix}"), part.stat())
        except TakenError:
            continue
        return kept
    raise AssertionError("the names do not run out")
