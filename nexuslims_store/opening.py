"""A database, opened by what it is: a file of SQLite's, or the URL of one on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexuslims_store.config import without_password
from nexuslims_store.errors import StoreError

if TYPE_CHECKING:
    from nexuslims_store.postgresql import PostgreSQLDatabase


def open_server(
    url: str, *, read_only: bool = False, timeout: float = 30.0, any_thread: bool = False
) -> PostgreSQLDatabase:
    """Connect to a database on PostgreSQL, by psycopg, which nobody else needs."""
    try:
        from nexuslims_store import postgresql  # noqa: PLC0415
    except ImportError as error:
        raise StoreError(
            f"{without_password(url)} needs psycopg, which is not installed or does not work "
            f"({error}): `pip install 'nexuslims-store[postgresql]'` brings it"
        ) from error
    kind = postgresql.SharedPostgreSQLDatabase if any_thread else postgresql.PostgreSQLDatabase
    return kind(url, read_only=read_only, timeout=timeout)
