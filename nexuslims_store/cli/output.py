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
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from nexuslims_store.cli.tables import Table
from nexuslims_store.display import as_stored, printable, shown

__all__ = ["Listing", "Output"]

Record = Mapping[str, object]


class Listing:
    """How records of one kind are listed.

    Parameters
    ----------
    fields
        The keys of every record, in their order: JSON and CSV have them all.
    columns
        Those that a table shows; by default all.
    none
        What to tell somebody who asked for a table that has no rows.
    """

    def __init__(
        self, fields: Sequence[str], columns: Sequence[str] | None = None, none: str = ""
    ) -> None:
        self.fields = fields
        self.columns = columns or fields
        self.none = none


class Output:
    """Standard output and standard error of one command.

    What an encoding cannot hold is escaped, never an error.

    Attributes
    ----------
    form
        How the user wants results: "json", "csv", or None for lines and tables.
    """

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self.form: str | None = None
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

    def records(self, listing: Listing, records: Iterable[Record]) -> None:
        """Write records as JSON or CSV with all fields, or as a table with the chosen columns."""
        if self.form == "json":
            self._json_array(records)
        elif self.form == "csv":
            writer = csv.writer(self.out, lineterminator="\n")
            writer.writerow(listing.fields)
            for record in records:
                writer.writerow([as_stored(record[field]) for field in listing.fields])
        else:
            rows = [[shown(record[name]) for name in listing.columns] for record in records]
            if rows:
                self.table([name.replace("_", " ").upper() for name in listing.columns], rows)
            else:
                self.message(listing.none)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write a table to standard output; on a terminal it is made to fit."""
        width = shutil.get_terminal_size().columns if self.out.isatty() else None
        for line in Table(head, rows).lines(width, self._ellipsis()):
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
        return json.dumps(value, indent=indent, ensure_ascii=ascii_only, default=as_stored)

    def _ellipsis(self) -> str:
        try:
            "…".encode(self.out.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            return "..."
        return "…"


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # as long as the process
