# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Redis exporters' role makes of its instances."""

from __future__ import annotations

import json

import pytest

from tests.unit.roles.rendering import rollout

ADDRESSES = {"name": "main", "listen_address": "127.0.0.1:9121", "redis_address": "127.0.0.1:6379"}


def instance(**fields):
    """The module's instance that comes of one of the role's."""
    (made,) = rollout("redis_exporter", redis_exporter_instances=[{**ADDRESSES, **fields}])[
        "instances"
    ]
    return made


def test_the_default_is_an_exporter_for_each_redis():
    made = rollout("redis_exporter")["instances"]
    assert [(item["name"], item["listen_addresses"], item["command"][2]) for item in made] == [
        ("main", ["127.0.0.1:9121"], "--redis.addr=redis://127.0.0.1:6379"),
        ("accounts", ["127.0.0.1:9122"], "--redis.addr=redis://127.0.0.1:6380"),
        ("chain", ["127.0.0.1:9123"], "--redis.addr=redis://127.0.0.1:6381"),
    ]


def test_without_a_password_there_is_no_file():
    made = instance()
    assert made["secrets"] == {}
    assert [word for word in made["command"] if "user" in word or "password" in word] == []


# The keys are what exporter/redis.go of redis_exporter 1.86.0 asks for.
@pytest.mark.parametrize(
    ("fields", "key"),
    [
        pytest.param({}, "redis://127.0.0.1:6379", id="default user"),
        pytest.param({"user": "monitoring"}, "redis://monitoring@127.0.0.1:6379", id="ACL user"),
        pytest.param({"redis_address": "rediss://r:1", "user": "m"}, "rediss://m@r:1", id="TLS"),
        pytest.param({"redis_address": "unix:///run/r.sock"}, "unix:///run/r.sock", id="socket"),
    ],
)
@pytest.mark.parametrize("password", ["c4n4ry", "{\"'%$ {{ x }}"])
def test_the_password_is_found_by_the_address_and_is_nowhere_else(fields, key, password):
    # Marked as what it is, so that a password with braces stays as it is.
    made = instance(password="{% raw %}" + password + "{% endraw %}", **fields)
    assert json.loads(made["secrets"].pop("passwords.json")) == {key: password}
    assert "--redis.password-file={etc}/passwords.json" in made["command"]
    assert password not in json.dumps(made)


def test_flags_come_last():
    assert instance(flags=["--is-cluster"])["command"][-1] == "--is-cluster"
