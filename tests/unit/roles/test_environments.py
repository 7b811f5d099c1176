# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventories of dev and prod lead to the same rollout, except for what they say themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.unit.roles.rendering import rendered, rollout

ROLES = sorted(path.parts[-3] for path in ROOT.glob("roles/*/meta/component.yml"))
# What the environment of prod's controller has.
SECRETS = {
    "DISCORD_WEBHOOK_URL": "https://discord.com/api/webhooks/2/of-prod",
    "GRAFANA_ADMIN_PASSWORD": "password-of-prod",
    "GRAFANA_SECRET_KEY": "key-of-prod",
    "HEARTBEAT_URL": "https://hc.example/of-prod",
}
HEARTBEAT = "monitoring_heartbeat_url"


@pytest.fixture(autouse=True)
def controller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment of prod's controller."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def variables(environment: str) -> dict[str, Any]:
    """Return the variables of the only host of an environment."""
    folder = ROOT / "inventories" / environment
    common = yaml.safe_load((folder / "group_vars/all.yml").read_text(encoding="utf-8"))
    inventory = yaml.safe_load((folder / "hosts.yml").read_text(encoding="utf-8"))
    [(host, own)] = inventory["monitoring"]["hosts"].items()
    children = inventory["monitoring"]["children"]
    groups = {name: list(group["hosts"]) for name, group in children.items()}
    found = {**common, **(own or {})}
    for group in children.values():
        found.update(group.get("vars", {}))
    return {
        **found,
        "inventory_hostname": host,
        "groups": {"all": [host], "monitoring": [host], **groups},
        "group_names": ["monitoring", *groups],
    }


def as_dev(text: str) -> str:
    """Return a rendered text of prod with the values of dev's inventory."""
    dev, prod = variables("dev"), variables("prod")
    values = {
        SECRETS["DISCORD_WEBHOOK_URL"]: dev["alertmanager_discord_webhook"],
        SECRETS["GRAFANA_ADMIN_PASSWORD"]: dev["grafana_admin_password"],
        SECRETS["GRAFANA_SECRET_KEY"]: dev["grafana_secret_key"],
        prod["inventory_hostname"]: dev["inventory_hostname"],
        f'"{prod["monitoring_environment"]}"': f'"{dev["monitoring_environment"]}"',
        # Labels in command lines and in quoted settings.
        f"={prod['monitoring_environment']}": f"={dev['monitoring_environment']}",
        f'\\"{prod["monitoring_environment"]}\\"': (
            f'\\"{dev["monitoring_environment"]}\\"'
        ),
    }
    for old, new in values.items():
        text = text.replace(old, new)
    return text


def test_the_inventories_say_the_same_except_for_name_secrets_and_heartbeat():
    dev, prod = variables("dev"), variables("prod")
    differing = {
        name
        for name in {*dev, *prod}
        if dev.get(name) != prod.get(name) and name not in ("groups", "group_names")
    }
    assert differing == {
        "ansible_connection",
        "inventory_hostname",
        "monitoring_environment",
        "alertmanager_discord_webhook",
        "grafana_admin_password",
        "grafana_secret_key",
        HEARTBEAT,
    }
    assert list(dev["groups"]) == list(prod["groups"])


@pytest.mark.parametrize("role", ROLES)
def test_a_component_is_the_same_in_both(role: str):
    # Only prod has someone outside who watches; see the next test.
    dev = rollout(role, **variables("dev"))
    prod = rollout(role, **{**variables("prod"), HEARTBEAT: ""})
    shown = json.dumps(dev, sort_keys=True)
    assert as_dev(json.dumps(prod, sort_keys=True)) == shown
    assert "of-prod" in json.dumps(prod) or role not in ("alertmanager", "grafana")


@pytest.mark.parametrize("role", ROLES)
def test_the_heartbeat_is_all_that_prod_has_in_addition(role: str):
    told = variables("prod")
    watched, unwatched = rollout(role, **told), rollout(role, **{**told, HEARTBEAT: ""})
    differing = {key for key in watched if watched[key] != unwatched[key]}
    assert differing == {
        "prometheus": {"config"},
        "alertmanager": {"config", "secrets"},
    }.get(role, set())


def test_the_content_of_grafana_is_the_same_in_both():
    whole = "__grafana_content_all"
    dev = rendered("grafana_content", whole, **variables("dev"))
    prod = rendered("grafana_content", whole, **variables("prod"))
    assert as_dev(json.dumps(prod)) == json.dumps(dev)
