# SPDX-License-Identifier: GPL-3.0-or-later
"""Reasons why an inventory is refused, in a sentence each that quotes no secret."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    catalog,
    preflight,
)
from tests.unit.controller.test_catalog import GAUGE, HUB, STORE, Inventory, store_of_b
from tests.unit.controller.test_transport import PASSWORD, SHOP, TLS, spread


def blockers(
    components: list[catalog.Component],
    inventory: Inventory,
    *more_checks: preflight.Check,
) -> list[str]:
    """Return the blockers of a rollout to all hosts."""
    scrapers = inventory.groups.get("prometheus", [])
    hosts = dict.fromkeys([*inventory.all_hosts(components), *scrapers])
    return preflight.blockers(components, inventory, list(hosts), *more_checks)


def test_names_the_hosts_without_an_environment_in_one_message() -> None:
    variables = {
        "b": {"monitoring_environment": None},
        "c": {"monitoring_environment": ""},
    }
    inventory = Inventory(
        {"log_store": ["a", "b"], "hub": ["b", "c"], "other": ["d"]}, variables
    )
    (message,) = blockers([STORE, HUB], inventory)
    assert message.startswith("monitoring_environment of b, c: is not set; set it")


def test_refuses_a_component_that_prometheus_cannot_reach() -> None:
    together = Inventory({"hub": ["a"], "prometheus": ["a"]})
    assert blockers([HUB], together) == []
    apart = Inventory({"hub": ["b"], "prometheus": ["a"]})
    messages = blockers([HUB], apart)
    assert messages
    assert all("cannot be reached from a" in message for message in messages)


def test_accepts_an_unreachable_component_beside_prometheus_own_configuration_file() -> (
    None
):
    groups = {"hub": ["b"], "prometheus": ["a"]}
    inventory = Inventory(groups, {"a": {"prometheus_config_file": "own.yml"}})
    assert blockers([HUB], inventory) == []


BELL_FACTS = {"release": "bell", "group": "bell", "component": "bell"}
WEBHOOK = {
    "value": "<bell_webhook>",
    "examples": ["https://example/dummy"],
    "min_length": 12,
}
BELL = catalog.parse_component(
    "bell", {**BELL_FACTS, "required_variables": {"bell_webhook": WEBHOOK}}
)


def bell_blockers(variables: dict[str, Any]) -> list[str]:
    return blockers([BELL], Inventory({"bell": ["b"]}, {"b": variables}))


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"bell_webhook": "https://example/real"}, id="a real one"),
        pytest.param(
            {"bell_webhook": "https://example/dummy", "monitoring_environment": "dev"},
            id="an example in dev",
        ),
        pytest.param(
            {"bell_webhook": "short", "monitoring_environment": "dev"},
            id="a short one in dev",
        ),
        pytest.param(
            {"bell_webhook": "", "bell_config_file": "own.yml"},
            id="none beside a configuration file of the user's own",
        ),
    ],
)
def test_accepts_a_required_variable(variables: dict[str, Any]) -> None:
    assert bell_blockers(variables) == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param({"bell_webhook": ""}, "is not set", id="none"),
        pytest.param(
            {"bell_webhook": "https://example/dummy"},
            "is the example of dev",
            id="an example",
        ),
        pytest.param(
            {"bell_webhook": "short"}, "is shorter than 12 characters", id="a short one"
        ),
        pytest.param(
            {"bell_webhook": "x" * 11},
            "is shorter than 12 characters",
            id="one character too short",
        ),
        pytest.param(
            {"bell_webhook": "https://example/dummy", "bell_config_file": "own.yml"},
            "is the example of dev",
            id="an example beside a configuration file of the user's own",
        ),
    ],
)
def test_refuses_a_required_variable_without_quoting_its_value(
    variables: dict[str, Any],
    words: str,
) -> None:
    (message,) = bell_blockers(variables)
    assert f"bell_webhook of b: {words}" in message
    assert "example/" not in message


@pytest.mark.parametrize(
    ("word", "messages"),
    [
        ("", ["bell_word of b: is not set; set the value that bell requires."]),
        ("x", []),
    ],
)
def test_requires_some_variables_beside_a_configuration_file_of_the_users_own(
    word: str,
    messages: list[str],
) -> None:
    required = {"bell_word": {"value": "<bell_word>", "always": True}}
    component = catalog.parse_component(
        "bell", {**BELL_FACTS, "required_variables": required}
    )
    variables = {"bell_config_file": "own.yml", "bell_word": word}
    inventory = Inventory({"bell": ["b"]}, {"b": variables})
    assert blockers([component], inventory) == messages


def test_ignores_an_undefined_variable_beside_a_configuration_file_of_the_users_own() -> (
    None
):
    def fail(*_arguments: object) -> NoReturn:
        raise catalog.CatalogError("There is none.")

    inventory = Inventory({"bell": ["b"]}, {"b": {"bell_config_file": "own.yml"}})
    inventory.render = fail
    assert blockers([BELL], inventory) == []


def test_accepts_hosts_with_an_environment() -> None:
    assert blockers([STORE], store_of_b()) == []


def shop_blockers(**variables: dict[str, Any]) -> list[str]:
    return blockers([SHOP, STORE], spread(**variables))


def test_accepts_hosts_with_certificates() -> None:
    assert shop_blockers() == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param(
            {"monitoring_tls_key": ""},
            "monitoring_tls_key of a: must be set together",
            id="half a certificate",
        ),
        pytest.param(
            {
                "monitoring_basic_auth_username": "us",
                "monitoring_basic_auth_password": "word",
            },
            "monitoring_basic_auth_hash of a: must be set together",
            id="half a login",
        ),
        pytest.param(
            {"shop_inner_address": "10.0.0.1:81"},
            "shop at 10.0.0.1:81 on a: only plain text is supported",
            id="no TLS",
        ),
        pytest.param(
            {"monitoring_plaintext_networks": ["bridge"]},
            "monitoring_plaintext_networks of a: 'bridge' does not appear",
            id="no network",
        ),
        pytest.param(
            {"shop_secrets": {"pager": ""}},
            "pager in shop_secrets of a: is empty",
            id="an empty secret",
        ),
        pytest.param(
            {"monitoring_tls_key": {"canary": 1}},
            "monitoring_tls_key of a: must be a str",
            id="a key that is a dict",
        ),
        pytest.param(
            {**PASSWORD, "monitoring_basic_auth_password": ["canary"]},
            "monitoring_basic_auth_password of a: must be a str",
            id="several passwords",
        ),
    ],
)
def test_names_what_a_host_lacks(
    variables: dict[str, Any],
    words: str,
) -> None:
    messages = shop_blockers(a=variables)
    assert [words in message for message in messages].count(True) == 1, messages
    assert "canary" not in str(messages)


WITHOUT_TLS = dict.fromkeys(TLS, "")


def test_refuses_plain_text_that_other_hosts_reach() -> None:
    messages = shop_blockers(a=WITHOUT_TLS)
    words = "shop at 10.0.0.1:80 on a: plain text to other hosts is refused in test"
    assert any(message.startswith(words) for message in messages)


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param(
            {"monitoring_plaintext_networks": ["10.0.0.0/24"]}, id="trusted network"
        ),
        pytest.param({"monitoring_environment": "dev"}, id="dev"),
    ],
)
def test_accepts_plain_text(variables: dict[str, Any]) -> None:
    host = {**WITHOUT_TLS, **variables}
    assert shop_blockers(a=host, b=host, c=host) == []


def test_refuses_a_consumed_component_that_cannot_be_reached() -> None:
    own_scrapes = {"prometheus_config_file": "own.yml"}
    loopback = {"log_store_address": "127.0.0.1:3100"}
    (message,) = shop_blockers(b=loopback, c=own_scrapes)
    assert "log-store on b" in message
    assert "cannot be reached from a" in message
    assert (
        shop_blockers(a={"shop_config_file": "own.yml"}, b=loopback, c=own_scrapes)
        == []
    )


def test_requires_the_variables_of_each_instance() -> None:
    component = catalog.Component(
        "gauge",
        "gauge",
        "gauge",
        GAUGE.listen_addresses,
        instances=GAUGE.instances,
        required_variables={
            "password in gauge_instances": {"value": "<instance.password>"}
        },
    )
    instances = [
        {"name": "main", "listen": "127.0.0.1:1", "password": ""},
        {"name": "side", "listen": "127.0.0.1:2", "password": "x"},
    ]
    inventory = Inventory({"gauge": ["a"]}, {"a": {"gauge_instances": instances}})
    (message,) = blockers([component], inventory)
    subject = "password in gauge_instances of a, instance main"
    assert message == f"{subject}: is not set; set the value that gauge requires."


@pytest.mark.parametrize(
    "instances", [{"main": {"password": "canary"}}, ["canary"], "canary"]
)
def test_does_not_quote_instances_of_a_wrong_type(instances: object) -> None:
    inventory = Inventory({"gauge": ["a"]}, {"a": {"gauge_instances": instances}})
    (message,) = blockers([GAUGE], inventory)
    assert (
        message == "gauge on a: <gauge_instances> must be a list of dict; correct it."
    )


def test_adds_the_blockers_of_further_checks() -> None:
    def refuse() -> NoReturn:
        raise catalog.CatalogError("one\ntwo")

    inventory = Inventory({"bell": ["b"]}, {"b": {"bell_webhook": ""}})
    messages = blockers([BELL], inventory, refuse, lambda: ["three", "one"])
    assert messages[1:] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param(
            [
                "bell_word of a: is silent; shout.",
                "bell_word of b: is silent; shout.",
                "bell_word of c: is loud; whisper.",
            ],
            [
                "bell_word of a, b: is silent; shout.",
                "bell_word of c: is loud; whisper.",
            ],
            id="of several hosts",
        ),
        pytest.param(
            [
                "bell on b, {{ bell_word }}: is silent; shout.",
                "bell_word of b: is loud; whisper.",
            ],
            ["bell_word of b: is loud; whisper."],
            id="of a template with that variable",
        ),
        pytest.param(
            [
                "bell_tune of b: bell_word of b: is loud; whisper; correct the value.",
                "bell_word of b: is loud; whisper.",
            ],
            ["bell_word of b: is loud; whisper."],
            id="quoted by a template",
        ),
        pytest.param(
            [
                "bell_tune of b: hub on b: is lost; find it.",
                "hub on c: is lost; find it; correct the value.",
                "hub on b: is lost; find it.",
                "hub on c: is lost; find it.",
            ],
            ["hub on b: is lost; find it.", "hub on c: is lost; find it."],
            id="quoted by a template, on several lines",
        ),
    ],
)
def test_reports_the_same_error_once(
    messages: list[str],
    expected: list[str],
) -> None:
    assert blockers([BELL], Inventory({}, {}), lambda: messages) == expected


class Located(Inventory):
    """An inventory in which a host name and a variable make a location."""

    def location(self, host: str, name: str) -> str | None:
        return f"{host}.yml:1" if name == "bell_word" else None


@pytest.mark.parametrize(
    ("message", "locations"),
    [
        pytest.param(
            "bell_word of b: is lost; call a friend.", "b.yml:1: ", id="one host"
        ),
        pytest.param(
            "bell_word of b, a: is lost.", "b.yml:1, a.yml:1: ", id="several hosts"
        ),
        pytest.param("bell_tune of b: is lost.", "", id="no known location"),
        pytest.param("hub_word of b: is lost.", "", id="variable of no role"),
    ],
)
def test_puts_the_locations_of_named_variables_first(
    message: str,
    locations: str,
) -> None:
    inventory = Located({"bell": ["a", "b"]})
    assert (
        preflight.with_locations(message, [BELL], inventory) == f"{locations}{message}"
    )


def test_reports_a_fleet_with_one_pattern_for_all_of_its_hosts() -> None:
    hosts = [f"host{number}.example.com" for number in range(600)]
    inventory = Inventory({"hub": hosts})
    preflight._host_pattern.cache_clear()
    for host in hosts:
        message = f"hub on {host}: cannot be reached; let it listen on another address."
        assert preflight._named_hosts(message, inventory.all_hosts([HUB])) == [host]
    assert preflight._host_pattern.cache_info().misses == 1


def test_reports_the_same_mistake_on_a_fleet_once() -> None:
    hosts = [f"host{number}" for number in range(600)]
    messages = [
        f"loki_retention of {host}: must be a str; correct it." for host in hosts
    ]
    users = [f"loki on {host}, {{{{ loki_retention }}}}: it fails." for host in hosts]
    (message,) = preflight._deduplicate(messages + users)
    assert message.startswith("loki_retention of host0, host1, ")


def test_accepts_a_value_that_is_just_long_enough() -> None:
    assert preflight._value_blockers("x", "x" * 12, WEBHOOK, "prod") == []
    assert len(preflight._value_blockers("x", "x" * 11, WEBHOOK, "prod")) == 1
