# SPDX-License-Identifier: GPL-3.0-or-later
"""Excerpts of logs for error messages, and the required version of systemd."""

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    systemd,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.systemd import (
    LONGEST_LINE,
    cause,
    excerpt,
)

STOPPING = [f"level=info msg=stopping step={number}" for number in range(20)]
REASON = 'level=error err="listen tcp 127.0.0.1:7999: bind: address already in use"'

FAILED = 'level=error err="mkdir /loki: read-only file system\\nerror initialising module: store'
FRAMES = (
    "\\ngithub.com/grafana/dskit/modules.(*Manager).initModule\\n\\t/src/vendor/a/modules.go:138"
    "\\nmain.main\\n\\t/src/cmd/loki/main.go:129\\nruntime.goexit\\n\\t/usr/go/asm_amd64.s:1700"
)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ('a\nlevel=error msg=x err="no \\"b\\""\nfatal', 'no \\"b\\"'),
        ("a\nFatal: no b\nerror", "Fatal: no b"),
        ("a\nwarning: error", ""),
        ('level=info msg="loaded" err=null', ""),
        ("", ""),
    ],
)
def test_the_cause_is_the_first_complaint(log: str, expected: str) -> None:
    assert cause(log) == expected


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        pytest.param([], [], id="an empty log"),
        pytest.param(["a", "b"], ["a", "b"], id="all of a short log"),
        pytest.param(
            [REASON, *STOPPING],
            [REASON, "...", *STOPPING[-15:]],
            id="the reason before many last lines",
        ),
        pytest.param(STOPPING, STOPPING[-15:], id="no complaint"),
        pytest.param(
            [
                "panic: it broke",
                "goroutine 1 [running]:",
                "main.(*Server).Run(0xc000123)",
                "\t/src/main.go:17 +0x1d",
                "created by main.main in goroutine 1",
                "main.main()",
                FAILED + FRAMES + '"',
            ],
            ["panic: it broke", FAILED + '"'],
            id="no stack of calls",
        ),
        pytest.param(
            [f"error {number}" for number in range(9)] + STOPPING,
            [f"error {number}" for number in range(5)] + ["...", *STOPPING[-15:]],
            id="the first of many complaints",
        ),
        pytest.param(
            [
                "error of the previous process",
                "Starting a.service",
                'level=warn err="harmless"',
                REASON,
                *STOPPING,
            ],
            [REASON, "...", *STOPPING[-15:]],
            id="only since the last start, and no warnings",
        ),
        pytest.param(
            ["x" * (LONGEST_LINE + 1)],
            ["x" * LONGEST_LINE + "..."],
            id="a long line is cut",
        ),
    ],
)
def test_an_excerpt_shows_the_helpful_lines(lines: list[str], shown: list[str]) -> None:
    assert excerpt("\n".join(lines)) == "\n".join(shown)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        pytest.param("systemd 257 (257.9-1~deb13u1)\n+PAM +AUDIT", "", id="Debian 13"),
        pytest.param("systemd 252 (252.39-1~deb12u1)\n+PAM", "", id="Debian 12"),
        pytest.param("systemd 247 (247.3-7+deb11u7)\n+PAM", "", id="the oldest"),
        pytest.param("systemd 258~rc2 (258~rc2)\n+PAM", "", id="a candidate"),
        pytest.param(
            "systemd 245 (245.4-4ubuntu3)\n+PAM",
            "systemd 245: it is too old; 247 or newer is required.",
            id="old",
        ),
        pytest.param(
            "systemd 246~rc2 (246~rc2)",
            "systemd 246: it is too old; 247 or newer is required.",
            id="old candidate",
        ),
        pytest.param(
            "offline\n",
            "systemd: cannot determine its version (offline).",
            id="something else",
        ),
        pytest.param(
            "", "systemd: cannot determine its version (no output).", id="nothing"
        ),
    ],
)
def test_a_host_with_an_old_systemd_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, output: str, message: str
) -> None:
    monkeypatch.setattr(
        systemd, "run", lambda command: subprocess.CompletedProcess(command, 0, output)
    )
    if not message:
        systemd.require_version()
        return
    with pytest.raises(ComponentError) as refused:
        systemd.require_version()
    assert str(refused.value) == message


def test_a_program_that_prints_without_end_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(systemd, "LONGEST_OUTPUT", 200_000)
    result = systemd.run(["yes"])
    assert result.returncode != 0
    assert len(result.stdout) < 300_000
    assert result.stdout.endswith("[more output was not read]")


def test_a_program_that_does_not_end_is_ended() -> None:
    with pytest.raises(ComponentError, match=r"no end within 0\.2 s"):
        systemd.run(["sleep", "60"], timeout=0.2)
    with pytest.raises(ComponentError, match=r"no end within 0\.2 s"):
        systemd.run(["sh", "-c", "exec >&- 2>&-; sleep 60"], timeout=0.2)


def test_a_program_gives_its_exit_code_and_both_outputs() -> None:
    result = systemd.run(["sh", "-c", "echo one; echo two >&2; exit 3"])
    assert (result.returncode, sorted(result.stdout.split())) == (3, ["one", "two"])


def test_programs_of_the_administrator_are_found_without_them_in_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    found = systemd.run(["sh", "-c", "echo $PATH"]).stdout.strip().split(":")
    assert found[:2] == ["/usr/bin", "/bin"]
    assert {"/usr/sbin", "/sbin", "/usr/local/sbin"} <= set(found)
    assert systemd.run(["useradd", "--help"]).returncode == 0
