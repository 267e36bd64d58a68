"""The instruments of the facility."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path

from nexuslims_store import queries
from nexuslims_store.arguments import as_path, require_type, require_valid, valid_items
from nexuslims_store.config import data_root
from nexuslims_store.database import Row
from nexuslims_store.display import number, quoted
from nexuslims_store.errors import DuplicateError, InstrumentInUseError, UnknownInstrumentError
from nexuslims_store.models import Instrument, column_of
from nexuslims_store.repository.base import Repository
from nexuslims_store.repository.batches import SET_ASIDE, find_clash, given_to_both
from nexuslims_store.repository.rows import RowMapper
from nexuslims_store.repository.views import with_views
from nexuslims_store.results import InsertSummary, InstrumentActivity
from nexuslims_store.times import from_instant
from nexuslims_store.translation import ConstraintError

_SQL = queries.load("instruments.sql")
_COLUMNS = tuple(map(column_of, Instrument.model_fields))
_MAPPER = RowMapper(Instrument, table="instruments", key="instrument_pid")


def unknown_instrument(pid: str) -> UnknownInstrumentError:
    """Return the error for a PID that no instrument has."""
    return UnknownInstrumentError(
        f"no instrument has the PID {pid!r}",
        call="store.instruments.list() returns those there are, store.instruments.add() adds one",
        command="`nexuslims-store instruments list` shows those there are, `instruments add` adds "
        "one",
    )


@lru_cache(maxsize=1024)
def _instrument(row: Row) -> Instrument:
    # The row is read each time; that the same values make the same frozen model need not be
    # found out again, which takes three times as long as reading them.
    return _MAPPER.models([row])[0]


class InstrumentRepository(Repository):
    """`store.instruments`: the rows of `instruments`. Each call reads what is stored now.

    Examples
    --------
    >>> titan, quanta = make_instrument("Titan"), make_instrument("Quanta")
    >>> with make_store(titan) as store:
    ...     store.instruments.add(quanta).name
    ...     store.instruments.store_many([titan, quanta])
    ...     store.instruments.get("Titan") == store.instruments.get_by_api_url(titan.api_url)
    ...     store.instruments.find_by_path("/srv/Titan/2025/a.dm3", root="/srv").name
    ...     store.instruments.update(titan.model_copy(update={"location": "Room 2"})).location
    ...     store.instruments.rename("Titan", "Titan-2")  # how many session logs went with it
    ...     [instrument.name for instrument in store.instruments.list()]
    ...     sorted(store.instruments.as_dict())
    ...     [row["location"] for row in store.instruments.stored()]
    ...     [used.sessions_total for used in store.instruments.activity()]
    ...     store.instruments.remove("Quanta")
    'Quanta'
    InsertSummary(inserted=0, updated=0, unchanged=2)
    True
    'Titan'
    'Room 2'
    0
    ['Quanta', 'Titan-2']
    ['Quanta', 'Titan-2']
    ['Building 217, Room F101', 'Room 2']
    [0, 0]
    """

    _holds = "instruments"

    def get(self, pid: str) -> Instrument | None:
        """Return the instrument of a PID, or None.

        Raises
        ------
        InvalidRowError
            The stored row is not a valid instrument (as with every method that returns rows).
        """
        row = self._row(pid)
        return None if row is None else _instrument(row)

    def get_by_api_url(self, url: str) -> Instrument | None:
        """Return the instrument whose `api_url` is exactly this one, or None."""
        require_type("url", url, str)
        rows = self._database.rows(_SQL.get_instrument_by_api_url, {"api_url": url})
        return _instrument(rows[0]) if rows else None

    def find_by_path(
        self, file: str | os.PathLike[str], root: str | os.PathLike[str] | None = None
    ) -> Instrument | None:
        """Return the instrument whose data folder a file lies in, or None.

        Parameters
        ----------
        file
            A file or folder, there or not. A relative path starts at the current folder.
        root
            The folder that instruments' `filestore_path`s are relative to; by default what
            `NX_INSTRUMENT_DATA_PATH` says, in the environment or else in `.env` of the working
            directory.

        Notes
        -----
        Whole path components are compared, so `./Titan` does not match `./Titan2/a.dm3`. Of
        several matching folders the most specific wins. A leading slash of a `filestore_path`
        is ignored, as by NexusLIMS; an empty one, or one that leads out of the root, matches
        nothing.

        Raises
        ------
        StoreError
            No root is given, nor set.
        """
        file_parts = _parts(as_path("file", file))
        top = data_root() if root is None else as_path("root", root)
        root_parts = _parts(top)
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
            InstrumentActivity(pid, sessions, from_instant(last_instant, timezone))
            for pid, sessions, last_instant, timezone in with_views(self._database).rows(
                _SQL.list_activity
            )
        ]

    def stored(self) -> list[dict[str, object]]:
        """Return all instruments as they are stored, by the names of the columns.

        For looking at, and mending, rows that are no valid `Instrument`.
        """
        rows = self._database.rows(_SQL.list_instruments)
        return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]

    def list(self) -> list[Instrument]:
        """Return all instruments in the order of their PIDs."""
        return _MAPPER.models(self._database.rows(_SQL.list_instruments))

    def as_dict(self) -> dict[str, Instrument]:
        """Return all instruments by PID, read anew with each call."""
        return {row[0]: _instrument(row) for row in self._database.rows(_SQL.list_instruments)}

    def add(self, instrument: Instrument) -> Instrument:
        """Store a new instrument and return it.

        Raises
        ------
        DuplicateError
            The PID or the `api_url` is another instrument's.
        """
        instrument = require_valid("instrument", instrument, Instrument)
        try:
            self._database.change(_SQL.add_instrument, instrument.to_dict())
        except ConstraintError as error:
            if self._row(instrument.instrument_pid) is not None:
                raise _pid_taken(instrument.instrument_pid) from error
            raise self._url_taken(instrument, error) from error
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
        instrument = require_valid("instrument", instrument, Instrument)
        try:
            changed = self._database.change(_SQL.update_instrument, instrument.to_dict())
        except ConstraintError as error:
            raise self._url_taken(instrument, error) from error
        if not changed:
            raise unknown_instrument(instrument.instrument_pid)
        return instrument

    def store_many(self, instruments: Iterable[Instrument]) -> InsertSummary:
        """Add those that are not there and update the others, all or none, in one transaction.

        They are judged as a whole: two that exchange their `api_url`s are no conflict, in
        whatever order they come. Instruments that are not given stay as they are.

        Returns
        -------
        InsertSummary
            How many instruments were added, changed, and there already as they are given.

        Raises
        ------
        DuplicateError
            Two have one PID or `api_url`, or one that of another not given. Nothing is stored.
        """
        given: dict[str, Instrument] = {}
        for instrument in valid_items("instruments", instruments, Instrument):
            if given.setdefault(instrument.instrument_pid, instrument) != instrument:
                raise DuplicateError(
                    f"the instrument {instrument.instrument_pid!r} is given twice, with different "
                    "values; leave one out"
                )
        with self._database.transaction():
            stored = {row[0]: row for row in self._database.rows(_SQL.list_instruments)}
            clash = find_clash(
                {pid: instrument.api_url for pid, instrument in given.items()},
                {row[1]: pid for pid, row in stored.items()},
            )
            if clash is not None:
                raise _api_url_clash(*clash, given)
            rows = [instrument.to_dict() for instrument in given.values()]
            new = [row for row in rows if row["instrument_pid"] not in stored]
            changed = [
                row
                for row in rows
                if (old := stored.get(row["instrument_pid"])) and old != tuple(row.values())
            ]
            self._database.change_many(
                _SQL.set_api_url_aside,
                [
                    {"instrument_pid": row["instrument_pid"], "set_aside": SET_ASIDE}
                    for row in changed
                    if stored[row["instrument_pid"]][1] != row["api_url"]
                ],
            )
            self._database.change_many(_SQL.update_instrument, changed)
            self._database.change_many(_SQL.add_instrument, new)
        return InsertSummary(len(new), len(changed), len(rows) - len(new) - len(changed))

    def rename(self, pid: str, new_pid: str) -> int:
        """Give an instrument another PID, together with its session logs, in one transaction.

        Returns
        -------
        int
            How many session logs went with it.

        Raises
        ------
        UnknownInstrumentError
            No instrument has the PID.
        DuplicateError
            Another instrument has the new one.
        InstrumentInUseError
            Rows of the facility's own refer to it, and would not follow (ON UPDATE CASCADE).
        pydantic.ValidationError
            The new one cannot be a PID.
        """
        require_type("pid", pid, str)
        require_type("new_pid", new_pid, str)
        _require_pid(new_pid)
        try:
            return self._renamed({"instrument_pid": pid, "new_pid": new_pid})
        except ConstraintError as error:
            if error.foreign_key:  # as PostgreSQL reports what `_renamed` looks for on SQLite
                raise _in_use(pid, f"rows of another table ({error})") from error
            if self._row(new_pid) is None:  # an index of the facility's own refused it
                raise
            raise DuplicateError(
                f"{pid!r} is not renamed: there is an instrument {new_pid!r} already; choose "
                "another PID"
            ) from error

    def remove(self, pid: str) -> None:
        """Delete the instrument of a PID.

        Raises
        ------
        UnknownInstrumentError
            No instrument has the PID.
        InstrumentInUseError
            So many session logs, or own rows, refer to it, even if ON DELETE would mend that.
        """
        require_type("pid", pid, str)
        names = {"instrument_pid": pid}
        with self._database.transaction():
            own = self._own_rows(pid, but=pid)
            cause: ConstraintError | None = None
            try:
                if not own and self._database.change(_SQL.remove_instrument, names):
                    return
            except ConstraintError as error:
                cause = error
            if self._row(pid) is None:
                raise unknown_instrument(pid)
            ((logs,),) = self._database.rows(_SQL.count_logs_of_instrument, names)
            rows = ", ".join(filter(None, (logs and number(logs, "session log"), own)))
            raise InstrumentInUseError(
                f"{rows or 'other rows'} refer to the instrument {pid!r}, so it is not removed: it "
                "is part of their history",
                call="leave it, or change it with store.instruments.update() or .rename()",
                command="leave it, or change it with `nexuslims-store instruments update` or "
                "`instruments rename`",
            ) from cause

    def _own_rows(self, pid: str, *, but: str | None = None, if_renamed: bool = False) -> str:
        """Say how many rows of own tables refer to an instrument, `but` one, or stay behind."""
        counts: dict[str, int] = {}
        for table, counting, stays in self._database.rows(_SQL.list_own_references_to_instruments):
            if stays or not if_renamed:
                ((count,),) = self._database.rows(counting, {"instrument_pid": pid, "but": but})
                counts[table] = counts.get(table, 0) + count
        return ", ".join(
            f"{number(count, 'row')} of {table!r}" for table, count in counts.items() if count
        )

    def _renamed(self, names: dict[str, str]) -> int:
        pid = names["instrument_pid"]
        with self._database.transaction(), self._database.deferred_foreign_keys():
            dangling = self._dangling()
            referring = self._own_rows(pid, if_renamed=True)
            if referring and pid != names["new_pid"]:
                raise _in_use(pid, referring)
            if not self._database.change(_SQL.rename_instrument, names):
                raise unknown_instrument(pid)
            logs = self._database.change(_SQL.rename_instrument_of_logs, names)
            # Nobody else looks at those that were deferred, once they are so no more.
            if more := sorted({row[0] for row in self._dangling() - dangling}):
                raise _in_use(pid, f"rows of the table {more[0]!r}")
            return logs

    def _dangling(self) -> set[Row]:
        """Return the rows of a facility's own that refer to what is not there."""
        found: set[Row] = set()
        for (table,) in self._database.rows(_SQL.list_own_tables_of_instruments):
            found.update(self._database.rows(f'PRAGMA foreign_key_check("{table}")'))
        return found

    def _row(self, pid: str) -> Row | None:
        require_type("pid", pid, str)
        rows = self._database.rows(_SQL.get_instrument, {"instrument_pid": pid})
        return rows[0] if rows else None

    def _url_taken(self, instrument: Instrument, error: ConstraintError) -> Exception:
        """Return the error for an `api_url` that another has, or what else it was."""
        rows = self._database.rows(_SQL.get_instrument_by_api_url, {"api_url": instrument.api_url})
        if not rows:
            return error
        return _api_url_clash(instrument.instrument_pid, instrument.api_url, rows[0][0])


def _require_pid(pid: str) -> None:
    """Raise the model's own error for what cannot be a PID.

    With any other values: the stored row, which is to have it, may be one that no model takes.
    """
    others = ("calendar_url", "location", "display_name", "property_tag", "filestore_path")
    Instrument(instrument_pid=pid, api_url="http://any", **dict.fromkeys(others, ""))


def _pid_taken(pid: str) -> DuplicateError:
    return DuplicateError(
        f"there is an instrument {pid!r} already",
        call="store.instruments.update() changes it",
        command="`nexuslims-store instruments update` changes it",
    )


def _in_use(pid: str, rows: str) -> InstrumentInUseError:
    return InstrumentInUseError(
        f"the instrument {pid!r} is not renamed: {rows} would refer to it no more; let them follow "
        "by ON UPDATE CASCADE, or refer to another instrument meanwhile"
    )


def _api_url_clash(pid: str, url: str, other: str, given: Collection[str] = ()) -> DuplicateError:
    if other in given:
        return given_to_both(pid, url, other, "api_url")
    return DuplicateError(
        f"the instrument {pid!r} cannot have the api_url {url!r}, which is that of the "
        f"instrument {quoted(other)} already; each needs its own",
        call="if it is the same instrument, store.instruments.rename() it first",
        command="if it is the same instrument, rename it first: `nexuslims-store instruments "
        "rename OLD NEW`",
    )


def _parts(path: Path) -> tuple[str, ...]:
    # abspath, not resolve(): mount points and links stay the names the facility uses.
    return Path(os.path.normcase(os.path.abspath(path))).parts
