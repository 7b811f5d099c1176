# SPDX-License-Identifier: GPL-3.0-or-later
"""The object store of an inventory: what is refused, and what a component gets to know."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.plugin_utils import buckets
from ansible_collections.hippius.monitoring.plugins.plugin_utils.buckets import (
    ObjectStoreError,
)

PEM = "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"
STORE: dict[str, Any] = {
    "endpoint": "https://s3.example.net",
    "access_key": "id of a key",
    "secret_key": "never shown",
    "buckets": {"loki": "logs", "tempo": "traces"},
}
KEYS = {
    "AWS_ACCESS_KEY_ID": "id of a key",
    "AWS_SECRET_ACCESS_KEY": "never shown",
}


def test_a_component_gets_its_own_bucket() -> None:
    assert buckets.store_of({**STORE, "region": "eu-1", "ca": PEM}, "tempo") == {
        "endpoint": "s3.example.net:443",
        "insecure": False,
        "region": "eu-1",
        "bucket": "traces",
        "ca": PEM,
        "environment": KEYS,
    }


@pytest.mark.parametrize(
    "value", [None, {}, "", {**STORE, "buckets": {"tempo": "t-1"}}]
)
def test_a_component_without_a_bucket_stays_on_its_disk(value: Any) -> None:
    assert buckets.store_of(value, "loki") is None


@pytest.mark.parametrize(
    ("endpoint", "address", "insecure"),
    [
        ("s3.example.net", "s3.example.net:443", False),
        ("s3.example.net:9000", "s3.example.net:9000", False),
        ("https://s3.example.net/", "s3.example.net:443", False),
        ("http://10.0.0.9:7070", "10.0.0.9:7070", True),
        ("http://minio", "minio:80", True),
        ("https://[fd00::1]:9000", "[fd00::1]:9000", False),
    ],
)
def test_an_endpoint_is_a_host_with_a_port(
    endpoint: str, address: str, insecure: bool
) -> None:
    store = buckets.store_of({**STORE, "endpoint": endpoint}, "loki")
    assert store is not None
    assert (store["endpoint"], store["insecure"]) == (address, insecure)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("https://s3.example.net", "must be a dict"),
        ({"bucket": "logs"}, "bucket is unknown; use endpoint, access_key, secret_key"),
        ({"secret_key": ""}, "secret_key is missing; set it"),
        ({"access_key": None}, "access_key is missing; set it"),
        ({"buckets": {}}, "buckets is missing; set it"),
        ({"region": 7}, "region must be a str; correct it"),
        ({"secret_key": ["never shown"]}, "secret_key must be a str; correct it"),
        (
            {"secret_key": "never\0shown"},
            "secret_key: has no value that a program can read",
        ),
        (
            {"endpoint": "ftp://s3.example.net"},
            "'ftp://s3.example.net' is no address of a",
        ),
        ({"endpoint": "https://s3.example.net/logs"}, "without a bucket"),
        ({"endpoint": "https://k:s@s3.example.net"}, "is no address of a store"),
        ({"endpoint": "s3.example.net:99999"}, "has no valid port"),
        ({"endpoint": "https://"}, "is no address of a store"),
        ({"ca": "ca.pem"}, "ca is no certificate; write it as PEM"),
        ({"buckets": ["logs"]}, "buckets must be a dict of component to bucket"),
        (
            {"buckets": {"prometheus": "m-1"}},
            "prometheus keeps nothing in a bucket; use loki",
        ),
        ({"buckets": {"loki": "Logs_1"}}, "'Logs_1' is no name of a bucket"),
        ({"buckets": {"loki": 7}}, "7 is no name of a bucket"),
        ({"buckets": {"loki": "all", "tempo": "all"}}, "two components share one"),
    ],
)
def test_a_store_that_cannot_be_used_is_refused_without_its_secret(
    change: Any, message: str
) -> None:
    value = {**STORE, **change} if isinstance(change, dict) else change
    with pytest.raises(ObjectStoreError) as refused:
        buckets.store_of(value, "loki")
    assert message in str(refused.value)
    assert "shown" not in str(refused.value)
