# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup plugin over a real inventory and the real roles, with Ansible's own templating and without a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.hippius.monitoring.plugins.lookup.components import LookupModule

ROOT = Path(__file__).parents[3]
INVENTORY = """
all:
  vars:
    monitoring_environment: test
    shared_port: 9090
  children:
    prometheus:
      hosts:
        a: {}
        b:
          lan: 10.0.0.2
          prometheus_listen_address: "{{ lan }}:{{ shared_port }}"
          shared_port: 9091
          # What does not matter for the answer may not even be readable here.
          broken: "{{ nowhere }}"
          secret: !vault |
            $ANSIBLE_VAULT;1.1;AES256
            3030
    loki:
      hosts:
        b:
          loki_listen_address: 0.0.0.0:3100
          monitoring_address: "logs.{{ inventory_hostname }}"
"""
Ask = Callable[..., object]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Ask the lookup as a task on a host would."""

    def answer(host: str, question: str, inventory: str = INVENTORY, **options: str) -> object:
        source = tmp_path / "hosts.yml"
        source.write_text(inventory)
        loader = DataLoader()
        hosts = InventoryManager(loader=loader, sources=[str(source)])
        manager = VariableManager(loader=loader, inventory=hosts)
        manager._hostvars = HostVars(inventory=hosts, variable_manager=manager, loader=loader)
        variables = manager.get_vars(host=hosts.get_host(host))
        plugin = LookupModule(loader=loader, templar=Templar(loader=loader, variables=variables))
        (only,) = plugin.run([question], variables, **options)
        return only

    return answer


def targets(jobs: list, name: str) -> list:
    (job,) = [job for job in jobs if job["job_name"] == name]
    return [(config["targets"], config["labels"]["host"]) for config in job["static_configs"]]


def test_scrape_jobs_take_defaults_and_each_hosts_own_variables(ask: Ask) -> None:
    inventory = INVENTORY.replace(
        "a: {}", "a: {prometheus_listen_address: '0.0.0.0:9090', ansible_host: 192.0.2.1}"
    )
    expected = [(["192.0.2.1:9090"], "a"), (["10.0.0.2:9091"], "b")]
    assert targets(ask("b", "scrape_jobs", inventory), "prometheus") == expected
    assert targets(ask("b", "scrape_jobs", inventory), "loki") == [(["127.0.0.1:3100"], "b")]


def test_scrape_jobs_take_a_roles_default_for_a_host_that_sets_nothing(ask: Ask) -> None:
    assert targets(ask("a", "scrape_jobs"), "prometheus") == [
        (["127.0.0.1:9090"], "a"),
        (["logs.b:9091"], "b"),
    ]


EXPORTERS = """
redis_exporter:
  vars: {monitoring_environment: test}
  hosts:
    a: {}
    b:
      lan: 10.0.0.2
      redis_exporter_instances:
        - {name: main, listen_address: "{{ lan }}:9121", redis_address: "127.0.0.1:6379"}
"""


def test_scrape_jobs_are_those_of_each_hosts_instances(ask: Ask) -> None:
    jobs = ask("a", "scrape_jobs", EXPORTERS)
    assert [job["job_name"] for job in jobs] == ["redis-main", "redis-accounts", "redis-chain"]
    assert targets(jobs, "redis-main") == [(["127.0.0.1:9121"], "a"), (["10.0.0.2:9121"], "b")]
    assert targets(jobs, "redis-chain") == [(["127.0.0.1:9123"], "a")]
    assert {config["labels"]["redis"] for config in jobs[0]["static_configs"]} == {"main"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param(
            "lan: 10", "wan: 10", ["redis-exporter on b", "'lan' is undefined"], id="undefined"
        ),
        pytest.param(
            "listen_address: ",
            "address: ",
            ["redis-exporter on b", "listen_address"],
            id="no address",
        ),
        pytest.param(
            "{{ lan }}",
            "127.0.0.2",
            ["redis-exporter on b, instance main", "from a"],
            id="loopback",
        ),
    ],
)
def test_error_names_the_instance(ask: Ask, old: str, new: str, words: list) -> None:
    assert old in EXPORTERS
    with pytest.raises(AnsibleError) as failed:
        ask("a", "scrape_jobs", EXPORTERS.replace(old, new))
    for word in words:
        assert word in str(failed.value)


def test_address_is_templated_in_the_other_hosts_context(ask: Ask) -> None:
    assert ask("a", "address", component="loki") == "logs.b:3100"


def test_names_follow_the_groups(ask: Ask) -> None:
    assert ask("a", "names") == ["prometheus"]
    assert ask("b", "names") == ["loki", "prometheus"]


def test_releases_are_the_defaults_of_all_roles_as_they_are_locked(ask: Ask) -> None:
    lock = yaml.safe_load((ROOT / "releases.lock.yml").read_text())
    expected = {}
    for facts in map(
        yaml.safe_load, (path.read_text() for path in ROOT.glob("roles/*/meta/component.yml"))
    ):
        defaults = yaml.safe_load(
            (ROOT / "roles" / facts["group"] / "defaults/main.yml").read_text()
        )
        version = defaults[f"{facts['group']}_version"]
        expected[facts["release"]] = {version: lock[facts["release"]][version]}
    groups = "\n".join(
        f"{facts}: {{hosts: {{a: {{monitoring_environment: dev}}}}}}" for facts in expected
    )
    assert ask("a", "releases", groups) == expected


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param(
            "lan: 10.0.0.2",
            "wan: 10.0.0.2",
            ["prometheus on b", "'lan' is undefined"],
            id="undefined",
        ),
        pytest.param(
            '"logs.{{ inventory_hostname }}"',
            '"{{ nowhere }}"',
            ["monitoring_address of b"],
            id="nested",
        ),
        pytest.param(
            "lan: 10.0.0.2", "lan: 127.0.0.2", ["prometheus on b", "from a"], id="loopback"
        ),
    ],
)
def test_error_names_host_component_and_variable(ask: Ask, old: str, new: str, words: list) -> None:
    assert old in INVENTORY
    with pytest.raises(AnsibleError) as failed:
        ask("a", "scrape_jobs", INVENTORY.replace(old, new))
    for word in words:
        assert word in str(failed.value)


@pytest.mark.parametrize(
    ("question", "options", "word"),
    [
        pytest.param("ports", {}, "scrape_jobs, address", id="question"),
        pytest.param("address", {"component": "nothing"}, "'nothing'", id="component"),
        pytest.param("address", {}, "component '': does not exist", id="no component"),
        pytest.param(
            "address",
            {"component": "prometheus", "listener": "grpc"},
            "'grpc'; choose one of: http",
            id="listener",
        ),
    ],
)
def test_unknown_thing_is_refused_by_name(
    ask: Ask, question: str, options: dict, word: str
) -> None:
    with pytest.raises(AnsibleError, match=word):
        ask("a", question, **options)


def alerts(ask: Ask, **options: str) -> dict:
    """Component -> names of the alerts that it brings."""
    brought = ask("a", "alerts", **options)
    return {
        item["component"]: [
            rule["alert"] for group in item["document"]["groups"] for rule in group["rules"]
        ]
        for item in brought
    }


def test_alerts_are_those_of_the_components_in_the_inventory(ask: Ask) -> None:
    everything = alerts(ask)
    assert set(everything) == {"loki", "prometheus"}
    assert "LokiDown" in everything["loki"]
    shares = alerts(ask, engine="grafana"), alerts(ask, engine="prometheus")
    # Prometheus cannot tell that it is away.
    assert "prometheus" not in shares[1]
    assert {
        name: sorted(shares[0].get(name, []) + shares[1].get(name, [])) for name in everything
    } == {name: sorted(rules) for name, rules in everything.items()}


def test_alerts_are_told_with_the_file_they_come_from(ask: Ask) -> None:
    [loki] = [item for item in ask("a", "alerts") if item["component"] == "loki"]
    assert Path(loki["path"]).read_text(encoding="utf-8").startswith("---\ngroups:")


def test_alerts_of_an_engine_that_is_none_are_refused(ask: Ask) -> None:
    with pytest.raises(AnsibleError, match="engine 'loki': does not exist"):
        ask("a", "alerts", engine="loki")


def test_content_is_what_the_components_in_the_inventory_bring_to_grafana(ask: Ask) -> None:
    found = ask("a", "content", folder="Area/Sub")
    assert {item["folder"] for item in found} == {"Area/Sub"}
    paths = [Path(item.get("directory") or item["file"]) for item in found]
    assert [path for path in paths if not path.exists()] == []
    # Loki's alerts are Prometheus' to evaluate.
    assert {path.parts[-3] for path in paths} <= {"loki", "prometheus"}
    assert any(path.parts[-3:] == ("prometheus", "files", "dashboards") for path in paths)
    assert any(path.parts[-3:] == ("prometheus", "files", "alerts.yml") for path in paths)
