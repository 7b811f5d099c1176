# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the plays of the site, the groups of the inventories and the roles with each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.hippius.monitoring.plugins.action import run_check
from tests.unit.roles.rendering import rollout, trust_as_template

ROOT = Path(__file__).parents[3]
ROLES = sorted(path.parts[-3] for path in ROOT.glob("roles/*/meta/component.yml"))
# The only role that is not a component.
CONTENT = "grafana_content"
ENVIRONMENTS = sorted(path.name for path in ROOT.glob("inventories/*"))
# Variables without a default, and addresses that other hosts reach.
REQUIRED = {
    "alertmanager_discord_webhook": "https://discord.example/webhook",
    "grafana_admin_password": "a long password",
    "grafana_secret_key": "a long secret key",
    "monitoring_address": "10.0.0.1",
    "promtail_loki_url": "http://127.0.0.1:3100",
    **{f"{role}_listen_address": "0.0.0.0:3000" for role in ROLES},
}
IMPORT = "ansible.builtin.import_playbook"


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def imports() -> list[dict[str, Any]]:
    """Return the entries of site.yml that import the play of a role, in order."""
    return [entry for entry in read("playbooks/site.yml") if IMPORT in entry]


def component_play() -> dict[str, Any]:
    (play,) = read("playbooks/component.yml")
    return play


def test_site_has_one_play_for_each_role() -> None:
    roles = [entry["vars"]["component_role"] for entry in imports()]
    assert sorted(roles) == sorted([*ROLES, CONTENT])
    assert [entry["tags"] for entry in imports()] == roles


@pytest.mark.parametrize("role", ROLES)
def test_site_gives_a_role_to_the_hosts_of_the_group_with_its_name(role: str) -> None:
    (entry,) = [entry for entry in imports() if entry["tags"] == role]
    assert "component_group" not in entry["vars"]
    play = component_play()
    group = play["vars"]["__group"]
    assert group == "{{ component_group | default(component_role) }}"
    pending = "lookup('hippius.monitoring.pending_hosts', __group,"
    assert pending in play["hosts"]
    assert read(f"roles/{role}/meta/component.yml")["group"] == role


def test_site_shows_the_title_of_each_entry_as_the_name_of_its_play() -> None:
    assert component_play()["name"] == "{{ component_title }}"
    for entry in imports():
        assert entry[IMPORT] == "component.yml"
        assert entry["name"] == entry["vars"]["component_title"]


def test_site_rolls_a_role_out_without_validating_its_variables_again() -> None:
    (task,) = component_play()["tasks"]
    # The first play validates the variables of all roles.
    assert task["ansible.builtin.import_role"] == {
        "name": "hippius.monitoring.{{ component_role }}",
        "rolespec_validate": False,
    }


def test_site_sends_content_to_grafana_after_all_components() -> None:
    last = imports()[-1]
    assert (last["vars"]["component_group"], last["tags"]) == ("grafana", CONTENT)


@pytest.mark.parametrize(
    ("variables", "serial", "most_failures"),
    [
        pytest.param({}, "100%", 100, id="all at once"),
        pytest.param({"monitoring_serial": 1}, 1, 0, id="on request"),
        pytest.param(
            {"component_turns": True}, 1, 0, id="hosts that stand in for others"
        ),
        pytest.param(
            {"component_turns": True, "monitoring_serial": "50%"},
            "50%",
            0,
            id="as requested",
        ),
        pytest.param(
            {"component_turns": True, "groups": {"loki": ["a"]}},
            "100%",
            100,
            id="the only host",
        ),
        pytest.param(
            {"component_turns": True, "groups": {}}, "100%", 100, id="no host"
        ),
    ],
)
def test_site_rolls_hosts_out_one_after_another_where_it_matters(
    variables: dict[str, Any], serial: object, most_failures: int
) -> None:
    play = component_play()
    given = {"groups": {"loki": ["a", "b"]}, "component_role": "loki", **variables}
    templates = {name: trust_as_template(text) for name, text in play["vars"].items()}
    templar = Templar(loader=DataLoader(), variables={**templates, **given})
    names = ("serial", "max_fail_percentage")
    values = [templar.template(trust_as_template(play[name])) for name in names]
    assert values == [serial, most_failures]


def test_site_takes_turns_in_groups_whose_hosts_stand_in_for_each_other() -> None:
    in_turns = [
        entry["tags"] for entry in imports() if "component_turns" in entry["vars"]
    ]
    stores = ["loki", "tempo", "prometheus", "alertmanager", "grafana", CONTENT]
    assert in_turns == stores


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_a_page_for_its_peers_if_its_hosts_take_turns(role: str) -> None:
    (entry,) = [entry for entry in imports() if entry["tags"] == role]
    facts = read(f"roles/{role}/meta/component.yml").get("several_hosts", {})
    assert ("ready" in facts) == entry["vars"].get("component_turns", False)
    several = {"groups": {name: ["here", "there"] for name in ("all", role)}}
    options = rollout(role, **several, **REQUIRED)
    assert ("peers" in options.get("ready", {})) == ("ready" in facts)


@pytest.mark.parametrize("role", ROLES)
def test_a_rollback_takes_turns_as_the_site_does(role: str) -> None:
    play = read("playbooks/rollback.yml")[1]
    (entry,) = [entry for entry in imports() if entry["tags"] == role]
    templates = {name: trust_as_template(text) for name, text in play["vars"].items()}
    variables = {**templates, "component": role.replace("_", "-")}
    templar = Templar(loader=DataLoader(), variables=variables)
    serial = templar.template(trust_as_template(play["serial"]))
    assert serial == (1 if "component_turns" in entry["vars"] else "100%")


def test_site_gathers_no_facts() -> None:
    plays = [entry for entry in read("playbooks/site.yml") if IMPORT not in entry]
    gathering = [
        play["name"]
        for play in [*plays, component_play()]
        if play.get("gather_facts") is not False
    ]
    assert gathering == []


def test_site_refuses_a_bad_inventory_first_and_prunes_before_its_record() -> None:
    first, second, plan, *_imports, last, record, _verification = read(
        "playbooks/site.yml"
    )
    # Without any host in the inventory, too, the first play runs.
    hosts = "{{ 'all' if groups.all else 'localhost' }}"
    assert (first["hosts"], first["tags"]) == (hosts, "always")
    scope, inventory = first["tasks"]
    assert set(scope) >= {"hippius.monitoring.run_check", "run_once"}
    assert set(inventory) >= {"hippius.monitoring.inventory_check", "run_once"}
    # The content of Grafana is judged before any host changes, too.
    assert (second["any_errors_fatal"], second["tags"]) == (True, "always")
    assert second["tasks"][0]["ansible.builtin.import_role"] == {
        "name": "hippius.monitoring.grafana_content",
        "tasks_from": "check.yml",
        "rolespec_validate": False,
    }
    hosts = "{{ 'monitoring' if 'monitoring' in groups else 'all:!all' }}"
    assert (plan["hosts"], plan["tags"]) == (hosts, "always")
    pending = (
        "lookup('hippius.monitoring.pending_hosts', 'monitoring', component='prune')"
    )
    assert (last["hosts"], last["tags"]) == (f"{{{{ {pending} }}}}", "prune")
    (task,) = record["tasks"]
    assert "hippius.monitoring.rollout_annotation" in task
    assert task["run_once"] and task["ignore_unreachable"]
    assert task["failed_when"] is False


def test_check_of_the_run_knows_the_tag_of_each_play_with_its_group() -> None:
    groups = {
        entry["tags"]: entry["vars"].get("component_group", entry["tags"])
        for entry in imports()
    }
    expected = run_check.expectation_of(None, controller_only=False)
    assert expected.tags == {**groups, "prune": "monitoring"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_inventory_has_a_host_in_the_group_of_each_role(environment: str) -> None:
    groups = read(f"inventories/{environment}/hosts.yml")["monitoring"]["children"]
    assert sorted(groups) == ROLES
    assert all(group["hosts"] for group in groups.values())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_inventory_names_its_environment(environment: str) -> None:
    variables = read(f"inventories/{environment}/group_vars/all.yml")
    assert variables["monitoring_environment"] == environment


@pytest.mark.parametrize("role", ROLES)
def test_role_documents_its_defaults(role: str) -> None:
    defaults = read(f"roles/{role}/defaults/main.yml")
    options = read(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"][
        "options"
    ]
    documented = {
        name: option.get("default")
        for name, option in options.items()
        if name.startswith(f"{role}_")
    }
    # A default that is templated at run time is described in the option's text.
    constant = {
        name: None if "{{" in str(value) else value for name, value in defaults.items()
    }
    assert documented == constant
