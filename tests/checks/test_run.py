# SPDX-License-Identifier: GPL-3.0-or-later
"""The test command reports exactly what it ran."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCES = {
    "passes": "def test_passes(): pass\n",
    "fails": "def test_fails(): assert False\n",
    "set-up fails": """
import pytest
@pytest.fixture
def broken(): 1/0
def test_needs_it(broken): pass
""",
    "tear-down fails": """
import pytest
@pytest.fixture
def broken():
    yield
    1/0
def test_needs_it(broken): pass
""",
    "import fails": "import no_such_module\n",
    "skips": "import pytest\ndef test_skips(): pytest.skip('no time')\n",
    "skips silently": "import pytest\n@pytest.mark.skip\ndef test_skips(): pass\n",
    "is expected to fail": """
import pytest
@pytest.mark.xfail(reason='issue 7')
def test_fails(): assert False
""",
}


@pytest.mark.parametrize(
    ("names", "status", "expected"),
    [
        pytest.param(["passes"], 0, ["1 passed, 0 failed, 0 skipped"], id="all well"),
        pytest.param(
            list(SOURCES),
            1,
            [
                "test_6.py::test_skips",
                "3 skipped, where tests/run.py allows 0",
                "1 passed, 4 failed, 3 skipped",
            ],
            id="everything at once",
        ),
        pytest.param(
            ["passes", "skips"],
            1,
            ["1 passed, 0 failed, 1 skipped"],
            id="more skips than agreed",
        ),
        pytest.param(
            ["tear-down fails"],
            1,
            ["0 passed, 1 failed, 0 skipped"],
            id="tear-down fails",
        ),
        pytest.param([], 5, ["0 passed, 0 failed, 0 skipped"], id="nothing ran"),
    ],
)
def test_it_counts_and_exits(
    tmp_path: Path, names: list[str], status: int, expected: list[str]
) -> None:
    for position, name in enumerate(names):
        (tmp_path / f"test_{position}.py").write_text(SOURCES[name])
    command = [
        sys.executable,
        "-m",
        "tests.run",
        str(tmp_path),
        "--",
        "-c",
        "pyproject.toml",
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert done.returncode == status, done.stdout
    # After pytest's own summary and as the last line.
    assert lines[-1] == expected[-1]
    closing = "\n".join(lines[-6:])
    assert [message for message in expected if message not in closing] == []
