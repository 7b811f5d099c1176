# SPDX-License-Identifier: GPL-3.0-or-later
"""The oldest and the newest supported ansible-core, each in its own virtual environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.testbed import cache

OLDEST, NEWEST = "2.17.14", "2.21.5"
IS_NEWER = "import ensurepip, sys; sys.exit(sys.version_info < (3, 12))"


def newer_python() -> str | None:
    """Return a Python for ansible-core 2.21, or None.

    Debian 12 itself has none.
    """
    named = filter(None, map(shutil.which, ("python3.14", "python3.13", "python3.12")))
    # Version managers install versions beside each other.
    siblings = sorted(Path(sys.base_prefix).parent.glob("3.*/bin/python3"))
    for program in (*named, *siblings):
        done = subprocess.run(
            [program, "-c", IS_NEWER], check=False, capture_output=True
        )
        if done.returncode == 0:
            return str(program)
    return None


# Without a newer Python the ansible-core that runs the tests stands for the newest one.
VERSIONS = [OLDEST, NEWEST if newer_python() else ""]


def programs_of(version: str) -> Path:
    """Return the directory of the programs of an ansible-core, installed once.

    Without a version it is the ansible-core that runs the tests.
    """
    if not version:
        return Path(sys.executable).parent
    folder = cache.directory() / f"venv-core-{version}"
    if not (folder / "bin/ansible-playbook").exists():
        python = newer_python() if version == NEWEST else sys.executable
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        subprocess.run(
            [folder / "bin/pip", "install", "-q", f"ansible-core=={version}"],
            check=True,
        )
    return folder / "bin"


if __name__ == "__main__":
    # Print the rollout of every role on a host with all roles, as JSON.
    import json

    from ansible.plugins.loader import init_plugin_loader

    ROOT = Path(__file__).parents[1]
    sys.path.insert(0, str(ROOT / "collections"))
    init_plugin_loader([str(ROOT / "collections")])
    from tests.unit.roles.rendering import rollout

    ROLES = sorted(
        path.parents[1].name for path in ROOT.glob("roles/*/meta/component.yml")
    )
    HERE = {
        "groups": {group: ["here"] for group in ["all", *ROLES]},
        "alertmanager_discord_webhook": "https://discord.example/webhook",
        "grafana_admin_password": "a long password",
        "grafana_secret_key": "a long secret key",
    }
    print(
        json.dumps(
            {role: rollout(role, **HERE) for role in ROLES}, indent=1, sort_keys=True
        )
    )
