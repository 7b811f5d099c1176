# SPDX-License-Identifier: GPL-3.0-or-later
"""What a generation is made of, and what names it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import manifest
from tests.unit.component.factories import CONFIG, KEY, RELOAD, built, instance

TIMER = {"loki-sweep.timer": {"Timer": {"OnCalendar": "daily"}}}


@pytest.mark.parametrize(
    ("changes", "same_id"),
    [
        pytest.param({}, True, id="nothing"),
        pytest.param({"config": [{**CONFIG[0], "content": "a: 2\n"}]}, False, id="a file"),
        pytest.param(
            {"config": [*CONFIG, {"path": "b", "content": ""}]}, False, id="one file more"
        ),
        pytest.param({"config": []}, False, id="one file less"),
        pytest.param({"units": TIMER}, False, id="one unit more"),
        pytest.param({"description": "another"}, False, id="the unit"),
        pytest.param({"secrets": {"key": "s"}}, False, id="a secret more"),
        pytest.param({"ready": {"url": "http://a/"}}, False, id="how it is proven"),
        pytest.param({"reload": RELOAD}, False, id="what a change needs"),
    ],
)
def test_a_generation_is_another_one_when_anything_differs(
    changes: dict[str, Any], same_id: bool
) -> None:
    assert (built(instance(**changes))["id"] == built(instance())["id"]) is same_id


def test_a_release_makes_another_generation() -> None:
    assert built(instance(), "loki-3.7.9-89abcdef")["id"] != built(instance())["id"]


def test_a_secret_is_kept_out_of_the_digest_and_told_apart_by_its_fingerprint() -> None:
    first, second = (built(instance(secrets={"key": value})) for value in ("one", "two"))
    assert first["id"] == second["id"]
    assert not manifest.same(first, second)
    assert manifest.same(first, built(instance(secrets={"key": "one"})))
    record = first["files"]["etc/key"]
    assert "sha256" not in record
    assert (
        record["fingerprint"]
        == manifest.checksum(b"one", record, KEY)
        != manifest.checksum(b"one", record, b"other")
    )


def test_nothing_is_the_same_as_an_absent_manifest() -> None:
    assert not manifest.same(built(instance()), None)
    assert not manifest.same(None, None)


def test_a_manifest_survives_being_written() -> None:
    known = built(instance(units=TIMER, secrets={"key": "s"}))
    assert manifest.parse(json.dumps(known, indent=1, sort_keys=True).encode()) == known


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="no file"),
        pytest.param(b"", id="an empty file"),
        pytest.param(b"{", id="half a file"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="an empty mapping"),
        pytest.param(
            json.dumps({**built(instance()), "files": []}).encode(), id="files of another type"
        ),
        pytest.param(
            json.dumps({**built(instance()), "release": "another"}).encode(), id="a changed release"
        ),
        pytest.param(json.dumps({**built(instance()), "format": 2}).encode(), id="a later format"),
    ],
)
def test_a_damaged_manifest_is_none(content: bytes | None) -> None:
    assert manifest.parse(content) is None


def test_a_generation_is_counted_by_its_name() -> None:
    assert manifest.number("12-abcdef") == 12
