# SPDX-License-Identifier: GPL-3.0-or-later
"""Content of unit files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    files,
    layout,
    systemd,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils import unit_sections


def main_unit(
    description: str = "Loki", environment: dict | None = None, **changes: dict
) -> list[str]:
    """Return the lines of a main unit."""
    sections = unit_sections.main_unit(
        "loki", description, ["{release}/loki", "-x=$HOME"], environment or {}, changes
    )
    return unit_sections.render(
        unit_sections.with_recorder(sections, "loki"), layout.placeholders("loki")
    ).splitlines()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        pytest.param(
            "-config.file=/etc/a.yml", "-config.file=/etc/a.yml", id="a plain word"
        ),
        pytest.param("two words", '"two words"', id="a space"),
        pytest.param("", '""', id="an empty word"),
        pytest.param(";", '";"', id="the separator of commands"),
        pytest.param("it's", '"it\'s"', id="a quote"),
        pytest.param('say "hi"', '"say \\"hi\\""', id="double quotes"),
        pytest.param("a\\d", "a\\\\d", id="a backslash"),
        pytest.param("100%", "100%%", id="a specifier"),
        pytest.param("${HOME}", "$${HOME}", id="a variable"),
        pytest.param("a\nb", "a\\nb", id="a line break"),
        pytest.param("a\rb", '"a\rb"', id="a carriage return"),
    ],
)
def test_an_argument_is_quoted(word: str, expected: str) -> None:
    assert unit_sections.quoted(word) == expected


def test_an_environment_variable_keeps_its_dollar() -> None:
    assert 'Environment="A=$x 1"' in main_unit(environment={"A": "$x 1"})


def test_the_main_unit_runs_the_release_through_the_link_to_the_current_generation() -> (
    None
):
    lines = main_unit()
    assert (
        "ExecStart=/opt/monitoring/components/loki/current/release/loki -x=$$HOME"
        in lines
    )
    assert {
        "User=loki",
        "Group=loki",
        "StateDirectory=loki",
        "WantedBy=multi-user.target",
    } <= set(lines)


def test_the_hardened_base_is_complete() -> None:
    # Written down a second time, so that nothing of it is lost unnoticed.
    assert unit_sections.HARDENED == {
        "UMask": "0077",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "AmbientCapabilities": "",
        "PrivateDevices": "yes",
        "PrivateTmp": "yes",
        "PrivateUsers": "yes",
        "DevicePolicy": "closed",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "ProtectControlGroups": "yes",
        "ProtectKernelModules": "yes",
        "ProtectKernelTunables": "yes",
        "ProtectKernelLogs": "yes",
        "ProtectClock": "yes",
        "ProtectHostname": "yes",
        "ProtectProc": "invisible",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
        "RestrictNamespaces": "yes",
        "RestrictRealtime": "yes",
        "RestrictSUIDSGID": "yes",
        "LockPersonality": "yes",
        "MemoryDenyWriteExecute": "yes",
        "RemoveIPC": "yes",
        "SystemCallArchitectures": "native",
        "SystemCallFilter": ["@system-service", "~@privileged @resources"],
        "SystemCallErrorNumber": "EPERM",
    }


def test_every_service_starts_from_the_hardened_base() -> None:
    sections = unit_sections.further_unit(
        "loki-sweep.service", {"Service": {"ExecStart": "x"}}, "loki"
    )
    further = unit_sections.render(sections, {}).splitlines()
    expected = set()
    for key, value in unit_sections.HARDENED.items():
        expected.update(f"{key}={item}" for item in unit_sections.as_list(value))
    assert expected <= set(main_unit())
    assert expected <= set(further)


def test_a_timer_has_no_service_section() -> None:
    timer = {"Timer": {"OnCalendar": "daily"}}
    assert unit_sections.further_unit("loki-sweep.timer", timer, "loki") == timer


def test_every_service_starts_after_the_mounts_that_it_needs() -> None:
    further = unit_sections.further_unit("loki-sweep.service", {}, "loki")
    expected = {
        "RequiresMountsFor=/opt/monitoring/components/loki",
        "RequiresMountsFor=/opt/monitoring/releases",
        "RequiresMountsFor=/var/lib/loki",
    }
    assert expected <= set(main_unit())
    assert expected <= set(unit_sections.render(further, {}).splitlines())


def test_an_exception_replaces_a_directive_and_null_removes_it() -> None:
    lines = main_unit(
        Service={
            "PrivateUsers": None,
            "TimeoutStopSec": "300s",
            "SystemCallFilter": ["@a", "~@b"],
        }
    )
    assert not [
        line for line in lines if line.startswith(("PrivateUsers", "TimeoutStopSec=90"))
    ]
    assert [line for line in lines if line.startswith("SystemCallFilter")] == [
        "SystemCallFilter=@a",
        "SystemCallFilter=~@b",
    ]
    assert "TimeoutStopSec=300s" in lines


def test_the_recorder_runs_before_commands_of_the_role() -> None:
    for given, expected in (
        ("/bin/true", ["/bin/true"]),
        (["/a", "/b"], ["/a", "/b"]),
        (None, []),
    ):
        lines = [
            line
            for line in main_unit(Service={"ExecStartPre": given})
            if line.startswith("ExecStartPre=")
        ]
        assert lines[0].startswith("ExecStartPre=-+/bin/sh -c 'mkdir")
        assert lines[1:] == [f"ExecStartPre={item}" for item in expected]


@pytest.fixture
def drop_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a drop-in that a fake systemctl has loaded, besides one of every service."""
    own, every = tmp_path / "loki.service.d/a.conf", tmp_path / "x/service.d/b.conf"
    for path in (own, every):
        path.parent.mkdir(parents=True)
        path.write_text("[Service]\nUser=root\n")
    program = tmp_path / "bin/systemctl"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        '[ "$*" = "show -P DropInPaths loki.service" ] && echo ' + f"{own} {every}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return own


def test_a_start_records_the_running_generation(places: Path, drop_in: Path) -> None:
    files.link("generations/3-abc", layout.current("loki"))
    # systemd turns two dollars into one, and removes the signs.
    command = (
        unit_sections.recorder("loki", "0123456789ab").lstrip("-+").replace("$$", "$")
    )
    for _start in range(2):
        subprocess.run(
            command, shell=True, check=True, env={**os.environ, "INVOCATION_ID": "f00"}
        )
    assert systemd.running_generation("loki", "f00") == ("3-abc", "0123456789ab")
    assert systemd.running_generation("loki", "another start") == ("", "")
    assert systemd.running_generation("loki", "") == ("", "")
    started_with = systemd.running_drop_ins("loki", "f00")
    assert started_with == systemd.drop_ins_digest([str(drop_in)])
    assert started_with != systemd.drop_ins_digest([])
    systemd.record_running("loki", "f00", "4-def", "ba9876543210")
    assert systemd.running_drop_ins("loki", "f00") == started_with
    assert systemd.running_drop_ins("loki", "another start") == ""
    assert systemd.running_generation("loki", "f00") == ("4-def", "ba9876543210")
    files.replace(layout.running("loki"), b"f00 half-written", 0o600)
    assert systemd.running_generation("loki", "f00") == ("", "")


def test_a_unit_file_has_its_sections_in_the_usual_order_and_booleans_as_yes_or_no() -> (
    None
):
    lines = unit_sections.render(
        {"Install": {"A": False}, "Service": {"B": True, "C": []}, "Unit": {"D": 3}}, {}
    ).splitlines()
    assert lines[1:] == [
        "",
        "[Unit]",
        "D=3",
        "",
        "[Service]",
        "B=yes",
        "",
        "[Install]",
        "A=no",
    ]


def test_a_description_keeps_its_percent_sign_and_loses_its_line_break() -> None:
    assert "Description=100%% of the logs" in main_unit("100% of the logs\n")


def test_a_directive_of_several_lines_is_refused() -> None:
    with pytest.raises(
        ComponentError,
        match="ExecStartPost: a unit's value must be one line; use a list",
    ):
        main_unit(Service={"ExecStartPost": "/bin/a\n/bin/b"})


def test_placeholders_are_filled_and_other_braces_stay() -> None:
    filled = layout.fill(
        "{etc} {release} {bin} {data} {name} {other} {{x}}", layout.placeholders("loki")
    )
    current = "/opt/monitoring/components/loki/current"
    paths = f"/etc/loki {current}/release {current}/bin /var/lib/loki"
    assert filled == paths + " loki {other} {{x}}"


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("python3.6", "/usr/bin/python3.11"),
        ("python3.8", "/usr/bin/python3.11"),
        ("python3.9", "/usr/bin/python3"),
        ("python3.13", "/usr/bin/python3"),
        ("platform-python", "/usr/bin/python3"),
    ],
)
def test_scripts_have_an_interpreter_that_is_new_enough(
    monkeypatch: pytest.MonkeyPatch, system: str, expected: str
) -> None:
    real = {"/usr/bin/python3": f"/usr/bin/{system}"}
    monkeypatch.setattr(layout.os.path, "realpath", lambda path: real.get(path, path))
    monkeypatch.setattr(layout.sys, "executable", "/usr/bin/python3.11")
    assert layout.fill("{python} -IS", layout.placeholders("loki")) == expected + " -IS"


def test_a_record_that_cannot_be_written_does_not_keep_the_program_down() -> None:
    assert unit_sections.recorder("loki", "0" * 12).startswith("-+/bin/sh ")


def test_the_main_service_has_the_defaults_that_the_module_documents() -> None:
    sections = unit_sections.main_unit("loki", "Loki", ["x"], {}, {})
    service = sections["Service"]
    expected = {
        "Type": "exec",
        "ExecReload": "/bin/kill -HUP $MAINPID",
        "Restart": "always",
        "RestartSec": "2",
        "TimeoutStopSec": "90",
        "LimitNOFILE": "65536",
        "StateDirectoryMode": "0750",
    }
    assert {key: service[key] for key in expected} == expected
    assert "Environment" not in service
    assert sections["Unit"]["StartLimitIntervalSec"] == "0"


def test_a_digest_depends_on_values_only_and_has_twelve_digits() -> None:
    first = {"Service": {"User": "a", "Group": "b"}, "Unit": {}}
    second = {"Unit": {}, "Service": {"Group": "b", "User": "a"}}
    digest = unit_sections.digest(first)
    assert (len(digest), digest) == (12, unit_sections.digest(second))
    assert unit_sections.digest({"Unit": {}}) != digest


def test_a_unit_loses_its_user_namespace_and_nothing_else() -> None:
    without = {"Service": {"User": "a"}}
    sections = {"Service": {"User": "a", "PrivateUsers": "yes"}}
    assert unit_sections.without_user_namespace(sections) == without
    assert unit_sections.without_user_namespace(without) == without
    timer = {"Timer": {"OnCalendar": "daily"}}
    assert unit_sections.without_user_namespace(timer) == timer


def test_sections_have_one_order_and_tuples_are_lists() -> None:
    sections = {
        "Install": {},
        "Timer": {"OnCalendar": ("a", "b")},
        "Path": {},
        "Unit": {},
    }
    lines = unit_sections.render(sections, {}).splitlines()
    assert [line for line in lines if line.startswith("[")] == [
        "[Unit]",
        "[Path]",
        "[Timer]",
        "[Install]",
    ]
    assert lines[-5:-2] == ["[Timer]", "OnCalendar=a", "OnCalendar=b"]
