# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the component module, and its way to the rollout engine."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.modules import (
    component,
    component_removal,
    component_rollback,
    component_rollout,
    release_stage,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    component_options as options,
)


def documented(module: ModuleType) -> dict[str, Any]:
    """Return the documented options of a module."""
    text = Path(str(module.__file__)).with_suffix(".yml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text)["DOCUMENTATION"]["options"])


DOCUMENTED = documented(component)
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


@pytest.mark.parametrize(
    "module",
    [component_removal, component_rollback, component_rollout, release_stage],
)
def test_the_documented_options_of_a_module_are_the_accepted_ones(
    module: ModuleType,
) -> None:
    expected = described(module.OPTIONS, "options")
    assert described(documented(module), "suboptions") == expected
    hidden = {name for name, option in module.OPTIONS.items() if "no_log" in option}
    assert hidden <= {"masked", "secrets"}


def test_pruning_gets_the_values_of_the_action_plugin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []
    monkeypatch.setattr(
        component_removal.uninstall, "prune", lambda *values: calls.append(values)
    )
    prune = {"keep": ["loki"], "known": ["loki", "tempo"], "prune_max": 2}
    params = {"lock_timeout": 60, "prune": prune}

    component_removal.apply(params, check_mode=True)

    assert calls == [({**params, **prune}, True)]
