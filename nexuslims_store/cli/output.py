"""Where results and messages go, and in what form: lines, tables, JSON, CSV.

Nothing else in the package writes to standard output or standard error.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TextIO

from nexuslims_store.cli.tables import Table, printable
from nexuslims_store.cli.words import shown

__all__ = ["Output"]

Record = Mapping[str, object]


class Output:
    """Standard output and standard error of one command.

    What an encoding cannot hold is escaped, never an error.
    """

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self.out = out
        self.err = err
        for stream in (out, err):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")

    @classmethod
    def of_process(cls) -> Output:
        """Return the output of this process; a stream that was closed is replaced by none."""
        # Python has None for a stream that the shell has closed (`>&-`).
        return cls(sys.stdout or _nowhere(), sys.stderr or _nowhere())

    # -- messages ------------------------------------------------------------------------

    def message(self, text: str) -> None:
        """Write lines to standard error."""
        # What was printed so far comes first, where both go to the same terminal.
        self.out.flush()
        self.err.write(f"{printable(text, keep_lines=True)}\n")
        self.err.flush()

    def error(self, text: str) -> None:
        """Write an error to standard error, even if standard output is gone."""
        self.err.write(f"nexuslims-store: {printable(text, keep_lines=True)}\n")
        self.err.flush()

    def ask(self, question: str) -> str:
        """Return the answer to a question on the terminal, which must be one."""
        self.out.flush()
        self.err.write(printable(question))
        self.err.flush()
        return sys.stdin.readline()

    def percent(self, done: int, total: int) -> None:
        """Show how far a copy is, if somebody is watching."""
        if self.err.isatty():
            self.err.write(f"\r{100 * done // max(total, 1)} %" + ("\n" if done == total else ""))
            self.err.flush()

    # -- results -------------------------------------------------------------------------

    def line(self, text: str = "") -> None:
        """Write a line to standard output."""
        self.out.write(f"{printable(text, keep_lines=True)}\n")

    def pairs(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Write names and values, a line each."""
        texts = [(name.replace("_", " "), shown(value)) for name, value in pairs]
        width = max(len(name) for name, _ in texts)
        for name, value in texts:
            first, *rest = value.split("\n")
            self.line(f"{name:{width}}  {first}".rstrip())
            for line in rest:
                self.line(line)

    def text(self, text: str) -> None:
        """Write a text to standard output as it is."""
        self.out.write(text)

    def json(self, value: object) -> None:
        """Write one JSON value to standard output."""
        self.out.write(f"{self._dumps(value, indent=2)}\n")

    def records(
        self,
        records: Iterable[Record],
        *,
        fields: Sequence[str],
        columns: Sequence[str] | None = None,
        cut_first: Collection[str] = (),
        form: str | None,
        none: str = "",
    ) -> None:
        """Write records as JSON or CSV with all fields, or as a table with the chosen columns.

        Parameters
        ----------
        fields
            The keys of every record, in their order.
        columns
            Those that the table shows.
        cut_first
            Those of them that are cut before the others where the terminal is narrow.
        form
            "json", "csv" or None.
        none
            What to tell somebody who asked for a table that has no rows.
        """
        if form == "json":
            self._json_array(records)
        elif form == "csv":
            writer = csv.writer(self.out, lineterminator="\n")
            writer.writerow(fields)
            for record in records:
                writer.writerow([_for_csv(record[field]) for field in fields])
        else:
            names = columns or fields
            rows = [[shown(record[name]) for name in names] for record in records]
            if rows:
                self.table(
                    [name.replace("_", " ").upper() for name in names],
                    rows,
                    cut_first=[place for place, name in enumerate(names) if name in cut_first],
                )
            else:
                self.message(none)

    def table(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        cut_first: Collection[int] = (),
    ) -> None:
        """Write a table to standard output; on a terminal it is made to fit."""
        width = shutil.get_terminal_size().columns if self.out.isatty() else None
        for line in Table(head, rows, cut_first=cut_first).lines(width, self._ellipsis()):
            self.out.write(f"{line}\n")

    def flush(self) -> None:
        """Write what is still in a buffer."""
        self.out.flush()
        self.err.flush()

    def _json_array(self, records: Iterable[Record]) -> None:
        between = "["
        for record in records:
            self.out.write(f"{between}\n{self._dumps(record)}")
            between = ","
        self.out.write("[]\n" if between == "[" else "\n]\n")

    def _dumps(self, value: object, indent: int | None = None) -> str:
        # Escapes of ours would not be JSON's.
        ascii_only = (self.out.encoding or "").lower().replace("-", "") != "utf8"
        return json.dumps(value, indent=indent, ensure_ascii=ascii_only, default=_for_json)

    def _ellipsis(self) -> str:
        try:
            "…".encode(self.out.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            return "..."
        return "…"


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # as long as the process


def _for_json(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} has no form in JSON")


def _for_csv(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    return value
