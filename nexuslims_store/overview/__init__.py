"""What `status`, the report, the doctor and monitors all say of a database, found once.

`read` looks at the work of the record builders on an open database; `examine` opens one read-only
and looks at the database too.
"""

from __future__ import annotations

from nexuslims_store.overview.examining import Overview, examine
from nexuslims_store.overview.work import FAILED, PATIENCE, Work, read
from nexuslims_store.results import LEASE

__all__ = ["FAILED", "LEASE", "PATIENCE", "Overview", "Work", "examine", "read"]
