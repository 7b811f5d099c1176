# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program shows of itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import probe, systemd
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.rollout_plan import Unit
from tests.unit.component.conftest import Web

METRICS = """# HELP ok whether the last reload went well
# TYPE ok gauge
ok 1
ok_total 5
at 1.7637144005e+09
odd{label="x"} 3
bad word
spaced   7   1763714400500
not_a_number NaN
"""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ok", 1.0),
        ("at", 1763714400.5),
        ("spaced", 7.0),
        ("odd", None),
        ("bad", None),
        ("absent", None),
        ("o", None),
        ("o.", None),
    ],
)
def test_a_metric_is_read_by_its_whole_name(name: str, value: float | None) -> None:
    assert probe.value_of(METRICS, name) == value


def test_a_metric_comes_from_a_good_answer_only(web: Web) -> None:
    web.answers = [web.status(200, METRICS.encode()), web.status(503, METRICS.encode())]
    assert probe.metric("loki.service", {"url": web.url}, "ok") == 1
    assert probe.metric("loki.service", {"url": web.url}, "ok") is None


def listen(address: str, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    listener = socket.socket(family)
    listener.bind((address, 0))
    listener.listen()
    return listener


@pytest.mark.parametrize(
    ("bound", "asked", "found"),
    [
        pytest.param("127.0.0.1", "127.0.0.1", True, id="the address"),
        pytest.param("0.0.0.0", "127.0.0.1", True, id="every address"),
        pytest.param("::", "127.0.0.1", True, id="every address of either kind"),
        pytest.param(
            "::ffff:127.0.0.1", "127.0.0.1", True, id="the address in the other kind's words"
        ),
        pytest.param("::1", "[::1]", True, id="an address of the other kind"),
        pytest.param("127.0.0.2", "127.0.0.1", False, id="another address"),
        pytest.param("127.0.0.2", "", True, id="any address"),
        pytest.param("127.0.0.2", "0.0.0.0", True, id="an address where all are wanted"),
        pytest.param("127.0.0.1", "localhost", True, id="a name"),
    ],
)
def test_who_listens_on_an_address(bound: str, asked: str, found: bool) -> None:
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    if family == socket.AF_INET6 and not os.path.exists("/proc/net/tcp6"):
        pytest.skip("this host has no IPv6")
    with listen(bound, family) as listener:
        port = listener.getsockname()[1]
        assert (os.getpid() in probe.owners(f"{asked}:{port}")) is found
        assert os.getpid() not in probe.owners(f"{asked}:{port + 1 if port < 65535 else port - 1}")


def test_a_connection_is_no_listener() -> None:
    with (
        listen("127.0.0.1") as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        assert probe.owners(f"127.0.0.1:{client.getsockname()[1]}") == set()


def test_an_unknown_name_is_what_a_program_lacks() -> None:
    assert "is not known" in probe.missing("loki.service", UP, ["no-such-host.invalid:80"], {})


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(ComponentError, match=r"no-such-host\.invalid is not known"):
        probe.owners("no-such-host.invalid:80")


@pytest.fixture
def stranger() -> Iterator[tuple[int, int]]:
    """Another process that listens: its id and its port."""
    script = (
        "import socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "print(listener.getsockname()[1], flush=True)\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process.pid, int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_taken_address_names_its_holder(stranger: tuple[int, int]) -> None:
    pid, port = stranger
    told = probe.taken(f"127.0.0.1:{port}", 0)
    assert told.startswith("python")
    assert told.endswith(f"(process {pid})")


def test_an_address_that_the_unit_itself_holds_is_not_taken(stranger: tuple[int, int]) -> None:
    pid, port = stranger
    assert probe.taken(f"127.0.0.1:{port}", pid) == ""


def test_a_free_address_is_not_taken(stranger: tuple[int, int]) -> None:
    _pid, port = stranger
    assert probe.taken(f"127.0.0.2:{port}", 0) == ""


def test_a_process_that_is_gone_shares_nothing() -> None:
    assert probe.processes(2**22 + 1) == set()
    assert os.getpid() in probe.processes(os.getpid())


class Systemd:
    """What systemd says of a unit, in turn; the last state is said again and again."""

    def __init__(self, *states: Unit) -> None:
        self.states = list(states)
        self.asked = 0

    def show(self, names: list) -> dict:
        self.asked += 1
        return {names[0]: self.states.pop(0) if len(self.states) > 1 else self.states[0]}


UP = Unit(active="active", sub="running", main_pid=os.getpid())
STARTING = Unit(active="activating", sub="start-pre")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> type[Systemd]:
    """Have systemd say what a test wants, and probe without waiting."""
    monkeypatch.setattr(probe, "INTERVAL_SECONDS", 0.01)

    def say(*states: Unit) -> Systemd:
        manager = Systemd(*states)
        monkeypatch.setattr(systemd, "show", manager.show)
        return manager

    return say


def started(listen_addresses: list, ready: dict, timeout: float = 30) -> Unit:
    return probe.started("loki.service", listen_addresses, ready, timeout)


def test_a_start_is_believed_after_several_good_probes(said: type[Systemd], web: Web) -> None:
    manager = said(STARTING, STARTING, UP)
    web.answers = [web.status(503), web.status(200)]
    with listen("127.0.0.1") as listener:
        assert started([f"127.0.0.1:{listener.getsockname()[1]}"], {"url": web.url}) == UP
    assert len(web.requests) == 1 + probe.STEADY_PROBES
    assert manager.asked == 2 + len(web.requests)


def test_a_start_without_a_ready_address_has_to_stay(said: type[Systemd]) -> None:
    manager = said(UP)
    assert started([], {}) == UP
    assert manager.asked == probe.STEADY_PROBES


@pytest.mark.parametrize(
    "then",
    [
        pytest.param(Unit(active="failed"), id="it failed"),
        pytest.param(Unit(active="inactive"), id="it ended"),
        pytest.param(
            Unit(active="activating", sub="auto-restart"), id="it waits to be started again"
        ),
        pytest.param(Unit(active="active", main_pid=UP.main_pid + 1), id="it is another process"),
        pytest.param(
            Unit(active="active", main_pid=UP.main_pid, restarts=1), id="it was started again"
        ),
    ],
)
def test_a_start_that_does_not_stay_is_not_proven(said: type[Systemd], then: Unit) -> None:
    said(UP, UP, then)
    with pytest.raises(probe.HealthCheckFailed, match="ended"):
        started([], {})


def test_a_program_that_gets_ready_for_somebody_else_is_not_proven(
    said: type[Systemd], stranger: tuple[int, int]
) -> None:
    _pid, port = stranger
    # Tests share one control group, so the unit's process is one that is not there.
    said(Unit(active="active", main_pid=2**22 + 1))
    with pytest.raises(probe.HealthCheckFailed, match=f"does not listen on 127.0.0.1:{port}"):
        started([f"127.0.0.1:{port}"], {}, 0.5)


def test_a_program_that_is_never_ready_is_told_with_its_answer(
    said: type[Systemd], web: Web
) -> None:
    said(UP)
    web.answers = [web.status(503, b"Ingester not ready: waiting for 15s after being ready")]
    with pytest.raises(
        probe.HealthCheckFailed,
        match=r"was not ready after 0.5 s: .* answers 503: Ingester not ready",
    ):
        started([], {"url": web.url}, 0.5)
    assert len(web.requests) > 1


def test_a_refused_login_is_tried_once_only(said: type[Systemd], web: Web, etc: Path) -> None:
    said(UP)
    (etc / "password").write_text("wrong")
    web.answers = [web.status(503), web.status(401, b"Invalid username or password")]
    with pytest.raises(
        probe.HealthCheckFailed, match=r"refuses the login of admin \(401\): Invalid username"
    ):
        started([], {"url": web.url, "username": "admin", "password_file": "password"})
    assert len(web.requests) == 2


def test_the_options_own_time_is_waited(said: type[Systemd], web: Web) -> None:
    said(UP)
    web.answers = [web.status(503)]
    began = time.monotonic()
    with pytest.raises(probe.HealthCheckFailed, match="after 1 s"):
        started([], {"url": web.url, "timeout": 1})
    assert 1 <= time.monotonic() - began < 20


RELOAD = {"success": "ok", "timestamp": "at"}


def reloaded(web: Web, before: float, *texts: str, timeout: float = 20) -> Unit:
    web.answers = [web.status(200, text.encode()) for text in texts]
    return probe.reloaded(
        "loki.service", {**RELOAD, "url": web.url, "timeout": timeout}, before, UP.main_pid
    )


def test_a_reload_is_believed_when_its_time_advances(said: type[Systemd], web: Web) -> None:
    said(UP)
    assert reloaded(web, 100, "ok 1\nat 100\n", "ok 0\nat 100\n", "ok 1\nat 101\n") == UP
    assert len(web.requests) == 3


def test_a_reload_is_believed_after_the_clock_was_set_back(said: type[Systemd], web: Web) -> None:
    said(UP)
    assert reloaded(web, 5000, "ok 1\nat 5000\n", "ok 1\nat 1400\n") == UP


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("ok 1\nat 100\n", id="only the last one shows"),
        pytest.param("ok 0\nat 100\n", id="it was refused"),
        pytest.param("ok 0\nat 101\n", id="a time without success"),
        pytest.param("ok 1\n", id="no time"),
        pytest.param("", id="no answer"),
    ],
)
def test_a_reload_is_not_believed(said: type[Systemd], web: Web, text: str) -> None:
    said(UP)
    with pytest.raises(probe.HealthCheckFailed, match="showed no successful reload"):
        reloaded(web, 100, text, timeout=0.3)


def test_a_program_that_dies_of_a_reload_is_told(said: type[Systemd], web: Web) -> None:
    said(UP, Unit(active="active", main_pid=UP.main_pid + 1))
    with pytest.raises(probe.HealthCheckFailed, match="ended during the reload"):
        reloaded(web, 100, "ok 1\nat 100\n")
