# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of the sample application: a host's image with Redis, PostgreSQL and Python packages.

The application's own code is copied into each container instead, so a change of it requires no new
image. Like a host's image it is named after the hash of its recipe, with a copy in the cache.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.testbed import cache, console, docker
from tests.testbed import image as host_image

NAME = "hippius-monitoring-app"
SUITE = "bookworm"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"
PACKAGES = ("postgresql", "python3-venv", "redis-server")
ENVIRONMENT = "/opt/app"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PIP = f"{ENVIRONMENT}/bin/pip"
# Steps inside the container. The test bed starts every server itself, so PostgreSQL's package must
# not create a cluster.
STEPS = {
    "refreshing the package lists": "apt-get update",
    "preparing PostgreSQL": "install -D /dev/null /etc/postgresql-common/createcluster.conf"
    " && echo create_main_cluster = false > /etc/postgresql-common/createcluster.conf",
    "installing Redis and PostgreSQL": "apt-get install -y --no-install-recommends"
    f" {' '.join(PACKAGES)}",
    "making the Python environment": f"python3 -m venv {ENVIRONMENT}",
    "installing the Python packages": f"{PIP} install --no-cache-dir --no-deps"
    " -r /build/requirements.txt",
    "checking the Python packages": f"{PIP} check",
    "cleaning up": "apt-get clean && rm -rf /var/lib/apt/lists/* /build/*",
}


def tag() -> str:
    """Return the image's name, which changes with every part of the recipe."""
    recipe = [
        host_image.tag(SUITE),
        repr(STEPS),
        REQUIREMENTS.read_text(encoding="utf-8"),
    ]
    return f"{NAME}:{hashlib.sha256(chr(0).join(recipe).encode()).hexdigest()[:12]}"


def ensure() -> str:
    """Return the name of the image, after it was loaded from the cache or built if missing."""
    name = tag()
    with cache.locked("image-app"):
        if docker.run("image", "ls", "--quiet", name):
            return name
        archive = cache.directory("images") / f"app-{name.partition(':')[2]}.tar"
        if archive.exists():
            console.progress(f"loading {name}")
            docker.run("load", "--input", str(archive))
        else:
            build(name, host_image.ensure(SUITE))
            docker.run("save", "--output", f"{archive}.partial", name)
            Path(f"{archive}.partial").rename(archive)
        remove_older(name, archive)
    return name


def remove_older(current: str, archive: Path) -> None:
    """Remove the images and files of earlier recipes; an image in use remains."""
    for older in cache.directory("images").glob("app-*.tar"):
        if older != archive:
            older.unlink()
    for tagged in docker.run(
        "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", NAME
    ).split():
        if tagged != current:
            docker.run("image", "rm", tagged, check=False)


def build(name: str, base: str) -> None:
    """Build the image in a container on the machine's network, with its access to registries."""
    started = time.monotonic()
    builder = f"{NAME}-build"
    volumes = []
    if CERTIFICATES.exists():
        volumes = ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
    docker.run("rm", "--force", builder, check=False)
    docker.run(
        *(
            "run",
            "--detach",
            "--name",
            builder,
            "--label",
            docker.LABEL,
            "--network",
            "host",
        ),
        *(*volumes, base, "sleep", "infinity"),
    )
    try:
        docker.run("exec", builder, "mkdir", "/build")
        docker.run("cp", str(REQUIREMENTS), f"{builder}:/build/requirements.txt")
        write_file(builder, "/build/apt.conf", apt_access())
        console.progress("building the application image, 1 to 2 minutes and 0.4 GB")
        for step, command in STEPS.items():
            console.progress(f"application image: {step}")
            execute(builder, command)
        docker.run("commit", "--change", 'CMD ["/bin/sh"]', builder, name)
    finally:
        docker.run("rm", "--force", builder, check=False)
    console.progress(
        f"built the application image in {time.monotonic() - started:.0f} s"
    )


def execute(builder: str, command: str) -> None:
    """Run a step of the build with a log in the cache; its variables do not enter the image."""
    variables = {
        "APT_CONFIG": "/build/apt.conf",
        "DEBIAN_FRONTEND": "noninteractive",
        "DPKG_FORCE": "unsafe-io",
        "LC_ALL": "C",
    } | pip_access()
    options = [
        option
        for key, value in variables.items()
        for option in ("--env", f"{key}={value}")
    ]
    log = cache.directory("images") / "app.log"
    with open(log, "w", encoding="utf-8") as stream:
        done = subprocess.run(
            ["docker", "exec", *options, builder, "sh", "-ec", command],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"{command} failed:\n{console.tail(log)}")


def write_file(container: str, path: str, content: str) -> None:
    """Write a file in a running container."""
    subprocess.run(
        ["docker", "exec", "--interactive", container, "sh", "-c", f"cat > {path}"],
        input=content,
        text=True,
        check=True,
    )


def apt_access() -> str:
    """Return apt's settings for its archives on this machine: proxies, checks, retries."""
    dump = subprocess.run(
        ["apt-config", "dump"], capture_output=True, text=True, check=True
    ).stdout
    reach = ("Acquire::http", "Acquire::Check", "Acquire::Retries", "Acquire::Force")
    return "".join(f"{line}\n" for line in dump.splitlines() if line.startswith(reach))


def pip_access() -> dict[str, str]:
    """Return pip's settings for its index on this machine, as environment variables."""
    variables = {"PIP_CERT": str(CERTIFICATES)} if CERTIFICATES.exists() else {}
    # pip reads its settings from variables and from several files, so pip itself lists them.
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        option = key.rpartition(".")[2]
        if option in (
            "index-url",
            "extra-index-url",
            "trusted-host",
            "proxy",
            "default-timeout",
        ):
            variables[f"PIP_{option.upper().replace('-', '_')}"] = value.strip("'\"")
    return variables | {
        key: value
        for key, value in os.environ.items()
        if key.lower().endswith("_proxy")
    }
