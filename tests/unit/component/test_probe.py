# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of a program by its own behavior."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    probe,
    systemd,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    Unit,
)
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
        ("missing", None),
        ("o", None),
        ("o.", None),
    ],
)
def test_a_metric_is_read_by_its_whole_name(name: str, value: float | None) -> None:
    assert probe.metric_value(METRICS, name) == value


def test_a_metric_is_read_from_a_successful_answer_only(web: Web) -> None:
    web.answers = [web.status(200, METRICS.encode()), web.status(503, METRICS.encode())]
    assert probe.metric("loki.service", {"url": web.url}, "ok", 7) == 1
    assert probe.metric("loki.service", {"url": web.url}, "ok", 7) is None


def listen(
    address: str, family: socket.AddressFamily = socket.AF_INET
) -> socket.socket:
    listener = socket.socket(family)
    listener.bind((address, 0))
    listener.listen()
    return listener


@pytest.mark.parametrize(
    ("bound", "queried", "listens"),
    [
        pytest.param("127.0.0.1", "127.0.0.1", True, id="the address"),
        pytest.param("0.0.0.0", "127.0.0.1", True, id="every address"),
        pytest.param("::", "127.0.0.1", True, id="every IPv6 and IPv4 address"),
        pytest.param(
            "::ffff:127.0.0.1", "127.0.0.1", True, id="the address mapped to IPv6"
        ),
        pytest.param("::1", "[::1]", True, id="an IPv6 address"),
        pytest.param("127.0.0.2", "127.0.0.1", False, id="another address"),
        pytest.param("127.0.0.2", "", True, id="any address"),
        pytest.param(
            "127.0.0.2", "0.0.0.0", True, id="one address when all are queried"
        ),
        pytest.param("127.0.0.1", "localhost", True, id="a name"),
    ],
)
def test_the_processes_that_listen_on_an_address_are_found(
    bound: str, queried: str, listens: bool
) -> None:
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    if family == socket.AF_INET6 and not os.path.exists("/proc/net/tcp6"):
        pytest.skip("this host has no IPv6")
    with listen(bound, family) as listener:
        port = listener.getsockname()[1]
        other_port = port + 1 if port < 65535 else port - 1
        assert (
            os.getpid() in probe.listening_processes(f"{queried}:{port}")
        ) is listens
        assert os.getpid() not in probe.listening_processes(f"{queried}:{other_port}")


def test_a_connection_is_not_a_listener() -> None:
    with (
        listen("127.0.0.1") as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        assert (
            probe.listening_processes(f"127.0.0.1:{client.getsockname()[1]}") == set()
        )


def test_a_unit_with_an_unknown_host_name_is_not_ready() -> None:
    reason = probe.not_ready("loki.service", UP, ["no-such-host.invalid:80"], {})
    assert reason
    assert "no-such-host.invalid" in reason


def test_an_unknown_host_name_is_an_error() -> None:
    with pytest.raises(ComponentError, match=r"Host \'no-such-host\.invalid\': "):
        probe.listening_processes("no-such-host.invalid:80")


@pytest.fixture
def other_process() -> Iterator[tuple[int, int]]:
    """Start another process that listens; return its id and port."""
    script = (
        "import socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "print(listener.getsockname()[1], flush=True)\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process.pid, int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_the_owner_of_an_occupied_address_is_named(
    other_process: tuple[int, int],
) -> None:
    pid, port = other_process
    owners = probe.listening_processes(f"127.0.0.1:{port}")
    assert owners == {pid}
    assert probe.described(owners).startswith("python")
    assert f"(process {pid}" in probe.described(owners)


def test_an_address_of_the_unit_itself_has_no_other_owner(
    other_process: tuple[int, int],
) -> None:
    pid, port = other_process
    owners = probe.listening_processes(f"127.0.0.1:{port}")
    assert owners - probe.group_processes(pid) == set()


def test_a_free_address_has_no_owner(other_process: tuple[int, int]) -> None:
    _pid, port = other_process
    assert probe.listening_processes(f"127.0.0.2:{port}") == set()


@pytest.mark.parametrize(
    ("group", "unit"),
    [
        ("0::/system.slice/loki.service\n", "loki.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", ""),
        (None, ""),
    ],
)
def test_the_unit_of_a_process_is_named(
    monkeypatch: pytest.MonkeyPatch, group: str | None, unit: str
) -> None:
    monkeypatch.setattr(probe, "_control_group", lambda _pid: group)
    assert probe.unit_of(7) == unit


def test_an_ended_process_has_no_control_group() -> None:
    assert probe.group_processes(2**22 + 1) == set()
    assert os.getpid() in probe.group_processes(os.getpid())


class Systemd:
    """Fake systemd that reports the states of a unit in order, and the last one repeatedly."""

    def __init__(self, *states: Unit) -> None:
        self.states = list(states)
        self.calls = 0

    def show(self, names: list[str]) -> dict[str, Unit]:
        self.calls += 1
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {names[0]: state}


UP = Unit(active="active", sub="running", main_pid=os.getpid())
STARTING = Unit(active="activating", sub="start-pre")


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Systemd]:
    """Return a function that makes systemd report states; probe without waiting."""
    monkeypatch.setattr(probe, "INTERVAL_SECONDS", 0.01)

    def fake(*states: Unit) -> Systemd:
        manager = Systemd(*states)
        monkeypatch.setattr(systemd, "show", manager.show)
        return manager

    return fake


def started(listen_addresses: list, ready: dict, timeout: float = 30) -> Unit:
    return probe.started("loki.service", listen_addresses, ready, timeout)


def test_a_start_succeeds_after_several_successful_probes(
    report: Callable[..., Systemd], web: Web
) -> None:
    manager = report(STARTING, STARTING, UP)
    web.answers = [web.status(503), web.status(200)]
    with listen("127.0.0.1") as listener:
        assert (
            started([f"127.0.0.1:{listener.getsockname()[1]}"], {"url": web.url}) == UP
        )
    assert len(web.requests) == 1 + probe.STEADY_PROBES
    assert manager.calls == 2 + len(web.requests)


def test_a_start_without_a_ready_url_has_to_stay_active(
    report: Callable[..., Systemd],
) -> None:
    manager = report(UP)
    assert started([], {}) == UP
    assert manager.calls == probe.STEADY_PROBES


@pytest.mark.parametrize(
    "then",
    [
        pytest.param(Unit(active="failed"), id="it failed"),
        pytest.param(Unit(active="inactive"), id="it ended"),
        pytest.param(
            Unit(active="activating", sub="auto-restart"),
            id="it waits for its next start",
        ),
        pytest.param(
            Unit(active="active", main_pid=UP.main_pid + 1), id="it is another process"
        ),
        pytest.param(
            Unit(active="active", main_pid=UP.main_pid, restarts=1),
            id="it was started again",
        ),
    ],
)
def test_a_start_that_does_not_stay_fails(
    report: Callable[..., Systemd], then: Unit
) -> None:
    report(UP, UP, then)
    with pytest.raises(probe.HealthCheckFailed, match="ended"):
        started([], {})


def test_an_address_that_another_process_listens_on_fails_the_start(
    report: Callable[..., Systemd], other_process: tuple[int, int]
) -> None:
    _pid, port = other_process
    # Tests share one control group, so the unit's process is one that does not exist.
    report(Unit(active="active", main_pid=2**22 + 1))
    with pytest.raises(
        probe.HealthCheckFailed, match=f"does not listen on 127.0.0.1:{port}"
    ):
        started([f"127.0.0.1:{port}"], {}, 0.5)


def test_a_program_that_is_ready_without_an_address_fails_at_once(
    report: Callable[..., Systemd], web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(UP)
    monkeypatch.setattr(probe, "PATIENCE_SECONDS", 0.2)
    web.answers = [web.status(503), web.status(200)]
    with pytest.raises(
        probe.HealthCheckFailed,
        match=r"loki.service is ready, but it does not listen on 127.0.0.2:1; add",
    ):
        started([web.address, "127.0.0.2:1"], {"url": web.url, "timeout": 300})


def test_a_program_may_open_an_address_while_it_is_asked(
    report: Callable[..., Systemd], web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(UP)
    web.answers = [web.status(200)]
    answers = iter([set(), set()])
    monkeypatch.setattr(
        probe, "listening_processes", lambda _address: next(answers, {UP.main_pid})
    )
    assert started(["127.0.0.1:1"], {"url": web.url}) == UP


def test_a_program_that_is_never_ready_is_reported_with_its_answer(
    report: Callable[..., Systemd], web: Web
) -> None:
    report(UP)
    web.answers = [
        web.status(503, b"Ingester not ready: waiting for 15s after being ready")
    ]
    with pytest.raises(
        probe.HealthCheckFailed,
        match=r"was not ready after 0.5 s: .* answers 503: Ingester not ready",
    ):
        started([], {"url": web.url}, 0.5)
    assert len(web.requests) > 1


def test_a_refused_login_is_not_repeated(
    report: Callable[..., Systemd], web: Web, etc: Path
) -> None:
    report(UP)
    (etc / "password").write_text("wrong")
    web.answers = [web.status(503), web.status(401, b"Invalid username or password")]
    with pytest.raises(
        probe.HealthCheckFailed,
        match=r"refuses the login of admin \(401\): Invalid username",
    ):
        started([], {"url": web.url, "username": "admin", "password_file": "password"})
    assert len(web.requests) == 2


def test_the_timeout_of_the_options_applies(
    report: Callable[..., Systemd], web: Web
) -> None:
    report(UP)
    web.answers = [web.status(503)]
    began = time.monotonic()
    with pytest.raises(probe.HealthCheckFailed, match="after 1 s"):
        started([], {"url": web.url, "timeout": 1})
    assert 1 <= time.monotonic() - began < 20


RELOAD = {"success": "ok", "timestamp": "at"}


def reloaded(web: Web, before: float, *answers: str, timeout: float = 20) -> Unit:
    web.answers = [web.status(200, metrics.encode()) for metrics in answers]
    return probe.reloaded(
        "loki.service",
        {**RELOAD, "url": web.url, "timeout": timeout},
        before,
        UP.main_pid,
    )


def test_a_reload_succeeds_when_its_timestamp_advances(
    report: Callable[..., Systemd], web: Web
) -> None:
    report(UP)
    assert (
        reloaded(web, 100, "ok 1\nat 100\n", "ok 0\nat 100\n", "ok 1\nat 101\n") == UP
    )
    assert len(web.requests) == 3


def test_a_reload_succeeds_after_the_clock_was_set_back(
    report: Callable[..., Systemd], web: Web
) -> None:
    report(UP)
    assert reloaded(web, 5000, "ok 1\nat 5000\n", "ok 1\nat 1400\n") == UP


@pytest.mark.parametrize(
    "metrics",
    [
        pytest.param("ok 1\nat 100\n", id="an old timestamp"),
        pytest.param("ok 0\nat 100\n", id="a refusal"),
        pytest.param("ok 0\nat 101\n", id="a timestamp without success"),
        pytest.param("ok 1\n", id="no timestamp"),
        pytest.param("", id="no answer"),
    ],
)
def test_a_reload_fails_with(
    report: Callable[..., Systemd], web: Web, metrics: str
) -> None:
    report(UP)
    with pytest.raises(probe.HealthCheckFailed, match="showed no successful reload"):
        reloaded(web, 100, metrics, timeout=0.3)


def test_a_program_that_ends_during_a_reload_fails_it(
    report: Callable[..., Systemd], web: Web
) -> None:
    report(UP, Unit(active="active", main_pid=UP.main_pid + 1))
    with pytest.raises(probe.HealthCheckFailed, match="ended during the reload"):
        reloaded(web, 100, "ok 1\nat 100\n")


def test_credentials_are_sent_to_the_unit_only(
    web: Web, etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (etc / "password").write_text("s3cret")
    web.answers = [web.status(200, b"ok 1\n")]
    login = {
        "url": f"{web.url}/metrics",
        "username": "prom",
        "password_file": "password",
    }
    monkeypatch.setattr(probe, "group_processes", lambda _pid: set())
    assert probe.metric("loki.service", login, "ok", 7) is None
    assert web.requests == []
    monkeypatch.setattr(probe, "group_processes", lambda _pid: {os.getpid()})
    assert probe.metric("loki.service", login, "ok", 7) == 1
