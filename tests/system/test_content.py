# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible applies files and objects to a Grafana, with the oldest and newest ansible-core."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.ansible_versions import VERSIONS, programs_of
from tests.conftest import ROOT
from tests.testbed import discord
from tests.testbed.grafana.server import FakeGrafana
from tests.testbed.releases.build import build_all
from tests.unit.grafana.test_content import HOSTILE, board

PASSWORD = "grafana-pass"
WEBHOOK, TOKEN = (
    "https://discord.example/api/webhooks/1/canary-webhook",
    "canary-datasource-token",
)


class Unsafe(str):
    """A string that Ansible must not template."""


class Dumper(yaml.SafeDumper):
    """Writes variables of Ansible."""


Dumper.add_representer(
    Unsafe,
    lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style='"'),
)


def unsafe(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: unsafe(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [unsafe(value) for value in tree]
    # With the tag Ansible would parse "" or "yes" once more.
    return Unsafe(tree) if isinstance(tree, str) and "{" in tree else tree


class Controller:
    """A folder for playbooks and their files, and a Grafana."""

    def __init__(self, folder: Path, grafana: FakeGrafana) -> None:
        self.folder, self.grafana, self.core = folder, grafana, ""

    def write(self, path: str, content: object) -> None:
        """Write a file of plain text, or of JSON."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            content if isinstance(content, str) else json.dumps(content),
            encoding="utf-8",
        )

    def apply(
        self, *flags: str, fails: bool = False, **options: object
    ) -> dict[str, Any]:
        """Run a task with these options and return its result.

        Its key `output` is everything that Ansible printed.
        """
        connection = {
            "grafana_url": self.grafana.url,
            "password": PASSWORD,
            "fingerprint_key": "key",
        }
        task = {"hippius.monitoring.grafana_content": {**connection, **options}}
        return self.play({"tasks": [task]}, "localhost,", *flags, fails=fails)

    def play(
        self, play: dict, inventory: str, *flags: str, fails: bool = False
    ) -> dict[str, Any]:
        """Run a play and return the result of its last task."""
        self.write(
            "play.yml",
            yaml.dump(
                [{"hosts": "localhost", "gather_facts": False, **play}], Dumper=Dumper
            ),
        )
        command = [
            programs_of(self.core) / "ansible-playbook",
            "-v",
            "-i",
            inventory,
            "-c",
            "local",
            *flags,
        ]
        # The Python of the tests has requests.
        command += ["-e", f"ansible_python_interpreter={sys.executable}", "play.yml"]
        environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith("ANSIBLE_")
            },
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(self.folder / ".ansible"),
        }
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        assert bool(done.returncode) == fails, output
        # Several lines with -vvv.
        shown = r"^(?:ok|changed|fatal): \[localhost\].*? => ((?s:\{\n.*?^\})|\{.*\})$"
        results = re.findall(shown, output, re.MULTILINE)
        assert results, output
        return {**json.loads(results[-1]), "output": output}

    def get(self, path: str) -> Any:
        """Return Grafana's answer."""
        answer = requests.get(
            f"{self.grafana.url}{path}", auth=("admin", PASSWORD), timeout=10
        )
        answer.raise_for_status()
        return answer.json()

    def board(self, uid: str) -> dict[str, Any]:
        """Return a dashboard without Grafana's numbers."""
        model = self.get(f"/api/dashboards/uid/{uid}")["dashboard"]
        return {
            key: value for key, value in model.items() if key not in ("id", "version")
        }


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    with FakeGrafana(version="13.2.3", password=PASSWORD, rounds=1) as grafana:
        yield Controller(tmp_path, grafana)


SOURCES = {
    "apiVersion": 1,
    "datasources": [
        {
            "name": "Prometheus",
            "uid": "prometheus",
            "type": "prometheus",
            "url": "http://127.0.0.1:9090",
            "secureJsonData": {"httpHeaderValue1": "$TOKEN"},
            "jsonData": {"httpHeaderName1": "X-Key"},
        }
    ],
}
TEXTS = {key: value for key, value in HOSTILE.items() if isinstance(value, str)}
RULE = {
    "uid": "hostile-rule",
    "title": "Hostile",
    "condition": "B",
    "annotations": TEXTS,
    "labels": {"severity": "high"},
    "data": [
        {
            "refId": "A",
            "datasourceUid": "prometheus",
            "relativeTimeRange": {"from": 600, "to": 0},
            "model": {
                "refId": "A",
                "expr": "rate(x[$__rate_interval]) # $$ {{ x }}",
                "instant": True,
            },
        },
        {
            "refId": "B",
            "datasourceUid": "__expr__",
            "model": {
                "refId": "B",
                "type": "threshold",
                "expression": "A",
                "conditions": [
                    {"evaluator": {"type": "gt", "params": [9007199254740993]}}
                ],
            },
        },
    ],
}
TEMPLATE = '{{ define "text" }}{{ range $i, $a := .Alerts }}$HOME{{ end }}{{ end }}'
ALERTING = {
    "apiVersion": 1,
    "contactPoints": [
        {
            "name": "chat",
            "receivers": [
                {
                    "uid": "chat",
                    "type": "discord",
                    "settings": {
                        "url": "$WEBHOOK",
                        "message": '{{ template "text" . }}$$',
                    },
                }
            ],
        }
    ],
    "policies": [
        {
            "receiver": "chat",
            "group_by": ["alertname", "grafana_folder"],
            "routes": [
                {
                    "receiver": "chat",
                    "object_matchers": [["severity", "=~", "high|critical"]],
                    "mute_time_intervals": ["night"],
                }
            ],
        }
    ],
    "templates": [{"name": "texts", "template": TEMPLATE}],
    "muteTimes": [
        {
            "name": "night",
            "time_intervals": [
                {"times": [{"start_time": "22:00", "end_time": "24:00"}]}
            ],
        }
    ],
    "groups": [
        {"name": "group", "folder": "Area/Alerts", "interval": "1m", "rules": [RULE]}
    ],
}
ENVIRONMENT = {"WEBHOOK": WEBHOOK, "TOKEN": TOKEN}


def write_all(controller: Controller) -> dict[str, Any]:
    """Write files with each kind of object, and return the options that apply them."""
    controller.write("grafana/datasources/all.json", SOURCES)
    controller.write(
        "grafana/alerting/all.yml", yaml.safe_dump(ALERTING, sort_keys=False)
    )
    controller.write(
        "grafana/dashboards/Area/hostile.json", board("file", "File", tags=HOSTILE)
    )
    return {"content": [{"directory": "grafana"}], "environment": ENVIRONMENT}


@pytest.mark.parametrize("core", VERSIONS, ids=lambda version: version or "own")
def test_content_is_read_back_as_it_was_in_files_and_inline(
    controller: Controller, core: str
) -> None:
    controller.core = core
    options = write_all(controller)
    inline = {
        "dashboards": [
            {"folder": "Area", "dashboard": board("inline", "Inline", tags=HOSTILE)}
        ]
    }
    options["content"] += [{"objects": unsafe(inline)}]
    assert controller.apply(**options)["changed"]
    for uid, title in (("file", "File"), ("inline", "Inline")):
        # Grafana keeps the numbers of a dashboard as doubles.
        kept = HOSTILE | {"whole": float(HOSTILE["whole"])}
        assert controller.board(uid) == board(uid, title, tags=kept)
    (rule,) = controller.get("/api/v1/provisioning/alert-rules")
    assert rule["annotations"] == TEXTS
    assert rule["data"][0]["model"]["expr"] == RULE["data"][0]["model"]["expr"]
    assert (
        rule["data"][1]["model"]["conditions"] == RULE["data"][1]["model"]["conditions"]
    )
    (text,) = [
        item["template"]
        for item in controller.get("/api/v1/provisioning/templates")
        if item["name"] == "texts"
    ]
    assert text == ALERTING["templates"][0]["template"]
    controller.grafana.clear()
    again = controller.apply(**options)
    assert not again["changed"]
    assert controller.grafana.writes == []


def test_broken_file_among_many_stops_everything(controller: Controller) -> None:
    for number in range(300):
        controller.write(
            f"grafana/dashboards/d{number}.json", board(f"d{number}", f"D {number}")
        )
    controller.write("grafana/dashboards/broken.json", '{"uid": "x",\n "title": }')
    controller.write(
        "grafana/alerting/policy.yml", "apiVersion: 1\npolicies:\n  - reciever: chat\n"
    )
    result = controller.apply(content=[{"directory": "grafana"}], fails=True)
    problems = result["msg"].splitlines()[1:]
    assert [problem.split(": ")[0] for problem in problems] == [
        "grafana/dashboards/broken.json:2",
        "grafana/alerting/policy.yml:3",
        "grafana/alerting/policy.yml:3",
    ]
    assert controller.grafana.requests == []


def test_an_unknown_reference_stops_everything(controller: Controller) -> None:
    controller.write("policy.yml", "apiVersion: 1\n\npolicies: [{receiver: nobody}]\n")
    controller.write("app.json", board())
    result = controller.apply(
        content=[{"file": "policy.yml"}, {"file": "app.json"}], fails=True
    )
    assert "policy.yml:3" in result["msg"]
    assert "nobody" in result["msg"]
    assert controller.grafana.writes == []


def test_a_reference_to_an_object_of_the_server_is_valid(
    controller: Controller,
) -> None:
    texts = {
        "templates": [{"name": "texts", "template": '{{ define "other" }}x{{ end }}'}]
    }
    controller.apply(
        content=[
            {
                "objects": {
                    **unsafe(texts),
                    "folders": [{"folder": "Live", "uid": "live"}],
                }
            }
        ]
    )
    settings = {"url": WEBHOOK, "message": '{{ template "other" . }}'}
    point = {
        "name": "chat",
        "receivers": [{"uid": "chat", "type": "discord", "settings": settings}],
    }
    objects = {
        "contactPoints": [point],
        "dashboards": [{"folderUid": "live", "dashboard": board()}],
    }
    assert (
        controller.apply(content=[{"objects": unsafe(objects)}])["counts"][
            "contact_point"
        ]["create"]
        == 1
    )
    assert controller.get("/api/dashboards/uid/app")["meta"]["folderUid"] == "live"


def test_rotated_secrets_are_one_change_each_and_never_shown(
    controller: Controller,
) -> None:
    options = write_all(controller)
    first = controller.apply("-vvv", "--diff", **options)
    rotated = {name: f"{value}-rotated" for name, value in ENVIRONMENT.items()}
    check = controller.apply(
        "--check", "--diff", "-vvv", **{**options, "environment": rotated}
    )
    assert sorted((item["kind"], item["action"]) for item in check["changes"]) == [
        ("contact_point", "update"), ("datasource", "update"),
    ]  # fmt: skip
    second = controller.apply("-vvv", "--diff", **{**options, "environment": rotated})
    assert {item["identity"] for item in second["changes"]} == {
        item["identity"] for item in check["changes"]
    }
    assert controller.apply(**{**options, "environment": rotated})["changes"] == []
    for result in (first, check, second):
        assert "canary" not in result["output"]


def test_plan_for_a_grafana_that_is_not_there_yet_is_no_error(
    controller: Controller,
) -> None:
    controller.write("app.json", board())
    result = controller.apply(
        "--check", content=[{"file": "app.json"}], grafana_url="http://127.0.0.1:9"
    )
    assert result["changed"]
    assert "Nothing answers at http://127.0.0.1:9 yet" in result["output"]


def test_files_of_a_vault_are_read(controller: Controller) -> None:
    controller.write("password", "vault-password")
    controller.write("grafana/app.json", board())
    controller.write("secrets/webhook", f"{WEBHOOK}\n")
    settings = {"url": "$__file{secrets/webhook}"}
    point = {
        "name": "chat",
        "receivers": [{"uid": "chat", "type": "webhook", "settings": settings}],
    }
    controller.write("grafana/points.json", {"apiVersion": 1, "contactPoints": [point]})
    encrypt = [
        programs_of("") / "ansible-vault",
        "encrypt",
        "--vault-password-file",
        "password",
    ]
    subprocess.run(
        [*encrypt, "grafana/app.json", "secrets/webhook"],
        cwd=controller.folder,
        check=True,
    )
    controller.apply(
        "--vault-password-file", "password", content=[{"directory": "grafana"}]
    )
    assert controller.board("app") == board()
    exported = controller.get("/api/v1/provisioning/contact-points/export?decrypt=true")
    (kept,) = [point for point in exported["contactPoints"] if point["name"] == "chat"]
    assert kept["receivers"][0]["settings"]["url"] == WEBHOOK


def test_exported_files_match_the_server(controller: Controller) -> None:
    options = write_all(controller)
    controller.apply(**options)
    exported = controller.apply(state="exported", export_directory="out")
    assert exported["changed"]
    assert "canary" not in "".join(
        path.read_text() for path in (controller.folder / "out").rglob("*.*")
    )
    assert exported["variables"] == ["CHAT_URL", "PROMETHEUS_HTTPHEADERVALUE1"]
    controller.write("out/dashboards/gone.json", board("gone", "Gone"))
    again = controller.apply(state="exported", export_directory="out")
    assert not again["changed"]
    assert (
        "Files in out that are not of this export stay as they are: dashboards/gone.json."
        in " ".join(again["output"].split())
    )
    (controller.folder / "out/dashboards/gone.json").unlink()
    controller.grafana.clear()
    values = {"CHAT_URL": WEBHOOK, "PROMETHEUS_HTTPHEADERVALUE1": TOKEN}
    result = controller.apply(
        "--diff", content=[{"directory": "out"}], environment=values
    )
    assert result["changes"] == [], result["output"]
    assert controller.grafana.writes == []


ROLE = {"roles": ["hippius.monitoring.grafana_content"]}


def write_inventory(
    controller: Controller,
    grafana: FakeGrafana,
    environment: str,
    password: str,
    webhook: str,
) -> Path:
    """Write an inventory of one host with everything; return the path of the token."""
    groups = (
        "grafana",
        "prometheus",
        "loki",
        "tempo",
        "alertmanager",
        "otel_collector",
        "redis_exporter",
    )
    token = controller.folder / f"token-{environment}"
    variables = {
        "monitoring_environment": environment,
        "grafana_listen_address": grafana.url.removeprefix("http://"),
        "grafana_admin_password": password,
        "grafana_secret_key": "key",
        "grafana_content_discord_webhook": webhook,
        "grafana_content_token_path": str(token),
    }
    members = {name: {"hosts": {"localhost": {}}} for name in groups}
    controller.write(
        "inventory.yml",
        yaml.safe_dump({"all": {"vars": variables, "children": members}}),
    )
    return token


def test_role_applies_the_content_of_components_with_a_token_created_once(
    controller: Controller,
) -> None:
    token = write_inventory(controller, controller.grafana, "test", PASSWORD, WEBHOOK)
    planned = controller.play(ROLE, "inventory.yml", "--check")
    assert planned["changed"]
    assert controller.grafana.writes == []
    made = controller.play(ROLE, "inventory.yml", "-vvv", "--diff")
    assert made["token_changed"]
    assert made["counts"]["datasource"]["create"] == 4
    assert made["counts"]["policy"]["update"] == 1
    assert token.stat().st_mode & 0o777 == 0o400
    assert token.read_text().strip() not in made["output"]
    assert "canary" not in made["output"]
    controller.grafana.clear()
    again = controller.play(ROLE, "inventory.yml")
    assert (again["changed"], again["token_changed"]) == (False, False)
    assert controller.grafana.writes == []
    assert {request.user for request in controller.grafana.requests} != {"admin"}


# The addresses of all content that the role applies.
TOLD = (
    "/api/v1/provisioning/contact-points/export?decrypt=true&format=json",
    "/api/v1/provisioning/policies",
    "/api/v1/provisioning/templates",
    "/api/v1/provisioning/alert-rules/export?format=json",
    "/api/datasources",
    "/api/search?limit=5000",
)


def test_environments_differ_only_by_their_inventories(
    controller: Controller,
) -> None:
    told = {}
    for environment in ("dev", "prod"):
        webhook, password = (
            f"https://discord.com/api/webhooks/{environment}",
            f"password-of-{environment}",
        )
        with FakeGrafana(password=password) as grafana:
            write_inventory(controller, grafana, environment, password, webhook)
            assert controller.play(ROLE, "inventory.yml")["changed"]
            answers = [
                requests.get(grafana.url + path, auth=("admin", password), timeout=60)
                for path in TOLD
            ]
        assert [answer.status_code for answer in answers] == [200] * len(TOLD)
        # Objects of a kind are created concurrently, so their numbers vary.
        told[environment] = re.sub(
            r'"id":\d+', "", "\n".join(answer.text for answer in answers)
        )
        assert told[environment].count(webhook) == 3
    assert told["dev"] != told["prod"]
    # The webhook, and env in the query from a span to its lines.
    alike = (
        told["prod"]
        .replace("webhooks/prod", "webhooks/dev")
        .replace('env=\\"prod\\"', 'env=\\"dev\\"')
    )
    assert alike == told["dev"]


def alert(number: int, status: str = "firing") -> dict[str, Any]:
    """Return an alert in Grafana's form, except fields that Alertmanager lacks."""
    return {
        "status": status,
        "labels": {
            "alertname": "RedisDown",
            "severity": "critical",
            "host": f"a_{number}",
            "service": "[x](http://h)",
        },
        "annotations": {
            "summary": f"Redis *{number}* is down\n# @everyone <@&1>",
            "runbook_url": "https://runbook.example/@here >x",
        },
        "startsAt": "2026-01-01T00:00:00Z",
        "generatorURL": "http://panel.example",
    }


@pytest.mark.parametrize("count", [1, 200])
def test_message_is_readable_and_short_and_calls_nobody(
    tmp_path: Path, count: int
) -> None:
    [archive] = build_all(["alertmanager"]).values()
    with tarfile.open(archive) as opened:
        [member] = [
            member for member in opened.getmembers() if member.name.endswith("/amtool")
        ]
        member.name = "amtool"
        opened.extract(member, tmp_path, filter="data")
    written = yaml.safe_load(
        (ROOT / "roles/grafana_content/files/notifications.yml").read_text(
            encoding="utf-8"
        )
    )
    # Grafana's data has these fields, which Alertmanager lacks.
    text = (
        written["templates"][0]["template"]
        .replace(".PanelURL", ".GeneratorURL")
        .replace(".DashboardURL", ".Status")
    )
    (tmp_path / "texts.tmpl").write_text(text, encoding="utf-8")
    data = {
        "status": "firing",
        "alerts": [*map(alert, range(count)), alert(999, "resolved")],
        "groupLabels": {"alertname": "RedisDown", "env": "prod"},
        "commonLabels": {"severity": "critical"},
    }
    (tmp_path / "data.json").write_text(json.dumps(data))
    texts = {}
    for name in ("title", "message"):
        words = [
            "template",
            "render",
            "--template.glob=texts.tmpl",
            "--template.data=data.json",
        ]
        words.append(f'--template.text={{{{ template "hippius.{name}" . }}}}')
        done = subprocess.run(
            [tmp_path / "amtool", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        texts[name] = done.stdout
    assert texts["title"].strip() == f"🔴 [FIRING:{count}] RedisDown · prod"
    assert discord.mentions_of({"content": texts["message"]}) == []
    assert "\n#" not in texts["message"]
    assert "Runbook: <https://runbook.example/%40herex>" in texts["message"]
    assert "Redis \\*0\\* is down" in texts["message"]
    assert texts["message"].count("is down") == min(count, 10) + 1
    assert ("These are 10 of 200." in texts["message"]) == (count == 200)
    assert len(texts["message"]) < 2000
