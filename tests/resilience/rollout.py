# SPDX-License-Identifier: GPL-3.0-or-later
"""Roll the test daemon out to a test host, by ansible-playbook over SSH as a user would."""

from __future__ import annotations

import difflib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.hippius.monitoring.plugins.module_utils.component.rollout_plan import (
    strongest,
)
from tests.resilience.releases import Releases
from tests.testbed.app import flows
from tests.testbed.hosts import Host, inventory

ROOT = Path(__file__).resolve().parents[2]
JSON_OUTPUT = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}


# Scenario -> whether the host is converged, and the change that is interrupted.
SCENARIOS = {
    "install": (False, {}),
    "restart": (
        True,
        {"config": {"answer": "two"}, "version": "1.1.0", "environment": {"A": "b"}},
    ),
    "reload": (True, {"config": {"answer": "two"}}),
}


@dataclass
class Outcome:
    """Result of one run of ansible-playbook."""

    returncode: int
    result: dict
    stdout: str
    stats: dict = field(default_factory=dict)

    @property
    def action(self) -> str:
        """Return the strongest action of all instances.

        The JSON callback replaces the module's own value by the task's name.
        """
        actions = [
            instance["action"] for instance in self.result.get("instances", {}).values()
        ]
        return strongest(actions)

    @property
    def message(self) -> str:
        """Return the error of a failed run."""
        return self.result.get("msg", "")


class Rollout:
    """A playbook with one component task, its inventory and its releases."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host, self.folder = host, folder
        # Without pipelining, Ansible runs a module in a terminal.
        self.pipelining = True
        self.releases = Releases(folder)

    def task(
        self, config: dict | None = None, version: str = "1.0.0", **options: object
    ) -> dict[str, Any]:
        """Return options of the component module for the test daemon."""
        return {
            "name": "testd",
            "release": {"name": "testd", "version": version},
            "command": ["{release}/testd", "{etc}/testd.json"],
            "config": [
                {
                    "path": "testd.json",
                    "content": json.dumps({"answer": "one", **(config or {})}),
                }
            ],
            "check": ["{release}/testd", "--check", "{etc}/testd.json"],
            "listen_addresses": [f"127.0.0.1:{(config or {}).get('port', 7070)}"],
            "ready": {
                "url": f"http://127.0.0.1:{(config or {}).get('port', 7070)}/ready",
                "timeout": 8,
            },
            "reload": {
                "url": "http://127.0.0.1:7070/metrics",
                "success": "testd_reload_successful",
                "timestamp": "testd_reload_timestamp_seconds",
                "timeout": 5,
            },
            **options,
        }

    def run(
        self,
        task: dict,
        *flags: str,
        module: str = "component",
        environment: dict | None = None,
    ) -> Outcome:
        """Run the playbook to its end."""
        process = self.start(task, *flags, module=module, environment=environment)
        stdout, stderr = process.communicate(timeout=300)
        return self._outcome(process.returncode, stdout, stderr)

    def start(
        self,
        task: dict,
        *flags: str,
        module: str = "component",
        environment: dict | None = None,
    ) -> subprocess.Popen:
        """Start the playbook in its own process group."""
        play = {
            "hosts": "all",
            "gather_facts": False,
            "environment": environment or {},
            "tasks": [{"name": "Roll out", f"hippius.monitoring.{module}": task}],
        }
        files = {
            "playbook.json": [play],
            "inventory.json": inventory([self.host]),
            "variables.json": {
                "monitoring_releases_lock": str(self.folder / "lock.json"),
                "monitoring_archives_dir": str(self.folder / "archives"),
            },
        }
        for name, content in files.items():
            (self.folder / name).write_text(json.dumps(content), encoding="utf-8")
        command = [
            "ansible-playbook",
            "-i",
            "inventory.json",
            "-e",
            "@variables.json",
            "playbook.json",
            *flags,
        ]
        return subprocess.Popen(
            [str(Path(sys.executable).with_name(command[0])), *command[1:]],
            cwd=self.folder,
            env={
                **os.environ,
                **ansible_environment(),
                **JSON_OUTPUT,
                "ANSIBLE_PIPELINING": str(self.pipelining),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def kill(self, process: subprocess.Popen) -> None:
        """Kill the controller's run with all its processes, as a crash of the controller would."""
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def _outcome(self, returncode: int, stdout: str, stderr: str) -> Outcome:
        try:
            # With -vvvv, other lines precede the result.
            told = json.loads(stdout[stdout.index("{\n") :])
            result = told["plays"][0]["tasks"][0]["hosts"][self.host.name]
        except (ValueError, LookupError):
            raise AssertionError(
                f"ansible-playbook ended with {returncode}:\n{stdout}\n{stderr}"
            ) from None
        return Outcome(
            returncode, result, stdout + stderr, told["stats"][self.host.name]
        )

    # State of the host

    def answer(self, path: str = "/", port: int = 7070) -> str:
        """Return the test daemon's answer, or the empty string without one."""
        fetch = ["python3", "-c", flows.GET, f"http://127.0.0.1:{port}{path}"]
        return self.host.run(fetch, check=False).stdout.strip()

    def pid(self, unit: str = "testd.service") -> int:
        """Return the main process of a unit."""
        return int(
            self.host.run(f"systemctl show --property=MainPID --value {unit}").stdout
        )

    def started(self) -> str:
        """Return the start time of the main process."""
        return self.host.run(
            "systemctl show --property=ExecMainStartTimestampMonotonic --value testd"
        ).stdout.strip()

    def snapshot(self, *more: str, times: bool = True) -> str:
        """Return path, mode, owner, time and content of all files that a rollout may change.

        Lock files are left out.
        """
        time_field = "%T@ " if times else ""
        roots = " ".join(
            ["/etc", "/opt", "/usr/local", "/var/lib/systemd", "/run/monitoring", *more]
        )
        command = (
            f"find {roots} -xdev"
            " ! -name '*.lock' ! -path /run/monitoring ! -path '/var/lib/docker*'"
            f" -printf '%p %M %U %G {time_field}%l\\n' 2>/dev/null | sort;"
            f" find {roots} -xdev -type f ! -name '*.lock'"
            " -exec sha256sum {} + 2>/dev/null | sort"
        )
        return self.host.run(command, check=False).stdout

    def state(self) -> str:
        """Return paths, modes and contents of a converged host, without times and counts."""
        command = (
            "cd / &&"
            " find etc/testd* etc/systemd opt/monitoring usr/sbin/nologin var/lib/testd"
            " ! -name '*.lock'"
            " ! -name manifest.json ! -name .release.json -printf '%p %M %U %G %l\\n' 2>/dev/null"
            " | sed -E 's/generations\\/[0-9]+-/generations\\/N-/g' | sort -u;"
            " sha256sum /etc/testd/*"
            " $(find /opt/monitoring/releases -type f ! -name .release.json) | sort;"
            " systemctl is-active testd; systemctl is-enabled testd"
        )
        return self.host.run(command, check=False).stdout

    def clean(self) -> None:
        """Remove everything that rollouts created on the host."""
        self.host.run(
            "systemctl stop 'testd*' 'monitoring-*' 2>/dev/null;"
            " rm -rf /opt/monitoring /etc/testd* /var/lib/testd* /run/monitoring"
            " /etc/systemd/system*/testd* /etc/systemd/system/*.wants/testd*"
            " /etc/systemd/system*/monitoring-* /etc/systemd/system/*.wants/monitoring-*;"
            " systemctl daemon-reload; systemctl reset-failed;"
            " for u in $(getent passwd | grep -o '^testd[^:]*'); do userdel $u; done; true"
        )


def good(outcome: Outcome) -> Outcome:
    """Return the outcome of a run that must not fail."""
    assert outcome.returncode == 0, outcome.message or outcome.stdout
    return outcome


def ansible_environment() -> dict[str, str]:
    """Return variables with which ansible-playbook finds the collection, as for users."""
    return {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
    }


def differences(before: str, after: str) -> list[str]:
    """Return the different lines of two snapshots."""
    return [
        line
        for line in difflib.unified_diff(
            before.splitlines(), after.splitlines(), n=0, lineterm=""
        )
        if line.startswith(("+/", "-/")) or re.match(r"[+-][0-9a-f]{64} ", line)
    ]


def wait_until(question: object, seconds: float = 30) -> None:
    """Wait until a question is true; fail after the time."""
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
