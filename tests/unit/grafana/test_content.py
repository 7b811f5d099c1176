# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories, files and objects become one list of what is wanted in a Grafana, or a list of all that is wrong."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from copy import deepcopy
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from ansible.errors import AnsibleActionFail
from hypothesis import strategies

from ansible_collections.hippius.monitoring.plugins.action import grafana_content
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files import exporting
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.documents import (
    Unreadable,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds.base import Live
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds.registry import KINDS
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.payload import (
    decode_content,
    encode_content,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.content import Gathering, Source
from ansible_collections.hippius.monitoring.plugins.plugin_utils.export_files import rendered
from ansible_collections.hippius.monitoring.plugins.plugin_utils.yaml_documents import document

# The uid that Grafana derives for a datasource that a file names Prometheus.
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


def files(**texts: object) -> dict:
    """Files by name, where __ stands for a slash and the last _ for the dot before the suffix."""
    made = {}
    for name, content in texts.items():
        path, suffix = name.replace("__", "/").rsplit("_", 1)
        text = textwrap.dedent(content) if isinstance(content, str) else json.dumps(content)
        made[f"{path}.{suffix}"] = text.encode()
    return made


def gather(*sources: Source, **options: object) -> tuple[list, list, Gathering]:
    gathering = Gathering(**options)
    desired, required = gathering.desired(list(sources))
    return desired, required, gathering


def clean(*sources: Source, **options: object) -> dict:
    """Bodies of what is wanted by kind and identity; there must be nothing to complain of."""
    desired, _required, gathering = gather(*sources, **options)
    assert (gathering.findings.errors, gathering.findings.warnings) == ([], [])
    return {(item.kind, item.identity): item.body for item in desired}


def complaints(*sources: Source, **options: object) -> list[str]:
    return gather(*sources, **options)[2].findings.errors


def test_directory_is_the_folder_of_its_dashboards() -> None:
    tree = files(dashboards__Apps__Web_json=board(), dashboards__top_json=board("top", "Top"))
    found = clean(Source("grafana", tree, folder=("Hippius",)))
    folder = {body["title"]: body for (kind, _), body in found.items() if kind == "folder"}
    assert sorted(folder) == ["Apps", "Hippius"]
    assert folder["Apps"]["parentUid"] == folder["Hippius"]["uid"]
    assert found["dashboard", "app"] == {"dashboard": board(), "folderUid": folder["Apps"]["uid"]}
    assert found["dashboard", "top"]["folderUid"] == folder["Hippius"]["uid"]


def test_dashboard_at_the_top_is_in_no_folder() -> None:
    assert clean(Source("", files(app_json=board())))["dashboard", "app"]["folderUid"] == ""


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        (
            "app.json",
            b'{"uid": "a",\n "title": "\\ud800"}',
            "app.json:2: \\ud800 is half of a character.",
        ),
        (
            "app.json",
            b'{"uid": "a", "title": "A", "panels": [{"a":\n -1e999}]}',
            "app.json:2: -1e999 is no number in JSON.",
        ),
        ("a\udcff.json", b"{}", "a\\udcff.json: the name of this file is not UTF-8."),
        ("a\udcff.yml", b"{}", "a\\udcff.yml: the name of this file is not UTF-8."),
    ],
)
def test_what_could_not_be_told_of_later_is_refused(name: str, data: bytes, told: str) -> None:
    assert complaints(Source("", {name: data})) == [told]
    told.encode()


def test_a_link_that_leads_back_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "ab").symlink_to("a")
    grafana_content._refuse_loop(str(tmp_path), "ab")
    (tmp_path / "a" / "b" / "loop").symlink_to("../..")
    with pytest.raises(AnsibleActionFail, match="loop leads back to a directory that it is in"):
        grafana_content._refuse_loop(str(tmp_path / "a" / "b"), "loop")


def test_files_that_an_export_does_not_write_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secrets.yml").symlink_to("/nowhere")
    assert list(grafana_content._files(tmp_path)) == ["secrets.yml"]


def test_halves_that_make_a_character_are_one() -> None:
    tree = {"app.json": json.dumps(board(title="\U0001f525 \\ud800")).encode()}
    assert clean(Source("", tree))["dashboard", "app"]["dashboard"]["title"] == "\U0001f525 \\ud800"


def test_folders_below_one_with_a_uid_stay_what_they_are_when_it_is_renamed() -> None:
    found = []
    for title in ("Area", "Domain"):
        tree = files(
            a__b__c__app_json=board(),
            a___folder_yml=f"title: {title}\nuid: area\n",
            b__top_json=board("t", "T"),
        )
        found.append(
            {
                key: body.get("parentUid")
                for key, body in clean(Source("", tree)).items()
                if key[0] == "folder"
            }
        )
    assert found[0] == found[1] and len(found[0]) == 4


def test_datasource_that_a_file_deletes_and_makes_is_there() -> None:
    """As many files do, since Grafana deletes first."""
    text = """
    apiVersion: 1
    deleteDatasources: [{name: Prometheus, orgId: 1}, {name: Old}]
    datasources: [{name: Prometheus, type: prometheus}]
    """
    desired, _required, gathering = gather(Source("", files(a_yml=text)))
    assert gathering.findings.errors == []
    assert [
        (item.identity, item.state) for item in desired if item.body["name"] == "Prometheus"
    ] == [(PROMETHEUS_UID, "present")]
    assert [item.body["name"] for item in desired if item.state == "absent"] == ["Old"]


NO_DURATION = "f.yml:4: {!r} is no duration such as 30s or 1h30m."
NO_MULTIPLE = (
    "f.yml:2: rule group g: its interval must be a multiple of 10 seconds, not {} seconds."
)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        *((text, "") for text in ("60s", "1m30s", "'1m'", "1h", "1d", "$MINUTE")),
        ("60", NO_DURATION.format("60")),
        ("60.0", NO_DURATION.format("60.0")),
        ("1.5m", NO_DURATION.format("1.5m")),
        ("-1m", NO_DURATION.format("-1m")),
        ("1m 30s", NO_DURATION.format("1m 30s")),
        ("30s1m", NO_DURATION.format("30s1m")),
        ("\u0661m", NO_DURATION.format("\u0661m")),
        ("0s", NO_MULTIPLE.format(0)),
        ("65s", NO_MULTIPLE.format(65)),
        ("10500ms", NO_MULTIPLE.format(10.5)),
    ],
)
def test_interval_of_a_group(written: str, told: str) -> None:
    rule = "{uid: r, title: R, condition: A, data: [{refId: A, datasourceUid: __expr__, model: {type: math}}]}"
    text = f"groups:\n- name: g\n  folder: F\n  interval: {written}\n  rules: [{rule}]\napiVersion: 1\n"
    found = complaints(Source("", {"f.yml": text.encode()}), environment={"MINUTE": "1m"})
    assert found == ([told] if told else [])


@pytest.mark.parametrize(
    ("written", "told"),
    [
        *((text, "") for text in ("45s", "1m30s", "1d", "0s", "$MINUTE")),
        ("60", NO_DURATION.format(60)),
        ("60.0", NO_DURATION.format(60.0)),
        ("'60'", NO_DURATION.format("60")),
        ("1.5m", NO_DURATION.format("1.5m")),
    ],
)
def test_times_of_a_policy(written: str, told: str) -> None:
    text = f"apiVersion: 1\npolicies:\n- receiver: x\n  group_wait: {written}\n"
    found = complaints(Source("", {"f.yml": text.encode()}), environment={"MINUTE": "1m"})
    assert found == ([told] if told else [])


def test_file_in_a_directory_names_its_folder() -> None:
    tree = files(
        a__b__app_json=board(), a___folder_yml="title: Area/1\nuid: area\ndescription: All of it\n"
    )
    found = clean(Source("", tree))
    assert found["folder", "area"] == {
        "uid": "area", "title": "Area/1", "parentUid": "", "description": "All of it",
    }  # fmt: skip
    (child,) = [
        body for (kind, _), body in found.items() if kind == "folder" and body["title"] == "b"
    ]
    assert child["parentUid"] == "area"
    assert found["dashboard", "app"]["folderUid"] == child["uid"]


def test_folder_is_below_the_title_of_the_one_above() -> None:
    tree = files(
        A___folder_yml="title: Area", A__B___folder_yml="uid: below", A__B__app_json=board()
    )
    found = clean(Source("", tree))
    assert {body["title"] for (kind, _), body in found.items() if kind == "folder"} == {"Area", "B"}
    assert found["dashboard", "app"]["folderUid"] == "below"


def test_titles_of_folders_hold_for_all_sources() -> None:
    rules = files(
        alerting__rules_yml="""
        apiVersion: 1
        groups:
          - {name: g, folder: Area, interval: 1m, rules: [{uid: r, title: R, condition: A, data: [{refId: A,
            datasourceUid: __expr__, model: {type: math, expression: '1'}}]}]}
        """
    )
    found = clean(
        Source("", rules), Source(objects={"folders": [{"folder": "Area", "uid": "area"}]})
    )
    assert found["rule_group", "area/g"]["folderUid"] == "area"


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(board(id=7, version=3), id="classic"),
        pytest.param({"dashboard": board(id=7), "meta": {"folderUid": "elsewhere"}}, id="answer of the API"),
        pytest.param(
            {"apiVersion": "dashboard.grafana.app/v1beta1", "kind": "Dashboard", "metadata": {"name": "app"},
             "spec": {"title": "App", "panels": []}},
            id="resource",
        ),
    ],
)  # fmt: skip
def test_dashboard_is_read_in_each_form(model: dict) -> None:
    assert clean(Source("", files(app_json=model)))["dashboard", "app"]["dashboard"] == board()


def test_inputs_of_a_shared_dashboard_become_datasources() -> None:
    shared = board(
        panels=[{"datasource": {"type": "loki", "uid": "${DS_LOGS}"}, "title": "${instance} ${VAR_UNIT}"}],
        __inputs=[{"name": "DS_LOGS", "type": "datasource", "pluginId": "loki"},
                  {"name": "VAR_UNIT", "type": "constant", "value": "s"}],
        __requires=[{"type": "panel"}],
    )  # fmt: skip
    store = {"datasources": [{"name": "Logs", "type": "loki", "uid": "loki"}]}
    model = clean(Source("", files(app_json=shared)), Source(objects=store))["dashboard", "app"][
        "dashboard"
    ]
    assert model == board(
        panels=[{"datasource": {"type": "loki", "uid": "loki"}, "title": "${instance} s"}]
    )
    chosen = clean(
        Source("", files(app_json=shared)), Source(objects=store), inputs={"DS_LOGS": "loki"}
    )
    assert chosen["dashboard", "app"]["dashboard"] == model
    assert complaints(Source("g", files(app_json=shared))) == [
        "g/app.json:1: input DS_LOGS asks for a datasource of type loki, and none is here.",
        "g/app.json:1: dashboard App has no variable DS_LOGS to choose a datasource by: ${DS_LOGS}.",
    ]


def test_hostile_values_are_what_they_were_in_files_and_inline() -> None:
    model = board(tags=HOSTILE)
    for text in (json.dumps(model), json.dumps(model, ensure_ascii=False, indent=3)):
        found = clean(Source("", {"app.json": text.encode()}))["dashboard", "app"]["dashboard"]
        assert found == model
        assert type(found["tags"]["whole"]) is int
    assert (
        clean(Source(objects={"dashboards": [{"dashboard": model}]}))["dashboard", "app"][
            "dashboard"
        ]
        == model
    )


@pytest.mark.parametrize("name", ["objects", "file.json", "file.yml"])
def test_hostile_values_are_what_they_were_in_a_rule(name: str) -> None:
    texts = {key: value for key, value in HOSTILE.items() if isinstance(value, str)}
    model = {"type": "math", "expression": "1", "hidden": HOSTILE}
    query = {"refId": "A", "datasourceUid": "__expr__", "model": model}
    rule = {"uid": "r", "title": "R", "condition": "A", "data": [query], "annotations": texts}
    content = {
        "apiVersion": 1,
        "groups": [{"name": "g", "folder": "F", "interval": "1m", "rules": [rule]}],
    }
    # PyYAML takes 1e3 for a text and leaves it bare; Go's YAML, as we, for a number.
    dumped = yaml.safe_dump(content).replace("- 1e3\n", "- '1e3'\n")
    written = dumped if name.endswith(".yml") else json.dumps(content)
    source = Source(objects=content) if name == "objects" else Source("", {name: written.encode()})
    (found,) = [body for (kind, _), body in clean(source).items() if kind == "rule_group"]
    assert found["rules"][0]["annotations"] == texts
    assert found["rules"][0]["data"][0]["model"] == model


def test_inline_objects_are_taken_as_they_are_and_files_are_interpolated() -> None:
    point = {
        "name": "p",
        "receivers": [{"uid": "u", "type": "webhook", "settings": {"url": "$URL", "x": "$$5"}}],
    }
    content = {"apiVersion": 1, "contactPoints": [point]}

    def settings(source: Source) -> dict:
        return clean(source, environment={"URL": "http://h"})["contact_point", "p"]["receivers"][0][
            "settings"
        ]

    assert settings(Source(objects=content)) == {"url": "$URL", "x": "$$5"}
    assert settings(Source("", {"p.json": json.dumps(content).encode()})) == {
        "url": "http://h",
        "x": "$5",
    }


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


def test_provisioning_directory_of_a_container_is_taken_unchanged() -> None:
    tree = files(
        datasources__prometheus_yml="""
        apiVersion: 1
        datasources:
          - {name: Prometheus, type: prometheus, access: proxy, url: http://prometheus:9090, isDefault: true}
        """,
        dashboards__default_yml=PROVIDERS % ("/var/lib/grafana/dashboards", "true"),
    )
    panel = {"datasource": {"type": "prometheus", "uid": PROMETHEUS_UID}}
    boards = files(
        top_json=board("top", "Top"), a__b__deep_json=board("deep", "Deep", panels=[panel])
    )
    found = clean(
        Source("g", tree, paths={"/var/lib/grafana": "compose/data"}),
        list_directory={"compose/data/dashboards": boards}.get,
    )
    titles = {body["uid"]: body["title"] for (kind, _), body in found.items() if kind == "folder"}
    assert sorted(titles.values()) == ["Mine", "b"]
    assert titles[found["dashboard", "top"]["folderUid"]] == "Mine"
    assert titles[found["dashboard", "deep"]["folderUid"]] == "b"
    assert found["datasource", PROMETHEUS_UID]["url"] == "http://prometheus:9090"


def test_provider_within_the_provisioning_directory_needs_no_mapping() -> None:
    path = "/etc/grafana/provisioning/dashboards/"
    tree = files(
        dashboards__p_yml=PROVIDERS % (path, "false"),
        dashboards__app_json=board(),
        other_json=board("o", "O"),
    )
    desired, _required, gathering = gather(Source("g", tree))
    assert [item.identity for item in desired if item.kind == "dashboard"] == ["app"]
    assert gathering.findings.errors == []
    assert gathering.findings.warnings == [
        "g/other.json:1: no provider's path covers this dashboard; left out."
    ]


def test_directory_of_a_provider_that_is_not_here_is_told() -> None:
    tree = files(p_yml=PROVIDERS % ("/data/boards", "false"))
    (found,) = complaints(Source("g", tree))
    assert found.startswith(
        "g/p.yml:4: /data/boards of provider mine is no directory here; name in paths where"
    )


def test_dashboard_of_a_provider_gets_a_uid_that_follows_its_file() -> None:
    tree = files(p_yml=PROVIDERS % ("/data", "false"))
    boards = files(app_json={"title": "App"})
    results = [gather(Source("g", tree), list_directory={"/data": boards}.get) for _ in range(2)]
    uids = {
        item.identity for desired, _, _ in results for item in desired if item.kind == "dashboard"
    }
    assert len(uids) == 1
    assert results[0][2].findings.warnings == [
        f"/data/app.json:1: this dashboard has no uid and gets {uids.pop()}, which follows its file's name."
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
    store = Source(
        objects={"datasources": [{"name": "P", "type": "prometheus", "uid": "prometheus"}]}
    )
    found = clean(Source("roles/redis/files", tree, folder=("Hippius",)), store)
    ((identity, group),) = [
        (identity, body) for (kind, identity), body in found.items() if kind == "rule_group"
    ]
    assert identity == f"{group['folderUid']}/redis"
    assert group["rules"][0]["title"] == "RedisDown"
    assert ("folder", group["folderUid"]) in found
    assert "need a folder" in complaints(Source("roles/redis/files", tree), store)[0]
    broken = files(alerts_yml="groups:\n  - name: x\n    rules:\n      - {alert: A}\n")
    assert complaints(Source("r", broken, folder=("F",)))[0].startswith("r/alerts.yml:4: ")


def test_every_broken_file_among_many_is_told() -> None:
    tree = files(
        **{f"d__a{number}_json": board(f"a{number}", f"A{number}") for number in range(300)}
    )
    tree |= files(
        d__broken_json='{"title":\n "x",\n}',
        alerting__a_yml="apiVersion: 1\ncontactPoints:\n  - name: x\n   bad: 1\n",
        alerting__b_yml="apiVersion: 1\ncontactpoints: []\n",
        alerting__c_yml="apiVersion: 1\n\npolicies: [{receiver: nobody, colour: red}]\n",
    )
    tree["alerting/d.yml"] = b"apiVersion: 1\n# \xff\n"
    found = complaints(Source("g", tree))
    assert [line.split(": ")[0] for line in found] == [
        "g/alerting/a.yml:4", "g/alerting/d.yml:2", "g/d/broken.json:3", "g/alerting/b.yml:2", "g/alerting/c.yml:3",
    ]  # fmt: skip


def test_file_that_a_variable_names_is_read() -> None:
    def read(path: str) -> str:
        if path != "/run/secrets/url":
            raise Unreadable(f"{path} is not there.")
        return "http://secret\n"

    def tree(path: str) -> dict:
        settings = f"{{url: '$__file{{{path}}}'}}"
        receivers = f"[{{type: webhook, settings: {settings}}}]"
        return files(
            p_yml=f"apiVersion: 1\ncontactPoints:\n- {{name: p, receivers: {receivers}}}\n"
        )

    point = clean(Source("g", tree("/run/secrets/url")), read_file=read)["contact_point", "p"]
    assert point["receivers"][0]["settings"] == {"url": "http://secret"}
    assert complaints(Source("g", tree("/none")), read_file=read) == [
        "g/p.yml:3: /none is not there."
    ]


def test_empty_and_foreign_files_are_nothing() -> None:
    assert clean(Source("g", files(a_yml="# nothing\n", b_yaml="---\n"))) == {}


def values() -> strategies.SearchStrategy:
    """Anything that JSON can hold."""
    texts = strategies.text(max_size=20) | strategies.sampled_from(
        [*HOSTILE["yes"], "- a", "a: b", " a\n b", "\n", "#"]
    )
    leaves = (
        texts
        | strategies.none()
        | strategies.booleans()
        | strategies.integers()
        | strategies.floats(-1e30, 1e30)
    )
    return strategies.recursive(
        leaves,
        lambda inner: strategies.lists(inner) | strategies.dictionaries(texts, inner),
        max_leaves=8,
    )


@hypothesis.given(values())
def test_what_is_exported_is_read_as_it_was(value: object) -> None:
    texts = rendered({"a.yml": ("yaml", {"key": value}), "a.json": ("json", {"key": value})})
    assert {name: document(name, text.encode()).content for name, text in texts.items()} == {
        "a.yml": {"key": value}, "a.json": {"key": value},
    }  # fmt: skip


QUERIES = [
    {"refId": "A", "datasourceUid": "p", "relativeTimeRange": {"from": 600, "to": 0}, "model": {"expr": "up"}},
    {"refId": "B", "datasourceUid": "__expr__",
     "model": {"type": "classic_conditions", "conditions": [{"query": {"params": ["A"]}}]}},
    {"refId": "C", "datasourceUid": "__expr__", "model": {"type": "math", "expression": "$B"}},
]  # fmt: skip
RULE = {
    "uid": "r", "title": "R", "condition": "C", "data": QUERIES, "labels": {"a": "b"}, "annotations": {"a": "b"},
    "for": "1m", "dashboardUid": "app", "panelId": 1, "record": {"metric": "m", "from": "A"},
    "notification_settings": {"receiver": "chat", "group_by": ["a"], "mute_time_intervals": ["night"]},
}  # fmt: skip
EVERYTHING = {
    "apiVersion": 1,
    "folders": [{"folder": "A/B", "uid": "f", "description": "d"}],
    "datasources": [{"name": "P", "type": "prometheus", "uid": "p", "isDefault": True, "secureJsonData": {"a": "b"},
                     "jsonData": {"links": [{"datasourceUid": "p"}]}}],
    "contactPoints": [{"name": "chat", "receivers": [{"uid": "c", "type": "webhook", "settings": {"url": "u"}}]}],
    "policies": [{"receiver": "chat", "group_by": ["a"], "routes": [
        {"receiver": "chat", "object_matchers": [["a", "=", "b"]], "continue": True,
         "mute_time_intervals": ["night"]}]}],
    "templates": [{"name": "t", "template": '{{ define "a" }}{{ end }}'}],
    "muteTimes": [{"name": "night", "time_intervals": [{"times": [{"start_time": "22:00"}], "weekdays": ["monday"]}]}],
    "groups": [{"name": "g", "folder": "A/B", "interval": "1m", "rules": [RULE]}],
    "providers": [{"name": "p", "type": "file", "folder": "A", "options": {"path": "/none"}}],
    "deleteRules": [{"uid": "x"}],
    "resetPolicies": [1],
    "dashboards": [{"folder": "A", "dashboard": board(
        templating={"list": [{"name": "x"}]}, annotations={"list": [{"datasource": {"uid": "p"}}]},
        panels=[{"datasource": "p", "targets": [{"datasource": {"uid": "$x"}}]}],
        __inputs=[{"name": "DS_X", "type": "datasource", "pluginId": "prometheus"}])}],
}  # fmt: skip
RESOURCE = {
    "kind": "Dashboard",
    "metadata": {"name": "a", "annotations": {"grafana.app/folder": "f"}},
    "spec": board(),
}


def places(tree: Any, above: tuple = ()) -> Iterator[tuple]:
    """The keys and indexes that lead to each value."""
    for key, value in (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    ):
        yield (*above, key)
        yield from places(value, (*above, key))


@pytest.mark.parametrize(
    "odd",
    [None, True, -1, 1.5, "", "odd", [], ["odd"], [[]], {}, {"odd": 1}, {"odd": {}}],
    ids=repr,
)
def test_odd_content_is_told_and_never_breaks_the_reader(odd: object) -> None:
    for whole, as_file in ((EVERYTHING, False), (EVERYTHING, True), (RESOURCE, True)):
        for place in places(whole):
            content = deepcopy(whole)
            owner = reduce(getitem, place[:-1], content)
            owner[place[-1]] = deepcopy(odd)
            written = {"f.json": json.dumps(content).encode()}
            desired, required, _gathering = gather(
                Source("", written) if as_file else Source(objects=content)
            )
            assert decode_content(encode_content(desired, required)) == (desired, required)


def test_uid_of_a_folder_holds_whichever_file_names_it() -> None:
    """A group before it, of a folder below it, must not have been led elsewhere."""
    group = "{{name: {}, interval: 1m, rules: [{}], {}}}"
    rule = "{{uid: {0}, title: {0}, condition: A, data: [{{refId: A, datasourceUid: __expr__, model: {{type: math}}}}]}}"
    text = "apiVersion: 1\ngroups:\n" + "".join(
        f"- {group.format(name, rule.format(name), place)}\n"
        for name, place in (
            ("g", "folder: A/B"),
            ("h", "folder: A"),
            ("i", "folder: A, folderUid: $UID"),
        )
    )
    found = clean(Source("", files(a_yml=text)), environment={"UID": "x"})
    below = next(uid for kind, uid in found if kind == "folder" and uid != "x")
    assert sorted(uid for kind, uid in found if kind == "rule_group") == sorted(
        [f"{below}/g", "x/h", "x/i"]
    )
    assert found["folder", below]["parentUid"] == "x"
    other = text + f"- {group.format('j', rule.format('j'), 'folder: A, folderUid: y')}\n"
    told = complaints(Source("", files(a_yml=other)), environment={"UID": "x"})
    assert told == ["a.yml:6: folder A has the uid x at a.yml:5."]


def test_number_that_is_none_is_a_text_as_in_grafana() -> None:
    assert document("a.yml", b"[1e999, -1e999, 1e3]").content == ["1e999", "-1e999", 1000.0]


def test_secrets_of_an_export_are_variables_wherever_they_are() -> None:
    settings = {
        "url": "https://a", "headers": {"X-Api": "one", "X_Api": "two"}, "use_discord_username": "true",
        "http_config": {"oauth2": {"scopes": ["three"]}, "proxy": "$four"}, "title": "five", "pin": "[REDACTED]",
    }  # fmt: skip
    point = {"name": "p", "receivers": [{"uid": "c", "type": "webhook", "settings": settings}]}
    empty: dict = {kind: {} for kind in KINDS}
    made = exporting.files({**empty, "contact_point": {"p": Live(point)}})
    (found,) = made["files"]["alerting/contact-points.yml"][1]["contactPoints"][0]["receivers"]
    assert found["settings"] == {
        "url": "${C_URL}", "headers": {"X-Api": "${C_HEADERS_X_API}", "X_Api": "${C_HEADERS_X_API_2}"},
        "use_discord_username": "true", "title": "five", "pin": "${C_PIN}",
        "http_config": {"oauth2": {"scopes": ["${C_HTTP_CONFIG_OAUTH2_SCOPES_0}"]}, "proxy": "$$four"},
    }  # fmt: skip
    assert len(made["variables"]) == 5
