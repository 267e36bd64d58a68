"""CREATE statements as tokens: what SQLite keeps as its users wrote it, made comparable.

The PRAGMAs tell everything of a table but its CHECKs and the names of its constraints; those are
in the text of its CREATE statement only, between anyone's quotes, comments and line ends.
"""

from __future__ import annotations

import re
from collections.abc import Collection
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
        elif word := match["other"]:
            found.append(_name(f'"{word}"') if word.lower() in _QUOTED else word)
    return found


def _name(quoted: str) -> str:
    mark, name = quoted[-1], quoted[1:-1]
    name = name.replace(mark * 2, mark) if mark != "]" else name
    if _PLAIN.fullmatch(name) and name.lower() not in _QUOTED:
        return name
    return '"' + name.replace('"', '""') + '"'


def unquoted(sql: str, names: Collection[str]) -> str:
    """Return a statement in which some names, in small letters, have no quotes around them."""

    def plain(match: re.Match[str]) -> str:
        name = _name(match["name"]) if match["name"] else ""
        return name if name.lower() in names else match[0]

    return _TOKEN.sub(plain, sql)


def items(sql: str) -> list[list[str]]:
    """Return the columns and constraints of a CREATE TABLE statement, each as its tokens."""
    words = tokens(sql)
    if "(" not in words:
        return []
    found: list[list[str]] = [[]]
    depth = 0
    for word in _inside(words, words.index("(")):
        depth += _DEPTH.get(word, 0)
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


def without_reference(sql: str, columns: Collection[str]) -> str:
    """Return a CREATE TABLE statement without the foreign key of just these columns."""
    wanted = {column.lower() for column in columns}
    parts = []
    for part in items(sql):
        upper = [word.upper() for word in part]
        at = upper.index("REFERENCES") if "REFERENCES" in upper else None
        key = upper.index("FOREIGN") if "FOREIGN" in upper and _is_constraint(part) else None
        if at is None:
            parts.append(part)
        elif key is not None:
            of = {word.strip('"').lower() for word in _inside(part, key + 2) if word != ","}
            parts += [] if of == wanted else [part]
        elif {part[0].strip('"').lower()} == wanted:
            named = at >= 2 and upper[at - 2] == "CONSTRAINT"
            parts.append(part[: at - 2 * named] + _after_reference(part[at:]))
        else:
            parts.append(part)
    return _with_items(sql, parts)


def in_a_line(sql: str) -> str:
    """Return a CREATE statement without its comments and line ends."""
    words = tokens(sql)
    return _with_items(sql, items(sql)) if words[1].upper() == "TABLE" else join(words)


def _with_items(sql: str, parts: list[list[str]]) -> str:
    words = tokens(sql)
    end = len(words) - words[::-1].index(")")
    head, tail = join(words[: words.index("(")]), join(words[end:])
    return f"{head} ({', '.join(map(_laid_out, parts))}) {tail}".strip()


def _after_reference(words: list[str]) -> list[str]:
    """Return what follows a REFERENCES clause in the definition of a column."""
    place = 2
    if words[place : place + 1] == ["("]:
        place += len(_inside(words, place)) + 2
    while place < len(words):
        upper = [word.upper() for word in words[place:]]
        if upper[0] == "ON":
            place += 4 if upper[2] in {"SET", "NO"} else 3
        elif upper[0] in {"MATCH", "INITIALLY"}:
            place += 2
        elif upper[0] == "DEFERRABLE" or upper[:2] == ["NOT", "DEFERRABLE"]:
            place += 1 + (upper[0] == "NOT")
        else:
            break
    return words[place:]


def normalised(sql: str) -> str:
    """Return a CREATE statement laid out as this package writes them."""
    parts = items(sql)
    words = tokens(sql)
    if words[1].upper() != "TABLE" or not parts:
        return f"{join(words)};"
    # Columns first, as SQLite wants them anyway.
    lines = [f"    {_laid_out(part)}" for part in parts]
    name = words[words.index("(") - 1]
    return f"CREATE TABLE {name} (\n" + ",\n".join(lines) + "\n);"


def _laid_out(part: list[str]) -> str:
    return join(part, column=not _is_constraint(part))


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
    """Return what stands between a bracket and the one that closes it."""
    depth = 0
    for place, word in enumerate(words[opening:], opening):
        depth += _DEPTH.get(word, 0)
        if depth == 0:
            return words[opening + 1 : place]
    return words[opening + 1 :]


_DEPTH = {"(": 1, ")": -1}
