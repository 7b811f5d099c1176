# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between versions of ansible-core does not show: what roles ask for, and what is refused.

Before 2.19 a template's number is text unless it is in a mapping, and where a variable is set is noted in another way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ansible_versions import CORES, programs_of
from tests.conftest import ROOT


def asked_of_the_engine(python: str | Path) -> dict:
    command = [python, "-m", "tests.ansible_versions"]
    return json.loads(
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    )


@pytest.mark.parametrize("core", CORES)
def test_roles_ask_for_the_same(core: str) -> None:
    here = asked_of_the_engine(sys.executable)
    assert len(here) >= 10
    assert asked_of_the_engine(programs_of(core) / "python") == here


REFUSED = """---
all:
  vars:
    monitoring_environment: prod
    loki_retentoin: 14d
    loki_secrets: [canary]
  children:
    loki:
      hosts:
        # Nothing listens there.
        a: {ansible_host: 127.0.0.1, ansible_port: 1}
"""


@pytest.mark.parametrize("core", CORES)
def test_what_is_wrong_is_told_with_its_place_before_any_host_is_asked(
    core: str, tmp_path: Path
) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(REFUSED)
    place = os.path.relpath(inventory, ROOT)
    done = subprocess.run(
        [programs_of(core) / "ansible-playbook", "site.yml", "-i", inventory],
        cwd=ROOT, env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    # Some wrap their warnings.
    told = squeezed(done.stdout + done.stderr)
    assert done.returncode == 2
    for words in (
        f"{place}:6: loki_secrets of a: must be a dict;",
        f"{place}:5: loki_retentoin of a: is not a variable of a role; did you mean loki_retention?",
    ):
        assert squeezed(words) in told
    assert "canary" not in told
    assert "unreachable=0" in told


def squeezed(text: str) -> str:
    """A text without white space."""
    return "".join(text.split())
