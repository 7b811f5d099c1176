# SPDX-License-Identifier: GPL-3.0-or-later
"""Where releases are published, and what a lock says of them."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils import upstream_releases
from ansible_collections.hippius.monitoring.plugins.module_utils.upstream_releases import (
    ReleaseError,
)
from tests.testbed.releases import recipe as recipes

ROOT = Path(__file__).parents[3]
LOCK = yaml.safe_load((ROOT / "releases.lock.yml").read_text(encoding="utf-8"))
ONE, TWO, THREE = ("1" * 64, "a" * 64, "f" * 64)


PROMU = "sha256sums.txt"
OTEL = "opentelemetry-collector-releases"


@pytest.mark.parametrize(
    ("name", "version", "folder", "file", "checksums"),
    [
        ("prometheus", "3.13.4", "prometheus/prometheus", "prometheus-3.13.4.linux-arm64.tar.gz", [PROMU]),
        ("alertmanager", "0.34.1", "prometheus/alertmanager", "alertmanager-0.34.1.linux-arm64.tar.gz", [PROMU]),
        ("node_exporter", "1.12.1", "prometheus/node_exporter", "node_exporter-1.12.1.linux-arm64.tar.gz", [PROMU]),
        ("postgres_exporter", "0.20.1", "prometheus-community/postgres_exporter",
         "postgres_exporter-0.20.1.linux-arm64.tar.gz", [PROMU]),
        ("redis_exporter", "1.86.0", "oliver006/redis_exporter", "redis_exporter-v1.86.0.linux-arm64.tar.gz", [PROMU]),
        ("loki", "3.7.8", "grafana/loki", "loki-linux-arm64.zip", ["SHA256SUMS"]),
        ("promtail", "3.6.7", "grafana/loki", "promtail-linux-arm64.zip", ["SHA256SUMS"]),
        ("tempo", "2.10.7", "grafana/tempo", "tempo_2.10.7_linux_arm64.tar.gz", ["SHA256SUMS"]),
        ("otel_collector", "0.158.0", f"open-telemetry/{OTEL}", "otelcol-contrib_0.158.0_linux_arm64.tar.gz",
         [f"{OTEL}_otelcol-contrib_checksums.txt", "otelcol-contrib_0.158.0_linux_arm64.tar.gz.sha256"]),
    ],
    ids=lambda value: value if isinstance(value, str) and value in upstream_releases.SOURCES else "",
)  # fmt: skip
def test_a_release_is_published_at(
    name: str, version: str, folder: str, file: str, checksums: list
) -> None:
    directory = f"https://github.com/{folder}/releases/download/v{version}"
    assert upstream_releases.archive_url(name, version, "arm64") == f"{directory}/{file}"
    assert upstream_releases.checksum_urls(name, f"{directory}/{file}") == [
        f"{directory}/{item}" for item in checksums
    ]


def test_grafana_is_published_by_its_build() -> None:
    archive = upstream_releases.archive_url("grafana", "13.0.1+security-01", "arm64", "77")
    version = "13.0.1%2Bsecurity-01"
    assert (
        archive
        == f"https://dl.grafana.com/grafana/release/{version}/grafana_{version}_77_linux_arm64.tar.gz"
    )
    assert upstream_releases.checksum_urls("grafana", archive) == [archive + ".sha256"]


@pytest.mark.parametrize("recipe", recipes.read_all().values(), ids=lambda recipe: recipe.name)
def test_the_bed_s_archives_stand_where_upstream_s_would(recipe: recipes.Recipe) -> None:
    archive = upstream_releases.archive_url(recipe.name, recipe.version, "amd64", recipe.build)
    assert archive == recipe.archive
    assert f"{archive.rpartition('/')[0]}/{recipe.checksums}" in upstream_releases.checksum_urls(
        recipe.name, archive
    )


def test_what_cannot_be_addressed_is_told() -> None:
    with pytest.raises(ReleaseError, match="'alloy' is not known; there are alertmanager, grafana"):
        upstream_releases.archive_url("alloy", "1", "amd64")
    with pytest.raises(ReleaseError, match=r"grafana 13\.2\.3: the number of the build"):
        upstream_releases.archive_url("grafana", "13.2.3", "amd64")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"{ONE}  a.zip\n{TWO}  b.zip\n", TWO, id="lines of sha256sum"),
        pytest.param(f"{TWO} *b.zip\r\n", TWO, id="binary mode and other line ends"),
        pytest.param(f"{TWO}  ./dist/b.zip\n", TWO, id="with a path"),
        pytest.param(f"{TWO.upper()}\tb.zip", TWO, id="capitals, a tabulator, no line end"),
        pytest.param(TWO, TWO, id="a checksum alone"),
        pytest.param(f"\n{TWO}\n", TWO, id="a checksum alone in a line"),
        pytest.param(f"{TWO}  b.zip\n{TWO}  b.zip\n", TWO, id="the same twice"),
        pytest.param(f"{ONE}  bb.zip\n{ONE}  b.zip.sig\n{ONE}  b.zi\n", "", id="other names"),
        pytest.param(f"{ONE}\n{TWO}\n", "", id="two checksums without names"),
        pytest.param(f"{TWO}0  b.zip", "", id="too long for a checksum"),
        pytest.param(
            "d41d8cd98f00b204e9800998ecf8427e  b.zip", "", id="a checksum of another kind"
        ),
        pytest.param("<!DOCTYPE html><html>b.zip</html>", "", id="a page"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_a_checksum_file_is_read(text: str, expected: str) -> None:
    assert upstream_releases.checksum_in(text, "b.zip") == expected


def test_two_checksums_for_one_file_are_none() -> None:
    with pytest.raises(ReleaseError, match=r"b\.zip is listed with 2 checksums"):
        upstream_releases.checksum_in(f"{ONE}  b.zip\n{TWO}  b.zip\n", "b.zip")


def test_entries_hold_published_addresses_and_leave_out_what_is_not_published() -> None:
    text = f"{ONE}  loki-linux-amd64.zip\n{THREE}  logcli-linux-arm64.zip\n"
    assert upstream_releases.lock_entries(
        "loki", "3.7.8", "", {"amd64": text, "arm64": text}, []
    ) == {
        "amd64": {
            "url": "https://github.com/grafana/loki/releases/download/v3.7.8/loki-linux-amd64.zip",
            "sha256": ONE,
        }
    }
    with pytest.raises(
        ReleaseError,
        match=r"loki 3\.7\.9: no checksum is published for amd64, arm64 \(x: HTTP 404\)\.",
    ):
        upstream_releases.lock_entries(
            "loki", "3.7.9", "", {"amd64": "", "arm64": text}, ["x: HTTP 404", "x: HTTP 404"]
        )


def entry(checksum: str) -> dict:
    return {"url": "u", "sha256": checksum}


BEFORE = {
    "loki": {"3.7.8": {"arm64": entry(ONE)}, "3.10.0": {"amd64": entry(ONE)}},
    "grafana": {"13.2.3": {"amd64": entry(ONE)}},
}


def test_entries_are_merged_in_order_and_nothing_else_changes() -> None:
    before = deepcopy(BEFORE)
    after = upstream_releases.merged(before, "loki", "3.7.8", {"amd64": entry(TWO)})
    after = upstream_releases.merged(after, "loki", "3.9.0", {"amd64": entry(THREE)})
    assert before == BEFORE
    assert list(after) == ["grafana", "loki"]
    assert list(after["loki"]) == ["3.7.8", "3.9.0", "3.10.0"]
    assert after["loki"]["3.7.8"] == {"amd64": entry(TWO), "arm64": entry(ONE)}
    assert after["grafana"] == BEFORE["grafana"]
    assert list(after["loki"]["3.7.8"]) == ["amd64", "arm64"]
    assert upstream_releases.merged(after, "loki", "3.9.0", {"amd64": entry(THREE)}) == after


def test_versions_are_found_and_kept_as_text() -> None:
    before = {"tempo": {2.1: {"amd64": entry(ONE)}}}
    assert upstream_releases.archives(before, "tempo", "2.1") == {"amd64": entry(ONE)}
    assert list(
        upstream_releases.merged(before, "tempo", "2.1.0-rc.1", {"amd64": entry(ONE)})["tempo"]
    ) == ["2.1", "2.1.0-rc.1"]
    assert (
        upstream_releases.archives({}, "tempo", "2.1")
        == upstream_releases.archives({"tempo": None}, "tempo", "2.1")
        == {}
    )


def test_a_checksum_that_changed_is_a_conflict() -> None:
    assert (
        upstream_releases.conflicts(
            BEFORE, "loki", "3.7.8", {"arm64": entry(ONE), "amd64": entry(TWO)}
        )
        == []
    )
    assert upstream_releases.conflicts(BEFORE, "loki", "3.7.8", {"arm64": entry(TWO)}) == [
        f"loki 3.7.8 on arm64 is locked with {ONE}, and {TWO} is published now"
    ]


@pytest.mark.parametrize(
    ("mirrors", "expected"),
    [
        ([], ["https://a.b/c/d.zip"]),
        (["http://m:1/"], ["http://m:1/a.b/c/d.zip"]),
        (["http://m/x", "upstream"], ["http://m/x/a.b/c/d.zip", "https://a.b/c/d.zip"]),
    ],
)
def test_mirrors_stand_in_front_of_the_published_address(mirrors: list, expected: list) -> None:
    assert upstream_releases.mirrored("https://a.b/c/d.zip", mirrors) == expected


@pytest.mark.parametrize("name", upstream_releases.SOURCES)
def test_every_release_is_locked_to_published_addresses(name: str) -> None:
    assert LOCK[name]
    for version, locked in LOCK[name].items():
        assert isinstance(version, str)
        assert "amd64" in locked
        for architecture, archive in locked.items():
            assert archive.keys() == {"url", "sha256"}
            assert re.fullmatch("[0-9a-f]{64}", archive["sha256"])
            build = re.search(r"_(\d+)_linux_", archive["url"])
            assert archive["url"] == upstream_releases.archive_url(
                name, version, architecture, build.group(1) if build else ""
            )


def test_no_two_archives_have_one_checksum() -> None:
    checksums = [
        archive["sha256"]
        for versions in LOCK.values()
        for locked in versions.values()
        for archive in locked.values()
    ]
    assert len(set(checksums)) == len(checksums) >= 19


@pytest.mark.parametrize(
    "facts", sorted(ROOT.glob("roles/*/meta/component.yml")), ids=lambda path: path.parts[-3]
)
def test_the_version_that_a_role_has_by_default_is_locked(facts: Path) -> None:
    role = facts.parents[1]
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text(encoding="utf-8"))
    release = yaml.safe_load(facts.read_text(encoding="utf-8"))["release"]
    assert upstream_releases.archives(LOCK, release, defaults[f"{role.name}_version"])


@pytest.mark.parametrize(
    ("lock", "told"),
    [
        pytest.param([1], "maps names to versions", id="a list"),
        pytest.param({"loki": "3.7.8"}, "maps names to versions", id="a version without archives"),
        pytest.param(
            {"loki": {"3.7.8": ["amd64"]}},
            "every architecture needs url and sha256",
            id="no architectures",
        ),
        pytest.param(
            {"loki": {"3.7.8": {"amd64": {"url": "https://a/b"}}}},
            "on amd64 needs url",
            id="no checksum",
        ),
        pytest.param(
            {"loki": {"3.7.8": {"amd64": {"url": "https://a/b", "sha256": "12"}}}},
            "64 hex digits",
            id="a short checksum",
        ),
    ],
)
def test_a_lock_that_is_none_is_refused_naming_what_is_wrong(lock: object, told: str) -> None:
    with pytest.raises(ReleaseError, match=told):
        upstream_releases.archives(lock, "loki", "3.7.8")


def test_a_checksum_in_capitals_is_taken() -> None:
    lock = {"loki": {"3.7.8": {"amd64": {"url": "https://a/b", "sha256": TWO.upper()}}}}
    assert upstream_releases.archives(lock, "loki", "3.7.8") == {
        "amd64": {"url": "https://a/b", "sha256": TWO}
    }
