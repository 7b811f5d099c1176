# SPDX-License-Identifier: GPL-3.0-or-later
"""Test that the role's content is consistent for any components of an inventory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.folders import (
    titles,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.content import (
    ContentLoader,
    Source,
)
from tests.unit.roles.rendering import ROLES, rendered

COMPONENTS = (
    "prometheus",
    "loki",
    "tempo",
    "alertmanager",
    "otel_collector",
    "redis_exporter",
    "node_exporter",
)
WEBHOOK = "https://discord.example/api/webhooks/1/x"
BASE = {
    "role_path": str(ROLES / "grafana_content"),
    "grafana_content_discord_webhook": WEBHOOK,
    "grafana_listen_address": "127.0.0.1:3000",
    "redis_exporter_instances": [],
}


def source(item: dict) -> Source:
    """Return an item of content as the action plugin reads it."""
    options = {"folder": titles(item.get("folder", ""))}
    if "objects" in item:
        return Source(objects=item["objects"], **options)
    path = Path(item.get("file") or item["directory"])
    paths = [path] if path.is_file() else sorted(path.rglob("*.*"))
    root = path.parent if path.is_file() else path
    return Source(
        str(root),
        {file.relative_to(root).as_posix(): file.read_bytes() for file in paths},
        **options,
    )


def gather(*components: str, **variables: Any) -> tuple[dict, list[str]]:
    """Return the objects by kind and identity, and the names of required other objects."""
    groups = {"all": ["here"], **{name: ["here"] for name in (*components, "grafana")}}
    given = {**BASE, "groups": groups, **variables}
    gathering = ContentLoader(
        environment=rendered(
            "grafana_content", "__grafana_content_environment", **given
        )
    )
    content = rendered("grafana_content", "__grafana_content_all", **given)
    desired, required = gathering.load([source(item) for item in content])
    assert (gathering.diagnostics.errors, gathering.diagnostics.warnings) == ([], [])
    return {(item.kind, item.identity): item.body for item in desired}, [
        f"{one.kind} {one.identity}" for one in required
    ]


def test_all_references_are_to_objects_of_the_role() -> None:
    bodies, required = gather(*COMPONENTS)
    assert required == []
    assert {uid for kind, uid in bodies if kind == "datasource"} == {
        "prometheus",
        "loki",
        "tempo",
        "alertmanager",
    }
    (folder,) = [uid for kind, uid in bodies if kind == "folder"]
    assert all(
        body["folderUid"] == folder
        for (kind, _), body in bodies.items()
        if kind in ("dashboard", "rule_group")
    )
    assert [uid for kind, uid in bodies if kind == "dashboard"]
    assert [uid for kind, uid in bodies if kind == "rule_group"]


@pytest.mark.parametrize(
    "components",
    [(), ("loki",), ("tempo",), ("loki", "tempo"), ("prometheus", "alertmanager")],
)
def test_nothing_refers_to_a_datasource_that_the_inventory_lacks(
    components: tuple[str, ...],
) -> None:
    gathered = gather(*components, grafana_content_from_components=True)
    desired = {
        name
        for name in components
        if name in ("prometheus", "loki", "tempo", "alertmanager")
    }
    assert {uid for kind, uid in gathered[0] if kind == "datasource"} == desired
    # Dashboards and alerts of a component query Prometheus and are useless without it.
    assert set(gathered[1]) <= (
        {"datasource prometheus", "datasource loki"}
        if "prometheus" not in desired
        else set()
    )


def test_links_lead_from_metrics_to_traces_to_logs_and_back() -> None:
    bodies, _required = gather(*COMPONENTS)
    data = {
        uid: body["jsonData"]
        for (kind, uid), body in bodies.items()
        if kind == "datasource"
    }
    assert {
        link["datasourceUid"]
        for link in data["prometheus"]["exemplarTraceIdDestinations"]
    } == {"tempo"}
    assert data["loki"]["derivedFields"][0]["datasourceUid"] == "tempo"
    assert data["loki"]["derivedFields"][0]["url"] == "${__value.raw}"
    assert (
        data["tempo"]["tracesToLogsV2"]["query"]
        == '{env=~".+"} |= "${__trace.traceId}"'
    )
    assert (
        data["tempo"]["tracesToMetrics"]["datasourceUid"]
        == data["tempo"]["serviceMap"]["datasourceUid"]
    )
    # An operation has the same name in each environment of one Prometheus.
    tags = {tag["value"] for tag in data["tempo"]["tracesToMetrics"]["tags"]}
    assert tags == {"service", "span_name", "env"}


def test_alerts_go_to_discord_by_their_severity() -> None:
    bodies, _required = gather(
        *COMPONENTS,
        grafana_content_critical_mention="<@&1>",
        grafana_content_routes=[
            {"receiver": "hippius-high", "object_matchers": [["team", "=", "db"]]}
        ],
    )
    root = bodies["policy", ""]
    assert (root["receiver"], root["group_by"]) == (
        "hippius-high",
        ["alertname", "env", "service"],
    )
    assert [route["object_matchers"][0][2] for route in root["routes"]] == [
        "db",
        "critical",
        "high",
        "medium",
    ]
    critical = bodies["contact_point", "hippius-critical"]["receivers"][0]["settings"]
    assert critical["url"] == WEBHOOK
    assert critical["message"].startswith('{{ if eq .Status "firing" }}<@&1> {{ end }}')
    assert root["routes"][1]["repeat_interval"] == "1h"


# A receiver of each type, in Grafana's own format.
TYPES = {
    "slack": {"url": "https://slack.example/hook"},
    "email": {"addresses": "ops@example.com"},
    "pagerduty": {"integrationKey": "key"},
    "opsgenie": {"apiKey": "key", "apiUrl": "https://api.opsgenie.example/v2/alerts"},
    "telegram": {"bottoken": "token", "chatid": "1"},
    "webhook": {"url": "https://hook.example/alerts"},
}


@pytest.mark.parametrize("type_name", sorted(TYPES))
def test_alerts_go_to_any_type_of_receiver_without_discord(type_name: str) -> None:
    receiver = {"type": type_name, "settings": TYPES[type_name]}
    bodies, _required = gather(
        *COMPONENTS,
        grafana_content_discord_webhook="",
        grafana_content_notify={"all": [receiver]},
    )
    points = [body for (kind, _), body in bodies.items() if kind == "contact_point"]
    assert [point["name"] for point in points] == [
        "hippius-critical",
        "hippius-high",
        "hippius-medium",
    ]
    for point in points:
        (found,) = point["receivers"]
        assert (found["type"], found["uid"]) == (type_name, point["name"])
        assert found["settings"].items() >= TYPES[type_name].items()
    assert ("template", "hippius") in bodies
    assert bodies["policy", ""]["receiver"] == "hippius-high"


def test_receivers_of_a_severity_are_beside_discord() -> None:
    pager = {"type": "pagerduty", "settings": TYPES["pagerduty"]}
    bodies, _required = gather(
        *COMPONENTS,
        grafana_content_notify={"critical": [pager]},
        grafana_content_critical_mention="<@&1>",
    )
    discord, second = bodies["contact_point", "hippius-critical"]["receivers"]
    assert discord["settings"]["url"] == WEBHOOK
    assert discord["settings"]["message"].startswith(
        '{{ if eq .Status "firing" }}<@&1> {{ end }}'
    )
    assert (second["type"], second["uid"]) == ("pagerduty", "hippius-critical-2")
    (high,) = bodies["contact_point", "hippius-high"]["receivers"]
    assert (high["type"], high["uid"]) == ("discord", "hippius-high")


def test_a_missing_webhook_is_refused_by_name() -> None:
    with pytest.raises(
        Exception, match="grafana_content_discord_webhook is empty; set it"
    ):
        gather(*COMPONENTS, grafana_content_discord_webhook="")


def test_parts_that_are_disabled_are_left_out() -> None:
    bodies, required = gather(*COMPONENTS, grafana_content_datasources=False)
    assert "datasource" not in {kind for kind, _ in bodies}
    assert "datasource prometheus" in required
    bodies, required = gather(
        *COMPONENTS,
        grafana_content_from_components=False,
        grafana_content_datasources=False,
    )
    assert {kind for kind, _ in bodies} == {"template", "contact_point", "policy"}
    assert required == []
    bodies, _required = gather(*COMPONENTS, grafana_content_discord=False)
    assert not {kind for kind, _ in bodies} & {"template", "contact_point", "policy"}


def test_datasources_present_certificates_to_components_with_tls() -> None:
    hosts = {
        "loki_listen_address": "10.0.0.1:3100",
        "monitoring_tls_certificate": "CERT",
        "monitoring_tls_key": "KEY",
        "monitoring_tls_ca": "CA",
    }
    bodies, _required = gather(*COMPONENTS, **hosts)
    assert bodies["datasource", "loki"]["jsonData"]["tlsAuth"] is True
    assert bodies["datasource", "loki"]["secureJsonData"] == {
        "tlsCACert": "CA", "tlsClientCert": "CERT", "tlsClientKey": "KEY",
    }  # fmt: skip
    assert bodies["datasource", "prometheus"]["secureJsonData"] == {}


def test_datasources_log_in_to_components_that_require_a_password() -> None:
    addresses = {
        f"{name}_listen_address": "10.0.0.1:80"
        for name in ("prometheus", "alertmanager", "loki", "tempo")
    }
    tls = {
        "monitoring_tls_certificate": "CERT",
        "monitoring_tls_key": "KEY",
        "monitoring_tls_ca": "CA",
    }
    login = {
        "monitoring_basic_auth_username": "us",
        "monitoring_basic_auth_password": "pa$$word $HOME",
    }

    def logins(**variables: str) -> dict[str, tuple[bool, str, str | None]]:
        bodies = gather(*COMPONENTS, **tls, **login, **variables)[0]
        return {
            uid: (
                body["basicAuth"],
                body["basicAuthUser"],
                body["secureJsonData"].get("basicAuthPassword"),
            )
            for (kind, uid), body in bodies.items()
            if kind == "datasource"
        }

    login_required, public = (True, "us", "pa$$word $HOME"), (False, "", None)
    assert logins(**addresses) == {
        "prometheus": login_required,
        "alertmanager": login_required,
        "loki": public,
        "tempo": public,
    }
    assert set(logins().values()) == {public}


def test_a_missing_library_is_recognized_by_the_modules_message() -> None:
    (block,) = yaml.safe_load(
        (ROLES / "grafana_content" / "tasks" / "main.yml").read_text(encoding="utf-8")
    )
    searched = re.search(r"search\('(.+)'\)", block["rescue"][0]["when"])[1]
    assert searched in (
        ROLES.parent / "plugins/module_utils/grafana/api/client.py"
    ).read_text(encoding="utf-8")


def test_muted_times_are_those_of_the_severities_and_never_of_the_root() -> None:
    nights = {
        "name": "nights",
        "severities": ["high"],
        "time_intervals": [{"weekdays": ["sunday"]}],
    }
    bodies, _required = gather(monitoring_mute_timings=[nights])
    [policy] = [body for (kind, _), body in bodies.items() if kind == "policy"]
    muted = [route.get("mute_time_intervals") for route in policy["routes"]]
    assert (policy.get("mute_time_intervals"), muted) == (
        None,
        [None, ["nights"], None],
    )
    assert bodies["mute_timing", "nights"]["time_intervals"]


@pytest.mark.parametrize("base", ["", "https://git.example/m"])
def test_alerts_and_dashboards_lead_to_pages_where_a_server_has_them(base: str) -> None:
    path = ROLES / "loki" / "files"
    sources = [
        Source(
            str(path),
            {"alerts.yml": (path / "alerts.yml").read_bytes()},
            folder=("A",),
            documentation_url=base,
            exec_error="KeepLast",
        ),
        Source(
            str(path),
            {"loki.json": (path / "dashboards/loki.json").read_bytes()},
            documentation_url=base,
        ),
    ]
    loader = ContentLoader()
    desired, _required = loader.load(sources)
    [board] = [item.body for item in desired if item.kind == "dashboard"]
    [group] = [item.body for item in desired if item.kind == "rule_group"]
    start = f"{base}/" if base else ""
    pages = [link["url"] for link in board["dashboard"]["links"] if link["url"]]
    assert pages == ([f"{start}docs/runbooks/loki.md"] if base else [])
    urls = [rule["annotations"]["runbook_url"] for rule in group["rules"]]
    assert {url.partition("#")[0] for url in urls} == {f"{start}docs/runbooks/loki.md"}
    assert {rule["execErrState"] for rule in group["rules"]} == {"KeepLast"}
