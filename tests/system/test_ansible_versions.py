# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles and error messages are the same with every version of ansible-core.

Before 2.19 a template's number is a string unless it is in a dict, and the origin of a variable is
recorded differently.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ansible_versions import VERSIONS, programs_of
from tests.conftest import ROOT


def rollouts_of(python: str | Path) -> dict[str, Any]:
    command = [python, "-m", "tests.ansible_versions"]
    return json.loads(
        subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout
    )


@pytest.mark.parametrize("core", VERSIONS)
def test_roles_request_the_same_rollouts(core: str) -> None:
    here = rollouts_of(sys.executable)
    assert len(here) >= 10
    assert rollouts_of(programs_of(core) / "python") == here


REFUSED = """---
all:
  vars:
    monitoring_environment: prod
    loki_retentoin: 14d
    loki_secrets: [canary]
  children:
    loki:
      hosts:
        # No listener.
        a: {ansible_host: 127.0.0.1, ansible_port: 1}
"""


@pytest.mark.parametrize("core", VERSIONS)
def test_errors_name_their_location_before_any_host_is_contacted(
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
    # Some versions wrap warnings.
    told = squeezed(done.stdout + done.stderr)
    assert done.returncode == 2
    for words in (
        f"{place}:6: loki_secrets of a: must be a dict, not a list;",
        f"{place}:5: loki_retentoin of a: is not a variable of a role;",
        "did you mean loki_retention?",
    ):
        assert squeezed(words) in told
    assert "canary" not in told
    assert "unreachable=0" in told


def squeezed(text: str) -> str:
    """Return a string without white space."""
    return "".join(text.split())
