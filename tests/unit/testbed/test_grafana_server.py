# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake Grafana: logins, faults on demand, configuration, and the packed program."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.grafana import settings
from tests.testbed.grafana.server import FakeGrafana
from tests.testbed.releases import build, recipe
from tests.unit.testbed.grafana_client import POLICIES, TEMPLATES, call

DEFAULTS = Path(build.__file__).parent / "grafana" / "defaults.ini"
SOURCE = {
    "name": "P",
    "uid": "p",
    "type": "loki",
    "access": "proxy",
    "url": "http://127.0.0.1:9",
}


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    with FakeGrafana() as started:
        yield started


# Who asks


def test_health_is_public_and_the_rest_requires_a_login(grafana):
    assert call(grafana, "GET", "/api/health", login="")[1] == {
        "database": "ok",
        "commit": "fake",
        "version": "13.2.3",
    }
    for path in ("/api/org", "/api/nothing", "/apis/dashboard.grafana.app"):
        assert call(grafana, "GET", path, login="")[0] == 401
    assert call(grafana, "GET", "/api/nothing") == (404, {"message": "Not found"})
    with FakeGrafana(hide_version=True) as hidden:
        assert call(hidden, "GET", "/api/health", login="")[1] == {"database": "ok"}


def test_five_wrong_passwords_lock_a_user_and_no_other(grafana):
    grafana.add_user("other", "pass", "Viewer")
    for _try in range(5):
        status, rejection = call(grafana, "GET", "/api/org", login="admin:wrong")
        assert status == 401
    assert call(grafana, "GET", "/api/org") == (401, rejection)
    assert call(grafana, "GET", "/api/org", login="other:pass")[0] == 200
    grafana.clear()
    assert call(grafana, "GET", "/api/org")[0] == 200


def test_a_right_password_forgets_wrong_ones(grafana):
    for _round in range(3):
        for _try in range(4):
            call(grafana, "GET", "/api/org", login="admin:wrong")
        assert call(grafana, "GET", "/api/org")[0] == 200


def test_organizations_are_apart(grafana):
    second = {"X-Grafana-Org-Id": str(grafana.add_org("Two"))}
    call(grafana, "POST", "/api/folders", {"uid": "f", "title": "F"}, headers=second)
    assert call(grafana, "GET", "/api/folders/f")[0] == 404
    assert call(grafana, "GET", "/api/folders/f", headers=second)[0] == 200
    assert call(grafana, "GET", "/api/org", headers={"X-Grafana-Org-Id": "9"})[0] == 404
    path = "/apis/folder.grafana.app/v1beta1/namespaces/org-2/folders"
    assert len(call(grafana, "GET", path, headers=second)[1]["items"]) == 1


def test_roles_may_do_more_or_less(grafana):
    grafana.add_user("ed", "pass", "Editor")
    grafana.add_user("view", "pass", "Viewer")
    folder = {"title": "F"}
    assert [
        call(grafana, "POST", "/api/folders", folder, f"{who}:pass")[0]
        for who in ("ed", "view")
    ] == [200, 403]
    status, answer = call(grafana, "POST", "/api/datasources", SOURCE, login="ed:pass")
    assert status == 403 and "datasources:create" in answer["message"]
    assert call(grafana, "GET", "/api/orgs", login="ed:pass")[0] == 403


def test_tokens_of_a_service_account(grafana):
    account = call(
        grafana, "POST", "/api/serviceaccounts", {"name": "ci", "role": "Editor"}
    )[1]
    assert call(grafana, "POST", "/api/serviceaccounts", {"name": "ci"})[0] == 400
    path = f"/api/serviceaccounts/{account['id']}/tokens"
    made = call(grafana, "POST", path, {"name": "t"})[1]
    assert call(grafana, "POST", path, {"name": "t"})[0] == 409
    assert (
        call(grafana, "GET", "/api/serviceaccounts/search?query=CI")[1][
            "serviceAccounts"
        ][0]["tokens"]
        == 1
    )

    def ask(key: str, **headers: str) -> int:
        sent = {"Authorization": f"Bearer {key}", **headers}
        return call(grafana, "GET", "/api/folders", login="", headers=sent)[0]

    assert ask(made["key"]) == 200
    assert ask(made["key"][:-1] + "x") == ask("nonsense") == 401
    second = str(grafana.add_org("Two"))
    assert ask(made["key"], **{"X-Grafana-Org-Id": second}) == 401
    assert made["key"] not in str(
        [grafana.store.all(1, "token"), grafana.store.all(0, "token hash")]
    )
    call(
        grafana, "PATCH", f"/api/serviceaccounts/{account['id']}", {"isDisabled": True}
    )
    assert ask(made["key"]) == 401
    assert call(grafana, "DELETE", f"{path}/{made['id']}")[0] == 200
    assert call(grafana, "DELETE", f"{path}/{made['id']}")[0] == 404


# Faults


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("500", 500, "Internal server error"),
        ("locked", 500, "database is locked"),
        ("429", 429, "Too many requests"),
        ("409", 409, "conflict"),
        ("412", 412, "version-mismatch"),
        ("502", 502, "Bad Gateway"),
        ("html", 200, "<!DOCTYPE html>"),
    ],
)
def test_a_fault_takes_the_place_of_an_answer(grafana, name, status, words):
    grafana.fail(name, method="PUT", path="templates/t2", first=2)
    body = {"template": "x"}
    codes = [
        call(grafana, "PUT", f"{TEMPLATES}/{key}", body)
        for key in ("t1", "t2", "t2", "t2", "t1")
    ]
    assert [code for code, _answer in codes] == [202, 202, status, 202, 202]
    assert words in str(codes[2][1])
    assert call(grafana, "GET", POLICIES)[0] == 200
    grafana.fail(name, method="write", times=0, path="t3")
    assert call(grafana, "PUT", f"{TEMPLATES}/t3", body)[0] == status
    assert call(grafana, "GET", f"{TEMPLATES}/t3")[0] == 404


def test_a_connection_is_reset_before_or_after_the_write(grafana):
    for key, applied, status in (("before", False, 404), ("after", True, 200)):
        grafana.fail("reset", path=key, applied=applied)
        with pytest.raises(ConnectionResetError):
            call(grafana, "PUT", f"{TEMPLATES}/{key}", {"template": "x"})
        assert call(grafana, "GET", f"{TEMPLATES}/{key}")[0] == status


def test_an_answer_is_slow_or_cut(grafana):
    grafana.fail("slow", delay=0.2)
    started = time.monotonic()
    assert call(grafana, "GET", "/api/org")[0] == 200
    assert time.monotonic() - started >= 0.2
    grafana.fail("truncated")
    status, answer = call(grafana, "GET", "/api/org")
    assert status == 200 and answer.startswith(b'{"id":1')


def test_it_stops_after_so_many_writes(grafana):
    grafana.stop_after_writes(2)
    for number in range(2):
        call(grafana, "GET", "/api/org")
        call(grafana, "POST", "/api/folders", {"uid": f"f{number}", "title": "F"})
    for method in ("GET", "POST"):
        with pytest.raises(ConnectionResetError):
            call(grafana, method, "/api/folders", {"uid": "f3", "title": "F"})
    assert [line.path for line in grafana.writes if line.status == 200] == [
        "/api/folders"
    ] * 2
    grafana.clear()
    assert len(call(grafana, "GET", "/api/folders")[1]) == 2


def test_the_back_door_does_the_same_from_another_machine(grafana):
    door = "/-/fake"
    call(grafana, "POST", f"{door}/fail", {"name": "429", "path": "/api/org"}, login="")
    assert call(grafana, "GET", "/api/org")[0] == 429
    [line] = call(grafana, "GET", f"{door}/requests", login="")[1]
    assert (line["method"], line["path"], line["status"], line["is_write"]) == (
        "GET",
        "/api/org",
        429,
        False,
    )
    call(grafana, "POST", "/api/datasources", SOURCE)
    call(
        grafana,
        "POST",
        f"{door}/provenance",
        {"kind": "datasource", "key": "p", "provenance": "file"},
        login="",
    )
    assert call(grafana, "GET", "/api/datasources/uid/p")[1]["readOnly"] is True
    assert call(grafana, "DELETE", f"{door}/requests", login="")[1] == []


# What it keeps


def test_state_and_passwords_survive_and_another_key_cannot_read_secrets(tmp_path):
    path = tmp_path / "grafana.db"
    with FakeGrafana(path=path, password="first", version="12.4.3") as grafana:
        secret = SOURCE | {"secureJsonData": {"a": "canary"}}
        call(grafana, "POST", "/api/datasources", secret, login="admin:first")
    assert b"canary" not in path.read_bytes()
    # The password is taken at the first start alone.
    with FakeGrafana(path=path, password="second") as grafana:
        assert call(grafana, "GET", "/api/org", login="admin:second")[0] == 401
        assert (
            call(grafana, "GET", "/api/datasources/proxy/uid/p/x", login="admin:first")[
                0
            ]
            == 502
        )
        assert grafana.store.migrated_by == ["12.4.3"]
    with FakeGrafana(path=path, secret_key="another") as grafana:
        assert (
            call(grafana, "GET", "/api/datasources/uid/p", login="admin:first")[0]
            == 200
        )
        status, answer = call(
            grafana, "GET", "/api/datasources/proxy/uid/p/x", login="admin:first"
        )
        assert status == 500 and "decrypt" in answer["message"]


# Configuration


def read(tmp_path: Path, content: str, **environment: str) -> settings.Settings:
    (tmp_path / "conf").mkdir(exist_ok=True)
    (tmp_path / "conf" / "defaults.ini").write_text(DEFAULTS.read_text())
    (tmp_path / "own.ini").write_text(content)
    return settings.read(tmp_path, tmp_path / "own.ini", environment)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("plain", "plain"),
        ("a#b", "a"),
        ("a ; b", "a"),
        ("`a#b;c`", "a#b;c"),
        ("`a`b` # c", "a`b"),
        ('"""a"b#c"""', 'a"b#c'),
        ("'a'", "a"),
        ('"a b"', "a b"),
        ("", "admin"),
        ("$__env{WORD}", "from env"),
        ("${WORD}", "from env"),
        ("%(admin_user)s!", "admin!"),
    ],
)
def test_a_value_is_read_as_grafana_reads_it(tmp_path, written, value):
    values = read(
        tmp_path, f"[security]\nadmin_password = {written}\n", WORD="from env"
    )
    assert values.get("security", "admin_password") == value


def test_files_and_environment_give_values(tmp_path):
    (tmp_path / "secret").write_text("from file\n")
    content = (
        f"[security]\nadmin_password = $__file{{{tmp_path}/secret}}\n"
        "[server]\nhttp_port = 1\n"
    )
    # Only the entry point of the Docker image supports the last one.
    environment = {
        "GF_SERVER_HTTP_PORT": "2",
        "GF_NO_SUCH": "3",
        "GF_SECURITY_SECRET_KEY__FILE": "/x",
    }
    values = read(tmp_path, content, **environment)
    assert values.get("security", "admin_password") == "from file"
    assert values.get("server", "http_port") == "2"
    assert values.get("security", "secret_key").startswith("SW2Y")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "[security]\nadmin_pasword = a\n",
            "supports no admin_pasword in \\[security\\]",
        ),
        ("[security]\nadmin_password\n", "key-value delimiter not found"),
        (
            "[security]\nadmin_password = $__file{/no/such}\n",
            "error while expanding /no/such",
        ),
    ],
)
def test_a_configuration_is_refused(tmp_path, content, words):
    with pytest.raises(settings.SettingsError, match=words):
        read(tmp_path, content)


# The packed program


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked archive of the version that the role rolls out."""
    folder = tmp_path_factory.mktemp("grafana")
    chosen = recipe.read_all()["grafana"]
    with tarfile.open(build.provide(chosen) / chosen.file_name) as archive:
        archive.extractall(folder, filter="data")
    return folder / chosen.top


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def program(
    home: Path, *arguments: str, **options: object
) -> subprocess.CompletedProcess:
    command = [str(home / "bin" / "grafana"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=False, **options
    )


def started(home: Path, config: Path, notify: socket.socket) -> subprocess.Popen:
    """Return the started server, which has reported its readiness to systemd."""
    command = [
        str(home / "bin" / "grafana"),
        "server",
        "--homepath",
        str(home),
        "--config",
        str(config),
    ]
    environment = os.environ | {"NOTIFY_SOCKET": notify.getsockname()}
    server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    assert notify.recv(100) == b"READY=1"
    return server


def status_of(port: int, login: str) -> int:
    class Address:
        url = f"http://127.0.0.1:{port}"

    return call(Address(), "GET", "/api/org", login=login)[0]


def test_the_program_serves_and_gives_its_admin_another_password(home, tmp_path):
    port, config = free_port(), tmp_path / "grafana.ini"
    config.write_text(
        f"[paths]\ndata = {tmp_path}/data\n[server]\nhttp_addr = 127.0.0.1\nhttp_port = {port}\n"
        "[database]\nwal = true\n[security]\nadmin_password = first\n"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(20)
        server = started(home, config, notify)
        try:
            assert status_of(port, "admin:first") == 200
            common = (
                "cli",
                "--homepath",
                str(home),
                "--config",
                str(config),
                "admin",
                "reset-admin-password",
            )
            assert (
                program(
                    home, *common, "--password-from-stdin", input="abc\n"
                ).returncode
                == 1
            )
            assert (
                program(home, *common, "--user-id", "7", "long enough").returncode == 1
            )
            done = program(home, *common, "--password-from-stdin", input="second\n")
            assert (done.returncode, done.stdout) == (
                0,
                "\nAdmin password changed successfully ✔\n",
            )
            assert status_of(port, "admin:second") == 200
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0
        finally:
            server.kill()
            server.wait()
    assert (tmp_path / "data" / "grafana.db").stat().st_mode & 0o777 == 0o640
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["server", "--homepath", "/nowhere"], "could not find config defaults"),
        (["server", "--bogus"], "unrecognized arguments"),
        (
            ["cli", "admin", "reset-admin-password", "--homepath", "/", "x"],
            "unrecognized arguments",
        ),
        (["cli", "plugins", "ls"], "supports no command"),
        (["nothing"], "fake"),
    ],
)
def test_the_program_refuses_unknown_commands(home, arguments, words):
    done = program(home, *arguments)
    assert done.returncode == 1
    assert words in done.stderr


def test_the_program_refuses_another_database(home, tmp_path):
    (tmp_path / "grafana.ini").write_text("[database]\ntype = postgres\n")
    done = program(
        home,
        "server",
        "--homepath",
        str(home),
        "--config",
        str(tmp_path / "grafana.ini"),
    )
    assert done.returncode == 1 and "no database but sqlite3" in done.stderr


def test_each_version_is_packed_as_itself(tmp_path):
    for name, chosen in recipe.read_all().items():
        if chosen.name == "grafana":
            with tarfile.open(build.provide(chosen) / chosen.file_name) as archive:
                archive.extractall(tmp_path, filter="data")
            assert (
                program(tmp_path / chosen.top, "--version").stdout
                == f"grafana version {chosen.version}\n"
            ), name
