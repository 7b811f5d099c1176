# SPDX-License-Identifier: GPL-3.0-or-later
"""No run repeats a write that Grafana stores differently, by its own source."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana import (
    normalize,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.api.client import (
    Raced,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.grafana_errors import (
    GrafanaError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds.registry import (
    REGISTRY,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
    RequiredObject,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.load import (
    read_existing,
)
from tests.testbed.grafana.server import FakeGrafana
from tests.unit.grafana.conftest import Apply, connect, writes
from tests.unit.grafana.factories import BODIES, IDENTITIES, absent, changed, desired


def test_fields_that_no_update_empties_are_ignored(grafana: Any, apply: Apply) -> None:
    bare = {
        "uid": "prometheus",
        "name": "Prometheus",
        "type": "grafana-testdata-datasource",
    }
    asked = {
        **bare,
        "url": "http://127.0.0.1:9",
        "basicAuth": True,
        "basicAuthUser": "u",
        "user": "v",
    }
    apply(desired("datasource", asked))
    assert apply(desired("datasource", bare)).changed
    assert not apply(desired("datasource", bare)).changed and not writes(grafana)
    body = read_existing(connect(grafana), ("datasource",))["datasource"][
        "prometheus"
    ].body
    assert (body["basicAuth"], body["user"]) == (False, "")


@pytest.mark.parametrize("kind", ["folder", "dashboard"])
def test_spaces_around_a_title_are_no_difference(
    grafana: Any, apply: Apply, kind: str
) -> None:
    where = ("title",) if kind == "folder" else ("dashboard", "title")
    spaced = desired(kind, changed(BODIES[kind], where, " Spaced "))
    apply(spaced)
    assert not apply(spaced).changed and not writes(grafana)
    assert not apply(desired(kind, changed(BODIES[kind], where, "Spaced"))).changed


def test_a_dashboard_that_was_overtaken_is_read_again(
    fake_grafana: FakeGrafana, apply: Apply
) -> None:
    """Grafana 13.1 has a message whose words are final for other objects."""
    apply(desired("dashboard"))
    body = {"message": "Dashboard already exists. Use overwrite flag to update."}
    other = desired(
        "dashboard", changed(BODIES["dashboard"], ("dashboard", "title"), "Other")
    )
    # The log is cleared by the run, and the faults with it.
    fake_grafana.clear = fake_grafana.requests.clear
    fake_grafana.fail("409", method="POST", path=r"dashboards/db", times=1, body=body)
    apply(other)
    assert [line.status for line in fake_grafana.writes] == [409, 200]


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("Contact point is currently referenced by a notification policy.", True),
        ("Time interval is used", True),
        ("Time interval with this name already exists", True),
        (
            "Failed to update datasource: data source with the same name already exists",
            True,
        ),
        ("Dashboard already exists. Use overwrite flag to update.", False),
        ("The dashboard has been changed by someone else", False),
    ],
)
def test_a_final_conflict_is_not_repeated(text: str, final: bool) -> None:
    assert Raced("message", 409, text).is_final is final


@pytest.mark.parametrize("kind", ["folder", "datasource", "mute_timing"])
def test_a_late_creation_is_our_own(
    fake_grafana: FakeGrafana, apply: Apply, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A proxy gave up and Grafana went on, so that the second write finds the object."""
    chosen, reads = REGISTRY[kind], []

    def late(*args: Any) -> dict:
        reads.append(args)
        return {} if len(reads) < 3 else type(chosen).read(chosen, *args)

    fake_grafana.clear = fake_grafana.requests.clear
    fake_grafana.fail("502", method="POST", times=1, applied=True)
    monkeypatch.setattr(chosen, "read", late)
    assert len(apply(desired(kind)).changes) == 1
    assert not apply(desired(kind)).changed


def test_a_folder_is_deleted_after_the_index_has_caught_up(
    fake_grafana: FakeGrafana, apply: Apply
) -> None:
    """Newer storage counts by its index, which follows deletions a moment later."""
    inside = desired("dashboard", {**BODIES["dashboard"], "folderUid": "ops"})
    apply(desired("folder"), inside)
    fake_grafana.grafana.index_lag = 2
    apply(absent("folder"), absent("dashboard"))
    assert not REGISTRY["folder"].read(connect(fake_grafana), frozenset({"ops"}))


def test_byte_order_marks_in_a_dashboard_are_not_sent(
    grafana: Any, apply: Apply
) -> None:
    marked = desired(
        "dashboard",
        changed(
            BODIES["dashboard"], ("dashboard", "panels", 0, "title"), "\ufeffRate\ufeff"
        ),
    )
    apply(marked)
    assert (
        not apply(marked).changed
        and not apply(desired("dashboard")).changed
        and not writes(grafana)
    )


@pytest.mark.parametrize("number", [0, -1])
def test_zero_evaluations_mean_the_default(
    grafana: Any, apply: Apply, number: int
) -> None:
    apply(desired("folder"))
    three = changed(
        BODIES["rule_group"], ("rules", 0, "missingSeriesEvalsToResolve"), 3
    )
    none = desired(
        "rule_group",
        changed(three, ("rules", 0, "missingSeriesEvalsToResolve"), number),
    )
    apply(none)
    if connect(grafana).major_version() > 11:
        assert apply(desired("rule_group", three)).changed
        assert apply(none).changed
    assert not apply(none).changed and not apply(desired("rule_group")).changed


def test_the_case_of_an_integrations_type_is_no_difference(
    grafana: Any, apply: Apply
) -> None:
    shouted = desired(
        "contact_point",
        changed(BODIES["contact_point"], ("receivers", 0, "type"), "DISCORD"),
    )
    apply(shouted)
    assert (
        not apply(shouted).changed
        and not apply(desired("contact_point")).changed
        and not writes(grafana)
    )


def test_emptied_fields_of_a_recording_rule_are_no_difference(
    grafana: Any, apply: Apply
) -> None:
    more = {
        "record": {"metric": "m", "from": "A"},
        "keep_firing_for": "5m",
        "missingSeriesEvalsToResolve": 3,
    }
    settings = {"notification_settings": {"receiver": "grafana-default-email"}}
    recording = {**BODIES["rule_group"]["rules"][0], **more, **settings}
    group = desired("rule_group", {**BODIES["rule_group"], "rules": [recording]})
    apply(desired("folder"), group)
    assert not apply(group).changed and not writes(grafana)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("keep_firing_for", "15m", "keep_firing_for"),
        ("missingSeriesEvalsToResolve", 3, "missingSeriesEvalsToResolve"),
        (
            "notification_settings",
            {
                "receiver": "grafana-default-email",
                "active_time_intervals": [IDENTITIES["mute_timing"]],
            },
            "notification_settings.active_time_intervals",
        ),
    ],
)
def test_a_field_that_grafana_11_drops_is_refused_before_a_write(
    grafana: Any, apply: Apply, key: str, value: Any, named: str
) -> None:
    apply(desired("folder"), desired("mute_timing"))
    body = BODIES["rule_group"]
    group = desired("rule_group", changed(body, ("rules", 0, key), value))
    if connect(grafana).major_version() > 11:
        assert apply(group).changed
        assert not apply(group).changed and not writes(grafana)
        return
    with pytest.raises(GrafanaError, match=f"Grafana before 12 has no {named}: leave"):
        apply(group)
    assert not writes(grafana)
    zero = desired("rule_group", changed(body, ("rules", 0, "keep_firing_for"), "0"))
    assert apply(zero).changed
    assert not apply(zero).changed and not writes(grafana)


def test_an_instant_query_of_loki_has_to_be_one_of_loki(
    grafana: Any, apply: Apply
) -> None:
    loki = {"uid": "loki", "name": "Loki", "type": "loki", "url": "http://l"}
    apply(desired("folder"), desired("datasource", loki))
    query = ("rules", 0, "data", 0)
    group = changed(BODIES["rule_group"], (*query, "datasourceUid"), "loki")
    required = (RequiredObject("datasource", "loki", "alerts.yml:4"),)
    with pytest.raises(GrafanaError, match="loki is of type loki: set datasource_type"):
        apply(desired("rule_group", group), required=required)
    assert not writes(grafana)
    typed = changed(group, (*query, "model", "queryType"), "instant")
    assert apply(desired("rule_group", typed), required=required).changed


def test_quotes_of_a_matchers_value_are_kept(grafana: Any, apply: Apply) -> None:
    """In ``object_matchers`` the server takes one off at either end, also of a value's own."""
    matchers = [r'a="\"x\""', 'b=~"c|\\\\d\\n"']
    tree = changed(
        BODIES["policy"], ("routes",), [{"matchers": matchers}, {"match": {"d": '"'}}]
    )
    apply(desired("contact_point"), desired("mute_timing"), desired("policy", tree))
    policy = desired("policy", tree)
    assert not apply(policy).changed and not writes(grafana)
    live = read_existing(connect(grafana), ("policy",))["policy"][""].body
    assert normalize.matchers(live["routes"][0])[0] == ["a", "=", '"x"']
    stripped = {"object_matchers": [["a", "=", '"x"']]}
    assert normalize.matchers(stripped) == [["a", "=", "x"]]
    apply(desired("policy", changed(tree, ("routes",), [stripped])))
    live = read_existing(connect(grafana), ("policy",))["policy"][""].body
    assert live["routes"][0]["object_matchers"] == [["a", "=", "x"]]


def test_a_folder_with_the_uid_of_a_dashboard_is_left_alone(
    grafana: Any, apply: Apply
) -> None:
    """Grafana 11 shows a folder as a dashboard of its uid."""
    folder, board = IDENTITIES["folder"], BODIES["dashboard"]
    apply(desired("folder"))
    assert not apply(absent("dashboard", folder)).changed
    assert not writes(grafana)
    model = {**board["dashboard"], "uid": folder}
    item = DesiredObject("dashboard", folder, {**board, "dashboard": model}, "b.json")
    if connect(grafana).major_version() < 12:
        with pytest.raises(GrafanaError, match="a folder has this uid"):
            apply(item)
        assert not writes(grafana)
    else:
        assert apply(item).changed
        apply(absent("dashboard", folder))


@pytest.mark.parametrize("text", ["nonsense", "-5s", "0", "off", "1.5s"])
def test_a_refresh_that_grafana_replaces_is_no_difference(
    grafana: Any, apply: Apply, text: str
) -> None:
    item = desired(
        "dashboard", changed(BODIES["dashboard"], ("dashboard", "refresh"), text)
    )
    if connect(grafana).major_version() >= 13:
        with pytest.raises(GrafanaError, match="refresh interval is too low"):
            apply(item)
        return
    apply(item)
    assert not apply(item).changed and not writes(grafana)


@pytest.mark.parametrize(
    ("kind", "where", "value", "told"),
    [
        ("contact_point", ("receivers", 0, "settings"), {}, 'of type "discord": '),
        ("contact_point", ("receivers", 0, "type"), "carrier-pigeon", "carrier-pigeon"),
        (
            "template",
            ("template",),
            '{{ define "a" }}{{ nothing .Status }}{{ end }}',
            'function "nothing" not defined',
        ),
        ("template", ("template",), '{{ define "a" }}{{ if }}{{ end }}{{ end }}', ""),
        ("dashboard", ("dashboard", "title"), "x" * 5001, "longer than 5000 bytes"),
    ],
)
def test_all_that_the_server_refuses_is_told_before_the_first_write(
    grafana: Any, apply: Apply, kind: str, where: tuple, value: Any, told: str
) -> None:
    broken = desired(kind, changed(BODIES[kind], where, value))
    folder = {**BODIES["folder"], "title": ""}
    for is_check in (True, False):
        with pytest.raises(GrafanaError) as raised:
            apply(desired("folder", folder), broken, check=is_check)
        message = str(raised.value)
        assert message.startswith("Nothing was changed. ")
        assert "a folder needs a title" in message and f"{told}" in message
        assert f"{broken.source}): " in message
        assert not writes(grafana)


def test_a_long_tag_is_refused_before_a_write_since_12(
    grafana: Any, apply: Apply
) -> None:
    body = changed(BODIES["dashboard"], ("dashboard", "tags"), ["ü" * 26, 5])
    if connect(grafana).major_version() < 12:
        assert apply(desired("dashboard", body)).changed
        return
    with pytest.raises(GrafanaError, match="longer than 50 bytes"):
        apply(desired("dashboard", body))
    assert not writes(grafana)


def test_who_may_not_test_is_not_refused(
    fake_grafana: FakeGrafana, apply: Apply
) -> None:
    fake_grafana.clear = fake_grafana.requests.clear
    fake_grafana.fail("409", status=403, method="POST", path="templates/test")
    assert apply(desired("template")).changed
