# SPDX-License-Identifier: GPL-3.0-or-later
"""Write failed units and Docker's containers as metrics, for node_exporter's textfile collector.

Root runs it every minute, without network and capabilities. Docker's config.v2.json holds the
environment of a container, and so its secrets; only the name of the container and numbers leave
this script.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys

# As in the module typing, which is not imported: the script runs every minute.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # Values by metric, each with its labels.
    Samples = dict[str, list[tuple[dict[str, str], int]]]

FAILED_UNITS = [
    "systemctl",
    "list-units",
    "--all",
    "--state=failed",
    "--plain",
    "--no-legend",
    "--no-pager",
    "--full",
]
CONTAINER_ID = re.compile(r"[0-9a-f]{64}\Z")
# A larger file is damaged rather than a description of a container.
MAX_FILE_BYTES = 16 * 1024 * 1024
PREFIX = "monitoring_"
# Name, type and meaning of each metric.
HELP = {
    "units_failed": ("gauge", "Number of units of systemd that have failed."),
    "unit_failed": ("gauge", "1 for each unit of systemd that has failed."),
    "container_running": (
        "gauge",
        "Whether a container runs that Docker should keep running.",
    ),
    "container_unhealthy": (
        "gauge",
        "Whether the health check of a container fails.",
    ),
    "container_restarts_total": (
        "counter",
        "How often Docker restarted a container since it was started.",
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Write the metrics; return the exit code."""
    options = parse_options(arguments)
    units = failed_units()
    samples = unit_samples(units)
    for container in containers(options.containers):
        for metric, value in container_values(container).items():
            labels = {"container_name": str(container["Name"]).lstrip("/")}
            samples.setdefault(metric, []).append((labels, value))
    replace(options.output, exposition(samples))
    return 0


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Write failed units and containers.")
    parser.add_argument("--output", required=True, help="file of metrics to write")
    parser.add_argument("--containers", default="", help="Docker's directory of them")
    return parser.parse_args(arguments)


def failed_units() -> list[str]:
    """Return the names of the units that have failed."""
    done = subprocess.run(FAILED_UNITS, stdout=subprocess.PIPE, check=True, text=True)
    # Some versions put a dot in front of the name.
    lines = [line.lstrip("\u25cf* ").split() for line in done.stdout.splitlines()]
    return sorted(words[0] for words in lines if words)


def unit_samples(units: list[str]) -> Samples:
    """Return the metrics of failed units. Pure."""
    return {
        "units_failed": [({}, len(units))],
        "unit_failed": [({"unit": unit}, 1) for unit in units],
    }


def containers(directory: str) -> list[dict[str, Any]]:
    """Return the descriptions of Docker's containers by name; none without Docker.

    ``HostConfig`` is that of the second file that Docker keeps of each.
    """
    found = []
    for name in listing(directory):
        path = os.path.join(directory, name)
        config = read_json(os.path.join(path, "config.v2.json"))
        if CONTAINER_ID.match(name) and config.get("Name"):
            host = read_json(os.path.join(path, "hostconfig.json"))
            found.append({**config, "HostConfig": host})
    return sorted(found, key=lambda container: str(container["Name"]))


def container_values(container: dict[str, Any]) -> dict[str, int]:
    """Return the values of a container's metrics. Pure.

    Docker keeps a container running by its restart policy, unless someone stopped it.
    """
    state = as_dict(container.get("State"))
    restarts = container.get("RestartCount")
    values = {"container_restarts_total": restarts if isinstance(restarts, int) else 0}
    health = as_dict(state.get("Health")).get("Status")
    if health and health != "none":
        values["container_unhealthy"] = int(health == "unhealthy")
    if is_kept_running(container, state):
        values["container_running"] = int(bool(state.get("Running")))
    return values


def is_kept_running(container: dict[str, Any], state: dict[str, Any]) -> bool:
    """Return whether Docker should keep a container running. Pure."""
    policy = as_dict(as_dict(container["HostConfig"]).get("RestartPolicy")).get("Name")
    if not policy or policy == "no" or container.get("HasBeenManuallyStopped"):
        return False
    # One that was only created has no exit code of its own.
    was_started = bool(container.get("HasBeenStartedBefore"))
    is_done = policy == "on-failure" and not state.get("ExitCode")
    return bool(state.get("Running")) or (was_started and not is_done)


def exposition(samples: Samples) -> str:
    """Return metrics in Prometheus' format. Pure."""
    lines = []
    for metric, (kind, meaning) in HELP.items():
        lines += [
            f"# HELP {PREFIX}{metric} {meaning}",
            f"# TYPE {PREFIX}{metric} {kind}",
        ]
        for labels, value in samples.get(metric, ()):
            shown = f"{{{pairs(labels)}}}" if labels else ""
            lines.append(f"{PREFIX}{metric}{shown} {value}")
    return "\n".join(lines) + "\n"


def pairs(labels: dict[str, str]) -> str:
    """Return labels in Prometheus' format. Pure."""
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return ",".join(
        f'{key}="{value.translate(escapes)}"' for key, value in labels.items()
    )


def as_dict(value: Any) -> dict[str, Any]:
    """Return a dict as it is, and an empty one in place of anything else. Pure."""
    return value if isinstance(value, dict) else {}


def listing(directory: str) -> list[str]:
    """Return the sorted names in a directory; none without it."""
    try:
        return sorted(os.listdir(directory)) if directory else []
    except OSError:
        return []


def read_json(path: str) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one if it is missing or damaged."""
    try:
        with open(path, "rb") as stream:
            return as_dict(json.loads(stream.read(MAX_FILE_BYTES)))
    except (OSError, ValueError, RecursionError):
        return {}


def replace(path: str, content: str) -> None:
    """Replace a file atomically: readers see either the old or the new content."""
    # The exporter reads names that end in .prom only.
    new = path + ".new"
    with open(new, "w", encoding="utf-8") as stream:
        stream.write(content)
    os.rename(new, path)


if __name__ == "__main__":
    sys.exit(main())
