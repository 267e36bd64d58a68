"""The command line: `nexuslims-store`, or `python -m nexuslims_store`.

Each command is declared by a module of its name, which is imported only when that command is
asked for; it calls the package and prints what comes back. This module decides what an error is
to the shell::

    0    done
    1    a check found something, or the user said no
    2    an error: what was asked for was not done
    130  stopped with Ctrl-C
    141  whoever read the output stopped reading
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

from nexuslims_store.arguments import why_no_path
from nexuslims_store.cli.declaration import RefusedError, UsageError
from nexuslims_store.cli.interrupts import INTERRUPTED, end_on_interrupt
from nexuslims_store.cli.output import Output
from nexuslims_store.cli.parser import build_parser, complete
from nexuslims_store.config import hide_passwords, is_url, origin_of_default_path
from nexuslims_store.errors import (
    DatabaseNotFoundError,
    NotANexusLIMSDatabaseError,
    StoreError,
)
from nexuslims_store.refusals import invalid_values, is_refusal

__all__ = ["main"]

_DONE, _REFUSED, _ERROR, _NO_READER = 0, 1, 2, 141
_ABOUT_THE_PATH = (DatabaseNotFoundError, NotANexusLIMSDatabaseError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Parameters
    ----------
    argv
        The arguments; by default those of the process.

    Raises
    ------
    SystemExit
        From argparse, after `--help`, `--version` and for arguments it does not take.
    """
    if argv is None and "_ARGCOMPLETE" in os.environ:
        return complete()
    output = Output.of_process()
    if argv is None:
        end_on_interrupt(output)
    words = sys.argv[1:] if argv is None else argv
    try:
        status = _run(build_parser(words).parse_args(words), output)
        output.progress.stop()  # or its line would stand in the midst of the result
        output.flush()
    except BrokenPipeError:
        status = _NO_READER
    except KeyboardInterrupt:
        output.error("interrupted")
        status = INTERRUPTED
    except OSError as error:  # a full disk, say
        output.error(f"the output cannot be written: {error.strerror}")
        status = _ERROR
    finally:
        output.progress.stop()
    if status != _DONE:
        _let_go_of(sys.stdout)
        _let_go_of(sys.stderr)
    return status


def _run(arguments: argparse.Namespace, output: Output) -> int:
    """Run a command; what it raises becomes a message and an exit status."""
    output.form = getattr(arguments, "format", None)
    output.dry_run = getattr(arguments, "dry_run", None)
    output.yes = getattr(arguments, "yes", False)
    db = arguments.db
    output.database = hide_passwords(db) if is_url(db) else db
    output.progress.start()
    try:
        with _warnings_shown(output, debug=arguments.debug):
            if arguments.misspelt:
                raise UsageError(arguments.misspelt)
            status: int | None = arguments.run(arguments, output)
            return _DONE if status is None else status
    except RefusedError:
        output.message("nothing was changed")
        return _REFUSED
    except UsageError as error:
        output.progress.stop()
        arguments.parser.error(str(error))
    except StoreError as error:
        message = error.for_command
        default = getattr(arguments, "default_path", None)
        if default is not None and isinstance(error, _ABOUT_THE_PATH) and str(default) in message:
            message += f"\n(the path is from {origin_of_default_path()})"
        _tell(output, message, debug=arguments.debug)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 -- exit status 1 would mean that a check found something
        message = "\n".join(invalid_values(error)) if is_refusal(error) else _unforeseen(error)
        _tell(output, message, debug=arguments.debug)
    return _ERROR


def _tell(output: Output, message: str, *, debug: bool) -> None:
    """Write the error that is being handled, and nothing of the result it was about to have."""
    output.drop()
    if debug:
        import traceback  # noqa: PLC0415 -- for the curious only

        output.message(traceback.format_exc())
    output.error(message)


def _unforeseen(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        if error.filename is None:
            return why_no_path(error)
        return f"{error.filename}: {error.strerror}"
    return (
        f"an error that was not foreseen ({type(error).__name__}: {error}); the same command with "
        "--debug shows where it comes from, for a report to the authors"
    )


@contextmanager
def _warnings_shown(output: Output, *, debug: bool) -> Iterator[None]:
    """Send what the package logs to standard error, as long as a command runs."""
    logger = logging.getLogger("nexuslims_store")
    handler = _Messages(output, logging.DEBUG if debug else logging.WARNING)
    level = logger.level
    logger.addHandler(handler)
    if debug:
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class _Messages(logging.Handler):
    def __init__(self, output: Output, level: int) -> None:
        super().__init__(level)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.message(f"{record.levelname.lower()}: {record.getMessage()}")


def _let_go_of(stream: TextIO | None) -> None:
    """Send what is still in the buffer nowhere, or Python complains about it at its end."""
    if stream is None:  # the shell has closed it
        return
    try:
        stream.flush()
    except OSError:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
