# SPDX-License-Identifier: GPL-3.0-or-later
"""Dangling references and duplicates are found before the first request."""

from __future__ import annotations

from copy import deepcopy

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.lint import (
    lint,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.schema import (
    Diagnostics,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
)

FOLDER = DesiredObject(
    "folder", "ops", {"uid": "ops", "title": "Ops", "parentUid": ""}, "folder:1"
)
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
NIGHT = DesiredObject(
    "mute_timing", "night", {"name": "night", "time_intervals": []}, "night:1"
)


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
    receiver = {
        "uid": uid,
        "type": "discord",
        "settings": {"url": "http://h", **settings},
    }
    return DesiredObject(
        "contact_point", name, {"name": name, "receivers": [receiver]}, source
    )


def policy(**route: object) -> DesiredObject:
    return DesiredObject("policy", "", {"receiver": "chat", **route}, "policy:1")


def query(ref: str, uid: str = "prom", **model: object) -> dict:
    span = {"from": 600, "to": 0}
    return {
        "refId": ref,
        "datasourceUid": uid,
        "relativeTimeRange": span,
        "model": model,
    }


def expression(ref: str, kind: str, formula: str) -> dict:
    return query(ref, "__expr__", type=kind, expression=formula)


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
    *rules: dict,
    title: str = "g",
    interval: int = 60,
    folder: str = "ops",
    source: str = "group:1",
) -> DesiredObject:
    body = {
        "folderUid": folder,
        "title": title,
        "interval": interval,
        "rules": list(rules),
    }
    return DesiredObject("rule_group", f"{folder}/{title}", body, source)


WHOLE = [
    FOLDER,
    SOURCE,
    TEMPLATE,
    NIGHT,
    board(),
    point(message='{{ template "chat" . }}'),
    policy(routes=[{"receiver": "chat", "mute_time_intervals": ["night"]}]),
    group(rule()),
]


def check(*desired: DesiredObject) -> tuple[list[str], list[tuple[str, str]]]:
    diagnostics = Diagnostics()
    required = lint(list(desired), diagnostics, strict=True)
    return diagnostics.errors, [(item.kind, item.identity) for item in required]


def test_complete_content_has_no_errors_and_stays_unchanged() -> None:
    before = deepcopy(WHOLE)
    assert check(*WHOLE) == ([], [])
    assert before == WHOLE


@pytest.mark.parametrize(
    ("desired", "required"),
    [
        pytest.param(
            [board(folder="live")], ("folder", "live"), id="folder of a dashboard"
        ),
        pytest.param(
            [FOLDER, board(panels=[{"datasource": {"uid": "x"}}])],
            ("datasource", "x"),
            id="panel",
        ),
        pytest.param(
            [FOLDER, board(panels=[{"targets": [{"datasource": {"uid": "x"}}]}])],
            ("datasource", "x"),
            id="target",
        ),
        pytest.param(
            [FOLDER, board(panels=[{"panels": [{"datasource": {"uid": "x"}}]}])],
            ("datasource", "x"),
            id="panel in a row",
        ),
        pytest.param(
            [FOLDER, board(annotations={"list": [{"datasource": {"uid": "x"}}]})],
            ("datasource", "x"),
            id="annotation",
        ),
        pytest.param(
            [
                DesiredObject(
                    "datasource",
                    "p",
                    {"name": "P", "jsonData": {"d": [{"datasourceUid": "x"}]}},
                    "s:1",
                )
            ],
            ("datasource", "x"),
            id="link of a datasource",
        ),
        pytest.param(
            [FOLDER, group(rule(data=(query("A", "x"),)))],
            ("datasource", "x"),
            id="query of a rule",
        ),
        pytest.param(
            [SOURCE, group(rule(), folder="live")],
            ("folder", "live"),
            id="folder of a rule group",
        ),
        pytest.param(
            [FOLDER, SOURCE, group(rule(notification_settings={"receiver": "x"}))],
            ("contact_point", "x"),
            id="receiver of a rule",
        ),
        pytest.param(
            [policy()], ("contact_point", "chat"), id="receiver of the policy"
        ),
        pytest.param(
            [point(), policy(routes=[{"routes": [{"receiver": "x"}]}])],
            ("contact_point", "x"),
            id="receiver of a nested route",
        ),
        pytest.param(
            [point(), policy(routes=[{"active_time_intervals": ["x"]}])],
            ("mute_timing", "x"),
            id="timing",
        ),
        pytest.param(
            [point(title='{{ template "x" . }}')],
            ("template", "x"),
            id="template of a contact point",
        ),
        pytest.param(
            [
                DesiredObject(
                    "template",
                    "t",
                    {"template": '{{define "a"}}{{- template "x" }}{{end}}'},
                    "t:1",
                )
            ],
            ("template", "x"),
            id="template of a template",
        ),
        pytest.param(
            [DesiredObject("folder", "sub", {"title": "Sub", "parentUid": "x"}, "f:1")],
            ("folder", "x"),
            id="parent folder",
        ),
    ],
)
def test_reference_to_an_object_outside_the_content_is_required(
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
def test_built_in_template_is_not_required(name: str) -> None:
    assert check(point(title=f'{{{{ template "{name}" . }}}}')) == ([], [])


@pytest.mark.parametrize(
    "datasource",
    [
        None,
        "",
        "default",
        "-- Mixed --",
        {"uid": "-- Grafana --"},
        {"type": "prometheus"},
        {"uid": "$ds"},
        {"uid": "${ds}"},
        "${ds:text}",
    ],
)
def test_built_in_datasource_or_variable_is_not_required(datasource: object) -> None:
    variables = {"list": [{"name": "ds", "type": "datasource"}]}
    assert check(
        FOLDER, board(panels=[{"datasource": datasource}], templating=variables)
    ) == (
        [],
        [],
    )


@pytest.mark.parametrize(
    ("desired", "message"),
    [
        pytest.param(
            [FOLDER, board(), board(title="B", source="b:2")],
            "b:2: dashboard app is also at board:1; keep one of them.",
            id="uid of a dashboard",
        ),
        pytest.param(
            [FOLDER, board(), board("b", source="b:2")],
            "b:2: the dashboard title App in ops is also at board:1; keep one of them.",
            id="title in a folder",
        ),
        pytest.param(
            [board("a", "A", ""), board("b", "A", "", "b:2")],
            "b:2: the dashboard title A in no folder is also at board:1; keep one of them.",
            id="title in no folder",
        ),
        pytest.param(
            [policy(), policy()],
            "policy:1: a notification policy is also at policy:1; keep one of them.",
            id="policies",
        ),
        pytest.param(
            [SOURCE, DesiredObject("datasource", "p2", SOURCE.body, "s:2")],
            "s:2: a datasource with the name Prom is also at source:1; keep one of them.",
            id="name of a datasource",
        ),
        pytest.param(
            [
                DesiredObject(
                    "datasource", uid, {"name": uid, "isDefault": True}, f"{uid}:1"
                )
                for uid in "ab"
            ],
            "b:1: a default datasource is also at a:1; keep one of them.",
            id="two defaults",
        ),
        pytest.param(
            [TEMPLATE, DesiredObject("template", "t2", TEMPLATE.body, "t:2")],
            "t:2: the template definition chat is also at template:1; keep one of them.",
            id="definition",
        ),
        pytest.param(
            [point(), point("other", source="p:2")],
            "p:2: a receiver with the uid c1 is also at point:1; keep one of them.",
            id="uid of a receiver",
        ),
        pytest.param(
            [FOLDER, SOURCE, group(rule()), group(rule(), title="h", source="h:1")],
            "h:1: a rule with the uid r1 is also at group:1; keep one of them.",
            id="uid of a rule",
        ),
        pytest.param(
            [FOLDER, SOURCE, group(rule(), rule(title="S"))],
            "group:1: a rule with the uid r1 is also at group:1; keep one of them.",
            id="uid of a rule in its group",
        ),
        pytest.param(
            [FOLDER, SOURCE, group(rule(), rule("r2"))],
            "group:1: rule group g has two rules with the title",
            id="title of a rule",
        ),
        pytest.param(
            [NIGHT, DesiredObject("mute_timing", "night", {}, "gone:1", "absent")],
            "gone:1: mute timing night is also at night:1; keep one of them.",
            id="there and to be removed",
        ),
        pytest.param(
            [point(), policy(mute_time_intervals=["night"]), NIGHT],
            "policy:1: the root of the notification policy has mute_time_intervals;"
            " move it to a nested route.",
            id="root",
        ),
        pytest.param(
            [point(), policy(**{"continue": True})],
            "policy:1: the root of the notification policy has continue;"
            " move it to a nested route.",
            id="continue at the root",
        ),
        pytest.param(
            [policy(receiver="")],
            "policy:1: the notification policy has no receiver; set receiver.",
            id="no receiver",
        ),
        pytest.param(
            [policy(), DesiredObject("contact_point", "chat", {}, "gone:1", "absent")],
            "policy:1: notification policy, receiver is chat, which this content"
            " removes; keep it there.",
            id="going",
        ),
        pytest.param(
            [board("a b", folder="")],
            "board:1: dashboard App has the uid 'a b'; use 1 to 40 letters, ",
            id="characters of a uid",
        ),
        pytest.param(
            [board("a" * 41, folder="")],
            f"board:1: dashboard App has the uid '{'a' * 41}'; use 1 to 40 ",
            id="length of a uid",
        ),
        pytest.param(
            [board(folder="", panels=[{"datasource": {"uid": "${DS_X}"}}])],
            "board:1: dashboard App has no variable DS_X for its datasource ${DS_X};"
            " define it, set DS_X in inputs, or use a uid.",
            id="input",
        ),
        pytest.param(
            [DesiredObject("template", "a/b", {"template": "x"}, "t:1")],
            "t:1: template 'a/b' has a name that Grafana cannot use as a file name; ",
            id="slash",
        ),
        pytest.param(
            [point(url="[REDACTED]")],
            "point:1: contact point chat, discord: url is [REDACTED], which Grafana exports ",
            id="secret of an export",
        ),
        pytest.param(
            [FOLDER, SOURCE, group()],
            "group:1: rule group g has no rules; add one, or remove the group.",
            id="empty group",
        ),
        pytest.param(
            [FOLDER, SOURCE, group(rule(), interval=15)],
            "group:1: rule group g has an interval of 15 seconds; use a multiple of 10 seconds.",
            id="interval",
        ),
    ],
)
def test_invalid_content_is_an_error(desired: list, message: str) -> None:
    errors, _required = check(*desired)
    assert any(error.startswith(message) for error in errors), errors


@pytest.mark.parametrize(
    ("broken_rule", "message"),
    [
        pytest.param(
            rule(condition="Z"),
            "uses the result of 'Z', which is not one of its queries; use one of A, B, C.",
            id="condition",
        ),
        pytest.param(
            rule(data=(query("A"), query("A"))),
            "has 2 queries with the refId 'A'; give each one its own.",
            id="refId twice",
        ),
        pytest.param(
            rule(data=(query(""),)),
            "has a query without a refId; set it.",
            id="no refId",
        ),
        pytest.param(
            rule(data=(query("A", ""),)),
            ": query A has no datasourceUid; set it.",
            id="no datasource",
        ),
        pytest.param(
            rule(data=(query("A"), expression("B", "math", "$A > ${Z} && $Y"))),
            ": expression B uses Z, Y, which the rule lacks;"
            " add a query, or correct the expression.",
            id="math",
        ),
        pytest.param(
            rule(data=(expression("B", "reduce", "A"),)),
            ": expression B uses A, which the rule lacks; add a query, or correct the expression.",
            id="reduce",
        ),
        pytest.param(
            rule(
                data=(
                    query(
                        "B",
                        "-100",
                        type="classic_conditions",
                        conditions=[{"query": {"params": ["A"]}}],
                    ),
                )
            ),
            ": expression B uses A, which the rule lacks; add a query, or correct the expression.",
            id="classic",
        ),
        pytest.param(
            rule(
                data=(
                    expression("A", "threshold", "B"),
                    expression("B", "threshold", "$A"),
                )
            ),
            " has expressions that use each other; remove the cycle.",
            id="circle",
        ),
        pytest.param(
            rule(data=(expression("A", "math", "$A + 1"),)),
            " has expressions that use each other",
            id="itself",
        ),
        pytest.param(
            rule(uid=""),
            "rule R has the uid ''; use 1 to 40 letters, digits, - and _.",
            id="no uid",
        ),
        pytest.param(
            rule(condition="", record={"metric": "m", "from": "Q"}),
            "uses the result of 'Q', which is",
            id="record",
        ),
    ],
)
def test_rule_that_grafana_cannot_evaluate_is_an_error(
    broken_rule: dict, message: str
) -> None:
    errors, _required = check(FOLDER, SOURCE, group(broken_rule))
    assert any(
        error.startswith("group:1: ") and message in error for error in errors
    ), errors


def test_object_is_required_once_with_its_location() -> None:
    diagnostics = Diagnostics()
    panels = [{"datasource": {"uid": "x"}}] * 3
    (required,) = lint([board(folder="", panels=panels)], diagnostics)
    reference = ("datasource", "x", "board:1: dashboard App, datasource")
    assert required == (*reference, True)
    assert lint([board(folder="", panels=panels)], diagnostics, strict=True) == [
        (*reference, False)
    ]


LINK = DesiredObject(
    "datasource",
    "tempo",
    {"name": "Tempo", "jsonData": {"tracesToLogs": {"datasourceUid": "x"}}},
    "tempo:1",
)
PANEL = DesiredObject(
    "library_panel",
    "rate",
    {
        "uid": "rate",
        "name": "Rate",
        "folderUid": "",
        "model": {"targets": [{"datasource": {"uid": "x"}}]},
    },
    "panel:1",
)


@pytest.mark.parametrize("item", [LINK, PANEL], ids=["link", "library panel"])
def test_dangling_reference_that_grafana_lives_with_is_an_error_if_strict(
    item: DesiredObject,
) -> None:
    for strict in (True, False):
        diagnostics = Diagnostics()
        (required,) = lint([item], diagnostics, strict)
        assert (required.identity, required.optional) == ("x", not strict)
        assert diagnostics.errors == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("$none", "has no variable none for its datasource $none"),
        ("${DS_MY-X}", "has no variable DS_MY-X for its datasource"),
        ("[[none]]", "has no variable none for its datasource [[none]]"),
        ("Prom", "has the name of datasource Prom in place of its uid"),
    ],
)
def test_datasource_that_is_no_uid_is_an_error_if_strict(
    name: str, message: str
) -> None:
    content = [SOURCE, board(folder="", panels=[{"datasource": {"uid": name}}])]
    strict, tolerant = Diagnostics(), Diagnostics()
    assert lint(content, strict, strict=True) == lint(content, tolerant) == []
    assert (strict.errors, strict.warnings) == (tolerant.warnings, tolerant.errors)
    assert message in strict.errors[0]


def test_datasource_of_an_old_dashboard_is_found_by_its_name() -> None:
    diagnostics = Diagnostics()
    panels = [{"datasource": "Prom"}, {"datasource": "Other"}]
    required = lint([SOURCE, board(folder="", panels=panels)], diagnostics)
    assert required == []
    assert diagnostics.errors == []
    (warning,) = diagnostics.warnings
    assert warning == (
        "board:1: dashboard App queries datasource Other by name, which is not checked;"
        " use its uid."
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{{ define "a" }}x', "has define without an end"),
        ('{{ define "a" }}{{ if .X }}x{{ end }}', "has define without an end"),
        ('{{ define "a" }}x{{ end }}{{ end }}', "has end without a beginning"),
        ("x{{ else }}", "has else without a beginning"),
        ('{{ define "a" }}{{ if }}x{{ end }}{{ end }}', "has if without a value"),
        ('{{ define "a" }}{{ define "b" }}{{ end }}{{ end }}', "has a define within"),
        ('{{ define "a" }}{{ end }}{{ define "a" }}{{ end }}', "defines a twice"),
        (
            '{{- define "a" -}}{{/* {{ end }} */}}{{ range .X }}{{ break }}{{ end }}{{ end }}',
            "",
        ),
        (
            '{{ block "b" . }}{{ if eq .Y "{{" }}1{{ else if .X }}2{{ else }}3{{ end }}{{ end }}',
            "",
        ),
    ],
)
def test_message_template_is_whole(text: str, problem: str) -> None:
    diagnostics = Diagnostics()
    template = DesiredObject(
        "template", "t", {"name": "t", "template": text}, "t.yml:1"
    )
    lint([template], diagnostics)
    assert len(diagnostics.errors) == bool(problem)
    assert all(problem in error for error in diagnostics.errors)
