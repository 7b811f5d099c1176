# SPDX-License-Identifier: GPL-3.0-or-later
"""Receivers of Alertmanager and contact points of Grafana, by severity."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.hippius.monitoring.plugins.filter.alert_receivers import (
    alert_receivers,
)
from ansible_collections.hippius.monitoring.plugins.filter.contact_points import (
    contact_points,
)

SLACK = {"slack_configs": ["slack"]}
PAGER = {"pagerduty_configs": ["pager"]}
NAMES = ("critical", "high", "medium")


@pytest.mark.parametrize(
    ("base", "notify", "expected"),
    [
        pytest.param({}, {}, [], id="nobody"),
        pytest.param({}, {"all": SLACK}, [SLACK, SLACK, SLACK], id="all"),
        pytest.param({}, {"high": SLACK}, [SLACK, SLACK, SLACK], id="others lack one"),
        pytest.param(
            {},
            {"critical": PAGER, "medium": SLACK},
            [PAGER, PAGER, SLACK],
            id="high lacks one",
        ),
        pytest.param(
            {"critical": SLACK, "high": SLACK, "medium": SLACK},
            {"critical": PAGER},
            [{**SLACK, **PAGER}, SLACK, SLACK],
            id="beside Discord",
        ),
    ],
)
def test_no_severity_is_without_a_receiver(
    base: dict[str, Any], notify: dict[str, Any], expected: list[Any]
) -> None:
    named = zip(NAMES, expected, strict=False)
    assert alert_receivers(base, notify) == [
        {"name": name, **settings} for name, settings in named
    ]


def test_unknown_severity_is_an_error_with_the_variable() -> None:
    with pytest.raises(AnsibleFilterError, match="alertmanager_notify: low: is no"):
        alert_receivers({}, {"low": SLACK})
    with pytest.raises(AnsibleFilterError, match="grafana_content_notify: low: is no"):
        contact_points({}, {"low": []}, "", "")
