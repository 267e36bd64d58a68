"""The views that statements on events and sessions read, made when a connection first needs them.

What a session is, how its times are read and what a claim is, is said in `sql/views.sql` alone.
"""

from __future__ import annotations

from nexuslims_store import queries
from nexuslims_store.database import Database

_SQL = queries.load("views.sql")


def with_views(database: Database) -> Database:
    """Make the views, unless the connection has them, and return the database."""
    if not database.has_views:
        for query in _SQL:
            database.rows(query.sql)
        # A transaction that is rolled back takes along the views that were made in it.
        database.has_views = not database.in_transaction
    return database
