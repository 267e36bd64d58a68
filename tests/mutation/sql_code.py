"""Mutants of SQL: conditions, joins, orders, min and max, comparisons, branches of CASE."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .mutant import Mutant

# Comments are passed over: they have no group.
TOKEN = re.compile(
    r"--[^\n]*|(?P<name>\"[^\"]*\"|:[a-z_0-9]+)|(?P<text>'(?:[^']|'')*')|(?P<comparison><>|<=|>=|!=|==|=|<|>)"
    r"|(?P<word>[A-Za-z_][A-Za-z_0-9]*)|(?P<number>\d+)|(?P<bracket>[()])"
    r"|(?P<other>[,;+*/-]|\|\|)"
)
HEADER = re.compile(r"^-- name: (\w+)\(", re.M)
COMPARISONS = {
    "=": "<>",
    "<>": "=",
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "!=": "=",
    "==": "<>",
}
WORDS = {
    "AND": "OR",
    "OR": "AND",
    "MIN": "max",
    "MAX": "min",
    "DESC": "ASC",
    "ASC": "DESC",
    "UNION ALL": "UNION",
    "DISTINCT": "",
    "NOT": "",
    "EXISTS": "NOT EXISTS",
    "LEFT JOIN": "JOIN",
    "INNER JOIN": "LEFT JOIN",
    "IS NOT": "IS",
    "IS": "IS NOT",
    "IN": "NOT IN",
    "SUM": "max",
    "COUNT": "max",
}
# After these the word is part of another, or the mutant would be no SQL.
SAID_ALREADY = {
    "NOT": {"IF"},
    "EXISTS": {"IF", "NOT"},
    "IN": {"NOT"},
    "DISTINCT": {"IS", "NOT"},
    "OR": {"CREATE"},
}
OPPOSITES = {"'START'": "'END'", "'END'": "'START'"}
ENDS_CONDITION = {
    *("AND", "OR", "GROUP", "ORDER", "LIMIT", "UNION", "WHEN", "THEN", "ELSE", "END", "HAVING"),
    *("RETURNING", "WINDOW", "LEFT", "JOIN", "WHERE", "ON", "EXCEPT", "DO"),
}


def mutants(path: str, text: str) -> Iterator[Mutant]:
    """Every mutant of a file; a file of migrations counts as one statement."""
    tokens = [token for token in TOKEN.finditer(text) if token.lastgroup]
    headers = [(match.start(), match[1]) for match in HEADER.finditer(text)]

    def made(begin: int, end: int, replacement: str) -> Mutant:
        line = text.count("\n", 0, begin) + 1
        name = next((name for start, name in reversed(headers) if start < begin), "")
        return Mutant(path, line, begin, end, replacement, name)

    for number, token in enumerate(tokens):
        word = token["word"] and token["word"].upper()
        following = tokens[number + 1]["word"] if number + 1 < len(tokens) else None
        previous = tokens[number - 1]["word"] if number else None
        pair = f"{word} {(following or '').upper()}"
        if token["comparison"]:
            if token[0] in COMPARISONS and not _is_assignment(tokens, number):
                yield made(*token.span(), COMPARISONS[token[0]])
        elif token["text"]:
            yield made(*token.span(), OPPOSITES.get(token[0], "'mutant'"))
        elif token["number"]:
            if (previous or "").upper() == "SELECT":  # what EXISTS selects is all the same
                continue
            yield made(*token.span(), str(int(token[0]) + 1))
        elif pair in WORDS:
            yield made(token.start(), tokens[number + 1].end(), WORDS[pair])
        elif word in WORDS and not _is_part(tokens, number):
            yield made(*token.span(), WORDS[word])
        if word in {"AND", "OR", "WHERE", "HAVING"} or (word == "ON" and _joins(tokens, number)):
            end = _end_of_condition(tokens, number + 1, between=word == "AND")
            condition = text[token.end() : end]
            if end is not None and ":" in condition:
                # The parameters of a statement must stay, or it would not even be read.
                always = "AND FALSE" if word == "OR" else "OR TRUE"
                yield made(token.end(), end, f" ({condition} {always})")
            elif end is not None and word in {"AND", "OR"}:
                yield made(token.start(), end, "")
            elif end is not None:
                yield made(token.end(), end, " TRUE ")
        if word == "BY" and (previous or "").upper() == "ORDER":
            yield from (made(*span, "") for span in _order_terms(tokens, number + 1))
            if end := _end_of_ascending(tokens, number + 1):
                yield made(end, end, " DESC")
        if word == "WHEN":
            then = next(i for i in range(number, len(tokens)) if tokens[i][0].upper() == "THEN")
            begin = token.end()
            yield made(begin, tokens[then].start(), f" NOT ({text[begin : tokens[then].start()]}) ")


def _is_part(tokens: list[re.Match[str]], number: int) -> bool:
    """Whether a word alone cannot be changed: it belongs to what stands before or behind it."""
    word = tokens[number][0].upper()
    before = [token[0].upper() for token in tokens[max(0, number - 20) : number]]
    previous = before[-1] if before else ""
    if f"{previous} {word}" in WORDS or previous in SAID_ALREADY.get(word, ()):
        return True
    if word == "COUNT":  # max(*) is none
        return tokens[number + 2][0] == "*"
    conditions = [one for one in before if one in {"BETWEEN", "AND", "OR", "WHERE", "ON"}]
    return word == "AND" and conditions[-1:] == ["BETWEEN"]


def _joins(tokens: list[re.Match[str]], number: int) -> bool:
    """Whether an ON is that of a join, neither of an index nor ON CONFLICT."""
    return "JOIN" in {token[0].upper() for token in tokens[max(0, number - 5) : number]}


def _is_assignment(tokens: list[re.Match[str]], number: int) -> bool:
    """Whether an `=` stands in the list of an UPDATE's SET, at its own level."""
    depth = 0
    for token in reversed(tokens[:number]):
        depth += (token[0] == ")") - (token[0] == "(")
        word = token[0].upper()
        if depth < 0 or word in {"WHERE", "ON", "WHEN", "AND", "OR", "FROM", "SELECT"}:
            return False
        if depth == 0 and word == "SET":
            return True
    return False


def _end_of_condition(tokens: list[re.Match[str]], number: int, *, between: bool) -> int | None:
    """Where the condition that begins at a token ends: before the next at its level."""
    depth = 0
    end = None
    for token in tokens[number:]:
        if depth == 0 and (token[0] in {")", ";", ","} or token[0].upper() in ENDS_CONDITION):
            break
        depth += (token[0] in {"(", "CASE"}) - (token[0] in {")", "END"})
        end = token.end()
    return end


def _order_terms(tokens: list[re.Match[str]], number: int) -> Iterator[tuple[int, int]]:
    """Each term of an ORDER BY of several, with the comma that parts it from the others."""
    begins, commas, depth = [tokens[number].start()], [], 0
    end = tokens[number].end()
    for token in tokens[number:]:
        over = token[0] in {")", ";"} or token[0].upper() in {"LIMIT", "ROWS", "RANGE"}
        if depth == 0 and over:
            break
        depth += (token[0] == "(") - (token[0] == ")")
        if depth == 0 and token[0] == ",":
            commas.append(token.start())
            begins.append(token.end())
        end = token.end()
    if commas:
        yield begins[0], commas[0] + 1
        yield from zip(commas, [*commas[1:], end], strict=True)


def _end_of_ascending(tokens: list[re.Match[str]], number: int) -> int | None:
    """Where the first term of an ORDER BY ends that goes up."""
    depth = 0
    for before, token in zip(tokens[number - 1 :], tokens[number:], strict=False):
        word = token[0].upper()
        if depth == 0 and word in {"DESC", "ASC"}:
            return None
        if depth == 0 and word in {",", ")", ";", "NULLS", "LIMIT", "ROWS", "RANGE"}:
            return before.end()
        depth += (word == "(") - (word == ")")
    return None
