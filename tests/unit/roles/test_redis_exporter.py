# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the instances of the role for Redis exporters."""

from __future__ import annotations

import json

import pytest

from tests.unit.roles.rendering import rollout

ADDRESSES = {
    "name": "main",
    "listen_address": "127.0.0.1:9121",
    "redis_address": "127.0.0.1:6379",
}


def instance(**fields):
    """Return the component instance of an exporter with these fields."""
    (result,) = rollout(
        "redis_exporter", redis_exporter_instances=[{**ADDRESSES, **fields}]
    )["instances"]
    return result


SERVERS = [
    {
        "name": name,
        "listen_address": f"127.0.0.1:{9121 + number}",
        "redis_address": f"127.0.0.1:{6379 + number}",
    }
    for number, name in enumerate(("main", "accounts", "chain"))
]


def test_there_is_an_exporter_for_each_redis_of_the_inventory_and_none_by_default():
    assert rollout("redis_exporter")["instances"] == []
    result = rollout("redis_exporter", redis_exporter_instances=SERVERS)["instances"]
    assert [
        (item["name"], item["listen_addresses"], item["command"][2]) for item in result
    ] == [
        ("main", ["127.0.0.1:9121"], "--redis.addr=redis://127.0.0.1:6379"),
        ("accounts", ["127.0.0.1:9122"], "--redis.addr=redis://127.0.0.1:6380"),
        ("chain", ["127.0.0.1:9123"], "--redis.addr=redis://127.0.0.1:6381"),
    ]


def test_without_a_password_there_is_no_file():
    result = instance()
    assert result["secrets"] == {}
    assert [
        word for word in result["command"] if "user" in word or "password" in word
    ] == []


# The keys by which exporter/redis.go of redis_exporter 1.86.0 looks up a password.
@pytest.mark.parametrize(
    ("fields", "key"),
    [
        pytest.param({}, "redis://127.0.0.1:6379", id="default user"),
        pytest.param(
            {"user": "monitoring"}, "redis://monitoring@127.0.0.1:6379", id="ACL user"
        ),
        pytest.param(
            {"redis_address": "rediss://r:1", "user": "m"}, "rediss://m@r:1", id="TLS"
        ),
        pytest.param(
            {"redis_address": "unix:///run/r.sock"}, "unix:///run/r.sock", id="socket"
        ),
    ],
)
@pytest.mark.parametrize("password", ["c4n4ry", "{\"'%$ {{ x }}"])
def test_the_password_has_the_url_as_its_key_and_is_nowhere_else(fields, key, password):
    # Raw, so that Ansible does not template a password with braces.
    result = instance(password="{% raw %}" + password + "{% endraw %}", **fields)
    assert json.loads(result["secrets"].pop("passwords.json")) == {key: password}
    assert "--redis.password-file={etc}/passwords.json" in result["command"]
    assert password not in json.dumps(result)


def test_flags_come_last():
    assert instance(flags=["--is-cluster"])["command"][-1] == "--is-cluster"
