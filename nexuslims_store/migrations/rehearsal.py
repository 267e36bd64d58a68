"""What steps do to what is the facility's own: tried out in memory, on tables without rows.

So a plan can tell it of a file that is only read, whatever SQL the steps are made of.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from nexuslims_store.migrations.script import (
    filled_by,
    made_again,
    make_version_table,
    text_of,
)
from nexuslims_store.migrations.shapes import folded, known_indexes
from nexuslims_store.recognition import Catalogue
from nexuslims_store.recognition.advice import listed
from nexuslims_store.recognition.compiling import make_empty, why_dead_alone
from nexuslims_store.recognition.layouts import own_columns
from nexuslims_store.recognition.own import taking_out
from nexuslims_store.recognition.remaking import taking_references_out
from nexuslims_store.revisions import (
    between,
    head,
    is_own_index,
    known_tables,
    position,
    tables_at,
)
from nexuslims_store.tables import Named, Reference, Table, dead_references, quoted, read

_NAMES = "SELECT type, name FROM sqlite_master"
_CREATED = re.compile(r"^CREATE (?:UNIQUE )?(?:TABLE|INDEX) (?!IF NOT)(\w+)", re.MULTILINE)


def rehearse(
    catalogue: Catalogue,
    path: Path,
    before: str | None,
    after: str | None,
    *,
    leftovers: Sequence[str],
) -> dict[str, Any]:
    """Run the steps' SQL on empty copies of all tables of a file, and see what becomes of them.

    Returns the fields of the `Plan` that are about what is the facility's own, and `made_anew`.

    Parameters
    ----------
    before, after
        The revision that the file is at, and the one it goes to.
    leftovers
        Tables that are removed before the first step.
    """
    up = position(after) >= position(before)
    scripts = [text_of(step, up=up) for step in between(before, after)]
    contents, known = catalogue.contents, tables_at(before)
    created = {name for text in scripts for name in _CREATED.findall(text)}
    in_the_way = [
        one
        for one in contents.named
        if one.name.lower() in created
        and (one in own_indexes([one]) if one.kind == "index" else one.name.lower() not in known)
        and one.table not in leftovers
    ]
    others = [one for one in contents.named if one not in in_the_way]
    # Without a cache, since an EXPLAIN that was compiled before the steps never fails after them.
    with closing(sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)) as memory:
        for setting in ("trusted_schema = OFF", "foreign_keys = OFF", "legacy_alter_table = ON"):
            memory.execute(f"PRAGMA {setting}")
        make_empty(memory, others)
        memory.execute(make_version_table())
        for table in leftovers:
            memory.execute(f"DROP TABLE {quoted(table)}")
        referring = dead_references(read(memory).tables)
        code = [one for one in others if one.kind in {"view", "trigger"}]
        alive = [one for one in code if why_dead_alone(memory, one, code) is None]
        set_aside(memory, catalogue.triggers)
        for text in scripts:
            memory.executescript(text)
        become = read(memory).tables
        made_anew = _take_nulls(become, after) if up else ()
        for name in made_anew:
            for statement in made_again(name, tables_at(after)[name]):
                memory.execute(statement)
        if made_anew:
            become = read(memory).tables
        lost: dict[str, list[str]] = {}
        for table, column in sorted(own_columns(catalogue.layout)):
            stays = table in become and column in become[table].columns
            if not stays and table not in leftovers:
                lost.setdefault(table, []).append(column)
        dead_after = dead_references(become)
        cut_off = [
            (table, reference)
            for table, reference in dead_after
            if (table.name, reference) not in {(t.name, r) for t, r in referring}
        ]
        own = own_indexes(one for one in others if one.kind == "index")
        there = set(memory.execute(_NAMES))
        kept = [one for one in (*own, *catalogue.triggers) if (one.kind, one.name) not in there]
        gone = make_again(memory, kept)
        alive = [one for one in alive if one not in gone]
        dead = [one for one in alive if why_dead_alone(memory, one, code) is not None]
    return {
        "obstacles": (
            *(
                f"that makes {table} anew or drops it, with its columns {', '.join(columns)}, "
                "which are your own; "
                + taking_out(path, catalogue.contents, catalogue.tables[table], columns)
                for table, columns in lost.items()
            ),
            *(
                f"the {one.kind} {one.name}"
                + (f" on {one.table}" if one.kind == "index" else "")
                + " is your own, and its name is needed; give it another"
                for one in in_the_way
            ),
            *(
                f"that takes away what {', '.join(reference.columns)} of your table {table.name} "
                f"refers to, {_in_words(reference)}; "
                # With those that are dead already, or one command would bring back the other's.
                + taking_references_out(
                    path, contents, table, [r for t, r in dead_after if t.name == table.name]
                )
                for table, reference in cut_off
            ),
            *_left_alone(catalogue, after, leftovers),
        ),
        "kept": tuple(one for one in kept if one not in gone),
        "indexes_lost": tuple(one.name for one in gone if one.kind == "index"),
        "triggers_lost": tuple(one.name for one in gone if one.kind == "trigger"),
        "views_broken": tuple(one.name for one in dead if one.kind == "view"),
        "triggers_broken": tuple(one.name for one in dead if one.kind == "trigger"),
        "made_anew": made_anew,
    }


def _left_alone(catalogue: Catalogue, after: str | None, leftovers: Sequence[str]) -> Iterator[str]:
    own = sorted(set(catalogue.others) - known_tables() - set(leftovers))
    if after is None and own:
        yield (
            f"without NexusLIMS's tables, a file with {listed(own)} of your own is taken for "
            "another program's; move them to a file of their own first"
        )


def _in_words(reference: Reference) -> str:
    columns = f" ({', '.join(reference.to)})" if reference.to else ""
    return f"{reference.table}{columns}"


def _take_nulls(tables: Mapping[str, Table], after: str | None) -> tuple[str, ...]:
    """Return the tables that take a NULL where those of a revision do not.

    But for one which a later step puts a value in place of.
    """
    filled = {column for step in between(after, head()) for column in filled_by(step, up=True)}
    return tuple(
        name
        for name, expected in tables_at(after).items()
        if any(
            column.not_null and key not in filled and not tables[name].columns[key].not_null
            for key, column in expected.columns.items()
        )
    )


def own_indexes(indexes: Iterable[Named]) -> list[Named]:
    """Return the indexes by statements of their own that are none of NexusLIMS's nor of ours."""
    return [
        one
        for one in indexes
        if one.sql is not None
        and (one.table, folded(one.sql)) not in known_indexes()
        and not is_own_index(one.name)
    ]


def set_aside(connection: sqlite3.Connection, triggers: Iterable[Named]) -> None:
    """Take triggers out, so that nothing of theirs runs, until `make_again` brings them back."""
    for one in triggers:
        connection.execute(f"DROP TRIGGER IF EXISTS {quoted(one.name)}")


def make_again(connection: sqlite3.Connection, named: Iterable[Named]) -> list[Named]:
    """Make indexes and triggers that are gone; return those whose columns or table are too."""
    there = set(connection.execute(_NAMES))
    lost = []
    for one in named:
        if (one.kind, one.name) not in there and one.sql is not None:
            try:
                connection.execute(one.sql)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                    raise
                lost.append(one)
    return lost
