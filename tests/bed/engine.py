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

LABEL = "hippius.monitoring.bed=1"
NETWORK = "hippius_net"
SUBNET = "172.30.0.0/24"
GATEWAY = "172.30.0.1"
# Docker gives this half to containers that ask for no address; hosts choose theirs from the other half.
DYNAMIC_RANGE = "172.30.0.128/25"

PROGRAMS = {"dockerd": "docker.io", "debootstrap": "debootstrap", "iptables": "iptables", "ssh-keygen": "openssh-client"}


def cache(*parts: str) -> Path:
    """A directory of the project's cache, which lies outside the checkout; it is made when it is missing."""
    root = os.environ.get("HIPPIUS_MONITORING_CACHE") or str(Path.home() / ".cache" / "hippius-monitoring")
    directory = Path(root).joinpath(*parts)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def progress(message: str) -> None:
    """Say on standard error what takes time; standard output is for answers."""
    print(f"bed: {message}", file=sys.stderr, flush=True)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the bed's lock of this name, so that commands which run at the same time do not make a thing twice."""
    with open(cache("locks") / name, "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def docker(*arguments: str, check: bool = True) -> str:
    """Run a docker command and return its output; a failure raises with docker's own message."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def start() -> None:
    """Have an engine that answers and the bed's network, whatever of it was missing."""
    with locked("engine"):
        install(PROGRAMS)
        if not answers():
            start_daemon()
        if not docker("network", "ls", "--quiet", "--filter", f"name=^{NETWORK}$"):
            docker(
                *("network", "create", "--label", LABEL),
                *("--subnet", SUBNET, "--gateway", GATEWAY, "--ip-range", DYNAMIC_RANGE, NETWORK),
            )


def install(programs: dict[str, str]) -> None:
    """Install the Debian packages of those programs that are missing; programs maps a command to its package."""
    search = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = sorted({package for program, package in programs.items() if not shutil.which(program, path=search)})
    if not missing:
        return
    progress(f"installing {', '.join(missing)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # A third party's repository in the machine's sources may fail; what counts is whether the installation works.
    apt(["apt-get", "update", "-q"], environment, check=False)
    apt(["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing], environment, check=True)


def apt(command: Sequence[str], environment: dict[str, str], *, check: bool) -> None:
    """Run apt-get with its output in a log of the cache; the end of the log is the message of a failure."""
    log = cache("engine") / "apt.log"
    with open(log, "w", encoding="utf-8") as output:
        done = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{tail(log)}")


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def answers() -> bool:
    """Whether an engine answers at docker's socket."""
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


def pid_file() -> Path:
    """Where the process id of the engine stands that the bed started."""
    return cache("engine") / "dockerd.pid"


def start_daemon() -> None:
    """Start dockerd, as the machine's service where systemd runs, else in the background; wait until it answers."""
    log = cache("engine") / "dockerd.log"
    daemon = None
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "start", "docker"], check=True)
    else:
        # Left behind by a machine that was cut off; dockerd refuses to start beside a process of that number.
        Path("/var/run/docker.pid").unlink(missing_ok=True)
        with open(log, "w", encoding="utf-8") as output:
            daemon = subprocess.Popen(
                ["dockerd"], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        pid_file().write_text(f"{daemon.pid}\n", encoding="utf-8")
        progress(f"started dockerd, process {daemon.pid}, log {log}")
    deadline = time.monotonic() + 60
    while not answers():
        if time.monotonic() > deadline or (daemon and daemon.poll() is not None):
            raise RuntimeError(f"the Docker engine does not answer:\n{tail(log) if daemon else ''}")
        time.sleep(0.3)


def stop() -> None:
    """Remove the bed's network, and stop the engine if the bed started it."""
    if answers():
        docker("network", "rm", NETWORK, check=False)
    pid = started_pid()
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while started_pid() is not None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"dockerd, process {pid}, does not end")
        time.sleep(0.2)
    pid_file().unlink(missing_ok=True)
    progress(f"stopped dockerd, process {pid}")


def started_pid() -> int | None:
    """The process id of the running engine that the bed started, or None."""
    try:
        pid = int(pid_file().read_text(encoding="utf-8"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except (OSError, ValueError):
        return None
    # The number may belong to another program by now, and a dead one stays as a zombie where nobody reaps.
    return pid if command.endswith(b"dockerd") and state != "Z" else None
