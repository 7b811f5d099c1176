# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables in provisioning files are replaced as Grafana replaces them."""

from __future__ import annotations

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files import (
    exporting,
    interpolation,
)

ENVIRONMENT = {
    "HOST": "db.example",
    "EMPTY": "",
    "PASSWORD": "pa$HOST$$x",
    "1": "one",
    "a.b-c": "odd",
}
FILES = {"/run/secrets/token": "\n to$HOST \n"}


def expand(string: str) -> interpolation.Expansion:
    return interpolation.expand(string, ENVIRONMENT, FILES.__getitem__)


@pytest.mark.parametrize(
    ("string", "result"),
    [
        pytest.param("plain", "plain", id="nothing to replace"),
        pytest.param("http://$HOST:1", "http://db.example:1", id="a word"),
        pytest.param("http://${HOST}:1", "http://db.example:1", id="braces"),
        pytest.param("$HOSTNAME2", "", id="a word is as long as it can be"),
        pytest.param("$__env{HOST}/x", "db.example/x", id="env"),
        pytest.param(
            "$__file{/run/secrets/token}!",
            "to$HOST!",
            id="a file, trimmed, its dollars kept",
        ),
        pytest.param(
            "${PASSWORD}|$PASSWORD",
            "pa$HOST$$x|pa$HOST$$x",
            id="dollars of a value are kept",
        ),
        pytest.param("${a.b-c}", "odd", id="anything is a name within braces"),
        pytest.param("[$EMPTY]", "[]", id="an empty variable"),
        pytest.param(
            "$$HOST $${HOST} $$__env{HOST}",
            "$HOST ${HOST} $__env{HOST}",
            id="an escaped dollar",
        ),
        pytest.param("$$$HOST", "$db.example", id="an escaped dollar, then a variable"),
        pytest.param("$$$$", "$$", id="two escaped dollars"),
        pytest.param("5 $ or $, ($)", "5 $ or $, ($)", id="a dollar alone"),
        pytest.param("cost$", "cost$", id="a dollar at the end"),
        pytest.param("$1|$*|$?", "one||", id="the shell's special characters"),
        pytest.param("[${}]", "[]", id="empty braces are eaten"),
        pytest.param("[${x", "[x", id="an open brace is eaten"),
        pytest.param("$__rate_interval", "", id="a macro is a variable here"),
        pytest.param("$$__rate_interval", "$__rate_interval", id="an escaped macro"),
        pytest.param("$__vault{x}", "{x}", id="an unknown expander"),
        pytest.param(
            "{{ $labels.instance }}", "{{ .instance }}", id="a template's variable"
        ),
        pytest.param(
            "{{ $$labels.instance }}",
            "{{ $labels.instance }}",
            id="a template's variable, escaped",
        ),
        pytest.param("é$HOST\u2028🙂\0", "édb.example\u2028🙂\0", id="any character"),
    ],
)
def test_string_becomes(string: str, result: str) -> None:
    assert expand(string).value == result


@pytest.mark.parametrize(
    ("string", "missing"),
    [
        ("$HOST $EMPTY $$NONE", []),
        ("$NONE ${OTHER} $NONE $__env{THIRD}", ["NONE", "OTHER", "THIRD"]),
        ("${__value.raw}", ["__value.raw"]),
    ],
)
def test_undefined_variable_is_missing(string: str, missing: list[str]) -> None:
    assert expand(string).missing == missing


@pytest.mark.parametrize(
    "string", ["", "$", "$$", "a$b", "${x}", "$__file{/etc/passwd}", "$$$x"]
)
def test_escaped_string_expands_to_itself(string: str) -> None:
    assert expand(exporting.escaped(string)).value == string


def test_inputs_of_a_dashboard_are_replaced_but_its_variables_stay() -> None:
    board = {
        "a": ["${DS_PROM}", "x ${DS_PROM} $instance ${instance}"],
        "${DS_PROM}": 1,
        "n": None,
    }
    expected = {
        "a": ["prometheus", "x prometheus $instance ${instance}"],
        "${DS_PROM}": 1,
        "n": None,
    }
    assert interpolation.replace_inputs(board, {"DS_PROM": "prometheus"}) == expected


@pytest.mark.parametrize(
    "name", ["DS_PROM", "DS_MY-PROM", "DS PROM", "ds.prom", "é", "1", "a:b", "$x"]
)
def test_input_of_a_dashboard_may_have_any_name(name: str) -> None:
    board = {"uid": f"${{{name}}}", "text": f"a ${{{name}}} b ${{other}} ${{{name}"}
    replaced = interpolation.replace_inputs(board, {name: "v"})
    assert replaced == {"uid": "v", "text": f"a v b ${{other}} ${{{name}"}
