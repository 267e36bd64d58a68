"""The other database: one of a PostgreSQL server. Needs psycopg; imported where one is opened."""

from __future__ import annotations

from nexuslims_store.postgresql.connection import (
    PostgreSQLDatabase,
    SharedPostgreSQLDatabase,
    connect,
)

__all__ = ["PostgreSQLDatabase", "SharedPostgreSQLDatabase", "connect"]
