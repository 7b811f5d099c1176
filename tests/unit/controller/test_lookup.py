# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup plugin over a real inventory and the real roles, without a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.hippius.monitoring.plugins.lookup.components import (
    LookupModule,
)

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
          # Variables that the answer does not use may have errors.
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
LookUp = Callable[..., Any]


@pytest.fixture
def look_up(tmp_path: Path) -> LookUp:
    """Return a function that queries the lookup as a task on a host does."""

    def answer(
        host: str,
        question: str,
        inventory: str = INVENTORY,
        **options: str,
    ) -> Any:
        source = tmp_path / "hosts.yml"
        source.write_text(inventory)
        loader = DataLoader()
        hosts = InventoryManager(loader=loader, sources=[str(source)])
        manager = VariableManager(loader=loader, inventory=hosts)
        manager._hostvars = HostVars(
            inventory=hosts, variable_manager=manager, loader=loader
        )
        variables = manager.get_vars(host=hosts.get_host(host))
        plugin = LookupModule(
            loader=loader, templar=Templar(loader=loader, variables=variables)
        )
        (only,) = plugin.run([question], variables, **options)
        return only

    return answer


def targets(
    jobs: list[dict[str, Any]],
    name: str,
) -> list[tuple[list[str], str]]:
    """Return the targets of a job with their hosts."""
    (job,) = [job for job in jobs if job["job_name"] == name]
    return [
        (config["targets"], config["labels"]["host"])
        for config in job["static_configs"]
    ]


def test_scrape_jobs_use_defaults_and_each_hosts_own_variables(look_up: LookUp) -> None:
    inventory = INVENTORY.replace(
        "a: {}",
        "a: {prometheus_listen_address: '0.0.0.0:9090', ansible_host: 192.0.2.1}",
    )
    expected = [(["192.0.2.1:9090"], "a"), (["10.0.0.2:9091"], "b")]
    assert targets(look_up("b", "scrape_jobs", inventory), "prometheus") == expected
    assert targets(look_up("b", "scrape_jobs", inventory), "loki") == [
        (["127.0.0.1:3100"], "b")
    ]


def test_scrape_jobs_use_the_default_of_a_role_for_a_host_without_variables(
    look_up: LookUp,
) -> None:
    assert targets(look_up("a", "scrape_jobs"), "prometheus") == [
        (["127.0.0.1:9090"], "a"),
        (["logs.b:9091"], "b"),
    ]


EXPORTERS = """
redis_exporter:
  vars: {monitoring_environment: test}
  hosts:
    a:
      redis_exporter_instances:
        - {name: main, listen_address: "127.0.0.1:9121", redis_address: "127.0.0.1:6379"}
        - {name: accounts, listen_address: "127.0.0.1:9122", redis_address: "127.0.0.1:6380"}
        - {name: chain, listen_address: "127.0.0.1:9123", redis_address: "127.0.0.1:6381"}
    b:
      lan: 10.0.0.2
      redis_exporter_instances:
        - {name: main, listen_address: "{{ lan }}:9121", redis_address: "127.0.0.1:6379"}
"""


def test_scrape_jobs_have_the_instances_of_each_host(look_up: LookUp) -> None:
    jobs = look_up("a", "scrape_jobs", EXPORTERS)
    assert [job["job_name"] for job in jobs] == [
        "redis-main",
        "redis-accounts",
        "redis-chain",
    ]
    assert targets(jobs, "redis-main") == [
        (["127.0.0.1:9121"], "a"),
        (["10.0.0.2:9121"], "b"),
    ]
    assert targets(jobs, "redis-chain") == [(["127.0.0.1:9123"], "a")]
    assert {config["labels"]["redis"] for config in jobs[0]["static_configs"]} == {
        "main"
    }


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param(
            "lan: 10",
            "wan: 10",
            ["redis-exporter on b", "'lan' is undefined"],
            id="undefined",
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
def test_error_names_the_instance(
    look_up: LookUp,
    old: str,
    new: str,
    words: list[str],
) -> None:
    assert old in EXPORTERS
    with pytest.raises(AnsibleError) as failed:
        look_up("a", "scrape_jobs", EXPORTERS.replace(old, new))
    assert [word for word in words if word not in str(failed.value)] == []


def test_address_is_templated_in_the_other_hosts_context(look_up: LookUp) -> None:
    assert look_up("a", "address", component="loki") == "logs.b:3100"


def test_members_are_the_hosts_of_a_group_as_the_current_one_reaches_them(
    look_up: LookUp,
) -> None:
    members = look_up("a", "members", component="prometheus")
    addresses = [(member["host"], member["address"]) for member in members]
    assert addresses == [("a", "127.0.0.1:9090"), ("b", "logs.b:9091")]
    assert look_up("a", "members", component="tempo") == []


def test_peers_are_the_other_hosts_of_a_group_that_stand_in_for_each_other(
    look_up: LookUp,
) -> None:
    peers = look_up("a", "peers", component="prometheus")
    assert peers == [{"host": "b", "url": "http://logs.b:9091/-/ready"}]
    assert look_up("a", "peers", component="node-exporter") == []


def test_names_follow_the_groups(look_up: LookUp) -> None:
    assert look_up("a", "names") == ["prometheus"]
    assert look_up("b", "names") == ["loki", "prometheus"]


def test_releases_are_those_of_the_roles_defaults_with_their_locked_archives(
    look_up: LookUp,
) -> None:
    lock = yaml.safe_load((ROOT / "releases.lock.yml").read_text())
    expected = {}
    for path in ROOT.glob("roles/*/meta/component.yml"):
        facts = yaml.safe_load(path.read_text())
        defaults_file = ROOT / "roles" / facts["group"] / "defaults/main.yml"
        defaults = yaml.safe_load(defaults_file.read_text())
        version = defaults[f"{facts['group']}_version"]
        expected[facts["release"]] = {version: lock[facts["release"]][version]}
    groups = "\n".join(
        f"{facts}: {{hosts: {{a: {{monitoring_environment: dev}}}}}}"
        for facts in expected
    )
    assert look_up("a", "releases", groups) == expected


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
            "lan: 10.0.0.2",
            "lan: 127.0.0.2",
            ["prometheus on b", "from a"],
            id="loopback",
        ),
    ],
)
def test_error_names_host_component_and_variable(
    look_up: LookUp,
    old: str,
    new: str,
    words: list[str],
) -> None:
    assert old in INVENTORY
    with pytest.raises(AnsibleError) as failed:
        look_up("a", "scrape_jobs", INVENTORY.replace(old, new))
    assert [word for word in words if word not in str(failed.value)] == []


@pytest.mark.parametrize(
    ("question", "options", "words"),
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
def test_refuses_an_unknown_name(
    look_up: LookUp,
    question: str,
    options: dict[str, str],
    words: str,
) -> None:
    with pytest.raises(AnsibleError, match=words):
        look_up("a", question, **options)


def alerts(look_up: LookUp, **options: str) -> dict[str, list[str]]:
    """Return the names of the alerts of each component."""
    names = {}
    for rule_file in look_up("a", "alerts", **options):
        groups = rule_file["document"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        names[rule_file["component"]] = [rule["alert"] for rule in rules]
    return names


def test_alerts_are_those_of_the_components_in_the_inventory(look_up: LookUp) -> None:
    everything = alerts(look_up)
    assert set(everything) == {"loki", "prometheus"}
    assert "LokiDown" in everything["loki"]


def test_alerts_of_each_engine_are_together_all_alerts(look_up: LookUp) -> None:
    of_grafana = alerts(look_up, engine="grafana")
    of_prometheus = alerts(look_up, engine="prometheus")
    # Prometheus cannot report that it is down.
    assert "prometheus" not in of_prometheus
    for component, names in alerts(look_up).items():
        shares = of_grafana.get(component, []) + of_prometheus.get(component, [])
        assert sorted(shares) == sorted(names)


def test_alerts_have_the_path_of_their_file(look_up: LookUp) -> None:
    rule_files = {each["component"]: each for each in look_up("a", "alerts")}
    loki = rule_files["loki"]
    assert Path(loki["path"]).read_text(encoding="utf-8").startswith("---\ngroups:")


def test_refuses_alerts_of_an_unknown_engine(look_up: LookUp) -> None:
    with pytest.raises(AnsibleError, match="engine 'loki': does not exist"):
        look_up("a", "alerts", engine="loki")


def test_content_is_the_dashboards_and_alerts_of_the_components_in_the_inventory(
    look_up: LookUp,
) -> None:
    sources = look_up("a", "content", folder="Area/Sub")
    assert {source["folder"] for source in sources} == {"Area/Sub"}
    paths = [Path(source.get("directory") or source["file"]) for source in sources]
    assert [path for path in paths if not path.exists()] == []
    # Prometheus evaluates the alerts of Loki.
    assert {path.parts[-3] for path in paths} <= {"loki", "prometheus"}
    assert any(
        path.parts[-3:] == ("prometheus", "files", "dashboards") for path in paths
    )
    assert any(
        path.parts[-3:] == ("prometheus", "files", "alerts.yml") for path in paths
    )


def test_rules_of_components_keep_their_states_while_a_datasource_is_down(
    look_up: LookUp,
) -> None:
    sources = look_up("a", "content")
    states = {"file" in source: source.get("exec_error") for source in sources}
    assert states == {True: "KeepLast", False: None}
