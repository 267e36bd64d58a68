"""NexusLIMS's own names, for scripts written against NexusLIMS.

Such a script changes its import lines only::

    from nexuslims_store.compat import EventType, RecordStatus, SessionLog, get_sessions_to_build

in place of the names' homes in NexusLIMS (`nexusLIMS.db.models`, `.db.enums`,
`.db.session_handler`, `nexusLIMS.instruments`). Everything works on the database of
`nexuslims_store.default_path()`, which is asked for with every call: nothing is cached, so a
lock or a change of `NX_DB_PATH` leaves nothing wrong behind, and any thread may call.

Where NexusLIMS is wrong the behaviour here is the right one: bad values are refused, events are
inserted exactly once, odd events are not in the way of other sessions, a lock is waited for.
"""

from __future__ import annotations

from nexuslims_store.compat.instruments import (
    _ensure_instrument_db_loaded as _ensure_instrument_db_loaded,
)
from nexuslims_store.compat.instruments import (
    get_instr_from_api_url,
    get_instr_from_calendar_name,
    get_instr_from_filepath,
    instrument_db,
)
from nexuslims_store.compat.models import (
    ExternalUserIdentifier,
    Instrument,
    SessionLog,
    UploadLog,
    get_all_external_ids,
    get_external_id,
    get_nexuslims_username,
    store_external_id,
)
from nexuslims_store.compat.session_handler import (
    Session,
    get_all_session_logs,
    get_sessions_to_build,
)
from nexuslims_store.compat.timezone import InstrumentTimezone
from nexuslims_store.enums import EventType, ExternalSystem, RecordStatus

__all__ = [
    "EventType",
    "ExternalSystem",
    "ExternalUserIdentifier",
    "Instrument",
    "InstrumentTimezone",
    "RecordStatus",
    "Session",
    "SessionLog",
    "UploadLog",
    "get_all_external_ids",
    "get_all_session_logs",
    "get_external_id",
    "get_instr_from_api_url",
    "get_instr_from_calendar_name",
    "get_instr_from_filepath",
    "get_nexuslims_username",
    "get_sessions_to_build",
    "instrument_db",
    "store_external_id",
]
