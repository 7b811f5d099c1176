# SPDX-License-Identifier: GPL-3.0-or-later
"""Each alert fires when it should and is silent otherwise, by Prometheus' own tool.

`alerts/<role>.yml` are the cases of a role's `files/alerts.yml`, in the format of `promtool test
rules`. The tests leave out the descriptions, which are constant, and fields that only Grafana uses.
"""

from __future__ import annotations

import re
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import content
from tests.testbed.releases.build import build_all

CASES = Path(__file__).parent / "alerts"
ROLES = list(content.alert_files())
NOT_TESTED = (
    "description",
    "grafana_no_data",
    "grafana_exec_error",
    "__dashboardUid__",
    "__panelId__",
)
# Mutations: each comparison is reversed, and each `for` is removed or added.
FLIPPED = {">": "<=", "<": ">=", "==": "!="}
COMPARISON = re.compile(r"(?<=\s)(>|<|==)(?=\s)")


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


def cases(role: str) -> dict[str, Any]:
    return yaml.safe_load((CASES / f"{role}.yml").read_text(encoding="utf-8"))


def tried(
    promtool: Path, document: dict, tests: dict, folder: Path
) -> subprocess.CompletedProcess:
    """Run cases against alerts."""
    folder.mkdir(parents=True)
    (folder / "alerts.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    (folder / "cases.yml").write_text(yaml.safe_dump(tests), encoding="utf-8")
    return subprocess.run(
        [promtool, "test", "rules", "cases.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


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
    done = tried(promtool, alerts(role), cases(role), tmp_path / role)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_each_alert_has_a_case_that_fires_and_one_that_is_silent(role: str) -> None:
    told = [
        (case["alertname"], bool(case["exp_alerts"]))
        for test in cases(role)["tests"]
        for case in test["alert_rule_test"]
    ]
    assert set(told) == {
        (rule["alert"], fires)
        for rule in rules(alerts(role))
        for fires in (True, False)
    }


def mutants(rule: dict) -> Iterator[dict]:
    """Yield an alert with one change each."""
    for match in COMPARISON.finditer(rule["expr"]):
        flipped = FLIPPED[match.group()]
        yield {
            **rule,
            "expr": rule["expr"][: match.start()]
            + flipped
            + rule["expr"][match.end() :],
        }
    yield {**rule, "for": "0m" if rule.get("for") else "5m"}


def cases_of(role: str, alert: str) -> dict[str, Any]:
    """Return the cases of one alert of a role."""
    tests = [
        {
            **test,
            "alert_rule_test": [
                case for case in test["alert_rule_test"] if case["alertname"] == alert
            ],
        }
        for test in cases(role)["tests"]
    ]
    return {**cases(role), "tests": [test for test in tests if test["alert_rule_test"]]}


@pytest.mark.parametrize("role", ROLES)
def test_a_changed_alert_fails_a_case(
    promtool: Path, role: str, tmp_path: Path
) -> None:
    changed = [rule for original in rules(alerts(role)) for rule in mutants(original)]

    def survives(numbered: tuple[int, dict]) -> bool:
        number, rule = numbered
        document = {"groups": [{"name": "changed", "rules": [rule]}]}
        return (
            tried(
                promtool,
                document,
                cases_of(role, rule["alert"]),
                tmp_path / str(number),
            ).returncode
            == 0
        )

    with ThreadPoolExecutor(2) as pool:
        survivors = list(pool.map(survives, enumerate(changed)))
    assert [
        rule for rule, survived in zip(changed, survivors, strict=True) if survived
    ] == []


def test_panels_query_in_promql(promtool: Path, tmp_path: Path) -> None:
    asked = [
        query.expression
        for query in content.queries()
        if query.datasource == "prometheus"
    ]
    recorded = [{"record": f"panel:{index}", "expr": expression.replace("$__rate_interval", "1m")}
                for index, expression in enumerate(asked)]  # fmt: skip
    path = tmp_path / "panels.yml"
    path.write_text(
        yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}),
        encoding="utf-8",
    )
    done = subprocess.run(
        [promtool, "check", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
