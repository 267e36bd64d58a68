"""What a NexusLIMS database looks like at each revision, written out, and how to look at one.

`describe()` puts everything that the PRAGMAs and the named constraints say of a table into a few
lines of text, so that a difference reads well in a test's report. The texts below are what
NexusLIMS's own migrations give, each read off a file that NexusLIMS had made.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nexuslims_store import migrations

REVISIONS = tuple(migration.revision for migration in migrations.history())
HEAD = REVISIONS[-1]
# The revisions that change the columns of a table which is there already.
ADD_CHECKS, REMOVE_COMPUTER_FIELDS = "v2_4_0b", "v2_5_0b"
TABLES = ("instruments", "session_log", "upload_log", "external_user_identifiers")


# -- the tables ---------------------------------------------------------------------------

INSTRUMENTS = """
  instrument_pid VARCHAR(100) NOT NULL key 1
  api_url VARCHAR NOT NULL
  calendar_name VARCHAR NOT NULL
  calendar_url VARCHAR NOT NULL
  location VARCHAR(100) NOT NULL
  schema_name VARCHAR NOT NULL
  property_tag VARCHAR(20) NOT NULL
  filestore_path VARCHAR NOT NULL
  harvester VARCHAR NOT NULL
  timezone VARCHAR NOT NULL
  computer_name VARCHAR
  computer_ip VARCHAR(15)
  computer_mount VARCHAR
  unique pk sqlite_autoindex_instruments_1 (instrument_pid)
  unique u sqlite_autoindex_instruments_2 (api_url)
  unique u sqlite_autoindex_instruments_3 (computer_name)
  unique u sqlite_autoindex_instruments_4 (computer_ip)
"""

INSTRUMENTS_WITHOUT_COMPUTER = """
  instrument_pid VARCHAR(100) NOT NULL key 1
  api_url VARCHAR NOT NULL
  calendar_url VARCHAR NOT NULL
  location VARCHAR(100) NOT NULL
  display_name VARCHAR NOT NULL
  property_tag VARCHAR(20) NOT NULL
  filestore_path VARCHAR NOT NULL
  harvester VARCHAR NOT NULL
  timezone VARCHAR NOT NULL
  unique pk sqlite_autoindex_instruments_1 (instrument_pid)
  unique u sqlite_autoindex_instruments_2 (api_url)
"""

# NexusLIMS's own downgrade from REMOVE_COMPUTER_FIELDS: the columns come back at the end, without
# their UNIQUE and, calendar_name, without its NOT NULL.
INSTRUMENTS_DOWN_BY_NEXUSLIMS = """
  instrument_pid VARCHAR(100) NOT NULL key 1
  api_url VARCHAR NOT NULL
  calendar_url VARCHAR NOT NULL
  location VARCHAR(100) NOT NULL
  schema_name VARCHAR NOT NULL
  property_tag VARCHAR(20) NOT NULL
  filestore_path VARCHAR NOT NULL
  harvester VARCHAR NOT NULL
  timezone VARCHAR NOT NULL
  computer_name VARCHAR
  computer_ip VARCHAR(15)
  computer_mount VARCHAR
  calendar_name VARCHAR
  unique pk sqlite_autoindex_instruments_1 (instrument_pid)
  unique u sqlite_autoindex_instruments_2 (api_url)
"""

INSTRUMENTS_BEFORE_2_2 = """
  instrument_pid VARCHAR(100) NOT NULL key 1
  api_url TEXT NOT NULL
  calendar_name TEXT NOT NULL
  calendar_url TEXT NOT NULL
  location VARCHAR(100) NOT NULL
  schema_name TEXT NOT NULL
  property_tag VARCHAR(20) NOT NULL
  filestore_path TEXT NOT NULL
  computer_name TEXT
  computer_ip VARCHAR(15)
  computer_mount TEXT
  harvester TEXT
  timezone TEXT NOT NULL default 'America/New_York'
  unique pk sqlite_autoindex_instruments_1 (instrument_pid)
  unique u sqlite_autoindex_instruments_2 (computer_ip)
  unique u sqlite_autoindex_instruments_3 (api_url)
  unique u sqlite_autoindex_instruments_4 (computer_name)
  constraint instrument_pid_UNIQUE UNIQUE (instrument_pid)
  constraint computer_ip_UNIQUE UNIQUE (computer_ip)
  constraint api_url_UNIQUE UNIQUE (api_url)
  constraint computer_name_UNIQUE UNIQUE (computer_name)
"""

SESSION_LOG = """
  id_session_log INTEGER NOT NULL key 1
  session_identifier VARCHAR(36) NOT NULL
  instrument VARCHAR(100) NOT NULL
  timestamp VARCHAR NOT NULL
  event_type VARCHAR NOT NULL
  record_status VARCHAR NOT NULL
  user VARCHAR(50)
  index c ix_session_log_session_identifier (session_identifier)
  foreign key (instrument) instruments (instrument_pid) NO ACTION NO ACTION
"""

# NexusLIMS's own downgrade from ADD_CHECKS keeps the two lengths.
SESSION_LOG_DOWN_BY_NEXUSLIMS = SESSION_LOG.replace(
    "event_type VARCHAR ", "event_type VARCHAR(17) "
).replace("record_status VARCHAR ", "record_status VARCHAR(18) ")

SESSION_LOG_WITH_CHECKS = (
    SESSION_LOG_DOWN_BY_NEXUSLIMS
    + """\
  constraint check_event_type CHECK (event_type IN ('START', 'END', 'RECORD_GENERATION'))
  constraint check_record_status CHECK (record_status IN ('COMPLETED', 'WAITING_FOR_END', \
'TO_BE_BUILT', 'BUILT_NOT_EXPORTED', 'ERROR', 'NO_FILES_FOUND', 'NO_CONSENT', 'NO_RESERVATION'))
"""
)

SESSION_LOG_BEFORE_2_2 = """
  id_session_log INTEGER NOT NULL key 1
  session_identifier VARCHAR(36) NOT NULL
  instrument VARCHAR(100) NOT NULL
  timestamp DATETIME NOT NULL default strftime('%Y-%m-%dT%H:%M:%f', 'now', 'localtime')
  event_type TEXT NOT NULL
  record_status TEXT NOT NULL default 'WAITING_FOR_END'
  user VARCHAR(50)
  index c session_log.fk_instrument_idx (instrument)
  unique u sqlite_autoindex_session_log_1 (id_session_log)
  foreign key (instrument) instruments (instrument_pid) CASCADE CASCADE
  constraint id_session_log_UNIQUE UNIQUE (id_session_log)
  constraint fk_instrument FOREIGN KEY (instrument)
"""

UPLOAD_LOG = """
  id INTEGER NOT NULL key 1
  session_identifier VARCHAR(36) NOT NULL
  destination_name VARCHAR(100) NOT NULL
  success BOOLEAN NOT NULL
  timestamp VARCHAR NOT NULL
  record_id VARCHAR(255)
  record_url VARCHAR(500)
  error_message VARCHAR
  metadata_json VARCHAR
  index c ix_upload_log_destination_name (destination_name)
  index c ix_upload_log_session_identifier (session_identifier)
"""

EXTERNAL_USER_IDENTIFIERS = """
  id INTEGER NOT NULL key 1
  nexuslims_username VARCHAR NOT NULL
  external_system VARCHAR NOT NULL
  external_id VARCHAR NOT NULL
  email VARCHAR
  created_at VARCHAR NOT NULL
  last_verified_at VARCHAR
  notes VARCHAR
  index c idx_external_lookup (external_system, external_id)
  index c idx_nexuslims_username (nexuslims_username)
  unique u sqlite_autoindex_external_user_identifiers_1 (nexuslims_username, external_system)
  unique u sqlite_autoindex_external_user_identifiers_2 (external_system, external_id)
  constraint valid_external_system CHECK (external_system IN ('nemo', 'labarchives_eln', \
'labarchives_scheduler', 'cdcs'))
  constraint nexuslims_username_system_UNIQUE UNIQUE (nexuslims_username, external_system)
  constraint system_external_id_UNIQUE UNIQUE (external_system, external_id)
"""


# -- the revisions ------------------------------------------------------------------------


@dataclass(frozen=True)
class Expected:
    """A revision, and the shape of the two tables whose shape depends on how it was reached."""

    revision: str | None
    instruments: str = ""
    session_log: str = ""
    sqlite_sequence: bool = False

    @classmethod
    def fresh(cls, revision: str) -> Expected:
        """Return the revision as an upgrade from nothing gives it."""
        state = cls(None)
        for step in REVISIONS[: REVISIONS.index(revision) + 1]:
            state = state.after_upgrade(step)
        return state

    @classmethod
    def before_2_2(cls, revision: str) -> Expected:
        """Return the revision as an upgrade of a file from before NexusLIMS 2.2 gives it."""
        state = cls("v1_4_3", INSTRUMENTS_BEFORE_2_2, SESSION_LOG_BEFORE_2_2, sqlite_sequence=True)
        for step in REVISIONS[1 : REVISIONS.index(revision) + 1]:
            state = state.after_upgrade(step)
        return state

    def after_upgrade(self, revision: str) -> Expected:
        """Return what one step up gives."""
        state = replace(self, revision=revision)
        if revision == "v1_4_3":
            return replace(state, instruments=INSTRUMENTS, session_log=SESSION_LOG)
        if revision == ADD_CHECKS:
            return replace(state, session_log=SESSION_LOG_WITH_CHECKS)
        if revision == REMOVE_COMPUTER_FIELDS:
            return replace(state, instruments=INSTRUMENTS_WITHOUT_COMPUTER)
        return state

    def after_downgrade(self, *, by_nexuslims: bool) -> Expected:
        """Return what one step down gives, with the differences of NexusLIMS's own downgrade."""
        step = REVISIONS.index(self.revision)
        if step == 0:
            # sqlite_sequence can't be dropped, it stays when its table is gone.
            return Expected(None, sqlite_sequence=self.sqlite_sequence)
        state = replace(self, revision=REVISIONS[step - 1])
        if self.revision == ADD_CHECKS:
            shape = SESSION_LOG_DOWN_BY_NEXUSLIMS if by_nexuslims else SESSION_LOG
            return replace(state, session_log=shape)
        if self.revision == REMOVE_COMPUTER_FIELDS:
            shape = INSTRUMENTS_DOWN_BY_NEXUSLIMS if by_nexuslims else INSTRUMENTS
            return replace(state, instruments=shape)
        return state

    def names(self) -> tuple[str, ...]:
        """Return the names of NexusLIMS's tables at the revision."""
        if self.revision is None:
            return ()
        # upload_log came with v2_4_0a, external_user_identifiers with v2_5_0a.
        return TABLES[: {"v1_4_3": 2, "v2_4_0a": 3, "v2_4_0b": 3}.get(self.revision, 4)]

    def tables(self) -> str:
        """Return what `describe()` must say."""
        shapes = {
            "instruments": self.instruments,
            "session_log": self.session_log,
            "upload_log": UPLOAD_LOG,
            "external_user_identifiers": EXTERNAL_USER_IDENTIFIERS,
        }
        tables = {"alembic_version": ALEMBIC_VERSION}
        tables |= {name: shapes[name] for name in self.names()}
        if self.sqlite_sequence:
            tables["sqlite_sequence"] = "\n  name\n  seq\n"
        return _as_text(tables)


ALEMBIC_VERSION = """
  version_num VARCHAR(32) NOT NULL key 1
  unique pk sqlite_autoindex_alembic_version_1 (version_num)
  constraint alembic_version_pkc PRIMARY KEY (version_num)
"""


# -- looking at a file --------------------------------------------------------------------


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file to look at it. Not read-only, so that a journal left behind is rolled back."""
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def _is_own(name: str) -> bool:
    """Whether yoyo or this package keeps it for itself; NexusLIMS does not look at those."""
    return name.startswith(("nxs_", "_yoyo_", "yoyo_"))


def table_names(path: Path) -> list[str]:
    """Return the tables of a file, this package's and yoyo's own left out."""
    with reading(path) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return sorted(name for (name,) in names if not _is_own(name))


def describe(path: Path) -> str:
    """Return what SQLite says of each table, this package's and yoyo's own left out."""
    with reading(path) as connection:
        others = connection.execute(
            "SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index')"
        ).fetchall()
        assert not others, "neither program makes views or triggers"
        return _as_text({name: _describe_table(connection, name) for name in table_names(path)})


def _as_text(tables: dict[str, str]) -> str:
    return "".join(f"{name}{tables[name]}" for name in sorted(tables))


def _describe_table(connection: sqlite3.Connection, table: str) -> str:
    lines = []
    for _, name, declared, not_null, default, key in connection.execute(
        f'PRAGMA table_info("{table}")'
    ):
        line = f"{name} {declared}".rstrip()
        line += " NOT NULL" if not_null else ""
        line += "" if default is None else f" default {default}"
        lines.append(line + (f" key {key}" if key else ""))
    indexes = []
    for _, name, unique, origin, partial in connection.execute(f'PRAGMA index_list("{table}")'):
        if not _is_own(name):
            columns = [row[2] for row in connection.execute(f'PRAGMA index_info("{name}")')]
            kind = "unique" if unique else "index"
            partly = " partial" if partial else ""
            indexes.append(f"{kind} {origin} {name} ({', '.join(columns)}){partly}")
    lines += sorted(indexes)
    for _, _, other, column, column_there, on_update, on_delete, _ in connection.execute(
        f'PRAGMA foreign_key_list("{table}")'
    ):
        lines.append(f"foreign key ({column}) {other} ({column_there}) {on_update} {on_delete}")
    (sql,) = connection.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
    ).fetchone()
    lines += [f"constraint {text}" for text in named_constraints(sql)]
    return "\n  " + "\n  ".join(lines) + "\n"


def named_constraints(sql: str) -> Iterator[str]:
    """Yield each `CONSTRAINT name KIND (…)` of a CREATE TABLE, quotes and line ends evened out."""
    for start in re.finditer(r'CONSTRAINT\s+"?(\w+)"?\s+([A-Z ]+?)\s*\(', sql):
        depth, end = 1, start.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(sql[end], 0)
            end += 1
        inside = re.sub(r"\s+", " ", sql[start.end() : end - 1]).strip().replace('"', "")
        yield f"{start[1]} {start[2]} ({inside})"


def version_rows(path: Path) -> list[str]:
    """Return what `alembic_version` says."""
    with reading(path) as connection:
        return [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]


def rows(path: Path) -> dict[str, list[dict[str, str]]]:
    """Return each row of NexusLIMS's tables, its values as SQL literals: to the byte and type."""
    found = {}
    with reading(path) as connection:
        for table in TABLES:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            if columns:
                values = ", ".join(f'quote("{column}")' for column in columns)
                found[table] = [
                    dict(zip(columns, row, strict=True))
                    for row in connection.execute(f"SELECT {values} FROM {table} ORDER BY rowid")
                ]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found
