"""Mutants of Python: comparisons, conditions, numbers, results, and statements left out."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .mutant import Mutant

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "+",
    ast.FloorDiv: "*",
    ast.Div: "*",
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}


def mutants(path: str, text: str) -> Iterator[Mutant]:
    """Every mutant of a module."""
    lines = [0]
    for line in text.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    rows = text.splitlines()

    def offset(row: int, column: int) -> int:
        # ast counts bytes of UTF-8.
        return lines[row - 1] + len(rows[row - 1].encode()[:column].decode())

    def begin(node: ast.expr | ast.stmt) -> int:
        return offset(node.lineno, node.col_offset)

    def end(node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return offset(node.end_lineno, node.end_col_offset)

    def made(node: ast.expr | ast.stmt, first: int, last: int, replacement: str) -> Mutant:
        return Mutant(path, node.lineno, first, last, replacement)

    def of(node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                gap = text[end(left) : begin(right)]
                if not gap.strip(" ()\n").startswith("#"):
                    opening = gap.count("(") * "("
                    closing = gap.count(")") * ")"
                    new = f"{closing} {COMPARISONS[type(operator)]} {opening}"
                    yield made(node, end(left), begin(right), new)
            case ast.BoolOp(op=operator, values=[first, second, *_]):
                word = "and" if isinstance(operator, ast.And) else "or"
                gap = text[end(first) : begin(second)]
                other = "or" if word == "and" else "and"
                yield made(node, end(first), begin(second), gap.replace(word, other, 1))
                yield made(node, begin(node), end(first) + gap.index(word) + len(word), "")
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
                if not any(
                    isinstance(part, ast.Constant | ast.JoinedStr) for part in (left, right)
                ):
                    gap = text[end(left) : begin(right)]
                    sign = gap.strip(" ()\n")
                    new = gap.replace(sign, OPERATORS[type(operator)], 1)
                    yield made(node, end(left), begin(right), new)
            case ast.UnaryOp(op=ast.Not()):
                yield made(node, begin(node), begin(node) + len("not"), "")
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                yield made(test, begin(test), end(test), f"not ({text[begin(test) : end(test)]})")
            case ast.Constant(value=bool() as value):
                yield made(node, begin(node), end(node), str(not value))
            case ast.Constant(value=int() | float() as value):
                yield made(node, begin(node), end(node), str(value + 1))
            case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
                yield made(node, begin(node), end(node), "return None")
            case ast.Call(func=ast.Name(id=name)) if name in NAMES:
                yield made(node.func, begin(node.func), end(node.func), NAMES[name])
            case ast.Expr(value=ast.Call() | ast.Await() | ast.Yield()) | ast.Raise():
                yield made(node, begin(node), end(node), "pass")
            case ast.AugAssign() | ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
                yield made(node, begin(node), end(node), "pass")
            case ast.Break():
                yield made(node, begin(node), end(node), "continue")
            case ast.Continue():
                yield made(node, begin(node), end(node), "break")

    for node in _code(ast.parse(text)):
        yield from of(node)


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that do something: no annotation, no decorator, no Literal, no `strict`."""
    for name, value in ast.iter_fields(tree):
        if name in {"annotation", "returns", "decorator_list"}:
            continue
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST) and not _for_readers(node):
                yield node
                yield from _code(node)


def _for_readers(node: ast.AST) -> bool:
    """Whether a node is for type checkers or people alone: two lists are as long by design."""
    match node:
        case ast.keyword(arg="strict"):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Subscript(value=ast.Name(id="Literal" | "Annotated" | "ClassVar")):
            return True
    return False
