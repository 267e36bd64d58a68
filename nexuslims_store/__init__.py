"""The NexusLIMS database, with nothing but sqlite3, Pydantic and plain SQL.

::

    from nexuslims_store import Store

    with Store() as store:
        for session in store.sessions.list_to_build():
            print(session.instrument, session.dt_from, session.duration)

`nexuslims_store.testing` makes stores and sessions for the tests of programs that use them,
`nexuslims_store.migrations` upgrades databases, `nexuslims_store.compat` has NexusLIMS's own names.

Importing the package opens nothing and configures no logging; its logger is "nexuslims_store".
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexuslims_store.config import default_path
    from nexuslims_store.enums import EventType, ExternalSystem, RecordStatus
    from nexuslims_store.errors import (
        BackupError,
        ClaimedError,
        ClaimLostError,
        ConsentError,
        CorruptDatabaseError,
        DatabaseLockedError,
        DatabaseNotFoundError,
        DuplicateError,
        InstrumentInUseError,
        InvalidRowError,
        InvalidValueError,
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
        Instrument,
        Session,
        SessionLog,
        UploadLog,
    )
    from nexuslims_store.results import (
        Claim,
        InsertSummary,
        InstrumentActivity,
        NewSession,
        ResetSummary,
        SessionOverview,
        UnpairedSession,
    )
    from nexuslims_store.store import Store

__version__ = "0.2.0"

__all__ = [
    "BackupError",
    "Claim",
    "ClaimLostError",
    "ClaimedError",
    "ConsentError",
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
    "InvalidValueError",
    "MigrationError",
    "NewSession",
    "NotANexusLIMSDatabaseError",
    "PendingMigrationsError",
    "ReadOnlyError",
    "RecordStatus",
    "ResetSummary",
    "SchemaMismatchError",
    "Session",
    "SessionLog",
    "SessionOverview",
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

_SUBMODULES = ("compat", "migrations", "testing")
_HOMES = ("config", "enums", "errors", "results", "models")


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is first asked for.

    Pydantic and sqlite3 take longer to import than most programs' first query takes to run, and
    many a program imports this package only to catch an error or to find the database.
    """
    if name in _SUBMODULES:
        return import_module(f"nexuslims_store.{name}")
    if name in __all__:
        # The class comes with sqlite3: nobody else waits for that.
        for home in ("store",) if name == "Store" else _HOMES:
            module = import_module(f"nexuslims_store.{home}")
            if name in module.__all__:
                globals()[name] = value = getattr(module, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list({*globals(), *__all__, *_SUBMODULES})  # dir() sorts it
