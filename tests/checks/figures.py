# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure how the code reads: `python -m tests.checks.figures [-v] [PATH...]`.

CONTRIBUTING.md says what each figure is for; test_language.py holds the limits.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
QUESTION_WORDS = frozenset(
    ("what", "whether", "which", "where", "who", "whom", "whose", "when", "why", "how")
)
BARE_TYPES = frozenset(("dict", "list", "tuple", "set", "frozenset", "object"))
LINE_LENGTH = 100
LAYOUT_TOKENS = frozenset(
    (
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    )
)
GRAFANA = Path("plugins/module_utils/grafana")
KINDS = frozenset(
    (
        "folder",
        "datasource",
        "dashboard",
        "template",
        "mute_timing",
        "contact_point",
        "policy",
        "rule_group",
        "library_panel",
    )
)
# Files of Grafana's own formats have these words as keys.
KNOW_KINDS = ("kinds", "files")
DOCUMENTATION = ("DOCUMENTATION", "EXAMPLES", "RETURN")
# Ansible couples a module and its action plugin by their name.
COUPLED = ("modules", "action")


@dataclass
class Figures:
    """Counts over some files; percentages and averages follow from them."""

    lines: int = 0
    long_lines: list[str] = field(default_factory=list)
    code_lines: int = 0
    code_characters: int = 0
    tokens: int = 0
    docstrings: int = 0
    questions: list[str] = field(default_factory=list)
    functions: int = 0
    bare_returns: list[str] = field(default_factory=list)
    kind_literals: list[str] = field(default_factory=list)
    shared_names: list[str] = field(default_factory=list)

    def rows(self) -> dict[str, float]:
        """Return each figure by its name, percentages as numbers from 0 to 100."""
        return {
            "docstrings that open with a question word, %": percentage(
                len(self.questions), self.docstrings
            ),
            "characters a code line": ratio(self.code_characters, self.code_lines),
            "tokens a code line": ratio(self.tokens, self.code_lines),
            f"lines over {LINE_LENGTH} characters, %": percentage(
                len(self.long_lines), self.lines
            ),
            "functions that return a bare container or object": len(self.bare_returns),
            "file names that are used twice": len(self.shared_names),
            "kind names as literals outside kinds/": len(self.kind_literals),
        }


def percentage(part: int, whole: int) -> float:
    """Return ``part`` of ``whole`` in percent, 0 for nothing."""
    return round(100 * part / whole, 1) if whole else 0.0


def ratio(total: int, count: int) -> float:
    """Return the average, 0 for nothing."""
    return round(total / count, 1) if count else 0.0


def measure(paths: list[Path]) -> Figures:
    """Return the figures of files; files other than Python count only for line lengths."""
    figures = Figures()
    for path in paths:
        source = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT)
        lines = source.splitlines()
        figures.lines += len(lines)
        figures.long_lines += [
            f"{name}:{number}"
            for number, line in enumerate(lines, start=1)
            if len(line) > LINE_LENGTH
        ]
        if path.suffix == ".py":
            measure_python(figures, name, source)
    figures.shared_names = shared_names(paths)
    return figures


def measure_python(figures: Figures, name: Path, source: str) -> None:
    """Add the figures of a Python file."""
    tree = ast.parse(source)
    skipped = documentation_lines(tree)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT_TOKENS and token.start[0] not in skipped:
            figures.tokens += 1
    for number, line in enumerate(source.splitlines(), start=1):
        code = line.strip()
        if code and not code.startswith("#") and number not in skipped:
            figures.code_lines += 1
            figures.code_characters += len(code)
    for node in ast.walk(tree):
        measure_definition(figures, name, node)
    if GRAFANA in name.parents and name.parent.name not in KNOW_KINDS:
        docstrings = {id(constant) for constant in docstring_nodes(tree)}
        figures.kind_literals += [
            f"{name}:{node.lineno} {node.value}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and node.value in KINDS
            and id(node) not in docstrings
        ]


def measure_definition(figures: Figures, name: Path, node: ast.AST) -> None:
    """Add the docstring and the return type of a definition."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    if not isinstance(node, documented):
        return
    docstring = ast.get_docstring(node)
    if docstring:
        figures.docstrings += 1
        first = docstring.split()[0].strip(",.:;").lower()
        if first in QUESTION_WORDS:
            figures.questions.append(
                f"{name}:{getattr(node, 'lineno', 1)} {docstring[:60]}"
            )
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        figures.functions += 1
        returned = ast.unparse(node.returns) if node.returns else ""
        if BARE_TYPES & {part.strip() for part in returned.split("|")}:
            figures.bare_returns.append(
                f"{name}:{node.lineno} {node.name} -> {returned}"
            )


def docstring_nodes(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yield the constants that are docstrings."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value


def documentation_lines(tree: ast.Module) -> set[int]:
    """Return the lines of docstrings and of Ansible's documentation blocks."""
    blocks: list[ast.expr] = list(docstring_nodes(tree))
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) in DOCUMENTATION
        ):
            blocks.append(node.value)
    if any(
        name.id == "ModuleDocFragment"
        for name in ast.walk(tree)
        if isinstance(name, ast.Name)
    ):
        return set(range(1, 10_000))
    return {
        number
        for block in blocks
        for number in range(block.lineno, (block.end_lineno or block.lineno) + 1)
    }


def shared_names(paths: list[Path]) -> list[str]:
    """Return the names that two Python files below plugins/ share, except Ansible's own pairs."""
    named = defaultdict(list)
    for path in paths:
        relative = path.relative_to(ROOT)
        package = relative.parts[0] == "plugins" and relative.parts[1] not in COUPLED
        if package and path.suffix == ".py" and path.stem != "__init__":
            named[path.name].append(str(relative))
    return [" and ".join(same) for same in named.values() if len(same) > 1]


def tracked(below: list[str]) -> list[Path]:
    """Return the tracked source files below some paths, without generated dashboards."""
    listed = subprocess.run(
        ["git", "ls-files", "--", *below],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    suffixes = (".py", ".yml", ".sql", ".tmpl")
    return [
        ROOT / name
        for name in listed
        if name.endswith(suffixes) and (ROOT / name).is_file()
    ]


def main(arguments: list[str]) -> int:
    """Print the figures, and with -v as the first argument each line that counts."""
    verbose = arguments[:1] == ["-v"]
    figures = measure(tracked(arguments[verbose:] or ["plugins", "roles"]))
    for name, value in figures.rows().items():
        print(f"{value:8} {name}")
    if verbose:
        for offenders in (
            figures.questions,
            figures.bare_returns,
            figures.kind_literals,
            figures.long_lines,
            figures.shared_names,
        ):
            print(*offenders, sep="\n")
    print(f"({figures.functions} functions, {figures.code_lines} code lines)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
