"""The tables as they are, beside those that the migrations give at the same revision.

Differences that NexusLIMS itself makes do no harm: the files that its versions from before 2.5
made, its own downgrades and its demo each look a little different (`sql/shapes/`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nexuslims_store import ddl
from nexuslims_store.connection import SQLiteDatabase
from nexuslims_store.doctor.finding import Finding
from nexuslims_store.doctor.mending import lost_key, mending, past_help, repeated_values
from nexuslims_store.migrations.script import filled_by
from nexuslims_store.migrations.shapes import folded, shapes
from nexuslims_store.recognition.compiling import dead_code
from nexuslims_store.recognition.layouts import layout_of, without_key
from nexuslims_store.recognition.remaking import (
    giving_name_back,
    in_shell,
    taking_references_out,
    text_of,
)
from nexuslims_store.revisions import VERSION_TABLE, head, history, is_own_index, tables_at
from nexuslims_store.tables import (
    Column,
    Contents,
    Reference,
    Table,
    dead_references,
    is_met,
    quoted,
    read,
    small,
)

# Kinds of difference that neither SQLite nor any program looks at, whoever made them.
_HARMLESS = {"order", "same type", "default", "constraint name", "autoincrement"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference of a table: its kind, what it is about, and in words."""

    kind: str
    subject: str
    text: str


def examine_tables(database: SQLiteDatabase, revision: str, *, alembics: bool) -> Iterator[Finding]:
    """Find how the tables of a file differ from those of its revision.

    Parameters
    ----------
    alembics
        Whether the version table is one of Alembic's, if there is one.
    """
    expected = tables_at(revision)
    with database.translated():
        contents = read(database.connection)
    keyless = without_key(contents.tables, revision)
    for name in expected:
        if name == VERSION_TABLE and not alembics:
            continue  # as is said of the file
        if name in keyless:
            yield from lost_key(database, contents, revision, name)
            for difference in _index_differences(contents.tables[name], expected[name]):
                about = _about_index(database.path, contents, name, difference, revision)
                yield from (finding for finding in about if finding.code == "taken-name")
        # One that is missing keeps the file from being recognised.
        elif name in contents.tables:
            yield from _compare(database, contents, name, revision)


def examine_code(database: SQLiteDatabase) -> Iterator[Finding]:
    """Find the views and triggers of the facility's own that do not work."""
    # A foreign key that is dead is a finding of its own, and no fault of its table's triggers.
    database.rows("PRAGMA foreign_keys = OFF")
    with database.translated():
        contents = read(database.connection, ())
        dead = list(dead_code(database.connection, contents))
    for one, why in dead:
        yield Finding(
            f"dead-{one.kind}",
            "warning",
            f"the {one.kind} {one.name} does not work: {why}",
            "write it anew for the tables as they are: "
            f"`{in_shell(database.path, [text_of(one)])}` prints it",
            table=one.name if one.kind == "view" else one.table,
        )


def examine_references(
    database: SQLiteDatabase, revision: str | None, made_anew: Collection[str | None]
) -> Iterator[Finding]:
    """Find the foreign keys of any table that refer to what is not there.

    Parameters
    ----------
    made_anew
        Tables that another finding's command makes anew, without these.
    """
    with database.translated():
        contents = read(database.connection)
    gone = past_help(contents)
    dead: dict[tuple[str, str], list[Reference]] = {}
    for table, reference in dead_references(contents.tables):
        name = small(table.name)
        if is_met(reference, tables_at(revision)):
            remedy = f"put {reference.table} right, as is said of it"
        elif is_met(reference, tables_at(head())):
            remedy = "nexuslims-store migrate"
        elif name in made_anew:
            remedy = f"put {table.name} right, as is said of it"
        else:  # all of a table at once: one command would bring back what another took out
            remedy = taking_references_out(database.path, contents, table, gone[name])
        dead.setdefault((name, remedy), []).append(reference)
    for (name, remedy), references in dead.items():
        table = contents.tables[name]
        columns = references[0].columns
        yield Finding(
            "dead-foreign-key",
            "warning",
            f"{table.name}: its foreign key {' and '.join(map(_in_words, references))}, which is "
            "not there or not UNIQUE: what is written to either of them may fail",
            remedy,
            table=table.name,
            column=columns[0] if len(references) == len(columns) == 1 else None,
        )


def _in_words(reference: Reference) -> str:
    to = f" ({', '.join(reference.to)})" if reference.to else ""
    return f"{', '.join(reference.columns)} refers to {reference.table}{to}"


def _compare(
    database: SQLiteDatabase, contents: Contents, name: str, revision: str
) -> Iterator[Finding]:
    there, expected = contents.tables[name], tables_at(revision)[name]
    harmless: dict[str, list[str]] = {}
    drifted: list[Difference] = []
    for difference in _differences(there, expected):
        origin = _origin(name, difference, revision)
        if origin is not None:
            if difference.kind != "nullable" or not _holds_up(database, name, difference.subject):
                harmless.setdefault(origin, []).append(difference.text)
        elif difference.kind in {"index", "no index", "unique"} or (
            difference.kind == "other index" and revision == head()
        ):
            yield from _about_index(database.path, contents, name, difference, revision)
        else:
            drifted.append(difference)
    if drifted:
        yield from repeated_values(database, there, expected)
        only = drifted[0].subject if len(drifted) == 1 else None
        yield Finding(
            "drift",
            "warning",
            f"{name}: {'; '.join(difference.text for difference in drifted)}, unlike the table "
            f"that {revision} has",
            mending(database, contents, revision, name),
            table=name,
            column=only if only in there.columns else None,
        )
    if harmless:
        listed = "; ".join(f"{origin}: {', '.join(texts)}" for origin, texts in harmless.items())
        yield Finding(
            "harmless-drift",
            "note",
            f"{name} is not quite the table that {revision} has, which does no harm: {listed}",
            table=name,
        )


def _holds_up(database: SQLiteDatabase, table: str, column: str) -> bool:
    """Whether a NULL in a column keeps the file from being migrated; its row is a finding."""
    filled = {name for step in history() for name in filled_by(step, up=True)}
    kept = tables_at(head())[table].columns.keys() - filled
    query = f"SELECT 1 FROM {quoted(table)} WHERE {quoted(column)} IS NULL LIMIT 1"  # noqa: S608
    return column in kept and bool(database.rows(query))


def _about_index(
    path: Path, contents: Contents, name: str, difference: Difference, revision: str
) -> Iterator[Finding]:
    subject = difference.subject
    at_head = revision == head()  # else `migrate` refuses a name, which is a finding of its own
    if difference.kind in {"no index", "other index"}:
        alike = (one for one in contents.named if one.name.lower() == subject)
        taken = next((one for one in alike if one.kind != "trigger"), None)
        if taken is not None and at_head:
            on = f" on {taken.table}" if taken.kind == "index" else ""
            sql = next(str(i.sql) for i in tables_at(revision)[name].indexes if i.name == subject)
            yield Finding(
                "taken-name",
                "warning",
                f"{name} lacks its index {subject}, whose name the {taken.kind} {taken.name}{on} "
                "has, which is your own",
                f"give yours another name: {giving_name_back(path, contents, taken, sql)}",
                table=name,
            )
            return
        yield Finding(
            "missing-index",
            "warning",
            f"{name}: {difference.text}",
            "nexuslims-store migrate",
            table=name,
        )
    elif at_head and subject.lower() in _index_names():
        return  # told of the table that lacks it
    elif difference.kind == "unique":
        yield Finding(
            "drift",
            "warning",
            f"{name}: {difference.text}, unlike the table that {revision} has",
            f"{subject} is an index of your own: if you can do without, take it out of the "
            "file, after nexuslims-store backup",
            table=name,
        )


@cache
def _index_names() -> frozenset[str]:
    return frozenset(i.name for table in tables_at(head()).values() for i in table.indexes)


def _origin(table: str, difference: Difference, revision: str) -> str | None:
    """Return whose harmless way a difference is, None where it should be put right."""
    if difference.kind in _HARMLESS:
        return "in what no program looks at"
    if difference.kind == "no index" and revision == head():
        return None  # `migrate` makes it
    if difference.kind == "index" and difference.subject in _index_names():
        return None
    expected = tables_at(revision)[table]
    layout = layout_of({table: expected})
    for origin, shape in shapes().items():
        # Only what looks like this revision's: its tables are made anew at others.
        if table in shape and layout_of({table: shape[table]}) == layout:
            known = _differences(shape[table], expected)
            if any((d.kind, d.subject) == (difference.kind, difference.subject) for d in known):
                return origin
    return "with indexes of somebody's own" if difference.kind == "index" else None


# -- differences -----------------------------------------------------------------------


def _differences(there: Table, expected: Table) -> Iterator[Difference]:
    columns = [name for name in there.columns if name in expected.columns]
    if columns != list(expected.columns):
        yield Difference("order", "", "its columns are in another order")
    own = there.columns.keys() - expected.columns.keys()
    collations, right = ddl.collations(there.sql), ddl.collations(expected.sql)
    for name in columns:
        yield from _column_differences(name, there.columns[name], expected.columns[name])
        if collations[name] != right[name]:
            text = f"{name} is compared by {collations[name]} instead of {right[name]}"
            yield Difference("collation", name, text)
    for unique in sorted(expected.unique - there.unique):
        listed = ", ".join(unique)
        yield Difference("not unique", listed, f"({listed}) is not UNIQUE")
    for index in there.indexes:
        # A UNIQUE of what holds the key says nothing new, unless it compares more loosely.
        key = set(there.key) <= set(index.columns) and "COLLATE" not in (index.sql or "").upper()
        known = index.columns in expected.unique or (
            index.sql is None and own.intersection(index.columns)
        )
        if index.unique and not known and not key:
            kind, subject = ("unique", index.name) if index.sql else ("constraint", "")
            yield Difference(kind, subject, f"({', '.join(index.columns)}) is UNIQUE")
    yield from _check_differences(there, expected)
    # Those of the facility's own columns are its own.
    keys = frozenset(key for key in there.foreign_keys if key[1] not in own)
    if _small(keys) != _small(expected.foreign_keys):
        listed = "; ".join(" ".join(key) for key in sorted(keys)) or "none"
        yield Difference("foreign keys", "", f"its foreign keys are others: {listed}")
    yield from _index_differences(there, expected)
    # Those of CHECKs are told with their rules.
    named = {*ddl.constraint_names(there.sql), *expected.checks.values()}
    for name in ddl.constraint_names(expected.sql):
        if name not in named:
            yield Difference("constraint name", name, f"no constraint is named {name}")
    words = {word.upper() for word in ddl.tokens(there.sql)}
    if "AUTOINCREMENT" in words:
        yield Difference("autoincrement", "", "its key is AUTOINCREMENT")
    for option in ddl.options(there.sql):
        if option not in ddl.options(expected.sql):
            yield Difference(option, "", f"it is {option}")


def _small(keys: frozenset[tuple[str, ...]]) -> set[tuple[str, ...]]:
    return {tuple(part.lower() for part in key) for key in keys}


def _column_differences(name: str, there: Column, expected: Column) -> Iterator[Difference]:
    if there.type.upper() != expected.type.upper():
        same = _affinity(there.type) == _affinity(expected.type)
        yield Difference(
            "same type" if same else "type",
            name,
            f"{name} is {there.type or 'without a type'} instead of {expected.type}",
        )
    if there.not_null and not expected.not_null:
        yield Difference("not null", name, f"{name} may not be NULL")
    if expected.not_null and not there.not_null:
        yield Difference("nullable", name, f"{name} may be NULL")
    if there.default != expected.default:
        yield Difference("default", name, f"{name} has the default {there.default or 'NULL'}")


def _check_differences(there: Table, expected: Table) -> Iterator[Difference]:
    names = {folded(rule): name for rule, name in there.checks.items()}
    for rule, constraint in expected.checks.items():
        if folded(rule) not in names:
            yield Difference("no check", rule, f"it lacks CHECK ({rule})")
        elif constraint != names[folded(rule)]:
            text = f"the constraint {constraint} has another name or none"
            yield Difference("constraint name", rule, text)
    known = {folded(rule) for rule in expected.checks}
    own = there.columns.keys() - expected.columns.keys()
    others = sorted(
        rule
        for rule in there.checks
        if folded(rule) not in known and not ddl.mentions(ddl.tokens(f"({rule})"), own)
    )
    if others:
        rules = ", ".join(f"CHECK ({rule})" for rule in others)
        yield Difference("other checks", "", f"it has checks of its own: {rules}")


def _index_differences(there: Table, expected: Table) -> Iterator[Difference]:
    found = {i.name.lower(): _index_sql(i.sql) for i in there.indexes if i.sql is not None}
    wanted = {i.name: _index_sql(i.sql) for i in expected.indexes if i.sql is not None}
    for name, sql in wanted.items():
        if name not in found:
            use = "; searches are slow without it" if is_own_index(name) else ""
            yield Difference("no index", name, f"the index {name} is missing{use}")
        elif folded(found[name]) != folded(sql):
            yield Difference("other index", name, f"the index {name} is {found[name]}")
    unique = {i.name.lower() for i in there.indexes if i.unique}  # told by its columns
    for name in sorted(found.keys() - wanted.keys() - unique):
        # Ours stays behind where NexusLIMS goes down from the head.
        if not is_own_index(name):
            yield Difference("index", name, f"it has the index {name}")


def _index_sql(sql: str) -> str:
    return ddl.normalised(sql).replace("IF NOT EXISTS ", "")


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
