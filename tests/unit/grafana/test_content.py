# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories, files and objects become desired objects, or a list of all their errors."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from copy import deepcopy
from functools import reduce
from operator import getitem
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import hypothesis
import pytest
import yaml
from ansible.errors import AnsibleActionFail
from hypothesis import strategies

from ansible_collections.hippius.monitoring.plugins.action import grafana_content
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files import (
    exporting,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.documents import (
    DocumentError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds.base import (
    Live,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds.registry import (
    KINDS,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
    RequiredObject,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.payload import (
    decode_content,
    encode,
    encode_content,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.content import (
    ContentLoader,
    Source,
    rules_of,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.export_files import (
    serialize,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.yaml_documents import (
    parse_document,
)

# Grafana derives this uid for a datasource with the name Prometheus and no uid.
PROMETHEUS_UID = "PBFA97CFB590B2093"
HOSTILE = {
    "labels": "{{ $labels.instance }}",
    "values": "{{ $values.A.Value }}",
    "macro": "rate(x[$__rate_interval])",
    "dollars": "$$ $$$ $",
    "raw": "{% raw %}{{ x }}{% endraw %}{# no comment #}",
    "quotes": "'single' \"double\" `back` \\ back",
    "lines": "one\ntwo\r\n\tthree\n",
    "emoji": "🙂 é \u202eright to left",
    "separators": "a\u2028b\u2029c\u0085d",
    "nul": "a\0b",
    "whole": 9007199254740993,
    "large": 1e21,
    "float": 1.0,
    "small": -1.5e-9,
    "empty": ["", {}, [], 0, False],
    "null": None,
    "yes": [
        "yes",
        "no",
        "on",
        "off",
        "true",
        "null",
        "~",
        "1",
        "0x10",
        "1e3",
        "2024-01-01",
        "1:30",
    ],
}


def board(uid: str = "app", title: str = "App", **fields: object) -> dict:
    return {"uid": uid, "title": title, "panels": [], **fields}


def files(**contents: object) -> dict[str, bytes]:
    """Return files by path; in a name, __ is a slash and the last _ the dot of the suffix."""
    contents_by_path = {}
    for name, content in contents.items():
        path, suffix = name.replace("__", "/").rsplit("_", 1)
        encoded = (
            textwrap.dedent(content)
            if isinstance(content, str)
            else json.dumps(content)
        )
        contents_by_path[f"{path}.{suffix}"] = encoded.encode()
    return contents_by_path


class Loaded(NamedTuple):
    """The result of a load, with its errors and warnings."""

    desired: list[DesiredObject]
    required: list[RequiredObject]
    errors: list[str]
    warnings: list[str]


def load(*sources: Source, **options: Any) -> Loaded:
    loader = ContentLoader(**options)
    desired, required = loader.load(list(sources))
    return Loaded(
        desired, required, loader.diagnostics.errors, loader.diagnostics.warnings
    )


def bodies(*sources: Source, **options: Any) -> dict[tuple[str, str], dict]:
    """Return bodies by kind and identity of sources that have neither errors nor warnings."""
    loaded = load(*sources, **options)
    assert (loaded.errors, loaded.warnings) == ([], [])
    return {
        (desired.kind, desired.identity): desired.body for desired in loaded.desired
    }


def errors(*sources: Source, **options: Any) -> list[str]:
    return load(*sources, **options).errors


def test_directory_is_the_folder_of_its_dashboards() -> None:
    tree = files(
        dashboards__Apps__Web_json=board(), dashboards__top_json=board("top", "Top")
    )
    loaded = bodies(Source("grafana", tree, folder=("Hippius",)))
    folders = {
        body["title"]: body for (kind, _), body in loaded.items() if kind == "folder"
    }
    apps_uid, root_uid = folders["Apps"]["uid"], folders["Hippius"]["uid"]
    assert sorted(folders) == ["Apps", "Hippius"]
    assert folders["Apps"]["parentUid"] == root_uid
    assert loaded["dashboard", "app"] == {"dashboard": board(), "folderUid": apps_uid}
    assert loaded["dashboard", "top"]["folderUid"] == root_uid


def test_folder_that_grafana_refuses_is_told_before() -> None:
    tree = files(
        dashboards__a__b__c__d__e__f__App_json=board(),
        dashboards__a___folder_yml="uid: general\n",
    )
    reserved, too_deep = errors(Source("", tree))
    assert reserved == (
        "dashboards/a/_folder.yml:1: folder a has Grafana's own uid general; write another."
    )
    assert too_deep == (
        "dashboards/a/b/c/d/e/f/App.json:1: the folder path 'a/b/c/d/e/f' has 6 levels;"
        " Grafana has 5."
    )


def test_dashboard_at_the_top_is_in_no_folder() -> None:
    assert (
        bodies(Source("", files(app_json=board())))["dashboard", "app"]["folderUid"]
        == ""
    )


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        (
            "app.json",
            b'{"uid": "a",\n "title": "\\ud800"}',
            "app.json:2: \\ud800 is half of a character; write both halves.",
        ),
        (
            "app.json",
            b'{"uid": "a", "title": "A", "panels": [{"a":\n -1e999}]}',
            "app.json:2: -1e999 is out of range for JSON; write a smaller number.",
        ),
        (
            "a\udcff.json",
            b"{}",
            "a\\udcff.json: the file name is not UTF-8; rename the file.",
        ),
        (
            "a\udcff.yml",
            b"{}",
            "a\\udcff.yml: the file name is not UTF-8; rename the file.",
        ),
    ],
)
def test_value_that_no_message_could_contain_is_an_error(
    name: str, data: bytes, error: str
) -> None:
    assert errors(Source("", {name: data})) == [error]
    error.encode()


def test_link_to_a_directory_above_it_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "ab").symlink_to("a")
    grafana_content._check_loop(str(tmp_path), "ab")
    (tmp_path / "a" / "b" / "loop").symlink_to("../..")
    with pytest.raises(
        AnsibleActionFail, match="loop: links to a directory above it; remove"
    ):
        grafana_content._check_loop(str(tmp_path / "a" / "b"), "loop")


def test_tree_with_a_link_to_a_directory_above_it_is_not_walked(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to("..")
    with pytest.raises(AnsibleActionFail, match="loop: links to a directory above it"):
        grafana_content._files(tmp_path)


@pytest.mark.parametrize("check_mode", [True, False])
def test_export_writes_files_unless_it_is_a_check(
    tmp_path: Path, check_mode: bool
) -> None:
    exported = {"files": {"a/app.json": ["json", {"a": 1}]}, "variables": []}
    (tmp_path / "other.yml").write_text("a: 1\n")
    action = grafana_content.ActionModule.__new__(grafana_content.ActionModule)
    action._task = SimpleNamespace(check_mode=check_mode)
    action._loader = SimpleNamespace(path_dwim=str)
    action._run_module = lambda *_call: {"payload": encode(exported)}
    for is_first in (True, False):
        result = action._export({}, str(tmp_path), {})
        is_written = not check_mode
        assert (tmp_path / "a/app.json").exists() is is_written
        assert result["changed"] is (is_first or check_mode)
        assert result["files"] == (["a/app.json"] if result["changed"] else [])
        (warning,) = result["warnings"]
        assert warning.endswith("stay as they are: other.yml.")


def test_files_are_listed_without_reading_them(tmp_path: Path) -> None:
    (tmp_path / "secrets.yml").symlink_to("/nowhere")
    assert list(grafana_content._files(tmp_path)) == ["secrets.yml"]


def test_surrogate_pair_is_one_character() -> None:
    tree = {"app.json": json.dumps(board(title="\U0001f525 \\ud800")).encode()}
    assert (
        bodies(Source("", tree))["dashboard", "app"]["dashboard"]["title"]
        == "\U0001f525 \\ud800"
    )


def test_folders_below_one_with_a_uid_keep_their_uids_when_it_is_renamed() -> None:
    parents_by_title = []
    for title in ("Area", "Domain"):
        tree = files(
            a__b__c__app_json=board(),
            a___folder_yml=f"title: {title}\nuid: area\n",
            b__top_json=board("t", "T"),
        )
        loaded = bodies(Source("", tree))
        parents = {
            key: body["parentUid"] for key, body in loaded.items() if key[0] == "folder"
        }
        parents_by_title.append(parents)
    before, after = parents_by_title
    assert before == after
    assert len(before) == 4


def test_datasource_that_a_file_deletes_and_creates_is_present() -> None:
    """Many files do both, since Grafana deletes first."""
    content = """
    apiVersion: 1
    deleteDatasources: [{name: Prometheus, orgId: 1}, {name: Old}]
    datasources: [{name: Prometheus, type: prometheus}]
    """
    loaded = load(Source("", files(a_yml=content)))
    states = {(item.body["name"], item.identity): item.state for item in loaded.desired}
    names = [desired.body["name"] for desired in loaded.desired]
    assert loaded.errors == []
    assert states["Prometheus", PROMETHEUS_UID] == "present"
    assert sorted(names) == ["Old", "Prometheus"]
    assert [key[0] for key, state in states.items() if state == "absent"] == ["Old"]


NO_DURATION = "f.yml:4: {} is {!r}; write a duration such as 30s or 1h30m."
NO_MULTIPLE = (
    "f.yml:2: rule group g has an interval of {} seconds; use a multiple of 10 seconds."
)


@pytest.mark.parametrize(
    ("duration", "error"),
    [
        *(
            (duration, None)
            for duration in ("60s", "1m30s", "'1m'", "1h", "1d", "$MINUTE")
        ),
        ("60", NO_DURATION.format("interval", "60")),
        ("60.0", NO_DURATION.format("interval", "60.0")),
        ("1.5m", NO_DURATION.format("interval", "1.5m")),
        ("-1m", NO_DURATION.format("interval", "-1m")),
        ("1m 30s", NO_DURATION.format("interval", "1m 30s")),
        ("30s1m", NO_DURATION.format("interval", "30s1m")),
        ("\u0661m", NO_DURATION.format("interval", "\u0661m")),
        ("0s", NO_MULTIPLE.format(0)),
        ("65s", NO_MULTIPLE.format(65)),
        ("10500ms", NO_MULTIPLE.format(10.5)),
    ],
)
def test_interval_of_a_group(duration: str, error: str | None) -> None:
    query = "{refId: A, datasourceUid: __expr__, model: {type: math}}"
    rule = f"{{uid: r, title: R, condition: A, data: [{query}]}}"
    group = f"- name: g\n  folder: F\n  interval: {duration}\n  rules: [{rule}]\n"
    content = f"groups:\n{group}apiVersion: 1\n"
    expected = [error] if error else []
    assert (
        errors(Source("", {"f.yml": content.encode()}), environment={"MINUTE": "1m"})
        == expected
    )


@pytest.mark.parametrize(
    ("duration", "error"),
    [
        *((duration, None) for duration in ("45s", "1m30s", "1d", "0s", "$MINUTE")),
        ("60", NO_DURATION.format("group_wait", 60)),
        ("60.0", NO_DURATION.format("group_wait", 60.0)),
        ("'60'", NO_DURATION.format("group_wait", "60")),
        ("1.5m", NO_DURATION.format("group_wait", "1.5m")),
    ],
)
def test_duration_of_a_policy(duration: str, error: str | None) -> None:
    content = f"apiVersion: 1\npolicies:\n- receiver: x\n  group_wait: {duration}\n"
    expected = [error] if error else []
    assert (
        errors(Source("", {"f.yml": content.encode()}), environment={"MINUTE": "1m"})
        == expected
    )


def test_folder_file_of_a_directory_sets_title_uid_and_description() -> None:
    tree = files(
        a__b__app_json=board(),
        a___folder_yml="title: Area/1\nuid: area\ndescription: All of it\n",
    )
    loaded = bodies(Source("", tree))
    children = [
        body
        for (kind, _), body in loaded.items()
        if kind == "folder" and body["title"] == "b"
    ]
    (child,) = children
    assert loaded["folder", "area"] == {
        "uid": "area",
        "title": "Area/1",
        "parentUid": "",
        "description": "All of it",
    }
    assert child["parentUid"] == "area"
    assert loaded["dashboard", "app"]["folderUid"] == child["uid"]


def test_folder_is_below_the_titled_folder_of_its_parent_directory() -> None:
    tree = files(
        A___folder_yml="title: Area",
        A__B___folder_yml="uid: below",
        A__B__app_json=board(),
    )
    loaded = bodies(Source("", tree))
    titles = {body["title"] for (kind, _), body in loaded.items() if kind == "folder"}
    assert titles == {"Area", "B"}
    assert loaded["dashboard", "app"]["folderUid"] == "below"


def test_folder_declaration_applies_to_all_sources() -> None:
    rules = files(
        alerting__rules_yml="""
        apiVersion: 1
        groups:
          - name: g
            folder: Area
            interval: 1m
            rules:
              - uid: r
                title: R
                condition: A
                data: [{refId: A, datasourceUid: __expr__, model: {type: math, expression: '1'}}]
        """
    )
    declaration = Source(objects={"folders": [{"folder": "Area", "uid": "area"}]})
    loaded = bodies(Source("", rules), declaration)
    assert loaded["rule_group", "area/g"]["folderUid"] == "area"


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(board(id=7, version=3), id="classic"),
        pytest.param(
            {"dashboard": board(id=7), "meta": {"folderUid": "elsewhere"}},
            id="answer of the API",
        ),
        pytest.param(
            {
                "apiVersion": "dashboard.grafana.app/v1beta1",
                "kind": "Dashboard",
                "metadata": {"name": "app"},
                "spec": {"title": "App", "panels": []},
            },
            id="resource",
        ),
    ],
)
def test_dashboard_is_read_in_each_export_format(model: dict) -> None:
    assert (
        bodies(Source("", files(app_json=model)))["dashboard", "app"]["dashboard"]
        == board()
    )


def test_inputs_of_a_shared_dashboard_become_datasources() -> None:
    shared = board(
        panels=[
            {
                "datasource": {"type": "loki", "uid": "${DS_LOGS}"},
                "title": "${instance} ${VAR_UNIT}",
            }
        ],
        __inputs=[
            {"name": "DS_LOGS", "type": "datasource", "pluginId": "loki"},
            {"name": "VAR_UNIT", "type": "constant", "value": "s"},
        ],
        __requires=[{"type": "panel"}],
    )
    datasource = {"name": "Logs", "type": "loki", "uid": "loki"}
    sources = [
        Source("", files(app_json=shared)),
        Source(objects={"datasources": [datasource]}),
    ]
    expected = board(
        panels=[
            {"datasource": {"type": "loki", "uid": "loki"}, "title": "${instance} s"}
        ]
    )
    by_type = bodies(*sources)["dashboard", "app"]["dashboard"]
    by_name = bodies(*sources, inputs={"DS_LOGS": "loki"})["dashboard", "app"][
        "dashboard"
    ]
    assert by_type == by_name == expected
    assert errors(Source("g", files(app_json=shared))) == [
        (
            "g/app.json:1: input DS_LOGS requires a datasource of type loki, and the content has"
            " none; add one, or set DS_LOGS in inputs."
        ),
    ]


def test_hostile_values_stay_unchanged_in_files_and_inline() -> None:
    model = board(tags=HOSTILE)
    for encoded in (json.dumps(model), json.dumps(model, ensure_ascii=False, indent=3)):
        loaded = bodies(Source("", {"app.json": encoded.encode()}))["dashboard", "app"][
            "dashboard"
        ]
        assert loaded == model
        assert type(loaded["tags"]["whole"]) is int
    inline = bodies(Source(objects={"dashboards": [{"dashboard": model}]}))
    assert inline["dashboard", "app"]["dashboard"] == model


@pytest.mark.parametrize("name", ["objects", "file.json", "file.yml"])
def test_hostile_values_stay_unchanged_in_a_rule(name: str) -> None:
    annotations = {
        key: value for key, value in HOSTILE.items() if isinstance(value, str)
    }
    model = {"type": "math", "expression": "1", "hidden": HOSTILE}
    query = {"refId": "A", "datasourceUid": "__expr__", "model": model}
    rule = {
        "uid": "r",
        "title": "R",
        "condition": "A",
        "data": [query],
        "annotations": annotations,
    }
    group = {"name": "g", "folder": "F", "interval": "1m", "rules": [rule]}
    content = {"apiVersion": 1, "groups": [group]}
    # PyYAML reads 1e3 as a string and does not quote it; Go's YAML and ours read a number.
    dumped = yaml.safe_dump(content).replace("- 1e3\n", "- '1e3'\n")
    encoded = dumped if name.endswith(".yml") else json.dumps(content)
    source = (
        Source(objects=content)
        if name == "objects"
        else Source("", {name: encoded.encode()})
    )
    (loaded,) = [
        body for (kind, _), body in bodies(source).items() if kind == "rule_group"
    ]
    assert loaded["rules"][0]["annotations"] == annotations
    assert loaded["rules"][0]["data"][0]["model"] == model


def test_variables_are_replaced_in_files_but_not_in_inline_objects() -> None:
    receiver = {"uid": "u", "type": "webhook", "settings": {"url": "$URL", "x": "$$5"}}
    content = {
        "apiVersion": 1,
        "contactPoints": [{"name": "p", "receivers": [receiver]}],
    }

    def settings(source: Source) -> dict:
        loaded = bodies(source, environment={"URL": "http://h"})
        return loaded["contact_point", "p"]["receivers"][0]["settings"]

    inline = settings(Source(objects=content))
    from_file = settings(Source("", {"p.json": json.dumps(content).encode()}))
    assert inline == {"url": "$URL", "x": "$$5"}
    assert from_file == {"url": "http://h", "x": "$5"}


PROVIDERS = """
apiVersion: 1
providers:
  - name: mine
    orgId: 1
    folder: Mine
    type: file
    disableDeletion: false
    updateIntervalSeconds: 10
    allowUiUpdates: true
    options: {path: %s, foldersFromFilesStructure: %s}
"""


def test_provisioning_directory_of_a_container_is_loaded_unchanged() -> None:
    tree = files(
        datasources__prometheus_yml="""
        apiVersion: 1
        datasources:
          - name: Prometheus
            type: prometheus
            access: proxy
            url: http://prometheus:9090
            isDefault: true
        """,
        dashboards__default_yml=PROVIDERS % ("/var/lib/grafana/dashboards", "true"),
    )
    panel = {"datasource": {"type": "prometheus", "uid": PROMETHEUS_UID}}
    boards = files(
        top_json=board("top", "Top"),
        a__b__deep_json=board("deep", "Deep", panels=[panel]),
    )
    loaded = bodies(
        Source("g", tree, paths={"/var/lib/grafana": "compose/data"}),
        list_directory={"compose/data/dashboards": boards}.get,
    )
    titles = {
        body["uid"]: body["title"]
        for (kind, _), body in loaded.items()
        if kind == "folder"
    }
    # Grafana reads the provider's folder only without foldersFromFilesStructure.
    assert sorted(titles.values()) == ["b"]
    assert loaded["dashboard", "top"]["folderUid"] == ""
    assert titles[loaded["dashboard", "deep"]["folderUid"]] == "b"
    assert loaded["datasource", PROMETHEUS_UID]["url"] == "http://prometheus:9090"


def test_provider_within_the_provisioning_directory_needs_no_mapping() -> None:
    path = "/etc/grafana/provisioning/dashboards/"
    tree = files(
        dashboards__p_yml=PROVIDERS % (path, "false"),
        dashboards__app_json=board(),
        other_json=board("o", "O"),
    )
    loaded = load(Source("g", tree))
    dashboards = [item.identity for item in loaded.desired if item.kind == "dashboard"]
    assert dashboards == ["app"]
    assert loaded.errors == []
    assert loaded.warnings == [
        (
            "g/other.json:1: the dashboard is outside the path of every provider, so it is left"
            " out; move it."
        )
    ]


def test_inputs_for_grafanas_own_datasources_need_no_other() -> None:
    plugins = {"a": "__expr__", "b": "grafana", "c": "datasource", "d": "mixed"}
    shared = board(
        panels=[{"datasource": {"uid": f"${{DS {name}}}"}} for name in plugins],
        __inputs=[
            {"name": f"DS {name}", "type": "datasource", "pluginId": plugin}
            for name, plugin in plugins.items()
        ],
    )
    model = bodies(Source("", files(app_json=shared)))["dashboard", "app"]["dashboard"]
    uids = [panel["datasource"]["uid"] for panel in model["panels"]]
    assert uids == ["__expr__", "-- Grafana --", "-- Grafana --", "-- Mixed --"]


def test_input_is_a_datasource_by_the_old_name_of_its_type() -> None:
    shared = board(
        panels=[{"datasource": {"uid": "${DS}"}}],
        __inputs=[{"name": "DS", "type": "datasource", "pluginId": "postgres"}],
    )
    datasource = {"name": "P", "type": "grafana-postgresql-datasource", "uid": "p"}
    loaded = bodies(
        Source("", files(app_json=shared)),
        Source(objects={"datasources": [datasource]}),
    )
    assert loaded["dashboard", "app"]["dashboard"]["panels"] == [
        {"datasource": {"uid": "p"}}
    ]


def test_dashboards_in_a_provisioning_file_are_an_error() -> None:
    text = "apiVersion: 1\ndashboards: [{dashboard: {title: A}}]\n"
    assert errors(Source("", files(p_yml=text))) == [
        "p.yml:2: dashboards has no effect in a file; write each one to a JSON file."
    ]


def provided(provider: str, **files_by_path: dict) -> dict[str, str]:
    """Return the title of each dashboard's folder, as Grafana 12.4.0 placed them."""
    text = f"apiVersion: 1\nproviders:\n- {{name: p, {provider}}}\n"
    tree = {
        path.replace("__", "/"): json.dumps(model).encode()
        for path, model in files_by_path.items()
    }
    loaded = load(Source("", files(p_yml=text)), list_directory={"/boards": tree}.get)
    assert loaded.errors == []
    titles = {
        desired.identity: desired.body["title"]
        for desired in loaded.desired
        if desired.kind == "folder"
    }
    return {
        desired.identity: titles.get(desired.body["folderUid"], "")
        for desired in loaded.desired
        if desired.kind == "dashboard"
    }


THREE = {
    "one.json": board("one", "One"),
    "Sub__two.json": board("two", "Two"),
    "Sub__Deep__three.json": board("three", "Three"),
}
FROM_FILES = "options: {path: /boards, foldersFromFilesStructure: true}"


@pytest.mark.parametrize(
    ("provider", "folders"),
    [
        ("folder: Acme A/S, options: {path: /boards}", ["Acme A/S"] * 3),
        ("options: {path: /boards}", ["", "", ""]),
        ("folderUid: f, options: {path: /boards}", ["", "", ""]),
        (FROM_FILES, ["", "Sub", "Deep"]),
        (f"folder: Base, {FROM_FILES}", ["", "Sub", "Deep"]),
        (f"folderUid: f, {FROM_FILES}", ["", "Deep", "Deep"]),
    ],
)
def test_provider_places_dashboards_as_grafana_does(
    provider: str, folders: list[str]
) -> None:
    placed = provided(provider, **THREE)
    assert [placed[uid] for uid in ("one", "two", "three")] == folders


def test_path_of_a_provider_may_be_a_file() -> None:
    model = board("one", "One")
    loaded = load(
        Source(
            "",
            files(
                p_yml="apiVersion: 1\nproviders:\n- {name: p, folder: F,"
                " options: {path: /boards/one.json}}\n- {name: q,"
                " options: {path: /boards/two.json, foldersFromFilesStructure: true}}\n"
            ),
        ),
        list_directory={
            "/boards/one.json": {"": json.dumps(model).encode()},
            "/boards/two.json": {"": json.dumps(board("two", "Two")).encode()},
        }.get,
    )
    assert loaded.errors == []
    titles = [item.body["title"] for item in loaded.desired if item.kind == "folder"]
    assert sorted(titles) == ["F", "boards"]


def test_provider_may_name_a_directory_of_the_same_source() -> None:
    tree = files(
        provisioning__dashboards__p_yml=PROVIDERS
        % ("/var/lib/grafana/boards", "false"),
        boards__one_json=board("one", "One"),
        boards__sub__two_json=board("two", "Two"),
    )
    paths = {"/var/lib/grafana/boards": "monitoring/grafana/boards"}
    loaded = bodies(Source("monitoring/grafana", tree, paths=paths))
    assert {("dashboard", "one"), ("dashboard", "two")} <= set(loaded)


def test_provider_with_three_names_for_its_folders_is_an_error() -> None:
    text = f"apiVersion: 1\nproviders:\n- {{name: p, folder: F, folderUid: f, {FROM_FILES}}}\n"
    (error,) = errors(Source("", files(p_yml=text)), list_directory=lambda _path: {})
    assert "beside foldersFromFilesStructure, which Grafana refuses" in error


def test_missing_directory_of_a_provider_is_an_error() -> None:
    tree = files(p_yml=PROVIDERS % ("/data/boards", "false"))
    assert errors(Source("g", tree)) == [
        (
            "g/p.yml:4: path /data/boards of provider mine is not on the controller;"
            " map /data/boards to its location in paths."
        )
    ]


def test_dashboard_of_a_provider_gets_a_uid_from_its_file_name() -> None:
    tree = files(p_yml=PROVIDERS % ("/data", "false"))
    boards = files(app_json={"title": "App"})
    runs = [
        load(Source("g", tree), list_directory={"/data": boards}.get) for _ in range(2)
    ]
    uids = {
        item.identity
        for run in runs
        for item in run.desired
        if item.kind == "dashboard"
    }
    (uid,) = uids
    assert runs[0].warnings == [
        (
            f"/data/app.json:1: the dashboard has no uid and gets {uid}, derived from its file"
            " name; set uid."
        )
    ]


def test_rules_of_prometheus_become_rule_groups() -> None:
    tree = files(
        alerts_yml="""
        groups:
          - name: redis
            rules:
              - {alert: RedisDown, expr: redis_up < 1, for: 1m, labels: {severity: critical}}
        """
    )
    datasource = {"name": "P", "type": "prometheus", "uid": "prometheus"}
    store = Source(objects={"datasources": [datasource]})
    loaded = bodies(Source("roles/redis/files", tree, folder=("Hippius",)), store)
    ((identity, group),) = [
        (identity, body)
        for (kind, identity), body in loaded.items()
        if kind == "rule_group"
    ]
    assert identity == f"{group['folderUid']}/redis"
    assert group["rules"][0]["title"] == "RedisDown"
    assert ("folder", group["folderUid"]) in loaded
    assert "require a folder" in errors(Source("roles/redis/files", tree), store)[0]
    broken = files(alerts_yml="groups:\n  - name: x\n    rules:\n      - {alert: A}\n")
    assert errors(Source("r", broken, folder=("F",)))[0].startswith("r/alerts.yml:4: ")


def rule_file(*groups: str) -> str:
    """Return a rule file of one line for each group."""
    return "groups:\n" + "".join(f"- {group}\n" for group in groups)


def rule_groups(*sources: Source) -> list[dict]:
    loaded = bodies(
        *sources, Source(objects={"datasources": [store("prometheus"), store("loki")]})
    )
    return [body for (kind, _identity), body in loaded.items() if kind == "rule_group"]


def store(type_name: str) -> dict:
    return {"name": type_name, "type": type_name, "uid": type_name}


def test_scalars_of_rule_files_are_strings_as_they_are_written() -> None:
    text = """
    groups:
      - name: 7
        interval: 0s
        limit: 0
        rules:
          - alert: 500
            expr: up < 1
            for:
            labels: {version: 1.50, team: 007, code: 0777, hex: 0x1F, size: 1e3, page: true}
            annotations: {empty: , day: 2024-01-01, tilde: ~, quoted: "null", big: 1_000}
    """
    [group] = rule_groups(Source("r", files(a_yml=text), folder=("F",)))
    [rule] = group["rules"]
    assert (group["title"], group["interval"], rule["title"]) == ("7", 60, "500")
    assert rule["for"] == "0s"
    assert rule["labels"] == {
        "version": "1.50",
        "team": "007",
        "code": "0777",
        "hex": "0x1F",
        "size": "1e3",
        "page": "true",
    }
    assert rule["annotations"] == {
        "empty": "",
        "day": "2024-01-01",
        "tilde": "",
        "quoted": "null",
        "big": "1_000",
    }


def test_group_of_several_rule_files_has_the_file_in_its_title() -> None:
    down = "{name: %s, rules: [{alert: %s, expr: up < 1}]}"
    prometheus = (
        "{name: Exporter, rules: [{alert: P, expr: up, labels: {engine: prometheus}}]}"
    )
    tree = files(
        a_yml=rule_file(down % ("Exporter", "A"), down % ("Other", "O")),
        sub__b_yml=rule_file(down % ("Exporter", "B")),
        c_yml=rule_file(prometheus),
    )
    elsewhere = Source("s", files(a_yml=tree["a.yml"].decode()), folder=("G",))
    found = rule_groups(Source("r", tree, folder=("F",)), elsewhere)
    assert [group["title"] for group in found] == [
        "Exporter (a)",
        "Other",
        "Exporter (b)",
        "Exporter",
        "Other",
    ]
    same = Source("s", files(a_yml=tree["a.yml"].decode()), folder=("F",))
    found = rule_groups(
        Source("r", files(a_yml=tree["sub/b.yml"].decode()), folder=("F",)), same
    )
    assert [group["title"] for group in found] == [
        "Exporter (r-a)",
        "Exporter (s-a)",
        "Other",
    ]


def test_rules_have_the_query_of_their_datasources_type() -> None:
    tree = files(a_yml=rule_file("{name: g, rules: [{alert: A, expr: up < 1}]}"))
    for uid, query_type in (("prometheus", None), ("loki", "instant")):
        [group] = rule_groups(Source("r", tree, folder=("F",), datasource_uid=uid))
        model = group["rules"][0]["data"][0]["model"]
        assert model["datasource"] == {"type": uid, "uid": uid}
        assert model.get("queryType") == query_type
    elsewhere = Source(
        "r", tree, folder=("F",), datasource_uid="l", datasource_type="loki"
    )
    [group] = rule_groups(elsewhere)
    assert group["rules"][0]["data"][0]["model"]["queryType"] == "instant"


def test_all_errors_of_a_rule_file_are_reported_in_the_order_of_its_lines() -> None:
    text = rule_file(
        "{name: g, rules: [{record: 'a:b', expr: up}]}",
        "{name: h, rules: [{alert: B, expr: up, annotations: {a: '{{ query }}'}}]}",
        "{name: i, rules: [{alert: C, expr: up, for: 5 m, labels: {engine: x}}]}",
        "{name: j, rules: [{alert: D, expr: up, keep_firing_for: 5 m}]}",
    )
    found = errors(Source("r", files(a_yml=text), folder=("F",)))
    assert [error.split(" ")[0] for error in found] == [
        "r/a.yml:2:",
        "r/a.yml:3:",
        "r/a.yml:4:",
        "r/a.yml:5:",
    ]


def test_only_the_first_document_of_a_file_is_read_with_a_warning() -> None:
    text = "---\n" + rule_file("{name: g, rules: [{alert: A, expr: up < 1}]}") + "---\n"
    data = Source(objects={"datasources": [store("prometheus")]})
    loaded = load(Source("r", files(a_yml=text), folder=("F",)), data)
    assert (loaded.errors, loaded.warnings) == ([], [])
    more = text + rule_file("{name: h, rules: [{alert: B, expr: up < 1}]}")
    loaded = load(Source("r", files(a_yml=more), folder=("F",)), data)
    assert loaded.errors == []
    [warning] = loaded.warnings
    assert warning == (
        "r/a.yml:5: only the first document of a file is read, as Prometheus and Grafana do;"
        " move this one to a file of its own."
    )
    titles = [item.body.get("title") for item in loaded.desired]
    assert "g" in titles and "h" not in titles


def test_every_broken_file_among_many_is_an_error() -> None:
    tree = files(
        **{
            f"d__a{number}_json": board(f"a{number}", f"A{number}")
            for number in range(300)
        }
    )
    tree |= files(
        d__broken_json='{"title":\n "x",\n}',
        alerting__a_yml="apiVersion: 1\ncontactPoints:\n  - name: x\n   bad: 1\n",
        alerting__b_yml="apiVersion: 1\ncontactpoints: []\n",
        alerting__c_yml="apiVersion: 1\n\npolicies: [{receiver: nobody, colour: red}]\n",
    )
    tree["alerting/d.yml"] = b"apiVersion: 1\n# \xff\n"
    locations = [error.split(": ")[0] for error in errors(Source("g", tree))]
    assert locations == [
        "g/alerting/a.yml:4",
        "g/alerting/d.yml:2",
        "g/d/broken.json:3",
        "g/alerting/b.yml:2",
        "g/alerting/c.yml:3",
    ]


MANY_ERRORS = """
apiVersion: 1
datasources:
- {name: P, typ: prometheus, uid: a b, jsonData: [x], orgId: 2}
- {type: loki}
- {name: Q, type: loki, name: R, url: x, url: y}
contactPoints:
- {name: '', receivers: [{uid: x y, type: webhook}, {type: slack}]}
muteTimes:
- {name: q, time_intervals: [{weekdays: ["saturday:sunday"], years: [x]}]}
policies:
- group_wait: 5
  routes:
  - {receiver: 5, group_by: [a, a], colour: red}
  - {group_interval: 0s, mute_time_intervals: [1]}
groups:
- {name: g, rules: []}
- {name: h, interval: x, folder: F, rules: [{title: T, condition: Z, data: [{refId: A}]}]}
providers:
- {type: nope}
nope: 1
"""


def test_all_errors_of_a_provisioning_file_are_told_once() -> None:
    told = errors(Source("", files(p_yml=MANY_ERRORS)))
    expected = {
        4: ["field typ;", "jsonData", "set type", "orgId", "the uid 'a b'"],
        5: ["set name"],
        6: ["key name is repeated", "key url is repeated"],
        8: ["set name", "set settings", "set settings"],
        10: ["'saturday:sunday'", "'x'"],
        12: ["group_wait", "no receiver"],
        14: ["receiver is a int", "group_by has a twice", "colour"],
        15: ["group_interval", "mute_time_intervals[0]"],
        17: ["set interval", "no folder", "no rules"],
        18: ["interval is 'x'", "the uid ''", "'Z'", "no datasourceUid"],
        20: ["set name", "options.path"],
        21: ["field nope;"],
    }
    for line, words in expected.items():
        on_line = [error for error in told if error.startswith(f"p.yml:{line}:")]
        missing = [word for word in words if word not in "\n".join(on_line)]
        assert not missing, on_line
    assert len(told) == len(set(told))
    assert len(told) == sum(map(len, expected.values())) - 1


def test_all_errors_of_a_dashboard_are_told_once() -> None:
    panel = {"datasource": {"uid": "$x"}}
    inputs = [{"name": "DS", "type": "datasource", "pluginId": "zzz"}]
    shared = {"title": " ", "uid": 5, "panels": [panel, panel], "__inputs": inputs}
    told = errors(Source("", files(a_json=shared)), strict=True)
    assert [error.split(": ")[1].split(";")[0] for error in told] == [
        "the dashboard has no title",
        "the uid of the dashboard is 5",
        "input DS requires a datasource of type zzz, and the content has none",
        "dashboard (untitled) has no variable x for its datasource $x",
    ]


@pytest.mark.parametrize("rest", ["---\n", "---\n# nothing\n---\n", "...\n"])
def test_empty_documents_after_the_first_are_nothing(rest: str) -> None:
    text = f"---\napiVersion: 1\ntemplates: [{{name: t, template: x}}]\n{rest}"
    assert list(bodies(Source("", files(p_yml=text)))) == [("template", "t")]


def test_only_the_first_document_of_a_file_is_read_as_in_grafana() -> None:
    text = "apiVersion: 1\ntemplates: [{name: t, template: x}]\n---\napiVersion: 2\n"
    loaded = load(Source("", files(p_yml=text)))
    assert ([item.identity for item in loaded.desired], loaded.errors) == (["t"], [])
    (warning,) = loaded.warnings
    assert warning.startswith("p.yml:4: only the first document of a file is read")


def test_file_of_a_variable_is_read() -> None:
    def read(path: str) -> str:
        if path != "/run/secrets/url":
            raise DocumentError(f"{path} is not there.")
        return "http://secret\n"

    def tree(path: str) -> dict:
        settings = f"{{url: '$__file{{{path}}}'}}"
        receivers = f"[{{type: webhook, settings: {settings}}}]"
        return files(
            p_yml=f"apiVersion: 1\ncontactPoints:\n- {{name: p, receivers: {receivers}}}\n"
        )

    point = bodies(Source("g", tree("/run/secrets/url")), read_file=read)[
        "contact_point", "p"
    ]
    assert point["receivers"][0]["settings"] == {"url": "http://secret"}
    assert errors(Source("g", tree("/none")), read_file=read) == [
        "g/p.yml:3: /none is not there."
    ]


def test_file_without_content_has_no_objects() -> None:
    assert bodies(Source("g", files(a_yml="# nothing\n", b_yaml="---\n"))) == {}


def values() -> strategies.SearchStrategy:
    """Return any JSON value."""
    strings = strategies.text(max_size=20) | strategies.sampled_from(
        [*HOSTILE["yes"], "- a", "a: b", " a\n b", "\n", "#"]
    )
    leaves = (
        strings
        | strategies.none()
        | strategies.booleans()
        | strategies.integers()
        | strategies.floats(-1e30, 1e30)
    )
    return strategies.recursive(
        leaves,
        lambda inner: strategies.lists(inner) | strategies.dictionaries(strings, inner),
        max_leaves=8,
    )


@hypothesis.given(values())
def test_exported_value_is_read_back_unchanged(value: object) -> None:
    content = {"key": value}
    contents = serialize({"a.yml": ("yaml", content), "a.json": ("json", content)})
    parsed = {
        name: parse_document(name, data.encode()).content
        for name, data in contents.items()
    }
    assert parsed == {"a.yml": content, "a.json": content}


QUERIES = [
    {
        "refId": "A",
        "datasourceUid": "p",
        "relativeTimeRange": {"from": 600, "to": 0},
        "model": {"expr": "up"},
    },
    {
        "refId": "B",
        "datasourceUid": "__expr__",
        "model": {
            "type": "classic_conditions",
            "conditions": [{"query": {"params": ["A"]}}],
        },
    },
    {
        "refId": "C",
        "datasourceUid": "__expr__",
        "model": {"type": "math", "expression": "$B"},
    },
]
RULE = {
    "uid": "r",
    "title": "R",
    "condition": "C",
    "data": QUERIES,
    "labels": {"a": "b"},
    "annotations": {"a": "b"},
    "for": "1m",
    "dashboardUid": "app",
    "panelId": 1,
    "record": {"metric": "m", "from": "A"},
    "notification_settings": {
        "receiver": "chat",
        "group_by": ["a"],
        "mute_time_intervals": ["night"],
    },
}
EVERYTHING = {
    "apiVersion": 1,
    "folders": [{"folder": "A/B", "uid": "f", "description": "d"}],
    "datasources": [
        {
            "name": "P",
            "type": "prometheus",
            "uid": "p",
            "isDefault": True,
            "secureJsonData": {"a": "b"},
            "jsonData": {"links": [{"datasourceUid": "p"}]},
        }
    ],
    "contactPoints": [
        {
            "name": "chat",
            "receivers": [{"uid": "c", "type": "webhook", "settings": {"url": "u"}}],
        }
    ],
    "policies": [
        {
            "receiver": "chat",
            "group_by": ["a"],
            "routes": [
                {
                    "receiver": "chat",
                    "object_matchers": [["a", "=", "b"]],
                    "continue": True,
                    "mute_time_intervals": ["night"],
                }
            ],
        }
    ],
    "templates": [{"name": "t", "template": '{{ define "a" }}{{ end }}'}],
    "muteTimes": [
        {
            "name": "night",
            "time_intervals": [
                {"times": [{"start_time": "22:00"}], "weekdays": ["monday"]}
            ],
        }
    ],
    "groups": [{"name": "g", "folder": "A/B", "interval": "1m", "rules": [RULE]}],
    "providers": [
        {"name": "p", "type": "file", "folder": "A", "options": {"path": "/none"}}
    ],
    "deleteRules": [{"uid": "x"}],
    "resetPolicies": [1],
    "library_panels": [
        {"uid": "l", "name": "L", "folder": "A", "model": {"type": "stat"}},
        {"uid": "m", "name": "M", "folderUid": "f", "model": {"type": "stat"}},
    ],
    "dashboards": [
        {
            "folder": "A",
            "dashboard": board(
                templating={"list": [{"name": "x"}]},
                annotations={"list": [{"datasource": {"uid": "p"}}]},
                panels=[
                    {"datasource": "p", "targets": [{"datasource": {"uid": "$x"}}]},
                    {"libraryPanel": {"uid": "e", "name": "E"}},
                ],
                __elements={"e": {"uid": "e", "name": "E", "model": {"type": "stat"}}},
                __inputs=[
                    {"name": "DS_X", "type": "datasource", "pluginId": "prometheus"}
                ],
            ),
        }
    ],
}
RESOURCE = {
    "kind": "Dashboard",
    "metadata": {"name": "a", "annotations": {"grafana.app/folder": "f"}},
    "spec": board(),
}


def paths(tree: Any, parent: tuple = ()) -> Iterator[tuple]:
    """Yield the keys and indexes that lead to each value."""
    children: Any = ()
    if isinstance(tree, dict):
        children = tree.items()
    elif isinstance(tree, list):
        children = enumerate(tree)
    for key, child in children:
        yield (*parent, key)
        yield from paths(child, (*parent, key))


@pytest.mark.parametrize(
    "odd",
    [None, True, -1, 1.5, "", "odd", [], ["odd"], [[]], {}, {"odd": 1}, {"odd": {}}],
    ids=repr,
)
def test_unexpected_value_anywhere_never_breaks_the_loader(odd: object) -> None:
    for whole, as_file in ((EVERYTHING, False), (EVERYTHING, True), (RESOURCE, True)):
        for path in paths(whole):
            content = deepcopy(whole)
            owner = reduce(getitem, path[:-1], content)
            owner[path[-1]] = deepcopy(odd)
            file = {"f.json": json.dumps(content).encode()}
            loaded = load(Source("", file) if as_file else Source(objects=content))
            payload = encode_content(loaded.desired, loaded.required)
            assert decode_content(payload) == (loaded.desired, loaded.required)


def test_uid_of_a_folder_applies_wherever_a_file_sets_it() -> None:
    """The group before the declaration is in a folder below the declared one."""
    query = "{refId: A, datasourceUid: __expr__, model: {type: math}}"

    def group(name: str, folder: str) -> str:
        rule = f"{{uid: {name}, title: {name}, condition: A, data: [{query}]}}"
        return f"- {{name: {name}, interval: 1m, rules: [{rule}], {folder}}}\n"

    content = (
        "apiVersion: 1\ngroups:\n"
        + group("g", "folder: A/B")
        + group("h", "folder: A")
        + group("i", "folder: A, folderUid: $UID")
    )
    loaded = bodies(Source("", files(a_yml=content)), environment={"UID": "x"})
    child = next(uid for kind, uid in loaded if kind == "folder" and uid != "x")
    groups = sorted(identity for kind, identity in loaded if kind == "rule_group")
    assert groups == sorted([f"{child}/g", "x/h", "x/i"])
    assert loaded["folder", child]["parentUid"] == "x"
    conflict = content + group("j", "folder: A, folderUid: y")
    assert errors(Source("", files(a_yml=conflict)), environment={"UID": "x"}) == [
        "a.yml:6: folder A already has the uid x at a.yml:5; use the same uid."
    ]


def test_number_out_of_range_is_a_string_as_in_grafana() -> None:
    document = parse_document("a.yml", b"[1e999, -1e999, 1e3]")
    assert document.content == ["1e999", "-1e999", 1000.0]


def test_secrets_of_an_export_are_variables_at_any_depth() -> None:
    settings = {
        "url": "https://a",
        "headers": {"X-Api": "one", "X_Api": "two"},
        "use_discord_username": "true",
        "http_config": {"oauth2": {"scopes": ["three"]}, "proxy": "$four"},
        "title": "five",
        "pin": "[REDACTED]",
    }
    point = {
        "name": "p",
        "receivers": [{"uid": "c", "type": "webhook", "settings": settings}],
    }
    empty: dict = {kind: {} for kind in KINDS}
    export = exporting.files({**empty, "contact_point": {"p": Live(point)}})
    _form, content = export["files"]["alerting/contact-points.yml"]
    (receiver,) = content["contactPoints"][0]["receivers"]
    assert receiver["settings"] == {
        "url": "${C_URL}",
        "headers": {"X-Api": "${C_HEADERS_X_API}", "X_Api": "${C_HEADERS_X_API_2}"},
        "use_discord_username": "true",
        "title": "five",
        "pin": "${C_PIN}",
        "http_config": {
            "oauth2": {"scopes": ["${C_HTTP_CONFIG_OAUTH2_SCOPES_0}"]},
            "proxy": "$$four",
        },
    }
    assert len(export["variables"]) == 5


def test_a_rule_file_of_another_program_has_one_error() -> None:
    text = "namespace: app\ngroups:\n  - name: g\n    rules:\n"
    rules = "".join(f"      - {{alert: A{n}, expr: up == {n}}}\n" for n in range(4))
    rule_file = Source("c", {"r.yml": (text + rules).encode()}, folder=("F",))
    assert errors(rule_file) == [
        "c/r.yml:1: a rule file has no field namespace; use one of groups."
    ]


def test_each_part_of_an_object_has_its_own_line() -> None:
    text = """\
        apiVersion: 1
        contactPoints:
          - name: ops
            receivers:
              - {uid: ok, type: webhook, settings: {url: x}}
              - {uid: a b, type: webhook, settings: {url: x}}
        policies:
          - receiver: ops
            routes:
              - receiver: ops
                routes:
                  - {receiver: nowhere}
        groups:
          - name: g
            folder: F
            interval: 1m
            rules:
              - uid: a
                title: A
                condition: A
                data: [{refId: A, datasourceUid: p, relativeTimeRange: {from: 9}}]
              - uid: b
                title: B
                condition: Z
                data: [{refId: A, datasourceUid: p, relativeTimeRange: {from: 9}}]
              - uid: a
                title: A
                condition: A
                data: [{refId: A, datasourceUid: p, relativeTimeRange: {from: 9}}]
        """
    loaded = load(Source("c", {"p.yml": textwrap.dedent(text).encode()}))
    lines = sorted(error.split(": ")[0] for error in loaded.errors)
    assert lines == ["c/p.yml:22", "c/p.yml:26", "c/p.yml:26", "c/p.yml:6"]
    (duplicate,) = [error for error in loaded.errors if "is also at" in error]
    assert duplicate.startswith("c/p.yml:26: ") and "at c/p.yml:18;" in duplicate
    sources = {item.identity: item.source for item in loaded.required}
    assert sources["nowhere"].startswith("c/p.yml:12: ")


def test_dashboards_without_uids_are_no_duplicates() -> None:
    tree = {f"dashboards/{name}/{name}.json": b'{"title": "T"}' for name in "ab"}
    assert [error.split(": ")[1][:28] for error in errors(Source("c", tree))] == [
        "the dashboard has no uid, so",
        "the dashboard has no uid, so",
    ]


def test_rules_that_grafana_should_have_are_listed_with_their_queries() -> None:
    def rule(title: str, uid: str, **fields: object) -> dict[str, object]:
        model = {"refId": "A", **fields.pop("model", {})}
        data = [{"refId": "A", "datasourceUid": uid, "model": model}]
        return {"uid": title, "title": title, "condition": "A", "data": data, **fields}

    source = {"uid": "own", "name": "Own", "type": "loki", "url": "http://127.0.0.1"}
    rules = [
        rule("log", "own", model={"expr": '{a="1"}'}),
        rule("ours", "prometheus", model={"expr": "up"}),
        rule("typed", "x", model={"expr": "b", "datasource": {"type": "prometheus"}}),
        rule("unknown", "y", model={"expr": "c"}),
        rule("other", "z", model={"query": "SELECT 1"}),
        rule("paused", "own", model={"expr": '{a="2"}'}, isPaused=True),
    ]
    group = {"name": "own", "folder": "F", "interval": "1m", "rules": rules}
    absent = {"apiVersion": 1, "deleteRules": [{"uid": "gone", "orgId": 1}]}
    document = {"apiVersion": 1, "datasources": [source], "groups": [group]}
    converted = {
        "groups": [{"name": "g", "rules": [{"alert": "A", "expr": "up == 0"}]}]
    }
    desired = load(
        Source("", files(a_yml=document, b_yml={**document, "groups": []})),
        Source("", files(c_yml=converted, d_yml=absent), folder=("F",)),
    ).desired
    found = {
        (rule["group"], rule["rule"]): [
            (query["type"], query["expression"]) for query in rule["queries"]
        ]
        for rule in rules_of(desired)
    }
    assert found == {
        ("own", "log"): [("loki", '{a="1"}')],
        ("own", "ours"): [("prometheus", "up")],
        ("own", "typed"): [("prometheus", "b")],
        ("own", "unknown"): [("", "c")],
        ("own", "other"): [],
        ("g", "A"): [("prometheus", "up == 0")],
    }


def test_objects_have_their_own_name_in_messages() -> None:
    policy = {"policies": [{"receiver": "grafana-default-email"}]}
    first = Source(objects=policy, title="grafana_content_routes")
    loaded = load(first, Source("", files(p_yml=yaml.safe_dump(policy))))
    (error,) = [error for error in loaded.errors if "is also at" in error]
    assert "is also at grafana_content_routes; keep one" in error
