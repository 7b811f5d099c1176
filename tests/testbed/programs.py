# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a server with the files, flags and environment of a role's rollout, on this machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tarfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.testbed.releases.build import build_all

READY_SECONDS = 120
# Of a file that systemd reads.
LINE = re.compile(r'^(\w+)="(.*)"$', re.MULTILINE)


class Server(NamedTuple):
    """A running program of a role."""

    url: str
    process: subprocess.Popen[bytes]

    def get(self, path: str, seconds: float = 30) -> str:
        """Return an answer of its API."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=seconds) as answer:
            return str(answer.read().decode())

    def post(self, path: str, body: bytes = b"", seconds: float = 30) -> int:
        """Return the status of a request with a JSON body; raise HTTPError for a refusal."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return int(answer.status)

    def stop(self) -> None:
        """Let the program end by itself, as a rollout does; kill it if it does not."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def unpack(name: str, folder: Path) -> Path:
    """Return the program of a release of the test bed, unpacked below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    if target.exists():
        return target
    [archive] = build_all([name]).values()
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            [member] = opened.namelist()
            target.write_bytes(opened.read(member))
        target.chmod(0o755)
        return target
    with tarfile.open(archive) as opened:
        for found in opened.getmembers():
            if Path(found.name).name == name and found.isfile():
                found.name = name
                opened.extract(found, folder, filter="data")
    return target


@contextmanager
def running(
    role: str,
    program: Path,
    folder: Path,
    options: Mapping[str, Any],
    places: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a program until the block ends; its data stays below the folder.

    ``places`` are further texts to replace in files and flags, such as addresses.
    """
    etc, data = folder / "etc", folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    replaced = {
        f"/etc/{role}": str(etc),
        f"/var/lib/{role}": str(data),
        "{release}": str(program.parent),
        "{etc}": str(etc),
        "{data}": str(data),
        **(places or {}),
    }
    write_files(etc, options, replaced)
    command = [localized(word, replaced) for word in options["command"]]
    secret = localized(options["secrets"].get("environment", ""), replaced)
    variables = {
        name: re.sub(r"\\(.)", r"\1", text) for name, text in LINE.findall(secret)
    }
    url = localized(options["ready"]["url"], replaced)
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **variables}
        )
    address = "/".join(url.split("/")[:3])
    server = Server(address, process)
    try:
        wait_until_ready(url, server, folder / "log")
        yield server
    finally:
        process.kill()
        process.wait()


def localized(text: str, replaced: Mapping[str, str]) -> str:
    """Return a text of a rollout as this machine needs it."""
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


def write_files(
    etc: Path, options: Mapping[str, Any], replaced: Mapping[str, str]
) -> None:
    """Write the files of a rollout below a directory."""
    shutil.rmtree(etc, ignore_errors=True)
    texts = dict(options["secrets"])
    for item in options["config"]:
        content = item.get("content") or Path(item["source"]).read_text("utf-8")
        is_text = isinstance(content, str)
        texts[item["path"]] = content if is_text else yaml.safe_dump(content)
    for name, text in texts.items():
        path = etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(localized(text, replaced), encoding="utf-8")


def wait_until_ready(url: str, server: Server, log: Path) -> None:
    """Wait until a program answers; raise AssertionError with its log if it does not."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError as error:
            ended = server.process.poll() is not None
            if ended or time.monotonic() > deadline:
                lines = "\n".join(log.read_text("utf-8", "replace").splitlines()[-20:])
                raise AssertionError(f"{url}: {error}\n{lines}") from error
            time.sleep(0.2)
        else:
            return
