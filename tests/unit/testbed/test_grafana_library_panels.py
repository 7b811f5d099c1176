# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake Grafana answers for library panels as pkg/services/libraryelements of Grafana does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.testbed.grafana.server import FakeGrafana
from tests.unit.testbed.grafana_client import VERSIONS, call

WHERE = "/api/library-elements"
BODY = {"uid": "p", "name": "P", "kind": 1, "model": {"type": "stat"}, "folderUid": ""}


@pytest.fixture(params=VERSIONS)
def grafana(request: pytest.FixtureRequest) -> Iterator[FakeGrafana]:
    with FakeGrafana(version=request.param) as started:
        call(started, "POST", "/api/folders", {"uid": "f", "title": "F"})
        yield started


def create(grafana: FakeGrafana, **changes: Any) -> tuple[int, Any]:
    return call(grafana, "POST", WHERE, {**BODY, **changes})


def patch(grafana: FakeGrafana, **changes: Any) -> tuple[int, Any]:
    return call(grafana, "PATCH", f"{WHERE}/p", {"kind": 1, "version": 1, **changes})


def save(grafana: FakeGrafana, *panels: Any) -> int:
    model = {"uid": "d", "title": "D", "panels": list(panels)}
    return call(
        grafana, "POST", "/api/dashboards/db", {"dashboard": model, "overwrite": True}
    )[0]


def test_it_creates_reads_and_deletes(grafana: FakeGrafana) -> None:
    status, answer = create(grafana)
    assert (status, answer["result"]["version"]) == (200, 1)
    found = call(grafana, "GET", f"{WHERE}/p")[1]["result"]
    assert found["model"] == {"type": "stat", "description": ""}
    assert (found["type"], found["folderUid"]) == ("stat", "general")
    assert call(grafana, "DELETE", f"{WHERE}/p")[0] == 200
    assert call(grafana, "GET", f"{WHERE}/p") == (
        404,
        {"message": "library element could not be found"},
    )


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"uid": "a b"}, 400),
        ({"uid": "x" * 41}, 400),
        ({"kind": 2}, 400),
        ({"kind": None}, 400),
        ({"folderUid": "gone"}, 400),
        ({"uid": "q", "name": "Q", "model": {"type": 5}}, 500),
        ({"uid": "q"}, 400),
        ({"name": "Q"}, 400),
        ({"uid": "q", "name": "Q"}, 200),
        ({"uid": "q", "folderUid": "f"}, 200),
        ({"uid": "", "name": "Q"}, 200),
    ],
)
def test_it_refuses_a_library_panel(
    grafana: FakeGrafana, changes: dict, status: int
) -> None:
    create(grafana)
    assert create(grafana, **changes)[0] == status


def test_it_patches_the_version_that_was_read(grafana: FakeGrafana) -> None:
    create(grafana)
    assert patch(grafana, version=2)[0] == 412
    assert patch(grafana, name="Q")[1]["result"]["version"] == 2
    assert patch(grafana, name="R")[0] == 412
    assert call(grafana, "PATCH", f"{WHERE}/gone", {"kind": 1, "version": 1})[0] == 404


def test_an_update_keeps_the_type_that_it_lacks(grafana: FakeGrafana) -> None:
    create(grafana)
    found = patch(grafana, model={"title": "T"})[1]["result"]
    assert found["model"] == {"title": "T", "type": "stat", "description": ""}


def test_a_name_of_another_is_refused(grafana: FakeGrafana) -> None:
    create(grafana)
    create(grafana, uid="q", name="Q")
    assert patch(grafana, name="Q")[0] == 400


def test_a_move_is_not_seen_by_the_list(grafana: FakeGrafana) -> None:
    create(grafana)
    assert patch(grafana, folderUid="f")[0] == 200
    assert call(grafana, "GET", f"{WHERE}/p")[1]["result"]["folderUid"] == "f"
    (listed,) = call(grafana, "GET", WHERE)[1]["result"]["elements"]
    assert listed["folderUid"] == ""
    assert sum(call(grafana, "GET", "/api/folders/f/counts")[1].values()) == 0


def test_it_lists_in_pages(grafana: FakeGrafana) -> None:
    for name in "BAC":
        create(grafana, uid=name.lower(), name=name)
    pages = [
        call(grafana, "GET", f"{WHERE}?kind=1&perPage=2&page={page}")[1]["result"]
        for page in (1, 2, 3)
    ]
    assert [[item["uid"] for item in page["elements"]] for page in pages] == [
        ["a", "b"],
        ["c"],
        [],
    ]
    assert {page["totalCount"] for page in pages} == {3}


def test_it_keeps_what_a_dashboard_uses(grafana: FakeGrafana) -> None:
    use = {"libraryPanel": {"uid": "p", "name": "P"}}
    assert save(grafana, use) == 500
    create(grafana)
    assert save(grafana, {"libraryPanel": {"name": "P"}}) == 500
    assert save(grafana, {"type": "row", "panels": [use]}) == 200
    status, answer = call(grafana, "DELETE", f"{WHERE}/p")
    assert (status, answer["message"]) == (403, "the library element has connections")
    assert (
        call(grafana, "GET", f"{WHERE}/p")[1]["result"]["meta"]["connectedDashboards"]
        == 1
    )
    call(grafana, "DELETE", "/api/dashboards/uid/d")
    assert call(grafana, "DELETE", f"{WHERE}/p")[0] == 200


def test_a_folder_counts_it_and_takes_it_along(grafana: FakeGrafana) -> None:
    create(grafana, folderUid="f")
    assert sum(call(grafana, "GET", "/api/folders/f/counts")[1].values()) == 1
    assert call(grafana, "DELETE", "/api/folders/f")[0] == 200
    assert call(grafana, "GET", f"{WHERE}/p")[0] == 404
