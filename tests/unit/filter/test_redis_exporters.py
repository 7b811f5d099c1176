# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the filter that describes the exporters of Redis metrics."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plugins.filter.redis_exporters import redis_exporters

PLAIN = {"scheme": "http", "config": [], "secrets": {}, "probe_auth": {}, "web": {}}
TLS = {
    "scheme": "https",
    "config": [{"path": "tls/ca.pem", "content": "CA"}],
    "secrets": {"tls/key.pem": "KEY"},
    "probe_auth": {"ca_file": "tls/ca.pem"},
    "web": {},
}
EXPORTER = {
    "name": "main",
    "listen_address": "10.0.0.1:9121",
    "redis_address": "r:6379",
}


def instance(tls: dict[str, Any] = PLAIN, **fields: Any) -> dict[str, Any]:
    (result,) = redis_exporters([{**EXPORTER, **fields}], [tls])
    return result


@pytest.mark.parametrize("empty", [{}, {"user": "", "password": None, "flags": None}])
def test_an_exporter_with_three_fields_has_no_login(empty: dict[str, Any]) -> None:
    assert instance(**empty) == {
        "name": "main",
        "description": "Exporter of Redis metrics, main",
        "command": [
            "{release}/redis_exporter",
            "--web.listen-address=10.0.0.1:9121",
            "--redis.addr=redis://r:6379",
            "--disable-scrape-endpoint",
        ],
        "config": [],
        "secrets": {},
        "listen_addresses": ["10.0.0.1:9121"],
        "ready": {"url": "http://10.0.0.1:9121/health"},
    }


def test_tls_adds_files_flags_and_a_probe_with_a_certificate() -> None:
    result = instance(TLS)
    assert result["config"] == TLS["config"]
    assert result["secrets"] == TLS["secrets"]
    assert result["ready"] == {
        "url": "https://10.0.0.1:9121/health",
        "ca_file": "tls/ca.pem",
    }
    assert [flag for flag in result["command"] if "tls" in flag] == [
        "--tls-server-cert-file={etc}/tls/certificate.pem",
        "--tls-server-key-file={etc}/tls/key.pem",
        "--tls-server-ca-cert-file={etc}/tls/ca.pem",
    ]


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        pytest.param({}, "redis://r:6379", id="default user"),
        pytest.param({"user": "a@b"}, "redis://a%40b@r:6379", id="user to be escaped"),
        pytest.param(
            {"redis_address": "rediss://r:1", "user": "m"}, "rediss://m@r:1", id="URL"
        ),
    ],
)
def test_the_password_file_has_the_url_with_the_user(
    fields: dict[str, Any], url: str
) -> None:
    result = instance(password='p"w', **fields)
    assert json.loads(result["secrets"]["passwords.json"]) == {url: 'p"w'}
    assert 'p"w' not in str(result["command"])


def test_flags_stand_in_the_order_user_password_tls_and_own() -> None:
    command = instance(TLS, user="u", password="p", flags=["--is-cluster"])["command"]
    assert command[4:6] == [
        "--redis.user=u",
        "--redis.password-file={etc}/passwords.json",
    ]
    assert command[-1] == "--is-cluster"


def test_each_exporter_has_its_own_tls() -> None:
    other = {**EXPORTER, "name": "other"}
    plain, encrypted = redis_exporters([EXPORTER, other], [PLAIN, TLS])
    assert plain["ready"]["url"].startswith("http://")
    assert (encrypted["name"], encrypted["config"]) == ("other", TLS["config"])


def test_an_exporter_is_a_member_of_the_groups_of_a_socket() -> None:
    service = {"ExecReload": None, "SupplementaryGroups": ["redis"]}
    assert instance(groups=["redis"])["unit"] == {"Service": service}
