"""CREATE statements as tokens: what SQLite keeps as its users wrote it, made comparable.

The PRAGMAs tell everything of a table but its CHECKs and the names of its constraints; those are
in the text of its CREATE statement only, between anyone's quotes, comments and line ends.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Collection
from functools import lru_cache
from itertools import pairwise

# A word is what is left without the signs of ASCII: `re` takes milliseconds to prepare a set that
# reaches up to the last of all characters.
_TOKEN = re.compile(
    r"""
      (?P<blank> (?: [ \t\n\f\r] | --[^\n]* | /\*.*?(?:\*/|\Z) )+ )
    | (?P<name> "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] )
    | (?P<other> '(?:[^']|'')*' | [^\x00-#%-/:-@\[-^`{-\x7f]+ | [<>=!|]+ | \S )
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN = re.compile(r"[A-Za-z_]\w*")
_CONSTRAINTS = {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"}
# Names that would be read as something else without their quotes: SQLite's own words.
_SQLITES_OWN = (
    "user add all alter and as autoincrement between case cast check collate commit constraint "
    "create default deferrable delete distinct drop else escape except exists foreign from group "
    "having in index insert intersect into is isnull join limit not nothing notnull null on or "
    "order primary raise references returning select set table then to transaction union unique "
    "update using values when where"
)
_QUOTED = frozenset(_SQLITES_OWN.split())
# What may follow the table and columns that are referred to.
_CLAUSES = re.compile(r"( ON \S+( SET| NO)? \S+| MATCH \S+| (NOT )?DEFERRABLE| INITIALLY \S+)*")
_SMALL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def tokens(sql: str) -> list[str]:
    """Return the tokens of a statement; comments are left out, names are quoted only if need be."""
    return list(_tokens(sql))


@lru_cache(512)  # each text is asked about several times, and of each file the same ones
def _tokens(sql: str) -> tuple[str, ...]:
    found = []
    for match in _TOKEN.finditer(sql):
        if match["name"]:
            found.append(_name(match["name"]))
        elif word := match["other"]:
            found.append('"user"' if word.lower() == "user" else word)
    return tuple(found)


def bare(word: str) -> str:
    """Return a name without the quotes it may be written in, in small letters as SQLite does it."""
    if word[0] in "\"'`[" and len(word) > 1:
        word = _inside_quotes(word)
    return word.translate(_SMALL)


def _inside_quotes(quoted: str) -> str:
    mark, name = quoted[-1], quoted[1:-1]
    return name if mark == "]" else name.replace(mark * 2, mark)


def _name(quoted: str) -> str:
    name = _inside_quotes(quoted)
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
    return [words[part] for part in _parts(words)]


def _parts(words: list[str]) -> list[slice]:
    """Return where the columns and constraints are among the tokens of a CREATE TABLE statement."""
    if "(" not in words:
        return []
    start = words.index("(") + 1
    end = start + len(_inside(words, start - 1))
    found = []
    depth = 0
    for place in range(start, end):
        depth += _DEPTH.get(words[place], 0)
        if words[place] == "," and depth == 0:
            found.append(slice(start, place))
            start = place + 1
    return [*found, slice(start, end)]


class _Written:
    """A CREATE TABLE statement as somebody wrote it, to be changed here and there.

    Every word, quote and blank that is not changed stays.
    """

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._found = [match for match in _TOKEN.finditer(sql) if not match["blank"]]
        self.words = [match[0] for match in self._found]
        self.upper = [word.upper() for word in self.words]
        self.parts = _parts(self.words)

    def is_constraint(self, part: slice) -> bool:
        return _is_constraint(self.words[part])

    def text(self, part: slice, changed: Collection[tuple[slice, str]] = ()) -> str:
        """Return the text of some tokens, with other texts in place of some of them."""
        place, end = self._found[part.start].start(), self._found[part.stop - 1].end()
        text = ""
        for tokens_, instead in sorted(changed, key=lambda change: change[0].start):
            text += self._sql[place : self._found[tokens_.start].start()] + instead
            place = self._found[tokens_.stop - 1].end()
        return text + self._sql[place:end]

    def whole(self, changed: Collection[tuple[slice, str]]) -> str:
        return self.text(slice(0, len(self.words)), changed)


def checks(sql: str) -> dict[str, str | None]:
    """Return the CHECKs of a CREATE TABLE statement, those of columns too: rule to name."""
    words = tokens(sql)
    found: dict[str, str | None] = {}
    for place, word in enumerate(words[:-1]):
        if word.upper() == "CHECK" and words[place + 1] == "(":
            named = words[place - 2].upper() == "CONSTRAINT"
            rule = join(_inside(words, place + 1))
            found[rule] = words[place - 1].strip('"') if named else None
    return found


def constraint_names(sql: str) -> list[str]:
    """Return the names that a CREATE TABLE statement gives to its constraints."""
    words = tokens(sql)
    return [name.strip('"') for word, name in pairwise(words) if word.upper() == "CONSTRAINT"]


def collations(sql: str) -> dict[str, str]:
    """Return by which collation each column of a CREATE TABLE statement is compared."""
    found = {}
    written = _Written(sql)
    for part in written.parts:
        if not written.is_constraint(part):
            words = written.upper[part]
            named = words[words.index("COLLATE") + 1] if "COLLATE" in words[:-1] else "BINARY"
            found[bare(written.words[part][0])] = named.strip('"')
    return found


def options(sql: str) -> list[str]:
    """Return what stands behind the columns of a CREATE TABLE statement: WITHOUT ROWID, STRICT."""
    words = [word.upper() for word in tokens(sql)]
    last = len(words) - words[::-1].index(")") if ")" in words else len(words)
    return [option for option in " ".join(words[last:]).split(" , ") if option.strip(" ;")]


def without_references(
    sql: str, is_wanted: Callable[[tuple[str, ...], str, tuple[str, ...]], bool]
) -> str:
    """Return a CREATE TABLE statement without some of its foreign keys.

    Parameters
    ----------
    is_wanted
        Says of the columns, the table referred to and the columns referred to, all in small
        letters, whether the foreign key goes.
    """
    written = _Written(sql)
    words, upper = written.words, written.upper
    cuts = []
    for part in written.parts:
        for at in range(part.start, part.stop):
            if upper[at] != "REFERENCES":
                continue
            start, columns = at, words[part][:1]
            if written.is_constraint(part):
                start = upper.index("FOREIGN", part.start)
                columns = _inside(words, start + 2)
            to = _inside(words, at + 2) if words[at + 2] == "(" else []
            if is_wanted(_bare_names(columns), bare(words[at + 1]), _bare_names(to)):
                end = part.stop - len(_after_reference(words[at : part.stop]))
                start -= 2 * (upper[start - 2] == "CONSTRAINT")
                start -= slice(start, end) == part  # with the comma before it
                cuts.append((slice(start, end), ""))
    return written.whole(cuts)


def _bare_names(words: list[str]) -> tuple[str, ...]:
    return tuple(bare(word) for word in words if word != ",")


def definitions(sql: str) -> dict[str, str]:
    """Return how each column of a CREATE TABLE statement is declared, as it is written there.

    One that is computed and stored is computed when it is read: none other can be added to a table.
    """
    written = _Written(sql)
    found = {}
    for part in written.parts:
        if not written.is_constraint(part):
            stored = [
                (slice(place, place + 1), "VIRTUAL")
                for place in range(part.start, part.stop)
                if written.upper[place] == "STORED" and written.words[place - 1] == ")"
            ]
            found[bare(written.words[part.start])] = written.text(part, stored)
    return found


def with_columns(sql: str, there: str, columns: Collection[str]) -> str:
    """Return a CREATE TABLE statement with some columns of another, and their constraints.

    Where they were its primary key, they are UNIQUE.

    Parameters
    ----------
    columns
        Their names, in small letters.
    """
    theirs, written = _Written(there), _Written(sql)
    own: list[str] = []
    rules: list[str] = []
    for part in theirs.parts:
        if theirs.is_constraint(part):
            if mentions(theirs.words[part], columns):
                rules.append(theirs.text(part, _no_key(theirs, part)))
        elif bare(theirs.words[part.start]) in columns:
            own.append(theirs.text(part, _no_key(theirs, part)))
    after = max(part.stop for part in written.parts if not written.is_constraint(part)) - 1
    end = written.parts[-1].stop - 1
    added = {after: own, end: [*own, *rules] if after == end else rules}
    return written.whole(
        [
            (slice(place, place + 1), ", ".join([written.words[place], *texts]))
            for place, texts in added.items()
        ]
    )


def mentions(words: list[str], columns: Collection[str]) -> bool:
    """Whether one of some columns, in small letters, is among tokens, the first bracket on."""
    return any(
        bare(word) in columns and not (word.startswith("'") or word.lower() in _QUOTED)
        for word in words[words.index("(") if "(" in words else 0 :]
    )


def _no_key(written: _Written, part: slice) -> list[tuple[slice, str]]:
    """Return what makes of a primary key among some tokens something UNIQUE."""
    changed = []
    upper = written.upper
    for place in range(part.start, part.stop):
        if upper[place] == "AUTOINCREMENT":
            changed.append((slice(place, place + 1), ""))
        elif upper[place : place + 2] == ["PRIMARY", "KEY"]:
            ordered = upper[place + 2 : place + 3] in (["ASC"], ["DESC"])
            changed.append((slice(place, place + 2 + ordered), "UNIQUE"))
    return changed


def in_a_line(sql: str) -> str:
    """Return a statement without its comments, one of which may end what follows, and line ends."""
    return _TOKEN.sub(lambda match: " " if match["blank"] else match[0], sql).strip()


def renamed(sql: str, name: str, *, plainly: bool) -> str:
    """Return the CREATE statement of an index or view that gives it another name.

    Parameters
    ----------
    name
        As it is to be written.
    plainly
        Whether an index is not to be UNIQUE.
    """
    written = _Written(sql)
    place = next(p for p, word in enumerate(written.upper) if word in {"INDEX", "VIEW"})
    changed = [(slice(place + 1, place + 2), name)]
    if plainly and written.upper[place - 1] == "UNIQUE":
        changed.append((slice(place - 1, place), ""))
    return written.whole(changed)


def _after_reference(words: list[str]) -> list[str]:
    """Return what follows a REFERENCES clause in the definition of a column."""
    place = 2
    if words[place : place + 1] == ["("]:
        place += len(_inside(words, place)) + 2
    clauses = next(_CLAUSES.finditer("".join(f" {word.upper()}" for word in words[place:])))
    return words[place + clauses[0].count(" ") :]


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
