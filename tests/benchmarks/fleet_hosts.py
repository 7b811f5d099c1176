# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-playbook with hosts that answer at once: `python -m tests.benchmarks.fleet_hosts`.

Its arguments are a directory and those of ansible-playbook.
It replaces the last step of a module's execution, the command over the connection, by an answer of
this process. What the controller does before and after it is real. A first run installs: the hosts
remember the options of the component module in the directory. Later runs find them so.
With a file `counts` in the directory each module and each compiled template is a line in it. A file
`<host>.unreachable` there makes a host unreachable.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
from ansible.cli.playbook import main as ansible_playbook
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

ARCHITECTURE = "amd64"
FACTS = {"python": "/usr/bin/python3", "user_namespaces": True}
COLLECTION = "ansible_collections.hippius.monitoring.plugins"
Values = dict[str, Any]


class Fleet:
    """The hosts, each with the options of its components in a file of ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def answer(self, host: str, module: str, args: Values) -> Values:
        """Return the result of a module on a host."""
        if (self.folder / f"{host}.unreachable").exists():
            raise AnsibleConnectionFailure(f"{host} does not answer.")
        self.count(f"{host} {module.rpartition('.')[2]}")
        if module.endswith(".component_observation"):
            return {"observation": self._observe(host, bytes.fromhex(args["nonce"]))}
        if not module.endswith(".component_rollout"):
            raise SystemExit(f"{module}: no host of the benchmark answers it")
        path = self.folder / f"{host}.{args['name']}.json"
        installed = path.exists()
        path.write_text(json.dumps(args), encoding="utf-8")
        action = "none" if installed else "install"
        result = {"changed": not installed, "action": action}
        return {**result, "instances": {}, "notices": []}

    def count(self, line: str) -> None:
        """Count something, if anything is counted."""
        path = self.folder / "counts"
        if path.exists():
            with path.open("a", encoding="utf-8") as stream:
                stream.write(f"{line}\n")

    def _observe(self, host: str, nonce: bytes) -> Values:
        instances = {}
        for path in sorted(self.folder.glob(f"{host}.*.json")):
            args = json.loads(path.read_text(encoding="utf-8"))
            for desired in _engine("spec").instances(args, FACTS):
                state = _state(desired, nonce)
                instances[desired.name] = {
                    "component": desired.component,
                    "blocked": False,
                    "state": state,
                }
        return {
            "architecture": ARCHITECTURE,
            "facts": FACTS,
            "leftovers": False,
            "instances": instances,
        }


def _engine(name: str) -> Any:
    """Import a module of the engine, which Ansible's loader can do once it has started."""
    return importlib.import_module(f"{COLLECTION}.module_utils.component.{name}")


def _state(desired: Any, nonce: bytes) -> Values:
    """Return the state of an instance that is as desired."""
    release = desired.release.directory(ARCHITECTURE)
    described = _engine("manifest").build(desired, release, nonce)
    generation = f"1-{described['id']}"
    observed_state = _engine("observed_state")
    active = observed_state.Unit(active="active", sub="running", main_pid=7)
    state = observed_state.ObservedState(
        current=generation,
        manifest=described,
        last_known_good=generation,
        running=generation,
        running_unit=described["unit"],
        units=dict.fromkeys(desired.units, active),
    )
    fields = asdict(state)
    omitted = _engine("observation").OMITTED
    return {name: fields[name] for name in fields if name not in omitted}


def connect(fleet: Fleet) -> None:
    """Let the hosts of the fleet answer in place of commands over a connection."""
    execute = ActionBase._execute_module

    def execute_module(
        action: ActionBase, module_name: str, module_args: Values, **options: Any
    ) -> Any:
        host = options["task_vars"]["inventory_hostname"]

        def command(*_words: Any, **_options: Any) -> Values:
            text = json.dumps(fleet.answer(host, module_name, module_args))
            return {
                "rc": 0,
                "stdout": text,
                "stdout_lines": [text],
                "stderr": "",
                "stderr_lines": [],
            }

        action._low_level_execute_command = command
        return execute(
            action, module_name=module_name, module_args=module_args, **options
        )

    ActionBase._execute_module = execute_module


def main(arguments: list[str]) -> None:
    """Run ansible-playbook with the arguments after the directory."""
    fleet = Fleet(Path(arguments[0]))
    connect(fleet)
    compile_template = jinja2.Environment.compile

    def counted(*args: Any, **options: Any) -> Any:
        in_task = multiprocessing.parent_process() is not None
        fleet.count("template of a task" if in_task else "template of a play")
        return compile_template(*args, **options)

    if (fleet.folder / "counts").exists():
        jinja2.Environment.compile = counted
    sys.argv = ["ansible-playbook", *arguments[1:]]
    ansible_playbook()


if __name__ == "__main__":
    main(sys.argv[1:])
