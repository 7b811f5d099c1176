# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles ask for the same on every ansible-core; before 2.19 a template's number is text unless it is in a mapping."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.cores import CORES, programs_of


def asked_of_the_engine(python: str | Path) -> dict:
    command = [python, "-m", "tests.cores"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("core", CORES)
def test_roles_ask_for_the_same(core: str) -> None:
    here = asked_of_the_engine(sys.executable)
    assert len(here) >= 10
    assert asked_of_the_engine(programs_of(core) / "python") == here
