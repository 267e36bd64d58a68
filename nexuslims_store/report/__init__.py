"""A report as one HTML page that needs no network, no script and no other file.

::

    from nexuslims_store import Store, report

    with Store(read_only=True) as store:
        page = report.render(store, datetime.now(timezone.utc))
"""

from __future__ import annotations

from datetime import datetime

from nexuslims_store.report import figures, page
from nexuslims_store.store import Store

__all__ = ["WEEKS", "render"]

WEEKS = 13
"""How many weeks a report covers: a quarter of a year."""


def render(store: Store, now: datetime, *, weeks: int = WEEKS) -> str:
    """Return the report of a database as HTML.

    Parameters
    ----------
    store
        The database; nothing is written to it.
    now
        The present time, aware. The report covers the week it is in and those before.
    weeks
        How many weeks it covers in all.
    """
    if weeks < 1:
        raise ValueError("a report covers one week or more")
    return page.write(figures.read(store, now, weeks), store)
