# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line of the test bed: `python3 -m tests.testbed --help`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.testbed import cache, docker, hosts, image, mirror


def main() -> int:
    """Run one command and return its exit status."""
    options = parser().parse_args()
    try:
        options.carry_out(options)
    except (RuntimeError, LookupError, OSError) as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the commands."""
    top = argparse.ArgumentParser(
        prog="python3 -m tests.testbed", description="Test bed of hippius.monitoring."
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def command(parent, name: str, help_text: str, carry_out):
        added = parent.add_parser(name, help=help_text)
        added.set_defaults(carry_out=carry_out)
        return added

    command(
        commands,
        "docker",
        "start the Docker daemon unless it runs",
        lambda _: docker.start(),
    )
    command(commands, "images", "build the images of the hosts", build_images)
    command(
        commands,
        "releases",
        "build the servers and pack them like their releases",
        build_releases,
    )
    command(
        commands,
        "mirror",
        "serve the release archives; prints the address",
        serve_mirror,
    )
    lock = command(
        commands, "lock", "write a release lock of the mirror's archives", write_lock
    )
    lock.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=hosts.lock_file(),
        help="default: %(default)s",
    )

    host = commands.add_parser("host", help="test hosts").add_subparsers(
        metavar="COMMAND", required=True
    )
    up = command(
        host, "up", "start a host unless it runs; prints its name and address", host_up
    )
    up.add_argument("name")
    up.add_argument("--image", choices=list(hosts.IMAGES), default="bookworm")
    command(
        host, "down", "remove a host", lambda options: hosts.down(options.name)
    ).add_argument("name")
    command(
        host,
        "restart",
        "reboot a host",
        lambda options: hosts.get(options.name).restart(),
    ).add_argument("name")
    command(host, "list", "print the existing hosts", list_hosts)
    inventory = command(
        host, "inventory", "print an inventory of hosts", print_inventory
    )
    inventory.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    inventory.add_argument(
        "--group",
        action="append",
        default=[],
        help="put each host into this group as well",
    )

    app = commands.add_parser("app", help="the sample application").add_subparsers(
        metavar="COMMAND", required=True
    )
    started = command(app, "up", "start or restart it", app_up)
    started.add_argument(
        "--collector",
        help="address for OTLP over gRPC; default: port 4317 of the host demo",
    )
    command(app, "down", "remove it", app_down)
    traffic = command(app, "traffic", "send requests; prints their counts", app_traffic)
    traffic.add_argument(
        "requests", nargs="?", type=int, default=200, help="default: %(default)s"
    )
    command(
        commands, "all-down", "remove all that was started; the cache remains", all_down
    )
    return top


def build_images(_options: argparse.Namespace) -> None:
    """Build every image that Docker does not have yet."""
    docker.start()
    for suite in image.SUITES:
        print(image.ensure(suite))


def build_releases(_options: argparse.Namespace) -> None:
    """Build the release archives of all roles and print their paths in the mirror's tree."""
    from tests.testbed.releases.build import BuildError, build_all

    try:
        for archive in build_all(needed_releases()).values():
            print(archive)
    except BuildError as error:
        raise RuntimeError(str(error)) from error


def needed_releases() -> list[str]:
    """Return the names of the releases that a role uses; other recipes are not built."""
    facts = sorted((Path(__file__).parents[2] / "roles").glob("*/meta/component.yml"))
    return sorted(
        {yaml.safe_load(path.read_text(encoding="utf-8"))["release"] for path in facts}
    )


def serve_mirror(_options: argparse.Namespace) -> None:
    """Start the mirror unless it runs, and print its address."""
    docker.start()
    print(mirror.start())


def write_lock(options: argparse.Namespace) -> None:
    """Write a release lock of the mirror's archives, from the checksum files beside them."""
    from tests.testbed.releases import recipe

    locked: dict[str, dict[str, Any]] = {}
    for release in recipe.read_all().values():
        archive = cache.directory("mirror") / release.archive.partition("://")[2]
        if not archive.exists():
            continue
        sums = {}
        for line in (
            (archive.parent / release.checksums)
            .read_text(encoding="utf-8")
            .splitlines()
        ):
            # A line is a checksum and the archive's name, or the checksum alone.
            digest, _space, name = line.partition(" ")
            sums[name.lstrip(" *") or archive.name] = digest
        entry = {"amd64": {"url": release.archive, "sha256": sums[archive.name]}}
        locked.setdefault(release.name, {})[release.version] = entry
    with cache.locked("lock"):
        partial = options.file.with_name(f"{options.file.name}.part")
        # JSON is valid YAML.
        partial.write_text(
            "---\n" + json.dumps(locked, indent=2) + "\n", encoding="utf-8"
        )
        partial.replace(options.file)


def host_up(options: argparse.Namespace) -> None:
    """Start a host unless it runs, and print its name and address."""
    host = hosts.up(options.name, options.image)
    print(host.name, host.address)


def list_hosts(_options: argparse.Namespace) -> None:
    """Print the names and addresses of the hosts."""
    for host in hosts.all_hosts():
        print(host.name, host.address)


def print_inventory(options: argparse.Namespace) -> None:
    """Print an inventory in JSON, which Ansible reads as YAML."""
    chosen = [hosts.get(name) for name in options.names] or hosts.all_hosts()
    print(json.dumps(hosts.inventory(chosen, options.group), indent=2))


def app_up(options: argparse.Namespace) -> None:
    """Restart the sample application."""
    from tests.testbed import app

    app.up(options.collector)


def app_down(_options: argparse.Namespace) -> None:
    """Remove the sample application."""
    from tests.testbed import app

    app.down()


def app_traffic(options: argparse.Namespace) -> None:
    """Send requests to the sample application and print their counts."""
    from tests.testbed import app

    print(json.dumps(app.traffic(options.requests)))


def all_down(_options: argparse.Namespace) -> None:
    """Remove containers and network; stop the mirror and a daemon that the test bed started."""
    mirror.stop()
    if docker.is_running():
        containers = docker.run(
            "ps", "--all", "--quiet", "--filter", f"label={docker.LABEL}"
        ).split()
        if containers:
            docker.run("rm", "--force", "--volumes", *containers)
    docker.stop()


if __name__ == "__main__":
    sys.exit(main())
