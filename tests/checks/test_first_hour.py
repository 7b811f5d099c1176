# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks as a new user starts them in a checkout; no host is contacted."""

from __future__ import annotations

import configparser
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils import (
    upstream_releases,
)
from tests import artifact
from tests.conftest import ROOT

HOSTS = "monitoring: {hosts: {a: {}}, children: {loki: {hosts: {a: {}}}}}\n"
BROKEN = "monitoring: {hosts: {a: {}}\n"
NO_INVENTORY = ": has no host; pass one with -i"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("site.yml", NO_INVENTORY),
        ("playbooks/status.yml", NO_INVENTORY),
        ("playbooks/verify.yml", NO_INVENTORY),
        ("playbooks/uninstall.yml -e purge=true -e confirm=yes", NO_INVENTORY),
        ("playbooks/rollback.yml -e component=loki", NO_INVENTORY),
        ("playbooks/export.yml -e export={0}/export", NO_INVENTORY),
        ("playbooks/bundle.yml -e bundle={0}/bundle", NO_INVENTORY),
        ("site.yml -i {0}/nothere", "{0}/nothere"),
        ("site.yml -i {0}/broken.yml", "{0}/broken.yml"),
        ("site.yml -i {0}/hosts.yml --tags lokki", "did you mean loki?"),
        (
            "playbooks/export.yml -i {0}/hosts.yml -e export={0}/x",
            "in the group grafana",
        ),
        (
            "playbooks/rollback.yml -i {0}/hosts.yml -e component=tempo",
            "the group tempo",
        ),
        ("playbooks/uninstall.yml -i {0}/hosts.yml --tags loki", "has no tags"),
        (
            "playbooks/lock.yml -e monitoring_lock_roles=loki,lokki",
            "monitoring_lock_roles: lokki: no such role; the roles are alertmanager,",
        ),
        (
            "playbooks/verify.yml -i {0}/hosts.yml -e verify_only=logz",
            "did you mean logs?",
        ),
        (
            "playbooks/uninstall.yml -i {0}/hosts.yml -e confirm=yes -e purge=maybe",
            "purge: 'maybe' is no boolean; write true or false.",
        ),
        (
            "site.yml -i {0}/hosts.yml -e monitoring_serial=abc",
            "monitoring_serial: 'abc' is no number of hosts; write one such as 1 or 25%.",
        ),
        (
            "playbooks/bundle.yml -i {0}/hosts.yml -e bundel=b -e lokki_version=3.7.9",
            "-e lokki_version: is no variable of a role; did you mean loki_version?",
        ),
        (
            "playbooks/lock.yml -i {0}/hosts.yml --limit a",
            "runs on the controller; omit it",
        ),
    ],
)
def test_playbook_that_does_nothing_fails_and_gives_the_reason(
    tmp_path: Path, arguments: str, message: str
) -> None:
    (tmp_path / "hosts.yml").write_text(HOSTS)
    (tmp_path / "broken.yml").write_text(BROKEN)
    code, output = play(*arguments.format(tmp_path).split())
    assert code != 0
    assert message.format(tmp_path) in " ".join(output.split())


def play(*arguments: str, cwd: Path = ROOT, **variables: str) -> tuple[int, str]:
    """Run ansible-playbook as a user does; return its end and its output."""
    return program("ansible-playbook", *arguments, cwd=cwd, **variables)


def program(
    name: str, *arguments: str, cwd: Path = ROOT, **variables: str
) -> tuple[int, str]:
    """Run a program of Ansible in a directory, with more variables of the environment."""
    environment = {
        name: value for name, value in os.environ.items() if "ANSIBLE" not in name
    }
    more = {"COLUMNS": "500", "ANSIBLE_NOCOLOR": "true", **variables}
    done = subprocess.run(
        [Path(sys.executable).with_name(name), *arguments],
        cwd=cwd,
        env={**environment, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


DOCUMENT = ROOT / "docs" / "several-hosts.md"
HOSTS_OF_DOCUMENT = {"app": "10.0.0.1", "storage": "10.0.0.2", "dashboards": "10.0.0.3"}
SECRETS = {
    "HEARTBEAT_URL": "https://heartbeat.example/ping",
    "DISCORD_WEBHOOK_URL": "https://discord.example/api/webhooks/1/token",
    "GRAFANA_ADMIN_PASSWORD": "of three hosts",
    "GRAFANA_SECRET_KEY": "of three hosts, too",
}


def test_page_about_several_hosts_followed_to_the_letter_prints_no_warning(
    tmp_path: Path,
) -> None:
    inventory = tmp_path / "inventories/mine"
    shutil.copytree(ROOT / "inventories/prod", inventory)
    text = DOCUMENT.read_text(encoding="utf-8")
    hosts = re.search(r"^```yaml\n(.*?)^```", text, re.M | re.S)[1]
    (inventory / "hosts.yml").write_text(hosts)
    certify(inventory / "tls", DOCUMENT)
    # Content that the other pages place beside the inventory.
    (inventory / "dashboards").mkdir()
    for name in ("dashboards/one.json", "two.json", "alerts.yml", "own.lock.yml"):
        (inventory / name).write_text('{"uid": "one", "groups": []}')
    for playbook in ("site.yml --tags always", "playbooks/check.yml"):
        code, output = play(*playbook.split(), "-i", str(inventory), **SECRETS)
        assert code == 0, output
        assert "[WARNING]" not in output
    code, output = program("ansible-inventory", "--list", "-i", str(inventory))
    assert set(json.loads(output)["_meta"]["hostvars"]) == set(HOSTS_OF_DOCUMENT)


# The quick start of the first one is run to the letter by test_commands.py.
EXAMPLES = ["three-hosts", "air-gap"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_of_the_installed_collection_passes_the_first_play_without_a_warning(
    installed: Path, tmp_path: Path, name: str
) -> None:
    example = tmp_path / "monitoring"
    shutil.copytree(installed / artifact.COLLECTION / "examples" / name, example)
    # The directories that the commands of the READMEs fill.
    if name == "air-gap":
        for path in archive_paths():
            (example / "bundle" / path).parent.mkdir(parents=True, exist_ok=True)
            (example / "bundle" / path).touch()
    if name == "three-hosts":
        certify(example / "tls", example / "README.md")
    own = {**SECRETS, "ANSIBLE_COLLECTIONS_PATH": str(installed)}
    code, output = play("hippius.monitoring.check", cwd=example, **own)
    assert code == 0, output
    assert "[WARNING]" not in output


def archive_paths() -> list[str]:
    """Return the paths of all locked archives in a bundle."""
    lock = yaml.safe_load((ROOT / "releases.lock.yml").read_text(encoding="utf-8"))
    entries = upstream_releases.entries_of(lock)
    return [upstream_releases.mirror_path(entry["url"]) for entry in entries]


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[str]:
    """Serve the checksums of a new node_exporter as a mirror does; return the base address."""
    url = upstream_releases.archive_url("node_exporter", "9.9.9", "amd64")
    path = tmp_path / "mirror" / upstream_releases.mirror_path(url)
    path.parent.mkdir(parents=True)
    sums = [
        f"{digit * 64}  {path.name.replace('amd64', architecture)}\n"
        for digit, architecture in (("1", "amd64"), ("2", "arm64"))
    ]
    path.with_name("sha256sums.txt").write_text("".join(sums))
    handler = partial(
        http.server.SimpleHTTPRequestHandler, directory=tmp_path / "mirror"
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_lock_file_of_a_user_is_beside_the_inventory_and_every_run_reads_it(
    installed: Path, tmp_path: Path, upstream: str
) -> None:
    collection = installed / artifact.COLLECTION
    before = (collection / "releases.lock.yml").read_bytes()
    example = tmp_path / "monitoring"
    shutil.copytree(collection / "examples/one-host", example)
    own = {**SECRETS, "ANSIBLE_COLLECTIONS_PATH": str(installed)}
    new = ["-e", "node_exporter_version=9.9.9", "-e", f"monitoring_mirrors={upstream}"]
    check = ["hippius.monitoring.check", *new]
    lock = [
        "hippius.monitoring.lock",
        *new,
        "-e",
        "monitoring_lock_roles=node_exporter",
    ]
    # Outside of the example there is no inventory.
    code, output = play(*lock, cwd=tmp_path, **own)
    assert code == 2 and "No inventory is given" in output
    code, output = play(*lock, cwd=example, **own)
    assert code == 0, output
    locked = yaml.safe_load((example / "releases.lock.yml").read_text())
    assert set(locked["node_exporter"]["9.9.9"]) == {"amd64", "arm64"}
    # The other releases are those of the collection.
    code, output = play(*check, cwd=example, **own)
    assert (code, "[WARNING]" in output) == (0, False), output
    assert (collection / "releases.lock.yml").read_bytes() == before


def test_page_about_several_hosts_has_the_inventory_and_the_commands_of_the_example() -> (
    None
):
    hosts = (ROOT / "examples/three-hosts/hosts.yml").read_text(encoding="utf-8")
    readme = (ROOT / "examples/three-hosts/README.md").read_text(encoding="utf-8")
    assert f"```yaml\n{hosts}```" in DOCUMENT.read_text(encoding="utf-8")
    assert certificate_commands(DOCUMENT) in readme


def test_examples_have_the_same_settings_of_ansible() -> None:
    names = {path.parent.name for path in ROOT.glob("examples/*/hosts.yml")}
    assert names == {"one-host", *EXAMPLES}
    files = {path.read_text("utf-8") for path in ROOT.glob("examples/*/ansible.cfg")}
    assert len(files) == 1
    own, checkout = configparser.RawConfigParser(), configparser.RawConfigParser()
    own.read_string(*files)
    checkout.read(ROOT / "ansible.cfg")
    for section in own.sections():
        for option in set(own.options(section)) - {"inventory"}:
            assert own.get(section, option) == checkout.get(section, option)


def certificate_commands(page: Path) -> str:
    """Return the block of a page that makes certificates: one command, then those of each host."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    return next(block for block in blocks if block.startswith("openssl"))


def certify(folder: Path, page: Path) -> None:
    """Create the certificates of the three hosts by the commands of a page."""
    folder.mkdir()
    commands = certificate_commands(page).strip()
    authority, *for_each = re.split(r"(?<!\\)\n(?=\S)", commands)
    openssl(folder, authority, {})
    for host, address in HOSTS_OF_DOCUMENT.items():
        for command in for_each:
            openssl(folder, command, {"host": host, "address": address})


def openssl(folder: Path, command: str, variables: dict[str, str]) -> None:
    environment = {**os.environ, **variables}
    subprocess.run(
        ["sh", "-ec", command],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
    )


@pytest.mark.parametrize(
    ("arguments", "is_confirmed"),
    [
        ("", False),
        ("-e purge=true", False),
        ("-e confirm=no", False),
        ("--check", True),
    ],
)
def test_uninstall_requires_confirmation_unless_it_only_shows(
    tmp_path: Path, arguments: str, is_confirmed: bool
) -> None:
    # A host that answers nobody: a confirmed run goes on to it.
    (tmp_path / "hosts.yml").write_text(
        "monitoring: {hosts: {a: {ansible_host: 127.0.0.1, ansible_port: 1}}}"
    )
    command = ["playbooks/uninstall.yml", "-i", str(tmp_path / "hosts.yml")]
    code, output = play(*command, *arguments.split())
    refused = "uninstall of a: is not confirmed; add -e confirm=yes"
    assert (refused in " ".join(output.split())) == (not is_confirmed)
    assert ("UNREACHABLE" in output) == is_confirmed
    assert code == (4 if is_confirmed else 2)


CONTENT_HOSTS = """
monitoring:
  hosts: {a: {}}
  children: {grafana: {hosts: {a: {}}}, loki: {hosts: {a: {}}}}
"""
CONTENT_VARIABLES = """
monitoring_environment: dev
grafana_admin_password: admin
grafana_secret_key: SW2YcwTIb9zpOOhoPsMm
grafana_content_discord: false
grafana_content_directories: [{directory: grafana, folder: Mine}]
"""
CONTENT = {
    "alerts.yml": (
        "groups:\n  - name: mine\n    rules:\n"
        "      - {alert: High, for: 5 minutes, expr: 'rate(x[5m] >'}\n"
    ),
    "board.json": json.dumps(
        {
            "uid": "board",
            "title": "Board",
            "panels": [{"datasource": {"type": "loki", "uid": "loky"}}],
        }
    ),
    "broken.json": '{"title": "One",\n "uid": "one",}\n',
    "broken.yml": "apiVersion: 1\npolicies: [\n",
    "policy.yml": "apiVersion: 1\npolicies:\n  - receiver: ops-slak\n",
    "slack.yml": (
        "apiVersion: 1\ncontactPoints:\n  - name: ops-slack\n    receivers:\n"
        "      - {uid: slack, type: slack, settings: {url: https://slack.example/x}}\n"
    ),
}


def test_content_beside_the_inventory_is_judged_before_any_host_is_contacted(
    tmp_path: Path,
) -> None:
    (tmp_path / "hosts.yml").write_text(CONTENT_HOSTS)
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/all.yml").write_text(CONTENT_VARIABLES)
    (tmp_path / "grafana").mkdir()
    for name, content in CONTENT.items():
        (tmp_path / "grafana" / name).write_text(content)
    code, output = play("site.yml", "-i", str(tmp_path))
    assert code == 2 and "UNREACHABLE" not in output
    message = output.partition("correct these errors:\n")[2].partition("Origin:")[0]
    assert [line.split(": ")[0] for line in message.splitlines()] == [
        "grafana/broken.json:2",
        "grafana/broken.yml:3",
        "grafana/alerts.yml:4",
        "grafana/alerts.yml:4",
        "grafana/policy.yml:3",
    ]
    assert "did you mean ops-slack?" in message
    # Ansible itself shows the message of a failed task and then its result.
    assert output.count("did you mean ops-slack?") == 2
    for name in ("broken.json", "broken.yml", "policy.yml", "alerts.yml"):
        (tmp_path / "grafana" / name).unlink()
    code, output = play("playbooks/check.yml", "-i", str(tmp_path))
    assert code == 0, output
    (warning,) = re.findall(r"^\[WARNING\]: (.*)", output, re.MULTILINE)
    assert warning.startswith(
        "grafana/board.json:1: dashboard Board, datasource is loky"
    )
    assert warning.endswith("did you mean loki?")


def test_secrets_are_made_once_in_an_encrypted_file_that_the_inventory_reads(
    tmp_path: Path,
) -> None:
    inventory = tmp_path / "mine"
    shutil.copytree(ROOT / "inventories/prod", inventory)
    (tmp_path / "password").write_text("of the vault")
    vault = ["--vault-password-file", str(tmp_path / "password")]
    make = ["playbooks/secrets.yml", "-i", str(inventory)]
    code, output = play(*make)
    assert code == 2 and "add --ask-vault-pass or --vault-password-file" in output
    code, output = play(*make, *vault)
    assert code == 0, output
    file = inventory / "group_vars/monitoring.yml"
    content = file.read_bytes()
    assert content.startswith(b"$ANSIBLE_VAULT;")
    assert file.stat().st_mode & 0o777 == 0o600
    _code, text = program("ansible-vault", "view", *vault, str(file))
    made = yaml.safe_load(text)
    assert set(made) == {"grafana_admin_password", "grafana_secret_key"}
    assert all(len(value) >= 32 and value not in output for value in made.values())
    # The second run changes nothing.
    code, output = play(*make, *vault)
    assert (code, "changed=0" in output, file.read_bytes()) == (0, True, content)
    code, output = play("playbooks/check.yml", "-i", str(inventory))
    assert code != 0
    hint = "monitoring.yml: encrypted by Ansible Vault; add --ask-vault-pass or"
    assert hint in " ".join(output.split())
    # With them and a webhook the inventory is complete.
    others = {name: text for name, text in SECRETS.items() if "URL" in name}
    code, output = play("playbooks/check.yml", "-i", str(inventory), *vault, **others)
    assert (code, "[WARNING]" in output) == (0, False), output
    file.write_text("other: 1\n")
    code, output = play(*make, *vault)
    assert code == 2 and "exists without grafana_admin_password and" in output


# A host that is not there yet, and a release that nobody has.
LOCAL = """
monitoring:
  hosts: {localhost: {ansible_connection: local, monitoring_environment: prod}}
  children: {loki: {hosts: {localhost: {}}}, otel_collector: {hosts: {localhost: {}}}}
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
"""
REFUSED = """
- hosts: localhost
  gather_facts: false
  tasks:
    - hippius.monitoring.component:
        name: loki
        release: {name: loki, version: "99.9.9"}
"""


@pytest.mark.parametrize("columns", [80, 140])
def test_tables_fit_the_terminal(tmp_path: Path, columns: int) -> None:
    (tmp_path / "hosts.yml").write_text(LOCAL)
    (tmp_path / "refused.yml").write_text(REFUSED)
    inventory = ["-i", str(tmp_path / "hosts.yml")]
    screen = in_terminal(columns, "playbooks/status.yml", *inventory)
    table = screen[screen.index("HOST ") :].partition("\n\x1b")[0].splitlines()
    assert [line.split()[:3] for line in table] == [
        ["HOST", "COMPONENT", "STATE"],
        ["localhost", "loki", "absent"],
        ["localhost", "otel-collector", "absent"],
    ]
    assert max(map(len, table)) <= columns
    screen = in_terminal(columns, str(tmp_path / "refused.yml"), *inventory)
    table = screen[screen.index("HOST ") :].strip().splitlines()
    *rows, following = table
    assert following.startswith("Next: correct the errors above")
    assert max(map(len, rows)) <= columns
    # The reason is in its column, whose lines have the same margin.
    margin = rows[0].index("REASON")
    assert rows[1].split()[:4] == ["localhost", "loki", "failed", "failed"]
    assert all(row[:margin].isspace() for row in rows[2:])
    reason = " ".join(row[margin:] for row in rows[1:])
    assert "release loki 99.9.9 is not in" in reason
    assert "to add it." in reason


def in_terminal(columns: int, *arguments: str) -> str:
    """Run ansible-playbook in a terminal of this width; return what it shows."""
    controller, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (40, columns))
    environment = {
        name: value
        for name, value in os.environ.items()
        if "ANSIBLE" not in name and name != "COLUMNS"
    }
    with subprocess.Popen(
        [Path(sys.executable).with_name("ansible-playbook"), *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
    ):
        os.close(terminal)
        shown = b"".join(iter(partial(read_terminal, controller), b""))
    os.close(controller)
    return shown.decode().replace("\r\n", "\n")


def read_terminal(controller: int) -> bytes:
    """Return some output; the end of a terminal is an error of its other side."""
    try:
        return os.read(controller, 65536)
    except OSError:
        return b""
