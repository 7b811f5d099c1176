# SPDX-License-Identifier: GPL-3.0-or-later
"""A signal between switch and commit ends in the old generation, verified."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import layout
from tests.failpoints import FAILPOINTS
from tests.unit.component.fake_host import FakeHost

# The same host and options as for undisturbed rollouts.
from tests.unit.component.test_transaction import TIMER, config, options  # noqa: F401

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
RARE = ("after-restore", "after-unlink", "after-set-aside")
UNCOMMITTED = FAILPOINTS[: FAILPOINTS.index("after-commit")]


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("point", UNCOMMITTED)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"config": config("a: 2\n")}, id="reload"),
        pytest.param({"environment": {"TZ": "UTC"}, "units": TIMER}, id="restart"),
    ],
)
def test_a_signal_before_the_commit_leaves_the_old_generation_running(
    host: FakeHost,
    options: dict[str, Any],  # noqa: F811
    change: dict[str, Any],
    point: str,
    number: int,
) -> None:
    host.good(options)
    before = host.tree()
    host.run({**options, **change}, die_at=point, with_signal=number)
    assert host.unit("loki.service")["active"] == "active"
    if (
        host.loaded() == {"loki.yml": "a: 2\n"}
        or host.unit("loki-tidy.timer")["active"] == "active"
    ):
        # The point was not passed, since nothing is downloaded or unpacked here.
        assert point in ("after-download", "after-unpack")
        return
    assert host.loaded() == {"loki.yml": "a: 1\n"}
    current, good = Path(layout.current("loki")), Path(layout.last_known_good("loki"))
    assert current.resolve() == good.resolve()
    assert host.good(options).changed is False
    assert host.tree() == before


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("point", ["after-commit", "after-cleanup", "after-prune"])
def test_a_signal_after_the_commit_leaves_the_new_generation_running(
    host: FakeHost,
    options: dict[str, Any],  # noqa: F811
    point: str,
    number: int,
) -> None:
    host.good(options)
    changed = {**options, "config": config("a: 2\n")}
    host.run(changed, die_at=point, with_signal=number)
    assert host.loaded() == {"loki.yml": "a: 2\n"}
    assert host.good(changed).changed is False


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("point", UNCOMMITTED)
def test_a_signal_during_a_first_rollout_leaves_nothing_running(
    host: FakeHost,
    options: dict[str, Any],  # noqa: F811
    point: str,
    number: int,
) -> None:
    host.run(options, die_at=point, with_signal=number)
    assert host.unit("loki.service")["active"] == "inactive"
    assert not Path(layout.etc("loki")).is_symlink()
    assert host.good(options).action == "install"
    assert host.good(options).changed is False


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_during_the_rollback_does_not_stop_it(
    host: FakeHost,
    options: dict[str, Any],  # noqa: F811
    number: int,
) -> None:
    host.good(options)
    bad = config("reload: refuse\n")
    host.run(options, config=bad, die_at="after-restore", with_signal=number)
    assert host.loaded() == {"loki.yml": "a: 1\n"}
    assert host.good(options).changed is False
