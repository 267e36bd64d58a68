"""CREATE statements as tokens: what SQLite keeps as its users wrote it, made comparable.

The PRAGMAs tell everything of a table but its CHECKs and the names of its constraints; those are
in the text of its CREATE statement only, between anyone's quotes, comments and line ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<name> "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] )
    | (?P<other> '(?:[^']|'')*' | [\w$]+ | [<>=!|]+ | \S )
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN = re.compile(r"[A-Za-z_]\w*")
_CONSTRAINTS = {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"}
# Names that would be read as something else without their quotes.
_QUOTED = {"user"}


def tokens(sql: str) -> list[str]:
    """Return the tokens of a statement; comments are left out, names are quoted only if need be."""
    found = []
    for match in _TOKEN.finditer(sql):
        if match["name"]:
            found.append(_name(match["name"]))
        elif match["other"]:
            found.append(_name(f'"{match["other"]}"') if _must_quote(match) else match["other"])
    return found


def _must_quote(match: re.Match[str]) -> bool:
    return match["other"].lower() in _QUOTED


def _name(quoted: str) -> str:
    mark, name = quoted[-1], quoted[1:-1]
    name = name.replace(mark * 2, mark) if mark != "]" else name
    if _PLAIN.fullmatch(name) and name.lower() not in _QUOTED:
        return name
    return '"' + name.replace('"', '""') + '"'


def items(sql: str) -> list[list[str]]:
    """Return the columns and constraints of a CREATE TABLE statement, each as its tokens."""
    words = tokens(sql)
    if "(" not in words:
        return []
    found: list[list[str]] = [[]]
    depth = 0
    for word in words[words.index("(") + 1 :]:
        depth += {"(": 1, ")": -1}.get(word, 0)
        if depth < 0:
            break
        if word == "," and depth == 0:
            found.append([])
        else:
            found[-1].append(word)
    return found


def checks(sql: str) -> dict[str, str | None]:
    """Return the CHECKs of a CREATE TABLE statement, those of columns too: rule to name."""
    words = tokens(sql)
    found: dict[str, str | None] = {}
    for place, word in enumerate(words[:-1]):
        if word.upper() == "CHECK" and words[place + 1] == "(":
            named = place >= 2 and words[place - 2].upper() == "CONSTRAINT"
            rule = join(_inside(words, place + 1))
            found[rule] = words[place - 1].strip('"') if named else None
    return found


def constraint_names(sql: str) -> set[str]:
    """Return the names that a CREATE TABLE statement gives to its constraints."""
    words = tokens(sql)
    return {name.strip('"') for word, name in pairwise(words) if word.upper() == "CONSTRAINT"}


def collations(sql: str) -> dict[str, str]:
    """Return by which collation each column of a CREATE TABLE statement is compared."""
    found = {}
    for part in items(sql):
        if part and not _is_constraint(part):
            words = [word.upper() for word in part]
            named = words[words.index("COLLATE") + 1] if "COLLATE" in words[:-1] else "BINARY"
            found[part[0].strip('"').lower()] = named.strip('"')
    return found


def options(sql: str) -> set[str]:
    """Return what stands behind the columns of a CREATE TABLE statement: WITHOUT ROWID, STRICT."""
    words = [word.upper() for word in tokens(sql)]
    last = len(words) - words[::-1].index(")") if ")" in words else len(words)
    return {option for option in " ".join(words[last:]).split(" , ") if option.strip(" ;")}


def normalised(sql: str) -> str:
    """Return a CREATE statement laid out as this package writes them."""
    parts = items(sql)
    words = tokens(sql)
    if words[1].upper() != "TABLE" or not parts:
        return f"{join(words)};"
    # Columns first, as SQLite wants them anyway.
    lines = [f"    {join(part, column=not _is_constraint(part))}" for part in parts]
    name = words[words.index("(") - 1]
    return f"CREATE TABLE {name} (\n" + ",\n".join(lines) + "\n);"


def join(words: list[str], *, column: bool = False) -> str:
    """Write tokens as text; in a column's definition the length stands close to its type."""
    text = ""
    for place, word in enumerate(words):
        close = (
            not text
            or word in {")", ",", ";", "."}
            or text[-1] in {"(", "."}
            or (column and word == "(" and place == 2)
        )
        text += word if close else f" {word}"
    return text


def _is_constraint(part: list[str]) -> bool:
    return part[0].upper() in _CONSTRAINTS


def _inside(words: list[str], opening: int) -> list[str]:
    return list(_until_closed(words[opening + 1 :]))


def _until_closed(words: list[str]) -> Iterator[str]:
    depth = 0
    for word in words:
        depth += {"(": 1, ")": -1}.get(word, 0)
        if depth < 0:
            return
        yield word
