"""A file that has its name only when it is whole, and the errors of the system on the way.

It grows under a hidden name in the folder it is for, is synced, and only then gets its own name,
which is never another file's. A process killed on the way leaves at most the hidden file
(`PARTIAL_FILES`).
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nexuslims_store.errors import BackupError, ReadOnlyError, StorageFullError

PARTIAL_FILES = ".nexuslims-*.partial*"
"""The hidden files, as a glob pattern. One that stays behind is a killed process's."""

SIDECARS = ("-journal", "-wal", "-shm")
"""What SQLite appends to a database's name for the files it keeps beside it."""


class TakenError(BackupError):
    """Another file has the name of the copy."""


def is_free(name: Path) -> bool:
    """Whether a new database can be called `name`."""
    return _in_the_way(name) is None


def _in_the_way(name: Path) -> Path | None:
    # SQLite would take a -journal or -wal that an earlier database left for the new one's own,
    # and play it into it.
    candidates = (name, *(Path(f"{name}{suffix}") for suffix in SIDECARS))
    return next((file for file in candidates if os.path.lexists(file)), None)


def refuse_taken(name: Path) -> None:
    """Raise unless a new database can be called `name`."""
    if not name.parent.is_dir():
        raise BackupError(
            f"there is no folder {name.parent} for {name.name}: create it, or choose another"
        )
    in_the_way = _in_the_way(name)
    if in_the_way == name:
        raise _taken(name)
    if in_the_way is not None:
        raise TakenError(
            f"{in_the_way} is in the way: it was left by another database called {name.name}, "
            "and SQLite would play it into the new one. Choose another name, or move it away"
        )


def _taken(name: Path) -> TakenError:
    return TakenError(
        f"{name} exists already, and no backup ever overwrites a file: choose another name, or "
        "move that file away"
    )


@contextmanager
def temporary_file(destination: Path, *, mode: int = 0o600) -> Iterator[Path]:
    """Make an empty file in the folder of `destination`; whatever happens, it is gone after.

    By default nobody else may read it while it grows, whatever the umask.
    """
    # The name does not contain that of the destination, which may be as long as names can be.
    temporary = destination.with_name(f".nexuslims-{os.urandom(8).hex()}.partial")
    try:
        with file_errors(destination):
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode))
        yield temporary
    finally:
        for suffix in ("", *SIDECARS):
            # Most are not there. What cannot be removed is hidden and named by the doctor; the
            # first error is the one to tell.
            with suppress(OSError):
                Path(f"{temporary}{suffix}").unlink()


def publish(temporary: Path, names: Iterable[Path], like: os.stat_result | None) -> Path:
    """Give a finished file the first of the names that is free, once it is safe on the disk.

    Parameters
    ----------
    names
        One or more in the folder of the file. Others may take them at the same time.
    like
        Whose mode and owner it gets; None: its owner alone may read and write it.

    Returns
    -------
    pathlib.Path
        Its name.
    """
    taken = TakenError("a copy needs a name")
    for name in names:
        try:
            refuse_taken(name)
            give_name(temporary, name, like)
        except TakenError as error:
            taken = error
        else:
            return name
    raise taken


def give_name(temporary: Path, name: Path, like: os.stat_result | None) -> None:
    """Give a finished file this very name, unless another file has it."""
    with file_errors(name):
        sync(temporary, like)
        _rename_to_free(temporary, name)
        sync_folder(name.parent)


def _rename_to_free(temporary: Path, name: Path) -> None:
    """Rename a file, or raise FileExistsError."""
    if sys.platform == "win32":
        temporary.rename(name)  # refuses where the name is taken
    else:
        # rename() would overwrite; link() refuses where the name is taken.
        try:
            os.link(temporary, name)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            _rename_under_lock(temporary, name)


# FAT, and some network disks.
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def _rename_under_lock(temporary: Path, name: Path) -> None:
    """Look, then rename; the lock on the folder keeps others of this package from the same name.

    Taking the name with an empty file first would leave that file to whoever is killed.
    """
    if sys.platform != "win32":
        import fcntl  # noqa: PLC0415 -- Windows has none

        folder = os.open(name.parent, os.O_RDONLY)
        try:
            with suppress(OSError):  # a disk without locks
                fcntl.flock(folder, fcntl.LOCK_EX)
            if os.path.lexists(name):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(name))
            temporary.rename(name)
        finally:
            os.close(folder)


def sync(file: Path, like: os.stat_result | None) -> None:
    """Set a file's mode and owner and wait until it is on the disk.

    No connection may have it open, for closing it here would drop SQLite's locks.
    """
    descriptor = os.open(file, os.O_RDWR)
    try:
        if like is not None:
            if sys.platform != "win32":
                _give_to(descriptor, like)
            file.chmod(stat.S_IMODE(like.st_mode) & 0o777)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if sys.platform != "win32":

    def _give_to(descriptor: int, like: os.stat_result) -> None:
        # Root's backups would else be root's, and the program that uses the database could not
        # read them. Others, and root in many containers, can give a file to their own groups
        # only.
        owner = like.st_uid if os.geteuid() == 0 else -1
        with suppress(PermissionError):
            os.fchown(descriptor, owner, like.st_gid)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's names are on the disk, where the system has a way to."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some network disks
                raise
        finally:
            os.close(descriptor)


def require_room(destination: Path, needed: int) -> None:
    """Raise unless the disk of `destination` has `needed` bytes free."""
    with file_errors(destination):
        free = shutil.disk_usage(destination.parent).free
    if free < needed:
        raise StorageFullError(
            f"no room for {destination}: {needed:,} bytes are needed, {free:,} are free on the "
            "disk; free some space and try again. Nothing was changed"
        )


@contextmanager
def file_errors(destination: Path) -> Iterator[None]:
    """Turn the operating system's errors in writing `destination` into this package's."""
    try:
        yield
    except FileExistsError as error:
        raise _taken(destination) from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise StorageFullError(
                f"no room to write {destination} ({error.strerror}): free some space on its disk "
                "and try again; nothing was changed"
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM}:
            enters = os.access(destination.parent, os.X_OK)
            why = "is read-only for this user" if enters else "may not be entered by this user"
            raise ReadOnlyError(
                f"{destination} cannot be written: the folder {destination.parent} {why}; choose "
                "another folder, or change its permissions"
            ) from error
        if error.errno == errno.EROFS:
            raise ReadOnlyError(
                f"{destination} cannot be written: its disk is mounted read-only; choose another "
                "folder"
            ) from error
        raise BackupError(
            f"{destination} cannot be written ({error.strerror or error}): choose another name "
            "or another folder"
        ) from error
