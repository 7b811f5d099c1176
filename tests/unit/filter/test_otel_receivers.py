# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the filter that describes the collector's receivers."""

from __future__ import annotations

import pytest

from plugins.filter.otel_receivers import otel_receivers

TLS = {"tls": {"cert_file": "/c", "key_file": "/k"}}


def test_each_address_has_one_receiver_with_both_ports() -> None:
    receivers = otel_receivers(
        {"127.0.0.1": "http", "172.30.0.1": "http"}, 4317, 4318, TLS
    )
    assert receivers == {
        "otlp/127.0.0.1": {
            "protocols": {
                "grpc": {"endpoint": "127.0.0.1:4317"},
                "http": {"endpoint": "127.0.0.1:4318"},
            }
        },
        "otlp/172.30.0.1": {
            "protocols": {
                "grpc": {"endpoint": "172.30.0.1:4317"},
                "http": {"endpoint": "172.30.0.1:4318"},
            }
        },
    }


def test_an_https_address_has_tls_and_the_others_have_none() -> None:
    receivers = otel_receivers({"127.0.0.1": "http", "10.0.0.1": "https"}, 1, 2, TLS)
    assert receivers["otlp/10.0.0.1"]["protocols"] == {
        "grpc": {"endpoint": "10.0.0.1:1", **TLS},
        "http": {"endpoint": "10.0.0.1:2", **TLS},
    }
    assert "tls" not in str(receivers["otlp/127.0.0.1"])


# The collector reads a double colon in a name as a path.
@pytest.mark.parametrize(
    ("address", "name"),
    [("[::1]", "otlp/_1_"), ("[fd00::2]", "otlp/_fd00_2_"), ("a-b", "otlp/a-b")],
)
def test_the_name_of_a_receiver_has_no_colon(address: str, name: str) -> None:
    assert list(otel_receivers({address: "http"}, 1, 2, {})) == [name]
    assert otel_receivers({address: "http"}, 1, 2, {})[name]["protocols"]["grpc"] == {
        "endpoint": f"{address}:1"
    }


def test_no_address_has_no_receiver() -> None:
    assert otel_receivers({}, 1, 2, TLS) == {}
