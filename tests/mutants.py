# SPDX-License-Identifier: GPL-3.0-or-later
"""Count small faults that unit tests notice: `python -m tests.mutants [--sample N] [FILE...]`.

A mutant is a copy of the checkout with one small fault in one file: a comparison turned, a
condition negated, a call or an element left out, a number off by one. It is killed when a unit
test fails. The score of each file is written to tests/mutants.json. Survivors are printed with
their line, to be read: some change nothing that anybody could notice.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests/mutants.json"
COMPONENT = "plugins/module_utils/component"
# Files whose score is recorded, and the tests that run for them.
FILES = {
    f"{COMPONENT}/{name}.py": ("tests/unit/component",)
    for name in (
        "transaction",
        "removal",
        "rollback",
        "rollout_plan",
        "manifest",
        "spec",
        "unit",
        "generation",
        "observe",
    )
}
# A test that takes so much longer than all tests did has met an endless loop.
PATIENCE = 4
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


@dataclass(frozen=True)
class Mutant:
    """One fault: the file's new source, and what a reader needs to judge it."""

    file: str
    line: int
    change: str
    source: str


def mutants(file: str, source: str) -> list[Mutant]:
    """Return every mutant of a file, in the order of its lines."""
    tree = ast.parse(source)
    count = sum(1 for _change in changes(copy.deepcopy(tree)))
    result = []
    for index in range(count):
        mutated = copy.deepcopy(tree)
        for position, (line, change) in enumerate(changes(mutated)):
            if position == index:
                result.append(Mutant(file, line, change, ast.unparse(mutated)))
                break
    return sorted(result, key=lambda mutant: mutant.line)


def changes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Make one change after the other in a tree and undo it when the next one is asked for."""
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in TURNED:
            yield from replaced(
                node, "ops", [TURNED[type(node.ops[0])](), *node.ops[1:]]
            )
        elif isinstance(node, ast.BoolOp):
            yield from replaced(
                node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And()
            )
        elif isinstance(node, (ast.If, ast.IfExp, ast.While)):
            yield from replaced(node, "test", ast.UnaryOp(ast.Not(), node.test))
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            yield from replaced(node, "value", node.value + 1)
        elif isinstance(node, (ast.Tuple, ast.List)) and len(node.elts) > 1:
            yield from replaced(node, "elts", node.elts[1:])
            yield from replaced(node, "elts", node.elts[:-1])
        body = getattr(node, "body", None)
        if isinstance(body, list):
            yield from without_calls(body)


def replaced(node: ast.AST, field: str, value: object) -> Iterator[tuple[int, str]]:
    """Change one field of a node while the caller looks at the tree."""
    before = getattr(node, field)
    line = getattr(node, "lineno", 0)
    old = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
    setattr(node, field, value)
    new = ast.unparse(node) if isinstance(node, ast.expr) else f"{field} negated"
    yield line, f"{old} -> {new}"
    setattr(node, field, before)


def without_calls(body: list[ast.stmt]) -> Iterator[tuple[int, str]]:
    """Leave out each statement that is nothing but a call."""
    for index, statement in enumerate(body):
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            body[index] = ast.copy_location(ast.Pass(), statement)
            yield statement.lineno, f"{ast.unparse(statement)} -> left out"
            body[index] = statement


def copy_checkout(target: Path) -> None:
    """Copy what git knows, so that a mutant never touches the checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        if source.is_symlink() or source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)


def ordered_tests(file: str) -> list[str]:
    """Return the test files for a file, those that are likeliest to fail first."""
    stem = Path(file).stem
    found = [
        path
        for folder in FILES[file]
        for path in sorted((ROOT / folder).glob("test_*.py"))
    ]
    first = (f"test_{stem}.py", "test_transaction.py", "test_durability.py")
    found.sort(key=lambda path: (path.name not in first, path.name))
    found.sort(key=lambda path: path.name != first[0])
    return [str(path.relative_to(ROOT)) for path in found]


def run_tests(checkout: Path, tests: list[str], limit: float) -> bool:
    """Return whether all tests pass; running for longer than ``limit`` seconds is a failure."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        *tests,
    ]
    try:
        ended = subprocess.run(
            command,
            cwd=checkout,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "CI": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def survives(mutant: Mutant, checkouts: Queue[Path], limit: float) -> bool:
    """Return whether no test notices a mutant; a checkout is borrowed for it."""
    checkout = checkouts.get()
    path = checkout / mutant.file
    source = path.read_text(encoding="utf-8")
    try:
        path.write_text(mutant.source + "\n", encoding="utf-8")
        return run_tests(checkout, ordered_tests(mutant.file), limit)
    finally:
        path.write_text(source, encoding="utf-8")
        checkouts.put(checkout)


def measure(files: list[str], sample: int, jobs: int) -> dict[str, dict[str, int]]:
    """Run the mutants of files, at most ``sample`` of each, and return their scores."""
    scores = {}
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        checkouts: Queue[Path] = Queue()
        for number in range(jobs):
            copy_checkout(Path(directory) / str(number))
            checkouts.put(Path(directory) / str(number))
        for file in files:
            checkout = checkouts.get()
            began = time.monotonic()
            if not run_tests(checkout, ordered_tests(file), 3600):
                raise SystemExit(
                    f"{file}: its tests fail without any mutant; mend them first"
                )
            limit = PATIENCE * (time.monotonic() - began) + 10
            checkouts.put(checkout)
            scores[file] = score(file, sample, jobs, checkouts, limit)
    return scores


def score(
    file: str, sample: int, jobs: int, checkouts: Queue[Path], limit: float
) -> dict[str, int]:
    """Run the mutants of one file, print the survivors and return the counts."""
    chosen = mutants(file, (ROOT / file).read_text(encoding="utf-8"))
    if len(chosen) > sample:
        # The same ones each time, so that scores can be compared.
        chosen = random.Random(file).sample(chosen, sample)
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(
            pool.map(lambda mutant: survives(mutant, checkouts, limit), chosen)
        )
    survivors = [
        mutant for mutant, alive in zip(chosen, outcomes, strict=True) if alive
    ]
    for mutant in sorted(survivors, key=lambda mutant: mutant.line):
        print(f"{mutant.file}:{mutant.line}: {mutant.change}", flush=True)
    killed = len(chosen) - len(survivors)
    print(f"{file}: {killed} of {len(chosen)} killed", flush=True)
    return {"mutants": len(chosen), "killed": killed}


def main(arguments: list[str]) -> int:
    """Measure and record; fail when a score is lower than the recorded one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--sample", type=int, default=60, help="of each file; default: %(default)s"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("files", nargs="*", default=[], metavar="FILE")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.files) - set(FILES))
    if unknown:
        parser.error(f"{unknown[0]} is not one of {', '.join(FILES)}")
    scores = measure(options.files or list(FILES), options.sample, options.jobs)
    recorded = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    fallen = [
        file
        for file, counts in scores.items()
        if file in recorded and share(counts) < share(recorded[file])
    ]
    RECORD.write_text(
        json.dumps({**recorded, **scores}, indent=2) + "\n", encoding="utf-8"
    )
    for file in fallen:
        print(
            f"{file}: {share(scores[file]):.0%} killed, {share(recorded[file]):.0%} before"
        )
    return int(bool(fallen))


def share(counts: dict[str, int]) -> float:
    """Return the share of mutants that were killed."""
    return counts["killed"] / counts["mutants"] if counts["mutants"] else 1.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
