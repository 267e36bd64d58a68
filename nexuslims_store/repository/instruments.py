"""The instruments of the facility."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from nexuslims_store import queries
from nexuslims_store.config import data_root
from nexuslims_store.connection import Database
from nexuslims_store.errors import (
    DuplicateError,
    InstrumentInUseError,
    StoreError,
    UnknownInstrumentError,
)
from nexuslims_store.models import Instrument, InstrumentActivity
from nexuslims_store.repository.rows import RowMapper
from nexuslims_store.times import zone
from nexuslims_store.translation import ConstraintError

__all__ = ["InstrumentRepository", "unknown_instrument"]

_SQL = queries.load("instruments.sql")

_COLUMNS = tuple(
    "timezone" if field == "timezone_str" else field for field in Instrument.model_fields
)

_MAPPER = RowMapper(Instrument, table="instruments", key="instrument_pid")


def unknown_instrument(pid: str) -> UnknownInstrumentError:
    """Return the error for a PID that no instrument has."""
    return UnknownInstrumentError(
        f"no instrument has the PID {pid!r}; `nexuslims-store instruments list` shows those "
        "there are, `instruments add` adds one"
    )


class InstrumentRepository:
    """`store.instruments`: the rows of `instruments`. Nothing is cached between calls."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, pid: str) -> Instrument | None:
        """Return the instrument of a PID, or None.

        Raises
        ------
        InvalidRowError
            The stored row is not a valid instrument (as with every method that returns rows).
        """
        return _MAPPER.first(self._database.rows(_SQL.get_instrument, {"instrument_pid": pid}))

    def get_by_api_url(self, url: str) -> Instrument | None:
        """Return the instrument whose `api_url` is exactly this one, or None."""
        return _MAPPER.first(self._database.rows(_SQL.get_instrument_by_api_url, {"api_url": url}))

    def find_by_path(
        self, file: str | os.PathLike[str], root: str | os.PathLike[str] | None = None
    ) -> Instrument | None:
        """Return the instrument whose data folder a file lies in, or None.

        Parameters
        ----------
        file
            A file or folder, there or not. A relative path starts at the current folder.
        root
            The folder that instruments' `filestore_path`s are relative to; by default what the
            environment variable `NX_INSTRUMENT_DATA_PATH` says.

        Notes
        -----
        Whole path components are compared, so `./Titan` does not match `./Titan2/a.dm3`. Of
        several matching folders the most specific wins. A leading slash of a `filestore_path`
        is ignored, as by NexusLIMS; an empty one, or one that leads out of the root, matches
        nothing.

        Raises
        ------
        StoreError
            No root is given, nor set in the environment.
        """
        top = data_root() if root is None else Path(root)
        root_parts, file_parts = _parts(top), _parts(file)
        best: object = None
        best_parts = root_parts
        # By the columns, not the models: an odd row is not in the way of the other instruments.
        for row in self.stored():
            relative = str(row["filestore_path"]).lstrip("/\\")
            parts = _parts(top / relative)
            if (
                len(parts) > len(best_parts)
                and parts[: len(root_parts)] == root_parts
                and parts == file_parts[: len(parts)]
            ):
                best, best_parts = row["instrument_pid"], parts
        return None if best is None else self.get(str(best))

    def activity(self) -> list[InstrumentActivity]:
        """Return how much each instrument was used, in the order of their PIDs."""
        return [
            InstrumentActivity(pid, sessions, _local_time(last_instant, timezone))
            for pid, sessions, last_instant, timezone in self._database.rows(_SQL.list_activity)
        ]

    def stored(self) -> list[dict[str, object]]:
        """Return all instruments as they are stored, by the names of the columns.

        For looking at, and mending, rows that are no valid `Instrument`.
        """
        return [
            dict(zip(_COLUMNS, row, strict=True))
            for row in self._database.rows(_SQL.list_instruments)
        ]

    def list(self) -> list[Instrument]:
        """Return all instruments in the order of their PIDs."""
        return _MAPPER.models(self._database.rows(_SQL.list_instruments))

    def as_dict(self) -> dict[str, Instrument]:
        """Return all instruments by PID, read anew with each call."""
        return {instrument.instrument_pid: instrument for instrument in self.list()}

    def add(self, instrument: Instrument) -> Instrument:
        """Store a new instrument and return it.

        Raises
        ------
        DuplicateError
            The PID or the `api_url` is another instrument's.
        """
        try:
            self._database.change(_SQL.add_instrument, instrument.model_dump())
        except ConstraintError as error:
            if self.get(instrument.instrument_pid) is not None:
                raise DuplicateError(
                    f"there is an instrument {instrument.instrument_pid!r} already; "
                    "`instruments.update()` changes it"
                ) from error
            self._raise_api_url_taken(instrument, error)
        return instrument

    def update(self, instrument: Instrument) -> Instrument:
        """Store new values for the instrument of this PID and return it.

        Raises
        ------
        UnknownInstrumentError
            No instrument has the PID.
        DuplicateError
            The `api_url` is another instrument's.
        """
        try:
            changed = self._database.change(_SQL.update_instrument, instrument.model_dump())
        except ConstraintError as error:
            self._raise_api_url_taken(instrument, error)
        if not changed:
            raise unknown_instrument(instrument.instrument_pid)
        return instrument

    def remove(self, pid: str) -> None:
        """Delete the instrument of a PID.

        Raises
        ------
        UnknownInstrumentError
            No instrument has the PID.
        InstrumentInUseError
            Session logs refer to it; the message says how many.
        """
        try:
            removed = self._database.change(_SQL.remove_instrument, {"instrument_pid": pid})
        except ConstraintError as error:
            ((count,),) = self._database.rows(
                _SQL.count_logs_of_instrument, {"instrument_pid": pid}
            )
            raise InstrumentInUseError(
                f"{count} session logs refer to the instrument {pid!r}, so it cannot be removed; "
                "delete those sessions first (`nexuslims-store sessions delete`)"
            ) from error
        if not removed:
            raise unknown_instrument(pid)

    def _raise_api_url_taken(self, instrument: Instrument, error: StoreError) -> NoReturn:
        other = self.get_by_api_url(instrument.api_url)
        if other is None:
            raise error
        raise DuplicateError(
            f"the api_url {instrument.api_url!r} is that of the instrument "
            f"{other.instrument_pid!r} already; each instrument needs its own"
        ) from error


def _parts(path: str | os.PathLike[str]) -> tuple[str, ...]:
    # abspath, not resolve(): mount points and links stay the names the facility uses.
    return Path(os.path.normcase(os.path.abspath(path))).parts


def _local_time(last_instant: int | None, timezone: str) -> datetime | None:
    if last_instant is None:
        return None
    try:
        time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=last_instant)
    except OverflowError:  # in the year 1 or 9999 of its own offset, not in that of UTC
        if last_instant < 0:
            return datetime.min.replace(tzinfo=UTC)
        return datetime.max.replace(tzinfo=UTC)
    try:
        return time.astimezone(zone(timezone))
    except (ValueError, OverflowError):  # a bad zone is the doctor's finding, not a reason to stop
        return time
