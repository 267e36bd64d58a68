"""What is interrupted: each operation by its name, on the file it is made for.

Times come from a clock that stands still, so that an operation done twice is done the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nexuslims_store import EventType, RecordStatus, SessionLog, Store, UploadLog, migrations
from nexuslims_store.backup import copy, restore

from .files import INSTRUMENT, Lineage, make

NOW = datetime(2025, 11, 2, 6, 30, tzinfo=UTC)
SESSION = "a1"  # the one that is to be built


@dataclass(frozen=True)
class Operation:
    """One thing to do to one file, again and again.

    Attributes
    ----------
    run
        Does it.
    revision
        That of the file; None: there is no file.
    keeps
        Whether the earlier content must be in a backup beside the file afterwards.
    """

    run: Callable[[Path], object]
    revision: str | None = "head"
    keeps: bool = False

    def prepare(self, folder: Path, lineage: Lineage, *, wal: bool) -> Path:
        """Make the file in an empty folder, and where it is needed another one to restore."""
        data = folder / "data"
        data.mkdir()
        path = data / "nexuslims.db"
        if self.revision is not None:
            make(path, lineage, self.revision, wal=wal)
        if self.run in {_restore}:
            other = make(source_of(path), lineage, wal=not wal)
            with Store(other) as store:
                store.sessions.add("restored", INSTRUMENT, NOW, NOW)
        return path


def source_of(path: Path) -> Path:
    """Return where the backup is that gets restored to a database."""
    return path.parent.parent / "backup.db"


def open_store(path: Path) -> Store:
    return Store(path, clock=lambda: NOW)


def _stamp(path: Path) -> None:
    migrations.stamp(path, "v1_4_3")


def _backup(path: Path) -> None:
    copy(path, path.parent)


def _restore(path: Path) -> None:
    restore(source_of(path), path)


def _add(path: Path) -> None:
    with open_store(path) as store:
        store.sessions.add("new", INSTRUMENT, NOW, NOW + timedelta(hours=1), "user")


def _insert_many(path: Path) -> None:
    def logs(user: str) -> list[SessionLog]:
        return [
            SessionLog(
                session_identifier=f"new-{number}",
                instrument=INSTRUMENT,
                timestamp=NOW,
                event_type=EventType.START,
                user=user,
            )
            for number in range(3)
        ]

    with open_store(path) as store:
        store.session_logs.insert_many([*logs("first"), *logs("corrected")])


def _claim(path: Path) -> None:
    with open_store(path) as store:
        store.sessions.claim()


def _finish(path: Path) -> None:
    with open_store(path) as store:
        session = store.sessions.get(SESSION)
        assert session is not None
        store.sessions.finish(session, RecordStatus.COMPLETED)


def _delete(path: Path) -> None:
    with open_store(path) as store:
        store.sessions.delete(SESSION)


def _store_id(path: Path) -> None:
    with open_store(path) as store:
        store.external_ids.store("ada", "nemo", "17", email="ada@example.com")


def _transaction(path: Path) -> None:
    with open_store(path) as store, store.transaction():
        store.sessions.add("new", INSTRUMENT, NOW, NOW)
        with store.transaction():
            store.upload_logs.insert_many(
                UploadLog(
                    session_identifier="new",
                    destination_name=destination,
                    success=True,
                    timestamp=NOW,
                )
                for destination in ("cdcs", "labarchives")
            )
        store.sessions.delete(SESSION)


OPERATIONS = {
    "upgrade": Operation(migrations.upgrade, "v1_4_3", keeps=True),
    "create": Operation(migrations.upgrade, None),
    "downgrade": Operation(lambda path: migrations.downgrade(path, "v1_4_3"), keeps=True),
    "stamp": Operation(_stamp, "v1_4_3"),
    "backup": Operation(_backup, keeps=True),
    "restore": Operation(_restore, keeps=True),
    "restore to a new file": Operation(_restore, None),
    "sessions.add": Operation(_add),
    "session_logs.insert_many": Operation(_insert_many),
    "sessions.claim": Operation(_claim),
    "sessions.finish": Operation(_finish),
    "sessions.delete": Operation(_delete),
    "external_ids.store": Operation(_store_id),
    "transaction": Operation(_transaction),
}
