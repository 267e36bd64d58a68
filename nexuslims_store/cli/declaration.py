"""How a command is declared, once: what it runs, what it takes, and the words that explain it.

A module of this folder declares the command of its name as `COMMAND`. It is imported only when
that command is asked for, so what stands here needs no more than argparse does.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexuslims_store.cli.output import Output

Run = Callable[[argparse.Namespace, "Output"], int | None]


class UsageError(Exception):
    """The arguments of a command contradict each other; it is shown with the command's usage."""


class RefusedError(Exception):
    """The user was asked, and said no."""


class Option:
    """An option or an argument of a command; the settings are those of `add_argument`.

    Two are more: `offered` returns values that a shell may complete, where there are no `choices`;
    `files` says whether it may be a file too.
    """

    def __init__(self, *names: str, **settings: Any) -> None:
        self.names = names
        self.settings = settings

    def but(self, **settings: Any) -> Option:
        """Return the same option with some settings changed."""
        return Option(*self.names, **{**self.settings, **settings})


def flag(*names: str, help: str) -> Option:  # noqa: A002 -- as argparse calls it
    """Return an option without a value."""
    return Option(*names, action="store_true", help=help)


class OneOf:
    """Options of which at most one may be given."""

    def __init__(self, *options: Option) -> None:
        self.options = options


class Command:
    """A command, or a group of commands.

    Parameters
    ----------
    run
        What it does, with the arguments and the output; it returns the exit status, or None for
        that of success. A group that is no command itself has none.
    options
        What it takes, the options of all commands aside. The commands of a group may repeat
        options of the group.
    summary
        What it does in one line; that of a top-level command stands in `parser.COMMANDS`.
    description, examples
        The help text. The description is the summary unless it says more.
    commands
        The commands of a group, by name. Where the group takes arguments of its own, the name
        of the command must be the first word.
    """

    def __init__(
        self,
        run: Run | None = None,
        *options: Option | OneOf,
        summary: str = "",
        description: str = "",
        examples: Sequence[str] = (),
        commands: Mapping[str, Command] | None = None,
    ) -> None:
        self.run = run
        self.summary = summary
        self.options = options
        self.description = description
        self.examples = examples
        self.commands = commands or {}

    @property
    def takes_words(self) -> bool:
        """Whether it takes arguments that are no options."""
        return any(
            isinstance(option, Option) and not option.names[0].startswith("-")
            for option in self.options
        )


def meant(word: object, known: Iterable[str]) -> str:
    """Return a question whether another word was meant, nothing where none is like it."""
    from difflib import get_close_matches  # noqa: PLC0415 -- after a slip of the pen only

    close = get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
