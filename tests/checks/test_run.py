# SPDX-License-Identifier: GPL-3.0-or-later
"""The test command tells the truth about what it ran."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCES = {
    "passes": "def test_passes(): pass\n",
    "fails": "def test_fails(): assert False\n",
    "set-up fails": "import pytest\n@pytest.fixture\ndef broken(): 1/0\ndef test_needs_it(broken): pass\n",
    "tear-down fails": "import pytest\n@pytest.fixture\ndef broken():\n yield\n 1/0\ndef test_needs_it(broken): pass\n",
    "import fails": "import no_such_module\n",
    "skips": "import pytest\ndef test_skips(): pytest.skip('no time')\n",
    "skips silently": "import pytest\n@pytest.mark.skip\ndef test_skips(): pass\n",
    "is expected to fail": "import pytest\n@pytest.mark.xfail(reason='issue 7')\ndef test_fails(): assert False\n",
}


@pytest.mark.parametrize(
    ("names", "status", "told"),
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
            ["passes", "skips"], 1, ["1 passed, 0 failed, 1 skipped"], id="more skips than agreed"
        ),
        pytest.param(
            ["tear-down fails"], 1, ["0 passed, 1 failed, 0 skipped"], id="tear-down fails"
        ),
        pytest.param([], 5, ["0 passed, 0 failed, 0 skipped"], id="nothing ran"),
    ],
)
def test_it_counts_and_exits(
    tmp_path: Path, names: list[str], status: int, told: list[str]
) -> None:
    for number, name in enumerate(names):
        (tmp_path / f"test_{number}.py").write_text(SOURCES[name])
    command = [sys.executable, "-m", "tests.run", str(tmp_path), "--", "-c", "pyproject.toml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout
    # After pytest's own summary and as the last line.
    assert done.stdout.splitlines()[-1] == told[-1]
    closing = "\n".join(done.stdout.splitlines()[-6:])
    assert [message for message in told if message not in closing] == []
