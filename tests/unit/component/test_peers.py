# SPDX-License-Identifier: GPL-3.0-or-later
"""A program stops only while the same program is ready on all other hosts of its group."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    local_http,
    peers,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from tests.unit.component.conftest import Web
from tests.unit.component.factories import instance
from tests.unit.component.fake_host import FakeHost

# The options of undisturbed rollouts.
from tests.unit.component.test_transaction import config, options  # noqa: F401

Options = dict[str, Any]


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(peers, "INTERVAL_SECONDS", 0)


@pytest.fixture
def several(host: FakeHost, web: Web, options: Options) -> Options:  # noqa: F811
    """Return the options of a program that runs, and whose peer is not ready any more."""
    web.answers = [web.status(503, b"replaying")]
    ready = {**options["ready"], "peers": [{"host": "b", "url": f"{web.url}/ready"}]}
    params = {**options, "ready": ready, "reload": None}
    host.good(params)
    return params


def state(host: FakeHost) -> tuple[Any, ...]:
    return host.tree(), host.marks(), host.starts(), host.loaded()


@pytest.mark.parametrize("check", [False, True])
def test_a_restart_is_refused_before_anything_changes_and_names_the_peer(
    host: FakeHost, several: Options, web: Web, check: bool
) -> None:
    before = state(host)
    host.forget_commands()
    outcome = host.run(several, config=config("a: 2\n"), check=check)
    assert outcome.error == (
        f"loki: is not stopped while loki on b is not ready ({web.url}/ready answers 503:"
        " replaying); repair that first, or roll out once with -e monitoring_without_peers=true."
        " Nothing was changed."
    )
    assert not outcome.rolled_back
    assert (state(host), host.commands()) == (before, [])
    web.answers = [web.status(200)]
    assert host.good(several, config=config("a: 2\n")).action == "restart"


def test_a_first_rollout_asks_nobody(host: FakeHost, several: Options) -> None:
    # The fixture has rolled out while its peer was not ready.
    assert host.unit("loki.service")["active"] == "active"


def test_an_idle_run_and_a_reload_ask_nobody(
    host: FakeHost,
    several: Options,
    options: Options,  # noqa: F811
    web: Web,
) -> None:
    assert host.good(several).action == "none"
    reloads = {**several, "reload": options["reload"]}
    host.good(reloads, without_peers=True)
    web.requests.clear()
    assert host.good(reloads, config=config("a: 2\n")).action == "reload"
    assert web.requests == []


def test_a_program_that_has_ended_is_started_whatever_its_peers_do(
    host: FakeHost, several: Options
) -> None:
    host.stop("loki.service")
    assert host.good(several, config=config("a: 2\n")).action == "restart"


def test_a_run_without_peers_restarts(host: FakeHost, several: Options) -> None:
    changed = host.good(several, config=config("a: 2\n"), without_peers=True)
    assert changed.action == "restart"


@pytest.mark.parametrize("check", [False, True])
def test_a_rollback_asks_them_too(
    host: FakeHost, several: Options, web: Web, check: bool
) -> None:
    host.good(several, config=config("a: 2\n"), without_peers=True)
    before = state(host)
    previous = {"name": "loki", "state": "previous"}
    refused = host.run(previous, check=check)
    assert "loki on b is not ready" in refused.error
    assert state(host) == before
    if not check:
        assert host.good(previous, without_peers=True).action == "restart"


def test_a_peer_whose_address_this_rollout_changes_answers_at_the_former_one(
    host: FakeHost, several: Options, web: Web
) -> None:
    web.answers = [web.status(200)]
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        later = f"http://127.0.0.1:{unused.getsockname()[1]}/ready"
        moved = {**several["ready"], "peers": [{"host": "b", "url": later}]}
        changed = {**several, "ready": moved, "config": config("a: 2\n")}
        assert host.good(changed).action == "restart"
        # From now on it is at neither.
        web.answers = [web.status(503)]
        outcome = host.run({**changed, "config": config("a: 3\n")})
    assert f"({later} answers nothing: " in outcome.error


def test_a_host_that_joins_the_group_is_not_asked(
    host: FakeHost, several: Options, web: Web
) -> None:
    web.answers = [web.status(200)]
    joining = {"host": "c", "url": "http://127.0.0.1:9/ready"}
    grown = [*several["ready"]["peers"], joining]
    changed = {**several, "ready": {**several["ready"], "peers": grown}}
    assert host.good(changed, config=config("a: 2\n")).action == "restart"
    # From then on it is.
    outcome = host.run(changed, config=config("a: 3\n"))
    assert "loki on c is not ready" in outcome.error


def test_a_host_that_left_the_group_is_not_asked(
    host: FakeHost, several: Options, web: Web
) -> None:
    alone = {**several, "ready": {**several["ready"], "peers": []}}
    web.requests.clear()
    assert host.good(alone, config=config("a: 2\n")).action == "restart"
    assert web.requests == []


def test_a_peer_that_misses_an_answer_is_asked_again(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "PATIENCE_SECONDS", 20)
    # Each time at its new and at its former address.
    web.answers = [*[web.status(503)] * 4, web.status(200)]
    ready = {"url": "", "peers": [{"host": "b", "url": web.url}]}
    peers.require("loki", str(tmp_path), ready, ready)
    assert len(web.requests) == 5


@pytest.mark.parametrize(
    ("peer", "message"),
    [
        ({"url": "http://b/ready"}, "ready.peers: host is missing"),
        ({"host": "b"}, "ready.peers: url is missing"),
        (
            {"host": "b", "url": "https://b/", "ca_file": "tls/ca.pem"},
            "ready.peers.ca_file: 'tls/ca.pem' is not in config or secrets",
        ),
        (
            {"host": "b", "url": "https://b/", "certificate_file": "tls/own.pem"},
            "ready.peers: certificate_file and key_file go together",
        ),
    ],
)
def test_a_peer_that_cannot_be_asked_is_refused(
    peer: dict[str, str], message: str
) -> None:
    ready = {"url": "http://127.0.0.1/", "peers": [peer]}
    with pytest.raises(ComponentError, match=message):
        instance(ready=ready)


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def make_authority(directory: Path, name: str, address: str) -> None:
    """Write an authority, and a certificate of an address that it has issued."""
    new = ("req", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    ca, ca_key, own, key, request = (
        f"{directory}/{name}{end}"
        for end in ("-ca.pem", "-ca.key", ".pem", ".key", ".csr")
    )
    openssl(*new, "-x509", "-subj", f"/CN={name}", "-keyout", ca_key, "-out", ca)
    subject = ("-subj", "/CN=b", "-addext", f"subjectAltName=IP:{address}")
    openssl(*new, *subject, "-keyout", key, "-out", request)
    issuer = ("-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", own)
    openssl("x509", "-req", "-in", request, "-copy_extensions", "copy", *issuer)


def test_the_certificate_of_a_peer_is_verified(web: Web, tmp_path: Path) -> None:
    make_authority(tmp_path, "right", "127.0.0.1")
    make_authority(tmp_path, "other", "127.0.0.9")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "right.pem", tmp_path / "right.key")
    web.server.socket = context.wrap_socket(web.server.socket, server_side=True)
    web.answers = [web.status(200, b"ready")]
    url = web.url.replace("http:", "https:")
    right = {"url": url, "ca_file": "right-ca.pem"}
    assert local_http.ask_with(str(tmp_path), right) == (200, "ready")
    for wrong in (
        {**right, "ca_file": "other-ca.pem"},
        {**right, "url": url.replace("127.0.0.1", "localhost")},
    ):
        status, reason = local_http.ask_with(str(tmp_path), wrong)
        assert status == 0
        assert "certificate" in reason
    # Of this host, whose socket is known to be the program's, nothing is verified.
    assert local_http.ask_with(str(tmp_path), {"url": url})[0] == 200
