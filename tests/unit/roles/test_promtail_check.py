# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the check of a configuration, with a Promtail of a few lines of shell."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "roles/promtail/files/promtail_check.py"
specification = importlib.util.spec_from_file_location("promtail_check", SCRIPT)
promtail_check = importlib.util.module_from_spec(specification)
specification.loader.exec_module(promtail_check)

STARTED = (
    "level=info ts=2026-11-24T05:33:00Z caller=main.go:174"
    ' msg="Starting Promtail" version="3.5.0"'
)


@pytest.fixture
def check(tmp_path: Path):
    """Check a configuration with a Promtail of this shell code."""

    def run_check(code: str) -> int:
        program = tmp_path / "promtail"
        program.write_text("#!/bin/sh\n" + code)
        program.chmod(0o755)
        return promtail_check.main([str(program), "-config.file=promtail.yml"])

    return run_check


def test_it_accepts_a_promtail_that_starts_and_ends_it_at_once(
    check, tmp_path: Path
) -> None:
    begun = time.monotonic()
    assert check(f"echo $@ >{tmp_path}/words; echo '{STARTED}'; exec sleep 60") == 0
    assert time.monotonic() - begun < 10
    words = (tmp_path / "words").read_text().split()
    assert words[0] == "-config.file=promtail.yml"
    assert "-dry-run" in words
    assert "-server.http-listen-port=0" in words


def test_it_reports_why_promtail_does_not_start(
    check, capsys: pytest.CaptureFixture
) -> None:
    code = """echo 'Clients configured:'; echo 'url: http://loki'
        echo 'level=error ts=now error="invalid regex stage config: missing"' >&2; exit 1"""
    assert check(code) == 1
    assert (
        capsys.readouterr().out
        == 'level=error ts=now error="invalid regex stage config: missing"\n'
    )


def test_it_reports_why_a_file_cannot_be_parsed(
    check, capsys: pytest.CaptureFixture
) -> None:
    code = """echo 'Unable to parse config: yaml: unmarshal errors:'
        echo '  line 2: field x not found'; exit 1"""
    assert check(code) == 1
    assert "line 2: field x not found" in capsys.readouterr().out


def test_it_reports_all_lines_if_none_is_an_error(
    check, capsys: pytest.CaptureFixture
) -> None:
    assert check("echo 'panic: what'; echo 'goroutine 1'; exit 2") == 1
    assert capsys.readouterr().out == "panic: what\ngoroutine 1\n"


def test_it_accepts_a_port_that_the_running_promtail_holds(check) -> None:
    message = "listen tcp 127.0.0.1:1514: bind: address already in use"
    assert check(f"echo 'level=error error=\"{message}\"'; exit 1") == 0


def test_it_does_not_wait_forever(
    check, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(promtail_check, "SECONDS", 0.5)
    began = time.monotonic()
    assert check("exec sleep 60") == 1
    assert time.monotonic() - began < 30
    assert "neither started nor failed" in capsys.readouterr().out
