"""The tables as documents: they say what the tables are, at every revision."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from helpers import migration_files, older_lineage
from helpers.command_line import call
from pydantic import BaseModel

from nexuslims_store import Store, migrations, schema
from nexuslims_store.enums import ExternalSystem, RecordStatus
from nexuslims_store.models import ExternalUserIdentifier, Instrument, SessionLog, UploadLog

MODELS: dict[str, type[BaseModel]] = {
    "instruments": Instrument,
    "session_log": SessionLog,
    "upload_log": UploadLog,
    "external_user_identifiers": ExternalUserIdentifier,
}

# What Mermaid takes, from its grammar of entity-relationship diagrams.
RELATION = re.compile(r'    \w+ (\|\||\}o)(--|\.\.)o\{ \w+ : "[^"]+"')
ATTRIBUTE = re.compile(
    r'        [A-Za-z_][\w\-()\[\]]* [A-Za-z_][\w\-()\[\]]*( (PK|FK|UK)(, (PK|FK|UK))*)?( "[^"]*")?'
)


SYSTEMS = ", ".join(f"`{system.value}`" for system in ExternalSystem)


def description(model: type[BaseModel], field: str) -> str:
    return model.model_fields[field].description or ""


@pytest.fixture
def head() -> Iterator[sqlite3.Connection]:
    with Store(":memory:") as store:
        yield store.connection


def at(path: Path, revision: str) -> Path:
    migrations.upgrade(path, revision)
    return path


# -- the diagram -----------------------------------------------------------------------


def test_the_diagram_has_all_tables_columns_and_relations(head: sqlite3.Connection) -> None:
    text = schema.mermaid(head)
    assert text.startswith("erDiagram\n")
    for table, model in MODELS.items():
        (block,) = re.findall(rf"^    {table} \{{\n(.*?)^    \}}$", text, re.M | re.S)
        names = [line.split()[1] for line in block.splitlines()]
        fields = {"timezone" if f == "timezone_str" else f for f in model.model_fields}
        assert set(names) == fields
        assert len(names) == len(fields)
    assert 'instruments ||--o{ session_log : "instrument"' in text
    assert 'session_log }o..o{ upload_log : "session_identifier"' in text
    assert "VARCHAR(100) instrument_pid PK" in text
    assert "VARCHAR api_url UK" in text
    assert "VARCHAR(100) instrument FK" in text
    assert 'VARCHAR(50) user "may be NULL"' in text
    assert "yoyo" not in text
    assert "alembic" not in text


def assert_is_mermaid(text: str) -> None:
    head, *lines = text.splitlines()
    assert head == "erDiagram"
    for line in lines:
        entity = re.fullmatch(r"    (\w+ \{|\})", line)
        assert entity or RELATION.fullmatch(line) or ATTRIBUTE.fullmatch(line), line


@pytest.mark.parametrize("revision", migration_files.REVISIONS)
def test_the_diagram_is_mermaid_at_every_revision(tmp_path: Path, revision: str) -> None:
    with closing(sqlite3.connect(at(tmp_path / "x.db", revision))) as connection:
        text = schema.mermaid(connection)
    assert_is_mermaid(text)
    assert ("upload_log" in text) == (revision != "v1_4_3")
    assert ("computer_name" in text) == (revision in {"v1_4_3", "v2_4_0a", "v2_4_0b", "v2_5_0a"})


def test_hostile_names_do_not_break_the_documents() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            'CREATE TABLE session_log (id_session_log INTEGER PRIMARY KEY, "a"" {|\n`" "<b>|x")'
        )
        assert_is_mermaid(schema.mermaid(connection))
        text = schema.markdown(connection)
        (row,) = (line for line in text.splitlines() if "{" in line)
        assert len(re.findall(r"(?<!\\)\|", row)) == 5
        assert "<b>" not in row
        schema.sql(connection)


# -- the data dictionary ---------------------------------------------------------------


def test_the_dictionary_has_every_description_and_value(head: sqlite3.Connection) -> None:
    text = schema.markdown(head)
    for table, model in MODELS.items():
        assert f"### `{table}`" in text
        for field in model.model_fields.values():
            assert field.description
            assert field.description in text
    for status in RecordStatus:
        assert re.search(rf"^\| `{status.value}` \| \w.*\. \|$", text, re.M), status
    for system in ExternalSystem:
        assert f"`{system.value}`" in text
    assert "this package's own" in text


@pytest.mark.parametrize("revision", migration_files.REVISIONS)
def test_every_row_of_the_dictionary_has_its_cells(tmp_path: Path, revision: str) -> None:
    with closing(sqlite3.connect(at(tmp_path / "x.db", revision))) as connection:
        text = schema.markdown(connection)
    tables = re.findall(r"(?:^\|.*\|\n?)+", text, re.M)
    assert tables
    for table in tables:
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1, table


# -- SQL -------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", migration_files.REVISIONS)
def test_the_sql_makes_the_same_tables(tmp_path: Path, revision: str) -> None:
    path = at(tmp_path / "one.db", revision)
    with closing(sqlite3.connect(path)) as connection:
        text = schema.sql(connection)
    copy = tmp_path / "two.db"
    migration_files.execute(
        copy, f"{text}; INSERT INTO alembic_version (version_num) VALUES ('{revision}');"
    )
    assert migration_files.facts(copy) == migration_files.facts(path)
    with closing(sqlite3.connect(copy)) as connection:
        assert schema.sql(connection) == text


def test_the_sql_is_the_same_however_a_table_was_written(tmp_path: Path) -> None:
    path = older_lineage.create(tmp_path / "old.db", rows=False)
    with closing(sqlite3.connect(path)) as connection:
        text = schema.sql(connection)
    assert "--" not in text.replace("-- This package's own", "")
    assert "AUTOINCREMENT" in text
    assert '"' not in text.replace('"user"', "").replace('"session_log.fk_instrument_idx"', "")
    migrations.upgrade(path, backup=False)
    with closing(sqlite3.connect(path)) as connection, Store(":memory:") as store:
        assert schema.sql(connection) == schema.sql(store.connection)


def test_only_the_packages_own_index_is_marked_as_its_own(head: sqlite3.Connection) -> None:
    marked = re.findall(r"-- This package's own.*\nCREATE INDEX (\w+)", schema.sql(head))
    assert marked == ["nxs_session_log_to_build"]


# -- all of it ---------------------------------------------------------------------------

ODD_TABLES = """
CREATE TABLE Instruments (
  instrument_pid VARCHAR(100) NOT NULL PRIMARY KEY, api_url TEXT NOT NULL UNIQUE,
  schema_name TEXT, timezone TEXT, "my | note", computer_ip VARCHAR(15) UNIQUE,
  CONSTRAINT named CHECK (timezone <> ''), CHECK (api_url||'' <> ''), UNIQUE (schema_name, timezone)
);
CREATE INDEX own ON instruments (schema_name, timezone);
CREATE UNIQUE INDEX alone ON instruments (schema_name);
CREATE TABLE session_log (
  id_session_log INTEGER PRIMARY KEY, session_identifier TEXT NOT NULL,
  Instrument TEXT NOT NULL REFERENCES instruments (instrument_pid), "user" TEXT
);
CREATE UNIQUE INDEX nxs_log ON session_log (session_identifier);
CREATE TABLE others (id INTEGER);
CREATE TABLE external_user_identifiers (
  id INTEGER PRIMARY KEY, External_System VARCHAR NOT NULL, own
);
"""
DOCUMENTS: dict[schema.Format, str] = {
    "mermaid": """erDiagram
    instruments ||--o{ session_log : "Instrument"
    session_log }o..o{ external_user_identifiers : "user = nexuslims_username"
    instruments {
        VARCHAR(100) instrument_pid PK
        TEXT api_url UK
        TEXT schema_name "may be NULL"
        TEXT timezone "may be NULL"
        ANY my_note "may be NULL"
        VARCHAR(15) computer_ip UK "may be NULL"
    }
    session_log {
        INTEGER id_session_log PK "may be NULL"
        TEXT session_identifier
        TEXT Instrument FK
        TEXT user "may be NULL"
    }
    external_user_identifiers {
        INTEGER id PK "may be NULL"
        VARCHAR External_System
        ANY own "may be NULL"
    }
""",
    "markdown": f"""### `instruments`

An instrument of the facility: a row of `instruments`.

| column | type | | what it holds |
|---|---|---|---|
| `instrument_pid` | VARCHAR(100) | key | {description(Instrument, "instrument_pid")} |
| `api_url` | TEXT | unique | {description(Instrument, "api_url")} |
| `schema_name` | TEXT | may be NULL | {description(Instrument, "display_name")} |
| `timezone` | TEXT | may be NULL | {description(Instrument, "timezone_str")} |
| `my \\| note` |  | may be NULL | not NexusLIMS's: a column of your own |
| `computer_ip` | VARCHAR(15) | unique, may be NULL | no longer used; gone at v2_5_0b |

- unique together: `schema_name`, `timezone`
- check `named`: `timezone <> ''`
- check: `api_url || '' <> ''`
- index `alone`: `schema_name`
- index `own`: `schema_name`, `timezone`

### `session_log`

One event of a session: a row of `session_log`.

| column | type | | what it holds |
|---|---|---|---|
| `id_session_log` | INTEGER | key, may be NULL | {description(SessionLog, "id_session_log")} |
| `session_identifier` | TEXT |  | {description(SessionLog, "session_identifier")} |
| `Instrument` | TEXT | one of `instruments` | {description(SessionLog, "instrument")} |
| `user` | TEXT | may be NULL | {description(SessionLog, "user")} |

- index `nxs_log`: `session_identifier` (this package's own)

### `external_user_identifiers`

Who a NexusLIMS user is in another system: a row of `external_user_identifiers`.

| column | type | | what it holds |
|---|---|---|---|
| `id` | INTEGER | key, may be NULL | {description(ExternalUserIdentifier, "id")} |
| `External_System` | VARCHAR |  | The other system: {SYSTEMS} |
| `own` |  | may be NULL | not NexusLIMS's: a column of your own |

### RecordStatus
""",
    "sql": """CREATE TABLE Instruments (
    instrument_pid VARCHAR(100) NOT NULL PRIMARY KEY,
    api_url TEXT NOT NULL UNIQUE,
    schema_name TEXT,
    timezone TEXT,
    "my | note",
    computer_ip VARCHAR(15) UNIQUE,
    CONSTRAINT named CHECK (timezone <> ''),
    CHECK (api_url || '' <> ''),
    UNIQUE (schema_name, timezone)
);

CREATE UNIQUE INDEX alone ON instruments (schema_name);

CREATE INDEX own ON instruments (schema_name, timezone);

CREATE TABLE session_log (
    id_session_log INTEGER PRIMARY KEY,
    session_identifier TEXT NOT NULL,
    Instrument TEXT NOT NULL REFERENCES instruments (instrument_pid),
    "user" TEXT
);

-- This package's own, no part of NexusLIMS's schema.
CREATE UNIQUE INDEX nxs_log ON session_log (session_identifier);

CREATE TABLE external_user_identifiers (
    id INTEGER PRIMARY KEY,
    External_System VARCHAR NOT NULL,
    own
);
""",
}


@pytest.mark.parametrize("form", schema.FORMATS)
def test_a_document_says_all_of_odd_tables(form: schema.Format) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(ODD_TABLES)
        text = schema.FORMATS[form](connection)
    assert text.count("### RecordStatus") == (form == "markdown")
    statuses = text.find("### RecordStatus\n") + len("### RecordStatus\n")
    if form == "markdown":
        assert text[statuses:].startswith("\nHow far the record of a session has come.\n\n| value ")
    assert (text[:statuses] if form == "markdown" else text) == DOCUMENTS[form]


# -- the command -----------------------------------------------------------------------


@pytest.mark.parametrize("form", schema.FORMATS)
def test_the_command_prints_the_tables_of_a_file(tmp_path: Path, form: schema.Format) -> None:
    path = at(tmp_path / "x.db", "v2_4_0a")
    done = call("--db", path, "schema", "--format", form)
    assert (done.status, done.err) == (0, "")
    with closing(sqlite3.connect(path)) as connection:
        assert done.out == schema.FORMATS[form](connection)


def test_the_command_without_a_file_prints_the_newest_tables(
    tmp_path: Path, head: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NX_DB_PATH", str(tmp_path / "none.db"))
    done = call("schema")
    assert (done.status, done.out) == (0, schema.mermaid(head))
    assert migration_files.HEAD in done.err
    assert not list(tmp_path.iterdir())


def test_the_command_on_a_named_file_that_is_not_there(tmp_path: Path) -> None:
    done = call("schema", "--db", tmp_path / "none.db")
    assert (done.status, done.out) == (2, "")
    assert "there is no database" in done.err


def test_the_command_on_another_programs_database(tmp_path: Path) -> None:
    migration_files.execute(tmp_path / "other.db", "CREATE TABLE albums (title)")
    done = call("schema", "--db", tmp_path / "other.db")
    assert (done.status, done.out) == (2, "")
    assert "another program's" in done.err
