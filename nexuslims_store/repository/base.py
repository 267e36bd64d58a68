"""What all repositories have."""

from __future__ import annotations

from typing import ClassVar

from nexuslims_store.database import Database


class Repository:
    """A way to the rows of one table, or to what they make together."""

    _holds: ClassVar[str]
    """What is in it, in words."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __repr__(self) -> str:
        return f"<the {self._holds} of {self._database.name!r}>"
