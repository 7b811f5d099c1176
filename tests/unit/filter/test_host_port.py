# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the filter that splits an address."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.host_port import host_port


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        pytest.param("127.0.0.1:3100", "127.0.0.1", 3100, id="IPv4"),
        pytest.param("[::1]:3100", "::1", 3100, id="IPv6"),
        pytest.param("logs.example.com:80", "logs.example.com", 80, id="name"),
        pytest.param(":3100", "", 3100, id="every address"),
    ],
)
def test_host_port_splits(address: str, host: str, port: int) -> None:
    assert host_port(address) == {"host": host, "port": port}


def test_host_port_keeps_the_brackets_of_an_ipv6_host_on_request() -> None:
    assert host_port("[::1]:3100", brackets=True) == {"host": "[::1]", "port": 3100}
    assert host_port("127.0.0.1:1", brackets=True) == {"host": "127.0.0.1", "port": 1}


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "[::1]"]
)
def test_host_port_refuses_an_address_without_a_port(address: str) -> None:
    with pytest.raises(
        AnsibleFilterError, match=r"has no port; write it as host:port\."
    ):
        host_port(address)


def test_host_port_refuses_another_type() -> None:
    with pytest.raises(
        AnsibleFilterError, match="the address is of type int; write it as host"
    ):
        host_port(3100)
