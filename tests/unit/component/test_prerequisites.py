# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program needs of its host, looked for before anything is changed."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    config_check,
    prerequisites,
    systemd,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from tests.unit.component.factories import instance


class Checker:
    """Stand-in for the host: which paths the sandbox cannot read, and what it was asked."""

    def __init__(self, *unreadable: str) -> None:
        self.unreadable = unreadable
        self.command: list[str] = []
        self.settings: list[str] = []

    def check(
        self,
        _name: str,
        _etc: str,
        command: list[str],
        _environment: Any,
        settings: list[str],
    ) -> subprocess.CompletedProcess[str]:
        self.command, self.settings = command, settings
        output = "\n".join(path for path in command if path in self.unreadable)
        return subprocess.CompletedProcess(command, 0, output)


def missing(
    monkeypatch: pytest.MonkeyPatch, *unreadable: str, **options: Any
) -> tuple[Checker, list[str]]:
    """Return the stand-in and the notices for a component with these options."""
    checker = Checker(*unreadable)
    monkeypatch.setattr(systemd, "check", checker.check)
    return checker, prerequisites.missing(instance(**options), "/staged/etc")


def required(**what: Any) -> dict[str, Any]:
    return {
        "subject": "scrape_configs.0 of promtail-config.yml",
        "optional": False,
        **what,
    }


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("--tls-ca-cert-file=/etc/ssl/own/ca.pem", "/etc/ssl/own/ca.pem"),
        ("--extend.query-path=/root/q.yaml", "/root/q.yaml"),
        ("--collector.textfile.directory=/var/lib/node", "/var/lib/node"),
        ("-script=/srv/x.lua", "/srv/x.lua"),
        ("--redis.addr=unix:///run/redis/redis.sock", "/run/redis/redis.sock"),
        ("--redis.addr=redis://localhost:6379", None),
        ("--config.file={etc}/x.yml", None),
        ("--web.telemetry-path=/metrics", None),
        ("--path.rootfs=/host", None),
        ("--web.external-url=/prometheus", None),
        ("--log.file=relative", None),
    ],
)
def test_paths_of_the_host_are_found_in_flags(
    monkeypatch: pytest.MonkeyPatch, word: str, path: str | None
) -> None:
    checker, notices = missing(monkeypatch, command=["{release}/x", word])
    assert notices == []
    assert checker.command[4:] == ([path] if path else [])


def test_a_file_that_the_program_cannot_read_is_refused_with_its_flag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ["{release}/x", "--extend.query-path=/root/q.yaml"]
    message = "loki: --extend.query-path: /root/q.yaml cannot be read: .*\nNothing was changed."
    with pytest.raises(ComponentError, match=message):
        missing(monkeypatch, "/root/q.yaml", command=command)


def test_a_directory_of_text_files_may_come_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ["{release}/x", "--collector.textfile.directory=/var/lib/node"]
    _checker, notices = missing(monkeypatch, "/var/lib/node", command=command)
    (notice,) = notices
    assert notice.startswith(
        "loki: --collector.textfile.directory: /var/lib/node cannot be read"
    )


def test_a_directory_that_a_unit_makes_is_not_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    units = {"loki-texts.service": {"Service": {"RuntimeDirectory": "one texts"}}}
    for name, path in (("texts", []), ("others", ["/run/others"])):
        command = ["{release}/x", f"--collector.textfile.directory=/run/{name}"]
        checker, notices = missing(
            monkeypatch, f"/run/{name}", command=command, units=units
        )
        assert checker.command[4:] == path
        assert len(notices) == len(path)


def test_a_socket_without_permission_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["{release}/x", "--redis.addr=unix:///run/redis.sock"]
    _checker, notices = missing(monkeypatch, "/run/redis.sock", command=command)
    assert notices[0].startswith("loki: --redis.addr: /run/redis.sock cannot be read")


def test_paths_are_told_as_a_shell_sees_them(tmp_path: Path) -> None:
    readable = tmp_path / "a file"
    readable.write_text("x")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        paths = [str(tmp_path), str(readable), str(tmp_path / "socket"), "/no/such"]
        command = ["/bin/sh", "-c", prerequisites.UNREADABLE, "sh", *paths]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("/no/such\n", "")


def test_paths_are_read_in_the_sandbox_of_the_unit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service = {
        "TemporaryFileSystem": ["/srv:ro"],
        "BindReadOnlyPaths": [str(tmp_path), "/a:/a:norbind"],
        "AmbientCapabilities": "CAP_DAC_READ_SEARCH",
    }
    checker, _notices = missing(
        monkeypatch,
        unit={"Service": service},
        requires=[required(path="/srv/app", optional=True)],
    )
    assert {
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "TemporaryFileSystem=/srv:ro",
        f"BindReadOnlyPaths=-{tmp_path}",
        "BindReadOnlyPaths=-/a:/a:norbind",
        "AmbientCapabilities=CAP_DAC_READ_SEARCH",
    } <= set(checker.settings)
    assert checker.command[4:] == ["/srv/app"]


@pytest.mark.parametrize(
    ("service", "words"),
    [
        (
            {"BindReadOnlyPaths": "/no/such"},
            "/no/such, which its unit shows, does not exist",
        ),
        ({"SupplementaryGroups": ["no-such"]}, "group no-such does not exist"),
    ],
)
def test_what_the_unit_cannot_start_without_is_refused(
    monkeypatch: pytest.MonkeyPatch, service: dict[str, Any], words: str
) -> None:
    with pytest.raises(ComponentError, match=words):
        missing(monkeypatch, unit={"Service": service})
    assert config_check.is_needed(instance(unit={"Service": service}))


def test_a_path_that_may_be_missing_is_not_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = {"BindReadOnlyPaths": ["-/no/such", "/no/such:/x", "/var/lib/loki"]}
    assert missing(monkeypatch, unit={"Service": service})[1] == []


@pytest.mark.parametrize(
    "service",
    [
        {"SupplementaryGroups": "root daemon"},
        {"SupplementaryGroups": ["0 4242"]},
        {"BindReadOnlyPaths": "/etc /usr"},
        {"BindPaths": ["/etc -/no/such /usr:/x"]},
        {"BindPaths": '"/etc" /usr'},
    ],
)
def test_several_values_on_one_line_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, service: dict[str, Any]
) -> None:
    assert missing(monkeypatch, unit={"Service": service})[1] == []


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ({"BindPaths": "/etc /no/such"}, "/no/such, which its unit shows"),
        ({"SupplementaryGroups": "root no-such"}, "group no-such does not exist"),
    ],
)
def test_each_value_on_a_line_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, service: dict[str, Any], words: str
) -> None:
    with pytest.raises(ComponentError, match=words):
        missing(monkeypatch, unit={"Service": service})


def test_a_storage_that_does_not_answer_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        assert missing(monkeypatch, requires=[required(address=address)])[1] == []
    with pytest.raises(ComponentError, match=f"{address} does not answer"):
        missing(monkeypatch, requires=[required(address=address)])


def test_a_name_without_an_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    named = required(host="no-such-host.invalid", optional=True)
    (notice,) = missing(monkeypatch, requires=[named])[1]
    assert "the name no-such-host.invalid has no address on this host" in notice
    assert missing(monkeypatch, requires=[required(host="localhost")])[1] == []


def test_a_component_without_prerequisites_needs_no_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not config_check.is_needed(instance())
    checker, notices = missing(monkeypatch)
    assert (checker.command, notices) == ([], [])


def test_the_checker_gets_the_secret_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checker = Checker()
    monkeypatch.setattr(systemd, "check", checker.check)
    desired = instance(check=["{release}/x"], secrets={"environment": 'A="b"\n'})
    assert config_check._check(desired, "release", "/staged") == []
    assert checker.settings == ["EnvironmentFile=/staged/etc/environment"]
