"""A report for people who look rather than read: what needs them, then what happened.

::

    from nexuslims_store import Store, report

    with Store(read_only=True) as store:
        page = report.render(store, datetime.now(timezone.utc))
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nexuslims_store.report import figures, page, plain
from nexuslims_store.report.content import compose
from nexuslims_store.report.periods import MOST_WEEKS
from nexuslims_store.store import Store

__all__ = ["MOST_WEEKS", "TITLE", "WEEKS", "render"]

WEEKS = 13
"""How many weeks a report covers: a quarter of a year."""

TITLE = "Sessions and records"


def render(
    store: Store,
    now: datetime,
    *,
    weeks: int = WEEKS,
    title: str = TITLE,
    text: bool = False,
    advice: Callable[[str], str] = str,
) -> str:
    """Return the report of a database.

    Parameters
    ----------
    store
        The database; nothing is written to it. It is read in parts, so that nobody who writes
        waits long: the report is of no single moment.
    now
        The present time, aware. The report covers the week it is in and those before.
    weeks
        How many weeks it covers in all, `MOST_WEEKS` at most.
    title
        Its heading.
    text
        Whether it is for the body of a mail, at most 100 columns wide, rather than one HTML page
        that needs no network, no script and no other file.
    advice
        Makes of a sentence with commands in backticks one whose commands work on this database.

    Raises
    ------
    ValueError
        Too few or too many weeks.
    """
    if not 1 <= weeks <= MOST_WEEKS:
        raise ValueError(f"a report covers 1 to {MOST_WEEKS} weeks, not {weeks}")
    found = figures.read(store, now, weeks)
    name = store.path.name if store.path else store.url
    document = compose(found, title=title, database=f"{name}, {store.revision}", advice=advice)
    return plain.write(document) if text else page.write(document)
