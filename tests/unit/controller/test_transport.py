# SPDX-License-Identifier: GPL-3.0-or-later
"""What crosses hosts: who speaks TLS, and what clients are told."""

from __future__ import annotations

import pytest

from ansible_collections.hippius.monitoring.plugins.plugin_utils import catalog, transport
from ansible_collections.hippius.monitoring.plugins.plugin_utils.catalog import CatalogError
from tests.unit.controller.test_catalog import STORE, Inventory

FACTS = {
    "release": "shop",
    "group": "shop",
    "component": "shop",
    "listen_addresses": {"http": "<shop_address>", "inner": "<shop_inner_address>"},
    "plaintext_listeners": ["inner"],
    "supports_basic_auth": True,
    "consumes": {"log-store": "http"},
    "scrape_jobs": [{"name": "shop", "address": "http"}],
}
SHOP = catalog.parse_component("shop", FACTS)
TLS = {"monitoring_tls_certificate": "CERT", "monitoring_tls_key": "KEY", "monitoring_tls_ca": "CA"}
PASSWORD = {
    "monitoring_basic_auth_username": "us",
    "monitoring_basic_auth_password": "word",
    "monitoring_basic_auth_hash": "$2b$hash",
}
FAR = {
    "shop_address": "10.0.0.1:80",
    "shop_inner_address": "127.0.0.1:81",
    "log_store_address": "10.0.0.2:3100",
}
ASKING = {
    "tls_config": {
        "ca_file": "tls/ca.pem",
        "cert_file": "tls/certificate.pem",
        "key_file": "tls/key.pem",
    }
}


def spread(**variables: dict) -> Inventory:
    """The shop on a, the log store on b, Prometheus on c; all of them reachable, with certificates."""
    known = {host: {**FAR, **TLS, **variables.get(host, {})} for host in "abc"}
    return Inventory({"shop": ["a"], "log_store": ["b"], "prometheus": ["c"]}, known)


@pytest.mark.parametrize(
    ("bind_address", "networks", "plaintext_listeners"),
    [
        pytest.param("127.0.0.1", None, True, id="loopback"),
        pytest.param("localhost", [], True, id="loopback by name"),
        pytest.param("::1", [], True, id="loopback by IPv6"),
        pytest.param("10.0.0.1", [], False, id="an address"),
        pytest.param("0.0.0.0", ["172.30.0.0/24"], False, id="every address"),
        pytest.param("172.30.0.1", ["10.8.0.0/16", "172.30.0.0/24"], True, id="in a network"),
        pytest.param("172.30.0.1", "172.30.0.1", True, id="the only address"),
        pytest.param("fd00::1", ["172.30.0.0/24", "fd00::/8"], True, id="in a network of IPv6"),
        pytest.param("store.example", ["0.0.0.0/0"], False, id="a name"),
        pytest.param("", ["0.0.0.0/0"], False, id="nothing"),
    ],
)
def test_plain_text_will_do(bind_address: str, networks: object, plaintext_listeners: bool) -> None:
    assert transport.allows_plaintext(bind_address, networks) is plaintext_listeners


@pytest.mark.parametrize("networks", [["172.30.0.1/24"], ["bridge"], [7.5], 5])
def test_networks_that_are_none_are_refused_by_the_variables_name(networks: object) -> None:
    inventory = spread(a={"monitoring_plaintext_networks": networks})
    with pytest.raises(CatalogError, match=r"^monitoring_plaintext_networks of a: "):
        catalog.url_of(SHOP, "http", inventory, "c")


def test_url_says_what_is_spoken() -> None:
    assert catalog.url_of(SHOP, "http", spread(), "c") == "https://10.0.0.1:80"
    assert catalog.url_of(SHOP, "http", spread(), "a") == "https://10.0.0.1:80"
    assert (
        catalog.url_of(SHOP, "http", spread(a={"monitoring_tls_certificate": ""}), "c")
        == "http://10.0.0.1:80"
    )
    assert (
        catalog.url_of(SHOP, "http", spread(a={"monitoring_plaintext_networks": "10.0.0.0/8"}), "c")
        == "http://10.0.0.1:80"
    )
    assert (
        catalog.url_of(SHOP, "http", spread(a={"shop_address": "127.0.0.1:80"}), "a")
        == "http://127.0.0.1:80"
    )
    assert (
        catalog.url_of(SHOP, "inner", spread(a={"shop_inner_address": "10.0.0.1:81"}), "c")
        == "http://10.0.0.1:81"
    )


def test_a_host_asks_itself_by_an_address_that_its_certificate_names() -> None:
    everywhere = {"shop_address": "0.0.0.0:80", "monitoring_address": "shop.example"}
    assert catalog.url_of(SHOP, "http", spread(a=everywhere), "a") == "https://shop.example:80"
    assert catalog.url_of(SHOP, "http", spread(a=everywhere), "c") == "https://shop.example:80"
    assert catalog.url_of(SHOP, "http", spread(a={"shop_address": ":80"}), "a") == "https://a:80"
    plaintext_listeners = {**everywhere, "monitoring_tls_certificate": ""}
    assert catalog.url_of(SHOP, "http", spread(a=plaintext_listeners), "a") == "http://127.0.0.1:80"
    of_bridge = {"shop_address": "172.30.0.1:80", "monitoring_address": "shop.example"}
    assert catalog.url_of(SHOP, "http", spread(a=of_bridge), "a") == "https://172.30.0.1:80"


def test_another_host_uses_the_first_address_that_it_can_reach() -> None:
    several = catalog.parse_component(
        "shop",
        {**FACTS, "listen_addresses": {"http": "<shop_addresses>"}, "plaintext_listeners": []},
    )
    several_of = {"shop_addresses": ["127.0.0.1:80", "172.30.0.1:80", "10.0.0.1:80"]}
    inventory = spread(a={**several_of, "monitoring_plaintext_networks": ["172.30.0.0/24"]})
    inventory.render = lambda host, item, value, instance=None: several_of["shop_addresses"]
    assert catalog.url_of(several, "http", inventory, "c") == "https://10.0.0.1:80"
    assert catalog.url_of(several, "http", inventory, "a") == "http://127.0.0.1:80"


def test_client_shows_its_own_certificate() -> None:
    assert catalog.client_config_of(SHOP, "http", spread(), "c") == ASKING
    below = catalog.client_config_of(STORE, "http", spread(), "a", "/etc/shop")["tls_config"]
    assert set(below.values()) == {
        "/etc/shop/tls/ca.pem",
        "/etc/shop/tls/certificate.pem",
        "/etc/shop/tls/key.pem",
    }
    assert (
        catalog.client_config_of(
            SHOP, "inner", spread(a={"shop_inner_address": "10.0.0.1:81"}), "c"
        )
        == {}
    )


def test_client_tells_the_password_to_who_asks_for_one() -> None:
    inventory = spread(a=PASSWORD, b=PASSWORD, c=PASSWORD)
    asking = {**ASKING, "basic_auth": {"username": "us", "password_file": "tls/password"}}
    assert catalog.client_config_of(SHOP, "http", inventory, "c") == asking
    assert catalog.client_config_of(STORE, "http", inventory, "c") == ASKING


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param(
            {"c": {"monitoring_tls_certificate": ""}},
            "set monitoring_tls_certificate",
            id="no certificate",
        ),
        pytest.param({"c": {"monitoring_tls_ca": ""}}, "monitoring_tls_ca of c", id="no authority"),
        pytest.param(
            {"a": PASSWORD}, "monitoring_basic_auth_username and .* of c", id="no password"
        ),
        pytest.param(
            {"a": PASSWORD, "c": {**PASSWORD, "monitoring_basic_auth_password": "x"}},
            "the login of c is another one",
            id="another password",
        ),
    ],
)
def test_client_that_would_not_be_let_in_is_refused(variables: dict, words: str) -> None:
    with pytest.raises(CatalogError, match=words):
        catalog.client_config_of(SHOP, "http", spread(**variables), "c")


def test_scrape_jobs_ask_each_target_as_it_speaks() -> None:
    inventory = spread()
    inventory.groups = {"shop": ["a", "c"]}
    inventory.known["c"]["shop_address"] = "127.0.0.1:80"
    (job,) = catalog.scrape_jobs([SHOP], inventory, "c")
    assert {
        key: value for key, value in job.items() if key not in ("job_name", "static_configs")
    } == ASKING
    labels = {config["targets"][0]: config["labels"] for config in job["static_configs"]}
    assert labels["10.0.0.1:80"] == {"env": "test", "host": "a", "__scheme__": "https"}
    assert labels["127.0.0.1:80"] == {"env": "test", "host": "c"}


def test_protection_is_nothing_for_plain_text() -> None:
    nothing = {"scheme": "http", "config": [], "secrets": {}, "probe_auth": {}, "web": {}}
    assert catalog.tls_files(SHOP, [], "127.0.0.1:80", spread(), "a") == nothing
    assert catalog.tls_files(SHOP, [], "10.0.0.1:80", Inventory({"shop": ["a"]}), "a") == nothing
    assert catalog.tls_files(SHOP, [], "", Inventory({"shop": ["a"]}), "a") == nothing


def test_protection_of_a_listener_keeps_the_key_secret_and_wants_a_certificate() -> None:
    found = catalog.tls_files(SHOP, [], "10.0.0.1:80", spread(), "a")
    assert found["scheme"] == "https"
    assert found["secrets"] == {"tls/key.pem": "KEY"}
    assert {item["path"]: item["content"] for item in found["config"]} == {
        "tls/certificate.pem": "CERT",
        "tls/ca.pem": "CA",
    }
    assert found["probe_auth"] == {
        "certificate_file": "tls/certificate.pem",
        "key_file": "tls/key.pem",
    }
    assert found["web"]["tls_server_config"]["client_auth_type"] == "RequireAndVerifyClientCert"
    assert "basic_auth_users" not in found["web"]


def test_protection_by_a_password_lets_in_who_has_no_certificate() -> None:
    found = catalog.tls_files(SHOP, [], "10.0.0.1:80", spread(a=PASSWORD), "a")
    assert found["secrets"] == {"tls/key.pem": "KEY", "tls/password": "word"}
    assert (found["probe_auth"]["username"], found["probe_auth"]["password_file"]) == (
        "us",
        "tls/password",
    )
    assert found["web"]["tls_server_config"]["client_auth_type"] == "VerifyClientCertIfGiven"
    assert found["web"]["basic_auth_users"] == {"us": "$2b$hash"}


def test_protection_gives_a_password_only_to_who_tells_or_asks_for_one() -> None:
    inventory = spread(a=PASSWORD, b=PASSWORD)
    assert catalog.tls_files(STORE, [], "10.0.0.2:3100", inventory, "b")["secrets"] == {
        "tls/key.pem": "KEY"
    }
    assert set(catalog.tls_files(STORE, [SHOP], "", inventory, "b")["secrets"]) == {
        "tls/key.pem",
        "tls/password",
    }


def test_plain_names_listeners() -> None:
    with pytest.raises(CatalogError, match="plaintext_listeners: there is no listener 'grpc'"):
        catalog.parse_component("shop", {**FACTS, "plaintext_listeners": ["grpc"]})
