"""Who NexusLIMS's users are in other systems."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from types import NoneType

from nexuslims_store import queries
from nexuslims_store.arguments import member, member_value, require_type, valid_items
from nexuslims_store.database import Database, Row
from nexuslims_store.display import quoted
from nexuslims_store.enums import ExternalSystem, SystemName
from nexuslims_store.errors import DuplicateError
from nexuslims_store.models import ExternalUserIdentifier
from nexuslims_store.repository.base import Repository
from nexuslims_store.repository.batches import SET_ASIDE, find_clash, given_to_both
from nexuslims_store.repository.rows import RowMapper
from nexuslims_store.results import InsertSummary
from nexuslims_store.times import aware
from nexuslims_store.translation import ConstraintError

_SQL = queries.load("external_user_identifiers.sql")
_MAPPER = RowMapper(ExternalUserIdentifier, table="external_user_identifiers", key="id")

# Stands for a byte of a stored text that is not UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")

_logger = logging.getLogger("nexuslims_store")


class ExternalIdRepository(Repository):
    """`store.external_ids`: the rows of `external_user_identifiers`.

    A user has one identifier in each system, and an identifier one user. Systems are
    `ExternalSystem` members or their values ("nemo", …); another text is an InvalidValueError.

    Examples
    --------
    >>> bob = ExternalUserIdentifier(
    ...     nexuslims_username="bob", external_system="nemo", external_id="7"
    ... )
    >>> with make_store() as store:
    ...     store.external_ids.store("alice", "nemo", "42", email="alice@example.com").id
    ...     store.external_ids.get("alice", "nemo"), store.external_ids.find_username("42", "nemo")
    ...     store.external_ids.store_many([bob])
    ...     store.external_ids.take_over("carol", "nemo", "42").email
    ...     store.external_ids.all_for("carol")
    ...     [each.external_id for each in store.external_ids.list_for_user("bob")]
    ...     [each.nexuslims_username for each in store.external_ids.list()]
    ...     store.external_ids.remove("bob", "nemo")
    1
    ('42', 'alice')
    InsertSummary(inserted=1, updated=0, unchanged=0)
    'alice@example.com'
    {<ExternalSystem.NEMO: 'nemo'>: '42'}
    ['7']
    ['bob', 'carol']
    True
    """

    _holds = "external user identifiers"

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        super().__init__(database)
        self._clock = clock

    def get(self, username: str, system: ExternalSystem | SystemName) -> str | None:
        """Return a user's identifier in a system, or None."""
        rows = self._database.rows(_SQL.get_external_id, _user_and_system(username, system))
        return self._text(rows) if rows else None

    def find_username(self, external_id: str, system: ExternalSystem | SystemName) -> str | None:
        """Return the user behind a system's identifier, or None."""
        require_type("external_id", external_id, str)
        external_system = member_value("system", system, ExternalSystem)
        rows = self._database.rows(
            _SQL.find_username, {"external_id": external_id, "external_system": external_system}
        )
        return self._text(rows) if rows else None

    def store(
        self,
        username: str,
        system: ExternalSystem | SystemName,
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
            The identifier is another user's; `take_over` moves it.
        """
        new = self._checked(username, system, external_id, email, notes)
        values = {
            "nexuslims_username": new.nexuslims_username,
            "external_system": new.external_system.value,
            "external_id": new.external_id,
            "email": new.email,
            "notes": new.notes,
            "now": new.created_at.isoformat(),
        }
        try:
            rows = self._database.rows(_SQL.store_external_id, values)
        except ConstraintError as error:
            owner = self.find_username(external_id, system)
            if owner is None:  # taken and given back meanwhile, or another constraint
                raise
            raise _taken(new.external_system, external_id, owner, username) from error
        return _MAPPER.models(rows)[0]

    def take_over(
        self,
        username: str,
        system: ExternalSystem | SystemName,
        external_id: str,
        email: str | None = None,
        notes: str | None = None,
    ) -> ExternalUserIdentifier:
        """Store a user's identifier in a system as `store` does, even if it is another user's.

        In one transaction, and the other user loses nothing else. `email` and `notes` that are not
        given stay the user's own; where there are none, those that come with the identifier do.
        """
        new = self._checked(username, system, external_id, email, notes)
        with self._database.transaction():
            owner = self.find_username(external_id, system)
            if owner is not None and owner != username:
                if self.get(username, system) is None:
                    statement = _SQL.move_external_id
                else:
                    statement = _SQL.remove_external_id
                    own, moved = (self._of(user, new.external_system) for user in (username, owner))
                    email = email or own.email or moved.email
                    notes = notes or own.notes or moved.notes
                self._database.change(
                    statement, {**_user_and_system(owner, system), "new_username": username}
                )
                _logger.info(
                    "the %s identifier %r is that of the user %r now, no longer that of %r",
                    new.external_system.value,
                    external_id,
                    username,
                    owner,
                )
            return self.store(username, system, external_id, email, notes)

    def store_many(self, identifiers: Iterable[ExternalUserIdentifier]) -> InsertSummary:
        """Store the identifiers of many users as `store` does, all or none, in one transaction.

        They are judged as a whole: two users who exchange their identifiers are no conflict, in
        whatever order they come. New rows keep `created_at` and `last_verified_at` as given;
        rows that say nothing new stay as they are. `id` is not looked at.

        Returns
        -------
        InsertSummary
            How many identifiers were added, changed, and there already.

        Raises
        ------
        DuplicateError
            A user has two identifiers in one system, or an identifier two users, one of whom
            may be stored and not given. Nothing was stored.
        """
        given: dict[tuple[str, str], ExternalUserIdentifier] = {}
        for one in valid_items("identifiers", identifiers, ExternalUserIdentifier):
            system = ExternalSystem(one.external_system)
            if given.setdefault((system.value, one.nexuslims_username), one) != one:
                raise DuplicateError(
                    f"the user {one.nexuslims_username!r} is given twice in {system.value}, with "
                    "different values; leave one out"
                )
        now = self._clock().isoformat()
        with self._database.transaction():
            rows = self._database.rows(_SQL.list_external_ids)
            stored = {(system, username): row for row in rows for username, system in [row[:2]]}
            clash = find_clash(
                {key: (key[0], one.external_id) for key, one in given.items()},
                {(row[1], row[2]): key for key, row in stored.items()},
            )
            if clash is not None:
                (system, username), (_, external_id), (_, other) = clash
                if (system, other) in given:
                    raise given_to_both(username, external_id, other, f"{system} identifier")
                raise _taken(ExternalSystem(system), external_id, other, username)
            new = [self._row(one, now) for key, one in given.items() if key not in stored]
            changed = [
                {**self._row(one, now), "now": now}
                for key, one in given.items()
                if key in stored and _says_something_new(one, stored[key])
            ]
            self._database.change_many(
                _SQL.set_external_id_aside, [{**row, "set_aside": SET_ASIDE} for row in changed]
            )
            self._database.change_many(_SQL.update_external_id, changed)
            self._database.change_many(_SQL.insert_external_id, new)
        return InsertSummary(len(new), len(changed), len(given) - len(new) - len(changed))

    def all_for(self, username: str) -> dict[ExternalSystem, str]:
        """Return a user's identifiers by system."""
        return {row.external_system: row.external_id for row in self.list_for_user(username)}

    def list_for_user(self, username: str) -> list[ExternalUserIdentifier]:
        """Return a user's identifiers in all systems."""
        require_type("username", username, str)
        rows = self._database.rows(_SQL.list_external_ids_of_user, {"nexuslims_username": username})
        return _MAPPER.models(rows)

    def _of(self, username: str, system: ExternalSystem) -> ExternalUserIdentifier:
        found = self.list_for_user(username)
        return next(one for one in found if one.external_system == system)

    def list(self) -> list[ExternalUserIdentifier]:
        """Return all identifiers by user and system."""
        return _MAPPER.models(self._database.rows(_SQL.list_external_ids))

    def remove(self, username: str, system: ExternalSystem | SystemName) -> bool:
        """Delete a user's identifier in a system; return whether there was one."""
        values = _user_and_system(username, system)
        return self._database.change(_SQL.remove_external_id, values) > 0

    def _checked(
        self,
        username: str,
        system: ExternalSystem | SystemName,
        external_id: str,
        email: str | None,
        notes: str | None,
    ) -> ExternalUserIdentifier:
        """Return the arguments of `store` as a model of now, which refuses what is not valid."""
        require_type("username", username, str)
        require_type("external_id", external_id, str)
        require_type("email", email, (str, NoneType))
        require_type("notes", notes, (str, NoneType))
        return ExternalUserIdentifier(
            nexuslims_username=username,
            external_system=member("system", system, ExternalSystem),
            external_id=external_id,
            email=email,
            notes=notes,
            created_at=self._clock(),
        )

    def _row(self, one: ExternalUserIdentifier, now: str) -> dict[str, str | None]:
        """Return what is stored of an identifier that is new."""
        dated = "created_at" in one.model_fields_set
        verified = one.last_verified_at
        return {
            "nexuslims_username": one.nexuslims_username,
            "external_system": ExternalSystem(one.external_system).value,
            "external_id": one.external_id,
            "email": one.email,
            "created_at": aware(one.created_at, UTC).isoformat() if dated else now,
            "last_verified_at": None if verified is None else aware(verified, UTC).isoformat(),
            "notes": one.notes,
        }

    def _text(self, rows: Sequence[Row]) -> str:
        """Return the one value of the first row."""
        value = rows[0][0]
        if isinstance(value, str) and (value.isascii() or not _SURROGATE.search(value)):
            return value
        self.list()  # raises the InvalidRowError that names the row
        return str(value)


def _user_and_system(username: str, system: ExternalSystem | SystemName) -> dict[str, str]:
    require_type("username", username, str)
    return {
        "nexuslims_username": username,
        "external_system": member_value("system", system, ExternalSystem),
    }


def _says_something_new(one: ExternalUserIdentifier, stored: Row) -> bool:
    _, _, external_id, email, _, _, notes, _ = stored
    return (
        one.external_id != external_id
        or one.email not in {None, email}
        or one.notes not in {None, notes}
    )


def _taken(system: ExternalSystem, external_id: str, owner: str, username: str) -> DuplicateError:
    return DuplicateError(
        f"the {system.value} identifier {external_id!r} is that of the user {quoted(owner)} "
        f"already, so it cannot be that of {username!r}",
        call="store.external_ids.take_over() moves it, and nothing else",
        command="`nexuslims-store users set … --move` moves it, and nothing else",
    )
