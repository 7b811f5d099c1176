# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert templates of Prometheus' alerts so that Grafana prints the same text. Pure.

Both use Go's text/template and Prometheus' functions, with three differences:

- The value is ``.Value`` and ``$value`` there, and ``$values.B.Value`` of the reduction here.
- A label that the result lacks is empty there, and ``[no value]`` here, unless ``index`` reads it.
- External labels, addresses and queries exist there only.

The scopes of variables and of the dot follow text/template: a name that a template declares is its
own from there to the ``end``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

DATA, LABELS, VALUE, EXTERNAL, OTHER = "data", "labels", "value", "external", "other"
# What Prometheus declares before each template.
_PREDECLARED = {
    "$": DATA,
    "$labels": LABELS,
    "$value": VALUE,
    "$externalLabels": EXTERNAL,
    "$externalURL": EXTERNAL,
}
_FIELDS = {
    ".Labels": LABELS,
    ".Value": VALUE,
    ".ExternalLabels": EXTERNAL,
    ".ExternalURL": EXTERNAL,
}
_CONTROLS = ("if", "with", "range")
_CONSTANTS = ("true", "false", "nil")
# Those of Go and of Prometheus, and Grafana's own.
_FUNCTIONS = (
    *("and", "or", "not", "eq", "ge", "gt", "le", "lt", "ne", "call", "html", "index"),
    *("js", "len", "print", "printf", "println", "slice", "urlquery"),
    *("args", "reReplaceAll", "safeHtml", "match", "title", "toUpper", "toLower"),
    *("stripPort", "stripDomain", "humanize", "humanize1024", "humanizeDuration"),
    *("humanizePercentage", "humanizeTimestamp", "toTime", "parseDuration"),
    *("filterLabels", "filterLabelsRe", "removeLabels", "removeLabelsRe"),
    "mergeLabelValues",
)
# They take an expression in Prometheus, and JSON in Grafana.
_LINKS = ("graphLink", "tableLink")
# They need a query, which returns nothing in Grafana.
_QUERY_FUNCTIONS = ("query", "first", "label", "value", "strvalue", "sortByLabel")
_LEFT = re.compile(r"\{\{(?:-(?=\s))?\s*")
_COMMENT = re.compile(r"/\*.*?\*/\s*-?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<space>\s+(?:-(?=\}\}))?)
    |(?P<end>\}\})
    |(?P<literal>"(?:\\.|[^"\\\n])*"|`[^`]*`|'(?:\\.|[^'\\\n])+'
        |[-+]?\.?[0-9](?:[eEpP][-+]|[\w.])*)
    |(?P<declare>:=)
    |(?P<assign>=)
    |(?P<pipe>\|)
    |(?P<open>\()
    |(?P<close>\))
    |(?P<comma>,)
    |(?P<variable>\$\w*)
    |(?P<field>\.[^\W\d]\w*)
    |(?P<dot>\.)
    |(?P<word>[^\W\d]\w*)""",
    re.VERBOSE,
)


UNCLOSED = "has {{ without its }}"


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int
    # Whether it follows the token before it without a space.
    is_glued: bool


class _Frame(NamedTuple):
    """The scope around a control structure, and the one after its pipeline."""

    outer: dict[str, str]
    outer_dot: str
    inner: dict[str, str]


class _Operand(NamedTuple):
    """A part of a command; the label's token if it is a label of the result."""

    start: int
    label: _Token | None
    is_read_on: bool


def convert_template(template: str) -> str:
    """Return a template for Grafana; raises ValueError for one that it cannot have."""
    problem = structure_problem(template)
    if problem:
        raise ValueError(f"{problem}; correct it")
    conversion = _Conversion(template, {**_PREDECLARED})
    if not conversion.assigns_value:
        return conversion.result()
    # Then the variable has to be the template's own from the beginning.
    own = _Conversion(template, {**_PREDECLARED, "$value": OTHER})
    return "{{ $value := $values.B.Value }}" + own.result()


def query_functions(template: str) -> list[str]:
    """Return the functions of a template that work with queries."""
    try:
        actions = _actions(template)
    except ValueError:
        # Grafana sends such text as it is.
        return []
    words = [token.text for action in actions for token in action]
    return [word for word in dict.fromkeys(words) if word in _QUERY_FUNCTIONS]


def structure_problem(template: str) -> str | None:
    """Return why the actions of a template do not fit; None if they do, or nothing is known."""
    try:
        actions = _actions(template)
    except ValueError as error:
        return UNCLOSED if str(error) == UNCLOSED else None
    open_words: list[str] = []
    for action in actions:
        word = action[0].text if action and action[0].kind == "word" else ""
        if word == "define" and open_words:
            return "has a define within another action"
        if word in ("end", "else") and not open_words:
            return f"has {word} without a beginning"
        if word in _CONTROLS and len(action) == 1:
            return f"has {word} without a value"
        if word == "end":
            open_words.pop()
        elif word in (*_CONTROLS, "define", "block"):
            open_words.append(word)
    return f"has {open_words[-1]} without an end" if open_words else None


def _actions(template: str) -> list[list[_Token]]:
    """Return the tokens of each action that is no comment.

    Raises ValueError for one that is not closed, or that cannot be read.
    """
    actions: list[list[_Token]] = []
    position = 0
    while True:
        left = _LEFT.search(template, position)
        if not left:
            return actions
        position = left.end()
        comment = _COMMENT.match(template, position)
        if comment:
            position = comment.end()
            continue
        tokens: list[_Token] = []
        is_glued = False
        while True:
            match = _TOKEN.match(template, position)
            if not match:
                if position == len(template):
                    raise ValueError(UNCLOSED)
                raise ValueError(f"cannot be read from {template[position:][:20]!r} on")
            position = match.end()
            kind = str(match.lastgroup)
            if kind == "end":
                break
            if kind != "space":
                tokens.append(_Token(kind, match[0], *match.span(), is_glued))
            is_glued = kind != "space"
        actions.append(tokens)


class _Conversion:
    """The edits of one template, found by following its scopes."""

    def __init__(self, template: str, variables: dict[str, str]) -> None:
        self.template = template
        self.edits: list[tuple[int, int, str]] = []
        self.assigns_value = False
        self.variables = variables
        self.dot = DATA
        self.frames: list[_Frame] = []
        # Name -> the actions between define and end, and the dots with which it is called.
        self.definitions: dict[str, list[list[_Token]]] = {}
        self.calls: dict[str, set[str]] = {}
        self._follow(_actions(template))
        self._follow_definitions()

    def result(self) -> str:
        """Return the template with all edits."""
        result = self.template
        for start, end, text in sorted(self.edits, reverse=True):
            result = result[:start] + text + result[end:]
        return result

    def _follow(self, actions: list[list[_Token]]) -> None:
        position = 0
        while position < len(actions):
            action = actions[position]
            position += 1
            if not action:
                continue
            word = action[0].text if action[0].kind == "word" else ""
            if word in ("define", "block"):
                end = _end_of(actions, position)
                name = _string(action[1:2])
                self.definitions[name] = actions[position:end]
                position = end + 1
                if word == "block":
                    self._call(name, action[2:])
            elif word == "template":
                self._call(_string(action[1:2]), action[2:])
            else:
                self._follow_action(word, action)

    def _follow_action(self, word: str, action: list[_Token]) -> None:
        if word in _CONTROLS:
            outer = self.variables
            self.variables = dict(outer)
            kind = self._pipeline(action[1:], in_range=word == "range")
            self.frames.append(_Frame(outer, self.dot, dict(self.variables)))
            self._set_dot(word, kind)
        elif word == "else" and self.frames:
            frame = self.frames[-1]
            self.variables, self.dot = dict(frame.inner), frame.outer_dot
            if len(action) > 1:
                kind = self._pipeline(action[2:])
                self._set_dot(action[1].text, kind)
        elif word == "end" and self.frames:
            frame = self.frames.pop()
            self.variables, self.dot = frame.outer, frame.outer_dot
        elif word not in ("break", "continue", "end", "else"):
            self._pipeline(action)

    def _set_dot(self, word: str, kind: str) -> None:
        if word != "if":
            self.dot = kind if word == "with" else OTHER

    def _call(self, name: str, argument: list[_Token]) -> None:
        kind = self._pipeline(argument) if argument else OTHER
        self.calls.setdefault(name, set()).add(kind)

    def _follow_definitions(self) -> None:
        """Follow each definition with the dot of its calls."""
        done: set[str] = set()
        while set(self.calls) - done:
            name = sorted(set(self.calls) - done)[0]
            done.add(name)
            kinds = self.calls[name]
            self.dot = min(kinds)
            self.variables = {"$": self.dot}
            self.frames = []
            self._follow(self.definitions.get(name, []))
            if len(self.calls[name]) > 1:
                raise ValueError(
                    f"calls the template {name} with different values; call it with one"
                )

    def _pipeline(self, tokens: list[_Token], *, in_range: bool = False) -> str:
        """Follow a pipeline and return what its value is."""
        names, is_declaration, tokens = _declared(tokens)
        kind, rest = self._commands(tokens)
        if rest:
            raise ValueError(f"cannot be read at {rest[0].text!r}")
        for name in names:
            if is_declaration:
                self.variables[name] = OTHER if in_range else kind
            elif self.variables.get(name) == VALUE:
                self.assigns_value = True
            elif self.variables.get(name) not in (None, OTHER):
                raise ValueError(f"assigns to {name}, which cannot be followed")
        return kind

    def _commands(self, tokens: list[_Token]) -> tuple[str, list[_Token]]:
        """Follow commands up to a closing parenthesis; return the value and the other tokens."""
        kinds: list[str] = []
        operands: list[_Operand] = []
        commands = 1
        while tokens and tokens[0].kind != "close":
            if tokens[0].kind == "pipe":
                self._read_labels(operands)
                operands = []
                commands += 1
                tokens = tokens[1:]
                continue
            kind, operand, tokens = self._operand(tokens)
            kinds.append(kind)
            operands.append(operand)
        self._read_labels(operands)
        is_single = commands == len(kinds) == 1
        return kinds[0] if is_single else OTHER, tokens

    def _operand(self, tokens: list[_Token]) -> tuple[str, _Operand, list[_Token]]:
        """Follow an operand with its fields; return its value, itself and the other tokens."""
        first = tokens[0]
        kind, rest = self._first(tokens)
        fields = [*rest[:1]] if first.kind == "field" else []
        rest = rest[len(fields) :]
        while rest and rest[0].kind == "field" and rest[0].is_glued:
            fields.append(rest[0])
            rest = rest[1:]
        label = None
        for field in fields:
            if kind == LABELS:
                label, kind = field, OTHER
            elif kind == DATA:
                kind = _FIELDS.get(field.text, OTHER)
                kind = self._used(kind, field, ".Values.B.Value")
            else:
                kind = OTHER
        is_read_on = label is not None and label is not fields[-1]
        return kind, _Operand(first.start, label, is_read_on), rest

    def _first(self, tokens: list[_Token]) -> tuple[str, list[_Token]]:
        """Follow an operand up to its fields; one that begins with a field is the dot."""
        first, *rest = tokens
        if first.kind == "variable":
            kind = self.variables.get(first.text, OTHER)
            return self._used(kind, first, self._value()), rest
        if first.kind == "dot":
            return self.dot, rest
        if first.kind == "field":
            return self.dot, tokens
        if first.kind == "open":
            kind, rest = self._commands(rest)
            if not rest:
                raise ValueError("lacks a closing parenthesis")
            return kind, rest[1:]
        if first.kind == "word":
            self._check_function(first, rest)
        elif first.kind != "literal":
            raise ValueError(f"cannot be read at {first.text!r}")
        return OTHER, rest

    def _used(self, kind: str, token: _Token, value: str) -> str:
        """Return the kind of a variable or field, after the edit that a value needs."""
        if kind == EXTERNAL:
            raise ValueError(
                f"uses {token.text}, which Grafana's templates lack; remove it"
            )
        if kind == VALUE:
            self.edits.append((token.start, token.end, value))
            return OTHER
        return kind

    def _value(self) -> str:
        is_own = "$values" in self.variables
        return "$.Values.B.Value" if is_own else "$values.B.Value"

    def _read_labels(self, operands: list[_Operand]) -> None:
        """Read the labels of a command by ``index``, in parentheses beside other operands."""
        for operand in operands:
            label = operand.label
            if label is None:
                continue
            is_alone = len(operands) == 1 and not operand.is_read_on
            before, after = ("", "") if is_alone else ("(", ")")
            base = "." if label.start == operand.start else ""
            self.edits.append((operand.start, operand.start, f"{before}index {base}"))
            name = f' "{label.text[1:]}"{after}'
            self.edits.append((label.start, label.end, name))

    def _check_function(self, token: _Token, following: list[_Token]) -> None:
        name = token.text
        if name in _LINKS:
            argument = following[0].text if following else ""
            if not re.match(r"""["`]\s*\{""", argument):
                raise ValueError(
                    f"uses {name}, which takes JSON in place of an expression in Grafana; remove it"
                )
        elif name not in _FUNCTIONS and name not in _CONSTANTS:
            raise ValueError(f"uses {name}, which Grafana's templates lack; remove it")


def _declared(tokens: list[_Token]) -> tuple[list[str], bool, list[_Token]]:
    """Return the variables that a pipeline sets, whether it declares them, and the rest."""
    for index, token in enumerate(tokens[:4]):
        if token.kind in ("declare", "assign"):
            names = [one.text for one in tokens[:index] if one.kind == "variable"]
            return names, token.kind == "declare", tokens[index + 1 :]
        if token.kind not in ("variable", "comma"):
            break
    return [], False, tokens


def _end_of(actions: list[list[_Token]], position: int) -> int:
    """Return the index of the ``end`` that belongs to the action before a position."""
    depth = 1
    for index in range(position, len(actions)):
        word = actions[index][0].text if actions[index] else ""
        if word in (*_CONTROLS, "define", "block"):
            depth += 1
        elif word == "end":
            depth -= 1
        if depth == 0:
            return index
    raise ValueError("lacks an end")


def _string(tokens: list[_Token]) -> str:
    if not tokens or tokens[0].kind != "literal":
        raise ValueError("has a template without a name in quotes")
    return tokens[0].text[1:-1]
