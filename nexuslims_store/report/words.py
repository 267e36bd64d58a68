"""What is stored, in words: statuses, spans of time, parts of a whole."""

from __future__ import annotations

from datetime import timedelta

from nexuslims_store.display import number, shown
from nexuslims_store.enums import RecordStatus
from nexuslims_store.report.blocks import Coded, Kind
from nexuslims_store.times import from_instant

# In the order in which they are stacked, from below: what is done, what is not, what went wrong.
KINDS = {
    code.value: Kind(words, code.value, colour)
    for code, words, colour in (
        (RecordStatus.COMPLETED, "record complete", "done"),
        (RecordStatus.NO_FILES_FOUND, "no files found", "files"),
        (RecordStatus.NO_CONSENT, "no consent", "consent"),
        (RecordStatus.NO_RESERVATION, "no reservation", "reservation"),
        (RecordStatus.WAITING_FOR_END, "not ended yet", "running"),
        (RecordStatus.TO_BE_BUILT, "to be built", "waiting"),
        (RecordStatus.BUILT_NOT_EXPORTED, "built, not exported", "unsent"),
        (RecordStatus.ERROR, "build failed", "failed"),
    )
}
ARRIVED = Kind("arrived", "", "done")
FAILED = Kind("failed", "", "failed")
USE = Kind("hours", "", "waiting")
RECORDS = Kind("records", "", "done")

_UNITS = (("day", 1440), ("h", 60), ("min", 1))


def kind(code: str) -> Kind:
    """Return what a stored status is in a chart."""
    # At the head a CHECK keeps other values out; a report must not fail on one all the same.
    return KINDS.get(code) or Kind(code, code, "other")


def status(code: str) -> Coded:
    """Return a stored status as a cell."""
    return Coded(kind(code).words, code)


def moment(microseconds: int | None, timezone: str | None = None) -> str:
    """Return an instant as people read it, in a time zone, UTC if there is none."""
    return shown(from_instant(microseconds, timezone or "UTC"))


def lasting(span: timedelta) -> str:
    """Return a span of time in its two largest units: "2 days 3 h", "45 min"."""
    left = round(span / timedelta(minutes=1))
    if left < 1:
        return "less than 1 min"
    parts = []
    for unit, minutes in _UNITS:
        count, left = divmod(left, minutes)
        if count:
            parts.append(number(count, unit) if unit == "day" else f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def hours(span: timedelta) -> str:
    """Return a span of time in hours."""
    return f"{span / timedelta(hours=1):,.1f}"


def share(part: int, whole: int) -> str:
    """Return a part of a whole in per cent."""
    return f"{100 * part / whole:.0f} %" if whole else "-"
