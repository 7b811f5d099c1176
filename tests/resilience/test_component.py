# SPDX-License-Identifier: GPL-3.0-or-later
"""The component module on a real systemd host: its guarantees with and without faults."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component.failpoints import (
    KILL_AT,
)
from tests.failpoints import FAILPOINTS
from tests.resilience.releases import archive
from tests.resilience.rollout import (
    SCENARIOS,
    Rollout,
    differences,
    good,
    wait_until,
)


def test_it_installs_then_reloads_then_restarts_and_writes_nothing_when_nothing_differs(
    rollout,
):
    assert good(rollout.run(rollout.task())).action == "install"
    before = rollout.snapshot()
    again = good(rollout.run(rollout.task()))
    assert (again.action, again.result["changed"]) == ("none", False)
    assert differences(before, rollout.snapshot()) == []
    pid = rollout.pid()
    assert good(rollout.run(rollout.task({"answer": "two"}))).action == "reload"
    assert (rollout.answer(), rollout.pid()) == ("two", pid)
    changed_flags = rollout.task({"answer": "two"}, environment={"COLOUR": "blue"})
    assert good(rollout.run(changed_flags)).action == "restart"
    assert rollout.pid() != pid
    assert (
        good(
            rollout.run(
                rollout.task(
                    {"answer": "two"}, version="1.1.0", environment={"COLOUR": "blue"}
                )
            )
        ).action
        == "restart"
    )
    assert (
        "NeedDaemonReload=no"
        in rollout.host.run("systemctl show --property=NeedDaemonReload testd").stdout
    )


def edit_manually(rollout: Rollout) -> None:
    """Change a file manually."""
    rollout.host.run(
        "sed -i s/one/edited/ /etc/testd/testd.json && systemctl reload testd"
    )


def stop_manually(rollout: Rollout) -> None:
    """Stop a unit manually."""
    rollout.host.run("systemctl stop testd")


@pytest.mark.parametrize(
    ("prepare", "task", "action"),
    [
        pytest.param(None, {}, "install", id="bare host"),
        pytest.param(lambda rollout: None, {}, "none", id="converged host"),
        pytest.param(
            lambda rollout: None,
            {"config": {"answer": "two"}},
            "reload",
            id="new configuration",
        ),
        pytest.param(
            lambda rollout: None, {"version": "1.1.0"}, "restart", id="new release"
        ),
        pytest.param(edit_manually, {}, "reload", id="hand-edited file"),
        pytest.param(stop_manually, {}, "restart", id="stopped unit"),
    ],
)
def test_check_mode_predicts_what_the_next_run_does_and_writes_nothing(
    rollout, prepare, task, action
):
    if prepare:
        good(rollout.run(rollout.task()))
        prepare(rollout)
    before = rollout.snapshot("/var/lib", "/run/systemd/system")
    predicted = good(rollout.run(rollout.task(**task), "--check", "--diff"))
    assert (
        differences(before, rollout.snapshot("/var/lib", "/run/systemd/system")) == []
    )
    done = good(rollout.run(rollout.task(**task), "--diff"))
    for outcome in (predicted, done):
        assert outcome.action == action
        assert outcome.result["changed"] == (action != "none")
    assert predicted.result["diff"] == done.result["diff"]
    # Only a stopped unit changes without a different file.
    assert bool(done.result["diff"]) == (
        action != "none" and prepare is not stop_manually
    )
    told = [
        outcome.result["instances"]["testd"]["reasons"] for outcome in (predicted, done)
    ]
    assert told[0] == told[1]
    assert good(rollout.run(rollout.task(**task))).action == "none"


def test_check_mode_runs_the_real_checker(rollout):
    good(rollout.run(rollout.task()))
    refused = rollout.run(rollout.task({"nonsense": 1}), "--check")
    assert refused.returncode == 2
    assert "unknown key 'nonsense'" in refused.message


def test_a_hand_edited_file_is_kept_and_repaired(rollout):
    good(rollout.run(rollout.task()))
    edit_manually(rollout)
    assert rollout.answer() == "edited"
    refused = rollout.run(rollout.task({"nonsense": 1}))
    assert "kept as /opt/monitoring/edited/testd" in refused.result["notices"][0]
    assert rollout.answer() == "edited"
    outcome = good(rollout.run(rollout.task()))
    kept = outcome.result["notices"][0].split()[-1].rstrip(".")
    assert '"edited"' in rollout.host.run(f"cat {kept}").stdout
    assert rollout.answer() == "one"


def watched(rollout: Rollout, seconds: float = 0.2) -> Callable[[], float]:
    """Query the service continuously.

    The result is a function that stops it and returns the longest silence in seconds.
    """
    script = (
        "import time, urllib.request\nlast = longest = 0\n"
        "import sys\n"
        "while True:\n"
        "  try:\n"
        "    urllib.request.urlopen('http://127.0.0.1:7070/', timeout=2).read()\n"
        "    now = time.time()\n"
        "    longest = max(longest, now - last if last else 0); last = now\n"
        "    print(longest, flush=True)\n"
        "  except OSError: pass\n"
        f"  time.sleep({seconds})\n"
    )
    rollout.host.run("cat > /tmp/watch.py", input=script)
    rollout.host.run(
        "nohup python3 /tmp/watch.py >/tmp/watch.out 2>&1 & echo $! >/tmp/watch.pid"
    )

    def stop() -> float:
        rollout.host.run("kill $(cat /tmp/watch.pid)")
        return float(rollout.host.run("tail -n 1 /tmp/watch.out").stdout)

    return stop


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param('{"answer": ', "testd: Expecting value", id="syntax"),
        pytest.param(
            '{"answer": "two", "wrong": 1}', "unknown key 'wrong'", id="meaning"
        ),
    ],
)
def test_a_configuration_that_the_checker_refuses_leaves_the_old_process_answering(
    rollout, content, message
):
    good(rollout.run(rollout.task()))
    pid, stop = rollout.pid(), watched(rollout)
    before = rollout.snapshot(times=False)
    refused = rollout.run(
        {**rollout.task(), "config": [{"path": "testd.json", "content": content}]}
    )
    assert refused.returncode == 2
    assert message in refused.message
    assert rollout.pid() == pid
    assert stop() < 1.5
    assert differences(before, rollout.snapshot(times=False)) == []
    assert good(rollout.run(rollout.task({"answer": "two"}))).action == "reload"


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        pytest.param(
            {"fault": "cannot start"},
            {"environment": {"A": "b"}},
            "passes the check and cannot start",
            id="exit",
        ),
        pytest.param(
            {"fault": "dies soon"},
            {"environment": {"A": "b"}},
            "ended",
            id="exits after a moment",
        ),
        pytest.param(
            {"fault": "never ready"},
            {"environment": {"A": "b"}},
            "still waiting for nothing",
            id="never ready",
        ),
        pytest.param(
            {"fault": "refuses reload"},
            {},
            "testd refuses this reload",
            id="refuses the reload",
        ),
        pytest.param(
            {"fault": "dies on reload"},
            {},
            # What is noticed first: that the process is gone, or that systemd's job has failed.
            "ended during the reload|reload testd.service failed",
            id="dies on reload",
        ),
    ],
)
def test_a_change_that_cannot_be_verified_is_rolled_back(
    rollout, config, options, message
):
    good(rollout.run(rollout.task()))
    before, stop = rollout.state(), watched(rollout)
    failed = rollout.run(rollout.task({"answer": "two", **config}, **options))
    assert failed.returncode == 2
    assert any(part in failed.message for part in message.split("|"))
    assert failed.result["rolled_back"] == ["testd"]
    assert rollout.answer() == "one"
    assert stop() < 60
    assert rollout.state() == before
    assert good(rollout.run(rollout.task())).action == "none"
    assert good(rollout.run(rollout.task({"answer": "two"}))).result["changed"]
    assert rollout.answer() == "two"


def test_a_first_install_that_cannot_start_leaves_nothing_running_and_can_be_rerun(
    rollout,
):
    failed = rollout.run(rollout.task({"fault": "cannot start"}))
    assert failed.returncode == 2
    assert "cannot start" in failed.message
    assert (
        rollout.host.run(
            "ls -R /etc/systemd /opt/monitoring/components | grep testd",
            check=False,
        ).stdout
        == ""
    )
    assert good(rollout.run(rollout.task())).action == "install"
    assert rollout.answer() == "one"


def test_a_port_that_another_process_holds_is_refused_before_anything_changes(rollout):
    good(rollout.run(rollout.task()))
    rollout.host.run(
        "nohup python3 -m http.server --bind 127.0.0.1 7071 >/dev/null 2>&1 &"
        " echo $! >/tmp/holder.pid"
    )
    wait_until(lambda: rollout.answer(port=7071))
    pid, before = rollout.pid(), rollout.snapshot(times=False)
    task = rollout.task({"port": 7071}, environment={"A": "b"})
    refused = rollout.run(task)
    rollout.host.run("kill $(cat /tmp/holder.pid)")
    assert refused.returncode == 2
    assert "127.0.0.1:7071: in use by python3 (process" in refused.message
    assert (rollout.pid(), rollout.snapshot(times=False)) == (pid, before)
    assert good(rollout.run(task)).action == "restart"


def test_a_checker_that_only_warns_is_a_notice_where_the_role_says_so(rollout):
    task = rollout.task({"fault": "warns"})
    assert "warning: testd" in rollout.run(task).message
    accepted = good(rollout.run({**task, "check_ignore_pattern": "^warning: "}))
    assert "warning: testd does not like this" in accepted.result["notices"][0]


@pytest.mark.parametrize(
    ("content", "sha256", "message"),
    [
        pytest.param(
            archive("2.0.0"), "0" * 64, "expected 000000", id="wrong checksum"
        ),
        pytest.param(archive("2.0.0")[:400], "", "cannot be unpacked", id="truncated"),
        pytest.param(
            b"<!doctype html><p>Please log in", "", "cannot be unpacked", id="HTML"
        ),
        pytest.param(
            archive("2.0.0", {"../../../etc/evil": b"x"}),
            "",
            "climbs out",
            id="hostile member",
        ),
    ],
)
def test_a_bad_archive_is_refused_and_leaves_nothing_behind(
    rollout, content, sha256, message
):
    good(rollout.run(rollout.task()))
    pid, before = rollout.pid(), rollout.snapshot(times=False)
    rollout.releases.add("2.0.0", content, sha256)
    refused = rollout.run(rollout.task(version="2.0.0"))
    assert refused.returncode == 2
    assert message in refused.message
    assert (rollout.pid(), rollout.snapshot(times=False)) == (pid, before)


def test_an_unlocked_release_is_refused_in_one_line_that_names_the_lock_playbook(
    rollout,
):
    refused = rollout.run(rollout.task(version="9.9.9"))
    assert refused.returncode == 2
    assert (
        "testd 9.9.9" in refused.message
        and "lock" in refused.message
        and "\n" not in refused.message
    )


# A run passes these only if it fails or removes.
NOT_IN_A_GOOD_RUN = ("after-restore", "after-unlink", "after-set-aside")


# A reload installs no release, so it passes no failpoint of one.
NOT_PASSED = {("reload", "after-download"), ("reload", "after-unpack")}
# All points with a restart, and those at which the other scenarios differ from it. The experiments
# have every point with each scenario, and so have the unit tests on a fake host.
KILLS = [("restart", point) for point in FAILPOINTS if point not in NOT_IN_A_GOOD_RUN]
KILLS += [
    ("install", point) for point in ("after-user", "after-switch", "after-commit")
]
KILLS += [
    ("reload", point)
    for point in ("after-switch", "after-process-action", "after-verify")
]


@pytest.mark.parametrize(("scenario", "point"), KILLS)
def test_a_run_killed_at_any_point_is_finished_by_the_next_one(
    rollout, undisturbed, scenario, point
):
    require_a_killed_run_is_finished(rollout, undisturbed, scenario, point)


def require_a_killed_run_is_finished(
    rollout: Rollout,
    undisturbed: Callable[[Rollout, str], str],
    scenario: str,
    point: str,
) -> None:
    """Kill a run at a point, and require that the next one ends as an undisturbed one."""
    installed, change = SCENARIOS[scenario]
    if installed:
        good(rollout.run(rollout.task()))
    task, started = rollout.task(**change), rollout.started()
    killed = rollout.run(task, environment={KILL_AT: point})
    if killed.returncode == 0:
        assert (scenario, point) in NOT_PASSED, f"{point} was not passed"
        return
    good(rollout.run(task))
    there, answer, restarted = (
        rollout.state(),
        rollout.answer(),
        rollout.started() != started,
    )
    before = rollout.snapshot()
    assert good(rollout.run(task)).result["changed"] is False
    assert differences(before, rollout.snapshot()) == []
    assert (answer, restarted) == (
        change.get("config", {}).get("answer", "one"),
        scenario != "reload",
    )
    assert there == undisturbed(rollout, scenario)


@pytest.mark.parametrize("point", ["after-restore"])
@pytest.mark.parametrize("fault", ["cannot start", "refuses reload"])
def test_a_rollback_that_is_killed_is_finished_by_the_next_run(rollout, point, fault):
    good(rollout.run(rollout.task()))
    options = {"environment": {"A": "b"}} if fault == "cannot start" else {}
    assert (
        rollout.run(
            rollout.task({"fault": fault}, **options), environment={KILL_AT: point}
        ).returncode
        == 2
    )
    good(rollout.run(rollout.task()))
    assert rollout.answer() == "one"
    before = rollout.snapshot()
    assert good(rollout.run(rollout.task())).result["changed"] is False
    assert differences(before, rollout.snapshot()) == []


@pytest.mark.parametrize("point", ["after-unlink", "after-set-aside"])
def test_a_removal_that_is_killed_is_finished_by_the_next_run(rollout, point):
    good(rollout.run(rollout.task()))
    absent = {"name": "testd", "state": "absent"}
    assert rollout.run(absent, environment={KILL_AT: point}).returncode == 2
    good(rollout.run(absent))
    left = rollout.host.run(
        "ls -A /opt/monitoring/components /opt/monitoring/releases; ls -d /etc/testd",
        check=False,
    )
    assert [line for line in left.stdout.split() if not line.endswith(":")] == []
    before = rollout.snapshot()
    assert good(rollout.run(absent)).result["changed"] is False
    assert differences(before, rollout.snapshot()) == []


@pytest.mark.parametrize("seconds", [0.6, 1.2, 1.8, 2.4])
def test_a_controller_that_is_killed_leaves_a_host_that_converges(rollout, seconds):
    good(rollout.run(rollout.task()))
    task = rollout.task({"answer": "two"}, version="1.1.0", environment={"A": "b"})
    process = rollout.start(task)
    time.sleep(seconds)
    rollout.kill(process)
    good(rollout.run(task))
    assert rollout.answer() == "two"
    assert good(rollout.run(task)).result["changed"] is False


def test_a_concurrent_run_fails_naming_the_lock_owner(rollout):
    good(rollout.run(rollout.task()))
    slow = rollout.task({"fault": "never ready"}, environment={"A": "b"})
    # Long enough for the second run to start.
    slow["ready"]["timeout"] = 15
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(rollout.run(slow)))
    thread.start()
    wait_until(lambda: rollout.answer("/ready") == "")
    second = rollout.run(rollout.task(lock_timeout=1))
    thread.join()
    assert second.returncode == 2
    assert (
        "testd on this host: another run holds its lock (" in second.message
        and ", process " in second.message
    )
    waited = good(rollout.run(rollout.task(lock_timeout=60)))
    assert waited.action == "none"


def test_everything_runs_after_a_reboot_and_nothing_changes(rollout):
    good(rollout.run(rollout.task()))
    rollout.host.restart()
    wait_until(lambda: rollout.answer() == "one")
    before = rollout.snapshot()
    assert good(rollout.run(rollout.task())).result["changed"] is False
    assert differences(before, rollout.snapshot()) == []


# A disk of its own, mounted late: as LVM layouts and data disks of clouds are.
MOUNT = """[Unit]
DefaultDependencies=no
Before=local-fs.target
[Mount]
What=/srv/disk{path}
Where={path}
Type=none
Options=bind
[Install]
WantedBy=local-fs.target
"""


@pytest.fixture
def mounted(rollout: Rollout) -> Iterator[Callable[[str], None]]:
    """Return a function that moves a directory to a file system of its own."""
    moved: list[tuple[str, str]] = []

    def move(path: str) -> None:
        unit = rollout.host.run(["systemd-escape", "--path", "--suffix=mount", path])
        name = unit.stdout.strip()
        moved.append((path, name))
        rollout.host.run(
            f"mkdir -p /srv/disk{path} && cp -a {path}/. /srv/disk{path} &&"
            f" find {path} -mindepth 1 -delete && cat >/etc/systemd/system/{name} &&"
            f" systemctl enable {name}",
            input=MOUNT.format(path=path),
        )

    yield move
    for path, name in moved:
        rollout.host.run(
            f"systemctl stop 'testd*'; systemctl disable --now {name};"
            f" rm -rf /etc/systemd/system/{name} /srv/disk{path}; mkdir -p {path}"
        )


def test_everything_runs_after_a_boot_with_file_systems_of_its_own(rollout, mounted):
    good(rollout.run(rollout.task()))
    rollout.host.run("systemctl stop testd")
    for path in ("/opt", "/var/lib/testd"):
        mounted(path)
    rollout.host.restart()
    wait_until(lambda: rollout.answer() == "one")
    shown = rollout.host.run("systemctl show testd --property=LoadState,Requires,After")
    assert "LoadState=loaded" in shown.stdout
    for relation in ("Requires", "After"):
        (line,) = re.findall(rf"^{relation}=(.*)$", shown.stdout, re.MULTILINE)
        assert {"opt.mount", "var-lib-testd.mount"} <= set(line.split())
    before = rollout.snapshot()
    assert good(rollout.run(rollout.task())).result["changed"] is False
    assert differences(before, rollout.snapshot()) == []
    assert good(rollout.run(rollout.task({"answer": "two"}))).action == "reload"
    assert rollout.answer() == "two"


def test_units_can_be_masked_disabled_and_edited_which_is_drift(rollout):
    def drift() -> list[str]:
        told = good(rollout.run({"expected": ["testd"]}, module="component_status"))
        return told.result["instances"]["testd"]["drift"]

    unit = "/etc/systemd/system.attached/testd.service"
    good(rollout.run(rollout.task()))
    rollout.host.run("systemctl mask --now testd")
    assert drift() == ["testd.service is masked"]
    refused = rollout.run(rollout.task())
    assert "run `systemctl unmask testd.service`" in refused.message
    assert rollout.answer() == ""
    rollout.host.run("systemctl unmask testd && systemctl disable testd")
    enabling = "/etc/systemd/system/multi-user.target.wants/testd.service"
    assert drift() == [f"{enabling} is missing or points elsewhere"]
    assert good(rollout.run(rollout.task())).action == "restart"
    assert rollout.host.run("systemctl is-enabled testd").stdout.strip() == "enabled"
    pid = rollout.pid()
    rollout.host.run("systemctl disable testd && systemctl enable testd")
    assert good(rollout.run(rollout.task())).result["changed"] is False
    # The editor's last argument is the file; /tmp of a test host executes nothing.
    editor = (
        "#!/bin/sh\nfor file; do :; done\nsed -i 's/^.Service.$/&\\nNice=5/' $file\n"
    )
    rollout.host.run("cat >/root/editor && chmod +x /root/editor", input=editor)
    edit = "SYSTEMD_EDITOR=/root/editor systemctl edit --full testd"
    rollout.host.run(["script", "-qec", edit, "/dev/null"])
    assert drift() == [f"{unit} was changed manually"]
    repaired = good(rollout.run(rollout.task()))
    kept = repaired.result["notices"][0].split()[-1].rstrip(".")
    assert "[Service]\nNice=5\n" in rollout.host.run(["cat", kept]).stdout
    assert (repaired.action, rollout.pid() != pid) == ("restart", True)
    assert rollout.host.run("systemctl show testd --property=FragmentPath").stdout == (
        f"FragmentPath={unit}\n"
    )
    assert good(rollout.run(rollout.task())).result["changed"] is False


# What the release before units were files had left on a host: /opt/monitoring and its links.
OLDER_RELEASE = Path(__file__).parent / "files" / "older_release.tar.gz"


def test_an_upgrade_from_links_keeps_the_service_even_if_it_is_refused(rollout):
    host = rollout.host
    host.run("useradd --system --comment hippius.monitoring --user-group testd")
    host.run("install -d -o testd -g testd -m 0750 /var/lib/testd")
    archive = base64.b64encode(OLDER_RELEASE.read_bytes()).decode()
    host.run("base64 -d | tar -xz -C /", input=archive)
    host.run("systemctl daemon-reload && systemctl start testd")
    assert rollout.answer() == "one"
    failed = rollout.run(rollout.task({"fault": "cannot start"}))
    assert failed.returncode == 2
    wait_until(lambda: rollout.answer() == "one")
    assert good(rollout.run(rollout.task({"answer": "two"}))).action == "restart"
    assert rollout.answer() == "two"
    links = host.run("find /etc/systemd/system -maxdepth 1 -name 'testd*'").stdout
    unit = host.run("systemctl show testd --property=FragmentPath --value").stdout
    expected = ("", "/etc/systemd/system.attached/testd.service\n")
    assert (links, unit) == expected
    before = rollout.snapshot()
    again = good(rollout.run(rollout.task({"answer": "two"})))
    assert again.result["changed"] is False
    assert differences(before, rollout.snapshot()) == []


@pytest.mark.parametrize("died_by", ["SIGKILL", "power cut"])
def test_a_run_that_dies_unverified_ends_in_the_generation_before(rollout, died_by):
    good(rollout.run(rollout.task()))
    bad = {"answer": "bad", "fault": "never ready"}
    task = rollout.task(bad, environment={"A": "b"})
    killed = rollout.run(task, environment={KILL_AT: "after-process-action"})
    died = time.monotonic()
    assert killed.returncode == 2
    wait_until(lambda: rollout.answer() == "bad")
    if died_by == "power cut":
        rollout.host.cut_power()
    wait_until(lambda: rollout.answer() == "one", 60 - (time.monotonic() - died))
    assert rollout.host.run("ls -A /opt/monitoring").stdout.split() == [
        "components",
        "releases",
    ]
    assert good(rollout.run(rollout.task())).result["changed"] is False
    assert good(rollout.run(rollout.task({"answer": "two"}))).action == "reload"


def test_a_secret_is_compared_and_never_shown(rollout):
    def task(secret: str) -> dict[str, Any]:
        return rollout.task(
            {"secret_file": "/etc/testd/password"}, secrets={"password": secret}
        )

    outcomes = [
        rollout.run(task("c4n4ry-one"), "-vvvv", "--diff"),
        rollout.run(task("c4n4ry-two"), "-vvvv", "--diff"),
    ]
    assert [good(outcome).action for outcome in outcomes] == ["install", "restart"]
    assert good(rollout.run(task("c4n4ry-two"))).action == "none"
    assert not [outcome for outcome in outcomes if "c4n4ry" in outcome.stdout]
    readable = rollout.host.run(
        "find /etc /opt /run /var/lib -xdev -type f -perm -o=r -exec grep -l c4n4ry {} +",
        check=False,
    )
    journal = rollout.host.run("journalctl --no-pager | grep -c c4n4ry", check=False)
    assert (readable.stdout, journal.stdout.strip()) == ("", "0")
    assert (
        "0640 root testd"
        in rollout.host.run("stat -c '0%a %U %G' /etc/testd/password").stdout
    )


def test_a_secret_of_an_instance_is_never_shown_either(rollout):
    task = instances(rollout, "main")
    task["instances"][0]["secrets"] = {"password": "c4n4ry-three"}
    outcome = good(rollout.run(task, "-vvvv", "--diff"))
    assert "c4n4ry" not in outcome.stdout
    assert (
        rollout.host.run(
            "journalctl --no-pager | grep -c c4n4ry", check=False
        ).stdout.strip()
        == "0"
    )


def test_a_file_that_ansible_vault_encrypted_is_rolled_out_as_a_secret(rollout):
    plain, password = rollout.folder / "testd.json", rollout.folder / "password"
    plain.write_text(json.dumps({"answer": "c4n4ry-four"}), encoding="utf-8")
    password.write_text("not-so-secret", encoding="utf-8")
    vault = Path(sys.executable).with_name("ansible-vault")
    subprocess.run(
        [vault, "encrypt", "--vault-password-file", password, plain],
        check=True,
        capture_output=True,
    )
    task = {**rollout.task(), "config": [{"path": "testd.json", "source": str(plain)}]}
    flags = ("-vvvv", "--diff", "--vault-password-file", str(password))
    outcome = good(rollout.run(task, *flags))
    assert rollout.answer() == "c4n4ry-four"
    assert "c4n4ry" not in outcome.stdout
    assert good(rollout.run(task, *flags)).action == "none"


def instances(rollout: Rollout, *names: str) -> dict[str, Any]:
    """Return a task with an instance of the test daemon for each name."""
    task = rollout.task()
    own = []
    for number, name in enumerate(names):
        port = 7080 + number
        content = json.dumps({"answer": name, "port": port})
        own.append({
            "name": name,
            "config": [{"path": "testd.json", "content": content}],
            "listen_addresses": [f"127.0.0.1:{port}"],
            "ready": {"url": f"http://127.0.0.1:{port}/ready"},
        })  # fmt: skip
    return {**task, "reload": None, "instances": own}


def test_instances_are_one_transaction_and_a_dropped_one_is_removed(rollout):
    good(rollout.run(instances(rollout, "main", "chain")))
    assert (rollout.answer(port=7080), rollout.answer(port=7081)) == ("main", "chain")
    assert good(rollout.run(instances(rollout, "main", "chain"))).action == "none"
    bad = instances(rollout, "main", "chain")
    for instance, fault in zip(bad["instances"], ("", "cannot start"), strict=True):
        content = json.loads(instance["config"][0]["content"])
        instance["config"][0]["content"] = json.dumps(
            {**content, "answer": "new", "fault": fault}
        )
    failed = rollout.run(bad)
    assert failed.returncode == 2
    assert set(failed.result["rolled_back"]) == {"testd-main", "testd-chain"}
    assert (rollout.answer(port=7080), rollout.answer(port=7081)) == ("main", "chain")
    # They swap their ports, and a new one takes that of one that goes.
    good(rollout.run(instances(rollout, "chain", "main")))
    assert (rollout.answer(port=7080), rollout.answer(port=7081)) == ("chain", "main")
    good(rollout.run(instances(rollout, "main", "side")))
    assert (rollout.answer(port=7080), rollout.answer(port=7081)) == ("main", "side")
    good(rollout.run(instances(rollout, "main", "chain")))
    removed = good(rollout.run(instances(rollout, "main")))
    assert removed.result["instances"]["testd-chain"]["action"] == "remove"
    assert rollout.host.run("ls /opt/monitoring/components").stdout.split() == [
        "testd-main"
    ]


PREVIOUS = {"name": "testd", "state": "previous"}


def test_one_command_rolls_the_last_rollout_back(rollout):
    rollout.host.run("touch /srv/testd-needs")
    good_task = rollout.task({"secret_file": "/srv/testd-needs"})
    bad_task = rollout.task({"answer": "two"}, version="1.1.0", environment={"A": "b"})
    good(rollout.run(good_task))
    nothing = rollout.run(PREVIOUS)
    assert nothing.returncode == 2
    assert "nothing to roll back to" in nothing.message and "\n" not in nothing.message
    good(rollout.run(bad_task))
    # What its checker refuses today is not switched to, so that nothing restarts.
    rollout.host.run("rm /srv/testd-needs")
    before = rollout.snapshot(times=False)
    failed = rollout.run(PREVIOUS)
    assert failed.returncode == 2
    assert "No such file" in failed.message
    assert (failed.result["rolled_back"], rollout.answer()) == ([], "two")
    assert differences(before, rollout.snapshot(times=False)) == []
    rollout.host.run("touch /srv/testd-needs")
    before = rollout.snapshot("/var/lib", "/run/systemd/system")
    predicted = good(rollout.run(PREVIOUS, "--check", "--diff"))
    assert (
        differences(before, rollout.snapshot("/var/lib", "/run/systemd/system")) == []
    )
    done = good(rollout.run(PREVIOUS, "--diff"))
    assert (predicted.action, done.action, rollout.answer()) == (
        "restart",
        "restart",
        "one",
    )
    assert predicted.result["diff"] == done.result["diff"] != []
    assert predicted.result["instances"] == done.result["instances"]
    assert "The next rollout applies the inventory again" in done.result["notices"][0]
    before = rollout.snapshot()
    again = good(rollout.run(PREVIOUS))
    assert (
        again.action,
        again.result["changed"],
        differences(before, rollout.snapshot()),
    ) == (
        "none",
        False,
        [],
    )
    # It is rolled forward; the rolled-back release does not become last-known-good.
    assert good(rollout.run(bad_task)).action == "restart"
    assert rollout.answer() == "two"
    assert good(rollout.run(PREVIOUS)).action == "restart"
    assert rollout.answer() == "one"
    assert good(rollout.run(good_task)).result["changed"] is False
    left = rollout.host.run(
        "ls /opt/monitoring/components/testd /opt/monitoring/components/testd/generations"
    )
    assert (
        "rolled-back-from" not in left.stdout
        and len(re.findall(r"^\d+-", left.stdout, re.M)) == 1
    )


@pytest.mark.parametrize(
    ("point", "forward"),
    [
        pytest.param("after-switch", False, id="after the switch"),
        pytest.param("after-process-action", True, id="and rolled forward"),
    ],
)
def test_a_way_back_that_is_killed_is_finished_by_the_next_run(rollout, point, forward):
    good(rollout.run(rollout.task()))
    good(rollout.run(rollout.task({"answer": "two"}, environment={"A": "b"})))
    assert rollout.run(PREVIOUS, environment={KILL_AT: point}).returncode == 2
    task = rollout.task({"answer": "three"}) if forward else PREVIOUS
    good(rollout.run(task))
    assert rollout.answer() == ("three" if forward else "one")
    before = rollout.snapshot()
    assert good(rollout.run(task)).result["changed"] is False
    assert differences(before, rollout.snapshot()) == []


def test_only_instances_that_the_last_rollout_changed_go_back(rollout):
    task = instances(rollout, "main", "chain")
    good(rollout.run(task))
    pid = rollout.pid("testd-main")
    task["instances"][1]["config"][0]["content"] = json.dumps(
        {"answer": "new", "port": 7081}
    )
    good(rollout.run(task))
    assert rollout.answer(port=7081) == "new"
    told = good(rollout.run(PREVIOUS)).result["instances"]
    assert list(told) == ["testd-chain"]
    assert (rollout.answer(port=7081), rollout.pid("testd-main")) == ("chain", pid)


def test_status_reports_drift_and_writes_nothing(rollout):
    def told() -> dict[str, Any]:
        outcome = good(
            rollout.run({"expected": ["testd", "loki"]}, module="component_status")
        )
        assert outcome.result["changed"] is False
        return outcome.result["instances"]

    good(rollout.run(rollout.task()))
    before, fine = rollout.snapshot(), told()
    assert differences(before, rollout.snapshot()) == []
    assert (
        fine["testd"]["version"],
        fine["testd"]["ready"],
        fine["testd"]["diagnostics"],
    ) == (
        "1.0.0",
        True,
        [],
    )
    assert (fine["loki"]["state"], fine["loki"]["diagnostics"]) == (
        "absent",
        ["it is not installed"],
    )
    edit_manually(rollout)
    drop_in = "/etc/systemd/system/testd.service.d/override.conf"
    rollout.host.run(
        f"mkdir {drop_in.rpartition('/')[0]}; printf '[Service]\\nNice=5\\n' >{drop_in};"
        " systemctl stop testd"
    )
    found = told()["testd"]
    assert found["diagnostics"] == ["testd.service is inactive", *found["drift"]]
    assert found["drift"] == [
        "/etc/testd/testd.json was changed manually",
        f"{drop_in} overrides testd.service",
    ]


def test_prune_removes_obsolete_components_up_to_a_limit(rollout):
    good(rollout.run(rollout.task()))
    # A host that should have everything is skipped.
    for keep, asked in ((["prometheus"], True), (["prometheus", "loki"], False)):
        others = rollout.run(
            {"keep": keep, "managed_components": ["prometheus", "loki"]},
            "-vvv",
            module="component_prune",
        )
        assert (good(others).result["changed"], "SSH: EXEC" in others.stdout) == (
            False,
            asked,
        )
    prune = {
        "keep": ["prometheus"],
        "managed_components": ["prometheus", "testd"],
        "prune_max": 0,
    }
    refused = rollout.run(prune, module="component_prune")
    assert refused.returncode == 2 and "monitoring_prune_max" in refused.message
    prune["prune_max"] = 1
    assert (
        good(rollout.run(prune, "--check", module="component_prune")).action == "remove"
    )
    assert rollout.answer() == "one"
    assert good(rollout.run(prune, module="component_prune")).action == "remove"
    assert good(rollout.run(prune, module="component_prune")).result["changed"] is False
    assert rollout.host.run("ls -d /var/lib/testd").stdout
    assert rollout.host.run("ls /opt/monitoring", check=False).stdout == ""


def test_unmanaged_files_are_refused_unless_adopted_and_are_restored_after_a_failure(
    rollout,
):
    unit = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
    rollout.host.run(
        "mkdir -p /etc/testd && echo theirs >/etc/testd/testd.json"
        " && chown daemon:daemon /etc/testd/testd.json"
    )
    rollout.host.run(
        "cat >/etc/systemd/system/testd.service &&"
        " systemctl daemon-reload && systemctl enable --now testd",
        input=unit,
    )
    refused = rollout.run(rollout.task())
    assert refused.returncode == 2
    assert (
        "/etc/testd" in refused.message and "monitoring_adopt=true" in refused.message
    )

    def theirs() -> list[str]:
        command = "cat /etc/testd/testd.json; stat -c %U /etc/testd/testd.json;"
        command += " systemctl is-active testd; systemctl is-enabled testd"
        return rollout.host.run(command).stdout.split()

    given_back = ["theirs", "daemon", "active", "enabled"]
    bad = {"fault": "cannot start"}
    assert rollout.run(rollout.task(bad, adopt=True)).returncode == 2
    assert theirs() == given_back
    # The run that follows a killed one gives back what that one took.
    killed = {KILL_AT: "after-links"}
    assert (
        rollout.run(rollout.task(bad, adopt=True), environment=killed).returncode == 2
    )
    assert rollout.run(rollout.task(bad)).returncode == 2
    assert theirs() == given_back
    adopted = good(rollout.run(rollout.task(adopt=True)))
    assert "/opt/monitoring/edited/testd/adopted/etc/testd" in " ".join(
        adopted.result["notices"]
    )
    assert rollout.answer() == "one"
    assert good(rollout.run(rollout.task())).action == "none"


def test_absent_keeps_data_and_user_unless_purged(rollout):
    good(rollout.run(rollout.task()))
    rollout.host.run("touch /var/lib/testd/precious")
    assert good(rollout.run({"name": "testd", "state": "absent"})).action == "remove"
    assert rollout.host.run("ls /var/lib/testd; id -u testd").returncode == 0
    assert (
        good(rollout.run({"name": "testd", "state": "absent"})).result["changed"]
        is False
    )
    assert good(
        rollout.run({"name": "testd", "state": "absent", "purge": True})
    ).result["changed"]
    assert (
        rollout.host.run("ls -d /var/lib/testd; id -u testd", check=False).stdout == ""
    )
    assert (
        good(rollout.run({"name": "testd", "state": "absent", "purge": True})).result[
            "changed"
        ]
        is False
    )


def test_the_unit_is_hardened(rollout):
    good(rollout.run(rollout.task()))
    told = rollout.host.run(
        "systemd-analyze security --no-pager testd.service | tail -1"
    ).stdout
    assert float(told.split(":")[1].split()[0]) <= 2.0
