# SPDX-License-Identifier: GPL-3.0-or-later
"""Which releases an inventory asks for, and what is said of those that no lock file has."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils import upstream_releases
from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    catalog,
    lock_files,
    pinned_releases,
)

SHA256 = "1" * 64
LOKI = {"amd64": {"url": "https://releases.example/loki", "sha256": SHA256}}
ARM = {"arm64": {"url": "https://releases.example/loki-arm64", "sha256": SHA256}}
STORE = catalog.parse_component("loki", {"release": "loki", "group": "loki", "component": "loki"})


class Inventory(catalog.Inventory):
    """Hosts with variables, over one default."""

    def __init__(self, **hosts: dict) -> None:
        self.groups = {"loki": list(hosts)}
        self.known = hosts

    def variable(self, host: str, name: str) -> object:
        return {"monitoring_environment": "prod", **self.known[host]}.get(name)

    def role_variable(self, host: str, item: catalog.Component, name: str) -> object:
        return {"loki_version": "3.7.8", **self.known[host]}[name]


def archives(files: list, name: str, version: str) -> dict:
    """The default lock has one version, another file has a second one, for another architecture."""
    return {("loki", "3.7.8"): LOKI, ("loki", "3.7.9"): ARM if files == ["own.yml"] else {}}.get(
        (name, version), {}
    )


NEW, OWN = {"loki_version": "3.7.9"}, {"monitoring_releases_lock": "own.yml"}
DEV, ALLOW = {"monitoring_environment": "dev"}, {"monitoring_allow_unlocked": True}
IN_DEV_ONLY = "monitoring_allow_unlocked applies to the environment dev only"


@pytest.mark.parametrize(
    ("variables", "words", "not_said"),
    [
        pytest.param({}, [], "", id="locked"),
        pytest.param({**NEW, **OWN}, [], "", id="locked in a file of their own"),
        pytest.param(
            NEW,
            ["loki_version of a: release loki 3.7.9 is", "not in the collection's releases.lock.yml (monitoring_releases_lock)",
             "ansible-playbook hippius.monitoring.lock -e loki_version=3.7.9 to add it"],
            IN_DEV_ONLY, id="not locked",
        ),
        pytest.param({"loki_version": "4", "monitoring_releases_lock": ["x.yml", "own.yml"]},
                     ["not in x.yml, own.yml", "-e monitoring_lock_file=own.yml"], "", id="in no file of their own"),
        pytest.param({**NEW, **DEV}, ["3.7.9", "hippius.monitoring.lock"], IN_DEV_ONLY, id="not locked in dev"),
        pytest.param({**NEW, **DEV, **ALLOW}, [], "", id="allowed in dev"),
        pytest.param({**NEW, **DEV, "monitoring_allow_unlocked": "yes"}, [], "", id="allowed on the command line"),
        pytest.param({**NEW, **DEV, "monitoring_allow_unlocked": "false"}, ["3.7.9"], "", id="not allowed by a text"),
        pytest.param({**NEW, **ALLOW}, ["3.7.9", IN_DEV_ONLY], "", id="allowed in vain"),
        pytest.param({"loki_version": 3.8}, ["loki_version of a: release loki 3.8 is"], "", id="a number"),
    ],
)  # fmt: skip
def test_a_release_that_is_not_locked_is_told_by_variable_version_and_file(
    variables: dict, words: list, not_said: str
) -> None:
    found = pinned_releases.unlocked([STORE], Inventory(a=variables), ["a"], archives)
    assert len(found) == bool(words)
    for word in words:
        assert word in found[0]
    assert not (not_said and found and not_said in found[0])


@pytest.mark.parametrize("files", [5, {"own.yml": 1}, ["own.yml", 5]])
def test_lock_files_that_are_no_paths_are_refused_by_the_variables_name(files: object) -> None:
    with pytest.raises(
        catalog.CatalogError, match=r"^monitoring_releases_lock of a: must be the path"
    ):
        pinned_releases.unlocked(
            [STORE], Inventory(a={"monitoring_releases_lock": files}), ["a"], archives
        )


def test_hosts_that_ask_for_the_same_are_told_together() -> None:
    found = pinned_releases.unlocked(
        [STORE], Inventory(a=NEW, b={}, c=NEW, d={**NEW, **DEV, **ALLOW}), list("abcd"), archives
    )
    assert [problem.split(":")[0] for problem in found] == ["loki_version of a, c"]


def test_what_is_locked_is_told_for_all_that_hosts_ask_for() -> None:
    assert pinned_releases.locked([STORE], Inventory(a={}, b={**NEW, **OWN}), archives) == {
        "loki": {"3.7.8": LOKI, "3.7.9": ARM}
    }
    with pytest.raises(
        catalog.CatalogError, match=r"loki 3\.7\.9 is not in .*hippius.monitoring.lock"
    ):
        pinned_releases.locked([STORE], Inventory(a={}, b=NEW), archives)


ORDERED = {"one.yml": ("amd64", "arm64"), "two.yml": ("amd64",)}


def test_lock_files_are_read_in_order(tmp_path: Path) -> None:
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
def test_a_lock_file_that_cannot_be_read_is_named(
    tmp_path: Path, content: str | None, words: str
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
        for entry in upstream_releases.entries_of(upstream_releases.chosen(locked, ["arm64"]))
    ] == [ARM["arm64"]["url"]]
    with pytest.raises(
        upstream_releases.ReleaseError, match=r"loki 3\.7\.8 on riscv64: .*lock -e loki_version"
    ):
        upstream_releases.chosen(locked, ["amd64", "riscv64"])
