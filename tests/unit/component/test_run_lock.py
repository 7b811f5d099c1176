# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks between real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    layout,
    run_lock,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)

COLLECTIONS = Path(__file__).parents[3] / "collections"
HOLD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from ansible_collections.hippius.monitoring.plugins.module_utils.component import layout, run_lock
layout.RUN = sys.argv[2]
with eval(sys.argv[3]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def short_poll(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "POLL_SECONDS", 0.02)


@pytest.fixture
def hold(places: Path) -> Iterator[Callable[[str], subprocess.Popen]]:
    """Return a function that starts a process which holds a lock until its input ends."""
    started: list[subprocess.Popen] = []

    def start(expression: str) -> subprocess.Popen:
        command = [sys.executable, "-c", HOLD, str(COLLECTIONS), layout.RUN, expression]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_the_owner_is_named_when_the_lock_is_not_free_in_time(hold: Callable) -> None:
    hold("run_lock.held('loki', 'anna@control, process 7', 0)")
    began = time.monotonic()
    message = r"another run holds its lock \(anna@control, process 7\)"
    with pytest.raises(ComponentError, match=message), run_lock.held("loki", "me", 0.2):
        pytest.fail("the lock was held twice")
    assert 0.2 <= time.monotonic() - began < 20


def test_the_lock_of_another_component_does_not_conflict(hold: Callable) -> None:
    hold("run_lock.held('loki', '', 0)")
    with run_lock.held("tempo", "me", 0):
        pass


def test_a_lock_is_obtained_when_its_owner_ends_in_time(hold: Callable) -> None:
    owner = hold("run_lock.held('loki', 'anna', 0)")
    owner.stdin.close()
    with run_lock.held("loki", "me", 5):
        assert Path(layout.lock("loki")).read_text() == "me\n"


def test_a_killed_owner_frees_the_lock(hold: Callable) -> None:
    owner = hold("run_lock.held('loki', 'anna, with a long name', 0)")
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    with run_lock.held("loki", "me", 0):
        assert Path(layout.lock("loki")).read_text() == "me\n"


def test_an_error_frees_the_lock(places: Path) -> None:
    with pytest.raises(KeyError), run_lock.held("loki", "", 0):
        raise KeyError
    with run_lock.held("loki", "", 0):
        pass


def test_a_lock_file_that_is_a_link_is_not_followed(places: Path) -> None:
    Path(layout.RUN).mkdir()
    Path(layout.lock("loki")).symlink_to(places / "target")
    with pytest.raises(OSError, match="symbolic links"), run_lock.held("loki", "", 0):
        pytest.fail("the link was followed")
    assert not (places / "target").exists()


def test_releases_are_not_pruned_while_one_is_staged(hold: Callable) -> None:
    stager = hold("run_lock.releases(exclusive=False)")
    with run_lock.releases(exclusive=True) as alone:
        assert not alone
    with run_lock.releases(exclusive=False) as shared:
        assert shared
    stager.stdin.close()
    stager.wait()
    with run_lock.releases(exclusive=True) as alone:
        assert alone


def test_a_component_called_releases_has_a_lock_of_its_own(places: Path) -> None:
    with run_lock.held("releases", "", 0), run_lock.releases(exclusive=True) as alone:
        assert alone


WAIT = """
import sys
import time
sys.path.insert(0, sys.argv[1])
from ansible_collections.hippius.monitoring.plugins.module_utils.component import layout, run_lock
layout.RUN = sys.argv[2]
run_lock.POLL_SECONDS = 0.02
try:
    with run_lock.held("loki", "", 20):
        open(sys.argv[3], "w").write("rolled out")
except run_lock.ComponentError as error:
    open(sys.argv[3], "w").write(str(error))
"""


@pytest.mark.parametrize("killed", [True, False])
def test_a_run_whose_controller_was_killed_while_it_waited_changes_nothing(
    tmp_path: Path, hold: Callable, killed: bool
) -> None:
    owner = hold("run_lock.held('loki', 'anna', 0)")
    report = tmp_path / "report"
    command = [sys.executable, "-c", WAIT, str(COLLECTIONS), layout.RUN, str(report)]
    waiting = subprocess.Popen(command, stdout=subprocess.PIPE)
    if killed:
        # What a controller reads ends with it.
        waiting.stdout.close()
    time.sleep(0.5)
    owner.kill()
    waiting.wait(10)
    expected = "the controller of this run is gone" if killed else "rolled out"
    assert expected in report.read_text()
    if not killed:
        waiting.stdout.close()
