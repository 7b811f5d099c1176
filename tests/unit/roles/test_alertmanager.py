# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the variables of the Alertmanager role."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleError

from tests.unit.roles.rendering import ROLES, rendered, rollout

OWN_TEMPLATE = ROLES / "alertmanager/files/discord.tmpl"
WEBHOOK = "https://discord.example/api/webhooks/1/token"


def arguments(**variables):
    return rollout(
        "alertmanager", **{"alertmanager_discord_webhook": WEBHOOK, **variables}
    )


def config(**variables):
    return arguments(**variables)["config"][0]["content"]


def test_each_severity_has_a_route_and_all_other_alerts_have_one():
    routes = config(
        alertmanager_medium_route={"group_wait": "9m"},
        alertmanager_default_severity="medium",
    )["route"]
    assert [
        (route.get("matchers"), route["receiver"], route["group_wait"])
        for route in routes["routes"]
    ] == [
        (['severity="critical"'], "critical", "10s"),
        (['severity="high"'], "high", "30s"),
        (['severity="medium"'], "medium", "9m"),
        (None, "medium", "9m"),
    ]


def test_own_routes_come_first_and_own_receivers_are_added():
    result = config(
        alertmanager_routes=[{"receiver": "pager"}],
        alertmanager_receivers=[{"name": "pager"}],
    )
    assert result["route"]["routes"][0] == {"receiver": "pager"}
    assert [receiver["name"] for receiver in result["receivers"]] == [
        "critical",
        "high",
        "medium",
        "pager",
    ]


def test_the_webhook_is_in_its_file_only():
    result = arguments(alertmanager_secrets={"pager-key": "k"})
    assert result.pop("secrets") == {"pager-key": "k", "discord-webhook": WEBHOOK}
    assert WEBHOOK not in str(result)
    files = {
        receiver["discord_configs"][0]["webhook_url_file"]
        for receiver in config()["receivers"]
    }
    assert files == {"/etc/alertmanager/discord-webhook"}


def test_a_missing_webhook_is_refused_by_name():
    with pytest.raises(
        AnsibleError, match="alertmanager_discord_webhook is empty; set it"
    ):
        arguments(alertmanager_discord_webhook="")


def test_an_own_file_needs_no_webhook():
    result = arguments(
        alertmanager_discord_webhook="", alertmanager_config_file="/srv/mine.yml"
    )
    assert result["config"][0] == {
        "path": "alertmanager.yml",
        "content": "",
        "source": "/srv/mine.yml",
    }
    assert result["secrets"] == {}


@pytest.mark.parametrize(
    ("mention", "content"),
    [("", ""), ("<@&42>", '{{ if eq .Status "firing" }}<@&42>{{ end }}')],
)
def test_only_critical_alerts_mention_somebody(mention, content):
    critical, high, medium = config(alertmanager_critical_mention=mention)["receivers"]
    assert critical["discord_configs"][0]["content"] == content
    assert "content" not in high["discord_configs"][0] | medium["discord_configs"][0]


def test_templates_are_read_in_order():
    result = arguments(alertmanager_templates=["/srv/b.tmpl", "/srv/a.tmpl"])
    assert result["config"][1:] == [
        {"path": "templates/discord.tmpl", "source": str(OWN_TEMPLATE)},
        {"path": "templates/b.tmpl", "source": "/srv/b.tmpl"},
        {"path": "templates/a.tmpl", "source": "/srv/a.tmpl"},
    ]
    assert result["config"][0]["content"]["templates"] == [
        f"/etc/alertmanager/{item['path']}" for item in result["config"][1:]
    ]


def test_extra_configuration_is_merged():
    result = config(
        alertmanager_config_extra={
            "global": {"resolve_timeout": "9m"},
            "route": {"group_by": ["job"]},
        }
    )
    assert result["global"] == {"resolve_timeout": "9m"}
    assert (result["route"]["group_by"], result["route"]["receiver"]) == (
        ["job"],
        "high",
    )


def test_prometheus_without_an_alertmanager_has_none():
    assert rendered("prometheus", "__prometheus_alertmanagers") == []


def test_a_string_of_extra_vars_is_a_list_of_one():
    given = {
        "alertmanager_flags": "--one",
        "alertmanager_templates": "/x/own.tmpl",
        "alertmanager_group_by": "job",
    }
    result = arguments(**given)
    assert result["command"][-1] == "--one"
    assert [file["path"] for file in result["config"]][-1] == "templates/own.tmpl"
    assert config(**given)["route"]["group_by"] == ["job"]


# A receiver of each kind, in Alertmanager's own format.
KINDS = {
    "slack_configs": [
        {"api_url_file": "/etc/alertmanager/slack-url", "channel": "#ops"}
    ],
    "email_configs": [
        {"to": "ops@example.com", "from": "a@b.example", "smarthost": "m:25"}
    ],
    "pagerduty_configs": [{"routing_key_file": "/etc/alertmanager/pagerduty-key"}],
    "opsgenie_configs": [{"api_key_file": "/etc/alertmanager/opsgenie-key"}],
    "telegram_configs": [{"bot_token_file": "/etc/alertmanager/token", "chat_id": 1}],
    "webhook_configs": [{"url": "https://hook.example/alerts"}],
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_alerts_go_to_any_kind_of_receiver_without_discord(kind):
    result = arguments(
        alertmanager_discord_webhook="",
        alertmanager_notify={"all": {kind: KINDS[kind]}},
    )
    assert "discord-webhook" not in result["secrets"]
    made = result["config"][0]["content"]
    assert made["receivers"] == [
        {"name": name, kind: KINDS[kind]} for name in ("critical", "high", "medium")
    ]
    assert made["route"]["receiver"] == "high"


def test_a_severity_has_the_receivers_of_all_its_own_and_discord():
    more = {"all": {"slack_configs": [1]}, "critical": {"slack_configs": [2]}}
    critical, high, _medium = config(alertmanager_notify=more)["receivers"]
    assert critical["slack_configs"] == [1, 2]
    assert high["slack_configs"] == [1]
    assert critical["discord_configs"] and high["discord_configs"]


def test_a_severity_without_a_receiver_gets_those_of_another_one():
    only = {"critical": {"webhook_configs": [1]}}
    receivers = config(alertmanager_discord_webhook="", alertmanager_notify=only)[
        "receivers"
    ]
    assert [receiver["webhook_configs"] for receiver in receivers] == [[1], [1], [1]]


def test_the_first_receiver_of_the_users_own_gets_all_alerts_without_another_one():
    own = [{"name": "ops", "slack_configs": [1]}, {"name": "db", "slack_configs": [2]}]
    made = config(
        alertmanager_discord_webhook="",
        alertmanager_receivers=own,
        alertmanager_routes=[{"receiver": "db", "matchers": ["team=db"]}],
    )
    assert made["receivers"] == own
    routes = [made["route"], *made["route"]["routes"]]
    assert [route["receiver"] for route in routes] == ["ops", "db", *["ops"] * 4]


def test_nobody_to_notify_is_refused_by_name():
    with pytest.raises(AnsibleError, match="or set alertmanager_notify"):
        arguments(alertmanager_discord_webhook="")


def test_an_unknown_severity_is_refused_by_name():
    with pytest.raises(
        AnsibleError, match="criticl: is no severity; write one of: all"
    ):
        config(alertmanager_notify={"criticl": {}})


NIGHTS = {"name": "nights", "severities": ["medium", "high"], "time_intervals": [{}]}
HEARTBEAT = "https://hc.example/ping/canary"


def test_muted_times_are_those_of_the_severities():
    result = config(
        monitoring_mute_timings=[NIGHTS],
        alertmanager_medium_route={"mute_time_intervals": ["own"]},
    )
    assert result["time_intervals"] == [{"name": "nights", "time_intervals": [{}]}]
    muted = [route.get("mute_time_intervals") for route in result["route"]["routes"]]
    # The last one is for alerts without a known severity, which counts as high.
    assert muted == [None, ["nights"], ["own", "nights"], ["nights"]]


def test_the_heartbeat_goes_to_the_address_outside_before_any_other_route():
    result = arguments(
        monitoring_heartbeat_url=HEARTBEAT,
        alertmanager_routes=[{"receiver": "critical", "continue": True}],
    )
    made = result["config"][0]["content"]
    first = made["route"]["routes"][0]
    assert (first["receiver"], first["matchers"]) == (
        "heartbeat",
        ['alertname="Watchdog"'],
    )
    [hook] = made["receivers"][-1]["webhook_configs"]
    assert hook == {
        "url_file": "/etc/alertmanager/heartbeat-url",
        "send_resolved": False,
    }
    assert result["secrets"].pop("heartbeat-url") == HEARTBEAT
    assert HEARTBEAT not in str(result)
