# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake Grafana: rules, contact points, policies, mute timings and templates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.testbed import discord
from tests.testbed.grafana import notifications
from tests.testbed.grafana.server import FakeGrafana
from tests.unit.testbed.grafana_client import (
    GROUP,
    HAND,
    POINTS,
    POLICIES,
    RULES,
    TEMPLATES,
    TIMINGS,
    VERSIONS,
    call,
    group,
    point,
    rule,
)


@pytest.fixture(params=VERSIONS)
def grafana(request: pytest.FixtureRequest) -> Iterator[FakeGrafana]:
    with FakeGrafana(version=request.param, notification_delay=0.0) as started:
        call(started, "POST", "/api/folders", {"uid": "f", "title": "F/1"})
        # One that has been upgraded has the contact point by mail, which these tests refer to.
        started.store.put(1, "alertmanager", "", notifications.default())
        yield started


def release(grafana: FakeGrafana) -> int:
    return int(grafana.grafana.version.partition(".")[0])


def put(
    grafana: FakeGrafana, *rules: dict[str, Any], hand: bool = False, **options: Any
) -> tuple[int, Any]:
    return call(
        grafana, "PUT", GROUP, group(*rules, **options), headers=HAND if hand else None
    )


# Rules


@pytest.mark.parametrize(
    "change",
    [
        {"title": ""},
        {"data": []},
        {"uid": "u" * 41},
        {"uid": "a b"},
        {"noDataState": "Nope"},
        {"execErrState": None},
        {"for": 60},
        {"for": "1.5h"},
        {"labels": {"a": 1}},
        {"annotations": {"__dashboardUid__": "d"}},
        {
            "data": [
                rule("r")["data"][0] | {"relativeTimeRange": {"from": 0, "to": 600}}
            ]
        },
        {"notification_settings": {"receiver": "nobody"}},
        {
            "notification_settings": {
                "receiver": "grafana-default-email",
                "repeat_interval": "0s",
            }
        },
    ],
)
def test_a_rule_is_refused(grafana, change):
    assert put(grafana, rule("r") | change)[0] == 400
    assert call(grafana, "GET", RULES)[1] == []


@pytest.mark.parametrize("number", [0, -1, -2])
def test_a_missing_series_is_resolved_after_one_evaluation_at_least(grafana, number):
    if release(grafana) == 11:
        # 11 does not have the field.
        assert put(grafana, rule("r", missingSeriesEvalsToResolve=number))[0] == 200
        assert "missingSeriesEvalsToResolve" not in call(grafana, "GET", RULES)[1][0]
        return
    assert put(grafana, rule("r", missingSeriesEvalsToResolve=number))[0] == 400
    assert put(grafana, rule("r", missingSeriesEvalsToResolve=3))[0] == 200
    # An existing rule keeps its value by this word.
    expected = 200 if number == -1 else 400
    assert put(grafana, rule("r", missingSeriesEvalsToResolve=number))[0] == expected
    assert call(grafana, "GET", RULES)[1][0]["missingSeriesEvalsToResolve"] == 3
    assert put(grafana, rule("r"))[0] == 200
    assert "missingSeriesEvalsToResolve" not in call(grafana, "GET", RULES)[1][0]


def test_a_rule_may_be_grouped_by_any_labels(grafana):
    call(grafana, "POST", POINTS, point())
    for labels, status in (
        (["b", "a"], 200),
        (["..."], 200),
        (["a", "a"], 400 if release(grafana) == 13 else 200),
    ):
        assert (
            put(
                grafana,
                rule("a", notification_settings={"receiver": "c", "group_by": labels}),
            )[0]
            == status
        )
        if status == 200:
            assert (
                call(grafana, "GET", RULES)[1][0]["notification_settings"]["group_by"]
                == labels
            )


@pytest.mark.parametrize("interval", [0, 7, -10, "1m", None])
def test_an_interval_is_a_number_of_tens_of_seconds(grafana, interval):
    assert put(grafana, rule("r"), interval=interval)[0] == 400


def test_the_server_fills_in_what_a_query_lacks(grafana):
    model = {
        "expr": "up",
        "queryType": "instant",
        "intervalMs": "x",
        "maxDataPoints": 7,
    }
    query = {
        "refId": "A",
        "datasourceUid": "p",
        "relativeTimeRange": {"from": 60, "to": 0},
        "model": model,
    }
    sent = rule(
        "r", data=[query, rule("r")["data"][1]], keep_firing_for="60m", **{"for": "90s"}
    )
    # The answer of a write is what was sent.
    assert put(grafana, sent)[1]["rules"] == [sent]
    [stored] = call(grafana, "GET", GROUP)[1]["rules"]
    first, second = stored["data"]
    # Grafana 12.4.0 was seen to write the refId into the model.
    own = {} if release(grafana) == 11 else {"refId": "A"}
    assert first["model"] == model | {"intervalMs": 1000} | own
    assert first["queryType"] == "instant"
    assert second["model"]["maxDataPoints"] == 43200
    assert second["relativeTimeRange"] == {"from": 0, "to": 0}
    assert (
        stored["for"],
        stored["provenance"],
        stored["folderUID"],
        stored["ruleGroup"],
    ) == (
        "1m30s",
        "api",
        "f",
        "g",
    )
    # Unknown to 11, which overlooks it.
    assert stored.get("keep_firing_for") == (None if release(grafana) == 11 else "1h")


def test_a_group_that_is_the_same_is_not_written(grafana):
    put(grafana, rule("a"), rule("b"))
    first = call(grafana, "GET", GROUP)[1]
    put(grafana, rule("a"), rule("b"))
    assert call(grafana, "GET", GROUP)[1] == first
    assert grafana.state_resets == {}
    put(grafana, rule("a"), rule("b", labels={"x": "y"}))
    assert grafana.state_resets == {"b": 1}
    put(grafana, rule("b", labels={"x": "y"}), rule("a"))
    assert [stored["uid"] for stored in call(grafana, "GET", GROUP)[1]["rules"]] == [
        "b",
        "a",
    ]
    # Nothing but the provenance differs: nothing is written.
    put(grafana, rule("b", labels={"x": "y"}), rule("a"), hand=True)
    assert [stored["provenance"] for stored in call(grafana, "GET", RULES)[1]] == [
        "api",
        "api",
    ]


def test_no_rules_are_not_an_empty_group(grafana):
    put(grafana, rule("a"))
    assert put(grafana, interval=120)[0] == 200
    answer = call(grafana, "GET", GROUP)[1]
    assert (answer["interval"], len(answer["rules"])) == (120, 1)
    assert call(grafana, "DELETE", GROUP)[0] == 204
    assert call(grafana, "GET", GROUP)[0] == 404
    assert call(grafana, "DELETE", GROUP)[0] == 404


def test_a_rule_left_out_goes_and_one_of_another_group_comes(grafana):
    put(grafana, rule("a"), rule("b"))
    call(grafana, "PUT", GROUP.replace("/g", "/h"), group(rule("b"), rule("c")))
    assert [stored["uid"] for stored in call(grafana, "GET", GROUP)[1]["rules"]] == [
        "a"
    ]
    put(grafana, rule("d"))
    assert sorted(stored["uid"] for stored in call(grafana, "GET", RULES)[1]) == [
        "b",
        "c",
        "d",
    ]


def test_titles_are_unique_in_a_folder_before_12(grafana):
    assert put(grafana, rule("a", title="T"), rule("b", title="T"))[0] == (
        400 if release(grafana) == 11 else 200
    )


def test_a_missing_folder_is_refused(grafana):
    assert (
        call(grafana, "PUT", GROUP.replace("/f/", "/none/"), group(rule("a")))[0] == 400
    )
    assert (
        call(grafana, "POST", RULES, rule("a", folderUID="none", ruleGroup="g"))[0]
        == 400
    )


def test_single_rules(grafana):
    sent = rule("a", folderUID="f", ruleGroup="g")
    assert call(grafana, "POST", RULES, sent)[0] == 201
    assert call(grafana, "POST", RULES, sent)[0] == 409
    # The path decides, whatever the body says.
    assert (
        call(grafana, "PUT", f"{RULES}/a", sent | {"uid": "", "title": "T"})[1]["uid"]
        == "a"
    )
    assert call(grafana, "PUT", f"{RULES}/none", sent)[0] == 404
    assert call(grafana, "GET", f"{RULES}/none")[0] == 404
    assert call(grafana, "PUT", f"{RULES}/a", sent, headers=HAND)[0] == 409
    assert call(grafana, "DELETE", f"{RULES}/a", headers=HAND)[0] == 409
    assert call(grafana, "DELETE", f"{RULES}/a")[0] == 204
    assert call(grafana, "DELETE", f"{RULES}/a")[0] == 204


@pytest.mark.parametrize(
    ("stored", "hand", "status"),
    [("", False, 200), ("api", True, 200), ("file", False, 409), ("file", True, 409)],
)
def test_a_rule_changes_its_owner_only_as_allowed(grafana, stored, hand, status):
    put(grafana, rule("a"))
    grafana.set_provenance("rule", "a", stored)
    answer = put(grafana, rule("a", title="T"), hand=hand)
    assert answer[0] == status
    if status == 409:
        assert answer[1]["messageId"] == "alerting.provenanceMismatch"
        assert put(grafana, rule("b"), hand=hand)[0] == 409
        assert call(grafana, "DELETE", GROUP)[0] == 409


def test_rules_are_exported_in_the_file_format(grafana):
    export = f"{RULES}/export?format=json"
    assert call(grafana, "GET", export)[0] == 404
    call(
        grafana, "POST", "/api/folders", {"uid": "sub", "title": "S", "parentUid": "f"}
    )
    put(
        grafana,
        rule("b"),
        rule("a", annotations={"__dashboardUid__": "d", "__panelId__": "3"}),
        interval=90,
    )
    call(grafana, "PUT", GROUP.replace("/f/", "/sub/"), group(rule("c")))
    first, second = call(grafana, "GET", export)[1]["groups"]
    assert [first[key] for key in ("name", "folder", "folderUid", "interval")] == [
        "g",
        "F\\/1",
        "f",
        "1m30s",
    ]
    assert [stored["uid"] for stored in first["rules"]] == ["b", "a"]
    assert (first["rules"][1]["dashboardUid"], first["rules"][1]["panelId"]) == ("d", 3)
    assert second["folder"] == "F\\/1/S"
    assert "provenance" not in first["rules"][0]
    filtered = call(grafana, "GET", f"{export}&folderUid=sub")[1]["groups"]
    assert filtered == [second]
    assert call(grafana, "GET", f"{export}&group=g")[0] == 400
    assert call(grafana, "GET", f"{export}&ruleUid=a&folderUid=f")[0] == 400
    assert json.loads(
        json.dumps(call(grafana, "GET", f"{GROUP}/export?format=json")[1]["groups"])
    ) == [first]


def test_the_alerting_pages_form_has_the_folder_s_path(grafana):
    put(grafana, rule("a"))
    [listed] = call(grafana, "GET", "/api/ruler/grafana/api/v1/rules")[1]["F\\/1"]
    assert (listed["name"], listed["interval"]) == ("g", "1m")
    assert listed["rules"][0]["grafana_alert"]["uid"] == "a"


# Contact points


@pytest.mark.parametrize(
    "change",
    [
        {"type": "nope"},
        {"settings": {}},
        {"name": ""},
        {"uid": "a b"},
        {"settings": None},
        {"type": None},
    ],
)
def test_a_contact_point_is_refused(grafana, change):
    assert call(grafana, "POST", POINTS, point() | change)[0] == 400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "cannot create contact point with UID"),
        ({"settings": {}}, "failed to validate integration"),
        ({"type": "nope"}, "nope"),
    ],
)
def test_the_settings_of_a_contact_point_are_judged_before_its_uid(
    grafana, change, message
):
    """As 11.6.2 and 12.4.0 were seen to do."""
    status, answer = call(grafana, "POST", POINTS, point() | {"uid": "-" * 41} | change)
    assert (status, message in answer["message"]) == (400, True)
    assert not [one for one in call(grafana, "GET", POINTS)[1] if one["uid"]]


@pytest.mark.parametrize(
    ("template", "errors"),
    [
        ('{{ define "a" }}{{ .Status }}{{ end }}', []),
        ('{{ define "a" }}{{ foo }}{{ end }}', ["invalid_template"]),
        ('{{ define "a" }}', ["invalid_template"]),
    ],
)
def test_a_template_is_tested_without_being_stored(grafana, template, errors):
    path = "/api/alertmanager/grafana/config/api/v1/templates/test"
    body = {"name": "a", "template": template, "alerts": []}
    answer = call(grafana, "POST", path, body)[1]
    assert [error["kind"] for error in answer.get("errors", [])] == errors
    assert call(grafana, "GET", "/api/v1/provisioning/templates")[1] in ([], None)


def test_secrets_of_contact_points_are_shown_only_to_admins(grafana):
    shown = call(grafana, "POST", POINTS, point())[1]
    assert shown["settings"] == {"url": "[REDACTED]"}
    # The word stands for what is stored.
    assert (
        call(
            grafana,
            "PUT",
            f"{POINTS}/c",
            point(settings={"url": "[REDACTED]", "message": "m"}),
        )[0]
        == 202
    )

    def exported(query: str, login: str = "admin:admin") -> Any:
        status, answer = call(
            grafana, "GET", f"{POINTS}/export?format=json&name=c{query}", login=login
        )
        return (
            answer["contactPoints"][0]["receivers"][0]["settings"]
            if status == 200
            else status
        )

    assert exported("") == {"url": "[REDACTED]", "message": "m"}
    assert exported("&decrypt=true") == {"url": "http://127.0.0.1/c", "message": "m"}
    grafana.add_user("ed", "pass", "Editor")
    assert exported("&decrypt=true", "ed:pass") == 403
    assert "127.0.0.1/c" not in str(grafana.store.all(1, "alertmanager"))


def test_integrations_of_one_name_are_one_contact_point(grafana):
    call(grafana, "POST", POINTS, point("a", name="team"))
    call(grafana, "POST", POINTS, point("b", name="team"))
    assert call(grafana, "POST", POINTS, point("b", name="other"))[0] == 409
    assert [
        stored["uid"] for stored in call(grafana, "GET", f"{POINTS}?name=team")[1]
    ] == [
        "a",
        "b",
    ]
    assert call(grafana, "PUT", POLICIES, {"receiver": "team"})[0] == 202
    assert call(grafana, "DELETE", f"{POINTS}/a")[0] == 202
    assert call(grafana, "DELETE", f"{POINTS}/b")[0] == 409
    assert call(grafana, "DELETE", f"{POINTS}/none")[0] == 202
    assert call(grafana, "PUT", f"{POINTS}/none", point())[0] == 404


def test_a_contact_point_of_a_rule_stays(grafana):
    call(grafana, "POST", POINTS, point())
    put(grafana, rule("a", notification_settings={"receiver": "c"}))
    assert call(grafana, "DELETE", f"{POINTS}/c")[0] == 409


def test_a_contact_point_without_integrations_is_not_listed():
    with FakeGrafana(version="12.4.3") as grafana:
        assert call(grafana, "GET", f"{POINTS}/export?format=json") == (
            200,
            {"apiVersion": 1},
        )
        assert call(grafana, "GET", POINTS) == (200, [])
        assert call(grafana, "GET", POLICIES)[1]["receiver"] == "empty"


def test_another_name_is_followed_where_the_old_one_is_routed(grafana):
    call(grafana, "POST", POINTS, point())
    call(
        grafana,
        "PUT",
        POLICIES,
        {"receiver": "grafana-default-email", "routes": [{"receiver": "c"}]},
    )
    status, _answer = call(grafana, "PUT", f"{POINTS}/c", point(name="new"))
    routed = call(grafana, "GET", POLICIES)[1]["routes"][0]["receiver"]
    assert (status, routed) == (202, "new")


# Policies


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"receiver": "nobody"},
        {"receiver": "c", "routes": [{"receiver": "nobody"}]},
        {"receiver": "c", "routes": [{"mute_time_intervals": ["never"]}]},
        {"receiver": "c", "object_matchers": [["a", "=", "b"]]},
        {"receiver": "c", "mute_time_intervals": ["m"]},
        {"receiver": "c", "group_by": ["...", "a"]},
        {"receiver": "c", "group_by": ["a", "a"]},
        {"receiver": "c", "group_interval": "0s"},
        {"receiver": "c", "group_wait": "soon"},
        {"receiver": "c", "routes": [{"object_matchers": [["a", "=="]]}]},
        {"receiver": "c", "routes": [{"object_matchers": [["a", "==", "b"]]}]},
        {"receiver": "c", "routes": [{"object_matchers": [["a", "=~", "("]]}]},
    ],
)
def test_a_policy_tree_is_refused_and_the_old_one_stays(grafana, tree):
    call(grafana, "POST", POINTS, point())
    call(grafana, "POST", TIMINGS, {"name": "m", "time_intervals": []})
    assert call(grafana, "PUT", POLICIES, tree)[0] == 400
    assert call(grafana, "GET", POLICIES)[1] == {
        "receiver": "grafana-default-email",
        "group_by": ["grafana_folder", "alertname"],
    }


def test_a_policy_tree_is_normalized(grafana):
    call(grafana, "POST", POINTS, point())
    matchers = [["severity", "=", "critical"], ["alertname", "=~", '"A.*"']]
    child = {
        "receiver": "c",
        "object_matchers": matchers,
        "matchers": ['b="2"', "a!=1"],
        "continue": False,
    }
    sent = {
        "receiver": "c",
        "group_wait": "90s",
        "repeat_interval": "24h",
        "routes": [child],
        "mute_time_intervals": None,
    }
    call(grafana, "PUT", POLICIES, sent)
    assert call(grafana, "GET", POLICIES)[1] == {
        "receiver": "c",
        "group_wait": "1m30s",
        "repeat_interval": "1d",
        "provenance": "api",
        "routes": [
            {
                "receiver": "c",
                "object_matchers": [
                    ["alertname", "=~", "A.*"],
                    ["severity", "=", "critical"],
                ],
                "matchers": ['a!="1"', 'b="2"'],
            }
        ],
    }
    given_back = release(grafana) == 13
    assert call(grafana, "PUT", POLICIES, sent, headers=HAND)[0] == (
        202 if given_back else 403
    )
    assert ("provenance" in call(grafana, "GET", POLICIES)[1]) != given_back
    if not given_back:
        assert call(grafana, "DELETE", POLICIES, headers=HAND)[0] == 403
    assert call(grafana, "DELETE", POLICIES)[0] == 202
    first = "empty" if grafana.grafana.release >= (12, 4) else "grafana-default-email"
    assert call(grafana, "GET", POLICIES)[1]["receiver"] == first


# Mute timings and templates


def test_a_mute_timing_is_normalized(grafana):
    sent = {
        "times": [{"start_time": "22:00", "end_time": "24:00"}],
        "weekdays": ["Monday:wednesday", "saturday"],
        "days_of_month": ["1:5", "-1", "3:3"],
        "months": ["january:march", "5"],
        "years": ["2026:2027"],
        "location": "Europe/Berlin",
    }
    status, answer = call(
        grafana, "POST", TIMINGS, {"name": "m", "time_intervals": [sent]}
    )
    assert status == 201
    normal = {
        "weekdays": ["monday:wednesday", "saturday"],
        "days_of_month": ["1:5", "-1", "3"],
        "months": ["1:3", "5"],
    }
    assert answer["time_intervals"] == [sent | normal]
    assert call(grafana, "POST", TIMINGS, {"name": "m", "time_intervals": []})[0] == 409
    assert (
        call(grafana, "PUT", f"{TIMINGS}/m", {"name": "other", "time_intervals": []})[0]
        == 404
    )
    assert (
        call(
            grafana,
            "PUT",
            f"{TIMINGS}/m",
            {"name": "m", "version": "old", "time_intervals": []},
        )[0]
        == 409
    )
    assert (
        call(grafana, "PUT", f"{TIMINGS}/none", {"name": "none", "time_intervals": []})[
            0
        ]
        == 404
    )
    current = {"version": answer["version"], "time_intervals": []}
    assert call(grafana, "PUT", f"{TIMINGS}/m", current)[0] == 202
    tree = {
        "receiver": "grafana-default-email",
        "routes": [{"mute_time_intervals": ["m"]}],
    }
    assert call(grafana, "PUT", POLICIES, tree)[0] == 202
    assert call(grafana, "DELETE", f"{TIMINGS}/m")[0] == 409
    call(grafana, "DELETE", POLICIES)
    assert [call(grafana, "DELETE", f"{TIMINGS}/m")[0] for _again in range(2)] == [
        204,
        204,
    ]


@pytest.mark.parametrize(
    "interval",
    [
        {"times": [{"start_time": "25:00", "end_time": "26:00"}]},
        {"times": [{"start_time": "22:00", "end_time": "06:00"}]},
        {"months": ["smarch"]},
        {"weekdays": ["noday"]},
        {"days_of_month": ["32"]},
        {"unknown": []},
    ],
)
def test_a_mute_timing_is_refused(grafana, interval):
    assert (
        call(grafana, "POST", TIMINGS, {"name": "m", "time_intervals": [interval]})[0]
        == 400
    )


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ('\n {{ define "t" }}\n a\n{{ end }} \n', '{{ define "t" }}\n a\n{{ end }}'),
        (
            "one {{ .Status }}\ntwo",
            '{{ define "t" }}\n  one {{ .Status }}\n  two\n{{ end }}',
        ),
        (
            '{{ define "a" }}{{ range .Alerts }}{{ .Labels.x | toUpper }}{{ end }}{{ end }}',
            None,
        ),
        (
            (
                '{{ define "a" }}{{- /* say */ -}}{{ if eq (len .Alerts) 1 }}"{{ else }}b{{ end }}'
                "{{ end }}"
            ),
            None,
        ),
    ],
)
def test_a_template_is_trimmed_and_wrapped(grafana, sent, stored):
    status, answer = call(grafana, "PUT", f"{TEMPLATES}/t", {"template": sent})
    assert (status, answer["template"]) == (202, stored or sent)
    assert (
        call(grafana, "PUT", f"{TEMPLATES}/t", {"template": "x", "version": "old"})[0]
        == 409
    )
    assert [call(grafana, "DELETE", f"{TEMPLATES}/t")[0] for _again in range(2)] == [
        204,
        204,
    ]
    assert call(grafana, "GET", f"{TEMPLATES}/t")[0] == 404


@pytest.mark.parametrize(
    "template",
    [
        "",
        "  ",
        '{{ define "t" }}{{ .Foo',
        '{{ define "t" }}{{ nosuch . }}{{ end }}',
        '{{ define "t" }}x',
        "{{ end }}",
        "{{ }}",
    ],
)
def test_a_template_is_refused(grafana, template):
    assert call(grafana, "PUT", f"{TEMPLATES}/t", {"template": template})[0] == 400


# What holds for all of them


@pytest.mark.parametrize(
    ("stored", "hand"), [("api", True), ("file", True), ("file", False), ("", False)]
)
def test_notifications_change_their_owner_only_as_allowed(grafana, stored, hand):
    call(grafana, "POST", POINTS, point())
    call(grafana, "PUT", f"{TEMPLATES}/t", {"template": "x"})
    call(grafana, "POST", TIMINGS, {"name": "m", "time_intervals": []})
    for kind, key in (
        ("contact_point", "c"),
        ("template", "t"),
        ("mute_timing", "m"),
        ("policy", ""),
    ):
        grafana.set_provenance(kind, key, stored)
    writes = [
        (f"{POINTS}/c", point(disableResolveMessage=True)),
        (f"{TEMPLATES}/t", {"template": "y"}),
        (f"{TIMINGS}/m", {"name": "m", "time_intervals": [{}]}),
        (POLICIES, {"receiver": "c"}),
    ]
    refused = hand and release(grafana) < 13
    for path, body in writes:
        assert call(grafana, "PUT", path, body, headers=HAND if hand else None)[0] == (
            403 if refused else 202
        )
    assert call(grafana, "GET", f"{TEMPLATES}/t")[1].get("provenance", "") == (
        stored if refused else "" if hand else "api"
    )


def test_notifications_are_written_one_at_a_time(grafana):
    grafana.grafana.notification_delay = 0.05
    with ThreadPoolExecutor(4) as pool:
        paths = [f"{TEMPLATES}/t{number}" for number in range(4)]
        codes = sorted(
            pool.map(
                lambda path: call(grafana, "PUT", path, {"template": "x"})[0], paths
            )
        )
    assert codes[0] == 202
    assert codes[-1] == (500 if release(grafana) == 11 else 409)


def test_a_receiver_is_tested(grafana):
    old = "/api/alertmanager/grafana/config/api/v1/receivers/test"
    new = "/apis/notifications.alerting.grafana.app/{}/namespaces/default/receivers/-/test"
    with discord.FakeDiscord() as channel:
        settings = {"url": channel.webhook}
        legacy = {
            "receivers": [
                {
                    "name": "t",
                    "grafana_managed_receiver_configs": [point(settings=settings)],
                }
            ]
        }
        status, _answer = call(grafana, "POST", old, legacy)
        assert status == (410 if release(grafana) == 13 else 200)
        body = {
            "integration": {"type": "discord", "version": "v1", "settings": settings},
            "alert": {},
        }
        codes = [
            call(grafana, "POST", new.format(version), body)[0]
            for version in ("v0alpha1", "v1beta1")
        ]
        assert (
            codes == {11: [404, 404], 12: [200, 404], 13: [200, 200]}[release(grafana)]
        )
        assert len(channel.messages) == {11: 1, 12: 2, 13: 2}[release(grafana)]
        if release(grafana) > 11:
            channel.limited = 1
            assert (
                call(grafana, "POST", new.format("v0alpha1"), body)[1]["status"]
                == "failure"
            )
            call(grafana, "POST", POINTS, point(settings=settings))
            by_uid = {"integrationRef": {"uid": "c"}}
            assert call(grafana, "POST", new.format("v0alpha1"), by_uid)[1] == {
                "status": "success"
            }
