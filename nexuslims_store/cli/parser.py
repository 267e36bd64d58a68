"""The parser of the whole command line, made of what the commands declare."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn, cast

from nexuslims_store import __version__
from nexuslims_store.cli.declaration import Command, OneOf, Option, meant
from nexuslims_store.cli.options import COMMON
from nexuslims_store.cli.tables import terminal_width
from nexuslims_store.config import hide_passwords

COMMANDS = {
    "migrate": "bring the database to the newest revision, creating it if it is not there; with a "
    "command, other things about revisions",
    "status": "show on one page how the database and the record builders are",
    "sessions": "list sessions, show one, have them built again, delete them",
    "instruments": "list, show, add, update, rename, remove, import and export instruments",
    "uploads": "list attempts to export records, and failures",
    "users": "list, show, set, remove, import and export users' identifiers in other systems",
    "backup": "copy the database, checked and synced to the disk",
    "restore": "bring the database back from a backup",
    "move": "copy everything from an SQLite file to a PostgreSQL server, or back",
    "doctor": "examine the database, and say what is wrong and how to mend it",
    "schema": "print the tables as a diagram, a data dictionary or SQL",
    "report": "write a page or a mail: what needs a person, sessions, use, records, uploads",
    "demo": "make a small database to try everything on",
}
"""The commands, each declared by the module of its name, in the order of the help text."""

_PROGRAM = Command(
    None,
    Option("--version", action="version", version=f"%(prog)s {__version__}"),
    description="Looks after a NexusLIMS database: its schema, its sessions, instruments, uploads "
    "and users. The database is what --db names, a file or the URL of one on PostgreSQL, else what "
    "the environment variable NX_DB_PATH names, else NX_DB_PATH in the file .env of the working "
    "folder, where NexusLIMS reads it too, else nexuslims.db in the user's data folder.",
    examples=(
        "nexuslims-store migrate",
        "nexuslims-store status",
        "nexuslims-store --db copy.db sessions list --status ERROR --since 2025-01-13",
        "nexuslims-store COMMAND --help",
    ),
)
_NOTES = (
    "Results go to standard output, messages to standard error. Exit status: 0 done, 1 a check "
    "found something, 2 an error."
)
_WIDTH = 80


def build_parser(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Return the parser; what it returns has the command's function as `run`.

    Parameters
    ----------
    words
        The words that are to be parsed: a command that is none of them is known by its name
        only, and its module is not imported. None imports all.
    """
    parser = _Parser(prog="nexuslims-store", **_texts(_PROGRAM, notes=_NOTES))
    taken = _add_options(parser, _PROGRAM.options, outer=frozenset())
    parser.set_defaults(parser=parser)
    places = _add_commands(parser, required=True)
    for name, summary in COMMANDS.items():
        if words is None or name in words:
            command = import_module(f"nexuslims_store.cli.{name}").COMMAND
            _declare(places, name, command, summary, outer=taken, words=words)
        else:
            places.add_name(name, summary)
    return parser


if TYPE_CHECKING:
    _SubParsersAction = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    _SubParsersAction = argparse._SubParsersAction


class _Commands(_SubParsersAction):
    """The commands of a group. Making the parser of each takes milliseconds, its name none."""

    def add_name(self, name: str, summary: str) -> None:
        """Add a command for the help text alone: its name is not among the words to parse."""
        self._name_parser_map[name] = None  # type: ignore[assignment] # nobody asks for it
        self._choices_actions.append(self._ChoicesPseudoAction(name, (), summary))


def _add_commands(parser: argparse.ArgumentParser, *, required: bool) -> _Commands:
    metavar = "COMMAND" if required else "[COMMAND]"
    places = parser.add_subparsers(
        title="commands", metavar=metavar, required=required, action=_Commands
    )
    return cast(_Commands, places)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Formats as argparse does, which would import shutil for each option to know a width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=terminal_width() - 2)


class _Parser(argparse.ArgumentParser):
    """A parser that complains of what it was given itself, with its own usage."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("allow_abbrev", False)
        super().__init__(**settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        # The parser of a command hands on what it does not know, and the outermost would complain
        # of it with its own usage.
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            known = [name for action in self._actions for name in action.option_strings]
            self.error(f"unrecognized arguments: {' '.join(unknown)}{meant(unknown[0], known)}")
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, which may be repeated, and end."""
        super().error(hide_passwords(message))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = list(map(str, action.choices))
            message = f"invalid choice: {value!r}{meant(value, known)}"
            raise argparse.ArgumentError(action, f"{message} (choose from {', '.join(known)})")


def _flat(options: Iterable[Option | OneOf]) -> Iterator[Option]:
    for one in options:
        yield from one.options if isinstance(one, OneOf) else (one,)


def _names(options: Iterable[Option | OneOf]) -> set[str]:
    return {name for option in _flat(options) for name in option.names}


def _words_after(
    name: str, words: Sequence[str], options: Iterable[Option | OneOf]
) -> frozenset[str]:
    """Return what comes first after a command's name, its options and their values aside."""
    with_value = {
        n
        for option in _flat(options)
        if "action" not in option.settings
        for n in option.names
        if n.startswith("-")
    }
    found = set()
    for place in (place for place, word in enumerate(words) if word == name):
        rest = iter(words[place + 1 :])
        for word in rest:
            if word in with_value:
                next(rest, None)
            elif not word.startswith("-"):
                found.add(word)
                break
    return frozenset(found)


def _group_of(command: Command) -> Command:
    """Return the commands of a command, with those of its options that they have too."""
    inner = {name for sub in command.commands.values() for name in _names(sub.options)}
    return Command(
        None,
        *(option for option in command.options if inner.intersection(_names([option]))),
        commands=command.commands,
    )


def _misspelt(word: str, commands: Iterable[str]) -> str:
    """Say what a word may have meant that is taken for a file, but is no path by its looks."""
    hint = meant(word, commands)
    if not hint or set("./\\").intersection(word) or os.path.exists(word):
        return ""
    return f"{word!r} is no command{hint} (a file of that name is ./{word})"


def _declare(
    places: _Commands,
    name: str,
    command: Command,
    summary: str,
    *,
    outer: frozenset[str],
    words: Sequence[str] | None,
) -> None:
    """Add the parser of one command, and those of its own commands."""
    parser = places.add_parser(name, help=summary, **_texts(command, summary))
    parser.set_defaults(parser=parser)
    misspelt = ""
    if command.takes_words and command.commands:
        # It is itself, with arguments of its own, unless the next word is one of its commands.
        after = _words_after(name, words or (), (*command.options, *COMMON))
        if after & command.commands.keys():
            command = _group_of(command)
        else:
            misspelt = next(filter(None, (_misspelt(w, command.commands) for w in after)), "")
            command = Command(command.run, *command.options)
    taken = _add_options(parser, command.options, outer=outer)
    parser.set_defaults(misspelt=misspelt)
    if command.run is not None:
        parser.set_defaults(run=command.run)
    if not command.commands:
        return
    inner = _add_commands(parser, required=command.run is None)
    for word, sub in command.commands.items():
        if words is None or word in words:
            _declare(inner, word, sub, sub.summary, outer=taken, words=words)
        else:
            inner.add_name(word, sub.summary)


def _add_options(
    parser: argparse.ArgumentParser, options: Sequence[Option | OneOf], *, outer: frozenset[str]
) -> frozenset[str]:
    """Add a command's options and those of all commands; return all that were given so far.

    What an outer parser has too has no default here: that would undo what was given there.
    """
    taken = set(outer)

    def add(to: Any, option: Option) -> None:
        settings = dict(option.settings)
        offered, files = settings.pop("offered", None), settings.pop("files", False)
        if outer.intersection([*option.names, settings.get("dest")]):
            settings["default"] = argparse.SUPPRESS
        action = to.add_argument(*option.names, **settings)
        if offered:
            action.completer = partial(_completions, offered, files=files)
        taken.update([*option.names, action.dest])

    for option in options:
        if isinstance(option, OneOf):
            group = parser.add_mutually_exclusive_group()
            for alternative in option.options:
                add(group, alternative)
        else:
            add(parser, option)
    common = parser.add_argument_group("options of all commands")
    for option in COMMON:
        add(common, option)
    return frozenset(taken)


def complete() -> int:
    """Answer a shell that has set `_ARGCOMPLETE`; without argcomplete, with nothing."""
    try:
        import argcomplete  # noqa: PLC0415 -- an optional extra, which only a shell asks for
    except ImportError:
        return 1
    # Only the commands that are named so far are imported, with all their options.
    argcomplete.autocomplete(build_parser(os.environ.get("COMP_LINE", "").split()))
    return 1


def _completions(
    offered: Callable[[], Iterable[str]], *, files: bool, prefix: str = "", **_: Any
) -> list[str]:
    """Return what a shell may complete; of several values with commas, the last."""
    before = prefix[: prefix.rfind(",") + 1]
    found = [f"{before}{value}" for value in offered()]
    if files:
        from argcomplete.completers import FilesCompleter  # noqa: PLC0415 -- as it asks itself

        found += FilesCompleter()(prefix)
    return found


def _texts(command: Command, summary: str = "", notes: str = "") -> dict[str, Any]:
    """Return the arguments of a parser that make its help text."""
    from textwrap import fill  # noqa: PLC0415 -- argparse has imported what it needs

    description = command.description or f"{summary[0].upper()}{summary[1:]}."
    epilog = []
    if command.takes_words and command.commands:
        names = (f"  {name:12}{sub.summary}" for name, sub in command.commands.items())
        epilog.append("commands, as the first word:\n" + "\n".join(names))
    if command.examples:
        epilog.append("examples:\n" + "\n".join(f"  {example}" for example in command.examples))
    if notes:
        epilog.append(fill(notes, _WIDTH))
    return {
        "description": fill(description, _WIDTH),
        "epilog": "\n\n".join(epilog),
        "formatter_class": _HelpFormatter,
    }
