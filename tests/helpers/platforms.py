"""What a test needs of the system and the user it runs under.

What names functions or signals that mypy does not know on Windows is not for Windows to mypy too
after `if sys.platform == "win32": needs_posix()`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Never

import pytest

from nexuslims_store.config import sql_folder


def is_root() -> bool:
    """Whether no permission binds this user."""
    return sys.platform != "win32" and os.geteuid() == 0


def _others_may_read(folder: Path) -> bool:
    return folder.stat().st_mode & 0o005 == 0o005


_POSIX = "modes, links, pipes, limits, signals and forks of POSIX"
posix = pytest.mark.skipif(sys.platform == "win32", reason=_POSIX)
as_root = pytest.mark.skipif(not is_root(), reason="only root can become or serve another user")
# Root's home, where a checkout may lie, is mostly closed to others; a run reads its migrations.
as_one_who_migrates = pytest.mark.skipif(
    not is_root()
    or not all(_others_may_read(path) for path in (sql_folder(), *sql_folder().parents)),
    reason="only root can become another user, who has to be able to read the package",
)
no_root = pytest.mark.skipif(
    is_root() or sys.platform == "win32", reason="root may read, write and enter everything"
)


def needs_posix() -> Never:
    """Skip the test that has come here."""
    pytest.skip(_POSIX)
