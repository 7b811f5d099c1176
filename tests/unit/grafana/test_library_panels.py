# SPDX-License-Identifier: GPL-3.0-or-later
"""Library panels: dashboards refer to them, folders count them, and Grafana does not move them."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files import (
    exporting,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.grafana_errors import (
    GrafanaError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds import (
    library_panel,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.load import (
    read_existing,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.content import (
    ContentLoader,
    Source,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.export_files import (
    serialize,
)
from tests.testbed.grafana.server import FakeGrafana
from tests.unit.grafana.conftest import Apply, connect, writes
from tests.unit.grafana.factories import BODIES, PANEL, absent, changed, desired

KIND = "library_panel"
USE = {"id": 1, "libraryPanel": {"uid": "rate", "name": "Rate"}}


def dashboard(*panels: Any, uid: str = "app") -> DesiredObject:
    model = {"uid": uid, "title": uid, "panels": list(panels)}
    return desired("dashboard", {"dashboard": model, "folderUid": ""})


def row(*panels: Any) -> dict[str, Any]:
    return {"id": 9, "type": "row", "panels": list(panels)}


@pytest.mark.parametrize("panel", [USE, row(USE), row(row(USE))])
def test_a_dashboard_needs_its_library_panels(
    panel: dict, grafana: Any, apply: Apply
) -> None:
    with pytest.raises(
        GrafanaError, match="it needs library panel rate, which is not there"
    ):
        apply(dashboard(panel))
    assert not writes(grafana)
    done = apply(dashboard(panel), desired(KIND))
    assert [change["kind"] for change in done.changes] == [KIND, "dashboard"]
    assert not apply(dashboard(panel), desired(KIND)).changed and not writes(grafana)
    # One on the server will do.
    assert apply(dashboard(panel, uid="twin")).changed
    apply(absent("dashboard"), absent("dashboard", "twin"), absent(KIND))


def test_odd_panels_refer_to_nothing() -> None:
    odd = [None, "x", {"libraryPanel": None}, {"libraryPanel": {}}, {"panels": None}]
    assert library_panel.panels_used({"panels": odd}) == []


def test_a_library_panel_in_use_is_neither_deleted_nor_pruned(
    grafana: Any, apply: Apply
) -> None:
    other = desired(KIND, {**BODIES[KIND], "uid": "other", "name": "Other"})
    apply(dashboard(USE), desired(KIND), other, owner="tests")
    with pytest.raises(
        GrafanaError, match=r"library panel rate .*dashboards still use it"
    ):
        apply(absent(KIND))
    kept = apply(dashboard(USE), other, owner="tests", prune=(KIND,))
    assert not kept.changed and not writes(grafana)
    assert kept.warnings == [
        "library panel rate is no longer desired, but is kept: dashboards still use it."
    ]
    done = apply(dashboard(PANEL), other, owner="tests", prune=(KIND,))
    deleted = [
        change["identity"] for change in done.changes if change["action"] == "delete"
    ]
    assert deleted == ["rate"]
    apply(absent("dashboard"), absent(KIND, "other"), absent("template", "tests.owned"))


def test_a_library_panel_goes_after_the_last_dashboard(
    grafana: Any, apply: Apply
) -> None:
    apply(dashboard(USE), desired(KIND))
    done = apply(absent(KIND), absent("dashboard"))
    assert [change["kind"] for change in done.changes] == ["dashboard", KIND]


def test_a_library_panel_is_not_moved(grafana: Any, apply: Apply) -> None:
    moved = desired(KIND, {**BODIES[KIND], "folderUid": "ops"})
    apply(desired("folder"), desired(KIND))
    with pytest.raises(
        GrafanaError, match="delete it first to create it in another folder"
    ):
        apply(moved)
    assert not writes(grafana)
    apply(absent(KIND))
    assert apply(moved).changed
    assert not apply(moved).changed
    apply(absent(KIND), absent("folder"))


def test_a_library_panel_needs_its_folder(grafana: Any, apply: Apply) -> None:
    with pytest.raises(GrafanaError, match="it needs folder ops, which is not there"):
        apply(desired(KIND, {**BODIES[KIND], "folderUid": "ops"}))


def test_a_folder_with_a_library_panel_is_not_deleted(
    grafana: Any, apply: Apply
) -> None:
    apply(desired("folder"), desired(KIND, {**BODIES[KIND], "folderUid": "ops"}))
    with pytest.raises(
        GrafanaError, match="it holds 1 librarypanel, and is deleted only when"
    ):
        apply(absent("folder"))
    apply(absent("folder"), absent(KIND))
    assert not read_existing(connect(grafana), ("folder",))["folder"]


def test_a_library_panel_that_was_overtaken_is_read_again(
    fake_grafana: FakeGrafana, apply: Apply
) -> None:
    apply(desired(KIND))
    fake_grafana.clear = fake_grafana.requests.clear
    fake_grafana.fail("412", method="PATCH", path=r"/library-elements/", times=1)
    apply(desired(KIND, changed(BODIES[KIND], ("name",), "Ratio")))
    assert [line.status for line in fake_grafana.writes] == [412, 200]


def test_a_name_is_unique_in_a_folder(grafana: Any, apply: Apply) -> None:
    twin = desired(KIND, {**BODIES[KIND], "uid": "twin"})
    apply(desired(KIND))
    with pytest.raises(
        GrafanaError, match="'Rate' is taken there by the library panel with"
    ):
        apply(twin)
    assert not writes(grafana)
    apply(absent(KIND))


def test_all_pages_are_read(grafana: Any, apply: Apply) -> None:
    items = [
        desired(KIND, {**BODIES[KIND], "uid": f"p{number}", "name": f"P{number}"})
        for number in range(library_panel.PAGE + 1)
    ]
    apply(*items)
    assert len(read_existing(connect(grafana), (KIND,))[KIND]) == len(items)
    assert not apply(*items).changed and not writes(grafana)
    apply(*(absent(KIND, item.identity) for item in items))


def test_the_identification_in_an_export_is_no_difference(
    grafana: Any, apply: Apply
) -> None:
    exported = deepcopy(BODIES[KIND])
    exported["model"]["libraryPanel"] = {"uid": "rate", "name": "Rate"}
    apply(desired(KIND, exported))
    assert (
        not apply(desired(KIND, exported)).changed and not apply(desired(KIND)).changed
    )
    assert not writes(grafana)


@pytest.mark.parametrize("field", ["type", "description"])
def test_a_field_that_is_gone_is_emptied(
    field: str, grafana: Any, apply: Apply
) -> None:
    """Grafana would take the old value of a field that an update lacks."""
    apply(desired(KIND, changed(BODIES[KIND], ("model", field), "stat")))
    bare = deepcopy(BODIES[KIND])
    bare["model"].pop(field, None)
    assert apply(desired(KIND, bare)).changed
    assert not apply(desired(KIND, bare)).changed and not writes(grafana)


# Content


def load(*elements: Any) -> tuple[ContentLoader, list[DesiredObject]]:
    loader = ContentLoader()
    return loader, loader.load(
        [Source(objects={"library_panels": list(elements)})]
    ).desired


def test_content_has_library_panels() -> None:
    element = {"uid": "rate", "name": "Rate", "model": PANEL}
    loader, items = load({**element, "folder": "Ops"})
    assert not loader.diagnostics.errors
    folder, panel = items
    assert (panel.kind, panel.identity) == (KIND, "rate")
    assert panel.body == {**element, "folderUid": folder.identity}
    assert load(element)[1][0].body == {**element, "folderUid": ""}


@pytest.mark.parametrize(
    "change",
    [{"uid": ""}, {"name": None}, {"model": []}, {"folder": 5}, {"other": 1}],
    ids=str,
)
def test_an_odd_library_panel_is_an_error(change: dict) -> None:
    element = {"uid": "rate", "name": "Rate", "model": PANEL, **change}
    loader, items = load(element)
    assert items == []
    (error,) = loader.diagnostics.errors
    assert error.startswith(
        "inline: library_panels[0] is no library panel; write uid, name"
    )


def test_a_library_panel_stands_in_content_once() -> None:
    element = {"uid": "rate", "name": "Rate", "model": PANEL}
    errors = load(element, element)[0].diagnostics.errors
    assert len(errors) == 1 and "library panel rate is also at" in errors[0]


def exported_board(elements: Any, uid: str = "app", panels: Any = None) -> bytes:
    """Return a dashboard as Grafana exports it for sharing, with its library panels."""
    used = {"id": 1, "libraryPanel": {"uid": "rate", "name": "Rate"}}
    board = {"uid": uid, "title": uid, "panels": panels or [used], "__inputs": []}
    return json.dumps({**board, "__elements": elements}).encode()


ELEMENT = {"uid": "rate", "name": "Rate", "kind": 1, "model": PANEL}
UNUSED = {"uid": "other", "name": "Other", "kind": 1, "model": PANEL}
ROW = [{"type": "row", "panels": [{"libraryPanel": {"uid": "rate", "name": "Rate"}}]}]


@pytest.mark.parametrize("panels", [None, ROW], ids=["panel", "row"])
@pytest.mark.parametrize(
    "elements",
    [{"rate": ELEMENT, "other": UNUSED}, [ELEMENT, UNUSED]],
    ids=["by uid", "list"],
)
def test_an_exported_dashboard_brings_the_library_panels_that_it_uses(
    elements: Any, panels: Any
) -> None:
    files = {
        "A/a.json": exported_board(elements, "a", panels),
        "B/b.json": exported_board(elements, "b", panels),
    }
    loader = ContentLoader()
    items = loader.load([Source("", files)]).desired
    assert loader.diagnostics.errors == []
    (panel,) = [item for item in items if item.kind == KIND]
    folder = next(item for item in items if item.body.get("title") == "A")
    assert panel.body["folderUid"] == folder.identity
    assert (panel.identity, panel.body["model"]) == ("rate", PANEL)
    assert "__elements" not in str(items)


def test_a_listed_library_panel_comes_before_an_exported_one() -> None:
    listed = {"uid": "rate", "name": "Mine", "model": PANEL}
    text = json.dumps({"apiVersion": 1, "library_panels": [listed]})
    files = {"a.json": exported_board({"rate": ELEMENT}), "panels.yml": text.encode()}
    loader = ContentLoader()
    items = loader.load([Source("", files)]).desired
    (panel,) = [item for item in items if item.kind == KIND]
    assert (loader.diagnostics.errors, panel.body["name"]) == ([], "Mine")


def test_an_exported_library_panel_stays_in_its_folder(
    grafana: Any, apply: Apply
) -> None:
    apply(desired("folder"), desired(KIND, {**BODIES[KIND], "folderUid": "ops"}))
    brought = {**BODIES[KIND], "folderUid": "", "stays": True}
    assert not apply(desired(KIND, brought)).changed and not writes(grafana)
    apply(desired(KIND, changed(brought, ("name",), "Other")))
    live = read_existing(connect(grafana), (KIND,))[KIND]["rate"].body
    assert (live["name"], live["folderUid"]) == ("Other", "ops")


def test_an_export_has_the_library_panels(grafana: Any, apply: Apply) -> None:
    apply(desired("folder"), desired(KIND))
    form, content = exporting.files(read_existing(connect(grafana)))["files"][
        "library-panels.yml"
    ]
    text = serialize({"p.yml": (form, content)})["p.yml"]
    loader = ContentLoader()
    items = loader.load([Source("", {"p.yml": text.encode()})]).desired
    assert loader.diagnostics.errors == []
    assert not apply(*items).changed and not writes(grafana)
