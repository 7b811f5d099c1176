# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport security between hosts: schemes of listeners, and settings of their clients."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    catalog,
    transport,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.catalog import (
    CatalogError,
)
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
TLS = {
    "monitoring_tls_certificate": "CERT",
    "monitoring_tls_key": "KEY",
    "monitoring_tls_ca": "CA",
}
PASSWORD = {
    "monitoring_basic_auth_username": "us",
    "monitoring_basic_auth_password": "word",
    "monitoring_basic_auth_hash": "$2b$hash",
}
ROUTABLE = {
    "shop_address": "10.0.0.1:80",
    "shop_inner_address": "127.0.0.1:81",
    "log_store_address": "10.0.0.2:3100",
}
CLIENT = {
    "tls_config": {
        "ca_file": "tls/ca.pem",
        "cert_file": "tls/certificate.pem",
        "key_file": "tls/key.pem",
    }
}
WITH_LOGIN = {
    **CLIENT,
    "basic_auth": {"username": "us", "password_file": "tls/password"},
}


def spread(**variables: dict[str, Any]) -> Inventory:
    """Return the shop on a, the log store on b and Prometheus on c, with certificates.

    All of them are reachable from each other.
    """
    host_variables = {
        host: {**ROUTABLE, **TLS, **variables.get(host, {})} for host in "abc"
    }
    groups = {"shop": ["a"], "log_store": ["b"], "prometheus": ["c"]}
    return Inventory(groups, host_variables)


@pytest.mark.parametrize(
    ("bind_host", "networks", "expected"),
    [
        pytest.param("127.0.0.1", None, True, id="loopback"),
        pytest.param("localhost", [], True, id="loopback by name"),
        pytest.param("::1", [], True, id="loopback by IPv6"),
        pytest.param("10.0.0.1", [], False, id="an address"),
        pytest.param("0.0.0.0", ["172.30.0.0/24"], False, id="every address"),
        pytest.param(
            "172.30.0.1", ["10.8.0.0/16", "172.30.0.0/24"], True, id="in a network"
        ),
        pytest.param("172.30.0.1", "172.30.0.1", True, id="the only address"),
        pytest.param(
            "fd00::1", ["172.30.0.0/24", "fd00::/8"], True, id="in a network of IPv6"
        ),
        pytest.param("store.example", ["0.0.0.0/0"], False, id="a name"),
        pytest.param("", ["0.0.0.0/0"], False, id="nothing"),
    ],
)
def test_allows_plain_text(
    bind_host: str,
    networks: object,
    expected: bool,
) -> None:
    assert transport.allows_plaintext(bind_host, networks) is expected


@pytest.mark.parametrize("networks", [["172.30.0.1/24"], ["bridge"], [7.5], 5])
def test_refuses_wrong_networks_by_the_name_of_the_variable(networks: object) -> None:
    inventory = spread(a={"monitoring_plaintext_networks": networks})
    with pytest.raises(CatalogError, match=r"^monitoring_plaintext_networks of a: "):
        catalog.url_of(SHOP, "http", inventory, "c")


@pytest.mark.parametrize(
    ("client_host", "listener", "variables", "expected"),
    [
        pytest.param("c", "http", {}, "https://10.0.0.1:80", id="from another host"),
        pytest.param("a", "http", {}, "https://10.0.0.1:80", id="from its own host"),
        pytest.param(
            "c",
            "http",
            {"monitoring_tls_certificate": ""},
            "http://10.0.0.1:80",
            id="without a certificate",
        ),
        pytest.param(
            "c",
            "http",
            {"monitoring_plaintext_networks": "10.0.0.0/8"},
            "http://10.0.0.1:80",
            id="in a trusted network",
        ),
        pytest.param(
            "a",
            "http",
            {"shop_address": "127.0.0.1:80"},
            "http://127.0.0.1:80",
            id="by loopback",
        ),
        pytest.param(
            "c",
            "inner",
            {"shop_inner_address": "10.0.0.1:81"},
            "http://10.0.0.1:81",
            id="of a listener without TLS",
        ),
    ],
)
def test_url_has_the_scheme_of_the_listener(
    client_host: str,
    listener: str,
    variables: dict[str, Any],
    expected: str,
) -> None:
    assert catalog.url_of(SHOP, listener, spread(a=variables), client_host) == expected


EVERYWHERE = {"shop_address": "0.0.0.0:80", "monitoring_address": "shop.example"}


@pytest.mark.parametrize(
    ("client_host", "variables", "expected"),
    [
        pytest.param("a", EVERYWHERE, "https://shop.example:80", id="every address"),
        pytest.param(
            "c", EVERYWHERE, "https://shop.example:80", id="from another host"
        ),
        pytest.param(
            "a", {"shop_address": ":80"}, "https://a:80", id="by the port alone"
        ),
        pytest.param(
            "a",
            {**EVERYWHERE, "monitoring_tls_certificate": ""},
            "http://127.0.0.1:80",
            id="without a certificate",
        ),
        pytest.param(
            "a",
            {"shop_address": "172.30.0.1:80", "monitoring_address": "shop.example"},
            "https://172.30.0.1:80",
            id="one address",
        ),
    ],
)
def test_a_host_reaches_itself_at_an_address_of_its_certificate(
    client_host: str,
    variables: dict[str, Any],
    expected: str,
) -> None:
    assert catalog.url_of(SHOP, "http", spread(a=variables), client_host) == expected


def test_another_host_uses_the_first_address_that_it_can_reach() -> None:
    facts = {
        **FACTS,
        "listen_addresses": {"http": "<addresses>"},
        "plaintext_listeners": [],
    }
    component = catalog.parse_component("shop", facts)
    addresses = ["127.0.0.1:80", "172.30.0.1:80", "10.0.0.1:80"]
    inventory = spread(a={"monitoring_plaintext_networks": ["172.30.0.0/24"]})
    inventory.render = lambda *_arguments: addresses
    assert catalog.url_of(component, "http", inventory, "c") == "https://10.0.0.1:80"
    assert catalog.url_of(component, "http", inventory, "a") == "http://127.0.0.1:80"


def test_client_presents_its_own_certificate() -> None:
    assert catalog.client_config_of(SHOP, "http", spread(), "c") == CLIENT


def test_client_has_its_files_below_a_directory() -> None:
    client = catalog.client_config_of(STORE, "http", spread(), "a", "/etc/shop")
    assert set(client["tls_config"].values()) == {
        "/etc/shop/tls/ca.pem",
        "/etc/shop/tls/certificate.pem",
        "/etc/shop/tls/key.pem",
    }


def test_client_needs_no_settings_for_plain_text() -> None:
    inventory = spread(a={"shop_inner_address": "10.0.0.1:81"})
    assert catalog.client_config_of(SHOP, "inner", inventory, "c") == {}


def test_client_logs_in_where_the_component_supports_it() -> None:
    inventory = spread(a=PASSWORD, b=PASSWORD, c=PASSWORD)
    assert catalog.client_config_of(SHOP, "http", inventory, "c") == WITH_LOGIN
    assert catalog.client_config_of(STORE, "http", inventory, "c") == CLIENT


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param(
            {"c": {"monitoring_tls_certificate": ""}},
            "shop on a: a client certificate is required; set monitoring_tls_certificate",
            id="no certificate",
        ),
        pytest.param(
            {"c": {"monitoring_tls_ca": ""}},
            "monitoring_tls_ca of c",
            id="no authority",
        ),
        pytest.param(
            {"a": PASSWORD},
            "monitoring_basic_auth_username and .* of c",
            id="no password",
        ),
        pytest.param(
            {"a": PASSWORD, "c": {**PASSWORD, "monitoring_basic_auth_password": "x"}},
            "the login of c differs",
            id="another password",
        ),
    ],
)
def test_refuses_a_client_without_the_right_credentials(
    variables: dict[str, dict[str, Any]],
    words: str,
) -> None:
    with pytest.raises(CatalogError, match=words):
        catalog.client_config_of(SHOP, "http", spread(**variables), "c")


def test_scrape_jobs_have_the_scheme_of_each_target() -> None:
    inventory = spread()
    inventory.groups = {"shop": ["a", "c"]}
    inventory.host_variables["c"]["shop_address"] = "127.0.0.1:80"
    (job,) = catalog.scrape_jobs([SHOP], inventory, "c")
    labels = {
        config["targets"][0]: config["labels"] for config in job.pop("static_configs")
    }
    assert labels["10.0.0.1:80"] == {"env": "test", "host": "a", "__scheme__": "https"}
    assert labels["127.0.0.1:80"] == {"env": "test", "host": "c"}
    assert job == {"job_name": "shop", **CLIENT}


def test_scrape_jobs_log_in_where_the_component_supports_it() -> None:
    inventory = spread(a=PASSWORD, c=PASSWORD)
    (job,) = catalog.scrape_jobs([SHOP], inventory, "c")
    assert job["basic_auth"] == WITH_LOGIN["basic_auth"]


@pytest.mark.parametrize(
    ("bind_address", "inventory"),
    [
        pytest.param("127.0.0.1:80", spread(), id="loopback"),
        pytest.param("10.0.0.1:80", Inventory({"shop": ["a"]}), id="no certificate"),
        pytest.param("", Inventory({"shop": ["a"]}), id="client without a certificate"),
    ],
)
def test_tls_files_are_none_for_plain_text(
    bind_address: str,
    inventory: Inventory,
) -> None:
    files = catalog.tls_files(SHOP, [], bind_address, inventory, "a")
    assert files.pop("scheme") == "http"
    assert files == {"config": [], "secrets": {}, "probe_auth": {}, "web": {}}


def test_tls_files_of_a_listener_keep_the_key_secret_and_require_a_certificate() -> (
    None
):
    files = catalog.tls_files(SHOP, [], "10.0.0.1:80", spread(), "a")
    assert files == {
        "scheme": "https",
        "config": [
            {"path": "tls/certificate.pem", "content": "CERT"},
            {"path": "tls/ca.pem", "content": "CA"},
        ],
        "secrets": {"tls/key.pem": "KEY"},
        "probe_auth": {
            "certificate_file": "tls/certificate.pem",
            "key_file": "tls/key.pem",
        },
        "web": {
            "tls_server_config": {
                "cert_file": "tls/certificate.pem",
                "key_file": "tls/key.pem",
                "client_ca_file": "tls/ca.pem",
                "client_auth_type": "RequireAndVerifyClientCert",
            }
        },
    }


def test_tls_files_with_a_password_accept_clients_without_a_certificate() -> None:
    files = catalog.tls_files(SHOP, [], "10.0.0.1:80", spread(a=PASSWORD), "a")
    assert files["secrets"] == {"tls/key.pem": "KEY", "tls/password": "word"}
    assert files["probe_auth"]["username"] == "us"
    assert files["probe_auth"]["password_file"] == "tls/password"
    assert (
        files["web"]["tls_server_config"]["client_auth_type"]
        == "VerifyClientCertIfGiven"
    )
    assert files["web"]["basic_auth_users"] == {"us": "$2b$hash"}


@pytest.mark.parametrize(
    ("consumed", "bind_address", "expected"),
    [
        pytest.param(
            [], "10.0.0.2:3100", {"tls/key.pem"}, id="without basic authentication"
        ),
        pytest.param([SHOP], "", {"tls/key.pem", "tls/password"}, id="as a client"),
    ],
)
def test_tls_files_have_the_password_only_where_it_is_used(
    consumed: list[catalog.Component],
    bind_address: str,
    expected: set[str],
) -> None:
    inventory = spread(a=PASSWORD, b=PASSWORD)
    files = catalog.tls_files(STORE, consumed, bind_address, inventory, "b")
    assert set(files["secrets"]) == expected


def test_refuses_a_plaintext_listener_that_does_not_exist() -> None:
    facts = {**FACTS, "plaintext_listeners": ["grpc"]}
    with pytest.raises(
        CatalogError, match="plaintext_listeners: there is no listener 'grpc'"
    ):
        catalog.parse_component("shop", facts)
