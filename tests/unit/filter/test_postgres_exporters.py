# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the filter that describes the exporters of PostgreSQL metrics."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plugins.filter.postgres_exporters import postgres_exporters

PLAIN = {"scheme": "http", "config": [], "secrets": {}, "probe_auth": {}, "web": {}}
TLS = {
    "scheme": "https",
    "config": [{"path": "tls/ca.pem", "content": "CA"}],
    "secrets": {"tls/key.pem": "KEY"},
    "probe_auth": {"username": "u"},
    "web": {"basic_auth_users": {"u": "$2b$hash"}},
}
EXPORTER = {
    "name": "main",
    "listen_address": "10.0.0.1:9187",
    "postgres_address": "db:5432",
}


def instance(tls: dict[str, Any] = PLAIN, **fields: Any) -> dict[str, Any]:
    (result,) = postgres_exporters([{**EXPORTER, **fields}], [tls])
    return result


@pytest.mark.parametrize(
    "empty",
    [
        {},
        {"user": "", "password": None, "flags": None, "database": "", "sslmode": None},
    ],
)
def test_an_exporter_with_three_fields_has_the_defaults(empty: dict[str, Any]) -> None:
    assert instance(**empty) == {
        "name": "main",
        "description": "Exporter of PostgreSQL metrics, main",
        "command": [
            "{release}/postgres_exporter",
            "--web.listen-address=10.0.0.1:9187",
            "--config.file={etc}/postgres_exporter.yml",
        ],
        "environment": {
            "DATA_SOURCE_URI": "db:5432/postgres?sslmode=disable",
            "DATA_SOURCE_USER": "postgres_exporter",
            "DATA_SOURCE_PASS_FILE": None,
        },
        "config": [{"path": "postgres_exporter.yml", "content": {}}],
        "secrets": {},
        "listen_addresses": ["10.0.0.1:9187"],
        "ready": {"url": "http://10.0.0.1:9187/"},
    }


@pytest.mark.parametrize(
    ("fields", "uri"),
    [
        pytest.param(
            {"database": "a/b c"}, "db:5432/a/b%20c?sslmode=disable", id="database"
        ),
        pytest.param(
            {"sslmode": "require"}, "db:5432/postgres?sslmode=require", id="sslmode"
        ),
        pytest.param(
            {"postgres_address": "/run/postgresql"},
            "/postgres?sslmode=disable&host=/run/postgresql",
            id="socket",
        ),
        pytest.param(
            {
                "postgres_address": "/var/run/postgresql/",
                "flags": ["--auto-discover-databases"],
            },
            ":5432/postgres?sslmode=disable&host=/var/run/postgresql/",
            id="socket and every database",
        ),
        pytest.param(
            {"flags": ["--auto-discover-databases"]},
            "db:5432/postgres?sslmode=disable",
            id="every database of a host",
        ),
    ],
)
def test_the_data_source_has(fields: dict[str, Any], uri: str) -> None:
    assert instance(**fields)["environment"]["DATA_SOURCE_URI"] == uri


def test_an_exporter_is_a_member_of_the_groups_of_a_socket() -> None:
    service = {"ExecReload": None, "SupplementaryGroups": ["postgres"]}
    assert instance(groups=["postgres"])["unit"] == {"Service": service}


def test_the_password_is_in_a_secret_file_only() -> None:
    result = instance(password="c4n4ry")
    assert result["secrets"].pop("password") == "c4n4ry"
    assert result["environment"]["DATA_SOURCE_PASS_FILE"] == "{etc}/password"
    assert "c4n4ry" not in str(result)


def test_tls_adds_files_a_web_configuration_and_a_probe_with_a_login() -> None:
    result = instance(TLS, flags=["--x"])
    assert result["config"] == [
        {"path": "postgres_exporter.yml", "content": {}},
        *TLS["config"],
    ]
    assert json.loads(result["secrets"].pop("web.yml")) == TLS["web"]
    assert result["secrets"] == TLS["secrets"]
    assert result["command"][-2:] == ["--web.config.file={etc}/web.yml", "--x"]
    assert result["ready"] == {"url": "https://10.0.0.1:9187/", "username": "u"}
