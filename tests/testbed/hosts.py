# SPDX-License-Identifier: GPL-3.0-or-later
"""Test hosts: Debian with systemd and sshd, each in a container that behaves like a small server.

    host = up("dev1")                    # or up("dev2", image="trixie")
    host.run("systemctl is-active ssh")  # as root
    host.restart()                       # a reboot
    down("dev1")

A host's address follows from its name and survives reboots. Root logs in by SSH with the test bed's
key. The logs of Docker's containers are in /var/lib/docker/containers, as those of its own Docker.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.testbed import cache, docker, mirror
from tests.testbed import image as images
from tests.testbed.releases import recipe

PREFIX = "hm-"
IMAGE_LABEL = "hippius.monitoring.image"
# Variants of the images, prepared when a host is created: name -> (suite, packages to remove).
IMAGES = {
    "bookworm": ("bookworm", ()),
    "trixie": ("trixie", ()),
    "bookworm-bare": ("bookworm", ("python3-requests",)),
}
BOOT_SECONDS = 60
# A privileged container would need CAP_SYS_RESOURCE, which not every machine has. With these
# options systemd boots to "running" and hardened units start.
SYSTEMD_OPTIONS = (
    *("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--security-opt", "systempaths=unconfined", "--stop-signal", "SIGRTMIN+3"),
    *("--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp"),
    *("--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"),
)
# Two things would differ from a real host: mounts do not propagate, so that no service gets its
# credentials, and a reboot keeps the boot id.
BOOT = """
mount --make-rshared / &&
cat /proc/sys/kernel/random/uuid > /run/boot-id &&
mount --bind /run/boot-id /proc/sys/kernel/random/boot_id &&
exec /lib/systemd/systemd
"""


@dataclass(frozen=True)
class Host:
    """A running host; this machine, other hosts and containers reach its `address`."""

    name: str
    address: str

    @property
    def container(self) -> str:
        """Return the name of the host's container."""
        return PREFIX + self.name

    def run(
        self,
        command: str | Sequence[str],
        check: bool = True,
        input: str | None = None,  # noqa: A002  as in subprocess.run
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root: a string by the shell, a list as it is.

        Raises RuntimeError with the command's message.
        """
        argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
        stdin = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        done = subprocess.run(
            ["docker", "exec", "--interactive", self.container, *argv],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **stdin,
        )
        if check and done.returncode != 0:
            output = done.stderr or done.stdout
            raise RuntimeError(
                f"{self.name}: {command} ended with {done.returncode}: {output}"
            )
        return done

    def restart(self) -> None:
        """Reboot: all processes end, /run and /tmp are emptied, systemd boots again."""
        docker.run("restart", "--time", "60", self.container)
        wait_until_running(self)

    def cut_power(self) -> None:
        """End all processes without a signal that they could handle, and boot again."""
        docker.run("kill", "--signal", "KILL", self.container)
        docker.run("start", self.container)
        wait_until_running(self)

    def variables(self) -> dict[str, str]:
        """Return the inventory variables of this host."""
        return {
            "ansible_host": self.address,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(ssh_key()),
            "ansible_ssh_common_args": " ".join(ssh_options()),
            "ansible_python_interpreter": "/usr/bin/python3",
        }


def up(name: str, image: str = "bookworm") -> Host:
    """Start a host unless it runs; replace one that was created from another image."""
    if image not in IMAGES:
        raise ValueError(f"no image {image!r}; there are {', '.join(IMAGES)}")
    docker.start()
    with cache.locked(f"host-{name}"):
        container = inspect(name)
        if container and container["Config"]["Labels"].get(IMAGE_LABEL) == label(image):
            host = Host(name, address_of(container))
            docker.run("start", host.container)
        else:
            down(name)
            host = create(name, image)
        wait_until_running(host)
        let_in(host)
    return host


def down(name: str) -> None:
    """Remove a host and its data, if it exists."""
    if docker.is_running() and inspect(name):
        docker.run("rm", "--force", "--volumes", PREFIX + name)


def get(name: str) -> Host:
    """Return an existing host.

    Raises LookupError if there is none.
    """
    container = inspect(name)
    if container is None:
        raise LookupError(
            f"no host {name}; run python3 -m tests.testbed host up {name}"
        )
    return Host(name, address_of(container))


def all_hosts() -> list[Host]:
    """Return the existing hosts, by name."""
    names = docker.run(
        "ps", "--all", "--filter", f"label={IMAGE_LABEL}", "--format", "{{.Names}}"
    ).split()
    return [get(name.removeprefix(PREFIX)) for name in sorted(names)]


def inventory(hosts: Iterable[Host], groups: Iterable[str] = ()) -> dict[str, Any]:
    """Return an Ansible inventory with every host in each group, which is valid as JSON too."""
    host_variables = {host.name: host.variables() for host in hosts}
    members: dict[str, dict[str, str]] = {name: {} for name in host_variables}
    children = {group: {"hosts": members} for group in groups}
    return {"all": {"hosts": host_variables, "children": children, "vars": variables()}}


def variables() -> dict[str, Any]:
    """Return inventory variables for the servers and the versions of the test bed."""
    # The roles install the first version of each recipe.
    first = {
        name: release
        for name, release in recipe.read_all().items()
        if name == release.name
    }
    versions = {f"{name}_version": release.version for name, release in first.items()}
    return {
        "monitoring_mirrors": [mirror.url()],
        "monitoring_releases_lock": str(lock_file()),
        **versions,
    }


def lock_file() -> Path:
    """Return the path of the lock of the release archives; the command `lock` writes it."""
    return cache.directory("mirror") / "releases.lock.yml"


def ssh_options() -> list[str]:
    """Return the options of ssh and scp: the test bed's key, and no check of host keys.

    A host that is created again has another key.
    """
    return [
        *("-o", f"IdentityFile={ssh_key()}", "-o", "IdentitiesOnly=yes"),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "LogLevel=ERROR"),
    ]


def ssh_key() -> Path:
    """Return the path of the private key for every host, created if it is missing."""
    key = cache.directory("ssh") / "id_ed25519"
    with cache.locked("ssh"):
        if not key.exists():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", ""]
            command += ["-C", "hippius-monitoring-testbed", "-f", str(key)]
            subprocess.run(command, check=True)
    return key


def label(flavour: str) -> str:
    """Return a description of a host's source: image, removed packages, container options."""
    suite, removed = IMAGES[flavour]
    options = zlib.crc32("\0".join([*SYSTEMD_OPTIONS, BOOT]).encode())
    return f"{' without '.join([images.tag(suite), *removed])}, options {options:08x}"


def create(name: str, flavour: str) -> Host:
    """Start a new host's container."""
    suite, removed = IMAGES[flavour]
    source = images.ensure(suite)
    logs = Path(docker.run("info", "--format", "{{.DockerRootDir}}")) / "containers"
    with cache.locked("addresses"):
        address = free_address(name)
        docker.run(
            *("run", "--detach", "--name", PREFIX + name, "--hostname", name),
            *("--label", docker.LABEL, "--label", f"{IMAGE_LABEL}={label(flavour)}"),
            *("--network", docker.NETWORK, "--ip", address, *SYSTEMD_OPTIONS),
            # Programs on the host see these logs as those of its own Docker.
            *(
                "--volume",
                f"{logs}:/var/lib/docker/containers",
                source,
                "sh",
                "-c",
                BOOT,
            ),
        )
    host = Host(name, address)
    if removed:
        host.run(["dpkg", "--purge", *removed])
    return host


def free_address(name: str) -> str:
    """Return an unused address of the network's static half.

    The hash of the name selects the first candidate.
    """
    dynamic = ipaddress.ip_network(docker.DYNAMIC_RANGE)
    static = [
        str(address)
        for address in ipaddress.ip_network(docker.SUBNET).hosts()
        if address not in dynamic and str(address) != docker.GATEWAY
    ]
    taken = used_addresses()
    start = zlib.crc32(name.encode()) % len(static)
    for address in static[start:] + static[:start]:
        if address not in taken:
            return address
    raise RuntimeError(f"{docker.SUBNET}: no address is free; remove hosts")


def used_addresses() -> set[str]:
    """Return the addresses of all containers of the test bed's network."""
    filters = ("--filter", f"network={docker.NETWORK}")
    containers = docker.run("ps", "--all", "--quiet", *filters).split()
    if not containers:
        return set()
    return {
        address_of(container)
        for container in json.loads(docker.run("inspect", *containers))
    }


def inspect(name: str) -> dict[str, Any] | None:
    """Return Docker's description of a host's container, or None."""
    output = docker.run("container", "inspect", PREFIX + name, check=False)
    return json.loads(output)[0] if output and output != "[]" else None


def address_of(container: dict[str, Any]) -> str:
    """Return the address that a container requests, even if stopped, or its assigned one."""
    network = container["NetworkSettings"]["Networks"][docker.NETWORK]
    return (network.get("IPAMConfig") or {}).get("IPv4Address") or network["IPAddress"]


def wait_until_running(host: Host) -> None:
    """Wait until systemd has booted.

    Raises RuntimeError with the names of failed units.
    """
    deadline = time.monotonic() + BOOT_SECONDS
    while True:
        state = host.run(["systemctl", "is-system-running"], check=False)
        if state.stdout.strip() == "running":
            return
        if state.stdout.strip() == "degraded":
            failed = host.run(
                ["systemctl", "--failed", "--plain", "--no-legend"]
            ).stdout
            raise RuntimeError(f"{host.name} booted, but units failed:\n{failed}")
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"{host.name} did not boot in {BOOT_SECONDS} s: {state.stdout} {state.stderr}"
            )
        time.sleep(0.2)


def let_in(host: Host) -> None:
    """Allow the test bed's key to log in as root."""
    public = ssh_key().with_suffix(".pub").read_text(encoding="utf-8")
    host.run(
        "umask 077; mkdir -p /root/.ssh; cat > /root/.ssh/authorized_keys", input=public
    )
