# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of the test daemon: `python -m tests.resilience.releases FOLDER` writes them.

The folder gets the archives and their lock.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

TESTD = Path(__file__).parent / "files" / "testd"
URL = "https://releases.example/testd-{version}.tar.gz"


def archive(version: str = "1.0.0", members: dict | None = None) -> bytes:
    """Return a release of the test daemon in upstream's layout, with one top directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        content = TESTD.read_bytes().replace(
            b'"""A small', f'"""Version {version}. A small'.encode(), 1
        )
        for name, data in {"testd": content, **(members or {})}.items():
            info = tarfile.TarInfo(f"testd-{version}/{name}")
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    # Reproducible, so that releases and generations have the same names in every test.
    return gzip.compress(buffer.getvalue(), mtime=0)


class Releases:
    """A release lock of the test daemon, and the folder of the pushed archives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock: dict = {"testd": {}}
        for version in ("1.0.0", "1.1.0"):
            self.add(version, archive(version))

    def add(self, version: str, content: bytes, sha256: str = "") -> None:
        """Add a release."""
        url = URL.format(version=version)
        self.lock["testd"][version] = {
            "amd64": {
                "url": url,
                "sha256": sha256 or hashlib.sha256(content).hexdigest(),
            }
        }
        path = self.folder / "archives" / url.split("://")[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        (self.folder / "lock.json").write_text(json.dumps(self.lock), encoding="utf-8")


if __name__ == "__main__":
    Releases(Path(sys.argv[1]))
