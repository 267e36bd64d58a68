"""Time stamps: the ISO 8601 texts in the database, datetimes, and instants to order them by.

NexusLIMS stores `datetime.isoformat()` text. Rows of different years hold it in different
shapes: with an offset, with `Z`, or naive (then it is the local time of the instrument), with
`T` or a space. As text they do not sort by time; as instants they do.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from threading import get_ident
from typing import TYPE_CHECKING, Any

from nexuslims_store.arguments import require_function, require_type
from nexuslims_store.errors import InvalidValueError, StoreError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WEEK = 7 * 86_400_000_000  # in microseconds


LONGEST_TIMEOUT = 2_000_000.0
"""In seconds, three weeks. More milliseconds than SQLite can count would be no timeout at all."""


def checked_timeout(timeout: float) -> float:
    """Return how many seconds to wait for a lock; infinity is the longest there is.

    Raises
    ------
    TypeError
        It is no number.
    InvalidValueError
        It is negative, or NaN.
    """
    require_type("timeout", timeout, (int, float))
    if not timeout >= 0:
        raise InvalidValueError(f"timeout is {timeout!r}: give the seconds to wait, 0 or more")
    return float(min(timeout, LONGEST_TIMEOUT))


def utc_now() -> datetime:
    """Return the present time in UTC. The clock of every store that is not given another."""
    return datetime.now(UTC)


def checked_clock(clock: Callable[[], datetime]) -> Callable[[], datetime]:
    """Return a clock that raises where `clock` returns anything but an aware time.

    Raises
    ------
    TypeError
        It is no function; or, when it is asked, the answer is no datetime.
    InvalidValueError
        When it is asked: the answer is naive.
    """
    require_function("clock", clock)

    def checked() -> datetime:
        time = clock()
        require_type("what clock returns", time, datetime)
        if time.utcoffset() is None:
            raise InvalidValueError(
                f"clock returned {time!r}, which says of no zone: return an aware time, such as "
                "datetime.now(UTC)"
            )
        return time

    return clock if clock is utc_now else checked


# Zones of the data that mean another place on each computer, or none, or count leap seconds.
_NO_PLACES = {"factory", "localtime", "posixrules"}
_NO_FOLDERS = ("posix/", "right/")


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name, for example "America/New_York".

    As for `pytz.timezone()`, by which NexusLIMS reads them, "america/new_york" is that zone too.

    Raises
    ------
    ValueError
        There is no such time zone in the system's or in tzdata's data, or it is none of a place:
        `localtime`, for one, is another on each computer.
    StoreError
        This computer has no time zone data at all.
    """
    from zoneinfo import ZoneInfo  # noqa: PLC0415 -- most programs open a store without it

    try:
        if name.lower() in _NO_PLACES or name.lower().startswith(_NO_FOLDERS):
            raise ValueError("a zone of no place")
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        # A bad name is any of these: a folder in the data, a path outside of it, no file at all,
        # a BLOB in place of a name.
        require_zone_data()
        # ASCII alone: other letters have small forms among these too.
        lower = str(name).lower() if str(name).isascii() else ""
        known = _names_by_lower_case().get(lower, name)
        if known != name and lower not in _NO_PLACES:
            return ZoneInfo(known)
        raise ValueError(
            f"{name!r} is no IANA time zone; one is named like America/New_York"
        ) from error


@cache
def _names_by_lower_case() -> dict[str, str]:
    from zoneinfo import available_timezones  # noqa: PLC0415

    return {name.lower(): name for name in available_timezones()}


def require_zone_data() -> None:
    """Raise the StoreError that says so if this computer has no time zone data at all."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    try:
        ZoneInfo("UTC")
    except LookupError as error:
        raise StoreError(
            "this computer has no time zone data, so local times have no meaning here; install "
            "it with `pip install tzdata`. Nothing is wrong with the database"
        ) from error


def aware(time: datetime, naive_zone: tzinfo) -> datetime:
    """Return `time` with an offset: as it is, or, if naive, as local time of `naive_zone`."""
    return time.replace(tzinfo=naive_zone) if time.utcoffset() is None else time


def aware_end(end: datetime, start: int | None, naive_zone: tzinfo) -> datetime:
    """Return the END of a session with an offset, as `aware` does, but never before its START.

    In the hour that the end of summer time repeats, a naive END is the first of the two unless
    that is before `start`, the instant of the START.
    """
    first = aware(end, naive_zone)
    if first is end or start is None or instant(first) >= start:
        return first
    second = first.replace(fold=1)
    # Where no hour is repeated they are the same, or, in a gap, the second is the earlier.
    return second if instant(second) > instant(first) else first


def instant(time: datetime) -> int:
    """Return an aware time as whole microseconds since 1970-01-01 UTC."""
    # Not time.timestamp(): a float cannot tell microseconds apart in far years.
    return (time - _EPOCH) // _MICROSECOND


def from_instant(microseconds: int | None, timezone: str) -> datetime | None:
    """Return what `instant` returns as a time in a zone; in UTC where there is no such zone."""
    if microseconds is None:
        return None
    try:
        time = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:  # in the year 1 or 9999 of its own offset, not in that of UTC
        if microseconds < 0:
            return datetime.min.replace(tzinfo=UTC)
        return datetime.max.replace(tzinfo=UTC)
    try:
        return time.astimezone(zone(timezone))
    except (ValueError, OverflowError):  # a bad zone is the doctor's finding, not a reason to stop
        return time


def day_before(microseconds: int) -> str:
    """Return a date, as text, that sorts before every stored text of an instant or a later one.

    In each form a time begins with its year, and those of one year that are not YYYY-MM-DD sort
    behind those that are. An offset is shorter than a day, and ISO's weeks name another year for
    three days at most: the date of a week before will do.
    """
    return str(from_instant(microseconds - _WEEK, "UTC"))[: len("2025-01-13")]


def _text(stored: Any) -> Any:
    return stored.decode() if isinstance(stored, bytes) else stored


raised_in_sql: dict[int, BaseException] = {}
"""What `stored_instant` raised last in a thread: whoever ran the statement raises it again."""


def stored_instant(stored: Any, timezone: Any, start: Any = None) -> int | None:
    """Return the instant of a stored time stamp, None where there is none to be read.

    It is the SQL function `nxs_instant(timestamp, timezone[, start])` of every connection.

    Parameters
    ----------
    stored
        The column's value; a BLOB is taken as UTF-8, so that SQL can hand over even text that
        is not valid UTF-8 (`CAST(timestamp AS BLOB)`).
    timezone
        IANA name of the zone of a naive time stamp, as text or, likewise, as a BLOB. Not looked
        at for an aware one.
    start
        For an END, the time stamp of its START, in the same form: see `aware_end`.

    Returns
    -------
    int or None
        Whole microseconds since 1970-01-01 UTC.
    """
    try:
        time = datetime.fromisoformat(_text(stored))
        if time.utcoffset() is None:
            began = None if start is None else stored_instant(start, timezone)
            time = aware_end(time, began, zone(_text(timezone)))
        return instant(time)
    except (ValueError, TypeError, OverflowError):
        return None
    except BaseException as error:
        # sqlite3 drops what a function of SQL raises, Ctrl-C included.
        raised_in_sql[get_ident()] = error
        raise
