# SPDX-License-Identifier: GPL-3.0-or-later
"""A real object store on this machine: the S3 gateway versitygw over a directory."""

from __future__ import annotations

import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.releases import build, recipe

FOLDER = Path(__file__).with_name("versitygw")
ACCESS_KEY, SECRET_KEY, REGION = "test", "a secret of the tests", "us-east-1"
START_SECONDS = 20


@dataclass(frozen=True)
class ObjectStore:
    """A running object store; ``address`` is host:port, ``authority`` a PEM file for TLS."""

    address: str
    authority: Path | None = None

    @property
    def url(self) -> str:
        """Return the store's address with its scheme."""
        return f"{'https' if self.authority else 'http'}://{self.address}"

    def variables(self, **buckets: str) -> dict[str, object]:
        """Return the variable by which an inventory describes this store."""
        described = {
            "endpoint": self.url,
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "buckets": buckets,
        }
        if self.authority:
            described["ca"] = self.authority.read_text(encoding="utf-8")
        return {"monitoring_object_store": described}

    def create(self, bucket: str) -> None:
        """Create an empty bucket."""
        self._request(f"/{bucket}", "--request", "PUT")

    def listing(self, bucket: str) -> str:
        """Return the objects of a bucket, as XML."""
        return self._request(f"/{bucket}?list-type=2")

    def upload(self, directory: Path, bucket: str) -> None:
        """Copy a directory to a bucket, as a tool of the user's would."""
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                key = path.relative_to(directory)
                self._request(f"/{bucket}/{key}", "--upload-file", str(path))

    def _request(self, path: str, *options: str) -> str:
        """Send a signed request; return the answer."""
        trust = ["--cacert", str(self.authority)] if self.authority else []
        command = ["curl", "-sS", "--fail-with-body", "--max-time", "60", *trust]
        command += ["--aws-sigv4", f"aws:amz:{REGION}:s3"]
        command += ["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
        command += ["--user", f"{ACCESS_KEY}:{SECRET_KEY}", *options]
        done = subprocess.run(
            [*command, f"{self.url}{path}"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def program(folder: Path) -> Path:
    """Return the gateway's program, unpacked into a folder; it is built if missing."""
    described = recipe.read(FOLDER)
    archive = build.provide(described) / described.file_name
    with tarfile.open(archive) as opened:
        opened.extract("versitygw", folder, filter="data")
    return folder / "versitygw"


@contextmanager
def running(
    folder: Path, address: str, certificate: tuple[Path, Path, Path] | None = None
) -> Iterator[ObjectStore]:
    """Run a store with its data below a folder, with TLS by authority, certificate and key."""
    data = folder / "buckets"
    data.mkdir(parents=True, exist_ok=True)
    gateway = folder / "versitygw"
    command = [str(gateway if gateway.exists() else program(folder))]
    command += ["--port", address, "--quiet"]
    command += ["--access", ACCESS_KEY, "--secret", SECRET_KEY, "--region", REGION]
    authority = None
    if certificate:
        authority, own, key = certificate
        command += ["--cert", str(own), "--key", str(key)]
    store = ObjectStore(address, authority)
    with (folder / "versitygw.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "posix", str(data)], stdout=log, stderr=log
        )
    try:
        _wait_for(store)
        yield store
    finally:
        process.kill()
        process.wait()


def _wait_for(store: ObjectStore) -> None:
    """Wait until the store answers; raise AssertionError if it does not in time."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            store._request("/")
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
