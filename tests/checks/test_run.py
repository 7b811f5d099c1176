# SPDX-License-Identifier: GPL-3.0-or-later
"""The test command reports exactly what it ran."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import run
from tests.conftest import ROOT

# Runs lanes with other stages.
LANES = """
import sys
from pathlib import Path
from tests import run
run.TESTS = Path({tests!r})
run.STAGES, run.ON_ONE_HOST = ("first", "second"), ("first",)
sys.exit(run.main(sys.argv[1:]))
"""

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


def test_each_stage_is_in_one_lane() -> None:
    alone, sites = run.paths_of(run.ALONE), run.paths_of(run.SITES)
    ignored = [path.removeprefix("--ignore=") for path in sites if "=" in path]
    assert alone == ignored
    folders = [path for path in sites if "=" not in path]
    assert all(Path(path).exists() for path in [*alone, *folders])
    stages = {Path(path).relative_to(run.TESTS).parts[0] for path in [*alone, *folders]}
    assert stages == set(run.STAGES)


@pytest.mark.parametrize(
    ("sources", "status", "closing"),
    [
        (("passes", "passes"), 0, "2 passed, 0 failed, 0 skipped"),
        (("passes", "fails"), 1, "1 passed, 1 failed, 0 skipped"),
        (("passes", None), 0, "1 passed, 0 failed, 0 skipped"),
        ((None, None), 5, "0 passed, 0 failed, 0 skipped"),
    ],
)
def test_two_lanes_end_as_one_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sources: tuple[str | None, str | None],
    status: int,
    closing: str,
) -> None:
    for stage, source in zip(("first", "second"), sources, strict=True):
        (tmp_path / stage).mkdir()
        if source:
            (tmp_path / stage / f"test_{stage}.py").write_text(SOURCES[source])
    program = tmp_path / "lanes.py"
    program.write_text(LANES.format(tests=str(tmp_path)))
    monkeypatch.setattr(run, "COMMAND", (sys.executable, "-u", str(program)))
    # Otherwise it would stop a daemon that another test starts meanwhile.
    monkeypatch.setattr(run.docker, "is_running", lambda: True)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert run.run_lanes(["-c", str(ROOT / "pyproject.toml")]) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == closing
    assert {line.partition(":")[0] for line in lines[:-1]} == {"alone", "sites"}


def test_a_lane_that_dies_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "COMMAND", (sys.executable, "-c", "print('dead')"))
    monkeypatch.setattr(run.docker, "is_running", lambda: True)
    assert run.run_lanes([]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("0 passed")


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
