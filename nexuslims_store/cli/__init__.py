"""The command line: `nexuslims-store`, or `python -m nexuslims_store`.

Each module here is a group of commands: it adds them to the parser, and a command calls the
package and prints what comes back. This module decides what an error is to the shell::

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
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from pydantic import ValidationError

from nexuslims_store.cli.interrupts import INTERRUPTED, end_on_interrupt
from nexuslims_store.cli.output import Output
from nexuslims_store.cli.parser import build_parser
from nexuslims_store.cli.words import invalid_values
from nexuslims_store.errors import StoreError

__all__ = ["main"]

_ERROR, _NO_READER = 2, 141


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
    output = Output.of_process()
    if argv is None:
        end_on_interrupt(output)
    try:
        status = _run(build_parser().parse_args(argv), output)
        output.flush()
    except BrokenPipeError:
        status = _NO_READER
    except KeyboardInterrupt:
        output.error("interrupted")
        status = INTERRUPTED
    except OSError as error:
        if error.filename is not None:
            raise
        # No file's, so that of writing the output: to a full disk, say.
        output.error(f"the output cannot be written: {error.strerror}")
        status = _ERROR
    if status in {_NO_READER, _ERROR}:
        _let_go_of_stdout()
    return status


def _run(arguments: argparse.Namespace, output: Output) -> int:
    try:
        with _warnings_shown(output, debug=arguments.debug):
            status: int = arguments.run(arguments, output)
            return status
    except (StoreError, ValidationError) as error:
        if arguments.debug:
            output.message(traceback.format_exc())
        lines = invalid_values(error) if isinstance(error, ValidationError) else [error.for_command]
        output.error("\n".join(lines))
    return _ERROR


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


def _let_go_of_stdout() -> None:
    """Send what is still in the buffer nowhere, or Python complains about it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
    except AttributeError:  # there is no standard output
        pass
