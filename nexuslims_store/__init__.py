"""The NexusLIMS database, with nothing but sqlite3, Pydantic and plain SQL.

::

    from nexuslims_store import Store

    with Store() as store:
        for session in store.sessions.list_to_build():
            print(session.instrument, session.dt_from, session.duration)

Importing the package opens nothing and configures no logging; its logger is "nexuslims_store".
"""

import logging
from importlib import import_module
from types import ModuleType

from nexuslims_store.config import default_path
from nexuslims_store.enums import EventType, ExternalSystem, RecordStatus
from nexuslims_store.errors import (
    BackupError,
    CorruptDatabaseError,
    DatabaseLockedError,
    DatabaseNotFoundError,
    DuplicateError,
    InstrumentInUseError,
    InvalidRowError,
    MigrationError,
    NotANexusLIMSDatabaseError,
    PendingMigrationsError,
    ReadOnlyError,
    SchemaMismatchError,
    StorageFullError,
    StoreError,
    UnknownInstrumentError,
    UnknownRevisionError,
)
from nexuslims_store.models import (
    ExternalUserIdentifier,
    InsertSummary,
    Instrument,
    InstrumentActivity,
    Session,
    SessionLog,
    UnpairedSession,
    UploadLog,
)
from nexuslims_store.store import Store

__version__ = "0.1.0"

__all__ = [
    "BackupError",
    "CorruptDatabaseError",
    "DatabaseLockedError",
    "DatabaseNotFoundError",
    "DuplicateError",
    "EventType",
    "ExternalSystem",
    "ExternalUserIdentifier",
    "InsertSummary",
    "Instrument",
    "InstrumentActivity",
    "InstrumentInUseError",
    "InvalidRowError",
    "MigrationError",
    "NotANexusLIMSDatabaseError",
    "PendingMigrationsError",
    "ReadOnlyError",
    "RecordStatus",
    "SchemaMismatchError",
    "Session",
    "SessionLog",
    "StorageFullError",
    "Store",
    "StoreError",
    "UnknownInstrumentError",
    "UnknownRevisionError",
    "UnpairedSession",
    "UploadLog",
    "__version__",
    "default_path",
]

logging.getLogger("nexuslims_store").addHandler(logging.NullHandler())


def __getattr__(name: str) -> ModuleType:
    # So that `nexuslims_store.migrations.upgrade(…)` works after `import nexuslims_store` alone,
    # which would take several times longer if it imported yoyo.
    if name in {"compat", "migrations"}:
        return import_module(f"nexuslims_store.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
