"""What the Tab key offers, for shells that ask by argcomplete: an optional extra."""

from __future__ import annotations

import os

from nexuslims_store.cli.parser import build_parser


def complete() -> int:
    """Answer a shell that has set `_ARGCOMPLETE`; without argcomplete, with nothing."""
    try:
        import argcomplete  # noqa: PLC0415 -- only a shell asks for it, and it may not be there
    except ImportError:
        return 1
    # Only the commands that are named so far are imported, with all their options.
    words = os.environ.get("COMP_LINE", "").split()
    argcomplete.autocomplete(build_parser(words))
    return 1
