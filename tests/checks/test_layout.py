# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles, modules, tests and documentation agree with each other."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.artifact import tracked_and_new_files
from tests.conftest import ROOT
from tests.failpoints import FAILPOINTS

ROLES = sorted(path.name for path in ROOT.glob("roles/*") if path.is_dir())
# The other roles install no program on a host.
COMPONENTS = [
    role
    for role in ROLES
    if (ROOT / "roles" / role / "meta" / "component.yml").exists()
]
MODULES = sorted(path.stem for path in ROOT.glob("plugins/modules/*.py"))
COMPONENT = "hippius.monitoring.component"
# Module -> reason why it belongs to no action group.
UNGROUPED = {
    "inventory_check": "runs on the controller and has no options",
    "run_check": "runs on the controller, shares no option with modules that change a host",
    "generated_secrets": "runs on the controller, shares no option with others",
    "rollout_annotation": "its one task has options of its own",
    "status_report": "runs on the controller, shares no option with modules that change a host",
    "component_observation": "changes nothing",
    "component_status": "shares no option with modules that change a host",
    "flow_check": "shares no option with modules that change a host",
    "flow_queries": "its options come from flow_check",
    "flow_report": "runs on the controller, shares no option with modules that change a host",
    "release_bundle": "runs on the controller, shares no option with modules that change a host",
    "release_lock": "runs on the controller, shares no option with modules that change a host",
}
SPDX = "# SPDX-License-Identifier: GPL-3.0-or-later"
GNU = "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)"

# Package registries and folders of one machine would make the project unusable on another one.
# The patterns are split, so that this file does not match them.
HOSTS = re.compile(
    r"\b(?:pypi|pythonhosted|debian|nodesource)\.(?:org|com)\b"
    r"|\b(?:proxy|sum)\.golang\b"
    r"|\bregistry\.npm"
)
PATHS = re.compile(
    r"/wor" + r"k/(?:main|shared|notes)\b|/roo" + r"t/\.(?:cache|pyenv)\b|/home/\w"
)


def load(*parts: str) -> Any:
    """Return the document of a YAML file of the checkout."""
    return yaml.safe_load(ROOT.joinpath(*parts).read_text(encoding="utf-8"))


def tasks_in(block: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all tasks, including those in blocks."""
    nested = [
        inner
        for task in block
        for key in ("block", "rescue", "always")
        for inner in tasks_in(task.get(key, []))
    ]
    return block + nested


def text_files(tree: Path) -> dict[str, str]:
    """Return the content of each text file, by relative path."""
    files = (
        path
        for path in sorted(tree.rglob("*"))
        if path.is_file() and not path.is_symlink()
    )
    contents = {str(path.relative_to(tree)): path.read_bytes() for path in files}
    return {
        name: content.decode()
        for name, content in contents.items()
        if b"\0" not in content
    }


@pytest.mark.parametrize("role", ROLES)
def test_role_documents_its_defaults(role: str) -> None:
    defaults = load("roles", role, "defaults", "main.yml")
    options = load("roles", role, "meta", "argument_specs.yml")["argument_specs"][
        "main"
    ]["options"]
    # Variables that all roles share belong to the inventory; a role's documentation may list them.
    own = [name for name in options if not name.startswith("monitoring_")]
    assert sorted(own) == sorted(defaults)
    documented = {
        name: options[name]["default"]
        for name in defaults
        if "default" in options[name]
    }
    assert documented == {name: defaults[name] for name in documented}


@pytest.mark.parametrize("role", ROLES)
def test_role_names_its_variables_after_itself(role: str) -> None:
    defaults = load("roles", role, "defaults", "main.yml")
    assert [name for name in defaults if not name.startswith(f"{role}_")] == []
    if (ROOT / "roles" / role / "vars" / "main.yml").exists():
        internal = load("roles", role, "vars", "main.yml")
        assert [name for name in internal if not name.startswith(f"__{role}_")] == []


@pytest.mark.parametrize("role", COMPONENTS)
def test_role_is_one_component(role: str) -> None:
    tasks = tasks_in(load("roles", role, "tasks", "main.yml"))
    (rollout,) = [task[COMPONENT] for task in tasks if COMPONENT in task]
    facts = load("roles", role, "meta", "component.yml")
    assert facts["group"] == role
    assert facts["component"] == rollout["name"] == role.replace("_", "-")
    assert facts["release"] == rollout["release"]["name"]
    assert facts["release"] in load("releases.lock.yml")
    assert {job["address"] for job in facts["scrape_jobs"]} <= set(
        facts["listen_addresses"]
    )


@pytest.mark.parametrize("role", COMPONENTS)
def test_role_has_the_variables_that_every_role_has(role: str) -> None:
    defaults = load("roles", role, "defaults", "main.yml")
    if "instances" in load("roles", role, "meta", "component.yml"):
        assert {f"{role}_version", f"{role}_instances"} <= set(defaults)
        for instance in defaults[f"{role}_instances"]:
            assert {"name", "listen_address"} <= set(instance)
        return
    required = {f"{role}_{name}" for name in ("version", "config_extra", "config_file")}
    assert required <= set(defaults)
    assert {
        name for name in defaults if re.fullmatch(f"{role}_listen_address(es)?", name)
    }


@pytest.mark.parametrize("subject", ["component", *COMPONENTS, "site"])
def test_subject_has_a_molecule_scenario(subject: str) -> None:
    files = {path.name for path in ROOT.glob(f"molecule/{subject}/*")}
    assert {"molecule.yml", "converge.yml", "verify.yml"} <= files


@pytest.mark.parametrize("module", MODULES)
def test_module_is_documented(module: str) -> None:
    documentation = ROOT / "plugins" / "modules" / f"{module}.yml"
    written = yaml.safe_load(documentation.read_text(encoding="utf-8"))
    examples = yaml.safe_load(written["EXAMPLES"])
    assert any(f"hippius.monitoring.{module}" in task for task in examples)
    assert written["DOCUMENTATION"]["module"] == module
    assert written["RETURN"]


@pytest.mark.parametrize("module", MODULES)
def test_module_is_used_and_its_core_has_unit_tests(module: str) -> None:
    files = [
        ROOT / "plugins" / folder / f"{module}.py" for folder in ("modules", "action")
    ]
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in files if path.exists()
    )
    # Imports from a package, from a folder, or from another module's action plugin.
    cores = set(re.findall(r"^from \.(?:\.module_utils\.)?(\w+)", source, re.MULTILINE))
    imported = re.findall(
        r"^from \.\.(?:module|plugin)_utils import (\([^)]*\)|.+)$",
        source,
        re.MULTILINE,
    )
    cores |= {name for names in imported for name in re.findall(r"\w+", names)}
    patterns = [
        pattern
        for core in cores
        for pattern in (f"{core}/test_*.py", f"*/test_{core}.py")
    ]
    assert [
        path for pattern in patterns for path in (ROOT / "tests" / "unit").glob(pattern)
    ]
    users = [
        path
        for folder in ("roles", "playbooks", "molecule")
        for path in (ROOT / folder).rglob("*.yml")
    ]
    # Some are run by the action plugin of another module only.
    users += (ROOT / "plugins" / "action").glob("*.py")
    users.append(ROOT / "plugins" / "plugin_utils" / "component_calls.py")
    used = re.compile(rf'hippius\.monitoring\.{module}[:"]|"{module}"[,)]')
    assert [path for path in users if used.search(path.read_text(encoding="utf-8"))]


def test_modules_are_in_an_action_group() -> None:
    groups = load("meta", "runtime.yml")["action_groups"]
    grouped = {name for members in groups.values() for name in members}
    assert grouped | set(UNGROUPED) == set(MODULES)
    assert not grouped & set(UNGROUPED)


def test_every_failpoint_of_a_rollout_has_a_resilience_test() -> None:
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q"]
    collect += ["-o", "addopts=-p no:cacheprovider", "tests/resilience"]
    listed = subprocess.run(
        collect, cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    cases = {
        name
        for parameters in re.findall(r"\[(.+)\]$", listed, re.MULTILINE)
        for name in parameter_names(parameters)
    }
    assert [failpoint for failpoint in FAILPOINTS if failpoint not in cases] == []


def parameter_names(parameters: str) -> set[str]:
    """Return each name that the id of a test may contain.

    pytest joins the parameters by dashes, which the names may contain too.
    """
    words = parameters.split("-")
    return {
        "-".join(words[start:end])
        for start in range(len(words))
        for end in range(start + 1, len(words) + 1)
    }


def test_python_files_have_a_license_and_a_docstring(tree: Path) -> None:
    files = text_files(tree).items()
    sources = {
        name: source for name, source in files if name.endswith(".py") and source
    }
    assert sources
    for name, source in sources.items():
        lines = [line for line in source.splitlines()[:3] if not line.startswith("#!")]
        assert lines[:1] == [SPDX], name
        # Hosts get these with every module, so the identifier has to do.
        is_utility = name.startswith("plugins/module_utils/")
        if name.startswith("plugins/") and not is_utility:
            assert lines[1] == GNU, name
        assert ast.get_docstring(ast.parse(source)), f"{name} has no docstring"


def test_nothing_depends_on_one_machine(tree: Path) -> None:
    matches = [
        f"{name}:{number}: {match.group()}"
        for name, content in text_files(tree).items()
        for number, line in enumerate(content.splitlines(), start=1)
        for match in [*HOSTS.finditer(line), *PATHS.finditer(line)]
    ]
    assert not matches, "\n".join(matches)


def test_no_file_is_large(tree: Path) -> None:
    sizes = {
        str(path.relative_to(tree)): path.stat().st_size
        for path in tree.rglob("*")
        if path.is_file()
    }
    assert {name: size for name, size in sizes.items() if size > 1024 * 1024} == {}


def test_links_stay_in_the_tree() -> None:
    root = ROOT.resolve()
    links = [
        ROOT / name for name in tracked_and_new_files() if (ROOT / name).is_symlink()
    ]
    assert [link for link in links if not link.resolve().is_relative_to(root)] == []
    assert (
        ROOT / "collections/ansible_collections/hippius/monitoring"
    ).resolve() == root


def test_fragments_have_no_markup_of_modules() -> None:
    """The changelog is RST, which has ``name`` in place of C(name)."""
    fragments = sorted((ROOT / "changelogs/fragments").glob("*.yml"))
    markup = re.compile(r"\b[A-Z]\([^)]*\)")
    found = {path.name: markup.findall(path.read_text("utf-8")) for path in fragments}
    assert {name: words for name, words in found.items() if words} == {}
