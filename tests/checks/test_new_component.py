# SPDX-License-Identifier: GPL-3.0-or-later
"""A new component is one folder, its lines in site.yml and its entry in the release lock."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.checks.conftest import Run

MODEL, ROLE = "node_exporter", "sample_exporter"
# A port that no other component of the host listens on.
MODEL_PORT, PORT = "9100", "9999"
# A play, or an archive of each architecture.
MOST_LINES = 12
INVENTORY = {
    "all": {
        "vars": {"monitoring_environment": "dev", "ansible_connection": "local"},
        "children": {
            group: {"hosts": {"here": {}}}
            for group in ("monitoring", "prometheus", MODEL, ROLE)
        },
    }
}
RENDER = f"""
import json, os, sys
collections = os.path.abspath("collections")
sys.path.insert(0, collections)
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([collections])
from tests.unit.roles.rendering import rollout
print(json.dumps(rollout("{ROLE}")))
"""
PLAYBOOK = """
- hosts: prometheus
  gather_facts: false
  tasks:
    - name: Find nothing wrong with the inventory
      hippius.monitoring.inventory_check:
      register: checked
    - name: Print what the catalog and the check return
      ansible.builtin.debug:
        msg: "RESULT {{ result | to_json }}"
      vars:
        result:
          warnings: "{{ checked.warnings | default([]) }}"
          names: "{{ lookup('hippius.monitoring.components', 'names') }}"
          jobs: "{{ lookup('hippius.monitoring.components', 'scrape_jobs') }}"
"""


def renamed(content: str) -> str:
    """Return the model's file as the new component's."""
    content = content.replace(MODEL, ROLE).replace("node-exporter", "sample-exporter")
    content = content.replace("- name: node\n", "- name: sample\n")
    return content.replace(MODEL_PORT, PORT)


@pytest.fixture(scope="module")
def checkout(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout with a new component."""
    top = tmp_path_factory.mktemp("checkout")
    shutil.copytree(tree.parents[1], top / "ansible_collections")
    copy = top / "ansible_collections" / "hippius" / "monitoring"
    link = copy / "collections" / "ansible_collections" / "hippius" / "monitoring"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../..")
    add_role(copy)
    add_entry(copy / "playbooks" / "site.yml", r"(?m)^(?=- )")
    add_entry(copy / "releases.lock.yml", r"(?m)^(?=\w)")
    inventory = copy / "inventory.json"
    inventory.write_text(json.dumps(INVENTORY), encoding="utf-8")
    return copy


def add_role(copy: Path) -> None:
    """Add the role, without the alerts that a component may have."""
    for source in (copy / "roles" / MODEL).rglob("*.*"):
        relative = source.relative_to(copy / "roles" / MODEL)
        if relative.parts[0] != "files" and source.suffix in (".yml", ".py"):
            target = copy / "roles" / ROLE / renamed(str(relative))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(
                renamed(source.read_text(encoding="utf-8")), encoding="utf-8"
            )


def add_entry(path: Path, start: str) -> None:
    """Append the model's entry of a file in the new name; `start` matches where entries begin."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    code = "".join(line for line in lines if not line.startswith("#"))
    (entry,) = (entry for entry in re.split(start, code) if MODEL in entry)
    assert len(entry.strip().splitlines()) <= MOST_LINES
    with path.open("a", encoding="utf-8") as stream:
        stream.write("\n" + renamed(entry.strip()) + "\n")


def test_it_is_rolled_out_by_the_site_playbook(run: Run, checkout: Path) -> None:
    command = ["ansible-playbook", "site.yml", "-i", "inventory.json"]
    listed = run(*command, "--list-tasks", "--tags", ROLE, cwd=checkout)
    assert f"Roll out {ROLE}" in listed
    assert f"Roll out {MODEL}" not in listed


def test_its_options_are_those_of_its_folder(run: Run, checkout: Path) -> None:
    printed = run(sys.executable, "-c", RENDER, cwd=checkout)
    options = json.loads(printed)
    assert options["name"] == "sample-exporter"
    assert f"--web.listen-address=127.0.0.1:{PORT}" in options["command"]


def test_it_is_scraped_and_its_inventory_is_complete(run: Run, checkout: Path) -> None:
    (checkout / "catalog.yml").write_text(PLAYBOOK, encoding="utf-8")
    command = ["ansible-playbook", "catalog.yml", "-i", "inventory.json"]
    one_line = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    output = run(*command, cwd=checkout, **one_line)
    result = result_of(output)
    assert result["warnings"] == []
    assert "sample-exporter" in result["names"]
    jobs = {job["job_name"]: job for job in result["jobs"]}
    assert jobs["sample"]["static_configs"][0]["targets"] == [f"127.0.0.1:{PORT}"]


def result_of(output: str) -> dict[str, Any]:
    """Return what the playbook printed."""
    (line,) = (line for line in output.splitlines() if "RESULT" in line)
    message = json.loads("{" + line.strip().rstrip(",") + "}")["msg"]
    return json.loads(message.removeprefix("RESULT "))


def test_its_layout_is_that_of_every_component(run: Run, checkout: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "tests/checks/test_layout.py"]
    output = run(*command, "-k", f"test_role and {ROLE}", cwd=checkout)
    assert "4 passed" in output
