# SPDX-License-Identifier: GPL-3.0-or-later
"""The code reads as CONTRIBUTING.md demands.

`python -m tests.checks.figures -v` prints the figures and each line that counts.
"""

from __future__ import annotations

import pytest

from tests.checks import figures
from tests.checks.shadowing import shadowing_names

SHIPPED = ["plugins", "roles"]
# Figure -> the largest value that is allowed; percentages have one decimal place.
LIMITS = {
    "docstrings that open with a question word, %": 2.9,
    "characters a code line": 34,
    "tokens a code line": 8,
    f"lines over {figures.LINE_LENGTH} characters, %": 1,
    "functions that return a bare container or object": 99,
    "file names that are used twice": 0,
    "kind names as literals outside kinds/": 9,
}


@pytest.fixture(scope="module")
def shipped() -> figures.Figures:
    """Return the figures of all code that runs for users."""
    return figures.measure(figures.tracked(SHIPPED))


@pytest.mark.parametrize("figure", LIMITS)
def test_figure_stays_within_its_limit(figure: str, shipped: figures.Figures) -> None:
    assert shipped.rows()[figure] <= LIMITS[figure]


def test_every_figure_has_a_limit(shipped: figures.Figures) -> None:
    assert set(LIMITS) == set(shipped.rows())


def test_no_local_name_hides_an_import_or_a_function() -> None:
    files = figures.tracked([*SHIPPED, "tests/testbed"])
    sources = {
        path.relative_to(figures.ROOT): path.read_text(encoding="utf-8")
        for path in files
        if path.suffix == ".py"
    }
    hiding = [
        f"{path}:{local.line} {local.name}"
        for path, source in sources.items()
        for local in shadowing_names(source)
    ]
    assert hiding == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("import os\ndef f(os): pass", ["os"], id="parameter, import"),
        pytest.param("import os.path\ndef f(): os = 1", ["os"], id="variable, package"),
        pytest.param("from a import b as c\ndef f(*, c): pass", ["c"], id="alias"),
        pytest.param(
            "def f(*f, **g): pass\ndef g(): pass", ["f", "g"], id="*args, **kwargs"
        ),
        pytest.param(
            "def f(): pass\nclass C:\n def m(self, f): pass", ["f"], id="method"
        ),
        pytest.param("def f(): return [f for f in ()]", ["f"], id="comprehension"),
        pytest.param("def f(): return (f := 1)", ["f"], id="named expression"),
        pytest.param("def f():\n for f in (): pass", ["f"], id="loop"),
        pytest.param("def f():\n with a as f: pass", ["f"], id="context manager"),
        pytest.param("def f():\n try: a\n except E as f: pass", ["f"], id="exception"),
        pytest.param("def f():\n def f(): pass", ["f"], id="nested function"),
        pytest.param("def f(): return lambda f: 1", ["f"], id="lambda"),
        pytest.param("if T:\n import a\ndef f(a): pass", ["a"], id="import in a block"),
        pytest.param(
            "try: import a\nexcept E: import b\ndef f(a, b): pass", ["a", "b"], id="try"
        ),
        pytest.param(
            "def f():\n def g(): pass\n g = 1", [], id="the function is nested too"
        ),
        pytest.param("import a\nclass C:\n a = 1", [], id="attribute of a class"),
        pytest.param("a = 1\ndef f(a): pass", [], id="the outer name is a variable"),
        pytest.param("import a\ndef f():\n global a\n a = 1", [], id="global"),
        pytest.param(
            "from __future__ import annotations\ndef f(annotations): pass",
            [],
            id="future",
        ),
        pytest.param("import a\ndef f(): return g(a=1)", [], id="keyword of a call"),
    ],
)
def test_shadowing_is_found(source: str, expected: list[str]) -> None:
    assert [local.name for local in shadowing_names(source)] == expected
