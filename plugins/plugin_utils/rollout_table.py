# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tables of what a run did and of what is on the hosts. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

# A release's directory: name, version from the first digit after a dash, start of its checksum.
RELEASE = re.compile(r"(?P<name>.+?)-(?P<version>\d.*?)(-[0-9a-f]{8})?\Z")
NONE, REMOVE, FAILED = "none", "remove", "failed"
UNREACHABLE = "unreachable"
# What Ansible writes before the message of a task, and what helps against some of its own messages.
PREFIXES = re.compile(r"((Task|Module|Action) failed: )+")
# Messages of a Python that is too old for our modules, or for Ansible's wrapper of them.
OLD_PYTHON = re.compile(r"object is not subscriptable|\bSyntaxError")
OLD_PYTHON_REMEDY = (
    "the Python of the host is older than 3.9; install Python 3.9 or newer, or set"
    " ansible_python_interpreter to one."
)
REMEDIES = {
    "Missing sudo password": "add --ask-become-pass",
    "Host key verification failed": "log in by ssh once and accept the key",
    "Permission denied (": "log in by ssh with the inventory's user and key",
}
# Narrower columns of the last cell are no help; it goes to a line of its own.
MIN_WIDTH_OF_LAST = 24
INDENT = "    "


class Change(NamedTuple):
    """The outcome for one instance of a component on one host, or for Grafana's content."""

    host: str
    component: str
    action: str
    version: str = ""
    state: str = ""
    address: str = ""
    seconds: float | None = None
    reasons: tuple[str, ...] = ()


def changes_of(
    host: str, result: Mapping[str, Any], seconds: float | None, check_mode: bool
) -> list[Change]:
    """Return the outcome for each instance in a result of the component modules."""
    changes = []
    for name, instance in (result.get("instances") or {}).items():
        action = instance.get("action", NONE)
        state = "planned" if check_mode else "ready"
        if action in (NONE, REMOVE):
            state = "planned" if check_mode and action == REMOVE else ""
        release = instance.get("release", "")
        former = instance.get("previous_release", "")
        changes.append(
            Change(
                host,
                name,
                _shown_action(action, former, release),
                _shown_version(former, release),
                state,
                "" if action == REMOVE else instance.get("address", ""),
                seconds,
                tuple(instance.get("reasons") or ()),
            )
        )
    return changes


def content_change(
    host: str, result: Mapping[str, Any], seconds: float | None, check_mode: bool
) -> Change:
    """Return the outcome for the content of Grafana."""
    counts: dict[str, int] = {}
    for change in result.get("changes") or ():
        action = str(change.get("action", "write"))
        counts[action] = counts.get(action, 0) + 1
    reasons = tuple(f"{action} {count}" for action, count in sorted(counts.items()))
    changed = bool(result.get("changed"))
    state = "planned" if check_mode else "ready"
    return Change(
        host,
        "grafana-content",
        "write" if changed else NONE,
        state=state if changed else "",
        seconds=seconds,
        reasons=reasons,
    )


def failed_change(
    host: str, component: str, result: Mapping[str, Any], seconds: float | None
) -> Change:
    """Return the outcome for a component whose rollout failed."""
    state = "rolled back" if result.get("rolled_back") else "failed"
    if result.get("unreachable"):
        state = UNREACHABLE
    message = PREFIXES.sub("", str(result.get("msg", "")).strip(), count=1)
    first, *others = message.splitlines() or [""]
    for problem, remedy in REMEDIES.items():
        if problem in first:
            first = f"{first.rstrip('.')}; {remedy}."
    # A heading of errors, which are shown above.
    reason = (
        f"{_plural(len(others), 'error')}, see above" if first.endswith(":") else first
    )
    reasons = (reason,) if reason else ()
    return Change(
        host, component, FAILED, state=state, seconds=seconds, reasons=reasons
    )


def old_python(result: Mapping[str, Any]) -> str:
    """Return what is wrong with the Python of a host, empty unless a module failed for its age."""
    # Of a module that cannot be imported Ansible returns the exception alone.
    keys = ("msg", "module_stderr", "exception")
    words = " ".join(str(result.get(key)) for key in keys)
    is_old = result.get("failed") and OLD_PYTHON.search(words)
    return OLD_PYTHON_REMEDY if is_old else ""


def unreachable(changes: Iterable[Change]) -> set[str]:
    """Return the hosts that did not answer when their component was rolled out."""
    return {change.host for change in changes if change.state == UNREACHABLE}


def version_of(release: str) -> str:
    """Return the version in the name of a release's directory."""
    match = RELEASE.match(release)
    return match["version"] if match else release


def _shown_version(former: str, release: str) -> str:
    versions = [version_of(name) for name in (former, release) if name]
    return " -> ".join(dict.fromkeys(versions))


def _shown_action(action: str, former: str, release: str) -> str:
    if action in (NONE, REMOVE) or not former or not release:
        return action
    before, after = _numbers(version_of(former)), _numbers(version_of(release))
    if before == after:
        return action
    return "upgrade" if before < after else "downgrade"


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def summary(changes: Iterable[Change], width: int | None) -> list[str]:
    """Return the table of a run, without the instances that stayed as they were."""
    found = _without_repeated(list(changes))
    changed = [change for change in found if change.action != NONE]
    unchanged = [change for change in found if change.action == NONE]
    lines = []
    if changed:
        headers = ("HOST", "COMPONENT", "ACTION", "VERSION", "STATE", "ADDRESS", "TIME")
        rows = [
            (
                *change[:6],
                "" if change.seconds is None else f"{change.seconds:.0f} s",
                "; ".join(change.reasons),
            )
            for change in changed
        ]
        lines += render((*headers, "REASON"), rows, width)
    if unchanged:
        hosts = {change.host for change in unchanged}
        names = _plural(len(unchanged), "component")
        lines.append(f"Unchanged: {names} on {_plural(len(hosts), 'host')}.")
    return lines


def _without_repeated(changes: list[Change]) -> list[Change]:
    """Return changes without failures after which the same task was done, as by a rescue."""
    last = {(change.host, change.component): change for change in changes}
    return [
        change
        for change in changes
        if change.action != FAILED
        or last[change.host, change.component].action == FAILED
    ]


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def render(
    headers: Sequence[str], rows: Sequence[Sequence[str]], width: int | None
) -> list[str]:
    """Return headers and rows in columns, without columns that are empty.

    The last column is text of any length. Within ``width`` it is wrapped, in its column or, if that
    is too narrow, below the row. So are other last columns that do not fit.
    """
    used = [
        index
        for index in range(len(headers))
        if any(row[index] for row in rows) or index == 0
    ]
    table = [
        [_one_line(row[index]) or "-" for index in used] for row in (headers, *rows)
    ]
    widths = [max(len(row[index]) for row in table) for index in range(len(used))]
    fixed = _columns_that_fit(widths, width)
    return [line for row in table for line in _lines(row, widths, fixed, width or 0)]


def _one_line(cell: str) -> str:
    return " ".join(cell.split())


def _columns_that_fit(widths: Sequence[int], width: int | None) -> int:
    """Return the number of columns of a row that are not wrapped."""
    if width is None:
        return len(widths)
    total = 0
    for index, column in enumerate(widths):
        total += column + 2
        if total > width + 2:
            return max(index, 1)
    return len(widths)


def _lines(
    row: Sequence[str], widths: Sequence[int], fixed: int, width: int
) -> list[str]:
    cells = [f"{cell:<{widths[index]}}" for index, cell in enumerate(row)]
    first = "  ".join(cells[:fixed])
    rest = [cell for cell in row[fixed:] if cell != "-"]
    if not rest:
        return [first.rstrip(" -")]
    space = width - len(first) - 2
    if len(rest) == 1 and fixed == len(row) - 1 and space >= MIN_WIDTH_OF_LAST:
        wrapped = textwrap.wrap(rest[0], space)
        margin = " " * (len(first) + 2)
        return [f"{first}  {wrapped[0]}", *(margin + line for line in wrapped[1:])]
    wrapped = textwrap.wrap(
        "  ".join(rest),
        width,
        initial_indent=INDENT,
        subsequent_indent=INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [first.rstrip(), *wrapped]


def status_rows(host: str, instances: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells of each instance of a host, from the result of component_status."""
    rows: list[tuple[str, ...]] = []
    for name, report in sorted(instances.items()):
        details = list(report["diagnostics"])
        if report["restarts"]:
            details.append(_plural(report["restarts"], "restart"))
        rows.append(
            (
                host,
                name,
                str(report["version"]),
                shown_state(report),
                str(report["since"]),
                str(report["generation"]),
                "; ".join(details),
            )
        )
    return rows or [(host, "none", "", "", "", "", "")]


def shown_state(report: Mapping[str, Any]) -> str:
    """Return the state of an instance: ready, not ready, or that of its unit in systemd."""
    if report["state"] != "active":
        return str(report["state"])
    return "ready" if report["ready"] else "not ready"


STATUS_HEADERS = (
    "HOST",
    "COMPONENT",
    "VERSION",
    "STATE",
    "SINCE",
    "GENERATION",
    "DETAILS",
)


def attention(host: str, instances: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each instance of a host that is not ready or differs."""
    sentences = []
    for name, report in sorted(instances.items()):
        state = shown_state(report)
        reasons = list(report["diagnostics"])
        if state != "ready" and not reasons:
            reasons = [f"is {state}"]
        if reasons:
            sentences.append(f"{name} on {host}: {'; '.join(reasons)}.")
    return sentences
