"""Who NexusLIMS's users are in other systems."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from nexuslims_store import queries
from nexuslims_store.connection import Database
from nexuslims_store.enums import ExternalSystem
from nexuslims_store.errors import DuplicateError
from nexuslims_store.models import ExternalUserIdentifier
from nexuslims_store.repository.rows import RowMapper
from nexuslims_store.translation import ConstraintError

__all__ = ["ExternalIdRepository"]

_SQL = queries.load("external_user_identifiers.sql")

# Stands for a byte of a stored text that is not UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")

_MAPPER = RowMapper(ExternalUserIdentifier, table="external_user_identifiers", key="id")


class ExternalIdRepository:
    """`store.external_ids`: the rows of `external_user_identifiers`.

    A user has one identifier in each system, and an identifier one user. Systems are
    `ExternalSystem` members or their values ("nemo", …); another value is a ValueError.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def get(self, username: str, system: ExternalSystem | str) -> str | None:
        """Return a user's identifier in a system, or None."""
        return self._text(
            self._database.rows(_SQL.get_external_id, _user_and_system(username, system))
        )

    def find_username(self, external_id: str, system: ExternalSystem | str) -> str | None:
        """Return the user behind a system's identifier, or None."""
        return self._text(
            self._database.rows(
                _SQL.find_username,
                {"external_id": external_id, "external_system": ExternalSystem(system).value},
            )
        )

    def store(
        self,
        username: str,
        system: ExternalSystem | str,
        external_id: str,
        email: str | None = None,
        notes: str | None = None,
    ) -> ExternalUserIdentifier:
        """Store or replace a user's identifier in a system and return the stored row.

        Replacing sets `last_verified_at` to the present, keeps `id` and `created_at`, and keeps
        `email` and `notes` where they are not given.

        Raises
        ------
        DuplicateError
            The identifier is another user's.
        """
        now = self._clock()
        new = ExternalUserIdentifier(
            nexuslims_username=username,
            external_system=system,
            external_id=external_id,
            email=email,
            notes=notes,
            created_at=now,
        )
        values = {
            "nexuslims_username": new.nexuslims_username,
            "external_system": new.external_system.value,
            "external_id": new.external_id,
            "email": new.email,
            "notes": new.notes,
            "now": now.isoformat(),
        }
        try:
            rows = self._database.rows(_SQL.store_external_id, values)
        except ConstraintError as error:
            owner = self.find_username(external_id, system)
            if owner is None:  # taken and given back meanwhile, or another constraint
                raise
            raise DuplicateError(
                f"the {new.external_system.value} identifier {external_id!r} is that of the user "
                f"{owner!r} already, so it cannot be that of {username!r}; remove it there first "
                "(`external_ids.remove()`)"
            ) from error
        return _MAPPER.models(rows)[0]

    def all_for(self, username: str) -> dict[ExternalSystem, str]:
        """Return a user's identifiers by system."""
        rows = self._database.rows(_SQL.list_external_ids_of_user, {"nexuslims_username": username})
        return {row.external_system: row.external_id for row in _MAPPER.models(rows)}

    def list(self) -> list[ExternalUserIdentifier]:
        """Return all identifiers by user and system."""
        return _MAPPER.models(self._database.rows(_SQL.list_external_ids))

    def remove(self, username: str, system: ExternalSystem | str) -> bool:
        """Delete a user's identifier in a system; return whether there was one."""
        return (
            self._database.change(_SQL.remove_external_id, _user_and_system(username, system)) > 0
        )

    def _text(self, rows: Sequence[tuple[object, ...]]) -> str | None:
        """Return the one value of the first row, None where there is no row."""
        if not rows:
            return None
        value = rows[0][0]
        if not isinstance(value, str) or _SURROGATE.search(value):
            self.list()  # raises the InvalidRowError that names the row
        return str(value)


def _user_and_system(username: str, system: ExternalSystem | str) -> dict[str, str]:
    return {
        "nexuslims_username": username,
        "external_system": ExternalSystem(system).value,
    }
