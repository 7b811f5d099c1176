# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker for the test bed: install and start the daemon if necessary, and create the network.

A daemon that already runs is used as it is. `stop()` stops only a daemon that the test bed started.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.testbed import cache, console, debian

LABEL = "hippius.monitoring.testbed=1"
NETWORK = "hippius_net"
SUBNET = "172.30.0.0/24"
GATEWAY = "172.30.0.1"
# Docker assigns addresses from this half to containers that request none; hosts use the other half.
DYNAMIC_RANGE = "172.30.0.128/25"
INOTIFY_INSTANCES = 1024
# Set for tests that another process ends the daemon for.
KEEP = "TESTBED_KEEP_DOCKER"
START_SECONDS = STOP_SECONDS = 60

PROGRAMS = {
    "dockerd": "docker.io",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "ssh-keygen": "openssh-client",
}


def run(*arguments: str, check: bool = True) -> str:
    """Run a docker command and return its output; raise RuntimeError with Docker's own message."""
    done = subprocess.run(
        ["docker", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def start() -> None:
    """Ensure that the daemon answers and that the test bed's network exists."""
    with cache.locked("docker"):
        debian.install(PROGRAMS)
        if not is_running():
            start_daemon()
        allow_many_hosts()
        if not run("network", "ls", "--quiet", "--filter", f"name=^{NETWORK}$"):
            run(
                *("network", "create", "--label", LABEL),
                *(
                    "--subnet",
                    SUBNET,
                    "--gateway",
                    GATEWAY,
                    "--ip-range",
                    DYNAMIC_RANGE,
                    NETWORK,
                ),
            )


def is_running() -> bool:
    """Return whether a daemon answers at Docker's socket."""
    if not shutil.which("docker"):
        return False
    return (
        subprocess.run(
            ["docker", "version"], capture_output=True, check=False
        ).returncode
        == 0
    )


def start_daemon() -> None:
    """Start dockerd and wait for it: the machine's service under systemd, otherwise in background.

    Raises RuntimeError with the end of the daemon's log.
    """
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "start", "docker"], check=True)
        return
    # A killed daemon leaves its pid file; dockerd refuses to start if any process has that pid now.
    stale = Path("/var/run/docker.pid")
    if daemon_pid(stale) is None:
        stale.unlink(missing_ok=True)
    # A killed dockerd may leave its containerd, for which the first start waits in vain; the second
    # start succeeds.
    if not (start_in_background() or start_in_background()):
        raise RuntimeError(
            f"the Docker daemon does not start:\n{console.tail(daemon_log())}"
        )


def start_in_background() -> bool:
    """Start dockerd in the background and return whether it answers within a minute."""
    with open(daemon_log(), "w", encoding="utf-8") as stream:
        daemon = subprocess.Popen(
            ["dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    pid_file().write_text(f"{daemon.pid}\n", encoding="utf-8")
    console.progress(f"started dockerd, process {daemon.pid}, log {daemon_log()}")
    deadline = time.monotonic() + START_SECONDS
    while daemon.poll() is None and time.monotonic() < deadline:
        if is_running():
            return True
        time.sleep(0.3)
    return False


def daemon_log() -> Path:
    """Return the path of the log of a daemon that the test bed started."""
    return cache.directory("daemons") / "dockerd.log"


def pid_file() -> Path:
    """Return the path of the file with the process id of a daemon that the test bed started."""
    return cache.directory("daemons") / "dockerd.pid"


def allow_many_hosts() -> None:
    """Raise the kernel's limit of inotify instances for a user.

    All hosts share root's instances, and each systemd uses several.
    """
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(limit.read_text(encoding="ascii")) < INOTIFY_INSTANCES:
        limit.write_text(f"{INOTIFY_INSTANCES}\n", encoding="ascii")


def stop() -> None:
    """Remove the test bed's network, and stop the daemon if the test bed started it."""
    if is_running():
        run("network", "rm", NETWORK, check=False)
    pid = daemon_pid(pid_file())
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while daemon_pid(pid_file()) is not None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"dockerd, process {pid}, does not end")
        time.sleep(0.2)
    pid_file().unlink(missing_ok=True)
    console.progress(f"stopped dockerd, process {pid}")


def daemon_pid(path: Path) -> int | None:
    """Return the process id in a file if it belongs to a running dockerd."""
    try:
        pid = int(path.read_text(encoding="utf-8"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    # The command's name before the state is in parentheses and may contain spaces.
    state = status.rsplit(")", 1)[1].split()[0]
    # Another program may have the pid by now, and a dead daemon stays a zombie without a reaper.
    return pid if command.endswith(b"dockerd") and state != "Z" else None
