# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before any host is touched, in a sentence each that tells no secret."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.hippius.monitoring.plugins.plugin_utils import catalog, preflight
from tests.unit.controller.test_catalog import GAUGE, HUB, STORE, Inventory, store_of_b
from tests.unit.controller.test_transport import PASSWORD, SHOP, TLS, spread


def found_in(components: list, inventory: Inventory, *more: Callable[[], list]) -> list:
    """What is in the way of a rollout to all hosts."""
    hosts = dict.fromkeys(
        [*inventory.all_hosts(components), *inventory.groups.get("prometheus", [])]
    )
    return preflight.blockers(components, inventory, list(hosts), *more)


def test_problems_name_each_host_without_an_environment_once() -> None:
    variables = {"b": {"monitoring_environment": None}, "c": {"monitoring_environment": ""}}
    inventory = Inventory({"log_store": ["a", "b"], "hub": ["b", "c"], "other": ["d"]}, variables)
    (problem,) = found_in([STORE, HUB], inventory)
    assert "monitoring_environment of b, c: is not set; set it" in problem


def test_problems_tell_what_prometheus_could_not_reach_before_anything_is_touched() -> None:
    together = Inventory({"hub": ["a"], "prometheus": ["a"]})
    assert found_in([HUB], together) == []
    spread = Inventory({"hub": ["b"], "prometheus": ["a"]})
    assert found_in([HUB], spread)
    assert all("cannot be reached from a" in problem for problem in found_in([HUB], spread))
    of_their_own = Inventory(spread.groups, {"a": {"prometheus_config_file": "own.yml"}})
    assert found_in([HUB], of_their_own) == []


BELL = catalog.parse_component(
    "bell",
    {
        "release": "bell",
        "group": "bell",
        "component": "bell",
        "required_variables": {
            "bell_webhook": {
                "value": "<bell_webhook>",
                "examples": ["https://example/dummy"],
                "min_length": 12,
            }
        },
    },
)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param({"bell_webhook": "https://example/real"}, None, id="a real one"),
        pytest.param({"bell_webhook": ""}, "bell_webhook of b: is not set", id="none"),
        pytest.param(
            {"bell_webhook": "https://example/dummy"},
            "bell_webhook of b: is the example of dev",
            id="a dummy",
        ),
        pytest.param(
            {"bell_webhook": "https://example/dummy", "monitoring_environment": "dev"},
            None,
            id="a dummy in dev",
        ),
        pytest.param(
            {"bell_webhook": "short"},
            "bell_webhook of b: is shorter than 12 characters",
            id="a short one",
        ),
        pytest.param(
            {"bell_webhook": "short", "monitoring_environment": "dev"},
            None,
            id="a short one in dev",
        ),
        pytest.param(
            {"bell_webhook": "", "bell_config_file": "own.yml"}, None, id="a file of one's own"
        ),
        pytest.param(
            {"bell_webhook": "https://example/dummy", "bell_config_file": "own.yml"},
            "bell_webhook of b: is the example of dev",
            id="a dummy beside a file of one's own",
        ),
    ],
)
def test_problems_tell_which_variable_an_environment_lacks_and_not_what_it_holds(
    variables: dict, words: str
) -> None:
    problems = found_in([BELL], Inventory({"bell": ["b"]}, {"b": variables}))
    assert [words in problem and "example/" not in problem for problem in problems] == (
        [True] if words else []
    )


NOT_SET = "bell_word of b: is not set; set the value that bell requires."


def test_what_is_always_needed_is_so_with_a_file_of_ones_own() -> None:
    always = {"release": "bell", "group": "bell", "component": "bell"}
    item = catalog.parse_component(
        "bell",
        {**always, "required_variables": {"bell_word": {"value": "<bell_word>", "always": True}}},
    )
    own_file = {"bell_config_file": "own.yml"}
    for word, found in (("", [NOT_SET]), ("x", [])):
        assert (
            found_in([item], Inventory({"bell": ["b"]}, {"b": {**own_file, "bell_word": word}}))
            == found
        )


def test_what_a_file_of_ones_own_may_need_is_not_asked_for() -> None:
    def fail(*_words: object) -> None:
        raise catalog.CatalogError("There is none.")

    inventory = Inventory({"bell": ["b"]}, {"b": {"bell_config_file": "own.yml"}})
    inventory.render = fail
    assert found_in([BELL], inventory) == []


def test_problems_are_none_when_hosts_have_their_environment() -> None:
    assert found_in([STORE], store_of_b()) == []


def problems(**variables: dict) -> list:
    return found_in([SHOP, STORE], spread(**variables))


def test_problems_are_none_where_all_have_certificates() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param(
            {"monitoring_tls_key": ""},
            ["monitoring_tls_key of a: must be set together"],
            id="half a certificate",
        ),
        pytest.param(
            {"monitoring_basic_auth_username": "us", "monitoring_basic_auth_password": "word"},
            ["monitoring_basic_auth_hash of a: must be set together"],
            id="half a password",
        ),
        pytest.param(
            {"shop_inner_address": "10.0.0.1:81"},
            ["shop at 10.0.0.1:81 on a: only plain text is supported"],
            id="no TLS",
        ),
        pytest.param(
            {"monitoring_plaintext_networks": ["bridge"]},
            ["monitoring_plaintext_networks of a: "],
            id="no network",
        ),
        pytest.param(
            {"shop_secrets": {"pager": ""}},
            ["pager in shop_secrets of a: is empty"],
            id="an empty secret",
        ),
        pytest.param(
            {"monitoring_tls_key": {"canary": 1}},
            ["monitoring_tls_key of a: must be a str"],
            id="no key",
        ),
        pytest.param(
            {**PASSWORD, "monitoring_basic_auth_password": ["canary"]},
            ["monitoring_basic_auth_password of a: must be a str"],
            id="several passwords",
        ),
    ],
)
def test_problems_name_what_a_host_lacks(variables: dict, words: list) -> None:
    found = problems(a=variables)
    assert [all(word in problem for word in words) for problem in found].count(True) == 1, found
    assert "canary" not in str(found)


def test_plain_text_is_refused_where_others_would_read_it_but_in_dev() -> None:
    bare = dict.fromkeys(TLS, "")
    found = problems(a=bare)
    assert any("on a: plain text to other hosts is refused" in problem for problem in found)
    assert any("shop at 10.0.0.1:80" in problem for problem in found)
    nearby = {**bare, "monitoring_plaintext_networks": ["10.0.0.0/24"]}
    assert problems(a=nearby, b=nearby, c=nearby) == []
    dev = {**bare, "monitoring_environment": "dev"}
    assert problems(a=dev, b=dev, c=dev) == []


def test_who_cannot_be_asked_is_told_before_anything_is_touched() -> None:
    (found,) = problems(
        b={"log_store_address": "127.0.0.1:3100"}, c={"prometheus_config_file": "own.yml"}
    )
    assert "log-store on b" in found
    assert "cannot be reached from a" in found
    own_file = {"a": {"shop_config_file": "own.yml"}, "c": {"prometheus_config_file": "own.yml"}}
    assert problems(b={"log_store_address": "127.0.0.1:3100"}, **own_file) == []


def test_needs_are_those_of_each_instance() -> None:
    item = catalog.Component(
        "gauge", "gauge", "gauge", GAUGE.listen_addresses, instances=GAUGE.instances,
        required_variables={"password in gauge_instances": {"value": "<instance.password>"}},
    )  # fmt: skip
    instances = [{"name": "main", "listen": "127.0.0.1:1", "password": ""}]
    instances += [{"name": "side", "listen": "127.0.0.1:2", "password": "x"}]
    (found,) = found_in([item], Inventory({"gauge": ["a"]}, {"a": {"gauge_instances": instances}}))
    subject = "password in gauge_instances of a, instance main"
    assert found == f"{subject}: is not set; set the value that gauge requires."


@pytest.mark.parametrize("instances", [{"main": {"password": "canary"}}, ["canary"], "canary"])
def test_instances_of_a_wrong_shape_are_named_and_not_told(instances: object) -> None:
    (found,) = found_in([GAUGE], Inventory({"gauge": ["a"]}, {"a": {"gauge_instances": instances}}))
    assert found == "gauge on a: <gauge_instances> must be a list of dict; correct it."


def test_what_others_find_is_told_with_the_rest() -> None:
    def refuse() -> list:
        raise catalog.CatalogError("one\ntwo")

    inventory = Inventory({"bell": ["b"]}, {"b": {"bell_webhook": ""}})
    found = found_in([BELL], inventory, refuse, lambda: ["three", "one"])
    assert found[1:] == ["one", "two", "three"]


def test_the_same_of_several_hosts_is_told_once() -> None:
    told = [
        "bell_word of a: it is silent.",
        "bell_word of b: it is silent.",
        "bell_word of c: it is loud.",
    ]
    expected = ["bell_word of a, b: it is silent.", "bell_word of c: it is loud."]
    assert found_in([BELL], Inventory({}, {}), lambda: told) == expected
