"""What the tests of odd files share: making one of a revision, and seeing that one is refused."""

from __future__ import annotations

import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from helpers.migration_files import HEAD, REVISIONS, backups, execute
from nexuslims_store import migrations
from nexuslims_store.errors import StoreError
from nexuslims_store.recognition import check_head
from nexuslims_store.revisions import position

# Each step, up and down: from, to, which way.
MOVES = [
    (start, end, "upgrade" if position(end) > position(start) else "downgrade")
    for step in migrations.history()
    for start, end in [(step.down_revision, step.revision), (step.revision, step.down_revision)]
]

# The arguments: a file, the folder that the package must be in, a target or nothing.
TRY_TO_UPGRADE = """
import sys
from nexuslims_store import migrations
from nexuslims_store.errors import MigrationError
assert migrations.__file__.startswith(sys.argv[2]), migrations.__file__
try:
    migrations.upgrade(sys.argv[1], *sys.argv[3:])
except MigrationError as error:
    print(error)
"""


def python(code: str, *arguments: object, options: tuple[str, ...] = (), **kwargs: Any) -> str:
    """Run code in another Python, warnings being errors, and return what it prints."""
    result = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **kwargs,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    return str(result.stdout)


def make_file(path: Path, revision: str = HEAD) -> Path:
    """Write an empty file of a revision, as an upgrade makes it."""
    path.write_bytes(_image(revision))
    return path


@cache
def _image(revision: str) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "nexuslims.db"
        migrations.upgrade(path, revision)
        return path.read_bytes()


def at(revision: str, path: Path, script: str = "") -> Path:
    """Make a file of a revision, with a session in it, and run a script on it."""
    make_file(path, revision)
    newer = REVISIONS.index(revision) >= REVISIONS.index("v2_5_0b")
    name = "display_name" if newer else "calendar_name, schema_name"
    values = "'d'" if newer else "'n', 'd'"
    execute(
        path,
        f"INSERT INTO instruments (instrument_pid, api_url, calendar_url, location, {name}, "
        "property_tag, filestore_path, harvester, timezone) VALUES ('sem', 'https://e.com', 'c', "
        f"'l', {values}, 'p', './sem', 'nemo', 'UTC');"
        "INSERT INTO session_log (id_session_log, session_identifier, instrument, timestamp, "
        "event_type, record_status, user) VALUES (4, 's', 'sem', '2025-01-01T00:00:00', 'START', "
        "'TO_BE_BUILT', NULL);" + script,
    )
    return path


def mend(path: Path, remedy: str) -> str:
    """Run the first command for SQLite's shell that a text advises; return what follows it."""
    file = re.escape(shlex.quote(str(path)))
    found = re.search(rf"""sqlite3 {file} ("(?:[^"\\]|\\.)*"|'(?:[^']|'"'"')*')""", remedy)
    assert found is not None, remedy
    (script,) = shlex.split(found[1])
    execute(path, script)
    return remedy[found.end() :]


def store_says(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return check_head(connection, path, write=False, timeout=30.0)


def refused(path: Path, error: type[StoreError], *words: str) -> None:
    """Assert that a file is refused in every way, with these words, and left as it is."""
    before = path.read_bytes()
    for attempt in (migrations.upgrade, migrations.downgrade, migrations.current, store_says):
        with pytest.raises(error) as caught:
            attempt(path)
        for word in (str(path), *words):
            assert word in str(caught.value)
    assert path.read_bytes() == before
    assert not backups(path)
