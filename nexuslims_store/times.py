"""Time stamps: the ISO 8601 texts in the database, datetimes, and instants to order them by.

NexusLIMS stores `datetime.isoformat()` text. Rows of different years hold it in different
shapes: with an offset, with `Z`, or naive (then it is the local time of the instrument), with
`T` or a space. As text they do not sort by time; as instants they do.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

__all__ = ["aware", "instant", "stored_instant", "utc_now", "zone"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def utc_now() -> datetime:
    """Return the present time in UTC. The clock of every store that is not given another."""
    return datetime.now(UTC)


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo:
    """Return the time zone of an IANA name, for example "America/New_York".

    Raises
    ------
    ValueError
        There is no such time zone in the system's or in tzdata's data.
    """
    from zoneinfo import ZoneInfo  # noqa: PLC0415 -- most programs open a store without it

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError, TypeError) as error:
        # A bad name is any of these: a folder in the data, a path outside of it, no file at all,
        # a BLOB in place of a name.
        raise ValueError(f"{name!r} is no IANA time zone") from error


def aware(time: datetime, naive_zone: tzinfo) -> datetime:
    """Return `time` with an offset: as it is, or, if naive, as local time of `naive_zone`."""
    return time.replace(tzinfo=naive_zone) if time.utcoffset() is None else time


def instant(time: datetime) -> int:
    """Return an aware time as whole microseconds since 1970-01-01 UTC."""
    # Not time.timestamp(): a float cannot tell microseconds apart in far years.
    return (time - _EPOCH) // _MICROSECOND


def stored_instant(stored: Any, timezone: Any) -> int | None:
    """Return the instant of a stored time stamp, None where there is none to be read.

    It is the SQL function `nxs_instant(timestamp, timezone)` of every connection.

    Parameters
    ----------
    stored
        The column's value; a BLOB is taken as UTF-8, so that SQL can hand over even text that
        is not valid UTF-8 (`CAST(timestamp AS BLOB)`).
    timezone
        IANA name of the zone of a naive time stamp. Not looked at for an aware one.

    Returns
    -------
    int or None
        Whole microseconds since 1970-01-01 UTC.
    """
    try:
        text = stored.decode() if isinstance(stored, bytes) else stored
        time = datetime.fromisoformat(text)
        if time.utcoffset() is None:
            time = time.replace(tzinfo=zone(timezone))
        return instant(time)
    except (ValueError, TypeError, OverflowError):
        return None
