"""Records from a file, as JSON or CSV: what `export` and `list --csv` write, also after Excel."""

from __future__ import annotations

import csv
import io
import json
import stat
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from nexuslims_store import strict_json
from nexuslims_store.cli.options import path_or_standard_output
from nexuslims_store.errors import StoreError

_OPEN_ALREADY = {Path("/dev/stdin"), Path("/dev/fd"), Path("/proc/self/fd")}
_SEPARATORS = ",;\t"

Record = dict[str, Any]


def read_records(
    name: str, *, columns: Collection[str], optional: Collection[str], command: str
) -> list[Record]:
    """Return the records of a file, or of standard input for `-`.

    It is UTF-8 with or without a byte order mark, or UTF-16 as PowerShell writes it. The head of
    CSV may have the `columns`; of those that are `optional`, empty cells are left out. Messages
    name the `command` that writes such a file.

    Raises
    ------
    StoreError
        It cannot be read, or is neither; the message says where.
    """
    text = _text(name)
    if text.lstrip()[:1] in {"[", "{"}:
        return _from_json(text, name, command)
    rows = _from_csv(text, name, columns, command)
    return [
        {column: cell for column, cell in row.items() if cell or column not in optional}
        for row in rows
    ]


def _text(name: str) -> str:
    path = path_or_standard_output(name)
    try:
        if path is not None and not _ends(path):
            raise StoreError(
                f"{name} is a pipe or a device, which may have no end, and was not opened; name a "
                "file, or - for standard input"
            )
        content = sys.stdin.buffer.read() if path is None else path.read_bytes()
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as error:
        raise StoreError(
            f"{name} is neither UTF-8 nor UTF-16 ({error.reason}); save it as UTF-8 (in Excel: "
            '"CSV UTF-8")'
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{name} cannot be read: {reason}; check the path") from error


def _ends(path: Path) -> bool:
    """Whether reading comes to an end, as of a file, a folder, or what the shell has opened."""
    kind = path.stat().st_mode
    return stat.S_ISREG(kind) or stat.S_ISDIR(kind) or bool(_OPEN_ALREADY & {path, path.parent})


# -- JSON ------------------------------------------------------------------------------------


def _from_json(text: str, name: str, command: str) -> list[Record]:
    try:
        entries = strict_json.parse(text)
    except ValueError as error:
        raise StoreError(f"{name} is not JSON: {error}; `{command}` shows the form") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise StoreError(f"{name} must be a JSON array of objects; `{command}` writes one")
    return entries


# -- CSV -------------------------------------------------------------------------------------


def _from_csv(text: str, name: str, columns: Collection[str], command: str) -> Iterator[Record]:
    if not text.strip():
        raise StoreError(
            f"{name} is empty, so it is not JSON and not CSV; `{command}` shows the form"
        )
    if text[:4].lower() == "sep=":  # a line of Excel's own
        text = text.partition("\n")[2]
    first = text.lstrip().splitlines()[0]
    separator = max(_SEPARATORS, key=first.count)
    csv.field_size_limit(sys.maxsize if sys.platform != "win32" else 2**31 - 1)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    head: list[str] = []
    try:
        for row in rows:
            if not any(row):  # a line that Excel left empty
                continue
            if not head:
                head = _head(row, name, columns, command)
                continue
            if len(row) != len(head):
                raise StoreError(
                    f"{name}, line {rows.line_num}: {len(row)} cells for {len(head)} columns; "
                    f"`{command}` shows the form"
                )
            yield dict(zip(head, row, strict=True))
    except csv.Error as error:
        raise StoreError(f"{name}, line {rows.line_num}: no CSV: {error}") from error


def _head(row: list[str], name: str, columns: Collection[str], command: str) -> list[str]:
    head = [cell.strip() for cell in row]
    unknown = [cell for cell in head if cell not in columns]
    if unknown:
        raise StoreError(
            f"{name} is not JSON, and as CSV it has the column {unknown[0]!r}, which is none of "
            f"{', '.join(columns)}; `{command}` shows the form"
        )
    twice = {cell for cell in head if head.count(cell) > 1}
    if twice:
        raise StoreError(f"{name} has the column {min(twice)!r} twice")
    return head
