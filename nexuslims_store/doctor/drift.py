"""The tables as they are, beside those that the migrations give at the same revision.

Differences that NexusLIMS itself makes are known and do no harm: the files that its versions
from before 2.2 made, its own downgrades and its demo each look a little different.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nexuslims_store import ddl
from nexuslims_store.connection import SQLiteDatabase
from nexuslims_store.doctor.finding import Finding
from nexuslims_store.doctor.rows import MODELS
from nexuslims_store.migrations.script import to_sql
from nexuslims_store.revisions import history

__all__ = ["examine_tables"]

_OWN_INDEX = "nxs_"

_BEFORE_2_2 = "as NexusLIMS from before 2.2 made it"
_DOWNGRADE = "as a downgrade by NexusLIMS leaves it"
_DEMO = "as in NexusLIMS's demo"

# What NexusLIMS itself made different, by table, kind of difference and subject. The tables are
# made anew, and then like all others, at the revision named last; from there on it would do harm.
_KNOWN = {
    ("instruments", "nullable", "harvester"): (_BEFORE_2_2, "v2_5_0b"),
    ("instruments", "nullable", "calendar_name"): (_DOWNGRADE, "v2_5_0b"),
    ("instruments", "not unique", "computer_name"): (_DOWNGRADE, "v2_5_0b"),
    ("instruments", "not unique", "computer_ip"): (_DOWNGRADE, "v2_5_0b"),
    ("session_log", "type", "timestamp"): (_BEFORE_2_2, "v2_4_0b"),
    ("session_log", "other checks", ""): (_BEFORE_2_2, "v2_4_0b"),
    ("session_log", "foreign keys", ""): (_BEFORE_2_2, "v2_4_0b"),
    ("session_log", "no index", "ix_session_log_session_identifier"): (_BEFORE_2_2, "v2_4_0b"),
    ("session_log", "index", "session_log.fk_instrument_idx"): (_BEFORE_2_2, "v2_4_0b"),
    ("session_log", "nullable", "timestamp"): (_DEMO, None),
    ("upload_log", "nullable", "timestamp"): (_DEMO, None),
    ("external_user_identifiers", "nullable", "created_at"): (_DEMO, None),
    (
        "external_user_identifiers",
        "index",
        "ix_external_user_identifiers_nexuslims_username",
    ): (_DEMO, None),
}
# Kinds of difference that neither SQLite nor any program looks at, whoever made them.
_HARMLESS = {"order", "same type", "default", "constraint name", "autoincrement"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column, without its name."""

    declared: str
    not_null: bool
    default: str | None
    key: int


@dataclass(frozen=True, slots=True)
class Table:
    """All that counts of a table."""

    columns: dict[str, Column]
    unique: frozenset[tuple[str, ...]]
    checks: dict[str, str | None]
    foreign_keys: frozenset[tuple[str, ...]]
    indexes: dict[str, str]
    constraint_names: frozenset[str]
    autoincrement: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference of a table: its kind, what it is about, and in words."""

    kind: str
    subject: str
    text: str


def examine_tables(database: SQLiteDatabase, revision: str) -> Iterator[Finding]:
    """Find how the tables of a file differ from those of its revision."""
    expected = _reference(revision)
    there = {
        name: table
        for name in (*MODELS, "alembic_version")
        if (table := _read(database, name)) is not None
    }
    for name in expected:
        if name in there:  # one that is missing keeps the file from being recognised
            yield from _compare(name, there[name], expected[name], revision)


def _compare(name: str, there: Table, expected: Table, revision: str) -> list[Finding]:
    findings = []
    harmless: dict[str, list[str]] = {}
    for difference in _differences(there, expected):
        origin = _origin(name, difference, revision)
        if origin is not None:
            harmless.setdefault(origin, []).append(difference.text)
            continue
        missing_index = difference.kind == "no index"
        findings.append(
            Finding(
                "missing-index" if missing_index else "drift",
                "warning",
                f"{name}: {difference.text}"
                + ("" if missing_index else f", unlike the table that {revision} has"),
                "nexuslims-store migrate"
                if missing_index
                else f"put the table right, after nexuslims-store backup (nexuslims-store schema "
                f"--format sql shows that of {history()[-1].revision})",
                table=name,
                column=difference.subject if difference.subject in there.columns else None,
            )
        )
    if harmless:
        listed = "; ".join(f"{origin}: {', '.join(texts)}" for origin, texts in harmless.items())
        findings.append(
            Finding(
                "harmless-drift",
                "note",
                f"{name} is not quite the table that {revision} has, which does no harm: {listed}",
                table=name,
            )
        )
    return findings


def _origin(table: str, difference: Difference, revision: str) -> str | None:
    """Return whose harmless way a difference is, None where it should be put right."""
    if difference.kind in _HARMLESS:
        return "in what no program looks at"
    origin, until = _KNOWN.get((table, difference.kind, difference.subject), (None, None))
    if origin is not None and (until is None or _place(revision) < _place(until)):
        return origin
    return "with indexes of somebody's own" if difference.kind == "index" else None


def _place(revision: str) -> int:
    return [step.revision for step in history()].index(revision)


# -- differences -----------------------------------------------------------------------


def _differences(there: Table, expected: Table) -> Iterator[Difference]:
    columns = [name for name in there.columns if name in expected.columns]
    if columns != [name for name in expected.columns if name in there.columns]:
        yield Difference("order", "", "its columns are in another order")
    for name in columns:
        yield from _column_differences(name, there.columns[name], expected.columns[name])
    for unique in sorted(expected.unique - there.unique):
        listed = ", ".join(unique)
        yield Difference("not unique", listed, f"({listed}) is not UNIQUE")
    for unique in sorted(there.unique - expected.unique):
        # A UNIQUE on the key says nothing new.
        if not all(there.columns[name].key for name in unique if name in there.columns):
            listed = ", ".join(unique)
            yield Difference("unique", listed, f"({listed}) is UNIQUE")
    yield from _check_differences(there, expected)
    if there.foreign_keys != expected.foreign_keys:
        listed = "; ".join(" ".join(key) for key in sorted(there.foreign_keys)) or "none"
        yield Difference("foreign keys", "", f"its foreign keys are others: {listed}")
    yield from _index_differences(there, expected)
    lost = expected.constraint_names - there.constraint_names
    # Those of CHECKs are told with their rules.
    for name in sorted(lost - {name or "" for name in expected.checks.values()}):
        yield Difference("constraint name", name, f"no constraint is named {name}")
    if there.autoincrement and not expected.autoincrement:
        yield Difference("autoincrement", "", "its key is AUTOINCREMENT")


def _column_differences(name: str, there: Column, expected: Column) -> Iterator[Difference]:
    if there.declared.upper() != expected.declared.upper():
        same = _affinity(there.declared) == _affinity(expected.declared)
        yield Difference(
            "same type" if same else "type",
            name,
            f"{name} is {there.declared or 'without a type'} instead of {expected.declared}",
        )
    if there.not_null and not expected.not_null:
        yield Difference("not null", name, f"{name} may not be NULL")
    if expected.not_null and not there.not_null:
        yield Difference("nullable", name, f"{name} may be NULL")
    if there.default != expected.default:
        yield Difference("default", name, f"{name} has the default {there.default or 'NULL'}")
    if there.key != expected.key:
        yield Difference("key", name, f"{name} is {'' if there.key else 'not '}part of the key")


def _check_differences(there: Table, expected: Table) -> Iterator[Difference]:
    for rule, constraint in expected.checks.items():
        if rule not in there.checks:
            yield Difference("no check", constraint or "", f"it lacks CHECK ({rule})")
        elif constraint != there.checks[rule]:
            text = f"the constraint {constraint} has another name or none"
            yield Difference("constraint name", constraint or "", text)
    others = sorted(there.checks.keys() - expected.checks.keys())
    if others:
        rules = ", ".join(f"CHECK ({rule})" for rule in others)
        yield Difference("other checks", "", f"it has checks of its own: {rules}")


def _index_differences(there: Table, expected: Table) -> Iterator[Difference]:
    for name, sql in expected.indexes.items():
        if name not in there.indexes:
            use = "; searches are slow without it" if name.startswith(_OWN_INDEX) else ""
            yield Difference("no index", name, f"the index {name} is missing{use}")
        elif there.indexes[name] != sql:
            yield Difference("other index", name, f"the index {name} is {there.indexes[name]}")
    for name in sorted(there.indexes.keys() - expected.indexes.keys()):
        # Ours stays behind where NexusLIMS goes down from the head.
        if not name.startswith(_OWN_INDEX):
            yield Difference("index", name, f"it has the index {name}")


def _affinity(declared: str) -> str:
    """Return what SQLite makes of a type's name, by its own rules."""
    declared = declared.upper()
    for parts, affinity in (
        (("INT",), "INTEGER"),
        (("CHAR", "CLOB", "TEXT"), "TEXT"),
        (("BLOB",), "BLOB"),
        (("REAL", "FLOA", "DOUB"), "REAL"),
    ):
        if any(part in declared for part in parts):
            return affinity
    return "NUMERIC" if declared else "BLOB"


# -- reading ---------------------------------------------------------------------------


@cache
def _reference(revision: str) -> dict[str, Table]:
    """Run the migrations in memory and read the tables that they make."""
    database = SQLiteDatabase(Path(":memory:"))
    with closing(database):
        database.run_script(to_sql(None, revision))
        names = database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = {name: _read(database, name) for (name,) in names}
        return {name: table for name, table in tables.items() if table is not None}


def _read(database: SQLiteDatabase, name: str) -> Table | None:
    """Read a table off the catalogue; None where there is none of the name."""

    created = database.rows(
        "SELECT sql FROM sqlite_master WHERE type = 'table' AND lower(name) = :name",
        {"name": name},
    )
    if not created:
        return None
    sql = str(created[0][0])
    unique, indexes = set(), {}
    for index, is_unique, origin in database.rows(
        'SELECT name, "unique", origin FROM pragma_index_list(:name)', {"name": name}
    ):
        indexed = database.rows(
            "SELECT name FROM pragma_index_info(:index) ORDER BY seqno", {"index": index}
        )
        columns = tuple(str(column) for (column,) in indexed)
        if origin == "c":
            ((text,),) = database.rows(
                "SELECT sql FROM sqlite_master WHERE type = 'index' AND name = :index",
                {"index": index},
            )
            indexes[str(index)] = ddl.normalised(str(text)).replace("IF NOT EXISTS ", "")
        if is_unique and origin != "pk":
            unique.add(columns)
    return Table(
        columns={
            str(column).lower(): Column(
                str(declared), bool(required), None if default is None else str(default), key
            )
            for column, declared, required, default, key in database.rows(
                'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(:name)',
                {"name": name},
            )
        },
        unique=frozenset(unique),
        checks=ddl.checks(sql),
        foreign_keys=frozenset(
            tuple(map(str, parts))
            for parts in database.rows(
                'SELECT "table", "from", "to", on_update, on_delete '
                "FROM pragma_foreign_key_list(:name)",
                {"name": name},
            )
        ),
        indexes=indexes,
        constraint_names=frozenset(ddl.constraint_names(sql)),
        autoincrement="AUTOINCREMENT" in (word.upper() for word in ddl.tokens(sql)),
    )
