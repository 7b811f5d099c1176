# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and scrape jobs of components, from the roles' facts, groups and variables."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.plugin_utils import catalog
from ansible_collections.hippius.monitoring.plugins.plugin_utils.catalog import (
    CatalogError,
)

STORE = catalog.parse_component(
    "log_store",
    {
        "release": "log_store",
        "group": "log_store",
        "component": "log-store",
        "listen_addresses": {"http": "<log_store_address>"},
        "scrape_jobs": [{"name": "log-store", "address": "http"}],
    },
)
HUB = catalog.parse_component(
    "hub",
    {
        "release": "hub",
        "group": "hub",
        "component": "hub",
        "listen_addresses": {"received": "<hub_address>", "own": "<hub_own_address>"},
        "scrape_jobs": [
            {"name": "hub", "address": "received", "interval": "15s"},
            {
                "name": "hub-self",
                "address": "own",
                "path": "/self",
                "labels": {"tier": "<hub_tier>"},
            },
        ],
    },
)
GAUGE = catalog.parse_component(
    "gauge",
    {
        "release": "gauge",
        "group": "gauge",
        "component": "gauge",
        "instances": "<gauge_instances>",
        "listen_addresses": {"http": "<instance.listen>"},
        "scrape_jobs": [
            {
                "name": "<instance.job>",
                "address": "http",
                "labels": {"of": "<instance.name>"},
            }
        ],
    },
)
DEFAULTS = {
    "gauge_instances": [
        {"name": "main", "listen": "127.0.0.1:1", "job": "gauge-main"},
        {"name": "side", "listen": "127.0.0.1:2", "job": "gauge-side"},
    ],
    "log_store_address": "127.0.0.1:3100",
    "hub_address": "127.0.0.1:8889",
    "hub_own_address": "127.0.0.1:8888",
    "hub_tier": "first",
    "shop_address": "127.0.0.1:80",
    "shop_inner_address": "127.0.0.1:80",
}


class Inventory(catalog.Inventory):
    """An inventory in memory, in whose templates <name> stands for a variable."""

    def __init__(
        self,
        groups: dict[str, list[str]],
        host_variables: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self.groups = groups
        self.host_variables = host_variables or {}

    def variable(self, host: str, name: str) -> catalog.Value:
        variables = {
            "monitoring_environment": "test",
            **self.host_variables.get(host, {}),
        }
        return variables.get(name)

    def render(
        self,
        host: str,
        component: catalog.Component,
        value: catalog.Value,
        instance: catalog.Instance | None = None,
    ) -> catalog.Value:
        if isinstance(value, dict):
            return {
                key: self.render(host, component, element, instance)
                for key, element in value.items()
            }
        variables = {**DEFAULTS, **self.host_variables.get(host, {})}
        if value == component.instances:
            return variables[value.strip("<>")]
        for key, element in (instance or {}).items():
            variables[f"instance.{key}"] = element
        return re.sub("<(.*)>", lambda match: variables[match[1]], value)


def store_of_b(**variables: str) -> Inventory:
    return Inventory({"log_store": ["b"]}, {"b": variables})


@pytest.mark.parametrize(
    ("client_host", "variables", "expected"),
    [
        pytest.param("b", {}, "127.0.0.1:3100", id="itself by its own listener"),
        pytest.param(
            "b",
            {"log_store_address": "10.0.0.2:3100"},
            "10.0.0.2:3100",
            id="itself by its bind address",
        ),
        pytest.param(
            "b",
            {"log_store_address": "0.0.0.0:3100"},
            "127.0.0.1:3100",
            id="itself, listening everywhere",
        ),
        pytest.param(
            "b",
            {"log_store_address": ":3100"},
            "127.0.0.1:3100",
            id="itself, by the port alone",
        ),
        pytest.param(
            "b",
            {"log_store_address": "[::]:3100"},
            "[::1]:3100",
            id="itself, listening everywhere by IPv6",
        ),
        pytest.param(
            "a",
            {"log_store_address": "10.0.0.2:3100"},
            "10.0.0.2:3100",
            id="another by the bind address",
        ),
        pytest.param(
            "a",
            {"log_store_address": "10.0.0.2:3100", "ansible_host": "192.0.2.9"},
            "10.0.0.2:3100",
            id="another by the bind address, not by the one Ansible connects to",
        ),
        pytest.param(
            "a",
            {
                "log_store_address": "10.0.0.2:3100",
                "monitoring_address": "logs.example",
            },
            "logs.example:3100",
            id="another by its monitoring_address",
        ),
        pytest.param(
            "a",
            {"log_store_address": "0.0.0.0:3100", "ansible_host": "192.0.2.9"},
            "192.0.2.9:3100",
            id="another, listening everywhere, by the address Ansible connects to",
        ),
        pytest.param(
            "a",
            {"log_store_address": ":3100"},
            "b:3100",
            id="another, listening everywhere, by its name",
        ),
        pytest.param(
            "a",
            {"log_store_address": "[::]:3100", "monitoring_address": "2001:db8::2"},
            "[2001:db8::2]:3100",
            id="another by an IPv6 address",
        ),
    ],
)
def test_address_reaches(
    client_host: str,
    variables: dict[str, Any],
    expected: str,
) -> None:
    assert (
        catalog.address_of(STORE, "http", store_of_b(**variables), client_host)
        == expected
    )


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param(
            {},
            ["log-store", "on b", "<log_store_address>", "127.0.0.1", "from a"],
            id="loopback",
        ),
        pytest.param(
            {"log_store_address": "localhost:1"},
            ["on b", "localhost", "from a"],
            id="loopback by name",
        ),
        pytest.param(
            {"log_store_address": "[::1]:1"},
            ["on b", "::1", "from a"],
            id="loopback by IPv6",
        ),
        pytest.param(
            {"log_store_address": ":1", "ansible_host": "127.0.0.1"},
            ["on b", "127.0.0.1", "monitoring_address of b"],
            id="Ansible connects through a forwarded port",
        ),
        pytest.param(
            {"log_store_address": "3100"},
            ["on b", "'3100'", "host:port"],
            id="no address",
        ),
    ],
)
def test_refuses_an_unreachable_address_with_the_variable_to_set(
    variables: dict[str, Any],
    words: list[str],
) -> None:
    with pytest.raises(CatalogError) as refused:
        catalog.address_of(STORE, "http", store_of_b(**variables), "a")
    assert [word for word in words if word not in str(refused.value)] == []


def test_address_is_that_of_the_first_host_in_the_group() -> None:
    inventory = Inventory(
        {"log_store": ["c", "b"]},
        {
            "b": {"log_store_address": "10.0.0.2:1"},
            "c": {"log_store_address": "10.0.0.3:1"},
        },
    )
    assert catalog.address_of(STORE, "http", inventory, "a") == "10.0.0.3:1"
    assert catalog.address_of(STORE, "http", inventory, "b") == "10.0.0.2:1"


def test_members_are_all_hosts_of_the_group_as_a_client_reaches_them() -> None:
    inventory = Inventory(
        {"log_store": ["c", "b"]},
        {
            "b": {
                "log_store_address": "0.0.0.0:1",
                "monitoring_address": "10.0.0.2",
            },
            "c": {"log_store_address": "10.0.0.3:1"},
        },
    )
    members = catalog.members_of(STORE, "http", inventory, "b")
    assert members == [
        {
            "host": "c",
            "address": "10.0.0.3:1",
            "advertised": "10.0.0.3:1",
            "url": "http://10.0.0.3:1",
            "client": {},
        },
        {
            "host": "b",
            "address": "127.0.0.1:1",
            "advertised": "10.0.0.2:1",
            "url": "http://127.0.0.1:1",
            "client": {},
        },
    ]


def test_members_are_none_without_hosts() -> None:
    assert catalog.members_of(STORE, "http", Inventory({}), "b") == []


def test_refuses_a_member_that_cannot_be_reached() -> None:
    inventory = Inventory({"log_store": ["b", "c"]})
    with pytest.raises(CatalogError, match="cannot be reached from b"):
        catalog.members_of(STORE, "http", inventory, "b")


STANDING_IN = catalog.parse_component(
    "log_store",
    {
        "release": "log_store",
        "group": "log_store",
        "component": "log-store",
        "listen_addresses": {"http": "<log_store_address>"},
        "several_hosts": {"ready": "<log_store_path>"},
        "supports_basic_auth": True,
    },
)
ON_TWO_HOSTS = {
    "b": {"log_store_address": "10.0.0.2:1", "log_store_path": "/b/ready"},
    "c": {"log_store_address": "10.0.0.3:1", "log_store_path": "/c/ready"},
}
CERTIFICATE = {
    "monitoring_tls_certificate": "C",
    "monitoring_tls_key": "K",
    "monitoring_tls_ca": "A",
}
LOGIN = {
    "monitoring_basic_auth_username": "u",
    "monitoring_basic_auth_password": "p",
    "monitoring_basic_auth_hash": "h",
}
PEER_FILES = {
    "ca_file": "tls/ca.pem",
    "certificate_file": "tls/certificate.pem",
    "key_file": "tls/key.pem",
}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({}, {"url": "http://10.0.0.3:1/c/ready"}, id="plain text"),
        pytest.param(
            CERTIFICATE,
            {"url": "https://10.0.0.3:1/c/ready", **PEER_FILES},
            id="mutual TLS",
        ),
        pytest.param(
            {**CERTIFICATE, **LOGIN},
            {
                "url": "https://10.0.0.3:1/c/ready",
                **PEER_FILES,
                "username": "u",
                "password_file": "tls/password",
            },
            id="a login",
        ),
    ],
)
def test_peers_are_the_other_hosts_and_the_page_that_shows_that_they_are_ready(
    variables: dict[str, str], expected: dict[str, str]
) -> None:
    hosts = {host: {**own, **variables} for host, own in ON_TWO_HOSTS.items()}
    inventory = Inventory({"log_store": ["b", "c"]}, hosts)
    peers = catalog.peers_of(STANDING_IN, inventory, "b")
    assert peers == [{"host": "c", **expected}]


@pytest.mark.parametrize(
    ("component", "hosts"),
    [
        pytest.param(STANDING_IN, ["b"], id="the only host"),
        pytest.param(STANDING_IN, ["c", "d"], id="a host outside of the group"),
        pytest.param(STORE, ["b", "c"], id="hosts that do not stand in for each other"),
    ],
)
def test_a_host_has_no_peers(component: catalog.Component, hosts: list[str]) -> None:
    inventory = Inventory({"log_store": hosts}, ON_TWO_HOSTS)
    assert catalog.peers_of(component, inventory, "b") == []


def test_a_peer_that_cannot_be_reached_is_an_error_unless_nobody_waits_for_it() -> None:
    hidden = {**ON_TWO_HOSTS, "c": {"log_store_address": "127.0.0.1:1"}}
    groups = {"log_store": ["b", "c"]}
    with pytest.raises(CatalogError, match="cannot be reached from b"):
        catalog.peers_of(STANDING_IN, Inventory(groups, hidden), "b")
    for value in (True, "true", "yes"):
        alone = {**hidden, "b": {**hidden["b"], "monitoring_without_peers": value}}
        assert catalog.peers_of(STANDING_IN, Inventory(groups, alone), "b") == []
    waiting = {**hidden, "b": {**hidden["b"], "monitoring_without_peers": "false"}}
    with pytest.raises(CatalogError, match="cannot be reached from b"):
        catalog.peers_of(STANDING_IN, Inventory(groups, waiting), "b")


PEER = catalog.parse_component(
    "peer",
    {
        "release": "peer",
        "group": "peer",
        "component": "peer",
        "listen_addresses": {"inner": "<peer_address>"},
        "gossip": "inner",
    },
)


def test_a_listener_for_the_other_hosts_of_a_group_is_off_without_any() -> None:
    listener = catalog.Listener(PEER, "inner", "b")
    variables = {"b": {"peer_address": "10.0.0.2:1"}}
    alone = Inventory({"peer": ["b"]}, variables)
    assert catalog.bind_addresses_of(listener, alone) == []
    with pytest.raises(
        CatalogError, match="a group with one host has no such listener"
    ):
        catalog.address_of(PEER, "inner", alone, "b")
    together = Inventory({"peer": ["b", "c"]}, variables)
    assert catalog.bind_addresses_of(listener, together) == [("10.0.0.2", "1")]


def test_address_requires_no_variable_of_another_host() -> None:
    class OneHostOnly(Inventory):
        def render(
            self,
            host: str,
            component: catalog.Component,
            value: catalog.Value,
            instance: catalog.Instance | None = None,
        ) -> catalog.Value:
            assert host == "b"
            return super().render(host, component, value, instance)

    inventory = OneHostOnly(
        {"log_store": ["b", "c"]}, {"b": {"log_store_address": "10.0.0.2:1"}}
    )
    assert catalog.address_of(STORE, "http", inventory, "a") == "10.0.0.2:1"


@pytest.mark.parametrize(
    ("groups", "listener", "words"),
    [
        pytest.param({}, "http", "group log_store", id="no group"),
        pytest.param({"log_store": []}, "http", "group log_store", id="empty group"),
        pytest.param(
            {"log_store": ["b"]},
            "grpc",
            "'grpc'; choose one of: http",
            id="unknown listener",
        ),
    ],
)
def test_refuses_an_address_that_does_not_exist(
    groups: dict[str, list[str]],
    listener: str,
    words: str,
) -> None:
    with pytest.raises(CatalogError, match=words):
        catalog.address_of(STORE, listener, Inventory(groups), "b")


def test_refuses_the_address_of_a_component_with_instances() -> None:
    with pytest.raises(
        CatalogError, match="each of its instances has a listener 'http'"
    ):
        catalog.address_of(GAUGE, "http", Inventory({"gauge": ["a"]}), "a")


def test_scrape_jobs_of_one_host_stay_on_it() -> None:
    inventory = Inventory(
        {"log_store": ["a"], "hub": ["a"]}, {"a": {"monitoring_environment": "prod"}}
    )
    labels = {"env": "prod", "host": "a"}
    assert catalog.scrape_jobs([HUB, STORE], inventory, "a") == [
        {
            "job_name": "hub",
            "scrape_interval": "15s",
            "static_configs": [{"targets": ["127.0.0.1:8889"], "labels": labels}],
        },
        {
            "job_name": "hub-self",
            "metrics_path": "/self",
            "static_configs": [
                {"targets": ["127.0.0.1:8888"], "labels": {"tier": "first", **labels}}
            ],
        },
        {
            "job_name": "log-store",
            "static_configs": [{"targets": ["127.0.0.1:3100"], "labels": labels}],
        },
    ]


def test_scrape_jobs_have_a_target_for_each_host_of_the_group() -> None:
    variables = {
        "a": {"log_store_address": ":1"},
        "b": {"log_store_address": ":2", "monitoring_environment": "dev"},
    }
    (job,) = catalog.scrape_jobs(
        [STORE], Inventory({"log_store": ["a", "b"]}, variables), "a"
    )
    assert job["static_configs"] == [
        {"targets": ["127.0.0.1:1"], "labels": {"env": "test", "host": "a"}},
        {"targets": ["b:2"], "labels": {"env": "dev", "host": "b"}},
    ]


def test_scrape_jobs_are_none_without_hosts() -> None:
    assert catalog.scrape_jobs([STORE, HUB], Inventory({}), "a") == []


def gauge_targets(*instances: dict[str, str]) -> list[tuple[str, ...]]:
    """Return job, address and label of each target of a host with these instances."""
    variables = {"a": {"gauge_instances": list(instances)}} if instances else {}
    inventory = Inventory({"gauge": ["a"]}, variables)
    jobs = catalog.scrape_jobs([GAUGE], inventory, "a")
    return [
        (job["job_name"], *config["targets"], config["labels"]["of"])
        for job in jobs
        for config in job["static_configs"]
    ]


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        pytest.param(
            [],
            [
                ("gauge-main", "127.0.0.1:1", "main"),
                ("gauge-side", "127.0.0.1:2", "side"),
            ],
            id="by default",
        ),
        pytest.param(
            [{"name": "x", "listen": "127.0.0.1:9", "job": "one"}],
            [("one", "127.0.0.1:9", "x")],
            id="from the host",
        ),
        pytest.param(
            [
                {"name": "x", "listen": ":8", "job": "one"},
                {"name": "y", "listen": ":9", "job": "one"},
            ],
            [("one", "127.0.0.1:8", "x"), ("one", "127.0.0.1:9", "y")],
            id="in one job",
        ),
    ],
)
def test_scrape_jobs_have_a_target_for_each_instance(
    instances: list[dict[str, str]],
    expected: list[tuple[str, ...]],
) -> None:
    assert gauge_targets(*instances) == expected


def test_scrape_jobs_are_none_without_instances() -> None:
    inventory = Inventory({"gauge": ["a"]}, {"a": {"gauge_instances": []}})
    assert catalog.scrape_jobs([GAUGE], inventory, "a") == []


def test_scrape_jobs_name_every_instance_that_cannot_be_reached() -> None:
    with pytest.raises(CatalogError) as refused:
        catalog.scrape_jobs([GAUGE], Inventory({"gauge": ["b"]}), "a")
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == [
        "gauge on b, instance main, <instance.listen>",
        "gauge on b, instance side, <instance.listen>",
    ]


@pytest.mark.parametrize("value", ["main", {"name": "main"}, ["main"], None])
def test_scrape_jobs_refuse_instances_that_are_no_list_of_dict(value: object) -> None:
    inventory = Inventory({"gauge": ["a"]}, {"a": {"gauge_instances": value}})
    message = r"gauge on a: <gauge_instances> must be a list of dict; correct it\.$"
    with pytest.raises(CatalogError, match=message):
        catalog.scrape_jobs([GAUGE], inventory, "a")


def test_scrape_jobs_keep_env_and_host_from_being_overridden() -> None:
    labels = {"env": "x", "host": "y", "z": "1"}
    jobs = ({"name": "log-store", "address": "http", "labels": labels},)
    addresses = STORE.listen_addresses
    component = catalog.Component(
        "log_store", "log-store", "log_store", addresses, jobs
    )
    (job,) = catalog.scrape_jobs([component], store_of_b(), "b")
    assert job["static_configs"][0]["labels"] == {"env": "test", "host": "b", "z": "1"}


def test_scrape_jobs_name_every_target_with_an_error() -> None:
    inventory = Inventory(
        {"log_store": ["b", "c"], "hub": ["a"]}, {"a": {"monitoring_environment": ""}}
    )
    with pytest.raises(CatalogError) as refused:
        catalog.scrape_jobs([HUB, STORE], inventory, "a")
    beginnings = (
        "hub on a: monitoring_environment",
        "log-store on b",
        "log-store on c",
    )
    lines = zip(str(refused.value).splitlines(), beginnings, strict=True)
    assert all(line.startswith(beginning) for line, beginning in lines)


@pytest.mark.parametrize(
    ("first_name", "variables", "words"),
    [
        pytest.param(
            "hub", {}, ["log-store", "both hub and log-store"], id="of two components"
        ),
        pytest.param(
            "log-store",
            {"b": {"often": "5s"}},
            ["log-store", "hosts a and b"],
            id="with two intervals",
        ),
    ],
)
def test_refuses_a_scrape_job(
    first_name: str,
    variables: dict[str, dict[str, str]],
    words: list[str],
) -> None:
    jobs = ({"name": "log-store", "address": "http", "interval": "<often>"},)
    listen_addresses = {"http": ":1"}
    components = [
        catalog.Component("hub", first_name, "first", listen_addresses, jobs),
        catalog.Component("log_store", "log-store", "second", listen_addresses, jobs),
    ]
    host_variables = {
        host: {"often": "15s", **variables.get(host, {})} for host in "ab"
    }
    inventory = Inventory({"first": ["a"], "second": ["b"]}, host_variables)
    with pytest.raises(CatalogError) as refused:
        catalog.scrape_jobs(components, inventory, "a")
    assert [word for word in words if word not in str(refused.value)] == []


def test_scrape_jobs_do_not_change_a_component() -> None:
    before = deepcopy(HUB)
    catalog.scrape_jobs([HUB], Inventory({"hub": ["a"]}), "a")
    assert before == HUB


def test_component_names_follow_the_groups_of_a_host() -> None:
    inventory = Inventory({"log_store": ["a"], "hub": ["a", "b"], "other": ["c"]})
    assert [
        catalog.component_names([HUB, STORE], inventory, host) for host in "abc"
    ] == [
        ["hub", "log-store"],
        ["hub"],
        [],
    ]


GOOD = {
    "release": "x",
    "group": "x",
    "component": "x",
    "listen_addresses": {"http": ":1"},
}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        pytest.param(None, ["role x", "None", "dict"], id="empty file"),
        pytest.param(
            {"release": "x"}, ["component is missing", "group is missing"], id="missing"
        ),
        pytest.param({**GOOD, "port": 1}, ["port is unknown"], id="unknown"),
        pytest.param(
            {**GOOD, "listen_addresses": []},
            ["listen_addresses must be a dict"],
            id="wrong type",
        ),
        pytest.param(
            {**GOOD, "instances": []},
            ["instances must be a str"],
            id="instances without a template",
        ),
        pytest.param(
            {**GOOD, "scrape_jobs": [{"name": "x"}]},
            ["scrape_jobs", "address is missing"],
            id="bad job",
        ),
        pytest.param(
            {**GOOD, "gossip": "udp"}, ["no listener 'udp'"], id="gossip nowhere"
        ),
        pytest.param(
            {**GOOD, "several_hosts": {"least": 3}},
            ["several_hosts: least is unknown"],
            id="an unknown requirement of several hosts",
        ),
        pytest.param(
            {**GOOD, "several_hosts": {"guards": [{"value": "x"}]}},
            ["guards: problem is missing, remedy is missing"],
            id="a guard without a reason",
        ),
        pytest.param(
            {**GOOD, "scrape_jobs": [{"name": "x", "address": "grpc"}]},
            ["scrape job x: there is no listener 'grpc'"],
            id="job without listener",
        ),
    ],
)
def test_refuses_facts(facts: object, words: list[str]) -> None:
    with pytest.raises(CatalogError) as refused:
        catalog.parse_component("x", facts)
    assert [word for word in words if word not in str(refused.value)] == []
