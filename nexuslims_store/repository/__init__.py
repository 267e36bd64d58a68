"""One class for each table: the only callers of the statements in `sql/`.

Every write is one transaction, and part of `store.transaction()` when one is open.
"""

from nexuslims_store.repository.external_ids import ExternalIdRepository
from nexuslims_store.repository.instruments import InstrumentRepository
from nexuslims_store.repository.session_logs import SessionLogRepository
from nexuslims_store.repository.sessions import SessionRepository
from nexuslims_store.repository.upload_logs import UploadLogRepository

__all__ = [
    "ExternalIdRepository",
    "InstrumentRepository",
    "SessionLogRepository",
    "SessionRepository",
    "UploadLogRepository",
]
