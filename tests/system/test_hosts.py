# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of the test bed behaves like a small server."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.testbed import docker, hosts

pytestmark = pytest.mark.usefixtures("testbed")
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def host(request: pytest.FixtureRequest) -> Iterator[hosts.Host]:
    name = f"test-hosts-{request.param}"
    hosts.down(name)
    yield hosts.up(name, request.param)
    hosts.down(name)


def test_root_logs_in_by_ssh(host: hosts.Host) -> None:
    command = ["ssh", *hosts.ssh_options(), f"root@{host.address}", "id -un; hostname"]
    assert subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.split() == [
        "root",
        host.name,
    ]


def test_a_service_reads_its_credential_as_its_own_user(host: hosts.Host) -> None:
    options = (
        "-p LoadCredential=secret:/etc/hostname -p DynamicUser=yes -p PrivateUsers=yes"
    )
    options += " -p ProtectSystem=strict"
    script = "cat $CREDENTIALS_DIRECTORY/secret; id -u"
    command = f"systemd-run --quiet --wait --pipe {options} sh -c '{script}'"
    secret, user = host.run(command).stdout.split()
    assert secret == host.name
    assert int(user) > 0


def test_it_sees_the_logs_of_dockers_containers(host: hosts.Host) -> None:
    image = docker.run("inspect", "--format", "{{.Image}}", host.container)
    container = docker.run(
        "run",
        "--detach",
        "--label",
        docker.LABEL,
        image,
        "echo",
        "a line of a container",
    )
    try:
        docker.run("wait", container)
        log = host.run(
            f"cat /var/lib/docker/containers/{container}/{container}-json.log"
        ).stdout
    finally:
        docker.run("rm", "--force", container)
    assert "a line of a container" in log


def test_a_reboot_keeps_address_and_disk_and_nothing_else(host: hosts.Host) -> None:
    host.run(
        "echo kept > /var/lib/kept; echo gone > /run/gone; systemd-run --unit lost sleep 1000"
    )
    before = host.run(BOOT_ID).stdout
    started = time.monotonic()
    host.restart()
    assert time.monotonic() - started < 15
    assert host.run(
        "cat /var/lib/kept; ls /run/gone; systemctl is-active lost", check=False
    ).stdout.split() == [
        "kept",
        "inactive",
    ]
    assert host.run(BOOT_ID).stdout != before
    assert hosts.get(host.name) == host
    # Docker assigns a new address on each start to a container that requests none.
    assert docker.run("exec", host.container, "hostname", "-I").split() == [
        host.address
    ]


def test_starting_it_again_changes_nothing(host: hosts.Host) -> None:
    host.run("touch /run/still-here")
    image = "trixie" if host.name.endswith("trixie") else "bookworm"
    assert hosts.up(host.name, image) == host
    assert host.run("ls /run/still-here", check=False).returncode == 0


def test_a_bare_host_lacks_requests() -> None:
    assert (
        hosts.up("test-hosts-bare", "bookworm-bare")
        .run("python3 -c 'import requests'", check=False)
        .returncode
        == 1
    )
    # The name decides the address; another image replaces the host.
    replaced = hosts.up("test-hosts-bare", "bookworm")
    try:
        assert replaced.run("python3 -c 'import requests'", check=False).returncode == 0
    finally:
        hosts.down("test-hosts-bare")
