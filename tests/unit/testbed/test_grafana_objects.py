# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake Grafana: datasources, folders, dashboards and their lists."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.grafana.server import FakeGrafana
from tests.unit.testbed.grafana_client import VERSIONS, call

SOURCE = {
    "name": "P",
    "uid": "p",
    "type": "prometheus",
    "access": "proxy",
    "url": "http://127.0.0.1:9",
}


class Hello(BaseHTTPRequestHandler):
    """A server that answers every request."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_arguments: Any) -> None:
        """Keep the output of the tests."""


@pytest.fixture(params=VERSIONS)
def grafana(request: pytest.FixtureRequest) -> Iterator[FakeGrafana]:
    with FakeGrafana(version=request.param) as started:
        yield started


def release(grafana: FakeGrafana) -> int:
    return int(grafana.grafana.version.partition(".")[0])


def newest(grafana: FakeGrafana) -> bool:
    """Return whether dashboards are saved by the newer API."""
    return release(grafana) == 13


def save(
    grafana: FakeGrafana, uid: str, folder: str = "", title: str = "", **body: Any
) -> tuple[int, Any]:
    spec = {"uid": uid, "title": title or uid} | body.pop("spec", {})
    return call(
        grafana,
        "POST",
        "/api/dashboards/db",
        {"dashboard": spec, "folderUid": folder} | body,
    )


# Datasources


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": "P"}, 409),
        ({"name": "Q"}, 409),
        ({"name": "Q", "uid": "q", "type": ""}, 400),
        ({"name": "Q", "uid": "q", "access": None}, 400),
        ({"name": "Q", "uid": "q", "url": "not a url"}, 400),
        ({"name": "Q", "uid": "q", "isDefault": "yes"}, 400),
        ({"name": "Q", "uid": "q", "secureJsonData": {"a": 1}}, 400),
    ],
)
def test_a_datasource_is_refused(grafana, change, status):
    assert call(grafana, "POST", "/api/datasources", SOURCE)[0] == 200
    assert call(grafana, "POST", "/api/datasources", SOURCE | change)[0] == status


def test_the_first_datasource_is_the_default_until_another_one_is(grafana):
    call(grafana, "POST", "/api/datasources", SOURCE | {"isDefault": False})
    assert call(grafana, "GET", "/api/datasources/uid/p")[1]["isDefault"]
    call(grafana, "POST", "/api/datasources", SOURCE | {"name": "Q", "uid": "q"})
    assert not call(grafana, "GET", "/api/datasources/uid/q")[1]["isDefault"]
    call(
        grafana,
        "PUT",
        "/api/datasources/uid/q",
        SOURCE | {"name": "Q", "uid": "q", "isDefault": True},
    )
    shown = [
        call(grafana, "GET", f"/api/datasources/uid/{uid}")[1]["isDefault"]
        for uid in "pq"
    ]
    assert shown == [False, True]


def test_an_update_of_a_datasource_is_refused(grafana):
    call(grafana, "POST", "/api/datasources", SOURCE)
    # A creation does without an address, and an update does not.
    assert (
        call(
            grafana,
            "POST",
            "/api/datasources",
            SOURCE | {"name": "Q", "uid": "q", "url": ""},
        )[0]
        == 200
    )
    assert (
        call(
            grafana,
            "PUT",
            "/api/datasources/uid/q",
            SOURCE | {"name": "Q", "uid": "q", "url": ""},
        )[0]
        == 400
    )
    assert (
        call(grafana, "PUT", "/api/datasources/uid/q", SOURCE | {"uid": "q"})[0] == 409
    )


def test_an_update_of_a_datasource_empties_neither_address_nor_user(grafana):
    source = SOURCE | {
        "type": "x",
        "basicAuth": True,
        "basicAuthUser": "u",
        "user": "v",
        "database": "w",
    }
    call(grafana, "POST", "/api/datasources", source)
    bare = {"name": "P", "uid": "p", "type": "x", "access": "proxy"}
    shown = call(grafana, "PUT", "/api/datasources/uid/p", bare)[1]["datasource"]
    assert [shown[key] for key in ("url", "basicAuthUser", "user", "database")] == [
        SOURCE["url"],
        "u",
        "",
        "",
    ]
    assert not shown["basicAuth"]


def test_secrets_of_a_datasource_go_in_and_never_out(grafana):
    secret = SOURCE | {"secureJsonData": {"a": "canary-1", "b": "canary-2"}}
    call(grafana, "POST", "/api/datasources", secret)
    # One secret is left out, one is emptied, one is new.
    call(
        grafana,
        "PUT",
        "/api/datasources/uid/p",
        SOURCE | {"secureJsonData": {"b": "", "c": "canary-3"}},
    )
    shown = call(grafana, "GET", "/api/datasources/uid/p")[1]
    assert shown["secureJsonFields"] == {"a": True, "c": True}
    assert "canary" not in str(shown)
    [kept] = grafana.store.all(1, "datasource")
    assert "canary" not in str(kept)
    assert grafana.store.decrypt(kept["secure"]["a"]) == "canary-1"


def test_a_version_of_a_datasource_is_a_lock(grafana):
    call(grafana, "POST", "/api/datasources", SOURCE)
    versions = []
    for sent in (1, 2, 2, 50, 3, None):
        status, answer = call(
            grafana, "PUT", "/api/datasources/uid/p", SOURCE | {"version": sent}
        )
        versions.append(answer["datasource"]["version"] if status == 200 else status)
    assert versions == [2, 3, 409, 51, 409, 1]


def test_one_datasource_at_most_is_the_default(grafana):
    call(grafana, "POST", "/api/datasources", SOURCE | {"isDefault": True})
    call(
        grafana,
        "POST",
        "/api/datasources",
        SOURCE | {"uid": "q", "name": "Q", "isDefault": True},
    )
    listed = call(grafana, "GET", "/api/datasources")[1]
    assert [stored["uid"] for stored in listed if stored["isDefault"]] == ["q"]
    assert (
        not {"version", "secureJsonFields", "basicAuthUser", "withCredentials"}
        & listed[0].keys()
    )
    assert call(grafana, "GET", "/api/datasources/uid/p")[1]["version"] == 1


def test_a_datasource_of_a_file_is_not_written(grafana):
    call(grafana, "POST", "/api/datasources", SOURCE)
    grafana.set_provenance("datasource", "p", "file")
    assert call(grafana, "PUT", "/api/datasources/uid/p", SOURCE)[0] == 403
    assert call(grafana, "DELETE", "/api/datasources/uid/p")[0] == 403


def test_numbers_of_datasources_are_no_addresses_on_13(grafana):
    call(grafana, "POST", "/api/datasources", SOURCE)
    assert call(grafana, "GET", "/api/datasources/1")[0] == (
        404 if release(grafana) == 13 else 200
    )
    assert call(grafana, "PUT", "/api/datasources/1", SOURCE)[0] == (
        404 if release(grafana) == 13 else 200
    )


def test_a_datasource_leads_to_the_server_behind_it(grafana):
    with FakeGrafana(password="behind") as behind:
        source = SOURCE | {
            "url": behind.url,
            "basicAuth": True,
            "basicAuthUser": "admin",
        }
        call(
            grafana,
            "POST",
            "/api/datasources",
            source | {"secureJsonData": {"basicAuthPassword": "behind"}},
        )
        assert (
            call(grafana, "GET", "/api/datasources/proxy/uid/p/api/org?x=1")[1]["name"]
            == "Main Org."
        )
        assert [(line.path, line.query, line.user) for line in behind.requests] == [
            ("/api/org", "x=1", "admin")
        ]
        assert call(grafana, "GET", "/api/datasources/uid/p/health")[0] == 400


def test_a_datasource_presents_its_certificate_to_a_server_of_its_authority(
    tmp_path: Path,
):
    pem = tmp_path / "own.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "1"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, "-keyout", str(pem), "-out", str(tmp_path / "own.crt")],
        check=True,
        capture_output=True,
    )
    key, certificate = pem.read_text(), (tmp_path / "own.crt").read_text()
    pem.write_text(key + certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.load_verify_locations(cadata=certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    server = HTTPServer(("127.0.0.1", 0), Hello)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    secrets = {
        "tlsCACert": certificate,
        "tlsClientCert": certificate,
        "tlsClientKey": key,
    }
    try:
        with FakeGrafana() as grafana:
            url = f"https://127.0.0.1:{server.server_address[1]}"
            for name, settings, status in (
                ("both", {"tlsAuth": True, "tlsAuthWithCACert": True}, 200),
                ("no-certificate", {"tlsAuthWithCACert": True}, 502),
                ("no-authority", {"tlsAuth": True}, 502),
            ):
                source = {**SOURCE, "name": name, "uid": name, "url": url}
                source |= {"jsonData": settings, "secureJsonData": secrets}
                call(grafana, "POST", "/api/datasources", source)
                path = f"/api/datasources/proxy/uid/{name}/x"
                assert call(grafana, "GET", path)[0] == status, name
    finally:
        server.shutdown()
        server.server_close()


# Folders


def test_a_folder_is_refused(grafana):
    assert call(grafana, "POST", "/api/folders", {"uid": "f", "title": "F"})[0] == 200
    refused = {
        "again": ({"uid": "f", "title": "G"}, 412),
        "long uid": ({"uid": "f" * 41, "title": "G"}, 400),
        "strange uid": ({"uid": "a b", "title": "G"}, 400),
        "no title": ({"uid": "g", "title": ""}, 400),
        "no parent": ({"uid": "g", "title": "G", "parentUid": "none"}, 400),
    }
    for body, status in refused.values():
        assert call(grafana, "POST", "/api/folders", body)[0] == status
    for body in ({"title": "G"}, {"title": "G", "version": 7}):
        assert call(grafana, "PUT", "/api/folders/f", body)[0] == 412
    assert (
        call(grafana, "PUT", "/api/folders/f", {"title": "G", "version": 1})[1][
            "version"
        ]
        == 2
    )
    assert (
        call(grafana, "PUT", "/api/folders/f", {"title": "G", "overwrite": True})[1][
            "version"
        ]
        == 3
    )


def test_folders_lie_in_folders(grafana):
    for depth in range(4):
        body = {
            "uid": f"f{depth}",
            "title": "T",
            "parentUid": f"f{depth - 1}" if depth else "",
        }
        assert call(grafana, "POST", "/api/folders", body)[0] == 200
    assert (
        call(
            grafana,
            "POST",
            "/api/folders",
            {"uid": "f4", "title": "T", "parentUid": "f3"},
        )[0]
        == 400
    )
    assert [stored["uid"] for stored in call(grafana, "GET", "/api/folders")[1]] == [
        "f0"
    ]
    assert [
        stored["uid"] for stored in call(grafana, "GET", "/api/folders?parentUid=f0")[1]
    ] == ["f1"]
    parents = call(grafana, "GET", "/api/folders/f3")[1]["parents"]
    assert [stored["uid"] for stored in parents] == ["f0", "f1", "f2"]
    assert call(grafana, "POST", "/api/folders/f0/move", {"parentUid": "f2"})[0] == 400
    assert call(grafana, "POST", "/api/folders/f2/move", {"parentUid": ""})[0] == 200
    assert call(grafana, "POST", "/api/folders/f0/move", {"parentUid": "f3"})[0] == 200
    call(grafana, "POST", "/api/folders", {"uid": "top", "title": "T"})
    assert call(grafana, "POST", "/api/folders/f2/move", {"parentUid": "top"})[0] == 400


def test_a_folder_goes_with_its_dashboards_and_not_with_rules(grafana):
    call(grafana, "POST", "/api/folders", {"uid": "f", "title": "F"})
    call(grafana, "POST", "/api/folders", {"uid": "g", "title": "G", "parentUid": "f"})
    save(grafana, "d", "g")
    grafana.store.put(
        1,
        "rule",
        "r",
        {"id": 1, "uid": "r", "folderUID": "g", "notification_settings": None},
    )
    words = ("folder", "dashboard", "alertrule", "librarypanel")
    if grafana.grafana.release >= (13,):
        words = ("folders", "dashboards", "alertrules", "library_elements")
    assert call(grafana, "GET", "/api/folders/f/counts")[1] == dict(
        zip(words, (1, 1, 1, 0), strict=True)
    )
    assert call(grafana, "DELETE", "/api/folders/f")[0] == 400
    assert call(grafana, "DELETE", "/api/folders/f?forceDeleteRules=true")[0] == 200
    assert [grafana.store.all(1, kind) for kind in ("folder", "dashboard", "rule")] == [
        [],
        [],
        [],
    ]


# Dashboards


def test_a_dashboard_is_refused(grafana):
    assert save(grafana, "d")[0] == 200
    for spec in ({}, {"version": 7}):
        status, answer = save(grafana, "d", spec=spec)
        assert (status, answer.get("status")) == (
            (409, None) if newest(grafana) else (412, "version-mismatch")
        )
    assert save(grafana, "d", spec={"title": ""})[1]["status"] == "empty-name"
    assert save(grafana, "d" * 41)[0] == 400
    assert save(grafana, "a b")[0] == 400
    assert save(grafana, "e", "none")[0] == 400
    assert save(grafana, "e", spec={"id": 99})[0] == 404
    assert call(grafana, "POST", "/api/dashboards/db", {"folderUid": ""})[0] == 400
    assert call(grafana, "POST", "/api/dashboards/db", b"[1]")[0] == 400
    grafana.set_provenance("dashboard", "d", "file")
    assert save(grafana, "d", overwrite=True)[0] == 400
    assert call(grafana, "DELETE", "/api/dashboards/uid/d")[0] == 400


def test_every_save_is_a_version_and_a_folder_left_out_is_the_root(grafana):
    call(grafana, "POST", "/api/folders", {"uid": "f", "title": "F"})
    versions = [save(grafana, "d", "f", overwrite=True)[1]["version"] for _ in range(3)]
    # The newer storage counts what changes.
    assert versions == ([1, 1, 1] if newest(grafana) else [1, 2, 3])
    assert (
        save(grafana, "d", "f", spec={"version": versions[-1], "tags": []})[1][
            "version"
        ]
        == versions[-1] + 1
    )
    assert call(grafana, "GET", "/api/dashboards/uid/d")[1]["meta"]["folderUid"] == "f"
    save(grafana, "d", overwrite=True)
    assert call(grafana, "GET", "/api/dashboards/uid/d")[1]["meta"]["folderUid"] == ""


def test_two_dashboards_may_have_one_title(grafana):
    save(grafana, "d", title="T")
    for overwrite in (False, True):
        assert save(grafana, "new", title="T", overwrite=overwrite)[1]["uid"] == "new"
    assert call(grafana, "GET", "/api/dashboards/uid/d")[1]["dashboard"]["title"] == "T"


def test_a_dashboard_is_repaired_before_13_and_accepted_or_refused_since(grafana):
    status, _answer = save(grafana, "d", spec={"refresh": "1s"})
    assert status == (400 if newest(grafana) else 200)
    save(grafana, "e", title=" T ")
    assert call(grafana, "GET", "/api/dashboards/uid/e")[1]["dashboard"]["title"] == (
        " T " if newest(grafana) else "T"
    )
    if not newest(grafana):
        assert (
            call(grafana, "GET", "/api/dashboards/uid/d")[1]["dashboard"]["refresh"]
            == "5s"
        )


def test_a_dashboard_is_kept_as_it_was_sent_and_since_12_its_numbers_as_doubles(
    grafana,
):
    spec = {
        "text": 'ünï 😀 \u2028 \x00 "',
        "big": 2**53 + 1,
        "empty": {},
        "null": None,
        "__inputs": [1],
        "refresh": "10s",
    }
    save(grafana, "d", spec=spec)
    shown = call(grafana, "GET", "/api/dashboards/uid/d")[1]["dashboard"]
    assert shown.pop("id") == 1
    # Grafana 12.4.0 was seen to answer 9007199254740992 for 9007199254740993, 11.6.2 was not.
    big = 2**53 if grafana.grafana.release >= (12,) else 2**53 + 1
    assert shown == spec | {"uid": "d", "title": "d", "version": 1, "big": big}


def test_up_to_11_a_folder_is_a_dashboard_that_cannot_be_deleted_as_one(grafana):
    call(grafana, "POST", "/api/folders", {"uid": "f", "title": "F"})
    where = "/api/dashboards/uid/f"
    statuses = [call(grafana, method, where)[0] for method in ("GET", "DELETE")]
    is_old = grafana.grafana.release < (12,)
    assert statuses == ([200, 400] if is_old else [404, 404])
    if is_old:
        assert call(grafana, "GET", where)[1]["meta"]["isFolder"] is True


@pytest.mark.parametrize(
    ("changes", "refused_since"),
    [
        ({"title": "x" * 5001}, 11),
        ({"title": "ü" * 2501}, 11),
        ({"title": "x" * 5000}, 99),
        ({"tags": ["x" * 51]}, 12),
        ({"tags": ["ü" * 26]}, 12),
        ({"tags": ["x" * 50, 5]}, 99),
    ],
)
def test_a_long_title_or_tag_of_a_dashboard_is_refused(grafana, changes, refused_since):
    body = {"dashboard": {"uid": "d", "title": "D", **changes}}
    status = call(grafana, "POST", "/api/dashboards/db", body)[0]
    is_refused = grafana.grafana.release >= (refused_since,)
    assert status == (400 if is_refused else 200)


def test_byte_order_marks_are_taken_out_of_a_dashboard_since_13(grafana):
    save(grafana, "d", title="\ufeffT", spec={"panels": [{"title": "a\ufeffb"}]})
    shown = call(grafana, "GET", "/api/dashboards/uid/d")[1]["dashboard"]
    assert shown["panels"] == [{"title": "ab" if newest(grafana) else "a\ufeffb"}]


def test_the_search_has_pages_and_a_limit(grafana):
    for number in range(5):
        save(grafana, f"d{number}", spec={"tags": ["odd" if number % 2 else "even"]})

    def uids(query: str) -> list[str]:
        return [
            hit["uid"]
            for hit in call(grafana, "GET", f"/api/search?type=dash-db&{query}")[1]
        ]

    assert uids("limit=2&page=2") == ["d2", "d3"]
    assert uids("tag=odd") == ["d1", "d3"]
    assert uids("dashboardUIDs=d4,d1") == ["d1", "d4"]
    assert uids("query=d3") == ["d3"]
    assert call(grafana, "GET", "/api/search?limit=5001")[0] == 422


# The lists of 12 and newer


LIST = "/apis/dashboard.grafana.app/{}/namespaces/{}/dashboards?limit={}&continue={}"


def pages(
    grafana: FakeGrafana, version: str = "v0alpha1", limit: int = 500
) -> list[list[dict[str, Any]]]:
    listed, token = [], ""
    while True:
        status, answer = call(
            grafana, "GET", LIST.format(version, "default", limit, token)
        )
        assert status == 200
        listed.append(answer["items"])
        token = answer["metadata"].get("continue")
        if not token:
            return listed


def test_dashboards_are_listed_by_pages(grafana):
    for number in range(5):
        save(grafana, f"d{number}", spec={"schemaVersion": 39, "text": "x" * 1000})
    if release(grafana) == 11:
        assert call(grafana, "GET", "/apis/dashboard.grafana.app")[0] == 404
        assert (
            call(grafana, "GET", LIST.format("v0alpha1", "default", 500, ""))[0] == 404
        )
        return
    assert [len(page) for page in pages(grafana, limit=2)] == [2, 2, 1]
    grafana.grafana.page_bytes = 4000
    assert [len(page) for page in pages(grafana)] == [2, 2, 1]
    [first, *_rest] = pages(grafana)[0]
    assert (first["metadata"]["name"], first["spec"]["schemaVersion"]) == ("d0", 39)
    assert pages(grafana, "v1beta1")[0][0]["spec"]["schemaVersion"] == 42
    assert call(grafana, "GET", LIST.format("v0alpha1", "org-2", 500, ""))[0] == 403
    assert call(grafana, "GET", LIST.format("v7", "default", 500, ""))[0] == 404
    assert (
        call(grafana, "GET", LIST.format("v0alpha1", "default", 500, ""), login="")[0]
        == 401
    )
    grafana.grafana.kubernetes = False
    assert call(grafana, "GET", "/apis/dashboard.grafana.app")[0] == 404


def test_a_dashboard_of_the_second_form_loses_what_the_first_cannot_express():
    spec = {"title": "T", "elements": {"panel-1": {}}}
    document = {
        "apiVersion": "dashboard.grafana.app/v2beta1",
        "kind": "Dashboard",
        "metadata": {"name": "d"},
        "spec": spec,
    }
    with FakeGrafana(version="12.4.3") as grafana:
        answer = call(grafana, "POST", "/api/dashboards/db", {"dashboard": document})
        assert (answer[0], answer[1]["status"]) == (400, "empty-name")
    with FakeGrafana(version="13.2.3") as grafana:
        assert (
            call(grafana, "POST", "/api/dashboards/db", {"dashboard": document})[0]
            == 200
        )
        assert (
            "elements"
            not in call(grafana, "GET", "/api/dashboards/uid/d")[1]["dashboard"]
        )
        assert (
            "elements"
            in call(grafana, "GET", "/api/dashboards/uid/d?apiVersion=v2")[1][
                "dashboard"
            ]
        )
        assert (
            pages(grafana)[0][0]["status"]["conversion"]["storedVersion"] == "v2beta1"
        )
