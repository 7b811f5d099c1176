# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases that an inventory requests, and the messages for those that no lock file has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils import (
    upstream_releases,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    catalog,
    lock_files,
    pinned_releases,
)

SHA256 = "1" * 64
LOKI = {"amd64": {"url": "https://releases.example/loki", "sha256": SHA256}}
ARM = {"arm64": {"url": "https://releases.example/loki-arm64", "sha256": SHA256}}
FACTS = {"release": "loki", "group": "loki", "component": "loki"}
STORE = catalog.parse_component("loki", FACTS)


class Inventory(catalog.Inventory):
    """Hosts with variables, and the default of one variable."""

    def __init__(self, **hosts: dict[str, Any]) -> None:
        self.groups = {"loki": list(hosts)}
        self.host_variables = hosts

    def variable(self, host: str, name: str) -> catalog.Value:
        return {"monitoring_environment": "prod", **self.host_variables[host]}.get(name)

    def role_variable(
        self,
        host: str,
        component: catalog.Component,
        name: str,
    ) -> catalog.Value:
        return {"loki_version": "3.7.8", **self.host_variables[host]}[name]


def archives(
    files: list[str],
    name: str,
    version: str,
) -> pinned_releases.Archives:
    """Return those of one version in the default lock, of another version in own.yml."""
    if (name, version) == ("loki", "3.7.8"):
        return LOKI
    if (name, version, files) == ("loki", "3.7.9", ["own.yml"]):
        return ARM
    return {}


def blockers(*hosts: str, **variables: dict[str, Any]) -> list[str]:
    inventory = Inventory(**variables)
    return pinned_releases.unlocked([STORE], inventory, list(hosts), archives)


NEW = {"loki_version": "3.7.9"}
OWN = {"monitoring_releases_lock": "own.yml"}
DEV = {"monitoring_environment": "dev"}
ALLOW = {"monitoring_allow_unlocked": True}
IN_DEV_ONLY = "monitoring_allow_unlocked applies to the environment dev only"


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="locked"),
        pytest.param({**NEW, **OWN}, id="locked in a file of its own"),
        pytest.param({**NEW, **DEV, **ALLOW}, id="allowed in dev"),
        pytest.param(
            {**NEW, **DEV, "monitoring_allow_unlocked": "yes"},
            id="allowed on the command line",
        ),
    ],
)
def test_accepts_a_release(variables: dict[str, Any]) -> None:
    assert blockers("a", a=variables) == []


@pytest.mark.parametrize(
    ("variables", "words", "absent_words"),
    [
        pytest.param(
            NEW,
            [
                "loki_version of a: release loki 3.7.9 is",
                "not in the collection's releases.lock.yml (monitoring_releases_lock)",
                "ansible-playbook hippius.monitoring.lock -e loki_version=3.7.9 to add it",
            ],
            [IN_DEV_ONLY],
            id="not locked",
        ),
        pytest.param(
            {"loki_version": "4", "monitoring_releases_lock": ["x.yml", "own.yml"]},
            ["not in x.yml, own.yml", "-e monitoring_lock_file=own.yml"],
            [],
            id="in no file of its own",
        ),
        pytest.param(
            {**NEW, **DEV},
            ["3.7.9", "hippius.monitoring.lock"],
            [IN_DEV_ONLY],
            id="not locked in dev",
        ),
        pytest.param(
            {**NEW, **DEV, "monitoring_allow_unlocked": "false"},
            ["3.7.9"],
            [],
            id="not allowed by a string",
        ),
        pytest.param(
            {**NEW, **ALLOW}, ["3.7.9", IN_DEV_ONLY], [], id="allowed without effect"
        ),
        pytest.param(
            {"loki_version": 3.8},
            ["loki_version of a: release loki 3.8 is"],
            [],
            id="a float",
        ),
    ],
)
def test_refuses_a_release_that_is_not_locked(
    variables: dict[str, Any],
    words: list[str],
    absent_words: list[str],
) -> None:
    (message,) = blockers("a", a=variables)
    assert [word for word in words if word not in message] == []
    assert [word for word in absent_words if word in message] == []


def test_adds_the_lock_file_beside_the_inventory_to_that_of_the_collection(
    tmp_path: Path,
) -> None:
    assert pinned_releases.default_files(None) == ()
    assert pinned_releases.default_files(str(tmp_path)) == ()
    own = tmp_path / "releases.lock.yml"
    own.write_text("{}")
    files = (lock_files.DEFAULT, str(own))
    assert pinned_releases.default_files(str(tmp_path)) == files
    (message,) = blockers("a", a={**NEW, "inventory_dir": str(tmp_path)})
    assert f"not in {own} (" in message
    assert message.endswith(f"-e monitoring_lock_file={own} to add it.")


@pytest.mark.parametrize("files", [5, {"own.yml": 1}, ["own.yml", 5]])
def test_refuses_lock_files_that_are_no_paths_by_the_name_of_the_variable(
    files: object,
) -> None:
    with pytest.raises(
        catalog.CatalogError, match=r"^monitoring_releases_lock of a: must be the path"
    ):
        blockers("a", a={"monitoring_releases_lock": files})


def test_names_all_hosts_that_request_a_release_in_one_message() -> None:
    messages = blockers(*"abcd", a=NEW, b={}, c=NEW, d={**NEW, **DEV, **ALLOW})
    assert [message.split(":")[0] for message in messages] == ["loki_version of a, c"]


def test_locks_all_releases_that_hosts_request() -> None:
    inventory = Inventory(a={}, b={**NEW, **OWN})
    lock = pinned_releases.locked([STORE], inventory, archives)
    assert lock == {"loki": {"3.7.8": LOKI, "3.7.9": ARM}}


def test_locks_nothing_if_a_release_is_in_no_lock_file() -> None:
    with pytest.raises(
        catalog.CatalogError, match=r"loki 3\.7\.9 is not in .*hippius.monitoring.lock"
    ):
        pinned_releases.locked([STORE], Inventory(a={}, b=NEW), archives)


ORDERED = {"one.yml": ("amd64", "arm64"), "two.yml": ("amd64",)}


def test_reads_lock_files_in_order(tmp_path: Path) -> None:
    one, two = (
        {key: {"url": key + path, "sha256": SHA256} for key in keys}
        for path, keys in ORDERED.items()
    )
    files = [str(tmp_path / path) for path in ORDERED]
    for path, content in zip(files, (one, two), strict=True):
        Path(path).write_text(yaml.safe_dump({"loki": {"3.7.8": content}}))
    found = lock_files.archives(files, "loki", "3.7.8")
    assert {key: entry["url"] for key, entry in found.items()} == {
        "amd64": "amd64two.yml",
        "arm64": "arm64one.yml",
    }
    assert lock_files.archives(files, "loki", "9") == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("loki: [", "while parsing", id="no YAML"),
        pytest.param("loki: 1", "maps names to versions", id="no lock"),
        pytest.param(None, "No such file", id="no file"),
    ],
)
def test_names_a_lock_file_that_cannot_be_read(
    tmp_path: Path,
    content: str | None,
    words: str,
) -> None:
    path = tmp_path / "own.yml"
    if content:
        path.write_text(content)
    with pytest.raises(upstream_releases.ReleaseError, match=f"{path}: (?s:.*){words}"):
        lock_files.archives([str(path)], "loki", "3.7.8")


def test_a_bundle_has_the_architectures_that_are_asked_for() -> None:
    locked = {"loki": {"3.7.8": {**LOKI, **ARM}}}
    assert upstream_releases.chosen(locked, None) == locked
    assert upstream_releases.chosen(locked, ["arm64"]) == {"loki": {"3.7.8": ARM}}
    assert [
        entry["url"]
        for entry in upstream_releases.entries_of(
            upstream_releases.chosen(locked, ["arm64"])
        )
    ] == [ARM["arm64"]["url"]]
    with pytest.raises(
        upstream_releases.ReleaseError,
        match=r"loki 3\.7\.8 on riscv64: .*lock -e loki_version",
    ):
        upstream_releases.chosen(locked, ["amd64", "riscv64"])
