# SPDX-License-Identifier: GPL-3.0-or-later
"""Small faults in source text, which the mutation check makes."""

from __future__ import annotations

import pytest

from tests.mutant_changes import mutants

GUARD = """\
def work(items, most):
    if len(items) > most:
        raise ValueError(items)
    return [item for item in items if item]
"""


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        pytest.param("if a:\n    x = b\n", ["a -> True", "a -> False"], id="a guard"),
        pytest.param("x = a < 1\n", ["a < 1 -> a <= 1", "1 -> 2"], id="a boundary"),
        pytest.param(
            "x = a and b(1)\n",
            ["a and b(1) -> b(1)", "a and b(1) -> a", "1 -> 2"],
            id="a part of a condition",
        ),
        pytest.param(
            "if x:\n    pass\nf()\n",
            ["x -> True", "x -> False", "f() -> left out"],
            id="a call",
        ),
        pytest.param(
            "with lock:\n    f = 1\n", ["with lock -> left out", "1 -> 2"], id="a lock"
        ),
        pytest.param(
            "x = {'a': b, **c}\n", ["'a' -> left out", "c -> left out"], id="a key"
        ),
        pytest.param("x = [a]\n", [], id="the only element"),
        pytest.param("x: list[1] = a - b\n", ["a - b -> a + b"], id="no annotation"),
        pytest.param(
            "f(kind=True)\n", ["f(kind=True) -> left out", "True -> False"], id="a flag"
        ),
        pytest.param("a, b = x\n", [], id="names that are unpacked"),
        pytest.param("x = f'{1 if a else 2}'\n", [], id="an f-string"),
    ],
)
def test_the_faults_of_a_line(source: str, changes: list[str]) -> None:
    assert [mutant.change for mutant in mutants(source)] == changes


def test_a_fault_is_one_change_of_the_text() -> None:
    first = mutants(GUARD)[0]
    assert first.source == GUARD.replace("if len(items) > most:", "if True:")
    assert (first.line, first.text) == (2, "if len(items) > most:")


def test_a_block_is_no_part_of_the_statement_above_it() -> None:
    source = "@cached\ndef work(a=1):\n    with lock:\n        return 2\n\n\nx = 3\n"
    found = {mutant.change: mutant for mutant in mutants(source)}
    assert [one.is_outer for one in found.values()] == [True, False, False, True]
    assert list(found["with lock -> left out"].lines) == [3]
    assert list(found["1 -> 2"].lines) == [1, 2]
