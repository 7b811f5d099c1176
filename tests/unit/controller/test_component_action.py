# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugin of the component module adds on the controller."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.action import component
from ansible_collections.hippius.monitoring.plugins.action.component import ActionModule
from ansible_collections.hippius.monitoring.plugins.plugin_utils import component_calls

NETWORKS = ["172.30.0.0/24"]


@pytest.fixture
def action() -> ActionModule:
    """Return a plugin whose templating changes nothing."""
    plugin = ActionModule.__new__(ActionModule)
    plugin._templar = SimpleNamespace(template=lambda value: value)
    return plugin


@pytest.mark.parametrize(
    ("variables", "exposure"),
    [
        pytest.param({}, None, id="no environment"),
        pytest.param({"monitoring_environment": "dev"}, None, id="dev"),
        pytest.param(
            {"monitoring_environment": "prod"},
            {"networks": [], "addresses": []},
            id="prod",
        ),
        pytest.param(
            {
                "monitoring_environment": "staging",
                "monitoring_plaintext_networks": "172.30.0.0/24",
                "monitoring_open_addresses": ["0.0.0.0:1514"],
            },
            {"networks": NETWORKS, "addresses": ["0.0.0.0:1514"]},
            id="networks and addresses",
        ),
    ],
)
def test_programs_are_limited_to_what_the_inventory_allows_outside_of_dev(
    action: ActionModule, variables: dict[str, Any], exposure: dict[str, Any] | None
) -> None:
    assert action._exposure(variables) == exposure


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({}, False, id="nobody said anything"),
        pytest.param({"monitoring_without_peers": "true"}, True, id="on request"),
        pytest.param({"monitoring_without_peers": True}, True, id="in the inventory"),
    ],
)
def test_a_run_may_do_without_the_other_hosts_of_a_group(
    action: ActionModule,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, Any],
    expected: object,
) -> None:
    asked: list[Any] = []

    def run(_action: Any, options: dict[str, Any], *_more: Any) -> dict[str, Any]:
        asked.append(options["without_peers"])
        return {"changed": False}

    action._task = SimpleNamespace(
        args={"name": "loki", "state": "previous"}, delegate_to=None
    )
    monkeypatch.setattr(component.ActionBase, "run", lambda *_arguments: {})
    monkeypatch.setattr(component, "run_component", run)
    action.run(None, variables)
    assert asked == [expected]


def test_archives_have_the_checksum_and_the_size_of_the_lock(
    action: ActionModule, tmp_path: Path
) -> None:
    entries = {"amd64": {"url": "https://up.example/loki.zip", "sha256": "1" * 64}}
    entries["arm64"] = {**entries["amd64"], "size": 77}
    lock = tmp_path / "lock.yml"
    lock.write_text(yaml.safe_dump({"loki": {"3.7.8": entries}}))
    release: dict[str, Any] = {"name": "loki", "version": "3.7.8"}
    variables = {
        "monitoring_releases_lock": str(lock),
        "monitoring_mirrors": ["http://m"],
    }
    action._add_archives(release, variables)
    urls = ["http://m/up.example/loki.zip"]
    assert release["archives"] == {
        "amd64": {"urls": urls, "sha256": "1" * 64},
        "arm64": {"urls": urls, "sha256": "1" * 64, "size": 77},
    }


LOCKED = {"url": "https://up.example/loki.zip", "sha256": "1" * 64}


@pytest.mark.parametrize(
    ("there", "mirrors", "expected", "pushable"),
    [
        pytest.param(
            True,
            [],
            {"urls": ["https://up.example/loki.zip"]},
            ["amd64"],
            id="the archive is there",
        ),
        pytest.param(
            False,
            ["http://m"],
            {"urls": ["http://m/up.example/loki.zip"]},
            [],
            id="a mirror has what the directory lacks",
        ),
        pytest.param(False, [], {"urls": []}, [], id="nothing is downloaded"),
    ],
)
def test_a_directory_of_archives_comes_before_mirrors(
    action: ActionModule,
    tmp_path: Path,
    there: bool,
    mirrors: list[str],
    expected: dict[str, Any],
    pushable: list[str],
) -> None:
    lock = tmp_path / "lock.yml"
    lock.write_text(yaml.safe_dump({"loki": {"3.7.8": {"amd64": LOCKED}}}))
    archive = tmp_path / "archives/up.example/loki.zip"
    archive.parent.mkdir(parents=True)
    if there:
        archive.touch()
    release: dict[str, Any] = {"name": "loki", "version": "3.7.8"}
    variables = {
        "monitoring_releases_lock": str(lock),
        "monitoring_mirrors": mirrors,
        "monitoring_archives_dir": str(tmp_path / "archives"),
    }
    action._add_archives(release, variables)
    found = release["archives"]["amd64"]
    assert found.pop("missing", "") == ("" if there or mirrors else str(archive))
    assert found == {"sha256": "1" * 64, **expected}
    assert release["pushable"] == pushable


@pytest.mark.parametrize("fails", [False, True])
def test_a_pushed_archive_is_removed_from_the_host(
    action: ActionModule, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    calls: list[Any] = []

    def run(_action: Any, options: dict[str, Any], *_more: Any) -> Any:
        calls.append(("run", options["release"]["pushed"]))
        if fails:
            raise RuntimeError("the connection is cut")
        return {"changed": True}

    join = SimpleNamespace(join_path=lambda *parts: "/".join(parts))
    action._connection = SimpleNamespace(_shell=join)
    for name, replacement in {
        "_make_tmp_path": lambda: "/tmp/own",
        "_transfer_file": lambda *paths: calls.append(("copy", *paths)),
        "_fixup_perms2": lambda paths: calls.append(("open", *paths)),
        "_show": lambda *_words: None,
        "_remove_tmp_path": lambda path: calls.append(("remove", path)),
    }.items():
        monkeypatch.setattr(action, name, replacement, raising=False)
    monkeypatch.setattr(component, "run_component", run)
    given = {"release": {"name": "loki", "version": "3.7.8"}}
    if fails:
        with pytest.raises(RuntimeError):
            action._push(given, {}, "/archives/loki.zip")
    else:
        assert action._push(given, {}, "/archives/loki.zip") == {"changed": True}
    assert calls == [
        ("copy", "/archives/loki.zip", "/tmp/own/archive"),
        ("open", "/tmp/own", "/tmp/own/archive"),
        ("run", "/tmp/own/archive"),
        ("remove", "/tmp/own"),
    ]
    assert "pushed" not in given["release"]


def test_a_release_that_is_gone_again_after_staging_is_no_success(
    action: ActionModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    required = {"architecture": "amd64", "name": "loki", "program": "loki"}
    calls: list[str] = []

    def run(_action: Any, _args: Any, _variables: Any, module: str = "") -> Any:
        calls.append(module)
        staged = module == "release_stage"
        return {"changed": staged, "release_required": {} if staged else required}

    monkeypatch.setattr(component, "run_component", run)
    monkeypatch.setattr(action, "_show", lambda *_words: None)
    action._pushable = {}
    release = {"name": "loki", "version": "3.7.8", "archives": {}}
    params = {"name": "loki", "release": release, "lock_owner": "", "lock_timeout": 0}
    call = component_calls.Call("component_rollout", {})
    result = action._stage_release(params, call, {}, required)
    assert calls == ["release_stage", "component_rollout"]
    assert result["failed"]
    assert result["msg"].startswith("loki 3.7.8: ")
    assert "Nothing was changed" in result["msg"]
