# SPDX-License-Identifier: GPL-3.0-or-later
"""URLs of published releases, and the content of release locks."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils import (
    upstream_releases,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.upstream_releases import (
    ReleaseError,
)
from tests.testbed.releases import recipe as recipes

ROOT = Path(__file__).parents[3]
LOCK = yaml.safe_load((ROOT / "releases.lock.yml").read_text(encoding="utf-8"))
ONE, TWO, THREE = ("1" * 64, "a" * 64, "f" * 64)

PROMU = "sha256sums.txt"
PROMU_FILE = "{name}-{version}.linux-arm64.tar.gz"
OTEL = "opentelemetry-collector-releases"


# Repository of each release, and how its archive and checksums are named there.
PUBLISHED = [
    ("prometheus", "3.13.4", "prometheus/prometheus", PROMU_FILE, [PROMU]),
    ("alertmanager", "0.34.1", "prometheus/alertmanager", PROMU_FILE, [PROMU]),
    ("node_exporter", "1.12.1", "prometheus/node_exporter", PROMU_FILE, [PROMU]),
    (
        "postgres_exporter",
        "0.20.1",
        "prometheus-community/postgres_exporter",
        PROMU_FILE,
        [PROMU],
    ),
    (
        "redis_exporter",
        "1.86.0",
        "oliver006/redis_exporter",
        "redis_exporter-v1.86.0.linux-arm64.tar.gz",
        [PROMU],
    ),
    ("loki", "3.7.8", "grafana/loki", "loki-linux-arm64.zip", ["SHA256SUMS"]),
    ("promtail", "3.6.7", "grafana/loki", "promtail-linux-arm64.zip", ["SHA256SUMS"]),
    (
        "tempo",
        "2.10.7",
        "grafana/tempo",
        "tempo_2.10.7_linux_arm64.tar.gz",
        ["SHA256SUMS"],
    ),
    (
        "otel_collector",
        "0.158.0",
        f"open-telemetry/{OTEL}",
        "otelcol-contrib_0.158.0_linux_arm64.tar.gz",
        [
            f"{OTEL}_otelcol-contrib_checksums.txt",
            "otelcol-contrib_0.158.0_linux_arm64.tar.gz.sha256",
        ],
    ),
]


@pytest.mark.parametrize(
    ("name", "version", "folder", "file", "checksums"),
    PUBLISHED,
    ids=[row[0] for row in PUBLISHED],
)
def test_a_release_is_published_at_its_url(
    name: str, version: str, folder: str, file: str, checksums: list[str]
) -> None:
    directory = f"https://github.com/{folder}/releases/download/v{version}"
    file = file.format(name=name, version=version)
    assert (
        upstream_releases.archive_url(name, version, "arm64") == f"{directory}/{file}"
    )
    assert upstream_releases.checksum_urls(name, f"{directory}/{file}") == [
        f"{directory}/{checksum}" for checksum in checksums
    ]


def test_grafana_is_published_with_its_build_number() -> None:
    archive = upstream_releases.archive_url(
        "grafana", "13.0.1+security-01", "arm64", "77"
    )
    version = "13.0.1%2Bsecurity-01"
    folder = f"https://dl.grafana.com/grafana/release/{version}"
    assert archive == f"{folder}/grafana_{version}_77_linux_arm64.tar.gz"
    assert upstream_releases.checksum_urls("grafana", archive) == [archive + ".sha256"]


@pytest.mark.parametrize(
    "recipe", recipes.read_all().values(), ids=lambda recipe: recipe.name
)
def test_the_archives_of_the_testbed_have_upstream_s_urls(
    recipe: recipes.Recipe,
) -> None:
    archive = upstream_releases.archive_url(
        recipe.name, recipe.version, "amd64", recipe.build
    )
    assert archive == recipe.archive
    checksum_url = f"{archive.rpartition('/')[0]}/{recipe.checksums}"
    assert checksum_url in upstream_releases.checksum_urls(recipe.name, archive)


def test_an_incomplete_or_unknown_release_is_refused() -> None:
    with pytest.raises(
        ReleaseError, match="'alloy': unknown; use one of alertmanager, grafana"
    ):
        upstream_releases.archive_url("alloy", "1", "amd64")
    with pytest.raises(ReleaseError, match=r"grafana 13\.2\.3: .* set build"):
        upstream_releases.archive_url("grafana", "13.2.3", "amd64")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(f"{ONE}  a.zip\n{TWO}  b.zip\n", TWO, id="lines of sha256sum"),
        pytest.param(f"{TWO} *b.zip\r\n", TWO, id="binary mode and CRLF"),
        pytest.param(f"{TWO}  ./dist/b.zip\n", TWO, id="with a path"),
        pytest.param(f"{TWO.upper()}\tb.zip", TWO, id="upper case, a tab, no newline"),
        pytest.param(TWO, TWO, id="a checksum alone"),
        pytest.param(f"\n{TWO}\n", TWO, id="a checksum alone on a line"),
        pytest.param(f"{TWO}  b.zip\n{TWO}  b.zip\n", TWO, id="the same line twice"),
        pytest.param(
            f"{ONE}  bb.zip\n{ONE}  b.zip.sig\n{ONE}  b.zi\n", None, id="other names"
        ),
        pytest.param(f"{ONE}\n{TWO}\n", None, id="two checksums without names"),
        pytest.param(f"{TWO}0  b.zip", None, id="too long for a checksum"),
        pytest.param(
            "d41d8cd98f00b204e9800998ecf8427e  b.zip",
            None,
            id="a checksum of another kind",
        ),
        pytest.param("<!DOCTYPE html><html>b.zip</html>", None, id="an HTML page"),
        pytest.param("", None, id="an empty file"),
    ],
)
def test_a_checksum_is_read_from_its_file(content: str, expected: str | None) -> None:
    assert upstream_releases.checksum_in(content, "b.zip") == expected


def test_two_checksums_for_one_file_are_refused() -> None:
    with pytest.raises(ReleaseError, match=r"b\.zip: it is listed with 2 checksums"):
        upstream_releases.checksum_in(f"{ONE}  b.zip\n{TWO}  b.zip\n", "b.zip")


LIST = f"{ONE}  loki-linux-amd64.zip\n{THREE}  logcli-linux-arm64.zip\n"


def test_lock_entries_have_published_urls_of_published_archives_only() -> None:
    contents = {"amd64": LIST, "arm64": LIST}
    entries = upstream_releases.lock_entries("loki", "3.7.8", "", contents, [])
    url = (
        "https://github.com/grafana/loki/releases/download/v3.7.8/loki-linux-amd64.zip"
    )
    assert entries == {"amd64": {"url": url, "sha256": ONE}}


def test_a_release_without_any_checksum_is_refused_with_the_failures() -> None:
    failures = ["x: HTTP 404", "x: HTTP 404"]
    message = (
        r"loki 3\.7\.9: no checksum is published for amd64, arm64 \(x: HTTP 404\)\."
    )
    contents = {"amd64": None, "arm64": LIST}
    with pytest.raises(ReleaseError, match=message):
        upstream_releases.lock_entries("loki", "3.7.9", "", contents, failures)


def entry(checksum: str) -> dict:
    return {"url": "u", "sha256": checksum}


BEFORE = {
    "loki": {"3.7.8": {"arm64": entry(ONE)}, "3.10.0": {"amd64": entry(ONE)}},
    "grafana": {"13.2.3": {"amd64": entry(ONE)}},
}


def test_entries_are_merged_in_order_without_other_changes() -> None:
    before = deepcopy(BEFORE)
    after = upstream_releases.merged(before, "loki", "3.7.8", {"amd64": entry(TWO)})
    after = upstream_releases.merged(after, "loki", "3.9.0", {"amd64": entry(THREE)})
    assert before == BEFORE
    assert list(after) == ["grafana", "loki"]
    assert list(after["loki"]) == ["3.7.8", "3.9.0", "3.10.0"]
    assert after["loki"]["3.7.8"] == {"amd64": entry(TWO), "arm64": entry(ONE)}
    assert after["grafana"] == BEFORE["grafana"]
    assert list(after["loki"]["3.7.8"]) == ["amd64", "arm64"]
    assert (
        upstream_releases.merged(after, "loki", "3.9.0", {"amd64": entry(THREE)})
        == after
    )


def test_a_version_that_is_a_float_is_kept_as_a_string() -> None:
    before = {"tempo": {2.1: {"amd64": entry(ONE)}}}
    assert upstream_releases.archives(before, "tempo", "2.1") == {"amd64": entry(ONE)}
    after = upstream_releases.merged(
        before, "tempo", "2.1.0-rc.1", {"amd64": entry(ONE)}
    )
    assert list(after["tempo"]) == ["2.1", "2.1.0-rc.1"]


def test_a_release_that_is_not_locked_has_no_archives() -> None:
    for lock in ({}, {"tempo": None}):
        assert upstream_releases.archives(lock, "tempo", "2.1") == {}


def test_a_checksum_that_changed_is_a_conflict() -> None:
    added = {"arm64": entry(ONE), "amd64": entry(TWO)}
    assert upstream_releases.conflicts(BEFORE, "loki", "3.7.8", added) == []
    assert upstream_releases.conflicts(
        BEFORE, "loki", "3.7.8", {"arm64": entry(TWO)}
    ) == [f"loki 3.7.8 on arm64: it is locked with {ONE}, and {TWO} is published now"]


@pytest.mark.parametrize(
    ("mirrors", "expected"),
    [
        ([], ["https://a.b/c/d.zip"]),
        (["http://m:1/"], ["http://m:1/a.b/c/d.zip"]),
        (["http://m/x", "upstream"], ["http://m/x/a.b/c/d.zip", "https://a.b/c/d.zip"]),
    ],
)
def test_mirrors_precede_the_path_of_the_published_url(
    mirrors: list[str], expected: list[str]
) -> None:
    assert upstream_releases.mirrored("https://a.b/c/d.zip", mirrors) == expected


@pytest.mark.parametrize("name", upstream_releases.SOURCES)
def test_every_release_is_locked_to_published_urls(name: str) -> None:
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


def test_no_two_archives_have_the_same_checksum() -> None:
    checksums = [
        archive["sha256"]
        for versions in LOCK.values()
        for locked in versions.values()
        for archive in locked.values()
    ]
    assert len(set(checksums)) == len(checksums) >= 19


@pytest.mark.parametrize(
    "facts",
    sorted(ROOT.glob("roles/*/meta/component.yml")),
    ids=lambda path: path.parts[-3],
)
def test_the_default_version_of_a_role_is_locked(facts: Path) -> None:
    role = facts.parents[1]
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text(encoding="utf-8"))
    release = yaml.safe_load(facts.read_text(encoding="utf-8"))["release"]
    assert upstream_releases.archives(LOCK, release, defaults[f"{role.name}_version"])


@pytest.mark.parametrize(
    ("lock", "message"),
    [
        pytest.param([1], "maps names to versions", id="a list"),
        pytest.param(
            {"loki": "3.7.8"}, "maps names to versions", id="a version without archives"
        ),
        pytest.param(
            {"loki": {"3.7.8": ["amd64"]}},
            "every architecture: invalid release lock; url and sha256",
            id="no architectures",
        ),
        pytest.param(
            {"loki": {"3.7.8": {"amd64": {"url": "https://a/b"}}}},
            "on amd64: invalid release lock; url",
            id="no checksum",
        ),
        pytest.param(
            {"loki": {"3.7.8": {"amd64": {"url": "https://a/b", "sha256": "12"}}}},
            "64 hex digits",
            id="a short checksum",
        ),
    ],
)
def test_an_invalid_lock_is_refused_with_the_reason(lock: object, message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        upstream_releases.archives(lock, "loki", "3.7.8")


def test_a_checksum_in_upper_case_is_accepted() -> None:
    lock = {"loki": {"3.7.8": {"amd64": {"url": "https://a/b", "sha256": TWO.upper()}}}}
    assert upstream_releases.archives(lock, "loki", "3.7.8") == {
        "amd64": {"url": "https://a/b", "sha256": TWO}
    }


@pytest.mark.parametrize("size", [0, -1, "77", True, 7.5, None, [7]])
def test_a_size_that_is_no_number_of_bytes_is_refused(size: object) -> None:
    lock = {"loki": {"1": {"amd64": {"url": "u", "sha256": ONE, "size": size}}}}
    with pytest.raises(ReleaseError, match=r"loki 1 on amd64: .* size, if it is there"):
        upstream_releases.archives(lock, "loki", "1")


def test_a_size_is_read_from_a_lock() -> None:
    entry = {"url": "u", "sha256": ONE, "size": 77}
    lock = {"loki": {"1": {"amd64": entry}}}
    assert upstream_releases.archives(lock, "loki", "1") == {"amd64": entry}
