# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of a run and of the status, and the callback that prints the former."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible import context
from ansible.module_utils.common.collections import ImmutableDict

from ansible_collections.hippius.monitoring.plugins.action import (
    component,
    status_report,
)
from ansible_collections.hippius.monitoring.plugins.callback import summary
from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    rollout_table,
    terminal,
)

RELEASE = "loki-3.7.8-0123abcd"
ADDRESS = "http://127.0.0.1:3100"


def instance(action: str = "restart", **values: Any) -> dict[str, Any]:
    """Return the result of an instance, as the action plugin returns it."""
    reasons = [] if action == "none" else [f"{action} reason"]
    return {
        "action": action,
        "reasons": reasons,
        "previous_release": RELEASE,
        "release": RELEASE,
        "address": ADDRESS,
        **values,
    }


@pytest.mark.parametrize(
    ("values", "check_mode", "action", "version", "state"),
    [
        ({"action": "reload"}, False, "reload", "3.7.8", "ready"),
        ({"action": "reload"}, True, "reload", "3.7.8", "planned"),
        ({"action": "none"}, False, "none", "3.7.8", ""),
        (
            {"action": "install", "previous_release": ""},
            False,
            "install",
            "3.7.8",
            "ready",
        ),
        (
            {"action": "restart", "previous_release": "loki-3.7.7-89abcdef"},
            False,
            "upgrade",
            "3.7.7 -> 3.7.8",
            "ready",
        ),
        (
            {"action": "restart", "previous_release": "loki-3.10.0-89abcdef"},
            False,
            "downgrade",
            "3.10.0 -> 3.7.8",
            "ready",
        ),
        ({"action": "remove", "previous_release": ""}, False, "remove", "3.7.8", ""),
    ],
)
def test_outcome_is_told_by_action_and_versions(
    values: dict[str, Any], check_mode: bool, action: str, version: str, state: str
) -> None:
    result = {"instances": {"loki": instance(**values)}}
    (change,) = rollout_table.changes_of("web1", result, 3.2, check_mode)
    assert (change.action, change.version, change.state) == (action, version, state)
    assert change.address == ("" if action == "remove" else ADDRESS)


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("loki-3.7.8-0123abcd", "3.7.8"),
        ("otel-collector-0.140.0-0123abcd", "0.140.0"),
        ("grafana-13.2.3+security-01-0123abcd", "13.2.3+security-01"),
        ("loki-3.8.0-rc.1-0123abcd", "3.8.0-rc.1"),
    ],
)
def test_version_is_read_from_the_name_of_a_release(release: str, version: str) -> None:
    assert rollout_table.version_of(release) == version


CHANGES = [
    rollout_table.Change(
        "web1",
        "prometheus",
        "upgrade",
        "3.13 -> 3.14",
        "ready",
        "http://[::1]:9090",
        24.4,
        ("another release",),
    ),
    rollout_table.Change("web1", "promtail", "remove", "1.12.1", reasons=summary.LEFT),
    rollout_table.Change("web1", "loki", "none", "3.7.8"),
    rollout_table.Change("web2", "loki", "none", "3.7.8"),
]
WIDE = """
HOST  COMPONENT   ACTION   VERSION       STATE  ADDRESS            TIME  REASON
web1  prometheus  upgrade  3.13 -> 3.14  ready  http://[::1]:9090  24 s  another release
web1  promtail    remove   1.12.1        -      -                  -     the host has left its group
Unchanged: 2 components on 2 hosts."""
NARROW = """
HOST  COMPONENT   ACTION   VERSION       STATE
    ADDRESS  TIME  REASON
web1  prometheus  upgrade  3.13 -> 3.14  ready
    http://[::1]:9090  24 s  another release
web1  promtail    remove   1.12.1        -
    the host has left its group
Unchanged: 2 components on 2 hosts."""


@pytest.mark.parametrize(
    ("width", "expected"), [(None, WIDE), (140, WIDE), (60, NARROW)]
)
def test_table_fits_the_terminal(width: int | None, expected: str) -> None:
    lines = rollout_table.summary(CHANGES, width)
    assert [line.rstrip() for line in lines] == expected.strip().splitlines()
    assert width is None or max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [20, 40, 80, 100, 140])
def test_no_line_is_wider_than_the_terminal_unless_a_word_is(width: int) -> None:
    lines = rollout_table.summary(CHANGES, width)
    assert all(len(line) <= max(width, 36) for line in lines)
    words = {word for line in lines for word in line.split()}
    assert {"http://[::1]:9090", "3.14", "promtail"} <= words


def test_run_without_a_change_is_one_line() -> None:
    assert rollout_table.summary(CHANGES[2:], 80) == [
        "Unchanged: 2 components on 2 hosts."
    ]


def test_failure_that_a_second_try_mends_is_left_out() -> None:
    failed = rollout_table.failed_change("web1", "grafana-content", {"msg": "x"}, 1)
    done = failed._replace(action="write", state="ready")
    assert len(rollout_table.summary([failed, done], None)) == 2
    assert len(rollout_table.summary([done, failed], None)) == 3


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("x: is wrong.\nNothing was changed.", "x: is wrong."),
        ("Correct these errors:\na.yml:1: x\nb.yml:2: y", "2 errors, see above"),
        ("Correct these errors:\na.yml:1: x", "1 error, see above"),
        (
            "Task failed: Missing sudo password",
            "Missing sudo password; add --ask-become-pass.",
        ),
        ("Task failed: Module failed: x: is wrong.", "x: is wrong."),
        (
            "Task failed: ssh: a@web1: Permission denied (publickey).",
            (
                "ssh: a@web1: Permission denied (publickey); log in by ssh with the inventory's"
                " user and key."
            ),
        ),
    ],
)
def test_reason_of_a_failure_is_its_first_line_or_the_number_of_errors(
    message: str, reason: str
) -> None:
    failed = rollout_table.failed_change("web1", "grafana-content", {"msg": message}, 1)
    assert failed.reasons == (reason,)


def test_address_is_the_first_listener_with_the_scheme_of_the_probe() -> None:
    ready = {"url": "https://10.0.0.1:3100/ready"}
    args = {
        "name": "loki",
        "listen_addresses": ["10.0.0.1:3100", "x:1"],
        "ready": ready,
    }
    assert component.addresses_of(args) == {"loki": "https://10.0.0.1:3100"}
    main = {"name": "main", "listen_addresses": ["127.0.0.1:9121"]}
    args = {"name": "redis-exporter", "ready": {}, "instances": [main]}
    assert component.addresses_of(args) == {"redis-exporter-main": "127.0.0.1:9121"}
    assert component.addresses_of({"name": "loki", "state": "absent"}) == {}


class Output:
    """A stand-in for Ansible's display."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def display(self, text: str) -> None:
        self.lines += text.splitlines()


@pytest.fixture
def callback(monkeypatch: pytest.MonkeyPatch) -> summary.CallbackModule:
    """Return the callback of a run of site.yml, whose lines are in its stand-in of a display."""
    arguments = {"inventory": ("hosts,",), "args": ("site.yml",), "check": False}
    monkeypatch.setattr(context, "CLIARGS", ImmutableDict(arguments))
    monkeypatch.setattr(terminal, "is_for_people", lambda: True)
    plugin = summary.CallbackModule()
    plugin._display = Output()
    return plugin


def outcome(
    host: str, result: dict[str, Any], module: str = "component", name: str = "loki"
) -> SimpleNamespace:
    """Return what Ansible passes to a callback, with the attributes of its oldest version."""
    task = SimpleNamespace(
        _uuid="1",
        action=f"hippius.monitoring.{module}",
        resolved_action=f"hippius.monitoring.{module}",
        args={"name": name},
        check_mode=False,
    )
    return SimpleNamespace(
        _host=SimpleNamespace(get_name=lambda: host), _task=task, _result=result
    )


def printed(callback: summary.CallbackModule, **stats: Any) -> list[str]:
    """Return the lines that a callback prints at the end of a run."""
    callback.v2_playbook_on_stats(
        SimpleNamespace(**{"dark": {}, "failures": {}, **stats})
    )
    return callback._display.lines


def test_callback_prints_the_outcome_of_each_component_and_the_next_step(
    callback: summary.CallbackModule,
) -> None:
    grafana = instance("install", previous_release="", address="http://127.0.0.1:3000")
    callback.v2_runner_on_ok(outcome("web1", {"instances": {"grafana": grafana}}))
    removed = instance("remove", release="node-exporter-1.12.1-0123abcd")
    pruned = {"instances": {"node-exporter": removed}}
    callback.v2_runner_on_ok(outcome("web1", pruned, "component_prune"))
    content = {"changed": True, "changes": [{"action": "create"}, {"action": "create"}]}
    callback.v2_runner_on_ok(outcome("web1", content, "grafana_content"))
    callback.v2_runner_on_ok(outcome("web1", {"msg": "other"}, "run_check"))
    _header, *rows, step = printed(callback)
    assert [row.split()[1:3] for row in rows] == [
        ["grafana", "install"],
        ["node-exporter", "remove"],
        ["grafana-content", "write"],
    ]
    assert rows[1].endswith("the host has left its group")
    assert rows[2].endswith("create 2")
    assert step == (
        "Next: open Grafana at http://127.0.0.1:3000 on web1 (elsewhere after"
        " ssh -L 3000:127.0.0.1:3000 web1); state of all hosts:"
        " ansible-playbook playbooks/status.yml -i hosts,"
    )


def test_callback_tells_failures_and_unreachable_hosts(
    callback: summary.CallbackModule,
) -> None:
    # Ansible's own callback has removed the key "failed".
    failure = {
        "msg": "loki: not ready.\nLog: x",
        "rolled_back": ["loki"],
    }
    callback.v2_runner_on_failed(outcome("web1", failure))
    _header, row, unreachable, step = printed(
        callback, failures={"web1": 1}, dark={"web2": 1}
    )
    assert row.split()[:3] == ["web1", "loki", "failed"]
    assert row.endswith("rolled back  loki: not ready.")
    assert unreachable == "Unreachable: web2."
    assert step.startswith("Next: correct the errors above and run again;")


def test_callback_tells_a_host_that_does_not_answer_once_with_the_reason(
    callback: summary.CallbackModule,
) -> None:
    result = {"msg": "Task failed: Host key verification failed.", "changed": False}
    callback.v2_runner_on_unreachable(outcome("web1", result))
    callback.v2_runner_on_unreachable(outcome("web1", result, "run_check"))
    assert result == {
        "msg": "Task failed: Host key verification failed.",
        "changed": False,
    }
    _header, row, step = printed(callback, dark={"web1": 1})
    assert row.split()[:4] == ["web1", "loki", "failed", "unreachable"]
    assert row.endswith("failed; log in by ssh once and accept the key.")
    assert step.startswith("Next: correct the errors above and run again;")


def test_callback_tells_which_items_of_a_loop_failed(
    callback: summary.CallbackModule,
) -> None:
    removed = {"instances": {"loki": instance("remove")}, "item": "loki"}
    failure = {"failed": True, "msg": "busy", "item": "tempo"}
    loop = {"results": [removed, failure, {"skipped": True, "item": "x"}]}
    callback.v2_runner_on_failed(outcome("web1", loop, name="{{ item }}"))
    _header, *rows, _step = printed(callback, failures={"web1": 1})
    assert [row.split()[1:3] for row in rows] == [
        ["loki", "remove"],
        ["tempo", "failed"],
    ]


def test_callback_names_hosts_that_did_not_answer_before_any_component(
    callback: summary.CallbackModule,
) -> None:
    begun = outcome("web1", {}, "run_check")
    callback.v2_runner_on_start(begun._host, begun._task)
    unreachable, step = printed(callback, dark={"web1": 1})
    assert unreachable == "Unreachable: web1."
    assert step.startswith("Next: correct the errors above and run again;")


def test_callback_is_silent_without_a_component_and_beside_json(
    callback: summary.CallbackModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert printed(callback) == []
    callback.v2_runner_on_ok(outcome("web1", {"instances": {"loki": instance()}}))
    monkeypatch.setattr(terminal, "is_for_people", lambda: False)
    assert printed(callback) == []


def report(**values: Any) -> dict[str, Any]:
    """Return the status of an instance."""
    return {
        "version": "3.7.8",
        "generation": "4-8ffac4a3dd25",
        "since": "2026-01-31T02:17:24Z",
        "state": "active",
        "ready": True,
        "restarts": 0,
        "diagnostics": [],
        **values,
    }


@pytest.mark.parametrize(
    ("loki", "strict", "errors"),
    [
        (report(), True, []),
        (report(state="inactive"), False, []),
        (report(state="inactive"), True, ["loki on a: is inactive."]),
        (report(ready=False), True, ["loki on a: is not ready."]),
        (
            report(diagnostics=["x was changed manually"]),
            True,
            ["loki on a: x was changed manually."],
        ),
    ],
)
def test_strict_status_fails_for_each_difference(
    loki: dict[str, Any], strict: bool, errors: list[str]
) -> None:
    status = status_report.status_of({"a": {"instances": {"loki": loki}}})
    assert status_report.errors_of(status, strict) == errors
    assert status["ready"] == (loki == report())


def test_status_has_a_row_for_each_host_and_fails_without_an_answer() -> None:
    results = {
        "b": {"unreachable": True, "msg": "Task failed: connection refused"},
        "a": {"instances": {"loki": report(restarts=2)}},
        "c": {"instances": {}},
    }
    status = status_report.status_of(results)
    rows = [line.split() for line in status_report.table_of(status, 140)[1:]]
    assert rows[0][:5] == ["a", "loki", "3.7.8", "ready", "2026-01-31T02:17:24Z"]
    assert rows[0][-2:] == ["2", "restarts"]
    assert rows[1] == ["c", "none"]
    assert rows[2][:4] == ["b", "unknown", "-", "no"]
    assert status_report.errors_of(status, strict=False) == [
        "b: did not answer: connection refused"
    ]


@pytest.mark.parametrize(
    ("result", "is_old"),
    [
        ({"failed": True, "msg": "'type' object is not subscriptable"}, True),
        (
            {
                "failed": True,
                "msg": "x",
                "module_stderr": "SyntaxError: future feature",
            },
            True,
        ),
        ({"failed": True, "exception": "'type' object is not subscriptable"}, True),
        ({"failed": True, "msg": "No start of json char found"}, False),
        ({"instances": {}, "msg": "SyntaxError"}, False),
    ],
)
def test_python_of_a_host_that_is_too_old_is_told(
    result: dict[str, Any], is_old: bool
) -> None:
    reason = rollout_table.old_python(result)
    assert bool(reason) == is_old
    status = status_report.status_of({"web1": result})
    assert ("older than 3.9" in str(status["no_answer"])) == is_old
