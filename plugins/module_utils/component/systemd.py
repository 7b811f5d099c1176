# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everything that is asked of systemd."""

from __future__ import annotations

import os
import re
import subprocess

from . import files, layout
from .component_errors import ComponentError
from .rollout_plan import Unit

PROPERTIES = "ActiveState,SubState,MainPID,InvocationID,NRestarts,FragmentPath"
MINIMUM_VERSION = 247
CHECK_SECONDS = 60
LONGEST_LINE = 600
WARNING = re.compile(r"\b(warn|warning)\b", re.IGNORECASE)
COMPLAINT = re.compile(
    r"\b(error|err|fatal|panic|fail|failed|failure|refused|not defined)\b", re.IGNORECASE
)


def run(command: list, timeout: float | None = 60) -> subprocess.CompletedProcess:
    """Run a program and keep what it says, errors included; the caller judges the exit code."""
    environment = {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=environment,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise ComponentError(
            f"This host has no {command[0]}, which is needed to run the components."
        ) from None
    except subprocess.TimeoutExpired:
        raise ComponentError(f"{' '.join(command[:3])} did not end within {timeout} s.") from None


def systemctl(*words: str) -> None:
    """Run systemctl, or fail with what it says; how long a unit may take to stop is the unit's to say."""
    result = run(["systemctl", *words], timeout=None)
    if result.returncode != 0:
        raise ComponentError(f"systemctl {' '.join(words)} failed: {result.stdout.strip()}")


def require_version() -> None:
    """Refuse a host whose systemd is too old to run our units."""
    told = run(["systemctl", "--version"]).stdout
    found = re.match(r"systemd (\d+)", told)
    if not found:
        raise ComponentError(
            f"What systemd runs here is not known: {told.strip()[:80] or 'it says nothing'}"
        )
    if int(found.group(1)) < MINIMUM_VERSION:
        raise ComponentError(
            f"systemd {found.group(1)} is too old: {MINIMUM_VERSION} or newer is needed."
        )


def show(unit_names: list) -> dict:
    """State of units, all by one call."""
    return {name: _unit(values) for name, values in properties(unit_names, PROPERTIES).items()}


def properties(unit_names: list, desired: str) -> dict:
    """Properties of units as systemd writes them, all by one call."""
    if not unit_names:
        return {}
    result = run(["systemctl", "show", "--property=" + desired, "--", *unit_names])
    if result.returncode != 0:
        raise ComponentError(f"systemctl show failed: {result.stdout.strip()}")
    blocks = result.stdout.strip("\n").split("\n\n")
    return {
        name: dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for name, block in zip(unit_names, blocks)
    }


def _unit(values: dict) -> Unit:
    return Unit(
        active=values.get("ActiveState", "inactive"),
        sub=values.get("SubState", "dead"),
        main_pid=int(values.get("MainPID") or 0),
        invocation=values.get("InvocationID", ""),
        restarts=int(values.get("NRestarts") or 0),
        fragment=values.get("FragmentPath", ""),
    )


def journal(unit_name: str, since: float) -> str:
    """What a unit logged since a time in seconds of the epoch, cut to what an error message has room for."""
    command = ["journalctl", "--no-pager", "--quiet", "--output=cat", f"--unit={unit_name}"]
    command += [f"--since=@{since:.6f}"]
    try:
        # What a program said right before it ended may still be on its way to the journal.
        run(["journalctl", "--sync"], timeout=20)
        return excerpt(run(command, timeout=20).stdout)
    except ComponentError:
        return ""


def excerpt(text: str, last: int = 15, complaints: int = 5) -> str:
    """The last lines since the last start, and before them the first complaints. Pure.

    Programs say much while they end, the one that was stopped as well as the one that could not start.
    """
    lines = [
        line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + "..."
        for line in text.splitlines()
    ]
    starts = [number for number, line in enumerate(lines) if line.startswith("Starting ")]
    lines = lines[starts[-1] :] if starts else lines
    earlier = [
        line for line in lines[:-last] if COMPLAINT.search(line) and not WARNING.search(line)
    ][:complaints]
    return "\n".join([*earlier, *(["..."] if earlier else []), *lines[-last:]])


def check(name: str, etc: str, command: list, environment: dict) -> tuple:
    """Run a configuration checker as the component's user, with ``etc`` in place of its configuration.

    Returns its exit code and what it wrote.
    """
    properties = [
        f"User={name}",
        f"Group={name}",
        f"BindReadOnlyPaths={etc}:{layout.etc(name)}",
        "ProtectSystem=strict",
        "PrivateTmp=yes",
        "NoNewPrivileges=yes",
        f"RuntimeMaxSec={CHECK_SECONDS}",
    ]
    words = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--service-type=exec"]
    words += [f"--property={item}" for item in properties]
    words += [f"--setenv={key}={value}" for key, value in environment.items()]
    # The manager would expand variables in the words.
    result = run(
        [*words, "--", *[word.replace("$", "$$") for word in command]], timeout=CHECK_SECONDS + 30
    )
    return result.returncode, result.stdout.strip()


def running_generation(name: str, invocation: str) -> tuple:
    """The generation that the running process uses and the digest of its unit; both empty when that is not known."""
    words = (files.read(layout.running(name)) or b"").decode("utf-8", "replace").split()
    if len(words) != 3 or not invocation or words[0] != invocation:
        return "", ""
    return os.path.basename(words[1]), words[2]


def record_running(name: str, invocation: str, generation: str, unit_digest: str) -> None:
    """Note that the running process uses ``generation`` now, in the form of the unit's own note."""
    files.replace(
        layout.running(name),
        f"{invocation} generations/{generation} {unit_digest}\n".encode(),
        0o600,
    )
