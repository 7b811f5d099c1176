# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engine of the bed: installed and started when it is missing, with the bed's network.

An engine that already runs is used as it is. One that the bed started is stopped by `stop()` and by nothing else.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LABEL = "hippius.monitoring.testbed=1"
NETWORK = "hippius_net"
SUBNET = "172.30.0.0/24"
GATEWAY = "172.30.0.1"
# Docker gives this half to containers that ask for no address; hosts choose theirs from the other half.
DYNAMIC_RANGE = "172.30.0.128/25"
INOTIFY_INSTANCES = 1024

PROGRAMS = {
    "dockerd": "docker.io",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "ssh-keygen": "openssh-client",
}


def cache(*parts: str) -> Path:
    """A directory of the project's cache, which lies outside the checkout; it is made when it is missing."""
    root = os.environ.get("HIPPIUS_MONITORING_CACHE") or str(
        Path.home() / ".cache" / "hippius-monitoring"
    )
    directory = Path(root).joinpath(*parts)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def progress(message: str) -> None:
    """Say on standard error what takes time; standard output is for answers."""
    print(f"testbed: {message}", file=sys.stderr, flush=True)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the bed's lock of this name, so that commands which run at the same time do not make a thing twice."""
    with open(cache("locks") / name, "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def docker(*arguments: str, check: bool = True) -> str:
    """Run a docker command and return its output; a failure raises with docker's own message."""
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
    """Have an engine that answers and the bed's network, whatever of it was missing."""
    with locked("engine"):
        install(PROGRAMS)
        if not answers():
            start_daemon()
        allow_many_hosts()
        if not docker("network", "ls", "--quiet", "--filter", f"name=^{NETWORK}$"):
            docker(
                *("network", "create", "--label", LABEL),
                *("--subnet", SUBNET, "--gateway", GATEWAY, "--ip-range", DYNAMIC_RANGE, NETWORK),
            )


def install(programs: dict[str, str]) -> None:
    """Install the Debian packages of those programs that are missing; programs maps a command to its package."""
    search = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = sorted(
        {package for program, package in programs.items() if not shutil.which(program, path=search)}
    )
    if not missing:
        return
    progress(f"installing {', '.join(missing)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # A third party's repository in the machine's sources may fail; what counts is whether the installation works.
    apt(["apt-get", "update", "-q"], environment, check=False)
    apt(
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing],
        environment,
        check=True,
    )


def apt(command: Sequence[str], environment: dict[str, str], *, check: bool) -> None:
    """Run apt-get with its output in a log of the cache; the end of the log is the message of a failure."""
    log = cache("engine") / "apt.log"
    with open(log, "w", encoding="utf-8") as output:
        done = subprocess.run(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{tail(log)}")


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def answers() -> bool:
    """Whether an engine answers at docker's socket."""
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


def pid_file() -> Path:
    """Where the process id of the engine stands that the bed started."""
    return cache("engine") / "dockerd.pid"


def start_daemon() -> None:
    """Start dockerd, as the machine's service where systemd runs, else in the background; wait until it answers."""
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "start", "docker"], check=True)
        return
    # Left behind by an engine that was killed; dockerd refuses to start when any process has that number now.
    if running_daemon(Path("/var/run/docker.pid")) is None:
        Path("/var/run/docker.pid").unlink(missing_ok=True)
    # The second one helps where a killed dockerd left its containerd behind, for which the first one waits in vain.
    if not (start_in_background() or start_in_background()):
        raise RuntimeError(f"the Docker engine does not start:\n{tail(daemon_log())}")


def start_in_background() -> bool:
    """Start dockerd in the background; returns whether it answers within a minute."""
    with open(daemon_log(), "w", encoding="utf-8") as output:
        daemon = subprocess.Popen(
            ["dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    pid_file().write_text(f"{daemon.pid}\n", encoding="utf-8")
    progress(f"started dockerd, process {daemon.pid}, log {daemon_log()}")
    deadline = time.monotonic() + 60
    while daemon.poll() is None and time.monotonic() < deadline:
        if answers():
            return True
        time.sleep(0.3)
    return False


def daemon_log() -> Path:
    """Where the engine that the bed started writes its log."""
    return cache("engine") / "dockerd.log"


def allow_many_hosts() -> None:
    """Raise the kernel's number of inotify instances for a user: all hosts share root's, and systemd takes several."""
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(limit.read_text(encoding="ascii")) < INOTIFY_INSTANCES:
        limit.write_text(f"{INOTIFY_INSTANCES}\n", encoding="ascii")


def stop() -> None:
    """Remove the bed's network, and stop the engine if the bed started it."""
    if answers():
        docker("network", "rm", NETWORK, check=False)
    pid = running_daemon(pid_file())
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 60
    while running_daemon(pid_file()) is not None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"dockerd, process {pid}, does not end")
        time.sleep(0.2)
    pid_file().unlink(missing_ok=True)
    progress(f"stopped dockerd, process {pid}")


def running_daemon(pid_file: Path) -> int | None:
    """The process id in a file, if it belongs to a dockerd that runs."""
    try:
        pid = int(pid_file.read_text(encoding="utf-8"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except (OSError, ValueError):
        return None
    # The number may belong to another program by now, and a dead one stays as a zombie where nobody reaps.
    return pid if command.endswith(b"dockerd") and state != "Z" else None
