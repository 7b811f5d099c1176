# SPDX-License-Identifier: GPL-3.0-or-later
"""Small faults in Python source, as a change of its text. Pure.

The kinds of faults are those of people: a guard that always or never holds, a boundary that is
off by one, an element or a call that is left out, a flag that is turned, a lock that is not taken.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
BOUNDARIES = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
# An addition is left alone: most add strings, and every test would notice.
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Sub: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
COLLECTIONS = (ast.Tuple, ast.List, ast.Set)


@dataclass(frozen=True)
class Mutant:
    """One fault: the new source, and what a reader needs to judge it.

    ``lines`` are the lines of the statement without the block below it, and ``is_outer`` tells that
    an import executes them.
    """

    line: int
    lines: range
    is_outer: bool
    text: str
    change: str
    source: str


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a source text, in the order of its lines."""
    tree = ast.parse(source)
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    encoded = source.encode()
    statements = dict(_statements(tree, is_outer=True))
    result = []
    for node, (end_line, end_column), replacement, change in _changes(tree):
        begin = starts[node.lineno - 1] + node.col_offset
        rest = encoded[starts[end_line - 1] + end_column :]
        changed = encoded[:begin] + replacement.encode() + rest
        # What does not compile is noticed without a test.
        compile(changed, "mutant", "exec")
        found = Mutant(
            node.lineno,
            *statements[node.lineno],
            text=lines[node.lineno - 1].strip(),
            change=change,
            source=changed.decode(),
        )
        result.append(found)
    return sorted(result, key=lambda mutant: mutant.line)


def _statements(
    node: ast.AST, is_outer: bool
) -> Iterator[tuple[int, tuple[range, bool]]]:
    """Yield each line with its statement's lines; that of the innermost statement is the last."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.excepthandler)):
            block = getattr(child, "body", None)
            last = block[0].lineno - 1 if block else _end(child)[0]
            decorators = getattr(child, "decorator_list", ())
            first = min(one.lineno for one in (child, *decorators))
            lines = range(first, max(last, child.lineno) + 1)
            yield from ((line, (lines, is_outer)) for line in lines)
        is_function = isinstance(child, (ast.FunctionDef, ast.Lambda))
        yield from _statements(child, is_outer and not is_function)


# A node, the line and column at which the replaced text ends, the new text, and a description.
Change = tuple[ast.expr | ast.stmt, tuple[int, int], str, str]


def _changes(tree: ast.Module) -> Iterator[Change]:
    # The same fault twice would only count twice: a condition is True or False, and a part of a
    # condition is left out.
    parts: set[ast.expr] = set()
    for node in _executed(tree):
        for condition, values in _conditions(node):
            parts.add(condition)
            if not isinstance(condition, ast.Constant):
                for value in values:
                    change = f"{ast.unparse(condition)} -> {value}"
                    yield condition, _end(condition), value, change
        if isinstance(node, ast.BoolOp):
            parts.update(node.values)
        if isinstance(node, ast.expr):
            for new, change in _expressions(node, node in parts):
                yield node, _end(node), f"({new})", change
        elif isinstance(node, ast.With):
            first = node.body[0]
            header = ", ".join(map(ast.unparse, node.items))
            replacement = "if True:\n" + " " * first.col_offset
            end = (first.lineno, first.col_offset)
            yield node, end, replacement, f"with {header} -> left out"
        elif isinstance(node, ast.AugAssign) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        ):
            yield node, _end(node), "pass", f"{ast.unparse(node)} -> left out"


def _end(node: ast.expr | ast.stmt | ast.excepthandler) -> tuple[int, int]:
    assert node.end_lineno is not None and node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a tree without annotations and decorators.

    Nothing evaluates annotations. A dataclass that is not frozen does the same for honest code.
    """
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    # Python 3.11 knows no places inside of an f-string.
    if isinstance(node, ast.JoinedStr):
        return
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns", "decorator_list"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _executed(child)


def _conditions(node: ast.AST) -> Iterator[tuple[ast.expr, tuple[str, ...]]]:
    """Yield the conditions that a node consists of, and what they may be by mistake."""
    if isinstance(node, (ast.If, ast.IfExp)):
        yield node.test, ("True", "False")
    elif isinstance(node, ast.While):
        yield node.test, ("False",)
    elif isinstance(node, ast.comprehension):
        for condition in node.ifs:
            yield condition, ("True",)


def _expressions(node: ast.expr, is_part: bool) -> Iterator[tuple[str, str]]:
    """Yield what may stand in place of an expression by mistake, with a description."""
    old = ast.unparse(node)
    if isinstance(node, ast.Dict):
        yield from _without_one_key(node)
    elif isinstance(node, COLLECTIONS):
        yield from _without_one_element(node)
    elif isinstance(node, ast.Compare):
        for turned in _turned(node, is_part):
            yield ast.unparse(turned), f"{old} -> {ast.unparse(turned)}"
    elif isinstance(node, ast.BoolOp):
        for rest in _without_one(node.values):
            new = ast.unparse(ast.BoolOp(node.op, rest) if rest[1:] else rest[0])
            yield new, f"{old} -> {new}"
    else:
        new = _single(node, is_part)
        if new:
            yield new, f"{old} -> {new}"


def _single(node: ast.expr, is_part: bool) -> str:
    """Return the one thing that may stand in place of an expression, if there is one."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) and not is_part:
        return ast.unparse(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return repr(not node.value)
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return repr(node.value + 1)
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        operator = OPERATORS[type(node.op)]()
        return ast.unparse(ast.BinOp(node.left, operator, node.right))
    return ""


def _turned(node: ast.Compare, is_part: bool) -> Iterator[ast.Compare]:
    for index, operator in enumerate(node.ops):
        if type(operator) in BOUNDARIES or not is_part:
            operators = node.ops[:]
            operators[index] = TURNED[type(operator)]()
            yield ast.Compare(node.left, operators, node.comparators)


def _without_one_key(node: ast.Dict) -> Iterator[tuple[str, str]]:
    for index, key in enumerate(node.keys):
        keys, values = node.keys[:], node.values[:]
        del keys[index], values[index]
        name = ast.unparse(key or node.values[index])
        if keys:
            yield ast.unparse(ast.Dict(keys, values)), f"{name} -> left out"


def _without_one_element(
    node: ast.Tuple | ast.List | ast.Set,
) -> Iterator[tuple[str, str]]:
    # Not the names that an assignment or a loop unpacks to.
    if isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        for element, rest in zip(node.elts, _without_one(node.elts), strict=True):
            shortened = ast.Set(rest)
            if not isinstance(node, ast.Set):
                shortened = type(node)(rest, ast.Load())
            if rest:
                yield ast.unparse(shortened), f"{ast.unparse(element)} -> left out"


def _without_one(elements: list[ast.expr]) -> Iterator[list[ast.expr]]:
    for index in range(len(elements)):
        yield elements[:index] + elements[index + 1 :]
