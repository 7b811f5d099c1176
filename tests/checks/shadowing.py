# SPDX-License-Identifier: GPL-3.0-or-later
"""Find local names that hide an import or a function of the same file.

Ruff has no counterpart of pylint's redefined-outer-name (W0621).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class LocalName(NamedTuple):
    """A parameter or variable of a function."""

    line: int
    name: str


def shadowing_names(source: str) -> list[LocalName]:
    """Return the local names that hide an import or a top-level function, in order of lines."""
    tree = ast.parse(source)
    hidden = outer_names(tree)
    names = {
        local
        for function in ast.walk(tree)
        if isinstance(function, FUNCTIONS)
        for local in local_names(function)
        if local.name in hidden
    }
    return sorted(names)


def outer_names(tree: ast.Module) -> set[str]:
    """Return the names of the imports and functions at the top level of a file."""
    names: set[str] = set()
    for statement in top_level(tree.body):
        if isinstance(statement, ast.Import):
            # `import os.path` binds `os`.
            names |= {
                alias.asname or alias.name.split(".")[0] for alias in statement.names
            }
        elif isinstance(statement, ast.ImportFrom) and statement.module != "__future__":
            names |= {alias.asname or alias.name for alias in statement.names}
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(statement.name)
    return names


def top_level(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements, including those in top-level `if` and `try` blocks."""
    for statement in statements:
        yield statement
        if isinstance(statement, (ast.If, ast.Try)):
            yield from top_level([*statement.body, *statement.orelse])
        if isinstance(statement, ast.Try):
            yield from top_level(statement.finalbody)
            for handler in statement.handlers:
                yield from top_level(handler.body)


def local_names(function: Function) -> Iterator[LocalName]:
    """Yield the parameters and variables of a function, except those of nested functions.

    A name declared `global` is not local. A variable of a comprehension counts.
    """
    yield from parameters(function.args)
    body = function.body if isinstance(function.body, list) else [function.body]
    nodes = [node for statement in body for node in nodes_of_one_scope(statement)]
    outer = {
        name
        for node in nodes
        if isinstance(node, (ast.Global, ast.Nonlocal))
        for name in node.names
    }
    for node in nodes:
        for local in bound_names(node):
            if local.name not in outer:
                yield local


def parameters(arguments: ast.arguments) -> Iterator[LocalName]:
    """Yield the parameters of a function."""
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
    for argument in every:
        yield LocalName(argument.lineno, argument.arg)


def nodes_of_one_scope(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and its descendants, without the inside of nested functions and classes."""
    yield node
    if isinstance(node, (*DEFINITIONS, ast.Lambda)):
        return
    for child in ast.iter_child_nodes(node):
        yield from nodes_of_one_scope(child)


def bound_names(node: ast.AST) -> Iterator[LocalName]:
    """Yield the names that a node binds itself."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield LocalName(node.lineno, node.id)
    elif isinstance(node, DEFINITIONS) or (
        isinstance(node, ast.ExceptHandler) and node.name
    ):
        yield LocalName(node.lineno, node.name)
