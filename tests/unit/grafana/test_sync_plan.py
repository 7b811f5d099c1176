# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan has the action of each object, and the blockers of a run."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.grafana_errors import (
    GrafanaError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds.base import (
    CONFLICT,
    CREATE,
    DELETE,
    KEEP,
    UNMANAGED,
    UPDATE,
    Live,
    Settings,
    Step,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds.registry import (
    KINDS,
    REGISTRY,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync import (
    check,
    ownership,
    plan_checks,
    unique_names,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.sync_plan import (
    Plan,
    Rules,
    make_plan,
)
from tests.unit.grafana.factories import (
    BODIES,
    CHANGES,
    IDENTITIES,
    RULE,
    RULE_2,
    absent,
    changed,
    desired,
)

SETTINGS = Settings(fingerprint_key="key", salt="salt")
RULES = Rules(SETTINGS)
NAMED = ("folder", "datasource", "library_panel", "dashboard", "rule_group")
IN_USE = REGISTRY["contact_point"].in_use_blocker
WITH_PROVENANCE = [kind for kind in KINDS if REGISTRY[kind].has_provenance]


def held(kind: str, body: dict | None = None, **facts: Any) -> Live:
    """Return an object as the server stores it."""
    chosen = REGISTRY[kind]
    sent = chosen.prepared(
        deepcopy(BODIES[kind] if body is None else body), None, SETTINGS
    )
    provenance = "api" if chosen.has_provenance else ""
    secret = (
        {"facts": {"secrets": tuple(sent["secureJsonData"])}}
        if kind == "datasource"
        else {}
    )
    return Live(
        **{
            "body": chosen.expected(sent),
            "provenance": provenance,
            "version": 1,
            **secret,
            **facts,
        }
    )


def integrations(name: str, *uids: str) -> dict[str, Any]:
    """Return the body of a contact point by mail."""
    mail = {"type": "email", "settings": {"addresses": "a@example.com"}}
    return {"name": name, "receivers": [{**mail, "uid": uid} for uid in uids]}


def server(**objects: dict) -> dict:
    """Return existing objects: kind -> identity -> Live."""
    return {kind: objects.get(kind, {}) for kind in KINDS}


def plan(items: list[DesiredObject], existing: dict, rules: Rules) -> list[Step]:
    return list(make_plan(items, existing, rules).steps)


def blockers(steps: list[Step]) -> list[str]:
    return Plan(tuple(steps), RULES).blockers


def one(steps: list[Step]) -> Step:
    (step,) = steps
    return step


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_is_created_kept_and_deleted(kind: str) -> None:
    live = server(**{kind: {IDENTITIES[kind]: held(kind)}})
    assert one(plan([desired(kind)], server(), RULES)).action == CREATE
    assert one(plan([desired(kind)], live, RULES)).action == KEEP
    assert one(plan([absent(kind)], live, RULES)).action == DELETE
    assert one(plan([absent(kind)], server(), RULES)).action == KEEP


@pytest.mark.parametrize(
    ("kind", "where", "value"),
    [(kind, *change) for kind, changes in CHANGES.items() for change in changes],
)
def test_a_change_on_either_side_is_an_update(
    kind: str, where: tuple, value: Any
) -> None:
    other = changed(BODIES[kind], where, value)
    live = server(**{kind: {IDENTITIES[kind]: held(kind)}})
    assert one(plan([desired(kind, other)], live, RULES)).action == UPDATE
    if (where, value) in [
        (("isDefault",), True),
        (("jsonData", "timeInterval"), "15s"),
        (("basicAuthUser",), "reader"),
    ]:
        # Not compared: the default is moved, never removed, plugins have keys of their own, and no
        # server empties the user of a datasource.
        return
    drifted = server(**{kind: {IDENTITIES[kind]: held(kind, other)}})
    assert one(plan([desired(kind)], drifted, RULES)).action == UPDATE


@pytest.mark.parametrize("kind", WITH_PROVENANCE)
@pytest.mark.parametrize(
    ("provenance", "rules", "action"),
    [
        ("api", {}, UPDATE),
        ("file", {}, CONFLICT),
        ("file", {"adopt": True}, CONFLICT),
        ("converted_prometheus", {"adopt": True}, CONFLICT),
        ("", {}, UNMANAGED),
        ("", {"adopt": True}, UPDATE),
        ("", {"settings": Settings(editable=True)}, UPDATE),
    ],
)
def test_only_our_objects_are_changed(
    kind: str, provenance: str, rules: dict, action: str
) -> None:
    live = server(**{kind: {IDENTITIES[kind]: held(kind, provenance=provenance)}})
    other = desired(kind, changed(BODIES[kind], *CHANGES[kind][0]))
    step = one(plan([other], live, Rules(**rules)))
    assert step.action == action
    assert bool(step.reason) is (action != UPDATE)


@pytest.mark.parametrize("kind", WITH_PROVENANCE)
def test_an_owned_object_is_changed_whatever_its_provenance(kind: str) -> None:
    live = server(**{kind: {IDENTITIES[kind]: held(kind, provenance="")}})
    rules = replace(RULES, owned={kind: frozenset({IDENTITIES[kind]})})
    assert (
        one(
            plan([desired(kind, changed(BODIES[kind], *CHANGES[kind][0]))], live, rules)
        ).action
        == UPDATE
    )


@pytest.mark.parametrize("kind", ["datasource", "dashboard"])
def test_a_file_provisioned_object_is_refused(kind: str) -> None:
    live = server(
        **{kind: {IDENTITIES[kind]: held(kind, locked="it is provisioned from a file")}}
    )
    for item in (desired(kind, changed(BODIES[kind], *CHANGES[kind][0])), absent(kind)):
        assert one(plan([item], live, RULES)).action == CONFLICT
    assert one(plan([desired(kind)], live, RULES)).action == KEEP


@pytest.mark.parametrize("receiver", ["grafana-default-email", "empty"])
def test_grafanas_first_policy_tree_may_be_replaced(receiver: str) -> None:
    first = Live({"receiver": receiver, "group_by": ["grafana_folder", "alertname"]})
    assert (
        one(plan([desired("policy")], server(policy={"": first}), RULES)).action
        == UPDATE
    )
    by_hand = Live({**first.body, "routes": [{"receiver": "x"}]})
    step = one(plan([desired("policy")], server(policy={"": by_hand}), RULES))
    assert (step.action, step.about) == (UNMANAGED, "policy tree (test.yml:1)")
    assert (
        one(plan([absent("policy")], server(policy={"": first}), RULES)).action == KEEP
    )


@pytest.mark.parametrize(
    ("kind", "where", "value", "reason"),
    [
        ("folder", ("title",), "", "needs a title"),
        ("datasource", ("type",), "", "needs a type"),
        ("datasource", ("name",), "ä" * 96, "its name is longer than 190 bytes"),
        ("datasource", ("url",), "http://" + "x" * 249, "its url is longer than 255"),
        ("library_panel", ("name",), "", "needs a name"),
        ("library_panel", ("uid",), "x" * 41, "longer than 40"),
        ("library_panel", ("uid",), "a b", "letters, digits"),
        ("library_panel", ("model", "type"), 5, "the type of its panel must be a str"),
        ("dashboard", ("dashboard", "title"), "", "needs a title"),
        ("dashboard", ("dashboard", "elements"), {}, "not in the classic format"),
        (
            "dashboard",
            ("dashboard", "__inputs"),
            [{"name": "DS"}],
            "__inputs are not resolved",
        ),
        ("template", ("name",), "a/b", "slash"),
        ("template", ("name",), "..", "'..' would be another address"),
        ("mute_timing", ("name",), ".", "'.' would be another address"),
        ("rule_group", ("title",), "..", "'..' would be another address"),
        ("template", ("template",), " ", "cannot be empty"),
        ("contact_point", ("receivers",), [], "at least one"),
        ("contact_point", ("receivers", 0, "uid"), "", "needs a uid"),
        ("contact_point", ("receivers", 0, "uid"), "x" * 41, "longer than 40"),
        ("policy", ("receiver",), "", "needs a receiver"),
        ("policy", ("mute_time_intervals",), ["w"], "neither matchers nor timings"),
        ("policy", ("continue",), True, "takes no continue, with which Grafana cannot"),
        ("policy", ("match",), {"a": "b"}, "neither matchers nor timings"),
        ("policy", ("routes", 0, "matchers"), ["a"], "'a' is no matcher such as"),
        ("policy", ("routes", 0, "matchers"), [7], "7 is no matcher such as ["),
        ("policy", ("routes", 0, "match"), ["a"], "match is ['a']; write a dict"),
        (
            "policy",
            ("routes", 0, "object_matchers"),
            [["a", "==", "b"]],
            "['a', '==', 'b'] is no matcher such as [severity, =, critical]",
        ),
        ("rule_group", ("rules",), [], "state absent"),
        ("rule_group", ("rules", 0, "uid"), "", "'Target is down' needs a uid"),
        ("rule_group", ("rules", 0, "execErrState"), "ok", "execErrState is 'ok'; use"),
        ("rule_group", ("rules", 0, "for"), "1.5h", "for is '1.5h'; write a duration"),
        (
            "rule_group",
            ("rules", 0, "annotations"),
            {"__panelId__": "5"},
            "only one of __dashboardUid__ and __panelId__ is set",
        ),
        (
            "rule_group",
            ("rules", 0, "data", 0, "model", "queryType"),
            5,
            "queryType of query A is no str",
        ),
        ("policy", ("routes", 0, "group_interval"), "0s", "which Grafana refuses"),
        ("datasource", ("url",), "http://me:planted@x y", "Grafana refuses its url:"),
        ("rule_group", ("rules", 0, "uid"), "target-slow", "two of its rules"),
        ("rule_group", ("rules", 0, "uid"), "x" * 41, "longer than 40"),
        ("rule_group", ("rules", 0, "uid"), "a b", "letters, digits"),
        ("rule_group", ("title",), "ä" * 96, "its title is longer than 190 bytes"),
        ("rule_group", ("rules", 0, "title"), "x" * 191, "its title is longer than"),
        (
            "rule_group",
            ("rules", 0, "labels"),
            {"__grafana_receiver__": "x"},
            "the label __grafana_receiver__ is one of Grafana's own",
        ),
        (
            "rule_group",
            ("rules", 0, "annotations"),
            {"__dashboardUid__": "app", "__panelId__": "1.0"},
            "its annotation __panelId__ is '1.0'; write the number of a panel",
        ),
        (
            "rule_group",
            ("rules", 0, "missingSeriesEvalsToResolve"),
            -2,
            "missingSeriesEvalsToResolve is -2; write 1 or more",
        ),
        (
            "rule_group",
            ("rules", 0, "record"),
            {"metric": "a-b", "from": "A"},
            "it records 'a-b'; write letters, digits, _ and :",
        ),
        ("rule_group", ("interval",), 15, "must be a whole multiple of 10 s, not 15 s"),
        ("rule_group", ("folderUid",), "", "need a folder"),
    ],
)
def test_bodies_that_servers_mishandle_are_refused(
    kind: str, where: tuple, value: Any, reason: str
) -> None:
    steps = plan([desired(kind, changed(BODIES[kind], where, value))], server(), RULES)
    assert any(step.action == CONFLICT and reason in step.reason for step in steps)


def test_an_object_is_desired_once() -> None:
    second = desired("folder", source="b.yml:2")
    steps = plan([desired("folder"), second], server(), RULES)
    assert "b.yml:2): folder ops stands in test.yml:1 as well" in blockers(steps)[0]
    group = {**BODIES["rule_group"], "title": "others"}
    steps = plan(
        [desired("rule_group"), desired("rule_group", group, source="b.yml:2")],
        server(),
        RULES,
    )
    assert "rule target-down stands in test.yml:1 as well" in blockers(steps)[0]


def test_absent_objects_are_resolved_by_another_key() -> None:
    two = held("contact_point", changed(BODIES["contact_point"], ("receivers",), [
        {"uid": "a", "type": "email", "settings": {}}, {"uid": "b", "type": "email", "settings": {}}
    ]))  # fmt: skip
    live = server(
        datasource={"x": held("datasource", {**BODIES["datasource"], "uid": "x"})},
        contact_point={"chat": two},
        rule_group={"ops/targets": held("rule_group")},
    )
    step = one(
        plan(
            [
                DesiredObject(
                    "datasource", "unknown", {"name": "Prometheus"}, "f:1", "absent"
                )
            ],
            live,
            RULES,
        )
    )
    assert (step.action, step.identity) == (DELETE, "x")
    step = one(
        plan(
            [DesiredObject("contact_point", "", {"uid": "a"}, "f:1", "absent")],
            live,
            RULES,
        )
    )
    assert (step.action, step.identity) == (UPDATE, "chat")
    assert [receiver["uid"] for receiver in step.body["receivers"]] == ["b"]
    step = one(
        plan(
            [DesiredObject("rule_group", "", {"uid": "target-down"}, "f:1", "absent")],
            live,
            RULES,
        )
    )
    assert (step.action, [rule["uid"] for rule in step.body["rules"]]) == (
        UPDATE,
        ["target-slow"],
    )
    assert (
        plan(
            [DesiredObject("rule_group", "", {"uid": "unknown"}, "f:1", "absent")],
            live,
            RULES,
        )
        == []
    )
    both = [
        desired("rule_group"),
        DesiredObject("rule_group", "", {"uid": "target-down"}, "f:1", "absent"),
    ]
    assert one(plan(both, live, RULES)).action == KEEP


@pytest.mark.parametrize(
    ("kind", "parts", "uid"),
    [
        ("contact_point", "receivers", "chat-1"),
        ("rule_group", "rules", "target-down"),
    ],
)
def test_a_part_that_is_desired_elsewhere_is_not_removed_from_its_old_place(
    kind: str, parts: str, uid: str
) -> None:
    live = server(**{kind: {IDENTITIES[kind]: held(kind)}})
    name = "title" if kind == "rule_group" else "name"
    body = changed(BODIES[kind], (name,), "other")
    body[parts] = body[parts][:1]
    removed = DesiredObject(kind, "", {"uid": uid}, "f:1", "absent")
    moved = desired(kind, body)
    for items in ([moved, removed], [removed, moved]):
        step = one(plan(items, live, RULES))
        assert (step.action, step.identity) == (CREATE, moved.identity)
    # The same uid in another kind is another part.
    kinds = {"contact_point", "rule_group"} - {kind}
    other = desired(kinds.pop())
    steps = plan([removed, other], live, RULES)
    assert IDENTITIES[kind] in [step.identity for step in steps]


@pytest.mark.parametrize("kind", ["contact_point", "rule_group"])
@pytest.mark.parametrize("is_desired", [False, True])
def test_a_part_is_removed_by_one_step_of_its_object(
    kind: str, is_desired: bool
) -> None:
    body = integrations("chat", "a", "b") if kind == "contact_point" else BODIES[kind]
    parts = REGISTRY[kind].parts
    first, second = body[parts]
    live = server(**{kind: {IDENTITIES[kind]: held(kind, body)}})
    removed = DesiredObject(kind, "", {"uid": first["uid"]}, "f:1", "absent")
    without = desired(kind, {**body, parts: [second]})
    step = one(plan([removed, *([without] if is_desired else [])], live, RULES))
    assert (step.action, step.identity) == (UPDATE, IDENTITIES[kind])
    assert [part["uid"] for part in step.body[parts]] == [second["uid"]]


@pytest.mark.parametrize("kind", ["contact_point", "rule_group"])
def test_an_object_goes_with_its_last_part(kind: str) -> None:
    parts = REGISTRY[kind].parts
    body = {**BODIES[kind], parts: BODIES[kind][parts][:1]}
    live = server(**{kind: {IDENTITIES[kind]: held(kind, body)}})
    uid = body[parts][0]["uid"]
    removed = DesiredObject(kind, "", {"uid": uid}, "f:1", "absent")
    step = one(plan([removed], live, RULES))
    assert (step.action, step.identity) == (DELETE, IDENTITIES[kind])


# Pruning


def owned(**kinds: set) -> dict:
    return {kind: frozenset(kinds.get(kind, ())) for kind in KINDS}


def test_only_owned_objects_of_chosen_kinds_are_pruned() -> None:
    live = server(
        folder={
            uid: held("folder", {"uid": uid, "title": uid})
            for uid in ("ops", "mine", "theirs")
        }
    )
    for prune, pruned in (((), []), (("folder",), ["mine"]), (("dashboard",), [])):
        rules = replace(RULES, owned=owned(folder={"ops", "mine", "gone"}), prune=prune)
        steps = plan([desired("folder")], live, rules)
        assert [step.identity for step in steps if step.action == DELETE] == pruned
    # Nothing is desired at all: a list that was not read would look the same.
    rules = replace(RULES, owned=owned(folder={"ops", "mine"}), prune=("folder",))
    assert plan([], live, rules) == []


def test_an_object_that_another_owner_has_too_is_not_pruned() -> None:
    live = server(
        template={
            name: held("template", {"name": name, "template": "x"})
            for name in ("discord", "mine", "shared")
        }
    )
    rules = replace(
        RULES,
        owned=owned(template={"mine", "shared"}),
        others=owned(template={"shared"}, folder={"mine"}),
        prune=("template",),
    )
    steps = plan([desired("template")], live, rules)
    assert [(step.identity, step.action, step.reason) for step in steps[1:]] == [
        ("mine", DELETE, ""),
        ("shared", KEEP, "another owner has it too"),
    ]


@pytest.mark.parametrize(("prune_max", "is_safe"), [(1, False), (2, True), (3, True)])
def test_a_prune_has_a_limit(prune_max: int, is_safe: bool) -> None:
    names = ("ops", "one", "two")
    live = server(
        folder={uid: held("folder", {"uid": uid, "title": uid}) for uid in names}
    )
    rules = replace(RULES, owned=owned(folder=set(names)), prune=("folder",))
    planned = make_plan([desired("folder")], live, rules)
    if is_safe:
        planned.raise_if_unsafe(prune_max)
    else:
        with pytest.raises(GrafanaError, match=r"2 objects .*folder one, folder two$"):
            planned.raise_if_unsafe(prune_max)
    # What is asked to be absent is no prune.
    absent_ones = [absent("folder", uid) for uid in names]
    make_plan(absent_ones, live, RULES).raise_if_unsafe(0)


@pytest.mark.parametrize("provenance", ["", "file"])
def test_a_manual_object_under_our_name_is_not_pruned(provenance: str) -> None:
    live = server(
        template={
            "old": held(
                "template", {"name": "old", "template": "x"}, provenance=provenance
            )
        }
    )
    rules = replace(RULES, owned=owned(template={"old"}), prune=("template",))
    assert [step.action for step in plan([desired("template")], live, rules)] == [
        CREATE,
        KEEP,
    ]


def test_the_policy_tree_and_grafanas_own_contact_point_are_not_pruned() -> None:
    email = {
        "name": "grafana-default-email",
        "receivers": [{"uid": "e", "type": "email", "settings": {}}],
    }
    live = server(
        policy={"": held("policy")},
        contact_point={"grafana-default-email": held("contact_point", email)},
    )
    everything = owned(policy={""}, contact_point={"grafana-default-email"})
    rules = replace(RULES, owned=everything, prune=KINDS)
    assert [step.action for step in plan([desired("contact_point")], live, rules)] == [
        CREATE,
        KEEP,
    ]


# Checks of the plan as a whole


def refused(items: list, live: dict, required: list | None = None) -> str:
    """Return the blockers of a run in one line."""
    steps = plan_checks.check_moves(plan(items, live, RULES), live, RULES)
    steps = plan_checks.check_references(
        plan_checks.check_use(steps, live), live, required or []
    )
    return "; ".join(blockers(unique_names.check(steps, name_owners(live))))


def name_owners(live: dict) -> dict:
    """Return the uids of existing objects by their names."""
    owners: dict = {kind: {} for kind in NAMED}
    for kind in owners:
        for identity, existing in live[kind].items():
            for uid, name in unique_names.names(kind, identity, existing.body).items():
                owners[kind].setdefault(name, []).append(uid)
    return owners


def test_a_tree_needs_its_receivers_and_timings() -> None:
    tree = {
        "receiver": "chat",
        "routes": [{"receiver": "gone", "mute_time_intervals": ["weekend"]}],
    }
    message = refused([desired("policy", tree), desired("contact_point")], server())
    assert (
        message
        == "policy tree (test.yml:1): it needs contact point gone, mute timing weekend, "
        "which is not there"
    )
    tree["routes"][0]["receiver"] = "chat"
    assert (
        refused(
            [desired("policy", tree), desired("contact_point"), desired("mute_timing")],
            server(),
        )
        == ""
    )
    doomed = server(
        contact_point={"chat": held("contact_point")},
        mute_timing={"weekend": held("mute_timing")},
    )
    assert IN_USE in refused([desired("policy", tree), absent("contact_point")], doomed)


def test_rules_need_their_references() -> None:
    settings = {"receiver": "chat", "mute_time_intervals": ["weekend"]}
    group = changed(
        BODIES["rule_group"], ("rules", 0, "notification_settings"), settings
    )
    message = refused([desired("rule_group", group)], server())
    assert "needs folder ops, contact point chat, mute timing weekend" in message
    assert (
        refused(
            [
                desired("rule_group", group),
                *map(desired, ("folder", "contact_point", "mute_timing")),
            ],
            server(),
        )
        == ""
    )


def test_dashboards_and_folders_need_their_folder() -> None:
    assert "needs folder place" in refused(
        [desired("dashboard", {**BODIES["dashboard"], "folderUid": "place"})], server()
    )
    assert "needs folder place" in refused(
        [desired("folder", {**BODIES["folder"], "parentUid": "place"})], server()
    )
    assert (
        refused(
            [desired("dashboard", {**BODIES["dashboard"], "folderUid": "general"})],
            server(),
        )
        == ""
    )


def test_required_objects_must_exist() -> None:
    required = [("datasource", "prometheus", "app.json:7")]
    assert refused([], server(), required) == (
        "datasource prometheus (app.json:7): it is neither desired nor on the server"
    )
    assert refused([desired("datasource")], server(), required) == ""
    live = server(datasource={"prometheus": held("datasource")})
    assert refused([], live, required) == ""
    assert "neither desired" in refused([absent("datasource")], live, required)
    # Old dashboards say a datasource's name, and what uses a template says what it defines.
    assert refused([], live, [("datasource", "Prometheus", "app.json:7")]) == ""
    assert (
        refused(
            [desired("template")],
            server(),
            [("template", "discord.title", "chat.yml:3")],
        )
        == ""
    )
    assert "neither desired" in refused(
        [desired("template")], server(), [("template", "title", "chat.yml:3")]
    )


def test_a_new_dashboard_with_the_uid_of_a_folder_is_refused() -> None:
    twin = {"dashboard": {"uid": "ops", "title": "Ops"}, "folderUid": ""}
    assert "a folder has the same uid" in refused(
        [desired("folder"), desired("dashboard", twin)], server()
    )
    live = server(
        folder={"ops": held("folder")}, dashboard={"ops": held("dashboard", twin)}
    )
    assert refused([desired("folder"), desired("dashboard", twin)], live) == ""


def test_folders_below_themselves_are_refused() -> None:
    circle = [
        {"uid": a, "title": a, "parentUid": b}
        for a, b in (("a", "b"), ("b", "c"), ("c", "a"))
    ]
    assert (
        refused([desired("folder", body) for body in circle], server()).count(
            "below itself"
        )
        == 3
    )


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            "dashboard",
            {"dashboard": {"uid": "new", "title": "Application"}, "folderUid": ""},
        ),
        ("folder", {"uid": "new", "title": "Operations", "parentUid": ""}),
        ("datasource", {"uid": "new", "name": "Prometheus", "type": "prometheus"}),
    ],
)
def test_a_name_that_is_taken_is_refused(kind: str, body: dict) -> None:
    live = server(**{kind: {IDENTITIES[kind]: held(kind)}})
    assert f"is taken there by the {kind} with the uid {IDENTITIES[kind]}" in refused(
        [desired(kind, body)], live
    )
    # A deletion in the same run comes too late to free the name, a new name does not.
    assert "is taken" in refused([desired(kind, body), absent(kind)], live)
    renamed = desired(kind, changed(BODIES[kind], *CHANGES[kind][0]))
    assert refused([desired(kind, body), renamed], live) == ""
    assert "same name and place" in refused(
        [desired(kind, body), desired(kind)], server()
    )
    live[kind]["new"] = held(kind, body)
    assert refused([desired(kind, body), desired(kind)], live) == ""


def test_an_unlisted_contact_point_of_the_tree_exists() -> None:
    live = server(policy={"": Live({"receiver": "empty"}, "api")})
    routed = desired("policy", {"receiver": "empty", "routes": [{"group_by": ["..."]}]})
    assert refused([routed], live, [("contact_point", "empty", "policy.yml:3")]) == ""
    assert "contact point gone" in refused(
        [desired("policy", {"receiver": "gone"})], live
    )


def test_objects_in_use_are_not_deleted() -> None:
    tree = {"receiver": "chat", "routes": [{"mute_time_intervals": ["weekend"]}]}
    points = {
        "contact_point": {"chat": held("contact_point")},
        "mute_timing": {"weekend": held("mute_timing")},
    }
    both = [absent("contact_point"), absent("mute_timing")]
    assert (
        refused(both, server(policy={"": held("policy", tree)}, **points)).count(IN_USE)
        == 2
    )
    group = changed(
        BODIES["rule_group"],
        ("rules", 0, "notification_settings"),
        {"receiver": "chat"},
    )
    assert (
        refused(
            both,
            server(rule_group={"ops/targets": held("rule_group", group)}, **points),
        ).count(IN_USE)
        == 1
    )
    assert refused(both, server(policy={"": held("policy")}, **points)) == ""
    # It is no longer used once the new tree is in place.
    live = server(policy={"": held("policy", tree)}, **points)
    live["contact_point"]["grafana-default-email"] = held("contact_point")
    assert refused([*both, desired("policy")], live) == ""


def test_a_prune_keeps_objects_in_use() -> None:
    live = server(mute_timing={"old": held("mute_timing")}, policy={"": held("policy", {
        "receiver": "chat", "routes": [{"mute_time_intervals": ["old"]}]
    })})  # fmt: skip
    rules = replace(RULES, owned=owned(mute_timing={"old"}), prune=("mute_timing",))
    steps = plan_checks.check_use(plan([desired("mute_timing")], live, rules), live)
    assert [(step.action, step.reason) for step in steps] == [
        (CREATE, ""),
        (KEEP, IN_USE),
    ]


DEFINES, CALLS = (
    '{{ define "a" }}x{{ end }}{{ define "b" }}y{{ end }}',
    '{{ template "a" . }}',
)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([absent("template", "texts")], "contact point chat still uses its template a"),
        (
            [desired("template", {"name": "texts", "template": "only {{ .Status }}"})],
            "still uses its template a",
        ),
        (
            [
                desired(
                    "template",
                    {"name": "texts", "template": '{{ define "a" }}z{{ end }}'},
                )
            ],
            "",
        ),
        (
            [
                absent("template", "texts"),
                desired("template", {"name": "a", "template": "z"}),
            ],
            "",
        ),
        ([absent("template", "texts"), absent("contact_point")], ""),
        ([absent("template", "texts"), desired("contact_point")], ""),
        (
            [
                absent("template", "texts"),
                desired(
                    "contact_point", {**BODIES["contact_point"], "name": "discord"}
                ),
            ],
            "",
        ),
    ],
)
def test_a_template_in_use_is_not_deleted(items: list, message: str) -> None:
    uses = changed(
        BODIES["contact_point"],
        ("receivers", 0, "settings"),
        {"deep": [{"text": f"- {CALLS}"}]},
    )
    live = server(
        template={"texts": held("template", {"name": "texts", "template": DEFINES})},
        contact_point={"chat": held("contact_point", uses)},
    )
    assert message in refused(items, live) and bool(message) is bool(
        refused(items, live)
    )


def test_a_prune_keeps_templates_in_use_and_those_that_they_call() -> None:
    texts = {
        "one": DEFINES,
        "two": f'{{{{ define "c" }}}}{CALLS}{{{{ end }}}}',
        "three": '{{ define "d" }}{{ end }}',
    }
    uses = changed(
        BODIES["contact_point"],
        ("receivers", 0, "settings"),
        {"title": '{{ template "c" . }}'},
    )
    live = server(
        template={
            name: held("template", {"name": name, "template": text})
            for name, text in texts.items()
        },
        contact_point={"chat": held("contact_point", uses)},
    )
    rules = replace(RULES, owned=owned(template=set(texts)), prune=("template",))
    steps = plan_checks.check_use(plan([desired("template")], live, rules), live)
    assert {
        step.identity: (step.action, step.reason) for step in steps if step.live
    } == {
        "one": (KEEP, "template two still uses its template a"),
        "two": (KEEP, "contact point chat still uses its template c"),
        "three": (DELETE, ""),
    }


def test_an_integration_moves() -> None:
    live = server(
        contact_point={"chat": held("contact_point")},
        policy={"": held("policy", {"receiver": "chat"})},
    )
    renamed = desired("contact_point", {**BODIES["contact_point"], "name": "discord"})
    step = one(plan_checks.check_moves(plan([renamed], live, RULES), live, RULES))
    assert step.moves == {"chat-1"}
    assert "takes the last integration of contact point chat" in refused(
        [renamed], live
    )
    assert refused([renamed, desired("policy", {"receiver": "discord"})], live) == ""
    pruning = replace(RULES, owned=owned(contact_point={"chat"}), prune=KINDS)
    steps = plan_checks.check_moves(plan([renamed], live, pruning), live, pruning)
    assert "takes the last integration" in "; ".join(
        blockers(plan_checks.check_use(steps, live))
    )
    live["contact_point"]["chat"] = held("contact_point", provenance="file")
    assert (
        "its integrations are now in contact point chat, and it is provisioned from a file"
        in refused([renamed, desired("policy", {"receiver": "discord"})], live)
    )


@pytest.mark.parametrize(
    ("kept", "taken", "is_emptied"),
    [
        pytest.param([], ["a"], False, id="one of two"),
        pytest.param([], ["a", "b"], True, id="all"),
        pytest.param([], ["a", "b", "c"], True, id="all and a new one"),
        pytest.param(["b"], ["a"], False, id="one, and the rest is desired"),
        pytest.param(["c"], ["a", "b"], False, id="all, for a new one"),
    ],
)
def test_a_routed_contact_point_may_lose_some_integrations(
    kept: list[str], taken: list[str], is_emptied: bool
) -> None:
    live = server(
        contact_point={
            "chat": held("contact_point", integrations("chat", "a", "b")),
            "spare": held("contact_point", integrations("spare", "d")),
            "empty": Live(integrations("empty"), "api"),
        },
        policy={"": held("policy", {"receiver": "chat"})},
    )
    items = [desired("contact_point", integrations("discord", *taken))]
    if kept:
        items.append(desired("contact_point", integrations("chat", *kept)))
    steps = plan_checks.check_moves(plan(items, live, RULES), live, RULES)
    losers = [identity for _kind, identity in plan_checks.emptied(steps, live)]
    assert losers == (["chat"] if is_emptied else [])
    assert ("takes the last integration" in refused(items, live)) is is_emptied


def test_a_rule_moves_only_out_of_our_groups() -> None:
    group = {"folderUid": "ops", "title": "new", "interval": 60, "rules": [RULE]}
    live = server(
        rule_group={"ops/targets": held("rule_group")}, folder={"ops": held("folder")}
    )
    assert refused([desired("rule_group", group)], live) == ""
    live["rule_group"]["ops/targets"] = held("rule_group", provenance="")
    assert (
        "its rules are now in rule group ops/targets, and it was made manually"
        in refused([desired("rule_group", group)], live)
    )


def test_a_subtree_has_all_levels_and_nothing_beside_it() -> None:
    parents = {"a": "", "b": "a", "c": "b", "d": "c", "other": "", "below": "other"}
    live = {
        uid: Live({"uid": uid, "title": uid, "parentUid": parent}, "")
        for uid, parent in parents.items()
    }
    folder = REGISTRY["folder"]
    assert plan_checks.subtree(folder, "b", live) == {"b", "c", "d"}
    assert plan_checks.subtree(folder, "gone", live) == {"gone"}


def test_only_steps_that_remove_names_need_a_look_at_their_users() -> None:
    live = server(template={"discord": held("template")})
    other = changed(BODIES["template"], ("template",), "plain")
    for items, removes in (
        ([desired("template")], False),
        ([desired("template", {"name": "new", "template": "x"})], False),
        ([desired("template", other)], True),
        ([absent("template")], True),
        ([desired("dashboard")], False),
    ):
        steps = plan(items, live, RULES)
        assert bool(plan_checks.steps_removing_definitions(steps)) is removes
        assert bool(plan_checks.kinds_for_use_check(steps)) is removes


def test_a_kind_that_may_go_while_it_is_used_is_not_in_the_way() -> None:
    live = server(
        folder={"ops": held("folder")},
        rule_group={"ops/targets": held("rule_group")},
        contact_point={"chat": held("contact_point")},
    )
    steps = plan([absent("contact_point"), absent("folder")], live, RULES)
    checked = plan_checks.check_use(steps, live)
    # Content of a folder is counted later, on the server.
    assert [(step.action, step.reason) for step in checked] == [(DELETE, "")] * 2


def test_the_first_version_that_releases_objects_is_named() -> None:
    assert check.NOT_RELEASED.startswith("Grafana before 13 does not make")


def test_only_integrations_move_in_stages() -> None:
    group = {"folderUid": "ops", "title": "new", "interval": 60, "rules": [RULE]}
    live = server(
        rule_group={"ops/targets": held("rule_group")}, folder={"ops": held("folder")}
    )
    planned = plan([desired("rule_group", group)], live, RULES)
    assert one(plan_checks.check_moves(planned, live, RULES)).moves == frozenset()


def test_an_object_that_a_prune_keeps_can_be_referred_to() -> None:
    live = server(
        folder={uid: held("folder", {"uid": uid, "title": uid}) for uid in ("a", "b")}
    )
    owns = owned(folder={"a", "b"})
    rules = replace(RULES, owned=owns, others=owned(folder={"a"}), prune=("folder",))

    def missing(uid: str) -> list[str]:
        board = {"dashboard": {"uid": "x", "title": "x"}, "folderUid": uid}
        items = [desired("folder"), desired("dashboard", board)]
        steps = plan(items, live, rules)
        return blockers(plan_checks.check_references(steps, live, []))

    assert missing("a") == []
    assert "it needs folder b, which is not there" in "".join(missing("b"))


def test_a_release_to_the_interface_is_recognized() -> None:
    live = server(template={"discord": held("template")})
    steps = plan([desired("template")], live, Rules(Settings(editable=True)))
    assert plan_checks.steps_released_to_ui(steps) == steps
    assert one(steps).action == UPDATE


def test_objects_that_leave_a_folder_are_counted() -> None:
    live = server(
        rule_group={"ops/targets": held("rule_group")},
        dashboard={
            uid: held("dashboard", {"dashboard": {"title": uid}, "folderUid": "ops"})
            for uid in "abc"
        },
    )
    moved = desired(
        "dashboard", {"dashboard": {"uid": "a", "title": "a"}, "folderUid": ""}
    )
    kept = desired(
        "dashboard", {"dashboard": {"uid": "b", "title": "b"}, "folderUid": "ops"}
    )
    steps = plan(
        [absent("rule_group"), moved, kept, absent("dashboard", "c")], live, RULES
    )
    assert plan_checks.leaving(steps, {"ops"}) == {
        "dashboard": 2,
        "alertrule": len([RULE, RULE_2]),
    }


# Sent to Grafana 12.4.0.
@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("", True),
        ("x:9090", True),
        ("localhost", True),
        ("/path", True),
        ("HTTP://X", True),
        ("http://x/a b", True),
        ("http://x:99999", True),
        ("http://x:", True),
        ("http://[::1]:80", True),
        ("http://::1", True),
        ("http://ü:80", True),
        ('http://x<y"', True),
        ("http://x?a=%zz", True),
        ("http://u:p%20w@a_b:1/%41#f", True),
        (" ", False),
        (" http://x", False),
        ("http://x y", False),
        ("http://x:port", False),
        ("ht tp://x", False),
        ("http://x\n", False),
        ("http://%zz", False),
        ("http://x/%zz", False),
        ("http://x#f%", False),
        ("://x", False),
        ("http://u:p w@x", False),
        ("http://u:p%@x", False),
    ],
)
def test_url_is_read_as_grafana_reads_it(url: str, is_taken: bool) -> None:
    body = {"name": "x", "type": "loki", "url": url}
    assert (REGISTRY["datasource"].blocker(body, None) is None) is is_taken


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [("localhost:1433", True), ("a\\b:1", True), ("http://x", False)],
)
def test_address_of_mssql_is_read_as_grafana_reads_it(url: str, is_taken: bool) -> None:
    body = {"name": "x", "type": "mssql", "url": url}
    assert (REGISTRY["datasource"].blocker(body, None) is None) is is_taken


# The ownership record


@pytest.mark.parametrize(
    "names", [set(), {"a"}, {"*/}}", 'quo"te', "ünï \u2028", "a/b", "{{ end }}", "\\"}]
)
def test_an_ownership_record_is_decoded_as_encoded(names: set) -> None:
    text = ownership.encode("prod", owned(contact_point=names, folder={"ops"}))
    assert ownership.decode(text) == owned(contact_point=names, folder={"ops"})
    assert text.count("*/") == 1 and text.startswith('{{ define "prod.owned" }}{{/*')
    # The server stores it as it is.
    chosen = REGISTRY["template"]
    body = {"name": "prod.owned", "template": text}
    assert chosen.expected(chosen.prepared(body, None, SETTINGS)) == body


def test_the_text_of_a_record_stays_as_it_is() -> None:
    text = ownership.encode("prod", owned(folder={"b/1", "a"}, template={"ü"}))
    # Another text for the same objects would be a change at each upgrade.
    assert text == (
        '{{ define "prod.owned" }}{{/* Made by automation; deleting this makes it forget'
        " what it owns.\n"
        '{\n "folder": [\n  "a",\n  "b\\/1"\n ],\n "template": [\n  "\\u00fc"\n ]\n}\n'
        "*/}}{{ end }}"
    )
    assert ownership.is_record(text)
    assert not ownership.is_record(BODIES["template"]["template"])


@pytest.mark.parametrize(
    "text", ["", "{{/* note */}}", '{{ define "x" }}{{/*\n{broken}\n*/}}{{ end }}']
)
def test_other_templates_own_nothing(text: str) -> None:
    assert ownership.decode(text) == owned()


@pytest.mark.parametrize(
    ("folders", "found"),
    [
        ("null", set()),
        ("7", set()),
        ('"ab"', set()),
        ('{"a": 1}', set()),
        ('["a", 7, null, ["b"], "c"]', {"a", "c"}),
    ],
)
def test_an_edited_record_owns_what_it_names(folders: str, found: set) -> None:
    empty = ownership.encode("prod", owned(folder={"x"}))
    text = empty.replace('[\n  "x"\n ]', folders)
    assert text != empty
    assert ownership.decode(text) == owned(folder=found)


@pytest.mark.parametrize(
    ("changes", "during", "after"),
    [
        pytest.param({}, {"new", "gone", "old", "given"}, {"new"}, id="rules"),
        pytest.param(
            {"adopt": True},
            {"new", "kept", "gone", "old", "given"},
            {"new", "kept"},
            id="adopt",
        ),
        pytest.param(
            {"others": owned(folder={"kept", "given"})},
            {"new", "kept", "gone", "old", "given"},
            {"new", "kept"},
            id="recorded by another owner",
        ),
        pytest.param(
            {"prune": ()},
            {"new", "gone", "old", "given"},
            {"new", "gone", "given", "old"},
            id="no prune",
        ),
    ],
)
def test_the_record_before_and_after_the_writes(
    changes: dict[str, Any], during: set, after: set
) -> None:
    existing = server(
        folder={
            uid: held("folder", {"uid": uid, "title": uid}) for uid in ("kept", "given")
        }
    )
    # Somebody has deleted two of them.
    recorded = owned(folder={"gone", "old", "given"}, template={"x"})
    rules = replace(RULES, owned=recorded, prune=("folder",), has_owner=True)
    rules = replace(rules, **changes)
    items = [
        desired("folder", {"uid": uid, "title": uid, "parentUid": ""})
        for uid in ("new", "kept")
    ]
    planned = make_plan(items, existing, rules)
    expected = [owned(folder=names, template={"x"}) for names in (during, after)]
    assert [
        ownership.owned_during(planned),
        ownership.owned_after(planned, items, existing),
    ] == expected


def test_an_object_of_another_kind_keeps_no_name_in_the_record() -> None:
    # Somebody has deleted the folder x, and the template x is planned.
    rules = replace(RULES, owned=owned(folder={"x"}), prune=("folder",))
    items = [desired("folder"), desired("template", {"name": "x", "template": "t"})]
    planned = make_plan(items, server(), rules)
    after = ownership.owned_after(planned, items, server())
    assert after == owned(folder={"ops"}, template={"x"})


@pytest.mark.parametrize("items", [[desired("template")], [absent("folder", "place")]])
def test_a_kind_that_was_not_read_stays_in_the_record(
    items: list[DesiredObject],
) -> None:
    rules = replace(RULES, owned=owned(folder={"x"}), prune=("folder", "dashboard"))
    planned = make_plan(items, server(), rules)
    assert ownership.owned_after(planned, items, server())["folder"] == {"x"}


def test_what_a_prune_keeps_stays_in_the_record() -> None:
    existing = server(folder={"x": held("folder")})
    rules = replace(RULES, owned=owned(folder={"x"}), prune=("folder",))
    items = [desired("folder")]
    planned = make_plan(items, existing, rules)
    reasons = {id(planned.steps[-1]): "it holds 1 dashboard"}
    kept = plan_checks.with_conflicts(planned.steps, reasons)
    after = ownership.owned_after(planned._replace(steps=tuple(kept)), items, existing)
    assert after["folder"] == {"ops", "x"}


@pytest.mark.parametrize("is_live", [False, True])
def test_an_absent_object_leaves_the_record(is_live: bool) -> None:
    existing = server(folder={"ops": held("folder")} if is_live else {})
    rules = replace(RULES, owned=owned(folder={"ops", "place"}))
    existing["folder"]["below"] = held("folder")
    items = [absent("folder", "ops"), absent("folder", "below")]
    planned = make_plan(items, existing, rules)
    # What is deleted does not become owned before.
    assert ownership.owned_during(planned) == owned(folder={"ops", "place"})
    after = ownership.owned_after(planned, items, existing)
    assert after == owned(folder={"place"})


@pytest.mark.parametrize(
    ("owner", "is_accepted"),
    [
        ("", True),
        ("prod-1.a_b", True),
        ("-prod", False),
        ("prod/eu", False),
        ("prod\n", False),
    ],
)
def test_the_name_of_an_owner_is_one_of_a_file(owner: str, is_accepted: bool) -> None:
    if is_accepted:
        ownership.check_owner(owner)
        return
    with pytest.raises(GrafanaError, match="is no name for an owner"):
        ownership.check_owner(owner)


def test_a_boolean_is_no_secret() -> None:
    settings = {"url": "https://x/secret", "use_discord_username": "true", "title": "T"}
    receivers = [{"uid": "a", "type": "discord", "settings": settings}]
    assert REGISTRY["contact_point"].secrets({"name": "a", "receivers": receivers}) == {
        "https://x/secret"
    }


def test_a_rule_is_moved_before_its_old_group_is_written_without_it() -> None:
    """Otherwise Grafana would delete and create it, and lose the state of its alerts."""

    def group(title: str, *uids: str) -> DesiredObject:
        rules = [{**RULE, "uid": uid, "title": uid} for uid in uids]
        return desired(
            "rule_group",
            {"folderUid": "ops", "title": title, "interval": 60, "rules": rules},
        )

    def order(*groups: DesiredObject) -> list:
        steps = plan(list(groups), live, RULES)
        return [step.body["title"] for step in REGISTRY["rule_group"].order(steps)]

    had = [group("x", "a", "b"), group("y", "c", "d"), group("z", "e")]
    live = server(
        rule_group={item.identity: held("rule_group", item.body) for item in had}
    )
    assert order(group("x", "a"), group("y", "c", "b"), group("z", "e", "d")) == [
        "z",
        "y",
        "x",
    ]
    assert order(group("x", "a"), group("n", "b")) == ["n", "x"]
    assert order(group("x", "c"), group("y", "a"), group("z", "f")) == ["z", "x", "y"]
