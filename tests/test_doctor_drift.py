"""The doctor: each way in which a table can differ, in its words, and what is no difference."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from helpers import migration_files, older_lineage
from helpers.findings import examine, spoil, the
from helpers.migration_checks import make_file, mend
from helpers.migration_files import HEAD

from nexuslims_store import doctor


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_file(tmp_path / "a.db")


def made_anew(path: Path, table: str, *changes: tuple[str, str]) -> None:
    """Make an empty table anew, with its indexes, as another program would."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY rowid",
            (table,),
        ).fetchall()
    sql, *indexes = (row[0] for row in rows)
    for old, new in changes:
        assert old in sql
        sql = sql.replace(old, new)
    spoil(path, "; ".join([f"DROP TABLE {table}", sql, *indexes]))


def said(path: Path) -> list[tuple[str, str | None, str]]:
    """What is said of the tables: the code, the column, and the words."""
    return [
        (one.code, one.column, one.message.removesuffix(f", unlike the table that {HEAD} has"))
        for one in examine(path)
    ]


USERS, LOG, TOOLS, UPLOADS = (
    *("external_user_identifiers", "session_log"),
    *("instruments", "upload_log"),
)
CHECKED = "CHECK (external_system IN ('nemo', 'labarchives_eln', 'labarchives_scheduler', 'cdcs'))"
PAIR, LOOKUP = (
    f'CONSTRAINT "{name}" UNIQUE ({columns})'
    for name, columns in (
        ("nexuslims_username_system_UNIQUE", "nexuslims_username, external_system"),
        ("system_external_id_UNIQUE", "external_system, external_id"),
    )
)

DRIFT: list[tuple[str, list[tuple[str, str]], str | None, str]] = [
    (
        UPLOADS,
        [("record_id VARCHAR(255)", "record_id")],
        "record_id",
        "record_id is without a type instead of VARCHAR(255)",
    ),
    *(
        (
            UPLOADS,
            [("success BOOLEAN", f"success {kind}")],
            "success",
            f"success is {kind} instead of BOOLEAN",
        )
        for kind in ("INT", "CHAR", "CLOB", "TEXT", "BLOB", "REAL", "FLOAT", "DOUBLE", "point")
    ),
    (
        UPLOADS,
        [("metadata_json VARCHAR", "metadata_json VARCHAR NOT NULL")],
        "metadata_json",
        "metadata_json may not be NULL",
    ),
    (UPLOADS, [("success BOOLEAN NOT NULL", "success BOOLEAN")], "success", "success may be NULL"),
    (
        UPLOADS,
        [("record_id VARCHAR(255)", "record_id VARCHAR(255) COLLATE rtrim")],
        "record_id",
        "record_id is compared by RTRIM instead of BINARY",
    ),
    (
        UPLOADS,
        [("success BOOLEAN NOT NULL", "success BOOLEAN"), ("record_id VARCHAR(255)", "record_id")],
        None,
        "success may be NULL; record_id is without a type instead of VARCHAR(255)",
    ),
    (
        USERS,
        [(f",\n    {PAIR}", ""), (f",\n    {LOOKUP}", "")],
        None,
        "(external_system, "
        "external_id) is not UNIQUE; (nexuslims_username, external_system) is not UNIQUE",
    ),
    (
        TOOLS,
        [("UNIQUE (api_url)", "UNIQUE (api_url), UNIQUE (location)")],
        None,
        "(location) is UNIQUE",
    ),
    (
        LOG,
        [
            (
                "FOREIGN KEY (instrument)",
                "FOREIGN KEY (user) REFERENCES instruments "
                "(instrument_pid), FOREIGN KEY (instrument)",
            )
        ],
        None,
        "its foreign keys are others: instruments instrument instrument_pid NO ACTION NO ACTION; "
        "instruments user instrument_pid NO ACTION NO ACTION",
    ),
    (
        LOG,
        [(",\n    FOREIGN KEY (instrument) REFERENCES instruments (instrument_pid)", "")],
        None,
        "its foreign keys are others: none",
    ),
    (
        USERS,
        [(CHECKED, "CHECK (notes > 'b'), CHECK (email > 'a')")],
        None,
        f"it lacks {CHECKED}; it has checks of its own: CHECK (email > 'a'), CHECK (notes > 'b')",
    ),
    (
        UPLOADS,
        [("PRIMARY KEY (id)\n)", "PRIMARY KEY (id)\n) WITHOUT ROWID")],
        None,
        "it is WITHOUT ROWID",
    ),
]


@pytest.mark.parametrize(("table", "changes", "column", "words"), DRIFT)
def test_what_should_be_put_right_is_said_in_words(
    path: Path, table: str, changes: list[tuple[str, str]], column: str | None, words: str
) -> None:
    made_anew(path, table, *changes)
    drift = [one for one in said(path) if one[0] == "drift"]
    assert drift == [("drift", column, f"{table}: {words}")]


HARMLESS: list[tuple[str, list[tuple[str, str]], str]] = [
    (
        UPLOADS,
        [
            ("    record_url VARCHAR(500),\n", ""),
            ("    success", "    record_url VARCHAR(500),\n    success"),
        ],
        "its columns are in another order",
    ),
    *(
        (
            table,
            [(f"{column} {kind}", f"{column} {other}")],
            f"{column} is {other} instead of {kind}",
        )
        for table, column, kind, other in (
            *(
                (UPLOADS, "record_url", "VARCHAR(500)", other)
                for other in ("varchar(9)", "Clob", "CHAR")
            ),
            *(
                (UPLOADS, "success", "BOOLEAN", other)
                for other in ("NUMERIC", "DATE", "DECIMAL(1)")
            ),
        )
    ),
    (
        UPLOADS,
        [("record_url VARCHAR(500)", "record_url VARCHAR(500) DEFAULT 'x'")],
        "record_url has the default 'x'",
    ),
    (
        USERS,
        [("CONSTRAINT valid_external_system ", "")],
        "the constraint valid_external_system has another name or none",
    ),
    (
        USERS,
        [
            (name, "")
            for name in (
                'CONSTRAINT "system_external_id_UNIQUE" ',
                'CONSTRAINT "nexuslims_username_system_UNIQUE" ',
            )
        ],
        "no constraint is named "
        "nexuslims_username_system_UNIQUE, no constraint is named system_external_id_UNIQUE",
    ),
    (
        UPLOADS,
        [
            ("id INTEGER NOT NULL", "id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT"),
            (",\n    PRIMARY KEY (id)", ""),
        ],
        "its key is AUTOINCREMENT",
    ),
]


@pytest.mark.parametrize(("table", "changes", "words"), HARMLESS)
def test_what_no_program_looks_at_does_no_harm(
    path: Path, table: str, changes: list[tuple[str, str]], words: str
) -> None:
    made_anew(path, table, *changes)
    harmless = f"{table} is not quite the table that {HEAD} has, which does no harm: in what no "
    assert said(path) == [("harmless-drift", None, f"{harmless}program looks at: {words}")]


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        (UPLOADS, [("success BOOLEAN", "success boolean")]),
        (
            UPLOADS,
            [("    success", "    own BLOB NOT NULL DEFAULT 3 COLLATE NOCASE,\n    success")],
        ),
        (UPLOADS, [("(id)\n)", "(id),\n    UNIQUE (id)\n)")]),
        (UPLOADS, [("(id)\n)", "(id),\n    UNIQUE (success, id)\n)")]),
        (TOOLS, [("UNIQUE (api_url)", "UNIQUE (instrument_pid), UNIQUE (api_url)")]),
        (UPLOADS, [("    success", "    own UNIQUE,\n    success")]),
        (UPLOADS, [("    success", "    own CHECK (own > 1),\n    success")]),
        (UPLOADS, [("    success", "    own REFERENCES instruments,\n    success")]),
        (LOG, [("instruments (instrument_pid)", "Instruments (Instrument_PID)")]),
        (USERS, [("CHECK (external_system IN (", "check(External_System in(")]),
    ],
)
def test_what_is_no_difference(path: Path, table: str, changes: list[tuple[str, str]]) -> None:
    made_anew(path, table, *changes)
    assert said(path) == []


# -- indexes ---------------------------------------------------------------------------

GIVE_UP = "{} is an index of your own: if you can do without, take it out of the file, after "


@pytest.mark.parametrize(
    ("script", "table", "words", "name"),
    [
        ("CREATE UNIQUE INDEX Mine ON session_log (user)", LOG, "(user)", "Mine"),
        ("CREATE UNIQUE INDEX m ON session_log (user, instrument)", LOG, "(user, instrument)", "m"),
        ("CREATE UNIQUE INDEX m ON session_log (lower(user))", LOG, "((an expression))", "m"),
        (
            "ALTER TABLE upload_log ADD own; CREATE UNIQUE INDEX m ON upload_log (own, success)",
            *(UPLOADS, "(own, success)", "m"),
        ),
        (
            "CREATE UNIQUE INDEX m ON instruments (location, instrument_pid collate nocase)",
            *("instruments", "(location, instrument_pid)", "m"),
        ),
    ],
)
def test_a_unique_index_of_ones_own_is_told_with_its_name(
    path: Path, script: str, table: str, words: str, name: str
) -> None:
    spoil(path, script)
    (found,) = examine(path)
    assert found.message.startswith(f"{table}: {words} is UNIQUE, unlike the table that {HEAD} ")
    assert (found.code, found.severity, found.table) == ("drift", "warning", table)
    assert found.remedy == f"{GIVE_UP.format(name)}nexuslims-store backup"


@pytest.mark.parametrize(
    "script",
    [
        "CREATE UNIQUE INDEX mine ON instruments (api_url)",
        "CREATE UNIQUE INDEX mine ON upload_log (success, id)",
        "CREATE INDEX nxs_mine ON session_log (user)",
        "DROP INDEX idx_external_lookup; CREATE INDEX IDX_external_lookup ON "
        "external_user_identifiers(External_System, [external_id]) -- as before",
    ],
)
def test_an_index_that_is_no_difference(path: Path, script: str) -> None:
    spoil(path, script)
    assert examine(path) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ix_session_log_session_identifier", " is missing"),
        ("nxs_session_log_to_build", " is missing; searches are slow without it"),
    ],
)
@pytest.mark.parametrize(
    "instead", ["", "CREATE TABLE a (b); CREATE TRIGGER {} AFTER DELETE ON a BEGIN SELECT 1; END"]
)
def test_an_index_that_is_missing_comes_back(
    path: Path, name: str, words: str, instead: str
) -> None:
    spoil(path, f"DROP INDEX {name}; {instead.format(name)}")
    (found,) = examine(path)
    assert (found.code, found.severity, found.table) == ("missing-index", "warning", LOG)
    assert found.message == f"session_log: the index {name}{words}"
    assert found.remedy == "nexuslims-store migrate"


def test_indexes_of_ones_own_do_no_harm(path: Path) -> None:
    spoil(path, "CREATE INDEX One ON upload_log (id); CREATE INDEX another ON upload_log (success)")
    (found,) = examine(path)
    assert (found.code, found.severity, found.remedy) == ("harmless-drift", "note", "")
    listed = ": with indexes of somebody's own: it has the index another, it has the index one"
    assert found.message.endswith(listed)


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        (
            "DROP INDEX ix_upload_log_destination_name; CREATE TABLE ix_upload_log_destination_name"
            " (a)",
            *("missing-index", "upload_log: the index ix_upload_log_destination_name is missing"),
        ),
        (
            "DROP INDEX ix_upload_log_destination_name; CREATE INDEX ix_upload_log_destination_name"
            " ON upload_log (success)",
            "drift",
            "upload_log: the index ix_upload_log_destination_name is CREATE INDEX "
            "ix_upload_log_destination_name ON upload_log (success);, unlike the table that "
            "v2_4_0a has",
        ),
        (
            "CREATE UNIQUE INDEX Idx_external_lookup ON upload_log (success)",
            *("drift", "upload_log: (success) is UNIQUE, unlike the table that v2_4_0a has"),
        ),
        ("CREATE INDEX idx_external_lookup ON upload_log (success)", "", ""),
    ],
)
def test_indexes_below_the_head(tmp_path: Path, script: str, code: str, message: str) -> None:
    path = make_file(tmp_path / "a.db", "v2_4_0a")
    spoil(path, script)
    others = {"older-revision", "in-the-way"}
    found = [(one.code, one.message) for one in examine(path) if one.code not in others]
    assert found == ([(code, message)] if code else [])


# -- whole tables ----------------------------------------------------------------------


def test_a_version_table_of_another_program_keeps_no_other_from_being_examined(path: Path) -> None:
    made_anew(path, "alembic_version", ("version_num", "number"))
    made_anew(path, UPLOADS, ("success BOOLEAN NOT NULL", "success BOOLEAN"))
    made_anew(path, LOG, ('"user" VARCHAR(50)', '"user" VARCHAR(50) NOT NULL'))
    drift = ("drift", UPLOADS), ("drift", LOG)
    found = [(one.code, one.table) for one in examine(path)]
    assert found == [("wrong-revision", "alembic_version"), *drift]


def test_of_a_table_without_its_key_only_names_that_are_taken_are_told_beside_it(
    path: Path,
) -> None:
    made_anew(
        path, LOG, ("    PRIMARY KEY (id_session_log),\n", ""), ('"user" VARCHAR(50)', "user")
    )
    spoil(
        path,
        "DROP INDEX ix_session_log_session_identifier; DROP INDEX nxs_session_log_to_build;"
        "CREATE VIEW nxs_session_log_to_build AS SELECT 1; CREATE INDEX mine ON session_log (user)",
    )
    assert [one.code for one in examine(path)] == ["lost-key", "taken-name"]


def test_a_table_is_made_anew_without_an_index_whose_name_another_has(path: Path) -> None:
    made_anew(path, LOG, ("    PRIMARY KEY (id_session_log),\n", ""))
    spoil(
        path,
        "DROP INDEX nxs_session_log_to_build;"
        "CREATE INDEX nxs_session_log_to_build ON upload_log (id)",
    )
    mend(path, the("lost-key", doctor.examine(path)).remedy)
    (left,) = doctor.examine(path)
    assert (left.code, left.table) == ("taken-name", LOG)


CHANGED = (
    *("api_url", "calendar_name", "calendar_url", "schema_name", "filestore_path"),
    *("computer_name", "computer_mount", "harvester", "timezone"),
)
OLD_CHECKS = (
    "CHECK (event_type IN ('START', 'END', 'RECORD_GENERATION')), CHECK (record_status IN "
    "('COMPLETED', 'WAITING_FOR_END', 'TO_BE_BUILT', 'ERROR', 'NO_FILES_FOUND'))"
)
OF_2_4 = "as NexusLIMS 2.4 and its demo made it: "
NO_ATTEMPT = (
    "INSERT INTO upload_log (session_identifier, destination_name, success) VALUES ('s', 'c', 1)"
)


@pytest.mark.parametrize(
    ("make", "script", "said"),
    [
        (
            older_lineage.create,
            "",
            {
                TOOLS: "in what no program looks at: its columns are in another order, "
                + "".join(f"{name} is TEXT instead of VARCHAR, " for name in CHANGED)
                + "timezone has the default 'America/New_York'; as NexusLIMS from before 2.2 made "
                "it: harvester may be NULL",
                LOG: "as NexusLIMS from before 2.2 made it: timestamp is DATETIME instead of "
                f"VARCHAR, it has checks of its own: {OLD_CHECKS}, its foreign keys are others: "
                "instruments instrument instrument_pid CASCADE CASCADE, the index "
                "ix_session_log_session_identifier is missing, it has the index "
                "session_log.fk_instrument_idx; in what no program looks at: timestamp has the "
                "default strftime('%Y-%m-%dT%H:%M:%f', 'now', 'localtime'), event_type is TEXT "
                "instead of VARCHAR, record_status is TEXT instead of VARCHAR, record_status has "
                "the default 'WAITING_FOR_END', user has the default NULL, its key is "
                "AUTOINCREMENT",
            },
        ),
        (
            migration_files.downgraded_by_alembic,
            "",
            {
                TOOLS: "in what no program looks at: its columns are in another order; as a "
                "downgrade by NexusLIMS leaves it: calendar_name may be NULL, (computer_ip) is not "
                "UNIQUE, (computer_name) is not UNIQUE",
                LOG: "in what no program looks at: event_type is VARCHAR(17) instead of VARCHAR, "
                "record_status is VARCHAR(18) instead of VARCHAR",
            },
        ),
        *(
            (
                migration_files.demo,
                script,
                {
                    LOG: f"{OF_2_4}timestamp may be NULL",
                    USERS: f"{OF_2_4}created_at may be NULL, it has the index "
                    "ix_external_user_identifiers_nexuslims_username",
                }
                | uploads,
            )
            for script, uploads in (
                (
                    "",
                    {
                        UPLOADS: "as NexusLIMS 2.2 to 2.4 made it: timestamp may be NULL",
                    },
                ),
                (NO_ATTEMPT, {}),  # which keeps it from being migrated
            )
        ),
    ],
)
def test_what_releases_of_nexuslims_made_does_no_harm(
    tmp_path: Path, make: Callable[[Path], Path], script: str, said: dict[str, str]
) -> None:
    path = make(tmp_path / "a.db")
    spoil(path, script)
    harmless = [one for one in examine(path) if one.code == "harmless-drift"]
    told = [(one.table, one.message.partition(" does no harm: ")[2]) for one in harmless]
    assert sorted(told) == sorted(said.items())


@pytest.mark.parametrize(
    ("change", "script", "words", "column", "remedy"),
    [
        (
            None,
            "CREATE TABLE Mine (a REFERENCES Gone)",
            *("Mine: its foreign key a refers to Gone", "a", "take the reference out of Mine"),
        ),
        (
            None,
            "CREATE TABLE mine (a REFERENCES instruments (location), b REFERENCES gone (x))",
            "mine: its foreign key b refers to gone (x) and a refers to instruments (location)",
            *(None, "take the references out of mine"),
        ),
        (
            None,
            "CREATE TABLE mine (a, b, FOREIGN KEY (a, b) REFERENCES gone (x, y))",
            "mine: its foreign key a, b refers to gone (x, y)",
            *(None, "take the reference out of mine"),
        ),
        (
            (TOOLS, ("UNIQUE (api_url)", "CHECK (1)")),
            "CREATE TABLE mine (a REFERENCES Instruments (api_url))",
            "mine: its foreign key a refers to Instruments (api_url)",
            *("a", "put Instruments right, as is said of it"),
        ),
        (
            (LOG, ("instruments (instrument_pid)", "instruments (location)")),
            "",
            "session_log: its foreign key instrument refers to instruments (location)",
            *("instrument", "put session_log right, as is said of it"),
        ),
    ],
)
def test_a_dead_foreign_key(
    path: Path,
    change: tuple[str, tuple[str, str]] | None,
    script: str,
    words: str,
    column: str | None,
    remedy: str,
) -> None:
    if change:
        made_anew(path, *change)
    spoil(path, script)
    dead = the("dead-foreign-key", doctor.examine(path))
    assert dead.message.startswith(f"{words}, which is not there or not UNIQUE: ")
    assert (dead.severity, dead.table, dead.column) == ("warning", words.partition(":")[0], column)
    assert dead.remedy.startswith(remedy)


def test_what_is_dead_is_named_by_itself_or_by_its_table(path: Path) -> None:
    spoil(
        path,
        "CREATE TABLE mine (a); CREATE VIEW seen AS SELECT b FROM mine;"
        "CREATE TRIGGER busy AFTER INSERT ON mine BEGIN DELETE FROM nowhere; END",
    )
    found = [(one.code, one.severity, one.table) for one in examine(path)]
    assert found == [("dead-view", "warning", "seen"), ("dead-trigger", "warning", "mine")]
