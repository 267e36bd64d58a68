"""At what revision a file is: what its version row says, and whether its tables agree.

Opening a store and every migration begin here. All is decided from one look at the file's
catalogue; nothing is written, and no table of another program is read.
"""

from __future__ import annotations

from nexuslims_store.recognition.catalogue import Catalogue, look
from nexuslims_store.recognition.judging import (
    State,
    check_head,
    judge,
    recognise,
    refuse_foreign,
    refuse_other_files,
)
from nexuslims_store.recognition.server import check_head_of_server

__all__ = [
    "Catalogue",
    "State",
    "check_head",
    "check_head_of_server",
    "judge",
    "look",
    "recognise",
    "refuse_foreign",
    "refuse_other_files",
]
