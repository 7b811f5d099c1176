# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifest of a generation: its content, and the digest that names it."""

from __future__ import annotations

import copy
import hashlib
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
        pytest.param(
            {"listen_addresses": ["127.0.0.1:3100"]}, False, id="where it listens"
        ),
        pytest.param({"check": ["true"]}, True, id="how it is checked"),
    ],
)
def test_a_generation_has_another_id_when_anything_differs(
    changes: dict[str, Any], same_id: bool
) -> None:
    assert (built(instance(**changes))["id"] == built(instance())["id"]) is same_id


def test_a_generation_has_another_id_when_it_is_reloaded_in_another_way() -> None:
    # From one way to another: from none to one, the files' on_change differs as well.
    other = {**RELOAD, "success": "another_metric"}
    first, second = built(instance(reload=RELOAD)), built(instance(reload=other))
    assert first["files"] == second["files"]
    assert first["id"] != second["id"]


@pytest.mark.parametrize("key", ["mode", "on_change", "sha256"])
def test_a_generation_has_another_id_when_one_thing_of_a_file_differs(key: str) -> None:
    changed = copy.deepcopy(built(instance()))
    changed["files"]["etc/loki-config.yml"][key] = "other"
    assert manifest.digest(changed) != built(instance())["id"]


@pytest.mark.parametrize(
    "key", ["release", "files", "units", "listen_addresses", "ready", "reload"]
)
def test_a_generation_has_another_id_when_one_fact_differs(key: str) -> None:
    whole = built(instance(ready={"url": "http://a/"}, reload=RELOAD))
    whole["listen_addresses"] = ["127.0.0.1:3100"]
    emptied = {**whole, key: type(whole[key])()}
    assert manifest.digest(emptied) != manifest.digest(whole)


def test_an_id_does_not_depend_on_the_order_of_keys() -> None:
    whole = built(instance(reload=RELOAD))
    turned = json.loads(json.dumps(whole))
    turned["reload"] = dict(reversed(whole["reload"].items()))
    turned["files"] = dict(reversed(whole["files"].items()))
    assert manifest.digest(turned) == manifest.digest(whole)


def test_an_id_is_as_long_as_names_of_generations_have_it() -> None:
    assert len(built(instance())["id"]) == 12


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
    assert not manifest.same(None, built(instance()))
    assert not manifest.same(None, None)


def test_no_manifest_is_the_same_as_a_recovered_one() -> None:
    whole = built(instance())
    unknown = {**whole, "id": ""}
    assert not manifest.same(whole, unknown)
    assert not manifest.same(unknown, whole)
    assert not manifest.same(unknown, unknown)


def test_a_manifest_is_the_same_whatever_id_another_release_gave_it() -> None:
    whole = built(instance())
    assert manifest.same(whole, {**whole, "id": "0123456789ab"})
    assert not manifest.same(whole, built(instance(config=[])))
    other = [{**CONFIG[0], "content": "a: 2\n"}]
    assert not manifest.same(whole, built(instance(config=other)))


def test_a_manifest_is_read_back_as_it_was_written() -> None:
    written = built(instance(units=TIMER, secrets={"key": "s"}))
    assert manifest.parse(manifest.serialize(written)) == written


STORED = {
    "format": 1,
    "id": "0123456789ab",
    "component": "loki",
    "name": "loki",
    "release": "loki-3.7.8-01234567",
    "files": {},
    "units": {},
}
OPTIONAL = {
    "unit": "digest",
    "listen_addresses": ["127.0.0.1:3100"],
    "ready": {"url": "http://127.0.0.1:3100/ready"},
    "reload": {**RELOAD},
    "check": ["true"],
    "check_ignore_pattern": "warning",
    "environment": {"A": "b"},
}


def stored(fields: dict[str, Any]) -> bytes:
    """Return a file with these fields and a right checksum."""
    text = json.dumps(fields, sort_keys=True)
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({**fields, "checksum": checksum}).encode()


def test_a_file_of_an_earlier_release_can_be_read() -> None:
    file = (
        b'{\n "checksum": "f7afd9a01d7c9564003e11c6c29e3c48f703a00902e6204246ae552ac9261f36",\n'
        b' "component": "loki",\n "files": {},\n "format": 1,\n'
        b' "id": "0123456789ab",\n "name": "loki",\n "release": "loki-3.7.8-01234567",\n'
        b' "units": {}\n}\n'
    )
    assert manifest.serialize(STORED) == file
    assert manifest.parse(file) == {
        **STORED,
        "unit": "",
        "listen_addresses": [],
        "ready": {},
        "reload": {},
        "check": [],
        "check_ignore_pattern": "",
        "environment": {},
    }


@pytest.mark.parametrize("key", OPTIONAL)
def test_what_a_file_says_comes_before_a_default(key: str) -> None:
    whole = {**STORED, **OPTIONAL}
    assert manifest.parse(stored(whole)) == whole
    del whole[key]
    parsed = manifest.parse(stored(whole))
    assert parsed is not None
    assert not parsed.pop(key)
    assert parsed == whole


@pytest.mark.parametrize("key", STORED)
def test_a_file_that_lacks_what_describes_a_generation_cannot_be_read(key: str) -> None:
    fields = {**STORED}
    del fields[key]
    assert manifest.parse(stored(fields)) is None


def test_a_file_of_a_later_format_cannot_be_read() -> None:
    assert manifest.parse(stored(STORED)) is not None
    assert manifest.parse(stored({**STORED, "format": 2})) is None


def test_a_recovered_manifest_has_the_keys_of_a_whole_one() -> None:
    recovered = manifest.recovered("loki", "loki", "loki-3.7.8-01234567", {})
    assert set(recovered) == set(built(instance()))
    assert manifest.parse(manifest.serialize(recovered)) == recovered
    given = {key: value for key, value in recovered.items() if value}
    assert given == {
        "format": 1,
        "component": "loki",
        "name": "loki",
        "release": "loki-3.7.8-01234567",
    }


def test_a_recovered_unit_is_started_where_a_target_wants_it() -> None:
    units = {
        "loki.service": "[Install]\nWantedBy=b.target a.target\nWantedBy=c.target\n",
        "loki-sweep.service": "[Service]\nExecStart=/bin/true # WantedBy=x.target\n",
    }
    recovered = manifest.recovered("loki", "loki", "", units)
    assert recovered["units"] == {
        "loki.service": {
            "wanted_by": ["a.target", "b.target", "c.target"],
            "started": True,
        },
        "loki-sweep.service": {"wanted_by": [], "started": False},
    }


def test_a_record_holds_a_fingerprint_or_a_checksum() -> None:
    assert manifest.recorded({"fingerprint": "f", "sha256": "s"}) == "f"
    assert manifest.recorded({"sha256": "s"}) == "s"
    assert manifest.recorded({}) == ""


def test_a_checksum_has_the_form_of_the_record() -> None:
    assert manifest.checksum(b"x", {"sha256": ""}, KEY) == (
        "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    )
    keyed = manifest.checksum(b"x", {"fingerprint": ""}, KEY)
    assert keyed == manifest.fingerprint(b"x", KEY)


def test_only_the_group_of_the_component_enters_the_configuration() -> None:
    desired = instance(
        config=[{"path": "rules/own/a.yml", "content": ""}],
        scripts=[{"path": "lib/etc/run", "content": ""}],
    )
    assert manifest.directories(built(desired)) == {
        "./": 0o755,
        "etc/": 0o750,
        "etc/rules/": 0o750,
        "etc/rules/own/": 0o750,
        "bin/": 0o755,
        "bin/lib/": 0o755,
        "bin/lib/etc/": 0o755,
    }


def test_a_generation_without_configuration_has_its_directory() -> None:
    desired = instance(config=[])
    assert manifest.directories(built(desired)) == {"./": 0o755, "etc/": 0o750}


def test_a_manifest_says_what_was_built() -> None:
    desired = instance(
        secrets={"key": "s"},
        scripts=[{"path": "run", "content": "x"}],
        check=["true"],
        check_ignore_pattern="warning",
        environment={"A": "b"},
        listen_addresses=["127.0.0.1:3100"],
        ready={"url": "http://127.0.0.1:3100/ready"},
        reload=RELOAD,
    )
    found = built(desired)
    assert {key: found[key] for key in OPTIONAL} == {
        **OPTIONAL,
        "unit": desired.unit_digest,
    }
    modes = {path: record["mode"] for path, record in found["files"].items()}
    assert modes == {
        "bin/run": "0755",
        "etc/key": "0640",
        "etc/loki-config.yml": "0640",
        "loki.service": "0644",
    }
    assert (found["component"], found["name"], found["format"]) == ("loki", "loki", 1)


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


@pytest.mark.parametrize("name", ["12-abcdef", "12-abc-def", "12"])
def test_a_generation_has_its_number_in_its_name(name: str) -> None:
    assert manifest.number(name) == 12
