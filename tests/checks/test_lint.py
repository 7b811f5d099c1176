# SPDX-License-Identifier: GPL-3.0-or-later
"""Linters find nothing; their settings are in pyproject.toml, .yamllint and .ansible-lint."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checks.conftest import Run

LINTERS = {
    "ruff check": ["ruff", "check", "--no-cache"],
    "ruff format": ["ruff", "format", "--no-cache", "--check", "--diff"],
    "mypy": ["mypy", "--cache-dir=/dev/null"],
    "yamllint": ["yamllint", "--strict", "."],
    "antsibull-changelog": ["antsibull-changelog", "lint"],
}
SHELL = (b"#!/bin/sh", b"#!/usr/bin/env bash")


@pytest.mark.parametrize(
    "command", [pytest.param(command, id=name) for name, command in LINTERS.items()]
)
def test_linter_finds_nothing(run: Run, command: list[str]) -> None:
    run(*command)


def test_ansible_lint_finds_nothing(run: Run, tree: Path) -> None:
    run("ansible-lint", "--nocolor", ANSIBLE_COLLECTIONS_PATH=str(tree.parents[2]))


def test_shellcheck_finds_nothing(run: Run, tree: Path) -> None:
    scripts = [
        path
        for path in sorted(tree.rglob("*"))
        if path.is_file() and is_shell_script(path)
    ]
    assert tree / "tests" / "bootstrap" in scripts
    run("shellcheck", *map(str, scripts))


def is_shell_script(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.readline().rstrip() in SHELL
