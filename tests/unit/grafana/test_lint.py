# SPDX-License-Identifier: GPL-3.0-or-later
"""References to nothing and things that are there twice are found before anything is sent."""

from __future__ import annotations

from copy import deepcopy

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.lint import lint
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.schema import (
    Findings,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import DesiredObject

FOLDER = DesiredObject("folder", "ops", {"uid": "ops", "title": "Ops", "parentUid": ""}, "folder:1")
SOURCE = DesiredObject(
    "datasource",
    "prom",
    {"uid": "prom", "name": "Prom", "type": "prometheus", "jsonData": {}},
    "source:1",
)
TEMPLATE = DesiredObject(
    "template",
    "texts",
    {"name": "texts", "template": '{{ define "chat" }}x{{ end }}'},
    "template:1",
)
NIGHT = DesiredObject("mute_timing", "night", {"name": "night", "time_intervals": []}, "night:1")


def board(
    uid: str = "app",
    title: str = "App",
    folder: str = "ops",
    source: str = "board:1",
    **model: object,
) -> DesiredObject:
    return DesiredObject(
        "dashboard",
        uid,
        {"dashboard": {"uid": uid, "title": title, **model}, "folderUid": folder},
        source,
    )


def point(
    name: str = "chat", uid: str = "c1", source: str = "point:1", **settings: object
) -> DesiredObject:
    receiver = {"uid": uid, "type": "discord", "settings": {"url": "http://h", **settings}}
    return DesiredObject("contact_point", name, {"name": name, "receivers": [receiver]}, source)


def policy(**route: object) -> DesiredObject:
    return DesiredObject("policy", "", {"receiver": "chat", **route}, "policy:1")


def query(ref: str, uid: str = "prom", **model: object) -> dict:
    return {"refId": ref, "datasourceUid": uid, "model": model}


def expression(ref: str, kind: str, text: str) -> dict:
    return query(ref, "__expr__", type=kind, expression=text)


def rule(uid: str = "r1", title: str = "R", data: tuple = (), **fields: object) -> dict:
    queries = data or (
        query("A"),
        expression("B", "reduce", "A"),
        expression("C", "threshold", "B"),
    )
    return {
        "uid": uid,
        "title": title,
        "condition": queries[-1]["refId"],
        "data": list(queries),
        **fields,
    }


def group(
    *rules: dict, title: str = "g", interval: int = 60, folder: str = "ops", source: str = "group:1"
) -> DesiredObject:
    body = {"folderUid": folder, "title": title, "interval": interval, "rules": list(rules)}
    return DesiredObject("rule_group", f"{folder}/{title}", body, source)


WHOLE = [
    FOLDER, SOURCE, TEMPLATE, NIGHT, board(), point(message='{{ template "chat" . }}'),
    policy(routes=[{"receiver": "chat", "mute_time_intervals": ["night"]}]), group(rule()),
]  # fmt: skip


def check(*desired: DesiredObject) -> tuple[list[str], list[tuple[str, str]]]:
    findings = Findings()
    required = lint(list(desired), findings)
    return findings.errors, [(item.kind, item.identity) for item in required]


def test_whole_content_is_fine_and_is_not_changed() -> None:
    before = deepcopy(WHOLE)
    assert check(*WHOLE) == ([], [])
    assert before == WHOLE


@pytest.mark.parametrize(
    ("desired", "required"),
    [
        pytest.param([board(folder="live")], ("folder", "live"), id="folder of a dashboard"),
        pytest.param([FOLDER, board(panels=[{"datasource": {"uid": "x"}}])], ("datasource", "x"), id="panel"),
        pytest.param([FOLDER, board(panels=[{"targets": [{"datasource": {"uid": "x"}}]}])], ("datasource", "x"),
                     id="target"),
        pytest.param([FOLDER, board(panels=[{"panels": [{"datasource": {"uid": "x"}}]}])], ("datasource", "x"),
                     id="panel in a row"),
        pytest.param([FOLDER, board(annotations={"list": [{"datasource": {"uid": "x"}}]})], ("datasource", "x"),
                     id="annotation"),
        pytest.param([DesiredObject("datasource", "p", {"name": "P", "jsonData": {"d": [{"datasourceUid": "x"}]}}, "s:1")],
                     ("datasource", "x"), id="link of a datasource"),
        pytest.param([FOLDER, group(rule(data=(query("A", "x"),)))], ("datasource", "x"), id="query of a rule"),
        pytest.param([SOURCE, group(rule(), folder="live")], ("folder", "live"), id="folder of a rule group"),
        pytest.param([FOLDER, SOURCE, group(rule(notification_settings={"receiver": "x"}))], ("contact_point", "x"),
                     id="receiver of a rule"),
        pytest.param([policy()], ("contact_point", "chat"), id="receiver of the policy"),
        pytest.param([point(), policy(routes=[{"routes": [{"receiver": "x"}]}])], ("contact_point", "x"),
                     id="receiver of a nested route"),
        pytest.param([point(), policy(routes=[{"active_time_intervals": ["x"]}])], ("mute_timing", "x"), id="timing"),
        pytest.param([point(title='{{ template "x" . }}')], ("template", "x"), id="template of a contact point"),
        pytest.param([DesiredObject("template", "t", {"template": '{{define "a"}}{{- template "x" }}{{end}}'}, "t:1")],
                     ("template", "x"), id="template of a template"),
        pytest.param([DesiredObject("folder", "sub", {"title": "Sub", "parentUid": "x"}, "f:1")], ("folder", "x"),
                     id="parent folder"),
    ],
)  # fmt: skip
def test_reference_to_what_is_not_wanted_is_required_of_the_server(
    desired: list, required: tuple
) -> None:
    assert check(*desired) == ([], [required])


@pytest.mark.parametrize(
    "name",
    [
        "discord.default.message",
        "default.title",
        "__subject",
        "__text_alert_list",
        "teams.default.message",
    ],
)
def test_templates_of_grafana_itself_are_there(name: str) -> None:
    assert check(point(title=f'{{{{ template "{name}" . }}}}')) == ([], [])


@pytest.mark.parametrize(
    "datasource",
    [None, "", "default", "-- Mixed --", {"uid": "-- Grafana --"}, {"type": "prometheus"}, {"uid": "$ds"},
     {"uid": "${ds}"}, "${ds:text}"],
)  # fmt: skip
def test_datasources_of_grafana_itself_and_variables_are_there(datasource: object) -> None:
    variables = {"list": [{"name": "ds", "type": "datasource"}]}
    assert check(FOLDER, board(panels=[{"datasource": datasource}], templating=variables)) == (
        [],
        [],
    )


@pytest.mark.parametrize(
    ("desired", "problem"),
    [
        pytest.param([FOLDER, board(), board(title="B", source="b:2")], "b:2: dashboard app is also at board:1.",
                     id="uid of a dashboard"),
        pytest.param([FOLDER, board(), board("b", source="b:2")],
                     "b:2: the dashboard title App in ops is also at board:1.", id="title in a folder"),
        pytest.param([board("a", "A", ""), board("b", "A", "", "b:2")],
                     "b:2: the dashboard title A in no folder is also at board:1.", id="title in no folder"),
        pytest.param([policy(), policy()], "policy:1: a notification policy is also at policy:1.", id="policies"),
        pytest.param([SOURCE, DesiredObject("datasource", "p2", SOURCE.body, "s:2")],
                     "s:2: a datasource with the name Prom is also at source:1.", id="name of a datasource"),
        pytest.param([DesiredObject("datasource", uid, {"name": uid, "isDefault": True}, f"{uid}:1") for uid in "ab"],
                     "b:1: a default datasource is also at a:1.", id="two defaults"),
        pytest.param([TEMPLATE, DesiredObject("template", "t2", TEMPLATE.body, "t:2")],
                     "t:2: the template definition chat is also at template:1.", id="definition"),
        pytest.param([point(), point("other", source="p:2")], "p:2: a receiver with the uid c1 is also at point:1.",
                     id="uid of a receiver"),
        pytest.param([FOLDER, SOURCE, group(rule()), group(rule(), title="h", source="h:1")],
                     "h:1: a rule with the uid r1 is also at group:1.", id="uid of a rule"),
        pytest.param([FOLDER, SOURCE, group(rule(), rule(title="S"))],
                     "group:1: a rule with the uid r1 is also at group:1.", id="uid of a rule in its group"),
        pytest.param([FOLDER, SOURCE, group(rule(), rule("r2"))], "group:1: rule group g has two rules with the title",
                     id="title of a rule"),
        pytest.param([NIGHT, DesiredObject("mute_timing", "night", {}, "gone:1", "absent")],
                     "gone:1: mute timing night is also at night:1.", id="there and to be removed"),
        pytest.param([point(), policy(mute_time_intervals=["night"]), NIGHT],
                     "policy:1: the root of the notification policy cannot have mute_time_intervals.", id="root"),
        pytest.param([policy(receiver="")], "policy:1: the notification policy has no receiver.", id="no receiver"),
        pytest.param([policy(), DesiredObject("contact_point", "chat", {}, "gone:1", "absent")],
                     "policy:1: notification policy, receiver is chat, which is to be removed.", id="going"),
        pytest.param([board("a b", folder="")], "board:1: the uid 'a b' of dashboard App must be 1 to 40 letters, ",
                     id="characters of a uid"),
        pytest.param([board("a" * 41, folder="")], f"board:1: the uid '{'a' * 41}' of dashboard App must be 1 to 40 ",
                     id="length of a uid"),
        pytest.param([board(folder="", panels=[{"datasource": {"uid": "${DS_X}"}}])],
                     "board:1: dashboard App has no variable DS_X to choose a datasource by: ${DS_X}.", id="input"),
        pytest.param([DesiredObject("template", "a/b", {"template": "x"}, "t:1")], "t:1: 'a/b' cannot be the name of a",
                     id="slash"),
        pytest.param([point(url="[REDACTED]")], "point:1: contact point chat, discord: url is [REDACTED], as Grafana ",
                     id="secret of an export"),
        pytest.param([FOLDER, SOURCE, group()], "group:1: rule group g has no rules.", id="empty group"),
        pytest.param([FOLDER, SOURCE, group(rule(), interval=15)],
                     "group:1: rule group g: its interval must be a multiple of 10 seconds, not 15", id="interval"),
    ],
)  # fmt: skip
def test_problem_is_told(desired: list, problem: str) -> None:
    assert [error for error in check(*desired)[0] if error.startswith(problem)], check(*desired)[0]


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        pytest.param(rule(condition="Z"), "takes its result from 'Z', which is none of its queries: A, B, C.",
                     id="condition"),
        pytest.param(rule(data=(query("A"), query("A"))), "has 2 queries with the refId 'A'.", id="refId twice"),
        pytest.param(rule(data=(query(""),)), "has 1 queries with the refId ''.", id="no refId"),
        pytest.param(rule(data=(query("A", ""),)), ": query A has no datasourceUid.", id="no datasource"),
        pytest.param(rule(data=(query("A"), expression("B", "math", "$A > ${Z} && $Y"))),
                     ": expression B needs Z, Y, not there.", id="math"),
        pytest.param(rule(data=(expression("B", "reduce", "A"),)), ": expression B needs A, not there.", id="reduce"),
        pytest.param(rule(data=(query("B", "-100", type="classic_conditions",
                                      conditions=[{"query": {"params": ["A"]}}]),)),
                     ": expression B needs A, not there.", id="classic"),
        pytest.param(rule(data=(expression("A", "threshold", "B"), expression("B", "threshold", "$A"))),
                     " has expressions that need each other in a circle.", id="circle"),
        pytest.param(rule(data=(expression("A", "math", "$A + 1"),)), " has expressions that need each other",
                     id="itself"),
        pytest.param(rule(uid=""), "the uid '' of rule R must be 1 to 40 letters, digits, - and _.", id="no uid"),
        pytest.param(rule(condition="", record={"metric": "m", "from": "Q"}), "takes its result from 'Q', which is",
                     id="record"),
    ],
)  # fmt: skip
def test_rule_that_could_not_be_evaluated_is_told(made: dict, problem: str) -> None:
    errors, _required = check(FOLDER, SOURCE, group(made))
    assert [error for error in errors if error.startswith("group:1: ") and problem in error], errors


def test_same_thing_is_required_once_with_its_place() -> None:
    findings = Findings()
    panels = [{"datasource": {"uid": "x"}}] * 3
    (required,) = lint([board(folder="", panels=panels)], findings)
    assert required == ("datasource", "x", "board:1: dashboard App, datasource")


def test_datasource_that_an_old_dashboard_asks_by_its_name_is_looked_for_by_it() -> None:
    findings = Findings()
    assert (
        lint(
            [SOURCE, board(folder="", panels=[{"datasource": "Prom"}, {"datasource": "Other"}])],
            findings,
        )
        == []
    )
    assert findings.errors == []
    assert findings.warnings == [
        "board:1: dashboard App asks datasource Other by its name, which is not checked."
    ]
