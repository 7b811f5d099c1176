# SPDX-License-Identifier: GPL-3.0-or-later
"""The selectors in expressions of PromQL and LogQL."""

from __future__ import annotations

import pytest

from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    series_selectors,
)


@pytest.mark.parametrize(
    ("expression", "selectors"),
    [
        pytest.param(
            'sum by (env) (rate({env=~"$env", job="api"} |= "error {x}" [$__auto]))',
            ['{env=~".+", job="api"}'],
            id="variables and a filter with braces",
        ),
        pytest.param(
            '{container_name=~".*$container.*", host!~"${host:regex}"}',
            ['{container_name=~".+", host=~".*"}'],
            id="variables inside of values",
        ),
        pytest.param(
            "{app=`api`} |~ `{[a-z]+}` | json | line_format `{{.msg}}`",
            ["{app=`api`}"],
            id="strings in backticks",
        ),
        pytest.param(
            '{name=~"api$|web$"} | detected_level="error"',
            ['{name=~"api$|web$"}'],
            id="the end of a line is no variable",
        ),
        pytest.param(
            'sum(rate({a="1"}[5m])) / sum(rate({a="2"}[5m]))',
            ['{a="1"}', '{a="2"}'],
            id="two selectors",
        ),
        pytest.param("vector(1)", [], id="none"),
    ],
)
def test_streams_are_selected_with_any_value_for_a_variable(
    expression: str, selectors: list[str]
):
    assert series_selectors.of_streams(expression) == selectors


def test_a_selector_of_series_may_have_strings_in_backticks():
    assert series_selectors.selectors("up{job=`a{b}`} > 0") == ["up{job=`a{b}`}"]
