# SPDX-License-Identifier: GPL-3.0-or-later
"""After any object is applied the plan is empty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana import (
    normalize,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.api.client import (
    Client,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds.registry import (
    KINDS,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.reconcile import (
    Options,
    reconcile,
)
from tests.testbed.grafana import notifications
from tests.testbed.grafana.server import FakeGrafana
from tests.unit.grafana.conftest import (
    REAL,
    VERSIONS,
    RealGrafana,
    connect,
    ensure_mail_contact_point,
    writes,
)
from tests.unit.grafana.factories import RULE, desired
from tests.unit.grafana.test_reconcile import SURROUNDINGS

OPTIONS = Options(fingerprint_key="key", adopt=True)

WORD = st.text("abcdefgh XYZ-_.", min_size=1, max_size=12).map(
    lambda text: f"w{text.strip()}"
)
TEXT = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=20
)
# Grafana cannot load its configuration with the others, so they are refused.
LOADABLE = TEXT.filter(lambda text: normalize.unloadable(text) is None)
ANY_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
DURATION = st.sampled_from(
    ["10s", "90s", "1m30s", "5m", "60m", "1h", "1d", "1w", "1500ms", "0h1m"]
)
ZERO_OR_MORE = st.sampled_from(["0", "0s", "0ms"]) | DURATION
JSON: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-1e6, 1e6)
    | ANY_TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3)
    ),
    max_leaves=6,
)
LABELS = st.dictionaries(
    st.from_regex(r"[a-z_]{1,8}", fullmatch=True), TEXT, max_size=3
)


def bodies(**fields: Any) -> Any:
    """Return dicts of which each field may be missing."""
    return st.fixed_dictionaries({}, optional=fields)


FOLDER = st.builds(
    lambda title, more: {"uid": "v", "title": title, **more},
    WORD,
    bodies(description=TEXT),
)
DATASOURCE = st.builds(
    lambda body, json_data, secrets: {
        "uid": "v",
        "name": "V",
        "type": "loki",
        "url": "http://x",
        **body,
        "jsonData": json_data,
        "secureJsonData": secrets,
    },
    bodies(
        access=st.sampled_from(["proxy", "direct"]),
        url=st.sampled_from(["http://y:9090/path", "https://z"]),
        user=TEXT,
        database=TEXT,
        basicAuth=st.booleans(),
        basicAuthUser=TEXT,
        isDefault=st.booleans(),
    ),
    st.dictionaries(WORD, JSON, max_size=3),
    st.dictionaries(WORD, st.text("abcäß🔥", min_size=1, max_size=8), max_size=2),
)
PANEL = st.builds(
    lambda number, more: {**more, "id": number},
    st.integers(1, 99),
    st.dictionaries(WORD, JSON, max_size=3),
)
LIBRARY_PANEL = st.builds(
    lambda name, model, more: {
        "uid": "v",
        "name": name,
        "folderUid": "ops",
        "model": {**more, **model},
    },
    WORD,
    bodies(type=WORD, description=TEXT, title=TEXT, targets=st.lists(JSON, max_size=2)),
    st.dictionaries(WORD, JSON, max_size=3),
)
DASHBOARD = st.builds(
    lambda model, place: {
        "dashboard": {"title": "V", **model, "uid": "board"},
        "folderUid": place,
    },
    bodies(
        panels=st.lists(PANEL, max_size=3),
        tags=st.lists(WORD, max_size=3, unique=True),
        refresh=st.sampled_from(["", "30s", "1m"]),
        schemaVersion=st.integers(16, 42),
        templating=st.fixed_dictionaries(
            {"list": st.lists(st.dictionaries(WORD, JSON, max_size=2), max_size=2)}
        ),
        custom=JSON,
    ),
    st.sampled_from(["", "ops", "general"]),
)
LINE = st.text("abc {}%$\"'\n\t", max_size=20).map(
    lambda text: text.replace("}}", "").replace("{{", "") or "x"
)
# A real server refuses braces that are no action of a template.
PLAIN = LINE.filter(lambda text: not REAL or not set(text) & set("{}"))
TEMPLATE = st.builds(
    lambda text, name: {
        "name": "v",
        "template": f'{{{{ define "{name}" }}}}{text}{{{{ end }}}}'
        if name
        else f"x{text}",
    },
    PLAIN,
    st.sampled_from(["", "one", "two.three"]),
)
SPAN = st.tuples(st.integers(1, 12), st.integers(1, 12)).map(
    lambda pair: ":".join(map(str, sorted(pair)))
)
MONTH = st.sampled_from(["january", "May", "may:august", "3:5", "12"]) | SPAN
WEEKDAY = st.sampled_from(["monday", "monday:friday", "tuesday:saturday", "Sunday"])
MUTE_TIMING = st.lists(
    bodies(
        months=st.lists(MONTH, min_size=1, max_size=2),
        weekdays=st.lists(WEEKDAY, min_size=1, max_size=2),
        days_of_month=st.lists(
            st.sampled_from(["1", "1:7", "-7:-1"]), min_size=1, max_size=2
        ),
        years=st.lists(st.sampled_from(["2030", "2030:2032"]), min_size=1, max_size=2),
        location=st.sampled_from(["UTC", "Europe/Berlin"]),
        times=st.just([{"start_time": "00:00", "end_time": "24:00"}]),
    ),
    min_size=1,
    max_size=2,
).map(lambda intervals: {"name": "v", "time_intervals": intervals})
SETTINGS = st.builds(
    lambda settings: {"url": "https://discord.example/1", **settings},
    bodies(
        title=LOADABLE,
        message=LOADABLE,
        avatar_url=WORD,
        use_discord_username=st.booleans(),
    ),
)
CONTACT_POINT = st.lists(
    st.builds(
        lambda number, settings, quiet: {
            "uid": f"v{number}",
            "type": "discord",
            "settings": settings,
            "disableResolveMessage": quiet,
        },
        st.integers(1, 4),
        SETTINGS,
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda receiver: receiver["uid"],
).map(lambda receivers: {"name": "v", "receivers": receivers})
MATCHER = st.tuples(
    st.from_regex(r"[a-z]{1,6}", fullmatch=True), st.sampled_from(["=", "!="]), LOADABLE
).map(list)
ROUTE: Any = st.recursive(
    bodies(object_matchers=st.lists(MATCHER, max_size=3)),
    lambda inner: bodies(
        receiver=st.just("grafana-default-email"),
        object_matchers=st.lists(MATCHER, max_size=3),
        match=st.dictionaries(
            st.from_regex(r"[a-z]{1,6}", fullmatch=True), WORD, max_size=2
        ),
        group_by=st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3)
        | st.just(["..."]),
        group_wait=ZERO_OR_MORE,
        repeat_interval=DURATION,
        mute_time_intervals=st.lists(st.just("quiet"), max_size=1),
        routes=st.lists(inner, max_size=2),
        **{"continue": st.booleans()},
    ),
    max_leaves=5,
)
POLICY = st.builds(
    lambda times, routes: {
        "receiver": "grafana-default-email",
        **times,
        "routes": routes,
    },
    bodies(group_wait=ZERO_OR_MORE, group_interval=DURATION, repeat_interval=DURATION),
    st.lists(ROUTE, max_size=3),
)
MODEL = st.builds(
    lambda model, more: {**model, **more, "refId": "A"},
    st.dictionaries(WORD, JSON, max_size=3),
    bodies(
        intervalMs=st.sampled_from([0, 1000, 15_000]),
        maxDataPoints=st.sampled_from([43200, 100]),
    ),
)
RULES = st.lists(
    st.builds(
        lambda number, rule, model: {
            **RULE,
            **rule,
            "uid": f"v{number}",
            "title": f"V{number}",
            "data": [{**RULE["data"][0], "model": model}, RULE["data"][1]],
        },
        st.integers(1, 5),
        bodies(
            annotations=st.dictionaries(WORD, TEXT, max_size=2),
            labels=LABELS,
            isPaused=st.booleans(),
            keep_firing_for=ZERO_OR_MORE,
            noDataState=st.sampled_from(["NoData", "OK", "Alerting", "KeepLast"]),
            execErrState=st.sampled_from(["Error", "OK", "Alerting", "KeepLast"]),
            missingSeriesEvalsToResolve=st.integers(1, 5),
            **{"for": ZERO_OR_MORE},
        ),
        MODEL,
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda rule: rule["uid"],
)
RULE_GROUP = st.builds(
    lambda interval, rules: {
        "folderUid": "ops",
        "title": "v",
        "interval": interval,
        "rules": rules,
    },
    st.sampled_from([10, 60, 90, 3600]),
    RULES,
)
STRATEGIES = {
    "folder": FOLDER,
    "datasource": DATASOURCE,
    "library_panel": LIBRARY_PANEL,
    "dashboard": DASHBOARD,
    "template": TEMPLATE,
    "mute_timing": MUTE_TIMING,
    "contact_point": CONTACT_POINT,
    "policy": POLICY,
    "rule_group": RULE_GROUP,
}


MADE = [(kind, {"policy": "", "rule_group": "ops/v"}.get(kind, "v")) for kind in KINDS]


def known(kind: str, body: dict, client: Client) -> dict:
    """Return a body without the fields that Grafana 11 lacks."""
    if kind != "rule_group" or client.major_version() >= 12:
        return body
    newer = ("keep_firing_for", "missingSeriesEvalsToResolve")
    rules = [
        {key: value for key, value in rule.items() if key not in newer}
        for rule in body["rules"]
    ]
    return {**body, "rules": rules}


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Any]]:
    """Yield one server of each version, between which the variations are spread."""
    if REAL:
        client = connect(RealGrafana())
        ensure_mail_contact_point()
        reconcile(client, SURROUNDINGS, OPTIONS)
        yield [RealGrafana()]
        made = [DesiredObject(kind, identity, {}, "f") for kind, identity in MADE]
        for item in reversed([*SURROUNDINGS, *made]):
            reconcile(client, [replace(item, state="absent")], OPTIONS)
        return
    running = [FakeGrafana(version=version).__enter__() for version in VERSIONS]
    for server in running:
        server.store.put(1, "alertmanager", "", notifications.default())
    for grafana in running:
        reconcile(connect(grafana), SURROUNDINGS, OPTIONS)
    yield running
    for grafana in running:
        grafana.__exit__()


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_variation_is_applied_the_plan_is_empty(
    kind: str, servers: list[Any]
) -> None:
    clients = [connect(grafana) for grafana in servers]

    @settings(max_examples=100, suppress_health_check=list(HealthCheck))
    @given(body=STRATEGIES[kind], number=st.integers(0, len(servers) - 1))
    def check(body: dict, number: int) -> None:
        grafana, client = servers[number], clients[number]
        item = desired(kind, known(kind, body, client))
        reconcile(client, [item], OPTIONS)
        grafana.clear()
        again = reconcile(client, [item], OPTIONS)
        assert not again.changed and not writes(grafana)

    check()
