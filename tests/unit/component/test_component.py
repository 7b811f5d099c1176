# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the component module, and its way to the rollout engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    options,
)
from ansible_collections.hippius.monitoring.plugins.modules import (
    component,
    release_stage,
)

DOCUMENTATION = Path(component.__file__).with_suffix(".yml").read_text(encoding="utf-8")
DOCUMENTED = yaml.safe_load(DOCUMENTATION)["DOCUMENTATION"]["options"]
PROPERTIES = ("type", "elements", "required", "choices", "default")


def described(options: dict[str, Any], nested: str) -> dict[str, Any]:
    """Return the comparable properties of options and of those below the key ``nested``."""
    return {
        name: (
            *[option.get(key) for key in PROPERTIES],
            described(option.get(nested) or {}, nested),
        )
        for name, option in options.items()
    }


def test_the_documented_options_are_the_accepted_ones() -> None:
    assert described(DOCUMENTED, "suboptions") == described(options.OPTIONS, "options")


def test_an_instance_has_the_options_of_the_component() -> None:
    own = DOCUMENTED["instances"]["suboptions"]
    assert {name: own[name] for name in options.INSTANCE} == {
        name: DOCUMENTED[name] for name in options.INSTANCE
    }


def test_pruning_gets_the_values_of_the_action_plugin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []
    monkeypatch.setattr(
        component.removal, "prune", lambda *arguments: calls.append(arguments)
    )
    prune = {"keep": ["loki"], "known": ["loki", "tempo"], "prune_max": 2}
    params = {"name": "*", "state": "absent", "lock_timeout": 60, "_prune": prune}

    component.apply(params, check_mode=True)

    assert calls == [({**params, **prune}, True)]


def test_the_documented_options_of_release_stage_are_the_accepted_ones() -> None:
    documentation = Path(release_stage.__file__).with_suffix(".yml")
    written = yaml.safe_load(documentation.read_text(encoding="utf-8"))
    documented = written["DOCUMENTATION"]["options"]
    assert described(documented, "suboptions") == described(
        release_stage.OPTIONS, "options"
    )
