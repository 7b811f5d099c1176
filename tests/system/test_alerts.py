# SPDX-License-Identifier: GPL-3.0-or-later
"""Each alert fires when it should and is silent otherwise, by Prometheus' own tool.

`alerts/<role>.yml` has the cases of a role's `files/alerts.yml`. `tests` are in the format of
`promtool test rules`; `cases` are a shorter form, with these keys:

    alert      Name of the alert.
    series     Notation of values by series; a series without env and host is of dev and a.
    interval   Interval of the values (30s).
    evaluate   Interval of the evaluations (30s).
    silent     Time without the alert (one evaluation before `fires`).
    fires      Time at which exactly the alerts in `expected` fire.
    expected   Labels, except env if it is dev, and summary of each alert.

The tests leave out the descriptions, which are constant, and fields that only Grafana uses.
"""

from __future__ import annotations

import re
import subprocess
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.filter.slo_rules import slo_rules
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files import (
    prometheus_rules,
)
from tests import content
from tests.testbed.releases.build import build_all

CASES = Path(__file__).parent / "alerts"
ROLES = list(content.alert_files())
NOT_TESTED = (
    "description",
    "runbook_url",
    "grafana_no_data",
    "grafana_exec_error",
    "__dashboardUid__",
    "__panelId__",
)
EVALUATE = "30s"
SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
# Mutations of an expression: comparisons and matchers are reversed, numbers changed.
FLIPPED = {">": "<=", "<": ">=", "==": "!=", ">=": "<", "<=": ">"}
FLIPPED_MATCHERS = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
COMPARISON = re.compile(r"(?<=\s)(>=|<=|>|<|==)(?=\s)")
THRESHOLD = re.compile(r"(?<=\s[<>]\s)-?[\d.]+|(?<=\s[<>]=\s)-?[\d.]+")
MATCHER = re.compile(r"(?<=\w)(=~|!~|!=|=)(?=\")")
GROUPING = re.compile(r"\bby \(([^)]*)\)")
SMALL = 10


@pytest.fixture(scope="module")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Prometheus' tool of the test bed's release."""
    [archive] = build_all(["prometheus"]).values()
    folder = tmp_path_factory.mktemp("promtool")
    with tarfile.open(archive) as opened:
        [member] = [
            member
            for member in opened.getmembers()
            if member.name.endswith("/promtool")
        ]
        member.name = "promtool"
        opened.extract(member, folder, filter="data")
    return folder / "promtool"


def alerts(role: str) -> dict[str, Any]:
    """Return the alerts of a role without the fields that are not tested."""
    document = yaml.safe_load(content.alert_files()[role].read_text(encoding="utf-8"))
    for rule in rules(document):
        rule["labels"].pop("engine", None)
        rule["annotations"] = {
            key: text
            for key, text in rule["annotations"].items()
            if key not in NOT_TESTED
        }
    return document


def rules(document: dict) -> list[dict[str, Any]]:
    return [rule for group in document["groups"] for rule in group["rules"]]


def seconds(duration: str) -> int:
    """Return the seconds of a duration such as 1h30m."""
    parts = re.findall(r"(\d+)([dhms])", duration)
    return sum(int(count) * SECONDS[unit] for count, unit in parts)


def labelled(series: str) -> str:
    """Return a series with the environment dev and the host a, unless it has others."""
    name, _brace, labels = series.partition("{")
    kept = [labels.rstrip("}")] if labels else []
    added = [
        f'{label}="{value}"'
        for label, value in (("env", "dev"), ("host", "a"))
        if f'{label}="' not in labels.replace(f'_{label}="', "")
    ]
    return f"{name}{{{', '.join(kept + added)}}}"


def expanded(case: dict[str, Any]) -> dict[str, Any]:
    """Return a case of the shorter form as a file of promtool."""
    evaluate = case.get("evaluate", EVALUATE)
    fires = seconds(case["fires"])
    silent = case.get("silent", f"{fires - seconds(evaluate)}s")
    expected = [
        {
            "exp_labels": {"env": "dev", **alert["labels"]},
            "exp_annotations": {"summary": alert["summary"]},
        }
        for alert in case["expected"]
    ]
    name = case["alert"]
    test = {
        "interval": case.get("interval", EVALUATE),
        "input_series": [
            {"series": labelled(series), "values": values}
            for series, values in case["series"].items()
        ],
        "alert_rule_test": [
            {"alertname": name, "eval_time": silent, "exp_alerts": []},
            {"alertname": name, "eval_time": f"{fires}s", "exp_alerts": expected},
        ],
    }
    return {
        "rule_files": ["alerts.yml"],
        "evaluation_interval": evaluate,
        "tests": [test],
    }


def cases(role: str) -> list[dict[str, Any]]:
    """Return the cases of a role as files of promtool."""
    document = yaml.safe_load((CASES / f"{role}.yml").read_text(encoding="utf-8"))
    short = [expanded(case) for case in document.pop("cases", [])]
    return [document, *short] if document["tests"] else short


def cases_of(role: str, alert: str) -> list[dict[str, Any]]:
    """Return the cases of one alert of a role."""
    files = []
    for document in cases(role):
        tests = [
            {
                **test,
                "alert_rule_test": [
                    told
                    for told in test["alert_rule_test"]
                    if told["alertname"] == alert
                ],
            }
            for test in document["tests"]
        ]
        chosen = [test for test in tests if test["alert_rule_test"]]
        if chosen:
            files.append({**document, "tests": chosen})
    return files


def failed(
    promtool: Path, suites: dict[str, tuple[dict, list[dict]]], folder: Path
) -> dict[str, str]:
    """Run the cases of each suite against its rules, and return the messages of failed ones."""
    paths = []
    for suite, (document, files) in suites.items():
        place = folder / suite
        place.mkdir(parents=True)
        (place / "alerts.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
        for number, tests in enumerate(files):
            path = place / f"{number}.yml"
            path.write_text(yaml.safe_dump(tests), encoding="utf-8")
            paths.append(path.relative_to(folder))
    report = folder / "report.xml"
    done = subprocess.run(
        [promtool, "test", "rules", f"--junit={report}", *paths],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    results = ET.parse(report).getroot().findall("testsuite")
    assert len(results) == len(paths), done.stdout + done.stderr
    return {
        Path(result.get("name", "")).parts[0]: "".join(result.itertext())
        for result in results
        if int(result.get("failures", "0")) + int(result.get("errors", "0"))
    }


@pytest.mark.parametrize("role", ROLES)
def test_prometheus_accepts_the_alerts(promtool: Path, role: str) -> None:
    path = content.alert_files()[role]
    done = subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_alerts_fire_and_are_silent_when_they_should(
    promtool: Path, role: str, tmp_path: Path
) -> None:
    suites = {role: (alerts(role), cases(role))}
    assert failed(promtool, suites, tmp_path) == {}


@pytest.mark.parametrize("role", ROLES)
def test_each_alert_has_a_case_that_fires_and_one_that_is_silent(role: str) -> None:
    told = [
        (case["alertname"], bool(case["exp_alerts"]))
        for document in cases(role)
        for test in document["tests"]
        for case in test["alert_rule_test"]
    ]
    assert set(told) == {
        (rule["alert"], fires)
        for rule in rules(alerts(role))
        for fires in (True, False)
    }


def as_grafana_decides(role: str) -> dict[str, Any]:
    """Return a role's alerts with the query and the decision of Grafana's converted rules.

    The threshold of a converted rule compares the query with a number, and its math expression
    is true for each series that the query returns.
    """
    document = alerts(role)
    [*groups] = prometheus_rules.rule_groups(document, role, "folder")
    converted = [rule for group in groups for rule in group.body["rules"]]
    for rule, grafana in zip(rules(document), converted, strict=True):
        query, _reduce, decision = (node["model"] for node in grafana["data"])
        rule["expr"] = query["expr"]
        if decision["type"] == "threshold":
            evaluator = decision["conditions"][0]["evaluator"]
            comparison = {"gt": ">", "lt": "<"}[evaluator["type"]]
            rule["expr"] = f"({query['expr']}) {comparison} {evaluator['params'][0]}"
        rule["for"] = grafana["for"]
        rule["labels"] = {
            key: text.replace("$values.B.Value", "$value")
            for key, text in grafana["labels"].items()
        }
    return document


@pytest.mark.parametrize("role", ROLES)
def test_converted_rules_fire_at_the_same_evaluations(
    promtool: Path, role: str, tmp_path: Path
) -> None:
    suites = {role: (as_grafana_decides(role), cases(role))}
    assert failed(promtool, suites, tmp_path) == {}


def changed_numbers(number: str) -> list[str]:
    """Return a smaller and a larger number in place of a threshold."""
    value = float(number)
    if value == 0:
        return ["-1", "3"]
    if value.is_integer() and abs(value) < SMALL:
        return [f"{value - 1:.0f}", f"{value + 1:.0f}"]
    return [f"{value * 0.8:.10g}", f"{value * 1.25:.10g}"]


def changed_expressions(expr: str) -> Iterator[str]:
    """Yield an expression with one change each."""

    def replaced(match: re.Match[str], text: str, group: int = 0) -> str:
        return expr[: match.start(group)] + text + expr[match.end(group) :]

    for match in COMPARISON.finditer(expr):
        yield replaced(match, FLIPPED[match[0]])
    for match in THRESHOLD.finditer(expr):
        for number in changed_numbers(match[0]):
            yield replaced(match, number)
    for match in MATCHER.finditer(expr):
        yield replaced(match, FLIPPED_MATCHERS[match[0]])
    for match in GROUPING.finditer(expr):
        labels = match[1].split(", ")
        for label in labels:
            kept = [other for other in labels if other != label]
            yield replaced(match, ", ".join(kept), group=1)


def mutants(rule: dict) -> Iterator[dict]:
    """Yield an alert with one change each: of its expression, its `for` or a label."""
    for expr in changed_expressions(rule["expr"]):
        yield {**rule, "expr": expr}
    waits = seconds(rule.get("for", "0s"))
    for other in (0, waits // 2, waits * 2) if waits else (300,):
        yield {**rule, "for": f"{other}s"}
    for label in rule["labels"]:
        yield {**rule, "labels": {**rule["labels"], label: "changed"}}


@pytest.mark.parametrize("role", ROLES)
def test_a_changed_alert_fails_a_case(
    promtool: Path, role: str, tmp_path: Path
) -> None:
    changed = [rule for original in rules(alerts(role)) for rule in mutants(original)]
    suites = {
        str(number): (
            {"groups": [{"name": "changed", "rules": [rule]}]},
            cases_of(role, rule["alert"]),
        )
        for number, rule in enumerate(changed)
    }
    caught = failed(promtool, suites, tmp_path)
    survivors = [
        rule for number, rule in enumerate(changed) if str(number) not in caught
    ]
    assert survivors == []


OBJECTIVE = {
    "name": "api",
    "service": "s3",
    "objective": 99,
    "good": 'sum by (env) (rate(events_total{ok="1"}[$window]))',
    "total": "sum by (env) (rate(events_total[$window]))",
}


def objectives() -> dict[str, Any]:
    """Return the rules of an objective, with summaries only."""
    document = slo_rules([OBJECTIVE])
    for rule in rules(document):
        if "alert" in rule:
            rule["annotations"] = {"summary": rule["annotations"]["summary"]}
    return document


def burning(share: float, fires: list[str], at: str) -> dict[str, Any]:
    """Return a case in which a share of events is bad from the second hour on."""
    good, bad = 100 * (1 - share), 100 * share
    expected = [
        {
            "labels": {
                "severity": severity,
                "component": "slo",
                "service": "s3",
                "slo": "api",
                "window": window,
            },
            "summary": f"s3 in dev misses its objective api: {errors} errors within {window}",
        }
        for severity, window, errors in map(str.split, fires)
    ]
    return {
        "alert": "ErrorBudgetBurn",
        "interval": "1m",
        "evaluate": "1m",
        "series": {
            'events_total{ok="1"}': f"0+100x120 {12000 + good}+{good}x6000",
            'events_total{ok="0"}': f"0x120 {bad}+{bad}x6000",
        },
        "silent": "2h",
        "fires": at,
        "expected": expected,
    }


@pytest.mark.parametrize(
    ("share", "fires", "at"),
    [
        pytest.param(0.3, ["critical 1h 30%", "critical 6h 10%"], "3h", id="outage"),
        pytest.param(
            0.08,
            ["critical 6h 8%", "high 1d 6.667%", "medium 3d 6.667%"],
            "12h",
            id="many errors",
        ),
        pytest.param(0.02, ["medium 3d 1.667%"], "12h", id="some errors"),
        pytest.param(0.009, [], "12h", id="within the budget"),
    ],
)
def test_objective_alerts_by_the_speed_at_which_its_budget_burns(
    promtool: Path, share: float, fires: list[str], at: str, tmp_path: Path
) -> None:
    suites = {"slo": (objectives(), [expanded(burning(share, fires, at))])}
    assert failed(promtool, suites, tmp_path) == {}


def test_panels_query_in_promql(promtool: Path, tmp_path: Path) -> None:
    asked = [
        query.expression
        for query in content.queries()
        if query.datasource == "prometheus"
    ]
    recorded = [
        {"record": f"panel:{index}", "expr": content.chosen(expression)}
        for index, expression in enumerate(asked)
    ]
    path = tmp_path / "panels.yml"
    path.write_text(
        yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}),
        encoding="utf-8",
    )
    done = subprocess.run(
        [promtool, "check", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
