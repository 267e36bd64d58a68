"""Where results and messages go, and in what form: lines, tables, JSON, CSV.

Nothing else in the package writes to standard output or standard error.
"""

import codecs
import io
import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple, Self, TextIO

from nexuslims_store.cli.declaration import RefusedError
from nexuslims_store.cli.held import Held
from nexuslims_store.cli.progress import Progress
from nexuslims_store.cli.tables import Table, pairs, terminal_width
from nexuslims_store.config import hide_passwords
from nexuslims_store.display import as_stored, cut, printable, shown
from nexuslims_store.errors import StoreError

Record = Mapping[str, object]

# More would be held in memory to no purpose.
_ROWS_AT_A_TIME = 1000
_IN_A_SENTENCE = r"`(nexuslims-store (?![^`]*--db )[a-z][^`]*)`"
_BY_ITSELF = r"(?<![`\w])nexuslims-store (?=[a-z])"


class Listing(NamedTuple):
    """How records of one kind are listed."""

    fields: Sequence[str]  # the keys of every record, in order: JSON and CSV have them all
    columns: Sequence[str] = ()  # those that a table shows; none: all
    none: str = ""  # what to tell somebody who asked for a table that has no rows
    decimals: Collection[str] = ()  # columns whose numbers have two decimals in a table

    @property
    def names(self) -> Sequence[str]:
        """The fields that a table shows."""
        return self.columns or self.fields

    def row(self, record: Record) -> list[str]:
        """Return a record as a row of a table."""
        return [
            f"{value:,.2f}"
            if name in self.decimals and isinstance(value := record[name], float)
            else shown(record[name])
            for name in self.names
        ]


class Output:
    """Standard output and standard error of one command.

    Results are held until `flush`. Lines and tables, for people, are in the encoding of standard
    output, with escapes for what it cannot hold; what programs read, and pages, are UTF-8.
    """

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self.form: str | None = None  # of results: "json", "csv", or None for lines and tables
        self.dry_run: bool | None = None  # None for a command that has no such option
        self.yes = False  # whether the user need not be asked
        # What --db names, if it was given: what is advised then names it too.
        self.database: Path | str | None = None
        self.progress = Progress(err)
        self._out = out
        self._err = err
        self._held = Held()
        self._binary = isinstance(out, io.TextIOWrapper)
        self._encoding = (out.encoding if self._binary else None) or "utf-8"
        # One for all: UTF-16 and others begin with a mark, which stands nowhere else.
        self._encoder = codecs.getincrementalencoder(self._encoding)("backslashreplace")
        if isinstance(err, io.TextIOWrapper):
            err.reconfigure(errors="backslashreplace")

    @classmethod
    def of_process(cls) -> Self:
        """Return the output of this process; a stream that was closed is replaced by none."""
        # Python has None for a stream that the shell has closed (`>&-`).
        return cls(sys.stdout or _nowhere(), sys.stderr or _nowhere())

    # -- messages ------------------------------------------------------------------------

    def message(self, text: str) -> None:
        """Write lines to standard error."""
        # What was printed so far comes first, where both go to the same terminal.
        self.flush()
        self._complain(text)

    def error(self, text: str) -> None:
        """Write an error to standard error, even if standard output is gone.

        Where it cannot be written, the exit status alone says that there was one.
        """
        with suppress(OSError):
            self.progress.stop()
            self._complain(f"nexuslims-store: {text}")

    def _complain(self, text: str) -> None:
        self.progress.hide()
        self._err.write(hide_passwords(f"{printable(self.advice(text), keep_lines=True)}\n"))
        self._err.flush()

    def advice(self, text: str) -> str:
        """Return a text whose commands work on the database that this command works on."""
        if self.database is None or "nexuslims-store " not in text:
            return text
        import shlex  # noqa: PLC0415 -- not for every command

        db = f"--db {shlex.quote(str(self.database))}"
        text = re.sub(_IN_A_SENTENCE, lambda found: f"`{found[1]} {db}`", text)
        return re.sub(_BY_ITSELF, lambda found: f"{found[0]}{db} ", text)

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to answer a question."""
        return bool(sys.stdin and sys.stdin.isatty() and self._err.isatty())

    def ask(self, question: str) -> str:
        """Return the answer to a question on the terminal, which must be one."""
        self.progress.stop()
        self.flush()
        self._err.write(printable(question))
        self._err.flush()
        answer = sys.stdin.readline()
        self.progress.start()
        return answer

    def confirm(self, question: str, *, preview: str = "--dry-run") -> None:
        """Go on only if the user wants it, by --yes or by an answer on the terminal.

        `preview` is the option that shows what would be done.

        Raises
        ------
        RefusedError
            The answer is no.
        StoreError
            There is no terminal to ask on, and no --yes.
        """
        if self.yes:
            return
        if not self.can_ask:
            raise StoreError(
                f"{question} There is no terminal to ask on, and nothing was changed: give --yes "
                f"to do it, or {preview} to see what would be done"
            )
        if self.ask(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
            raise RefusedError

    def agree(self, listing: Listing, records: Sequence[Record], question: str) -> None:
        """Show what a command will touch, and `confirm` it unless it is a dry run."""
        if self.form is None and records:
            self.records(listing, records)
        if not self.dry_run:
            self.confirm(question)

    def percent(self, done: int, total: int) -> None:
        """Say how far a copy is, to whoever watches."""
        self.progress.far = f"{100 * done // max(total, 1)} %"

    # -- results -------------------------------------------------------------------------

    def line(self, text: str = "") -> None:
        """Write a line to standard output."""
        self._line(printable(self.advice(text), keep_lines=True))

    def pairs(self, record: Record) -> None:
        """Write names and values, a line each; what is very long has its middle left out."""
        said = [
            (_words(name), cut(shown(value), ellipsis=self._ellipsis()))
            for name, value in record.items()
        ]
        for line in pairs(said):
            self.line(line)

    def text(self, text: str) -> None:
        """Write a text for a program or a file to standard output as it is, in UTF-8."""
        self._held.write(self._lines(text).encode("utf-8", "backslashreplace"))

    def json(self, value: object) -> None:
        """Write one JSON value to standard output."""
        self.text(f"{self._dumps(value, indent=2)}\n")

    def tell(self, sentence: str, details: Mapping[str, object]) -> None:
        """Say what was done, would be or is: in a sentence, or in JSON with the details."""
        if self.form == "json":
            said = {} if self.dry_run is None else {"dry_run": self.dry_run}
            self.json({**said, **details})
        else:
            self.line(sentence)

    def records(self, listing: Listing, records: Iterable[Record]) -> int:
        """Write records as JSON or CSV with all fields, or as a table with the chosen columns.

        Returns how many there were.
        """
        counted = count()
        records = (record for record, _ in zip(records, counted, strict=False))
        if self.form == "json":
            self._json_array(records)
        elif self.form == "csv":
            self._held.write(_csv(listing.fields))
            for record in records:
                self._held.write(_csv([record[field] for field in listing.fields]))
        else:
            names = list(map(_words, listing.names))
            if not self.table(names, map(listing.row, records)):
                self.message(listing.none)
        return next(counted)

    def table(self, names: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
        """Write a table to standard output, on a terminal one that fits; say if it has rows."""
        table = Table(names, self._width(), self._ellipsis())
        remaining = iter(rows)
        some = False
        while part := list(islice(remaining, _ROWS_AT_A_TIME)):
            some = True
            for line in table.lines(part):
                self._line(line)
        return some

    def save(self, destination: Path, *, replace: bool) -> None:
        """Write to a file what would else be printed; raises as `files.write_file`."""
        from nexuslims_store.cli.files import write_file  # noqa: PLC0415 -- two commands do

        write_file(destination, self._held.take(), replace=replace)

    def flush(self) -> None:
        """Print what is held so far."""
        self.progress.hide()
        if isinstance(self._out, io.TextIOWrapper):
            self._out.flush()
            for part in self._held.take():
                self._out.buffer.write(part)
            self._out.buffer.flush()
        else:
            self._out.write(b"".join(self._held.take()).decode())
            self._out.flush()

    def drop(self) -> None:
        """Forget what is held: the half of a result is none."""
        self._held.clear()
        self._encoder.reset()

    def _line(self, line: str) -> None:
        self._held.write(self._encoder.encode(self._lines(f"{line}\n")))

    def _lines(self, text: str) -> str:
        return text.replace("\n", os.linesep) if self._binary else text

    def _json_array(self, records: Iterable[Record]) -> None:
        between = "["
        for record in records:
            self.text(f"{between}\n{self._dumps(record)}")
            between = ","
        self.text("[]\n" if between == "[" else "\n]\n")

    def _dumps(self, value: object, indent: int | None = None) -> str:
        import json  # noqa: PLC0415 -- where it is asked for

        # Escapes of ours would not be JSON's.
        ascii_only = self._encoding.lower().replace("-", "") != "utf8"
        return json.dumps(_plain(value), indent=indent, ensure_ascii=ascii_only, allow_nan=False)

    def _width(self) -> int | None:
        return terminal_width() if self._out.isatty() else None

    def _ellipsis(self) -> str:
        try:
            "…".encode(self._encoding)
        except (UnicodeEncodeError, LookupError):
            return "..."
        return "…"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # as long as the process


def _plain(value: object) -> object:
    """Return a value of JSON's own kinds."""
    match value:
        case Mapping():
            return {str(as_stored(key)): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return as_stored(value)


def _csv(values: Iterable[object]) -> bytes:
    """Return a record as RFC 4180 has it, but for the line feed at its end."""
    # Not the csv module, which before 3.11.9 leaves a lone carriage return unquoted.
    return f"{','.join(map(_quoted, values))}\n".encode()


def _quoted(value: object) -> str:
    text = "" if value is None else str(as_stored(value))
    if any(char in text for char in ',"\r\n'):
        return f'"{text.replace(chr(34), chr(34) * 2)}"'
    return text
