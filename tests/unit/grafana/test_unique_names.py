# SPDX-License-Identifier: GPL-3.0-or-later
"""Names pass from one object to another within a run in order, or are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.grafana_errors import (
    GrafanaError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync import (
    unique_names,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.load import (
    read_existing,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.reconcile import (
    Options,
    reconcile,
)
from tests.unit.grafana.conftest import Apply, connect, writes
from tests.unit.grafana.factories import RULE, absent, desired
from tests.unit.grafana.test_sync_plan import (
    RULES,
    blockers,
    held,
    name_owners,
    plan,
    server,
)

OPS = desired("folder", {"uid": "ops", "title": "Operations", "parentUid": ""})


def named(kind: str, **titles: str) -> list[DesiredObject]:
    """Return objects, or rules in a group each, by uid and name; each has its own source."""
    bodies: dict[str, Any] = {
        "datasource": lambda uid, name: {
            "uid": uid,
            "name": name,
            "type": "loki",
            "url": "http://127.0.0.1:3100",
        },
        "dashboard": lambda uid, name: {
            "dashboard": {"uid": uid, "title": name, "panels": []},
            "folderUid": "",
        },
        "rule_group": lambda uid, name: group(f"of-{uid}", **{uid: name}),
    }
    return [
        desired(kind, bodies[kind](uid, name), source=f"{uid}.yml:1")
        for uid, name in titles.items()
    ]


def group(title: str, **titles: str) -> dict:
    rules = [{**RULE, "uid": uid, "title": name} for uid, name in titles.items()]
    return {"folderUid": "ops", "title": title, "interval": 60, "rules": rules}


RULE_NAMES_REPEAT_SINCE = 12
KINDS = ["datasource", "dashboard", "rule_group"]
# Existing and desired names, the order of the writes, or the uids whose names go in a circle.
PASSED: list[tuple[dict, dict, list[str], list[str]]] = [
    ({"a": "A", "b": "B"}, {"a": "B", "b": "C"}, ["b", "a"], []),
    (
        {"a": "A", "b": "B", "c": "C"},
        {"a": "B", "b": "C", "c": "D"},
        ["c", "b", "a"],
        [],
    ),
    ({"a": "A", "b": "B"}, {"b": "C", "a": "D"}, ["b", "a"], []),
    ({"a": "A"}, {"n": "A", "a": "B"}, ["a", "n"], []),
    ({"a": "A", "b": "B"}, {"a": "B", "b": "A"}, [], ["a", "b"]),
    (
        {"a": "A", "b": "B", "c": "C"},
        {"a": "B", "b": "C", "c": "A"},
        [],
        ["a", "b", "c"],
    ),
    ({"a": "A", "b": "B"}, {"n": "A", "a": "B", "b": "A2"}, ["b", "a", "n"], []),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("first", "then", "order", "round_"), PASSED)
def test_a_name_is_free_before_it_is_taken(
    kind: str, first: dict, then: dict, order: list, round_: list
) -> None:
    live = server(
        **{
            kind: {
                item.identity: held(kind, item.body) for item in named(kind, **first)
            }
        }
    )
    steps = unique_names.check(
        plan(named(kind, **then), live, RULES), name_owners(live)
    )
    message = blockers(steps)
    assert [line.split(" (")[1].split(".")[0] for line in message] == round_
    assert all(
        "third name first" in line and line.count(".yml:1)") == 2 for line in message
    )
    if not round_:
        lists, left = unique_names.order_by_name_dependency(steps)
        assert [
            step.source.split(".")[0] for found in lists for step in found
        ] == order and left == []


NAMES = strategies.builds(
    lambda uids, order: dict(zip(sorted(uids), order, strict=False)),
    strategies.sets(strategies.sampled_from("abcde"), min_size=1),
    strategies.permutations("ABCDEF"),
)


@given(first=NAMES, then=NAMES, kind=strategies.sampled_from(KINDS))
def test_no_order_takes_a_name_in_use(first: dict, then: dict, kind: str) -> None:
    live = server(
        **{
            kind: {
                item.identity: held(kind, item.body) for item in named(kind, **first)
            }
        }
    )
    steps = unique_names.check(
        plan(named(kind, **then), live, RULES), name_owners(live)
    )
    if blockers(steps):
        return
    has = dict(first)
    lists, left = unique_names.order_by_name_dependency(steps)
    for found in lists:
        # Whoever is written beside others may be the first or the last of them.
        before = dict(has)
        for step in found:
            uid = step.source.split(".")[0]
            assert then[uid] not in {
                name for other, name in before.items() if other != uid
            }
            has[uid] = then[uid]
    assert has == {**first, **then} and left == []


def test_independent_steps_stay_in_one_batch() -> None:
    steps = plan(named("dashboard", a="A", b="B", c="C"), server(), RULES)
    assert unique_names.order_by_name_dependency(steps) == ([steps], [])


def test_the_title_of_a_rule_that_moves_is_its_own() -> None:
    live = server(rule_group={"ops/x": held("rule_group", group("x", a="A", b="B"))})
    steps = plan(
        [
            desired("rule_group", group("x", b="B")),
            desired("rule_group", group("y", a="A")),
        ],
        live,
        RULES,
    )
    assert blockers(unique_names.check(steps, name_owners(live))) == []
    assert len(unique_names.order_by_name_dependency(steps)[0]) == 1


def test_the_name_of_a_deleted_object_is_not_free() -> None:
    live = server(rule_group={"ops/of-a": held("rule_group", group("of-a", a="A"))})
    steps = plan(
        [*named("rule_group", n="A"), absent("rule_group", "ops/of-a")], live, RULES
    )
    (message,) = blockers(unique_names.check(steps, name_owners(live)))
    assert message.endswith(
        "its name 'A' is taken there by the rule with the uid a, "
        "which is deleted only after all writes"
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("first", "then", "order", "round_"), PASSED)
def test_grafana_accepts_the_order(
    kind: str,
    first: dict,
    then: dict,
    order: list,
    round_: list,
    grafana: Any,
    apply: Apply,
) -> None:
    apply(OPS, *named(kind, **first))
    if round_ and (
        kind != "rule_group"
        or connect(grafana).major_version() < RULE_NAMES_REPEAT_SINCE
    ):
        with pytest.raises(
            GrafanaError, match=r"Nothing was changed\. .* third name first"
        ):
            apply(*named(kind, **then))
        assert not writes(grafana)
    else:
        assert apply(*named(kind, **then)).changed
        assert not apply(*named(kind, **then)).changed
    uids = {**first, **then}
    apply(
        *(
            absent(kind, f"ops/of-{uid}" if kind == "rule_group" else uid)
            for uid in uids
        ),
        absent("folder", "ops"),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_run_is_finished_by_the_next(
    kind: str, fake_grafana: Any, apply: Apply
) -> None:
    first, then = {"a": "A", "b": "B", "c": "C"}, {"a": "B", "b": "C", "c": "D"}
    for count in (1, 2):
        apply(OPS, *named(kind, **first))
        fake_grafana.clear()
        fake_grafana.stop_after_writes(count)
        with pytest.raises(GrafanaError):
            reconcile(connect(fake_grafana), named(kind, **then), Options())
        fake_grafana.clear()
        assert len(apply(*named(kind, **then)).changes) == 3 - count
        apply(*named(kind, a="A1", b="B1", c="C1"))


def points(**uids: str) -> list[DesiredObject]:
    """Return contact points by name and uid of their integration, and a tree that uses all."""
    settings = {uid: {"addresses": f"{uid}@example.com"} for uid in uids.values()}
    bodies = [
        {
            "name": name,
            "receivers": [{"uid": uid, "type": "email", "settings": settings[uid]}],
        }
        for name, uid in uids.items()
    ]
    routes = [
        {"receiver": name, "object_matchers": [["to", "=", name]]} for name in uids
    ]
    tree = {"receiver": "grafana-default-email", "routes": routes}
    return [
        *(desired("contact_point", body) for body in bodies),
        desired("policy", tree),
    ]


@pytest.mark.parametrize("then", [{"C": "a", "A": "b"}, {"A": "b", "B": "a"}])
def test_integrations_change_their_names(
    then: dict, grafana: Any, apply: Apply
) -> None:
    apply(*points(A="a", B="b"), owner="tests")
    apply(*points(**then), owner="tests", prune=("contact_point",))
    assert not apply(*points(**then), owner="tests", prune=("contact_point",)).changed
    found = read_existing(connect(grafana), ("contact_point",))["contact_point"]
    assert {
        name: held.body["receivers"][0]["uid"]
        for name, held in found.items()
        if name in "ABC"
    } == then
    apply(
        absent("policy"),
        *(absent("contact_point", name) for name in then),
        absent("template", "tests.owned"),
    )


def test_the_default_moves_while_names_are_passed_on(
    grafana: Any, apply: Apply
) -> None:
    """The old default waits for the name of the new one, and must not take the mark back."""
    bodies = {item.identity: item.body for item in named("datasource", a="A", b="B")}
    apply(
        desired("datasource", {**bodies["a"], "isDefault": True}),
        desired("datasource", bodies["b"]),
    )
    then = [
        desired("datasource", {**bodies["a"], "name": "B"}),
        desired("datasource", {**bodies["b"], "name": "C", "isDefault": True}),
    ]
    assert apply(*then).changed
    assert not apply(*then).changed
    found = read_existing(connect(grafana), ("datasource",))["datasource"]
    assert {
        uid: held.body["isDefault"] for uid, held in found.items() if uid in "ab"
    } == {
        "a": False,
        "b": True,
    }
    apply(absent("datasource", "a"), absent("datasource", "b"))
