# SPDX-License-Identifier: GPL-3.0-or-later
"""Equal objects compare equal, and different ones do not, in any spelling of Grafana."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana import (
    normalize,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds.base import (
    Settings,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds.registry import (
    REGISTRY,
)
from tests.unit.grafana.factories import BODIES, CHANGES, RULE, changed


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ({"a": [1]}, {"a": [1.0]}, True),
        ({"a": True}, {"a": 1}, False),
        ({"a": None}, {}, False),
        ([1, 2], [2, 1], False),
        ("", None, False),
        (2**53 + 1, 2**53, True),
        ("\u2028", "\u2028", True),
    ],
)
def test_json_values_are_equal(left: Any, right: Any, equal: bool) -> None:
    assert normalize.same(left, right) is equal


@pytest.mark.parametrize(
    ("given", "compared"),
    [
        ("1h", "3600s"),
        ("60m", "3600s"),
        ("1h0m0s", "3600s"),
        ("90s", "90s"),
        ("1m30s", "90s"),
        ("1d", "86400s"),
        ("1w", "604800s"),
        ("500ms", "0.5s"),
        ("292y", "9208512000s"),
        ("0s", "0s"),
        ("0", "0s"),
        ("", "0s"),
        (None, "0s"),
        (0, "0s"),
        ("soon", "soon"),
        ("5", "5"),
        ("1.5h", "1.5h"),
    ],
)
def test_durations_compare_in_seconds(given: Any, compared: str) -> None:
    assert normalize.duration(given) == compared


@pytest.mark.parametrize("kind", BODIES)
def test_a_kind_sees_each_change_and_touches_nothing(kind: str) -> None:
    chosen = REGISTRY[kind]

    def comparable(body: dict) -> dict:
        sent = chosen.prepared(body, None, Settings(fingerprint_key="key", salt="s"))
        return chosen.comparable(chosen.expected(sent), sent)

    kept = deepcopy(BODIES[kind])
    same = comparable(BODIES[kind])
    assert normalize.same(comparable(BODIES[kind]), same)
    for where, value in CHANGES[kind]:
        assert not normalize.same(
            comparable(changed(BODIES[kind], where, value)), same
        ), (
            where,
            value,
        )
    assert BODIES[kind] == kept


def live_rule(**changes: Any) -> dict:
    """Return a rule as a server returns it."""
    rule = deepcopy(RULE)
    for query in rule["data"]:
        query["model"] |= {"intervalMs": 1000, "maxDataPoints": 43200}
        query.setdefault("relativeTimeRange", {"from": 0, "to": 0})
        query["queryType"] = ""
    own = {
        "id": 7,
        "orgID": 1,
        "updated": "2026-01-01",
        "provenance": "api",
        "guid": "g",
        "folderUID": "ops",
    }
    return {**rule, **own, "isPaused": False, "keep_firing_for": "0s", **changes}


@pytest.mark.parametrize(
    ("changes", "equal"),
    [
        ({}, True),
        ({"for": "300s"}, True),
        ({"for": "5m0s"}, True),
        ({"for": "6m"}, False),
        ({"labels": None}, False),
        (
            {
                "notification_settings": {
                    "receiver": "",
                    "group_by": [],
                    "mute_time_intervals": None,
                }
            },
            True,
        ),
        ({"notification_settings": {"receiver": "chat"}}, False),
        ({"missingSeriesEvalsToResolve": -1}, True),
        ({"missingSeriesEvalsToResolve": 3}, False),
        ({"record": None}, True),
        ({"metadata": {"editor_settings": {}}, "new_in_grafana_14": 1}, True),
        ({"isPaused": True}, False),
        ({"execErrState": "OK"}, False),
    ],
)
def test_rules_compare_without_fields_of_the_server(changes: dict, equal: bool) -> None:
    assert (
        normalize.same(
            normalize.rule(live_rule(**changes), RULE), normalize.rule(RULE, RULE)
        )
        is equal
    )


def test_the_newer_api_spells_ok_in_another_way() -> None:
    assert normalize.rule({**RULE, "execErrState": "Ok"}, RULE) == normalize.rule(
        {**RULE, "execErrState": "OK"}, RULE
    )


@pytest.mark.parametrize(
    ("model", "equal"),
    [
        ({"intervalMs": 1000, "maxDataPoints": 43200}, True),
        ({"intervalMs": 0}, True),
        ({"intervalMs": "often"}, True),
        ({"intervalMs": 500}, False),
        ({"maxDataPoints": 100}, False),
        ({"hide": False}, False),
    ],
)
def test_defaults_in_query_models_are_ignored(model: dict, equal: bool) -> None:
    plain = {"refId": "A", "datasourceUid": "p", "model": {"expr": "up"}}
    other = {**plain, "model": {"expr": "up", **model}}
    assert normalize.same(normalize.query(plain), normalize.query(other)) is equal


def test_a_recording_rule_has_no_conditions() -> None:
    record = {"metric": "m", "from": "A"}
    asked = {"uid": "r", "title": "R", "record": record, "data": []}
    server = {
        **asked,
        "for": "0s",
        "condition": "",
        "noDataState": "",
        "execErrState": "",
        "labels": None,
    }
    assert normalize.same(normalize.rule(server, asked), normalize.rule(asked, asked))


def test_routes_in_all_spellings_are_equal() -> None:
    one = {
        "receiver": "a",
        "routes": [
            {"object_matchers": [["x", "=~", "2"], ["b", "=", "1"]], "group_by": None}
        ],
    }
    others = [
        {
            "receiver": "a",
            "routes": [{"match": {"b": "1"}, "match_re": {"x": "2"}, "routes": []}],
        },
        {
            "receiver": "a",
            "routes": [{"matchers": ['b="1"', "x=~2"], "continue": False}],
            "group_wait": "30s",
        },
        {
            "receiver": "a",
            "routes": [{"object_matchers": [["b", "=", "1"], ["x", "=~", "2"]]}],
            "repeat_interval": "240m",
        },
    ]
    for other in others:
        assert normalize.same(normalize.route(one), normalize.route(other)), other
    # Only the root has times of its own; a child without any has its parent's, which is not zero.
    for wait in ("30s", "0s"):
        child = {"receiver": "a", "routes": [{**one["routes"][0], "group_wait": wait}]}
        assert not normalize.same(normalize.route(one), normalize.route(child))


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ({"months": ["may:august"]}, {"months": ["5:8"]}, True),
        ({"months": ["January", "3:3"]}, {"months": ["1", "3"]}, True),
        (
            {"weekdays": ["Monday"]},
            {"weekdays": ["monday"], "times": None, "years": []},
            True,
        ),
        ({"days_of_month": ["1:1", -1]}, {"days_of_month": ["1", "-1"]}, True),
        ({"years": [2030]}, {"years": ["2030"]}, True),
        ({"location": ""}, {"location": "UTC"}, True),
        ({"location": None}, {}, True),
        ({"location": "UTC"}, {}, False),
        ({"days_of_month": ["01:07"]}, {"days_of_month": ["+1:7"]}, True),
        ({"months": ["03"]}, {"months": ["march"]}, True),
        ({"times": [{"start_time": "00:00", "end_time": "24:00"}]}, {}, False),
    ],
)
def test_intervals_compare_in_one_spelling(
    left: dict, right: dict, equal: bool
) -> None:
    both = [
        normalize.mute_timing({"time_intervals": [interval]})
        for interval in (left, right)
    ]
    assert normalize.same(*both) is equal


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ('\n{{ define "a" }}x{{ end }}  \n', '{{ define "a" }}x{{ end }}'),
        ("hello\nworld", '{{ define "n" }}\n  hello\n  world\n{{ end }}'),
        ('{{define "a"}}x{{end}}', '{{define "a"}}x{{end}}'),
    ],
)
def test_templates_are_normalized_as_stored(text: str, stored: str) -> None:
    assert normalize.template("n", text) == stored
    assert normalize.template("n", stored) == stored


def test_a_definition_is_spelled_for_all_servers() -> None:
    text = normalize.defining('{{- define "a" -}}x{{- end }}')
    assert text == '{{ define "a" -}}x{{- end }}'
    assert normalize.template("n", text) == text


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ({"maxAlerts": 5}, {"maxAlerts": "5"}, True),
        ({"maxAlerts": 5.0}, {"maxAlerts": 5}, True),
        ({"chat": 2**53 + 1}, {"chat": 2**53}, True),
        ({"chat": 2**53 + 1}, {"chat": 2**53 + 2}, False),
        ({"chat": -100123}, {"chat": "-100123"}, True),
        ({"a": "", "b": None, "c": {}, "d": []}, {}, True),
        ({"a": False}, {}, False),
        ({"a": True}, {"a": "true"}, True),
        ({"a": {"b": 1}}, {"a": {"b": "2"}}, False),
    ],
)
def test_settings_compare_without_types(left: dict, right: dict, equal: bool) -> None:
    assert (normalize.settings(left) == normalize.settings(right)) is equal


def test_fields_that_the_server_adds_to_a_dashboard_are_ignored() -> None:
    asked = {
        "title": "A",
        "uid": "a",
        "panels": [{"id": 1, "libraryPanel": {"uid": "l", "name": "L"}}],
    }
    server = {
        **asked,
        "id": 4,
        "version": 9,
        "new_in_grafana_14": {},
        "panels": [
            {
                "id": 1,
                "libraryPanel": {
                    "uid": "l",
                    "name": "L",
                    "meta": {"updated": "now"},
                    "model": {},
                },
            }
        ],
    }
    assert normalize.same(
        normalize.dashboard(server, asked), normalize.dashboard(asked, asked)
    )
    for key, value in {
        "refresh": "5s",
        "templating": {"list": [1]},
        "timezone": "utc",
        "editable": False,
    }.items():
        assert not normalize.same(
            normalize.dashboard({**server, key: value}, asked),
            normalize.dashboard(asked, asked),
        )


@pytest.mark.parametrize(
    ("asked", "stored", "equal"),
    [
        ("1s", "5s", True),
        ("500ms", "5s", True),
        # As 11.6.2 and 12.4.0 store them.
        ("nonsense", "5s", True),
        ("-5s", "5s", True),
        ("0", "5s", True),
        ("0d", "5s", True),
        ("5S", "5s", True),
        (" 10s", "5s", True),
        ("1d12h", "5s", True),
        ("1.5s", "5s", True),
        ("6000ms", "5s", False),
        ("+10s", "5s", False),
        ("0.5h", "5s", False),
        ("1h30m", "5s", False),
        ("1d", "5s", False),
        ("1M", "5s", False),
        (5, "5s", False),
        ("1s", "10s", False),
        ("10s", "5s", False),
        ("", "5s", False),
        (False, "5s", False),
        ("auto", "5s", False),
    ],
)
def test_refresh_that_grafana_raises_is_no_difference(
    asked: Any, stored: str, equal: bool
) -> None:
    desired = {"title": "A", "refresh": asked}
    live = normalize.dashboard({**desired, "refresh": stored}, desired)
    assert normalize.same(live, normalize.dashboard(desired, desired)) is equal


def test_keys_that_plugins_add_are_ignored() -> None:
    asked = {"name": "P", "type": "postgres", "jsonData": {"a": 1}}
    server = {
        "name": "P",
        "type": "grafana-postgresql-datasource",
        "access": "proxy",
        "jsonData": {"a": 1, "added": True},
        "isDefault": True,
        "readOnly": False,
        "apiVersion": "v0",
    }
    assert normalize.same(
        normalize.datasource(server, asked), normalize.datasource(asked, asked)
    )
    by_hand = {**server, "basicAuth": True}
    assert not normalize.same(
        normalize.datasource(by_hand, asked), normalize.datasource(asked, asked)
    )


@pytest.mark.parametrize(
    ("text", "uses", "defines"),
    [
        ('{{ template "a" . }}{{- template `b` . -}}{{template "a"}}', ["a", "b"], []),
        ('{{ if .X }}{{\n\ttemplate "a`b" . }}{{ end }}', ["a`b"], []),
        (
            '{{ define "a" }}{{ end }}{{- define `b"c` -}}{{ end }}{{ block "d" . }}{{ end }}',
            [],
            ["a", 'b"c', "d"],
        ),
        (
            (
                '{{/* {{ template "a" . }} */}}{{- /* {{ define "b" }}\n{{ end }} */ -}}'
                '{{ template "c" . }}'
            ),
            ["c"],
            [],
        ),
        ('{{ .Template }} template "a" {{ /* template */ }}', [], []),
    ],
)
def test_called_and_defined_templates_are_found(
    text: str, uses: list, defines: list
) -> None:
    assert normalize.templates_used({"deep": [{"text": text}]}) == uses
    assert normalize.defined({"template": text}) == defines


@pytest.mark.parametrize(
    "ignored",
    [
        {"keep_firing_for": "5m"},
        {"notification_settings": {"receiver": "x"}},
        {"missingSeriesEvalsToResolve": 3},
    ],
)
def test_fields_that_grafana_empties_in_a_recording_rule_are_ignored(
    ignored: dict,
) -> None:
    """Grafana accepts and empties them."""
    record = {**RULE, "record": {"metric": "m", "from": "A"}}
    asked = {**record, **ignored}
    assert normalize.same(normalize.rule(record, asked), normalize.rule(asked, asked))


def test_numbers_in_a_query_are_as_exact_as_in_grafana() -> None:
    """It reads the model of a rule's query into floats, and writes it anew."""
    asked, stored, other = (
        normalize.query({"refId": "A", "model": {"deep": [number, 10**400, True]}})
        for number in (2**53 + 1, float(2**53), 2**53 + 2)
    )
    assert normalize.same(asked, stored) and not normalize.same(asked, other)


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        pytest.param(2**53 + 1, 2**53, True, id="integers beyond doubles"),
        pytest.param(2**53 + 1, float(2**53), True, id="an integer and its double"),
        pytest.param(
            2**53 - 1, 2**53 - 2, False, id="integers that doubles tell apart"
        ),
        pytest.param(10**400, 10**400, True, id="beyond all doubles"),
        pytest.param(10**400, 10**401, False, id="different beyond all doubles"),
        pytest.param(True, 1, False, id="a boolean is no number"),
        pytest.param(0, False, False, id="nor is a number a boolean"),
        pytest.param(None, 0, False, id="nothing is not zero"),
        pytest.param("1", 1, False, id="nor is a string a number"),
    ],
)
def test_numbers_are_compared_as_the_server_keeps_them(
    left: object, right: object, equal: bool
) -> None:
    assert normalize.same(left, right) is equal
    assert normalize.same({"a": [left]}, {"a": [right]}) is equal
