# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of what a run changed, and the annotation in Grafana about it."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.plugin_utils import journal
from tests.conftest import ROOT
from tests.testbed.grafana.server import FakeGrafana

RELEASE, FORMER = "loki-3.7.8-0123abcd", "loki-3.7.7-89abcdef"


@pytest.fixture
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the journal be in a directory of the test."""
    monkeypatch.setattr(journal.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    return tmp_path


def result(
    action: str = "restart", former: str = FORMER, **values: Any
) -> dict[str, Any]:
    instance = {
        "action": action,
        "release": RELEASE,
        "previous_release": former,
        "reasons": ["secret.txt changed"],
    }
    return {"changed": True, "instances": {"loki": instance}, **values}


@pytest.mark.usefixtures("run_directory")
def test_journal_has_what_was_changed_and_no_file_name() -> None:
    assert journal.read() == []
    journal.add("web1", result())
    journal.add("web2", result("none"))
    journal.add("web3", result(failed=True))
    journal.add("web4", result("remove", ""))
    assert [tuple(change[:4]) for change in journal.read()] == [
        ("web1", "loki", "upgrade", "3.7.7 -> 3.7.8"),
        ("web4", "loki", "remove", "3.7.8"),
    ]
    assert "secret" not in Path(journal.path()).read_text()


@pytest.mark.usefixtures("run_directory")
def test_annotation_names_a_few_hosts_and_counts_many() -> None:
    for number in range(4):
        journal.add(f"web{number}", result())
    journal.add("web1", result("reload", RELEASE))
    changes = journal.read()
    assert journal.text_of(changes, "ops@here").splitlines() == [
        "Rollout by ops@here",
        "loki 3.7.7 -> 3.7.8 upgrade on 4 hosts",
        "loki 3.7.8 reload on web1",
    ]
    assert journal.tags_of(changes) == ["rollout", "loki"]


# A run that changed something; the action plugin stands in for a rollout.
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - roll_out: {results: "{{ results }}"}
    - hippius.monitoring.rollout_annotation:
        grafana_url: "{{ url }}"
        password: "{{ password }}"
"""
ACTION = """
from ansible.plugins.action import ActionBase
from ansible_collections.hippius.monitoring.plugins.plugin_utils import journal

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        for result in self._task.args["results"]:
            journal.add("web1", result)
        return {"changed": True}
"""


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    with FakeGrafana(password="of the annotations") as started:
        yield started


def annotate(
    folder: Path, results: list[Any], url: str, password: str, *flags: str
) -> str:
    """Run the playbook, which must not fail; return its output."""
    (folder / "action_plugins").mkdir()
    (folder / "action_plugins/roll_out.py").write_text(ACTION)
    (folder / "play.yml").write_text(PLAYBOOK)
    variables = {"results": results, "url": url, "password": password}
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            *("-i", "localhost,", "-c", "local", *flags),
            *("-e", json.dumps(variables)),
            *("-e", f"ansible_python_interpreter={sys.executable}"),
            folder / "play.yml",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


def test_rollout_leaves_one_annotation_by_one_request(
    tmp_path: Path, grafana: FakeGrafana
) -> None:
    output = annotate(tmp_path, [result()], grafana.url, grafana.password)
    assert "[WARNING]" not in output
    (request,) = grafana.requests
    assert (request.method, request.path) == ("POST", "/api/annotations")
    (annotation,) = grafana.store.all(1, "annotation")
    first, second = annotation["text"].splitlines()
    assert first.startswith(f"Rollout by {getpass.getuser()}@")
    assert second == "loki 3.7.7 -> 3.7.8 upgrade on web1"
    assert annotation["tags"] == ["rollout", "loki"]


@pytest.mark.parametrize(("results", "flags"), [([], []), ([result()], ["--check"])])
def test_run_that_changes_nothing_sends_nothing(
    tmp_path: Path, grafana: FakeGrafana, results: list[Any], flags: list[str]
) -> None:
    annotate(tmp_path, results, grafana.url, grafana.password, *flags)
    assert grafana.requests == []


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1"])
def test_refused_annotation_is_a_warning_without_the_password(
    tmp_path: Path, grafana: FakeGrafana, url: str
) -> None:
    wrong = "a wrong password of the annotations"
    output = annotate(tmp_path, [result()], url or grafana.url, wrong, "-vvv")
    assert "The rollout left no annotation in Grafana: Status code was" in output
    assert wrong not in output
