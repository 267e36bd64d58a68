"""Backups of a database: copies, their names, and how one is brought back.

::

    from nexuslims_store import backup

    kept = backup.copy(path, "/mnt/backups")
    backup.restore(kept, path)
"""

from __future__ import annotations

from nexuslims_store.backup.copying import Progress, copy, name_for
from nexuslims_store.backup.files import PARTIAL_FILES, SIDECARS, file_errors
from nexuslims_store.backup.names import Backup, free_name, list_backups
from nexuslims_store.backup.restoring import (
    check_target,
    restore,
    revision_of,
    what_is_wrong,
)
from nexuslims_store.backup.retention import Keep, OldBackups, not_kept, old_backups, remove_backups

__all__ = [
    "PARTIAL_FILES",
    "SIDECARS",
    "Backup",
    "Keep",
    "OldBackups",
    "Progress",
    "check_target",
    "copy",
    "file_errors",
    "free_name",
    "list_backups",
    "name_for",
    "not_kept",
    "old_backups",
    "remove_backups",
    "restore",
    "revision_of",
    "what_is_wrong",
]
