"""What a test needs of the system and the user it runs under.

What names functions or signals that mypy does not know on Windows is not for Windows to mypy too
after `if sys.platform == "win32": needs_posix()`.
"""

from __future__ import annotations

import os
import sys
from typing import Never

import pytest


def is_root() -> bool:
    """Whether no permission binds this user."""
    return sys.platform != "win32" and os.geteuid() == 0


_POSIX = "modes, links, pipes, limits, signals and forks of POSIX"
posix = pytest.mark.skipif(sys.platform == "win32", reason=_POSIX)
as_root = pytest.mark.skipif(not is_root(), reason="only root can become or serve another user")
no_root = pytest.mark.skipif(
    is_root() or sys.platform == "win32", reason="root may read, write and enter everything"
)


def needs_posix() -> Never:
    """Skip the test that has come here."""
    pytest.skip(_POSIX)
