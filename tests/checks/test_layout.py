# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree keeps the promises that its parts make to each other."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils.component.failpoints import (
    FAILPOINTS,
)
from tests.checks.conftest import known_files
from tests.conftest import ROOT

ROLES = sorted(path.name for path in ROOT.glob("roles/*") if path.is_dir())
# The others bring nothing to a host that runs there.
COMPONENTS = [role for role in ROLES if (ROOT / "roles" / role / "meta" / "component.yml").exists()]
MODULES = sorted(path.stem for path in ROOT.glob("plugins/modules/*.py"))
COMPONENT = "hippius.monitoring.component"
# Module -> why no action group has it.
UNGROUPED = {
    "inventory_check": "runs on the controller and has no options",
    "component_status": "shares no option with what changes a host",
    "release_bundle": "writes files on the controller and shares no option with what changes a host",
    "release_lock": "writes a file on the controller and shares no option with what changes a host",
}
SPDX = "# SPDX-License-Identifier: GPL-3.0-or-later"
GNU = "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)"

# Package registries and folders of one machine: whoever has others could not use the project. Written in two halves,
# so that this file does not hold what it looks for.
HOSTS = re.compile(
    r"\b(?:pypi|pythonhosted|debian|nodesource)\.(?:org|com)\b"
    r"|\b(?:proxy|sum)\.golang\b"
    r"|\bregistry\.npm"
)
PATHS = re.compile(r"/wor" + r"k/(?:main|shared|notes)\b|/roo" + r"t/\.(?:cache|pyenv)\b|/home/\w")


def load(*parts: str) -> dict:
    return yaml.safe_load(ROOT.joinpath(*parts).read_text(encoding="utf-8"))


def tasks_in(block: list[dict]) -> list[dict]:
    """All tasks, those in blocks too."""
    nested = [
        inner
        for task in block
        for key in ("block", "rescue", "always")
        for inner in tasks_in(task.get(key, []))
    ]
    return block + nested


def constants(path: Path) -> dict[str, str]:
    """The strings that a Python file assigns at its top."""
    assigned = [
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
    ]
    return {
        node.targets[0].id: node.value.value
        for node in assigned
        if isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Constant)
    }


def text_files(tree: Path) -> dict[str, str]:
    """Path -> content of what is text."""
    files = (path for path in sorted(tree.rglob("*")) if path.is_file() and not path.is_symlink())
    contents = {str(path.relative_to(tree)): path.read_bytes() for path in files}
    return {name: content.decode() for name, content in contents.items() if b"\0" not in content}


@pytest.mark.parametrize("role", ROLES)
def test_role_documents_its_defaults(role: str) -> None:
    defaults = load("roles", role, "defaults", "main.yml")
    options = load("roles", role, "meta", "argument_specs.yml")["argument_specs"]["main"]["options"]
    # What all roles share is the inventory's, and a role's own documentation may mention it.
    assert sorted(name for name in options if not name.startswith("monitoring_")) == sorted(
        defaults
    )
    documented = {name: options[name]["default"] for name in defaults if "default" in options[name]}
    assert documented == {name: defaults[name] for name in documented}


@pytest.mark.parametrize("role", ROLES)
def test_role_names_its_variables_after_itself(role: str) -> None:
    assert [
        name
        for name in load("roles", role, "defaults", "main.yml")
        if not name.startswith(f"{role}_")
    ] == []
    if (ROOT / "roles" / role / "vars" / "main.yml").exists():
        assert [
            name
            for name in load("roles", role, "vars", "main.yml")
            if not name.startswith(f"__{role}_")
        ] == []


@pytest.mark.parametrize("role", COMPONENTS)
def test_role_is_one_component(role: str) -> None:
    tasks = tasks_in(load("roles", role, "tasks", "main.yml"))
    (rollout,) = [task[COMPONENT] for task in tasks if COMPONENT in task]
    facts = load("roles", role, "meta", "component.yml")
    assert facts["group"] == role
    assert facts["component"] == rollout["name"] == role.replace("_", "-")
    assert facts["release"] == rollout["release"]["name"]
    assert facts["release"] in load("releases.lock.yml")
    assert {job["address"] for job in facts["scrape_jobs"]} <= set(facts["listen_addresses"])


@pytest.mark.parametrize("role", COMPONENTS)
def test_role_has_the_variables_that_every_role_has(role: str) -> None:
    defaults = load("roles", role, "defaults", "main.yml")
    if "instances" in load("roles", role, "meta", "component.yml"):
        assert {f"{role}_version", f"{role}_instances"} <= set(defaults)
        assert all(
            {"name", "listen_address"} <= set(instance)
            for instance in defaults[f"{role}_instances"]
        )
        return
    assert {f"{role}_{name}" for name in ("version", "config_extra", "config_file")} <= set(
        defaults
    )
    assert {name for name in defaults if re.fullmatch(f"{role}_listen_address(es)?", name)}


@pytest.mark.parametrize("subject", ["component", *COMPONENTS, "site"])
def test_subject_has_a_molecule_scenario(subject: str) -> None:
    files = {path.name for path in ROOT.glob(f"molecule/{subject}/*")}
    assert {"molecule.yml", "converge.yml", "verify.yml"} <= files


@pytest.mark.parametrize("module", MODULES)
def test_module_is_documented(module: str) -> None:
    written = constants(ROOT / "plugins" / "modules" / f"{module}.py")
    examples = yaml.safe_load(written["EXAMPLES"])
    assert any(f"hippius.monitoring.{module}" in task for task in examples)
    assert yaml.safe_load(written["DOCUMENTATION"])["module"] == module
    assert yaml.safe_load(written["RETURN"])


@pytest.mark.parametrize("module", MODULES)
def test_module_is_used_and_its_core_has_unit_tests(module: str) -> None:
    files = [ROOT / "plugins" / folder / f"{module}.py" for folder in ("modules", "action")]
    source = "\n".join(path.read_text(encoding="utf-8") for path in files if path.exists())
    # From a package, several from one folder, or, of an action plugin, from the one of another module.
    cores = set(re.findall(r"^from \.(?:\.module_utils\.)?(\w+)", source, re.MULTILINE))
    imported = re.findall(r"^from \.\.(?:module|plugin)_utils import (.+)$", source, re.MULTILINE)
    cores |= {name for names in imported for name in names.split(", ")}
    tests = [
        f"tests/unit/{form}"
        for core in cores
        for form in (f"{core}/test_*.py", f"*/test_{core}.py")
    ]
    assert [path for pattern in tests for path in ROOT.glob(pattern)]
    users = [
        path
        for folder in ("roles", "playbooks", "molecule")
        for path in (ROOT / folder).rglob("*.yml")
    ]
    used = re.compile(rf"hippius\.monitoring\.{module}:")
    assert [path for path in users if used.search(path.read_text(encoding="utf-8"))]


def test_modules_are_in_an_action_group() -> None:
    grouped = {
        name
        for members in load("meta", "runtime.yml")["action_groups"].values()
        for name in members
    }
    assert grouped | set(UNGROUPED) == set(MODULES)
    assert not grouped & set(UNGROUPED)


def test_every_point_of_a_rollout_has_a_fault_case() -> None:
    collect = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-o",
        "addopts=-p no:cacheprovider",
    ]
    listed = subprocess.run(
        [*collect, "tests/resilience"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    cases = {
        word
        for parameters in re.findall(r"\[(.+)\]$", listed, re.MULTILINE)
        for word in split(parameters)
    }
    assert [point for point in FAILPOINTS if point not in cases] == []


def split(parameters: str) -> set[str]:
    """What the id of a test may name: its parameters are joined by dashes, which their names may hold too."""
    words = parameters.split("-")
    return {
        "-".join(words[start:end])
        for start in range(len(words))
        for end in range(start + 1, len(words) + 1)
    }


def test_python_files_say_what_they_are(tree: Path) -> None:
    sources = {
        name: text for name, text in text_files(tree).items() if name.endswith(".py") and text
    }
    assert sources
    for name, text in sources.items():
        lines = [line for line in text.splitlines()[:3] if not line.startswith("#!")]
        assert lines[:1] == [SPDX], name
        assert not name.startswith("plugins/") or lines[1] == GNU, name
        assert ast.get_docstring(ast.parse(text)), f"{name} has no docstring"


def test_nothing_depends_on_one_machine(tree: Path) -> None:
    found = [
        f"{name}:{number}: {match.group()}"
        for name, text in text_files(tree).items()
        for number, line in enumerate(text.splitlines(), start=1)
        for match in [*HOSTS.finditer(line), *PATHS.finditer(line)]
    ]
    assert not found, "\n".join(found)


def test_no_file_is_large(tree: Path) -> None:
    sizes = {
        str(path.relative_to(tree)): path.stat().st_size
        for path in tree.rglob("*")
        if path.is_file()
    }
    assert {name: size for name, size in sizes.items() if size > 1024 * 1024} == {}


def test_links_stay_in_the_tree() -> None:
    links = [ROOT / name for name in known_files()]
    outside = [
        link
        for link in links
        if link.is_symlink() and not link.resolve().is_relative_to(ROOT.resolve())
    ]
    assert outside == []
    assert (ROOT / "collections/ansible_collections/hippius/monitoring").resolve() == ROOT.resolve()
