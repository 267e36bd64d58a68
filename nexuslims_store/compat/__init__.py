"""NexusLIMS's own names, for scripts written against NexusLIMS.

Such a script changes its import lines only::

    from nexuslims_store.compat import EventType, RecordStatus, SessionLog, get_sessions_to_build

in place of the names' homes in NexusLIMS (`nexusLIMS.db.models`, `.db.enums`,
`.db.session_handler`, `nexusLIMS.instruments`). Everything works on the database of
`nexuslims_store.default_path()`, which is asked for with every call: nothing is cached, so a
lock or a change of `NX_DB_PATH` leaves nothing wrong behind, and any thread may call.

Where NexusLIMS is wrong the behaviour here is the right one: bad values are refused, events are
inserted exactly once, odd events are not in the way of other sessions, a lock is waited for.

Examples
--------
A harvester's script:

>>> instrument_db["Titan"].timezone == InstrumentTimezone("America/New_York")
True
>>> url = instrument_db["Titan"].api_url
>>> titan = get_instr_from_api_url(url)
>>> titan == get_instr_from_calendar_name("titan") == get_instr_from_filepath("/data/Titan/1.dm3")
True
>>> for event_type, hour in ((EventType.START, 9), (EventType.END, 10)):
...     log = SessionLog(
...         session_identifier="1", instrument=titan.name, timestamp=datetime(2025, 7, 1, hour),
...         event_type=event_type, record_status=RecordStatus.TO_BE_BUILT, user="alice",
...     )
...     log.insert_log()
True
True
>>> log.instrument_obj == Instrument(**titan.model_dump())
True
>>> alice = store_external_id("alice", ExternalSystem.NEMO, "42")
>>> isinstance(alice, ExternalUserIdentifier), alice.external_system
(True, 'nemo')
>>> get_external_id("alice", ExternalSystem.NEMO), get_nexuslims_username("42", ExternalSystem.NEMO)
('42', 'alice')
>>> get_all_external_ids("alice")
{'nemo': '42'}

And a builder's:

>>> get_sessions_to_build()
[2025-07-01T09:00:00-04:00 to 2025-07-01T10:00:00-04:00 on Titan]
>>> session = Session("1", titan, (datetime(2025, 7, 1, 9), datetime(2025, 7, 1, 10)), "alice")
>>> session.insert_record_generation_event()["id_session_log"]
3
>>> UploadLog(session_identifier="1", destination_name="cdcs", success=True).metadata
>>> session.update_session_status(RecordStatus.COMPLETED)
True
>>> {log.record_status.value for log in get_all_session_logs()}
{'COMPLETED'}
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
