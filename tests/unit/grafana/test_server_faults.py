# SPDX-License-Identifier: GPL-3.0-or-later
"""After a killed or failed run the next one writes exactly the rest, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.grafana_errors import (
    GrafanaError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds.registry import (
    KINDS,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.load import (
    read_existing,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.reconcile import (
    Options,
    reconcile,
)
from tests.testbed.grafana.server import FakeGrafana
from tests.unit.grafana.conftest import REAL, VERSIONS, connect
from tests.unit.grafana.factories import BODIES, IDENTITIES, absent, changed, desired
from tests.unit.grafana.test_reconcile import environment

pytestmark = pytest.mark.skipif(
    bool(REAL), reason="a real server neither counts nor fails when told to"
)
OPTIONS = {"owner": "tests", "fingerprint_key": "key", "adopt": True}
# Injected temporary faults.
PASSING = ["502", "429", "locked", "reset", "truncated", "409", "412"]


@pytest.fixture
def server() -> Iterator[FakeGrafana]:
    with FakeGrafana() as grafana:
        yield grafana


def run(grafana: FakeGrafana, items: list[DesiredObject], **options: Any) -> Any:
    return reconcile(connect(grafana), items, Options(**{**OPTIONS, **options}))


def written(grafana: FakeGrafana) -> list[str]:
    """Return the writes that were carried out."""
    return [
        f"{line.method} {line.path}"
        for line in grafana.writes
        if 200 <= line.status < 300
    ]


def state(grafana: FakeGrafana) -> dict:
    """Return all content, except kinds with fields that differ between servers."""
    return {
        kind: {identity: held.body for identity, held in found.items()}
        for kind, found in _live(grafana).items()
        if kind not in ("datasource", "rule_group")
    }


def _live(grafana: FakeGrafana) -> dict:
    return read_existing(connect(grafana))


def second() -> list[DesiredObject]:
    """Return the environment changed: each object, some absent, a contact point renamed."""
    tree = {"receiver": "discord", "routes": [{"object_matchers": [["a", "=", "c"]]}]}
    model = {**BODIES["dashboard"]["dashboard"], "title": "Other"}
    return [
        desired("folder", {"uid": "ops", "title": "Platform", "parentUid": "above"}),
        desired("folder", {"uid": "above", "title": "Above", "parentUid": ""}),
        desired(
            "datasource",
            changed(
                BODIES["datasource"], ("secureJsonData", "httpHeaderValue1"), "rotated"
            ),
        ),
        desired("dashboard", {"dashboard": model, "folderUid": "above"}),
        desired("template", changed(BODIES["template"], ("template",), "plain")),
        absent("mute_timing"),
        desired("contact_point", {**BODIES["contact_point"], "name": "discord"}),
        desired("policy", tree),
        desired("rule_group", {**BODIES["rule_group"], "title": "renamed"}),
    ]


@pytest.mark.parametrize(
    ("version", "step"),
    [
        *((version, "made") for version in VERSIONS),
        ("11.6.4", "changed"),
        ("13.2.3", "changed"),
    ],
)
def test_a_run_killed_after_each_write_is_finished_by_the_next(
    version: str, step: str
) -> None:
    items, options = (
        (environment(), {}) if step == "made" else (second(), {"prune": KINDS})
    )

    def begin(grafana: FakeGrafana) -> None:
        if step == "changed":
            run(grafana, environment())
        grafana.clear()

    with FakeGrafana(version=version) as undisturbed:
        begin(undisturbed)
        run(undisturbed, items, **options)
        expected, all_writes = state(undisturbed), written(undisturbed)
    assert len(all_writes) > 8
    for count in range(len(all_writes)):
        with FakeGrafana(version=version) as grafana:
            begin(grafana)
            grafana.stop_after_writes(count)
            with pytest.raises(GrafanaError):
                run(grafana, items, **options)
            done = written(grafana)
            grafana.clear()
            run(grafana, items, **options)
            assert sorted(done + written(grafana)) == sorted(all_writes), count
            assert state(grafana) == expected
            grafana.clear()
            assert not run(grafana, items, **options).changed and not written(grafana)


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("applied", [False, True])
def test_a_temporary_fault_loses_and_doubles_nothing(
    server: FakeGrafana, fault: str, applied: bool
) -> None:
    if fault == "truncated" and not applied:
        applied = True
    with FakeGrafana() as undisturbed:
        run(undisturbed, environment())
        expected, number = state(undisturbed), len(written(undisturbed))
    for method in ("GET", "write"):
        server.fail(
            fault,
            method=method,
            first=1,
            times=2,
            **({"applied": True} if applied else {}),
        )
    if fault in ("409", "412"):
        server.faults.pop(0)
    run(server, environment())
    assert state(server) == expected
    carried_out = [
        line for line in server.writes if 200 <= line.status < 300 or applied
    ]
    assert len(carried_out) >= number
    server.clear()
    assert not run(server, environment()).changed and not server.writes


@pytest.mark.parametrize("kind", KINDS)
def test_a_permanent_fault_is_reported_once(server: FakeGrafana, kind: str) -> None:
    places = {
        "folder": r"/api/folders",
        "datasource": r"/api/datasources",
        "library_panel": r"/api/library-elements",
        "dashboard": r"/api/dashboards/db",
        "template": r"/templates/discord",
        "mute_timing": r"/mute-timings",
        "contact_point": r"/contact-points",
        "policy": r"/policies",
        "rule_group": r"/rule-groups/",
    }
    server.fail("500", method="write", path=places[kind], times=0)
    with pytest.raises(GrafanaError) as raised:
        run(server, environment())
    message = str(raised.value)
    about = f"{kind.replace('_', ' ')} {IDENTITIES[kind] or 'tree'} (test.yml:1): "
    assert (
        message.startswith(about)
        and "answered 500: Internal server error" in message
        and "/api/" in message
    )
    # A plain 500 is not repeated.
    assert sum(line.status == 500 for line in server.writes) == 1
    before = [one for one in KINDS if KINDS.index(one) < KINDS.index(kind)]
    assert [
        change["kind"]
        for change in raised.value.result.changes
        if change["kind"] != "ownership"
    ] == before
    for secret in ("first-secret", "webhooks", "admin:"):
        assert secret not in message
    server.clear()
    run(server, environment())
    server.clear()
    assert not run(server, environment()).changed


@pytest.mark.parametrize("fault", ["409", "412", "reset", "locked"])
def test_an_endless_race_is_given_up(server: FakeGrafana, fault: str) -> None:
    server.fail(fault, method="write", path=r"/api/dashboards/db", times=0)
    with pytest.raises(
        GrafanaError,
        match=r"dashboard app .*POST /api/dashboards/db.*given up after 5 attempts",
    ):
        run(server, environment())
    assert sum(line.path == "/api/dashboards/db" for line in server.writes) == 5


TAKEN = {"message": "a folder with the same name already exists"}


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_final_refusal_is_given_up_at_once(
    server: FakeGrafana, attempts: int
) -> None:
    if attempts == 2:
        # The second one may be refused because the first one came about late.
        server.fail("reset", method="POST", path=r"/api/folders$", times=1)
    server.fail(
        "409", body=TAKEN, method="POST", path=r"/api/folders$", times=0, first=attempts
    )
    with pytest.raises(
        GrafanaError, match=rf"folder ops .*given up after {attempts} attempts"
    ):
        run(server, [desired("folder")], owner="")
    assert len(server.writes) == attempts
    reads = [line.path for line in server.requests if not line.is_write]
    assert reads.count("/api/folders/ops") >= attempts - 1


def test_a_refusal_of_what_came_about_late_is_no_error(server: FakeGrafana) -> None:
    def create(_seconds: float) -> None:
        if not server.faults:
            return
        server.faults.clear()
        run(server, [desired("folder")], owner="")
        server.fail("409", body=TAKEN, method="POST", path=r"/api/folders$", times=0)

    server.fail("reset", method="POST", path=r"/api/folders$", times=1)
    client = connect(server, sleep=create)
    result = reconcile(client, [desired("folder")], Options())
    assert [change["identity"] for change in result.changes] == ["ops"]


@pytest.mark.parametrize("owner", ["", "tests"])
def test_the_record_is_written_before_anything_else_and_only_if_it_differs(
    server: FakeGrafana, owner: str
) -> None:
    record = "PUT /api/v1/provisioning/templates/tests.owned"
    run(server, [desired("folder")], owner=owner)
    first = written(server)
    assert first == [*([record] if owner else []), "POST /api/folders"]
    server.clear()
    run(server, [desired("folder"), desired("template")], owner=owner, check=True)
    assert written(server) == []
    run(server, [absent("folder")], owner=owner)
    # One that is deleted is owned until it is gone.
    assert written(server) == [
        "DELETE /api/folders/ops",
        *([record] if owner else []),
    ]


def test_a_run_waits_for_a_slow_server(server: FakeGrafana) -> None:
    server.fail("slow", method="write", path=r"/api/folders", delay=0.5, times=1)
    assert run(server, [desired("folder")]).changed
    server.fail(
        "slow", method="write", path=r"/api/folders", delay=0.5, times=1, applied=True
    )
    impatient = connect(server, timeout=0.2)
    other = changed(BODIES["folder"], ("title",), "Other")
    result = reconcile(impatient, [desired("folder", other)], Options())
    assert result.changed and "Other" in str(_live(server)["folder"]["ops"].body)


def test_wrong_credentials_make_one_request(server: FakeGrafana) -> None:
    for _ in range(3):
        server.clear()
        with pytest.raises(GrafanaError, match="401"):
            reconcile(
                connect(server, password="wrong"), environment(), Options(**OPTIONS)
            )
        assert len(server.requests) == 1


def test_revoked_credentials_stop_a_run_at_once(server: FakeGrafana) -> None:
    server.fail(
        "500",
        status=401,
        body={"message": "Unauthorized"},
        method="write",
        path=r"dashboards/db",
        times=0,
    )
    many = [
        desired(
            "dashboard",
            {"dashboard": {"uid": f"d{n}", "title": f"D{n}"}, "folderUid": ""},
        )
        for n in range(20)
    ]
    with pytest.raises(GrafanaError, match="nothing more was sent"):
        reconcile(connect(server), many, Options())
    # Two are written at a time.
    assert 1 <= sum(line.status == 401 for line in server.requests) <= 2
    assert server.requests[-1].status == 401


def test_notifications_are_written_one_after_the_other(server: FakeGrafana) -> None:
    server.grafana.notification_delay = 0.02
    many = [
        desired("template", {"name": f"t{n}", "template": f"text {n}"})
        for n in range(10)
    ]
    run(server, many, owner="")
    assert [line.status for line in server.writes if line.status >= 400] == []
    assert len(server.writes) == 10


def test_a_concurrent_save_is_replaced_knowingly(server: FakeGrafana) -> None:
    run(server, [desired("dashboard")])
    # The save is overtaken once; what is there is read again and replaced knowingly.
    server.fail("412", method="POST", path=r"dashboards/db", times=1)
    run(
        server,
        [
            desired(
                "dashboard",
                changed(BODIES["dashboard"], ("dashboard", "title"), "Other"),
            )
        ],
    )
    assert [line.status for line in server.writes][-2:] == [412, 200]


def test_nothing_follows_the_first_error_of_a_kind(server: FakeGrafana) -> None:
    texts = [
        desired("template", {"name": f"t{n}", "template": f"text {n}"})
        for n in range(3)
    ]
    server.fail("500", method="PUT", path=r"/templates/t1$", times=0)
    with pytest.raises(GrafanaError, match=r"template t1 .* answered 500"):
        run(server, texts, owner="")
    assert written(server) == ["PUT /api/v1/provisioning/templates/t0"]
    server.clear()
    run(server, texts, owner="")
    server.clear()
    server.fail("500", method="DELETE", path=r"/templates/t1$", times=0)
    with pytest.raises(GrafanaError, match=r"template t1 .* answered 500"):
        run(server, [absent("template", f"t{n}") for n in range(3)], owner="")
    # Deletions have the reverse order.
    assert written(server) == ["DELETE /api/v1/provisioning/templates/t2"]


def test_each_of_two_writers_ends_at_the_first_error(server: FakeGrafana) -> None:
    many = [
        desired(
            "dashboard",
            {"dashboard": {"uid": f"d{n}", "title": f"D{n}"}, "folderUid": ""},
        )
        for n in range(10)
    ]
    server.fail("500", method="POST", path=r"dashboards/db", times=0)
    with pytest.raises(GrafanaError) as raised:
        run(server, many, owner="")
    assert 1 <= sum(line.status == 500 for line in server.writes) <= 2
    assert raised.value.result.changes == []


RACES = [
    pytest.param("file", "it is provisioned from a file", True, id="file"),
    pytest.param("converted_prometheus", "its provenance is conv", True, id="tool"),
    pytest.param("", "it was made manually", False, id="manual"),
]


@pytest.mark.parametrize("fault", ["reset", "locked", "412"])
@pytest.mark.parametrize(("provenance", "reason", "adopt"), RACES)
def test_a_repeated_write_spares_what_became_somebody_elses(
    server: FakeGrafana, fault: str, provenance: str, reason: str, adopt: bool
) -> None:
    run(server, [desired("template")], owner="")

    def take_over(_seconds: float) -> None:
        server.set_provenance("template", "discord", provenance)

    client = connect(server, sleep=take_over)
    other = desired("template", changed(BODIES["template"], ("template",), "plain"))
    server.fail(fault, method="PUT", path=r"/templates/discord", times=1)
    server.requests.clear()
    with pytest.raises(GrafanaError, match=rf"template discord .*; and now {reason}"):
        reconcile(client, [other], Options(adopt=adopt))
    assert written(server) == []
    live = _live(server)["template"]["discord"]
    assert (live.provenance, live.body["template"]) == (
        provenance,
        BODIES["template"]["template"],
    )


def test_a_repeated_deletion_spares_what_became_somebody_elses(
    server: FakeGrafana,
) -> None:
    run(server, [desired("template")], owner="")

    def take_over(_seconds: float) -> None:
        server.set_provenance("template", "discord", "file")

    server.fail("reset", method="DELETE", path=r"/templates/discord", times=1)
    server.requests.clear()
    with pytest.raises(GrafanaError, match="; and now it is provisioned from a file"):
        reconcile(connect(server, sleep=take_over), [absent("template")], Options())
    assert written(server) == []
    assert "discord" in _live(server)["template"]


def test_a_repeated_creation_spares_what_was_made_meanwhile(
    server: FakeGrafana,
) -> None:
    theirs = desired("template", changed(BODIES["template"], ("template",), "theirs"))

    def create_manually(_seconds: float) -> None:
        if "discord" not in _live(server)["template"]:
            reconcile(connect(server), [theirs], Options(editable=True))

    server.fail("reset", method="PUT", path=r"/templates/discord", times=1)
    client = connect(server, sleep=create_manually)
    with pytest.raises(GrafanaError, match="; and now it was made manually"):
        reconcile(client, [desired("template")], Options())
    assert "theirs" in _live(server)["template"]["discord"].body["template"]


def test_a_value_that_is_stored_differently_is_reported() -> None:
    with FakeGrafana(version="11.6.4") as server:
        run(server, [desired("folder")])
        # No version knows the field.
        other = desired(
            "rule_group",
            changed(BODIES["rule_group"], ("rules", 0, "from_tomorrow"), "2m"),
        )
        with pytest.raises(
            GrafanaError,
            match=r"group ops/targets .*but stored .*null.*\"2m\".*was sent",
        ):
            run(server, [other])
