# SPDX-License-Identifier: GPL-3.0-or-later
"""A run brings Grafana to the desired state, and writes nothing without a difference."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.lint import (
    lint,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.schema import (
    Diagnostics,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.grafana_errors import (
    GrafanaError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds.registry import (
    KINDS,
    REGISTRY,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.load import (
    read_existing,
)
from tests.testbed.grafana import notifications
from tests.testbed.grafana.server import FakeGrafana
from tests.unit.grafana.conftest import REAL, Apply, connect, writes
from tests.unit.grafana.factories import (
    BODIES,
    CHANGES,
    IDENTITIES,
    RULE,
    absent,
    changed,
    desired,
)

# What the objects of the tests refer to.
SURROUNDINGS = [
    desired("folder", {"uid": "ops", "title": "Operations", "parentUid": ""}),
    desired("folder", {"uid": "place", "title": "Place", "parentUid": ""}),
    desired(
        "mute_timing", {"name": "quiet", "time_intervals": [{"weekdays": ["sunday"]}]}
    ),
]


def surroundings(kind: str) -> list[DesiredObject]:
    return [
        item
        for item in SURROUNDINGS
        if item.kind != kind or item.identity != IDENTITIES[kind]
    ]


def actions(result: Any) -> list[tuple[str, str]]:
    return [(change["kind"], change["action"]) for change in result.changes]


@pytest.mark.parametrize("kind", KINDS)
def test_the_life_of_an_object(kind: str, grafana: Any, apply: Apply) -> None:
    apply(*surroundings(kind))
    planned = apply(desired(kind), check=True)
    assert not writes(grafana) and actions(planned) == [
        (kind, "update" if kind == "policy" else "create")
    ]
    assert actions(apply(desired(kind))) == actions(planned)
    assert REAL or writes(grafana)
    kept = apply(desired(kind))
    assert not kept.changed and not kept.diff and not writes(grafana)
    planned = apply(absent(kind), check=True)
    assert not writes(grafana) and actions(planned) == [(kind, "delete")]
    assert actions(apply(absent(kind))) == [(kind, "delete")]
    assert not apply(absent(kind)).changed and not writes(grafana)
    if kind != "policy":
        assert IDENTITIES[kind] not in read_existing(connect(grafana), (kind,))[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_each_field_is_changed(kind: str, grafana: Any, apply: Apply) -> None:
    body = BODIES[kind]
    if kind == "datasource":
        # The first one is the default.
        apply(desired(kind, {**body, "uid": "loki", "name": "Loki"}))
    apply(*surroundings(kind), desired(kind))
    for where, value in CHANGES[kind]:
        if where[-1] == "keep_firing_for" and connect(grafana).major_version() == 11:
            continue
        body = changed(body, where, value)
        planned = apply(desired(kind, body), check=True)
        assert not writes(grafana) and actions(planned) == [(kind, "update")], (
            where,
            value,
        )
        assert (
            len(planned.diff) == 1
            and planned.diff[0]["before"] != planned.diff[0]["after"]
        ), (
            where,
            value,
        )
        done = apply(desired(kind, body))
        assert (
            done.changes == planned.changes
            and done.diff[0].keys() == planned.diff[0].keys()
        )
        assert not apply(desired(kind, body)).changed and not writes(grafana), (
            where,
            value,
        )
    # Somebody puts it all back by the same API.
    apply(desired(kind), adopt=True)
    assert actions(apply(desired(kind, body))) == [(kind, "update")]


def test_folders_nest_and_move(grafana: Any, apply: Apply) -> None:
    below = {"uid": "below", "title": "Below", "parentUid": "ops"}
    # A child may be named before its parent.
    apply(desired("folder", below), *SURROUNDINGS)
    assert not apply(desired("folder", below), *SURROUNDINGS).changed
    moved = {**below, "parentUid": "place", "title": "Moved"}
    assert actions(apply(desired("folder", moved))) == [("folder", "update")]
    assert not apply(desired("folder", moved)).changed
    to_the_top = {**moved, "parentUid": ""}
    assert actions(apply(desired("folder", to_the_top))) == [("folder", "update")]
    assert not apply(desired("folder", to_the_top)).changed and not writes(grafana)
    assert (
        read_existing(connect(grafana), ("folder",))["folder"]["below"].body[
            "parentUid"
        ]
        == ""
    )
    apply(desired("folder", below))
    # All go, those below first, however they are listed.
    for order in (("ops", "below", "place"), ("place", "below", "ops")):
        apply(desired("folder", below), *SURROUNDINGS)
        done = apply(*(absent("folder", uid) for uid in order))
        assert [change["action"] for change in done.changes] == ["delete"] * 3


def test_a_description_is_compared_where_it_is_readable(
    grafana: Any, apply: Apply
) -> None:
    described = {**BODIES["folder"], "description": "All of it"}
    apply(desired("folder", described))
    assert not apply(desired("folder", described)).changed
    apply(
        desired(
            "folder", {**described, "title": "Another", "description": "Some of it"}
        )
    )
    assert not apply(
        desired(
            "folder", {**described, "title": "Another", "description": "Some of it"}
        )
    ).changed


def test_a_folder_with_content_is_never_deleted(grafana: Any, apply: Apply) -> None:
    apply(
        desired("folder"),
        desired("dashboard", {**BODIES["dashboard"], "folderUid": "ops"}),
        desired("rule_group"),
    )
    with pytest.raises(
        GrafanaError,
        match=r"folder ops .*holds 2 alertrule, 1 dashboard, and is deleted only when",
    ):
        apply(absent("folder"))
    assert not writes(grafana)
    with pytest.raises(GrafanaError, match="holds 1 dashboard"):
        apply(absent("folder"), absent("rule_group"))
    assert not writes(grafana)
    apply(absent("folder"), absent("rule_group"), absent("dashboard"))
    assert "ops" not in read_existing(connect(grafana), ("folder",))["folder"]


def test_the_default_datasource_moves(grafana: Any, apply: Apply) -> None:
    prometheus = {**BODIES["datasource"], "isDefault": True}
    loki = {
        "uid": "loki",
        "name": "Loki",
        "type": "loki",
        "url": "http://127.0.0.1:3100",
    }
    both = [desired("datasource", prometheus), desired("datasource", loki)]
    apply(*both)
    assert not apply(*both).changed
    turned = [
        desired("datasource", {**loki, "isDefault": True}),
        desired("datasource", BODIES["datasource"]),
    ]
    assert actions(apply(*turned)) == [("datasource", "update")]
    assert not apply(*turned).changed and not writes(grafana)


def test_exact_removes_other_keys_of_a_datasource(grafana: Any, apply: Apply) -> None:
    apply(
        desired(
            "datasource", changed(BODIES["datasource"], ("jsonData", "added"), True)
        )
    )
    assert not apply(desired("datasource")).changed
    assert apply(desired("datasource"), exact_json_data=True).changed
    assert not apply(desired("datasource"), exact_json_data=True).changed
    assert (
        "added"
        not in read_existing(connect(grafana), ("datasource",))["datasource"][
            "prometheus"
        ].body["jsonData"]
    )


@pytest.mark.parametrize("key", ["key", ""])
def test_a_rotated_secret_is_one_change(grafana: Any, apply: Apply, key: str) -> None:
    apply(desired("datasource"), fingerprint_key=key)
    rotated = desired(
        "datasource",
        changed(BODIES["datasource"], ("secureJsonData", "httpHeaderValue1"), "second"),
    )
    done = apply(rotated, fingerprint_key=key)
    assert actions(done) == [("datasource", "update")]
    assert "(hidden)" in done.diff[0]["before"] and "second" not in str(done.values())
    assert not apply(rotated, fingerprint_key=key).changed
    # With another key it cannot be message, so the secret is written once more.
    assert apply(rotated, fingerprint_key="another").changed
    assert not apply(rotated, fingerprint_key="another").changed


def test_secrets_are_written_again_after_another_edit(
    grafana: Any, apply: Apply
) -> None:
    apply(desired("datasource"))
    client = connect(grafana)
    held = client.get("/api/datasources/uid/prometheus")
    client.write(
        "PUT",
        "/api/datasources/uid/prometheus",
        "",
        {**held, "secureJsonData": {"httpHeaderValue1": "x"}},
    )
    assert actions(apply(desired("datasource"))) == [("datasource", "update")]
    assert not apply(desired("datasource")).changed


def test_a_rotated_webhook_is_one_change(grafana: Any, apply: Apply) -> None:
    apply(desired("contact_point"))
    url = "https://discord.example/api/webhooks/1/rotated"
    rotated = desired(
        "contact_point",
        changed(BODIES["contact_point"], ("receivers", 0, "settings", "url"), url),
    )
    done = apply(rotated)
    assert actions(done) == [("contact_point", "update")]
    assert "(hidden, changed)" in done.diff[0]["after"] and "webhooks" not in str(
        done.values()
    )
    assert not apply(rotated).changed and not writes(grafana)


def test_a_user_who_may_not_read_secrets_is_warned(
    fake_grafana: FakeGrafana, apply: Apply
) -> None:
    apply(desired("contact_point"))
    fake_grafana.fail(
        "500",
        method="GET",
        path=r"export$",
        status=403,
        body={"message": "no"},
        times=1,
    )
    from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.reconcile import (
        Options,
        reconcile,
    )

    kept = reconcile(connect(fake_grafana), [desired("contact_point")], Options())
    assert (
        not kept.changed
        and not writes(fake_grafana)[1:]
        and "goes unnoticed" in kept.warnings[0]
    )


ODD = [
    "{{ $labels.instance }}",
    "{{ $values.A.Value }} $__rate_interval ${DS_X} $$",
    "{% raw %} 'single' \"double\" \\ \n\t end",
    "emoji \U0001f525, rtl \u05d0, separator \u2028, nul \x00",
    "",
]


@pytest.mark.parametrize("text", ODD)
def test_odd_strings_come_back_equal(grafana: Any, apply: Apply, text: str) -> None:
    panel = {
        "id": 1,
        "title": text,
        "big": 2**53 + 1,
        "float": 1e21,
        "none": None,
        "empty": {},
        "list": [],
    }
    model = {
        "uid": "app",
        "title": "Application",
        "panels": [panel],
        "description": text,
    }
    rule = {**RULE, "annotations": {"summary": text}, "labels": {"a": text or "b"}}
    group = {
        **BODIES["rule_group"],
        "rules": [changed(rule, ("data", 0, "model", "expr"), text)],
    }
    items = [
        *SURROUNDINGS,
        desired("dashboard", {"dashboard": model, "folderUid": "ops"}),
        desired("rule_group", group),
    ]
    if "\x00" not in text:
        items.append(
            desired(
                "contact_point",
                changed(
                    BODIES["contact_point"], ("receivers", 0, "settings", "title"), text
                ),
            )
        )
    apply(*items)
    assert not apply(*items).changed and not writes(grafana)
    found = read_existing(connect(grafana), ("dashboard", "rule_group"))
    stored = found["dashboard"]["app"].body["dashboard"]["panels"]
    # Servers since 12 keep the integer as a double.
    keeps_integers = connect(grafana).major_version() < 12
    assert stored == [panel if keeps_integers else {**panel, "big": 2**53}]
    assert found["rule_group"]["ops/targets"].body["rules"][0]["annotations"] == {
        "summary": text
    }


def test_a_routed_contact_point_is_renamed(grafana: Any, apply: Apply) -> None:
    tree = {
        "receiver": "chat",
        "routes": [{"receiver": "chat", "object_matchers": [["a", "=", "b"]]}],
    }
    apply(desired("contact_point"), desired("policy", tree), adopt=True)
    renamed = {**BODIES["contact_point"], "name": "discord"}
    with pytest.raises(
        GrafanaError,
        match="takes the last integration of contact point chat, and routes or rules",
    ):
        apply(desired("contact_point", renamed))
    assert not writes(grafana)
    new = {
        "receiver": "discord",
        "routes": [{"receiver": "discord", "object_matchers": [["a", "=", "b"]]}],
    }
    items = [desired("contact_point", renamed), desired("policy", new)]
    apply(*items)
    assert [line.split()[0] for line in writes(grafana)] == (
        [] if REAL else ["POST", "PUT", "DELETE", "POST", "DELETE"]
    )
    assert not apply(*items).changed
    points = read_existing(connect(grafana), ("contact_point",))["contact_point"]
    assert "chat" not in points and [
        one["uid"] for one in points["discord"].body["receivers"]
    ] == ["chat-1"]


def test_an_unchanged_rule_of_a_changed_group_keeps_its_state(
    fake_grafana: FakeGrafana, apply: Apply
) -> None:
    apply(*SURROUNDINGS, desired("rule_group"))
    apply(
        desired(
            "rule_group", changed(BODIES["rule_group"], ("rules", 0, "title"), "Other")
        )
    )
    apply(
        desired(
            "rule_group", changed(BODIES["rule_group"], ("rules", 0, "title"), "Other")
        )
    )
    assert not fake_grafana.state_resets.get("target-slow")


def test_a_rule_that_changes_its_group_keeps_its_uid(
    grafana: Any, apply: Apply
) -> None:
    apply(*SURROUNDINGS, desired("rule_group"))
    group = {
        "folderUid": "ops",
        "title": "renamed",
        "interval": 60,
        "rules": BODIES["rule_group"]["rules"],
    }
    items = [desired("rule_group", group), absent("rule_group")]
    apply(*items)
    assert not apply(*items).changed and not writes(grafana)
    assert list(read_existing(connect(grafana), ("rule_group",))["rule_group"]) == [
        "ops/renamed"
    ]


def test_a_rule_moves_between_groups_that_stay_without_losing_its_state(
    fake_grafana: FakeGrafana, apply: Apply
) -> None:
    second = {
        **BODIES["rule_group"],
        "title": "zz",
        "rules": [{**RULE, "uid": "third", "title": "Third"}],
    }
    apply(*SURROUNDINGS, desired("rule_group"), desired("rule_group", second))
    moved, stays = BODIES["rule_group"]["rules"]
    items = [
        desired("rule_group", {**BODIES["rule_group"], "rules": [stays]}),
        desired("rule_group", {**second, "rules": [*second["rules"], moved]}),
    ]
    apply(*items)
    assert [line.split("/")[-1] for line in writes(fake_grafana)] == ["zz", "targets"]
    assert not apply(*items).changed


# Drift and provenance


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if REGISTRY[kind].has_provenance]
)
@pytest.mark.parametrize("provenance", ["file", "", "api"])
def test_provenance_decides_who_changes_an_object(
    kind: str, provenance: str, fake_grafana: FakeGrafana, apply: Apply
) -> None:
    apply(*surroundings(kind), desired(kind))
    keys = {
        "rule_group": ("rule", "target-down"),
        "contact_point": ("contact_point", "chat-1"),
    }
    fake_grafana.set_provenance(*keys.get(kind, (kind, IDENTITIES[kind])), provenance)
    other = desired(kind, changed(BODIES[kind], *CHANGES[kind][0]))
    if provenance == "api":
        assert apply(other).changed
        return
    for check in (True, False):
        message = (
            "provisioned from a file"
            if provenance == "file"
            else "only with adopt: true"
        )
        with pytest.raises(GrafanaError, match=message):
            apply(other, check=check)
        assert not writes(fake_grafana)
    if provenance == "file":
        with pytest.raises(GrafanaError, match="provisioned from a file"):
            apply(other, adopt=True)
        return
    assert apply(other, adopt=True).changed
    assert not apply(other).changed


@pytest.mark.parametrize("kind", ["datasource", "dashboard"])
def test_a_file_provisioned_object_is_left_alone(
    kind: str, fake_grafana: FakeGrafana, apply: Apply
) -> None:
    apply(*surroundings(kind), desired(kind))
    fake_grafana.set_provenance(kind, IDENTITIES[kind], "file")
    for item in (desired(kind, changed(BODIES[kind], *CHANGES[kind][0])), absent(kind)):
        with pytest.raises(
            GrafanaError,
            match=rf"{kind} {IDENTITIES[kind]} \(test.yml:\d\): it is provisioned from",
        ):
            apply(item)
    assert not writes(fake_grafana)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if REGISTRY[kind].has_provenance]
)
def test_editable_objects_have_no_provenance(
    kind: str, grafana: Any, apply: Apply
) -> None:
    apply(*surroundings(kind))
    apply(desired(kind), editable=True)
    assert not apply(desired(kind), editable=True).changed and not writes(grafana)
    assert (
        read_existing(connect(grafana), (kind,))[kind][IDENTITIES[kind]].provenance
        == ""
    )
    assert apply(
        desired(kind, changed(BODIES[kind], *CHANGES[kind][0])), editable=True
    ).changed


def test_an_object_of_the_api_becomes_editable_on_newer_servers(
    grafana: Any, apply: Apply
) -> None:
    apply(desired("template"))
    if connect(grafana).major_version() >= 13:
        assert apply(desired("template"), editable=True).changed
        assert not apply(desired("template"), editable=True).changed
        return
    with pytest.raises(
        GrafanaError, match="before 13 does not make an object of the API editable"
    ):
        apply(desired("template"), editable=True)
    assert not writes(grafana)


def test_a_manual_policy_tree_is_not_lost(grafana: Any, apply: Apply) -> None:
    by_hand = {
        "receiver": "grafana-default-email",
        "routes": [{"object_matchers": [["team", "=", "theirs"]]}],
    }
    apply(desired("policy", by_hand), editable=True)
    with pytest.raises(
        GrafanaError,
        match=r"policy tree .* made manually, and is replaced only with adopt",
    ):
        apply(desired("policy"))
    assert not writes(grafana)
    assert apply(desired("policy"), adopt=True).changed
    assert not apply(desired("policy")).changed


def test_the_initial_tree_of_newer_servers_is_replaced(
    fake_grafana: FakeGrafana, apply: Apply
) -> None:
    """Since 12.4 its receiver is a contact point without integrations."""
    fake_grafana.store.put(1, "alertmanager", "", notifications.default("12.4.0"))
    routed = {
        "receiver": "empty",
        "routes": [{"receiver": "chat", "object_matchers": [["a", "=", "b"]]}],
    }
    tree = [desired("contact_point"), desired("policy", routed)]
    assert actions(
        apply(*tree, required=(("contact_point", "empty", "policy.yml:3"),))
    ) == [
        ("contact_point", "create"),
        ("policy", "update"),
    ]
    assert not apply(*tree).changed and not writes(fake_grafana)
    # The API lists integrations, so that it does not show this one.
    assert not apply(absent("contact_point", "empty")).changed and not writes(
        fake_grafana
    )


def test_an_integration_without_a_uid_cannot_be_replaced(
    grafana: Any, apply: Apply
) -> None:
    listed = connect(grafana).get("/api/v1/provisioning/contact-points")
    if all(integration["uid"] for integration in listed):
        pytest.skip("a fresh 12.4 has no integration without a uid")
    mail = {"uid": "mail", "type": "email", "settings": {"addresses": "a@example.com"}}
    with pytest.raises(
        GrafanaError,
        match="has an integration without a uid, which the API cannot remove",
    ):
        apply(
            desired(
                "contact_point", {"name": "grafana-default-email", "receivers": [mail]}
            ),
            adopt=True,
        )
    with pytest.raises(GrafanaError, match="Grafana needs it"):
        apply(absent("contact_point", "grafana-default-email"), adopt=True)
    assert not writes(grafana)


def test_a_dashboard_whose_title_is_taken_is_refused(
    grafana: Any, apply: Apply
) -> None:
    apply(
        *SURROUNDINGS, desired("dashboard", {**BODIES["dashboard"], "folderUid": "ops"})
    )
    twin = {
        "dashboard": {**BODIES["dashboard"]["dashboard"], "uid": "twin"},
        "folderUid": "ops",
    }
    with pytest.raises(
        GrafanaError,
        match="'Application' is taken there by the dashboard with the uid app",
    ):
        apply(desired("dashboard", twin))
    assert not writes(grafana)


def test_a_save_in_between_is_not_overwritten_blindly(
    fake_grafana: FakeGrafana, apply: Apply
) -> None:
    apply(desired("dashboard"))
    sent = [line.body for line in fake_grafana.writes]
    apply(
        desired(
            "dashboard", changed(BODIES["dashboard"], ("dashboard", "title"), "Other")
        )
    )
    sent += [line.body for line in fake_grafana.writes]
    assert all('"overwrite":false' in body.replace(" ", "") for body in sent)
    assert '"version"' not in sent[0] and '"version"' in sent[1]


def test_all_blockers_are_reported_before_the_first_write(
    grafana: Any, apply: Apply
) -> None:
    tree = {"receiver": "gone"}
    items = [
        desired("folder", {"uid": "ops", "title": ""}),
        desired("policy", tree),
        desired("template"),
    ]
    with pytest.raises(GrafanaError) as raised:
        apply(*items)
    assert str(raised.value).startswith("Nothing was changed. ")
    assert "folder ops (test.yml:1): a folder needs a title" in str(raised.value)
    assert "policy tree (test.yml:1): it needs contact point gone" in str(raised.value)
    assert not writes(grafana)


# Sent to Grafana 12.4.0, these made it unable to load its configuration, or were changed.
@pytest.mark.parametrize("character", "\x7f\x80\x9e\ufffe\uffff\x85")
@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("contact_point", ("receivers", 0, "settings", "title")),
        ("mute_timing", ("name",)),
        ("policy", ("routes", 0, "object_matchers", 0, 2)),
        ("policy", ("group_by", 0)),
    ],
)
def test_characters_that_break_the_configuration_are_refused(
    kind: str, path: tuple, character: str, grafana: Any, apply: Apply
) -> None:
    body = changed(BODIES[kind], path, f"a{character}b")
    identity = body["name"] if path == ("name",) else IDENTITIES[kind]
    item = DesiredObject(kind, identity, body, "f:1")
    with pytest.raises(GrafanaError, match=r"Nothing was changed.*control character"):
        apply(item, adopt=True)
    assert not writes(grafana)
    diagnostics = Diagnostics()
    lint([item], diagnostics)
    assert any("control character" in error for error in diagnostics.errors)


@pytest.mark.parametrize("character", "\x06\xa0\u2028\u2029\ufeff\ue000\U0001ffff")
def test_other_characters_hold(character: str, grafana: Any, apply: Apply) -> None:
    path = ("receivers", 0, "settings", "title")
    item = desired("contact_point", changed(BODIES["contact_point"], path, character))
    apply(item)
    assert not apply(item).changed and not writes(grafana)


# Ownership

OWNER = {"owner": "tests"}


def environment() -> list[DesiredObject]:
    """Return an object of each kind, with references between them."""
    tree = {
        "receiver": "chat",
        "routes": [
            {"mute_time_intervals": ["weekend"], "object_matchers": [["a", "=", "b"]]}
        ],
    }
    bodies = {
        **BODIES,
        "policy": tree,
        "dashboard": {**BODIES["dashboard"], "folderUid": "ops"},
    }
    # Against the order of creation.
    return [desired(kind, bodies[kind]) for kind in reversed(KINDS)]


def test_an_environment_is_made_in_order_and_kept(grafana: Any, apply: Apply) -> None:
    done = apply(*environment(), **OWNER, adopt=True)
    assert [
        change["kind"] for change in done.changes if change["kind"] != "ownership"
    ] == list(KINDS)
    kept = apply(*environment(), **OWNER)
    assert not kept.changed and not writes(grafana)
    assert all(
        counts["keep"] == 1 and sum(counts.values()) == 1
        for counts in kept.counts.values()
    )
    # Whoever runs it in check mode is message the same.
    assert not apply(*environment(), **OWNER, check=True).changed


def test_only_owned_and_undesired_objects_are_pruned(
    grafana: Any, apply: Apply
) -> None:
    old = [
        desired("folder", {"uid": "place", "title": "Place", "parentUid": ""}),
        desired(
            "mute_timing",
            {"name": "quiet", "time_intervals": [{"weekdays": ["sunday"]}]},
        ),
        desired(
            "datasource",
            {
                "uid": "loki",
                "name": "Loki",
                "type": "loki",
                "url": "http://127.0.0.1:3100",
            },
        ),
    ]
    unmanaged = [desired("folder", {"uid": "below", "title": "Below", "parentUid": ""})]
    apply(*unmanaged)
    apply(*environment(), *old, **OWNER, adopt=True)
    rules = {**OWNER, "prune": KINDS}
    for options in (
        {**OWNER},
        {"prune": KINDS},
        {"owner": "others", "prune": KINDS, "check": True},
    ):
        assert not [
            change
            for change in apply(*environment(), **options).changes
            if change["kind"] != "ownership"
        ]
    planned = apply(*environment(), **rules, check=True)
    assert not writes(grafana)
    done = apply(*environment(), **rules)
    deleted = [
        (change["kind"], change["identity"])
        for change in done.changes
        if change["action"] == "delete"
    ]
    assert deleted == [
        ("mute_timing", "quiet"),
        ("datasource", "loki"),
        ("folder", "place"),
    ]
    assert {str(change) for change in planned.changes} == {
        str(change) for change in done.changes
    }
    assert not apply(*environment(), **rules).changed and not writes(grafana)
    assert "below" in read_existing(connect(grafana), ("folder",))["folder"]


def test_a_prune_above_its_limit_does_nothing(grafana: Any, apply: Apply) -> None:
    more = [
        desired("folder", {"uid": uid, "title": uid, "parentUid": ""})
        for uid in ("place", "below")
    ]
    apply(desired("folder"), *more, **OWNER)
    with pytest.raises(
        GrafanaError,
        match=r"2 objects are no longer desired, more than prune_max \(1\): folder below",
    ):
        apply(desired("folder"), **OWNER, prune=KINDS, prune_max=1)
    assert not writes(grafana)


def test_a_prune_at_its_limit_is_done(grafana: Any, apply: Apply) -> None:
    more = [
        desired("folder", {"uid": uid, "title": uid, "parentUid": ""})
        for uid in ("place", "below")
    ]
    apply(desired("folder"), *more, **OWNER)
    apply(desired("folder"), **OWNER, prune=KINDS, prune_max=2)
    left = read_existing(connect(grafana), ("folder",))["folder"]
    assert not {"place", "below"} & set(left)


def test_a_prune_with_nothing_desired_does_nothing_and_warns(
    grafana: Any, apply: Apply
) -> None:
    apply(desired("folder"), **OWNER)
    result = apply(desired("template"), **OWNER, prune=KINDS)
    assert "No folder is desired at all, so none is pruned." in result.warnings
    assert "ops" in read_existing(connect(grafana), ("folder",))["folder"]


def test_a_prune_keeps_a_folder_with_content(grafana: Any, apply: Apply) -> None:
    apply(
        desired("folder"),
        desired("folder", {"uid": "place", "title": "Place", "parentUid": ""}),
        **OWNER,
    )
    apply(desired("dashboard", {**BODIES["dashboard"], "folderUid": "place"}))
    result = apply(desired("folder"), **OWNER, prune=KINDS)
    assert not result.changed
    assert (
        "folder place is no longer desired, but is kept: it holds 1 dashboard"
        in result.warnings[0]
    )


def test_a_prune_does_not_follow_a_failure(
    fake_grafana: FakeGrafana, apply: Apply
) -> None:
    apply(
        desired("folder"),
        desired("folder", {"uid": "place", "title": "Place", "parentUid": ""}),
        **OWNER,
    )
    from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.reconcile import (
        Options,
        reconcile,
    )

    fake_grafana.clear()
    fake_grafana.fail("500", method="PUT", path=r"/templates/discord", times=0)
    with pytest.raises(
        GrafanaError, match=r"template discord \(test.yml:1\): PUT .* answered 500"
    ) as raised:
        reconcile(
            connect(fake_grafana),
            [desired("folder"), desired("template")],
            Options(owner="tests", prune=KINDS),
        )
    assert [line for line in fake_grafana.writes if line.method == "DELETE"] == []
    assert [change["kind"] for change in raised.value.result.changes] == ["ownership"]


def test_the_ownership_record_is_hidden(grafana: Any, apply: Apply) -> None:
    apply(desired("template"), **OWNER)
    assert (
        "tests.owned" not in read_existing(connect(grafana), ("template",))["template"]
    )


def test_required_objects_are_looked_up(grafana: Any, apply: Apply) -> None:
    apply(desired("datasource"))
    assert not apply(required=(("datasource", "prometheus", "app.json:3"),)).changed
    with pytest.raises(
        GrafanaError,
        match=r"datasource loki \(app.json:9\): it is neither desired nor on the server",
    ):
        apply(desired("folder"), required=(("datasource", "loki", "app.json:9"),))
    assert not writes(grafana)


def test_planning_changes_no_argument(grafana: Any, apply: Apply) -> None:
    items = environment()
    kept = deepcopy(items)
    apply(*items, adopt=True)
    assert items == kept


def test_a_password_in_a_url_is_not_shown(grafana: Any, apply: Apply) -> None:
    for url in (
        "http://me:planted-one@127.0.0.1:1",
        "http://me:planted-two@127.0.0.1:2",
    ):
        item = desired("datasource", {**BODIES["datasource"], "url": url})
        assert REGISTRY["datasource"].secrets(item.body) == {"first-secret", url[10:21]}
        message = str(apply(item).values())
        assert "http://me:(hidden)@127.0.0.1" in message and "planted" not in message
        assert not apply(item).changed


def test_a_secret_without_a_value_is_not_set(grafana: Any, apply: Apply) -> None:
    empty = {
        **BODIES["datasource"],
        "secureJsonData": {"httpHeaderValue1": "first", "a": "", "b": None},
    }
    assert apply(desired("datasource", empty)).changed
    assert not apply(desired("datasource", empty)).changed and not writes(grafana)
    assert connect(grafana).get("/api/datasources/uid/prometheus")[
        "secureJsonFields"
    ] == {"httpHeaderValue1": True}
    emptied = {**empty, "secureJsonData": {"httpHeaderValue1": ""}}
    assert apply(desired("datasource", emptied)).changed
    assert not apply(desired("datasource", emptied)).changed


def test_an_object_that_nobody_recorded_is_owned_only_if_it_is_taken_over(
    grafana: Any, apply: Apply
) -> None:
    apply(desired("template"), desired("datasource"), editable=True)
    asked = [desired("template"), desired("datasource")]
    assert not apply(*asked, **OWNER, editable=True, check=True).changed
    assert not apply(*asked, **OWNER, editable=True).changed and not writes(grafana)
    taken = apply(*asked, **OWNER, editable=True, adopt=True)
    assert [change["kind"] for change in taken.changes] == ["ownership"]


def test_a_prune_keeps_objects_of_another_owner(grafana: Any, apply: Apply) -> None:
    other = desired("template", {"name": "other", "template": "x"})
    apply(desired("template"), owner="first")
    apply(desired("template"), owner="tests")
    result = apply(other, owner="tests", prune=("template",))
    assert ("template", "delete") not in actions(result)
    assert (
        "template discord is no longer desired, but is kept: another owner has it too."
        in result.warnings
    )
    result = apply(other, owner="tests", prune=("template",))
    assert not result.changed and not result.warnings and not writes(grafana)
    assert "discord" in read_existing(connect(grafana), ("template",))["template"]
    apply(absent("template", "first.owned"), absent("template", "other"))


def test_leaving_one_folder_does_not_empty_another(grafana: Any, apply: Apply) -> None:
    place, below = (
        {"uid": uid, "title": uid, "parentUid": "ops"} for uid in ("place", "below")
    )
    mine = {**BODIES["dashboard"], "folderUid": "below"}
    apply(
        desired("folder"),
        desired("folder", place),
        desired("folder", below),
        desired("dashboard", mine),
        **OWNER,
    )
    theirs = {
        "dashboard": {"uid": "twin", "title": "Theirs", "panels": []},
        "folderUid": "place",
    }
    kept = {
        "dashboard": {"uid": "other", "title": "Kept", "panels": []},
        "folderUid": "",
    }
    apply(desired("dashboard", theirs))
    result = apply(desired("folder"), desired("dashboard", kept), **OWNER, prune=KINDS)
    assert (
        "folder place is no longer desired, but is kept: it holds 1 dashboard"
        in " ".join(result.warnings)
    )
    assert set(read_existing(connect(grafana), ("folder",))["folder"]) == {
        "ops",
        "place",
    }
    apply(
        *[absent("dashboard", uid) for uid in ("twin", "other")],
        absent("folder"),
        absent("folder", "place"),
    )
    assert not read_existing(connect(grafana), ("folder",))["folder"]


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if REGISTRY[kind].has_provenance]
)
def test_an_owner_recognizes_its_editable_objects(
    kind: str, grafana: Any, apply: Apply
) -> None:
    other = desired(kind, changed(BODIES[kind], *CHANGES[kind][0]))
    apply(*surroundings(kind))
    apply(desired(kind), editable=True)
    with pytest.raises(
        GrafanaError, match="made manually, and is replaced only with adopt"
    ):
        apply(other, editable=True, **OWNER)
    assert not writes(grafana)
    assert apply(other, editable=True, adopt=True, **OWNER).changed
    assert apply(desired(kind), editable=True, **OWNER).changed
    assert not apply(desired(kind), editable=True, **OWNER).changed and not writes(
        grafana
    )


def test_objects_in_use_are_neither_deleted_nor_pruned(
    grafana: Any, apply: Apply
) -> None:
    other = desired("template", {"name": "other", "template": "x"})
    quiet = desired(
        "mute_timing", {"name": "quiet", "time_intervals": [{"weekdays": ["sunday"]}]}
    )
    email = {"uid": "d", "type": "email", "settings": {"addresses": "a@example.com"}}
    spare = desired("contact_point", {"name": "discord", "receivers": [email]})
    mine = [desired("template"), desired("mute_timing"), desired("contact_point")]
    rest = [other, quiet, spare]
    apply(*mine, *rest, **OWNER)
    # Of somebody else, in the interface.
    settings = {
        "addresses": "b@example.com",
        "message": '{{ template "discord.title" . }}',
    }
    theirs = {
        "name": "theirs",
        "receivers": [{"uid": "theirs", "type": "email", "settings": settings}],
    }
    used = {"receiver": "chat", "mute_time_intervals": ["weekend"]}
    group = {**BODIES["rule_group"], "rules": [{**RULE, "notification_settings": used}]}
    unmanaged = [
        desired("folder"),
        desired("contact_point", theirs),
        desired("rule_group", group),
    ]
    apply(*unmanaged, editable=True)
    for kind in ("template", "mute_timing", "contact_point"):
        with pytest.raises(GrafanaError, match=r"Nothing was changed\. .* still use"):
            apply(absent(kind), adopt=True)
        assert not writes(grafana)
    pruned = apply(*rest, **OWNER, prune=KINDS)
    assert not pruned.changed and not writes(grafana)
    reason = "contact point theirs still uses its template discord.title"
    assert sorted(pruned.warnings) == [
        "contact point chat is no longer desired, but is kept: routes or rules still use it.",
        "mute timing weekend is no longer desired, but is kept: routes or rules still use it.",
        f"template discord is no longer desired, but is kept: {reason}.",
    ]
    apply(
        absent("rule_group"),
        absent("contact_point", "theirs"),
        absent("folder"),
        adopt=True,
    )
    assert len(apply(*rest, **OWNER, prune=KINDS).changes) == len([*mine, "ownership"])
    apply(
        *(absent(item.kind, item.identity) for item in rest),
        absent("template", "tests.owned"),
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"group_wait": "31s", "group_by": ["a"]}, id="times and labels"),
        pytest.param({"repeat_interval": "5h"}, id="one time"),
    ],
)
@pytest.mark.parametrize("editable", [False, True])
def test_a_tree_without_routes_is_reset(
    grafana: Any, apply: Apply, changes: dict[str, Any], editable: bool
) -> None:
    before = read_existing(connect(grafana), ("policy",))["policy"][""]
    tree = {"receiver": "grafana-default-email", **changes}
    # Another receiver than a fresh 12.4 has: the tree is nobody's and is replaced.
    assert apply(desired("policy", tree), editable=editable).changed
    assert apply(absent("policy"), editable=editable, adopt=editable).changed
    assert not apply(absent("policy")).changed
    after = read_existing(connect(grafana), ("policy",))["policy"][""]
    assert REGISTRY["policy"].is_initial(after)
    assert after.provenance == before.provenance == ""
