# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the script that writes the state of rollouts as metrics."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

SCRIPT = Path(__file__).parents[3] / "roles/node_exporter/files/rollout_metrics.py"
specification = importlib.util.spec_from_file_location("rollout_metrics", SCRIPT)
rollout_metrics = importlib.util.module_from_spec(specification)
specification.loader.exec_module(rollout_metrics)

UNIT = b"[Service]\nExecStart=/bin/true\n"
FILES = {"etc/loki.yml": b"a: 1\n", "bin/tool": b"#!\n", "loki.service": UNIT}
SAMPLE = re.compile(r"^monitoring_(?:rollout_)?(\w+)\{(.*)\} (\S+)$", re.MULTILINE)


class Host:
    """Directories as the rollout engine leaves them, with one component."""

    def __init__(self, root: Path) -> None:
        self.base, self.run, self.units = root / "base", root / "run", root / "attached"
        self.overrides, self.output = root / "system", root / "rollouts.prom"
        for path in (self.run, self.units, self.overrides, self.base / "unfinished"):
            path.mkdir(parents=True)
        self.component = self.base / "components" / "loki"
        self.add("1-aaaa")
        for link in ("current", "last-known-good"):
            self.link(link, "1-aaaa")
        (self.component / "component").write_text("loki\n")
        (self.units / "loki.service").write_bytes(UNIT)

    def add(self, generation: str) -> None:
        """Write a generation."""
        self.generation = directory = self.component / "generations" / generation
        records = {}
        for path, content in FILES.items():
            self.write(path, content)
            digest = hashlib.sha256(content).hexdigest()
            records[path] = {"mode": "0640", "sha256": digest}
        self.write("etc/key", b"secret")
        records["etc/key"] = {"mode": "0640", "fingerprint": "f"}
        os.symlink("/x/releases/loki-3.5.0-0123abcd", directory / "release")
        manifest = {
            "files": records,
            "units": {"loki.service": {}},
            "release": "loki-3.5.0-0123abcd",
        }
        (directory / "manifest.json").write_text(json.dumps(manifest))

    def write(self, path: str, content: bytes = b"other") -> None:
        """Write a file of the generation."""
        file = self.generation / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o640)

    def link(self, name: str, generation: str) -> None:
        """Let a link lead to a generation."""
        path = self.component / name
        path.unlink(missing_ok=True)
        path.symlink_to(f"generations/{generation}")

    def metrics(self) -> dict[str, float]:
        """Run the script and return the values by the name of the metric."""
        options = ("base", "run", "units", "overrides", "output")
        words = [f"--{name}={getattr(self, name)}" for name in options]
        assert rollout_metrics.main(words) == 0
        return {
            metric: float(value)
            for metric, _labels, value in SAMPLE.findall(self.output.read_text())
        }


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_verified_rollout_has_no_drift(host: Host) -> None:
    found = host.metrics()
    since = (host.component / "current").lstat().st_mtime
    assert found.pop("timestamp_seconds") == pytest.approx(since, abs=0.001)
    assert found == {"info": 1, "drift": 0, "unverified": 0, "rolled_back": 0}
    info = 'info{name="loki",version="3.5.0",generation="1-aaaa"} 1\n'
    assert f"monitoring_rollout_{info}" in host.output.read_text()
    assert os.listdir(host.output.parent).count("rollouts.prom.new") == 0


def later(host: Host) -> None:
    """Change a secret, whose content is never read, a second after the rollout."""
    path = host.generation / "etc/key"
    after = (host.generation / "manifest.json").stat().st_mtime + 1
    os.utime(path, (after, after))


def replaced(host: Host) -> None:
    (host.generation / "etc/loki.yml").unlink()
    (host.generation / "etc/loki.yml").symlink_to("/dev/null")


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (lambda host: host.write("etc/loki.yml"), 1),
        (lambda host: host.write("bin/tool"), 1),
        (lambda host: (host.generation / "etc/loki.yml").unlink(), 1),
        (lambda host: (host.generation / "etc/loki.yml").chmod(0o644), 1),
        (lambda host: (host.generation / "etc/key").chmod(0o644), 1),
        (replaced, 1),
        (later, 1),
        (lambda host: host.write("etc/new.yml"), 1),
        (lambda host: (host.generation / "release").unlink(), 1),
        (lambda host: (host.generation / "manifest.json").write_text("{"), 1),
        (lambda host: (host.generation / "manifest.json").write_text("[]"), 1),
        (lambda host: (host.units / "loki.service").write_text("edited"), 1),
        (lambda host: (host.units / "loki.service").unlink(), 1),
        (lambda host: (host.overrides / "loki.service").symlink_to("/dev/null"), 1),
        (lambda host: (host.overrides / "other.service").write_text(""), 0),
        (lambda host: (host.overrides / "loki.service.d").mkdir(), 0),
    ],
)
def test_changed_files_and_units_are_counted(
    host: Host, change: Callable[[Host], object], count: int
) -> None:
    change(host)
    assert host.metrics()["drift"] == count


def unverified(host: Host) -> None:
    host.add("2-bbbb")
    host.link("current", "2-bbbb")


@pytest.mark.parametrize(
    "change",
    [
        unverified,
        lambda host: (host.run / "loki.pending").write_text(""),
        lambda host: (host.base / "unfinished/loki.json").write_text(""),
        lambda host: (host.component / "last-known-good").unlink(),
    ],
)
def test_a_rollout_that_did_not_finish_is_unverified(
    host: Host, change: Callable[[Host], object]
) -> None:
    change(host)
    found = host.metrics()
    assert (found["unverified"], found["drift"]) == (1, 0)


def test_a_rollback_counts_until_the_next_rollout(host: Host) -> None:
    host.link("rolled-back-from", "2-bbbb")
    assert host.metrics()["rolled_back"] == 1
    host.link("rolled-back-from", "1-aaaa")
    assert host.metrics()["rolled_back"] == 0


def test_a_first_install_that_did_not_finish_has_no_generation(host: Host) -> None:
    shutil.rmtree(host.component)
    host.component.mkdir()
    found = host.metrics()
    assert (found["unverified"], found["drift"], found["timestamp_seconds"]) == (
        1,
        0,
        0,
    )


def test_half_removed_components_and_empty_hosts_have_no_metrics(host: Host) -> None:
    host.component.rename(host.component.with_name(".removing-loki"))
    assert host.metrics() == {}
    shutil.rmtree(host.base)
    assert host.metrics() == {}


def test_names_are_escaped(host: Host) -> None:
    host.component.rename(host.component.with_name('l"o\\ki'))
    host.metrics()
    assert r'name="l\"o\\ki"' in host.output.read_text()


def certificate(end: datetime) -> bytes:
    """Return a certificate that expires at a time."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x" * 60)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7)
    built = builder.not_valid_before(datetime(1950, 1, 1)).not_valid_after(end)
    return built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    "end",
    [
        datetime(1999, 12, 31, 23, 59, 59),
        datetime(2027, 2, 28, 1, 2, 3),
        datetime(2049, 12, 31),
        datetime(2051, 1, 1),
    ],
)
def test_the_first_certificate_to_expire_counts(host: Host, end: datetime) -> None:
    later = certificate(end + timedelta(days=9))
    host.write("etc/tls/certificate.pem", later + certificate(end) + b"text")
    host.write("etc/tls/ca.pem", later)
    found = host.metrics()["certificate_expiry_timestamp_seconds"]
    assert found == end.replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize("text", ["", "AAAA", "!", "MIIB", "MAMCAQE="])
def test_a_damaged_certificate_has_no_end(host: Host, text: str) -> None:
    pem = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
    host.write("etc/tls/ca.pem", pem.encode())
    assert "certificate_expiry_timestamp_seconds" not in host.metrics()
