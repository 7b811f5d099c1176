# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifest of a generation: its content, and the digest that names it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    manifest,
)
from tests.unit.component.factories import CONFIG, KEY, RELOAD, built, instance

TIMER = {"loki-sweep.timer": {"Timer": {"OnCalendar": "daily"}}}


@pytest.mark.parametrize(
    ("changes", "same_id"),
    [
        pytest.param({}, True, id="nothing"),
        pytest.param(
            {"config": [{**CONFIG[0], "content": "a: 2\n"}]}, False, id="a file"
        ),
        pytest.param(
            {"config": [*CONFIG, {"path": "b", "content": ""}]},
            False,
            id="an added file",
        ),
        pytest.param({"config": []}, False, id="a removed file"),
        pytest.param({"units": TIMER}, False, id="an added unit"),
        pytest.param({"description": "another"}, False, id="the unit"),
        pytest.param({"secrets": {"key": "s"}}, False, id="an added secret"),
        pytest.param({"ready": {"url": "http://a/"}}, False, id="how it is verified"),
        pytest.param({"reload": RELOAD}, False, id="how it is reloaded"),
    ],
)
def test_a_generation_has_another_id_when_anything_differs(
    changes: dict[str, Any], same_id: bool
) -> None:
    assert (built(instance(**changes))["id"] == built(instance())["id"]) is same_id


def test_a_generation_has_another_id_with_another_release() -> None:
    assert built(instance(), "loki-3.7.9-89abcdef")["id"] != built(instance())["id"]


def test_a_secret_changes_the_fingerprint_and_not_the_digest() -> None:
    first = built(instance(secrets={"key": "one"}))
    second = built(instance(secrets={"key": "two"}))
    assert first["id"] == second["id"]
    assert not manifest.same(first, second)
    assert manifest.same(first, built(instance(secrets={"key": "one"})))
    record = first["files"]["etc/key"]
    assert "sha256" not in record
    assert record["fingerprint"] == manifest.checksum(b"one", record, KEY)
    assert record["fingerprint"] != manifest.checksum(b"one", record, b"other")


def test_no_manifest_is_the_same_as_a_missing_one() -> None:
    assert not manifest.same(built(instance()), None)
    assert not manifest.same(None, None)


def test_a_manifest_is_read_back_as_it_was_written() -> None:
    written = built(instance(units=TIMER, secrets={"key": "s"}))
    assert manifest.parse(manifest.serialize(written)) == written


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="no file"),
        pytest.param(b"", id="an empty file"),
        pytest.param(b"{", id="half a file"),
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="an empty dict"),
        pytest.param(
            json.dumps({**built(instance()), "files": []}).encode(),
            id="files of another type",
        ),
        pytest.param(
            json.dumps({**built(instance()), "release": "another"}).encode(),
            id="a changed release",
        ),
        pytest.param(
            json.dumps({**built(instance()), "format": 2}).encode(), id="a later format"
        ),
    ],
)
def test_a_damaged_manifest_is_parsed_as_none(content: bytes | None) -> None:
    assert manifest.parse(content) is None


def test_a_generation_has_its_number_in_its_name() -> None:
    assert manifest.number("12-abcdef") == 12


@pytest.mark.parametrize(
    ("release", "other", "expected"),
    [
        ("loki-3.7.8-01234567", "loki-3.7.10-01234567", True),
        ("loki-3.7.10-01234567", "loki-3.7.8-01234567", False),
        ("loki-3.7.8-01234567", "loki-3.7.8-76543210", False),
        ("grafana-13.0.1-01234567", "grafana-13.0.1+security-01-01234567", True),
        ("loki-3.7.8-01234567", "promtail-3.7.10-01234567", False),
        ("unknown", "loki-3.7.8-01234567", False),
    ],
)
def test_versions_are_compared_by_their_numbers(
    release: str, other: str, expected: bool
) -> None:
    assert manifest.is_older(release, other) is expected
