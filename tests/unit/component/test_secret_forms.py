# SPDX-License-Identifier: GPL-3.0-or-later
"""A secret is masked in every form in which a program may print it, whole or in part."""

from __future__ import annotations

import importlib
import json
from typing import Any
from urllib.parse import quote_plus

import pytest

from ansible_collections.hippius.monitoring.plugins.plugin_utils import component_calls
from ansible_collections.hippius.monitoring.plugins.plugin_utils.secret_forms import (
    secret_forms,
)
from tests.unit.component.factories import instances, options

MODULES = "ansible_collections.hippius.monitoring.plugins.modules"
CANARY = 'S3CRET/canary "77" ü'


@pytest.mark.parametrize(
    ("content", "printed"),
    [
        pytest.param("S3CRET-canary-77\n", "S3CRET-canary-77", id="ends in a newline"),
        pytest.param("  S3CRET-canary-77 ", "S3CRET-canary-77", id="between spaces"),
        pytest.param("one\nS3CRET-canary-77\n", "S3CRET-canary-77", id="a line"),
        pytest.param(
            '{"redis://a": "S3CRET-canary-77"}',
            'S3CRET-canary-77"}',
            id="a leaf of JSON",
        ),
        pytest.param(
            '{"a": [{"b": "S3CRET-77"}]}', "S3CRET-77", id="a nested leaf of JSON"
        ),
        pytest.param({"redis://a": "S3CRET-77"}, "S3CRET-77", id="a dict"),
        pytest.param('{"pin": 12345678}', "12345678", id="an int in JSON"),
        pytest.param(
            "a:\n  password: S3CRET-77\n", "`S3CRET-77`", id="a scalar of YAML"
        ),
        pytest.param("- 'S3CRET-77'\n", "!!seq S3CRET-77", id="an element of YAML"),
        pytest.param(
            "[a]\npassword = S3CRET-77\n", "S3CRET-77", id="a value of an INI file"
        ),
        pytest.param(CANARY, json.dumps(CANARY)[1:-1], id="escaped for JSON"),
        pytest.param(CANARY, quote_plus(CANARY), id="escaped for a URL"),
        pytest.param(
            "postgres://u:S3CRET@h/db\n",
            "dial postgres://u:S3CRET@h/db",
            id="a URL in a file",
        ),
    ],
)
@pytest.mark.parametrize("in_instance", [False, True])
def test_masks_what_a_program_prints(
    content: Any, printed: str, in_instance: bool
) -> None:
    secrets = {"secrets": {"password": content}}
    params = {"instances": [secrets]} if in_instance else secrets
    masked = printed
    for form in sorted(secret_forms(params), key=len, reverse=True):
        masked = masked.replace(form, "********")
    assert "S3CRET" not in masked
    assert "12345678" not in masked


def test_leaves_short_words_readable() -> None:
    assert secret_forms({"secrets": {"flags": "on\n"}}) == set()


def test_leaves_the_names_of_the_component_readable() -> None:
    params = {
        "name": "loki",
        "release": {"name": "loki", "version": "3.7.8"},
        "secrets": {"loki.yml": "target: loki\npassword: S3CRET-77\n"},
    }
    forms = secret_forms(params)
    assert "loki" not in forms
    assert "S3CRET-77" in forms


def test_has_nothing_to_mask_without_secrets() -> None:
    assert secret_forms({"secrets": None, "instances": None}) == set()


def test_a_module_gets_what_to_mask_apart_from_what_it_writes() -> None:
    args = options(secrets={"password": "S3CRET-77\n"}, instances=[{"name": "a"}])
    params = component_calls.validated(args)
    for state in ("present", "previous", "absent"):
        call = component_calls.call_of({**params, "state": state}, instances(params))
        module = importlib.import_module(f"{MODULES}.{call.module}")
        hidden = {
            name for name, option in module.OPTIONS.items() if option.get("no_log")
        }
        assert "S3CRET-77" in call.options["masked"]
        shown = {
            name: call.options[name] for name in call.options if name not in hidden
        }
        assert "S3CRET" not in json.dumps(shown)
