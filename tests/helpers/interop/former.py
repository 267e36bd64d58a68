"""Databases made and stamped by NexusLIMS 2.3.0 and 2.4.1, with the code of those releases.

Until 2.5.0 NexusLIMS's revisions had other names, its migrations stood beside the package and
not in it, and there were two ways to make a database: by the models (`create_all`, as its guide
says for new installations) and by the script of the 1.x releases, which came along up to 2.4.1.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .files import fill
from .nexuslims import ENVIRONMENT

BASELINE, UPLOAD_LOG, CHECKS = "57f0798d0c6d", "0ea2bc3d2ebe", "2e1408e573b1"

_CREATE_ALL = """
import sys
from sqlmodel import SQLModel, create_engine
import nexusLIMS.db.models
SQLModel.metadata.create_all(create_engine("sqlite:///" + sys.argv[1]))
"""
_CREATION_SCRIPT = """
import sys
sys.path.insert(0, "scripts")
from initialize_db import get_sql_script_path, initialize_database
initialize_database(sys.argv[1], get_sql_script_path())
"""


@dataclass(frozen=True)
class FormerNexusLIMS:
    """A release of NexusLIMS before 2.5.0.

    Parameters
    ----------
    version
        "2.3.0" or "2.4.1".
    sources
        The folder that `.ci/nexuslims-sources` unpacked it in.
    python
        An interpreter that has the packages which NexusLIMS's database layer needs. That of a
        later NexusLIMS will do: the older one goes before it.
    """

    version: str
    sources: Path
    python: str

    def create_all(self, database: Path) -> None:
        """Make a database with the release's models, unstamped."""
        self._run(database, "-c", _CREATE_ALL, str(database))

    def creation_script(self, database: Path) -> None:
        """Make a database with the script of the 1.x releases, as the release has it."""
        self._run(database, "-c", _CREATION_SCRIPT, str(database))

    def alembic(self, database: Path, *arguments: str, check: bool = True) -> str:
        """Run the `alembic` command in the release's folder; return what it printed."""
        return self._run(database, "-m", "alembic", *arguments, check=check)

    def _run(self, database: Path, *arguments: str, check: bool = True) -> str:
        folder = self.sources / f"nexuslims-{self.version}"
        done = subprocess.run(
            [self.python, *arguments],
            cwd=folder,
            env=os.environ | ENVIRONMENT | {"NX_DB_PATH": str(database), "PYTHONPATH": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout


# -- what they made -----------------------------------------------------------------------

# 2.3.0 and 2.4.1.
Releases = tuple[FormerNexusLIMS, FormerNexusLIMS]


@dataclass(frozen=True)
class FormerFile:
    """What releases do one after the other to make a file, and what is in it then.

    Parameters
    ----------
    by_script
        Whether it is made by the script of 1.x; else by the models. Then it is stamped `head`,
        as the guides of both releases say.
    made_by
        Which release does that: 0 is 2.3.0, 1 is 2.4.1.
    revision, tables
        What is in the file in the end.
    upgraded_to
        What it is asked to become by 2.4.1 then, after rows were put into it.
    gets_stuck
        Whether that upgrade fails half-way, with every try.
    """

    by_script: bool
    made_by: int
    revision: str
    tables: tuple[str, ...]
    upgraded_to: str | None = None
    gets_stuck: bool = False

    def make(self, path: Path, releases: Releases) -> None:
        """Make the file, with rows in its tables."""
        release = releases[self.made_by]
        if self.by_script:
            release.creation_script(path)
        else:
            release.create_all(path)
        release.alembic(path, "stamp", "head")
        fill(path)
        if self.upgraded_to is not None:
            said = releases[1].alembic(path, "upgrade", self.upgraded_to, check=not self.gets_stuck)
            assert ("index ix_session_log_session_identifier already exists" in said) is (
                self.gets_stuck
            )
        fill(path)


_OLD = ("instruments", "session_log")
_NEW = (*_OLD, "upload_log")

FILES = {
    "made by 2.3.0": FormerFile(False, 0, BASELINE, _OLD),
    "made by 2.3.0, one step up by 2.4.1": FormerFile(False, 0, UPLOAD_LOG, _NEW, UPLOAD_LOG),
    "made by 2.3.0, stuck at 2.4.1": FormerFile(
        False, 0, UPLOAD_LOG, (*_NEW, "session_log_new"), "head", gets_stuck=True
    ),
    "made by 2.4.1": FormerFile(False, 1, CHECKS, _NEW),
    "existing at 2.3.0": FormerFile(True, 0, BASELINE, _OLD),
    "existing, one step up by 2.4.1": FormerFile(True, 0, UPLOAD_LOG, _NEW, UPLOAD_LOG),
    "existing, upgraded by 2.4.1": FormerFile(True, 0, CHECKS, _NEW, "head"),
    # Its upload_log is missing: the tables are those of the baseline.
    "existing, stamped by 2.4.1": FormerFile(True, 1, CHECKS, _OLD),
}
