"""A time zone with the ways of pytz, which NexusLIMS takes its zones from."""

from __future__ import annotations

from datetime import UTC, datetime
from types import NoneType
from zoneinfo import ZoneInfo

from nexuslims_store import times
from nexuslims_store.arguments import require_type


class InstrumentTimezone(ZoneInfo):
    """A `zoneinfo.ZoneInfo` that has pytz's methods too, which NexusLIMS's extractors call."""

    @property
    def zone(self) -> str:
        """The name, for example "America/New_York"."""
        return self.key

    def localize(self, dt: datetime, is_dst: bool | None = False) -> datetime:  # noqa: FBT001, FBT002
        """Return a naive time as a time in this zone.

        Parameters
        ----------
        dt
            The time that the clocks here show; its `fold` is not looked at.
        is_dst
            Which one is meant in the hour that the end of summer time repeats, and by which
            offset a time is read that the clocks skip: True for summer time, False for winter
            time, None to refuse both.

        Raises
        ------
        ValueError
            `dt` is aware already, or `is_dst` is None and the time is there twice or never.
        """
        require_type("dt", dt, datetime)
        require_type("is_dst", is_dst, (bool, NoneType))
        if dt.tzinfo is not None:
            raise ValueError(f"the time {dt.isoformat()} has a time zone already")
        one, other = (dt.replace(tzinfo=self, fold=fold) for fold in (0, 1))
        if one.utcoffset() == other.utcoffset():
            return one
        if is_dst is None:
            raise ValueError(
                f"the clocks of {self.key} show {dt.isoformat(' ')} twice or never; is_dst says "
                "which time is meant"
            )
        # By the offset of summer time a time is the earlier one.
        return (min if is_dst else max)(one, other, key=times.instant)

    def normalize(self, dt: datetime) -> datetime:
        """Return an aware time as a time in this zone that the clocks here do show."""
        require_type("dt", dt, datetime)
        if dt.tzinfo is None:
            raise ValueError(f"the time {dt.isoformat()} has no time zone")
        return dt.astimezone(UTC).astimezone(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, InstrumentTimezone):
            return self.key == other.key
        return times.zone(self.key) == other

    def __hash__(self) -> int:
        return hash(times.zone(self.key))
