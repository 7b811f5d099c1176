# SPDX-License-Identifier: GPL-3.0-or-later
"""The plays of the site, the groups of the inventories and the roles belong together."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
ROLES = sorted(path.parts[-3] for path in ROOT.glob("roles/*/meta/component.yml"))
# The one role that is no component.
CONTENT = "grafana_content"
ENVIRONMENTS = sorted(path.name for path in ROOT.glob("inventories/*"))


def read(path: str) -> object:
    return yaml.safe_load((ROOT / path).read_text())


def plays_with_roles() -> dict:
    """The plays that roll a role out, by what they import."""
    found = {}
    for play in read("playbooks/site.yml"):
        (task,) = play["tasks"]
        if role := task.get("ansible.builtin.import_role"):
            # The first play validates the variables of all.
            assert role.pop("rolespec_validate") is False
            found[role.pop("name")] = play
            assert role == {}
    return found


def test_site_has_one_play_for_each_role() -> None:
    plays = plays_with_roles().values()
    assert sorted(play["tags"] for play in plays) == sorted([*ROLES, CONTENT])
    for play in plays:
        if play["tags"] == CONTENT:
            continue
        assert (
            play["hosts"]
            == read(f"roles/{play['tags']}/meta/component.yml")["group"]
            == play["tags"]
        )
    assert list(plays_with_roles()) == [f"hippius.monitoring.{play['tags']}" for play in plays]


def test_site_brings_content_to_grafana_after_all_that_it_points_at() -> None:
    role, last = list(plays_with_roles().items())[-1]
    assert (last["hosts"], last["tags"], role) == (
        "grafana",
        CONTENT,
        f"hippius.monitoring.{CONTENT}",
    )


def test_site_rolls_each_role_out_in_turn_where_that_is_wanted() -> None:
    plays = plays_with_roles().values()
    assert {play["serial"] for play in plays} == {"{{ monitoring_serial | default('100%') }}"}
    assert {play["max_fail_percentage"] for play in plays} == {
        "{{ 0 if monitoring_serial is defined else 100 }}"
    }


def test_site_gathers_no_facts() -> None:
    assert [
        play["name"] for play in read("playbooks/site.yml") if play.get("gather_facts") is not False
    ] == []


def test_site_refuses_a_bad_inventory_first_and_sweeps_last() -> None:
    first, *_plays, last = read("playbooks/site.yml")
    assert (first["hosts"], first["tags"]) == ("all", "always")
    assert set(first["tasks"][0]) >= {"hippius.monitoring.inventory_check", "run_once"}
    assert (last["hosts"], last["tags"]) == ("monitoring", "prune")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_inventory_has_a_host_in_the_group_of_each_role(environment: str) -> None:
    groups = read(f"inventories/{environment}/hosts.yml")["monitoring"]["children"]
    assert sorted(groups) == ROLES
    assert all(group["hosts"] for group in groups.values())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_inventory_names_its_environment(environment: str) -> None:
    assert (
        read(f"inventories/{environment}/group_vars/all.yml")["monitoring_environment"]
        == environment
    )


@pytest.mark.parametrize("role", ROLES)
def test_role_documents_its_defaults(role: str) -> None:
    defaults = read(f"roles/{role}/defaults/main.yml")
    options = read(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    documented = {
        name: option.get("default")
        for name, option in options.items()
        if name.startswith(f"{role}_")
    }
    # What is looked up when the role runs is told in words.
    constant = {name: None if "{{" in str(value) else value for name, value in defaults.items()}
    assert documented == constant
