# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the instances of the role for PostgreSQL exporters."""

from __future__ import annotations

import json

import pytest

from tests.unit.roles.rendering import rollout

ADDRESSES = {
    "name": "main",
    "listen_address": "127.0.0.1:9187",
    "postgres_address": "127.0.0.1:5432",
}


def instance(**fields):
    """Return the component instance of an exporter with these fields."""
    (result,) = rollout(
        "postgres_exporter", postgres_exporter_instances=[{**ADDRESSES, **fields}]
    )["instances"]
    return result


def test_an_exporter_has_no_password_by_default_and_there_is_none_without_a_server():
    assert rollout("postgres_exporter")["instances"] == []
    result = instance()
    assert (result["name"], result["listen_addresses"]) == ("main", ["127.0.0.1:9187"])
    assert result["secrets"] == {}
    assert result["environment"]["DATA_SOURCE_USER"] == "postgres_exporter"
    # The module leaves an unset variable out.
    assert result["environment"]["DATA_SOURCE_PASS_FILE"] is None


# The exporter prepends postgresql://user:password@.
@pytest.mark.parametrize(
    ("fields", "uri"),
    [
        pytest.param({}, "127.0.0.1:5432/postgres?sslmode=disable", id="this host"),
        pytest.param(
            {
                "postgres_address": "db.example:1",
                "database": "a b",
                "sslmode": "verify-full",
            },
            "db.example:1/a%20b?sslmode=verify-full",
            id="another host",
        ),
        pytest.param(
            {"postgres_address": "/run/postgresql"},
            "/postgres?sslmode=disable&host=/run/postgresql",
            id="socket",
        ),
    ],
)
def test_the_server_is_given_as_a_uri(fields, uri):
    assert instance(**fields)["environment"]["DATA_SOURCE_URI"] == uri


@pytest.mark.parametrize("password", ["c4n4ry", "{\"'%$ {{ x }}"])
def test_the_password_is_in_its_file_and_nowhere_else(password):
    # Raw, so that Ansible does not template a password with braces.
    result = instance(password="{% raw %}" + password + "{% endraw %}")
    assert result["secrets"].pop("password") == password
    assert result["environment"]["DATA_SOURCE_PASS_FILE"] == "{etc}/password"
    assert password not in json.dumps(result)


def test_flags_come_last():
    assert instance(flags=["--no-collector.wal"])["command"][-1] == "--no-collector.wal"
