"""The values NexusLIMS allows in its status columns, as `str` enums.

Each enum mirrors a CHECK constraint of the tables (`sql/migrations/`) and the enum of the
same name in NexusLIMS (`nexusLIMS.db.enums`).
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, TypeAlias

__all__ = ["EventType", "ExternalSystem", "RecordStatus", "StatusName", "SystemName"]


class EventType(str, Enum):
    """What a row of `session_log` records.

    Examples
    --------
    >>> EventType("START") is EventType.START
    True
    """

    START = "START"
    END = "END"
    RECORD_GENERATION = "RECORD_GENERATION"


class RecordStatus(str, Enum):
    """How far the record of a session has come.

    Examples
    --------
    >>> RecordStatus("ERROR") is RecordStatus.ERROR
    True
    >>> RecordStatus.ERROR == "ERROR"
    True
    """

    WAITING_FOR_END = "WAITING_FOR_END"
    """The session has started and not ended yet."""
    TO_BE_BUILT = "TO_BE_BUILT"
    """The session has ended; its record waits for a builder."""
    COMPLETED = "COMPLETED"
    """The record was built and exported."""
    BUILT_NOT_EXPORTED = "BUILT_NOT_EXPORTED"
    """The record was built, but the export failed."""
    ERROR = "ERROR"
    """Building the record failed."""
    NO_FILES_FOUND = "NO_FILES_FOUND"
    """No files were found between START and END."""
    NO_CONSENT = "NO_CONSENT"
    """The user did not consent to having their data harvested."""
    NO_RESERVATION = "NO_RESERVATION"
    """No reservation matches the session, so there is no consent either."""


class ExternalSystem(str, Enum):
    """Systems outside NexusLIMS that know a user by an identifier of their own.

    Examples
    --------
    >>> [system.value for system in ExternalSystem]
    ['nemo', 'labarchives_eln', 'labarchives_scheduler', 'cdcs']
    """

    NEMO = "nemo"
    LABARCHIVES_ELN = "labarchives_eln"
    LABARCHIVES_SCHEDULER = "labarchives_scheduler"
    CDCS = "cdcs"


# So that a type checker finds a misspelt one. A test holds them equal to the members' values.
StatusName: TypeAlias = Literal[
    "WAITING_FOR_END",
    "TO_BE_BUILT",
    "COMPLETED",
    "BUILT_NOT_EXPORTED",
    "ERROR",
    "NO_FILES_FOUND",
    "NO_CONSENT",
    "NO_RESERVATION",
]
"""The value of a `RecordStatus`, which methods take for the member."""

SystemName: TypeAlias = Literal["nemo", "labarchives_eln", "labarchives_scheduler", "cdcs"]
"""The value of an `ExternalSystem`, which methods take for the member."""
