"""The overview in Prometheus's text format, for the text file collector of a node exporter."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from nexuslims_store.display import cut, printable, shown
from nexuslims_store.enums import RecordStatus
from nexuslims_store.overview import Overview

# A name without its prefix, its help, and its samples: a label or none, and a value.
Metric = tuple[str, str, list[tuple[str, float]]]


def text(found: Overview, needs: int) -> str:
    """Return the metrics of a database, in which so many things need a person.

    What is not known, or not there yet, is left out.
    """
    lines = []
    for name, words, samples in _metrics(found, needs):
        if samples:
            lines += [f"# HELP nexuslims_{name} {words}", f"# TYPE nexuslims_{name} gauge"]
            lines += [f"nexuslims_{name}{label} {value!r}" for label, value in samples]
    return "".join(f"{line}\n" for line in lines)


def _metrics(found: Overview, needs: int) -> Iterator[Metric]:
    work = found.work
    oldest = work.oldest_to_build
    yield _one("needs_a_person", "Things that need a person.", needs)
    yield _one("up_to_date", "Whether the schema is up to date.", int(not found.pending))
    yield _one("database_size_bytes", "Size of the database.", found.size)
    counts = {**{status.value: 0 for status in RecordStatus}, **work.sessions}
    yield "sessions", "Sessions by the status of their record.", _labelled("status", counts)
    yield (
        "failed_uploads",
        "Sessions whose latest upload failed, by destination.",
        _labelled("destination", work.failed_uploads or {}),
    )
    if work.unpaired is not None:
        yield _one("unpaired_sessions", "Sessions without a usable pair.", len(work.unpaired))
    yield _one("builds_in_progress", "Builds that are going on.", len(work.builds))
    yield _one("stale_builds", "Builds that began and never ended.", len(work.stale_builds))
    yield _time(
        "oldest_pending_timestamp_seconds",
        "When the oldest session to build ended.",
        None if oldest is None else oldest.end,
    )
    yield _time("last_build_timestamp_seconds", "When a build last began.", work.last_build)
    yield _time(
        "newest_backup_timestamp_seconds",
        "When the newest backup was made.",
        found.newest_backup and found.newest_backup[1],
    )


def _one(name: str, words: str, value: float) -> Metric:
    return name, words, [("", value)]


def _time(name: str, words: str, time: datetime | str | None) -> Metric:
    known = isinstance(time, datetime) and time.utcoffset() is not None
    return name, words, [("", time.timestamp())] if known else []  # type: ignore[union-attr]


def _labelled(label: str, values: dict[str, int]) -> list[tuple[str, float]]:
    return [(f'{{{label}="{_escaped(name)}"}}', count) for name, count in values.items()]


def _escaped(name: str) -> str:
    """Return a stored name as the value of a label; an ESC in it acts upon no terminal."""
    text = cut(printable(shown(name), keep_lines=True))
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
