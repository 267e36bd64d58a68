"""Which revision has these tables? Told by the few traits in which the revisions' differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

from nexuslims_store.revisions import BASE, head, history, known_tables, names, tables_at
from nexuslims_store.tables import Table

Layout = dict[str, frozenset[str]]
"""The few traits of tables that tell revisions apart: the names of each one's columns, and those
of CHECKs where they alone make a difference.

Order, types and most constraints are left out: they differ between files of one revision, because
NexusLIMS from before 2.5, its demo and its own downgrades each make them a little differently.
The names do not differ, and a column with another name would be lost with its table.
"""

_COMPUTED = " (computed)"
_CHECK = "CONSTRAINT "


def is_head(tables: Mapping[str, Table]) -> bool:
    """Whether tables have all traits of the head's. Quicker than to ask for the revision."""
    expected = {name: tables_at(head())[name] for name in known_tables() & tables_at(head()).keys()}
    there = {name: table for name, table in tables.items() if name in known_tables()}
    return there.keys() == expected.keys() and all(
        there[name].columns.keys() == table.columns.keys()
        and not any(column.generated for column in there[name].columns.values())
        and set(table.check_names) <= set(there[name].check_names)
        for name, table in expected.items()
    )


@cache
def layouts() -> dict[str | None, Layout]:
    """Return the layouts of base and of each revision, the oldest first."""
    return {revision: layout_of(tables_at(revision)) for revision in (None, *names())}


def layout_of(tables: Mapping[str, Table]) -> Layout:
    """Return those of NexusLIMS's tables that are there as their traits."""
    return {name: _traits(name, tables[name]) for name in sorted(known_tables() & tables.keys())}


def _traits(name: str, table: Table) -> frozenset[str]:
    known = known_columns(name)
    columns = {
        # To read one of NexusLIMS's would run what its author wrote. Nobody reads others.
        key + _COMPUTED if column.generated and key in known else key
        for key, column in table.columns.items()
    }
    checks = _telling_checks().get(name, frozenset()) & set(table.check_names)
    return frozenset(columns | {_CHECK + check for check in checks})


@cache
def known_columns(table: str) -> frozenset[str]:
    """Return the columns that a table has at any revision."""
    shapes = [tables_at(revision) for revision in names()]
    return frozenset(column for s in shapes if table in s for column in s[table].columns)


@cache
def _telling_checks() -> dict[str, frozenset[str]]:
    """Return, by table, a CHECK of each step that adds CHECKs and changes no column."""
    telling: dict[str, frozenset[str]] = {}
    for step in history():
        before, after = tables_at(step.down_revision), tables_at(step.revision)
        for name in known_tables() & before.keys() & after.keys():
            former = before[name].check_names
            added = [check for check in after[name].check_names if check not in former]
            if added and before[name].columns.keys() == after[name].columns.keys():
                telling[name] = telling.get(name, frozenset()) | {added[-1]}
    return telling


def revision_of(layout: Layout) -> str | None:
    """Return the oldest revision whose tables are exactly these, `BASE`, or None."""
    return next((name or BASE for name, tables in layouts().items() if tables == layout), None)


def without_key(tables: Mapping[str, Table], revision: str | None) -> tuple[str, ...]:
    """Return the names of the tables that have not the primary key of a revision."""
    return tuple(
        name
        for name, expected in tables_at(revision).items()
        if name in tables and sorted(tables[name].key) != sorted(expected.key)
    )


def own_columns(layout: Layout) -> Layout:
    """Return the columns that no revision has, by table: a facility's own."""
    known = {
        table: frozenset[str]().union(*(other.get(table, ()) for other in layouts().values()))
        for table in layout
    }
    own = {
        table: frozenset(c for c in columns - known[table] if not c.endswith(_COMPUTED))
        for table, columns in layout.items()
    }
    return {table: columns for table, columns in own.items() if columns}


def without_own(layout: Layout) -> Layout:
    """Return a layout without columns of the facility's own."""
    own = own_columns(layout)
    return {table: columns - own.get(table, frozenset()) for table, columns in layout.items()}


def fits(layout: Layout, revision: str | None, *, keyless: Collection[str] = ()) -> bool:
    """Whether tables are those of a revision but for columns of the facility's own.

    Parameters
    ----------
    keyless
        Tables that have lost their key, and so their CHECKs: another program made them anew.
    """

    def counted(layout: Layout) -> Layout:
        return {
            table: frozenset(t for t in traits if table not in keyless or not t.startswith(_CHECK))
            for table, traits in layout.items()
        }

    return counted(without_own(layout)) == counted(layouts()[revision])


def differences(layout: Layout, revision: str | None) -> list[str]:
    """Return in words how tables differ from those of a revision."""
    expected = layouts()[revision]
    found = []
    for table in sorted(expected.keys() | layout.keys()):
        if table not in layout:
            found.append(f"{table} is missing")
        elif table not in expected:
            found.append(f"{table} is too many")
        else:
            known, there = expected[table], layout[table]
            found += [f"{table} has {c}, which is not known" for c in sorted(there - known)]
            found += [f"{table} lacks {column}" for column in sorted(known - there)]
    return found


def most_similar(layout: Layout) -> str | None:
    """Return the revision that shares most traits with a layout, less those that one lacks."""

    def likeness(revision: str | None) -> int:
        here = {(table, trait) for table in layout for trait in layout[table]}
        other = layouts()[revision]
        there = {(table, trait) for table in other for trait in other[table]}
        return len(here & there) - len(here ^ there)

    return max(layouts(), key=likeness)
