"""Which revision has these tables? Told by the few traits in which the revisions' differ."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache

from nexuslims_store.revisions import BASE, head, history, known_tables, names, tables_at
from nexuslims_store.tables import Table

Layout = frozenset[tuple[str, str]]
"""The few traits of tables that tell revisions apart, each after its table: that it is there (""),
the names of columns, and those of CHECKs where they alone make a difference.

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
    """Return the traits of those of NexusLIMS's tables that are there."""
    return frozenset(
        (name, trait)
        for name in known_tables() & tables.keys()
        for trait in _traits(name, tables[name])
    )


def _traits(name: str, table: Table) -> Iterator[str]:
    yield ""
    known = known_columns(name)
    for key, column in table.columns.items():
        # To read one of NexusLIMS's would run what its author wrote. Nobody reads others.
        yield key + _COMPUTED if column.generated and key in known else key
    for check in _telling_checks().get(name, frozenset()) & set(table.check_names):
        yield _CHECK + check


def tables_in(layout: Layout) -> set[str]:
    """Return the names of the tables of a layout."""
    return {table for table, _ in layout}


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
    return next((name or BASE for name, other in layouts().items() if other == layout), None)


def without_key(tables: Mapping[str, Table], revision: str | None) -> tuple[str, ...]:
    """Return the names of the tables that have not the primary key of a revision."""
    return tuple(
        name
        for name, expected in tables_at(revision).items()
        if name in tables and set(tables[name].key) != set(expected.key)
    )


def own_columns(layout: Layout) -> Layout:
    """Return the columns that no revision has: a facility's own."""
    return frozenset(
        (table, trait)
        for table, trait in layout.difference(*layouts().values())
        if not trait.endswith(_COMPUTED)
    )


def fits(layout: Layout, revision: str | None, *, keyless: Collection[str] = ()) -> bool:
    """Whether tables are those of a revision but for columns of the facility's own.

    Parameters
    ----------
    keyless
        Tables that have lost their key, and so their CHECKs: another program made them anew.
    """
    unlike = (layout - own_columns(layout)) ^ layouts()[revision]
    return all(table in keyless and trait.startswith(_CHECK) for table, trait in unlike)


def differences(layout: Layout, revision: str | None) -> list[str]:
    """Return in words how tables differ from those of a revision."""
    expected = layouts()[revision]
    there, known = tables_in(layout), tables_in(expected)
    found = [f"{table} is missing" for table in sorted(known - there)]
    found += [f"{table} is too many" for table in sorted(there - known)]
    both = there & known
    found += [f"{t} has {c}, which is not known" for t, c in sorted(layout - expected) if t in both]
    return found + [f"{t} lacks {c}" for t, c in sorted(expected - layout) if t in both]


def most_similar(layout: Layout) -> str | None:
    """Return the revision that shares most traits with a layout, less those that one lacks."""
    every = layouts()
    return max(every, key=lambda name: len(layout & every[name]) - len(layout ^ every[name]))
