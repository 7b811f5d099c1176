# SPDX-License-Identifier: GPL-3.0-or-later
"""Loki and Tempo with a bucket: their settings, and what is refused before they move to it."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.roles.rendering import rendered, rollout

STORE = {
    "endpoint": "https://s3.example.net",
    "access_key": "id of a key",
    "secret_key": "never shown",
    "region": "eu-1",
    "buckets": {"loki": "logs", "tempo": "traces"},
}
PEM = "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"
DISK = {
    "from": "2024-01-01",
    "store": "tsdb",
    "object_store": "filesystem",
    "schema": "v13",
    "index": {"prefix": "index_", "period": "24h"},
}
MAIN = {"loki": "loki-config.yml", "tempo": "tempo.yaml"}


def options(role: str, **variables: Any) -> dict[str, Any]:
    return rollout(role, **{"monitoring_object_store": STORE, **variables})


def content(role: str, **variables: Any) -> dict[str, Any]:
    given = options(role, **variables)["config"]
    [found] = [item["content"] for item in given if item["path"] == MAIN[role]]
    return found


def test_loki_has_its_chunks_and_its_index_in_the_bucket() -> None:
    config = content("loki")
    assert config["storage_config"] == {
        "use_thanos_objstore": True,
        "object_store": {
            "s3": {
                "endpoint": "s3.example.net:443",
                "insecure": False,
                "region": "eu-1",
                "bucket_name": "logs",
                "bucket_lookup_type": "path",
            },
            "filesystem": {"dir": "/var/lib/loki/chunks"},
        },
    }
    assert config["schema_config"]["configs"] == [{**DISK, "object_store": "s3"}]
    assert config["compactor"]["delete_request_store"] == "s3"
    assert config["compactor"]["retention_enabled"] is True


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param(
            {"loki_object_store_from": "2026-12-01"},
            [DISK, {**DISK, "from": "2026-12-01", "object_store": "s3"}],
            id="a day",
        ),
        pytest.param(
            {"loki_schema_configs": [DISK, {**DISK, "from": "2026-01-01"}]},
            [
                {**DISK, "object_store": "s3"},
                {**DISK, "from": "2026-01-01", "object_store": "s3"},
            ],
            id="several periods",
        ),
        pytest.param(
            {
                "loki_schema_configs": [
                    DISK,
                    {**DISK, "from": "2026-06-01", "object_store": "s3"},
                ]
            },
            [DISK, {**DISK, "from": "2026-06-01", "object_store": "s3"}],
            id="periods of the user's own",
        ),
    ],
)
def test_the_periods_of_loki_say_where_its_logs_are(
    variables: dict[str, Any], expected: list[dict[str, Any]]
) -> None:
    assert content("loki", **variables)["schema_config"]["configs"] == expected


def test_tempo_has_its_blocks_in_the_bucket_and_its_log_on_the_disk() -> None:
    trace = content("tempo")["storage"]["trace"]
    assert (trace["backend"], trace["wal"]) == ("s3", {"path": "/var/lib/tempo/wal"})
    assert trace["s3"] == {
        "endpoint": "s3.example.net:443",
        "insecure": False,
        "region": "eu-1",
        "bucket": "traces",
        "forcepathstyle": True,
    }


@pytest.mark.parametrize("role", MAIN)
def test_the_keys_of_the_store_are_in_the_secret_environment_only(role: str) -> None:
    given = options(role, **{f"{role}_environment": {"OWN": "too"}})
    secrets = given.pop("secrets")
    assert secrets["environment"].splitlines() == [
        'AWS_ACCESS_KEY_ID="id of a key"',
        'AWS_SECRET_ACCESS_KEY="never shown"',
        'OWN="too"',
    ]
    assert given["unit"]["Service"]["EnvironmentFile"] == "{etc}/environment"
    assert "never shown" not in str(given)
    assert "id of a key" not in str(given)


@pytest.mark.parametrize("role", MAIN)
def test_the_authority_of_the_store_is_a_file(role: str) -> None:
    given = options(role, monitoring_object_store={**STORE, "ca": PEM})
    [found] = [item for item in given["config"] if "store" in item["path"]]
    assert (found["content"], found["on_change"]) == (PEM, "restart")
    path = f"/etc/{role}/{found['path']}"
    assert path in str(given["secrets" if role == "tempo" else "config"])


@pytest.mark.parametrize(("role", "other"), [("loki", "tempo"), ("tempo", "loki")])
def test_without_a_bucket_nothing_changes(role: str, other: str) -> None:
    store_of_another = {**STORE, "buckets": {other: "other"}}
    for store in ({}, store_of_another):
        assert rollout(role, monitoring_object_store=store) == rollout(role)


@pytest.mark.parametrize("role", MAIN)
def test_a_file_of_the_users_own_gets_no_keys(role: str) -> None:
    given = options(role, **{f"{role}_config_file": "own.yml"})
    assert "never shown" not in str(given)


def day(days: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days)).isoformat()


class Host:
    """A directory in place of the host's, in which the check of a rollout runs."""

    def __init__(self, folder: Path, role: str) -> None:
        self.folder, self.role = folder, role
        self.data, self.etc = folder / "data", folder / "current/etc"

    def has_data(self) -> None:
        path = (
            self.data
            / {"loki": "chunks/fake/x/y", "tempo": "blocks/a/b/meta.json"}[self.role]
        )
        path.parent.mkdir(parents=True)
        path.touch()

    def runs(self, config: Any) -> None:
        self.etc.mkdir(parents=True)
        text = yaml.safe_dump(config, sort_keys=False)
        (self.etc / MAIN[self.role]).write_text(text)

    def refusal(self, **variables: Any) -> str:
        """Return what the check prints before it fails, empty if it succeeds."""
        check = options(self.role, **variables)["check"]
        shell, flags, script = check
        for old, new in {
            "{data}": str(self.data),
            "{release}/loki": "/bin/true",
            "{release}/tempo": "/bin/true",
            f"/opt/monitoring/components/{self.role}/current/etc": str(self.etc),
        }.items():
            script = script.replace(old, new)
        done = subprocess.run(
            [shell, flags, script], capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) == bool(done.stdout)
        return done.stdout


@pytest.mark.parametrize(
    ("has_data", "current", "begins", "refused"),
    [
        pytest.param(False, None, "", False, id="a first rollout"),
        pytest.param(False, None, day(-30), False, id="a host that joins later"),
        pytest.param(True, "", "", True, id="logs on the disk"),
        pytest.param(True, "", day(1), False, id="from tomorrow on"),
        pytest.param(True, "", day(0), True, id="from today on, which has begun"),
        pytest.param(True, "", day(-3), True, id="a day in the past"),
        pytest.param(True, day(-3), day(-3), False, id="that day has come"),
        pytest.param(True, day(-3), day(-9), True, id="another day than before"),
        pytest.param(True, day(-3), "", True, id="no day any more"),
    ],
)
def test_loki_does_not_lose_sight_of_what_is_on_its_disk(
    tmp_path: Path, has_data: bool, current: str | None, begins: str, refused: bool
) -> None:
    host = Host(tmp_path, "loki")
    if has_data:
        host.has_data()
    if current is not None:
        config = content("loki", loki_object_store_from=current)
        host.runs(config if current else {"schema_config": {"configs": [DISK]}})
    message = host.refusal(loki_object_store_from=begins)
    assert bool(message) == refused
    assert not refused or "set loki_object_store_from to a day in the future" in message


def test_periods_of_the_users_own_are_not_judged(tmp_path: Path) -> None:
    host = Host(tmp_path, "loki")
    host.has_data()
    own = [DISK, {**DISK, "from": "2026-06-01", "object_store": "s3"}]
    assert host.refusal(loki_schema_configs=own) == ""


@pytest.mark.parametrize(
    ("has_data", "backend", "refused"),
    [
        pytest.param(False, None, False, id="a first rollout"),
        pytest.param(False, "local", False, id="nothing on the disk"),
        pytest.param(True, "local", True, id="traces on the disk"),
        pytest.param(True, "s3", False, id="it reads the bucket already"),
    ],
)
def test_tempo_does_not_lose_sight_of_what_is_on_its_disk(
    tmp_path: Path, has_data: bool, backend: str | None, refused: bool
) -> None:
    host = Host(tmp_path, "tempo")
    if has_data:
        host.has_data()
    if backend:
        host.runs({"storage": {"trace": {"backend": backend}}})
    message = host.refusal()
    assert bool(message) == refused
    assert not refused or "copy them to the bucket traces" in message


def test_traces_that_were_copied_are_accepted() -> None:
    given = options("tempo", tempo_accept_object_store=True)
    assert given["check"] == rollout("tempo")["check"]
    assert rendered("tempo", "__tempo_config")["storage"]["trace"]["backend"] == "local"
