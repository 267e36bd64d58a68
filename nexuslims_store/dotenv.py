"""The file `.env` of the working directory, in which NexusLIMS keeps its settings.

NexusLIMS reads it with python-dotenv, whose form this is: `NAME=value` lines, `export` before
them, comments, quotes with backslashes inside, and values in quotes that go over several lines.
"""

from __future__ import annotations

import re
from pathlib import Path

from nexuslims_store.errors import StoreError

# One setting, comment or blank, or whatever else stands in a line. It matches everywhere, and so
# takes a text apart from its start to its end.
_SETTING = re.compile(
    r"""
    \s*+ (?:export[^\S\n]++)?+
    (?:
        (?: '(?P<quoted_name>[^']+)' | (?!')(?P<name>[^=\#\s]++) | (?=\#) ) [^\S\n]*+
        (?: = [^\S\n]*+
            (?: (?<=[^\S\n])(?=\#)
              | '(?P<single>(?:\\.|[^'\\])*+)'
              | "(?P<double>(?:\\.|[^"\\])*+)"
              | (?!['"])(?P<plain>[^\n]*+)
            )
        )?+
    )?+
    (?: (?P<end>(?:[^\S\n]*\#[^\n]*)?+ [^\S\n]*(?:\n|\Z)) | [^\n]*\n? )
    """,
    re.DOTALL | re.VERBOSE,
)
_COMMENT = re.compile(r"\s+#.*")
_ESCAPE = {"single": re.compile(r"\\([\\'])"), "double": re.compile(r"\\([\\'\"abfnrtv])")}
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def value_of(name: str) -> tuple[str, Path] | None:
    """Return what `.env` of the working directory says of a variable, and which file that is.

    Parameters
    ----------
    name
        In capitals; the file may have it in any case, as for NexusLIMS.

    Returns
    -------
    tuple of str and pathlib.Path, or None
        None where there is no such file, or the variable is not in it or is empty. Of several
        lines the last counts.

    Raises
    ------
    StoreError
        The value has a `$` in it, which may stand for another variable; or its line, or the
        file, cannot be read. The lines of other variables are not judged.
    """
    text = _read(name)
    last = None
    for match in _SETTING.finditer(text):
        if (match["quoted_name"] or match["name"] or "").upper() == name:
            last = match
    if last is None:
        return None
    path = Path.cwd() / ".env"
    value = _value(last)
    if last["end"] is None:
        raise StoreError(
            f"{path} sets {name} in a way that cannot be read: {_shown(last[0].strip())}; write "
            f"{name}=/the/path, in double quotes if the path holds quotes or a #"
        )
    if "$" in value:
        raise StoreError(
            f"{path} sets {name} to {_shown(value)}, and what the $ stands for is not known here; "
            f"export {name} as an environment variable, or write the path out"
        )
    return (value, path) if value else None


def _shown(text: str) -> str:
    # A URL may hold a password.
    return "a URL" if "://" in text else repr(text)


def _read(name: str) -> str:
    try:
        # A path need not be UTF-8: so read, it is the one that the bytes mean to the system.
        with open(".env", encoding="utf-8-sig", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StoreError(
            f"{Path.cwd() / '.env'} may say what {name} is, and cannot be read "
            f"({error.strerror}); change its permissions, or export {name} as an environment "
            "variable"
        ) from error


def _value(setting: re.Match[str]) -> str:
    for quotes, escape in _ESCAPE.items():
        if setting[quotes] is not None:
            return escape.sub(lambda found: _ESCAPED.get(found[1], found[1]), setting[quotes])
    return _COMMENT.sub("", setting["plain"] or "").rstrip()
