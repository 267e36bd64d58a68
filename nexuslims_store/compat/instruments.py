"""What `nexusLIMS.instruments` has."""

from __future__ import annotations

import logging
import os
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from types import NoneType
from urllib.parse import unquote, urlsplit

from nexuslims_store.arguments import as_path, require_type
from nexuslims_store.compat.models import Instrument
from nexuslims_store.config import data_root, default_path
from nexuslims_store.errors import DatabaseNotFoundError, StoreError
from nexuslims_store.store import Store

_logger = logging.getLogger("nexuslims_store")


class _InstrumentDb(Mapping[str, Instrument]):
    """All instruments by PID, as they are in the database at the time of asking."""

    def copy(self) -> dict[str, Instrument]:
        """Return all instruments by PID, read at once; it does not follow later changes."""
        with Store() as store:
            return {
                instrument.instrument_pid: Instrument._of(instrument)
                for instrument in store.instruments.list()
            }

    def items(self) -> ItemsView[str, Instrument]:
        return self.copy().items()

    def values(self) -> ValuesView[Instrument]:
        return self.copy().values()

    def __getitem__(self, pid: str) -> Instrument:
        with Store() as store:
            found = store.instruments.get(pid)
        if found is None:
            raise KeyError(pid)
        return Instrument._of(found)

    def __iter__(self) -> Iterator[str]:
        return iter(self.copy())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self.copy())

    def __len__(self) -> int:
        return len(self.copy())

    def __or__(self, other: Mapping[str, Instrument]) -> dict[str, Instrument]:
        return self.copy() | dict(other)

    def __repr__(self) -> str:
        return repr(self.copy())


instrument_db = _InstrumentDb()


def _ensure_instrument_db_loaded() -> None:
    """Do nothing. NexusLIMS reads its instruments here; `instrument_db` reads them when asked."""


def get_instr_from_filepath(path: str | os.PathLike[str]) -> Instrument | None:
    """Return the instrument whose data folder a file lies in, or None.

    The folders are relative to the environment variable `NX_INSTRUMENT_DATA_PATH`. Where that
    or the database is missing, as on a computer on which a file is only looked at, it is None
    too, with a warning.
    """
    file = as_path("path", path)
    try:
        root = data_root()
        default_path()
    except StoreError as error:
        _logger.warning("no instrument is looked for: %s", error)
        return None
    try:
        store = Store()
    except DatabaseNotFoundError as error:
        _logger.warning("no instrument is looked for: %s", error)
        return None
    with store:
        found = store.instruments.find_by_path(file, root)
    return None if found is None else Instrument._of(found)


def get_instr_from_calendar_name(cal_name: str | None) -> Instrument | None:
    """Return the instrument of a calendar, or None.

    Parameters
    ----------
    cal_name
        The last part of the path of the instrument's `calendar_url`, for example
        "FEITitanTEMEvents". Otherwise a part of its `api_url`, if it is of no other's, for
        example "id=10".
    """
    require_type("cal_name", cal_name, (str, NoneType))
    if not cal_name:
        return None
    instruments = instrument_db.copy().values()
    of_calendar = [found for found in instruments if _calendar_name(found) == cal_name]
    of_api_url = [found for found in instruments if cal_name in found.api_url]
    for matches in (of_calendar, of_api_url):
        if len(matches) == 1:
            return matches[0]
    return None


def _calendar_name(instrument: Instrument) -> str:
    path = urlsplit(instrument.calendar_url).path
    return unquote(path.rstrip("/").rpartition("/")[2])


def get_instr_from_api_url(api_url: str) -> Instrument | None:
    """Return the instrument whose `api_url` is exactly this one, or None."""
    require_type("api_url", api_url, str)
    with Store() as store:
        found = store.instruments.get_by_api_url(api_url)
    return None if found is None else Instrument._of(found)
