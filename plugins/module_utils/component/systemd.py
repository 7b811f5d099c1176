# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of systemd's programs, and the record of the generation that a process runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from . import files, layout
from .component_errors import ComponentError
from .observed_state import Unit

if TYPE_CHECKING:
    from typing import IO

PROPERTIES = (
    "ActiveState,SubState,MainPID,InvocationID,NRestarts,FragmentPath,"
    "LoadState,NeedDaemonReload,DropInPaths"
)
MINIMUM_VERSION = 247
CHECK_SECONDS = 60
SELINUX = "/sys/fs/selinux/enforce"
# Hardening guides (STIG) set it to 0, and a kernel without user namespaces lacks it.
USER_NAMESPACES = "/proc/sys/user/max_user_namespaces"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LONGEST_OUTPUT = 1024 * 1024
LONGEST_LINE = 600
# A rollback waits for the journal, which may not answer.
JOURNAL_SECONDS = 10
NOTICE = "notice: "
# Calls of functions and their places in a stack trace of Go, also within a quoted error.
FRAME = re.compile(
    r"\t\S+:\d+|goroutine \d+ |created by |[\w./\[\]*()-]+\.[\w.*()\[\]-]+\(.*\)$"
)
QUOTED_FRAMES = re.compile(r"(?:\\n[\w./()*\[\]-]+(?:\\n\\t[^\s\\\"]+:\d+)?){2,}")
ERROR = re.compile(r'\b(?:err|error)="((?:[^"\\]|\\.)+)"')
WARNING = re.compile(r"\b(warn|warning|level=info|level=debug)\b", re.IGNORECASE)
COMPLAINT = re.compile(
    r"\b(error|err|fatal|panic|fail|failed|failure|refused|not defined)\b",
    re.IGNORECASE,
)


def run(
    command: list[str], timeout: float | None = 60
) -> subprocess.CompletedProcess[str]:
    """Run a program and capture its output, errors included; do not check its exit code.

    A checker may print without end, so that a program is killed after LONGEST_OUTPUT bytes.
    """
    environment = {
        **os.environ,
        # su and sudo may leave out the directories of useradd and others.
        "PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}",
        "LC_ALL": "C",
        "SYSTEMD_COLORS": "0",
        "SYSTEMD_PAGER": "",
    }
    try:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    except FileNotFoundError:
        raise ComponentError(
            f"{command[0]}: not found on this host; install it."
        ) from None
    with process:
        try:
            output = _read_output(process, timeout)
        except subprocess.TimeoutExpired:
            message = f"{' '.join(command[:3])}: no end within {timeout} s."
            raise ComponentError(message) from None
        finally:
            process.kill()
    return subprocess.CompletedProcess(command, process.returncode, output)


def _read_output(process: subprocess.Popen[bytes], timeout: float | None) -> str:
    """Return what a process prints until it ends; raise TimeoutExpired."""
    deadline = None if timeout is None else time.monotonic() + timeout
    output = bytearray()
    pipe = cast("IO[bytes]", process.stdout)
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while len(output) < LONGEST_OUTPUT:
            remaining = None if deadline is None else deadline - time.monotonic()
            if (remaining is not None and remaining <= 0) or not selector.select(
                remaining
            ):
                raise subprocess.TimeoutExpired(process.args, timeout or 0)
            chunk = os.read(pipe.fileno(), 65536)
            if not chunk:
                process.wait(
                    None if deadline is None else max(0.0, deadline - time.monotonic())
                )
                return output.decode("utf-8", "replace")
            output += chunk
    return output.decode("utf-8", "replace") + "\n[more output was not read]"


def systemctl(*arguments: str) -> None:
    """Run systemctl, with the units' own timeouts; raise when it fails."""
    result = run(["systemctl", *arguments], timeout=None)
    if result.returncode != 0:
        raise ComponentError(
            f"systemctl {' '.join(arguments)} failed: {result.stdout.strip()}"
        )


def relabel(path: str) -> None:
    """Give a tree the SELinux labels of its place, if the host has such.

    What is written inherits the label of its directory, while the policy has others: programs in
    a directory bin below /opt are bin_t, and an administrator may have added rules of his own.
    """
    if os.path.exists(SELINUX) and shutil.which("restorecon", path=SYSTEM_PATH):
        run(["restorecon", "-R", path])


def has_user_namespaces() -> bool:
    """Return whether the kernel gives systemd the user namespaces that PrivateUsers needs."""
    try:
        with open(USER_NAMESPACES, encoding="ascii") as stream:
            return stream.read().strip() != "0"
    except OSError:
        return False


def require_version() -> None:
    """Raise when the host's systemd is too old to run our units."""
    output = run(["systemctl", "--version"]).stdout
    version = re.match(r"systemd (\d+)", output)
    if not version:
        details = output.strip()[:80] or "no output"
        raise ComponentError(f"systemd: cannot determine its version ({details}).")
    if int(version[1]) < MINIMUM_VERSION:
        raise ComponentError(
            f"systemd {version[1]}: it is too old; {MINIMUM_VERSION} or newer is required."
        )


def show(unit_names: Sequence[str]) -> dict[str, Unit]:
    """Return the state of each unit, queried by one call."""
    units = properties(unit_names, PROPERTIES)
    return {name: _unit(values) for name, values in units.items()}


def properties(unit_names: Sequence[str], names: str) -> dict[str, dict[str, str]]:
    """Return the comma-separated properties of each unit, queried by one call."""
    if not unit_names:
        return {}
    result = run(["systemctl", "show", "--property=" + names, "--", *unit_names])
    if result.returncode != 0:
        raise ComponentError(f"systemctl show failed: {result.stdout.strip()}")
    blocks = result.stdout.strip("\n").split("\n\n")
    return {name: _assignments(block) for name, block in zip(unit_names, blocks)}


def _assignments(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _unit(values: dict[str, str]) -> Unit:
    return Unit(
        active=values.get("ActiveState", "inactive"),
        sub=values.get("SubState", "dead"),
        main_pid=int(values.get("MainPID") or 0),
        invocation=values.get("InvocationID", ""),
        restarts=int(values.get("NRestarts") or 0),
        fragment=values.get("FragmentPath", ""),
        load=values.get("LoadState", "loaded"),
        stale=values.get("NeedDaemonReload") == "yes",
        drop_ins=tuple(values.get("DropInPaths", "").split()),
    )


def notices(output: str) -> list[str]:
    """Return what a program has to tell the user, from lines that begin with "notice: ". Pure."""
    lines = output.splitlines()
    return [line[len(NOTICE) :] for line in lines if line.startswith(NOTICE)]


def journal(unit_name: str, since: float) -> str:
    """Return an excerpt of a unit's journal since a time in seconds of the epoch."""
    return excerpt(read_journal(unit_name, since))


def read_journal(unit_name: str, since: float) -> str:
    """Return the last lines of a unit's journal since a time in seconds of the epoch."""
    command = ["journalctl", "--no-pager", "--quiet", "--output=cat"]
    command += [f"--unit={unit_name}", f"--since=@{since:.6f}", "--lines=2000"]
    try:
        return run(command, timeout=JOURNAL_SECONDS).stdout
    except ComponentError:
        return ""


def sync_journal() -> None:
    """Wait until the last lines of a program that ended are in the journal."""
    with contextlib.suppress(ComponentError):
        run(["journalctl", "--sync"], timeout=JOURNAL_SECONDS)


def excerpt(log: str, last: int = 15, complaints: int = 5) -> str:
    """Return the last lines since the last start, preceded by the first complaints. Pure.

    A program may log much while it ends, whether it was stopped or failed to start.
    """
    lines = [
        _shortened(QUOTED_FRAMES.sub("", line))
        for line in log.splitlines()
        if not FRAME.match(line)
    ]
    starts = [index for index, line in enumerate(lines) if line.startswith("Starting ")]
    if starts:
        lines = lines[starts[-1] :]
    earlier = list(filter(_is_complaint, lines[:-last]))[:complaints]
    if earlier:
        earlier.append("...")
    return "\n".join(earlier + lines[-last:])


def cause(log_excerpt: str) -> str:
    """Return the error in the first complaint of an excerpt, empty without one. Pure."""
    for line in filter(_is_complaint, log_excerpt.splitlines()):
        error = ERROR.search(line)
        return error[1] if error else line
    return ""


def _shortened(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + "..."


def _is_complaint(line: str) -> bool:
    return bool(COMPLAINT.search(line)) and not WARNING.search(line)


def check(
    name: str,
    etc: str,
    command: list[str],
    environment: dict[str, str],
    more_settings: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a checker as the component's user, with ``etc`` in place of its configuration."""
    settings = [
        f"User={name}",
        f"Group={name}",
        f"BindReadOnlyPaths={etc}:{layout.etc(name)}",
        "ProtectSystem=strict",
        "PrivateTmp=yes",
        "NoNewPrivileges=yes",
        f"RuntimeMaxSec={CHECK_SECONDS}",
        *more_settings,
    ]
    words = [
        "systemd-run",
        "--quiet",
        "--wait",
        "--pipe",
        "--collect",
        "--service-type=exec",
    ]
    words += [f"--property={setting}" for setting in settings]
    words += [f"--setenv={key}={value}" for key, value in environment.items()]
    # The manager would expand variables in the command.
    escaped = [word.replace("$", "$$") for word in command]
    return run([*words, "--", *escaped], timeout=CHECK_SECONDS + 30)


def running_generation(name: str, invocation: str) -> tuple[str, str]:
    """Return the running process' generation and unit digest; both empty without a record."""
    record = files.read(layout.running(name)) or b""
    fields = record.decode("utf-8", "replace").split()
    if len(fields) not in (3, 4) or not invocation or fields[0] != invocation:
        return "", ""
    return os.path.basename(fields[1]), fields[2]


def running_drop_ins(name: str, invocation: str) -> str:
    """Return the digest of the drop-ins that the process was started with; empty if unknown."""
    fields = (
        (files.read(layout.running(name)) or b"").decode("utf-8", "replace").split()
    )
    is_known = len(fields) == 4 and invocation and fields[0] == invocation
    return fields[3] if is_known else ""


def drop_ins_digest(paths: Sequence[str]) -> str:
    """Return the digest of drop-ins as the recorder of a unit computes it."""
    own = [path for path in paths if "/service.d/" not in path]
    content = b"".join(files.read(path) or b"" for path in own)
    return hashlib.sha256(content).hexdigest()[:12]


def record_running(
    name: str, invocation: str, generation: str, unit_digest: str
) -> None:
    """Record the running process' generation in the format that the unit itself writes."""
    drop_ins = running_drop_ins(name, invocation)
    record = f"{invocation} generations/{generation} {unit_digest} {drop_ins}\n"
    files.replace(layout.running(name), record.encode(), 0o600)
