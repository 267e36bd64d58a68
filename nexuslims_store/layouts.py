"""What the tables of each revision look like, in the few traits that tell revisions apart.

Order, types and most constraints of the columns are left out: they differ between files of one
revision, because NexusLIMS from before 2.2, its demo and its own downgrades each make them a
little differently. The names do not differ, and a column with another name would be lost when its
table is made anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

__all__ = [
    "BASE",
    "CHECK",
    "COMPUTED",
    "LAYOUTS",
    "REVISIONS",
    "SESSION_LOG",
    "Layout",
    "differences",
    "fits",
    "is_check",
    "own_columns",
    "revision_of",
]

Layout = dict[str, frozenset[str]]
"""Tables by name, each as the set of its columns."""

BASE = "base"
"""Alembic's name for a database without tables."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Stands among the columns of session_log, which are the same before and after v2_4_0b: this
# constraint is what that revision added.
CHECK = "CONSTRAINT check_record_status"
COMPUTED = " (computed)"
"""Marks the name of a column whose values the file's author has SQLite compute."""
_NAMED_CHECK = re.compile(r"""CONSTRAINT\s+["'`\[]?check_record_status\b""", re.IGNORECASE)

_COMPUTER_INSTRUMENTS = _names(
    "instrument_pid api_url calendar_name calendar_url location schema_name property_tag "
    "filestore_path harvester timezone computer_name computer_ip computer_mount"
)
_INSTRUMENTS = _names(
    "instrument_pid api_url calendar_url location display_name property_tag filestore_path "
    "harvester timezone"
)
SESSION_LOG = _names(
    "id_session_log session_identifier instrument timestamp event_type record_status user"
)
_CHECKED_SESSION_LOG = SESSION_LOG | {CHECK}
_UPLOAD_LOG = _names(
    "id session_identifier destination_name success timestamp record_id record_url "
    "error_message metadata_json"
)
_EXTERNAL_USER_IDENTIFIERS = _names(
    "id nexuslims_username external_system external_id email created_at last_verified_at notes"
)

LAYOUTS: dict[str, Layout] = {
    BASE: {},
    "v1_4_3": {"instruments": _COMPUTER_INSTRUMENTS, "session_log": SESSION_LOG},
    "v2_4_0a": {
        "instruments": _COMPUTER_INSTRUMENTS,
        "session_log": SESSION_LOG,
        "upload_log": _UPLOAD_LOG,
    },
    "v2_4_0b": {
        "instruments": _COMPUTER_INSTRUMENTS,
        "session_log": _CHECKED_SESSION_LOG,
        "upload_log": _UPLOAD_LOG,
    },
    "v2_5_0a": {
        "instruments": _COMPUTER_INSTRUMENTS,
        "session_log": _CHECKED_SESSION_LOG,
        "upload_log": _UPLOAD_LOG,
        "external_user_identifiers": _EXTERNAL_USER_IDENTIFIERS,
    },
    "v2_5_0b": {
        "instruments": _INSTRUMENTS,
        "session_log": _CHECKED_SESSION_LOG,
        "upload_log": _UPLOAD_LOG,
        "external_user_identifiers": _EXTERNAL_USER_IDENTIFIERS,
    },
}
"""The tables of base and of each revision, oldest first. A new migration adds a line here."""

REVISIONS = tuple(revision for revision in LAYOUTS if revision != BASE)


def is_check(sql: str) -> bool:
    """Whether a CREATE TABLE statement of session_log has the constraint of v2_4_0b."""
    return _NAMED_CHECK.search(sql) is not None


def revision_of(layout: Layout) -> str | None:
    """Return the revision whose tables are exactly these, or `BASE`, or None."""
    return next((name for name, tables in LAYOUTS.items() if tables == layout), None)


def own_columns(layout: Layout) -> dict[str, frozenset[str]]:
    """Return the columns that no revision has, by table: a facility's own."""
    own = {}
    for table, columns in layout.items():
        known = frozenset().union(*(tables.get(table, ()) for tables in LAYOUTS.values()))
        if columns - known:
            own[table] = columns - known
    return own


def fits(layout: Layout, revision: str) -> bool:
    """Whether tables are those of a revision but for columns of the facility's own.

    A computed column is nobody's own: SQL of its author's runs whenever a row is read or written.
    """
    own = own_columns(layout)
    if any(COMPUTED in column for columns in own.values() for column in columns):
        return False
    without = {table: columns - own.get(table, frozenset()) for table, columns in layout.items()}
    return without == LAYOUTS[revision]


def differences(layout: Layout, revision: str | None) -> Iterator[str]:
    """Yield in words how tables differ from those of a revision; None: of the most similar."""
    expected = LAYOUTS[revision] if revision else max(LAYOUTS.values(), key=_likeness_to(layout))
    for table in sorted(expected.keys() | layout.keys()):
        if table not in layout:
            yield f"{table} is missing"
        elif table not in expected:
            yield f"{table} is too many"
        else:
            for column in sorted(layout[table] - expected[table]):
                yield f"{table} has {column}, which is not known"
            for column in sorted(expected[table] - layout[table]):
                yield f"{table} lacks {column}"


def _likeness_to(layout: Layout) -> Callable[[Layout], int]:
    """Count the columns that another layout shares, less those that only one of the two has."""

    def likeness(other: Layout) -> int:
        here = {(table, column) for table in layout for column in layout[table]}
        there = {(table, column) for table in other for column in other[table]}
        return len(here & there) - len(here ^ there)

    return likeness
