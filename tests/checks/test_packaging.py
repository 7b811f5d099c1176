# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection builds and installs; its names resolve when installed and in a checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from ansible.release import __version__

from tests.ansible_versions import VERSIONS, programs_of
from tests.checks.conftest import Run
from tests.conftest import ROOT

MODULES = sorted(path.stem for path in ROOT.glob("plugins/modules/*.py"))
LOCALLY = ["ansible-playbook", "-i", "localhost,"]
ENTRY_POINTS = ["site.yml", "hippius.monitoring.site"]
# Run the module on this machine for a component that does not exist; it changes nothing.
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - name: Use the module
      hippius.monitoring.component:
        name: no-such-component
        state: absent
      check_mode: true
      register: result
    - name: Find nothing to do
      ansible.builtin.assert:
        that: result is not changed and result.action == 'none'
    - name: Read the catalog
      ansible.builtin.assert:
        that: lookup('hippius.monitoring.components', 'scrape_jobs') == []
"""


def test_archive_holds_what_users_need_and_nothing_else(archive: Path) -> None:
    with tarfile.open(archive) as opened:
        tops = {name.split("/")[0] for name in opened.getnames()}
        manifest = json.load(opened.extractfile("MANIFEST.json"))
    needed = {
        "plugins",
        "roles",
        "playbooks",
        "meta",
        "examples",
        "releases.lock.yml",
        "README.md",
        "LICENSE",
    }
    allowed = needed | {
        "MANIFEST.json",
        "FILES.json",
        "docs",
        "changelogs",
        "CHANGELOG.rst",
    }
    allowed |= {"CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md"}
    assert needed <= tops <= allowed
    about = manifest["collection_info"]
    assert about["namespace"] == "hippius"
    for link in ("repository", "homepage", "documentation", "issues"):
        assert about[link].startswith("https://")


def test_execution_environment_finds_its_lists_in_the_archive(archive: Path) -> None:
    with tarfile.open(archive) as opened:
        names = set(opened.getnames())
        description = yaml.safe_load(
            opened.extractfile("meta/execution-environment.yml")
        )
    assert set(description["dependencies"].values()) <= names


def test_readme_names_the_tested_versions() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    versions = {version or __version__ for version in VERSIONS}
    assert [version for version in versions if version not in readme] == []


def test_playbook_finds_the_installed_collection(
    run: Run, installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "playbook.yml").write_text(PLAYBOOK)
    path = {"ANSIBLE_COLLECTIONS_PATH": str(installed)}
    run(*LOCALLY, "-c", "local", "playbook.yml", cwd=tmp_path, **path)
    run(*LOCALLY, "--syntax-check", "hippius.monitoring.site", cwd=tmp_path, **path)


@pytest.mark.parametrize("core", VERSIONS, ids=lambda version: version or "own")
def test_ansible_doc_finds_the_documentation_beside_each_module(
    run: Run, installed: Path, core: str
) -> None:
    names = [f"hippius.monitoring.{module}" for module in MODULES]
    program = str(programs_of(core) / "ansible-doc")
    shown = json.loads(
        run(
            program,
            "--json",
            "--type=module",
            *names,
            cwd=installed,
            ANSIBLE_COLLECTIONS_PATH=str(installed),
        )
    )
    for name in names:
        assert shown[name]["doc"]["description"]
        assert shown[name]["examples"]
        assert shown[name]["return"]


def test_checkout_finds_itself_with_nothing_installed(run: Run, tmp_path: Path) -> None:
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(PLAYBOOK)
    run(*LOCALLY, "-c", "local", str(playbook), cwd=ROOT, HOME=str(tmp_path))


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_checkout_finds_its_entry_points(
    run: Run, tmp_path: Path, environment: str
) -> None:
    check = ["ansible-playbook", "-i", f"inventories/{environment}", "--syntax-check"]
    for playbook in ENTRY_POINTS:
        run(*check, playbook, cwd=ROOT, HOME=str(tmp_path))


# Zipped bytes that Ansible may send for a module; raise one together with its reason.
LARGEST_PAYLOADS = {
    # 5 % more than before faults of killed controllers, boots, ports and others were mended.
    "component_rollout": 176_937,
    "component_rollback": 180_000,
    "component_removal": 158_000,
    "component_observation": 140_500,
    "component_status": 185_000,
    "grafana_content": 197_000,
    "grafana_datasource": 187_000,
}


def test_no_module_sends_more_than_it_may() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.payload"]
    printed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in printed.splitlines()[1:]]
    zipped = {module: int(count) for module, _ours, _all, count, _files in rows}
    assert zipped.keys() == LARGEST_PAYLOADS.keys()
    assert {
        module: count
        for module, count in zipped.items()
        if count > LARGEST_PAYLOADS[module]
    } == {}
